"""`handgrad doctor` and `handgrad train --doctor` on the command line."""

import json

import pytest

from handgrad.cli import main

pytestmark = pytest.mark.usefixtures("unchecked")

QUICK = ["--dataset", "digits", "--hidden-units", "16"]
TRAIN = ["train", *QUICK, "--max-steps", "200", "--eval-freq", "100"]


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_healthy_recipe_ends_with_0_and_says_so(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "doctor", "digits")
    assert code == 0
    assert out.startswith("digits\nthe data\n")
    assert "These checks found nothing wrong." in out
    assert out.rstrip().endswith("report: doctor/digits")
    assert sorted(path.name for path in (tmp_path / "doctor" / "digits").iterdir()) == [
        *("doctor.json", "layers.png", "learning-rate.png")
    ]
    assert (tmp_path / "doctor" / "digits" / "layers.png").read_bytes().startswith(b"\x89PNG")


def test_a_problem_ends_with_1_and_names_the_flag(capsys, tmp_path):
    code, out, _ = run(capsys, "doctor", *QUICK, "--learning-rate", "1", "--out", tmp_path / "a")
    assert code == 1
    assert "problem       learning-rate" in out
    assert "1. learning-rate-too-high\n" in out
    assert "   change: --learning-rate 0.0" in out
    assert f"report: {tmp_path / 'a'}" in out


def test_a_warning_ends_with_0(capsys, tmp_path):
    code, out, _ = run(capsys, "doctor", *QUICK, "--preprocessing", "none", "--out", tmp_path / "a")
    assert code == 0
    assert "warning       input-scale" in out
    assert "Fix the first problem first: it may cause the others." in out


def test_json_is_the_report_and_nothing_else(capsys, tmp_path):
    code, out, err = run(capsys, "doctor", *QUICK, "--init", "zeros", "--out", tmp_path / "a", "--json")
    printed = json.loads(out)
    assert code == 1
    assert err == ""
    assert printed.pop("folder") == str(tmp_path / "a")
    assert printed == json.loads((tmp_path / "a" / "doctor.json").read_text())
    assert printed["verdict"] == "problem"
    assert printed["diagnoses"][0] == "units-identical"


def test_settings_come_from_a_file_as_well(capsys, tmp_path):
    (tmp_path / "mine.toml").write_text('dataset = "digits"\nhidden_units = [16]\nlearning_rate = 1e-7\n')
    code, out, _ = run(capsys, "doctor", "--config", tmp_path / "mine.toml", "--out", tmp_path / "a", "--json")
    assert code == 1
    assert json.loads(out)["diagnoses"][0] == "learning-rate-too-low"


def test_a_run_is_examined_and_left_as_it_was(capsys, tmp_path):
    assert main([*TRAIN, "--quiet", "--run-dir", str(tmp_path / "run")]) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    capsys.readouterr()
    code, out, _ = run(capsys, "doctor", tmp_path / "run")
    assert code == 0
    assert "the trained network" in out
    assert "the metrics of the run" in out
    assert before == {path: path.read_bytes() for path in before}
    assert (tmp_path / "run" / "doctor" / "doctor.json").exists()
    # A flag overrides the settings of the run; its network is unchanged.
    code, out, _ = run(capsys, "doctor", tmp_path / "run", "--learning-rate", "2", "--hidden-units", "8", "--json")
    assert code == 1
    report = json.loads(out)
    assert report["diagnoses"][0] == "learning-rate-too-high"
    assert {found["verdict"] for found in report["parts"]["the trained network"]} == {"ok"}


def test_a_report_replaces_the_one_before(capsys, tmp_path):
    run(capsys, "doctor", *QUICK, "--out", tmp_path / "a")
    run(capsys, "doctor", *QUICK, "--out", tmp_path / "a", "--budget", "40")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["doctor.json", "layers.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digitz"], "there is no recipe 'digitz': did you mean 'digits'?"),
        (["--budget", "0"], "budget=0: expected a whole number of at least 1"),
        (["--learning-rate", "-1"], "learning_rate=-1.0: expected a number above 0"),
        (["--batch-size", "5000"], "batch_size=5000: expected at most 1438"),
        (["--lerning-rate", "1"], "--learning-rate"),
        (["--hidden-units", "x"], "hidden_units=x: expected whole numbers above 0"),
        (["mnist", "--data-dir", "/nonexistent"], "mnist is not in /nonexistent"),
        (["."], ". is not a run folder: it has no config.toml"),
    ],
)
def test_what_cannot_be_examined_ends_with_2_and_one_line(capsys, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "doctor", *arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_train_doctor_examines_first_and_reports_at_the_end(capsys, tmp_path):
    code, out, _ = run(capsys, *TRAIN, "--doctor", "--run-dir", tmp_path / "a")
    assert code == 0
    where = [out.index(text) for text in ("short trials", "step 100/200", "last step", "while training")]
    assert where == sorted(where)
    assert f"report: {tmp_path / 'a' / 'doctor'}" in out
    report = json.loads((tmp_path / "a" / "doctor" / "doctor.json").read_text())
    assert [next(iter(row)) for row in report["series"]["watched_dead"]] == ["step", "step"]
    assert run(capsys, *TRAIN, "--run-dir", tmp_path / "b")[0] == 0
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def test_train_doctor_json_keeps_stdout_for_the_summary(capsys, tmp_path):
    code, out, err = run(capsys, *TRAIN, "--doctor", "--json", "--run-dir", tmp_path / "a")
    assert code == 0
    assert json.loads(out)["steps"] == 200
    assert "while training" in err


def test_a_watched_run_that_diverges_ends_as_any_other(capsys, tmp_path):
    arguments = [*TRAIN, "--optimizer", "sgd", "--learning-rate", "1e25", "--doctor", "--run-dir", tmp_path / "a"]
    code, _, err = run(capsys, *arguments)
    assert code == 1
    assert "no longer a finite number at step" in err
    assert (tmp_path / "a" / "doctor" / "doctor.json").exists()
