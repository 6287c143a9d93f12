"""The convolution of images, by whichever algorithm suits its shape."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.convolution_algorithms import ALGORITHMS, Algorithm, Geometry, choose
from handgrad.nn.images import channels_first, channels_last, check_images, pair, sum_of_pixels, window_output
from handgrad.nn.initializers import Initializer, parse_initializer
from handgrad.nn.layer import Layer, Parameter, check_gradient, computing_dtype


class Conv2d(Layer):
    """A convolution (as in all frameworks a cross-correlation: the kernel is not flipped) of images.

    Formula, for stride t, dilation d and x⁺ the image with its border of zeros, over the channels c of k's group:
        y[n,k,i,j]  = b[k] + Σ_crs x⁺[n, c, i·t + r·d, j·t + s·d] · w[k,c,r,s]
        dw[k,c,r,s] = Σ_nij dy[n,k,i,j] · x⁺[n, c, i·t + r·d, j·t + s·d],   db[k] = Σ_nij dy[n,k,i,j]
        dx⁺[n, c, i·t + r·d, j·t + s·d] += Σ_k dy[n,k,i,j] · w[k,c,r,s]

    Arguments:
        in_channels: C, at least 1.
        out_channels: K, at least 1.
        kernel_size: (R, S), or one number for both.
        stride: pixels between two places of the kernel, for height and width or one for both.
        padding: zeros on each side, likewise.
        dilation: pixels between two taps of the kernel, likewise.
        groups: into how many separate convolutions the channels are split; divides C and K.
        bias: whether b is added.
        algorithm: how it is computed: a name of `CONVOLUTIONS`, or "auto", which takes for each shape what a fixed
            estimate says is quickest. All give the same up to rounding; Winograd's round most.
        init: initialiser of the weight, by name or object; b starts at 0.
        rng: where the weight is drawn from: a `numpy.random.Generator`, a seed, or None for an unpredictable draw.
        dtype: of the parameters.

    Parameters `weight (K, C/groups, R, S)` and `bias (K,)` are PyTorch's. In memory the channels of the weight come
    last, as those of the images do.

    Raises:
        ValueError: an argument is out of its range; in forward, `x` has another shape or the kernel spans more than
            the padded image.

    Source: Dumoulin and Visin (2016), A guide to convolution arithmetic for deep learning.
    """

    parameter_names = ("weight", "bias")
    weight_ndim = 4
    #: By their names; `nn.fast` has compiled ones.
    algorithms: Mapping[str, type[Algorithm]] = ALGORITHMS

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        algorithm: str = "auto",
        init: str | Initializer = "kaiming",
        rng: np.random.Generator | int | None = None,
        dtype=np.float32,
    ) -> None:
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            if value < 1:
                raise ValueError(f"Conv2d got {name}={value}, expected at least 1")
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"Conv2d got in_channels={in_channels} and out_channels={out_channels}, expected both to be divisible "
                f"by groups={groups}"
            )
        if algorithm != "auto" and algorithm not in ALGORITHMS:
            raise ValueError(f"Conv2d got algorithm={algorithm!r}, expected auto or one of {', '.join(ALGORITHMS)}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.padding = pair("Conv2d", "padding", padding, 0)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        self.algorithm = algorithm
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        weight = parse_initializer(init)(shape, np.random.default_rng(rng)).astype(dtype)
        self.weight = Parameter(np.ascontiguousarray(weight.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
        self.bias = Parameter(np.zeros(out_channels, dtype)) if bias else None
        self._chosen: dict[tuple, Algorithm] = {}

    def geometry(self, height: int, width: int) -> Geometry:
        """The sizes that the algorithms need, for images of this height and width."""
        size, sizes = (height, width), (self.kernel_size, self.stride, self.padding, self.dilation)
        window_output(self, size, *sizes)  # raises where the kernel is too large
        return Geometry.of(size, self.in_channels, self.out_channels, *sizes, self.groups)

    def chosen(self, n: int, height: int, width: int) -> Algorithm:
        """The algorithm for a batch of `n` images of this height and width."""
        key = (n, height, width, self.algorithm)
        if key not in self._chosen:
            geometry = self.geometry(height, width)
            self._chosen[key] = self.algorithms[choose(geometry, n, self.algorithm)](geometry)
        return self._chosen[key]

    def forward(self, x: Inexact[Array, "N C H W"]) -> Inexact[Array, "N K Ho Wo"]:
        check_images(self, x, self.in_channels, self.weight)
        dtype = computing_dtype(x, *(parameter.value for parameter in self.parameters()))
        last = channels_last(self.work, "x", x, dtype)
        n, height, width, _ = last.shape
        algorithm = self.chosen(n, height, width)
        y = self.work.empty("y", (n, *algorithm.geometry.out, self.out_channels), dtype)
        bias = None if self.bias is None else self.bias.value
        kept = algorithm.forward(last, _last(self, self.weight.value), bias, y, self.work, self.workers)
        self._keep(algorithm, last, kept, (n, self.out_channels, *algorithm.geometry.out))
        return channels_first(y)

    def backward(self, dy: Inexact[Array, "N K Ho Wo"]) -> Inexact[Array, "N C H W"] | None:
        algorithm, x, kept, shape = self._recall()
        check_gradient(self, dy, shape)
        last = channels_last(self.work, "dy", dy)
        dx = self.work.empty("dx", x.shape, dy.dtype) if self.input_gradient else None
        dweight = self.weight.grad.transpose(0, 2, 3, 1)
        target = dweight if dweight.flags.c_contiguous else self.work.scratch("dweight", dweight.shape, dweight.dtype)
        algorithm.backward(x, kept, last, _last(self, self.weight.value), target, dx, self.work, self.workers)
        if target is not dweight:
            dweight[...] = target
        if self.bias is not None:
            self._bias_gradient(last, self.bias)
        return None if dx is None else channels_first(dx)

    def _bias_gradient(self, dy: Inexact[Array, "N Ho Wo K"], bias: Parameter) -> None:
        parts = self.workers.split(len(dy))
        sums = np.empty((len(parts), self.out_channels), dy.dtype)

        def add_up(i: int) -> None:
            part = dy[parts[i]]
            sum_of_pixels(part.reshape(part.size // self.out_channels, self.out_channels), sums[i])

        self.workers.run(add_up, range(len(parts)))
        np.add.reduce(sums, axis=0, out=bias.grad)

    def _describe(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        for name, default in (("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text + ("" if self.bias else ", bias=False")


def _last(layer: Conv2d, weight: Inexact[Array, "K C R S"]) -> Inexact[Array, "K R S C"]:
    last = weight.transpose(0, 2, 3, 1)
    if last.flags.c_contiguous:
        return last
    copy = layer.work.scratch("weight", last.shape, last.dtype)
    copy[...] = last
    return copy
