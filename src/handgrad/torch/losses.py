"""Losses: how far predictions are from their targets, averaged over the batch.

Targets are classes `(N,)` of an integer dtype, or rows `(N, K)`: one-hot, or any probabilities. They get no gradient.
On a device nothing is read back, so a class outside 0..K-1 is PyTorch's own error, not ours.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function

from handgrad._typing import Float, Num
from handgrad.torch.softmax import log_softmax, softmax


class CrossEntropyFunction(Function):
    """Cross-entropy of probabilities: `apply(x, target)`, with x `(N, K)`.

    Formula: L = -1/N Σₙ Σₖ tₙₖ log xₙₖ; dx = -t / (N x). Probabilities below the smallest normal number of the dtype
    count as that number, so L stays finite. Second derivatives: yes.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.12.
    """

    @staticmethod
    def forward(ctx, x, target):
        ctx.save_for_backward(x, target)
        return -(rows(target, x) * _positive(x).log()).sum(-1).mean()

    @staticmethod
    def backward(ctx, dloss):
        x, target = ctx.saved_tensors
        return dloss * -rows(target, x) / (len(x) * _positive(x)), None


class SoftmaxCrossEntropyFunction(Function):
    """Softmax and cross-entropy in one, finite whatever the scores: `apply(x, target, label_smoothing=0.0)`.

    Formula, with s = softmax(x):
        L  = 1/N Σₙ (log Σₖ eˣⁿᵏ - Σₖ tₙₖ xₙₖ),   dx = (s - t) / N
    (for rows of t that do not sum to 1, the logarithm and s are multiplied by that sum). Label smoothing ε puts
    (1 - ε) t + ε/K in the place of t. Second derivatives: yes.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.30; Szegedy et al. (2016), Rethinking the
    inception architecture for computer vision, section 7 (label smoothing).
    """

    @staticmethod
    def forward(ctx, x, target, label_smoothing=0.0):
        ctx.label_smoothing = label_smoothing
        ctx.save_for_backward(x, target)
        return -(rows(target, x, label_smoothing) * log_softmax(x)).sum(-1).mean()

    @staticmethod
    def backward(ctx, dloss):
        x, target = ctx.saved_tensors
        t = rows(target, x, ctx.label_smoothing)
        return dloss * (t.sum(-1, keepdim=True) * softmax(x) - t) / len(x), None, None


class NegativeLogLikelihoodFunction(Function):
    """Negative log-likelihood of logarithms of probabilities: `apply(x, target)`, with x `(N, K)`.

    Formula: L = -1/N Σₙ Σₖ tₙₖ xₙₖ; dx = -t / N. Second derivatives: yes (0).

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 5.62 (its mean).
    """

    @staticmethod
    def forward(ctx, x, target):
        ctx.save_for_backward(target)
        ctx.shape = x.shape
        t = rows(target, x)
        return -(t * x.masked_fill(t == 0, 0)).sum(-1).mean()  # 0·(-∞) = 0: an impossible class may be impossible

    @staticmethod
    def backward(ctx, dloss):
        (target,) = ctx.saved_tensors
        return dloss * -rows(target, dloss.expand(ctx.shape)) / ctx.shape[0], None


class MeanSquaredErrorFunction(Function):
    """Mean squared error: `apply(x, target)`, with x `(N, K)`.

    Formula: L = 1/(N K) Σ (x - t)²; dx = 2 (x - t) / (N K). Second derivatives: yes.

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 5.11 (a sum there, with the factor 1/2).
    """

    @staticmethod
    def forward(ctx, x, target):
        ctx.save_for_backward(x, target)
        return ((x - rows(target, x)) ** 2).mean()

    @staticmethod
    def backward(ctx, dloss):
        x, target = ctx.saved_tensors
        return dloss * 2 * (x - rows(target, x)) / x.numel(), None


def rows(target: Num[Tensor, "..."], x: Float[Tensor, "N K"], label_smoothing: float = 0.0) -> Float[Tensor, "N K"]:
    """Classes as one-hot rows; rows as they are, in the dtype of x; smoothed."""
    if target.ndim < x.ndim:
        target = target.unsqueeze(-1) == torch.arange(x.shape[-1], device=target.device)
    t = target.to(x.dtype)
    return t if label_smoothing == 0 else (1 - label_smoothing) * t + label_smoothing / x.shape[-1]


def _positive(x: Tensor) -> Tensor:
    return x.clamp(min=torch.finfo(x.dtype).tiny)


def _check(loss: torch.nn.Module, x: Tensor, target: Tensor) -> None:
    classes = target.ndim == 1 and not target.is_floating_point()
    if x.ndim != 2 or len(x) == 0 or target.shape != (x.shape[:1] if classes else x.shape):
        raise ValueError(
            f"{loss!r} got x with shape={tuple(x.shape)} and target with shape={tuple(target.shape)} and "
            f"dtype={target.dtype}, expected (N, K) with at least one sample, and integer classes (N,) or rows (N, K)"
        )


class CrossEntropy(torch.nn.Module):
    """`CrossEntropyFunction`: of probabilities `(N, K)` and classes `(N,)` or rows `(N, K)`.

    Raises:
        ValueError: shapes that do not fit, or no samples.
    """

    def forward(self, x: Float[Tensor, "N K"], target: Num[Tensor, "..."]) -> Float[Tensor, ""]:
        _check(self, x, target)
        return CrossEntropyFunction.apply(x, target)


class SoftmaxCrossEntropy(torch.nn.Module):
    """`SoftmaxCrossEntropyFunction`: of scores `(N, K)` and classes `(N,)` or rows `(N, K)`.

    Arguments:
        label_smoothing: ε in [0, 1).

    Raises:
        ValueError: ε out of range, shapes that do not fit, or no samples.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"SoftmaxCrossEntropy got label_smoothing={label_smoothing}, expected a share in [0, 1)")
        self.label_smoothing = label_smoothing

    def forward(self, x: Float[Tensor, "N K"], target: Num[Tensor, "..."]) -> Float[Tensor, ""]:
        _check(self, x, target)
        return SoftmaxCrossEntropyFunction.apply(x, target, self.label_smoothing)

    def extra_repr(self) -> str:
        return f"label_smoothing={self.label_smoothing}" if self.label_smoothing else ""


class NegativeLogLikelihood(torch.nn.Module):
    """`NegativeLogLikelihoodFunction`: of logarithms of probabilities `(N, K)` and classes `(N,)` or rows `(N, K)`.

    Raises:
        ValueError: shapes that do not fit, or no samples.
    """

    def forward(self, x: Float[Tensor, "N K"], target: Num[Tensor, "..."]) -> Float[Tensor, ""]:
        _check(self, x, target)
        return NegativeLogLikelihoodFunction.apply(x, target)


class MeanSquaredError(torch.nn.Module):
    """`MeanSquaredErrorFunction`: of outputs `(N, K)` and numbers `(N, K)`, or classes `(N,)` for one-hot rows.

    Raises:
        ValueError: shapes that do not fit, or no samples.
    """

    def forward(self, x: Float[Tensor, "N K"], target: Num[Tensor, "..."]) -> Float[Tensor, ""]:
        _check(self, x, target)
        return MeanSquaredErrorFunction.apply(x, target)
