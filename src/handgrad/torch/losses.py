"""Losses, averaged over the batch.

Targets are class indices `(N,)` of an integer dtype, or rows `(N, K)`: one-hot, or any probabilities. They get no
gradient. Nothing is read back from the device, so a class outside 0..K-1 is an error of PyTorch, not of handgrad.

All losses take sample weights `(N,)` as their last argument: wₙ / Σ w then replaces 1/N in every formula.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function

from handgrad._typing import Float, Num
from handgrad.torch.softmax import log_softmax, softmax


class CrossEntropyFunction(Function):
    """Cross-entropy of probabilities: `apply(x, target)`, with x `(N, K)`.

    Formula: L = -1/N Σₙ Σₖ tₙₖ log xₙₖ; dx = -t / (N x). Probabilities are clipped at the smallest normal number of the
    dtype, so L stays finite. Second derivatives: yes.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.12.
    """

    @staticmethod
    def forward(ctx, x, target, weight=None):
        ctx.save_for_backward(x, target, weight)
        return -mean((rows(target, x) * _positive(x).log()).sum(-1), weight)

    @staticmethod
    def backward(ctx, dloss):
        x, target, weight = ctx.saved_tensors
        return dloss * -rows(target, x) / _positive(x) * shares(x, weight), None, None


class SoftmaxCrossEntropyFunction(Function):
    """Fused softmax and cross-entropy, finite for any scores: `apply(x, target, label_smoothing=0.0)`.

    Formula, with s = softmax(x):
        L  = 1/N Σₙ (log Σₖ eˣⁿᵏ - Σₖ tₙₖ xₙₖ),   dx = (s - t) / N
    (for rows of t that do not sum to 1, the logarithm and s are multiplied by that sum). Label smoothing ε replaces t
    by (1 - ε) t + ε/K. Second derivatives: yes.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.30; Szegedy et al. (2016), Rethinking the
    inception architecture for computer vision, section 7 (label smoothing).
    """

    @staticmethod
    def forward(ctx, x, target, label_smoothing=0.0, weight=None):
        ctx.label_smoothing = label_smoothing
        ctx.save_for_backward(x, target, weight)
        return -mean((rows(target, x, label_smoothing) * log_softmax(x)).sum(-1), weight)

    @staticmethod
    def backward(ctx, dloss):
        x, target, weight = ctx.saved_tensors
        t = rows(target, x, ctx.label_smoothing)
        return dloss * (t.sum(-1, keepdim=True) * softmax(x) - t) * shares(x, weight), None, None, None


class NegativeLogLikelihoodFunction(Function):
    """Negative log-likelihood of log-probabilities: `apply(x, target)`, with x `(N, K)`.

    Formula: L = -1/N Σₙ Σₖ tₙₖ xₙₖ; dx = -t / N. Second derivatives: yes (0).

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 5.62 (its mean).
    """

    @staticmethod
    def forward(ctx, x, target, weight=None):
        ctx.save_for_backward(target, weight)
        ctx.shape = x.shape
        t = rows(target, x)
        # 0·(-∞) = 0: classes with target 0 may have probability 0
        return -mean((t * x.masked_fill(t == 0, 0)).sum(-1), weight)

    @staticmethod
    def backward(ctx, dloss):
        target, weight = ctx.saved_tensors
        like = dloss.expand(ctx.shape)
        return dloss * -rows(target, like) * shares(like, weight), None, None


class MeanSquaredErrorFunction(Function):
    """Mean squared error: `apply(x, target)`, with x `(N, K)`.

    Formula: L = 1/(N K) Σ (x - t)²; dx = 2 (x - t) / (N K). Second derivatives: yes.

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 5.11 (a sum there, with the factor 1/2).
    """

    @staticmethod
    def forward(ctx, x, target, weight=None):
        ctx.save_for_backward(x, target, weight)
        return mean(((x - rows(target, x)) ** 2).mean(-1), weight)

    @staticmethod
    def backward(ctx, dloss):
        x, target, weight = ctx.saved_tensors
        return dloss * 2 * (x - rows(target, x)) / x.shape[-1] * shares(x, weight), None, None


class MeanAbsoluteErrorFunction(Function):
    """Mean absolute error (L1): `apply(x, target)`, with x `(N, K)`.

    Formula: L = 1/(N K) Σ |x - t|; dx = sign(x - t) / (N K). Second derivatives: yes (0).

    Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning (2009), section 10.6.
    """

    @staticmethod
    def forward(ctx, x, target, weight=None):
        ctx.save_for_backward(x, target, weight)
        return mean((x - rows(target, x)).abs().mean(-1), weight)

    @staticmethod
    def backward(ctx, dloss):
        x, target, weight = ctx.saved_tensors
        return dloss * (x - rows(target, x)).sign() / x.shape[-1] * shares(x, weight), None, None


class HuberFunction(Function):
    """Squared error up to a difference of δ, absolute error beyond: `apply(x, target, delta=1.0)`, with x `(N, K)`.

    Formula, with d = x - t and c = d clipped to [-δ, δ]: L = 1/(N K) Σ c (d - c/2); dx = c / (N K). Second
    derivatives: yes.

    Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning (2009), equation 10.23.
    """

    @staticmethod
    def forward(ctx, x, target, delta=1.0, weight=None):
        ctx.delta = delta
        ctx.save_for_backward(x, target, weight)
        d = x - rows(target, x)
        c = d.clamp(-delta, delta)
        return mean((c * (d - c / 2)).mean(-1), weight)

    @staticmethod
    def backward(ctx, dloss):
        x, target, weight = ctx.saved_tensors
        c = (x - rows(target, x)).clamp(-ctx.delta, ctx.delta)
        return dloss * c / x.shape[-1] * shares(x, weight), None, None, None


def mean(losses: Float[Tensor, "N"], weight: Float[Tensor, "N"] | None) -> Float[Tensor, ""]:
    """The weighted mean of the losses of the samples: Σ w L / Σ w, or 0 if all weights are 0."""
    if weight is None:
        return losses.mean()
    return (weight * losses).sum() / _total(weight)


def shares(x: Float[Tensor, "N K"], weight: Float[Tensor, "N"] | None) -> Float[Tensor, "N 1"] | float:
    """The factor of a sample's gradient in the gradient of the mean."""
    return 1 / len(x) if weight is None else (weight.to(x.dtype) / _total(weight)).unsqueeze(-1)


