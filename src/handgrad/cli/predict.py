"""`handgrad predict`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from cyclopts import Parameter

from handgrad.cli.common import Device, Engine, Json, new_app
from handgrad.errors import DataError
from handgrad.training import Run, load_run

app = new_app(
    "predict",
    "The classes of images. INPUT is a .npy file of (N, C, H, W) or (N, C*H*W) numbers on the data set's own "
    "scale, or a .png of one image.",
)


@app.default
def predict(
    run: Annotated[Path, Parameter(help="run folder")],
    input_: Annotated[Path, Parameter(name="INPUT", help=".npy or .png file")],
    /,
    *,
    weights: Annotated[Literal["last", "best"], Parameter(help="of the last step or the best evaluation")] = "last",
    engine: Engine = None,
    device: Device = None,
    json_: Json = False,
) -> int:
    loaded = load_run(run)
    probabilities = loaded.predict(read_inputs(input_, loaded), weights, engine=engine, device=device)
    if json_:
        print(json.dumps({"classes": loaded.classes, "probabilities": probabilities.tolist()}))
        return 0
    for i, row in enumerate(probabilities):
        first, second = np.argsort(row)[::-1][:2]
        print(f"{i}  {loaded.classes[first]}  {row[first]:.4f}   (next: {loaded.classes[second]} {row[second]:.4f})")
    return 0


def read_inputs(path: Path, run: Run) -> np.ndarray:
    """Raw inputs (N, C, H, W) from a file.

    Raises:
        DataError: the file cannot be read, or is no image of the run's size.
    """
    try:
        if path.suffix.lower() == ".png":
            return _read_png(path, run)[None]
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    raise DataError(f"{path}: expected a .npy or .png file")


def _read_png(path: Path, run: Run) -> np.ndarray:
    from PIL import Image

    channels, height, width = run.input_shape
    with Image.open(path, formats=("PNG",)) as image:
        if image.size != (width, height):
            raise DataError(f"{path} is {image.size[0]}x{image.size[1]} pixels, the network takes {width}x{height}")
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), np.float32)
    return pixels.reshape(height, width, channels).transpose(2, 0, 1) * (run.value_range / 255)
