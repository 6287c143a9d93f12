"""A run survives closed pipes, full disks, closed terminals, and characters that cannot be displayed."""

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.training.test_runs import assert_same_run

from handgrad.cli import main, output

COMMAND = [sys.executable, "-m", "handgrad"]
TRAIN = [
    *("train", "--dataset", "digits", "--hidden-units", "16", "--max-steps", "400", "--eval-freq", "20"),
    *("--checkpoint-seconds", "1000"),
]
LINUX = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def shell(line):
    """A shell command that reports the exit code of the first command of a pipe."""
    return subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True, timeout=120)


def command(*arguments):
    return " ".join(map(str, [*COMMAND, *arguments]))


# -- stdout goes away -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed run."""
    path = tmp_path_factory.mktemp("output") / "whole"
    assert main([*TRAIN, "--quiet", "--run-dir", str(path)]) == 0
    return path


def test_a_run_goes_on_when_its_reader_leaves(tmp_path, whole):
    done = shell(f"{command(*TRAIN, '--run-dir', tmp_path / 'run')} | head -1")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == "handgrad: stdout was closed by its reader; the command continues without it\n"
    assert_same_run(whole, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["steps"] == 400


def test_a_run_goes_on_when_both_its_readers_leave(tmp_path, whole):
    done = shell(f"{command(*TRAIN, '--run-dir', tmp_path / 'run')} 2>&1 | head -1")
    assert done.returncode == 0
    assert_same_run(whole, tmp_path / "run")


@LINUX
def test_a_run_goes_on_when_the_disk_of_its_output_is_full(tmp_path, whole):
    done = shell(f"{command(*TRAIN, '--run-dir', tmp_path / 'run')} > /dev/full")
    assert done.returncode == 0
    assert done.stderr == (
        "handgrad: cannot write to stdout: No space left on device; the command continues without it\n"
    )
    assert_same_run(whole, tmp_path / "run")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_run_needs_no_standard_streams(tmp_path, whole, closed):
    assert shell(f"{command(*TRAIN, '--run-dir', tmp_path / 'run')} {closed}").returncode == 0
    assert_same_run(whole, tmp_path / "run")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["recipes"], ["doctor", "digits", "--budget", "30"]])
def test_no_command_needs_a_stdout(tmp_path, arguments):
    done = shell(f"cd {tmp_path}; {command(*arguments)} >&-")
    assert done.returncode == 0
    assert done.stderr == ""


@LINUX
@pytest.mark.parametrize("arguments", [["recipes"], ["derive", "softmax"], ["data", "list"], ["train", "--help"]])
def test_an_answer_that_was_lost_is_no_success(arguments):
    done = shell(f"{command(*arguments)} > /dev/full")
    assert done.returncode == (2 if arguments != ["train", "--help"] else done.returncode)
    assert "cannot write to stdout: No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@LINUX
def test_the_table_of_a_study_that_was_lost_is_no_success(tmp_path):
    pytest.importorskip("optuna")
    study = tmp_path / "s"
    varied = ("--recipe", "digits", "--vary", "max_steps=5,6", "--workers", 1, "--quiet")
    assert shell(command("search", *varied, "--study-dir", study)).returncode == 0
    done = shell(f"{command('search', 'show', study)} > /dev/full")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "handgrad: error: cannot write to stdout: No space left on device. "
        "Free some space or write to a different place"
    ]


@LINUX
def test_a_summary_that_was_asked_for_and_lost_is_no_success(tmp_path):
    done = shell(f"{command(*TRAIN, '--json', '--run-dir', tmp_path / 'run')} > /dev/full")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("handgrad: error: cannot write to stdout: No space left on device")
    assert (tmp_path / "run" / "summary.json").exists()


WRONG = """
class Relu:
    def forward(self, x):
        self.x = x
        return x * (x > 0)

    def backward(self, dy):
        return dy
"""


def test_the_verdict_of_a_check_does_not_depend_on_its_reader(tmp_path):
    (tmp_path / "mine.py").write_text(WRONG)
    done = shell(f"{command('check', tmp_path / 'mine.py', '--junit', tmp_path / 'junit.xml')} | true")
    assert done.returncode == 1
    assert done.stderr == ""
    assert (tmp_path / "junit.xml").exists()


