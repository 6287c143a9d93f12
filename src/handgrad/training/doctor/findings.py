"""The findings of the checks, and the report."""

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
    """The finding of one check.

    Arguments:
        check: name of the check, a key of `CHECKS`.
        verdict: one of `VERDICTS`.
        diagnosis: name of the problem, such as `learning-rate-too-high`; the name of the check if nothing is wrong.
        evidence: the relevant numbers, on one line.
        meaning: an explanation in one sentence.
        change: suggested changes, best first: flags with values, with a reason if necessary.
        figures: the numbers of the evidence, as JSON values.
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


#: All checks with their questions, in the order in which to fix problems: earlier ones can cause later ones.
CHECKS = {
    "inputs": "are the inputs finite numbers that vary?",
    "features": "does every feature contain new information?",
    "splits": "is the training set larger than the test set, and are both similar?",
    "labels": "do the labels match the inputs?",
    "duplicates": "are the test samples new to the network?",
    "weights": "are the weights finite, and the units of a layer different?",
    "input-scale": "do the inputs fit the initial weights?",
    "signal": "is the size of the signal preserved from layer to layer?",
    "initial-loss": "does the network start with uniform predictions?",
    "dead-units": "does every unit respond to some input?",
    "saturation": "do the activations operate where they have a slope?",
    "gradient": "does the gradient reach the first layer?",
    "dropout": "does dropout preserve enough of the signal?",
    "learning-rate": "is the step size right?",
    "finite": "does every number stay finite?",
    "updates": "do the weights change at a reasonable rate?",
    "one-batch": "can the network overfit one batch?",
    "normalization": "does it give the same results in training and in evaluation?",
    "curve": "what do the metrics of the run show?",
}


#: Placeholder in `Finding.change` until `Report.settle` knows the other findings.
FIX_FIRST = "fix the findings above first"


@dataclass
class Report:
    """All findings about one recipe, configuration or run.

    Arguments:
        subject: what was examined.
        findings: by part, in the order of `CHECKS`.
        series: numbers by layer, step or learning rate, for plots and further analysis.
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
        """Replaces references to what must be fixed first by its name; if nothing comes before a finding, it has no
        reference."""
        places = self._places()
        wrong = [finding for verdict in (PROBLEM, WARNING) for finding in self.having(verdict)]

        def settled(finding: Finding) -> Finding:
            before = [other.diagnosis for other in wrong if places[id(other)] < places[id(finding)]]
            first = (f"fix {before[0]} first",) if before else ()
            change = tuple(text for change in finding.change for text in (first if change == FIX_FIRST else (change,)))
            return dataclasses.replace(finding, change=change)

        # Compute all before replacing any, because positions refer to the current findings.
        self.parts = {part: [settled(finding) for finding in findings] for part, findings in self.parts.items()}

    def _places(self) -> dict[int, tuple[int, int]]:
        """The position of each finding in the order in which to fix problems: data and settings come before the
        trained network, and within a part the order is that of `CHECKS`."""
        order = list(CHECKS)
        return {
            id(finding): (part, order.index(finding.check))
            for part, findings in enumerate(self.parts.values())
            for finding in findings
        }

    def having(self, verdict: str) -> list[Finding]:
        """The findings with this verdict, in the order in which to fix them."""
        places = self._places()
        return sorted((f for f in self if f.verdict == verdict), key=lambda finding: places[id(finding)])

    @property
    def verdict(self) -> str:
        """The worst verdict: `problem`, `warning` or `ok`."""
        return next((verdict for verdict in (PROBLEM, WARNING) if self.having(verdict)), OK)

    @property
    def diagnoses(self) -> list[str]:
        """Names of the problems, then of the warnings, in the order in which to fix them."""
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
    """The value with NaN and infinity as strings, because JSON does not support them."""
    if isinstance(value, dict):
        return {key: finite_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def number(value: float) -> str:
    """A number with three significant digits."""
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
