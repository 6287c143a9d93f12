"""The search space of a study: factors over the settings of a run, and their combinations."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handgrad.errors import ConfigError
from handgrad.training.config import TrainConfig, check_keys

#: Settings that are shared by all runs of a study; otherwise runs could not be compared.
FIXED = (
    *("recipe", "dataset", "data_dir", "offline", "validation_size", "validation_split", "eval_size"),
    *("checkpoint_seconds", "device"),
    *("data", "target", "task", "ignore", "categories", "group", "test_size", "data_bytes", "data_sha256"),
)
_RANGE_KEYS = ("low", "high", "log")

Combination = dict[str, Any]


@dataclass(frozen=True)
class Range:
    """A range from `low` to `high`, of integers for integer settings.

    Arguments:
        log: whether to sample on a logarithmic scale.
    """

    low: float
    high: float
    log: bool = False

    def to_toml(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high, "log": self.log}


@dataclass(frozen=True)
class Factor:
    """A setting that a study varies.

    Arguments:
        name: a field of `TrainConfig`.
        values: the values of a grid, in the given order; empty for a range.
        range: the range for a sampler; None for a list of values.
    """

    name: str
    values: tuple[Any, ...] = ()
    range: Range | None = None

    def to_toml(self) -> Any:
        return list(self.values) if self.range is None else self.range.to_toml()


def shown(value: Any) -> str:
    """A value as text for tables and figures: 200,200 for a list, none for an empty one."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def key_of(combination: Mapping[str, Any]) -> str:
    """A text that identifies a combination."""
    return json.dumps(combination, sort_keys=True)


def split(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[Factor]]:
    """Separates the settings of a study into fixed settings and factors.

    A list is a factor, and so is a table `{low, high, log}`. For a setting that is itself a list, a list of lists is a
    factor.

    Raises:
        ConfigError: unknown key (the message suggests the closest), an empty list or duplicate value, an invalid range,
            an invalid value, or a setting that cannot be varied.
    """
    check_keys(settings)
    fixed: dict[str, Any] = {}
    factors = []
    for name, value in settings.items():
        field = _FIELDS[name]
        if isinstance(value, Mapping):
            factors.append(Factor(name, range=_range(field, value)))
        elif isinstance(value, (list, tuple)) and (not _is_list(field) or any(isinstance(v, list) for v in value)):
            factors.append(Factor(name, _values(field, value)))
        else:
            fixed[name] = value
    for factor in factors:
        if factor.name in FIXED:
            raise ConfigError(
                f"{factor.name} cannot be varied, as runs that differ in it cannot be compared: give it one value, "
                "and make a study for each"
            )
        if factor.name == "seed":
            raise ConfigError("seed cannot be varied: seeds=N (--seeds N) repeats every combination with N seeds")
    return fixed, factors


_FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}


def _is_list(field: dataclasses.Field) -> bool:
    return str(field.type).startswith("tuple")


def _empty(name: str) -> str:
    return f"{name}=[]: expected at least one value in the list; leave {name} out for its default"


def _values(field: dataclasses.Field, values: Sequence[Any]) -> tuple[Any, ...]:
    if not values:
        raise ConfigError(_empty(field.name))
    found = []
    for value in values:
        value = _fitting(field, value)
        if value in found and type(value) is type(found[found.index(value)]):
            raise ConfigError(f"{field.name}={shown(value)} is listed twice: leave one out (--seeds N repeats runs)")
        found.append(value)
    return tuple(found)


def _fitting(field: dataclasses.Field, value: Any) -> Any:
    """A value in the type of the setting: floats for numbers, lists for lists, None for "none" if it is optional."""
    kind = str(field.type)
    if value == "none" and kind.endswith("| None") and not kind.startswith("str"):
        return None
    if kind.startswith("float") and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if _is_list(field) and isinstance(value, (int, tuple)):
        value = list(value) if isinstance(value, tuple) else [value]
    expected, fits, _ = field.metadata["rule"]
    if value is not None and not fits(tuple(value) if isinstance(value, list) else value):
        raise ConfigError(f"{field.name}={shown(value)}: expected {expected}")
    return value


