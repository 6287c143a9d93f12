"""The NumPy engine: sums for indices, runs that repeat bit for bit, and its errors."""

from __future__ import annotations

import gc
import json
import tracemalloc
import weakref

import numpy as np
import pytest

from handgrad import nn
from handgrad.architectures import Architecture, LayerSpec, mlp
from handgrad.engines import DivergedError, Engine, EngineSpec, OptimizerSpec, numpy
from handgrad.engines import make_engine as make_engine_by_name
from handgrad.engines.numpy import NumpyEngine, build
from handgrad.errors import ConfigError
from handgrad.kernels import activations, arena, linear, optimizers

SPECS = [
    OptimizerSpec("adam"),
    OptimizerSpec("adam", weight_decay=0.01),
    OptimizerSpec("sgd"),
    OptimizerSpec("sgd", momentum=0.9, nesterov=True, weight_decay=0.01),
    OptimizerSpec("sgd", clip_norm=0.5),
    OptimizerSpec("adamw", weight_decay=0.1),
    OptimizerSpec("rmsprop", momentum=0.5),
    OptimizerSpec("adadelta"),
    OptimizerSpec("muon", weight_decay=0.1),
]
PLAIN = mlp((6,), (8,), 3, activation="tanh", norm="batch")


def rates(steps: int, rate: float = 0.01) -> np.ndarray:
    return np.full(steps, rate)


def assert_same_state(a, b) -> None:
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    for name, array in a.items():
        np.testing.assert_array_equal(array, b[name], err_msg=name)


