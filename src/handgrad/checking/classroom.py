"""Checks a folder of hand-ins, several at a time, each in a separate process, so that none can stop another."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from handgrad import __version__
from handgrad.checking.alone import report_of
from handgrad.checking.checker import check, is_course_file
from handgrad.checking.contracts import CourseFile
from handgrad.checking.handin import PASSED_OVER
from handgrad.checking.results import VERDICTS, Report, shown
from handgrad.checking.rubric import Rubric, scores, total
from handgrad.errors import ConfigError

COLUMNS = ("file", "contract", "verdict", "points", "of", *VERDICTS, "bugs", "reason", "seconds", "seed")


def hand_ins(folder: str | Path) -> list[Path]:
    """The entries of a folder, without hidden files and caches. Each entry is a hand-in."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(
            f"class={str(folder)!r} is not a folder: expected a folder with a file, archive or folder for each student"
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
    journal: str | Path | None = None,
    **options: Any,
) -> list[Report]:
    """Checks all hand-ins and returns the reports in the order of `paths`.

    Arguments:
        paths: the hand-ins. None has access to another: a single file is copied without the other files in its folder.
        jobs: number of simultaneous checks; None: one per processor.
        done: called with each report when it is complete, first with those of the journal.
        journal: a file to which each report is written when it is complete; removed at the end. If an earlier check of
            the same hand-ins with the same options was interrupted, this one resumes from it.
        options: those of `check`.
    """
    options = {"limits": None, "beside": False, **options}
    jobs = jobs or max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    kept = None if journal is None else _Journal(Path(journal), options)
    reports: dict[Path, Report] = {}
    for path in paths:
        if kept is not None and (known := kept.found(path)) is not None:
            reports[path] = known
            done(known)
    stop = threading.Event()
    with ThreadPoolExecutor(jobs) as pool:
        tasks = {pool.submit(_named, path, {**options, "stop": stop}): path for path in paths if path not in reports}
        try:
            for task in as_completed(tasks):
                path, report = tasks[task], task.result()
                reports[path] = report
                if kept is not None:
                    kept.add(path, report)
                done(report)
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [reports[path] for path in paths]


def _named(path: Path, options: Mapping[str, Any]) -> Report:
    return replace(check(path, **options), file=shown(path.name))


class _Journal:
    """A file of reports, one per line, so that completed checks survive the end of this process."""

    def __init__(self, path: Path, options: Mapping[str, Any]) -> None:
        self.path = path
        self.options = repr(sorted(options.items(), key=lambda pair: pair[0]))
        contract = options.get("contract")
        if contract is not None and is_course_file(contract):  # as it is now, and its reference
            self.options += CourseFile.read(contract).digest
        self._known: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError):
            for line in path.read_bytes().splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):  # the last line may be truncated
                    entry = json.loads(line)
                    self._known[entry["key"]] = entry["report"]

    def _key(self, path: Path) -> str:
        """The hand-in's content and the options: a modified hand-in is checked again."""
        digest = hashlib.sha256(f"{__version__}\n{self.options}\n".encode())
        digest.update(os.fsencode(path.name))
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            with contextlib.suppress(OSError):
                status = file.lstat()
                digest.update(os.fsencode(file.name) + f" {status.st_size} {status.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def found(self, path: Path) -> Report | None:
        found = self._known.get(self._key(path))
        try:
            return None if found is None else report_of(found)
        except (TypeError, KeyError):
            return None

    def add(self, path: Path, report: Report) -> None:
        line = json.dumps({"key": self._key(path), "report": asdict(report)}).encode()
        try:
            with self.path.open("ab") as stream:
                stream.write(line + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be written: {error.strerror or error}; choose another place for the table"
            ) from None


def frequencies(reports: Iterable[Report]) -> list[tuple[str, int, str]]:
    """The id of each bug, the number of hand-ins that contain it, and its title; the most common first."""
    counts: Counter[str] = Counter()
    titles: dict[str, str] = {}
    for report in reports:
        for bug in {bug.id: bug for bug in report.bugs}.values():
            counts[bug.id] += 1
            titles.setdefault(bug.id, bug.title)
    return [(id, count, titles[id]) for id, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]


def as_csv(reports: Sequence[Report], rubric: Rubric | None = None) -> str:
    """One row per hand-in. No cell can be interpreted as a formula by a spreadsheet."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for report in reports:
        points, of = total(scores(report, rubric))
        counts = [sum(part.verdict == verdict for part in report.parts) for verdict in VERDICTS]
        bugs = " ".join(dict.fromkeys(bug.id for bug in report.bugs))
        reason = next((part.reason for part in report.parts if part.verdict == "cannot judge" and part.reason), "")
        row = [report.file, report.contract or "", report.verdict, round(points, 4), round(of, 4), *counts]
        writer.writerow(
            [_cell(value) for value in [*row, bugs, " ".join(reason.split()), round(report.seconds, 2), report.seed]]
        )
    return stream.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
