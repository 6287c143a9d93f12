"""Runs that are trained together: each equals its separate run, regardless of the others."""

import dataclasses
import json
import random
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from tests.training.test_runs import assert_same_run, figures, weights

from handgrad.errors import ConfigError, NonFiniteError, RunError
from handgrad.training import Reporter, TrainConfig, train
from handgrad.training.loop import Interrupted, Training
from handgrad.training.run import Run, RunFolder, load_dataset
from handgrad.training.stacked import groups, train_stacked

SMALL = {"dataset": "digits", "hidden_units": [12], "max_steps": 40, "eval_freq": 10, "batch_size": 32, "threads": 1}
DEEP = {**SMALL, "hidden_units": [16, 8], "validation_size": 200, "dropout": 0.3, "norm": "batch"}


class Plain(RunFolder):
    """A run folder without figures, which would take longer than everything else."""

    def save_curves(self, records, title):
        return None

    def save_confusion(self, details, title):
        return None


def configs(*varied, **common):
    return [TrainConfig.from_settings({**SMALL, **common, **own}) for own in varied]


def folders(path, name, runs):
    return [Plain(path / f"{name}{i}") for i in range(len(runs))]


def apart(path, runs, name="apart", **options):
    """The runs one by one."""
    made = folders(path, name, runs)
    for folder, config in zip(made, runs, strict=True):
        with folder.held():
            Training(folder, config, Reporter(), **options).run()
    return made


def assert_same_runs(some, others):
    """Compares weights, metrics, checkpoints, files and the summary, except for times."""
    for one, other in zip(some, others, strict=True):
        assert_same_run(one.path, other.path)
        assert {path.name for path in one.path.iterdir()} == {path.name for path in other.path.iterdir()}
        saved = [load_file(folder.path / "checkpoint" / "state.safetensors") for folder in (one, other)]
        assert saved[0].keys() == saved[1].keys()
        assert all(np.array_equal(saved[0][name], saved[1][name]) for name in saved[0])
        summaries = [json.loads((folder.path / "summary.json").read_text()) for folder in (one, other)]
        times = (
            "best",
            "last",
            "seconds",
            "samples_per_second",
            "seconds_outside_steps",
            "stack",
            "read_off",
            "sha256",
        )
        timeless = [{key: value for key, value in summary.items() if key not in times} for summary in summaries]
        assert timeless[0] == timeless[1]


RULES = (
    {},
    {"learning_rate": 1e-2, "beta1": 0.8},
    {"optimizer": "sgd", "learning_rate": 0.1},
    {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-2},
    {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.5},
    {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.5, "nesterov": True},
    {"optimizer": "adamw", "weight_decay": 0.3},
    {"optimizer": "adamw", "weight_decay": 0.1, "learning_rate": 1e-2},
    {"optimizer": "rmsprop", "momentum": 0.9},
    {"optimizer": "rmsprop", "momentum": 0.5, "weight_decay": 0.1},
    {"optimizer": "adadelta", "learning_rate": 1.0},
    {"optimizer": "muon", "momentum": 0.9},
    {"optimizer": "muon", "learning_rate": 1e-2},
)
SEEDS = (
    {"seed": 1},
    {"init_seed": 5, "init": "xavier_uniform"},
    {"data_seed": 6, "schedule": "cosine"},
    {"noise_seed": 7, "schedule": "plateau", "plateau_patience": 0, "learning_rate": 0.3},
    {"seed": 2, "schedule": "one_cycle", "max_steps": 30},
)


@pytest.mark.parametrize(
    ("varied", "common"),
    [
        (RULES, {"hidden_units": [16, 8]}),
        (RULES[:4] + RULES[-2:], {"precision": "float64", "clip_norm": 0.5, "norm": "rms"}),
        (SEEDS, DEEP),
        (SEEDS, {**DEEP, "loss": "mse", "norm": "layer", "activation": "gelu", "eval_size": 50}),
        (RULES[:3], {**DEEP, "loss": "nll", "norm": "group", "activation": "elu", "random_crop": 1}),
        (RULES[:3], {**SMALL, "hidden_units": [], "label_smoothing": 0.1}),
    ],
    ids=["rules", "float64", "seeds", "evaluated in part", "augmented", "no hidden layer"],
)
def test_each_run_is_its_separate_run_bit_for_bit(tmp_path, varied, common):
    runs = configs(*varied, **common)
    assert len(groups(runs)) == 1
    together = folders(tmp_path, "stacked", runs)
    assert all(isinstance(run, Run) for run in train_stacked(runs, together))
    assert_same_runs(together, apart(tmp_path, runs))


