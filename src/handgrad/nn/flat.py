"""All parameters of a network in one buffer, all gradients in another."""

from __future__ import annotations

import math

import numpy as np

from handgrad._typing import Array, Float
from handgrad.nn.layer import Layer, Parameter


class FlatParameters:
    """Moves a network's parameters into two flat buffers, of which the layers then hold named views.

    An optimiser sweeps the buffers in one go, a checkpoint saves them as one array, and machines exchange them as one
    message.

    Arguments:
        network: the layers whose parameters move; their present values are kept.
        models: None for one network. A number M stacks that many: `weight` becomes `(M, out, in)`, every model
            starting from the present values, and buffers such as `running_mean` become `(M, D)`.
        dtype: of the buffers.

    Attributes:
        values: parameters, `(models, P)`, one row a model.
        grads: gradients, `(models, P)`, alike.
        slices: where each named parameter lies in a row.
    """

    values: Float[Array, "M P"]
    grads: Float[Array, "M P"]

    def __init__(self, network: Layer, models: int | None = None, dtype: np.dtype | type = np.float32) -> None:
        named = dict(network.named_parameters())
        stack = () if models is None else (models,)
        self.names = tuple(named)
        self.slices: dict[str, slice] = {}
        end = 0
        for name, parameter in named.items():
            self.slices[name] = slice(end, end + parameter.value.size)
            end += parameter.value.size
        self.values = np.zeros((math.prod(stack), end), dtype)
        self.grads = np.zeros((math.prod(stack), end), dtype)
        for name, parameter in named.items():
            shape = (*stack, *parameter.value.shape)
            value = self.values[:, self.slices[name]].reshape(shape)
            value[...] = parameter.value
            parameter.value = value
            parameter.grad = self.grads[:, self.slices[name]].reshape(shape)
        if models is not None:
            _stack_buffers(network, models)

    def whole(self) -> Parameter:
        """The two buffers as one parameter, for an optimiser that treats every number alike."""
        parameter = Parameter.__new__(Parameter)
        parameter.value, parameter.grad = self.values, self.grads
        return parameter


def _stack_buffers(network: Layer, models: int) -> None:
    for layer in getattr(network, "layers", ()):
        _stack_buffers(layer, models)
    for name in network.buffer_names:
        buffer = getattr(network, name)
        setattr(network, name, np.repeat(buffer[None], models, axis=0))
