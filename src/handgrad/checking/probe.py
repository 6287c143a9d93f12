"""The interface between the contracts and the sandbox: `Probe` and `Observation`.

A `Probe` is a small script in JSON, with named arrays. The worker runs it on the hand-in and sends back values; it does
not judge them. An `Observation` contains these values. Contracts write probes and read observations, and know nothing
about processes. The sandbox does not know the right answers.

**Paths.** A path is a list that refers to a value: first a name (an imported module, a value stored with `as`, or one
of `numpy`, `builtins`, `torch`), then attributes (strings), positions (int) and keys (`{"key": "weight"}`):
`["mlp", "W", 0]`, `["layer", "grads", {"key": "weight"}]`.

**Expressions**, for arguments. Numbers, strings, booleans, None and lists represent themselves. In addition:

- `{"array": "x"}`: a copy of the probe's array x; the same object at each use within the probe. With `"layout"`:
  `read-only`, `strided` (every second element of a larger array, along all axes) or `fortran`.
- `{"fresh": "x"}`: a new copy of the array at each use.
- `{"tensor": "x", "requires_grad": True}`: the array as a torch tensor; the same object at each use with the same
  arguments.
- `{"path": [...]}`: the value at the path: a stored value, or a class or function of the hand-in.
- `{"tuple": [...]}`, `{"dict": [[key, value], ...]}`: a tuple or dict of expressions.
- `{"row": "array"}`: within `each`, the row of this call; `{"row": "tensor"}`: the same as a tensor. A row that is a
  single number is a float.
- `{"shaped": "dy", "like": [...]}`: the numbers of the array dy in the shape of the value at the path. They are
  repeated if there are too few (numpy's `resize`). With `"tensor": True`: as a tensor.
- `{"feed": ["w0", "w1"]}`: a function that ignores its arguments and returns copies of these arrays, one per call, over
  and over again.
- `{"lambda": "normal"}`: `normal(*shape)`, numpy's random normal of that shape; also `zeros`.

**Operations.** Each is a dict with `op`; `as` stores the value under a name and sends it back.

- `{"op": "import", "module": "hw1"}`: imports a module, and stores it under its full dotted name (or `as`).
- `{"op": "call", "path": [...], "args": [...], "kwargs": {...}, "as": "y"}`: calls a class, method or function.
- `{"op": "each", "rows": "x", "path": [...], "args": [...], "as": "ys"}`: calls a function once for each row of the
  array x and stacks the results. The random generators have the same seed before each call.
- `{"op": "nudge", "target": [...], "amounts": [...], "path": [...], "args": [...], "as": "ys"}`: for each entry of the
  array at `target` and each amount, adds the amount to the entry in place, calls the function, and restores the entry.
  Stacks the results; the value is None if there is no such array.
- `{"op": "get", "path": [...], "as": "dW0"}`: reads a value.
- `{"op": "set", "path": [...], "value": ...}`: assigns a value; with `"in_place": True`, writes into the existing
  array.
- `{"op": "let", "value": ..., "as": "t"}`: stores the value of an expression under a name.
- `{"op": "define", "source": "def f(x): ...", "as": "ours"}`: runs source code of the contract as a module (`ours.f` is
  the path `["ours", "f"]`). Its globals are all stored names, and numpy as `np`; nothing is sent back. With
  `"give": ["w0", ...]`, the global `given` is a list of copies of these arrays.
- `{"op": "seed", "value": 0}`: seeds numpy, random and (if it is loaded) torch.

With `"try": True`, an exception becomes a value of kind `exception` and the probe continues. Without it, the first
exception ends the probe. With `"send": False`, a value is stored but not sent back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Operation = dict[str, Any]

#: Why a probe did not complete. `exception`: the hand-in raised one. `timeout`, `memory`, `output`: a limit was
#: exceeded. `crash`: the process exited or was killed by a signal. `tampering`: the result was not written by the
#: worker. `not run`: no time was left.
FailureKind = Literal["exception", "timeout", "memory", "output", "crash", "tampering", "not run"]


@dataclass(frozen=True)
class Probe:
    """Operations that are run in order on the hand-in.

    Arguments:
        name: unique among the probes of one contract.
        operations: see the documentation of this module.
        arrays: inputs by name; any numeric dtype.
        fresh: whether it needs a new process in which no code of the hand-in has run. Other probes run in order in one
            process, and share the modules of the hand-in and their global state.
        apart: probes with the same non-empty string here share a separate process, which runs after all others. This is
            for probes that contain code which would give away the answer to other probes.
        torch: whether it needs PyTorch.
        seconds: its time limit, if it differs from the default.
    """

    name: str
    operations: Sequence[Operation]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    fresh: bool = False
    apart: str = ""
    torch: bool = False
    seconds: float | None = None


@dataclass(frozen=True)
class Failure:
    """Why a probe, or an operation with `try`, failed."""

    kind: FailureKind
    message: str
    """The message of the exception, or a description of what happened."""
    type: str = ""
    """The class of the exception, such as `ValueError`."""
    file: str = ""
    """The file of the deepest frame in the hand-in, relative to its folder; empty if no frame is in the hand-in."""
    line: int | None = None
    function: str = ""
    operation: int | None = None
    """The position of the operation in the probe."""

    def __str__(self) -> str:
        what = f"{self.type}: {self.message}" if self.type else self.message
        return f"{what} ({self.file}:{self.line})" if self.file else what


@dataclass(frozen=True)
class Value:
    """One value that was sent back.

    `kind` is `array`, `tensor`, `number` (int or float), `bool`, `none`, `text`, `list`, `tuple`, `dict`, `exception`,
    or `object` for everything else. `type` is the name of the class, such as `ndarray`, `float`, `matrix`.
    """

    kind: str
    type: str = ""
    array: np.ndarray | None = None
    """For `array`, `tensor`, `number`, `bool`: the value, 0-dimensional for numbers, in the dtype of the hand-in."""
    items: Mapping[str, Value] = field(default_factory=dict)
    """For `list`, `tuple`, `dict`: the items by position ("0", "1", ...) or by key as a string. At most 64 per level,
    and three levels."""
    length: int | None = None
    """For `list`, `tuple`, `dict`: the number of items."""
    text: str = ""
    """For `text`: at most 1000 characters."""
    failure: Failure | None = None
    """For `exception`."""
    requires_grad: bool = False
    """For `tensor`."""


@dataclass(frozen=True)
class Caught:
    """A Python warning."""

    type: str
    message: str
    file: str = ""
    line: int | None = None


@dataclass(frozen=True)
class Observation:
    """The result of one probe."""

    probe: str
    values: Mapping[str, Value] = field(default_factory=dict)
    changed: Mapping[str, int] = field(default_factory=dict)
    """Inputs that the hand-in modified: the name of the array, and the operation after which it first differed."""
    failure: Failure | None = None
    warnings: tuple[Caught, ...] = ()
    output: str = ""
    """The end of the output of its process, if a limit or a crash ended the process; otherwise empty."""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.failure is None

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __getitem__(self, name: str) -> np.ndarray:
        """The array of that name. Raises KeyError if there is none."""
        value = self.values.get(name)
        if value is None or value.array is None:
            raise KeyError(name)
        return value.array

    def get(self, name: str) -> np.ndarray | None:
        """The array of that name, or None."""
        value = self.values.get(name)
        return None if value is None else value.array
