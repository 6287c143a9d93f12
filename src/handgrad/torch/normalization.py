"""Three implementations of normalisation in PyTorch: with differentiable operations, as functions with hand-written
gradients, and as modules based on those functions.

The functions save only what a gradient needs: the input and two numbers per feature (batch) or sample (layer), but no
other array of the size of the input. For second derivatives (`create_graph=True`), backward recomputes the statistics
from the input, so that they are part of the graph.

On a CPU, allocating an array costs more than writing to it, and an operation with a Python number first converts it to
a tensor. The functions therefore reuse arrays that are no longer needed and pass numbers as `value=` and `alpha=`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function

from handgrad._typing import Float

# -- (a) with differentiable operations: gradients by autograd ---------------------------------------------------------


def batch_norm(
    x: Float[Tensor, "N C *space"], weight: Float[Tensor, "C"], bias: Float[Tensor, "C"], eps: float = 1e-5
) -> Float[Tensor, "N C *space"]:
    """Batch normalisation with batch statistics, in operations that autograd differentiates.

    Formula: x̂ = (x - μ) / √(σ² + ε), μ and σ² the mean and the biased variance of each feature; y = γ x̂ + β

    Arguments:
        x: `(N, D)`, or images `(N, C, H, W)`, whose channels are the features.
        weight: γ.
        bias: β.
        eps: ε, added to the variance.

    Source: Ioffe and Szegedy (2015), Batch normalization, algorithm 1.
    """
    mean = x.mean(_batch_axes(x), keepdim=True)
    variance = ((x - mean) ** 2).mean(_batch_axes(x), keepdim=True)
    return _column(weight, x) * (x - mean) / (variance + eps).sqrt() + _column(bias, x)


def layer_norm(
    x: Float[Tensor, "*N D"], weight: Float[Tensor, "D"], bias: Float[Tensor, "D"], eps: float = 1e-5
) -> Float[Tensor, "*N D"]:
    """Layer normalisation, over the last axis, in operations that autograd differentiates.

    Formula: as `batch_norm`, with the mean and the biased variance of each row instead of each column.

    Source: Ba, Kiros, Hinton (2016), Layer normalization, equations 3 and 4.
    """
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return weight * (x - mean) / (variance + eps).sqrt() + bias


# -- (b) as functions with hand-written gradients ----------------------------------------------------------------------


class BatchNormFunction(Function):
    """Batch normalisation with batch statistics: `apply(x, weight, bias, eps=1e-5, statistics=None)`.

    Formula:
        y  = γ x̂ + β with x̂ = (x - μ) / √(σ² + ε)
        dβ = Σ dy,  dγ = Σ dy·x̂,  dx = γ/√(σ² + ε) · (dy - mean dy - x̂ · mean(dy·x̂))
    sums and means over the batch (and the positions of an image).

    Arguments:
        x: `(N, C, *space)`.
        weight, bias: γ and β, `(C,)`.
        statistics: (μ, σ²) of x, each `(C,)`, from `batch_statistics`, if the caller has already computed them.

    backward returns None for arguments that need no gradient. Second derivatives: yes.

    Source: Ioffe and Szegedy (2015), Batch normalization, section 3.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, eps=1e-5, statistics=None):
        mean, variance = batch_statistics(x) if statistics is None else statistics
        inverse_std = _inverse_std(variance, eps)
        y = _scaled_and_shifted(x, weight, bias, mean, inverse_std)
        ctx.eps = eps
        dx_needed, dweight_needed = ctx.needs_input_grad[:2]
        if dx_needed:
            ctx.save_for_backward(x, mean, inverse_std, weight)
        elif dweight_needed:
            ctx.save_for_backward(x, mean, inverse_std)
        return y.to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        dx = dweight = dbias = None
        dx_needed, dweight_needed, dbias_needed = ctx.needs_input_grad[:3]
        axes = _batch_axes(dy)
        if dx_needed or dbias_needed:
            dbias = dy.sum(axes, dtype=_wide(dy))
        if dx_needed or dweight_needed:
            x, mean, inverse_std, *rest = ctx.saved_tensors
            if torch.is_grad_enabled():
                mean, variance = batch_statistics(x)
                inverse_std = _inverse_std(variance, ctx.eps)
            centered = x - _column(mean, x)
            product = dy * centered
            dweight = product.sum(axes) * inverse_std
            if dx_needed:
                (weight,) = rest
                scale = weight * inverse_std
                # the formula with γ/√(σ² + ε) expanded: two passes over dy and x
                share = -x.shape[1] / x.numel()
                across, along = scale * dbias * share, scale * inverse_std * dweight
                dx = torch.addcmul(_column(across, x), dy, _column(scale, x), out=_free(product))
                dx.addcmul_(centered, _column(along, x), value=share)
        return dx, dweight if dweight_needed else None, dbias if dbias_needed else None, None, None


