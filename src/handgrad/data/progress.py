"""Display of download progress on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

Progress = Callable[[int, int], None]
"""Called with the received bytes and the total bytes."""


@contextmanager
def show_progress(label: str) -> Iterator[Progress]:
    """A `Progress` with the label `label` that is shown within the context."""
    if _is_terminal(sys.stderr):
        with _bar(label) as report:
            yield report
    else:
        yield _Lines(label)


def _is_terminal(stream: TextIO | None) -> bool:
    with suppress(OSError, ValueError):  # it is closed
        return stream is not None and stream.isatty()
    return False


@contextmanager
def _bar(label: str) -> Iterator[Progress]:
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(label, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


class _Lines:
    """A line at the start and one at each quarter."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.quarters = -1

    def __call__(self, done: int, total: int) -> None:
        quarters = 4 * done // max(total, 1)
        if quarters > self.quarters:
            self.quarters = quarters
            with suppress(OSError, ValueError):  # stderr is closed: the download continues
                if sys.stderr is not None:
                    print(f"{self.label}: {done / 1e6:.1f} of {total / 1e6:.1f} MB", file=sys.stderr, flush=True)
