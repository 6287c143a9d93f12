"""`check_layer`: the contract of a layer beyond its gradients, with one sentence per property."""

from __future__ import annotations

import copy
import dis
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any, Literal

import numpy as np

from handgrad.numerics.check import check_subject
from handgrad.numerics.derivatives import relative_error
from handgrad.numerics.subjects import Bench, LayerError, Subject, is_floating, make_subject

Status = Literal["kept", "broken", "not checked"]
MARKS = {"kept": "✓", "broken": "✗", "not checked": "–"}
TOLERANCE = 1e-10  # between two computations of the same result in float64, whose sums may have a different order


@dataclass(frozen=True)
class Property:
    """One property of a layer: whether it holds, what was observed, and what to do."""

    name: str
    status: Status
    sentence: str


@dataclass(frozen=True)
class LayerReport:
    """The result of `check_layer`. True (and `.ok`) if nothing is broken; `print(report)` shows one line per property.

    `report["dtype"]` is the property of that name; `report.to_dict()` can be written as JSON.
    """

    subject: str
    properties: tuple[Property, ...]

    @property
    def ok(self) -> bool:
        return all(p.status != "broken" for p in self.properties)

    def __bool__(self) -> bool:
        return self.ok

    def __iter__(self) -> Iterator[Property]:
        return iter(self.properties)

    def __getitem__(self, name: str) -> Property:
        for found in self.properties:
            if found.name == name:
                return found
        raise KeyError(f"no property {name!r}: this report has {', '.join(repr(p.name) for p in self.properties)}")

    def __str__(self) -> str:
        broken = [p.name for p in self.properties if p.status == "broken"]
        headline = f"{self.subject}: {'broken: ' + ', '.join(broken) if broken else 'satisfies every checked property'}"
        width = max(len(p.name) for p in self.properties)
        lines = [f"  {MARKS[p.status]} {p.name.ljust(width)}  {p.sentence}" for p in self.properties]
        return "\n".join([headline, "", *lines])

    def to_dict(self) -> dict[str, Any]:
        """The report in plain Python types, ready for JSON."""
        return {"subject": self.subject, "ok": self.ok, "properties": [asdict(p) for p in self.properties]}


def check_layer(layer: Any, inputs: Any, *, seed: int | np.random.Generator = 0) -> LayerReport:
    """Checks a layer against the contract of handgrad's own layers: gradients, dtypes, arguments, batches, state.

    The properties, in this order: gradients; dtype (float32 and float64 are kept); arguments (input, upstream gradient
    and parameters are not modified); batch of one; empty batch; memory layout; two forwards; two backwards; train and
    eval; state. Properties that do not apply, such as the state of a layer without state_dict, are reported as not
    checked. A layer may deliberately raise an error with a message for an empty batch or a batch of one.

    Everything runs on copies, so the layer and the inputs are not modified.

    Args: layer: any layer or loss that `gradient_check` accepts. inputs: an array with the batch axis first, or a tuple
        for several inputs; at least two samples, preferably four. seed: seed for dy and the sampled entries; an integer
        or a Generator.

    Returns:
        A `LayerReport`, which is true if nothing is broken, and can be printed.

    Raises:
        TypeError, ValueError: as `gradient_check`; a plain function; a batch of less than two samples.
    """
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        subject = make_subject(layer, inputs, None, used=False)
        if subject.layer is None:
            raise TypeError(f"{subject.name} is a function: check_layer takes an object with forward and backward")
        shapes = [x.shape for x in subject.inputs if isinstance(x, np.ndarray)]
        if not shapes or not shapes[0] or shapes[0][0] < 2:
            raise ValueError(
                f"inputs have shape {shapes[0] if shapes else None}, expected a batch of two or more samples"
            )
        return _Contract(subject, shapes[0][0], np.random.default_rng(seed)).report()


class _Broken(Exception):
    """The property does not hold; the message states why and what to do."""


class _NotChecked(Exception):
    """The property does not apply; the message states why."""


