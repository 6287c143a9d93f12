"""Batch normalisation and layer normalisation.

Both subtract a mean, divide by a standard deviation, scale by gamma (`weight`) and shift by beta (`bias`); they differ
in the axis: batch normalisation takes each feature over the batch, layer normalisation each sample over its features.
"""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.activations import zeros_beside
from handgrad.nn.layer import Layer, Parameter, check_features, check_gradient, computing_dtype, sum_over_batch


class _Normalization(Layer):
    """What the two share: gamma, beta, and the formulas, with the axis left open."""

    parameter_names = ("weight", "bias")

    def __init__(self, features: int, eps: float, dtype) -> None:
        if features < 1:
            raise ValueError(f"{type(self).__name__} got num_features={features}, expected at least 1")
        if not eps > 0:
            raise ValueError(f"{type(self).__name__} got eps={eps}, expected more than 0")
        self.num_features = features
        self.eps = eps
        self.weight = Parameter(np.ones(features, dtype))
        self.bias = Parameter(np.zeros(features, dtype))

    def _centered(self, x, mean):
        """x - mean, in the array that x̂ will lie in."""
        centered = self.work.empty("normalized", np.broadcast_shapes(x.shape, mean.shape), x.dtype)
        return np.subtract(x, mean, out=centered)

    def _variance(self, centered):
        """The biased variance of what is centred already."""
        squares = self.work.empty("y", centered.shape, centered.dtype)  # where y will lie: one array fewer to fetch
        return self._mean(np.multiply(centered, centered, out=squares))

    def _mean(self, x):
        """Over the axis that is normalised, which stays, with one number."""
        raise NotImplementedError

    def _normalized(self, x, centered, variance):
        """y = γ x̂ + β with x̂ = (x - mean) / √(variance + ε); gives y, x̂ and 1/√(variance + ε)."""
        dtype = computing_dtype(x, self.weight.value, self.bias.value)
        inverse_std = 1 / np.sqrt(variance + self.eps)
        centered *= inverse_std
        y = self.work.empty("y", np.broadcast_shapes(x.shape, (*self.weight.value.shape[:-1], 1, 1)), dtype)
        np.multiply(centered, self.weight.value[..., None, :], out=y)
        y += self.bias.value[..., None, :]
        return y, centered, inverse_std

    def _parameter_gradients(self, dy, normalized):
        """dγ = Σₙ dy·x̂ and dβ = Σₙ dy, over the batch."""
        product = self.work.empty("dx", dy.shape, dy.dtype)
        np.multiply(dy, normalized, out=product)
        dweight, dbias = sum_over_batch(product), sum_over_batch(dy)
        self.weight.grad[...], self.bias.grad[...] = dweight, dbias
        return dweight, dbias

    def _describe(self) -> str:
        return f"{self.num_features}"


class BatchNorm(_Normalization):
    """What batch normalisation of features and of images share: the running figures."""

    buffer_names = ("running_mean", "running_var", "num_batches_tracked")

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        *,
        running_variance: str = "unbiased",
        dtype=np.float32,
    ) -> None:
        super().__init__(num_features, eps, dtype)
        if running_variance not in ("unbiased", "biased"):
            raise ValueError(
                f"{type(self).__name__} got running_variance={running_variance!r}, expected 'unbiased' or 'biased'"
            )
        if not 0 <= momentum <= 1:
            raise ValueError(f"{type(self).__name__} got momentum={momentum}, expected a share in [0, 1]")
        self.momentum = momentum
        self.running_variance = running_variance
        self.running_mean = np.zeros(num_features, dtype)
        self.running_var = np.ones(num_features, dtype)
        self.num_batches_tracked = np.zeros((), np.int64)

    def _check_batch(self, n: int, pixels: int | None = None) -> None:
        """A variance has to have two numbers; one, where it is divided by how many they are and not by one less."""
        least = 2 if self.running_variance == "unbiased" else 1
        count = n if pixels is None else n * pixels
        if count < least:
            of = "" if pixels is None else f" pixels a channel (N·H·W), not {count}"
            raise ValueError(
                f"{self!r} got a training batch of N={n}, expected at least {least}{of}: "
                "use larger batches, or eval() to normalise by the running figures"
            )

    def _update_running_figures(self, mean, variance, n: int) -> None:
        if self.running_variance == "unbiased":
            variance = variance * (n / (n - 1))
        for running, batch in ((self.running_mean, mean), (self.running_var, variance)):
            running *= 1 - self.momentum
            running += self.momentum * batch
        self.num_batches_tracked += 1


