"""CMU's MLP of 2019 to 2021: forward, backward, step, zero_grads, train and eval."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from handgrad.checking.contracts.checks import judge_later
from handgrad.checking.contracts.judging import Judge, Trial, array, call, define, get, put, trial
from handgrad.checking.contracts.source import Module
from handgrad.checking.diagnosis import Draw, Explanation, close, departure
from handgrad.checking.diagnosis_networks import (
    mlp_bias_gradient,
    mlp_forward,
    mlp_norm_gradient,
    mlp_step,
    mlp_weight_gradient,
)
from handgrad.checking.probe import Observation, Operation, Value
from handgrad.checking.results import Finding

KINDS = {"identity": "Identity", "sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "ReLU"}


@dataclass(frozen=True)
class Net:
    """One network to test: sizes from input to output, activations, normalised layers, batch size."""

    name: str
    sizes: tuple[int, ...]
    kinds: tuple[str, ...]
    norms: int = 0
    N: int = 6
    momentum: float = 0.0
    lr: float = 0.05


NETS = (
    Net("linear", (5, 3), ("identity",), N=7, lr=0.1),
    Net("linear sigmoid", (4, 3), ("sigmoid",), N=5, momentum=0.7, lr=0.1),
    Net("one hidden", (4, 6, 3), ("sigmoid", "tanh"), N=5, momentum=0.9, lr=0.02),
    Net("two hidden", (5, 4, 6, 3), ("tanh", "sigmoid", "identity"), N=8, momentum=0.6, lr=0.03),
    Net("square", (4, 4, 4), ("sigmoid", "identity"), N=6, lr=0.07),
    Net("square again", (3, 3, 3, 3), ("tanh", "relu", "identity"), N=5, momentum=0.8),
    Net("normalised", (4, 5, 3), ("sigmoid", "identity"), norms=1, N=8, lr=0.05),
    Net("normalised twice", (4, 5, 6, 3), ("tanh", "sigmoid", "identity"), norms=2, N=9, momentum=0.7, lr=0.04),
    Net("first normalised", (5, 4, 6, 3), ("sigmoid", "tanh", "identity"), norms=1, N=7, momentum=0.9, lr=0.03),
)


@dataclass(frozen=True)
class Places:
    """Where an edition stores its arrays."""

    weight: tuple[Any, ...] = ("mlp", "W", "{i}")
    bias: tuple[Any, ...] = ("mlp", "b", "{i}")
    dweight: tuple[Any, ...] = ("mlp", "dW", "{i}")
    dbias: tuple[Any, ...] = ("mlp", "db", "{i}")
    norm: tuple[Any, ...] = ("mlp", "bn_layers", "{i}")

    def at(self, what: str, index: int) -> list[Any]:
        return [index if step == "{i}" else step for step in getattr(self, what)]


def build(
    net: Net,
    mode: str,
    module: str,
    setup: Sequence[Operation],
    places: Places,
    owners: Mapping[str, str],
    g: np.random.Generator,
    *,
    row: bool,
    has: Any,
) -> Trial:
    """The trial of one network.

    Args:
        net: the network.
        mode: "ours" with the layers of the checker, "own" with those of the hand-in.
        module: the name under which the file of the MLP is imported.
        setup: the imports.
        places: where the edition stores its arrays.
        owners: class -> the name under which its module is imported.
        g: the generator of the arrays.
        row: whether biases have the shape (1, n).
        has: (name) -> whether the hand-in defines this class.
    """
    layers = len(net.kinds)
    arrays: dict[str, Any] = {}
    for k in (0, 1):
        N = net.N
        arrays[f"x{k}"] = g.normal(size=(N, net.sizes[0]))
        arrays[f"t{k}"] = np.eye(net.sizes[-1])[g.integers(0, net.sizes[-1], N)]
    arrays["x2"] = g.normal(size=(4, net.sizes[0]))
    for i in range(net.norms):
        arrays[f"gamma{i}"] = g.uniform(0.5, 1.5, size=(1, net.sizes[i + 1]))
        arrays[f"beta{i}"] = g.normal(size=(1, net.sizes[i + 1]))

    sizes = list(zip(net.sizes[:-1], net.sizes[1:], strict=True))
    arrays |= {f"w{i}": 0.7 * g.normal(size=size) for i, size in enumerate(sizes)}
    arrays |= {f"b{i}": 0.5 * g.normal(size=(1, d) if row else (d,)) for i, (_, d) in enumerate(sizes)}
    seed = int(g.integers(1 << 31))
    given = [f"{name}{i}" for name in "wb" for i in range(layers)]

    def base(name: str) -> Any:
        return {"path": [owners[name], name]} if has(name) else None

    operations: list[Operation] = [
        *setup,
        define("cmu_modules", give=given),
    ]
    ours = mode == "ours"
    for position, kind in enumerate(net.kinds):
        name = KINDS[kind]
        if ours or not has(name):
            operations.append(call("ours", "activation", args=[base(name), kind], to=f"a{position}", send=False))
        else:
            operations.append(call(owners[name], name, to=f"a{position}", send=False))
    if ours or not has("SoftmaxCrossEntropy"):
        operations.append(call("ours", "criterion", args=[base("SoftmaxCrossEntropy")], to="criterion", send=False))
    else:
        operations.append(call(owners["SoftmaxCrossEntropy"], "SoftmaxCrossEntropy", to="criterion", send=False))
    if ours:
        # they are replaced in the module of the MLP, not in their own modules
        for name, make in (("BatchNorm", "batchnorm"), ("Linear", "linear")):
            operations.append(call("ours", make, args=[base(name)], to=f"our {name}", send=False))
            operations.append(get(module, name, to=f"their {name}", optional=True) | {"send": False})
            operations.append(put(module, name, value={"path": [f"our {name}"]}))
    hiddens = list(net.sizes[1:-1])
    operations += [
        call("ours", "biases", args=[row, _initialiser(owners)], to="biases", send=False),
        {"op": "let", "value": hiddens, "as": "hiddens", "send": False},
        {"op": "seed", "value": seed},
        call(
            module,
            "MLP",
            args=[
                net.sizes[0],
                net.sizes[-1],
                {"path": ["hiddens"]},
                [{"path": [f"a{position}"]} for position in range(layers)],
                {"path": ["ours", "weights"]},
                {"path": ["biases"]},
                {"path": ["criterion"]},
                net.lr,
            ],
            kwargs={"momentum": net.momentum, "num_bn_layers": net.norms},
            to="mlp",
            send=False,
            attempt=True,
        ),
    ]
    if ours:
        for name in ("BatchNorm", "Linear"):
            operations.append(put(module, name, value={"path": [f"their {name}"]}, optional=True))
    operations += [
        call("numpy", "random", "random_sample", to="random"),
        get("hiddens", to="hiddens after"),
        get("ours", "calls", to="calls"),
    ]
    for i in range(layers):
        for what, name in (("weight", "W"), ("bias", "b")):
            place = places.at(what, i)
            operations.append(get(*place, to=f"{name}{i} start", optional=True))
            operations.append(put(*place, value={"fresh": f"{name.lower()}{i}"}, optional=True) | {"in_place": True})
            operations.append(get(*place, to=f"{name}{i} 0", optional=True))
    for i in range(net.norms):
        operations += [put(*places.at("norm", i), "gamma", value={"fresh": f"gamma{i}"}, optional=True)]
        operations += [put(*places.at("norm", i), "beta", value={"fresh": f"beta{i}"}, optional=True)]
    for step in (0, 1):
        operations += [
            call("mlp", "zero_grads", to=f"zeroed {step}", attempt=True),
            call("mlp", "forward", args=[array(f"x{step}")], to=f"y{step}", attempt=True),
            call("mlp", "backward", args=[array(f"t{step}")], to=f"back{step}", attempt=True),
        ]
        for i in range(layers):
            operations += [
                get(*places.at("dweight", i), to=f"dW{i} {step}", optional=True),
                get(*places.at("dbias", i), to=f"db{i} {step}", optional=True),
                get(*places.at("weight", i), to=f"W{i} before {step}", optional=True),
                get(*places.at("bias", i), to=f"b{i} before {step}", optional=True),
            ]
        for i in range(net.norms):
            for name in ("gamma", "beta", "dgamma", "dbeta"):
                operations.append(get(*places.at("norm", i), name, to=f"{name}{i} before {step}", optional=True))
        operations.append(call("mlp", "step", to=f"stepped {step}", attempt=True))
        for i in range(layers):
            operations += [
                get(*places.at("weight", i), to=f"W{i} after {step}", optional=True),
                get(*places.at("bias", i), to=f"b{i} after {step}", optional=True),
            ]
        for i in range(net.norms):
            for name in ("gamma", "beta"):
                operations.append(get(*places.at("norm", i), name, to=f"{name}{i} after {step}", optional=True))
    operations.append(call("mlp", "zero_grads", to="zeroed", attempt=True))
    for i in range(layers):
        operations += [
            get(*places.at("dweight", i), to=f"dW{i} zeroed", optional=True),
            get(*places.at("dbias", i), to=f"db{i} zeroed", optional=True),
        ]
    operations += [call("mlp", "eval", to="evaled", attempt=True)]
    for i in range(net.norms):
        for name in ("running_mean", "running_var", "gamma", "beta"):
            operations.append(get(*places.at("norm", i), name, to=f"{name}{i} eval", optional=True))
    operations += [
        call("mlp", args=[array("x2")], to="y eval", attempt=True),
        call("mlp", "train", to="trained", attempt=True),
        call("mlp", "forward", args=[array("x0")], to="y train", attempt=True),
        call("mlp", "forward", args=[array("x2")], to="y2 train", attempt=True),
        call("mlp", "zero_grads", to="zeroed later", attempt=True),
        call("mlp", "forward", args=[array("x0")], to="y later", attempt=True),
        call("mlp", "backward", args=[array("t0")], to="back later", attempt=True),
        call("mlp", "error", args=[array("t0")], to="error", attempt=True),
        call("mlp", "total_loss", args=[array("t0")], to="total loss", attempt=True),
    ]
    for i in range(layers):
        operations += [
            get(*places.at("dweight", i), to=f"dW{i} later", optional=True),
            get(*places.at("dbias", i), to=f"db{i} later", optional=True),
        ]
    draw = Draw(
        {"N": net.N, "K": net.sizes[-1], "lr": net.lr}
        | ({"momentum": net.momentum, "1-momentum": 1 - net.momentum} if net.momentum else {}),
        net=net,
        arrays=arrays,
        seed=seed,
    )
    # The stand-ins contain the answers to other parts, so they run in a separate process.
    return trial(f"MLP {mode} {net.name}", operations, draw, arrays, apart="networks")


def _initialiser(owners: Mapping[str, str]) -> Any:
    return {"path": [owners["zeros_bias_init"], "zeros_bias_init"]} if "zeros_bias_init" in owners else None


def renamed_places(module: Module | None, name: str, places: Places) -> tuple[Places, dict[str, str]]:
    """Detects other names of the parameters. Returns the places with these names, and interface name -> own name.

    The array that `weight_init_fn` creates is W, independent of its name. The name of its gradient is derived from it.
    """
    methods = module.methods(name) if module is not None and name not in module.borrowed else {}
    attributes: dict[str, list[str]] = {}
    for node in (each for method in methods.values() for each in ast.walk(method)):
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "append":
            targets, value = [node.func.value], node
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
                attributes.setdefault(target.attr, []).append(ast.unparse(value))
    makers = {"W": "weight_init_fn(", "b": "bias_init_fn(", "bn_layers": "BatchNorm(", "linear_layers": "Linear("}
    fields = {"W": "weight", "b": "bias", "dW": "dweight", "db": "dbias", "bn_layers": "norm"}
    used = [step for field in ("weight", "bias", "dweight", "dbias", "norm") for step in getattr(places, field)]
    names: dict[str, str] = {}
    for wanted, maker in makers.items():
        if wanted not in used or wanted in attributes:
            continue
        own = next((own for own, values in attributes.items() if any(maker in one for one in values)), None)
        if own is not None:
            names[wanted] = own
    for wanted in ("W", "b"):
        own, gradient = names.get(wanted, wanted), f"d{wanted}"
        if gradient in used and gradient not in attributes:
            likely = (
                f"d{own}",
                f"d_{own}",
                f"grad_{own}",
                f"{own}_grad",
                f"{own}_grads",
                f"grads_{own}",
                f"{own}_gradients",
            )
            found = next((other for other in likely if other in attributes), None)
            if found is not None:
                names[gradient] = found
    changed = {
        field: tuple(names.get(step, step) if isinstance(step, str) else step for step in getattr(places, field))
        for field in fields.values()
    }
    return (replace(places, **changed), names) if names else (places, {})


def network(each: Trial, observation: Observation, step: int | str) -> Draw | None:
    """The draw of a pass through the network, with the parameters of the hand-in at that time.

    None if parameters are missing, or if those of the first pass differ from the values that were set. A network could
    otherwise report wrong weights and be judged by them.
    """
    net: Net = each.draw.net
    W, b, norms = [], [], []
    suffix = {0: "0", 1: "after 0", "eval": "after 1", "later": "after 1"}[step]
    for i in range(len(net.kinds)):
        weight, bias = observation.get(f"W{i} {suffix}"), observation.get(f"b{i} {suffix}")
        if weight is None or bias is None:
            return None
        if weight.shape != (net.sizes[i], net.sizes[i + 1]) or bias.size != net.sizes[i + 1]:
            return None
        given = (each.draw.arrays[f"w{i}"], each.draw.arrays[f"b{i}"])
        if step == 0 and not (close(weight, given[0]) and close(np.ravel(bias), np.ravel(given[1]))):
            return None
        W.append(weight.astype(float))
        b.append(bias.astype(float))
        if i >= net.norms:
            norms.append(None)
            continue
        names = {"gamma", "beta"}
        when = {0: "before 0", 1: "after 0", "eval": "eval", "later": "eval"}[step]
        found = {name: observation.get(f"{name}{i} {when}") for name in names}
        for name, start in (("gamma", 1.0), ("beta", 0.0)):
            value = found[name]
            if value is None or value.size != net.sizes[i + 1]:
                found[name] = np.full(net.sizes[i + 1], start)
            elif step == 0 and not close(np.ravel(value), np.ravel(each.draw.arrays[f"{name}{i}"])):
                return None
        for name, start in (("running_mean", 0.0), ("running_var", 1.0)):
            value = observation.get(f"{name}{i} eval")
            found[name] = value if value is not None else np.full(net.sizes[i + 1], start)
        norms.append(found)
    which = step if isinstance(step, int) else {"eval": 2, "later": 0}[step]
    return Draw(
        {"N": len(each.draw.arrays[f"x{which}"]), "K": net.sizes[-1]},
        x=each.draw.arrays[f"x{which}"],
        t=each.draw.arrays.get(f"t{which}"),
        W=W,
        b=b,
        kinds=net.kinds,
        norms=norms,
        p=0.0,
        dy=None,
        softmax=False,
        lr=net.lr,
        net=net,
    )


class Renamed:
    """Makes the observations of individual passes of a probe available under separate names."""

    def __init__(self, judge: Judge, observations: Mapping[str, Observation]) -> None:
        self.judge, self.observations, self.added = judge, observations, {}

    def add(self, each: Trial, label: str, draw: Draw, values: Mapping[str, Value | None]) -> Trial:
        observation = self.observations[each.name]
        name = f"{each.name} / {label}"
        kept = {key: value for key, value in values.items() if value is not None}
        self.added[name] = Observation(name, kept, observation.changed, observation.failure)
        self.judge.observations = {**self.observations, **self.added}
        return Trial(replace(each.probe, name=name), draw)


def judge_mlp(
    judges: Mapping[str, Judge], trials: Sequence[Trial], observations: Mapping[str, Observation], row: bool
) -> None:
    """Fills the judges of the MLP's parts from one set of trials."""
    known = [each for each in trials if each.name in observations]
    _judge_constructor(judges["MLP.__init__"], known, observations)
    if known and all(_without_layers(observations[each.name]) for each in known):
        for judge in judges.values():
            judge.missing, judge.findings = judge.missing or "not filled in: the network has no layers yet", []
        return
    usable = [each for each in known if _was_created(observations[each.name])]
    if not any(each.draw.net.norms for each in usable):
        _explain_missing_norm(
            [judges[part] for part in judges if "BatchNorm" in part or "train" in part], known, observations
        )
    linear = [each for each in usable if each.draw.net.norms == 0]
    normalised = [each for each in usable if each.draw.net.norms]
    for part, chosen in (("forward", linear), ("forward with BatchNorm", normalised)):
        _judge_forward(judges[f"MLP.{part}"], chosen, observations)
    for part, chosen in (("backward", linear), ("backward with BatchNorm", normalised)):
        forward = judges["MLP.forward" + part.removeprefix("backward")]
        judge = judges[f"MLP.{part}"]
        _judge_backward(judge, chosen, observations, forward.options, row)
        without_consequences(judge, forward, "forward is wrong, so backward cannot be judged")
    plain = [each for each in usable if each.draw.net.momentum == 0]
    with_momentum = [each for each in usable if each.draw.net.momentum]
    _judge_step(judges["MLP.step"], plain, observations)
    _judge_step(judges["MLP.step with momentum"], with_momentum, observations)
    for part in ("MLP.step", "MLP.step with momentum"):
        for before in ("MLP.backward", "MLP.backward with BatchNorm"):
            without_consequences(judges[part], judges[before], "backward computes gradients of the wrong shape")
    _report_once(judges["MLP.step"], judges["MLP.step with momentum"])
    _judge_zero_grads(judges["MLP.zero_grads"], usable, observations)
    forward = judges["MLP.forward with BatchNorm"]
    normalises = not any(bug.id.startswith("norm-") for bug in forward.findings)
    _judge_modes(judges["MLP.train and eval"], normalised, observations, normalises)


