"""The gradient with respect to the data, which training does not need, is omitted on request."""

from __future__ import annotations

import numpy as np
import pytest

from handgrad import nn
from handgrad.kernels import Kernels
from handgrad.kernels.arena import FreshWorkspace


def test_no_gradient_for_the_data():
    def network():
        layers = nn.Flatten(), nn.Linear(4, 5, rng=0, dtype=np.float64), nn.Tanh(), nn.Linear(5, 2, rng=1)
        return nn.Sequential(*layers).astype(np.float64)

    x, dy = np.random.default_rng(0).standard_normal((3, 2, 2)), np.ones((3, 2))
    asked_network, unasked_network = network(), network()
    asked, unasked = Kernels().lend(asked_network), Kernels().lend(unasked_network)
    asked.forward(x)
    assert asked.backward(dy).shape == x.shape
    unasked.input_gradient = False
    unasked.forward(x)
    assert unasked.backward(dy) is None
    for ours, theirs in zip(unasked_network.parameters(), asked_network.parameters(), strict=True):
        np.testing.assert_array_equal(ours.grad, theirs.grad)
    assert [part.input_gradient for part in unasked.parts[1:]] == [False, True, True]  # the first did not run
    unasked.input_gradient = True
    np.testing.assert_array_equal(unasked.backward(dy), asked.backward(dy))
    nested = Kernels().lend(nn.Sequential(unasked_network, nn.ReLU()))
    nested.input_gradient = False
    nested.forward(x)
    assert nested.backward(dy) is None


def test_no_gradient_for_the_data_through_a_residual():
    def network():
        block = nn.Residual(nn.ReLU(), nn.Linear(4, 4, rng=0), nn.BatchNorm1d(4))
        return nn.Sequential(block, nn.Linear(4, 2, rng=1)).astype(np.float64)

    x, dy = np.random.default_rng(0).standard_normal((3, 4)), np.random.default_rng(1).standard_normal((3, 2))
    asked_network, unasked_network = network(), network()
    asked, unasked = Kernels().lend(asked_network), Kernels().lend(unasked_network)
    unasked.input_gradient = False
    np.testing.assert_array_equal(unasked.forward(x), asked.forward(x))
    assert asked.backward(dy).shape == x.shape
    assert unasked.backward(dy) is None
    for ours, theirs in zip(unasked_network.parameters(), asked_network.parameters(), strict=True):
        np.testing.assert_array_equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("inner", [nn.Linear(4, 4), nn.Tanh()], ids=repr)
def test_a_residual_that_the_data_enters(inner):
    block = Kernels().lend(nn.Residual(inner))
    block.input_gradient = False
    assert block.backward(block.forward(np.ones((3, 4), np.float32))) is None


def test_a_network_without_parameters_asks_for_nothing():
    network = Kernels().lend(nn.Sequential(nn.ReLU(), nn.Tanh()))
    network.input_gradient = False
    y = network.forward(np.ones((2, 3)))
    assert network.backward(y) is None


def test_layers_before_the_first_parameters_do_not_run_backward():
    class Watched(nn.Layer):
        def forward(self, x):
            return x

        def backward(self, dy):
            raise AssertionError("backward was asked for what nobody needs")

    network = nn.Sequential(nn.Flatten(), Watched(), nn.Linear(4, 3, rng=0), nn.ReLU(), nn.Linear(3, 2, rng=1))
    kernel = Kernels().lend(network)
    kernel.input_gradient = False
    y = kernel.forward(np.ones((5, 2, 2), np.float32))
    assert kernel.backward(np.ones_like(y)) is None
    kernel.input_gradient = True
    with pytest.raises(AssertionError, match="what nobody needs"):
        kernel.backward(np.ones_like(y))


def test_linear_without_input_gradient_computes_none():
    asked = []

    class Watched(FreshWorkspace):
        def empty(self, name, shape, dtype):
            asked.append(name)
            return np.empty(shape, dtype)

    layer = nn.Linear(4, 3, rng=0, dtype=np.float64)
    kernel = Kernels(reuse=False).lend(layer)
    kernel.work = Watched()
    kernel.input_gradient = False
    y = kernel.forward(np.ones((5, 4)))
    assert kernel.backward(y) is None
    assert asked == ["y"]
    assert layer.weight.grad.any()
