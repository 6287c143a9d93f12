"""The torch engine, compared with the NumPy engine and on its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.specs import specs
from torch.utils._python_dispatch import TorchDispatchMode

import handgrad
from handgrad.architectures import Architecture, LayerSpec, mlp, preact_resnet, vgg
from handgrad.data import Augmentation
from handgrad.engines import DivergedError, Engine, EngineSpec, OptimizerSpec, engine_state, make_engine
from handgrad.engines import torch as torch_engine
from handgrad.engines.torch import TorchEngine
from handgrad.errors import ConfigError

torch.set_num_threads(1)

SPECS = {
    "sgd": OptimizerSpec("sgd", weight_decay=0.01),
    "momentum": OptimizerSpec("sgd", momentum=0.9, weight_decay=0.01),
    "nesterov": OptimizerSpec("sgd", momentum=0.8, nesterov=True),
    "adam": OptimizerSpec("adam", weight_decay=0.01),
    "clipped": OptimizerSpec("adam", clip_norm=0.5),
    "adamw": OptimizerSpec("adamw", weight_decay=0.1),
    "rmsprop": OptimizerSpec("rmsprop"),
    "rmsprop momentum": OptimizerSpec("rmsprop", momentum=0.5, weight_decay=0.01),
    "adadelta": OptimizerSpec("adadelta", weight_decay=0.01),
    "muon": OptimizerSpec("muon", weight_decay=0.1),
}
MLPS = {
    "mlp": mlp((1, 2, 3), (8, 6, 5), 3),
    "batch": mlp((1, 2, 3), (8, 6), 3, norm="batch", dropout=0.3, activation="elu"),
    "layer": mlp((1, 2, 3), (8, 6), 3, norm="layer", dropout=0.2, activation="tanh"),
}
#: Large enough that no normalisation sees maps of one pixel only: what such a one normalises is undetermined.
CNNS = {"vgg": vgg((2, 32, 32), 3, width=2), "preact-resnet": preact_resnet((2, 16, 16), 3, width=2)}
PLAIN = mlp((6,), (8,), 3)


@pytest.fixture(scope="module")
def images(make_dataset):
    """For each convolutional network, 40 images of raw bytes in 3 classes."""

    def images(architecture: Architecture):
        rng = np.random.default_rng(0)
        inputs = rng.integers(0, 256, (40, *architecture.input_shape), dtype=np.uint8)
        return make_dataset(inputs, rng.integers(0, 3, 40), kind="standard")

    return {name: images(architecture) for name, architecture in CNNS.items()}


@pytest.fixture
def make(noise):
    """An engine in float64, `noise` loaded."""

    def make(architecture=MLPS["batch"], optimizer=SPECS["adam"], dataset=noise, name="torch", **options) -> Engine:
        spec, loss, others = specs(name, **{"precision": "float64", **options})
        engine = make_engine(spec, architecture, optimizer, loss, **others)
        if dataset is not None:
            engine.load(dataset)
        return engine

    return make


@pytest.fixture
def make_twins(make):
    """A NumPy engine and a torch engine from the same seeds."""

    def twins(*args, gradients="autograd", **options) -> tuple[Engine, Engine]:
        options = {"init_seed": 4, "noise_seed": 5, **options}
        return make(*args, name="numpy", **options), make(*args, gradients=gradients, **options)

    return twins


def rates(n: int, rate: float = 0.01) -> np.ndarray:
    return np.full(n, rate)


def relative(a, b) -> float:
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    return np.abs(a - b).max(initial=0) / max(np.abs(a).max(initial=0), np.abs(b).max(initial=0), 1e-8)


def determined(architecture: Architecture) -> set[str]:
    """Parameters whose true gradient is not zero. That of a bias that batch normalisation cancels is zero (in the
    PreAct ResNet, every bias of a convolution)."""
    rows = [row for row in architecture.rows() if row.kind != "residual"]
    normalized = any(row.kind.startswith("batch_norm") for row in rows)
    names = set()
    for row in rows:
        if row.kind in ("linear", "conv2d"):
            names.add(f"{row.name}.weight")
            if not normalized or row is rows[-1]:
                names.add(f"{row.name}.bias")
        elif row.kind.endswith(("norm", "norm2d")):
            names |= {f"{row.name}.weight", f"{row.name}.bias"}
    return names


def assert_same_state(one: Engine, other: Engine) -> None:
    for name, array in one.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array, err_msg=name)


# -- twins ------------------------------------------------------------------------------------------------------------


def training_logits(engine: Engine, indices) -> np.ndarray:
    """Scores with batch statistics; running statistics lag behind and include the drift of undetermined biases."""
    engine.network.train()
    if engine.name == "torch":
        with torch.no_grad():
            return engine.network(engine._batch(torch.from_numpy(indices))[0]).numpy()
    return engine.network.forward(engine._batch(indices)[0])


def assert_twins(numpys, ours, indices, learning_rates, tolerance: float) -> None:
    """Compares the loss of every step, then logits and parameters, within a relative tolerance."""
    expected, actual = numpys.train(indices, learning_rates), ours.train(indices, learning_rates)
    assert relative(actual.loss, expected.loss) < tolerance
    np.testing.assert_array_equal(actual.correct, expected.correct)
    assert actual.samples == expected.samples
    assert (actual.loss.dtype, actual.correct.dtype) == (expected.loss.dtype, expected.correct.dtype)
    assert relative(*(training_logits(engine, indices[0]) for engine in (numpys, ours))) < tolerance
    assert relative(*(engine.evaluate(indices).loss for engine in (numpys, ours))) < max(tolerance, 1e-4)
    state, theirs = ours.state_dict(), numpys.state_dict()
    assert set(state) == set(theirs)
    for name in determined(ours.architecture):
        assert relative(state[name], theirs[name]) < tolerance, name
    for name in state:
        if name.endswith("num_batches_tracked"):
            assert state[name] == theirs[name]


@pytest.mark.parametrize("gradients", ["hand", "autograd"])
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("name", MLPS)
def test_a_hundred_steps_of_mlps(make_twins, make_batches, name, spec, gradients):
    numpys, ours = make_twins(MLPS[name], SPECS[spec], gradients=gradients)
    learning_rates = 0.01 / (1 + 0.01 * np.arange(100))
    assert_twins(numpys, ours, make_batches(100), learning_rates, 1e-10)


@pytest.mark.parametrize(
    ("name", "spec", "gradients"),
    [("vgg", "momentum", "autograd"), ("preact-resnet", "adam", "hand")]
    + [
        pytest.param(name, spec, gradients, marks=pytest.mark.exhaustive)
        for name in CNNS
        for spec in SPECS
        for gradients in ("hand", "autograd")
    ],
)
def test_a_hundred_steps_of_convolutional_networks(make_twins, images, make_batches, unchecked, name, spec, gradients):
    numpys, ours = make_twins(CNNS[name], SPECS[spec], images[name], gradients=gradients)
    assert_twins(numpys, ours, make_batches(100, 8, samples=40), rates(100, 5e-4), 1e-10)


@pytest.mark.parametrize("name", CNNS)
def test_ten_steps_of_convolutional_networks_in_float32(make_twins, images, make_batches, unchecked, name):
    numpys, ours = make_twins(CNNS[name], SPECS["momentum"], images[name], precision="float32", gradients="hand")
    indices = make_batches(10, 8, samples=40)
    assert relative(*(engine.train(indices, rates(10, 5e-4)).loss for engine in (numpys, ours))) < 1e-4
    assert relative(*(training_logits(engine, indices[0]) for engine in (numpys, ours))) < 1e-3


@pytest.mark.parametrize("gradients", ["hand", "autograd"])
@pytest.mark.parametrize("name", MLPS)
def test_a_hundred_steps_in_float32(make_twins, make_batches, name, gradients):
    """Rounding errors grow with the steps; docs/pytorch.md states by how much the engines diverge."""
    numpys, ours = make_twins(MLPS[name], SPECS["adam"], gradients=gradients, precision="float32")
    indices = make_batches(100)
    expected, actual = numpys.train(indices, rates(100)), ours.train(indices, rates(100))
    assert relative(actual.loss, expected.loss) < 1e-5
    assert relative(*(training_logits(engine, indices[0]) for engine in (numpys, ours))) < 1e-5
    assert all(array.dtype == np.float32 for array in ours.state_dict().values() if array.dtype.kind == "f")


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "nll"},
        {"loss": "mse"},
        {"label_smoothing": 0.1},
        {"init": "normal:0.1"},
    ],
    ids=str,
)
@pytest.mark.parametrize("gradients", ["hand", "autograd"])
def test_losses_and_initialisers(make_twins, make_batches, options, gradients):
    architecture = PLAIN
    if options.get("loss") == "nll":
        architecture = Architecture("nll", (6,), (*PLAIN.layers, LayerSpec("log_softmax")))
    numpys, ours = make_twins(architecture, gradients=gradients, **options)
    assert_same_state(numpys, ours)
    assert_twins(numpys, ours, make_batches(20), rates(20), 1e-11)
    evaluated = [engine.evaluate(np.arange(90)).loss[0] for engine in (numpys, ours)]
    assert evaluated[1] == pytest.approx(evaluated[0], rel=1e-11)


@pytest.mark.parametrize("kind", ["none", "mean-image", "unit", "standard"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_batches_are_those_of_the_data_set(make, make_dataset, kind, precision):
    rng = np.random.default_rng(0)
    for inputs in (rng.integers(0, 256, (90, 1, 2, 3), dtype=np.uint8), rng.standard_normal((90, 1, 2, 3), np.float32)):
        inputs.flags.writeable = False
        dataset = make_dataset(inputs, rng.integers(0, 3, 90), kind=kind)
        indices = rng.integers(0, 90, 20)
        engine = make(dataset=dataset, precision=precision)
        x, labels = engine._batch(torch.from_numpy(indices))
        np.testing.assert_array_equal(x.numpy(), dataset.gather(indices, dtype=precision).reshape(20, 6))
        np.testing.assert_array_equal(labels, dataset.labels[indices])


@pytest.mark.parametrize(("crop", "flip"), [(2, True), (0, True), (3, False)])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_augmented_images_are_those_of_the_data_set(make, images, make_batches, crop, flip, precision):
    dataset = replace(images["vgg"], augmentation=Augmentation(crop, flip, seed=3))
    engine = make(CNNS["vgg"], dataset=dataset, precision=precision)
    indices = make_batches(3, 7, samples=40)
    for step, changes in enumerate(engine._dataset.changes(5, 3, 7)):
        x, labels = engine._batch(torch.from_numpy(indices[step]), changes)
        expected = dataset.gather_for_training(indices[step], 5 + step, dtype=precision)
        assert not np.array_equal(expected, dataset.gather(indices[step], dtype=precision))
        np.testing.assert_array_equal(x.numpy(), expected)
        np.testing.assert_array_equal(labels, dataset.labels[indices[step]])


def test_augmented_training(make_twins, images, make_batches, unchecked):
    """Also in several calls: the augmentation of an image depends on the number of the step."""
    dataset = replace(images["vgg"], augmentation=Augmentation(2, True))
    numpys, ours = make_twins(CNNS["vgg"], SPECS["sgd"], dataset)
    indices = make_batches(4, 8, samples=40)
    expected = numpys.train(indices, rates(4))
    actual = np.concatenate([ours.train(indices[:1], rates(1)).loss, ours.train(indices[1:], rates(3)).loss])
    assert relative(actual, expected.loss) < 1e-11


@pytest.mark.parametrize("first", ["numpy", "torch"])
@pytest.mark.parametrize("spec", SPECS)
def test_one_engine_goes_on_where_the_other_stopped(make_twins, make_batches, noise, spec, first):
    whole, other = make_twins(MLPS["batch"], SPECS[spec])
    if first == "torch":
        whole, other = other, whole
    whole.train(make_batches(15), rates(15))
    arrays, settings = whole.checkpoint()
    other.restore(arrays, json.loads(json.dumps(settings)))
    assert_same_state(whole, other)
    if first == "numpy":  # and back: nothing is lost on the way
        again = engine_state("numpy", other.checkpoint()[0], (0.9, 0.999))
        assert set(again) == set(arrays)
        for name, array in arrays.items():
            assert again[name].shape == array.shape
            assert again[name].dtype == array.dtype
            exact = "/exp_" not in name  # PyTorch's averages are our sums but for a factor
            np.testing.assert_allclose(again[name], array, rtol=0 if exact else 1e-15, err_msg=name)
    expected, actual = (engine.train(make_batches(15, seed=1), rates(15)) for engine in (whole, other))
    assert relative(actual.loss, expected.loss) < 1e-10
    assert relative(other.predict(noise.inputs), whole.predict(noise.inputs)) < 1e-10


# -- by itself --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "float64", "bf16", "fp16"])
@pytest.mark.parametrize("gradients", ["hand", "autograd"])
def test_digits_are_learned(digits, precision, gradients):
    network = mlp(digits.input_shape, (32,), 10, norm="batch")
    engine = make_engine(EngineSpec("torch", precision, gradients=gradients), network, OptimizerSpec())
    assert isinstance(engine, Engine)
    engine.load(digits)
    train, test = digits.indices("train"), digits.indices("test")
    rng = np.random.default_rng(0)
    before = engine.evaluate(test)
    assert engine._forward_pass(*engine._batch(torch.arange(4)))[0].dtype == engine.dtype  # a loss in bf16 has 2 digits
    for _ in range(5):
        engine.train(rng.permutation(train)[: len(train) // 32 * 32].reshape(-1, 32), rates(len(train) // 32, 3e-3))
    after = engine.evaluate(test)
    assert after.loss[0] < 0.2 * before.loss[0]
    assert after.correct[0] / after.samples > 0.93
    expected = np.float64 if precision == "float64" else np.float32
    assert all(array.dtype == expected for array in engine.state_dict().values() if array.dtype.kind == "f")


@pytest.mark.parametrize("precision", ["float32", "float64", "fp16"])
@pytest.mark.parametrize("spec", SPECS)
def test_a_checkpoint_goes_on_as_if_nothing_had_been(make, make_batches, spec, precision):
    through = make(optimizer=SPECS[spec], noise_seed=8, precision=precision)
    through.train(make_batches(6), rates(6))
    arrays, settings = through.checkpoint()
    kept = {name: array.copy() for name, array in arrays.items()}
    expected = through.train(make_batches(6, seed=1), rates(6))
    for name, array in kept.items():  # what the engine gave stays as it was
        np.testing.assert_array_equal(arrays[name], array)

    resumed = make(optimizer=SPECS[spec], init_seed=9, noise_seed=99, precision=precision)
    resumed.train(make_batches(2, seed=7), rates(2))
    resumed.restore(arrays, json.loads(json.dumps(settings)))
    actual = resumed.train(make_batches(6, seed=1), rates(6))
    np.testing.assert_array_equal(actual.loss, expected.loss)
    np.testing.assert_array_equal(actual.correct, expected.correct)
    assert_same_state(through, resumed)


def test_the_loss_scale_is_kept(make, make_batches):
    engine, resumed = (make(precision="fp16") for _ in range(2))
    engine.train(make_batches(2), rates(2))
    engine.scaler.update(new_scale=8.0)
    arrays, settings = engine.checkpoint()
    resumed.restore(arrays, json.loads(json.dumps(settings)))
    resumed.train(make_batches(1), rates(1))
    assert resumed.scaler.get_scale() == 8


def test_steps_may_come_in_pieces(make, make_batches):
    whole, pieces = make(), make()
    indices, learning_rates = make_batches(10), 0.05 / (1 + np.arange(10))
    expected = whole.train(indices, learning_rates)
    parts = [pieces.train(indices[a:b], learning_rates[a:b]) for a, b in ((0, 5), (5, 5), (5, 6), (6, 10))]
    np.testing.assert_array_equal(np.concatenate([p.loss for p in parts]), expected.loss)
    np.testing.assert_array_equal(np.concatenate([p.correct for p in parts]), expected.correct)
    assert_same_state(whole, pieces)


@pytest.mark.parametrize("n", [0, 1, 7, 14, 90])
def test_evaluation_sums_over_all_samples(make_twins, make_batches, monkeypatch, n):
    monkeypatch.setattr(torch_engine, "EVALUATION_BATCH", 7)
    numpys, ours = make_twins(optimizer=SPECS["sgd"])
    for engine in (numpys, ours):
        engine.train(make_batches(5), rates(5))
    indices = np.random.default_rng(0).permutation(90)[:n]
    expected, actual = numpys.evaluate(indices), ours.evaluate(indices)
    np.testing.assert_allclose(actual.loss, expected.loss, rtol=1e-11)
    np.testing.assert_array_equal(actual.correct, expected.correct)
    assert actual.samples == n
    assert (actual.loss.dtype, actual.correct.dtype) == (np.float64, np.int64)


def test_indices_of_evaluation_may_have_any_shape(make, make_batches):
    engine, indices = make(), make_batches(6, 5)
    assert engine.evaluate(indices).loss[0] == engine.evaluate(indices.ravel()).loss[0]


def test_evaluating_and_predicting_change_nothing(make, make_batches, noise):
    engine, watched = make(), make()
    for each in (engine, watched):
        each.train(make_batches(4), rates(4))
    watched.evaluate(np.arange(90))
    watched.predict(noise.inputs)
    for each in (engine, watched):
        each.train(make_batches(4, seed=1), rates(4))
    assert_same_state(engine, watched)


def test_predictions(make_twins, noise, monkeypatch):
    monkeypatch.setattr(torch_engine, "EVALUATION_BATCH", 8)
    numpys, ours = make_twins()
    scores = ours.predict(noise.inputs)
    np.testing.assert_allclose(scores, numpys.predict(noise.inputs), rtol=1e-11)
    assert ours.predict(noise.inputs[:0]).shape == (0, 3)
    assert scores.dtype == np.float64


def test_the_state_loads_into_plain_pytorch_and_back(make, images, make_batches):
    engine = make(CNNS["vgg"], dataset=images["vgg"], precision="float32")
    engine.train(make_batches(2, 8, samples=40), rates(2))
    network = handgrad.torch.build(CNNS["vgg"], "autograd")
    network.load_state_dict({name: torch.from_numpy(a) for name, a in engine.state_dict().items()}, strict=True)
    other = make(CNNS["vgg"], dataset=images["vgg"], precision="float32", init_seed=7)
    other.load_state_dict({name: tensor.numpy() for name, tensor in network.state_dict().items()})
    assert_same_state(engine, other)
    inputs = images["vgg"].gather(np.arange(5))
    with torch.no_grad():
        np.testing.assert_allclose(
            network.eval()(torch.from_numpy(inputs)), other.predict(inputs), rtol=1e-5, atol=1e-6
        )


def test_seeds(make, make_batches):
    def run(**options):
        engine = make(**options)
        engine.train(make_batches(3), rates(3))
        return engine.state_dict()["0.weight"]

    torch.manual_seed(0)
    here = torch.get_rng_state()
    first = run(init_seed=1, noise_seed=2)
    np.testing.assert_array_equal(first, run(init_seed=1, noise_seed=2))
    assert not np.array_equal(first, run(init_seed=1, noise_seed=3))
    assert not np.array_equal(first, run(init_seed=2, noise_seed=2))
    assert torch.equal(torch.get_rng_state(), here)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")  # PyTorch's compiler warns of itself
@pytest.mark.parametrize("gradients", ["hand", "autograd"])
def test_compiled_steps(make, make_batches, gradients):
    plain, compiled = (make(gradients=gradients, compile=value, precision="float32") for value in (False, True))
    indices = make_batches(10)
    expected, actual = (engine.train(indices, rates(10)) for engine in (plain, compiled))
    np.testing.assert_allclose(actual.loss, expected.loss, rtol=1e-4)
    assert list(compiled.state_dict()) == list(plain.state_dict())
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0


# -- a device that must not be asked during a step --------------------------------------------------------------------


class _Asked(TorchDispatchMode):
    """Counts how often a value is read from the device."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        self.times += (
            "_local_scalar_dense" in name or "nonzero" in name or name.removeprefix("aten.") == "equal.default"
        )
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("gradients", ["hand", "autograd"])
@pytest.mark.parametrize("spec", SPECS)
def test_nothing_is_asked_of_the_device_in_a_step(make, make_batches, spec, gradients):
    engine = make(optimizer=SPECS[spec], gradients=gradients)
    indices = make_batches(3)
    engine.checks_every_step = False
    with _Asked() as asked:
        engine.train(indices, rates(3))
    assert asked.times == 0
    engine.checks_every_step = True
    with _Asked() as asked:
        engine.train(indices, rates(3))
    assert asked.times == 3  # so the count is one that can be other than 0


