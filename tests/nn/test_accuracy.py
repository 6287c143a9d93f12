"""Activations and their slopes are accurate relatively, however small they are: in `nn` and in every kernel.

Expected values are computed with 40 digits by Python's `decimal`.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from handgrad import nn
from handgrad.kernels import Kernels

torch = pytest.importorskip("torch")

try:
    import handgrad.kernels.compiled  # noqa: F401  (whether numba is there)
except ModuleNotFoundError:
    WAYS = ("nn", "numpy kernel", "torch")
else:
    WAYS = ("nn", "numpy kernel", "numba kernel", "torch")


def sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + (-x).exp())


def softplus(x: Decimal) -> Decimal:
    e = x.exp()
    return (1 + e).ln() if e > Decimal("1e-12") else e - e * e / 2 + e**3 / 3


def tanh_gate(x: Decimal) -> tuple[Decimal, Decimal]:
    """The gate of GELU's tanh form, and the slope of what it is the logistic function of."""
    a = (Decimal(8) / Decimal("3.14159265358979323846264338327950288419716939937511")).sqrt()
    b = a * Decimal("0.044715")
    return sigmoid(a * x + b * x**3), a + 3 * b * x**2


def gelu_tanh_slope(x: Decimal) -> Decimal:
    gate, slope = tanh_gate(x)
    return gate + x * gate * (1 - gate) * slope


#: Layer, f, f', and where f' is accurate relatively: not where y (1 - y) and 1 - y² cancel (they do in PyTorch, too),
#: nor beside a zero of f'.
ACTIVATIONS = {
    "Sigmoid": (nn.Sigmoid, sigmoid, lambda x: sigmoid(x) * sigmoid(-x), lambda x: x <= 0),
    "SiLU": (nn.SiLU, lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * sigmoid(-x)), lambda x: x < -2),
    "Softplus": (lambda: nn.Softplus(threshold=math.inf), softplus, sigmoid, lambda x: x < 1e9),
    "ELU": (nn.ELU, lambda x: x if x > 0 else x.exp() - 1, lambda x: min(x, Decimal(0)).exp(), lambda x: x > -1),
    "Tanh": (nn.Tanh, lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()), None, lambda x: False),
    "GELU tanh": (lambda: nn.GELU("tanh"), lambda x: x * tanh_gate(x)[0], gelu_tanh_slope, lambda x: x < -2),
}


def results(layer: nn.Layer, way: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if way == "torch":
        import handgrad.torch as twins

        module = getattr(twins, type(layer).__name__)(*(getattr(layer, name) for name in layer.options))
        leaf = torch.tensor(x, requires_grad=True)
        y = module(leaf)
        y.backward(torch.ones_like(y))
        return y.detach().numpy(), leaf.grad.numpy()
    if way != "nn":
        layer = Kernels(compiled=way == "numba kernel").lend(layer)
    y = layer.forward(x).copy()
    return y, layer.backward(np.ones_like(x)).copy()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_to_a_few_units_in_the_last_place(name, way, dtype):
    make, function, slope, accurate = ACTIVATIONS[name]
    lowest = -math.log(np.finfo(dtype).max) + 6  # where the smallest of the values is no subnormal number yet
    if name == "GELU tanh":
        lowest = -8 if dtype == np.float32 else -20
    edges = np.array([-20, -17, -10, -3, -1, -0.1, -1e-3, 1e-3, 0.1, 1, 3, 10, 17, 20, 60])
    x = np.concatenate([np.linspace(lowest, -lowest, 61), edges[edges > lowest]]).astype(dtype)[None]
    y, dy = results(make(), way, x)
    with localcontext() as context:
        context.prec = 40
        points = [Decimal(float(v)) for v in x[0]]
        expected_y = np.array([float(function(p)) for p in points])
        claimed = np.array([accurate(float(v)) for v in x[0]])
        expected_slope = np.array([float(slope(p)) if there else 0.0 for p, there in zip(points, claimed, strict=True)])
    units = np.full(x.shape[1], 5.0)
    if name == "GELU tanh":  # the exponent is rounded, so its exponential is off by as many units as it is large
        units += np.abs(2 * x[0] * (1 + 0.05 * x[0] ** 2))
    eps = np.finfo(dtype).eps
    assert (np.abs(y[0] - expected_y) <= units * eps * np.abs(expected_y)).all()
    off = np.abs(dy[0] - expected_slope)[claimed]
    assert (off <= 3 * units[claimed] * eps * np.abs(expected_slope[claimed])).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("way", ["nn", "NumPy kernel"])
def test_subnormal_values_of_the_logistic_function(way, dtype):
    """Where e⁻ˣ overflows, eˣ / (1 + eˣ) is still above 0: to a few of the smallest numbers."""
    smallest = np.finfo(dtype).smallest_subnormal
    x = np.linspace(math.log(float(smallest)) + 1, -math.log(np.finfo(dtype).max) - 0.1, 20).astype(dtype)[None]
    y, slope = results(nn.Sigmoid(), way, x)
    expected = np.array([float(Decimal(float(v)).exp()) for v in x[0]])
    assert (expected > 0).all()
    np.testing.assert_allclose(
        y[0].astype(np.float64), expected, rtol=5 * np.finfo(dtype).eps, atol=2 * float(smallest)
    )
    np.testing.assert_allclose(
        slope[0].astype(np.float64), expected, rtol=5 * np.finfo(dtype).eps, atol=2 * float(smallest)
    )
