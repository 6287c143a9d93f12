"""What hostile and broken hand-ins do, each ending as a finding about the probe it happened in; the rest still runs."""

import contextlib
import os
import re
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import handgrad
from handgrad.checking import sandbox as sandbox_module
from handgrad.checking.probe import Probe
from handgrad.checking.sandbox import Limits, Sandbox

from .conftest import PATIENT, QUICK, call, imported

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="attacks are written for POSIX")

GOOD = "\ndef good(x):\n    return 2 * x\n"


def attacked(run, source, *arguments, kind, **options):
    """Runs `attack(*arguments)` between two good probes; the good ones must come through."""
    good = [imported(call("good", {"array": "x"}), name=name) for name in ("before", "after")]
    bad = imported(call("attack", *arguments), name="attack")
    options.setdefault("limits", QUICK if kind == "timeout" else PATIENT)
    before, seen, after = run(source + GOOD, good[0], bad, good[1], **options)
    for one in (before, after):
        assert one.ok, one.failure
        np.testing.assert_array_equal(one["y"], 2 * np.arange(6.0).reshape(2, 3))
    if kind is not None:
        assert seen.failure is not None, seen
        assert seen.failure.kind == kind, seen.failure
        assert seen.failure.operation == 1
        assert "y" not in seen
    return seen


# -- time -------------------------------------------------------------------------------------------------------------


def test_an_endless_loop_is_ended_and_its_line_named(run):
    source = "def attack():\n    n = 0\n    while True:\n        n += 1\n"
    seen = attacked(run, source, kind="timeout")
    assert seen.failure.file == "h.py"
    assert seen.failure.line in (3, 4)
    assert seen.failure.message == "not finished after 1 seconds"


@pytest.mark.parametrize("fork", [True, False])
@pytest.mark.parametrize(
    "source",
    [
        "def attack():\n    while True:\n        try:\n            while 1: pass\n        except BaseException: pass\n",
        "import signal\ndef attack():\n    signal.signal(signal.SIGALRM, signal.SIG_IGN)\n    while True: pass\n",
        "import re\ndef attack():\n    re.match('(a*)*b', 'a' * 60)\n",
    ],
    ids=["swallowed", "ignored", "in C"],
)
def test_a_loop_that_the_alarm_does_not_end_is_killed(run, source, fork):
    attacked(run, source, kind="timeout", fork=fork)


def test_a_hand_in_that_always_hangs_does_not_take_for_ever(run):
    probes = [imported(call("attack"), name=str(i)) for i in range(8)]
    begun = time.monotonic()
    limits = Limits(seconds=3.0, total_seconds=9.0)
    seen = run("def attack():\n    while True: pass\n", *probes, limits=limits)
    assert time.monotonic() - begun < 15
    assert {one.failure.kind for one in seen} == {"timeout", "not run"}
    assert seen[-1].failure.message == "the time limit of 9 seconds for the whole hand-in was reached"
    assert seen[2].failure.message == "not finished after 2 seconds"


def test_the_time_for_the_whole_hand_in_ends_a_probe_that_has_time_left(run):
    begun = time.monotonic()
    probes = [imported(call("attack"), name=name) for name in "ab"]
    seen = run("def attack():\n    while True: pass\n", *probes, limits=Limits(seconds=60.0, total_seconds=2.0))
    assert time.monotonic() - begun < 20
    assert [one.failure.kind for one in seen] == ["not run", "not run"]


def test_an_import_that_ends_the_process_is_tried_once(run):
    probes = [imported(call("f"), name=str(i)) for i in range(30)]
    begun = time.monotonic()
    seen = run("while True: pass\n", *probes, limits=QUICK)
    assert time.monotonic() - begun < 20  # thirty of them would take as many seconds
    assert {(one.failure.kind, one.failure.operation) for one in seen} == {("timeout", 0)}


# -- endings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fork", [True, False])
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import os\ndef attack():\n    os._exit(0)\n", r"the code ended the process \(exit code 0\)"),
        ("import os\ndef attack():\n    os._exit(7)\n", r"the code ended the process \(exit code 7\)"),
        ("import ctypes\ndef attack():\n    ctypes.string_at(0)\n", r"the process crashed \(SIGSEGV\)"),
        ("import os\ndef attack():\n    os.abort()\n", r"the process crashed \(SIGABRT\)"),
        ("import os\ndef attack():\n    os.kill(os.getpid(), 9)\n", r"the process crashed \(SIGKILL\)"),
    ],
)
def test_ending_the_process(run, source, message, fork):
    seen = attacked(run, source, kind="crash", fork=fork)
    assert re.search(message, seen.failure.message), seen.failure.message


