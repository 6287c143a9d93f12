"""CMU's `BatchNorm`: the trials, and the verdicts on training, running statistics, evaluation and backward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checking import diagnosis_layers as layers
from handgrad.checking.contracts.checks import LAYOUTS, judge_later, judge_layouts, twice
from handgrad.checking.contracts.judging import Judge, Trial, array, call, get, put, trial
from handgrad.checking.contracts.layer import Groups
from handgrad.checking.diagnosis import Draw, close, number
from handgrad.checking.probe import Observation, Operation

Observations = Mapping[str, Observation]
#: The attributes of a new object.
INITIAL = ("gamma", "beta", "dgamma", "dbeta", "running_mean", "running_var", "mean", "var")


def norm_trials(module: str, setup: Sequence[Operation], generator: Any) -> dict[str, list[Trial]]:
    """The trials: training on x0 and x1, backward twice, an evaluation of x2, training on x3, and an evaluation with
    given running statistics (rm, rv)."""

    def build(label: str, N: int, D: int, *, alpha=0.7, spread=1.0, layout="", constant=False) -> Trial:
        g = generator("norm", N, D)
        arrays = {f"x{i}": 0.5 * g.normal(size=(1, D)) + spread * g.normal(size=(N, D)) for i in range(4)}
        if constant:
            arrays["x1"][:, 0] = 0.5
        arrays["x one"] = arrays["x2"][:1].copy()
        arrays |= {
            "gamma": g.uniform(0.5, 2, size=(1, D)) * g.choice([-1, 1], size=(1, D)),
            "beta": g.normal(size=(1, D)),
            "dy": g.normal(size=(N, D)),
            "rm": g.normal(size=(1, D)),
            "rv": np.full((1, D), 1e-7) * g.uniform(1, 2, size=(1, D)),
        }
        operations = [
            *setup,
            call(module, "BatchNorm", args=[D], kwargs={"alpha": alpha}, to="bn", send=False),
            put("bn", "gamma", value={"fresh": "gamma"}),
            put("bn", "beta", value={"fresh": "beta"}),
            call("bn", "forward", args=[array("x0", layout)], to="y0"),
            get("bn", "running_mean", to="rm0", optional=True),
            get("bn", "running_var", to="rv0", optional=True),
            call("bn", args=[array("x1", layout)], to="y1"),
            get("bn", "running_mean", to="rm1", optional=True),
            get("bn", "running_var", to="rv1", optional=True),
            get("bn", "mean", to="mean", optional=True),
            get("bn", "var", to="var", optional=True),
            get("bn", "norm", to="norm", optional=True),
            call("bn", "backward", args=[array("dy", layout)], to="dx", attempt=True),
            get("bn", "dgamma", to="dgamma", optional=True),
            get("bn", "dbeta", to="dbeta", optional=True),
            get("bn", "gamma", to="gamma_after", optional=True),
            get("bn", "beta", to="beta_after", optional=True),
            call("bn", "backward", args=[array("dy", layout)], to="dx2", attempt=True),
            get("bn", "dgamma", to="dgamma2", optional=True),
            call("bn", args=[array("x2", layout)], kwargs={"eval": True}, to="y2", attempt=True),
            get("bn", "running_mean", to="rm2", optional=True),
            get("bn", "running_var", to="rv2", optional=True),
            call("bn", args=[array("x3", layout)], to="y3", attempt=True),
            get("bn", "running_mean", to="rm3", optional=True),
            get("bn", "running_var", to="rv3", optional=True),
            put("bn", "running_mean", value={"array": "rm"}, optional=True),
            put("bn", "running_var", value={"array": "rv"}, optional=True),
            call("bn", args=[array("x2", layout)], kwargs={"eval": True}, to="y4", attempt=True),
            call("bn", args=[array("x one")], kwargs={"eval": True}, to="y one", attempt=True),
        ]
        draw = Draw({"N": N, "D": D, "alpha": alpha, "1-alpha": 1 - alpha}, **arrays, alpha=alpha, eps=1e-8)
        return trial(f"BatchNorm {label}", operations, draw, arrays)

    return {
        "norm main": [
            build("0", 6, 4),
            build("1", 9, 3, alpha=0.9),
            build("2", 4, 4),
            build("3", 5, 2, spread=1e-3),
            build("4", 7, 3, spread=3e-4),
        ],
        "norm constant": [build("constant", 5, 3, constant=True)],
        "norm one": [build("one", 1, 3)],
        "norm layout": [build(layout, 6, 4, layout=layout) for layout in LAYOUTS],
        "norm fresh": [
            trial(
                "BatchNorm fresh",
                [
                    *setup,
                    call(module, "BatchNorm", args=[3], to="bn", send=False),
                    *[get("bn", name, to=name, optional=True) for name in INITIAL],
                ],
                Draw(),
                {},
            )
        ],
    }


def judge_norm(judges: Mapping[str, Judge], observations: Observations, groups: Groups) -> None:
    """Judges training, running statistics, evaluation and backward. Each verdict is based on the values that the
    hand-in has stored."""
    training, running = judges["forward (training)"], judges["running figures"]
    evaluation, backward = judges["forward (evaluation)"], judges["backward"]
    _judge_training(training, observations, groups)
    _judge_running(running, training, observations, groups["main"])
    _judge_evaluation(evaluation, training, observations, groups["main"])
    for judge in (running, evaluation):
        if training.missing and not judge.judged and not judge.findings:
            judge.missing = training.missing
    if backward.missing:
        return
    _judge_backward(backward, training, observations, groups)
    fresh = observations.get(groups["fresh"][0].name)
    if fresh is not None and not training.missing:
        _judge_start(training, running, fresh)


def _judge_training(training: Judge, observations: Observations, groups: Groups) -> None:
    """Checks two passes with different x, a constant column, a single sample, and a pass after an evaluation."""
    forward, main = layers.norm_forward(0), groups["main"]
    passes: list[Trial] = []
    aliases: dict[str, Observation] = {}
    for each in main:
        observation = observations.get(each.name)
        if observation is None:
            continue
        for which in (0, 1):
            draw = each.draw.changed(x=getattr(each.draw, f"x{which}"))
            D = draw.x.shape[1]
            for name, short, start in (("mean", "rm", 0.0), ("var", "rv", 1.0)):
                after = observation.get(f"{short}{which}")
                before = observation.get("rm0" if name == "mean" else "rv0") if which else None
                initial = np.full((1, D), start)
                setattr(draw, f"running_{name}", after if after is not None and after.size == D else initial)
                setattr(draw, f"running_{name}_before", before if before is not None and before.size == D else initial)
            name = f"{each.name} pass {which}"
            values = dict(observation.values)
            if f"y{which}" in values:
                values["y"] = values[f"y{which}"]
            aliases[name] = Observation(name, values, observation.changed, observation.failure)
            passes.append(Trial(replace(each.probe, name=name), draw))
    training.observations = {**observations, **aliases}
    if not training.missing:
        training.fit(forward, passes, "y")
        training.unchanged([*main, *groups.get("layout", ())], ("x0", "x1"))
        _judge_layouts(training, groups, "y1")
        constant = groups["constant"][0]
        observation = observations.get(constant.name)
        if observation is not None and observation.get("y1") is not None:
            column = observation["y1"][:, 0]
            if not np.isfinite(column).all():
                training.bug(
                    "eps-ignored", f"for a feature with the same value in all samples, the output is {column[0]}"
                )
        one = observations.get(groups["one"][0].name)
        several = observations.get(main[0].name)
        works = several is not None and "y0" in several  # it fails only with a single sample
        if works and one is not None and one.failure is not None and one.failure.kind == "exception":
            training.bug(
                "batch-of-one", f"with N = 1: {one.failure.type}: {one.failure.message}", line=one.failure.line
            )

    if not training.missing and not training.findings:
        late = {}
        for each in main:
            observation = observations.get(each.name)
            value = observation.values.get("y3") if observation is not None else None
            if value is not None:
                label = f"{each.name} / pass 3"
                late[label] = Trial(replace(each.probe, name=label), each.draw.changed(x=each.draw.x3))
                aliases[label] = Observation(label, {"y": value})
        training.observations = {**observations, **aliases}
        judge_later(training, forward, list(late.values()), "y")


def _judge_running(running: Judge, training: Judge, observations: Observations, main: Sequence[Trial]) -> None:
    """Checks the running statistics after each of two passes, and that an evaluation does not change them."""
    statistics = {name: value for name, value in training.options.items() if name in ("ddof", "over", "mean")}
    for which, short in (("mean", "rm"), ("var", "rv")):
        subject = layers.norm_running(which)
        trials, named = [], {}
        for each in main:
            observation = observations.get(each.name)
            if observation is None:
                continue
            for step in (0, 1):
                x = getattr(each.draw, f"x{step}")
                start = np.zeros((1, x.shape[1])) if which == "mean" else np.ones((1, x.shape[1]))
                before = start if step == 0 else observation.get(f"{short}0")
                if before is None or before.size != x.shape[1] or f"{short}{step}" not in observation.values:
                    continue
                mean, var = x.mean(axis=0, keepdims=True), x.var(axis=0, keepdims=True)
                draw = each.draw.changed(
                    before=np.reshape(before, (1, -1)),
                    batch=mean if which == "mean" else var,
                    batch_other=var if which == "mean" else mean,
                    n=len(x),
                )
                name = f"{each.name} {short}{step}"
                named[name] = Observation(name, {"r": observation.values[f"{short}{step}"]})
                trials.append(Trial(replace(each.probe, name=name), draw))
        if not trials or running.missing:
            continue
        before_findings = list(running.findings)
        running.observations = {**observations, **named}
        running.fit(subject, trials, "r")
        if statistics.get("ddof") and which == "var":
            # already reported for the training pass
            running.findings = before_findings + [
                bug for bug in running.findings[len(before_findings) :] if bug.id != "running-unbiased"
            ]
    for each in main:
        observation = observations.get(each.name)
        if observation is None or running.missing:
            continue
        for short, name in (("rm", "running_mean"), ("rv", "running_var")):
            after, evaluated = observation.get(f"{short}1"), observation.get(f"{short}2")
            if after is not None and evaluated is not None and not close(evaluated, after, 1e-12):
                running.bug("evaluation-updates-running", f"a forward pass with eval=True changes `{name}`")
            later = observation.get(f"{short}3")
            x = each.draw.x3
            if after is None or later is None or evaluated is None or "y2" not in observation or running.findings:
                continue
            batch = x.mean(axis=0) if name == "running_mean" else x.var(axis=0, ddof=statistics.get("ddof", 0))
            expected = each.draw.alpha * np.ravel(after) + (1 - each.draw.alpha) * batch
            if not close(np.ravel(later), expected):
                running.bug(
                    "running-aliased",
                    f"after an evaluation and another training pass, `{name}` contains "
                    f"{number(float(np.ravel(later)[0]))}, expected {number(float(expected[0]))}",
                )


def _judge_evaluation(evaluation: Judge, training: Judge, observations: Observations, main: Sequence[Trial]) -> None:
    """Checks evaluation with the hand-in's own running statistics (a) and with given ones (b)."""
    trials, named = [], {}
    subject = layers.norm_forward(0, evaluating=True)
    for each in main:
        observation = observations.get(each.name)
        if observation is None:
            continue
        for label, key, mean_key, var_key in (("a", "y2", "rm1", "rv1"), ("b", "y4", "rm", "rv")):
            mean = observation.get(mean_key) if label == "a" else each.draw.rm
            var = observation.get(var_key) if label == "a" else each.draw.rv
            value = observation.values.get(key)
            D = each.draw.x2.shape[1]
            if label == "b" and (observation.get("rm1") is None or observation.get("rv1") is None):
                continue
            if mean is None or var is None:
                mean, var = _recursion(each.draw)
            if mean.size != D or var.size != D:
                continue
            if value is None and observation.failure is None:
                continue
            train = each.draw.x1 if label == "a" else each.draw.x3
            xhat, *_ = layers.normalised(train, each.draw.eps)
            draw = each.draw.changed(
                x=each.draw.x2,
                running_mean=mean,
                running_var=var,
                train_mean=train.mean(axis=0),
                train_var=train.var(axis=0),
                train_n=len(train),
                train_xhat=xhat,
                train_x=train,
            )
            name = f"{each.name} eval {label}"
            named[name] = Observation(name, {"y": value} if value is not None else {}, {}, observation.failure)
            trials.append(Trial(replace(each.probe, name=name), draw))
    if trials and not evaluation.missing:
        evaluation.observations = {**observations, **named}
        given = {
            k: v for k, v in training.options.items() if k in ("eps_at", "eps_value", "root", "gamma", "beta", "mean")
        }
        evaluation.fit(subject, trials, "y", givens=({}, given) if given else ({},))
        _evaluated_alone(evaluation, main, observations)


