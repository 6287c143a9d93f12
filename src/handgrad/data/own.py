"""The user's own data: raw inputs and targets from arrays, tables, images or files, converted to a `Dataset`."""

from __future__ import annotations

import csv
import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handgrad._typing import Array, Float, Integer, Num, Shaped
from handgrad.data import splitting
from handgrad.data.dataset import TASKS, VALIDATION_SPLITS, Dataset, fit_preprocessing
from handgrad.data.tables import (
    Table,
    TableEncoder,
    as_column,
    as_text,
    formatted_numbers,
    is_frame,
    numbers_in,
    parse_number,
)
from handgrad.errors import ConfigError, DataError

#: Default fraction of test samples.
TEST_SIZE = 0.2

#: Floating-point targets without fractions are classes if they have at most this many different values.
MAX_WHOLE_CLASSES = 20

_CHUNK = 4096  # number of samples processed at a time, because inputs may be larger than memory


@dataclass(frozen=True, eq=False, kw_only=True)
class Raw:
    """The raw contents of a source, not yet encoded, scaled or split.

    Arguments:
        name: its name in messages.
        inputs: (n, *shape), or a table without its target.
        targets: a column (n,) for each name in `target`, numbers or text; empty if there are none.
        sizes: numbers of samples of "train", "validation" and "test", in this order, if defined by the source; else
            empty.
        groups: group of each sample (n,), which must not be divided between splits, or None.
        weights: sample weights for training (n,), or None.
        value_range: the largest raw value of images of unsigned bytes: 255, or 1 or 16 if that is sufficient; None for
            other inputs.
        of_images: whether they come from image files, with values from 0 (black) to 255.
        items: a name for each sample (n,), such as the file name; empty if there are none.
        files: the files that were read.
        notes: remarks about conversions during reading.
        shown: description of the format.
    """

    name: str
    inputs: Num[Array, "n *shape"] | Table
    targets: dict[str, Shaped[Array, "n"]]
    sizes: dict[str, int] = dataclasses.field(default_factory=dict)
    groups: Shaped[Array, "n"] | None = None
    weights: Shaped[Array, "n"] | None = None
    value_range: float | None = None
    of_images: bool = False
    items: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    shown: str = "arrays"


def from_arrays(
    x: Any,
    y: Any,
    *,
    x_test: Any = None,
    y_test: Any = None,
    groups: Any = None,
    sample_weight: Any = None,
    ignore: str = "",
    categories: str = "",
    task: str | None = None,
    test_size: float | None = None,
    validation_size: float = 0,
    validation_split: str = "random",
    seed: int = 0,
    preprocessing: str | None = None,
    name: str = "arrays",
) -> Dataset:
    """A data set from arrays or a DataFrame in memory, ready to train on.

    Arguments:
        x: inputs (n, D), (n, H, W), (n, C, H, W) or (n, H, W, C), any real numbers; or a pandas or polars DataFrame,
            whose columns are encoded by a `TableEncoder`.
        y: targets (n,): classes (integers, text, or one-hot (n, K)) or real numbers, also (n, T); with a DataFrame, the
            name of the target column, or a list of names.
        x_test, y_test: test samples; by default, `test_size` of the samples are held out.
        groups: (n,) or the name of a column: samples with the same value are kept in the same split.
        sample_weight: (n,) or the name of a column: weights for training, at least 0.
        ignore, categories: columns of a DataFrame, separated by commas: columns to exclude, and numeric columns to
            treat as categories.
        task: "classification" or "regression"; None infers it from the targets.
        test_size, validation_size: a fraction of the samples (below 1) or a count; validation samples are taken from
            the remaining samples.
        validation_split: "random" or "end", as for `load`.
        seed: seed of the split.
        preprocessing: one of `PREPROCESSING`; None for "unit" for images of unsigned bytes, else "standard".
        name: name of the data set.

    Returns: the `Dataset`.
    Raises: DataError if the values are invalid; ConfigError if an option contradicts them.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((100, 3))
    >>> dataset = from_arrays(x, np.where(x[:, 0] > 0, "yes", "no"))
    >>> dataset.classes, dataset.input_shape, dataset.splits
    (('no', 'yes'), (3,), {'train': range(0, 80), 'test': range(80, 100)})
    """
    return assemble(
        raw_from_arrays(x, y, x_test=x_test, y_test=y_test, groups=groups, sample_weight=sample_weight, name=name),
        ignore=ignore,
        categories=categories,
        task=task,
        test_size=test_size,
        validation_size=validation_size,
        validation_split=validation_split,
        seed=seed,
        preprocessing=preprocessing,
    )


