"""Subjects that a course file can name, such as `subject = "relu"`. For these, the diagnosis can name bugs.

Each subject lists the arguments that it takes (by role, in the order of the usual interface), the content of its draw,
and the correct output and gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from handgrad.checking import diagnosis_layers as layers
from handgrad.checking import diagnosis_more as more
from handgrad.checking.contracts.checks import from_right_output
from handgrad.checking.diagnosis import Draw, Subject

Arrays = Mapping[str, np.ndarray]
ELEMENTWISE = ("identity", "sigmoid", "tanh", "relu", "leaky", "elu", "gelu")


@dataclass(frozen=True)
class Known:
    """One subject.

    Arguments:
        roles: its arguments, in order.
        output: what forward computes.
        gradients: role -> (gradient's name, draw's options) -> what backward computes.
        draw: (arrays by role, options) -> additional arrays for the models.
        options: its numeric options, such as eps, with their default values.
        axes: allowed numbers of axes of its first argument.
        upstream: whether backward takes an upstream gradient; None if both are possible.
        shared: role -> options of the output's slips that its gradient also has.
        stable: whether it is a softmax, which is also tested with 1000 added to its inputs.
    """

    roles: tuple[str, ...]
    output: Subject
    gradients: Mapping[str, Callable[[str, bool, bool], Subject]]
    draw: Callable[[Arrays, Mapping[str, Any]], Mapping[str, Any]] = lambda arrays, options: {}
    options: Mapping[str, Any] = field(default_factory=dict)
    axes: tuple[int, ...] = (2,)
    upstream: bool | None = True
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stable: bool = False


def _elementwise(kind: str) -> Known:
    def dx(name: str, averaged: bool, upstream: bool) -> Subject:
        return from_right_output(layers.activation_backward(kind, upstream=upstream), layers.activation_forward(kind))

    options = {"leaky": {"slope": 0.01}, "elu": {"alpha": 1.0}}.get(kind, {})
    return Known(
        ("x",),
        layers.activation_forward(kind),
        {"x": dx},
        lambda arrays, options: {"p": next(iter(options.values()), 0.0)},
        options,
        axes=(1, 2, 3, 4),
        upstream=None,
    )


def _labels(arrays: Arrays, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Converts labels (one-hot rows or class indices) to one-hot rows."""
    t, K = arrays["target"], arrays["x"].shape[1]
    return {"t": t if t.ndim == 2 and t.shape[1] == K else np.eye(K)[np.ravel(t)]}


def _norm(axis: int) -> Known:
    def draw(arrays: Arrays, options: Mapping[str, Any]) -> Mapping[str, Any]:
        x, eps = arrays["x"], options["eps"]
        xhat, _, _, inverse = layers.normalised(x, eps, axis=axis)
        D = x.shape[1]
        running = {name: np.zeros(D) for name in ("running_mean", "running_var")}
        running |= {f"{name}_before": value for name, value in running.items()}
        gamma, beta = np.ravel(arrays["gamma"]), np.ravel(arrays["beta"])
        return {**running, "gamma": gamma, "beta": beta, "eps": eps, "xhat": xhat, "inverse": inverse}

    gradients = {
        "x": lambda name, averaged, upstream: layers.norm_dx(axis),
        "gamma": lambda name, averaged, upstream: layers.norm_parameter_gradient("gamma", averaged=averaged),
        "beta": lambda name, averaged, upstream: layers.norm_parameter_gradient("beta", averaged=averaged),
    }
    shared = {"x": ("ddof", "eps_at", "eps_value", "root")}
    return Known(
        ("x", "gamma", "beta"), layers.norm_forward(axis), gradients, draw, {"eps": 1e-5}, shared=shared
    )  # fmt: skip


def _convolution() -> Known:
    return Known(
        ("x", "weight", "bias"),
        more.convolution_forward(),
        {
            "x": lambda name, averaged, upstream: more.convolution_dx(),
            "weight": lambda name, averaged, upstream: more.convolution_dweight(),
            "bias": lambda name, averaged, upstream: more.convolution_dbias(),
        },
        lambda arrays, options: {"bias": np.ravel(arrays["bias"]), **options},
        {"stride": 1, "pad": 0},
        axes=(4,),
    )


def _linear() -> Known:
    def gradient(make: Callable[..., Subject]) -> Callable[[str, bool, bool], Subject]:
        return lambda name, averaged, upstream: make(name, averaged=averaged)

    return Known(
        ("x", "weight", "bias"),
        layers.linear_forward(),
        {
            "x": lambda name, averaged, upstream: layers.linear_dx(),
            "weight": gradient(layers.linear_dweight),
            "bias": gradient(layers.linear_dbias),
        },
    )


SOFTMAX = ("axis", "shift", "form", "twice")
KNOWN: dict[str, Known] = {
    **{kind: _elementwise(kind) for kind in ELEMENTWISE},
    "softmax": Known(
        ("x",),
        layers.softmax_forward(),
        {"x": lambda name, averaged, upstream: from_right_output(layers.softmax_backward(), layers.softmax_forward())},
        stable=True,
    ),
    "linear": _linear(),
    "batchnorm": _norm(0),
    "layernorm": _norm(1),
    "softmax-crossentropy": Known(
        ("x", "target"),
        more.softmax_loss(),
        {"x": lambda name, averaged, upstream: layers.softmax_crossentropy_derivative(averaged=True)},
        _labels,
        upstream=False,
        shared={"x": SOFTMAX},
        stable=True,
    ),
    "hinge": Known(
        ("x", "target"),
        more.hinge_loss(),
        {"x": lambda name, averaged, upstream: more.hinge_derivative()},
        _labels,
        upstream=False,
        shared={"x": ("margin",)},
    ),
    "crossentropy": Known(
        ("x", "target"),
        layers.crossentropy_forward(),
        {"x": lambda name, averaged, upstream: layers.crossentropy_backward()},
        _labels,
        upstream=False,
    ),
    "convolution": _convolution(),
}


def draw_of(known: Known, arrays: Arrays, options: Mapping[str, Any]) -> Draw:
    """The draw that the models of one trial read.

    Arguments:
        arrays: arrays by role; the weight of a linear layer is transposed to (out, in).
        options: options of the part; omitted ones have their default values.
    """
    x = arrays["x"]
    sizes: dict[str, float] = {"N": x.shape[0] if x.ndim else 1}
    if x.ndim > 1:
        sizes["D"] = x.shape[1]
    if "target" in known.roles:
        sizes = {"N": x.shape[0], "K": x.shape[1]}
    if "weight" in arrays:
        sizes["K"] = arrays["weight"].shape[0]
    own = {role: value for role, value in arrays.items() if role != "target"}
    return Draw(sizes, **{**own, **known.draw(arrays, {**known.options, **options})})


__all__ = ["KNOWN", "Known", "draw_of"]
