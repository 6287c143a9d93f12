"""Display of a run: a progress bar on a terminal, plain lines elsewhere, a table at the end."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from handgrad.engines import Engine
from handgrad.training import Reporter, Run, TrainConfig
from handgrad.training.display import number, opening
from handgrad.training.judging import MEASURES, SPLITS

#: More columns than any table needs, to measure the natural width of a table.
_MAX_WIDTH = 1000


class QuietReporter(Reporter, contextlib.AbstractContextManager):
    """Prints only notes, to stderr."""

    def __exit__(self, *_) -> None: ...

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class LineReporter(QuietReporter):
    """One line per evaluation."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def started(self, run_dir: Path, config: TrainConfig, engine: Engine, steps: int, first_step: int) -> None:
        self.steps = steps
        print(opening(run_dir, config, engine, steps, first_step), file=self.stream, flush=True)

    def evaluated(self, record: dict[str, Any]) -> None:
        print(_line(record, self.steps), file=self.stream, flush=True)


class TerminalReporter(QuietReporter):
    """A progress bar, with a line above it for each evaluation."""

    progress: Progress | None = None

    def started(self, run_dir: Path, config: TrainConfig, engine: Engine, steps: int, first_step: int) -> None:
        self.steps = steps
        console = Console()
        console.print(opening(run_dir, config, engine, steps, first_step), style="bold", highlight=False)
        columns = (
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=console)
        self.progress.start()
        self.task = self.progress.add_task("", total=steps, completed=first_step, loss="-")

    def stepped(self, step: int, loss: float) -> None:
        if self.progress is not None:
            self.progress.update(self.task, completed=step, loss=f"{loss:.4f}")

    def evaluated(self, record: dict[str, Any]) -> None:
        if self.progress is not None:
            self.progress.console.print(_line(record, self.steps), highlight=False)

    def __exit__(self, *_) -> None:
        if self.progress is not None:
            self.progress.stop()

    def note(self, text: str) -> None:
        Console(stderr=True).print(text, style="yellow", highlight=False)


def _line(record: dict[str, Any], steps: int) -> str:
    parts = [f"step {record['step']:>{len(str(steps))}}/{steps}"]
    parts += [
        f"{split} loss {number(record[f'{split}_loss'])} {measure_name(m)} {number(record[f'{split}_{m}'])}"
        for m in (_measure(record),)
        for split in SPLITS
        if record[f"{split}_loss"] is not None
    ]
    return "   ".join(parts)


def _measure(record: dict[str, Any]) -> str:
    """The metric of an evaluation that is shown in addition to the loss."""
    return "accuracy" if "train_accuracy" in record else "rmse"


def measure_name(measure: str) -> str:
    """The heading of a metric of `training.judging`."""
    return {"f1": "F1", "rmse": "RMSE", "mae": "MAE", "r2": "R²"}.get(measure, measure)


def print_result(run: Run) -> None:
    """Prints the table of a finished run, with its best and its last evaluation, and the location of the files."""
    summary = run.summary
    console = Console()
    selecting = summary["selected_by"].partition("_")[0]
    labels = {"last": "last step", "best": f"best {selecting}"}
    both = _evaluations(summary, labels)
    if console.measure(both, options=console.options.update(width=_MAX_WIDTH)).maximum <= console.width:
        console.print(both)
    else:  # one below the other
        for name, label in labels.items():
            console.print(_evaluations(summary, {name: label}))
    if selecting == "test":
        console.print(
            "The best step was chosen on the test set, so its result is biased; that of the last step is not "
            "(see --validation-size).",
            highlight=False,
        )
    console.print(
        f"{summary['parameters']:,} parameters, {summary['steps']:,} steps in {summary['seconds']:.1f} s, "
        f"{summary['samples_per_second']:,.0f} samples/s",
        highlight=False,
    )
    curves = run.path / "curves.png"
    where = f"curves: {curves}" if curves.exists() else f"run: {run.path}"
    console.print(where, highlight=False, soft_wrap=True)
    console.print(f"HTML report: handgrad report {shlex.quote(str(run.path))}", highlight=False, soft_wrap=True)


def _evaluations(summary: dict[str, Any], labels: dict[str, str]) -> Table:
    """The metrics of `last` and `best`, or of one of them, under these headings. Numbers are never truncated."""
    table = Table(title=summary["recipe"] or summary["dataset"], title_justify="left")
    table.add_column("", overflow="fold")
    measures = [*MEASURES[summary.get("task", "classification")], "loss"]
    for name, label in labels.items():
        heads = [label, f"({summary[name]['step']:,})", *[""] * len(measures)]
        for head, measure in zip(heads, measures, strict=False):
            table.add_column(f"{head}\n{measure_name(measure)}", justify="right", overflow="fold")
    for split in SPLITS:
        if summary["last"][f"{split}_loss"] is not None:
            cells = [number(summary[name][f"{split}_{measure}"]) for name in labels for measure in measures]
            table.add_row(split, *cells, style="bold" if split == "test" else "")
    return table
