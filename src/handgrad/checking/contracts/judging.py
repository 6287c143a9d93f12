"""The steps from observations to verdicts that all contracts share.

The checks of a part are deliberately independent. The values on ordinary draws are compared with the reference. All
other results (a different memory layout, a batch of one, float32, a second forward pass) are compared with those of the
hand-in itself on the ordinary draw. A bug is therefore neither hidden nor reported twice because of another one.
"""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.checking import catalogue
from handgrad.checking.contracts.source import Module, empty
from handgrad.checking.diagnosis import Draw, Explanation, Subject, close, departure, explain, quoted, reshaped
from handgrad.checking.probe import Failure, Observation, Operation, Probe, Value
from handgrad.checking.results import Finding, Part

#: Why a forward of an unknown function is not judged.
NO_REFERENCE = "the checker does not know which function this is; it compares backward with numerical derivatives of it"
#: Largest relative error that half precision (11 bits) can cause in a few operations.
HALF = 4e-3
#: Failures of the process, not of the method: bug ids.
_LIMITS = {
    "timeout": "never-ends",
    "memory": "too-much-memory",
    "output": "too-much-output",
    "crash": "ends-the-process",
    "tampering": "tampering",
}


@dataclass(frozen=True)
class Trial:
    """A probe with its inputs."""

    probe: Probe
    draw: Draw

    @property
    def name(self) -> str:
        return self.probe.name


def trial(name: str, operations: Sequence[Operation], draw: Draw, arrays: Mapping[str, Any], **options: Any) -> Trial:
    return Trial(Probe(name, operations, {key: np.asarray(value) for key, value in arrays.items()}, **options), draw)


def call(*path: Any, args: Sequence[Any] = (), to: str = "", attempt: bool = False, **options: Any) -> Operation:
    """Calls the function or method at a path. `attempt` stores an exception as a value and continues."""
    operation: Operation = {"op": "call", "path": list(path), "args": list(args), **options}
    if attempt:
        operation["try"] = True
    return {**operation, "as": to} if to else operation


def get(*path: Any, to: str, optional: bool = False) -> Operation:
    operation: Operation = {"op": "get", "path": list(path), "as": to}
    return {**operation, "try": True} if optional else operation


def put(*path: Any, value: Any, optional: bool = False) -> Operation:
    operation: Operation = {"op": "set", "path": list(path), "value": value}
    return {**operation, "try": True} if optional else operation


@cache
def stand_in(name: str) -> str:
    """The source of `stand_ins/NAME.py`, which runs in the sandbox: modules that replace those of a hand-in, and
    helpers of the probes."""
    return (resources.files("handgrad.checking") / "stand_ins" / f"{name}.py").read_text(encoding="utf-8")


def define(name: str, give: Sequence[str] = ()) -> Operation:
    """Creates the module `ours` from `stand_ins/NAME.py` in the sandbox. `give` lists the arrays that it finds in
    `given`."""
    return {"op": "define", "source": stand_in(name), "as": "ours", "give": list(give), "send": False}


def array(name: str, layout: str = "") -> dict[str, str]:
    return {"array": name, "layout": layout} if layout else {"array": name}


#: Further passes through the same object. A layer can be right in the first pass and wrong in a later one.
LATER = (2, 3, 4)


def later(operations: Sequence[Operation], pass_: int, changed: Mapping[str, str]) -> list[Operation]:
    """The same operations with the arrays replaced as in `changed`, and the results under separate names."""

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: changed.get(item, item) if key in ("array", "fresh") else replaced(item)
                for key, item in value.items()
            }
        return [replaced(item) for item in value] if isinstance(value, list) else value

    found = []
    for operation in operations:
        operation = replaced(operation)
        if "as" in operation:
            operation = {**operation, "as": f"{operation['as']} at {pass_}"}
        found.append({**operation, "try": True})
    return found


