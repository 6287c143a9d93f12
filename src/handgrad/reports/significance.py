"""Statistical tests that compare configurations by their runs with different seeds.

This module uses only NumPy and the standard library.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from handgrad.errors import ConfigError
from handgrad.student import integral, t_quantile, t_tail

#: Smallest number of seeds per configuration for a verdict. Two seeds hardly determine a standard deviation (its 95%
#: interval reaches from half of it to 32 times it), so the interval of a difference would be too wide to be useful.
MIN_SEEDS = 3
#: Significance level: the probability of at least one false positive among all comparisons of a table.
ALPHA = 0.05
#: Power: the probability that the suggested number of seeds detects a difference as large as the observed one.
POWER = 0.8
#: Largest number of seeds that `seeds_needed` tries.
MAX_SEEDS = 10_000


def mean_interval(values: Sequence[float], level: float = 1 - ALPHA) -> tuple[float, float] | None:
    """The confidence interval of a mean over seeds; None for fewer than two values.

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
    """The result of comparing two configurations over their seeds.

    Attributes:
        difference: mean of the first minus mean of the second.
        interval: confidence interval of the difference; None if there are too few seeds or the variance is 0.
        p: two-sided p-value, multiplied by the number of comparisons (Bonferroni).
        winner: 0 or 1, the better configuration; None if the difference is not significant.
        seeds: number of seeds per configuration; the smaller one if they differ.
        needed: number of seeds per configuration that would detect a difference of this size with 80% power, given
            these standard deviations; None if it is unknown.
        why: why there is no verdict; otherwise empty.
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
    """Compares the results of two configurations with Welch's unequal variances t-test.

    Formula, with means m, variances v and numbers of seeds n: t = (m₁ - m₂) / √(v₁/n₁ + v₂/n₂), with
    ν = (v₁/n₁ + v₂/n₂)² / ((v₁/n₁)²/(n₁ - 1) + (v₂/n₂)²/(n₂ - 1)) degrees of freedom. For several comparisons, the
    p-value is multiplied by their number and the interval is widened to the level 1 - α / comparisons. All intervals
    then hold simultaneously, and each verdict is consistent with its interval.

    Arguments:
        one, other: one result per seed, in any order. The two configurations need not use the same seeds.
        less_is_better: True for errors and losses.
        comparisons: number of comparisons in the table.

    Raises: ConfigError if a configuration has no results or some are not finite.

    Source: Welch (1947), The generalization of "Student's" problem when several different population variances are
        involved; Dunn (1961), Multiple comparisons among means. For the false-positive rate of Welch's test with few
        training runs: Colas, Sigaud, Oudeyer (2019), A hitchhiker's guide to statistical comparisons of reinforcement
        learning algorithms.
    """
    if not (len(one) and len(other) and all(map(math.isfinite, (*one, *other)))):
        raise ConfigError(f"one={list(one)} other={list(other)}: expected at least one finite result of each")
    difference = statistics.fmean(one) - statistics.fmean(other)
    seeds = min(len(one), len(other))
    if seeds < 2:
        why = f"one seed gives no standard deviation: train at least {MIN_SEEDS} seeds per configuration"
        return Difference(difference, seeds=seeds, why=why)
    a, b = statistics.variance(one) / len(one), statistics.variance(other) / len(other)
    if a + b == 0:
        why = "all seeds gave the same result, so the standard deviation is 0 and no test is possible"
        return Difference(difference, seeds=seeds, why=why)
    needed = seeds_needed(difference, statistics.stdev(one), statistics.stdev(other), comparisons=comparisons)
    if seeds < MIN_SEEDS:
        why = f"{seeds} seeds are too few for a test: train at least {MIN_SEEDS} seeds per configuration"
        return Difference(difference, seeds=seeds, needed=needed and max(needed, MIN_SEEDS), why=why)
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
    """The smallest number of seeds per configuration with which Welch's test detects a true difference with this
    power; None if it is more than 10,000.

    Formula: the power at n seeds is P(|T| > t(1 - α/2; ν)). T has the noncentral t distribution with ν degrees of
    freedom and the noncentrality difference / √((s₁² + s₂²)/n).

    Arguments:
        difference: difference of the means.
        s1, s2: standard deviations over seeds.
        comparisons: number of comparisons that share α.

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
        if high >= MAX_SEEDS:
            return None
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high if high <= MAX_SEEDS else None


def welch_power(shift: float, df: float, alpha: float = ALPHA) -> float:
    """P(|T| > t(1 - α/2; ν)) for T with the noncentral t distribution: the power of a two-sided t-test for a
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

    return min(1.0, integral(density, low, high))


def _phi(x):
    return np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x])


def share_interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95% confidence interval of a proportion, such as an accuracy on n test samples.

    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    z = statistics.NormalDist().inv_cdf(1 - ALPHA / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - half, middle + half
