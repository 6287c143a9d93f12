"""Runs a hand-in and sends arrays back. It judges nothing and does not contain the right answers.

The source of this file is sent to a bare interpreter (`python -I -S`) inside the sandbox. It imports the standard
library, NumPy and, on request, PyTorch. It never imports handgrad; handgrad imports a few helpers from it.

The process that runs this file is a *fork server*: it imports NumPy, but never runs code of the hand-in. For each
session (a list of probes) it forks a child, which runs the hand-in. The child has two pipes: one for results, and one
that replaces stdout and stderr. Only the fork server reports the exit status of the children. Without `fork` (Windows),
each process serves one session.

A message of the fork server is its length in 8 bytes, then JSON. A result is a 16-byte token that is new for each
session, the length of the header (4 bytes), the length of the body (8 bytes), the header in JSON, and the body: raw
arrays, one after the other. The token prevents accidents, not attacks: a hand-in shares its process with this code and
can read the token. It cannot fake the verdict, because the right answers are not in this process.
"""

import builtins
import contextlib
import ctypes
import errno
import importlib
import importlib.abc
import importlib.machinery
import io
import json
import os
import random
import select
import shutil
import signal
import socket
import struct
import sys
import time
import traceback
import types
import warnings

TOKEN = 16
MAX_ITEMS, MAX_DEPTH, MAX_TEXT = 64, 3, 1000
MAX_ARRAY_BYTES = 64 << 20
#: Maximum number of threads that a hand-in may start.
THREADS = 64

# The hand-in may replace functions of these modules, so the child keeps its own references.
_write, _exit, _clock, _dumps, _pack = os.write, os._exit, time.perf_counter, json.dumps, struct.pack


# -- imports ----------------------------------------------------------------------------------------------------------


class Blocked:
    """A finder that refuses to import these packages."""

    def __init__(self, names):
        self.names = frozenset(names)

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in self.names:
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)


class Packages:
    """A finder for installed packages. It is the last one, because their folders are not on `sys.path`.

    `-S` disables site-packages and its `.pth` files, so editable installs are not visible.
    """

    def __init__(self, folders):
        self.folders = folders

    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.PathFinder.find_spec(name, self.folders) if path is None else None


class StandIns(importlib.abc.Loader):
    """Replaces modules that the hand-in imports but that do not exist: helpers of the course, missing packages.

    Names can be imported from them and used as base classes. ModuleNotFoundError is raised only when a name is used.
    """

    def __init__(self, names):
        self.names = frozenset(names)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        top = module.__name__.partition(".")[0]

        class Missing(type):
            def __getattr__(cls, name):
                return attribute(name)

        def placeholder(name):
            def refuse(self, *_, **__):
                raise ModuleNotFoundError(f"No module named {top!r}", name=top)

            return Missing(name, (), {"__init__": refuse, "__module__": module.__name__})

        def attribute(name):
            if name.startswith("__"):
                raise AttributeError(name)
            return placeholder(name)

        module.__getattr__ = attribute


# -- code for NumPy 1 -------------------------------------------------------------------------------------------------

#: The prefix by which the checker recognises these warnings.
REMOVED = "removed in NumPy 2: "
ALIASES = {
    "float": float, "int": int, "object": object, "complex": complex, "float_": "float64", "complex_": "complex128",
    "Inf": "inf", "Infinity": "inf", "infty": "inf", "PINF": "inf", "NaN": "nan", "product": "prod",
    "cumproduct": "cumprod", "sometrue": "any", "alltrue": "all", "round_": "round", "trapz": "trapezoid",
    "row_stack": "vstack", "in1d": "isin",
}  # fmt: skip


def allow_numpy_1(numpy):
    """Makes code for NumPy 1 work, with a warning at each use, so that the rest of the hand-in can be judged."""
    if int(numpy.__version__.partition(".")[0]) < 2:
        return
    for name in ("zeros", "ones", "empty"):
        setattr(numpy, name, accept_none(getattr(numpy, name)))
    original = numpy.__getattr__

    def attribute(name):
        if name not in ALIASES:
            return original(name)
        warnings.warn(f"{REMOVED}np.{name}", FutureWarning, stacklevel=2)
        replacement = ALIASES[name]
        return getattr(numpy, replacement) if isinstance(replacement, str) else replacement

    numpy.__getattr__ = attribute


def seed_generators(numpy):
    """Makes `default_rng()` without a seed depend on `numpy.random.seed`, so that two objects that are created after
    the same seed have the same weights."""
    original = numpy.random.default_rng

    def default_rng(seed=None):
        return original(numpy.random.randint(2**31) if seed is None else seed)

    numpy.random.default_rng = default_rng


