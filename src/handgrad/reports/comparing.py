"""Comparison of configurations: metrics with standard deviations and confidence intervals, and statistical tests."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from handgrad.pages import Cell, Column, Table, cell
from handgrad.reports.configurations import (
    MEASURE_NAMES,
    SEEDS,
    Configuration,
    Group,
    differing,
)
from handgrad.reports.significance import ALPHA, MIN_SEEDS, POWER, Difference, mean_interval, share_interval
from handgrad.reports.words import duration, listed
from handgrad.training.judging import MEASURES


def figure_name(figure: str) -> str:
    """The name of a metric in headings: test accuracy, validation RMSE."""
    split, _, measure = figure.partition("_")
    return f"{split} {MEASURE_NAMES.get(measure, measure)}"


def form_of(figure: str) -> str:
    """The format of a metric: four significant digits for errors in a target's unit, otherwise four decimals."""
    return ".4g" if figure.rpartition("_")[2] in ("rmse", "mae") else ".4f"


def shown(value: float, figure: str) -> str:
    return format(value, form_of(figure)).replace("-", "\N{MINUS SIGN}")


def with_spread(values: Sequence[float], figure: str) -> str:
    """The mean with the standard deviation over seeds, or a single value unchanged."""
    if not values:
        return ""
    mean = shown(statistics.fmean(values), figure)
    return mean if len(values) < 2 else f"{mean} ± {shown(statistics.stdev(values), figure)}"


def interval_of(configuration: Configuration, figure: str) -> tuple[float, float] | None:
    """The 95% confidence interval of a configuration's mean; None for fewer than `MIN_SEEDS` seeds."""
    values = configuration.values(figure)
    return mean_interval(values) if len(values) >= MIN_SEEDS else None


def interval_shown(interval: tuple[float, float] | None, figure: str) -> str:
    return "" if interval is None else f"{shown(interval[0], figure)} to {shown(interval[1], figure)}"


def results_table(group: Group) -> Table:
    """The metrics at the last step, one row per configuration, best first."""
    ranked = group.ranked
    figures = _figures(ranked)
    columns = [Column("configuration", False), Column("seeds"), Column(figure_name(group.figure))]
    repeated = any(len(c.values(group.figure)) >= MIN_SEEDS for c in ranked)
    if repeated:
        columns.append(Column("95% interval"))
    columns += [Column(figure_name(figure)) for figure in figures if figure != group.figure]
    best_step = any(c.first.summary["selected_by"].startswith("validation") for c in ranked) and all(
        "test" in c.splits for c in ranked
    )
    at_best = f"test_{ranked[0].measure}"
    if best_step:
        columns.append(Column(f"{figure_name(at_best)} at the best validation"))
    columns += [Column("parameters"), Column("time per run")]
    rows = []
    for c in ranked:
        values = c.values(group.figure)
        row = [Cell(c.label), cell(len(values), "d"), _mean_cell(c, group.figure)]
        if repeated:
            row.append(Cell(interval_shown(interval_of(c, group.figure), group.figure), statistics.fmean(values)))
        row += [_mean_cell(c, figure) for figure in figures if figure != group.figure]
        if best_step:
            best = c.values(at_best, "best")
            row.append(Cell(with_spread(best, at_best), statistics.fmean(best)) if best else Cell("", ""))
        seconds = statistics.fmean(run.summary["seconds"] for run in c.runs)
        row += [cell(c.first.summary["parameters"], ",d"), Cell(duration(seconds), seconds)]
        rows.append(row)
    several = any(len(c.runs) > 1 for c in ranked)
    spread = ", mean ± standard deviation over seeds" if several else ""
    return Table(
        f"Metrics at the last step{spread}; data: {group.data}",
        columns,
        rows,
        best=_unbeaten(group),
        sortable=len(rows) > 2,
        label="results",
    )


def _unbeaten(group: Group) -> frozenset[int]:
    """Indices of the best configuration and of those not significantly worse; empty if none is significantly worse."""
    if len(group.ranked) < 2:
        return frozenset()
    first = group.ranked[0]
    beaten = {other.letter for one, other, found in group.pairs if one is first and found.winner == 0}
    return frozenset(i for i, c in enumerate(group.ranked) if c.letter not in beaten) if beaten else frozenset()


def _figures(configurations: Sequence[Configuration]) -> list[str]:
    first = configurations[0]
    wanted = [f"{split}_{m}" for split in ("test", "validation", "train") for m in (*MEASURES[first.task], "loss")]
    if first.task == "regression":  # MAE and R² of the split that decides are enough
        decisive = first.judged_by.partition("_")[0]
        wanted = [f for f in wanted if f.partition("_")[0] == decisive or f.partition("_")[2] in ("rmse", "loss")]
    return [figure for figure in wanted if any(c.values(figure) for c in configurations)]


def _mean_cell(configuration: Configuration, figure: str) -> Cell:
    values = configuration.values(figure)
    return Cell(with_spread(values, figure), statistics.fmean(values)) if values else Cell("", "")


def settings_table(configurations: Sequence[Configuration]) -> Table | None:
    """A table of the settings in which configurations differ; None if they do not differ."""
    names = differing(configurations) if len(configurations) > 1 else []
    names = [name for name in names if name not in SEEDS]
    if not names:
        return None
    rows = [[Cell(name.replace("_", " ")), *(Cell(c.setting(name)) for c in configurations)] for name in names]
    columns = [Column("setting", False), *(Column(c.letter, False) for c in configurations)]
    return Table("Settings that differ", columns, rows, label="settings")


