"""Models as data: a network is a list of layer descriptions, which every engine can build.

A description knows its shapes, its parameters and its multiply-adds without any array, so `handgrad show` can print a
network that fits on no machine here, and a checkpoint can say what it belongs to.

    >>> network = mlp((1, 8, 8), (32,), 10)
    >>> [row.kind for row in network.rows()]
    ['linear', 'relu', 'linear']
    >>> network.parameters
    2410
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from handgrad.errors import ConfigError

Shape = tuple[int, ...]

ACTIVATIONS = ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "identity")
NORMS = ("none", "batch", "layer")
MODELS = ("mlp",)


@dataclass(frozen=True)
class LayerSpec:
    """One layer: its kind (a key of `KINDS`) and the options that its constructor takes, all of them JSON values."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """What is known of one layer without building it: figures are for one sample."""

    name: str
    kind: str
    options: Mapping[str, Any]
    output_shape: Shape
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Architecture:
    """A network as data.

    Arguments:
        name: which function of this module made it.
        input_shape: of one sample; an engine reshapes the data to it, so an MLP takes images as rows.
        layers: in the order of the forward pass. The i-th layer's parameters are named `i.weight`, `i.bias`, ….

    Raises:
        ConfigError: a layer does not fit the one before it, or its kind is unknown.
    """

    name: str
    input_shape: Shape
    layers: tuple[LayerSpec, ...]

    def __post_init__(self) -> None:
        self.rows()

    def rows(self) -> list[Row]:
        """One row a layer: output shape, parameters, multiply-adds."""
        rows, shape = [], self.input_shape
        for i, layer in enumerate(self.layers):
            if layer.kind not in KINDS:
                raise ConfigError(f"layer {i}: kind={layer.kind!r} is unknown, expected one of {', '.join(KINDS)}")
            try:
                shape, parameters, multiply_adds = KINDS[layer.kind](shape, **layer.options)
            except (ValueError, TypeError) as error:
                raise ConfigError(f"layer {i} ({layer.kind}): {error}") from None
            rows.append(Row(str(i), layer.kind, layer.options, shape, parameters, multiply_adds))
        return rows

    @property
    def output_shape(self) -> Shape:
        rows = self.rows()
        return rows[-1].output_shape if rows else self.input_shape

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(row.parameters for row in self.rows())

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the matrix products of one sample's forward pass."""
        return sum(row.multiply_adds for row in self.rows())

    def to_dict(self) -> dict[str, Any]:
        """A JSON value that `from_dict` turns back into this architecture."""
        layers = [{"kind": layer.kind, **layer.options} for layer in self.layers]
        return {"name": self.name, "input_shape": list(self.input_shape), "layers": layers}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Architecture:
        layers = tuple(
            LayerSpec(layer["kind"], {k: v for k, v in layer.items() if k != "kind"}) for layer in value["layers"]
        )
        return cls(value["name"], tuple(value["input_shape"]), layers)


def mlp(
    input_shape: Sequence[int],
    hidden_units: Sequence[int],
    classes: int,
    *,
    activation: str = "relu",
    negative_slope: float = 0.01,
    norm: str = "none",
    dropout: float = 0.0,
) -> Architecture:
    """A multi-layer perceptron that ends in scores (logits).

    Each hidden layer is: linear, normalisation, activation, dropout. No hidden layer: multinomial logistic regression.

    Arguments:
        input_shape: of one sample, in any number of axes.
        hidden_units: width of each hidden layer.
        classes: K, at least 2.
        activation: one of `ACTIVATIONS`.
        negative_slope: of `leaky_relu`.
        norm: one of `NORMS`.
        dropout: probability in [0, 1) with which a hidden unit is zeroed while training.

    Raises:
        ConfigError: a value is out of its range.
    """
    if activation not in ACTIVATIONS:
        raise ConfigError(f"activation={activation!r} is unknown, expected one of {', '.join(ACTIVATIONS)}")
    if norm not in NORMS:
        raise ConfigError(f"norm={norm!r} is unknown, expected one of {', '.join(NORMS)}")
    if classes < 2:
        raise ConfigError(f"classes={classes}, expected at least 2")
    gain = {
        "relu": math.sqrt(2),
        "elu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + negative_slope**2)),
        "tanh": 5 / 3,
    }.get(activation, 1.0)
    layers: list[LayerSpec] = []
    width = math.prod(input_shape)
    for units in hidden_units:
        layers.append(LayerSpec("linear", {"in_features": width, "out_features": units, "gain": gain}))
        if norm != "none":
            layers.append(LayerSpec(f"{norm}_norm", {"num_features": units}))
        options = {"negative_slope": negative_slope} if activation == "leaky_relu" else {}
        layers.append(LayerSpec(activation, options))
        if dropout:
            layers.append(LayerSpec("dropout", {"p": dropout}))
        width = units
    layers.append(LayerSpec("linear", {"in_features": width, "out_features": classes, "gain": 1.0}))
    return Architecture("mlp", (math.prod(input_shape),), tuple(layers))


# -- kinds of layers: shape of the input -> (shape of the output, parameters, multiply-adds), checked -----------------


def _linear(shape: Shape, in_features: int, out_features: int, bias: bool = True, gain: float = 1.0):
    if shape != (in_features,):
        raise ValueError(f"gets shape={shape}, expected ({in_features},)")
    if out_features < 1:
        raise ValueError(f"out_features={out_features}, expected at least 1")
    return (out_features,), out_features * (in_features + bias), out_features * in_features


def _norm(shape: Shape, num_features: int):
    if shape != (num_features,):
        raise ValueError(f"gets shape={shape}, expected ({num_features},)")
    return shape, 2 * num_features, 0


def _dropout(shape: Shape, p: float):
    if not 0 <= p < 1:
        raise ValueError(f"p={p}, expected a probability in [0, 1)")
    return shape, 0, 0


def _flatten(shape: Shape):
    return (math.prod(shape),), 0, 0


def _elementwise(shape: Shape):
    return shape, 0, 0


def _leaky_relu(shape: Shape, negative_slope: float):
    if not negative_slope >= 0:
        raise ValueError(f"negative_slope={negative_slope}, expected at least 0")
    return shape, 0, 0


KINDS: dict[str, Callable[..., tuple[Shape, int, int]]] = {
    "linear": _linear,
    "batch_norm": _norm,
    "layer_norm": _norm,
    "dropout": _dropout,
    "flatten": _flatten,
    "leaky_relu": _leaky_relu,
    **dict.fromkeys(("relu", "elu", "sigmoid", "tanh", "identity", "softmax"), _elementwise),
}
