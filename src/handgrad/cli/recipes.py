"""`handgrad recipes`."""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from handgrad.cli.common import Json, new_app
from handgrad.training import recipe_names, recipe_settings, recipe_title
from handgrad.training.recipes import recipe_text

app = new_app(
    "recipes",
    "List the recipes, which are complete configurations by name, or print the file of one.",
    """
    handgrad recipes
    handgrad recipes digits > mine.toml
    """,
)


@app.default
def recipes(
    name: Annotated[str | None, Parameter(help="print this recipe's file")] = None,
    /,
    *,
    json_: Json = False,
) -> int:
    if json_:
        names = [name] if name else recipe_names()
        print(json.dumps({n: {"title": recipe_title(n), "settings": recipe_settings(n)} for n in names}, indent=2))
    elif name:
        print(recipe_text(name), end="")
    else:
        console = Console()
        for n in recipe_names():
            console.print(f"[bold]{n}[/bold]", highlight=False)
            console.print(f"  {recipe_title(n)}", highlight=False)
        console.print(
            "\nhandgrad train --recipe NAME trains one; handgrad recipes NAME prints its file.", highlight=False
        )
    return 0
