"""The seam between the contracts and the sandbox: what is run on a hand-in, and what came of it.

A `Probe` is a little script in plain JSON with arrays by name. The worker runs it on the hand-in and sends back values;
it never judges. An `Observation` is what came back. Contracts write probes and read observations, and know nothing of
processes; the sandbox knows nothing of what is right.

**Paths.** A value is named by a list: first a name (a module that was imported, a value kept with `as`, or one of
`numpy`, `builtins`, `torch`), then attributes (text), positions (int) and keys (`{"key": "weight"}`):
`["mlp", "W", 0]`, `["layer", "grads", {"key": "weight"}]`.

**Expressions**, for arguments. Numbers, texts, booleans and None stand for themselves, and lists for lists; besides:

- `{"array": "x"}`: the probe's array x, a copy of its own for this probe; the same object each time it is named. With
  `"layout"`: `read-only`, `strided` (every second element of a larger array, along all axes) or `fortran`.
- `{"fresh": "x"}`: a new copy of the array at each use.
- `{"tensor": "x", "requires_grad": True}`: the array as a torch tensor; the same each time it is named so.
- `{"path": [...]}`: what the path names: a value kept earlier, or a class or function of the hand-in.
- `{"tuple": [...]}`, `{"dict": [[key, value], ...]}`: of expressions.
- `{"row": "array"}`: within `each`, the row of this call; `{"row": "tensor"}` as a tensor. A row that is one number is
  a float.
- `{"shaped": "dy", "like": [...]}`: the numbers of the array dy, one after the other and from the start again where
  they are too few, in the shape of what the path names (numpy's `resize`); with `"tensor": True` as a tensor.
- `{"feed": ["w0", "w1"]}`: a function that ignores its arguments and gives back copies of these arrays, one a call;
  after the last, the first again.
- `{"lambda": "normal"}`: `normal(*shape)`, numpy's random normal of that shape; also `zeros`.

**Operations.** Each is a dict with `op`; `as` keeps the value under a name and sends it back.

- `{"op": "import", "module": "hw1"}`: imports it, under its full dotted name (or `as`).
- `{"op": "call", "path": [...], "args": [...], "kwargs": {...}, "as": "y"}`: calls a class, method or function.
- `{"op": "each", "rows": "x", "path": [...], "args": [...], "as": "ys"}`: calls it once for each row of the array x and
  stacks the results; the generators are seeded alike before each call.
- `{"op": "nudge", "target": [...], "amounts": [...], "path": [...], "args": [...], "as": "ys"}`: moves each entry of
  the array that `target` names by each amount in turn, in place, calls, and stacks the results; None where there is
  none.
- `{"op": "get", "path": [...], "as": "dW0"}`: reads it.
- `{"op": "set", "path": [...], "value": ...}`: assigns; with `"in_place": True` writes into the array that is there.
- `{"op": "let", "value": ..., "as": "t"}`: keeps an expression's value under a name.
- `{"op": "define", "source": "def f(x): ...", "as": "ours"}`: runs source text of the contract's own as a module
  (`ours.f` is the path `["ours", "f"]`), with every kept name, and numpy as `np`, as globals; nothing is sent back.
  With `"give": ["w0", ...]` the global `given` is a list of copies of these arrays.
- `{"op": "seed", "value": 0}`: seeds numpy, random and (where it is loaded) torch.

With `"try": True` an operation that raises is kept as a value of kind `exception`, and the probe goes on; else the
first operation that raises ends the probe. With `"send": False` a value is kept but not sent back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Operation = dict[str, Any]

#: Why a probe did not reach its end. `exception`: the hand-in raised. `timeout`, `memory`, `output`: a limit.
#: `crash`: the process ended by itself or by a signal. `tampering`: what came back is not the worker's. `not run`:
#: no time was left.
FailureKind = Literal["exception", "timeout", "memory", "output", "crash", "tampering", "not run"]


@dataclass(frozen=True)
class Probe:
    """Operations that are run in order on the hand-in.

    Arguments:
        name: unique among the probes of one contract.
        operations: see above.
        arrays: inputs by name; any numeric dtype.
        fresh: run it in a process in which nothing of the hand-in has run before. Otherwise probes share one
        process, in
            order, and so the hand-in's modules and their global state.
        apart: probes with the same text here share a process of their own, which comes after all others: for those
            that bring code which would be an answer elsewhere.
        torch: it needs PyTorch.
        seconds: its own time limit, where the usual one does not do.
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
    """Why a probe, or one operation with `try`, did not go through."""

    kind: FailureKind
    message: str
    """The exception's own text, or what happened in words."""
    type: str = ""
    """The exception's class, such as `ValueError`."""
    file: str = ""
    """The deepest place in the hand-in's own code, relative to its folder; empty where it is not in the hand-in."""
    line: int | None = None
    function: str = ""
    operation: int | None = None
    """Its position in the probe."""

    def __str__(self) -> str:
        what = f"{self.type}: {self.message}" if self.type else self.message
        return f"{what} ({self.file}:{self.line})" if self.file else what


@dataclass(frozen=True)
class Value:
    """One value that came back.

    `kind`: `array`, `tensor`, `number` (int or float), `bool`, `none`, `text`, `list`, `tuple`, `dict`, `exception`, or
    `object` for everything else; `type` is the class's name, such as `ndarray`, `float`, `matrix`.
    """

    kind: str
    type: str = ""
    array: np.ndarray | None = None
    """For `array`, `tensor`, `number`, `bool`: the value, 0-dimensional for numbers. Its dtype is that of the
    hand-in."""
    items: Mapping[str, Value] = field(default_factory=dict)
    """For `list`, `tuple`: "0", "1", ...; for `dict`: its keys as text. At most 64 of them, three levels deep."""
    length: int | None = None
    """For `list`, `tuple`, `dict`: how many items there are."""
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
    """What came of one probe."""

    probe: str
    values: Mapping[str, Value] = field(default_factory=dict)
    changed: Mapping[str, int] = field(default_factory=dict)
    """Inputs that the hand-in changed: the array's name, and the operation after which it was seen first."""
    failure: Failure | None = None
    warnings: tuple[Caught, ...] = ()
    output: str = ""
    """The end of what was printed in its process, where a limit or a crash ended that; else empty."""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.failure is None

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __getitem__(self, name: str) -> np.ndarray:
        """The array of that name. Raises KeyError where there is none."""
        value = self.values.get(name)
        if value is None or value.array is None:
            raise KeyError(name)
        return value.array

    def get(self, name: str) -> np.ndarray | None:
        """The array of that name, or None."""
        value = self.values.get(name)
        return None if value is None else value.array