@pytest.mark.parametrize("error", ["SystemExit(0)", "KeyboardInterrupt()", "GeneratorExit()", "RecursionError('deep')"])
def test_raising_what_is_no_exception(run, error):
    seen = attacked(run, f"def attack():\n    raise {error}\n", kind="exception")
    assert seen.failure.type == error.partition("(")[0]


def test_endless_recursion(run):
    seen = attacked(run, "def attack():\n    return attack()\n", kind="exception")
    assert seen.failure.type == "RecursionError"


def test_an_exception_that_raises_when_it_is_printed(run):
    source = "class E(Exception):\n    def __str__(self):\n        raise SystemExit\ndef attack():\n    raise E\n"
    assert attacked(run, source, kind="exception").failure.type == "E"


@pytest.mark.parametrize(
    "text", ["import torchvision_of_old\n", "1 / 0\n", "raise SystemExit\n", "def f(:\n", "import os; os._exit(0)\n"]
)
def test_crashes_while_importing(run, text):
    (seen,) = run(text)
    assert seen.failure is not None
    assert seen.failure.operation == 0


# -- processes --------------------------------------------------------------------------------------------------------

NAMED = """
import ctypes, os, time
def attack(name, double):
    started = 0
    for _ in range(20):
        if os.fork() == 0:
            if double:
                os.setsid()
                if os.fork():
                    os._exit(0)
            ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)
            while True:
                time.sleep(0.1)
        started += 1
    return started
"""


@pytest.mark.parametrize("double", [False, True])
def test_forks_are_refused_by_the_filter_of_calls(run, need, processes, double):
    name = f"hg-{os.getpid()}-f{double:d}"
    seen = attacked(run, NAMED, name, double, kind="exception", means=need("seccomp"))
    assert seen.failure.type == "PermissionError"
    assert not processes(name)


def test_forks_are_refused_by_the_limit_where_there_is_no_filter(run, need):
    seen = attacked(run, NAMED, "hg-limit", False, kind="exception", means=need("namespaces"))
    assert seen.failure.type == "BlockingIOError"


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_what_was_started_is_ended_even_with_no_means_at_all(run, processes, double):
    name = f"hg-{os.getpid()}-s{double:d}"
    assert attacked(run, NAMED, name, double, kind=None, means=())["y"] == 20
    deadline = time.monotonic() + 5
    while processes(name) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes(name)


@pytest.mark.parametrize(
    "how", ["os.system('true')", "subprocess.run(['/bin/true'])", "os.execv(sys.executable, ['python'])"]
)
def test_programs_cannot_be_started(run, need, how):
    source = f"import os, subprocess, sys\ndef attack():\n    return {how}\n"
    seen = attacked(run, source, kind=None, means=need("seccomp"))
    assert seen.failure is not None or seen["y"] != 0, seen


@pytest.mark.parametrize("target", ["os.getppid()", "1", "-1", "0"])
def test_no_other_process_can_be_killed(run, need, target):
    source = f"import os\ndef attack():\n    os.kill({target}, 9)\n"
    # Never without the namespaces: were the filter broken, this would end every process of whoever runs the tests.
    seen = attacked(run, source, kind="exception", means=need("namespaces", "seccomp"))
    assert seen.failure.type == "PermissionError"
    assert run.sandbox._process is None  # it was ended by us, in the end


def test_threads_are_allowed_and_end_with_the_session(run):
    source = """
import threading, time
def attack():
    def forever():
        while True:
            print("still here", flush=True)
    threading.Thread(target=forever, daemon=False).start()
    time.sleep(0.05)
    return 3
"""
    seen = attacked(run, source, kind=None)
    assert seen["y"] == 3


# -- output and results -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fork", [True, False])
def test_endless_output_is_ended(run, fork):
    source = "def attack():\n    while True:\n        print('x' * 10000)\n"
    limits = Limits(seconds=10.0, total_seconds=30.0, output=1 << 20)
    seen = attacked(run, source, kind="output", limits=limits, fork=fork)
    assert seen.failure.message == "it printed more than 1 MiB"
    assert 0 < len(seen.output) <= 4096


