"""Layers written by hand, right ones, for the tests to check and to break."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest


class Parameter:
    def __init__(self, value):
        self.value = np.array(value)
        self.grad = None


class Layer:
    """The interface of the package, without the package."""

    def named_parameters(self):
        return [(name, p) for name, p in vars(self).items() if isinstance(p, Parameter)]


class Linear(Layer):
    def __init__(self, inputs=3, outputs=3, seed=0):
        rng = np.random.default_rng(seed)
        self.weight = Parameter(rng.standard_normal((outputs, inputs)))
        self.bias = Parameter(rng.standard_normal(outputs))

    def forward(self, x):
        self.x = x
        return x @ self.weight.value.T + self.bias.value

    def backward(self, dy):
        self.weight.grad = dy.T @ self.x
        self.bias.grad = dy.sum(axis=0)
        return dy @ self.weight.value


class Tanh(Layer):
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy):
        return dy * (1 - self.y**2)


class ReLU(Layer):
    def forward(self, x):
        self.x = x
        return np.maximum(x, 0)

    def backward(self, dy):
        return dy * (self.x > 0)


class Softmax(Layer):
    def forward(self, x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.y = e / e.sum(axis=1, keepdims=True)
        return self.y

    def backward(self, dy):
        return self.y * (dy - (dy * self.y).sum(axis=1, keepdims=True))


class BatchNorm(Layer):
    eps = 1e-5

    def __init__(self, features=3, seed=0):
        rng = np.random.default_rng(seed)
        self.gamma = Parameter(rng.uniform(0.5, 1.5, features))
        self.beta = Parameter(rng.standard_normal(features))
        self.running_mean = np.zeros(features)

    def forward(self, x):
        mean = x.mean(axis=0)
        self.std = np.sqrt(((x - mean) ** 2).mean(axis=0) + self.eps)
        self.xhat = (x - mean) / self.std
        self.running_mean = 0.9 * self.running_mean + 0.1 * mean
        return self.gamma.value * self.xhat + self.beta.value

    def backward(self, dy):
        self.gamma.grad = (dy * self.xhat).sum(axis=0)
        self.beta.grad = dy.sum(axis=0)
        dxhat = dy * self.gamma.value
        return (dxhat - dxhat.mean(axis=0) - self.xhat * (dxhat * self.xhat).mean(axis=0)) / self.std


class Dropout(Layer):
    def __init__(self, rng=None):
        self.rng = rng or np.random.default_rng(3)

    def forward(self, x):
        self.mask = (self.rng.random(x.shape) > 0.4) / 0.6
        return x * self.mask

    def backward(self, dy):
        return dy * self.mask


class CrossEntropy(Layer):
    """Softmax and cross-entropy in one, averaged over the batch; labels or one-hot targets."""

    def forward(self, x, target):
        self.target = np.eye(x.shape[1])[target] if target.ndim == 1 else target
        shifted = x - x.max(axis=1, keepdims=True)
        logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        self.p = np.exp(logp)
        return -(self.target * logp).sum(axis=1).mean()

    def backward(self):
        return (self.p - self.target) / len(self.p)


@pytest.fixture(scope="session")
def zoo() -> SimpleNamespace:
    kinds = (Parameter, Layer, Linear, Tanh, ReLU, Softmax, BatchNorm, Dropout, CrossEntropy)
    return SimpleNamespace(**{kind.__name__: kind for kind in kinds})


@pytest.fixture
def x() -> np.ndarray:
    """(5, 3), spread over both signs, no entry within 0.05 of zero."""
    x = np.random.default_rng(7).standard_normal((5, 3))
    return x + 0.05 * np.sign(x)
