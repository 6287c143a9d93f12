"""The command line: output, errors and exit codes."""

import gzip
import json
import os
import resource
import struct
import subprocess
import sys
from unittest.mock import ANY

import numpy as np
import pytest
from PIL import Image

import handgrad
from handgrad.cli import COMMANDS, main

QUICK = ["--dataset", "digits", "--hidden-units", "8", "--max-steps", "20", "--eval-freq", "10"]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", *QUICK, "--quiet", "--run-dir", str(path)]) == 0
    return path


def refused(capsys, *arguments, code=2):
    """The line on stderr of a command that fails with an error."""
    assert main([str(argument) for argument in arguments]) == code
    captured = capsys.readouterr()
    assert len(captured.err.strip().splitlines()) == 1, captured.err
    assert captured.err.startswith("handgrad: ")
    assert captured.out == "" or code == 1
    return captured.err


# -- help -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_the_help_page_names_every_command(capsys, arguments):
    assert main(arguments) == 0
    page = capsys.readouterr().out
    assert all(f"\n  {name} " in page for name in COMMANDS)
    assert max(map(len, page.splitlines())) <= 100


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_page(capsys, command):
    assert main([command, "--help"]) == 0
    assert f"Usage: handgrad {command}" in capsys.readouterr().out


def test_help_and_import_pull_in_nothing_heavy():
    code = (
        "import sys; before = set(sys.modules); import handgrad; from handgrad.cli import main; main(['--help']);"
        "heavy = {'numpy', 'cyclopts', 'rich', 'matplotlib', 'torch'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    code = (
        "import sys, numpy; before = set(sys.modules); import handgrad;"
        "new = {m for m in set(sys.modules) - before if not m.startswith(('handgrad', 'importlib'))} - {'__future__'};"
        "assert not new, new"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_training_imports_no_pytorch_and_draws_only_at_the_end():
    code = (
        "import sys; import handgrad; handgrad.training; handgrad.nn; handgrad.numerics; handgrad.data;"
        "heavy = {'torch', 'matplotlib', 'PIL', 'rich', 'cyclopts'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"handgrad {handgrad.__version__}\n")


def test_the_module_runs_as_the_command_does():
    done = subprocess.run([sys.executable, "-m", "handgrad", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("handgrad ")


# -- train ------------------------------------------------------------------------------------------------------------


def test_train_prints_a_line_an_evaluation_and_a_table(capsys, tmp_path):
    assert main(["train", *QUICK, "--run-dir", str(tmp_path / "a")]) == 0
    out = capsys.readouterr().out
    assert "step 10/20   train loss " in out
    assert "step 20/20   train loss " in out
    assert "last step" in out
    assert "best test" in out
    assert "so its result is biased" in out
    assert "curves.png" in out


def test_quiet_prints_the_result_only(capsys, tmp_path):
    assert main(["train", *QUICK, "--quiet", "--run-dir", str(tmp_path / "a")]) == 0
    out = capsys.readouterr().out
    assert "step 10/20" not in out
    assert "last step" in out


def test_json_prints_the_summary_and_nothing_else(capsys, tmp_path):
    assert main(["train", *QUICK, "--json", "--run-dir", str(tmp_path / "a")]) == 0
    captured = capsys.readouterr()
    summary = json.loads(captured.out)
    assert summary.pop("run_dir") == str(tmp_path / "a")
    assert {**summary, "sha256": ANY} == json.loads((tmp_path / "a" / "summary.json").read_text())
    assert "step 10/20" in captured.err


def test_every_flag_reaches_the_configuration(tmp_path):
    flags = {
        "dataset": "digits",
        "preprocessing": "standard",
        "validation-size": "100",
        "model": "mlp",
        "hidden-units": "7,5",
        "activation": "leaky_relu",
        "negative-slope": "0.2",
        "norm": "layer",
        "dropout": "0.1",
        "init": "normal:0.1",
        "optimizer": "sgd",
        "learning-rate": "0.05",
        "momentum": "0.5",
        "weight-decay": "0.001",
        "batch-size": "10",
        "epochs": "1",
        "eval-freq": "60",
        "eval-size": "30",
        "patience": "9",
        "seed": "4",
        "init-seed": "5",
        "data-seed": "6",
        "noise-seed": "7",
        "engine": "numpy",
        "precision": "float64",
        "threads": "1",
        "checkpoint-seconds": "1.5",
    }
    arguments = [part for name, value in flags.items() for part in (f"--{name}", value)]
    arguments += ["--nesterov", "--offline", "--quiet", "--run-dir", str(tmp_path / "a")]
    assert main(["train", *arguments]) == 0
    saved = handgrad.load_run(tmp_path / "a").config.to_dict()
    assert saved["hidden_units"] == [7, 5]
    assert saved["nesterov"] is True
    assert saved["offline"] is True
    for name, value in flags.items():
        if name != "hidden-units":
            assert str(saved[name.replace("-", "_")]) == value


def test_no_hidden_layer_is_logistic_regression(capsys, tmp_path):
    flags = ["--dataset", "digits", "--hidden-units", "none", "--max-steps", "5", "--json"]
    assert main(["train", *flags, "--run-dir", str(tmp_path / "a")]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 650


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "there is no command 'trian': did you mean train?"),
        (["xyzzy"], "see handgrad --help"),
        (["train", "--learning-rate", "-1"], "learning_rate=-1.0: expected a number above 0"),
        (["train", "--learning-rate", "fast"], 'unable to convert "fast" into float'),
        (["train", "--lerning-rate", "1"], "--learning-rate"),
        (["train", "--hidden-units", "10,x"], "hidden_units=10,x: expected whole numbers above 0, as 100,50, or none"),
        (["train", "--recipe", "digit"], "did you mean 'digits'?"),
        (["train", "--config", "/nonexistent.toml"], "cannot read the configuration /nonexistent.toml"),
        (["train", "--resume"], "resume requires the run folder"),
        (["train", "--optimizer", "adam", "--nesterov"], "nesterov=true needs optimizer=sgd and momentum"),
        (["train", "--dataset", "mnist", "--data-dir", "/nonexistent"], "mnist is not in /nonexistent"),
        (["train", "surplus"], "surplus"),
        (["evaluate", "/nonexistent"], "there is no run folder /nonexistent"),
        (["evaluate"], "RUN"),
        (["predict", "/nonexistent", "x.npy"], "there is no run folder"),
        (["show", "digitz"], "there is no recipe 'digitz': did you mean 'digits'?"),
        (["recipes", "mnits"], "did you mean 'mnist'?"),
        (["data", "get", "minst"], "minst"),
        (["data", "check", "mnist", "--data-dir", "/nonexistent"], "mnist"),
        (
            ["data", "check", "mnist", "--target", "y"],
            "target applies to your own data, but mnist is built in: leave",
        ),
        (["data", "lst"], 'Did you mean "list"?'),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(capsys, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *arguments)
    assert not list(tmp_path.iterdir())


def test_a_second_run_does_not_overwrite_the_first(capsys, run_dir):
    assert "already contains a run" in refused(capsys, "train", *QUICK, "--run-dir", run_dir)


def test_a_loss_that_is_no_number_ends_with_exit_code_1(capsys, tmp_path):
    arguments = ["train", "--optimizer", "sgd", "--learning-rate", "1e38", "--run-dir", tmp_path / "a"]
    line = refused(capsys, *arguments, code=1)
    assert "no longer a finite number at step" in line
    assert "layer" in line


def write_idx(folder, images, labels, prefix="train", magic=(2051, 2049)):
    folder.mkdir(parents=True, exist_ok=True)
    header = struct.pack(">4I", magic[0], *images.shape)
    (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
    header = struct.pack(">2I", magic[1], len(labels))
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(header + bytes(labels))


@pytest.fixture
def small_mnist(tmp_path):
    rng = np.random.default_rng(0)
    for prefix, n in (("train", 64), ("t10k", 16)):
        write_idx(
            tmp_path / "mnist", rng.integers(0, 256, (n, 28, 28), np.uint8), rng.integers(0, 10, n).tolist(), prefix
        )
    return tmp_path


MNIST = ["train", "--dataset", "mnist", "--max-steps", "2", "--batch-size", "8"]


def test_a_data_set_of_ones_own_files_trains(capsys, small_mnist):
    assert main([*MNIST, "--data-dir", str(small_mnist), "--run-dir", str(small_mnist / "run"), "--quiet"]) == 0


def test_broken_data_is_refused_and_nothing_is_written(capsys, small_mnist):
    images = small_mnist / "mnist" / "train-images-idx3-ubyte.gz"
    labels = small_mnist / "mnist" / "train-labels-idx1-ubyte"
    good_images, good_labels = images.read_bytes(), labels.read_bytes()
    pixels = np.zeros((64, 28, 28), np.uint8)
    cases = [
        lambda: images.write_bytes(good_images[:500]),
        lambda: images.write_bytes(b""),
        lambda: write_idx(small_mnist / "mnist", pixels, [0] * 64, magic=(1234, 2049)),
        lambda: write_idx(small_mnist / "mnist", pixels, [0] * 63 + [11]),
        lambda: write_idx(small_mnist / "mnist", pixels, [0] * 60),
        lambda: labels.write_bytes(good_labels + b"more"),
        labels.unlink,
    ]
    for number, damage in enumerate(cases):
        damage()
        line = refused(capsys, *MNIST, "--data-dir", small_mnist, "--run-dir", small_mnist / "run")
        assert "mnist" in line, number
        run = small_mnist / "run"
        assert not run.exists() or not list(run.iterdir())
        images.write_bytes(good_images)
        labels.write_bytes(good_labels)


def test_a_real_lack_of_space_ends_in_one_line_and_can_be_resumed(tmp_path):
    """The operating system limits files to 100 kB, and the weights need more."""
    flags = [
        "--dataset",
        "digits",
        "--hidden-units",
        "500",
        "--max-steps",
        "20",
        "--quiet",
        "--run-dir",
        tmp_path / "run",
    ]
    command = [sys.executable, "-m", "handgrad", "train", *flags]
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "cannot write" in done.stderr
    assert "Free some space" in done.stderr
    assert not list((tmp_path / "run").glob("**/*.part"))
    assert subprocess.run([*command, "--resume"], capture_output=True).returncode == 0


def test_a_reader_that_has_had_enough_is_no_error(run_dir):
    command = f"{sys.executable} -m handgrad recipes --json | head -c 5"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stderr == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(capsys, tmp_path):
    tmp_path.chmod(0o500)
    assert "cannot create the run folder" in refused(capsys, "train", *QUICK, "--run-dir", tmp_path / "a")


# -- the other commands -----------------------------------------------------------------------------------------------


def test_evaluate(capsys, run_dir):
    assert main(["evaluate", str(run_dir), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    summary = json.loads((run_dir / "summary.json").read_text())
    assert figures["last"]["test"]["accuracy"] == summary["last"]["test_accuracy"]
    assert figures["best"]["test"]["loss"] == pytest.approx(summary["best"]["test_loss"], rel=1e-6)
    assert figures["last"]["test"]["classes"] == summary["details"]["last"]["test"]["classes"]
    assert main(["evaluate", str(run_dir)]) == 0
    page = capsys.readouterr().out
    assert f"{figures['last']['train']['accuracy']:.4f}" in page
    for name, row in figures["last"]["test"]["classes"].items():
        assert f"│ {name}     │    {row['precision']:.4f} │ {row['recall']:.4f} │" in page
    assert main(["show", str(run_dir)]) == 0
    assert f"{figures['last']['test']['classes']['8']['f1']:.4f}" in capsys.readouterr().out


def test_predict_from_numpy_and_from_a_picture(capsys, tmp_path, run_dir):
    image = handgrad.data.load("digits").inputs[:1]
    np.save(tmp_path / "one.npy", image)
    Image.fromarray(np.round(image[0, 0] * (255 / 16)).astype(np.uint8)).save(tmp_path / "one.png")
    predictions = []
    for name in ("one.npy", "one.png"):
        assert main(["predict", str(run_dir), str(tmp_path / name), "--json"]) == 0
        predictions.append(json.loads(capsys.readouterr().out)["probabilities"])
    np.testing.assert_allclose(*predictions, atol=0.02)
    assert main(["predict", str(run_dir), str(tmp_path / "one.npy")]) == 0
    best = int(np.argmax(predictions[0]))
    assert capsys.readouterr().out.startswith(f"0  {best}  {max(predictions[0][0]):.4f}")


def test_predict_refuses_what_it_cannot_read(capsys, tmp_path, run_dir):
    assert "there is no file" in refused(capsys, "predict", run_dir, tmp_path / "none.npy")
    (tmp_path / "x.txt").write_text("")
    assert "x.txt is a table" in refused(capsys, "predict", run_dir, tmp_path / "x.txt")
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY broken")
    assert "of the .npy format" in refused(capsys, "predict", run_dir, tmp_path / "x.npy")
    (tmp_path / "x.png").write_bytes(b"\x89PNG broken")
    assert "is not an image that can be read" in refused(capsys, "predict", run_dir, tmp_path / "x.png")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert "contains Python objects" in refused(capsys, "predict", run_dir, tmp_path / "objects.npy")
    np.save(tmp_path / "shape.npy", np.zeros((2, 3)))
    assert "expected numbers (N, 1, 8, 8)" in refused(capsys, "predict", run_dir, tmp_path / "shape.npy")
    Image.new("L", (9, 8)).save(tmp_path / "size.png")
    assert "is 9x8 pixels, the network expects 8x8" in refused(capsys, "predict", run_dir, tmp_path / "size.png")


def test_show(capsys, run_dir):
    assert main(["show", "uva-numpy-mlp"]) == 0
    out = capsys.readouterr().out
    assert "308,310" in out
    assert "307,300" in out
    assert main(["show", str(run_dir), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["parameters"] == 64 * 8 + 8 + 8 * 10 + 10
    assert [layer["kind"] for layer in shown["layers"]] == ["linear", "relu", "linear"]


def test_recipes(capsys):
    assert main(["recipes"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("digits", "cmu-mnist", "mnist", "uva-numpy-mlp"))
    assert main(["recipes", "digits"]) == 0
    assert 'dataset = "digits"' in capsys.readouterr().out
    assert main(["recipes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["digits"]["settings"]["dataset"] == "digits"


def test_data(capsys, small_mnist):
    assert main(["data", "list", "--data-dir", str(small_mnist)]) == 0
    out = capsys.readouterr().out
    assert "inside the package" in out
    assert str(small_mnist / "mnist") in out
    assert "handgrad data get cifar10" in out
    assert main(["data", "check", "mnist", "--data-dir", str(small_mnist), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sizes"] == {"train": 64, "test": 16}
    assert main(["data", "check", "mnist", "--data-dir", str(small_mnist)]) == 0
    out = capsys.readouterr().out
    assert "valid, but 4 of 4 files differ from the official ones, 64 train, 16 test samples" in out
    assert "t10k-labels-idx1-ubyte: differs from the official file" in out
    assert main(["data", "list", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == [
        "digits",
        "mnist",
        "fashion-mnist",
        "cifar10",
        "speech",
    ]
    assert main(["data", "get", "digits"]) == 0
