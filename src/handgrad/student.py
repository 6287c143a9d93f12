"""Student's t distribution, by numerical integration: for tests over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from handgrad._typing import Array, Float

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


def integral(f: Callable[[Float[Array, "n"]], Float[Array, "n"]], low: float, high: float) -> float:
    """The integral of a smooth function from `low` to `high`, by Gauss-Legendre quadrature with 200 nodes."""
    half = (high - low) / 2
    return half * float(_WEIGHTS @ f(low + half * (_NODES + 1)))


def t_tail(t: float, df: float) -> float:
    """P(T > t) of Student's distribution.

    Formula, with t = √ν tan θ: P(T > t) = ∫ cos^(ν - 1) φ dφ from θ to π/2, divided by the integral from -π/2 to π/2,
    which is √π Γ(ν/2) / Γ((ν + 1)/2).

    Arguments:
        t: at least 0.
        df: ν, degrees of freedom, at least 1.

    Source: Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 26.7.1.
    """
    theta = math.atan(t / math.sqrt(df))
    # the integrand is negligible beyond about 40 standard deviations, 1/√ν
    end = min(math.pi / 2, theta + 40 / math.sqrt(df))
    whole = 0.5 * math.log(math.pi) + math.lgamma(df / 2) - math.lgamma((df + 1) / 2)
    return integral(lambda phi: np.cos(phi) ** (df - 1), theta, end) / math.exp(whole)


def t_quantile(tail: float, df: float) -> float:
    """The t with P(T > t) = `tail`, for a tail below 1/2."""
    low, high = 0.0, 1.0
    while t_tail(high, df) > tail:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, df) > tail else (low, middle)
        if high - low <= 1e-13 * high:
            break
    return (low + high) / 2