def test_what_was_printed_before_a_crash_is_kept_without_what_a_terminal_obeys(run):
    source = "import os\ndef attack():\n    print('\\x1b[2Jhello\\x07', flush=True)\n    os._exit(1)\n"
    seen = attacked(run, source, kind="crash")
    assert seen.output == "\ufffd[2Jhello\ufffd\n"


def test_prints_that_look_like_results_are_prints(run):
    source = """
import json, sys
def attack():
    head = json.dumps({"probe": "attack", "values": [["y", {"kind": "number", "type": "int", "array": 0}]],
                       "changed": {}, "failure": None, "warnings": [], "arrays": [["<i8", []]]}).encode()
    sizes = len(head).to_bytes(4, "little") + (8).to_bytes(8, "little")
    message = bytes(16) + sizes + head + (42).to_bytes(8, "little")
    for stream in (sys.stdout, sys.__stdout__, sys.stderr):
        stream.buffer.write(message)
        stream.flush()
    return 5
"""
    assert attacked(run, source, kind=None)["y"] == 5


WRITE = """
import os
def attack():
    for fd in range(3, 256):
        try:
            os.write(fd, {message})
        except OSError:
            pass
    return 1
"""


@pytest.mark.parametrize("message", ["b'junk' * 100", "bytes(28)", "b'x'"])
def test_writing_to_every_descriptor_is_tampering(run, message):
    attacked(run, WRITE.replace("{message}", message), kind="tampering")


FORGE = """
import gc, json, os, sys
def outbox():
    frame = sys._getframe()
    while frame:
        if "self" in frame.f_locals and hasattr(frame.f_locals["self"], "outbox"):
            return frame.f_locals["self"].outbox
        frame = frame.f_back
def attack(header, body):
    out = outbox()
    head = header.encode()
    data = out.token + len(head).to_bytes(4, "little") + len(body).to_bytes(8, "little") + head + body.encode()
    os.write(out.descriptor, data)
    return 1
"""
RESULT = '{"probe": "attack", "values": %s, "changed": {}, "failure": null, "warnings": [], "arrays": %s}'


@pytest.mark.parametrize(
    "header",
    [
        "[]",
        "{}",
        "null",
        '{"begin": "before", "operation": 1, "arrays": []}',
        "[" * 100000,
        '{"begin": "attack", "operation": 1e999, "arrays": []}',
        '{"probe": "after", "arrays": []}',
        RESULT % ("[]", "[]") * 2,
        RESULT % ('[["y", {"kind": "array", "type": "ndarray", "array": 0}]]', "[]"),
        RESULT % ('[["y", {"kind": "array", "type": "ndarray", "array": 0}]]', '[["<f8", [1000000000000]]]'),
        RESULT % ('[["y", {"kind": "array", "type": "ndarray", "array": 0}]]', '[["<f8", [-1]]]'),
        RESULT % ('[["y", {"kind": "array", "type": "ndarray", "array": 0}]]', '[["|O", [0]]]'),
        RESULT % ('[["y", {"kind": "array", "type": "ndarray", "array": 0}]]', '[["<U4", [0]]]'),
        RESULT % ('[["y", {"kind": "code", "type": "x"}]]', "[]"),
        RESULT % ('{"y": 1}', "[]"),
        RESULT.replace('"changed": {}', '"changed": {"z": 1}') % ("[]", "[]"),
    ],
)
def test_results_that_the_worker_would_never_send_are_tampering(run, header):
    attacked(run, FORGE, header, "", kind="tampering")


def test_a_result_without_the_token_is_tampering(run):
    attacked(run, FORGE.replace("out.token", "bytes(16)"), RESULT % ("[]", "[]"), "", kind="tampering")


def test_a_forged_result_can_only_say_what_is_compared_afterwards(run):
    """The honest limit: in one process with the worker it can send what it likes. It does not know the right answer."""
    header = RESULT % ('[["y", {"kind": "number", "type": "int", "array": 0}]]', '[["|u1", []]]')
    source = FORGE.replace("return 1", "os._exit(0)")
    seen = attacked(run, source, header, "*", kind=None)
    assert seen["y"] == ord("*")
    assert seen.seconds < 5


@pytest.mark.parametrize("fork", [True, False])
def test_closing_every_descriptor(run, fork):
    seen = attacked(run, "import os\ndef attack():\n    os.closerange(0, 256)\n    return 1\n", kind=None, fork=fork)
    assert seen.failure.kind in ("crash", "tampering")


