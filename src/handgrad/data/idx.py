"""MNIST and Fashion-MNIST: IDX files, optionally gzipped.

An IDX file is a magic number of four bytes (0, 0, 8 for unsigned bytes, the number of dimensions), each dimension as
a big-endian uint32, then the values. Source: the description of the format on the MNIST page, LeCun, Cortes and Burges.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from handgrad._typing import Array, Num, UInt8
from handgrad.data.catalogue import Entry
from handgrad.data.samples import Samples, check_labels
from handgrad.errors import DataError

#: The value types of IDX files, by the third byte of the magic number.
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

_PARTS = {"train": "train", "test": "t10k"}
_CONTENTS = ("images-idx3-ubyte", "labels-idx1-ubyte")
_FILES = tuple(f"{part}-{content}" for part in _PARTS.values() for content in _CONTENTS)


def wanted(entry: Entry) -> str:
    """Description of the expected files."""
    names = ", ".join(f"{name}.gz" for name in _FILES)
    return f"{entry.name}/ with {names} (also without .gz, or with a dot, as train-images.idx3-ubyte)"


def folders(entry: Entry, base: Path) -> list[Path]:
    """Possible locations of the files below `base`, best first."""
    theirs = base / entry.torchvision
    return [base / entry.name, theirs / "raw", theirs, base / "raw", base]


def files(folder: Path) -> tuple[list[Path], list[str]]:
    """The files of the data set that exist in `folder`, and the names of the missing ones."""
    present, missing = [], []
    for name in _FILES:
        dotted = name.replace("-idx", ".idx")
        names = (f"{name}.gz", name, f"{dotted}.gz", dotted)
        found = [path for path in (folder / name for name in names) if path.is_file()]
        present += found[:1]
        missing += [] if found else [f"{name}.gz"]
    return present, missing


def read(entry: Entry, folder: Path) -> dict[str, Samples]:
    """The training and the test samples in `folder`, their structure checked.

    Returns: {"train": (images (n, 1, H, W) uint8, labels (n,) uint8), "test": ...}.
    Raises: DataError that names the file, what was found, what was expected and what to do.
    """
    paths = {path.name.removesuffix(".gz").replace(".idx", "-idx"): path for path in files(folder)[0]}
    samples = {}
    for split, part in _PARTS.items():
        image_path, label_path = (paths[f"{part}-{content}"] for content in _CONTENTS)
        images = read_idx(image_path, entry.input_shape[1:], entry.sizes[split])
        labels = read_idx(label_path, (), entry.sizes[split])
        if len(images) != len(labels):
            raise DataError(
                f"{label_path} contains {len(labels)} labels but {image_path.name} {len(images)} images: expected the "
                "same number of both"
            )
        check_labels(label_path, labels, len(entry.classes))
        samples[split] = Samples(images[:, np.newaxis], labels)
    return samples


def read_idx(path: Path, sample_shape: tuple[int, ...], most: int) -> UInt8[Array, "n *shape"]:
    """The values of an IDX file of unsigned bytes.

    The header is checked completely before memory is allocated.

    Arguments:
        path: the file; gzipped if the name ends in .gz.
        sample_shape: expected shape of one sample, e.g. (28, 28), or () for labels.
        most: maximum number of samples.

    Returns: array (n, *sample_shape), uint8, 1 <= n <= most.
    Raises: DataError.
    """
    expected = f"expected an IDX file of 1 to {most} samples of {_by(sample_shape)} unsigned bytes"
    ndim = 1 + len(sample_shape)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            header = stream.read(4 + 4 * ndim)
            if header[:4] != bytes((0, 0, 8, ndim)):
                raise DataError(f"{path} begins with the bytes [{header[:4].hex(' ')}]: {expected}, which begins with "
                                f"[00 00 08 {ndim:02x}]")  # fmt: skip
            if len(header) < 4 + 4 * ndim:
                raise DataError(f"{path} ends within its header: {expected}")
            n, *shape = (int.from_bytes(header[i : i + 4], "big") for i in range(4, 4 + 4 * ndim, 4))
            if tuple(shape) != sample_shape or not 1 <= n <= most:
                raise DataError(f"{path} claims {n} samples of {_by(tuple(shape))}: {expected}")
            size = n * math.prod(shape)
            values = stream.read(size + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is not a complete gzip file ({error}): {expected}, gzipped") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}): {expected}") from None
    if len(values) != size:
        found = f"{len(values)} bytes" if len(values) < size else "more"
        raise DataError(f"{path} claims {n} samples, which take {size} bytes, but has {found}: {expected}")
    return np.frombuffer(values, np.uint8).reshape(n, *shape)


def read_any_idx(path: Path) -> Num[Array, "n *shape"]:
    """Like `read_idx`, for an IDX file of any type and shape.

    Returns: array (n, *shape) in the byte order of this machine.
    Raises: DataError.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            magic = stream.read(4)
            if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not 1 <= magic[3] <= 4:
                raise DataError(
                    f"{path} begins with the bytes [{magic.hex(' ')}]: expected an IDX file, which begins with "
                    "[00 00], a type (08 for unsigned bytes) and 1 to 4 dimensions"
                )
            dtype = np.dtype(_TYPES[magic[2]])
            header = stream.read(4 * magic[3])
            shape = tuple(int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header), 4))
            size = math.prod(shape) * dtype.itemsize
            values = bytearray()  # grows with the actual content, independent of the header
            while len(values) <= size and (block := stream.read(min(size + 1 - len(values), 1 << 24))):
                values += block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is not a complete gzip file ({error}): expected an IDX file, gzipped") from None
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}): expected an IDX file") from None
    if len(header) < 4 * magic[3] or len(values) != size:
        found = f"{len(values)} bytes" if len(values) < size else "more"
        raise DataError(f"{path} claims {_by(shape)} values, which take {size} bytes, but has {found}: it is damaged")
    return np.frombuffer(values, dtype).astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "1"
