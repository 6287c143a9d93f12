"""Running a layer, loss or optimiser of `handgrad.nn` at a point in float64, for the steps that end in its code."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from handgrad import nn

#: For the `dtype` argument of the layers: a type checker infers the type from the default, float32.
FLOAT64: Any = np.float64


class Ran(NamedTuple):
    """The results of one forward and backward pass: the output, dx, and the gradients of the parameters by name."""

    y: np.ndarray
    dx: np.ndarray
    grads: dict[str, np.ndarray]


def run_layer(layer: nn.Layer, x: np.ndarray, dy: np.ndarray, **parameters: np.ndarray) -> Ran:
    """Forward and backward pass of `layer` with its parameters set to the given arrays."""
    for name, value in parameters.items():
        setattr(layer, name, nn.Parameter(np.array(value)))
    y = layer.forward(x)
    dx = layer.backward(dy)
    assert dx is not None
    return Ran(y, dx, {name: parameter.grad for name, parameter in layer.named_parameters()})


def run_optimizer(make, w: np.ndarray, gradient, steps: int) -> np.ndarray:
    """The weights after each of `steps` steps, `(T, D)`.

    Arguments:
        make: `make([parameter])` returns the optimiser.
        gradient: `gradient(w, t)`, with t counted from 0.
    """
    parameter = nn.Parameter(np.array(w))
    optimizer = make([parameter])
    path = []
    for t in range(steps):
        parameter.grad[...] = gradient(parameter.value.copy(), t)
        optimizer.step()
        path.append(parameter.value.copy())
    return np.stack(path)
