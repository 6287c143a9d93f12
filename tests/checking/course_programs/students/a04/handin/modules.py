import numpy as np
from helpers import onehot, stable_softmax


class LinearModule(object):
    def __init__(self, in_features, out_features, input_layer=False):
        gain = 1.0 if input_layer else 2.0
        std = np.sqrt(gain / in_features)
        self.params = {'weight': np.random.normal(0, std, (out_features, in_features)), 'bias': np.zeros(out_features)}
        self.grads = {'weight': None, 'bias': None}
        self.clear_cache()

    def forward(self, x):
        self.x = x
        return x.dot(self.params['weight'].transpose()) + self.params['bias'][None, :]

    def backward(self, dout):
        self.grads['weight'] = (self.x.transpose() @ dout).transpose()
        self.grads['bias'] = np.add.reduce(dout, axis=0)
        dx = dout @ self.params['weight']
        return dx

    def clear_cache(self):
        self.x = None


class ELUModule(object):
    def __init__(self, alpha):
        self.alpha = alpha

    def forward(self, x):
        self.pos = x > 0
        out = x.copy()
        out[~self.pos] = self.alpha * (np.exp(out[~self.pos]) - 1)
        self.out = out
        return out

    def backward(self, dout):
        slope = np.ones_like(dout)
        slope[~self.pos] = self.out[~self.pos] + self.alpha
        dx = dout * slope
        return dx

    def clear_cache(self):
        self.pos = self.out = None


class SoftMaxModule(object):
    def forward(self, x):
        self.out = stable_softmax(x)
        return self.out

    def backward(self, dout):
        y = self.out
        return y * (dout - (dout * y) @ np.ones((y.shape[1], y.shape[1])))

    def clear_cache(self):
        self.out = None


class CrossEntropyModule(object):
    def forward(self, x, y):
        t = onehot(y, x.shape[1])
        return -(t * np.log(x)).sum(1).mean(0)

    def backward(self, x, y):
        t = onehot(y, x.shape[1])
        return np.divide(-t, x) / y.shape[0]
