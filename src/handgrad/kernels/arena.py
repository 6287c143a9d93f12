"""Work arrays: reused inside an engine, newly allocated elsewhere."""

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
    """Provides a kernel with the arrays that it writes its results to."""

    def empty(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[Array, "..."]:
        """An uninitialised array; `name` distinguishes the work arrays of the kernel."""
        ...

    def scratch(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[Array, "..."]:
        """Like `empty`, for arrays that are not needed after the call: in an engine, all kernels share this memory."""
        ...

    def plan(self, prepare: Callable[..., Plan], *on: Any) -> Plan:
        """The result of `prepare(*on)`: everything that can be prepared for these arrays (checks, memory for the
        results, views, or a function without arguments). In an engine, arrays keep their addresses from step to
        step, so this is prepared only once."""
        ...


class FreshWorkspace:
    """Every array is new, so results of a kernel are not overwritten by the next call."""

    def empty(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[Array, "..."]:
        return np.empty(shape, dtype)

    def scratch(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[Array, "..."]:
        return np.empty(shape, dtype)

    def plan(self, prepare: Callable[..., Plan], *on: Any) -> Plan:
        return prepare(*on)


FRESH = FreshWorkspace()


def empty_like(work: Workspace, name: str, x: Shaped[Array, "..."], dtype: np.dtype | None = None):
    """A work array with the shape and memory order of `x`.

    Images may be `(N, C, H, W)` with channels last in memory. Elementwise operations are fast, and preserve this order,
    if the output has the same memory order.
    """
    if x.ndim == 4 and not x.flags.c_contiguous and x.transpose(0, 2, 3, 1).flags.c_contiguous:
        n, c, h, w = x.shape
        return work.empty(name, (n, h, w, c), dtype or x.dtype).transpose(0, 3, 1, 2)
    return work.empty(name, x.shape, dtype or x.dtype)


class ReusedWorkspace:
    """One block of memory per name, which grows if a larger array is requested and is reused at every call.

    The result of a kernel is overwritten by its next call. This is only suitable for an engine, which no longer needs
    the arrays of a step when the next step begins.
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
        """The last plan with the name of `prepare`, if it was created for the same objects; otherwise a new one."""
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
            # Views of the replaced memory are dropped as well; otherwise both would stay alive.
            self._arrays = {key: array for key, array in self._arrays.items() if key[0] != name}
            memory = self._memory[name] = empty((size,), np.uint8)
        return memory[:size].view(dtype).reshape(shape)

    @property
    def nbytes(self) -> int:
        return sum(memory.nbytes for memory in self._memory.values())


class Arena:
    """The work arrays of one engine: one workspace per kernel.

    After the first step with a given batch size, no more memory is allocated.
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
        """Allocated memory in bytes."""
        return sum(workspace.nbytes for workspace in self._workspaces)
