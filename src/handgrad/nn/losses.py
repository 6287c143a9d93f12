"""Losses: how far predictions are from their targets, averaged over the batch."""

from __future__ import annotations

import math

import numpy as np

from handgrad._typing import Array, Inexact, Num
from handgrad.nn.layer import Remembering, computing_dtype


class Loss(Remembering):
    """Base of the losses: `forward(x, target)` gives the mean over the batch, `backward()` its gradient dx.

    Arguments of forward:
        x: `(N, K)`; with a leading axis of models, `(M, N, K)`, the loss is one number per model, `(M,)`.
        target: class indices `(N,)` of an integer dtype, or rows `(N, K)`: one-hot, or any probabilities.

    Raises:
        ValueError: shapes that do not fit, no samples, or a class outside 0..K-1.
    """

    _arguments = "x, t"

    def forward(self, x: Inexact[Array, "*models N K"], target: Num[Array, "..."] | list) -> np.ndarray | np.inexact:
        raise NotImplementedError

    def backward(self) -> Inexact[Array, "*models N K"]:
        raise NotImplementedError


class CrossEntropy(Loss):
    """Cross-entropy of probabilities, as the courses write it: the softmax is a layer of its own.

    Formula:
        L  = -1/N Σₙ Σₖ tₙₖ log xₙₖ
        dx = -t / (N x)
    Probabilities below the smallest normal number of the dtype count as that number, so L stays finite.

    Raises ValueError where the rows of x cannot be probabilities.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.12.
    """

    def forward(self, x, target):
        smallest = np.finfo(computing_dtype(x)).tiny
        t = target_rows(x, target)
        check_probabilities(x)
        x = np.maximum(x, smallest)
        self._keep(x, t)
        return -(t * np.log(x)).sum(axis=-1).mean(axis=-1)

    def backward(self):
        x, t = self._recall()
        return -t / (x.shape[-2] * x)


