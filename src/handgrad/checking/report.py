"""A report as a table to read, JUnit XML, Gradescope's results.json, and Autolab's line of scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any
from xml.etree import ElementTree

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from handgrad.checking.catalogue import step_of
from handgrad.checking.contracts import CONTRACTS
from handgrad.checking.results import Finding, Hints, Part, Report, printable
from handgrad.checking.rubric import Score, total

MARKS = {
    "right": ("✓", "green"),
    "wrong": ("✗", "bold red"),
    "missing": ("–", "dim"),
    "cannot judge": ("?", "yellow"),
    "not judged": ("·", "dim"),
}


# -- for a person -----------------------------------------------------------------------------------------------------


def table(report: Report, hints: Hints = "nudge", scores: Sequence[Score] | None = None) -> RenderableType:
    """The output of `handgrad check`: one line per part; a wrong part also lists its bugs: place, evidence and hint."""
    heading = Text(printable(report.file), "bold")
    if report.contract:
        titles = {kind.name: kind.title for kind in CONTRACTS}
        names = report.contract.split("+")
        heading.append("   " + ", ".join(titles.get(name, name) for name in names), "cyan")
    else:
        heading.append("   no known interface", "yellow")
    lines: list[RenderableType] = [heading, Text()]
    width = max((len(part.part) for part in report.parts), default=0)
    for alike in _alike(report.parts):
        lines += _rows(alike[0], hints, width) if len(alike) == 1 else [_several(alike)]
    lines.append(Text())
    if scores is not None:
        lines += [_points(scores), Text()]
    lines += [
        Padding(Text.assemble(("note  ", "dim"), Text(printable(note), "dim")), (0, 0, 0, 2), expand=False)
        for note in report.notes
    ]
    lines.append(Padding(_summary(report), (0, 0, 0, 2), expand=False))
    return Group(*lines)


def _alike(parts: Sequence[Part]) -> list[list[Part]]:
    """Parts in order; missing ones, and those that cannot be judged for the same reason, are grouped."""
    groups: dict[Any, list[Part]] = {}
    for position, part in enumerate(parts):
        plain = part.verdict in ("missing", "cannot judge", "not judged") and not part.bugs and not part.notes
        groups.setdefault((part.verdict, part.reason) if plain else position, []).append(part)
    return list(groups.values())


def _several(parts: Sequence[Part]) -> RenderableType:
    """One line for parts with the same result."""
    mark, style = MARKS[parts[0].verdict]
    names = ", ".join(printable(part.part) for part in parts)
    reason = f": {printable(parts[0].reason)}" if parts[0].reason else ""
    return _line(mark, style, Text.assemble((parts[0].verdict, style), (reason, "dim"), "\n", (names, "dim")))


def _line(mark: str, style: str, text: Text) -> RenderableType:
    """A mark followed by text, possibly of several lines."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row(" ", Text(mark, style), text)
    return grid


def _rows(part: Part, hints: Hints, width: int) -> list[RenderableType]:
    mark, style = MARKS[part.verdict]
    line = Text(f"{printable(part.part):<{width}}", "dim" if part.verdict == "missing" else "")
    place = f"{part.file}:{part.line}" if part.line else part.file
    if part.verdict in ("missing", "cannot judge", "not judged"):
        line.append(f"  {part.verdict}", style)
        if part.reason and not any(bug.evidence == part.reason for bug in part.bugs):
            line.append(f": {printable(part.reason)}", "dim")
    elif part.verdict == "wrong":
        line.append(f"  {printable(place)}", "dim")
    rows: list[RenderableType] = [_line(mark, style, line)]
    rows += [Padding(_bug(bug, part, hints), (0, 0, 0, 6), expand=False) for bug in part.bugs]
    rows += [Padding(Text(printable(f"note: {note}"), "dim"), (0, 0, 0, 6), expand=False) for note in part.notes]
    return rows


def _bug(bug: Finding, part: Part, hints: Hints) -> Text:
    text = Text.assemble((printable(bug.title or bug.id), "bold"), (f"  [{bug.id}]", "dim"))
    if bug.line and (bug.file, bug.line) != (part.file, part.line):
        text.append(printable(f"  {bug.file}:{bug.line}"), "dim")
    text.append(printable(f"\n{bug.evidence}"))
    if hints != "none" and (step := step_of(bug.id, part.part, bug.known)):
        text.append(f"\n{step}", "dim")
    if hint := bug.hint(hints):
        text.append("\n→ ", "cyan").append(hint, "cyan")
    return text


