"""What can be checked, brought to one shape: layers, losses, foreign layers with dictionaries, functions.

A `Subject` knows how to make a private copy, how to call forward and backward, and where the parameters lie. A `Bench`
is one such copy on which single numbers are moved.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

UPSTREAM_NAMES = ("d", "grad", "g", "out", "upstream", "delta", "err", "up")


@dataclass
class Parameter:
    """One parameter of one copy of a layer: an object with `.value` and `.grad`, or a key of two dictionaries."""

    name: str
    values: Any
    grads: Any
    key: str | None = None

    @property
    def value(self) -> np.ndarray:
        return self.values.value if self.key is None else self.values[self.key]

    @value.setter
    def value(self, array: np.ndarray) -> None:
        if self.key is None:
            self.values.value = array
        else:
            self.values[self.key] = array

    @property
    def grad(self) -> Any:
        return getattr(self.grads, "grad", None) if self.key is None else self.grads.get(self.key)

    @grad.setter
    def grad(self, array: np.ndarray) -> None:
        if self.key is None:
            self.grads.grad = array
        else:
            self.grads[self.key] = array

    def poison(self, number: float) -> None:
        """Fill the gradient, so that a backward that stores nothing is found out."""
        if isinstance(self.grad, np.ndarray) and self.grad.shape == self.value.shape and self.grad.dtype == np.float64:
            self.grad[...] = number  # in place: the layer may hold the same array under another name
        else:
            self.grad = np.full(self.value.shape, number)


@dataclass(frozen=True)
class Gradients:
    """What one backward gave: a gradient for each input and each parameter, None where there was none."""

    output: np.ndarray
    inputs: list[Any]
    parameters: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Subject:
    """A layer (`layer` set) or a function (`function` set), with clean float64 inputs."""

    name: str
    inputs: tuple[Any, ...]
    layer: Any = None
    function: Callable | None = None
    gradient: Callable | None = None
    backward_takes: str = "dy"
    """`dy`, `nothing`, `inputs`, or `dy and inputs`."""

    @property
    def takes_dy(self) -> bool:
        if self.layer is None:
            return self.gradient is not None
        return self.backward_takes.startswith("dy")

    def copied(self) -> Subject:
        """The same subject with its own copy of the layer."""
        return self if self.layer is None else Subject(**{**vars(self), "layer": copy.deepcopy(self.layer)})

    def parameters(self) -> list[Parameter]:
        """The layer's floating parameters, each once."""
        found, seen = [], set()
        for parameter in _parameters_of(self.layer):
            value = parameter.value
            if isinstance(value, np.ndarray) and is_floating(value) and id(value) not in seen:
                seen.add(id(value))
                found.append(parameter)
        return found

    def forward(self, inputs: list[Any]) -> np.ndarray:
        """The output as a fresh array. What the layer returns may be an array that it uses again."""
        if self.layer is not None:
            result = _forward_of(self.layer)(*inputs)
        else:
            assert self.function is not None
            result = self.function(*inputs)
            if self.gradient is None:
                result = _value_and_gradient(self.name, result)[0]
        if isinstance(result, tuple | list):
            raise TypeError(
                f"{self.name} returns a {type(result).__name__} of {len(result)}, expected one array: "
                "wrap it in a function that returns one of them"
                + ("; a function without gradient= returns (value, gradient)" if self.layer is None else "")
            )
        y = np.array(result)
        if y.dtype.kind not in "fc":
            raise TypeError(f"{self.name} returns {y.dtype} values, which have no derivative: expected floating point")
        return y

    def backward(self, dy: Any, inputs: list[Any]) -> Any:
        """Whatever backward returns; `forward` has been called with the same inputs just before."""
        if self.layer is None:
            if self.gradient is not None:
                return self.gradient(dy, *inputs)
            assert self.function is not None
            return _value_and_gradient(self.name, self.function(*inputs))[1]
        arguments = {"dy": [dy], "nothing": [], "inputs": inputs, "dy and inputs": [dy, *inputs]}[self.backward_takes]
        return self.layer.backward(*arguments)


