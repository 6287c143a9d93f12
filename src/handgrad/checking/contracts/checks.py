"""Checks that several contracts make: what no test of the courses looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checking import diagnosis_layers as layers
from handgrad.checking.contracts.judging import Judge, Trial, passes, right_value
from handgrad.checking.diagnosis import Draw, Subject, close, departure, number, reshaped
from handgrad.checking.probe import Observation, Value
from handgrad.checking.results import Part

FLOAT32 = 2e-4
#: Memory layouts that inputs are tried in, and what a message calls them.
LAYOUTS = {"read-only": "read-only", "strided": "not contiguous", "fortran": "in Fortran order"}


def judge_extras(
    judge: Judge,
    groups: Mapping[str, Sequence[Trial]],
    key: str,
    *,
    inputs: bool = True,
    names: Sequence[str] = ("x",),
    tolerance: float = 1e-6,
) -> None:
    """A batch of one, other memory layouts, a second forward pass, float32, changed inputs; each against the hand-in
    itself.

    Args:
        judge: of the part.
        groups: trials: `main`, and where there are any `one`, `layout`, `stale`, `float32`.
        key: the observed array.
        inputs: whether it is the first of the calls, so that an error before it is its own.
        names: of the inputs that this part is handed.
        tolerance: relative.
    """
    if judge.missing:
        return
    main = groups["main"]
    observation = judge.observed(main[0])
    reference = observation.get(key) if observation is not None else None
    judge.unchanged([*main, *groups.get("layout", ())], names)
    if reference is None or not np.isfinite(np.asarray(reference, dtype=float)).all():
        return
    for each in groups.get("layout", ()):
        layout = each.name.rsplit(" ", 1)[1]
        id = "read-only-input" if layout == "read-only" else "memory-layout"
        seen = judge.observed(each)
        if not inputs and seen is not None and key not in seen.values:
            continue  # it stopped earlier, in another part
        if layout == "read-only" and any(bug.id == "input-changed" for bug in judge.findings):
            continue
        judge.same(id, each, key, reference, f"with an input that is {LAYOUTS[layout]}", tolerance=tolerance)
    for each in groups.get("stale", ()):
        seen = judge.observed(each)
        if not inputs and seen is not None and key not in seen.values:
            continue
        why = (
            "after another forward pass with another batch, the second pass gives something else than on a fresh object"
        )
        judge.same("stale-state", each, key, reference, why, tolerance=tolerance)
    for each in groups.get("float32", ()):
        judge.same("float32-lost", each, key, reference, "with float32 input", tolerance=FLOAT32)
    for each in groups.get("one", ()):
        batch_of_one(judge, each, main[1], key, inputs=inputs)


def batch_of_one(judge: Judge, one: Trial, several: Trial, key: str, *, inputs: bool = True) -> None:
    """A batch of one goes through and has as many axes as any other."""
    observation, usual = judge.observed(one), judge.observed(several)
    if observation is None or usual is None or usual.get(key) is None:
        return
    if key not in observation.values and not inputs:
        return
    value = observation.values.get(key)
    failure = observation.failure if value is None else value.failure
    if failure is not None:
        if failure.kind == "exception":
            judge.bug(
                "batch-of-one", f"with N = 1: {failure.type}: {failure.message}", line=failure.line, file=failure.file
            )
        return
    if value is None or value.array is None:
        return
    many = usual[key]
    if value.array.ndim != many.ndim:
        judge.bug(
            "batch-of-one",
            f"with N = 1 the result has the shape {value.array.shape}, with N = "
            f"{len(several.draw.x)} it has {many.shape}",
        )


def judge_later(judge: Judge, subject: Subject, trials: Sequence[Trial], key: str) -> None:
    """What was right at the first pass through an object is right at those after it."""
    if not judge.judged or judge.unjudged or judge.findings:
        return
    for each in trials:
        observation = judge.observed(each)
        value = observation.values.get(key) if observation is not None else None
        if value is None:
            continue
        if value.failure is not None:
            evidence = f"{value.failure.type}: {value.failure.message}"
            judge.bug("wrong-at-a-later-pass", f"{_pass(each)} {evidence}", line=value.failure.line)
            return
        expected = right_value(subject, each.draw)
        found = None if value.array is None or value.array.dtype.kind not in "biuf" else value.array.astype(float)
        same = found if found is None else reshaped(found, expected.shape)
        if same is None or not close(same, expected, max(subject.tolerance, 1e-6)):
            shown = f"`{subject.name}` is a {value.type}" if found is None else departure(subject.name, found, expected)
            judge.bug("wrong-at-a-later-pass", f"{_pass(each)} {shown}")
            return


def judge_passes(
    judge: Judge, subject: Subject, trials: Sequence[Trial], key: str, arrays: Sequence[str] = ("x",), **draw
) -> None:
    """The passes after the first, of a part in which nothing was found at the first."""
    if judge.missing or judge.findings:
        return
    chosen, named = passes(trials, judge.observations, key, arrays)
    kept = judge.observations
    judge.observations = {**kept, **named}
    judge_later(judge, subject, [Trial(one.probe, one.draw.changed(**draw)) for one in chosen], key)
    judge.observations = kept


def from_right_output(subject: Subject, forward: Subject) -> Subject:
    """A backward pass that starts from forward's output y: the right one, or with `own_output` the draw's."""
    compute = subject.compute

    def of_output(draw: Draw, **options: Any) -> Any:
        if not getattr(draw, "own_output", False):
            draw = draw.changed(y=right_value(forward, draw))
        return compute(draw, **options)

    return replace(subject, compute=of_output)


def _pass(each: Trial) -> str:
    return f"right at the first pass, but at {each.name.rpartition(' / ')[2]}:"


def overflow(judge: Judge, large: Trial, key: str, where: str, *, tolerance: float = 1e-6) -> None:
    """Large inputs give finite numbers."""
    observation = judge.observed(large)
    if observation is None or judge.missing:
        return
    found = observation.get(key)
    if found is None or found.dtype.kind != "f" or np.isfinite(found).all():
        return
    bad = found[~np.isfinite(found)].ravel()
    judge.judged = True
    judge.bug("overflow", f"{where} is {bad[0]} in {bad.size} of {found.size} entries")


def better_parts(ours: Mapping[str, Part], own: Mapping[str, Part]) -> list[Part]:
    """Of each part that was judged with our layers in place of the hand-in's, and with its own, the fairer verdict.

    That is the one with ours, unless the part is right with its own, or could not be run with ours.
    """
    could_not_run = {"raises", "missing-attribute", "undefined-name"}
    parts = []
    for part, first in ours.items():
        second = own[part]
        broken = first.verdict == "cannot judge" or {bug.id for bug in first.bugs} & could_not_run
        better = first.verdict == "wrong" and second.verdict == "right"
        parts.append(second if better or (broken and second.verdict != "cannot judge") else first)
    return parts


def twice(judge: Judge, trials: Sequence[Trial], first: str, second: str, what: str) -> None:
    """Asked again, the same comes back."""
    for each in trials:
        observation = judge.observed(each)
        if observation is None or any(bug.id == "input-changed" for bug in judge.findings):
            continue
        one, two = observation.get(first), observation.get(second)
        if one is not None and two is not None and np.isfinite(np.asarray(one, float)).all() and not close(two, one):
            judge.bug("state-overwritten", f"{what}: {departure('the second', two, np.asarray(one, float))}")
            return


def overwritten(judge: Judge, trials: Sequence[Trial], what: str) -> None:
    """The array that forward has returned holds after it what it held before."""
    if any(bug.id == "input-changed" for bug in judge.findings):
        return
    for each in trials:
        observation = judge.observed(each)
        before, after = (observation.get("y"), observation.get("y after")) if observation is not None else (None, None)
        if before is not None and after is not None and not np.array_equal(before, after, equal_nan=True):
            judge.bug(
                "state-overwritten",
                f"{what} overwrites the very array that forward returned: whoever kept it has other values now",
            )
            return


def ones_for_one(observations: Mapping[str, Observation], trials: Sequence[Trial]) -> dict[str, Observation]:
    """Observations in which a derivative that is one number stands for an array of it: Identity's 1.0."""
    found = {}
    for each in trials:
        observation = observations.get(each.name)
        if observation is None:
            continue
        values = dict(observation.values)
        for key in [key for key in values if key.partition(" ")[0] in ("d", "d2")]:
            value = values.get(key)
            if value is not None and value.array is not None and not value.array.ndim:
                values[key] = Value("array", "ndarray", np.full(each.draw.x.shape, value.array, dtype=float))
        found[each.name] = Observation(observation.probe, values, observation.changed, observation.failure)
    return found


