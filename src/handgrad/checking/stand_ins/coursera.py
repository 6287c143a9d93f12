"""Coursera's networks as functions of arrays. Samples are columns; W1, b1, W2, … become a dict of parameters.

`m` is the module of the hand-in.
"""

from typing import Any

import numpy as np

m: Any


def _parameters(values):
    """The dict of parameters of the course, from W1, b1, W2, b2, …"""
    return {f"{'Wb'[k % 2]}{k // 2 + 1}": value for k, value in enumerate(values)}


def _gradients(grads, count):
    return tuple(grads.get(f"d{'Wb'[k % 2]}{k // 2 + 1}") for k in range(count))


def _cost(AL, Y):
    return -np.mean(Y * np.log(AL) + (1 - Y) * np.log(1 - AL))


def compute_cost(AL, Y):
    return m.compute_cost(AL, Y), None


def update_parameters(*values):
    """`values` are the parameters, their gradients, and the learning rate."""
    *arrays, learning_rate = values
    half = len(arrays) // 2
    parameters = _parameters(arrays[:half])
    grads = {f"d{name}": value for name, value in _parameters(arrays[half:]).items()}
    updated = m.update_parameters(parameters, grads, learning_rate)
    updated = parameters if updated is None else updated
    return np.concatenate([np.ravel(updated[name]) for name in _parameters(arrays[:half])]), None


def L_model_forward(*values):
    *arrays, X, Y = values
    AL, caches = m.L_model_forward(X, _parameters(arrays))
    return _cost(AL, Y), (AL, Y, caches, len(arrays))


def L_model_backward(dout, cache):
    AL, Y, caches, count = cache
    return _gradients(m.L_model_backward(AL, Y, caches), count)


def forward_propagation(*values):
    *arrays, X, Y = values
    A2, cache = m.forward_propagation(X, _parameters(arrays))
    return _cost(A2, Y), (_parameters(arrays), cache, X, Y)


def backward_propagation(dout, cache):
    return _gradients(m.backward_propagation(*cache), len(cache[0]))


def propagate(w, b, X, Y):
    grads, cost = m.propagate(w, b.item(), X, Y)
    return cost, (grads["dw"], grads["db"])
