"""All parameters of a network in one buffer, all gradients in another."""

from __future__ import annotations

import math

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Float
from handgrad.kernels.memory import LINE, zeros
from handgrad.kernels.products import has_transposed_tiles
from handgrad.nn.layer import Layer, Parameter


class FlatParameters:
    """Moves the parameters and gradients of a network to two flat buffers; the layers then hold named views.

    An optimiser processes the buffers in one pass, a checkpoint saves them as one array, and machines exchange them as
    one message.

    Arguments:
        network: the layers whose parameters are moved; their values are kept.
        models: None for one network, or a number M of stacked models: `weight` becomes `(M, out, in)`, with the current
            values for every model, and buffers such as `running_mean` become `(M, D)`.
        dtype: of the buffers.

    Attributes:
        values: parameters, `(models, P)`, one row per model.
        grads: gradients, `(models, P)`.
        slices: position of each named parameter in a row.
        shapes: of each named parameter in one model.
    """

    values: Float[Array, "M P"]
    grads: Float[Array, "M P"]

    def __init__(self, network: Layer, models: int | None = None, dtype: np.dtype | type = np.float32) -> None:
        named = dict(network.named_parameters())
        stack = () if models is None else (models,)
        self.names = tuple(named)
        self.slices: dict[str, slice] = {}
        self.shapes = {name: parameter.value.shape for name, parameter in named.items()}
        self._orders = {name: _memory_order(parameter.value) for name, parameter in named.items()}
        end = 0
        for name, parameter in named.items():
            self.slices[name] = slice(end, end + parameter.value.size)
            end += parameter.value.size
        # Every row is aligned to a cache line, as for a single network.
        line = LINE // np.dtype(dtype).itemsize
        self.values, self.grads = (zeros((math.prod(stack), -(-end // line) * line), dtype)[:, :end] for _ in range(2))
        for name, parameter in named.items():
            value, grad = (self.shaped(buffer[:, self.slices[name]], name) for buffer in (self.values, self.grads))
            value[...] = parameter.value
            parameter.value, parameter.grad = (value, grad) if stack else (value[0], grad[0])
        if models is not None:
            _stack_buffers(network, models)

    def whole(self, models: slice = slice(None)) -> Parameter:
        """The two buffers as one parameter, of all models or some, for an optimiser that treats all numbers in the
        same way."""
        return _view(self.values[models], self.grads[models])

    def shaped(self, rows: Float[Array, "M size"], name: str) -> Float[Array, "M ..."]:
        """A view of `rows`, which contain the named parameter or related values, in the shape of the parameter.

        A parameter keeps its memory order (the channels of a convolution are last).
        """
        shape, order = self.shapes[name], self._orders[name]
        memory = rows.reshape(len(rows), *(shape[axis] for axis in order))
        return memory.transpose(0, *(1 + order.index(axis) for axis in range(len(shape))))

    def part(self, name: str, matrix: bool = False, models: slice = slice(None)) -> Parameter:
        """The named parameter, `(models, size)`; as matrices, `(models, outputs, size of the rest)`."""
        values, grads = (buffer[models, self.slices[name]] for buffer in (self.values, self.grads))
        shape = (len(values), self.shapes[name][0], -1) if matrix else (len(values), -1)
        return _view(values.reshape(shape), grads.reshape(shape))


def lay_out_for_kernels(network: nn.Sequential) -> None:
    """Changes the memory order, not the shape, of weights to suit the kernels; call it before `FlatParameters`.

    The channels of a convolution's weight come last, like those of the images. The weight of the first layer is stored
    with inputs first: x Wᵀ and dyᵀ x, its only products because the data need no gradient, are then 5 to 15% faster,
    unless x Wᵀ is computed in tiles. In other layers, dy W would lose as much as they gain.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            weight = layer.weight.value
            layer.weight.value = np.ascontiguousarray(weight.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    first = next((layer for layer in network if layer.parameters()), None)
    if isinstance(first, nn.Linear) and not has_transposed_tiles(first.in_features):
        first.weight.value = np.asfortranarray(first.weight.value)


def _memory_order(array: np.ndarray) -> tuple[int, ...]:
    """The axes in the order of decreasing stride."""
    axes = range(array.ndim)
    return tuple(axes if array.flags.c_contiguous else sorted(axes, key=lambda axis: -array.strides[axis]))


def _view(value: np.ndarray, grad: np.ndarray) -> Parameter:
    parameter = Parameter.__new__(Parameter)
    parameter.value, parameter.grad = value, grad
    return parameter


def _stack_buffers(network: Layer, models: int) -> None:
    for layer in getattr(network, "layers", ()):
        _stack_buffers(layer, models)
    for name in network.buffer_names:
        buffer = getattr(network, name)
        setattr(network, name, np.repeat(buffer[None], models, axis=0))
