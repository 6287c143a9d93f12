"""Figures of studies: accuracy by each factor, heat maps of two factors, importances, curves, cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handgrad.figures.drawing import COLORS, FOREGROUND, MARKERS, in_our_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Maximum number of marks drawn as vectors in an SVG; more are drawn as pixels.
MANY = 1500


@dataclass(frozen=True)
class Axis:
    """A factor in a figure.

    Arguments:
        name: display name.
        labels: labels of its levels, in order.
        log: for ranges, whether the scale is logarithmic.
        numeric: whether it is a range; values are then numbers, and levels are bins.
    """

    name: str
    labels: tuple[str, ...] = ()
    log: bool = False
    numeric: bool = False


@dataclass(frozen=True)
class Point:
    """A combination in a figure.

    Arguments:
        levels: the index of the level of each factor.
        numbers: the value of each factor that is a range.
        value: accuracy or loss.
        spread: standard deviation over seeds; None for one seed.
        cost: cost of a run, in billions of multiply-adds.
        label: description of the combination.
        curve: steps and values.
    """

    levels: tuple[int, ...]
    numbers: tuple[float | None, ...]
    value: float
    spread: float | None
    cost: float
    label: str
    curve: tuple[tuple[float, float], ...] = ()


@in_our_colors
def by_factor(points: Sequence[Point], axes: Sequence[Axis], *, figure: str, marks: Sequence[int] = ()) -> Figure:
    """One panel per factor: every combination at its level, with other factors as marks.

    Arguments:
        points: the combinations.
        axes: the factors.
        figure: description of `value`.
        marks: indices of the factors shown by colour (first) and shape.

    Returns: a figure 4.2 inches by 3.4 for each panel, with one legend for all.
    """
    from matplotlib.figure import Figure

    columns = min(3, len(axes))
    lines = math.ceil(len(axes) / columns)
    color, shape = (*marks, None, None)[:2]
    made = Figure(figsize=(max(6.0, 4.2 * columns), 3.4 * lines + 0.9), layout="constrained")
    panels = made.subplots(lines, columns, squeeze=False, sharey=True)
    for i, panel in enumerate(panels.flat):
        if i >= len(axes):
            panel.set_visible(False)
            continue
        _panel(panel, points, i, axes[i], color, shape, axes)
        if i % columns == 0:
            panel.set_ylabel(figure)
    _marks_legend(made, axes, color, shape)
    return made


def _panel(panel: Axes, points: Sequence[Point], i: int, axis: Axis, color, shape, axes: Sequence[Axis]) -> None:
    levels = len(axes[color].labels) if color is not None else 1
    groups: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for k, point in enumerate(points):
        c = point.levels[color] if color is not None else 0
        number = point.numbers[i] if axis.numeric else None
        x = number if number is not None else point.levels[i] + _dodge(point, i, (color, shape), axes)
        if number is None and len(points) > 60:
            x += 0.1 * ((0.618034 * k) % 1.0 - 0.5)  # so that marks at the same position are next to each other
        mark = point.levels[shape] % len(MARKERS) if shape is not None else 0
        groups.setdefault((c, mark), []).append((x, point.value))
    for (c, mark), places in groups.items():
        panel.plot(
            *zip(*places, strict=True),
            marker=MARKERS[mark],
            color=_level_color(c, levels),
            markersize=6.5 if len(points) <= 200 else 4,
            markeredgecolor="white",
            markeredgewidth=0.5,
            linestyle="",
            alpha=0.9 if len(points) <= 200 else 0.6,
            rasterized=len(points) > MANY,
        )
    if axis.numeric:
        if axis.log:
            panel.set_xscale("log")
    else:
        for level in range(len(axis.labels)):
            here = [point.value for point in points if point.levels[i] == level]
            if here:
                mean = sum(here) / len(here)
                panel.plot((level - 0.36, level + 0.36), (mean, mean), color=FOREGROUND, linewidth=1.6, alpha=0.75)
        _name_levels(panel.xaxis, axis)
        panel.set_xlim(-0.6, len(axis.labels) - 0.4)
    panel.set_title(axis.name)
    _plain(panel)


def _dodge(point: Point, i: int, marks: Sequence[int | None], axes: Sequence[Axis]) -> float:
    """The offset of a mark from the centre of its level: by the first factor of the marks that is not the panel's."""
    by = next((mark for mark in marks if mark is not None and mark != i and len(axes[mark].labels) > 1), None)
    return 0.5 * (point.levels[by] / (len(axes[by].labels) - 1) - 0.5) if by is not None else 0.0


def _level_color(level: int, levels: int) -> Any:
    """The colour of a level, from the palette or, if there are too many levels, from a colour scale."""
    if levels <= len(COLORS):
        return COLORS[level]
    from matplotlib import colormaps

    return colormaps["viridis"](0.95 * level / (levels - 1))


