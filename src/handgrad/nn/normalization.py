"""Normalisation: subtract a mean, divide by a standard deviation, scale by gamma (`weight`) and shift by beta (`bias`).

The layers differ in the axes of the mean: batch normalisation normalises each feature over the batch, layer
normalisation each sample over its features, group normalisation each sample over groups of its features.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.images import check_images
from handgrad.nn.layer import Layer, Parameter, check_features, check_gradient, sum_over_batch


class _Normalization(Layer):
    """Base class of all normalisations: gamma and, if it is among the parameters, beta."""

    parameter_names = ("weight", "bias")

    def __init__(self, num_features: int, eps: float = 1e-5, *, dtype=np.float32) -> None:
        if num_features < 1:
            raise ValueError(f"{type(self).__name__} got num_features={num_features}, expected at least 1")
        if not eps > 0:
            raise ValueError(f"{type(self).__name__} got eps={eps}, expected more than 0")
        self.num_features, self.eps = num_features, eps
        self.weight = Parameter(np.ones(num_features, dtype))
        if "bias" in self.parameter_names:
            self.bias = Parameter(np.zeros(num_features, dtype))

    def _describe(self) -> str:
        return f"{self.num_features}"


class BatchNorm(_Normalization):
    """Base class of batch normalisation for rows and for images, which differ only in the axes.

    A subclass implements `_sum` (the sum for each feature), `_count` (the number of its terms), `_spread` (makes one
    number per feature broadcast against x) and `_check` (rejects an unsuitable x).

    Arguments:
        num_features: D, or C channels.
        eps: ε, added to the variance.
        momentum: weight of the batch in the running statistics.
        running_variance: `"unbiased"` (divided by count - 1, as in PyTorch) or `"biased"` (divided by the count).
        dtype: of parameters and running statistics.

    Parameters `weight` (γ) and `bias` (β), buffers `running_mean`, `running_var`, `num_batches_tracked` as in PyTorch.
    """

    buffer_names = ("running_mean", "running_var", "num_batches_tracked")
    _check: Callable
    _sum: Callable
    _count: Callable
    _spread: Callable

    def __init__(self, num_features: int, eps=1e-5, momentum=0.1, *, running_variance="unbiased", dtype=np.float32):
        super().__init__(num_features, eps, dtype=dtype)
        name = type(self).__name__
        if running_variance not in ("unbiased", "biased"):
            raise ValueError(f"{name} got running_variance={running_variance!r}, expected 'unbiased' or 'biased'")
        if not 0 <= momentum <= 1:
            raise ValueError(f"{name} got momentum={momentum}, expected a share in [0, 1]")
        self.momentum, self.running_variance = momentum, running_variance
        self.running_mean = np.zeros(num_features, dtype)
        self.running_var = np.ones(num_features, dtype)
        self.num_batches_tracked = np.zeros((), np.int64)

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        self._check(x)
        gamma, beta = self._values(x)
        if self.training:
            n = self._count(x)
            mean = self._sum(x) / n
            normalized = x - self._spread(mean)
            variance = self._sum(normalized * normalized) / n
            self.update_running_statistics(mean, variance, n)
        else:
            mean, variance = self.running_mean.astype(x.dtype), self.running_var.astype(x.dtype)
            normalized = x - self._spread(mean)
        inverse_std = 1 / np.sqrt(variance + self.eps)
        normalized *= self._spread(inverse_std)
        y = self._spread(gamma) * normalized
        y += self._spread(beta)
        self._keep(normalized, inverse_std, y.shape, self.training)
        return y

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        normalized, inverse_std, shape, from_batch = self._recall()
        check_gradient(self, dy, shape)
        scale = self._spread(self._values(dy)[0] * inverse_std)
        dweight, dbias = self._sum(dy * normalized), self._sum(dy)
        self.weight.grad[...], self.bias.grad[...] = dweight, dbias
        if not from_batch:
            return scale * dy  # the running statistics are constants
        n = self._count(dy)
        dx = dy - self._spread(dbias) / n
        dx -= normalized * (self._spread(dweight) / n)
        dx *= scale
        return dx

    def check_batch(self, n: int, pixels: int | None = None) -> None:
        """Raises ValueError for a batch that is too small: an unbiased variance requires two numbers, a biased one
        requires one."""
        least = 2 if self.running_variance == "unbiased" else 1
        count = n if pixels is None else n * pixels
        if count < least:
            of = "" if pixels is None else f" pixels per channel (N·H·W), not {count}"
            raise ValueError(
                f"{self!r} got a training batch of N={n}, expected at least {least}{of}: "
                "use larger batches, or eval() to normalise by the running statistics"
            )

    def update_running_statistics(self, mean: Inexact[Array, "*models D"], variance, n: int) -> None:
        """running ← (1 - momentum) · running + momentum · batch, in place, for the mean and the biased variance of a
        batch of n numbers per feature."""
        if self.running_variance == "unbiased":
            variance = variance * (n / (n - 1))
        for running, batch in ((self.running_mean, mean), (self.running_var, variance)):
            running *= 1 - self.momentum
            running += self.momentum * np.real(batch)
        self.num_batches_tracked += 1


class BatchNorm1d(BatchNorm):
    """Normalises each feature over the batch; uses running statistics in evaluation mode.

    Formula:
        x̂ = (x - μ) / √(σ² + ε), μ and σ² the mean and the biased variance over the batch; y = γ x̂ + β
        dβ = Σₙ dy,  dγ = Σₙ dy·x̂,  dx = γ/√(σ² + ε) · (dy - dβ/N - x̂ · dγ/N)
        running ← (1 - momentum) · running + momentum · batch

    Arguments, parameters and buffers: those of `BatchNorm`.

    Raises ValueError for a training batch of fewer than 2 samples (1 with biased running statistics).

    Source: Ioffe and Szegedy (2015), Batch normalization, algorithms 1 and 2 and section 3.
    """

    def _check(self, x):
        check_features(self, x, self.num_features, self.weight)
        if self.training:
            self.check_batch(x.shape[-2])

    def _sum(self, x):
        return sum_over_batch(x)

    def _count(self, x):
        return x.shape[-2]

    def _spread(self, v):
        return v[..., None, :]


class BatchNorm2d(BatchNorm):
    """Normalises each channel over batch, height and width; uses running statistics in evaluation mode.

    Formula, over the R = N·H·W pixels of a channel:
        x̂ = (x - μ) / √(σ² + ε), μ and σ² the mean and the biased variance; y = γ x̂ + β
        dβ = Σ dy,  dγ = Σ dy·x̂,  dx = γ/√(σ² + ε) · (dy - dβ/R - x̂ · dγ/R)
        running ← (1 - momentum) · running + momentum · batch

    Arguments, parameters and buffers: those of `BatchNorm`.

    Raises ValueError for a training batch of fewer than 2 pixels per channel (1 with biased running statistics).

    Source: Ioffe and Szegedy (2015), Batch normalization, section 3.2.
    """

    def _check(self, x):
        check_images(self, x, self.num_features, self.weight)
        if self.training:
            self.check_batch(len(x), math.prod(x.shape[2:]))

    def _sum(self, x):
        return x.sum(axis=(0, 2, 3))

    def _count(self, x):
        return x.shape[0] * x.shape[2] * x.shape[3]

    def _spread(self, v):
        return v[:, None, None]


class LayerNorm(_Normalization):
    """Normalises each sample over its features, in the same way in training and evaluation mode.

    Formula: x̂ = (x - μ) / √(σ² + ε), μ and σ² the mean and the biased variance of each row; y = γ x̂ + β
        dβ = Σₙ dy,  dγ = Σₙ dy·x̂,  dx = (dx̂ - mean dx̂ - x̂ · mean(dx̂·x̂)) / √(σ² + ε), dx̂ = γ dy, means over the features

    Arguments:
        num_features: D.
        eps: ε, added to the variance.
        dtype: of the parameters.

    Parameters `weight` (γ) and `bias` (β) as in PyTorch.

    Source: Ba, Kiros, Hinton (2016), Layer normalization, equations 3 and 4.
    """

    def forward(self, x: Inexact[Array, "*models N D"]) -> Inexact[Array, "*stacked N D"]:
        check_features(self, x, self.num_features, self.weight)
        gamma, beta = (value[..., None, :] for value in self._values(x))
        normalized = x - x.mean(axis=-1, keepdims=True)
        inverse_std = 1 / np.sqrt((normalized * normalized).mean(axis=-1, keepdims=True) + self.eps)
        normalized *= inverse_std
        y = gamma * normalized
        y += beta
        self._keep(normalized, inverse_std, y.shape)
        return y

    def backward(self, dy: Inexact[Array, "*models N D"]) -> Inexact[Array, "*models N D"]:
        normalized, inverse_std, shape = self._recall()
        check_gradient(self, dy, shape)
        gamma = self._values(dy)[0][..., None, :]
        self.weight.grad[...], self.bias.grad[...] = sum_over_batch(dy * normalized), sum_over_batch(dy)
        dx = gamma * dy  # dx̂
        correlation = (dx * normalized).mean(axis=-1, keepdims=True)
        dx -= dx.mean(axis=-1, keepdims=True)
        dx -= normalized * correlation
        dx *= inverse_std
        return dx


class GroupNorm(_Normalization):
    """Normalises each sample over groups of its features or, for images, of its channels and their pixels.

    Formula, with means over a group of one sample:
        x̂ = (x - μ) / √(σ² + ε), μ and σ² the mean and the biased variance; y = γ x̂ + β, γ and β one per feature
        dβ = Σ dy,  dγ = Σ dy·x̂,  dx = (dx̂ - mean dx̂ - x̂ · mean(dx̂·x̂)) / √(σ² + ε), dx̂ = γ dy
    With one group, this is layer normalisation; with as many groups as channels, instance normalisation.

    Arguments:
        num_groups: G, a divisor of C.
        num_channels: C, for rows `(N, C)` or images `(N, C, H, W)`.
        eps: ε, added to the variance.
        dtype: of the parameters.

    Parameters `weight` (γ) and `bias` (β), `(C,)`, as in PyTorch.

    Source: Wu and He (2018), Group normalization, equations 1, 2 and 7.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, *, dtype=np.float32) -> None:
        super().__init__(num_channels, eps, dtype=dtype)
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm got num_groups={num_groups}, expected a divisor of num_channels={num_channels}"
            )
        self.num_groups = num_groups

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        (check_images if x.ndim == 4 else check_features)(self, x, self.num_features, self.weight)
        gamma, beta = (self._spread(value, x) for value in self._values(x))
        groups = self._groups(x)
        centered = groups - groups.mean(axis=-1, keepdims=True)
        inverse_std = 1 / np.sqrt((centered * centered).mean(axis=-1, keepdims=True) + self.eps)
        normalized = (centered * inverse_std).reshape(x.shape)
        y = gamma * normalized + beta
        self._keep(normalized, inverse_std, y.shape)
        return y

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        normalized, inverse_std, shape = self._recall()
        check_gradient(self, dy, shape)
        gamma = self._spread(self._values(dy)[0], dy)
        self.weight.grad[...], self.bias.grad[...] = self._sum(dy * normalized), self._sum(dy)
        dx, normalized = self._groups(gamma * dy), self._groups(normalized)  # dx̂ and x̂
        correlation = (dx * normalized).mean(axis=-1, keepdims=True)
        return (inverse_std * (dx - dx.mean(axis=-1, keepdims=True) - normalized * correlation)).reshape(shape)

    def _groups(self, x):
        """The entries of each group on one axis: `(N, G, C/G)` for rows, `(N, G, C/G·H·W)` for images."""
        samples = x.shape[:1] if x.ndim == 4 else x.shape[:-1]
        return x.reshape(*samples, self.num_groups, math.prod(x.shape[len(samples) :]) // self.num_groups)

    def _spread(self, v, x):
        return v[:, None, None] if x.ndim == 4 else v[..., None, :]

    def _sum(self, x):
        """Sum over all axes but the channels."""
        return x.sum(axis=(0, 2, 3)) if x.ndim == 4 else sum_over_batch(x)

    def _describe(self) -> str:
        return f"{self.num_groups}, {self.num_features}"


class RMSNorm(_Normalization):
    """Divides each sample by the root mean square of its features: layer normalisation without the mean and the shift.

    Formula: x̂ = x / √(mean x² + ε), the mean over the features; y = γ x̂
        dγ = Σₙ dy·x̂,  dx = (dx̂ - x̂ · mean(dx̂·x̂)) / √(mean x² + ε), dx̂ = γ dy

    Arguments:
        num_features: D.
        eps: ε, added to the mean square. (PyTorch's default is the dtype's machine epsilon.)
        dtype: of the parameter.

    Parameter `weight` (γ) as in PyTorch.

    Source: Zhang and Sennrich (2019), Root mean square layer normalization, equation 4.
    """

    parameter_names = ("weight",)

    def forward(self, x: Inexact[Array, "*models N D"]) -> Inexact[Array, "*stacked N D"]:
        check_features(self, x, self.num_features, self.weight)
        (gamma,) = (value[..., None, :] for value in self._values(x))
        inverse_rms = 1 / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.eps)
        normalized = x * inverse_rms
        y = gamma * normalized
        self._keep(normalized, inverse_rms, y.shape)
        return y

    def backward(self, dy: Inexact[Array, "*models N D"]) -> Inexact[Array, "*models N D"]:
        normalized, inverse_rms, shape = self._recall()
        check_gradient(self, dy, shape)
        gamma = self._values(dy)[0][..., None, :]
        self.weight.grad[...] = sum_over_batch(dy * normalized)
        dx = gamma * dy  # dx̂
        return inverse_rms * (dx - normalized * (dx * normalized).mean(axis=-1, keepdims=True))
