import numpy as np


def logsumexp(a):
    top = a.max(axis=-1, keepdims=True)
    return top + np.log(np.exp(a - top).sum(axis=-1, keepdims=True))


class MSELoss:
    def forward(self, A, Y):
        self.A = A
        self.Y = Y
        self.N = A.shape[0]
        self.C = A.shape[1]
        return ((A - Y) ** 2).mean()

    def backward(self):
        return (self.A - self.Y) * (2.0 / (self.N * self.C))


class CrossEntropyLoss:
    def forward(self, A, Y):
        self.A = A
        self.Y = Y
        self.logp = A - logsumexp(A)
        return float(-(Y * self.logp).sum() / len(A))

    def backward(self):
        return (np.exp(self.logp) - self.Y) / len(self.A)