def _marks_legend(made: Figure, axes: Sequence[Axis], color: int | None, shape: int | None) -> None:
    """One legend for all panels: one line for the colours, one for the shapes."""
    from matplotlib.lines import Line2D

    def mark(label: str, **how: Any) -> Any:
        return Line2D([], [], linestyle="", label=label, markersize=7, **how)

    lines = [[Line2D([], [], color=FOREGROUND, linewidth=1.6, alpha=0.75, label="mean")]]
    if color is not None:
        levels = len(axes[color].labels)
        marks = [mark(t, marker="o", color=_level_color(i, levels)) for i, t in enumerate(axes[color].labels[:12])]
        lines.insert(0, [mark(f"{axes[color].name}:"), *marks])
    if shape is not None:
        labels = axes[shape].labels[: len(MARKERS)]
        marks = [mark(t, marker=MARKERS[i], color=FOREGROUND, alpha=0.75) for i, t in enumerate(labels)]
        lines[1:] = [[mark(f"{axes[shape].name}:"), *marks, *lines[1]]]
    longest = max(map(len, lines))
    padded = [line + [mark(" ") for _ in range(longest - len(line))] for line in lines]
    made.legend(
        # legends are filled column by column
        handles=[handle for column in zip(*padded, strict=True) for handle in column],
        loc="outside lower center",
        ncols=longest,
        frameon=False,
        fontsize=9,
        handletextpad=0.3,
        columnspacing=1.2,
    )


@in_our_colors
def heat(points: Sequence[Point], axes: Sequence[Axis], one: int, other: int, *, figure: str, better=max) -> Figure:
    """A heat map of two factors, with the best value over all other factors in each cell.

    Arguments:
        one, other: indices of the factors down and across.
        better: max or min.

    Returns: a figure that grows with the number of cells.
    """
    import numpy as np
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    down, across = axes[one], axes[other]
    cells: dict[tuple[int, int], float] = {}
    for point in points:
        cell = point.levels[one], point.levels[other]
        cells[cell] = better(cells[cell], point.value) if cell in cells else point.value
    rows, columns = len(down.labels), len(across.labels)
    size = (max(4.6, min(16.0, 1.0 * columns + 2.4)), max(3.0, min(12.0, 0.55 * rows + 1.7)))
    made = Figure(figsize=size, layout="constrained")
    panel = made.subplots()
    values = [[cells.get((r, c), math.nan) for c in range(columns)] for r in range(rows)]
    low, high = min(cells.values()), max(cells.values())
    colors = colormaps["viridis" if better is max else "viridis_r"].with_extremes(bad=(0.5, 0.5, 0.5, 0.12))
    edges = [i - 0.5 for i in range(columns + 1)], [i - 0.5 for i in range(rows + 1)]
    masked = np.ma.masked_invalid(values)
    top = high if high > low else low + 1e-9
    image = panel.pcolormesh(*edges, masked, cmap=colors, vmin=low, vmax=top, rasterized=rows * columns > MANY)
    panel.invert_yaxis()
    best = better(cells.values())
    decimals = 3 if columns <= 14 else 2
    for (r, c), value in cells.items():
        if columns > 25:
            break
        bright = sum(w * x for w, x in zip((0.299, 0.587, 0.114), image.to_rgba(np.asarray(value))[:3], strict=True))
        panel.text(
            c,
            r,
            f"{value:.{decimals}f}",
            ha="center",
            va="center",
            color="black" if bright > 0.5 else "white",
            fontsize=10 if columns <= 10 else 7.5,
            fontweight="bold" if value == best else "normal",
        )
    _name_levels(panel.xaxis, across)
    _name_levels(panel.yaxis, down)
    panel.set_xlabel(across.name)
    panel.set_ylabel(down.name)
    panel.set_title(figure + (", best over the other factors" if len(axes) > 2 else ""), fontsize=11)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)
    return made


@in_our_colors
def importances(values: Mapping[str, float], *, how: str = "") -> Figure:
    """The importance of each factor as a labelled bar chart.

    Arguments:
        values: fractions that sum to 1, in drawing order, largest first.
        how: description of the method.

    Returns: a figure 7 inches wide.
    """
    from matplotlib.figure import Figure

    made = Figure(figsize=(7, 0.42 * len(values) + 1.3), layout="constrained")
    panel = made.subplots()
    names = list(values)[::-1]
    panel.barh(names, [values[name] for name in names], color=COLORS[0], height=0.62)
    for i, name in enumerate(names):
        panel.text(values[name] + 0.01, i, f"{values[name]:.2f}", va="center", fontsize=10)
    panel.set_xlim(0, 1.1 * max([*values.values(), 0.05]))
    panel.set_title("importance" + (f" ({how})" if how else ""), fontsize=11)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(axis="y", length=0)
    panel.grid(alpha=0.25, axis="x")
    panel.set_axisbelow(True)
    return made


