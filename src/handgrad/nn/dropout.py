"""Dropout."""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Float, Inexact, Integer
from handgrad.nn.layer import Layer, check_gradient, computing_dtype


class Dropout(Layer):
    """Zeroes each element with probability p while training and scales the rest by 1/(1 - p); nothing when evaluating.

    Formula: y = x·m, dx = dy·m with m = 0 with probability p, else 1/(1 - p): the expectation of y is x.

    Arguments:
        p: probability in [0, 1).
        rng: where the masks are drawn from: a `numpy.random.Generator`, a seed, or None for unpredictable masks.

    Source: Srivastava et al. (2014), Dropout: a simple way to prevent neural networks from overfitting, section 10.
    """

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | int | None = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout got p={p}, expected a probability in [0, 1)")
        self.p = p
        self.rng = np.random.default_rng(rng)

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        y = self.work.empty("y", x.shape, computing_dtype(x))
        if not self.training or self.p == 0:
            self._keep(None, x.shape)
            y[...] = x
            return y
        # In float32, 1/(1 - p) would be off by 1e-8 for a float64 x.
        dtype = np.result_type(np.float32, np.finfo(x.dtype).dtype)
        mask = self.work.empty("mask", x.shape, dtype)
        draw_mask(self.rng, self.p, mask)
        self._keep(mask, x.shape)
        return np.multiply(x, mask, out=y)

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        mask, shape = self._recall()
        check_gradient(self, dy, shape)
        dx = self.work.empty("dx", dy.shape, dy.dtype)
        if mask is None:
            dx[...] = dy
            return dx
        return np.multiply(dy, mask, out=dx)

    def _describe(self) -> str:
        return f"p={self.p}"


def draw_mask(rng: np.random.Generator, p: float, out: Float[Array, "..."]) -> Float[Array, "..."]:
    """Fills `out` with a dropout mask: 0 with probability p, else 1/(1 - p).

    Four elements share the 64 bits of a draw, which takes half the time of a uniform number for each; so zeros come
    with the multiple of 2⁻¹⁶ next to p, and the expectation of the mask is 1 within 1e-5/(1 - p).
    """
    dropped = round(p * 2**16)
    np.greater_equal(draw_numbers(rng, out.size).reshape(out.shape), dropped, out=out)
    out *= 1 / (1 - p)
    return out


def draw_numbers(rng: np.random.Generator, n: int) -> Integer[Array, "n"]:
    """Numbers from 0 to 2¹⁶ - 1, all equally likely."""
    return rng.integers(0, 2**64 - 1, -(-n // 4), np.uint64, endpoint=True).view(np.uint16)[:n]
