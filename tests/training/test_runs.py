"""Runs from Python: the run folder, reproducibility, and errors."""

import json
import threading

import numpy as np
import pytest
from safetensors.numpy import load_file
from tests.run_files import figures, seal
from threadpoolctl import threadpool_info, threadpool_limits

import handgrad
from handgrad.engines.numpy import NumpyEngine
from handgrad.errors import ConfigError, DataError, NonFiniteError, RunError
from handgrad.training import Interrupted, Reporter, load_run, train
from handgrad.training import run as run_module

SMALL = {"dataset": "digits", "hidden_units": (16,), "max_steps": 60, "eval_freq": 20, "batch_size": 32}
DROPOUT = {**SMALL, "norm": "batch", "dropout": 0.3}


def weights(path, name="model"):
    return load_file(path / f"{name}.safetensors")


def assert_same_run(a, b):
    assert figures(a) == figures(b)
    for name in ("model", "best"):
        one, other = weights(a, name), weights(b, name)
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[key], other[key]) for key in one)


def test_a_run_leaves_its_folder(tmp_path):
    run = train(run_dir=tmp_path / "a", validation_size=200, **SMALL)
    present = {path.name for path in run.path.iterdir()}
    assert present == {
        *("config.toml", "metrics.jsonl", "summary.json", "curves.png", "model.safetensors", "best.safetensors"),
        *("preprocessing.safetensors", "checkpoint", "confusion.png"),
    }
    assert [record["step"] for record in run.metrics] == [20, 40, 60]
    assert set(run.metrics[0]) == {
        *("step", "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
        *("test_loss", "test_accuracy", "learning_rate", "seconds"),
    }
    assert run.summary["last"] == run.metrics[-1]
    assert run.summary["best"] == max(run.metrics, key=lambda record: record["validation_accuracy"])
    assert run.summary["selected_by"] == "validation_accuracy"
    assert run.summary["parameters"] == 16 * 65 + 10 * 17
    assert {"engine", "seconds", "samples_per_second", "seconds_outside_steps", "versions"} <= set(run.summary)
    assert run.summary["engine"] == "numpy"
    assert (run.path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_without_validation_the_best_goes_by_test_and_says_so(tmp_path):
    run = train(run_dir=tmp_path / "a", **SMALL)
    assert run.summary["selected_by"] == "test_accuracy"
    assert run.metrics[0]["validation_loss"] is None


def test_training_figures_are_means_over_the_batches_since_the_last_evaluation(tmp_path):
    losses = []

    class Watch(Reporter):
        def stepped(self, step, loss):
            losses.append((step, loss))

    # one step an evaluation: the running mean is that step's own loss
    run = train(run_dir=tmp_path / "a", reporter=Watch(), **{**SMALL, "eval_freq": 1, "max_steps": 4})
    assert [record["train_loss"] for record in run.metrics] == [loss for _, loss in losses]
    both = train(run_dir=tmp_path / "b", **{**SMALL, "eval_freq": 2, "max_steps": 4})
    expected = [(losses[0][1] + losses[1][1]) / 2, (losses[2][1] + losses[3][1]) / 2]
    np.testing.assert_allclose([record["train_loss"] for record in both.metrics], expected, rtol=1e-12)


def test_the_same_seed_repeats_a_run_and_another_does_not(tmp_path):
    for name in "ab":
        train(run_dir=tmp_path / name, **DROPOUT)
    assert_same_run(tmp_path / "a", tmp_path / "b")
    train(run_dir=tmp_path / "c", seed=1, **DROPOUT)
    assert figures(tmp_path / "c") != figures(tmp_path / "a")


@pytest.mark.parametrize("seed", ["init_seed", "data_seed", "noise_seed"])
def test_each_seed_matters(tmp_path, seed):
    train(run_dir=tmp_path / "a", **DROPOUT)
    train(run_dir=tmp_path / "b", **{seed: 1}, **DROPOUT)
    assert figures(tmp_path / "a") != figures(tmp_path / "b")


def test_the_saved_configuration_repeats_the_run(tmp_path):
    train(run_dir=tmp_path / "a", seed=3, **DROPOUT)
    train(run_dir=tmp_path / "b", config_file=tmp_path / "a" / "config.toml")
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_how_long_the_loop_stays_in_the_engine_changes_nothing(tmp_path, monkeypatch):
    train(run_dir=tmp_path / "a", **DROPOUT)
    monkeypatch.setattr("handgrad.training.loop.SECONDS_PER_CHUNK", 0.0)  # one step at a time
    train(run_dir=tmp_path / "b", **DROPOUT)
    assert_same_run(tmp_path / "a", tmp_path / "b")


class StopAt(Reporter):
    """Stops training at a step like a power failure: nothing more is saved."""

    def __init__(self, step):
        self.at = step

    def stepped(self, step, loss):
        if step >= self.at:
            raise SystemExit


@pytest.mark.parametrize("step", [1, 20, 33, 59])
def test_a_resumed_run_ends_as_the_uninterrupted_one(tmp_path, monkeypatch, step):
    monkeypatch.setattr("handgrad.training.loop.SECONDS_PER_CHUNK", 0.0)
    train(run_dir=tmp_path / "a", **DROPOUT)
    with pytest.raises(SystemExit):
        train(run_dir=tmp_path / "b", reporter=StopAt(step), checkpoint_seconds=0, **DROPOUT)
    train(run_dir=tmp_path / "b", resume=True)
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert not list((tmp_path / "b").glob("**/.*"))  # neither locks nor half-written files


def test_a_kill_before_the_first_checkpoint_leaves_no_evaluation_twice(tmp_path, monkeypatch):
    monkeypatch.setattr("handgrad.training.loop.SECONDS_PER_CHUNK", 0.0)
    train(run_dir=tmp_path / "a", **DROPOUT)
    with pytest.raises(SystemExit):
        train(run_dir=tmp_path / "b", reporter=StopAt(45), checkpoint_seconds=1000, **DROPOUT)
    assert len(figures(tmp_path / "b")) == 2
    train(run_dir=tmp_path / "b", resume=True)
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_a_run_can_be_made_longer(tmp_path):
    train(run_dir=tmp_path / "a", **DROPOUT)
    train(run_dir=tmp_path / "b", **{**DROPOUT, "max_steps": 40})
    run = train(run_dir=tmp_path / "b", resume=True, max_steps=60)
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert run.config.max_steps == 60


def test_resuming_where_nothing_began_begins(tmp_path):
    notes = []

    class Watch(Reporter):
        def note(self, text):
            notes.append(text)

    train(run_dir=tmp_path / "a", resume=True, reporter=Watch(), **SMALL)
    assert "nothing to resume yet" in notes[0]
    assert train(run_dir=tmp_path / "b", resume=True, max_steps=1).config.recipe == "digits"
    assert train(run_dir=tmp_path / "b", resume=True, max_steps=2).summary["steps"] == 2


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    train(run_dir=tmp_path / "a", **SMALL)
    before = figures(tmp_path / "a"), weights(tmp_path / "a")
    train(run_dir=tmp_path / "a", resume=True)
    assert figures(tmp_path / "a") == before[0]
    assert all(np.array_equal(before[1][key], array) for key, array in weights(tmp_path / "a").items())


def test_other_settings_cannot_be_resumed_with(tmp_path):
    train(run_dir=tmp_path / "a", **SMALL)
    with pytest.raises(ConfigError, match=r"began with learning_rate=0.001, now it is learning_rate=0.5"):
        train(run_dir=tmp_path / "a", resume=True, learning_rate=0.5)
    with pytest.raises(
        ConfigError, match=r"began with kernels=numpy, now it is kernels=numba: leave that out, or start"
    ):
        train(run_dir=tmp_path / "a", resume=True, kernels="numba")
    with pytest.raises(RunError, match=r"already contains a run: resume it with --resume, or choose another --run-dir"):
        train(run_dir=tmp_path / "a", **SMALL)
    with pytest.raises(ConfigError, match=r"resume requires the run folder"):
        train(resume=True)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("kept", ["checkpoint/state.safetensors", "metrics.jsonl"])
def test_what_is_left_of_another_run_is_not_gone_on_with(tmp_path, kept, resume):
    train(run_dir=tmp_path / "a", **SMALL)
    rest = tmp_path / "b" / kept
    rest.parent.mkdir(parents=True)
    (tmp_path / "a" / kept).rename(rest)
    before = rest.read_bytes()
    with pytest.raises(
        RunError, match=rf"contains {kept} of a run whose config.toml is missing: delete them, or choose"
    ):
        train(run_dir=tmp_path / "b", resume=resume, **SMALL)
    assert rest.read_bytes() == before
    assert [path for path in (tmp_path / "b").rglob("*") if path.is_file()] == [rest]


def test_a_folder_trains_one_run_at_a_time(tmp_path):
    inside, done = threading.Event(), threading.Event()

    class Wait(Reporter):
        def evaluated(self, record):
            inside.set()
            done.wait(20)

    first = threading.Thread(target=train, kwargs={"run_dir": tmp_path / "a", "reporter": Wait(), **SMALL})
    first.start()
    try:
        assert inside.wait(20)
        with pytest.raises(RunError, match=r"another process is training in .*a: wait for it, or stop it"):
            train(run_dir=tmp_path / "a", resume=True)
    finally:
        done.set()
        first.join()


def test_patience_stops_a_run_that_no_longer_improves(tmp_path):
    settings = {**SMALL, "optimizer": "sgd", "learning_rate": 1e-30, "max_steps": 100, "eval_freq": 10}
    run = train(run_dir=tmp_path / "a", patience=3, **settings)
    assert run.metrics[-1]["step"] == 40  # the first evaluation is the best; three more do not beat it
    assert run.summary["steps"] == 40


def test_eval_size_evaluates_a_fixed_sample(tmp_path):
    settings = {**SMALL, "optimizer": "sgd", "learning_rate": 1e-30}
    run = train(run_dir=tmp_path / "a", eval_size=50, **settings)
    accuracies = {record["test_accuracy"] for record in run.metrics}
    assert len(accuracies) == 1  # the weights stand still, and so does the sample
    assert (accuracies.pop() * 50) % 1 == pytest.approx(0, abs=1e-9)
    train(run_dir=tmp_path / "b", eval_size=50, **settings)
    assert figures(tmp_path / "a") == figures(tmp_path / "b")
    whole = train(run_dir=tmp_path / "c", **settings)
    assert whole.metrics[0]["test_loss"] != run.metrics[0]["test_loss"]


def test_epochs_see_every_sample_once_and_in_a_new_order(tmp_path):
    """1,438 training samples in batches of 719: two steps per epoch."""
    seen = []
    engine_train = handgrad.engines.numpy.NumpyEngine.train

    def watched(self, indices, rates):
        seen.extend(indices.tolist())
        return engine_train(self, indices, rates)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handgrad.engines.numpy.NumpyEngine, "train", watched)
        train(run_dir=tmp_path / "a", dataset="digits", batch_size=719, epochs=2)
    first, second = seen[0] + seen[1], seen[2] + seen[3]
    assert sorted(first) == sorted(second) == list(range(1438))
    assert first != second


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"batch_size=2000: expected at most 1438, the training samples of digits"):
        train(run_dir=tmp_path / "a", **{**SMALL, "batch_size": 2000})