def accept_none(function):
    """Wraps np.zeros and similar functions so that they accept None as the shape."""

    def wrapper(shape=(), *args, **kwargs):
        if shape is None:
            text = f"{REMOVED}None as a shape, np.{function.__name__}(None); np.{function.__name__}(()) is the same"
            warnings.warn(text, FutureWarning, stacklevel=2)
            shape = ()
        return function(shape, *args, **kwargs)

    wrapper.__name__ = wrapper.__qualname__ = function.__name__
    return wrapper


# -- values -----------------------------------------------------------------------------------------------------------


class TimeUp(BaseException):
    """Raised by the alarm while the hand-in is running."""


class Outbox:
    """The results pipe of one session."""

    def __init__(self, descriptor, token):
        self.descriptor, self.token = descriptor, token

    def send(self, header, arrays=()):
        body = [data.tobytes() for data in arrays]
        head = _dumps({**header, "arrays": [[data.dtype.str, list(data.shape)] for data in arrays]}).encode()
        message = self.token + _pack("<IQ", len(head), sum(map(len, body))) + head + b"".join(body)
        view = memoryview(message)
        while view:
            view = view[_write(self.descriptor, view) :]


class Describer:
    """Converts values to JSON and a list of arrays."""

    def __init__(self, numpy, torch):
        self.numpy, self.torch, self.arrays = numpy, torch, []

    def __call__(self, value, depth=0):
        numpy = self.numpy
        type_name = type(value).__name__[:100]
        found = {"type": type_name}
        if value is None:
            return {**found, "kind": "none"}
        if isinstance(value, str):
            return {**found, "kind": "text", "text": value[:MAX_TEXT]}
        if isinstance(value, bool | numpy.bool_):
            return {**found, "kind": "bool", "array": self._keep(numpy.array(bool(value)))}
        if isinstance(value, int | float | complex | numpy.number):
            try:
                return {**found, "kind": "number", "array": self._keep(numpy.array(value))}
            except (OverflowError, TypeError):
                return {**found, "kind": "object"}
        if isinstance(value, numpy.ndarray):
            return {**found, **self._array(value)}
        if self.torch is not None and isinstance(value, self.torch.Tensor):
            plain = value.detach().cpu()
            if plain.dtype == self.torch.bfloat16:
                plain = plain.float()
            return {**found, **self._array(plain.numpy()), "kind": "tensor", "requires_grad": bool(value.requires_grad)}
        if isinstance(value, list | tuple | dict) and depth < MAX_DEPTH:
            kind = next(k for k in (list, tuple, dict) if isinstance(value, k)).__name__
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            items = []
            for position, (key, item) in enumerate(pairs):
                if position == MAX_ITEMS:
                    break
                items.append([str(key)[:100], self(item, depth + 1)])
            return {**found, "kind": kind, "length": len(value), "items": items}
        return {**found, "kind": "object"}

    def _array(self, value):
        if value.dtype.kind == "O":  # np.array([1.0, x.mean()], dtype=object) and similar: may contain only numbers
            try:
                value = self.numpy.array(value.tolist(), dtype=float)
            except (TypeError, ValueError):
                return {"kind": "object"}
            return {"kind": "array", "type": "object array", "array": self._keep(value)}
        if value.dtype.kind not in "biufc":
            return {"kind": "object"}
        return {"kind": "array", "array": self._keep(value)}

    def _keep(self, value):
        if value.nbytes > MAX_ARRAY_BYTES:
            raise MemoryError(f"an array of shape {value.shape} is too large to be checked")
        data = self.numpy.array(value, order="C", subok=False)  # a copy, as the hand-in may modify the array later
        data = data.astype(data.dtype.newbyteorder("<"), copy=False)
        if data.dtype.itemsize > 8 and data.dtype.kind == "f":  # the layout of long double differs between machines
            data = data.astype("<f8")
        if data.dtype.itemsize > 16:
            data = data.astype("<c16")
        self.arrays.append(data)
        return len(self.arrays) - 1


def failure_of(error, root, operation):
    """Describes an exception as JSON, with the location of the deepest frame in the files of the hand-in."""
    try:
        message = str(error)[:MAX_TEXT]
    except BaseException:
        message = ""
    kind = "memory" if isinstance(error, MemoryError) else "timeout" if isinstance(error, TimeUp) else "exception"
    found = {"kind": kind, "type": type(error).__name__[:100], "message": message, "operation": operation}
    for frame, line in traceback.walk_tb(error.__traceback__):
        name = frame.f_code.co_filename
        if name.startswith(root + os.sep):
            found.update(file=name[len(root) + 1 :], line=line, function=frame.f_code.co_name[:100])
    if isinstance(error, SyntaxError) and (name := str(error.filename or "")).startswith(root + os.sep):
        found.update(file=name[len(root) + 1 :], line=error.lineno)
    return found


