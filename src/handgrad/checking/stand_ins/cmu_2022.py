"""The layers, losses and the optimiser of CMU's mytorch.nn as functions: `forward` returns (output, object).

`m` is the module of the hand-in. `NAME` is the class, for functions that several classes share.
"""

import importlib
from typing import Any

import numpy as np

m: Any
NAME: str


def linear(x, W, b):
    layer = m.Linear(W.shape[1], W.shape[0])
    layer.W, layer.b = W, b
    return layer.forward(x), layer


def linear_backward(dy, layer):
    dx = layer.backward(dy)
    return dx, layer.dLdW, layer.dLdb


def activation(x):
    layer = getattr(m, NAME)()
    return layer.forward(x), layer


def activation_backward(dy, layer):
    return layer.backward(dy)


def activation_derivative(dy, layer):
    """For editions in which the network multiplies by the upstream gradient."""
    return layer.backward()


def loss(x, t):
    criterion = getattr(m, NAME)()
    return criterion.forward(x, t), criterion.backward()


def norm(x, gamma, beta, alpha=0.9):
    layer = getattr(m, NAME)(x.shape[1], alpha)
    layer.BW, layer.Bb = gamma, beta
    return layer.forward(x), layer


def norm_backward(dy, layer):
    dx = layer.backward(dy)
    return dx, layer.dLdBW, layer.dLdBb


def norm_evaluated(x, gamma, beta, mean, var):
    layer = getattr(m, NAME)(x.shape[1])
    layer.BW, layer.Bb, layer.running_M, layer.running_V = gamma, beta, mean.copy(), var.copy()
    return layer.forward(x, eval=True), layer.running_M, layer.running_V


class Linear:
    """A layer that only has attributes. An optimiser may select layers by the name of their class."""

    W: np.ndarray
    b: np.ndarray
    dLdW: np.ndarray
    dLdb: np.ndarray


class Model:
    layers: list[Any]


def linear_layer(W, b):
    """The hand-in's own linear layer, because an optimiser may select layers by class; a stand-in if there is none."""
    try:
        layer = importlib.import_module("mytorch.nn.linear").Linear(W.shape[1], W.shape[0])
    except Exception:
        layer = Linear()
    layer.W, layer.b = W, b
    return layer


def sgd(w, dw0, dw1, dw2, lr, momentum):
    """Makes three steps."""
    layer, model = linear_layer(w.copy(), w[:, :1].copy()), Model()
    layer.dLdW, layer.dLdb = dw0, dw0[:, :1]
    model.layers = [layer]
    optimiser = m.SGD(model, lr=lr, momentum=momentum)
    for dw in (dw0, dw1, dw2):
        layer.dLdW, layer.dLdb = dw, dw[:, :1]
        optimiser.step()
    return np.concatenate([layer.W, layer.b], axis=1), None
