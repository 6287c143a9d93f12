"""Metrics of each class, compared with scikit-learn on both engines; class weights; the figure."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import handgrad
from handgrad import data, figures
from handgrad.architectures import mlp
from handgrad.cli.judged import judged_tables
from handgrad.data.dataset import Dataset, Preprocessing
from handgrad.engines import EngineSpec, Figures, LossSpec, OptimizerSpec, make_engine
from handgrad.errors import ConfigError
from handgrad.training.judging import averages, better, details

metrics = pytest.importorskip("sklearn.metrics")

SPECS = [EngineSpec("numpy", "float64"), *(EngineSpec("torch", "float64", gradients=g) for g in ("hand", "autograd"))]


def rare(classes: int = 3, weights=None, seed: int = 0) -> Dataset:
    """Noisy points, most of class 0, and none of the last class in the test set."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, 200, p=np.array([0.7, *[0.3 / (classes - 1)] * (classes - 1)]))
    labels[150:][labels[150:] == classes - 1] = 0
    x = (rng.normal(0, 1, (200, 4)) + labels[:, None]).astype(np.float32)
    splits = {"train": range(150), "test": range(150, 200)}
    preprocessing = Preprocessing("none", np.zeros(1, np.float32), np.ones(1, np.float32))
    names = tuple(f"c{k}" for k in range(classes))
    return Dataset("rare", x, labels.astype(np.int64), splits, names, 1.0, preprocessing, weights=weights)


def engine(spec, dataset, loss="cross_entropy", **options):
    layers = mlp((4,), (6,), len(dataset.classes))
    if loss == "nll":
        layers = dataclasses.replace(layers, layers=(*layers.layers, handgrad.architectures.LayerSpec("log_softmax")))
    made = make_engine(spec, layers, OptimizerSpec("sgd"), LossSpec(loss, **options))
    made.load(dataset)
    return made


@pytest.mark.parametrize("spec", SPECS[:2], ids=["numpy", "torch"])
def test_precision_recall_f1_and_the_confusion_are_scikit_learns(spec):
    dataset = rare()
    one = engine(spec, dataset)
    one.train(np.random.default_rng(0).integers(0, 150, (40, 30)), np.full(40, 0.1))
    for split in ("train", "test"):
        indices = dataset.indices(split)
        judged = details(one.evaluate(indices), dataset, indices)
        truth, guesses = dataset.labels[indices], one.predict(dataset.gather(indices, dtype=np.float64)).argmax(axis=1)
        np.testing.assert_array_equal(judged["confusion"], metrics.confusion_matrix(truth, guesses, labels=range(3)))
        expected = metrics.precision_recall_fscore_support(truth, guesses, labels=range(3), zero_division=0)
        for k, name in enumerate(dataset.classes):
            row = judged["classes"][name]
            assert [row["precision"], row["recall"], row["f1"]] == pytest.approx([column[k] for column in expected[:3]])
            assert row["support"] == expected[3][k]
        accuracy = averages(one.evaluate(indices), dataset, indices)["accuracy"]
        assert accuracy == metrics.accuracy_score(truth, guesses)


def test_stacked_models_have_a_confusion_each():
    dataset = rare()
    indices = dataset.indices("test")
    architecture = mlp((4,), (6,), 3)
    stack = handgrad.engines.numpy.NumpyEngine(architecture, OptimizerSpec(), EngineSpec(), init_seed=[1, 2, 3])
    stack.load(dataset)
    found = stack.evaluate(indices)
    assert found.confusion.shape == (3, 3, 3)
    for m, seed in enumerate((1, 2, 3)):
        one = make_engine("numpy", architecture, OptimizerSpec(), init_seed=seed)
        one.load(dataset)
        np.testing.assert_array_equal(found.confusion[m], one.evaluate(indices).confusion)


@pytest.mark.parametrize("spec", SPECS[:2], ids=["numpy", "torch"])
def test_with_very_many_classes_there_is_no_table(spec, monkeypatch):
    for module in ("numpy", "torch"):
        monkeypatch.setattr(f"handgrad.engines.{module}.MAX_CONFUSION_CLASSES", 2)
    dataset = rare()
    indices = dataset.indices("test")
    found = engine(spec, dataset).evaluate(indices)
    assert found.confusion is None
    assert details(found, dataset, indices) == {}
    assert 0 <= averages(found, dataset, indices)["accuracy"] <= 1


@pytest.mark.parametrize("loss", ["cross_entropy", "nll", "mse", "smoothed"])
def test_weights_on_both_engines_and_by_both_gradients(loss):
    rng = np.random.default_rng(5)
    weights = rng.uniform(0, 2, 200).astype(np.float32)
    weights[:30] = 0  # a whole batch that counts nothing
    dataset = rare(weights=weights).balanced()
    options = {"label_smoothing": 0.1} if loss == "smoothed" else {}
    name = "cross_entropy" if loss == "smoothed" else loss
    indices = np.stack([np.arange(30), *(rng.permutation(150)[:30] for _ in range(5))])
    states, losses = [], []
    for spec in SPECS:
        one = engine(spec, dataset, name, **options)
        losses.append(one.train(indices, np.full(6, 0.1)).loss)
        states.append(one.state_dict())
    assert losses[0][0] == 0
    for other, state in zip(losses[1:], states[1:], strict=True):
        np.testing.assert_allclose(other, losses[0], rtol=1e-11)
        for name, array in state.items():
            np.testing.assert_allclose(array, states[0][name], rtol=1e-10, atol=1e-13)


