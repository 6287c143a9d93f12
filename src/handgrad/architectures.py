"""Models as data: a network is a list of layer descriptions, which every engine can build.

Shapes, parameter counts and multiply-adds are computed from the description without any arrays, so `handgrad show` can
print networks that do not fit into memory, and a checkpoint can contain the description of its network.

    >>> network = mlp((1, 8, 8), (32,), 10)
    >>> [row.kind for row in network.rows()]
    ['linear', 'relu', 'linear']
    >>> network.parameters
    2410
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from handgrad.errors import ConfigError
from handgrad.windows import pair, window_output

Shape = tuple[int, ...]

#: Activations, and the gain of the preceding layer for which E[y²] = E[x²]: 1/√E[f(z)²] for z ~ N(0, 1), computed by
#: quadrature. Those of relu, leaky_relu, tanh, elu, sigmoid and identity are the customary values (as in PyTorch).
_GAINS = {
    "relu": math.sqrt(2),
    "leaky_relu": math.sqrt(2),  # for slope 0; see `gain_of` for others
    "elu": math.sqrt(2),
    "gelu": 1.5335304,
    "gelu_tanh": 1.5335805,
    "silu": 1.6765325,
    "softplus": 1.0418668,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "identity": 1.0,
}
ACTIVATIONS = tuple(_GAINS)
NORMS = ("none", "batch", "layer", "group", "rms")
IMAGE_NORMS = ("batch", "group")
MODELS = ("mlp", "cnn", "vgg", "preact-resnet")


@dataclass(frozen=True)
class LayerSpec:
    """One layer: its kind (a key of `KINDS`) and the options of its class, which are JSON values."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def children(self) -> tuple[LayerSpec, ...]:
        """The nested layers (of a `residual`), in order."""
        return tuple(LayerSpec.from_dict(layer) for layer in self.options.get("layers", ()))

    @property
    def arguments(self) -> dict[str, Any]:
        """The options as arguments of the class: pairs as tuples, without the gain, which belongs to the
        initialiser."""
        options = {name: value for name, value in self.options.items() if name not in ("gain", "layers")}
        return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}

    def to_dict(self) -> dict[str, Any]:
        """A JSON value from which `from_dict` recreates this layer."""
        return {"kind": self.kind, **self.options}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> LayerSpec:
        return cls(value["kind"], {name: option for name, option in value.items() if name != "kind"})


@dataclass(frozen=True)
class Row:
    """Properties of one layer that are known without building it; numbers refer to one sample.

    A layer with nested layers (`residual`) has a separate row, without numbers, before theirs.
    """

    name: str
    kind: str
    options: Mapping[str, Any]
    output_shape: Shape
    parameters: int
    multiply_adds: int
    input_shape: Shape


