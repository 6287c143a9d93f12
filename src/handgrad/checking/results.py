"""The results of a check as data: the same for a table, JSON, JUnit, Gradescope and Autolab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from handgrad.checking.catalogue import step_of

Verdict = Literal["right", "wrong", "missing", "cannot judge", "not judged"]
Hints = Literal["none", "nudge", "full"]

#: The verdicts in the order in which they decide the verdict on a whole hand-in.
VERDICTS: tuple[Verdict, ...] = ("wrong", "cannot judge", "right", "missing", "not judged")


def printable(text: str) -> str:
    """Text of a hand-in for a terminal: no escape sequences and no other control characters."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def shown(name: str) -> str:
    """A name chosen by somebody else, made harmless to print or parse, and on one line."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


@dataclass(frozen=True)
class Finding:
    """One bug: its name, the evidence, the place, and hints.

    Arguments:
        id: its name in the catalogue, such as `softmax-no-shift`.
        evidence: what was observed, with figures: "dW is 20 times the right value; 20 is the batch size".
        title: the bug in a few words for students.
        file: relative to the hand-in's folder.
        line: of the statement if it is known, otherwise of the method.
        hint_nudge: where to look and which question to ask, without the answer.
        hint_full: what to change.
        known: whether the checker knows the function of the part; otherwise no derivation applies.
    """

    id: str
    evidence: str
    title: str = ""
    file: str = ""
    line: int | None = None
    hint_nudge: str = ""
    hint_full: str = ""
    known: bool = True

    def hint(self, hints: Hints) -> str:
        return {"none": "", "nudge": self.hint_nudge, "full": self.hint_full or self.hint_nudge}[hints]


@dataclass(frozen=True)
class Part:
    """One part of a contract and the verdict on it.

    Arguments:
        part: its name, such as `BatchNorm.backward`.
        verdict: `wrong` only with at least one bug. `not judged`: it runs, but the checker does not know its
            function; it counts neither for nor against a hand-in.
        bugs: its bugs.
        reason: why it cannot be judged, or what is missing.
        notes: harmless differences from the contract, such as a shape `(N, 1)` for `(N,)`.
        group: the row of the handout's points, or of a rubric, that it counts towards.
        file, line: where it is defined.
    """

    part: str
    verdict: Verdict
    bugs: tuple[Finding, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()
    group: str = ""
    file: str = ""
    line: int | None = None


@dataclass(frozen=True)
class Report:
    """Everything about one hand-in."""

    file: str
    contract: str | None
    """The contract's name; None if none was recognised, or if the hand-in could not be read."""
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    sandbox: tuple[str, ...] = ()
    """The means of isolation that were active: `namespaces`, `landlock`, `seccomp`, `limits`, ..."""
    seconds: float = 0.0
    seed: int | None = None
    """The seed of the random inputs."""

    @property
    def verdict(self) -> Verdict:
        """The first of `wrong`, `cannot judge`, `right` and `missing` that applies to a part; `cannot judge` if none of
        them applies to any part."""
        found = {part.verdict for part in self.parts}
        for verdict in VERDICTS[:4]:
            if verdict in found:
                return verdict
        return "cannot judge"

    def printable(self) -> Report:
        """The report without characters that a terminal, an editor or a spreadsheet would interpret."""
        parts = tuple(
            replace(
                part,
                part=shown(part.part),
                bugs=tuple(replace(bug, evidence=printable(bug.evidence), file=shown(bug.file)) for bug in part.bugs),
                reason=printable(part.reason),
                notes=tuple(map(printable, part.notes)),
                file=shown(part.file),
            )
            for part in self.parts
        )
        return replace(self, file=shown(self.file), parts=parts, notes=tuple(map(printable, self.notes)))

    @property
    def usable(self) -> bool:
        """Whether any part could be judged."""
        return self.contract is not None and any(part.verdict in ("right", "wrong") for part in self.parts)

    @property
    def exit_code(self) -> int:
        """0: nothing wrong. 1: something wrong. 2: nothing could be judged, or the checker itself failed."""
        if any(part.verdict == "wrong" for part in self.parts):
            return 1
        failed = any(bug.id == "checker-failed" for bug in self.bugs)
        return 0 if self.usable and not failed else 2

    @property
    def bugs(self) -> tuple[Finding, ...]:
        return tuple(bug for part in self.parts for bug in part.bugs)

    def to_dict(self, hints: Hints = "nudge") -> dict[str, Any]:
        """The report in plain Python types, ready for JSON."""
        return {
            "file": self.file,
            "contract": self.contract,
            "verdict": self.verdict,
            "parts": [
                {
                    "part": part.part,
                    "verdict": part.verdict,
                    "bugs": [
                        {
                            "id": bug.id,
                            "file": bug.file,
                            "line": bug.line,
                            "title": bug.title,
                            "evidence": bug.evidence,
                            "hint": bug.hint(hints),
                            "derivation": step_of(bug.id, part.part, bug.known) if hints != "none" else "",
                        }
                        for bug in part.bugs
                    ],
                    "reason": part.reason,
                    "notes": list(part.notes),
                    "file": part.file,
                    "line": part.line,
                }
                for part in self.parts
            ],
            "notes": list(self.notes),
            "sandbox": list(self.sandbox),
            "seconds": round(self.seconds, 3),
            "seed": self.seed,
        }


def exit_code(reports: Sequence[Report]) -> int:
    """The exit code for several hand-ins: 1 if any of them has 1, else 2 if any has 2 or there are none, else 0."""
    codes = {report.exit_code for report in reports}
    return 1 if 1 in codes else 2 if 2 in codes or not codes else 0