def test_divergence_is_found_at_the_end_where_steps_are_not_asked(make, make_batches):
    engine, before = (make(PLAIN, OptimizerSpec("sgd"), precision="float32") for _ in range(2))
    engine.checks_every_step = False
    learning_rates = np.concatenate([rates(3), rates(6, 1e25)])
    with pytest.raises(
        DivergedError, match=r"of layer 0 \(linear\) is no longer finite after the last update; the l"
    ) as e:
        engine.train(make_batches(9), learning_rates)
    assert e.value.step == 4
    np.testing.assert_array_equal(e.value.figures.loss, before.train(make_batches(9)[:4], learning_rates[:4]).loss)


# -- divergence -------------------------------------------------------------------------------------------------------


def test_nan_in_the_data(make, make_dataset, noise):
    inputs = noise.inputs.copy()
    inputs[17, 0, 1, 1] = np.nan
    engine, before = (make(dataset=make_dataset(inputs, noise.labels)) for _ in range(2))
    indices = np.array([[0, 1, 2], [3, 4, 5], [16, 17, 18], [6, 7, 8]])
    with pytest.raises(DivergedError, match="the data contain values that are not finite: check the input") as e:
        engine.train(indices, rates(4))
    assert e.value.step == 2
    expected = before.train(indices[:2], rates(2))
    np.testing.assert_array_equal(e.value.figures.loss, expected.loss)
    np.testing.assert_array_equal(e.value.figures.correct, expected.correct)
    assert e.value.figures.samples == 3
    for name, _ in before.network.named_parameters():
        np.testing.assert_array_equal(engine.state_dict()[name], before.state_dict()[name], err_msg=name)


