"""Fast implementations of `handgrad.nn` for the engines: memory, threads, tiles, fusion, convolution algorithms.

A kernel computes one layer, loss or update rule. It reads and writes the parameters, gradients and buffers of the layer
that it belongs to, and computes the same with reused memory and shared threads. `Kernels.lend` returns a kernel for any
layer, loss or optimiser; those without a specialised kernel run unchanged.

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
    """The resources of one engine, and the entry point of this package: lends kernels that share an arena and threads.

    Arguments:
        threads: number of threads per step, at least 1. With more than one, limit NumPy's BLAS library to one thread.
        compiled: whether to use kernels compiled by numba, if available (the extra `fast`).
        reuse: whether work arrays are reused at every call. If not, every result is a new array, as for layers.

    Attributes:
        arena: the work arrays in use.
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
        """Returns the kernel of a layer (with all nested layers), a loss, or an optimiser.

        Objects without a specialised kernel, such as custom layers, run unchanged.
        """
        if isinstance(thing, nn.Layer):
            plain = Kernel
        elif isinstance(thing, nn.Loss):
            plain = LossKernel
        else:
            plain = OptimizerKernel
        return self._registry.get(type(thing), plain)(thing, self)
