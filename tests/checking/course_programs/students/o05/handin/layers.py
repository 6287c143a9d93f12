import numpy as np


class Sigmoid:
    def __init__(self, cache={}):
        self.cache = cache

    def forward(self, x):
        self.cache['out'] = 1 / (1 + np.exp(-x))
        return self.cache['out']

    def backward(self, dout):
        out = self.cache['out']
        return dout * out * (1 - out)