def test_a_loss_that_is_no_number_stops_the_run_with_step_layer_and_cause(tmp_path):
    with pytest.raises(NonFiniteError, match=r"at step \d+: .*layer \d+ \(linear\).*learning rate.*try a tenth"):
        train(run_dir=tmp_path / "a", **{**SMALL, "optimizer": "sgd", "learning_rate": 1e38})
    assert not (tmp_path / "a" / "summary.json").exists()
    with pytest.raises(RunError, match=r"has not finished: resume with handgrad train --run-dir .*a --resume"):
        _ = load_run(tmp_path / "a").summary


def test_an_interrupt_saves_and_says_how_to_go_on(tmp_path, monkeypatch):
    import signal

    monkeypatch.setattr("handgrad.training.loop.SECONDS_PER_CHUNK", 0.0)
    train(run_dir=tmp_path / "a", **DROPOUT)

    class CtrlC(Reporter):
        def stepped(self, step, loss):
            if step == 25:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match=r"stopped at step 25 of 60.*handgrad train --run-dir .*b --resume"):
        train(run_dir=tmp_path / "b", reporter=CtrlC(), **DROPOUT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(run_dir=tmp_path / "b", resume=True)
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_predictions_and_evaluation_agree_with_the_summary(tmp_path):
    run = train(run_dir=tmp_path / "a", preprocessing="standard", **DROPOUT)
    digits = handgrad.data.load("digits")
    test = digits.indices("test")
    probabilities = load_run(tmp_path / "a").predict(digits.inputs[test])
    assert probabilities.shape == (359, 10)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)
    accuracy = (probabilities.argmax(axis=-1) == digits.labels[test]).mean()
    assert accuracy == run.summary["last"]["test_accuracy"] == run.evaluate()["test"]["accuracy"]
    assert run.evaluate("best")["test"]["accuracy"] == run.summary["best"]["test_accuracy"]
    np.testing.assert_array_equal(run.predict(digits.inputs[:3].reshape(3, -1)), run.predict(digits.inputs[:3]))
    assert run.predict(digits.inputs[:0]).shape == (0, 10)


