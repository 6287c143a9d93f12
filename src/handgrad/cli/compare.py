"""`handgrad compare`."""

from __future__ import annotations

import json
import math
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from handgrad.cli.common import DataDir, Json, Offline, default_text, new_app
from handgrad.training.compare import Comparison, Divergence, Step, compare_runs

app = new_app(
    "compare",
    "Compare two runs step by step: at which step and in which layer they diverge, and by how much.",
    """
    handgrad compare runs/digits runs/digits-2
    handgrad compare runs/digits runs/digits-2 --steps 200 --tolerance 1e-6
    """,
    "Compares the settings, evaluations and final weights in the two folders, then repeats the first steps of both "
    "runs from their seeds, side by side. The run folders are not changed. Differences are relative: max|a - b| / "
    "max(max|a|, max|b|).\n\n"
    "Exit code 0: the runs agree within the tolerance. 1: they diverge. 2: they cannot be compared.",
)


@app.default
def compare(
    one: Annotated[Path, Parameter(name="RUN", help="run folder")],
    other: Annotated[Path, Parameter(name="RUN2", help="run folder")],
    /,
    *,
    steps: Annotated[int, Parameter(help="steps to repeat from the seeds; 0 for none")] = 50,
    tolerance: Annotated[
        float | None,
        Parameter(
            help="largest relative difference that counts as agreement",
            show_default=default_text("1e-8 in float64, 1e-3 in float32, 0.5 in half precision"),
        ),
    ] = None,
    data_dir: DataDir = None,
    offline: Offline = False,
    json_: Json = False,
) -> int:
    with _working(json_) as status:
        show = status.update if status is not None else lambda text: None
        found = compare_runs(
            str(one),
            str(other),
            steps=steps,
            tolerance=tolerance,
            data_dir=data_dir,
            offline=offline,
            progress=lambda step: show(f"step {step} of {steps}"),
        )
    if json_:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        _print(found, Console(highlight=False))
    return 0 if found.agree else 1


def _working(json_: bool) -> AbstractContextManager:
    console = Console(stderr=True)
    return nullcontext() if json_ or not console.is_terminal else console.status("")


def _print(found: Comparison, console: Console) -> None:
    a, b = found.runs
    console.print(Text(f"a: {a}\nb: {b}"), soft_wrap=True)
    for line in _verdict(found):
        console.print(Text(line, style="green" if found.agree else "bold red"))
    if found.note:
        console.print(Text(found.note, style="yellow"))
    console.print()
    if found.settings:
        table = _table("settings that differ", "", "a", "b")
        for name, values in found.settings.items():
            table.add_row(name, *map(_setting, values))
        console.print(table)
    if found.steps:
        console.print(_steps_table(found))
    if found.evaluations:
        console.print(_evaluations_table(found))
    console.print(_parameters_table(found))
    if found.weights_note:
        console.print(f"final weights: {found.weights_note}", soft_wrap=True)
    if found.undetermined:
        console.print(
            "undetermined: a bias that is cancelled by batch normalisation (its true gradient is zero), and the "
            "running means that follow it. Their drift is meaningless and not judged, but it affects the scores and "
            "losses of evaluations."
        )


def _verdict(found: Comparison) -> list[str]:
    judged = f"tolerance {found.tolerance:.0e}"
    if found.agree:
        what = [f"in {_counted(found.steps[-1].step, 'step')} repeated from the seeds"] if found.steps else []
        what += ["in their evaluations"] if found.evaluations else []
        what += ["in the final weights"] if found.weights else []
        return [f"The runs agree {_listed(what)} ({judged})." if what else "There was nothing to compare."]
    lines = []
    if found.divergence is not None:
        before = found.divergence.step == 0
        when = "before the first step" if before else f"at step {found.divergence.step}"
        lines.append(f"The runs diverge {when}, {_where(found.divergence)} ({judged}).")
    elif found.steps:
        lines.append(
            f"Repeated from their seeds, the runs agree for {_counted(found.steps[-1].step, 'step')} ({judged})."
        )
    if found.final_divergence is not None:
        lines.append(f"The final weights differ, {_where(found.final_divergence)}.")
    if found.evaluation_divergence is not None:
        lines.append(f"The recorded training losses diverge at step {found.evaluation_divergence}.")
    return lines


def _where(divergence: Divergence) -> str:
    if divergence.layer is None:
        return f"in the loss, by {_number(divergence.difference)}"
    layer, by = f"layer {divergence.layer} ({divergence.kind})", _number(divergence.difference)
    return f"first in {layer}: {divergence.parameter} by {by}"


def _steps_table(found: Comparison) -> Table:
    table = _table("repeated steps", "step", "loss a", "loss b", "difference", "scores", "parameters", "largest in")
    last, divergence = found.steps[-1].step, found.divergence
    shown = {0, 1, 2, 5, 10, 20, 50, *range(100, last, 100), last}
    if divergence is not None:
        shown |= {divergence.step - 1, divergence.step}
    for step in found.steps:
        if step.step not in shown:
            continue
        worst, difference = _worst(step, found)
        losses = [f"{loss:.6g}" for loss in step.losses] if step.losses else ["", ""]
        here = divergence is not None and step.step == divergence.step
        cells = [str(step.step), *losses, _number(step.loss), _number(step.scores), _number(difference), worst]
        table.add_row(*cells, style="bold red" if here else "")
    return table


def _worst(step: Step, found: Comparison) -> tuple[str, float]:
    """The determined parameter that differs most."""
    judged = {name: d for name, d in step.parameters.items() if name not in found.undetermined}
    name = max(judged, key=judged.__getitem__, default="")
    return (name, judged[name]) if judged and judged[name] else ("", 0.0)


def _evaluations_table(found: Comparison) -> Table:
    names = [name for name in found.evaluations[0] if name != "step"]
    table = _table("evaluations", "step", *(name.replace("_", " ") for name in names))
    rows = found.evaluations
    if len(rows) > 8:
        first = next((i for i, row in enumerate(rows) if row["step"] == found.evaluation_divergence), 0)
        rows = [
            row for i, row in enumerate(rows) if i in (0, first - 1, first, len(rows) - 1) or i % (len(rows) // 4) == 0
        ]
    for row in rows:
        here = row["step"] == found.evaluation_divergence
        table.add_row(str(row["step"]), *(_number(row.get(name)) for name in names), style="bold red" if here else "")
    return table


def _parameters_table(found: Comparison) -> Table:
    table = _table("by layer", "layer", "", "parameter", "diverges at step", "largest", "at the end")
    before = None
    for row in found.parameters():
        far = [d for d in (row["largest"], row["final"]) if d is not None and d > found.tolerance]
        style = "dim" if row["undetermined"] else "red" if far else ""
        layer = (row["layer"], row["kind"]) if row["layer"] != before else ("", "")
        before = row["layer"]
        diverges = "" if row["diverges_at_step"] is None else str(row["diverges_at_step"])
        diverges = "undetermined" if row["undetermined"] else diverges
        cells = [*layer, row["parameter"], diverges, _number(row["largest"]), _number(row["final"])]
        table.add_row(*cells, style=style)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        left = column in ("", "layer", "parameter", "largest in")
        table.add_column(column, justify="left" if left else "right", no_wrap=column in ("parameter", "largest in"))
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return "0" if value == 0 else f"{value:.1e}" if math.isfinite(value) else "not finite"


def _setting(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _counted(n: int, thing: str) -> str:
    return f"{n} {thing}{'' if n == 1 else 's'}"


def _listed(items: list[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
