"""What a kernel is: a layer, loss or update rule, computed with lent memory and shared threads."""

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
    """Where a kernel gets its means: `handgrad.kernels.Kernels`."""

    workers: Workers

    def workspace(self) -> Workspace:
        """Work arrays for one kernel."""
        ...

    def lend(self, layer: nn.Layer, /) -> Kernel:
        """The kernel of a layer."""
        ...


class Kernel:
    """Computes a layer. This base runs the layer as it is; a subclass does the same work faster.

    Parameters, gradients, buffers and the training mode stay in the layer: a kernel reads and writes them there. Its
    output may be memory that the next call overwrites.

    Arguments:
        layer: what is to be computed.
        lender: where work arrays and threads come from.
    """

    layer: Any
    #: Which directions of a ReLU behind the layer the kernel can take over: see `kernels.sequential`.
    can_fuse_relu: str = "none"
    #: Whether it does.
    fuses_relu = False

    def __init__(self, layer: nn.Layer, lender: Lender) -> None:
        self.layer = layer
        self.work = lender.workspace()
        self.workers = lender.workers
        #: Whether backward has to return dx: not for the layer that the data enters.
        self.input_gradient = True
        self._kept: tuple | None = None

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        """What `layer.forward(x)` returns, up to rounding."""
        return self.layer.forward(x)

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."] | None:
        """What `layer.backward(dy)` returns, up to rounding; anything where `input_gradient` is cleared."""
        return self.layer.backward(dy)

    def kernels(self) -> Iterator[Kernel]:
        """This kernel and every kernel inside it, outermost first."""
        yield self

    def _keep(self, *values) -> None:
        self._kept = values

    def _recall(self) -> tuple:
        if self._kept is None:
            raise RuntimeError(f"{type(self.layer).__name__}.backward was called before forward: call forward(x) first")
        return self._kept


class LossKernel:
    """Computes a loss. This base runs the loss as it is.

    Attributes:
        checked_labels: whether class indices are known to be right, and need not be looked at again.
        share: of a subclass: wₙ / Σ w of the last forward pass `(N,)` or `(M, N)`, None where it had no weights.
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
        """What `loss.forward(x, target, weight)` returns, up to rounding."""
        return self.loss.forward(x, target, weight)

    def backward(self) -> Inexact[Array, "*models N K"]:
        """What `loss.backward()` returns, up to rounding."""
        return self.loss.backward()

    def _weigh(self, x: Inexact[Array, "*models N K"], weight: Num[Array, "*stacked N"] | None) -> None:
        """Sets `share`."""
        self.share = None
        if weight is not None:
            w = sample_weights(x, weight)
            total = w.sum(axis=-1, keepdims=True)
            self.share = w / np.where(total == 0, 1, total)

    def _mean(self, losses: Inexact[Array, "*models N"]) -> Any:
        """The mean of the samples' losses, by their weights."""
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
    """Steps an update rule. This base lets the rule step itself."""

    rule: Any

    def __init__(self, rule: nn.Optimizer, lender: Lender) -> None:
        self.rule = rule
        self.work = lender.workspace()
        self.workers = lender.workers

    @property
    def state(self) -> dict[str, list[np.ndarray]]:
        """Arrays that are carried from step to step, one for each parameter under each name."""
        return self.rule.state

    def step(self) -> None:
        """Moves every parameter of the rule once, by its present gradient."""
        self.rule.step()


Kind = TypeVar("Kind", bound=type)

#: The kernel of each class of layers, losses and update rules: written with NumPy, and compiled by numba.
NUMPY_KERNELS: dict[type, type] = {}
NUMBA_KERNELS: dict[type, type] = {}


def kernel_of(kind: type, registry: dict[type, type] = NUMPY_KERNELS) -> Callable[[Kind], Kind]:
    """Registers the decorated class as the kernel of `kind`. A subclass of `kind` is not meant: it computes
    something else."""

    def register(kernel: Kind) -> Kind:
        registry[kind] = kernel
        return kernel

    return register