class FixedNormFunction(Function):
    """Batch normalisation with constant statistics, as in evaluation mode:
    `apply(x, weight, bias, mean, variance, eps=1e-5)`.

    Formula:
        y  = γ x̂ + β with x̂ = (x - mean) / √(variance + ε)
        dβ = Σ dy,  dγ = Σ dy·x̂,  dx = γ/√(variance + ε) · dy

    backward returns None for arguments that need no gradient. Second derivatives: yes.

    Source: Ioffe and Szegedy (2015), Batch normalization, algorithm 2.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, mean, variance, eps=1e-5):
        inverse_std = _inverse_std(variance, eps)
        y = _scaled_and_shifted(x, weight, bias, mean, inverse_std)
        dx_needed, dweight_needed = ctx.needs_input_grad[:2]
        ctx.save_for_backward(
            weight if dx_needed else None,
            inverse_std if dx_needed or dweight_needed else None,
            *((x, mean) if dweight_needed else (None, None)),
        )
        return y.to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        weight, inverse_std, x, mean = ctx.saved_tensors
        dx = dweight = dbias = None
        dx_needed, dweight_needed, dbias_needed = ctx.needs_input_grad[:3]
        if dx_needed:
            dx = dy * _column(weight * inverse_std, dy)
        if dweight_needed:
            dweight = (dy * (x - _column(mean, x))).sum(_batch_axes(dy)) * inverse_std
        if dbias_needed:
            dbias = dy.sum(_batch_axes(dy), dtype=_wide(dy))
        return dx, dweight, dbias, None, None, None


class LayerNormFunction(Function):
    """Layer normalisation over the last axis: `apply(x, weight, bias, eps=1e-5)`.

    Formula:
        y  = γ x̂ + β with x̂ = (x - μ) / √(σ² + ε), μ and σ² of each row
        dβ = Σ dy,  dγ = Σ dy·x̂ over the rows
        dx = (dx̂ - mean dx̂ - x̂ · mean(dx̂·x̂)) / √(σ² + ε), dx̂ = γ dy, means over the row

    backward returns None for arguments that need no gradient. Second derivatives: yes.

    Source: Ba, Kiros, Hinton (2016), Layer normalization, equations 3 and 4.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, eps=1e-5):
        total, inverse_std, centered = _row_statistics(x, eps)
        ctx.eps = eps
        dx_needed, dweight_needed = ctx.needs_input_grad[:2]
        if dx_needed:
            ctx.save_for_backward(x, total, inverse_std, weight)
        elif dweight_needed:
            ctx.save_for_backward(x, total, inverse_std)
        return torch.addcmul(bias, centered.mul_(inverse_std), weight, out=centered).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        dx = dweight = dbias = None
        dx_needed, dweight_needed, dbias_needed = ctx.needs_input_grad[:3]
        rows, share = tuple(range(dy.ndim - 1)), 1 / dy.shape[-1]
        if dbias_needed:
            dbias = dy.sum(rows, dtype=_wide(dy))
        if dx_needed or dweight_needed:
            x, total, inverse_std, *rest = ctx.saved_tensors
            if torch.is_grad_enabled():
                total, inverse_std, _ = _row_statistics(x, ctx.eps)
            normalized = torch.sub(x, total, alpha=share).mul_(inverse_std)
            product = dy * normalized
            if dweight_needed:
                dweight = product.sum(rows)
            if dx_needed:
                weight = rest[0].to(product.dtype)
                along = product.mul_(weight).sum(-1, keepdim=True)
                dx = torch.mul(dy, weight, out=_free(product))  # first dx̂
                across = dx.sum(-1, keepdim=True)
                dx.addcmul_(normalized, along, value=-share).sub_(across, alpha=share).mul_(inverse_std)
        return dx, dweight, dbias, None


