"""`handgrad data list|get|check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from handgrad import data
from handgrad.cli.common import DataDir, Json, new_app

app = new_app("data", "The data sets: what there is, where it is looked for, fetching it, checking it.")


@app.command(name="list")
def list_(*, data_dir: DataDir = None, json_: Json = False) -> int:
    """Every data set, and where it is."""
    listings = data.describe(data_dir=data_dir)
    if json_:
        rows = [
            {
                "name": listing.entry.name,
                "title": listing.entry.title,
                "sizes": listing.entry.sizes,
                "input_shape": list(listing.entry.input_shape),
                "classes": len(listing.entry.classes),
                "licence": listing.entry.licence,
                "source": listing.entry.source,
                "found": str(listing.found) if listing.found else None,
                "looked_for": [str(path) for path in listing.looked_for],
            }
            for listing in listings
        ]
        print(json.dumps(rows, indent=2))
        return 0
    console = Console()
    for listing in listings:
        entry = listing.entry
        sizes = ", ".join(f"{size:,} {split}" for split, size in entry.sizes.items()) or "frames"
        console.print(f"[bold]{entry.name}[/bold]  {entry.title}", highlight=False)
        console.print(
            f"  {sizes}, {'x'.join(map(str, entry.input_shape))}; {_where(listing)}", highlight=False, soft_wrap=True
        )
    return 0


def _where(listing: data.Listing) -> str:
    if listing.entry.format == "digits":
        return "inside the package"
    if not listing.found and not listing.entry.downloads:
        return "not here: make it with handgrad speech prepare, or name the folder"
    return str(listing.found) if listing.found else f"not here yet: handgrad data get {listing.entry.name}"


@app.command
def get(name: Annotated[str, Parameter(help="data set")], /, *, data_dir: DataDir = None) -> int:
    """Download a data set, going on with a broken transfer; one that is there is left as it is."""
    print(f"{name}: {data.get(name, data_dir=data_dir)}")
    return 0


@app.command
def check(name: Annotated[str, Parameter(help="data set")], /, *, data_dir: DataDir = None, json_: Json = False) -> int:
    """Read every file of a data set, and compare those that are the official ones with their checksum."""
    seen = data.check(name, data_dir=data_dir)
    if json_:
        files = {str(path): official for path, official in seen.official.items()}
        print(json.dumps({"folder": str(seen.folder), "sizes": seen.sizes, "official": files}, indent=2))
        return 0
    sizes = ", ".join(f"{size:,} {split}" for split, size in seen.sizes.items())
    print(f"{name}: sound, {sizes} samples in {seen.folder}")
    words = {True: "the official file", False: "not the official file, structure sound", None: "structure sound"}
    for path, official in seen.official.items():
        print(f"  {Path(path).name}: {words[official]}")
    return 0