def raw_from_arrays(
    x: Any,
    y: Any,
    *,
    x_test: Any = None,
    y_test: Any = None,
    groups: Any = None,
    sample_weight: Any = None,
    name: str = "arrays",
) -> Raw:
    """Inputs and targets in memory as a `Raw`; arguments as for `from_arrays`."""
    if (x_test is None) != (y_test is None):
        raise ConfigError("x_test requires y_test: give both, or neither")
    if is_frame(x):
        return _raw_from_frame(x, y, x_test, y_test, groups, sample_weight, name)
    inputs = as_inputs(x, f"x of {name}")
    targets = as_targets(y, f"y of {name}")
    sizes = {}
    if x_test is not None:
        other = as_inputs(x_test, f"x_test of {name}")
        other_targets = as_targets(y_test, f"y_test of {name}")
        inputs, targets, sizes = join_parts(
            name, {"train": (inputs, targets), "test": (other, other_targets)}
        )  # fmt: skip
    groups = None if groups is None else as_column(groups, f"groups of {name}")
    return Raw(
        name=name,
        inputs=inputs,
        targets=targets,
        sizes=sizes,
        groups=groups,
        weights=None if sample_weight is None else as_column(sample_weight, f"sample_weight of {name}"),
        value_range=byte_range(inputs),
    )


def _raw_from_frame(x: Any, y: Any, x_test: Any, y_test: Any, groups: Any, sample_weight: Any, name: str) -> Raw:
    table = x if isinstance(x, Table) else Table.from_frame(x, name)
    n = len(table)
    if x_test is not None:
        other = Table.from_frame(x_test, f"x_test of {name}")
        table = join_tables(table, other)
    if isinstance(groups, str):
        groups = table.column(groups)
    elif groups is not None:
        groups = as_column(groups, f"groups of {name}")
    weights = None
    if isinstance(sample_weight, str):
        weights = table.column(sample_weight)
        table = table.without([sample_weight])
    elif sample_weight is not None:
        weights = as_column(sample_weight, f"sample_weight of {name}")
    named = [y] if isinstance(y, str) else list(y) if isinstance(y, (list, tuple)) else []
    if named and all(isinstance(column, str) and column in table.columns for column in named):
        targets = {column: table.column(column) for column in named}
        table = table.without(named)
    elif isinstance(y, str):
        table.column(y)  # raises if there is no such column
        raise AssertionError("unreachable")
    else:
        targets = as_targets(y, f"y of {name}", getattr(y, "name", None))
        if y_test is not None:
            other = as_targets(y_test, f"y_test of {name}", getattr(y, "name", None))
            targets = {key: join_columns(targets[key], other[key]) for key in targets}
    sizes = {"train": n, "test": len(table) - n} if x_test is not None else {}
    return Raw(name=name, inputs=table, targets=targets, sizes=sizes, groups=groups, weights=weights, shown="a table")


# -- arrays -----------------------------------------------------------------------------------------------------------


def as_inputs(x: Any, where: str) -> Num[Array, "n *shape"]:
    """Converts an array of real numbers to inputs: rows (n, D) or images (n, C, H, W), uint8 or floating-point.

    Channels-last images (n, H, W, C) with C = 1, 3 or 4, as in Keras, are transposed. A memory-mapped array remains
    one.

    Raises: DataError.
    """
    if hasattr(x, "toarray"):
        raise DataError(f"{where} is a sparse matrix: expected a dense array; pass its toarray()")
    if isinstance(x, np.ma.MaskedArray) and np.ma.getmaskarray(x).any():
        raise DataError(f"{where} is a masked array with masked values: fill them, as x.filled(0)")
    x = np.asarray(x) if not isinstance(x, np.ndarray) else x.view(np.ndarray)
    if x.dtype.kind == "O":
        raise DataError(
            f"{where} is an array of objects, shape={x.shape}: expected numbers; are its rows of different lengths?"
        )
    if x.dtype.kind not in "buif":
        raise DataError(f"{where} has dtype={x.dtype}: expected real numbers")
    if x.ndim not in (2, 3, 4):
        hint = ": one feature per sample is x.reshape(-1, 1)" if x.ndim == 1 else ""
        raise DataError(
            f"{where} has shape={x.shape}: expected rows (n, D), or images (n, H, W), (n, C, H, W) or (n, H, W, "
            f"C){hint}"
        )
    if not len(x):
        raise DataError(f"{where} has shape={x.shape}, 0 samples: expected at least one")
    if not x.size:
        raise DataError(f"{where} has shape={x.shape}: expected at least one number per sample")
    if x.ndim == 3:
        x = x[:, np.newaxis]
    elif x.ndim == 4 and x.shape[3] in (1, 3, 4) and x.shape[1] not in (1, 3, 4):
        x = np.moveaxis(x, 3, 1)
    if x.dtype.kind == "b":
        x = x.astype(np.uint8)
    _check_finite(x, where)
    return x