class _Contract:
    def __init__(self, subject: Subject, samples: int, rng: np.random.Generator):
        self.subject, self.samples, self.rng = subject, samples, rng
        self.wrong = False  # wrong gradients are reported once

    def report(self) -> LayerReport:
        checks: dict[str, Callable[[], str]] = {
            "gradients": self.gradients,
            "dtype": self.dtype,
            "arguments": self.arguments,
            "batch of one": self.batch_of_one,
            "empty batch": self.empty_batch,
            "memory layout": self.memory_layout,
            "two forwards": self.two_forwards,
            "two backwards": self.two_backwards,
            "train and eval": self.train_and_eval,
            "state": self.state,
        }
        return LayerReport(self.subject.name, tuple(_property(name, check) for name, check in checks.items()))

    # --- helpers

    def dy(self, y: np.ndarray) -> Any:
        """A random upstream gradient, the same for the same shape."""
        if not self.subject.takes_dy:
            return np.ones_like(y)
        dy = np.random.default_rng(5).uniform(0.5, 1.5, y.shape) * np.where(
            np.arange(y.size).reshape(y.shape) % 2, 1, -1
        )
        return dy.astype(y.dtype) if y.ndim else y.dtype.type(dy)

    def batch(self, rows: slice) -> tuple[Any, ...]:
        """Some of the samples, for every input with as many samples as the first."""
        return tuple(
            x[rows].copy() if isinstance(x, np.ndarray) and x.shape[:1] == (self.samples,) else copy.deepcopy(x)
            for x in self.subject.inputs
        )

    def whole_forward(self, subject: Subject) -> np.ndarray:
        return subject.forward(list(self.batch(slice(None))))

    def run(self, subject: Subject, inputs: tuple[Any, ...] | None = None, dy: Any = None) -> dict[str, Any]:
        """Runs forward and backward on a copy: the output and the gradients of the inputs and parameters."""
        subject = subject.copied()
        inputs = tuple(copy.deepcopy(subject.inputs) if inputs is None else inputs)
        y = subject.forward(list(inputs))
        return {"the output": y, **self.backward(subject, y if dy is None else None, inputs, dy)}

    def backward(self, subject: Subject, y: Any, inputs: tuple[Any, ...], dy: Any = None) -> dict[str, Any]:
        returned = subject.backward(self.dy(y) if dy is None else dy, list(inputs))
        returned = list(returned) if isinstance(returned, tuple | list) else [returned]
        names = ["dx"] if len(returned) == 1 else [f"the gradient of input {i}" for i in range(len(returned))]
        results = {name: np.array(g) for name, g in zip(names, returned, strict=True) if g is not None}
        grads = {f"the gradient of {p.name}": p.grad for p in subject.parameters()}
        return results | {name: np.array(g) for name, g in grads.items() if g is not None}

    def in_mode(self, training: bool) -> Subject:
        """A copy in train or eval mode."""
        subject = self.subject.copied()
        for method in ("train", "eval"):
            if not callable(getattr(subject.layer, method, None)):
                raise _NotChecked(f"the layer has no {method}()")
        subject.layer.train() if training else subject.layer.eval()
        return subject

    def describe_errors(self, subject: Subject) -> str:
        """Which gradients are wrong (empty if none), and whether they were already wrong without changes."""
        if self.wrong:
            return ""
        report = check_subject(subject, seed=self.rng, samples=10, draws=1)
        return "; ".join(f"{part.name}: {part.reason}" for part in report if part.verdict == "wrong")

    # --- the properties: each returns what was observed, or raises

    def gradients(self) -> str:
        report = check_subject(self.subject.used_before(), seed=self.rng)
        if report.verdict == "right":
            return f"right: {', '.join(part.name for part in report)}"
        parts = [part for part in report if part.verdict == report.verdict]
        said = "; ".join(f"{part.name}: {part.reason}" for part in parts)
        if report.verdict == "wrong":
            self.wrong = True
            raise _Broken(f"wrong: {said}")
        raise _NotChecked(f"cannot be judged here: {said}")

    def dtype(self) -> str:
        for dtype in (np.float32, np.float64):
            subject = _cast(self.subject, dtype)
            for name, array in self.run(subject).items():
                if array.dtype != dtype:
                    raise _Broken(
                        f"{name} is {array.dtype} where input and parameters are {np.dtype(dtype)}: compute in the "
                        "input's dtype (arrays made inside need dtype=x.dtype)"
                    )
        return "float32 stays float32, float64 stays float64"

    def arguments(self) -> str:
        y = self.subject.copied().forward(list(copy.deepcopy(self.subject.inputs)))
        faults = Bench(self.subject).gradients(np.asarray(self.dy(y))).faults
        if faults:
            raise _Broken(f"it {', and it '.join(faults)}: work on a copy")
        return "input, dy and parameters are not modified"

    def batch_of_one(self) -> str:
        return self.small_batch(1)

    def empty_batch(self) -> str:
        said = self.small_batch(0)
        if said.startswith("refused"):
            return said
        for name, array in self.run(self.subject, self.batch(slice(0, 0))).items():
            if not np.all(array == 0):
                raise _Broken(f"{name} contains {array.flat[0]} for an empty batch, expected 0: do not divide by N")
        return "gives an empty output, and gradients of 0"

    def small_batch(self, n: int) -> str:
        whole = self.run(self.subject)
        inputs = self.batch(slice(0, n))
        try:
            results = self.run(self.subject, inputs)
        except LayerError as error:
            if _explained(error):
                return f"refused with a message: {error.__cause__}"
            raise
        y = results["the output"]
        if n == 0 and y.ndim == 0:
            raise _NotChecked("the mean of an empty batch is not defined")
        for name in ("the output", "dx"):
            if name in results and whole[name].shape[:1] == (self.samples,):
                expected = (n, *whole[name].shape[1:])
                if results[name].shape != expected:
                    raise _Broken(f"{name} has shape {results[name].shape} for {n} samples, expected {expected}")
            if name in results and not np.isfinite(results[name]).all():
                raise _Broken(f"{name} is not finite")
        if n and (said := self.describe_errors(replace(self.subject, inputs=inputs).used_before())):
            raise _Broken(said)
        return "works, with right gradients"

    def memory_layout(self) -> str:
        expected = self.run(self.subject)
        dy = self.dy(expected["the output"])
        for layout, arrange in LAYOUTS.items():
            inputs = tuple(arrange(x) if is_floating(x) and x.ndim else copy.deepcopy(x) for x in self.subject.inputs)
            results = self.run(self.subject, inputs, arrange(dy) if np.ndim(dy) else dy)
            _compare(results, expected, f"differs for {layout} arrays: do not rely on strides or order='K'")
        return "the result is the same for every memory layout"

    def two_forwards(self) -> str:
        subject = self.subject.copied()
        first = self.batch(slice(None))
        y = _raw_forward(subject, first)
        kept = np.array(y)
        fewer = self.batch(slice(self.samples - 1, 0, -1))
        try:
            subject.forward(list(fewer))
        except LayerError as error:
            if not _explained(error):
                raise
            fewer = self.batch(slice(None, None, -1))
            subject.forward(list(fewer))
        if not np.array_equal(kept, y, equal_nan=True):
            raise _Broken("the second forward overwrites the output of the first: return a new array")
        if said := self.describe_errors(replace(subject, inputs=fewer)):
            raise _Broken(f"backward after a second forward with fewer samples does not use that forward: {said}")
        return "backward uses the last forward, and earlier outputs are not modified"

    def two_backwards(self) -> str:
        subject = self.subject.copied()
        y = subject.forward(list(self.batch(slice(None))))
        first = self.backward(subject, y, self.subject.inputs)
        first = {name: array.copy() for name, array in first.items()}
        second = self.backward(subject, y, self.subject.inputs)
        grads = [name for name in first if name.startswith("the gradient of ") and "input" not in name]
        added = [n for n in grads if np.any(first[n]) and _close(second[n], 2 * first[n])]
        if added and not callable(getattr(subject.layer, "zero_grad", None)):
            raise _Broken(
                f"backward adds to {added[0]}: a second backward doubles it; overwrite it (= instead of "
                "+=), or give the layer a zero_grad()"
            )
        _compare(
            second,
            {n: a for n, a in first.items() if n not in added},
            "is different after a second backward: do not modify the cache",
        )
        return (
            "a second backward gives the same gradients"
            if not added
            else "gradients are added up, and there is a zero_grad()"
        )

    def train_and_eval(self) -> str:
        self.in_mode(True)
        subject = self.in_mode(False)
        before = copy.deepcopy(_numbers(subject.layer))
        once, again = (self.whole_forward(subject) for _ in range(2))
        if not _close(once, again):
            raise _Broken(
                "in eval mode, the same input gives a different output the second time: do not use randomness there"
            )
        changed = [
            name
            for name, array in _numbers(subject.layer).items()
            if name in before and not _close(array, before[name])
        ]
        if changed:
            raise _Broken(f"forward changes {changed[0]} in eval mode: update running statistics only in training mode")
        if once.shape[:1] == (self.samples,):
            alone = self.in_mode(False).forward(list(self.batch(slice(0, 1))))
            if alone.shape[:1] != (1,) or not _close(alone[0], once[0]):
                raise _Broken(
                    "in eval mode, a single sample gives a different output than in a batch: do not use batch "
                    "statistics there"
                )
        if said := self.describe_errors(self.in_mode(False)):
            raise _Broken(f"the gradient is wrong in eval mode: {said}")
        fresh, back = self.in_mode(True), self.in_mode(False)
        back.layer.train()
        if not _close(self.whole_forward(fresh), self.whole_forward(back)):
            raise _Broken("train() after eval() does not restore training mode")
        return "eval mode is repeatable and changes nothing; train() restores training mode"

    def state(self) -> str:
        source = self.subject.copied()
        for method in ("state_dict", "load_state_dict"):
            if not callable(getattr(source.layer, method, None)):
                raise _NotChecked(f"the layer has no {method}()")
        self.whole_forward(source)
        held = source.layer.state_dict()
        saved = {name: np.array(array) for name, array in held.items()}
        target = self.subject.copied()
        for parameter in target.parameters():
            parameter.value[...] = 0.5 * parameter.value + 0.25
        target.forward([3 * x + 1 if is_floating(x) else x for x in self.batch(slice(None, None, -1))])
        target.layer.load_state_dict(saved)
        for name, array in target.layer.state_dict().items():
            if name not in saved or not _close(np.array(array), saved[name]):
                raise _Broken(f"state_dict returns a different {name} from the one that was loaded")
        for mode in ("train", "eval"):
            a, b = source.copied(), target.copied()
            if callable(getattr(a.layer, mode, None)):
                getattr(a.layer, mode)()
                getattr(b.layer, mode)()
            if mode == "train" and not self.deterministic():
                continue
            if not _close(self.whole_forward(a), self.whole_forward(b)):
                raise _Broken(
                    f"after loading the state, the output is different ({mode} mode): the state is incomplete"
                )
        for parameter in source.parameters():
            parameter.value[...] += 1.0
        if any(not np.array_equal(np.array(array), saved[name]) for name, array in held.items()):
            raise _Broken("state_dict returns the layer's own arrays, which training then changes: return copies")
        return "state_dict and load_state_dict restore the same layer"

    def deterministic(self) -> bool:
        subject = self.subject.copied()
        once, again = (self.whole_forward(subject) for _ in range(2))
        return _close(once, again)


