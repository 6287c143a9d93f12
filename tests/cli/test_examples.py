"""The examples on the help pages: every one can be parsed, with all flags, and runs."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import shlex
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cyclopts import App
from PIL import Image
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits

from handgrad.cli import COMMANDS, main

#: Recordings of more than a toy, minutes of training, or a download.
NOT_RUN = (
    *("speech prepare", "speech label", "courses stats", "data get cifar10", "train --recipe cmu-mnist"),
    "reproduce uva-apr19-b",
)


def application(command: str) -> App:
    return importlib.import_module(f"handgrad.cli.{command.replace('-', '_')}").app


def pages() -> Iterator[tuple[str, str]]:
    """Every command and subcommand with the text at the top of its page."""
    for command in COMMANDS:
        app = application(command)
        yield command, app.help
        for name in app:
            if not name.startswith("-"):
                yield f"{command} {name}", app[name].help


def examples(page: str) -> list[str]:
    return [line.strip() for line in page.splitlines() if line.startswith("  handgrad ")]


PAGES = dict(pages())
EXAMPLES = [*dict.fromkeys(line for page in PAGES.values() for line in examples(page))]


def arguments(example: str) -> list[str]:
    """The arguments that a shell would pass."""
    words = shlex.split(example)[1:]
    return words[: words.index(">")] if ">" in words else words


@pytest.mark.parametrize("command", PAGES)
def test_every_page_has_examples_of_its_command(command, capsys, monkeypatch):
    found = examples(PAGES[command])
    assert found
    assert all(len(line) <= 78 for line in found)
    assert any(line.startswith(f"handgrad {command}") for line in found)
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*command.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {line}\n" in shown for line in found)
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_understood(example):
    command, *rest = arguments(example)
    application(command).parse_args(rest, exit_on_error=False, print_error=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files in the examples: runs, tables, images, weights, hand-ins, frames."""
    folder = tmp_path_factory.mktemp("examples")
    rng = np.random.default_rng(0)
    # These networks are small, and threads that wait for each other on a busy machine take a hundred times as long.
    with contextlib.chdir(folder), threadpool_limits(1), pytest.MonkeyPatch.context() as patch:
        patch.setenv("HANDGRAD_DATA", str(folder / "data"))
        mnist = folder / "data" / "mnist"
        mnist.mkdir(parents=True)
        for part in ("train", "t10k"):
            images, labels = rng.integers(0, 256, (128, 28, 28), np.uint8), np.arange(128, dtype=np.uint8) % 10
            for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
                header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
                (mnist / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
        rows = [f"{a},{b},{2 * a - b}" for a, b in rng.random((80, 2)).round(3).tolist()]
        for name in ("table.csv", "new.csv"):
            Path(name).write_text("\n".join(["a,b,price", *rows]) + "\n")
        for label in ("cat", "dog"):
            Path("photos", label).mkdir(parents=True)
            for i in range(10):
                Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(f"photos/{label}/{i}.png")
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save("image.png")
        np.save("inputs.npy", rng.integers(0, 17, (3, 1, 8, 8)).astype(np.float32))
        layer = "class Double:\n    def forward(self, x):\n        return 2 * x\n\n    def backward(self, dy):\n"
        Path("layers.py").write_text(f"{layer}        return 2 * dy\n")
        Path("hand-ins", "one").mkdir(parents=True)
        shutil.copy("layers.py", "hand-ins/one/layers.py")
        shutil.make_archive("homework", "zip", "hand-ins/one")
        Path("mine.toml").write_text('recipe = "digits"\n')
        Path("study.toml").write_text("max_steps = 20\nhidden_units = [4]\nlearning_rate = [0.1, 0.01]\n")
        quick = ["--hidden-units", "8", "--max-steps", "20", "--quiet", "--run-dir"]
        assert main(["train", *quick, "runs/digits"]) == 0
        shutil.copytree("runs/digits", "runs/digits-2")
        assert main(["train", "--data", "table.csv", "--target", "price", *quick, "runs/table"]) == 0
        write_frames(rng)
        if importlib.util.find_spec("torch"):
            import torch

            assert main(["train", "--dataset", "mnist", "--hidden-units", "32", *quick[2:], "runs/mnist"]) == 0
            state = load_file("runs/mnist/model.safetensors")
            torch.save({name: torch.from_numpy(array) for name, array in state.items()}, "net.pt")
        yield folder


def write_frames(rng: np.random.Generator) -> None:
    from tests.speech_files import objects

    Path("frames").mkdir()
    for stem in ("train", "dev", "test"):
        utterances = [rng.standard_normal((30, 40)).astype(np.float32) for _ in range(4)]
        np.save(f"frames/{stem}.npy", objects(utterances))
        np.save(f"frames/{stem}_labels.npy", objects([rng.integers(0, 9, len(x)) for x in utterances]))
    phones = ("SIL", "S", "IY")
    Path("frames/states.txt").write_text("".join(f"{phone} {i}\n" for phone in phones for i in range(3)))


def runs(example: str) -> bool:
    if any(example.startswith(f"handgrad {begin}") for begin in NOT_RUN):
        return False
    if "net.pt" in example or "uva-apr19" in example:
        return importlib.util.find_spec("torch") is not None
    if "--to onnx" in example:
        return importlib.util.find_spec("onnx") is not None
    return not example.startswith("handgrad search") or importlib.util.find_spec("optuna") is not None


def less(example: str) -> list[str]:
    """Flags that reduce the run time of an example."""
    if example.startswith("handgrad doctor"):
        return ["--budget", "60"] if "--budget" not in example else ["--hidden-units", "4"]
    if example.startswith("handgrad search --"):
        return ["--hidden-units", "4", "--max-steps", "2", "--workers", "1"]
    return ["--max-steps", "20"] if "--dataset speech" in example else []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="hand-ins are checked on Linux")
def test_every_example_runs(folder, capsys):
    """In the order of the pages: `import` reads the files of `export`, and `search --resume` those of `search`."""
    failed = {}
    for example in filter(runs, EXAMPLES):
        words = [*arguments(example), *less(example)]
        code = main(words)
        said = capsys.readouterr().err
        if code != 0 and not (code == 1 and words[0] in ("doctor", "derive")):
            failed[example] = (code, said)
    assert not failed
