"""Layers and functions that belong to no course: any class with `forward` and `backward`, and any function with its
gradient.

forward may compute any function, unless the class has the name of a known layer (Sigmoid, Linear, LayerNorm, ...).
backward is compared entry by entry with finite differences of forward, extrapolated from two step sizes. If forward
computes a known layer, the bug in backward is named.
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
from handgrad.checking.contracts.checks import judge_extras, judge_later, overflow, softmax_stability
from handgrad.checking.contracts.contract import Contract
from handgrad.checking.contracts.differences import Sweep, amounts, nudged
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
from handgrad.checking.contracts.source import Module, Source, empty
from handgrad.checking.diagnosis import NOT_AVERAGED, Draw, Subject, close, departure, slip
from handgrad.checking.probe import Observation, Operation, Probe, Value
from handgrad.checking.results import Finding, Part
from handgrad.errors import ConfigError

#: Tolerance of derivatives by finite differences, with a safety margin.
DIFFERENCES = 2e-6
#: Maximum size of a parameter. Larger parameters are not changed and not judged.
MAX_PARAMETER_SIZE = 256
#: Number of passes through the same object. A layer can be right in the first pass and wrong in a later one.
PASSES = 4


#: The function of a class according to its name.
NAMES = (
    (r"soft_?max", "softmax"),
    (r"leaky_?relu", "leaky"),
    (r"(?<![a-z])elu|^elu", "elu"),
    (r"sigmoid|logistic", "sigmoid"),
    (r"tanh", "tanh"),
    (r"(?<![a-z])relu", "relu"),
    (r"batch_?norm", "batchnorm"),
    (r"layer_?norm", "layernorm"),
    (r"linear|dense|affine|fully_?connected|^fc", "linear"),
    (r"identity", "identity"),
)
ELEMENTWISE = ("identity", "sigmoid", "tanh", "relu", "leaky", "elu")
#: Functions without parameters that are recognised by their values, independent of their names.
BY_VALUES = ("sigmoid", "tanh", "relu", "gelu", "silu", "softplus", "softsign")
#: Those of them for which there is no derivation.
NOT_DERIVED = ("silu", "softplus", "softsign")
WEIGHTS = re.compile(r"(^|\.|_)(w|weights?|kernel)$", re.I)
BIASES = re.compile(r"(^|\.|_)(b|bias(es)?)$", re.I)
GAMMAS = re.compile(r"(^|\.|_)(gamma|scale)$", re.I)
BETAS = re.compile(r"(^|\.|_)(beta|shift)$", re.I)


#: Words that indicate a different function: LogSoftmax, HardTanh, SigmoidCrossEntropy, ConvReLU, ReLU6.
OTHER_FUNCTION = re.compile(
    r"hard|log(?!istic)|shrink|cross|entropy|loss|criterion|conv|pool|attention|lstm|gru|rnn|cell|gate|bilinear|square"
    r"|gumbel|mask|scaled|weighted|temperature|sparse|spectral|group|instance|residual|noisy|dropout|6$|block|network"
)


def kind_of(name: str) -> str | None:
    """The function that a layer of this name computes; None if the name indicates none or more than one."""
    text = re.sub("ReLU|RELU", "Relu", re.sub(r"(?<![A-Z])E[Ll][Uu]", "Elu", name))
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower() if not text.isupper() else text.lower()
    if OTHER_FUNCTION.search(text):
        return None
    found = []
    for pattern, kind in NAMES:
        if re.search(pattern, text):
            found.append(kind)
            text = re.sub(pattern, " ", text)
    return found[0] if len(found) == 1 else None


def defaults(function: ast.FunctionDef, *, keywords: bool = True) -> dict[str, ast.expr]:
    """The default values by argument; `keywords` includes arguments that can only be passed by name."""
    arguments = function.args.posonlyargs + function.args.args
    first = len(arguments) - len(function.args.defaults)
    pairs = [*zip(arguments[first:], function.args.defaults, strict=True)]
    if keywords:
        only = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        pairs += [(argument, default) for argument, default in only if default is not None]
    return {argument.arg: default for argument, default in pairs}


def required(function: ast.FunctionDef) -> list[str]:
    """The arguments without a default value, except `self`, `cls` and `ctx`."""
    known = {"self", "cls", "ctx", *defaults(function)}
    return [each.arg for each in function.args.posonlyargs + function.args.args if each.arg not in known]


#: Constructor arguments that are not options of the function which forward computes.
NOT_OPTIONS = re.compile(r"lr|rate|eps|moment|decay|drop|keep|prob|^p$|std|sigma|scale|init|seed|noise|gain")


def options(function: ast.FunctionDef) -> dict[str, float]:
    """The float arguments with a default value, such as a slope, each with a value that differs from the default."""
    found = {}
    for name, default in defaults(function, keywords=False).items():
        value = default.value if isinstance(default, ast.Constant) else None
        if isinstance(value, float) and 1e-3 < value < 100 and not NOT_OPTIONS.search(name.lower()):
            found[name] = 0.4 * value
    return found


def guess(name: str, D: int, K: int) -> Any:
    """A value for a constructor argument of this name; None if the name is not recognised."""
    low = name.lower()
    if re.search(r"kernel", low):
        return 2
    if re.search(r"out|units|hidden|n_?o$|fan_?out|classes", low):
        return K
    if re.search(r"^rng$|generator|^random", low):
        return {"path": ["generator"]}
    if re.search(r"(^|_)in|features|dim|neurons|size|width|n_?i$|^n$|^d$|shape|channels", low):
        return D
    if re.search(r"slope|alpha|leak", low):
        return 0.3
    if re.search(r"kernel|pool|window|^k$", low):
        return 2
    if re.search(r"stride|dilation", low):
        return 1
    if "pad" in low:
        return 0
    if "eps" in low:
        return 1e-5
    if LEARNING_RATE.search(low):
        return 0.1
    return None


#: Names of the learning rate of a layer that updates its own parameters.
LEARNING_RATE = re.compile(r"learning_?rate|^(self\.)?(lr|eta)$|step_size")


@dataclass(frozen=True)
class Shape:
    """The sizes of one trial: samples, inputs, outputs."""

    N: int
    D: int
    K: int


SHAPES = (Shape(5, 4, 3), Shape(6, 3, 5), Shape(4, 4, 4), Shape(3, 3, 3))
SMALL = (Shape(2, 2, 3), Shape(3, 3, 2))


def spread_out(g: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Random numbers between -2 and 2, all distinct and away from 0, so that no finite difference crosses a kink or a
    change of the maximum."""
    count = int(np.prod(size))
    positions = (g.permutation(count) + g.uniform(0.25, 0.75, count)) / max(count, 1)
    x = 4 * positions - 2
    return (np.sign(x) * (0.05 + 0.975 * np.abs(x))).reshape(size)


def default_widths(module: Module, name: str) -> list[int]:
    """The numbers of features that are default values in the constructor of a class, such as `width=4`."""
    init = module.methods(name).get("__init__")
    if init is None:
        return []
    return [
        default.value
        for argument, default in defaults(init).items()
        if isinstance(default, ast.Constant)
        and type(default.value) is int
        and 1 < default.value <= 16
        and re.search(r"width|(^|_)in|features|dim|size|channels|(^|_)d$|^n$", argument.lower())
        and not re.search(r"kernel|batch|stride|pad|out", argument.lower())
    ]