def _property(name: str, check: Callable[[], str]) -> Property:
    try:
        return Property(name, "kept", check())
    except _NotChecked as reason:
        return Property(name, "not checked", f"not checked: {reason}")
    except _Broken as reason:
        return Property(name, "broken", str(reason))
    except LayerError as error:
        return Property(name, "broken", str(error))
    except Exception as error:  # errors of other methods of the layer, such as train() or state_dict()
        return Property(name, "broken", str(LayerError("the layer", error)))


def _strided(x: np.ndarray) -> np.ndarray:
    wide = np.zeros((2 * len(x), *x.shape[1:]), x.dtype)
    wide[::2] = x
    return wide[::2]


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Fortran-ordered": lambda x: np.asfortranarray(x),
    "strided": _strided,
    "reversed": lambda x: x[::-1].copy()[::-1],
    "inner-strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
}


def _raw_forward(subject: Subject, inputs: tuple[Any, ...]) -> Any:
    """The object that forward returns, not a copy."""
    layer = subject.layer
    return (layer.forward if callable(getattr(layer, "forward", None)) else layer)(*inputs)


def _cast(subject: Subject, dtype: type) -> Subject:
    """A copy with inputs, parameters and other floating-point arrays of the layer in this dtype."""
    subject = replace(subject.copied(), inputs=tuple(x.astype(dtype) if is_floating(x) else x for x in subject.inputs))
    if callable(getattr(subject.layer, "astype", None)):
        subject.layer.astype(dtype)
        return subject
    for parameter in subject.parameters():
        parameter.value = parameter.value.astype(dtype)
        if isinstance(parameter.grad, np.ndarray):
            parameter.grad = parameter.grad.astype(dtype)
    for name, value in getattr(subject.layer, "__dict__", {}).items():
        if is_floating(value):
            setattr(subject.layer, name, value.astype(dtype))
    return subject


