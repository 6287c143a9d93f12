"""Dropout."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import Function

from handgrad._typing import Float


class DropoutFunction(Function):
    """y = x·m, dx = dy·m, with m = 0 with probability p, else 1/(1 - p): `apply(x, mask)`. Second derivatives: yes.

    Source: Srivastava et al. (2014), Dropout: a simple way to prevent neural networks from overfitting, section 10.
    """

    @staticmethod
    def forward(ctx, x, mask):
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx, dy):
        (mask,) = ctx.saved_tensors
        return dy * mask, None


def draw_mask(
    x: Float[Tensor, "*shape"], p: float, generator: torch.Generator | None = None
) -> Float[Tensor, "*shape"]:
    """A dropout mask for x, in its dtype and on its device: 0 with probability p, else 1/(1 - p).

    Arguments:
        generator: a generator on the device of x; None for PyTorch's default.
    """
    uniform = torch.rand(x.shape, generator=generator, device=x.device)
    return (uniform >= p).to(x.dtype) * (1 / (1 - p))


class Dropout(torch.nn.Module):
    """In training mode, zeroes each element with probability p and scales the others by 1/(1 - p).

    Arguments:
        p: probability in [0, 1).
        masks: function of x and p that returns a mask for x. By default, masks come from PyTorch's default generator.
        gradients: `"hand"` for `DropoutFunction`, `"autograd"` for a product that autograd differentiates.
    """

    def __init__(
        self, p: float = 0.5, *, masks: Callable[[Tensor, float], Tensor] = draw_mask, gradients: str = "hand"
    ) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"Dropout got p={p}, expected a probability in [0, 1)")
        if gradients not in ("hand", "autograd"):
            raise ValueError(f"Dropout got gradients={gradients!r}, expected 'hand' or 'autograd'")
        self.p = p
        self.masks = masks
        self.gradients = gradients

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        if not self.training or self.p == 0:
            return x
        mask = self.masks(x, self.p)
        if self.gradients == "hand":
            return DropoutFunction.apply(x, mask)
        return x * mask

    def extra_repr(self) -> str:
        return f"p={self.p}"
