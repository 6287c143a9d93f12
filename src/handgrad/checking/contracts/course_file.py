"""Course files: contracts that teachers write in TOML, together with a correct solution.

`CourseFile.read("course.toml")` reads and checks a course file; `course.on(source)` returns its contract for one
hand-in. `COURSE`, `PART` and `ARGUMENT` list the keys; docs/own-contract.md explains them.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import math
import re
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.checking.contracts.adapting import adapted
from handgrad.checking.contracts.contract import Contract
from handgrad.checking.contracts.cs231n import judge_stability, large_rows, numeric_gradient
from handgrad.checking.contracts.described import Described, Given, Runner
from handgrad.checking.contracts.generic import kind_of, parameter_subject, spread_out
from handgrad.checking.contracts.judging import Judge, Trial, each_alone, judge_joined, right_value
from handgrad.checking.contracts.known_subjects import KNOWN, Known, draw_of
from handgrad.checking.contracts.source import Module, Source
from handgrad.checking.diagnosis import Draw, Subject, close, departure
from handgrad.checking.handin import take_in
from handgrad.checking.probe import Observation
from handgrad.checking.results import Part
from handgrad.checking.sandbox import MEANS, Limits, Sandbox
from handgrad.errors import ConfigError

COURSE = ("title", "name", "reference", "sizes", "part")
PART = (
    "name", "class", "construct", "before", "forward", "backward", "backward_takes", "inputs", "parameters", "output",
    "state", "subject", "compare", "tolerance", "points", "file", "sizes",
)  # fmt: skip
ARGUMENT = ("shape", "values", "low", "high", "value", "gradient", "averaged", "role")
#: The sizes that names in shapes stand for, in each trial. N is the batch size; the last trial has a single sample.
SIZES: Mapping[str, tuple[int, ...]] = {
    "N": (6, 5, 4, 1),
    "D": (4, 3, 5, 4),
    "K": (3, 5, 2, 4),
    "C": (2, 3, 1, 2),
    "H": (4, 5, 4, 3),
    "W": (5, 4, 4, 3),
}
MAX_TRIALS = 8
#: Maximum number of entries of an array, and of an array with a numerical derivative.
MAX_ENTRIES, MAX_DIFFERENTIATED = 4096, 300
SUBJECTS = tuple(KNOWN)
#: Maximum magnitude of the bounds of random values.
MAX_BOUND = 1e9


class Bad(Exception):
    """An error in a course file; the reader adds the path."""


# -- values -----------------------------------------------------------------------------------------------------------


def _one_hot(g: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    return np.eye(shape[-1])[g.integers(0, shape[-1], shape[:-1])]


def _probabilities(g: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    values = g.uniform(0.2, 1.0, shape)
    return values / values.sum(axis=-1, keepdims=True)


def _integers(g: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    return g.integers(int(low), int(high), shape)


#: The distributions of arguments: (generator, shape, low, high) -> array. RANGES contains the default low and high.
VALUES: Mapping[str, Callable[[np.random.Generator, tuple[int, ...], float, float], np.ndarray]] = {
    "normal": lambda g, shape, low, high: g.normal(size=shape),
    "uniform": lambda g, shape, low, high: g.uniform(low, high, shape),
    "spread": lambda g, shape, low, high: spread_out(g, shape),
    "integers": _integers,
    "one-hot": _one_hot,
    "probabilities": _probabilities,
}
RANGES = {"uniform": (-1.0, 1.0), "integers": (0, 2)}


@dataclass(frozen=True)
class Argument:
    """An input of forward, or a parameter of the layer.

    Arguments:
        name: name in the course file.
        shape: numbers and names of sizes; None for a constant.
        values: distribution of the values.
        low, high: range of uniform and integer values. `high` is excluded. Both can be names of sizes.
        value: the constant.
        gradient: location of its gradient; empty if it has none.
        averaged: whether its gradient is divided by the batch size.
        role: its name in the formulas of the subject.
    """

    name: str
    shape: tuple[int | str, ...] | None
    values: str = "normal"
    low: float | str = 0
    high: float | str = 1
    value: Any = None
    gradient: tuple[Any, ...] = ()
    averaged: bool = False
    role: str = ""

    @property
    def label(self) -> str:
        """The name of the gradient."""
        if self.gradient[:1] == ("layer",):
            return written(self.gradient).removeprefix("layer.")
        return "d" + re.sub(r".*\W(\w+)\W*$", r"\1", self.name)

    def sample(self, g: np.random.Generator, sizes: Mapping[str, int]) -> Any:
        """Random values of this argument, or the constant."""
        if self.shape is None:
            return self.value
        low, high = (sizes[bound] if isinstance(bound, str) else bound for bound in (self.low, self.high))
        return VALUES[self.values](g, self.size(sizes), low, high)

    def size(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Its shape in numbers."""
        return tuple(sizes[axis] if isinstance(axis, str) else axis for axis in self.shape or ())


