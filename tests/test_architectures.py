"""Models as data: what is known of a network without building it, and that it is so once it is built."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from handgrad import nn
from handgrad.architectures import ACTIVATIONS, KINDS, NORMS, Architecture, LayerSpec, mlp
from handgrad.engines.numpy import BUILDERS, build
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
        LayerSpec("leaky_relu", {"negative_slope": 0.2}),
        LayerSpec("dropout", {"p": 0.25}),
        LayerSpec("elu"),
        LayerSpec("sigmoid"),
        LayerSpec("tanh"),
        LayerSpec("identity"),
        LayerSpec("linear", {"in_features": 6, "out_features": 3, "gain": 1.0}),
        LayerSpec("softmax"),
    ),
)
MLPS = [
    mlp((1, 4, 4), (5, 6), 3, activation=activation, norm=norm, dropout=dropout)
    for activation in ACTIVATIONS
    for norm, dropout in (("none", 0.0), ("batch", 0.5), ("layer", 0.0))
] + [mlp((7,), (), 2)]


def test_every_kind_is_known_to_the_engine_and_in_the_example():
    assert set(BUILDERS) == set(KINDS) == {layer.kind for layer in EVERY_KIND.layers}


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
    assert network[6].negative_slope == 0.2
    assert network[7].p == 0.25
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


def test_a_kind_that_the_engine_lacks(monkeypatch):
    monkeypatch.delitem(BUILDERS, "tanh")
    with pytest.raises(ConfigError, match="the numpy engine has no layer 'tanh', only linear, batch_norm"):
        build(EVERY_KIND)


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


def test_an_empty_architecture_gives_back_its_input():
    nothing = Architecture("nothing", (3, 2), ())
    assert (nothing.output_shape, nothing.parameters, nothing.multiply_adds, nothing.rows()) == ((3, 2), 0, 0, [])


# -- JSON and PyTorch -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", [*MLPS, EVERY_KIND])
def test_json_round_trip(architecture):
    assert Architecture.from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture


TORCH = {
    "linear": lambda o: torch.nn.Linear(o["in_features"], o["out_features"], o.get("bias", True)),
    "batch_norm": lambda o: torch.nn.BatchNorm1d(o["num_features"]),
    "layer_norm": lambda o: torch.nn.LayerNorm(o["num_features"]),
    "dropout": lambda o: torch.nn.Dropout(o["p"]),
    "leaky_relu": lambda o: torch.nn.LeakyReLU(o["negative_slope"]),
    "relu": lambda o: torch.nn.ReLU(),
    "elu": lambda o: torch.nn.ELU(),
    "sigmoid": lambda o: torch.nn.Sigmoid(),
    "tanh": lambda o: torch.nn.Tanh(),
    "identity": lambda o: torch.nn.Identity(),
    "softmax": lambda o: torch.nn.Softmax(dim=-1),
    "flatten": lambda o: torch.nn.Flatten(),
}


@pytest.mark.parametrize("architecture", [*MLPS, EVERY_KIND])
def test_the_state_is_that_of_the_same_network_in_pytorch(architecture):
    rng = np.random.default_rng(0)
    network = build(architecture, init_rng=1, noise_rng=2, dtype=np.float64)
    for _ in range(3):  # moves the running figures
        network.forward(rng.standard_normal((9, *architecture.input_shape)))
    twin = torch.nn.Sequential(*(TORCH[layer.kind](layer.options) for layer in architecture.layers)).double().eval()
    state = network.state_dict()
    twin.load_state_dict({name: torch.tensor(array) for name, array in state.items()}, strict=True)
    x = rng.standard_normal((4, *architecture.input_shape))
    expected = twin(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(network.eval().forward(x), expected, rtol=1e-12, atol=1e-14)
    back = build(architecture, init_rng=3, dtype=np.float64).eval()
    back.load_state_dict({name: tensor.numpy() for name, tensor in twin.state_dict().items()})
    np.testing.assert_array_equal(back.forward(x), network.forward(x))


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "swish"}, "activation='swish' is unknown, expected one of relu, leaky_relu, elu, sigmoid"),
        ({"norm": "group"}, "norm='group' is unknown, expected one of none, batch, layer"),
        ({"dropout": 1.0}, r"layer 2 \(dropout\): p=1.0, expected a probability in \[0, 1\)"),
        ({"dropout": -0.1}, r"layer 2 \(dropout\): p=-0.1, expected a probability in \[0, 1\)"),
        (
            {"activation": "leaky_relu", "negative_slope": -0.5},
            r"layer 1 \(leaky_relu\): negative_slope=-0.5, expected at least 0",
        ),
        ({"hidden_units": (4, 0)}, r"layer 2 \(linear\): out_features=0, expected at least 1"),
        ({"classes": 1}, "classes=1, expected at least 2"),
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
