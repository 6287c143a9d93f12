"""The result of every file reader: the raw samples of one split."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from handgrad._typing import Array, Integer, Num
from handgrad.errors import DataError


class Samples(NamedTuple):
    """Raw inputs (n, C, H, W) and labels (n,), in the integer type of the file."""

    inputs: Num[Array, "n *shape"]
    labels: Integer[Array, "n"]


def check_labels(path: Path, labels: Integer[Array, "n"], n_classes: int) -> None:
    """Raises DataError for invalid labels."""
    wrong = (labels < 0) | (labels >= n_classes)
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(f"{path} has label {int(labels[first])} at sample {first}: expected 0 to {n_classes - 1}")
