"""Whether one configuration beats another, judged by its runs with different seeds.

NumPy and the standard library alone: the distributions are integrated numerically.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from handgrad.errors import ConfigError

#: Seeds of each configuration below which nothing is said: with two a standard deviation is hardly known (its own 95%
#: interval reaches from half of it to 32 times it), and the interval of a difference is too wide to be of use.
FEWEST_SEEDS = 3
#: Probability of calling a difference real where there is none, over all comparisons of a table together.
ALPHA = 0.05
#: Probability with which the recommended number of seeds would show a difference as large as the one seen.
POWER = 0.8
#: Numbers of seeds that are tried, at most.
MOST_SEEDS = 10_000

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


def _integral(f, low: float, high: float) -> float:
    half = (high - low) / 2
    return half * float(_WEIGHTS @ f(low + half * (_NODES + 1)))


def t_tail(t: float, df: float) -> float:
    """P(T > t) of Student's distribution.

    Formula, with t = √ν tan θ: P(T > t) = ∫ cos^(ν - 1) φ dφ from θ to π/2, by the integral from -π/2 to π/2, which is
    √π Γ(ν/2) / Γ((ν + 1)/2).

    Arguments:
        t: at least 0.
        df: ν, degrees of freedom, at least 1.

    Source: Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 26.7.1.
    """
    theta = math.atan(t / math.sqrt(df))
    # the integrand falls to nothing within some 40 standard deviations, 1/√ν
    end = min(math.pi / 2, theta + 40 / math.sqrt(df))
    whole = 0.5 * math.log(math.pi) + math.lgamma(df / 2) - math.lgamma((df + 1) / 2)
    return _integral(lambda phi: np.cos(phi) ** (df - 1), theta, end) / math.exp(whole)


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


def mean_interval(values: Sequence[float], level: float = 1 - ALPHA) -> tuple[float, float] | None:
    """The confidence interval of a mean over seeds; None of fewer than two.

    Formula: mean ± t(1 - (1 - level)/2; n - 1) s / √n.

    Source: Student (1908), The probable error of a mean.
    """
    if len(values) < 2:
        return None
    mean = statistics.fmean(values)
    half = t_quantile((1 - level) / 2, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return mean - half, mean + half


@dataclass(frozen=True)
class Difference:
    """Two configurations compared over their seeds.

    Attributes:
        difference: mean of the first minus mean of the second.
        interval: of the difference; None where there are too few seeds, or no spread at all.
        p: of a difference at least as large where there is none, two-sided, times the number of comparisons.
        winner: 0 or 1, which of the two is better; None where that is not shown.
        seeds: of each, the smaller number.
        needed: seeds of each with which a difference as large as this one, at this spread, would be shown with a
            probability of 80%; None where that cannot be said.
        why: a sentence, where nothing can be said.
    """

    difference: float
    interval: tuple[float, float] | None = None
    p: float | None = None
    winner: int | None = None
    seeds: int = 0
    needed: int | None = None
    why: str = ""


def compare(
    one: Sequence[float], other: Sequence[float], *, less_is_better: bool = False, comparisons: int = 1
) -> Difference:
    """Compares the figures of two configurations' runs by Welch's unequal variances t test.

    Formula, with means m, variances v and seeds n of each: t = (m₁ - m₂) / √(v₁/n₁ + v₂/n₂), with
    ν = (v₁/n₁ + v₂/n₂)² / ((v₁/n₁)²/(n₁ - 1) + (v₂/n₂)²/(n₂ - 1)) degrees of freedom. With several comparisons the
    p-value is multiplied by their number, and the interval widened to 1 - α / comparisons, so that all intervals hold
    together and each verdict agrees with its interval.

    Arguments:
        one, other: a figure for each seed, in no order: the runs need not share their seeds.
        less_is_better: as of an error.
        comparisons: how many are made in one table.

    Raises: ConfigError for no figures, or some that are not finite.

    Source: Welch (1947), The generalization of "Student's" problem when several different population variances are
        involved; Dunn (1961), Multiple comparisons among means. That Welch's test keeps its promise for a few seeds of
        training runs: Colas, Sigaud, Oudeyer (2019), A hitchhiker's guide to statistical comparisons of reinforcement
        learning algorithms.
    """
    if not (len(one) and len(other) and all(map(math.isfinite, (*one, *other)))):
        raise ConfigError(f"one={list(one)} other={list(other)}: expected at least one finite figure of each")
    difference = statistics.fmean(one) - statistics.fmean(other)
    seeds = min(len(one), len(other))
    if seeds < 2:
        why = f"one seed says nothing of the spread: train at least {FEWEST_SEEDS} seeds of each"
        return Difference(difference, seeds=seeds, why=why)
    a, b = statistics.variance(one) / len(one), statistics.variance(other) / len(other)
    if a + b == 0:
        why = "every seed gave the same figure, so there is no spread to judge the difference by"
        return Difference(difference, seeds=seeds, why=why)
    needed = seeds_needed(difference, statistics.stdev(one), statistics.stdev(other), comparisons=comparisons)
    if seeds < FEWEST_SEEDS:
        why = f"{seeds} seeds are too few to judge: train at least {FEWEST_SEEDS} seeds of each"
        return Difference(difference, seeds=seeds, needed=needed and max(needed, FEWEST_SEEDS), why=why)
    df = _degrees(a, b, len(one), len(other))
    error = math.sqrt(a + b)
    half = t_quantile(ALPHA / comparisons / 2, df) * error
    p = min(1.0, 2 * t_tail(abs(difference) / error, df) * comparisons)
    shown = abs(difference) > half
    winner = int((difference > 0) == less_is_better) if shown else None
    return Difference(difference, (difference - half, difference + half), p, winner, seeds, None if shown else needed)


def _degrees(a: float, b: float, n: int, m: int) -> float:
    """Welch's degrees of freedom for two variances of means."""
    return (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))


