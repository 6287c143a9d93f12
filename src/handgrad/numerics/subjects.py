"""A common interface for everything that can be checked: layers, losses, layers with dictionaries, functions.

A `Subject` knows how to create a copy, how to call forward and backward, and where the parameters are. A `Bench` is
one such copy, on which individual numbers are perturbed.
"""

from __future__ import annotations

import copy
import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

UPSTREAM_NAMES = ("d", "grad", "g", "out", "upstream", "delta", "err", "up")


class LayerError(Exception):
    """An error raised by the checked code, as opposed to errors raised by this package."""

    def __init__(self, where: str, error: Exception):
        frame = traceback.extract_tb(error.__traceback__)[-1]
        at = f" ({Path(frame.filename).name}, line {frame.lineno})"
        super().__init__(f"{where} raises {type(error).__name__}{f': {error}' if str(error) else ''}{at}")
        self.where = where


@dataclass
class Parameter:
    """One parameter of one copy of a layer, and its gradient, each given by a holder and a key.

    A holder is an object, a dictionary or a list. It is looked up each time, because backward may replace it, as in
    `self.grads = {...}`.
    """

    name: str
    values: Callable[[], Any]
    grads: Callable[[], Any]
    key: Any = "value"
    grad_key: Any = "grad"

    @property
    def value(self) -> Any:
        return _get(self.values(), self.key)

    @value.setter
    def value(self, array: Any) -> None:
        _set(self.values(), self.key, array)

    @property
    def grad(self) -> Any:
        return _get(self.grads(), self.grad_key)

    @grad.setter
    def grad(self, array: np.ndarray) -> None:
        _set(self.grads(), self.grad_key, array)

    def poison(self, number: float) -> None:
        """Fills the gradient, so that a backward that stores nothing is detected."""
        if isinstance(self.grads(), list | tuple) and len(self.grads()) <= self.grad_key:
            return  # a list that backward recreates
        if isinstance(self.grad, np.ndarray) and self.grad.shape == self.value.shape and self.grad.dtype == np.float64:
            self.grad[...] = number  # in place: the layer may refer to the same array by another name
        else:
            self.grad = np.full(self.value.shape, number)


@dataclass(frozen=True)
class Gradients:
    """The result of one backward: a gradient for each input and parameter, None if there was none."""

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
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Parameters that are plain attributes, such as W: the attribute that holds the gradient, such as dW."""
    unchecked: Mapping[str, str] = field(default_factory=dict)
    """Parameters that are not differentiable, with the reason."""

    @property
    def takes_dy(self) -> bool:
        if self.layer is None:
            return self.gradient is not None
        return self.backward_takes.startswith("dy")

    def copied(self) -> Subject:
        """The same subject with a separate copy of the layer."""
        return self if self.layer is None else replace(self, layer=copy.deepcopy(self.layer))

    def used_before(self) -> Subject:
        """The layer after a step with a different input, so that state wrongly kept from the first input is stale."""
        used = self.copied()
        y = _step(used, _another_input(self.inputs))
        return used if y is not None and np.isfinite(y).all() else self

    def parameters(self) -> list[Parameter]:
        """The floating-point parameters of the layer, each once."""
        found, seen = [], set()
        for parameter in _parameters_of(self.layer, self.attributes):
            value = parameter.value
            if isinstance(value, np.ndarray) and is_floating(value) and id(value) not in seen:
                seen.add(id(value))
                found.append(parameter)
        return found

    def forward(self, inputs: list[Any]) -> np.ndarray:
        """The output as a new array, because the layer may reuse the array that it returns."""
        if self.layer is not None:
            result = _run("forward", _forward_of(self.layer), inputs)
        else:
            assert self.function is not None
            result = _run(self.name, self.function, inputs)
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
        """The result of backward; `forward` has just been called with the same inputs."""
        if self.layer is None:
            if self.gradient is not None:
                return _run("gradient", self.gradient, [dy, *inputs])
            assert self.function is not None
            return _value_and_gradient(self.name, _run(self.name, self.function, inputs))[1]
        arguments = {"dy": [dy], "nothing": [], "inputs": inputs, "dy and inputs": [dy, *inputs]}[self.backward_takes]
        return _run("backward", self.layer.backward, arguments)


class Bench:
    """A copy of a subject and its inputs, on which individual numbers are perturbed.

    Args: subject: the subject, which is copied. dtype: float64, or complex128 for the complex step; inputs and
        parameters are cast to it. fresh: create a new copy for every forward, because forward affects the next result.
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
        """The output with one entry of one variable (or all of it, with `index=...`) changed."""
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
        """Runs forward and backward on a new copy, with poisoned gradients, and checks that no argument is modified."""
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
            # nan can have three reasons: added to the previous value, never stored, or a true nan.
            again = self._poisoned(dy, 0.0)
            for name in untouched:
                grad = again.parameters[name]
                if np.isnan(grad).any():
                    continue
                result.parameters[name] = grad
                added = f"backward adds to the gradient of {name}: judged from zero"
                result.notes.append(added if np.any(grad) else f"backward never stores a gradient of {name}")
        return result

    def nudged_gradients(self, dy: np.ndarray, rng: np.random.Generator) -> Gradients:
        """The gradients with every input and parameter perturbed by a few rounding errors, to measure the effect of
        rounding."""
        return self._poisoned(dy, 0.0, nudge=rng)

    def _poisoned(self, dy: np.ndarray, poison: float, nudge: np.random.Generator | None = None) -> Gradients:
        bench = Bench(self.subject, self.dtype)
        if nudge is not None:
            for array in (*filter(is_floating, bench.inputs), *(p.value for p in bench.parameters.values())):
                array *= 1 + nudge.integers(-2, 3, array.shape) * 2.0**-52
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
        # A gradient of None has not been stored, because poison() set it to an array.
        grads = {name: None if p.grad is None else np.array(p.grad) for name, p in bench.parameters.items()}
        returned = list(returned) if isinstance(returned, tuple | list) else [returned]
        return Gradients(y, [None if g is None else np.array(g) for g in returned], grads, faults=faults)


