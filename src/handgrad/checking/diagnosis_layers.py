"""Models of the basic layers with their known bugs: a `Subject` for every array that a layer of a hand-in returns.

Each model is the formula in float64, with an option for every slip. Without options it computes the right value. The
symbols in the formulas: x the input, y the output, dy the upstream gradient, dx the gradient with respect to x.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checking.diagnosis import NOT_AVERAGED, Array, Draw, Slip, Subject, slip

# ---------------------------------------------------------------------------------------------------------------------
# Activations, element by element. `p` is the slope of LeakyReLU, or the alpha of ELU.


def _gelu_inner(x: Array) -> Array:
    """The argument of the tanh in the approximation of GELU."""
    return np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)


def _sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0, -x))


erf = np.vectorize(math.erf, otypes=[float])

Forms = dict[str, Callable[[Array, float], Array]]

FORWARD: dict[str, Forms] = {
    "identity": {"right": lambda x, p: x, "negative": lambda x, p: -x, "ones": lambda x, p: np.ones_like(x)},
    "sigmoid": {
        "right": lambda x, p: _sigmoid(x),
        "1 / (1 + exp(x))": lambda x, p: _sigmoid(-x),
        "1 / (1 - exp(-x))": lambda x, p: 1 / (1 - np.exp(-x)),
        "1 + exp(-x)": lambda x, p: 1 + np.exp(-x),
        "exp(-x)": lambda x, p: np.exp(-x),
        "1 / (1 + exp(-2 * x))": lambda x, p: _sigmoid(2 * x),
        "tanh(x)": lambda x, p: np.tanh(x),
        "s * (1 - s)": lambda x, p: _sigmoid(x) * _sigmoid(-x),
    },
    "tanh": {
        "right": lambda x, p: np.tanh(x),
        "tanh(-x)": lambda x, p: np.tanh(-x),
        "sigmoid(x)": lambda x, p: _sigmoid(x),
        "tanh(x / 2)": lambda x, p: np.tanh(x / 2),
        "tanh(2 * x)": lambda x, p: np.tanh(2 * x),
        "(exp(x) + exp(-x)) / (exp(x) - exp(-x))": lambda x, p: 1 / np.tanh(x),
        "(exp(x) - exp(-x)) / 2": lambda x, p: np.sinh(x),
        "exp(x) - exp(-x)": lambda x, p: 2 * np.sinh(x),
        "1 - tanh(x)**2": lambda x, p: 1 - np.tanh(x) ** 2,
    },
    "relu": {
        "right": lambda x, p: np.maximum(x, 0),
        "min(x, 0)": lambda x, p: np.minimum(x, 0),
        "max(-x, 0)": lambda x, p: np.maximum(-x, 0),
        "abs(x)": lambda x, p: np.abs(x),
        "x": lambda x, p: x,
        "x > 0": lambda x, p: (x > 0) * 1.0,
        "min(max(x, 0), 1)": lambda x, p: np.clip(x, 0, 1),
        "max(x, 0.01 * x)": lambda x, p: np.maximum(x, 0.01 * x),
        "max(x, 1)": lambda x, p: np.maximum(x, 1),
        "max(x, max(0, mean))": lambda x, p: np.maximum(x, max(0.0, float(x.mean()))),
        "log(1 + exp(x))": lambda x, p: np.logaddexp(0, x),
    },
    "leaky": {
        "right": lambda x, p: np.where(x > 0, x, p * x),
        "x if x > 0 else -slope * x": lambda x, p: np.where(x > 0, x, -p * x),
        "max(x, 0)": lambda x, p: np.maximum(x, 0),
        "x if x > 0 else 0.01 * x": lambda x, p: np.where(x > 0, x, 0.01 * x),
        "x if x > 0 else 0.02 * x": lambda x, p: np.where(x > 0, x, 0.02 * x),
        "x if x > 0 else slope": lambda x, p: np.where(x > 0, x, p),
        "slope * x if x > 0 else x": lambda x, p: np.where(x > 0, p * x, x),
        "slope * x": lambda x, p: p * x,
        "x": lambda x, p: x,
        "x if x > 0 else slope + x": lambda x, p: np.where(x > 0, x, p + x),
        "max(x, slope)": lambda x, p: np.maximum(x, p),
        "max(x, 0) + slope * x": lambda x, p: np.maximum(x, 0) + p * x,
        "slope * x if x < 0 else 0": lambda x, p: np.where(x < 0, p * x, 0),
        "x if x > 0 else x / slope": lambda x, p: np.where(x > 0, x, x / p),
    },
    "elu": {
        "right": lambda x, p: np.where(x > 0, x, p * np.expm1(np.minimum(x, 0))),
        "x if x > 0 else exp(x)": lambda x, p: np.where(x > 0, x, np.exp(np.minimum(x, 0))),
        "x if x > 0 else alpha * exp(x)": lambda x, p: np.where(x > 0, x, p * np.exp(np.minimum(x, 0))),
        "x if x > 0 else exp(x) - 1": lambda x, p: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        "x if x > 0 else alpha * exp(x) - 1": lambda x, p: np.where(x > 0, x, p * np.exp(np.minimum(x, 0)) - 1),
        "x if x > 0 else exp(x) - alpha": lambda x, p: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - p),
        "x if x > 0 else alpha * (1 - exp(x))": lambda x, p: np.where(x > 0, x, -p * np.expm1(np.minimum(x, 0))),
        "x if x > 0 else alpha * (exp(x) + 1)": lambda x, p: np.where(x > 0, x, p * (np.exp(np.minimum(x, 0)) + 1)),
        "x if x > 0 else alpha * (exp(-x) - 1)": lambda x, p: np.where(x > 0, x, p * np.expm1(-np.minimum(x, 0))),
        "x if x > 0 else alpha * x": lambda x, p: np.where(x > 0, x, p * x),
        "alpha * (exp(x) - 1)": lambda x, p: p * np.expm1(x),
        "max(x, 0)": lambda x, p: np.maximum(x, 0),
        "alpha * (exp(x) - 1) if x > 0 else x": lambda x, p: np.where(x > 0, p * np.expm1(x), x),
        "max(x, 0) + alpha * (exp(x) - 1)": lambda x, p: np.maximum(x, 0) + p * np.expm1(x),
        "x if x > 0 else alpha * (exp(1) - 1)": lambda x, p: np.where(x > 0, x, p * np.expm1(1.0)),
        "x if x > 0 else alpha * (exp(alpha * x) - 1)": lambda x, p: np.where(
            x > 0, x, p * np.expm1(p * np.minimum(x, 0))
        ),
        "x if x > 0 else alpha * exp(x - 1)": lambda x, p: np.where(x > 0, x, p * np.exp(np.minimum(x, 0) - 1)),
        "x": lambda x, p: x,
    },
    "gelu": {
        "right": lambda x, p: 0.5 * x * (1 + erf(x / np.sqrt(2))),
        "x / 2 * (1 + erf(x))": lambda x, p: 0.5 * x * (1 + erf(x)),
        "x * (1 + erf(x / sqrt(2)))": lambda x, p: x * (1 + erf(x / np.sqrt(2))),
        "x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))": lambda x, p: (
            0.5 * x * (1 + np.tanh(_gelu_inner(x)))
        ),
        "x * sigmoid(1.702 * x)": lambda x, p: x * _sigmoid(1.702 * x),
        "(1 + erf(x / sqrt(2))) / 2": lambda x, p: 0.5 * (1 + erf(x / np.sqrt(2))),
        "x * sigmoid(x)": lambda x, p: x * _sigmoid(x),
        "max(x, 0)": lambda x, p: np.maximum(x, 0),
    },
    "silu": {"right": lambda x, p: x * _sigmoid(x)},
    "softplus": {"right": lambda x, p: np.logaddexp(0, x)},
    "softsign": {"right": lambda x, p: x / (1 + np.abs(x))},
}

#: The bug that each wrong form indicates. All other wrong forms are `wrong-function`.
_FORWARD_BUGS = {
    "1 / (1 + exp(x))": "exponent-sign",
    "1 / (1 - exp(-x))": "sign-inside",
    "tanh(-x)": "sign-inside",
    "s * (1 - s)": "derivative-for-function",
    "1 - tanh(x)**2": "derivative-for-function",
    "x > 0": "derivative-for-function",
    "min(max(x, 0), 1)": "output-clipped",
    "x if x > 0 else -slope * x": "slope-sign",
    "x if x > 0 else 0.01 * x": "slope-ignored",
    "x if x > 0 else 0.02 * x": "slope-ignored",
    "x if x > 0 else alpha * (1 - exp(x))": "sign-inside",
    "x if x > 0 else alpha * (exp(x) + 1)": "sign-inside",
    "x if x > 0 else alpha * (exp(-x) - 1)": "exponent-sign",
    "x if x > 0 else exp(x) - 1": "alpha-ignored",
    "x if x > 0 else alpha * exp(x) - 1": "alpha-misplaced",
    "x if x > 0 else exp(x) - alpha": "alpha-misplaced",
    "x if x > 0 else exp(x)": "elu-minus-one-missing",
    "x if x > 0 else alpha * exp(x)": "elu-minus-one-missing",
    "slope * x if x > 0 else x": "branches-exchanged",
    "alpha * (exp(x) - 1) if x > 0 else x": "branches-exchanged",
    "min(x, 0)": "branches-exchanged",
}
_FORWARD_BUGS_OF = {
    ("leaky", "max(x, 0)"): "slope-ignored",
    ("elu", "max(x, 0)"): "wrong-function",
}


def _slips_of_forms(
    kind: str, bugs: Mapping[str, str], of: Mapping[tuple[str, str], str], default: str, forms: Mapping[str, Any]
):
    return tuple(
        slip(of.get((kind, form), bugs.get(form, default)), form, form=form) for form in forms if form != "right"
    )


def activation_forward(kind: str) -> Subject:
    """y = f(x). The draw: x, p."""
    forms = FORWARD[kind]

    def compute(draw: Draw, form: str = "right", whole: bool = False) -> Array:
        y = forms[form](draw.x, getattr(draw, "p", 0.0))
        return truncate_like_first(y) if whole else y

    slips = _slips_of_forms(kind, _FORWARD_BUGS, _FORWARD_BUGS_OF, "wrong-function", forms)
    return Subject(
        "the output",
        compute,
        (*slips, slip("whole-numbers", "the output truncated to integers", whole=True)),
        factors={"0": "all-zero", **NOT_AVERAGED},
    )


def truncate_like_first(values: Array) -> Array:
    """Truncates all values to integers if the first one is an integer, as np.vectorize does."""
    return np.trunc(values) if float(values.flat[0]).is_integer() else values


Derivatives = dict[str, Callable[[Array, Array, float], Array]]

#: The derivative as a function of the input x and the output y.
BACKWARD: dict[str, Derivatives] = {
    "identity": {
        "right": lambda x, y, p: np.ones_like(x),
        "x": lambda x, y, p: x,
    },
    "sigmoid": {
        "right": lambda x, y, p: y * (1 - y),
        "y": lambda x, y, p: y,
        "1": lambda x, y, p: np.ones_like(x),
        "x * (1 - x)": lambda x, y, p: x * (1 - x),
        "sigmoid(y) * (1 - sigmoid(y))": lambda x, y, p: _sigmoid(y) * (1 - _sigmoid(y)),
        "y * (1 + y)": lambda x, y, p: y * (1 + y),
        "y**2": lambda x, y, p: y * y,
        "1 - y": lambda x, y, p: 1 - y,
        "1 - y**2": lambda x, y, p: 1 - y * y,
        "y * (1 - y)**2": lambda x, y, p: y * (1 - y) ** 2,
        "y**2 * (1 - y)": lambda x, y, p: y * y * (1 - y),
        "y * (1 - x)": lambda x, y, p: y * (1 - x),
        "x * (1 - y)": lambda x, y, p: x * (1 - y),
        "exp(-y) / (1 + exp(-y))**2": lambda x, y, p: _sigmoid(y) * (1 - _sigmoid(y)),
        "exp(-x)": lambda x, y, p: np.exp(-x),
        "y - y**2 / 2": lambda x, y, p: y - y * y / 2,
    },
    "tanh": {
        "right": lambda x, y, p: 1 - y * y,
        "y": lambda x, y, p: y,
        "1": lambda x, y, p: np.ones_like(x),
        "1 - x**2": lambda x, y, p: 1 - x * x,
        "1 - tanh(y)**2": lambda x, y, p: 1 - np.tanh(y) ** 2,
        "1 - y": lambda x, y, p: 1 - y,
        "1 + y**2": lambda x, y, p: 1 + y * y,
        "(1 - y)**2": lambda x, y, p: (1 - y) ** 2,
        "y**2": lambda x, y, p: y * y,
        "y * (1 - y)": lambda x, y, p: y * (1 - y),
        "1 / cosh(x)": lambda x, y, p: 1 / np.cosh(x),
        "1 - tanh(x**2)": lambda x, y, p: 1 - np.tanh(x * x),
        "1 - 2 * y": lambda x, y, p: 1 - 2 * y,
    },
    "relu": {
        "right": lambda x, y, p: (x > 0) * 1.0,
        "y": lambda x, y, p: np.maximum(x, 0),
        "1": lambda x, y, p: np.ones_like(x),
        "x": lambda x, y, p: x,
        "x < 0": lambda x, y, p: (x < 0) * 1.0,
        "sign(x)": lambda x, y, p: np.sign(x),
        "min(y, 1)": lambda x, y, p: np.clip(x, 0, 1),
        "abs(x)": lambda x, y, p: np.abs(x),
        "x**2": lambda x, y, p: x * x,
        "x > 1": lambda x, y, p: (x > 1) * 1.0,
        "1 if x > 0 else 0.01": lambda x, y, p: np.where(x > 0, 1, 0.01),
        "y >= 0": lambda x, y, p: np.ones_like(x),
    },
    "leaky": {
        "right": lambda x, y, p: np.where(x > 0, 1.0, p),
        "y": lambda x, y, p: np.where(x > 0, x, p * x),
        "1": lambda x, y, p: np.ones_like(x),
        "1 if x > 0 else -slope": lambda x, y, p: np.where(x > 0, 1.0, -p),
        "1 if x > 0 else 0": lambda x, y, p: (x > 0) * 1.0,
        "1 if x > 0 else slope * x": lambda x, y, p: np.where(x > 0, 1.0, p * x),
        "slope if x > 0 else 1": lambda x, y, p: np.where(x > 0, p, 1.0),
        "1 if x > 0 else 0.01": lambda x, y, p: np.where(x > 0, 1.0, 0.01),
        "1 if x > 0 else 0.02": lambda x, y, p: np.where(x > 0, 1.0, 0.02),
        "1 if x > 0 else -1": lambda x, y, p: np.where(x > 0, 1.0, -1.0),
        "x if x > 0 else slope": lambda x, y, p: np.where(x > 0, x, p),
        "slope": lambda x, y, p: np.full_like(x, p),
        "1 + slope if x > 0 else slope": lambda x, y, p: np.where(x > 0, 1 + p, p),
        "0 if x > 0 else slope": lambda x, y, p: np.where(x > 0, 0.0, p),
        "1 if x > 0 else 1 / slope": lambda x, y, p: np.where(x > 0, 1.0, 1 / p),
        "1 if x > 0 else 1 - slope": lambda x, y, p: np.where(x > 0, 1.0, 1 - p),
        "1 if x > 0 else slope**2": lambda x, y, p: np.where(x > 0, 1.0, p * p),
    },
    "elu": {
        "right": lambda x, y, p: np.where(x > 0, 1.0, p * np.exp(np.minimum(x, 0))),
        "y": lambda x, y, p: np.where(x > 0, x, p * np.expm1(np.minimum(x, 0))),
        "1": lambda x, y, p: np.ones_like(x),
        "1 if x > 0 else alpha * (exp(x) - 1)": lambda x, y, p: np.where(x > 0, 1.0, p * np.expm1(np.minimum(x, 0))),
        "1 if x > 0 else exp(x)": lambda x, y, p: np.where(x > 0, 1.0, np.exp(np.minimum(x, 0))),
        "1 if x > 0 else y + 1": lambda x, y, p: np.where(x > 0, 1.0, p * np.expm1(np.minimum(x, 0)) + 1),
        "1 if x > 0 else exp(x) - 1": lambda x, y, p: np.where(x > 0, 1.0, np.expm1(np.minimum(x, 0))),
        "1 if x > 0 else y - alpha": lambda x, y, p: np.where(x > 0, 1.0, p * np.expm1(np.minimum(x, 0)) - p),
        "1 if x > 0 else alpha": lambda x, y, p: np.where(x > 0, 1.0, p),
        "1 if x > 0 else alpha * exp(-x)": lambda x, y, p: np.where(x > 0, 1.0, p * np.exp(-np.minimum(x, 0))),
        "1 if x > 0 else -alpha * exp(x)": lambda x, y, p: np.where(x > 0, 1.0, -p * np.exp(np.minimum(x, 0))),
        "1 if x > 0 else 0": lambda x, y, p: (x > 0) * 1.0,
        "exp(x)": lambda x, y, p: np.exp(x),
        "alpha * exp(x)": lambda x, y, p: p * np.exp(x),
        "alpha * exp(x) if x > 0 else 1": lambda x, y, p: np.where(x > 0, p * np.exp(x), 1.0),
        "1 if x > 0 else alpha * exp(y)": lambda x, y, p: np.where(
            x > 0, 1.0, p * np.exp(p * np.expm1(np.minimum(x, 0)))
        ),
        "x if x > 0 else alpha * exp(x)": lambda x, y, p: np.where(x > 0, x, p * np.exp(np.minimum(x, 0))),
        "1 if x > 0 else alpha * exp(1)": lambda x, y, p: np.where(x > 0, 1.0, p * np.exp(1.0)),
        "1 if x > 0 else alpha * exp(1) - alpha": lambda x, y, p: np.where(x > 0, 1.0, p * np.expm1(1.0)),
        "1 if x > 0 else x + alpha": lambda x, y, p: np.where(x > 0, 1.0, x + p),
        "1 if x > 0 else alpha * exp(x - 1)": lambda x, y, p: np.where(x > 0, 1.0, p * np.exp(np.minimum(x, 0) - 1)),
        "1 if x > 0 else alpha * x * exp(x)": lambda x, y, p: np.where(x > 0, 1.0, p * x * np.exp(np.minimum(x, 0))),
    },
    "gelu": {
        "right": lambda x, y, p: 0.5 * (1 + erf(x / np.sqrt(2))) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
        "y": lambda x, y, p: y,
        "1": lambda x, y, p: np.ones_like(x),
        "(1 + erf(x / sqrt(2))) / 2": lambda x, y, p: 0.5 * (1 + erf(x / np.sqrt(2))),
        "the derivative of the tanh approximation": lambda x, y, p: (
            0.5 * (1 + np.tanh(_gelu_inner(x)))
            + 0.5 * x * (1 - np.tanh(_gelu_inner(x)) ** 2) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x * x)
        ),
        "(1 + erf(x / sqrt(2))) / 2 + exp(-x**2 / 2) / sqrt(2 * pi)": lambda x, y, p: (
            0.5 * (1 + erf(x / np.sqrt(2))) + np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
        ),
        "(1 + erf(x / sqrt(2))) / 2 + x * exp(-x**2) / sqrt(2 * pi)": lambda x, y, p: (
            0.5 * (1 + erf(x / np.sqrt(2))) + x * np.exp(-x * x) / np.sqrt(2 * np.pi)
        ),
        "(1 + erf(x / sqrt(2))) / 2 + x * exp(-x**2 / 2) / sqrt(pi)": lambda x, y, p: (
            0.5 * (1 + erf(x / np.sqrt(2))) + x * np.exp(-x * x / 2) / np.sqrt(np.pi)
        ),
        "(1 + erf(x / sqrt(2))) / 2 - x * exp(-x**2 / 2) / sqrt(2 * pi)": lambda x, y, p: (
            0.5 * (1 + erf(x / np.sqrt(2))) - x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
        ),
    },
    "silu": {  # s is sigmoid(x)
        "right": lambda x, y, p: _sigmoid(x) * (1 + x * (1 - _sigmoid(x))),
        "y": lambda x, y, p: y,
        "1": lambda x, y, p: np.ones_like(x),
        "sigmoid(x)": lambda x, y, p: _sigmoid(x),
        "s * (1 - s), with s = sigmoid(x)": lambda x, y, p: _sigmoid(x) * (1 - _sigmoid(x)),
        "x * s * (1 - s), with s = sigmoid(x)": lambda x, y, p: y * (1 - _sigmoid(x)),
        "s + x * (1 - s), with s = sigmoid(x)": lambda x, y, p: _sigmoid(x) + x * (1 - _sigmoid(x)),
        "1 + x * (1 - s), with s = sigmoid(x)": lambda x, y, p: 1 + x * (1 - _sigmoid(x)),
        "s + s * (1 - s), with s = sigmoid(x)": lambda x, y, p: _sigmoid(x) * (2 - _sigmoid(x)),
        "s + x * s * (1 + s), with s = sigmoid(x)": lambda x, y, p: _sigmoid(x) + y * (1 + _sigmoid(x)),
        "s - x * s * (1 - s), with s = sigmoid(x)": lambda x, y, p: _sigmoid(x) - y * (1 - _sigmoid(x)),
        "s + x * s, with s = sigmoid(x)": lambda x, y, p: _sigmoid(x) + y,
        "s + x * s**2, with s = sigmoid(x)": lambda x, y, p: _sigmoid(x) * (1 + y),
        "s + y * (1 - y), with s = sigmoid(x)": lambda x, y, p: _sigmoid(x) + y * (1 - y),
        "y * (1 - y)": lambda x, y, p: y * (1 - y),
        "y + s * (1 - x), with s = sigmoid(x)": lambda x, y, p: y + _sigmoid(x) * (1 - x),
    },
    "softplus": {
        "right": lambda x, y, p: _sigmoid(x),
        "y": lambda x, y, p: y,
        "1": lambda x, y, p: np.ones_like(x),
        "sigmoid(-x)": lambda x, y, p: _sigmoid(-x),
        "exp(x)": lambda x, y, p: np.exp(x),
        "s * (1 - s), with s = sigmoid(x)": lambda x, y, p: _sigmoid(x) * (1 - _sigmoid(x)),
        "sigmoid(y)": lambda x, y, p: _sigmoid(y),
        "tanh(x)": lambda x, y, p: np.tanh(x),
    },
    "softsign": {
        "right": lambda x, y, p: 1 / (1 + np.abs(x)) ** 2,
        "y": lambda x, y, p: y,
        "1": lambda x, y, p: np.ones_like(x),
        "1 / (1 + abs(x))": lambda x, y, p: 1 / (1 + np.abs(x)),
        "1 / (1 + x**2)": lambda x, y, p: 1 / (1 + x * x),
        "1 / (1 + abs(y))**2": lambda x, y, p: 1 / (1 + np.abs(y)) ** 2,
        "1 - y**2": lambda x, y, p: 1 - y * y,
    },
}
_BACKWARD_BUGS = {
    "y": "function-for-derivative",
    "x": "function-for-derivative",
    "1": "derivative-missing",
    "y >= 0": "derivative-missing",
    "x * (1 - x)": "derivative-at-input",
    "1 if x > 0 else x + alpha": "derivative-at-input",
    "y * (1 - x)": "derivative-at-input",
    "x * (1 - y)": "derivative-at-input",
    "1 - x**2": "derivative-at-input",
    "sigmoid(y) * (1 - sigmoid(y))": "derivative-at-output",
    "exp(-y) / (1 + exp(-y))**2": "derivative-at-output",
    "1 - tanh(y)**2": "derivative-at-output",
    "sigmoid(y)": "derivative-at-output",
    "1 / (1 + abs(y))**2": "derivative-at-output",
    "1 / (1 + abs(x))": "square-missing",
    "sigmoid(-x)": "exponent-sign",
    "s - x * s * (1 - s), with s = sigmoid(x)": "sign-inside",
    "s + x * s * (1 + s), with s = sigmoid(x)": "sign-inside",
    "1 if x > 0 else alpha * exp(y)": "derivative-at-output",
    "x < 0": "branches-exchanged",
    "slope if x > 0 else 1": "branches-exchanged",
    "alpha * exp(x) if x > 0 else 1": "branches-exchanged",
    "1 if x > 0 else -slope": "slope-sign",
    "1 if x > 0 else 0": "slope-ignored",
    "1 if x > 0 else 0.01": "slope-ignored",
    "1 if x > 0 else 0.02": "slope-ignored",
    "1 if x > 0 else slope * x": "function-for-derivative",
    "x if x > 0 else slope": "function-for-derivative",
    "x if x > 0 else alpha * exp(x)": "function-for-derivative",
    "1 if x > 0 else alpha * (exp(x) - 1)": "function-for-derivative",
    "1 if x > 0 else exp(x) - 1": "function-for-derivative",
    "1 if x > 0 else exp(x)": "alpha-ignored",
    "1 if x > 0 else y + 1": "alpha-ignored",
    "1 if x > 0 else y - alpha": "sign-inside",
    "1 if x > 0 else -alpha * exp(x)": "sign-inside",
    "1 if x > 0 else alpha * exp(-x)": "exponent-sign",
    "y * (1 + y)": "sign-inside",
    "1 + y**2": "sign-inside",
    "1 - y": "square-missing",
    "1 / cosh(x)": "square-missing",
    "min(y, 1)": "derivative-clipped-output",
    "sign(x)": "derivative-sign-function",
}
_BACKWARD_BUGS_OF = {
    ("relu", "1 if x > 0 else 0.01"): "wrong-derivative",
    ("sigmoid", "1 - y"): "wrong-derivative",
    ("elu", "1 if x > 0 else 0"): "wrong-derivative",
}


def _times_dy(form: str) -> str:
    formula, comma, where = form.partition(", with ")
    return (f"dy * {formula}" if formula.isalnum() else f"dy * ({formula})") + comma + where


def activation_backward(kind: str, *, upstream: bool) -> Subject:
    """dx = f'(x) dy, or f'(x) without `upstream`. The draw: x, y, p, and dy if `upstream`."""
    forms = BACKWARD[kind]

    def compute(draw: Draw, form: str = "right", dy: str = "used", whole: Any = False) -> Array:
        derivative = forms[form](draw.x, draw.y, getattr(draw, "p", 0.0))
        if whole == "always":
            derivative = np.trunc(derivative)
        elif whole:
            derivative = truncate_like_first(derivative)
        if upstream:
            if dy == "used":
                derivative = derivative * draw.dy
            elif dy == "masked":
                derivative = np.where(draw.dy > 0, 1.0, 0.0) * derivative
            elif dy == "by its own sign":
                derivative = np.where(draw.dy > 0, draw.dy, forms[form](-np.abs(draw.x), draw.y, draw.p) * draw.dy)
        return derivative

    slips = list(_slips_of_forms(kind, _BACKWARD_BUGS, _BACKWARD_BUGS_OF, "wrong-derivative", forms))
    if upstream:
        slips = [replace(each, instead=_times_dy(each.instead)) for each in slips]
    name = "dx" if upstream else "the derivative"
    if upstream:
        slips.append(slip("upstream-missing", "the derivative without dy", dy="missing"))
        if kind in ("relu", "leaky"):
            slips.append(slip("mask-from-gradient", "dy masked by the sign of dy instead of x", dy="by its own sign"))
    slips.append(slip("whole-numbers", "the derivative truncated to integers if its first entry is one", whole=True))
    slips.append(slip("whole-numbers", "the derivative truncated to integers", whole="always"))
    return Subject(name, compute, tuple(slips), factors=NOT_AVERAGED)


# ---------------------------------------------------------------------------------------------------------------------
# Softmax


def softmax(x: Array, *, axis: Any = 1, form: str = "right", shift: str = "right", twice: bool = False) -> Array:
    """The softmax over the classes. The options replace parts of it by known mistakes."""
    if shift == "column":
        x = x - x.max(axis=0)
    elif shift == "row":  # changes the result only if the sum is not over the row
        x = x - x.max(axis=1, keepdims=True)
    elif shift == "clash":  # x - max(axis=1) without keepdims: the shapes fit only if N = K
        x = x - x.max(axis=1)
    stable = x - (x.max(axis=axis, keepdims=True) if axis is not None else x.max())
    e = np.exp(stable)
    if form == "x / sum(x)":
        s = x / x.sum(axis=axis, keepdims=True)
    elif form == "exp(x)":
        s = np.exp(x)
    elif form == "exp(x - max)":
        s = e
    elif form == "exp(x) / max(exp(x))":
        s = e / e.max(axis=axis, keepdims=True)
    elif form == "exp(-x) / sum(exp(-x))":
        e = np.exp(-(x - x.min(axis=axis, keepdims=True)))
        s = e / e.sum(axis=axis, keepdims=True)
    elif form == "log of softmax":
        s = stable - np.log(e.sum(axis=axis, keepdims=True))
    elif form == "exp(x) / sum(x)":
        s = np.exp(x) / x.sum(axis=axis, keepdims=True)
    elif form == "sum without keepdims":
        s = e / e.sum(axis=axis)
    elif form == "exp(x) / mean(exp(x))":
        s = e / e.mean(axis=axis, keepdims=True)
    elif form == "sigmoid(x)":
        s = _sigmoid(x)
    elif form in SHIFT_UNDONE:
        s = SHIFT_UNDONE[form](e / e.sum(axis=axis, keepdims=True), x.max(axis=axis, keepdims=True))
    else:
        s = e / e.sum(axis=axis, keepdims=True)
    return softmax(s) if twice else s


#: The shift by the maximum cancels in the softmax; these forms undo it once more. Functions of the softmax and the
#: maximum.
SHIFT_UNDONE: dict[str, Callable[[Array, Array], Array]] = {
    "softmax(x) * exp(max(x))": lambda s, most: s * np.exp(most),
    "softmax(x) * max(x)": lambda s, most: s * most,
    "softmax(x) + max(x)": lambda s, most: s + most,
    "softmax(x) / exp(max(x))": lambda s, most: s / np.exp(most),
    "softmax(x) - max(x)": lambda s, most: s - most,
}

SOFTMAX_SLIPS = (
    slip("softmax-axis", "the softmax over the batch (axis 0)", axis=0),
    slip("softmax-global", "the softmax over the whole array", axis=None),
    slip("softmax-axis", "exp(x - max of the row), divided by its sum over the batch (axis 0)", axis=0, shift="row"),
    slip("softmax-global", "exp(x - max of the row), divided by its sum over everything", axis=None, shift="row"),
    slip("softmax-twice", "softmax(softmax(x))", twice=True),
    slip("softmax-shift-axis", "exp(x - x.max(axis=0)): one shift per class", shift="column"),
    slip(
        "softmax-shift-axis",
        "the softmax with each row's maximum subtracted from a column: keepdims is missing",
        shift="clash",
    ),
    slip("softmax-not-normalised", "exp(x)", form="exp(x)"),
    slip("softmax-not-normalised", "exp(x - max(x))", form="exp(x - max)"),
    slip("softmax-not-normalised", "exp(x) / max(exp(x))", form="exp(x) / max(exp(x))"),
    slip("softmax-not-normalised", "exp(x) / sum(x)", form="exp(x) / sum(x)"),
    slip("softmax-not-normalised", "exp(x) / mean(exp(x))", form="exp(x) / mean(exp(x))"),
    slip(
        "keepdims-missing",
        "exp(x) / sum(exp(x)), in which column j is divided by the sum of row j",
        form="sum without keepdims",
    ),
    slip("exponential-missing", "x / sum(x)", form="x / sum(x)"),
    slip("exponent-sign", "softmax(-x)", form="exp(-x) / sum(exp(-x))"),
    slip("wrong-function", "log(softmax(x))", form="log of softmax"),
    slip("wrong-function", "sigmoid(x)", form="sigmoid(x)"),
    *(slip("softmax-shift-undone", form, form=form) for form in SHIFT_UNDONE),
)


def softmax_forward() -> Subject:
    """y = softmax(x) over the classes. The draw: x."""

    def compute(draw: Draw, **options) -> Array:
        return softmax(draw.x, **options)

    return Subject("the output", compute, SOFTMAX_SLIPS, factors=NOT_AVERAGED)


#: dx for wrong Jacobians, multiplied out: functions of y, dy, sum(dy) and sum(dy * y), where the sums are per sample.
_JACOBIANS: dict[str, Callable[[Array, Array, Array, Array], Array]] = {
    "y * (sum(dy) - sum(dy * y))": lambda y, dy, total, weighted: y * (total - weighted),
    "dy * y * (1 - sum(y))": lambda y, dy, total, weighted: dy * y * (1 - y.sum(axis=1, keepdims=True)),
    "dy - y * sum(dy * y)": lambda y, dy, total, weighted: dy - y * weighted,
    "sum(dy) - y * sum(dy * y)": lambda y, dy, total, weighted: total - y * weighted,
    "y * sum(dy)": lambda y, dy, total, weighted: y * total,
    "sum(dy * y)": lambda y, dy, total, weighted: weighted + 0 * y,
    "y * (dy + sum(dy * y) - 2 * y * dy)": lambda y, dy, total, weighted: y * (dy + weighted - 2 * y * dy),
    "y * (dy - sum(dy * y) + y * dy)": lambda y, dy, total, weighted: y * (dy - weighted + y * dy),
    "y * (1 - y) * dy - sum(dy * y)": lambda y, dy, total, weighted: y * (1 - y) * dy - weighted,
    "y * (1 - y) * dy - y * sum(dy * y)": lambda y, dy, total, weighted: y * ((1 - y) * dy - weighted),
    "y * dy - y * sum(dy) / K": lambda y, dy, total, weighted: y * (dy - total / y.shape[1]),
    "y * dy - sum(y)**2 * dy": lambda y, dy, total, weighted: y * dy - dy * y.sum(axis=1, keepdims=True) ** 2,
    "y * dy - sum(y**2) * dy": lambda y, dy, total, weighted: y * dy - dy * (y * y).sum(axis=1, keepdims=True),
}
_JACOBIANS_WHY = {
    **dict.fromkeys(_JACOBIANS, ""),
    "y * (sum(dy) - sum(dy * y))": ": the Jacobian contains y as a column instead of diag(y)",
    "dy * y * (1 - sum(y))": ": dy times the row sums of the Jacobian instead of the matrix product",
    "dy - y * sum(dy * y)": ": the Jacobian contains the identity matrix instead of diag(y)",
    "sum(dy) - y * sum(dy * y)": ": the Jacobian contains ones instead of diag(y)",
    "y * (dy + sum(dy * y) - 2 * y * dy)": ": the entries off the diagonal have the wrong sign",
    "y * (dy - sum(dy * y) + y * dy)": ": the diagonal of the Jacobian is y instead of y * (1 - y)",
}


def softmax_backward() -> Subject:
    """dx = y (dy - sum(dy y)). The draw: x, y, dy."""

    def compute(draw: Draw, jacobian: str = "right", at: str = "output", axis: int = 1, dy: str = "used") -> Any:
        y = {"output": draw.y, "input": draw.x, "twice": softmax(draw.y)}[at]
        up = draw.dy if dy == "used" else np.ones_like(y)
        if jacobian == "none":
            return up + 0 * y
        if jacobian == "y * (1 - y)":
            return up * y * (1 - y)
        if jacobian == "y * dy":
            return y * up
        if jacobian == "(y - sum(y)) dy":
            return up * (y - y.sum(axis=1, keepdims=True))
        if jacobian == "y * (dy - mean(dy * y))":
            return y * up - y * (up * y).mean(axis=axis, keepdims=True)
        if jacobian == "y * (dy - sum(dy))":
            return y * up - y * up.sum(axis=axis, keepdims=True)
        if jacobian == "y * (dy - y * dy)":
            return y * (up - y * up)
        if jacobian == "dy - sum(dy * y)":
            return up - (up * y).sum(axis=axis, keepdims=True)
        if jacobian == "the first sample's":
            first = np.diag(y[0]) - np.outer(y[0], y[0])
            return up @ first
        if jacobian == "the last sample's":
            last = np.diag(y[-1]) - np.outer(y[-1], y[-1])
            return up @ last
        if jacobian == "summed over the batch":
            total = sum(np.diag(row) - np.outer(row, row) for row in y)
            return up @ total
        if jacobian == "accumulated":
            jacobians = np.cumsum([np.diag(row) - np.outer(row, row) for row in y], axis=0)
            return np.einsum("ni,nij->nj", up, jacobians)
        if jacobian == "mean over the batch":
            total = sum(np.diag(row) - np.outer(row, row) for row in y)
            return up @ total / len(y)
        if jacobian == "y * (dy - y * sum(dy))":
            return y * (up - y * up.sum(axis=1, keepdims=True))
        if jacobian == "y * dy - y**2 * dy summed":
            return y * up - (y * y * up).sum(axis=1, keepdims=True)
        if jacobian == "y * dy - sum(dy * y)":
            return y * up - (y * up).sum(axis=1, keepdims=True)
        if jacobian == "p - dy":
            return y - up
        if jacobian == "-outer":
            return -y * (up * y).sum(axis=1, keepdims=True)
        if jacobian == "(1 - y) off the diagonal":
            return y * (1 - y) * up.sum(axis=1, keepdims=True)
        if jacobian == "y_j (1 - y_i)":
            return (up * y).sum(axis=1, keepdims=True) * (1 - y)
        total, weighted = up.sum(axis=1, keepdims=True), (up * y).sum(axis=1, keepdims=True)
        if jacobian in _JACOBIANS:
            return _JACOBIANS[jacobian](y, up, total, weighted)
        if jacobian == "the samples' sum":
            row = y.sum(axis=0)
            return up @ (np.diag(row) - np.outer(row, row))
        if jacobian == "the samples' mean":
            row = y.mean(axis=0)
            return up @ (np.diag(row) - np.outer(row, row))
        if jacobian == "diag - outer, elementwise":
            return np.diag(np.diag(up)) if up.shape[0] == up.shape[1] else up * np.nan
        return {"y * dy": y * up, "y * sum(dy * y)": -y * (up * y).sum(axis=axis, keepdims=True)}

    wrong = "softmax-jacobian"
    slips = (
        slip("softmax-jacobian-diagonal", "dy * y * (1 - y)", jacobian="y * (1 - y)"),
        slip("softmax-jacobian-diagonal", "y * (dy - y * dy)", jacobian="y * (dy - y * dy)"),
        slip("softmax-backward-passes-through", "dy, unchanged", jacobian="none"),
        slip("softmax-jacobian-sum-missing", "y * dy", jacobian="y * dy"),
        slip("softmax-at-input", "the formula with the input x instead of the output y", at="input"),
        slip("softmax-twice", "the formula with softmax(y) instead of y", at="twice"),
        slip("reduced-over-wrong-axis", "y * (dy - sum(dy * y)) with the sum over the batch", axis=0),
        slip("upstream-missing", "the row sums of the Jacobian, without dy", dy="missing"),
        slip("fused-gradient", "y - dy, the gradient of softmax and cross-entropy combined", jacobian="p - dy"),
        slip("one-jacobian-for-all", "dy times the Jacobian of the first sample", jacobian="the first sample's"),
        slip("one-jacobian-for-all", "dy times the Jacobian of the last sample", jacobian="the last sample's"),
        slip("one-jacobian-for-all", "dy times the sum of all samples' Jacobians", jacobian="summed over the batch"),
        slip("one-jacobian-for-all", "dy times the mean of all samples' Jacobians", jacobian="mean over the batch"),
        slip(
            "jacobian-accumulates",
            "dy times the sum of the Jacobians of this sample and all samples before it",
            jacobian="accumulated",
        ),
        slip(wrong, "y * (dy - sum(dy))", jacobian="y * (dy - sum(dy))"),
        slip(wrong, "y * (dy - mean(dy * y))", jacobian="y * (dy - mean(dy * y))"),
        slip(wrong, "y * (dy - y * sum(dy))", jacobian="y * (dy - y * sum(dy))"),
        slip(wrong, "y * dy - sum(y**2 * dy)", jacobian="y * dy - y**2 * dy summed"),
        slip(wrong, "y * dy - sum(dy * y)", jacobian="y * dy - sum(dy * y)"),
        slip(wrong, "dy - sum(dy * y)", jacobian="dy - sum(dy * y)"),
        slip(wrong, "dy * (y - sum(y))", jacobian="(y - sum(y)) dy"),
        slip(wrong, "-y * sum(dy * y): the diagonal is missing", jacobian="-outer"),
        slip(wrong, "y * (1 - y) * sum(dy)", jacobian="(1 - y) off the diagonal"),
        slip(wrong, "sum(dy * y) * (1 - y)", jacobian="y_j (1 - y_i)"),
        slip(
            "one-jacobian-for-all",
            "dy times the Jacobian for the sum of all samples' outputs",
            jacobian="the samples' sum",
        ),
        slip(
            "one-jacobian-for-all",
            "dy times the Jacobian for the mean of all samples' outputs",
            jacobian="the samples' mean",
        ),
        *(slip(wrong, f"{form}{why}", jacobian=form) for form, why in _JACOBIANS_WHY.items()),
    )
    return Subject(
        "dx",
        compute,
        slips,
        factors=NOT_AVERAGED,
        terms={
            "y * sum(dy * y)": {"0": "softmax-jacobian-sum-missing", "-1": "softmax-jacobian-sign"},
            "y * dy": {"0": "softmax-jacobian", "-1": "softmax-jacobian-sign"},
        },
    )


# ---------------------------------------------------------------------------------------------------------------------
# Cross-entropy


_LOGARITHMS = {"e": np.log, "2": np.log2, "10": np.log10, "none": lambda p: p, "log1p": np.log1p}


def _logarithm(p: Array, base: str, eps: float) -> Array:
    return _LOGARITHMS[base](p + eps)


def _reduce(per_sample: Array, reduction: str, N: int, K: int) -> Array:
    if reduction == "none":
        return per_sample
    total = per_sample.sum()
    return {"mean": total / N, "sum": total, "mean over all": total / (N * K)}[reduction]


LOG_SLIPS = (
    slip("logarithm-base", "the loss with the logarithm to base 2", base="2"),
    slip("logarithm-base", "the loss with the logarithm to base 10", base="10"),
    slip("logarithm-missing", "-sum(y * p): the logarithm is missing", base="none"),
    slip("logarithm-missing", "-sum(y * log(1 + p))", base="log1p"),
)


def _every_label(p: str) -> tuple[Slip, ...]:
    """The slips of the index `p[:, y]`, which selects the labels of the whole batch in each row."""
    return (
        slip(
            "labels-not-per-sample",
            f"the mean of -log({p}[:, y]), an (N, N) array: each sample is paired with the labels of all samples",
            term="every label",
        ),
        slip(
            "labels-not-per-sample",
            f"the sum of -log({p}[:, y]) / N, an (N, N) array: each sample is paired with the labels of all samples",
            term="every label, summed",
        ),
    )


def softmax_crossentropy_forward() -> Subject:
    """One loss per sample, -log softmax(x)[label]. The draw: x (logits), t (one-hot)."""

    def compute(draw: Draw, base="e", reduction="none", term="right", raw: bool = False, **options) -> Array:
        p = draw.x if raw else softmax(draw.x, **options)
        log = _logarithm(p, base, 0.0)
        if term == "binary":
            per_sample = -(draw.t * log + (1 - draw.t) * np.log(1 - p)).sum(axis=1)
        elif term == "labels left out":
            per_sample = -log.sum(axis=1)
        elif term == "over axis 0":
            return -(draw.t * log).sum(axis=0)
        elif term == "not summed":
            return -(draw.t * log)
        elif term == "with entropy":
            per_sample = -(p * log).sum(axis=1)
        elif term == "logit of the label":
            per_sample = -(draw.t * draw.x).sum(axis=1)
        elif term.startswith("every label"):
            per_sample = -(log * draw.t.sum(axis=0)).sum(axis=1) / (1 if term.endswith("summed") else len(log))
        else:
            per_sample = -(draw.t * log).sum(axis=1)
        return _reduce(per_sample, reduction, *draw.x.shape)

    slips = (
        slip("loss-averaged", "one number, the mean over the batch", reduction="mean"),
        slip("loss-summed", "one number, the sum over the batch", reduction="sum"),
        slip("loss-averaged", "one number, the mean over all entries", reduction="mean over all"),
        *SOFTMAX_SLIPS[:13],
        slip("softmax-missing", "the cross-entropy of the logits themselves", raw=True),
        *LOG_SLIPS,
        slip("binary-crossentropy", "-sum(t log p + (1 - t) log(1 - p))", term="binary"),
        slip("labels-unused", "-sum(log p) over all classes", term="labels left out"),
        slip("labels-unused", "-sum(p log p)", term="with entropy"),
        slip("reduced-over-wrong-axis", "the sum over the batch, one value per class", term="over axis 0"),
        slip("not-summed", "one value per sample and class", term="not summed"),
        slip(
            "logsumexp-missing",
            "the negative logit of the label: the logarithm of the sum is missing",
            term="logit of the label",
        ),
        *_every_label("p"),
    )
    return Subject("the loss", compute, slips, factors=NOT_AVERAGED, tolerance=2e-5)


def softmax_crossentropy_derivative(averaged: bool = False) -> Subject:
    """softmax(x) - t, divided by N if `averaged`. The draw: x, t."""

    def compute(draw: Draw, form="right", **options) -> Any:
        p, t, x = softmax(draw.x, **options), draw.t, draw.x
        scale = 1 / len(x) if averaged else 1.0
        if form == "-t / p":
            return -t / p * scale
        if form == "x - t":
            return (x - t) * scale
        if form == "p * (1 - p)":
            return p * (1 - p) * scale
        if form == "(p - t) * p * (1 - p)":
            return (p - t) * p * (1 - p) * scale
        if form == "(p - t) * t":
            return (p - t) * t * scale
        if form == "p - t, summed":
            return (p - t).sum(axis=0) * scale
        if form == "log p - t":
            return (np.log(p) - t) * scale
        if form == "p - any t":
            return (p - (t.sum(axis=0) > 0)) * scale
        number = t.argmax(axis=1)[:, None]
        if form == "p - n":
            return (p - number) * scale
        if form == "p - n t":
            return (p - number * t) * scale
        return {"softmax": p * scale, "labels": -t * scale}

    slips = (
        *SOFTMAX_SLIPS[:14],
        slip("softmax-jacobian-missing", "-t / p, the derivative with respect to the probabilities", form="-t / p"),
        slip("softmax-missing", "x - t: the softmax is missing", form="x - t"),
        slip("labels-unused", "p * (1 - p)", form="p * (1 - p)"),
        slip("extra-derivative", "(p - t) * p * (1 - p)", form="(p - t) * p * (1 - p)"),
        slip("only-the-labels-entry", "(p - t) * t", form="(p - t) * t"),
        slip("reduced-over-batch", "p - t summed over the batch", form="p - t, summed"),
        slip("loss-for-derivative", "log p - t", form="log p - t"),
        slip(
            "labels-not-per-sample",
            "p with 1 subtracted from p[:, y], the columns of all labels in every row",
            form="p - any t",
        ),
        slip(
            "labels-as-numbers",
            "p - n for every class, where p is the softmax and n the index of the label",
            form="p - n",
        ),
        slip(
            "labels-as-numbers",
            "p - n instead of p - 1 at the label, where n is the index of the label",
            form="p - n t",
        ),
    )
    factors = {} if averaged else NOT_AVERAGED
    return Subject(
        "the derivative",
        compute,
        slips,
        factors=factors,
        terms={
            "labels": {"0": "labels-unused", "-1": "label-sign"},
            "softmax": {"0": "softmax-missing", "-1": "label-sign"},
        },
    )


def crossentropy_forward() -> Subject:
    """mean over the batch of -sum(t log x). The draw: x (probabilities), t (one-hot)."""

    def compute(draw: Draw, base="e", reduction="mean", term="right", eps=0.0, **options) -> Array:
        x, t = draw.x, draw.t
        if options:
            x = softmax(x, **options)
        log = _logarithm(x, base, 0.0 if term == "exchanged" else eps)
        numbers = (t * np.arange(t.shape[1])).sum(axis=1, keepdims=True)
        if term == "the label's number":
            terms = -(numbers * t * log)
        elif term == "numbers everywhere":
            terms = -(numbers * log)
        elif term == "binary by numbers":
            terms = -(numbers * log + (1 - numbers) * np.log(1 - x))
        elif term == "the label's number from 1":
            terms = -((numbers + 1) * t * log)
        elif term == "binary at the label":
            terms = -(t * log + t * np.log(1 - x))
        elif term == "the others' alone":
            terms = -((1 - t) * np.log(1 - x))
        elif term == "binary":
            terms = -(t * log + (1 - t) * np.log(1 - x))
        elif term == "labels left out":
            terms = -log
        elif term == "with entropy":
            terms = -(x * log)
        elif term == "not summed":
            return -(t * log)
        elif term == "exchanged":
            terms = -(x * np.log(t + eps))
        elif term.startswith("every label"):
            terms = -(log * t.sum(axis=0)) / (1 if term.endswith("summed") else len(x))
        else:
            terms = -(t * log)
        return _reduce(terms.sum(axis=1), reduction, *x.shape)

    slips = (
        slip("not-averaged", "one loss per sample instead of their mean", reduction="none"),
        *LOG_SLIPS,
        slip("softmax-twice", "the cross-entropy of softmax(x), although x is already a softmax", twice=False),
        *(slip("eps-value", f"-sum(t log(x + {eps:g}))", eps=eps) for eps in (0.1, 1e-2, 1e-3, 1e-4, 1e-5)),
        slip("binary-crossentropy", "-sum(t log x + (1 - t) log(1 - x))", term="binary"),
        slip(
            "binary-crossentropy",
            "-sum(n log x + (1 - n) log(1 - x)), where n is the index of the label",
            term="binary by numbers",
        ),
        slip("binary-crossentropy", "-sum((1 - t) log(1 - x))", term="the others' alone"),
        slip("binary-crossentropy", "-sum(t (log x + log(1 - x)))", term="binary at the label"),
        slip(
            "labels-as-numbers",
            "-sum(n t log x), where n is the index of the label: class 0 contributes nothing",
            term="the label's number",
        ),
        slip(
            "labels-as-numbers",
            "-sum(n log x) over all classes, where n is the index of the label",
            term="numbers everywhere",
        ),
        slip(
            "labels-as-numbers",
            "-sum((n + 1) t log x), where n is the index of the label",
            term="the label's number from 1",
        ),
        slip("labels-unused", "-sum(log x) over all classes", term="labels left out"),
        slip("labels-unused", "-sum(x log x)", term="with entropy"),
        slip("not-summed", "one value per sample and class", term="not summed"),
        *_every_label("x"),
        slip("arguments-exchanged", "-sum(x log t): x and the labels are swapped", term="exchanged"),
        *(
            slip(
                "arguments-exchanged",
                f"-sum(x log(t + {eps:g})): x and the labels are swapped",
                term="exchanged",
                eps=eps,
            )
            for eps in (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16, 1e-20)
        ),
    )
    return Subject(
        "the loss",
        compute,
        slips,
        factors={"N": "batch-mean-missing", "1/N": "batch-mean-twice", "1/K": "averaged-over-classes"},
        tolerance=2e-5,
    )


def crossentropy_backward() -> Subject:
    """dx = -t / x / N. The draw: x, t; also eps, if the loss of the hand-in contains one."""

    def compute(draw: Draw, form="right", eps: float = 0.0) -> Array:
        x, t = draw.x, draw.t
        N = len(x)
        n = (t * np.arange(t.shape[1])).sum(axis=1, keepdims=True)
        with np.errstate(all="ignore"):
            return {
                "-n * t / x": -n * t / (x + eps) / N,
                "-n / x": -n / (x + eps) / N,
                "x - n": (x - n) / N,
                "(x - n) / (x (1 - x))": (x - n) / (x * (1 - x)) / N,
                "-t / x - (1 - t) / (1 - x)": (-t / x - (1 - t) / (1 - x)) / N,
                "(1 - t) / (1 - x)": (1 - t) / (1 - x) / N,
                "-t / x + t / (1 - x)": (-t / x + t / (1 - x)) / N,
                "right": -t / (x + eps) / N,
                "x - t": (x - t) / N,
                "-1 / x": -1 / (x + eps) / N,
                "-any t / x": -1.0 * (t.sum(axis=0) > 0) / (x + eps) / N,
                "-x / t": -x / t / N,
                "-t * x": -t * x / N,
                "-t * log(x)": -t * np.log(x) / N,
                "-t / x**2": -t / x**2 / N,
                "-t": -t / N,
                "(x - t) / (x (1 - x))": (x - t) / (x * (1 - x)) / N,
                "-t / x + (1 - t) / (1 - x)": (-t / x + (1 - t) / (1 - x)) / N,
                "x * (1 - x)": x * (1 - x) / N,
                "softmax(x) - t": (softmax(x) - t) / N,
                "summed over the classes": -(t / x).sum(axis=1) / N,
                "summed over the batch": -(t / x).sum(axis=0) / N,
            }[form]

    slips = (
        slip("fused-gradient", "(x - t) / N, the gradient of softmax and cross-entropy combined", form="x - t"),
        slip("labels-unused", "-1 / x / N", form="-1 / x"),
        slip(
            "labels-not-per-sample", "-1 / x / N in dx[:, y], the columns of all labels in every row", form="-any t / x"
        ),
        slip("arguments-exchanged", "-x / t / N: x and the labels are swapped", form="-x / t"),
        slip("division-missing", "-t * x / N", form="-t * x"),
        slip("loss-for-derivative", "-t * log(x) / N", form="-t * log(x)"),
        slip("wrong-derivative", "-t / x**2 / N", form="-t / x**2"),
        slip("division-missing", "-t / N", form="-t"),
        slip("binary-crossentropy", "(x - t) / (x (1 - x)) / N", form="(x - t) / (x (1 - x))"),
        slip("binary-crossentropy", "(-t / x - (1 - t) / (1 - x)) / N", form="-t / x - (1 - t) / (1 - x)"),
        slip("binary-crossentropy", "(1 - t) / (1 - x) / N", form="(1 - t) / (1 - x)"),
        slip("binary-crossentropy", "(-t / x + t / (1 - x)) / N", form="-t / x + t / (1 - x)"),
        slip(
            "binary-crossentropy",
            "(x - n) / (x (1 - x)) / N, where n is the index of the label",
            form="(x - n) / (x (1 - x))",
        ),
        slip(
            "labels-as-numbers",
            "-n t / x / N, where n is the index of the label: class 0 contributes nothing",
            form="-n * t / x",
        ),
        slip("labels-as-numbers", "-n / x / N for every class, where n is the index of the label", form="-n / x"),
        slip("labels-as-numbers", "(x - n) / N, where n is the index of the label", form="x - n"),
        *(slip("eps-not-in-loss", f"-t / (x + {eps:g}) / N", eps=eps) for eps in (0.1, 1e-2, 1e-3, 1e-4, 1e-5)),
        slip("softmax-twice", "(softmax(x) - t) / N", form="softmax(x) - t"),
        slip("reduced-over-wrong-axis", "-t / x / N summed over the classes", form="summed over the classes"),
        slip("reduced-over-batch", "-t / x / N summed over the batch", form="summed over the batch"),
    )
    return Subject(
        "dx",
        compute,
        slips,
        factors={"N": "batch-mean-missing", "1/N": "batch-mean-twice", "1/K": "averaged-over-classes"},
        tolerance=1e-5,
    )


# ---------------------------------------------------------------------------------------------------------------------
# Linear: weight (out, in), bias (out,)


def linear_forward() -> Subject:
    """y = x Wᵀ + b. The draw: x, weight, bias."""

    def compute(draw: Draw, weight: str = "right", activation: str = "") -> Any:
        w = draw.weight.T if weight == "right" else draw.weight
        product = draw.x @ w
        return {"x W": product, "b": np.broadcast_to(np.ravel(draw.bias), product.shape)}

    return Subject(
        "the output",
        compute,
        (slip("weight-transposed", "x W with the weight transposed", weight="transposed"),),
        factors={"0": "all-zero"},
        terms={"b": {"0": "bias-unused", "-1": "bias-sign"}, "x W": {"-1": "weight-sign"}},
    )


def linear_dx() -> Subject:
    """dx = dy W. The draw: x, weight, dy, dweight."""

    def compute(draw: Draw, by: str = "weight") -> Array:
        if by == "weight":
            return draw.dy @ draw.weight
        if by == "transposed":
            return draw.dy @ draw.weight.T
        if by == "gradient":
            return draw.dy @ (draw.dy.T @ draw.x)
        if by == "averaged gradient":
            return draw.dy @ (draw.dy.T @ draw.x) / len(draw.x)
        if by == "updated":
            if not hasattr(draw, "weight_updated"):
                raise ValueError("backward does not change the weight")
            return draw.dy @ draw.weight_updated
        return draw.dy

    return Subject(
        "dx",
        compute,
        (
            slip("weight-transposed", "dy W with the weight transposed", by="transposed"),
            slip("dx-from-dweight", "dy dW: the weight's gradient instead of the weight", by="gradient"),
            slip("dx-from-dweight", "dy dW / N: the weight's gradient instead of the weight", by="averaged gradient"),
            slip("upstream-passed-on", "dy, unchanged", by="nothing"),
            slip("updated-before-passing", "dy W with the weight after its update", by="updated"),
        ),
        factors=NOT_AVERAGED,
    )


def linear_dweight(name: str = "dW", *, averaged: bool, transposed: bool = False) -> Subject:
    """dW = dyᵀ x, (out, in), or (in, out) if `transposed`; divided by N if `averaged`. The draw: x, dy."""

    def compute(draw: Draw, axes: str = "right", x: str = "input", dy: str = "used") -> Array:
        value = {"input": lambda: draw.x, "output": lambda: draw.y, "first": lambda: draw.stale}[x]()
        up = draw.dy if dy == "used" else np.ones_like(draw.dy)
        product = up.T @ value
        product = product / len(draw.x) if averaged else product
        return product.T if transposed != (axes == "transposed") else product

    slips = [
        slip("gradient-transposed", f"{name} transposed", axes="transposed"),
        slip("upstream-missing", f"{name} without dy", dy="missing"),
    ]
    return Subject(name, compute, tuple(slips), factors={} if averaged else NOT_AVERAGED)


def linear_dbias(name: str = "db", *, averaged: bool) -> Subject:
    """db = sum of dy over the batch, (out,), divided by N if `averaged`. The draw: x, dy."""

    def compute(draw: Draw, reduction: str = "sum") -> Array:
        dy = draw.dy / len(draw.dy) if averaged else draw.dy
        return {
            "sum": lambda: dy.sum(axis=0),
            "none": lambda: dy,
            "none, transposed": lambda: dy.T,
            "features": lambda: dy.sum(axis=1),
            "features mean": lambda: dy.mean(axis=1),
            "all": lambda: np.full(dy.shape[1], dy.sum()),
            "one number": lambda: dy.sum(),
            "mean of all": lambda: dy.mean(),
            "first": lambda: dy[0],
            "ones": lambda: np.ones(dy.shape[1]),
        }[reduction]()

    slips = (
        slip("bias-gradient-unsummed", "dy for each sample: the sum over the batch is missing", reduction="none"),
        slip(
            "bias-gradient-unsummed",
            "dy transposed, one column per sample: the sum over the batch is missing",
            reduction="none, transposed",
        ),
        slip("reduced-over-wrong-axis", "the sum over the features, one value per sample", reduction="features"),
        slip("reduced-over-wrong-axis", "the mean over the features, one value per sample", reduction="features mean"),
        slip("summed-over-everything", "the sum over batch and features in every entry", reduction="all"),
        slip("summed-over-everything", "one number, the sum over batch and features", reduction="one number"),
        slip("summed-over-everything", "one number, the mean over batch and features", reduction="mean of all"),
        slip("bias-gradient-first-sample", "dy of the first sample only", reduction="first"),
        slip("upstream-missing", "ones, independent of dy", reduction="ones"),
    )
    factors = {"0": "bias-gradient-zero"}
    if averaged:
        factors |= {"N": "bias-gradient-not-averaged", "1/N": "batch-mean-twice"}
    else:
        factors |= {**NOT_AVERAGED, "1/N": "bias-gradient-averaged"}
    return Subject(name, compute, slips, factors=factors)


# ---------------------------------------------------------------------------------------------------------------------
# Normalisation. axis 0: batch normalisation; axis 1: layer normalisation. gamma and beta are (D,).


def normalised(
    x: Array,
    eps: float,
    *,
    axis: Any = 0,
    ddof: int = 0,
    eps_at: str = "inside",
    mean: str = "right",
    root: bool = True,
    eps_value: float | None = None,
    statistics: tuple[Array, Array] | None = None,
) -> tuple[Array, Array, Array, Array]:
    """Returns x̂, the mean, the variance and 1/σ. The options are the slips of the forward pass."""
    eps = eps if eps_value is None else eps_value
    count = x.size if axis is None else x.shape[axis]
    if statistics is None:
        mu = x.mean(axis=axis, keepdims=True)
        variance = ((x - mu) ** 2).sum(axis=axis, keepdims=True) / (count - ddof)
    else:
        mu, variance = statistics
    if mean == "absent":
        mu = mu * 0
    elif mean == "other axis" and axis is not None:
        mu = x.mean(axis=1 - axis, keepdims=True)
        variance = ((x - mu) ** 2).sum(axis=axis, keepdims=True) / (count - ddof)
    elif mean == "other axis for the variance" and axis is not None:
        variance = x.var(axis=1 - axis, keepdims=True, ddof=ddof)
    elif mean == "over everything":
        mu = x.mean()
        variance = ((x - mu) ** 2).sum(axis=axis, keepdims=True) / (count - ddof)
    elif mean == "added":
        mu = -mu
    elif mean == "variance over everything":
        variance = x.var(ddof=ddof) + 0 * variance
    elif mean == "variance from the mean of everything":
        variance = ((x - x.mean()) ** 2).sum(axis=axis, keepdims=True) / (count - ddof)
    elif mean == "raw second moment":
        variance = (x**2).mean(axis=axis, keepdims=True)
    elif mean == "deviation for variance":
        variance = np.sqrt(variance)
    elif mean == "without keepdims":
        mu, variance = mu.reshape(1, -1), variance.reshape(1, -1)
    if eps_at == "inside":
        sigma = np.sqrt(variance + eps) if root else variance + eps
    elif eps_at == "outside":
        sigma = np.sqrt(variance) + eps if root else variance + eps
    elif eps_at == "subtracted":
        sigma = np.sqrt(variance - eps)
    elif eps_at == "squared":
        sigma = np.sqrt(variance + eps**2)
    elif eps_at == "variance squared":
        sigma = np.sqrt(variance**2 + eps)
    elif eps_at == "sum squared":
        sigma = np.sqrt((variance + eps) ** 2)
    else:
        sigma = np.sqrt(variance) if root else variance
    with np.errstate(all="ignore"):
        inverse = 1 / sigma
    return (x - mu) * inverse, mu, variance, inverse


STATISTIC_SLIPS = (
    slip("bessel", "x normalised with the variance divided by N - 1", ddof=1),
    slip("eps-ignored", "x normalised without eps", eps_at="nowhere"),
    slip("eps-misplaced", "(x - mean) / (sqrt(var) + eps)", eps_at="outside"),
    slip("eps-subtracted", "(x - mean) / sqrt(var - eps)", eps_at="subtracted"),
    slip("eps-misplaced", "(x - mean) / sqrt(var + eps**2)", eps_at="squared"),
    *(
        slip("eps-value", f"x normalised with eps = {value:g}", eps_value=value)
        for value in (1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-10, 1e-12)
    ),
    slip("mean-not-subtracted", "x / sqrt(var + eps): the mean is not subtracted", mean="absent"),
    slip("mean-added", "(x + mean) / sqrt(var + eps)", mean="added"),
    slip("reduced-over-wrong-axis", "x normalised with the mean over the other axis", mean="other axis"),
    slip(
        "reduced-over-wrong-axis",
        "x normalised with the variance over the other axis",
        mean="other axis for the variance",
    ),
    slip("reduced-over-wrong-axis", "x normalised with the mean over all entries", mean="over everything"),
    slip("reduced-over-wrong-axis", "x normalised with the variance over all entries", mean="variance over everything"),
    slip(
        "reduced-over-wrong-axis",
        "x normalised with a variance around the mean of all entries",
        mean="variance from the mean of everything",
    ),
    slip("variance-squared", "(x - mean) / sqrt(var**2 + eps): the variance is squared", eps_at="variance squared"),
    slip("variance-uncentred", "x normalised with mean(x**2) as the variance", mean="raw second moment"),
    slip("root-missing", "(x - mean) / (var + eps): the square root is missing", root=False),
    slip(
        "deviation-for-variance",
        "(x - mean) / sqrt(std + eps): the standard deviation instead of the variance",
        mean="deviation for variance",
    ),
)


def norm_forward(axis: int, *, evaluating: bool = False) -> Subject:
    """y = γ x̂ + β. The draw: x, gamma, beta, eps; if `evaluating`, also running_mean, running_var, train_x and the
    other figures of the last training batch."""
    other = 1 - axis

    def compute(draw: Draw, over="right", use="right", gamma="used", beta="used", source="batch", **options) -> Any:
        along = {"right": axis, "other": other, "all": None}[over]
        statistics = None
        if evaluating:
            mu, var = draw.running_mean.reshape(1, -1), draw.running_var.reshape(1, -1)
            statistics = {
                "batch": (mu, var),
                "own": None,
                "own variance": (mu, draw.x.var(axis=0, keepdims=True)),
                "own mean": (draw.x.mean(axis=0, keepdims=True), var),
                "training": (draw.train_mean.reshape(1, -1), draw.train_var.reshape(1, -1)),
                "start": (0 * mu, 0 * var + 1),
                "unbiased": (mu, var * draw.train_n / (draw.train_n - 1)),
            }[source]
        elif source == "running":
            statistics = draw.running_mean.reshape(1, -1), draw.running_var.reshape(1, -1)
        elif source == "running before":
            statistics = draw.running_mean_before.reshape(1, -1), draw.running_var_before.reshape(1, -1)
        xhat, *_ = normalised(
            draw.train_x if use == "stale x" else draw.x, draw.eps, axis=along, statistics=statistics, **options
        )
        if use == "stale xhat":
            xhat = draw.train_xhat
        g, b = draw.gamma.reshape(1, -1), draw.beta.reshape(1, -1)
        if gamma == "exchanged":
            g, b = b, g
        terms = {
            "gamma * xhat": {"used": g, "exchanged": g, "missing": 1.0, "squared": g * g, "added": 1.0}[gamma] * xhat
        }
        if gamma == "added":
            terms["gamma * xhat"] = xhat + g
        shape = terms["gamma * xhat"].shape
        if beta == "inside":
            return np.broadcast_to(g * (xhat + b), shape)
        if np.any(b):
            terms["beta"] = np.broadcast_to(b, shape)
        return terms

    slips = [
        *STATISTIC_SLIPS,
        slip("reduced-over-wrong-axis", f"x normalised over axis {other}", over="other"),
        slip("reduced-over-wrong-axis", "x normalised over the whole array", over="all"),
        slip("gamma-unused", "xhat + beta", gamma="missing"),
        slip("gamma-added", "xhat + gamma + beta", gamma="added"),
        slip("gamma-beta-exchanged", "beta * xhat + gamma", gamma="exchanged"),
        slip("beta-inside", "gamma * (xhat + beta)", beta="inside"),
    ]
    if axis == 1:  # the shapes fit only if N = D
        slips.append(
            slip(
                "keepdims-missing",
                "x with column j normalised by the mean and variance of row j",
                mean="without keepdims",
            )
        )
    if evaluating:
        slips = [
            slip("evaluation-batch-figures", "x normalised with the batch's own mean and variance", source="own"),
            slip("evaluation-batch-figures", "x normalised with the batch's own variance", source="own variance"),
            slip("evaluation-batch-figures", "x normalised with the batch's own mean", source="own mean"),
            slip(
                "evaluation-stale",
                "x normalised with the mean and variance of the last training batch",
                source="training",
            ),
            slip("evaluation-stale", "the output for the x of the last training batch", use="stale x"),
            slip("evaluation-stale", "the output for the xhat of the last training batch", use="stale xhat"),
            slip("running-unbiased", "x normalised with running_var * N / (N - 1)", source="unbiased"),
            slip("running-never-updated", "x normalised with mean 0 and variance 1", source="start"),
            *[each for each in slips if each.options.get("over") is None and each.bug != "bessel"],
        ]
    elif axis == 0:
        slips.append(slip("running-figures-in-training", "x normalised with the running statistics", source="running"))
        before = "x normalised with the running statistics before their update"
        slips.append(slip("running-figures-in-training", before, source="running before"))
    return Subject(
        "the output",
        compute,
        tuple(slips),
        terms={"beta": {"0": "beta-unused", "-1": "beta-sign"}, "gamma * xhat": {"0": "all-zero"}},
    )


def norm_running(which: str) -> Subject:
    """running = alpha running + (1 - alpha) batch. The draw: before, batch, alpha, n, batch_other, other."""

    def compute(draw: Draw, rule="right", batch="right") -> Any:
        value = {
            "right": draw.batch,
            "unbiased": draw.batch * draw.n / (draw.n - 1),
            "other": draw.batch_other,
            "root": np.sqrt(np.abs(draw.batch)),
            "sum": draw.batch * draw.n,
        }[batch]
        alpha = {"right": draw.alpha, "swapped": 1 - draw.alpha, "batch only": 0.0, "old only": 1.0}[rule]
        if rule == "plain mean":
            return (draw.before + value) / 2
        return alpha * draw.before + (1 - alpha) * value

    name = f"running_{which}"
    slips = [
        slip("running-alpha-swapped", "(1 - alpha) * running + alpha * batch", rule="swapped"),
        slip("running-never-updated", "the value before training", rule="old only"),
        slip("running-is-last-batch", "the value of the last batch", rule="batch only"),
    ]
    if which == "var":
        slips += [
            slip("running-unbiased", "an update with the variance divided by N - 1", batch="unbiased"),
            slip("running-exchanged", "an update with the batch's mean", batch="other"),
            slip("running-standard-deviation", "an update with the standard deviation", batch="root"),
        ]
    else:
        slips.append(slip("running-exchanged", "an update with the batch's variance", batch="other"))
    slips.append(slip("running-sum", "an update with a sum instead of a mean", batch="sum"))
    return Subject(name, compute, tuple(slips))


def norm_dx(axis: int) -> Subject:
    """dx = (dx̂ - mean dx̂ - x̂ mean(dx̂ x̂)) / σ with dx̂ = γ dy. The draw: x, gamma, dy, eps; or xhat and inverse
    instead of x and eps."""

    def compute(draw: Draw, over="right", gamma="used", through: Any = "right", **options) -> Any:
        along: Any = {"right": axis, "other": 1 - axis, "all": None}[over]
        own = getattr(draw, "xhat", None)
        if own is not None and not options:
            xhat, inverse = own, draw.inverse
        else:
            xhat, _, _, inverse = normalised(draw.x, draw.eps, axis=axis, **options)
        g = draw.gamma.reshape(1, -1)
        dxhat = draw.dy * {"used": g, "missing": 1.0, "squared": g * g, "inverse": 1 / g}[gamma]
        if through == "gamma late":  # the two means without gamma
            mean, correlation = draw.dy, draw.dy * xhat
        else:
            mean, correlation = dxhat, dxhat * xhat
        count = draw.x.size if along is None else draw.x.shape[along]
        along_mean = 1 - axis if through == "mean over the other axis" else along
        along_correlation = 1 - axis if through == "correlation over the other axis" else along
        if options.get("ddof"):
            # d var / dx = 2 (x - mean) / (N - 1)
            spread = xhat * correlation.sum(axis=along, keepdims=True) / (count - options["ddof"])
        else:
            spread = xhat * correlation.mean(axis=along_correlation, keepdims=True)
        if through == "xhat missing":
            spread = np.broadcast_to(correlation.mean(axis=along, keepdims=True), xhat.shape)
        elif isinstance(through, float):  # the wrong power; the right one is -3/2, and inverse = (var + eps)^(-1/2)
            spread = spread * inverse ** (-2 * through - 3)
        elif through == "the mean's power":
            spread = spread * (draw.x.mean(axis=axis, keepdims=True) + draw.eps) ** -1.5 * inverse**-3
        elif through == "x not centred":
            spread = draw.x * inverse * correlation.mean(axis=along, keepdims=True)
        elif str(through).startswith("the other size"):
            ratio = count / draw.x.shape[1 - axis]
            mean = mean * (1.0 if through.endswith("correlation") else ratio)
            spread = spread * (1.0 if through.endswith("mean") else ratio)
        average = mean.mean(axis=along_mean, keepdims=True)
        if through == "gamma outside":
            average = g * draw.dy.mean(axis=axis, keepdims=True)
            spread = g * xhat * (draw.dy * xhat).mean(axis=axis, keepdims=True)
        if through == "without keepdims":
            average, spread = average.reshape(1, -1), xhat * correlation.mean(axis=axis).reshape(1, -1)
        return {
            "dxhat": dxhat * inverse,
            "mean(dxhat)": np.broadcast_to(-average * inverse, xhat.shape),
            "xhat * mean(dxhat * xhat)": -spread * inverse,
        }

    sizes = ("the batch size N", "the number of features D")
    wrong = f"{sizes[1 - axis]} instead of {sizes[axis]}"
    slips = (
        slip("gamma-forgotten", "dx without gamma", gamma="missing"),
        slip("gamma-twice", "dx with gamma squared", gamma="squared"),
        slip("reduced-over-wrong-axis", f"dx with its means over axis {1 - axis}", over="other"),
        slip("reduced-over-wrong-axis", "dx with its means over all entries", over="all"),
        slip(
            "reduced-over-wrong-axis",
            f"dx with the mean of dxhat over axis {1 - axis}",
            through="mean over the other axis",
        ),
        slip(
            "reduced-over-wrong-axis",
            f"dx with the mean of dxhat * xhat over axis {1 - axis}",
            through="correlation over the other axis",
        ),
        *(
            slip("keepdims-missing", f"dx with {what} of row j in column j", through="without keepdims", **options)
            for what, options in (("the means", {}), ("all statistics", {"mean": "without keepdims"}))
            if axis == 1
        ),
        slip("gamma-forgotten", "dx with gamma in the first term only", through="gamma late"),
        *(
            slip("gamma-outside", "gamma / sigma * (dy - mean(dy) - xhat * mean(dy * xhat))", through="gamma outside")
            for _ in range(axis)  # along the batch, the two are equal
        ),
        slip("variance-squared", "dx divided by sqrt(var**2 + eps)", eps_at="variance squared"),
        slip(
            "variance-power",
            "dx with (mean + eps)**(-3/2) instead of (var + eps)**(-3/2)",
            through="the mean's power",
        ),
        slip("bessel", "dx with the variance divided by N - 1", ddof=1),
        slip("deviation-for-variance", "dx divided by sqrt(std + eps)", mean="deviation for variance"),
        slip("eps-ignored", "dx without eps", eps_at="nowhere"),
        slip("eps-misplaced", "dx divided by sqrt(var) + eps", eps_at="outside"),
        slip("eps-subtracted", "dx divided by sqrt(var - eps)", eps_at="subtracted"),
        *(slip("eps-value", f"dx with eps = {value:g}", eps_value=value) for value in (1e-3, 1e-5, 1e-7, 1e-8, 1e-12)),
        slip("root-missing", "dx divided by var + eps: the square root is missing", root=False),
        *(
            slip("variance-power", f"dx with (var + eps)**({power}) instead of (var + eps)**(-3/2)", through=value)
            for power, value in (
                ("-1/2", -0.5),
                ("-2", -2.0),
                ("-1", -1.0),
                ("1/2", 0.5),
                ("3/2", 1.5),
                ("-5/2", -2.5),
                ("-3", -3.0),
                ("1", 1.0),
                ("0", 0.0),
            )
        ),
        slip(
            "xhat-forgotten", "dx with mean(dxhat * xhat) instead of xhat * mean(dxhat * xhat)", through="xhat missing"
        ),
        slip("mean-not-subtracted", "dx with x instead of x - mean", through="x not centred"),
        *(
            slip("wrong-factor", f"dx with {which} divided by {wrong}", through=f"the other size, {term}")
            for term, which in (
                ("both", "its two sums"),
                ("mean", "the sum of dxhat"),
                ("correlation", "the sum of dxhat * xhat"),
            )
        ),
    )
    return Subject(
        "dx",
        compute,
        slips,
        factors=NOT_AVERAGED,
        terms={
            "mean(dxhat)": {
                "0": "norm-mean-constant",
                "-1": "norm-mean-sign",
                "N": "norm-mean-not-averaged",
                "D": "norm-mean-not-averaged",
            },
            "xhat * mean(dxhat * xhat)": {
                "0": "norm-variance-constant",
                "-1": "norm-variance-sign",
                "N": "norm-variance-not-averaged",
                "D": "norm-variance-not-averaged",
                "c": "norm-variance-factor",
            },
            "dxhat": {"0": "norm-direct-missing", "-1": "norm-direct-sign", "N": "batch-mean-missing"},
        },
    )


#: Options of `normalised` that also affect the backward pass, through the cached x̂ and σ.
NORMALISED = ("ddof", "eps_at", "eps_value", "root", "mean")


def norm_parameter_gradient(
    which: str, *, averaged: bool = False, names: tuple[str, str] = ("dgamma", "dbeta"), axis: int = 0
) -> Subject:
    """dγ = sum of dy x̂, dβ = sum of dy, over the batch. The draw: dy, x, xhat, gamma. `names` are the names in the
    interface. `axis` is the axis of the normalisation; it is needed only for slips that change x̂."""
    name, other = names if which == "gamma" else names[::-1]

    def compute(draw: Draw, by="right", over="sum", **options: Any) -> Array:
        xhat = normalised(draw.x, draw.eps, axis=axis, **options)[0] if options else draw.xhat
        product = {
            "right": draw.dy * xhat if which == "gamma" else draw.dy,
            "other": draw.dy if which == "gamma" else draw.dy * xhat,
            "x": draw.dy * draw.x,
            "gamma": (draw.dy * xhat if which == "gamma" else draw.dy) * draw.gamma.reshape(1, -1),
            "y": draw.dy * getattr(draw, "y", draw.x),
            "xhat": xhat,
            "uncentred": draw.dy * (draw.x - draw.x.mean(axis=0, keepdims=True)),
        }[by]
        return {
            "sum": lambda: product.sum(axis=0),
            "none": lambda: product,
            "features": lambda: product.sum(axis=1),
            "one number": lambda: product.sum(),
        }[over]()

    slips = [
        slip("dgamma-dbeta-exchanged", f"the right value of {other}", by="other"),
        slip("gamma-in-parameter-gradient", f"{name} multiplied by gamma", by="gamma"),
        slip("parameter-gradient-unsummed", "one value per sample: the sum over the batch is missing", over="none"),
        slip("reduced-over-wrong-axis", "the sum over the features", over="features"),
        slip("summed-over-everything", "one number, the sum over all entries", over="one number"),
    ]
    if which == "gamma":
        slips[1:1] = [
            slip("dgamma-from-input", "sum(dy * x): x instead of xhat", by="x"),
            slip("dgamma-from-output", "sum(dy * y): the output instead of xhat", by="y"),
            slip("dgamma-from-input", "sum(dy * (x - mean)): not divided by the standard deviation", by="uncentred"),
            slip("upstream-missing", "sum(xhat), without dy", by="xhat"),
        ]
    return Subject(
        name,
        compute,
        tuple(slips),
        factors={"1/N": "norm-parameter-averaged", "N": "wrong-factor", "0": "parameter-gradient-zero"},
    )
