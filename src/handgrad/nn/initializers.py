"""Initial weights: objects that draw a weight of a given shape from a given generator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from handgrad._typing import Array, Float


@runtime_checkable
class Initializer(Protocol):
    """Draws an array of `shape`, the first axis being the outputs and the rest the inputs of a unit."""

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Float[Array, "..."]: ...


@dataclass(frozen=True)
class Zeros:
    """Every weight 0: for biases, and to see that a network of zeros cannot learn."""

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Float[Array, "..."]:
        return np.zeros(shape)


@dataclass(frozen=True)
class Normal:
    """Independent draws from N(0, std²).

    Arguments:
        std: standard deviation, above 0.
    """

    std: float

    def __post_init__(self) -> None:
        if not 0 < self.std < math.inf:
            raise ValueError(f"normal got std={self.std}, expected a number above 0, as in normal:1e-4")

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Float[Array, "..."]:
        return self.std * rng.standard_normal(shape)


@dataclass(frozen=True)
class Kaiming:
    """N(0, gain²/fan_in): keeps the variance of the activations from layer to layer.

    Arguments:
        gain: √2 for ReLU, √(2/(1 + a²)) for a leaky ReLU of slope a, 1 for a linear layer.

    Source: He, Zhang, Ren, Sun (2015), Delving deep into rectifiers, equations 10 and 15.
    """

    gain: float = math.sqrt(2)

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Float[Array, "..."]:
        fan_in = math.prod(shape[1:])
        return self.gain / math.sqrt(fan_in) * rng.standard_normal(shape)


def parse_initializer(init: str | Initializer, *, gain: float = math.sqrt(2)) -> Initializer:
    """The initialiser that a text names: `kaiming`, `normal:STD` or `zeros`; an initialiser is returned as it is.

    Arguments:
        gain: what `kaiming` takes for its gain.

    Raises:
        ValueError: the text names no initialiser.
    """
    if not isinstance(init, str):
        return init
    name, _, argument = init.partition(":")
    if name == "normal":
        try:
            return Normal(float(argument))
        except ValueError as error:
            if argument and "expected" in str(error):
                raise
            raise ValueError(f"init={init!r}: expected a standard deviation, as in normal:1e-4") from None
    if not argument:
        if name == "kaiming":
            return Kaiming(gain)
        if name == "zeros":
            return Zeros()
    raise ValueError(f"init={init!r} is unknown: expected kaiming, normal:STD (as in normal:1e-4) or zeros")
