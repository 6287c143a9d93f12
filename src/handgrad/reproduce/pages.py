"""Writes the page of an entry as Markdown, with a plot and a JSON file, the index of all pages and the leaderboard."""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handgrad.errors import ConfigError, RunError
from handgrad.reproduce.entries import DOCUMENTS, Entry, Printed, Statement, all_entries
from handgrad.reproduce.running import Outcome, Row
from handgrad.reproduce.verdicts import ABOVE, BELOW, INDICATIVE, REACHED, REPRODUCED, allowance
from handgrad.training.recipes import recipe_settings, recipe_text
from handgrad.training.run import write_figure, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ADVICE = {"advice": "Free some space or choose another --out"}
#: Tables and curves of more cases than this are replaced by those of their study.
MOST_CASES = 40

_EXPLAINED = {
    "reproduced": "our results agree with the document",
    "above": "our results are larger",
    "below": "our results are smaller",
    "contradicted": "our runs show the opposite of a statement",
    "undecided": "a difference is not larger than the variation between seeds",
    "indicative": "the runs were scaled down, so they allow no conclusion",
    "cannot be": "it cannot be reproduced; the page explains why",
    "reached": "a record reaches its goal",
    "missed": "a record does not reach its goal",
}


def number(value: float | str | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "diverged"
    if isinstance(value, str):
        return value
    return f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) >= 0.01 or value == 0 else f"{value:.4g}"


def _ours(row: Row) -> str:
    """Our mean and standard deviation over seeds, as text."""
    if row.values and isinstance(row.values[0], str):
        return str(row.values[0])
    if row.mean is None:
        return "diverged"
    several = f" ± {row.spread:.4f}" if row.spread is not None else ""
    diverged = len(row.values) - len(row.numbers)
    mean = f"{row.mean:.4f}" if several else number(row.mean)
    return mean + several + (f", {diverged} diverged" if diverged else "")


def table_rows(outcome: Outcome) -> Iterator[list[str]]:
    """One row per published value: case, measure, document, here, allowance, verdict."""
    for row in outcome.rows:
        what = row.what
        if isinstance(what, Printed):
            settled = not isinstance(what.value, str) and row.numbers
            allowed = number(allowance(float(what.value), row.numbers, what.measure, what.samples)) if settled else ""
            measure = what.measure.replace("_", " ").removeprefix("setting ")
            if outcome.entry.kind == "settings":
                allowed = ""
            yield [what.case, measure, number(what.value), _ours(row), allowed, row.verdict]


def statement_rows(outcome: Outcome) -> Iterator[list[str]]:
    """One row per statement: its text, the compared means, the difference, the number of pairs, verdict."""
    for row in outcome.rows:
        if isinstance(row.what, Statement):
            error = row.spread / math.sqrt(len(row.numbers)) if row.spread is not None else None
            difference = "diverged" if row.mean is None else f"{row.mean:+.4f}"
            compared = " against ".join(map(number, row.sides or ()))
            yield [
                row.what.words,
                compared,
                difference + (f" ± {error:.4f}" if error is not None else ""),
                str(len(row.values)),
                row.verdict,
            ]


def case_rows(outcome: Outcome) -> Iterator[list[str]]:
    """One row per case: last test accuracy, best test accuracy and last training accuracy, as means over seeds."""
    for name, seeds in outcome.curves.items():
        if not seeds:
            yield [name, "diverged", "", "", "0"]
            continue
        last = [records[-1]["test_accuracy"] for records in seeds]
        best = [max(record["test_accuracy"] for record in records) for records in seeds]
        train = [records[-1]["train_accuracy"] for records in seeds]
        yield [name, *(_mean(values) for values in (last, best, train)), str(len(seeds))]


def _mean(values: list[float]) -> str:
    return f"{statistics.fmean(values):.4f}" + (f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else "")


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows), ""]


