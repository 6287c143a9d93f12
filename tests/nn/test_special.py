"""The error function, held to the one of the C library and to mpmath's figures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from handgrad.special import erf

X = np.concatenate([np.linspace(-7, 7, 40001), np.linspace(0.46, 0.48, 2001), [1e-300, -1e-300, 0, 26, -1e300]])


def reference(x) -> np.ndarray:
    return np.array([math.erf(v) for v in np.ravel(x)]).reshape(np.shape(x))


def test_float64():
    expected = reference(X)
    actual = erf(X)
    # 1e-15 is four units in the last place: of erf, and so of its small values too
    np.testing.assert_allclose(actual, expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_float32(dtype):
    x = X[np.abs(X) < 1e4].astype(dtype)
    actual = erf(x)
    assert actual.dtype == dtype
    expected = reference(x)
    step = np.spacing(np.abs(expected).astype(dtype)).astype(np.float64)
    assert (np.abs(actual - expected) <= 4 * step).all()
    assert np.abs(actual - expected).max() < (2e-7 if dtype == np.float32 else 2e-3)
    np.testing.assert_array_equal(np.abs(actual[np.abs(x) >= 4]), 1)


def test_values_of_the_handbook():
    """Abramowitz and Stegun (1964), table 7.1."""
    x = np.array([0.1, 0.5, 1.0, 2.0])
    table = [0.1124629160, 0.5204998778, 0.8427007929, 0.9953222650]
    np.testing.assert_allclose(erf(x), table, atol=6e-11)


def test_nan_and_infinity():
    for dtype in (np.float32, np.float64):
        x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype)
        np.testing.assert_array_equal(erf(x), [np.nan, 1, -1, 0, 0])


def test_complex_step():
    """Its own derivative, 2/√π e^(-x²), from the rational functions themselves."""
    x = np.linspace(-5.9, 5.9, 4001)
    z = x + 1e-30j
    slope = erf(z).imag / 1e-30
    np.testing.assert_allclose(slope, 2 / math.sqrt(math.pi) * np.exp(-(x**2)), atol=1e-14)
