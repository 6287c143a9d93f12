"""Initialisers: objects that draw a weight of a given shape from a given generator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from handgrad._typing import Array, Float


@runtime_checkable
class Initializer(Protocol):
    """Draws an array of `shape`; the first axis is the output axis, the others are the inputs of a unit."""

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Float[Array, "..."]: ...


@dataclass(frozen=True)
class Zeros:
    """Sets every weight to 0: for biases, and to demonstrate that a network of zeros cannot learn."""

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Float[Array, "..."]:
        return np.zeros(shape)


@dataclass(frozen=True)
class Normal:
    """Independent draws from N(0, std²), with std above 0."""

    std: float

    def __post_init__(self) -> None:
        if not 0 < self.std < math.inf:
            raise ValueError(f"normal got std={self.std}, expected a number above 0, as in normal:1e-4")

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Float[Array, "..."]:
        return self.std * rng.standard_normal(shape)


@dataclass(frozen=True)
class Uniform:
    """Independent uniform draws from -limit to limit, with limit above 0; the standard deviation is limit/√3."""

    limit: float

    def __post_init__(self) -> None:
        if not 0 < self.limit < math.inf:
            raise ValueError(f"uniform got limit={self.limit}, expected a number above 0, as in uniform:0.05")

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Float[Array, "..."]:
        return rng.uniform(-self.limit, self.limit, shape)


@dataclass(frozen=True)
class Kaiming:
    """N(0, gain²/fan_in): preserves the variance of the activations from layer to layer.

    Arguments:
        gain: √2 for ReLU, √(2/(1 + a²)) for a leaky ReLU of slope a, 1 for a linear layer; see `architectures.gain_of`
            for others.

    Source: He, Zhang, Ren, Sun (2015), Delving deep into rectifiers, equations 10 and 15.
    """

    gain: float = math.sqrt(2)

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Float[Array, "..."]:
        return self.gain / math.sqrt(fans(shape)[0]) * rng.standard_normal(shape)


@dataclass(frozen=True)
class KaimingUniform(Kaiming):
    """Uniform draws with the variance of `Kaiming`: between ±√3·gain/√fan_in. (PyTorch's default for the weight of
    `Linear` has a gain of 1/√3.)"""

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Float[Array, "..."]:
        return Uniform(self.gain * math.sqrt(3 / fans(shape)[0]))(shape, rng)


@dataclass(frozen=True)
class Xavier:
    """N(0, 2·gain²/(fan_in + fan_out)): a compromise between preserving the variance of activations and of gradients.

    Arguments:
        gain: as for `Kaiming`; 1 in the source.

    Source: Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks,
    equations 12 and, for the uniform form, 16.
    """

    gain: float = 1.0

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Float[Array, "..."]:
        return self.gain * math.sqrt(2 / sum(fans(shape))) * rng.standard_normal(shape)


@dataclass(frozen=True)
class XavierUniform(Xavier):
    """Uniform draws with the variance of `Xavier`: between ±gain·√(6/(fan_in + fan_out))."""

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Float[Array, "..."]:
        return Uniform(self.gain * math.sqrt(6 / sum(fans(shape))))(shape, rng)


@dataclass(frozen=True)
class Orthogonal:
    """A random matrix whose rows (or columns, if there are fewer) are orthogonal and have length gain.

    Formula: W = gain·Q from the QR decomposition of a standard normal matrix, each column of Q times the sign of R's
    diagonal, so that all orthogonal matrices are equally likely. The weight of a convolution (K, C, kh, kw) is treated
    as a matrix (K, C·kh·kw).

    Arguments:
        gain: as for `Kaiming`; 1 preserves lengths.

    Source: Saxe, McClelland, Ganguli (2014), Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks, section 3; Mezzadri (2007), How to generate random matrices from the classical compact groups,
    section 5 (the signs).
    """

    gain: float = 1.0

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> Float[Array, "..."]:
        rows, columns = shape[0], math.prod(shape[1:])
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """The fan-in and fan-out of a weight of this shape: (K, D), or (K, C, kh, kw) for a convolution, where every
    input is used at all positions of the kernel."""
    return math.prod(shape[1:]), shape[0] * math.prod(shape[2:])


#: Initialisers that take the gain of the following activation.
_WITH_GAIN = {
    "kaiming": Kaiming,
    "kaiming_uniform": KaimingUniform,
    "xavier": Xavier,
    "xavier_uniform": XavierUniform,
    "orthogonal": Orthogonal,
}
#: Initialisers that take a number, with the meaning of the number.
_WITH_NUMBER = {
    "normal": (Normal, "a standard deviation, as in normal:1e-4"),
    "uniform": (Uniform, "a limit, as in uniform:0.05"),
}
#: Initialisers without an argument. `pytorch` is the default of `Linear` and `Conv2d` in PyTorch.
_WITH_NOTHING = {"pytorch": KaimingUniform(1 / math.sqrt(3)), "zeros": Zeros()}

#: Description of what `parse_initializer` accepts.
INITIALIZERS = (
    f"{', '.join(_WITH_GAIN)}, normal:STD (as in normal:1e-4), uniform:LIMIT (as in uniform:0.05), pytorch or zeros"
)


def parse_initializer(init: str | Initializer, *, gain: float = math.sqrt(2)) -> Initializer:
    """The initialiser with this name; an initialiser is returned unchanged.

    Arguments:
        init: `kaiming`, `kaiming_uniform`, `xavier`, `xavier_uniform`, `orthogonal`, `normal:STD`, `uniform:LIMIT`,
            `pytorch` (between ±1/√fan_in) or `zeros`.
        gain: for initialisers that take one.

    Raises:
        ValueError: unknown initialiser.
    """
    if not isinstance(init, str):
        return init
    name, _, argument = init.partition(":")
    if name in _WITH_NUMBER:
        make, expected = _WITH_NUMBER[name]
        try:
            number = float(argument)
        except ValueError:
            raise ValueError(f"init={init!r}: expected {expected}") from None
        return make(number)
    if init in _WITH_GAIN:
        return _WITH_GAIN[init](gain)
    if init in _WITH_NOTHING:
        return _WITH_NOTHING[init]
    raise ValueError(f"init={init!r} is unknown: expected {INITIALIZERS}")
