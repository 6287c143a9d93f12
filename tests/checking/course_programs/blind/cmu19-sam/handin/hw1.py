"""
Everything table-driven: an elementwise activation is a pair of small functions (value, slope from the value).
"""
import os

import numpy as np


class Activation(object):
    fn = None
    slope = None

    def __init__(self):
        self.state = None

    def __call__(self, x):
        return self.forward(x)

    def forward(self, x):
        self.state = type(self).fn(x)
        return self.state

    def derivative(self):
        return type(self).slope(self.state)

    def __repr__(self):
        return type(self).__name__


def _make(name, fn, slope, doc):
    return type(name, (Activation,), {'fn': staticmethod(fn), 'slope': staticmethod(slope), '__doc__': doc,
                                      '__module__': __name__})


Identity = _make('Identity', lambda x: x, lambda a: 1.0, 'a = x')
Sigmoid = _make('Sigmoid', lambda x: np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))), lambda a: a - a * a,
                'a = 1 / (1 + exp(-x))')
Tanh = _make('Tanh', np.tanh, lambda a: (1 - a) * (1 + a), 'a = tanh x')
ReLU = _make('ReLU', lambda x: (x + np.abs(x)) / 2, lambda a: np.heaviside(a, 0.0), 'a = max(x, 0)')


class Criterion(object):

    def __init__(self):
        self.logits = None
        self.labels = None
        self.loss = None

    def __call__(self, x, y):
        return self.forward(x, y)

    def forward(self, x, y):
        raise NotImplementedError

    def derivative(self):
        raise NotImplementedError


class SoftmaxCrossEntropy(Criterion):

    @property
    def softmax(self):
        """Recomputed when asked for, never stored."""
        return np.exp(self.logits - np.logaddexp.reduce(self.logits, axis=1, keepdims=True))

    def forward(self, x, y):
        self.logits, self.labels = x, y
        # -log p_true = log sum_k exp(x_k - x_true)
        margins = x - np.sum(x * y, axis=1, keepdims=True)
        self.loss = np.logaddexp.reduce(margins, axis=1)
        return self.loss

    def derivative(self):
        return np.subtract(self.softmax, self.labels)


class BatchNorm(object):

    def __init__(self, fan_in, alpha=0.9):
        self.alpha, self.eps = alpha, 1e-8
        for name in ('x', 'norm', 'out'):
            setattr(self, name, None)
        for name in ('mean', 'beta', 'dgamma', 'dbeta', 'running_mean'):
            setattr(self, name, np.zeros((1, fan_in)))
        for name in ('var', 'gamma', 'running_var'):
            setattr(self, name, np.ones((1, fan_in)))

    def __call__(self, x, eval=False):
        return self.forward(x, eval)

    @staticmethod
    def _moments(x):
        ones = np.full((1, len(x)), 1.0 / len(x))
        mean = ones @ x
        return mean, ones @ (x - mean) ** 2

    def _blend(self, old, new):
        return new + self.alpha * (old - new)

    def forward(self, x, eval=False):
        self.x = x
        if eval:
            mean, var = self.running_mean, self.running_var
        else:
            mean, var = self.mean, self.var = self._moments(x)
            self.running_mean = self._blend(self.running_mean, mean)
            self.running_var = self._blend(self.running_var, var)
        self.norm = (x - mean) / np.sqrt(var + self.eps)
        self.out = self.beta + self.norm * self.gamma
        return self.out

    def backward(self, delta):
        self.dbeta = np.add.reduce(delta, axis=0)
        self.dgamma = np.add.reduce(delta * self.norm, axis=0)
        g = delta * self.gamma
        mean, _ = self._moments(g)
        corr, _ = self._moments(g * self.norm)
        return (g - mean - self.norm * corr) / np.sqrt(self.var + self.eps)


def random_normal_weight_init(d0, d1):
    return np.random.standard_normal((d0, d1))


def zeros_bias_init(d):
    return np.zeros(d)