def test_a_folder_holds_what_a_separate_run_leaves(tmp_path):
    done: Any = train_stacked(configs({}, {"seed": 1}), [tmp_path / "a", str(tmp_path / "b")])
    first, second = done
    assert {path.name for path in first.path.iterdir()} == {
        *("config.toml", "metrics.jsonl", "summary.json", "curves.png", "model.safetensors", "best.safetensors"),
        *("confusion.png", "preprocessing.safetensors", "checkpoint"),
    }
    assert second.config.seed == 1
    assert second.summary["stack"]["runs"] == 2
    assert second.summary["threads"] == 1
    assert second.predict(np.zeros((3, 1, 8, 8))).shape == (3, 10)


def test_a_regression_with_weights_on_data_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 4))
    rows = np.column_stack([x, x @ [1.0, -2.0, 0.5, 0.0] + 3, rng.uniform(0.5, 2, 300)])
    np.savetxt(tmp_path / "table.csv", rows, delimiter=",", header="a,b,c,d,y,w", comments="")
    common = {"data": str(tmp_path / "table.csv"), "target": "y", "validation_size": 50, "loss": "huber"}
    runs = configs({}, {"init_seed": 1}, {"optimizer": "sgd", "learning_rate": 0.1}, dataset="table", **common)
    assert len(groups(runs)) == 1
    assert groups([*runs, *configs({"seed": 1}, dataset="table", **common)])[-1] == [3]  # another split of the rows
    whole = load_dataset(runs[0])
    weighted = dataclasses.replace(whole, weights=np.linspace(0.5, 2, len(whole.labels), dtype=np.float32))
    for name, dataset in (("plain", whole), ("weighted", weighted)):
        together = folders(tmp_path, f"stacked-{name}", runs)
        assert all(isinstance(run, Run) for run in train_stacked(runs, together, dataset=dataset))
        assert_same_runs(together, apart(tmp_path, runs, name, dataset=dataset))
    train_stacked(runs, together, dataset=weighted)  # they are finished, and known again


@pytest.mark.parametrize("loss", ["cross_entropy", "nll", "mse"])
def test_weighted_samples(tmp_path, loss):
    runs = configs({}, {"seed": 1}, {"learning_rate": 0.1}, loss=loss, max_steps=20)
    digits = load_dataset(runs[0])
    weighted = dataclasses.replace(digits, weights=np.linspace(0.2, 3, len(digits.labels), dtype=np.float32))
    together = folders(tmp_path, "stacked", runs)
    train_stacked(runs, together, dataset=weighted)
    assert_same_runs(together, apart(tmp_path, runs, dataset=weighted))


def test_against_runs_on_two_threads_the_difference_is_rounding(tmp_path):
    """The tolerance of a stack: 1e-5 of the largest weight of each parameter after 20 steps."""
    common = {"hidden_units": [512, 256], "batch_size": 256, "max_steps": 20, "eval_freq": 20, "optimizer": "sgd"}
    runs = configs({"learning_rate": 0.1}, {"learning_rate": 0.01, "momentum": 0.9}, **common)
    together = folders(tmp_path, "stacked", runs)
    train_stacked(runs, together)
    two = [TrainConfig.from_settings({**config.to_dict(), "threads": 2}) for config in runs]
    for one, other in zip(together, apart(tmp_path, two), strict=True):
        for name, array in weights(one.path).items():
            np.testing.assert_allclose(array, weights(other.path)[name], rtol=0, atol=1e-5 * abs(array).max())
        for a, b in zip(figures(one.path), figures(other.path), strict=True):
            assert {k: v for k, v in a.items() if v} == pytest.approx({k: v for k, v in b.items() if v}, rel=1e-5)


def test_threads_change_nothing(tmp_path):
    runs = configs(*SEEDS, **DEEP)
    for threads in (1, 2, 9):
        train_stacked(runs, folders(tmp_path, f"on-{threads}-", runs), threads=threads)
    for threads in (2, 9):
        assert_same_runs(folders(tmp_path, "on-1-", runs), folders(tmp_path, f"on-{threads}-", runs))


