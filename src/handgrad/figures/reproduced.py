"""The curves of an experiment: several cases, each over several seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handgrad.figures.drawing import drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Okabe and Ito's palette, without the yellow, which is too light for lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#7F7F7F")
#: More cases than there are colours and line styles are drawn in one colour without a legend.
MOST_CASES = 16

#: Width of a character of the legend and height of one of its rows, in inches.
CHARACTER, ROW = 0.065, 0.17

Records = Sequence[Mapping[str, Any]]


@drawn
def cases_over_steps(
    curves: Mapping[str, Sequence[Records]],
    *,
    panels: Sequence[str] = ("accuracy", "loss"),
    lines: Mapping[str, float] | None = None,
) -> Figure:
    """Metrics of several cases against steps: means over seeds, with the range as a band.

    Arguments:
        curves: for each case, the evaluations of each seed, as in `metrics.jsonl`.
        panels: the content of each panel: `accuracy` or `loss`, for one case on every split, for several on the test
            set; or one metric, such as `train_loss` or `validation_error` (1 - accuracy).
        lines: published values, drawn as horizontal lines by panel.

    Returns: a figure of 4 by 3.4 inches per panel, higher if the legend has many rows.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(panels), 3.4), layout="constrained")
    curves = {name: seeds for name, seeds in curves.items() if seeds}
    many = len(curves) > MOST_CASES
    every = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(every, panels, strict=True):
        splits = ("train", "validation", "test") if len(curves) == 1 else ("test",)
        names = [panel] if "_" in panel else [f"{split}_{panel}" for split in splits]
        for i, (case, seeds) in enumerate(curves.items()):
            for j, name in enumerate(names):
                label = case if len(names) == 1 else name.partition("_")[0]
                _draw(axes, seeds, name, label, i + j, many)
        if lines and panel in lines:
            axes.axhline(lines[panel], color="#555555", linewidth=1, linestyle=":", label="the document")
        axes.set_xlabel("step")
        axes.set_title((names[0] if len(names) == 1 else panel).replace("_", " "))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    if not many:
        handles, labels = every[0].get_legend_handles_labels()
        longest = max(map(len, labels), default=0) * CHARACTER + 0.6  # inches, with the line
        columns = max(1, min(2 * len(panels), len(labels), int(figure.get_figwidth() / longest)))
        rows = math.ceil(len(labels) / columns)
        figure.set_figheight(3.4 + ROW * max(rows - 2, 0))
        figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=columns, fontsize=8)
    return figure


def _draw(axes: Any, seeds: Sequence[Records], name: str, label: str, place: int, many: bool) -> None:
    """Draws one line with its band; if there are too many to distinguish, all in the same faint colour."""
    steps, low, mean, high = _over_seeds(seeds, name)
    if not steps:
        return
    color = PALETTE[0] if many else PALETTE[place % len(PALETTE)]
    style = "-" if many or place < len(PALETTE) else "--"
    width, alpha = (0.6, 0.3) if many else (1.6, 1.0)
    marker = "o" if len(steps) == 1 else ""
    axes.plot(steps, mean, style, color=color, label=label, linewidth=width, alpha=alpha, marker=marker)
    if len(seeds) > 1 and not many:
        axes.fill_between(steps, low, high, color=color, alpha=0.2, linewidth=0)


def _over_seeds(seeds: Sequence[Records], name: str) -> tuple[list[int], list[float], list[float], list[float]]:
    """The steps of all seeds, and the minimum, mean and maximum at each."""
    by_step: dict[int, list[float]] = {}
    for records in seeds:
        for record in records:
            error = name.endswith("_error")
            value = record.get(name.replace("_error", "_accuracy"))
            if value is not None and math.isfinite(value):
                by_step.setdefault(record["step"], []).append(1 - value if error else value)
    steps = sorted(step for step, values in by_step.items() if len(values) == len(seeds))
    return (
        steps,
        [min(by_step[step]) for step in steps],
        [math.fsum(by_step[step]) / len(by_step[step]) for step in steps],
        [max(by_step[step]) for step in steps],
    )
