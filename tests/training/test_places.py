"""Folders that cannot be written to, have impossible names, or are requested by several runs at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from handgrad.cli import main
from handgrad.errors import ConfigError, RunError
from handgrad.training import TrainConfig, load_run, train
from handgrad.training.run import RunFolder

COMMAND = [sys.executable, "-m", "handgrad"]
TRAIN = ["train", "--dataset", "digits", "--hidden-units", "8", "--max-steps", "20", "--eval-freq", "10", "--quiet"]
DOCTOR = ["doctor", "--hidden-units", "8", "--budget", "40"]
#: Nobody, not even root, can make a folder here.
READ_ONLY = Path("/proc")
needs_proc = pytest.mark.skipif(not READ_ONLY.is_dir(), reason="needs /proc")


def handgrad(folder, *arguments):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, cwd=folder, timeout=120)


@needs_proc
def test_the_doctor_prints_its_examination_in_a_read_only_place():
    done = handgrad(READ_ONLY, *DOCTOR)
    assert done.returncode in (0, 1)
    assert "one-batch" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("the report could not be saved: cannot write doctor/digits-mlp/doctor.json: ") or (
        line.startswith("the report could not be saved: cannot write doctor/digits/doctor.json: ")
    )
    assert line.endswith("choose another folder with --out")
    assert "--run-dir" not in line


@needs_proc
def test_a_place_that_was_asked_for_and_cannot_be_written_to_is_an_error_after_the_report(tmp_path):
    done = handgrad(tmp_path, *DOCTOR, "--out", READ_ONLY / "x", "--json")
    assert done.returncode == 2
    report = json.loads(done.stdout)
    assert report["folder"] is None
    assert report["parts"]["the data"]
    assert "choose another folder with --out" in done.stderr


@needs_proc
def test_a_run_in_a_read_only_place_is_refused_in_one_line():
    done = handgrad(READ_ONLY, *TRAIN)
    assert done.returncode == 2
    assert done.stderr.startswith("handgrad: error: cannot create the run folder runs/digits")
    assert len(done.stderr.splitlines()) == 1


LONG = "x" * 300


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*TRAIN, "--run-dir", ""], "--run-dir is empty: expected a value"),
        ([*TRAIN, "--run-dir="], "--run-dir is empty: expected a value"),
        ([*DOCTOR, "--out", ""], "--out is empty"),
        (["evaluate", ""], "argument 1 is empty"),
        ([*TRAIN, "--data-dir", ""], "--data-dir is empty"),
        ([*TRAIN, "--run-dir", LONG], f"cannot create the run folder {LONG}: File name too long"),
        ([*TRAIN, "--config", LONG], "File name too long"),
        (["evaluate", LONG], "there is no run folder"),
        (["predict", LONG, "x.npy"], "there is no run folder"),
        (["show", LONG], "there is no recipe"),
        (["doctor", LONG], "there is no recipe"),
        (["compare", LONG, LONG], "there is no run folder"),
        (["data", "check", "mnist", "--data-dir", LONG], "File name too long"),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_one_line(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_report_whose_name_is_too_long_is_printed_all_the_same(capsys, tmp_path):
    assert main([*DOCTOR, "--out", str(tmp_path / LONG)]) == 2
    captured = capsys.readouterr()
    assert "one-batch" in captured.out
    assert "File name too long" in captured.err


def test_no_hidden_units_may_still_be_empty(tmp_path):
    assert main(["train", "--max-steps", "2", "--quiet", "--hidden-units", "", "--run-dir", str(tmp_path / "a")]) == 0


@pytest.mark.parametrize("call", [lambda: train(run_dir=""), lambda: load_run(""), lambda: RunFolder("")])
def test_an_empty_name_is_refused_from_python(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="run_dir='': expected the name of a folder"):
        call()
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_of_data_is_refused_from_python():
    with pytest.raises(ConfigError, match="data_dir=: expected the name of a folder"):
        TrainConfig(data_dir="")


def test_runs_begun_at_once_take_one_number_each(tmp_path):
    command = [*COMMAND, *TRAIN]
    runs = [subprocess.Popen(command, cwd=tmp_path, stdout=-1, stderr=-1, text=True) for _ in range(6)]
    assert [(run.wait(timeout=120), run.communicate()[1]) for run in runs] == [(0, "")] * 6
    names = {"digits-mlp", *(f"digits-mlp-{number}" for number in range(2, 7))}
    assert {path.name for path in (tmp_path / "runs").iterdir() if (path / "summary.json").exists()} == names


def test_a_folder_that_another_run_takes_in_between_is_passed_over(tmp_path, monkeypatch):
    """A race: the other run creates the folder after this one has checked it."""
    mkdir, taken = Path.mkdir, []

    def late(path, *arguments, **options):
        if path.name == "digits" and not taken:
            taken.append(path)
            mkdir(path)
        return mkdir(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", late)
    folder = RunFolder.new(tmp_path / "runs", "digits")
    assert folder.path == tmp_path / "runs" / "digits-2"
    folder.discard()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["digits"]


def test_a_run_that_is_refused_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="batch_size=5000"):
        train(batch_size=5000)
    assert not list(tmp_path.iterdir())


def test_a_file_named_runs_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs").write_text("")
    with pytest.raises(RunError, match="cannot create the run folder"):
        train(max_steps=1)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
