"""A layer or a loss that is an object, as a description: how it is made and called, what it is handed, what it and its
gradient are; and the runner that makes its trials and its verdicts.

An object keeps what backward reads. So it is run several times, after another batch, and with inputs in other layouts,
where `described` runs functions with a cache once each.
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
    """One class of a course.

    Arguments:
        name: what its trials are called.
        make: (the activation's parameter) -> operations that make an object, `layer`.
        passed: operations of one pass forward and back. Later passes repeat them with other arrays.
        after: operations that follow the first pass: backward asked again, `y` looked at again.
        earlier: a pass with another batch, `x0` (and `t0`), which the pass after it must forget.
        inputs: (generator, N, D) -> the arrays of one pass; with a position, those of the main trial there.
        reads, handed: names of the arrays that forward and backward are handed.
        output, gradient: what they compute.
        keys: the gradient's name in the observations, and its name when it is asked for again.
        called: what a message calls backward.
        parameters: the activation's parameter (slope, alpha) in each main trial.
        axis: the letter of the size of x beside N.
        extremes: (generator, first main trial) -> arrays by group: large inputs, shifted logits.
        check: (judge, groups, key) -> None: what is seen at the extremes, and whatever else the class has to keep.
        of_output: whether the gradient starts from forward's output, which is then the hand-in's own or the right one.
        output_for_input: (forward) -> whether that output may stand in the input's place, as for ReLU.
        shared: options of output's slips that the gradient has too: what is wrong there is told once.
        tolerance: relative, of one hand-in's figures to each other.
        float32: whether single precision is tried.
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
        """The main trials, and by group those that are compared with them."""
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
        later_from: np.random.Generator | None = None,
    ) -> Trial:
        N, D = arrays["x"].shape
        p = self.parameters[position]
        draw = Draw({"N": N, self.axis: D}, **arrays, y=None, p=p)
        start = list(self.make(p))
        if before is not None:
            start.append(self.earlier)
            arrays = arrays | {f"{name}0": before[name] for name in self.reads}
        g = later_from
        again = (lambda: self.inputs(g, N, D)) if g is not None else None
        return object_trial(
            f"{self.name} {label}", start, self.passed, self.after, arrays, draw, layout=layout, again=again
        )

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
        twice(backward, main, key, again, f"{self.called} called a second time gives something else")
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
    """A trial of one object: what makes it, one pass, what is asked after it, and later passes.

    Args:
        name: of the trial.
        start, passed, after: operations.
        arrays, draw: what they are handed, under the probe's names and under the models'.
        layout: of the arrays that `passed` and `after` hand over.
        again: gives the arrays of one later pass; None where there is none.
    """
    operations, arrays = [*start, *_laid_out([*passed, *after], layout)], dict(arrays)
    for k in LATER if again is not None else ():
        others = again() if again is not None else {}
        arrays |= {f"{name} at {k}": value for name, value in others.items()}
        operations += later(passed, k, {name: f"{name} at {k}" for name in others})
    return trial(name, operations, draw, arrays)


def _laid_out(operations: Sequence[Operation], layout: str) -> list[Operation]:
    def moved(value: Any) -> Any:
        return {**value, "layout": layout} if layout and isinstance(value, dict) and "array" in value else value

    return [{**each, "args": [moved(one) for one in each["args"]]} if "args" in each else each for each in operations]


def away_from_zero(x: np.ndarray) -> np.ndarray:
    """No entry near 0, where a kink's derivative is anybody's guess."""
    return np.where(np.abs(x) < 0.05, np.copysign(0.1, x), x)


def both_sides(g: np.random.Generator, N: int, D: int, position: int | None = None) -> np.ndarray:
    """Inputs of an activation; in the main trials the first entry is in turn below and above 0."""
    x = away_from_zero(1.5 * g.normal(size=(N, D)))
    if position is not None:
        x[0, 0] = abs(x[0, 0]) if position % 2 else -abs(x[0, 0])
    return x


LARGE = np.array([[1e3, -1e3, 2.0], [-1e4, 1e4, -0.5]])


def shifted(logits: np.ndarray, **others: np.ndarray) -> dict[str, list[Arrays]]:
    """Logits (3, 4) moved in ways that tell which number a softmax subtracts before the exponential."""
    shifts = {
        "raised": (1e3, 1e4),
        "lowered": (-1e3,),
        "rows": (np.array([[0.0], [1e4], [-1e4]]),),
        "spread": (1e3 * np.eye(4)[[0, 1, 2]],),
    }
    return {group: [{"x": logits + shift, **others} for shift in several] for group, several in shifts.items()}
