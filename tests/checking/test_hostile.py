"""Every hostile hand-in, in every way that this machine can keep one in: none is right, none harms, nothing is left."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

import handgrad
from handgrad.checking import Limits, check
from handgrad.checking.sandbox import MEANS

from .hostile import ANSWERS, RESOURCES, RIGHT, SURROUNDINGS, layer, page, surroundings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="attacks are written for POSIX")

LIMITS = Limits(seconds=2.0, total_seconds=12.0, memory=256 << 20)
#: All that there is; what an ordinary container allows; nothing but limits.
MODES = {"all": MEANS, "container": ("landlock", "seccomp"), "limits": ()}


def cases(names, modes=tuple(MODES)):
    """Each of these in each mode. The default tests take every twelfth, with all that there is; the slow ones all."""
    return [
        pytest.param(
            name,
            mode,
            marks=() if mode == "all" and position % 12 == 0 else pytest.mark.slow,
            id=f"{name}, {mode}",
        )
        for position, name in enumerate(names)
        for mode in modes
    ]


@pytest.fixture
def mode(request, available):
    means = MODES[request.param]
    if request.param == "container" and not set(means) <= available:
        pytest.skip(f"this machine has only {', '.join(sorted(available)) or 'limits'}")
    if request.param == "all" and not available:
        pytest.skip("this machine has limits only")
    return means


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A temporary folder of its own, empty in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def checked(tmp_path: Path, source: str, means, ids=()):
    path = tmp_path / "hw1.py"
    path.write_text(source)
    report = check(path, limits=LIMITS, means=means)
    found = {bug.id for bug in report.bugs} | {part.verdict for part in report.parts}
    assert "checker-failed" not in found, report.bugs
    assert not ids or found & set(ids), (ids, found, report.parts)
    return report


def right(report, part: str) -> bool:
    return any(one.part == part and one.verdict == "right" for one in report.parts)


def test_the_layer_itself_can_be_right(tmp_path):
    """Else none of these tests could fail."""
    report = checked(tmp_path, layer(RIGHT), MEANS)
    assert {part.verdict for part in report.parts} == {"right"}


@pytest.mark.parametrize(("name", "mode"), cases(ANSWERS), indirect=["mode"])
def test_no_answer_is_had_by_force(tmp_path, temporary, mode, name):
    source, ids = ANSWERS[name]
    report = checked(tmp_path, source, mode, ids)
    assert report.verdict in ("wrong", "cannot judge"), report.parts
    assert any(part.verdict in ("wrong", "cannot judge") for part in report.parts)
    if "forward" not in name:
        assert not right(report, "Sigmoid.backward"), report.parts


@pytest.mark.parametrize(("name", "mode"), cases(RESOURCES), indirect=["mode"])
def test_resources_are_limited(tmp_path, temporary, mode, name):
    source, ids = RESOURCES[name]
    report = checked(tmp_path, source, mode, ids)
    assert not right(report, "Sigmoid.backward"), report.parts
    if mode:  # with limits alone nothing bounds how many folders there are to remove in the end
        assert report.seconds < 2 * LIMITS.total_seconds + 60


@pytest.mark.parametrize(("name", "mode"), cases(SURROUNDINGS, ("all", "container")), indirect=["mode"])
def test_nothing_outside_is_reached(tmp_path, temporary, mode, name, monkeypatch):
    monkeypatch.setenv("HANDGRAD_TEST_SECRET", "token")
    outside = tmp_path / "outside"
    outside.mkdir()
    secret = outside / "secret.txt"
    secret.write_text("the answer")
    before = secret.stat()
    text = SURROUNDINGS[name].format(
        secret=str(secret),
        folder=str(outside),
        parent=os.getpid(),
        handgrad=str(Path(handgrad.__file__).parent / "nn" / "linear.py"),
        temporary=str(temporary),
    )
    report = checked(tmp_path, surroundings(text), mode)
    assert not right(report, "Sigmoid.backward"), report.parts
    after = secret.stat()
    fields = ("st_mode", "st_uid", "st_gid", "st_mtime_ns", "st_size", "st_nlink", "st_ino")
    assert [getattr(after, name) for name in fields] == [getattr(before, name) for name in fields]
    assert [one.name for one in outside.iterdir()] == ["secret.txt"]
    assert os.getpriority(os.PRIO_PROCESS, 0) == 0


@pytest.mark.parametrize("name", ["reads a file", "writes a file", "changes times", "renices itself"])
def test_what_keeps_it_in_is_what_keeps_it_in(tmp_path, temporary, name):
    """With limits alone these attacks succeed: that is, the tests above can fail."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("the answer")
    text = SURROUNDINGS[name].format(secret=str(outside / "secret.txt"), folder=str(outside))
    assert right(checked(tmp_path, surroundings(text), ()), "Sigmoid.backward")


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("all", ()),
        (
            "container",
            (
                "incomplete isolation without namespaces: a hand-in can see which files exist and fill the disk "
                "(SECURITY.md)",
            ),
        ),
        ("limits", ("no isolation: a hand-in can read and write your files and use the network (SECURITY.md)",)),
    ],
    indirect=["mode"],
)
def test_incomplete_isolation_is_reported_in_one_line(tmp_path, mode, said):
    report = checked(tmp_path, layer(RIGHT), mode)
    assert tuple(note for note in report.notes if "SECURITY.md" in note) == said


def test_the_page_of_figures_is_what_is_tried():
    assert len(ANSWERS) + len(RESOURCES) + len(SURROUNDINGS) >= 60
    assert (Path(__file__).parents[2] / "docs" / "hostile-hand-ins.md").read_text() == page()
