"""A flag for each setting of a run, for the subcommands that take them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Collection
from typing import Annotated, Any

from cyclopts import Group, Parameter

from handgrad.errors import ConfigError
from handgrad.training.config import GROUPS, TrainConfig


def with_setting_flags(function, headings: Collection[str] = tuple(GROUPS)):
    """The function with `**settings` spelled out in its signature, which is what the help and the parser go by: all
    settings, or those under some headings."""
    signature = inspect.signature(function)
    own = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=[*own, *_setting_flags(headings)])
    return function


def given_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings whose flags were given, as `TrainConfig` takes them.

    Raises:
        ConfigError: the hidden units cannot be read.
    """
    settings = {name: value for name, value in settings.items() if value is not None}
    if "hidden_units" in settings:
        settings["hidden_units"] = _units(settings["hidden_units"])
    for name in ("validation_size", "test_size"):
        if name in settings:
            settings[name] = _size(name, settings[name])
    return settings


def _setting_flags(headings: Collection[str]) -> list[inspect.Parameter]:
    """A flag for each setting of `TrainConfig` under these headings, None where it is not given."""
    types = {"int": int, "float": float, "bool": bool, "int | float": str}
    fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
    flags = []
    for order, (heading, names) in enumerate(GROUPS.items(), start=1):
        for name in names if heading in headings else ():
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


def _size(name: str, text: str) -> int | float:
    """A number of samples or a share of them: 200 is a number, 0.2 a share."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{name}={text}: expected a whole number of at least 0, or a share between 0 and 1") from None


def _units(text: str) -> tuple[int, ...]:
    if text.strip().lower() in ("", "none"):
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"hidden_units={text}: expected whole numbers above 0, as 100,50, or none") from None
