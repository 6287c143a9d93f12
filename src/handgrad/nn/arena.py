"""Work arrays: fresh ones for a layer on its own, lent and reused ones inside an engine."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from handgrad._typing import Array, Shaped


class Workspace(Protocol):
    """Where a layer takes the arrays it writes its results to."""

    def empty(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[Array, "..."]:
        """An uninitialised array; `name` tells the layer's work arrays apart."""
        ...


class FreshWorkspace:
    """Every array is new: whatever a layer returned stays as it was when the layer is called again."""

    def empty(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[Array, "..."]:
        return np.empty(shape, dtype)


FRESH = FreshWorkspace()


class ReusedWorkspace:
    """One piece of memory a name, grown when a larger array is asked for and lent again at every call.

    What a layer returned is overwritten when the layer runs again: only an engine, which is done with a step's arrays
    when the next step begins, hands these out.
    """

    def __init__(self) -> None:
        self._memory: dict[str, np.ndarray] = {}
        self._arrays: dict[tuple[str, tuple[int, ...], np.dtype], np.ndarray] = {}

    def empty(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[Array, "..."]:
        key = (name, shape, dtype)
        array = self._arrays.get(key)
        if array is None:
            array = self._arrays[key] = self._carve(name, shape, np.dtype(dtype))
        return array

    def _carve(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        size = math.prod(shape) * dtype.itemsize
        memory = self._memory.get(name)
        if memory is None or memory.nbytes < size:
            # Views of the outgrown memory are dropped with it, else both would stay alive.
            self._arrays = {key: array for key, array in self._arrays.items() if key[0] != name}
            memory = self._memory[name] = np.empty(size, np.uint8)
        return memory[:size].view(dtype).reshape(shape)

    @property
    def nbytes(self) -> int:
        return sum(memory.nbytes for memory in self._memory.values())


class Arena:
    """The work arrays of one engine: a workspace for each of its layers.

    After the first step of a given batch size no further memory is taken.
    """

    def __init__(self) -> None:
        self._workspaces: list[ReusedWorkspace] = []

    def workspace(self) -> ReusedWorkspace:
        """A new workspace, to be set as one layer's `work`."""
        workspace = ReusedWorkspace()
        self._workspaces.append(workspace)
        return workspace

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return sum(workspace.nbytes for workspace in self._workspaces)
