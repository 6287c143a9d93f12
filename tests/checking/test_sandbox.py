"""Values come through the sandbox as they are; operations do what probe.py says."""

import ctypes
import io
import os
import queue
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from handgrad.checking import sandbox as sandbox_module
from handgrad.checking.probe import Probe
from handgrad.checking.sandbox import Sandbox

from .conftest import PATIENT, call, imported

ROUND = """
import numpy as np

class Layer:
    def __init__(self, n, scale=1.0):
        self.params = {"weight": np.full((n,), scale)}
        self.W = [np.ones((2, 2)), np.zeros((2, 2))]
    def forward(self, x):
        self.x = x
        return self.params["weight"] * x

def same(x):
    return x

def change(x):
    x[0] = -1
    return x

def flags(x):
    return [bool(x.flags.writeable), bool(x.flags.c_contiguous), bool(x.flags.f_contiguous)]

def many():
    return {"a": 1, "b": [2.5, None, "text"], "c": (np.float32(3), True)}

def draw(init):
    return [init(2, 2), init(3, 1), init(2, 2)]

def fail():
    raise ValueError("not today")

def warn():
    return np.log(np.zeros(1))
"""


@pytest.mark.parametrize("fork", [True, False])
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "u1", "?", "c16", ">f8"])
def test_arrays_come_back_as_they_went(run, dtype, fork):
    x = (np.arange(24).reshape(2, 3, 4) % 7).astype(dtype)
    (seen,) = run(ROUND, imported(call("same", {"array": "x"}), arrays={"x": x}), fork=fork)
    assert seen.ok, seen.failure
    assert seen["y"].dtype == x.dtype.newbyteorder("=")
    np.testing.assert_array_equal(seen["y"], x)
    assert seen.values["y"].kind == "array"
    assert seen.values["y"].type == "ndarray"
    assert not seen.changed


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1, 1)])
def test_shapes_of_no_and_of_one_element(run, shape):
    (seen,) = run(ROUND, imported(call("same", {"array": "x"}), arrays={"x": np.ones(shape)}))
    assert seen["y"].shape == shape


def test_attributes_items_and_keys(run):
    (seen,) = run(
        ROUND,
        imported(
            {"op": "call", "path": ["h", "Layer"], "args": [3], "kwargs": {"scale": 2.0}, "as": "m"},
            {"op": "get", "path": ["m", "params", {"key": "weight"}], "as": "w"},
            {"op": "get", "path": ["m", "W", 1], "as": "W1"},
            {"op": "set", "path": ["m", "params", {"key": "weight"}], "value": {"array": "x"}, "in_place": False},
            {"op": "get", "path": ["m", "params"], "as": "p"},
            {"op": "set", "path": ["m", "W", 0], "value": 7.0, "in_place": True},
            {"op": "get", "path": ["m", "W", 0], "as": "W0"},
            {"op": "set", "path": ["m", "tag"], "value": "hello"},
            {"op": "get", "path": ["m", "tag"], "as": "tag"},
            {"op": "call", "path": ["m", "forward"], "args": [2.0], "as": "y"},
        ),
    )
    assert seen.ok, seen.failure
    assert seen.values["m"].kind == "object"
    assert seen.values["m"].type == "Layer"
    np.testing.assert_array_equal(seen["w"], [2, 2, 2])
    np.testing.assert_array_equal(seen["W1"], np.zeros((2, 2)))
    np.testing.assert_array_equal(seen.values["p"].items["weight"].array, np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(seen["W0"], np.full((2, 2), 7.0))
    assert seen.values["tag"].text == "hello"
    np.testing.assert_array_equal(seen["y"], 2 * np.arange(6.0).reshape(2, 3))


def test_values_of_every_kind(run):
    value = run(ROUND, imported(call("many")))[0].values["y"]
    assert (value.kind, value.length, list(value.items)) == ("dict", 3, ["a", "b", "c"])
    assert value.items["a"].kind == "number"
    assert value.items["a"].array == 1
    assert [item.kind for item in value.items["b"].items.values()] == ["number", "none", "text"]
    third = value.items["c"]
    assert (third.kind, third.items["0"].array.dtype, third.items["1"].kind) == ("tuple", np.float32, "bool")


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (None, [True, True, False]),
        ("read-only", [False, True, False]),
        ("strided", [True, False, False]),
        ("fortran", [True, False, True]),
    ],
)
def test_layouts(run, layout, expected):
    given = {"array": "x", **({"layout": layout} if layout else {})}
    (seen,) = run(ROUND, imported(call("flags", given, to="flags"), call("same", given)))
    assert [bool(v.array) for v in seen.values["flags"].items.values()] == expected
    np.testing.assert_array_equal(seen["y"], np.arange(6.0).reshape(2, 3))


