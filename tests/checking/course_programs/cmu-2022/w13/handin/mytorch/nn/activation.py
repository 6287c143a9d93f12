import numpy as np


class Softmax:
    def forward(self, Z):
        E = np.exp(Z - np.max(Z, axis=1, keepdims=True))
        self.A = E / np.sum(E, axis=1, keepdims=True)
        return self.A

    def backward(self, dLdA):
        N, C = dLdA.shape
        for i in range(N):
            a = self.A[i].reshape(-1, 1)
            J = np.diagflat(a) - a @ a.T
        return dLdA @ J
