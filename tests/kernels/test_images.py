"""Convolution, pooling and batch normalisation of images with random shapes: every algorithm is compared with the
layer, which `tests/nn` compares with plain loops and PyTorch. Also rounding, memory layout, threads, and the choice of
the algorithm."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kernels.shapes import convolutions, windows

from handgrad import nn
from handgrad.kernels import (
    CONVOLUTIONS,
    FlatParameters,
    Geometry,
    Kernels,
    choose_convolution,
    convolution_costs,
    lay_out_for_kernels,
)
from handgrad.kernels.batchnorm2d import BatchNorm2dKernel
from handgrad.kernels.convolution_algorithms import ALGORITHMS, Winograd
from handgrad.kernels.sequential import PassThrough

try:
    import handgrad.kernels.compiled  # noqa: F401
except ModuleNotFoundError:  # without numba
    FORMS = (False,)
else:
    #: Whether kernels are taken in their compiled form.
    FORMS = (False, True)


def relative(a, b) -> float:
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    return float(np.abs(a - b).max(initial=0) / max(np.abs(a).max(initial=0), np.abs(b).max(initial=0), 1e-8))


# -- convolution ------------------------------------------------------------------------------------------------------


def check_every_algorithm(case, threads: int) -> None:
    (n, height, width), sizes, options = case
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, sizes[0], height, width))
    layer = nn.Conv2d(*sizes, **options, rng=0, dtype=np.float64)
    if layer.bias is not None:
        layer.bias.value[...] = rng.standard_normal(sizes[1])
    y = layer.forward(x)
    dy = rng.standard_normal(y.shape)
    expected = y, layer.backward(dy), *(parameter.grad.copy() for parameter in layer.parameters())
    fitting = convolution_costs(Kernels().lend(layer).geometry(height, width), n)
    assert "im2col" in fitting
    for algorithm, compiled in itertools.product(fitting, FORMS):
        kernel = Kernels(threads, compiled=compiled).lend(layer)
        kernel.algorithm = algorithm
        for parameter in layer.parameters():
            parameter.grad.fill(np.nan)
        results = kernel.forward(x), kernel.backward(dy), *(parameter.grad for parameter in layer.parameters())
        assert type(kernel.chosen(n, height, width)).__name__.lower() == algorithm.replace("-", "")
        for actual, wanted in zip(results, expected, strict=True):
            assert relative(actual, wanted) < 1e-12
        kernel.input_gradient = False
        first = layer.weight.grad.copy()
        assert kernel.backward(dy) is None
        np.testing.assert_array_equal(layer.weight.grad, first)


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.integers(1, 2))
def test_convolutions_of_any_shape(case, threads):
    check_every_algorithm(case, threads)


@settings(max_examples=40, deadline=None)
@given(convolutions(winograd=True), st.integers(1, 2))
def test_convolutions_that_winograd_fits(case, threads):
    check_every_algorithm(case, threads)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("sizes", [(129, 130), (130, 40), (3, 200)])
def test_many_channels(sizes, threads):
    """Above the limits from which taps are divided among threads and Winograd's kernels have another memory layout."""
    options = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "bias": True}
    check_every_algorithm(((3, 4, 5), (*sizes, (3, 3)), options), threads)


@pytest.mark.parametrize("algorithm", [name for name in CONVOLUTIONS if "winograd" in name])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_winograd_of_an_image_that_fills_more_than_a_block(algorithm, n, monkeypatch):
    monkeypatch.setattr(Winograd, "BLOCK", 100)
    monkeypatch.setattr(Winograd, "CHUNK", 50)
    options = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "bias": True}
    assert len(ALGORITHMS[algorithm](Geometry.of((9, 7), 3, 4, (3, 3), padding=(1, 1)))._blocks(n)) > n
    check_every_algorithm(((n, 9, 7), (3, 4, (3, 3)), options), 2)


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
        layer = nn.Conv2d(256, 256, 3, padding=1, rng=1, dtype=np.float32).astype(dtype)
        kernel = Kernels(compiled=compiled).lend(layer)
        kernel.algorithm = algorithm
        results[dtype] = kernel.forward(x.astype(dtype)), kernel.backward(dy.astype(dtype)), layer.weight.grad
    errors = [relative(a, b) for a, b in zip(results[np.float32], results[np.float64], strict=True)]
    assert max(errors) < ROUNDING[algorithm], errors
    assert max(errors) > 1e-8  # it was float32


def test_exact_algorithms_can_be_asked_for():
    def geometry(**options):
        return Kernels().lend(nn.Conv2d(8, 8, 3, rng=0, **options)).geometry(8, 8)

    assert choose_convolution(geometry(padding=1), 32, "im2col") == "im2col"
    assert choose_convolution(geometry(padding=1), 32, "winograd-4x4") == "winograd-4x4"
    assert choose_convolution(geometry(stride=2), 32, "winograd-4x4") in ("im2col", "taps")