class SoftmaxCrossEntropy(Loss):
    """Softmax and cross-entropy in one, finite whatever the scores (logits).

    Formula, with s = softmax(x):
        L  = 1/N Σₙ (log Σₖ eˣⁿᵏ - Σₖ tₙₖ xₙₖ), the logarithm by log-sum-exp: m + log Σ eˣ⁻ᵐ, m = max x
        dx = (s - t) / N
    (for rows of t that do not sum to 1, the logarithm and s are multiplied by that sum). With label smoothing ε,
    (1 - ε) t + ε/K replaces t: a share of ε of every target is spread evenly over the K classes.

    Arguments:
        label_smoothing: ε in [0, 1); 0 for none.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.30; Murphy, Machine Learning (2012),
    section 3.5.3 (log-sum-exp); Szegedy et al. (2016), Rethinking the inception architecture, section 7 (smoothing).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                f"SoftmaxCrossEntropy got label_smoothing={label_smoothing}, expected a share in [0, 1): 0.1 is usual"
            )
        self.label_smoothing = label_smoothing

    def forward(self, x, target):
        computing_dtype(x)
        t = target_rows(x, target)
        if self.label_smoothing:
            t = (1 - self.label_smoothing) * t + self.label_smoothing / x.shape[-1]
        shifted = x - x.max(axis=-1, keepdims=True)
        e = np.exp(shifted)
        total = e.sum(axis=-1, keepdims=True)
        self._keep(e / total, t)
        return (t.sum(axis=-1) * np.log(total[..., 0]) - weighted_sum(t, shifted)).mean(axis=-1)

    def backward(self):
        s, t = self._recall()
        return (t.sum(axis=-1, keepdims=True) * s - t) / s.shape[-2]

    def _describe(self) -> str:
        return f"label_smoothing={self.label_smoothing}" if self.label_smoothing else ""


class NegativeLogLikelihood(Loss):
    """Cross-entropy of log-probabilities: what `LogSoftmax` gives.

    Formula:
        L  = -1/N Σₙ Σₖ tₙₖ xₙₖ
        dx = -t / N

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), section 5.5, equation 5.63.
    """

    def forward(self, x, target):
        dtype = computing_dtype(x)
        t = target_rows(x, target)
        self._keep(t, dtype)
        return -weighted_sum(t, x).mean(axis=-1)

    def backward(self):
        t, dtype = self._recall()
        return (-t / t.shape[-2]).astype(dtype, copy=False)


class MeanSquaredError(Loss):
    """The squared distance to the target, averaged over all numbers: over the N samples and their K outputs.

    Formula:
        L  = 1/(N K) Σₙ Σₖ (xₙₖ - tₙₖ)²
        dx = 2 (x - t) / (N K)
    PyTorch's `MSELoss` is the same. Textbooks often leave out the 1/K, or halve. The target may be any numbers
    `(N, K)`; class indices stand for one-hot rows.

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 5.11 (a sum there, with the factor 1/2).
    """

    def forward(self, x, target):
        computing_dtype(x)
        difference = x - target_rows(x, target)
        self._keep(difference)
        return (difference * difference).mean(axis=(-2, -1))

    def backward(self):
        (difference,) = self._recall()
        return 2 * difference / math.prod(difference.shape[-2:])


def check_labels(x: Inexact[Array, "*models N K"], labels: Num[Array, "..."]) -> None:
    """Raises ValueError for another number of samples than in `x`, none at all, or a class outside 0..K-1."""
    if x.ndim < 2 or x.shape[-2] == 0:
        raise ValueError(f"the loss got x with shape={x.shape}, expected (N, K) with at least one sample")
    if labels.shape not in (x.shape[-2:-1], x.shape[:-1]):
        raise ValueError(f"the loss got target with shape={labels.shape}, expected ({x.shape[-2]},) or {x.shape}")
    if labels.min() < 0 or labels.max() >= x.shape[-1]:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"the loss got class {wrong}, expected classes 0 to {x.shape[-1] - 1}")


def check_probabilities(x: Inexact[Array, "*models N K"]) -> None:
    """Raises ValueError where rows of `x` cannot be probabilities: numbers outside [0, 1], or a sum far from 1. A
    hundredth more or less may be rounding in float16, or a step of a numerical derivative."""
    p = np.real(x)
    total = p.sum(axis=-1)
    if p.min() < -0.01 or p.max() > 1.01 or (abs(total - 1) > 0.01).any():
        raise ValueError(
            f"CrossEntropy got x between {p.min():.3g} and {p.max():.3g} with rows that sum to {total.min():.3g} up to "
            f"{total.max():.3g}, expected probabilities: for scores (logits) take SoftmaxCrossEntropy, which is "
            "PyTorch's CrossEntropyLoss"
        )


def label_index(x: np.ndarray, labels: np.ndarray, numbers: np.ndarray) -> tuple:
    """Where the scores `x` of the samples' classes lie, as an index; `numbers` counts the samples."""
    if labels.ndim == 2:
        return np.arange(len(x))[:, None], numbers, labels
    return (numbers, labels) if x.ndim == 2 else (..., numbers, labels)


def target_rows(x: Inexact[Array, "*models N K"], target: Num[Array, "..."] | list) -> Inexact[Array, "*models N K"]:
    """The target as rows in the shape of `x`, in its real dtype; class indices become one-hot rows."""
    dtype, target = np.finfo(x.dtype).dtype, np.asarray(target)
    if target.ndim < x.ndim and target.dtype.kind in "iu":
        check_labels(x, target)
        t = np.zeros(x.shape, dtype)
        t[label_index(x, target, np.arange(x.shape[-2]))] = 1
        return t
    if x.ndim < 2 or x.shape[-2] == 0:
        raise ValueError(f"the loss got x with shape={x.shape}, expected (N, K) with at least one sample")
    if target.shape not in (x.shape[-2:], x.shape):
        raise ValueError(
            f"the loss got target with shape={target.shape} and dtype={target.dtype}, "
            f"expected integer classes ({x.shape[-2]},) or one-hot rows {x.shape}"
        )
    return np.broadcast_to(target.astype(dtype, copy=False), x.shape)


def weighted_sum(t: Inexact[Array, "*models N K"], x: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N"]:
    """Σₖ tₖ xₖ of every row, where 0·(-∞) = 0: a class that is not asked for may be impossible."""
    return (t * np.where(t == 0, 0, x)).sum(axis=-1)
