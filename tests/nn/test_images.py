"""Convolution, pooling and batch normalisation of images, over shapes drawn at random: every algorithm against plain
loops, PyTorch and each other; rounding; memory layout; threads; errors."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from handgrad import nn
from handgrad.nn.rectifiers import JoinedReLU
from handgrad.numerics import gradient_check

try:
    from handgrad.nn import fast
except ModuleNotFoundError:  # without numba
    FORMS = (False,)
else:
    #: Whether a layer is taken in its compiled form.
    FORMS = (False, True)


def relative(a, b) -> float:
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    return float(np.abs(a - b).max(initial=0) / max(np.abs(a).max(initial=0), np.abs(b).max(initial=0), 1e-8))


pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@st.composite
def convolutions(draw, winograd: bool = False):
    """(batch, height, width) and the arguments of a convolution that fits them."""
    groups = 1 if winograd else draw(st.integers(1, 3))
    channels = draw(st.integers(1, 3)) * groups, draw(st.integers(1, 3)) * groups
    kernel = (3, 3) if winograd else draw(pairs)
    stride = (1, 1) if winograd else draw(pairs)
    dilation = (1, 1) if winograd else draw(st.tuples(st.integers(1, 2), st.integers(1, 3)))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    size = []
    for k, d, p in zip(kernel, dilation, padding, strict=True):
        size.append(draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), 13)))
    options = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "bias": draw(st.booleans()),
    }
    return (draw(st.integers(1, 4)), *size), (*channels, kernel), options


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


def check_every_algorithm(case, threads: int) -> None:
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
    looped = by_loops(x, state["weight"], state.get("bias"), dy, *geometric)
    assert relative(looped[0], y.detach()) < 1e-12
    geometry = nn.Conv2d(*sizes, **options, rng=0).geometry(height, width)
    fitting = nn.convolution_costs(geometry, n)
    assert "im2col" in fitting
    for algorithm, compiled in itertools.product(fitting, FORMS):
        layer = nn.Conv2d(*sizes, **options, algorithm=algorithm, dtype=np.float64)
        if compiled:
            fast.accelerate(layer)
        layer.workers = nn.Workers(threads)
        layer.load_state_dict(state)
        assert relative(layer.forward(x), looped[0]) < 1e-12
        assert type(layer.chosen(n, height, width)).__name__.lower() == algorithm.replace("-", "")
        assert relative(layer.backward(dy), looped[1]) < 1e-12
        assert relative(layer.weight.grad, looped[2]) < 1e-12
        assert relative(layer.weight.grad, twin.weight.grad) < 1e-12
        if layer.bias is not None:
            assert relative(layer.bias.grad, twin.bias.grad) < 1e-12
        layer.input_gradient = False
        first = layer.weight.grad.copy()
        assert layer.backward(dy) is None
        np.testing.assert_array_equal(layer.weight.grad, first)


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.integers(1, 2))
def test_convolutions_of_any_shape(case, threads):
    check_every_algorithm(case, threads)


@settings(max_examples=60, deadline=None)
@given(convolutions(winograd=True), st.integers(1, 2))
def test_convolutions_that_winograd_fits(case, threads):
    check_every_algorithm(case, threads)


@pytest.mark.parametrize("algorithm", nn.CONVOLUTIONS)
@pytest.mark.parametrize("odd", [(1, 1), (1, 7), (5, 2)])
def test_numerical_derivatives_of_odd_sizes_and_a_batch_of_one(algorithm, odd):
    layer = nn.Conv2d(2, 2, 3, padding=1, algorithm=algorithm, rng=0, dtype=np.float64)
    report = gradient_check(layer, np.random.default_rng(1).standard_normal((1, 2, *odd)))
    assert report, report
    assert max(part.error for part in report.parts) < 1e-9


# -- rounding ---------------------------------------------------------------------------------------------------------

#: How far a float32 result may be from the float64 one, relative to its largest number, at 256 channels.
ROUNDING = {"im2col": 1e-6, "taps": 1e-6, "winograd-2x2": 2e-6, "winograd-4x4": 3e-5}


@pytest.mark.parametrize("compiled", FORMS)
@pytest.mark.parametrize("algorithm", ROUNDING)
def test_rounding_in_float32_is_bounded(algorithm, compiled):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 4, 256, 8, 8))
    results = {}
    for dtype in (np.float32, np.float64):
        layer = nn.Conv2d(256, 256, 3, padding=1, algorithm=algorithm, rng=1, dtype=np.float32).astype(dtype)
        if compiled:
            fast.accelerate(layer)
        results[dtype] = layer.forward(x.astype(dtype)), layer.backward(dy.astype(dtype)), layer.weight.grad
    errors = [relative(a, b) for a, b in zip(results[np.float32], results[np.float64], strict=True)]
    assert max(errors) < ROUNDING[algorithm], errors
    assert max(errors) > 1e-8  # it was float32


def test_exact_algorithms_can_be_asked_for():
    layer = nn.Conv2d(8, 8, 3, padding=1, algorithm="im2col", rng=0)
    assert nn.choose_convolution(layer.geometry(8, 8), 32, "im2col") == "im2col"
    assert nn.choose_convolution(layer.geometry(8, 8), 32, "winograd-4x4") == "winograd-4x4"
    strided = nn.Conv2d(8, 8, 3, stride=2, rng=0).geometry(8, 8)
    assert nn.choose_convolution(strided, 32, "winograd-4x4") in ("im2col", "taps")


# -- memory, layout, threads ------------------------------------------------------------------------------------------


def _network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, rng=0),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.Residual(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1, rng=1)),
        nn.AvgPool2d(2),
        nn.Tanh(),
        nn.GlobalAvgPool2d(),
        nn.Linear(4, 3, rng=2),
    )


def test_channels_stay_last_in_memory_from_layer_to_layer():
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8), dtype=np.float32)
    layers = list(_network())[:-2]
    outputs = []
    for layer in layers:
        x = layer.forward(x)
        outputs.append(x)
    dx = np.ones_like(x)  # lies in memory as x does
    for layer in reversed(layers):
        dx = layer.backward(dx)
        outputs.append(dx)
    for array in outputs:
        assert array.transpose(0, 2, 3, 1).flags.c_contiguous


def test_joined_rectifiers_and_threads_change_nothing(lend):
    plain, joined = _network(), _network()
    nn.join_rectifiers(joined)
    assert sum(isinstance(layer, JoinedReLU) for layer in joined.modules()) == 2
    for layer in joined.modules():
        layer.workers = nn.Workers(2)
    lend(joined)
    rng = np.random.default_rng(0)
    for n in (4, 6, 4):
        x = rng.standard_normal((n, 3, 8, 8), dtype=np.float32)
        y, y_joined = plain.forward(x), joined.forward(x)
        assert relative(y_joined, y) < 1e-5
        dy = rng.standard_normal(y.shape, dtype=np.float32)
        assert relative(joined.backward(dy), plain.backward(dy)) < 1e-5
        for ours, theirs in zip(joined.parameters(), plain.parameters(), strict=True):
            # (a bias before batch normalisation has no gradient but rounding)
            np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)
    assert joined.state_dict().keys() == plain.state_dict().keys()


def test_flat_parameters_keep_the_weights_layout():
    layer = nn.Conv2d(3, 4, 3, rng=0)
    before = layer.weight.value.copy()
    flat = nn.FlatParameters(nn.Sequential(layer))
    np.testing.assert_array_equal(layer.weight.value, before)
    assert layer.weight.value.transpose(0, 2, 3, 1).flags.c_contiguous
    assert np.shares_memory(layer.weight.value, flat.values)
    assert np.shares_memory(layer.weight.grad, flat.grads)
    layer.forward(np.ones((2, 3, 5, 5), np.float32))
    layer.backward(np.ones((2, 4, 3, 3), np.float32))
    rows = flat.grads[:, flat.slices["0.weight"]]
    np.testing.assert_array_equal(flat.shaped(rows, "0.weight")[0], layer.weight.grad)
    assert np.abs(layer.weight.grad).max() > 0


# -- pooling ----------------------------------------------------------------------------------------------------------


@st.composite
def windows(draw):
    kernel, stride = draw(pairs), draw(pairs)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = tuple(draw(st.integers(max(1, k - 2 * p), 9)) for k, p in zip(kernel, padding, strict=True))
    return (draw(st.integers(1, 3)), draw(st.integers(1, 3)), *size), kernel, stride, padding


@settings(max_examples=60, deadline=None)
@given(windows(), st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]), st.integers(1, 2))
def test_pooling_of_any_shape(case, kind, threads):
    shape, *sizes = case
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 2, shape).astype(float)  # full of ties
    layer, twin = kind(*sizes), getattr(torch.nn, kind.__name__)(*sizes)
    layer.workers = nn.Workers(threads)
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


def test_convolution_by_hand():
    layer = nn.Conv2d(1, 1, 2, dtype=np.float64)
    layer.load_state_dict({"weight": np.array([[[[1.0, 2], [3, 4]]]]), "bias": np.array([10.0])})
    x = np.array([[[[1.0, 0, 2], [0, 1, 0]]]])
    # 1·1 + 4·1 + 10 = 15 and 2·2 + 3·1 + 10 = 17
    np.testing.assert_array_equal(layer.forward(x), [[[[15, 17]]]])
    np.testing.assert_array_equal(layer.backward(np.array([[[[1.0, 10]]]])), [[[[1, 12, 20], [3, 34, 40]]]])
    np.testing.assert_array_equal(layer.weight.grad, [[[[1, 20], [10, 1]]]])
    np.testing.assert_array_equal(layer.bias.grad, [11])


# -- batch normalisation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [7, 64, 2**18])
@pytest.mark.parametrize("shape", [(5, 3, 4, 3), (8, 4, 4, 4), (2, 1, 1, 1), (1, 2, 1, 9), (3, 600, 2, 1)])
def test_batch_norm_in_blocks(monkeypatch, shape, block):
    monkeypatch.setattr(nn.BatchNorm2d, "BLOCK", block)
    rng = np.random.default_rng(0)
    layer, twin = nn.BatchNorm2d(shape[1], dtype=np.float64), torch.nn.BatchNorm2d(shape[1]).double()
    layer.workers = nn.Workers(2)
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
    x = rng.standard_normal((8, 2, 16, 16)) + 1e3
    layer = nn.BatchNorm2d(2)
    y = layer.forward(x.astype(np.float32))
    exact = nn.BatchNorm2d(2, dtype=np.float64).forward(x.astype(np.float32).astype(np.float64))
    assert relative(y, exact) < 5e-4
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
        (
            lambda: nn.Conv2d(1, 1, 3, algorithm="fft"),
            "algorithm='fft', expected auto or one of im2col, taps, winograd",
        ),
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
        (nn.Conv2d(3, 2, 3, dilation=2, padding=1), (2, 3, 2, 9), "images of 2 x 9, padded to 4 x 11, .* spans 5 x 5"),
        (nn.MaxPool2d(3), (2, 3, 2, 2), "images of 2 x 2, padded to 2 x 2, but its kernel spans 3 x 3 pixels: take a"),
        (nn.AvgPool2d(2), (2, 3), r"expected images \(N, C, H, W\)"),
        (nn.GlobalAvgPool2d(), (2, 3), r"expected images \(N, C, H, W\)"),
        (nn.BatchNorm2d(3), (2, 4, 1, 1), r"BatchNorm2d\(3\) got x with shape=\(2, 4, 1, 1\), expected images \(N, 3,"),
        (nn.BatchNorm2d(3), (1, 3, 1, 1), "got a training batch of N=1, expected at least 2 pixels a channel"),
    ],
)
def test_images_that_do_not_fit(layer, shape, message, unchecked):
    with pytest.raises(ValueError, match=message):
        layer.forward(np.zeros(shape, np.float32))


def test_stacks_are_refused():
    for layer in (nn.Conv2d(3, 2, 1), nn.BatchNorm2d(3)):
        nn.FlatParameters(layer, 2)
        with pytest.raises(ValueError, match="takes no stack of models: train them one by one"):
            layer.forward(np.zeros((2, 3, 4, 4), np.float32))


# -- the choice -------------------------------------------------------------------------------------------------------


def test_estimates_say_what_is_known():
    def geometry(channels, size, kernel=3):
        return nn.Geometry.of((size, size), channels, channels, (kernel, kernel), padding=(kernel // 2, kernel // 2))

    assert nn.choose_convolution(geometry(512, 2), 32) == "taps"
    assert nn.choose_convolution(geometry(256, 8), 32) == "winograd-4x4"
    assert nn.choose_convolution(geometry(256, 8, 1), 32) == "im2col"
    assert nn.choose_convolution(geometry(64, 32, 5), 32) == "im2col"
    for n in (1, 8, 256):
        assert all(math.isfinite(cost) and cost > 0 for cost in nn.convolution_costs(geometry(7, 5), n).values())
