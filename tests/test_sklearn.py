"""scikit-learn's estimators: scikit-learn's own checks, what they are used with, and what is asked of them beyond."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", minversion="1.6")

from sklearn.base import clone  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_moons  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks  # noqa: E402

from handgrad.sklearn import HandgradClassifier, HandgradRegressor  # noqa: E402

BOTH = [HandgradClassifier, HandgradRegressor]


@parametrize_with_checks([HandgradClassifier(), HandgradRegressor()])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("make", "checks"), [(HandgradClassifier, 63), (HandgradRegressor, 60)])
def test_no_check_is_left_out(make, checks):
    """What an estimator says of itself can make checks go away without a word: count them."""
    if sklearn.__version__.startswith("1.9."):
        assert len(list(estimator_checks_generator(make()))) == checks
    tags = make().__sklearn_tags__()
    assert not tags.no_validation
    assert not tags.non_deterministic
    assert not tags._skip_test


@pytest.fixture(scope="module")
def cancer():
    x, y = load_breast_cancer(return_X_y=True)
    return train_test_split(StandardScaler().fit_transform(x), y, random_state=0, stratify=y)


@pytest.fixture(scope="module")
def diabetes():
    x, y = load_diabetes(return_X_y=True)
    return train_test_split(StandardScaler().fit_transform(x), y, random_state=0)


def test_a_pipeline_a_search_and_cross_validation():
    x, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    pipeline = make_pipeline(StandardScaler(), HandgradClassifier((16,), max_iter=60, random_state=0))
    grid = {"handgradclassifier__learning_rate_init": np.array([1e-5, 1e-2]), "handgradclassifier__norm": ["batch"]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(x, names)
    assert search.best_params_["handgradclassifier__learning_rate_init"] == 1e-2
    assert set(search.predict(x)) == set(names)
    assert cross_val_score(search.best_estimator_, x, names, cv=3).mean() > 0.9


def test_a_table_of_pandas_with_columns_of_two_kinds():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    table = pandas.DataFrame({"size": rng.normal(5, 2, 300), "colour": rng.choice(["red", "green", "blue"], 300)})
    price = 10 * table["size"] + np.where(table["colour"] == "red", 30, 0) + rng.normal(0, 1, 300)
    columns = ColumnTransformer([("n", StandardScaler(), ["size"]), ("c", OneHotEncoder(), ["colour"])])
    model = make_pipeline(columns, HandgradRegressor((16,), learning_rate_init=0.01, max_iter=150, random_state=0))
    assert model.fit(table, price).score(table, price) > 0.99
    numbers = table[["size"]].assign(twice=2 * table["size"])
    plain = HandgradRegressor(max_iter=2, random_state=0).fit(numbers, price)
    assert list(plain.feature_names_in_) == ["size", "twice"]
    with pytest.raises(ValueError, match="feature names should match"):
        plain.predict(numbers.rename(columns={"twice": "other"}))


def test_classes_and_probabilities(cancer):
    x, x_test, y, y_test = cancer
    model = HandgradClassifier((32,), max_iter=40, random_state=0).fit(x, y)
    probabilities = model.predict_proba(x_test)
    assert model.score(x_test, y_test) > 0.92
    assert probabilities.shape == (len(x_test), 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-14)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(x_test)), probabilities, rtol=1e-10)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(x_test))
    assert len(model.loss_curve_) == model.n_iter_ <= 40
    assert model.loss_ == model.loss_curve_[-1] < 0.2 * model.loss_curve_[0]
    assert {name: array.dtype for name, array in model.weights_.items()}["0.weight"] == np.float32
    assert model.architecture_.parameters == 30 * 32 + 32 + 32 * 2 + 2


def test_one_target_and_several(diabetes):
    x, x_test, y, y_test = diabetes
    model = HandgradRegressor((32,), max_iter=100, random_state=0).fit(x, y)
    assert model.score(x_test, y_test) > 0.2
    two = HandgradRegressor((32,), max_iter=60, random_state=0).fit(x, np.stack([y, -1e-3 * y + 7], axis=1))
    assert two.predict(x_test).shape == (len(x_test), 2)
    assert np.corrcoef(two.predict(x_test).T)[0, 1] < -0.7  # the second target falls as the first one rises


@pytest.mark.parametrize("make", BOTH)
def test_a_pickled_copy_predicts_the_same_and_learns_on_alike(make, cancer):
    x, x_test, y, _ = cancer
    options = {"max_iter": 3, "random_state": 1, "dropout": 0.3, "norm": "layer", "solver": "adamw", "warm_start": True}
    model = make((8, 8), weight_decay=0.01, **options).fit(x, y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(x_test), model.predict(x_test))
    for each in (model, copy):
        each.fit(x, y)
        assert each.n_iter_ == 6
    np.testing.assert_array_equal(copy.predict(x_test), model.predict(x_test))
    for name, array in model.weights_.items():
        np.testing.assert_array_equal(copy.weights_[name], array)
    fresh = clone(model)
    assert fresh.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        fresh.predict(x_test)


def test_early_stopping_keeps_the_best_and_shows_the_validation_curve(cancer):
    x, _, y, _ = cancer
    model = HandgradClassifier(max_iter=100, early_stopping=True, random_state=0, n_iter_no_change=5).fit(x, y)
    assert model.n_iter_ < 100
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert all(loss > 0 for loss in model.validation_loss_curve_)
    # the held-out part is that which the seed draws again
    again = HandgradClassifier(max_iter=100, early_stopping=True, random_state=0, n_iter_no_change=5).fit(x, y)
    assert again.validation_scores_ == model.validation_scores_
    assert HandgradClassifier(max_iter=2).fit(x, y).validation_scores_ is None


def test_early_stopping_of_a_regression(diabetes):
    x, _, y, _ = diabetes
    model = HandgradRegressor(max_iter=30, early_stopping=True, random_state=0, loss="huber").fit(x, y)
    assert model.best_validation_score_ == max(model.validation_scores_) > 0.2


def test_parts_of_the_data(cancer):
    x, x_test, y, y_test = cancer
    model = HandgradClassifier((16,), learning_rate_init=1e-2, random_state=0)
    for start in range(0, 400, 50):
        model.partial_fit(x[start : start + 50], y[start : start + 50], classes=[0, 1])
    assert model.n_iter_ == 8
    assert model.score(x_test, y_test) > 0.9
    with pytest.raises(ValueError, match=r"y has classes \[2\], which were not among those of the first call: \[0 1\]"):
        model.partial_fit(x[:2], [2, 0])
    with pytest.raises(ValueError, match=r"classes=\[0, 1, 2\] differs from the first call of partial_fit"):
        model.partial_fit(x[:2], [1, 0], classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"partial_fit needs all classes in its first call"):
        HandgradClassifier().partial_fit(x, y)
    regressor = HandgradRegressor((16,), random_state=0)
    scale = regressor.partial_fit(x[:50], x[:50, 0] * 100)._target_scaling
    assert regressor.partial_fit(x[50:99], x[50:99, 0])._target_scaling is scale
    with pytest.raises(ValueError, match="y has 2 targets, but the network has 1"):
        regressor.partial_fit(x[:5], x[:5, :2])


def test_weights_of_samples_and_classes():
    x, y = make_moons(300, noise=0.4, random_state=0)
    y[np.flatnonzero(y)[15:]] = 0  # 15 of class 1 remain
    recalls = {}
    for weight in (None, "balanced", {0: 1, 1: 20}):
        model = HandgradClassifier((8,), class_weight=weight, learning_rate_init=0.01, max_iter=60, random_state=0)
        recalls[str(weight)] = (model.fit(x, y).predict(x)[y == 1] == 1).mean()
    assert recalls["balanced"] > recalls["None"]
    by_class = HandgradClassifier((8,), class_weight={0: 1, 1: 20}, max_iter=5, random_state=0).fit(x, y)
    by_sample = HandgradClassifier((8,), max_iter=5, random_state=0).fit(x, y, sample_weight=np.where(y == 1, 20, 1))
    np.testing.assert_array_equal(by_class.predict_proba(x), by_sample.predict_proba(x))
    with pytest.raises(ValueError, match=r"at least one non-zero|at least one above 0"):
        by_class.fit(x, y, sample_weight=np.zeros(len(y)))


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "step", "plateau"])
def test_schedules(schedule, cancer):
    x, x_test, y, y_test = cancer
    options = {"learning_rate": schedule, "warmup_steps": 0 if schedule == "one_cycle" else 2}
    model = HandgradClassifier(**options, learning_rate_init=1e-2, max_iter=10, random_state=0)
    assert model.fit(x, y).score(x_test, y_test) > 0.93
    with pytest.raises(ValueError, match=f"learning_rate='{schedule}' spans all iterations of fit"):
        model.partial_fit(x, y)


def test_without_shuffling_every_sample_is_used():
    x = np.eye(7)
    y = np.array([0, 1, 0, 1, 0, 1, 1])
    model = HandgradClassifier((), shuffle=False, batch_size=3, max_iter=40, learning_rate_init=0.1, random_state=0)
    assert model.fit(x, y).score(x, y) == 1


def test_verbose_prints_lines_where_there_is_no_terminal(cancer, capsys):
    x, _, y, _ = cancer
    HandgradClassifier(max_iter=40, verbose=True, early_stopping=True, n_iter_no_change=99).fit(x, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21
    assert lines[0].startswith("iteration 1/40  loss ")
    assert "validation score " in lines[-1]
    HandgradClassifier(max_iter=2).fit(x, y)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_iter": 0}, "max_iter=0, expected a whole number of at least 1"),
        ({"batch_size": 0}, "batch_size=0, expected 'auto' or at least 1"),
        ({"tol": -1}, "tol=-1, expected a number of at least 0"),
        ({"n_iter_no_change": 0}, "n_iter_no_change=0, expected at least 1"),
        ({"validation_fraction": 1.0}, r"validation_fraction=1.0, expected a number in \(0, 1\)"),
        ({"precision": "float16"}, "precision='float16', expected auto, float32 or float64"),
        ({"n_jobs": 0}, "n_jobs=0, expected None or at least 1"),
        ({"hidden_layer_sizes": "100"}, "hidden_layer_sizes='100', expected a whole number or several"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes=0: expected whole numbers above 0"),
        ({"activation": "step"}, "activation=step: expected one of relu, "),
        ({"solver": "lbfgs"}, "solver=lbfgs: expected one of sgd, adam, "),
        ({"learning_rate": "adaptive"}, "learning_rate=adaptive: expected one of constant, "),
        ({"learning_rate_init": 0}, "learning_rate_init=0: expected a number above 0"),
        ({"dropout": 1.0}, r"dropout=1.0: expected a number in \[0, 1\)"),
        ({"norm": "group", "num_groups": 3}, "norm=group with num_groups=3 does not divide 100 hidden units"),
        ({"norm": "batch", "batch_size": 1}, "norm='batch' needs batches of at least 2 samples"),
        ({"learning_rate_init": 1e30, "solver": "sgd"}, "the loss is no longer a finite number in iteration "),
    ],
)
def test_parameters_that_cannot_be(options, message, cancer):
    x, _, y, _ = cancer
    with pytest.raises(ValueError, match=message):
        HandgradClassifier(**options).fit(x, y)


def test_other_refusals(cancer, diabetes):
    x, _, y, _ = cancer
    with pytest.raises(ValueError, match="needs samples of at least 2 classes, got 1 class: 0"):
        HandgradClassifier().fit(x, np.zeros(len(y)))
    with pytest.raises(ValueError, match="loss='cross_entropy', expected mse, l1 or huber"):
        HandgradRegressor(loss="cross_entropy").fit(x, y)
    with pytest.raises(ValueError, match=r"huber_delta=0.5 applies to loss=huber, not to mse: leave it out"):
        HandgradRegressor(huber_delta=0.5).fit(x, y)
    with pytest.raises(ValueError, match="huber_delta=0: expected a number above 0"):
        HandgradRegressor(loss="huber", huber_delta=0).fit(x, y)
    with pytest.raises(ValueError, match="early_stopping=True applies to fit: partial_fit sees the data in parts"):
        HandgradRegressor(early_stopping=True).partial_fit(x, y)
    model = HandgradClassifier(warm_start=True, max_iter=1).fit(x, y)
    with pytest.raises(ValueError, match=r"warm_start=True: y has classes \[0 1 2\], the last fit had \[0 1\]"):
        model.fit(x, np.arange(len(y)) % 3)


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "handgrad.sklearn")
    with pytest.raises(ImportError, match=r"handgrad.sklearn requires scikit-learn 1.6 or newer .*\[sklearn\]"):
        importlib.import_module("handgrad.sklearn")


def test_importing_handgrad_does_not_import_scikit_learn():
    program = "import handgrad, handgrad.training, sys; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