@pytest.mark.parametrize("rate", [1e25, 1e300])
def test_a_learning_rate_too_high_is_told_in_the_same_words(make_twins, make_batches, rate):
    causes = []
    for engine in make_twins(PLAIN, OptimizerSpec("sgd"), precision="float32"):
        with pytest.raises(DivergedError) as e:
            engine.train(make_batches(9), np.concatenate([rates(3), rates(6, rate)]))
        assert (e.value.step, len(e.value.figures.loss)) == (4, 4)
        causes.append(e.value.cause)
    assert causes[0] == causes[1]


def test_finite_scores_with_a_loss_that_is_not(make, make_dataset):
    dataset = make_dataset(np.ones((4, 1, 1, 1), np.float32), np.zeros(4), 2)
    engine = make(mlp((1,), (), 2), dataset=dataset, precision="float32")
    engine.load_state_dict({"0.weight": np.array([[-3e38], [3e38]]), "0.bias": np.zeros(2)})
    message = r"the scores are finite \(up to 3\.0e\+38\) but their loss is not; the learning rate is most likely"
    with pytest.raises(DivergedError, match=message) as e:
        engine.train(np.array([[0, 1]]), rates(1))
    assert e.value.figures.loss.shape == (0,)


def test_the_layer_inside_of_a_block_is_named(make, images):
    engine = make(CNNS["preact-resnet"], dataset=images["preact-resnet"], precision="float32")
    state = engine.state_dict()
    state["1.2.weight"] = np.full_like(state["1.2.weight"], 3e38)
    engine.load_state_dict(state)
    with pytest.raises(DivergedError, match=r"layer 1\.2 \(conv2d\) is the first whose output overflows \(inputs up"):
        engine.train(np.arange(16).reshape(1, 16), rates(1))