def _without_layers(observation: Observation) -> bool:
    """Whether the constructor is that of the starter: it creates no weights, and the layers are None."""
    calls, first = observation.values.get("calls"), observation.values.get("W0 start")
    failure = first.failure if first is not None else None
    return calls is not None and not calls.length and failure is not None and "'NoneType'" in failure.message


def _report_once(first: Judge, second: Judge) -> None:
    """Removes bugs of the step with momentum that are already reported for the step without momentum. Errors are the
    same bug only if their messages agree. A part without remaining findings is not judged, as it is not right."""

    def same(one: Finding, other: Finding) -> bool:
        text = [bug.evidence.partition(" (network:")[0] for bug in (one, other)]
        return one.id == other.id and (one.id not in ("raises", *ERRORS) or text[0] == text[1])

    kept = [bug for bug in second.findings if not any(same(bug, known) for known in first.findings)]
    if second.findings and not kept:
        second.unjudged = second.unjudged or f"it has the bugs reported for {first.part}"
    second.findings = kept


ERRORS = ("missing-attribute", "undefined-name", "shape-clash")


def _was_created(observation: Observation) -> bool:
    created = observation.values.get("mlp")  # sent only if it is an exception
    return "calls" in observation.values and (created is None or created.failure is None)


def _explain_missing_norm(
    judges: Sequence[Judge], trials: Sequence[Trial], observations: Mapping[str, Observation]
) -> None:
    """Records why there is no network with batch normalisation: it is not filled in, or it cannot be judged."""
    for each in trials:
        created = observations[each.name].values.get("mlp")
        failure = created.failure if created is not None else observations[each.name].failure
        if each.draw.net.norms and failure is not None:
            for judge in judges:
                if "NotImplemented" in failure.type + failure.message:
                    judge.missing = judge.missing or "not filled in"
                else:
                    judge.unjudged = f"the network cannot be created: {failure}"
            return