def test_a_run_that_diverges_leaves_the_others_alone(tmp_path):
    runs = configs({}, {"optimizer": "sgd", "learning_rate": 1e30}, {"seed": 3, "learning_rate": 1e-2}, **DEEP)
    together = folders(tmp_path, "run", runs)
    first, why, last = train_stacked(runs, together)
    assert isinstance(first, Run)
    assert isinstance(last, Run)
    alone = tmp_path / "apart" / "run1"
    with pytest.raises(NonFiniteError) as error:
        train(run_dir=alone, **runs[1].to_dict())
    assert isinstance(why, NonFiniteError)
    assert str(why) == str(error.value).replace(str(alone), str(together[1].path))
    assert not (together[1].path / "summary.json").exists()
    others = [runs[0], runs[2]]
    assert_same_runs([together[0], together[2]], apart(tmp_path, others))


def test_the_shorter_of_two_runs_is_read_off_the_longer_one(tmp_path):
    runs = configs(
        {"max_steps": 15}, {}, {"seed": 1, "max_steps": 15}, {"max_steps": 15, "schedule": "cosine"}, {"patience": 1}
    )
    steps = []

    class Watch(Reporter):
        def started(self, run_dir, config, engine, steps_, first_step):
            steps.append(engine._engine.models)

    together = folders(tmp_path, "stacked", runs)
    done: Any = train_stacked(runs, together, reporter=Watch())
    assert steps == [3] * 5  # networks, for five runs
    assert done[0].summary["read_off"] == str(together[1].path)
    assert [("read_off" in run.summary) for run in done[1:]] == [False, False, False, False]
    assert_same_runs(together, apart(tmp_path, runs))


def test_patience_stops_a_run_and_not_the_others(tmp_path):
    runs = configs({"patience": 2, "learning_rate": 1e-9}, {"patience": 2}, {"seed": 1})
    together = folders(tmp_path, "stacked", runs)
    done: Any = train_stacked(runs, together)
    assert done[0].summary["steps"] == 30
    assert_same_runs(together, apart(tmp_path, runs))


class StopAt(Reporter):
    """Ends training at a step like a power failure, or one run like a pruner."""

    def __init__(self, step, error: type[BaseException] = SystemExit):
        self.at, self.error = step, error

    def stepped(self, step, loss):
        if step >= self.at:
            raise self.error


def test_a_reporter_can_end_its_run_alone(tmp_path):
    runs = configs({}, {"seed": 1}, {"seed": 2})
    together = folders(tmp_path, "stacked", runs)
    first, why, _ = train_stacked(runs, together, reporter=[Reporter(), StopAt(20, KeyError), Reporter()])
    assert isinstance(first, Run)
    assert isinstance(why, KeyError)
    assert_same_runs([together[0], together[2]], apart(tmp_path, [runs[0], runs[2]]))
    train_stacked(runs, together)  # goes on with the one that was ended
    assert_same_runs(together, apart(tmp_path, runs, "again"))


@pytest.mark.parametrize("step", [1, 10, 17])
def test_an_interrupted_stack_goes_on_bit_for_bit(tmp_path, monkeypatch, step):
    monkeypatch.setattr("handgrad.training.loop.SECONDS_PER_CHUNK", 0.0)  # one step at a time
    runs = configs(*SEEDS, {"max_steps": 20}, **{**DEEP, "checkpoint_seconds": 0.0})
    together = folders(tmp_path, "stacked", runs)
    with pytest.raises(SystemExit):
        train_stacked(runs, together, reporter=StopAt(step))
    train_stacked(runs, together)
    assert_same_runs(together, apart(tmp_path, runs))


@pytest.mark.parametrize("write", [1, 3, 4, 9])
def test_killed_between_the_checkpoints_of_two_runs(tmp_path, monkeypatch, write):
    """Some runs are then at a later step, and the others catch up."""
    monkeypatch.setattr("handgrad.training.loop.SECONDS_PER_CHUNK", 0.0)
    runs = configs({}, {"seed": 1}, {"optimizer": "sgd"}, {"max_steps": 20}, checkpoint_seconds=0.0)
    together = folders(tmp_path, "stacked", runs)
    save, writes = RunFolder.save_checkpoint, []

    def deadly(self, arrays, about):
        writes.append(about["step"])
        if len(writes) > 4 * 3 + write:
            raise SystemExit
        save(self, arrays, about)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save_checkpoint", deadly)
        with pytest.raises(SystemExit):
            train_stacked(runs, together)
    train_stacked(runs, together)
    assert_same_runs(together, apart(tmp_path, runs))