def passes(
    trials: Sequence[Trial], observations: Mapping[str, Observation], key: str, arrays: Sequence[str]
) -> tuple[list[Trial], dict[str, Observation]]:
    """The later passes of trials as separate trials, with their results under `key`."""
    found, named = [], {}
    for each in trials:
        observation = observations.get(each.name)
        if observation is None:
            continue
        for k in LATER:
            value = observation.values.get(f"{key} at {k}")
            if value is None:
                continue
            label = f"{each.name} / pass {k}"
            named[label] = Observation(label, {key: value})
            given = {
                name: each.probe.arrays[f"{name} at {k}"] for name in arrays if f"{name} at {k}" in each.probe.arrays
            }
            found.append(Trial(replace(each.probe, name=label), each.draw.changed(**given)))
    return found, named


@dataclass
class Judge:
    """Collects the findings about one part."""

    part: str
    observations: Mapping[str, Observation]
    module: Module | None = None
    owner: str = ""
    """The class, or empty for a function."""
    method: str = ""
    group: str = ""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unjudged: str = ""
    open: str = ""
    """Why a part that works is not judged: the checker does not know the function."""
    missing: str = ""
    judged: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    symbols: Mapping[str, str] = field(default_factory=dict)
    """The names that the interface uses for x, y, dy and other symbols in our formulas."""
    known: bool = True
    """Whether the checker knows the function. If not, no derivations or formulas of other functions are shown."""

    def __post_init__(self) -> None:
        node = self.node()
        self.file = self.module.path if self.module else ""
        self.line = getattr(node, "lineno", None)
        if self.module is None:
            self.missing = "its file is missing"
        elif self.owner and self.owner not in self.module.classes:
            self.missing = f"there is no class {self.owner}"
        elif (self.owner or self.method) in self.module.borrowed | self.module.made:
            pass
        elif self.method and node is None:
            self.missing = f"there is no {self.method}"
        elif self.method and node is not None and empty(node):
            self.missing = "not filled in"

    def node(self):
        """The source of the function or method that is judged; None if it is missing."""
        if self.module is None:
            return None
        if not self.owner:
            return self.module.functions.get(self.method)
        if self.owner not in self.module.classes:
            return None
        return self.module.methods(self.owner).get(self.method)

    # findings ----------------------------------------------------------------------------------------------------

    def bug(self, id: str, evidence: str, *, line: int | None = None, file: str = "") -> None:
        """Adds a finding, unless there is already one with this id."""
        if any(each.id == id for each in self.findings):
            return
        entry = catalogue.BUGS[id]
        full = entry.full if self.known else entry.general or entry.full
        self.findings.append(
            Finding(id, evidence, entry.title, file or self.file, line or self.line, entry.nudge, full, self.known)
        )

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def observed(self, each: Trial | str) -> Observation | None:
        return self.observations.get(each if isinstance(each, str) else each.name)

    def found(self, each: Trial | str, key: str) -> np.ndarray | None:
        """The array under a key; None if there is none."""
        observation = self.observed(each)
        return observation.get(key) if observation is not None else None

    def failed_on_guess(self, failure: Failure, function: str = "it") -> None:
        """Adds the failure of a function that the checker does not know. An exception may be due to its inputs, which
        the checker generated, so the part cannot be judged."""
        if failure.kind != "exception" or "NotImpl" in failure.type:
            self.failed(failure)
        else:
            self.unjudged = f"{function} fails on the inputs that the checker generates: {failure}"

    def failed(self, failure: Failure, context: str = "") -> None:
        """Reports a probe or an operation that failed."""
        where = f" {context}" if context else ""
        if failure.kind in ("not run",):
            self.unjudged = self.unjudged or failure.message
            return
        if failure.kind in _LIMITS:
            self.bug(_LIMITS[failure.kind], f"{failure.message}{where}")
            self.judged = True
            return
        # some starters contain `raise NotImplemented`, which is a TypeError
        unfilled = "must derive from BaseException" in failure.message
        if failure.type == "NotImplementedError" or "NotImplemented" in failure.message or unfilled:
            self.missing = self.missing or "not filled in"
            return
        if failure.type == "ModuleNotFoundError":  # not a bug of this part; a missing module is reported once
            self.unjudged = self.unjudged or str(failure)
            return
        self.judged = True
        own = bool(failure.file)
        line, file = (failure.line, failure.file) if own else (None, "")
        self.bug(failure_id(failure), f"{failure.type}: {failure.message}{where}", line=line, file=file)

    def ended(self, trials: Sequence[Trial]) -> bool:
        """Reports trials that a limit or a crash ended. Returns whether there were any."""
        for each in trials:
            observation = self.observed(each)
            failure = observation.failure if observation is not None else None
            if failure is not None and failure.kind in _LIMITS:
                self.failed(failure)
                return True
        return False

    # checks ------------------------------------------------------------------------------------------------------

    def fit(
        self,
        subject: Subject,
        trials: Sequence[Trial],
        key: str,
        *,
        alternatives: Sequence[Sequence[Draw]] = (),
        givens: Sequence[Mapping[str, Any]] = ({},),
        depth: int = 2,
    ) -> Explanation | None:
        """Explains one array on ordinary draws, and adds the bugs. Returns None if there is no array.

        Args:
            subject: the array that should have been computed.
            trials: the draws.
            key: the name of the observed array.
            alternatives: other draws that are equally right (such as those with the cached values of the hand-in).
            givens: sets of slips that were found elsewhere; the set with the simplest explanation is used.
            depth: maximum number of simultaneous slips.
        """
        draws, arrays, failures = [], [], []
        positions = []
        for position, each in enumerate(trials):
            observation = self.observed(each)
            if observation is None:
                continue
            value = observation.values.get(key)
            if value is None or value.kind == "exception":
                failure = value.failure if value is not None else observation.failure
                if failure is not None:
                    failures.append((each, failure))
                continue
            found = self._as_array(subject, value)
            if found is not None:
                draws.append(each.draw)
                arrays.append(found)
                positions.append(position)
        if failures and (not arrays or self.missing):
            self.failed(failures[0][1])
        elif failures:
            sizes = ", ".join(f"{name} = {value:g}" for name, value in failures[0][0].draw.sizes.items())
            self.failed(failures[0][1], f"(with {sizes}; it works with other sizes)")
        if not arrays:
            return None
        self.judged = True
        if not all(np.isfinite(each).all() for each in arrays):
            return self._not_finite(subject, draws, arrays, depth)
        others = [[other[position] for position in positions] for other in alternatives]
        best = Explanation((), explained=False)
        known = {bug.id for bug in self.findings}
        for level in range(depth + 1):  # try all combinations of few slips before those with more
            for given in givens:
                for chosen in (draws, *others):
                    if best.right:
                        break
                    found = explain(subject, chosen, arrays, given=given, depth=level, known=known)
                    if found.explained and (not best.explained or found.cost < best.cost):
                        best = found
            if best.explained and best.cost <= level + 1:
                break
        self._add(subject, best, draws, arrays, None)
        return best

    def _as_array(self, subject: Subject, value: Value) -> np.ndarray | None:
        found = value.array
        if value.kind in ("list", "tuple") and value.items:
            rows = [each.array for each in value.items.values()]
            if all(row is not None for row in rows) and len({row.shape for row in rows if row is not None}) == 1:
                found = np.stack([row for row in rows if row is not None])
                self.note(f"{quoted(subject.name)} is a {value.type} instead of an array")
        if found is None:
            self.judged = True
            if value.kind == "none":
                self.bug("returns-nothing", f"{quoted(subject.name)} is None")
            else:
                self.bug("not-an-array", f"{quoted(subject.name)} has the type {value.type or value.kind}")
            return None
        if found.dtype.kind == "b":
            self.bug("boolean-derivative", f"{quoted(subject.name)} has the dtype bool")
            return found.astype(np.float64)
        if found.dtype.kind not in "iuf":
            self.judged = True
            self.bug("not-an-array", f"{quoted(subject.name)} has the dtype {found.dtype}")
            return None
        return found.astype(np.float64)

    def _not_finite(self, subject, draws, arrays, depth) -> Explanation:
        best = explain(subject, draws, arrays, depth=depth)
        if best.explained and best.causes:
            self._add(subject, best, draws, arrays, None)
        else:
            bad = next(each for each in arrays if not np.isfinite(each).all())
            count = int((~np.isfinite(bad)).sum())
            self.bug(
                "not-finite",
                f"{count} of {bad.size} entries of {quoted(subject.name)} are NaN or infinite for ordinary inputs",
            )
        return best

    def _add(self, subject, best: Explanation, draws, arrays, given) -> None:
        if best.shape_differs:
            self.note(
                f"{quoted(subject.name)} has the shape {best.shape_differs}: harmless, but it differs from the "
                "assignment"
            )
        self.options = dict(best.options)
        if best.explained:
            for cause in best.causes:
                self.bug(cause.bug, cause.evidence + self.legend(cause.evidence))
            return
        expected = right_value(subject, draws[0], given)
        if reshaped(arrays[0], expected.shape) is None:
            self.bug("wrong-shape", departure(subject.name, arrays[0], expected))
            return
        if self._rounded(subject, draws, arrays, given):
            return
        x = getattr(draws[0], "x", None)
        landmarks = {"x": x} if isinstance(x, np.ndarray) else {}
        for draw, found in zip(draws, arrays, strict=True):
            expected = right_value(subject, draw, given)
            if reshaped(found, expected.shape) is None:
                why = "; a slice such as `pad:-pad` is empty if pad is 0" if not found.size else ""
                self.bug("wrong-shape", f"{departure(subject.name, found, expected)}{why}")
                return
            if not close(found, expected, subject.tolerance):
                x = getattr(draw, "x", None)
                landmarks = {"x": x} if isinstance(x, np.ndarray) else {}
                self.bug("unexplained", departure(subject.name, found, expected, landmarks))
                return
        self.bug("unexplained", departure(subject.name, arrays[0], expected, landmarks))

    def _rounded(self, subject: Subject, draws, arrays, given) -> bool:
        """Whether all values are right except for the precision of their type: integers, or half precision if the file
        mentions that type. Reports the bug."""
        pairs = []
        for draw, found in zip(draws, arrays, strict=True):
            expected = right_value(subject, draw, given)
            same = reshaped(found, expected.shape)
            if same is None or not np.isfinite(expected).all():
                return False
            pairs.append((same, expected))
        if all(close(found, np.trunc(right)) for found, right in pairs) and any(found.any() for found, _ in pairs):
            name = quoted(subject.name)
            self.bug(
                "whole-numbers", f"{name} equals this on every random input: the right values truncated to integers"
            )
            return True
        errors = [
            np.abs(found - right).max(initial=0) / max(np.abs(right).max(initial=0), 1e-12) for found, right in pairs
        ]
        if max(errors) < HALF and self.module is not None and mentions_half(self.module):
            self.bug(
                "half-precision",
                f"{quoted(subject.name)} is right to only three digits: the largest relative error is "
                f"{max(errors):.0e}, and the file converts to float16",
            )
            return True
        return False

    def legend(self, formula: str) -> str:
        """Explains the symbols of a formula by the names in the interface."""
        used = [f"{ours} is {theirs}" for ours, theirs in self.symbols.items() if re.search(rf"\b{ours}\b", formula)]
        return f" ({', '.join(used)})" if used else ""

    def unchanged(self, trials: Sequence[Trial], names: Sequence[str] = ("x",), what: str = "input") -> None:
        """Checks that no input was modified."""
        for each in trials:
            observation = self.observed(each)
            for name in names:
                if observation is not None and name in observation.changed:
                    self.judged = True
                    self.bug("input-changed", f"the call modifies the {what} `{name}`")
                    return

    def same(
        self,
        bug: str,
        each: Trial,
        key: str,
        expected: np.ndarray | None,
        why: str,
        *,
        tolerance: float = 1e-6,
        raises: str | None = None,
    ) -> None:
        """Reports the bug unless the result equals `expected`, usually the hand-in's own result in another trial."""
        observation = self.observed(each)
        if observation is None or expected is None:
            return
        value = observation.values.get(key)
        failure = observation.failure if value is None else value.failure
        if failure is not None:
            if failure.kind == "exception":
                self.judged = True
                self.bug(
                    raises or bug, f"{why}: {failure.type}: {failure.message}", line=failure.line, file=failure.file
                )
            else:
                self.failed(failure, f"({why})")
            return
        if value is None or value.array is None:
            return
        self.judged = True
        found = value.array
        if not close(found, expected, tolerance):
            self.bug(bug, f"{why}: {departure('the result', found, np.asarray(expected))}")

    def result(self) -> Part:
        common = {"notes": tuple(self.notes), "group": self.group, "file": self.file, "line": self.line}
        if self.missing and not self.findings:
            return Part(self.part, "missing", reason=self.missing, **common)
        if self.findings:
            return Part(self.part, "wrong", tuple(self.findings), **common)
        if self.open and not self.unjudged:
            return Part(self.part, "not judged", reason=self.open, **common)
        if self.unjudged or not self.judged:
            return Part(self.part, "cannot judge", reason=self.unjudged or "no result was returned", **common)
        return Part(self.part, "right", **common)


