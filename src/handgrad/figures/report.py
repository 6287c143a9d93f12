"""The figures of a report: curves of several configurations with their spread, calibration, weights, layers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad._typing import Array, Float, Integer, Num, UInt8
from handgrad.figures.drawing import COLORS, FOREGROUND, MARKERS, in_our_colors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The usual size of an update relative to its weight.
USUAL_UPDATE = 1e-3

_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)), (0, (3, 3)))


@dataclass(frozen=True)
class Line:
    """The curves of one configuration.

    Arguments:
        label: its name.
        style: its number, which determines colour and dashes.
        runs: steps and values of the evaluations of each run.
        faint: whether to draw a thinner line, as for the training data.
    """

    label: str
    style: int
    runs: Sequence[Sequence[tuple[float, float]]]
    faint: bool = False


def color_of(style: int) -> str:
    """The colour of a configuration."""
    return COLORS[style % len(COLORS)]


def mean_and_spread(runs: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float, float]]:
    """Step, mean and standard deviation over runs, at the steps at which at least two runs were evaluated (for a single
    run, all steps with a deviation of 0)."""
    at: dict[float, list[float]] = {}
    for run in runs:
        for step, value in run:
            at.setdefault(step, []).append(value)
    fewest = min(2, len(runs))
    steps = sorted(step for step, values in at.items() if len(values) >= fewest)
    return [(s, statistics.fmean(v := at[s]), statistics.stdev(v) if len(v) > 1 else 0.0) for s in steps]


@in_our_colors
def several_curves(lines: Sequence[Line], *, quantity: str, legend: bool = True) -> Figure:
    """One quantity against steps, with one line per configuration: the mean over seeds ± one standard deviation.

    Arguments:
        quantity: its name.
        legend: whether to draw a legend.

    Returns: a figure of 5.2 by 3.7 inches. Lines differ in colour and in dashes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.7), layout="constrained")
    axes = figure.subplots()
    for line in lines:
        points = mean_and_spread(line.runs)
        if not points:
            continue
        steps, means, spreads = (np.array(column) for column in zip(*points, strict=True))
        color = color_of(line.style)
        how: dict[str, Any] = {"color": color, "linestyle": _DASHES[line.style % len(_DASHES)]}
        how |= {"linewidth": 1.1, "alpha": 0.75} if line.faint else {"linewidth": 2.0}
        marker = "o" if len(points) == 1 else ""
        axes.plot(steps, means, label=None if line.faint else line.label, marker=marker, **how)
        if spreads.any() and not line.faint:
            axes.fill_between(steps, means - spreads, means + spreads, color=color, alpha=0.2, linewidth=0)
    axes.set_xlabel("step")
    axes.set_title(quantity, fontsize=11)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8.5, handlelength=3.2)
    _plain(axes)
    return figure