@in_our_colors
def best_curves(best: Sequence[Point], worst: Point | None, *, figure: str, names: str = "") -> Figure:
    """Learning curves of the best combinations, and of the worst.

    Arguments:
        best: best first.
        worst: None if all are among the best.
        names: names of the factors, above the labels.

    Returns: a figure 10 inches by 4.6.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    made = Figure(figsize=(10, 4.6), layout="constrained")
    panel = made.subplots()
    scale = colormaps["viridis"]
    if worst is not None and worst.curve:
        label = f"worst: {_short(worst.label)}"
        panel.plot(*zip(*worst.curve, strict=True), color="#888888", linestyle="--", linewidth=1.6, label=label)
    for i, point in reversed(list(enumerate(best))):
        if not point.curve:
            continue
        color = COLORS[3] if i == 0 else scale(0.15 + 0.7 * i / max(1, len(best) - 1))
        how: dict[str, Any] = {"color": color, "linewidth": 2.4 if i == 0 else 1.3, "alpha": 1 if i == 0 else 0.85}
        how["marker"] = "o" if len(point.curve) == 1 else ""
        panel.plot(*zip(*point.curve, strict=True), label=f"{i + 1}: {_short(point.label)}", zorder=3 - i / 20, **how)
    handles, labels = panel.get_legend_handles_labels()
    where: dict[str, Any] = {"loc": "outside right upper", "alignment": "left"}
    made.legend(handles[::-1], labels[::-1], title=names, title_fontsize=8.5, frameon=False, fontsize=8.5, **where)
    panel.set_xlabel("step")
    panel.set_ylabel(figure)
    _plain(panel)
    return made


def _short(label: str, most: int = 48) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"


@in_our_colors
def cost(points: Sequence[Point], *, figure: str, sign: int = 1, names: str = "") -> Figure:
    """Cost against accuracy: each combination by the arithmetic of a run, with the Pareto front.

    Arguments:
        sign: 1 if larger values are better, -1 if smaller ones are.
        names: names of the factors, above the labels of the front.

    Returns: a figure 8 inches by 4.8.
    """
    from matplotlib.figure import Figure

    made = Figure(figsize=(8, 4.8), layout="constrained")
    panel = made.subplots()
    on_front = front(points, sign)
    panel.plot(
        [p.cost for p in points],
        [p.value for p in points],
        "o",
        color=COLORS[0],
        alpha=0.65 if len(points) <= 200 else 0.3,
        markersize=6,
        markeredgecolor="white",
        markeredgewidth=0.5,
        rasterized=len(points) > MANY,
    )
    if on_front:
        xs, ys = [p.cost for p in on_front], [p.value for p in on_front]
        panel.step(xs, ys, where="post", color=COLORS[3], linewidth=1.6, zorder=1)
        panel.plot(xs, ys, "o", color=COLORS[3], markersize=7, markeredgecolor="white", label="front")
    costs = [p.cost for p in points if p.cost > 0]
    if costs and max(costs) > 8 * min(costs):
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:g}")
    _label_front(panel, on_front, names)
    panel.set_xlabel("cost of a run (billion multiply-adds)")
    panel.set_ylabel(figure)
    _plain(panel)
    return made


def front(points: Sequence[Point], sign: int = 1) -> list[Point]:
    """The Pareto-optimal points in cost and value, cheapest first."""
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -sign * p.value)):
        if not found or sign * point.value > sign * found[-1].value:
            found.append(point)
    return found


def _label_front(panel: Axes, on_front: Sequence[Point], names: str) -> None:
    """Numbers at the points of the front, explained below the panel: at most eight, including the best."""
    shown = list(on_front[-8:])
    lines = []
    for i, point in enumerate(shown, start=1):
        how: dict[str, Any] = {"textcoords": "offset points", "xytext": (-4, 6), "ha": "right", "fontsize": 9}
        panel.annotate(str(i), (point.cost, point.value), color=COLORS[3], fontweight="bold", **how)
        lines.append(f"{i}  {point.value:.3f}   {point.cost:,.3g}   {_short(point.label, 70)}")
    if lines:
        panel.figure.legend(
            handles=[_empty_handle() for _ in lines],
            labels=lines,
            loc="outside lower left",
            frameon=False,
            fontsize=8.5,
            handlelength=0,
            handletextpad=0,
            title=f"Pareto front: {names}" if names else "Pareto front",
            alignment="left",
            title_fontsize=9,
        )


def _empty_handle() -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="")


def _name_levels(axis: Any, of: Axis) -> None:
    """Labels at the levels of an axis: rotated if they are long, thinned if there are many."""
    every = max(1, math.ceil(len(of.labels) / 25))
    places = range(0, len(of.labels), every)
    labels = [_short(of.labels[i], 22) for i in places]
    long = axis.axis_name == "x" and sum(map(len, labels)) > 30
    how: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if long else {}
    axis.set_ticks(list(places), labels, fontsize=9, **how)


def _plain(panel: Axes) -> None:
    panel.grid(alpha=0.25)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