# -- one probe --------------------------------------------------------------------------------------------------------


class Script:
    """Runs the operations of one probe."""

    def __init__(self, probe, arrays, numpy, torch, root, outbox):
        self.probe, self.numpy, self.torch, self.root, self.outbox = probe, numpy, torch, root, outbox
        self.arrays = arrays  # the originals; the hand-in only gets copies
        self.copies, self.tensors = {}, {}  # the copies that the hand-in got, by name
        self.changed = {}
        self.names = {"numpy": numpy, "builtins": builtins}
        if torch is not None:
            self.names["torch"] = torch
        self.describe = Describer(numpy, torch)
        self.values = []
        self.row = numpy.zeros(())  # the current row of `each`

    def run(self):
        failure = None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            deadline = _clock() + self.probe["seconds"]
            for position, operation in enumerate(self.probe["operations"]):
                self.outbox.send({"begin": self.probe["name"], "operation": position})
                try:
                    with alarm(deadline - _clock(), self.probe["seconds"]):
                        value = getattr(self, "do_" + operation["op"])(operation)
                        name = operation.get("as")
                        if name is not None:
                            self.names[name] = value
                            if operation.get("send", True):
                                self.values.append([name, self.describe(value)])
                except BaseException as error:
                    failure = failure_of(error, self.root, position)
                    if not operation.get("try") or failure["kind"] != "exception":
                        break
                    name = operation.get("as") or f"operation {position}"
                    self.values.append([name, {"kind": "exception", "type": failure["type"], "failure": failure}])
                    failure = None
                finally:
                    self.record_changes(position)
        return {
            "probe": self.probe["name"],
            "values": self.values,
            "changed": self.changed,
            "failure": failure,
            "warnings": [self.describe_warning(warning) for warning in list(caught)[:20]],
        }

    def describe_warning(self, warning):
        name = warning.filename
        inside = name.startswith(self.root + os.sep)
        return {
            "type": warning.category.__name__[:100],
            "message": str(warning.message)[:300],
            "file": name[len(self.root) + 1 :] if inside else "",
            "line": warning.lineno if inside else None,
        }

    def record_changes(self, position):
        for name, given in [*self.copies.items(), *self.tensors.items()]:
            plain = given if isinstance(given, self.numpy.ndarray) else given.detach().numpy()
            key = name if isinstance(name, str) else name[0]
            same = plain.shape == self.arrays[key].shape and plain.tobytes() == self.arrays[key].tobytes()
            if not same:
                self.changed.setdefault(key, position)

    # -- operations

    def do_import(self, operation):
        module = importlib.import_module(operation["module"])
        self.names[operation["module"]] = module
        return module

    def do_call(self, operation):
        arguments = [self.evaluate(a) for a in operation.get("args", ())]
        named = {key: self.evaluate(a) for key, a in operation.get("kwargs", {}).items()}
        return self.resolve(operation["path"])(*arguments, **named)

    def do_get(self, operation):
        return self.resolve(operation["path"])

    def do_each(self, operation):
        """Calls a function once per row of an array; returns the stacked results."""
        function, results = self.resolve(operation["path"]), []
        for row in self.arrays[operation["rows"]]:
            self.row = row
            self.seed(0)
            results.append(self.plain(function(*[self.evaluate(a) for a in operation["args"]])))
        return self.numpy.stack(results)

    def do_nudge(self, operation):
        """Calls a function for each entry of a stored array and each amount that is added to the entry."""
        try:
            target = self.resolve(operation["target"])
        except (LookupError, AttributeError):
            return None
        function, results = self.resolve(operation["path"]), []
        for index in self.numpy.ndindex(target.shape):
            original = target[index]
            for amount in operation["amounts"]:
                target[index] = original + amount
                self.seed(0)
                results.append(self.plain(function(*[self.evaluate(a) for a in operation["args"]])))
            target[index] = original
        return self.numpy.stack(results)

    def plain(self, value):
        if self.torch is not None and isinstance(value, self.torch.Tensor):
            value = value.detach().numpy()
        return self.numpy.array(value, dtype=float)

    def do_let(self, operation):
        return self.evaluate(operation["value"])

    def do_define(self, operation):
        module = types.ModuleType(operation["as"])
        given = [self.arrays[name].copy() for name in operation.get("give", ())]
        vars(module).update(self.names, np=self.numpy, given=given)
        exec(compile(operation["source"], "<checker>", "exec"), vars(module))
        return module

    def do_set(self, operation):
        *path, last = operation["path"]
        value = self.evaluate(operation["value"])
        if operation.get("in_place"):
            self.resolve(operation["path"])[...] = value
        elif isinstance(last, str):
            setattr(self.resolve(path), last, value)
        else:
            self.resolve(path)[last["key"] if isinstance(last, dict) else last] = value
        return value

    def do_seed(self, operation):
        self.seed(operation["value"])

    def seed(self, value):
        random.seed(value)
        self.numpy.random.seed(value)
        if self.torch is not None:
            self.torch.manual_seed(value)

    def resolve(self, path):
        value = self.names[path[0]]
        for step in path[1:]:
            if isinstance(step, str):
                value = getattr(value, step)
            else:
                value = value[step["key"] if isinstance(step, dict) else step]
        return value

    # -- expressions

    def evaluate(self, expression):
        if isinstance(expression, list):
            return [self.evaluate(item) for item in expression]
        if not isinstance(expression, dict):
            return expression
        if "array" in expression:
            return self.copy_of(expression["array"], expression.get("layout"))
        if "tensor" in expression:
            key = (expression["tensor"], bool(expression.get("requires_grad")))
            if key not in self.tensors:
                tensor = self.torch.from_numpy(self.arrays[key[0]].copy())
                self.tensors[key] = tensor.requires_grad_(key[1])
            return self.tensors[key]
        if "path" in expression:
            return self.resolve(expression["path"])
        if "tuple" in expression:
            return tuple(self.evaluate(item) for item in expression["tuple"])
        if "dict" in expression:
            return {self.evaluate(key): self.evaluate(value) for key, value in expression["dict"]}
        if "feed" in expression:
            return self.feed(expression["feed"])
        if "fresh" in expression:
            return self.arrays[expression["fresh"]].copy()
        if "row" in expression:
            value = self.row.copy()
            if expression["row"] == "tensor":
                return self.torch.from_numpy(value)
            return value if value.ndim else value.item()
        if "shaped" in expression:
            like = self.resolve(expression["like"])
            shape = tuple(like.shape) if hasattr(like, "shape") else ()
            value = self.numpy.resize(self.arrays[expression["shaped"]], shape)
            if expression.get("tensor"):
                return self.torch.from_numpy(self.numpy.array(value)).to(like.dtype)
            return value if value.ndim else value.item()
        if "lambda" in expression:
            numpy = self.numpy
            return {
                "normal": lambda *shape: numpy.random.normal(size=shape),
                "zeros": lambda *shape: numpy.zeros(shape),
            }[expression["lambda"]]
        raise ValueError(f"unknown expression {expression!r}")

    def feed(self, names):
        state = {"next": 0}

        def next_array(*_, **__):
            name = names[state["next"] % len(names)]
            state["next"] += 1
            return self.arrays[name].copy()

        return next_array

    def copy_of(self, name, layout=None):
        if name not in self.copies:
            original = self.arrays[name]
            if layout == "strided":
                shape = [2 * n for n in original.shape]
                view = self.numpy.full(shape, 77, original.dtype)[tuple(slice(None, None, 2) for _ in shape)]
                view[...] = original
            elif layout == "fortran":
                view = self.numpy.array(original, order="F")
            else:
                view = original.copy()
            if layout == "read-only":
                view.flags.writeable = False
            self.copies[name] = view
        return self.copies[name]


