"""Complete configurations by name: the `recipes/*.toml` files of the package."""

from __future__ import annotations

import difflib
import tomllib
from importlib import resources
from typing import Any

from handgrad.errors import ConfigError


def recipe_names() -> list[str]:
    """Names of all recipes, sorted."""
    folder = resources.files("handgrad.training") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def recipe_text(name: str) -> str:
    """The recipe's file.

    Raises:
        ConfigError: unknown recipe.
    """
    if name not in recipe_names():
        near = difflib.get_close_matches(name, recipe_names(), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known recipes: {', '.join(recipe_names())}"
        raise ConfigError(f"there is no recipe {name!r}: {hint}")
    return (resources.files("handgrad.training") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def recipe_settings(name: str) -> dict[str, Any]:
    """The recipe's settings, keys as in `TrainConfig`."""
    return tomllib.loads(recipe_text(name))


def recipe_title(name: str) -> str:
    """The first line of the recipe's file: what it trains and the expected results."""
    return recipe_text(name).splitlines()[0].removeprefix("#").strip()
