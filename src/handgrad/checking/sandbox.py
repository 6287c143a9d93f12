"""Runs probes on a hand-in in an isolated process, and treats everything that it sends as hostile.

The process runs `worker.py` on a bare interpreter. On Linux it is isolated by bubblewrap, or by the kernel itself
(`launch.py`): namespaces, Landlock and a system call filter. Elsewhere there are only limits. `Sandbox.used` lists what
is in force, `Sandbox.missed` what is not.

If a hand-in ends its process, hangs or floods its output, only that probe is lost; the rest run in a new process.
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
#: All means of isolation, best first. `limits` is always on.
MEANS = ("bubblewrap", "namespaces", "landlock", "seccomp")
#: Reads the source of the worker from its connection and runs it, so that no file of ours is within reach of a hand-in.
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
#: Of one result and of a whole session. Text counts several times, as Python objects take that much more memory.
TOKEN, MOST_HEADER, MOST_BODY, MOST_RECEIVED, TEXT_WEIGHT = 16, 1 * MIB, 64 * MIB, 512 * MIB, 16
HALF_WAY = 97  # launch.py: namespaces were created, but the new root could not be mounted


class SandboxError(HandgradError):
    """The worker cannot be started."""


@dataclass(frozen=True)
class Limits:
    """What a hand-in may use.

    Arguments:
        seconds: time for one probe.
        total_seconds: time for all of them.
        memory: bytes, in addition to those of Python, NumPy and PyTorch.
        output: bytes printed by one process.
        file_size: bytes of each file that it writes.
    """

    seconds: float = 10.0
    total_seconds: float = 60.0
    memory: int = 1024 * MIB
    output: int = 8 * MIB
    file_size: int = 32 * MIB


# -- what came back ---------------------------------------------------------------------------------------------------


class Tampering(Exception):
    """A message is not one that the worker sends."""


def clean(text: Any, most: int = 1000) -> str:
    """Received text, truncated and made harmless."""
    if not isinstance(text, str):
        raise Tampering("a text is none")
    return printable(text[:most])


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**31) < value < 2**31:
        raise Tampering("a number is none")
    return value


def _entries(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise Tampering(f"a {kind.__name__} is none")
    return value


def _line(value: Any) -> int | None:
    return None if value is None else _integer(value)


def read_arrays(described: Any, body: bytes) -> list[np.ndarray]:
    """The arrays of a message; every size is checked before memory is allocated."""
    arrays, offset = [], 0
    for entry in _entries(described, list):
        dtype_name, shape = entry
        if not isinstance(dtype_name, str) or len(dtype_name) > 4 or dtype_name[:1] not in "<|":
            raise Tampering("an array's type is none")
        dtype = np.dtype(dtype_name)
        if dtype.kind not in "biufc" or dtype.itemsize > 16:
            raise Tampering("an array holds no numbers")
        count = 1
        for n in _entries(shape, list):
            if _integer(n) < 0:
                raise Tampering("an array has a negative size")
            count *= n
        if len(shape) > 32 or offset + count * dtype.itemsize > len(body):
            raise Tampering("an array is larger than what was sent")
        arrays.append(np.frombuffer(body, dtype, count, offset).reshape(shape).copy())
        offset += count * dtype.itemsize
    if offset != len(body):
        raise Tampering("there is more than was said")
    return arrays


def _failure(found: Any) -> Failure | None:
    if found is None:
        return None
    found = _entries(found, dict)
    if found["kind"] not in ("exception", "timeout", "memory"):
        raise Tampering("a failure of no kind")
    place = {"file": clean(found.get("file", ""), 300), "function": clean(found.get("function", ""), 100)}
    operation = _integer(found["operation"])
    type_name, message = clean(found["type"], 100), clean(found["message"])
    if found["kind"] != "exception":
        type_name = ""
    return Failure(found["kind"], message, type_name, line=_line(found.get("line")), operation=operation, **place)


KINDS = {"array", "tensor", "number", "bool", "none", "text", "list", "tuple", "dict", "exception", "object"}


def _value(found: Any, arrays: list[np.ndarray], depth: int = 0) -> Value:
    kind = _entries(found, dict)["kind"]
    if kind not in KINDS or depth > 6:
        raise Tampering("a value of no kind")
    array = None
    if "array" in found:
        position = _integer(found["array"])
        if not 0 <= position < len(arrays):
            raise Tampering("an array is missing")
        array = arrays[position]
    elif kind in ("array", "tensor", "number", "bool"):
        raise Tampering("an array is missing")
    items = {clean(key, 100): _value(item, arrays, depth + 1) for key, item in _entries(found.get("items", []), list)}
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
    """An observation from a message of the worker. Raises Tampering if it is anything else."""
    changed = {clean(name, 100): _integer(at) for name, at in _entries(header["changed"], dict).items()}
    if not set(changed) <= set(probe.arrays):
        raise Tampering("an input was changed that was never given")
    failure = _failure(header["failure"])
    reached = len(probe.operations) if failure is None else failure.operation or 0
    if reached > len(probe.operations):
        raise Tampering("it stopped at an operation that was never asked for")
    caught = [
        Caught(clean(w["type"], 100), clean(w["message"], 300), clean(w["file"], 300), _line(w["line"]))
        for w in _entries(header["warnings"], list)[:20]
    ]
    values = {clean(name, 100): _value(value, arrays) for name, value in _entries(header["values"], list)}
    asked = {each["as"] for each in probe.operations[:reached] if "as" in each and each.get("send", True)}
    if not asked <= set(values):
        raise Tampering("a result is left out")
    return Observation(probe.name, values, changed, failure, tuple(caught))


# -- reading in threads -----------------------------------------------------------------------------------------------


def _read_all(read: Callable[[int], bytes], count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = read(min(count - len(data), MIB))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def _receive_results(read: Callable[[int], bytes], token: bytes, events: queue.SimpleQueue) -> None:
    """Puts ("frame", (header, arrays)) for each message, then ("end", None) or ("broken", why)."""
    left = MOST_RECEIVED
    try:
        while True:
            if not (first := read(TOKEN + 12)):
                events.put(("end", None))
                return
            start = first + _read_all(read, TOKEN + 12 - len(first))
            if not secrets.compare_digest(start[:TOKEN], token):
                raise Tampering("something else was written to the results")
            head, body = struct.unpack_from("<IQ", start, TOKEN)
            left -= TEXT_WEIGHT * head + body
            if head > MOST_HEADER or body > MOST_BODY or left < 0:
                raise Tampering("more was sent than fits")
            header = json.loads(_read_all(read, head))
            arrays = read_arrays(_entries(header, dict)["arrays"], _read_all(read, body))
            events.put(("frame", (header, arrays)))
    except EOFError:
        events.put(("broken", "the results end in the middle"))
    except Tampering as error:
        events.put(("broken", str(error)))
    except (ValueError, TypeError, KeyError, RecursionError, MemoryError, OSError, OverflowError) as error:
        events.put(("broken", f"the results cannot be read ({type(error).__name__})"))


class _Output:
    """Reads and counts what is printed, and keeps the end."""

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


class _Patience:
    """Elapsed seconds, without those in which this process was stopped or the machine was asleep."""

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
    """A place to run one hand-in.

        with Sandbox(folder) as sandbox:
            observations = sandbox.run(probes)

    Arguments:
        folder: a copy of the hand-in that nothing else uses; it is made readable for everybody.
        limits: limits on time, memory and so on.
        torch: whether PyTorch is imported before the hand-in.
        allow_handgrad: whether the hand-in may import handgrad (which would give a perfect score): for our own files.
        means: which means to use if they are available; see MEANS.
        leave: whether its folder is left to the owner of the temporary folder around it, as removing it may take long.
        fork: whether the worker forks a child for each session; else one process serves one session (as on Windows).
        stand_ins: modules that the hand-in imports, replaced by empty ones if they are not found.
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
        self._clock = _Patience()
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
                self.missed = ("namespaces, landlock and seccomp (one process for each session)",)
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
        one = dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
        )
        kept = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
        work = str(self._base / "work")
        names = {"USER": "handin", "LOGNAME": "handin", "PATH": "/nowhere", "HOME": work, "TMPDIR": work}
        return {**kept, **one, **names, "LANG": "C.UTF-8", "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1"}

    def _command(self) -> list[str]:
        return [_interpreter(), "-I", "-S", "-B", "-c", BOOT]

    def _attempts(self) -> Iterable[tuple[list[str], list[str]]]:
        """Commands to try, best first, each with the means that it does without."""
        missed: list[str] = []
        if sys.platform == "linux":
            shown, hidden = _visible(self.allow_handgrad)
            program = shutil.which("bwrap") if "bubblewrap" in self.means else None
            if program:
                yield self._bubblewrap(program, shown, hidden), missed
                missed = ["bubblewrap (it did not start)"]
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
            if any(path.startswith(f"{one}/") for one in shown) and Path(path).exists():
                arguments += ["--tmpfs", path] if Path(path).is_dir() else ["--ro-bind", "/dev/null", path]
        arguments += ["--ro-bind", str(self.folder), "/_handin", "--dev", "/dev"]
        arguments += ["--size", str(128 * MIB), "--tmpfs", "/_work"]
        told = {"used": ["bubblewrap"], "missed": [], "work": "/_work", "handin": "/_handin"}
        environment = {
            **self._environment(),
            "HOME": "/_work",
            "TMPDIR": "/_work",
            "HANDGRAD_SANDBOX": json.dumps(told),
        }
        arguments.append("--clearenv")
        for name, value in environment.items():
            arguments += ["--setenv", name, value]
        return [*arguments, "--chdir", "/_work", *self._command()]

    def _start(self) -> None:
        """Starts a worker with the best means available."""
        trouble = ""
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
            trouble = log.read_text("utf-8", "replace").strip()[-500:]
        raise SandboxError(f"the process for hand-ins does not start: {trouble or 'no message'}")

    def _listen(self, control: socket.socket, replies: queue.SimpleQueue) -> None:
        """The messages of the nursery; they can be trusted, as no hand-in has this connection."""
        try:
            while True:
                length = int.from_bytes(_read_all(control.recv, 8), "little")
                replies.put(json.loads(_read_all(control.recv, min(length, MIB))))
        except (OSError, EOFError, ValueError):
            replies.put(None)

    def _reply(self, seconds: float) -> dict[str, Any] | None:
        patience = _Patience()
        while patience.tick() < seconds:
            with contextlib.suppress(queue.Empty):
                return self._replies.get(timeout=0.1)
        return None

    @property
    def open(self) -> str:
        """What the means in force leave open, in one line; empty with namespaces and the system call filter."""
        if not {"namespaces", "bubblewrap"}.isdisjoint(self.used):
            return "" if "seccomp" in self.used else "left open without seccomp: see SECURITY.md"
        if "landlock" not in self.used:
            return "left open: it can read, write and send what you can (SECURITY.md)"
        more = "" if "seccomp" in self.used else ", touch modes, times and priorities"
        return f"left open without namespaces: it can see which files exist{more} and fill the disk (SECURITY.md)"

    def restart(self) -> None:
        """Ends the processes; the next run starts new ones, which have not seen what these were sent."""
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
        """Runs all probes and returns an observation for each, in order; modules are first searched in `path`, relative
        to the folder of the hand-in."""
        found: dict[str, Observation] = {}
        shared = [probe for probe in probes if not probe.fresh and not probe.apart]
        alone = [[probe] for probe in probes if probe.fresh and not probe.apart]
        groups = dict.fromkeys(probe.apart for probe in probes if probe.apart)
        last = [[probe for probe in probes if probe.apart == group] for group in groups]
        for session in [shared, *alone, *last]:
            rest = session
            while rest:
                if (known := self._known(rest[0])) is not None:
                    found[rest[0].name] = known
                    rest = rest[1:]
                    continue
                for observation in self._session(rest, path):
                    found[observation.probe] = observation
                    self._learn(rest[0], observation)
                    rest = rest[1:]
        return [found[probe.name] for probe in probes]

    def _known(self, probe: Probe) -> Observation | None:
        """Probes that are not run: no time is left, or their import is known to end the process."""
        if self._clock.seconds > self.limits.total_seconds:
            return Observation(probe.name, failure=Failure("not run", self._over()))
        for position, operation in enumerate(probe.operations):
            if operation["op"] == "import" and operation["module"] in self._bad_imports:
                return Observation(
                    probe.name, failure=replace(self._bad_imports[operation["module"]], operation=position)
                )
        return None

    def _learn(self, probe: Probe, observation: Observation) -> None:
        failure = observation.failure
        if failure is None or failure.kind in ("exception", "not run") or failure.operation is None:
            return
        operation = probe.operations[failure.operation] if failure.operation < len(probe.operations) else {}
        if operation.get("op") == "import":
            self._bad_imports[operation["module"]] = failure

    def _session(self, probes: Sequence[Probe], path: Sequence[str]) -> list[Observation]:
        """Runs one process and returns the observations of the first probes, at least of one."""
        token = secrets.token_bytes(TOKEN)
        seconds = [p.seconds or self.limits.seconds for p in probes]
        if self._timeouts >= 2:  # it hangs repeatedly: wait less from now on
            seconds = [min(s, 2.0) for s in seconds]
        events: queue.SimpleQueue = queue.SimpleQueue()
        opened = self._open(_job(probes, seconds, token, path), token, events)
        if isinstance(opened, Failure):
            return [Observation(probes[0].name, failure=opened)]
        output, kill, ended = opened
        found: list[Observation] = []
        failure: Failure | None = None
        operation: int | None = None
        begun = self._clock.tick()
        done = flooded = False
        while not done and failure is None:
            kind, payload = _next(events)
            now = self._clock.tick()
            probe = probes[len(found)] if len(found) < len(probes) else None
            try:
                if kind == "frame":
                    header, arrays = payload
                    if probe is None or header.get("begin", header.get("probe")) != probe.name:
                        raise Tampering("a result came that was not asked for")
                    if "begin" in header:
                        operation = _integer(header["operation"])
                    else:
                        found.append(replace(read_observation(header, arrays, probe), seconds=now - begun))
                        begun, operation, probe = now, None, None
                elif kind == "broken":
                    raise Tampering(payload)
                elif kind == "flood" and not flooded:  # results sent earlier may still arrive
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
            if probe is not None and now - begun > seconds[len(found)] + 2.0:  # the alarm in the worker had no effect
                failure = Failure("timeout", f"not done after {seconds[len(found)]:g} seconds")
            elif probe is not None and now > self.limits.total_seconds:
                failure = Failure("not run", self._over())
            elif len(found) == len(probes) and now - begun > 5.0:  # everything arrived, but the process does not end
                break
        if not done:
            kill()
        status = ended()
        output.done.wait(0.5)
        last = found[-1].failure if found else None
        if failure is None and len(found) < len(probes) and not (last and last.kind in ("timeout", "memory")):
            failure = _crash(status)
        if failure is not None and operation is None and found and failure.kind != "not run":
            failure = None  # it happened after the last one: the next, which had not begun, gets a new process
        if failure is not None and len(found) < len(probes):
            name, failure = probes[len(found)].name, replace(failure, operation=operation)
            lasted = self._clock.tick() - begun
            found.append(Observation(name, failure=failure, output=output.text(), seconds=lasted))
        self._timeouts += sum(one.failure is not None and one.failure.kind == "timeout" for one in found)
        return found

    def _over(self) -> str:
        return f"the time for the whole hand-in, {self.limits.total_seconds:g} seconds, was over"

    def _open(self, job: bytes, token: bytes, events: queue.SimpleQueue):
        """Starts a session: its output, a way to kill it, and a way to wait for its exit status."""
        if not self.fork:
            return self._open_single(job, token, events)
        if self._process is None:
            self._start()
        assert self._control is not None
        results, results_there = os.pipe()
        printed, printed_there = os.pipe()
        try:
            socket.send_fds(self._control, [b"S"], [results_there, printed_there])
            self._control.sendall(_framed(job))
        except OSError:
            self._stop()
            os.close(results)
            os.close(printed)
            return Failure("crash", "the process for hand-ins was killed")
        finally:
            os.close(results_there)
            os.close(printed_there)
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
    told = {"token": token.hex(), "path": list(path), "arrays": described, "probes": listed}
    header = json.dumps(told).encode()
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
            return Failure("timeout", "the processor time was used up")
        return Failure("crash", f"the process crashed ({name})")
    return Failure("crash", f"the code ended the process (exit code {status})")