# -- errors -----------------------------------------------------------------------------------------------------------


def test_no_data(make):
    engine = make(dataset=None)
    for call in (lambda: engine.train(np.zeros((1, 2), np.int64), rates(1)), lambda: engine.evaluate(np.arange(3))):
        with pytest.raises(RuntimeError, match=r"the engine has no data: call load\(dataset\) first"):
            call()


def test_data_that_does_not_fit(make, make_dataset, digits):
    with pytest.raises(
        ConfigError, match=r"the network takes 6 numbers per sample .* data set digits has 64 \(input_sh"
    ):
        make(dataset=digits)
    with pytest.raises(ConfigError, match=r"the network returns \(3,\) scores, data set made-up has 4 classes"):
        make(dataset=make_dataset(np.zeros((4, 1, 2, 3), np.float32), np.zeros(4), 4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"device": "cuda"},
            r"device=cuda is not available: PyTorch .* finds no such device on this machine; use device=cpu",
        ),
        ({"device": "cuda:7"}, "device=cuda:7 is not available"),
        ({"device": "mps"}, "device=mps is not available"),
        ({"device": "tpu"}, "device='tpu' is unknown, expected one of cpu, cuda, mps"),
        ({"device": "cuda:x"}, "device='cuda:x' is unknown"),
        ({"precision": "float16"}, "precision='float16' is unknown, expected one of float32, float64, bf16, fp16"),
        ({"gradients": "both"}, "gradients='both' is unknown, expected one of hand, autograd"),
        ({"loss": "hinge"}, "loss='hinge' is unknown, expected one of cross_entropy"),
        ({"loss": "mse", "label_smoothing": 0.1}, "label_smoothing=0.1 applies to loss=cross_entropy, not to mse"),
        (
            {"name": "numpy", "device": "cuda"},
            "device=cuda requires engine=torch: the numpy engine does not support it",
        ),
        ({"name": "numpy", "precision": "bf16"}, "precision=bf16 requires engine=torch"),
        ({"name": "numpy", "compile": True}, "compile=true requires engine=torch"),
        ({"name": "numpy", "gradients": "autograd"}, "gradients=autograd requires engine=torch"),
        ({"name": "abacus"}, "engine='abacus' is unknown, expected one of numpy, torch"),
    ],
)
def test_settings_that_cannot_be(make, options, message):
    if torch.cuda.is_available() and options.get("device") == "cuda":
        pytest.skip("the device is there")
    with pytest.raises(ConfigError, match=message):
        make(**options)


