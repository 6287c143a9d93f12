"""Tiled products equal the whole product for any memory layout."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import threadpoolctl

from handgrad.kernels import products
from handgrad.kernels.products import product, tile_of


@pytest.fixture
def tiles(monkeypatch):
    """Simulates a BLAS library that multiplies small matrices without packing."""
    monkeypatch.setattr(products, "multiplies_without_packing", lambda: True)


def laid(order, shape, seed):
    return np.asarray(np.random.default_rng(seed).standard_normal(shape), np.float32, order=order)


SHAPES = [(128, 128, 128), (64, 784, 100), (100, 256, 96), (30, 1000, 128), (1024, 128, 96), (2, 300, 4000)]


@pytest.mark.parametrize("orders", ["CCC", "CFC", "FCC", "FCF", "CCF", "FFC", "CFF", "FFF"])
@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
def test_tiles_give_the_product(tiles, m, n, k, orders):
    shapes = (m, n), (n, k), (m, k)
    a, b, out = (laid(order, shape, i) for i, (order, shape) in enumerate(zip(orders, shapes, strict=True)))
    run = product(a, b, out=out)
    for factor in (1, -2):  # what then lies in the arrays counts, not what lay there
        a *= factor
        out.fill(np.nan)
        run()
        np.testing.assert_allclose(out, a.astype(np.float64) @ b, rtol=1e-4, atol=2e-4 * math.sqrt(n))


@pytest.mark.parametrize(
    ("m", "n", "k", "transposed", "tiled"),
    [
        (128, 128, 128, False, True),  # above a million multiply-adds
        (100, 100, 100, False, False),  # just a million: BLAS does not copy
        (64, 128, 36, True, True),
        (64, 128, 18, True, False),  # 1,152 numbers
        (30, 128, 40, True, False),
        (128, 300, 128, False, False),  # sums too long
        (128, 784, 128, True, True),
        (128, 1024, 128, True, False),
        (128, 64, 128, True, False),  # sums too short
        (1024, 128, 3072, False, True),
        (1024, 200, 3072, False, False),  # large enough for copies
        (1009, 128, 1013, False, False),  # primes have no tiles
        (0, 128, 128, False, False),
        (128, 0, 128, False, False),
    ],
)
def test_when_tiles_are_taken(m, n, k, transposed, tiled):
    tile = tile_of(m, n, k, transposed)
    assert (tile is not None) == tiled
    if tile:
        rows, columns = tile
        assert m % rows == k % columns == 0
        assert rows * n * columns <= products.SMALL
        assert rows * columns <= products.SMALL_TRANSPOSED or not transposed


def test_a_tile_is_as_square_as_it_can_be():
    assert tile_of(1024, 128, 1536, False) == (64, 96)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_tile_lies_along_the_memory_of_the_result(tiles, order):
    out = np.empty((1024, 1536), np.float32, order=order)
    tiled = product(laid("C", (128, 1024), 0).T, laid("C", (128, 1536), 1), out=out).keywords["out"]
    assert np.shares_memory(tiled, out)
    assert tiled.ndim == 4
    assert tiled.strides[-1] == 4


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("stack_a", "stack_b"), [((3,), (3,)), ((), (3,)), ((2, 1), (2, 3)), ((0,), (0,))])
def test_stacks_of_matrices(tiles, stack_a, stack_b, order):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((*stack_a, 128, 96), np.float32), rng.standard_normal((*stack_b, 96, 128), np.float32)
    out = np.full((*np.broadcast_shapes(stack_a, stack_b), 128, 128), np.nan, np.float32)
    out = out if order == "C" else out.swapaxes(-1, -2)
    run = product(a, b, out=out)
    assert run.keywords["out"].ndim == out.ndim + 2
    run()
    np.testing.assert_allclose(out, a.astype(np.float64) @ b, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_other_numbers_are_multiplied_at_once(tiles, dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((128, 128)).astype(dtype) for _ in range(2))
    out = np.empty_like(a)
    run = product(a, b, out=out)
    first, second = run.args
    assert first is a
    assert second is b
    run()
    np.testing.assert_array_equal(out, a @ b)


def test_without_such_a_library_there_are_no_tiles(monkeypatch):
    monkeypatch.setattr(products, "multiplies_without_packing", lambda: False)
    a, b, out = (np.ones((128, 128), np.float32) for _ in range(3))
    first, second = product(a, b, out=out).args
    assert first is a
    assert second is b
    assert not products.has_transposed_tiles(784)


def library(architecture: str, path: str = "site-packages/numpy.libs/libscipy_openblas64.so", api: str = "openblas"):
    return {"internal_api": api, "architecture": architecture, "filepath": path}


SCIPYS = "site-packages/scipy.libs/libscipy_openblas.so"


@pytest.mark.parametrize(
    ("loaded", "expected"),
    [
        ([], False),
        ([library("SkylakeX")], True),
        ([library("Cooperlake")], True),
        ([library("Haswell")], False),
        ([library("Zen", api="blis")], False),
        ([{"internal_api": "mkl", "filepath": "libmkl_rt.so"}], False),
        ([library("SkylakeX", SCIPYS), library("Haswell")], False),
        ([library("Haswell", SCIPYS), library("SkylakeX")], True),
        ([library("SkylakeX", "/usr/lib/libopenblas.so.0")], True),
    ],
)
def test_it_takes_openblas_and_kernels_for_avx_512(monkeypatch, loaded, expected):
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: loaded)
    assert products.multiplies_without_packing.__wrapped__() is expected


@pytest.mark.parametrize("coretype", ["Haswell", "Sandybridge"])
def test_kernels_that_somebody_chose_are_asked_not_the_processor(coretype):
    """Tiles are slower if OpenBLAS uses other kernels than the processor supports."""
    code = "from handgrad.kernels.products import multiplies_without_packing; print(multiplies_without_packing())"
    environment = {**os.environ, "OPENBLAS_CORETYPE": coretype}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