# -- smoke ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_digits_are_learned(digits, dtype):
    spec = EngineSpec("numpy", np.dtype(dtype).name)
    engine = NumpyEngine(mlp(digits.input_shape, (32,), 10), OptimizerSpec("adam"), spec)
    engine.load(digits)
    assert isinstance(engine, Engine)
    train, test = digits.indices("train"), digits.indices("test")
    rng = np.random.default_rng(0)
    before = engine.evaluate(test)
    losses = []
    for _ in range(10):
        indices = rng.permutation(train)[: len(train) // 32 * 32].reshape(-1, 32)
        losses.append(engine.train(indices, rates(len(indices), 3e-3)).loss.sum())
    after = engine.evaluate(test)
    assert losses[-1] < 0.1 * losses[0]
    assert after.loss[0] < 0.2 * before.loss[0]
    assert after.correct[0] / after.samples > 0.93
    assert all(array.dtype == dtype for array in engine.state_dict().values())


# -- indices and sums -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_training_is_the_plain_loop(make_engine, noise, make_batches, spec):
    """Compares the engine with its kernels, flat buffers and arena to the layers themselves."""
    architecture = mlp((6,), (8, 5), 3, norm="batch", dropout=0.3)
    engine = make_engine(architecture, spec, init_seed=4, noise_seed=5)
    indices, learning_rates = make_batches(30), 0.02 / (1 + np.arange(30))
    figures = engine.train(indices, learning_rates)

    network, loss = build(architecture, init_rng=4, noise_rng=5, dtype=np.float64), nn.SoftmaxCrossEntropy()
    moved = dict(network.named_parameters())
    if spec.name == "muon":
        hidden = moved.pop("4.weight")  # the matrix between the two hidden layers
        optimizers = [
            nn.Muon([hidden], adjust="match_rms_adamw", weight_decay=0.1),
            nn.AdamW(moved.values(), weight_decay=0.1),
        ]
    else:
        rule = {"sgd": nn.SGD, "adam": nn.Adam, "adamw": nn.AdamW, "rmsprop": nn.RMSprop, "adadelta": nn.Adadelta}
        options = {"weight_decay": spec.weight_decay}
        if spec.momentum is not None:
            options["momentum"] = spec.momentum
        if spec.nesterov:
            options["nesterov"] = True
        optimizers = [rule[spec.name](network, 0.0, **options)]
    for step, batch in enumerate(indices):
        x, labels = noise.inputs[batch].reshape(10, 6).astype(np.float64), noise.labels[batch]
        scores = network.forward(x)
        value = loss.forward(scores, labels)
        network.backward(loss.backward())
        if spec.clip_norm:
            nn.clip_gradient_norm(network, spec.clip_norm)
        for optimizer in optimizers:
            optimizer.learning_rate = learning_rates[step]
            optimizer.step()
        assert figures.loss[step] == pytest.approx(10 * value, rel=1e-10)
        assert figures.correct[step] == sum(int(scores[n].argmax()) == labels[n] for n in range(10))
    assert figures.samples == 10
    assert (figures.loss.dtype, figures.correct.dtype) == (np.float64, np.int64)
    for name, array in network.state_dict().items():
        # The gradient of a bias before batch normalisation is 0 but for rounding, which Adam divides by its own size.
        # That changes no output, but the running mean.
        if name not in ("0.bias", "4.bias", "1.running_mean", "5.running_mean"):
            np.testing.assert_allclose(engine.state_dict()[name], array, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("n", [0, 1, 7, 14, 90])
def test_evaluation_sums_over_all_samples(make_engine, noise, make_batches, monkeypatch, n):
    monkeypatch.setattr(numpy, "EVALUATION_BATCH", 7)
    engine = make_engine(init_seed=1)
    engine.train(make_batches(5), rates(5))
    indices = np.random.default_rng(0).permutation(90)[:n]
    figures = engine.evaluate(indices)

    network = build(engine.architecture, dtype=np.float64).eval()
    network.load_state_dict(engine.state_dict())
    loss, correct = 0.0, 0
    for i in indices:
        scores = network.forward(noise.inputs[i].reshape(1, 6).astype(np.float64))[0]
        loss += np.log(np.exp(scores).sum()) - scores[noise.labels[i]]
        correct += int(scores.argmax() == noise.labels[i])
    assert figures.loss.shape == figures.correct.shape == (1,)
    assert figures.loss[0] == pytest.approx(loss, rel=1e-12)
    assert figures.correct[0] == correct
    assert figures.samples == n
    assert (figures.loss.dtype, figures.correct.dtype) == (np.float64, np.int64)


def test_indices_of_evaluation_may_have_any_shape(make_engine, make_batches):
    engine = make_engine()
    indices = make_batches(6, 5)
    flat, folded = engine.evaluate(indices.ravel()), engine.evaluate(indices)
    assert flat.loss[0] == folded.loss[0]
    assert folded.samples == 30


def test_evaluating_and_predicting_change_nothing(make_engine, make_batches, noise):
    engine, watched = make_engine(), make_engine()
    engine.train(make_batches(4), rates(4))
    watched.train(make_batches(4), rates(4))
    first = watched.evaluate(np.arange(90))
    watched.predict(noise.inputs)
    assert watched.evaluate(np.arange(90)).loss[0] == first.loss[0]
    engine.train(make_batches(4, seed=1), rates(4))
    watched.train(make_batches(4, seed=1), rates(4))
    assert_same_state(engine, watched)


def test_predictions_are_the_scores(make_engine, noise, monkeypatch):
    monkeypatch.setattr(numpy, "EVALUATION_BATCH", 8)
    engine = make_engine()
    scores = engine.predict(noise.inputs)
    network = build(engine.architecture, dtype=np.float64, init_rng=0).eval()
    expected = network.forward(noise.inputs.reshape(90, 6).astype(np.float64))
    np.testing.assert_allclose(scores, expected, rtol=1e-12)
    kept = scores.copy()
    engine.predict(noise.inputs[::-1])
    np.testing.assert_array_equal(scores, kept)
    assert engine.predict(noise.inputs[:0]).shape == (0, 3)
    assert scores.dtype == np.float64
    assert engine.evaluate(np.arange(90)).correct[0] == (scores.argmax(axis=1) == noise.labels).sum()


def test_the_data_sets_preprocessing_is_applied(make_dataset, make_batches):
    rng = np.random.default_rng(0)
    raw, labels = rng.integers(0, 200, (90, 1, 2, 3), dtype=np.uint8), rng.integers(0, 3, 90)
    ready = make_dataset(raw - raw.mean(axis=0, dtype=np.float64).astype(np.float32), labels)
    engines = []
    for dataset in (make_dataset(raw, labels, kind="mean-image"), ready):
        engine = NumpyEngine(PLAIN, OptimizerSpec(), EngineSpec("numpy", "float64"))
        engine.load(dataset)
        engine.train(make_batches(5), rates(5))
        engines.append(engine)
    for name, array in engines[0].state_dict().items():
        np.testing.assert_allclose(engines[1].state_dict()[name], array, rtol=1e-4, atol=1e-5)


# -- bit for bit ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_steps_may_come_in_pieces(make_engine, make_batches, spec, dtype):
    whole, pieces = make_engine(optimizer=spec, dtype=dtype), make_engine(optimizer=spec, dtype=dtype)
    indices, learning_rates = make_batches(10), 0.05 / (1 + np.arange(10))
    expected = whole.train(indices, learning_rates)
    parts = [pieces.train(indices[a:b], learning_rates[a:b]) for a, b in ((0, 5), (5, 5), (5, 6), (6, 10))]
    np.testing.assert_array_equal(np.concatenate([p.loss for p in parts]), expected.loss)
    np.testing.assert_array_equal(np.concatenate([p.correct for p in parts]), expected.correct)
    assert_same_state(whole, pieces)


def test_batch_sizes_may_change(make_engine, make_batches):
    """The results of a batch do not depend on the size of the batch before."""
    plain = OptimizerSpec("sgd")
    engine, fresh = make_engine(PLAIN, plain), make_engine(PLAIN, plain)
    engine.train(make_batches(1, 40), rates(1, 0.0))
    engine.train(make_batches(1, 3), rates(1, 0.0))
    fresh.load_state_dict(engine.state_dict())
    a, b = (e.train(make_batches(3, 10, seed=2), rates(3)) for e in (engine, fresh))
    np.testing.assert_array_equal(a.loss, b.loss)
    assert_same_state(engine, fresh)


@pytest.mark.parametrize("seeds", [3, [3, 4]])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_checkpoint_goes_on_as_if_nothing_had_been(make_engine, make_batches, spec, dtype, seeds):
    through = make_engine(optimizer=spec, dtype=dtype, init_seed=seeds, noise_seed=8)
    through.train(make_batches(6), rates(6))
    models = [None] if seeds == 3 else [0, 1]
    saved = [through.model(model).checkpoint() for model in models]
    expected = through.train(make_batches(6, seed=1), rates(6))

    resumed = make_engine(optimizer=spec, dtype=dtype, init_seed=seeds if seeds == 3 else [9, 9], noise_seed=99)
    resumed.train(make_batches(2, seed=7), rates(2))
    for model, (arrays, settings) in zip(models, saved, strict=True):
        resumed.model(model).restore(arrays, json.loads(json.dumps(settings)))
        assert all(array.dtype == dtype for array in arrays.values() if array.dtype.kind == "f")
    actual = resumed.train(make_batches(6, seed=1), rates(6))
    np.testing.assert_array_equal(actual.loss, expected.loss)
    np.testing.assert_array_equal(actual.correct, expected.correct)
    assert_same_state(through, resumed)


def test_a_checkpoint_names_everything(make_engine):
    engine = make_engine(PLAIN, OptimizerSpec("adam"))
    arrays, settings = engine.checkpoint()
    parameters = ["0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"]
    buffers = ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    assert set(arrays) == {f"model/{name}" for name in parameters + buffers} | {
        f"optimizer/{kind}/{name}" for kind in ("exp_sum", "exp_sq_sum") for name in parameters
    }
    assert set(settings) == {"optimizer_steps", "noise"}
    assert list(engine.state_dict()) == [name.removeprefix("model/") for name in arrays if name.startswith("model/")]


def test_seeds(make_engine, make_batches):
    def run(**options):
        engine = make_engine(**options)
        engine.train(make_batches(3), rates(3))
        return engine.state_dict()["0.weight"]

    here = np.random.get_state()[1].copy()  # noqa: NPY002
    first = run(init_seed=1, noise_seed=2)
    np.testing.assert_array_equal(first, run(init_seed=1, noise_seed=2))
    assert not np.array_equal(first, run(init_seed=1, noise_seed=3))
    assert not np.array_equal(first, run(init_seed=2, noise_seed=2))
    np.testing.assert_array_equal(np.random.get_state()[1], here)  # noqa: NPY002


def test_the_initialiser_is_the_engines(make_engine):
    assert not make_engine(init="zeros").state_dict()["0.weight"].any()
    small = make_engine(init="normal:1e-4").state_dict()["0.weight"]
    assert 0.5e-4 < small.std() < 2e-4


# -- stacked models ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_stacked_models_are_separate_engines(make_engine, noise, make_batches, spec, norm):
    architecture = mlp((6,), (8, 5), 3, activation="elu", norm=norm)
    seeds, steps = [3, 1, 4], 20
    learning_rates = np.stack([rates(steps, 0.03), rates(steps, 0.0), 0.05 / (1 + np.arange(steps))], axis=1)
    stack = make_engine(architecture, spec, init_seed=seeds)
    indices = make_batches(steps)
    figures, evaluated = stack.train(indices, learning_rates), stack.evaluate(np.arange(90))
    assert figures.loss.shape == figures.correct.shape == (steps, 3)
    assert evaluated.loss.shape == evaluated.correct.shape == (1, 3)
    scores = stack.predict(noise.inputs)
    for m, seed in enumerate(seeds):
        alone = make_engine(architecture, spec, init_seed=seed)
        ours, theirs = alone.train(indices, learning_rates[:, m]), alone.evaluate(np.arange(90))
        np.testing.assert_allclose(figures.loss[:, m], ours.loss, rtol=1e-9)
        np.testing.assert_array_equal(figures.correct[:, m], ours.correct)
        np.testing.assert_allclose(evaluated.loss[:, m], theirs.loss, rtol=1e-9)
        np.testing.assert_array_equal(evaluated.correct[:, m], theirs.correct)
        np.testing.assert_allclose(scores[m], alone.predict(noise.inputs), rtol=1e-8, atol=1e-10)
        for name, array in alone.state_dict().items():
            np.testing.assert_allclose(stack.state_dict()[name][m], array, rtol=1e-8, atol=1e-10, err_msg=name)


def test_a_stack_is_saved_model_by_model(make_engine):
    with pytest.raises(
        ValueError, match=r"model=None of an engine with models=2: expected 0 to 1, as in engine.model\(0"
    ):
        make_engine(PLAIN, init_seed=[1, 2]).checkpoint()
    with pytest.raises(ValueError, match="model=0 of an engine with models=None: expected None"):
        make_engine(PLAIN).model(0)


def test_one_learning_rate_for_all_models(make_engine, make_batches):
    shared, each = (make_engine(PLAIN, init_seed=[1, 2]) for _ in range(2))
    shared.train(make_batches(4), rates(4))
    each.train(make_batches(4), np.full((4, 2), 0.01))
    for name, array in shared.state_dict().items():
        np.testing.assert_allclose(each.state_dict()[name], array, rtol=1e-13)


def test_a_stack_of_one_has_its_axis(make_engine, make_batches, noise):
    engine = make_engine(PLAIN, init_seed=[2])
    assert engine.train(make_batches(3), rates(3)).loss.shape == (3, 1)
    assert engine.predict(noise.inputs).shape == (1, 90, 3)
    assert engine.predict(noise.inputs[:0]).shape == (1, 0, 3)
    assert engine.state_dict()["0.weight"].shape == (1, 8, 6)


def test_each_model_of_a_stack_has_masks_of_its_own(make_engine, make_batches):
    for dropout, alike in ((0.0, True), (0.5, False)):
        stack = make_engine(mlp((6,), (8,), 3, dropout=dropout), init_seed=[1, 1], noise_seed=[1, 2])
        stack.train(make_batches(3), rates(3))
        weight = stack.state_dict()["0.weight"]
        assert np.array_equal(weight[0], weight[1]) is alike


def test_a_model_that_diverges_leaves_the_others_alone(make_engine, make_batches):
    network = mlp((6,), (8,), 3)
    stack, calm = (make_engine(network, OptimizerSpec("sgd"), init_seed=[1, 2]) for _ in range(2))
    wild = np.full((6, 2), 0.01)
    wild[:, 1] = 1e200
    figures = stack.train(make_batches(6), wild)
    expected = calm.train(make_batches(6), np.full((6, 2), 0.01))
    np.testing.assert_array_equal(figures.loss[:, 0], expected.loss[:, 0])
    assert not np.isfinite(figures.loss[-1, 1])
    for name, array in calm.state_dict().items():
        np.testing.assert_array_equal(stack.state_dict()[name][0], array[0])


def test_normalisation_may_come_first(make_engine, make_batches, noise):
    """A layer that receives the same batch from every model of a stack, in both modes."""
    architecture = Architecture(
        "normalised",
        (6,),
        (LayerSpec("batch_norm", {"num_features": 6}), *mlp((6,), (4,), 3).layers),
    )
    stack = make_engine(architecture, init_seed=[1, 2])
    stack.train(make_batches(4), rates(4))
    scores = stack.predict(noise.inputs)
    for m, seed in enumerate((1, 2)):
        alone = make_engine(architecture, init_seed=seed)
        alone.train(make_batches(4), rates(4))
        np.testing.assert_allclose(scores[m], alone.predict(noise.inputs), rtol=1e-10)


# -- divergence -------------------------------------------------------------------------------------------------------


def test_nan_in_the_data(make_engine, make_dataset, noise):
    inputs = noise.inputs.copy()
    inputs[17, 0, 1, 1] = np.nan
    engine, before = (make_engine(dataset=make_dataset(inputs, noise.labels)) for _ in range(2))
    indices = np.array([[0, 1, 2], [3, 4, 5], [16, 17, 18], [6, 7, 8]])
    with pytest.raises(DivergedError, match="the data contain values that are not finite: check the input") as e:
        engine.train(indices, rates(4))
    assert e.value.step == 2
    assert e.value.cause == str(e.value)
    expected = before.train(indices[:2], rates(2))
    np.testing.assert_array_equal(e.value.figures.loss, expected.loss)
    np.testing.assert_array_equal(e.value.figures.correct, expected.correct)
    assert e.value.figures.samples == 3
    for name, parameter in before.network.named_parameters():
        np.testing.assert_array_equal(engine.state_dict()[name], parameter.value, err_msg=name)


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (
            1e25,
            r"layer 2 \(linear\) is the first whose output overflows \(inputs up to \d\.\de\+\d+, "
            r"weights up to \d\.\de\+\d+\); the learning rate is most likely too high: try a tenth of it",
        ),
        (
            1e300,
            r"0\.weight of layer 0 \(linear\) is no longer finite after the last update; the learning rate is most "
            "likely too high: try a tenth of it",
        ),
    ],
)
def test_a_learning_rate_too_high(make_engine, make_batches, rate, message):
    engine = make_engine(mlp((6,), (8,), 3), OptimizerSpec("sgd"), dtype=np.float32)
    with pytest.raises(DivergedError, match=message) as e:
        engine.train(make_batches(9), np.concatenate([rates(3), rates(6, rate)]))
    assert e.value.step == 4
    assert len(e.value.figures.loss) == 4


