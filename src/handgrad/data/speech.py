"""Speech frames: the five files of the CMU competition, or the same in a safe, memory-mapped layout.

`train.npy`, `dev.npy` and `test.npy` contain utterances; `train_labels.npy` and `dev_labels.npy` (and
`test_labels.npy`, if known) contain a class for each frame. Two layouts are detected for each file:

- objects: an object array (U,) of arrays (T, F), or (T,) for labels. NumPy writes it as a pickle, which a restricted
  unpickler reads into one array (frames, F).
- flat: one array (frames, F) or (frames,), and `train_offsets.npy` (U + 1,) int64 with the start of each utterance and
  the number of frames. It is memory-mapped.

A plain array (U, T, F) or (U, T) is interpreted as U utterances of T frames. `states.txt` contains the names of the
classes, one per line.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO

import numpy as np

from handgrad._typing import Array, Float, Integer, Num
from handgrad.data.catalogue import Entry
from handgrad.data.dataset import Preprocessing, fit_preprocessing
from handgrad.data.frames import FrameDataset, Frames
from handgrad.data.samples import Samples
from handgrad.data.unpickle import PickledArray, unpickle_arrays
from handgrad.errors import ConfigError, DataError

_SPLITS = {"train": "train", "validation": "dev", "test": "test"}
_NEEDED = ("train.npy", "train_labels.npy", "dev.npy", "dev_labels.npy")
STATES = "states.txt"

#: Labels above this limit are rejected as a mistake, because a network has a score for each class.
_MAX_CLASSES = 10_000
#: Number of frames processed at a time.
_CHUNK = 2**14

PREPROCESSING = ("standard", "none")


@dataclass(frozen=True, eq=False)
class Utterances:
    """Concatenated sequences of frames.

    Arguments:
        path: the source file.
        values: frames (n, F), float32, or labels (n,).
        offsets: start of each utterance, followed by n (U + 1,), int64.
    """

    path: Path
    values: Num[Array, "n *F"]
    offsets: Integer[Array, "U+1"]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def locate(self, frame: int) -> str:
        """Description of the position of a frame: its utterance and its number within it."""
        utterance = int(np.searchsorted(self.offsets, frame, side="right")) - 1
        return f"utterance {utterance}, frame {frame - int(self.offsets[utterance])} (both counted from 0)"


# -- the format's part of the catalogue -------------------------------------------------------------------------------


def wanted(entry: Entry) -> str:
    """Description of the expected files."""
    return f"{entry.name}/ or the folder itself with {', '.join(_NEEDED)} and, to predict or test, test.npy"


def folders(entry: Entry, base: Path) -> list[Path]:
    """Possible locations of the files below `base`."""
    return [base / entry.name, base]


def files(folder: Path) -> tuple[list[Path], list[str]]:
    """The files of the data set that exist in `folder`, and the names of the missing ones."""
    names = (*_NEEDED, "test.npy", "test_labels.npy", *(f"{name}_offsets.npy" for name in _SPLITS.values()), STATES)
    there = [folder / name for name in names if (folder / name).is_file()]
    return there, [name for name in _NEEDED if not (folder / name).is_file()]


def read(entry: Entry, folder: Path) -> dict[str, Samples]:
    """The checked frames and labels of every split in `folder`; a test split may have no labels."""
    splits, _ = _read_splits(folder)
    nothing = np.empty(0, np.int64)
    return {
        name: Samples(frames.values, labels.values if labels else nothing) for name, (frames, labels) in splits.items()
    }


def load_frames(entry: Entry, folder: Path, kind: str, context: int) -> FrameDataset:
    """The data set in `folder`, ready for training.

    Arguments:
        kind: preprocessing, one of `PREPROCESSING`: "standard" scales each feature to mean 0 and variance 1 over the
            training frames.
        context: number of frames on each side of the classified frame.

    Raises: ConfigError for an unsupported preprocessing; DataError if the files are invalid.
    """
    if kind not in PREPROCESSING:
        raise ConfigError(
            f"preprocessing={kind} applies to images, not to dataset={entry.name}: choose {' or '.join(PREPROCESSING)}"
        )
    splits, classes = _read_splits(folder)
    labelled = {name: (frames, labels) for name, (frames, labels) in splits.items() if labels is not None}
    inputs = Frames([frames.values for frames, _ in labelled.values()])
    ranges: dict[str, range | Integer[Array, "m"]] = {
        name: range(int(start), int(end))
        for name, start, end in zip(labelled, inputs.starts[:-1], inputs.starts[1:], strict=True)
    }
    starts = zip(labelled.values(), inputs.starts[:-1], strict=True)
    offsets = [frames.offsets[:-1] + start for (frames, _), start in starts]
    return FrameDataset(
        entry.name,
        inputs,
        np.concatenate([labels.values for _, labels in labelled.values()]).astype(np.int64, copy=False),
        ranges,
        classes,
        entry.value_range,
        fit_preprocessing(kind, splits["train"][0].values, entry.value_range),
        offsets=np.concatenate([*offsets, [len(inputs)]]),
        context=context,
        unlabelled=tuple(name for name in splits if name not in labelled),
        notes=tuple(
            f"the {name} split has no labels: nothing is evaluated on it" for name in splits if name not in labelled
        ),
    )


def load_utterances(path: Path, features: int, preprocessing: Preprocessing, context: int) -> FrameDataset:
    """A file of utterances without labels, as a data set without splits for prediction.

    Arguments:
        features: required number of features F per frame.
        preprocessing: the preprocessing of the training frames.

    Raises: DataError if the file does not exist or is invalid.
    """
    frames = read_frames(path)
    if frames.values.shape[1] != features:
        raise DataError(
            f"{path} has frames of {frames.values.shape[1]} features, and the network was trained on {features}: "
            "compute them as those of the training files were"
        )
    inputs = Frames([frames.values])
    return FrameDataset(
        path.name,
        inputs,
        np.empty(0, np.int64),
        {},
        (),
        1.0,
        preprocessing,
        offsets=frames.offsets,
        context=context,
    )


def _read_splits(folder: Path) -> tuple[dict[str, tuple[Utterances, Utterances | None]], tuple[str, ...]]:
    """The frames and labels of each split, and the names of the classes."""
    splits: dict[str, tuple[Utterances, Utterances | None]] = {}
    for name, stem in _SPLITS.items():
        path, label_path = folder / f"{stem}.npy", folder / f"{stem}_labels.npy"
        if name == "test" and not path.is_file():
            if label_path.is_file():
                raise DataError(f"{label_path} has no frames: {path.name} is missing next to it")
            continue
        frames = read_frames(path)
        first = next(iter(splits.values()))[0] if splits else frames
        if frames.values.shape[1] != first.values.shape[1]:
            raise DataError(
                f"{path} has frames of {frames.values.shape[1]} features, {first.path.name} of "
                f"{first.values.shape[1]}: expected the same in all files"
            )
        known = name != "test" or label_path.is_file()
        splits[name] = (frames, read_labels(label_path, frames) if known else None)
    labels = [labels for _, labels in splits.values() if labels is not None]
    return splits, _class_names(folder / STATES, labels)


def _class_names(path: Path, labels: list[Utterances]) -> tuple[str, ...]:
    """The names of all classes in the labels, from `states.txt` or, without it, their numbers."""
    count = max(int(part.values.max()) for part in labels) + 1
    if not path.is_file():
        return tuple(map(str, range(count)))
    try:
        names = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}): expected the name of a state in each line") from None
    names = [name.strip() for name in names]
    while names and not names[-1]:
        names.pop()
    for part in labels:
        outside = part.values >= len(names)
        if outside.any():
            first = int(outside.argmax())
            raise DataError(
                f"{part.path} has label {int(part.values[first])} at {part.locate(first)}, and {path.name} names "
                f"{len(names)} states: expected labels from 0 to {len(names) - 1}, or a line for every state"
            )
    return tuple(names[:count])


# -- one file ---------------------------------------------------------------------------------------------------------


def read_frames(path: Path) -> Utterances:
    """The checked utterances of a file of frames (T, F) in either layout: all values finite, no empty utterance.

    Raises: DataError that names the file and what is wrong.
    """
    utterances = _read(path, 2, path.with_name(f"{path.stem}_offsets.npy"))
    for start in range(0, len(utterances.values), _CHUNK):
        chunk = utterances.values[start : start + _CHUNK]
        wrong = ~np.isfinite(chunk)
        if wrong.any():
            frame, feature = np.unravel_index(int(wrong.argmax()), wrong.shape)
            raise DataError(
                f"{path} contains {chunk[frame, feature]} at {utterances.locate(start + int(frame))}, feature "
                f"{feature}: expected finite numbers; leave the utterance out, or compute its features again"
            )
    return utterances


def read_labels(path: Path, frames: Utterances) -> Utterances:
    """The checked labels (T,) of the utterances `frames` in either layout: integers, one class per frame.

    Raises: DataError that names the file and what is wrong.
    """
    stem = frames.path.stem
    labels = _read(path, 1, path.with_name(f"{stem}_offsets.npy"))
    if len(labels) != len(frames):
        raise DataError(
            f"{path} has labels for {len(labels)} utterances, and {frames.path.name} has {len(frames)} utterances: "
            "expected as many"
        )
    differing = np.flatnonzero(np.diff(labels.offsets) != np.diff(frames.offsets))
    if len(differing):
        u = int(differing[0])
        given, needed = (int(part.offsets[u + 1] - part.offsets[u]) for part in (labels, frames))
        raise DataError(
            f"{path} has {given} labels for utterance {u}, which has {needed} frames in {frames.path.name}: expected a "
            "label per frame"
        )
    values = labels.values
    if values.dtype.kind == "f":
        wrong = values != np.floor(values)  # of NaN, too
        if wrong.any():
            raise _wrong_label(labels, wrong, "a whole number")
    wrong = (values < 0) | (values >= _MAX_CLASSES)
    if wrong.any():
        raise _wrong_label(labels, wrong, f"0 to one less than the number of classes (at most {_MAX_CLASSES:,})")
    return Utterances(path, values.astype(np.int64, copy=False), labels.offsets)


def _wrong_label(labels: Utterances, wrong: np.ndarray, expected: str) -> DataError:
    first = int(wrong.argmax())
    return DataError(f"{labels.path} has label {labels.values[first]} at {labels.locate(first)}: expected {expected}")


def _read(path: Path, axes: int, offsets_path: Path) -> Utterances:
    """The utterances of one file: arrays (T, F) if `axes` is 2, (T,) if it is 1."""
    expected = "(T, F) of numbers" if axes == 2 else "(T,) of whole numbers"
    with _opened(path) as file:
        shape, dtype, start = _header(path, file)
        if dtype.hasobject:
            with contextlib.closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as content:
                arrays = unpickle_arrays(content, start, path)
            if not arrays:
                raise DataError(f"{path} has no utterances: expected an object array of arrays {expected}")
            return _flattened(path, file, arrays, axes)
    if dtype.kind not in "fiu":
        raise DataError(f"{path} contains values of dtype {dtype}: expected numbers")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that Python 2 wrote it
            values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): write it again, or replace it with a whole one") from None
    if values.ndim == axes + 1 and values.size:
        offsets = np.arange(len(values) + 1, dtype=np.int64) * shape[1]
        values = values.reshape(-1, *shape[2:])
    elif values.ndim == axes and values.size:
        offsets = _read_offsets(offsets_path, path, len(values))
    else:
        raise DataError(
            f"{path} has shape {shape}: expected an object array of arrays {expected}, or one array of all frames and "
            f"{offsets_path.name} next to it"
        )
    if axes == 2 and values.dtype != np.float32:
        values = _as_float32(values)
    return Utterances(path, values, offsets)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}): expected a .npy file") from None


def _header(path: Path, file: BinaryIO) -> tuple[tuple[int, ...], np.dtype, int]:
    """The shape and dtype in the header of a .npy file, and the offset of its content."""
    try:
        version = np.lib.format.read_magic(file)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that Python 2 wrote it
            shape, _, dtype = readers[version](file)
    except (ValueError, KeyError, SyntaxError, TokenError, RecursionError) as error:
        why = "it is empty" if path.stat().st_size == 0 else " ".join(str(error).split())[:200]
        raise DataError(f"{path} is not a .npy file ({why}): expected one that numpy.save wrote") from None
    return shape, dtype, file.tell()


def _flattened(path: Path, file: BinaryIO, arrays: list[PickledArray], axes: int) -> Utterances:
    """Reads separate arrays in a file into one."""
    features = arrays[0].shape[1:]
    for u, array in enumerate(arrays):
        if len(array.shape) != axes or array.shape[1:] != features:
            transposed = axes == 2 and len(array.shape) == 2 and array.shape[0] == arrays[0].shape[0]
            hint = "; are the arrays transposed?" if transposed else ""
            expected = f"(T, {features[0]})" if axes == 2 and len(features) == 1 and features[0] else "(T, F)"
            expected = expected if axes == 2 else "(T,)"
            raise DataError(f"{path} has an array of shape {array.shape} at utterance {u}: expected {expected}{hint}")
        if not math.prod(array.shape):
            raise DataError(
                f"{path} has an empty utterance, number {u} of shape {array.shape}: leave it out, and its labels"
            )
    offsets = np.cumsum([0, *(array.shape[0] for array in arrays)], dtype=np.int64)
    kinds = {array.dtype for array in arrays}
    dtype = np.dtype(np.float32) if axes == 2 else np.result_type(*kinds).newbyteorder("=")
    values = np.empty((int(offsets[-1]), *features), dtype)
    for u, array in enumerate(arrays):
        part = values[offsets[u] : offsets[u + 1]]
        try:
            part[...] = array.read(file)
        except ValueError as error:  # of UnicodeError, too
            raise DataError(
                f"{path} is damaged at utterance {u} ({error}): expected an array of shape {array.shape} and "
                f"{array.size} bytes; write the file again"
            ) from None
    return Utterances(path, values, offsets)


def _read_offsets(path: Path, frames_path: Path, n: int) -> Integer[Array, "U+1"]:
    if not path.is_file():
        raise DataError(
            f"{frames_path} contains one array of {n} frames, and {path.name}, which says where each utterance begins, "
            f"is missing next to it: expected it there, (U + 1,) whole numbers from 0 to {n}"
        )
    try:
        offsets = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}): expected (U + 1,) whole numbers") from None
    if offsets.ndim != 1 or len(offsets) < 2 or offsets.dtype.kind not in "iu":
        raise DataError(
            f"{path} has shape {offsets.shape} and dtype {offsets.dtype}: expected (U + 1,) whole numbers, where each "
            "utterance begins and the number of frames"
        )
    offsets = offsets.astype(np.int64)
    if offsets[0] != 0 or offsets[-1] != n:
        raise DataError(
            f"{path} goes from {offsets[0]} to {offsets[-1]}, and {frames_path.name} has {n} frames: expected 0 to {n}"
        )
    steps = np.diff(offsets)
    if (steps <= 0).any():
        u = int((steps <= 0).argmax())
        what = "an empty utterance" if steps[u] == 0 else "offsets that decrease"
        raise DataError(
            f"{path} has {what}, number {u} from {offsets[u]} to {offsets[u + 1]}: expected at least a frame"
        )
    return offsets


def _as_float32(values: Num[Array, "n F"]) -> Float[Array, "n F"]:
    """Reads into memory, converting in blocks."""
    result = np.empty(values.shape, np.float32)
    for start in range(0, len(values), _CHUNK):
        with np.errstate(over="ignore"):  # infinities are reported later
            result[start : start + _CHUNK] = values[start : start + _CHUNK]
    return result