def _check_finite(x: Num[Array, "n *shape"], where: str) -> None:
    if x.dtype.kind != "f":
        return
    for start in range(0, len(x), _CHUNK):
        part = x[start : start + _CHUNK]
        bad = ~np.isfinite(part) | (np.abs(part) > np.finfo(np.float32).max)
        if bad.any():
            place = tuple(int(i) for i in np.argwhere(bad)[0])
            raise DataError(
                f"{where} contains {part[place]} in sample {start + place[0]}: expected finite numbers that float32 "
                "can represent; correct or leave out that sample (in a table, an empty cell is filled and flagged)"
            )


def byte_range(x: Num[Array, "n *shape"] | Table) -> float | None:
    """The value range of images of unsigned bytes: 255, or less if they have fewer levels; None for other inputs."""
    if not (isinstance(x, np.ndarray) and x.ndim == 4 and x.dtype == np.uint8):
        return None
    largest = max(int(x[i : i + _CHUNK].max()) for i in range(0, len(x), _CHUNK))
    return next(float(most) for most in (1, 16, 255) if largest <= most)


def as_targets(y: Any, where: str, name: str | None = None) -> dict[str, Shaped[Array, "n"]]:
    """Targets (n,), (n, 1), (n, T) or one-hot (n, K) as one or T columns.

    Raises: DataError if they are objects of other types, one-hot with more classes than rows, or of another shape.
    """
    if is_frame(y):
        return Table.from_frame(y, where).columns
    y = y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    name = str(name) if name not in (None, "") else "y"
    if y.ndim == 1:
        column = as_column(y, where)
        if column.dtype.kind == "M":
            raise DataError(f"{where} contains dates: expected classes or numbers")
        return {name: column}
    if y.ndim != 2 or y.dtype.kind not in "buif":
        raise DataError(f"{where} has shape={y.shape} dtype={y.dtype}: expected targets (n,), or numbers (n, T)")
    if len(y) and ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all():  # one-hot
        if y.shape[1] > len(y):
            raise DataError(f"{where} has {y.shape[1]} classes and {len(y)} rows: expected several rows for each class")
        return {name: y.argmax(axis=1)}
    return {f"{name}{i}": y[:, i] for i in range(y.shape[1])}


def join_parts(
    name: str, parts: dict[str, tuple[np.ndarray, dict[str, np.ndarray]]]
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, int]]:
    """Joins the inputs and targets of several parts; also returns their sizes. Raises DataError if they do not
    match."""
    first, *others = parts
    for other in others:
        one, two = parts[first][0], parts[other][0]
        if one.shape[1:] != two.shape[1:]:
            raise DataError(
                f"{name}: {first} samples have shape {one.shape[1:]}, {other} samples {two.shape[1:]}: expected one "
                "shape for both"
            )
        if parts[first][1].keys() != parts[other][1].keys():
            one, two = (", ".join(map(repr, parts[part][1])) for part in (first, other))
            raise DataError(
                f"{name}: {first} samples have the targets {one}, {other} samples {two}: expected the same targets for "
                "both"
            )
    for part, (x, targets) in parts.items():
        check_lengths(f"the {part} samples of {name}", x, targets)
    keys = parts[first][1]
    return (
        np.concatenate([x for x, _ in parts.values()]),
        {key: join_columns(*(targets[key] for _, targets in parts.values())) for key in keys},
        {part: len(x) for part, (x, _) in parts.items()},
    )