def test_finite_scores_with_a_loss_that_is_not(make_engine, make_dataset):
    architecture = mlp((1,), (), 2)
    engine = make_engine(
        architecture, dtype=np.float32, dataset=make_dataset(np.ones((4, 1, 1, 1), np.float32), np.zeros(4), 2)
    )
    engine.load_state_dict({"0.weight": np.array([[-3e38], [3e38]]), "0.bias": np.zeros(2)})
    message = r"the scores are finite \(up to 3\.0e\+38\) but their loss is not; the learning rate is most likely"
    with pytest.raises(DivergedError, match=message) as e:
        engine.train(np.array([[0, 1]]), rates(1))
    assert e.value.step == 0
    assert e.value.figures.loss.shape == (0,)


def test_an_activation_that_overflows_is_named_without_weights(make_engine, monkeypatch):
    engine = make_engine(mlp((6,), (8,), 3, activation="elu"))
    monkeypatch.setattr(nn.ELU, "function", lambda self, x: np.full_like(x, np.inf))
    monkeypatch.setattr(activations.ELUKernel, "_function", lambda self, x, y: y.fill(np.inf))
    with pytest.raises(DivergedError, match=r"layer 1 \(elu\) .* overflows \(inputs up to \d\.\de[+-]\d+\); the"):
        engine.train(np.arange(8).reshape(2, 4), rates(2))