def without_consequences(judge: Judge, cause: Judge, reason: str) -> None:
    """Removes findings that can be consequences of the findings of another judge. If there were any, the part is not
    judged."""
    if not cause.findings:
        return
    follows = {"raises", "shape-clash", "wrong-shape"}
    if any(bug.id.startswith(("activation-", "norm-", "softmax-")) for bug in cause.findings):
        follows |= {"unexplained", "stale-state", "activation-missing"}
    kept = [bug for bug in judge.findings if bug.id not in follows]
    if len(kept) < len(judge.findings):
        judge.findings = kept
        judge.judged, judge.unjudged = False, reason


def _judge_constructor(judge: Judge, trials, observations) -> None:
    if judge.missing:
        return
    for each in trials:
        net: Net = each.draw.net
        observation = observations[each.name]
        value = observation.values.get("mlp")
        failure = value.failure if value is not None else observation.failure
        if failure is not None:
            if not (net.norms and "NotImplemented" in failure.type + failure.message):
                judge.failed(failure, f"(for the network {net.name})")
            continue
        judge.judged = True
        after = observation.values.get("hiddens after")
        if after is not None and after.length != len(net.sizes) - 2:
            judge.bug(
                "caller-list-changed",
                f"the list `hiddens` has {after.length} items after the call, but had {len(net.sizes) - 2}",
            )
        calls = observation.values.get("calls")
        if calls is not None:
            wanted = [[net.sizes[i], net.sizes[i + 1]] for i in range(len(net.kinds))]
            found = [
                [int(n.array) for n in item.items.values() if n.array is not None] for item in calls.items.values()
            ]
            if found != wanted and sorted(found) == sorted(wanted):
                judge.bug("init-order", f"the weights are drawn in the order {found}, expected {wanted}")
            elif found != wanted:
                judge.bug("layers-missing", f"weights with the shapes {found} are drawn, expected {wanted}")
        for i in range(len(net.kinds)):
            weight = observation.get(f"W{i} start")
            wanted_shape = (net.sizes[i], net.sizes[i + 1])
            if weight is not None and weight.shape != wanted_shape:
                judge.bug("init-shape", f"`W[{i}]` has the shape {weight.shape}, expected {wanted_shape}")
            if weight is None and judge.observed(each) is not None:
                missing = observation.values.get(f"W{i} start")
                if missing is not None and missing.failure is not None:
                    judge.bug("missing-attribute", f"there is no `W[{i}]`: {missing.failure.message}")
    for each in trials:
        expected = np.random.RandomState(each.draw.seed).random_sample()
        found = observations[each.name].get("random")
        if found is not None and float(found) != expected and not judge.findings:
            judge.bug(
                "init-extra-draw",
                "the constructor changes the state of np.random, although weight_init_fn does not use np.random",
            )