def test_a_changed_input_is_noticed_and_when(run):
    seen, untouched = run(
        ROUND,
        imported(call("same", {"array": "x"}), call("change", {"array": "x"}), call("same", {"array": "x"}), name="a"),
        imported(call("change", {"fresh": "x"}), call("same", {"array": "x"}), name="b"),
    )
    assert seen.changed == {"x": 2}
    assert not untouched.changed
    assert untouched["y"][0, 0] == 0


def test_feeds_and_named_functions(run):
    arrays = {"a": np.ones((2, 2)), "b": np.zeros((3, 1))}
    fed, drawn = run(
        ROUND,
        imported(call("draw", {"feed": ["a", "b"]}), arrays=arrays, name="fed"),
        imported({"op": "seed", "value": 3}, call("draw", {"lambda": "normal"}), name="drawn"),
    )
    items = [value.array for value in fed.values["y"].items.values()]
    np.testing.assert_array_equal(items[0], np.ones((2, 2)))
    np.testing.assert_array_equal(items[1], np.zeros((3, 1)))
    np.testing.assert_array_equal(items[2], np.ones((2, 2)))
    state = np.random.RandomState(3)
    np.testing.assert_array_equal(drawn.values["y"].items["0"].array, state.normal(size=(2, 2)))


def test_an_exception_names_its_place_and_ends_its_probe_alone(run):
    first, second = run(
        ROUND, imported(call("fail"), call("same", 1.0, to="z"), name="a"), imported(call("same", 1.0), name="b")
    )
    assert first.failure is not None
    assert (first.failure.kind, first.failure.type, first.failure.message) == ("exception", "ValueError", "not today")
    assert (first.failure.file, first.failure.function, first.failure.operation) == ("h.py", "fail", 1)
    assert ROUND.splitlines()[first.failure.line - 1].strip() == 'raise ValueError("not today")'
    assert "z" not in first
    assert second.ok


def test_with_try_an_exception_is_a_value(run):
    (seen,) = run(ROUND, imported(call("fail", to="e", **{"try": True}), call("same", 1.0)))
    assert seen.ok
    assert seen.values["e"].kind == "exception"
    assert seen.values["e"].failure.type == "ValueError"
    assert seen["y"] == 1.0
    with pytest.raises(KeyError):
        seen["e"]


def test_warnings_come_with_their_line(run):
    (seen,) = run(ROUND, imported(call("warn")))
    assert seen["y"][0] == -np.inf
    assert [(w.type, w.file) for w in seen.warnings] == [("RuntimeWarning", "h.py")]
    assert "np.log" in ROUND.splitlines()[seen.warnings[0].line - 1]


COUNTER = "count = 0\ndef f():\n    global count\n    count += 1\n    return count\n"


@pytest.mark.parametrize("fork", [True, False])
def test_probes_share_a_process_unless_they_ask_for_a_fresh_one(run, fork):
    probes = [imported(call("f"), name=str(i), fresh=i == 2) for i in range(4)]
    assert [int(seen["y"]) for seen in run(COUNTER, *probes, fork=fork)] == [1, 2, 1, 3]