def _points(rows: Sequence[Score]) -> RenderableType:
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    grid.add_column()
    grid.add_column(justify="right")
    for row in rows:
        name = Text(row.name) if row.parts else Text.assemble(row.name, ("  not found", "dim"))
        grid.add_row(name, f"{_number(row.points)} / {_number(row.of)}", style="" if row.points == row.of else "yellow")
    points, of = total(rows)
    grid.add_row(Text("points", "bold"), Text(f"{_number(points)} / {_number(of)}", "bold"))
    return Padding(grid, (0, 0, 0, 2), expand=False)


def _summary(report: Report) -> Text:
    counts = {verdict: sum(part.verdict == verdict for part in report.parts) for verdict in MARKS}
    words = [(f"{count} {verdict}", MARKS[verdict][1]) for verdict, count in counts.items() if count]
    text = Text(", ").join(Text(word, style) for word, style in words)
    how = f"   {report.seconds:.1f} s"
    how += f", sandbox: {', '.join(report.sandbox)}" if report.sandbox else ""
    how += f", --seed {report.seed}" if report.seed is not None else ""
    return text.append(how, "dim")


def _number(value: float) -> str:
    return f"{round(value, 2):g}"


def plain(part: Part, hints: Hints) -> str:
    """One part in plain text, for the formats that have no table."""
    lines = [part.reason] if part.reason and not part.bugs else []
    for bug in part.bugs:
        place = f" ({bug.file}:{bug.line})" if bug.line else ""
        lines.append(f"{bug.title or bug.id}{place} [{bug.id}]")
        lines.append(f"  {bug.evidence}")
        if hints != "none" and (step := step_of(bug.id, part.part, bug.known)):
            lines.append(f"  {step}")
        if hint := bug.hint(hints):
            lines.append(f"  -> {hint}")
    lines += [f"note: {note}" for note in part.notes]
    return "\n".join(lines)


