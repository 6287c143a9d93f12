"""A published equation as two executable sides, and the verdict that follows from comparing them.

The left side is the true quantity, found without the equation: by the complex step, by differences, by the loops of
its definition. The other side is the equation's right side, transcribed symbol for symbol. A verdict is what the
comparison says; nowhere is one typed in:

    holds                    both sides agree at random points
    holds with a condition   they agree wherever the condition is met, and disagree at a point where it is not
    typing slip              they disagree; with the symbol that was evidently meant they agree
    wrong                    they disagree; the corrected form agrees

Whether a repair is what "was evidently meant" (the lines around it say so) or a correction is the one thing that a
reader has to judge, by giving `intended` or `corrected`. That the equation fails and that the repair holds is computed.
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
        intended: the form that was evidently meant.
        corrected: the right form.
        correction: LaTeX of `general`, `intended` or `corrected`.
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
    intended: Side | None = None
    corrected: Side | None = None
    correction: str | None = None

    @property
    def right_form(self) -> Side | None:
        """What the equation should say, if it should say something else."""
        return self.general or self.intended or self.corrected


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
        verdict = CONDITION if claim.condition else SLIP if claim.intended else WRONG
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