@dataclass(frozen=True)
class CoursePart:
    """One part of a course: how it is called, and what it should compute."""

    name: str
    owner: str
    construct: tuple[Any, ...]
    construct_named: Mapping[str, Any]
    before: tuple[str, ...]
    forward: str
    backward: str
    backward_takes: tuple[tuple[Any, ...], ...]
    inputs: tuple[Argument, ...]
    parameters: Mapping[str, tuple[Argument, tuple[Any, ...]]]
    output: tuple[Any, ...]
    state: tuple[tuple[Any, ...], ...]
    subject: str
    options: Mapping[str, Any]
    compare: bool
    tolerance: float
    points: float | Mapping[str, float]
    file: str
    sizes: Mapping[str, tuple[int, ...]]

    @cached_property
    def arguments(self) -> tuple[Argument, ...]:
        """All arguments. Those with a gradient come first, because numerical derivatives refer to them by position."""
        found = [*self.inputs, *(argument for argument, _ in self.parameters.values())]
        return tuple(sorted(found, key=lambda one: not one.gradient))

    @property
    def with_gradient(self) -> tuple[Argument, ...]:
        return tuple(one for one in self.arguments if one.gradient)

    @property
    def trials(self) -> int:
        return max(len(values) for values in self.sizes.values()) if self.sizes else 1

    @property
    def upstream(self) -> bool:
        return ("dout",) in self.backward_takes

    @property
    def needs_reference(self) -> bool:
        return bool(self.state) or (self.compare and not self.subject)

    @property
    def names(self) -> tuple[str, str]:
        """The names of its forward pass and of its gradient in a report."""
        if self.owner:
            forward, backward = f"{self.name}.{self.forward}", f"{self.name}.{self.backward}"
        else:
            redundant = self.name in (self.forward, _stem(self.forward))
            forward = self.forward if redundant else f"{self.name}: {self.forward}"
            backward = self.backward if forward == self.forward else f"{self.name}: {self.backward}"
        return forward, backward if self.backward else f"{forward}, gradient"

    @property
    def known(self) -> Known | None:
        return KNOWN.get(self.subject)

    @cached_property
    def roles(self) -> dict[str, Argument]:
        """Role -> argument. Arguments for which the file states no role get the remaining roles in order."""
        known = self.known
        if known is None:
            return {}
        arrays = [one for one in (*self.inputs, *(a for a, _ in self.parameters.values())) if one.shape is not None]
        found = {one.role: one for one in arrays if one.role}
        remaining = iter([role for role in known.roles if role not in found])
        return found | {role: one for one in arrays if not one.role and (role := next(remaining, ""))}

    @property
    def transposed(self) -> bool:
        """Whether the weight of a linear layer has the shape (in, out)."""
        weight, x = self.roles.get("weight"), self.roles.get("x")
        if weight is None or x is None or not weight.shape or not x.shape or len(weight.shape) != 2:
            return False
        return weight.shape[0] == x.shape[-1] and weight.shape[1] != x.shape[-1]

    def sizes_at(self, position: int) -> dict[str, int]:
        return {name: values[min(position, len(values) - 1)] for name, values in self.sizes.items()}

    # -- the description ----------------------------------------------------------------------------------------------

    def spec(self) -> dict[str, Any]:
        """The description in the format of the adapter in the sandbox."""
        return {
            "class": self.owner,
            "construct": list(self.construct),
            "construct_named": dict(self.construct_named),
            "before": list(self.before),
            "forward": self.forward,
            "backward": self.backward,
            "backward_takes": [list(place) for place in self.backward_takes],
            "arguments": [*(one.name for one in self.arguments), *(f"size {name}" for name in self.sizes)],
            "inputs": [one.name for one in self.inputs],
            "parameters": {argument.name: list(place) for argument, place in self.parameters.values()},
            "output": list(self.output),
            "state": [list(place) for place in self.state],
            "gradients": [list(one.gradient) for one in self.with_gradient],
        }

    def make(self, g: np.random.Generator, position: int) -> Given:
        sizes = self.sizes_at(position)
        arrays = {one.name: one.sample(g, sizes) for one in self.arguments}
        known = self.known
        draw = Draw(dict(sizes))
        if known is not None:
            by_role = {role: arrays[one.name] for role, one in self.roles.items()}
            if self.transposed:
                by_role["weight"] = by_role["weight"].T
            draw = draw_of(known, by_role, self.options)
        keep = {f"state {k}": ("f", 1, "state", k) for k in range(len(self.state))}
        given = Given({**arrays, **{f"size {name}": size for name, size in sizes.items()}}, draw, keep=keep)
        if known is not None and known.stable and self.arguments[0] is self.roles["x"]:
            given = large_rows(given, self.forward if not self.owner else "forward", "made")
        return given

    def described(self) -> Described:
        known, forward, backward = self.known, self.forward, self.backward or "its_gradient"
        if self.owner:
            forward, backward = "forward", "backward"
        gradients = {one.label: self._gradient(k, one) for k, one in enumerate(self.with_gradient)}
        output = known.output if known is not None else _reference_output(self.tolerance) if self.compare else None
        shared: dict[str, tuple[str, ...]] = {}
        if known is not None:
            output = replace(output or known.output, tolerance=max(known.output.tolerance, self.tolerance))
            shared = {one.label: known.shared[role] for role, one in self.roles.items() if role in known.shared}
        more = [partial(_check_gradient_shapes, self)]
        more += [judge_stability] if known is not None and known.stable else []
        more += [partial(_check_state, self)] if self.state else []
        return Described(
            self.name,
            forward,
            backward if gradients else "",
            self.make,
            output,
            gradients,
            group=self.name,
            trials=self.trials,
            adapter=adapted(self.spec(), forward, backward),
            owner=self.owner,
            methods=(self.forward, self.backward or self.forward),
            shared=shared,
            more=tuple(more),
            upstream=self.upstream,
            differences=known is None,
            largest=MAX_DIFFERENTIATED,
            columns=tuple(gradients),
            known=known is not None or kind_of(self.name) is not None,
        )

    def _gradient(self, k: int, argument: Argument) -> Subject:
        known = self.known
        if known is None:
            plain = numeric_gradient(argument.label, k) if not argument.averaged else None
            found = plain or _averaged_gradient(
                argument.label, k, bias=argument.shape is not None and len(argument.shape) == 1
            )
            return replace(found, tolerance=max(found.tolerance, self.tolerance))
        role = next(role for role, one in self.roles.items() if one is argument)
        found = known.gradients[role](argument.label, argument.averaged, self.upstream)
        if role == "weight" and self.transposed:
            from handgrad.checking.diagnosis_layers import linear_dweight

            found = linear_dweight(argument.label, averaged=argument.averaged, transposed=True)
        tolerance = max(found.tolerance, self.tolerance)
        return replace(_with_shape_of(found, argument.name), name=argument.label, tolerance=tolerance)


