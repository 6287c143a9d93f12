"""Runs probes on a hand-in in an isolated process and treats everything that the process sends as hostile.

The process runs `worker.py` on a bare interpreter. On Linux it is isolated by bubblewrap, or by kernel mechanisms that
`launch.py` sets up: namespaces, Landlock and a system call filter. On other systems there are only limits.
`Sandbox.used` lists the mechanisms in force, `Sandbox.missed` those that are not available.

If a hand-in ends its process, hangs or prints too much, only the current probe fails. The following probes run in a new
process.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import shutil
import signal
import site
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np

import handgrad
from handgrad.checking.folders import remove
from handgrad.checking.probe import Caught, Failure, Observation, Probe, Value
from handgrad.checking.results import printable
from handgrad.errors import HandgradError

MIB = 1 << 20
HERE = Path(__file__).parent
#: All isolation mechanisms, the best first. `limits` is always in force.
MEANS = ("bubblewrap", "namespaces", "landlock", "seccomp")
#: Reads the source of the worker from stdin and runs it, so that a hand-in cannot access any file of handgrad.
BOOT = """
import os
def read(n):
    data = b""
    while len(data) < n:
        piece = os.read(0, n - len(data))
        if not piece: raise SystemExit(3)
        data += piece
    return data
exec(compile(read(int.from_bytes(read(8), "little")), "<worker>", "exec"), {"__name__": "__worker__"})
"""
#: Maximum sizes of one result (header, body) and of all results of a session. Headers count `TEXT_WEIGHT` times,
#: because the Python objects made from them need that much more memory.
TOKEN, MAX_HEADER, MAX_BODY, MAX_RECEIVED, TEXT_WEIGHT = 16, 1 * MIB, 64 * MIB, 512 * MIB, 16


class SandboxError(HandgradError):
    """The worker cannot be started."""


@dataclass(frozen=True)
class Limits:
    """The resources that a hand-in may use.

    Arguments:
        seconds: time for each probe.
        total_seconds: time for all probes together.
        memory: bytes, in addition to the memory that Python, NumPy and PyTorch need.
        output: bytes that one process may print.
        file_size: maximum size in bytes of each file that the hand-in writes.
    """

    seconds: float = 10.0
    total_seconds: float = 60.0
    memory: int = 1024 * MIB
    output: int = 8 * MIB
    file_size: int = 32 * MIB


# -- reading results --------------------------------------------------------------------------------------------------


class Tampering(Exception):
    """A message that the worker cannot have sent."""


def clean(text: Any, most: int = 1000) -> str:
    """Truncates received text and removes everything that is not printable."""
    if not isinstance(text, str):
        raise Tampering("a result contains no text where text is expected")
    return printable(text[:most])


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**31) < value < 2**31:
        raise Tampering("a result contains no integer where an integer is expected")
    return value


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise Tampering(f"a result contains no {kind.__name__} where a {kind.__name__} is expected")
    return value


def _line(value: Any) -> int | None:
    return None if value is None else _integer(value)


def read_arrays(described: Any, body: bytes) -> list[np.ndarray]:
    """Reads the arrays of a message. All sizes are checked before memory is allocated."""
    arrays, offset = [], 0
    for entry in _checked(described, list):
        dtype_name, shape = entry
        if not isinstance(dtype_name, str) or len(dtype_name) > 4 or dtype_name[:1] not in "<|":
            raise Tampering("an array has an invalid dtype")
        dtype = np.dtype(dtype_name)
        if dtype.kind not in "biufc" or dtype.itemsize > 16:
            raise Tampering("an array does not contain numbers")
        count = 1
        for n in _checked(shape, list):
            if _integer(n) < 0:
                raise Tampering("an array has a negative size")
            count *= n
        if len(shape) > 32 or offset + count * dtype.itemsize > len(body):
            raise Tampering("an array is larger than the message")
        arrays.append(np.frombuffer(body, dtype, count, offset).reshape(shape).copy())
        offset += count * dtype.itemsize
    if offset != len(body):
        raise Tampering("the message is longer than its arrays")
    return arrays


def _failure(found: Any) -> Failure | None:
    if found is None:
        return None
    found = _checked(found, dict)
    if found["kind"] not in ("exception", "timeout", "memory"):
        raise Tampering("a failure has an unknown kind")
    location = {"file": clean(found.get("file", ""), 300), "function": clean(found.get("function", ""), 100)}
    operation = _integer(found["operation"])
    type_name, message = clean(found["type"], 100), clean(found["message"])
    if found["kind"] != "exception":
        type_name = ""
    return Failure(found["kind"], message, type_name, line=_line(found.get("line")), operation=operation, **location)


KINDS = {"array", "tensor", "number", "bool", "none", "text", "list", "tuple", "dict", "exception", "object"}


def _value(found: Any, arrays: list[np.ndarray], depth: int = 0) -> Value:
    kind = _checked(found, dict)["kind"]
    if kind not in KINDS or depth > 6:
        raise Tampering("a value has an unknown kind")
    array = None
    if "array" in found:
        position = _integer(found["array"])
        if not 0 <= position < len(arrays):
            raise Tampering("an array is missing")
        array = arrays[position]
    elif kind in ("array", "tensor", "number", "bool"):
        raise Tampering("an array is missing")
    items = {clean(key, 100): _value(item, arrays, depth + 1) for key, item in _checked(found.get("items", []), list)}
    return Value(
        kind,
        clean(found["type"], 100),
        array,
        items,
        _integer(found["length"]) if "length" in found else None,
        clean(found.get("text", "")),
        _failure(found.get("failure")),
        bool(found.get("requires_grad", False)),
    )


def read_observation(header: Mapping[str, Any], arrays: list[np.ndarray], probe: Probe) -> Observation:
    """Reads the observation in a message of the worker. Raises Tampering if the message is invalid."""
    changed = {clean(name, 100): _integer(at) for name, at in _checked(header["changed"], dict).items()}
    if not set(changed) <= set(probe.arrays):
        raise Tampering("an input is listed as modified that does not exist")
    failure = _failure(header["failure"])
    reached = len(probe.operations) if failure is None else failure.operation or 0
    if reached > len(probe.operations):
        raise Tampering("it stopped at an operation that does not exist")
    caught = [
        Caught(clean(w["type"], 100), clean(w["message"], 300), clean(w["file"], 300), _line(w["line"]))
        for w in _checked(header["warnings"], list)[:20]
    ]
    values = {clean(name, 100): _value(value, arrays) for name, value in _checked(header["values"], list)}
    requested = {each["as"] for each in probe.operations[:reached] if "as" in each and each.get("send", True)}
    if not requested <= set(values):
        raise Tampering("a result is missing")
    return Observation(probe.name, values, changed, failure, tuple(caught))


# -- reader threads ---------------------------------------------------------------------------------------------------


def _read_all(read: Callable[[int], bytes], count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = read(min(count - len(data), MIB))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def _receive_results(read: Callable[[int], bytes], token: bytes, events: queue.SimpleQueue) -> None:
    """Puts the event ("frame", (header, arrays)) for each message, then ("end", None) or ("broken", reason)."""
    left = MAX_RECEIVED
    try:
        while True:
            if not (first := read(TOKEN + 12)):
                events.put(("end", None))
                return
            start = first + _read_all(read, TOKEN + 12 - len(first))
            if not secrets.compare_digest(start[:TOKEN], token):
                raise Tampering("the code wrote to the pipe for results")
            head, body = struct.unpack_from("<IQ", start, TOKEN)
            left -= TEXT_WEIGHT * head + body
            if head > MAX_HEADER or body > MAX_BODY or left < 0:
                raise Tampering("the results are too large")
            header = json.loads(_read_all(read, head))
            arrays = read_arrays(_checked(header, dict)["arrays"], _read_all(read, body))
            events.put(("frame", (header, arrays)))
    except EOFError:
        events.put(("broken", "the results are incomplete"))
    except Tampering as error:
        events.put(("broken", str(error)))
    except (ValueError, TypeError, KeyError, RecursionError, MemoryError, OSError, OverflowError) as error:
        events.put(("broken", f"the results cannot be read ({type(error).__name__})"))


class _Output:
    """Reads the printed output, counts its bytes, and keeps the last 4096."""

    def __init__(self, read: Callable[[int], bytes], most: int, events: queue.SimpleQueue) -> None:
        self.tail, self.count, self.done = b"", 0, threading.Event()
        self._read, self._most, self._events = read, most, events

    def __call__(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while piece := self._read(1 << 16):
                if self.count <= self._most < self.count + len(piece):
                    self._events.put(("flood", None))
                self.count += len(piece)
                self.tail = (self.tail + piece)[-4096:]
        self.done.set()

    def text(self) -> str:
        return clean(self.tail.decode("utf-8", "replace"), 4096)


class _Stopwatch:
    """Measures elapsed seconds. Time during which this process was stopped or the machine was asleep does not count."""

    def __init__(self) -> None:
        self.seconds, self._last = 0.0, time.monotonic()

    def tick(self) -> float:
        now = time.monotonic()
        self.seconds += min(now - self._last, 0.5)
        self._last = now
        return self.seconds


def _background(target: Callable, *arguments: Any) -> None:
    threading.Thread(target=target, args=arguments, daemon=True).start()


# -- the sandbox ------------------------------------------------------------------------------------------------------


class Sandbox:
    """Runs one hand-in in isolation.

        with Sandbox(folder) as sandbox:
            observations = sandbox.run(probes)

    Arguments:
        folder: a copy of the hand-in that nothing else uses. It is made readable for all users.
        limits: limits on time, memory and other resources.
        torch: whether PyTorch is imported before the hand-in.
        allow_handgrad: whether the code may import handgrad. Only for trusted files: a hand-in could return the results
            of handgrad's own layers.
        means: the isolation mechanisms to use if they are available; see MEANS.
        leave: whether the working folder is not removed on exit, because the caller removes the temporary folder that
            contains it. Removing it can take long.
        fork: whether the worker forks a child for each session. Otherwise each process serves one session (Windows).
        stand_ins: modules that the hand-in imports. They are replaced by empty ones if they are not found.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits | None = None,
        *,
        torch: bool = False,
        allow_handgrad: bool = False,
        means: Sequence[str] = MEANS,
        leave: bool = False,
        fork: bool | None = None,
        stand_ins: Sequence[str] = (),
    ) -> None:
        self.leave, self.stand_ins = leave, tuple(stand_ins)
        self.folder, self.limits, self.torch, self.allow_handgrad = folder, limits or Limits(), torch, allow_handgrad
        self.means = tuple(means)
        self.fork = hasattr(os, "fork") and hasattr(socket, "send_fds") if fork is None else fork
        self.used: tuple[str, ...] = ("limits",)
        self.missed: tuple[str, ...] = ()
        self.versions: dict[str, str | None] = {}
        self._clock = _Stopwatch()
        self._timeouts = 0
        self._process: subprocess.Popen | None = None
        self._control: socket.socket | None = None
        self._replies: queue.SimpleQueue = queue.SimpleQueue()
        self._bad_imports: dict[str, Failure] = {}

    def __enter__(self) -> Sandbox:
        self._base = Path(tempfile.mkdtemp(prefix="handgrad-check-"))
        for name in ("root", "work"):
            (self._base / name).mkdir()
        for path in [self.folder, *self.folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        try:
            if self.fork:
                self._start()
            elif sys.platform != "win32":
                self.missed = ("namespaces, landlock and seccomp (not available with one process per session)",)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        if not self.leave:
            remove(self._base)

    # -- starting and stopping

    def _config(self) -> dict[str, Any]:
        torch = util.find_spec("torch") if self.torch else None
        folders = dict.fromkeys(_site_folders())
        if self.allow_handgrad:
            folders[str(Path(handgrad.__file__).parents[1])] = None
        return {
            "packages": list(folders),
            "blocked": [] if self.allow_handgrad else ["handgrad"],
            "stand_ins": list(self.stand_ins),
            "handin": str(self.folder),
            "work": str(self._base / "work"),
            "torch": torch is not None,
            "memory": self.limits.memory,
            "file_size": self.limits.file_size,
            "total_seconds": self.limits.total_seconds,
            "single": not self.fork,
            "means": list(self.means),
        }

    def _environment(self) -> dict[str, str]:
        threads = dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
        )
        kept = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
        work = str(self._base / "work")
        names = {"USER": "handin", "LOGNAME": "handin", "PATH": "/nowhere", "HOME": work, "TMPDIR": work}
        return {**kept, **threads, **names, "LANG": "C.UTF-8", "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1"}

    def _command(self) -> list[str]:
        return [_interpreter(), "-I", "-S", "-B", "-c", BOOT]

    def _attempts(self) -> Iterable[tuple[list[str], list[str]]]:
        """The commands to try, best first, each with the isolation mechanisms that it lacks."""
        missed: list[str] = []
        if sys.platform == "linux":
            shown, hidden = _visible(self.allow_handgrad)
            program = shutil.which("bwrap") if "bubblewrap" in self.means else None
            if program:
                yield self._bubblewrap(program, shown, hidden), missed
                missed = ["bubblewrap (it failed to start)"]
            means = [name for name in self.means if name in ("namespaces", "landlock")]
            config = {
                "means": means,
                "read": shown,
                "hide": hidden,
                "root": str(self._base / "root"),
                "handin": str(self.folder),
                "work": str(self._base / "work"),
                "environment": self._environment(),
                "command": self._command(),
            }
            launch = [_interpreter(), "-I", "-S", "-B", str(HERE / "launch.py")]
            yield [*launch, json.dumps(config)], missed
            if "namespaces" in means:
                missed = [*missed, "namespaces (the new root could not be mounted)"]
                yield [*launch, json.dumps({**config, "means": [m for m in means if m != "namespaces"]})], missed
        missed = [
            *missed,
            *(f"{name} (not on this system)" for name in ("namespaces", "landlock") if name in self.means),
        ]
        yield self._command(), missed

    def _bubblewrap(self, program: str, shown: list[str], hidden: list[str]) -> list[str]:
        arguments = [program, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
        for path in shown:
            if Path(path).is_symlink():
                arguments += ["--symlink", os.readlink(path), path]  # noqa: PTH115
                path = os.path.realpath(path)
            arguments += ["--ro-bind-try", path, path]
        for path in hidden:
            if any(path.startswith(f"{parent}/") for parent in shown) and Path(path).exists():
                arguments += ["--tmpfs", path] if Path(path).is_dir() else ["--ro-bind", "/dev/null", path]
        arguments += ["--ro-bind", str(self.folder), "/_handin", "--dev", "/dev"]
        arguments += ["--size", str(128 * MIB), "--tmpfs", "/_work"]
        report = {"used": ["bubblewrap"], "missed": [], "work": "/_work", "handin": "/_handin"}
        environment = {
            **self._environment(),
            "HOME": "/_work",
            "TMPDIR": "/_work",
            "HANDGRAD_SANDBOX": json.dumps(report),
        }
        arguments.append("--clearenv")
        for name, value in environment.items():
            arguments += ["--setenv", name, value]
        return [*arguments, "--chdir", "/_work", *self._command()]

    def _start(self) -> None:
        """Starts a worker with the best isolation that is available."""
        errors_seen = ""
        for command, missed in self._attempts():
            ours, theirs = socket.socketpair()
            log = self._base / "log"
            with log.open("wb") as errors, theirs:
                self._process = subprocess.Popen(
                    command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    env=self._environment(),
                    cwd=self._base,
                    start_new_session=True,
                )
            self._control, self._replies = ours, queue.SimpleQueue()
            _background(self._listen, ours, self._replies)
            source = (HERE / "worker.py").read_bytes()
            config = json.dumps(self._config()).encode()
            with contextlib.suppress(OSError):
                ours.sendall(_framed(source) + _framed(config))
                hello = self._reply(120.0)
                if hello and hello.get("hello"):
                    self.used = tuple(hello["means"])
                    absent = ["seccomp (not on this system)"] * ("seccomp" in self.means and "seccomp" not in self.used)
                    self.missed = (*missed, *hello["missed"], *absent)
                    self.versions = {"numpy": hello["numpy"], "torch": hello["torch"]}
                    return
            self._stop()
            errors_seen = log.read_text("utf-8", "replace").strip()[-500:]
        raise SandboxError(f"the process for hand-ins cannot be started: {errors_seen or 'no message'}")

    def _listen(self, control: socket.socket, replies: queue.SimpleQueue) -> None:
        """Receives the messages of the fork server. They can be trusted, because hand-ins cannot access this
        connection."""
        try:
            while True:
                length = int.from_bytes(_read_all(control.recv, 8), "little")
                replies.put(json.loads(_read_all(control.recv, min(length, MIB))))
        except (OSError, EOFError, ValueError):
            replies.put(None)

    def _reply(self, seconds: float) -> dict[str, Any] | None:
        stopwatch = _Stopwatch()
        while stopwatch.tick() < seconds:
            with contextlib.suppress(queue.Empty):
                return self._replies.get(timeout=0.1)
        return None

    @property
    def open(self) -> str:
        """One line about what a hand-in can do despite the isolation; empty with namespaces and the system call
        filter."""
        if not {"namespaces", "bubblewrap"}.isdisjoint(self.used):
            return "" if "seccomp" in self.used else "incomplete isolation without seccomp: see SECURITY.md"
        if "landlock" not in self.used:
            return "no isolation: a hand-in can read and write your files and use the network (SECURITY.md)"
        more = "" if "seccomp" in self.used else ", change file modes, file times and process priorities,"
        return (
            f"incomplete isolation without namespaces: a hand-in can see which files exist{more} and fill the disk "
            "(SECURITY.md)"
        )

    def restart(self) -> None:
        """Ends the processes. The next run starts new ones, which do not know what was sent to these."""
        self._stop()

    def _stop(self) -> None:
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)
            self._control.close()
            self._control = None
        if self._process is not None:
            _kill(self._process)
            self._process = None

    # -- running

    def run(self, probes: Sequence[Probe], path: Sequence[str] = (".",)) -> list[Observation]:
        """Runs all probes and returns one observation per probe, in order. Modules are first searched in `path`,
        relative to the folder of the hand-in."""
        found: dict[str, Observation] = {}
        shared = [probe for probe in probes if not probe.fresh and not probe.apart]
        alone = [[probe] for probe in probes if probe.fresh and not probe.apart]
        groups = dict.fromkeys(probe.apart for probe in probes if probe.apart)
        last = [[probe for probe in probes if probe.apart == group] for group in groups]
        for session in [shared, *alone, *last]:
            remaining = session
            while remaining:
                if (skipped := self._skipped(remaining[0])) is not None:
                    found[remaining[0].name] = skipped
                    remaining = remaining[1:]
                    continue
                for observation in self._session(remaining, path):
                    found[observation.probe] = observation
                    self._remember_bad_import(remaining[0], observation)
                    remaining = remaining[1:]
        return [found[probe.name] for probe in probes]

    def _skipped(self, probe: Probe) -> Observation | None:
        """The observation of a probe that is not run, because no time is left or its import is known to end the
        process; None if the probe has to be run."""
        if self._clock.seconds > self.limits.total_seconds:
            return Observation(probe.name, failure=Failure("not run", self._out_of_time()))
        for position, operation in enumerate(probe.operations):
            if operation["op"] == "import" and operation["module"] in self._bad_imports:
                return Observation(
                    probe.name, failure=replace(self._bad_imports[operation["module"]], operation=position)
                )
        return None

    def _remember_bad_import(self, probe: Probe, observation: Observation) -> None:
        failure = observation.failure
        if failure is None or failure.kind in ("exception", "not run") or failure.operation is None:
            return
        operation = probe.operations[failure.operation] if failure.operation < len(probe.operations) else {}
        if operation.get("op") == "import":
            self._bad_imports[operation["module"]] = failure

    def _session(self, probes: Sequence[Probe], path: Sequence[str]) -> list[Observation]:
        """Runs one process and returns the observations of the first probes, at least one."""
        token = secrets.token_bytes(TOKEN)
        seconds = [p.seconds or self.limits.seconds for p in probes]
        if self._timeouts >= 2:  # the hand-in hangs repeatedly, so wait less from now on
            seconds = [min(s, 2.0) for s in seconds]
        events: queue.SimpleQueue = queue.SimpleQueue()
        opened = self._open(_job(probes, seconds, token, path), token, events)
        if isinstance(opened, Failure):
            return [Observation(probes[0].name, failure=opened)]
        output, kill, ended = opened
        found: list[Observation] = []
        failure: Failure | None = None
        operation: int | None = None
        started = self._clock.tick()
        done = flooded = False
        while not done and failure is None:
            kind, payload = _next(events)
            now = self._clock.tick()
            probe = probes[len(found)] if len(found) < len(probes) else None
            try:
                if kind == "frame":
                    header, arrays = payload
                    if probe is None or header.get("begin", header.get("probe")) != probe.name:
                        raise Tampering("an unexpected result was sent")
                    if "begin" in header:
                        operation = _integer(header["operation"])
                    else:
                        found.append(replace(read_observation(header, arrays, probe), seconds=now - started))
                        started, operation, probe = now, None, None
                elif kind == "broken":
                    raise Tampering(payload)
                elif kind == "flood" and not flooded:  # results that were sent before it may still arrive
                    flooded = True
                    time.sleep(0.2)
                    events.put((kind, payload))
                elif kind == "flood":
                    failure = Failure("output", f"it printed more than {self.limits.output / MIB:g} MiB")
                done = kind == "end"
            except (Tampering, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
                failure = Failure(
                    "tampering", str(error) if isinstance(error, Tampering) else "a result cannot be read"
                )
            if failure is not None or done:
                continue
            if probe is not None and now - started > seconds[len(found)] + 2.0:  # the alarm in the worker had no effect
                failure = Failure("timeout", f"not finished after {seconds[len(found)]:g} seconds")
            elif probe is not None and now > self.limits.total_seconds:
                failure = Failure("not run", self._out_of_time())
            elif (
                len(found) == len(probes) and now - started > 5.0
            ):  # all results are here, but the process does not end
                break
        if not done:
            kill()
        status = ended()
        output.done.wait(0.5)
        last = found[-1].failure if found else None
        if failure is None and len(found) < len(probes) and not (last and last.kind in ("timeout", "memory")):
            failure = _crash(status)
        if failure is not None and operation is None and found and failure.kind != "not run":
            failure = None  # it failed between two probes: the next probe, which had not started, gets a new process
        if failure is not None and len(found) < len(probes):
            name, failure = probes[len(found)].name, replace(failure, operation=operation)
            duration = self._clock.tick() - started
            found.append(Observation(name, failure=failure, output=output.text(), seconds=duration))
        self._timeouts += sum(each.failure is not None and each.failure.kind == "timeout" for each in found)
        return found

    def _out_of_time(self) -> str:
        return f"the time limit of {self.limits.total_seconds:g} seconds for the whole hand-in was reached"

    def _open(self, job: bytes, token: bytes, events: queue.SimpleQueue):
        """Starts a session. Returns its output, a function that kills it, and one that waits for its exit status."""
        if not self.fork:
            return self._open_single(job, token, events)
        if self._process is None:
            self._start()
        assert self._control is not None
        results, results_write = os.pipe()
        printed, printed_write = os.pipe()
        try:
            socket.send_fds(self._control, [b"S"], [results_write, printed_write])
            self._control.sendall(_framed(job))
        except OSError:
            self._stop()
            os.close(results)
            os.close(printed)
            return Failure("crash", "the process for hand-ins was killed")
        finally:
            os.close(results_write)
            os.close(printed_write)
        output = _Output(lambda n: os.read(printed, n), self.limits.output, events)

        def receive() -> None:
            _receive_results(lambda n: os.read(results, n), token, events)
            os.close(results)

        def collect() -> None:
            output()
            os.close(printed)

        _background(receive)
        _background(collect)

        def kill() -> None:
            with contextlib.suppress(OSError):
                if self._control is not None:
                    self._control.sendall(b"K")

        def ended() -> int | None:
            reply = self._reply(5.0)
            if reply is None or "ended" not in reply:
                self._stop()
                return None
            return int(reply["ended"])

        return output, kill, ended

    def _open_single(self, job: bytes, token: bytes, events: queue.SimpleQueue):
        process = subprocess.Popen(
            self._command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment(),
            cwd=self._base,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        out, err = process.stdout.fileno(), process.stderr.fileno()
        output = _Output(lambda n: os.read(err, n), self.limits.output, events)
        _background(_receive_results, lambda n: os.read(out, n), token, events)
        _background(output)
        with contextlib.suppress(OSError):
            config = json.dumps(self._config()).encode()
            for part in ((HERE / "worker.py").read_bytes(), config, job):
                process.stdin.write(_framed(part))
            process.stdin.close()

        def ended() -> int | None:
            try:
                status = process.wait(5.0)
            except subprocess.TimeoutExpired:
                status = None
            self._stop()
            return status

        return output, lambda: _kill(process), ended


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little") + data


def _job(probes: Sequence[Probe], seconds: Sequence[float], token: bytes, path: Sequence[str]) -> bytes:
    described, body, listed = [], [], []
    for probe, limit in zip(probes, seconds, strict=True):
        positions = {}
        for name, array in probe.arrays.items():
            array = np.asarray(array)
            if array.dtype.kind not in "biufc":
                raise TypeError(f"probe {probe.name}: array {name} has dtype={array.dtype}, expected numbers")
            array = np.ascontiguousarray(array).reshape(array.shape)
            positions[name] = len(described)
            described.append([array.dtype.str, list(array.shape)])
            body.append(array.tobytes())
        listed.append({"name": probe.name, "operations": list(probe.operations), "arrays": positions, "seconds": limit})
    fields = {"token": token.hex(), "path": list(path), "arrays": described, "probes": listed}
    header = json.dumps(fields).encode()
    return struct.pack("<I", len(header)) + header + b"".join(body)


def _next(events: queue.SimpleQueue) -> tuple[str, Any]:
    try:
        return events.get(timeout=0.1)
    except queue.Empty:
        return "wait", None


def _crash(status: int | None) -> Failure:
    if status is None:
        return Failure("crash", "the process did not end and was killed")
    if status < 0:
        name = signal.Signals(-status).name if -status in {int(s) for s in signal.Signals} else f"signal {-status}"
        if name == "SIGXCPU":
            return Failure("timeout", "the CPU time limit was reached")
        return Failure("crash", f"the process crashed ({name})")
    return Failure("crash", f"the code ended the process (exit code {status})")


def _kill(process: subprocess.Popen) -> None:
    """Kills the process and its process group immediately. It has nothing to save."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5.0)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


# -- files that are visible to a hand-in ------------------------------------------------------------------------------


def _interpreter() -> str:
    """The interpreter itself, not the link in a virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)


def _site_folders() -> list[str]:
    numpy_home = str(Path(np.__file__).parents[1])
    listed = [numpy_home, *(p for p in [*sys.path, *site.getsitepackages()] if Path(p).name.endswith("-packages"))]
    return [path for path in dict.fromkeys(listed) if Path(path).is_dir()]


def _visible(allow_handgrad: bool) -> tuple[list[str], list[str]]:
    """Returns the paths that are visible (read-only), and the paths below them that are hidden: all installed copies of
    handgrad."""
    system = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/nix/store"]
    wanted = [_interpreter(), str(Path(sys.base_prefix, "lib").resolve()), *_site_folders(), *system]
    package = Path(handgrad.__file__).resolve().parent
    if allow_handgrad:
        wanted.append(str(package.parent))
    wanted = [path for path in dict.fromkeys(wanted) if os.path.lexists(path)]
    shown = [path for path in wanted if not any(path.startswith(f"{parent}/") for parent in wanted)]
    if allow_handgrad:
        return shown, []
    hidden = {str(package)}
    homes = {Path(found) for found in _site_folders()}
    homes |= {found for path in shown for found in Path(path).glob("python*/*-packages")}
    for home in homes:
        hidden |= {str(path) for name in ("handgrad*", "*handgrad*.pth") for path in home.glob(name)}
    return shown, sorted(hidden)
