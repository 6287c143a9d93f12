"""A class with attackers in it: nothing lost, nothing learned of another, nothing left behind."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from handgrad.checking import Limits, alone, check, check_class
from handgrad.checking.folders import PREFIX, clear_abandoned
from handgrad.cli import main

from .conftest import SIGMOID
from .hostile import ANSWERS, RESOURCES, RIGHT, layer

WRONG = SIGMOID.replace("1 - self.state ** 2", "1 - self.state")
posix = pytest.mark.skipif(sys.platform == "win32", reason="written for POSIX")


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


# -- nothing of another -----------------------------------------------------------------------------------------------


def test_a_hand_in_of_a_class_sees_nothing_of_another(tmp_path):
    (tmp_path / "ada.py").write_text(layer(RIGHT))
    (tmp_path / "bob.py").write_text("import ada\nclass Sigmoid(ada.Sigmoid):\n    pass\n" + "\nSigmoid = Sigmoid\n")
    text = layer("import ada\n        self.other = ada.Sigmoid(); self.other.forward(-np.log(1 / self.y - 1))\n"
                 "        return self.other.backward(dy)")  # fmt: skip
    (tmp_path / "cyd.py").write_text(text)
    ada, _, cyd = check_class(sorted(tmp_path.glob("*.py")))
    assert ada.verdict == "right"
    assert cyd.verdict == "cannot judge"
    assert {bug.id for bug in cyd.bugs} == {"missing-package"}
    assert check(tmp_path / "cyd.py").verdict == "right"  # alone a file may import what lies beside it


# -- nothing lost -----------------------------------------------------------------------------------------------------


@posix
def test_names_that_are_no_text_end_nothing(tmp_path, capsys):
    folder = tmp_path / "class"
    folder.mkdir()
    for name in (b"ada.py", b"b\xff\xfeb.py", b"c\x1b[2J\xe2\x80\xaed.py", b"hw1.v2.py"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text(SIGMOID)
    out, junit = tmp_path / "report.csv", tmp_path / "junit.xml"
    assert main(["check", "--class", str(folder), "--out", str(out), "--junit", str(junit), "--json"]) == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["verdict"] for row in rows] == ["right"] * 4
    found = json.loads(capsys.readouterr().out)
    text = json.dumps(found, ensure_ascii=False)
    assert text.isprintable()
    assert "\ufffd" in text
    assert junit.exists()
    assert not list(tmp_path.glob("*.progress"))


def _command(*arguments: object) -> subprocess.Popen:
    words = [sys.executable, "-m", "handgrad", "check", *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_class_that_is_ended_goes_on_where_it_was(tmp_path, temporary, number):
    folder, out = tmp_path / "class", tmp_path / "report.csv"
    folder.mkdir()
    for i in range(4):
        (folder / f"s{i}.py").write_text(SIGMOID if i % 2 else WRONG)
    with _command("--class", folder, "--out", out, "--jobs", 1) as first:
        assert first.stderr is not None
        seen = [first.stderr.readline() for _ in range(2)]
        first.send_signal(number)
        first.wait(60)
    assert "2/4" in seen[1]
    if number == signal.SIGTERM:
        assert first.returncode == 143
        assert len(out.read_text().splitlines()) >= 3  # what was checked
    with _command("--class", folder, "--out", out, "--jobs", 1) as second:
        _, errors = second.communicate(timeout=120)
    assert second.returncode == 1
    assert "resuming from" in errors
    before = [line.split()[1] for line in seen]
    assert [line.split()[1] for line in errors.splitlines() if "/4 " in line][:2] == before
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["verdict"] for row in rows] == ["wrong", "right"] * 2
    assert not Path(f"{out}.progress").exists()


def test_a_hand_in_that_was_changed_is_checked_again(tmp_path):
    path, journal = tmp_path / "ada.py", tmp_path / "kept"
    path.write_text(WRONG)
    assert check_class([path], journal=journal)[0].verdict == "wrong"
    kept = journal.read_bytes()
    assert check_class([path], journal=journal)[0].verdict == "wrong"
    assert journal.read_bytes() == kept
    with journal.open("ab") as stream:
        stream.write(b'{"key": "cut o')
    path.write_text(SIGMOID)
    os.utime(path, (1, 1))
    assert check_class([path], journal=journal)[0].verdict == "right"
    assert check_class([path], journal=journal, seed=3)[0].seed == 3


# -- nothing left behind ----------------------------------------------------------------------------------------------


@posix
def test_what_a_killed_check_leaves_the_next_one_clears(tmp_path, temporary):
    path = tmp_path / "hw1.py"
    path.write_text("while True: pass\n" + SIGMOID)
    with _command(path, "--timeout", 40) as process:
        deadline = time.monotonic() + 30
        while not list(temporary.glob(f"{PREFIX}*/**/h*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    (left,) = temporary.glob(f"{PREFIX}*")
    clear_abandoned()
    assert left.exists()  # so young that it may be somebody's
    os.utime(left, (1, 1))
    clear_abandoned()
    assert not left.exists()


@posix
def test_a_folder_in_use_is_nobodys_to_clear(temporary):
    from handgrad.checking.folders import own_folder

    with own_folder() as folder:
        os.utime(folder, (1, 1))
        clear_abandoned()
        assert folder.exists()
    assert not folder.exists()


# -- limits of the checker itself -------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    "source",
    [
        "x = ["
        + "[]," * 300_000
        + "]\nclass Sigmoid:\n    def forward(self, x): pass\n    def backward(self, x): pass\n",
        "x = " + "(" * 150 + "1" + ")" * 150 + "\n" + SIGMOID,
        "x = " + "-" * 90_000 + "1\n" + SIGMOID,
        "x = " + "a." * 300_000 + "b\n" + SIGMOID,
    ],
    ids=["wide", "nested", "signs", "dots"],
)
def test_a_file_that_is_hard_to_read_stays_within_the_limits(tmp_path, source):
    path = tmp_path / "hw1.py"
    path.write_text(source)
    report = check(path, limits=Limits(seconds=2.0, total_seconds=10.0, memory=64 << 20))
    assert "checker-failed" not in {bug.id for bug in report.bugs}, report.bugs
    assert report.seconds < 80


@posix
def test_memory_and_time_bind_the_checker_too(tmp_path, monkeypatch):
    path = tmp_path / "hw1.py"
    path.write_text(SIGMOID)
    start = alone.START.replace("serve(job)", "checker = __import__('handgrad.checking.checker').checking.checker\n{}")
    call = "checker.check_here = lambda *a, **k: {}\nserve(job)"
    for body, word in (
        ("bytearray(8 << 30)", "too much memory"),
        ("__import__('time').sleep(1e6)", "took more than"),
    ):
        with monkeypatch.context() as broken:
            broken.setattr(alone, "START", start.format(call.format(body)))
            broken.setattr(alone, "OWN_SECONDS", 1.0)
            report = check(path, limits=Limits(seconds=1.0, total_seconds=2.0, memory=64 << 20))
        assert report.verdict == "cannot judge"
        assert [bug.id for bug in report.bugs] == ["too-much"]
        assert word in report.bugs[0].evidence


def test_a_seed_repeats_a_check_and_is_another_each_time(tmp_path):
    path = tmp_path / "hw1.py"
    path.write_text(WRONG)
    first, second = check(path), check(path)
    assert first.seed != second.seed
    again = check(path, seed=first.seed)
    assert [part.bugs for part in again.parts] == [part.bugs for part in first.parts]


# -- three hundred ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@posix
def test_three_hundred_hand_ins_with_one_attacker_in_ten(tmp_path, temporary):
    draw = random.Random(1)
    attacks = [source for source, _ in (*ANSWERS.values(), *RESOURCES.values())]
    folder = tmp_path / "class"
    folder.mkdir()
    expected = {}
    for i in range(300):
        attacker = i % 10 == 0
        honest = (layer(RIGHT), "right") if draw.random() < 0.5 else (layer(), "wrong")
        source, verdict = (draw.choice(attacks), "attack") if attacker else honest
        if i % 50 == 0:
            source, verdict = f"import s{i + 1:03d}\n" + layer(), "attack"
        (folder / f"s{i:03d}.py").write_text(source)
        expected[f"s{i:03d}.py"] = verdict
    before = {one.name: one.read_text() for one in folder.iterdir()}
    options = {"limits": Limits(seconds=2.0, total_seconds=8.0, memory=256 << 20)}
    reports = check_class(sorted(folder.iterdir()), jobs=3, journal=tmp_path / "kept", **options)
    assert [report.file for report in reports] == sorted(expected)  # nothing lost
    for report in reports:
        parts = {part.part: part.verdict for part in report.parts}
        if expected[report.file] == "attack":  # nothing gained
            assert report.verdict in ("wrong", "cannot judge"), report
        else:  # and nothing of it reaches the others
            assert parts["Sigmoid.forward"] == "right", report
            assert parts["Sigmoid.backward"] == expected[report.file], report
    assert {one.name: one.read_text() for one in folder.iterdir()} == before
    assert list(temporary.iterdir()) == []  # nothing left behind
