"""A study from its plan to its results, in worker processes, on the digits."""

import csv
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
import tomli_w
from tests.search.support import TINY, children, command, finals, kill_children, searching, values

from handgrad import training
from handgrad.errors import ConfigError, RunError
from handgrad.search import Watcher, findings, load_study, plan_from, search
from handgrad.training.loop import Interrupted


class Told(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.ends: list[tuple] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def ended(self, *about) -> None:
        self.ends.append(about)


def rows(study) -> list[dict[str, str]]:
    return list(csv.DictReader((study.folder / "trials.csv").read_text().splitlines()))


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """Four combinations with two seeds each."""
    folder = tmp_path_factory.mktemp("studies") / "s"
    plan = plan_from({**TINY, "learning_rate": [1e-2, 1e-4], "hidden_units": [[16], [8, 8]]}, seeds=2)
    told = Told()
    study, found = search(plan, study_dir=folder, workers=2, watcher=told)
    return study, found, told


def test_every_combination_is_trained_with_every_seed(studied):
    study, found, told = studied
    assert len(told.ends) == 8
    assert [len(row.results) for row in found.rows] == [2, 2, 2, 2]
    assert {(r.seed, r.state) for row in found.rows for r in row.results} == {(0, "complete"), (1, "complete")}
    assert len(finals(study)) == len(set(finals(study))) == 8


def test_a_run_of_a_study_is_the_run_that_train_makes(studied, tmp_path):
    study, found, _ = studied
    result = found.rows[0].results[1]
    settings = training.config_from_file(study.run_dir(result.run) / "config.toml")
    alone = training.train(run_dir=tmp_path / "alone", **settings)
    best = alone.summary["best"]
    assert (result.value, result.figures["best_step"]) == (best["validation_accuracy"], best["step"])
    assert result.figures["test_accuracy"] == best["test_accuracy"]
    metrics = [json.loads(line) for line in (study.run_dir(result.run) / "metrics.jsonl").read_text().splitlines()]
    assert [m["validation_loss"] for m in metrics] == [m["validation_loss"] for m in alone.metrics]


def test_the_test_set_is_not_looked_at_before_the_end(studied):
    study, found, told = studied
    for row in found.rows:
        metrics = (study.run_dir(row.results[0].run) / "metrics.jsonl").read_text().splitlines()
        assert all(json.loads(line)["test_accuracy"] is None for line in metrics)
    tested = {line["rank"] for line in rows(study) if line["test_accuracy"]}
    assert tested == {str(rank) for rank, row in enumerate(found.rows, start=1) if row in found.best}
    assert any("143 of 1,438 training samples are held out" in note for note in told.notes)


def test_trials_csv_has_a_line_a_run(studied):
    study, found, _ = studied
    lines = rows(study)
    assert len(lines) == 8
    assert {(line["hidden_units"], line["learning_rate"]) for line in lines} == {
        ("16", "0.01"),
        ("16", "0.0001"),
        ("8,8", "0.01"),
        ("8,8", "0.0001"),
    }
    assert [line["rank"] for line in lines] == ["1", "1", "2", "2", "3", "3", "4", "4"]
    assert float(lines[0]["validation_accuracy"]) in found.rows[0].values


def test_best_toml_trains(studied, tmp_path):
    study, found, _ = studied
    run = training.train(config_file=study.folder / "best.toml", run_dir=tmp_path / "run")
    assert run.config.learning_rate == found.best[0].combination["learning_rate"] == 0.01
    assert run.summary["best"]["validation_accuracy"] == found.best[0].results[0].value


def test_a_finished_study_is_not_begun_again_and_can_grow(studied):
    study, found, _ = studied
    plan = study.plan
    with pytest.raises(RunError, match="already contains the study 's': resume it with --resume"):
        search(plan, study_dir=study.folder, figures=False)
    told = Told()
    more = plan_from(plan.to_toml() | {"learning_rate": [1e-2, 1e-3, 1e-4]})
    again, after = search(more, study_dir=study.folder, resume=True, workers=2, watcher=told, figures=False)
    assert len(told.ends) == 4
    assert values(found).items() <= values(after).items()
    assert len(values(after)) == 12
    assert again.plan.factors[1].values == (1e-2, 1e-4, 1e-3)


def test_select_test_says_that_it_is_biased(tmp_path):
    told = Told()
    plan = plan_from({**TINY, "learning_rate": [1e-2, 1e-3]}, select="test")
    study, found = search(plan, study_dir=tmp_path / "s", workers=1, watcher=told, figures=False)
    assert any("the best of many test results is optimistically biased" in note for note in told.notes)
    assert found.figure == "test_accuracy"
    assert all(line["test_accuracy"] for line in rows(study))
    assert study.plan.fixed.get("validation_size") is None


def test_a_run_that_diverges_and_one_that_fails_leave_the_others_alone(tmp_path):
    settings = {**TINY, "optimizer": "sgd", "norm": "none", "learning_rate": [1e20, 1e-2]}
    study, found = search(plan_from(settings), study_dir=tmp_path / "s", workers=2, figures=False)
    assert {(row.combination["learning_rate"], row.state) for row in found.rows} == {
        (1e20, "diverged"),
        (0.01, "complete"),
    }
    assert "no longer a finite number" in rows(study)[-1]["message"]


def test_combinations_that_cannot_be_are_named_counted_and_refused_or_skipped(tmp_path):
    settings = {**TINY, "norm": ["group", "batch"], "hidden_units": [[10], [8], [12]], "num_groups": [4, 5]}
    message = r"6 of 12 combinations cannot be trained: hidden_units=10 norm=group num_groups=4: .*; and 3 more"
    with pytest.raises(ConfigError, match=message + r".*--impossible skip"):
        search(plan_from(settings), study_dir=tmp_path / "s", figures=False)
    assert not (tmp_path / "s").exists()
    told = Told()
    _, found = search(
        plan_from(settings, impossible="skip"), study_dir=tmp_path / "s", workers=2, watcher=told, figures=False
    )
    assert any("6 of 12 combinations" in note and "They are skipped" in note for note in told.notes)
    assert len(found.rows) == 6


def test_no_combination_that_can_be(tmp_path):
    with pytest.raises(ConfigError, match=r"2 of 2 combinations cannot be trained: .*Change the common settings"):
        search(
            plan_from({**TINY, "batch_size": [5000, 6000]}, impossible="skip"), study_dir=tmp_path / "s", figures=False
        )


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"workers": 0}, r"workers=0: expected a whole number of at least 1"),
        ({"timeout": 0}, r"timeout=0: expected a number"),
    ],
)
def test_options_of_this_machine_that_cannot_be(tmp_path, options, match):
    with pytest.raises(ConfigError, match=match):
        search(plan_from({**TINY, "batch_size": [8, 16]}), study_dir=tmp_path / "s", **options, figures=False)


