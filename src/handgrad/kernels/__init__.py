"""How an engine computes what `handgrad.nn` says, quickly: memory, threads, tiles, fusion, convolution algorithms.

A kernel computes one layer, loss or update rule. It reads and writes the parameters, gradients and buffers of the layer
that it belongs to, and does the same work with lent memory and shared threads. `Kernels.lend` gives the kernel of
anything; what has no kernel of its own runs as it is.

    >>> import numpy as np
    >>> from handgrad import nn
    >>> network = nn.Sequential(nn.Linear(4, 8, rng=0), nn.ReLU(), nn.Linear(8, 3, rng=1))
    >>> kernel = Kernels().lend(network)
    >>> x = np.ones((5, 4), np.float32)
    >>> bool(np.allclose(kernel.forward(x), network.forward(x)))
    True
"""

from __future__ import annotations

from typing import overload

from handgrad import nn
from handgrad.kernels import (  # importing them registers their kernels
    activations,
    batchnorm2d,
    convolution,
    dropout,
    losses,
    normalization,
    optimizers,
    pooling,
    softmax,
)
from handgrad.kernels.arena import FRESH, Arena, Workspace
from handgrad.kernels.convolution import Conv2dKernel
from handgrad.kernels.convolution_algorithms import CONVOLUTIONS, Geometry
from handgrad.kernels.convolution_algorithms import choose as choose_convolution
from handgrad.kernels.convolution_algorithms import costs as convolution_costs
from handgrad.kernels.flat import FlatParameters, lay_out_for_kernels
from handgrad.kernels.kernel import NUMBA_KERNELS, NUMPY_KERNELS, Kernel, LossKernel, OptimizerKernel
from handgrad.kernels.linear import LinearKernel
from handgrad.kernels.sequential import SequentialKernel
from handgrad.kernels.workers import Workers

__all__ = [
    "CONVOLUTIONS",
    "Arena",
    "Conv2dKernel",
    "FlatParameters",
    "Geometry",
    "Kernel",
    "Kernels",
    "LinearKernel",
    "LossKernel",
    "OptimizerKernel",
    "SequentialKernel",
    "Workers",
    "choose_convolution",
    "convolution_costs",
    "lay_out_for_kernels",
]


class Kernels:
    """The means of one engine, and the one entry to this room: lends kernels that share an arena and threads.

    Arguments:
        threads: how many may work on a step, at least 1. With more than one, keep the threads of NumPy's BLAS library
            at one.
        compiled: whether to take the kernels that numba compiles, where there are some (the extra `fast`).
        reuse: whether work arrays are lent again at every call. If not, every result is a fresh array, as a layer's is.

    Attributes:
        arena: the work arrays that were lent so far.
    """

    def __init__(self, threads: int = 1, *, compiled: bool = False, reuse: bool = True) -> None:
        self.workers = Workers(threads)
        self.arena = Arena()
        self._reuse = reuse
        self._registry = dict(NUMPY_KERNELS)
        if compiled:
            import handgrad.kernels.compiled  # registers its kernels

            self._registry.update(NUMBA_KERNELS)

    def workspace(self) -> Workspace:
        """Work arrays for one user."""
        return self.arena.workspace() if self._reuse else FRESH

    @overload
    def lend(self, thing: nn.Layer, /) -> Kernel: ...
    @overload
    def lend(self, thing: nn.Loss, /) -> LossKernel: ...
    @overload
    def lend(self, thing: nn.Optimizer, /) -> OptimizerKernel: ...
    def lend(self, thing, /):
        """The kernel that computes a layer (with all layers inside it), a loss, or the steps of an optimiser.

        What has no kernel of its own, such as a layer of a user's, runs as it is.
        """
        if isinstance(thing, nn.Layer):
            plain = Kernel
        elif isinstance(thing, nn.Loss):
            plain = LossKernel
        else:
            plain = OptimizerKernel
        return self._registry.get(type(thing), plain)(thing, self)
