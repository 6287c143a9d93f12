"""The kernel of dropout."""

from __future__ import annotations

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact
from handgrad.kernels.kernel import Kernel, kernel_of
from handgrad.nn.dropout import draw_numbers
from handgrad.nn.layer import check_gradient, computing_dtype


@kernel_of(nn.Dropout)
class DropoutKernel(Kernel):
    layer: nn.Dropout

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        y = self.work.empty("y", x.shape, computing_dtype(x))
        if not self.layer.training or self.layer.p == 0:
            self._keep(None, x.shape)
            y[...] = x
            return y
        # In float32, 1/(1 - p) would be off by 1e-8 for a float64 x.
        dtype = np.result_type(np.float32, np.finfo(x.dtype).dtype)
        mask = self.work.empty("mask", x.shape, dtype)
        dropped, rng = round(self.layer.p * 2**16), self.layer.rng
        # A stack of models with one generator per model, as if each were trained alone.
        parts = [(rng, mask)] if isinstance(rng, np.random.Generator) else zip(rng, mask, strict=True)
        for generator, part in parts:
            np.greater_equal(draw_numbers(generator, part.size).reshape(part.shape), dropped, out=part)
        mask *= 1 / (1 - self.layer.p)
        self._keep(mask, x.shape)
        return np.multiply(x, mask, out=y)

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        mask, shape = self._recall()
        check_gradient(self.layer, dy, shape)
        dx = self.work.empty("dx", dy.shape, dy.dtype)
        if mask is None:
            dx[...] = dy
            return dx
        return np.multiply(dy, mask, out=dx)
