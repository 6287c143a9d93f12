import numpy as np


class Linear(object):

    def __init__(self, in_features, out_features, debug=False):
        self.W = np.zeros((out_features, in_features))
        self.b = np.zeros((out_features, 1))
        self.debug = debug
        self.cache = {}

    def forward(self, A):
        assert A.ndim == 2, "A must be (N, C0)"
        self.cache['A'] = A
        self.A, self.N = A, A.shape[0]
        ones = np.ones((self.N, 1))
        Z = A.dot(self.W.T) + ones.dot(self.b.T)
        return Z

    def backward(self, dLdZ):
        A = self.cache['A']
        dLdA = dLdZ.dot(self.W)
        self.dLdW = dLdZ.T.dot(A)
        self.dLdb = np.sum(dLdZ, axis=0)
        if self.debug:
            self.dLdA = dLdA
        return dLdA
