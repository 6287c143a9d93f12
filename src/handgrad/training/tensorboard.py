"""Event files for TensorBoard, written with the package `tensorboard`, without TensorFlow or PyTorch."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handgrad.engines import Engine
from handgrad.errors import ConfigError
from handgrad.training.config import TrainConfig
from handgrad.training.judging import SPLITS
from handgrad.training.reporter import Reporter


class TensorBoard(Reporter):
    """A reporter that writes every evaluation to `tensorboard/` in the run folder and forwards all events.

    Tags are `loss/train`, `accuracy/test`, `learning_rate`, …: one chart per metric, with one line per split.

    Arguments:
        inner: the reporter that receives all events.

    Raises:
        ConfigError: the package tensorboard is not installed.
    """

    def __init__(self, inner: Reporter) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            raise ConfigError(
                'tensorboard=true requires tensorboard, which is not installed: pip install "handgrad[tensorboard]"'
            ) from None
        self.inner = inner
        self._events, self._summaries, self._new_writer = event_pb2, summary_pb2, EventFileWriter
        self._writer: Any = None

    def started(self, run_dir: Path, config: TrainConfig, engine: Engine, steps: int, first_step: int) -> None:
        self.inner.started(run_dir, config, engine, steps, first_step)
        with self._failing_softly():
            self._writer = self._new_writer(str(run_dir / "tensorboard"))
            # Events of an earlier session after the checkpoint will be repeated.
            begin = self._events.SessionLog(status=self._events.SessionLog.START)
            self._add(step=first_step + 1, session_log=begin)

    def stepped(self, step: int, loss: float) -> None:
        self.inner.stepped(step, loss)

    def evaluated(self, record: dict[str, Any]) -> None:
        self.inner.evaluated(record)
        values = []
        for key, value in record.items():
            split, _, measure = key.partition("_")
            tag = f"{measure}/{split}" if split in SPLITS else key
            if key not in ("step", "seconds") and isinstance(value, int | float):
                values.append(self._summaries.Summary.Value(tag=tag, simple_value=value))
        with self._failing_softly():
            self._add(step=record["step"], summary=self._summaries.Summary(value=values))

    def finished(self, summary: dict[str, Any]) -> None:
        self.inner.finished(summary)

    def note(self, text: str) -> None:
        self.inner.note(text)

    def close(self) -> None:
        """Ends the event file."""
        if self._writer is not None:
            with self._failing_softly():
                self._writer.close()

    def _add(self, **fields: Any) -> None:
        if self._writer is not None:
            self._writer.add_event(self._events.Event(wall_time=time.time(), **fields))
            self._writer.flush()

    @contextlib.contextmanager
    def _failing_softly(self) -> Iterator[None]:
        """If the disk is full, the event file is closed, but the run continues."""
        try:
            yield
        except OSError as error:
            self._writer = None
            self.inner.note(f"cannot write event files for TensorBoard: {error}. The run continues without them")
