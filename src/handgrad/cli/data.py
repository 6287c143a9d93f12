"""`handgrad data list|get|check`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from handgrad import data
from handgrad.cli.common import DataDir, Json, help_page, new_app
from handgrad.cli.settings import given_settings, with_setting_flags
from handgrad.errors import ConfigError
from handgrad.training import TrainConfig

#: Settings for reading and splitting data.
_READING = (
    *("data_dir", "validation_size", "validation_split", "preprocessing", "target", "task", "ignore", "categories"),
    *("group", "sample_weight", "test_size", "arrays", "image_size", "image_mode", "seed"),
)

#: Maximum number of classes whose counts are printed.
_MAX_CLASSES = 20

app = new_app(
    "data",
    "List, download and check the built-in data sets; check your own data.",
    """
    handgrad data list
    handgrad data get mnist
    handgrad data check table.csv --target price
    """,
)


@app.command(
    name="list",
    help=help_page(
        "List the built-in data sets, and where each one is on this machine.",
        """
        handgrad data list
        handgrad data list --json
        """,
    ),
)
def list_(*, data_dir: DataDir = None, json_: Json = False) -> int:
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
        return "not found: create it with handgrad speech prepare, or specify the folder"
    return str(listing.found) if listing.found else f"not downloaded: handgrad data get {listing.entry.name}"


@app.command(
    help=help_page(
        "Download a built-in data set. An interrupted download is resumed; files that exist are kept.",
        """
        handgrad data get mnist
        handgrad data get cifar10 --data-dir data
        """,
    )
)
def get(
    name: Annotated[str, Parameter(help="name of the data set, see handgrad data list")], /, *, data_dir: DataDir = None
) -> int:
    print(f"{name}: {data.get(name, data_dir=data_dir)}")
    return 0


def check(
    name: Annotated[str, Parameter(name="NAME|PATH", help="built-in data set, or your own file or folder")],
    /,
    *,
    json_: Json = False,
    **settings: Any,
) -> int:
    settings = given_settings(settings)
    if name not in data.DATASETS:
        return _check_own(name, settings, json_)
    data_dir = settings.pop("data_dir", None)
    if settings:
        raise ConfigError(f"{next(iter(settings))} applies to your own data, but {name} is built in: leave it out")
    seen = data.check(name, data_dir=data_dir)
    if json_:
        files = {str(path): official for path, official in seen.official.items()}
        print(json.dumps({"folder": str(seen.folder), "sizes": seen.sizes, "official": files}, indent=2))
        return 0
    sizes = ", ".join(f"{size:,} {split}" for split, size in seen.sizes.items())
    altered = [path.name for path, official in seen.official.items() if official is False]
    verdict = (
        f"valid, but {len(altered)} of {len(seen.official)} files differ from the official ones" if altered else "valid"
    )
    print(f"{name}: {verdict}, {sizes} samples in {seen.folder}")
    words = {
        True: "the official file",
        False: "differs from the official file",
        None: "valid; there is no official checksum of its content",
    }
    for path, official in seen.official.items():
        print(f"  {path.name}: {words[official]}{', with a different compression' if path in seen.repacked else ''}")
    return 0


app.command(
    with_setting_flags(check, _READING),
    name="check",
    help=help_page(
        "Read a whole data set as training would, and report how it is interpreted and what looks suspicious.",
        """
        handgrad data check table.csv --target price
        handgrad data check photos --image-size 32
        handgrad data check mnist
        """,
        "For a built-in data set, its files are compared with the official checksums.",
    ),
)


def _check_own(path: str, settings: dict[str, Any], json_: bool) -> int:
    if not Path(path).expanduser().exists():
        raise ConfigError(
            f"there is no data set, file or folder {path!r}: expected one of {', '.join(data.DATASETS)}, or the path "
            "of your own data"
        )
    config = TrainConfig.from_settings({**settings, "data": path})
    seen = data.inspect(path, config.reading(), **config.splitting())
    if json_:
        print(json.dumps(dataclasses.asdict(seen), indent=2))
        return 0
    console = Console(highlight=False, soft_wrap=True)
    shape = "x".join(map(str, seen.shape))
    files = "1 file" if seen.files == 1 else f"{seen.files:,} files"
    console.print(f"{seen.path}: {seen.shown}, {files}, {seen.bytes:,} bytes, SHA-256 {seen.sha256}", markup=False)
    what = f"{len(seen.classes)} classes" if seen.classes else f"{len(seen.targets)} targets"
    console.print(f"  {seen.task}: {what.removesuffix('s') if what == '1 targets' else what}")
    console.print(f"  inputs: {shape} {seen.dtype}, {seen.features:,} numbers per sample")
    console.print("  splits: " + ", ".join(f"{size:,} {split}" for split, size in seen.splits.items()))
    for name, counts in list(seen.classes.items())[:_MAX_CLASSES]:
        shown = ", ".join(f"{count:,} {split}" for split, count in counts.items())
        console.print(f"  class {name}: {shown}", markup=False)
    if len(seen.classes) > _MAX_CLASSES:
        console.print(f"  … and {len(seen.classes) - _MAX_CLASSES} more classes")
    for name, values in seen.targets.items():
        shown = ", ".join(f"{key} {value:g}" for key, value in values.items())
        console.print(f"  target {name}: {shown}", markup=False)
    for name, kind in seen.columns.items():
        console.print(f"  column {name}: {kind}", markup=False)
    for note in seen.notes:
        console.print(f"  note: {note}", markup=False)
    for finding in seen.suspicious:
        console.print(f"  suspicious: {finding}", markup=False, style="yellow")
    if not seen.suspicious:
        console.print("  nothing looks suspicious")
    return 0