@contextlib.contextmanager
def alarm(left, seconds):
    """Raises TimeUp inside a loop that does not end, so that its line is known. A hand-in can disable this alarm. The
    checker therefore waits a little longer and then kills the process."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(_, __):
        raise TimeUp(f"not finished after {seconds:g} seconds")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(left, 0.01), 1)  # repeatedly: a bare except may swallow the first
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


# -- one session ------------------------------------------------------------------------------------------------------


def unpack(message, numpy):
    """Returns the header and the arrays of a message from the checker."""
    (length,) = struct.unpack_from("<I", message)
    header = json.loads(message[4 : 4 + length])
    offset = 4 + length
    arrays = []
    for dtype, shape in header["arrays"]:
        dtype = numpy.dtype(dtype)
        count = 1
        for n in shape:
            count *= n
        arrays.append(numpy.frombuffer(message, dtype, count, offset).reshape(shape))
        offset += count * dtype.itemsize
    return header, arrays


def run_session(message, results, config, numpy, torch):
    """Runs the probes of one session and sends one result for each. Stops after the first probe that exceeds a limit,
    because the state of the process is then unknown."""
    header, arrays = unpack(message, numpy)
    work = config["work"]
    sys.path[:0] = [work if name == "." else os.path.join(work, *name.split("/")) for name in header["path"]]
    outbox = Outbox(results, bytes.fromhex(header["token"]))
    stdout, stderr = sys.stdout, sys.stderr
    for probe in header["probes"]:
        own = {name: arrays[position] for name, position in probe["arrays"].items()}
        script = Script(probe, own, numpy, torch, config["work"], outbox)
        start = _clock()
        result = script.run()
        for stream in {stdout, stderr, sys.stdout, sys.stderr}:
            with contextlib.suppress(BaseException):
                stream.flush()
        result["seconds"] = _clock() - start
        outbox.send(result, script.describe.arrays)
        if result["failure"] and result["failure"]["kind"] in ("timeout", "memory"):
            break


def enter_session(results, output, config):
    """Prepares the child: no stdin, stdout and stderr into a pipe, the limits, and the system call filter."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for descriptor in (null, output):
        if descriptor > 2:
            os.close(descriptor)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, "rb", closefd=False))
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "wb", closefd=False), "utf-8", "replace", write_through=False)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "wb", closefd=False), "utf-8", "replace", write_through=True)
    os.set_inheritable(results, False)
    set_limits(config)
    if config["seccomp"]:
        restrict_calls()


