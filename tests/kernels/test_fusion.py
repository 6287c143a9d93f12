"""ReLUs fused into the preceding kernel give the same results with fewer passes over memory."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from handgrad import nn
from handgrad.kernels import FlatParameters, Kernels
from handgrad.kernels.activations import ReLUKernel
from handgrad.kernels.sequential import PassThrough

FORMS = [False, *([True] if importlib.util.find_spec("numba") else [])]


def network(models=None):
    layers = (
        nn.Linear(30, 400, rng=0),
        nn.ReLU(),
        nn.Linear(400, 300, rng=1),
        nn.ReLU(),
        nn.Linear(300, 5, bias=False, rng=2),
    )
    whole = nn.Sequential(*layers, nn.GELU(), nn.Linear(5, 4, bias=False, rng=3), nn.BatchNorm1d(4), nn.ReLU())
    return randomised(whole, models)


def image_network(_=None):
    layers = nn.Conv2d(3, 4, 3, padding=1, rng=0), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
    block = nn.Residual(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1, rng=1))
    return randomised(nn.Sequential(*layers, block, nn.GlobalAvgPool2d(), nn.Linear(4, 3, rng=2), nn.ReLU()))


def randomised(whole, models=None):
    if models:
        FlatParameters(whole, models)
    for i, parameter in enumerate(whole.parameters()):
        parameter.value += np.random.default_rng(i).standard_normal(parameter.value.shape).astype(np.float32) / 10
    return whole


class Apart:
    """The kernels of the layers of a network, without fusion."""

    def __init__(self, layer: nn.Sequential, kernels: Kernels) -> None:
        self.layer = layer
        self.parts = [
            Apart(child, kernels) if isinstance(child, nn.Sequential) else kernels.lend(child) for child in layer.layers
        ]

    def forward(self, x):
        y = x
        for part in self.parts:
            y = part.forward(y)
        return x + y if isinstance(self.layer, nn.Residual) else y

    def backward(self, dy):
        dx = dy
        for part in reversed(self.parts):
            dx = part.backward(dx)
        return dx + dy if isinstance(self.layer, nn.Residual) else dx


@pytest.mark.parametrize("compiled", FORMS)
@pytest.mark.parametrize(
    ("make", "shape", "models", "fused"),
    [
        (network, (30,), None, [True, True, False, False, True]),
        (network, (30,), 3, [True, True, False, False, True]),
        (image_network, (3, 8, 8), None, [True, True, True]),
    ],
    ids=["rows", "stacked", "images"],
)
def test_a_fused_network_computes_the_same(make, shape, models, fused, compiled):
    apart_network, fused_network = make(models), make(models)
    apart = Apart(apart_network, Kernels(compiled=compiled))
    together = Kernels(compiled=compiled).lend(fused_network)
    able = [kernel for kernel in together.kernels() if kernel.can_fuse_relu != "none"]
    assert [kernel.fuses_relu for kernel in able] == fused
    rng = np.random.default_rng(0)
    for n in (512, 7, 512) if len(shape) == 1 else (6, 4, 6):
        for each in (apart_network, fused_network):
            each.train(n != 7)
        x = rng.standard_normal((n, *shape), np.float32)
        y = apart.forward(x)
        assert (y == 0).any()
        assert (y > 0).any()
        np.testing.assert_array_equal(together.forward(x), y)
        dy = rng.standard_normal(y.shape, np.float32)
        np.testing.assert_array_equal(together.backward(dy), apart.backward(dy))
        for own, other in zip(fused_network.parameters(), apart_network.parameters(), strict=True):
            np.testing.assert_array_equal(own.grad, other.grad)
    assert fused_network.state_dict().keys() == apart_network.state_dict().keys()


def test_what_is_fused():
    def kinds(*layers):
        return [type(part) for part in Kernels().lend(nn.Sequential(*layers)).parts]

    assert kinds(nn.BatchNorm2d(2), nn.ReLU())[1] is PassThrough
    rectified = Kernels().lend(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.ReLU(), nn.BatchNorm1d(2), nn.Tanh()))
    assert [type(part) is ReLUKernel and part.relu_fused for part in rectified.parts] == [
        False,
        True,
        False,
        False,
        False,
    ]
    assert [part.fuses_relu for part in rectified.parts] == [True, False, False, False, False]
    assert kinds(nn.ReLU(), nn.BatchNorm2d(2)) == [ReLUKernel, kinds(nn.BatchNorm2d(2))[0]]


@pytest.mark.parametrize("n", [3, 300])
def test_the_largest_of_few_and_many_numbers(n):
    """The array of zeros for a maximum has the shape of the input or of one row."""
    x = np.random.default_rng(0).standard_normal((n, 512), np.float32)
    weight = np.eye(512, dtype=np.float32)
    layer = nn.Linear(512, 512)
    layer.load_state_dict({"weight": weight, "bias": np.zeros(512, np.float32)})
    norm = nn.BatchNorm1d(512).eval()
    for network in (nn.Sequential(nn.ReLU()), nn.Sequential(layer, nn.ReLU()), nn.Sequential(norm, nn.ReLU())):
        kernel = Kernels().lend(network)
        y = np.where(x > 0, x, 0)
        np.testing.assert_allclose(kernel.forward(x), y, rtol=1e-5)
        dx = kernel.backward(np.full_like(x, 3))
        np.testing.assert_allclose(dx, np.where(x > 0, np.float32(3), 0), rtol=1e-5)


@pytest.mark.parametrize("compiled", FORMS)
def test_a_layer_of_ones_own_is_not_fused(compiled):
    class Own(nn.Linear):
        def forward(self, x):
            return super().forward(x) - 1

    class Leaky(nn.ReLU):
        def forward(self, x):
            return super().forward(x) - 1

    x = np.random.default_rng(0).standard_normal((6, 3), np.float32)
    for layers in ((Own(3, 4, rng=0), nn.ReLU()), (nn.Linear(3, 4, rng=0), Leaky())):
        sequence = nn.Sequential(*layers)
        y = sequence.forward(x)
        assert (y < 0).any() == (type(layers[1]) is Leaky)
        kernel = Kernels(compiled=compiled).lend(sequence)
        assert not any(part.fuses_relu for part in kernel.parts)
        np.testing.assert_allclose(kernel.forward(x), y, rtol=1e-5, atol=1e-6)
