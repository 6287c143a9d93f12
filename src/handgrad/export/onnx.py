"""ONNX export: one node per layer if ONNX has an operator for it, verified with onnxruntime."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import handgrad
from handgrad._typing import Array, Shaped
from handgrad.errors import ConfigError, RunError
from handgrad.export.libraries import require
from handgrad.export.numpy_code import CUBIC, SCALE
from handgrad.export.trained import Item, Trained

#: A file declares the lowest operator set that its network requires, within these limits. Older runtimes reject the
#: default of newer versions of the package onnx.
OLDEST_OPSET, NEWEST_OPSET, IR_VERSION = 17, 24, 10


class Graph:
    """A graph under construction: a sequence of nodes, and constants by name.

    Arguments:
        newest: the newest operator set that the graph may require.
    """

    def __init__(self, helper: Any, numpy_helper: Any, newest: int) -> None:
        self._helper, self._numpy_helper = helper, numpy_helper
        self.newest, self.opset = newest, OLDEST_OPSET
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._taken: set[str] = set()

    def node(self, operator: str, *inputs: str, name: str, **attributes: Any) -> str:
        """Adds a node and returns the name of its output, which is the name of the node."""
        name = self._fresh(name)
        self.nodes.append(self._helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def may_use(self, opset: int) -> bool:
        """Whether an operator of this set is allowed; the graph requires the set from then on."""
        if opset > self.newest:
            return False
        self.opset = max(self.opset, opset)
        return True

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        name = self._fresh(name)
        self.constants.append(self._numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def _fresh(self, name: str) -> str:
        fresh, number = name, 2
        while fresh in self._taken:
            fresh, number = f"{name}_{number}", number + 1
        self._taken.add(fresh)
        return fresh


#: (graph, layer, state of the network, name of its input) -> name of its output.
Operator = Callable[[Graph, Item, dict[str, np.ndarray], str], str]


def onnx_model(trained: Trained, *, with_preprocessing: bool, opset: int = NEWEST_OPSET) -> bytes:
    """The network as a serialised ONNX model, with any number of inputs at once.

    Its input is `input`, its output `scores` (`targets` for regression, or the output of the last layer). With
    preprocessing, `input` takes raw values and the output is `probabilities` or the targets in their original units.

    Arguments:
        opset: the newest operator set that the file may require, 17 to 24. The file requires the lowest that has an
            operator for each layer of the network. If `opset` or the installed onnxruntime does not have an operator,
            the layer becomes several nodes.

    Raises:
        ConfigError: the packages onnx and onnxruntime are not installed, a layer has no ONNX form, or `opset` is
            out of range.
        RunError: onnxruntime does not agree with handgrad about the outputs.
    """
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise ConfigError(f"opset={opset}: expected an operator set from {OLDEST_OPSET} to {NEWEST_OPSET}")
    onnx, runtime = require("onnx", "onnxruntime")
    for newest in range(min(opset, onnx.defs.onnx_opset_version()), OLDEST_OPSET, -1):
        content, required = _model(trained, with_preprocessing, newest)
        if required < newest:
            continue  # the same graph as with an older set
        try:
            session = _session(content, runtime)
        except Exception:  # the classes of onnxruntime's exceptions are not part of its interface
            continue  # too old for this set
        break
    else:
        content, _ = _model(trained, with_preprocessing, OLDEST_OPSET)
        session = _session(content, runtime)
    _check(session, trained, with_preprocessing, runtime.__version__)
    return content


def _model(trained: Trained, with_preprocessing: bool, newest: int) -> tuple[bytes, int]:
    """The serialised model, and the operator set that it requires, at most `newest`."""
    onnx, helper, numpy_helper, checker = require("onnx", "onnx.helper", "onnx.numpy_helper", "onnx.checker")
    graph = Graph(helper, numpy_helper, newest)
    shape = trained.architecture.input_shape
    x, input_shape = "input", shape
    graph._fresh(x)
    if with_preprocessing:
        input_shape = trained.input_shape
        x = graph.node("Sub", x, graph.constant("preprocessing.shift", trained.shift), name="preprocessing/shift")
        x = graph.node("Mul", x, graph.constant("preprocessing.scale", trained.scale), name="preprocessing/scale")
        if input_shape != shape:
            x = _reshape(graph, x, shape, "preprocessing/reshape")
    x = _layers(graph, trained.items(), trained.state, x)
    output = output_name(trained, with_preprocessing)
    if with_preprocessing:
        x = _user_output(graph, trained, x)
    graph.nodes.append(helper.make_node("Identity", [x], [output], name=output))

    def value(name: str, one: Sequence[int]) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", *one])

    made = helper.make_graph(
        graph.nodes,
        "handgrad",
        [value("input", input_shape)],
        [value(output, (len(trained.classes),))],
        graph.constants,
    )
    opsets = [helper.make_opsetid("", graph.opset)]
    model = helper.make_model(
        made,
        producer_name="handgrad",
        producer_version=handgrad.__version__,
        ir_version=max(IR_VERSION, helper.find_min_ir_version_for(opsets)),
        opset_imports=opsets,
    )
    helper.set_model_props(model, _about(trained, with_preprocessing))
    checker.check_model(model, full_check=True)
    return model.SerializeToString(), graph.opset


def _about(trained: Trained, with_preprocessing: bool) -> dict[str, str]:
    """Metadata for programs that use the file."""
    about: dict[str, Any] = {
        "name": trained.name,
        "targets" if trained.regression else "classes": list(trained.classes),
        "preprocessing": "included" if with_preprocessing else "not included: (x - shift) * scale",
    }
    if not with_preprocessing and trained.shift.size == trained.scale.size == 1:
        about["preprocessing"] = f"not included: (x - {float(trained.shift.item())!r}) * {trained.scale.item()!r}"
    if trained.table:
        about["features"] = list(trained.feature_names)
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}


def _session(content: bytes, runtime: Any) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # a rejected model raises an exception and is not also logged
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _check(session: Any, trained: Trained, with_preprocessing: bool, version: str) -> None:
    """Compares the outputs of the model with those of the network on random inputs, one and several at once."""
    rng = np.random.default_rng(0)
    network = trained.network()
    for n in (1, 3):
        x = rng.standard_normal((n, *trained.architecture.input_shape)).astype(np.float32)
        expected, given = network.forward(x), x
        if with_preprocessing:
            given = (x.reshape(n, *trained.input_shape) / trained.scale + trained.shift).astype(np.float32)
            x = ((given - trained.shift) * trained.scale).reshape(x.shape).astype(np.float32)
            expected = trained.user_values(network.forward(x))
        (found,) = session.run(None, {"input": given})
        largest = max(float(np.abs(expected).max()), 1e-6)
        error = float(np.abs(found - expected).max()) / largest
        if not error < 1e-3:
            raise RunError(
                f"onnxruntime {version} computes outputs that differ from handgrad's by {error:.1e} relative to the "
                "largest: nothing was written; please report this network"
            )


def output_name(trained: Trained, with_preprocessing: bool) -> str:
    """The name of the model's output."""
    return "probabilities" if with_preprocessing and not trained.regression else trained.output


