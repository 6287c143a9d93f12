"""Softmax and log-softmax over the last axis."""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.layer import Layer, check_gradient, computing_dtype


def softmax(x: Inexact[Array, "*n K"]) -> Inexact[Array, "*n K"]:
    """The softmax of every row: eˣ⁻ᵐ / Σ eˣ⁻ᵐ with m = max x, which does not change the value and keeps every
    exponent at most 0."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


class Softmax(Layer):
    """Converts each row of scores to probabilities.

    Formula:
        yᵢ  = eˣⁱ / Σₖ eˣᵏ
        dxᵢ = yᵢ (dyᵢ - Σₖ dyₖ yₖ), the product of dy with the full Jacobian diag(y) - y yᵀ

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equations 6.29 and 4.1 (the shift by the maximum).
    """

    def forward(self, x: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N K"]:
        computing_dtype(x)
        y = softmax(x)
        self._keep(y)
        return y

    def backward(self, dy: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N K"]:
        (y,) = self._recall()
        check_gradient(self, dy, y.shape)
        return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


class LogSoftmax(Layer):
    """Converts each row of scores to log-probabilities, which are finite even if a probability would be 0.

    Formula:
        yᵢ  = xᵢ - log Σₖ eˣᵏ, the logarithm by log-sum-exp: m + log Σ eˣ⁻ᵐ, m = max x
        dxᵢ = dyᵢ - eʸⁱ Σₖ dyₖ, the product of dy with the Jacobian I - 1 sᵀ, s = eʸ

    Source: Murphy, Machine Learning (2012), section 3.5.3 (log-sum-exp).
    """

    def forward(self, x: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N K"]:
        computing_dtype(x)
        shifted = x - x.max(axis=-1, keepdims=True)
        y = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        self._keep(y)
        return y

    def backward(self, dy: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N K"]:
        (y,) = self._recall()
        check_gradient(self, dy, y.shape)
        return dy - np.exp(y) * dy.sum(axis=-1, keepdims=True)
