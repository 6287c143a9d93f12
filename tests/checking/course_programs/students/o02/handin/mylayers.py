import numpy as np


class Layer:
    def params(self):
        return {}


class SiLU(Layer):
    def forward(self, x):
        self.sig = 1 / (1 + np.exp(-x))
        self.x = x
        return x * self.sig

    def backward(self, grad):
        return grad * self.sig * (1 + self.x * (1 - self.sig))


class Softplus(Layer):
    def forward(self, x):
        self.x = x
        return np.logaddexp(0, x)

    def backward(self, grad):
        return grad * 0.5 * (1 + np.tanh(self.x / 2))


class Dense(Layer):
    def __init__(self, n_in, n_out):
        self.weight = np.random.randn(n_in, n_out) / np.sqrt(n_in)
        self.bias = np.zeros((1, n_out))

    def forward(self, x):
        self.x = x
        return x @ self.weight + self.bias

    def backward(self, grad):
        self.grad_weight = self.x.T @ grad
        self.grad_bias = grad.sum(axis=0, keepdims=True)
        return grad @ self.weight.T