class GroupNormFunction(Function):
    """Group normalisation of rows or images: `apply(x, weight, bias, num_groups, eps=1e-5)`, with x `(N, C, *space)`.

    Formula:
        y  = γ x̂ + β with x̂ = (x - μ) / √(σ² + ε), μ and σ² of each sample's groups of channels
        dβ = Σ dy,  dγ = Σ dy·x̂ over samples and positions
        dx = (dx̂ - mean dx̂ - x̂ · mean(dx̂·x̂)) / √(σ² + ε), dx̂ = γ dy, means over the group

    backward returns None for arguments that need no gradient. Second derivatives: yes.

    Source: Wu and He (2018), Group normalization, equations 1, 2 and 7.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, num_groups, eps=1e-5):
        total, inverse_std, centered = _row_statistics(_groups(x, num_groups), eps)
        ctx.save_for_backward(x, total, inverse_std, weight)
        ctx.num_groups, ctx.eps = num_groups, eps
        normalized = centered.mul_(inverse_std).reshape(x.shape)
        return torch.addcmul(_column(bias, x), normalized, _column(weight, x)).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        x, total, inverse_std, weight = ctx.saved_tensors
        dx = dweight = dbias = None
        dx_needed, dweight_needed, dbias_needed = ctx.needs_input_grad[:3]
        groups = _groups(x, ctx.num_groups)
        if torch.is_grad_enabled():
            total, inverse_std, _ = _row_statistics(groups, ctx.eps)
        share = 1 / groups.shape[-1]
        normalized = torch.sub(groups, total, alpha=share) * inverse_std
        if dweight_needed:
            dweight = (dy * normalized.reshape(x.shape)).sum(_batch_axes(dy))
        if dbias_needed:
            dbias = dy.sum(_batch_axes(dy), dtype=_wide(dy))
        if dx_needed:
            dx = _groups(dy * _column(weight, x), ctx.num_groups)  # dx̂
            along, across = (dx * normalized).sum(-1, keepdim=True), dx.sum(-1, keepdim=True)
            dx = (dx - share * across - normalized * (share * along)) * inverse_std
            dx = dx.reshape(x.shape).to(x.dtype)
        return dx, dweight, dbias, None, None


class RMSNormFunction(Function):
    """Division by the root mean square over the last axis: `apply(x, weight, eps=1e-5)`.

    Formula:
        y  = γ x̂ with x̂ = x / √(mean x² + ε), the mean over each row
        dγ = Σ dy·x̂ over the rows,  dx = (dx̂ - x̂ · mean(dx̂·x̂)) / √(mean x² + ε), dx̂ = γ dy

    backward returns None for arguments that need no gradient. Second derivatives: yes.

    Source: Zhang and Sennrich (2019), Root mean square layer normalization, equation 4.
    """

    @staticmethod
    def forward(ctx, x, weight, eps=1e-5):
        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        return (_normalized_by_rms(x, eps)[0] * weight).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        dx = dweight = None
        normalized, inverse_rms = _normalized_by_rms(x, ctx.eps)
        if ctx.needs_input_grad[1]:
            dweight = (dy * normalized).sum(tuple(range(dy.ndim - 1)))
        if ctx.needs_input_grad[0]:
            dx = dy * weight  # dx̂
            along = (dx * normalized).mean(-1, keepdim=True)
            dx = ((dx - normalized * along) * inverse_rms).to(x.dtype)
        return dx, dweight, None


def batch_statistics(x: Float[Tensor, "N C *space"]) -> tuple[Float[Tensor, "C"], Float[Tensor, "C"]]:
    """Mean and biased variance of each feature over the batch; in float32 for half-precision input."""
    axes = _batch_axes(x)
    mean = x.mean(axes, keepdim=True, dtype=_wide(x))
    # Two plain passes: torch.var_mean takes 13 times as long along the first axis of (128, 400) on a CPU.
    centered = x - mean
    return mean.reshape(-1), torch.mul(centered, centered, out=_free(centered)).mean(axes)


def _normalized_by_rms(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """x / √(mean x² + ε) and 1/√(mean x² + ε) of each row."""
    x = x.to(_wide(x))
    inverse_rms = _inverse_std((x * x).mean(-1, keepdim=True), eps)
    return x * inverse_rms, inverse_rms


def _groups(x: Tensor, num_groups: int) -> Tensor:
    """The entries of each sample's groups as rows: `(N, G, C/G·space)`."""
    return x.reshape(len(x), num_groups, x.shape[1:].numel() // num_groups)


def _row_statistics(x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """The sum D μ and 1/√(σ² + ε) of each row, and x - μ."""
    share = 1 / x.shape[-1]
    total = x.sum(-1, keepdim=True, dtype=_wide(x))
    centered = torch.sub(x, total, alpha=share)
    if torch.is_grad_enabled():
        squares = (centered * centered).sum(-1, keepdim=True)
    else:  # no second array, but the derivative of a norm is undefined if all entries are 0
        norm = torch.linalg.vector_norm(centered, dim=-1, keepdim=True)
        squares = norm * norm
    return total, _inverse_std(squares, eps, share), centered


def _inverse_std(squares: Tensor, eps: float, share: float = 1) -> Tensor:
    """1/√(σ² + ε) with σ² = `share` · `squares`."""
    return squares.new_full((), eps).add(squares, alpha=share).rsqrt()


def _free(work: Tensor) -> Tensor | None:
    """An array that a result may be written to: one that is no longer needed, unless autograd still needs it."""
    return None if torch.is_grad_enabled() else work


def _scaled_and_shifted(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, inverse_std: Tensor) -> Tensor:
    """γ (x - μ)/√(σ² + ε) + β in one pass over x, as one multiply-add per feature."""
    scale = weight * inverse_std
    return torch.addcmul(_column(torch.addcmul(bias, mean, scale, value=-1), x), x, _column(scale, x))


def _batch_axes(x: Tensor) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _column(feature: Tensor, x: Tensor) -> Tensor:
    """One number per feature, reshaped to broadcast against x `(N, C, *space)`."""
    return feature.reshape(-1, *(1,) * (x.ndim - 2))


def _wide(x: Tensor) -> torch.dtype:
    """The dtype of sums: float32 for half precision, otherwise that of x."""
    return torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype


# -- (c) as modules ----------------------------------------------------------------------------------------------------


class _BatchNorm(torch.nn.modules.batchnorm._BatchNorm):
    """PyTorch's module (parameters, buffers, names in the state dict) with the functions of this file."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        *,
        running_variance: str = "unbiased",
        device=None,
        dtype=None,
    ) -> None:
        if running_variance not in ("unbiased", "biased"):
            raise ValueError(
                f"{type(self).__name__} got running_variance={running_variance!r}, expected 'unbiased' or 'biased'"
            )
        super().__init__(num_features, eps, momentum, device=device, dtype=dtype)
        self.running_variance = running_variance

    def forward(self, x: Float[Tensor, "N C *space"]) -> Float[Tensor, "N C *space"]:
        self._check_input_dim(x)
        if x.shape[1] != self.num_features:
            raise ValueError(f"{self!r} got x with shape={tuple(x.shape)}, expected {self.num_features} features")
        if not self.training:
            return FixedNormFunction.apply(x, self.weight, self.bias, self.running_mean, self.running_var, self.eps)
        n = x.numel() // self.num_features
        least = 2 if self.running_variance == "unbiased" else 1
        if n < least:
            raise ValueError(
                f"{self!r} got a training batch of {n} values per feature, expected at least {least}: "
                "use larger batches, or eval() to normalise by the running statistics"
            )
        with torch.no_grad():
            mean, variance = batch_statistics(x)
            self._update_running_statistics(mean, variance, n)
        return BatchNormFunction.apply(x, self.weight, self.bias, self.eps, (mean, variance))

    def _update_running_statistics(self, mean: Tensor, variance: Tensor, n: int | Tensor) -> None:
        if self.running_variance == "unbiased":
            variance = variance * (n / (n - 1))
        self.num_batches_tracked.add_(1)
        # momentum=None means the cumulative average over all batches, as in PyTorch
        share = self.momentum if self.momentum is not None else 1 / self.num_batches_tracked.to(self.running_mean.dtype)
        for running, batch in ((self.running_mean, mean), (self.running_var, variance)):
            running.lerp_(batch.to(running.dtype), share)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of rows `(N, D)`: `BatchNormFunction` in training mode, `FixedNormFunction` in evaluation
    mode.

    Formula: running ← (1 - momentum) · running + momentum · batch

    Arguments:
        num_features: D.
        eps: ε, added to the variance.
        momentum: weight of the batch in the running statistics; None for cumulative averages.
        running_variance: `"unbiased"` (divided by N - 1, as in PyTorch) or `"biased"` (divided by N, as in the
            courses).

    Parameters, buffers and their names are those of `torch.nn.BatchNorm1d`.

    Raises:
        ValueError: wrong number of axes or features; a training batch that is too small for a variance.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim != 2:
            raise ValueError(f"{self!r} got x with shape={tuple(input.shape)}, expected (N, {self.num_features})")


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images `(N, C, H, W)`, for each channel over the batch and all positions.

    Arguments:
        num_features: C.
        eps, momentum, running_variance: as those of `BatchNorm1d`.

    Parameters, buffers and their names are those of `torch.nn.BatchNorm2d`.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim != 4:
            raise ValueError(f"{self!r} got x with shape={tuple(input.shape)}, expected (N, {self.num_features}, H, W)")


class LayerNorm(torch.nn.LayerNorm):
    """Layer normalisation over the last axis with `LayerNormFunction`, the same in training and evaluation mode.

    Arguments:
        num_features: D.
        eps: ε, added to the variance.

    Parameters and their names are those of `torch.nn.LayerNorm`.

    Raises:
        ValueError: the last axis has the wrong size.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, *, device=None, dtype=None) -> None:
        super().__init__(num_features, eps, device=device, dtype=dtype)

    @staticmethod
    def autograd(num_features: int, eps: float = 1e-5) -> torch.nn.Module:
        """The equivalent PyTorch module."""
        return torch.nn.LayerNorm(num_features, eps)

    def forward(self, input: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        if input.shape[-1:] != self.normalized_shape:
            raise ValueError(
                f"{self!r} got x with shape={tuple(input.shape)}, expected {self.normalized_shape[0]} features"
            )
        return LayerNormFunction.apply(input, self.weight, self.bias, self.eps)


class GroupNorm(torch.nn.GroupNorm):
    """Group normalisation of rows `(N, C)` or images `(N, C, H, W)` by `GroupNormFunction`.

    Arguments:
        num_groups: G, a divisor of C.
        num_channels: C.
        eps: ε, added to the variance.

    Parameters and their names are those of `torch.nn.GroupNorm`.

    Raises:
        ValueError: wrong number of channels.
    """

    def forward(self, input: Float[Tensor, "N C *space"]) -> Float[Tensor, "N C *space"]:
        if input.ndim < 2 or input.shape[1] != self.num_channels:
            raise ValueError(f"{self!r} got x with shape={tuple(input.shape)}, expected {self.num_channels} channels")
        return GroupNormFunction.apply(input, self.weight, self.bias, self.num_groups, self.eps)


class RMSNorm(torch.nn.RMSNorm):
    """Division by the root mean square over the last axis, by `RMSNormFunction`.

    Arguments:
        num_features: D.
        eps: ε, added to the mean square.

    The parameter and its name are those of `torch.nn.RMSNorm`.

    Raises:
        ValueError: the last axis has the wrong size.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, *, device=None, dtype=None) -> None:
        super().__init__(num_features, eps, device=device, dtype=dtype)

    @staticmethod
    def autograd(num_features: int, eps: float = 1e-5) -> torch.nn.Module:
        """The equivalent PyTorch module."""
        return torch.nn.RMSNorm(num_features, eps)

    def forward(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        if x.shape[-1:] != self.normalized_shape:
            raise ValueError(
                f"{self!r} got x with shape={tuple(x.shape)}, expected {self.normalized_shape[0]} features"
            )
        return RMSNormFunction.apply(x, self.weight, self.eps)
