"""Kernels of batch and layer normalisation of rows."""

from __future__ import annotations

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact
from handgrad.kernels.activations import zeros_like_rows
from handgrad.kernels.kernel import Kernel, kernel_of
from handgrad.nn.layer import check_features, check_gradient, computing_dtype, sum_over_batch


class _NormalizationKernel(Kernel):
    """Base class of both: the formulas for an arbitrary axis."""

    def _centered(self, x, mean):
        """x - mean, in the array of x̂."""
        centered = self.work.empty("normalized", np.broadcast_shapes(x.shape, mean.shape), x.dtype)
        return np.subtract(x, mean, out=centered)

    def _variance(self, centered):
        """The biased variance of the centred values."""
        squares = self.work.empty("y", centered.shape, centered.dtype)  # the array of y: one array fewer to load
        return self._mean(np.multiply(centered, centered, out=squares))

    def _mean(self, x):
        """Mean over the normalised axis, which is kept with length 1."""
        raise NotImplementedError

    def _normalized(self, x, centered, variance):
        """y = γ x̂ + β with x̂ = (x - mean) / √(variance + ε); returns y, x̂ and 1/√(variance + ε)."""
        gamma, beta = self.layer.weight.value, self.layer.bias.value
        dtype = computing_dtype(x, gamma, beta)
        inverse_std = 1 / np.sqrt(variance + self.layer.eps)
        centered *= inverse_std
        y = self.work.empty("y", np.broadcast_shapes(x.shape, (*gamma.shape[:-1], 1, 1)), dtype)
        np.multiply(centered, gamma[..., None, :], out=y)
        y += beta[..., None, :]
        return y, centered, inverse_std

    def _parameter_gradients(self, dy, normalized):
        """dγ = Σₙ dy·x̂ and dβ = Σₙ dy, over the batch."""
        product = self.work.empty("dx", dy.shape, dy.dtype)
        np.multiply(dy, normalized, out=product)
        dweight, dbias = sum_over_batch(product), sum_over_batch(dy)
        self.layer.weight.grad[...], self.layer.bias.grad[...] = dweight, dbias
        return dweight, dbias


@kernel_of(nn.BatchNorm1d)
class BatchNorm1dKernel(_NormalizationKernel):
    layer: nn.BatchNorm1d
    can_fuse_relu = "forward"

    def forward(self, x: Inexact[Array, "*models N D"]) -> Inexact[Array, "*stacked N D"]:
        layer = self.layer
        check_features(layer, x, layer.num_features, layer.weight)
        computing_dtype(x)
        if not layer.training:
            centered = self._centered(x, layer.running_mean[..., None, :])
            y, *kept = self._normalized(x, centered, layer.running_var[..., None, :])
            self._keep(*kept, y.shape, False)
            return self._fused_relu(y)
        layer.check_batch(x.shape[-2])
        mean = self._mean(x)
        centered = self._centered(x, mean)
        variance = self._variance(centered)
        layer.update_running_statistics(mean[..., 0, :].real, variance[..., 0, :].real, x.shape[-2])
        y, *kept = self._normalized(x, centered, variance)
        self._keep(*kept, y.shape, True)
        return self._fused_relu(y)

    def _mean(self, x):
        return sum_over_batch(x)[..., None, :] * (1 / x.shape[-2])

    def _fused_relu(self, y):
        return np.maximum(y, self.work.plan(zeros_like_rows, y), out=y) if self.fuses_relu else y

    def backward(self, dy: Inexact[Array, "*models N D"]) -> Inexact[Array, "*models N D"]:
        normalized, inverse_std, shape, from_batch = self._recall()
        check_gradient(self.layer, dy, shape)
        dweight, dbias = self._parameter_gradients(dy, normalized)
        scale = self.layer.weight.value[..., None, :] * inverse_std
        dx = self.work.empty("dx", dy.shape, dy.dtype)
        if not from_batch:
            return np.multiply(dy, scale, out=dx)  # running statistics are constants
        n = shape[-2]
        np.multiply(normalized, dweight[..., None, :] / n, out=dx)  # mean(dy·x̂) = dγ/N, mean dy = dβ/N
        np.subtract(dy, dx, out=dx)
        dx -= dbias[..., None, :] / n
        dx *= scale
        return dx


@kernel_of(nn.LayerNorm)
class LayerNormKernel(_NormalizationKernel):
    layer: nn.LayerNorm

    def forward(self, x: Inexact[Array, "*models N D"]) -> Inexact[Array, "*stacked N D"]:
        check_features(self.layer, x, self.layer.num_features, self.layer.weight)
        computing_dtype(x)
        centered = self._centered(x, self._mean(x))
        y, *kept = self._normalized(x, centered, self._variance(centered))
        self._keep(*kept, y.shape)
        return y

    def _mean(self, x):
        return x.mean(axis=-1, keepdims=True)

    def backward(self, dy: Inexact[Array, "*models N D"]) -> Inexact[Array, "*models N D"]:
        normalized, inverse_std, shape = self._recall()
        check_gradient(self.layer, dy, shape)
        self._parameter_gradients(dy, normalized)
        dx = self.work.empty("dx", dy.shape, dy.dtype)
        scratch = self.work.empty("scratch", dy.shape, dy.dtype)
        np.multiply(dy, self.layer.weight.value[..., None, :], out=dx)  # dx̂
        np.multiply(dx, normalized, out=scratch)
        correlation = scratch.mean(axis=-1, keepdims=True)
        dx -= dx.mean(axis=-1, keepdims=True)
        np.multiply(normalized, correlation, out=scratch)
        dx -= scratch
        dx *= inverse_std
        return dx
