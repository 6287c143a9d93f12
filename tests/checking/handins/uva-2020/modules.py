"""The modules of the network."""

import numpy as np


class LinearModule(object):
    def __init__(self, in_features, out_features):
        self.params = {
            "weight": np.random.normal(loc=0.0, scale=0.0001, size=(out_features, in_features)),
            "bias": np.zeros(out_features),
        }
        self.grads = {"weight": np.zeros((out_features, in_features)), "bias": np.zeros(out_features)}

    def forward(self, x):
        self.x = x
        out = np.dot(x, self.params["weight"].T) + self.params["bias"]
        return out

    def backward(self, dout):
        dx = np.dot(dout, self.params["weight"])
        self.grads["weight"] = np.dot(dout.T, self.x)
        self.grads["bias"] = np.sum(dout, axis=0)
        return dx


class ELUModule(object):
    def forward(self, x):
        self.x = x
        out = np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)
        return out

    def backward(self, dout):
        dx = dout * np.where(self.x > 0, 1.0, np.exp(np.minimum(self.x, 0)))
        return dx


class SoftMaxModule(object):
    def forward(self, x):
        shifted = x - np.max(x, axis=1, keepdims=True)
        exps = np.exp(shifted)
        out = exps / np.sum(exps, axis=1, keepdims=True)
        self.out = out
        return out

    def backward(self, dout):
        s = self.out
        dx = s * (dout - np.sum(dout * s, axis=1, keepdims=True))
        return dx


class CrossEntropyModule(object):
    def forward(self, x, y):
        out = np.mean(-np.sum(y * np.log(x), axis=1))
        return out

    def backward(self, x, y):
        dx = -y / x / x.shape[0]
        return dx
