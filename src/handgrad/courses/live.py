"""Layers of `handgrad.nn` on arrays that somebody else keeps.

A course's class shows its parameters as plain attributes, and tests write into them or put other arrays in their place.
Those attributes are the truth: before every pass the layer inside is given the arrays that are there now.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact


def floating(x: Any, *others: Any) -> Inexact[Array, "..."]:
    """`x` in the dtype that NumPy would compute in beside `others`, float64 where all are integers."""
    dtype = np.result_type(*map(np.asarray, (x, *others)))
    return np.asarray(x, dtype if dtype.kind in "fc" else np.float64)


def bind(parameter: nn.Parameter | None, value: Any, dtype: np.dtype) -> None:
    """Makes `value` the parameter's value (not a copy), with a fresh gradient in `dtype`."""
    assert parameter is not None  # the layers here all have a bias
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
    assert dx is not None  # asked for by default
    dweight, dbias = (parameter.grad for parameter in layer.parameters())
    return dx, dweight, dbias


def _bind_linear(layer: nn.Linear, weight: Any, bias: Any, x: Any) -> Inexact[Array, "N D"]:
    x = floating(x, weight, bias)
    layer.out_features, layer.in_features = np.shape(weight)
    bind(layer.weight, weight, x.dtype)
    bind(layer.bias, np.reshape(bias, -1), x.dtype)
    return x