def _judge_backward(backward: Judge, training: Judge, observations: Observations, groups: Groups) -> None:
    """Checks backward with the right statistics, or with those that the forward pass of the hand-in has stored."""
    main = groups["main"]
    right, own, factors = [], [], []
    for each in main:
        observation = observations.get(each.name)
        xhat, _, _, inverse = layers.normalised(each.draw.x1, each.draw.eps)
        right.append(Trial(each.probe, each.draw.changed(x=each.draw.x1, xhat=None, inverse=None)))
        cached = observation.get("norm") if observation is not None else None
        variance = observation.get("var") if observation is not None else None
        usable = (
            bool(training.findings)  # if forward is right, the right statistics are used
            and cached is not None
            and cached.shape == xhat.shape
            and np.ptp(cached, axis=0).min() > 1e-3
            and variance is not None
            and variance.size == xhat.shape[1]
        )
        if usable and cached is not None and variance is not None:
            with np.errstate(all="ignore"):
                inverse = 1 / np.sqrt(variance.reshape(1, -1) + each.draw.eps)
        own.append(each.draw.changed(x=each.draw.x1, xhat=cached if usable else xhat, inverse=inverse))
        factors.append(
            Trial(each.probe, each.draw.changed(x=each.draw.x1, xhat=xhat, y=getattr(observation, "y1", None)))
        )
    given = {k: v for k, v in training.options.items() if k in ("eps_at", "eps_value", "ddof", "root")}
    backward.fit(layers.norm_dx(0), right, "dx", alternatives=[own], givens=({}, given) if given else ({},))
    for which in ("gamma", "beta"):
        trials = []
        for each, own_draw in zip(factors, own, strict=True):
            observation = observations.get(each.name)
            dx = observation.values.get("dx") if observation is not None else None
            if dx is not None and dx.kind == "exception":
                continue  # it failed before the gradients were stored
            y = observation.get("y1") if observation is not None else None
            draw = each.draw.changed(y=y if y is not None and y.shape == own_draw.x.shape else own_draw.x)
            trials.append(Trial(each.probe, draw))
        cached = {each.name: own_draw.xhat for each, own_draw in zip(factors, own, strict=True)}
        alternatives = [[each.draw.changed(xhat=cached[each.name]) for each in trials]]
        backward.fit(layers.norm_parameter_gradient(which), trials, f"d{which}", alternatives=alternatives)
    backward.unchanged([*main, *groups.get("layout", ())], ("dy",), "upstream gradient")
    _judge_layouts(backward, groups, "dx")
    twice(backward, main, "dx", "dx2", "a second call of backward returns a different dx")
    twice(backward, main, "dgamma", "dgamma2", "a second call of backward computes a different dgamma")
    for each in main:
        observation = observations.get(each.name)
        if observation is None:
            continue
        for name in ("gamma", "beta"):
            after = observation.get(f"{name}_after")
            if after is not None and not close(after, getattr(each.draw, name), 1e-12):
                backward.bug("parameter-changed", f"backward changes `{name}`; only step may change it")


