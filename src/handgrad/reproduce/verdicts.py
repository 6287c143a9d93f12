"""The rules for comparing our results with the published ones."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from handgrad.student import t_quantile

REPRODUCED, ABOVE, BELOW = "reproduced", "above", "below"
CONTRADICTED, UNDECIDED = "contradicted", "undecided"
#: The verdicts for a record.
REACHED, MISSED = "reached", "missed"
#: The only verdict for an entry whose runs were scaled down to a budget.
INDICATIVE = "indicative"
CANNOT_BE = "cannot be"

#: Smaller differences are ignored even if the standard deviation is small: the framework, images and batches differ.
LEAST_ALLOWANCE = {"accuracy": 0.01, "loss": 0.05}
#: The standard deviation over seeds that is assumed if there is only one run.
ASSUMED_SPREAD = {"accuracy": 0.01, "loss": 0.03}


def quantity(measure: str) -> str:
    """The scale of a measure: `loss` or `accuracy` (also for errors and shares)."""
    return "loss" if "loss" in measure else "accuracy"


def spread(values: Sequence[float], measure: str) -> float:
    """The standard deviation over seeds; for a single run, the assumed one."""
    return statistics.stdev(values) if len(values) > 1 else ASSUMED_SPREAD[quantity(measure)]


def allowance(published: float, values: Sequence[float], measure: str, samples: int | None = None) -> float:
    """The largest difference between our mean and a published value that still counts as agreement.

    Formula: 2 √(s² (1 + 1/n) + v), at least `LEAST_ALLOWANCE`: the published value is from one run, ours is the
    mean of n runs with standard deviation s. If the published value was measured on a batch of m samples,
    v = p (1 - p) / m for an accuracy p and l² / m for a loss l (assuming that the standard deviation of the loss over
    samples is about as large as its mean). Otherwise v = 0.

    Arguments:
        values: our values, one per seed, at least one.
        samples: m.
    """
    of_batch = 0.0
    if samples is not None:
        of_one = published**2 if quantity(measure) == "loss" else max(published * (1 - published), 0.0)
        of_batch = of_one / samples
    s = spread(values, measure)
    return max(LEAST_ALLOWANCE[quantity(measure)], 2 * math.sqrt(s**2 * (1 + 1 / len(values)) + of_batch))


def judge_value(published: float | str, values: Sequence[float | str], measure: str, samples: int | None = None) -> str:
    """Compares our values with a published one.

    Returns: for a number, `reproduced`, or `above` or `below` if our mean is too large or too small. For a string,
        `reproduced` or `contradicted`. A run that diverged has the value nan, which counts as `below` for an accuracy
        and as `above` for a loss.
    """
    if isinstance(published, str):
        return REPRODUCED if all(value == published for value in values) else CONTRADICTED
    numbers = [float(value) for value in values]
    if any(math.isnan(value) for value in numbers):
        return ABOVE if quantity(measure) == "loss" else BELOW
    difference = statistics.fmean(numbers) - published
    if abs(difference) <= allowance(published, numbers, measure, samples) + 1e-9:
        return REPRODUCED
    return ABOVE if difference > 0 else BELOW


def judge_statement(differences: Sequence[float]) -> str:
    """Tests whether a measure is larger in one case than in another, with a one-sided paired t-test at the 5% level.

    Returns: `reproduced` if the mean difference is above t times its standard error, `contradicted` if it is below
        minus that, otherwise `undecided`. A single difference is always `undecided`.
    """
    if len(differences) < 2 or any(math.isnan(difference) for difference in differences):
        return UNDECIDED
    mean, error = statistics.fmean(differences), statistics.stdev(differences) / math.sqrt(len(differences))
    least = t_quantile(0.05, len(differences) - 1) * error
    if mean > least:
        return REPRODUCED
    return CONTRADICTED if mean < -least else UNDECIDED


def judge_goal(differences: Sequence[float]) -> str:
    """Judges a record by the mean over its seeds.

    Arguments:
        differences: for each seed, the measured value minus the goal.

    Returns: `reached` if the mean difference is at least 0, otherwise `missed`, also if a run diverged (nan).
    """
    return REACHED if statistics.fmean(differences) >= 0 else MISSED


def judge_entry(values: Sequence[tuple[str, float]], statements: Sequence[str], *, full: bool) -> str:
    """The overall verdict on an entry.

    Arguments:
        values: for each headline value, its verdict and our mean minus the published value.
        statements: the verdicts on its statements.
        full: whether all cases ran with all steps and all seeds.

    Returns: `indicative` if not `full`. For the goals of a record: `reached` if all are, otherwise `missed`. For
        statements: `reproduced` if all are, `contradicted` if one is, otherwise `undecided`. For values: `reproduced`
        if all are, otherwise `above` or `below`, by the mean difference of the values that do not agree.
    """
    if not full:
        return INDICATIVE
    verdicts = [verdict for verdict, _ in values] + list(statements)
    for verdict in (MISSED, CONTRADICTED, UNDECIDED, REACHED):
        if verdict in verdicts:
            return verdict
    missed = [(verdict, difference) for verdict, difference in values if verdict != REPRODUCED]
    if not missed:
        return REPRODUCED
    differences = [difference for _, difference in missed if not math.isnan(difference)]
    if not differences:
        return missed[0][0]
    return ABOVE if statistics.fmean(differences) > 0 else BELOW
