"""`handgrad courses stats`: training statistics on MNIST and the handout's four plots."""

import gzip
import json
import struct

import numpy as np
import pytest
from PIL import Image

from handgrad.cli import main
from handgrad.courses.cmu11785 import statistics

NAMES = ("training_losses", "training_errors", "validation_losses", "validation_errors")


@pytest.fixture(scope="module")
def mnist_folder(tmp_path_factory):
    """A small MNIST with separable classes: 10,200 training and 20 test images."""
    folder = tmp_path_factory.mktemp("data") / "mnist"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split, n in (("train", 10_200), ("t10k", 20)):
        labels = rng.integers(10, size=n).astype(np.uint8)
        images = rng.integers(0, 60, size=(n, 28, 28), dtype=np.uint8)
        images[np.arange(n), labels * 2] = 255
        idx3 = struct.pack(">IIII", 0x803, n, 28, 28) + images.tobytes()
        idx1 = struct.pack(">II", 0x801, n) + labels.tobytes()
        (folder / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx3, 1))
        (folder / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx1, 1))
    return folder.parent


def test_the_data_is_as_the_handout_says(mnist_folder):
    (trainx, trainy), (valx, valy), (testx, testy) = statistics.load_mnist(mnist_folder)
    assert trainx.shape == (200, 784)
    assert valx.shape == (10_000, 784)
    assert testx.shape == (20, 784)
    assert trainy.shape == (200, 10)
    np.testing.assert_array_equal(valy.sum(axis=1), np.ones(10_000))
    assert testy.sum() == 20
    assert 0 <= trainx.min() < trainx.max() == 1


def test_the_network_is_the_handouts():
    mlp = statistics.handout_network(num_bn_layers=2)
    assert [w.shape for w in mlp.W] == [(784, 64), (64, 64), (64, 32), (32, 10)]
    assert (mlp.lr, mlp.momentum, mlp.num_bn_layers) == (0.008, 0.9, 2)


def test_stats_trains_and_draws_four_plots(capsys, tmp_path, mnist_folder):
    out = tmp_path / "plots"
    flags = ["--epochs", "3", "--batch-size", "20", "--data-dir", str(mnist_folder), "--out", str(out)]
    assert main(["courses", "stats", *flags]) == 0
    text = capsys.readouterr().out
    assert "epoch 1/3   training losses " in text
    assert "epoch 3/3   training losses " in text
    assert "handout: about" in text
    assert sorted(path.name for path in out.iterdir()) == sorted(f"{name}.png" for name in NAMES)
    for path in out.iterdir():
        with Image.open(path) as image:
            assert image.size[0] > 300
            assert len(np.unique(np.asarray(image.convert("L")))) > 10


def test_stats_repeats_and_prints_json(capsys, tmp_path, mnist_folder):
    flags = ["--epochs", "2", "--data-dir", str(mnist_folder), "--json"]
    results = []
    for i, seed in enumerate(["3", "3", "4"]):
        assert main(["courses", "stats", *flags, "--seed", seed, "--out", str(tmp_path / str(i))]) == 0
        captured = capsys.readouterr()
        assert "epoch 2/2" in captured.err
        results.append(json.loads(captured.out))
    assert all(len(result[name]) == 2 for result in results for name in NAMES)
    assert [results[0][name] for name in NAMES] == [results[1][name] for name in NAMES]
    assert results[0]["training_losses"] != results[2]["training_losses"]
    assert results[0]["training_losses"][1] < results[0]["training_losses"][0]


def test_batch_normalisation_can_be_asked_for(capsys, tmp_path, mnist_folder):
    flags = ["--epochs", "1", "--data-dir", str(mnist_folder), "--json", "--out", str(tmp_path)]
    seen = []
    for n in ("0", "3"):
        assert main(["courses", "stats", *flags, "--num-bn-layers", n]) == 0
        seen.append(json.loads(capsys.readouterr().out)["training_losses"])
    assert seen[0] != seen[1]


def test_an_interrupt_keeps_the_epochs_that_are_done(capsys, tmp_path, mnist_folder, monkeypatch):
    real, calls = statistics.get_training_stats, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(statistics, "get_training_stats", interrupted)
    flags = ["--epochs", "9", "--data-dir", str(mnist_folder), "--out", str(tmp_path), "--json"]
    assert main(["courses", "stats", *flags]) == 130
    captured = capsys.readouterr()
    assert "interrupted: the statistics of 2 epochs are kept" in captured.err
    assert len(json.loads(captured.out)["validation_errors"]) == 2
    assert (tmp_path / "validation_errors.png").is_file()


def test_what_cannot_be_drawn_does_not_lose_the_figures(capsys, tmp_path, mnist_folder, monkeypatch):
    def draw(figures, out):
        raise RuntimeError("no font\nat all")

    monkeypatch.setattr(statistics, "draw", draw)
    flags = ["--epochs", "1", "--data-dir", str(mnist_folder), "--json", "--out", str(tmp_path)]
    assert main(["courses", "stats", *flags]) == 0
    captured = capsys.readouterr()
    assert "cannot draw the plots: RuntimeError: no font at all\n" in captured.err
    assert len(json.loads(captured.out)["training_losses"]) == 1


def test_plots_that_cannot_be_written_do_not_lose_the_figures(capsys, tmp_path, mnist_folder):
    (tmp_path / "plots").write_text("a file")
    flags = ["--epochs", "1", "--data-dir", str(mnist_folder), "--json", "--out", str(tmp_path / "plots")]
    assert main(["courses", "stats", *flags]) == 2
    captured = capsys.readouterr()
    assert "cannot write" in captured.err
    assert "Choose another folder" in captured.err
    assert len(json.loads(captured.out)["training_losses"]) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--epochs", "0"], "epochs=0: expected at least 1"),
        (["--batch-size", "-1"], "batch_size=-1: expected at least 1"),
        (["--num-bn-layers", "5"], "num_bn_layers=5: expected 0 to 4"),
        (["--seed", "-1"], "seed=-1: expected 0 to 4294967295"),
        (["--data-dir", "/nonexistent"], "mnist is not in /nonexistent"),
    ],
)
def test_what_cannot_be_is_refused(capsys, flags, message):
    assert main(["courses", "stats", *flags]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
