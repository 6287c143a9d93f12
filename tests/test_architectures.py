"""Models as data: what is known of a network without building it, and that it is so once it is built."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from handgrad import nn
from handgrad.architectures import (
    ACTIVATIONS,
    KINDS,
    NORMS,
    Architecture,
    Kind,
    LayerSpec,
    activation_spec,
    cnn,
    gain_of,
    mlp,
    preact_resnet,
    vgg,
)
from handgrad.data import Dataset, fit_preprocessing
from handgrad.engines import EngineSpec, OptimizerSpec
from handgrad.engines.numpy import NumpyEngine, build
from handgrad.errors import ConfigError

#: One network with every kind of layer.
EVERY_KIND = Architecture(
    "all",
    (2, 3, 2),
    (
        LayerSpec("flatten"),
        LayerSpec("linear", {"in_features": 12, "out_features": 7, "gain": 1.5}),
        LayerSpec("batch_norm", {"num_features": 7}),
        LayerSpec("relu"),
        LayerSpec("linear", {"in_features": 7, "out_features": 6, "bias": False, "gain": 1.0}),
        LayerSpec("layer_norm", {"num_features": 6}),
        LayerSpec("group_norm", {"num_groups": 2, "num_channels": 6}),
        LayerSpec("rms_norm", {"num_features": 6}),
        LayerSpec("leaky_relu", {"negative_slope": 0.2}),
        LayerSpec("dropout", {"p": 0.25}),
        LayerSpec("elu"),
        LayerSpec("gelu"),
        LayerSpec("gelu", {"approximate": "tanh"}),
        LayerSpec("silu"),
        LayerSpec("softplus"),
        LayerSpec("sigmoid"),
        LayerSpec("tanh"),
        LayerSpec("identity"),
        LayerSpec("linear", {"in_features": 6, "out_features": 3, "gain": 1.0}),
        LayerSpec("softmax"),
        LayerSpec("log_softmax"),
    ),
)
#: One with every kind that takes images.
IMAGES = Architecture(
    "images",
    (3, 11, 9),
    (
        LayerSpec("conv2d", {"in_channels": 3, "out_channels": 4, "kernel_size": [3, 2], "padding": 1, "gain": 1.0}),
        LayerSpec("batch_norm2d", {"num_features": 4}),
        LayerSpec("max_pool2d", {"kernel_size": 3, "stride": [1, 2], "padding": 1}),
        LayerSpec(
            "residual",
            {
                "layers": [
                    {"kind": "relu"},
                    {
                        **{"kind": "conv2d", "in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": 2},
                        **{"dilation": 2, "groups": 2, "bias": False, "gain": 1.5},
                    },
                    {"kind": "residual", "layers": [{"kind": "batch_norm2d", "num_features": 4}]},
                ]
            },
        ),
        LayerSpec("avg_pool2d", {"kernel_size": 2}),
        LayerSpec(
            "conv2d", {"in_channels": 4, "out_channels": 5, "kernel_size": 3, "stride": 2, "padding": 1, "gain": 1.0}
        ),
        LayerSpec("global_avg_pool2d"),
        LayerSpec("linear", {"in_features": 5, "out_features": 3, "gain": 1.0}),
    ),
)
MLPS = [
    mlp((1, 4, 4), (5, 6), 3, activation=activation, norm=norm, dropout=dropout)
    for activation in ACTIVATIONS
    for norm, dropout in (("none", 0.0), ("batch", 0.5), ("layer", 0.0), ("rms", 0.0))
] + [mlp((7,), (), 2)]
SMALL_CNNS = [
    cnn((2, 5, 7), 3, channels=(3, 4), norm="batch", activation="silu"),
    cnn((2, 5, 7), 3, channels=(3, 4), blocks=2, norm="batch"),
    vgg((1, 9, 8), 3, width=2),
    preact_resnet((2, 8, 10), 3, width=2),
]


def test_every_kind_is_a_layer_and_in_the_example():
    shown = {layer.kind for layer in (*EVERY_KIND.layers, *IMAGES.layers)}
    assert set(KINDS) == shown
    assert all(isinstance(getattr(nn, kind.layer), type) for kind in KINDS.values())


@pytest.mark.parametrize("architecture", [*MLPS, EVERY_KIND])
def test_what_is_known_is_so_once_it_is_built(architecture):
    network = build(architecture, init_rng=0, noise_rng=0)
    rows = architecture.rows()
    assert len(rows) == len(network)
    x = np.random.default_rng(0).standard_normal((5, *architecture.input_shape), dtype=np.float32)
    for i, (row, layer, spec) in enumerate(zip(rows, network, architecture.layers, strict=True)):
        fan_in = x.shape[-1]
        x = layer.forward(x)
        assert (row.name, row.kind, row.options) == (str(i), spec.kind, spec.options)
        assert row.output_shape == x.shape[1:]
        assert row.parameters == sum(p.value.size for p in layer.parameters())
        products = isinstance(layer, nn.Linear)
        assert row.multiply_adds == (fan_in * x.shape[-1] if products else 0)
    assert architecture.output_shape == x.shape[1:]
    assert architecture.parameters == sum(p.value.size for p in network.parameters())
    assert architecture.multiply_adds == sum(row.multiply_adds for row in rows)


def test_options_arrive_in_the_layers():
    network = build(EVERY_KIND, init_rng=0, noise_rng=0, dtype=np.float64)
    assert network[4].bias is None
    assert network[8].negative_slope == 0.2
    assert network[9].p == 0.25
    assert {p.value.dtype for p in network.parameters()} == {np.dtype(np.float64)}
    assert network[2].running_mean.dtype == np.float64
    again = build(EVERY_KIND, init_rng=0, noise_rng=1)
    other = build(EVERY_KIND, init_rng=1, noise_rng=0)
    np.testing.assert_array_equal(again[1].weight.value, network[1].weight.value.astype(np.float32))
    assert not np.array_equal(other[1].weight.value, again[1].weight.value)
    draws = np.random.default_rng(0).standard_normal((7, 12))
    np.testing.assert_allclose(network[1].weight.value, 1.5 / math.sqrt(12) * draws, rtol=1e-14)
    small = build(EVERY_KIND, init="normal:1e-3", init_rng=0)
    np.testing.assert_allclose(small[1].weight.value, 1e-3 * draws, rtol=1e-6)


class Scale(nn.Layer):
    """A layer of a user's: y = s x with one trained number s, drawn near 1."""

    parameter_names = ("weight",)

    def __init__(self, spread: float, *, init, rng, dtype) -> None:
        self.weight = nn.Parameter((1 + spread * rng.standard_normal(1)).astype(dtype))
        self.init = init

    def forward(self, x):
        self._keep(x)
        return self.weight.value * x

    def backward(self, dy):
        (x,) = self._recall()
        self.weight.grad[...] = (dy * x).sum()
        return self.weight.value * dy


