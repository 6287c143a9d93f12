"""Images from files, read with Pillow, and image folders with one folder per class."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad._typing import Array, UInt8
from handgrad.errors import ConfigError, DataError

if TYPE_CHECKING:
    from PIL import Image

#: Supported formats by their Pillow names, with their file name extensions.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm")

MODES = ("grey", "rgb")
CHANNELS = {"grey": 1, "rgb": 3}

#: Folder names of the splits.
PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}

_GREY = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from "32" or "48x64" (height x width). Raises ConfigError."""
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    if found is None or int(found[1]) < 1 or int(found[2] or 1) < 1:
        raise ConfigError(f"image_size={text}: expected a number of pixels, as 32, or height x width, as 48x64")
    return int(found[1]), int(found[2] or found[1])


def is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def images_in(folder: Path) -> list[Path]:
    """The images below a folder, sorted by name."""
    return sorted(path for path in folder.rglob("*") if is_image(path) and path.is_file())


def classes_in(folder: Path) -> dict[str, list[Path]]:
    """The folders with images in `folder` and their images; one class per folder.

    Raises: DataError if a folder has no images, or if there are images next to the folders.
    """
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__MACOSX")))
    found = {path.name: images_in(path) for path in folders}
    empty = [name for name, images in found.items() if not images]
    if empty and any(found.values()):
        raise DataError(
            f"{folder / empty[0]} contains no image: expected one of {', '.join(SUFFIXES)}; remove the "
            "folder, or add images of that class"
        )
    return {name: images for name, images in found.items() if images}


def parts_in(folder: Path) -> dict[str, Path]:
    """The existing split folders in `folder`: "train", "validation" and "test"."""
    lower = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    found = {part: lower[name] for part, names in PARTS.items() for name in names[::-1] if name in lower}
    return found if "train" in found else {}


def read_images(paths: list[Path], size: str | None, mode: str | None) -> tuple[UInt8[Array, "n C H W"], list[str]]:
    """Images of one size and mode from their files.

    Arguments:
        size: as for `parse_size`: images of other sizes are resized without preserving the aspect ratio; None if all
            have the same size.
        mode: one of `MODES`; None for "grey" if all images are greyscale, "rgb" if all are in colour.

    Returns: the pixels (n, C, H, W), 0 to 255, and remarks about conversions.
    Raises: DataError that names a file that is damaged or differs from the first in size or mode.
    """
    wanted = parse_size(size) if size else None
    sizes, modes = {}, {}
    for path in paths:  # only headers, so that mismatches are detected before decoding
        with opened(path) as image:
            sizes.setdefault(_upright_size(image), path)
            modes.setdefault("grey" if image.mode in _GREY else "rgb", path)
    if mode is None and len(modes) > 1:
        raise DataError(
            f"{modes['grey']} is grey and {modes['rgb']} is in colour: convert all images with --image-mode grey or rgb"
        )
    mode = mode or next(iter(modes))
    if wanted is None and len(sizes) > 1:
        (one, first), (two, second) = list(sizes.items())[:2]
        raise DataError(
            f"{first} is {one[1]}x{one[0]} pixels and {second} {two[1]}x{two[0]}: expected one size; choose it with "
            f"--image-size, as --image-size {min(min(s) for s in sizes)}"
        )
    height, width = wanted or next(iter(sizes))
    pixels = np.empty((len(paths), CHANNELS[mode], height, width), np.uint8)
    done: Counter[str] = Counter()
    for out, path in zip(pixels, paths, strict=True):
        with opened(path) as image:
            shown, notes = _decode(image, path)
            done.update(notes)
        if shown.size != (width, height):
            shown = shown.resize((width, height))
        out[:] = _channels(shown, mode)
    return pixels, [note if len(paths) == 1 else f"{count:,} images {note}" for note, count in done.items()]


def _channels(image: Image.Image, mode: str) -> UInt8[Array, "C H W"]:
    pixels = np.asarray(image.convert("L" if mode == "grey" else "RGB"))
    return pixels[np.newaxis] if mode == "grey" else pixels.transpose(2, 0, 1)


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """(height, width) after applying the EXIF orientation."""
    from PIL import ExifTags

    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return image.size if turned else (image.size[1], image.size[0])


class opened:
    """A context with an open image file; errors of Pillow become DataErrors that name the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.image: Any = None

    def __enter__(self) -> Image.Image:
        from PIL import Image

        self.caught = warnings.catch_warnings()
        self.caught.__enter__()
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module="PIL", category=UserWarning)  # EXIF data that are not needed
        try:
            self.image = Image.open(self.path, formats=FORMATS)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self.image

    def __exit__(self, kind, error, traceback) -> None:
        from PIL import Image, UnidentifiedImageError

        self.caught.__exit__(None, None, None)
        if self.image is not None:
            self.image.close()
        if isinstance(error, FileNotFoundError):
            raise DataError(f"there is no file {self.path}") from None
        if isinstance(error, UnidentifiedImageError):
            raise DataError(f"{self.path} is not an image that can be read: expected {', '.join(FORMATS)}") from None
        if isinstance(error, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
            raise DataError(f"{self.path} has too many pixels ({error}): reduce its size") from None
        if isinstance(error, (OSError, ValueError, EOFError, SyntaxError)):  # SyntaxError: Pillow's, of a broken PNG
            raise DataError(f"{self.path} is damaged and cannot be read ({error}): replace or remove it") from None


def _decode(image: Image.Image, path: Path) -> tuple[Image.Image, list[str]]:
    from PIL import ExifTags, Image, ImageOps

    notes = []
    image.load()  # its EXIF data may follow the pixels
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        notes.append("rotated according to its EXIF orientation")
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise DataError(f"{path} has floating-point pixels, whose range is not known: save it with 8 or 16 bits")
    if image.mode.startswith("I"):  # 16 bits, which `convert` would clip at 255
        levels = np.asarray(image, np.float32)
        transparent = image.info.get("transparency")
        alpha = np.where(levels == transparent, 0, 255).astype(np.uint8) if transparent is not None else None
        image = Image.fromarray(np.round(levels / 257).clip(0, 255).astype(np.uint8))
        if alpha is not None:
            image.putalpha(Image.fromarray(alpha))
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        image, background = _composite(image.convert("RGBA"))
        if background:
            notes.append(f"transparent: put on a {background} background")
    return image, notes


def _composite(image: Image.Image) -> tuple[Image.Image, str]:
    """An RGBA image on a black background if its content is light, else on white; and the name of the background,
    empty if it is not visible."""
    from PIL import Image

    lightness, alpha = np.asarray(image.convert("RGB").convert("L"), float), np.asarray(image)[..., 3] / 255
    if (alpha == 1).all():
        return image, ""
    background = "black" if (lightness * alpha).sum() > 127.5 * alpha.sum() else "white"
    return Image.alpha_composite(Image.new("RGBA", image.size, background), image), background
