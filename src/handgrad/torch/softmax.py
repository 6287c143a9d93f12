"""Softmax and log-softmax over the last axis."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.autograd import Function

from handgrad._typing import Float


def softmax(x: Float[Tensor, "*N K"]) -> Float[Tensor, "*N K"]:
    """eˣ⁻ᵐ / Σ eˣ⁻ᵐ with m = max x: the shift does not change the value and keeps every exponent at most 0."""
    e = torch.exp(x - x.amax(-1, keepdim=True).detach())
    return e / e.sum(-1, keepdim=True)


def log_softmax(x: Float[Tensor, "*N K"]) -> Float[Tensor, "*N K"]:
    """x - m - log Σ eˣ⁻ᵐ with m = max x."""
    shifted = x - x.amax(-1, keepdim=True).detach()
    return shifted - torch.exp(shifted).sum(-1, keepdim=True).log()


class SoftmaxFunction(Function):
    """y = softmax x; dx = y (dy - Σₖ dyₖ yₖ), the product of dy with the full Jacobian diag(y) - y yᵀ.

    Second derivatives: yes.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equations 6.29 and 4.1.
    """

    @staticmethod
    def forward(ctx, x):
        y = softmax(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return y * (dy - (dy * y).sum(-1, keepdim=True))


class LogSoftmaxFunction(Function):
    """y = log softmax x; dx = dy - eʸ Σₖ dyₖ.

    Second derivatives: yes.
    """

    @staticmethod
    def forward(ctx, x):
        y = log_softmax(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy - torch.exp(y) * dy.sum(-1, keepdim=True)


class Softmax(torch.nn.Module):
    """`SoftmaxFunction`: probabilities from each row of scores."""

    autograd = staticmethod(partial(torch.nn.Softmax, dim=-1))

    def forward(self, x: Float[Tensor, "*N K"]) -> Float[Tensor, "*N K"]:
        return SoftmaxFunction.apply(x)


class LogSoftmax(torch.nn.Module):
    """`LogSoftmaxFunction`: log-probabilities from each row of scores."""

    autograd = staticmethod(partial(torch.nn.LogSoftmax, dim=-1))

    def forward(self, x: Float[Tensor, "*N K"]) -> Float[Tensor, "*N K"]:
        return LogSoftmaxFunction.apply(x)
