"""Help pages, messages for unknown flags, versions and shell completion."""

import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from typing import get_args

import pytest

import handgrad
from handgrad.cli import COMMANDS, main
from handgrad.cli.common import Device, Engine
from handgrad.engines import DEVICES, ENGINES
from handgrad.errors import ConfigError
from handgrad.training import TrainConfig
from handgrad.training.synonyms import ELSEWHERE, NO_SETTING


def shown(*arguments: str) -> str:
    command = [sys.executable, "-m", "handgrad", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "160"})
    return done.stdout


def test_the_short_page_has_the_usual_settings_and_the_long_one_all():
    flags = {"--" + name.replace("_", "-") for name in TrainConfig.__dataclass_fields__ if name != "recipe"}
    short, whole = (set(re.findall(r"--[a-z0-9-]+", shown("train", page))) for page in ("--help", "--help-all"))
    assert whole >= flags
    assert len(short & flags) <= 16
    assert {"--learning-rate", "--epochs", "--help-all"} <= short
    assert "--gamma" not in short


def test_choices_and_defaults_are_listed():
    page = " ".join(shown("train", "--help-all").replace("│", " ").split())
    assert "[choices: sgd, adam, adamw, rmsprop, adadelta, muon] [default: adam]" in page
    assert "[choices: constant, step, cosine, one_cycle, plateau] [default: constant]" in page
    assert "[choices: cross_entropy, nll, mse, l1, huber] [default: cross_entropy; mse for regression]" in page


@pytest.mark.parametrize(
    ("given", "meant"),
    {
        "--lr": "--learning-rate",
        "-lr": "--learning-rate",
        "--LR": "--learning-rate",
        "--wd": "--weight-decay",
        "--bs": "--batch-size",
        "--arch": "--model",
        "--gpu": "--device",
        "--no-cuda": "--device",
        "--workers": "--threads",
        "--num-epochs": "--epochs",
        "--save-dir": "--run-dir",
        "--log_dir": "--run-dir",
        "--resume-from-checkpoint": "--resume",
        "--early-stopping": "--patience",
        "--hidden-layer-sizes": "--hidden-units",
        "--valid-pct": "--validation-size",
        "--max_grad_norm": "--clip-norm",
        "--per-device-train-batch-size": "--batch-size",
    }.items(),
)
def test_a_flag_of_another_library_is_answered_by_its_meaning(capsys, given, meant):
    assert main(["train", given, "3"]) == 2
    assert f"there is no {given}: use {meant}." in capsys.readouterr().err


def test_a_command_without_that_flag_does_not_name_it(capsys):
    assert main(["predict", "run", "x.npy", "--lr", "3"]) == 2
    assert re.search('Unknown option: "?--lr"?. See handgrad predict --help', capsys.readouterr().err)


def test_every_meaning_is_a_setting_or_an_argument_of_train():
    arguments = set(inspect.signature(handgrad.train).parameters)
    ours = set(TrainConfig.__dataclass_fields__) | arguments
    assert set(ELSEWHERE.values()) <= ours
    assert not ours & {*ELSEWHERE, *NO_SETTING}
    assert not {*ELSEWHERE} & {*NO_SETTING}


@pytest.mark.parametrize("name", [*ELSEWHERE, *NO_SETTING])
def test_every_name_from_elsewhere_is_answered_in_python_too(name):
    with pytest.raises(ConfigError) as python:
        handgrad.train(**{name: 3})
    said = str(python.value)
    assert said.startswith(f"unknown setting '{name}': ")
    if name in NO_SETTING:
        assert said.endswith(NO_SETTING[name])
    else:
        assert f"use {ELSEWHERE[name]}" in said or f"use the argument {ELSEWHERE[name]} of handgrad.train" in said


@pytest.mark.parametrize("name", NO_SETTING)
def test_a_flag_without_a_counterpart_is_explained(name, capsys):
    flag = f"--{name.replace('_', '-')}"
    assert main(["train", flag, "3"]) == 2
    assert f"there is no {flag}: {NO_SETTING[name]}." in capsys.readouterr().err


def test_a_share_as_validation_split():
    """In Keras, this is the name of validation_size."""
    with pytest.raises(
        ConfigError, match=r"validation_split=0.2: expected one of random, end; how many .* validation_size"
    ):
        handgrad.train(validation_split=0.2)


@pytest.mark.parametrize("command", COMMANDS)
def test_choices_are_listed_wherever_there_are_any(command):
    """A flag whose help or default names alternatives rejects other values and lists all alternatives."""
    app = importlib.import_module(f"handgrad.cli.{command.replace('-', '_')}").app
    apps = [app, *(app[name] for name in app if not name.startswith("-"))]
    flags = [flag for one in apps for flag in one.assemble_argument_collection()] if app.default_command else []
    settings = TrainConfig.__dataclass_fields__
    for flag in flags:
        name = flag.names[0].lstrip("-").replace("-", "_") if flag.names else ""
        choices = settings[name].metadata["rule"].choices if name in settings else ()
        assert not choices or tuple(flag.get_choices()) == choices
        assert flag.get_choices() or not re.search(r"\bone of\b|: \w+, \w+ or \w+$", flag.parameter.help or "")


def test_the_choices_of_other_flags_are_those_of_the_program():
    assert get_args(get_args(get_args(Engine)[0])[0]) == ENGINES
    assert get_args(get_args(get_args(Device)[0])[0]) == DEVICES


def test_a_choice_that_is_none(capsys):
    assert main(["train", "--optimizer", "adamm"]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("Invalid value", "--optimizer", "adamm", "sgd", "muon"))


def test_versions_for_a_bug_report(capsys):
    assert main(["--version"]) == 0
    assert re.search(r"^handgrad \S+\nPython 3\.\d+\.\d+ on .*\nnumpy \d", capsys.readouterr().out)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(tmp_path, monkeypatch, shell):
    monkeypatch.setenv("HOME", str(tmp_path))
    out = shown("--install-completion", shell)
    scripts = [path for path in tmp_path.rglob("*handgrad*") if path.is_file()]
    assert len(scripts) == 1
    assert str(scripts[0]) in out
    text = scripts[0].read_text()
    assert all(name in text for name in COMMANDS)
    assert "adadelta" in text
    if shell == "bash" and shutil.which("bash"):
        ask = (
            f"source {scripts[0]}; COMP_WORDS=(handgrad train --optimizer ad); COMP_CWORD=3; "
            "$(complete -p handgrad | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); echo ${COMPREPLY[*]}"
        )
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["adam", "adamw", "adadelta"]


def test_completion_for_an_unknown_shell(capsys):
    assert main(["--install-completion", "tcsh"]) == 2
    assert "shell='tcsh': name one of bash, zsh, fish" in capsys.readouterr().err