class MLP(object):

    def __init__(self, input_size, output_size, hiddens, activations, weight_init_fn, bias_init_fn, criterion, lr,
                 momentum=0.0, num_bn_layers=0):
        self.train_mode = True
        self.num_bn_layers = num_bn_layers
        self.bn = num_bn_layers > 0
        self.nlayers = len(hiddens) + 1
        self.input_size = input_size
        self.output_size = output_size
        self.activations = activations
        self.criterion = criterion
        self.lr = lr
        self.momentum = momentum

        sizes = (input_size,) + tuple(hiddens) + (output_size,)
        self.W = [weight_init_fn(i, o) for i, o in zip(sizes, sizes[1:])]
        self.b = list(map(bias_init_fn, sizes[1:]))
        self.dW = [np.zeros_like(w) for w in self.W]
        self.db = [np.zeros_like(b) for b in self.b]
        self.bn_layers = [BatchNorm(o) for o in sizes[1:1 + num_bn_layers]]
        self._velocity = {}          # (name, layer) -> array, made on first use
        self._tape = []              # closures for the backward pass

    def forward(self, x):
        self._tape = []
        for k in range(self.nlayers):
            x = self._layer(k, x)
        self._out = x
        return x

    def _layer(self, k, x):
        z = x @ self.W[k] + self.b[k]
        norm = self.bn_layers[k] if k < self.num_bn_layers else None
        if norm is not None:
            z = norm(z, eval=not self.train_mode)

        def back(delta):
            delta = delta * self.activations[k].derivative()
            if norm is not None:
                delta = norm.backward(delta)
            self.dW[k] = x.T @ delta / len(x)
            self.db[k] = delta.mean(axis=0)
            return delta @ self.W[k].T

        self._tape.append(back)
        return self.activations[k](z)

    def zero_grads(self):
        for grads in (self.dW, self.db):
            grads[:] = [np.zeros_like(g) for g in grads]

    def step(self):
        for values, grads, name in ((self.W, self.dW, 'W'), (self.b, self.db, 'b')):
            for k in range(self.nlayers):
                v = self.momentum * self._velocity.get((name, k), 0.0) - self.lr * grads[k]
                self._velocity[name, k] = v
                values[k] = values[k] + v
        for norm in self.bn_layers:
            norm.gamma = norm.gamma - self.lr * norm.dgamma
            norm.beta = norm.beta - self.lr * norm.dbeta

    def backward(self, labels):
        self.criterion(self._out, labels)
        delta = self.criterion.derivative()
        for back in reversed(self._tape):
            delta = back(delta)

    def __call__(self, x):
        return self.forward(x)

    def train(self):
        self.train_mode = True

    def eval(self):
        self.train_mode = False


def _batches(x, y, size, order=None):
    order = np.arange(len(x)) if order is None else order
    for start in range(0, len(order), size):
        pick = order[start:start + size]
        yield x[pick], y[pick]


def _score(mlp, x, y):
    """[summed loss, number of errors]"""
    out = mlp(x)
    return np.array([mlp.criterion(out, y).sum(), (out.argmax(1) != y.argmax(1)).sum()])


def get_training_stats(mlp, dset, nepochs, batch_size):
    (trainx, trainy), (valx, valy) = dset[0], dset[1]
    rows = []
    for _ in range(nepochs):
        order = np.arange(len(trainx))
        np.random.shuffle(order)
        mlp.train()
        train = np.zeros(2)
        for x, y in _batches(trainx, trainy, batch_size, order):
            mlp.zero_grads()
            train += _score(mlp, x, y)
            mlp.backward(y)
            mlp.step()
        mlp.eval()
        val = sum((_score(mlp, x, y) for x, y in _batches(valx, valy, batch_size)), np.zeros(2))
        rows.append(np.concatenate([train / len(trainx), val / len(valx)]))
    table = np.array(rows).reshape(nepochs, 4)
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]
