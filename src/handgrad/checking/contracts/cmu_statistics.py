"""CMU's `get_training_stats`, judged by a log of the calls and data of the network."""

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
    """The trial: a linear network, twenty samples, three epochs, batches of five.

    Args:
        owners: class -> the name under which its module is imported.
        setup: the imports.
        g: the generator of the arrays.
        row: whether biases have the shape (1, n).
        own_biases: the module that defines `zeros_bias_init` in the hand-in; empty if there is none.
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
    """Checks that each epoch uses every sample once, in random order and with its label, and that validation runs in
    evaluation mode."""
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
            judge.unjudged = f"a function that it calls fails: {observation.failure}"
        return
    stats = observation.values.get("stats")
    judge.judged = True
    curves = (
        [np.ravel(value.array) for value in stats.items.values() if value.array is not None]
        if stats is not None
        else []
    )
    lists = [value for value in stats.items.values() if value.kind in ("list", "tuple")] if stats is not None else []
    if len(curves) < 4 and len(lists) == 4:
        curves = [np.array([float(v.array) for v in one.items.values() if v.array is not None]) for one in lists]
        judge.note("it returns lists instead of arrays")
    if len(curves) != 4:
        judge.bug(
            "statistics-wrong",
            "expected four arrays: training losses, training errors, validation losses and validation errors",
        )
        return
    if any(len(curve) != EPOCHS for curve in curves):
        judge.bug(
            "statistics-wrong",
            f"the returned arrays have the lengths {[len(c) for c in curves]}, expected {EPOCHS}, one value per epoch",
        )
        return
    entries = _entries(observation)
    if not entries:
        return
    _judge_order(judge, entries, each.draw.arrays)
    _judge_curves(judge, entries, each.draw.arrays, curves, losses_right)


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
        return []  # the worker truncates long texts
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
                    "statistics-validation-mode", "the network is in training mode when it processes validation samples"
                )
        elif kind == "b" and last is not None:
            pending = last
            of_training = (last < 100).all() and len(first) == len(last)
            if of_training and not np.array_equal(labels[last], first.astype(int)):
                judge.bug("statistics-pairs", "after shuffling, a sample has the label of another sample")
        elif kind == "z":
            pending = None
        elif kind == "s":
            steps += 1
            if pending is None:
                continue
            if (pending >= 100).any():
                judge.bug("statistics-wrong", "the network is trained on samples that are not in the training set")
                return
            if not training:
                evidence = f"step {steps} uses a forward pass in evaluation mode"
                judge.bug("statistics-training-mode", evidence)
            trained += pending.tolist()
            pending = None
    if len(trained) % TRAIN == 0 and trained:
        epochs = np.array(trained).reshape(-1, TRAIN)
        if all((np.diff(epoch) > 0).all() for epoch in epochs):
            judge.bug("statistics-not-shuffled", "the samples are in their original order in each epoch")
        elif len(epochs) > 1 and all(np.array_equal(epoch, epochs[0]) for epoch in epochs):
            judge.bug("statistics-not-shuffled", "the samples are in the same order in each epoch")
    seen = sorted(set(trained))
    if len(seen) < TRAIN and steps:
        judge.bug("statistics-wrong", f"only {len(seen)} of the {TRAIN} training samples are used")
    if steps == 0 and any(kind == "b" for kind, *_ in entries):
        judge.bug("not-updated", "step() is never called")


def _judge_curves(judge: Judge, entries, arrays, curves, losses_right: bool) -> None:
    """Checks that each error is a proportion of the training samples, and each loss a mean. All batches have the same
    size, so means over batches and over samples are equal."""
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
    if losses_right and not np.allclose(curves[0], expected_losses, rtol=1e-4):
        judge.bug(
            "statistics-wrong",
            f"the training loss of the first epoch is {number(float(curves[0][0]))}, "
            f"but the mean over its samples is {number(float(expected_losses[0]))}",
        )
    if not np.allclose(curves[1], expected_errors, atol=1e-6):
        judge.bug(
            "statistics-wrong",
            f"the training error of the first epoch is {number(float(curves[1][0]))}, "
            f"but the proportion of wrong predictions is {number(float(expected_errors[0]))}",
        )
    if not all(((curve >= 0) & (curve <= 1)).all() for curve in (curves[1], curves[3])):
        judge.bug("statistics-wrong", "the error rates are not between 0 and 1")