def test_what_is_asked_for_may_change_from_call_to_call():
    kernel = Kernels().lend(nn.Conv2d(2, 3, 3, padding=1, rng=0))
    assert kernel.algorithm == "auto"
    for name in (*CONVOLUTIONS, "im2col"):
        kernel.algorithm = name
        assert type(kernel.chosen(2, 5, 5)) is kernel.algorithms[name]
        assert kernel.chosen(2, 5, 5) is kernel.chosen(2, 5, 5)


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d])
def test_images_smaller_than_the_kernel(kind):
    layer = nn.Conv2d(3, 2, 3) if kind is nn.Conv2d else kind(3)
    with pytest.raises(
        ValueError, match=r"the kernel spans 3 pixels .*, more than the height of 2 \+ 2·0 of the padded image"
    ):
        Kernels().lend(layer).forward(np.zeros((2, 3, 2, 2), np.float32))


def test_stacks_are_refused():
    for layer in (nn.Conv2d(3, 2, 1), nn.BatchNorm2d(3)):
        FlatParameters(layer, 2)
        with pytest.raises(ValueError, match="does not support stacked models: train them one by one"):
            Kernels().lend(layer).forward(np.zeros((2, 3, 4, 4), np.float32))


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


def test_no_two_threads_work_in_the_same_memory():
    """Otherwise, only luck would show it."""
    kernels, shape, dtype = Kernels(2), (4, 5, 6, 3), np.dtype(np.float32)
    work, x = kernels.workspace(), np.ones(shape, dtype)
    geometry = Geometry.of(shape[1:3], 3, 4, (3, 3), padding=(1, 1))
    lent = [
        kernels.lend(nn.MaxPool2d(3))._chains(4, shape[1:], dtype)[1],
        kernels.lend(nn.BatchNorm2d(3))._chains([slice(0, 60), slice(60, 120)], x.reshape(120, 3), dtype)[1],
    ]
    lent.append([a for i in range(2) for a in ALGORITHMS["im2col"](geometry)._scratch("x", i, 2, work, dtype)])
    lent.append([a for two in ALGORITHMS["taps"](geometry)._scratch(4, 4, 2, work, dtype) for a in two])
    for name in ("winograd-2x2", "winograd-4x4"):
        algorithm, chains = ALGORITHMS[name](geometry), [[slice(0, 2)], [slice(2, 4)]]
        lent.append([a for two in algorithm._input_scratch(chains, work, dtype) for a in two])
        lent.append(algorithm._output_scratch(chains, work, dtype))
    for arrays in lent:
        assert len(arrays) >= 2
        for one, other in itertools.combinations(arrays, 2):
            assert not np.shares_memory(one, other)


@pytest.mark.parametrize("compiled", FORMS)
@pytest.mark.parametrize("reuse", [False, True])
def test_channels_stay_last_in_memory_from_layer_to_layer(reuse, compiled):
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8), dtype=np.float32)
    kernels = Kernels(compiled=compiled, reuse=reuse).lend(_network()).parts[:-2]
    outputs = []
    for kernel in kernels:
        x = kernel.forward(x)
        outputs.append(x)
    dx = np.ones_like(x)  # lies in memory as x does
    for kernel in reversed(kernels):
        dx = kernel.backward(dx)
        outputs.append(dx)
    for array in outputs:
        assert array.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("compiled", FORMS)
def test_fused_relus_and_threads_change_nothing(compiled):
    plain, fused = _network(), _network()
    kernel = Kernels(2, compiled=compiled).lend(fused)
    assert sum(isinstance(part, PassThrough) for part in kernel.kernels()) == 2
    rng = np.random.default_rng(0)
    for n in (4, 6, 4):
        x = rng.standard_normal((n, 3, 8, 8), dtype=np.float32)
        y, y_fused = plain.forward(x), kernel.forward(x)
        assert relative(y_fused, y) < 1e-5
        dy = rng.standard_normal(y.shape, dtype=np.float32)
        assert relative(kernel.backward(dy), plain.backward(dy)) < 1e-5
        for ours, theirs in zip(fused.parameters(), plain.parameters(), strict=True):
            # (a bias before batch normalisation has no gradient but rounding)
            np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)
    assert fused.state_dict().keys() == plain.state_dict().keys()


