"""
This module implements various modules of the network.
"""
import numpy as np


class LinearModule(object):
    def __init__(self, in_features, out_features, input_layer=False):
        if input_layer:
            sigma = np.sqrt(1.0 / in_features)
        else:
            sigma = np.sqrt(2.0 / in_features)
        W = np.random.randn(out_features, in_features) * sigma
        b = np.zeros((1, out_features))
        self.params = {'weight': W, 'bias': b}
        self.grads = {'weight': np.zeros_like(W), 'bias': np.zeros_like(b)}

    def forward(self, x):
        self.x = x
        out = x.dot(self.params['weight'].T) + self.params['bias']
        return out

    def backward(self, dout):
        self.grads['weight'] = dout.T.dot(self.x)
        self.grads['bias'] = dout.sum(axis=0, keepdims=True)
        dx = dout.dot(self.params['weight'])
        return dx

    def clear_cache(self):
        self.x = None


class ReLUModule(object):
    def forward(self, x):
        self.mask = x > 0
        return np.maximum(x, 0)

    def backward(self, dout):
        return np.where(self.mask, dout, 0)

    def clear_cache(self):
        self.mask = None


class SoftMaxModule(object):
    def forward(self, x):
        x = x - x.max(axis=1)[:, np.newaxis]
        ex = np.exp(x)
        out = ex / ex.sum(axis=1)[:, np.newaxis]
        self.probs = out
        return out

    def backward(self, dout):
        dx = np.empty_like(self.probs)
        for i, (p, g) in enumerate(zip(self.probs, dout)):
            jac = np.diag(p) - np.outer(p, p)
            dx[i] = jac @ g
        return dx

    def clear_cache(self):
        self.probs = None


class CrossEntropyModule(object):
    def forward(self, x, y):
        rows = range(len(y))
        out = -np.log(x[rows, y]).sum() / len(y)
        return out

    def backward(self, x, y):
        rows = range(len(y))
        dx = np.zeros(x.shape, x.dtype)
        dx[rows, y] -= 1 / x[rows, y]
        dx /= len(y)
        return dx
