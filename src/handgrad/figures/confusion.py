"""The confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from handgrad.figures.drawing import drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Maximum numbers of classes for numbers in the cells, and for all names on the axes.
MAX_NUMBERED, MAX_NAMED = 20, 48


@drawn
def confusion(table: Sequence[Sequence[int]], names: Sequence[str], *, title: str = "") -> Figure:
    """The confusion matrix of a classification, coloured by the fraction of each row.

    Arguments:
        table: number of samples of class i (row) classified as class j (column), (K, K).
        names: names of the K classes.
        title: above the panel.

    Returns: a figure whose size depends on the names and numbers. The lightness of the colours is monotonic, so that
    their order is visible to colour-blind readers and in greyscale prints; with up to 20 classes, cells contain
    numbers.
    """
    from matplotlib.figure import Figure

    counts = np.asarray(table)
    k = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(12.0, max(3.4, 1.8 + 0.5 * min(k, MAX_NUMBERED)))
    figure = Figure(figsize=(side + 1.0, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label("fraction of the class")
    step = max(1, -(-k // MAX_NAMED))
    shown = [name if len(name) <= 16 else f"{name[:15]}…" for name in map(str, names)][::step]
    long = max(map(len, shown)) > 3
    tilted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if long else {}
    size = 9 if k <= MAX_NUMBERED else 7
    axes.set_xticks(range(0, k, step), shown, fontsize=size, **tilted)
    axes.set_yticks(range(0, k, step), shown, fontsize=size)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(title, fontsize=10)
    if k <= MAX_NUMBERED:
        for i, j in np.ndindex(k, k):
            if counts[i, j]:
                color = "black" if shares[i, j] > 0.55 else "white"
                text = f"{counts[i, j]:,}" if counts[i, j] < 10_000 else f"{counts[i, j] / 1000:.0f}k"
                axes.text(j, i, text, ha="center", va="center", color=color, fontsize=8)
    return figure
