"""Hand-ins of a few lines, and a way to run operations on them."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from handgrad.checking.probe import Observation, Probe
from handgrad.checking.sandbox import Limits, Sandbox

#: For a hand-in that hangs: short, so that it does not hold up the tests.
QUICK = Limits(seconds=1.0, total_seconds=30.0)
#: For all others: long, for a busy machine is slow.
PATIENT = Limits(seconds=30.0, total_seconds=120.0)

#: Some activations of the 2019 hand-in and nothing else: the other parts are missing.
SIGMOID = """
import numpy as np

class Activation:
    def __init__(self):
        self.state = None
    def __call__(self, x):
        return self.forward(x)

class Sigmoid(Activation):
    def forward(self, x):
        self.state = 1 / (1 + np.exp(-x))
        return self.state
    def derivative(self):
        return self.state * (1 - self.state)

class Tanh(Activation):
    def forward(self, x):
        self.state = np.tanh(x)
        return self.state
    def derivative(self):
        return 1 - self.state ** 2

class ReLU(Activation):
    def forward(self, x):
        self.state = np.maximum(x, 0)
        return self.state
    def derivative(self):
        return (self.state > 0) * 1.0

class SoftmaxCrossEntropy:
    def forward(self, x, y):
        self.y = y
        m = x.max(axis=1, keepdims=True)
        e = np.exp(x - m)
        self.p = e / e.sum(axis=1, keepdims=True)
        return (np.log(e.sum(axis=1)) + m[:, 0]) - (x * y).sum(axis=1)
    __call__ = forward
    def derivative(self):
        return self.p - self.y
"""


def imported(*operations, name="probe", **options) -> Probe:
    """A probe that imports `h` and goes on with these operations."""
    arrays = {"x": np.arange(6.0).reshape(2, 3), **options.pop("arrays", {})}
    return Probe(name, [{"op": "import", "module": "h", "send": False}, *operations], arrays, **options)


def call(name, *arguments, to="y", **options):
    return {"op": "call", "path": ["h", name], "args": list(arguments), "as": to, **options}


@pytest.fixture
def run(tmp_path):
    """run(source, *probes, means=..., limits=...) -> observations, of a hand-in with that text as `h.py`."""

    def run(source: str, *probes: Probe, limits: Limits = PATIENT, **options) -> list[Observation]:
        folder = tmp_path / f"handin{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "h.py").write_text(source)
        with Sandbox(folder, limits, **options) as sandbox:
            run.sandbox = sandbox
            return sandbox.run(probes or [imported(call("f"))])

    return run


def _has(means: str, folder: Path) -> bool:
    (folder / "h.py").write_text("")
    with Sandbox(folder, PATIENT, means=(means,)) as sandbox:
        return means in sandbox.used


@pytest.fixture(scope="session")
def available(tmp_path_factory) -> set[str]:
    """The means of this machine."""
    if sys.platform != "linux":
        return set()
    names = ("namespaces", "landlock", "seccomp", "bubblewrap")
    return {name for name in names if _has(name, tmp_path_factory.mktemp(name))}


@pytest.fixture
def need(available):
    def need(*means: str) -> tuple[str, ...]:
        if missing := [name for name in means if name not in available]:
            pytest.skip(f"this machine has no {', '.join(missing)}")
        return means

    return need


@pytest.fixture
def processes():
    """processes(name) -> those of this machine that have it, by prctl. They end with the test."""
    names = set()

    def named(name: str) -> list[int]:
        names.add(name)
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "comm").read_text().strip() == name:
                    found.append(int(process.name))
        return found

    yield named
    for process in (one for name in names for one in named(name)):
        os.kill(process, signal.SIGKILL)
