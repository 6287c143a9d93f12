"""Work arrays and plans are reused only for the arrays that they were created for."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from tests.examples import LAYERS

from handgrad import nn
from handgrad.kernels import Arena, Kernels
from handgrad.kernels.arena import FRESH
from handgrad.kernels.kernel import Kernel

examples = pytest.mark.parametrize("example", LAYERS, ids=lambda example: example.name.replace(" ", "-"))


def counted():
    calls = []

    def prepare(*on):
        calls.append(on)
        return object()

    return prepare, calls


def test_a_plan_is_made_once_for_the_same_arrays():
    work, (prepare, calls) = Arena().workspace(), counted()
    x, y = np.ones(3), np.ones(3)
    plan = work.plan(prepare, x, True)
    assert work.plan(prepare, x, True) is plan
    assert work.plan(prepare, y, True) is not plan  # equal, but another array
    assert work.plan(prepare, y, False) is not plan
    assert len(calls) == 3


def test_without_reuse_every_plan_is_new():
    prepare, calls = counted()
    x = np.ones(3)
    assert FRESH.plan(prepare, x) is not FRESH.plan(prepare, x)
    assert len(calls) == 2


def test_a_workspace_lends_one_piece_of_memory_a_name():
    arena = Arena()
    work, other = arena.workspace(), arena.workspace()
    f4, f8 = np.dtype(np.float32), np.dtype(np.float64)
    a = work.empty("y", (4, 3), f8)
    assert (a.shape, a.dtype, arena.nbytes) == ((4, 3), f8, 96)
    assert work.empty("y", (4, 3), f8) is a
    smaller = work.empty("y", (2, 3), f4)
    assert np.shares_memory(a, smaller)
    assert (smaller.shape, smaller.dtype, arena.nbytes) == ((2, 3), f4, 96)
    assert not np.shares_memory(a, work.empty("dx", (4, 3), f8))
    assert not np.shares_memory(a, other.empty("y", (4, 3), f8))
    assert arena.nbytes == 3 * 96
    larger = work.empty("y", (8, 3), f8)
    assert not np.shares_memory(a, larger)
    assert arena.nbytes == 4 * 96
    assert np.shares_memory(work.empty("y", (4, 3), f8), larger), "what was lent of the old memory is forgotten"
    assert work.empty("y", (0, 3), f8).shape == (0, 3)


def test_all_workspaces_of_an_arena_share_their_scratch_memory():
    arena, f8 = Arena(), np.dtype(np.float64)
    work, other = arena.workspace(), arena.workspace()
    assert np.shares_memory(work.scratch("a", (4,), f8), other.scratch("a", (4,), f8))
    assert not np.shares_memory(work.scratch("a", (4,), f8), other.scratch("b", (4,), f8))
    assert not np.shares_memory(work.scratch("a", (4,), f8), work.empty("a", (4,), f8))
    assert not np.shares_memory(work.scratch("a", (4,), f8), Arena().workspace().scratch("a", (4,), f8))


# -- kernels ----------------------------------------------------------------------------------------------------------


def test_a_planned_kernel_follows_its_arrays():
    """New values in the same arrays, another array of the same shape, another batch, new parameters, another mode."""
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Linear(6, 5, rng=1), nn.ReLU(), nn.Linear(5, 4, rng=2))
    alone = copy.deepcopy(network)
    kernel = Kernels().lend(network)

    def check(x, dy, tolerance=1e-6):
        np.testing.assert_allclose(kernel.forward(x), alone.forward(x), rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(kernel.backward(dy), alone.backward(dy), rtol=tolerance, atol=tolerance)
        for own, other in zip(network.parameters(), alone.parameters(), strict=True):
            np.testing.assert_allclose(own.grad, other.grad, rtol=tolerance, atol=tolerance)

    x, dy = rng.standard_normal((7, 6), np.float32), rng.standard_normal((7, 4), np.float32)
    check(x, dy)
    x += 1
    dy *= -1
    check(x, dy)
    check(x.copy(), dy.copy())
    check(x[:3], dy[:3])
    check(x, dy)
    for each in (network, alone):
        each[0].weight.value += 0.5
    check(x, dy)
    for each in (network, alone):
        each[0].weight.grad = np.zeros((5, 6), np.float32)
    check(x, dy)
    network.astype(np.float64)
    alone.astype(np.float64)
    x, dy = x.astype(np.float64), dy.astype(np.float64)
    check(x, dy, 1e-12)
    kernel.input_gradient = False
    kernel.forward(x)
    assert kernel.backward(dy) is None
    first = kernel.parts[0]
    first.input_gradient = True
    assert first.backward(np.ones((7, 5))) is not None
    first.input_gradient = False
    assert first.backward(np.ones((7, 5))) is None


def test_a_planned_kernel_follows_a_new_bias():
    """The plan of a linear layer depends on its weight; the bias and its gradient may be replaced."""
    layer, alone = nn.Linear(6, 5, rng=1, dtype=np.float64), nn.Linear(6, 5, rng=1, dtype=np.float64)
    kernel = Kernels().lend(layer)
    x, dy = np.random.default_rng(0).standard_normal((7, 6)), np.random.default_rng(1).standard_normal((7, 5))
    for step in range(2):
        for each in (layer, alone):
            each.bias = nn.Parameter(np.full(5, 1.0 + step))
        np.testing.assert_allclose(kernel.forward(x), alone.forward(x), rtol=1e-12)
        kernel.backward(dy)
        alone.backward(dy)
        np.testing.assert_allclose(layer.bias.grad, alone.bias.grad, rtol=1e-12)


@examples
def test_reused_work_arrays_change_nothing(example):
    """Results are bit-for-bit equal while batches grow, shrink and change their dtype."""
    layer, reusing = example.layer(), example.layer()
    fresh, kernels = Kernels(reuse=False).lend(layer), Kernels()
    kernel = kernels.lend(reusing)
    for step, n in enumerate((5, 2, 9, 5, 9, 2)):
        x = example.input(n, seed=step)
        y = fresh.forward(x)
        dy = np.random.default_rng(step).standard_normal(y.shape)
        np.testing.assert_array_equal(kernel.forward(x), y)
        np.testing.assert_array_equal(kernel.backward(dy), fresh.backward(dy))
        for ours, theirs in zip(reusing.parameters(), layer.parameters(), strict=True):
            np.testing.assert_array_equal(ours.grad, theirs.grad)
        for (_, ours), (_, theirs) in zip(reusing.named_buffers(), layer.named_buffers(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        if n == 9:
            held = kernels.arena.nbytes
    assert kernels.arena.nbytes == held
    x32 = example.input(9, np.float32)
    reusing.astype(np.float32)
    y = kernel.forward(x32)
    assert y.dtype == np.float32
    assert kernel.backward(np.ones_like(y)).dtype == np.float32
    assert kernels.arena.nbytes == held


@examples
def test_reused_work_arrays_are_the_same_memory(example):
    kernels = Kernels()
    kernel = kernels.lend(example.layer())
    y = kernel.forward(example.input())
    if type(kernel) is Kernel:  # the layer as it is, whose results are its own
        assert not np.shares_memory(y, kernel.forward(example.input(seed=1)))
        return
    assert kernels.arena.nbytes > 0
    assert np.shares_memory(y, kernel.forward(example.input(seed=1)))
    dx = kernel.backward(np.ones_like(y))
    assert np.shares_memory(dx, kernel.backward(np.ones_like(y)))
    assert not np.shares_memory(y, dx)


@examples
def test_without_reuse_results_stay_as_they_are(example):
    kernels = Kernels(reuse=False)
    kernel = kernels.lend(example.layer())
    y = kernel.forward(example.input())
    dx = kernel.backward(np.ones_like(y))
    before = y.copy(), dx.copy()
    kernel.backward(kernel.forward(example.input(seed=1)))
    np.testing.assert_array_equal(y, before[0])
    np.testing.assert_array_equal(dx, before[1])
    assert kernels.arena.nbytes == 0
