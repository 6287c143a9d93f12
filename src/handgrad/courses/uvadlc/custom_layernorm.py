"""Three implementations of layer normalisation: with differentiable operations, as a function, and as a module.

The variance is biased. The implementation is that of `handgrad.torch`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from handgrad.courses.uvadlc.custom_norm import CustomNorm, check_input
from handgrad.torch import LayerNormFunction, layer_norm


class CustomLayerNormAutograd(CustomNorm):
    """Layer normalisation with gradients by autograd."""

    def normalize(self, input: Tensor) -> Tensor:
        return layer_norm(input, self.gamma, self.beta, self.eps)


class CustomLayerNormManualFunction(torch.autograd.Function):
    """Layer normalisation with hand-written gradients: `apply(input, gamma, beta, eps=1e-5)`.

    Formula:
        out = γ x̂ + β, x̂ = (input - μ) / √(σ² + eps), μ and σ² the mean and the biased variance of each row
        dβ = Σ dout, dγ = Σ dout·x̂ over the batch
        dinput = (dx̂ - mean dx̂ - x̂ · mean(dx̂·x̂)) / √(σ² + eps), dx̂ = γ dout, means over the row

    backward returns four gradients, None for eps and where no gradient is needed.
    """

    @staticmethod
    def forward(ctx, input: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5) -> Tensor:
        check_input("CustomLayerNormManualFunction", input, len(gamma))
        return LayerNormFunction.forward(ctx, input, gamma, beta, eps)

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return LayerNormFunction.backward(ctx, grad_output)[:4]


class CustomLayerNormManualModule(CustomNorm):
    """Layer normalisation with `CustomLayerNormManualFunction`."""

    def normalize(self, input: Tensor) -> Tensor:
        return CustomLayerNormManualFunction.apply(input, self.gamma, self.beta, self.eps)