def _stem(name: str) -> str:
    return re.sub(r"_?forward", "", name)


def _reference_output(tolerance: float) -> Subject:
    """The output of the reference solution. `Course.prepare` stores it in the draw."""
    return Subject("the output", lambda draw: draw.expected, tolerance=tolerance)


def _averaged_gradient(name: str, k: int, *, bias: bool) -> Subject:
    """A numerical gradient divided by the batch size."""
    plain = parameter_subject(name, bias=bias)

    def compute(draw: Draw, **options: Any) -> Any:
        x = draw.around[k].x
        expected = (draw.jacobians[k] @ draw.dy.ravel()).reshape(x.shape) / draw.sizes["N"]
        return plain.compute(draw.changed(x=x, expected=expected), **options)

    factors = {"N": "batch-mean-missing", "1/N": "batch-mean-twice", "0": "all-zero"}
    return Subject(name, compute, plain.slips, factors, tolerance=plain.tolerance)


def _with_shape_of(subject: Subject, name: str) -> Subject:
    """The subject with its gradient in the shape of the argument: a bias can be (n,), (1, n) or (n, 1)."""

    def reshape(value: Any, shape: tuple[int, ...]) -> Any:
        value = np.asarray(value)
        return value.reshape(shape) if value.ndim != len(shape) and value.size == math.prod(shape) else value

    def compute(draw: Draw, **options: Any) -> Any:
        found, shape = subject.compute(draw, **options), draw.handed[name].shape
        if isinstance(found, dict):
            return {term: reshape(value, shape) for term, value in found.items()}
        return reshape(found, shape)

    return replace(subject, compute=compute)


def _check_gradient_shapes(
    part: CoursePart, forward: Judge, backward: Judge, trials: Sequence[tuple[Trial, Observation]]
) -> None:
    """Checks that each gradient has a shape with which its argument can be updated."""
    for one, observation in trials:
        value = observation.values.get("g")
        if value is None or value.kind != "tuple" or backward.missing:
            continue
        for argument, found in zip(part.with_gradient, value.items.values(), strict=False):
            judge_joined(backward, argument.name, one.draw.handed[argument.name], found.array, argument.label)


