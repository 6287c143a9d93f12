"""Dropout."""

from __future__ import annotations

import math

import numpy as np

from handgrad._typing import Array, Float, Inexact, Integer
from handgrad.nn.layer import Layer, check_gradient, computing_dtype


class Dropout(Layer):
    """In training mode, zeroes each element with probability p and scales the others by 1/(1 - p).

    Formula: y = x·m, dx = dy·m with m = 0 with probability p, else 1/(1 - p): the expectation of y is x.

    Arguments:
        p: probability in [0, 1).
        rng: source of the masks: a `numpy.random.Generator`, a seed, or None for unpredictable masks.

    Source: Srivastava et al. (2014), Dropout: a simple way to prevent neural networks from overfitting, section 10.
    """

    options = ("p",)

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | int | None = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout got p={p}, expected a probability in [0, 1)")
        self.p = p
        self.rng = np.random.default_rng(rng)

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        dtype = computing_dtype(x)
        mask = None
        if self.training and self.p > 0:
            # In float32, 1/(1 - p) would be off by 1e-8 for a float64 x.
            mask = draw_mask(self.rng, self.p, x.shape, np.result_type(np.float32, np.finfo(dtype).dtype))
        self._keep(mask, x.shape)
        return x.copy() if mask is None else (x * mask).astype(dtype, copy=False)

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        mask, shape = self._recall()
        check_gradient(self, dy, shape)
        return dy.copy() if mask is None else (dy * mask).astype(dy.dtype, copy=False)


def draw_mask(
    rng: np.random.Generator, p: float, shape: tuple[int, ...], dtype: np.dtype | type = np.float32
) -> Float[Array, "..."]:
    """A dropout mask: 0 with probability p, else 1/(1 - p).

    Four elements share the 64 bits of a draw, which halves the time of one uniform number per element. The probability
    of a zero is the multiple of 2⁻¹⁶ nearest to p, and the expectation of the mask is 1 within 1e-5/(1 - p).
    """
    draws = draw_numbers(rng, math.prod(shape)).reshape(shape)
    return (draws >= round(p * 2**16)).astype(dtype) * np.asarray(1 / (1 - p), dtype)


def draw_numbers(rng: np.random.Generator, n: int) -> Integer[Array, "n"]:
    """Uniformly distributed integers from 0 to 2¹⁶ - 1."""
    return rng.integers(0, 2**64 - 1, -(-n // 4), np.uint64, endpoint=True).view(np.uint16)[:n]
