"""Entries that differ much in size, gradients of any size, coarse types: right ones pass, wrong ones do not."""

from __future__ import annotations

import numpy as np
import pytest

from handgrad import nn
from handgrad.numerics import central_difference, gradient_check, relative_error


def softmax(z):
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def normed(x):
    return x / np.sqrt((x * x).sum(axis=-1, keepdims=True))


def normed_gradient(dy, x):
    y = normed(x)
    return (dy - y * (dy * y).sum(axis=-1, keepdims=True)) / np.sqrt((x * x).sum(axis=-1, keepdims=True))


def test_a_probability_that_is_nearly_0():
    inputs = (np.array([[1e-10, 1 - 1e-10]]), np.array([0]))
    assert gradient_check(nn.CrossEntropy(), inputs)
    wrong = type("CrossEntropy", (nn.CrossEntropy,), {"backward": lambda s: -nn.CrossEntropy.backward(s)})
    assert gradient_check(wrong(), inputs).verdict == "wrong"


@pytest.mark.parametrize("seed", range(25))
def test_cross_entropy_of_a_confident_softmax(seed):
    rng = np.random.default_rng(seed)
    inputs = (softmax(10 * rng.standard_normal((4, 5))), rng.integers(0, 5, 4))
    report = gradient_check(nn.CrossEntropy(), inputs)
    assert report, str(report)


# `real` hides a function from the complex step, so that differences have to judge.
@pytest.mark.parametrize("real", [lambda x: x, np.real], ids=["complex step", "differences"])
class TestEachEntryOnItsOwnScale:
    @pytest.mark.parametrize("small", [1e-4, 1e-8, 1e-12])
    def test_one_over_x(self, real, small):
        x = np.array([small, 1.0])

        def check(*factors):
            return gradient_check(lambda x: 1 / real(x), x, gradient=lambda dy, x: -np.array(factors) * dy / x**2)

        assert check(1.0, 1.0)
        for factor in (-1.0, 0.0, 1.001):
            assert check(factor, 1.0)["x"].index == (0,)
            if small > 1e-12:  # beside an output of 1e12, differences have no digits left for 1 / 1
                assert check(1.0, factor)["x"].index == (1,)

    def test_rows_over_their_norm(self, real):
        x = np.random.default_rng(0).standard_normal((3, 4))
        x[1] *= 1e-8
        x[1, 2] = 0.0
        assert gradient_check(lambda x: normed(real(x)), x, gradient=normed_gradient)
        for row in range(3):
            factor = np.ones((3, 1))
            factor[row] = 1.001
            wrong = gradient_check(
                lambda x: normed(real(x)), x, gradient=lambda dy, x, f=factor: f * normed_gradient(dy, x)
            )
            assert wrong.verdict == "wrong"
            assert wrong["x"].index[0] == row

    @pytest.mark.parametrize("size", [1e-12, 1e-20, 1e-100, 1e12, 1e100])
    def test_gradients_of_any_size(self, real, size):
        x = np.random.default_rng(0).standard_normal((3, 2))
        for factor, verdict in ((1.0, "right"), (-1.0, "wrong"), (1.001, "wrong"), (0.0, "wrong")):
            report = gradient_check(
                lambda x: size * np.sin(real(x)), x, gradient=lambda dy, x, f=factor: f * size * dy * np.cos(x)
            )
            assert report.verdict == verdict, str(report)

    def test_a_small_gradient_beside_a_large_output_is_not_called_right(self, real):
        """1e-14 x + 1: the output's rounding hides it from differences."""
        x = np.random.default_rng(0).standard_normal((3, 2))
        report = gradient_check(lambda x: 1e-14 * real(x) + 1, x, gradient=lambda dy, x: -1e-14 * dy)
        assert report.verdict != "right"


def test_central_difference_follows_each_entry():
    x = np.array([1e-9, 1.0, 1e6])
    assert relative_error(x**2 * central_difference(lambda x: 1 / x, x, np.ones(3)), -np.ones(3)) < 1e-6


class Half:
    """tanh(x w) in float16 from end to end, or with results in float64 again."""

    def __init__(self, seed, out):
        self.params = {"w": np.random.default_rng(seed).standard_normal((3, 4)).astype(np.float16)}
        self.grads, self.out, self.factor = {}, out, 1.0

    def forward(self, x):
        self.x = x.astype(np.float16)
        self.y = np.tanh(self.x @ self.params["w"].astype(np.float16))
        return self.y.astype(self.out)

    def backward(self, dy):
        d = np.float16(self.factor) * dy.astype(np.float16) * (1 - self.y * self.y)
        self.grads["w"] = (self.x.T @ d).astype(self.out)
        return (d @ self.params["w"].astype(np.float16).T).astype(self.out)


