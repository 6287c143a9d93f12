"""Kernels of sequences of layers, with ReLUs fused into the preceding kernels, and of residual blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact
from handgrad.kernels.activations import ReLUKernel
from handgrad.kernels.arena import empty_like
from handgrad.kernels.kernel import Kernel, Lender, kernel_of
from handgrad.nn.layer import check_gradient, computing_dtype

#: Minimum number of elements for a second thread.
MIN_NUMBERS_PER_THREAD = 2**17


class PassThrough(Kernel):
    """A ReLU whose forward and backward pass are both computed by the preceding kernel."""

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        return x

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        return dy


@kernel_of(nn.Sequential)
class SequentialKernel(Kernel):
    """The kernels of the layers.

    A ReLU is fused into the preceding kernel if that kernel supports it, while its output is in the cache: the results
    are the same, with fewer passes over memory.
    """

    layer: nn.Sequential

    def __init__(self, layer: nn.Sequential, lender: Lender) -> None:
        super().__init__(layer, lender)
        self.parts: list[Kernel] = []
        for child in layer.layers:
            kernel = lender.lend(child)
            before = self.parts[-1] if self.parts else None
            if isinstance(kernel, ReLUKernel) and before is not None and before.can_fuse_relu != "none":
                before.fuses_relu = True
                if before.can_fuse_relu == "both":
                    kernel = PassThrough(child, lender)
                else:
                    kernel.relu_fused = True
            self.parts.append(kernel)

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        for part in self.parts:
            x = part.forward(x)
        return x

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."] | None:
        # If the gradient of the data is not needed, the backward pass ends at the first layer with parameters.
        first = 0
        while not self.input_gradient and first < len(self.parts) and not self.layer.layers[first].parameters():
            first += 1
        gradient: Any = dy
        for i in reversed(range(first, len(self.parts))):
            part = self.parts[i]
            part.input_gradient = self.input_gradient or i > first
            gradient = part.backward(gradient)
        return gradient if self.input_gradient else None

    def kernels(self) -> Iterator[Kernel]:
        yield self
        for part in self.parts:
            yield from part.kernels()


@kernel_of(nn.Residual)
class ResidualKernel(SequentialKernel):
    layer: nn.Residual

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        f = super().forward(x)
        self.layer.check_shape(x, f)
        self._keep(f.shape)
        return self._add(x, f, empty_like(self.work, "y", f, np.result_type(x, f)))

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."] | None:
        (shape,) = self._recall()
        check_gradient(self.layer, dy, shape)
        through = super().backward(dy)
        if through is None:
            return None
        return self._add(dy, through, empty_like(self.work, "dx", dy))

    def _add(self, a, b, out):
        """out = a + b; large arrays are divided among the workers."""
        if a.shape != out.shape:  # stacked models that share their input
            return np.add(a, b, out=out)
        parts = self.workers.split(len(out), 1 + MIN_NUMBERS_PER_THREAD * len(out) // max(out.size, 1))
        self.workers.run(lambda part: np.add(a[part], b[part], out=out[part]), parts)
        return out


@kernel_of(nn.Flatten)
class FlattenKernel(Kernel):
    def forward(self, x: Inexact[Array, "N ..."]) -> Inexact[Array, "N D"]:
        y = self.work.empty("y", (x.shape[0], int(np.prod(x.shape[1:]))), computing_dtype(x))
        y.reshape(x.shape)[...] = x
        self._keep(x.shape, y.shape)
        return y

    def backward(self, dy: Inexact[Array, "N D"]) -> Inexact[Array, "N ..."]:
        shape, flat = self._recall()
        check_gradient(self.layer, dy, flat)
        dx = self.work.empty("dx", shape, dy.dtype)
        dx[...] = dy.reshape(shape)
        return dx
