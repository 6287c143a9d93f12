"""`handgrad evaluate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from handgrad.cli.common import Device, Engine, Json, Offline, default_text, input_notes, new_app
from handgrad.cli.judged import judged_tables
from handgrad.cli.reporting import measure_name
from handgrad.errors import ConfigError
from handgrad.training import load_run
from handgrad.training.judging import MEASURES

app = new_app(
    "evaluate",
    "Evaluate a run's network on every split of its data, or on new data.",
    """
    handgrad evaluate runs/digits
    handgrad evaluate runs/table --data new.csv
    """,
    "Prints loss and accuracy, for the weights of the last step and of the best evaluation; for the test set also "
    "precision, recall and F1 of each class and the confusion matrix. For a regression: RMSE, MAE and R².",
)


@app.default
def evaluate(
    run: Annotated[Path, Parameter(help="run folder")],
    /,
    *,
    data: Annotated[
        str | None,
        Parameter(help="evaluate on these data instead: any file or folder that handgrad train --data takes"),
    ] = None,
    target: Annotated[str | None, Parameter(help="with --data x.npy: the .npy file of the targets")] = None,
    data_dir: Annotated[
        str | None,
        Parameter(
            help="folder of the run's data, if it has moved", show_default=default_text("the one used in training")
        ),
    ] = None,
    offline: Offline = False,
    engine: Engine = None,
    device: Device = None,
    json_: Json = False,
) -> int:
    if target is not None and data is None:
        raise ConfigError(f"--target {target} applies to --data, which is not given: leave it out")
    loaded = load_run(run)
    options = {"data_dir": data_dir, "offline": offline, "engine": engine, "device": device}
    options |= {"data": data, "target": target or ""}
    with input_notes(data or run):
        figures = {weights: loaded.evaluate(weights, **options, in_detail=True) for weights in ("last", "best")}
    if loaded.config.on_frames and data is None:
        if "test" not in figures["last"]:
            print("the test split has no labels: nothing is evaluated on it", file=sys.stderr)
        print(f"without silence, by phone: handgrad speech evaluate {run}", file=sys.stderr)
    if json_:
        print(json.dumps(figures, indent=2))
        return 0
    table = Table(title=str(run), title_justify="left")
    measures = [*MEASURES[loaded.task], "loss"]
    for column in ("weights", "split", *map(measure_name, measures)):
        table.add_column(column, justify="left" if column in ("weights", "split") else "right")
    for weights, splits in figures.items():
        for split, figure in splits.items():
            table.add_row(weights, split, *(f"{figure[measure]:.4f}" for measure in measures))
    console = Console()
    console.print(table)
    split = "test" if "test" in figures["last"] else next(iter(figures["last"]))
    for judged in judged_tables(figures["last"][split], f"{split}, weights of the last step"):
        console.print(judged)
    return 0