@dataclass(frozen=True)
class Architecture:
    """A network as data.

    Arguments:
        name: the function of this module that created it.
        input_shape: shape of one sample; an engine reshapes the data to it, so an MLP takes images as rows.
        layers: the layers in the order of the forward pass. The parameters of the i-th layer are named `i.weight`,
            `i.bias`, ….

    Raises:
        ConfigError: a layer does not match the previous one, or its kind is unknown.
    """

    name: str
    input_shape: Shape
    layers: tuple[LayerSpec, ...]

    def __post_init__(self) -> None:
        self.rows()

    def rows(self) -> list[Row]:
        """One row per layer with output shape, parameters and multiply-adds; the i-th layer in layer 3 is called
        `3.i`."""
        return _rows(self.layers, self.input_shape)

    @property
    def output_shape(self) -> Shape:
        rows = self.rows()
        return rows[-1].output_shape if rows else self.input_shape

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(row.parameters for row in self.rows())

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the matrix products in the forward pass of one sample."""
        return sum(row.multiply_adds for row in self.rows())

    def to_dict(self) -> dict[str, Any]:
        """A JSON value from which `from_dict` recreates this architecture."""
        layers = [layer.to_dict() for layer in self.layers]
        return {"name": self.name, "input_shape": list(self.input_shape), "layers": layers}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Architecture:
        return cls(value["name"], tuple(value["input_shape"]), tuple(map(LayerSpec.from_dict, value["layers"])))


def _rows(layers: Sequence[LayerSpec], shape: Shape, prefix: str = "") -> list[Row]:
    rows: list[Row] = []
    for i, layer in enumerate(layers):
        name = f"{prefix}{i}"
        if layer.kind not in KINDS:
            raise ConfigError(f"layer {name}: kind={layer.kind!r} is unknown, expected one of {', '.join(KINDS)}")
        inside, input_shape = _rows(layer.children, shape, f"{name}."), shape
        try:
            shape, parameters, multiply_adds = KINDS[layer.kind].shapes(shape, **layer.options)
            if inside and inside[-1].output_shape != shape:
                raise ValueError(f"its layers give shape={inside[-1].output_shape}, expected its input's {shape}")
        except (ValueError, TypeError) as error:
            raise ConfigError(f"layer {name} ({layer.kind}): {error}") from None
        rows += [Row(name, layer.kind, layer.options, shape, parameters, multiply_adds, input_shape), *inside]
    return rows


def gain_of(activation: str, negative_slope: float = 0.0) -> float:
    """The factor of the weights before an activation that preserves the variance from layer to layer.

    Source: He, Zhang, Ren, Sun (2015), Delving deep into rectifiers, equations 10 and 15.
    """
    if activation not in ACTIVATIONS:
        raise ConfigError(f"activation={activation!r} is unknown, expected one of {', '.join(ACTIVATIONS)}")
    return math.sqrt(2 / (1 + negative_slope**2)) if activation == "leaky_relu" else _GAINS[activation]


def activation_spec(activation: str, negative_slope: float = 0.01) -> LayerSpec:
    """The layer of an activation, given by its name in `ACTIVATIONS`."""
    if activation == "leaky_relu":
        return LayerSpec(activation, {"negative_slope": negative_slope})
    if activation in ("gelu", "gelu_tanh"):
        return LayerSpec("gelu", {"approximate": "tanh" if activation == "gelu_tanh" else "none"})
    return LayerSpec(activation)


def mlp(
    input_shape: Sequence[int],
    hidden_units: Sequence[int],
    classes: int,
    *,
    activation: str = "relu",
    negative_slope: float = 0.01,
    norm: str = "none",
    num_groups: int = 4,
    dropout: float = 0.0,
) -> Architecture:
    """A multi-layer perceptron that returns scores (logits).

    Each hidden layer consists of linear layer, normalisation, activation and dropout. Without hidden layers, this is
    multinomial logistic regression.

    Arguments:
        input_shape: shape of one sample, with any number of axes.
        hidden_units: width of each hidden layer.
        classes: number of classes K, or of targets in regression.
        activation: one of `ACTIVATIONS`.
        negative_slope: slope of `leaky_relu`.
        norm: one of `NORMS`.
        num_groups: number of groups for `group`; a divisor of every hidden width.
        dropout: probability in [0, 1) of zeroing a hidden unit in training mode.

    Raises:
        ConfigError: a value is out of range.
    """
    gain = gain_of(activation, negative_slope)
    if norm not in NORMS:
        raise ConfigError(f"norm={norm!r} is unknown, expected one of {', '.join(NORMS)}")
    if classes < 1:
        raise ConfigError(f"classes={classes}, expected at least 1")
    layers: list[LayerSpec] = []
    width = math.prod(input_shape)
    for units in hidden_units:
        layers.append(LayerSpec("linear", {"in_features": width, "out_features": units, "gain": gain}))
        if norm != "none":
            layers.append(_norm_spec(norm, units, num_groups))
        layers.append(activation_spec(activation, negative_slope))
        if dropout:
            layers.append(LayerSpec("dropout", {"p": dropout}))
        width = units
    layers.append(LayerSpec("linear", {"in_features": width, "out_features": classes, "gain": 1.0}))
    return Architecture("mlp", (math.prod(input_shape),), tuple(layers))


def _norm_spec(norm: str, features: int, num_groups: int, images: bool = False) -> LayerSpec:
    """The normalisation for this number of features or image channels."""
    if norm == "group":
        if features % num_groups:
            raise ConfigError(
                f"norm=group with num_groups={num_groups} does not divide {features} "
                f"{'channels' if images else 'hidden units'}: choose a divisor"
            )
        return LayerSpec("group_norm", {"num_groups": num_groups, "num_channels": features})
    return LayerSpec("batch_norm2d" if images else f"{norm}_norm", {"num_features": features})


def cnn(
    input_shape: Sequence[int],
    classes: int,
    *,
    channels: Sequence[int] = (32, 64, 128),
    blocks: int = 0,
    activation: str = "relu",
    negative_slope: float = 0.01,
    norm: str = "none",
    num_groups: int = 4,
    dropout: float = 0.0,
) -> Architecture:
    """A small convolutional network for images of any size that returns scores (logits).

    For each entry of `channels`: a 3x3 convolution, normalisation, activation, max-pooling to half the size, rounded
    up, and `blocks` residual blocks x + F(x), where F is twice a 3x3 convolution, normalisation and activation. Then
    global average pooling, dropout and a linear layer, so the number of parameters does not depend on the size of the
    images. With the defaults, RGB images and ten classes: 94,538.

    Arguments:
        input_shape: (C, H, W) of one sample, at least 1x1 pixels.
        classes: number of classes K, or of targets in regression.
        channels: output channels of each stage; at least one stage.
        blocks: residual blocks in each stage.
        activation: one of `ACTIVATIONS`.
        negative_slope: slope of `leaky_relu`.
        norm: `none` or one of `IMAGE_NORMS`.
        num_groups: number of groups for `group`; a divisor of all channels.
        dropout: probability in [0, 1) of zeroing the mean of a channel in training mode.

    Raises:
        ConfigError: a value is out of range.
    """
    if not channels or min(channels) < 1:
        raise ConfigError(f"channels={','.join(map(str, channels))}: expected whole numbers above 0, such as 32,64,128")
    if blocks < 0:
        raise ConfigError(f"blocks={blocks}, expected at least 0")
    gain = gain_of(activation, negative_slope)

    def convolution(channels: int, out_channels: int) -> Iterator[LayerSpec]:
        yield _conv(channels, out_channels, 3, gain=gain)
        if norm != "none":
            yield _norm_spec(norm, out_channels, num_groups, images=True)
        yield activation_spec(activation, negative_slope)

    before, _, _ = _image(input_shape, classes, min(channels), "batch" if norm == "none" else norm)
    layers: list[LayerSpec] = []
    for after in channels:
        layers += [*convolution(before, after), _halving()]
        layers += [_residual_block(*convolution(after, after), *convolution(after, after)) for _ in range(blocks)]
        before = after
    layers.append(LayerSpec("global_avg_pool2d"))
    if dropout:
        layers.append(LayerSpec("dropout", {"p": dropout}))
    layers.append(LayerSpec("linear", {"in_features": before, "out_features": classes, "gain": 1.0}))
    return Architecture("cnn", tuple(input_shape), tuple(layers))


def vgg(
    input_shape: Sequence[int], classes: int, *, width: int = 64, norm: str = "batch", num_groups: int = 4
) -> Architecture:
    """The VGG of the UvA course, with eight convolutions and batch normalisation.

    Blocks of [3x3 convolution, batch normalisation, ReLU]: one with `width` channels, M, one with 2·`width`, M, two
    with 4·`width`, M, two with 8·`width`, M, two with 8·`width`, M, then a linear layer. M is 3x3 max-pooling with
    stride 2 and padding 1, which halves the size, rounded up. With 64 channels, 32x32 RGB images and ten classes:
    9,231,114 parameters.

    Arguments:
        input_shape: (C, H, W) of one sample, at least 1x1 pixels.
        classes: number of classes K, or of targets in regression.
        width: channels of the first convolution.
        norm: one of `IMAGE_NORMS`.
        num_groups: number of groups for `group`; a divisor of the width.

    Raises:
        ConfigError: a value is out of range.

    Source: Simonyan and Zisserman (2015), Very deep convolutional networks; with padded, overlapping pooling.
    """
    channels, height, size = _image(input_shape, classes, width, norm)
    layers: list[LayerSpec] = []
    for stage in ((1,), (2,), (4, 4), (8, 8), (8, 8)):
        for factor in stage:
            layers.append(_conv(channels, factor * width, 3, gain=math.sqrt(2)))
            channels = factor * width
            layers += [_norm_spec(norm, channels, num_groups, images=True), LayerSpec("relu")]
        layers.append(_halving())
        height, size = (height + 1) // 2, (size + 1) // 2
    return Architecture("vgg", tuple(input_shape), (*layers, *_classifier(channels * height * size, classes)))


def preact_resnet(
    input_shape: Sequence[int], classes: int, *, width: int = 64, norm: str = "batch", num_groups: int = 4
) -> Architecture:
    """The pre-activation residual network of the UvA course.

    A 3x3 convolution to `width` channels and P; then a 1x1 convolution to 2·`width` channels, M, P, P; the same with
    4·`width` and with 8·`width`; then M, P, P, M, batch normalisation, ReLU and a linear layer. P(x) = x +
    conv3x3(ReLU(BatchNorm(x))); M as in `vgg`. With 64 channels, 32x32 RGB images and ten classes: 11,138,122
    parameters.

    Arguments:
        input_shape: (C, H, W) of one sample, at least 1x1 pixels.
        classes: number of classes K, or of targets in regression.
        width: channels of the first convolution.
        norm: one of `IMAGE_NORMS`.
        num_groups: number of groups for `group`; a divisor of the width.

    Raises:
        ConfigError: a value is out of range.

    Source: He, Zhang, Ren, Sun (2016), Identity mappings in deep residual networks, figure 1b.
    """
    channels, height, size = _image(input_shape, classes, width, norm)

    def block(channels: int) -> LayerSpec:
        return _preact_block(channels, _norm_spec(norm, channels, num_groups, images=True))

    layers = [_conv(channels, width, 3, gain=1.0), block(width)]
    for factor in (2, 4, 8, None):
        if factor:
            layers.append(_conv(factor // 2 * width, factor * width, 1, gain=1.0))
        layers += [_halving(), *(block((factor or 8) * width) for _ in range(2))]
        height, size = (height + 1) // 2, (size + 1) // 2
    layers += [_halving(), _norm_spec(norm, 8 * width, num_groups, images=True), LayerSpec("relu")]
    height, size = (height + 1) // 2, (size + 1) // 2
    return Architecture(
        "preact-resnet", tuple(input_shape), (*layers, *_classifier(8 * width * height * size, classes))
    )


def _image(input_shape: Sequence[int], classes: int, width: int, norm: str) -> tuple[int, int, int]:
    if len(input_shape) != 3:
        raise ConfigError(
            f"input_shape={tuple(input_shape)}: a convolutional network takes images (C, H, W); rows require model=mlp"
        )
    if classes < 1:
        raise ConfigError(f"classes={classes}, expected at least 1")
    if width < 1:
        raise ConfigError(f"width={width}, expected at least 1")
    if norm not in IMAGE_NORMS:
        raise ConfigError(f"norm={norm!r}: expected one of {', '.join(IMAGE_NORMS)} for images")
    channels, height, size = input_shape
    return channels, height, size


def _conv(channels: int, out_channels: int, kernel_size: int, *, gain: float) -> LayerSpec:
    """A convolution that preserves height and width."""
    options = {"in_channels": channels, "out_channels": out_channels, "kernel_size": kernel_size}
    return LayerSpec("conv2d", {**options, "padding": kernel_size // 2, "gain": gain})


def _halving() -> LayerSpec:
    return LayerSpec("max_pool2d", {"kernel_size": 3, "stride": 2, "padding": 1})


def _preact_block(channels: int, norm: LayerSpec) -> LayerSpec:
    return _residual_block(norm, LayerSpec("relu"), _conv(channels, channels, 3, gain=math.sqrt(2)))


def _residual_block(*layers: LayerSpec) -> LayerSpec:
    return LayerSpec("residual", {"layers": [layer.to_dict() for layer in layers]})


def _classifier(features: int, classes: int) -> tuple[LayerSpec, LayerSpec]:
    linear = LayerSpec("linear", {"in_features": features, "out_features": classes, "gain": 1.0})
    return LayerSpec("flatten"), linear


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


def _rms_norm(shape: Shape, num_features: int):
    shape, _, _ = _norm(shape, num_features)
    return shape, num_features, 0


def _group_norm(shape: Shape, num_groups: int, num_channels: int):
    if len(shape) not in (1, 3) or shape[0] != num_channels:
        raise ValueError(f"gets shape={shape}, expected num_channels={num_channels} features or channels")
    if num_groups < 1 or num_channels % num_groups:
        raise ValueError(f"num_groups={num_groups} must divide num_channels={num_channels} without remainder")
    return shape, 2 * num_channels, 0


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


def _image_shape(shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ValueError(f"gets shape={shape}, expected an image (C, H, W)")
    return shape


def _conv2d(
    shape: Shape,
    in_channels: int,
    out_channels: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    bias: bool = True,
    gain: float = 1.0,
):
    channels, *size = _image_shape(shape)
    if channels != in_channels:
        raise ValueError(f"gets shape={shape}, expected in_channels={in_channels} channels")
    if out_channels < 1:
        raise ValueError(f"out_channels={out_channels}, expected at least 1")
    if groups < 1 or in_channels % groups or out_channels % groups:
        raise ValueError(
            f"groups={groups} must divide in_channels={in_channels} and out_channels={out_channels} without remainder"
        )
    kernel = pair("kernel_size", kernel_size, 1)
    windows = pair("stride", stride, 1), pair("padding", padding, 0), pair("dilation", dilation, 1)
    height, width = window_output(size, kernel, *windows)
    weights = out_channels * (in_channels // groups) * kernel[0] * kernel[1]
    return (out_channels, height, width), weights + bias * out_channels, weights * height * width


def _pool2d(
    shape: Shape,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
):
    channels, *size = _image_shape(shape)
    kernel, pad = pair("kernel_size", kernel_size, 1), pair("padding", padding, 0)
    if any(2 * p > k for p, k in zip(pad, kernel, strict=True)):
        raise ValueError(
            f"padding={padding} is more than half of kernel_size={kernel_size}: a window could lie outside the image"
        )
    stride = kernel if stride is None else pair("stride", stride, 1)
    return (channels, *window_output(size, kernel, stride, pad)), 0, 0


def _global_avg_pool2d(shape: Shape):
    return _image_shape(shape)[:1], 0, 0


def _batch_norm2d(shape: Shape, num_features: int):
    if _image_shape(shape)[0] != num_features:
        raise ValueError(f"gets shape={shape}, expected num_features={num_features} channels")
    return shape, 2 * num_features, 0


def _residual(shape: Shape, layers: Sequence[Mapping[str, Any]]):
    return shape, 0, 0


def _gelu(shape: Shape, approximate: str = "none"):
    if approximate not in ("tanh", "none"):
        raise ValueError(f"approximate={approximate!r}, expected 'none' (the exact form) or 'tanh'")
    return shape, 0, 0


@dataclass(frozen=True)
class Kind:
    """A kind of layer, with the information that `handgrad` needs to describe, build and train it.

    Arguments:
        layer: the name of its class in both `handgrad.nn` and `handgrad.torch`, or a class derived from
            `handgrad.nn.Layer`, which only the NumPy engine supports. The constructor takes the options as arguments.
            If it has arguments with these names, the engine passes its `dtype`; the initialiser and generator of the
            weights as `init` and `rng`; and, without `init`, the generator of the noise as `rng`.
        shapes: (shape of one sample, **options) -> (shape of its output, parameters, multiply-adds); raises ValueError
            if they do not match.
    """

    layer: str | type
    shapes: Callable[..., tuple[Shape, int, int]]


#: All kinds of layers by name. Add a `Kind` to train a custom layer: see `docs/from-python.md`.
KINDS: dict[str, Kind] = {
    "linear": Kind("Linear", _linear),
    "batch_norm": Kind("BatchNorm1d", _norm),
    "layer_norm": Kind("LayerNorm", _norm),
    "group_norm": Kind("GroupNorm", _group_norm),
    "rms_norm": Kind("RMSNorm", _rms_norm),
    "dropout": Kind("Dropout", _dropout),
    "flatten": Kind("Flatten", _flatten),
    "relu": Kind("ReLU", _elementwise),
    "leaky_relu": Kind("LeakyReLU", _leaky_relu),
    "elu": Kind("ELU", _elementwise),
    "gelu": Kind("GELU", _gelu),
    "silu": Kind("SiLU", _elementwise),
    "softplus": Kind("Softplus", _elementwise),
    "sigmoid": Kind("Sigmoid", _elementwise),
    "tanh": Kind("Tanh", _elementwise),
    "identity": Kind("Identity", _elementwise),
    "softmax": Kind("Softmax", _elementwise),
    "log_softmax": Kind("LogSoftmax", _elementwise),
    "conv2d": Kind("Conv2d", _conv2d),
    "max_pool2d": Kind("MaxPool2d", _pool2d),
    "avg_pool2d": Kind("AvgPool2d", _pool2d),
    "global_avg_pool2d": Kind("GlobalAvgPool2d", _global_avg_pool2d),
    "batch_norm2d": Kind("BatchNorm2d", _batch_norm2d),
    "residual": Kind("Residual", _residual),
}
