"""Errors that the tests of their rooms do not provoke: each says what is wrong, the value, and what was expected."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from tests.run_files import seal

from handgrad import data, nn
from handgrad.architectures import Architecture, LayerSpec
from handgrad.cli import main
from handgrad.data import array_files, augmentation, idx, own, pictures, table_files
from handgrad.data.tables import Table
from handgrad.engines import EngineSpec, LossSpec, OptimizerSpec
from handgrad.errors import ConfigError, DataError, RunError
from handgrad.export import export, import_weights
from handgrad.numerics import derivatives
from handgrad.training import load_run, train
from handgrad.training.compare import compare_runs

SMALL = {"hidden_units": (4,), "max_steps": 10, "eval_freq": 5}
X, Y = np.arange(60.0).reshape(20, 3) % 7, np.arange(20) % 2


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(run_dir=tmp_path_factory.mktemp("errors") / "run", **SMALL).path


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def network(*layers: LayerSpec, input_shape=(6,)) -> Architecture:
    return Architecture("net", input_shape, layers)


def group_norm(**options) -> Architecture:
    return network(LayerSpec("group_norm", {"num_groups": 2, "num_channels": 6, **options}))


@pytest.mark.parametrize(
    ("provoke", "error", "match"),
    [
        # layers and optimisers
        (lambda: nn.Linear(0, 3), ValueError, "Linear got in_features=0, expected at least 1"),
        (lambda: nn.Conv2d(3, 0, 3), ValueError, "Conv2d got out_channels=0, expected at least 1"),
        (lambda: nn.BatchNorm1d(0), ValueError, "BatchNorm1d got num_features=0, expected at least 1"),
        (lambda: nn.BatchNorm1d(3, eps=0.0), ValueError, "BatchNorm1d got eps=0.0, expected more than 0"),
        (lambda: nn.GroupNorm(4, 6), ValueError, "GroupNorm got num_groups=4, expected a divisor of num_channels=6"),
        (
            lambda: nn.MaxPool2d(2, padding=2),
            ValueError,
            "MaxPool2d got padding=2, expected at most half of kernel_size=2",
        ),
        (
            lambda: nn.SGD(nn.Linear(2, 2), learning_rate=-1.0),
            ValueError,
            "SGD got learning_rate=-1.0, expected at least 0",
        ),
        (
            lambda: nn.Adam(nn.Linear(2, 2), learning_rate=0.1).load_state_dict({}),
            ValueError,
            r"the state of Adam has \[.*\], got \[\]",
        ),
        (
            lambda: nn.SGD(nn.Linear(2, 2), learning_rate=0.1).zero_grad(),
            AttributeError,
            "'zero_grad': backward overwrites every gradient",
        ),
        (
            lambda: derivatives.relative_error(np.ones(2), np.ones(3)),
            ValueError,
            r"a.shape=\(2,\) and b.shape=\(3,\) differ",
        ),
        # architectures
        (lambda: group_norm(num_channels=4), ConfigError, "expected num_channels=4 features or channels"),
        (lambda: group_norm(num_groups=4), ConfigError, "num_groups=4 must divide num_channels=6 without remainder"),
        # engines
        (lambda: EngineSpec("nump"), ConfigError, "engine='nump' is unknown, expected one of numpy, torch"),
        (lambda: LossSpec("huber", huber_delta=0.0), ConfigError, "huber_delta=0.0, expected a number above 0"),
        (lambda: EngineSpec(threads=0), ConfigError, "threads=0, expected at least 1"),
        (lambda: OptimizerSpec("adamm"), ConfigError, "optimizer='adamm' is unknown, expected one of sgd, adam"),
        # data
        (lambda: data.load("mnist", data_dir=""), ConfigError, "data_dir='': expected the name of a folder"),
        (lambda: augmentation.Augmentation(random_crop=-1), ConfigError, "random_crop=-1, expected at least 0"),
        (
            lambda: data.from_arrays(X.astype(np.float32), Y).gather(np.array([20]), np.empty((1, 3), np.float32)),
            IndexError,
            "indices from 20 to 20, expected 0 to 19",
        ),
        (
            lambda: data.from_arrays(np.ones((9, 0)), np.arange(9) % 2),
            DataError,
            r"shape=\(9, 0\): expected at least one",
        ),
        (
            lambda: data.from_arrays(X, Y, groups=np.ones(7)),
            DataError,
            "has 20 samples and 7 groups: expected one for each",
        ),
        (
            lambda: data.from_arrays(X, Y, validation_split="first"),
            ConfigError,
            "unknown validation_split='first': choose",
        ),
        (
            lambda: data.from_arrays(X, Y.astype("datetime64[D]")),
            DataError,
            "contains dates: expected classes or numbers",
        ),
        (
            lambda: own.class_labels(np.array(["1", "inf"], object), "y"),
            DataError,
            "y contains infinity: expected classes",
        ),
        (
            lambda: Table.from_frame({"a": [1, 2], "b": [1]}, "t"),
            DataError,
            "t has columns of 1 and 2 rows: expected one",
        ),
        # export
        (lambda: export(None, "onx", "net.onnx"), ConfigError, "to='onx': expected one of python, onnx"),
    ],
)
def test_from_python(provoke, error, match):
    with pytest.raises(error, match=match):
        provoke()


@pytest.mark.parametrize(
    "read",
    [
        array_files.read_npy,
        lambda path: array_files.read_npz(path, ("x",)),
        array_files.names_in_npz,
        idx.read_any_idx,
        lambda path: pictures.read_images([path], None, None),
        lambda path: import_weights(path.with_suffix(".pt"), path.parent / "run", dataset="digits"),
    ],
    ids=["npy", "npz", "names", "idx", "image", "weights"],
)
def test_a_file_that_is_not_there(tmp_path, read):
    with pytest.raises(DataError, match=r"there is no file .*nowhere"):
        read(tmp_path / "nowhere.npy")


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"nothing of NumPy's")
    with pytest.raises(DataError, match=r"x.npy cannot be read \(.*magic"):
        array_files.read_npy(tmp_path / "x.npy")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"folder.csv cannot be read \(Is a directory\)"):
        table_files.read_table(tmp_path / "folder.csv")


def test_an_image_that_is_a_bomb(tmp_path, monkeypatch):
    from PIL import Image

    Image.new("L", (100, 100)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match=r"large.png has too many pixels \(.*\): reduce its size"):
        pictures.read_images([tmp_path / "large.png"], None, None)


def test_a_group_that_is_the_target(tmp_path):
    (tmp_path / "t.csv").write_text("a,y\n" + "\n".join(f"{i},{i % 2}" for i in range(20)))
    with pytest.raises(ConfigError, match="group=y is the target: name another column"):
        train(data=str(tmp_path / "t.csv"), target="y", group="y", run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_idx_files_of_the_test_set_only(tmp_path):
    for name, dimensions, content in (("images-idx3", (2, 2, 2), bytes(8)), ("labels-idx1", (2,), bytes(2))):
        sizes = b"".join(size.to_bytes(4, "big") for size in dimensions)
        (tmp_path / f"t10k-{name}-ubyte").write_bytes(bytes([0, 0, 8, len(dimensions)]) + sizes + content)
    with pytest.raises(DataError, match="has test images only: expected train-images-idx3-ubyte and train-labels"):
        train(data=str(tmp_path), run_dir=tmp_path / "run")


# -- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_that_has_not_finished(run):
    (run / "model.safetensors").unlink()
    with pytest.raises(
        RunError, match=r"has no model.safetensors yet: resume with handgrad train --run-dir .* --resume"
    ):
        load_run(run).engine()


def test_weights_that_are_no_weights(run):
    (run / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(RunError, match=r"cannot read .*model.safetensors: .*The file is damaged: restore a copy, or"):
        load_run(run).engine()


def test_a_summary_that_is_no_object(run):
    (run / "summary.json").write_text("[1, 2]\n")
    with pytest.raises(RunError, match=r"cannot read .*summary.json: it contains no object. The file is damaged"):
        _ = load_run(run, trust=True).summary
    (run / "summary.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(RunError, match=r"cannot read .*summary.json: it is not UTF-8 text. The file is damaged"):
        _ = load_run(run).summary


def test_a_folder_without_its_preprocessing(run):
    (run / "preprocessing.safetensors").unlink()
    with pytest.raises(RunError, match=r"there is no .*preprocessing.safetensors: is .*run a run folder\?"):
        load_run(run).predict(np.zeros((1, 64)))


def test_inputs_that_a_run_does_not_take(run, tmp_path):
    with pytest.raises(
        ConfigError, match="inputs contain nan in sample 1: expected finite numbers, raw values on the scale"
    ):
        load_run(run).predict(np.array([[0.0] * 64, [np.nan] * 64]))
    with pytest.raises(
        ConfigError, match=r"inputs: a table, and .* was trained on inputs of shape \(1, 8, 8\): give an ar"
    ):
        load_run(run).predict({"a": [1.0]})
    rows = train(x=X, y=Y, run_dir=tmp_path / "rows", **{**SMALL, "batch_size": 4})
    (tmp_path / "images").mkdir()
    with pytest.raises(ConfigError, match=r"images: .*rows was trained on rows of 3 numbers: give .npy or .npz"):
        rows.evaluate(data=tmp_path / "images")


def test_a_header_that_describes_no_run(run):
    path = run / "model.safetensors"
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(arrays, path, metadata={"handgrad": "[1]"})
    with pytest.raises(
        RunError, match=r"cannot read .*model.safetensors: its header does not describe a run. The file is"
    ):
        load_run(run, trust=True).engine()


def test_a_record_that_is_no_evaluation(run):
    (run / "metrics.jsonl").write_text('{"loss": 1}\n')
    seal(run / "metrics.jsonl")
    with pytest.raises(RunError, match=r"metrics.jsonl, line 1, is not an evaluation: remove it, or train again"):
        _ = load_run(run).metrics


def test_a_checkpoint_that_does_not_fit(run):
    path = run / "checkpoint" / "state.safetensors"
    with safe_open(path, framework="numpy") as file:
        about = json.loads(file.metadata()["handgrad"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file({k: v for k, v in arrays.items() if "bias" not in k}, path, metadata={"handgrad": json.dumps(about)})
    seal(path)
    with pytest.raises(
        RunError, match=r"the checkpoint in .*run does not match its config.toml: .*bias.*The file is damaged"
    ):
        train(run_dir=run, resume=True, max_steps=20)


def test_a_damaged_table_json(tmp_path):
    (tmp_path / "t.csv").write_text("a,y\n" + "\n".join(f"{i},{i % 2}" for i in range(20)))
    settings = {"data": str(tmp_path / "t.csv"), "target": "y", **SMALL, "batch_size": 4}
    folder = train(run_dir=tmp_path / "run", **settings).path
    np.save(tmp_path / "x.npy", np.ones((2, 1)))
    with pytest.raises(
        ConfigError, match=r"x.npy is not a table, and .* was trained on one: give a .csv, .tsv or .par"
    ):
        load_run(folder).evaluate(data=str(tmp_path / "x.npy"))
    (folder / "table.json").write_text(json.dumps({"columns": 3}))
    seal(folder / "table.json")
    with pytest.raises(RunError, match=r"cannot read .*table.json: .*The file is damaged: restore a copy"):
        _ = load_run(folder).encoder


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot create the run folder .*file/run"):
        train(run_dir=tmp_path / "file" / "run", **SMALL)


def test_a_run_in_the_place_of_a_file(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(RunError, match=r"run is a file, expected a folder to write the run to"):
        train(run_dir=tmp_path / "run", **SMALL)
    assert (tmp_path / "run").read_text() == "mine"


def test_metrics_that_cannot_be_written(run, monkeypatch):
    from handgrad.training.run import RunFolder

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(RunError, match=r"cannot write .*metrics.jsonl: No space left on device. Free some space, then"):
        RunFolder(run).append_metrics({"step": 1})


def test_runs_that_are_compared_by_what_cannot_be(run):
    with pytest.raises(ConfigError, match=r"tolerance=-1: expected a number of at least 0"):
        compare_runs(str(run), str(run), tolerance=-1)


def test_evaluating_on_data_with_other_targets(run, tmp_path):
    two = {"a": Y, "b": Y}
    with pytest.raises(DataError, match="the data has 2 targets: expected one, the class of each sample"):
        load_run(run).evaluate(data=(np.zeros((20, 64)), two))
    regression = train(x=X, y=X.sum(axis=1) / 3, run_dir=tmp_path / "r", **{**SMALL, "batch_size": 4})
    with pytest.raises(DataError, match="the data has 2 targets: expected 1, "):
        regression.evaluate(data=(X, {"a": Y * 0.5, "b": Y * 0.5}))


def test_a_search_by_a_test_split_that_has_no_labels(tmp_path):
    pytest.importorskip("optuna")
    from tests.speech_files import write_set

    write_set(tmp_path / "frames", test_labels=False)
    arguments = ["--dataset", "speech", "--data-dir", str(tmp_path / "frames"), "--vary", "learning_rate=0.1,0.01"]
    assert main(["search", *arguments, "--select", "test", "--study-dir", str(tmp_path / "s")]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["evaluate", "RUN", "--target", "y.npy"],
            "--target y.npy applies to --data, which is not given: leave it out",
        ),
        (["courses", "export", "cmu-f18", "hw"], "edition='cmu-f18' is unknown, expected one of cmu-s19, cmu-f19"),
        (["courses", "stats", "--epochs", "0"], "epochs=0: expected at least 1"),
        (["check-run", "nowhere"], "there is no run folder nowhere: expected one that handgrad train has written"),
        (
            ["import", "WEIGHTS", "--arch", "nowhere", "--run-dir", "r"],
            "arch=nowhere does not exist: expected a run",
        ),
    ],
)
def test_from_the_command(whole, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("a,y\n" + "\n".join(f"{i * i % 7},{i / 3}" for i in range(20)))
    assert (
        main([{"RUN": str(whole), "WEIGHTS": str(whole / "model.safetensors")}.get(word, word) for word in arguments])
        == 2
    )
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