def make_subject(what: Any, inputs: Any, gradient: Callable | None, used: bool = True) -> Subject:
    """Determines what to check and how to call it; raises an error with a suggestion if that is not possible.

    Args:
        what, inputs, gradient: as for `gradient_check`.
        used: whether to prepare the layer with `used_before`.
    """
    clean = _clean_inputs(inputs)
    if isinstance(what, type):
        raise TypeError(f"{what.__name__} is a class: pass an instance, such as {what.__name__}(...)")
    if callable(getattr(what, "backward", None)) and _forward_of(what) is not None:
        if gradient is not None:
            raise TypeError(
                f"gradient= belongs to a plain function, but {type(what).__name__} has its own backward: leave it out"
            )
        layer = _private_copy(what)
        subject = Subject(type(what).__name__, clean, layer=layer, backward_takes=_backward_takes(what, clean))
        subject = _with_arrays(_with_attributes(subject))
        subject = subject.used_before() if used else subject
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
    if not any(map(is_floating, clean)) and not subject.parameters() and not subject.unchecked:
        kinds = ", ".join(str(x.dtype) if isinstance(x, np.ndarray) else type(x).__name__ for x in clean) or "nothing"
        raise ValueError(
            f"nothing to differentiate: the inputs are {kinds} and there are no parameters; "
            "pass floating-point arrays, e.g. x.astype(float)"
        )
    return subject


def is_floating(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def _clean_inputs(inputs: Any) -> tuple[Any, ...]:
    """The inputs as a tuple of copies, with floating-point arrays as float64."""
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
            f"{type(layer).__name__} cannot be copied{culprit}, and gradient_check works on a copy so that your object "
            "is not modified: give it a __deepcopy__ method, or check a function with gradient= instead"
        ) from error


def _forward_of(layer: Any) -> Any:
    """`forward`, or `__call__` if there is none (as in some courses)."""
    forward = getattr(layer, "forward", None)
    return forward if callable(forward) else layer if callable(layer) else None


def _parameters_of(layer: Any, attributes: Mapping[str, str], prefix: str = "") -> list[Parameter]:
    """Parameters in the supported forms; `attributes` names the attributes that are parameters."""
    params: Any = getattr(layer, "params", None)
    grads: Any = getattr(layer, "grads", None)
    dictionaries = isinstance(params, Mapping) and isinstance(grads, Mapping)
    if hasattr(layer, "named_parameters"):
        pairs = list(layer.named_parameters())
    elif getattr(layer, "parameters", None) is not None:
        held: Any = layer.parameters
        parameters: Any = held() if callable(held) else held
        if isinstance(parameters, Mapping):
            pairs = list(parameters.items())
        else:
            pairs = [(getattr(p, "name", None) or f"parameter {i}", p) for i, p in enumerate(parameters)]
    elif dictionaries or (isinstance(params, list) and isinstance(grads, list)):
        names: Any = {k: str(k) for k in params} if dictionaries else {i: f"params[{i}]" for i in range(len(params))}
        return [
            Parameter(prefix + name, lambda: layer.params, lambda: layer.grads, key, key) for key, name in names.items()
        ]
    else:
        found = [
            Parameter(name, lambda: layer, lambda: layer, name.removeprefix(prefix), grad)
            for name, grad in attributes.items()
            if name.startswith(prefix) and "." not in name.removeprefix(prefix)
        ]
        for name, inner in _inner_layers(layer):
            found += _parameters_of(inner, attributes, f"{prefix}{name}.")
        return found
    for name, parameter in pairs:
        if not hasattr(parameter, "value"):
            raise TypeError(
                f"{type(layer).__name__} has a parameter {name} of type {type(parameter).__name__} without .value: "
                "expected objects with .value and .grad, or dictionaries params and grads with the same keys"
            )
    return [Parameter(f"{prefix}{name}", lambda p=p: p, lambda p=p: p) for name, p in pairs]


