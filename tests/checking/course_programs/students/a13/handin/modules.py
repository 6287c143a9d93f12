import numpy as np


class LinearModule(object):
    def __init__(self, in_features, out_features):
        self.params = {'weight': np.random.normal(0, 1e-4, size=[out_features, in_features]),
                       'bias': np.zeros([out_features])}
        self.grads = {'weight': np.zeros([out_features, in_features]),
                      'bias': np.zeros([out_features])}

    def forward(self, x):
        self.input = x
        W, b = self.params['weight'], self.params['bias']
        return np.dot(x, W.T) + b

    def backward(self, dout):
        self.grads['weight'] = np.dot(dout.T, self.input)
        for row in dout:
            self.grads['bias'] += row
        return np.dot(dout, self.params['weight'])


class ELUModule(object):
    def forward(self, x):
        self.input = x
        out = x.copy()
        out[x < 0] = np.exp(x[x < 0]) - 1
        return out

    def backward(self, dout):
        dx = np.copy(dout)
        dx[self.input < 0] *= np.exp(self.input[self.input < 0])
        return dx
