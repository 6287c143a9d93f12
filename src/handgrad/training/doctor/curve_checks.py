"""Checks of the metrics of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from handgrad.training.doctor.findings import CANNOT_JUDGE, FIX_FIRST, OK, PROBLEM, WARNING, Finding, number

#: Thresholds for overfitting: ratio of the loss on unseen samples to its minimum, and excess of the training accuracy.
MAX_LOSS_RATIO, MAX_ACCURACY_GAP = 1.15, 0.05
#: Threshold for ending too early: decrease of the training loss over the last quarter relative to the whole run.
MAX_LATE_DECREASE = 0.15
MIN_EVALUATIONS = 4


def check_curve(
    records: list[dict[str, Any]],
    chance: float,
    share: float,
    *,
    finished: bool,
    run_dir: str = "RUN",
    problems: Sequence[str] = (),
) -> Finding:
    """Checks for divergence, a loss that never decreased, overfitting, and a run that ended too early.

    Arguments:
        records: the lines of `metrics.jsonl`.
        chance: the loss of an uninformed prediction.
        share: fraction of the most frequent class, the accuracy of a constant prediction; 0 in regression.
        finished: whether the run has finished.
        run_dir: the run folder, for the command that resumes it.
        problems: other diagnosed problems, in which case longer training is not suggested.
    """
    if not records:
        return Finding("curve", CANNOT_JUDGE, "curve", "there is no evaluation yet")
    unseen = "validation" if records[-1].get("validation_loss") is not None else "test"
    # For a regression, R² replaces the accuracy: it is 0 for predicting the mean of each target.
    measure, named = ("accuracy", "accuracy") if "train_accuracy" in records[-1] else ("r2", "R²")
    train = [record["train_loss"] for record in records]
    held = [record[f"{unseen}_loss"] for record in records]
    last = records[-1]
    figures = {"train_loss": train, f"{unseen}_loss": held, "chance": chance}
    evidence = (
        f"step {last['step']:,}: training loss {number(train[-1])}, {unseen} loss {number(held[-1])}, "
        f"{unseen} {named} {last[f'{unseen}_{measure}']:.3f}"
    )
    at_lowest = min(range(len(held)), key=lambda i: held[i] if math.isfinite(held[i]) else math.inf)
    if not all(map(math.isfinite, (*train, *held))) or train[-1] > max(3 * min(train), 1.5 * chance):
        return Finding(
            "curve",
            PROBLEM,
            "loss-diverged",
            evidence + f"; the lowest training loss was {number(min(train))}",
            "the loss increased instead of decreasing",
            ("--learning-rate with a third of its value",),
            figures,
        )
    if not finished:
        evidence += "; the run has not finished"
    if min(train) > 0.97 * chance and max(record[f"train_{measure}"] for record in records) < share + 0.05:
        return Finding(
            "curve",
            PROBLEM,
            "never-learned",
            evidence + f"; an uninformed prediction has {number(chance)}",
            "the network was never better than chance",
            (FIX_FIRST, f"handgrad doctor {run_dir} --budget 10000, if it finds nothing"),
            figures,
        )
    if len(records) < MIN_EVALUATIONS:
        return Finding("curve", OK, "curve", evidence, figures=figures)
    ahead = last[f"train_{measure}"] - last[f"{unseen}_{measure}"]
    if held[-1] > MAX_LOSS_RATIO * held[at_lowest] and ahead > MAX_ACCURACY_GAP:
        return Finding(
            "curve",
            WARNING,
            "overfits",
            evidence + f"; it was {number(held[at_lowest])} at step {records[at_lowest]['step']:,}, "
            f"and training {named} is {last[f'train_{measure}']:.3f}",
            "the network memorises its training samples and gets worse on others",
            (f"--max-steps {records[at_lowest]['step']}, or --patience 5", "--dropout 0.3", "--weight-decay 1e-4"),
            figures,
        )
    # Means over several evaluations, because training losses are noisy and two of them may show a spurious decrease.
    few = max(1, len(train) // 8)
    end, quarter = _mean(train[-few:]), _mean(train[-few - len(train) // 4 :][:few])
    if finished and train[0] > end and quarter - end > MAX_LATE_DECREASE * (train[0] - end):
        if problems:
            return Finding(
                "curve", OK, "curve", f"{evidence}; still decreasing, but fix {problems[0]} first", "", (), figures
            )
        return Finding(
            "curve",
            WARNING,
            "ended-too-early",
            evidence + f"; the training loss was {number(quarter)} a quarter of the run before",
            "the loss was still decreasing",
            (f"handgrad train --run-dir {run_dir} --resume --max-steps {2 * last['step']}",),
            figures,
        )
    return Finding("curve", OK, "curve", evidence, figures=figures)


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
