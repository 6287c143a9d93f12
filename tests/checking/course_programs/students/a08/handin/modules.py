import numpy as np


class SoftMaxModule(object):
    """ Softmax activation module. """

    def forward(self, x):
        shifted = x - np.max(x, axis=0)
        exps = np.exp(shifted)
        out = exps / np.sum(exps, axis=1)[:, np.newaxis]
        self.out = out
        return out

    def backward(self, dout):
        a = self.out
        weighted = dout * a
        return weighted - a * np.sum(weighted, axis=1)[:, np.newaxis]


class ReLUModule(object):
    def forward(self, x):
        self.positive = x > 0
        return np.where(self.positive, x, 0.0)

    def backward(self, dout):
        return np.where(self.positive, dout, 0.0)