# -- statistical tests ------------------------------------------------------------------------------------------------


def comparison_table(group: Group) -> Table | None:
    """A table of all pairs with difference, confidence interval and verdict; None for a single configuration."""
    judged = group.pairs
    if not judged:
        return None
    figure = group.figure
    rows = []
    for one, other, found in judged:
        rows.append(
            [
                Cell(f"{one.letter} \N{MINUS SIGN} {other.letter}"),
                Cell(_signed(found.difference, figure), found.difference),
                Cell(interval_shown(found.interval, figure)),
                Cell("" if found.p is None else "< 0.0001" if found.p < 1e-4 else f"{found.p:.4f}"),
                Cell(verdict(one, other, found)),
            ]
        )
    columns = [
        Column("difference", False),
        Column(figure_name(figure)),
        Column("95% interval"),
        Column("p"),
        Column("verdict", False, wraps=True),
    ]
    return Table(f"Differences in {figure_name(figure)}, Welch's t-test over seeds", columns, rows, label="comparison")


def _signed(value: float, figure: str) -> str:
    return ("+" if value > 0 else "") + shown(value, figure)


def verdict(one: Configuration, other: Configuration, found: Difference) -> str:
    """The result of the test as a sentence."""
    if found.winner is not None:
        better, worse = (one, other) if found.winner == 0 else (other, one)
        return f"{better.letter} is better than {worse.letter}."
    seeds = _suggested(found)
    if found.why:
        more = f" About {seeds:,} seeds per configuration are needed." if seeds else ""
        return f"Cannot say: {found.why}.{more}"
    if seeds is None:
        return "No significant difference. Detecting a difference this small would take too many seeds."
    return f"No significant difference. About {seeds:,} seeds per configuration would detect a difference of this size."


def _suggested(found: Difference) -> int | None:
    """The number of seeds that a verdict suggests; None if it suggests none."""
    if found.winner is not None or (found.why and (found.needed or 0) <= MIN_SEEDS):
        return None
    return found.needed


def comparison_notes(group: Group, test_samples: int | None) -> list[str]:
    """Notes on how to read the comparison."""
    ranked = group.ranked
    count = len(ranked) * (len(ranked) - 1) // 2
    notes = [
        "A difference is significant if its 95% confidence interval does not contain 0."
        + (
            f" The intervals and p-values are corrected for {count:,} comparisons (Bonferroni). All intervals hold "
            f"simultaneously with a probability of {1 - ALPHA:.0%}."
            if count > 1
            else ""
        ),
    ]
    if any(_suggested(found) for _, _, found in group.pairs):
        notes.append(f"The suggested number of seeds would detect a difference of this size with {POWER:.0%} power.")
    if any(c.config.data is not None and c.config.test_size is not None for c in ranked):
        notes.append(
            "Each seed uses a different test split, so the standard deviation includes the variation between splits."
        )
    elif test_samples and group.figure == "test_accuracy":
        best = statistics.fmean(ranked[0].values("test_accuracy"))
        low, high = share_interval(best, test_samples)
        notes.append(
            f"The standard deviation is over seeds. All runs use the same {test_samples:,} test samples. For a test "
            f"set of this size, the 95% confidence interval of an accuracy of {best:.4f} is {low:.4f} to {high:.4f}."
        )
    return notes


def headline(group: Group) -> str:
    """The result of the best configuration, and whether it is significantly better than the others."""
    ranked = group.ranked
    if not ranked:
        return "No run has finished."
    first, figure = ranked[0], group.figure
    values = first.values(figure)
    seeds = f" ({len(values)} seeds)" if len(values) > 1 else ""
    said = f"{figure_name(figure)} {with_spread(values, figure)}{seeds}"
    if len(ranked) == 1:
        return f"{said[0].upper()}{said[1:]} at the last step."
    judged = {(one.letter, other.letter): found for one, other, found in group.pairs}
    beaten = [c.letter for c in ranked[1:] if judged.get((first.letter, c.letter), _NOTHING).winner == 0]
    others = [c.letter for c in ranked[1:] if c.letter not in beaten]
    said = f"{first.letter} ({first.name}) has the {'lowest' if group.less_is_better else 'highest'} {said}."
    if len(beaten) == 1:
        found = judged[first.letter, beaten[0]]
        by = shown(abs(found.difference), figure)
        said += f" It is better than {beaten[0]} by {by} (95% interval {_size_interval(found, figure)})."
    elif beaten:
        said += f" It is significantly better than {listed(beaten)}."
    if others:
        next_one = ranked[1 + [c.letter for c in ranked[1:]].index(others[0])]
        words = verdict(first, next_one, judged[first.letter, next_one.letter])
        said += (
            f" Compared with {listed(others)}: {words[0].lower()}{words[1:]}"
            if len(others) == 1
            else f" The differences from {listed(others)} are not significant."
        )
    return said


def _size_interval(found: Difference, figure: str) -> str:
    """The confidence interval of the size of a significant difference."""
    assert found.interval is not None  # as there is a winner
    return interval_shown((min(map(abs, found.interval)), max(map(abs, found.interval))), figure)


_NOTHING = Difference(0.0)