def set_limits(config):
    with contextlib.suppress(ImportError):
        import resource

        def set_limit(name, value):
            if hasattr(resource, name):
                which = getattr(resource, name)
                hard = resource.getrlimit(which)[1]
                value = value if hard == resource.RLIM_INFINITY else min(value, hard)
                with contextlib.suppress(OSError, ValueError):
                    resource.setrlimit(which, (value, value))

        set_limit("RLIMIT_AS", config["base"] + config["memory"])
        set_limit("RLIMIT_FSIZE", config["file_size"])
        set_limit("RLIMIT_CORE", 0)
        set_limit("RLIMIT_CPU", int(config["total_seconds"]) + 5)
        set_limit("RLIMIT_NOFILE", 256)
        # Threads count as processes. If the filter forbids processes, this limit leaves room for some threads. Root is
        # not subject to it.
        set_limit("RLIMIT_NPROC", tasks_of_user() + THREADS if config["seccomp"] else 0)


def tasks_of_user():
    """The number of processes and threads of this user, which count towards the limit. It is 0 in a new namespace."""
    count = 0
    with contextlib.suppress(OSError):
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if entry.isdigit() and os.stat(f"/proc/{entry}").st_uid == os.getuid():
                    count += len(os.listdir(f"/proc/{entry}/task"))
    return count


def address_space(fallback):
    """The current address space of this process in bytes. The memory limit of a hand-in is added to it."""
    try:
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        pass
    try:
        return measured_address_space()
    except (ImportError, OSError, ValueError, MemoryError, AttributeError):
        return fallback


def measured_address_space():
    """The address space if there is no /proc: the smallest limit under which one more page can be mapped."""
    import resource

    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    failed = ctypes.c_void_p(-1).value
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    low, high = 0, 1 << 47
    try:
        while high - low > 1 << 20:
            middle = (low + high) // 2
            resource.setrlimit(resource.RLIMIT_AS, (middle, hard))
            page = libc.mmap(None, 4096, 0, 0x22, -1, 0)  # PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS
            if page == failed:
                low = middle
            else:
                libc.munmap(page, 4096)
                high = middle
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return high


# -- the filter of system calls (Linux) -------------------------------------------------------------------------------

#: The `ioctl` requests that Python makes for open files: TCGETS, FIONBIO, FIONREAD, FIONCLEX, FIOCLEX, TIOCGWINSZ. All
#: others are refused, as some of them change the flags of files that should be read-only.
IOCTLS = (0x5401, 0x5421, 0x541B, 0x5450, 0x5451, 0x5413)
#: The refused `fcntl` commands, which affect other processes: F_SETOWN, F_SETSIG, F_SETOWN_EX (signals), F_SETLEASE and
#: F_NOTIFY (users of the same file).
FCNTLS = (8, 10, 15, 1024, 1026)