def titled(found: Sequence[tuple[Module, str]]) -> list[tuple[str, Module, str]]:
    """The classes (or functions) with unique titles, which contain the file name if another file has the same name."""
    names = [name for _, name in found]
    return [
        (
            name if names.count(name) == 1 else f"{module.path.removesuffix('.py').replace('/', '.')}.{name}",
            module,
            name,
        )
        for module, name in found
    ]


class GenericLayer(Contract):
    """Any class with `forward` and `backward` in NumPy."""

    name = "layer"
    title = "classes with forward and backward"

    def __init__(self, source: Source, found: Sequence[tuple[Module, str]]) -> None:
        super().__init__(source)
        self.found = list(found)

    @classmethod
    def recognise(cls, source: Source) -> Contract | None:
        found = []
        for module in source.modules:
            for name in module.classes:
                methods = module.methods(name)
                if not {"forward", "backward"} <= set(methods) or _is_torch(module, name):
                    continue
                if empty(methods["forward"]) and empty(methods["backward"]) and _is_base(source, name):
                    continue
                found.append((module, name))
        return cls(source, found) if found else None

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(module.folder for module, _ in self.found), "."]))

    def make_trials(self) -> dict[str, dict[str, list[Trial]]]:
        return {title: self._class_trials(module, name) for title, module, name in titled(self.found)}

    def probes(self) -> list[Probe]:
        return [each.probe for groups in self.trials().values() for group in groups.values() for each in group]

    def _class_trials(self, module: Module, name: str) -> dict[str, list[Trial]]:
        methods = module.methods(name)
        arguments = required(methods["__init__"]) if "__init__" in methods else []
        inputs = required(methods["forward"])
        upstream = required(methods["backward"])
        if not inputs or len(inputs) > 2 or any(guess(each, 4, 3) is None for each in arguments):
            return {}
        two = two_operands(module, name)
        loss = len(inputs) == 2 and not two
        images = bool(re.search(r"conv|pool|2d$", name, re.I))

        def build(
            label: str,
            shape: Shape,
            x: np.ndarray | None = None,
            layout: str = "",
            before=False,
            sweep=False,
            passes=1,
            beside=False,
            named=None,
        ) -> Trial:
            N = shape.N if x is None else len(x)
            g, labels, up = (self.generator(name, shape.D, shape.K, N, what) for what in ("x", "labels", "upstream"))
            if x is None:
                x = spread_out(g, (N, shape.D, 4, 6) if images else (N, shape.D))
                if loss and re.search(r"prob|^p$", inputs[0]):
                    x = layers.softmax(x)
            t = np.eye(x.shape[1])[labels.integers(0, x.shape[1], N)]
            if two:
                t = spread_out(labels, x.shape)
            random = self.generator(name, shape.D, shape.K, "parameters")
            pool = random.uniform(0.4, 1.6, size=(len(_PARAMETERS), MAX_PARAMETER_SIZE))
            pool *= random.choice([-1, 1], size=pool.shape)
            arrays = {"x": x, "t": t, "x0": g.normal(size=(shape.N + 1, *x.shape[1:])), "pool": pool}
            arrays |= {f"dy{k}": up.normal(size=x.size * 8) for k in range(passes)}
            values = [guess(each, shape.D, shape.K) for each in arguments]
            operations: list[Operation] = [
                {"op": "import", "module": module.name, "as": "m", "send": False},
                define("layer_arrays", give=["pool"]),
                call("numpy", "random", "default_rng", args=[1], to="generator", send=False),
                {"op": "seed", "value": 1},
                {**call("m", name, args=values, to="layer", send=False), "kwargs": named or {}},
                call("ours", "found", args=[{"path": ["layer"]}], to="fresh"),
                call("ours", "fill", args=[{"path": ["layer"]}, list(_PARAMETERS)]),
                call("ours", "found", args=[{"path": ["layer"]}], to="parameters"),
            ]
            given = [array("x", layout), *([array("t", layout)] if len(inputs) == 2 else [])]
            # the parameters are set again before each pass, because a layer may update them in backward
            refill = call("ours", "refill", args=[{"path": ["layer"]}, list(_PARAMETERS)])
            stale = [array("x0"), *([array("t0")] if len(inputs) == 2 else [])]
            if before or beside:
                if before:
                    operations.append(call("layer", "forward", args=stale))
                arrays["t0"] = np.eye(x.shape[1])[g.integers(0, x.shape[1], shape.N + 1)]
                if two:
                    arrays["t0"] = g.normal(size=arrays["x0"].shape)
            for k in range(passes):
                suffix = f" {k}" if k else ""
                if len(upstream) == 2:
                    backward_arguments = given
                elif len(upstream) == 1:
                    backward_arguments = [{"path": [f"dy{suffix}"]}]
                else:
                    backward_arguments = []
                another: list[Operation] = []
                if beside:  # forward of another object runs between forward and backward of this one
                    another = [
                        call("m", name, args=values, to="another", send=False),
                        call("another", "forward", args=stale, send=False),
                    ]
                operations += [
                    *([refill] if k else []),
                    {"op": "seed", "value": 0},
                    call("layer", "forward", args=given, to=f"y{suffix}"),
                    *another,
                    {
                        "op": "let",
                        "value": {"shaped": f"dy{k}", "like": [f"y{suffix}"]},
                        "as": f"dy{suffix}",
                        "send": False,
                    },
                    call("layer", "backward", args=backward_arguments, to=f"dx{suffix}", attempt=True),
                    get(f"dy{suffix}", to=f"dy{suffix} after"),
                    call("ours", "found", args=[{"path": ["layer"]}], to=f"after{suffix}", attempt=True),
                ]
            around = around_second = None
            if sweep:
                operations.append(refill)
                around = Sweep.around(x, g)
                arrays["points"] = around.rows
                copies = [{"fresh": "t"}] if len(inputs) == 2 else []
                forward: Operation = {"path": ["layer", "forward"]}
                operations += [
                    {"op": "each", "rows": "points", **forward, "args": [{"row": "array"}, *copies], "as": "values"}
                    | {"try": True},
                ]
                if two:
                    around_second = Sweep.around(t, g)
                    arrays["points of the second"] = around_second.rows
                    args = [{"fresh": "x"}, {"row": "array"}]
                    operations += [
                        {"op": "each", "rows": "points of the second", **forward, "args": args}
                        | {"as": "values of the second", "try": True},
                    ]
                for where in _PARAMETERS:
                    operations.append(
                        {"op": "nudge", "target": ["parameters", {"key": where}], "amounts": amounts(), **forward}
                        | {"args": [{"fresh": "x"}, *copies], "as": f"values {where}", "try": True}
                    )
            sizes = {"N": float(len(x)), "D": float(x.shape[1])}
            ups = [arrays[f"dy{k}"] for k in range(passes)]
            draw = Draw(
                sizes,
                x=x,
                t=t,
                p=0.3,
                loss=loss,
                upstream=len(upstream) == 1,
                shape=shape,
                around=around,
                around_second=around_second,
                second=f"d{inputs[1]}" if two else "",
                ups=ups,
                pool=pool,
                given=arguments,
            )
            return trial(f"{module.name}.{name} {label}", operations, draw, arrays)

        widths = default_widths(module, name)
        shapes = SMALL if images else SHAPES
        if widths:
            shapes = tuple(replace(shape, D=widths[0]) for shape in shapes)
            shapes = tuple(dict.fromkeys(replace(s, N=s.N + i) for i, s in enumerate(shapes)))
        main = [build(str(position), shape, sweep=True, passes=PASSES) for position, shape in enumerate(shapes)]
        groups: dict[str, list[Trial]] = {"main": main, "float32": []}
        # The order matters: if every trial reaches its time limit, the most important ones still run.
        for position, (shape, each) in enumerate(zip(shapes, main, strict=True)):
            x = each.draw.x
            groups[f"one {position}"] = [build(f"{position} one", replace(shape, N=1), x[:1])]
            groups[f"layout {position}"] = [
                build(f"{position} {layout}", shape, x, layout) for layout in ("read-only", "strided", "fortran")
            ]
            groups[f"stale {position}"] = [build(f"{position} stale", shape, x, before=True)]
            groups[f"beside {position}"] = [build(f"{position} beside", shape, x, beside=True)]
        for option, value in (options(methods["__init__"]) if "__init__" in methods else {}).items():
            label = f"with {option}={value:g}"
            groups[label] = [build(label, shapes[0], sweep=True, named={option: value})]
        small = self.generator(name, "small").normal(size=(3, 4))
        if kind_of(name) in (*ELEMENTWISE, "softmax"):
            groups["large"] = [
                build("large", Shape(2, 4, 4), np.array([[1e3, -1e3, 2.0, 0.1], [-1e4, 1e4, -0.5, 1.0]]))
            ]
        if kind_of(name) == "softmax":
            groups |= {
                "raised": [build("raised", Shape(3, 4, 4), small + 1e3)],
                "lowered": [build("lowered", Shape(3, 4, 4), small - 1e3)],
                "rows": [build("rows", Shape(3, 4, 4), small + np.array([[0.0], [1e4], [-1e4]]))],
            }
        return groups

    # -- the verdicts -------------------------------------------------------------------------------------------------

    def judge(self, observations: Mapping[str, Observation]) -> list[Part]:
        named = titled(self.found)
        return each_alone(
            *((one[0], partial(self._judge_class, *one, self.trials()[one[0]], observations)) for one in named)
        )

    def _judge_class(self, title: str, module: Module, name: str, groups, observations) -> list[Part]:
        forward = Judge(f"{title}.forward", observations, module, name, "forward", name)
        backward = Judge(f"{title}.backward", observations, module, name, "backward", name)
        first = next(one for one, _ in self.found if one.name == module.name)
        if first.path != module.path:
            forward.unjudged = backward.unjudged = (
                f"{first.path} has the same module name, so an import loads that file"
            )
            return [forward.result(), backward.result()]
        if not groups:
            reason = "the checker cannot generate values for its arguments; describe them in a course file (--contract)"
            forward.unjudged = backward.unjudged = reason
            return [forward.result(), backward.result()]
        main = groups["main"]
        kind = kind_of(name)
        second = main[0].draw.second
        if second:
            observations = {key: _separated(one) for key, one in observations.items()}
            forward.observations = backward.observations = observations
        ran = [each for each in main if each.name in observations and "y" in observations[each.name].values]
        if not ran:
            failures = [observations[each.name].failure for each in main if each.name in observations]
            failure = next((each for each in failures if each is not None), None)
            if failure is None:
                forward.unjudged = f"it fails on the inputs that the checker generates: {failure}"
            else:
                (forward.failed_on_guess if kind is None else forward.failed)(failure)
            backward.unjudged = "forward fails"
            return [forward.result(), backward.result()]
        if kind is not None and any(self._own(each, observations[each.name]) is None for each in ran):
            forward.unjudged = backward.unjudged = "its parameters cannot be set, so the right result is unknown"
            return [forward.result(), backward.result()]
        prepared = [one for each in ran if (one := self._prepare(each, observations[each.name], kind)) is not None]
        known = bool(prepared) and kind is not None and not forward.missing
        if known and kind is not None:
            forward.fit(_forward_subject(kind), prepared, "y")
            if not forward.findings:
                self._at_all_points(forward, kind, prepared, observations)
        position = main.index(ran[0])  # the class may not accept the sizes of the other trials
        extras = {label: groups.get(f"{label} {position}", []) for label in ("one", "layout", "stale", "beside")}
        if second and len(ran) < len(main):  # it may need two inputs of different shapes, but these have the same shape
            extras = {}
        extras = {"main": [ran[0], ran[0]], "float32": [], **extras}
        judge_extras(forward, extras, "y", names=("x", "t"))
        if "large" in groups and kind in ELEMENTWISE:
            overflow(forward, groups["large"][0], "y", f"for inputs of ±1e3 and ±1e4, {name}")
        if "raised" in groups:
            softmax_stability(forward, groups, "y", sums=True)
        if any(bug.id == "wrong-at-a-later-pass" for bug in forward.findings):
            backward.unjudged = "forward computes different functions in different passes"
        elif not backward.missing:
            self._judge_backward(backward, forward, kind, ran, prepared, extras, groups, observations)
        if not known and not forward.findings and not forward.missing:
            forward.judged = False
            forward.open = NO_REFERENCE
        return [forward.result(), backward.result()]

    def _at_all_points(self, judge: Judge, kind: str, prepared: Sequence[Trial], observations) -> None:
        """Checks a known forward pass in later passes and at the points used for numerical derivatives."""
        subject = _forward_subject(kind)
        chosen = prepared if kind not in ("batchnorm", "layernorm") else _with_eps(prepared, kind)
        for each in chosen:
            around, values = each.draw.around, observations[each.name].get("values")
            later = [observations[each.name].get(f"y {k}") for k in range(1, PASSES)]
            pairs = [(each.draw.x, y) for y in later if y is not None]
            if around is not None and values is not None and values.shape == (len(around.rows), *each.draw.y.shape):
                pairs += zip(around.rows, values, strict=True)
            for count, (x, y) in enumerate(pairs, 2):
                expected = right_value(subject, each.draw.changed(x=x))
                if not close(y, expected, max(subject.tolerance, 1e-6)):
                    judge.bug("wrong-at-a-later-pass", f"in pass {count}: {departure('the output', y, expected)}")
                    return

    def _prepare(self, each: Trial, observation: Observation, kind: str | None) -> Trial | None:
        """Adds the parameters of the layer to the draw, under the names that the models use."""
        own = self._own(each, observation)
        y = observation.get("y")
        if y is None or own is None:
            return None
        draw = each.draw.changed(y=np.asarray(y, float), dy=_upstream(each, y), eps=1e-5)
        if kind in ("leaky", "elu") and not each.draw.given:
            draw.p = _own_slope(kind, each.draw.x, draw.y)
        draw.running_mean = draw.running_mean_before = np.zeros(each.draw.x.shape[1])
        draw.running_var = draw.running_var_before = np.ones(each.draw.x.shape[1])
        if kind == "linear":
            weight, bias = _named(own, WEIGHTS), _named(own, BIASES)
            D, K = each.draw.x.shape[1], y.shape[-1]
            if weight is None or weight.ndim != 2 or set(weight.shape) != {D, K}:
                return None
            if D == K:
                right = close(y, each.draw.x @ weight.T + (0 if bias is None else np.ravel(bias)))
                weight = weight if right else weight.T
            elif weight.shape == (D, K):
                weight = weight.T
            updated = _named(self._changed(each, observation), WEIGHTS)
            if updated is not None:
                draw.weight_updated = updated if weight is _named(own, WEIGHTS) else updated.T
            draw.weight, draw.bias = weight, np.zeros(K) if bias is None else bias
        if kind in ("batchnorm", "layernorm"):
            gamma, beta = _named(own, GAMMAS), _named(own, BETAS)
            if gamma is None:
                gamma, beta = _named(own, WEIGHTS), _named(own, BIASES)
            D = each.draw.x.shape[1]
            draw.gamma = np.ones(D) if gamma is None or gamma.size != D else gamma
            draw.beta = np.zeros(D) if beta is None or beta.size != D else beta
        return Trial(each.probe, draw)

    def _own(self, each: Trial, observation: Observation) -> dict[str, np.ndarray] | None:
        """The values to which the parameters were set, by name; None if one of them could not be set."""
        parameters = observation.values.get("parameters")
        own = {}
        for name, value in (parameters.items if parameters is not None else {}).items():
            if name not in _PARAMETERS or value.array is None:
                continue
            size, shape = value.array.size, value.array.shape
            sent = [row[:size].reshape(shape) for row in each.draw.pool if size <= MAX_PARAMETER_SIZE]
            # any row is accepted, because the same array can be filled again under another name
            if not any(close(value.array, row, 1e-5) for row in sent):
                return None
            own[name] = value.array
        return own

    def _judge_backward(self, judge: Judge, forward: Judge, kind, ran, prepared, extras, groups, observations) -> None:
        numeric: list[Trial] = []
        later: list[Trial] = []
        renamed = {}
        for each in ran:
            observation = observations[each.name]
            y = observation.get("y")
            if y is None:
                continue
            J = each.draw.around.jacobian(observation.get("values"), y)
            if J is None:
                continue
            for k in range(PASSES):
                suffix = f" {k}" if k else ""
                if k and close(observation.get(f"y{suffix}"), y, 1e-9) is False:
                    judge.unjudged = f"forward returns a different result for the same input in pass {k + 1}"
                    return
                dy = _upstream(each, y, k) if each.draw.upstream else np.ones_like(np.asarray(y, float))
                draw = each.draw.changed(J=J, y=np.asarray(y, float), dy=dy)
                if not k:
                    numeric.append(Trial(each.probe, draw))
                    continue
                value = observation.values.get(f"dx{suffix}")
                label = f"{each.name} / pass {k + 1}"
                renamed[label] = Observation(label, {"dx": value} if value is not None else {})
                later.append(Trial(replace(each.probe, name=label), draw))
        if not numeric and judge.ended(ran):
            return
        if not numeric:
            judge.unjudged = (
                "forward has no numerical derivative: it fails, or returns different results for the same input"
            )
            return
        judge_against_differences(judge, numeric, "dx", observations, kind, prepared, forward)
        extras = (
            {**extras, "main": [numeric[0], numeric[0]]}
            if numeric[0].name == ran[0].name
            else {"main": numeric[:1] * 2}
        )
        judge_extras(judge, extras, "dx", inputs=False, names=())
        self._upstream_unchanged(judge, ran, observations)
        self._parameters_unchanged(judge, ran, observations)
        judge.observations = {**judge.observations, **renamed}
        if not judge.findings:
            judge_later(judge, numeric_backward(loss=numeric[0].draw.loss), later, "dx")
        if not judge.findings:
            self._options(judge, groups, observations)
        if ran[0].draw.second:
            self._second(judge, ran, observations)
        self._parameters(judge, ran, observations)

    def _options(self, judge: Judge, groups, observations) -> None:
        """Checks backward with constructor arguments that differ from their default values."""
        for label, trials in groups.items():
            observation = observations.get(trials[0].name) if label.startswith("with ") else None
            if observation is None or (y := observation.get("y")) is None:
                continue
            J, found = trials[0].draw.around.jacobian(observation.get("values"), y), observation.get("dx")
            if J is None or found is None or found.size != J.shape[0]:
                continue
            dy = _upstream(trials[0], y) if trials[0].draw.upstream else np.ones_like(np.asarray(y, float))
            expected = (J @ dy.ravel()).reshape(found.shape)
            if not close(found, expected, DIFFERENCES):
                judge.bug("argument-ignored", f"{label}: {departure('dx', found, expected)}")
                return

    def _second(self, judge: Judge, ran, observations) -> None:
        """Judges the gradient of the second input of forward, if backward returns both gradients."""
        trials: list[Trial] = []
        later: list[Trial] = []
        named = {}
        for each in ran:
            observation = observations[each.name]
            y = observation.get("y")
            if y is None or SECOND.format("dx") not in observation.values:
                continue
            J = each.draw.around_second.jacobian(observation.get("values of the second"), y)
            if J is None:
                judge.note(f"`{each.draw.second}` is not judged: forward has no numerical derivative for it")
                return
            for k in range(PASSES):
                value = observation.values.get(SECOND.format(f"dx {k}" if k else "dx"))
                label = f"{each.name} / second, pass {k + 1}"
                named[label] = Observation(label, {"dx": value} if value is not None else {})
                draw = each.draw.changed(J=J, x=each.draw.t, y=np.asarray(y, float), dy=_upstream(each, y, k))
                (later if k else trials).append(Trial(replace(each.probe, name=label), draw))
        if not trials:
            return
        judge.observations = {**judge.observations, **named}
        subject = replace(numeric_backward(), name=trials[0].draw.second)
        before = list(judge.findings)
        fit_numeric(judge, subject, trials, "dx")
        if judge.findings == before:
            judge_later(judge, subject, later, "dx")

    def _upstream_unchanged(self, judge: Judge, ran, observations) -> None:
        for each in ran:
            y, after = observations[each.name].get("y"), observations[each.name].get("dy after")
            if each.draw.upstream and y is not None and after is not None and np.size(after) == np.size(y):
                sent = _upstream(each, y)
                if not np.array_equal(np.reshape(after, np.shape(sent)), sent):
                    judge.judged = True
                    judge.bug("input-changed", "backward modifies the upstream gradient")
                    return

    def _parameters_unchanged(self, judge: Judge, ran, observations) -> None:
        """Checks that backward changes no parameter. A layer with a learning rate may update its own parameters."""
        for each in ran:
            changed = self._changed(each, observations[each.name])
            if not changed:
                continue
            names = " and ".join(f"`{name}`" for name in changed)
            if judge.module is not None and _has_learning_rate(judge.module, judge.owner):
                judge.note(f"backward updates {names} itself, with the layer's own learning rate")
            else:
                judge.judged = True
                judge.bug("parameter-changed", f"backward changes {names}")
            return

    def _changed(self, each: Trial, observation: Observation) -> dict[str, np.ndarray]:
        """The parameters that the first pass changed, with their values after it."""
        after = observation.values.get("after")
        found = {}
        for name, value in (self._own(each, observation) or {}).items():
            now = after.items.get(name) if after is not None else None
            same = now is None or now.array is None or now.array.shape != value.shape
            if now is not None and now.array is not None and not same and not close(now.array, value, 1e-12):
                found[name] = now.array
        return found

    def _parameters(self, judge: Judge, ran, observations) -> None:
        """Judges the gradients of parameters that can be found by name, in the first and in later passes."""
        first = observations[ran[0].name]
        after = first.values.get("after")
        own = self._own(ran[0], first)
        if after is None:
            return
        if own is None:
            judge.note("its parameters cannot be set, so their gradients are not judged")
            return
        before = list(judge.findings)
        per_parameter: dict[str, list[Finding]] = {}
        for where in own:
            gradient = _gradient_of(where, after)
            trials: list[Trial] = []
            passes: list[list[Trial]] = []
            for each in ran:
                observation = observations[each.name]
                parameters, y = self._own(each, observation), observation.get("y")
                if parameters is None or y is None or where not in parameters:
                    continue
                rows = nudged(observation.get(f"values {where}"), parameters[where].size, y)
                if rows is None:
                    continue
                passes.append([])
                for k in range(PASSES):
                    found = observation.values.get(f"after {k}" if k else "after")
                    values = found.items.get(gradient or "") if found is not None else None
                    dy = _upstream(each, y, k) if each.draw.upstream else np.ones_like(np.asarray(y, float))
                    name = f"{each.name} / {where} {k}"
                    judge.observations = {
                        **judge.observations,
                        name: Observation(name, {"g": values} if values is not None else {}),
                    }
                    expected = (rows @ dy.ravel()).reshape(parameters[where].shape)
                    one = Trial(replace(each.probe, name=name), each.draw.changed(expected=expected, dy=dy))
                    passes[-1].append(one)
                trials.append(passes[-1][0])
            if not trials or not any(np.abs(one.draw.expected).max() > 1e-9 for one in trials):
                continue
            if gradient is None:
                judge.note(f"no gradient of `{where}` was found, so it is not judged")
                continue
            subject = parameter_subject(gradient, bias=bool(BIASES.search(where)))
            judge.findings = []  # findings about other arrays must not hide bugs in this one
            judge.fit(subject, trials, "g")
            stored = after.items[gradient].array if gradient in after.items else None
            judge_joined(judge, where, own[where], stored, gradient)
            if not judge.findings:
                for each_pass in passes:
                    judge_later_gradients(judge, gradient, each_pass)
            per_parameter[gradient] = judge.findings
            judge.findings = list(before)
        averaged = {"batch-mean-unwanted", "bias-gradient-averaged", "norm-parameter-averaged"}
        if per_parameter and all(bugs and {bug.id for bug in bugs} <= averaged for bugs in per_parameter.values()):
            names = " and ".join(f"`{name}`" for name in per_parameter)
            judge.note(f"{names}: all averaged over the batch")
            return
        for bugs in per_parameter.values():
            judge.findings += [bug for bug in bugs if bug.id not in {each.id for each in judge.findings}]