def _inner_layers(layer: Any) -> Iterator[tuple[str, Any]]:
    """The layers that are attributes of a layer, or in lists and dictionaries that are."""
    for name, value in list(getattr(layer, "__dict__", {}).items()):
        several = isinstance(value, list | tuple | Mapping)
        items = value.items() if isinstance(value, Mapping) else enumerate(value) if several else [(None, value)]
        for key, inner in items:
            if callable(getattr(inner, "backward", None)) and not isinstance(inner, type):
                yield (name if key is None else f"{name}.{key}"), inner


def _get(holder: Any, key: Any) -> Any:
    if isinstance(holder, list | tuple):
        return holder[key] if key < len(holder) else None
    return holder.get(key) if isinstance(holder, Mapping) else getattr(holder, key, None)


def _set(holder: Any, key: Any, value: Any) -> None:
    if isinstance(holder, list | Mapping):
        holder[key] = value  # type: ignore[index]
    else:
        setattr(holder, key, value)


def _run(where: str, function: Any, arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        raise LayerError(where, error) from error


# --- what is determined by running a layer once


def _another_input(inputs: tuple[Any, ...]) -> list[Any]:
    """An equivalent input: the entries of the given one in reverse order, or smaller if that changes nothing."""
    return [
        x if not is_floating(x) else (0.75 * x if np.array_equal(np.flip(x), x) else np.flip(x).copy())
        for x in _copies(list(inputs))
    ]


def _step(subject: Subject, inputs: list[Any]) -> np.ndarray | None:
    """Runs forward and, if possible, backward. Returns the output, or None; errors are reported later."""
    y = None
    try:
        y = subject.forward(inputs)
        subject.backward(np.ones_like(y) if y.ndim else y.dtype.type(1), inputs)
    except (LayerError, TypeError, ValueError):
        pass
    return y


def _with_attributes(subject: Subject) -> Subject:
    """Finds parameters that are plain attributes: numbers that forward does not change, with a gradient attribute."""
    used, before = subject.copied(), {}
    layers = [("", used.layer)]
    for prefix, layer in layers:
        layers += [(f"{prefix}{name}.", inner) for name, inner in _inner_layers(layer)]
        for name, value in getattr(layer, "__dict__", {}).items():
            if isinstance(value, float | list | np.ndarray | np.floating):
                before[prefix + name] = (layer, name, value, copy.deepcopy(value))
    _step(used, _copies(list(subject.inputs)))
    attributes = {}
    for full, (layer, name, value, kept) in before.items():
        left_alone = getattr(layer, name, None) is value and _same_numbers(value, kept)
        grads = [g for g in (f"d{name}", f"d_{name}", f"grad_{name}", f"{name}_grad") if hasattr(layer, g)]
        if left_alone and grads:
            attributes[full] = grads[0]
    return replace(subject, attributes=attributes)


def _same_numbers(a: Any, b: Any) -> bool:
    try:
        return bool(np.array_equal(a, b))
    except (TypeError, ValueError):
        return False


def _with_arrays(subject: Subject) -> Subject:
    """Every parameter as an array of float64 (also a number, a list, or an array of integers), or the reason why
    not."""
    unchecked: dict[str, str] = {}
    inputs = list(subject.inputs)
    for name in [p.name for p in _parameters_of(subject.layer, subject.attributes)]:
        parameter = next(p for p in _parameters_of(subject.layer, subject.attributes) if p.name == name)
        value = parameter.value
        if value is None:
            continue
        if is_floating(value):
            if value.dtype != np.float64:
                parameter.value = value.astype(np.float64)
            continue
        kind = f"a {type(value).__name__}" + (f" of {value.dtype}" if isinstance(value, np.ndarray) else "")
        try:
            array = np.asarray(value)
            if array.dtype.kind not in "fiu":
                raise TypeError
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            unchecked[name] = f"not checked: it is {kind}, which contains no real numbers to differentiate by"
            continue
        y = _step(subject.copied(), _copies(inputs))
        parameter.value = array
        tried = subject.copied()
        again = _step(tried, _copies(inputs))
        stored = next(p.grad for p in _parameters_of(tried.layer, subject.attributes) if p.name == name)
        if y is not None and (again is None or again.shape != y.shape or not np.allclose(again, y, equal_nan=True)):
            unchecked[name] = f"not checked: it is {kind}, and forward does not accept a float64 array instead"
        elif np.asarray(value).dtype.kind in "iu" and stored is None and again is not None:
            unchecked[name] = f"not checked: it is {kind}, and backward stores no gradient for it"
        if name in unchecked:
            parameter.value = value
    return replace(subject, unchecked=unchecked)


def _backward_takes(layer: Any, inputs: tuple[Any, ...]) -> str:
    """How to call backward, from its signature."""
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