def _judge_start(training: Judge, running: Judge, fresh: Observation) -> None:
    """Checks the initial values of a new object."""
    for name in ("gamma", "running_var", "beta", "running_mean"):
        start = 1.0 if name in ("gamma", "running_var") else 0.0
        found = fresh.get(name)
        if found is not None and np.any(found != start):
            bug = "gamma-beta-start" if name in ("gamma", "beta") else "running-start"
            judge = training if name in ("gamma", "beta") else running
            other = np.ravel(found)[np.ravel(found != start)][0]
            judge.bug(bug, f"the initial value of `{name}` is {number(float(other))}, expected {number(start)}")


def _evaluated_alone(judge: Judge, main: Sequence[Trial], observations) -> None:
    """Checks the output for a single sample in evaluation: it must equal the first row of the output for all
    samples."""
    for each in main:
        observation = observations.get(each.name)
        together = observation.get("y4") if observation is not None else None
        value = observation.values.get("y one") if observation is not None else None
        if together is None or together.ndim != 2 or value is None or not np.isfinite(together).all():
            continue
        if value.failure is not None:
            if value.failure.kind == "exception":
                evidence = f"a single sample with eval=True: {value.failure.type}: {value.failure.message}"
                judge.bug("batch-of-one", evidence, line=value.failure.line)
        elif value.array is not None and value.array.shape != together[:1].shape:
            judge.bug(
                "batch-of-one",
                f"a single sample with eval=True has the output shape {value.array.shape}, expected "
                f"{together[:1].shape}",
            )
        elif value.array is not None and not judge.findings and not close(value.array, together[:1]):
            judge.bug(
                "batch-of-one", "with eval=True, the output for a single sample differs from its output in a batch"
            )


def _recursion(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    mean, var = np.zeros(draw.x0.shape[1]), np.ones(draw.x0.shape[1])
    for x in (draw.x0, draw.x1):
        mean = draw.alpha * mean + (1 - draw.alpha) * x.mean(axis=0)
        var = draw.alpha * var + (1 - draw.alpha) * x.var(axis=0)
    return mean, var


def _judge_layouts(judge: Judge, groups: Groups, key: str) -> None:
    reference = judge.found(groups["main"][0], key)
    if reference is not None and np.isfinite(np.asarray(reference, float)).all():
        judge_layouts(judge, groups.get("layout", ()), key, reference)
