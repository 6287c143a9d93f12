"""Losses, activations and initial weights as settings, and their effect in runs."""

import numpy as np
import pytest
from tests.specs import specs

from handgrad.architectures import ACTIVATIONS
from handgrad.engines import LOSSES_OF
from handgrad.errors import ConfigError
from handgrad.training import TrainConfig, train
from handgrad.training.run import load_dataset, nearest_probabilities

SMALL = {"dataset": "digits", "hidden_units": (16,), "max_steps": 60, "eval_freq": 30, "learning_rate": 0.01}


def digits():
    dataset = load_dataset(TrainConfig(dataset="digits"))
    indices = dataset.indices("test")
    return dataset, indices


@pytest.mark.parametrize(
    "settings",
    [
        *({"loss": loss} for loss in LOSSES_OF["classification"] if loss != "mse"),
        {"loss": "mse", "activation": "tanh", "max_steps": 300},  # with so few ReLUs, too many die in the first steps
        {"label_smoothing": 0.2},
        *({"activation": activation} for activation in ACTIVATIONS if activation != "identity"),
        *({"init": init} for init in ("kaiming_uniform", "xavier", "xavier_uniform", "orthogonal", "uniform:0.1")),
    ],
    ids=lambda settings: str(next(iter(settings.values()))),
)
def test_each_choice_learns(tmp_path, settings):
    run = train(run_dir=tmp_path / "a", **{**SMALL, **settings})
    assert run.summary["last"]["test_accuracy"] > 0.75
    assert run.metrics[-1]["train_loss"] < run.metrics[0]["train_loss"]
    again = run.evaluate()["test"]
    assert again["accuracy"] == run.summary["last"]["test_accuracy"]
    assert again["loss"] == pytest.approx(run.summary["last"]["test_loss"], rel=1e-6)


def test_nll_is_cross_entropy_with_another_last_layer(tmp_path):
    fused = train(run_dir=tmp_path / "a", precision="float64", **SMALL)
    apart = train(run_dir=tmp_path / "b", precision="float64", loss="nll", **SMALL)
    assert apart.engine().architecture.layers[-1].kind == "log_softmax"
    for ours, theirs in zip(apart.metrics, fused.metrics, strict=True):
        for figure in ("train_loss", "test_loss", "test_accuracy"):
            assert ours[figure] == pytest.approx(theirs[figure], rel=1e-9)
    dataset, indices = digits()
    x = dataset.inputs[indices[:20]]
    np.testing.assert_allclose(apart.predict(x), fused.predict(x), rtol=1e-5)


def test_probabilities_of_a_network_trained_by_squares(tmp_path):
    run = train(run_dir=tmp_path / "a", loss="mse", **{**SMALL, "activation": "tanh", "max_steps": 300})
    dataset, indices = digits()
    p = run.predict(dataset.inputs[indices])
    assert p.min() >= 0
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    assert np.median(p.max(axis=1)) > 0.6  # a softmax of outputs near 0 and 1 never gives more than e/(e + 9) = 0.23
    right = (p.argmax(axis=1) == dataset.targets(indices)).mean()
    assert right == run.summary["last"]["test_accuracy"]


def test_thenearest_probabilities_by_hand():
    # (0.6, 0.6, -1): taking 0.1 from the first two leaves the third below 0; probabilities stay as they are
    outputs = np.array([[0.6, 0.6, -1.0], [0.2, 0.5, 0.3], [3.0, 0.0, 0.0], [-1.0, -1.0, -1.0]])
    expected = [[0.5, 0.5, 0], [0.2, 0.5, 0.3], [1, 0, 0], [1 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(nearest_probabilities(outputs), expected, atol=1e-15)
    rng = np.random.default_rng(0)
    for row in rng.standard_normal((20, 5)):
        nearest = nearest_probabilities(row[None])[0]
        others = rng.dirichlet(np.ones(5), 300)
        assert (((others - row) ** 2).sum(axis=1) >= ((nearest - row) ** 2).sum() - 1e-12).all()


def test_label_smoothing_is_in_every_figure(tmp_path):
    """An untrained network has a loss of ln 10 either way; a trained one has a higher loss with smoothed labels."""
    plain = train(run_dir=tmp_path / "a", **SMALL)
    smoothed = train(run_dir=tmp_path / "b", label_smoothing=0.3, **SMALL)
    assert smoothed.summary["last"]["test_loss"] > plain.summary["last"]["test_loss"] + 0.3
    zeros = {**SMALL, "init": "zeros", "hidden_units": (), "learning_rate": 1e-12}
    run = train(run_dir=tmp_path / "c", label_smoothing=0.3, **zeros)
    assert run.summary["last"]["test_loss"] == pytest.approx(np.log(10), rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "hinge"}, "loss='hinge' is unknown, expected one of cross_entropy, nll, mse"),
        ({"loss": "mse", "label_smoothing": 0.1}, "label_smoothing=0.1 applies to loss=cross_entropy, not to mse"),
    ],
)
def test_losses_that_an_engine_has_not(options, message):
    with pytest.raises(ConfigError, match=message):
        specs(**options)
