"""New data for a trained run: reading any file that training supports, conversion to network inputs, and writing
predictions as a table."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handgrad._typing import Array, Float, Num
from handgrad.data import Dataset, Raw, Reading, Table, raw_from_arrays, read
from handgrad.data.own import class_labels, real_targets
from handgrad.data.pictures import SUFFIXES
from handgrad.data.table_files import SUFFIXES as TABLES
from handgrad.data.table_files import suffix_of
from handgrad.errors import ConfigError, DataError
from handgrad.training.run import Run, write_text


class Inputs(NamedTuple):
    """Raw inputs, their names if their files define any, and remarks about conversions."""

    inputs: Num[Array, "N *shape"]
    names: tuple[str, ...]
    notes: list[str]


def read_inputs(run: Run, path: str | Path) -> Inputs:
    """The raw inputs in a file or folder, in the form that `Run.predict` accepts.

    Arguments:
        path: a table with the columns that the run was trained on, arrays (.npy, .npz), one image, a folder of images,
            an IDX file or a folder of them.

    Returns: the inputs (N, *shape), float32 or in the dtype of the file, with names and notes.
    Raises: DataError if the file cannot be read or does not match the network.
    """
    raw = _read(run, path, targets=False)
    inputs, notes = _as_inputs(run, raw)
    return Inputs(inputs, raw.items, notes)


def read_labelled(run: Run, source: str | Path | tuple[Any, Any], target: str = "") -> Dataset:
    """Samples with targets as a data set for the network of a run, with a single split "data".

    Arguments:
        source: the path of a file or folder as for `read_inputs`, with targets; or inputs and targets in memory,
            (x, y).
        target: the .npy file with the targets, if `path` is one with inputs.

    Raises: DataError if they cannot be read, do not match the network, or contain an unknown class.
    """
    if isinstance(source, tuple):
        path = "the data"
        raw = raw_from_arrays(*source, name=path)
    else:
        path = source
        raw = _read(run, path, targets=True, target=target)
    if run.task == "regression":
        if len(raw.targets) != len(run.classes):
            raise DataError(
                f"{path} has {len(raw.targets)} targets: expected {len(run.classes)}, {_listed(run.classes)}"
            )
        labels = real_targets(raw.targets, str(path))
    else:
        if len(raw.targets) != 1:
            raise DataError(f"{path} has {len(raw.targets)} targets: expected one, the class of each sample")
        ((name, column),) = raw.targets.items()
        if run.config.data is None and column.dtype.kind in "iu":  # the class index of a built-in data set
            known = {str(i): label for i, label in enumerate(run.classes)}
            column = np.array([known.get(str(value), str(value)) for value in column.tolist()], object)
        labels, _ = class_labels(column, f"target {name!r} of {path}", tuple(run.classes))
    inputs, notes = _as_inputs(run, raw)
    return Dataset(
        str(path),
        run._images(inputs),
        labels,
        {"data": range(len(inputs))},
        tuple(run.classes),
        run.value_range,
        run._preprocessing[0],
        task=run.task,
        target_scaling=run._target_scaling,
        notes=tuple(notes),
        files=raw.files,
    )


def _read(run: Run, path: str | Path, *, targets: bool, target: str = "") -> Raw:
    path = Path(path)
    suffix = suffix_of(path)
    reading: dict[str, str] = {}
    if suffix in TABLES:
        if run.encoder is None:
            raise ConfigError(
                f"{path} is a table, and {run.path} was trained on inputs of shape {run.input_shape}: give arrays or "
                "images"
            )
        reading["target"] = target or _joined(run.encoder.target)
        reading["categories"] = _joined(run.encoder.categories)
    elif run.encoder is not None:
        raise ConfigError(
            f"{path} is not a table, and {run.path} was trained on one: give a .csv, .tsv or .parquet file"
        )
    elif suffix == ".npz":
        reading["arrays"] = run.config.arrays or ""
    elif suffix == ".npy":
        reading["target"] = target
    elif suffix in SUFFIXES or path.is_dir():
        if len(run.input_shape) != 3:
            raise ConfigError(
                f"{path}: {run.path} was trained on rows of {run.input_shape[0]} numbers: give .npy or .npz"
            )
        reading["image_size"] = run.config.image_size or ""
        reading["image_mode"] = {1: "grey", 3: "rgb"}.get(run.input_shape[0], "")
    return read(path, Reading(**{name: value for name, value in reading.items() if value}), targets=targets)


def _as_inputs(run: Run, raw: Raw) -> tuple[Num[Array, "N *shape"], list[str]]:
    notes = list(raw.notes)
    if isinstance(raw.inputs, Table):
        inputs, met = run.encoded(raw.inputs)
        return inputs, notes + met
    inputs = raw.inputs
    if not raw.of_images:
        return inputs, notes
    _, height, width = run.input_shape
    if inputs.shape[1:] != run.input_shape:
        size = f"{inputs.shape[3]}x{inputs.shape[2]} pixels"
        raise DataError(f"{raw.name} is {size}, the network expects {width}x{height}: resize it")
    if run.value_range != 255:
        inputs = inputs * np.float32(run.value_range / 255)
    # Digits may be drawn dark on light or light on dark. The user's own images are not inverted.
    if run.config.data is None and (inverted := run.inverted(inputs)).any():
        light = inputs[inverted].mean() > run.value_range / 2
        inputs = np.where(inverted[:, np.newaxis, np.newaxis, np.newaxis], run.value_range - inputs, inputs)
        background, other = ("light", "dark") if light else ("dark", "light")
        which = "inverted: its" if len(inputs) == 1 else f"{int(inverted.sum()):,} inverted: their"
        notes.append(f"{which} background is {background}, that of the training images {other}")
    return inputs, notes


def predictions(run: Run, outputs: Float[Array, "N K"], names: tuple[str, ...] = ()) -> str:
    """Predictions of `Run.predict` as CSV with one row per input.

    The first column is the file of the input, its row number from 1 (tables), or its index from 0 (arrays). The other
    columns are, for classification, the most probable class, its probability, and the probability p(CLASS) of each
    class; for regression, each target.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if names:
        kind, keys = "file", names
    elif run.encoder is not None:
        kind, keys = "row", range(1, len(outputs) + 1)
    else:
        kind, keys = "index", range(len(outputs))
    if run.task == "regression":
        writer.writerow([kind, *run.classes])
        for key, row in zip(keys, outputs.tolist(), strict=True):
            writer.writerow([key, *(f"{value:.7g}" for value in row)])
    else:
        writer.writerow([kind, "prediction", "probability", *(f"p({name})" for name in run.classes)])
        for key, row in zip(keys, outputs, strict=True):
            best = int(row.argmax())
            writer.writerow([key, run.classes[best], f"{row[best]:.6f}", *(f"{value:.6f}" for value in row)])
    return text.getvalue()


def write_predictions(run: Run, outputs: Float[Array, "N K"], path: str | Path, names: tuple[str, ...] = ()) -> None:
    """Writes `predictions` to a file atomically. Raises RunError if it cannot be written."""
    write_text(Path(path), predictions(run, outputs, names), advice="Free some space or choose another --out")


def _joined(names: tuple[str, ...]) -> str:
    """Column names as one setting: separated by commas, quoted if they contain one."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return text.getvalue() if names else ""


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
