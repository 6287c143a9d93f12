"""Kernels of activations: f and f' are written to reused memory."""

from __future__ import annotations

import math

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact
from handgrad.kernels.arena import empty_like
from handgrad.kernels.kernel import Kernel, kernel_of
from handgrad.kernels.memory import zeros
from handgrad.nn.activations import FLAT, A, B
from handgrad.nn.layer import check_gradient, computing_dtype
from handgrad.special import erf, logistic_limit


class ActivationKernel(Kernel):
    """Base class of elementwise kernels: a subclass writes f and its derivative to given arrays.

    The derivative is computed from y = f(x), or from x if `keeps_input` is set.
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
        check_gradient(self.layer, dy, kept.shape)
        return empty_like(self.work, "dx", dy)

    def _chain(self, kept: Inexact[Array, "*n"], dy: Inexact[Array, "*n"], dx: Inexact[Array, "*n"]) -> None:
        """Writes dy · f'(x) into `dx`."""
        self._derivative(kept, dx)
        dx *= dy

    def _function(self, x: Inexact[Array, "*n"], y: Inexact[Array, "*n"]) -> None:
        """Writes f(x) into `y`."""
        raise NotImplementedError

    def _derivative(self, y: Inexact[Array, "*n"], slope: Inexact[Array, "*n"]) -> None:
        """Writes f'(x), computed from the stored array, into `slope`."""
        raise NotImplementedError


@kernel_of(nn.Identity)
class IdentityKernel(ActivationKernel):
    layer: nn.Identity

    def _function(self, x, y):
        y[...] = x

    def _derivative(self, y, slope):
        slope.fill(1)


@kernel_of(nn.ReLU)
class ReLUKernel(ActivationKernel):
    layer: nn.ReLU

    #: Whether the previous layer has done the forward pass: see `kernels.sequential`.
    relu_fused = False

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        if not self.relu_fused:
            return super().forward(x)
        self._keep(x)
        return x

    def _function(self, x, y):
        np.maximum(x, self.work.plan(self._zeros, x), out=y)

    def _derivative(self, y, slope):
        np.greater(y, 0, out=slope)

    def _zeros(self, x):
        return zeros_like_rows(x) if x.flags.c_contiguous else 0


def zeros_like_rows(x: np.ndarray) -> np.ndarray:
    """Zeros for `np.maximum`, which is several times as fast with an array as with a scalar, and fastest with one of
    the shape of `x`."""
    return zeros(x.shape if x.size <= 2**17 else x.shape[1:], x.dtype)


@kernel_of(nn.LeakyReLU)
class LeakyReLUKernel(ActivationKernel):
    layer: nn.LeakyReLU

    def _function(self, x, y):
        # The maximum (or minimum) of two arrays takes a fifth of the time of a masked copy, because signs are random.
        np.multiply(x, self.layer.negative_slope, out=y)
        (np.maximum if self.layer.negative_slope <= 1 else np.minimum)(x, y, out=y)

    def _derivative(self, y, slope):
        np.greater(y, 0, out=slope)
        if self.layer.negative_slope <= 1:
            np.maximum(slope, self.layer.negative_slope, out=slope)
        else:
            np.copyto(slope, self.layer.negative_slope, where=slope == 0)


@kernel_of(nn.ELU)
class ELUKernel(ActivationKernel):
    layer: nn.ELU

    def _function(self, x, y):
        np.minimum(x, 0, out=y)  # eˣ is computed only for negative inputs, because it would overflow for positive ones
        np.expm1(y, out=y)
        if self.layer.alpha != 1:
            y *= self.layer.alpha
        y += np.maximum(x, 0, out=self.work.empty("dx", x.shape, y.dtype))

    def _derivative(self, y, slope):
        np.minimum(y, 0, out=slope)
        slope += self.layer.alpha
        if self.layer.alpha != 1:
            np.copyto(slope, 1, where=y > 0)


@kernel_of(nn.Sigmoid)
class SigmoidKernel(ActivationKernel):
    layer: nn.Sigmoid

    def _function(self, x, y):
        logistic(x, y, self.work.empty("dx", x.shape, y.dtype))

    def _derivative(self, y, slope):
        np.subtract(1, y, out=slope)
        slope *= y


@kernel_of(nn.Tanh)
class TanhKernel(ActivationKernel):
    layer: nn.Tanh

    def _function(self, x, y):
        np.tanh(x, out=y)

    def _derivative(self, y, slope):
        np.multiply(y, y, out=slope)
        np.subtract(1, slope, out=slope)


@kernel_of(nn.Softplus)
class SoftplusKernel(ActivationKernel):
    layer: nn.Softplus

    keeps_input = True

    def _function(self, x, y):
        np.minimum(x, -x, out=y)  # -|x|, also for complex numbers
        y *= self.layer.beta
        np.exp(y, out=y)
        np.log1p(y, out=y)
        y /= self.layer.beta
        y += np.maximum(x, 0, out=self.work.empty("dx", x.shape, y.dtype))
        np.copyto(y, x, where=x > self.layer.threshold / self.layer.beta)

    def _derivative(self, y, slope):
        x = y
        logistic(x * self.layer.beta, slope, np.empty_like(slope))
        np.copyto(slope, 1, where=x > self.layer.threshold / self.layer.beta)


class GatedKernel(Kernel):
    """Base class of y = x·g(x), with a gate g between 0 and 1: dx = dy·(g(x) + x·g'(x))."""

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        gate = self.work.empty("gate", x.shape, computing_dtype(x))
        y = self.work.empty("y", x.shape, gate.dtype)
        self._gate(x, gate)
        self._keep(x, gate)
        return np.multiply(x, gate, out=y)

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        x, gate = self._recall()
        check_gradient(self.layer, dy, x.shape)
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


@kernel_of(nn.SiLU)
class SiLUKernel(GatedKernel):
    layer: nn.SiLU

    def _gate(self, x, gate):
        logistic(x, gate, self.work.empty("y", x.shape, gate.dtype))

    def _gate_slope(self, x, gate, slope):
        np.subtract(1, gate, out=slope)
        slope *= gate


@kernel_of(nn.GELU)
class GELUKernel(GatedKernel):
    layer: nn.GELU

    def _gate(self, x, gate):
        if self.layer.approximate == "none":
            gate[...] = erf(x * math.sqrt(0.5))
            gate += 1
            gate *= 0.5
            return
        inner = np.clip(x, -FLAT, FLAT, out=self.work.empty("inner", x.shape, gate.dtype))
        np.multiply(inner, inner, out=gate)
        gate *= B
        gate += A
        gate *= inner
        logistic(gate, gate, inner)

    def _gate_slope(self, x, gate, slope):
        # Clipped, because the square of a huge x overflows; the slope of the gate is 0 there anyway.
        if self.layer.approximate == "none":
            np.clip(x, -40, 40, out=slope)
            slope *= slope
            slope *= -0.5
            np.exp(slope, out=slope)
            slope *= 1 / math.sqrt(2 * math.pi)
            return
        np.clip(x, -FLAT, FLAT, out=slope)
        slope *= slope
        slope *= 3 * B
        slope += A
        slope *= gate
        slope *= np.subtract(1, gate, out=self.work.empty("inner", gate.shape, gate.dtype))


def logistic(x: Inexact[Array, "*n"], out: Inexact[Array, "*n"], scratch: Inexact[Array, "*n"]) -> None:
    """Writes eˣ / (1 + eˣ) into `out` (which may be `x`); `scratch` is overwritten."""
    np.minimum(x, logistic_limit(out.dtype), out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=scratch)
    np.divide(out, scratch, out=out)
