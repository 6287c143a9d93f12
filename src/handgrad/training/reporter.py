"""The interface for observers of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from handgrad.engines import Engine
from handgrad.training.config import TrainConfig


class Reporter:
    """Events of a run; every method is optional."""

    def started(self, run_dir: Path, config: TrainConfig, engine: Engine, steps: int, first_step: int) -> None: ...

    def stepped(self, step: int, loss: float) -> None: ...

    def evaluated(self, record: dict[str, Any]) -> None: ...

    def finished(self, summary: dict[str, Any]) -> None: ...

    def note(self, text: str) -> None: ...