# -- errors -----------------------------------------------------------------------------------------------------------


def test_no_data(make_engine):
    engine = make_engine(dataset=None)
    for call in (lambda: engine.train(np.zeros((1, 2), np.int64), rates(1)), lambda: engine.evaluate(np.arange(3))):
        with pytest.raises(RuntimeError, match=r"the engine has no data: call load\(dataset\) first"):
            call()


def test_data_of_another_size(make_engine, make_dataset, digits):
    message = (
        r"the network takes 6 numbers per sample \(input_shape=\(6,\)\), "
        r"data set digits has 64 \(input_shape=\(1, 8, 8\)\)"
    )
    with pytest.raises(ConfigError, match=message):
        make_engine(dataset=digits)


def test_data_of_other_classes(make_engine, make_dataset):
    with pytest.raises(ConfigError, match=r"the network returns \(3,\) scores, data set made-up has 4 classes"):
        make_engine(dataset=make_dataset(np.zeros((4, 1, 2, 3), np.float32), np.zeros(4), 4))


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_of_classes_that_there_are_not(make_engine, make_dataset, label):
    labels = np.array([0, 2, 1, label, 0])
    message = f"data set made-up has label {label} for sample 3, expected 0 to 2"
    with pytest.raises(ConfigError, match=message):
        make_engine(dataset=make_dataset(np.zeros((5, 6), np.float32), labels))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "lion"}, "optimizer='lion' is unknown, expected one of sgd, adam, adamw, rmsprop, adadelta, muon"),
        ({"name": "adam", "momentum": 0.9}, "momentum=0.9 applies to sgd, rmsprop or muon, not to adam"),
        ({"name": "adam", "nesterov": True}, "nesterov=true needs optimizer=sgd and momentum above 0"),
        ({"name": "sgd", "nesterov": True}, "nesterov=true needs optimizer=sgd and momentum above 0"),
        ({"name": "sgd", "betas": (0.9, 0.99)}, r"betas=\(0.9, 0.99\) apply to adam, adamw or muon, not to sgd"),
        ({"name": "adam", "betas": (0.9, 1.0)}, r"betas=\(0.9, 1.0\), expected both in \[0, 1\)"),
    ],
)
def test_update_rules_that_cannot_be(options, message):
    with pytest.raises(ConfigError, match=message):
        OptimizerSpec(**options)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_threads_share_the_work(make_engine, make_batches, spec, monkeypatch):
    """Divided products and updates equal those of one thread, up to the order of sums within a product."""
    # No batch normalisation: the gradient of a bias before it is 0 but for rounding, which Adam would blow up.
    architecture = mlp((6,), (8, 5), 3, norm="layer", dropout=0.3)
    alone, shared = (make_engine(architecture, spec, threads=threads) for threads in (1, 3))
    a = alone.train(make_batches(10), rates(10))
    monkeypatch.setattr(linear, "MIN_MULTIPLY_ADDS_PER_THREAD", 1)
    monkeypatch.setattr(optimizers, "BLOCK", 16)
    for kernel in (optimizers.SweepKernel, optimizers.SGDKernel):
        monkeypatch.setattr(kernel, "min_numbers_per_thread", 16)
    parts = []
    workers = shared.kernels.workers
    original = workers.run
    workers.run = lambda function, pieces: (parts.append(len(pieces)), original(function, pieces))
    b = shared.train(make_batches(10), rates(10))
    assert max(parts) > 1
    np.testing.assert_allclose(a.loss, b.loss, rtol=1e-10)
    for name, array in alone.state_dict().items():
        np.testing.assert_allclose(shared.state_dict()[name], array, rtol=1e-9, atol=1e-12, err_msg=name)


