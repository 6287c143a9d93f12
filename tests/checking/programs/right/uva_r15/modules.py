import numpy as np
import math


class LinearModule(object):
    def __init__(self, in_features, out_features, input_layer=False):
        self.n_in = in_features
        self.n_out = out_features
        w = np.random.randn(out_features, in_features) * np.sqrt((1.0 if input_layer else 2.0) / in_features)
        self.params = {'weight': w, 'bias': np.zeros(out_features)}
        self.grads = {'weight': np.zeros((out_features, in_features)), 'bias': np.zeros(out_features)}

    def forward(self, x):
        self.x = x
        out = np.zeros((len(x), self.n_out))
        for n in range(len(x)):
            for o in range(self.n_out):
                out[n, o] = np.sum(self.params['weight'][o] * x[n]) + self.params['bias'].ravel()[o]
        return out

    def backward(self, dout):
        dw = np.zeros(self.params['weight'].shape)
        db = np.zeros(self.n_out)
        dx = np.zeros(self.x.shape)
        for n in range(len(dout)):
            for o in range(self.n_out):
                dw[o] += dout[n, o] * self.x[n]
                db[o] += dout[n, o]
                dx[n] += dout[n, o] * self.params['weight'][o]
        self.grads['weight'] = dw
        self.grads['bias'] = db
        return dx

    def clear_cache(self):
        self.x = None


class ELUModule(object):
    def forward(self, x):
        self.x = x
        out = np.zeros(x.shape)
        for idx, v in np.ndenumerate(x):
            out[idx] = v if v > 0 else math.exp(v) - 1
        return out

    def backward(self, dout):
        dx = np.zeros(dout.shape)
        for idx, g in np.ndenumerate(dout):
            if self.x[idx] > 0:
                dx[idx] = g
            else:
                dx[idx] = g * math.exp(self.x[idx])
        return dx

    def clear_cache(self):
        self.x = None


class SoftMaxModule(object):
    def forward(self, x):
        out = np.zeros(x.shape)
        for n in range(x.shape[0]):
            biggest = np.max(x[n])
            total = 0
            for k in range(x.shape[1]):
                out[n, k] = math.exp(x[n, k] - biggest)
                total += out[n, k]
            out[n] = out[n] / total
        self.s = out
        return out

    def backward(self, dout):
        dx = np.zeros(dout.shape)
        N, K = dout.shape
        for n in range(N):
            for i in range(K):
                for j in range(K):
                    if i == j:
                        d = self.s[n, i] * (1 - self.s[n, i])
                    else:
                        d = -self.s[n, i] * self.s[n, j]
                    dx[n, i] += dout[n, j] * d
        return dx

    def clear_cache(self):
        self.s = None


class CrossEntropyModule(object):
    def forward(self, x, y):
        total = 0.0
        for n in range(len(y)):
            total -= np.log(x[n][y[n]])
        return total / len(y)

    def backward(self, x, y):
        dx = np.zeros(x.shape)
        for n in range(len(y)):
            dx[n][y[n]] = -1.0 / (x[n][y[n]] * len(y))
        return dx

    def clear_cache(self):
        pass
