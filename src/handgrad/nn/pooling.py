"""Pooling of images: maximum or mean of a sliding window, or mean of a whole feature map."""

from __future__ import annotations

import math

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.images import Size, check_images, cropped, padded, taps
from handgrad.nn.layer import Layer, check_gradient
from handgrad.windows import pair, window_output


class _WindowPool(Layer):
    """Base class of max-pooling and average pooling: the windows."""

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        name = type(self).__name__
        self.kernel_size = pair(f"{name} got kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair(f"{name} got stride", stride, 1)
        self.padding = pair(f"{name} got padding", padding, 0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            most = f"at most half of kernel_size={kernel_size}: a window could lie outside the image"
            raise ValueError(f"{name} got padding={padding}, expected {most}")

    def _out(self, x: Inexact[Array, "N C H W"]) -> tuple[int, int]:
        """Height and width of the output."""
        check_images(self, x)
        return window_output(x.shape[2:], self.kernel_size, self.stride, self.padding)

    def _taps(self, out: tuple[int, int]):
        """The slices of the padded image for each position in the windows."""
        return [pixels for _, _, pixels in taps(self.kernel_size, out, self.stride)]

    def _describe(self) -> str:
        return f"{self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(_WindowPool):
    """The maximum of each window.

    Formula: y[n,c,i,j] = max over (r, s) of x[n, c, i·t + r - p, j·t + s - p] for stride t and padding p, where pixels
    outside the image are ignored. The gradient dy goes to the maximum; gradients of overlapping windows are added. At a
    tie, the first maximum in row order counts, as in PyTorch.

    Arguments:
        kernel_size: (R, S), or one number for both.
        stride: pixels between windows, for height and width or one for both; the kernel size if None.
        padding: pixels added on each side, likewise; at most half of the kernel size.

    Raises ValueError for an argument out of range and, in forward, for an `x` that is smaller than a window.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), section 9.3.
    """

    def forward(self, x: Inexact[Array, "N C H W"]) -> Inexact[Array, "N C Ho Wo"]:
        out = self._out(x)
        x = padded(x, self.padding, -np.inf)
        windows = np.stack([x[pixels] for pixels in self._taps(out)])
        largest = windows.argmax(axis=0)  # the first maximum
        y = np.take_along_axis(windows, largest[None], axis=0)[0]
        self._keep(largest, x.shape)
        return y

    def backward(self, dy: Inexact[Array, "N C Ho Wo"]) -> Inexact[Array, "N C H W"]:
        largest, padded_shape = self._recall()
        check_gradient(self, dy, largest.shape)
        dx = np.zeros(padded_shape, dy.dtype)
        for number, pixels in enumerate(self._taps(dy.shape[2:])):
            dx[pixels] += dy * (largest == number)
        return cropped(dx, self.padding)


class AvgPool2d(_WindowPool):
    """The mean of each window; pixels outside the image count as 0, as in PyTorch.

    Formula: y[n,c,i,j] = Σ_rs x⁺[n, c, i·t + r, j·t + s] / (R S), so each pixel of a window gets dy / (R S).

    Arguments and errors: those of `MaxPool2d`.
    """

    def forward(self, x: Inexact[Array, "N C H W"]) -> Inexact[Array, "N C Ho Wo"]:
        out = self._out(x)
        x = padded(x, self.padding)
        y = np.zeros((*x.shape[:2], *out), x.dtype)
        for pixels in self._taps(out):
            y += x[pixels]
        self._keep(x.shape, y.shape)
        return y / math.prod(self.kernel_size)

    def backward(self, dy: Inexact[Array, "N C Ho Wo"]) -> Inexact[Array, "N C H W"]:
        padded_shape, shape = self._recall()
        check_gradient(self, dy, shape)
        dx = np.zeros(padded_shape, dy.dtype)
        for pixels in self._taps(shape[2:]):
            dx[pixels] += dy / math.prod(self.kernel_size)
        return cropped(dx, self.padding)


class GlobalAvgPool2d(Layer):
    """The mean of each feature map: (N, C, H, W) to (N, C).

    Formula: y[n,c] = Σ_ij x[n,c,i,j] / (H W), so every pixel gets dy / (H W).

    Source: Lin, Chen, Yan (2014), Network in network, section 3.2.
    """

    def forward(self, x: Inexact[Array, "N C H W"]) -> Inexact[Array, "N C"]:
        check_images(self, x)
        self._keep(x.shape)
        return x.mean(axis=(2, 3))

    def backward(self, dy: Inexact[Array, "N C"]) -> Inexact[Array, "N C H W"]:
        (shape,) = self._recall()
        check_gradient(self, dy, shape[:2])
        height, width = shape[2:]
        return np.broadcast_to(dy[:, :, None, None] / (height * width), shape).copy()
