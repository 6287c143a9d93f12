"""Right derivations with one bug each: every one is called wrong, in the right place."""

from __future__ import annotations

import numpy as np
import pytest

from handgrad.numerics import gradient_check, relative_error


def mutant(kind, backward):
    """The layer with another backward."""
    return type(kind.__name__, (kind,), {"backward": backward})()


def linear(dx=lambda s, dy: dy @ s.weight.value, dw=lambda s, dy: dy.T @ s.x, db=lambda s, dy: dy.sum(axis=0)):
    def backward(self, dy):
        self.weight.grad, self.bias.grad = dw(self, dy), db(self, dy)
        return dx(self, dy)

    return backward


def batchnorm(
    dx=lambda s, d: (d - d.mean(0) - s.xhat * (d * s.xhat).mean(0)) / s.std,
    dgamma=lambda s, dy: (dy * s.xhat).sum(0),
    dbeta=lambda s, dy: dy.sum(0),
    scale=lambda s, dy: dy * s.gamma.value,
):
    def backward(self, dy):
        self.gamma.grad, self.beta.grad = dgamma(self, dy), dbeta(self, dy)
        return dx(self, scale(self, dy))

    return backward


def one_entry(self, dy):
    dw = dy.T @ self.x
    dw[1, 2] *= 1 + 1e-4
    return dw


# layer, its backward with a bug, the part that is wrong, what the reason has to say
LINEAR_BUGS = {
    "right": (linear(), None, ""),
    "sign of dx": (linear(dx=lambda s, dy: -dy @ s.weight.value), "x", "the sign is reversed"),
    "transposed square weight in dx": (linear(dx=lambda s, dy: dy @ s.weight.value.T), "x", "entries are wrong"),
    "transposed dw": (linear(dw=lambda s, dy: s.x.T @ dy), "weight", "backward gives its transpose"),
    "dw averaged": (linear(dw=lambda s, dy: dy.T @ s.x / len(dy)), "weight", "every entry is 1/5 of the derivative"),
    "dw times N": (linear(dw=lambda s, dy: dy.T @ s.x * len(dy)), "weight", "every entry is 5 times the derivative"),
    "dw halved": (linear(dw=lambda s, dy: 0.375 * (dy.T @ s.x)), "weight", "every entry is 0.375 times the derivative"),
    "db averaged": (linear(db=lambda s, dy: dy.mean(0)), "bias", "every entry is 1/5 of the derivative"),
    "db zero": (linear(db=lambda s, dy: np.zeros(3)), "bias", "backward returns 0 everywhere"),
    "db missing": (linear(db=lambda s, dy: None), "bias", r"never stores its gradient \(it is None\)"),
    "db unsummed": (linear(db=lambda s, dy: dy), "bias", r"backward gives shape \(5, 3\), expected \(3,\)"),
    "db with keepdims": (linear(db=lambda s, dy: dy.sum(0, keepdims=True)), "bias", r"gives shape \(1, 3\)"),
    "db over the features": (linear(db=lambda s, dy: dy.sum(1)), "bias", r"backward gives shape \(5,\)"),
    "dx from the weight's gradient": (linear(dx=lambda s, dy: dy @ s.weight.grad), "x", "entries are wrong"),
    "no dx": (linear(dx=lambda s, dy: None), "x", "backward returns None"),
    "dx summed over the batch": (linear(dx=lambda s, dy: (dy @ s.weight.value).sum(0)), "x", r"gives shape \(3,\)"),
    "nan in dw": (linear(dw=lambda s, dy: dy.T @ s.x * np.nan), "weight", r"backward gives nan in weight\[0, 0\]"),
    "one entry, 1e-4": (linear(dw=one_entry), "weight", r"in weight\[1, 2\]"),
}


@pytest.mark.parametrize("bug", LINEAR_BUGS)
def test_bugs_in_linear(zoo, x, bug):
    backward, wrong, reason = LINEAR_BUGS[bug]
    report = gradient_check(mutant(zoo.Linear, backward), x)
    assert {part.name: part.verdict for part in report} == {
        name: "wrong" if name == wrong else "right" for name in ("x", "weight", "bias")
    }
    assert bool(report) is (wrong is None)
    assert report.verdict == ("right" if wrong is None else "wrong")
    if wrong:
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(report[wrong].reason)


