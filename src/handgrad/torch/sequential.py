"""Layers in a row, a way around them, and networks built from their description."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from handgrad._typing import Float
from handgrad.architectures import Architecture, LayerSpec
from handgrad.errors import ConfigError
from handgrad.torch import activations, convolution, dropout, linear, normalization, pooling, softmax

GRADIENTS = ("hand", "autograd")


class FlattenFunction(Function):
    """Rows from images, `(N, C, H, W)` to `(N, C·H·W)`: `apply(x)`. dx is dy in the shape of x."""

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
    """`FlattenFunction`: rows from images."""

    def forward(self, x: Float[Tensor, "N ..."]) -> Float[Tensor, "N D"]:
        return FlattenFunction.apply(x)


class Residual(torch.nn.Sequential):
    """Layers in a row, f, with a way around them.

    Formula: y = x + f(x), so dx = dy + f'(dy).

    Arguments:
        layers: f, in the order of the forward pass; parameters are named as in a `torch.nn.Sequential`.
        gradients: `"hand"` for `ResidualFunction`, `"autograd"` for a sum that autograd differentiates.

    Raises:
        ValueError: there is no layer; in forward, f(x) has not the shape of x.

    Source: He, Zhang, Ren, Sun (2016), Identity mappings in deep residual networks, equations 1 and 5.
    """

    def __init__(self, *layers: torch.nn.Module, gradients: str = "hand") -> None:
        if not layers:
            raise ValueError("Residual got no layers, expected at least one: x + x is hardly meant")
        super().__init__(*layers)
        self.gradients = gradients

    def forward(self, input: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        f = super().forward(input)
        if f.shape != input.shape:
            raise ValueError(
                f"Residual got x with shape={tuple(input.shape)}, but its layers turn it into shape={tuple(f.shape)}: "
                "x + f(x) needs layers that keep the shape"
            )
        return ResidualFunction.apply(input, f) if self.gradients == "hand" else input + f


# -- networks from their description -----------------------------------------------------------------------------------

Build = Callable[[dict[str, Any]], torch.nn.Module]


def _without(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}


def _pairs(options: dict[str, Any]) -> dict[str, Any]:
    """`torch.nn` takes tuples where JSON gives lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}


#: How each kind of layer is built, with our derivatives: options -> module.
BY_HAND: dict[str, Build] = {
    "linear": lambda o: linear.Linear(**_without(o, "gain")),
    "conv2d": lambda o: convolution.Conv2d(**_without(o, "gain")),
    "batch_norm": lambda o: normalization.BatchNorm1d(**o),
    "batch_norm2d": lambda o: normalization.BatchNorm2d(**o),
    "layer_norm": lambda o: normalization.LayerNorm(**o),
    "max_pool2d": lambda o: pooling.MaxPool2d(**o),
    "avg_pool2d": lambda o: pooling.AvgPool2d(**o),
    "global_avg_pool2d": lambda o: pooling.GlobalAvgPool2d(),
    "dropout": lambda o: dropout.Dropout(**o),
    "flatten": lambda o: Flatten(),
    "identity": lambda o: activations.Identity(),
    "relu": lambda o: activations.ReLU(),
    "leaky_relu": lambda o: activations.LeakyReLU(**o),
    "elu": lambda o: activations.ELU(**o),
    "gelu": lambda o: activations.GELU(**o),
    "silu": lambda o: activations.SiLU(),
    "softplus": lambda o: activations.Softplus(**o),
    "sigmoid": lambda o: activations.Sigmoid(),
    "tanh": lambda o: activations.Tanh(),
    "softmax": lambda o: softmax.Softmax(),
    "log_softmax": lambda o: softmax.LogSoftmax(),
}

#: The same in PyTorch's own modules, whose derivatives are PyTorch's.
BY_AUTOGRAD: dict[str, Build] = {
    "linear": lambda o: torch.nn.Linear(**_without(o, "gain")),
    "conv2d": lambda o: torch.nn.Conv2d(**_pairs(_without(o, "gain"))),
    "batch_norm": lambda o: torch.nn.BatchNorm1d(**o),
    "batch_norm2d": lambda o: torch.nn.BatchNorm2d(**o),
    "layer_norm": lambda o: torch.nn.LayerNorm(o["num_features"]),
    "max_pool2d": lambda o: torch.nn.MaxPool2d(**_pairs(o)),
    "avg_pool2d": lambda o: torch.nn.AvgPool2d(**_pairs(o)),
    "global_avg_pool2d": lambda o: torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()),
    "dropout": lambda o: torch.nn.Dropout(**o),
    "flatten": lambda o: torch.nn.Flatten(),
    "identity": lambda o: torch.nn.Identity(),
    "relu": lambda o: torch.nn.ReLU(),
    "leaky_relu": lambda o: torch.nn.LeakyReLU(**o),
    "elu": lambda o: torch.nn.ELU(**o),
    "gelu": lambda o: torch.nn.GELU(**{"approximate": "tanh", **o}),
    "silu": lambda o: torch.nn.SiLU(),
    "softplus": lambda o: torch.nn.Softplus(**o),
    "sigmoid": lambda o: torch.nn.Sigmoid(),
    "tanh": lambda o: torch.nn.Tanh(),
    "softmax": lambda o: torch.nn.Softmax(dim=-1),
    "log_softmax": lambda o: torch.nn.LogSoftmax(dim=-1),
}


def build(
    architecture: Architecture, gradients: str = "hand", *, masks: Callable[[Tensor, float], Tensor] | None = None
) -> torch.nn.Sequential:
    """The network that an architecture describes, as PyTorch modules.

    Names and shapes in its state dict are those of `handgrad.nn`: `0.weight`, and `3.0.weight` for the first layer
    inside a residual block at position 3. The initial weights are those of `torch.nn`, from PyTorch's generator.

    Arguments:
        architecture: the network.
        gradients: `"hand"` for the modules of `handgrad.torch`, whose derivatives are written by hand; `"autograd"`
            for those of `torch.nn` (and a sum around residual blocks).
        masks: where dropout takes its masks from, as in `Dropout`; by default PyTorch's own generator.

    Raises:
        ConfigError: `gradients` is unknown, or there is no layer of some kind.
    """
    if gradients not in GRADIENTS:
        raise ConfigError(f"gradients={gradients!r} is unknown, expected one of {', '.join(GRADIENTS)}")
    builders = BY_HAND if gradients == "hand" else BY_AUTOGRAD

    def layers(specs: Sequence[LayerSpec]) -> list[torch.nn.Module]:
        return [layer(spec) for spec in specs]

    def layer(spec: LayerSpec) -> torch.nn.Module:
        if spec.kind == "residual":
            return Residual(*layers(spec.children), gradients=gradients)
        if spec.kind == "dropout" and masks is not None:
            return dropout.Dropout(**spec.options, masks=masks, gradients=gradients)
        if spec.kind not in builders:
            raise ConfigError(f"handgrad.torch has no layer {spec.kind!r}, only {', '.join((*builders, 'residual'))}")
        return builders[spec.kind](dict(spec.options))

    return torch.nn.Sequential(*layers(architecture.layers))
