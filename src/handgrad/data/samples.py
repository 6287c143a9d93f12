"""What a reader of any format gives back: the raw samples of one split."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from handgrad._typing import Array, Integer, Num
from handgrad.errors import DataError


class Samples(NamedTuple):
    """Raw inputs (n, C, H, W) and their labels (n,), of whatever integer type the file has."""

    inputs: Num[Array, "n *shape"]
    labels: Integer[Array, "n"]


def check_labels(path: Path, labels: Integer[Array, "n"], n_classes: int) -> None:
    """Raises DataError where a label is no class."""
    wrong = (labels < 0) | (labels >= n_classes)
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(f"{path} has label {int(labels[first])} at sample {first}: expected 0 to {n_classes - 1}")
