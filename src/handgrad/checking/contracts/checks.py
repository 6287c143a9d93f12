"""Checks that several contracts share and that the tests of the courses do not contain."""

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
#: Memory layouts of inputs to try, and their names in messages.
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
    """Checks a batch of one, other memory layouts, a second forward pass, float32, and whether inputs are modified. The
    results are compared with those of the hand-in on the main trials.

    Args:
        judge: the judge of the part.
        groups: trials: `main`, and optionally `one`, `layout`, `stale`, `float32`.
        key: the observed array.
        inputs: whether it is the first call, so that an earlier error belongs to it.
        names: names of the inputs of this part.
        tolerance: relative tolerance.
    """
    if judge.missing:
        return
    main = groups["main"]
    reference = judge.found(main[0], key)
    judge.unchanged([*main, *groups.get("layout", ())], names)
    if reference is None or not np.isfinite(np.asarray(reference, dtype=float)).all():
        return
    ran = [each for each in groups.get("layout", ()) if inputs or _came_to(judge, each, key)]
    judge_layouts(judge, ran, key, reference, tolerance)
    for each in groups.get("stale", ()):
        if not inputs and not _came_to(judge, each, key):
            continue
        why = "after a forward pass with a different batch, the result differs from that of a new object"
        judge.same("stale-state", each, key, reference, why, tolerance=tolerance)
    for each in groups.get("beside", ()):
        if not inputs and _came_to(judge, each, key):
            why = (
                "after a forward pass of another object of this class, backward of the first returns a different result"
            )
            judge.same("shared-between-objects", each, key, reference, why, tolerance=tolerance)
    for each in groups.get("float32", ()):
        judge.same("float32-lost", each, key, reference, "with float32 input", tolerance=FLOAT32)
    for each in groups.get("one", ()):
        batch_of_one(judge, each, main[1], key, inputs=inputs)


def _came_to(judge: Judge, each: Trial, key: str) -> bool:
    """Whether a trial reached this point; otherwise it stopped earlier, in another part."""
    seen = judge.observed(each)
    return seen is None or key in seen.values


def judge_layouts(
    judge: Judge, trials: Sequence[Trial], key: str, reference: np.ndarray, tolerance: float = 1e-6
) -> None:
    """Checks that inputs in other memory layouts, which are the names of the trials, give the same result."""
    for each in trials:
        layout = each.name.rsplit(" ", 1)[1]
        if layout == "read-only" and any(bug.id == "input-changed" for bug in judge.findings):
            continue
        id = "read-only-input" if layout == "read-only" else "memory-layout"
        judge.same(id, each, key, reference, f"with an input that is {LAYOUTS[layout]}", tolerance=tolerance)


def batch_of_one(judge: Judge, one: Trial, several: Trial, key: str, *, inputs: bool = True) -> None:
    """Checks that a batch of one works and has as many axes as any other."""
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
            f"with N = 1 the result has the shape {value.array.shape}, but with N = "
            f"{len(several.draw.x)} it has the shape {many.shape}",
        )


def judge_later(judge: Judge, subject: Subject, trials: Sequence[Trial], key: str) -> None:
    """Checks that a part that is right in the first pass through an object is also right in later passes."""
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
    """Checks the later passes of a part without findings in the first."""
    if judge.missing or judge.findings:
        return
    chosen, named = passes(trials, judge.observations, key, arrays)
    kept = judge.observations
    judge.observations = {**kept, **named}
    judge_later(judge, subject, [Trial(one.probe, one.draw.changed(**draw)) for one in chosen], key)
    judge.observations = kept


def from_right_output(subject: Subject, forward: Subject) -> Subject:
    """A backward pass that uses the output y of forward: the right one, or that of the draw if it has `own_output`."""
    compute = subject.compute

    def of_output(draw: Draw, **options: Any) -> Any:
        if not getattr(draw, "own_output", False):
            draw = draw.changed(y=right_value(forward, draw))
        return compute(draw, **options)

    return replace(subject, compute=of_output)


def _pass(each: Trial) -> str:
    return f"right in the first pass, but in {each.name.rpartition(' / ')[2]}:"


def overflow(judge: Judge, large: Trial, key: str, where: str, *, tolerance: float = 1e-6) -> None:
    """Checks that large inputs give finite numbers."""
    found = judge.found(large, key)
    if judge.missing or found is None or found.dtype.kind != "f" or np.isfinite(found).all():
        return
    bad = found[~np.isfinite(found)].ravel()
    judge.judged = True
    judge.bug("overflow", f"{where} is {bad[0]} in {bad.size} of {found.size} entries")