#: The key of the second of two gradients that backward returns together.
SECOND = "{} of the second"


def two_operands(module: Module, name: str) -> bool:
    """Whether forward takes two inputs and backward returns the gradients of both, as in a product or a sum. The second
    input of a loss is a target, which has no gradient."""
    methods = module.methods(name)
    inputs, upstream = required(methods["forward"]), required(methods["backward"])
    if len(inputs) != 2 or len(upstream) != 1 or re.search(r"loss|criterion|entropy", name, re.I):
        return False
    nodes = list(ast.walk(methods["backward"]))
    named = {
        target.id: node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    returned = [node.value for node in nodes if isinstance(node, ast.Return)]
    returned = [named.get(value.id) if isinstance(value, ast.Name) else value for value in returned]
    groups = [
        value.values if isinstance(value, ast.Dict) else value.elts if isinstance(value, ast.Tuple | ast.List) else []
        for value in returned
    ]
    return any(len(group) == 2 and not any(isinstance(one, ast.Constant) for one in group) for group in groups)


def _separated(observation: Observation) -> Observation:
    """Stores two gradients that backward returned together under separate keys."""
    values = dict(observation.values)
    for key in [key for key in values if re.fullmatch(r"dx( \d+)?", key)]:
        value = values[key]
        if value.kind in ("tuple", "list", "dict") and value.length == 2 and len(value.items) == 2:
            values[key], values[SECOND.format(key)] = value.items.values()
    return replace(observation, values=values)


def _own_slope(kind: str, x: np.ndarray, y: np.ndarray) -> float:
    """The slope (or alpha) that a layer uses for negative inputs, from one entry. The others are compared with it."""
    if y.shape != x.shape or not (x < 0).any():
        return 0.3
    value, found = x[x < 0][0], y[x < 0][0]
    slope = float(found / value if kind == "leaky" else found / np.expm1(value))
    return slope if np.isfinite(slope) and 0 < slope <= (1 if kind == "leaky" else 10) else 0.3


def _upstream(each: Trial, y: np.ndarray, k: int = 0) -> np.ndarray:
    """The upstream gradient of pass k, in the shape of the output of forward."""
    return np.resize(each.draw.ups[k], np.shape(y))


def judge_later_gradients(judge: Judge, name: str, passes: Sequence[Trial]) -> None:
    """Judges a parameter's gradient in later passes through the same object. It may be the gradient of each pass, or
    the sum over all passes so far."""
    total = passes[0].draw.expected
    for k, one in enumerate(passes[1:], 2):
        total = total + one.draw.expected
        found = judge.found(one, "g")
        if found is None:
            continue
        tolerance = DIFFERENCES * 5
        if not any(found.shape == w.shape and close(found, w, tolerance) for w in (one.draw.expected, total)):
            evidence = (
                departure(name, found, one.draw.expected) if found.shape == total.shape else f"shape {found.shape}"
            )
            judge.bug("wrong-at-a-later-pass", f"in pass {k} through the same object: {evidence}")
            return


_PARAMETERS = [
    *("W", "w", "weight", "weights", "b", "bias", "biases", "gamma", "beta", "scale", "shift", "kernel"),
    *(
        f"{holder}.{key}"
        for holder in ("params", "parameters", "p")
        for key in ("W", "w", "weight", "b", "bias", "gamma", "beta")
    ),
]


def parameter_subject(name: str, *, bias: bool) -> Subject:
    """The gradient of a parameter, compared with a numerical derivative. The draw: expected, dy, x."""

    def compute(draw: Draw, over: str = "right") -> np.ndarray:
        if over == "none":
            return draw.dy
        if over == "transposed":
            return draw.expected.T
        if over == "features":
            return draw.dy.sum(axis=1)
        if over == "one number":
            return draw.dy.sum()
        return draw.expected

    slips = [slip("gradient-transposed", "the transposed gradient", over="transposed")]
    if bias:
        slips = [
            slip("bias-gradient-unsummed", "dy: the sum over the batch is missing", over="none"),
            slip("reduced-over-wrong-axis", "the sum of dy over the features", over="features"),
            slip("summed-over-everything", "one number, the sum of all entries of dy", over="one number"),
        ]
    factors = {**NOT_AVERAGED, "0": "bias-gradient-zero" if bias else "all-zero"}
    if bias:
        factors["1/N"] = "bias-gradient-averaged"
    return Subject(name, compute, tuple(slips), factors=factors, tolerance=DIFFERENCES)


def judge_against_differences(
    judge: Judge, numeric: Sequence[Trial], key: str, observations, kind, prepared, forward
) -> bool:
    """Compares backward with Jᵀ dy, where J is a numerical derivative. If it is wrong and forward is a known layer, its
    formula is used to name the bug. Returns whether backward is right."""
    judge.known = kind is not None
    subject = numeric_backward(loss=numeric[0].draw.loss)
    before = list(judge.findings)
    trial_judge = without_findings(judge)
    trial_judge.fit(subject, numeric, key, depth=0)
    if not trial_judge.findings:
        judge.notes, judge.judged = trial_judge.notes, judge.judged or trial_judge.judged
        judge.missing, judge.unjudged = trial_judge.missing, trial_judge.unjudged
        return True
    known = kind or identified(numeric)
    judge.known = known is not None and known not in NOT_DERIVED
    if known is not None and not (forward.findings if forward is not None else []) and prepared:
        own = (
            [one for one in prepared if close(right_value(_forward_subject(known), one.draw), one.draw.y, 1e-6)]
            if known not in ("batchnorm", "layernorm")
            else _with_eps(prepared, known)
        )
        chosen = _backward_subject(known, upstream=numeric[0].draw.upstream)
        if len(own) == len(numeric) and chosen is not None:
            judge.fit(chosen, own, key)
            new = {bug.id for bug in judge.findings} - {bug.id for bug in before}
            if new and "unexplained" not in new:
                return False
            judge.findings = before
    fit_numeric(judge, subject, numeric, key)
    return False


def without_findings(judge: Judge) -> Judge:
    """A judge of the same part without findings."""
    return replace(judge, findings=[], notes=list(judge.notes))


def identified(numeric: Sequence[Trial]) -> str | None:
    """The known elementwise function, or softmax, that forward computes; None if it computes none of them."""
    for kind in (*BY_VALUES, "softmax"):
        subject = _forward_subject(kind)
        if all(
            one.draw.y.shape == one.draw.x.shape and close(one.draw.y, right_value(subject, one.draw))
            for one in numeric
        ):
            return kind
    return None


def _with_eps(prepared: Sequence[Trial], kind: str) -> list[Trial]:
    """The trials with the eps that the layer uses; empty if it is unknown."""
    subject = _forward_subject(kind)
    for eps in (1e-5, 1e-8, 1e-3, 1e-6, 1e-7, 1e-10, 1e-12, 0.0):
        trials = [Trial(one.probe, one.draw.changed(eps=eps, xhat=None, inverse=None)) for one in prepared]
        if all(close(right_value(subject, one.draw), one.draw.y, 1e-7) for one in trials):
            return trials
    return []


def _forward_subject(kind: str) -> Subject:
    if kind in ELEMENTWISE + BY_VALUES:
        return layers.activation_forward(kind)
    if kind == "softmax":
        return layers.softmax_forward()
    if kind == "linear":
        return layers.linear_forward()
    subject = layers.norm_forward(0 if kind == "batchnorm" else 1)
    # any eps is accepted
    return replace(subject, tolerance=1e-4, slips=tuple(s for s in subject.slips if not s.bug.startswith("eps-value")))


def _backward_subject(kind: str, *, upstream: bool) -> Subject | None:
    if kind in ELEMENTWISE + BY_VALUES:
        return layers.activation_backward(kind, upstream=upstream)
    if kind == "softmax" and upstream:
        return layers.softmax_backward()
    if kind == "linear" and upstream:
        return layers.linear_dx()
    if kind in ("batchnorm", "layernorm") and upstream:
        return layers.norm_dx(0 if kind == "batchnorm" else 1)
    return None


def numeric_backward(*, loss: bool = False) -> Subject:
    """dx = Jᵀ dy with a numerical derivative J. The draw: J (inputs, outputs), x, y, dy. A loss may be an average."""

    def compute(draw: Draw, jacobian: str = "right", dy: str = "used") -> Any:
        J = draw.J
        up = draw.dy.ravel() if dy == "used" else np.ones(J.shape[1])
        if jacobian == "diagonal":
            return (np.diagonal(J) * up).reshape(draw.x.shape) if J.shape[0] == J.shape[1] else draw.x * np.nan
        if jacobian == "transposed":
            return (J.T @ up).reshape(draw.x.shape) if J.shape[0] == J.shape[1] else draw.x * np.nan
        if jacobian == "none":
            return draw.dy
        if jacobian == "function":
            return draw.y * (draw.dy if dy == "used" else 1)
        if jacobian == "split":
            scaled, rest = split_jacobian(J, draw.x, draw.y)
            return {
                SAME_INDEX: (scaled @ up).reshape(draw.x.shape),
                OTHER_INDICES: (rest @ up).reshape(draw.x.shape),
            }
        if jacobian == "twice":
            return (J @ up).reshape(draw.x.shape) ** 2 / np.where(draw.dy == 0, 1, draw.dy)
        return (J @ up).reshape(draw.x.shape)

    slips = (
        slip("upstream-missing", "the derivative without dy", dy="missing"),
        slip("gradient-diagonal-only", "only the effect of x[i] on y[i], for each i", jacobian="diagonal"),
        slip("jacobian-transposed", "J dy instead of Jᵀ dy", jacobian="transposed"),
        slip("derivative-missing", "dy, unchanged", jacobian="none"),
        slip("function-for-derivative", "y dy: the function instead of its derivative", jacobian="function"),
        slip("derivative-twice", "the derivative applied twice", jacobian="twice"),
    )
    return Subject("dx", compute, slips, factors={} if loss else NOT_AVERAGED, tolerance=DIFFERENCES)


#: The two terms of a split Jacobian, c I and R.
SAME_INDEX, OTHER_INDICES = "direct effect of x on y", "effect through the other entries"


def split_jacobian(J: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Splits J = c I + R in each sample, where c is the median eigenvalue. R is the part that a projection or the
    subtraction of a mean adds."""
    if x.ndim != 2 or x.shape != y.shape or J.shape[0] != J.shape[1] or x.shape[1] < 3:
        raise ValueError("not a function of each sample separately")
    scaled, D = np.zeros_like(J), x.shape[1]
    for n in range(len(x)):
        rows = slice(n * D, (n + 1) * D)
        block = J[rows, rows]
        if np.abs(J[rows]).sum() - np.abs(block).sum() > 1e-6 * np.abs(block).sum() or not np.allclose(
            block, block.T, atol=1e-7
        ):
            raise ValueError("not a function of each sample separately")
        scaled[rows, rows] = np.eye(D) * np.median(np.linalg.eigvalsh(block))
    return scaled, J - scaled


def fit_numeric(judge: Judge, subject: Subject, trials: Sequence[Trial], key: str) -> None:
    """Compares a gradient with numerical derivatives and names the bug, if possible."""
    judge.fit(subject, trials, key)
    if not any(bug.id == "unexplained" for bug in judge.findings):
        return
    if not all(_can_split(one.draw) for one in trials):
        name_formula(judge, trials)
        return
    split = replace(
        subject,
        compute=lambda draw, **options: subject.compute(draw, jacobian="split"),
        slips=(),
        terms={
            OTHER_INDICES: {"-1": "sign-inside", "0": "gradient-diagonal-only"},
            SAME_INDEX: {"-1": "sign-inside"},
        },
    )
    again = without_findings(judge)
    again.observations = judge.observations
    again.fit(split, trials, key, depth=0)
    if again.findings and not any(
        bug.id in ("unexplained", "wrong-factor", "constant-factor") for bug in again.findings
    ):
        judge.findings = [bug for bug in judge.findings if bug.id != "unexplained"] + again.findings
        return
    name_formula(judge, trials)


def _can_split(draw: Draw) -> bool:
    try:
        split_jacobian(draw.J, draw.x, draw.y)
    except ValueError:
        return False
    return True


def name_known(judge: Judge, trials: Sequence[Trial], key: str) -> bool:
    """Names the bug in a gradient if the function is recognised by its values. Returns whether it could name it."""
    kind = identified(trials)
    subject = _backward_subject(kind, upstream=True) if kind is not None else None
    if subject is None:
        return False
    again = without_findings(judge)
    again.observations, again.known = judge.observations, kind not in NOT_DERIVED
    again.fit(replace(subject, name=key), trials, key)
    if not again.findings or any(bug.id == "unexplained" for bug in again.findings):
        return False
    judge.findings = [bug for bug in judge.findings if bug.id != "unexplained"] + again.findings
    return True


def name_formula(judge: Judge, trials: Sequence[Trial]) -> None:
    """For an elementwise function, reports an unexplained gradient as a wrong formula of the derivative."""
    diagonal = all(
        one.draw.J.shape[0] == one.draw.J.shape[1]
        and np.abs(one.draw.J - np.diag(np.diagonal(one.draw.J))).max() < 1e-6 * np.abs(one.draw.J).max()
        for one in trials
    )
    if diagonal:
        evidence = next(bug.evidence for bug in judge.findings if bug.id == "unexplained")
        judge.findings = [bug for bug in judge.findings if bug.id != "unexplained"]
        judge.bug("wrong-derivative", evidence)


def _named(arrays: Mapping[str, np.ndarray], pattern: re.Pattern[str]) -> np.ndarray | None:
    return next((value for name, value in arrays.items() if name in _PARAMETERS and pattern.search(name)), None)


def _gradient_of(where: str, after: Value) -> str | None:
    """The attribute that contains the gradient of a parameter, if it has one of the common names."""
    holder, _, key = where.rpartition(".")
    names = [
        f"d{key}",
        f"d_{key}",
        f"grad_{key}",
        f"{key}_grad",
        f"{key}grad",
        f"d{key.upper()}",
        f"dL{key}",
        f"dLd{key}",
        f"grad{key}",
    ]
    for name in names:
        if name in after.items:
            return name
    for holder in ("grads", "gradients", "grad", "g"):
        for name in (key, f"d{key}"):
            if f"{holder}.{name}" in after.items:
                return f"{holder}.{name}"
    return None


def _has_learning_rate(module: Module, name: str) -> bool:
    """Whether a learning rate is an attribute of the class or an argument of one of its methods."""
    for node in ast.walk(module.classes[name]):
        word = node.arg if isinstance(node, ast.arg) else ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if word and LEARNING_RATE.search(word.lower()):
            return True
    return False


def _is_torch(module: Module, name: str) -> bool:
    return any("Function" in base or "Module" in base for base in module.bases(name))


def _is_base(source: Source, name: str) -> bool:
    return any(
        base.split(".")[-1] == name
        for module in source.modules
        for other in module.classes
        for base in module.bases(other)
    )


@dataclass(frozen=True)
class FunctionPair:
    """A function and its gradient in the same file."""

    module: Module
    function: str
    gradient: str

    @property
    def title(self) -> str:
        return f"{self.gradient} of {self.function}"


class FunctionGradient(Contract):
    """Functions, each with a second function that should be its gradient."""

    name = "function"
    title = "a function and its gradient"

    def __init__(self, source: Source, pairs: Sequence[FunctionPair]) -> None:
        super().__init__(source)
        titles = titled([(pair.module, pair.title) for pair in pairs])
        self.pairs = {title: pair for (title, *_), pair in zip(titles, pairs, strict=True)}

    @classmethod
    def of(cls, source: Source, function: str, gradient: str) -> Contract:
        """The contract of one pair. Raises ConfigError if the functions are not in the same file."""
        found = [m for m in source.modules if function in m.functions and gradient in m.functions]
        if not found:
            available = sorted(name for module in source.modules for name in module.functions)
            raise ConfigError(
                f"gradient='{function}:{gradient}': expected two functions in the same file; "
                f"available functions: {', '.join(available) or 'none'}"
            )
        return cls(source, [FunctionPair(found[0], function, gradient)])

    @classmethod
    def recognise(cls, source: Source) -> Contract | None:
        """Finds every function f with an `f_grad`, `grad_f`, `df`, `f_gradient` or similar function in the same
        file."""
        pairs = []
        for module in source.modules:
            for name in module.functions:
                names = (
                    f"{name}_gradient",
                    f"{name}_grad",
                    f"grad_{name}",
                    f"d{name}",
                    f"{name}_backward",
                    f"{name}_prime",
                    f"{name}_derivative",
                )
                other = next((other for other in names if other in module.functions), None)
                if other is not None:
                    pairs.append(FunctionPair(module, name, other))
        return cls(source, pairs) if pairs else None

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(pair.module.folder for pair in self.pairs.values()), "."]))

    def _arguments(
        self, pair: FunctionPair, shape: tuple[int, ...], g, manner: str
    ) -> tuple[list[str], dict[str, np.ndarray]]:
        """Values for the arguments of the function, according to their names: as for a layer, or as for a regression
        (w, X, y)."""
        N, D = shape if len(shape) == 2 else (1, shape[0] if shape else 1)
        arrays: dict[str, np.ndarray] = {}
        names = required(pair.module.functions[pair.function])
        is_weight = [bool(re.fullmatch(r"w|weights?|kernel|theta|coef", each.lower())) for each in names]
        for position, name in enumerate(names):
            low = name.lower()
            size: tuple[int, ...] = shape
            if is_weight[position]:
                size = (D,) if manner == "regression" else (D, 3)
            elif re.fullmatch(r"b|bias|biases", low) and (position or manner == "regression"):
                size = (() if manner == "regression" else (3,)) if any(is_weight) else (D,)
            elif re.fullmatch(r"gamma|beta", low):
                size = (D,)
            elif position and re.search(r"label|target|^t$|^y$|onehot|one_hot|true", low):
                classes = g.integers(0, D, N)
                labels = {"labels": classes, "regression": g.integers(0, 2, N) * 1.0, "targets": g.normal(size=shape)}
                arrays[name] = labels.get(manner, np.eye(D)[classes].reshape(shape))
                continue
            elif position and re.search(r"slope|alpha|eps|lam|scale|delta|margin|^c$|^k$", low):
                arrays[name] = np.array(0.3)
                continue
            arrays[name] = spread_out(g, size)
        return names, arrays

    def make_trials(self) -> dict[str, dict[str, list[Trial]]]:
        return {title: self._pair_trials(pair) for title, pair in self.pairs.items()}

    def probes(self) -> list[Probe]:
        return [each.probe for groups in self.trials().values() for group in groups.values() for each in group]

    def _pair_trials(self, pair: FunctionPair) -> dict[str, list[Trial]]:
        matrices, vectors = ((5, 4), (6, 3), (4, 4), (3, 3)), ((4,), (3,), (6,), (5,))
        return {
            manner: [self._build(pair, shape, i, manner) for i, shape in enumerate(shapes)]
            for manner, shapes in (
                ("matrix", matrices),
                ("labels", matrices),
                ("regression", matrices),
                ("vector", vectors),
                ("number", ((),) * 4),
            )
        }

    def _build(self, pair: FunctionPair, shape: tuple[int, ...], seed: int, manner: str) -> Trial:
        g = self.generator(manner, seed)
        names, arrays = self._arguments(pair, shape, g, manner)
        derivative_names = required(pair.module.functions[pair.gradient])
        upstream = len(derivative_names) == len(names) + 1
        dy_first = upstream and bool(re.search(r"dy|dout|grad|delta|upstream|up$|^g$", derivative_names[0]))

        def copies(kind: str) -> list[Any]:
            return [
                float(arrays[name]) if not arrays[name].ndim else ({"fresh": name} if kind == "fresh" else array(name))
                for name in names
            ]

        operations: list[Operation] = [{"op": "import", "module": pair.module.name, "as": "m", "send": False}]
        sent = {k: v for k, v in arrays.items() if v.ndim}
        ups = []
        for k in range(PASSES):
            suffix = f" {k}" if k else ""
            ups.append(g.normal(size=64))
            sent[f"dy{suffix} "] = ups[-1]
            given, up = copies("own"), {"path": [f"dy{suffix}"]}
            operations += [
                {"op": "seed", "value": 0},
                call("m", pair.function, args=copies("fresh"), to=f"y{suffix}"),
                {
                    "op": "let",
                    "value": {"shaped": f"dy{suffix} ", "like": [f"y{suffix}"]},
                    "as": f"dy{suffix}",
                    "send": False,
                },
                call(
                    "m",
                    pair.gradient,
                    args=[up, *given] if dy_first else [*given, up] if upstream else given,
                    to=f"g{suffix}",
                    attempt=True,
                ),
                get(f"dy{suffix}", to=f"dy{suffix} after"),
            ]
        around = {}
        for k, name in enumerate(names):
            around[name] = Sweep.around(arrays[name], g)
            sent[f"points {k}"] = around[name].rows
            args = copies("fresh")
            args[k] = {"row": "array"}
            operations.append(
                {"op": "each", "rows": f"points {k}", "path": ["m", pair.function], "args": args}
                | {"as": f"values {k}", "try": True}
            )
        draw = Draw(
            {"N": float(shape[0])} | ({"D": float(shape[1])} if len(shape) == 2 else {}) if shape else {},
            names=names,
            arguments=arrays,
            upstream=upstream,
            ups=ups,
            around=around,
        )
        label = f"{manner} {'x'.join(map(str, shape))}"
        return trial(f"{pair.module.name}.{pair.function} {label} {seed}", operations, draw, sent)

    def _jacobian(self, each: Trial, observation: Observation, k: int) -> np.ndarray | None:
        """The numerical derivative of the function with respect to argument k."""
        y = observation.get("y")
        if y is None:
            return None
        return each.draw.around[each.draw.names[k]].jacobian(observation.get(f"values {k}"), y)

    def judge(self, observations: Mapping[str, Observation]) -> list[Part]:
        return each_alone(
            *((title, partial(self._judge_pair, title, pair, observations)) for title, pair in self.pairs.items())
        )

    def _judge_pair(self, title: str, pair: FunctionPair, observations: Mapping[str, Observation]) -> list[Part]:
        judge = Judge(title, observations, pair.module, "", pair.gradient, pair.function)
        if judge.missing:
            return [judge.result()]
        groups = self.trials()[title]
        possible = []
        for group in groups.values():
            ran = [each for each in group if each.name in observations and "y" in observations[each.name].values]
            ran = [each for each in ran if observations[each.name].get("y") is not None]
            if ran and any(self._jacobian(each, observations[each.name], 0) is not None for each in ran):
                possible.append(ran)
        # prefer inputs that both functions accept, and for which the gradient has the shape of the input
        possible.sort(key=lambda ran: not self._fits(ran, observations))
        if possible:
            self._judge_group(pair, judge, possible[0], observations)
            return [judge.result()]
        if judge.ended([each for group in groups.values() for each in group]):
            return [judge.result()]
        for group in groups.values():
            for each in group:
                found = observations.get(each.name)
                if found is not None and found.failure is not None:
                    judge.failed_on_guess(found.failure, pair.function)
                    return [judge.result()]
        judge.unjudged = f"{pair.function} has no numerical derivative"
        return [judge.result()]

    def _fits(self, ran: Sequence[Trial], observations) -> bool:
        for each in ran:
            value = observations[each.name].values.get("g")
            first = next(iter(value.items.values()), None) if value is not None and value.items else value
            x = each.draw.arguments[each.draw.names[0]]
            if first is None or first.array is None or first.array.shape != x.shape:
                return False
        return True

    def _judge_group(self, pair: FunctionPair, judge: Judge, ran, observations) -> None:
        first = ran[0]
        names = first.draw.names
        tensors = [name for name in names if first.draw.arguments[name].ndim or name == names[0]]
        for each in ran:
            value = observations[each.name].values.get("g")
            if value is not None and value.failure is not None:
                judge.failed(value.failure)
                return
        value = observations[first.name].values.get("g")
        several = value is not None and value.kind in ("tuple", "list", "dict") and bool(value.items)
        count = len(value.items) if several and value is not None else 1
        for k in range(min(count, len(tensors))):
            name = tensors[k]
            trials: list[Trial] = []
            later: list[Trial] = []
            for each in ran:
                observation = observations[each.name]
                rows = self._jacobian(each, observation, names.index(name))
                y = observation.get("y")
                if rows is None or y is None:
                    continue
                x = each.draw.arguments[name].astype(float)
                J = rows.reshape(max(x.size, 1), -1)
                for i in range(PASSES):
                    own = observation.values.get(f"g {i}" if i else "g")
                    found = list(own.items.values())[k] if several and own is not None and len(own.items) > k else own
                    up = _upstream(each, y, i) if each.draw.upstream else np.ones_like(np.asarray(y, float))
                    draw = each.draw.changed(J=J, x=x, y=np.asarray(y, float), dy=np.asarray(up, float))
                    label = f"{each.name} / {name} {i}"
                    kept = {"g": found} if found is not None else {}
                    judge.observations = {**judge.observations, label: Observation(label, kept)}
                    (later if i else trials).append(Trial(replace(each.probe, name=label), draw))
            if trials:
                subject = numeric_backward(loss=all(one.draw.y.size == 1 for one in trials))
                title = pair.gradient if count == 1 else f"the gradient with respect to {name}"
                kind = identified(trials) if trials[0].draw.x.ndim == 2 else None
                judge.known = kind is not None or kind_of(pair.function) is not None
                quiet = without_findings(judge)
                quiet.observations = judge.observations
                quiet.fit(replace(subject, name=title), trials, "g", depth=0)
                if quiet.findings and kind is not None:
                    chosen = _backward_subject(kind, upstream=trials[0].draw.upstream)
                    if chosen is not None:
                        named = without_findings(judge)
                        named.observations = judge.observations
                        shown = [Trial(one.probe, one.draw.changed(p=0.3)) for one in trials]
                        named.fit(replace(chosen, name=title), shown, "g")
                        if named.findings and not any(bug.id == "unexplained" for bug in named.findings):
                            judge.findings += named.findings
                            judge.judged = True
                            continue
                fit_numeric(judge, replace(subject, name=title), trials, "g")
                if not judge.findings:
                    judge_later(judge, replace(subject, name=title), later, "g")
        for each in ran:
            y, after = observations[each.name].get("y"), observations[each.name].get("dy after")
            same = y is None or after is None or after.shape != y.shape or np.array_equal(after, _upstream(each, y))
            if each.draw.upstream and not same:
                judge.bug("input-changed", f"{pair.gradient} modifies the upstream gradient")
                break
        judge.unchanged(ran, [name for name in names if first.draw.arguments[name].ndim])
