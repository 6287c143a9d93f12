"""A flipped bit in the files of a run is never used silently; files that were changed on purpose can be trusted."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from handgrad.cli import main
from handgrad.errors import ConfigError, RunError
from handgrad.training import load_run, train
from handgrad.training.run import CHECKPOINT, PREVIOUS, write_arrays

#: What `handgrad` reads again, and by which command it is read.
FILES = (
    *("config.toml", "metrics.jsonl", "summary.json", "preprocessing.safetensors"),
    *("model.safetensors", "best.safetensors", CHECKPOINT),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    settings = {"hidden_units": (6,), "max_steps": 60, "eval_freq": 20, "checkpoint_seconds": 0.0}
    train(run_dir=folder, **settings)
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def read_all(folder) -> None:
    """Reads every file like `evaluate`, `show`, notebooks and `--resume`."""
    loaded = load_run(folder)
    for weights in ("last", "best"):
        loaded.engine(weights)
    loaded.predict(np.zeros((1, 64), np.float32))
    assert len(loaded.metrics) == 3
    assert loaded.summary["steps"] == 60
    train(run_dir=folder, resume=True)


def test_what_is_whole_is_read(run):
    read_all(run)


def test_no_bit_that_flips_is_used(whole, tmp_path):
    """200 files with one random flipped bit each."""
    rng = np.random.default_rng(1)
    folder = shutil.copytree(whole, tmp_path / "run")
    used = []
    for trial in range(200):
        name = FILES[trial % len(FILES)]
        content = (whole / name).read_bytes()
        bit = int(rng.integers(8 * len(content)))
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(flipped)
        message = ""
        try:
            read_all(folder)
        except (RunError, ConfigError) as error:
            message = str(error)
        if str(folder / name) not in message:
            used.append((name, bit, message))
        for file in FILES:
            shutil.copyfile(whole / file, folder / file)
    assert not used


def test_a_line_that_is_missing(run):
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(RunError, match=r"metrics.jsonl has 2 evaluations, 3 were made. The file is damaged"):
        _ = load_run(run).metrics
    with pytest.raises(RunError, match=r"metrics.jsonl has 2 evaluations, 3 were made"):
        train(run_dir=run, resume=True)


def test_the_checkpoint_before_a_damaged_one_is_offered(run):
    content = bytearray((run / CHECKPOINT).read_bytes())
    content[-5] ^= 4
    (run / CHECKPOINT).write_bytes(content)
    with pytest.raises(RunError, match=r"state.safetensors is damaged .*The previous checkpoint is intact: mv .* step"):
        train(run_dir=run, resume=True)
    shutil.move(run / PREVIOUS, run / CHECKPOINT)
    assert train(run_dir=run, resume=True).summary["steps"] == 60


def test_two_damaged_checkpoints(run):
    for name in (CHECKPOINT, PREVIOUS):
        (run / name).write_bytes((run / name).read_bytes()[:-1])
    with pytest.raises(RunError, match=r"cannot read .*state.safetensors.*The file is damaged: restore a copy") as e:
        train(run_dir=run, resume=True)
    assert "before it" not in str(e.value)


def test_weights_that_were_changed_on_purpose(run, capsys):
    from safetensors.numpy import load_file

    state = load_file(run / "model.safetensors")
    save_file({name: np.zeros_like(array) for name, array in state.items()}, run / "model.safetensors")
    with pytest.raises(RunError, match=r"model.safetensors has no checksum: .* --trust reads it anyway"):
        load_run(run).engine()
    assert main(["evaluate", str(run)]) == 2
    assert "has no checksum" in capsys.readouterr().err


def test_a_changed_file_is_read_where_it_is_trusted(run, capsys):
    text = (run / "summary.json").read_text().replace('"steps": 60', '"steps": 61')
    (run / "summary.json").write_text(text)
    with pytest.raises(RunError, match=r"summary.json is damaged or was changed"):
        _ = load_run(run).summary
    assert load_run(run, trust=True).summary["steps"] == 61
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.rpartition("# sha256")[0])
    assert main(["show", str(run), "--json"]) == 2
    assert "config.toml has no checksum" in capsys.readouterr().err
    assert main(["show", str(run), "--json", "--trust"]) == 0


def test_check_run(run, capsys):
    assert main(["check-run", str(run)]) == 0
    said = capsys.readouterr().out
    assert all(f"{name} " in said for name in (*FILES, "curves.png", "confusion.png", PREVIOUS))
    (run / "curves.png").write_bytes((run / "curves.png").read_bytes()[:-30])
    (run / "preprocessing.safetensors").unlink()
    write_arrays(run / "best.safetensors", {"a": np.ones(3)}, {})
    save_file({"a": np.ones(3)}, run / "model.safetensors")
    assert main(["check-run", str(run), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["files"]
    assert found["best.safetensors"] == found["config.toml"] == "intact"
    assert found["preprocessing.safetensors"] == "missing"
    assert "damaged" in found["curves.png"]
    assert "no checksum" in found["model.safetensors"]
    assert main(["check-run", str(run / "nowhere")]) == 2
    assert "there is no run folder" in capsys.readouterr().err