def verdict_line(outcome: Outcome) -> str:
    """The verdict and its explanation."""
    judged = [row for row in outcome.rows if not isinstance(row.what, Printed) or row.what.headline]
    if outcome.entry.cannot:
        return f"cannot be: {outcome.entry.cannot}"
    if outcome.verdict == INDICATIVE:
        return f"indicative: {_EXPLAINED[INDICATIVE]}."
    agree = sum(row.verdict in (REPRODUCED, REACHED) for row in judged)
    kinds = {"values": Printed, "goals" if outcome.entry.kind == "record" else "statements": Statement}
    parts = [word for word, kind in kinds.items() if any(isinstance(row.what, kind) for row in judged)]
    said = f"{outcome.verdict}: {_EXPLAINED[outcome.verdict]}{_for_better(outcome)}"
    return f"{said} ({agree} of {len(judged)} {' and '.join(parts)})."


def _for_better(outcome: Outcome) -> str:
    """Whether the difference is an improvement, if the values that differ are all of one kind."""
    missed = {
        row.what.measure.endswith(("loss", "error"))
        for row in outcome.rows
        if isinstance(row.what, Printed) and row.what.headline and row.verdict != REPRODUCED
    }
    if outcome.verdict not in (ABOVE, BELOW) or len(missed) != 1:
        return ""
    return ", which is better" if (outcome.verdict == BELOW) == missed.pop() else ", which is worse"


