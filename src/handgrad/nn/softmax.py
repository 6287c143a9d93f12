"""Softmax over the last axis, and its logarithm."""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.layer import Layer, check_gradient, computing_dtype


def softmax(x: Inexact[Array, "*n K"], out: Inexact[Array, "*n K"]) -> Inexact[Array, "*n K"]:
    """Writes the softmax of every row into `out`: eˣ⁻ᵐ / Σ eˣ⁻ᵐ with m = max x, which leaves the value as it is and
    keeps every exponent at 0 or below."""
    np.subtract(x, x.max(axis=-1, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(axis=-1, keepdims=True)
    return out


class Softmax(Layer):
    """Turns each row of scores into probabilities.

    Formula:
        yᵢ  = eˣⁱ / Σₖ eˣᵏ
        dxᵢ = yᵢ (dyᵢ - Σₖ dyₖ yₖ), the product of dy with the full Jacobian diag(y) - y yᵀ

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equations 6.29 and 4.1 (the shift by the maximum).
    """

    def forward(self, x: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N K"]:
        y = softmax(x, self.work.empty("y", x.shape, computing_dtype(x)))
        self._keep(y)
        return y

    def backward(self, dy: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N K"]:
        (y,) = self._recall()
        check_gradient(self, dy, y.shape)
        dx = self.work.empty("dx", dy.shape, dy.dtype)
        np.multiply(dy, y, out=dx)
        inner = dx.sum(axis=-1, keepdims=True)
        np.subtract(dy, inner, out=dx)
        dx *= y
        return dx


class LogSoftmax(Layer):
    """Turns each row of scores into the logarithms of probabilities, finite where a probability itself would be 0.

    Formula:
        yᵢ  = xᵢ - log Σₖ eˣᵏ, the logarithm by log-sum-exp: m + log Σ eˣ⁻ᵐ, m = max x
        dxᵢ = dyᵢ - eʸⁱ Σₖ dyₖ, the product of dy with the Jacobian I - 1 sᵀ, s = eʸ

    Source: Murphy, Machine Learning (2012), section 3.5.3 (log-sum-exp).
    """

    def forward(self, x: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N K"]:
        y = self.work.empty("y", x.shape, computing_dtype(x))
        np.subtract(x, x.max(axis=-1, keepdims=True), out=y)
        y -= np.log(np.exp(y, out=self.work.empty("dx", x.shape, y.dtype)).sum(axis=-1, keepdims=True))
        self._keep(y)
        return y

    def backward(self, dy: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N K"]:
        (y,) = self._recall()
        check_gradient(self, dy, y.shape)
        dx = self.work.empty("dx", dy.shape, dy.dtype)
        np.exp(y, out=dx)
        dx *= dy.sum(axis=-1, keepdims=True)
        return np.subtract(dy, dx, out=dx)
