"""`handgrad show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from handgrad.architectures import Architecture
from handgrad.cli.common import Json, new_app
from handgrad.data import DATASETS
from handgrad.training import TrainConfig, load_run, merge_settings

app = new_app("show", "A network's layers: output shape, parameters, multiply-adds (one sample, forward).")


@app.default
def show(
    what: Annotated[str, Parameter(name="RUN|RECIPE", help="run folder or recipe")] = "digits",
    /,
    *,
    json_: Json = False,
) -> int:
    config = load_run(what).config if Path(what).is_dir() else TrainConfig.from_settings(merge_settings(what))
    entry = DATASETS[config.dataset]
    architecture = config.architecture(entry.input_shape, len(entry.classes))
    if json_:
        rows = [
            {
                "name": row.name,
                "kind": row.kind,
                "output_shape": list(row.output_shape),
                "parameters": row.parameters,
                "multiply_adds": row.multiply_adds,
            }
            for row in architecture.rows()
        ]
        totals = {"parameters": architecture.parameters, "multiply_adds": architecture.multiply_adds}
        print(json.dumps({"model": architecture.name, "dataset": config.dataset, "layers": rows, **totals}, indent=2))
    else:
        Console().print(_table(what, config, architecture))
    return 0


def _table(what: str, config: TrainConfig, architecture: Architecture) -> Table:
    table = Table(title=f"{what}: {config.model} on {config.dataset}", title_justify="left", show_footer=True)
    table.add_column("", "")
    table.add_column("layer", "total")
    table.add_column("output shape", "", justify="right")
    table.add_column("parameters", f"{architecture.parameters:,}", justify="right")
    table.add_column("multiply-adds", f"{architecture.multiply_adds:,}", justify="right")
    table.add_row("", "input", _shape(architecture.input_shape), "", "")
    for row in architecture.rows():
        table.add_row(row.name, row.kind, _shape(row.output_shape), f"{row.parameters:,}", f"{row.multiply_adds:,}")
    return table


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
