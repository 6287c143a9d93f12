"""Descriptions of layers and losses that are objects, and the runner that creates their trials and verdicts.

A description says how an object is created and called, what its arguments are, and what it and its gradient compute.

An object stores what backward reads. The runner therefore runs it several times, after a different batch and with
inputs in different memory layouts. `described` runs functions with a cache only once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from handgrad.checking.contracts.checks import (
    LAYOUTS,
    from_own_output,
    from_right_output,
    judge_extras,
    judge_passes,
    overwritten,
    twice,
)
from handgrad.checking.contracts.judging import LATER, Judge, Trial, later, trial
from handgrad.checking.diagnosis import Draw, Subject
from handgrad.checking.probe import Operation

Arrays = dict[str, Any]
Groups = Mapping[str, Sequence[Trial]]
SIZES = ((5, 4), (7, 3), (4, 4), (3, 3))


@dataclass(frozen=True)
class Layer:
    """The description of one class of a course.

    Arguments:
        name: name of its trials.
        make: (the activation's parameter) -> operations that create an object, `layer`.
        passed: operations of one forward and backward pass. Later passes repeat them with other arrays.
        after: operations after the first pass: a second call of backward, a second observation of `y`.
        earlier: a pass with a different batch, `x0` (and `t0`), which must not affect the next pass.
        inputs: (generator, N, D) -> the arrays of one pass; with a position, those of the main trial at it.
        reads, handed: names of the arrays that are passed to forward and backward.
        output, gradient: what they compute.
        keys: name of the gradient in the observations, and its name for the second call of backward.
        called: name of backward in messages.
        parameters: the activation's parameter (slope, alpha) in each main trial.
        axis: letter of the second axis of x, after N.
        extremes: (generator, first main trial) -> arrays by group: large inputs, shifted logits.
        check: (judge, groups, key) -> None: checks of the extremes and of other requirements of the class.
        of_output: whether the gradient is computed from forward's output, either the hand-in's or the correct one.
        output_for_input: (forward) -> whether the output may replace the input, as for ReLU.
        shared: options of the output's slips that the gradient also has; such a bug is reported only once.
        tolerance: relative tolerance for comparing values of the same hand-in.
        float32: whether single precision is tested.
    """

    name: str
    make: Callable[[float], Sequence[Operation]]
    passed: Sequence[Operation]
    earlier: Operation
    inputs: Callable[..., Arrays]
    output: Subject
    gradient: Subject
    keys: tuple[str, str]
    called: str
    extremes: Callable[[np.random.Generator, Arrays], Mapping[str, Sequence[Arrays]]]
    check: Callable[[Judge, Groups, str], None]
    after: Sequence[Operation] = ()
    reads: tuple[str, ...] = ("x",)
    handed: tuple[str, ...] = ()
    parameters: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    axis: str = "D"
    of_output: bool = True
    output_for_input: Callable[[Judge], bool] = lambda forward: False
    shared: tuple[str, ...] = ()
    tolerance: float = 1e-6
    float32: bool = False

    def trials(self, g: np.random.Generator) -> dict[str, list[Trial]]:
        """The main trials and, by group, the trials that are compared with them."""
        drawn, main = [], []
        for position, size in enumerate(SIZES):
            drawn.append(self.inputs(g, *size, position))
            main.append(self._trial(str(position), drawn[-1], position, later_from=g))
        first, second = drawn[:2]
        alone = {name: value[:1] for name, value in second.items()}
        groups = {
            "main": main,
            "one": [self._trial("one", alone, 1)],
            "layout": [self._trial(layout, first, layout=layout) for layout in LAYOUTS],
            "stale": [self._trial("stale", first, before=second)],
            "beside": [self._trial("beside", first, beside=second)],
        }
        if self.float32:
            groups["float32"] = [self._trial("float32", {k: v.astype(np.float32) for k, v in first.items()})]
        for group, several in self.extremes(g, first).items():
            labels = (group, f"{group} more")
            groups[group] = [self._trial(label, each) for label, each in zip(labels, several, strict=False)]
        return groups

    def _trial(
        self,
        label: str,
        arrays: Arrays,
        position: int = 0,
        *,
        layout: str = "",
        before: Arrays | None = None,
        beside: Arrays | None = None,
        later_from: np.random.Generator | None = None,
    ) -> Trial:
        N, D = arrays["x"].shape
        p = self.parameters[position]
        draw = Draw({"N": N, self.axis: D}, **arrays, y=None, p=p)
        start = list(self.make(p))
        if before is not None:
            start.append(self.earlier)
            arrays = arrays | {f"{name}0": before[name] for name in self.reads}
        passed = self.passed
        if beside is not None:  # forward of another object between forward and backward of this one
            another = under_another_name([*self.make(p), self.earlier])
            passed = [self.passed[0], *another, *self.passed[1:]]
            arrays = arrays | {f"{name}0": beside[name] for name in self.reads}
        g = later_from
        again = (lambda: self.inputs(g, N, D)) if g is not None else None
        return object_trial(f"{self.name} {label}", start, passed, self.after, arrays, draw, layout=layout, again=again)

    def judge(self, forward: Judge, backward: Judge, groups: Groups) -> None:
        """Fills the two judges."""
        main, (key, again) = groups["main"], self.keys
        if not forward.missing:
            forward.fit(self.output, main, "y")
            judge_extras(forward, groups, "y", names=self.reads, tolerance=self.tolerance)
            judge_passes(forward, self.output, main, "y", self.reads)
            self.check(forward, groups, "y")
        if backward.missing:
            return
        given = {name: value for name, value in forward.options.items() if name in self.shared}
        start, alternatives, later_gradient = list(main), [], self.gradient
        if self.of_output:
            start, own, own_as_input = from_own_output(forward, self.output, main)
            alternatives = [own, own_as_input] if self.output_for_input(forward) else [own]
            later_gradient = from_right_output(self.gradient, self.output)
        backward.fit(self.gradient, start, key, alternatives=alternatives, givens=({}, given) if given else ({},))
        judge_extras(backward, groups, key, inputs=False, names=self.handed, tolerance=self.tolerance)
        self.check(backward, groups, key)
        twice(backward, main, key, again, f"{self.called} gives a different result when called a second time")
        overwritten(backward, main, self.called)
        if not (self.of_output and forward.findings):
            judge_passes(backward, later_gradient, main, key, (*self.reads, *self.handed))


def object_trial(
    name: str,
    start: Sequence[Operation],
    passed: Sequence[Operation],
    after: Sequence[Operation],
    arrays: Arrays,
    draw: Draw,
    *,
    layout: str = "",
    again: Callable[[], Arrays] | None = None,
) -> Trial:
    """A trial of one object: its creation, one pass, the operations after it, and later passes.

    Args:
        name: name of the trial.
        start, passed, after: operations.
        arrays, draw: their arrays, under the names of the probe and under those of the models.
        layout: memory layout of the arrays in `passed` and `after`.
        again: returns the arrays of one later pass; None if there is none.
    """
    operations, arrays = [*start, *_laid_out([*passed, *after], layout)], dict(arrays)
    for k in LATER if again is not None else ():
        others = again() if again is not None else {}
        arrays |= {f"{name} at {k}": value for name, value in others.items()}
        operations += later(passed, k, {name: f"{name} at {k}" for name in others})
    return trial(name, operations, draw, arrays)


def under_another_name(operations: Sequence[Operation]) -> list[Operation]:
    """The same operations on an object `another` instead of `layer`."""

    def moved(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: moved(item) for key, item in value.items()}
        if isinstance(value, list):
            return [moved(item) for item in value]
        return "another" if value == "layer" else value

    return [{**moved(each), "send": False} for each in operations]


def _laid_out(operations: Sequence[Operation], layout: str) -> list[Operation]:
    def moved(value: Any) -> Any:
        return {**value, "layout": layout} if layout and isinstance(value, dict) and "array" in value else value

    return [{**each, "args": [moved(one) for one in each["args"]]} if "args" in each else each for each in operations]


def away_from_zero(x: np.ndarray) -> np.ndarray:
    """Values without entries near 0, where the derivative at a kink is undefined."""
    return np.where(np.abs(x) < 0.05, np.copysign(0.1, x), x)


def both_sides(g: np.random.Generator, N: int, D: int, position: int | None = None) -> np.ndarray:
    """Inputs of an activation. In the main trials, the first entry is alternately below and above 0."""
    x = away_from_zero(1.5 * g.normal(size=(N, D)))
    if position is not None:
        x[0, 0] = abs(x[0, 0]) if position % 2 else -abs(x[0, 0])
    return x


LARGE = np.array([[1e3, -1e3, 2.0], [-1e4, 1e4, -0.5]])


def shifted(logits: np.ndarray, **others: np.ndarray) -> dict[str, list[Arrays]]:
    """Logits (3, 4) with shifts that reveal which number a softmax subtracts before the exponential."""
    shifts = {
        "raised": (1e3, 1e4),
        "lowered": (-1e3,),
        "rows": (np.array([[0.0], [1e4], [-1e4]]),),
        "spread": (1e3 * np.eye(4)[[0, 1, 2]],),
    }
    return {group: [{"x": logits + shift, **others} for shift in several] for group, several in shifts.items()}
