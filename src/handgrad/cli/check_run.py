"""`handgrad check-run RUN`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from handgrad.cli.common import Json, new_app
from handgrad.errors import RunError
from handgrad.training.run import RunFolder

app = new_app(
    "check-run",
    "Check that the files of a run are intact, by their checksums.",
    """
    handgrad check-run runs/digits
    """,
    "Exit code 0: all files are intact. 1: a file is damaged, was changed, or has no checksum.",
)


@app.default
def check_run(run: Annotated[Path, Parameter(help="run folder")], /, *, json_: Json = False) -> int:
    folder = RunFolder(run)
    if not folder.path.is_dir():
        raise RunError(f"there is no run folder {run}: expected one that handgrad train has written")
    found = folder.examined()
    intact = all(state == "intact" for state in found.values())
    if json_:
        print(json.dumps({"run": str(run), "intact": intact, "files": found}, indent=2))
        return 0 if intact else 1
    for name, state in found.items():
        print(f"{name:<32}{state if state in ('intact', 'missing') else 'NOT INTACT'}")
    for state in found.values():
        if state not in ("intact", "missing"):
            print(state)
    return 0 if intact else 1
