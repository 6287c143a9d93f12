"""Memory is aligned to cache lines, and large arrays have huge pages."""

from __future__ import annotations

import gc
import mmap
import weakref

import numpy as np
import pytest

from handgrad import nn
from handgrad.kernels import FlatParameters, Kernels, memory


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7, 5), (3, 2, 11), (1100, 1000), (2**20 + 1,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.complex128])
def test_arrays_begin_at_a_cache_line(shape, dtype):
    arrays = [memory.empty(shape, dtype) for _ in range(5)] + [memory.zeros(shape, dtype)]
    for array in arrays:
        assert (array.shape, array.dtype, array.flags.c_contiguous) == (shape, dtype, True)
        assert array.flags.writeable
        assert array.size == 0 or address(array) % memory.LINE == 0
    assert not arrays[-1].any()
    for i, array in enumerate(arrays):
        array[...] = i
    for i, array in enumerate(arrays):  # none lies in another's memory
        np.testing.assert_array_equal(array, np.full(shape, i, dtype))


def test_zeros_like_keeps_the_order_of_the_axes():
    turned = np.ones((3, 5, 2, 4)).transpose(0, 3, 1, 2)
    for array in (turned, np.asfortranarray(np.ones((6, 7))), np.array(3.0)):
        zeros = memory.zeros_like(array)
        assert (zeros.shape, zeros.dtype, zeros.strides) == (array.shape, array.dtype, np.zeros_like(array).strides)
        assert address(zeros) % memory.LINE == 0
        assert not zeros.any()
        zeros += 1
        np.testing.assert_array_equal(zeros, np.ones_like(array))


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="needs Linux, which hands out large pages on request")
def test_large_arrays_begin_at_a_large_page_and_ask_for_such(monkeypatch):
    asked = []

    class Watched(mmap.mmap):
        def madvise(self, advice, *where):
            asked.append((advice, len(self)))
            raise OSError("a kernel without large pages")  # and that is no error

    monkeypatch.setattr(mmap, "mmap", Watched)
    small = memory.zeros((memory.LARGE - 1,), np.uint8)
    assert asked == []
    large = memory.zeros((memory.LARGE + 3,), np.uint8)
    assert asked == [(mmap.MADV_HUGEPAGE, 4 * memory.PAGE)]
    assert address(large) % memory.PAGE == 0
    large += 1
    assert not small.any()
    assert large.all()


def test_memory_is_let_go_of_with_the_last_view(monkeypatch):
    made = []
    frombuffer = np.frombuffer
    monkeypatch.setattr(np, "frombuffer", lambda *a: made.append(weakref.ref(a[0])) or frombuffer(*a))
    view = memory.empty((memory.LARGE,), np.uint8)[5:6]
    if not made:
        pytest.skip("this system's large arrays are NumPy's own")
    assert made[0]() is not None
    del view
    gc.collect()
    assert made[0]() is None


def test_elsewhere_large_arrays_are_numpys_own(monkeypatch):
    monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    monkeypatch.setattr(mmap, "mmap", None)
    array = memory.zeros((memory.LARGE,), np.float32)
    assert address(array) % memory.LINE == 0
    assert not array.any()


def test_what_an_engine_works_with_every_step_is_aligned():
    network = nn.Sequential(nn.Linear(9, 33, rng=0), nn.ReLU(), nn.Linear(33, 7, rng=1))
    flat, kernels = FlatParameters(network), Kernels()
    work = kernels.workspace()
    adam = kernels.lend(nn.Adam([flat.whole()]))
    state = [array for arrays in adam.state.values() for array in arrays]
    lent = [work.empty(name, (5, 3), np.dtype(np.float32)) for name in "abc"]
    y = kernels.lend(network).forward(np.ones((5, 9), np.float32))
    assert len(state) == 2
    for array in (flat.values, flat.grads, *state, *lent, y):
        assert address(array) % memory.LINE == 0
