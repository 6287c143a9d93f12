"""Activations: y = f(x) element by element, so dx = dy · f'(x).

The backward passes of the older ones are written in the forward's output y. GELU and SiLU are x times a gate between 0
and 1, and their slopes need both x and the gate.
"""

from __future__ import annotations

import math

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.arena import empty_like
from handgrad.nn.layer import Layer, check_gradient, computing_dtype
from handgrad.nn.memory import zeros
from handgrad.nn.special import erf


class Activation(Layer):
    """Base of the element-wise layers: a subclass writes f and its derivative, both into arrays it is given.

    The derivative is found from y = f(x), or from x where `keeps_input` says so.
    """

    keeps_input = False

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        y = self.work.plan(self._output, x)
        self._function(x, y)
        return y

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        (kept,) = self._recall()
        dx = self.work.plan(self._input_gradient, dy, kept)
        self._chain(kept, dy, dx)
        return dx

    def _output(self, x: np.ndarray) -> np.ndarray:
        y = empty_like(self.work, "y", x, computing_dtype(x))
        self._keep(x if self.keeps_input else y)
        return y

    def _input_gradient(self, dy: np.ndarray, kept: np.ndarray) -> np.ndarray:
        check_gradient(self, dy, kept.shape)
        return empty_like(self.work, "dx", dy)

    def _chain(self, kept: Inexact[Array, "*n"], dy: Inexact[Array, "*n"], dx: Inexact[Array, "*n"]) -> None:
        """Writes dy · f'(x) into `dx`."""
        self._derivative(kept, dx)
        dx *= dy

    def _function(self, x: Inexact[Array, "*n"], y: Inexact[Array, "*n"]) -> None:
        """Writes f(x) into `y`."""
        raise NotImplementedError

    def _derivative(self, y: Inexact[Array, "*n"], slope: Inexact[Array, "*n"]) -> None:
        """Writes f'(x), found from what was kept, into `slope`."""
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

    #: Whether the layer before has done the forward pass: set by `join_rectifiers`.
    rectified = False

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        if not self.rectified:
            return super().forward(x)
        self._keep(x)
        return x

    def _function(self, x, y):
        np.maximum(x, self.work.plan(self._zeros, x), out=y)

    def _derivative(self, y, slope):
        np.greater(y, 0, out=slope)

    def _zeros(self, x):
        return zeros_beside(x) if x.flags.c_contiguous else 0


def zeros_beside(x: np.ndarray) -> np.ndarray:
    """Zeros for `np.maximum`, which is several times as fast beside an array as beside a number, and faster yet beside
    one as large as `x`."""
    return zeros(x.shape if x.size <= 2**17 else x.shape[1:], x.dtype)


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
        # The larger (or smaller) of two arrays costs a fifth of copying where a mask says so: signs come by chance.
        np.multiply(x, self.negative_slope, out=y)
        (np.maximum if self.negative_slope <= 1 else np.minimum)(x, y, out=y)

    def _derivative(self, y, slope):
        np.greater(y, 0, out=slope)
        if self.negative_slope <= 1:
            np.maximum(slope, self.negative_slope, out=slope)
        else:
            np.copyto(slope, self.negative_slope, where=slope == 0)

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
        y += np.maximum(x, 0, out=self.work.empty("dx", x.shape, y.dtype))

    def _derivative(self, y, slope):
        np.minimum(y, 0, out=slope)
        slope += self.alpha
        if self.alpha != 1:
            np.copyto(slope, 1, where=y > 0)

    def _describe(self) -> str:
        return f"alpha={self.alpha}"


class Sigmoid(Activation):
    """Logistic function.

    Formula: y = 1 / (1 + e⁻ˣ) = (1 + tanh(x/2)) / 2, which cannot overflow; f'(x) = y (1 - y).
    """

    def _function(self, x, y):
        logistic(x, y)

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