def softmax_stability(judge: Judge, groups, key: str, *, sums: bool = False) -> None:
    """Whether a softmax shifts by each row's maximum: which inputs turn to nan tells what it does instead."""

    def broken(name: str) -> str:
        for each in groups.get(name, ()):
            observation = judge.observed(each)
            found = observation.get(key) if observation is not None else None
            if found is not None and found.dtype.kind == "f":
                if not np.isfinite(found).all():
                    return f"{found[~np.isfinite(found)].ravel()[0]}"
                if (
                    sums
                    and found.ndim == 2
                    and name != "spread"
                    and not judge.findings
                    and not close(found.sum(axis=1), np.ones(len(found)))
                ):
                    return f"rows that sum to {number(float(found.sum(axis=1)[0]))}"
        return ""

    # 0 * log(0) is nan as well: the derivative tells whether it is the softmax
    raised, lowered, rows, spread = (broken(name) for name in ("raised", "lowered", "rows", "spread"))
    known = {bug.id for bug in judge.findings}
    if known & {"softmax-not-normalised", "softmax-axis", "not-finite", "exponential-missing"} and not raised:
        return
    if raised and lowered:
        judge.bug("softmax-no-shift", f"with logits around 1000 there is {raised}: exp(1000) is infinite")
    elif raised:
        judge.bug("softmax-shift-not-max", f"with logits around 1000 there is {raised}: exp still overflows")
    elif lowered:
        judge.bug(
            "softmax-shift-not-max",
            f"with logits around -1000 there is {lowered}: what is subtracted is not the maximum",
        )
    elif rows and not known & {"softmax-axis", "softmax-shift-axis"}:
        judge.bug(
            "softmax-global-shift",
            f"with one row 10000 above the others there is {rows}: the shift is not each row's own maximum",
        )
    elif spread and key != "loss" and not known and _softmax_key(judge):
        judge.bug(
            "softmax-shift-not-max", f"with one logit 1000 above the others there is {spread}: exp still overflows"
        )