def _user_output(graph: Graph, trained: Trained, x: str) -> str:
    """Converts the network's output to probabilities, or to targets in their original units."""
    output = trained.output
    if output == "targets":
        if trained.target_scale is not None and trained.target_shift is not None:
            x = graph.node("Div", x, graph.constant("target.scale", trained.target_scale), name="target/scale")
            x = graph.node("Add", x, graph.constant("target.shift", trained.target_shift), name="target/shift")
    elif output == "scores":
        x = graph.node("Softmax", x, name="softmax", axis=-1)
    elif output == "log-probabilities":
        x = graph.node("Exp", x, name="exp")
    elif output == "outputs":
        x = _nearest_probabilities(graph, x, len(trained.classes))
    return x


def _nearest_probabilities(graph: Graph, x: str, classes: int) -> str:
    """max(0, x - theta) with theta such that each row sums to 1 (see `training.run`)."""
    name = "nearest"
    count = graph.constant(f"{name}.count", [classes], np.int64)
    graph.nodes.append(
        graph._helper.make_node(
            "TopK", [x, count], [f"{name}/falling", f"{name}/places"], axis=-1, name=f"{name}/falling"
        )
    )
    axis, one = graph.constant(f"{name}.axis", 1, np.int64), graph.constant(f"{name}.one", 1.0)
    total = graph.node("CumSum", f"{name}/falling", axis, name=f"{name}/total")
    above = graph.node("Sub", total, one, name=f"{name}/above")
    thresholds = graph.node(
        "Div", above, graph.constant(f"{name}.numbers", np.arange(1, classes + 1)), name=f"{name}/thresholds"
    )
    positive = graph.node("Greater", f"{name}/falling", thresholds, name=f"{name}/positive")
    numbers = graph.node("Cast", positive, name=f"{name}/numbers", to=1)
    kept = graph.node("Mul", numbers, f"{name}/falling", name=f"{name}/kept")
    axes = graph.constant(f"{name}.axes", [1], np.int64)
    held = graph.node("ReduceSum", kept, axes, name=f"{name}/held", keepdims=1)
    many = graph.node("ReduceSum", numbers, axes, name=f"{name}/many", keepdims=1)
    excess = graph.node("Sub", held, one, name=f"{name}/excess")
    theta = graph.node("Div", excess, many, name=f"{name}/theta")
    return graph.node("Relu", graph.node("Sub", x, theta, name=f"{name}/lowered"), name=f"{name}/probabilities")


