"""Memory that many steps will use: arrays begin at a cache line, large ones in large pages.

NumPy's own arrays begin at any multiple of 16 bytes, and vector instructions then write across two cache lines at a
time. And Linux hands memory out in pages of 4 KiB: a walk over 15 MB goes through 3,700 of them, more than the
processor remembers the places of.
"""

from __future__ import annotations

import contextlib
import math
import mmap

import numpy as np

from handgrad._typing import Array, Shaped

LINE = 64
PAGE = 2 << 20
#: Bytes from which an array gets large pages of its own: below, too much of them would lie idle.
LARGE = 4 << 20


def empty(shape: tuple[int, ...], dtype: np.dtype | type) -> Shaped[Array, "..."]:
    """`np.empty`, beginning at a cache line."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    memory, edge = _pages(size) if size >= LARGE and hasattr(mmap, "MADV_HUGEPAGE") else _lines(size)
    begin = -memory.__array_interface__["data"][0] % edge
    return memory[begin : begin + size].view(dtype).reshape(shape)


def zeros(shape: tuple[int, ...], dtype: np.dtype | type) -> Shaped[Array, "..."]:
    """`np.zeros`, beginning at a cache line."""
    array = empty(shape, dtype)
    array[...] = 0
    return array


def zeros_like(array: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """`np.zeros_like`, beginning at a cache line; the axes lie in memory as those of `array` do."""
    strides = np.empty_like(array).strides
    return np.ndarray(array.shape, array.dtype, zeros((array.size,), array.dtype), strides=strides)


def _lines(size: int) -> tuple[np.ndarray, int]:
    return np.empty(size + LINE, np.uint8), LINE


def _pages(size: int) -> tuple[np.ndarray, int]:
    """Asks for large pages; whether there are any is the system's choice."""
    pages = mmap.mmap(-1, math.ceil(size / PAGE) * PAGE + PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8), PAGE