def _forward_draws(judge: Judge, renamed: Renamed, trials, observations, steps=(0, 1)) -> list[Trial]:
    found = []
    for each in trials:
        observation = observations[each.name]
        if observation.values.get("mlp") is not None and observation.values["mlp"].failure is not None:
            continue
        for step in steps:
            draw = network(each, observation, step)
            if draw is not None:
                found.append(renamed.add(each, f"forward {step}", draw, {"y": observation.values.get(f"y{step}")}))
    return found


def _judge_forward(judge: Judge, trials, observations) -> None:
    if judge.missing:
        return
    renamed = Renamed(judge, observations)
    passes = _forward_draws(judge, renamed, trials, observations)
    if passes:
        fit_or_stale(judge, mlp_forward(), passes, "y", [{}])
        if not judge.findings:
            late = []
            for each in trials:
                value, draw = (
                    observations[each.name].values.get("y later"),
                    network(each, observations[each.name], "later"),
                )
                if value is not None and draw is not None:
                    late.append(renamed.add(each, "pass 3", draw, {"y": value}))
            judge_later(judge, mlp_forward(), late, "y")
        if judge.part == "MLP.forward":
            _judge_output(judge, trials, observations)
    else:
        _explain_absence(judge, trials, observations)
    judge.unchanged(trials, ("x0", "x1"))


