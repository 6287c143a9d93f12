"""Memory for long-lived arrays: aligned to cache lines, with huge pages for large arrays.

NumPy aligns arrays to 16 bytes, so vector instructions may write across two cache lines. Linux allocates memory in
pages of 4 KiB: 15 MB are 3,700 pages, more than the TLB of the processor can hold.
"""

from __future__ import annotations

import contextlib
import math
import mmap

import numpy as np

from handgrad._typing import Array, Shaped

LINE = 64
PAGE = 2 << 20
#: Minimum size in bytes of an array with its own huge pages: below, too much of them would be unused.
LARGE = 4 << 20


def empty(shape: tuple[int, ...], dtype: np.dtype | type) -> Shaped[Array, "..."]:
    """`np.empty`, aligned to a cache line."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    memory, edge = _pages(size) if size >= LARGE and hasattr(mmap, "MADV_HUGEPAGE") else _lines(size)
    begin = -memory.__array_interface__["data"][0] % edge
    return memory[begin : begin + size].view(dtype).reshape(shape)


def zeros(shape: tuple[int, ...], dtype: np.dtype | type) -> Shaped[Array, "..."]:
    """`np.zeros`, aligned to a cache line."""
    array = empty(shape, dtype)
    array[...] = 0
    return array


def zeros_like(array: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """`np.zeros_like`, aligned to a cache line, with the memory order of `array`."""
    strides = np.empty_like(array).strides
    return np.ndarray(array.shape, array.dtype, zeros((array.size,), array.dtype), strides=strides)


def _lines(size: int) -> tuple[np.ndarray, int]:
    return np.empty(size + LINE, np.uint8), LINE


def _pages(size: int) -> tuple[np.ndarray, int]:
    """Requests huge pages; the system decides whether to provide them."""
    pages = mmap.mmap(-1, math.ceil(size / PAGE) * PAGE + PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # an operating system without them
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8), PAGE
