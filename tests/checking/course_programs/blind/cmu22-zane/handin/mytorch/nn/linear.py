import numpy as np


class Linear:

    def __init__(self, in_features, out_features, debug=False):
        self.W = np.zeros((out_features, in_features), dtype="f")
        self.b = np.zeros((out_features, 1), dtype="f")
        self.debug = debug

    def forward(self, A):
        self.A = A
        self.N = A.shape[0]
        return np.matmul(A, np.transpose(self.W)) + np.transpose(self.b)

    def backward(self, dLdZ):
        dLdA = np.matmul(dLdZ, self.W)
        self.dLdW = np.matmul(np.transpose(dLdZ), self.A) / self.N
        self.dLdb = np.mean(dLdZ, axis=0)[:, None]
        if self.debug:
            self.dLdA = dLdA
        return dLdA
