"""The networks of CS231n: `TwoLayerNet` and `FullyConnectedNet`. `loss(X)` returns the scores, `loss(X, y)` the loss
and a dict of gradients.

The editions differ in three respects: names of arguments (input_dim or input_size, dropout_keep_ratio or dropout,
normalization or use_batchnorm), whether `reg` is an argument of the constructor or of the loss, and whether the penalty
is reg * sum(W²) or half of it.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checking import diagnosis_more as more
from handgrad.checking.contracts.adapting import adapted
from handgrad.checking.contracts.described import Described, Given, of_argument
from handgrad.checking.contracts.generic import DIFFERENCES, numeric_backward, parameter_subject
from handgrad.checking.contracts.judging import Judge, Trial, call, get, right_value
from handgrad.checking.contracts.source import Module
from handgrad.checking.diagnosis import Draw, Subject, close, departure, slip
from handgrad.checking.diagnosis_networks import mlp_bias_gradient, mlp_forward, mlp_norm_gradient, mlp_weight_gradient
from handgrad.checking.probe import Observation

#: Batch size, inputs, hidden layers, classes.
SIZES = ((5, 4, (6,), 3), (6, 3, (5,), 4), (4, 5, (3,), 3))
DEEP = ((5, 4, (6, 5), 3), (6, 3, (4, 5), 4), (4, 5, (3, 4), 3))
REGULARISATION = (0.3, 0.05, 1.2)
#: Minimum absolute value of the inputs of a ReLU, so that finite differences do not cross the kink.
MIN_PREACTIVATION = 0.02
SHARES = ({"share": 0.5}, {"share": 1.0})
PENALTIES = {"0": "regularisation-missing", "c": "regularisation-wrong"}


# -- subjects ---------------------------------------------------------------------------------------------------------


def _penalty(draw: Draw, which: str = "weights") -> float:
    squares = [float((W**2).sum()) for W in draw.W]
    return {
        "weights": sum(squares),
        "none": 0.0,
        "first": squares[0],
        "last": squares[-1],
        "first in place of all": len(squares) * squares[0],
        "last in place of all": len(squares) * squares[-1],
        "biases too": sum(squares) + sum(float((b**2).sum()) for b in draw.b),
        "absolute": sum(float(np.abs(W).sum()) for W in draw.W),
        "over N": sum(squares) / len(draw.x),
        "without reg": sum(squares) / draw.reg,
    }[which]


def network_loss() -> Subject:
    """The mean cross-entropy of the scores, plus share * reg * sum(W²)."""
    scores, data_loss = mlp_forward(), more.softmax_loss()
    loss_options = {option for each in data_loss.slips for option in each.options}

    def compute(draw: Draw, penalty: str = "weights", averaged: bool = True, **options: Any) -> Any:
        chosen = {key: options.pop(key) for key in list(options) if key in loss_options and key != "end"}
        x = scores.compute(draw, **options)
        data = data_loss.compute(draw.changed(x=x), **chosen) * (1 if averaged else len(draw.x))
        return data + draw.share * draw.reg * _penalty(draw, penalty)

    slips = (
        slip("regularisation-missing", "the loss without reg * sum(W * W)", penalty="none"),
        slip("batch-mean-missing", "the sum of the samples' losses instead of their mean", averaged=False),
        slip(
            "regularisation-wrong", "the loss with a penalty for the weights of the first layer only", penalty="first"
        ),
        slip("regularisation-wrong", "the loss with a penalty for the weights of the last layer only", penalty="last"),
        slip(
            "regularisation-wrong",
            "the loss with the penalty for the first layer once per layer",
            penalty="first in place of all",
        ),
        slip(
            "regularisation-wrong",
            "the loss with the penalty for the last layer once per layer",
            penalty="last in place of all",
        ),
        slip("regularisation-wrong", "the loss with a penalty that includes the biases", penalty="biases too"),
        slip("regularisation-wrong", "the loss with the penalty reg * sum(abs(W))", penalty="absolute"),
        slip("regularisation-wrong", "the loss with the penalty divided by the batch size", penalty="over N"),
        slip("regularisation-wrong", "the loss with the penalty sum(W * W), without reg", penalty="without reg"),
        *data_loss.slips,
        *_without_activation_order(scores).slips,
    )
    mean = {"N": "batch-mean-missing", "1/N": "batch-mean-twice"}
    return Subject("the loss", compute, slips, factors=mean, tolerance=data_loss.tolerance)


def _without_activation_order(subject: Subject) -> Subject:
    """Removes the slips about the order of activations, because all hidden activations are ReLU here."""
    return replace(subject, slips=tuple(one for one in subject.slips if one.bug != "activation-order"))


def _weight(index: int, name: str) -> Subject:
    base = _without_activation_order(mlp_weight_gradient(index, name=name, averaged=True))

    def compute(draw: Draw, **options: Any) -> Any:
        data = base.compute(draw.changed(dy=None), **options)
        penalty = 2 * draw.share * draw.reg * draw.W[index]
        if data.shape != penalty.shape:
            return data
        return {"data": data, "regularisation": penalty}

    mean = {"N": "batch-mean-missing", "1/N": "batch-mean-twice", "-1": "label-sign"}
    return replace(base, compute=compute, factors={}, terms={"data": mean, "regularisation": PENALTIES})


def _bias(index: int, name: str) -> Subject:
    base = _without_activation_order(mlp_bias_gradient(index, name=name, averaged=True))

    def compute(draw: Draw, regularised: bool = False, **options: Any) -> Any:
        found = base.compute(draw.changed(dy=None), **options)
        return found + 2 * draw.share * draw.reg * draw.b[index] if regularised else found

    bias = slip("regularisation-wrong", f"{name} with a penalty for the biases", regularised=True)
    factors = {**base.factors, "N": "batch-mean-missing"}
    return replace(base, compute=compute, slips=(bias, *base.slips), factors=factors)


def _norm(index: int, which: str, name: str) -> Subject:
    base = mlp_norm_gradient(index, which)

    def compute(draw: Draw, **options: Any) -> Any:
        return base.compute(draw.changed(dy=None), **options) / len(draw.x)

    factors = {"N": "batch-mean-missing", "1/N": "batch-mean-twice", "0": "norm-backward-skipped"}
    return replace(base, name=name, compute=compute, factors=factors)


def _numeric_gradient(name: str, k: int) -> Subject:
    base = numeric_backward(loss=True) if k == 0 else parameter_subject(name, bias=False)
    mean = {"N": "batch-mean-missing", "1/N": "batch-mean-twice"}
    return Subject(name, of_argument(base, k), (), factors=mean, tolerance=DIFFERENCES)


# -- arguments --------------------------------------------------------------------------------------------------------


def _random_network(g: np.random.Generator, position: int, sizes: Any, norm: str) -> Draw:
    """A random network in which no input of a ReLU is close to 0."""
    N, D, hidden, K = sizes[position]
    widths = [D, *hidden, K]
    for _ in range(2000):
        x = g.normal(size=(N, D))
        W = [g.normal(size=pair) for pair in itertools.pairwise(widths)]
        b = [g.normal(size=width) for width in widths[1:]]
        gammas = [g.uniform(0.5, 2, width) for width in hidden]
        betas = [g.normal(size=width) for width in hidden]
        value, clear = x, True
        for index in range(len(hidden)):
            z = value @ W[index] + b[index]
            if norm:
                axis = 0 if norm == "batchnorm" else 1
                z = (z - z.mean(axis=axis, keepdims=True)) / np.sqrt(z.var(axis=axis, keepdims=True) + 1e-5)
                z = gammas[index] * z + betas[index]
            clear = clear and bool(np.abs(z).min() > MIN_PREACTIVATION)
            value = np.maximum(z, 0)
        if clear:
            break
    t = np.eye(K)[g.integers(0, K, N)]
    norms: list[Any] = [None] * len(W)
    if norm == "batchnorm":
        pairs = zip(gammas, betas, strict=True)
        norms = [*({"gamma": gamma, "beta": beta, "eps": 1e-5} for gamma, beta in pairs), None]
    kinds = ["relu"] * len(hidden) + ["identity"]
    return Draw(
        {"N": N, "D": D, "K": K}, x=x, t=t, W=W, b=b, kinds=kinds, p=0.0, norms=norms, dy=None, softmax=False,
        hidden_kind="relu", lr=1.0, reg=REGULARISATION[position], share=0.5, gammas=gammas, betas=betas,
    )  # fmt: skip


def _names(layers: int, norm: str) -> list[str]:
    found = [f"{letter}{index + 1}" for index in range(layers) for letter in ("W", "b")]
    return found + [f"{word}{index + 1}" for index in range(layers - 1) for word in ("gamma", "beta") if norm]


def _given(g: np.random.Generator, position: int, sizes: Any, norm: str, labels: bool, dropped: bool = False) -> Given:
    draw = _random_network(g, position, sizes, norm).changed(dropped=dropped)
    values = {f"W{k + 1}": W for k, W in enumerate(draw.W)} | {f"b{k + 1}": b for k, b in enumerate(draw.b)}
    values |= {f"gamma{k + 1}": one for k, one in enumerate(draw.gammas)}
    values |= {f"beta{k + 1}": one for k, one in enumerate(draw.betas)}
    arrays: dict[str, Any] = {name: values[name] for name in _names(len(draw.W), norm)}
    arrays["X"] = draw.x
    if labels:
        arrays["y"] = draw.t.argmax(axis=1)
    _, D, hidden, K = sizes[position]
    arrays |= {"size D": D, "size K": K, "size hidden": list(hidden), "size H": hidden[0], "size reg": draw.reg}
    if not labels:
        return Given(arrays, draw)
    if norm or draw.dropped:
        test = ["f", 1, "layer", "loss"]
        after = tuple(
            {"op": "call", "path": test, "args": [{"fresh": name}], "as": f"scores of {name}"} for name in ("X", "head")
        )
        return Given(arrays, draw, after=after, besides={"head": draw.x[:2]})
    last = f"b{len(draw.W)}"
    args = [
        {"fresh": "large" if name == last else name} if isinstance(value, np.ndarray) else value
        for name, value in arrays.items()
    ]
    after = (call("made", "forward", args=args, to="large f", send=False), get("large f", 0, to="large y"))
    return Given(arrays, draw, after=after, besides={"large": values[last] + 1e3})  # this does not change the loss


def _evaluated(forward: Judge, backward: Judge, trials: Sequence[tuple[Trial, Observation]]) -> None:
    """Checks that loss(X), without labels, uses neither batch statistics nor dropout."""
    for one, observation in trials:
        scores, head = observation.get("scores of X"), observation.get("scores of head")
        if scores is None or head is None or head.shape != scores[:2].shape or forward.missing:
            continue
        if one.draw.dropped:
            expected = right_value(mlp_forward(), one.draw)
            if not close(scores, expected):
                forward.judged = True
                forward.bug("dropout-in-evaluation", f"in loss(X): {departure('the scores', scores, expected)}")
                return
        elif not close(head, scores[:2]):
            alone = departure("the scores", head, scores[:2])
            forward.bug("evaluation-batch-figures", f"loss(X) for only the first two samples: {alone}")
            return


# -- the descriptions -------------------------------------------------------------------------------------------------


def networks(module: Module, more_checks: tuple[Callable[..., None], ...] = ()) -> Iterator[Described]:
    """The networks in one file, as a description of each part. `more_checks` are further checks of a loss."""
    for owner, sizes in (("TwoLayerNet", SIZES), ("FullyConnectedNet", DEEP)):
        if owner not in module.classes or "loss" not in module.methods(owner):
            continue
        init, loss = (_arguments(module.methods(owner).get(name)) for name in ("__init__", "loss"))
        if "X" not in loss or "params" not in ast.unparse(module.classes[owner]):
            continue
        built = _built(owner, init)
        if built is None or not ("reg" in built or "reg" in loss):
            continue
        norms = () if owner == "TwoLayerNet" else _normalisations(init, module.classes[owner])
        for norm in ("", *norms):
            yield from _parts(owner, sizes, built, init, loss, norm, more_checks)
        rate = next((name for name in ("dropout_keep_ratio", "dropout") if name in init), "")
        if owner == "FullyConnectedNet" and rate and "seed" in init:
            yield _with_dropout(sizes, {**built, rate: 0.7, "seed": 5}, loss)


def _arguments(node: ast.FunctionDef | None) -> list[str]:
    return [each.arg for each in node.args.args if each.arg != "self"] if node is not None else []


def _built(owner: str, init: list[str]) -> dict[str, Any] | None:
    """The arguments of the constructor, with the names of the edition; None if the constructor is not recognised."""
    wanted = {"D": ("input_dim", "input_size"), "K": ("num_classes", "output_size", "output_dim")}
    wanted |= {"H": ("hidden_dim", "hidden_size")} if owner == "TwoLayerNet" else {"hidden": ("hidden_dims",)}
    built: dict[str, Any] = {}
    for size, names in wanted.items():
        name = next((name for name in names if name in init), None)
        if name is None:
            return None
        built[name] = {"size": size}
    built |= {"reg": {"size": "reg"}} if "reg" in init else {}
    return built | ({"dtype": {"numpy": "float64"}} if "dtype" in init else {})


def _normalisations(init: list[str], node: ast.ClassDef) -> tuple[str, ...]:
    """The normalisations that the constructor accepts and the code mentions."""
    if "normalization" in init:
        values = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        return tuple(norm for norm in ("batchnorm", "layernorm") if norm in values or f"{norm}_forward" in names)
    return ("batchnorm",) if "use_batchnorm" in init else ()


def _spec(owner: str, names: list[str], built: Mapping[str, Any], inputs: list[str]) -> dict[str, Any]:
    sizes = ["size D", "size K", "size hidden", "size H", "size reg"]
    labelled = "y" in inputs
    return {
        "class": owner, "construct": [], "construct_named": dict(built), "before": [], "forward": "loss",
        "backward": "", "backward_takes": [], "arguments": [*names, "X", *(["y"] if labelled else []), *sizes],
        "inputs": inputs, "parameters": {name: ["layer", "params", {"key": name}] for name in names},
        "output": ["forward", 0] if labelled else ["forward"], "state": [],
        "gradients": [["forward", 1, {"key": name}] for name in names],
    }  # fmt: skip


def _parts(
    owner: str, sizes: Any, built: dict[str, Any], init: list[str], loss: list[str], norm: str, more_checks: Any
):
    if norm:
        built = {**built, **({"normalization": norm} if "normalization" in init else {"use_batchnorm": True})}
    layers = len(sizes[0][2]) + 1
    names, inputs = _names(layers, norm), ["X", "y", *(["size reg"] if "reg" in loss else [])]
    title = f"{owner} with {norm}" if norm else owner
    common = {"owner": owner, "methods": ("loss", "loss"), "group": owner, "trials": len(SIZES)}
    if not norm:
        yield Described(
            f"{title}.loss(X)", "forward", "", lambda g, k: _given(g, k, sizes, norm, False),
            _without_activation_order(mlp_forward()), adapter=adapted(_spec(owner, names, built, ["X"])), numeric=False,
            **common,
        )  # fmt: skip
    analytic = norm != "layernorm"
    gradients: dict[str, Subject] = {}
    for k, name in enumerate(names):
        index = int(name[-1]) - 1
        kind = name[:-1]
        if not analytic:
            gradients[f"d{name}"] = _numeric_gradient(f"d{name}", k)
        elif kind in ("gamma", "beta"):
            gradients[f"d{name}"] = _norm(index, kind, f"d{name}")
        else:
            gradients[f"d{name}"] = (_weight if kind == "W" else _bias)(index, f"d{name}")
    yield Described(
        f"{title}.loss(X, y)", "forward", "backward", lambda g, k: _given(g, k, sizes, norm, True),
        network_loss() if analytic else None, gradients, adapter=adapted(_spec(owner, names, built, inputs)),
        upstream=False, choices=SHARES, starts_at_zero=True, differences=not analytic,
        shared=dict.fromkeys(gradients, SHARED), more={"": more_checks, "batchnorm": (_evaluated,)}.get(norm, ()),
        **common,
    )  # fmt: skip


#: Options of slips in forward that also make the gradients wrong.
SHARED = ("bias", "norm", "activations", "end")


def _with_dropout(sizes: Any, built: dict[str, Any], loss: list[str]) -> Described:
    """A network with dropout, compared only with its own numerical derivatives. The seed gives all calls the same
    mask."""
    names = _names(len(sizes[0][2]) + 1, "")
    inputs = ["X", "y", *(["size reg"] if "reg" in loss else [])]
    owner = "FullyConnectedNet"
    return Described(
        f"{owner} with dropout.loss(X, y)", "forward", "backward",
        lambda g, k: _given(g, k, sizes, "", True, dropped=True), None,
        {f"d{name}": _numeric_gradient(f"d{name}", k) for k, name in enumerate(names)},
        adapter=adapted(_spec(owner, names, built, inputs)), upstream=False, starts_at_zero=True, differences=True,
        more=(_evaluated,), owner=owner, methods=("loss", "loss"), group=owner, trials=2,
    )  # fmt: skip