def test_modules_are_searched_in_the_given_folders(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "one.py").write_text("import two\nvalue = two.value + 1\n")
    (tmp_path / "two.py").write_text("value = 1\n")
    probe = Probe("p", [{"op": "import", "module": "one"}, {"op": "get", "path": ["one", "value"], "as": "v"}])
    with Sandbox(tmp_path, PATIENT) as sandbox:
        (seen,) = sandbox.run([probe], path=("deep/er", "."))
        assert seen["v"] == 2
        (lost,) = sandbox.run([probe])
        assert lost.failure.type == "ModuleNotFoundError"


TORCH = """
import torch
class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        return 2 * x + y
    @staticmethod
    def backward(ctx, dout):
        return 2 * dout, None
"""


def test_torch_functions_and_their_gradients(run):
    (seen,) = run(
        TORCH,
        imported(
            {"op": "let", "value": {"tensor": "x", "requires_grad": True}, "as": "x", "send": False},
            {"op": "call", "path": ["h", "Double", "apply"], "args": [{"path": ["x"]}, {"tensor": "x"}], "as": "y"},
            {"op": "call", "path": ["y", "backward"], "args": [{"tensor": "d"}]},
            {"op": "get", "path": ["x", "grad"], "as": "dx"},
            arrays={"d": np.full((2, 3), 3.0)},
            torch=True,
        ),
        torch=True,
    )
    assert seen.ok, seen.failure
    assert seen.values["y"].kind == "tensor"
    assert seen.values["y"].requires_grad
    np.testing.assert_array_equal(seen["y"], 3 * np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(seen["dx"], np.full((2, 3), 6.0))
    assert not seen.changed


def test_arrays_that_are_no_numbers_are_refused_before_anything_runs(run):
    with pytest.raises(TypeError, match="array o has dtype=object, expected numbers"):
        run(ROUND, imported(call("same", 1.0), arrays={"o": np.array([None])}))


ARRAY = {"kind": "array", "type": "ndarray", "array": 0}


@pytest.mark.parametrize(
    ("changed", "arrays", "match"),
    [
        ({"values": [["y", {"kind": "code", "type": "x"}]]}, 0, "value .*kind"),
        ({"values": [["y", {"kind": "list", "type": 7}]]}, 0, "text"),
        ({"values": [["y", ARRAY]]}, 0, "array is missing"),
        ({"values": [["y", {"kind": "array", "type": "ndarray"}]]}, 1, "array is missing"),
        ({"values": []}, 0, "a result is (left out|missing)"),
        ({"values": {}}, 0, "list"),
        ({"changed": {"x": 1.5}}, 0, "(number|integer)"),
        ({"changed": {"z": 0}}, 0, "input .*(changed|modified)"),
        ({"failure": {"kind": "mood", "type": "E", "message": "", "operation": 0}}, 0, "failure .*kind"),
        ({"failure": {"kind": "exception", "type": "E", "message": "", "operation": 9}}, 0, "stopped at an operation"),
    ],
)
def test_a_result_that_the_worker_never_sends_is_named(changed, arrays, match):
    probe = imported(call("same", {"array": "x"}))
    header = {"values": [["y", ARRAY]], "changed": {}, "failure": None, "warnings": [], **changed}
    with pytest.raises(sandbox_module.Tampering, match=match):
        sandbox_module.read_observation(header, [np.ones(2)] * arrays, probe)


@pytest.mark.parametrize(
    ("described", "body", "match"),
    [
        ({}, b"", "list"),
        ([["float", [1]]], bytes(8), "(type|dtype)"),
        ([["|S8", [1]]], bytes(8), "numbers"),
        ([["<f8", [-1]]], bytes(8), "negative size"),
        ([["<f8", [2]]], bytes(8), "array is larger than"),
        ([["<f8", [1]]], bytes(9), "(more|longer) than"),
    ],
)
def test_arrays_that_the_worker_never_sends_are_named(described, body, match):
    with pytest.raises(sandbox_module.Tampering, match=match):
        sandbox_module.read_arrays(described, body)


@pytest.mark.parametrize(
    ("message", "match"),
    [
        (bytes(28), "wr(itten|ote) to the (results|pipe)"),
        (b"t" * 16 + struct.pack("<IQ", 1 << 30, 0), "(more was sent than fits|too large)"),
        (b"t" * 16 + struct.pack("<IQ", 2, 0) + b"{", "(end in the middle|incomplete)"),
        (b"t" * 16 + struct.pack("<IQ", 2, 0) + b"[]", "dict"),
        (b"t" * 16 + struct.pack("<IQ", 2, 0) + b"{]", "cannot be read .JSONDecodeError"),
    ],
)
def test_messages_that_the_worker_never_sends_are_named(message, match):
    events = queue.SimpleQueue()
    sandbox_module._receive_results(io.BytesIO(message).read, b"t" * 16, events)
    kind, why = events.get()
    assert kind == "broken"
    assert re.search(match, why)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_what_the_kernel_has_is_used(available):
    """Else the tests of the means would be skipped where a means has broken."""
    unshare = shutil.which("unshare")
    flags = ["-mnpiuf"] if os.getuid() == 0 else ["-Umnpiuf"]
    if unshare and subprocess.run([unshare, *flags, "true"], capture_output=True, check=False).returncode == 0:
        assert "namespaces" in available
    if ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) > 0:
        assert "landlock" in available
    if Path("/proc/sys/kernel/seccomp/actions_avail").exists() and os.uname().machine in ("x86_64", "aarch64"):
        assert "seccomp" in available
    assert ("bubblewrap" in available) == (shutil.which("bwrap") is not None)