def failed_part(name: str, error: Exception) -> Part:
    """The verdict if the checker itself fails: the part cannot be judged."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    at = f"{Path(place.filename).name}:{place.lineno}"
    evidence = f"the checker itself failed with {type(error).__name__}: {error} ({at})"
    finding = Finding("checker-failed", evidence, "This is a bug in handgrad: please report it")
    return Part(name, "cannot judge", (finding,), evidence)


def each_alone(*judged: tuple[str, Callable[[], list[Part]]]) -> list[Part]:
    """The verdicts on several groups of parts. If the checker fails in one group, the others are still judged."""
    parts: list[Part] = []
    for name, judge in judged:
        try:
            parts += judge()
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            parts.append(failed_part(name, error))
    return parts


def mentions_half(module: Module) -> bool:
    """Whether a file mentions the half-precision type."""
    for node in ast.walk(module.tree):
        words = (node.attr,) if isinstance(node, ast.Attribute) else ()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = (node.value,)
        if any(word in ("float16", "half", "f2", "<f2") for word in words):
            return True
    return False


def grown(parameter: np.ndarray, gradient: np.ndarray) -> tuple[int, ...] | None:
    """The shape of `parameter - lr * gradient` if that is larger than the parameter; otherwise None."""
    try:
        shape = np.broadcast_shapes(parameter.shape, gradient.shape)
    except ValueError:
        return None
    return shape if int(np.prod(shape)) > parameter.size else None


def judge_joined(
    judge: Judge, name: str, parameter: np.ndarray, gradient: np.ndarray | None, gradient_name: str
) -> bool:
    """Checks that a gradient can be used in an update of its parameter. Reports correct values in a shape that would
    change the shape of the parameter.

    Returns: whether a bug was found.
    """
    if gradient is None or gradient.dtype.kind not in "biuf" or gradient.size != parameter.size:
        return False
    shape = grown(parameter, gradient)
    if shape is not None:
        judge.bug(
            "wrong-shape",
            f"`{gradient_name}` has the shape {gradient.shape}, but `{name}` has the shape {parameter.shape}: "
            f"after one step `{name} - lr * {gradient_name}` has the shape {shape}",
        )
    return shape is not None


def right_value(subject: Subject, draw: Draw, given: Mapping[str, Any] | None = None) -> np.ndarray:
    """The right value: the sum of the terms of the subject."""
    terms = subject.compute(draw, **dict(given or {}))
    return np.asarray(sum(terms.values()) if isinstance(terms, dict) else terms, dtype=np.float64)


def failure_id(failure: Failure) -> str:
    """The bug that an exception indicates."""
    text = failure.message
    shapes = (
        "not aligned",
        "could not be broadcast",
        "mismatch",
        "broadcast",
        "size of tensor",
        "shapes cannot",
        "invalid gradient",
        "dimension",
    )
    rows = re.search(r"broadcast together with shapes \((\d+),(\d+)\) \((\d+),\)", text)
    if rows is not None and rows[1] == rows[3] != rows[2]:
        return "keepdims-missing"  # (N, D) combined with one number per row
    if failure.type in ("ValueError", "RuntimeError", "IndexError") and any(each in text for each in shapes):
        return "shape-clash"
    if failure.type in ("NameError", "UnboundLocalError"):
        return "undefined-name"
    if failure.type == "AttributeError" and text.startswith("module '"):
        return "undefined-name"  # np.normal: a name that the package does not define
    if failure.type == "AttributeError" and "NoneType" not in text:
        return "missing-attribute"
    return "raises"
