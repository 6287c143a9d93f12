"""Matrix products, prepared: cut into tiles that the BLAS library multiplies straight from memory.

Before it multiplies, a BLAS library copies its operands into an order of its own. That pays for large products, and
costs a tenth to a half of the time of those a small network is made of. Where the processor has AVX-512, the OpenBLAS
that comes with NumPy does without for products of up to a million multiply-adds. NumPy multiplies stacks of matrices in
one call, so a larger product becomes a stack of such tiles, at the price of a few views.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, lru_cache, partial

import numpy as np

from handgrad._typing import Array, Inexact, Num

#: Multiply-adds up to which OpenBLAS does not copy (kernel/x86_64/sgemm_small_kernel_permit_skylakex.c), and numbers
#: in the result where the second operand lies transposed.
SMALL, SMALL_TRANSPOSED = 1_000_000, 1_200
#: Sums for which tiles are quicker, from and to so many numbers: in short transposed ones the kernels are slow, with
#: long ones tiles become narrow. Above `LARGE` multiply-adds copying pays, unless the sums have at most 128 numbers.
SUMS, SUMS_TRANSPOSED = range(1, 257), range(128, 1024)
LARGE = 2**27
#: OpenBLAS's names of the processors whose kernels have small products: all share those of SkylakeX.
AVX_512 = {"SkylakeX", "Cooperlake", "SapphireRapids"}
#: The shortest side of a tile.
NARROWEST = 16


def product(
    a: Num[Array, "*a m n"], b: Num[Array, "*b n k"], *, out: Inexact[Array, "*stack m k"]
) -> Callable[[], object]:
    """A function without arguments that writes the product a b of what then lies in these arrays into `out`."""
    if out.dtype == a.dtype == b.dtype == np.float32 and multiplies_from_memory():
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
    """Rows and columns of the tiles in which to compute an (m, k) result of sums over n; None for the whole at once.

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
    """Of a tile's multiply-adds, up to a factor: columns are taken 16 at a time, and narrow tiles read more."""
    rows, columns = tile
    return 16 * math.ceil(columns / 16) / columns * (1 + 1 / rows + 1 / columns)


def _divisors(n: int) -> list[int]:
    return [d for d in range(min(n, NARROWEST), n + 1) if n % d == 0]


def has_transposed_tiles(n: int) -> bool:
    """Whether x Wᵀ, sums of n numbers with W as it is made, may be computed in tiles."""
    return n in SUMS_TRANSPOSED and multiplies_from_memory()


@cache
def multiplies_from_memory() -> bool:
    """Whether NumPy's BLAS library multiplies small matrices without copying them first: OpenBLAS, where it runs its
    kernels for AVX-512. Those are not always the processor's best: $OPENBLAS_CORETYPE chooses others."""
    from threadpoolctl import threadpool_info

    libraries = [library for library in threadpool_info() if library["internal_api"] == "openblas"]
    numpys = [library for library in libraries if "numpy" in library["filepath"]]  # SciPy brings one of its own
    return any(library.get("architecture") in AVX_512 for library in numpys or libraries)