def check_lengths(where: str, x: np.ndarray | Table, targets: dict[str, np.ndarray]) -> None:
    for column in targets.values():
        if len(column) != len(x):
            raise DataError(f"{where}: {len(x)} inputs and {len(column)} targets: expected one target for each input")


def join_columns(*columns: np.ndarray) -> np.ndarray:
    """Concatenates columns of one kind; numbers and text become text."""
    if len({column.dtype.kind == "O" for column in columns}) > 1:
        columns = tuple(as_text(column) for column in columns)
    return np.concatenate(columns)


def join_tables(one: Table, other: Table) -> Table:
    """Concatenates the rows of two tables. Raises DataError if the second lacks a column of the first."""
    return Table(one.name, {name: join_columns(column, other.column(name)) for name, column in one.columns.items()})


# -- targets ----------------------------------------------------------------------------------------------------------


def choose_task(targets: dict[str, Shaped[Array, "n"]]) -> str:
    """The task for the targets: regression for real numbers, else classification.

    Numbers are real if one has a fraction, or if they are floating-point numbers (written with a point, as 151.0) with
    more than 20 different values.
    """
    if len(targets) > 1:
        return "regression"
    (column,) = targets.values()
    numbers, other = numbers_in(column)
    numbers = numbers[~np.isnan(numbers)]
    if other.any() or not len(numbers) or column.dtype.kind in "iu":
        return "classification"
    if not np.equal(np.round(numbers), numbers).all():
        return "regression"
    if column.dtype.kind == "O" and all(re.fullmatch(r"[+-]?\d+|", text.strip()) for text in set(column.tolist())):
        return "classification"
    return "regression" if len(np.unique(numbers)) > MAX_WHOLE_CLASSES else "classification"


def class_labels(
    column: Shaped[Array, "n"], where: str, classes: tuple[str, ...] | None = None
) -> tuple[Integer[Array, "n"], tuple[str, ...]]:
    """The class index of each sample, and the names of the classes: numbers in order, then text in order.

    Arguments:
        where: name of the target in messages.
        classes: the names, if they are already determined; None to use those in the data.

    Raises: DataError if a target is missing, there is only one class, nearly as many classes as rows, or an unknown
    class.
    """
    text = as_text(column)
    if (missing := text == "").any():
        more = f" (and {int(missing.sum()) - 1} more)" if missing.sum() > 1 else ""
        raise DataError(
            f"{where} is missing in row {int(missing.argmax()) + 1}{more}: expected one for each row; fill it in or "
            "leave the row out"
        )
    values = set(text.tolist())
    if classes is None:
        numeric = {value: parse_number(value) for value in values}
        if any(number is not None and np.isinf(number) for number in numeric.values()):
            raise DataError(f"{where} contains infinity: expected classes, or finite numbers")
        known = {v: n for v, n in numeric.items() if n is not None and n == n}
        names = sorted(known, key=lambda v: (known[v], v)) + sorted(values - known.keys())
        classes = tuple(names)
        if len(classes) < 2:
            raise DataError(f"{where} has one class only, {names[0]!r}: expected at least two")
        if len(classes) > max(2, len(text) / 2):
            advice = "are these row numbers or names? A quantity is learned with --task regression"
            if formatting := formatted_numbers(values):
                advice = f"to learn the numbers with {formatting}, write plain numbers, as 1234.5"
            raise DataError(
                f"{where} has {len(classes):,} classes in {len(text):,} rows: expected several rows for each class; "
                f"{advice}"
            )
    elif unknown := sorted(values - set(classes)):
        raise DataError(
            f"{where} has the class {unknown[0]!r}, which the network does not know: expected one of "
            f"{', '.join(classes[:10])}{', …' if len(classes) > 10 else ''}"
        )
    places = {value: i for i, value in enumerate(classes)}
    return np.array([places[value] for value in text.tolist()], np.int64), classes


def real_targets(targets: dict[str, Shaped[Array, "n"]], where: str) -> Num[Array, "n T"]:
    """The targets of a regression (n, T), float32. Raises DataError if one is not a finite number."""
    columns = []
    for name, column in targets.items():
        numbers, other = numbers_in(column)
        bad = other | ~np.isfinite(numbers)
        if bad.any():
            row = int(bad.argmax())
            raise DataError(
                f"target {name!r} of {where} contains {str(column[row])!r:.40} in row {row + 1}: expected a finite "
                "number; correct it, leave the row out, or choose --task classification"
            )
        columns.append(numbers)
    return np.stack(columns, axis=1).astype(np.float32)


