"""Base classes of kernels, which compute a layer, loss or update rule with reused memory and shared threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact, Num
from handgrad.kernels.arena import Workspace
from handgrad.kernels.workers import Workers
from handgrad.nn.losses import sample_weights


@runtime_checkable
class Lender(Protocol):
    """Provides the resources of a kernel: `handgrad.kernels.Kernels`."""

    workers: Workers

    def workspace(self) -> Workspace:
        """Work arrays for one kernel."""
        ...

    def lend(self, layer: nn.Layer, /) -> Kernel:
        """The kernel of a layer."""
        ...


class Kernel:
    """Computes a layer. This base class calls the layer itself; a subclass computes the same faster.

    Parameters, gradients, buffers and the training mode are stored in the layer; the kernel reads and writes
    them there. The next call may overwrite the memory of the output.

    Arguments:
        layer: the layer to compute.
        lender: provides work arrays and threads.
    """

    layer: Any
    #: Which passes of a following ReLU the kernel can fuse: see `kernels.sequential`.
    can_fuse_relu: str = "none"
    #: Whether it does.
    fuses_relu = False

    def __init__(self, layer: nn.Layer, lender: Lender) -> None:
        self.layer = layer
        self.work = lender.workspace()
        self.workers = lender.workers
        #: Whether backward must return dx; false for the first layer.
        self.input_gradient = True
        self._kept: tuple | None = None

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        """The result of `layer.forward(x)`, up to rounding."""
        return self.layer.forward(x)

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."] | None:
        """The result of `layer.backward(dy)`, up to rounding; undefined if `input_gradient` is false."""
        return self.layer.backward(dy)

    def kernels(self) -> Iterator[Kernel]:
        """This kernel and all nested kernels, outermost first."""
        yield self

    def _keep(self, *values) -> None:
        self._kept = values

    def _recall(self) -> tuple:
        if self._kept is None:
            raise RuntimeError(f"{type(self.layer).__name__}.backward was called before forward: call forward(x) first")
        return self._kept


class LossKernel:
    """Computes a loss. This base class calls the loss itself.

    Attributes:
        checked_labels: whether class indices are known to be valid, so that they need no check.
        share: in subclasses, wₙ / Σ w of the last forward pass, `(N,)` or `(M, N)`, or None without weights.
    """

    loss: Any

    def __init__(self, loss: nn.Loss, lender: Lender) -> None:
        self.loss = loss
        self.work = lender.workspace()
        self.checked_labels = False
        self.share: np.ndarray | None = None
        self._kept: tuple | None = None

    def forward(
        self,
        x: Inexact[Array, "*models N K"],
        target: Num[Array, "..."],
        weight: Num[Array, "*stacked N"] | None = None,
    ) -> Any:
        """The result of `loss.forward(x, target, weight)`, up to rounding."""
        return self.loss.forward(x, target, weight)

    def backward(self) -> Inexact[Array, "*models N K"]:
        """The result of `loss.backward()`, up to rounding."""
        return self.loss.backward()

    def _weigh(self, x: Inexact[Array, "*models N K"], weight: Num[Array, "*stacked N"] | None) -> None:
        """Sets `share`."""
        self.share = None
        if weight is not None:
            w = sample_weights(x, weight)
            total = w.sum(axis=-1, keepdims=True)
            self.share = w / np.where(total == 0, 1, total)

    def _mean(self, losses: Inexact[Array, "*models N"]) -> Any:
        """The weighted mean of the losses of the samples."""
        if self.share is None:
            return np.add.reduce(losses, axis=-1) / losses.shape[-1]
        return (self.share * losses).sum(axis=-1)

    def _recall(self) -> tuple:
        if self._kept is None:
            raise RuntimeError(
                f"{type(self.loss).__name__}.backward was called before forward: call forward(x, t) first"
            )
        return self._kept


class OptimizerKernel:
    """Computes the step of an update rule. This base class calls the rule itself."""

    rule: Any

    def __init__(self, rule: nn.Optimizer, lender: Lender) -> None:
        self.rule = rule
        self.work = lender.workspace()
        self.workers = lender.workers

    @property
    def state(self) -> dict[str, list[np.ndarray]]:
        """The state arrays, one per parameter under each name."""
        return self.rule.state

    def step(self) -> None:
        """Updates every parameter of the rule with its current gradient."""
        self.rule.step()


Kind = TypeVar("Kind", bound=type)

#: The kernels of the classes of layers, losses and update rules: written in NumPy, and compiled by numba.
NUMPY_KERNELS: dict[type, type] = {}
NUMBA_KERNELS: dict[type, type] = {}


def kernel_of(kind: type, registry: dict[type, type] = NUMPY_KERNELS) -> Callable[[Kind], Kind]:
    """Registers the decorated class as the kernel of `kind`, but not of subclasses, which may compute something
    else."""

    def register(kernel: Kind) -> Kind:
        registry[kind] = kernel
        return kernel

    return register