@pytest.mark.parametrize(
    "tampering",
    [
        "json.dumps = lambda *a, **k: '{}'",
        "os.write = lambda *a: 0",
        "sys.modules.clear()",
        "builtins.len = lambda x: 0",
        "np.ascontiguousarray = lambda x: np.zeros(1)",
        "np.array_equal = np.allclose = lambda *a, **k: True",
        "np.ndarray.__eq__ = None",
        "import atexit; atexit.register(os._exit, 0)",
        "os._exit = lambda code: None",
        "import threading; threading.Thread(target=lambda: [time.sleep(0.01) for _ in iter(int, 1)]).start()",
        "sys.settrace(lambda *a: (_ for _ in ()).throw(SystemExit))",
        "import gc; [o.clear() for o in gc.get_objects() if type(o) is dict and 'kind' in o]",
        "sys.stdout.close(); sys.stderr.close()",
        "sys.stdout = sys.stderr = None",
    ],
)
def test_tampering_with_modules_never_gives_another_value(run, tampering):
    source = f"""
import builtins, json, os, sys, time
import numpy as np
def attack(x):
    try:
        {tampering}
    except TypeError:
        pass
    return x + 1
"""
    good = imported(call("good", {"array": "x"}), name="good", fresh=True)
    bad = imported(call("attack", {"array": "x"}), name="bad")
    seen, fine = run(source + GOOD, bad, good)
    np.testing.assert_array_equal(fine["y"], 2 * np.arange(6.0).reshape(2, 3))
    if seen.ok and "y" in seen and seen.get("y") is not None and seen["y"].shape == (2, 3):
        np.testing.assert_array_equal(seen["y"], np.arange(6.0).reshape(2, 3) + 1)
    else:
        assert seen.failure is not None or "ascontiguousarray" in tampering


# -- memory and disk --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fork", [True, False])
@pytest.mark.parametrize(
    "body",
    [
        "return np.ones((1 << 30,)).sum()",
        "return [bytearray(1 << 24) for _ in range(100)]",
        "import mmap\n    return [mmap.mmap(-1, 1 << 28).write(b'x') for _ in range(1)] + [mmap.mmap(-1, 1 << 31)]",
        "return np.broadcast_to(1.0, (1 << 20, 1 << 20))",
    ],
    ids=["one array", "many", "shared", "a view that claims to be large"],
)
def test_memory_is_limited(run, body, fork):
    source = f"import numpy as np\ndef attack():\n    {body}\n"
    limits = Limits(seconds=30.0, total_seconds=120.0, memory=128 << 20)
    seen = attacked(run, source, kind=None, fork=fork, limits=limits)
    assert seen.failure is not None
    assert seen.failure.kind in ("memory", "exception", "crash")
    assert seen.failure.kind == "memory" or "mmap" in body


def test_files_are_limited(run):
    source = "def attack():\n    with open('big', 'wb') as f:\n        for _ in range(64): f.write(bytes(1 << 20))\n"
    assert attacked(run, source, kind="exception").failure.type == "OSError"


@pytest.mark.parametrize("means", ["bubblewrap", "namespaces"])
def test_the_scratch_disk_is_limited(run, need, means):
    source = """
def attack():
    for i in range(64):
        with open(f'big{i}', 'wb') as f:
            for _ in range(16): f.write(bytes(1 << 20))
"""
    seen = attacked(run, source, kind="exception", means=need(means))
    assert "No space left" in seen.failure.message


def test_a_list_that_holds_itself(run):
    value = attacked(run, "def attack():\n    l = []\n    l.append(l)\n    return l\n", kind=None).values["y"]
    assert value.kind == "list"


# -- files, network, surroundings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("means", ["bubblewrap", "namespaces", "landlock"])
def test_files_outside_can_be_neither_read_nor_written(run, need, tmp_path, means):
    secret = tmp_path / "secret.txt"
    secret.write_text("the answer")
    tmp_path.chmod(0o755)
    reading = f"def attack():\n    return open({str(secret)!r}).read()\n"
    writing = f"def attack():\n    open({str(tmp_path / 'written')!r}, 'w').write('x')\n"
    for source in (reading, writing):
        seen = attacked(run, source, kind="exception", means=need(means))
        assert seen.failure.type in ("FileNotFoundError", "PermissionError", "OSError")
    assert not (tmp_path / "written").exists()
    assert attacked(run, reading, kind=None, means=()).values["y"].text == "the answer"  # that is, the test can fail


