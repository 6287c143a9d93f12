"""Third oracle: the definition, written as plain loops over single numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from handgrad import nn
from handgrad.kernels import FlatParameters


def test_linear(close):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((5, 4)), rng.standard_normal((5, 3))
    layer = nn.Linear(4, 3, rng=1, dtype=np.float64)
    layer.bias.value[...] = rng.standard_normal(3)
    w, b = layer.weight.value, layer.bias.value
    y, dx, dw, db = np.zeros((5, 3)), np.zeros((5, 4)), np.zeros((3, 4)), np.zeros(3)
    for n in range(5):
        for k in range(3):
            y[n, k] = b[k] + sum(x[n, d] * w[k, d] for d in range(4))
            db[k] += dy[n, k]
            for d in range(4):
                dx[n, d] += dy[n, k] * w[k, d]
                dw[k, d] += dy[n, k] * x[n, d]
    close(layer.forward(x), y, 1e-14)
    close(layer.backward(dy), dx, 1e-14)
    close(layer.weight.grad, dw, 1e-14)
    close(layer.bias.grad, db, 1e-14)


def test_linear_stacked_by_einsum(close):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 5, 4)), rng.standard_normal((2, 5, 3))
    layer = nn.Linear(4, 3, rng=1)
    flat = FlatParameters(layer, 2, np.float64)
    flat.values[...] = rng.standard_normal(flat.values.shape)
    w, b = layer.weight.value, layer.bias.value
    close(layer.forward(x), np.einsum("mnd,mkd->mnk", x, w) + b[:, None], 1e-14)
    close(layer.backward(dy), np.einsum("mnk,mkd->mnd", dy, w), 1e-14)
    close(layer.weight.grad, np.einsum("mnk,mnd->mkd", dy, x), 1e-14)
    close(layer.bias.grad, np.einsum("mnk->mk", dy), 1e-14)


ACTIVATIONS = [
    (nn.Identity(), lambda v: v, lambda v: 1.0),
    (nn.ReLU(), lambda v: max(v, 0.0), lambda v: float(v > 0)),
    (nn.LeakyReLU(0.2), lambda v: v if v > 0 else 0.2 * v, lambda v: 1.0 if v > 0 else 0.2),
    (nn.ELU(1.5), lambda v: v if v > 0 else 1.5 * (math.exp(v) - 1), lambda v: 1 if v > 0 else 1.5 * math.exp(v)),
    (
        nn.Sigmoid(),
        lambda v: 1 / (1 + math.exp(-v)),
        lambda v: math.exp(-v) / (1 + math.exp(-v)) ** 2,
    ),
    (nn.Tanh(), math.tanh, lambda v: 1 / math.cosh(v) ** 2),
    (
        nn.SiLU(),
        lambda v: v / (1 + math.exp(-v)),
        lambda v: (1 + math.exp(-v) + v * math.exp(-v)) / (1 + math.exp(-v)) ** 2,
    ),
    (
        nn.GELU(),
        lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2,
        lambda v: (1 + math.erf(v / math.sqrt(2))) / 2 + v * math.exp(-v * v / 2) / math.sqrt(2 * math.pi),
    ),
    (
        nn.GELU("tanh"),
        lambda v: v / 2 * (1 + math.tanh(cubic(v))),
        lambda v: (
            (1 + math.tanh(cubic(v))) / 2
            + v / 2 / math.cosh(cubic(v)) ** 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * v * v)
        ),
    ),
    (
        nn.Softplus(1.5),
        lambda v: math.log(1 + math.exp(1.5 * v)) / 1.5,
        lambda v: math.exp(1.5 * v) / (1 + math.exp(1.5 * v)),
    ),
]


def cubic(v):
    return math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)


@pytest.mark.parametrize(("layer", "f", "slope"), ACTIVATIONS, ids=[repr(layer) for layer, _, _ in ACTIVATIONS])
def test_activations(layer, f, slope, close):
    rng = np.random.default_rng(0)
    x, dy = 2 * rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 3, 4))
    close(layer.forward(x), np.array([f(v) for v in x.ravel()]).reshape(x.shape), 1e-14)
    dx = np.array([d * slope(v) for v, d in zip(x.ravel(), dy.ravel(), strict=True)]).reshape(x.shape)
    close(layer.backward(dy), dx, 1e-14)


def test_softmax_with_its_full_jacobian(close):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((5, 4)), rng.standard_normal((5, 4))
    layer = nn.Softmax()
    y, dx = layer.forward(x), layer.backward(dy)
    for n in range(5):
        total = sum(math.exp(v) for v in x[n])
        row = [math.exp(v) / total for v in x[n]]
        close(y[n], row, 1e-14)
        for i in range(4):
            terms = [dy[n, k] * row[k] * ((i == k) - row[i]) for k in range(4)]
            assert dx[n, i] == pytest.approx(sum(terms), abs=1e-14)


def test_log_softmax_with_its_full_jacobian(close):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((5, 4)), rng.standard_normal((5, 4))
    layer = nn.LogSoftmax()
    y, dx = layer.forward(x), layer.backward(dy)
    for n in range(5):
        total = sum(math.exp(v) for v in x[n])
        close(y[n], [math.log(math.exp(v) / total) for v in x[n]], 1e-14)
        for i in range(4):
            terms = [dy[n, k] * ((i == k) - math.exp(x[n, i]) / total) for k in range(4)]
            assert dx[n, i] == pytest.approx(sum(terms), abs=1e-14)


def normalised(row, eps):
    """A list of numbers, its variance, and the Jacobian of the normalised numbers with respect to the numbers."""
    n = len(row)
    mean = sum(row) / n
    variance = sum((v - mean) ** 2 for v in row) / n
    std = math.sqrt(variance + eps)
    values = [(v - mean) / std for v in row]
    jacobian = [[((i == j) - 1 / n - values[i] * values[j] / n) / std for j in range(n)] for i in range(n)]
    return np.array(values), mean, variance, np.array(jacobian)


@pytest.mark.parametrize("running_variance", ["unbiased", "biased"])
def test_batch_norm_with_its_full_jacobian(close, running_variance):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
    layer = nn.BatchNorm1d(3, eps=0.01, momentum=0.3, running_variance=running_variance, dtype=np.float64)
    gamma, beta = rng.standard_normal(3), rng.standard_normal(3)
    layer.weight.value[...], layer.bias.value[...] = gamma, beta
    y, dx = layer.forward(x), layer.backward(dy)
    for d in range(3):
        values, mean, variance, jacobian = normalised(list(x[:, d]), 0.01)
        close(y[:, d], gamma[d] * values + beta[d], 1e-13)
        close(dx[:, d], gamma[d] * jacobian.T @ dy[:, d], 1e-13)
        assert layer.weight.grad[d] == pytest.approx(sum(dy[:, d] * values), abs=1e-13)
        assert layer.bias.grad[d] == pytest.approx(sum(dy[:, d]), abs=1e-13)
        assert layer.running_mean[d] == pytest.approx(0.3 * mean, abs=1e-14)
        counted = variance * (5 / 4 if running_variance == "unbiased" else 1)
        assert layer.running_var[d] == pytest.approx(0.7 + 0.3 * counted, abs=1e-14)


def test_batch_norm_evaluating(close):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((5, 2)), rng.standard_normal((5, 2))
    layer = nn.BatchNorm1d(2, eps=0.25, dtype=np.float64).eval()
    layer.load_state_dict(
        {
            "weight": np.array([2.0, -1.0]),
            "bias": np.array([0.5, 3.0]),
            "running_mean": np.array([1.0, -2.0]),
            "running_var": np.array([0.75, 2.0]),
            "num_batches_tracked": np.array(9),
        }
    )
    y, dx = layer.forward(x), layer.backward(dy)
    for n in range(5):
        first, second = (x[n, 0] - 1) / 1.0, (x[n, 1] + 2) / 1.5
        close(y[n], [2 * first + 0.5, -second + 3], 1e-14)
        close(dx[n], [2 * dy[n, 0], -dy[n, 1] / 1.5], 1e-14)
    close(layer.weight.grad, [sum(dy[:, 0] * (x[:, 0] - 1)), sum(dy[:, 1] * (x[:, 1] + 2) / 1.5)], 1e-13)
    close(layer.bias.grad, [sum(dy[:, 0]), sum(dy[:, 1])], 1e-13)


def _normalized_by_groups(values, groups, eps, about_mean):
    """x̂ of one sample, number by number, and ∂x̂ᵢ/∂xⱼ by the quotient rule; `groups` holds the places of each group."""
    size = len(values)
    normalized, jacobian = np.zeros(size), np.zeros((size, size))
    for places in groups:
        n = len(places)
        mean = sum(values[i] for i in places) / n if about_mean else 0.0
        variance = sum((values[i] - mean) ** 2 for i in places) / n
        std = math.sqrt(variance + eps)
        for i in places:
            normalized[i] = (values[i] - mean) / std
            for j in places:
                top = float(i == j) - (1 / n if about_mean else 0.0)
                jacobian[i, j] = top / std - (values[i] - mean) * (values[j] - mean) / (n * std**3)
    return normalized, jacobian


@pytest.mark.parametrize("shape", [(4, 6), (3, 6, 2, 2)])
def test_group_norm_with_its_full_jacobian(close, shape):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal(shape), rng.standard_normal(shape)
    layer = nn.GroupNorm(2, 6, eps=0.01, dtype=np.float64)
    gamma, beta = rng.standard_normal(6), rng.standard_normal(6)
    layer.weight.value[...], layer.bias.value[...] = gamma, beta
    pixels = math.prod(shape[2:])
    groups = [[c * pixels + p for c in range(3 * g, 3 * g + 3) for p in range(pixels)] for g in (0, 1)]
    y, dx, dgamma, dbeta = np.zeros(shape), np.zeros(shape), np.zeros(6), np.zeros(6)
    for n in range(shape[0]):
        upstream = dy[n].ravel()
        normalized, jacobian = _normalized_by_groups(x[n].ravel(), groups, 0.01, about_mean=True)
        for i in range(6 * pixels):
            c = i // pixels
            y[n].reshape(-1)[i] = gamma[c] * normalized[i] + beta[c]
            dgamma[c] += upstream[i] * normalized[i]
            dbeta[c] += upstream[i]
            for j in range(6 * pixels):
                dx[n].reshape(-1)[j] += upstream[i] * gamma[c] * jacobian[i, j]
    close(layer.forward(x), y, 1e-13)
    close(layer.backward(dy), dx, 1e-12)
    close(layer.weight.grad, dgamma, 1e-13)
    close(layer.bias.grad, dbeta, 1e-13)


def test_rms_norm_with_its_full_jacobian(close):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((4, 5)), rng.standard_normal((4, 5))
    layer = nn.RMSNorm(5, eps=0.01, dtype=np.float64)
    gamma = rng.standard_normal(5)
    layer.weight.value[...] = gamma
    y, dx, dgamma = np.zeros((4, 5)), np.zeros((4, 5)), np.zeros(5)
    for n in range(4):
        normalized, jacobian = _normalized_by_groups(x[n], [range(5)], 0.01, about_mean=False)
        for i in range(5):
            y[n, i] = gamma[i] * normalized[i]
            dgamma[i] += dy[n, i] * normalized[i]
            for j in range(5):
                dx[n, j] += dy[n, i] * gamma[i] * jacobian[i, j]
    close(layer.forward(x), y, 1e-13)
    close(layer.backward(dy), dx, 1e-12)
    close(layer.weight.grad, dgamma, 1e-13)


def test_layer_norm_with_its_full_jacobian(close):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((5, 4)), rng.standard_normal((5, 4))
    layer = nn.LayerNorm(4, eps=0.01, dtype=np.float64)
    gamma, beta = rng.standard_normal(4), rng.standard_normal(4)
    layer.weight.value[...], layer.bias.value[...] = gamma, beta
    y, dx = layer.forward(x), layer.backward(dy)
    dgamma, dbeta = np.zeros(4), np.zeros(4)
    for n in range(5):
        values, _, _, jacobian = normalised(list(x[n]), 0.01)
        close(y[n], gamma * values + beta, 1e-13)
        close(dx[n], jacobian.T @ (gamma * dy[n]), 1e-13)
        dgamma += dy[n] * values
        dbeta += dy[n]
    close(layer.weight.grad, dgamma, 1e-13)
    close(layer.bias.grad, dbeta, 1e-13)


def test_dropout_draws_each_element_with_probability_p():
    x = np.ones((400, 500))
    layer = nn.Dropout(0.3, rng=0)
    y, dx = layer.forward(x), layer.backward(np.full_like(x, 2.0))
    assert set(np.unique(y)) == {0.0, 1 / 0.7}
    np.testing.assert_array_equal(dx, 2 * y)
    # 200,000 draws: the share of zeros has a standard deviation of 0.001
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.005)
    assert y.mean() == pytest.approx(1, abs=0.008)
    assert np.abs((y == 0).mean(axis=0) - 0.3).max() < 0.13
    assert not np.array_equal(layer.forward(x), y)


def test_dropout_in_float32():
    x = np.ones((100, 100), np.float32)
    assert set(np.unique(nn.Dropout(0.3, rng=0).forward(x))) == {np.float32(0), np.float32(1 / 0.7)}


def test_flatten():
    x = np.arange(24.0).reshape(2, 3, 2, 2)
    layer = nn.Flatten()
    y = layer.forward(x)
    assert y.shape == (2, 12)
    dy = -np.arange(24.0).reshape(2, 12)
    dx = layer.backward(dy)
    for n in range(2):
        for c in range(3):
            for h in range(2):
                for w in range(2):
                    assert y[n, 4 * c + 2 * h + w] == x[n, c, h, w]
                    assert dx[n, c, h, w] == dy[n, 4 * c + 2 * h + w]


def test_sequential_is_composition(close):
    rng = np.random.default_rng(0)
    layers = [nn.Linear(4, 5, rng=1, dtype=np.float64), nn.Tanh(), nn.Linear(5, 2, rng=2, dtype=np.float64)]
    network = nn.Sequential(*layers)
    x, dy = rng.standard_normal((3, 4)), rng.standard_normal((3, 2))
    h = np.tanh(x @ layers[0].weight.value.T)
    close(network.forward(x), h @ layers[2].weight.value.T, 1e-14)
    dh = dy @ layers[2].weight.value * (1 - h**2)
    close(network.backward(dy), dh @ layers[0].weight.value, 1e-14)
    close(layers[0].weight.grad, dh.T @ x, 1e-14)
    assert (len(network), network[1], list(network)) == (3, layers[1], layers)


def test_residual(close):
    rng = np.random.default_rng(0)
    linear = nn.Linear(4, 4, rng=1, dtype=np.float64)
    block = nn.Residual(nn.Tanh(), linear)
    x, dy = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    w = linear.weight.value
    y, dx = x.copy(), dy.copy()
    for n in range(3):
        for i in range(4):
            for j in range(4):
                y[n, i] += w[i, j] * math.tanh(x[n, j])
                dx[n, j] += dy[n, i] * w[i, j] * (1 - math.tanh(x[n, j]) ** 2)
    close(block.forward(x), y, 1e-14)
    close(block.backward(dy), dx, 1e-14)
