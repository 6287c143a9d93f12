"""Layers in a row, with or without a way around them, and the layer that turns images into rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.arena import empty_like
from handgrad.nn.layer import Layer, Parameter, check_gradient, computing_dtype

#: Numbers for which it pays to wake a second thread.
A_THREAD = 2**17


class Sequential(Layer):
    """The composition of layers.

    Formula: y = fₗ(…f₂(f₁(x))); the chain rule runs the same layers backwards: dx = f₁'(f₂'(…fₗ'(dy))).

    Arguments:
        layers: in the order of the forward pass. Parameters are named as PyTorch's `nn.Sequential` names them:
            `0.weight`, `0.bias`, `2.weight`, …
    """

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."] | None:
        # Where nobody asks for the gradient of the data, the first layer that has parameters is the last to run.
        first = 0
        while not self.input_gradient and first < len(self.layers) and not self.layers[first].parameters():
            first += 1
        gradient: Any = dy
        for i in reversed(range(first, len(self.layers))):
            layer = self.layers[i]
            own, layer.input_gradient = layer.input_gradient, self.input_gradient or i > first
            try:
                gradient = layer.backward(gradient)
            finally:
                layer.input_gradient = own
        return gradient if self.input_gradient else None

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

    def named_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
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
    """Layers in a row, f, with a way around them.

    Formula: y = x + f(x), so dx = dy + f'(dy): the gradient reaches what lies below even where f passes none on.

    Arguments:
        layers: f, in the order of the forward pass. As the third layer of a network its parameters are named
            `2.0.weight`, `2.0.bias`, `2.2.weight`, …

    Raises:
        ValueError: there is no layer; in forward, f(x) has not the shape of x.

    Source: He, Zhang, Ren, Sun (2016), Identity mappings in deep residual networks, equations 1 and 5.
    """

    def __init__(self, *layers: Layer) -> None:
        if not layers:
            raise ValueError("Residual got no layers, expected at least one: x + x is hardly meant")
        super().__init__(*layers)

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        f = super().forward(x)
        # Stacked models may share their input: x is (N, D) then, f(x) is (M, N, D).
        if f.shape != x.shape and f.shape[1:] != x.shape:
            raise ValueError(
                f"{self!r} got x with shape={x.shape}, but its layers turn it into shape={f.shape}: x + f(x) needs "
                "layers that keep the shape; change the width where there is no way around"
            )
        self._keep(f.shape)
        return self._add(x, f, empty_like(self.work, "y", f, np.result_type(x, f)))

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."] | None:
        (shape,) = self._recall()
        check_gradient(self, dy, shape)
        through = super().backward(dy)
        if through is None:
            return None
        return self._add(dy, through, empty_like(self.work, "dx", dy))

    def _add(self, a, b, out):
        """out = a + b, large ones shared out among the workers."""
        if a.shape != out.shape:  # stacked models that share their input
            return np.add(a, b, out=out)
        parts = self.workers.split(len(out), 1 + A_THREAD * len(out) // max(out.size, 1))
        self.workers.run(lambda part: np.add(a[part], b[part], out=out[part]), parts)
        return out


class Flatten(Layer):
    """Rows from images: (N, C, H, W) to (N, C·H·W). The first axis is the batch; every other axis is joined."""

    def forward(self, x: Inexact[Array, "N ..."]) -> Inexact[Array, "N D"]:
        y = self.work.empty("y", (x.shape[0], int(np.prod(x.shape[1:]))), computing_dtype(x))
        y.reshape(x.shape)[...] = x
        self._keep(x.shape, y.shape)
        return y

    def backward(self, dy: Inexact[Array, "N D"]) -> Inexact[Array, "N ..."]:
        shape, flat = self._recall()
        check_gradient(self, dy, flat)
        dx = self.work.empty("dx", shape, dy.dtype)
        dx[...] = dy.reshape(shape)
        return dx
