"""A bar on a terminal, plain lines elsewhere."""

import os
import sys

import pytest

from handgrad.data import show_progress


def test_plain_lines_elsewhere(capsys):
    with show_progress("file.gz") as report:
        for done in range(0, 4_000_001, 100_000):
            report(done, 4_000_000)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [f"file.gz: {done}.0 of 4.0 MB" for done in range(5)]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_bar_on_a_terminal(monkeypatch):
    ours, theirs = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with show_progress("file.gz") as report:
            report(1_000_000, 4_000_000)
            report(4_000_000, 4_000_000)
        monkeypatch.undo()
        terminal.write("END\n")
        terminal.flush()
        shown = b""
        while b"END" not in shown:
            shown += os.read(ours, 100_000)
    os.close(ours)
    assert b"file.gz" in shown
    assert b"4.0/4.0 MB" in shown