def test_a_device_that_has_no_float64(make, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    message = "device=mps cannot compute in float64: use precision=float32 or device=cpu"
    with pytest.raises(ConfigError, match=message):
        make(device="mps", precision="float64")


def test_stacked_models_are_the_numpy_engines(unchecked):
    with pytest.raises(
        ConfigError, match="the torch engine trains one network at a time: stacked models need engine=n"
    ):
        TorchEngine(PLAIN, OptimizerSpec(), init_seed=[1, 2])
    with pytest.raises(ConfigError, match="several optimizers are for a stack of models, which requires engine=numpy"):
        make_engine("torch", PLAIN, [OptimizerSpec(), OptimizerSpec()])


@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_augmentation_of_rows(make, make_dataset, name):
    rows = make_dataset(np.ones((9, 6), np.float32), np.arange(9) % 3)
    engine = make(PLAIN, dataset=replace(rows, augmentation=Augmentation(random_crop=1)), name=name)
    with pytest.raises(ConfigError, match=r"change images \(C, H, W\); these samples have shape=\(6,\)"):
        engine.train(np.zeros((1, 4), np.int64), np.full(1, 0.1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("0.bias"), "the state has no 0.bias: it belongs to another architecture"),
        (
            lambda state: state.update(x=np.zeros(1)),
            "the state has x, which this network does not have: it belongs to another architecture",
        ),
        (
            lambda state: state.update({"0.bias": np.zeros(9)}),
            r"0.bias: expected shape=\(8,\), got shape=\(9,\): the state belongs to another",
        ),
    ],
)
def test_a_state_of_another_architecture(make, change, message):
    engine = make(PLAIN)
    state = engine.state_dict()
    before = {name: array.copy() for name, array in state.items()}
    change(state)
    with pytest.raises(ValueError, match=message):
        engine.load_state_dict(state)
    for name, array in before.items():
        np.testing.assert_array_equal(engine.state_dict()[name], array)


