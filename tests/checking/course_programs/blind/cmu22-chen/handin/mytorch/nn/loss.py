import numpy as np


class CrossEntropyLoss:
    """The linear layers divide by N, so backward does not."""

    def forward(self, A, Y):
        self.A = A
        self.Y = Y
        self.softmax = np.empty(A.shape, dtype=np.result_type(A, np.float32))
        L = 0.0
        for n, (a, y) in enumerate(zip(A, Y)):
            shifted = a - a.max()
            total = np.exp(shifted).sum()
            self.softmax[n] = np.exp(shifted) / total
            L += y @ (np.log(total) - shifted)
        return L / len(A)

    def backward(self):
        return self.softmax - self.Y