def test_what_cannot_be_predicted_is_refused(tmp_path):
    run = train(run_dir=tmp_path / "a", **SMALL)
    with pytest.raises(ConfigError, match=r"inputs: shape=\(2, 3\) dtype=float64, expected numbers \(N, 1, 8, 8\)"):
        run.predict(np.zeros((2, 3)))
    with pytest.raises(ConfigError, match=r"contain nan in sample 0"):
        run.predict(np.full((1, 64), np.nan))
    with pytest.raises(ConfigError, match=r"weights='first': expected last or best"):
        run.predict(np.zeros((1, 64)), weights="first")


def test_folders_that_hold_no_run_are_refused(tmp_path):
    with pytest.raises(RunError, match=r"is not a run folder: it has no config.toml"):
        load_run(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"file is a file, expected a folder"):
        train(run_dir=tmp_path / "file", **SMALL)


def rewrite(path, change):
    """Changes the metadata of a file of a run."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(path, framework="numpy") as file:
        about = json.loads(file.metadata()["handgrad"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(about)
    save_file(arrays, path, metadata={"handgrad": json.dumps(about)})
    seal(path)


def test_a_folder_of_another_version_is_refused(tmp_path):
    train(run_dir=tmp_path / "a", **SMALL)
    for name in ("checkpoint/state", "model"):
        rewrite(tmp_path / "a" / f"{name}.safetensors", lambda about: about.update(format=99))
    with pytest.raises(RunError, match=r"has format=99, this handgrad reads format=1: use the version that wrote it"):
        train(run_dir=tmp_path / "a", resume=True)
    with pytest.raises(RunError, match=r"has format=99"):
        load_run(tmp_path / "a").predict(np.zeros((1, 64)))


def test_damaged_files_are_refused(tmp_path):
    train(run_dir=tmp_path / "a", **SMALL)
    state = tmp_path / "a" / "checkpoint" / "state.safetensors"
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match=r"cannot read .*state.safetensors: .*The file is damaged"):
        train(run_dir=tmp_path / "a", resume=True)
    (tmp_path / "a" / "model.safetensors").unlink()
    with pytest.raises(RunError, match=r"has no model.safetensors yet: resume with"):
        load_run(tmp_path / "a").predict(np.zeros((1, 64)))
    state.write_bytes(whole)
    config = tmp_path / "a" / "config.toml"
    config.write_text(config.read_text().replace("[\n    16", "[\n    17"))
    seal(config)
    with pytest.raises(RunError, match=r"a different architecture than its config.toml"):
        train(run_dir=tmp_path / "a", resume=True)


def test_a_metrics_line_that_a_kill_cut_short_is_made_again(tmp_path):
    train(run_dir=tmp_path / "a", **SMALL)
    train(run_dir=tmp_path / "b", **{**SMALL, "max_steps": 40})
    with (tmp_path / "b" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 60, "train_l')
    train(run_dir=tmp_path / "b", resume=True, max_steps=60)
    assert figures(tmp_path / "a") == figures(tmp_path / "b")
    (tmp_path / "b" / "metrics.jsonl").write_text("not json\n{}\n")
    with pytest.raises(RunError, match=r"metrics.jsonl, line 1, is not an evaluation"):
        _ = load_run(tmp_path / "b").metrics


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    train(run_dir=tmp_path / "a", **{**SMALL, "max_steps": 40})
    before = {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()}

    def full(arrays, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_module, "save_file", full)
    with pytest.raises(RunError, match=r"cannot write .*: No space left on device. Free some space"):
        train(run_dir=tmp_path / "a", resume=True, max_steps=60)
    for path, content in before.items():
        if path.name not in ("config.toml", "metrics.jsonl"):
            assert path.read_bytes() == content
    assert not list((tmp_path / "a").glob("**/.*"))
    monkeypatch.undo()
    train(run_dir=tmp_path / "a", resume=True, max_steps=60)
    train(run_dir=tmp_path / "b", **SMALL)
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_missing_data_is_refused_before_a_folder_is_filled(tmp_path):
    with pytest.raises(DataError, match=r"mnist"):
        train(run_dir=tmp_path / "a", dataset="mnist", data_dir=str(tmp_path))
    assert not (tmp_path / "a").exists()


def test_run_folders_are_named_after_the_recipe_and_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [train("digits", max_steps=1, hidden_units=()).path.name for _ in range(2)]
    assert names == ["digits", "digits-2"]
    assert train(max_steps=1, dataset="digits").path.as_posix() == "runs/digits-mlp"


def test_nothing_asked_for_is_the_recipe_digits_and_reaches_its_accuracy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = train()
    assert run.config.recipe == "digits"
    assert run.summary["last"]["test_accuracy"] >= 0.97


def test_a_run_takes_as_many_threads_as_blas_would_and_keeps_blas_at_one(tmp_path, monkeypatch):
    seen = []
    original = NumpyEngine.train

    def watched(self, *arguments):
        blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
        seen.append((self.kernels.workers.threads, blas))
        return original(self, *arguments)

    monkeypatch.setattr(NumpyEngine, "train", watched)
    with threadpool_limits(2, user_api="blas"):
        run = train(run_dir=tmp_path / "a", **{**SMALL, "max_steps": 1})
    assert run.summary["threads"] == 2
    assert seen == [(2, {1})]


def test_flags_alone_change_the_recipe_digits(tmp_path):
    run = train(run_dir=tmp_path / "a", max_steps=1, seed=3)
    assert (run.config.recipe, run.config.seed, run.config.norm) == ("digits", 3, "batch")
    other = train(run_dir=tmp_path / "b", max_steps=1, dataset="digits")
    assert (other.config.recipe, other.config.norm) == (None, "none")


def test_float64_and_other_thread_counts_are_kept(tmp_path):
    run = train(run_dir=tmp_path / "a", precision="float64", threads=1, **SMALL)
    assert weights(run.path)["0.weight"].dtype == np.float64
    assert run.summary["threads"] == 1
    notes = []

    class Watch(Reporter):
        def note(self, text):
            notes.append(text)

    rewrite(tmp_path / "a" / "checkpoint" / "state.safetensors", lambda about: about.update(threads=64))
    train(run_dir=tmp_path / "a", resume=True, max_steps=80, reporter=Watch())
    assert "began with threads=64, now it is 1" in notes[0]


def test_how_validation_is_drawn_is_kept_with_the_run(tmp_path):
    run = train(run_dir=tmp_path / "a", validation_size=200, **SMALL)
    assert run.config.validation_split == "random"
    end = train(run_dir=tmp_path / "b", validation_size=200, validation_split="end", **SMALL)
    assert figures(tmp_path / "a") != figures(tmp_path / "b")
    # A run that was begun before there was a choice held the last samples back, and still does.
    file = end.path / "config.toml"
    file.write_text("".join(line for line in file.read_text().splitlines(True) if "validation_split" not in line))
    seal(file)
    assert load_run(end.path).config.validation_split == "end"
    assert load_run(end.path).evaluate() == end.evaluate()


def test_the_published_split_is_kept_by_the_recipe_that_reproduces_it():
    assert handgrad.TrainConfig.from_settings(handgrad.training.merge_settings("cmu-mnist")).validation_split == "end"


def test_a_folder_of_data_is_not_taken_for_the_built_in_digits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("nowhere", "."):
        with pytest.raises(ConfigError, match=f"data_dir={folder} does not apply to dataset=digits"):
            train(data_dir=folder)
    assert not list(tmp_path.iterdir())