def test_what_keeps_it_in_is_said(run, available):
    run(ROUND, imported(call("same", 1.0)))
    best = {"bubblewrap", "seccomp"} if "bubblewrap" in available else available
    assert set(run.sandbox.used) == {*best, "limits"}
    assert run.sandbox.missed == ()
    run(ROUND, imported(call("same", 1.0)), means=())
    assert run.sandbox.used == ("limits",)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_what_fails_half_way_is_done_without_and_said(run, need, monkeypatch, tmp_path):
    """A kernel that gives namespaces but mounts nothing in them, as some containers have it."""
    need("landlock")
    broken = (
        (sandbox_module.HERE / "launch.py")
        .read_text()
        .replace("mount(None, ", 'raise OSError(1, "no")\n    mount(None, ')
    )
    (tmp_path / "launch.py").write_text(broken)
    (tmp_path / "worker.py").write_bytes((sandbox_module.HERE / "worker.py").read_bytes())
    monkeypatch.setattr(sandbox_module, "HERE", tmp_path)
    (seen,) = run(ROUND, imported(call("same", 1.0)), means=("namespaces", "landlock"))
    assert seen["y"] == 1.0
    assert run.sandbox.used == ("landlock", "limits")
    assert run.sandbox.missed == ("namespaces (the new root could not be mounted)",)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_what_the_kernel_refuses_is_done_without_and_said(run, need, monkeypatch, tmp_path):
    need("landlock")
    launch = (sandbox_module.HERE / "launch.py").read_text()
    assert launch.count("= 0x20000, ") == 1
    (tmp_path / "launch.py").write_text(launch.replace("= 0x20000, ", "= 0x1, "))  # no kernel knows this flag
    (tmp_path / "worker.py").write_bytes((sandbox_module.HERE / "worker.py").read_bytes())
    monkeypatch.setattr(sandbox_module, "HERE", tmp_path)
    (seen,) = run(ROUND, imported(call("same", 1.0)), means=("namespaces", "landlock"))
    assert seen["y"] == 1.0
    assert run.sandbox.used == ("landlock", "limits")
    assert run.sandbox.missed == ("namespaces (unshare: Invalid argument)",)
