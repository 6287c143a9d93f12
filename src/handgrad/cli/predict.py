"""`handgrad predict`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from cyclopts import Parameter

from handgrad.cli.common import Device, Engine, Json, Weights, input_notes, new_app
from handgrad.errors import ConfigError
from handgrad.training import Run, load_run
from handgrad.training.new_data import read_inputs, write_predictions

app = new_app(
    "predict",
    "Predict the class, or the targets, of each input in a file.",
    """
    handgrad predict runs/digits image.png
    handgrad predict runs/digits inputs.npy --json
    handgrad predict runs/table new.csv --out predictions.csv
    """,
    "INPUT is a table with the columns that the run was trained on (.csv, .tsv, .csv.gz, .tsv.gz, .parquet), arrays on "
    "the scale of the raw training data (.npy, or x in an .npz file), an image, a folder of images, or an IDX file. "
    "Notes on the inputs go to stderr: transparency, EXIF orientation, a light background where training had a dark "
    "one, values that did not occur in training.",
)


@app.default
def predict(
    run: Annotated[Path, Parameter(help="run folder")],
    input_: Annotated[Path, Parameter(name="INPUT", help="file or folder")],
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="write the predictions, with all probabilities, to this .csv file")
    ] = None,
    weights: Annotated[Literal["last", "best"], Weights] = "last",
    engine: Engine = None,
    device: Device = None,
    json_: Json = False,
) -> int:
    loaded = load_run(run)
    loaded.check_takes_samples()
    if out is not None and out.exists() and input_.exists() and out.samefile(input_):
        raise ConfigError(f"--out {out} is INPUT, which would be overwritten: choose another file")
    inputs, names, notes = read_inputs(loaded, input_)
    for note in notes:
        print(f"{input_}: {note}", file=sys.stderr)
    with input_notes(input_):
        outputs = loaded.predict(inputs, weights, engine=engine, device=device)
    if out is not None:
        write_predictions(loaded, outputs, out, names)
    if json_:
        keys = ("targets", "predictions") if loaded.task == "regression" else ("classes", "probabilities")
        print(json.dumps({keys[0]: loaded.classes, keys[1]: outputs.tolist(), **({"files": names} if names else {})}))
    elif out is not None:
        print(f"{len(outputs):,} predictions: {out}")
    else:
        _print(loaded, outputs, names)
    return 0


def _print(run: Run, outputs: np.ndarray, names: tuple[str, ...]) -> None:
    """One line per input."""
    for i, row in enumerate(outputs):
        key = names[i] if len(names) > 1 else i
        if run.task == "regression":
            print(f"{key}  " + "  ".join(f"{name} {value:.6g}" for name, value in zip(run.classes, row, strict=True)))
            continue
        first, second = np.argsort(row)[::-1][:2]
        print(f"{key}  {run.classes[first]}  {row[first]:.4f}   (next: {run.classes[second]} {row[second]:.4f})")
