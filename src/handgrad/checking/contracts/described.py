"""A contract as a description: how each part is called, its arguments, what it and its gradients compute, and which
further properties hold; and the runner that turns a description into trials, probes and verdicts.

A `Described` part is one function, or a pair of them with a cache: `out, cache = NAME_forward(...)` and
`gradients = NAME_backward(dout, cache)`; or a loss that returns its gradient as well, `loss, dx = NAME(x, y)`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from handgrad.checking.contracts.contract import Contract
from handgrad.checking.contracts.differences import Sweep
from handgrad.checking.contracts.generic import name_formula, name_known
from handgrad.checking.contracts.judging import (
    NO_REFERENCE,
    Judge,
    Trial,
    array,
    call,
    define,
    each_alone,
    get,
    judge_joined,
    right_value,
    trial,
)
from handgrad.checking.contracts.source import Module, empty
from handgrad.checking.diagnosis import Draw, Subject, close, departure
from handgrad.checking.probe import Observation, Operation, Value
from handgrad.checking.results import Part

AVERAGED = {"batch-mean-unwanted", "bias-gradient-averaged"}


@dataclass(frozen=True)
class Given:
    """The inputs of one trial.

    Arguments:
        arrays: the arguments by name, in the order of the function, including numbers and dicts (as lists of pairs).
        draw: the same values under the names that the subjects use; `dy` is added from `upstream`.
        setup: operations that run first, such as creating a dict that the function writes into.
        keep: what is observed afterwards: key -> path.
        after: operations that run last, such as a pass in another mode.
        besides: further arrays, for `setup` and `after`.
    """

    arrays: Mapping[str, Any]
    draw: Draw
    setup: tuple[Operation, ...] = ()
    keep: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    after: tuple[Operation, ...] = ()
    besides: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Described:
    """One part of a contract.

    Arguments:
        name: name of the function or pair in the hand-in, without `_forward`.
        forward, backward: the functions' names; backward is empty for a loss, which returns (loss, gradients).
        make: (generator, position) -> the inputs of the trial at that position.
        output: what forward computes; None if it is unknown.
        gradients: what backward computes, in the order in which it returns them.
        group: the row of points that it counts towards.
        trials: number of trials.
        fold: how x, dy, output and dx become arrays (samples, features), for a subject of two axes.
        more: further properties: (runner, judges, trials with observations).
        numeric: whether the hand-in's own forward is differentiated by finite differences.
        shared: gradient -> the options of output's slips that it shares: an error there is not reported again.
        columns: gradients with an additional axis of length 1 in the interface: their shape causes no note.
        adapter: source of functions of those names if the hand-in has a class: `forward` creates an object and returns
            (output, object), `backward` takes the object as its cache. The hand-in's file is `m` in it.
        owner, methods: the class, and the names of its forward and backward methods.
        conventions: allowed changes of the draw for the gradients, the same for all of them: editions that differ.
        starts_at_zero: whether the unfinished starter code returns zeros.
        choices: allowed changes of the draw, all equally right: a convention that forward chooses and its gradients
            follow.
        further: additional arguments of backward, after (dout, cache).
        case: what distinguishes this part from another one of the same functions.
        upstream: whether backward takes an upstream gradient; otherwise the gradients are those of the output's sum.
        differences: whether the gradients are compared with finite differences of the hand-in's own forward. This is
            always the case if the output is unknown.
        largest: maximum number of entries of an argument for finite differences.
        from_output: whether the gradients are computed from the output of forward. If that output is wrong
            (`own_output` in the draw), gradients that follow from it are right.
        symbols: the names in the interface of the x, y and dy of our formulas.
        known: whether the checker knows the function.
    """

    name: str
    forward: str
    backward: str
    make: Callable[[np.random.Generator, int], Given]
    output: Subject | None
    gradients: Mapping[str, Subject] = field(default_factory=dict)
    group: str = ""
    trials: int = 4
    fold: Callable[[np.ndarray], np.ndarray] | None = None
    more: tuple[Callable[..., None], ...] = ()
    numeric: bool = True
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    starts_at_zero: bool = False
    columns: tuple[str, ...] = ()
    adapter: str = ""
    owner: str = ""
    methods: tuple[str, str] = ("", "")
    conventions: tuple[Mapping[str, Any], ...] = ({},)
    choices: tuple[Mapping[str, Any], ...] = ({},)
    further: tuple[Any, ...] = ()
    case: str = ""
    upstream: bool = True
    differences: bool = False
    largest: int = 80
    from_output: bool = False
    symbols: Mapping[str, str] = field(default_factory=dict)
    known: bool = True

    @property
    def by_differences(self) -> bool:
        return self.differences or self.output is None


def of_argument(base: Subject, k: int) -> Callable[..., Any]:
    """`compute` of a subject that uses the numerical derivative with respect to argument k. The draw: jacobians, around
    and dy."""

    def compute(draw: Draw, **options: Any) -> Any:
        if k not in draw.jacobians:
            raise ValueError("forward has no numerical derivative")
        J, x = draw.jacobians[k], draw.around[k].x
        expected = (J @ draw.dy.ravel()).reshape(x.shape)
        return base.compute(draw.changed(J=J, x=x, expected=expected), **options)

    return compute


class Runner(Contract):
    """Turns descriptions into probes and verdicts."""

    #: (description, the file that defines it)
    described: Sequence[tuple[Described, Module]]

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(module.folder for _, module in self.described if not _inside(module)), "."]))

    def make_trials(self) -> dict[str, list[Trial]]:
        return {
            each.name: [self._trial(each, module, position) for position in range(each.trials)]
            for each, module in self.described
            if each.owner or not empty(module.functions[each.forward])
        }

    def _trial(self, each: Described, module: Module, position: int) -> Trial:
        g = self.generator(each.name, position)
        given = each.make(g, position)
        arrays = {name: value for name, value in given.arrays.items() if isinstance(value, np.ndarray)}
        handed = [array(name) if name in arrays else _plain(value) for name, value in given.arrays.items()]
        layout = {0: "", 1: "", 2: "fortran", 3: "strided"}[position % 4]
        handed = [
            {**one, "layout": layout} if layout and isinstance(one, dict) and "array" in one else one for one in handed
        ]
        fresh = [{"fresh": name} if name in arrays else _plain(value) for name, value in given.arrays.items()]
        up, where = g.normal(size=4096) if each.upstream else np.ones(4096), "made" if each.adapter else "m"
        operations: list[Operation] = [
            {"op": "import", "module": module_name(module), "as": "m", "send": False},
            define("outputs"),
            *([{"op": "define", "source": each.adapter, "as": "made", "send": False}] if each.adapter else []),
            *given.setup,
            {"op": "seed", "value": 0},
            call(where, each.forward, args=handed, to="f", send=False),
        ]
        sent = {**arrays, **given.besides, "up": up}
        back = [{"path": ["dy"]}, {"path": ["f", 1]}, *each.further]
        if each.backward:
            operations += [
                get("f", 0, to="y", optional=True),
                {"op": "let", "value": {"shaped": "up", "like": ["y"]}, "as": "dy", "send": False},
                call(where, each.backward, args=back, to="g", attempt=True),
                get("dy", to="dy after", optional=True),
                call(where, each.backward, args=back, to="g again", attempt=True),
                get("f", 0, to="y after", optional=True),
            ]
        else:
            operations += [get("f", to="all"), call(where, each.forward, args=fresh, to="again", attempt=True)]
        operations += [get(*path, to=key, optional=True) for key, path in given.keep.items()]
        operations += [{**one, "try": True} for one in given.after]
        around = {}
        if each.numeric and each.backward:
            operations.append(call("ours", "value", args=[{"path": [where, each.forward]}, 0], to="only", send=False))
            for k, (name, value) in enumerate(given.arrays.items()):
                if name not in arrays or value.dtype.kind != "f" or k >= len(each.gradients):
                    continue
                if value.size > each.largest:
                    continue
                around[k] = Sweep.around(value, g)
                sent[f"points {k}"] = around[k].rows
                args = [*fresh[:k], {"row": "array"}, *fresh[k + 1 :]]
                operations.append(
                    {
                        "op": "each",
                        "rows": f"points {k}",
                        "path": ["only"],
                        "args": args,
                        "as": f"values {k}",
                        "try": True,
                    }
                )
        draw = given.draw.changed(up=up, around=around, handed=given.arrays)
        return trial(f"{module.name}.{each.name} {position}", operations, draw, sent)

    # -- the verdicts -------------------------------------------------------------------------------------------------

    def judge(self, observations: Mapping[str, Observation]) -> list[Part]:
        return each_alone(
            *((each.name, partial(self._judge, each, module, observations)) for each, module in self.described)
        )

    def _judges(self, each: Described, module: Module, observations: Mapping[str, Observation]) -> tuple[Judge, Judge]:
        """The verdicts on forward and on its gradient."""
        group = each.group or each.owner or each.name
        if each.owner:
            forward, gradient = (
                Judge(f"{each.name}.{method}", observations, module, each.owner, method, group)
                for method in each.methods
            )
        else:
            forward = Judge(each.forward, observations, module, "", each.forward, group)
            backward, name = each.backward or each.forward, each.backward or f"{each.forward}, gradient"
            gradient = Judge(f"{name}{each.case and f', {each.case}'}", observations, module, "", backward, group)
        forward.symbols = gradient.symbols = each.symbols
        forward.known = gradient.known = each.known
        return forward, gradient

    def _judge(self, each: Described, module: Module, observations: Mapping[str, Observation]) -> list[Part]:
        forward, gradient = self._judges(each, module, observations)
        trials = self.trials().get(each.name)
        if trials is None:
            return self._both(each, forward, gradient)
        seen = [self._seen(each, one, observations.get(one.name)) for one in trials]
        seen = [one for one in seen if one is not None]
        named = {one.name: observation for one, observation in seen}
        forward.observations = gradient.observations = {**observations, **named}
        shown = [one for one, _ in seen]
        failed = [one for one in trials if one.name in observations and observations[one.name].failure is not None]
        if not shown or all("y" not in observation.values for observation in named.values()):
            for one in failed[:1]:
                failure = observations[one.name].failure
                if failure is not None:
                    (forward.failed_on_guess if each.output is None else forward.failed)(failure)
            if not failed and shown:
                self._no_output(each, forward)
            if forward.missing and not gradient.missing:
                gradient.missing = forward.missing
            gradient.unjudged = gradient.unjudged or "forward fails"
            return self._both(each, forward, gradient)
        if all(one.values["y"].kind == "none" for one in named.values() if "y" in one.values):
            forward.missing = gradient.missing = "it returns None: not filled in"
            return self._both(each, forward, gradient)
        for one in failed:
            failure = observations[one.name].failure
            if failure is not None and failure.kind != "not run":
                forward.failed(failure)
        alone = [one for one in shown if one.draw.sizes.get("N") == 1]
        shown = self._chosen(each, [one for one in shown if one not in alone], named)
        if each.output is None and (each.differences or not each.more):
            forward.open = NO_REFERENCE
        elif each.output is not None and not forward.missing:
            forward.fit(each.output, shown, "y")
        handed = [name for name, value in trials[0].draw.handed.items() if isinstance(value, np.ndarray)]
        forward.unchanged([one for one in trials if one.name in observations], handed)
        if not gradient.missing:
            self._gradients(each, forward, gradient, trials, shown, named, observations)
        if alone and len(each.conventions) > 1:
            choice, _ = self._convention(each, shown, named)
            alone = [Trial(one.probe, one.draw.changed(**choice)) for one in alone]
        for one in self._chosen(each, alone, named):
            self._alone(each, forward, gradient, one, named[one.name])
        for judge in (forward, gradient):
            judge.notes = [note for note in judge.notes if not any(f"`{name}`" in note for name in each.columns)]
        for check in each.more:
            check(forward, gradient, [(one, observations[one.name]) for one in trials if one.name in observations])
        told = self._told(each)
        return [gradient.result()] if told else self._both(each, forward, gradient)

    def _both(self, each: Described, forward: Judge, gradient: Judge) -> list[Part]:
        alone = not each.gradients and (each.owner or not each.backward)
        return [forward.result()] if alone else [forward.result(), gradient.result()]

    def _told(self, each: Described) -> bool:
        """Whether the same forward is judged as a part of an earlier description."""
        same = (each.owner, each.forward)
        return next(other for other, _ in self.described if (other.owner, other.forward) == same) is not each

    def _chosen(self, each: Described, shown: list[Trial], named: Mapping[str, Observation]) -> list[Trial]:
        """The draws under the convention that forward follows."""
        if len(each.choices) == 1:
            return shown
        for choice in each.choices:
            others = [Trial(one.probe, one.draw.changed(**choice)) for one in shown]
            if each.output is not None and all(
                (y := named[one.name].get("y")) is not None and close(y, right_value(each.output, one.draw), 1e-5)
                for one in others
            ):
                return others
        choice = self._most_right(each, each.choices, shown, named)
        return [Trial(one.probe, one.draw.changed(**choice)) for one in shown]

    def _alone(self, each: Described, forward: Judge, gradient: Judge, one: Trial, observation: Observation) -> None:
        """Checks a batch of one sample, if several samples are right."""
        for judge, named in ((forward, {"y": each.output}), (gradient, each.gradients)):
            for k, (key, subject) in enumerate(named.items()):
                value = observation.values.get(key)
                if judge is gradient and each.by_differences and k not in getattr(one.draw, "jacobians", {}):
                    continue
                if judge.findings or judge.missing or subject is None or value is None or each.output is None:
                    continue
                if judge is gradient and forward.findings:
                    continue  # a consequence of a wrong forward, which is reported there
                expected = right_value(subject, one.draw)
                if value.array is None or not close(value.array, expected, max(subject.tolerance, 1e-6)):
                    found = value.type if value.array is None else departure(subject.name, value.array, expected)
                    judge.bug("batch-of-one", f"it is right for several samples; for a single sample: {found}")

    def _no_output(self, each: Described, judge: Judge) -> None:
        judge.judged = True
        judge.bug("returns-nothing", f"{each.forward} should return (out, cache), but its result has no first item")

    def _seen(self, each: Described, one: Trial, observation: Observation | None) -> tuple[Trial, Observation] | None:
        """The output and the gradients under separate names, folded to two axes if the subjects require that."""
        if observation is None:
            return None
        values: dict[str, Value] = {}
        if each.backward:
            if "y" in observation.values:
                values["y"] = observation.values["y"]
            found = observation.values.get("g")
        else:
            found = observation.values.get("all")
            items = list(found.items.values()) if found is not None else []
            if items:
                values["y"] = items[0]
            elif found is not None:
                values["y"] = found
            if found is not None:
                found = items[1] if len(items) == 2 else replace(found, items=dict(enumerate_text(items[1:])))
        values |= dict(zip(each.gradients, _several(found), strict=False))
        draw = one.draw
        y = values["y"].array if "y" in values else None
        if y is not None and each.backward:
            draw = draw.changed(dy=np.resize(draw.up, y.shape))
            if each.by_differences:
                draw = draw.changed(y=y)
                found_by = {k: sweep.jacobian(observation.get(f"values {k}"), y) for k, sweep in draw.around.items()}
                draw = draw.changed(jacobians={k: J for k, J in found_by.items() if J is not None})
        if each.fold is not None:
            try:
                values = {
                    key: replace(value, array=each.fold(value.array))
                    if key in ("y", "dx") and value.array is not None
                    else value
                    for key, value in values.items()
                }
                draw = draw.changed(dy=each.fold(draw.dy)) if hasattr(draw, "dy") else draw
            except (ValueError, IndexError):
                pass  # the fit reports the wrong shape
        output, x = values.get("y"), getattr(draw, "x", None)
        if output is not None and output.array is not None and x is not None and output.array.shape == x.shape:
            draw = draw.changed(y=output.array)
        label = f"{one.name} / seen"
        kept = Observation(label, values, observation.changed, observation.failure)
        return Trial(replace(one.probe, name=label), draw), kept

    def _gradients(self, each, forward: Judge, judge: Judge, trials, shown, named, observations) -> None:
        raised = [observations[one.name].values.get("g") for one in trials if one.name in observations]
        failures = [value.failure for value in raised if value is not None and value.failure is not None]
        if failures:
            judge.failed(failures[0], "" if len(failures) == len(raised) else "(it works with other sizes)")
            if len(failures) == len(raised):
                return
        if all(value is not None and value.kind == "none" for value in raised) and raised and each.backward:
            judge.missing = "it returns None: not filled in"
            return
        averaged: dict[str, str] = {}
        given_back = [one.values.get(name) for one in named.values() for name in each.gradients]
        if given_back and all(value is not None and value.kind == "none" for value in given_back):
            judge.missing = "it returns None: not filled in"
            if each.starts_at_zero and all(not np.any(one.get("y")) for one in named.values()):
                forward.missing, forward.findings = "the loss is still zero, as in the starter: not filled in", []
            return
        if each.starts_at_zero and all(
            value is not None and value.array is not None and not value.array.any() for value in given_back
        ):
            judge.missing = "the gradient is still zero, as in the starter: not filled in"
            if all(not np.any(one.get("y")) for one in named.values()):
                forward.missing, forward.findings = "the loss is still zero, as in the starter: not filled in", []
            return
        nothing = [value for one in named.values() for value in one.values.values() if value.kind == "none"]
        if each.by_differences:  # a trial in which forward fails has no derivative; forward reports it
            shown = [one for one in shown if hasattr(one.draw, "jacobians")]
            if not shown:
                judge.unjudged = judge.unjudged or "forward returns no array"
                return
        succeeded = [one for one in shown if "y" in named[one.name].values]  # failures of forward are reported there
        shown = succeeded or shown
        choice, sure = self._convention(each, shown, named)
        open_choices = () if sure else each.conventions
        shown = [Trial(one.probe, one.draw.changed(**choice)) for one in shown]
        for k, (name, subject) in enumerate(each.gradients.items()):
            values = [one.values.get(name) for one in named.values()]
            if all(value is None for value in values):
                if not failures:
                    judge.judged = True
                    judge.bug("returns-nothing", f"`{name}` is not returned: expected {', '.join(each.gradients)}")
                continue
            if nothing and all(value is not None and value.kind == "none" for value in values):
                judge.judged = True
                judge.bug("gradient-not-stored", f"`{name}` is None")
                continue
            if each.by_differences and not all(k in one.draw.jacobians for one in shown):
                judge.unjudged = judge.unjudged or f"forward has no numerical derivative with respect to `{name[1:]}`"
                continue
            own = self._by_differences(each, k, trials, observations)
            before = list(judge.findings)
            given = {
                option: forward.options[option] for option in each.shared.get(name, ()) if option in forward.options
            }
            others = [[one.draw.changed(**other) for one in shown] for other in open_choices]
            if each.from_output and forward.findings:
                others.append([one.draw.changed(own_output=True) for one in shown])
            judge.fit(subject, shown, name, alternatives=others, givens=({}, given) if given else ({},))
            self._joined(each, k, judge, shown, named)
            if each.by_differences and k == 0 and any(bug.id == "unexplained" for bug in judge.findings):
                by_values = [
                    Trial(one.probe, one.draw.changed(J=one.draw.jacobians[0], x=one.draw.around[0].x)) for one in shown
                ]
                if not name_known(judge, by_values, name):
                    name_formula(judge, by_values)
            consistent = (
                own
                and judge.findings != before
                and all(
                    (value := observations[one.name].values.get("g")) is not None
                    and len(_several(value)) > k
                    and (found := _several(value)[k].array) is not None
                    and close(found, own[one.name], 1e-5)
                    for one in trials
                    if one.name in own
                )
            )
            if consistent and forward.findings:
                judge.findings = before  # the derivative of a wrong forward, which is reported there
            new = {bug.id for bug in judge.findings} - {bug.id for bug in before}
            if each.output is None and k and not each.differences:
                averaged[name] = "right" if not new else "averaged" if new <= AVERAGED else "other"
        names = [name for name, how in averaged.items() if how == "averaged"]
        if names and "right" not in averaged.values():  # all parameters follow the same convention
            judge.findings = [bug for bug in judge.findings if bug.id not in AVERAGED]
            judge.note(f"{' and '.join(names)}: all averaged over the batch")
        self._again(each, judge, trials, observations)

    def _convention(
        self, each: Described, shown: list[Trial], named: Mapping[str, Observation]
    ) -> tuple[Mapping[str, Any], bool]:
        """The convention under which the most gradients are right, and whether any gradient determines it."""
        if len(each.conventions) == 1:
            return {}, True
        best = self._most_right(each, each.conventions, shown, named)
        return best, any(self._right(each, best, shown, named))

    def _most_right(
        self,
        each: Described,
        choices: Sequence[Mapping[str, Any]],
        shown: list[Trial],
        named: Mapping[str, Observation],
    ) -> Mapping[str, Any]:
        """The choice that makes the most gradients right; in a tie, the one that fits the first gradients."""

        def right(choice: Mapping[str, Any]) -> tuple[int, list[bool]]:
            flags = self._right(each, choice, shown, named)
            return sum(flags), flags

        return max(choices, key=right)

    def _right(
        self, each: Described, choice: Mapping[str, Any], shown: list[Trial], named: Mapping[str, Observation]
    ) -> list[bool]:
        """Which gradients are right under a choice, ignoring their signs."""
        trials = [Trial(one.probe, one.draw.changed(**choice)) for one in shown]
        return [
            all(
                (found := named[one.name].get(name)) is not None
                and any(close(sign * found, right_value(subject, one.draw), 1e-5) for sign in (1.0, -1.0))
                for one in trials
            )
            for name, subject in each.gradients.items()
        ]

    def _joined(self, each: Described, k: int, judge: Judge, shown: list[Trial], named) -> None:
        """Compares a parameter's gradient with its parameter, as an update uses them."""
        name = list(each.gradients)[k]
        for one in shown:
            handed = {key: value for key, value in one.draw.handed.items() if isinstance(value, np.ndarray)}
            if not 0 < k < len(handed):
                return
            parameter = list(handed)[k]
            if judge_joined(judge, parameter, handed[parameter], named[one.name].get(name), name):
                judge.notes = [note for note in judge.notes if f"`{name}`" not in note]  # not harmless

    def _by_differences(self, each: Described, k: int, trials, observations) -> dict[str, np.ndarray]:
        """The gradient of the hand-in's own forward with respect to argument k, if differences give one."""
        found = {}
        for one in trials:
            observation = observations.get(one.name)
            y = observation.get("y") if observation is not None else None
            if observation is None or y is None or k not in one.draw.around:
                continue
            J = one.draw.around[k].jacobian(observation.get(f"values {k}"), y)
            if J is not None:
                found[one.name] = (J @ np.resize(one.draw.up, y.shape).ravel()).reshape(one.draw.around[k].x.shape)
        return found

    def _again(self, each: Described, judge: Judge, trials, observations) -> None:
        for one in trials:
            observation = observations.get(one.name)
            if observation is None:
                continue
            first, second = observation.values.get("g"), observation.values.get("g again")
            y, after = observation.get("y"), observation.get("dy after")
            if y is not None and after is not None and not np.array_equal(after, np.resize(one.draw.up, y.shape)):
                judge.bug("input-changed", "backward modifies the upstream gradient dout")
            y_after = observation.get("y after")
            if y is not None and y_after is not None and not np.array_equal(y, y_after, equal_nan=True):
                judge.bug("state-overwritten", "backward overwrites the array that forward returned")
            if first is None or second is None or judge.findings:
                continue
            for name, a, b in zip(each.gradients, _several(first), _several(second), strict=False):
                if a.array is not None and b.array is not None and not close(b.array, np.asarray(a.array, float)):
                    evidence = departure(name, b.array, np.asarray(a.array, float))
                    judge.bug(
                        "state-overwritten", f"a second call of backward returns a different `{name}`: {evidence}"
                    )
                    return


def enumerate_text(items: Sequence[Value]) -> list[tuple[str, Value]]:
    return [(str(k), value) for k, value in enumerate(items)]


def _several(value: Value | None) -> list[Value]:
    """The items of a tuple or the values of a dict; a single array is one item."""
    if value is None or value.kind == "exception":
        return []
    return list(value.items.values()) if value.kind in ("tuple", "list", "dict") else [value]


def _plain(value: Any) -> Any:
    """An argument that is not an array, as an expression of a probe."""
    if isinstance(value, dict) and not {"path", "dict"} & set(value):
        return {"dict": [[key, _plain(item)] for key, item in value.items()]}
    return value


def _inside(module: Module) -> bool:
    """Whether the module uses relative imports, and must therefore be imported as part of its package."""
    return any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(module.tree))


def module_name(module: Module) -> str:
    return module.path.removesuffix(".py").replace("/", ".") if _inside(module) else module.name
