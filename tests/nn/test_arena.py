"""Work arrays and plans: kept for the arrays they were made for, and for no others."""

from __future__ import annotations

import copy

import numpy as np

from handgrad import nn
from handgrad.nn.arena import FRESH


def counted():
    calls = []

    def prepare(*on):
        calls.append(on)
        return object()

    return prepare, calls


def test_a_plan_is_made_once_for_the_same_arrays():
    work, (prepare, calls) = nn.Arena().workspace(), counted()
    x, y = np.ones(3), np.ones(3)
    plan = work.plan(prepare, x, True)
    assert work.plan(prepare, x, True) is plan
    assert work.plan(prepare, y, True) is not plan  # equal, but another array
    assert work.plan(prepare, y, False) is not plan
    assert len(calls) == 3


def test_on_its_own_a_layer_plans_anew():
    prepare, calls = counted()
    x = np.ones(3)
    assert FRESH.plan(prepare, x) is not FRESH.plan(prepare, x)
    assert len(calls) == 2


def test_a_copied_layer_has_memory_of_its_own():
    layer = nn.Linear(4, 3, rng=0)
    layer.work = nn.Arena().workspace()
    x = np.ones((5, 4), np.float32)
    y = layer.forward(x)
    before = y.copy()
    twin, x_twin = copy.deepcopy((layer, x))
    twin.weight.value *= 2
    twin.bias.value += 1
    np.testing.assert_allclose(twin.forward(x_twin), 2 * before + 1, rtol=1e-6)
    np.testing.assert_array_equal(y, before)


def test_a_planned_layer_follows_its_arrays():
    """New numbers in the same arrays, another array of the same shape, another batch, new parameters, another mode."""
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Linear(6, 5, rng=1), nn.ReLU(), nn.Linear(5, 4, rng=2))
    alone = copy.deepcopy(network)
    arena = nn.Arena()
    for layer in network.modules():
        layer.work = arena.workspace()

    def check(x, dy, tolerance=1e-6):
        np.testing.assert_allclose(network.forward(x), alone.forward(x), rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(network.backward(dy), alone.backward(dy), rtol=tolerance, atol=tolerance)
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
    network.input_gradient = False
    network.forward(x)
    assert network.backward(dy) is None
    assert network[0].backward(np.ones((7, 5))) is not None
    network[0].input_gradient = False
    assert network[0].backward(np.ones((7, 5))) is None
