"""Help pages, what unknown flags are answered, versions and shell completion."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from handgrad.cli import COMMANDS, main
from handgrad.training import TrainConfig
from handgrad.training.config import ELSEWHERE


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
    assert "[adam] [choices: sgd, adam, adamw, rmsprop, adadelta, muon]" in page
    assert "[constant] [choices: constant, step, cosine, one_cycle, plateau]" in page


@pytest.mark.parametrize(
    ("given", "meant"),
    {
        "--lr": "--learning-rate",
        "--wd": "--weight-decay",
        "--bs": "--batch-size",
        "--arch": "--model",
        "--gpu": "--device",
        "--workers": "--threads",
        "--hidden-layer-sizes": "--hidden-units",
    }.items(),
)
def test_a_flag_of_another_library_is_answered_by_its_meaning(capsys, given, meant):
    assert main(["train", given, "3"]) == 2
    assert f"there is no {given} here: use {meant}." in capsys.readouterr().err


def test_a_command_without_that_flag_does_not_name_it(capsys):
    assert main(["predict", "run", "x.npy", "--lr", "3"]) == 2
    assert re.search('Unknown option: "?--lr"?. See handgrad predict --help', capsys.readouterr().err)


def test_every_meaning_is_a_setting():
    assert set(ELSEWHERE.values()) <= set(TrainConfig.__dataclass_fields__)


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
