"""A flag for each setting of a run, for the subcommands that take them."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Annotated, Any

from cyclopts import Group, Parameter

from handgrad.errors import ConfigError
from handgrad.training.config import GROUPS, TrainConfig


def with_setting_flags(function):
    """The function with `**settings` spelled out in its signature, which is what the help and the parser go by."""
    signature = inspect.signature(function)
    own = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=[*own, *_setting_flags()])
    return function


def given_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings whose flags were given, as `TrainConfig` takes them.

    Raises:
        ConfigError: the hidden units or channels cannot be read.
    """
    settings = {name: value for name, value in settings.items() if value is not None}
    for name in ("hidden_units", "channels"):
        if name in settings:
            settings[name] = _units(name, settings[name])
    return settings


def _setting_flags() -> list[inspect.Parameter]:
    """A flag for each setting of `TrainConfig`, None where it is not given."""
    types = {"int": int, "float": float, "bool": bool}
    fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
    flags = []
    for order, (heading, names) in enumerate(GROUPS.items(), start=1):
        for name in names:
            field = fields[name]
            shown = f" [{_shown(field.default)}]" if field.default is not None else ""
            kind = types.get(str(field.type).removesuffix(" | None"), str)
            how = Parameter(help=field.metadata["help"] + shown, group=Group(heading, sort_key=order))
            flags.append(
                inspect.Parameter(
                    name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, how]
                )
            )
    return flags


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _units(name: str, text: str) -> tuple[int, ...]:
    if name == "hidden_units" and text.strip().lower() in ("", "none"):
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        expected = "as 100,50, or none" if name == "hidden_units" else "as 32,64,128"
        raise ConfigError(f"{name}={text}: expected whole numbers above 0, {expected}") from None