def _check_state(
    part: CoursePart, forward: Judge, backward: Judge, trials: Sequence[tuple[Trial, Observation]]
) -> None:
    """Compares the state after forward with the state of the reference."""
    if forward.missing or not forward.judged:
        return
    for one, observation in trials:
        expected = getattr(one.draw, "expected_state", None)
        for k, place in enumerate(part.state):
            found = observation.get(f"state {k}")
            if expected is None or expected[k] is None or found is None or close(found, expected[k]):
                continue
            batchnorm = part.subject == "batchnorm"
            id = _running_statistic_bug(place, one.draw, found, expected[k]) if batchnorm else "unexplained"
            forward.bug(id, f"after forward {departure(written(place), found, expected[k])}")


def _running_statistic_bug(place: Sequence[Any], draw: Draw, found: np.ndarray, expected: np.ndarray) -> str:
    """The bug in the update of a running mean (initially 0) or variance (initially 1)."""
    variance = "var" in str(place[-1]).lower()
    start, batch = (1.0, draw.x.var(axis=0)) if variance else (0.0, draw.x.mean(axis=0))
    bugs = {
        "running-never-updated": np.full(batch.shape, start),
        "running-is-last-batch": batch,
        "running-alpha-swapped": start + batch - np.ravel(expected),
    }
    return next((id for id, value in bugs.items() if close(np.ravel(found), value)), "unexplained")


# -- the contract -----------------------------------------------------------------------------------------------------


class Course(Runner):
    """A course file applied to one hand-in."""

    def __init__(self, source: Source, course: CourseFile) -> None:
        super().__init__(source)
        self.course, self.name, self.title = course, course.name, course.title
        self.described, self.absent = [], []
        self._parts: dict[str, CoursePart] = {}
        for part in course.parts:
            module = _defining(source, part)
            self._parts[part.name] = part
            if module is None:
                self.absent.append(part)
            else:
                self.described.append((part.described(), module))

    def prepare(self, limits: Limits, means: Sequence[str] = MEANS) -> None:
        """Runs the reference on the inputs of the hand-in, in a separate sandbox.

        Raises: ConfigError if the reference fails.
        """
        compared = {part.name for part in self.course.parts if part.needs_reference}
        trials = {name: group for name, group in self.trials().items() if name in compared}
        if not trials:
            return
        reference = self.course.reference
        assert reference is not None, "CourseFile.read rejects courses without a necessary reference"
        with tempfile.TemporaryDirectory(prefix="handgrad-reference-", ignore_cleanup_errors=True) as folder:
            solution = take_in(reference, Path(folder))
            other = Course(Source.read(solution.folder), self.course)
            other.seed = self.seed
            other.described = [
                (replace(each, numeric=False, backward=""), module)
                for each, module in other.described
                if each.name in trials
            ]
            with Sandbox(solution.folder, limits, means=means, leave=True) as sandbox:
                observed = {one.probe: one for one in sandbox.run(other.probes(), other.paths)}
        given = other.trials()
        for name, group in trials.items():
            part = self._parts[name]
            assert name in given, "verify refuses a reference that lacks a part"
            for position, one in enumerate(group):
                found = observed[given[name][position].name]
                output = found.values.get("all")
                first = output.items.get("0") if output is not None else None
                if found.failure is not None or first is None or first.array is None:
                    why = found.failure or f"it returns {first.type if first is not None else 'nothing'}"
                    raise ConfigError(
                        f"part {name!r} fails with the reference: {why}; check its shapes and its construct"
                    )
                one.draw.expected = first.array.astype(float)
                one.draw.expected_state = [found.get(f"state {k}") for k in range(len(part.state))]

    def judge(self, observations: Mapping[str, Observation]) -> list[Part]:
        found = dict(zip([each.name for each, _ in self.described], self.described, strict=True))
        parts: list[Part] = []
        for part in self.course.parts:
            if part.name in found:
                each, module = found[part.name]
                parts += each_alone((part.name, partial(self._judge, each, module, observations)))
                continue
            reason = f"there is no {'class ' if part.owner else 'function '}{part.owner or part.forward}"
            names = part.names if part.with_gradient else part.names[:1]
            parts += [Part(name, "missing", reason=reason, group=part.name) for name in names]
        return parts

    def _judge(self, each: Described, module: Module, observations: Mapping[str, Observation]) -> list[Part]:
        found = super()._judge(each, module, observations)
        return found if each.gradients else found[:1]

    def _judges(self, each: Described, module: Module, observations: Mapping[str, Observation]) -> tuple[Judge, Judge]:
        part = self._parts[each.name]
        methods = (part.forward, part.backward or part.forward)
        forward, gradient = (
            Judge(name, observations, module, part.owner, method, part.name, known=each.known)
            for name, method in zip(part.names, methods, strict=True)
        )
        return forward, gradient

    def _told(self, each: Described) -> bool:
        return False


