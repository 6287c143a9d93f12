"""study.html: the results of a study on a self-contained page."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping
from typing import Any

import tomli_w

import handgrad
from handgrad.search.results import Findings, Row, summary_lines
from handgrad.search.space import shown
from handgrad.search.study import Study
from handgrad.training.run import write_text

#: Maximum number of combinations in the table; if there are more, the best.
MOST_ROWS = 1000

_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1a1b1e; --faint: #5c6370; --line: #d9dce1; --good: #e3f3ea }
@media (prefers-color-scheme: dark) {
  :root { --ground: #16181d; --text: #e4e6ea; --faint: #9aa1ad; --line: #353a44; --good: #17382a }
}
body { background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 68rem; padding: 0 1rem }
h1 { font-size: 1.6rem; margin: 0 0 .5rem } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem }
p { margin: .3rem 0 } .faint, caption { color: var(--faint) } .said { font-size: 1.1rem }
.scroll { overflow-x: auto; max-height: 34rem; overflow-y: auto; border: 1px solid var(--line); border-radius: .4rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
thead th { position: sticky; top: 0; background: var(--ground) }
th button { all: unset; cursor: pointer; font-weight: 600 } th button:focus-visible { outline: 2px solid #0072b2 }
th[aria-sort=ascending] button::after { content: " \\25B2" }
th[aria-sort=descending] button::after { content: " \\25BC" }
tr.best td { background: var(--good) }
figure { margin: 0 } figure svg { width: 100%; height: auto; display: block }
pre { background: color-mix(in srgb, var(--line) 35%, transparent); padding: .8rem 1rem; border-radius: .4rem;
  overflow-x: auto; font-size: .88rem }
"""

_SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") === "descending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = row => row.cells[column].dataset.v;
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const both = x - y;
      return (Number.isNaN(both) ? x.localeCompare(y) : both) * (up ? 1 : -1);
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
  }));
}
"""


def write_page(study: Study, found: Findings, figures: Mapping[str, tuple[str, str]]) -> None:
    """Writes `study.html` to the folder of the study.

    Arguments:
        figures: by name, the description and the SVG.
    """
    text = page(study.name, found, figures, tomli_w.dumps(study.about["plan"]))
    write_text(study.folder / "study.html", text, advice="Free some space; handgrad search show STUDY writes it again")


def page(name: str, found: Findings, figures: Mapping[str, tuple[str, str]], plan: str) -> str:
    """The page as HTML."""
    said = [html.escape(line) for line in summary_lines(found)]
    counted = f"{len(found.rows):,} combinations, {found.runs:,} runs; handgrad {handgrad.__version__}, "
    counted += time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    parts = [
        f"<h1>{html.escape(name)}</h1>",
        *(f'<p class="said">{line}</p>' for line in said[:1]),
        *(f"<p>{line}</p>" for line in said[1:]),
        f'<p class="faint">{counted}</p>',
        "<h2>Combinations</h2>",
        _table(found),
    ]
    for title, svg in figures.values():
        parts.append(f"<h2>{html.escape(title)}</h2>\n<figure role=img aria-label={_quoted(title)}>{svg}</figure>")
    parts.append(f"<h2>The study file</h2>\n<pre>{html.escape(plan)}</pre>")
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(name)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n"
        f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def _quoted(text: str) -> str:
    return f'"{html.escape(text, quote=True)}"'


def _table(found: Findings) -> str:
    test = f"test_{found.figure.partition('_')[2]}"
    factors = [factor.name for factor in found.plan.factors]
    heads = ["rank", *factors, found.figure]
    if found.plan.seeds > 1:
        heads.append("±")
    if found.plan.select != "test":
        heads.append(test)
    heads += ["best_step", "seconds", "parameters", "state"]
    listed = found.rows[:MOST_ROWS]
    lines = []
    for rank, row in enumerate(listed, start=1):
        cells = [_cell(rank if row.mean is not None else None), *(_cell(row.combination[name]) for name in factors)]
        cells.append(_cell(row.mean, ".4f"))
        if found.plan.seeds > 1:
            cells.append(_cell(row.spread, ".4f"))
        if found.plan.select != "test":
            cells.append(_cell(row.average(test) if found.shows_test(row) else None, ".4f"))
        cells += [_cell(row.average("best_step"), ",.0f"), _cell(row.average("seconds"), ".1f")]
        cells += [_cell(row.average("parameters"), ",.0f"), _cell(_state(row))]
        lines.append(f"<tr{' class=best' if row in found.best else ''}>{''.join(cells)}</tr>")
    head = "".join(f"<th><button>{html.escape(name.replace('_', ' '))}</button></th>" for name in heads)
    more = ""
    if len(found.rows) > len(listed):
        more = f'<p class="faint">The best {len(listed):,} of {len(found.rows):,}; all are in trials.csv.</p>'
    body = "\n".join(lines)
    return (
        f'<div class="scroll"><table class="sortable"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>'
        f"</div>{more}"
    )


def _state(row: Row) -> str:
    return "" if row.state == "complete" else row.state


def _cell(value: Any, form: str = "") -> str:
    """A cell with its sort key."""
    if value is None:
        return '<td data-v=""></td>'
    if form:
        return f'<td data-v="{value}">{value:{form}}</td>'
    text = html.escape(shown(value), quote=True)
    by = value if isinstance(value, (int, float)) and not isinstance(value, bool) else text
    return f'<td data-v="{by}">{text}</td>'