# -- a page for a student ---------------------------------------------------------------------------------------------

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; }} td, th {{ text-align: left; padding: .2rem 1rem .2rem 0; vertical-align: top; }}
code {{ background: #f3f3f3; padding: 0 .2em; }} .right {{ color: #176f2c; }} .wrong {{ color: #b3261e; }}
.quiet {{ color: #666; }} article {{ border-left: 3px solid #b3261e; padding-left: 1rem; margin: 1rem 0; }}
article p {{ white-space: pre-line; margin: .3rem 0; }}
</style></head><body>
{body}
</body></html>
"""


def page(report: Report, rows: Sequence[Score], hints: Hints = "nudge") -> str:
    """The feedback on one hand-in as a self-contained HTML page: points, one line per part, one paragraph per bug."""
    body = [f"<h1>{escape(report.file)}</h1>", f"<p class=quiet>{escape(report.contract or 'no known interface')}</p>"]
    points, of = total(rows)
    body.append("<table><tr><th></th><th>points</th></tr>")
    body += [f"<tr><td>{escape(r.name)}</td><td>{_number(r.points)} of {_number(r.of)}</td></tr>" for r in rows]
    body.append(f"<tr><th>all</th><th>{_number(points)} of {_number(of)}</th></tr></table>")
    body.append("<h2>Parts</h2><table>")
    for part in report.parts:
        style = part.verdict if part.verdict in ("right", "wrong") else "quiet"
        said = escape(part.reason) if part.verdict not in ("right", "wrong") else ""
        bugs = ", ".join(f'<a href="#{escape(bug.id)}"><code>{escape(bug.id)}</code></a>' for bug in part.bugs)
        notes = "".join(f"<br><span class=quiet>note: {escape(note)}</span>" for note in part.notes)
        cells = f"<td>{escape(part.part)}</td><td class={style}>{part.verdict}</td><td>{bugs or said}{notes}</td>"
        body.append(f"<tr>{cells}</tr>")
    body.append("</table>")
    seen: set[str] = set()
    body += ["<h2>What is wrong</h2>"] if report.bugs else []
    for part in report.parts:
        for bug in part.bugs:
            place = f" ({escape(bug.file)}:{bug.line})" if bug.line else ""
            anchor = f' id="{escape(bug.id)}"' if bug.id not in seen else ""
            seen.add(bug.id)
            body.append(f"<article{anchor}><h3>{escape(bug.title or bug.id)}</h3>")
            body.append(f"<p class=quiet>{escape(part.part)}{place} <code>{escape(bug.id)}</code></p>")
            body.append(f"<p>{escape(bug.evidence)}</p>")
            if hints != "none" and (step := step_of(bug.id, part.part, bug.known)):
                body.append(f"<p>The derivation: <code>{escape(step)}</code></p>")
            if hint := bug.hint(hints):
                body.append(f"<p><b>{escape(hint)}</b></p>")
            body.append("</article>")
    body += [f"<p class=quiet>note: {escape(note)}</p>" for note in report.notes]
    body += [f"<p class=quiet>checked with --seed {report.seed}</p>"] if report.seed is not None else []
    return PAGE.format(title=escape(report.file), body="\n".join(body))


# -- for programs -----------------------------------------------------------------------------------------------------


def to_json(reports: Sequence[Report], hints: Hints = "nudge") -> str:
    """One object for one hand-in, a list for several."""
    found = [report.to_dict(hints) for report in reports]
    return json.dumps(found[0] if len(found) == 1 else found, indent=2, ensure_ascii=False)


def junit(reports: Sequence[Report], hints: Hints = "nudge") -> bytes:
    """JUnit XML: one test suite per hand-in, one test case per part. Missing parts and those that cannot be judged are
    skipped."""
    suites = ElementTree.Element("testsuites", name="handgrad check")
    counts = {"tests": 0, "failures": 0, "skipped": 0}
    for report in reports:
        own = {"tests": len(report.parts), "failures": 0, "skipped": 0}
        suite = ElementTree.SubElement(suites, "testsuite", name=xml_text(report.file), time=f"{report.seconds:.3f}")
        for part in report.parts:
            name, owner = xml_text(part.part), xml_text(report.contract or "hand-in")
            case = ElementTree.SubElement(suite, "testcase", name=name, classname=owner)
            if part.file:
                case.set("file", xml_text(part.file))
            if part.line:
                case.set("line", str(part.line))
            text = xml_text(plain(part, hints))
            if part.verdict == "wrong":
                own["failures"] += 1
                message = "; ".join(bug.title or bug.id for bug in part.bugs)
                failure = ElementTree.SubElement(case, "failure", message=xml_text(message), type="wrong")
                failure.text = text
            elif part.verdict != "right":
                own["skipped"] += 1
                ElementTree.SubElement(case, "skipped", message=xml_text(f"{part.verdict}: {part.reason}"))
            elif text:
                ElementTree.SubElement(case, "system-out").text = text
        for name, value in own.items():
            suite.set(name, str(value))
            counts[name] += value
        suite.set("errors", "0")
    for name, value in counts.items():
        suites.set(name, str(value))
    suites.set("errors", "0")
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, "utf-8", xml_declaration=True)


def xml_text(text: str) -> str:
    """The text without characters that XML 1.0 cannot contain."""
    return "".join(
        c if c in "\t\n" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff") else "\ufffd"
        for c in text
    )


def gradescope(report: Report, rows: Sequence[Score], hints: Hints = "nudge") -> dict[str, Any]:
    """Gradescope's results.json: one test per entry of the points; its output, visible to students, lists the bugs."""
    tests = []
    for row in rows:
        outputs = [f"{part.part}: {part.verdict}\n{plain(part, hints)}".rstrip() for part in row.parts]
        if not row.parts:
            outputs = ["not found in the hand-in"]
        tests.append(
            {
                "name": row.name,
                "score": row.points,
                "max_score": row.of,
                "status": "passed" if row.points == row.of else "failed",
                "output": "\n\n".join(outputs),
                "output_format": "text",
                "visibility": "visible",
            }
        )
    notes = [
        *report.notes,
        *(plain(part, hints) for part in report.parts if part.part == "hand-in" or part.file == part.part),
    ]
    output = [f"{report.file}: {report.contract or 'no known interface'}", *notes]
    return {
        "score": round(total(rows)[0], 4),
        "execution_time": round(report.seconds),
        "output": "\n".join(output),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
    }


def autolab(rows: Sequence[Score]) -> str:
    """Autolab's line, the last one that its driver prints."""
    return json.dumps({"scores": {row.name: row.points for row in rows}})
