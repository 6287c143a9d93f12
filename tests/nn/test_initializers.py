"""Initial weights: their moments, their names, and where their randomness comes from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from handgrad import nn


@pytest.mark.parametrize(
    ("initializer", "std"),
    [
        (nn.Normal(0.25), 0.25),
        (nn.Normal(1e-4), 1e-4),
        (nn.Kaiming(), math.sqrt(2 / 200)),
        (nn.Kaiming(1.0), math.sqrt(1 / 200)),
        (nn.parse_initializer("kaiming", gain=5 / 3), 5 / 3 / math.sqrt(200)),
        (nn.Xavier(), math.sqrt(2 / 500)),
        (nn.Xavier(3.0), 3 * math.sqrt(2 / 500)),
    ],
    ids=repr,
)
def test_moments(initializer, std):
    weight = initializer((300, 200), np.random.default_rng(0))
    n = weight.size
    assert weight.shape == (300, 200)
    # five standard deviations of the mean, of the standard deviation and of the fourth moment of n draws
    assert abs(weight.mean()) < 5 * std / math.sqrt(n)
    assert abs(weight.std() / std - 1) < 5 / math.sqrt(2 * n)
    assert abs((weight**4).mean() / std**4 - 3) < 5 * math.sqrt(96 / n)


@pytest.mark.parametrize(
    ("initializer", "limit"),
    [
        (nn.Uniform(0.25), 0.25),
        (nn.KaimingUniform(), math.sqrt(6 / 200)),
        (nn.KaimingUniform(1.0), math.sqrt(3 / 200)),
        (nn.XavierUniform(), math.sqrt(6 / 500)),
        (nn.XavierUniform(3.0), 3 * math.sqrt(6 / 500)),
    ],
    ids=repr,
)
def test_moments_of_even_draws(initializer, limit):
    weight = initializer((300, 200), np.random.default_rng(0))
    n = weight.size
    assert weight.shape == (300, 200)
    assert limit * (1 - 20 / n) < np.abs(weight).max() <= limit
    assert abs(weight.mean()) < 5 * limit / math.sqrt(3 * n)
    assert abs((weight**2).mean() / limit**2 - 1 / 3) < 5 * math.sqrt(4 / 45 / n)
    assert abs((weight**4).mean() / limit**4 - 1 / 5) < 5 * math.sqrt(16 / 225 / n)


def _pytorchs_own(shape):
    """The weight of a module of PyTorch as it is drawn by default."""
    if len(shape) == 2:
        return torch.nn.Linear(shape[1], shape[0]).weight.detach()
    return torch.nn.Conv2d(shape[1], shape[0], tuple(shape[2:])).weight.detach()


@pytest.mark.parametrize("shape", [(30, 20), (8, 6, 3, 5)], ids=str)
@pytest.mark.parametrize(
    ("initializer", "twin"),
    [
        (nn.KaimingUniform(), lambda w: torch.nn.init.kaiming_uniform_(w, nonlinearity="relu").abs().max().item()),
        (nn.XavierUniform(1.3), lambda w: torch.nn.init.xavier_uniform_(w, 1.3).abs().max().item()),
        (nn.Xavier(1.3), lambda w: torch.nn.init.xavier_normal_(w, 1.3).std().item()),
        (nn.Kaiming(), lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="relu").std().item()),
        (nn.parse_initializer("pytorch"), lambda w: _pytorchs_own(w.shape).abs().max().item()),
    ],
    ids=["kaiming-uniform", "xavier-uniform", "xavier", "kaiming", "pytorch"],
)
def test_the_same_spread_as_in_pytorch(initializer, twin, shape):
    torch.manual_seed(0)
    expected = twin(torch.empty(shape))
    weight = initializer(shape, np.random.default_rng(0))
    actual = np.abs(weight).max() if "Uniform" in repr(initializer) else weight.std()
    assert actual == pytest.approx(expected, rel=0.15)


def test_the_spread_of_pytorchs_linear():
    torch.manual_seed(0)
    theirs = torch.nn.Linear(400, 300).weight.detach().numpy()
    ours = nn.KaimingUniform(1 / math.sqrt(3))((300, 400), np.random.default_rng(0))
    assert np.abs(theirs).max() == pytest.approx(np.abs(ours).max(), rel=1e-3) == pytest.approx(1 / 20, rel=1e-3)


@pytest.mark.parametrize("shape", [(5, 5), (4, 7), (7, 4), (6, 2, 3, 3), (20, 2, 3, 3), (1, 4)], ids=str)
def test_orthogonal(shape):
    rng = np.random.default_rng(0)
    weight = nn.Orthogonal(1.5)(shape, rng)
    assert weight.shape == shape
    matrix = weight.reshape(shape[0], -1)
    small = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, 1.5**2 * np.eye(len(small)), atol=1e-14)
    theirs = torch.nn.init.orthogonal_(torch.empty(shape, dtype=torch.float64), 1.5).reshape(shape[0], -1)
    theirs = theirs @ theirs.T if matrix.shape[0] <= matrix.shape[1] else theirs.T @ theirs
    np.testing.assert_allclose(small, theirs, atol=1e-13)


def test_orthogonal_matrices_are_equally_likely():
    """Without the signs of R, LAPACK's Q has a negative diagonal far more often than not."""
    rng = np.random.default_rng(0)
    draws = np.array([nn.Orthogonal()((3, 3), rng) for _ in range(2000)])
    # the mean of n entries of variance 1/3
    assert np.abs(draws.mean(axis=0)).max() < 5 * math.sqrt(1 / 3 / len(draws))


