"""Which phones are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from handgrad._typing import Array, Integer
from handgrad.figures.drawing import drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@drawn
def phone_confusion(counts: Integer[Array, "P P"], phones: Sequence[str], *, title: str = "") -> Figure:
    """A matrix of shares: of the frames of each phone (row), how many were taken for each phone (column).

    Arguments:
        counts: frames of each phone (row) taken for each phone (column) (P, P).
        phones: their names.
        title: above the matrix.

    Returns: a square figure; a phone without frames has an empty row.
    """
    from matplotlib.figure import Figure

    side = max(4.0, 1.6 + 0.17 * len(phones))
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="cividis", interpolation="nearest")
    axes.set_xticks(range(len(phones)), phones, rotation=90, fontsize=7)
    axes.set_yticks(range(len(phones)), phones, fontsize=7)
    axes.set_xlabel("taken for")
    axes.set_ylabel("phone")
    axes.set_title(title)
    figure.colorbar(image, ax=axes, shrink=0.6, label="share of the phone's frames")
    return figure
