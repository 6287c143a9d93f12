"""handgrad: neural networks whose every gradient is derived by hand, checked to machine precision, and fast.

Subpackages are imported on first use, so `import handgrad` takes almost no time:

    >>> import handgrad
    >>> handgrad.nn.ReLU()
    ReLU()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "TrainConfig",
    "__version__",
    "architectures",
    "check_layer",
    "checking",
    "courses",
    "data",
    "derivations",
    "engines",
    "errors",
    "export",
    "figures",
    "gradient_check",
    "load_run",
    "nn",
    "numerics",
    "train",
    "training",
]
#: Subpackages that require an extra: not in `__all__`, so that `from handgrad import *` works without it.
_EXTRAS = ("torch",)
_HOMES = {
    "train": "training",
    "TrainConfig": "training",
    "load_run": "training",
    "gradient_check": "numerics",
    "check_layer": "numerics",
}

if TYPE_CHECKING:
    from handgrad import (
        architectures,
        checking,
        courses,
        data,
        derivations,
        engines,
        errors,
        export,
        figures,
        nn,
        numerics,
        training,
    )
    from handgrad.numerics import check_layer, gradient_check
    from handgrad.training import TrainConfig, load_run, train


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"handgrad.{_HOMES[name]}"), name)
    if name in __all__ or name in _EXTRAS:
        return importlib.import_module(f"handgrad.{name}")
    raise AttributeError(f"module 'handgrad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted((*__all__, *_EXTRAS))
