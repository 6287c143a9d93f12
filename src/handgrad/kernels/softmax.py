"""Kernels of softmax and log-softmax."""

from __future__ import annotations

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact
from handgrad.kernels.kernel import Kernel, kernel_of
from handgrad.nn.layer import check_gradient, computing_dtype


@kernel_of(nn.Softmax)
class SoftmaxKernel(Kernel):
    layer: nn.Softmax

    def forward(self, x: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N K"]:
        y = self.work.empty("y", x.shape, computing_dtype(x))
        np.subtract(x, x.max(axis=-1, keepdims=True), out=y)
        np.exp(y, out=y)
        y /= y.sum(axis=-1, keepdims=True)
        self._keep(y)
        return y

    def backward(self, dy: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N K"]:
        (y,) = self._recall()
        check_gradient(self.layer, dy, y.shape)
        dx = self.work.empty("dx", dy.shape, dy.dtype)
        np.multiply(dy, y, out=dx)
        inner = dx.sum(axis=-1, keepdims=True)
        np.subtract(dy, inner, out=dx)
        dx *= y
        return dx


@kernel_of(nn.LogSoftmax)
class LogSoftmaxKernel(Kernel):
    layer: nn.LogSoftmax

    def forward(self, x: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N K"]:
        y = self.work.empty("y", x.shape, computing_dtype(x))
        np.subtract(x, x.max(axis=-1, keepdims=True), out=y)
        y -= np.log(np.exp(y, out=self.work.empty("dx", x.shape, y.dtype)).sum(axis=-1, keepdims=True))
        self._keep(y)
        return y

    def backward(self, dy: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N K"]:
        (y,) = self._recall()
        check_gradient(self.layer, dy, y.shape)
        dx = self.work.empty("dx", dy.shape, dy.dtype)
        np.exp(y, out=dx)
        dx *= dy.sum(axis=-1, keepdims=True)
        return np.subtract(dy, dx, out=dx)
