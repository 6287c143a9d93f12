import numpy as np


class LinearModule(object):

    def __init__(self, in_features, out_features, input_layer=False):
        self.params = {'weight': None, 'bias': None}
        self.grads = {'weight': None, 'bias': None}
        if input_layer:
            scale = np.sqrt(1 / in_features)
        else:
            scale = np.sqrt(2 / in_features)
        self.params['weight'] = scale * np.random.randn(out_features, in_features)
        self.params['bias'] = np.zeros((1, out_features))
        self.grads['weight'] = np.zeros_like(self.params['weight'])
        self.grads['bias'] = np.zeros_like(self.params['bias'])

    def forward(self, x):
        self.x = x
        out = x @ self.params['weight'].T + self.params['bias']
        return out

    def backward(self, dout):
        self.grads['weight'] = dout.T @ self.x
        self.grads['bias'] = np.sum(dout, axis=0, keepdims=True)
        dx = dout @ self.params['weight']
        return dx

    def clear_cache(self):
        self.x = None


class ELUModule(object):

    def __init__(self, alpha):
        self.alpha = alpha

    def forward(self, x):
        out = np.where(x > 0, x, self.alpha * (np.exp(np.minimum(x, 0)) - 1))
        self.x = x
        self.out = out
        return out

    def backward(self, dout):
        dx = dout * np.where(self.x > 0, 1, self.out)
        return dx

    def clear_cache(self):
        self.x = None
        self.out = None


class SoftMaxModule(object):

    def forward(self, x):
        e = np.exp(x - np.max(x, axis=1, keepdims=True))
        self.out = e / np.sum(e, axis=1, keepdims=True)
        return self.out

    def backward(self, dout):
        dx = self.out * (dout - np.sum(dout * self.out, axis=1, keepdims=True))
        return dx

    def clear_cache(self):
        self.out = None


class CrossEntropyModule(object):

    def forward(self, x, y):
        out = -np.mean(np.log(x[np.arange(len(y)), y]))
        return out

    def backward(self, x, y):
        dx = np.zeros_like(x)
        dx[np.arange(len(y)), y] = -1 / x[np.arange(len(y)), y]
        return dx / len(y)
