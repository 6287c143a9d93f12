"""Layer normalisation: by autograd, by hand, and as a module."""

from __future__ import annotations

from typing import Optional, Tuple

import torch
from torch import Tensor, nn


def _standardise(x: Tensor, eps: float) -> Tuple[Tensor, Tensor]:
    """Rows with mean 0 and biased variance 1; also the factor 1 / sqrt(var + eps)."""
    centred = x - x.mean(dim=1, keepdim=True)
    factor = torch.rsqrt((centred * centred).mean(dim=1, keepdim=True) + eps)
    return centred * factor, factor


class _LayerNormBase(nn.Module):
    def __init__(self, n_neurons: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.n_neurons = n_neurons
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(n_neurons))
        self.beta = nn.Parameter(torch.zeros(n_neurons))

    def _check(self, input: Tensor) -> None:
        if input.dim() != 2 or input.size(1) != self.n_neurons:
            raise ValueError(f"input must be (N, {self.n_neurons}), not {tuple(input.shape)}")


class CustomLayerNormAutograd(_LayerNormBase):
    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        xhat, _ = _standardise(input, self.eps)
        return torch.addcmul(self.beta, xhat, self.gamma)


class CustomLayerNormManualFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5) -> Tensor:
        xhat, factor = _standardise(input, eps)
        ctx.save_for_backward(xhat, factor, gamma)
        return xhat * gamma + beta

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> Tuple[Optional[Tensor], ...]:
        xhat, factor, gamma = ctx.saved_tensors
        need_x, need_gamma, need_beta = ctx.needs_input_grad[:3]
        dgamma = torch.einsum("nd,nd->d", grad_output, xhat) if need_gamma else None
        dbeta = torch.einsum("nd->d", grad_output) if need_beta else None
        dx = None
        if need_x:
            g = grad_output
            dx = factor * (g - g.mean(dim=1, keepdim=True) - xhat * (g * xhat).mean(dim=1, keepdim=True))
        return dx, dgamma, dbeta, None


class CustomLayerNormManualModule(_LayerNormBase):
    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        return CustomLayerNormManualFunction.apply(input, self.gamma, self.beta, self.eps)
