"""Layers and functions in the styles of many courses."""

import numpy as np


class Parameter:
    def __init__(self, data):
        self.data = data
        self.grad = np.zeros_like(data)


class Dense:
    def __init__(self, n_inputs, n_neurons):
        self.weights = Parameter(0.01 * np.random.randn(n_inputs, n_neurons))
        self.biases = Parameter(np.zeros((1, n_neurons)))

    def forward(self, inputs):
        self.inputs = inputs
        self.output = np.dot(inputs, self.weights.data) + self.biases.data
        return self.output

    def backward(self, dvalues):
        self.weights.grad = np.dot(self.inputs.T, dvalues)
        self.biases.grad = np.sum(dvalues, axis=0, keepdims=True)
        self.dinputs = np.dot(dvalues, self.weights.data.T)
        return self.dinputs


class Tanh:
    def forward(self, x):
        self.out = np.tanh(x)
        return self.out

    def backward(self, grad):
        self.dx = (1 - self.out**2) * grad


class LayerNorm:
    def __init__(self, normalized_shape, eps=1e-6):
        self.gamma = np.ones(normalized_shape)
        self.beta = np.zeros(normalized_shape)
        self.eps = eps

    def forward(self, x):
        self.mu = x.mean(axis=-1, keepdims=True)
        self.inv = 1 / np.sqrt(x.var(axis=-1, keepdims=True) + self.eps)
        self.xhat = (x - self.mu) * self.inv
        return self.gamma * self.xhat + self.beta

    def backward(self, dy):
        dgamma = (dy * self.xhat).sum(axis=0)
        dbeta = dy.sum(axis=0)
        d = dy * self.gamma
        dx = self.inv * (d - d.mean(axis=-1, keepdims=True) - self.xhat * (d * self.xhat).mean(axis=-1, keepdims=True))
        return dx, {"gamma": dgamma, "beta": dbeta}


def mse(y_pred, y_true):
    return np.mean((y_pred - y_true) ** 2)


def mse_grad(y_pred, y_true):
    return 2 * (y_pred - y_true) / y_pred.size


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(x @ Wx + prev_h @ Wh + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h**2)
    return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(axis=0)


def relu_forward(x):
    return np.maximum(0, x)


def relu_backward(dout, x):
    return dout * (x > 0)


class BCELoss:
    def forward(self, p, y):
        self.p, self.y = p, y
        return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()

    def backward(self):
        return (self.p - self.y) / (self.p * (1 - self.p)) / self.p.size