def _softmax_key(judge: Judge) -> bool:
    return "CrossEntropy" not in judge.owner or judge.method != "forward"


def judge_spread(
    judge: Judge,
    observation: Observation,
    key: str,
    again: str,
    shape: tuple[int, ...],
    std: float,
    mean: float = 0.0,
) -> None:
    """Random weights: shape, mean, spread, a distribution like the normal one, and other figures at the next call."""
    if observation.failure is not None and key not in observation:
        judge.failed(observation.failure)
        return
    w = observation.get(key)
    if w is None:
        judge.judged = True
        judge.bug("returns-nothing", "no array came back")
        return
    judge.judged = True
    if w.shape != shape:
        transposed = w.shape == shape[::-1]
        judge.bug(
            "init-shape", f"its shape is {w.shape}, expected {shape}{': the axes are exchanged' if transposed else ''}"
        )
        if w.size != int(np.prod(shape)):
            return
    count = w.size
    found = float(w.std())
    if found == 0:
        judge.bug("init-constant", f"all {count} weights are {number(float(w.ravel()[0]))}")
    else:
        if abs(found - std) > 6 * std / np.sqrt(2 * count):
            judge.bug("init-spread", f"the standard deviation is {number(found)}, expected {number(std)}")
        if abs(float(w.mean()) - mean) > 6 * max(found, std) / np.sqrt(count):
            judge.bug("init-mean", f"the mean is {number(float(w.mean()))}, expected {number(mean)}")
        centred = (w - w.mean()) / found
        kurtosis = float((centred**4).mean())
        if abs(kurtosis - 3) > 6 * np.sqrt(24 / count):
            uniform = abs(kurtosis - 1.8) < 0.1
            judge.bug(
                "init-distribution",
                f"the fourth moment is {number(kurtosis)}, a normal distribution has 3"
                + (", a uniform one 1.8" if uniform else ""),
            )
    other = observation.get(again)
    if other is not None and found != 0 and np.array_equal(other, w):
        judge.bug("init-reseeded", "called twice, it gives the same weights")


def judge_zeros(judge: Judge, observation: Observation, key: str, size: int) -> None:
    """Biases that start at zero."""
    if observation.failure is not None and key not in observation:
        judge.failed(observation.failure)
        return
    b = observation.get(key)
    judge.judged = True
    if b is None:
        judge.bug("returns-nothing", "no array came back")
    elif reshaped(b, (size,)) is None:
        judge.bug("init-shape", f"its shape is {b.shape}, expected {(size,)}")
    elif np.any(b != 0):
        judge.bug("init-not-zero", f"the first entry is {number(float(b.ravel()[0]))}, expected zeros")


