"""Base class of layers: forward, backward, parameters, state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.errors import hint


class Parameter:
    """A trainable array and the gradient of the loss with respect to it.

    `grad` has the shape and dtype of `value` and is overwritten by the layer's backward. Both may be views of a
    network's flat buffers (`FlatParameters`), with a leading model axis.
    """

    __slots__ = ("grad", "value")

    def __init__(self, value: Inexact[Array, "..."]) -> None:
        self.value = value
        self.grad = np.zeros_like(value)

    def __repr__(self) -> str:
        return f"Parameter(shape={self.value.shape}, dtype={self.value.dtype})"


class Remembering:
    """Base class of layers and losses: forward stores what backward needs; `repr` shows the constructor's arguments."""

    #: The constructor's arguments to show, and the arguments of forward.
    options: tuple[str, ...] = ()
    _arguments = "x"
    _kept: tuple | None = None
    forward: Callable

    def __call__(self, *arguments) -> Any:
        return self.forward(*arguments)

    def _keep(self, *values) -> None:
        self._kept = values

    def _recall(self) -> tuple:
        if self._kept is None:
            called = f"{type(self).__name__}.backward was called before forward"
            raise RuntimeError(f"{called}: call forward({self._arguments}) first")
        return self._kept

    def _describe(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._describe()})"


class Layer(Remembering):
    """Base class of all layers.

    A subclass implements `forward` and `backward` and lists its parameters and buffers (state that is not trained)
    in `parameter_names` and `buffer_names`, in PyTorch's order. `forward` stores what `backward` needs with
    `self._keep(...)`, and `backward` gets it from `self._recall()`.
    """

    parameter_names: tuple[str, ...] = ()
    buffer_names: tuple[str, ...] = ()
    #: Number of axes of `weight` in one model; a stack of models has an additional leading axis.
    weight_ndim: int = 1

    training: bool = True

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        """Returns the output for `x`, in the dtype of `x`, and stores what `backward` needs."""
        raise NotImplementedError

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        """Returns the gradient dx of the loss with respect to the last input, given that of the last output, dy.

        Overwrites the `grad` of every parameter. Raises RuntimeError if forward was not called before, and ValueError
        if `dy` does not have the shape of the output.
        """
        raise NotImplementedError

    def train(self, mode: bool = True) -> Layer:
        """Switches to training mode: batch statistics, dropout active. Returns the layer."""
        self.training = mode
        return self

    def eval(self) -> Layer:
        """Switches to evaluation mode: running statistics, no dropout. Returns the layer."""
        return self.train(False)

    def modules(self) -> Iterator[Layer]:
        """This layer and all nested layers, outermost first."""
        yield self

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Pairs (name, parameter), in the order of PyTorch's state dict."""
        for name in self.parameter_names:
            parameter = getattr(self, name)
            if parameter is not None:
                yield name, parameter

    def parameters(self) -> list[Parameter]:
        """All parameters, in the order of `named_parameters`."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
        """Pairs (name, array) of state that is not trained."""
        for name in self.buffer_names:
            yield name, getattr(self, name)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers under PyTorch's names."""
        state = {name: parameter.value.copy() for name, parameter in self.named_parameters()}
        state.update((name, buffer.copy()) for name, buffer in self.named_buffers())
        return state

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copies `state` into the parameters and buffers in place; raises ValueError, without any change, if a name
        is missing or unknown or a shape differs."""
        own = {name: parameter.value for name, parameter in self.named_parameters()} | dict(self.named_buffers())
        check_state({name: array.shape for name, array in own.items()}, state)
        for name, array in own.items():
            array[...] = state[name]

    def astype(self, dtype) -> Layer:
        """Casts parameters and floating-point buffers to `dtype`, as new arrays, not views. Returns the layer."""
        for parameter in self.parameters():
            parameter.value = parameter.value.astype(dtype)
            parameter.grad = parameter.grad.astype(dtype)
        for name in self.buffer_names:
            buffer = getattr(self, name)
            if buffer.dtype.kind == "f":
                setattr(self, name, buffer.astype(dtype))
        return self

    def _values(self, x: Inexact[Array, "..."]) -> list[Inexact[Array, "..."]]:
        """The arrays of the parameters in the dtype of the computation for an input `x` (see `computing_dtype`)."""
        values = [parameter.value for _, parameter in self.named_parameters()]
        dtype = computing_dtype(x, *values)
        return [value.astype(dtype, copy=False) for value in values]

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            raise AttributeError(hint(self, name))


def computing_dtype(x: np.ndarray, *others: np.ndarray) -> np.dtype:
    """The dtype of the computation: that of the input, or complex if a parameter is complex (for the complex step).
    Raises TypeError if `x` is not an array of floating-point numbers."""
    dtype = getattr(x, "dtype", None)
    if not isinstance(dtype, np.dtype):
        raise TypeError(
            f"x is a {type(x).__name__}, expected a NumPy array: convert it with numpy.asarray(x, numpy.float32)"
        )
    if dtype.kind == "f":
        for other in others:
            if other.dtype.kind == "c":
                return np.dtype(np.complex128)
    elif dtype.kind != "c":
        raise TypeError(f"x has dtype={dtype}, expected a floating dtype: cast it with x.astype(numpy.float32)")
    return dtype


def sum_over_batch(x: Inexact[Array, "*models N D"]) -> Inexact[Array, "*models D"]:
    """Σₙ xₙ, as a product with ones: BLAS takes a fifth of the time of `np.add.reduce`."""
    return np.matmul(np.ones(x.shape[-2], x.dtype), x)


def check_state(shapes: Mapping[str, tuple[int, ...]], state: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError unless `state` has exactly the names and shapes of a network's parameters and buffers."""
    if missing := sorted(shapes.keys() - state.keys()):
        raise ValueError(f"the state has no {', '.join(missing)}: it belongs to another architecture")
    if unknown := sorted(state.keys() - shapes.keys()):
        raise ValueError(
            f"the state has {', '.join(unknown)}, which this network does not have: it belongs to another architecture"
        )
    for name, shape in shapes.items():
        if shape != np.shape(state[name]):
            raise ValueError(
                f"{name}: expected shape={shape}, got shape={np.shape(state[name])}: "
                "the state belongs to another architecture"
            )


def check_features(layer: Layer, x: np.ndarray, features: int, weight: Parameter) -> None:
    """Raises ValueError unless `x` is `(N, features)`, or `(M, N, features)` for M stacked models."""
    computing_dtype(x)
    stack = weight.value.shape[: weight.value.ndim - layer.weight_ndim]
    if x.ndim < 2 or x.shape[-1] != features or x.shape[:-2] not in ((), stack):
        expected = f"(N, {features})" + (f" or ({stack[0]}, N, {features})" if stack else "")
        raise ValueError(
            f"{layer!r} got x with shape={x.shape}, expected {expected}: one row per sample; "
            "flatten images (nn.Flatten)"
        )


def check_gradient(layer: Layer, dy: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raises ValueError unless `dy` has the shape of the last output."""
    if dy.shape != shape:
        raise ValueError(f"{layer!r}.backward got dy with shape={dy.shape}, expected {shape}, the shape of its output")