def page(outcome: Outcome, figures: Mapping[str, str] | None = None) -> str:
    """The page of an outcome, in Markdown.

    Arguments:
        figures: the descriptions of its plots, by file name.
    """
    entry, done = outcome.entry, outcome.done
    record = entry.kind == "record"
    lines = [f"# {entry.title}", "", f"`{entry.name}`, {DOCUMENTS[entry.document]}.", "", entry.says, ""]
    lines += [f"**Verdict: {verdict_line(outcome)}**", "", "```sh", command(outcome), "```", ""]
    if rows := list(table_rows(outcome)):
        lines += _table(["case", "metric", "document", "here", "allowance", "verdict"], rows)
    if rows := list(statement_rows(outcome)):
        words, number_of = ("goal", "seeds") if record else ("statement", "pairs")
        lines += _table([words, "here", "difference ± standard error", number_of, "verdict"], rows)
    for file, title in (figures or {}).items():
        lines += [f"![{title}]({file})", ""]
    rows = list(case_rows(outcome))
    if len(rows) > MOST_CASES and outcome.study is not None:
        lines += [f"[All combinations with their settings and results]({_csv(entry)}), best first.", ""]
    if 1 < len(rows) <= MOST_CASES or record:
        every = "Means" if record else "All cases, as means"
        lines += [f"{every} over seeds ± their standard deviation:", ""]
        lines += _table(["case", "last test accuracy", "best test accuracy", "last training accuracy", "seeds"], rows)
    if record:
        lines += _recipes(entry)
    if entry.notes:
        lines += ["## Notes", "", *(f"- {note}" for note in entry.notes), ""]
    if done:
        steps = done["steps"]
        lines += [
            "## The runs",
            "",
            f"{done['runs']} runs ({done['cases']} of {done['of_cases']} cases; seeds {_listed(outcome.seeds)}), "
            f"{_range(steps)} steps each, {_minutes(done['seconds'])} in total, {_listed(done['engine'])} engine, "
            f"threads {_listed(done['threads'])}. handgrad {outcome.version}, NumPy "
            f"{done['versions'].get('numpy', '?')}, Python {done['versions'].get('python', '?')}.",
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def _recipes(entry: Entry) -> list[str]:
    """The recipes of a record, and the command that trains one network."""
    lines = []
    for case in entry.cases.values():
        name = case.settings["recipe"]
        lines += ["## The recipe", "", "```sh", f"handgrad train --recipe {name}", "```", ""]
        lines += ["trains one such network:", "", "```toml", recipe_text(name).strip(), "```", ""]
    return lines


def command(outcome: Outcome) -> str:
    """The command that repeats the entry."""
    flags = [f" --{name} {value:g}" for name, value in outcome.asked.items() if value is not None]
    return f"handgrad reproduce {outcome.entry.name}{''.join(flags)}"


def _described(entry: Entry) -> str:
    """The alternative text of the plot."""
    what = " and ".join(panel.replace("_", " ") for panel in entry.panels)
    return f"{what} {'' if len(entry.cases) == 1 else 'of all cases '}during training"


def _listed(values: list[Any]) -> str:
    return ", ".join(map(str, values))


def _range(steps: list[int]) -> str:
    return f"{steps[0]:,}" if steps[0] == steps[-1] else f"{steps[0]:,} to {steps[-1]:,}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def check_out(out: str | Path) -> None:
    """Raises ConfigError if pages cannot be written to a folder, before hours of training rather than after."""
    there = next(path for path in (Path(out).absolute(), *Path(out).absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ConfigError(f"out={out}: cannot write to {there}; choose another folder with --out")


def write_page(outcome: Outcome, out: str | Path) -> tuple[Path, list[str]]:
    """Writes NAME.md, NAME.json and, if the entry involves training, NAME.png; for a study of several settings, also
    its figures, and NAME.csv if it has many combinations.

    Returns: the path of the page, and messages about plots that could not be drawn.
    Raises: RunError if a file cannot be written.
    """
    path = Path(out) / f"{outcome.entry.name}.md"
    figures, problems = {}, []
    for file, (title, draw) in _figures(outcome).items():
        problem = write_figure(path.with_name(file), draw, **_ADVICE)
        if problem:
            problems.append(problem)
        else:
            figures[file] = title
    if outcome.study is not None and len(outcome.curves) > MOST_CASES:
        from handgrad.search.results import to_csv

        write_text(path.with_name(_csv(outcome.entry)), to_csv(outcome.study), **_ADVICE)
    write_text(path, page(outcome, figures), **_ADVICE)
    write_text(path.with_suffix(".json"), json.dumps(as_json(outcome), indent=1) + "\n", **_ADVICE)
    return path, problems


def _csv(entry: Entry) -> str:
    return f"{entry.name.rpartition('/')[2]}.csv"


def _figures(outcome: Outcome) -> dict[str, tuple[str, Callable[[], Figure]]]:
    """The plots of an outcome: by file name, the description and the drawing function."""
    entry, study = outcome.entry, outcome.study
    if study is not None and (entry.kind == "claim" or len(study.plan.factors) < 2):
        study = None
    name = entry.name.rpartition("/")[2]
    made: dict[str, tuple[str, Callable[[], Figure]]] = {}
    together = bool(outcome.curves) and (study is None or len(outcome.curves) <= MOST_CASES)
    if together:

        def curves() -> Figure:
            from handgrad.figures import cases_over_steps

            return cases_over_steps(outcome.curves, panels=entry.panels, lines=_lines(entry))

        made[f"{name}.png"] = (_described(entry), curves)
    if study is not None:
        from handgrad.search.figures import figures_of

        of_study = figures_of(study)
        if together:
            of_study.pop("curves", None)
        made |= {f"{name}-{file}.png": drawn for file, drawn in of_study.items()}
    return made


def _lines(entry: Entry) -> dict[str, float]:
    """The published values drawn as horizontal lines, for panels with a single published value."""
    lines = {}
    for panel in entry.panels:
        name = panel if "_" in panel else f"test_{panel}"
        values = {p.value for p in entry.printed if p.measure.endswith(name)}
        if len(values) == 1 and not isinstance(value := values.pop(), str):
            lines[panel] = value
    return lines


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The outcome as a JSON value: the content of the page and the values of every seed."""
    entry = outcome.entry
    rows = []
    for row in outcome.rows:
        what = row.what
        if isinstance(what, Printed):
            said = {"case": what.case, "measure": what.measure, "document": what.value}
        else:
            said = {"statement": what.words, "measure": what.measure, "sides": row.sides}
        values = [None if isinstance(v, float) and math.isnan(v) else v for v in row.values]
        rows.append({**said, "here": values, "verdict": row.verdict})
    return {
        "name": entry.name,
        "verdict": outcome.verdict,
        "why": verdict_line(outcome),
        "full": outcome.full,
        "seeds": outcome.seeds,
        "rows": rows,
        "done": outcome.done,
        "version": outcome.version,
    }


def read_results(out: str | Path) -> dict[str, dict[str, Any]]:
    """Reads the results in a folder of pages: for each entry with a page, the result of `as_json`.

    Raises:
        RunError: a file is damaged.
    """
    found = {}
    for entry in all_entries().values():
        path = Path(out) / f"{entry.name}.json"
        if path.exists():
            try:
                found[entry.name] = {"verdict": "", **json.loads(path.read_text(encoding="utf-8"))}
            except (OSError, ValueError, TypeError) as error:
                raise RunError(f"cannot read {path}: {error}. Run handgrad reproduce {entry.name} again") from None
    return found


def index(out: str | Path) -> str:
    """A page that lists all entries with their verdicts and links to the existing pages."""
    results, entries = read_results(out), all_entries()
    lines = [
        "# Published results, reproduced",
        "",
        f"This page lists all {sum(e.document not in ('data', 'records') for e in entries.values())} tables, figures "
        "and claims of five published documents, and the records on the [leaderboard](leaderboard.md). Entries that "
        f"were run at full length have a verdict ({len(results)} of {len(entries)} entries).",
        "",
        "`handgrad reproduce NAME` runs an entry. `handgrad reproduce --index --out FOLDER` writes this page.",
        "",
        *_table(["verdict", "meaning"], [[word, text] for word, text in _EXPLAINED.items()]),
    ]
    for document, title in DOCUMENTS.items():
        rows = [_index_row(e, results.get(e.name)) for e in entries.values() if e.document == document]
        lines += [f"## {title[0].upper()}{title[1:]}", "", *_table(["name", "kind", "description", "verdict"], rows)]
    pages = [name for name in entries if name in results]
    lines += ["```{toctree}", ":hidden:", "", "leaderboard", *pages, "```"]
    return "\n".join(lines) + "\n"


def leaderboard(out: str | Path) -> str:
    """A page with the records: network, test accuracy over seeds, goal, time per run and augmentation."""
    results = read_results(out)
    lines = [
        "# Leaderboard",
        "",
        "This page lists the best networks that handgrad has trained, with one recipe each. The recipe was chosen on a "
        "validation set. The test accuracy is measured at the last step and given as mean ± standard deviation over "
        "seeds. The time is the wall time of one run, including evaluations, on a computer with two cores and no GPU. "
        "The command repeats all runs of a record.",
        "",
    ]
    head = ["record", "parameters", "test accuracy", "goal", "seeds", "minutes per run", "augmentation", "command"]
    rows = [
        _record_row(entry, results[entry.name])
        for entry in all_entries().values()
        if entry.kind == "record" and entry.name in results
    ]
    table = (
        _table(head, rows)
        if rows
        else ["There are no records here yet. `handgrad reproduce records` runs all of them."]
    )
    return "\n".join([*lines, *table]).rstrip() + "\n"


def _record_row(entry: Entry, result: dict[str, Any]) -> list[str]:
    goal, row, done = entry.statements[0], result["rows"][0], result["done"]
    assert isinstance(goal.smaller, float)
    accuracies = [difference + goal.smaller for difference in row["here"] if difference is not None]
    settings = recipe_settings(entry.cases[goal.larger[0]].settings["recipe"])
    crop = f"shifts of up to {settings['random_crop']} pixels" if settings.get("random_crop") else ""
    flip = "mirror images" if settings.get("horizontal_flip") else ""
    return [
        f"[{entry.title}]({entry.name}.md)",
        ", ".join(f"{count:,}" for count in done["parameters"]),
        _mean(accuracies) if accuracies else "diverged",
        f"{goal.smaller:g}",
        str(len(row["here"])),
        f"{done['seconds'] / done['runs'] / 60:.1f}",
        ", ".join(filter(None, (crop, flip))) or "none",
        f"`handgrad reproduce {entry.name}`",
    ]


def _index_row(entry: Entry, result: dict[str, Any] | None) -> list[str]:
    if result is None:
        return [f"`{entry.name}`", entry.kind, entry.title, "not run"]
    return [f"[`{entry.name}`]({entry.name}.md)", entry.kind, entry.title, f"**{result['verdict']}**"]


def write_index(out: str | Path) -> Path:
    """Writes index.md and leaderboard.md for a folder of pages. Raises RunError if one cannot be written.

    Returns: the path of index.md.
    """
    path = Path(out) / "index.md"
    write_text(path.with_name("leaderboard.md"), leaderboard(out), **_ADVICE)
    write_text(path, index(out), **_ADVICE)
    return path
