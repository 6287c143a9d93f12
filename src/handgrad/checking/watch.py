"""Detects that a hand-in was saved."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from handgrad.checking.handin import MOST_FILES, PASSED_OVER

State = dict[str, tuple[int, int]]


def state(paths: Sequence[str | Path]) -> State:
    """The modification time and size of each file. Missing files (an editor may be replacing them) are omitted."""
    found: State = {}
    for path in map(Path, paths):
        files = [path]
        if path.is_dir():
            files = []
            for parent, folders, names in os.walk(path):
                folders[:] = [name for name in folders if name not in PASSED_OVER]
                files += [Path(parent, name) for name in names if name.endswith(".py")]
                if len(files) > MOST_FILES:
                    break
        for file in files:
            try:
                status = file.stat()
            except OSError:
                continue
            found[str(file)] = (status.st_mtime_ns, status.st_size)
    return found


def watch(
    paths: Sequence[str | Path],
    check: Callable[[], None],
    *,
    every: float = 0.3,
    stop: threading.Event | None = None,
) -> None:
    """Calls `check` immediately and after every save, until `stop` is set (or Ctrl-C).

    A save counts as finished when nothing has changed for one round: editors write a file in several steps.
    """
    stop = stop or threading.Event()
    seen = state(paths)
    check()
    while not stop.wait(every):
        now = state(paths)
        if now == seen:
            continue
        while not stop.wait(every) and (again := state(paths)) != now:
            now = again
        if now and not stop.is_set():
            seen = now
            check()
