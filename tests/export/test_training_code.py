"""The exported training step of a network: its gradients, its update, and that it runs."""

import dataclasses
import types

import numpy as np
import pytest
from tests.export import networks

from handgrad import nn
from handgrad.architectures import Architecture, LayerSpec
from handgrad.data import Dataset, Preprocessing
from handgrad.engines import OPTIMIZERS, EngineSpec
from handgrad.engines.numpy import NumpyEngine
from handgrad.errors import ConfigError
from handgrad.export.python import python_file
from handgrad.training import TrainConfig


def load(network, dtype=np.float64):
    """The file as a module, with its parameters in `dtype`."""
    module = types.ModuleType("net")
    exec(compile(python_file(network, file_name="net.py", training=True), "net.py", "exec"), module.__dict__)
    module.W.update((name, array.astype(dtype)) for name, array in module.W.items())
    return module


def without_dropout(network):
    """The same network with inactive dropout."""

    def still(layer):
        return LayerSpec("dropout", {"p": 0.0}) if layer.kind == "dropout" else layer

    layers = tuple(map(still, network.architecture.layers))
    return dataclasses.replace(network, architecture=dataclasses.replace(network.architecture, layers=layers))


def batch(network, n=6):
    raw, _, _ = networks.inputs(network, n)
    x = ((raw - network.shift) * network.scale).astype(np.float64)
    return x.reshape(n, *network.architecture.input_shape), np.arange(n) % 3


def generator(network):
    return [np.random.default_rng(0)] if any(r.kind == "dropout" for r in network.architecture.rows()) else []


@pytest.mark.parametrize("name", networks.ARCHITECTURES)
def test_gradients_are_those_of_the_layers(name, close):
    network = without_dropout(networks.trained(name))
    x, labels = batch(network)
    module = load(network)
    loss, gradients = module.gradients(x, labels, *generator(network))

    ours, criterion = network.network().astype(np.float64).train(), nn.SoftmaxCrossEntropy()
    close(loss, criterion.forward(ours.forward(x), labels), 1e-12)
    ours.backward(criterion.backward())
    expected = {name: parameter.grad for name, parameter in ours.named_parameters()}
    assert gradients.keys() == expected.keys()
    for key, gradient in gradients.items():
        least = 1e-4 * max(np.abs(g).max() for g in expected.values())  # a bias before a normalisation has none
        assert np.abs(gradient - expected[key]).max() < 1e-9 * max(np.abs(gradient).max(), least)
    for key, buffer in ours.named_buffers():
        if "running" in key:
            close(module.W[key], buffer, 1e-12)


@pytest.mark.parametrize("name", networks.ARCHITECTURES)
def test_gradients_are_those_of_differences(name):
    network = networks.trained(name)  # dropout at work
    raw, _, _ = networks.inputs(network, 6)
    module = load(network, np.float32)
    before = {key: array.copy() for key, array in module.W.items()}
    errors = module.check(raw, np.arange(6) % 3, entries=1 if raw.ndim == 4 else 3)
    assert errors
    assert max(errors.values()) < 2e-5, errors
    for key, array in module.W.items():  # left as they were
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, before[key])


def test_a_wrong_gradient_is_seen_by_the_check():
    network = networks.trained("mlp-tanh")
    text = python_file(network, file_name="net.py", training=True)
    wrong = text.replace("(1 - x2 * x2)", "(1 + x2 * x2)")
    assert wrong != text
    module = types.ModuleType("net")
    exec(wrong, module.__dict__)
    assert module.check(networks.inputs(network, 6)[0], np.arange(6) % 3)["0.weight"] > 1e-2


LOSSES = [("cross_entropy", {}), ("cross_entropy", {"label_smoothing": 0.2}), ("mse", {})]


@pytest.mark.parametrize(("loss", "options"), LOSSES)
def test_the_loss_is_the_engines(loss, options, close):
    config = dataclasses.replace(TrainConfig(), loss=loss, **options)
    check_steps(networks.trained("mlp-tanh", loss=loss, config=config), close)


@pytest.mark.parametrize(("loss", "options"), [("mse", {}), ("l1", {}), ("huber", {}), ("huber", {"huber_delta": 0.3})])
@pytest.mark.parametrize("scaled", [True, False])
def test_the_loss_of_a_regression_is_the_engines(loss, options, scaled, close):
    config = dataclasses.replace(TrainConfig(), loss=loss, **options)
    scaling = {"target_shift": np.array([10, -2, 3]), "target_scale": np.array([0.5, 2, 1.0])} if scaled else {}
    network = networks.trained("mlp-tanh", loss=loss, config=config, task="regression", **scaling)
    targets = np.random.default_rng(5).normal(size=(6, 3))
    targets[:3] *= 3  # some of them further away than any delta
    check_steps(
        network, close, targets=targets / scaling["target_scale"] + scaling["target_shift"] if scaled else targets
    )


def test_log_probabilities_and_their_loss(close):
    config = dataclasses.replace(TrainConfig(), loss="nll")
    check_steps(networks.trained("log-softmax", config=config), close)


