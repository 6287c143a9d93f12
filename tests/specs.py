"""Settings given by name, sorted into the specs of an engine and a loss."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from handgrad.engines import EngineSpec, LossSpec


def specs(name: str = "numpy", **options: Any) -> tuple[EngineSpec, LossSpec, dict[str, Any]]:
    """The specs, and the options that belong to neither. `dtype` stands for the precision of that name, `loss` for the
    loss's name."""
    if "dtype" in options:
        options["precision"] = np.dtype(options.pop("dtype")).name
    names = {field.name for field in dataclasses.fields(EngineSpec)}
    engine = EngineSpec(name, **{key: options.pop(key) for key in names & options.keys()})
    loss = LossSpec(options.pop("loss", "cross_entropy"), options.pop("label_smoothing", 0.0))
    return engine, loss, options