def own_or_right(
    judge: Judge, subject: Subject, trials: Sequence[Trial], key: str
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For each trial the right value, and the hand-in's own where there is one of that shape."""
    rights, owns = [], []
    for each in trials:
        right = right_value(subject, each.draw)
        observation = judge.observed(each)
        found = observation.get(key) if observation is not None else None
        usable = found is not None and found.shape == right.shape and found.dtype.kind in "biuf" and _varies(found)
        rights.append(right)
        owns.append(np.asarray(found, dtype=float) if usable and found is not None else right)
    return rights, owns


def _varies(y: np.ndarray) -> bool:
    """Not one number everywhere: from that a derivative of 0 would follow, which anybody can return."""
    y = np.asarray(y, dtype=float)
    return not np.isfinite(y).all() or np.ptp(y) > 1e-3 * max(np.abs(y).max(initial=0), 1e-12)


def from_own_output(
    judge: Judge, subject: Subject, trials: Sequence[Trial]
) -> tuple[list[Trial], list[Draw], list[Draw]]:
    """What a backward pass may start from: the right output, the hand-in's own, its own in place of the input too."""
    rights, owns = own_or_right(judge, subject, trials, "y")
    base = [Trial(each.probe, each.draw.changed(y=y)) for each, y in zip(trials, rights, strict=True)]
    own = [each.draw.changed(y=y) for each, y in zip(trials, owns, strict=True)]
    of_output = [each.draw.changed(y=y, x=y) for each, y in zip(trials, owns, strict=True)]
    return base, own, of_output


def judge_norm(judges: Mapping[str, Judge], observations, groups, main: Sequence[Trial]) -> None:
    """CMU's BatchNorm: training, running figures, evaluation, backward. Each given what the hand-in itself has
    stored."""
    training, running = judges["forward (training)"], judges["running figures"]
    evaluation, backward = judges["forward (evaluation)"], judges["backward"]
    forward = layers.norm_forward(0)

    # training: two passes, each on its own x
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
                usual = np.full((1, D), start)
                setattr(draw, f"running_{name}", after if after is not None and after.size == D else usual)
                setattr(draw, f"running_{name}_before", before if before is not None and before.size == D else usual)
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
        _layouts(training, groups, main[0], "y1")
        constant = groups["constant"][0]
        observation = observations.get(constant.name)
        if observation is not None and observation.get("y1") is not None:
            column = observation["y1"][:, 0]
            if not np.isfinite(column).all():
                training.bug("eps-ignored", f"a column that is the same in every sample gives {column[0]}")
        one = observations.get(groups["one"][0].name)
        usual = observations.get(main[0].name)
        alone = usual is not None and "y0" in usual  # with one sample only, and not with any number of them
        if alone and one is not None and one.failure is not None and one.failure.kind == "exception":
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

    # running figures, by the hand-in's own batch figures and by the right ones
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
            # told once, in the training pass
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
                running.bug("evaluation-updates-running", f"`{name}` is changed by a forward pass with eval=True")
            later = observation.get(f"{short}3")
            x = each.draw.x3
            if after is None or later is None or evaluated is None or "y2" not in observation or running.findings:
                continue
            figure = x.mean(axis=0) if name == "running_mean" else x.var(axis=0, ddof=statistics.get("ddof", 0))
            expected = each.draw.alpha * np.ravel(after) + (1 - each.draw.alpha) * figure
            if not close(np.ravel(later), expected):
                running.bug(
                    "running-aliased",
                    f"after an evaluation the next training pass leaves `{name}` at "
                    f"{number(float(np.ravel(later)[0]))}, "
                    f"expected {number(float(expected[0]))}",
                )

    # evaluation, with the hand-in's own running figures
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

    for judge in (running, evaluation):
        if training.missing and not judge.judged and not judge.findings:
            judge.missing = training.missing
    # backward, by the right figures, or by what the hand-in's forward pass has stored
    if backward.missing:
        return
    right, own, factors = [], [], []
    for each in main:
        observation = observations.get(each.name)
        xhat, _, _, inverse = layers.normalised(each.draw.x1, each.draw.eps)
        right.append(Trial(each.probe, each.draw.changed(x=each.draw.x1, xhat=None, inverse=None)))
        cached = observation.get("norm") if observation is not None else None
        variance = observation.get("var") if observation is not None else None
        usable = (
            bool(training.findings)  # what is right in forward is what backward is judged by
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
        for each, mine in zip(factors, own, strict=True):
            observation = observations.get(each.name)
            dx = observation.values.get("dx") if observation is not None else None
            if dx is not None and dx.kind == "exception":
                continue  # it stopped before these were stored
            y = observation.get("y1") if observation is not None else None
            draw = each.draw.changed(y=y if y is not None and y.shape == mine.x.shape else mine.x)
            trials.append(Trial(each.probe, draw))
        cached = {each.name: mine.xhat for each, mine in zip(factors, own, strict=True)}
        alternatives = [[each.draw.changed(xhat=cached[each.name]) for each in trials]]
        backward.fit(layers.norm_parameter_gradient(which), trials, f"d{which}", alternatives=alternatives)
    merge(backward, {"dgamma-dbeta-exchanged"})
    backward.unchanged([*main, *groups.get("layout", ())], ("dy",), "upstream gradient")
    _layouts(backward, groups, main[0], "dx")
    twice(backward, main, "dx", "dx2", "backward called a second time gives another dx")
    twice(backward, main, "dgamma", "dgamma2", "backward called a second time gives another dgamma")
    for each in main:
        observation = observations.get(each.name)
        if observation is None:
            continue
        for name in ("gamma", "beta"):
            after = observation.get(f"{name}_after")
            if after is not None and not close(after, getattr(each.draw, name), 1e-12):
                backward.bug("parameter-changed", f"`{name}` is changed by backward; only step may change it")
    fresh = observations.get(groups["fresh"][0].name)
    if fresh is not None and not training.missing:
        for name in ("gamma", "running_var", "beta", "running_mean"):
            start = 1.0 if name in ("gamma", "running_var") else 0.0
            found = fresh.get(name)
            if found is not None and np.any(found != start):
                bug = "gamma-beta-start" if name in ("gamma", "beta") else "running-start"
                where = training if name in ("gamma", "beta") else running
                other = np.ravel(found)[np.ravel(found != start)][0]
                where.bug(bug, f"`{name}` starts at {number(float(other))}, expected {number(start)}")


def _evaluated_alone(judge: Judge, main: Sequence[Trial], observations) -> None:
    """One sample in evaluation: the first row of what the same samples gave together."""
    for each in main:
        observation = observations.get(each.name)
        together = observation.get("y4") if observation is not None else None
        value = observation.values.get("y one") if observation is not None else None
        if together is None or together.ndim != 2 or value is None or not np.isfinite(together).all():
            continue
        if value.failure is not None:
            if value.failure.kind == "exception":
                evidence = f"one sample with eval=True: {value.failure.type}: {value.failure.message}"
                judge.bug("batch-of-one", evidence, line=value.failure.line)
        elif value.array is not None and value.array.shape != together[:1].shape:
            judge.bug(
                "batch-of-one",
                f"one sample with eval=True gives the shape {value.array.shape}, expected {together[:1].shape}",
            )
        elif value.array is not None and not judge.findings and not close(value.array, together[:1]):
            judge.bug("batch-of-one", "one sample with eval=True gives something else than among others")


def _recursion(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    mean, var = np.zeros(draw.x0.shape[1]), np.ones(draw.x0.shape[1])
    for x in (draw.x0, draw.x1):
        mean = draw.alpha * mean + (1 - draw.alpha) * x.mean(axis=0)
        var = draw.alpha * var + (1 - draw.alpha) * x.var(axis=0)
    return mean, var


def merge(judge: Judge, ids: set[str]) -> None:
    """Keeps one finding of each of these."""
    seen: set[str] = set()
    kept = []
    for bug in judge.findings:
        if bug.id in ids and bug.id in seen:
            continue
        seen.add(bug.id)
        kept.append(bug)
    judge.findings = kept


def _layouts(judge: Judge, groups, first: Trial, key: str) -> None:
    observation = judge.observed(first)
    reference = observation.get(key) if observation is not None else None
    if reference is None or not np.isfinite(np.asarray(reference, float)).all():
        return
    for each in groups.get("layout", ()):
        layout = each.name.rsplit(" ", 1)[1]
        if layout == "read-only" and any(bug.id == "input-changed" for bug in judge.findings):
            continue
        id = "read-only-input" if layout == "read-only" else "memory-layout"
        judge.same(id, each, key, reference, f"with an input that is {LAYOUTS[layout]}")
