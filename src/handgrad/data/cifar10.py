"""CIFAR-10: the binary files, or the pickled ones through a restricted unpickler.

A record of the binary files is one label byte and 3,072 pixel bytes: the red, green and blue planes, each row-major.
A pickled batch is a dict with `data`, uint8 (n, 3072) of the same layout, and `labels`, a list of n ints.
Source: the page of the data set, Krizhevsky, University of Toronto.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handgrad.data.catalogue import Entry
from handgrad.data.samples import Samples, check_labels
from handgrad.data.unpickle import unpickle
from handgrad.errors import DataError

BINARY, PICKLED = "cifar-10-batches-bin", "cifar-10-batches-py"
_BATCHES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}
_NAMES = (*_BATCHES["train"], *_BATCHES["test"])
BINARY_FILES = tuple(f"{name}.bin" for name in _NAMES)

_PIXELS = 3072
_MAX_RECORDS = 10_000  # records in an official batch, which is the maximum
MOST_BYTES = _MAX_RECORDS * (1 + _PIXELS)
_MAX_PICKLED_BYTES = 64 * 2**20  # an official one takes 30


def wanted(entry: Entry) -> str:
    """Description of the expected files."""
    return f"{BINARY}/ with {', '.join(BINARY_FILES)}, or {PICKLED}/ with {', '.join(_NAMES)}"


def folders(entry: Entry, base: Path) -> list[Path]:
    """Possible locations of the files below `base`, best first (the binary version is faster to read)."""
    return [
        place / layout for layout in (BINARY, PICKLED) for place in (base, base / entry.name)
    ] + [base]  # fmt: skip


def files(folder: Path) -> tuple[list[Path], list[str]]:
    """The files of the data set that exist in `folder`, and the names of the missing ones, in the more complete
    layout."""
    pickled = folder.name == PICKLED or (folder / _NAMES[0]).is_file()
    paths = [folder / name for name in (_NAMES if pickled else BINARY_FILES)]
    return [path for path in paths if path.is_file()], [path.name for path in paths if not path.is_file()]


def read(entry: Entry, folder: Path) -> dict[str, Samples]:
    """The training and the test samples in `folder`, their structure checked.

    Returns: {"train": (images (n, 3, 32, 32) uint8, labels (n,) uint8), "test": ...}.
    Raises: DataError that names the file, what was found, what was expected and what to do.
    """
    paths = {path.stem: path for path in files(folder)[0]}
    samples = {}
    for split, names in _BATCHES.items():
        batches = [read_batch(paths[name]) for name in names]
        inputs, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        samples[split] = Samples(inputs.reshape(-1, *entry.input_shape), labels)
    return samples


def read_batch(path: Path) -> Samples:
    """One batch in either layout: inputs (n, 3072) uint8, labels (n,) uint8, 1 <= n <= 10,000. Raises DataError."""
    samples = _read_binary(path) if path.suffix == ".bin" else _read_pickled(path)
    check_labels(path, samples.labels, 10)
    return samples


def _read_bytes(path: Path, most: int, expected: str) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}): expected {expected}") from None
    if len(content) > most:
        raise DataError(f"{path} has more than {most} bytes: expected {expected}")
    return content


def _read_binary(path: Path) -> Samples:
    record = 1 + _PIXELS
    expected = f"1 to {_MAX_RECORDS} records of {record} bytes"
    content = _read_bytes(path, MOST_BYTES, expected)
    if not content or len(content) % record:
        raise DataError(f"{path} has {len(content)} bytes: expected {expected}")
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    return Samples(records[:, 1:], records[:, 0])


def _read_pickled(path: Path) -> Samples:
    expected = (
        f"a pickled dict with data, uint8 (n, {_PIXELS}), and labels, n ints from 0 to 9, n from 1 to {_MAX_RECORDS}"
    )
    content = unpickle(_read_bytes(path, _MAX_PICKLED_BYTES, expected), path)
    if not isinstance(content, dict):
        raise DataError(f"{path} contains a {type(content).__name__}: expected {expected}")
    # The keys are bytes or str, depending on whether Python 2 or Python 3 wrote the file.
    data, labels = (content.get(key.encode(), content.get(key)) for key in ("data", "labels"))
    if (
        not isinstance(data, np.ndarray)
        or data.ndim != 2
        or data.shape[1] != _PIXELS
        or not 1 <= len(data) <= _MAX_RECORDS
    ):
        found = f"of shape {data.shape}" if isinstance(data, np.ndarray) else f"of type {type(data).__name__}"
        raise DataError(f"{path} has data {found}: expected {expected}")
    if not isinstance(labels, list) or len(labels) != len(data):
        found = f"{len(labels)}" if isinstance(labels, list) else f"{type(labels).__name__} for"
        raise DataError(f"{path} has {found} labels and {len(data)} images: expected {expected}")
    if not all(type(label) is int and 0 <= label <= 255 for label in labels):
        raise DataError(f"{path} has labels that are not classes: expected {expected}")
    return Samples(data, np.array(labels, np.uint8))
