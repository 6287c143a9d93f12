"""Batch normalisation over the rows of all processes, each of which has a part of the batch.

PyTorch's `SyncBatchNorm` supports only GPUs; this one supports every backend of `torch.distributed`, including gloo.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from handgrad._typing import Float
from handgrad.torch.normalization import (
    FixedNormFunction,
    _batch_axes,
    _BatchNorm,
    _column,
    _inverse_std,
    _scaled_and_shifted,
    _wide,
)


class SyncBatchNormFunction(Function):
    """`BatchNormFunction` with the sums of all processes:
    `apply(x, weight, bias, mean, inverse_std, count)`.

    Formula:
        y  = γ x̂ + β with x̂ = (x - μ) / √(σ² + ε)
        dx = γ/√(σ² + ε) · (dy - mean dy - x̂ · mean(dy·x̂)), means over the rows of all processes
        dβ = Σ dy,  dγ = Σ dy·x̂ over the rows of this process: DistributedDataParallel adds those of the others

    Arguments:
        mean, inverse_std: μ and 1/√(σ² + ε) of all rows, `(C,)`.
        count: the number of values of a feature in all processes, as a tensor.

    Every process must call backward, even if it does not need dx. Second derivatives: no.

    Source: Ioffe and Szegedy (2015), Batch normalization, section 3.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, mean, inverse_std, count):
        ctx.save_for_backward(x, weight, mean, inverse_std, count)
        return _scaled_and_shifted(x, weight, bias, mean, inverse_std).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, weight, mean, inverse_std, count = ctx.saved_tensors
        axes = _batch_axes(dy)
        centered = x - _column(mean, x)
        dbias = dy.sum(axes, dtype=_wide(dy))
        dweight = (dy * centered).sum(axes) * inverse_std
        sums = torch.stack([dbias, dweight])
        distributed.all_reduce(sums)
        scale = weight * inverse_std
        along = scale * inverse_std * sums[1] / count
        dx = torch.addcmul(-_column(scale * sums[0] / count, x), dy, _column(scale, x))
        dx.addcmul_(centered, _column(along, x), value=-1)
        return dx.to(x.dtype), dweight, dbias, None, None, None


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation of rows or images with the statistics of all processes.

    Parameters, buffers and their names are those of `torch.nn.BatchNorm1d`. The number of rows may differ between
    processes.
    """

    def _check_input_dim(self, input: Tensor) -> None: ...

    @torch.compiler.disable()
    def forward(self, x: Float[Tensor, "N C *space"]) -> Float[Tensor, "N C *space"]:
        if not self.training:
            return FixedNormFunction.apply(x, self.weight, self.bias, self.running_mean, self.running_var, self.eps)
        with torch.no_grad():
            mean, variance, count = self._statistics(x)
            self._update_running_statistics(mean, variance, count)
            inverse_std = _inverse_std(variance, self.eps)
        return SyncBatchNormFunction.apply(x, self.weight, self.bias, mean, inverse_std, count)

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """μ, σ² and the number of values of a feature, over all processes. Uses two passes, as in a single process:
        computing the variance as E[x²] - E[x]² is inaccurate if the mean is large."""
        axes, wide = _batch_axes(x), _wide(x)
        sums = x.sum(axes, dtype=wide)
        sums = torch.cat([sums, sums.new_tensor([x.numel() // x.shape[1]])])
        distributed.all_reduce(sums)
        count = sums[-1]
        mean = sums[:-1] / count
        squares = ((x - _column(mean, x)) ** 2).sum(axes, dtype=wide)
        distributed.all_reduce(squares)
        return mean, squares / count, count


def synchronized(network: torch.nn.Module) -> torch.nn.Module:
    """The network with its batch normalisations (handgrad's or PyTorch's) replaced by `SyncBatchNorm` with the same
    state."""
    for name, module in list(network.named_modules()):
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            parent, _, own = name.rpartition(".")
            device, dtype = module.weight.device, module.weight.dtype
            made = SyncBatchNorm(
                module.num_features,
                module.eps,
                module.momentum,
                running_variance=getattr(module, "running_variance", "unbiased"),
                device=device,
                dtype=dtype,
            )
            made.load_state_dict(module.state_dict())
            setattr(network.get_submodule(parent), own, made)
    return network