@pytest.mark.parametrize("method", ["save_model", "save_summary"])
def test_killed_while_a_finished_run_is_written(tmp_path, monkeypatch, method):
    runs = configs({"max_steps": 20}, {"seed": 1})
    together = folders(tmp_path, "stacked", runs)
    original = getattr(RunFolder, method)

    def deadly(self, *arguments):
        if arguments[0] != "best":
            raise SystemExit
        original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, method, deadly)
        with pytest.raises(SystemExit):
            train_stacked(runs, together)
    train_stacked(runs, together)
    assert_same_runs(together, apart(tmp_path, runs))


def test_a_run_begun_alone_goes_on_in_a_stack_and_the_other_way_round(tmp_path):
    runs = configs({}, {"seed": 1}, checkpoint_seconds=0.0)
    together = folders(tmp_path, "stacked", runs)
    with together[0].held(), pytest.raises(SystemExit):
        Training(together[0], runs[0], StopAt(15)).run()
    assert (together[0].path / "checkpoint" / "state.safetensors").exists()
    with pytest.raises(SystemExit):
        train_stacked(runs, together, reporter=StopAt(35))
    with together[1].held():
        Training(together[1], runs[1], Reporter()).run()
    train_stacked(runs, together)
    assert_same_runs(together, apart(tmp_path, runs))


def test_finished_runs_are_left_alone(tmp_path):
    runs = configs({}, {"seed": 1})
    together = folders(tmp_path, "stacked", runs)
    train_stacked(runs, together)
    before = [(folder.path / "summary.json").stat().st_mtime_ns for folder in together]
    assert all(isinstance(run, Run) for run in train_stacked(runs, together))
    assert [(folder.path / "summary.json").stat().st_mtime_ns for folder in together] == before


# -- killed and interrupted processes ---------------------------------------------------------------------------------

_SCRIPT = """
import sys
from handgrad.errors import HandgradError
from handgrad.training.stacked import train_stacked
from tests.training.test_stacked import folders, long_runs
from pathlib import Path
try:
    train_stacked(long_runs(), folders(Path(sys.argv[1]), "run", long_runs()))
except HandgradError as error:
    print(error, file=sys.stderr)
    raise SystemExit(getattr(error, "exit_code", 1))
"""


def long_runs():
    common = {**DEEP, "max_steps": 600, "eval_freq": 50, "checkpoint_seconds": 0.05}
    return configs({}, {"seed": 1}, {"optimizer": "sgd", "momentum": 0.9}, {"max_steps": 300}, **common)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    path = tmp_path_factory.mktemp("uninterrupted")
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", _SCRIPT, path], check=True, capture_output=True)
    return folders(path, "run", long_runs()), time.monotonic() - began