def test_balanced_weights_are_scikit_learns_and_multiply_those_there_are():
    from sklearn.utils.class_weight import compute_sample_weight

    dataset = rare()
    train = slice(0, 150)
    expected = compute_sample_weight("balanced", dataset.labels[train])
    np.testing.assert_allclose(dataset.balanced().weights[train], expected, rtol=1e-6)
    doubled = dataclasses.replace(dataset, weights=np.full(200, 2, np.float32)).balanced()
    np.testing.assert_allclose(doubled.weights[train], 2 * expected, rtol=1e-6)


def test_balanced_classes_raise_the_recall_of_rare_ones(tmp_path, monkeypatch):
    recalls = {}
    for weight in ("none", "balanced"):
        dataset = rare(seed=1)
        for module in ("loop", "run"):
            monkeypatch.setattr(
                f"handgrad.training.{module}.load_dataset",
                lambda config, dataset=dataset, **_: (
                    dataset.balanced() if config.class_weight == "balanced" else dataset
                ),
            )
        run = handgrad.train(run_dir=tmp_path / weight, dataset="digits", class_weight=weight, max_steps=60)
        recalls[weight] = run.summary["details"]["last"]["test"]["classes"]["c1"]["recall"]
    assert recalls["balanced"] > recalls["none"]


def test_class_weights_of_a_built_in_data_set():
    from handgrad.training.run import load_dataset

    assert load_dataset(handgrad.TrainConfig()).weights is None
    weights = load_dataset(handgrad.TrainConfig(class_weight="balanced")).weights
    digits = data.load("digits")
    np.testing.assert_allclose(np.bincount(digits.labels[:1438], weights[:1438]), 143.8, rtol=1e-5)
    with pytest.raises(ConfigError, match="class_weight=auto: expected one of none, balanced"):
        handgrad.TrainConfig(class_weight="auto")


def test_a_run_goes_on_with_what_it_knew_of_each_class(tmp_path):
    settings = {"hidden_units": (8,), "eval_freq": 20, "learning_rate": 0.02}
    whole = handgrad.train("digits", run_dir=tmp_path / "whole", max_steps=60, **settings)
    handgrad.train("digits", run_dir=tmp_path / "parts", max_steps=40, **settings)
    parts = handgrad.train(run_dir=tmp_path / "parts", resume=True, max_steps=60)
    assert parts.summary["details"] == whole.summary["details"]
    table = np.array(parts.summary["details"]["best"]["test"]["confusion"])
    assert np.trace(table) / table.sum() == parts.summary["best"]["test_accuracy"]
    assert (parts.path / "confusion.png").stat().st_size > 1000


def test_which_evaluation_is_better():
    assert better("test_accuracy", {"test_accuracy": 0.9}, {"test_accuracy": 0.8})
    assert better("validation_rmse", {"validation_rmse": 8}, {"validation_rmse": 9})
    assert not better("validation_rmse", {"validation_rmse": 9}, {"validation_rmse": 9})


@pytest.mark.parametrize(("k", "numbers"), [(2, True), (10, True), (60, False)])
def test_the_figure(k, numbers):
    table = np.random.default_rng(0).integers(1, 20_000, (k, k))
    names = [f"a class with the long name {i}" for i in range(k)]
    figure = figures.confusion(table.tolist(), names, title="t")
    axes = figure.axes[0]
    assert len(axes.texts) == (k * k if numbers else 0)
    assert len(axes.get_xticks()) <= 48
    assert axes.get_xlabel() == "predicted class"
    assert all(len(label.get_text()) <= 16 for label in axes.get_xticklabels())
    np.testing.assert_allclose(axes.images[0].get_array(), table / table.sum(axis=1, keepdims=True))
    assert figures.confusion([[0, 0], [0, 3]], ["a", "b"]).axes[0].get_title() == ""


def test_tables_for_few_and_many_classes():
    row = {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 4}
    for k, count in ((3, 2), (21, 1), (61, 0)):
        judged = {"classes": {f"[red]{i}": row for i in range(k)}, "confusion": np.eye(k, dtype=int).tolist()}
        assert len(list(judged_tables(judged, "t"))) == count
    assert list(judged_tables({}, "t")) == []
    (table,) = judged_tables({"targets": {"price": {"rmse": 12345.6, "mae": 3.0, "r2": 0.5}}}, "t")
    assert [column.header for column in table.columns] == ["target", "RMSE", "MAE", "R²"]


def test_classes_of_one_name_are_told_apart():
    dataset = dataclasses.replace(rare(), classes=("a", "a", "b"))
    found = Figures(np.zeros(1), np.zeros(1, np.int64), 3, confusion=np.eye(3, dtype=np.int64))
    assert list(details(found, dataset, np.arange(3))["classes"]) == ["a (0)", "a (1)", "b"]


def test_one_class_is_refused():
    dataset = dataclasses.replace(rare(), labels=np.zeros(200, np.int64), classes=("c0",))
    with pytest.raises(ConfigError, match="data set rare has classes=1, expected at least 2"):
        engine(SPECS[0], dataset)
