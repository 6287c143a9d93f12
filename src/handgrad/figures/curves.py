"""Accuracy and loss against steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handgrad.figures.drawing import drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: One colour per split (Okabe and Ito's colour-blind-safe palette).
COLORS = {"train": "#888888", "validation": "#E69F00", "test": "#0072B2"}


@drawn
def curves(records: Sequence[Mapping[str, Any]], *, title: str = "") -> Figure:
    """Two panels, accuracy and loss, with one line per split; for regression, RMSE and loss.

    Arguments:
        records: evaluations in order, each with `step` and `{train,validation,test}_{accuracy,loss}` or
            `…_{rmse,loss}`; None for missing values.
        title: above both panels.

    Returns: a figure of 9 by 3.6 inches; the last test accuracy, or RMSE, is marked and labelled.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    figure.suptitle(title)
    measure = "rmse" if any("train_rmse" in record for record in records) else "accuracy"
    for axes, quantity in zip(panels, (measure, "loss"), strict=True):
        for split, color in COLORS.items():
            points = [
                (r["step"], r[f"{split}_{quantity}"]) for r in records if r.get(f"{split}_{quantity}") is not None
            ]
            if points:
                marker = "o" if len(points) == 1 else ""
                axes.plot(*zip(*points, strict=True), color=color, label=split, linewidth=1.8, marker=marker)
        axes.set_xlabel("step")
        axes.set_title("RMSE, in the unit of the target" if quantity == "rmse" else quantity)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    _mark_last(panels[0], records, measure)
    if panels[0].get_lines():
        panels[0].legend(frameon=False, loc="upper right" if measure == "rmse" else "lower right")
    return figure


def _mark_last(axes, records: Sequence[Mapping[str, Any]], measure: str) -> None:
    """Marks the last value, not the best, because the best of many test results is optimistically biased."""
    if not records or records[-1].get(f"test_{measure}") is None:
        return
    step, value = records[-1]["step"], records[-1][f"test_{measure}"]
    axes.plot(step, value, "o", color=COLORS["test"], markersize=5)
    offset, text = ((0, 8), f"{value:.4g}") if measure == "rmse" else ((0, -14), f"{value:.4f}")
    how = {"textcoords": "offset points", "xytext": offset, "ha": "right", "color": COLORS["test"], "fontsize": 9}
    axes.annotate(text, (step, value), **how)
