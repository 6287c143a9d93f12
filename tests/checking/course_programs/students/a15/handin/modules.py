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


class ReLUModule(object):
    def forward(self, x):
        self.mask = (x > 0).astype(int)
        return x * self.mask

    def backward(self, dout):
        dx = np.zeros_like(self.mask)
        dx[self.mask == 1] = dout[self.mask == 1]
        return dx


class SoftMaxModule(object):
    def forward(self, x):
        z = np.exp(x - x.max(axis=1, keepdims=True))
        self.y = z / z.sum(axis=1, keepdims=True)
        return self.y

    def backward(self, dout):
        return self.y * dout - self.y * (self.y * dout).sum(axis=1, keepdims=True)


class CrossEntropyModule(object):
    def forward(self, x, y):
        return np.mean(np.sum(-y * np.log(x), axis=1))

    def backward(self, x, y):
        return -y / x / len(y)