# -- a Dataset --------------------------------------------------------------------------------------------------------


def assemble(
    raw: Raw,
    *,
    ignore: str = "",
    categories: str = "",
    task: str | None = None,
    test_size: float | None = None,
    validation_size: float = 0,
    validation_split: str = "random",
    seed: int = 0,
    preprocessing: str | None = None,
) -> Dataset:
    """Encodes and splits the contents of a source and fits the preprocessing; arguments as for `from_arrays`."""
    if task is not None and task not in TASKS:
        raise ConfigError(f"unknown task={task!r}: choose {' or '.join(TASKS)}")
    if validation_split not in VALIDATION_SPLITS:
        raise ConfigError(f"unknown validation_split={validation_split!r}: choose {' or '.join(VALIDATION_SPLITS)}")
    check_lengths(raw.name, raw.inputs, raw.targets)
    if raw.groups is not None and len(raw.groups) != len(raw.inputs):
        raise DataError(f"{raw.name} has {len(raw.inputs)} samples and {len(raw.groups)} groups: expected one for each")
    n = len(raw.inputs)
    if not n:
        raise DataError(f"{raw.name} has 0 rows: expected a row for each sample")
    for name, column in raw.targets.items():
        if column.dtype.kind in "mM":
            raise DataError(f"target {name!r} of {raw.name} contains dates: expected classes or numbers")
    weights = _checked_weights(raw, n)
    task = task or choose_task(raw.targets)
    if task == "regression":
        labels, classes = real_targets(raw.targets, raw.name), tuple(raw.targets)
        if n > 1 and (labels == labels[0]).all():
            raise DataError(f"the target of {raw.name} is {labels[0, 0]:g} in every row: expected different values")
    else:
        if len(raw.targets) > 1:
            raise ConfigError(f"target={','.join(raw.targets)}: several targets require task=regression; name one")
        ((name, column),) = raw.targets.items()
        labels, classes = class_labels(column, f"target {name!r} of {raw.name}")
    classified = labels if task == "classification" else None
    order, sizes = _split(raw, n, classified, test_size, validation_size, validation_split, seed)
    train = order[: sizes["train"]]
    if classified is not None:
        _check_classes_in_training(raw, classified, classes, train)

    encoder, notes = None, list(raw.notes)
    inputs = raw.inputs
    if isinstance(inputs, Table):
        for option, value in (("ignore", ignore), ("categories", categories)):
            if found := [name for name in columns_named(value, inputs, tuple(raw.targets)) if name in raw.targets]:
                raise ConfigError(f"{option}={value}: {found[0]} is the target, not an input; leave it out there")
        ignored, named = columns_named(ignore, inputs), columns_named(categories, inputs)
        inputs = inputs.without(ignored)
        if raw.groups is not None:  # the id of one person says nothing about another
            inputs = inputs.without([k for k, column in inputs.columns.items() if column is raw.groups])
        encoder = TableEncoder.fit(inputs, train, target=tuple(raw.targets), categories=named)
        if inputs.unnamed:
            raise DataError(
                f"{raw.name} has no name for column {inputs.unnamed[0]}, which contains values: name it in the header, "
                "or save the table without it (in pandas: index=False)"
            )
        _refuse_copies_in_table(raw, inputs, encoder, labels)
        for column in encoder.columns:
            if column.kind == "number":
                notes += _rounding_remark(
                    f"column {column.name!r} of {raw.name}", numbers_in(inputs.columns[column.name])[0]
                )
        inputs, unseen = encoder.transform(inputs)
        notes += [f"column {name!r} of {raw.name} is empty: it is left out" for name in encoder.left_out] + unseen
    else:
        for option, value in (("ignore", ignore), ("categories", categories)):
            if value:
                raise ConfigError(f"{option}={value} names columns of a table, and {raw.name} is {raw.shown}")
        _refuse_copies(raw, inputs, labels)
        if inputs.ndim == 2 and inputs.dtype.itemsize > 2 and inputs.dtype != np.float32 and not _is_mapped(inputs):
            for i in range(inputs.shape[1]):
                notes += _rounding_remark(f"feature {i} of {raw.name}", inputs[:, i].astype(np.float64))
    if task == "regression":
        for name, column in raw.targets.items():
            notes += _rounding_remark(f"target {name!r} of {raw.name}", numbers_in(column)[0])

    kind = preprocessing or ("unit" if raw.value_range else "standard")
    if encoder is not None and kind not in ("standard", "none"):
        raise ConfigError(f"preprocessing={kind} applies to images: for a table, choose standard or none")
    value_range = raw.value_range or max(1.0, float(np.abs(inputs).max()))
    if isinstance(raw.inputs, np.ndarray) and _is_mapped(raw.inputs):
        ends = np.cumsum([0, *sizes.values()])
        splits = {part: np.sort(order[ends[i] : ends[i + 1]]) for i, part in enumerate(sizes)}
        fitted = fit_preprocessing(kind, inputs, value_range, rows=splits["train"])
    else:
        inputs, labels = inputs[order], labels[order]
        weights = weights[order] if weights is not None else None
        if inputs.dtype not in (np.uint8, np.float32):
            inputs = inputs.astype(np.float32)
        ends = np.cumsum([0, *sizes.values()]).tolist()
        splits = {part: range(ends[i], ends[i + 1]) for i, part in enumerate(sizes)}
        fitted = fit_preprocessing(kind, inputs[: sizes["train"]], value_range)
    if encoder is not None:  # flags and categories remain 0 and 1
        shift = np.where(encoder.numbers, np.broadcast_to(fitted.shift, encoder.numbers.shape), 0)
        scale = np.where(encoder.numbers, np.broadcast_to(fitted.scale, encoder.numbers.shape), 1)
        fitted = dataclasses.replace(fitted, shift=shift.astype(np.float32), scale=scale.astype(np.float32))
    return Dataset(
        raw.name,
        inputs,
        labels,
        splits,
        classes,
        value_range,
        fitted,
        task=task,
        weights=weights,
        encoder=encoder,
        notes=tuple(notes),
        files=raw.files,
    )


