"""Work arrays: lent and reused inside an engine, fresh ones elsewhere."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from handgrad._typing import Array, Shaped
from handgrad.kernels.memory import empty

Plan = TypeVar("Plan")


@runtime_checkable
class Workspace(Protocol):
    """Where a kernel takes the arrays that it writes its results to."""

    def empty(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[Array, "..."]:
        """An uninitialised array; `name` tells the kernel's work arrays apart."""
        ...

    def scratch(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[Array, "..."]:
        """Like `empty`, for what nobody needs once the call is over: an engine lends all kernels the same memory."""
        ...

    def plan(self, prepare: Callable[..., Plan], *on: Any) -> Plan:
        """What `prepare(*on)` returns: all that can be settled before work on just these arrays begins (checks, memory
        for the results, views, or a function that needs no more arguments). An engine, whose arrays stay where they
        are from step to step, has it prepared once."""
        ...


class FreshWorkspace:
    """Every array is new: whatever a kernel returned stays as it was when the kernel is called again."""

    def empty(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[Array, "..."]:
        return np.empty(shape, dtype)

    def scratch(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[Array, "..."]:
        return np.empty(shape, dtype)

    def plan(self, prepare: Callable[..., Plan], *on: Any) -> Plan:
        return prepare(*on)


FRESH = FreshWorkspace()


def empty_like(work: Workspace, name: str, x: Shaped[Array, "..."], dtype: np.dtype | None = None):
    """A work array of the shape of `x` whose axes lie in memory as those of `x` do.

    Images may come as `(N, C, H, W)` with the channels last in memory; element by element work is quick, and keeps them
    so, when what it writes lies alike.
    """
    if x.ndim == 4 and not x.flags.c_contiguous and x.transpose(0, 2, 3, 1).flags.c_contiguous:
        n, c, h, w = x.shape
        return work.empty(name, (n, h, w, c), dtype or x.dtype).transpose(0, 3, 1, 2)
    return work.empty(name, x.shape, dtype or x.dtype)


class ReusedWorkspace:
    """One piece of memory a name, grown when a larger array is asked for and lent again at every call.

    What a kernel returned is overwritten when it runs again: only an engine, which is done with a step's arrays
    when the next step begins, hands these out.
    """

    def __init__(self, shared: ReusedWorkspace | None = None) -> None:
        self._shared = shared
        self._memory: dict[str, np.ndarray] = {}
        self._arrays: dict[tuple[str, tuple[int, ...], np.dtype], np.ndarray] = {}
        self._plans: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def empty(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[Array, "..."]:
        key = (name, shape, dtype)
        array = self._arrays.get(key)
        if array is None:
            array = self._arrays[key] = self._carve(name, shape, np.dtype(dtype))
        return array

    def scratch(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[Array, "..."]:
        return (self._shared or self).empty(name, shape, dtype)

    def plan(self, prepare: Callable[..., Plan], *on: Any) -> Plan:
        """The last plan under the name of `prepare`, if it was made for these very objects; else a new one."""
        last = self._plans.get(prepare.__name__)
        if last is not None and all(map(operator.is_, on, last[0])):
            return last[1]
        plan = prepare(*on)
        self._plans[prepare.__name__] = on, plan
        return plan

    def _carve(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        size = math.prod(shape) * dtype.itemsize
        memory = self._memory.get(name)
        if memory is None or memory.nbytes < size:
            # Views of the outgrown memory are dropped with it, else both would stay alive.
            self._arrays = {key: array for key, array in self._arrays.items() if key[0] != name}
            memory = self._memory[name] = empty((size,), np.uint8)
        return memory[:size].view(dtype).reshape(shape)

    @property
    def nbytes(self) -> int:
        return sum(memory.nbytes for memory in self._memory.values())


class Arena:
    """The work arrays of one engine: a workspace for each of its kernels.

    After the first step of a given batch size no further memory is taken.
    """

    def __init__(self) -> None:
        self._scratch = ReusedWorkspace()
        self._workspaces: list[ReusedWorkspace] = [self._scratch]

    def workspace(self) -> ReusedWorkspace:
        """A new workspace, for one kernel."""
        workspace = ReusedWorkspace(self._scratch)
        self._workspaces.append(workspace)
        return workspace

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return sum(workspace.nbytes for workspace in self._workspaces)