def _layers(graph: Graph, items: Sequence[Item], state: dict[str, Shaped[Array, "..."]], x: str) -> str:
    for item in items:
        if item.children:
            x = graph.node("Add", x, _layers(graph, item.children, state, x), name=_node_name(item))
        else:
            x = OPERATORS[item.row.kind](graph, item, state, x)
    return x


def _node_name(item: Item, part: str = "") -> str:
    """`3.gelu`, or `3.gelu/erf` for a layer with several nodes."""
    return f"{item.name}.{item.row.kind}" + (f"/{part}" if part else "")


def _parameters(graph: Graph, item: Item, state: dict[str, Shaped[Array, "..."]], *names: str) -> list[str]:
    return [graph.constant(f"{item.name}.{name}", state[f"{item.name}.{name}"]) for name in names]


def _reshape(graph: Graph, x: str, shape: Sequence[int], name: str) -> str:
    return graph.node("Reshape", x, graph.constant(f"{name}.shape", [-1, *shape], np.int64), name=name)


def _simple(operator: str, **attributes: Any) -> Operator:
    return lambda graph, item, state, x: graph.node(operator, x, name=_node_name(item), **attributes)


def _linear(graph, item, state, x):
    names = ("weight", "bias") if item.layer.bias is not None else ("weight",)
    return graph.node("Gemm", x, *_parameters(graph, item, state, *names), name=_node_name(item), transB=1)


def _conv2d(graph, item, state, x):
    layer = item.layer
    names = ("weight", "bias") if layer.bias is not None else ("weight",)
    return graph.node(
        "Conv",
        x,
        *_parameters(graph, item, state, *names),
        name=_node_name(item),
        kernel_shape=layer.kernel_size,
        strides=layer.stride,
        pads=layer.padding * 2,
        dilations=layer.dilation,
        group=layer.groups,
    )


def _pool(operator: str, **attributes: Any) -> Operator:
    def add(graph, item, state, x):
        layer = item.layer
        windows = {"kernel_shape": layer.kernel_size, "strides": layer.stride, "pads": layer.padding * 2}
        return graph.node(operator, x, name=_node_name(item), **windows, **attributes)

    return add


def _global_avg_pool2d(graph, item, state, x):
    pooled = graph.node("GlobalAveragePool", x, name=_node_name(item))
    return graph.node("Flatten", pooled, name=_node_name(item, "flatten"))


def _batch_norm(graph, item, state, x):
    names = _parameters(graph, item, state, "weight", "bias", "running_mean", "running_var")
    return graph.node("BatchNormalization", x, *names, name=_node_name(item), epsilon=item.layer.eps)


def _layer_norm(graph, item, state, x):
    names = _parameters(graph, item, state, "weight", "bias")
    return graph.node("LayerNormalization", x, *names, name=_node_name(item), epsilon=item.layer.eps, axis=-1)


