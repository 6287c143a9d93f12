import numpy as np


class Linear:
    def __init__(self, in_features, out_features, debug=False):
        self.W = np.zeros((out_features, in_features))
        self.b = np.zeros((out_features, 1))
        self.debug = debug

    def forward(self, A):
        self.A = A
        self.N = A.shape[0]
        Z = np.zeros((self.N, self.W.shape[0]))
        for n in range(self.N):
            Z[n] = (self.W @ A[n][:, None] + self.b)[:, 0]
        return Z

    def backward(self, dLdZ):
        self.dLdW = np.zeros_like(self.W)
        self.dLdb = np.zeros_like(self.b)
        dLdA = np.zeros(self.A.shape)
        for n in range(self.N):
            d = dLdZ[n][:, None]
            self.dLdW += d @ self.A[n][None, :] / self.N
            self.dLdb += d / self.N
            dLdA[n] = (self.W.T @ d)[:, 0]
        return dLdA