class Bench:
    """A private copy of a subject and its inputs, on which single numbers are moved.

    Args:
        subject: is copied.
        dtype: float64, or complex128 for the complex step; inputs and parameters are cast to it.
        fresh: make a new copy for every forward, because a forward changes what the next one gives.
    """

    def __init__(self, subject: Subject, dtype: type = np.float64, fresh: bool = False):
        self.subject, self.dtype, self.fresh = subject, dtype, fresh
        self.copy = subject.copied()
        self.inputs = [x.astype(dtype) if is_floating(x) else copy.deepcopy(x) for x in subject.inputs]
        self.parameters = {p.name: p for p in self.copy.parameters()}
        for parameter in self.parameters.values():
            if parameter.value.dtype != dtype:
                parameter.value = parameter.value.astype(dtype)

    def variable(self, key: str | int) -> np.ndarray:
        """The live array of a parameter (by name) or an input (by position)."""
        return self.inputs[key] if isinstance(key, int) else self.parameters[key].value

    def forward(self) -> np.ndarray:
        if self.fresh:
            return Bench(self.subject, self.dtype).forward()
        return self.copy.forward(_copies(self.inputs))

    def forward_at(self, key: str | int, index: Any, value: Any) -> np.ndarray:
        """The output with one entry of one variable (or all of it: `index=...`) at another value."""
        if self.fresh:
            bench = Bench(self.subject, self.dtype)
            bench.variable(key)[index] = value
            return bench.forward()
        variable = self.variable(key)
        before = np.array(variable[index])
        variable[index] = value
        try:
            return self.forward()
        finally:
            variable[index] = before

    def gradients(self, dy: np.ndarray) -> Gradients:
        """Forward and backward on a new copy, with the gradients poisoned and every argument watched."""
        result = self._poisoned(dy, np.nan)
        untouched = [
            name
            for name, grad in result.parameters.items()
            if grad is not None
            and grad.dtype.kind == "f"
            and np.isnan(grad).any()
            and grad.shape == self.parameters[name].value.shape
        ]
        if untouched:
            # nan there may mean three things: added to what was there, never stored, or a true nan.
            again = self._poisoned(dy, 0.0)
            for name in untouched:
                grad = again.parameters[name]
                if np.isnan(grad).any():
                    continue
                result.parameters[name] = grad
                added = f"backward adds to the gradient of {name}: judged from zero"
                result.notes.append(added if np.any(grad) else f"backward never stores a gradient of {name}")
        return result

    def _poisoned(self, dy: np.ndarray, poison: float) -> Gradients:
        bench = Bench(self.subject, self.dtype)
        values = {name: p.value.copy() for name, p in bench.parameters.items()}
        for parameter in bench.parameters.values():
            parameter.poison(poison)
        arguments, faults = _copies(bench.inputs), []
        y = bench.copy.forward(arguments)
        if not all(map(_same, arguments, bench.inputs)):
            faults.append("changes its input in forward")
            arguments = _copies(bench.inputs) if self.subject.layer is None else arguments
        before, upstream = _copies(arguments), dy.copy() if dy.ndim else dy[()]
        returned = bench.copy.backward(upstream, arguments)
        if not all(map(_same, arguments, before)):
            faults.append("changes its input in backward")
        if not np.array_equal(upstream, dy):
            faults.append("changes the upstream gradient dy in backward")
        faults += [
            f"changes its parameter {name}"
            for name, p in bench.parameters.items()
            if not np.array_equal(p.value, values[name], equal_nan=True)
        ]
        # A gradient of None has not been stored: poison() set it to an array.
        grads = {name: None if p.grad is None else np.array(p.grad) for name, p in bench.parameters.items()}
        returned = list(returned) if isinstance(returned, tuple | list) else [returned]
        return Gradients(y, [None if g is None else np.array(g) for g in returned], grads, faults=faults)


def make_subject(what: Any, inputs: Any, gradient: Callable | None) -> Subject:
    """Find out what is to be checked and how it is called; where it cannot be, an error says what to do."""
    clean = _clean_inputs(inputs)
    if isinstance(what, type):
        raise TypeError(f"{what.__name__} is a class: pass an instance, such as {what.__name__}(...)")
    if callable(getattr(what, "backward", None)) and _forward_of(what) is not None:
        if gradient is not None:
            raise TypeError(
                f"gradient= belongs to a plain function, but {type(what).__name__} has a backward of its own: "
                "leave it out"
            )
        layer = _private_copy(what)
        subject = Subject(type(what).__name__, clean, layer=layer, backward_takes=_backward_takes(what, clean))
        for parameter in subject.parameters():
            if parameter.value.dtype != np.float64:
                parameter.value = parameter.value.astype(np.float64)
    elif callable(what):
        if gradient is not None and not callable(gradient):
            raise TypeError(
                f"gradient= is a {type(gradient).__name__}, expected a function gradient(dy, *inputs) -> gradients"
            )
        name = getattr(what, "__name__", type(what).__name__)
        subject = Subject("function" if name == "<lambda>" else name, clean, function=what, gradient=gradient)
    else:
        raise TypeError(
            f"cannot check a {type(what).__name__}: expected a layer with forward and backward methods, "
            "or a function f(*inputs) together with gradient=g, called g(dy, *inputs)"
        )
    if not any(map(is_floating, clean)) and not subject.parameters():
        kinds = ", ".join(str(x.dtype) if isinstance(x, np.ndarray) else type(x).__name__ for x in clean) or "nothing"
        raise ValueError(
            f"nothing to differentiate: the inputs are {kinds} and there are no parameters; "
            "pass floating-point arrays, e.g. x.astype(float)"
        )
    return subject


