"""Several processes that train one network, started by torchrun on the command line."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from handgrad.cli import main
from handgrad.engines.processes import Processes, here
from handgrad.training import train
from handgrad.training.compare import compare_runs

pytest.importorskip("torch")

HERE = Path(__file__).parent
SETTINGS = {
    **{"dataset": "digits", "hidden_units": (16,), "norm": "batch", "dropout": 0.2, "engine": "torch"},
    **{"precision": "float64", "threads": 1, "batch_size": 33, "max_steps": 40, "eval_freq": 20},
}


def flags(**settings):
    for name, value in {**SETTINGS, **settings}.items():
        yield f"--{name.replace('_', '-')}"
        yield ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def torchrun(*arguments, options=()):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *options]
    return subprocess.Popen(
        [*command, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finished(process, timeout=300):
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        left = workers(process).values() if sys.platform == "linux" else ()
        process.kill()
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    return process.returncode, out, err


def workers(process):
    """The process ids of the processes started by torchrun, by rank."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process.pid:
                environment = (folder / "environ").read_bytes().split(b"\0")
                found[int(next(line for line in environment if line.startswith(b"RANK="))[5:])] = int(folder.name)
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return train(run_dir=tmp_path_factory.mktemp("runs") / "alone", **SETTINGS)


def test_engines_of_two_processes_are_one():
    """Every kind of network, both kinds of gradients, uneven shards: within 1e-10 of one process in float64."""
    code, _, err = finished(torchrun(HERE / "two_processes.py"))
    assert code == 0, err[-3000:]
    lines = [line for line in err.splitlines() if line]
    assert lines[-1] == "done by 2"
    assert {"plain", "dropout", "by hand", "layer", "vgg", "preact-resnet"} <= set(lines)
    assert "batch_size=1: expected at least 2, a sample for each of the processes" in lines
    assert [
        line
        for line in lines
        if line.startswith("diverged at ") and "the learning rate is most likely too high" in line
    ]


def test_a_run_of_two_processes(alone, tmp_path):
    code, out, err = finished(torchrun("-m", "handgrad", "train", *flags(), "--run-dir", tmp_path / "two"))
    assert code == 0, err[-3000:]
    found = compare_runs(alone, tmp_path / "two", steps=0, tolerance=1e-10)
    assert found.agree, found.to_dict()
    assert out.count("digits: mlp with") == 1  # one of them reports
    assert out.count("step 40/40") == 1
    assert "Warning" not in err
    assert json.loads((tmp_path / "two" / "summary.json").read_text())["processes"] == 2
    assert {path.name for path in (tmp_path / "two").iterdir()} == {path.name for path in alone.path.iterdir()}
    # And again: refused, once, in one line.
    code, _, err = finished(torchrun("-m", "handgrad", "train", *flags(), "--run-dir", tmp_path / "two"))
    assert code != 0
    assert err.count("already contains a run: resume it with --resume, or choose another --run-dir") == 1
    assert 'Traceback (most recent call last):\n  File "' + str(HERE) not in err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_a_killed_worker_and_an_elastic_restart(tmp_path):
    long = {"max_steps": 600, "eval_freq": 100, "checkpoint_seconds": 0}
    alone = train(run_dir=tmp_path / "alone", **{**SETTINGS, **long})
    command = ["-m", "handgrad", "train", *flags(**long), "--resume", "--run-dir", tmp_path / "two"]
    process = torchrun(*command, options=["--max-restarts", "1"])
    killed = killed_after_a_checkpoint(process, tmp_path / "two")
    code, _, err = finished(process)
    assert code == 0, err[-3000:]
    assert killed
    assert compare_runs(alone, tmp_path / "two", steps=0, tolerance=1e-9).agree


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_a_killed_worker_means_a_clear_end(tmp_path):
    long = {"max_steps": 100_000, "eval_freq": 100, "checkpoint_seconds": 0}
    process = torchrun("-m", "handgrad", "train", *flags(**long), "--run-dir", tmp_path / "two")
    assert killed_after_a_checkpoint(process, tmp_path / "two")
    code, _, err = finished(process)
    assert code != 0
    assert "another process of this run ended or cannot be reached" in err or "Resume with: handgrad train" in err
    # One process goes on with what two began.
    from safetensors import safe_open

    with safe_open(tmp_path / "two" / "checkpoint" / "state.safetensors", "numpy") as file:
        step = json.loads(file.metadata()["handgrad"])["step"]
    assert step > 0
    run = train(run_dir=tmp_path / "two", resume=True, max_steps=step + 5)
    assert run.summary["steps"] == step + 5


def killed_after_a_checkpoint(process, folder, seconds=120):
    """Whether the second worker was killed during the run."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if (folder / "checkpoint" / "state.safetensors").exists():
            found = workers(process)
            if 1 in found:
                os.kill(found[1], signal.SIGKILL)
                return True
        time.sleep(0.02)
    return False


# -- without torchrun -------------------------------------------------------------------------------------------------


def test_rows_are_shared_out_without_overlap():
    for count in (1, 2, 3, 8):
        for n in (8, 9, 100):
            parts = [range(n)[Processes(rank, count).rows(n)] for rank in range(count)]
            assert [i for part in parts for i in part] == list(range(n))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_alone():
    assert (here().rank, here().count) == (0, 1)
    processes = Processes()
    assert processes.first(lambda: 5) == 5
    assert processes.largest(2.0, 3.0) == [2.0, 3.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "numpy"], "engine=numpy trains in one process, and torchrun started 2: use --engine torch"),
        (["--engine", "torch", "--doctor"], "--doctor supports only one process, and torchrun started several"),
    ],
)
def test_what_several_processes_cannot_do(capsys, monkeypatch, tmp_path, arguments, message):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(name, value)
    code = main(["train", "--recipe", "digits", "--run-dir", str(tmp_path / "a"), *arguments])
    err = capsys.readouterr().err
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_several_processes_without_pytorch(capsys, monkeypatch, tmp_path):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["train", "--recipe", "digits", "--run-dir", str(tmp_path / "a"), "--engine", "torch"]) == 2
    message = 'engine=torch requires PyTorch, which is not installed: pip install "handgrad[torch]"'
    assert message in capsys.readouterr().err


def test_a_batch_smaller_than_the_processes(tmp_path):
    process = torchrun("-m", "handgrad", "train", *flags(batch_size=1, norm="none"), "--run-dir", tmp_path / "a")
    code, _, err = finished(process)
    assert code != 0
    assert err.count("batch_size=1: expected at least 2, a sample for each of the 2 processes; it is the batch") == 1
