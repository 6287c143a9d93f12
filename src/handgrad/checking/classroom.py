"""Checks a folder of hand-ins, several at a time, each in a process of its own: none can stop another."""

from __future__ import annotations

import csv
import io
import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from handgrad.checking.checker import WHOLE, check
from handgrad.checking.handin import PASSED_OVER
from handgrad.checking.results import VERDICTS, Finding, Part, Report
from handgrad.checking.rubric import Rubric, scores, total
from handgrad.checking.sandbox import Limits
from handgrad.errors import ConfigError

COLUMNS = ("file", "contract", "verdict", "points", "of", *VERDICTS, "bugs", "reason", "seconds")


def hand_ins(folder: str | Path) -> list[Path]:
    """The entries of a folder, each a hand-in; hidden ones and caches are passed over."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(
            f"class={str(folder)!r} is no folder: expected a folder with a file, archive or folder for each student"
        )
    entries = [
        entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".") and entry.name not in PASSED_OVER
    ]
    if not entries:
        raise ConfigError(f"class={str(folder)!r} is empty: expected a file, archive or folder for each student")
    return entries


def check_class(
    paths: Sequence[Path],
    *,
    jobs: int | None = None,
    done: Callable[[Report], None] = lambda report: None,
    **options: Any,
) -> list[Report]:
    """Checks them all, and returns the reports in the order of `paths`.

    Arguments:
        paths: the hand-ins.
        jobs: how many at a time; None: one for each processor.
        done: called with each report as it comes.
        options: of `check`.
    """
    options = {"limits": None, **options}
    limits: Limits = options["limits"] or Limits()
    seconds = 2 * limits.total_seconds + 120.0  # ours: the sandbox has ended everything long before
    jobs = jobs or max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    reports: dict[Path, Report] = {}
    with ThreadPoolExecutor(jobs) as pool:
        tasks = {pool.submit(_in_a_process, path, options, seconds): path for path in paths}
        try:
            for task in as_completed(tasks):
                reports[tasks[task]] = task.result()
                done(task.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [reports[path] for path in paths]


_starting = threading.Lock()


def _in_a_process(path: Path, options: Mapping[str, Any], seconds: float) -> Report:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(theirs, str(path), dict(options)), daemon=False)
    with _starting:  # one at a time: `spawn` hands over what is open at that moment
        process.start()
        theirs.close()
    try:
        report = ours.recv() if ours.poll(seconds) else None
    except (EOFError, OSError):
        report = None
    finally:
        ours.close()
        process.join(5.0 if report is not None else 0.0)
        if process.is_alive():
            process.kill()
            process.join(5.0)
    if report is not None:
        return replace(report, file=path.name)
    evidence = f"the process that checked it ended without a report (exit code {process.exitcode})"
    finding = Finding("checker-failed", evidence, "A fault of handgrad: please report it")
    return Report(path.name, None, (Part(WHOLE, "cannot judge", (finding,), evidence),))


def _serve(connection: Any, path: str, options: Mapping[str, Any]) -> None:
    connection.send(check(path, **options))
    connection.close()


def frequencies(reports: Iterable[Report]) -> list[tuple[str, int, str]]:
    """Each bug's id, in how many hand-ins it was found, and its title; the most common first."""
    counts: Counter[str] = Counter()
    titles: dict[str, str] = {}
    for report in reports:
        for bug in {bug.id: bug for bug in report.bugs}.values():
            counts[bug.id] += 1
            titles.setdefault(bug.id, bug.title)
    return [(id, count, titles[id]) for id, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]


def as_csv(reports: Sequence[Report], rubric: Rubric | None = None) -> str:
    """A row a hand-in. A spreadsheet takes no cell of it for a formula."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for report in reports:
        points, of = total(scores(report, rubric))
        counts = [sum(part.verdict == verdict for part in report.parts) for verdict in VERDICTS]
        bugs = " ".join(dict.fromkeys(bug.id for bug in report.bugs))
        reason = next((part.reason for part in report.parts if part.verdict == "cannot judge" and part.reason), "")
        row = [report.file, report.contract or "", report.verdict, round(points, 4), round(of, 4), *counts]
        writer.writerow([_cell(value) for value in [*row, bugs, " ".join(reason.split()), round(report.seconds, 2)]])
    return stream.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