@in_our_colors
def seeds(points: Sequence[tuple[str, int, Sequence[float], tuple[float, float] | None]], *, quantity: str) -> Figure:
    """Every run of every configuration as a dot, with the mean and its 95% interval.

    Arguments:
        points: for each configuration, its label, its style, one value per run, and the interval, or None.
        quantity: the name of the values.

    Returns: a figure 5.2 inches wide.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 1.3 + 0.45 * len(points)), layout="constrained")
    axes = figure.subplots()
    for i, (_, style, values, interval) in enumerate(points):
        color = color_of(style)
        if interval is not None:
            axes.plot(interval, (i, i), color=color, linewidth=6, alpha=0.3, solid_capstyle="butt")
        axes.plot(values, [i] * len(values), "o", color=color, markersize=5, markeredgecolor="white", linestyle="")
        axes.plot(statistics.fmean(values), i, "|", color=FOREGROUND, markersize=17, markeredgewidth=2)
    axes.set_yticks(range(len(points)), [_short(label, 40) for label, *_ in points], fontsize=8.5)
    axes.set_ylim(len(points) - 0.5, -0.5)
    axes.set_xlabel(quantity)
    _plain(axes)
    return figure


@in_our_colors
def confusion_shares(table: Num[Array, "K K"], names: Sequence[str]) -> Figure:
    """The confusion matrix, shaded by the fraction of each row, with numbers in the cells.

    Arguments:
        table: number of samples of class i (row) classified as class j (column).

    Returns: a figure whose size depends on the names and numbers.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    counts = np.asarray(table, np.float64)
    k = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(7.6, max(3.2, 1.4 + 0.34 * min(k, 20)))
    figure = Figure(figsize=(side + 0.2, side), layout="constrained")
    axes = figure.subplots()
    shades = LinearSegmentedColormap.from_list("to blue", ["#eef4f9", "#56a0cf", "#00405f"])
    image = axes.imshow(shares, cmap=shades, vmin=0, vmax=1, interpolation="nearest")
    step = max(1, -(-k // 40))
    shown = [_short(name, 14) for name in names][::step]
    tilted: dict[str, Any] = {}
    if max(map(len, shown)) > 3:
        tilted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(0, k, step), shown, fontsize=9 if k <= 20 else 7, **tilted)
    axes.set_yticks(range(0, k, step), shown, fontsize=9 if k <= 20 else 7)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if k <= 20:
        for i, j in np.ndindex(k, k):
            if counts[i, j]:
                red, green, blue, _ = image.to_rgba(np.asarray(shares[i, j]))
                color = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
                text = f"{counts[i, j]:,.0f}" if counts[i, j] < 10_000 else f"{counts[i, j] / 1000:.0f}k"
                axes.text(j, i, text, ha="center", va="center", color=color, fontsize=8.5 if k <= 12 else 7)
    return figure


@in_our_colors
def reliability(
    edges: Float[Array, "B+1"],
    count: Integer[Array, "B"],
    accuracy: Float[Array, "B"],
    confidence: Float[Array, "B"],
    *,
    error: float,
) -> Figure:
    """A reliability diagram: accuracy by confidence, with the number of samples in each bin.

    Arguments:
        edges: edges of the confidence bins.
        count, accuracy, confidence: number, accuracy and mean confidence of the samples in each bin.
        error: the expected calibration error.

    Returns: a figure of 4.6 by 4.6 inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = count > 0
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    axes.plot((0, 1), (0, 1), color=FOREGROUND, linewidth=1, linestyle="--", label="perfect calibration")
    axes.bar(middle[filled], accuracy[filled], 0.9 * width[filled], color=COLORS[0], alpha=0.85, label="accuracy")
    how: dict[str, Any] = {"color": COLORS[3], "markersize": 4.5, "clip_on": False, "linestyle": ""}
    axes.plot(confidence[filled], accuracy[filled], "D", label="at the mean confidence", **how)
    axes.set_ylabel("accuracy")
    axes.set_ylim(0, 1.02)
    axes.set_xlim(0, 1)
    figure.legend(frameon=False, fontsize=8.5, loc="outside upper left", ncols=3, handlelength=1.6, columnspacing=1.2)
    axes.set_title(f"expected calibration error {error:.4f}", fontsize=10)
    below.bar(middle, count, 0.9 * width, color=COLORS[7])
    below.set_ylabel("samples")
    below.set_xlabel("confidence: the probability of the predicted class")
    for panel in (axes, below):
        _plain(panel)
    return figure


@in_our_colors
def predicted_and_true(predicted: Float[Array, "n"], true: Float[Array, "n"], *, name: str) -> Figure:
    """The predictions of a regression for one target against the true values.

    Arguments:
        predicted, true: in the unit of the target.
        name: the name of the target.

    Returns: a figure of 4.6 by 4.4 inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.subplots()
    low = float(min(predicted.min(), true.min()))
    high = float(max(predicted.max(), true.max()))
    axes.plot((low, high), (low, high), color=FOREGROUND, linewidth=1, linestyle="--")
    many = len(true) > 300
    how: dict[str, Any] = {"color": COLORS[0], "alpha": 0.4 if many else 0.8, "rasterized": len(true) > 1500}
    axes.plot(true, predicted, "o", markersize=3 if many else 4.5, markeredgewidth=0, linestyle="", **how)
    axes.set_xlabel(f"true {_short(name, 40)}")
    axes.set_ylabel("predicted")
    _plain(axes)
    return figure


@in_our_colors
def pictures(tiles: UInt8[Array, "n H W *C"], *, columns: int = 16) -> Figure:
    """Pictures of equal size in rows, such as the weights of a first layer.

    Arguments:
        tiles: grey (n, H, W), or with three channels.
        columns: maximum number of pictures per row.

    Returns: a figure at most 7.2 inches wide.
    """
    from matplotlib.figure import Figure

    n, height, width = tiles.shape[:3]
    columns = min(columns, n)
    rows = -(-n // columns)
    gap = 1 if max(height, width) <= 8 else 2
    whole = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), np.uint8)  # gaps are transparent
    for i, tile in enumerate(tiles):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        whole[y : y + height, x : x + width, :3] = tile[..., None] if tile.ndim == 2 else tile
        whole[y : y + height, x : x + width, 3] = 255
    across = min(7.2, max(2.4, 0.45 * columns))
    figure = Figure(figsize=(across, across * whole.shape[0] / whole.shape[1]))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(whole, interpolation="nearest")
    axes.set_axis_off()
    return figure


