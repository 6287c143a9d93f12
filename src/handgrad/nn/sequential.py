"""Sequences of layers, residual blocks, and flattening."""

from __future__ import annotations

import math
from collections.abc import Iterator

from handgrad._typing import Array, Inexact, Shaped
from handgrad.nn.layer import Layer, Parameter, check_gradient, computing_dtype


class Sequential(Layer):
    """The composition of layers.

    Formula: y = fₗ(…f₂(f₁(x))); the chain rule applies the layers in reverse order: dx = f₁'(f₂'(…fₗ'(dy))).

    Arguments:
        layers: the layers in the order of the forward pass. Parameters have the names of PyTorch's `nn.Sequential`:
            `0.weight`, `0.bias`, `2.weight`, …

    Raises TypeError for an argument that is not a layer, ValueError if a layer occurs twice.
    """

    def __init__(self, *layers: Layer) -> None:
        places: dict[int, int] = {}
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                hint = "give the layers one by one, as in Sequential(*layers)"
                if not isinstance(layer, list | tuple):
                    hint = "derive its class from handgrad.nn.Layer"
                raise TypeError(f"{type(self).__name__} got a {type(layer).__name__} as layer {i}: {hint}")
            for inner in layer.modules():
                if id(inner) in places:
                    raise ValueError(
                        f"{type(self).__name__} got the same {type(inner).__name__} in layers {places[id(inner)]} and "
                        f"{i}: a layer stores one forward pass, so its gradients would be wrong; create a second layer"
                    )
                places[id(inner)] = i
        self.layers = layers

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy

    def train(self, mode: bool = True) -> Sequential:
        self.training = mode
        for layer in self.layers:
            layer.train(mode)
        return self

    def modules(self) -> Iterator[Layer]:
        yield self
        for layer in self.layers:
            yield from layer.modules()

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        for i, layer in enumerate(self.layers):
            for name, parameter in layer.named_parameters():
                yield f"{i}.{name}", parameter

    def named_buffers(self) -> Iterator[tuple[str, Shaped[Array, "..."]]]:
        for i, layer in enumerate(self.layers):
            for name, buffer in layer.named_buffers():
                yield f"{i}.{name}", buffer

    def astype(self, dtype) -> Sequential:
        for layer in self.layers:
            layer.astype(dtype)
        return self

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Layer:
        return self.layers[index]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def _describe(self) -> str:
        return ", ".join(map(repr, self.layers))


class Residual(Sequential):
    """A sequence of layers, f, with a residual connection.

    Formula: y = x + f(x), so dx = dy + f'(dy): the gradient reaches earlier layers even if f does not pass it on.

    Arguments:
        layers: f, in the order of the forward pass. As the third layer of a network its parameters are named
            `2.0.weight`, `2.0.bias`, `2.2.weight`, …

    Raises ValueError if there is no layer and, in forward, if f(x) does not have the shape of x.

    Source: He, Zhang, Ren, Sun (2016), Identity mappings in deep residual networks, equations 1 and 5.
    """

    def __init__(self, *layers: Layer) -> None:
        if not layers:
            raise ValueError("Residual got no layers, expected at least one: without layers, it would compute x + x")
        super().__init__(*layers)

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        f = super().forward(x)
        self.check_shape(x, f)
        self._keep(f.shape)
        return x + f

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        (shape,) = self._recall()
        check_gradient(self, dy, shape)
        return dy + super().backward(dy)

    def check_shape(self, x: Inexact[Array, "..."], f: Inexact[Array, "..."]) -> None:
        """Raises ValueError unless f(x) has the shape of x."""
        # Stacked models may share their input: then x is (N, D) and f(x) is (M, N, D).
        if f.shape != x.shape and f.shape[1:] != x.shape:
            raise ValueError(
                f"{self!r} got x with shape={x.shape}, but its layers return shape={f.shape}: x + f(x) needs "
                "layers that keep the shape; change the width outside the residual block"
            )


class Flatten(Layer):
    """Flattens images (N, C, H, W) to rows (N, C·H·W): all axes but the batch axis are joined."""

    def forward(self, x: Inexact[Array, "N ..."]) -> Inexact[Array, "N D"]:
        computing_dtype(x)
        y = x.reshape(len(x), math.prod(x.shape[1:])).copy()
        self._keep(x.shape, y.shape)
        return y

    def backward(self, dy: Inexact[Array, "N D"]) -> Inexact[Array, "N ..."]:
        shape, flat = self._recall()
        check_gradient(self, dy, flat)
        return dy.reshape(shape).copy()