BATCHNORM_BUGS = {
    "right": (batchnorm(), None),
    "mean constant": (batchnorm(dx=lambda s, d: (d - s.xhat * (d * s.xhat).mean(0)) / s.std), "x"),
    "variance constant": (batchnorm(dx=lambda s, d: (d - d.mean(0)) / s.std), "x"),
    "mean and variance constant": (batchnorm(dx=lambda s, d: d / s.std), "x"),
    "wrong axis": (batchnorm(dx=lambda s, d: (d - d.mean() - s.xhat * (d * s.xhat).mean(0)) / s.std), "x"),
    "Bessel": (
        batchnorm(dx=lambda s, d: (d - d.mean(0) - s.xhat * (d * s.xhat).sum(0) / (len(d) - 1)) / s.std),
        "x",
    ),
    "gamma forgotten": (batchnorm(scale=lambda s, dy: dy), "x"),
    "variance in place of its root": (
        batchnorm(dx=lambda s, d: (d - d.mean(0) - s.xhat * (d * s.xhat).mean(0)) / s.std**2),
        "x",
    ),
    "dgamma averaged": (batchnorm(dgamma=lambda s, dy: (dy * s.xhat).mean(0)), "gamma"),
    "dgamma from x-hat's size": (batchnorm(dgamma=lambda s, dy: (dy * np.abs(s.xhat)).sum(0)), "gamma"),
    "dbeta averaged": (batchnorm(dbeta=lambda s, dy: dy.mean(0)), "beta"),
}


@pytest.mark.parametrize("bug", BATCHNORM_BUGS)
def test_bugs_in_batchnorm(zoo, x, bug):
    backward, wrong = BATCHNORM_BUGS[bug]
    report = gradient_check(mutant(zoo.BatchNorm, backward), x)
    assert {part.name: part.verdict for part in report} == {
        name: "wrong" if name == wrong else "right" for name in ("x", "gamma", "beta")
    }


def test_the_average_that_stays_out_is_seen_as_a_ratio(zoo, x):
    report = gradient_check(mutant(zoo.BatchNorm, BATCHNORM_BUGS["dgamma averaged"][0]), x)
    assert report["gamma"].reason.endswith("every entry is 1/5 of the derivative")


ACTIVATION_BUGS = {
    "softmax, diagonal only": ("Softmax", lambda s, dy: dy * s.y * (1 - s.y)),
    "softmax, off-diagonal with a plus": ("Softmax", lambda s, dy: s.y * (dy + (dy * s.y).sum(1, keepdims=True))),
    "softmax, over the batch": ("Softmax", lambda s, dy: s.y * (dy - (dy * s.y).sum(0, keepdims=True))),
    "softmax, passed on": ("Softmax", lambda s, dy: dy),
    "softmax, factor y missing": ("Softmax", lambda s, dy: dy - (dy * s.y).sum(1, keepdims=True)),
    "tanh, at y": ("Tanh", lambda s, dy: dy * (1 - np.tanh(s.y) ** 2)),
    "tanh, the function": ("Tanh", lambda s, dy: dy * s.y),
    "tanh, no square": ("Tanh", lambda s, dy: dy * (1 - s.y)),
    "tanh, no dy": ("Tanh", lambda s, dy: 1 - s.y**2),
    "relu, no derivative": ("ReLU", lambda s, dy: dy),
    "relu, the function": ("ReLU", lambda s, dy: dy * np.maximum(s.x, 0)),
    "relu, of dy": ("ReLU", lambda s, dy: np.maximum(dy, 0)),
    "relu, integer dy": ("ReLU", lambda s, dy: (dy * (s.x > 0)).astype(int)),
}


@pytest.mark.parametrize("bug", ACTIVATION_BUGS)
def test_bugs_in_activations(zoo, x, bug):
    name, backward = ACTIVATION_BUGS[bug]
    assert gradient_check(getattr(zoo, name)(), x)
    report = gradient_check(mutant(getattr(zoo, name), backward), x)
    assert report["x"].verdict == "wrong"
    assert report["x"].method == "complex step"