def _rounding_remark(where: str, values: Float[Array, "n"]) -> list[str]:
    """A remark if float32 rounds values by more than 1% of their standard deviation, such as times in seconds."""
    values = values[np.isfinite(values)]
    if not len(values) or not np.abs(values).max() * 2.0**-24 > 0.01 * (spread := float(values.std())) > 0:
        return []
    return [
        f"{where} varies by only {spread:g} around {values.mean():g}, which float32 cannot distinguish: subtract a "
        "common offset first"
    ]


def _checked_weights(raw: Raw, n: int) -> Float[Array, "n"] | None:
    """The sample weights, 1 if a test part has none. Raises DataError for weights that are not numbers of at least
    0."""
    if raw.weights is None:
        return None
    weights, other = numbers_in(raw.weights)
    bad = other | ~np.isfinite(weights) | (weights < 0)
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"the weights of {raw.name} contain {str(raw.weights[row])!r:.40} in row {row + 1}: expected finite "
            "numbers of at least 0"
        )
    if len(weights) == raw.sizes.get("train"):
        weights = np.concatenate([weights, np.ones(n - len(weights))])
    if len(weights) != n:
        raise DataError(f"{raw.name} has {n} samples and {len(weights)} weights: expected one for each")
    if not weights.any():
        raise DataError(f"the weights of {raw.name} are all 0: expected some above")
    return weights.astype(np.float32)


def _is_mapped(x: np.ndarray | None) -> bool:
    """Whether an array is a memory map or a view of one."""
    while isinstance(x, np.ndarray):
        if isinstance(x, np.memmap):
            return True
        x = x.base
    return False