def _judge_output(judge: Judge, trials, observations) -> None:
    """Checks error() and total_loss() of the starter, if the hand-in still has them. They use attributes that forward
    must set."""
    for each in trials:
        observation = observations[each.name]
        back = observation.values.get("back later")
        if back is not None and back.failure is not None:
            continue  # reported for backward
        for method, key in (("error", "error"), ("total_loss", "total loss")):
            if judge.module is None or method not in judge.module.methods(judge.owner):
                continue
            value = observation.values.get(key)
            failure = value.failure if value is not None else None
            if failure is None or failure.kind != "exception" or "NotImplemented" in failure.type + failure.message:
                continue
            judge.bug(
                "output-not-set",
                f"after forward and backward, {method}(labels) raises {failure.type}: {failure.message}",
                line=failure.line,
                file=failure.file,
            )
            return


def _explain_absence(judge: Judge, trials, observations) -> None:
    for each in trials:
        observation = observations[each.name]
        value = observation.values.get("mlp")
        failure = value.failure if value is not None else observation.failure
        if failure is not None and failure.kind == "exception":
            judge.unjudged = f"the network cannot be created: {failure}"
            return
        if failure is not None:
            judge.failed(failure)
            return
    judge.unjudged = judge.unjudged or "its parameters were not found"


