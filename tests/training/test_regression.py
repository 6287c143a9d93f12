"""Regression: both engines, metrics in the unit of the target, weights, and errors."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

import handgrad
from handgrad.data.dataset import Dataset, fit_preprocessing
from handgrad.engines import DivergedError, EngineSpec, LossSpec, OptimizerSpec, make_engine
from handgrad.errors import ConfigError
from handgrad.training.judging import averages, details

sklearn_metrics = pytest.importorskip("sklearn.metrics")

N, SPLITS = 442, {"train": range(300), "validation": range(300, 360), "test": range(360, 442)}


def regression(targets: int = 1, **options) -> Dataset:
    """scikit-learn's diabetes data; the second target is a sum of inputs in another unit."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    order = np.random.default_rng(0).permutation(N)
    x, y = x[order].astype(np.float32), y[order]
    columns = np.stack([y, 1e-3 * x[:, 2] + 1e-4 * x[:, 3]], axis=1)[:, :targets].astype(np.float32)
    mean, std = x[:300].mean(axis=0), x[:300].std(axis=0)
    preprocessing = dataclasses.replace(fit_preprocessing("none", x, 1.0), shift=mean, scale=1 / std)
    names = ("progression", "ratio")[:targets]
    return Dataset("diabetes", x, columns, SPLITS, names, 1.0, preprocessing, task="regression", **options)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Trains on a given data set."""

    def train(dataset: Dataset, name: str = "run", **settings):
        for module in ("loop", "run"):
            monkeypatch.setattr(f"handgrad.training.{module}.load_dataset", lambda *_, **__: dataset)
        own = {} if "model" in settings else {"hidden_units": (16,)}
        settings = {**own, "max_steps": 200, "batch_size": 50, **settings}
        return handgrad.train(run_dir=tmp_path / name, dataset="digits", **settings)

    return train


@pytest.mark.parametrize("engine", ["numpy", "torch"])
@pytest.mark.parametrize("targets", [1, 2])
def test_figures_are_scikit_learns_in_the_targets_own_unit(trained, engine, targets):
    dataset = regression(targets)
    run = trained(dataset, engine=engine, learning_rate=1e-2)
    last = run.summary["last"]
    assert run.summary["task"] == "regression"
    assert run.summary["selected_by"] == "validation_rmse"
    assert run.summary["best"] == min(run.metrics, key=lambda record: record["validation_rmse"])
    network = run.engine()
    scaling = dataset.target_scaling
    for split in ("validation", "test"):
        indices = dataset.indices(split)
        y = dataset.labels[indices]
        outputs = network.predict(dataset.gather(indices)) / scaling.scale + scaling.shift
        assert last[f"{split}_rmse"] == pytest.approx(sklearn_metrics.root_mean_squared_error(y, outputs), rel=1e-4)
        assert last[f"{split}_mae"] == pytest.approx(sklearn_metrics.mean_absolute_error(y, outputs), rel=1e-4)
        assert last[f"{split}_r2"] == pytest.approx(sklearn_metrics.r2_score(y, outputs), rel=1e-3)
        of_targets = run.summary["details"]["last"][split]["targets"]
        assert list(of_targets) == list(dataset.classes)
        for t, name in enumerate(dataset.classes):
            r2 = sklearn_metrics.r2_score(y[:, t], outputs[:, t])
            assert of_targets[name]["r2"] == pytest.approx(r2, rel=1e-3)
    assert last["test_r2"] > 0.3 * targets
    assert last["train_rmse"] < (60 if targets == 1 else 30)
    assert "accuracy" not in json.dumps(run.summary)
    assert run.evaluate()["test"]["rmse"] == last["test_rmse"]
    assert run.evaluate("best", in_detail=True)["test"]["targets"] == run.summary["details"]["best"]["test"]["targets"]
    assert (run.path / "curves.png").exists()
    assert not (run.path / "confusion.png").exists()


def test_the_distance_of_huber_is_a_setting(trained):
    near = trained(regression(), "near", loss="huber", huber_delta=0.1, max_steps=20)
    far = trained(regression(), "far", loss="huber", max_steps=20)
    assert near.config.huber_delta == 0.1
    assert near.metrics[-1]["train_loss"] < far.metrics[-1]["train_loss"]  # linear sooner
    assert near.evaluate()["test"]["loss"] == near.summary["last"]["test_loss"]


def test_an_interrupted_regression_goes_on_bit_for_bit(trained):
    whole = trained(regression(), "whole", loss="huber", dropout=0.2, eval_freq=40)
    trained(regression(), "parts", loss="huber", dropout=0.2, eval_freq=40, max_steps=70)
    parts = trained(regression(), "parts", resume=True, max_steps=200)
    drop = {"seconds": None}
    assert [{**r, **drop} for r in whole.metrics][2:] == [{**r, **drop} for r in parts.metrics if r["step"] > 80]
    assert whole.summary["details"] == parts.summary["details"]


@pytest.mark.parametrize("loss", ["mse", "l1", "huber", "huber 0.3"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_the_engines_are_twins(loss, weighted):
    name, _, delta = loss.partition(" ")
    loss_spec = LossSpec(name, huber_delta=float(delta or 1))
    rng = np.random.default_rng(3)
    weights = rng.uniform(0, 3, N).astype(np.float32) if weighted else None
    dataset = regression(2, weights=weights)
    architecture = handgrad.architectures.mlp((10,), (8,), 2)
    indices = np.stack([rng.permutation(300)[:30] for _ in range(6)])
    figures, states = [], []
    for spec in (
        EngineSpec("numpy", "float64"),
        EngineSpec("torch", "float64", gradients="hand"),
        EngineSpec("torch", "float64", gradients="autograd"),
    ):
        engine = make_engine(spec, architecture, OptimizerSpec("sgd"), loss_spec)
        engine.load(dataset)
        figures.append((engine.train(indices, np.full(6, 0.1)), engine.evaluate(dataset.indices("test"))))
        states.append(engine.state_dict())
    for others, state in zip(figures[1:], states[1:], strict=True):
        for mine, other in zip(figures[0], others, strict=True):
            np.testing.assert_allclose(other.loss, mine.loss, rtol=1e-11)
            np.testing.assert_allclose(other.errors, mine.errors, rtol=1e-11)
            assert not other.correct.any()
        for name, array in state.items():
            np.testing.assert_allclose(array, states[0][name], rtol=1e-10, atol=1e-13)


def test_stacked_models_are_judged_each_by_itself():
    dataset, architecture = regression(2), handgrad.architectures.mlp((10,), (8,), 2)
    indices, rates = np.arange(60).reshape(2, 30), np.full(2, 0.01)
    stack = handgrad.engines.numpy.NumpyEngine(
        architecture, OptimizerSpec(), EngineSpec(), LossSpec("mse"), init_seed=[4, 5]
    )
    stack.load(dataset)
    trained, judged = stack.train(indices, rates), stack.evaluate(dataset.indices("test"))
    assert trained.errors.shape == (2, 2, 2, 2)
    for m, seed in enumerate((4, 5)):
        one = make_engine("numpy", architecture, OptimizerSpec(), LossSpec("mse"), init_seed=seed)
        one.load(dataset)
        np.testing.assert_allclose(trained.errors[:, m], one.train(indices, rates).errors, rtol=1e-4)
        np.testing.assert_allclose(judged.errors[:, m], one.evaluate(dataset.indices("test")).errors, rtol=1e-4)


def test_a_regression_that_diverges_keeps_the_figures_before():
    dataset = regression()
    for name in ("numpy", "torch"):
        engine = make_engine(name, handgrad.architectures.mlp((10,), (8,), 1), OptimizerSpec("sgd"), LossSpec("mse"))
        engine.load(dataset)
        rates = np.array([0.01, 1e30, 0.01, 0.01])
        with pytest.raises(DivergedError) as error:
            engine.train(np.arange(120).reshape(4, 30), rates)
        assert error.value.figures.errors.shape == (error.value.step, 2, 1)
        assert np.isfinite(error.value.figures.errors).all()


def test_predictions_of_images_come_in_the_targets_own_unit(trained, tmp_path, capsys):
    from handgrad.cli import main

    plain = regression()
    none = fit_preprocessing("unit", plain.inputs.reshape(N, 1, 2, 5), 300.0)
    dataset = dataclasses.replace(
        plain, inputs=plain.inputs.reshape(N, 1, 2, 5).clip(0, 300), value_range=300.0, preprocessing=none
    )
    run = trained(dataset, model="cnn", channels=(4, 8), norm="batch", max_steps=20)
    test = dataset.indices("test")
    predicted = run.predict(dataset.inputs[test])
    rmse = sklearn_metrics.root_mean_squared_error(dataset.labels[test], predicted)
    assert rmse == pytest.approx(run.summary["last"]["test_rmse"], rel=1e-4)
    np.save(tmp_path / "x.npy", dataset.inputs[test[:2]])
    assert main(["predict", str(run.path), str(tmp_path / "x.npy")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"0  progression {predicted[0, 0]:.6g}"
    assert main(["predict", str(run.path), str(tmp_path / "x.npy"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["targets"] == ["progression"]


def test_targets_are_scaled_by_the_weights_of_the_training_samples():
    weights = np.zeros(N, np.float32)
    weights[:10] = 2
    weights[350] = 5  # of the validation set
    scaling = regression(weights=weights).target_scaling
    targets = regression().labels[:10]
    np.testing.assert_allclose(scaling.shift, targets.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(1 / scaling.scale, targets.std(axis=0), rtol=1e-6)


def test_a_constant_target():
    dataset = dataclasses.replace(regression(), labels=np.full((N, 1), 7, np.float32), target_scaling=None)
    np.testing.assert_array_equal(dataset.target_scaling.shift, 7)
    np.testing.assert_array_equal(dataset.target_scaling.scale, 1)
    engine = make_engine("numpy", handgrad.architectures.mlp((10,), (), 1), OptimizerSpec(), LossSpec("mse"))
    engine.load(dataset)
    indices = dataset.indices("test")
    assert averages(engine.evaluate(indices), dataset, indices)["r2"] == 0
    assert details(engine.evaluate(indices), dataset, indices)["targets"]["progression"]["rmse"] > 0


@pytest.mark.parametrize(
    ("change", "loss", "message"),
    [
        (
            {},
            "cross_entropy",
            "loss=cross_entropy does not match data set diabetes, a regression: choose mse",
        ),
        ({"labels": np.zeros((N, 2), np.float32)}, "mse", r"targets of shape=\(442, 2\) and dtype=float32, expected"),
        ({"labels": np.zeros((N, 1), np.int64)}, "mse", "dtype=int64, expected floating-point numbers"),
        (
            {"labels": np.full((N, 1), np.nan, np.float32)},
            "mse",
            "has targets that are not finite: leave",
        ),
        ({"weights": np.full(N, -1, np.float32)}, "mse", "has weights below 0 or not finite, expected numbers of at l"),
        ({"classes": ("a", "b")}, "mse", r"the network returns \(1,\) outputs, data set diabetes has 2 targets"),
    ],
)
def test_data_that_does_not_fit(change, loss, message):
    engine = make_engine("numpy", handgrad.architectures.mlp((10,), (), 1), OptimizerSpec(), LossSpec(loss))
    dataset = dataclasses.replace(regression(), target_scaling=regression().target_scaling, **change)
    with pytest.raises(ConfigError, match=message):
        engine.load(dataset)


def test_settings_of_the_other_task(tmp_path):
    with pytest.raises(ConfigError, match="loss=l1 does not match data set digits, a classif"):
        handgrad.train("digits", loss="l1", max_steps=1, run_dir=tmp_path / "run")
    with pytest.raises(ConfigError, match="class_weight=balanced applies to classification, but diabetes is a re"):
        regression().balanced()
    for wrong in (0, -1, math.nan):
        with pytest.raises(ConfigError, match="huber_delta"):
            handgrad.TrainConfig(loss="huber", huber_delta=wrong)
    with pytest.raises(ConfigError, match=r"huber_delta=2.0 applies to loss=huber, not to l1: leave it out"):
        handgrad.TrainConfig(loss="l1", huber_delta=2.0)
    with pytest.raises(ConfigError, match="class_weight=balanced applies to classification, not to loss=huber"):
        handgrad.TrainConfig(loss="huber", class_weight="balanced")