def better_parts(ours: Mapping[str, Part], own: Mapping[str, Part]) -> list[Part]:
    """Chooses a verdict for each part that was judged with our layers and with the hand-in's own.

    It is the verdict with ours, unless the part is right with its own or could not be run with ours.
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
    """Checks that a repeated call returns the same result."""
    for each in trials:
        if any(bug.id == "input-changed" for bug in judge.findings):
            return
        one, two = judge.found(each, first), judge.found(each, second)
        if one is not None and two is not None and np.isfinite(np.asarray(one, float)).all() and not close(two, one):
            judge.bug("state-overwritten", f"{what}: {departure('the second', two, np.asarray(one, float))}")
            return


def overwritten(judge: Judge, trials: Sequence[Trial], what: str) -> None:
    """Checks that a later call does not change the array that forward returned."""
    if any(bug.id == "input-changed" for bug in judge.findings):
        return
    for each in trials:
        before, after = judge.found(each, "y"), judge.found(each, "y after")
        if before is not None and after is not None and not np.array_equal(before, after, equal_nan=True):
            judge.bug(
                "state-overwritten",
                f"{what} overwrites the array that forward returned: other references to it now have different values",
            )
            return


def ones_for_one(observations: Mapping[str, Observation], trials: Sequence[Trial]) -> dict[str, Observation]:
    """The observations with derivatives that are a single number (1.0 of Identity) expanded to arrays."""
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
    """Checks that a softmax subtracts each row's maximum. The inputs with a NaN result reveal what it subtracts."""

    def broken(name: str) -> str:
        for each in groups.get(name, ()):
            found = judge.found(each, key)
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

    # 0 * log(0) is NaN as well, so the loss alone does not show whether the softmax is the cause
    raised, lowered, rows, spread = (broken(name) for name in ("raised", "lowered", "rows", "spread"))
    known = {bug.id for bug in judge.findings}
    if known & {"softmax-not-normalised", "softmax-axis", "not-finite", "exponential-missing"} and not raised:
        return
    if raised and lowered:
        judge.bug("softmax-no-shift", f"for logits around 1000 the result contains {raised}: exp(1000) is infinite")
    elif raised:
        judge.bug("softmax-shift-not-max", f"for logits around 1000 the result contains {raised}: exp still overflows")
    elif lowered:
        judge.bug(
            "softmax-shift-not-max",
            f"for logits around -1000 the result contains {lowered}: the subtracted value is not the maximum",
        )
    elif rows and not known & {"softmax-axis", "softmax-shift-axis"}:
        judge.bug(
            "softmax-global-shift",
            f"if one row is 10000 larger than the others, the result contains {rows}: the shift is not the maximum of "
            "each row",
        )
    elif spread and key != "loss" and not known and _softmax_key(judge):
        judge.bug(
            "softmax-shift-not-max",
            f"if one logit is 1000 larger than the others, the result contains {spread}: exp still overflows",
        )
    elif sums and not judge.findings:
        _clipped(judge, [*groups.get("raised", ()), *groups.get("lowered", ())], key)


def _clipped(judge: Judge, trials: Sequence[Trial], key: str) -> None:
    """Reports a softmax that clips its logits instead of shifting them: it is right for small logits, and finite but
    wrong for large ones."""
    for each in trials:
        found, x = judge.found(each, key), each.draw.x
        if found is None or found.shape != x.shape:
            continue
        expected = layers.softmax(x)
        if not close(found, expected):
            around = f"around {number(float(np.round(x.mean(), -3)))}"
            judge.bug("logits-clipped", f"for logits {around}, {departure('the output', found, expected)}")
            return


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
    """Checks random weights: shape, mean, spread, normal distribution, and different numbers in the next call."""
    if observation.failure is not None and key not in observation:
        judge.failed(observation.failure)
        return
    w = observation.get(key)
    if w is None:
        judge.judged = True
        judge.bug("returns-nothing", "it does not return an array")
        return
    judge.judged = True
    if w.shape != shape:
        transposed = w.shape == shape[::-1]
        judge.bug("init-shape", f"its shape is {w.shape}, expected {shape}{': it is transposed' if transposed else ''}")
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
                f"the fourth moment is {number(kurtosis)}; that of a normal distribution is 3"
                + (", that of a uniform distribution 1.8" if uniform else ""),
            )
    other = observation.get(again)
    if other is not None and found != 0 and np.array_equal(other, w):
        judge.bug("init-reseeded", "two calls return the same weights")


def judge_zeros(judge: Judge, observation: Observation, key: str, size: int) -> None:
    """Checks that biases start at zero."""
    if observation.failure is not None and key not in observation:
        judge.failed(observation.failure)
        return
    b = observation.get(key)
    judge.judged = True
    if b is None:
        judge.bug("returns-nothing", "it does not return an array")
    elif reshaped(b, (size,)) is None:
        judge.bug("init-shape", f"its shape is {b.shape}, expected {(size,)}")
    elif np.any(b != 0):
        judge.bug("init-not-zero", f"the first entry is {number(float(b.ravel()[0]))}, expected zeros")


def own_or_right(
    judge: Judge, subject: Subject, trials: Sequence[Trial], key: str
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The right value for each trial, and the hand-in's own value if it has the same shape."""
    rights, owns = [], []
    for each in trials:
        right = right_value(subject, each.draw)
        found = judge.found(each, key)
        usable = found is not None and found.shape == right.shape and found.dtype.kind in "biuf" and _varies(found)
        rights.append(right)
        owns.append(np.asarray(found, dtype=float) if usable and found is not None else right)
    return rights, owns


def _varies(y: np.ndarray) -> bool:
    """Whether the function is not constant. If it were, a derivative that always returns 0 would be right."""
    y = np.asarray(y, dtype=float)
    return not np.isfinite(y).all() or np.ptp(y) > 1e-3 * max(np.abs(y).max(initial=0), 1e-12)


def from_own_output(
    judge: Judge, subject: Subject, trials: Sequence[Trial]
) -> tuple[list[Trial], list[Draw], list[Draw]]:
    """The values that a backward pass may use: the right output, the hand-in's own output, or its own output for both
    output and input."""
    rights, owns = own_or_right(judge, subject, trials, "y")
    base = [Trial(each.probe, each.draw.changed(y=y)) for each, y in zip(trials, rights, strict=True)]
    own = [each.draw.changed(y=y) for each, y in zip(trials, owns, strict=True)]
    of_output = [each.draw.changed(y=y, x=y) for each, y in zip(trials, owns, strict=True)]
    return base, own, of_output