def _total(weight: Tensor) -> Tensor:
    total = weight.sum()
    return torch.where(total == 0, torch.ones_like(total), total)


def rows(target: Num[Tensor, "..."], x: Float[Tensor, "N K"], label_smoothing: float = 0.0) -> Float[Tensor, "N K"]:
    """Class indices as one-hot rows, or rows in the dtype of x, with label smoothing applied."""
    if target.ndim < x.ndim:
        target = target.unsqueeze(-1) == torch.arange(x.shape[-1], device=target.device)
    t = target.to(x.dtype)
    return t if label_smoothing == 0 else (1 - label_smoothing) * t + label_smoothing / x.shape[-1]


def _positive(x: Tensor) -> Tensor:
    return x.clamp(min=torch.finfo(x.dtype).tiny)


def _check(loss: torch.nn.Module, x: Tensor, target: Tensor, weight: Tensor | None) -> None:
    classes = target.ndim == 1 and not target.is_floating_point()
    if x.ndim != 2 or len(x) == 0 or target.shape != (x.shape[:1] if classes else x.shape):
        raise ValueError(
            f"{loss!r} got x with shape={tuple(x.shape)} and target with shape={tuple(target.shape)} and "
            f"dtype={target.dtype}, expected (N, K) with at least one sample, and integer classes (N,) or rows (N, K)"
        )
    if weight is not None and weight.shape != x.shape[:1]:
        raise ValueError(f"{loss!r} got weight with shape={tuple(weight.shape)}, expected ({len(x)},), one per sample")


class Loss(torch.nn.Module):
    """Base class of the modules: checks shapes and applies its `function` with its `options`."""

    function: type[Function]
    #: Attributes that are passed to the function between the target and the weights.
    options: tuple[str, ...] = ()

    def forward(
        self, x: Float[Tensor, "N K"], target: Num[Tensor, "..."], weight: Float[Tensor, "N"] | None = None
    ) -> Float[Tensor, ""]:
        _check(self, x, target, weight)
        return self.function.apply(x, target, *(getattr(self, name) for name in self.options), weight)


class CrossEntropy(Loss):
    """`CrossEntropyFunction`: of probabilities `(N, K)` and classes `(N,)` or rows `(N, K)`.

    Raises:
        ValueError: shapes that do not match, or no samples.
    """

    function = CrossEntropyFunction


class SoftmaxCrossEntropy(Loss):
    """`SoftmaxCrossEntropyFunction`: of scores `(N, K)` and classes `(N,)` or rows `(N, K)`.

    Arguments:
        label_smoothing: ε in [0, 1).

    Raises:
        ValueError: ε out of range, shapes that do not match, or no samples.
    """

    function = SoftmaxCrossEntropyFunction
    options = ("label_smoothing",)

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"SoftmaxCrossEntropy got label_smoothing={label_smoothing}, expected a share in [0, 1)")
        self.label_smoothing = label_smoothing

    def extra_repr(self) -> str:
        return f"label_smoothing={self.label_smoothing}" if self.label_smoothing else ""


class NegativeLogLikelihood(Loss):
    """`NegativeLogLikelihoodFunction`: of log-probabilities `(N, K)` and classes `(N,)` or rows `(N, K)`.

    Raises:
        ValueError: shapes that do not match, or no samples.
    """

    function = NegativeLogLikelihoodFunction


class MeanSquaredError(Loss):
    """`MeanSquaredErrorFunction`: of outputs `(N, K)` and numbers `(N, K)`, or classes `(N,)` for one-hot rows.

    Raises:
        ValueError: shapes that do not match, or no samples.
    """

    function = MeanSquaredErrorFunction


class MeanAbsoluteError(Loss):
    """`MeanAbsoluteErrorFunction`: of outputs `(N, K)` and numbers `(N, K)`, or classes `(N,)` for one-hot rows.

    Raises:
        ValueError: shapes that do not match, or no samples.
    """

    function = MeanAbsoluteErrorFunction


class Huber(Loss):
    """`HuberFunction`: of outputs `(N, K)` and numbers `(N, K)`, or classes `(N,)` for one-hot rows.

    Arguments:
        delta: δ above 0.

    Raises:
        ValueError: δ out of range, shapes that do not match, or no samples.
    """

    function = HuberFunction
    options = ("delta",)

    def __init__(self, delta: float = 1.0) -> None:
        super().__init__()
        if not delta > 0:
            raise ValueError(f"Huber got delta={delta}, expected a number above 0")
        self.delta = delta

    def extra_repr(self) -> str:
        return f"delta={self.delta}"
