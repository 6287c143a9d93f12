"""The kernel of a linear layer: products are divided among threads and into tiles for BLAS, and prepared once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact
from handgrad.kernels.activations import zeros_like_rows
from handgrad.kernels.kernel import Kernel, kernel_of
from handgrad.kernels.products import product
from handgrad.kernels.workers import SERIAL
from handgrad.nn.layer import check_features, check_gradient, computing_dtype

#: Minimum number of multiply-adds for a second thread: about 120 µs of work for one core.
MIN_MULTIPLY_ADDS_PER_THREAD = 6_000_000

_ALL = slice(None)
_WHOLE = [(_ALL, _ALL)]


@kernel_of(nn.Linear)
class LinearKernel(Kernel):
    layer: nn.Linear
    can_fuse_relu = "forward"

    def forward(self, x: Inexact[Array, "*models N D"]) -> Inexact[Array, "*stacked N K"]:
        bias = self.layer.bias
        return self.work.plan(self._plan_forward, x, self.layer.weight.value, bias and bias.value)()

    def backward(self, dy: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N D"] | None:
        x, shape = self._recall()
        weight, bias = self.layer.weight, self.layer.bias
        on = weight.value, weight.grad, bias and bias.grad, self.input_gradient
        return self.work.plan(self._plan_backward, dy, x, shape, *on)()

    def _plan_forward(self, x: np.ndarray, weight: np.ndarray, *_) -> Callable[[], np.ndarray]:
        check_features(self.layer, x, self.layer.in_features, self.layer.weight)
        dtype = computing_dtype(x, *(parameter.value for parameter in self.layer.parameters()))
        y = self.work.empty("y", (*weight.shape[:-2], x.shape[-2], self.layer.out_features), dtype)
        shares = self._shares(x.shape[-2], self.layer.out_features, y.size * self.layer.in_features)
        run = self.workers.together([self._outputs(x, y, *share) for share in shares])
        self._keep(x, y.shape)

        def forward() -> np.ndarray:
            run()
            return y

        return forward

    def _plan_backward(self, dy: np.ndarray, x: np.ndarray, shape: tuple, *_) -> Callable[[], np.ndarray | None]:
        check_gradient(self.layer, dy, shape)
        shares = self._shares(self.layer.out_features, self.layer.in_features, dy.size * self.layer.in_features)
        jobs = [self._weight_gradient(dy, x, *share) for share in shares]
        dx = None
        if self.input_gradient:
            dx = self.work.empty("dx", (*shape[:-1], self.layer.in_features), dy.dtype)
            shares = self._shares(shape[-2], self.layer.in_features, dx.size * self.layer.out_features)
            jobs += [self._input_gradient(dy, dx, *share) for share in shares]
        run = (self.workers if dy.size * self.layer.in_features >= MIN_MULTIPLY_ADDS_PER_THREAD else SERIAL).together(
            jobs
        )

        def backward() -> np.ndarray | None:
            run()
            return dx

        return backward

    # Each of these returns the function that computes a part of a product: samples `n`, outputs `k` or inputs `d`.

    def _outputs(self, x: np.ndarray, y: np.ndarray, n: slice, k: slice) -> Callable[[], object]:
        x, y = x[..., n, :], y[..., n, k]
        multiply = product(x, self.layer.weight.value[..., k, :].swapaxes(-1, -2), out=y)
        bias = None if self.layer.bias is None else self.layer.bias.value[..., None, k]
        zeros = zeros_like_rows(y) if self.fuses_relu else None

        def outputs() -> None:
            multiply()
            if bias is not None:
                np.add(y, bias, out=y)
            if zeros is not None:
                np.maximum(y, zeros, out=y)

        return outputs

    def _weight_gradient(self, dy: np.ndarray, x: np.ndarray, k: slice, d: slice) -> Callable[[], object]:
        dy, x = dy[..., k], x[..., d]
        multiply = product(dy.swapaxes(-1, -2), x, out=self.layer.weight.grad[..., k, d])
        if self.layer.bias is None or d.start:
            return multiply
        dbias, ones = self.layer.bias.grad[..., k], np.ones(dy.shape[-2], dy.dtype)

        def weight_gradient() -> None:
            multiply()
            np.matmul(ones, dy, out=dbias)

        return weight_gradient

    def _input_gradient(self, dy: np.ndarray, dx: np.ndarray, n: slice, d: slice) -> Callable[[], object]:
        return product(dy[..., n, :], self.layer.weight.value[..., d], out=dx[..., n, d])

    def _shares(self, rows: int, columns: int, multiply_adds: int) -> list[tuple[slice, slice]]:
        """Rows and columns of a product for each thread, divided along the longer side into parts that justify a
        thread."""
        if multiply_adds < 2 * MIN_MULTIPLY_ADDS_PER_THREAD:
            return _WHOLE
        longer = max(rows, columns)
        parts = self.workers.split(longer, 1 + MIN_MULTIPLY_ADDS_PER_THREAD * longer // multiply_adds)
        return [(part, _ALL) for part in parts] if rows >= columns else [(_ALL, part) for part in parts]
