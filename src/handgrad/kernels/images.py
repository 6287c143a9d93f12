"""The interface of kernels uses images (N, C, H, W); internally, and in memory, channels are last: (N, H, W, C).

With channels last, a convolution is a product over contiguous rows and batch normalisation a sum over rows. A kernel
returns a transposed view of such memory, so the next kernel can use it without a copy.
"""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.kernels.arena import Workspace


def channels_last(work: Workspace, name: str, x: Inexact[Array, "N C H W"], dtype=None) -> Inexact[Array, "N H W C"]:
    """The images with channels last, contiguous: a view if possible, otherwise a copy."""
    last = x.transpose(0, 2, 3, 1)
    if last.flags.c_contiguous and (dtype is None or dtype == x.dtype):
        return last
    copy = work.empty(name, last.shape, dtype or x.dtype)
    copy[...] = last
    return copy


def channels_first(last: Inexact[Array, "N H W C"]) -> Inexact[Array, "N C H W"]:
    """The same memory as (N, C, H, W)."""
    return last.transpose(0, 3, 1, 2)


def fold(rows: int, channels: int) -> int:
    """The number of pixels to join to one row, so that NumPy's inner loops are long: a power of 2 that divides
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
    """Writes the sum over all pixels to `out`, as a product with ones, which is five times as fast as adding rows."""
    np.matmul(np.ones(len(pixels), pixels.dtype), pixels, out=out)
