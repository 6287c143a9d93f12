import numpy as np
from .modules import Module


class Linear(Module):
    def __init__(self, in_features, out_features, debug=False):
        limit = 1 / np.sqrt(in_features)
        self.W = np.random.uniform(-limit, limit, size=(out_features, in_features))
        self.b = np.random.uniform(-limit, limit, size=(out_features, 1))
        self.debug = debug

    def forward(self, A):
        self.A, self.N = A, A.shape[0]
        return (self.W @ A.T + self.b).T

    def backward(self, dLdZ):
        self.dLdW = dLdZ.T @ self.A
        self.dLdb = dLdZ.T @ np.ones((self.N, 1))
        return (self.W.T @ dLdZ.T).T