class BatchNorm1d(BatchNorm):
    """Normalises each feature over the batch while training, by its running figures when evaluating.

    Formula:
        x̂ = (x - μ) / √(σ² + ε), μ and σ² the mean and the biased variance over the batch; y = γ x̂ + β
        dβ = Σₙ dy,  dγ = Σₙ dy·x̂,  dx = γ/√(σ² + ε) · (dy - dβ/N - x̂ · dγ/N)
        running ← (1 - momentum) · running + momentum · batch

    Arguments:
        num_features: D.
        eps: ε, added to the variance.
        momentum: the batch's share in the running figures.
        running_variance: `"unbiased"` (divided by N - 1, as PyTorch's) or `"biased"` (by N, as the courses').
        dtype: of parameters and running figures.

    Parameters `weight` (γ) and `bias` (β), buffers `running_mean`, `running_var`, `num_batches_tracked`: PyTorch's.

    Raises:
        ValueError: a training batch of fewer than 2 samples (1 with biased running figures): no variance to speak of.

    Source: Ioffe and Szegedy (2015), Batch normalization, algorithms 1 and 2 and section 3.
    """

    #: Whether y is max(0, ·) of what the formula says: set by `join_rectifiers`.
    rectifies = False

    def forward(self, x: Inexact[Array, "*models N D"]) -> Inexact[Array, "*stacked N D"]:
        check_features(self, x, self.num_features, self.weight)
        computing_dtype(x)
        if not self.training:
            centered = self._centered(x, self.running_mean[..., None, :])
            y, *kept = self._normalized(x, centered, self.running_var[..., None, :])
            self._keep(*kept, y.shape, False)
            return self._rectified(y)
        self._check_batch(x.shape[-2])
        mean = self._mean(x)
        centered = self._centered(x, mean)
        variance = self._variance(centered)
        self._update_running_figures(mean[..., 0, :].real, variance[..., 0, :].real, x.shape[-2])
        y, *kept = self._normalized(x, centered, variance)
        self._keep(*kept, y.shape, True)
        return self._rectified(y)

    def _mean(self, x):
        return sum_over_batch(x)[..., None, :] * (1 / x.shape[-2])

    def _rectified(self, y):
        return np.maximum(y, self.work.plan(zeros_beside, y), out=y) if self.rectifies else y

    def backward(self, dy: Inexact[Array, "*models N D"]) -> Inexact[Array, "*models N D"]:
        normalized, inverse_std, shape, from_batch = self._recall()
        check_gradient(self, dy, shape)
        dweight, dbias = self._parameter_gradients(dy, normalized)
        scale = self.weight.value[..., None, :] * inverse_std
        dx = self.work.empty("dx", dy.shape, dy.dtype)
        if not from_batch:
            return np.multiply(dy, scale, out=dx)  # the running figures are constants
        n = shape[-2]
        np.multiply(normalized, dweight[..., None, :] / n, out=dx)  # mean(dy·x̂) = dγ/N, mean dy = dβ/N
        np.subtract(dy, dx, out=dx)
        dx -= dbias[..., None, :] / n
        dx *= scale
        return dx


class LayerNorm(_Normalization):
    """Normalises each sample over its features, alike in training and evaluation.

    Formula: as batch normalisation, with the mean and the biased variance of each row instead of each column:
        dx = (dx̂ - mean dx̂ - x̂ · mean(dx̂·x̂)) / √(σ² + ε), dx̂ = γ dy, means over the features.

    Arguments:
        num_features: D.
        eps: ε, added to the variance.
        dtype: of the parameters.

    Parameters `weight` (γ) and `bias` (β): PyTorch's.

    Source: Ba, Kiros, Hinton (2016), Layer normalization, equations 3 and 4.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, *, dtype=np.float32) -> None:
        super().__init__(num_features, eps, dtype)

    def forward(self, x: Inexact[Array, "*models N D"]) -> Inexact[Array, "*stacked N D"]:
        check_features(self, x, self.num_features, self.weight)
        computing_dtype(x)
        centered = self._centered(x, self._mean(x))
        y, *kept = self._normalized(x, centered, self._variance(centered))
        self._keep(*kept, y.shape)
        return y

    def _mean(self, x):
        return x.mean(axis=-1, keepdims=True)

    def backward(self, dy: Inexact[Array, "*models N D"]) -> Inexact[Array, "*models N D"]:
        normalized, inverse_std, shape = self._recall()
        check_gradient(self, dy, shape)
        self._parameter_gradients(dy, normalized)
        dx = self.work.empty("dx", dy.shape, dy.dtype)
        scratch = self.work.empty("scratch", dy.shape, dy.dtype)
        np.multiply(dy, self.weight.value[..., None, :], out=dx)  # dx̂
        np.multiply(dx, normalized, out=scratch)
        correlation = scratch.mean(axis=-1, keepdims=True)
        dx -= dx.mean(axis=-1, keepdims=True)
        np.multiply(normalized, correlation, out=scratch)
        dx -= scratch
        dx *= inverse_std
        return dx
