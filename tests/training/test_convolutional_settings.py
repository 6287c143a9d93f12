"""Settings of convolutional networks: which apply to which model, a complete run, and the output of `show`."""

from __future__ import annotations

import json

import numpy as np
import pytest

from handgrad.cli import main
from handgrad.errors import ConfigError
from handgrad.training import TrainConfig, load_run, merge_settings, train

SMALL = {"model": "vgg", "width": 2, "max_steps": 4, "eval_freq": 2, "batch_size": 16, "eval_size": 20}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 8}, "width=8 applies to model=vgg or preact-resnet, not to mlp: leave it out"),
        ({"model": "vgg", "hidden_units": [5]}, "hidden_units=5 applies to model=mlp, not to vgg: leave it out"),
        (
            {"model": "preact-resnet", "norm": "layer"},
            "norm=layer applies to model=mlp: preact-resnet takes batch or",
        ),
        ({"channels": [8]}, "channels=8 applies to model=cnn, not to mlp: leave it out"),
        ({"model": "cnn", "width": 8}, "width=8 applies to model=vgg or preact-resnet, not to cnn: leave it out"),
        ({"model": "vgg", "dropout": 0.5}, "dropout=0.5 applies to model=mlp or cnn, not to vgg: leave it out"),
        ({"model": "cnn", "norm": "rms"}, "norm=rms applies to model=mlp: cnn takes batch or group"),
        ({"model": "cnn", "channels": [8, 0]}, "channels=8,0: expected whole numbers above 0"),
        ({"model": "vgg", "width": 0}, "width=0: expected a whole number of at least 1"),
        ({"convolution": "fft"}, "convolution=fft: expected one of auto, measure, im2col, taps, winograd-2x2"),
        ({"random_crop": -1}, "random_crop=-1: expected a whole number of at least 0"),
    ],
)
def test_settings_that_contradict_each_other(settings, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_settings(settings)


def test_another_model_over_a_recipe_drops_what_belongs_to_an_mlp():
    merged = merge_settings("digits", None, {"model": "vgg"})
    config = TrainConfig.from_settings(merged)
    assert (config.model, config.dataset, config.norm, config.dropout) == ("vgg", "digits", "none", 0.0)
    assert config.architecture((1, 8, 8), 10).name == "vgg"
    assert TrainConfig.from_settings(merge_settings("digits")).hidden_units != config.hidden_units


@pytest.mark.parametrize(("recipe", "parameters"), [("uva-vgg", 9_231_114), ("uva-preact-resnet", 11_138_122)])
def test_the_courses_recipes(recipe, parameters):
    config = TrainConfig.from_settings(merge_settings(recipe))
    assert config.architecture((3, 32, 32), 10).parameters == parameters
    assert (config.optimizer, config.learning_rate, config.batch_size) == ("adam", 1e-4, 32)
    assert (config.max_steps, config.eval_freq) == (5000, 500)


def test_a_run_that_resumes_is_the_run_that_did_not_stop(tmp_path):
    options = {**SMALL, "random_crop": 1, "horizontal_flip": True}
    whole = train(run_dir=tmp_path / "whole", **options)
    train(run_dir=tmp_path / "parts", **{**options, "max_steps": 2})
    parts = train(run_dir=tmp_path / "parts", resume=True, max_steps=4)
    for name, array in whole.engine().state_dict().items():
        np.testing.assert_array_equal(parts.engine().state_dict()[name], array)
    assert [r["test_loss"] for r in parts.metrics] == [r["test_loss"] for r in whole.metrics]
    assert whole.predict(np.zeros((3, 1, 8, 8))).shape == (3, 10)
    plain = train(run_dir=tmp_path / "plain", **SMALL)
    assert plain.metrics[-1]["train_loss"] != whole.metrics[-1]["train_loss"]


def test_show_says_how_and_why(tmp_path, capsys):
    assert main(["show", "uva-preact-resnet", "--json"]) == 0
    layers = {layer["name"]: layer for layer in json.loads(capsys.readouterr().out)["layers"]}
    assert "algorithm" not in layers["1.0"]
    algorithm = layers["8.2"]["algorithm"]
    assert (algorithm["name"], algorithm["why"]) == ("winograd-4x4", "lowest estimate")
    assert algorithm["estimates"]["im2col"] == 1
    assert algorithm["estimates"]["winograd-4x4"] == min(algorithm["estimates"].values()) < 1
    assert layers["15.2"]["algorithm"]["name"] == "taps"

    measured = train(run_dir=tmp_path / "measured", convolution="measure", **SMALL)
    settled = load_run(measured.path).convolutions()
    assert main(["show", str(measured.path), "--json"]) == 0
    for layer in json.loads(capsys.readouterr().out)["layers"]:
        if layer["kind"] == "conv2d":
            assert layer["algorithm"]["name"] == settled[layer["name"]]
            assert layer["algorithm"]["why"] == "fastest when measured"

    wanted = train(run_dir=tmp_path / "wanted", convolution="winograd-2x2", **{**SMALL, "model": "preact-resnet"})
    assert main(["show", str(wanted.path), "--json"]) == 0
    layers = {layer["name"]: layer for layer in json.loads(capsys.readouterr().out)["layers"]}
    assert layers["0"]["algorithm"]["why"] == "as set"
    assert layers["2"]["algorithm"]["why"] == "lowest estimate: winograd-2x2 is not applicable"  # a 1x1 convolution
    assert main(["show", str(wanted.path)]) == 0
    assert "--convolution" in capsys.readouterr().out
    assert main(["show", "digits"]) == 0
    assert "--convolution" not in capsys.readouterr().out