def _kill(process: subprocess.Popen) -> None:
    """Kills it and its process group immediately, as it has nothing to save."""
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


# -- what a hand-in may see of this machine ---------------------------------------------------------------------------


def _interpreter() -> str:
    """The interpreter itself, not the link of a virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)


def _site_folders() -> list[str]:
    numpy_home = str(Path(np.__file__).parents[1])
    listed = [numpy_home, *(p for p in [*sys.path, *site.getsitepackages()] if Path(p).name.endswith("-packages"))]
    return [path for path in dict.fromkeys(listed) if Path(path).is_dir()]


def _visible(allow_handgrad: bool) -> tuple[list[str], list[str]]:
    """Paths to show, read-only, and paths below them to hide: handgrad itself, wherever it is installed."""
    system = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/nix/store"]
    wanted = [_interpreter(), str(Path(sys.base_prefix, "lib").resolve()), *_site_folders(), *system]
    package = Path(handgrad.__file__).resolve().parent
    if allow_handgrad:
        wanted.append(str(package.parent))
    wanted = [path for path in dict.fromkeys(wanted) if os.path.lexists(path)]
    shown = [path for path in wanted if not any(path.startswith(f"{one}/") for one in wanted)]
    if allow_handgrad:
        return shown, []
    hidden = {str(package)}
    homes = {Path(found) for found in _site_folders()}
    homes |= {found for one in shown for found in Path(one).glob("python*/*-packages")}
    for home in homes:
        hidden |= {str(path) for name in ("handgrad*", "*handgrad*.pth") for path in home.glob(name)}
    return shown, sorted(hidden)
