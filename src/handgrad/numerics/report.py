"""The result of `gradient_check`, as data and as a readable table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["right", "wrong", "cannot judge"]


@dataclass(frozen=True)
class PartReport:
    """One input or one parameter."""

    name: str
    verdict: Verdict
    error: float | None
    """Relative error, max|a - b| / max(max|a|, max|b|, 1e-8), over the judged entries; None if there are none."""
    method: str
    """`complex step`, `central differences`, or `-` if nothing was computed."""
    checked: int
    """Number of entries judged right or wrong."""
    total: int
    """Number of entries of the part."""
    index: tuple[int, ...] | None = None
    """The wrong entry with the largest error; None if nothing is wrong."""
    analytic: float | None = None
    """The gradient from backward at this entry."""
    numeric: float | None = None
    """The numerical derivative at this entry."""
    reason: str = ""


@dataclass(frozen=True)
class GradientReport:
    """The verdicts on all parts of one layer or function. True only if everything is right.

    `report["weight"]` is the part of that name; `print(report)` shows a table; `report.to_dict()` can be written as
    JSON.
    """

    subject: str
    parts: tuple[PartReport, ...]
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    """Problems other than wrong gradients, such as a modified input; the report is then not true."""

    @property
    def verdict(self) -> Verdict:
        """`wrong` if any part is wrong, `right` if all parts are right, else `cannot judge`."""
        verdicts = {part.verdict for part in self.parts}
        if "wrong" in verdicts:
            return "wrong"
        return "right" if verdicts == {"right"} else "cannot judge"

    def __bool__(self) -> bool:
        return self.verdict == "right" and not self.faults

    def __iter__(self) -> Iterator[PartReport]:
        return iter(self.parts)

    def __getitem__(self, name: str) -> PartReport:
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(f"no part {name!r}: this report has {', '.join(repr(part.name) for part in self.parts)}")

    def __str__(self) -> str:
        headline = f"{self.subject}: {self.verdict}" + (", but see below" if self and self.notes else "")
        if self.faults and self.verdict == "right":
            headline = f"{self.subject}: right gradients, but it {self.faults[0]}"
        rows = [("part", "verdict", "error", "entries", "method")]
        rows += [(p.name, p.verdict, _figure(p.error), f"{p.checked} of {p.total}", p.method) for p in self.parts]
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        remarks = [f"  {p.name}: {p.reason}" for p in self.parts if p.reason]
        remarks += [f"  it {fault}" for fault in self.faults]
        remarks += [f"  note: {note}" for note in self.notes if note not in self.faults]
        return "\n".join(line.rstrip() for line in [headline, "", *lines, *([""] if remarks else []), *remarks])

    def to_dict(self) -> dict[str, Any]:
        """The report in plain Python types, ready for JSON; nan and infinities as strings."""
        return {
            "subject": self.subject,
            "verdict": self.verdict,
            "ok": bool(self),
            "parts": [
                {key: list(value) if isinstance(value, tuple) else _plain(value) for key, value in asdict(part).items()}
                for part in self.parts
            ],
            "notes": list(self.notes),
            "faults": list(self.faults),
        }


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _figure(error: float | None) -> str:
    return "-" if error is None else "0" if error == 0 else f"{error:.1e}"