def test_a_pruner_stops_runs_that_promise_little(tmp_path):
    rates = [1e-2, 9e-3, 8e-3, 7e-3, 6e-3, 5e-3, 1e-6, 2e-6, 3e-6, 4e-6]
    for pruner in ("median", "asha"):
        plan = plan_from({**TINY, "learning_rate": rates, "eval_freq": 10}, pruner=pruner)
        study, found = search(plan, study_dir=tmp_path / pruner, workers=1, figures=False)
        pruned = [row.combination["learning_rate"] for row in found.rows if row.state == "pruned"]
        assert {1e-6, 2e-6, 3e-6, 4e-6} & set(pruned), pruner
        assert found.best[0].combination["learning_rate"] > 1e-3
        assert all(row.results[0].figures["steps"] < 60 for row in found.rows if row.state == "pruned")
        assert study.plan.pruner == pruner


def test_own_settings_of_a_run_that_is_no_network_fail_alone(tmp_path, monkeypatch):
    """A full disk ends the search with an error message, and the run is not lost."""
    from handgrad.training.run import RunFolder

    def full(self, *_):
        raise RunError("cannot write model.safetensors: No space left on device. Free some space")

    monkeypatch.setattr(RunFolder, "save_model", full)
    plan = plan_from({**TINY, "learning_rate": [1e-2, 1e-3]})
    with pytest.raises(RunError, match="No space left on device"):
        search(plan, study_dir=tmp_path / "s", workers=1, figures=False)
    monkeypatch.undo()
    _, found = search(plan, study_dir=tmp_path / "s", workers=1, resume=True, figures=False)
    assert len(values(found)) == 2


# -- deaths -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "s.toml"
    settings = {**TINY, "max_steps": 1500, "eval_freq": 500, "learning_rate": [1e-2, 1e-3]}
    settings |= {"hidden_units": [[16], [8]]}
    path.write_text(tomli_w.dumps({**settings, "checkpoint_seconds": 0.05}))
    return path


def whole(file: Path) -> dict[str, float | None]:
    """The values of an undisturbed search."""
    _, found = search(plan_from(file), study_dir=file.parent / "whole", workers=2, figures=False)
    return values(found)


def until_it_trains(process, study: Path) -> None:
    deadline = time.monotonic() + 30
    while not list(study.glob("trials/*/checkpoint/state.safetensors")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def test_workers_may_die(file, tmp_path):
    process = searching(tmp_path, study_dir="s", workers=2)
    until_it_trains(process, tmp_path / "s")
    kill_children(process, 4, random.Random(0), 0.2)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    study = load_study(tmp_path / "s")
    assert values(findings(study)) == whole(file)
    assert len(finals(study)) == len(set(finals(study))) == 4


def test_the_parent_may_die_and_ctrl_c_saves_everything(file, tmp_path):
    process = searching(tmp_path, study_dir="s", workers=2)
    until_it_trains(process, tmp_path / "s")
    workers = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)

    process = command("search", "s.toml", "--study-dir", "s", "--resume", "--workers", "2", cwd=tmp_path)
    while "workers ->" not in process.stdout.readline():
        assert process.poll() is None
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    if process.returncode not in (0, -signal.SIGINT):  # on a quick machine it has finished, or is just ending
        assert process.returncode == 130
        drawing = "stopped while the figures were drawn; all results are saved" in output  # all runs were over by then
        assert drawing or "everything is saved. Resume with: handgrad search s --resume" in output
    assert "Traceback" not in output

    process = searching(tmp_path, study_dir="s", resume=True)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    assert values(findings(load_study(tmp_path / "s"))) == whole(file)


def test_a_timeout_ends_a_search_that_can_go_on(file, tmp_path):
    plan = plan_from(file, settings={"max_steps": 20000})
    study, found = search(plan, study_dir=tmp_path / "s", workers=2, timeout=1.0, figures=False)
    assert found.runs < 4
    assert list(study.folder.glob("trials/*/checkpoint/state.safetensors"))


def test_an_interrupt_in_the_process_itself(file, tmp_path):
    class Impatient(Watcher):
        def progressed(self, progress) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match=r"stopped after \d runs; everything is saved. Resume with: handgrad search"):
        search(
            plan_from(file, settings={"max_steps": 20000}),
            study_dir=tmp_path / "s",
            workers=1,
            watcher=Impatient(),
            figures=False,
        )