@pytest.mark.parametrize("out", [np.float16, np.float64])
def test_float16_inside(out):
    for seed in range(20):
        x, layer = np.random.default_rng(seed).standard_normal((4, 3)), Half(seed, out)
        report = gradient_check(layer, x)
        assert report.verdict == "cannot judge", str(report)
        assert "float16" in report["x"].reason
        layer.factor = 10.0
        assert gradient_check(layer, x).verdict == "wrong"


@pytest.mark.parametrize("real", [lambda x: x, np.real], ids=["complex step", "differences"])
def test_one_wrong_entry_of_100_000(real):
    class Linear:
        def __init__(self, bug):
            self.params, self.grads = {"w": np.random.default_rng(0).standard_normal((400, 250))}, {}
            self.bug = bug

        def forward(self, x):
            self.x = x
            return real(x) @ real(self.params["w"])

        def backward(self, dy):
            self.grads["w"] = self.x.T @ dy
            if self.bug:
                self.grads["w"][123, 45] *= self.bug
            return dy @ self.params["w"].T

    x = np.random.default_rng(1).standard_normal((3, 400))
    assert gradient_check(Linear(None), x)
    for bug in (-1.0, 1.01):
        wrong = gradient_check(Linear(bug), x)
        assert wrong["w"].verdict == "wrong"
        assert wrong["w"].index == (123, 45)
        assert "(1 of 51 entries are wrong)" in wrong["w"].reason


def test_many_kinks_among_what_is_not_sampled_are_said():
    x = np.random.default_rng(0).standard_normal(1000)
    x[1:900] = 0.0
    report = gradient_check(np.abs, x, gradient=lambda dy, x: dy * np.sign(x), samples=20)
    assert report.verdict == "right"
    assert "not sampled lie on kinks" in report["x"].reason


FUNCTIONS = {
    "sin": (np.sin, np.cos),
    "1/x": (lambda x: 1 / x, lambda x: -1 / x**2),
    "log": (lambda x: np.log(np.abs(x)), lambda x: 1 / x),
    "relu": (lambda x: np.maximum(x, 0), lambda x: 1.0 * (x > 0)),
    "|x|^3": (lambda x: np.abs(x) ** 3, lambda x: 3 * x * np.abs(x)),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "root": (lambda x: np.sqrt(1 + x * x), lambda x: x / np.sqrt(1 + x * x)),
    "leaky": (lambda x: np.where(np.real(x) > 0, x, 0.1 * x), lambda x: np.where(x > 0, 1.0, 0.1)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_at_random_over_many_scales(name):
    """Right gradients are never called wrong. One wrong entry is never called right, unless its gradient is less than
    1/100 of the largest one or of the output: a small one that backward gives as 0 may pass for one that vanishes."""
    function, derivative = FUNCTIONS[name]
    judged = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        shape = (int(rng.integers(1, 4)), 3)
        x = rng.standard_normal(shape) * 10.0 ** rng.uniform(-6, 1, (1, 3)) * 10 ** rng.uniform(-2, 1)
        x = x.astype(np.float32 if seed % 3 == 0 else np.float64)
        size, weight = 10.0 ** rng.uniform(-12, 12), rng.standard_normal((3, 3)) if seed % 2 else np.eye(3)
        real = np.real if seed % 5 < 2 else np.asarray

        def forward(x, weight=weight, size=size, real=real):
            return function(real(x)) @ weight * size

        def gradient(dy, x, weight=weight, size=size):
            return (dy @ weight.T) * derivative(x) * size

        report = gradient_check(forward, x, gradient=gradient, seed=seed)
        assert report.verdict != "wrong", f"{seed}\n{report}"
        judged += report.verdict == "right"

        i, factor = (int(rng.integers(shape[0])), int(rng.integers(3))), (-1.0, 0.0, 1.01, 2.0)[seed % 4]
        sizes = abs(gradient(np.ones(shape), x.astype(np.float64)))
        if sizes[i] <= 1e-2 * max(sizes.max(), abs(forward(x.astype(np.float64))).max()):
            continue

        def bug(dy, x, i=i, factor=factor, gradient=gradient):
            dx = gradient(dy, x)
            dx[i] *= factor
            return dx

        assert gradient_check(forward, x, gradient=bug, seed=seed).verdict != "right", seed
    assert judged >= 23