class Softplus(Activation):
    """A smooth ReLU.

    Formula: y = log(1 + e^(βx)) / β = max(0, x) + log(1 + e^(-|βx|)) / β, which cannot overflow; f'(x) = σ(βx) with the
    logistic function σ. Where βx is above the threshold, y = x and f'(x) = 1.

    Arguments:
        beta: β, above 0: the larger, the closer to ReLU.
        threshold: where the curve is taken for the line.

    Source: Dugas et al. (2001), Incorporating second-order functional knowledge for better option pricing, equation 4.
    """

    keeps_input = True

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        if not beta > 0:
            raise ValueError(f"Softplus got beta={beta}, expected more than 0")
        self.beta = beta
        self.threshold = threshold

    def _function(self, x, y):
        np.minimum(x, -x, out=y)  # -|x|, also of a complex number
        y *= self.beta
        np.exp(y, out=y)
        np.log1p(y, out=y)
        y /= self.beta
        y += np.maximum(x, 0, out=self.work.empty("dx", x.shape, y.dtype))
        np.copyto(y, x, where=x > self.threshold / self.beta)

    def _derivative(self, y, slope):
        x = y
        logistic(x * self.beta, slope)
        np.copyto(slope, 1, where=x > self.threshold / self.beta)

    def _describe(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Gated(Layer):
    """Base of y = x·g(x), with a gate g between 0 and 1 that opens as x grows.

    Formula: dx = dy·(g(x) + x·g'(x))
    """

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        gate = self.work.empty("gate", x.shape, computing_dtype(x))
        y = self.work.empty("y", x.shape, gate.dtype)
        self._gate(x, gate)
        self._keep(x, gate)
        return np.multiply(x, gate, out=y)

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        x, gate = self._recall()
        check_gradient(self, dy, x.shape)
        dx = self.work.empty("dx", dy.shape, dy.dtype)
        self._gate_slope(x, gate, dx)
        dx *= x
        dx += gate
        dx *= dy
        return dx

    def _gate(self, x: Inexact[Array, "*n"], gate: Inexact[Array, "*n"]) -> None:
        """Writes g(x) into `gate`."""
        raise NotImplementedError

    def _gate_slope(self, x: Inexact[Array, "*n"], gate: Inexact[Array, "*n"], slope: Inexact[Array, "*n"]) -> None:
        """Writes g'(x) into `slope`."""
        raise NotImplementedError


class SiLU(Gated):
    """Sigmoid linear unit, also called swish.

    Formula: y = x·σ(x), σ(x) = 1 / (1 + e⁻ˣ); f'(x) = σ(x) + x·σ(x) (1 - σ(x)).

    Source: Elfwing, Uchibe, Doya (2018), Sigmoid-weighted linear units for neural network function approximation in
    reinforcement learning, equations 6 and 7.
    """

    def _gate(self, x, gate):
        logistic(x, gate)

    def _gate_slope(self, x, gate, slope):
        np.subtract(1, gate, out=slope)
        slope *= gate


class GELU(Gated):
    """Gaussian error linear unit: x times the share of a standard normal distribution that lies below x.

    Formula, exact: y = x·Φ(x), Φ(x) = (1 + erf(x/√2)) / 2; f'(x) = Φ(x) + x·φ(x), φ(x) = e^(-x²/2) / √(2π).
    By tanh: y = x·g(x), g(x) = (1 + tanh u) / 2, u = √(2/π) (x + 0.044715 x³);
    f'(x) = g + 2x·g (1 - g)·u', u' = √(2/π) (1 + 3·0.044715 x²). The two differ by 5e-4 at most.

    Arguments:
        approximate: `"tanh"` or `"none"`, the exact form, whose erf is `handgrad.nn.special.erf`.

    Source: Hendrycks and Gimpel (2016), Gaussian error linear units, section 2.
    """

    def __init__(self, approximate: str = "tanh") -> None:
        if approximate not in ("tanh", "none"):
            raise ValueError(f"GELU got approximate={approximate!r}, expected 'tanh' or 'none', the exact form")
        self.approximate = approximate

    def _gate(self, x, gate):
        if self.approximate == "none":
            erf(x * math.sqrt(0.5), gate)
        else:
            inner = np.clip(x, -_FLAT, _FLAT, out=self.work.empty("inner", x.shape, gate.dtype))
            np.multiply(inner, inner, out=gate)
            gate *= _CUBIC * _SCALE
            gate += _SCALE
            gate *= inner
            np.tanh(gate, out=gate)
        gate += 1
        gate *= 0.5

    def _gate_slope(self, x, gate, slope):
        # Clipped, because the square of a huge x overflows; out there the slope of the gate is 0 either way.
        if self.approximate == "none":
            np.clip(x, -40, 40, out=slope)
            slope *= slope
            slope *= -0.5
            np.exp(slope, out=slope)
            slope *= 1 / math.sqrt(2 * math.pi)
            return
        np.clip(x, -_FLAT, _FLAT, out=slope)
        slope *= slope
        slope *= 6 * _CUBIC * _SCALE
        slope += 2 * _SCALE
        slope *= gate
        slope *= np.subtract(1, gate, out=self.work.empty("inner", gate.shape, gate.dtype))

    def _describe(self) -> str:
        return f"approximate={self.approximate!r}"


_SCALE, _CUBIC = math.sqrt(2 / math.pi), 0.044715
#: From here on tanh u is 1 to the last digit of float64.
_FLAT = 10


def logistic(x: Inexact[Array, "*n"], out: Inexact[Array, "*n"]) -> None:
    """Writes 1 / (1 + e⁻ˣ) = (1 + tanh(x/2)) / 2 into `out`."""
    np.multiply(x, 0.5, out=out)
    np.tanh(out, out=out)
    out += 1
    out *= 0.5
