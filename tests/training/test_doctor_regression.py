"""The doctor on regressions: healthy ones cause no alarm, and broken ones are named."""

import dataclasses
import math

import numpy as np
import pytest

import handgrad
from handgrad import data
from handgrad.cli import main
from handgrad.data import from_arrays
from handgrad.errors import NonFiniteError
from handgrad.training import Reporter, TrainConfig
from handgrad.training.doctor import OK, PROBLEM, WARNING, Watch, examine, examine_run
from handgrad.training.doctor.curve_checks import check_curve
from handgrad.training.doctor.patient import Patient

pytestmark = pytest.mark.usefixtures("unchecked")


def settings(**given):
    return TrainConfig(data="arrays", task="regression", **given)


def friedman(n=1200):
    """Friedman's first function of ten inputs, five of which are irrelevant."""
    rng = np.random.default_rng(0)
    x = rng.random((n, 10))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    return x.astype(np.float32), y + rng.normal(size=n)


def two_targets():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1000, 8)).astype(np.float32)
    noise = 0.1 * rng.normal(size=1000)
    return x, np.stack([np.sin(x[:, 0]) + noise, x[:, 1] * x[:, 2]], axis=1)


def hardly_related():
    """A tenth of the target's variance depends on the inputs."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1000, 5)).astype(np.float32)
    return x, x[:, 0] + 3 * rng.normal(size=1000)


def images():
    digits = data.load("digits")
    return digits.inputs.astype(np.float32), digits.inputs.reshape(-1, 64)[:, 20:40].mean(axis=1).astype(float)


SETS = {make.__name__: make for make in (friedman, two_targets, hardly_related, images)}
HEALTHY = {
    "mse": {},
    "l1": {"loss": "l1"},
    "huber": {"loss": "huber", "norm": "batch"},
    "tanh": {"optimizer": "sgd", "learning_rate": 0.05, "hidden_units": (32, 32), "activation": "tanh"},
    "linear": {"hidden_units": (), "learning_rate": 0.01},
}


#: A linear network cannot give a product of inputs.
CASES = [
    pytest.param(name, how, seed, marks=[] if seed == 0 and (name == "friedman" or how == "l1") else [pytest.mark.slow])
    for name in SETS
    for how in HEALTHY
    for seed in range(3)
    if (name, how) != ("two_targets", "linear")
]


@pytest.mark.parametrize(("name", "how", "seed"), CASES)
def test_healthy_regressions(name, how, seed):
    report = examine(settings(seed=seed, **HEALTHY[how]), dataset=from_arrays(*SETS[name](), task="regression"))
    assert report.diagnoses == []
    assert report.verdict == OK
    assert {"labels", "initial-loss", "learning-rate", "one-batch"} <= {finding.check for finding in report}


BROKEN = {
    "learning-rate-too-high": {"optimizer": "sgd", "learning_rate": 30.0},
    "learning-rate-too-low": {"optimizer": "sgd", "learning_rate": 1e-6},
    "units-identical": {"init": "zeros"},
    "dropout-too-high": {"dropout": 0.97},
    "batch-too-small": {"norm": "batch", "batch_size": 2},
    "signal-fades": {"hidden_units": (32,) * 10, "activation": "sigmoid"},
    "init-too-large": {"init": "normal:10"},
    "init-too-small": {"init": "normal:1e-4", "hidden_units": (32, 32)},
}


@pytest.mark.parametrize(("diagnosis", "given"), BROKEN.items(), ids=BROKEN)
def test_broken_regressions(diagnosis, given):
    report = examine(settings(**given), dataset=from_arrays(*friedman(), task="regression"))
    assert diagnosis in report.diagnoses


def look_at(x, y, **given):
    return examine(settings(), dataset=from_arrays(x, y, task="regression", **given), budget=1)


def labels_of(report):
    (finding,) = (finding for finding in report if finding.check == "labels")
    return finding


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("make", [friedman, hardly_related])
def test_targets_that_were_shuffled(make, seed):
    x, y = make()
    finding = labels_of(look_at(x, np.random.default_rng(seed).permutation(y)))
    assert (finding.verdict, finding.diagnosis) == (WARNING, "targets-unrelated")
    assert labels_of(look_at(x, y)).verdict == OK


def test_a_few_targets_that_outweigh_all_others():
    x, clean = friedman()
    y = clean.copy()
    y[7::300] = 1e6
    finding = labels_of(look_at(x, y))
    assert (finding.verdict, finding.diagnosis) == (WARNING, "targets-heavy-tailed")
    assert "--loss huber" in finding.change
    assert labels_of(look_at(x, np.exp(clean / 8))).verdict == OK  # skewed, as prices are


def test_sets_whose_targets_differ():
    x, y = friedman()
    order = np.argsort(y)
    x, y = x[order], y[order]
    finding = labels_of(look_at(x[:900], y[:900], x_test=x[900:], y_test=y[900:]))
    assert (finding.verdict, finding.diagnosis) == (WARNING, "targets-differ")
    assert "standard deviations from that of the training set" in finding.evidence


def test_the_loss_of_an_uninformed_prediction():
    dataset = from_arrays(*friedman(), task="regression")
    assert dataset.target_scaling is not None
    targets = (dataset.targets(dataset.indices("train")) - dataset.target_scaling.shift) * dataset.target_scaling.scale
    for loss, expected in (("mse", 1), ("l1", np.abs(targets - np.median(targets)).mean())):
        assert math.isclose(Patient(settings(loss=loss), dataset).chance, expected, rel_tol=1e-3)
    near, far = (Patient(settings(loss="huber", huber_delta=delta), dataset).chance for delta in (0.1, 100.0))
    assert near < far
    assert math.isclose(far, 0.5, rel_tol=1e-3)


def test_what_is_seen_of_a_regression_is_what_the_engine_evaluates():
    dataset = from_arrays(*two_targets(), task="regression")
    assert dataset.target_scaling is not None
    patient = Patient(settings(loss="huber", huber_delta=0.4), dataset)
    samples = patient.gather(dataset.indices("test"))
    loss, r2 = patient.loss_of(patient.start_state, samples)
    figures = patient.engine.evaluate(dataset.indices("test"))
    assert math.isclose(loss, float(figures.loss.sum()) / len(samples.x), rel_tol=1e-5)
    squares = figures.errors[0, 0] * dataset.target_scaling.scale**2 / len(samples.x)
    assert math.isclose(r2, 1 - squares.mean(), rel_tol=1e-4)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regression")
    x, y = friedman(400)
    rows = np.column_stack([x, y])
    names = [*(f"x{i}" for i in range(10)), "y"]
    np.savetxt(folder / "table.csv", rows, delimiter=",", header=",".join(names), comments="")
    return folder


def test_a_run_and_its_figures(table, capsys):
    watch = Watch(Reporter())
    run = handgrad.train(
        data=str(table / "table.csv"), target="y", run_dir=table / "run", max_steps=300, eval_freq=50, reporter=watch
    )
    assert watch.report.diagnoses == []
    report = examine_run(run, budget=1)
    assert report.diagnoses == []
    (curve,) = (finding for finding in report if finding.check == "curve")
    assert f"test R² {run.summary['last']['test_r2']:.3f}" in curve.evidence
    assert main(["doctor", str(table / "run"), "--budget", "1"]) == 0
    assert "These checks found nothing wrong." in capsys.readouterr().out


def test_a_regression_that_diverges(table):
    watch = Watch(Reporter())
    given = {"data": str(table / "table.csv"), "target": "y", "max_steps": 200, "eval_freq": 20}
    with pytest.raises(NonFiniteError), watch:
        handgrad.train(run_dir=table / "lost", optimizer="sgd", learning_rate=1e3, reporter=watch, **given)
    assert watch.report.verdict == PROBLEM
    assert "diverges" in watch.report.diagnoses


def records(train, test, train_r2=0.9, test_r2=0.9):
    return [
        {"step": 100 * (i + 1), "train_loss": a, "test_loss": b, "train_r2": train_r2, "test_r2": test_r2}
        for i, (a, b) in enumerate(zip(train, test, strict=True))
    ]


@pytest.mark.parametrize(
    ("lines", "diagnosis"),
    [
        (records([0.5, 0.2, 0.1, 0.1], [0.5, 0.3, 0.2, 0.2]), "curve"),
        (records([1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], 0.01, 0.0), "never-learned"),
        (records([0.5, 0.2, 0.1, 0.01], [0.5, 0.3, 0.4, 0.6], 0.99, 0.4), "overfits"),
        (records([0.5, 0.2, 2.0, 9.0], [0.5, 0.3, 2.0, 9.0], -8, -8), "loss-diverged"),
    ],
)
def test_curves(lines, diagnosis):
    assert check_curve(lines, 1.0, 0.0, finished=True).diagnosis == diagnosis


def test_weights_of_samples_do_not_matter_to_the_doctor():
    x, y = friedman()
    weights = np.random.default_rng(0).uniform(0.5, 2, len(y)).astype(np.float32)
    dataset = from_arrays(x, y, task="regression")
    weighted = dataclasses.replace(dataset, weights=weights, target_scaling=None)
    assert examine(settings(), dataset=weighted).diagnoses == []
