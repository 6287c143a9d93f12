"""Pooling over windows or whole feature maps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import fold, pad, unfold

from handgrad._typing import Float
from handgrad.torch.convolution import Pair, output_size, pair


class MaxPool2dFunction(Function):
    """The maximum of each window: `apply(x, kernel_size, stride, padding)`, two integers each.

    Formula: y = max over the window; dx = Σ dy over the windows whose maximum is this pixel. At a tie, the first
    maximum in row order counts, as in PyTorch; padding is ignored.

    Saves one index per window. Second derivatives: yes.

    Source: Zhou and Chellappa (1988), Computation of optical flow using a neural network.
    """

    @staticmethod
    def forward(ctx, x, kernel_size, stride, padding):
        (kh, kw), (ph, pw) = kernel_size, padding
        height, width = output_size(x.shape[2:], kernel_size, stride, padding)
        padded = pad(x, (pw, pw, ph, ph), value=-torch.inf)
        windows = unfold(padded, kernel_size, stride=stride).unflatten(1, (x.shape[1], kh * kw))
        y, which = windows.max(2)
        # its pixel in the padded image
        place = torch.arange(height * width, device=x.device)
        row = which // kw + place // width * stride[0]
        column = which % kw + place % width * stride[1]
        ctx.save_for_backward(row * padded.shape[3] + column)
        ctx.shape, ctx.padded_shape, ctx.padding = x.shape, padded.shape, padding
        return y.unflatten(2, (height, width))

    @staticmethod
    def backward(ctx, dy):
        (index,) = ctx.saved_tensors
        (ph, pw), (height, width) = ctx.padding, ctx.shape[2:]
        dpadded = dy.new_zeros(ctx.padded_shape).flatten(2).scatter_add(2, index, dy.flatten(2))
        dx = dpadded.reshape(ctx.padded_shape)[:, :, ph : ph + height, pw : pw + width]
        return dx, None, None, None


class AvgPool2dFunction(Function):
    """The mean of each window, including the zeros of the padding: `apply(x, kernel_size, stride, padding)`.

    Formula: y = Σ x / (kh·kw) over the window; dx = Σ dy / (kh·kw) over the windows that contain the pixel.

    Saves nothing. Second derivatives: yes (0).

    Source: LeCun et al. (1998), Gradient-based learning applied to document recognition, section II (subsampling).
    """

    @staticmethod
    def forward(ctx, x, kernel_size, stride, padding):
        ctx.shape, ctx.window = x.shape, (kernel_size, stride, padding)
        height, width = output_size(x.shape[2:], kernel_size, stride, padding)
        windows = unfold(x, kernel_size, stride=stride, padding=padding).unflatten(1, (x.shape[1], -1))
        return windows.mean(2).unflatten(2, (height, width))

    @staticmethod
    def backward(ctx, dy):
        kernel, stride, padding = ctx.window
        share = dy.flatten(2).unsqueeze(2) / (kernel[0] * kernel[1])
        windows = share.expand(-1, -1, kernel[0] * kernel[1], -1).flatten(1, 2)
        return fold(windows, ctx.shape[2:], kernel, stride=stride, padding=padding), None, None, None


class GlobalAvgPool2dFunction(Function):
    """The mean of each channel, `(N, C, H, W)` to `(N, C)`: `apply(x)`.

    Formula: y = Σ x / (H·W); dx = dy / (H·W) at every pixel. Saves nothing. Second derivatives: yes (0).

    Source: Lin, Chen, Yan (2014), Network in network, section 3.2.
    """

    @staticmethod
    def forward(ctx, x):
        ctx.shape = x.shape
        return x.mean((2, 3))

    @staticmethod
    def backward(ctx, dy):
        _, _, height, width = ctx.shape
        return (dy / (height * width))[:, :, None, None].expand(ctx.shape)


class _Pool2d(torch.nn.Module):
    function: type[Function]

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0) -> None:
        super().__init__()
        self.kernel_size, self.padding = pair(kernel_size), pair(padding)
        self.stride = self.kernel_size if stride is None else pair(stride)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ValueError(
                f"{self!r} has padding={self.padding}, more than half of kernel_size={self.kernel_size}: "
                "a window could lie outside the image"
            )

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C height width"]:
        if x.ndim != 4 or min(output_size(x.shape[2:], self.kernel_size, self.stride, self.padding)) < 1:
            raise ValueError(
                f"{self!r} got x with shape={tuple(x.shape)}, expected images (N, C, H, W) that the window fits in"
            )
        return self.function.apply(x, self.kernel_size, self.stride, self.padding)

    def extra_repr(self) -> str:
        return f"{self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(_Pool2d):
    """`MaxPool2dFunction`: the maximum of each window.

    Arguments:
        kernel_size, stride, padding: one integer for height and width, or two; the default stride is the kernel size.

    Raises:
        ValueError: padding of more than half the kernel; x is not `(N, C, H, W)` or smaller than the window.
    """

    function = MaxPool2dFunction


class AvgPool2d(_Pool2d):
    """`AvgPool2dFunction`: the mean of each window, including the zeros of the padding.

    Arguments and errors are those of `MaxPool2d`.
    """

    function = AvgPool2dFunction


class GlobalAvgPool2d(torch.nn.Module):
    """`GlobalAvgPool2dFunction`: the mean of each channel, `(N, C, H, W)` to `(N, C)`."""

    @staticmethod
    def autograd() -> torch.nn.Module:
        """The equivalent PyTorch modules."""
        return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C"]:
        return GlobalAvgPool2dFunction.apply(x)