def test_engines_by_name():
    engine = make_engine_by_name(EngineSpec("numpy", "float64"), PLAIN, OptimizerSpec(), init="zeros")
    assert isinstance(engine, NumpyEngine)
    assert engine.dtype == np.float64
    assert not engine.state_dict()["0.weight"].any()
    same = [make_engine_by_name("numpy", PLAIN, OptimizerSpec(), init_seed=5, noise_seed=6) for _ in range(2)]
    assert_same_state(*same)
    assert same[0].state_dict()["0.weight"].dtype == np.float32
    with pytest.raises(ConfigError, match="engine='abacus' is unknown, expected one of numpy"):
        make_engine_by_name("abacus", PLAIN, OptimizerSpec())


def test_a_state_of_another_architecture(make_engine):
    state = make_engine(mlp((6,), (9,), 3)).state_dict()
    with pytest.raises(ValueError, match=r"0.weight: expected shape=\(8, 6\), got shape=\(9, 6\): the state belongs"):
        make_engine(mlp((6,), (8,), 3)).load_state_dict(state)


# -- memory and work --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [0, [0, 1]])
def test_memory_does_not_grow_from_step_to_step(make_engine, make_batches, unchecked, seeds):
    engine = make_engine(mlp((6,), (64, 32), 3, norm="batch", dropout=0.3), init_seed=seeds, dtype=np.float32)
    indices, learning_rates = make_batches(200, 50), rates(200)
    engine.train(indices[:5], learning_rates[:5])
    held = engine.kernels.arena.nbytes
    tracemalloc.start()
    try:
        engine.train(indices[:20], learning_rates[:20])
        before, _ = tracemalloc.get_traced_memory()
        engine.train(indices, learning_rates)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 4096
    assert engine.kernels.arena.nbytes == held > 50 * 64 * 4


