"""Convolution of images, computed tap by tap."""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.initializers import Initializer, parse_initializer
from handgrad.nn.images import Size, check_images, cropped, padded, taps
from handgrad.nn.layer import Layer, Parameter, check_gradient
from handgrad.windows import pair, window_output


class Conv2d(Layer):
    """Convolution of images (as in all frameworks, a cross-correlation: the kernel is not flipped).

    Formula, for stride t, dilation d and x⁺ the zero-padded image, over the channels c of k's group:
        y[n,k,i,j]  = b[k] + Σ_crs x⁺[n, c, i·t + r·d, j·t + s·d] · w[k,c,r,s]
        dw[k,c,r,s] = Σ_nij dy[n,k,i,j] · x⁺[n, c, i·t + r·d, j·t + s·d],   db[k] = Σ_nij dy[n,k,i,j]
        dx⁺[n, c, i·t + r·d, j·t + s·d] += Σ_k dy[n,k,i,j] · w[k,c,r,s]

    Arguments:
        in_channels: C, at least 1.
        out_channels: K, at least 1.
        kernel_size: (R, S), or one number for both.
        stride: pixels between positions of the kernel, for height and width or one for both.
        padding: zeros on each side, likewise.
        dilation: pixels between two taps of the kernel, likewise.
        groups: number of separate convolutions into which the channels are split; divides C and K.
        bias: whether b is added.
        init, rng, dtype: as for `Linear`.

    Parameters `weight (K, C/groups, R, S)` and `bias (K,)` are PyTorch's.

    Raises ValueError for an argument out of range and, in forward, for an `x` of the wrong shape.

    Source: Dumoulin and Visin (2016), A guide to convolution arithmetic for deep learning.
    """

    parameter_names = ("weight", "bias")
    weight_ndim = 4

    # fmt: off
    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size = 0,
        dilation: Size = 1, groups: int = 1, bias: bool = True,
        *, init: str | Initializer = "kaiming", rng: np.random.Generator | int | None = None, dtype=np.float32,
    ) -> None:
        # fmt: on
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            if value < 1:
                raise ValueError(f"Conv2d got {name}={value}, expected at least 1")
        if in_channels % groups or out_channels % groups:
            channels = f"in_channels={in_channels} and out_channels={out_channels}"
            raise ValueError(f"Conv2d got {channels}, expected both to be divisible by groups={groups}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = pair("Conv2d got kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d got stride", stride, 1)
        self.padding = pair("Conv2d got padding", padding, 0)
        self.dilation = pair("Conv2d got dilation", dilation, 1)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(parse_initializer(init)(shape, np.random.default_rng(rng)).astype(dtype))
        self.bias = Parameter(np.zeros(out_channels, dtype)) if bias else None

    def forward(self, x: Inexact[Array, "N C H W"]) -> Inexact[Array, "N K Ho Wo"]:
        check_images(self, x, self.in_channels, self.weight)
        out = window_output(x.shape[2:], self.kernel_size, self.stride, self.padding, self.dilation)
        weight, *bias = self._values(x)
        x = padded(x, self.padding).astype(weight.dtype, copy=False)
        y = np.zeros((len(x), self.out_channels, *out), x.dtype)
        for r, s, pixels in taps(self.kernel_size, out, self.stride, self.dilation):
            y += (self._kernel(weight, r, s) @ self._grouped(x[pixels])).reshape(y.shape)
        self._keep(x, y.shape)
        return y + bias[0][:, None, None] if bias else y

    def backward(self, dy: Inexact[Array, "N K Ho Wo"]) -> Inexact[Array, "N C H W"]:
        x, shape = self._recall()
        check_gradient(self, dy, shape)
        weight, *_ = self._values(dy)
        dx = np.zeros(x.shape, dy.dtype)
        upstream = self._grouped(dy)
        for r, s, pixels in taps(self.kernel_size, shape[2:], self.stride, self.dilation):
            dkernel = (upstream @ self._grouped(x[pixels]).mT).sum(axis=0)
            self.weight.grad[:, :, r, s] = dkernel.reshape(weight.shape[:2])
            dx[pixels] += (self._kernel(weight, r, s).mT @ upstream).reshape(dx[pixels].shape)
        if self.bias is not None:
            self.bias.grad[...] = dy.sum(axis=(0, 2, 3))
        return cropped(dx, self.padding)

    def _kernel(self, weight, r: int, s: int) -> Inexact[Array, "G Kg Cg"]:
        """The weights of one tap, one matrix per group."""
        return weight[:, :, r, s].reshape(self.groups, self.out_channels // self.groups, weight.shape[1])

    def _grouped(self, x: Inexact[Array, "N C h w"]) -> Inexact[Array, "N G Cg P"]:
        """One matrix per image and group, with one row of pixels per channel."""
        n, c, height, width = x.shape
        return x.reshape(n, self.groups, c // self.groups, height * width)

    def _describe(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        for name, default in (("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text + ("" if self.bias else ", bias=False")
