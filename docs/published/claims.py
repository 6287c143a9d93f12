"""A published equation as two executable sides, and the verdict that follows from comparing them.

The left side is the true quantity, found without the equation: by the complex step, by differences, by the loops of
its definition. The other side is the equation's right side, transcribed symbol for symbol. A verdict is what the
comparison says; nowhere is one typed in:

    holds                    both sides agree at random points
    holds with a condition   they agree wherever the condition is met, and disagree at a point where it is not
    typing slip              they disagree; a line beside it has the right form, and no other line the same fault
    wrong                    they disagree; another line of the same result repeats the fault or carries it on, or none
                             beside it has the right form

The right form is given, and that the equation fails where it holds is computed. What a reader has to look up is where
the right form stands (`right_at`) or where the fault stands again (`again`). Three things more belong to the rule:

- A condition limits the values that the symbols take, or what a symbol stands for. The number of samples is none:
  questions 1.1 (a) and (b) are about one sample, and more of them give the symbols other shapes: question (c).
- Where the text at hand, which a program read from a PDF, may have lost the symbol itself, the fault counts as a slip,
  and the explanation says so.
- What is illegible is left out, and so is what states nothing new: `LEFT_OUT` of the document's module.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

HOLDS = "holds"
CONDITION = "holds with a condition"
SLIP = "typing slip"
WRONG = "wrong"
VERDICTS = (HOLDS, CONDITION, SLIP, WRONG)

AGREE = 1e-8  # errors below are rounding: the complex step and exact formulas leave about 1e-14, differences 1e-10
DISAGREE = 1e-3  # errors above are no rounding; what lies between is not decided but reported
FLOOR = 1e-3  # entries much smaller than the points themselves (all about 1) count as zero


class Point(SimpleNamespace):
    """Random inputs of an equation, by name."""

    def but(self, **changes: Any) -> Point:
        """The same point with some of its values replaced."""
        return Point(**{**vars(self), **changes})


class NotConformable(ValueError):
    """A product that cannot be formed: the shapes do not fit."""

    def __init__(self, *shapes: tuple[int, ...]):
        super().__init__(f"shapes {' and '.join(map(str, shapes))} do not fit: give factors that conform")
        self.shapes = [list(shape) for shape in shapes]


class Unsettled(ValueError):
    """The two sides of a claim, as transcribed, support none of the four verdicts."""


Side = Callable[[Point], Any]  # an array, or a dictionary of arrays by name


@dataclass(frozen=True)
class Claim:
    """One equation of one document.

    Args:
        document: whose.
        id: short name, unique.
        place: where in the document.
        statement: LaTeX, the equation as written.
        explanation: one or two sentences about the equation.
        draw: a random general point.
        left: the true quantity.
        as_written: the right side as transcribed.
        condition: in words, where the equation is limited to ...
        under: ... points of some kind: the nearest such point, or
        among: ... entries of some kind: a mask of the left side.
        general: the form that needs no condition.
        corrected: the right form of what fails without one.
        correction: LaTeX of `general` or `corrected`.
        right_at: the line beside it which has the right form, in words, or ...
        again: ... the place of a line that repeats the fault or carries it on.
    """

    document: str
    id: str
    place: str
    statement: str
    explanation: str
    draw: Callable[[np.random.Generator], Point]
    left: Side
    as_written: Side
    condition: str | None = None
    under: Callable[[Point], Point] | None = None
    among: Callable[[Point], Any] | None = None
    general: Side | None = None
    corrected: Side | None = None
    correction: str | None = None
    right_at: str | None = None
    again: str | None = None

    @property
    def right_form(self) -> Side | None:
        """What the equation should say, if it should say something else."""
        return self.general or self.corrected

    @property
    def reason(self) -> str:
        """Why a failure is a slip, or more than that."""
        if self.right_at:
            return f"The right form stands in {self.right_at}."
        return (
            f"The fault is repeated or carried on: {self.again}."
            if self.again
            else "No line beside it has the right form."
        )


@dataclass(frozen=True)
class Result:
    """The verdict on one claim, with the numbers it rests on.

    `error_as_written` and `error_corrected` are the largest differences of the two sides, relative to their size;
    None where they have no common shape, or a product cannot be formed.
    """

    id: str
    document: str
    place: str
    statement: str
    verdict: str
    condition: str | None
    explanation: str
    correction: str | None
    reason: str | None
    counterexample: dict[str, Any] | None
    error_as_written: float | None
    error_corrected: float | None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, ready for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """How far two sides are apart (inf: they cannot be compared), and where most."""

    error: float
    witness: dict[str, Any]


def judge(claim: Claim, seed: int = 0, draws: int = 3) -> Result:
    """Evaluate both sides at random points; the verdict follows.

    Raises:
        Unsettled: the transcriptions support no verdict.
    """
    rng = np.random.default_rng([seed, zlib.crc32(claim.id.encode())])
    points = [claim.draw(rng) for _ in range(draws)]
    written = _worst(claim, claim.as_written, points)
    verdict, repaired = HOLDS, None
    if not _agrees(written, claim):
        if claim.right_form is None:
            raise Unsettled(f"{claim.id}: error={written.error:g} and no other form: give the right form")
        if (claim.condition is None) != (claim.general is None):
            raise Unsettled(f"{claim.id}: condition={claim.condition!r}: give `condition` and `general` together")
        if claim.condition is not None:
            narrowed = [claim.under(point) for point in points] if claim.under else points
            limited = _worst(claim, claim.as_written, narrowed, claim.among)
            if not _agrees(limited, claim):
                raise Unsettled(f"{claim.id}: error={limited.error:g} under its condition: expected none")
        repaired = _worst(claim, claim.right_form, points)
        if not _agrees(repaired, claim):
            raise Unsettled(f"{claim.id}: error={repaired.error:g} in its right form: expected none")
        if claim.right_at and claim.again:
            raise Unsettled(f"{claim.id}: right_at={claim.right_at!r} and again={claim.again!r}: expected one of them")
        verdict = CONDITION if claim.condition else SLIP if claim.right_at else WRONG
    failed = verdict != HOLDS
    return Result(
        id=claim.id,
        document=claim.document,
        place=claim.place,
        statement=claim.statement,
        verdict=verdict,
        condition=claim.condition if failed else None,
        explanation=claim.explanation,
        correction=claim.correction if failed else None,
        reason=claim.reason if verdict in (SLIP, WRONG) else None,
        counterexample=written.witness if failed else None,
        error_as_written=_finite(written.error),
        error_corrected=_finite(repaired.error) if repaired else None,
    )


def compare(left: Any, right: Any, mask: Any = None) -> Comparison:
    """max|left - right| / max(max|left|, max|right|, 0.001), and the entry where they differ most.

    Undefined (nan) equals undefined and nothing else. Different shapes, and undefined against a number: inf.
    """
    if isinstance(left, dict):
        parts = [(name, compare(left[name], right[name], mask)) for name in left]
        name, worst = max(parts, key=lambda part: part[1].error)
        return Comparison(worst.error, {"of": name, **worst.witness})
    a, b = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
    if a.shape != b.shape:
        return Comparison(math.inf, {"left_shape": list(a.shape), "as_written_shape": list(b.shape)})
    chosen = np.ones(a.shape, dtype=bool) if mask is None else np.broadcast_to(mask, a.shape)
    if not chosen.any():
        return Comparison(math.inf, {"entries": 0})
    gap = np.where(np.isnan(a) & np.isnan(b), 0.0, np.abs(a - b))
    gap = np.where(chosen, np.where(np.isnan(gap), math.inf, gap), -1.0)
    entry = np.unravel_index(int(np.argmax(gap)), a.shape)
    size = max(float(np.nanmax(np.abs(a[chosen]), initial=FLOOR)), float(np.nanmax(np.abs(b[chosen]), initial=FLOOR)))
    witness = {"entry": [int(i) for i in entry], "left": _finite(a[entry]), "as_written": _finite(b[entry])}
    return Comparison(float(gap[entry]) / size, witness)


def _worst(claim: Claim, side: Side, points: list[Point], among: Side | None = None) -> Comparison:
    comparisons = []
    for point in points:
        try:
            comparison = compare(claim.left(point), side(point), among(point) if among else None)
        except NotConformable as error:
            comparison = Comparison(math.inf, {"shapes_that_do_not_fit": error.shapes})
        comparisons.append(comparison)
    return max(comparisons, key=lambda comparison: comparison.error)


def _agrees(comparison: Comparison, claim: Claim) -> bool:
    if AGREE < comparison.error < DISAGREE:
        raise Unsettled(f"{claim.id}: error={comparison.error:g} is neither rounding nor a clear difference")
    return comparison.error <= AGREE


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
