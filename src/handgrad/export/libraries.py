"""Libraries of extras, imported on demand."""

from __future__ import annotations

import importlib
from typing import Any

from handgrad.errors import ConfigError


def require(*modules: str, extra: str = "onnx", why: str = "to=onnx") -> list[Any]:
    """The modules of an extra.

    Raises:
        ConfigError: a module is not installed.
    """
    found = []
    for name in modules:
        try:
            found.append(importlib.import_module(name))
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != name.partition(".")[0]:
                raise
            raise ConfigError(
                f'{why} requires {name.partition(".")[0]}, which is not installed: pip install "handgrad[{extra}]"'
            ) from None
    return found