def test_killed_at_random_moments(tmp_path, uninterrupted):
    reference, seconds = uninterrupted
    moments, kills = random.Random(0), 0
    for _ in range(40):
        process = subprocess.Popen([sys.executable, "-c", _SCRIPT, tmp_path], stderr=subprocess.PIPE)
        try:
            _, errors = process.communicate(timeout=seconds * moments.uniform(0.3, 0.9) if kills < 4 else 120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0, errors
        break
    assert_same_runs(reference, folders(tmp_path, "run", long_runs()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop(tmp_path, uninterrupted, number):
    reference, _ = uninterrupted
    process = subprocess.Popen([sys.executable, "-c", _SCRIPT, tmp_path], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (tmp_path / "run0" / "metrics.jsonl").exists():
        time.sleep(0.005)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == Interrupted.exit_code
    assert "stopped 4 of 4 stacked runs at step" in errors
    assert "Traceback" not in errors
    subprocess.run([sys.executable, "-c", _SCRIPT, tmp_path], check=True, capture_output=True)
    assert_same_runs(reference, folders(tmp_path, "run", long_runs()))


# -- groups -----------------------------------------------------------------------------------------------------------


def test_groups_hold_what_differs_in_numbers_alone():
    runs = configs(
        {},
        {"batch_size": 64},
        {"learning_rate": 0.1, "optimizer": "sgd", "momentum": 0.5},
        {"hidden_units": [13]},
        {"seed": 4, "init": "orthogonal", "schedule": "cosine", "max_steps": 9},
        {"engine": "torch"},
        {"engine": "torch", "seed": 1},
        {"hidden_units": [13], "weight_decay": 0.1},
        {"dropout": 0.1},
        {"eval_freq": 7},
        {"clip_norm": 1.0},
    )
    assert sorted(sorted(group) for group in groups(runs)) == [
        *([0, 2, 4], [1], [3, 7], [5], [6], [8], [9], [10]),
    ]


def test_augmented_runs_of_other_data_seeds_are_apart():
    runs = configs({}, {"data_seed": 1}, {"learning_rate": 0.1}, horizontal_flip=True)
    assert sorted(sorted(group) for group in groups(runs)) == [[0, 2], [1]]


def test_a_large_group_is_split_where_batches_differ():
    runs = configs(*({"seed": seed, "learning_rate": rate} for rate in (0.1, 0.2, 0.3) for seed in range(20)))
    found = groups(runs)
    assert sorted(i for group in found for i in group) == list(range(60))
    assert [len(group) for group in found] == [30, 30]
    for group in found:
        seeds = [runs[i].seed for i in group]
        assert seeds == sorted(seeds, key=seeds.index)  # each seed's runs side by side
    large = configs(*({"seed": seed} for seed in range(20)), hidden_units=[4000], batch_size=200)
    assert {len(group) for group in groups(large)} == {2}


def test_each_worker_gets_a_group():
    runs = configs(*({"seed": seed} for seed in range(5)), {"batch_size": 8})
    assert sorted(len(group) for group in groups(runs, at_least=4)) == [1, 1, 2, 2]
    assert sorted(len(group) for group in groups(runs, at_least=100)) == [1] * 6


# -- what is refused --------------------------------------------------------------------------------------------------


def test_runs_that_cannot_train_together(tmp_path):
    with pytest.raises(ConfigError, match=r"^the runs differ in dropout, batch_size, expected runs that differ in the"):
        train_stacked(configs({}, {"batch_size": 64, "dropout": 0.5, "seed": 1}), [tmp_path / "a", tmp_path / "b"])
    with pytest.raises(ConfigError, match=r"^the runs differ in data_seed, expected"):
        train_stacked(configs({}, {"data_seed": 1}, random_crop=1), [tmp_path / "a", tmp_path / "b"])
    with pytest.raises(
        ConfigError, match=r"^engine=torch model=mlp kernels=numpy cannot be stacked: expected an mlp on"
    ):
        train_stacked(configs({}, {"seed": 1}, engine="torch"), [tmp_path / "a", tmp_path / "b"])
    assert not list(tmp_path.iterdir())


def test_folders_that_cannot_be(tmp_path):
    with pytest.raises(ConfigError, match=r"^train_stacked got configs=2 and run_dirs=1, expected a folder for each"):
        train_stacked(configs({}, {"seed": 1}), [tmp_path / "a"])
    with pytest.raises(ConfigError, match=r"^train_stacked got the same folder twice: each run needs its own folder$"):
        train_stacked(configs({}, {"seed": 1}), [tmp_path / "a", str(tmp_path / "a")])
    runs = configs({"max_steps": 1, "eval_freq": 1}, {"max_steps": 1, "eval_freq": 1, "seed": 1})
    train_stacked(runs, folders(tmp_path, "run", runs))
    with pytest.raises(RunError, match=r"run1 contains a run with other settings \(seed\): choose another folder$"):
        train_stacked([runs[0], runs[0]], folders(tmp_path, "run", runs))


def test_a_batch_larger_than_the_data(tmp_path):
    with pytest.raises(ConfigError, match=r"^batch_size=100000: expected at most \d+, the training samples of digits$"):
        train_stacked(configs({}, {"seed": 1}, batch_size=100_000), [tmp_path / "a", tmp_path / "b"])
    assert not list(tmp_path.iterdir())