def test_it_has_a_folder_and_a_home_to_write_to(run):
    source = """
import os, pathlib, tempfile
def attack():
    open("here.txt", "w").write("one")
    pathlib.Path.home().joinpath("there.txt").write_text("two")
    with tempfile.TemporaryFile("w+") as f:
        f.write("three"); f.seek(0)
        return [open("here.txt").read(), (pathlib.Path.home() / "there.txt").read_text(), f.read()]
"""
    seen = attacked(run, source, kind=None)
    assert [v.text for v in seen.values["y"].items.values()] == ["one", "two", "three"]


@pytest.mark.parametrize("means", ["bubblewrap", "namespaces", "landlock", "seccomp"])
def test_there_is_no_network(run, need, means):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        connected = []

        def accept():
            with contextlib.suppress(OSError):
                connected.append(server.accept())

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        source = f"import socket\ndef attack():\n    socket.create_connection(('127.0.0.1', {port}), 1).close()\n"
        seen = attacked(run, source, kind="exception", means=need(means))
        assert seen.failure.type in ("PermissionError", "OSError", "ConnectionRefusedError")
        assert not connected
        assert attacked(run, source, kind=None, means=()).ok  # that is, the test can fail
        thread.join(5)
        assert connected
        connected[0][0].close()


@pytest.mark.parametrize("fork", [True, False])
def test_the_environment_tells_nothing(run, monkeypatch, fork):
    monkeypatch.setenv("HANDGRAD_TEST_SECRET", "token")
    source = "import os\ndef attack():\n    return dict(os.environ)\n"
    seen = attacked(run, source, kind=None, fork=fork)
    names = set(seen.values["y"].items)
    assert "HOME" in names
    assert not [name for name in names if "SECRET" in name or "HANDGRAD" in name]


def test_input_has_nothing_to_read(run):
    assert attacked(run, "def attack():\n    return input()\n", kind="exception").failure.type == "EOFError"


@pytest.mark.parametrize("means", ["bubblewrap", "namespaces", "landlock"])
def test_the_memory_of_other_processes_cannot_be_opened(run, need, means):
    source = "import os\ndef attack():\n    return open(f'/proc/{os.getppid()}/mem', 'rb').read(0)\n"
    seen = attacked(run, source, kind="exception", means=need(means))
    assert seen.failure.type in ("FileNotFoundError", "PermissionError", "NotADirectoryError")


# -- handgrad itself --------------------------------------------------------------------------------------------------

