"""Losses: how far predictions are from their targets, averaged over the batch."""

from __future__ import annotations

import math

import numpy as np

from handgrad._typing import Array, Inexact, Num
from handgrad.nn.arena import FRESH, Workspace
from handgrad.nn.layer import computing_dtype


class Loss:
    """Base of the losses: `forward(x, target)` gives the mean over the batch, `backward()` its gradient dx.

    With a leading axis of models, x `(M, N, K)`, the loss is one number a model, `(M,)`.
    """

    work: Workspace = FRESH
    #: Whether class indices are known to be right, and taken unseen: an engine looks at a data set's once.
    trusts_labels = False
    _kept: tuple | None = None

    def forward(
        self, x: Inexact[Array, "*models N K"], target: Num[Array, "..."]
    ) -> Inexact[Array, "*models"] | np.inexact:
        raise NotImplementedError

    def backward(self) -> Inexact[Array, "*models N K"]:
        raise NotImplementedError

    def __call__(
        self, x: Inexact[Array, "*models N K"], target: Num[Array, "..."]
    ) -> Inexact[Array, "*models"] | np.inexact:
        return self.forward(x, target)

    def _recall(self) -> tuple:
        if self._kept is None:
            raise RuntimeError(f"{type(self).__name__}.backward was called before forward: call forward(x, t) first")
        return self._kept

    def _describe(self) -> str:
        """The constructor's arguments, for `repr`."""
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._describe()})"


class CrossEntropy(Loss):
    """Cross-entropy of probabilities, as the courses write it: the softmax is a layer of its own.

    Formula:
        L  = -1/N Σₙ Σₖ tₙₖ log xₙₖ
        dx = -t / (N x)
    Probabilities below the smallest normal number of the dtype count as that number, so L stays finite.

    Arguments of forward:
        x: probabilities `(N, K)`, rows summing to 1.
        target: class indices `(N,)` of an integer dtype, or one-hot rows (or any probabilities) `(N, K)`.

    Raises:
        ValueError: shapes that do not fit, no samples, or a class outside 0..K-1.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.12.
    """

    def forward(
        self, x: Inexact[Array, "*models N K"], target: Num[Array, "..."]
    ) -> Inexact[Array, "*models"] | np.inexact:
        smallest = np.finfo(computing_dtype(x)).tiny
        t = _one_hot(x, target)
        x = np.maximum(x, smallest)
        self._kept = (x, t)
        return -(t * np.log(x)).sum(axis=-1).mean(axis=-1)

    def backward(self) -> Inexact[Array, "*models N K"]:
        x, t = self._recall()
        return -t / (x.shape[-2] * x)