def _judge_backward(judge: Judge, trials, observations, given: Mapping[str, Any], row: bool) -> None:
    if judge.missing:
        return
    renamed = Renamed(judge, observations)
    found: dict[int, list[Trial]] = {}
    depth_of = {}
    for each in trials:
        observation = observations[each.name]
        net: Net = each.draw.net
        back = observation.values.get("back0")
        if back is not None and back.failure is not None:
            judge.failed(back.failure, f"(network: {net.name})")
            loops_forwards(judge)
            continue
        layers = len(net.kinds)
        for step in (0, 1):
            draw = network(each, observation, step)
            if draw is None:
                continue
            for i in range(layers):
                from_top = layers - 1 - i
                values = {
                    "dW": observation.values.get(f"dW{i} {step}"),
                    "db": observation.values.get(f"db{i} {step}"),
                }
                if i < net.norms:
                    values["db"] = without_rounding(values["db"], values["dW"])
                    values |= {k: observation.values.get(f"d{k}{i} before {step}") for k in ("gamma", "beta")}
                one = renamed.add(each, f"layer {i} {step}", draw, values)
                found.setdefault(from_top, []).append(one)
                depth_of[one.name] = i
    if not found:
        if not judge.findings:
            _explain_absence(judge, trials, observations)
        return
    options = dict(given)
    for from_top in sorted(found):
        chosen = found[from_top]
        subject = _by_layer(mlp_weight_gradient, depth_of, chosen, "dW")
        best = fit_or_stale(judge, subject, chosen, "dW", _givens(options, given))
        if best is not None and best.explained:
            kept = {"axes", "by"}
            options |= {name: value for name, value in best.options.items() if name not in kept}
            derivatives_left_out(judge, best)
        subject = _by_layer(mlp_bias_gradient, depth_of, chosen, "db")
        fit_or_stale(judge, subject, chosen, "db", _givens(options, given))
        with_norm = [one for one in chosen if depth_of[one.name] < one.draw.net.norms]
        if with_norm:
            for which in ("gamma", "beta"):
                subject = _by_layer(
                    lambda i, which=which: mlp_norm_gradient(i, which), depth_of, with_norm, f"d{which}"
                )
                judge.fit(subject, with_norm, which, givens=_givens(options, given))
    loops_forwards(judge)
    if not judge.findings and not given:
        _later_gradients(judge, renamed, trials, observations)
    known = {bug.id for bug in judge.findings}
    if len(known) > 1:  # unexplained errors in lower layers are consequences of the named bugs above
        judge.findings = [bug for bug in judge.findings if bug.id != "unexplained"]
    for each in trials:
        observation = observations[each.name]
        for i in range(len(each.draw.net.kinds)):
            for name in ("W", "b"):
                before, start = observation.get(f"{name}{i} before 0"), observation.get(f"{name}{i} 0")
                if before is not None and start is not None and not close(before, start, 1e-12):
                    judge.bug("parameter-changed", f"backward changes `{name}[{i}]`; only step may change it")
    judge.unchanged(trials, ("t0", "t1"), "array of labels")
    for each in trials:
        observation = observations[each.name]
        for i in range(len(each.draw.net.kinds)):
            db = observation.get(f"db{i} 0")
            wanted = (1, each.draw.net.sizes[i + 1]) if row else (each.draw.net.sizes[i + 1],)
            if db is not None and db.shape != wanted and db.size == wanted[-1]:
                judge.note(
                    f"`db[{i}]` has the shape {db.shape} instead of {wanted}: harmless, but it differs from the "
                    "assignment"
                )
                return