def is_floating(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def _clean_inputs(inputs: Any) -> tuple[Any, ...]:
    """The inputs as a tuple of private copies, floating arrays as float64."""
    holds_arrays = isinstance(inputs, list) and any(isinstance(x, np.ndarray) for x in inputs)
    several = tuple(inputs) if isinstance(inputs, tuple) or holds_arrays else (inputs,)
    clean = []
    for position, x in enumerate(several):
        if isinstance(x, float | np.floating | list):
            x = np.asarray(x)
        if isinstance(x, np.ndarray) and x.dtype.kind == "c":
            raise ValueError(
                f"input {position} is {x.dtype}: gradients are checked for real inputs; pass its real part"
            )
        clean.append(x.astype(np.float64) if is_floating(x) else copy.deepcopy(x))
    return tuple(clean)


def _private_copy(layer: Any) -> Any:
    try:
        return copy.deepcopy(layer)
    except Exception as error:
        culprit = ""
        for name, value in getattr(layer, "__dict__", {}).items():
            try:
                copy.deepcopy(value)
            except Exception:
                culprit = f" (its attribute {name}={value!r} is the reason)"
                break
        raise TypeError(
            f"{type(layer).__name__} cannot be copied{culprit}, and gradient_check works on a copy so that yours stays "
            "as it is: give it a __deepcopy__ method, or check a function with gradient= instead"
        ) from error


def _forward_of(layer: Any) -> Any:
    """`forward`, or `__call__` where there is none (the style of some courses)."""
    forward = getattr(layer, "forward", None)
    return forward if callable(forward) else layer if callable(layer) else None


def _parameters_of(layer: Any) -> list[Parameter]:
    params, grads = getattr(layer, "params", None), getattr(layer, "grads", None)
    if hasattr(layer, "named_parameters"):
        pairs = list(layer.named_parameters())
    elif getattr(layer, "parameters", None) is not None:
        held: Any = layer.parameters
        parameters: Any = held() if callable(held) else held
        if isinstance(parameters, Mapping):
            pairs = list(parameters.items())
        else:
            pairs = [(getattr(p, "name", None) or f"parameter {i}", p) for i, p in enumerate(parameters)]
    elif isinstance(params, Mapping) and isinstance(grads, Mapping):
        return [Parameter(str(key), params, grads, key) for key in params]
    else:
        pairs = []
    for name, parameter in pairs:
        if not hasattr(parameter, "value"):
            raise TypeError(
                f"{type(layer).__name__} has a parameter {name} of type {type(parameter).__name__} without .value: "
                "expected objects with .value and .grad, or dictionaries params and grads with the same keys"
            )
    return [Parameter(str(name), parameter, parameter) for name, parameter in pairs]


def _backward_takes(layer: Any, inputs: tuple[Any, ...]) -> str:
    """How backward is called, from its signature."""
    try:
        positional = [
            p
            for p in inspect.signature(layer.backward).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)
        ]
    except (TypeError, ValueError):  # written in C
        return "dy"
    required = [p for p in positional if p.default is p.empty and p.kind != p.VAR_POSITIONAL]
    if not required:
        named_like_dy = bool(positional) and positional[0].name.lower().startswith(UPSTREAM_NAMES)
        starred = any(p.kind == p.VAR_POSITIONAL for p in positional)
        return "dy" if starred or named_like_dy else "nothing"
    if len(required) == 1:
        return "dy"
    if len(required) == 1 + len(inputs):
        return "dy and inputs"
    names = [p.name for p in required]
    same_names = names == _argument_names(_forward_of(layer))[: len(inputs)]
    if len(required) == len(inputs) and (same_names or not names[0].lower().startswith(UPSTREAM_NAMES)):
        return "inputs"
    raise TypeError(
        f"{type(layer).__name__}.backward takes {len(required)} arguments ({', '.join(p.name for p in required)}) for "
        f"{len(inputs)} inputs: expected backward(dy), backward() of a loss, backward(*inputs) or "
        "backward(dy, *inputs)"
    )


def _argument_names(function: Any) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def _value_and_gradient(name: str, result: Any) -> tuple[Any, Any]:
    if not (isinstance(result, tuple) and len(result) == 2):
        raise ValueError(
            f"no gradient of {name} to check: pass gradient=g, called g(dy, *inputs), "
            "or let it return (value, gradient)"
        )
    if np.ndim(result[0]) != 0:
        raise ValueError(
            f"{name} returns (value, gradient) with a value of shape {np.shape(result[0])}, expected a scalar: "
            "for an array pass gradient=g, called g(dy, *inputs)"
        )
    return result[0], result[1]


def _copies(inputs: list[Any]) -> list[Any]:
    return [x.copy() if isinstance(x, np.ndarray) else copy.deepcopy(x) for x in inputs]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
    return True
