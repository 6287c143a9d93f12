"""University of Amsterdam, deep learning, assignment 1: `modules.py`, `mlp_numpy.py` and the accuracy function of the
training script.

The editions differ in the activation. Since 2021, they also have integer labels and other initial weights. The MLP is
judged with the modules of the checker. If it does not work with them, it is judged with the modules of the hand-in.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from handgrad.checking import diagnosis_layers as layers
from handgrad.checking.contracts.checks import (
    LAYOUTS,
    better_parts,
    judge_extras,
    judge_passes,
    judge_spread,
    overflow,
    softmax_stability,
)
from handgrad.checking.contracts.cmu_mlp import (
    Renamed,
    derivatives_left_out,
    fit_or_stale,
    loops_forwards,
    without_consequences,
)
from handgrad.checking.contracts.contract import Contract
from handgrad.checking.contracts.judging import (
    Judge,
    Trial,
    array,
    call,
    define,
    each_alone,
    get,
    judge_joined,
    put,
    right_value,
    trial,
)
from handgrad.checking.contracts.layer import LARGE, Arrays, Groups, Layer, both_sides, object_trial, shifted
from handgrad.checking.contracts.source import Module, Source, empty
from handgrad.checking.diagnosis import Draw, Subject, close, departure, number
from handgrad.checking.diagnosis_networks import mlp_bias_gradient, mlp_forward, mlp_weight_gradient
from handgrad.checking.probe import Observation, Operation, Value
from handgrad.checking.results import Part

ACTIVATIONS = {
    "ReLUModule": "relu",
    "RELUModule": "relu",
    "LeakyReLUModule": "leaky",
    "ELUModule": "elu",
}
#: The passes through one network.
STEPS = (0, 1, 2)
#: The largest eps in the logarithm and in its derivative that is still accepted as the same loss.
SMALL_EPS = 1e-4


NETS = (
    ((5,), 3, 6),
    ((4, 6), 3, 5),
    ((), 4, 7),
    ((4,), 4, 4),
    ((4, 3, 5), 6, 8),
)
INPUTS = (4, 5, 6, 4, 7)


#: The calls of one pass through a module, and the calls after it.
PASSED = (
    call("layer", "forward", args=[array("x")], to="y"),
    call("layer", "backward", args=[array("dy")], to="dx", attempt=True),
)
AFTER = (call("layer", "backward", args=[array("dy")], to="dx again", attempt=True), get("y", to="y after"))
EARLIER = call("layer", "forward", args=[array("x0")])


def activation(name: str, start: list[Operation], parameter: str | None) -> Layer:
    """ReLU, LeakyReLU or ELU. `parameter` is the name of the argument for the slope or alpha; None if there is none."""
    kind = ACTIVATIONS[name]
    parameters = (0.02, 0.3, 0.7, 0.15) if kind == "leaky" else (1.0, 0.6, 1.7, 1.3)

    def check(judge: Judge, groups: Groups, key: str) -> None:
        what = name if key == "y" else f"the gradient of {name}"
        overflow(judge, groups["large"][0], key, f"for inputs of ±1e3 and ±1e4, {what}")

    return Layer(
        name=name,
        make=lambda p: [*start, call("m", name, args=[p] if parameter is not None else [], to="layer", send=False)],
        passed=PASSED,
        after=AFTER,
        earlier=EARLIER,
        inputs=lambda g, N, D, position=None: {"x": both_sides(g, N, D, position), "dy": g.normal(size=(N, D))},
        handed=("dy",),
        output=layers.activation_forward(kind),
        gradient=layers.activation_backward(kind, upstream=True),
        keys=("dx", "dx again"),
        called="backward",
        parameters=parameters if parameter is not None else (1.0,) * 4,
        extremes=lambda g, first: {"large": [{"x": LARGE, "dy": np.ones(LARGE.shape)}]},
        check=check,
        output_for_input=lambda forward: kind != "elu" and bool(forward.findings),
        float32=True,
    )


def softmax(start: list[Operation]) -> Layer:
    """`SoftMaxModule`."""

    def check(judge: Judge, groups: Groups, key: str) -> None:
        if key == "y":
            softmax_stability(judge, groups, key, sums=True)

    def inputs(g: np.random.Generator, N: int, K: int, position: int | None = None) -> Arrays:
        return {"x": g.normal(size=(N, K)), "dy": g.normal(size=(N, K))}

    return Layer(
        name="SoftMaxModule",
        make=lambda p: [*start, call("m", "SoftMaxModule", to="layer", send=False)],
        passed=PASSED,
        after=AFTER,
        earlier=EARLIER,
        inputs=inputs,
        handed=("dy",),
        output=layers.softmax_forward(),
        gradient=layers.softmax_backward(),
        keys=("dx", "dx again"),
        called="backward",
        extremes=lambda g, first: shifted(g.normal(size=(3, 4)), dy=g.normal(size=(3, 4))),
        check=check,
        axis="K",
        float32=True,
    )


class UvA(Contract):
    """The common base of all editions."""

    name: ClassVar[str] = "uva"
    title: ClassVar[str] = "University of Amsterdam, deep learning, assignment 1"
    #: The possible class names of the activation in this edition.
    activations: ClassVar[tuple[str, ...]] = ()
    integer_labels: ClassVar[bool] = False
    kaiming: ClassVar[bool] = False

    @classmethod
    def recognise(cls, source: Source) -> Contract | None:
        module = _modules(source)
        if module is None:
            return None
        contract = cls(source)
        return contract if cls._is(module) else None

    @classmethod
    def _is(cls, module: Module) -> bool:
        return edition_of(module) == cls.name

    def module_of(self, name: str) -> Module | None:
        if name == "MLP":
            found = self.source.module("mlp_numpy")
            if found is not None and "MLP" in found.classes:
                return found
            candidates = [m for m in self.source.modules if "MLP" in m.classes and not imports_torch(m)]
            return candidates[0] if candidates else None
        module = _modules(self.source)
        return module if module is not None and name in module.classes else None

    def has(self, *names: str) -> bool:
        return all(self.module_of(name) is not None for name in names)

    @property
    def activation(self) -> str | None:
        return next((name for name in self.activations if self.has(name)), None)

    @property
    def paths(self) -> tuple[str, ...]:
        folders = [m.folder for m in map(self.module_of, ("LinearModule", "SoftMaxModule", "MLP")) if m is not None]
        return tuple(dict.fromkeys([*folders, "."]))

    def judge_of(self, part: str, observations, owner: str, method: str, group: str) -> Judge:
        return Judge(part, observations, self.module_of(owner), owner, method, group)

    def _start(self, name: str) -> list[Operation]:
        module = self.module_of(name)
        assert module is not None
        return [{"op": "import", "module": module.name, "as": "m", "send": False}]

    def _takes(self, name: str, argument: str) -> bool:
        module = self.module_of(name)
        if module is not None and name in module.borrowed:
            return argument == "neg_slope" and self.activation == "LeakyReLUModule"
        init = module.methods(name).get("__init__") if module is not None else None
        return init is not None and argument in {each.arg for each in init.args.args}

    def _parameter(self, name: str) -> str | None:
        """The constructor argument for the slope or alpha, if the activation has one."""
        module = self.module_of(name)
        if module is not None and name in module.borrowed:
            return "neg_slope" if name == "LeakyReLUModule" else None
        init = module.methods(name).get("__init__") if module is not None else None
        names = [each.arg for each in init.args.args[1:]] if init is not None else []
        return names[0] if names else None

    # -- the trials ---------------------------------------------------------------------------------------------------

    def make_trials(self) -> dict[str, list[Trial]]:
        found: dict[str, list[Trial]] = {}
        if self.has("LinearModule"):
            found |= self._linear_trials()
        for name, layer in self.layers.items():
            groups = layer.trials(self.generator("softmax" if name == "SoftMaxModule" else name))
            found |= {f"{name} {group}": trials for group, trials in groups.items()}
        if self.has("CrossEntropyModule"):
            found |= self._loss_trials()
        if self.has("MLP") and self.activation is not None and self.has("LinearModule"):
            for mode in ("ours", "own"):
                found[f"MLP {mode}"] = self._mlp_trials(mode, self.activation)
        found |= self._accuracy_trials()
        return found

    @cached_property
    def layers(self) -> dict[str, Layer]:
        """The activation and the softmax of the hand-in, by class name."""
        found = {}
        if name := self.activation:
            found[name] = activation(name, self._start(name), self._parameter(name))
        if self.has("SoftMaxModule"):
            found["SoftMaxModule"] = softmax(self._start("SoftMaxModule"))
        return found

    def _linear_trials(self) -> dict[str, list[Trial]]:
        passed = (
            *PASSED,
            call("ours", "of", args=[{"path": ["layer"]}, "weight"], to="dW", attempt=True),
            call("ours", "of", args=[{"path": ["layer"]}, "bias"], to="db", attempt=True),
        )
        after = (
            call("ours", "plain", args=[{"path": ["layer", "params"]}], to="after"),
            call("layer", "backward", args=[array("dy")], to="dx again", attempt=True),
            call("ours", "of", args=[{"path": ["layer"]}, "weight"], to="dW again", attempt=True),
            call("ours", "of", args=[{"path": ["layer"]}, "bias"], to="db again", attempt=True),
        )

        def build(
            label: str, N: int, D: int, K: int, layout: str = "", before: bool = False, dtype: Any = float
        ) -> Trial:
            g = self.generator("linear", N, D, K)
            arrays = {
                "x": g.normal(size=(N, D)).astype(dtype),
                "dy": g.normal(size=(N, K)).astype(dtype),
                "x0": g.normal(size=(N + 2, D)),
            }
            sent = {"weight": 0.6 * g.normal(size=D * K), "bias": 0.6 * g.normal(size=K)}
            made: list[Operation] = [
                *self._start("LinearModule"),
                define("uva_parameters", give=["weight", "bias"]),
                call("m", "LinearModule", args=[D, K], to="layer", send=False),
                get("layer", "params", to="named"),
                call("ours", "plain", args=[{"path": ["layer", "params"]}], to="start"),
                call("ours", "fill", args=[{"path": ["layer", "params"]}]),
                call("ours", "plain", args=[{"path": ["layer", "params"]}], to="params"),
                *([EARLIER] if before else []),
            ]
            draw = Draw({"N": N, "D": D, "K": K}, **arrays, sent=tuple(sent.values()))

            def again() -> Arrays:
                return {"x": g.normal(size=(N, D)), "dy": g.normal(size=(N, K))}

            others, arrays = again if label.isdigit() else None, arrays | sent
            name = f"LinearModule {label}"
            return object_trial(name, made, passed, after, arrays, draw, layout=layout, again=others)

        start = [
            *self._start("LinearModule"),
            define("uva_parameters", give=["weight", "bias"]),
            {"op": "seed", "value": 4},
            call("m", "LinearModule", args=[400, 300], to="a", send=False),
            call("ours", "plain", args=[{"path": ["a", "params"]}], to="params", send=False),
            get("params", {"key": "weight"}, to="w"),
            get("params", {"key": "bias"}, to="b", optional=True),
            call("m", "LinearModule", args=[400, 300], to="c", send=False),
            call("ours", "plain", args=[{"path": ["c", "params"]}], to="others", send=False),
            get("others", {"key": "weight"}, to="again"),
            call("ours", "fill", args=[{"path": ["c", "params"]}]),
            call("ours", "plain", args=[{"path": ["a", "params"]}], to="params after", send=False),
            get("params after", {"key": "weight"}, to="w after"),
            get("params after", {"key": "bias"}, to="b after", optional=True),
        ]
        if self.kaiming and self._takes("LinearModule", "input_layer"):
            start += [
                call("m", "LinearModule", args=[400, 300, True], to="first", send=False),
                get("first", "params", {"key": "weight"}, to="w first", optional=True),
            ]
        return {
            "linear main": [build("0", 6, 4, 3), build("1", 8, 3, 5), build("2", 5, 4, 4), build("3", 7, 3, 3)],
            "linear one": [build("one", 1, 3, 5)],
            "linear layout": [build(layout, 6, 4, 3, layout) for layout in LAYOUTS],
            "linear stale": [build("stale", 6, 4, 3, before=True)],
            "linear float32": [build("float32", 6, 4, 3, dtype=np.float32)],
            "linear start": [trial("LinearModule start", start, Draw(), {"weight": np.ones(3), "bias": np.ones(3)})],
        }

    def _loss_trials(self) -> dict[str, list[Trial]]:
        g = self.generator("loss")
        given = [array("x"), array("t")]
        start = [
            *self._start("CrossEntropyModule"),
            call("m", "CrossEntropyModule", to="loss", send=False),
            call("m", "CrossEntropyModule", to="fresh", send=False),
        ]
        passed = (
            call("loss", "forward", args=given, to="y", attempt=True),
            call("loss", "backward", args=given, to="dx", attempt=True),
        )
        after = (call("fresh", "backward", args=given, to="dx fresh", attempt=True),)

        def build(label: str, x: np.ndarray, t: np.ndarray, integer: bool, layout: str = "", before=None) -> Trial:
            def sent(t: np.ndarray) -> np.ndarray:
                return t.argmax(axis=1) if integer else t

            def again() -> Arrays:
                return {"x": probabilities(*x.shape), "t": sent(g.permutation(t))}

            N, K = x.shape
            made, run, arrays = start, passed, {"x": x, "t": sent(t)}
            if before is not None:
                made, run = [*start, call("loss", "forward", args=[array("x0"), array("t0")])], passed[1:]
                arrays |= {"x0": before.x, "t0": sent(before.t)}
            others = again if label.removeprefix("other ").isdigit() else None
            name, draw = f"CrossEntropyModule {label}", Draw({"N": N, "K": K}, x=x, t=t)
            return object_trial(name, made, run, after, arrays, draw, layout=layout, again=others)

        def probabilities(N: int, K: int) -> np.ndarray:
            return layers.softmax(g.normal(size=(N, K)))

        def every_class(N: int, K: int) -> np.ndarray:
            """Random one-hot labels that contain the last class."""
            labels = g.integers(0, K, N)
            labels[-1] = K - 1
            return np.eye(K)[labels]

        sizes = ((5, 4), (7, 3), (4, 4), (6, 6))
        inputs = [(probabilities(N, K), every_class(N, K)) for N, K in sizes]
        tiny = np.array([[1e-12, 0.3, 0.7 - 1e-12], [0.2, 1e-10, 0.8 - 1e-10], [0.3, 0.3, 0.4]])
        few = np.eye(4)[[0, 1, 0, 1, 1]]
        groups: dict[str, list[Trial]] = {}
        for kind, integer in (("", self.integer_labels), ("other ", not self.integer_labels)):
            first, second = inputs[0], inputs[1]

            def made(label: str, x, t, kind=kind, integer=integer, **options) -> Trial:
                return build(f"{kind}{label}", x, t, integer, **options)

            main = [made(str(position), x, t) for position, (x, t) in enumerate(inputs)]
            layouts = list(LAYOUTS)[: 1 if integer else None]
            groups |= {
                f"loss {kind}main": main,
                f"loss {kind}one": [made("one", second[0][-1:], second[1][-1:])],
                f"loss {kind}layout": [made(layout, *first, layout=layout) for layout in layouts],
                f"loss {kind}stale": [made("stale", *first, before=main[1].draw)],
                f"loss {kind}tiny": [made("tiny", tiny, np.eye(3)[[0, 1, 2]])],
                f"loss {kind}few": [made("few", first[0], few)],
            }
            if not integer:
                single = (first[0].astype(np.float32), first[1].astype(np.float32))
                groups[f"loss {kind}float32"] = [made("float32", *single)]
        return groups

    def _mlp_trials(self, mode: str, activation: str) -> list[Trial]:
        module = self.module_of("MLP")
        modules = self.module_of("LinearModule")
        assert module is not None
        assert modules is not None
        slope = self._takes("MLP", "neg_slope")
        found = []
        for position, (hidden, classes, N) in enumerate(NETS):
            D = INPUTS[position]
            g = self.generator("MLP", position)
            arrays = {f"x{k}": g.normal(size=(N, D)) for k in STEPS} | {
                f"dy{k}": g.normal(size=(N, classes)) for k in STEPS
            }
            sizes = [D, *hidden, classes]
            given = [f"p{k}" for k in range(2 * len(sizes))]
            arrays |= {name: 0.6 * g.normal(size=max(sizes) ** 2) for name in given}
            operations: list[Operation] = [
                {"op": "import", "module": modules.name, "as": "modules", "send": False},
                {"op": "import", "module": module.name, "as": "m", "send": False},
                define("uva_modules", give=given),
            ]
            names: dict[str, list[str]] = {"LinearModule": ["linear"]}
            if mode == "ours":
                names |= {activation: ["activation", ACTIVATIONS[activation]]}
                if self.has("SoftMaxModule"):
                    names |= {"SoftMaxModule": ["softmax"]}
            else:
                names = {"LinearModule": ["recorded"]}
            for name, (make, *more) in names.items():
                operations += [
                    get("modules", name, to=f"their {name}") | {"send": False},
                    call("ours", make, args=[{"path": [f"their {name}"]}, *more], to=f"our {name}", send=False),
                    put("modules", name, value={"path": [f"our {name}"]}),
                    put("m", name, value={"path": [f"our {name}"]}),
                ]
            p = (0.02, 0.3, 0.1, 0.25, 0.15)[position] if slope else 1.0
            args: list[Any] = [D, {"path": ["hidden"]}, classes, *([p] if slope else [])]
            operations += [
                {"op": "let", "value": list(hidden), "as": "hidden", "send": False},
                call("m", "MLP", args=args, to="mlp", send=False, attempt=True),
            ]
            for name in names:
                operations += [
                    put("modules", name, value={"path": [f"their {name}"]}),
                    put("m", name, value={"path": [f"their {name}"]}),
                ]
            operations += [
                call("ours", "gather", args=[{"path": ["mlp"]}], attempt=True),
                get("hidden", to="hidden after"),
                get("ours", "sizes", to="sizes"),
                call("ours", "fill_all", attempt=True),
            ]
            for i in range(len(hidden) + 1):
                operations.append(get("ours", "created", i, "params", to=f"params {i}", optional=True))
            for step in STEPS:
                operations += [
                    call("mlp", "forward", args=[array(f"x{step}")], to=f"y{step}", attempt=True),
                    call("mlp", "backward", args=[array(f"dy{step}")], to=f"back{step}", attempt=True),
                ]
                for i in range(len(hidden) + 1):
                    operations.append(get("ours", "created", i, "grads", to=f"grads {i} {step}", optional=True))
            for i in range(len(hidden) + 1):
                operations.append(get("ours", "created", i, "params", to=f"params {i} after", optional=True))
            operations += [
                call("mlp", "forward", args=[array("x0")], to="y alone", attempt=True),
                call("m", "MLP", args=args, to="another", send=False, attempt=True),
                call("mlp", "forward", args=[array("x0")], to="y beside", attempt=True),
            ]
            draw = Draw(
                {"N": N, "K": classes},
                sizes_of_layers=[D, *hidden, classes],
                p=p,
                kind=ACTIVATIONS[activation],
                arrays=arrays,
                label=f"{list(hidden)}",
            )
            # The stand-ins contain the answers to other parts, so they run in a separate process.
            found.append(trial(f"MLP {mode} {position}", operations, draw, arrays, apart="networks"))
        return found

    def _accuracy_trials(self) -> dict[str, list[Trial]]:
        module = self.source.module("train_mlp_numpy")
        if module is None or "accuracy" not in module.functions or "accuracy" in module.borrowed:
            return {}
        # only the function is run, because its file imports modules that are not part of the hand-in
        if empty(module.functions["accuracy"]):
            return {}
        text = ast.unparse(module.functions["accuracy"])
        g = self.generator("accuracy")
        found = []
        for position, (N, K, right) in enumerate(((8, 3, 5), (5, 5, 5), (6, 4, 0), (10, 10, 3))):
            predictions = g.normal(size=(N, K))
            labels = predictions.argmax(axis=1)
            labels[right:] = (labels[right:] + 1) % K
            targets = labels if self.integer_labels else np.eye(K)[labels]
            arrays = {"predictions": predictions, "targets": targets}
            operations: list[Operation] = [
                {"op": "define", "source": text, "as": "script", "send": False},
                call("script", "accuracy", args=[array("predictions"), array("targets")], to="a"),
            ]
            found.append(trial(f"accuracy {position}", operations, Draw({"N": N, "K": K}, expected=right / N), arrays))
        return {"accuracy": found}

    # -- the verdicts -------------------------------------------------------------------------------------------------

    def judge(self, observations: Mapping[str, Observation]) -> list[Part]:
        activation = self.activation or self.activations[0]
        return each_alone(
            ("LinearModule", partial(self._judge_linear, observations)),
            *((name, partial(self._judge_layer, name, observations)) for name in (activation, "SoftMaxModule")),
            ("CrossEntropyModule", partial(self._judge_loss, observations)),
            ("MLP", partial(self._judge_mlp, observations)),
            ("accuracy", partial(self._judge_accuracy, observations)),
        )

    def _groups(self, name: str) -> dict[str, list[Trial]]:
        return {key.split(" ", 1)[1]: value for key, value in self.trials().items() if key.startswith(f"{name} ")}

    def _judge_linear(self, observations) -> list[Part]:
        name = "LinearModule"
        start = self.judge_of(f"{name}.__init__", observations, name, "__init__", "LinearModule")
        forward = self.judge_of(f"{name}.forward", observations, name, "forward", "LinearModule")
        backward = self.judge_of(f"{name}.backward", observations, name, "backward", "LinearModule")
        if not self.has(name) or forward.missing:
            return [start.result(), forward.result(), backward.result()]
        groups = self._groups("linear")
        self._judge_start(start, groups["start"][0])
        layout = self._layout(groups["main"], observations)
        shown: dict[str, list[Trial]] = {}
        for key, trials in groups.items():
            shown[key] = []
            for each in trials:
                observation = observations.get(each.name)
                params = observation.values.get("params") if observation is not None else None
                weight = params.items.get("weight") if params is not None else None
                bias = params.items.get("bias") if params is not None else None
                if key == "start" or weight is None or weight.array is None:
                    shown[key].append(each)
                    continue
                if not all(
                    close(value.array, np.resize(sent, value.array.shape), 1e-5)
                    for value, sent in zip((weight, bias), each.draw.sent, strict=True)
                    if value is not None and value.array is not None
                ):
                    continue  # the parameters could not be set, so the right output is unknown
                W = weight.array.T if layout == "in, out" else weight.array
                # if the bias is missing, the expected output still contains the bias that was sent
                b = each.draw.sent[1] if bias is None or bias.array is None else np.ravel(bias.array)
                shown[key].append(Trial(each.probe, each.draw.changed(weight=W, bias=b)))
        usable = [each for each in shown["main"] if hasattr(each.draw, "weight") and each.draw.weight.ndim == 2]
        if not usable:
            self._no_parameters(start, forward, backward, groups["main"], observations)
            return [start.result(), forward.result(), backward.result()]
        shown["main"] = usable
        self._names(start, usable[0], observations)
        if layout == "in, out":
            start.note(
                "`params['weight']` has the shape (in, out) instead of (out, in): harmless, but it differs from the "
                "assignment"
            )
        forward.fit(layers.linear_forward(), usable, "y")
        judge_extras(forward, shown, "y")
        judge_passes(forward, layers.linear_forward(), usable, "y")
        self._judge_live_parameters(forward, usable, observations)
        if not backward.missing:
            transposed = layout == "in, out"
            for subject, key in (
                (layers.linear_dx(), "dx"),
                (layers.linear_dweight("grads['weight']", averaged=False, transposed=transposed), "dW"),
                (layers.linear_dbias("grads['bias']", averaged=False), "db"),
            ):
                stored = [observations[each.name].values.get(key) for each in usable if each.name in observations]
                if key != "dx" and stored and all(v is None or v.kind in ("none", "exception") for v in stored):
                    ran = any("dx" in observations[each.name] for each in usable)
                    if ran and not any(
                        v is not None and v.failure and v.failure.type == "NotImplementedError" for v in stored
                    ):
                        backward.judged = True
                        backward.bug("gradient-not-stored", f"`{subject.name}` is None after backward")
                    continue
                succeeded = [each for each in usable if _succeeded(observations.get(each.name), "dx")]
                backward.fit(subject, usable if key == "dx" else succeeded, key)
                judge_extras(backward, shown, key, inputs=False, names=("dy",))
                judge_passes(backward, subject, usable, key, ("x", "dy"))
            self._judge_updates(backward, usable, observations)
            for each in usable:
                observation = observations[each.name]
                for key in ("dW", "db"):
                    first, second = observation.get(key), observation.get(f"{key} again")
                    if first is not None and second is not None and np.any(first) and not close(second, first):
                        if close(second, 2 * first):
                            backward.bug(
                                "gradient-accumulates",
                                "after a second backward, the gradient is twice that of the first",
                            )
                        else:
                            backward.bug("state-overwritten", f"a second backward computes a different `{key}`")
                after = observation.values.get("after")
                for key, right in (("weight", each.draw.weight), ("bias", each.draw.bias)):
                    value = after.items.get(key) if after is not None else None
                    if value is None or value.array is None:
                        continue
                    now = value.array.T if key == "weight" and transposed else value.array
                    if not close(np.reshape(now, np.shape(right)), right, 1e-12):
                        backward.bug("parameter-changed", f"forward or backward changes `params['{key}']`")
        return [start.result(), forward.result(), backward.result()]

    def _names(self, start: Judge, each: Trial, observations) -> None:
        named = observations[each.name].values.get("named")
        keys = list(named.items) if named is not None else []
        if keys and "weight" not in keys:
            start.judged = True
            start.bug(
                "attribute-renamed",
                f"`params` has the keys {', '.join(keys)}; the interface has weight and bias, which the optimiser, the "
                "network and the tests use",
            )

    def _judge_updates(self, judge: Judge, trials: list[Trial], observations) -> None:
        """Checks that each parameter can be updated with its gradient, as in the training script."""
        for each in trials:
            observation = observations[each.name]
            params = observation.values.get("params")
            for key, gradient in (("weight", "dW"), ("bias", "db")):
                value = params.items.get(key) if params is not None else None
                if value is not None and value.array is not None:
                    name = f"params['{key}']"
                    judge_joined(judge, name, value.array, observation.get(gradient), f"grads['{key}']")

    def _layout(self, trials, observations) -> str:
        for each in trials:
            observation = observations.get(each.name)
            params = observation.values.get("start") if observation is not None else None
            weight = params.items.get("weight") if params is not None else None
            D, K = each.draw.sizes["D"], each.draw.sizes["K"]
            if weight is not None and weight.array is not None and D != K:
                return "in, out" if weight.array.shape == (D, K) else "out, in"
        return "out, in"

    def _no_parameters(self, start, forward, backward, trials, observations) -> None:
        for each in trials:
            observation = observations.get(each.name)
            if observation is None:
                continue
            params = observation.values.get("start")
            kinds = [value.kind for value in params.items.values()] if params is not None else []
            if params is not None and params.kind == "dict" and all(kind == "none" for kind in kinds):
                start.missing = start.missing or "params['weight'] and params['bias'] are missing"
                start.findings = []
                forward.unjudged = backward.unjudged = "there are no parameters"
                return
            if observation.failure is not None:
                if (
                    observation.failure.message.startswith("'NoneType'")
                    or observation.failure.type in ("KeyError", "TypeError")
                    or (observation.failure.type == "AttributeError" and "'params'" in observation.failure.message)
                ):
                    start.missing = start.missing or "params['weight'] and params['bias'] are missing"
                    forward.unjudged = backward.unjudged = "there are no parameters"
                else:
                    start.failed(observation.failure)
                    forward.unjudged = backward.unjudged = "the module cannot be created"
                return

    def _judge_start(self, judge: Judge, each: Trial) -> None:
        observation = judge.observed(each)
        if observation is None or judge.missing:
            return
        w = observation.get("w")
        value = observation.values.get("w")
        if value is not None and value.kind == "none":
            judge.missing = "params['weight'] is None: not filled in"
            return
        if w is None and observation.failure is not None:
            named = observation.failure.type in ("KeyError", "AttributeError") and not observation.failure.file
            if named:
                judge.missing = "params['weight'] is missing"
                return
            judge.failed(observation.failure)
            return
        if w is None:
            judge.missing = "params['weight'] is missing"
            return
        shape = (400, 300) if w.shape == (400, 300) else (300, 400)
        std = np.sqrt(2 / 400) if self.kaiming else 1e-4
        if self.kaiming:
            judge.judged = True
            found = float(w.std())
            fan_out, plain = np.sqrt(2 / 300), np.sqrt(1 / 400)
            certain = self._takes("LinearModule", "input_layer")
            if abs(found - std) > 0.03 * std and not (not certain and abs(found - 1e-4) < 3e-6):
                hint = ""
                if abs(found - fan_out) < 0.03 * fan_out:
                    hint = "; it equals sqrt(2 / out_features)"
                elif abs(found - plain) < 0.03 * plain:
                    hint = "; it equals sqrt(1 / in_features), without the gain for ReLU"
                judge.bug("init-spread", f"the standard deviation is {number(found)}, expected {number(std)}{hint}")
            first = observation.get("w first")
            if first is not None and abs(float(first.std()) - plain) > 0.03 * plain:
                judge.bug(
                    "init-spread",
                    f"with input_layer=True the standard deviation is "
                    f"{number(float(first.std()))}, expected {number(plain)}",
                )
            again = observation.get("again")
            if again is not None and np.array_equal(again, w):
                judge.bug("init-reseeded", "two modules have the same weights")
        else:
            judge_spread(judge, observation, "w", "again", shape, std)
        b = observation.get("b")
        if b is not None and np.any(b != 0):
            judge.bug(
                "init-not-zero", f"the initial `params['bias']` contains {number(float(b.ravel()[0]))}, expected 0"
            )
        for key in ("w", "b"):
            after, before = observation.get(f"{key} after"), observation.get(key)
            if after is not None and before is not None and not np.array_equal(after, before):
                name = "weight" if key == "w" else "bias"
                judge.bug(
                    "shared-between-objects",
                    f"changing `params['{name}']` of one module also changes it in another module",
                )

    def _judge_live_parameters(self, judge: Judge, trials, observations) -> None:
        if not any(bug.id == "unexplained" for bug in judge.findings):
            return
        for each in trials:
            observation = observations[each.name]
            start = observation.values.get("start")
            weight = start.items.get("weight") if start is not None else None
            bias = start.items.get("bias") if start is not None else None
            y = observation.get("y")
            if weight is None or bias is None or weight.array is None or bias.array is None or y is None:
                return
            W = weight.array if weight.array.shape == each.draw.weight.shape else weight.array.T
            if not close(y, each.draw.x @ W.T + np.ravel(bias.array)):
                return
        judge.findings = [bug for bug in judge.findings if bug.id != "unexplained"]
        judge.bug(
            "parameters-not-live", "after the values in `params` were changed, forward still uses the initial values"
        )

    def _judge_layer(self, name: str, observations) -> list[Part]:
        forward = self.judge_of(f"{name}.forward", observations, name, "forward", name)
        backward = self.judge_of(f"{name}.backward", observations, name, "backward", name)
        if self.has(name) and not (forward.missing and backward.missing):
            self.layers[name].judge(forward, backward, self._groups(name))
        return [forward.result(), backward.result()]

    def _judge_loss(self, observations) -> list[Part]:
        name = "CrossEntropyModule"
        forward = self.judge_of(f"{name}.forward", observations, name, "forward", name)
        backward = self.judge_of(f"{name}.backward", observations, name, "backward", name)
        if not self.has(name) or (forward.missing and backward.missing):
            return [forward.result(), backward.result()]
        groups = self._groups("loss")
        other = {key.removeprefix("other "): value for key, value in groups.items() if key.startswith("other ")}
        for judge, keys in ((forward, ("y",)), (backward, ("dx fresh", "dx"))):
            if judge.missing or any(self._takes_labels(groups["main"], observations, key) for key in keys):
                continue
            if any(self._takes_labels(other["main"], observations, key) for key in keys):
                self._check_label_format(judge, groups["main"][0], observations, keys[0])
        if not any(self._takes_labels(groups["main"], observations, key) for key in ("y", "dx fresh")) and any(
            self._takes_labels(other["main"], observations, key) for key in ("y", "dx fresh")
        ):
            groups = other
        main = groups["main"]
        eps = 0.0
        if not forward.missing:
            forward.fit(layers.crossentropy_forward(), main, "y")
            judge_extras(forward, {**groups, "stale": []}, "y", names=("x", "t"), tolerance=2e-5)
            if not forward.findings:
                judge_passes(forward, _one_hot(layers.crossentropy_forward()), main, "y", ("x", "t"))
        if not backward.missing:
            before = list(backward.findings)
            eps = seen = self._own_eps(groups, observations)
            givens: list[dict[str, Any]] = [{}, *([{"eps": eps}] if eps else [])]
            best = backward.fit(layers.crossentropy_backward(), main, "dx fresh", givens=givens)
            if eps and eps <= SMALL_EPS and best is not None and best.right and best.options.get("eps"):
                forward.findings = [bug for bug in forward.findings if bug.id != "eps-value"]
                forward.note(f"the loss and its derivative contain the same eps of {eps:.1g}: harmless")
            eps = best.options.get("eps", 0.0) if best is not None and best.right else 0.0
            fresh = [observations[each.name].values.get("dx fresh") for each in main if each.name in observations]
            after_forward = [observations[each.name].get("dx") for each in main if each.name in observations]
            failing = [
                v.failure
                for v, after in zip(fresh, after_forward, strict=True)
                if v is not None and v.failure is not None and v.failure.kind == "exception" and after is not None
            ]
            if failing:
                # backward works only after forward: report this, and judge its result after forward
                backward.findings = before
                backward.fit(layers.crossentropy_backward(), main, "dx", givens=givens)
                failure = failing[0]
                backward.bug(
                    "needs-forward",
                    f"without a call of forward on the same object: {failure.type}: {failure.message}",
                    line=failure.line,
                    file=failure.file,
                )
                judge_extras(backward, {**groups, "stale": []}, "dx", inputs=False, names=("x", "t"))
            else:
                for each in groups["stale"]:
                    observation = observations.get(each.name)
                    stale, right = (observation.get("dx"), observation.get("dx fresh")) if observation else (None, None)
                    if stale is not None and right is not None and not close(stale, right):
                        backward.bug(
                            "needs-forward",
                            "after forward with other arguments, backward returns a different gradient for the same x "
                            "and y",
                        )
                judge_extras(backward, {**groups, "stale": []}, "dx fresh", inputs=False, names=())
            if seen or not any(bug.id == "unexplained" for bug in forward.findings):
                self._judge_eps(forward, backward, groups["tiny"][0])
            judge_passes(backward, _one_hot(layers.crossentropy_backward(), eps), main, "dx", ("x", "t"))
        few = observations.get(groups["few"][0].name)
        for judge, key, subject in (
            (forward, "y", layers.crossentropy_forward()),
            (backward, "dx fresh", layers.crossentropy_backward()),
        ):
            value = few.values.get(key) if few is not None else None
            succeeded = any(_succeeded(observations.get(each.name), key) for each in main)
            if judge.missing or value is None or not succeeded:
                continue
            expected = right_value(subject, groups["few"][0].draw)
            if any("eps" in note for note in forward.notes):
                expected = right_value(subject, groups["few"][0].draw, {"eps": eps})
            wrong = value.array is not None and not judge.findings and not close(value.array, expected, 1e-4)
            if wrong or (value.failure is not None and value.failure.kind == "exception"):
                judge.bug("one-hot-width", "it is wrong if the last classes do not occur in the batch")
        return [forward.result(), backward.result()]

    def _takes_labels(self, trials: list[Trial], observations, key: str) -> bool:
        """Whether the method accepts labels in this format and does not return NaN."""
        found = [observations[each.name].get(key) for each in trials if each.name in observations]
        return bool(found) and all(value is not None and not np.isnan(value).any() for value in found)

    def _check_label_format(self, judge: Judge, each: Trial, observations, key: str) -> None:
        """Reports that the method requires labels in a different format than this edition."""
        if not self.integer_labels:
            judge.note("it requires integer labels")
            return
        value = observations[each.name].values.get(key) if each.name in observations else None
        failure = value.failure if value is not None else None
        result = f"it raises {failure.type}: {failure.message}" if failure is not None else "it returns no number"
        judge.judged = True
        judge.bug(
            "labels-one-hot",
            f"in this edition, the labels are class indices of shape (N,). With these, {result}; it works with "
            "one-hot rows",
            line=failure.line if failure is not None else None,
        )

    def _own_eps(self, groups, observations) -> float:
        """The eps inside the logarithm of the hand-in; 0 if there is none. It is computed from the loss at tiny
        probabilities, and must reproduce the loss on ordinary draws exactly."""
        tiny = observations.get(groups["tiny"][0].name)
        loss = tiny.get("y") if tiny is not None else None
        if loss is None or loss.size != 1 or not np.isfinite(loss).all():
            return 0.0
        p, target = np.array([1e-12, 1e-10, 0.4]), float(loss.ravel()[0])
        low, high = -20.0, 0.0
        for _ in range(60):  # bisection: the loss decreases with eps
            middle = (low + high) / 2
            low, high = (middle, high) if -np.log(p + 10.0**middle).mean() > target else (low, middle)
        eps = float(f"{10.0**low:.3g}")
        subject, ran = layers.crossentropy_forward(), 0
        for each in groups["main"]:
            found = observations[each.name].get("y") if each.name in observations else None
            if found is None or found.size != 1:
                continue
            ran += 1
            if not close(found.ravel(), np.ravel(right_value(subject, each.draw, {"eps": eps})), 1e-10):
                return 0.0
        return eps if ran and eps > 1e-13 else 0.0

    def _judge_eps(self, forward: Judge, backward: Judge, tiny: Trial) -> None:
        """If the loss contains an eps, checks at probabilities of 1e-12 and 1e-10 that its derivative does, too."""
        observation = backward.observed(tiny)
        loss = observation.get("y") if observation is not None else None
        dx = observation.get("dx fresh") if observation is not None else None
        if loss is None or dx is None or loss.size != 1 or dx.shape != (3, 3) or backward.findings:
            return
        if any(bug.id not in ("eps-value", "unexplained") for bug in forward.findings):
            return
        p = np.array([1e-12, 1e-10, 0.4])
        if not np.isfinite(loss).all() or not np.isfinite(dx).all():
            return
        plain = -np.log(p).mean()
        if any(bug.id == "unexplained" for bug in forward.findings) and plain < float(loss):
            return
        if abs(float(loss) - plain) < 1e-6 * plain:
            return
        found = dx[[0, 1, 2], [0, 1, 2]]
        if np.allclose(found, -1 / p / 3, rtol=1e-6):
            eps = float(np.exp(-1.5 * float(loss)))
            backward.bug(
                "eps-not-in-derivative",
                f"at a probability of 1e-12, the loss is that of a probability of about {eps:.0e}, so it contains an "
                "eps; "
                "the derivative is -1 / x, without an eps",
            )

    def _judge_accuracy(self, observations) -> list[Part]:
        module = self.source.module("train_mlp_numpy")
        judge = Judge("accuracy", observations, module, "", "accuracy", "accuracy")
        if module is None or "accuracy" in module.borrowed:
            return []
        for each in self.trials().get("accuracy", ()):
            observation = observations.get(each.name)
            if observation is None or judge.missing:
                continue
            if observation.failure is not None:
                if observation.failure.type == "NameError":
                    judge.unjudged = str(observation.failure)
                else:
                    judge.failed(observation.failure)
                continue
            found, value = observation.get("a"), observation.values.get("a")
            if value is not None and value.kind == "none":
                judge.missing = "it returns None: not filled in"
                continue
            judge.judged = True
            if found is None or found.size != 1:
                judge.bug("accuracy-wrong", "it is not a single number")
                continue
            value, N = float(found.ravel()[0]), each.draw.sizes["N"]
            if abs(value - each.draw.expected) > 1e-6:
                judge.bug(
                    "accuracy-wrong",
                    f"it is {number(value)} for {number(each.draw.expected * N)} correct predictions out of "
                    f"{number(N)}, "
                    f"expected {number(each.draw.expected)}",
                )
        return [judge.result()]

    # -- the network --------------------------------------------------------------------------------------------------

    def _judge_mlp(self, observations) -> list[Part]:
        methods = {"MLP.__init__": "__init__", "MLP.forward": "forward", "MLP.backward": "backward"}

        def judges() -> dict[str, Judge]:
            return {part: self.judge_of(part, observations, "MLP", method, "MLP") for part, method in methods.items()}

        if "MLP ours" not in self.trials():
            found = judges()
            for judge in found.values():
                if not judge.missing:
                    judge.unjudged = "its modules are missing"
            return [judge.result() for judge in found.values()]
        results = {}
        for mode in ("ours", "own"):
            found = judges()
            self._judge_network(found, self.trials()[f"MLP {mode}"], observations)
            results[mode] = {part: judge.result() for part, judge in found.items()}
            shared = any(bug.id == "shared-between-objects" for bug in found["MLP.__init__"].findings)
            # Networks that share state are all wrong for this reason. With the hand-in's own modules, it could also be
            # caused by a module.
            if shared and mode == "ours":
                return list(results[mode].values())
        return better_parts(results["ours"], results["own"])

    def _network(self, each: Trial, observation: Observation, step: int) -> tuple[Draw | None, list[int]]:
        """The draw of one pass, and the position of each layer in the list of created modules."""
        sizes = each.draw.sizes_of_layers
        wanted = [[sizes[i], sizes[i + 1]] for i in range(len(sizes) - 1)]
        created = _pairs(observation.values.get("sizes"))
        order, free = [], list(range(len(created)))
        for pair in wanted:
            position = next((i for i in free if created[i] == pair), None)
            if position is None:
                return None, []
            free.remove(position)
            order.append(position)
        W, b = [], []
        for layer, position in enumerate(order):
            params = observation.values.get(f"params {position}")
            weight = params.items.get("weight") if params is not None else None
            bias = params.items.get("bias") if params is not None else None
            if weight is None or bias is None or weight.array is None or bias.array is None:
                return None, []
            shape = (wanted[layer][1], wanted[layer][0])
            w = weight.array
            sent = [each.draw.arrays.get(f"p{2 * position + k}") for k in (0, 1)]
            if any(
                one is None or found is None or not close(found, np.resize(one, found.shape), 1e-5)
                for one, found in zip(sent, (w, bias.array), strict=True)
            ):
                return None, []  # the parameters could not be set, so the right output is unknown
            w = w.T if w.shape != shape else w
            if w.shape != shape:
                return None, []
            W.append(w.T)
            b.append(np.ravel(bias.array))
        draw = Draw(
            each.draw.sizes,
            x=each.draw.arrays[f"x{step}"],
            dy=each.draw.arrays[f"dy{step}"],
            t=None,
            W=W,
            b=b,
            kinds=[each.draw.kind] * (len(W) - 1) + ["identity"],
            hidden_kind=each.draw.kind,
            norms=[None] * len(W),
            p=each.draw.p,
            softmax=not self.integer_labels or self._ends_in_softmax,
            lr=0.0,
        )
        return draw, order

    _ends_in_softmax = True

    def _judge_network(self, judges: Mapping[str, Judge], trials, observations) -> None:
        start, forward, backward = judges["MLP.__init__"], judges["MLP.forward"], judges["MLP.backward"]
        usable = [each for each in trials if each.name in observations]
        for each in usable:
            observation = observations[each.name]
            value = observation.values.get("mlp")
            failure = value.failure if value is not None else observation.failure
            if start.missing:
                break
            if failure is not None:
                start.failed(failure, f"(n_hidden={each.draw.label})")
                continue
            start.judged = True
            after = observation.values.get("hidden after")
            sizes = each.draw.sizes_of_layers
            if after is not None and after.length != len(sizes) - 2:
                start.bug(
                    "caller-list-changed",
                    f"the list `n_hidden` has {after.length} items after the call, but had {len(sizes) - 2}",
                )
            wanted = [[sizes[i], sizes[i + 1]] for i in range(len(sizes) - 1)]
            created = _pairs(observation.values.get("sizes"))
            if sorted(created) != sorted(wanted):
                start.bug(
                    "layers-missing",
                    f"with n_hidden={each.draw.label}, its linear modules have the sizes {created}, expected {wanted}",
                )
            elif created != wanted:
                start.note(f"the linear modules are created in the order {created}")
            judge_shared_state(start, each, observation)
        renamed = Renamed(forward, observations)
        passes = []
        for each in usable:
            for step in STEPS:
                draw, _ = self._network(each, observations[each.name], step)
                value = observations[each.name].values.get(f"y{step}")
                if draw is not None and value is not None:
                    passes.append(renamed.add(each, f"forward {step}", draw, {"y": value}))
        if not forward.missing:
            if passes:
                fit_or_stale(forward, mlp_forward(), passes, "y", [{}])
                forward.unchanged(usable, ("x0", "x1", "x2"))
            elif start.findings:
                forward.unjudged = "the network was not created correctly"
        if backward.missing:
            return
        renamed = Renamed(backward, observations)
        by_depth: dict[int, list[Trial]] = {}
        for each in usable:
            observation = observations[each.name]
            back = observation.values.get("back0")
            if back is not None and back.failure is not None:
                backward.failed(back.failure, f"(n_hidden={each.draw.label})")
                loops_forwards(backward)
                continue
            for step in STEPS:
                draw, order = self._network(each, observation, step)
                if draw is None:
                    continue
                for layer, position in enumerate(order):
                    grads = observation.values.get(f"grads {position} {step}")
                    if grads is None:
                        continue
                    values = {"dW": grads.items.get("weight"), "db": grads.items.get("bias")}
                    chosen = draw.changed(layer=layer)
                    one = renamed.add(each, f"layer {layer} {step}", chosen, values)
                    by_depth.setdefault(len(order) - 1 - layer, []).append(one)
        options = dict(forward.options)
        for depth in sorted(by_depth):
            chosen = by_depth[depth]
            givens = [options] + [other for other in (forward.options, {}) if other != options]
            for key in ("dW", "db"):
                subjects = {
                    one.draw.layer: mlp_weight_gradient(one.draw.layer, averaged=False, out_in=True)
                    if key == "dW"
                    else mlp_bias_gradient(one.draw.layer, averaged=False)
                    for one in chosen
                }
                subject = replace(
                    next(iter(subjects.values())),
                    name="grads['weight']" if key == "dW" else "grads['bias']",
                    compute=lambda draw, subjects=subjects, **o: subjects[draw.layer].compute(draw, **o),
                )
                best = fit_or_stale(backward, subject, chosen, key, givens)
                if best is not None and best.explained and key == "dW":
                    options |= {n: v for n, v in best.options.items() if n not in ("axes", "by")}
                    derivatives_left_out(backward, best)
        loops_forwards(backward)
        if len({bug.id for bug in backward.findings}) > 1:
            backward.findings = [bug for bug in backward.findings if bug.id != "unexplained"]
        backward.unchanged(usable, ("dy0", "dy1", "dy2"), "upstream gradient")
        if not by_depth and not backward.findings:
            backward.unjudged = "the network was not created correctly"
        without_consequences(backward, forward, "forward is wrong, so backward cannot be judged")
        without_consequences(forward, start, "the network was not created correctly")
        without_consequences(backward, start, "the network was not created correctly")


def judge_shared_state(judge: Judge, each: Trial, observation: Observation) -> None:
    """Reports if creating another network changes the output of this one."""
    alone, beside = observation.get("y alone"), observation.values.get("y beside")
    if alone is None or beside is None or not np.isfinite(alone).all():
        return
    why = f"{beside.failure.type}: {beside.failure.message}" if beside.failure is not None else ""
    if beside.array is not None and not close(beside.array, alone):
        why = departure("the output", beside.array, alone)
    if why:
        evidence = f"after another network is created, forward of the first returns a different result: {why}"
        judge.bug("shared-between-objects", evidence)


def _one_hot(subject: Subject, eps: float = 0.0) -> Subject:
    """The subject of a loss, for labels that may be integers, and with the eps of the hand-in."""

    def compute(draw: Draw, **options: Any) -> Any:
        t = draw.t if draw.t.ndim == 2 else np.eye(draw.x.shape[1])[draw.t]
        return subject.compute(draw.changed(t=t), **{**({"eps": eps} if eps else {}), **options})

    return replace(subject, compute=compute)


def _succeeded(observation: Observation | None, key: str) -> bool:
    value = observation.values.get(key) if observation is not None else None
    return value is not None and value.kind != "exception"


def _pairs(value: Value | None) -> list[list[int]]:
    if value is None:
        return []
    return [[int(n.array) for n in item.items.values() if n.array is not None] for item in value.items.values()]


def _modules(source: Source) -> Module | None:
    """The file that defines the modules: `modules.py`, or the file that contains most of them."""
    names = ("LinearModule", "SoftMaxModule", "CrossEntropyModule", *ACTIVATIONS)
    module = source.defining(*names)
    return module if module is not None and any(name in module.classes for name in names) else None


def edition_of(module: Module) -> str:
    """The edition, detected by its activation and by `input_layer` and `clear_cache`, which were added in 2021."""
    if "LeakyReLUModule" in module.classes:
        return "uva-nov19"
    init = module.methods("LinearModule").get("__init__") if "LinearModule" in module.classes else None
    layered = init is not None and "input_layer" in {each.arg for each in init.args.args}
    if layered or any("clear_cache" in module.methods(name) for name in module.classes):
        return "uva-2021"
    if "ELUModule" in module.classes:
        return "uva-2020"
    return "uva-apr19"


def imports_torch(module: Module) -> bool:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import) and any(each.name.split(".")[0] == "torch" for each in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            return True
    return False


class UvA2019April(UvA):
    name = "uva-apr19"
    title = "University of Amsterdam, deep learning, assignment 1, April 2019"
    activations = ("ReLUModule", "RELUModule")


class UvA2019November(UvA):
    name = "uva-nov19"
    title = "University of Amsterdam, deep learning, assignment 1, November 2019"
    activations = ("LeakyReLUModule",)


class UvA2020(UvA):
    name = "uva-2020"
    title = "University of Amsterdam, deep learning, assignment 1, 2020"
    activations = ("ELUModule",)


class UvA2021(UvA):
    """2021 to 2025: integer labels, Kaiming initialisation, ReLU or ELU."""

    name = "uva-2021"
    title = "University of Amsterdam, deep learning, assignment 1, 2021 to 2025"
    activations = ("ELUModule", "RELUModule", "ReLUModule")
    integer_labels = True
    kaiming = True
