"""Points for a report: those of the handout, or of a rubric file.

A rubric is TOML:

    title = "Homework 1"

    [points]            # a group of parts, a part, or a pattern of parts
    activations = 12
    "BatchNorm.*" = 15

    [deductions]        # a part whose bugs are all listed here loses only this much of its share, in percent
    softmax-no-shift = 25

The points of an entry are shared equally by its parts. A part that is right gets its share. A part that is wrong,
missing or cannot be judged gets nothing, unless the deductions leave it a part of its share. A part that is not judged,
because its function is unknown, does not count.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from handgrad.checking.catalogue import SECTIONS
from handgrad.checking.contracts import CONTRACTS, CourseFile
from handgrad.checking.results import Part, Report
from handgrad.errors import ConfigError

#: Valid names of bugs; the ids for a whole hand-in do not affect any part.
IDS = tuple(bug.id for bugs in SECTIONS.values() for bug in bugs)


@dataclass(frozen=True)
class Score:
    """One row of points."""

    name: str
    points: float
    of: float
    parts: tuple[Part, ...]


def course_points(path: str | Path) -> Rubric:
    """The points of a course file's parts, 1 each by default. Raises ConfigError if it cannot be read."""
    course = CourseFile.read(path)
    return Rubric(course.points, title=course.title)


@dataclass(frozen=True)
class Rubric:
    """The points of each entry, and the deduction for each bug in percent of its part."""

    points: Mapping[str, float]
    deductions: Mapping[str, float] = field(default_factory=dict)
    title: str = ""

    @classmethod
    def read(cls, path: str | Path) -> Rubric:
        """Reads a rubric file. Raises ConfigError if it does not exist or is not a rubric."""
        try:
            found = tomllib.loads(Path(path).read_text("utf-8-sig"))
        except OSError as error:
            raise ConfigError(f"rubric={path} cannot be read: {error.strerror or error}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(
                f"rubric={path} is not TOML ({error}): expected [points] with lines such as activations = 12"
            ) from None
        unknown = sorted(set(found) - {"title", "points", "deductions"})
        if unknown:
            raise ConfigError(f"rubric={path} has {unknown[0]!r}: expected title, [points] and [deductions]")
        points, deductions = found.get("points", {}), found.get("deductions", {})
        if not isinstance(points, dict) or not points:
            raise ConfigError(
                f"rubric={path} has no [points]: give each group or part its points, such as activations = 12"
            )
        for table, most in ((points, float("inf")), (deductions, 100.0)):
            for name, value in table.items() if isinstance(table, dict) else ():
                if (
                    isinstance(value, bool)
                    or not isinstance(value, int | float)
                    or not 0 <= value <= most
                    or value == float("inf")
                ):
                    expected = "a number of at least 0" if table is points else "a percentage between 0 and 100"
                    raise ConfigError(f"rubric={path}: {name}={value!r}, expected {expected}")
        if not isinstance(deductions, dict):
            raise ConfigError(
                f"rubric={path}: [deductions] must be a table of bug ids and percentages, such as "
                f"softmax-no-shift = 25, not {deductions!r}"
            )
        for id in deductions:
            if id not in IDS:
                near = difflib.get_close_matches(id, IDS, 1, 0.5)
                hint = f"did you mean {near[0]!r}?" if near else "expected an id that `handgrad check` prints"
                raise ConfigError(f"rubric={path}: [deductions] has {id!r}, which is not a bug id; {hint}")
        return cls(points, deductions, str(found.get("title", "")))

    def fits(self, report: Report) -> None:
        """Raises ConfigError if an entry matches nothing in a hand-in that contains a similar name.

        If a part is missing from a hand-in, it contains no similar name either, and the entry is worth 0.
        """
        parts = [part for part in report.parts if part.part != "hand-in"]
        taken = {part.part for part in parts for name in self.points if _belongs(part, name)}
        heads = {name for part in parts if part.part not in taken for name in (part.part, _head(part.part), part.group)}
        for name in self.points:
            if any(_belongs(part, name) for part in parts):
                continue
            near = difflib.get_close_matches(name, heads - {""}, 1, 0.75)
            near = near or difflib.get_close_matches(_head(name), heads - {""}, 1, 0.75)
            if near:
                raise ConfigError(
                    f"the rubric's entry {name!r} matches nothing in {report.file}; did you mean {near[0]!r}?"
                )


def _head(name: str) -> str:
    return name.partition(".")[0].strip("*")


def scores(report: Report, rubric: Rubric | None = None) -> list[Score]:
    """The rows of points of a report, in the rubric's order.

    Without a rubric: the handout's points if the contract has any, otherwise one point per part. If no contract was
    found in a hand-in, it gets 0 for each entry of the rubric, or 0 of 1 without a rubric.
    """
    rubric = rubric or _handout_rubric(report)
    if rubric is None:
        judged = [part for part in report.parts if part.verdict != "not judged"]
        judged = judged or [Part("hand-in", "cannot judge")]
        return [Score(part.part, float(part.verdict == "right"), 1.0, (part,)) for part in judged]
    rows = []
    for name, of in rubric.points.items():
        parts = tuple(part for part in report.parts if _belongs(part, name))
        counted = [part for part in parts if part.verdict != "not judged"]
        gained = sum(_share(part, rubric.deductions) for part in counted) / len(counted) * of if counted else 0.0
        rows.append(Score(name, round(gained, 4), float(of), parts))
    return rows


def _handout_rubric(report: Report) -> Rubric | None:
    names = (report.contract or "").split("+")
    points = {group: worth for kind in CONTRACTS if kind.name in names for group, worth in kind.points.items()}
    return Rubric(points) if points else None


def _belongs(part: Part, name: str) -> bool:
    return name in (part.group, part.part) or fnmatchcase(part.part, name)


def _share(part: Part, deductions: Mapping[str, float]) -> float:
    if part.verdict == "right":
        return 1.0
    if part.verdict == "wrong" and part.bugs and all(bug.id in deductions for bug in part.bugs):
        return max(0.0, 1.0 - sum(deductions[bug.id] for bug in part.bugs) / 100)
    return 0.0


def total(rows: Sequence[Score]) -> tuple[float, float]:
    """Points, and the maximum."""
    return sum(row.points for row in rows), sum(row.of for row in rows)
