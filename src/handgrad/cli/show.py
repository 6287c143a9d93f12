"""`handgrad show`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from handgrad.architectures import Architecture
from handgrad.cli.common import Json, new_app
from handgrad.cli.judged import judged_tables
from handgrad.data import DATASETS
from handgrad.training import Run, TrainConfig, load_run, merge_settings
from handgrad.training.run import is_folder, load_dataset

app = new_app(
    "show",
    "Show a network's layers: output shapes, parameters, multiply-adds (one sample, forward), convolution algorithms.",
    """
    handgrad show uva-vgg
    handgrad show runs/digits
    """,
    "For a finished run also precision, recall and F1 of each class, and the confusion matrix.",
)


@app.default
def show(
    what: Annotated[str, Parameter(name="RUN|RECIPE", help="run folder or recipe")] = "digits",
    /,
    *,
    json_: Json = False,
) -> int:
    run = load_run(what) if is_folder(what) else None
    config = run.config if run is not None else TrainConfig.from_settings(merge_settings(what))
    known = DATASETS[config.dataset].classes if config.data is None else ()
    if known:
        architecture = config.architecture(DATASETS[config.dataset].input_shape, len(known))
    elif run is not None:
        architecture = config.architecture(run.input_shape, len(run.classes))
    else:  # the files determine the number of classes
        data = load_dataset(config)
        architecture = config.architecture(data.input_shape, len(data.classes))
    algorithms = _algorithms(what, config, architecture)
    if json_:
        rows = [
            {
                "name": row.name,
                "kind": row.kind,
                "output_shape": list(row.output_shape),
                "parameters": row.parameters,
                "multiply_adds": row.multiply_adds,
                **({"algorithm": algorithms[row.name]} if row.name in algorithms else {}),
            }
            for row in architecture.rows()
        ]
        totals = {"parameters": architecture.parameters, "multiply_adds": architecture.multiply_adds}
        print(json.dumps({"model": architecture.name, "dataset": config.dataset, "layers": rows, **totals}, indent=2))
        return 0
    console = Console()
    console.print(_table(what, config, architecture, algorithms))
    if is_folder(what):
        for table in _judged(load_run(what)):
            console.print(table)
    return 0


def _judged(run: Run) -> Iterator[Table]:
    """The metrics of each class in the last evaluation of a finished run."""
    if not (run.path / "summary.json").exists():
        return
    last = run.summary.get("details", {}).get("last", {})
    for split in [split for split in ("test", "validation") if split in last][:1]:
        yield from judged_tables(last[split], f"{split}, last step")


def _algorithms(what: str, config: TrainConfig, architecture: Architecture) -> dict[str, dict[str, Any]]:
    """The algorithm of the numpy engine for each convolution in training, and the reason for it."""
    if config.engine != "numpy" or not any(row.kind == "conv2d" for row in architecture.rows()):
        return {}
    from handgrad.engines.numpy import (  # imports NumPy, which is not needed for an MLP
        convolution_estimates,
        convolution_plan,
    )

    selected = load_run(what).convolutions() if is_folder(what) else {}
    if config.convolution == "measure" and not selected:
        return {}
    plan = selected or convolution_plan(architecture, config.batch_size, config.convolution)
    result = {}
    for row in architecture.rows():
        if row.name not in plan:
            continue
        estimates = convolution_estimates(row, config.batch_size)
        why = {"auto": "lowest estimate", "measure": "fastest when measured"}.get(config.convolution, "as set")
        if why == "as set" and plan[row.name] != config.convolution:
            why = f"lowest estimate: {config.convolution} is not applicable"
        relative = {name: round(cost / estimates["im2col"], 2) for name, cost in estimates.items()}
        result[row.name] = {"name": plan[row.name], "why": why, "estimates": relative}
    return result


def _table(what: str, config: TrainConfig, architecture: Architecture, algorithms: dict[str, dict[str, Any]]) -> Table:
    table = Table(title=f"{what}: {config.model} on {config.dataset}", title_justify="left", show_footer=True)
    table.add_column("", "")
    table.add_column("layer", "total")
    table.add_column("output shape", "", justify="right")
    table.add_column("parameters", f"{architecture.parameters:,}", justify="right")
    table.add_column("multiply-adds", f"{architecture.multiply_adds:,}", justify="right")
    if algorithms:
        table.add_column("algorithm", "")
        table.caption = (
            f"Convolutions: the algorithm of the numpy engine at batch size {config.batch_size}, and its estimated "
            "time relative to im2col.\n--json prints the estimates of all algorithms. See also --convolution of "
            "handgrad train."
        )
        table.caption_justify = "left"
    table.add_row("", "input", _shape(architecture.input_shape), "", "")
    for row in architecture.rows():
        cells = [row.name, row.kind, _shape(row.output_shape), f"{row.parameters:,}", f"{row.multiply_adds:,}"]
        table.add_row(*cells, *([_reason(algorithms.get(row.name))] if algorithms else []))
    return table


def _reason(algorithm: dict[str, Any] | None) -> str:
    if algorithm is None:
        return ""
    why = "" if algorithm["why"] == "lowest estimate" else f", {algorithm['why']}"
    return f"{algorithm['name']} {algorithm['estimates'][algorithm['name']]:.2f}{why}"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
