"""`handgrad speech evaluate|predict`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from handgrad.cli.common import Device, Engine, Json, new_app

if TYPE_CHECKING:
    from handgrad.speech.evaluation import FrameFigures

Weights = Annotated[Literal["last", "best"], Parameter(help="of the last step or the best evaluation")]

app = new_app("speech", "Speech, frame by frame: evaluate a network, predict the phoneme states of utterances.")


@app.command
def predict(
    run: Annotated[Path, Parameter(help="run folder")],
    utterances: Annotated[Path, Parameter(name="UTTERANCES", help=".npy file of utterances, as test.npy")],
    /,
    *,
    out: Annotated[Path, Parameter(help="CSV file to write")] = Path("submission.csv"),
    weights: Weights = "best",
    engine: Engine = None,
    device: Device = None,
) -> int:
    """Write the most likely state of every frame as the competition's CSV: id,label, a line per frame, in order."""
    from handgrad.speech.prediction import write_submission
    from handgrad.training import load_run

    frames = write_submission(load_run(run), utterances, out, weights, engine=engine, device=device)
    print(f"{out}: {frames:,} frames")
    return 0


@app.command
def evaluate(
    run: Annotated[Path, Parameter(help="run folder")],
    /,
    *,
    weights: Weights = "best",
    data_dir: Annotated[str | None, Parameter(help="folder of the data, where it has moved")] = None,
    confusion: Annotated[Path | None, Parameter(help="PNG file for the confusion matrix by phone")] = None,
    engine: Engine = None,
    device: Device = None,
    json_: Json = False,
) -> int:
    """Frame accuracy with and without silence, phone accuracy and the most frequent confusions, on every split."""
    from handgrad.speech.evaluation import evaluate_frames
    from handgrad.training import load_run

    figures = evaluate_frames(load_run(run), weights, data_dir=data_dir, engine=engine, device=device)
    known = {split: figure for split, figure in figures.items() if figure is not None}
    for split in figures.keys() - known.keys():
        print(f"the {split} split has no labels: nothing is evaluated on it", file=sys.stderr)
    judged = known.get("test") or known["validation"]
    if confusion is not None:
        _draw(judged, confusion, f"{run}, {'test' if 'test' in known else 'validation'} set")
    if json_:
        print(json.dumps({split: figure.as_dict() for split, figure in known.items()}))
        return 0
    _print(known)
    for phone, other, frames, share in judged.mistakes(5):
        print(f"{phone} taken for {other}: {frames:,} frames, {share:.0%} of {phone}")
    return 0


def _draw(figures: FrameFigures, path: Path, title: str) -> None:
    from handgrad.errors import ConfigError
    from handgrad.figures import phone_confusion
    from handgrad.training.run import write_figure

    if not figures.phones:
        count = len(figures.classes)
        raise ConfigError(f"{count} states make no phones of three: name them in states.txt, a line per state")
    why_not = write_figure(path, lambda: phone_confusion(figures.phone_confusion, figures.phones, title=title))
    if why_not:
        print(why_not, file=sys.stderr)


def _print(figures: dict[str, FrameFigures]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for column in ("split", "frames", "accuracy", "without silence", "phone accuracy"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split, figure in figures.items():
        shares = (figure.accuracy, figure.accuracy_without_silence, figure.phone_accuracy)
        cells = ("not known" if share is None else f"{share:.4f}" for share in shares)
        table.add_row(split, f"{figure.frames:,}", *cells)
    Console().print(table)
