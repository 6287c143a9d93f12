"""Numerical derivatives against functions whose derivative is known."""

from __future__ import annotations

import numpy as np
import pytest

from handgrad.numerics import central_difference, complex_step, relative_error
from handgrad.numerics.derivatives import swept_slope, variable_scale


def test_relative_error_by_hand():
    assert relative_error(np.array([1.0, -4.0]), np.array([1.0, -3.0])) == pytest.approx(1 / 4)
    assert relative_error(2.0, 1.0) == pytest.approx(1 / 2)
    assert relative_error(np.array([0.0]), np.array([1e-9])) == pytest.approx(0.1)  # the 1e-8
    assert relative_error(np.zeros((0, 3)), np.zeros((0, 3))) == 0.0
    assert np.isnan(relative_error(np.array([np.nan]), np.array([1.0])))


def test_relative_error_does_not_broadcast():
    with pytest.raises(ValueError, match=r"a.shape=\(3,\) and b.shape=\(1, 3\) differ"):
        relative_error(np.ones(3), np.ones((1, 3)))


X = np.array([[0.3, -1.2, 2.0], [0.7, 0.1, -0.4]])
CASES = {
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "exp": (np.exp, np.exp),
    "cube": (lambda x: x**3, lambda x: 3 * x**2),
    "squire and trapp": (
        lambda x: np.exp(x) / (np.sin(x) ** 3 + np.cos(x) ** 3 + 2),
        lambda x: (
            np.exp(x)
            * (np.sin(x) ** 3 + np.cos(x) ** 3 + 2 - 3 * np.sin(x) ** 2 * np.cos(x) + 3 * np.cos(x) ** 2 * np.sin(x))
            / (np.sin(x) ** 3 + np.cos(x) ** 3 + 2) ** 2
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_both_derivatives_of_known_functions(name):
    function, derivative = CASES[name]
    dy = np.random.default_rng(0).standard_normal(X.shape)
    before = X.copy()
    expected = dy * derivative(X)
    assert relative_error(complex_step(function, X, dy), expected) < 1e-15
    assert relative_error(central_difference(function, X, dy), expected) < 1e-11
    assert relative_error(central_difference(function, X, dy, step=1e-5), expected) < 1e-9
    np.testing.assert_array_equal(X, before)


def test_scalar_functions_need_no_dy():
    expected = 2 * X
    assert relative_error(complex_step(lambda x: np.sum(x**2), X), expected) < 1e-15
    assert relative_error(central_difference(lambda x: np.sum(x**2), X), expected) < 1e-11
    assert complex_step(lambda x: x**2, np.array(3.0)) == pytest.approx(6.0)
    assert central_difference(lambda x: np.sum(x), np.zeros((0, 3))).shape == (0, 3)


def test_a_jacobian_row_by_row():
    matrix = np.random.default_rng(1).standard_normal((4, 3))
    x = np.array([0.2, -0.5, 1.0])
    for row, dy in zip(matrix, np.eye(4), strict=True):
        np.testing.assert_allclose(complex_step(lambda x: matrix @ x, x, dy), row, rtol=1e-14)
        np.testing.assert_allclose(central_difference(lambda x: matrix @ x, x, dy), row, rtol=1e-10)


def test_the_step_has_the_textbook_error():
    """h^2 f'''/6 while h is large: a tenth of the step has a hundredth of the error."""
    errors = [abs(central_difference(np.exp, np.array(0.0), np.array(1.0), step=h) - 1.0) for h in (1e-1, 1e-2)]
    assert errors[0] == pytest.approx(1e-2 / 6, rel=1e-2)
    assert errors[1] == pytest.approx(1e-4 / 6, rel=1e-2)


def test_the_derivatives_refuse_what_they_cannot_do():
    with pytest.raises(TypeError, match=r"gives float64 for a complex128 input.*use central_difference"):
        complex_step(np.abs, X, np.ones_like(X))
    with pytest.raises(TypeError, match="drops the imaginary part"):
        complex_step(lambda x: np.tanh(x.astype(np.float64)), X, np.ones_like(X))
    with pytest.raises(ValueError, match=r"output has shape \(2, 3\): pass dy of that shape"):
        complex_step(np.tanh, X)
    with pytest.raises(ValueError, match=r"dy.shape=\(3,\) must be the shape of the function's output, \(2, 3\)"):
        central_difference(np.tanh, X, np.ones(3))
    with pytest.raises(ValueError, match=r"step=-0.1 must be positive"):
        central_difference(np.tanh, X, np.ones_like(X), step=-0.1)


ONE = np.ones((1, 1))


def slope_of(function, x, **options):
    return swept_slope(lambda v: np.array([function(v)]), x, ONE, **options)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_the_sweep_finds_the_scale(scale):
    slope = slope_of(lambda v: np.sin(v / scale), 0.7 * scale, scale=scale, target=np.array([1e-10 / scale]))
    assert abs(slope.value[0] * scale - np.cos(0.7)) < 1e-9
    assert abs(slope.value[0] * scale - np.cos(0.7)) < 10 * slope.error[0] * scale + 1e-15
    assert not slope.kink[0]


def test_the_error_estimate_is_honest():
    """Over many smooth functions the true error stays within a few estimated ones."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        (a, b), x = rng.uniform(0.1, 5, 2), float(rng.normal())
        slope = slope_of(lambda v, a=a, b=b: np.tanh(a * v) * np.exp(np.sin(b * v)), x)
        true = np.exp(np.sin(b * x)) * (a * (1 - np.tanh(a * x) ** 2) + np.tanh(a * x) * b * np.cos(b * x))
        assert abs(slope.value[0] - true) < 3 * slope.error[0]
        assert slope.error[0] < 1e-8 * (1 + abs(true))


def test_a_kink_is_seen_with_both_slopes():
    slope = slope_of(lambda v: np.where(v > 0.25, 3 * v, 1.0 - v), 0.25)
    assert slope.kink[0]
    assert slope.error[0] > 1
    assert slope.left[0] == pytest.approx(-1, abs=1e-3)
    assert slope.right[0] == pytest.approx(3, abs=1e-3)


@pytest.mark.parametrize("distance", [1e-1, 1e-2, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_kink_nearby_is_resolved_by_smaller_steps(distance, side):
    slope = slope_of(lambda v: np.maximum(v, 0) + 0.5 * v, side * distance, target=np.array([1e-9]))
    assert abs(slope.value[0] - (1.5 if side > 0 else 0.5)) < 1e-6
    assert slope.error[0] < 1e-6


def test_a_smooth_bend_is_no_kink():
    for width in (1e-1, 1e-2, 1e-3):
        slope = slope_of(lambda v, w=width: w * np.logaddexp(0, v / w), width / 3)
        assert not slope.kink[0]
        assert abs(slope.value[0] - 1 / (1 + np.exp(-1 / 3))) < 10 * slope.error[0] < 1e-5


def test_steps_outside_the_domain_are_left_out():
    with np.errstate(invalid="ignore"):
        slope = slope_of(np.log, 1e-3)
        assert slope.value[0] == pytest.approx(1e3, rel=1e-9)
        nowhere = slope_of(np.sqrt, 0.0)
    assert np.isnan(nowhere.value[0])
    assert np.isinf(nowhere.error[0])


def test_rounding_is_part_of_the_error():
    for x in np.random.default_rng(0).standard_normal(300):
        slope = slope_of(lambda v: v + 1e12, float(x))
        assert abs(slope.value[0] - 1) < slope.error[0]
        assert slope.error[0] > 1e-4
        assert not slope.kink[0]


def test_noise_is_no_kink():
    for x in np.random.default_rng(0).standard_normal(300):
        assert not slope_of(lambda v: float(np.float32(np.sin(v))), float(x)).kink[0]


def test_rounding_to_float32_inside_is_no_derivative_of_zero():
    """Below float32's spacing the function is flat, and differences converge to 0: larger steps know better."""
    slope = slope_of(lambda v: float(np.float32(v)) ** 2, 0.7)
    assert slope.contradicted[0] or abs(slope.value[0] - 1.4) < 10 * slope.error[0] < 1e-3


def test_the_error_estimate_is_honest_about_noise():
    """Noise of 1e-9 in the function: the estimate stays near what that noise allows, and covers the true error."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        x = float(rng.normal())
        slope = slope_of(lambda v: np.sin(v) + 1e-9 * rng.uniform(-1, 1), x)
        assert abs(slope.value[0] - np.cos(x)) < 5 * slope.error[0]
        assert 1e-9 < slope.error[0] < 1e-4


def test_variable_scale():
    assert variable_scale(np.array([3.0, 4.0])) == pytest.approx(np.sqrt(12.5))
    assert variable_scale(np.zeros(3)) == 1.0
    assert variable_scale(np.zeros(0)) == 1.0
    assert variable_scale(np.array([np.inf, 1.0])) == 1.0
