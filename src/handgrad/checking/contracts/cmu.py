"""CMU 11-785, homework 1 part 1: `hw1.py` of 2019, and the `mytorch` of 2020 and 2021.

The MLP is judged with the activations, criterion, batch normalisation and linear layers of the checker instead of those
of the hand-in. They are derived from the classes of the hand-in, so that `isinstance` works. A wrong Sigmoid is then
only a bug of Sigmoid. If the MLP does not work with them, it is judged with the hand-in's own.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from handgrad.checking import diagnosis_layers as layers
from handgrad.checking.contracts.checks import (
    LAYOUTS,
    better_parts,
    judge_extras,
    judge_passes,
    judge_spread,
    judge_zeros,
    ones_for_one,
    overflow,
    softmax_stability,
)
from handgrad.checking.contracts.cmu_mlp import KINDS, NETS, Places, build, judge_mlp, renamed_places
from handgrad.checking.contracts.cmu_norm import judge_norm, norm_trials
from handgrad.checking.contracts.cmu_statistics import judge_statistics, statistics_trial
from handgrad.checking.contracts.contract import Contract
from handgrad.checking.contracts.judging import Judge, Trial, array, call, each_alone, get, trial
from handgrad.checking.contracts.layer import LARGE, Arrays, Groups, Layer, both_sides, object_trial, shifted
from handgrad.checking.contracts.source import Module, Source
from handgrad.checking.diagnosis import Draw, close, departure
from handgrad.checking.probe import Observation, Operation
from handgrad.checking.results import Part

ACTIVATIONS = {"Identity": "identity", "Sigmoid": "sigmoid", "Tanh": "tanh", "ReLU": "relu"}


def one_hot(g: np.random.Generator, N: int, K: int) -> np.ndarray:
    return np.eye(K)[g.integers(0, K, N)]


def activation(module: str, name: str, setup: list[Operation]) -> Layer:
    """An activation: `y = layer.forward(x)`, and `layer.derivative()` without the upstream gradient."""
    kind = ACTIVATIONS[name]

    def check(judge: Judge, groups: Groups, key: str) -> None:
        if key == "y" and kind != "identity":
            _judge_state(judge, groups["main"])
        what = name if key == "y" else f"the derivative of {name}"
        overflow(judge, groups["large"][0], key, f"for inputs of ±1e3 and ±1e4, {what}")

    return Layer(
        name=name,
        make=lambda p: [*setup, call(module, name, to="layer", send=False)],
        passed=(
            call("layer", "forward", args=[array("x")], to="y"),
            get("layer", "state", to="state", optional=True),
            call("layer", "derivative", to="d", attempt=True),
            call("layer", "derivative", to="d2", attempt=True),
        ),
        after=(get("y", to="y after"),),
        earlier=call("layer", args=[array("x0")]),
        inputs=lambda g, N, D, position=None: {"x": both_sides(g, N, D, position)},
        output=layers.activation_forward(kind),
        gradient=layers.activation_backward(kind, upstream=False),
        keys=("d", "d2"),
        called="derivative()",
        extremes=lambda g, first: {"large": [{"x": LARGE}]},
        check=check,
        output_for_input=lambda forward: kind == "relu",
    )


def criterion(module: str, setup: list[Operation]) -> Layer:
    """`SoftmaxCrossEntropy`: one loss per sample, and `derivative()`, which is the softmax minus the labels."""

    def inputs(g: np.random.Generator, N: int, K: int, position: int | None = None) -> Arrays:
        return {"x": g.normal(size=(N, K)), "t": one_hot(g, N, K)}

    def extremes(g: np.random.Generator, first: Arrays) -> dict[str, list[Arrays]]:
        labels = one_hot(g, 3, 4)
        found = shifted(g.normal(size=(3, 4)), t=labels)
        found["spread"][0]["t"] = np.eye(4)[[0, 1, 3]]
        return found

    def check(judge: Judge, groups: Groups, key: str) -> None:
        softmax_stability(judge, groups, key)
        if key == "y":
            _judge_spread_logits(judge, groups["spread"])

    return Layer(
        name="loss",
        make=lambda p: [*setup, call(module, "SoftmaxCrossEntropy", to="layer", send=False)],
        passed=(
            call("layer", "forward", args=[array("x"), array("t")], to="y"),
            call("layer", "derivative", to="d", attempt=True),
            call("layer", "derivative", to="d2", attempt=True),
        ),
        earlier=call("layer", args=[array("x0"), array("t0")]),
        inputs=inputs,
        reads=("x", "t"),
        output=layers.softmax_crossentropy_forward(),
        gradient=layers.softmax_crossentropy_derivative(),
        keys=("d", "d2"),
        called="derivative()",
        extremes=extremes,
        check=check,
        axis="K",
        of_output=False,
        shared=("axis", "shift", "form", "twice"),
        tolerance=2e-5,
    )


class CMU(Contract):
    """The common base of all editions."""

    title: ClassVar[str] = "CMU 11-785, homework 1 part 1"
    points: ClassVar[Mapping[str, float]] = {
        "activations": 12,
        "loss": 4,
        "BatchNorm": 15,
        "linear MLP": 9,
        "hidden layers": 40,
        "momentum": 10,
        "statistics": 10,
    }
    row_vectors = False
    """Whether db, dgamma and dbeta have the shape (1, n) instead of (n,)."""
    places = Places()

    def module_of(self, name: str) -> Module | None:
        """The file that defines a class or function."""
        raise NotImplementedError

    def importing(self, name: str) -> str:
        """The name under which this file is imported."""
        module = self.module_of(name)
        assert module is not None
        return module.name

    def setup(self, *names: str) -> list[Operation]:
        return [{"op": "import", "module": module} for module in dict.fromkeys(map(self.importing, names))]

    def has(self, *names: str) -> bool:
        return all(self.module_of(name) is not None for name in names)

    def judge_of(self, part: str, observations, owner: str, method: str, group: str) -> Judge:
        return Judge(part, observations, self.module_of(owner or method), owner, method, group)

    # -- the trials ---------------------------------------------------------------------------------------------------

    def make_trials(self) -> dict[str, list[Trial]]:
        found: dict[str, list[Trial]] = {}
        for name, layer in self.layers.items():
            groups = layer.trials(self.generator(layer.name))
            found |= {f"{name} {group}": trials for group, trials in groups.items()}
        if self.has("BatchNorm"):
            found |= norm_trials(self.importing("BatchNorm"), self.setup("BatchNorm"), self.generator)
        found.update(self._extra_trials())
        found.update(self._statistics_trials())
        if self.has("MLP"):
            for mode in ("ours", "own"):
                found[f"MLP {mode}"] = self._mlp_trials(mode)
        return found

    @cached_property
    def layers(self) -> dict[str, Layer]:
        """The activations and the loss of the hand-in, by class name."""
        found = {
            name: activation(self.importing(name), name, self.setup(name)) for name in ACTIVATIONS if self.has(name)
        }
        loss = "SoftmaxCrossEntropy"
        return found | ({loss: criterion(self.importing(loss), self.setup(loss))} if self.has(loss) else {})

    def groups(self, name: str) -> dict[str, list[Trial]]:
        """The trials of a part by kind: main, one, layout, stale, ..."""
        return {
            key.removeprefix(f"{name} "): value for key, value in self.trials().items() if key.startswith(f"{name} ")
        }

    def _extra_trials(self) -> dict[str, list[Trial]]:
        found: dict[str, list[Trial]] = {}
        if self.has("random_normal_weight_init"):
            module = self.importing("random_normal_weight_init")
            found["weight init"] = [
                trial(
                    "weight init",
                    [
                        *self.setup("random_normal_weight_init"),
                        {"op": "seed", "value": 3},
                        call(module, "random_normal_weight_init", args=[300, 200], to="w"),
                        call(module, "random_normal_weight_init", args=[300, 200], to="again"),
                    ],
                    Draw(),
                    {},
                )
            ]
        if self.has("zeros_bias_init"):
            module = self.importing("zeros_bias_init")
            operations = [*self.setup("zeros_bias_init"), call(module, "zeros_bias_init", args=[7], to="b")]
            found["bias init"] = [trial("bias init", operations, Draw(), {})]
        return found

    # -- the verdicts -------------------------------------------------------------------------------------------------

    def judge(self, observations: Mapping[str, Observation]) -> list[Part]:
        parts = each_alone(
            *((name, partial(self._judge_layer, name, "activations", observations)) for name in ACTIVATIONS),
            ("SoftmaxCrossEntropy", partial(self._judge_layer, "SoftmaxCrossEntropy", "loss", observations)),
            ("BatchNorm", partial(self._judge_norm, observations)),
            ("initial values", partial(self._judge_initialisers, observations)),
            ("Linear", partial(self._judge_linear, observations)),
            ("MLP", partial(self._judge_mlp, observations)),
        )
        losses_right = not any(
            part.part.startswith("SoftmaxCrossEntropy") and part.verdict == "wrong" for part in parts
        )
        statistics = partial(self._judge_statistics, observations, losses_right)
        return parts + each_alone(("get_training_stats", statistics))

    def _mlp_trials(self, mode: str) -> list[Trial]:
        names = [*KINDS.values(), "SoftmaxCrossEntropy", "BatchNorm", "Linear"]
        owners = {name: self.importing(name) for name in names if self.has(name)}
        if not self.row_vectors and self.has("zeros_bias_init"):
            owners["zeros_bias_init"] = self.importing("zeros_bias_init")
        setup = self.setup("MLP", *owners)
        places, _ = renamed_places(self.module_of("MLP"), "MLP", self.places)
        return [
            build(
                net,
                mode,
                self.importing("MLP"),
                setup,
                places,
                owners,
                self.generator("MLP", net.name),
                row=self.row_vectors,
                has=self.has,
            )
            for net in NETS
        ]

    def _judge_mlp(self, observations: Mapping[str, Observation]) -> list[Part]:
        methods = {
            "MLP.__init__": ("__init__", "hidden layers"),
            "MLP.forward": ("forward", "linear MLP"),
            "MLP.backward": ("backward", "hidden layers"),
            "MLP.forward with BatchNorm": ("forward", "hidden layers"),
            "MLP.backward with BatchNorm": ("backward", "hidden layers"),
            "MLP.step": ("step", "hidden layers"),
            "MLP.step with momentum": ("step", "momentum"),
            "MLP.zero_grads": ("zero_grads", "hidden layers"),
            "MLP.train and eval": ("eval", "hidden layers"),
        }

        def judged(mode: str) -> dict[str, Part]:
            judges = {
                part: self.judge_of(part, observations, "MLP", method, group)
                for part, (method, group) in methods.items()
            }
            judge_mlp(judges, self.trials()[f"MLP {mode}"], observations, self.row_vectors)
            _, names = renamed_places(self.module_of("MLP"), "MLP", self.places)
            if names and not judges["MLP.__init__"].missing:
                listed = ", ".join(f"`{own}` should be called `{name}`" for name, own in names.items())
                evidence = f"{listed}; the tests and the training script use the names of the interface"
                judges["MLP.__init__"].bug("attribute-renamed", evidence)
            return {part: judge.result() for part, judge in judges.items()}

        if not self.has("MLP"):
            return [
                self.judge_of(part, observations, "MLP", method, group).result()
                for part, (method, group) in methods.items()
            ]
        return better_parts(judged("ours"), judged("own"))

    def _judge_linear(self, observations: Mapping[str, Observation]) -> list[Part]:
        return []

    def _judge_layer(self, name: str, group: str, observations) -> list[Part]:
        forward = self.judge_of(f"{name}.forward", observations, name, "forward", group)
        backward = self.judge_of(f"{name}.derivative", observations, name, "derivative", group)
        if self.has(name) and not (forward.missing and backward.missing):
            groups = self.groups(name)
            if name == "Identity":
                shown = [each for several in groups.values() for each in several]
                backward.observations = {**observations, **ones_for_one(observations, shown)}
            self.layers[name].judge(forward, backward, groups)
        return [forward.result(), backward.result()]

    def _judge_norm(self, observations) -> list[Part]:
        names = ("forward (training)", "running figures", "forward (evaluation)", "backward")
        judges = {
            label: self.judge_of(
                f"BatchNorm.{label}",
                observations,
                "BatchNorm",
                "backward" if label == "backward" else "forward",
                "BatchNorm",
            )
            for label in names
        }
        if not self.has("BatchNorm") or (judges["backward"].missing and judges["forward (training)"].missing):
            return [judge.result() for judge in judges.values()]
        groups = self.groups("norm")
        main = groups["main"]
        judge_norm(judges, observations, groups)
        if self.row_vectors and not judges["backward"].missing:
            for each in main:
                for name in ("dgamma", "dbeta"):
                    found = judges["backward"].found(each, name)
                    if found is not None and found.shape == (int(each.draw.sizes["D"]),):
                        judges["backward"].note(
                            f"`{name}` has the shape (n,), but `{name[1:]}` and the interface have (1, n); the tests "
                            "of "
                            "the course compare shapes"
                        )
        return [judge.result() for judge in judges.values()]

    def _statistics_trials(self) -> dict[str, list[Trial]]:
        names = ("get_training_stats", "MLP", "Identity", "SoftmaxCrossEntropy")
        if not self.has(*names):
            return {}
        owners = {name: self.importing(name) for name in names}
        own = self.importing("zeros_bias_init") if self.has("zeros_bias_init") else ""
        setup = self.setup(*names, *(["zeros_bias_init"] if own else []))
        g = self.generator("statistics")
        return {"statistics": [statistics_trial(owners, setup, g, row=self.row_vectors, own_biases=own)]}

    def _judge_statistics(self, observations: Mapping[str, Observation], losses_right: bool) -> list[Part]:
        judge = self.judge_of("get_training_stats", observations, "", "get_training_stats", "statistics")
        if not self.has("get_training_stats"):
            return [] if self.row_vectors else [judge.result()]
        trials = self.trials().get("statistics")
        if trials is None:
            judge.unjudged = judge.unjudged or "the network that it trains is missing"
        elif not judge.missing:
            judge_statistics(judge, trials[0], losses_right)
        return [judge.result()]

    def _judge_initialisers(self, observations) -> list[Part]:
        parts: list[Part] = []
        if self.row_vectors and not self.has("random_normal_weight_init"):
            return parts  # given by the course in these editions
        judge = self.judge_of("random_normal_weight_init", observations, "", "random_normal_weight_init", "")
        observation = observations.get("weight init")
        if observation is not None and not judge.missing:
            judge_spread(judge, observation, "w", "again", (300, 200), 1.0)
        parts.append(judge.result())
        judge = self.judge_of("zeros_bias_init", observations, "", "zeros_bias_init", "")
        observation = observations.get("bias init")
        if observation is not None and not judge.missing:
            judge_zeros(judge, observation, "b", 7)
        parts.append(judge.result())
        return parts


class CMU2019(CMU):
    """Spring and Fall 2019: one file, `hw1.py`."""

    name = "cmu-2019"
    title = "CMU 11-785, homework 1 part 1, 2019 (hw1.py)"

    @classmethod
    def recognise(cls, source: Source) -> Contract | None:
        return None if _file_of(source) is None or CMU2020.recognise(source) is not None else cls(source)

    @property
    def paths(self) -> tuple[str, ...]:
        module = _file_of(self.source)
        return (module.folder if module else ".", ".")

    def module_of(self, name: str) -> Module | None:
        module = _file_of(self.source)
        if module is not None and (name in module.classes or name in module.functions):
            return module
        return None


_NAMES_2019 = (
    "Identity",
    "Sigmoid",
    "Tanh",
    "ReLU",
    "SoftmaxCrossEntropy",
    "BatchNorm",
    "MLP",
    "random_normal_weight_init",
)


def _file_of(source: Source) -> Module | None:
    """The file that contains the homework of 2019: it defines at least three of its names, or is an `hw1.py` with at
    least one of them."""
    module = source.defining(*_NAMES_2019)
    if module is None:
        return None
    count = sum(name in module.classes or name in module.functions for name in _NAMES_2019)
    derivative = any("derivative" in module.methods(name) for name in module.classes)
    cmu = "SoftmaxCrossEntropy" in module.classes or derivative or "random_normal_weight_init" in module.functions
    if not cmu or not (count >= 3 or (module.name == "hw1" and count)):
        return None
    return module


class CMU2020(CMU):
    """2020 and 2021: `mytorch/{activation,loss,linear,batchnorm}.py` and `hw1/hw1.py`."""

    name = "cmu-2020"
    title = "CMU 11-785, homework 1 part 1, 2020 and 2021 (mytorch)"
    row_vectors = True
    places = Places(
        weight=("mlp", "linear_layers", "{i}", "W"),
        bias=("mlp", "linear_layers", "{i}", "b"),
        dweight=("mlp", "linear_layers", "{i}", "dW"),
        dbias=("mlp", "linear_layers", "{i}", "db"),
    )

    @classmethod
    def recognise(cls, source: Source) -> Contract | None:
        contract = cls(source)
        linear = contract.module_of("Linear")
        if linear is None or {"weight_init_fn"} - {a.arg for a in _arguments(linear, "Linear")}:
            return None
        others = ("Sigmoid", "Tanh", "ReLU", "SoftmaxCrossEntropy", "BatchNorm", "MLP")
        return contract if contract.has(*others[:1]) or any(contract.has(name) for name in others) else None

    @property
    def paths(self) -> tuple[str, ...]:
        names = [*ACTIVATIONS, "SoftmaxCrossEntropy", "BatchNorm", "Linear", "MLP"]
        folders = [module.folder for module in map(self.module_of, names) if module is not None]
        above = [str(Path(folder).parent) for folder in folders if folder not in (".", "")]
        return tuple(dict.fromkeys([*folders, *above, "."]))

    def module_of(self, name: str) -> Module | None:
        found = [m for m in self.source.modules if name in m.classes or name in m.functions]
        return min(found, key=lambda module: (module.path.count("/"), module.path), default=None)

    def _extra_trials(self) -> dict[str, list[Trial]]:
        found = super()._extra_trials()
        if self.has("Linear"):
            found |= linear_trials(self.importing("Linear"), self.setup("Linear"), self.generator)
        return found

    def _judge_linear(self, observations: Mapping[str, Observation]) -> list[Part]:
        forward = self.judge_of("Linear.forward", observations, "Linear", "forward", "linear MLP")
        backward = self.judge_of("Linear.backward", observations, "Linear", "backward", "linear MLP")
        if self.has("Linear"):
            judge_linear(forward, backward, self.groups("linear"))
        return [forward.result(), backward.result()]


def _judge_state(judge: Judge, trials: Sequence[Trial]) -> None:
    """Checks that `state` is the output of forward, because derivative() and the tests of the course use it."""
    for each in trials:
        state, y = judge.found(each, "state"), judge.found(each, "y")
        if state is not None and y is not None and close(state, each.draw.x) and not close(state, y):
            judge.bug("state-not-output", "after forward(x), `state` is x; it should be the value that forward returns")
            return


def _judge_spread_logits(judge: Judge, trials: Sequence[Trial]) -> None:
    """Checks logits of which one is much larger than that of the label: the loss is their difference, not log(0)."""
    for each in trials:
        observation = judge.observed(each)
        found, derivative = (observation.get("y"), observation.get("d")) if observation is not None else (None, None)
        if observation is None or found is None or found.dtype.kind != "f" or np.isfinite(found).all():
            continue
        if derivative is not None and derivative.dtype.kind == "f" and not np.isfinite(derivative).all():
            continue  # the softmax overflows
        if any("overflow" in warning.message for warning in observation.warnings):
            judge.bug(
                "softmax-shift-not-max",
                "with one logit 1000 larger than the others, exp still overflows: the subtracted value is not the "
                "maximum",
            )
            continue
        judge.bug(
            "log-of-zero",
            f"with logits that differ by 1000, the loss is {found.ravel()[~np.isfinite(found.ravel())][0]}; the right "
            "value is 1000, which log-sum-exp computes",
        )


def _arguments(module: Module, name: str) -> list[ast.arg]:
    if name in module.borrowed:
        return [ast.arg("weight_init_fn")]
    init = module.methods(name).get("__init__")
    return [] if init is None else init.args.args


def linear_trials(module: str, setup: list[Operation], generator: Any) -> dict[str, list[Trial]]:
    """`Linear` of 2020: W (in, out), b (1, out), dW and db averaged over the batch."""

    passed = (
        call("layer", "forward", args=[array("x")], to="y"),
        call("layer", "backward", args=[array("dy")], to="dx", attempt=True),
        get("layer", "dW", to="dW", optional=True),
        get("layer", "db", to="db", optional=True),
        get("layer", "W", to="W after", optional=True),
        get("layer", "b", to="b after", optional=True),
    )
    after = (
        call("layer", "backward", args=[array("dy")], to="dx again", attempt=True),
        get("layer", "dW", to="dW again", optional=True),
        get("layer", "db", to="db again", optional=True),
    )

    def build(label: str, N: int, D: int, K: int, layout: str = "", before: bool = False) -> Trial:
        g = generator("linear", N, D, K)
        arrays = {
            "W": g.normal(size=(D, K)),
            "b": g.normal(size=(1, K)),
            "x": g.normal(size=(N, D)),
            "dy": g.normal(size=(N, K)),
            "x0": g.normal(size=(N + 2, D)),
        }
        start = [
            *setup,
            call(module, "Linear", args=[D, K, {"feed": ["W"]}, {"feed": ["b"]}], to="layer", send=False),
        ]
        if before:
            start.append(call("layer", "forward", args=[array("x0")]))
        draw = Draw({"N": N, "D": D, "K": K}, **arrays, weight=arrays["W"].T, bias=arrays["b"])

        def again() -> Arrays:
            return {"x": g.normal(size=(N, D)), "dy": g.normal(size=(N, K))}

        return object_trial(
            f"Linear {label}",
            start,
            passed,
            after,
            arrays,
            draw,
            layout=layout,
            again=again if label.isdigit() else None,
        )

    return {
        "linear main": [build("0", 6, 4, 3), build("1", 8, 3, 5), build("2", 5, 4, 4), build("3", 7, 3, 3)],
        "linear one": [build("one", 1, 3, 5)],
        "linear layout": [build(layout, 6, 4, 3, layout) for layout in LAYOUTS],
        "linear stale": [build("stale", 6, 4, 3, before=True)],
    }


def report_missing_axis(judge: Judge, name: str, found: np.ndarray) -> None:
    """Reports a gradient of shape (n,) whose parameter has the shape (1, n)."""
    judge.bug(
        "wrong-shape",
        f"`{name}` has the shape {found.shape}, but should have the shape {(1, *found.shape)} of `{name[1:]}` in this "
        "edition; the tests of the course compare the shapes",
    )


def judge_second_backward(judge: Judge, trials: list[Trial]) -> None:
    """Checks a second backward after the same forward. It may compute the same gradients, or add them to the first
    ones, which zero_grads() clears."""
    for each in trials:
        for key in ("dW", "db"):
            first, second = judge.found(each, key), judge.found(each, f"{key} again")
            if first is None or second is None or not np.any(first) or close(second, first):
                continue
            if close(second, 2 * np.asarray(first, float)):
                judge.note(f"backward adds to `{key}`: this is right only if zero_grads() is called before it")
                continue
            judge.bug(
                "gradient-accumulates",
                f"a second call of backward computes a different `{key}`: "
                f"{departure(key, second, np.asarray(first, float))}; "
                "the gradient of the first call is added, and divided again",
            )
            return


def judge_linear(forward: Judge, backward: Judge, groups: Mapping[str, list[Trial]]) -> None:
    """Judges `Linear` of 2020."""
    if not forward.missing:
        forward.fit(layers.linear_forward(), groups["main"], "y")
        judge_extras(forward, groups, "y")
        judge_passes(forward, layers.linear_forward(), groups["main"], "y")
    if backward.missing:
        return
    for subject, key in (
        (layers.linear_dx(), "dx"),
        (layers.linear_dweight(averaged=True, transposed=True), "dW"),
        (layers.linear_dbias(averaged=True), "db"),
    ):
        backward.fit(subject, groups["main"], key)
        judge_extras(backward, groups, key, inputs=False, names=("dy",))
    judge_second_backward(backward, groups["main"])
    for subject, key in (
        (layers.linear_dx(), "dx"),
        (layers.linear_dweight(averaged=True, transposed=True), "dW"),
        (layers.linear_dbias(averaged=True), "db"),
    ):
        if not any("adds" in note for note in backward.notes):
            judge_passes(backward, subject, groups["main"], key, ("x", "dy"))
    for each in groups["main"]:
        db = backward.found(each, "db")
        if db is not None and db.shape == (int(each.draw.sizes["K"]),):
            report_missing_axis(backward, "db", db)
        for name in ("W", "b"):
            after = backward.found(each, f"{name} after")
            if after is not None and not close(after, getattr(each.draw, name), 1e-12):
                backward.bug("parameter-changed", f"backward changes `{name}`; only step may change it")