def _numbers(layer: Any) -> dict[str, np.ndarray]:
    """The persistent state of a layer: its state_dict or, without one, the arrays that it had before."""
    if callable(getattr(layer, "state_dict", None)):
        return {name: np.array(array) for name, array in layer.state_dict().items()}
    return {
        n: v for n, v in getattr(layer, "__dict__", {}).items() if n.startswith(("running", "moving")) and v is not None
    }


def _close(a: Any, b: Any, largest: float = 0.0) -> bool:
    """Whether two results are equal up to rounding.

    Args:
        largest: the largest related value. Relative to it, both results may be only rounding errors, like the gradient
            of a bias before batch normalisation, whose terms cancel.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or np.array_equal(a, b) or a.dtype.kind not in "fc":
        return a.shape == b.shape and np.array_equal(a, b)
    return relative_error(a, b) < TOLERANCE or bool((np.abs(a) + np.abs(b) < 1e-13 * largest).all())


def _compare(actual: dict[str, Any], expected: dict[str, Any], what: str) -> None:
    largest = max((float(np.abs(a).max(initial=0)) for a in expected.values() if a.dtype.kind in "fc"), default=0.0)
    for name, array in expected.items():
        if name not in actual or not _close(actual[name], array, largest):
            raise _Broken(f"{name} {what}")


def _explained(error: LayerError) -> bool:
    """Whether the layer raised the error deliberately: an explicit `raise` with a message, not an accidental error."""
    cause = error.__cause__
    trace: TracebackType | None = cause.__traceback__ if cause else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not str(cause) or str(trace.tb_frame.f_globals.get("__name__", "")).startswith("numpy"):
        return False
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"] and isinstance(
        cause, ValueError | RuntimeError | TypeError
    )
