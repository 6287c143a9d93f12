"""Descriptions of a run: the first line of its output and, in a notebook, an HTML table with its curves."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handgrad.training.judging import SPLITS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from handgrad.engines import Engine
    from handgrad.training.config import TrainConfig


def opening(run_dir: Path, config: TrainConfig, engine: Engine, steps: int, first_step: int) -> str:
    """The first line of the output of a run: the data, the network, the training, and the run folder."""
    begin = f"from step {first_step:,} " if first_step else ""
    held = ""
    if size := config.validation_size:
        how = "drawn at random" if config.validation_split == "random" else "the last training samples"
        much = f"{size:,} samples" if size >= 1 else f"{100 * size:g}% of the training samples"
        held = f"validation on {much}, {how}, "
    return (
        f"{config.dataset}: {config.model} with {engine.architecture.parameters:,} parameters, {config.optimizer}, "
        f"{engine.name} engine, {held}{begin}to step {steps:,} -> {run_dir}"
    )


def showing_itself(figure: Figure) -> Figure:
    """The figure in a form that a notebook shows with any backend."""

    def _repr_png_() -> bytes:
        return png(figure)

    figure._repr_png_ = _repr_png_  # pyright: ignore[reportAttributeAccessIssue]
    return figure


def png(figure: Figure) -> bytes:
    from handgrad.figures import save_png

    file = io.BytesIO()
    save_png(figure, file, dpi=100)
    return file.getvalue()


def evaluations_table(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """Evaluations side by side as HTML, with one row per split.

    Arguments:
        columns: headings and records (lines of `metrics.jsonl`).
    """
    records = [*columns.values()]
    splits = [split for split in SPLITS if any(record.get(f"{split}_loss") is not None for record in records)]
    measures = measures_in(records)
    head = "".join(
        f'<th colspan="{len(measures)}" style="text-align:center">{html.escape(title)}</th>' for title in columns
    )
    names = "".join(f"<th>{html.escape(name)}</th>" for name in measures) * len(columns)
    rows = "".join(
        f"<tr><th>{split}</th>"
        + "".join(f"<td>{number(record.get(f'{split}_{name}'))}</td>" for record in records for name in measures)
        + "</tr>"
        for split in splits
    )
    return f"<table><thead><tr><th></th>{head}</tr><tr><th></th>{names}</tr></thead><tbody>{rows}</tbody></table>"


def measures_in(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The metrics of a split: loss, and accuracy or RMSE, MAE and R²."""
    names = {
        key.removeprefix(f"{split}_"): None
        for record in records
        for key in record
        for split in SPLITS
        if key.startswith(f"{split}_")
    }
    return list(names)


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}" if abs(value) < 1e4 else f"{value:.3e}"


def run_html(path: str, about: str, columns: Mapping[str, Mapping[str, Any]], note: str, figure: bytes | None) -> str:
    """A run as HTML.

    Arguments:
        about: one-line description.
        columns: as for `evaluations_table`.
        note: one-line remark; may be empty.
        figure: its curves as PNG.
    """
    parts = [f"<b>Run</b> <code>{html.escape(path)}</code><br>{html.escape(about)}"]
    if columns:
        parts.append(evaluations_table(columns))
    if note:
        parts.append(f"<div>{html.escape(note)}</div>")
    if figure is not None:
        encoded = base64.b64encode(figure).decode()
        parts.append(f'<img alt="curves of the run" style="max-width:720px" src="data:image/png;base64,{encoded}">')
    return f"<div>{''.join(parts)}</div>"
