"""The figures of a study."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from handgrad.errors import RunError
from handgrad.figures import save_png, save_svg
from handgrad.figures import search as draw
from handgrad.figures.search import Axis, Point
from handgrad.pages import inline
from handgrad.search.results import Findings, Row
from handgrad.search.sampling import in_memory
from handgrad.search.space import Factor, shown
from handgrad.search.worker import sign_of
from handgrad.training.run import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Maximum number of combinations in figures; if there are more, the best.
MAX_DRAWN = 20_000
#: Number of levels into which a range is divided where levels are needed.
BINS = 6
#: Number of heat maps, for the most important pairs of factors.
MAX_HEAT_MAPS = 3


def axes_of(found: Findings) -> list[Axis]:
    """The factors in the form required for figures."""
    return [_axis(factor, found.rows) for factor in found.plan.factors]


def _axis(factor: Factor, rows: Sequence[Row]) -> Axis:
    name = factor.name.replace("_", " ")
    if factor.range is None:
        return Axis(name, tuple(shown(value) for value in factor.values))
    edges = _edges(factor)
    labels = [f"{shown(low)} to {shown(high)}" for low, high in itertools.pairwise(edges)]
    return Axis(name, tuple(labels), log=factor.range.log, numeric=True)


def _edges(factor: Factor) -> list[float]:
    span = factor.range
    assert span is not None
    low, high = (math.log(span.low), math.log(span.high)) if span.log else (span.low, span.high)
    edges = [low + (high - low) * i / BINS for i in range(BINS + 1)]
    return [float(f"{math.exp(edge) if span.log else edge:.2g}") for edge in edges]


def _level(factor: Factor, value: Any) -> int:
    if factor.range is None:
        return factor.values.index(value) if value in factor.values else len(factor.values) - 1
    return min(BINS - 1, sum(value >= edge for edge in _edges(factor)[1:]))


def points_of(found: Findings) -> list[Point]:
    """The combinations that were trained to the end, best first."""
    points = []
    for row in found.rows[:MAX_DRAWN]:
        if row.mean is None:
            continue
        numbers = [row.combination[f.name] if f.range is not None else None for f in found.plan.factors]
        points.append(
            Point(
                tuple(_level(factor, row.combination[factor.name]) for factor in found.plan.factors),
                tuple(numbers),
                row.mean,
                row.spread,
                (row.average("multiply_adds") or 0.0) / 1e9,
                " · ".join(map(shown, row.combination.values())),
                _curve(row),
            )
        )
    return points


def _curve(row: Row) -> tuple[tuple[float, float], ...]:
    """The mean over the seeds if they were evaluated at the same steps; otherwise the curve of the first seed."""
    curves = [result.figures.get("curve") or [] for result in row.results if result.state == "complete"]
    steps = [[step for step, _ in curve] for curve in curves]
    if not curves or any(other != steps[0] for other in steps[1:]):
        return tuple(tuple(pair) for pair in curves[0]) if curves else ()
    means = [sum(values) / len(curves) for values in zip(*([v for _, v in c] for c in curves), strict=True)]
    return tuple(zip(steps[0], means, strict=True))


def importances(found: Findings) -> dict[str, float]:
    """The importance of each factor by Optuna's PED-ANOVA, in decreasing order; empty if too few runs have finished.

    Source: Watanabe, Bansal, Hutter (2023), PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
    Subspaces.
    """
    scored = [(row.combination, row.score) for row in found.rows[:MAX_DRAWN] if row.mean is not None]
    varied = [f for f in found.plan.factors if f.range is not None or len(f.values) > 1]
    if len(scored) < 4 or len({score for _, score in scored}) < 2 or not varied:
        return {}
    with warnings.catch_warnings(), contextlib.suppress(ValueError, RuntimeError):
        warnings.simplefilter("ignore")
        study = in_memory(found.plan, scored)
        values = optuna.importance.get_param_importances(study)
        return {name.replace("_", " "): value for name, value in values.items()}
    return {}


def figures_of(found: Findings) -> dict[str, tuple[str, Callable[[], Figure]]]:
    """All figures with data: file name, description, and drawing function."""
    points, axes = points_of(found), axes_of(found)
    if not points:
        return {}
    name, sign = found.figure.replace("_", " "), sign_of(found.figure)
    matters = importances(found)
    names = [axis.name for axis in axes]
    order = sorted(range(len(axes)), key=lambda i: (-matters.get(names[i], 0.0), i))
    made: dict[str, tuple[str, Callable[[], Figure]]] = {}
    marks = order[:2] if len(axes) > 1 else []
    made["by-factor"] = (
        f"{name.capitalize()} by each factor, with other factors as marks",
        lambda: draw.by_factor(points, axes, figure=name, marks=marks),
    )
    pairs = [(order[i], order[j]) for j in range(1, len(order)) for i in range(j)][:MAX_HEAT_MAPS]
    for a, b in pairs:
        one, other = sorted((a, b), key=lambda i: len(axes[i].labels))  # the longer axis is horizontal
        file = f"heat-{_file(names[one])}-{_file(names[other])}"

        def heat(one=one, other=other) -> Figure:
            return draw.heat(points, axes, one, other, figure=name, better=max if sign > 0 else min)

        made[file] = (f"{names[one]} against {names[other]}", heat)
    if matters:
        made["importance"] = (
            "Importance of each factor, from 0 to 1",
            lambda: draw.importances(matters, how="PED-ANOVA"),
        )
    if any(point.curve for point in points):
        worst = points[-1] if len(points) > 10 else None
        made["curves"] = (
            "Learning curves of the best ten" + (" and the worst" if worst else ""),
            lambda: draw.best_curves(points[:10], worst, figure=name, names=" · ".join(names)),
        )
    made["cost"] = (f"Cost against {name}", lambda: draw.cost(points, figure=name, sign=sign, names=" · ".join(names)))
    return made


def _file(name: str) -> str:
    return name.replace(" ", "-")


def write_figures(found: Findings, folder: Path) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Writes each figure as PNG and SVG.

    Returns: by file name, the description and the SVG for the page; and messages about figures that could not be drawn.
    """
    pages: dict[str, tuple[str, str]] = {}
    problems: list[str] = []
    for file, (title, make) in figures_of(found).items():
        try:
            figure = make()
            advice = "Free some space; handgrad search show STUDY draws the figures again"
            with replacing(folder / f"{file}.png", advice=advice) as path:
                save_png(figure, path)
            text = io.BytesIO()
            save_svg(figure, text, salt=file)
            with replacing(folder / f"{file}.svg", advice=advice) as path:
                path.write_bytes(text.getvalue())
            pages[file] = (title, inline(text.getvalue().decode()))
        except RunError as error:
            problems.append(str(error))
        except Exception as error:  # any error of matplotlib and its fonts; the results do not depend on figures
            problems.append(f"cannot draw {file}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    return pages, problems
