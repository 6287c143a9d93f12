"""Convolution as a matrix product of patches (im2col)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import fold, unfold

from handgrad._typing import Float
from handgrad.torch.autocast import autocast

Pair = tuple[int, int]


class Conv2dFunction(Function):
    """Cross-correlation of images with kernels, as PyTorch's:
    `apply(x, weight, bias, stride, padding, dilation, groups)`.

    The patches of x are the columns of a matrix P `(N, C·kh·kw, H'·W')`, the kernels are the rows of a matrix W
    `(O, C·kh·kw)`. With groups, this applies to each group of channels separately.

    Formula:
        Y  = W P + b
        dW = Σₙ dYₙ Pₙᵀ,   db = Σ dY,   dP = Wᵀ dY, and dx is the sum of all dP at the pixels that they come from

    Arguments:
        x: `(N, C, H, W)`.
        weight: `(O, C / groups, kh, kw)`.
        bias: `(O,)` or None.
        stride, padding, dilation: two integers each, for height and width.

    PyTorch's `unfold` extracts the patches and `fold`, its transpose, adds them up; the rest are matrix products. P is
    not saved: backward extracts it from x again. Returns None for arguments that need no gradient. Second derivatives:
    yes.

    Source: Chellapilla, Puri, Simard (2006), High performance convolutional neural networks for document processing.
    """

    @staticmethod
    def forward(ctx, x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
        x, weight, bias = autocast(x, weight, bias)
        ctx.window = (pair(weight.shape[2:]), stride, padding, dilation)
        ctx.x_shape, ctx.weight_shape, ctx.groups = x.shape, weight.shape, groups
        dx_needed, dweight_needed = ctx.needs_input_grad[:2]
        ctx.save_for_backward(x if dweight_needed else None, weight if dx_needed else None)
        y = _kernels(weight, groups) @ _patches(x, groups, *ctx.window)
        if bias is not None:
            y = y + bias.reshape(groups, -1, 1)
        return y.reshape(len(x), len(weight), *output_size(x.shape[2:], *ctx.window))

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        dx_needed, dweight_needed, dbias_needed = (*ctx.needs_input_grad, False)[:3]
        dx = dweight = dbias = None
        if dbias_needed:
            dbias = dy.sum((0, 2, 3))
        n, channels, height, width = dy.shape
        dy = dy.reshape(n, ctx.groups, channels // ctx.groups, height * width)
        if dweight_needed:
            patches = _patches(x, ctx.groups, *ctx.window)
            dweight = torch.einsum("ngol,ngkl->gok", dy, patches).reshape(ctx.weight_shape)
        if dx_needed:
            dx = _add_up(_kernels(weight, ctx.groups).transpose(-1, -2) @ dy, ctx.x_shape, *ctx.window)
        return dx, dweight, dbias, None, None, None, None


def output_size(size: Sequence[int], kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> Pair:
    """Height and width of the output of a sliding window."""
    height, width = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    return height, width


def _is_pixel(kernel: Pair, stride: Pair, padding: Pair) -> bool:
    return kernel == (1, 1) and stride == (1, 1) and padding == (0, 0)


def _patches(x: Tensor, groups: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """The patches as columns, `(N, groups, C/groups·kh·kw, H'·W')`."""
    if _is_pixel(kernel, stride, padding):
        columns = x.flatten(2)
    else:
        columns = unfold(x, kernel, dilation=dilation, padding=padding, stride=stride)
    return columns.unflatten(1, (groups, columns.shape[1] // groups))


def _add_up(columns: Tensor, shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """The transpose of `_patches`."""
    if _is_pixel(kernel, stride, padding):
        return columns.reshape(shape)
    return fold(columns.flatten(1, 2), shape[2:], kernel, dilation=dilation, padding=padding, stride=stride)


def _kernels(weight: Tensor, groups: int) -> Tensor:
    """The kernels as rows, `(groups, O/groups, C/groups·kh·kw)`."""
    return weight.reshape(groups, weight.shape[0] // groups, -1)


def pair(value: Any) -> Pair:
    """One number for height and width, or two."""
    height, width = (value, value) if isinstance(value, int) else value
    return height, width


class Conv2d(torch.nn.Conv2d):
    """`torch.nn.Conv2d` on `Conv2dFunction`, padded with zeros.

    Arguments:
        in_channels, out_channels: C and O.
        kernel_size, stride, padding, dilation: one integer for height and width, or two.
        groups: number of separate groups of channels; divides C and O.
        bias: whether b is added.
        device, dtype: of the parameters.

    Raises:
        ValueError: x is not `(N, C, H, W)`, or the kernel spans more than the padded image.
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, **options
    ) -> None:
        kernel_size, stride, padding, dilation = map(pair, (kernel_size, stride, padding, dilation))
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, **options)

    def forward(self, input: Float[Tensor, "N C H W"]) -> Float[Tensor, "N O height width"]:
        if input.ndim != 4 or input.shape[1] != self.in_channels:
            raise ValueError(
                f"{self!r} got x with shape={tuple(input.shape)}, expected images (N, {self.in_channels}, H, W)"
            )
        window = pair(self.kernel_size), pair(self.stride), pair(self.padding), pair(self.dilation)
        if min(output_size(input.shape[2:], *window)) < 1:
            raise ValueError(
                f"{self!r} got x with shape={tuple(input.shape)}: the kernel spans more than the padded image, "
                "take a smaller kernel or more padding"
            )
        return Conv2dFunction.apply(input, self.weight, self.bias, *window[1:], self.groups)