RULES = {
    **{name: {} for name in OPTIMIZERS},
    "sgd with momentum": {"momentum": 0.8, "weight_decay": 0.1},
    "sgd with Nesterov's": {"momentum": 0.8, "nesterov": True},
    "adam with decay": {"weight_decay": 0.1, "beta1": 0.8, "beta2": 0.95},
    "adamw with decay": {"weight_decay": 0.1, "clip_norm": 0.05},
    "rmsprop with momentum": {"momentum": 0.5, "weight_decay": 0.01},
    "muon with decay": {"weight_decay": 0.1, "momentum": 0.9},
}


@pytest.mark.parametrize("rule", RULES)
def test_steps_are_the_engines(rule, close):
    config = dataclasses.replace(TrainConfig(), optimizer=rule.partition(" ")[0], **RULES[rule])
    check_steps(networks.trained("mlp-elu", config=config), close)


def test_a_convolutional_step_is_the_engines(close):
    config = dataclasses.replace(TrainConfig(), optimizer="muon")
    check_steps(networks.trained("preact-resnet", config=config), close)


def check_steps(network, close, steps=3, targets=None):
    """Three steps of the file and of the NumPy engine in float64; for a regression, with these targets."""
    x, labels = batch(network)
    scaling = None
    if targets is not None:
        labels, own = targets, (network.target_shift, network.target_scale)
        scaling = (
            Preprocessing("standard", *own) if own[0] is not None else Preprocessing("none", np.zeros(3), np.ones(3))
        )
    module = load(network)
    config, shape = network.config, network.architecture.input_shape
    one = np.ones((1,) * len(shape), np.float32)
    dataset = Dataset(
        "test",
        x,
        labels,
        {"train": range(len(x))},
        network.classes,
        1.0,
        Preprocessing("none", 0 * one, one),
        task=network.task,
        target_scaling=scaling,
    )
    spec, loss = EngineSpec(precision="float64"), config.loss_spec(network.task)
    engine = NumpyEngine(network.architecture, config.optimizer_spec(), spec, loss)
    engine.load(dataset)
    engine.load_state_dict(network.state)
    figures = engine.train(np.tile(np.arange(len(x)), (steps, 1)), np.full(steps, 0.01))
    for step in range(steps):
        loss, gradients = module.gradients(x, labels, *generator(network))
        module.update(gradients, 0.01)
        close(loss, figures.loss[step] / len(x), 1e-9)
    for name, array in engine.state_dict().items():
        if name in module.W:
            close(module.W[name], array, 1e-8)


@pytest.mark.parametrize("init", ["kaiming", "kaiming_uniform", "xavier", "xavier_uniform", "orthogonal", "pytorch"])
@pytest.mark.parametrize("name", ["mlp-gelu", "preact-resnet"])
def test_it_begins_as_the_run_began(init, name, close):
    config = dataclasses.replace(TrainConfig(), init=init)
    network = networks.trained(name, config=config)
    module = load(network, np.float32)
    module.initialise()
    seed = config.seeds()["init_seed"]
    engine = NumpyEngine(network.architecture, config.optimizer_spec(), init=init, init_seed=seed)
    for key, array in engine.state_dict().items():
        if key in module.W:
            close(module.W[key], array, 1e-6)


@pytest.mark.parametrize("init", ["normal:0.1", "uniform:0.2", "zeros"])
def test_it_begins_with_numbers_of_ones_own(init, close):
    test_it_begins_as_the_run_began(init, "mlp-gelu", close)


def test_it_trains(capsys):
    network = networks.trained("mlp-batch")
    module = load(network, np.float32)
    raw, _, _ = networks.inputs(network, 30)
    labels = (raw.sum(axis=1) > 0).astype(int)
    module.initialise()
    module.train(raw, labels, steps=200, learning_rate=0.01, batch_size=16)
    assert (module.predict(raw).argmax(axis=1) == labels).mean() > 0.9
    assert "step 200/200   loss 0." in capsys.readouterr().out


def test_targets_of_a_regression_are_learned_in_their_own_units(close):
    config = dataclasses.replace(TrainConfig(), loss="mse")
    shift, scale = np.array([10, 20, -5], np.float32), np.array([2, 0.5, 100], np.float32)
    network = networks.trained(
        "mlp-tanh", loss="mse", task="regression", config=config, target_shift=shift, target_scale=scale
    )
    module = load(network)
    x, _ = batch(network)
    targets = module.forward(x) / scale + shift + 1 / scale  # each output one short of its target
    loss, gradients = module.gradients(x, targets)
    close(loss, 1.0, 1e-6)
    close(gradients["4.bias"], np.full(3, -2 / 3), 1e-6)


def test_a_network_without_layers_to_train_still_has_a_step():
    network = networks.trained("mlp-relu", architecture=Architecture("none", (3,), (LayerSpec("identity"),)), state={})
    module = load(network)
    loss, gradients = module.gradients(np.eye(3), np.arange(3))
    assert gradients == {}
    assert loss > 0


def test_a_loss_that_it_does_not_know_is_refused(monkeypatch):
    monkeypatch.setattr(TrainConfig, "loss_spec", lambda *_: types.SimpleNamespace(name="hinge"))
    with pytest.raises(ConfigError, match="with_training does not support loss=hinge"):
        python_file(networks.trained(), file_name="net.py", training=True)
