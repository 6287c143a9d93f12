"""Activations: y = f(x) element by element, so dx = dy · f'(x).

Each backward is written in the forward's output y, the array that the network keeps anyway.
"""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.layer import Layer, check_gradient, computing_dtype


class Activation(Layer):
    """Base of the element-wise layers: a subclass writes f and its derivative, both into arrays it is given."""

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        y = self.work.empty("y", x.shape, computing_dtype(x))
        self._function(x, y)
        self._keep(y)
        return y

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        (y,) = self._recall()
        check_gradient(self, dy, y.shape)
        dx = self.work.empty("dx", dy.shape, dy.dtype)
        self._derivative(y, dx)
        dx *= dy
        return dx

    def _function(self, x: Inexact[Array, "*n"], y: Inexact[Array, "*n"]) -> None:
        """Writes f(x) into `y`."""
        raise NotImplementedError

    def _derivative(self, y: Inexact[Array, "*n"], slope: Inexact[Array, "*n"]) -> None:
        """Writes f'(x), found from y = f(x), into `slope`."""
        raise NotImplementedError


class Identity(Activation):
    """y = x, dx = dy (copies: the layer returns fresh arrays like any other)."""

    def _function(self, x, y):
        y[...] = x

    def _derivative(self, y, slope):
        slope.fill(1)


class ReLU(Activation):
    """Rectified linear unit.

    Formula: y = max(0, x); f'(x) = 1 where x > 0, else 0 (so 0 at the kink, as in PyTorch).

    Source: Nair and Hinton (2010), Rectified linear units improve restricted Boltzmann machines.
    """

    def _function(self, x, y):
        np.maximum(x, 0, out=y)

    def _derivative(self, y, slope):
        np.greater(y, 0, out=slope)


class LeakyReLU(Activation):
    """ReLU with a slope on the negative side.

    Formula: y = x where x > 0, else a·x; f'(x) = 1 where x > 0, else a (a at the kink, as in PyTorch).

    Arguments:
        negative_slope: a, at least 0 (a negative one would make y ambiguous).

    Source: Maas, Hannun, Ng (2013), Rectifier nonlinearities improve neural network acoustic models.
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        if not negative_slope >= 0:
            raise ValueError(f"LeakyReLU got negative_slope={negative_slope}, expected at least 0")
        self.negative_slope = negative_slope

    def _function(self, x, y):
        np.multiply(x, self.negative_slope, out=y)
        np.copyto(y, x, where=x > 0)

    def _derivative(self, y, slope):
        slope.fill(self.negative_slope)
        np.copyto(slope, 1, where=y > 0)

    def _describe(self) -> str:
        return f"negative_slope={self.negative_slope}"


class ELU(Activation):
    """Exponential linear unit.

    Formula: y = x where x > 0, else α(eˣ - 1); f'(x) = 1 where x > 0, else αeˣ = y + α.

    Arguments:
        alpha: α, above 0.

    Source: Clevert, Unterthiner, Hochreiter (2016), Fast and accurate deep network learning by ELUs, equations 15, 16.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        if not alpha > 0:
            raise ValueError(f"ELU got alpha={alpha}, expected more than 0")
        self.alpha = alpha

    def _function(self, x, y):
        np.minimum(x, 0, out=y)  # eˣ is taken on the negative side alone: it would overflow on the other
        np.expm1(y, out=y)
        if self.alpha != 1:
            y *= self.alpha
        np.copyto(y, x, where=x > 0)

    def _derivative(self, y, slope):
        np.add(y, self.alpha, out=slope)
        np.copyto(slope, 1, where=y > 0)

    def _describe(self) -> str:
        return f"alpha={self.alpha}"


class Sigmoid(Activation):
    """Logistic function.

    Formula: y = 1 / (1 + e⁻ˣ) = (1 + tanh(x/2)) / 2, which cannot overflow; f'(x) = y (1 - y).
    """

    def _function(self, x, y):
        np.multiply(x, 0.5, out=y)
        np.tanh(y, out=y)
        y += 1
        y *= 0.5

    def _derivative(self, y, slope):
        np.subtract(1, y, out=slope)
        slope *= y


class Tanh(Activation):
    """Hyperbolic tangent.

    Formula: y = tanh x; f'(x) = 1 - y².
    """

    def _function(self, x, y):
        np.tanh(x, out=y)

    def _derivative(self, y, slope):
        np.multiply(y, y, out=slope)
        np.subtract(1, slope, out=slope)