def test_fan_in_is_all_that_enters_a_unit():
    draws = np.random.default_rng(0).standard_normal((8, 3, 5, 5))
    weight = nn.Kaiming(1.0)((8, 3, 5, 5), np.random.default_rng(0))
    np.testing.assert_allclose(weight, draws / math.sqrt(75), rtol=1e-15)


def test_kaiming_keeps_the_variance_from_layer_to_layer():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 400))
    for _ in range(8):
        x = nn.Sequential(nn.Linear(400, 400, rng=rng, dtype=np.float64), nn.ReLU()).forward(x)
    assert 0.5 < (x**2).mean() < 2


def test_zeros():
    np.testing.assert_array_equal(nn.Zeros()((2, 3), np.random.default_rng(0)), np.zeros((2, 3)))
    rng = np.random.default_rng(0)
    nn.Zeros()((2, 3), rng)
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


@pytest.mark.parametrize(
    ("text", "initializer"),
    [
        ("kaiming", nn.Kaiming(3.0)),
        ("normal:1e-4", nn.Normal(1e-4)),
        ("normal:2", nn.Normal(2.0)),
        ("kaiming_uniform", nn.KaimingUniform(3.0)),
        ("xavier", nn.Xavier(3.0)),
        ("xavier_uniform", nn.XavierUniform(3.0)),
        ("orthogonal", nn.Orthogonal(3.0)),
        ("uniform:0.05", nn.Uniform(0.05)),
        ("pytorch", nn.KaimingUniform(1 / math.sqrt(3))),
        ("zeros", nn.Zeros()),
        (nn.Normal(0.5), nn.Normal(0.5)),
    ],
)
def test_names(text, initializer):
    assert nn.parse_initializer(text, gain=3.0) == initializer


def test_the_default_gain_is_relus():
    assert nn.parse_initializer("kaiming") == nn.Kaiming() == nn.Kaiming(math.sqrt(2))


