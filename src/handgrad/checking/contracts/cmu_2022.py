"""CMU 11-785 from 2022 on: `mytorch/nn`, in which the `backward` of the layers takes the upstream gradient.

W (out, in), b (out, 1). In some editions the gradients of the parameters are divided by N, in others the derivative of
the loss. Both are right if they are used consistently.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checking import diagnosis_layers as layers
from handgrad.checking import diagnosis_more as more
from handgrad.checking.contracts.checks import from_right_output
from handgrad.checking.contracts.cmu_2022_models import models
from handgrad.checking.contracts.contract import Contract
from handgrad.checking.contracts.cs231n import (
    already_reported,
    judge_evaluation,
    judge_stability,
    large_rows,
    running_from_zero,
    running_trial,
)
from handgrad.checking.contracts.described import Described, Given, Runner
from handgrad.checking.contracts.generic import required, spread_out
from handgrad.checking.contracts.judging import Judge, Trial, call, get, stand_in
from handgrad.checking.contracts.source import Module, Source
from handgrad.checking.contracts.uva import imports_torch
from handgrad.checking.diagnosis import DEFAULT_FACTORS, NOT_AVERAGED, Draw, Subject, slip
from handgrad.checking.probe import Observation

_NONE = next(node for node in ast.parse("def nothing(): pass").body if isinstance(node, ast.FunctionDef))
SIZES = ((6, 4, 3), (5, 3, 5), (4, 4, 4), (1, 5, 4))
ACTIVATIONS = {"Identity": "identity", "Sigmoid": "sigmoid", "Tanh": "tanh", "ReLU": "relu", "GELU": "gelu"}
#: Source code that provides each class as a pair of functions.
ADAPTER = stand_in("cmu_2022")


#: The factor of x - t in the derivative of the mean squared error. Some editions do not average it.
MSE_FACTORS = (
    {"factor": lambda draw: 2 * draw.scale / (draw.x.size if draw.mean == 1.0 else len(draw.x))},  # that of the loss
    {"factor": lambda draw: 1.0},
    {"factor": lambda draw: 2.0},
)


def _linear(g: np.random.Generator, position: int) -> Given:
    N, D, K = SIZES[position]
    x, W, b = g.normal(size=(N, D)), g.normal(size=(K, D)), g.normal(size=(K, 1))
    return Given({"x": x, "W": W, "b": b}, Draw({"N": N, "D": D, "K": K}, x=x, weight=W, bias=b, averaged=False))


def _one_input(g: np.random.Generator, position: int) -> Given:
    N, D, _ = SIZES[position]
    x = spread_out(g, (N, D))
    return Given({"x": x}, Draw({"N": N, "D": D}, x=x, p=0.0))


def _loss(g: np.random.Generator, position: int) -> Given:
    N, _, K = SIZES[position]
    x, t = 2 * g.normal(size=(N, K)), np.eye(K)[g.integers(0, K, N)]
    return Given(
        {"x": x, "t": t},
        Draw({"N": N, "K": K}, x=x, t=t, averaged=True, scale=1.0, mean=1.0, factor=MSE_FACTORS[0]["factor"]),
    )


def _large_loss(g: np.random.Generator, position: int) -> Given:
    return large_rows(_loss(g, position), "loss", "made")


def _large_input(g: np.random.Generator, position: int) -> Given:
    return large_rows(_one_input(g, position), "activation", "made")


def _norm(g: np.random.Generator, position: int) -> Given:
    N, D = ((6, 4), (9, 3), (5, 5), (7, 2))[position]
    x = 0.5 * g.normal(size=(1, D)) + g.normal(size=(N, D))
    gamma, beta = g.uniform(0.5, 2, (1, D)) * g.choice([-1, 1], (1, D)), g.normal(size=(1, D))
    mean, var = g.normal(size=(1, D)), g.uniform(0.5, 2, (1, D))
    draw = Draw({"N": N, "D": D}, x=x, gamma=gamma.ravel(), beta=beta.ravel(), eps=1e-8, running=(mean, var))
    draw.running_mean = draw.running_mean_before = np.zeros(D)
    draw.running_var = draw.running_var_before = np.ones(D)
    draw.xhat, _, _, draw.inverse = layers.normalised(x, 1e-8)
    draw.train_mean, draw.train_var, draw.train_n = x.mean(axis=0), x.var(axis=0), N
    draw.train_x, draw.train_xhat = x, draw.xhat
    given = [{"fresh": name} for name in ("x", "gamma", "beta", "rm", "rv")]
    return Given(
        {"x": x, "gamma": gamma, "beta": beta},
        draw,
        keep={"running_mean": ("f", 1, "running_M"), "running_var": ("f", 1, "running_V")},
        after=(
            call("made", "norm_evaluated", args=given, to="test", send=False),
            *(get("test", k, to=name) for k, name in enumerate(("y test", "rm after", "rv after"))),
        ),
        besides={"rm": mean, "rv": var},
    )


def _sgd(g: np.random.Generator, position: int) -> Given:
    w, steps = g.normal(size=(3, 2 + position)), [g.normal(size=(3, 2 + position)) for _ in range(3)]
    settings = {"learning_rate": 0.1 / (position + 1), "momentum": (0.0, 0.9, 0.6, 0.8)[position]}
    with_bias = [np.concatenate([one, one[:, :1]], axis=1) for one in [w, *steps]]
    draw = Draw({}, w=with_bias[0], gradients=np.array(with_bias[1:]), settings=settings)
    arrays = {"w": w, **{f"dw{k}": one for k, one in enumerate(steps)}}
    return Given({**arrays, "lr": settings["learning_rate"], "momentum": settings["momentum"]}, draw)


def _sgd_output() -> Subject:
    """W after the steps, with b as an additional last column."""
    update = more.update("momentum")

    def compute(draw: Draw, weight: str = "updated", bias: str = "updated", **options: Any) -> np.ndarray:
        w = update.compute(draw, **options)
        plain = update.compute(draw, **{**options, "momentum": 0.0})
        with_momentum = draw.settings["momentum"] != 0
        columns = {
            "updated": w,
            "unchanged": draw.w,
            "unchanged with momentum": draw.w if with_momentum else w,
            "plain": plain,
        }
        return np.concatenate([columns[weight][:, :-1], columns[bias][:, -1:]], axis=1)

    slips = (
        slip("not-updated", "the right W and the initial b", bias="unchanged"),
        slip("not-updated", "the right b and the initial W", weight="unchanged"),
        slip("not-updated", "the right W, and the initial b if momentum > 0", bias="unchanged with momentum"),
        slip("not-updated", "the right b, and the initial W if momentum > 0", weight="unchanged with momentum"),
        slip("momentum-ignored", "W updated with momentum and b without", bias="plain"),
        slip("momentum-ignored", "b updated with momentum and W without", weight="plain"),
    )
    return Subject("[W, b] after three steps", compute, (*update.slips, *slips))


def _by_edition(subject: Subject, other: Subject) -> Subject:
    """A gradient that is divided by N if the draw says so."""

    def compute(draw: Draw, **options: Any) -> Any:
        return (other if draw.averaged else subject).compute(draw, **options)

    # The edition that fits best is used. A factor 1/N is therefore an error only in a bias whose weight is not
    # averaged.
    own = {key: id for key, id in subject.factors.items() if id not in NOT_AVERAGED.values()}
    return replace(subject, compute=compute, factors={**DEFAULT_FACTORS, **other.factors, **own})


def mean_square() -> Subject:
    """The mean of (x - t)² over all entries or over the samples (draw.mean), or half of it (draw.scale)."""

    def compute(draw: Draw, form: str = "square") -> Any:
        difference = draw.x - draw.t
        total = {"square": difference**2, "absolute": np.abs(difference), "plain": difference}[form].sum()
        return draw.scale * total / (draw.x.size if draw.mean == 1.0 else len(draw.x))

    slips = (
        slip("square-missing", "the mean of x - t", form="plain"),
        slip("wrong-function", "the mean of |x - t|", form="absolute"),
    )
    return Subject("the loss", compute, slips, factors={"N": "batch-mean-missing", "1/N": "batch-mean-twice"})


def mean_square_dx() -> Subject:
    def compute(draw: Draw) -> Any:
        return draw.factor(draw) * (draw.x - draw.t)

    return Subject("dLdA", compute, factors={"-1": "label-sign", "N": "batch-mean-missing", "1/N": "batch-mean-twice"})


#: The names that the handout uses for the arrays in our formulas.
OF_ACTIVATIONS = {"x": "Z", "y": "A", "dy": "dLdA"}
OF_NORM = {"x": "Z", "xhat": "NZ", "dy": "dLdBZ", "dx": "dLdZ", "dxhat": "dLdNZ", "gamma": "BW", "beta": "Bb"} | {
    "running_mean": "running_M",
    "running_var": "running_V",
}
AVERAGED = ({"averaged": False}, {"averaged": True})


def _adapter(name: str) -> str:
    """The source code of the adapter for one class."""
    return f'NAME = "{name}"\n{ADAPTER}'


def _judge_running(forward: Judge, backward: Judge, trials: list[tuple[Trial, Observation]]) -> None:
    """Checks the running statistics after a training pass: alpha * running + (1 - alpha) * batch, with the initial
    values 0 and 1."""
    if forward.missing or not forward.judged:
        return
    for which in ("mean", "var"):
        named, shown = {}, []
        for one, observation in trials:
            value = observation.values.get(f"running_{which}")
            if value is None or value.array is None or value.array.size != one.draw.x.shape[1]:
                continue
            shown.append(running_trial(one, which, 0.0 if which == "mean" else 1.0, 0.9))
            named[shown[-1].name] = Observation(shown[-1].name, {"r": replace(value, array=value.array.ravel())})
        kept, options = forward.observations, forward.options
        forward.observations = {**kept, **named}
        if shown:
            subject = running_from_zero(which) if which == "mean" else layers.norm_running(which)
            given = already_reported(forward, which)
            forward.fit(subject, shown, "r", givens=given)
        forward.observations, forward.options = kept, options


def _explain_averaging(forward: Judge, backward: Judge, trials: list[tuple[Trial, Observation]]) -> None:
    """Adds to findings about the bias whether the gradient of the weight is divided by N, because both must agree."""
    explanations = {
        "bias-gradient-not-averaged": "`dLdW` is divided by N",
        "bias-gradient-averaged": "`dLdW` is not divided by N",
    }
    backward.findings = [
        replace(bug, evidence=f"{bug.evidence}; {explanations[bug.id]}") if bug.id in explanations else bug
        for bug in backward.findings
    ]


def described(module: Module) -> Iterator[Described]:
    """The parts of one file."""
    both = ("forward", "backward")
    if "Linear" in module.classes and len(required(module.methods("Linear").get("__init__", _NONE))) == 2:
        gradients = {
            "dx": replace(layers.linear_dx(), name="dLdA"),
            "dLdW": _by_edition(
                layers.linear_dweight("dLdW", averaged=False), layers.linear_dweight("dLdW", averaged=True)
            ),
            "dLdb": _by_edition(
                layers.linear_dbias("dLdb", averaged=False), layers.linear_dbias("dLdb", averaged=True)
            ),
        }
        yield Described(
            "Linear", "linear", "linear_backward", _linear, layers.linear_forward(), gradients, adapter=ADAPTER,
            owner="Linear", methods=both, conventions=AVERAGED, numeric=False, columns=("dLdb",),
            more=(_explain_averaging,), symbols={"x": "A", "dy": "dLdZ"},
        )  # fmt: skip
    for name, kind in ACTIVATIONS.items():
        if name not in module.classes or "backward" not in module.methods(name):
            continue
        upstream = bool(required(module.methods(name)["backward"]))
        backward = "activation_backward" if upstream else "activation_derivative"
        output = layers.activation_forward(kind)
        derivative = from_right_output(layers.activation_backward(kind, upstream=upstream), output)
        if upstream:
            derivative = replace(derivative, name="dLdZ")
        yield Described(
            name, "activation", backward, _one_input, output, {"dx": derivative}, adapter=_adapter(name), owner=name,
            methods=both, numeric=name == "GELU", group="activations", from_output=True,
            symbols=OF_ACTIVATIONS,
        )  # fmt: skip
    if "Softmax" in module.classes and required(module.methods("Softmax").get("backward", _NONE)):
        yield Described(
            "Softmax", "activation", "activation_backward", _large_input, layers.softmax_forward(),
            {"dx": replace(from_right_output(layers.softmax_backward(), layers.softmax_forward()), name="dLdZ")},
            adapter=_adapter("Softmax"), owner="Softmax", methods=both, numeric=False, group="activations",
            more=(judge_stability,), from_output=True, symbols=OF_ACTIVATIONS,
        )  # fmt: skip
    if "CrossEntropyLoss" in module.classes:
        derivative = _by_edition(
            layers.softmax_crossentropy_derivative(averaged=False),
            layers.softmax_crossentropy_derivative(averaged=True),
        )
        yield Described(
            "CrossEntropyLoss", "loss", "", _large_loss, more.softmax_loss(),
            {"dLdA": replace(derivative, name="dLdA")}, adapter=_adapter("CrossEntropyLoss"), owner="CrossEntropyLoss",
            methods=both, conventions=AVERAGED,
            shared={"dLdA": ("axis", "shift", "form", "twice")}, more=(judge_stability,),
            symbols={"x": "A", "t": "Y"},
        )  # fmt: skip
    if "MSELoss" in module.classes:
        yield Described(
            "MSELoss", "loss", "", _loss, mean_square(), {"dLdA": mean_square_dx()},
            adapter=_adapter("MSELoss"), owner="MSELoss", methods=both, conventions=MSE_FACTORS,
            symbols={"x": "A", "t": "Y"}, choices=({}, {"mean": 0.0}, {"scale": 0.5}, {"mean": 0.0, "scale": 0.5}),
        )  # fmt: skip
    norm = next((name for name in ("BatchNorm1d", "BatchNorm") if name in module.classes), None)
    if norm is not None and "self.BW" in ast.unparse(module.classes[norm]):
        gradients = {
            "dx": replace(layers.norm_dx(0), name="dLdZ"),
            "dLdBW": layers.norm_parameter_gradient("gamma", names=("dLdBW", "dLdBb")),
            "dLdBb": layers.norm_parameter_gradient("beta", names=("dLdBW", "dLdBb")),
        }
        yield Described(
            norm, "norm", "norm_backward", _norm, layers.norm_forward(0), gradients, adapter=_adapter(norm), owner=norm,
            methods=both, numeric=False, more=(judge_evaluation, _judge_running),
            shared={"dx": layers.NORMALISED, "dLdBW": layers.NORMALISED}, symbols=OF_NORM,
        )  # fmt: skip
    if "SGD" in module.classes and required(module.methods("SGD").get("__init__", _NONE))[:1] == ["model"]:
        yield Described(
            "SGD", "sgd", "", _sgd, _sgd_output(), {}, adapter=ADAPTER, owner="SGD", methods=("step", "step"),
            numeric=False, symbols={"dw": "dLdW", "learning_rate": "lr", "momentum": "mu"},
        )  # fmt: skip

    yield from models(module)


def _is_loss(module: Module) -> bool:
    """Whether the file defines one of the losses of the course: forward(A, Y), backward()."""
    for name in ("CrossEntropyLoss", "MSELoss"):
        methods = module.methods(name) if name in module.classes else {}
        if {"forward", "backward"} <= set(methods):
            taken = [arg.arg for arg in methods["forward"].args.args]
            return taken == ["self", "A", "Y"] and not required(methods["backward"])
    return False


class CMU2022(Runner):
    """From 2022 on: `mytorch/nn/{linear,activation,loss,batchnorm}.py` and `mytorch/optim/sgd.py`."""

    name = "cmu-2022"
    title = "CMU 11-785, homework 1 part 1, from 2022 on (mytorch.nn)"

    def __init__(self, source: Source, found: list[tuple[Described, Module]]) -> None:
        super().__init__(source)
        self.described = found

    @classmethod
    def recognise(cls, source: Source) -> Contract | None:
        marks = ("dLdZ", "dLdA", "dLdW", "dAdZ", "dLdBZ", "self.BW")
        named = any(mark in ast.unparse(module.tree) for module in source.modules for mark in marks)
        if not named and not any(_is_loss(module) for module in source.modules):
            return None
        chosen = [module for module in source.modules if not imports_torch(module)]
        found: dict[str, tuple[Described, Module]] = {}
        for module in sorted(chosen, key=lambda module: (module.path.count("/"), module.path)):
            for each in described(module):
                found.setdefault(each.name, (each, module))
        return cls(source, list(found.values())) if found else None
