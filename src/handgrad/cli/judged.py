"""Tables with the metrics of each class or target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from handgrad.cli.reporting import measure_name

#: Maximum numbers of classes for the table of metrics and for the confusion matrix.
MAX_ROWS, MAX_COLUMNS = 60, 20


def judged_tables(details: Mapping[str, Any], title: str) -> Iterator[Table]:
    """The tables of one evaluation, from `training.judging.details`; none if it is empty."""
    if "targets" in details:
        yield _rows(title, "target", details["targets"])
        return
    classes, confusion = details.get("classes", {}), details.get("confusion", [])
    if 0 < len(classes) <= MAX_ROWS:
        yield _rows(title, "class", classes)
    if 0 < len(classes) <= MAX_COLUMNS:
        table = Table(title=f"{title}: true class (row) and predicted class (column)", title_justify="left")
        table.add_column("")
        for name in classes:
            table.add_column(escape(name), justify="right")
        for i, (name, row) in enumerate(zip(classes, confusion, strict=True)):
            cells = (f"[bold]{count:,}[/]" if i == j else f"{count:,}" if count else "·" for j, count in enumerate(row))
            table.add_row(escape(name), *cells)
        yield table


def _rows(title: str, kind: str, rows: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(kind)
    columns = list(next(iter(rows.values())))
    for column in columns:
        table.add_column(measure_name(column), justify="right")
    for name, row in rows.items():
        table.add_row(escape(name), *(_cell(column, row[column]) for column in columns))
    return table


def _cell(column: str, value: float) -> str:
    if column == "support":
        return f"{value:,}"
    return f"{value:.4g}" if column in ("rmse", "mae") else f"{value:.4f}"
