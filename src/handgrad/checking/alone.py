"""Checks a hand-in in a separate process, with limits on memory and time like those of the hand-in.

The hand-in itself runs in another process, in the sandbox. This process unpacks the archive and reads the syntax trees
and the output of the sandbox. A hand-in can make this work arbitrarily large.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from handgrad.checking import checker, worker
from handgrad.checking.folders import own_folder
from handgrad.checking.results import Finding, Part, Report
from handgrad.checking.sandbox import Limits

MIB = 1 << 20
#: Memory and seconds for the checker itself, in addition to those for the hand-in.
OWN_MEMORY, OWN_SECONDS = 512 * MIB, 60.0
START = """
import json, sys
job = json.loads(sys.stdin.buffer.readline())
sys.path[:] = job.pop("sys.path")
from handgrad.checking.alone import serve
serve(job)
"""


def check_alone(path: str, options: Mapping[str, Any], stop: threading.Event | None = None) -> Report:
    """Returns a report, whatever the hand-in does to the checker.

    Arguments:
        path: the hand-in.
        options: those of `check`, including `limits`.
        stop: ends the check when it is set.
    """
    limits: Limits = options["limits"]
    told = {
        **options,
        "limits": asdict(limits),
        "path": path,
        "sys.path": [str(Path(p).absolute()) for p in sys.path],
    }
    seconds, begun = 2 * limits.total_seconds + OWN_SECONDS, time.monotonic()
    with own_folder() as folder:
        environment = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
        environment |= {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        try:
            found = _exchange(process, json.dumps(told).encode(), seconds, stop)
        finally:
            _end(process)
        if found is not None:
            return found
        if time.monotonic() - begun >= seconds:
            return too_much(path, f"reading the hand-in and comparing its results took more than {seconds:g} seconds")
        why = (folder / "log").read_text("utf-8", "replace").strip().rpartition("\n")[2][:300]
        evidence = f"the checking process ended without a report (exit code {process.returncode}) {why}".strip()
        return whole(path, Finding("checker-failed", evidence, "A fault of handgrad: please report it"))


def _exchange(process: subprocess.Popen, job: bytes, seconds: float, stop: threading.Event | None) -> Report | None:
    """Sends the job and waits for the report; the connection stays open so that the process notices our end."""
    assert process.stdin is not None
    assert process.stdout is not None
    received: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError, ValueError):
            received.append(process.stdout.read())  # type: ignore[union-attr]

    with contextlib.suppress(OSError):
        process.stdin.write(job + b"\n")
        process.stdin.flush()
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    until = time.monotonic() + seconds
    while reader.is_alive() and time.monotonic() < until and not (stop and stop.is_set()):
        reader.join(0.2 if stop else 1.0)
    if not received or not received[0]:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
        return None
    return report_of(json.loads(received[0]))


def _end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def report_of(found: dict[str, Any]) -> Report:
    """Restores a report from the output of `asdict` and JSON."""
    parts = tuple(
        Part(**{**part, "bugs": tuple(Finding(**bug) for bug in part["bugs"]), "notes": tuple(part["notes"])})
        for part in found["parts"]
    )
    return Report(**{**found, "parts": parts, "notes": tuple(found["notes"]), "sandbox": tuple(found["sandbox"])})


def whole(path: str, finding: Finding) -> Report:
    return Report(path, None, (Part(checker.WHOLE, "cannot judge", (finding,), finding.evidence),))


def too_much(path: str, evidence: str) -> Report:
    hint = "Hand in only the code, in files of the usual size."
    return whole(
        path, Finding("too-much", evidence, "Checking it takes too long or too much memory", "", None, hint, hint)
    )


def serve(job: dict[str, Any]) -> None:
    """Runs in the separate process: prints one report to stdout."""
    out, limits = os.fdopen(os.dup(1), "wb"), Limits(**job.pop("limits"))
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    path = job.pop("path")
    _limit(limits.memory + OWN_MEMORY)
    try:
        report = checker.check_here(path, limits=limits, **job)
    except (MemoryError, RecursionError) as error:
        report = too_much(
            path, f"reading the hand-in and comparing its results took too much memory ({type(error).__name__})"
        )
    out.write(json.dumps(asdict(report)).encode())
    out.close()
    os._exit(0)


def _end_with_parent() -> None:
    """Ends this process, and what it started, if the caller was killed and nobody reads the report."""
    while os.read(0, 1 << 16):
        pass
    os._exit(3)


def _limit(more: int) -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        most = worker.address_space(2 << 30) + more
        resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