@pytest.fixture
def scale(monkeypatch) -> Architecture:
    """A network with it."""
    monkeypatch.setitem(KINDS, "scale", Kind(Scale, lambda shape, spread: (shape, 1, 0)))
    layers = mlp((6,), (8,), 3).layers
    return Architecture("own", (6,), (*layers[:2], LayerSpec("scale", {"spread": 0.1}), *layers[2:]))


def test_a_layer_of_ones_own_is_described_and_built(scale):
    assert scale.parameters == mlp((6,), (8,), 3).parameters + 1
    assert Architecture.from_dict(json.loads(json.dumps(scale.to_dict()))) == scale
    network = build(scale, init="xavier", init_rng=0, dtype=np.float64)
    assert isinstance(network[2], Scale)
    assert (network[2].weight.value.dtype, network[2].init) == (np.float64, nn.Xavier())
    again = build(scale, init="xavier", init_rng=0)
    np.testing.assert_allclose(again[2].weight.value, network[2].weight.value, rtol=1e-6)


def test_a_layer_of_ones_own_trains_in_the_engine_and_resumes(scale):
    """It has no kernel; everything else has."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((90, 6), dtype=np.float32)
    labels = (x @ rng.standard_normal((6, 3))).argmax(axis=1)
    nothing = fit_preprocessing("none", x, 1.0)
    dataset = Dataset("drawn", x, labels, {"train": range(90)}, tuple("abc"), 1.0, nothing)
    batches, rates = rng.integers(0, 90, (60, 16)), np.full(60, 0.01)
    through, resumed = (NumpyEngine(scale, OptimizerSpec("adam"), EngineSpec(threads=2)) for _ in range(2))
    for engine in (through, resumed):
        engine.load(dataset)
    first = through.train(batches[:30], rates[:30]).loss
    arrays, settings = through.checkpoint()
    before = through.state_dict()["2.weight"]
    expected = through.train(batches[30:], rates[30:]).loss
    assert expected[-10:].mean() < 0.5 * first[:10].mean()
    assert through.state_dict()["2.weight"] != before
    resumed.restore(arrays, json.loads(json.dumps(settings)))
    np.testing.assert_array_equal(resumed.train(batches[30:], rates[30:]).loss, expected)


def test_a_layer_of_ones_own_has_no_twin(scale):
    from handgrad.torch import build as build_twin

    with pytest.raises(ConfigError, match=r"handgrad\.torch has no layer 'scale': train it with engine=numpy"):
        build_twin(scale)


# -- the multi-layer perceptron ---------------------------------------------------------------------------------------


def test_mlp_by_hand():
    network = mlp((2, 3), (4,), 5, activation="leaky_relu", negative_slope=0.1, norm="batch", dropout=0.5)
    assert network.name == "mlp"
    assert network.input_shape == (6,)
    gain = math.sqrt(2 / 1.01)
    assert [(layer.kind, dict(layer.options)) for layer in network.layers] == [
        ("linear", {"in_features": 6, "out_features": 4, "gain": gain}),
        ("batch_norm", {"num_features": 4}),
        ("leaky_relu", {"negative_slope": 0.1}),
        ("dropout", {"p": 0.5}),
        ("linear", {"in_features": 4, "out_features": 5, "gain": 1.0}),
    ]
    assert network.parameters == (6 * 4 + 4) + 2 * 4 + (4 * 5 + 5)
    assert network.multiply_adds == 6 * 4 + 4 * 5
    assert network.output_shape == (5,)


@pytest.mark.parametrize(
    ("activation", "gain"),
    [
        ("relu", math.sqrt(2)),
        ("elu", math.sqrt(2)),
        ("leaky_relu", torch.nn.init.calculate_gain("leaky_relu", 0.01)),
        ("tanh", torch.nn.init.calculate_gain("tanh")),
        ("sigmoid", 1.0),
        ("identity", 1.0),
    ],
)
def test_gains(activation, gain):
    first, *_, last = mlp((3,), (4,), 2, activation=activation).layers
    assert first.options["gain"] == pytest.approx(gain, rel=1e-15)
    assert last.options["gain"] == 1


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "gelu", "gelu_tanh", "silu", "softplus", "identity"])
def test_a_gain_keeps_the_second_moment(activation):
    """gain² E[f(z)²] = 1 for z ~ N(0, 1), by the trapezoidal rule, which is exact to the last digit here."""
    spec = activation_spec(activation, 0.1)
    layer = build(Architecture("f", (1,), (spec,)))[0]
    z = np.linspace(-12, 12, 24001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    moment = (layer.forward(z[:, None])[:, 0] ** 2 * density).sum()
    assert gain_of(activation, 0.1) ** 2 * moment == pytest.approx(1, abs=1e-6)


def test_gelu_in_both_forms():
    kinds = [mlp((3,), (4,), 2, activation=name).layers[1] for name in ("gelu", "gelu_tanh")]
    assert kinds == [LayerSpec("gelu", {"approximate": form}) for form in ("none", "tanh")]
    layers = [build(Architecture("f", (1,), (kind,)))[0] for kind in kinds]
    assert [layer.approximate for layer in layers] == ["none", "tanh"]
    assert build(Architecture("f", (1,), (LayerSpec("gelu"),)))[0].approximate == "none"
    with pytest.raises(
        ConfigError, match=r"layer 0 \(gelu\): approximate='erf', expected 'none' \(the exact form\) or"
    ):
        Architecture("f", (1,), (LayerSpec("gelu", {"approximate": "erf"}),))


def test_an_empty_architecture_gives_back_its_input():
    nothing = Architecture("nothing", (3, 2), ())
    assert (nothing.output_shape, nothing.parameters, nothing.multiply_adds, nothing.rows()) == ((3, 2), 0, 0, [])


# -- JSON and PyTorch -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", [*MLPS, EVERY_KIND, IMAGES, vgg((3, 8, 8), 4, width=2)])
def test_json_round_trip(architecture):
    assert Architecture.from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture


TORCH = {
    "linear": lambda o: torch.nn.Linear(o["in_features"], o["out_features"], o.get("bias", True)),
    "batch_norm": lambda o: torch.nn.BatchNorm1d(o["num_features"]),
    "layer_norm": lambda o: torch.nn.LayerNorm(o["num_features"]),
    "group_norm": lambda o: torch.nn.GroupNorm(**o),
    "rms_norm": lambda o: torch.nn.RMSNorm(o["num_features"], 1e-5),
    "dropout": lambda o: torch.nn.Dropout(o["p"]),
    "leaky_relu": lambda o: torch.nn.LeakyReLU(o["negative_slope"]),
    "relu": lambda o: torch.nn.ReLU(),
    "elu": lambda o: torch.nn.ELU(),
    "gelu": lambda o: torch.nn.GELU(o.get("approximate", "none")),
    "silu": lambda o: torch.nn.SiLU(),
    "softplus": lambda o: torch.nn.Softplus(),
    "sigmoid": lambda o: torch.nn.Sigmoid(),
    "tanh": lambda o: torch.nn.Tanh(),
    "identity": lambda o: torch.nn.Identity(),
    "softmax": lambda o: torch.nn.Softmax(dim=-1),
    "log_softmax": lambda o: torch.nn.LogSoftmax(dim=-1),
    "flatten": lambda o: torch.nn.Flatten(),
    "conv2d": lambda o: torch.nn.Conv2d(**{name: value for name, value in o.items() if name != "gain"}),
    "batch_norm2d": lambda o: torch.nn.BatchNorm2d(o["num_features"]),
    "max_pool2d": lambda o: torch.nn.MaxPool2d(**o),
    "avg_pool2d": lambda o: torch.nn.AvgPool2d(**o),
    "global_avg_pool2d": lambda o: torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()),
    "residual": lambda o: _Residual(*(_twin(LayerSpec.from_dict(layer)) for layer in o["layers"])),
}


def _twin(layer: LayerSpec) -> torch.nn.Module:
    options = {name: tuple(value) if _sizes(value) else value for name, value in layer.options.items()}
    return TORCH[layer.kind](options)


def _sizes(value) -> bool:
    return isinstance(value, list) and all(isinstance(number, int) for number in value)


class _Residual(torch.nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


@pytest.mark.parametrize("architecture", [*MLPS, EVERY_KIND, IMAGES, *SMALL_CNNS])
def test_the_state_is_that_of_the_same_network_in_pytorch(architecture):
    rng = np.random.default_rng(0)
    network = build(architecture, init_rng=1, noise_rng=2, dtype=np.float64)
    for _ in range(3):  # moves the running statistics
        network.forward(rng.standard_normal((9, *architecture.input_shape)))
    twin = torch.nn.Sequential(*map(_twin, architecture.layers)).double().eval()
    state = network.state_dict()
    twin.load_state_dict({name: torch.tensor(array) for name, array in state.items()}, strict=True)
    x = rng.standard_normal((4, *architecture.input_shape))
    expected = twin(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(network.eval().forward(x), expected, rtol=1e-12, atol=1e-14)
    back = build(architecture, init_rng=3, dtype=np.float64).eval()
    back.load_state_dict({name: tensor.numpy() for name, tensor in twin.state_dict().items()})
    np.testing.assert_array_equal(back.forward(x), network.forward(x))


# -- convolutional networks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "parameters"), [(vgg, 9_231_114), (preact_resnet, 11_138_122)])
def test_the_courses_networks(model, parameters):
    network = model((3, 32, 32), 10)
    assert network.parameters == parameters
    assert network.output_shape == (10,)
    assert sum(p.value.size for p in build(network, init="zeros").parameters()) == parameters


def test_vgg_by_hand():
    channels = [row.output_shape for row in vgg((3, 32, 32), 10).rows() if row.kind == "conv2d"]
    assert channels == [
        *((64, 32, 32), (128, 16, 16), (256, 8, 8), (256, 8, 8)),
        *((512, 4, 4), (512, 4, 4), (512, 2, 2), (512, 2, 2)),
    ]
    first = vgg((1, 28, 28), 10, width=4).rows()[0]
    assert (first.parameters, first.multiply_adds) == (4 * 9 + 4, 28 * 28 * 4 * 9)
    assert [row.output_shape for row in vgg((1, 28, 28), 10, width=4).rows() if row.kind == "max_pool2d"] == [
        *((4, 14, 14), (8, 7, 7), (16, 4, 4), (32, 2, 2), (32, 1, 1))
    ]


def test_preact_resnet_by_hand():
    rows = {row.name: row for row in preact_resnet((3, 32, 32), 10, width=2).rows()}
    assert [name for name, row in rows.items() if row.kind == "residual"] == [
        *("1", "4", "5", "8", "9", "12", "13", "15", "16")
    ]
    assert [(rows[f"1.{i}"].kind, rows[f"1.{i}"].parameters) for i in range(3)] == [
        *(("batch_norm2d", 4), ("relu", 0), ("conv2d", 2 * 2 * 9 + 2))
    ]
    assert (rows["1"].parameters, rows["1"].multiply_adds, rows["1"].output_shape) == (0, 0, (2, 32, 32))
    assert [rows[name].options["kernel_size"] for name in ("0", "2", "6", "10")] == [3, 1, 1, 1]
    assert [rows[name].output_shape for name in ("3", "7", "11", "14", "17")] == [
        *((4, 16, 16), (8, 8, 8), (16, 4, 4), (16, 2, 2), (16, 1, 1))
    ]
    assert [rows[str(i)].kind for i in range(17, 22)] == ["max_pool2d", "batch_norm2d", "relu", "flatten", "linear"]


def test_larger_images_end_in_a_wider_linear_layer():
    for model in (vgg, preact_resnet):
        *_, last = model((3, 40, 70), 5, width=2).layers
        assert last.options["in_features"] == 16 * 2 * 3


@pytest.mark.parametrize("architecture", [IMAGES, *SMALL_CNNS])
def test_rows_of_images_are_so_once_they_are_built(architecture):
    network = build(architecture, init_rng=0)
    built = [layer for layer in network.modules() if layer is not network]
    x = np.random.default_rng(0).standard_normal((2, *architecture.input_shape), dtype=np.float32)
    for row, layer in zip(architecture.rows(), built, strict=True):
        own = [] if isinstance(layer, nn.Sequential) else layer.parameters()
        assert row.parameters == sum(p.value.size for p in own)
        if "." not in row.name:
            x = layer.forward(x)
            assert x.shape[1:] == row.output_shape
        if row.kind == "conv2d":
            assert row.multiply_adds == layer.weight.value.size * math.prod(row.output_shape[1:])
    assert {name for name, _ in network.named_parameters()} == {
        f"{row.name}.{name}"
        for row, layer in zip(architecture.rows(), built, strict=True)
        if row.kind != "residual"
        for name, _ in layer.named_parameters()
    }


def _spec(kind, **options):
    return LayerSpec(kind, {"gain": 1.0, **options} if kind == "conv2d" else options)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [_spec("conv2d", in_channels=4, out_channels=2, kernel_size=5)],
            r"layer 0 \(conv2d\): the kernel spans 5 pixels \(kernel_size=5, dilation=1\), more than the width of 4 \+",
        ),
        (
            [
                _spec("relu"),
                _spec("conv2d", in_channels=4, out_channels=2, kernel_size=(4, 1), dilation=3, padding=[1, 0]),
            ],
            r"layer 1 \(conv2d\): the kernel spans 10 pixels .*, more than the height of 6 \+ 2·1 of the padded image",
        ),
        ([_spec("conv2d", in_channels=3, out_channels=2, kernel_size=3)], "expected in_channels=3 channels"),
        (
            [_spec("conv2d", in_channels=4, out_channels=6, kernel_size=3, groups=4)],
            "groups=4 must divide in_channels=4 and out_channels=6 without remainder",
        ),
        ([_spec("conv2d", in_channels=4, out_channels=0, kernel_size=3)], "out_channels=0, expected at least 1"),
        ([_spec("conv2d", in_channels=4, out_channels=1, kernel_size=0)], "kernel_size=0, expected a whole number of"),
        ([_spec("conv2d", in_channels=4, out_channels=1, kernel_size=[1, 2, 3])], r"kernel_size=\[1, 2, 3\], expected"),
        ([_spec("flatten"), _spec("max_pool2d", kernel_size=2)], r"gets shape=\(96,\), expected an image \(C, H, W\)"),
        ([_spec("max_pool2d", kernel_size=3, padding=2)], "padding=2 is more than half of kernel_size=3"),
        ([_spec("avg_pool2d", kernel_size=7)], r"layer 0 \(avg_pool2d\): the kernel spans 7 pixels"),
        ([_spec("batch_norm2d", num_features=5)], "expected num_features=5 channels"),
        (
            [_spec("residual", layers=[{"kind": "max_pool2d", "kernel_size": 2}])],
            r"layer 0 \(residual\): its layers give shape=\(4, 3, 2\), expected its input's \(4, 6, 4\)",
        ),
        (
            [_spec("relu"), _spec("residual", layers=[{"kind": "relu"}, {"kind": "batch_norm2d", "num_features": 5}])],
            r"layer 1\.1 \(batch_norm2d\)",
        ),
        ([_spec("residual", layers=[{"kind": "swirl"}])], r"layer 0\.0: kind='swirl' is unknown"),
    ],
)
def test_images_that_do_not_fit(layers, message):
    with pytest.raises(ConfigError, match=message):
        Architecture("wrong", (4, 6, 4), tuple(layers))


@pytest.mark.parametrize("make", [cnn, vgg, preact_resnet])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 5), (4, 7, 6), (3, 33, 20)])
def test_convolutional_networks_take_images_of_any_size(make, shape):
    """From one pixel on, with any channels and any number of outputs: built, run and learning."""
    small = {"channels": (2, 4)} if make is cnn else {"width": 2}
    architecture = make(shape, 1, **small)
    network = build(architecture, init_rng=0, noise_rng=0)
    x = np.random.default_rng(0).standard_normal((4, *shape), dtype=np.float32)
    assert network(x).shape == (4, 1)
    network.backward(np.ones((4, 1), np.float32))
    assert all(np.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_a_small_convolutional_network():
    network = cnn((3, 20, 31), 10, norm="group", dropout=0.2, activation="leaky_relu", negative_slope=0.1)
    stage = ["conv2d", "group_norm", "leaky_relu", "max_pool2d"]
    assert [row.kind for row in network.rows()] == [*stage * 3, "global_avg_pool2d", "dropout", "linear"]
    assert [row.output_shape for row in network.rows() if row.kind == "max_pool2d"] == [
        *((32, 10, 16), (64, 5, 8), (128, 3, 4)),
    ]
    assert cnn((3, 32, 32), 10).parameters == cnn((3, 500, 9), 10).parameters == 94_538
    assert Architecture.from_dict(network.to_dict()) == network


def test_residual_blocks_by_hand():
    """A stage with a block is pool(relu(conv x)), then x + relu(conv relu(conv x))."""
    network = build(cnn((1, 4, 4), 2, channels=(3,), blocks=1), init_rng=0, noise_rng=0)
    entry, relu, pool, block, mean, scores = network.layers
    first, _, second, _ = block.layers
    x = np.random.default_rng(0).standard_normal((2, 1, 4, 4))
    h = pool(relu(entry(x)))
    expected = scores(mean(h + np.maximum(second(np.maximum(first(h), 0)), 0)))
    np.testing.assert_allclose(network(x), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": -1}, "blocks=-1, expected at least 0"),
        ({"channels": ()}, "channels=: expected whole numbers above 0, such as 32,64,128"),
        ({"channels": (4, 0)}, "channels=4,0: expected whole numbers above 0, such as 32,64,128"),
        ({"norm": "layer"}, "norm='layer': expected one of batch, group for images"),
        ({"norm": "group", "num_groups": 3}, "norm=group with num_groups=3 does not divide 32 channels"),
        ({"activation": "swish"}, "activation='swish' is unknown, expected one of relu, "),
        ({"dropout": 1.0}, r"\(dropout\): p=1.0, expected a probability in \[0, 1\)"),
        (
            {"input_shape": (10,)},
            r"input_shape=\(10,\): a convolutional network takes images \(C, H, W\); rows require",
        ),
        ({"classes": 0}, "classes=0, expected at least 1"),
    ],
)
def test_small_convolutional_networks_that_cannot_be(options, message):
    with pytest.raises(ConfigError, match=message):
        cnn(**{"input_shape": (3, 8, 8), "classes": 3, **options})


@pytest.mark.parametrize("model", [vgg, preact_resnet])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_shape": (3, 32)}, r"input_shape=\(3, 32\): a convolutional network takes images"),
        ({"classes": 0}, "classes=0, expected at least 1"),
        ({"width": 0}, "width=0, expected at least 1"),
    ],
)
def test_networks_that_cannot_be(model, options, message):
    with pytest.raises(ConfigError, match=message):
        model(**{"input_shape": (3, 8, 8), "classes": 3, **options})


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "swish"}, "activation='swish' is unknown, expected one of relu, leaky_relu, elu, gelu, "),
        ({"norm": "instance"}, "norm='instance' is unknown, expected one of none, batch, layer, group, rms"),
        ({"norm": "group", "num_groups": 3}, "norm=group with num_groups=3 does not divide 4 hidden units: choose a"),
        ({"dropout": 1.0}, r"layer 2 \(dropout\): p=1.0, expected a probability in \[0, 1\)"),
        ({"dropout": -0.1}, r"layer 2 \(dropout\): p=-0.1, expected a probability in \[0, 1\)"),
        (
            {"activation": "leaky_relu", "negative_slope": -0.5},
            r"layer 1 \(leaky_relu\): negative_slope=-0.5, expected at least 0",
        ),
        ({"hidden_units": (4, 0)}, r"layer 2 \(linear\): out_features=0, expected at least 1"),
        ({"classes": 0}, "classes=0, expected at least 1"),
    ],
)
def test_settings_that_cannot_be(options, message):
    settings = {"input_shape": (3,), "hidden_units": (4,), "classes": 2, **options}
    with pytest.raises(ConfigError, match=message):
        mlp(**settings)


def test_every_choice_is_accepted():
    for norm in NORMS:
        for activation in ACTIVATIONS:
            mlp((3,), (4,), 2, norm=norm, activation=activation)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([LayerSpec("convolution")], "layer 0: kind='convolution' is unknown, expected one of linear, batch_norm"),
        (
            [LayerSpec("relu"), LayerSpec("linear", {"in_features": 4, "out_features": 2})],
            r"layer 1 \(linear\): gets shape=\(3,\), expected \(4,\)",
        ),
        ([LayerSpec("batch_norm", {"num_features": 2})], r"layer 0 \(batch_norm\): gets shape=\(3,\), expected \(2,\)"),
        ([LayerSpec("layer_norm", {"num_features": 2})], r"layer 0 \(layer_norm\): gets shape=\(3,\), expected \(2,\)"),
        ([LayerSpec("relu", {"slope": 1})], r"layer 0 \(relu\): .* unexpected keyword argument 'slope'"),
        ([LayerSpec("linear", {"in_features": 3})], r"layer 0 \(linear\): .* argument: 'out_features'"),
        ([LayerSpec("dropout")], r"layer 0 \(dropout\): .* argument: 'p'"),
    ],
)
def test_layers_that_do_not_fit(layers, message):
    with pytest.raises(ConfigError, match=message):
        Architecture("wrong", (3,), tuple(layers))
