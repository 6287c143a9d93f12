"""Progress of a run in Python: a bar in a notebook, plain lines elsewhere."""

from __future__ import annotations

import html
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from handgrad.engines import Engine
from handgrad.training.config import TrainConfig
from handgrad.training.display import evaluations_table, measures_in, number, opening
from handgrad.training.judging import SPLITS
from handgrad.training.reporter import Reporter

#: Seconds between updates of the bar.
SECONDS_PER_UPDATE = 0.2


def in_notebook() -> bool:
    """Whether the program runs in a notebook, which can display and update HTML."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def progress_reporter() -> Reporter:
    """The default progress display: a bar in a notebook, lines on stdout elsewhere."""
    return NotebookProgress() if in_notebook() else LineProgress()


class LineProgress(Reporter):
    """Prints one line at the start of a run, one per evaluation, and one at the end.

    Arguments:
        stream: the output stream; by default the current stdout.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def started(self, run_dir: Path, config: TrainConfig, engine: Engine, steps: int, first_step: int) -> None:
        self.steps = steps
        self.note(opening(run_dir, config, engine, steps, first_step))

    def evaluated(self, record: dict[str, Any]) -> None:
        parts = [f"step {record['step']:>{len(str(self.steps))}}/{self.steps}"]
        for split in SPLITS:
            if record.get(f"{split}_loss") is not None:
                figures = [f"{name} {number(record[f'{split}_{name}'])}" for name in measures_in([record])]
                parts.append(f"{split} {' '.join(figures)}")
        self.note("   ".join(parts))

    def finished(self, summary: dict[str, Any]) -> None:
        self.note(f"{summary['steps']:,} steps in {summary['seconds']:.1f} s")

    def note(self, text: str) -> None:
        print(text, file=self._stream or sys.stdout, flush=True)


class NotebookProgress(Reporter):
    """A progress bar with the loss, and the last evaluation below it, in the output of a notebook cell."""

    def __init__(self) -> None:
        self._notes: list[str] = []
        self._record: dict[str, Any] = {}
        self._shown = 0.0
        self._handle: Any = None
        self._step, self._loss = 0, ""

    def started(self, run_dir: Path, config: TrainConfig, engine: Engine, steps: int, first_step: int) -> None:
        from IPython.display import HTML, display  # pyright: ignore[reportMissingImports]

        self._html = HTML
        self._title = opening(run_dir, config, engine, steps, first_step)
        self.steps, self._step = steps, first_step
        self._handle = display(HTML(self._content()), display_id=True)

    def stepped(self, step: int, loss: float) -> None:
        self._step, self._loss = step, f"loss {number(loss)}"
        self._show()

    def evaluated(self, record: dict[str, Any]) -> None:
        self._step, self._record = record["step"], record
        self._show()

    def finished(self, summary: dict[str, Any]) -> None:
        self._loss = f"{summary['seconds']:.1f} s"
        self._show(at_once=True)

    def note(self, text: str) -> None:
        self._notes.append(text)
        if self._handle is not None:
            self._show(at_once=True)
        else:
            print(text, flush=True)

    def _show(self, at_once: bool = False) -> None:
        now = time.perf_counter()
        if at_once or now - self._shown >= SECONDS_PER_UPDATE:
            self._shown = now
            self._handle.update(self._html(self._content()))

    def _content(self) -> str:
        table = evaluations_table({f"step {self._record['step']:,}": self._record}) if self._record else ""
        notes = "".join(f"<div>{html.escape(note)}</div>" for note in self._notes)
        return (
            f"<div>{html.escape(self._title)}</div>"
            f'<progress value="{self._step}" max="{self.steps}" style="width:300px"></progress> '
            f"{self._step:,} of {self.steps:,} steps {self._loss}{table}{notes}"
        )
