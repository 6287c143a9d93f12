import numpy as np


class Linear:
    """y = x W^T + b."""

    def __init__(self, in_features, out_features, debug=False):
        self.debug = debug
        self.W = np.zeros([out_features, in_features])
        self.b = np.zeros([out_features, 1])

    def forward(self, A):
        self.A = A
        return A.dot(self.W.T) + self.b.reshape(-1)

    def backward(self, dLdZ):
        self.dLdW = self.A.T.dot(dLdZ).T
        self.dLdb = dLdZ.sum(axis=0)[:, None]
        return dLdZ.dot(self.W)