def _later_gradients(judge: Judge, renamed: Renamed, trials, observations) -> None:
    """Judges the gradients of a third pass through the same network."""
    for each in trials:
        observation = observations[each.name]
        draw = network(each, observation, "later")
        if draw is None or judge.findings:
            continue
        for i in range(len(each.draw.net.kinds)):
            for name, make in (("dW", mlp_weight_gradient), ("db", mlp_bias_gradient)):
                value = observation.values.get(f"{name}{i} later")
                if i < each.draw.net.norms and name == "db":
                    value = without_rounding(value, observation.values.get(f"dW{i} later"))
                if value is not None:
                    late = renamed.add(each, "pass 3", draw, {name: value})
                    judge_later(judge, make(i), [late], name)


def loops_forwards(judge: Judge) -> None:
    """Replaces the consequences of a loop over the layers in the wrong direction by a finding about the direction."""
    node = judge.node()
    follows = {"shape-clash", "unexplained", "wrong-shape"}
    if node is None or not follows & {bug.id for bug in judge.findings}:
        return
    loops = [one for one in ast.walk(node) if isinstance(one, ast.For)]
    loops = [one for one in loops if not any(inner is not one and one in ast.walk(inner) for inner in loops)]
    passes_on = [
        one
        for one in loops
        if any(isinstance(each, ast.Assign | ast.AugAssign) for each in ast.walk(one))
        and any(isinstance(each, ast.Call) and "backward" in ast.unparse(each.func) for each in ast.walk(one))
    ]
    iterated = "".join(ast.unparse(one.iter) for one in passes_on)
    if passes_on and not re.search(r"revers|-1|- 1|~", ast.unparse(node)):
        judge.findings = [bug for bug in judge.findings if bug.id not in follows]
        judge.bug(
            "backward-order",
            f"backward iterates over {iterated} from the first layer to the last",
            line=passes_on[0].lineno,
        )


def without_rounding(small: Value | None, large: Value | None) -> Value | None:
    """Replaces a bias gradient that consists of rounding errors by zeros: before batch normalisation it is exactly
    0."""
    if small is None or large is None or small.array is None or large.array is None or small.array.dtype.kind != "f":
        return small
    if np.abs(small.array).max(initial=0) > 1e-10 * np.abs(large.array).max(initial=0):
        return small
    return replace(small, array=np.zeros_like(small.array))


def fit_or_stale(judge: Judge, subject, trials: Sequence[Trial], key: str, givens) -> Explanation | None:
    """Fits both passes. If only the first pass can be explained, the second one depends on stale state of the first."""
    before = list(judge.findings)
    best = judge.fit(subject, trials, key, givens=givens)
    first = [each for each in trials if each.name.endswith(" 0")]
    new = {bug.id for bug in judge.findings} - {bug.id for bug in before}
    if best is None or best.explained or "unexplained" not in new or len(first) == len(trials):
        return best
    judge.findings = before
    again = judge.fit(subject, first, key, givens=givens)
    if again is not None and again.explained:
        judge.bug(
            "stale-state",
            f"`{subject.name}` is wrong in the second pass through the same network, but not in the first",
        )
    return again


def derivatives_left_out(judge: Judge, best: Explanation | None) -> None:
    """Corrects the evidence of a missing derivative. In the last layer, it cannot be distinguished whether only this
    derivative is missing or all of them; the layers below show it."""
    if best is not None and best.options.get("derivative") == "missing":
        judge.findings = [
            replace(bug, evidence=bug.evidence.replace("of the last activation", "of any activation"))
            if bug.id == "derivative-missing"
            else bug
            for bug in judge.findings
        ]


