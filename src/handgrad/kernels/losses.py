"""Kernels of the losses."""

from __future__ import annotations

import math

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact, Num
from handgrad.kernels.kernel import LossKernel, kernel_of
from handgrad.nn.layer import computing_dtype
from handgrad.nn.losses import check_labels, target_rows, weighted_sum


@kernel_of(nn.SoftmaxCrossEntropy)
class SoftmaxCrossEntropyKernel(LossKernel):
    loss: nn.SoftmaxCrossEntropy

    def forward(
        self,
        x: Inexact[Array, "*models N K"],
        target: Num[Array, "..."],
        weight: Num[Array, "*stacked N"] | None = None,
    ) -> Inexact[Array, "*models"] | np.inexact:
        smoothing = self.loss.label_smoothing
        at = t = None
        if target.ndim < x.ndim and target.dtype.kind in "iu":
            if not self.checked_labels:
                check_labels(x, target)
            at = _label_index(x, target, self.work.plan(_sample_indices, x))
        else:
            t = target_rows(x, target)
            if smoothing:
                t = (1 - smoothing) * t + smoothing / x.shape[-1]
        shifted, s = self.work.plan(self._rows, x)
        np.copyto(shifted, x)
        np.subtract(shifted, np.maximum.reduce(shifted, axis=-1, keepdims=True), out=shifted)
        np.exp(shifted, out=s)
        total = np.add.reduce(s, axis=-1, keepdims=True)
        np.divide(s, total, out=s)
        self._kept = (s, at, t)
        self._weigh(x, weight)
        log_total = np.log(total[..., 0])
        if t is not None:
            return self._mean(t.sum(axis=-1) * log_total - (t * shifted).sum(axis=-1))
        picked = shifted[at]
        if smoothing:
            picked *= 1 - smoothing
            picked += smoothing * shifted.mean(axis=-1)
        return self._mean(log_total - picked)

    def _rows(self, x: np.ndarray) -> list[np.ndarray]:
        # Samples are contiguous in memory: with few classes, maxima and sums over rows of length N are several times as
        # fast as N maxima and sums over rows of length K.
        computing_dtype(x)
        transposed = (*x.shape[:-2], x.shape[-1], x.shape[-2])
        return [self.work.empty(name, transposed, x.dtype).swapaxes(-1, -2) for name in ("shifted", "softmax")]

    def backward(self) -> Inexact[Array, "*models N K"]:
        s, at, t = self._recall()
        n, smoothing, share = s.shape[-2], self.loss.label_smoothing, self.share
        dx = self.work.empty("dx", s.shape, s.dtype)
        if at is None:
            np.subtract(t.sum(axis=-1, keepdims=True) * s, t, out=dx)
            if share is None:
                dx /= n
            else:
                dx *= share[..., None]
            return dx
        np.multiply(s, 1 / n if share is None else share[..., None], out=dx)
        if smoothing:
            dx -= smoothing / (n * s.shape[-1]) if share is None else share[..., None] * (smoothing / s.shape[-1])
        dx[at] -= (1 - smoothing) / n if share is None else (1 - smoothing) * share
        return dx


@kernel_of(nn.NegativeLogLikelihood)
class NegativeLogLikelihoodKernel(LossKernel):
    loss: nn.NegativeLogLikelihood

    def forward(
        self,
        x: Inexact[Array, "*models N K"],
        target: Num[Array, "..."],
        weight: Num[Array, "*stacked N"] | None = None,
    ) -> Inexact[Array, "*models"] | np.inexact:
        computing_dtype(x)
        t = target_rows(x, target)
        self._kept = (t, x.dtype)
        self._weigh(x, weight)
        return -self._mean(weighted_sum(t, x))

    def backward(self) -> Inexact[Array, "*models N K"]:
        t, dtype = self._recall()
        dx = self.work.empty("dx", t.shape, dtype)
        return np.multiply(t, -1 / t.shape[-2] if self.share is None else -self.share[..., None], out=dx)


@kernel_of(nn.MeanSquaredError)
class MeanSquaredErrorKernel(LossKernel):
    loss: nn.MeanSquaredError

    def forward(
        self,
        x: Inexact[Array, "*models N K"],
        target: Num[Array, "..."],
        weight: Num[Array, "*stacked N"] | None = None,
    ) -> Inexact[Array, "*models"] | np.inexact:
        difference = self.work.empty("difference", x.shape, computing_dtype(x))
        np.subtract(x, target_rows(x, target), out=difference)
        self._kept = (difference,)
        self._weigh(x, weight)
        squares = difference * difference
        return squares.mean(axis=(-2, -1)) if weight is None else self._mean(squares.mean(axis=-1))

    def backward(self) -> Inexact[Array, "*models N K"]:
        (difference,) = self._recall()
        dx = self.work.empty("dx", difference.shape, difference.dtype)
        if self.share is None:
            return np.multiply(difference, 2 / math.prod(difference.shape[-2:]), out=dx)
        return np.multiply(difference, (2 / difference.shape[-1]) * self.share[..., None], out=dx)


def _sample_indices(x: np.ndarray) -> np.ndarray:
    return np.arange(x.shape[-2])


def _label_index(x: np.ndarray, labels: np.ndarray, numbers: np.ndarray) -> tuple:
    """The index of the scores `x` of the samples' classes; `numbers` counts the samples."""
    if labels.ndim == 2:
        return np.arange(len(x))[:, None], numbers, labels
    return (numbers, labels) if x.ndim == 2 else (..., numbers, labels)
