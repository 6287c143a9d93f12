"""Images at a layer's face are (N, C, H, W); inside, and in memory, their channels come last: (N, H, W, C).

With the channels last a convolution is a product over contiguous rows and batch normalisation a sum over rows. A layer
gives back a transposed view of such memory, so the next layer finds it as it needs it and nothing is moved in between.
"""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.arena import Workspace
from handgrad.nn.layer import Layer, Parameter


def channels_last(work: Workspace, name: str, x: Inexact[Array, "N C H W"], dtype=None) -> Inexact[Array, "N H W C"]:
    """The images with their channels last, contiguous: a view where they lie so in memory, else a copy."""
    last = x.transpose(0, 2, 3, 1)
    if last.flags.c_contiguous and (dtype is None or dtype == x.dtype):
        return last
    copy = work.empty(name, last.shape, dtype or x.dtype)
    copy[...] = last
    return copy


def channels_first(last: Inexact[Array, "N H W C"]) -> Inexact[Array, "N C H W"]:
    """The same memory under its public shape."""
    return last.transpose(0, 3, 1, 2)


def pair(layer: str, name: str, value: int | tuple[int, int], least: int) -> tuple[int, int]:
    """A size for height and width, given as one number for both or as two.

    Raises:
        ValueError: it is neither, or below `least`.
    """
    two = (value, value) if isinstance(value, int) else tuple(value)
    if len(two) != 2 or not all(isinstance(n, int) and n >= least for n in two):
        raise ValueError(f"{layer} got {name}={value}, expected a whole number of at least {least}, or two of them")
    return two[0], two[1]


def window_output(
    layer: Layer,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> tuple[int, int]:
    """Height and width of what a sliding window leaves: ⌊(size + 2·padding - dilation·(kernel - 1) - 1)/stride⌋ + 1.

    Raises:
        ValueError: the kernel spans more than the padded image.
    """
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padded = [n + 2 * p for n, p in zip(size, padding, strict=True)]
    if spans[0] > padded[0] or spans[1] > padded[1]:
        raise ValueError(
            f"{layer!r} got images of {size[0]} x {size[1]}, padded to {padded[0]} x {padded[1]}, but its kernel spans "
            f"{spans[0]} x {spans[1]} pixels: take a smaller kernel or more padding"
        )
    return (padded[0] - spans[0]) // stride[0] + 1, (padded[1] - spans[1]) // stride[1] + 1


def check_images(layer: Layer, x: Inexact[Array, "..."], channels: int | None = None, *stacked: Parameter) -> None:
    """Raises ValueError unless `x` is `(N, channels, H, W)` and no parameter is of stacked models."""
    if any(parameter.value.ndim != layer.weight_ndim for parameter in stacked):
        raise ValueError(f"{layer!r} takes no stack of models: train them one by one")
    if x.ndim != 4 or (channels is not None and x.shape[1] != channels):
        expected = f"(N, {'C' if channels is None else channels}, H, W)"
        raise ValueError(f"{layer!r} got x with shape={x.shape}, expected images {expected}")


def fold(rows: int, channels: int) -> int:
    """How many pixels to take as one row, so that NumPy's inner loops over a row are long: a power of 2 that divides
    `rows`."""
    several = 1
    while rows and rows % (2 * several) == 0 and several * channels < 1024:
        several *= 2
    return several


def add_to_pixels(pixels: Inexact[Array, "R C"], vector: Inexact[Array, "C"]) -> None:
    """pixels += vector, in place."""
    several = fold(*pixels.shape)
    wide = pixels.reshape(len(pixels) // several, several * pixels.shape[1])
    wide += np.tile(vector, several)


def sum_of_pixels(pixels: Inexact[Array, "R C"], out: Inexact[Array, "C"]) -> None:
    """Writes the sum over all pixels into `out`: a product with ones, five times as quick as adding row to row."""
    np.matmul(np.ones(len(pixels), pixels.dtype), pixels, out=out)