#: machine -> (its AUDIT_ARCH constant, "call number call number ..."). These calls are refused with "not permitted".
#: They start or affect other processes, open sockets, mount file systems, load code into the kernel, or allocate memory
#: that no limit counts. Others change the owner, mode, times, attributes or size of a file by its name, which no other
#: mechanism prevents.
CALLS = {
    "x86_64": (
        0xC000003E,
        "fork 57 vfork 58 execve 59 execveat 322 socket 41 tkill 200 rt_sigqueueinfo 129 rt_tgsigqueueinfo 297 "
        "pidfd_open 434 pidfd_send_signal 424 pidfd_getfd 438 ptrace 101 process_vm_readv 310 process_vm_writev 311 "
        "process_madvise 440 kcmp 312 mount 165 umount2 166 pivot_root 155 chroot 161 unshare 272 setns 308 bpf 321 "
        "perf_event_open 298 io_uring_setup 425 io_uring_enter 426 io_uring_register 427 keyctl 250 add_key 248 "
        "request_key 249 userfaultfd 323 kexec_load 246 kexec_file_load 320 init_module 175 finit_module 313 "
        "delete_module 176 memfd_create 319 memfd_secret 447 shmget 29 msgget 68 semget 64 mq_open 240 "
        "open_by_handle_at 304 name_to_handle_at 303 open_tree 428 move_mount 429 fsopen 430 fsconfig 431 fsmount 432 "
        "fspick 433 mount_setattr 442 reboot 169 swapon 167 acct 163 quotactl 179 setsid 112 setpgid 109 "
        "personality 135 "
        "chmod 90 fchmod 91 fchmodat 268 fchmodat2 452 chown 92 fchown 93 lchown 94 fchownat 260 utime 132 utimes 235 "
        "futimesat 261 utimensat 280 setxattr 188 lsetxattr 189 fsetxattr 190 removexattr 197 lremovexattr 198 "
        "fremovexattr 199 setxattrat 463 removexattrat 466 file_setattr 469 truncate 76 mknod 133 mknodat 259 "
        "inotify_init 253 inotify_init1 294 inotify_add_watch 254 fanotify_init 300 fanotify_mark 301 setpriority 141 "
        "sched_setparam 142 sched_setscheduler 144 sched_setaffinity 203 sched_setattr 314 ioprio_set 251 "
        "migrate_pages 256 move_pages 279 set_mempolicy_home_node 450 process_mrelease 448 syslog 103 sethostname 170 "
        "setdomainname 171 swapoff 168 settimeofday 164 clock_settime 227 clock_adjtime 305 adjtimex 159 iopl 172 "
        "ioperm 173 vhangup 153 lookup_dcookie 212 modify_ldt 154 ioctl 16 fcntl 72 "
        "clone 56 clone3 435 kill 62 tgkill 234 prlimit64 302",
    ),
    "aarch64": (
        0xC00000B7,
        "execve 221 execveat 281 socket 198 tkill 130 rt_sigqueueinfo 138 rt_tgsigqueueinfo 240 pidfd_open 434 "
        "pidfd_send_signal 424 pidfd_getfd 438 ptrace 117 process_vm_readv 270 process_vm_writev 271 "
        "process_madvise 440 kcmp 272 mount 40 umount2 39 pivot_root 41 chroot 51 unshare 97 setns 268 bpf 280 "
        "perf_event_open 241 io_uring_setup 425 io_uring_enter 426 io_uring_register 427 keyctl 219 add_key 217 "
        "request_key 218 userfaultfd 282 kexec_load 104 kexec_file_load 294 init_module 105 finit_module 273 "
        "delete_module 106 memfd_create 279 memfd_secret 447 shmget 194 msgget 186 semget 190 mq_open 180 "
        "open_by_handle_at 265 name_to_handle_at 264 open_tree 428 move_mount 429 fsopen 430 fsconfig 431 fsmount "
        "432 fspick 433 mount_setattr 442 reboot 142 swapon 224 acct 89 quotactl 60 setsid 157 setpgid 154 "
        "personality 92 "
        "fchmod 52 fchmodat 53 fchmodat2 452 fchown 55 fchownat 54 utimensat 88 setxattr 5 lsetxattr 6 fsetxattr 7 "
        "removexattr 14 lremovexattr 15 fremovexattr 16 setxattrat 463 removexattrat 466 file_setattr 469 truncate 45 "
        "mknodat 33 inotify_init1 26 inotify_add_watch 27 fanotify_init 262 fanotify_mark 263 setpriority 140 "
        "sched_setparam 118 sched_setscheduler 119 sched_setaffinity 122 sched_setattr 274 ioprio_set 30 "
        "migrate_pages 238 move_pages 239 set_mempolicy_home_node 450 process_mrelease 448 syslog 116 sethostname 161 "
        "setdomainname 162 swapoff 225 settimeofday 170 clock_settime 112 clock_adjtime 266 adjtimex 171 vhangup 58 "
        "lookup_dcookie 18 ioctl 29 fcntl 25 "
        "clone 220 clone3 435 kill 129 tgkill 131 prlimit64 261",
    ),
}