SOURCE = str(Path(handgrad.__file__).parent)
ABOVE = str(Path(SOURCE).parent)
ROUTES = {
    "import": "import handgrad",
    "a module of it": "import handgrad.nn.linear",
    "path": f"sys.path.insert(0, {ABOVE!r}); import handgrad",
    "no finders": f"del sys.meta_path[0]; sys.path.insert(0, {ABOVE!r}); import handgrad",
    "loader": f"util.spec_from_file_location('h2', {SOURCE + '/__init__.py'!r}).loader.exec_module(type(sys)('h2'))",
    "text": f"exec(open({SOURCE + '/nn/linear.py'!r}).read())",
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("means", ["bubblewrap", "namespaces", "landlock"])
def test_handgrad_is_not_there(run, need, route, means):
    source = f"import sys, types\nfrom importlib import util\ndef attack():\n    {ROUTES[route]}\n    return 1\n"
    seen = attacked(run, source, kind="exception", means=need(means))
    assert seen.failure.type in ("ModuleNotFoundError", "FileNotFoundError", "PermissionError"), seen.failure


@pytest.mark.parametrize("means", ["bubblewrap", "namespaces", "landlock"])
def test_a_hidden_folder_among_shown_ones(run, need, tmp_path, monkeypatch, means):
    """As where handgrad is installed beside numpy, and not from a checkout as for the tests."""
    for name in ("handgrad", "other"):
        (tmp_path / "site" / name).mkdir(parents=True)
        (tmp_path / "site" / name / "file.py").write_text("value = 1\n")
    (tmp_path / "site" / "handgrad.pth").write_text("text")
    shown, hidden = sandbox_module._visible(False)
    hidden = [*hidden, str(tmp_path / "site" / "handgrad"), str(tmp_path / "site" / "handgrad.pth")]
    monkeypatch.setattr(sandbox_module, "_visible", lambda allow: ([*shown, str(tmp_path / "site")], hidden))
    source = "def attack(path):\n    return open(path).read()\n"
    arguments = {"means": need(means)}
    assert attacked(run, source, str(tmp_path / "site/other/file.py"), kind=None, **arguments).values["y"].text
    seen = attacked(run, source, str(tmp_path / "site/handgrad/file.py"), kind="exception", **arguments)
    assert seen.failure.type in ("FileNotFoundError", "PermissionError")
    seen = attacked(run, source, str(tmp_path / "site/handgrad.pth"), kind=None, **arguments)
    assert seen.failure is not None or seen.values["y"].text == ""


def test_an_installed_handgrad_is_hidden(tmp_path, monkeypatch):
    for name in ("handgrad", "handgrad-1.0.dist-info", "handgrad_more", "numpy"):
        (tmp_path / "site-packages" / name).mkdir(parents=True)
    (tmp_path / "site-packages" / "_editable_impl_handgrad.pth").write_text("")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site-packages")])
    shown, hidden = sandbox_module._visible(False)
    assert str(tmp_path / "site-packages") in shown
    names = {Path(path).name for path in hidden if path.startswith(str(tmp_path))}
    assert names == {"handgrad", "handgrad-1.0.dist-info", "handgrad_more", "_editable_impl_handgrad.pth"}
    assert SOURCE in hidden
    assert sandbox_module._visible(True)[1] == []


def test_without_any_means_the_import_is_still_refused(run):
    for route in ("import", "a module of it", "path"):
        source = f"import sys\ndef attack():\n    {ROUTES[route]}\n"
        assert attacked(run, source, kind="exception", means=()).failure.type == "ModuleNotFoundError"


def test_handgrad_is_there_where_it_is_allowed(run):
    source = (
        "def attack():\n    import handgrad.nn\n    return handgrad.nn.ReLU().forward(__import__('numpy').ones(2))\n"
    )
    np.testing.assert_array_equal(attacked(run, source, kind=None, allow_handgrad=True)["y"], [1, 1])


# -- the checker's own side -------------------------------------------------------------------------------------------


def test_many_crashes_leave_nothing_behind(tmp_path, processes):
    (tmp_path / "h.py").write_text("import os\ndef f():\n    os._exit(1)\n")
    probes = [imported(call("f"), name=str(i)) for i in range(20)]
    before = threading.active_count()
    with Sandbox(tmp_path, PATIENT) as sandbox:
        base = sandbox._base
        assert {one.failure.kind for one in sandbox.run(probes)} == {"crash"}
        process = sandbox._process
    assert process.poll() is not None
    assert not base.exists()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_a_worker_that_was_killed_is_started_again(tmp_path):
    (tmp_path / "h.py").write_text("def f():\n    return 1\n")
    with Sandbox(tmp_path, PATIENT) as sandbox:
        assert sandbox.run([imported(call("f"))])[0]["y"] == 1
        sandbox._process.kill()
        sandbox._process.wait()
        first, second = sandbox.run([imported(call("f"), name="a"), imported(call("f"), name="b")])
        assert first.failure.kind == "crash"
        assert second["y"] == 1


def test_folders_that_cannot_be_entered_are_removed(tmp_path):
    (tmp_path / "h.py").write_text("import os\ndef f():\n    os.makedirs('a/b'); os.chmod('a', 0); return 1\n")
    with Sandbox(tmp_path, PATIENT, means=()) as sandbox:
        base = sandbox._base
        assert sandbox.run([imported(call("f"))])[0]["y"] == 1
    assert not base.exists()


def test_a_probe_of_another_module_goes_on_after_a_bad_import(tmp_path):
    (tmp_path / "bad.py").write_text("import os\nos._exit(3)\n")
    (tmp_path / "h.py").write_text("def f():\n    return 1\n")
    bad = Probe("bad", [{"op": "import", "module": "bad"}])
    with Sandbox(tmp_path, PATIENT) as sandbox:
        seen = sandbox.run([bad, imported(call("f")), Probe("again", [{"op": "import", "module": "bad"}])])
    assert [one.ok for one in seen] == [False, True, False]
    assert seen[2].failure.message == "the code ended the process (exit code 3)"
