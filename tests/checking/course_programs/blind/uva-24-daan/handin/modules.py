################################################################################
# MIT License
# Assignment 1, Deep Learning Course, Fall 2024
################################################################################
"""
This module implements various modules of the network.
"""
import numpy as np


class LinearModule(object):
    """
    Linear module. Applies a linear transformation to the input data.
    """

    def __init__(self, in_features, out_features, input_layer=False):
        self.in_features, self.out_features = in_features, out_features
        # Kaiming: gain sqrt(2) unless nothing came before
        gain = 1.0 if input_layer else np.sqrt(2.0)
        std = gain / np.sqrt(in_features)
        self.params = {
            'weight': np.random.normal(0, std, (out_features, in_features)),
            'bias': np.zeros((out_features,)),
        }
        self.grads = {key: np.zeros_like(val) for key, val in self.params.items()}
        self.cache = None

    def forward(self, x):
        self.cache = x
        return np.matmul(x, self.params['weight'].transpose()) + self.params['bias']

    def backward(self, dout):
        x = self.cache
        self.grads['weight'] = np.matmul(dout.transpose(), x)
        self.grads['bias'] = np.sum(dout, axis=0)
        return np.matmul(dout, self.params['weight'])

    def clear_cache(self):
        self.cache = None


class ELUModule(object):
    """
    ELU activation module.
    """

    def __init__(self, alpha):
        self.alpha = alpha
        self.cache = None

    def forward(self, x):
        out = np.where(x > 0, x, self.alpha * (np.exp(np.minimum(x, 0)) - 1))
        self.cache = (x, out)
        return out

    def backward(self, dout):
        x, out = self.cache
        # d/dx alpha (e^x - 1) follows from the output, no second exp needed
        return dout * np.where(x > 0, 1, out + 1)

    def clear_cache(self):
        self.cache = None


class SoftMaxModule(object):
    """
    Softmax activation module.
    """

    def __init__(self):
        self.cache = None

    def forward(self, x):
        e = np.exp(x - np.max(x, axis=1, keepdims=True))
        self.cache = e / np.sum(e, axis=1, keepdims=True)
        return self.cache

    def backward(self, dout):
        s = self.cache
        return s * (dout - np.sum(dout * s, axis=1, keepdims=True))

    def clear_cache(self):
        self.cache = None


class CrossEntropyModule(object):
    """
    Cross entropy loss module.
    """

    def forward(self, x, y):
        n = x.shape[0]
        return -np.mean(np.log(x[np.arange(n), y]))

    def backward(self, x, y):
        n = x.shape[0]
        dx = np.zeros_like(x)
        dx[np.arange(n), y] = -1 / (n * x[np.arange(n), y])
        return dx