def test_a_watch_ends_with_its_reader(tmp_path):
    (tmp_path / "mine.py").write_text(WRONG)
    reader, writer = os.pipe()
    os.close(reader)
    watching = subprocess.Popen([*COMMAND, "check", "--watch", tmp_path / "mine.py"], stdout=writer, stderr=-1)
    os.close(writer)
    _, errors = watching.communicate(timeout=60)
    assert errors == b""


# -- the terminal is closed -------------------------------------------------------------------------------------------


def wait_for_an_evaluation(process, run_dir):
    while not (run_dir / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.005)


def lasting(steps):
    return [str(steps) if part == "400" else part for part in TRAIN]


def on_a_terminal(*arguments):
    """A process in a new session with its own terminal, and the other end of the terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    return process, ours


def test_a_closed_terminal_saves_a_checkpoint(tmp_path, whole):
    process, terminal = on_a_terminal(*lasting(200_000), "--run-dir", tmp_path / "run")
    wait_for_an_evaluation(process, tmp_path / "run")
    os.close(terminal)  # the kernel sends SIGHUP
    process.send_signal(signal.SIGHUP)  # and so does the shell
    assert process.wait(timeout=60) == 130
    assert (tmp_path / "run" / "checkpoint" / "state.safetensors").exists()
    assert not (tmp_path / "run" / "summary.json").exists()


def test_a_hangup_is_resumed_bit_for_bit(tmp_path):
    longer = lasting(4000)
    assert main([*longer, "--quiet", "--run-dir", str(tmp_path / "whole")]) == 0
    process = subprocess.Popen([*COMMAND, *longer, "--run-dir", tmp_path / "run"], stdout=-1, stderr=-1, text=True)
    wait_for_an_evaluation(process, tmp_path / "run")
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "everything is saved" in errors
    assert main(["train", "--resume", "--quiet", "--run-dir", str(tmp_path / "run")]) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_nohup_is_left_in_force(tmp_path, whole):
    process = subprocess.Popen(["nohup", *COMMAND, *TRAIN, "--run-dir", tmp_path / "run"], stdout=-1, stderr=-1)
    wait_for_an_evaluation(process, tmp_path / "run")
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert_same_run(whole, tmp_path / "run")


# -- what the terminal cannot show ------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_check_and_derive_print_what_the_terminal_can_show(tmp_path, encoding):
    (tmp_path / "mine.py").write_text(WRONG)
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for arguments, code, expected in (
        (["check", tmp_path / "mine.py"], 1, "x Relu.backward"),
        (["derive", "batchnorm"], 0, "mu = 1/N Sigma_n x_n"),
        (["derive", "gelu"], 0, "steps hold"),
    ):
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, env=environment)
        assert done.returncode == code
        assert done.stderr == b""
        assert expected in done.stdout.decode(encoding)


@pytest.mark.parametrize(
    ("text", "ascii"),
    [
        ("σ² ≈ x̂ₙ − ε", "sigma^2 ~ x^_n - epsilon"),
        ("∂y/∂x · Wᵀ ⊙ √Φ", "dy/dx * W^T * sqrtPhi"),
        ("½ é ℓ", "1/2 e l"),
        ("╭─╮│ … ✓ ✗ → “a”", "---| ... + x -> \"a\""),
        ("\udcff 漢", "? ?"),
        ("ⱼ₋₁ x⁻¹ ᵩ λ", "_j_-_1 x^-^1 _phi lambda"),
    ],
)  # fmt: skip
def test_characters_in_ascii(text, ascii):
    stream = output.Stream(io.TextIOWrapper(raw := io.BytesIO(), "ascii"))
    stream.write(text)
    stream.flush()
    assert raw.getvalue().decode() == ascii
    assert stream.lost is None


def test_what_the_encoding_has_stays(tmp_path):
    stream = output.Stream(io.TextIOWrapper(raw := io.BytesIO(), "cp1252"))
    stream.write("é² ✓")
    stream.flush()
    assert raw.getvalue().decode("cp1252") == "é² +"
