"""CMU's `get_training_stats`, judged by a log of the data that passes through the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from handgrad.checking.contracts.judging import Judge, Trial, array, call, define, trial
from handgrad.checking.diagnosis import Draw, number
from handgrad.checking.probe import Operation

TRAIN, VALIDATION, TEST, CLASSES, EPOCHS, BATCH = 20, 9, 5, 3, 3, 5


def statistics_trial(
    owners: Mapping[str, str], setup: Sequence[Operation], g: np.random.Generator, *, row: bool, own_biases: str
) -> Trial:
    """A linear network on twenty samples, three epochs of batches of five.

    Args:
        owners: class -> the module it is imported under.
        setup: imports.
        g: what the arrays are drawn from.
        row: biases are (1, n).
        own_biases: the module with the hand-in's own `zeros_bias_init`, or empty.
    """
    arrays = {}
    for name, count, first in (("train", TRAIN, 0), ("validation", VALIDATION, 100), ("test", TEST, 200)):
        x = g.normal(size=(count, 4))
        x[:, 0] = 0.01 * (first + np.arange(count))
        arrays[f"{name} x"] = x
        arrays[f"{name} t"] = np.eye(CLASSES)[g.integers(0, CLASSES, count)]
    data = {"tuple": [{"tuple": [array(f"{name} x"), array(f"{name} t")]} for name in ("train", "validation", "test")]}
    operations: list[Operation] = [
        *setup,
        define("cmu_log"),
        {"op": "seed", "value": 6},
        call(
            "ours",
            "biases",
            args=[{"path": [own_biases, "zeros_bias_init"]} if own_biases else None, row],
            to="zeros",
            send=False,
        ),
        call("ours", "recorded", args=[{"path": [owners["MLP"], "MLP"]}], to="recorded", send=False),
        call(owners["Identity"], "Identity", to="activation", send=False),
        call(owners["SoftmaxCrossEntropy"], "SoftmaxCrossEntropy", to="criterion", send=False),
        call(
            "recorded",
            args=[
                4,
                CLASSES,
                [],
                [{"path": ["activation"]}],
                {"lambda": "normal"},
                {"path": ["zeros"]},
                {"path": ["criterion"]},
                0.01,
            ],
            to="mlp",
            send=False,
        ),
        call(
            owners["get_training_stats"],
            "get_training_stats",
            args=[{"path": ["mlp"]}, data, EPOCHS, BATCH],
            to="stats",
        ),
        call("ours", "names", to="names"),
        *[call("ours", "lengths", args=[what], to=f"lengths {what}") for what in (1, 2)],
        *[call("ours", "flat", args=[what], to=f"log {what}") for what in (1, 2)],
        call("ours", "modes", to="modes"),
    ]
    return trial("get_training_stats", operations, Draw(arrays=arrays), arrays)


def judge_statistics(judge: Judge, each: Trial, losses_right: bool) -> None:
    """Checks that each epoch has every sample once, reordered, with its label; and validation in evaluation mode."""
    observation = judge.observed(each)
    if observation is None:
        return
    if observation.failure is not None:
        function = observation.failure.function
        if (
            observation.failure.kind != "exception"
            or "NotImplemented" in observation.failure.type
            or function == judge.method
        ):
            judge.failed(observation.failure)
        else:
            judge.unjudged = f"what it calls stops with an error: {observation.failure}"
        return
    stats = observation.values.get("stats")
    judge.judged = True
    figures = (
        [np.ravel(value.array) for value in stats.items.values() if value.array is not None]
        if stats is not None
        else []
    )
    lists = [value for value in stats.items.values() if value.kind in ("list", "tuple")] if stats is not None else []
    if len(figures) < 4 and len(lists) == 4:
        figures = [np.array([float(v.array) for v in one.items.values() if v.array is not None]) for one in lists]
        judge.note("lists come back, arrays were expected")
    if len(figures) != 4:
        judge.bug(
            "statistics-wrong",
            "four arrays are expected: losses and errors of training, losses and errors of validation",
        )
        return
    if any(len(figure) != EPOCHS for figure in figures):
        judge.bug(
            "statistics-wrong",
            f"the returned arrays have the lengths {[len(f) for f in figures]}, expected {EPOCHS}, one value per epoch",
        )
        return
    entries = _entries(observation)
    if not entries:
        return
    _judge_order(judge, entries, each.draw.arrays)
    _judge_figures(judge, entries, each.draw.arrays, figures, losses_right)


def _entries(observation):
    names = observation.values.get("names")
    if names is None or not names.text:
        return []
    logs = {}
    for what in (1, 2):
        value = observation.values.get(f"log {what}")
        first = value.items.get("0") if value is not None else None
        lengths = observation.get(f"lengths {what}")
        if first is None or first.array is None or lengths is None:
            return []
        logs[what] = np.split(first.array, np.cumsum(lengths)[:-1])
    kinds = names.text.split(",")
    modes = observation.get("modes")
    if len(kinds) != len(logs[1]) or modes is None:
        return []  # a long log is truncated
    return list(zip(kinds, logs[1], logs[2], modes, strict=True))


def _judge_order(judge: Judge, entries, arrays) -> None:
    trained: list[int] = []
    labels = arrays["train t"].argmax(axis=1)
    last: np.ndarray | None = None
    training = True  # the mode of the last forward pass
    pending: np.ndarray | None = None  # samples whose gradients the next step uses
    steps = 0
    for kind, first, _, mode in entries:
        if kind == "f":
            rows = np.rint(first * 100).astype(int)
            last, training = rows, bool(mode)
            if (rows >= 100).all() and (rows < 200).all() and mode:
                judge.bug(
                    "statistics-validation-mode", "the validation samples pass through the network in training mode"
                )
        elif kind == "b" and last is not None:
            pending = last
            of_training = (last < 100).all() and len(first) == len(last)
            if of_training and not np.array_equal(labels[last], first.astype(int)):
                judge.bug("statistics-pairs", "after shuffling, a sample has another sample's label")
        elif kind == "z":
            pending = None
        elif kind == "s":
            steps += 1
            if pending is None:
                continue
            if (pending >= 100).any():
                judge.bug("statistics-wrong", "the network is trained on samples that are not for training")
                return
            if not training:
                evidence = f"step {steps} uses a forward pass in evaluation mode"
                judge.bug("statistics-training-mode", evidence)
            trained += pending.tolist()
            pending = None
    if len(trained) % TRAIN == 0 and trained:
        epochs = np.array(trained).reshape(-1, TRAIN)
        if all((np.diff(epoch) > 0).all() for epoch in epochs):
            judge.bug("statistics-not-shuffled", "in each epoch the samples come in the order in which they were given")
        elif len(epochs) > 1 and all(np.array_equal(epoch, epochs[0]) for epoch in epochs):
            judge.bug("statistics-not-shuffled", "the samples come in the same order in each epoch")
    seen = sorted(set(trained))
    if len(seen) < TRAIN and steps:
        judge.bug("statistics-wrong", f"only {len(seen)} of the {TRAIN} training samples are trained on")
    if steps == 0 and any(kind == "b" for kind, *_ in entries):
        judge.bug("not-updated", "step() is never called")


def _judge_figures(judge: Judge, entries, arrays, figures, losses_right: bool) -> None:
    """Checks that errors are fractions of the training samples, and losses means (by batch or sample is the same)."""
    labels = arrays["train t"].argmax(axis=1)
    losses: list[float] = []
    wrong: list[bool] = []
    pending: tuple[np.ndarray, np.ndarray] | None = None
    for kind, first, second, _ in entries:
        if kind == "f":
            rows = np.rint(first * 100).astype(int)
            pending = (rows, second.reshape(len(rows), -1)) if len(rows) and (rows < 100).all() else None
        elif kind == "b" and pending is not None:
            rows, y = pending
            shifted = y - y.max(axis=1, keepdims=True)
            losses += (np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(rows)), labels[rows]]).tolist()
            wrong += (y.argmax(axis=1) != labels[rows]).tolist()
            pending = None
    if len(losses) != TRAIN * EPOCHS or any(bug.id != "statistics-not-shuffled" for bug in judge.findings):
        return
    expected_losses = np.array(losses).reshape(EPOCHS, TRAIN).mean(axis=1)
    expected_errors = np.array(wrong).reshape(EPOCHS, TRAIN).mean(axis=1)
    if losses_right and not np.allclose(figures[0], expected_losses, rtol=1e-4):
        judge.bug(
            "statistics-wrong",
            f"the training loss of the first epoch is {number(float(figures[0][0]))}, "
            f"the mean over its samples is {number(float(expected_losses[0]))}",
        )
    if not np.allclose(figures[1], expected_errors, atol=1e-6):
        judge.bug(
            "statistics-wrong",
            f"the training error of the first epoch is {number(float(figures[1][0]))}, "
            f"the share of wrong answers is {number(float(expected_errors[0]))}",
        )
    if not all(((figure >= 0) & (figure <= 1)).all() for figure in (figures[1], figures[3])):
        judge.bug("statistics-wrong", "an error is a share between 0 and 1")
