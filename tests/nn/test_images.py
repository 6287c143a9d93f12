"""Convolution, pooling and batch normalisation of images, over shapes drawn at random: against plain loops, PyTorch,
examples worked by hand; errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kernels.shapes import convolutions, windows

from handgrad import nn
from handgrad.kernels import FlatParameters
from handgrad.numerics import gradient_check


def relative(a, b) -> float:
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    return float(np.abs(a - b).max(initial=0) / max(np.abs(a).max(initial=0), np.abs(b).max(initial=0), 1e-8))


# -- convolution ------------------------------------------------------------------------------------------------------


def by_loops(x, weight, bias, dy, stride, padding, dilation, groups):
    """The definition: one multiplication at a time, over whole channels."""
    (n, c, h, w), (k, _, r, s) = x.shape, weight.shape
    padded = np.zeros((n, c, h + 2 * padding[0], w + 2 * padding[1]))
    padded[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w] = x
    y, dpadded, dweight = np.zeros_like(dy), np.zeros_like(padded), np.zeros_like(weight)
    cg, kg = c // groups, k // groups
    for g, i, j, a, b in itertools.product(range(groups), range(dy.shape[2]), range(dy.shape[3]), range(r), range(s)):
        own, out = slice(g * cg, (g + 1) * cg), slice(g * kg, (g + 1) * kg)
        at = (slice(None), own, i * stride[0] + a * dilation[0], j * stride[1] + b * dilation[1])
        y[:, out, i, j] += padded[at] @ weight[out, :, a, b].T
        dpadded[at] += dy[:, out, i, j] @ weight[out, :, a, b]
        dweight[out, :, a, b] += dy[:, out, i, j].T @ padded[at]
    if bias is not None:
        y += bias[:, None, None]
    return y, dpadded[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w], dweight


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_convolutions_of_any_shape(case):
    (n, height, width), sizes, options = case
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, sizes[0], height, width))
    twin = torch.nn.Conv2d(*sizes, **options).double()
    x_torch = torch.tensor(x, requires_grad=True)
    y = twin(x_torch)
    dy = rng.standard_normal(y.shape)
    y.backward(torch.tensor(dy))
    state = {name: tensor.numpy() for name, tensor in twin.state_dict().items()}
    geometric = (options[name] for name in ("stride", "padding", "dilation", "groups"))
    layer = nn.Conv2d(*sizes, **options, dtype=np.float64)
    layer.load_state_dict(state)
    results = layer.forward(x), layer.backward(dy), layer.weight.grad
    looped = by_loops(x, state["weight"], state.get("bias"), dy, *geometric)
    for ours, by_loop, theirs in zip(results, looped, (y.detach(), x_torch.grad, twin.weight.grad), strict=True):
        assert relative(ours, by_loop) < 1e-12
        assert relative(ours, theirs) < 1e-12
    if layer.bias is not None:
        assert relative(layer.bias.grad, twin.bias.grad) < 1e-12


@pytest.mark.parametrize("odd", [(1, 1), (1, 7), (5, 2)])
def test_numerical_derivatives_of_odd_sizes_and_a_batch_of_one(odd):
    layer = nn.Conv2d(2, 2, 3, padding=1, rng=0, dtype=np.float64)
    report = gradient_check(layer, np.random.default_rng(1).standard_normal((1, 2, *odd)))
    assert report, report
    assert max(part.error for part in report.parts) < 1e-9


def test_convolution_by_hand():
    layer = nn.Conv2d(1, 1, 2, dtype=np.float64)
    layer.load_state_dict({"weight": np.array([[[[1.0, 2], [3, 4]]]]), "bias": np.array([10.0])})
    x = np.array([[[[1.0, 0, 2], [0, 1, 0]]]])
    # 1·1 + 4·1 + 10 = 15 and 2·2 + 3·1 + 10 = 17
    np.testing.assert_array_equal(layer.forward(x), [[[[15, 17]]]])
    np.testing.assert_array_equal(layer.backward(np.array([[[[1.0, 10]]]])), [[[[1, 12, 20], [3, 34, 40]]]])
    np.testing.assert_array_equal(layer.weight.grad, [[[[1, 20], [10, 1]]]])
    np.testing.assert_array_equal(layer.bias.grad, [11])


# -- pooling ----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(windows(), st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))
def test_pooling_of_any_shape(case, kind):
    shape, *sizes = case
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 2, shape).astype(float)  # full of ties
    layer, twin = kind(*sizes), getattr(torch.nn, kind.__name__)(*sizes)
    x_torch = torch.tensor(x, requires_grad=True)
    y = twin(x_torch)
    dy = rng.standard_normal(y.shape)
    y.backward(torch.tensor(dy))
    assert relative(layer.forward(x), y.detach()) < 1e-14
    assert relative(layer.backward(dy), x_torch.grad) < 1e-14


def test_max_pooling_by_hand():
    x = np.array([[[[1.0, 3, 3], [3, 0, 2], [5, 5, 4]]]])
    layer = nn.MaxPool2d(2, 1)
    np.testing.assert_array_equal(layer.forward(x), [[[[3, 3], [5, 5]]]])
    # ties: the first of a window, row by row: (0, 1), (0, 1), (2, 0), (2, 1)
    dx = layer.backward(np.array([[[[1.0, 10], [100, 1000]]]]))
    np.testing.assert_array_equal(dx, [[[[0, 11, 0], [0, 0, 0], [100, 1000, 0]]]])


# -- batch normalisation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 3, 4, 3), (8, 4, 4, 4), (2, 1, 1, 1), (1, 2, 1, 9), (3, 600, 2, 1)])
def test_batch_norm(shape):
    rng = np.random.default_rng(0)
    layer, twin = nn.BatchNorm2d(shape[1], dtype=np.float64), torch.nn.BatchNorm2d(shape[1]).double()
    layer.weight.value[...] = rng.uniform(0.5, 2, shape[1])
    twin.weight.data[...] = torch.tensor(layer.weight.value)
    for _ in range(2):
        x = 3 + 2 * rng.standard_normal(shape)
        x_torch = torch.tensor(x, requires_grad=True)
        y = twin(x_torch)
        dy = rng.standard_normal(shape)
        twin.zero_grad()
        y.backward(torch.tensor(dy))
        assert relative(layer.forward(x), y.detach()) < 1e-12
        np.testing.assert_allclose(layer.backward(dy), x_torch.grad, rtol=1e-8, atol=1e-12)
        assert relative(layer.weight.grad, twin.weight.grad) < 1e-12
        assert relative(layer.bias.grad, twin.bias.grad) < 1e-12
        assert relative(layer.running_mean, twin.running_mean) < 1e-12
        assert relative(layer.running_var, twin.running_var) < 1e-12
    assert layer.num_batches_tracked == 2


def test_a_mean_that_is_large_beside_the_spread_does_not_cancel():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((8, 2, 16, 16)) + 1e3).astype(np.float32)
    layer = nn.BatchNorm2d(2)
    assert relative(layer.forward(x), nn.BatchNorm2d(2, dtype=np.float64).forward(x.astype(np.float64))) < 5e-4
    constant = layer.forward(np.full((4, 2, 3, 3), 1e4, np.float32))
    assert np.abs(constant).max() < 1e-3


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(0, 1, 3), "Conv2d got in_channels=0, expected at least 1"),
        (lambda: nn.Conv2d(4, 6, 3, groups=4), "in_channels=4 and out_channels=6, expected both to be divisible by gr"),
        (lambda: nn.Conv2d(1, 1, 0), "Conv2d got kernel_size=0, expected a whole number of at least 1"),
        (lambda: nn.Conv2d(1, 1, 3, stride=(1, 0)), r"Conv2d got stride=\(1, 0\), expected a whole number"),
        (lambda: nn.MaxPool2d(3, padding=2), "MaxPool2d got padding=2, expected at most half of kernel_size=3"),
        (lambda: nn.BatchNorm2d(0), "BatchNorm2d got num_features=0, expected at least 1"),
        (lambda: nn.BatchNorm2d(3, eps=0.0), "BatchNorm2d got eps=0.0, expected more than 0"),
        (lambda: nn.BatchNorm2d(3, momentum=2.0), r"momentum=2.0, expected a share in \[0, 1\]"),
        (lambda: nn.BatchNorm2d(3, running_variance="n"), "running_variance='n', expected 'unbiased' or 'biased'"),
    ],
)
def test_arguments_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            nn.Conv2d(3, 2, 3),
            (2, 4, 5, 5),
            r"Conv2d\(3, 2, .* got x with shape=\(2, 4, 5, 5\), expected images \(N, 3,",
        ),
        (nn.Conv2d(3, 2, 3), (2, 3, 5), r"got x with shape=\(2, 3, 5\), expected images \(N, 3, H, W\)"),
        (
            nn.Conv2d(3, 2, 3, dilation=2, padding=1),
            (2, 3, 2, 9),
            "the kernel spans 5 pixels .*, more than the height of 2 . 2·1 of the padded image",
        ),
        (
            nn.MaxPool2d(3),
            (2, 3, 2, 2),
            "the kernel spans 3 pixels .*, more than the height of 2 . 2·0 of the padded image",
        ),
        (nn.AvgPool2d(2), (2, 3), r"expected images \(N, C, H, W\)"),
        (nn.GlobalAvgPool2d(), (2, 3), r"expected images \(N, C, H, W\)"),
        (nn.BatchNorm2d(3), (2, 4, 1, 1), r"BatchNorm2d\(3\) got x with shape=\(2, 4, 1, 1\), expected images \(N, 3,"),
        (nn.BatchNorm2d(3), (1, 3, 1, 1), "got a training batch of N=1, expected at least 2 pixels per channel"),
    ],
)
def test_images_that_do_not_fit(layer, shape, message, unchecked):
    with pytest.raises(ValueError, match=message):
        layer.forward(np.zeros(shape, np.float32))


def test_stacks_are_refused():
    for layer in (nn.Conv2d(3, 2, 1), nn.BatchNorm2d(3)):
        FlatParameters(layer, 2)
        with pytest.raises(ValueError, match="does not support stacked models: train them one by one"):
            layer.forward(np.zeros((2, 3, 4, 4), np.float32))
