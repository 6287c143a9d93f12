"""Files of a run folder with foreign contents give an error message of one line."""

from __future__ import annotations

import json
import shutil
import struct

import pytest

from handgrad.cli import main
from handgrad.errors import RunError
from handgrad.training import load_run, train


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    train("digits", run_dir=path, hidden_units=(4,), max_steps=4, eval_freq=2)
    return path


def header(path, change) -> None:
    """Replaces the header of a safetensors file by `change(header)`."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    new = json.dumps(change(json.loads(data[8 : 8 + size]))).encode()
    path.write_bytes(struct.pack("<Q", len(new)) + new + data[8 + size :])


def about(text: str):
    return lambda found: {**found, "__metadata__": {**found["__metadata__"], "handgrad": text}}


DEEP = "[" * 100_000 + "]" * 100_000
DAMAGES = {
    "metrics that are no UTF-8": lambda run: (run / "metrics.jsonl").write_bytes(b'\xff\xfe{"step": 1}\n'),
    "metrics that are a list": lambda run: (run / "metrics.jsonl").write_text("[1, 2]\n"),
    "metrics nested deeply": lambda run: (run / "metrics.jsonl").write_text(DEEP + "\n"),
    "a configuration nested deeply": lambda run: (run / "config.toml").write_text("a = " + DEEP),
    "a checkpoint of noise": lambda run: (run / "checkpoint" / "state.safetensors").write_bytes(b"\x07" * 100),
    "a checkpoint's header cut": lambda run: (run / "checkpoint" / "state.safetensors").write_bytes(b"\x07"),
    "a checkpoint described by a list": lambda run: header(run / "checkpoint" / "state.safetensors", about("[1]")),
    "a checkpoint described deeply": lambda run: header(run / "checkpoint" / "state.safetensors", about(DEEP)),
    "a model's header of noise": lambda run: (run / "model.safetensors").write_bytes(b"\x09" + bytes(7) + b"[" * 200),
    "a model described by a list": lambda run: header(run / "model.safetensors", about("[1]")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_one_line(finished, tmp_path, capsys, damage):
    """At least one command reports it, and none shows a traceback."""
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    DAMAGES[damage](run)
    said = []
    for command in (
        ["evaluate", str(run)],
        ["train", "--run-dir", str(run), "--resume", "--max-steps", "6"],
        ["doctor", str(run), "--out", str(tmp_path / "doctor")],
        ["compare", str(run), str(finished)],
    ):
        code = main(command)
        err = capsys.readouterr().err
        assert "Traceback" not in err
        if code == 2:
            said.append(err)
            assert err.startswith("handgrad: error: ")
            assert str(run) in err
    assert said


def test_a_damaged_summary_is_one_line(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "summary.json").write_text(DEEP)
    with pytest.raises(RunError, match=r"summary.json has no checksum"):
        _ = load_run(run).summary
