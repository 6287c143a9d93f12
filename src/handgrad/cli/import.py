"""`handgrad import`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from handgrad.cli.common import new_app
from handgrad.cli.settings import SHORT_PAGE, given_settings, with_setting_flags
from handgrad.export import import_weights

app = new_app(
    "import",
    "Make a run folder from weights that were trained elsewhere.",
    """
    handgrad import net.safetensors --arch runs/digits --run-dir runs/imported
    handgrad import net.pt --dataset mnist --hidden-units 32 --run-dir runs/net
    """,
    "FILE contains a state dict. --arch, or the settings, describe its network; class names and preprocessing are "
    f"those of the data set. {SHORT_PAGE}",
)
_IMPORT = Group("Import", sort_key=0)


def import_(
    file: Annotated[Path, Parameter(group=_IMPORT, help=".safetensors, .pt or .pth file")],
    /,
    *,
    run_dir: Annotated[Path, Parameter(group=_IMPORT, help="run folder to make")],
    arch: Annotated[
        Path | None,
        Parameter(
            group=_IMPORT,
            help="take the network from a run folder, a .toml file of settings, or an architecture in a .json file",
        ),
    ] = None,
    json_: Annotated[
        bool, Parameter(name="--json", group=_IMPORT, negative="", show_default=False, help="print JSON")
    ] = False,
    **settings: Any,
) -> int:
    run, notes = import_weights(file, run_dir, arch=arch, **given_settings(settings))
    for note in notes:
        print(f"{file}: {note}", file=sys.stderr)
    figures = run.summary["last"]
    if json_:
        print(json.dumps({"run_dir": str(run.path), **run.summary}, indent=2))
        return 0
    shown = [f"{run.path}: {run.summary['parameters']:,} parameters"]
    shown += [f"{name.replace('_', ' ')} {value:.4f}" for name, value in figures.items() if name.startswith("test_")]
    print("   ".join(shown))
    return 0


app.default(with_setting_flags(import_))