def _group_norm(graph, item, state, x):
    """GroupNormalization, or without it each group as one channel of an instance normalisation."""
    groups, shape = item.layer.num_groups, item.row.input_shape
    if graph.may_use(21):
        names = _parameters(graph, item, state, "weight", "bias")
        options = {"num_groups": groups, "epsilon": item.layer.eps}
        return graph.node("GroupNormalization", x, *names, name=_node_name(item), **options)
    unit = [graph.constant(_node_name(item, name), np.full(groups, value)) for name, value in (("1", 1), ("0", 0))]
    y = _reshape(graph, x, (groups, math.prod(shape) // groups), _node_name(item, "groups"))
    y = graph.node("InstanceNormalization", y, *unit, name=_node_name(item, "normalised"), epsilon=item.layer.eps)
    y = _reshape(graph, y, shape, _node_name(item, "features"))
    spread = (-1,) + (1,) * (len(shape) - 1)
    weight, bias = (
        graph.constant(f"{item.name}.{name}", state[f"{item.name}.{name}"].reshape(spread))
        for name in ("weight", "bias")
    )
    y = graph.node("Mul", y, weight, name=_node_name(item, "scaled"))
    return graph.node("Add", y, bias, name=_node_name(item))


def _rms_norm(graph, item, state, x):
    (weight,) = _parameters(graph, item, state, "weight")
    if graph.may_use(23):
        options = {"axis": -1, "epsilon": item.layer.eps}
        return graph.node("RMSNormalization", x, weight, name=_node_name(item), **options)

    def part(name: str, operator: str, *inputs: str, **attributes: Any) -> str:
        return graph.node(operator, *inputs, name=_node_name(item, name), **attributes)

    # ReduceSum, as the operator set decides whether ReduceMean takes its axes as an attribute or as an input.
    axes = graph.constant(_node_name(item, "axes"), [-1], np.int64)
    total = part("total", "ReduceSum", part("square", "Mul", x, x), axes, keepdims=1)
    mean = part("mean", "Div", total, graph.constant(_node_name(item, "count"), item.row.input_shape[-1]))
    eps = graph.constant(_node_name(item, "eps"), item.layer.eps)
    root = part("root", "Sqrt", part("sum", "Add", mean, eps))
    return graph.node("Mul", part("normalised", "Div", x, root), weight, name=_node_name(item))


def _leaky_relu(graph, item, state, x):
    return graph.node("LeakyRelu", x, name=_node_name(item), alpha=item.layer.negative_slope)


def _elu(graph, item, state, x):
    return graph.node("Elu", x, name=_node_name(item), alpha=item.layer.alpha)


def _silu(graph, item, state, x):
    if graph.may_use(24):
        return graph.node("Swish", x, name=_node_name(item))
    return graph.node("Mul", x, graph.node("Sigmoid", x, name=_node_name(item, "gate")), name=_node_name(item))


def _gelu(graph, item, state, x):
    """Gelu or, without it, x times its gate: with Erf, or with Tanh for the tanh approximation."""
    if graph.may_use(20):
        return graph.node("Gelu", x, name=_node_name(item), approximate=item.layer.approximate)

    def part(name: str, operator: str, *inputs: str) -> str:
        return graph.node(operator, *inputs, name=_node_name(item, name))

    def number(name: str, value: float) -> str:
        return graph.constant(_node_name(item, name), value)

    if item.layer.approximate == "none":
        curve = part("erf", "Erf", part("scaled", "Mul", x, number("root", math.sqrt(0.5))))
    else:
        cubic = part("cubic", "Mul", part("square", "Mul", x, x), number("coefficient", CUBIC))
        inner = part("inner", "Mul", x, part("factor", "Add", cubic, number("1", 1.0)))
        curve = part("tanh", "Tanh", part("scaled", "Mul", inner, number("scale", SCALE)))
    gate = part("gate", "Mul", part("above", "Add", curve, number("one", 1.0)), number("half", 0.5))
    return graph.node("Mul", x, gate, name=_node_name(item))


def _softplus(graph, item, state, x):
    if item.layer.beta == 1:
        return graph.node("Softplus", x, name=_node_name(item))
    beta = graph.constant(_node_name(item, "beta"), item.layer.beta)
    scaled = graph.node("Mul", x, beta, name=_node_name(item, "scaled"))
    return graph.node(
        "Div", graph.node("Softplus", scaled, name=_node_name(item, "curve")), beta, name=_node_name(item)
    )


OPERATORS: dict[str, Operator] = {
    "linear": _linear,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "rms_norm": _rms_norm,
    "dropout": _simple("Dropout"),  # only active in training mode
    "flatten": _simple("Flatten"),
    "relu": _simple("Relu"),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "gelu": _gelu,
    "silu": _silu,
    "softplus": _softplus,
    "sigmoid": _simple("Sigmoid"),
    "tanh": _simple("Tanh"),
    "identity": _simple("Identity"),
    "softmax": _simple("Softmax", axis=-1),
    "log_softmax": _simple("LogSoftmax", axis=-1),
    "conv2d": _conv2d,
    "max_pool2d": _pool("MaxPool"),
    "avg_pool2d": _pool("AveragePool", count_include_pad=1),
    "global_avg_pool2d": _global_avg_pool2d,
    "batch_norm2d": _batch_norm,
}