def _split(
    raw: Raw,
    n: int,
    labels: Integer[Array, "n"] | None,
    test_size: float | None,
    validation_size: float,
    validation_split: str,
    seed: int,
) -> tuple[Integer[Array, "n"], dict[str, int]]:
    """The order of the samples (training, validation, test) and the size of each split."""
    rng = np.random.default_rng((seed, n))
    everything = np.arange(n)
    if "test" in raw.sizes:
        if test_size is not None:
            raise ConfigError(f"test_size={test_size}: {raw.name} already has a test set; leave test_size out")
        test = everything[n - raw.sizes["test"] :]
        rest = everything[: n - raw.sizes["test"]]
    else:
        size = splitting.test_count(n, TEST_SIZE if test_size is None else test_size, raw.name)
        held = splitting.hold_out(labels, n, size, rng, raw.groups)
        test, rest = everything[held], everything[~held]
    if "validation" in raw.sizes:
        if validation_size:
            raise ConfigError(f"validation_size={validation_size}: {raw.name} already has a validation set")
        validation, train = rest[raw.sizes["train"] :], rest[: raw.sizes["train"]]
    else:
        size = splitting.validation_count(len(rest), validation_size, raw.name)
        if not size:
            held = np.zeros(len(rest), bool)
        elif validation_split == "end":
            held = np.arange(len(rest)) >= len(rest) - size
        else:
            groups = raw.groups[rest] if raw.groups is not None else None
            held = splitting.hold_out(labels[rest] if labels is not None else None, len(rest), size, rng, groups)
        validation, train = rest[held], rest[~held]
    sizes = {"train": len(train), "validation": len(validation), "test": len(test)}
    if not len(validation):
        del sizes["validation"]
    return np.concatenate([train, validation, test]), sizes


def _check_classes_in_training(
    raw: Raw, labels: Integer[Array, "n"], classes: tuple[str, ...], train: Integer[Array, "m"]
) -> None:
    counts = np.bincount(labels[train], minlength=len(classes))
    if (counts == 0).any():
        absent = [classes[i] for i in np.flatnonzero(counts == 0)]
        raise DataError(
            f"{raw.name} has {'the classes' if len(absent) > 1 else 'the class'} {', '.join(map(repr, absent[:5]))} "
            "outside of the training samples only: add training samples of "
            "it, leave it out, or split the data differently"
        )


def columns_named(text: str, table: Table, also: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Column names separated by commas; a name with a comma is quoted, or is the only one.

    Raises: DataError if the table has no such column.
    """
    if not text:
        return ()
    if text in table.columns or text in also:
        return (text,)
    names = tuple(name.strip() for name in next(csv.reader([text], skipinitialspace=True)))
    for name in names:
        if name not in also:
            table.column(name)  # raises if there is none
    return names


def _refuse_copies(raw: Raw, inputs: Num[Array, "n *shape"], labels: Num[Array, "n *T"]) -> None:
    """Raises DataError if a feature is identical to the target."""
    if inputs.ndim != 2 or len(inputs) < 10:
        return
    for target in labels.reshape(len(labels), -1).T:
        # Check a few samples first: most features differ there.
        candidates = np.flatnonzero((inputs[:_CHUNK] == target[:_CHUNK, np.newaxis]).all(axis=0))
        for feature in candidates:
            if np.array_equal(inputs[:, feature], target):
                raise DataError(
                    f"feature {feature} of {raw.name} is the target itself, so there would be nothing to learn: "
                    "leave that feature out"
                )


def _refuse_copies_in_table(raw: Raw, table: Table, encoder: TableEncoder, labels: Num[Array, "n *T"]) -> None:
    """Raises DataError if a column determines the target one-to-one in every row."""
    if len(table) < 10:  # too few rows: it may be by chance
        return
    for i, target in enumerate(labels.reshape(len(labels), -1).T):
        for column in encoder.columns:
            values = table.columns[column.name]
            if column.kind == "number":
                values, _ = numbers_in(values)
            elif labels.ndim > 1:
                continue
            if (_proportional if labels.ndim > 1 else _one_to_one)(values, target):
                name = list(raw.targets)[i]
                raise DataError(
                    f"column {column.name!r} of {raw.name} is a copy of the target {name!r} in every row, so "
                    f"there would be nothing to learn: leave it out (--ignore {column.name})"
                )


def _one_to_one(values: Shaped[Array, "n"], classes: Integer[Array, "n"]) -> bool:
    """Whether there is a one-to-one mapping between values and classes."""
    count = int(classes.max()) + 1
    if len(set(values[: 50 * count].tolist())) > count:
        return False
    different, codes = np.unique(values, return_inverse=True)
    return len(different) == count == len(np.unique(codes * count + classes))


def _proportional(values: Float[Array, "n"], target: Float[Array, "n"]) -> bool:
    """Whether values are an affine function of the target, within float32 rounding."""
    if np.isnan(values).any():
        return False
    a, b = values - values.mean(), target - target.mean(dtype=np.float64)
    size = np.sqrt((a @ a) * (b @ b))
    return bool(size > 0 and 1 - abs(a @ b) / size < 1e-12)
