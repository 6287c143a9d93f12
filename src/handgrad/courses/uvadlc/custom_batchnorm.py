"""Three implementations of batch normalisation: with differentiable operations, as a function, and as a module.

The variance is biased, and there are no running statistics. The implementation is that of `handgrad.torch`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from handgrad.courses.uvadlc.custom_norm import CustomNorm, check_input
from handgrad.torch import BatchNormFunction, batch_norm


class CustomBatchNormAutograd(CustomNorm):
    """Batch normalisation with gradients by autograd."""

    def normalize(self, input: Tensor) -> Tensor:
        return batch_norm(input, self.gamma, self.beta, self.eps)


class CustomBatchNormManualFunction(torch.autograd.Function):
    """Batch normalisation with hand-written gradients: `apply(input, gamma, beta, eps=1e-5)`.

    Formula:
        out = γ x̂ + β, x̂ = (input - μ) / √(σ² + eps), μ and σ² the mean and the biased variance over the batch
        dβ = Σ dout, dγ = Σ dout·x̂, dinput = γ/√(σ² + eps) · (dout - mean dout - x̂ · mean(dout·x̂))

    backward returns four gradients, None for eps and where no gradient is needed.
    """

    @staticmethod
    def forward(ctx, input: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5) -> Tensor:
        check_input("CustomBatchNormManualFunction", input, len(gamma))
        return BatchNormFunction.forward(ctx, input, gamma, beta, eps)

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return BatchNormFunction.backward(ctx, grad_output)[:4]


class CustomBatchNormManualModule(CustomNorm):
    """Batch normalisation with `CustomBatchNormManualFunction`."""

    def normalize(self, input: Tensor) -> Tensor:
        return CustomBatchNormManualFunction.apply(input, self.gamma, self.beta, self.eps)
