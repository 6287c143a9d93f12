"""Activations with a `state`, the forward output, from which `derivative()` is computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact
from handgrad.courses.live import floating


class Activation:
    """Base class of activations: `forward(x)`, `derivative()`, and `state`, None before the first forward."""

    def __init__(self) -> None:
        self.state: Any = None

    def __call__(self, x: Any) -> Any:
        return self.forward(x)

    def forward(self, x: Any) -> Any:
        raise NotImplementedError

    def derivative(self) -> Any:
        raise NotImplementedError


class Identity(Activation):
    """f(z) = z, f'(z) = 1.0."""

    def forward(self, x: Any) -> Any:
        self.state = x
        return x

    def derivative(self) -> float:
        return 1.0


class _Elementwise(Activation):
    """An activation of `handgrad.nn` whose derivative is computed from the output, the `state` of the course."""

    layer: type[nn.Sigmoid | nn.Tanh | nn.ReLU]

    def forward(self, x: Any) -> Inexact[Array, "..."]:
        x = floating(x)
        self.state = self.layer().forward(np.atleast_1d(x)).reshape(x.shape)
        return self.state

    def derivative(self) -> Inexact[Array, "..."]:
        if self.state is None:
            raise RuntimeError(
                f"{type(self).__name__}.derivative was called before forward: state is None, call forward(x) first"
            )
        state = floating(self.state)
        return np.asarray(self.layer().derivative(state, state), state.dtype)


class Sigmoid(_Elementwise):
    """f(z) = 1 / (1 + e⁻ᶻ), f' = f (1 - f)."""

    layer = nn.Sigmoid


class Tanh(_Elementwise):
    """f(z) = tanh z, f' = 1 - f²."""

    layer = nn.Tanh


class ReLU(_Elementwise):
    """f(z) = max(0, z), f' = 1 where the output is above 0, else 0.

    The handout's formula has f'(0) = 1. The output 0 does not distinguish z = 0 from a negative z, so the derivative is
    0 there.
    """

    layer = nn.ReLU
