"""Shared code of the three training scripts: flags, accuracy, printing."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handgrad._typing import Array, Num
from handgrad.errors import HandgradError

#: Where the scripts of the course look for the data. Otherwise, handgrad's default folders are used.
DATA_DIR_DEFAULT = "./cifar10/cifar-10-batches-py"


def accuracy(predictions: Num[Array, "N K"], targets: Num[Array, "N K"]) -> float:
    """The fraction of rows whose largest prediction matches the one-hot target."""
    return float(np.mean(np.argmax(predictions, axis=1) == np.argmax(targets, axis=1)))


def run(
    train: Callable[[argparse.Namespace], Any],
    argv: Sequence[str] | None,
    *,
    learning_rate: float,
    max_steps: int,
    batch_size: int,
    eval_freq: int,
    dnn_hidden_units: str | None = None,
    neg_slope: float | None = None,
) -> Any:
    """Parses the flags of a script (by default those of the process), prints them, and calls `train` with them.

    Arguments:
        train: function of the flags, whose result is returned.
        argv: the arguments.
        learning_rate, max_steps, batch_size, eval_freq: defaults.
        dnn_hidden_units, neg_slope: defaults; None if the script has no such flag.

    Raises: SystemExit(2), after a line on stderr, for invalid flags and missing data.
    """
    parser = argparse.ArgumentParser()
    if dnn_hidden_units is not None:
        parser.add_argument(
            "--dnn_hidden_units",
            type=_units,
            default=dnn_hidden_units,
            help="units of the hidden layers, such as 100,50",
        )
    parser.add_argument("--learning_rate", type=_positive(float), default=learning_rate, help="learning rate")
    parser.add_argument("--max_steps", type=_positive(int), default=max_steps, help="number of training steps")
    parser.add_argument("--batch_size", type=_positive(int), default=batch_size, help="samples per batch")
    parser.add_argument("--eval_freq", type=_positive(int), default=eval_freq, help="steps between evaluations")
    parser.add_argument("--data_dir", default=DATA_DIR_DEFAULT, help="folder of the CIFAR-10 files")
    if neg_slope is not None:
        parser.add_argument("--neg_slope", type=float, default=neg_slope, help="slope of the leaky ReLU")
    flags = parser.parse_args(argv)
    for name, value in vars(flags).items():
        print(f"{name} : {value}")
    if flags.data_dir == DATA_DIR_DEFAULT and not Path(flags.data_dir).exists():
        flags.data_dir = None
    try:
        return train(flags)
    except HandgradError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def report(step: int, steps: int, figures: dict[str, float]) -> dict[str, float]:
    """Prints the results of an evaluation and returns them with their step."""
    line = "   ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in figures.items())
    print(f"step {step}/{steps}   {line}", flush=True)
    return {"step": step, **figures}


def conclude(records: list[dict[str, float]]) -> list[dict[str, float]]:
    """Prints the last and the best test accuracy and returns the records unchanged."""
    best = max(records, key=lambda record: record["test_accuracy"])
    last = records[-1]["test_accuracy"]
    print(f"test accuracy: last {last:.4f}, best {best['test_accuracy']:.4f} (step {best['step']})")
    return records


def _units(text: str) -> list[int]:
    units = [int(unit) for unit in text.split(",")] if text else []
    if any(unit < 1 for unit in units):
        raise ValueError
    return units


_units.__name__ = "list of units"  # its name in the messages of argparse


def _positive(kind: type) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise ValueError
        return value

    parse.__name__ = f"{kind.__name__} above 0"
    return parse
