"""The linear layer y = x Wᵀ + b."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function

from handgrad._typing import Float
from handgrad.torch.autocast import autocast


class LinearFunction(Function):
    """An affine map of the features: `apply(x, weight, bias)`, with x `(N, D)`, weight `(K, D)`, bias `(K,)` or None.

    Formula:
        y  = x Wᵀ + b
        dW = dyᵀ x,   db = Σₙ dyₙ,   dx = dy W

    backward returns None for arguments that need no gradient. Second derivatives: yes.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), section 6.5, equations 6.46 to 6.52.
    """

    @staticmethod
    def forward(ctx, x, weight, bias=None):
        x, weight, bias = autocast(x, weight, bias)
        dx_needed, dweight_needed = ctx.needs_input_grad[:2]
        ctx.save_for_backward(x if dweight_needed else None, weight if dx_needed else None)
        return x @ weight.T if bias is None else torch.addmm(bias, x, weight.T)

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        dx_needed, dweight_needed, dbias_needed = (*ctx.needs_input_grad, False)[:3]
        dx = dy @ weight if dx_needed else None
        dweight = dy.T @ x if dweight_needed else None
        dbias = dy.sum(0) if dbias_needed else None
        return dx, dweight, dbias


class Linear(torch.nn.Linear):
    """`torch.nn.Linear` on `LinearFunction`.

    Arguments:
        in_features: D.
        out_features: K.
        bias: whether b is added.
        device, dtype: of the parameters.

    Raises:
        ValueError: x is not `(N, D)`.
    """

    def forward(self, input: Float[Tensor, "N D"]) -> Float[Tensor, "N K"]:
        if input.ndim != 2 or input.shape[1] != self.in_features:
            raise ValueError(
                f"{self!r} got x with shape={tuple(input.shape)}, expected (N, {self.in_features}): one row per sample"
            )
        return LinearFunction.apply(input, self.weight, self.bias)
