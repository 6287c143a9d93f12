"""Layers of `handgrad.nn` that operate on arrays stored elsewhere.

The classes of a course have their parameters as plain attributes, and tests modify or replace them. These attributes
are authoritative: before every pass, their current arrays are passed to the internal layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact


def floating(x: Any, *others: Any) -> Inexact[Array, "..."]:
    """`x` in the common dtype of `x` and `others`, or float64 if all are integers."""
    dtype = np.result_type(*map(np.asarray, (x, *others)))
    return np.asarray(x, dtype if dtype.kind in "fc" else np.float64)


def bind(parameter: nn.Parameter | None, value: Any, dtype: np.dtype) -> None:
    """Sets `value` as the value of the parameter (not a copy), with a new gradient in `dtype`."""
    assert parameter is not None  # all layers here have a bias
    parameter.value = np.asarray(value)
    parameter.grad = np.empty(parameter.value.shape, dtype)


def linear_forward(layer: nn.Linear, weight: Any, bias: Any, x: Any) -> Inexact[Array, "N K"]:
    """`layer.forward(x)` with a weight `(K, D)` and a bias of K numbers."""
    return layer.forward(_bind_linear(layer, weight, bias, x))


def linear_backward(
    layer: nn.Linear, weight: Any, bias: Any, dy: Any
) -> tuple[Inexact[Array, "N D"], Inexact[Array, "K D"], Inexact[Array, "K"]]:
    """`layer.backward(dy)` with a weight `(K, D)` and a bias of K numbers: dx, dweight, dbias."""
    dx = layer.backward(_bind_linear(layer, weight, bias, dy))
    assert dx is not None  # computed by default
    dweight, dbias = (parameter.grad for parameter in layer.parameters())
    return dx, dweight, dbias


def _bind_linear(layer: nn.Linear, weight: Any, bias: Any, x: Any) -> Inexact[Array, "N D"]:
    x = floating(x, weight, bias)
    layer.out_features, layer.in_features = np.shape(weight)
    bind(layer.weight, weight, x.dtype)
    bind(layer.bias, np.reshape(bias, -1), x.dtype)
    return x
