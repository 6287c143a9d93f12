"""The rules by which our figures are judged beside the authors'."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

REPRODUCED, ABOVE, BELOW = "reproduced", "above", "below"
CONTRADICTED, UNDECIDED = "contradicted", "undecided"
#: Of an entry whose runs were scaled down to a budget: nothing stronger may be said.
INDICATIVE = "indicative"
CANNOT_BE = "cannot be"

#: Differences up to these are none, however small the spread: another framework, other images, other batches.
LEAST_ALLOWANCE = {"accuracy": 0.01, "loss": 0.05}
#: The spread over seeds that is assumed where a single run says nothing about it.
ASSUMED_SPREAD = {"accuracy": 0.01, "loss": 0.03}


def quantity(measure: str) -> str:
    """What a measure's scale is: `loss` or `accuracy` (which errors and shares have too)."""
    return "loss" if "loss" in measure else "accuracy"


def spread(values: Sequence[float], measure: str) -> float:
    """The standard deviation over seeds; of a single run, the assumed one."""
    return statistics.stdev(values) if len(values) > 1 else ASSUMED_SPREAD[quantity(measure)]


def allowance(published: float, values: Sequence[float], measure: str, samples: int | None = None) -> float:
    """How far our mean may lie from a published value and still reproduce it.

    Formula: 2 √(s² (1 + 1/n) + v), at least `LEAST_ALLOWANCE`: their value is one run, ours the mean of n with the
    standard deviation s. Where theirs was measured on a batch of m samples, v = p (1 - p) / m for an accuracy p and
    l² / m for a loss l (a loss varies over samples about as much as it is large); else v = 0.

    Arguments:
        values: ours, one per seed, at least one.
        samples: m.
    """
    of_batch = 0.0
    if samples is not None:
        of_one = published**2 if quantity(measure) == "loss" else max(published * (1 - published), 0.0)
        of_batch = of_one / samples
    s = spread(values, measure)
    return max(LEAST_ALLOWANCE[quantity(measure)], 2 * math.sqrt(s**2 * (1 + 1 / len(values)) + of_batch))


def judge_value(published: float | str, values: Sequence[float | str], measure: str, samples: int | None = None) -> str:
    """`reproduced`, or on which side of the published value ours lies: `above` or `below`. A text is the same or not:
    `reproduced` or `contradicted`. A run that diverged has the value nan: an accuracy lies `below`, a loss `above`."""
    if isinstance(published, str):
        return REPRODUCED if all(value == published for value in values) else CONTRADICTED
    numbers = [float(value) for value in values]
    if any(math.isnan(value) for value in numbers):
        return ABOVE if quantity(measure) == "loss" else BELOW
    difference = statistics.fmean(numbers) - published
    if abs(difference) <= allowance(published, numbers, measure, samples) + 1e-9:
        return REPRODUCED
    return ABOVE if difference > 0 else BELOW


#: Student's t that 95% lie below, by the degrees of freedom; the last one serves for more.
_STUDENT = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812)


def judge_statement(differences: Sequence[float]) -> str:
    """Whether a measure is larger in one case than in another, by a t-test of the differences at the level of 5%.

    Returns: `reproduced` where their mean is above t times its standard error, `contradicted` where it is below minus
        that, else `undecided`. One difference is never enough.
    """
    if len(differences) < 2 or any(math.isnan(difference) for difference in differences):
        return UNDECIDED
    mean, error = statistics.fmean(differences), statistics.stdev(differences) / math.sqrt(len(differences))
    least = _STUDENT[min(len(differences) - 2, len(_STUDENT) - 1)] * error
    if mean > least:
        return REPRODUCED
    return CONTRADICTED if mean < -least else UNDECIDED


def judge_entry(values: Sequence[tuple[str, float]], statements: Sequence[str], *, full: bool) -> str:
    """The verdict on an entry.

    Arguments:
        values: of each headline value, its verdict and our mean less the published one.
        statements: the verdicts on its statements.
        full: whether all runs had their full length, all seeds and all cases.

    Returns: `indicative` where not `full`. Of statements: `reproduced` where all are, `contradicted` where one is, else
        `undecided`. Of values: `reproduced` where all are; else `above` or `below`, by the mean of the differences of
        those that are not.
    """
    if not full:
        return INDICATIVE
    verdicts = [verdict for verdict, _ in values] + list(statements)
    for verdict in (CONTRADICTED, UNDECIDED):
        if verdict in verdicts:
            return verdict
    missed = [(verdict, difference) for verdict, difference in values if verdict != REPRODUCED]
    if not missed:
        return REPRODUCED
    differences = [difference for _, difference in missed if not math.isnan(difference)]
    if not differences:
        return missed[0][0]
    return ABOVE if statistics.fmean(differences) > 0 else BELOW
