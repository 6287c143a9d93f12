import numpy as np


class Linear:
    """Dense layer; W is kept as (in, out) and used transposed."""

    def __init__(self, n_in, n_out):
        rng = np.random.default_rng(0)
        self.W = rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)
        self.b = rng.standard_normal(n_out)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    def forward(self, x):
        self.xT = x.T
        return (self.W.T @ self.xT + self.b[:, None]).T

    def backward(self, dy):
        dyT = dy.T
        self.dW = (dyT @ self.xT.T).T
        self.db = dyT.sum(axis=1)
        return (self.W @ dyT).T
