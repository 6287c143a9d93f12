"""Any `torch.autograd.Function`, and the normalisation exercises of the University of Amsterdam.

PyTorch is used only in the sandbox. This module only reads the returned arrays.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from handgrad.checking import diagnosis_layers as layers
from handgrad.checking.contracts.checks import judge_later
from handgrad.checking.contracts.contract import Contract
from handgrad.checking.contracts.differences import Sweep
from handgrad.checking.contracts.generic import (
    BY_VALUES,
    PASSES,
    fit_numeric,
    kind_of,
    numeric_backward,
    required,
    spread_out,
    titled,
    without_findings,
)
from handgrad.checking.contracts.judging import NO_REFERENCE, Judge, Trial, call, define, each_alone, right_value, trial
from handgrad.checking.contracts.source import Module, Source, empty
from handgrad.checking.diagnosis import Draw, close, number
from handgrad.checking.probe import Observation, Operation, Probe
from handgrad.checking.results import Part


@dataclass(frozen=True)
class Manner:
    """How the arguments of a function are generated.

    Arguments:
        between: the sizes of the axes between the first and the last axis of an input.
        vectors: whether all inputs after the first are vectors with one entry per feature, independent of their names.
    """

    between: tuple[int, ...] = ()
    vectors: bool = False


USUAL = Manner()


def value_for(name: str, position: int, N: int, D: int, K: int, g: np.random.Generator, manner: Manner = USUAL) -> Any:
    """A value for an argument of the forward of a Function, according to its name."""
    low = name.lower()
    if re.search(r"eps|^ε$|^ϵ$", low):
        return 1e-5
    if re.search(r"gamma|beta|^scale|^shift|^γ$|^β$", low):
        return g.uniform(0.5, 1.5, size=D) * g.choice([-1, 1], size=D)
    if position and manner.vectors and not re.search(r"slope|alpha|lambda|lambd|momentum|label|target|^t$", low):
        return g.uniform(0.5, 1.5, size=D) * g.choice([-1, 1], size=D)
    if re.search(r"^w$|weight", low):
        return g.normal(size=(K, D))
    if re.search(r"^b$|bias", low):
        return g.normal(size=K)
    if re.search(r"slope|alpha|lambda|lambd|momentum", low):
        return 0.3
    if re.search(r"label|target|^t$", low):
        return np.arange(N) % D
    return spread_out(g, (N, *manner.between, D))


def runs(f: Operation, given: list[Any], arrays: dict[str, Any], g: np.random.Generator) -> list[Operation]:
    """`PASSES` forward and backward passes, with random upstream gradients, which are added to `arrays`."""
    operations: list[Operation] = []
    for k in range(PASSES):
        arrays[f"up {k}"] = g.normal(size=64)
        suffix = f" {k}" if k else ""
        operations += [
            {"op": "let", "value": {"shaped": f"up {k}", "like": ["y"]}, "as": "dy", "send": False},
            call("ours", "run", args=[f, given, {"path": ["dy"]}], to=f"run{suffix}", attempt=True),
        ]
    return [*operations, {"op": "let", "value": {"shaped": "up 0", "like": ["y"]}, "as": "dy", "send": False}]


def sweep(f: Operation, given: list[Any], k: int) -> Operation:
    """Evaluates the function at the points around its argument k."""
    args = [f, [*given[:k], {"row": "array"}, *given[k + 1 :]]]
    return {
        "op": "each",
        "rows": f"points {k}",
        "path": ["ours", "plain"],
        "args": args,
        "as": f"values {k}",
        "try": True,
    }


SIZES = ((6, 4, 3), (7, 3, 5), (4, 4, 4), (5, 3, 3))
#: The kinds of arguments that are tried for unknown functions, in this order, with the sizes of each trial.
MANNERS = (
    *((USUAL, sizes) for sizes in SIZES),
    *((Manner(vectors=True), sizes) for sizes in SIZES[:2]),
    (Manner((2,)), (3, 4, 5)),
    (Manner((2, 3)), (2, 3, 4)),
)


def start(module: str) -> list[Operation]:
    return [
        {"op": "import", "module": module, "as": "m", "send": False},
        define("torch_runs"),
    ]


def functions_of(source: Source) -> list[tuple[Module, str]]:
    """Classes derived from torch.autograd.Function."""
    return [
        (module, name)
        for module in source.modules
        for name in module.classes
        if (name in module.borrowed and name in FUNCTIONS)
        or (
            any(base.split(".")[-1] == "Function" for base in module.bases(name))
            and {"forward", "backward"} <= set(module.methods(name))
        )
    ]


class TorchFunction(Contract):
    """Any `torch.autograd.Function`."""

    name = "torch-function"
    title = "torch.autograd.Function"

    def __init__(self, source: Source, found: Sequence[tuple[Module, str]]) -> None:
        super().__init__(source)
        self.found = list(found)

    @classmethod
    def recognise(cls, source: Source) -> Contract | None:
        found = functions_of(source)
        return cls(source, found) if found else None

    @property
    def torch(self) -> bool:
        return True

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(module.folder for module, _ in self.found), "."]))

    def make_trials(self) -> dict[str, list[Trial]]:
        return {title: self._function_trials(module, name) for title, module, name in titled(self.found)}

    def _function_trials(self, module: Module, name: str) -> list[Trial]:
        borrowed = name in module.borrowed
        names = ["input", "gamma", "beta", "eps"] if borrowed else required(module.methods(name)["forward"])
        if not names:
            return []
        found = []
        known = norm_axis(name) is not None or kind_of(name) is not None
        for position, (manner, (N, D, K)) in enumerate(MANNERS[: len(SIZES)] if known else MANNERS):
            g = self.generator(name, position)
            spread = 1e-2 if position == 3 and ("eps" in names or norm_axis(name) is not None) else 1.0
            values = [value_for(each, i, N, D, K, g, manner) for i, each in enumerate(names)]
            if norm_axis(name) is not None and len(names) >= 3:  # (input, gamma, beta, eps), whatever their names are
                values[0] = spread_out(g, (N, D))
                values[1:3] = [g.uniform(0.5, 1.5, size=D) * g.choice([-1, 1], size=D) for _ in range(2)]
                values[3:] = [1e-5] * len(values[3:])
            if spread != 1.0:
                values[0] = 0.3 + spread * values[0]
            arrays = {f"a{i}": value for i, value in enumerate(values) if isinstance(value, np.ndarray)}
            given = [{"fresh": f"a{i}"} if f"a{i}" in arrays else value for i, value in enumerate(values)]
            floating = [i for i, v in enumerate(values) if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
            apply = {"path": ["m", name, "apply"]}
            operations = [
                *start(module.name),
                {"op": "seed", "value": 0},
                call("ours", "plain", args=[apply, given], to="y"),
                *runs(apply, given, arrays, g),
            ]
            around = {}
            for k in floating:
                around[k] = Sweep.around(values[k], g, spread if k == 0 else 1.0)
                arrays[f"points {k}"] = around[k].rows
                operations.append(sweep(apply, given, k))
            for k in floating:
                needed = [i == k for i in range(len(values))]
                operations.append(
                    call("ours", "run", args=[apply, given, {"path": ["dy"]}, needed], to=f"only {k}", attempt=True)
                )
            if position == 0 and norm_axis(name) is not None and len(names) >= 3:
                loose = [*given[:3], 0.3]
                operations.append(call("ours", "plain", args=[apply, loose], to="y loose", attempt=True))
            if not position or manner != USUAL:
                singles = {f"s{i}": value.astype(np.float32) for i, value in enumerate(values) if i in floating}
                arrays |= singles
                single = [{"fresh": f"s{i}"} if f"s{i}" in singles else each for i, each in enumerate(given)]
                operations.append(
                    call("ours", "run", args=[apply, single, {"path": ["dy"]}], to="single", attempt=True)
                )
            draw = Draw(
                {"N": N, "D": D},
                manner=manner,
                names=names,
                values=values,
                floating=floating,
                x=values[0],
                p=0.3,
                spread=spread,
                around=around,
                ups=[arrays[f"up {k}"] for k in range(PASSES)],
            )
            found.append(trial(f"{module.name}.{name} {position}", operations, draw, arrays, torch=True))
        return found

    def judge(self, observations: Mapping[str, Observation]) -> list[Part]:
        named = titled(self.found)
        return each_alone(*((one[0], partial(self._judge_one, *one, observations)) for one in named))

    def _judge_one(self, title: str, module: Module, name: str, observations) -> list[Part]:
        forward = Judge(f"{title}.forward", observations, module, name, "forward", name)
        backward = Judge(f"{title}.backward", observations, module, name, "backward", name)
        trials = self.trials()[title]
        judge_function(forward, backward, trials, observations, norm_axis(name))
        if trials and trials[0].name in observations:
            judge_eps_used(forward, trials[0], observations[trials[0].name], norm_axis(name))
        return [forward.result(), backward.result()]


def judge_eps_used(judge: Judge, each: Trial, observation: Observation, axis: int | None) -> None:
    """Checks that the argument eps changes the output."""
    loose, default = observation.get("y loose"), observation.get("y")
    if axis is None or loose is None or default is None or judge.findings:
        return
    if close(loose, default, 1e-4):
        judge.bug("argument-ignored", "the output with eps=0.3 is the same as with the default, eps=1e-5")


def norm_axis(name: str) -> int | None:
    """The axis of the normalisation according to the name: 0 for batch, 1 for layer normalisation, otherwise None."""
    low = name.lower()
    return 0 if "batchnorm" in low or "batch_norm" in low else 1 if "layernorm" in low or "layer_norm" in low else None


def judge_function(forward: Judge, backward: Judge, trials, observations, axis: int | None) -> None:
    """Judges a Function: forward if its name is that of a known function, and backward by finite differences of
    forward."""
    ran = [each for each in trials if each.name in observations and observations[each.name].get("y") is not None]
    ran = _of_one_manner(trials, ran, observations)
    if not ran:
        for each in trials:
            found = observations.get(each.name)
            if found is not None and found.failure is not None and not forward.missing:
                guessed = axis is None and kind_of(forward.owner) is None
                (forward.failed_on_guess if guessed else forward.failed)(found.failure)
                break
        if not backward.missing:
            backward.unjudged = "forward fails"
        return
    names = ran[0].draw.names
    norm = axis is not None and len(names) >= 3
    forward.judged = norm
    kind = kind_of(forward.owner)
    if kind in ("identity", "sigmoid", "tanh", "relu", "softmax") and not norm and not forward.missing:
        subject = layers.softmax_forward() if kind == "softmax" else layers.activation_forward(kind)
        forward.fit(subject, ran, "y")
    elif not norm:
        forward.open = NO_REFERENCE
    prepared = []
    if norm and axis is not None:
        prepared = [Trial(each.probe, norm_draw(each, observations[each.name])) for each in ran]
        if not forward.missing:
            forward.fit(layers.norm_forward(axis), prepared, "y")
    for each in ran:
        run = observations[each.name].values.get("run")
        if run is None or run.failure is not None:
            continue
        changed = run.items.get("changed")
        if changed is not None and changed.items:
            forward.bug("input-changed", "forward or backward modifies an input")
        if "dy changed" in run.items:
            backward.bug("input-changed", "backward modifies grad_output")
    if backward.missing:
        return
    if backward.ended(ran):
        return
    failures = [v.failure for each in ran if (v := observations[each.name].values.get("run")) is not None and v.failure]
    if failures:
        backward.failed(failures[0])
        return
    tracked = observations[ran[0].name].values["run"].items.get("tracked")
    if tracked is not None and tracked.array is not None and not bool(tracked.array):
        backward.judged = True
        backward.bug("autograd-not-used", "the output does not require a gradient, although its inputs do")
        return
    for k in ran[0].draw.floating:
        _judge_gradient(backward, k, names[k], ran, prepared, observations, axis if norm else None, forward)
    _judge_needed(backward, ran, observations)
    single = observations[ran[0].name].values.get("single")
    if single is not None and single.failure is not None:
        backward.bug("float32-lost", f"with float32 inputs: {single.failure.type}: {single.failure.message}")
    elif single is not None and single.failure is None and "y" in single.items:
        y = single.items["y"].array
        if y is not None and y.dtype != np.float32:
            forward.note(f"the output for float32 inputs is {y.dtype}")


def _of_one_manner(trials: Sequence[Trial], ran: Sequence[Trial], observations) -> list[Trial]:
    """The trials with the kind of arguments that suits the function. This is the first kind with which forward and
    backward work in all trials, or otherwise the kind with which forward works in most trials."""

    def of(each: Trial) -> Manner:
        return getattr(each.draw, "manner", USUAL)

    def share(manner: Manner, backward: bool) -> float:
        runs = [observations[each.name].values.get("run") for each in ran if of(each) == manner]
        through = [run for run in runs if not backward or (run is not None and run.failure is None)]
        return len(through) / sum(of(each) == manner for each in trials)

    manners = dict.fromkeys(map(of, ran))
    if len(manners) < 2:
        return list(ran)
    whole = next((manner for manner in manners if share(manner, True) == 1), None)
    chosen = whole if whole is not None else max(manners, key=lambda manner: share(manner, False))
    return [each for each in ran if of(each) == chosen]


def norm_draw(each: Trial, observation: Observation) -> Draw:
    """The draw with the names that the models of normalisation use."""
    x, gamma, beta = each.draw.values[:3]
    D = x.shape[1]
    draw = each.draw.changed(x=x, gamma=np.ravel(gamma), beta=np.ravel(beta), eps=1e-5, dy=each.draw.ups[0])
    draw.running_mean = draw.running_mean_before = np.zeros(D)
    draw.running_var = draw.running_var_before = np.ones(D)
    draw.xhat = draw.inverse = None
    return draw


def _judge_gradient(judge: Judge, k: int, name: str, ran, prepared, observations, axis, forward) -> None:
    trials: list[Trial] = []
    later: list[Trial] = []
    for position, each in enumerate(ran):
        observation = observations[each.name]
        y = observation.get("y")
        if y is None:
            continue
        rows = each.draw.around[k].jacobian(observation.get(f"values {k}"), y)
        if rows is None or observation.values.get("run") is None:
            continue
        x = each.draw.values[k]
        base = prepared[position].draw if axis is not None else each.draw
        for i in range(PASSES):
            run = observation.values.get(f"run {i}" if i else "run")
            values = {"g": run.items[f"g{k}"]} if run is not None and f"g{k}" in run.items else {}
            label = f"{each.name} / {name} / pass {i + 1}"
            judge.observations = {**judge.observations, label: Observation(label, values)}
            dy = np.resize(each.draw.ups[i], np.shape(y))
            draw = base.changed(J=rows.reshape(x.size, -1), x=x, y=np.asarray(y, float), dy=dy)
            (later if i else trials).append(Trial(replace(each.probe, name=label), draw))
    if not trials and judge.ended(ran):
        return
    if not trials:
        judge.unjudged = judge.unjudged or "forward has no numerical derivative"
        return
    if all("g" not in judge.observations[one.name].values for one in trials):
        judge.judged = True
        judge.bug("needs-input-grad", f"no gradient is returned for `{name}`, although one is required")
        return
    title = f"the gradient of {name}"
    # finite differences are less accurate for inputs with a small spread
    accurate = [one for one in trials if one.draw.spread == 1.0]
    subject = replace(numeric_backward(), name=title)
    quiet = without_findings(judge)
    quiet.observations = judge.observations
    quiet.fit(subject, accurate, "g", depth=0)
    chosen, shown, own, givens = None, accurate, [], [{}]
    if axis is not None:
        shown = [Trial(one.probe, one.draw.changed(x=one.draw.values[0])) for one in trials]
        if k == 0:
            chosen = layers.norm_dx(axis)
        elif k in (1, 2):
            chosen = layers.norm_parameter_gradient("gamma" if k == 1 else "beta")
        slips = {n: v for n, v in forward.options.items() if n in ("ddof", "eps_at", "eps_value", "root", "mean")}
        for one in shown:
            xhat, _, _, inverse = layers.normalised(one.draw.x, 1e-5, axis=axis, **slips)
            own.append(one.draw.changed(xhat=xhat, inverse=inverse))
            if k in (1, 2):
                one.draw.xhat = layers.normalised(one.draw.x, 1e-5, axis=axis)[0]
        if slips and k == 0:
            givens.append(slips)
    elif quiet.findings and k == 0:
        kind = _identified(accurate)
        if kind is not None:
            chosen = layers.activation_backward(kind, upstream=True) if kind in BY_VALUES else layers.softmax_backward()
    if chosen is not None:
        named = without_findings(judge)
        named.observations = judge.observations
        named.fit(replace(chosen, name=title), shown, "g", alternatives=[own] if own else [], givens=givens)
        if not any(bug.id == "unexplained" for bug in named.findings):
            judge.findings += [bug for bug in named.findings if bug.id not in {each.id for each in judge.findings}]
            judge.judged = True
            # later passes are compared with forward, so they are judged only if that comparison is right for the first
            if not judge.findings and not quiet.findings:
                judge_later(judge, subject, [one for one in later if one.draw.spread == 1.0], "g")
            return
    fit_numeric(judge, subject, accurate, "g")
    if not judge.findings:
        judge_later(judge, subject, [one for one in later if one.draw.spread == 1.0], "g")


def _identified(trials: Sequence[Trial]) -> str | None:
    for kind in (*BY_VALUES, "softmax"):
        subject = layers.softmax_forward() if kind == "softmax" else layers.activation_forward(kind)
        if all(
            one.draw.y.shape == one.draw.x.shape and close(one.draw.y, right_value(subject, one.draw)) for one in trials
        ):
            return kind
    return None


def _judge_needed(judge: Judge, ran, observations) -> None:
    """Checks that the gradient of an input is the same if only this gradient is required."""
    for each in ran[:1]:
        observation = observations[each.name]
        run = observation.values["run"]
        for k in each.draw.floating:
            name = each.draw.names[k]
            only = observation.values.get(f"only {k}")
            if only is None or f"g{k}" not in run.items:
                continue
            if only.failure is not None:
                judge.bug("needs-input-grad", f"if only the gradient of `{name}` is required: {only.failure}")
                return
            found = only.items.get(f"g{k}")
            if found is None or found.array is None:
                judge.bug("needs-input-grad", f"if only the gradient of `{name}` is required, none is returned")
                return
            whole = run.items[f"g{k}"].array
            if whole is not None and not close(found.array, whole):
                judge.bug("needs-input-grad", f"if only the gradient of `{name}` is required, it has a different value")
                return


class UvANorm(Contract):
    """`custom_batchnorm.py` and `custom_layernorm.py`: the same layer made of operations, as a Function, and as a
    module that uses the Function."""

    name = "uva-norm"
    title = "University of Amsterdam, deep learning, assignment 1: batch and layer normalisation in PyTorch"

    def __init__(self, source: Source, found: Sequence[tuple[Module, str]]) -> None:
        super().__init__(source)
        self.found = list(found)
        self._functions = TorchFunction(source, [one for one in functions_of(source) if one[1] in FUNCTIONS])

    @classmethod
    def recognise(cls, source: Source) -> Contract | None:
        found = [(module, name) for module in source.modules for name in module.classes if name in MODULES]
        functions = [one for one in functions_of(source) if one[1] in FUNCTIONS]
        return cls(source, found) if found or functions else None

    @property
    def torch(self) -> bool:
        return True

    @property
    def paths(self) -> tuple[str, ...]:
        folders = [module.folder for module, _ in [*self.found, *self._functions.found]]
        return tuple(dict.fromkeys([*folders, "."]))

    def make_trials(self) -> dict[str, list[Trial]]:
        return {name: self._module_trials(module, name) for module, name in self.found}

    def probes(self) -> list[Probe]:
        return super().probes() + self._functions.probes()

    def _module_trials(self, module: Module, name: str) -> list[Trial]:
        found = []
        for position, (N, D, _) in enumerate(SIZES):
            g = self.generator(name, position)
            spread = 1e-2 if position == 3 else 1.0
            x = 0.3 + spread * g.normal(size=(N, D))
            gamma, beta = g.uniform(0.5, 1.5, size=D) * g.choice([-1, 1], size=D), g.normal(size=D)
            arrays = {"a0": x, "a1": gamma, "a2": beta, "bad": g.normal(size=(N, D + 1))}
            arrays["thin"] = g.normal(size=(N, 1))
            given = [{"fresh": "a0"}, {"fresh": "a1"}, {"fresh": "a2"}]
            operations = [
                *start(module.name),
                call("m", name, args=[D], to="layer", send=False),
                call("layer", "double", send=False, to="layer"),
                call("ours", "parameter_names", args=[{"path": ["layer"]}], to="names"),
                call("ours", "initial_values", args=[{"path": ["layer"]}], to="starts"),
                call("ours", "as_function", args=[{"path": ["layer"]}, "gamma", "beta"], to="f", send=False),
                call("ours", "plain", args=[{"path": ["f"]}, given], to="y"),
                *runs({"path": ["f"]}, given, arrays, g),
            ]
            around = {}
            for k, value in enumerate((x, gamma, beta)):
                around[k] = Sweep.around(value, g, spread if k == 0 else 1.0)
                arrays[f"points {k}"] = around[k].rows
                operations.append(sweep({"path": ["f"]}, given, k))
            operations += [
                call("layer", "eval", to="evaluating", send=False),
                call("ours", "plain", args=[{"path": ["f"]}, given], to="y eval", attempt=True),
                call("ours", "plain", args=[{"path": ["layer"]}, [{"fresh": "bad"}]], to="wide", attempt=True),
                call("ours", "plain", args=[{"path": ["layer"]}, [{"fresh": "thin"}]], to="thin", attempt=True),
                call("m", name, args=[D], to="again", send=False),
                call("again", "double", send=False, to="again"),
                call(
                    "ours",
                    "training_step",
                    args=[{"path": ["again"]}, {"fresh": "a0"}, {"fresh": "up 0"}],
                    to="trained",
                    attempt=True,
                ),
            ]
            if position == 0:
                operations += [
                    call("m", name, args=[D], kwargs={"eps": 0.3}, to="by name", attempt=True) | {"send": False},
                    call("m", name, args=[D, 0.3], to="loose", attempt=True) | {"send": False},
                    call("loose", "double", send=False, to="loose", attempt=True),
                    call("ours", "as_function", args=[{"path": ["loose"]}, "gamma", "beta"], to="g", attempt=True)
                    | {"send": False},
                    call("ours", "plain", args=[{"path": ["g"]}, given], to="y loose", attempt=True),
                    call("m", name, args=[300], to="broad", attempt=True) | {"send": False},
                    call("broad", "double", send=False, to="broad", attempt=True),
                    call(
                        "ours", "plain", args=[{"path": ["broad"]}, [{"fresh": "broad x"}]], to="y broad", attempt=True
                    ),
                ]
                arrays["broad x"] = g.normal(size=(3, 300))
            draw = Draw(
                {"N": N, "D": D},
                names=["input", "gamma", "beta"],
                values=[x, gamma, beta],
                floating=[0, 1, 2],
                x=x,
                p=0.3,
                spread=spread,
                around=around,
                ups=[arrays[f"up {k}"] for k in range(PASSES)],
            )
            found.append(trial(f"{name} {position}", operations, draw, arrays, torch=True))
        return found

    def judge(self, observations: Mapping[str, Observation]) -> list[Part]:
        modules = each_alone(*((one[1], partial(self._judge_module, *one, observations)) for one in self.found))
        return modules + self._functions.judge(observations)

    def _judge_module(self, module: Module, name: str, observations) -> list[Part]:
        forward = Judge(f"{name}.forward", observations, module, name, "forward", name)
        backward = Judge(f"{name}, gradients", observations, module, name, "forward", name)
        if forward.missing or (name not in module.borrowed and empty(module.methods(name)["forward"])):
            return [forward.result()]
        trials = self.trials()[name]
        first = observations.get(trials[0].name)
        names = first.values.get("names") if first is not None else None
        listed = [item.text for item in names.items.values()] if names is not None else []
        if names is not None and len(listed) < 2:
            forward.judged = True
            missing = [each for each in ("gamma", "beta") if each not in {one.rpartition(".")[2] for one in listed}]
            absent = " and ".join(missing) or "both"
            present = ", ".join(f"`{one}`" for one in listed) or "nothing"
            forward.bug(
                "not-a-parameter",
                f"gamma and beta are learned, but parameters() does not list {absent}; it lists {present}",
            )
            return [forward.result()]
        others = [one for one in listed if one not in ("gamma", "beta")]
        if others:
            forward.note(f"gamma and beta have different names here: {', '.join(others)}")
        judge_function(forward, backward, trials, observations, norm_axis(name))
        self._module_only(forward, trials, observations)
        self._judge_training_step(backward, trials, observations)
        return [forward.result(), backward.result()]

    def _judge_training_step(self, judge: Judge, trials, observations) -> None:
        """Checks a training step of the module with its own parameters, in their own shapes."""
        if judge.missing or judge.findings:
            return
        for each in trials:
            observation = observations.get(each.name)
            value = observation.values.get("trained") if observation is not None else None
            if value is not None and value.failure is not None and value.failure.kind == "exception":
                judge.failed(value.failure, "(in a training step of the module, with its own parameters)")
                return

    def _module_only(self, judge: Judge, trials, observations) -> None:
        for each in trials:
            observation = observations.get(each.name)
            if observation is None:
                continue
            starts = observation.values.get("starts")
            for name, value in (("gamma", 1.0), ("beta", 0.0)):
                found = starts.items.get(name) if starts is not None else None
                if found is not None and found.array is not None and np.any(found.array != value):
                    judge.bug(
                        "gamma-beta-start",
                        f"the initial value of `{name}` is {number(float(found.array[found.array != value][0]))}, "
                        f"expected {number(value)}",
                    )
            y, evaluating = observation.get("y"), observation.get("y eval")
            if y is not None and evaluating is not None and not close(evaluating, y):
                judge.bug(
                    "evaluation-stale",
                    "after eval(), the output differs, although this layer has no running statistics",
                )
            width = each.draw.x.shape[1]
            for key, what in (("wide", f"{width + 1} features"), ("thin", "a single feature, which is broadcast")):
                value = observation.values.get(key)
                if value is not None and value.kind != "exception":
                    judge.bug(
                        "shape-check-missing",
                        f"a layer for {width} features accepts, without an error, an input with {what}",
                    )
            self._arguments(judge, each, observation)

    def _arguments(self, judge: Judge, each: Trial, observation: Observation) -> None:
        """Checks arguments with unusual values: a different eps, also by name, and a large number of features."""
        if "y loose" not in observation.values or "y" not in observation.values:
            return
        named = observation.values.get("by name")
        failure = named.failure if named is not None else None
        if failure is not None and failure.type == "TypeError" and "unexpected keyword" in failure.message:
            judge.bug("argument-renamed", f"{judge.owner}(n_neurons, eps=0.3): {failure.message}")
        judge_eps_used(judge, each, observation, norm_axis(judge.owner))
        broad = observation.values.get("y broad")
        if broad is not None and broad.failure is not None and broad.failure.kind == "exception":
            node = judge.node()
            source = ast.unparse(node) if node is not None else ""
            by_identity = " is " in source
            judge.bug(
                "compared-by-identity" if by_identity else "raises",
                f"a layer for 300 features rejects an input with 300 features: {broad.failure.type}: "
                f"{broad.failure.message}",
                line=broad.failure.line,
            )


FUNCTIONS = ("CustomBatchNormManualFunction", "CustomLayerNormManualFunction")
MODULES = (
    "CustomBatchNormAutograd",
    "CustomBatchNormManualModule",
    "CustomLayerNormAutograd",
    "CustomLayerNormManualModule",
)