def test_without_pytorch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from handgrad.engines import OptimizerSpec, make_engine\n"
        "from handgrad.architectures import mlp\n"
        "make_engine('torch', mlp((4,), (), 2), OptimizerSpec())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    message = 'ConfigError: engine=torch requires PyTorch, which is not installed: pip install "handgrad[torch]"'
    assert message in result.stderr.splitlines()[-1]


# -- whole runs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [("numpy", "torch"), ("torch", "numpy")])
def test_a_run_changes_engines(tmp_path, first, second):
    settings = {"recipe": "digits", "eval_freq": 10, "precision": "float64", "hidden_units": (16,), "threads": 1}
    whole = handgrad.train(run_dir=tmp_path / "whole", max_steps=40, engine=first, **settings)
    handgrad.train(run_dir=tmp_path / "parts", max_steps=20, engine=first, **settings)
    parts = handgrad.train(run_dir=tmp_path / "parts", resume=True, max_steps=40, engine=second)
    assert parts.config.engine == parts.summary["engine"] == second
    assert parts.summary["versions"].get("torch") == (torch.__version__ if second == "torch" else None)
    for a, b in zip(whole.metrics, parts.metrics, strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-10)
        assert a["test_accuracy"] == b["test_accuracy"]
    for engine in ("numpy", "torch"):
        evaluated = parts.evaluate(engine=engine)["test"]
        assert evaluated["loss"] == pytest.approx(whole.metrics[-1]["test_loss"], rel=1e-10)
    inputs = handgrad.data.load("digits").inputs[:5]
    np.testing.assert_allclose(parts.predict(inputs), parts.predict(inputs, engine=first), rtol=1e-9)


def test_a_run_in_bfloat16_is_evaluated_by_numpy(tmp_path):
    run = handgrad.train(
        "digits",
        run_dir=tmp_path / "run",
        max_steps=20,
        eval_freq=20,
        engine="torch",
        precision="bf16",
        gradients="hand",
    )
    ours, numpys = (run.evaluate(engine=engine)["test"] for engine in ("torch", "numpy"))
    assert ours["loss"] == pytest.approx(numpys["loss"], rel=0.05)