class SoftmaxCrossEntropy(Loss):
    """Softmax and cross-entropy in one, finite whatever the scores.

    Formula, with s = softmax(x):
        L  = 1/N Σₙ (log Σₖ eˣⁿᵏ - Σₖ tₙₖ xₙₖ), the logarithm by log-sum-exp: m + log Σ eˣ⁻ᵐ, m = max x
        dx = (s - t) / N
    (for rows of t that do not sum to 1, the logarithm and s are multiplied by that sum). With label smoothing ε,
    (1 - ε) t + ε/K takes the place of t: a share of ε of every target is spread evenly over the K classes.

    Arguments:
        label_smoothing: ε in [0, 1); 0 for none.

    Arguments of forward:
        x: scores (logits) `(N, K)`.
        target: class indices `(N,)` of an integer dtype, or one-hot rows (or any probabilities) `(N, K)`.

    Raises:
        ValueError: shapes that do not fit, no samples, or a class outside 0..K-1.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.30; Murphy, Machine Learning (2012),
    section 3.5.3 (log-sum-exp); Szegedy et al. (2016), Rethinking the inception architecture, section 7 (smoothing).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                f"SoftmaxCrossEntropy got label_smoothing={label_smoothing}, expected a share in [0, 1): 0.1 is usual"
            )
        self.label_smoothing = label_smoothing

    def forward(
        self, x: Inexact[Array, "*models N K"], target: Num[Array, "..."]
    ) -> Inexact[Array, "*models"] | np.inexact:
        at = t = None
        if target.ndim < x.ndim and target.dtype.kind in "iu":
            if not self.trusts_labels:
                check_labels(x, target)
            at = _label_index(x, target, self.work.plan(_sample_numbers, x))
        else:
            t = _one_hot(x, target)
            if self.label_smoothing:
                t = (1 - self.label_smoothing) * t + self.label_smoothing / x.shape[-1]
        shifted, s = self.work.plan(self._rows, x)
        np.copyto(shifted, x)
        np.subtract(shifted, np.maximum.reduce(shifted, axis=-1, keepdims=True), out=shifted)
        np.exp(shifted, out=s)
        total = np.add.reduce(s, axis=-1, keepdims=True)
        np.divide(s, total, out=s)
        self._kept = (s, at, t)
        log_total = np.log(total[..., 0])
        if t is not None:
            return (t.sum(axis=-1) * log_total - (t * shifted).sum(axis=-1)).mean(axis=-1)
        picked = shifted[at]
        if self.label_smoothing:
            picked *= 1 - self.label_smoothing
            picked += self.label_smoothing * shifted.mean(axis=-1)
        return np.add.reduce(log_total - picked, axis=-1) / x.shape[-2]

    def _rows(self, x: np.ndarray) -> list[np.ndarray]:
        # Samples side by side in memory: with a handful of classes, maxima and sums over rows of N are several times
        # quicker than N maxima and sums over rows of K.
        computing_dtype(x)
        transposed = (*x.shape[:-2], x.shape[-1], x.shape[-2])
        return [self.work.empty(name, transposed, x.dtype).swapaxes(-1, -2) for name in ("shifted", "softmax")]

    def backward(self) -> Inexact[Array, "*models N K"]:
        s, at, t = self._recall()
        n = s.shape[-2]
        dx = self.work.empty("dx", s.shape, s.dtype)
        if at is None:
            np.subtract(t.sum(axis=-1, keepdims=True) * s, t, out=dx)
            dx /= n
            return dx
        np.multiply(s, 1 / n, out=dx)
        if self.label_smoothing:
            dx -= self.label_smoothing / (n * s.shape[-1])
        dx[at] -= (1 - self.label_smoothing) / n
        return dx

    def _describe(self) -> str:
        return f"label_smoothing={self.label_smoothing}" if self.label_smoothing else ""


class NegativeLogLikelihood(Loss):
    """Cross-entropy of log-probabilities: what `LogSoftmax` gives.

    Formula:
        L  = -1/N Σₙ Σₖ tₙₖ xₙₖ
        dx = -t / N

    Arguments of forward:
        x: logarithms of probabilities `(N, K)`.
        target: class indices `(N,)` of an integer dtype, or one-hot rows (or any probabilities) `(N, K)`.

    Raises:
        ValueError: shapes that do not fit, no samples, or a class outside 0..K-1.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), section 5.5, equation 5.63.
    """

    def forward(
        self, x: Inexact[Array, "*models N K"], target: Num[Array, "..."]
    ) -> Inexact[Array, "*models"] | np.inexact:
        computing_dtype(x)
        t = _one_hot(x, target)
        self._kept = (t, x.dtype)
        return -(t * x).sum(axis=-1).mean(axis=-1)

    def backward(self) -> Inexact[Array, "*models N K"]:
        t, dtype = self._recall()
        dx = self.work.empty("dx", t.shape, dtype)
        return np.multiply(t, -1 / t.shape[-2], out=dx)


class MeanSquaredError(Loss):
    """The squared distance to the target, averaged over all numbers: over the N samples and their K outputs.

    Formula:
        L  = 1/(N K) Σₙ Σₖ (xₙₖ - tₙₖ)²
        dx = 2 (x - t) / (N K)
    PyTorch's `MSELoss` is the same. Textbooks often leave out the 1/K, or halve.

    Arguments of forward:
        x: outputs `(N, K)`.
        target: numbers `(N, K)`, or class indices `(N,)` of an integer dtype, which stand for one-hot rows.

    Raises:
        ValueError: shapes that do not fit, no samples, or a class outside 0..K-1.

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 5.11 (a sum there, with the factor 1/2).
    """

    def forward(
        self, x: Inexact[Array, "*models N K"], target: Num[Array, "..."]
    ) -> Inexact[Array, "*models"] | np.inexact:
        difference = self.work.empty("difference", x.shape, computing_dtype(x))
        np.subtract(x, _one_hot(x, target), out=difference)
        self._kept = (difference,)
        return (difference * difference).mean(axis=(-2, -1))

    def backward(self) -> Inexact[Array, "*models N K"]:
        (difference,) = self._recall()
        dx = self.work.empty("dx", difference.shape, difference.dtype)
        return np.multiply(difference, 2 / math.prod(difference.shape[-2:]), out=dx)


_UNSIGNED = {np.dtype(kind).itemsize: kind for kind in (np.uint8, np.uint16, np.uint32, np.uint64)}


def check_labels(x: Inexact[Array, "*models N K"], labels: Num[Array, "..."]) -> None:
    """Raises ValueError for another number of samples than in `x`, none at all, or a class outside 0..K-1."""
    if x.ndim < 2 or x.shape[-2] == 0:
        raise ValueError(f"the loss got x with shape={x.shape}, expected (N, K) with at least one sample")
    if labels.shape not in (x.shape[-2:-1], x.shape[:-1]):
        raise ValueError(f"the loss got target with shape={labels.shape}, expected ({x.shape[-2]},) or {x.shape}")
    if np.maximum.reduce(labels.view(_UNSIGNED[labels.itemsize]), axis=None) >= x.shape[-1]:  # -1 is a very large one
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"the loss got class {wrong}, expected classes 0 to {x.shape[-1] - 1}")


def _label_index(x: np.ndarray, labels: np.ndarray, numbers: np.ndarray) -> tuple:
    """Where the scores `x` of the samples' classes lie, as an index; `numbers` counts the samples."""
    if labels.ndim == 2:
        return np.arange(len(x))[:, None], numbers, labels
    return (numbers, labels) if x.ndim == 2 else (..., numbers, labels)


def _sample_numbers(x: np.ndarray) -> np.ndarray:
    return np.arange(x.shape[-2])


def _one_hot(x: Inexact[Array, "*models N K"], target: Num[Array, "..."]) -> Inexact[Array, "*models N K"]:
    if target.ndim < x.ndim and target.dtype.kind in "iu":
        t = np.zeros(x.shape, np.finfo(x.dtype).dtype)
        check_labels(x, target)
        t[_label_index(x, target, _sample_numbers(x))] = 1
        return t
    if x.ndim < 2 or x.shape[-2] == 0:
        raise ValueError(f"the loss got x with shape={x.shape}, expected (N, K) with at least one sample")
    if target.shape not in (x.shape[-2:], x.shape):
        raise ValueError(
            f"the loss got target with shape={target.shape} and dtype={target.dtype}, "
            f"expected integer classes ({x.shape[-2]},) or one-hot rows {x.shape}"
        )
    return np.broadcast_to(target.astype(np.finfo(x.dtype).dtype, copy=False), x.shape)