def _givens(options: Mapping[str, Any], first: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = [options]
    for other in (first, {}):
        if other not in found:
            found.append(other)
    return found


def _by_layer(make: Any, depth_of: Mapping[str, int], trials: Sequence[Trial], name: str):
    """A subject for trials of several networks. The draw of a trial determines the layer."""
    subjects = {}
    for one in trials:
        one.draw.layer = depth_of[one.name]
        if one.draw.layer not in subjects:
            subjects[one.draw.layer] = make(one.draw.layer)
    first = next(iter(subjects.values()))
    return replace(first, name=name, compute=lambda draw, **options: subjects[draw.layer].compute(draw, **options))


def _judge_step(judge: Judge, trials, observations) -> None:
    if judge.missing:
        return
    renamed = Renamed(judge, observations)
    found: dict[str, list[Trial]] = {"W": [], "b": [], "gamma": [], "beta": []}
    for each in trials:
        observation = observations[each.name]
        net: Net = each.draw.net
        stepped = observation.values.get("stepped 0")
        if stepped is not None and stepped.failure is not None:
            judge.failed(stepped.failure, f"(network: {net.name})")
            continue
        for name, count, gradient in (
            ("W", len(net.kinds), "dW"),
            ("b", len(net.kinds), "db"),
            ("gamma", net.norms, "dgamma"),
            ("beta", net.norms, "dbeta"),
        ):
            for i in range(count):
                _add_steps(renamed, found, each, observation, name, i, gradient)
    if not any(found.values()):
        if not judge.findings:
            _explain_absence(judge, trials, observations)
        return
    for name, chosen in found.items():
        if chosen:
            subject = mlp_step(f"the step of {name.split()[0]}", momentum=name.split()[0] in ("W", "b"))
            judge.fit(subject, chosen, "change")
    if any(bug.id == "velocity-late" for bug in judge.findings):  # then the first step is 0
        judge.findings = [bug for bug in judge.findings if bug.id != "not-updated"]


def _add_steps(renamed, found, each, observation, name, i, gradient) -> None:
    changes, gradients = [], []
    net: Net = each.draw.net
    for step in (0, 1):
        before, after = observation.get(f"{name}{i} before {step}"), observation.get(f"{name}{i} after {step}")
        key = f"{gradient}{i} {step}" if name in ("W", "b") else f"{gradient}{i} before {step}"
        g = observation.get(key)
        if before is None or after is None or g is None:
            return
        if after.size != before.size:
            renamed.judge.judged = True
            renamed.judge.bug(
                "wrong-shape", f"`{name}[{i}]` has the shape {after.shape} after a step, but had {before.shape} before"
            )
            return
        if g.size != before.size:
            return
        changes.append(after.reshape(before.shape) - before)
        gradients.append(g.reshape(before.shape).astype(float))
    if not np.any(gradients[0]) or np.abs(gradients[0]).max() < 1e-10:
        return
    if np.abs(gradients[1]).max() < 1e-10:
        return
    for step in (0, 1):
        draw = Draw(
            each.draw.sizes,
            gradient=gradients[step],
            earlier=gradients[0] if step else None,
            lr=net.lr,
            momentum=net.momentum,
        )
        value = Value("array", "ndarray", changes[step])
        # first and second steps have different terms, so they are fitted separately
        found.setdefault(name if step == 0 else f"{name} again", []).append(
            renamed.add(each, f"step {name}{i} {step}", draw, {"change": value})
        )


def _judge_zero_grads(judge: Judge, trials, observations) -> None:
    if judge.missing:
        return
    for each in trials:
        observation = observations[each.name]
        zeroed = observation.values.get("zeroed")
        if zeroed is None:
            continue
        if zeroed.failure is not None:
            judge.failed(zeroed.failure, f"(network: {each.draw.net.name})")
            return
        for i in range(len(each.draw.net.kinds)):
            for name in ("dW", "db"):
                before, after = observation.get(f"{name}{i} 1"), observation.get(f"{name}{i} zeroed")
                if before is None or not np.any(before):
                    continue
                judge.judged = True
                if after is not None and np.any(after):
                    judge.bug("zero-grads-does-nothing", f"`{name}[{i}]` is not zero after zero_grads()")
                    return


def _judge_modes(judge: Judge, trials, observations, normalises: bool) -> None:
    if judge.missing:
        return
    for each in trials:
        observation = observations[each.name]
        value = observation.values.get("y eval")
        draw = network(each, observation, "eval")
        if value is None or draw is None:
            continue
        if value.failure is not None:
            judge.failed(value.failure, "(a forward pass after eval())")
            continue
        found = value.array
        if found is None:
            continue
        judge.judged = True
        subject = mlp_forward()
        training = observation.get("y train")
        own = observation.get("y1")
        right_training = network(each, observation, 1)
        if right_training is not None and (own is None or not close(own, subject.compute(right_training))):
            # Errors of forward are reported there. It can only be checked whether the two modes differ.
            same = observation.get("y2 train")
            if normalises and same is not None and close(found, same):
                judge.bug("evaluation-mode-ignored", "the output after eval() is the same as after train()")
            continue
        if not close(found, subject.compute(draw, evaluating=True)):
            if close(found, subject.compute(draw)):
                judge.bug(
                    "evaluation-mode-ignored",
                    "the output after eval() is computed with the batch statistics, as in training mode",
                )
            else:
                judge.bug(
                    "unexplained", departure("the output after eval()", found, subject.compute(draw, evaluating=True))
                )
        again = draw.changed(x=each.draw.arrays["x0"])
        if (
            training is not None
            and not close(training, subject.compute(again))
            and close(training, subject.compute(again, evaluating=True))
        ):
            judge.bug(
                "evaluation-mode-ignored", "after eval() and then train(), the output is still that of evaluation mode"
            )
    if not judge.judged and not judge.findings:
        _explain_absence(judge, trials, observations)
