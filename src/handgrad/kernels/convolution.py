"""The kernel of convolutions, which selects an algorithm for the shape."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact
from handgrad.kernels.convolution_algorithms import ALGORITHMS, Algorithm, Geometry, choose
from handgrad.kernels.images import channels_first, channels_last, sum_of_pixels
from handgrad.kernels.kernel import Kernel, Lender, kernel_of
from handgrad.nn.images import check_images
from handgrad.nn.layer import check_gradient, computing_dtype


@kernel_of(nn.Conv2d)
class Conv2dKernel(Kernel):
    """Computes convolutions with one of several algorithms, on images with channels last.

    Attributes:
        algorithm: the name of the algorithm to use where applicable (one of `CONVOLUTIONS`), or "auto", which selects
            the fastest for each shape by a fixed estimate. All agree up to rounding; Winograd's have the largest
            rounding errors.
    """

    layer: nn.Conv2d

    #: Algorithms by name; `kernels.compiled_images` contains compiled ones.
    algorithms: Mapping[str, type[Algorithm]] = ALGORITHMS

    def __init__(self, layer: nn.Conv2d, lender: Lender) -> None:
        super().__init__(layer, lender)
        self.algorithm = "auto"
        self._chosen: dict[tuple, Algorithm] = {}

    def geometry(self, height: int, width: int) -> Geometry:
        """The geometry for images of this height and width."""
        layer = self.layer
        sizes = layer.kernel_size, layer.stride, layer.padding, layer.dilation
        return Geometry.of((height, width), layer.in_channels, layer.out_channels, *sizes, layer.groups)

    def chosen(self, n: int, height: int, width: int) -> Algorithm:
        """The algorithm for a batch of `n` images of this height and width."""
        key = (n, height, width, self.algorithm)
        if key not in self._chosen:
            geometry = self.geometry(height, width)
            self._chosen[key] = self.algorithms[choose(geometry, n, self.algorithm)](geometry)
        return self._chosen[key]

    def forward(self, x: Inexact[Array, "N C H W"]) -> Inexact[Array, "N K Ho Wo"]:
        check_images(self.layer, x, self.layer.in_channels, self.layer.weight)
        dtype = computing_dtype(x, *(parameter.value for parameter in self.layer.parameters()))
        last = channels_last(self.work, "x", x, dtype)
        n, height, width, _ = last.shape
        algorithm = self.chosen(n, height, width)
        y = self.work.empty("y", (n, *algorithm.geometry.out, self.layer.out_channels), dtype)
        bias = None if self.layer.bias is None else self.layer.bias.value
        kept = algorithm.forward(last, self._channels_last(self.layer.weight.value), bias, y, self.work, self.workers)
        self._keep(algorithm, last, kept, (n, self.layer.out_channels, *algorithm.geometry.out))
        return channels_first(y)

    def backward(self, dy: Inexact[Array, "N K Ho Wo"]) -> Inexact[Array, "N C H W"] | None:
        algorithm, x, kept, shape = self._recall()
        check_gradient(self.layer, dy, shape)
        last = channels_last(self.work, "dy", dy)
        dx = self.work.empty("dx", x.shape, dy.dtype) if self.input_gradient else None
        dweight = self.layer.weight.grad.transpose(0, 2, 3, 1)
        target = dweight if dweight.flags.c_contiguous else self.work.scratch("dweight", dweight.shape, dweight.dtype)
        algorithm.backward(
            x, kept, last, self._channels_last(self.layer.weight.value), target, dx, self.work, self.workers
        )
        if target is not dweight:
            dweight[...] = target
        if self.layer.bias is not None:
            self._bias_gradient(last, self.layer.bias)
        return None if dx is None else channels_first(dx)

    def _bias_gradient(self, dy: Inexact[Array, "N Ho Wo K"], bias: nn.Parameter) -> None:
        parts = self.workers.split(len(dy))
        sums = np.empty((len(parts), self.layer.out_channels), dy.dtype)

        def add_up(i: int) -> None:
            part = dy[parts[i]]
            sum_of_pixels(part.reshape(part.size // self.layer.out_channels, self.layer.out_channels), sums[i])

        self.workers.run(add_up, range(len(parts)))
        np.add.reduce(sums, axis=0, out=bias.grad)

    def _channels_last(self, weight: Inexact[Array, "K C R S"]) -> Inexact[Array, "K R S C"]:
        last = weight.transpose(0, 2, 3, 1)
        if last.flags.c_contiguous:
            return last
        copy = self.work.scratch("weight", last.shape, last.dtype)
        copy[...] = last
        return copy
