"""Sequences of layers, residual blocks, and networks built from a description."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import Function

import handgrad.torch
from handgrad._typing import Float
from handgrad.architectures import KINDS, Architecture, LayerSpec
from handgrad.errors import ConfigError

GRADIENTS = ("hand", "autograd")


class FlattenFunction(Function):
    """Flattens images `(N, C, H, W)` to rows `(N, C·H·W)`: `apply(x)`. dx is dy in the shape of x."""

    @staticmethod
    def forward(ctx, x):
        ctx.shape = x.shape
        return x.reshape(len(x), -1) if len(x) else x.reshape(0, x.shape[1:].numel())

    @staticmethod
    def backward(ctx, dy):
        return dy.reshape(ctx.shape)


class ResidualFunction(Function):
    """y = x + f: `apply(x, f)`; dx = dy, df = dy."""

    @staticmethod
    def forward(ctx, x, f):
        return x + f

    @staticmethod
    def backward(ctx, dy):
        return dy, dy


class Flatten(torch.nn.Module):
    """`FlattenFunction`: flattens images to rows."""

    def forward(self, x: Float[Tensor, "N ..."]) -> Float[Tensor, "N D"]:
        return FlattenFunction.apply(x)


class Residual(torch.nn.Sequential):
    """A sequence of layers, f, with a residual connection.

    Formula: y = x + f(x), so dx = dy + f'(dy).

    Arguments:
        layers: f, in the order of the forward pass; parameters are named as in a `torch.nn.Sequential`.
        gradients: `"hand"` for `ResidualFunction`, `"autograd"` for a sum that autograd differentiates.

    Raises:
        ValueError: there is no layer; in forward, f(x) does not have the shape of x.

    Source: He, Zhang, Ren, Sun (2016), Identity mappings in deep residual networks, equations 1 and 5.
    """

    def __init__(self, *layers: torch.nn.Module, gradients: str = "hand") -> None:
        if not layers:
            raise ValueError("Residual got no layers, expected at least one: it would compute x + x")
        super().__init__(*layers)
        self.gradients = gradients

    def forward(self, input: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        f = super().forward(input)
        if f.shape != input.shape:
            raise ValueError(
                f"Residual got x with shape={tuple(input.shape)}, but its layers return shape={tuple(f.shape)}: "
                "x + f(x) needs layers that keep the shape"
            )
        return ResidualFunction.apply(input, f) if self.gradients == "hand" else input + f


# -- networks built from a description ---------------------------------------------------------------------------------


def build(
    architecture: Architecture, gradients: str = "hand", *, masks: Callable[[Tensor, float], Tensor] | None = None
) -> torch.nn.Sequential:
    """Builds the network described by an architecture from PyTorch modules.

    Names and shapes in its state dict are those of `handgrad.nn`: `0.weight`, and `3.0.weight` for the first layer
    inside a residual block at position 3. The initial weights are those of `torch.nn`, drawn from PyTorch's generator.

    Arguments:
        architecture: the network.
        gradients: `"hand"` for the modules of `handgrad.torch` with hand-written gradients; `"autograd"` for those of
            `torch.nn` (and plain addition in residual blocks).
        masks: source of the dropout masks, as in `Dropout`; by default PyTorch's default generator.

    Raises:
        ConfigError: unknown `gradients`, or a kind of layer without a PyTorch module.
    """
    if gradients not in GRADIENTS:
        raise ConfigError(f"gradients={gradients!r} is unknown, expected one of {', '.join(GRADIENTS)}")

    def layer(spec: LayerSpec) -> torch.nn.Module:
        name = KINDS[spec.kind].layer
        twin = getattr(handgrad.torch, name, None) if isinstance(name, str) else None
        if twin is None:
            raise ConfigError(f"handgrad.torch has no layer {spec.kind!r}: train it with engine=numpy")
        if spec.children:
            return twin(*map(layer, spec.children), gradients=gradients)
        if spec.kind == "dropout" and masks is not None:
            return twin(**spec.arguments, masks=masks, gradients=gradients)
        if gradients == "hand":
            return twin(**spec.arguments)
        # A module whose counterpart in `torch.nn` takes different arguments defines how to create it.
        make = twin.autograd if hasattr(twin, "autograd") else getattr(torch.nn, twin.__name__)
        return make(**spec.arguments)

    return torch.nn.Sequential(*map(layer, architecture.layers))
