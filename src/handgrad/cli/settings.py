"""One flag per setting of a run, for the subcommands that accept them."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Collection
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from handgrad.cli.common import default_text
from handgrad.errors import ConfigError
from handgrad.training.config import GROUPS, TrainConfig

#: The remark about these flags on the help page of a command.
SHORT_PAGE = "This page shows the settings that most people use; --help-all shows all of them."

#: The flag for a help page with all settings, and the settings on a short one.
SHOW_ALL = "--help-all"
COMMON = (
    *("dataset", "data", "target", "model", "hidden_units", "activation", "norm", "dropout"),
    *("optimizer", "learning_rate", "batch_size", "epochs", "seed", "engine"),
)


def with_setting_flags(function, names: Collection[str] | None = None):
    """The function with `**settings` replaced in its signature, which determines help and parser, by one argument per
    setting: all settings, or those in `names`."""
    signature = inspect.signature(function)
    own = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=[*own, *_setting_flags(names)])
    return function


def given_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings whose flags were given, in the form that `TrainConfig` expects.

    Raises:
        ConfigError: the hidden units or channels cannot be read.
    """
    settings = {name: value for name, value in settings.items() if value is not None}
    for name in ("hidden_units", "channels"):
        if name in settings:
            settings[name] = _units(name, settings[name])
    for name in ("validation_size", "test_size"):
        if name in settings:
            settings[name] = _size(name, settings[name])
    return settings


def _setting_flags(chosen: Collection[str] | None) -> list[inspect.Parameter]:
    """One flag per setting of `TrainConfig`, or of those chosen; None if it is not given."""
    types = {"int": int, "float": float, "bool": bool, "int | float": str}
    show_all = SHOW_ALL in sys.argv or chosen is not None
    fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
    flags = []
    for order, (heading, names) in enumerate(GROUPS.items(), start=1):
        for name in (name for name in names if chosen is None or name in chosen):
            field = fields[name]
            words = field.metadata["default_text"] or (_shown(field.default) if field.default is not None else "")
            kind = types.get(str(field.type).removesuffix(" | None"), str)
            if choices := field.metadata["rule"].choices:
                kind = Literal[choices]
            group = Group(heading, sort_key=order)
            how = Parameter(
                help=field.metadata["help"],
                group=group,
                show=show_all or name in COMMON,
                show_default=default_text(words) if words else False,
            )
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
    """A number of samples or a fraction of them: 200 is a number, 0.2 a fraction."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{name}={text}: expected a whole number of at least 0, or a share between 0 and 1") from None


def _units(name: str, text: str) -> tuple[int, ...]:
    if name == "hidden_units" and text.strip().lower() in ("", "none"):
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        expected = "as 100,50, or none" if name == "hidden_units" else "as 32,64,128"
        raise ConfigError(f"{name}={text}: expected whole numbers above 0, {expected}") from None
