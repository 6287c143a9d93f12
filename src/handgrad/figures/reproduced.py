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

Records = Sequence[Mapping[str, Any]]


@drawn
def cases_over_steps(curves: Mapping[str, Sequence[Records]], *, lines: Mapping[str, float] | None = None) -> Figure:
    """Two panels, accuracy and loss. One case: training, validation and test, as means over seeds with their range.
    Several: the test figures of each.

    Arguments:
        curves: of each case the evaluations of each seed, as in `metrics.jsonl`.
        lines: published values to draw across a panel: `accuracy`, `loss`.

    Returns: a figure of 9 by 3.8 inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    panels = figure.subplots(1, 2)
    curves = {name: seeds for name, seeds in curves.items() if seeds}
    many = len(curves) > MOST_CASES
    for axes, quantity in zip(panels, ("accuracy", "loss"), strict=True):
        for i, (name, seeds) in enumerate(curves.items()):
            splits = ("train", "validation", "test") if len(curves) == 1 else ("test",)
            for j, split in enumerate(splits):
                steps, low, mean, high = _over_seeds(seeds, f"{split}_{quantity}")
                if not steps:
                    continue
                color = PALETTE[0] if many else PALETTE[(i + j) % len(PALETTE)]
                style = "-" if many or i < len(PALETTE) else "--"
                label = split if len(curves) == 1 else name
                marker = "o" if len(steps) == 1 else ""
                width, alpha = (0.6, 0.3) if many else (1.6, 1.0)
                axes.plot(steps, mean, style, color=color, label=label, linewidth=width, alpha=alpha, marker=marker)
                if len(seeds) > 1 and not many:
                    axes.fill_between(steps, low, high, color=color, alpha=0.2, linewidth=0)
        if lines and quantity in lines:
            axes.axhline(lines[quantity], color="#555555", linewidth=1, linestyle=":", label="the document")
        axes.set_xlabel("step")
        axes.set_title(quantity if len(curves) == 1 else f"test {quantity}")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    if not many:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=min(4, len(labels)), fontsize=8)
    return figure


def _over_seeds(seeds: Sequence[Records], name: str) -> tuple[list[int], list[float], list[float], list[float]]:
    """The steps that all seeds have, and the least, mean and largest value at each."""
    by_step: dict[int, list[float]] = {}
    for records in seeds:
        for record in records:
            if record.get(name) is not None and math.isfinite(record[name]):
                by_step.setdefault(record["step"], []).append(record[name])
    steps = sorted(step for step, values in by_step.items() if len(values) == len(seeds))
    return (
        steps,
        [min(by_step[step]) for step in steps],
        [math.fsum(by_step[step]) / len(by_step[step]) for step in steps],
        [max(by_step[step]) for step in steps],
    )
