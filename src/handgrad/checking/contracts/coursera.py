"""The functions of the networks in courses 1 and 2 of Coursera's deep learning specialisation: the cost, a step of
gradient descent, logistic regression, the network with one hidden layer, and the network with L layers.

Samples are columns. The pairs of functions for layers (`linear_forward`, `conv_backward`, …) are found by their names,
like all other pairs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from handgrad.checking.contracts.described import Described, Given, of_argument
from handgrad.checking.contracts.generic import numeric_backward, parameter_subject, required, spread_out
from handgrad.checking.contracts.judging import stand_in
from handgrad.checking.contracts.source import Module
from handgrad.checking.diagnosis import Draw, Subject, slip
from handgrad.special import logistic

#: The widths of the networks: inputs, hidden layers, output.
DEEP = ((4, 5, 3, 1), (3, 4, 4, 1), (5, 3, 4, 1))
SHALLOW = ((4, 5, 1), (3, 4, 1), (5, 3, 1))
SAMPLES = (6, 5, 4)
MEAN = {"N": "batch-mean-missing", "1/N": "batch-mean-twice", "-1": "sign-flipped"}


# -- subjects ---------------------------------------------------------------------------------------------------------


def _cost(AL: np.ndarray, Y: np.ndarray, terms: str = "both", base: str = "e") -> np.ndarray:
    logarithm = {"e": np.log, "2": np.log2, "10": np.log10}[base]
    ones, zeros = Y * logarithm(AL), (1 - Y) * logarithm(1 - AL)
    return -np.mean({"both": ones + zeros, "ones": ones, "zeros": zeros, "minus": ones - zeros}[terms])


COST_SLIPS = (
    slip("binary-term-missing", "-mean(Y * log(AL)): without the samples of label 0", terms="ones"),
    slip("binary-term-missing", "-mean((1 - Y) * log(1 - AL)): without the samples of label 1", terms="zeros"),
    slip("sign-inside", "-mean(Y * log(AL) - (1 - Y) * log(1 - AL))", terms="minus"),
    slip("logarithm-base", "the cost with the logarithm to base 2", base="2"),
    slip("logarithm-base", "the cost with the logarithm to base 10", base="10"),
)


def cost() -> Subject:
    """-mean(Y log AL + (1 - Y) log(1 - AL)). The draw: AL and Y, (1, m)."""

    def compute(draw: Draw, **options: Any) -> Any:
        return _cost(draw.AL, draw.Y, **options)

    return Subject("the cost", compute, COST_SLIPS, factors=MEAN)


def _passed(draw: Draw, hidden: str = "right", bias: str = "used", last: str = "sigmoid") -> np.ndarray:
    """The output of a network with `draw.hidden` between its layers."""
    functions = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "sigmoid": logistic, "identity": lambda z: z}
    A = draw.x
    for k, (W, b) in enumerate(zip(draw.W, draw.b, strict=True)):
        Z = W @ A + (b if bias == "used" else 0)
        A = functions[last if k == len(draw.W) - 1 else draw.hidden if hidden == "right" else hidden](Z)
    return A


def network_cost(hidden: str) -> Subject:
    """The cost of the output of a network. The checker computes the cost, so only the output can be wrong."""

    def compute(draw: Draw, **options: Any) -> Any:
        return _cost(_passed(draw, **options), draw.Y)

    others = [kind for kind in ("relu", "tanh", "sigmoid") if kind != hidden]
    slips = (
        *(
            slip("wrong-function", f"the cost with {kind} instead of {hidden} in the hidden layers", hidden=kind)
            for kind in others
        ),
        slip("activation-missing", "the cost without an activation in the hidden layers", hidden="identity"),
        slip("bias-unused", "the cost with Z = W A, without b", bias="unused"),
    )
    return Subject("the cost of the output", compute, slips)


def step() -> Subject:
    """All parameters after one step. The draw: W, b, and their gradients dW, db, by layer; lr."""

    def compute(draw: Draw, layers: str = "all", which: str = "Wb", sign: float = -1.0, rate: str = "lr") -> Any:
        found = []
        count = len(draw.W)
        for k in range(count):
            moved = {"all": True, "not the last": k < count - 1, "not the first": k > 0}[layers]
            for name, value, gradient in (("W", draw.W[k], draw.dW[k]), ("b", draw.b[k], draw.db[k])):
                size = (draw.lr if rate == "lr" else 1.0) if moved and name in which else 0.0
                found.append(np.ravel(value + sign * size * gradient))
        return np.concatenate(found)

    slips = (
        slip("not-updated", "the parameters with W and b of the last layer unchanged", layers="not the last"),
        slip("not-updated", "the parameters with W and b of the first layer unchanged", layers="not the first"),
        slip("not-updated", "the parameters with all biases b unchanged", which="W"),
        slip("not-updated", "the parameters with all weights W unchanged", which="b"),
        slip("update-sign", "the parameters with the gradient added instead of subtracted", sign=1.0),
        slip("learning-rate-missing", "the parameters after a step without the learning rate", rate="missing"),
    )
    return Subject("[W1, b1, W2, …] after a step", compute, slips)


def _logistic_cost() -> Subject:
    def compute(draw: Draw, bias: str = "used", **options: Any) -> Any:
        return _cost(logistic(draw.w.T @ draw.x + (draw.b if bias == "used" else 0)), draw.Y, **options)

    return Subject("the cost", compute, (*COST_SLIPS, slip("bias-unused", "the cost without b", bias="unused")), MEAN)


def _logistic_gradient(which: str) -> Subject:
    def compute(draw: Draw, label: str = "right") -> Any:
        error = logistic(draw.w.T @ draw.x + draw.b) - (draw.Y if label == "right" else 0)
        return (draw.x @ error.T if which == "w" else error.sum()) / draw.x.shape[1]

    slips = (slip("labels-unused", f"d{which} with A instead of A - Y", label="unused"),)
    return Subject(f"d{which}", compute, slips, factors=MEAN)


def _numeric_gradient(name: str, k: int) -> Subject:
    base = numeric_backward(loss=True) if k == 0 else parameter_subject(name, bias=name.startswith("db"))
    return Subject(name, of_argument(base, k), factors=MEAN, tolerance=base.tolerance)


# -- arguments --------------------------------------------------------------------------------------------------------


def _names(layers: int) -> list[str]:
    return [f"{letter}{k + 1}" for k in range(layers) for letter in "Wb"]


def _random_network(
    g: np.random.Generator, position: int, sizes: Any, hidden: str = "relu"
) -> tuple[Draw, dict[str, Any]]:
    widths, count = sizes[position], SAMPLES[position]
    while True:
        W = [g.normal(size=(out, into)) * 0.7 for into, out in itertools.pairwise(widths)]
        b = [g.normal(size=(out, 1)) for out in widths[1:]]
        x, Y = spread_out(g, (widths[0], count)), np.arange(count)[None, :] % 2 * 1.0
        draw = Draw({"N": count}, x=x, Y=Y, W=W, b=b, hidden=hidden)
        A, clear = x, True
        # no input of a ReLU may be close to 0, so that finite differences do not cross the kink
        for weight, bias in zip(W[:-1], b[:-1], strict=True):
            Z = weight @ A + bias
            A, clear = np.maximum(Z, 0), clear and np.abs(Z).min() > 0.02
        if clear:
            break
    return draw, {name: (W, b)["Wb".index(name[0])][int(name[1:]) - 1] for name in _names(len(W))}


def _given_network(g: np.random.Generator, position: int, sizes: Any, hidden: str) -> Given:
    draw, arrays = _random_network(g, position, sizes, hidden)
    return Given({**arrays, "X": draw.x, "Y": draw.Y}, draw)


def _given_step(g: np.random.Generator, position: int) -> Given:
    draw, arrays = _random_network(g, position, DEEP)
    dW, db = [g.normal(size=W.shape) for W in draw.W], [g.normal(size=b.shape) for b in draw.b]
    lr = (0.1, 0.02, 0.5)[position]
    gradients = {f"d{name}": (dW, db)["Wb".index(name[0])][int(name[1:]) - 1] for name in arrays}
    return Given({**arrays, **gradients, "learning_rate": lr}, draw.changed(dW=dW, db=db, lr=lr))


def _given_cost(g: np.random.Generator, position: int) -> Given:
    count = SAMPLES[position]
    AL, Y = g.uniform(0.1, 0.9, (1, count)), np.arange(count)[None, :] % 2 * 1.0
    return Given({"AL": AL, "Y": Y}, Draw({"N": count}, AL=AL, Y=Y))


def _given_logistic(g: np.random.Generator, position: int) -> Given:
    D, count = DEEP[position][0], SAMPLES[position]
    w, b, x = g.normal(size=(D, 1)), g.normal(size=1), spread_out(g, (D, count))
    Y = np.arange(count)[None, :] % 2 * 1.0
    return Given({"w": w, "b": b, "X": x, "Y": Y}, Draw({"N": count}, w=w, b=b, x=x, Y=Y))


# -- the functions ----------------------------------------------------------------------------------------------------


def networks(module: Module) -> Iterator[Described]:
    """The parts in one file, except the pairs of functions with a cache."""
    taken = {name: required(node) for name, node in module.functions.items()}
    common: dict[str, Any] = {"adapter": stand_in("coursera"), "trials": len(SAMPLES), "numeric": False}
    if len(taken.get("compute_cost", ())) == 2 and taken["compute_cost"][1] == "Y":
        yield Described("compute_cost", "compute_cost", "", _given_cost, cost(), **common)
    if taken.get("propagate") == ["w", "b", "X", "Y"]:
        gradients = {"dw": _logistic_gradient("w"), "db": _logistic_gradient("b")}
        yield Described("propagate", "propagate", "", _given_logistic, _logistic_cost(), gradients, **common)
    for forward, backward, arguments, sizes, hidden in (
        ("forward_propagation", "backward_propagation", ["parameters", "cache", "X", "Y"], SHALLOW, "tanh"),
        ("L_model_forward", "L_model_backward", ["AL", "Y", "caches"], DEEP, "relu"),
    ):
        if len(taken.get(forward, ())) == 2 and taken.get(backward) == arguments:
            names = [f"d{name}" for name in _names(len(sizes[0]) - 1)]
            yield Described(
                forward,
                forward,
                backward,
                partial(_given_network, sizes=sizes, hidden=hidden),
                network_cost(hidden),
                {name: _numeric_gradient(name, k) for k, name in enumerate(names)},
                differences=True,
                upstream=False,
                **{**common, "numeric": True},
            )
    if taken.get("update_parameters", [])[1:2] == ["grads"]:
        yield Described("update_parameters", "update_parameters", "", _given_step, step(), **common)
