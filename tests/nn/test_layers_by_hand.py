"""Fourth oracle: one small example of each layer, worked with pencil and paper."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from handgrad import nn


def check(layer, x, y, dy, dx, **gradients):
    assert_allclose(layer.forward(np.array(x)), y, rtol=1e-14, atol=1e-15)
    assert_allclose(layer.backward(np.array(dy)), dx, rtol=1e-14, atol=1e-15)
    for name, gradient in gradients.items():
        assert_allclose(getattr(layer, name.removeprefix("d")).grad, gradient, rtol=1e-14, atol=1e-15)


def test_linear():
    layer = nn.Linear(3, 2, dtype=np.float64)
    layer.load_state_dict({"weight": np.array([[1.0, 2, 3], [-1, 0, 4]]), "bias": np.array([10.0, -10])})
    # first row: 1·2 + 2·0 + 3·1 + 10 = 15 and -1·2 + 4·1 - 10 = -8
    check(
        layer,
        x=[[2.0, 0, 1], [1, -1, 0]],
        y=[[15, -8], [9, -11]],
        dy=[[1.0, 2], [-1, 3]],
        dx=[[1 - 2, 2, 3 + 8], [-1 - 3, -2, -3 + 12]],
        dweight=[[2 - 1, 0 + 1, 1], [4 + 3, 0 - 3, 2]],
        dbias=[0, 5],
    )


def test_identity():
    check(nn.Identity(), x=[[1.0, -2]], y=[[1, -2]], dy=[[3.0, 4]], dx=[[3, 4]])


def test_relu():
    check(nn.ReLU(), x=[[-2.0, 0, 3]], y=[[0, 0, 3]], dy=[[5.0, 6, 7]], dx=[[0, 0, 7]])


def test_leaky_relu():
    check(nn.LeakyReLU(0.1), x=[[-2.0, 0, 3]], y=[[-0.2, 0, 3]], dy=[[5.0, 6, 7]], dx=[[0.5, 0.6, 7]])


def test_elu():
    # e^(-ln 2) = 1/2, so y = 3 (1/2 - 1) and the slope is 3/2; at 0 the slope is α
    check(nn.ELU(3.0), x=[[-np.log(2), 0, 4]], y=[[-1.5, 0, 4]], dy=[[2.0, 2, 2]], dx=[[3, 6, 2]])


def test_sigmoid():
    # 1 / (1 + e^(-ln 3)) = 3/4, with slope 3/4 · 1/4
    check(nn.Sigmoid(), x=[[0, np.log(3)]], y=[[0.5, 0.75]], dy=[[4.0, 16]], dx=[[1, 3]])


def test_tanh():
    # tanh(ln 2) = (2 - 1/2) / (2 + 1/2) = 3/5, with slope 1 - 9/25 = 16/25
    check(nn.Tanh(), x=[[0, np.log(2)]], y=[[0, 0.6]], dy=[[1.0, 25]], dx=[[1, 16]])


def test_silu():
    # the gate at ln 3 is 3/4: y = 3/4 ln 3, slope 3/4 + 3/16 ln 3
    l3 = np.log(3)
    check(nn.SiLU(), x=[[0, l3]], y=[[0, 0.75 * l3]], dy=[[4.0, 16]], dx=[[2, 12 + 3 * l3]])


def test_gelu():
    # tanh form at x = 1: u = 0.797885 · 1.044715 = 0.833562, tanh u = 0.682384, so y = 0.841192; at 0 the gate is 1/2.
    # The slope: 0.841192 + 1/2 (1 - 0.682384²) 0.797885 · 1.134145 = 1.082964
    for layer, y, slope in ((nn.GELU("tanh"), 0.841192, 1.082964), (nn.GELU(), 0.841345, 1.083316)):
        assert_allclose(layer.forward(np.array([[0, 1.0]])), [[0, y]], atol=5e-7)
        assert_allclose(layer.backward(np.array([[4.0, 2]])), [[2, 2 * slope]], atol=1e-6)


def test_softplus():
    # log(1 + e^(2 · ln(3)/2)) / 2 = ln 2, with slope 3/4; beyond the threshold it is the line
    x = np.log(3) / 2
    check(nn.Softplus(2.0, 5.0), x=[[x, 4]], y=[[np.log(2), 4]], dy=[[4.0, 3]], dx=[[3, 3]])


def test_log_softmax():
    # shares of 8 again; Σ dy = 16, so dx = dy - 16 (1/8, 2/8, 5/8)
    check(
        nn.LogSoftmax(),
        x=[np.log([1.0, 2, 5])],
        y=[np.log([1 / 8, 2 / 8, 5 / 8])],
        dy=[[8.0, 0, 8]],
        dx=[[6, -4, -2]],
    )


def test_softmax():
    # scores ln 1, ln 2, ln 5: shares of 8; Σ dy·y = (8 + 0 + 8·5)/8 = 6, so dx = y (dy - 6)
    check(
        nn.Softmax(),
        x=[np.log([1.0, 2, 5])],
        y=[[1 / 8, 2 / 8, 5 / 8]],
        dy=[[8.0, 0, 8]],
        dx=[[2 / 8, -12 / 8, 10 / 8]],
    )


def test_dropout(unchecked):
    layer = nn.Dropout(0.5, rng=0)
    layer.rng = FixedDraws([0.1, 0.5, 0.9, 0.0])  # below p is dropped; p itself is kept
    check(layer, x=[[1.0, 2, 3]], y=[[0, 4, 6]], dy=[[1.0, 1, 2]], dx=[[0, 2, 4]])
    check(layer.eval(), x=[[1.0, 2, 3]], y=[[1, 2, 3]], dy=[[1.0, 1, 2]], dx=[[1, 1, 2]])


class FixedDraws:
    def __init__(self, draws):
        self.draws = draws

    def integers(self, low, high, size, dtype, endpoint):
        """The draws as shares of 2¹⁶, four to a number of 64 bits."""
        assert (low, high, dtype, endpoint) == (0, 2**64 - 1, np.uint64, True)
        return np.array([int(draw * 2**16) for draw in self.draws], np.uint16).view(np.uint64)[:size]


def test_batch_norm():
    layer = nn.BatchNorm1d(1, eps=3.0, momentum=0.5, dtype=np.float64)
    layer.load_state_dict(
        {
            "weight": np.array([8.0]),
            "bias": np.array([1.0]),
            "running_mean": np.array([6.0]),
            "running_var": np.array([4.0]),
            "num_batches_tracked": np.array(2),
        }
    )
    # mean 2, variance 1, √(1 + 3) = 2, so x̂ = ∓1/2; the unbiased variance is 2.
    # dy = (1, 3): mean 2, mean of dy·x̂ = 1/2, so dx = 8/2 · (1 - 2 + 1/4, 3 - 2 - 1/4) = (-3, 3)
    check(layer, x=[[1.0], [3]], y=[[-3], [5]], dy=[[1.0], [3]], dx=[[-3], [3]], dweight=[1], dbias=[4])
    assert_allclose(layer.running_mean, [4])
    assert_allclose(layer.running_var, [3])
    assert layer.num_batches_tracked == 3


def test_layer_norm():
    layer = nn.LayerNorm(2, eps=3.0, dtype=np.float64)
    layer.load_state_dict({"weight": np.array([8.0, 4]), "bias": np.array([1.0, 2])})
    # x̂ = ∓1/2 as above; dx̂ = (8, 12): mean 10, mean of dx̂·x̂ = 1, so dx = (8 - 10 + 1/2, 12 - 10 - 1/2) / 2
    check(
        layer,
        x=[[1.0, 3]],
        y=[[-3, 4]],
        dy=[[1.0, 3]],
        dx=[[-0.75, 0.75]],
        dweight=[-0.5, 1.5],
        dbias=[1, 3],
    )


def test_group_norm():
    layer = nn.GroupNorm(2, 4, eps=3.0, dtype=np.float64)
    layer.load_state_dict({"weight": np.array([8.0, 4, 2, 2]), "bias": np.array([1.0, 2, 0, 5])})
    # The first group is the layer norm above. In the second, x = (6, 8) also has x̂ = ∓1/2; dx̂ = (2, 2): mean 2, mean of
    # dx̂·x̂ = 0, so dx = 0: a gradient that is alike for all cannot move what has no mean.
    check(
        layer,
        x=[[1.0, 3, 6, 8]],
        y=[[-3, 4, -1, 6]],
        dy=[[1.0, 3, 1, 1]],
        dx=[[-0.75, 0.75, 0, 0]],
        dweight=[-0.5, 1.5, -0.5, 0.5],
        dbias=[1, 3, 1, 1],
    )


def test_rms_norm():
    layer = nn.RMSNorm(2, eps=3.0, dtype=np.float64)
    layer.load_state_dict({"weight": np.array([2.0, 4])})
    # mean x² = (1 + 25)/2 = 13, √(13 + 3) = 4: x̂ = (1/4, 5/4). dx̂ = (8, 8): mean of dx̂·x̂ = 6, so
    # dx = (8 - 6/4, 8 - 30/4) / 4
    check(layer, x=[[1.0, 5]], y=[[0.5, 5]], dy=[[4.0, 2]], dx=[[1.625, 0.125]], dweight=[1, 2.5])


def test_flatten():
    check(nn.Flatten(), x=[[[1.0, 2], [3, 4]]], y=[[1, 2, 3, 4]], dy=[[5.0, 6, 7, 8]], dx=[[[5, 6], [7, 8]]])


def test_sequential():
    network = nn.Sequential(nn.Linear(2, 1, dtype=np.float64), nn.ReLU())
    network.load_state_dict({"0.weight": np.array([[2.0, -1]]), "0.bias": np.array([1.0])})
    # 2·3 - 1·1 + 1 = 6 passes the ReLU; 2·0 - 1·4 + 1 = -3 does not
    check(network, x=[[3.0, 1], [0, 4]], y=[[6], [0]], dy=[[10.0], [20]], dx=[[20, -10], [0, 0]])
    assert_allclose(network[0].weight.grad, [[30, 10]])
    assert_allclose(network[0].bias.grad, [10])


def test_residual():
    # f(x) = 2 x₂ in both places, so y = (x₁ + 2 x₂, 3 x₂) and dx = (dy₁, dy₂ + 2 (dy₁ + dy₂))
    block = nn.Residual(nn.Linear(2, 2, dtype=np.float64))
    block.load_state_dict({"0.weight": np.array([[0.0, 2], [0, 2]]), "0.bias": np.zeros(2)})
    check(block, x=[[1.0, 5]], y=[[11, 15]], dy=[[1.0, 10]], dx=[[1, 32]])
    assert_allclose(block[0].weight.grad, [[1, 5], [10, 50]])
