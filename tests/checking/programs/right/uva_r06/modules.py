import numpy as np
# import torch   (not used, only for compare my result)


class Module(object):
    """Common base: every module remembers something between forward and backward."""

    def __init__(self):
        self.memory = {}

    def forward(self, x):
        raise NotImplementedError

    def backward(self, dout):
        raise NotImplementedError

    def clear_cache(self):
        self.memory = {}


class LinearModule(Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        w = np.random.normal(0.0, 0.0001, (out_features, in_features))
        self.params = dict(weight=w, bias=np.zeros(out_features))
        self.grads = dict(weight=np.zeros(w.shape), bias=np.zeros(out_features))

    def forward(self, x):
        self.memory['x'] = x
        # bias as one more column: [x 1] [W b]^T
        ones = np.ones((x.shape[0], 1), dtype=x.dtype)
        extended = np.concatenate([x, ones], axis=1)
        wb = np.concatenate([self.params['weight'], self.params['bias'].reshape(-1, 1)], axis=1)
        self.memory['extended'] = extended
        return np.matmul(extended, wb.T)

    def backward(self, dout):
        dwb = np.matmul(dout.T, self.memory['extended'])
        self.grads['weight'] = dwb[:, :-1]
        self.grads['bias'] = dwb[:, -1].reshape(self.params['bias'].shape)
        return np.matmul(dout, self.params['weight'])


class LeakyReLUModule(Module):
    def __init__(self, neg_slope):
        super().__init__()
        # a x + (1 - a) relu(x)
        self.neg_slope = neg_slope

    def forward(self, x):
        self.memory['x'] = x
        return self.neg_slope * x + (1 - self.neg_slope) * x.clip(min=0)

    def backward(self, dout):
        return self.neg_slope * dout + (1 - self.neg_slope) * np.heaviside(self.memory['x'], 1) * dout


class SoftMaxModule(Module):
    def forward(self, x):
        z = x - np.amax(x, axis=-1, keepdims=True)
        self.memory['p'] = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
        return self.memory['p']

    def backward(self, dout):
        p = self.memory['p']
        g = p * dout
        return g - p * g.sum(-1, keepdims=True)


class CrossEntropyModule(Module):
    def forward(self, x, y):
        return np.mean(-np.log(x[y.astype(bool)]))

    def backward(self, x, y):
        dx = np.zeros_like(x)
        hot = y.astype(bool)
        dx[hot] = -1 / (x[hot] * x.shape[0])
        return dx