def call_filter(machine, pid, threads=True):
    """Returns the filter as a BPF program, or None for an unknown machine."""
    if machine not in CALLS or sys.maxsize < 1 << 32:
        return None
    architecture, listed = CALLS[machine]
    words = listed.split()
    calls = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    load, equal, at_least, any_bit, ret = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse = 0x7FFF0000, 0x00050000 | errno.EPERM
    number, low_argument, second_argument = 0, 16, 24
    code = [(load, 0, 0, 4), (equal, 1, 0, architecture), (ret, 0, 0, refuse), (load, 0, 0, number)]
    if machine == "x86_64":  # the x32 interface has other numbers for the same calls
        code += [(at_least, 0, 1, 0x40000000), (ret, 0, 0, refuse)]
    for name, value in calls.items():
        if name == "clone" and threads:  # a thread is allowed, a process is not
            code += [(equal, 0, 4, value), (load, 0, 0, low_argument), (any_bit, 0, 1, 0x10000)]
            code += [(ret, 0, 0, allow), (ret, 0, 0, refuse)]
        elif name == "clone3":  # its flags are in memory, which a filter cannot read; libc then falls back to clone
            code += [(equal, 0, 1, value), (ret, 0, 0, 0x00050000 | errno.ENOSYS)]
        elif name in ("ioctl", "fcntl"):
            numbers = IOCTLS if name == "ioctl" else FCNTLS
            inside, outside = (allow, refuse) if name == "ioctl" else (refuse, allow)
            code += [(equal, 0, len(numbers) + 3, value), (load, 0, 0, second_argument)]
            code += [(equal, len(numbers) - i, 0, request) for i, request in enumerate(numbers)]
            code += [(ret, 0, 0, outside), (ret, 0, 0, inside)]
        elif name in ("kill", "tgkill", "prlimit64"):  # allowed for the process itself: abort() needs it
            code += [(equal, 0, 5, value), (load, 0, 0, low_argument), (equal, 2, 0, pid)]
            code += [(equal, 1 if name == "prlimit64" else 0, 0, 0), (ret, 0, 0, refuse), (ret, 0, 0, allow)]
        else:
            code += [(equal, 0, 1, value), (ret, 0, 0, refuse)]
    return [*code, (ret, 0, 0, allow)]


def restrict_calls():
    """Activates the filter for this process. Raises OSError if the kernel does not accept it."""
    # In a container without namespaces, a hand-in runs as root. No limit applies to root, so it gets no threads at all.
    code = call_filter(os.uname().machine, os.getpid(), threads=os.getuid() != 0)
    if code is None:
        raise OSError(errno.ENOSYS, "no filter for this machine")
    program = b"".join(struct.pack("=HBBI", *line) for line in code)
    buffer = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]
    if libc.prctl(38, 1, None, 0, 0):  # no new privileges
        raise OSError(ctypes.get_errno(), "no_new_privs")
    loaded = Program(len(code), ctypes.cast(buffer, ctypes.c_void_p).value)
    if libc.prctl(22, 2, ctypes.addressof(loaded), 0, 0):  # seccomp, filter
        raise OSError(ctypes.get_errno(), "seccomp")


def can_restrict_calls():
    """Tests in a child process whether the kernel accepts the filter."""
    if sys.platform != "linux":
        return False
    child = os.fork()
    if not child:
        status = 1
        with contextlib.suppress(BaseException):
            restrict_calls()
            status = 0
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# -- the fork server --------------------------------------------------------------------------------------------------


def read_exactly(count):
    data = bytearray()
    while len(data) < count:
        piece = os.read(0, min(count - len(data), 1 << 20))
        if not piece:
            os._exit(0)  # the checker has closed the connection
        data += piece
    return bytes(data)


def read_message():
    return read_exactly(int.from_bytes(read_exactly(8), "little"))


def send_message(**message):
    data = json.dumps(message).encode()
    with contextlib.suppress(BrokenPipeError):
        os.write(0, len(data).to_bytes(8, "little") + data)


