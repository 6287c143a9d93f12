"""Inspection of the user's data: how they are interpreted, and what looks suspicious."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handgrad._typing import Array, Float, Integer, Num
from handgrad.data.dataset import Dataset
from handgrad.data.own import Raw, assemble
from handgrad.data.sources import Reading, digest, read
from handgrad.data.tables import MISSING, Table, as_text, numbers_in, parse_number

#: Classes with fewer training samples than this are reported.
MIN_SAMPLES = 10

#: Fraction of missing values above which a column is reported.
MAX_MISSING = 0.5

_CHUNK = 4096


@dataclass(frozen=True)
class Inspection:
    """The result of `inspect`, as plain values.

    Arguments:
        path, shown: location and description of the data.
        files, bytes, sha256: number of files, total size, and the checksum that a run records.
        task: "classification" or "regression".
        shape, dtype: of one raw input.
        splits: numbers of samples of "train", "validation" and "test".
        classes: for classification, the number of samples of each class in each split.
        targets: for regression, the minimum, mean and maximum of each target.
        columns: for tables, a description of each column.
        features: number of network inputs per sample.
        suspicious: possible problems, one sentence each.
        notes: remarks from reading the data.
    """

    path: str
    shown: str
    files: int
    bytes: int
    sha256: str
    task: str
    shape: tuple[int, ...]
    dtype: str
    splits: dict[str, int]
    classes: dict[str, dict[str, int]]
    targets: dict[str, dict[str, float]]
    columns: dict[str, str]
    features: int
    suspicious: list[str]
    notes: list[str]


def inspect(path: str | Path, reading: Reading, **options: Any) -> Inspection:
    """Reads the user's data as a run would and reports how they are interpreted and what looks suspicious.

    Arguments:
        path, reading: as for `read`.
        options: as for `assemble`.

    Raises: DataError, ConfigError if a run could not be trained on them.
    """
    raw = read(path, reading)
    dataset = assemble(raw, **options)
    size, sha256 = digest(raw.files)
    splits = {name: dataset.indices(name) for name in dataset.splits}
    classes: dict[str, dict[str, int]] = {}
    targets: dict[str, dict[str, float]] = {}
    if dataset.task == "classification":
        k = len(dataset.classes)
        counts = {name: np.bincount(dataset.labels[rows], minlength=k).tolist() for name, rows in splits.items()}
        classes = {label: {name: counts[name][i] for name in splits} for i, label in enumerate(dataset.classes)}
    else:
        for name, column in zip(dataset.classes, dataset.labels.T.astype(np.float64), strict=True):
            targets[name] = {"least": column.min(), "mean": column.mean(), "largest": column.max()}
            targets[name] = {key: float(value) for key, value in targets[name].items()}
    return Inspection(
        path=str(path),
        shown=raw.shown,
        files=len(raw.files),
        bytes=size,
        sha256=sha256,
        task=dataset.task,
        shape=dataset.input_shape,
        dtype=str(dataset.inputs.dtype),
        splits={name: len(rows) for name, rows in splits.items()},
        classes=classes,
        targets=targets,
        columns=_columns(raw, dataset),
        features=int(np.prod(dataset.input_shape)),
        suspicious=[*_suspicious(raw, dataset, splits, classes)],
        notes=list(dataset.notes),
    )


def _columns(raw: Raw, dataset: Dataset) -> dict[str, str]:
    """A description of each column of a table."""
    if not isinstance(raw.inputs, Table) or dataset.encoder is None:
        return {}
    kinds = {column.name: column for column in dataset.encoder.columns}
    shown = dict.fromkeys(raw.targets, f"target ({dataset.task})")
    for name, values in raw.inputs.columns.items():
        column = kinds.get(name)
        if column is None:
            is_group = values is raw.groups
            empty = name in dataset.encoder.left_out
            shown[name] = "group: no input" if is_group else "empty: left out" if empty else "left out"
        elif column.kind == "number":
            numbers, _ = numbers_in(values)
            known = numbers[~np.isnan(numbers)]
            shown[name] = f"number, {known.min():g} to {known.max():g}, median in training {column.fill:g}"
            if len(known) < len(numbers):
                shown[name] += f"; {len(numbers) - len(known):,} missing, filled with the median"
                shown[name] += " and flagged" if column.flag else ""
        else:
            counts = Counter(as_text(values).tolist()).most_common()
            some = ", ".join(f"{_quoted(value)} {count:,}" for value, count in counts[:5])
            shown[name] = f"category of {len(column.values)} values: {some}{', …' if len(counts) > 5 else ''}"
    return shown


def _quoted(value: str) -> str:
    """A value in a list that is separated by commas."""
    return repr(value) if "," in value else value or "(missing)"


def _suspicious(
    raw: Raw, dataset: Dataset, splits: dict[str, Integer[Array, "n"]], classes: dict[str, dict[str, int]]
) -> Iterator[str]:
    yield from _constant(raw, dataset, splits["train"])
    yield from _row_numbers(raw, dataset)
    yield from _codes(raw, dataset)
    yield from _missing(raw)
    yield from _names(dataset)
    yield from _duplicates(dataset, splits)
    few = [name for name, counts in classes.items() if counts["train"] < MIN_SAMPLES]
    if few:
        yield f"fewer than {MIN_SAMPLES} training samples: {_listed(few)}"
    largest = max(((counts["train"], name) for name, counts in classes.items()), default=(0, ""))
    if largest[0] > 0.9 * len(splits["train"]):
        yield (
            f"{100 * largest[0] / len(splits['train']):.0f}% of the training samples are {largest[1]!r}: always "
            "predicting it is equally accurate; see --class-weight balanced"
        )


def _constant(raw: Raw, dataset: Dataset, train: Integer[Array, "n"]) -> Iterator[str]:
    least: Any = np.inf
    most: Any = -np.inf
    for part in _chunks(dataset.inputs, train):
        least, most = np.minimum(least, part.min(axis=0)), np.maximum(most, part.max(axis=0))
    same = np.atleast_1d(least == most).ravel()
    if same.all():
        yield "all training samples are the same"
    elif len(dataset.input_shape) == 1 and same.any():
        names = dataset.encoder.features if dataset.encoder is not None else [str(i) for i in range(len(same))]
        yield f"constant in training, so not useful: {_listed([names[i] for i in np.flatnonzero(same)])}"


def _row_numbers(raw: Raw, dataset: Dataset) -> Iterator[str]:
    """Columns with row numbers, such as an index that was saved with the table."""
    if isinstance(raw.inputs, Table) and dataset.encoder is not None:
        for column in dataset.encoder.columns:
            if column.kind == "number" and _counts(numbers_in(raw.inputs.columns[column.name])[0]):
                yield f"column {column.name!r} counts the rows and is uninformative; --ignore {column.name}"
    if dataset.task == "regression":
        for name, column in raw.targets.items():
            if _counts(numbers_in(column)[0]):
                yield f"target {name!r} counts the rows: is it a row number?"


def _codes(raw: Raw, dataset: Dataset) -> Iterator[str]:
    """Numeric columns with leading zeros, such as postal codes: 00664 is a name, not a quantity."""
    if isinstance(raw.inputs, Table) and dataset.encoder is not None:
        for column in dataset.encoder.columns:
            code = raw.inputs.leading_zeros.get(column.name)
            if column.kind == "number" and code is not None:
                yield (
                    f"column {column.name!r} contains numbers with leading zeros ({code!r}): if they are codes, "
                    f"declare it a category (--categories {column.name})"
                )


def _counts(values: Float[Array, "n"]) -> bool:
    return len(values) > 2 and bool((np.diff(values) == 1).all())


def _names(dataset: Dataset) -> Iterator[str]:
    """Classes that may be one class in different spellings, or mark missing values."""
    if dataset.task != "classification":
        return
    alike: dict[object, list[str]] = {}
    for name in dataset.classes:
        number = parse_number(name)
        alike.setdefault(name.casefold() if number is None or number != number else number, []).append(name)
    for names in alike.values():
        if len(names) > 1:
            yield f"the classes {' and '.join(map(repr, names))} are different only in spelling: are they the same?"
    for name in dataset.classes:
        if name in MISSING:
            yield f"the class {name!r} looks like a missing value: if it is one, leave these rows out"


def _missing(raw: Raw) -> Iterator[str]:
    if isinstance(raw.inputs, Table):
        for name, column in raw.inputs.columns.items():
            if column.dtype.kind in "OUT":
                share = float((as_text(column) == "").mean())
            else:
                share = float(np.isnan(numbers_in(column)[0]).mean()) if column.dtype.kind in "iuf" else 0.0
            if MAX_MISSING < share < 1:
                yield f"column {name!r} is missing in {100 * share:.0f}% of the rows"


def _duplicates(dataset: Dataset, splits: dict[str, Integer[Array, "n"]]) -> Iterator[str]:
    """Samples that occur in several splits, and equal samples with different labels."""
    labels = dataset.labels.reshape(len(dataset.labels), -1)
    seen: dict[int, tuple[str, bytes]] = {}
    shared: Counter[str] = Counter()
    contradictions = 0
    for split, rows in splits.items():
        for start in range(0, len(rows), _CHUNK):
            some = rows[start : start + _CHUNK]
            for sample, label in zip(dataset.inputs[some], labels[some], strict=True):
                key = hash(np.ascontiguousarray(sample).tobytes())
                before = seen.setdefault(key, (split, label.tobytes()))
                shared[split] += before[0] != split
                contradictions += before[1] != label.tobytes()
    for split, count in shared.items():
        if count:
            yield (
                f"{count:,} of {len(splits[split]):,} {split} samples are training samples too, or copies of others "
                "outside of their split: metrics on them are too optimistic; remove them, or keep copies together with "
                "--group"
            )
    if contradictions:
        yield f"{contradictions:,} samples are equal to another in all inputs, and have a different target"


def _chunks(x: Num[Array, "n *shape"], rows: Integer[Array, "m"]) -> Iterator[Num[Array, "p *shape"]]:
    for start in range(0, len(rows), _CHUNK):
        yield x[rows[start : start + _CHUNK]]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
