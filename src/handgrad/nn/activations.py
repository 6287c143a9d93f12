"""Activations: y = f(x) elementwise, so dx = dy · f'(x)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.layer import Layer, check_gradient, computing_dtype
from handgrad.special import erf, logistic


class Activation(Layer):
    """Base class of activations.

    A subclass implements y = `function(x)`, a new array, and f'(x) = `derivative(x, y)`, in terms of x or y.
    """

    function: Callable
    derivative: Callable

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        computing_dtype(x)
        y = self.function(x)
        self._keep(x, y)
        return y

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        x, y = self._recall()
        check_gradient(self, dy, y.shape)
        return dy * self.derivative(x, y)


class Identity(Activation):
    """y = x, dx = dy (as copies, because layers return new arrays)."""

    def function(self, x):
        return x.copy()

    def derivative(self, x, y):
        return np.ones_like(y)


class ReLU(Activation):
    """Rectified linear unit.

    Formula: y = max(0, x); f'(x) = 1 where x > 0, else 0 (so 0 at the kink, as in PyTorch).

    Source: Nair and Hinton (2010), Rectified linear units improve restricted Boltzmann machines.
    """

    def function(self, x):
        return np.maximum(x, np.zeros_like(x))  # NumPy is several times as fast with an array as with a scalar

    def derivative(self, x, y):
        return y > 0


class LeakyReLU(Activation):
    """ReLU with a slope for negative inputs.

    Formula: y = x where x > 0, else a·x; f'(x) = 1 where x > 0, else a (a at the kink, as in PyTorch).

    Arguments:
        negative_slope: a, at least 0.

    Source: Maas, Hannun, Ng (2013), Rectifier nonlinearities improve neural network acoustic models.
    """

    options = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01) -> None:
        if not negative_slope >= 0:
            raise ValueError(f"LeakyReLU got negative_slope={negative_slope}, expected at least 0")
        self.negative_slope = negative_slope

    def function(self, x):
        a = self.negative_slope
        return np.maximum(x, a * x) if a <= 1 else np.minimum(x, a * x)

    def derivative(self, x, y):
        a, positive = self.negative_slope, (x > 0).astype(y.dtype)
        return np.maximum(positive, a) if a <= 1 else a - (a - 1) * positive


class ELU(Activation):
    """Exponential linear unit.

    Formula: y = x where x > 0, else α(eˣ - 1); f'(x) = 1 where x > 0, else αeˣ = y + α.

    Arguments:
        alpha: α, above 0.

    Source: Clevert, Unterthiner, Hochreiter (2016), Fast and accurate deep network learning by ELUs, equations 15, 16.
    """

    options = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        if not alpha > 0:
            raise ValueError(f"ELU got alpha={alpha}, expected more than 0")
        self.alpha = alpha

    def function(self, x):
        y = self.alpha * np.expm1(np.minimum(x, 0))
        return np.maximum(x, y) if self.alpha <= 1 else np.maximum(x, 0) + y  # one of the two terms is 0

    def derivative(self, x, y):
        slope = np.minimum(y, 0) + self.alpha  # y + α, and α where x > 0
        return slope if self.alpha == 1 else np.where(x > 0, 1, slope)


class Sigmoid(Activation):
    """Logistic function.

    Formula: y = 1 / (1 + e⁻ˣ) = eˣ / (1 + eˣ); f'(x) = y (1 - y).
    """

    def function(self, x):
        return logistic(x)

    def derivative(self, x, y):
        return y * (1 - y)


class Tanh(Activation):
    """Hyperbolic tangent.

    Formula: y = tanh x; f'(x) = 1 - y².
    """

    def function(self, x):
        return np.tanh(x)

    def derivative(self, x, y):
        return 1 - y * y


class Softplus(Activation):
    """A smooth ReLU.

    Formula: y = log(1 + e^(βx)) / β = max(0, x) + log(1 + e^(-|βx|)) / β, which cannot overflow; f'(x) = σ(βx) with the
    logistic function σ. If βx is above the threshold, y = x and f'(x) = 1.

    Arguments:
        beta: β, above 0; larger values are closer to ReLU.
        threshold: value of βx above which the function is treated as linear.

    Source: Dugas et al. (2001), Incorporating second-order functional knowledge for better option pricing, equation 4.
    """

    options = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        if not beta > 0:
            raise ValueError(f"Softplus got beta={beta}, expected more than 0")
        self.beta, self.threshold = beta, threshold

    def function(self, x):
        z = self.beta * x
        y = np.maximum(z, 0) + np.log1p(np.exp(np.minimum(z, -z)))  # -|z|, also for complex numbers
        y /= self.beta
        np.copyto(y, x, where=z > self.threshold)
        return y

    def derivative(self, x, y):
        slope = logistic(self.beta * x)
        np.copyto(slope, 1, where=self.beta * x > self.threshold)
        return slope


class Gated(Activation):
    """Base class of y = x·g(x) with a gate g between 0 and 1: dx = dy·(g + x·g'). The gate is stored for backward."""

    gate: Callable
    gate_slope: Callable

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        computing_dtype(x)
        gate = self.gate(x)
        self._keep(x, gate)
        return x * gate

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        x, gate = self._recall()
        check_gradient(self, dy, x.shape)
        slope = x * self.gate_slope(x, gate)
        slope += gate
        return dy * slope


class SiLU(Gated):
    """Sigmoid linear unit, also called swish.

    Formula: y = x·σ(x), σ(x) = 1 / (1 + e⁻ˣ); f'(x) = σ(x) + x·σ(x) (1 - σ(x)).

    Source: Elfwing, Uchibe, Doya (2018), Sigmoid-weighted linear units, equations 6 and 7.
    """

    def gate(self, x):
        return logistic(x)

    def gate_slope(self, x, gate):
        return gate * (1 - gate)


class GELU(Gated):
    """Gaussian error linear unit: x times the probability that a standard normal variable is below x.

    Formula, exact: y = x·Φ(x), Φ(x) = (1 + erf(x/√2)) / 2; f'(x) = Φ(x) + x·φ(x), φ(x) = e^(-x²/2) / √(2π).
    Tanh approximation: y = x·g(x), g(x) = (1 + tanh u) / 2 = σ(2u), 2u = a x + b x³ with a = 2√(2/π), b = 0.044715 a;
    f'(x) = g + x·g (1 - g) (a + 3b x²). The two differ by at most 5e-4.

    Arguments:
        approximate: `"none"` for the exact form (with `handgrad.special.erf`), or `"tanh"`.

    Source: Hendrycks and Gimpel (2016), Gaussian error linear units, section 2.
    """

    options = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("tanh", "none"):
            raise ValueError(f"GELU got approximate={approximate!r}, expected 'none' (the exact form) or 'tanh'")
        self.approximate = approximate

    def gate(self, x):
        if self.approximate == "none":
            return (1 + erf(x * math.sqrt(0.5))) * 0.5
        x = np.clip(x, -FLAT, FLAT)
        return logistic(x * (A + B * (x * x)))

    def gate_slope(self, x, gate):
        if self.approximate == "none":
            x = np.clip(x, -40, 40)  # the square of a huge x would overflow; φ is 0 there anyway
            return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        x = np.clip(x, -FLAT, FLAT)
        return gate * (1 - gate) * (A + 3 * B * x * x)


#: Constants of the tanh approximation, the limit beyond which its gate is 0 or 1 in float64, and a and b.
SCALE, CUBIC, FLAT = math.sqrt(2 / math.pi), 0.044715, 22
A, B = 2 * SCALE, 2 * SCALE * CUBIC
