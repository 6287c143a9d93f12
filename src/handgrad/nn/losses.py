"""Losses: how far predictions are from their targets, averaged over the batch."""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Inexact, Num
from handgrad.nn.arena import FRESH, Workspace
from handgrad.nn.layer import computing_dtype


class Loss:
    """Base of the losses: `forward(x, target)` gives the mean over the batch, `backward()` its gradient dx.

    With a leading axis of models, x `(M, N, K)`, the loss is one number a model, `(M,)`.
    """

    work: Workspace = FRESH
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

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


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
    (for rows of t that do not sum to 1, the logarithm and s are multiplied by that sum).

    Arguments of forward:
        x: scores (logits) `(N, K)`.
        target: class indices `(N,)` of an integer dtype, or one-hot rows (or any probabilities) `(N, K)`.

    Raises:
        ValueError: shapes that do not fit, no samples, or a class outside 0..K-1.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.30; Murphy, Machine Learning (2012),
    section 3.5.3 (log-sum-exp).
    """

    def forward(
        self, x: Inexact[Array, "*models N K"], target: Num[Array, "..."]
    ) -> Inexact[Array, "*models"] | np.inexact:
        computing_dtype(x)
        labels = t = None
        if target.ndim < x.ndim and target.dtype.kind in "iu":
            labels = check_labels(x, target)[..., None]
        else:
            t = _one_hot(x, target)
        shifted = self.work.empty("shifted", x.shape, x.dtype)
        np.subtract(x, x.max(axis=-1, keepdims=True), out=shifted)
        s = self.work.empty("softmax", x.shape, x.dtype)
        np.exp(shifted, out=s)
        total = s.sum(axis=-1, keepdims=True)
        s /= total
        self._kept = (s, labels, t)
        if labels is not None:
            picked = np.take_along_axis(shifted, labels, axis=-1)
            return (np.log(total) - picked).sum(axis=(-2, -1)) / x.shape[-2]
        assert t is not None  # one of the two is there
        return (t.sum(axis=-1) * np.log(total[..., 0]) - (t * shifted).sum(axis=-1)).mean(axis=-1)

    def backward(self) -> Inexact[Array, "*models N K"]:
        s, labels, t = self._recall()
        dx = self.work.empty("dx", s.shape, s.dtype)
        if labels is None:
            np.subtract(t.sum(axis=-1, keepdims=True) * s, t, out=dx)
        else:
            dx[...] = s
            picked = np.take_along_axis(dx, labels, axis=-1)
            picked -= 1
            np.put_along_axis(dx, labels, picked, axis=-1)
        dx /= s.shape[-2]
        return dx


def check_labels(x: Inexact[Array, "*models N K"], labels: Num[Array, "..."]) -> Num[Array, "*models N"]:
    """Class indices that fit the scores `x`, broadcast over the models.

    Raises:
        ValueError: another number of samples, none at all, or a class outside 0..K-1.
    """
    if x.ndim < 2 or x.shape[-2] == 0:
        raise ValueError(f"the loss got x with shape={x.shape}, expected (N, K) with at least one sample")
    if labels.shape not in (x.shape[-2:-1], x.shape[:-1]):
        raise ValueError(f"the loss got target with shape={labels.shape}, expected ({x.shape[-2]},) or {x.shape}")
    if labels.min() < 0 or labels.max() >= x.shape[-1]:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"the loss got class {wrong}, expected classes 0 to {x.shape[-1] - 1}")
    return np.broadcast_to(labels, x.shape[:-1])


def _one_hot(x: Inexact[Array, "*models N K"], target: Num[Array, "..."]) -> Inexact[Array, "*models N K"]:
    if target.ndim < x.ndim and target.dtype.kind in "iu":
        labels = check_labels(x, target)
        return (labels[..., None] == np.arange(x.shape[-1])).astype(np.finfo(x.dtype).dtype)
    if x.ndim < 2 or x.shape[-2] == 0:
        raise ValueError(f"the loss got x with shape={x.shape}, expected (N, K) with at least one sample")
    if target.shape not in (x.shape[-2:], x.shape):
        raise ValueError(
            f"the loss got target with shape={target.shape} and dtype={target.dtype}, "
            f"expected integer classes ({x.shape[-2]},) or one-hot rows {x.shape}"
        )
    return np.broadcast_to(target.astype(np.finfo(x.dtype).dtype, copy=False), x.shape)