def prepare(config):
    """Prepares the working copy and the import system; returns numpy and torch (or None)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # not dumpable: a child cannot read the memory of this process
    new_scratch(config)
    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, Blocked(config["blocked"]))
    sys.meta_path.append(Packages(config["packages"]))
    sys.meta_path.append(StandIns(config["stand_ins"]))
    import numpy

    allow_numpy_1(numpy)
    seed_generators(numpy)

    torch = None
    if config["torch"]:
        with contextlib.suppress(ModuleNotFoundError):
            torch = importlib.import_module("torch")
            torch.set_num_threads(1)
            # The first backward pass imports this, which takes a second. Imported here, all sessions share it.
            with contextlib.suppress(Exception):
                importlib.import_module("torch.fx.experimental.symbolic_shapes")
    main = types.ModuleType("__main__")  # the hand-in must not find the code of this file in `__main__`
    sys.modules["__main__"] = main
    sys.argv = [""]
    return numpy, torch


def new_scratch(config):
    """Restores the working folder, so that a session cannot leave files for the next one."""
    os.chdir("/" if os.name == "posix" else os.path.dirname(config["work"]))
    if config["handin"] != config["work"]:
        empty_folder(config["work"])
        shutil.copytree(config["handin"], config["work"], dirs_exist_ok=True, copy_function=shutil.copyfile)
    os.chdir(config["work"])


def empty_folder(folder):
    """Removes the contents of a folder of any depth. Only one folder is open at a time; `..` leads back up."""
    if os.name != "posix":
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.remove(path)
        return
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    above = []  # for each folder on the path: its name, and the remaining entries of its parent
    try:
        waiting = [name for name in os.listdir(here) if not try_remove(name, here)]
        while waiting or above:
            if waiting:
                name = waiting.pop()
                with contextlib.suppress(OSError):
                    os.chmod(name, 0o700, dir_fd=here)
                inside = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
                above.append((name, waiting))
                os.close(here)
                here = inside
                waiting = [name for name in os.listdir(here) if not try_remove(name, here)]
            else:
                outside = os.open("..", os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
                os.close(here)
                here = outside
                name, waiting = above.pop()
                os.rmdir(name, dir_fd=here)
    finally:
        os.close(here)


def try_remove(name, folder):
    """Removes a file, a link or an empty folder. Returns False for a folder that is not empty."""
    for remove in (os.unlink, os.rmdir):
        try:
            remove(name, dir_fd=folder)
            return True
        except OSError:
            pass
    return False


def main(config):
    """Serves sessions until the checker closes the connection."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # the hand-in must not inherit the limit of the checker
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    config = {**config, **json.loads(os.environ.pop("HANDGRAD_SANDBOX", "{}"))}
    numpy, torch = prepare(config)
    config["base"] = address_space((2 << 30) + (8 << 30 if torch else 0))
    if config["single"]:
        config["seccomp"] = False
        results = os.dup(1)
        message = read_message()
        enter_session(results, 2, config)
        run_session(message, results, config, numpy, torch)
        os._exit(0)
    config["seccomp"] = "seccomp" in config["means"] and can_restrict_calls()
    send_message(
        hello=True,
        means=[*config.get("used", []), *(["seccomp"] if config["seccomp"] else []), "limits"],
        missed=config.get("missed", []),
        numpy=numpy.__version__,
        torch=None if torch is None else str(torch.__version__),
    )
    control = socket.socket(fileno=0)
    used = False
    while True:
        command, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if not command:
            os._exit(0)
        if len(descriptors) != 2:
            continue  # a request to kill a session that has already ended
        results, output = descriptors
        message = read_message()
        if used:
            new_scratch(config)
        used = True
        child = os.fork()
        if not child:
            status = 1
            try:
                enter_session(results, output, config)
                control.detach()  # its descriptor is now /dev/null
                run_session(message, results, config, numpy, torch)
                status = 0
            except BaseException as error:
                with contextlib.suppress(BaseException):
                    _write(2, f"the session ended with {type(error).__name__}: {error}\n".encode())
            finally:
                _exit(status)
        os.close(results)
        os.close(output)
        del message
        status = wait_for(child, control)
        kill_strays()
        send_message(ended=status)


def wait_for(child, control):
    """Waits until the child has ended. Kills it if the checker requests it or closes the connection."""
    pause = 0.001
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)  # -1, because process 1 also adopts orphans
        if pid == child:
            return os.waitstatus_to_exitcode(status)
        if pid == 0:
            if select.select([control], [], [], pause)[0]:
                command = control.recv(1)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                if not command:
                    kill_strays()
                    os._exit(0)
            pause = min(pause * 1.5, 0.02)


def kill_strays():
    """Kills all processes that a session left behind. As process 1 of a namespace, these are all others. Otherwise they
    are its children, including adopted orphans, until none are left."""
    for _ in range(100):
        if os.getpid() == 1:
            with contextlib.suppress(OSError):
                os.kill(-1, signal.SIGKILL)
            left = []
        else:
            left = children()
            for child in left:
                with contextlib.suppress(OSError):
                    os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not left:
            return
        time.sleep(0.002)


def children():
    found = []
    with contextlib.suppress(OSError):
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{entry}/stat") as stream:
                    if int(stream.read().rpartition(")")[2].split()[1]) == os.getpid():
                        found.append(int(entry))
    return found


if __name__ == "__worker__":
    main(json.loads(read_message()))
