"""`handgrad check PATH...`, `handgrad check --class DIR --out report.csv`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from handgrad import checking
from handgrad.checking import Limits, Report, Rubric, report, results, watch
from handgrad.checking.rubric import total
from handgrad.cli.common import Json, default_text, new_app
from handgrad.errors import ConfigError

MIB = 1 << 20

app = new_app(
    "check",
    "Check hand-written layers in a sandbox: which parts are right, what is wrong with the others, and where.",
    """
    handgrad check layers.py
    handgrad check homework.zip --hints full
    handgrad check --class hand-ins --out report.csv --feedback pages
    handgrad check --new-contract layers.py --out course.toml
    handgrad check --contract course.toml hand-ins/one/layers.py
    """,
    "Exit code 0: nothing is wrong. 1: something is wrong. 2: nothing could be checked, or the checker itself failed.",
)


@app.default
def check(
    *paths: Annotated[str, Parameter(name="PATH", help="file, folder, or zip or tar archive")],
    hints: Annotated[Literal["none", "nudge", "full"], Parameter(help="how much the hints reveal")] = "nudge",
    contract: Annotated[
        str | None,
        Parameter(
            help="interface of the code, or a course file that describes it", show_default=default_text("detected")
        ),
    ] = None,
    new_contract: Annotated[
        str | None, Parameter(help="write a course file for this correct solution to --out or course.toml")
    ] = None,
    gradient: Annotated[
        str | None, Parameter(help="FUNCTION:GRADIENT, check one function of the file as the gradient of another")
    ] = None,
    rubric: Annotated[
        str | None, Parameter(help="TOML file with the points of each part", show_default=default_text("the handout's"))
    ] = None,
    points: Annotated[bool, Parameter(negative="", help="also print points", show_default=False)] = False,
    watch_: Annotated[
        bool, Parameter(name="--watch", negative="", help="check again whenever the file is saved", show_default=False)
    ] = False,
    json_: Json = False,
    junit: Annotated[str | None, Parameter(help="write JUnit XML to this file")] = None,
    gradescope: Annotated[str | None, Parameter(help="write Gradescope's results.json to this file")] = None,
    autolab: Annotated[
        bool, Parameter(negative="", help="print Autolab's line of scores at the end", show_default=False)
    ] = False,
    class_: Annotated[
        str | None, Parameter(name="--class", help="check a whole class: a folder with one hand-in per student")
    ] = None,
    out: Annotated[
        str | None,
        Parameter(help="with --class: write a table of results to this CSV file; with --new-contract: the course file"),
    ] = None,
    jobs: Annotated[
        int | None,
        Parameter(help="with --class: hand-ins checked in parallel", show_default=default_text("one per core")),
    ] = None,
    feedback: Annotated[
        str | None, Parameter(help="write an HTML page of feedback for each hand-in to this folder")
    ] = None,
    seed: Annotated[
        int | None,
        Parameter(
            help="seed of the random inputs, to repeat a check", show_default=default_text("a new one each time")
        ),
    ] = None,
    timeout: Annotated[float, Parameter(help="time limit for one hand-in, in seconds")] = 60.0,
    memory: Annotated[int, Parameter(help="memory limit for one hand-in, in MiB, in addition to NumPy")] = 1024,
    allow_handgrad: Annotated[
        bool, Parameter(negative="", help="allow the hand-in to import handgrad", show_default=False)
    ] = False,
) -> int:
    """Check hand-ins: which parts are right, what is wrong with the others, and where."""
    if timeout <= 0 or memory <= 0:
        name, value = ("timeout", timeout) if timeout <= 0 else ("memory", memory)
        raise ConfigError(f"{name}={value} is too small: expected a number above 0")
    if seed is not None and seed < 0:
        raise ConfigError(f"seed={seed} is too small: expected a whole number of at least 0")
    limits = Limits(seconds=min(Limits.seconds, timeout / 4), total_seconds=timeout, memory=memory * MIB)
    if new_contract is not None:
        _refuse({"PATH": paths, "--class": class_, "--contract": contract, "--gradient": gradient}, "--new-contract")
        return _write_contract(new_contract, out or "course.toml")
    options = {"contract": contract, "gradient": gradient, "limits": limits, "allow_handgrad": allow_handgrad}
    options |= {"seed": seed, "beside": len(paths) == 1}  # several files in one folder may be from different people
    marks = Rubric.read(rubric) if rubric else None
    if contract and checking.is_course_file(contract) and marks is None:
        marks = checking.course_points(contract)
    if class_ is not None:
        _refuse({"PATH": paths, "--watch": watch_, "--gradescope": gradescope, "--autolab": autolab}, "--class")
        return _check_class(class_, out, jobs, marks, options, json_, junit, hints, feedback)
    if not paths:
        raise ConfigError("nothing to check: name a file, a folder or an archive, or --class FOLDER")
    _refuse({"--out": out, "--jobs": jobs}, None)
    if len(paths) > 1:
        _refuse({"--gradescope": gradescope, "--autolab": autolab}, "several hand-ins")
    if watch_:
        _refuse({"--json": json_, "--junit": junit, "--gradescope": gradescope, "--autolab": autolab}, "--watch")

    def once() -> int:
        reports = [checking.check(path, **options) for path in paths]
        if marks:
            for one in reports:
                marks.fits(one)
        if json_:
            print(report.to_json(reports, hints))
        else:
            console = Console(highlight=False)
            for one in reports:
                rows = checking.scores(one, marks) if points or marks or autolab else None
                console.print(report.table(one, hints, rows))
                console.print()
        if junit:
            _write(junit, report.junit(reports, hints))
        if feedback:
            _write_pages(feedback, reports, marks, hints)
        if gradescope:
            found = report.gradescope(reports[0], checking.scores(reports[0], marks), hints)
            _write(gradescope, json.dumps(found, indent=2).encode())
        if autolab:
            print(report.autolab(checking.scores(reports[0], marks)))
        return checking.exit_code(reports)

    if not watch_:
        return once()
    return _watch(paths, once)


def _write_contract(solution: str, out: str) -> int:
    parts, left_out = checking.new_course(solution, out)
    print(f"{out} describes {len(parts)} part{'s' if len(parts) > 1 else ''}: {', '.join(parts)}")
    for name, why in left_out.items():
        print(f"left out: {name} ({why})")
    if left_out:
        print(f"add the missing parts to {out} yourself, see docs/own-contract.md")
    print(f"check hand-ins with: handgrad check --contract {out} HAND-IN")
    return 0


def _refuse(given: dict[str, Any], other: str | None) -> None:
    """Raises ConfigError for flags that do not apply."""
    for name, value in given.items():
        if value:
            raise ConfigError(f"{name} cannot be combined with {other}" if other else f"{name} requires --class FOLDER")


def _write(path: str, data: bytes) -> None:
    """Writes a file atomically."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(target)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}; choose another place") from None