LOSS_BUGS = {
    "1/N missing": lambda s: s.p - s.target,
    "1/N twice": lambda s: (s.p - s.target) / len(s.p) ** 2,
    "1/(N K)": lambda s: (s.p - s.target) / s.p.size,
    "sign": lambda s: (s.target - s.p) / len(s.p),
    "target forgotten": lambda s: s.p / len(s.p),
    "without softmax": lambda s: -s.target / s.p / len(s.p),
}


@pytest.mark.parametrize("bug", LOSS_BUGS)
def test_bugs_in_a_loss(zoo, x, bug):
    report = gradient_check(mutant(zoo.CrossEntropy, LOSS_BUGS[bug]), (x, np.array([0, 2, 1, 1, 0])))
    assert report.verdict == "wrong"
    if bug == "1/(N K)":
        assert "every entry is 1/3 of the derivative" in report["x"].reason


def test_index_and_amount(zoo, x):
    """The entry that is wrong, both values there, and the error as relative_error gives it."""

    def backward(self, dy):
        dx = dy * (1 - self.y**2)
        dx[3, 1] += 0.25
        self.given = dx
        return dx

    part = gradient_check(mutant(zoo.Tanh, backward), x, draws=1)["x"]
    assert part.index == (3, 1)
    assert part.analytic is not None
    assert part.numeric is not None
    assert part.analytic - part.numeric == pytest.approx(0.25)
    assert "(1 of 15 entries are wrong)" in part.reason

    dys = []
    layer = mutant(zoo.Tanh, lambda self, dy: (dys.append(dy.copy()), backward(self, dy))[1])
    error = gradient_check(layer, x, draws=1)["x"].error
    right = dys[-1] * (1 - np.tanh(x) ** 2)
    wrong = right.copy()
    wrong[3, 1] += 0.25
    assert error == pytest.approx(relative_error(wrong, right), rel=1e-9)


def test_bugs_that_only_differences_can_see(x):
    """np.abs has no complex step: the same bugs, by differences."""
    right = {"gradient": lambda dy, x: dy * np.sign(x)}
    report = gradient_check(np.abs, x, **right)
    assert report
    assert report["x"].method == "central differences"
    for factor in (-1, 2, 0.2, 0, 1 + 1e-4):
        assert gradient_check(np.abs, x, gradient=lambda dy, x, f=factor: f * dy * np.sign(x)).verdict == "wrong"


def test_an_upstream_gradient_of_ones_would_not_do(zoo, x):
    """With dy = 1 a normalisation's dx is 0, and so is this one."""
    assert gradient_check(mutant(zoo.BatchNorm, batchnorm(dx=lambda s, d: d * 0)), x)["x"].verdict == "wrong"


def test_a_wrong_gradient_is_not_excused_by_a_kink_elsewhere(zoo, x):
    x[2, 2] = 0.0
    report = gradient_check(mutant(zoo.ReLU, lambda s, dy: 1.001 * dy * (s.x > 0)), x)
    assert report["x"].verdict == "wrong"
    assert report["x"].checked == 14


@pytest.mark.parametrize("distance", [1e-1, 1e-3, 1e-5, 1e-7])
def test_a_wrong_gradient_is_not_excused_by_a_kink_nearby(distance):
    x = np.array([distance, -distance, 1.0])
    report = gradient_check(lambda x: np.maximum(x, 0.2 * x), x, gradient=lambda dy, x: dy * np.where(x > 0, 1, -0.2))
    assert report["x"].verdict == "wrong"
    assert report["x"].index == (1,)


def test_steep_but_smooth_is_no_kink():
    x = np.array([1e-4, -2e-4, 5e-4])
    for gain in (1e2, 1e4):
        f = lambda x, a=gain: np.abs(1 + np.tanh(a * x))  # noqa: E731
        slope = lambda x, a=gain: a * (1 - np.tanh(a * x) ** 2)  # noqa: E731
        assert gradient_check(f, x, gradient=lambda dy, x, s=slope: dy * s(x))
        assert gradient_check(f, x, gradient=lambda dy, x, s=slope: 1.01 * dy * s(x)).verdict == "wrong"
