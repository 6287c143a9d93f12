"""What a check says, and the report that they make together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

OK, WARNING, PROBLEM, CANNOT_JUDGE = "ok", "warning", "problem", "cannot judge"
VERDICTS = (OK, WARNING, PROBLEM, CANNOT_JUDGE)


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Arguments:
        check: which check, a key of `CHECKS`.
        verdict: one of `VERDICTS`.
        diagnosis: a name for what was found, as `learning-rate-too-high`; the check's own name where nothing is wrong.
        evidence: the figures, in a line.
        meaning: what that means, in a sentence.
        change: what to change: flags with values, each followed by a reason where it needs one; the best first.
        figures: the numbers behind the evidence, JSON values.
    """

    check: str
    verdict: str
    diagnosis: str
    evidence: str
    meaning: str = ""
    change: tuple[str, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "check": self.check,
            "verdict": self.verdict,
            "diagnosis": self.diagnosis,
            "evidence": self.evidence,
            "meaning": self.meaning,
            "change": list(self.change),
            "figures": finite_json(self.figures),
        }


#: Every check, in the order in which to fix: what comes first can cause what comes after it. Each with its question.
CHECKS = {
    "inputs": "are the inputs finite numbers that vary?",
    "features": "does every feature say something of its own?",
    "splits": "is there more to learn from than to be tested on, and is it alike?",
    "labels": "do the labels go with the inputs?",
    "duplicates": "are the test samples new to the network?",
    "weights": "are the weights finite, and the units of a layer different?",
    "input-scale": "do the inputs fit the initial weights?",
    "signal": "does the signal keep its size from layer to layer?",
    "initial-loss": "does the network begin without an opinion?",
    "dead-units": "do all units react to something?",
    "saturation": "do the activations work where they have a slope?",
    "gradient": "does the gradient reach the first layer?",
    "dropout": "does dropout leave enough of the signal?",
    "learning-rate": "is the step size right?",
    "finite": "does every number stay finite?",
    "updates": "do the weights move at a sensible pace?",
    "one-batch": "can the network learn one batch by heart?",
    "normalization": "does it give the same answers in training and in evaluation?",
    "curve": "what do the run's own figures say?",
}


#: Stands in `Finding.change` until `Report.settle` knows what else was found.
FIX_FIRST = "fix what comes before it"


@dataclass
class Report:
    """All findings about one recipe, configuration or run.

    Arguments:
        subject: what was examined.
        findings: in the order of `CHECKS`, those of a part together.
        series: numbers by layer, step or learning rate, for figures and for anyone who wants to look further.
    """

    subject: str
    parts: dict[str, list[Finding]] = field(default_factory=dict)
    series: dict[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Finding]:
        for findings in self.parts.values():
            yield from findings

    def add(self, part: str, *findings: Finding) -> None:
        """Adds findings to a part, in the order of `CHECKS`."""
        order = list(CHECKS)
        together = [*self.parts.get(part, ()), *findings]
        self.parts[part] = sorted(together, key=lambda finding: order.index(finding.check))

    def settle(self) -> None:
        """Puts the name of what has to be fixed first where a finding refers to it; where nothing comes before a
        finding, it does not refer to anything."""
        places = self._places()
        wrong = [finding for verdict in (PROBLEM, WARNING) for finding in self.having(verdict)]

        def settled(finding: Finding) -> Finding:
            before = [other.diagnosis for other in wrong if places[id(other)] < places[id(finding)]]
            first = (f"fix {before[0]} first, see there",) if before else ()
            change = tuple(text for change in finding.change for text in (first if change == FIX_FIRST else (change,)))
            return dataclasses.replace(finding, change=change)

        # All of them before any is put in place of another: places are those of the findings as they are.
        self.parts = {part: [settled(finding) for finding in findings] for part, findings in self.parts.items()}

    def _places(self) -> dict[int, tuple[int, int]]:
        """Where each finding stands in the order in which to fix: what the data and the settings do to a network comes
        before what has become of it, and within a part the order is that of `CHECKS`."""
        order = list(CHECKS)
        return {
            id(finding): (part, order.index(finding.check))
            for part, findings in enumerate(self.parts.values())
            for finding in findings
        }

    def having(self, verdict: str) -> list[Finding]:
        """The findings with this verdict, the first to fix first."""
        places = self._places()
        return sorted((f for f in self if f.verdict == verdict), key=lambda finding: places[id(finding)])

    @property
    def verdict(self) -> str:
        """`problem` where a finding is one, else `warning` where one is, else `ok`."""
        return next((verdict for verdict in (PROBLEM, WARNING) if self.having(verdict)), OK)

    @property
    def diagnoses(self) -> list[str]:
        """Names of the problems, then of the warnings, the first to fix first."""
        return [finding.diagnosis for verdict in (PROBLEM, WARNING) for finding in self.having(verdict)]

    def to_dict(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "verdict": self.verdict,
            "diagnoses": self.diagnoses,
            "parts": {part: [finding.to_dict() for finding in findings] for part, findings in self.parts.items()},
            "series": finite_json(self.series),
        }


def finite_json(value: Any) -> Any:
    """The value with NaN and infinity as text, which JSON has no numbers for."""
    if isinstance(value, dict):
        return {key: finite_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def number(value: float) -> str:
    """A number as a person reads it: three digits that count."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"{value:.1e}"


def percent(share: float) -> str:
    if 0 < share < 0.001:
        return "under 0.1%"
    if 0.999 < share < 1:
        return "over 99.9%"
    return f"{100 * share:.3g}%"
