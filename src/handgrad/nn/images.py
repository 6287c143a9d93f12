"""Shared code of the layers for images `(N, C, H, W)`: sizes, padding, and sliding windows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.layer import Layer, Parameter, computing_dtype

Size = int | tuple[int, int]


def check_images(layer: Layer, x: Inexact[Array, "..."], channels: int | None = None, *stacked: Parameter) -> None:
    """Raises ValueError unless `x` is `(N, channels, H, W)` and the parameters are not stacked."""
    computing_dtype(x)
    if any(parameter.value.ndim != layer.weight_ndim for parameter in stacked):
        raise ValueError(f"{layer!r} does not support stacked models: train them one by one")
    if x.ndim != 4 or (channels is not None and x.shape[1] != channels):
        expected = f"(N, {'C' if channels is None else channels}, H, W)"
        raise ValueError(f"{layer!r} got x with shape={x.shape}, expected images {expected}")


def padded(x: Inexact[Array, "N C H W"], padding: tuple[int, int], value: float = 0.0) -> Inexact[Array, "N C Hp Wp"]:
    """The images padded with `value`."""
    (top, left), (n, c, height, width) = padding, x.shape
    larger = np.full((n, c, height + 2 * top, width + 2 * left), value, x.dtype)
    larger[:, :, top : top + height, left : left + width] = x
    return larger


def cropped(x: Inexact[Array, "N C Hp Wp"], padding: tuple[int, int]) -> Inexact[Array, "N C H W"]:
    """The images without their padding, as a new array."""
    (top, left), (height, width) = padding, x.shape[2:]
    return x[:, :, top : height - top, left : width - left].copy()


def taps(
    kernel: tuple[int, int], out: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> Iterator[tuple[int, int, tuple]]:
    """For each position (r, s) in a sliding window, the slices of the padded image with the pixels that it covers.

    The (i, j)-th of them, x⁺[…, i·t + r·d, j·t + s·d] for stride t and dilation d, belongs to the output (i, j).
    """
    for r, s in np.ndindex(*kernel):
        places = [
            slice(first * d, first * d + (count - 1) * t + 1, t)
            for first, count, t, d in zip((r, s), out, stride, dilation, strict=True)
        ]
        yield r, s, (..., *places)
