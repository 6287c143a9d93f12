"""`handgrad predict`."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from cyclopts import Parameter

from handgrad.cli.common import Device, Engine, Json, new_app
from handgrad.errors import DataError
from handgrad.training import InputWarning, Run, load_run

if TYPE_CHECKING:
    from PIL import Image

app = new_app(
    "predict",
    "The classes of images. INPUT is a .npy file of (N, C, H, W), (N, H, W, C) or (N, C*H*W) numbers on the data set's "
    "own scale, or a .png of one image. What is done to a picture (transparency, EXIF orientation, an inverted ground) "
    "is said on stderr.",
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
    inputs, notes = read_inputs(input_, loaded)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        probabilities = loaded.predict(inputs, weights, engine=engine, device=device)
    for note in (*notes, *(str(warning.message) for warning in caught)):
        print(f"{input_}: {note}", file=sys.stderr)
    if loaded.task == "regression":
        if json_:
            print(json.dumps({"targets": loaded.classes, "predictions": probabilities.tolist()}))
        else:
            for i, row in enumerate(probabilities):
                print(f"{i}  " + "   ".join(f"{t} {v:.6g}" for t, v in zip(loaded.classes, row, strict=True)))
        return 0
    if json_:
        print(json.dumps({"classes": loaded.classes, "probabilities": probabilities.tolist()}))
        return 0
    for i, row in enumerate(probabilities):
        first, second = np.argsort(row)[::-1][:2]
        print(f"{i}  {loaded.classes[first]}  {row[first]:.4f}   (next: {loaded.classes[second]} {row[second]:.4f})")
    return 0


def read_inputs(path: Path, run: Run) -> tuple[np.ndarray, list[str]]:
    """Raw inputs (N, C, H, W) from a file, and what was done to a picture that it does not show by itself.

    Raises:
        DataError: the file cannot be read, or is no image of the run's size.
    """
    try:
        if path.suffix.lower() == ".png":
            return _read_png(path, run)
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False), []
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (OSError, ValueError, EOFError, SyntaxError) as error:  # SyntaxError: Pillow's, of a broken PNG
        raise DataError(f"cannot read {path}: {error}") from None
    raise DataError(f"{path}: expected a .npy or .png file")


def _read_png(path: Path, run: Run) -> tuple[np.ndarray, list[str]]:
    from PIL import ExifTags, Image, ImageOps

    notes = []
    channels, height, width = run.input_shape
    with Image.open(path, formats=("PNG",)) as opened:
        opened.load()  # its EXIF data may follow the pixels
        if opened.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            notes.append("turned as its EXIF orientation says")
        image = ImageOps.exif_transpose(opened)
    if image.size != (width, height):
        raise DataError(f"{path} is {image.size[0]}x{image.size[1]} pixels, the network takes {width}x{height}")
    if image.mode.startswith("I"):  # 16 bits, which `convert` would cut off at 255
        levels = np.asarray(image, np.float32)
        transparent = image.info.get("transparency")
        alpha = np.where(levels == transparent, 0, 255).astype(np.uint8) if transparent is not None else None
        image = Image.fromarray(np.round(levels / 257).clip(0, 255).astype(np.uint8))
        if alpha is not None:
            image.putalpha(Image.fromarray(alpha))
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        image, ground = _on_a_ground(image.convert("RGBA"))
        if ground:
            notes.append(f"transparent: put on a {ground} ground")
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), np.float32)
    inputs = (pixels.reshape(height, width, channels).transpose(2, 0, 1) * (run.value_range / 255))[None]
    if run.inverted(inputs).any():
        inputs = run.value_range - inputs
        light, dark = ("light", "dark") if pixels.mean() > 127.5 else ("dark", "light")
        notes.append(f"inverted: its ground is {light}, that of the training images {dark}")
    return inputs, notes


def _on_a_ground(image: Image.Image) -> tuple[Image.Image, str]:
    """An RGBA image on black where what it shows is light, else on white; the ground's name, empty where none shows."""
    from PIL import Image

    lightness, alpha = np.asarray(image.convert("RGB").convert("L"), float), np.asarray(image)[..., 3] / 255
    if (alpha == 1).all():
        return image, ""
    ground = "black" if (lightness * alpha).sum() > 127.5 * alpha.sum() else "white"
    return Image.alpha_composite(Image.new("RGBA", image.size, ground), image), ground
