"""Shared code of the tests of studies: a small plan, and processes that are killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from handgrad.search import Findings, Study, findings

#: Seconds of one run on a quiet core: a tenth.
TINY = {"dataset": "digits", "hidden_units": [8], "max_steps": 60, "eval_freq": 20, "checkpoint_seconds": 0}


_SEARCHING = """
from handgrad.search import Watcher, plan_from, search

class Printed(Watcher):
    def started(self, *about): print("started", flush=True)
    def ended(self, run, *about): print("ended", run, flush=True)
    def note(self, text): print(text, flush=True)

search(plan_from("s.toml"), watcher=Printed(), figures=False, **{options!r})
"""


def command(*arguments: str, cwd: Path) -> subprocess.Popen:
    """Runs `handgrad` with these arguments in a separate process group."""
    return _started(["-m", "handgrad", *arguments], cwd)


def searching(cwd: Path, **options: Any) -> subprocess.Popen:
    """A process that runs the search in s.toml without figures."""
    return _started(["-c", _SEARCHING.replace("{options!r}", repr(options))], cwd)


def _started(arguments: list[str], cwd: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def kill_children(process: subprocess.Popen, deaths: int, rng: random.Random, longest: float) -> int:
    """Kills random children of a process at random moments; returns the number, which is smaller if the process ends
    earlier."""
    done = 0
    while done < deaths and process.poll() is None:
        time.sleep(rng.uniform(0, longest))
        alive = children(process.pid)
        if alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(alive), signal.SIGKILL)
                done += 1
    return done


def values(found: Findings) -> dict[str, float | None]:
    """The value of each run."""
    return {result.run: result.value for row in found.rows for result in row.results}


def finals(study: Study) -> list[str]:
    """The runs of the completed trials, each once."""
    from handgrad.search.queue import is_final

    return [t.user_attrs["run"] for t in study.storage.get_all_trials(study.id) if is_final(t)]


__all__ = ["TINY", "Findings", "children", "command", "finals", "findings", "kill_children", "searching", "values"]
