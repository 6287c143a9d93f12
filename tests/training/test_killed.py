"""`kill -9` at any moment, then `--resume`: the finished run is bit-for-bit equal to an uninterrupted one."""

import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from tests.training.test_runs import assert_same_run

FLAGS = [
    *("--dataset", "digits", "--hidden-units", "64,32", "--norm", "batch", "--dropout", "0.2", "--max-steps", "1500"),
    *("--eval-freq", "50", "--checkpoint-seconds", "0.05", "--seed", "7"),
]


def command(run_dir, *flags):
    return [sys.executable, "-m", "handgrad", "train", "--run-dir", str(run_dir), "--quiet", *FLAGS, *flags]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("uninterrupted") / "run"
    began = time.monotonic()
    subprocess.run(command(run_dir), check=True, capture_output=True, timeout=120)
    return run_dir, time.monotonic() - began


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_moments(tmp_path, uninterrupted, seed):
    reference, seconds = uninterrupted
    moments = random.Random(seed)
    kills = 0
    for _ in range(40):
        process = subprocess.Popen(
            command(tmp_path / "run", "--resume"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            _, errors = process.communicate(timeout=seconds * moments.uniform(0.1, 0.9) if kills < 6 else 120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0, errors
        if kills:
            break
        shutil.rmtree(tmp_path / "run")  # the machine was slower when the reference was timed: begin again
    assert kills >= 1
    assert_same_run(reference, tmp_path / "run")


_KILL_AT_A_REPLACE = """
import os, pathlib, signal, sys
wanted, after = int(sys.argv.pop(1)), sys.argv.pop(1) == "after"
replace, count = pathlib.Path.replace, 0
def deadly(self, target):
    global count
    count += 1
    if count == wanted and not after:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(self, target)
    if count == wanted:
        os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path.replace = deadly
from handgrad.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("side", ["before", "after"])
def test_killed_at_each_of_the_first_writes(tmp_path, side):
    """For every replaced file, the process is killed just before and just after the replacement."""
    flags = [
        "--dataset",
        "digits",
        "--max-steps",
        "6",
        "--eval-freq",
        "2",
        "--checkpoint-seconds",
        "0",
        "--dropout",
        "0.5",
    ]
    plain = [sys.executable, "-m", "handgrad", "train", "--quiet", *flags]
    subprocess.run([*plain, "--run-dir", tmp_path / "whole"], check=True, capture_output=True)
    ended = False
    for write in range(1, 40):
        run_dir = tmp_path / f"killed-{write}"
        deadly = [sys.executable, "-c", _KILL_AT_A_REPLACE, str(write), side, "train", "--quiet", *flags]
        killed = subprocess.run([*deadly, "--run-dir", run_dir], capture_output=True)
        if killed.returncode == 0:
            ended = True
            break
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        if write % 2:  # every second moment is enough to look at, and half the time
            subprocess.run([*plain, "--run-dir", run_dir, "--resume"], check=True, capture_output=True)
            assert_same_run(tmp_path / "whole", run_dir)
    assert ended
    assert write > 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop(tmp_path, uninterrupted, number):
    reference, _ = uninterrupted
    process = subprocess.Popen(command(tmp_path / "run"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (tmp_path / "run" / "metrics.jsonl").exists():
        time.sleep(0.005)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"--run-dir {tmp_path / 'run'} --resume" in errors
    assert "Traceback" not in errors
    subprocess.run(command(tmp_path / "run", "--resume"), check=True, capture_output=True, timeout=120)
    assert_same_run(reference, tmp_path / "run")