def _range(field: dataclasses.Field, table: Mapping[str, Any]) -> Range:
    name, kind = field.name, str(field.type).removesuffix(" | None")
    if kind not in ("int", "float"):
        raise ConfigError(f"{name} cannot have a range, which is for numbers: expected a list of values")
    for key in table:
        if key not in _RANGE_KEYS:
            near = difflib.get_close_matches(key, _RANGE_KEYS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(_RANGE_KEYS)}"
            raise ConfigError(f"{name}: unknown key {key!r} of a range: {hint}")
    if "low" not in table or "high" not in table:
        missing = "low" if "low" not in table else "high"
        raise ConfigError(f"{name}: its range has no {missing}: expected {{low, high}} or {{low, high, log}}")
    low, high = (_fitting(field, table[end]) for end in ("low", "high"))
    log = table.get("log", False)
    if not isinstance(log, bool):
        raise ConfigError(f"{name}: log={log}: expected true or false")
    if low is None or high is None or not low < high:
        raise ConfigError(f"{name}: low={shown(low)} high={shown(high)}: expected low below high; exchange them")
    if log and low <= 0:
        raise ConfigError(f"{name}: low={shown(low)} with log=true: expected low above 0, or log=false")
    return Range(low, high, log)


# -- command-line syntax ----------------------------------------------------------------------------------------------


def varied(text: str) -> tuple[str, Any]:
    """Parses an argument of `--vary`: a list such as `learning_rate=1e-3,1e-4` or `hidden_units=100;200,200`, or a
    range such as `learning_rate=1e-5..1e-2` (with the suffix `:log` for a logarithmic scale).

    Raises:
        ConfigError: invalid syntax.
    """
    name, equals, given = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals:
        raise ConfigError(f"--vary {text}: expected SETTING=VALUE,VALUE, as learning_rate=1e-3,1e-4")
    check_keys({name: None}, "--vary")
    field = _FIELDS[name]
    if not given.strip():
        raise ConfigError(_empty(name))
    if ".." in given:
        ends, colon, scale = given.partition(":")
        if colon and scale != "log":
            raise ConfigError(f"--vary {text}: expected LOW..HIGH or LOW..HIGH:log")
        low, _, high = ends.partition("..")
        return name, {"low": _read(field, low), "high": _read(field, high), "log": bool(colon)}
    if _is_list(field):
        lists = [_read_list(field, part) for part in given.split(";")]
        if len(lists) == 1:
            raise ConfigError(
                f"--vary {text}: that is one value; separate the values of {name} with semicolons, in quotes: "
                f'--vary {name}="100;200,200"'
            )
        return name, lists
    return name, [_read(field, part) for part in given.split(",")]


def _read_list(field: dataclasses.Field, text: str) -> list[int]:
    if text.strip() in ("", "none"):
        return []
    return [_read_number(field.name, "int", part) for part in text.split(",")]


def _read(field: dataclasses.Field, text: str) -> Any:
    text, kind = text.strip(), str(field.type).removesuffix(" | None")
    if text == "none" or kind not in ("int", "float", "bool"):
        return text
    return _read_number(field.name, kind, text)


def _read_number(name: str, kind: str, text: str) -> Any:
    try:
        if kind == "bool":
            return {"true": True, "yes": True, "false": False, "no": False}[text.strip().lower()]
        return int(text) if kind == "int" else float(text)
    except (ValueError, KeyError):
        expected = {"bool": "true or false", "int": "a whole number", "float": "a number"}[kind]
        raise ConfigError(f"{name}={text}: expected {expected}") from None


# -- combinations -----------------------------------------------------------------------------------------------------


def size(factors: Sequence[Factor]) -> int | None:
    """Number of combinations of the lists; None if a factor is a range."""
    if any(factor.range is not None for factor in factors):
        return None
    return math.prod(len(factor.values) for factor in factors)


def every(factors: Sequence[Factor]) -> Iterator[Combination] | None:
    """All combinations of lists and integer ranges; None if there are infinitely many."""
    levels = []
    for factor in factors:
        span = factor.range
        if span is None:
            levels.append(factor.values)
        elif isinstance(span.low, int) and isinstance(span.high, int):
            levels.append(range(span.low, span.high + 1))
        else:
            return None
    names = [factor.name for factor in factors]
    return (dict(zip(names, values, strict=True)) for values in itertools.product(*levels))


def grid(factors: Sequence[Factor]) -> Iterator[Combination]:
    """All combinations of the lists; the last factor varies fastest."""
    names = [factor.name for factor in factors]
    for values in itertools.product(*(factor.values for factor in factors)):
        yield dict(zip(names, values, strict=True))


def configured(fixed: Mapping[str, Any], combination: Mapping[str, Any], seed: int | None = None) -> TrainConfig:
    """The configuration of one run.

    Raises:
        ConfigError: invalid combination.
    """
    settings = {**fixed, **combination}
    if seed is not None:
        settings["seed"] = seed
    return TrainConfig.from_settings(settings)
