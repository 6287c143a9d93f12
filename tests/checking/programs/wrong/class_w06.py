import numpy as np


class FullyConnected(object):
    """x may be (N, C, H, W); it is flattened."""

    def __init__(self, n_in, n_out):
        self.w = np.random.RandomState(3).randn(n_out, n_in) * 0.1
        self.b = np.zeros(n_out)
        self.grad_w = None
        self.grad_b = None
        self.calls = []

    def forward(self, x):
        self.calls.append(x)
        flat = x.reshape(len(x), -1)
        return np.dot(flat, self.w.T) + self.b

    def backward(self, dout):
        x = self.calls[0]
        flat = x.reshape(len(x), -1)
        self.grad_w = np.dot(dout.T, flat)
        self.grad_b = np.sum(dout, axis=0)
        return np.dot(dout, self.w).reshape(x.shape)
