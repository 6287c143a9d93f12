"""What a run's own figures say, evaluation by evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from handgrad.training.doctor.findings import CANNOT_JUDGE, FIX_FIRST, OK, PROBLEM, WARNING, Finding, number

#: Loss on unseen samples by its lowest, and accuracy on training samples above it, that count as learning by heart.
RISEN, BEHIND = 1.15, 0.05
#: Fall of the training loss over the last quarter, by its fall over the whole run, at which a run was still learning.
STILL_FALLING = 0.15
FEWEST = 4


def check_curve(
    records: list[dict[str, Any]],
    chance: float,
    share: float,
    *,
    finished: bool,
    run_dir: str = "RUN",
    problems: Sequence[str] = (),
) -> Finding:
    """Divergence, a loss that never fell, learning by heart, a run that ended too early.

    Arguments:
        records: the lines of `metrics.jsonl`.
        chance: the loss of having no opinion.
        share: of the most frequent class, so what an accuracy by chance may be; 0 of a regression.
        finished: whether the run went to its end.
        run_dir: the run folder, for the command that goes on.
        problems: diagnoses of what else is wrong: a run that is ill is not to be trained on.
    """
    if not records:
        return Finding("curve", CANNOT_JUDGE, "curve", "there is no evaluation yet")
    unseen = "validation" if records[-1].get("validation_loss") is not None else "test"
    # Of a regression, R² stands for the accuracy: 0 for giving each target its mean.
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
            "the loss rose instead of falling",
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
            evidence + f"; no opinion is {number(chance)}",
            "from its first to its last step the network was no better than chance",
            (FIX_FIRST, f"handgrad doctor {run_dir} --budget 10000, should nothing be named"),
            figures,
        )
    if len(records) < FEWEST:
        return Finding("curve", OK, "curve", evidence, figures=figures)
    ahead = last[f"train_{measure}"] - last[f"{unseen}_{measure}"]
    if held[-1] > RISEN * held[at_lowest] and ahead > BEHIND:
        return Finding(
            "curve",
            WARNING,
            "overfits",
            evidence + f"; it was {number(held[at_lowest])} at step {records[at_lowest]['step']:,}, "
            f"and training {named} is {last[f'train_{measure}']:.3f}",
            "the network goes on learning its training samples by heart, and gets worse on others",
            (f"--max-steps {records[at_lowest]['step']}, or --patience 5", "--dropout 0.3", "--weight-decay 1e-4"),
            figures,
        )
    # Means over some evaluations: training losses are noisy, and two of them alone show a fall where there is none.
    few = max(1, len(train) // 8)
    end, quarter = _mean(train[-few:]), _mean(train[-few - len(train) // 4 :][:few])
    if finished and train[0] > end and quarter - end > STILL_FALLING * (train[0] - end):
        if problems:
            return Finding(
                "curve", OK, "curve", f"{evidence}; still falling, but {problems[0]} comes first", "", (), figures
            )
        return Finding(
            "curve",
            WARNING,
            "ended-too-early",
            evidence + f"; the training loss was {number(quarter)} a quarter of the run before",
            "the loss was still falling",
            (f"handgrad train --run-dir {run_dir} --resume --max-steps {2 * last['step']}",),
            figures,
        )
    return Finding("curve", OK, "curve", evidence, figures=figures)


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
