"""Correct versions of CMU's activations, criterion, BatchNorm and Linear, derived from the classes of the hand-in.

`weights` and `biases` are initialisers that return the arrays of the probe.
"""

import numpy as np

#: The arrays of the probe.
given: list[np.ndarray]


def _subclass(base, **members):
    base = base if isinstance(base, type) else object
    return type(base.__name__ if base is not object else "StandIn", (base,), members)


def activation(base, kind):
    def __init__(self):
        self.state = None

    def forward(self, x):
        if kind == "sigmoid":
            self.state = 1 / (1 + np.exp(-x))
        elif kind == "tanh":
            self.state = np.tanh(x)
        elif kind == "relu":
            self.state = np.where(x > 0, x, 0.0)
        else:
            self.state = np.array(x)
        return self.state.copy()

    def derivative(self):
        y = self.state
        if kind == "sigmoid":
            return y * (1 - y)
        if kind == "tanh":
            return 1 - y * y
        if kind == "relu":
            return (y > 0) * 1.0
        return np.ones_like(y)

    return _subclass(
        base, __init__=__init__, forward=forward, derivative=derivative, __call__=lambda self, x: self.forward(x)
    )()


def criterion(base):
    def __init__(self):
        self.logits = self.labels = self.loss = self.sm = None

    def forward(self, x, y):
        self.logits, self.labels = np.array(x), np.array(y)
        m = x.max(axis=1, keepdims=True)
        e = np.exp(x - m)
        self.sm = e / e.sum(axis=1, keepdims=True)
        self.loss = np.log(e.sum(axis=1)) + m[:, 0] - (x * y).sum(axis=1)
        return self.loss

    def derivative(self):
        return self.sm - self.labels

    return _subclass(
        base, __init__=__init__, forward=forward, derivative=derivative, __call__=lambda self, x, y: self.forward(x, y)
    )()


def batchnorm(base):
    def __init__(self, fan_in, alpha=0.9):
        self.alpha, self.eps, self.fan_in = alpha, 1e-8, fan_in
        self.x = self.norm = self.out = None
        self.var, self.mean = np.ones((1, fan_in)), np.zeros((1, fan_in))
        self.gamma, self.beta = np.ones((1, fan_in)), np.zeros((1, fan_in))
        self.dgamma, self.dbeta = np.zeros((1, fan_in)), np.zeros((1, fan_in))
        self.running_mean, self.running_var = np.zeros((1, fan_in)), np.ones((1, fan_in))

    def forward(self, x, eval=False):
        if eval:
            self.norm = (x - self.running_mean) / np.sqrt(self.running_var + self.eps)
        else:
            self.x = x
            self.mean, self.var = x.mean(axis=0, keepdims=True), x.var(axis=0, keepdims=True)
            self.norm = (x - self.mean) / np.sqrt(self.var + self.eps)
            self.running_mean = self.alpha * self.running_mean + (1 - self.alpha) * self.mean
            self.running_var = self.alpha * self.running_var + (1 - self.alpha) * self.var
        self.out = self.gamma * self.norm + self.beta
        return self.out.copy()

    def backward(self, delta):
        d = delta * self.gamma
        self.dgamma = (delta * self.norm).sum(axis=0, keepdims=True)
        self.dbeta = delta.sum(axis=0, keepdims=True)
        return (d - d.mean(axis=0) - self.norm * (d * self.norm).mean(axis=0)) / np.sqrt(self.var + self.eps)

    return _subclass(
        base,
        __init__=__init__,
        forward=forward,
        backward=backward,
        __call__=lambda self, x, eval=False: self.forward(x, eval),
    )


def linear(base):
    def __init__(self, in_feature, out_feature, weight_init_fn, bias_init_fn):
        self.W, self.b = weight_init_fn(in_feature, out_feature), bias_init_fn(out_feature)
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)
        self.momentum_W, self.momentum_b = np.zeros_like(self.W), np.zeros_like(self.b)
        self.in_feature, self.out_feature, self.x = in_feature, out_feature, None

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, delta):
        self.dW = self.x.T @ delta / len(delta)
        self.db = delta.mean(axis=0).reshape(self.b.shape)
        return delta @ self.W.T

    return _subclass(
        base, __init__=__init__, forward=forward, backward=backward, __call__=lambda self, x: self.forward(x)
    )


calls = []


def _take(shape):
    # the next array of this shape; zeros if there is none
    for position, array in enumerate(given):
        if array.shape == shape:
            return given.pop(position)
    return np.zeros(shape)


def weights(d0, d1):
    calls.append([d0, d1])
    return _take((d0, d1))


def biases(row, own):
    # in the shape of the hand-in's own initialiser, if there is one
    def init(d):
        taken = _take((1, d) if row else (d,))
        try:
            shape = np.shape(own(d))
        except Exception:
            return taken
        return taken.reshape(shape) if shape in ((d,), (1, d), (d, 1)) else taken

    return init