def test_no_gradient_is_computed_for_the_data(make_engine, make_batches):
    asked = []

    class Watched(arena.FreshWorkspace):
        def empty(self, name, shape, dtype):
            asked.append(name)
            return super().empty(name, shape, dtype)

    engine = make_engine(mlp((6,), (8,), 3))
    for kernel in engine._network.kernels():
        if isinstance(kernel, linear.LinearKernel):
            kernel.work = Watched()
    engine.train(make_batches(1), rates(1))
    assert sorted(asked) == ["dx", "y", "y"]  # dx of the second linear layer alone


def test_layers_take_their_work_arrays_from_the_arena(make_engine, make_batches):
    engine = make_engine()
    engine.train(make_batches(1), rates(1))
    works = [kernel.work for kernel in engine._network.kernels()] + [engine._loss.work]
    assert len({id(work) for work in works}) == len(works)
    assert all(isinstance(work, arena.ReusedWorkspace) for work in works)
    held = engine.kernels.arena.nbytes
    engine.train(make_batches(1, 20), rates(1))
    assert engine.kernels.arena.nbytes > held


def test_what_the_engine_gave_stays_as_it_was(make_engine, make_batches):
    engine = make_engine()
    figures, state = engine.train(make_batches(3), rates(3)), engine.state_dict()
    arrays, settings = engine.checkpoint()
    given = [figures.loss, figures.correct, *state.values(), *arrays.values()]
    kept, noise = [array.copy() for array in given], json.dumps(settings)
    engine.train(make_batches(3, seed=1), rates(3))
    engine.evaluate(np.arange(90))
    for now, then in zip(given, kept, strict=True):
        np.testing.assert_array_equal(now, then)
    assert json.dumps(settings) == noise


def test_make_engine_refuses_what_it_has_not():
    with pytest.raises(ConfigError, match=r"precision='float16' is unknown, expected one of float32, float64"):
        EngineSpec("numpy", "float16")
    with pytest.raises(ConfigError, match=r"engine='jax' is unknown, expected one of numpy"):
        make_engine_by_name("jax", mlp((4,), (), 2), OptimizerSpec())


def test_an_engine_and_its_memory_go_with_the_last_reference(make_engine, make_batches):
    """Without the garbage collector, because a search builds many engines."""
    engine = make_engine(mlp((6,), (8, 5), 3), threads=2)
    gc.collect()
    gc.disable()
    try:
        engine.train(make_batches(2), rates(2))
        engine.evaluate(np.arange(5))
        layer = weakref.ref(engine.network[0])
        weights = weakref.ref(engine.flat.values)
        del engine
        assert layer() is None
        assert weights() is None
    finally:
        gc.enable()
