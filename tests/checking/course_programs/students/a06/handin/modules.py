import numpy as np


class LinearModule(object):
    def __init__(self, in_features, out_features):
        self.params = {'weight': np.random.normal(0, 0.0001, (out_features, in_features)), 'bias': np.zeros(out_features)}
        self.grads = {'weight': np.zeros((out_features, in_features)), 'bias': np.zeros(out_features)}

    def forward(self, x):
        self.x = x
        return x @ self.params['weight'].T + self.params['bias']

    def backward(self, dout):
        self.grads['weight'] = dout.T @ self.x
        self.grads['bias'] = dout.sum(axis=0)
        return dout @ self.params['weight']


class LeakyReLUModule(object):
    def __init__(self, neg_slope):
        self.neg_slope = neg_slope

    def forward(self, x):
        self.x = x
        return np.maximum(0, x) + self.neg_slope * np.minimum(0, x)

    def backward(self, dout):
        dx = np.where(dout > 0, dout, self.neg_slope * dout)
        return dx


class SoftMaxModule(object):
    def forward(self, x):
        b = x.max(axis=1, keepdims=True)
        y = np.exp(x - b)
        self.out = y / y.sum(axis=1, keepdims=True)
        return self.out

    def backward(self, dout):
        dx = np.zeros(dout.shape)
        for i in range(dout.shape[0]):
            s = self.out[i].reshape(-1, 1)
            dx[i] = dout[i] @ (np.diagflat(s) - s @ s.T)
        return dx


class CrossEntropyModule(object):
    def forward(self, x, y):
        return -np.sum(y * np.log(x)) / x.shape[0]

    def backward(self, x, y):
        return -y / x / x.shape[0]
