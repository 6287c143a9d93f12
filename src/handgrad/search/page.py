"""study.html: the results of a study on a self-contained page."""

from __future__ import annotations

import time
from collections.abc import Mapping
from html import escape
from typing import Any

import tomli_w

import handgrad
from handgrad.pages import Cell, Column, Section, Table, cell, figure_html, page, table_html
from handgrad.search.results import Findings, Row, summary_lines
from handgrad.search.space import shown
from handgrad.search.study import Study
from handgrad.training.run import write_text

#: Maximum number of combinations in the table; if there are more, the best.
MAX_ROWS = 1000


def write_page(study: Study, found: Findings, figures: Mapping[str, tuple[str, str]]) -> None:
    """Writes `study.html` to the folder of the study.

    Arguments:
        figures: by name, the description and the SVG.
    """
    text = study_page(study.name, found, figures, tomli_w.dumps(study.about["plan"]))
    write_text(study.folder / "study.html", text, advice="Free some space; handgrad search show STUDY writes it again")


def study_page(name: str, found: Findings, figures: Mapping[str, tuple[str, str]], plan: str) -> str:
    """The page as HTML."""
    lead = [escape(line) for line in summary_lines(found)]
    written = f"handgrad {handgrad.__version__}, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}"
    drawn = {title: figure_html(svg, described(title, found)) for title, svg in figures.values()}
    return page(name, lead, study_sections(found, drawn, plan), footer=f"<p>{escape(written)}</p>")


def study_sections(found: Findings, figures: Mapping[str, str], plan: str) -> list[Section]:
    """The sections of a page below the summary of the study: the table, the figures, the study file.

    Arguments:
        figures: by title, as HTML.
    """
    drawn = "\n".join(f"<h3>{escape(title)}</h3>\n{figure}" for title, figure in figures.items())
    sections = [Section("Combinations", table_html(table := study_table(found)) + _left_out(found, table))]
    if drawn:
        sections.append(Section("Figures", drawn))
    sections.append(Section("The study file", f'<pre tabindex="0"><code>{escape(plan)}</code></pre>'))
    return sections


def described(title: str, found: Findings) -> str:
    """The description of a figure: its content and the best combination."""
    ranked = [row for row in found.rows if row.mean is not None]
    if not ranked:
        return title
    first = ranked[0]
    best = ", ".join(f"{k.replace('_', ' ')} {shown(v)}" for k, v in first.combination.items())
    return f"{title}. {len(ranked):,} combinations; the best, {best}, has {first.mean:.4f}."


def _left_out(found: Findings, table: Table) -> str:
    if len(found.rows) <= len(table.rows):
        return ""
    return f'<p class="faint">The best {len(table.rows):,} of {len(found.rows):,}; all are in trials.csv.</p>'


def study_table(found: Findings, most: int = MAX_ROWS) -> Table:
    """The combinations, best first.

    Arguments:
        most: maximum number of rows.
    """
    test = f"test_{found.figure.partition('_')[2]}"
    factors = [factor.name for factor in found.plan.factors]
    repeated, tested = found.plan.seeds > 1, found.plan.select != "test"
    heads = [("rank", True), *((name, _is_number(found, name)) for name in factors), (found.figure, True)]
    heads += [("±", True)] * repeated + [(test, True)] * tested
    heads += [("best_step", True), ("seconds", True), ("parameters", True), ("state", False)]
    rows = []
    for rank, row in enumerate(found.rows[:most], start=1):
        cells = [cell(rank if row.mean is not None else None, "d")]
        cells += [_level(row.combination[name]) for name in factors]
        cells.append(cell(row.mean))
        if repeated:
            cells.append(cell(row.spread))
        if tested:
            cells.append(cell(row.average(test) if found.shows_test(row) else None))
        cells += [cell(row.average("best_step"), ",.0f"), cell(row.average("seconds"), ".1f")]
        cells += [cell(row.average("parameters"), ",.0f"), Cell(_state(row))]
        rows.append(cells)
    return Table(
        f"{len(found.rows):,} combinations, {found.runs:,} runs" + (", best first" if found.best else ""),
        [Column(name.replace("_", " "), number) for name, number in heads],
        rows,
        best=frozenset(i for i, row in enumerate(found.rows[:most]) if row in found.best),
        sortable=True,
        label="combinations",
    )


def _is_number(found: Findings, name: str) -> bool:
    return all(_numeric(row.combination[name]) for row in found.rows)


def _numeric(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _level(value: Any) -> Cell:
    return Cell(shown(value), value if _numeric(value) else None)


def _state(row: Row) -> str:
    return "" if row.state == "complete" else row.state
