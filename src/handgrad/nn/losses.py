"""Losses, averaged over the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad._typing import Array, Inexact, Num
from handgrad.nn.layer import Remembering, computing_dtype


class Loss(Remembering):
    """Base class of losses: `forward(x, target)` returns the mean over the batch, `backward()` its gradient dx.

    With sample weights, wₙ / Σ w replaces 1/N in every formula: L = Σ wₙ Lₙ / Σ wₙ, as in PyTorch with class weights.
    If all weights are 0, L and dx are 0.

    Arguments of forward:
        x: `(N, K)`; with a leading axis of models, `(M, N, K)`, the loss is one number per model, `(M,)`.
        target: class indices `(N,)` of an integer dtype, or rows `(N, K)`: one-hot, or any probabilities.
        weight: `(N,)`, or `(M, N)` for models with different samples, at least 0; None for equal weights.

    Raises:
        ValueError: shapes that do not match, no samples, a class outside 0..K-1, or a negative weight.
    """

    _arguments = "x, t"

    def forward(self, x: Inexact[Array, "*models N K"], target: Num[Array, "..."] | list, weight=None) -> Any:
        computing_dtype(x)
        losses, *kept = self._losses(x, target_rows(x, target))
        w = sample_weights(x, weight)
        total = w.sum(axis=-1, keepdims=True)
        total[total == 0] = 1
        self._keep((w / total)[..., None] if weight is not None else 1 / len(w), *kept)
        return (w * losses).sum(axis=-1) / total[..., 0]

    def backward(self) -> Inexact[Array, "*models N K"]:
        share, *kept = self._recall()
        return share * self._gradients(*kept)

    #: (x, t) -> Lₙ `(*models, N)` and the arguments of `_gradients`, which returns their gradients `(*models, N, K)`.
    _losses: Callable[..., tuple]
    _gradients: Callable[..., np.ndarray]


class CrossEntropy(Loss):
    """Cross-entropy of probabilities, as in the courses, where the softmax is a separate layer.

    Formula:
        L  = -1/N Σₙ Σₖ tₙₖ log xₙₖ
        dx = -t / (N x)
    Probabilities are clipped at the smallest normal number of the dtype, so L stays finite.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.12.
    """

    def _losses(self, x, t):
        check_probabilities(x)
        x = np.maximum(x, np.finfo(x.dtype).tiny)
        return -(t * np.log(x)).sum(axis=-1), x, t

    def _gradients(self, x, t):
        return -t / x


class SoftmaxCrossEntropy(Loss):
    """Fused softmax and cross-entropy, finite for any scores (logits).

    Formula, with s = softmax(x):
        L  = 1/N Σₙ (log Σₖ eˣⁿᵏ - Σₖ tₙₖ xₙₖ), the logarithm by log-sum-exp: m + log Σ eˣ⁻ᵐ, m = max x
        dx = (s - t) / N
    (for rows of t that do not sum to 1, the logarithm and s are multiplied by that sum). With label smoothing ε,
    (1 - ε) t + ε/K replaces t: a fraction ε of every target is distributed over the K classes.

    Arguments:
        label_smoothing: ε in [0, 1); 0 for none.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.30; Murphy, Machine Learning (2012),
    section 3.5.3 (log-sum-exp); Szegedy et al. (2016), Rethinking the inception architecture, section 7 (smoothing).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"SoftmaxCrossEntropy got label_smoothing={label_smoothing}, expected a share in [0, 1)")
        self.label_smoothing = label_smoothing

    def _losses(self, x, t):
        if self.label_smoothing:
            t = (1 - self.label_smoothing) * t + self.label_smoothing / x.shape[-1]
        shifted = x - x.max(axis=-1, keepdims=True)
        e = np.exp(shifted)
        total = e.sum(axis=-1, keepdims=True)
        return t.sum(axis=-1) * np.log(total[..., 0]) - weighted_sum(t, shifted), e / total, t

    def _gradients(self, s, t):
        return t.sum(axis=-1, keepdims=True) * s - t

    def _describe(self) -> str:
        return f"label_smoothing={self.label_smoothing}" if self.label_smoothing else ""


class NegativeLogLikelihood(Loss):
    """Cross-entropy of log-probabilities, the output of `LogSoftmax`.

    Formula:
        L  = -1/N Σₙ Σₖ tₙₖ xₙₖ
        dx = -t / N

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), section 5.5, equation 5.63.
    """

    def _losses(self, x, t):
        return -weighted_sum(t, x), t.astype(x.dtype, copy=False)

    def _gradients(self, t):
        return -t


class MeanSquaredError(Loss):
    """The squared difference from the target, averaged over the N samples and their K outputs.

    Formula:
        L  = 1/(N K) Σₙ Σₖ (xₙₖ - tₙₖ)²
        dx = 2 (x - t) / (N K)
    PyTorch's `MSELoss` is the same. Textbooks often omit the 1/K or use 1/2. The target may be any numbers `(N, K)`;
    class indices are converted to one-hot rows.

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 5.11 (a sum there, with the factor 1/2).
    """

    def _losses(self, x, t):
        difference = x - t
        return (difference * difference).mean(axis=-1), difference

    def _gradients(self, difference):
        return 2 * difference / difference.shape[-1]