@in_our_colors
def feature_weights(weight: Float[Array, "H D"], names: Sequence[str]) -> Figure:
    """The weights of a first layer for tabular inputs, with one row per feature and one column per unit.

    Arguments:
        weight: the weight of the first layer.
        names: the names of the features.

    Returns: a figure whose height depends on the number of features; negative weights are orange, positive ones purple.
    """
    from matplotlib.figure import Figure

    features = weight.shape[1]
    figure = Figure(figsize=(6.4, min(12.0, max(2.0, 0.9 + 0.24 * features))), layout="constrained")
    axes = figure.subplots()
    most = float(np.abs(weight).max()) or 1.0
    image = axes.imshow(weight.T, cmap="PuOr", vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
    step = max(1, -(-features // 48))
    axes.set_yticks(range(0, features, step), [_short(name, 28) for name in names][::step], fontsize=8.5)
    axes.set_xlabel("hidden unit")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, shrink=min(1.0, 1.2 / figure.get_figheight() + 0.5), pad=0.02)
    bar.set_label("weight")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    return figure


@in_our_colors
def by_layer(rows: Sequence[Mapping[str, Any]], quantity: str, *, title: str, usual: float | None = None) -> Figure:
    """One quantity layer by layer, on a logarithmic scale.

    Arguments:
        rows: one mapping per layer, in order, with `name`, `kind` and, if known, the quantity.
        quantity: its key.
        title: above the panel.
        usual: a typical value, drawn as a dotted line.

    Returns: a figure of 5.2 inches by 3.6.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    known = [row for row in rows if row.get(quantity, 0) > 0]
    values = [row[quantity] for row in known]
    if usual is not None:
        axes.axhline(usual, color=FOREGROUND, linewidth=1, linestyle=":", alpha=0.8)
    axes.plot(range(len(known)), values, marker=MARKERS[0], color=COLORS[0], linewidth=1.8, markersize=5)
    around = [*values, *([usual] if usual is not None else [])]
    if around:
        middle = math.sqrt(min(around) * max(around))
        axes.set_yscale("log")
        axes.set_ylim(min(min(around) / 2, middle / 10), max(max(around) * 2, middle * 10))  # at least two decades
    step = max(1, -(-len(known) // 18))
    names = [_short(f"{row['name']} {row['kind']}", 18) for row in known][::step]
    tilted = {"rotation": 50, "ha": "right", "rotation_mode": "anchor"} if len(names) > 3 else {}
    axes.set_xticks(range(0, len(known), step), names, fontsize=8, **tilted)
    axes.set_title(title, fontsize=11)
    _plain(axes)
    return figure


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _plain(axes) -> None:
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
