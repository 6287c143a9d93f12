"""Numerical derivatives: a hand-in only returns the values of its function, at points drawn here.

The differences are central, over three steps, and extrapolated twice: (16 R' - R) / 15 with R = (4 D(h/2) - D(h)) / 3
and R' the same for h/2 and h/4. They are checked against each other: if R and R' differ, or if the values at the points
do not surround the value in the middle, there is no derivative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STEP = 2e-3
STEPS = (STEP, STEP / 2, STEP / 4)
#: How often the middle point occurs among the others.
REPEATED = 2


@dataclass(frozen=True)
class Sweep:
    """All points around an array `x` required for its derivative, in a secret order.

    Arguments:
        x: the middle point.
        rows: the points, (count, *x.shape), shuffled.
        order: their unshuffled positions: the middle, then for each entry and step the pair above and below.
        steps: the distances.
    """

    x: np.ndarray
    rows: np.ndarray
    order: np.ndarray
    steps: tuple[float, ...]

    @classmethod
    def around(cls, x: np.ndarray, random: np.random.Generator, scale: float = 1.0) -> Sweep:
        x = np.asarray(x, dtype=float)
        steps = tuple(step * scale for step in STEPS)
        moves = np.array([sign * step for step in steps for sign in (1, -1)])
        rows = np.repeat(x.reshape(1, -1), REPEATED + x.size * len(moves), axis=0)
        for entry in range(x.size):
            begin = REPEATED + entry * len(moves)
            rows[begin : begin + len(moves), entry] += moves
        order = random.permutation(len(rows))
        return cls(x, rows[order].reshape(-1, *x.shape), order, steps)

    def jacobian(self, found: np.ndarray | None, y: np.ndarray) -> np.ndarray | None:
        """(entries of x, entries of y) from the values at `rows`; None if they determine no derivative."""
        if found is None or found.shape != (len(self.rows), *np.shape(y)) or found.dtype.kind not in "biuf":
            return None
        values = np.empty((len(self.rows), np.size(y)))
        values[self.order] = found.reshape(len(self.rows), -1)
        middle = np.asarray(y, dtype=float).ravel()
        scale = max(np.abs(middle).max(initial=0), 1e-8)
        if not np.isfinite(values).all() or np.abs(values[:REPEATED] - middle).max(initial=0) > 1e-9 * scale:
            return None
        return extrapolated(values[REPEATED:], middle, self.steps)


def amounts(scale: float = 1.0) -> list[float]:
    """The amounts by which `nudge` changes an entry, in the order that `nudged` expects."""
    return [sign * step * scale for step in STEPS for sign in (1, -1)]


def nudged(found: np.ndarray | None, size: int, y: np.ndarray) -> np.ndarray | None:
    """(size, entries of y) from the results of `nudge` for an array of that many entries."""
    if found is None or found.shape != (size * 2 * len(STEPS), *np.shape(y)) or found.dtype.kind not in "biuf":
        return None
    values = found.reshape(len(found), -1).astype(float)
    return extrapolated(values, np.asarray(y, dtype=float).ravel(), STEPS) if np.isfinite(values).all() else None


def extrapolated(values: np.ndarray, middle: np.ndarray, steps: tuple[float, ...]) -> np.ndarray | None:
    """The derivative from pairs (entries * steps * 2, outputs)."""
    pairs = values.reshape(-1, len(steps), 2, values.shape[-1])
    above, below = pairs[:, :, 0], pairs[:, :, 1]
    size = max(np.abs(values).max(initial=0), np.abs(middle).max(initial=0), 1e-8)
    bend = (above + below) / 2 - middle  # a quarter for half the step, except for terms of fourth order
    far = np.abs(bend[:, 0]).max(initial=0)
    if np.abs(4 * bend[:, 2] - bend[:, 1]).max(initial=0) > 1e-4 * far + 1e-9 * size:
        return None
    coarse, usual, fine = ((above - below) / (2 * np.array(steps)[None, :, None])).swapaxes(0, 1)
    one, two = (4 * usual - coarse) / 3, (4 * fine - usual) / 3
    slope = max(np.abs(two).max(initial=0), 1e-8)
    if np.abs(one - two).max(initial=0) > 1e-5 * slope + 1e-9 * size:
        return None
    return (16 * two - one) / 15