@pytest.mark.parametrize("text", ["glorot", "", "Kaiming", "kaiming:2", "xavier:1", "zeros:0", "normal 1"])
def test_unknown_names(text):
    message = (
        rf"init='{text}' is unknown: expected kaiming, kaiming_uniform, xavier, xavier_uniform, orthogonal, normal:STD "
        r"\(as in normal:1e-4\), uniform:LIMIT \(as in uniform:0.05\), pytorch or zeros"
    )
    with pytest.raises(ValueError, match=message):
        nn.parse_initializer(text)


@pytest.mark.parametrize("argument", ["", ":", ":a", ":1:2"])
def test_a_name_without_its_number(argument):
    with pytest.raises(ValueError, match=f"init='normal{argument}': expected a standard deviation, as in normal:1e-4"):
        nn.parse_initializer(f"normal{argument}")
    with pytest.raises(ValueError, match=f"init='uniform{argument}': expected a limit, as in uniform:0.05"):
        nn.parse_initializer(f"uniform{argument}")


@pytest.mark.parametrize("number", ["0", "-1", "nan", "inf"])
def test_numbers_that_cannot_be(number):
    message = f"normal got std={float(number)}, expected a number above 0, as in normal:1e-4"
    with pytest.raises(ValueError, match=message):
        nn.parse_initializer(f"normal:{number}")
    with pytest.raises(ValueError, match=message):
        nn.Normal(float(number))
    with pytest.raises(
        ValueError, match=f"uniform got limit={float(number)}, expected a number above 0, as in uniform"
    ):
        nn.parse_initializer(f"uniform:{number}")


# -- randomness -------------------------------------------------------------------------------------------------------


def test_a_layers_weight_is_drawn_from_the_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    a, b = nn.Linear(5, 4, rng=3), nn.Linear(5, 4, rng=np.random.default_rng(3))
    other = nn.Linear(5, 4, rng=4)
    nn.Dropout(0.5, rng=0).forward(np.ones((3, 2)))
    np.testing.assert_array_equal(a.weight.value, b.weight.value)
    assert not np.array_equal(a.weight.value, other.weight.value)
    assert a.weight.value.dtype == np.float32
    np.testing.assert_array_equal(a.bias.value, 0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_a_shared_generator_goes_on():
    rng, again = np.random.default_rng(3), np.random.default_rng(3)
    first, second = nn.Linear(3, 2, rng=rng), nn.Linear(3, 2, rng=rng)
    assert not np.array_equal(first.weight.value, second.weight.value)
    drawn = nn.Kaiming()((2, 3), again), nn.Kaiming()((2, 3), again)
    np.testing.assert_array_equal(first.weight.value, drawn[0].astype(np.float32))
    np.testing.assert_array_equal(second.weight.value, drawn[1].astype(np.float32))


def test_both_precisions_draw_the_same():
    single, double = nn.Linear(5, 4, rng=0), nn.Linear(5, 4, rng=0, dtype=np.float64)
    np.testing.assert_array_equal(single.weight.value, double.weight.value.astype(np.float32))


def test_dropout_masks_come_from_the_generator():
    x = np.ones((20, 10))
    a, b, other = nn.Dropout(0.5, rng=1), nn.Dropout(0.5, rng=np.random.default_rng(1)), nn.Dropout(0.5, rng=2)
    first = a.forward(x)
    np.testing.assert_array_equal(first, b.forward(x))
    assert not np.array_equal(first, other.forward(x))
    assert not np.array_equal(first, a.forward(x))


def test_evaluating_draws_nothing():
    layer = nn.Dropout(0.5, rng=1).eval()
    state = layer.rng.bit_generator.state
    layer.forward(np.ones((20, 10)))
    assert layer.rng.bit_generator.state == state


def test_an_initialiser_of_ones_own():
    class Ones:
        def __call__(self, shape, rng):
            return np.ones(shape)

    np.testing.assert_array_equal(nn.Linear(2, 3, init=Ones(), rng=0).weight.value, 1)
    np.testing.assert_array_equal(nn.Linear(2, 3, init="zeros", rng=0).weight.value, 0)