def _write_pages(folder: str, reports: Sequence[Report], marks: Rubric | None, hints: results.Hints) -> None:
    """Writes one page per hand-in, named after it."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror or error}; choose another place") from None
    taken: set[str] = set()
    for one in reports:
        name = (
            "".join(c if c.isalnum() or c in "._- " else "_" for c in Path(one.file).name)[:100].lstrip(".")
            or "hand-in"
        )
        count, chosen = 1, name
        while chosen.lower() in taken:
            count += 1
            chosen = f"{name}-{count}"
        taken.add(chosen.lower())
        text = report.page(one, checking.scores(one, marks), hints)
        _write(str(Path(folder, f"{chosen}.html")), text.encode("utf-8", "replace"))


def _watch(paths: Sequence[str], once) -> int:
    console = Console(highlight=False)
    code = 0

    def again() -> None:
        nonlocal code
        if console.is_terminal:
            console.clear()
        code = once()
        console.print(Text(f"{time.strftime('%H:%M:%S')}  waiting for the next save; Ctrl-C ends", "dim"))

    try:
        watch.watch(paths, again)
    except KeyboardInterrupt:
        console.print()
    return code


def _check_class(
    folder: str,
    out: str | None,
    jobs: int | None,
    rubric: Rubric | None,
    options: dict[str, Any],
    as_json: bool,
    junit: str | None,
    hints: results.Hints,
    feedback: str | None,
) -> int:
    paths = checking.hand_ins(folder)
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs={jobs} is too small: expected at least 1")
    found: list[Report] = []
    errors = Console(stderr=True, highlight=False)
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=errors, transient=True)
    bar.disable = not errors.is_terminal
    kept = f"{out or junit}.progress" if out or junit else None
    if kept and Path(kept).exists():
        print(f"resuming from {kept}; remove it to start again", file=sys.stderr)
    try:
        with bar, _ended_by_sigterm():
            task = bar.add_task("checking", total=len(paths))

            def done(one: Report) -> None:
                if rubric:
                    rubric.fits(one)
                found.append(one)
                bar.advance(task)
                if not errors.is_terminal:
                    print(f"{len(found)}/{len(paths)} {one.file}: {one.verdict}", file=sys.stderr, flush=True)

            found = checking.check_class(paths, jobs=jobs, done=done, journal=kept, **options)
    finally:  # also after Ctrl-C, so that no result is lost
        if out:
            _write(out, checking.as_csv(found, rubric).encode())
        if junit:
            _write(junit, report.junit(found, hints))
    if feedback:
        _write_pages(feedback, found, rubric, hints)
    if kept:
        Path(kept).unlink(missing_ok=True)
    bugs = checking.frequencies(found)
    if as_json:
        counts = [{"id": id, "hand_ins": count, "title": title} for id, count, title in bugs]
        print(json.dumps({"reports": [one.to_dict(hints) for one in found], "bugs": counts}, indent=2))
    else:
        _print_class(found, bugs, out, rubric)
    return checking.exit_code(found)


@contextlib.contextmanager
def _ended_by_sigterm():
    """Handles SIGTERM like Ctrl-C, so that the results so far are written."""

    def end(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_class(
    reports: list[Report], bugs: list[tuple[str, int, str]], out: str | None, rubric: Rubric | None
) -> None:
    console = Console(highlight=False)
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in ("hand-in", "contract", "right", "wrong", "missing", "?", "points"):
        grid.add_column(name, justify="left" if name in ("hand-in", "contract") else "right")
    for one in reports:
        counts = [sum(part.verdict == v for part in one.parts) for v in ("right", "wrong", "missing", "cannot judge")]
        style = "red" if one.exit_code == 1 else "yellow" if one.exit_code == 2 else ""
        points, of = total(checking.scores(one, rubric))
        cells = [*(str(n) if n else "" for n in counts), f"{round(points, 2):g} / {round(of, 2):g}"]
        grid.add_row(Text(one.file, style), one.contract or "-", *cells)
    console.print(grid)
    if bugs:
        grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for name in ("hand-ins", "", "bug", ""):
            grid.add_column(name, justify="right" if name == "hand-ins" else "left")
        for id, count, title in bugs:
            grid.add_row(str(count), f"{100 * count / len(reports):.0f}%", title, Text(id, "dim"))
        console.print()
        console.print(grid)
    if out:
        console.print(f"\n{len(reports)} hand-ins; the table is in {out}")