def seeds_needed(difference: float, s1: float, s2: float, *, comparisons: int = 1, power: float = POWER) -> int | None:
    """The fewest seeds of each of two configurations with which Welch's test shows a true difference with this
    probability; None for more than 10,000.

    Formula: the power at n seeds is P(|T| > t(1 - α/2; ν)), T of the noncentral t distribution with ν degrees of
    freedom and the noncentrality difference / √((s₁² + s₂²)/n).

    Arguments:
        difference: between the means.
        s1, s2: standard deviations over seeds.
        comparisons: α is shared among so many.

    Source: Cohen (1988), Statistical power analysis for the behavioral sciences, chapter 2; for seeds of training runs
        Colas, Sigaud, Oudeyer (2018), How many random seeds?
    """
    if difference == 0:
        return None

    def enough(n: int) -> bool:
        a, b = s1**2 / n, s2**2 / n
        return welch_power(abs(difference) / math.sqrt(a + b), _degrees(a, b, n, n), ALPHA / comparisons) >= power

    high = 2
    while not enough(high):
        if high >= MOST_SEEDS:
            return None
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high if high <= MOST_SEEDS else None


def welch_power(shift: float, df: float, alpha: float = ALPHA) -> float:
    """P(|T| > t(1 - α/2; ν)) for T of the noncentral t distribution: with what probability a two-sided t test shows a
    difference of `shift` standard errors.

    Formula: T = (Z + shift) / √(χ²/ν), so the probability is the mean of Φ(shift - c s) + Φ(-shift - c s) over
    s = √(χ²/ν), whose density is 2 (ν/2)^(ν/2) / Γ(ν/2) s^(ν - 1) exp(-ν s²/2).
    """
    c = t_quantile(alpha / 2, df)
    log_scale = math.log(2) + df / 2 * math.log(df / 2) - math.lgamma(df / 2)
    spread = 1 / math.sqrt(2 * df)
    low, high = max(0.0, 1 - 10 * spread), 1 + 10 * spread

    def density(s):
        s = np.maximum(s, 1e-300)
        chi = np.exp(log_scale + (df - 1) * np.log(s) - df * s**2 / 2)
        return chi * (_phi(shift - c * s) + _phi(-shift - c * s))

    return min(1.0, _integral(density, low, high))


def _phi(x):
    return np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x])


def share_interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share, as an accuracy on n samples, had they been drawn anew.

    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    z = statistics.NormalDist().inv_cdf(1 - ALPHA / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - half, middle + half