def test_flat_parameters_keep_the_weights_layout():
    layer = nn.Conv2d(3, 4, 3, rng=0)
    lay_out_for_kernels(nn.Sequential(layer))
    kernel, before = Kernels().lend(layer), layer.weight.value.copy()
    flat = FlatParameters(nn.Sequential(layer))
    np.testing.assert_array_equal(layer.weight.value, before)
    assert layer.weight.value.transpose(0, 2, 3, 1).flags.c_contiguous
    assert np.shares_memory(layer.weight.value, flat.values)
    assert np.shares_memory(layer.weight.grad, flat.grads)
    kernel.forward(np.ones((2, 3, 5, 5), np.float32))
    kernel.backward(np.ones((2, 4, 3, 3), np.float32))
    rows = flat.grads[:, flat.slices["0.weight"]]
    np.testing.assert_array_equal(flat.shaped(rows, "0.weight")[0], layer.weight.grad)
    assert np.abs(layer.weight.grad).max() > 0


# -- pooling ----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(windows(), st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]), st.integers(1, 2), st.sampled_from(FORMS))
def test_pooling_of_any_shape(case, kind, threads, compiled):
    shape, *sizes = case
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 2, shape).astype(float)  # full of ties
    layer = kind(*sizes)
    y = layer.forward(x)
    dy = rng.standard_normal(y.shape)
    dx = layer.backward(dy)
    kernel = Kernels(threads, compiled=compiled).lend(kind(*sizes))
    assert relative(kernel.forward(x), y) < 1e-14
    assert relative(kernel.backward(dy), dx) < 1e-14


@pytest.mark.parametrize("compiled", FORMS)
def test_max_pooling_by_hand(compiled):
    x = np.array([[[[1.0, 3, 3], [3, 0, 2], [5, 5, 4]]]])
    kernel = Kernels(compiled=compiled).lend(nn.MaxPool2d(2, 1))
    np.testing.assert_array_equal(kernel.forward(x), [[[[3, 3], [5, 5]]]])
    # ties: the first of a window, row by row: (0, 1), (0, 1), (2, 0), (2, 1)
    dx = kernel.backward(np.array([[[[1.0, 10], [100, 1000]]]]))
    np.testing.assert_array_equal(dx, [[[[0, 11, 0], [0, 0, 0], [100, 1000, 0]]]])


# -- batch normalisation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [7, 64, 2**18])
@pytest.mark.parametrize("shape", [(5, 3, 4, 3), (8, 4, 4, 4), (2, 1, 1, 1), (1, 2, 1, 9), (3, 600, 2, 1)])
def test_batch_norm_in_blocks(monkeypatch, shape, block):
    monkeypatch.setattr(BatchNorm2dKernel, "BLOCK", block)
    rng = np.random.default_rng(0)
    layer, twin = nn.BatchNorm2d(shape[1], dtype=np.float64), torch.nn.BatchNorm2d(shape[1]).double()
    kernel = Kernels(2).lend(layer)
    layer.weight.value[...] = rng.uniform(0.5, 2, shape[1])
    twin.weight.data[...] = torch.tensor(layer.weight.value)
    for _ in range(2):
        x = 3 + 2 * rng.standard_normal(shape)
        x_torch = torch.tensor(x, requires_grad=True)
        y = twin(x_torch)
        dy = rng.standard_normal(shape)
        twin.zero_grad()
        y.backward(torch.tensor(dy))
        assert relative(kernel.forward(x), y.detach()) < 1e-12
        np.testing.assert_allclose(kernel.backward(dy), x_torch.grad, rtol=1e-8, atol=1e-12)
        assert relative(layer.weight.grad, twin.weight.grad) < 1e-12
        assert relative(layer.bias.grad, twin.bias.grad) < 1e-12
        assert relative(layer.running_mean, twin.running_mean) < 1e-12
        assert relative(layer.running_var, twin.running_var) < 1e-12
    assert layer.num_batches_tracked == 2


def test_a_mean_that_is_large_beside_the_spread_does_not_cancel():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((8, 2, 16, 16)) + 1e3
    kernel = Kernels().lend(nn.BatchNorm2d(2))
    y = kernel.forward(x.astype(np.float32))
    exact = nn.BatchNorm2d(2, dtype=np.float64).forward(x.astype(np.float32).astype(np.float64))
    assert relative(y, exact) < 5e-4
    constant = kernel.forward(np.full((4, 2, 3, 3), 1e4, np.float32))
    assert np.abs(constant).max() < 1e-3


# -- the choice -------------------------------------------------------------------------------------------------------


def test_estimates_say_what_is_known():
    def geometry(channels, size, kernel=3):
        return Geometry.of((size, size), channels, channels, (kernel, kernel), padding=(kernel // 2, kernel // 2))

    assert choose_convolution(geometry(512, 2), 32) == "taps"
    assert choose_convolution(geometry(256, 8), 32) == "winograd-4x4"
    assert choose_convolution(geometry(256, 8, 1), 32) == "im2col"
    assert choose_convolution(geometry(64, 32, 5), 32) == "im2col"
    for n in (1, 8, 256):
        assert all(math.isfinite(cost) and cost > 0 for cost in convolution_costs(geometry(7, 5), n).values())