class MeanAbsoluteError(Loss):
    """The absolute difference from the target, averaged like `MeanSquaredError`; less sensitive to outliers.

    Formula, as PyTorch's `L1Loss`:
        L  = 1/(N K) Σₙ Σₖ |xₙₖ - tₙₖ|
        dx = sign(x - t) / (N K), with sign(0) = 0

    Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning (2009), section 10.6.
    """

    def _losses(self, x, t):
        sign = np.sign((x - t).real)
        return (sign * (x - t)).mean(axis=-1), sign.astype(x.dtype, copy=False)

    def _gradients(self, sign):
        return sign / sign.shape[-1]


class Huber(Loss):
    """Squared error up to a difference of `delta` = δ > 0, absolute error beyond, averaged like `MeanSquaredError`.

    Formula, with d = x - t and c = d clipped to [-δ, δ], as PyTorch's `HuberLoss`:
        L  = 1/(N K) Σₙ Σₖ c (d - c/2), which is d²/2 where |d| ≤ δ and δ |d| - δ²/2 elsewhere
        dx = c / (N K)

    Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning (2009), equation 10.23.
    """

    options = ("delta",)

    def __init__(self, delta: float = 1.0) -> None:
        if not delta > 0:
            raise ValueError(f"Huber got delta={delta}, expected a number above 0")
        self.delta = delta

    def _losses(self, x, t):
        d = x - t
        c = np.where(abs(d.real) <= self.delta, d, self.delta * np.sign(d.real))
        return (c * (d - c / 2)).mean(axis=-1), c

    def _gradients(self, c):
        return c / c.shape[-1]


def check_labels(x: Inexact[Array, "*models N K"], labels: Num[Array, "..."]) -> None:
    """Raises ValueError for a number of samples that differs from `x`, no samples, or a class outside 0..K-1."""
    if x.ndim < 2 or x.shape[-2] == 0:
        raise ValueError(f"the loss got x with shape={x.shape}, expected (N, K) with at least one sample")
    if labels.shape not in (x.shape[-2:-1], x.shape[:-1]):
        raise ValueError(f"the loss got target with shape={labels.shape}, expected ({x.shape[-2]},) or {x.shape}")
    if labels.min() < 0 or labels.max() >= x.shape[-1]:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"the loss got class {wrong}, expected classes 0 to {x.shape[-1] - 1}")


def check_probabilities(x: Inexact[Array, "*models N K"]) -> None:
    """Raises ValueError if rows of `x` cannot be probabilities: numbers outside [0, 1], or a sum far from 1. A
    deviation of 0.01 may be rounding in float16, or a step of a numerical derivative."""
    p = np.real(x)
    total = p.sum(axis=-1)
    if p.min() < -0.01 or p.max() > 1.01 or (abs(total - 1) > 0.01).any():
        raise ValueError(
            f"CrossEntropy got x between {p.min():.3g} and {p.max():.3g} with rows that sum to {total.min():.3g} up to "
            f"{total.max():.3g}, expected probabilities: for scores (logits), use SoftmaxCrossEntropy, which is "
            "PyTorch's CrossEntropyLoss"
        )


def sample_weights(x: Inexact[Array, "*models N K"], weight: Num[Array, "*m N"] | None) -> Inexact[Array, "*m N"]:
    """The weights in the real dtype of `x`; 1 for each sample if there are none."""
    w = np.ones(x.shape[-2]) if weight is None else np.asarray(weight)
    if w.shape not in (x.shape[-2:-1], x.shape[:-1]) or not (w >= 0).all():
        raise ValueError(
            f"the loss got weight={w} with shape={w.shape}, expected ({x.shape[-2]},) numbers of at least 0"
        )
    return w.astype(np.finfo(x.dtype).dtype, copy=False)


def target_rows(x: Inexact[Array, "*models N K"], target: Num[Array, "..."] | list) -> Inexact[Array, "*models N K"]:
    """The target as rows in the shape of `x`, in its real dtype; class indices become one-hot rows."""
    dtype, target = np.finfo(x.dtype).dtype, np.asarray(target)
    if target.ndim < x.ndim and target.dtype.kind in "iu":
        check_labels(x, target)
        return np.broadcast_to(target[..., None] == np.arange(x.shape[-1]), x.shape).astype(dtype)
    if x.ndim < 2 or x.shape[-2] == 0:
        raise ValueError(f"the loss got x with shape={x.shape}, expected (N, K) with at least one sample")
    if target.shape not in (x.shape[-2:], x.shape):
        got = f"shape={target.shape} and dtype={target.dtype}"
        expected = f"integer classes ({x.shape[-2]},) or one-hot rows {x.shape}"
        raise ValueError(f"the loss got target with {got}, expected {expected}")
    return np.broadcast_to(target.astype(dtype, copy=False), x.shape)


def weighted_sum(t: Inexact[Array, "*models N K"], x: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N"]:
    """Σₖ tₖ xₖ of every row, with 0·(-∞) = 0: classes with target 0 may have probability 0."""
    return (t * np.where(t == 0, 0, x)).sum(axis=-1)
