"""Mixed precision: what PyTorch does for its own functions, and leaves to others' to do themselves."""

from __future__ import annotations

from typing import Any

import torch


def autocast(*tensors: Any) -> tuple[Any, ...]:
    """The tensors in the dtype of the autocast region that is active, if one is (None and float64 stay as they are).

    A function that multiplies matrices casts first and keeps what it cast: backward runs outside of the region, and a
    product there needs both factors in one dtype.
    """
    device = next(tensor.device.type for tensor in tensors if tensor is not None)
    if not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(t if t is None or t.dtype == torch.float64 else t.to(dtype) for t in tensors)
