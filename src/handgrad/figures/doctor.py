"""Figures of the doctor: the loss against the learning rate, and measurements layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handgrad.figures.drawing import drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colour-blind-safe palette.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#888888"
#: A step usually changes a weight by about a thousandth of its size.
USUAL_UPDATE = 1e-3


@drawn
def range_test(
    rates: Sequence[float],
    losses: Sequence[float],
    *,
    own: float,
    named: float | None,
    chance: float,
    steps: int,
    title: str = "",
) -> Figure:
    """The loss after a short trial with each learning rate.

    Arguments:
        rates: increasing.
        losses: of the same length; infinite for diverged trials, which are drawn as crosses at the top.
        own: the rate of the run.
        named: the recommended rate, or None.
        chance: the loss of an uninformed prediction.
        steps: number of steps per trial.
        title: above the panel.

    Returns: a figure of 7 by 4 inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    top = 1.5 * chance
    inside = [(rate, loss) for rate, loss in zip(rates, losses, strict=True) if loss <= top]
    outside = [rate for rate, loss in zip(rates, losses, strict=True) if not loss <= top]
    axes.axhline(chance, color=GREY, linewidth=1, linestyle=":")
    axes.annotate(
        "uninformed prediction",
        (rates[0], chance),
        xytext=(0, 4),
        textcoords="offset points",
        color=GREY,
        fontsize=9,
    )
    if inside:
        axes.plot(*zip(*inside, strict=True), "o-", color=BLUE, linewidth=1.8, markersize=4)
    if outside:
        axes.plot(outside, [top] * len(outside), "x", color=RED, label="diverged, or off the scale")
    axes.axvline(own, color=ORANGE, linewidth=1.8, label=f"as set: {own:g}")
    if named is not None:
        axes.axvline(named, color=GREEN, linewidth=1.8, linestyle="--", label=f"recommended: {named:g}")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.05 * top)
    axes.set_xlabel("learning rate")
    axes.set_ylabel(f"loss after {steps} steps")
    axes.set_title(title)
    axes.legend(frameon=False, loc="lower left")
    _plain(axes)
    return figure


@drawn
def layers(
    looks: Sequence[Mapping[str, Any]],
    updates: Sequence[Mapping[str, Any]] = (),
    *,
    title: str = "",
) -> Figure:
    """A network layer by layer, in four panels.

    Arguments:
        looks: one mapping per layer, in order, with `name` and `kind` and, if known, `spread` (of the output over the
            samples), `weight_gradient` and `weight_size`, `dead` of `units`, `saturated`.
        updates: one mapping per observed step: `step`, and the relative size of the update of each weight.
        title: above all panels.

    Returns: a figure of 10 by 7 inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    (signal, gradient), (units, moves) = figure.subplots(2, 2)
    figure.suptitle(title)
    names = [f"{look['name']} {look['kind']}" for look in looks]

    _by_layer(signal, names, [look.get("spread") for look in looks], BLUE)
    signal.set_title("spread of the output over the samples")

    weighted = [(n, look) for n, look in zip(names, looks, strict=True) if look.get("weight_size")]
    relative = [look.get("weight_gradient", math.nan) / look["weight_size"] for _, look in weighted]
    _by_layer(gradient, [name for name, _ in weighted], relative, GREEN)
    gradient.set_title("gradient of a weight relative to its size")

    _units(units, [(n, look) for n, look in zip(names, looks, strict=True) if look.get("units")])
    _updates(moves, updates)
    return figure


def _by_layer(axes, names: Sequence[str], values: Sequence[float | None], color: str) -> None:
    points = [(i, value) for i, value in enumerate(values) if value is not None and 0 < value < math.inf]
    if points:
        axes.plot(*zip(*points, strict=True), "o-", color=color, linewidth=1.8, markersize=4)
        _at_least_two_decades(axes, [value for _, value in points])
    _name_layers(axes, names)


def _units(axes, active: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    dead = [100 * look["dead"] / look["units"] for _, look in active]
    saturated = [(i + 0.2, 100 * look["saturated"]) for i, (_, look) in enumerate(active) if "saturated" in look]
    axes.bar([i - 0.2 for i in range(len(active))], dead, 0.4, color=RED, label="dead: no slope for any sample")
    if saturated:
        axes.bar(*zip(*saturated, strict=True), 0.4, color=ORANGE, label="saturated: below a tenth of the slope")
    if not any(dead) and not any(share for _, share in saturated):
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=GREY)
    axes.set_ylim(0, 100)
    axes.set_ylabel("%")
    axes.set_title("units that pass no gradient")
    if active:
        axes.legend(frameon=False, loc="upper right", fontsize=8)
    _name_layers(axes, [name for name, _ in active])


def _updates(axes, updates: Sequence[Mapping[str, Any]]) -> None:
    from matplotlib import colormaps

    weights = [name for name in (updates[0] if updates else {}) if name != "step"]
    colors = colormaps["viridis"]
    drawn = []
    for i, name in enumerate(weights):
        points = [(row["step"], row[name]) for row in updates if 0 < row.get(name, 0) < math.inf]
        if points:
            drawn += [value for _, value in points]
            ends = i in (0, len(weights) - 1) or len(weights) <= 6
            how: dict[str, Any] = {"color": colors(0.9 * i / max(1, len(weights) - 1)), "linewidth": 1.4}
            axes.plot(*zip(*points, strict=True), "o-", markersize=3, label=name if ends else None, **how)
    if drawn:
        axes.set_xscale("log")
        _at_least_two_decades(axes, [*drawn, USUAL_UPDATE])
        axes.legend(frameon=False, fontsize=8)
    axes.axhline(USUAL_UPDATE, color=GREY, linewidth=1, linestyle=":")
    axes.set_xlabel("step")
    axes.set_title("update of a weight relative to its size (dotted: usual)")
    _plain(axes)


def _at_least_two_decades(axes, values: Sequence[float]) -> None:
    """A logarithmic axis with a minimum range, so that a factor of two does not look large."""
    middle = math.sqrt(min(values) * max(values))
    axes.set_yscale("log")
    axes.set_ylim(min(min(values) / 2, middle / 10), max(max(values) * 2, middle * 10))


def _name_layers(axes, names: Sequence[str]) -> None:
    tilted: dict[str, Any] = {"rotation": 50, "ha": "right", "rotation_mode": "anchor"} if len(names) > 4 else {}
    axes.set_xticks(range(len(names)), names, fontsize=8, **tilted)
    axes.set_xlim(-0.5, max(0.5, len(names) - 0.5))
    _plain(axes)


def _plain(axes) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
