"""Mixed precision for custom autograd functions, which PyTorch does not cast automatically."""

from __future__ import annotations

from typing import Any

import torch


def autocast(*tensors: Any) -> tuple[Any, ...]:
    """The tensors in the dtype of the active autocast region, if any (None and float64 are unchanged).

    A function that multiplies matrices casts its arguments and saves the cast tensors: backward runs outside the
    region, where a product requires both factors to have the same dtype.
    """
    device = next(tensor.device.type for tensor in tensors if tensor is not None)
    if not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(t if t is None or t.dtype == torch.float64 else t.to(dtype) for t in tensors)
