"""Prepared matrix products, split into tiles that the BLAS library multiplies without packing.

A BLAS library first packs its operands into an internal order. This is worthwhile for large products, but takes a tenth
to a half of the time for the products of small networks. On processors with AVX-512, the OpenBLAS that comes with NumPy
does not pack for products of up to a million multiply-adds. NumPy multiplies stacks of matrices in one call, so a
larger product is computed as a stack of such tiles, which are views.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, lru_cache, partial

import numpy as np

from handgrad._typing import Array, Inexact, Num

#: Multiply-adds up to which OpenBLAS does not pack (kernel/x86_64/sgemm_small_kernel_permit_skylakex.c), and the size
#: of the result if the second operand is transposed.
SMALL, SMALL_TRANSPOSED = 1_000_000, 1_200
#: Minimum and maximum length of sums for which tiles are faster: for short transposed ones the OpenBLAS kernels are
#: slow, for long ones tiles become narrow. Above `LARGE` multiply-adds, packing is worthwhile unless the sums have at
#: most 128 terms.
SUMS, SUMS_TRANSPOSED = range(1, 257), range(128, 1024)
LARGE = 2**27
#: OpenBLAS names of the processors with kernels for small products; all use those of SkylakeX.
AVX_512 = {"SkylakeX", "Cooperlake", "SapphireRapids"}
#: Minimum side length of a tile.
MIN_SIDE = 16


def product(
    a: Num[Array, "*a m n"], b: Num[Array, "*b n k"], *, out: Inexact[Array, "*stack m k"]
) -> Callable[[], object]:
    """A function without arguments that writes the product a b of the current contents of these arrays to `out`."""
    if out.dtype == a.dtype == b.dtype == np.float32 and multiplies_without_packing():
        if out.strides[-2] < out.strides[-1]:
            a, b, out = b.swapaxes(-1, -2), a.swapaxes(-1, -2), out.swapaxes(-1, -2)
        m, n, k = *a.shape[-2:], b.shape[-1]
        transposed = b.strides[-2] < b.strides[-1] and a.strides[-2] > a.strides[-1]
        if tile := tile_of(m, n, k, transposed):
            rows, columns = tile
            a = a.reshape(*a.shape[:-2], m // rows, 1, rows, n)
            b = b.reshape(*b.shape[:-2], 1, n, k // columns, columns).swapaxes(-3, -2)
            out = out.reshape(*out.shape[:-2], m // rows, rows, k // columns, columns).swapaxes(-3, -2)
    return partial(np.matmul, a, b, out=out)


@lru_cache(maxsize=1024)
def tile_of(m: int, n: int, k: int, transposed: bool) -> tuple[int, int] | None:
    """Rows and columns of the tiles for an (m, k) result with sums over n; None for a single product.

    Arguments:
        transposed: whether the second operand's columns lie contiguous in memory, and the first one's rows.
    """
    sums, most = (SUMS_TRANSPOSED, SMALL_TRANSPOSED) if transposed else (SUMS, SMALL)
    most = min(most, SMALL // max(n, 1))
    if m * k <= most or n not in sums or (n > 128 and m * n * k > LARGE):
        return None
    tiles = [(r, c) for r in _divisors(m) for c in _divisors(k) if r * c <= most]
    return min(tiles, key=_time_of, default=None)


def _time_of(tile: tuple[int, int]) -> float:
    """The relative cost per multiply-add of a tile: columns are processed 16 at a time, and narrow tiles read more."""
    rows, columns = tile
    return 16 * math.ceil(columns / 16) / columns * (1 + 1 / rows + 1 / columns)


def _divisors(n: int) -> list[int]:
    return [d for d in range(min(n, MIN_SIDE), n + 1) if n % d == 0]


def has_transposed_tiles(n: int) -> bool:
    """Whether x Wᵀ, with sums over n numbers and the default layout of W, may be computed in tiles."""
    return n in SUMS_TRANSPOSED and multiplies_without_packing()


@cache
def multiplies_without_packing() -> bool:
    """Whether NumPy's BLAS library multiplies small matrices without packing: OpenBLAS does if it uses its AVX-512
    kernels, which also depends on $OPENBLAS_CORETYPE."""
    from threadpoolctl import threadpool_info

    libraries = [library for library in threadpool_info() if library["internal_api"] == "openblas"]
    in_numpy = [library for library in libraries if "numpy" in library["filepath"]]  # SciPy includes another OpenBLAS
    return any(library.get("architecture") in AVX_512 for library in in_numpy or libraries)