def _defining(source: Source, part: CoursePart) -> Module | None:
    """The file that defines the part: preferably the file named in the course, otherwise the one nearest to the top
    folder."""

    def has(module: Module) -> bool:
        return part.owner in module.classes if part.owner else part.forward in module.functions

    found = [module for module in source.modules if has(module)]
    named = [module for module in found if part.file and f"/{module.path}".endswith(f"/{part.file}")]
    return min(named or found, key=lambda module: (module.path.count("/"), module.path), default=None)


# -- the file ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CourseFile:
    """The content of a course file."""

    path: Path
    name: str
    title: str
    reference: Path | None
    parts: tuple[CoursePart, ...]
    digest: str
    """Hash of the course file and the reference. An interrupted check is resumed only if it is unchanged."""

    @classmethod
    def read(cls, path: str | Path) -> CourseFile:
        """Reads a course file.

        Raises: ConfigError if it does not exist, is not TOML, or is invalid.
        """
        path = Path(path)
        try:
            data = path.read_bytes()
            found = tomllib.loads(data.decode("utf-8-sig"))
        except OSError as error:
            raise ConfigError(f"contract={path} cannot be read: {error.strerror or error}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(f"contract={path} is not TOML: {error}") from None
        try:
            return cls._from(path, found, data)
        except Bad as error:
            raise ConfigError(f"contract={path}: {error}") from None

    @classmethod
    def _from(cls, path: Path, found: dict[str, Any], data: bytes) -> CourseFile:
        _check_keys(found, COURSE, "the course")
        name = _text(found, "name", path.stem, "the course")
        if not re.fullmatch(r"[\w.-]+", name):
            raise Bad(f"name={name!r}: expected letters, digits, '.', '-' and '_'")
        entries = found.get("part")
        if not isinstance(entries, list) or not entries or not all(isinstance(one, dict) for one in entries):
            raise Bad("it has no part: expected at least one table [[part]]")
        sizes = {**SIZES, **_sizes(found.get("sizes", {}), "sizes")}
        reference, digest = None, hashlib.sha256(data)
        if "reference" in found:
            reference = path.parent / _text(found, "reference", "", "the course")
            if not reference.exists():
                raise Bad(
                    f"reference={found['reference']!r} does not exist: expected a path relative to the course file"
                )
            for file in sorted(reference.rglob("*.py")) if reference.is_dir() else [reference]:
                digest.update(file.read_bytes())
        parts = tuple(read_part(entry, sizes) for entry in entries)
        names = [part.name for part in parts]
        for part in parts:
            if names.count(part.name) > 1:
                raise Bad(f"two parts are called {part.name!r}: give each a unique name")
            if part.needs_reference and reference is None:
                raise Bad(
                    f"part {part.name!r} has no subject, so the course needs a reference to compare its output with: "
                    'add reference = "solution.py", or compare = false to judge only its backward'
                )
        return cls(path, name, _text(found, "title", name, "the course"), reference, parts, digest.hexdigest())

    def on(self, source: Source) -> Contract | None:
        """The contract for one hand-in; None if it contains no part of the course."""
        found = Course(source, self)
        return found if found.described else None

    @property
    def points(self) -> dict[str, float]:
        """The points of each part, or of its forward and backward pass."""
        found: dict[str, float] = {}
        for part in self.parts:
            if isinstance(part.points, Mapping):
                found |= {
                    name: part.points[key] for name, key in zip(part.names, _METHODS, strict=True) if key in part.points
                }
            else:
                found[part.name] = part.points
        return found


_METHODS = ("forward", "backward")


def _check_keys(found: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    for key in found:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(keys)}"
            raise Bad(f"{where} has the unknown key {key!r}; {hint}")


def _text(found: Mapping[str, Any], key: str, default: str, where: str) -> str:
    value = found.get(key, default)
    if not isinstance(value, str):
        raise Bad(f"{where}: {key}={value!r}, expected a string")
    return value


def _sizes(found: Any, where: str) -> dict[str, tuple[int, ...]]:
    if not isinstance(found, dict):
        raise Bad(f"{where}={found!r}: expected a table such as N = [6, 5, 4, 1]")
    sizes = {}
    for name, value in found.items():
        values = value if isinstance(value, list) else [value]
        if not name.isidentifier() or not 1 <= len(values) <= MAX_TRIALS or not all(map(_whole, values)):
            raise Bad(
                f"{where}: {name}={value!r}, expected a whole number of at least 1, or a list of 1 to {MAX_TRIALS} "
                "of them"
            )
        sizes[name] = tuple(values)
    return sizes


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def place(text: Any, first: Sequence[str], where: str) -> tuple[Any, ...]:
    """Parses a location into a path: `layer.grads['weight']` is ("layer", "grads", {"key": "weight"}).

    Raises: Bad if it contains anything other than names, attributes and items.
    """
    steps: list[Any] = []
    try:
        node = ast.parse(text, mode="eval").body if isinstance(text, str) else None
    except (SyntaxError, ValueError):
        node = None
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            steps.insert(0, node.attr)
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            key = node.slice.value
            steps.insert(0, key if isinstance(key, int) else {"key": key})
        else:
            raise Bad(
                f"{where}={text!r} is not a valid location: expected for example layer.dW, backward[0] or forward[1]"
            )
        node = node.value
    if first and node.id not in first:
        near = difflib.get_close_matches(node.id, first, 1, 0.5)
        raise Bad(f"{where}={text!r}: expected a location that begins with {' or '.join(near or first)}")
    return (node.id, *steps)


def written(path: Sequence[Any]) -> str:
    """Writes a location as text, the inverse of `place`."""
    text = str(path[0])
    for step in path[1:]:
        key = step["key"] if isinstance(step, dict) else step
        text += f".{step}" if isinstance(step, str) else f"[{key!r}]"
    return text


def read_part(found: dict[str, Any], course_sizes: Mapping[str, tuple[int, ...]] = SIZES) -> CoursePart:
    """Reads a part of a course from its table. Raises: Bad if it is invalid."""
    owner = _text(found, "class", "", "a part")
    forward = _text(found, "forward", "forward" if owner else "", "a part")
    name = _text(found, "name", owner or _stem(forward), "a part")
    where = f"part {name!r}"
    _check_keys(found, PART, where)
    if not forward:
        raise Bad(f'{where} has neither a class nor a forward: expected class = "Linear" or forward = "relu_forward"')
    all_sizes = {**course_sizes, **_sizes(found.get("sizes", {}), f"{where}: sizes")}
    inputs, parameters = _arguments(found, owner, all_sizes, where)
    backward = _text(found, "backward", "", where)
    if not backward and owner and any(a.gradient[:1] != ("forward",) and a.gradient for a in _all(inputs, parameters)):
        backward = "backward"
    arguments = [one.name for one in inputs]
    takes = found.get("backward_takes", ["dout"] if owner else ["dout", "forward[1]"])
    if not isinstance(takes, list):
        raise Bad(f'{where}: backward_takes={takes!r}, expected a list such as ["dout", "forward[1]"]')
    first = ["dout", "forward", *(["layer"] if owner else []), *arguments]
    taken = tuple(place(one, first, f"{where}: backward_takes") for one in takes) if backward else ()
    pair = not owner and (("forward", 1) in taken or any(a.gradient[:1] == ("forward",) for a in inputs))
    outputs = ("forward", "layer") if owner else ("forward",)
    output = place(found.get("output", "forward[0]" if pair else "forward"), outputs, f"{where}: output")
    state = found.get("state", [])
    if not isinstance(state, list) or (state and not owner):
        raise Bad(
            f'{where}: state={state!r}, expected locations in the layer of a class, such as ["layer.running_mean"]'
        )
    subject, options = _subject(found.get("subject", ""), where)
    construct = found.get("construct", [])
    if not isinstance(construct, list | dict) or (construct and not owner):
        raise Bad(f"{where}: construct={construct!r}, expected a class with a list or a table of its arguments")
    before = found.get("before", [])
    if not isinstance(before, list) or not all(isinstance(one, str) and one.isidentifier() for one in before):
        raise Bad(f'{where}: before={before!r}, expected names of methods without arguments, such as ["train"]')
    is_list = isinstance(construct, list)
    positional = tuple(_constructor_argument(one, all_sizes, where) for one in construct) if is_list else ()
    named = {} if is_list else {key: _constructor_argument(one, all_sizes, where) for key, one in construct.items()}
    compare, tolerance = found.get("compare", True), found.get("tolerance", 1e-6)
    if not isinstance(compare, bool):
        raise Bad(f"{where}: compare={compare!r}, expected true or false")
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 < tolerance < 1:
        raise Bad(f"{where}: tolerance={tolerance!r}, expected a number between 0 and 1")
    used = _used_sizes(_all(inputs, parameters), (*positional, *named.values()))
    part = CoursePart(
        name, owner, positional, named, tuple(before), forward, backward, taken, inputs, parameters, output,
        tuple(place(one, ("layer",), f"{where}: state") for one in state), subject, options, compare, float(tolerance),
        _points(found.get("points", 1), where), _text(found, "file", "", where),
        {key: value for key, value in all_sizes.items() if key in used},
    )  # fmt: skip
    _check_shapes(part, where)
    return part


def _all(inputs: Sequence[Argument], parameters: Mapping[str, tuple[Argument, Any]]) -> list[Argument]:
    return [*inputs, *(argument for argument, _ in parameters.values())]


def _arguments(found: Mapping[str, Any], owner: str, sizes: Mapping[str, Any], where: str):
    """Returns the inputs, and the parameters with their locations."""
    input_table = found.get("inputs", {})
    if not isinstance(input_table, dict) or not input_table:
        raise Bad(f'{where} has no inputs: expected a table such as inputs.x = {{ shape = ["N", "D"] }}')
    inputs = tuple(_argument(key, value, owner, sizes, where) for key, value in input_table.items())
    table = found.get("parameters", {})
    if not isinstance(table, dict) or (table and not owner):
        raise Bad(f'{where}: parameters={table!r}, expected a class with a table such as W = {{ shape = ["D", "K"] }}')
    parameters = {}
    for key, value in table.items():
        location = place(f"layer.{key}", ("layer",), f"{where}: parameters.{key}")
        parameters[key] = (_argument(key, value, owner, sizes, where), location)
    names = [one.name for one in _all(inputs, parameters)]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise Bad(f"{where}: {double!r} is the name of an input and of a parameter: rename the input")
    return inputs, parameters


def _argument(name: str, value: Any, owner: str, sizes: Mapping[str, Any], where: str) -> Argument:
    where = f"{where}: {name}"
    if not isinstance(value, dict):
        return Argument(name, None, value=value)
    _check_keys(value, ARGUMENT, where)
    if ("value" in value) == ("shape" in value):
        both = "both shape and value" if "value" in value else "neither shape nor value"
        raise Bad(f"{where} has {both}: expected exactly one of them")
    if "value" in value:
        return Argument(name, None, value=value["value"])
    shape = value["shape"]
    if not isinstance(shape, list) or len(shape) > 6:
        raise Bad(f'{where}: shape={shape!r}, expected a list such as ["N", "D"] or [3, 4]')
    for one in shape:
        if not _whole(one) and not (isinstance(one, str) and one in sizes):
            _unknown_size(one, sizes, f"{where}: shape={shape!r}")
    kind = value.get("values", "normal")
    if not isinstance(kind, str) or kind not in VALUES:
        near = difflib.get_close_matches(str(kind), list(VALUES), 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(VALUES)}"
        raise Bad(f"{where}: values={kind!r}; {hint}")
    bounds = []
    for key, default in zip(("low", "high"), RANGES.get(kind, (0, 1)), strict=True):
        bound = value.get(key, default)
        if key in value and kind not in RANGES:
            raise Bad(f'{where}: {key} requires values = "uniform" or "integers", not {kind!r}')
        if isinstance(bound, str) and bound not in sizes:
            _unknown_size(bound, sizes, f"{where}: {key}")
        if isinstance(bound, bool) or not isinstance(bound, int | float | str):
            raise Bad(f"{where}: {key}={bound!r}, expected a number or the name of a size")
        if kind == "integers" and isinstance(bound, float):
            raise Bad(f"{where}: {key}={bound!r}, expected a whole number or the name of a size")
        if not isinstance(bound, str) and not abs(bound) <= MAX_BOUND:
            raise Bad(f"{where}: {key}={bound!r}, expected a number between {-MAX_BOUND:g} and {MAX_BOUND:g}")
        bounds.append(bound)
    low, high = bounds
    if kind in ("one-hot", "probabilities") and not shape:
        raise Bad(f"{where}: values={kind!r} requires a shape whose last axis is the class axis")
    gradient = ()
    if value.get("gradient"):
        if kind == "integers":
            raise Bad(f"{where}: gradient={value['gradient']!r}, but integers have no gradient")
        first = ("forward", "backward", *(["layer"] if owner else []))
        gradient = place(value["gradient"], first, f"{where}: gradient")
    averaged = value.get("averaged", False)
    if not isinstance(averaged, bool):
        raise Bad(f"{where}: averaged={averaged!r}, expected true or false")
    role = _text(value, "role", "", where)
    return Argument(name, tuple(shape), kind, low, high, None, gradient, averaged, role)


def _unknown_size(one: Any, sizes: Mapping[str, Any], where: str) -> None:
    near = difflib.get_close_matches(str(one), list(sizes), 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else "expected whole numbers of at least 1 and names of sizes"
    raise Bad(f"{where} contains {one!r}; {hint} (sizes: {', '.join(sizes)})")


def _constructor_argument(value: Any, sizes: Mapping[str, Any], where: str) -> Any:
    """Returns {"size": name} for the name of a size, otherwise the value itself."""
    if isinstance(value, str):
        if value not in sizes:
            near = difflib.get_close_matches(value, list(sizes), 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"write a string as {{ value = {value!r} }}"
            raise Bad(f"{where}: construct contains {value!r}, which is not a size; {hint}")
        return {"size": value}
    if isinstance(value, dict):
        if set(value) != {"value"} or isinstance(value["value"], dict):
            raise Bad(
                f"{where}: construct contains {value!r}, expected a number, the name of a size or {{ value = ... }}"
            )
        return value["value"]
    return [_constructor_argument(one, sizes, where) for one in value] if isinstance(value, list) else value


def _used_sizes(arguments: Sequence[Argument], construct: Sequence[Any]) -> set[str]:
    """The names of the sizes that a part uses."""
    found = {one for argument in arguments for one in (argument.shape or ()) if isinstance(one, str)}
    found |= {one for argument in arguments for one in (argument.low, argument.high) if isinstance(one, str)}

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            found.add(value["size"])
        elif isinstance(value, list):
            for item in value:
                collect(item)

    for value in construct:
        collect(value)
    return found


def _subject(found: Any, where: str) -> tuple[str, dict[str, Any]]:
    options = dict(found) if isinstance(found, dict) else {"name": found}
    name = options.pop("name", "")
    if not isinstance(name, str) or (name and name not in KNOWN):
        near = difflib.get_close_matches(str(name), SUBJECTS, 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(SUBJECTS)}"
        raise Bad(f"{where}: subject={name!r} is not known; {hint}")
    _check_keys(options, tuple(KNOWN[name].options) if name else (), f"{where}: subject")
    for key, value in options.items():
        finite = not isinstance(value, float) or math.isfinite(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not finite:
            raise Bad(f"{where}: subject: {key}={value!r}, expected a finite number")
    return name, options


def _points(found: Any, where: str) -> Any:
    for key, value in found.items() if isinstance(found, dict) else (("points", found),):
        if isinstance(found, dict) and key not in _METHODS:
            raise Bad(f"{where}: points has {key!r}, expected forward and backward")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise Bad(f"{where}: points={value!r}, expected a number of at least 0")
    return found


def _check_shapes(part: CoursePart, where: str) -> None:
    """Checks that the shapes suit the subject and are small enough for numerical derivatives."""
    lengths = {len(values) for values in part.sizes.values()} - {1}
    if len(lengths) > 1:
        raise Bad(
            f"{where}: its sizes have {' and '.join(map(str, sorted(lengths)))} values, "
            "expected the same number for each size"
        )
    for position in range(part.trials):
        sizes = part.sizes_at(position)
        for one in part.arguments:
            count = math.prod(one.size(sizes)) if one.shape is not None else 0
            limit = MAX_DIFFERENTIATED if one.gradient and not part.subject else MAX_ENTRIES
            if count > limit:
                reason = " for a numerical derivative" if limit == MAX_DIFFERENTIATED else ""
                raise Bad(f"{where}: {one.name} has {count} entries, expected at most {limit}{reason}")
            low, high = (sizes[bound] if isinstance(bound, str) else bound for bound in (one.low, one.high))
            if one.shape is not None and not low < high:
                raise Bad(f"{where}: {one.name}: low={low:g} and high={high:g}, expected low below high")
    known = part.known
    if known is None:
        return
    wrong = next((one for one in part.arguments if one.role and one.role not in known.roles), None)
    if wrong is not None:
        raise Bad(f"{where}: {wrong.name}: role={wrong.role!r}, expected one of {', '.join(known.roles)}")
    arrays = [one.name for one in part.arguments if one.shape is not None]
    if sorted(part.roles) != sorted(known.roles) or len(arrays) != len(known.roles):
        raise Bad(
            f"{where}: subject={part.subject!r} requires the arrays {', '.join(known.roles)}; "
            f"the part has {', '.join(arrays)}"
        )
    for role, one in part.roles.items():
        if one.gradient and role not in known.gradients:
            raise Bad(f"{where}: {one.name} is the {role} of {part.subject}, which has no gradient: leave gradient out")
    if part.with_gradient and known.upstream is not None and known.upstream != part.upstream:
        takes = "an upstream gradient (dout)" if known.upstream else "no upstream gradient"
        raise Bad(f"{where}: the backward of subject={part.subject!r} takes {takes}")
    shapes = ", ".join(f"{one.name} {one.size(part.sizes_at(0))}" for one in part.roles.values())
    try:
        for position in range(part.trials):
            given = part.make(np.random.default_rng(0), position)
            if given.draw.x.ndim not in known.axes:
                raise ValueError
            y = right_value(known.output, given.draw)
            draw = given.draw.changed(dy=np.ones(y.shape), y=y, handed=given.arrays)
            for k, one in enumerate(part.with_gradient):
                found = right_value(part._gradient(k, one), draw)
                if found.shape != one.size(part.sizes_at(position)):
                    raise ValueError
    except (ValueError, IndexError, TypeError, AttributeError):
        chosen = "".join(f", {key}={value}" for key, value in part.options.items())
        raise Bad(f"{where}: subject={part.subject!r}{chosen} does not fit these shapes: {shapes}") from None


__all__ = ["SIZES", "SUBJECTS", "Bad", "Course", "CourseFile", "CoursePart", "read_part", "written"]
