"""Tables with columns of numbers and text, and the encoder that converts them to rows of numbers.

A number becomes its value and, if there are missing values in training, a 0/1 flag. A category becomes one 0/1 feature
per value in training (one-hot). The encoding is fitted on the training rows and applied to all others.
"""

from __future__ import annotations

import datetime
import decimal
import difflib
import numbers
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from handgrad._typing import Array, Bool, Float, Integer, Shaped
from handgrad.errors import DataError

#: Strings that represent a missing number. In a text column, only an empty cell is missing: "NA" may be a country.
MISSING = frozenset(
    ("", "NA", "N/A", "n/a", "na", "#N/A", "<NA>", "NaN", "nan", "NAN", "null", "NULL", "None", "none", "?", "-", ".")
)

#: Fraction of numbers above which a column with some text is considered a numeric column.
MIN_NUMERIC_FRACTION = 0.5

#: A text column is free text or a name if it has more distinct values than the first limit and more than half as many
#: as rows, if it has more than the second limit, or if a value is longer than the third.
MAX_CATEGORIES, MAX_VALUES, MAX_VALUE_LENGTH = 20, 1000, 200

_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([ T]\d{1,2}:\d{2}\S*)?"  # 2026-11-29, 2026-11-29T10:15:00Z
    r"|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})([ T]\d{1,2}:\d{2}\S*)?"  # 29.11.2026, 11/29/26
    r"|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"  # 10:15
    r"|\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{4}|[A-Za-z]{3,9} \d{1,2},? \d{4}"  # 29 Nov 2026, Nov 29, 2026
)


#: 173,6
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")

_CURRENCY = r"(?:[€$£¥₹]|EUR|USD|GBP|CHF|JPY)"
_SIGN = r"[+\-\u2212]?"
_BODY = r"(?:\d+|\d{1,3}(?:[.,'\u2019\s]\d{3})+)(?:[.,]\d+)?"
#: Numbers that `float` does not accept, and what distinguishes them: 12 %, $5, 1.234,5, 1,234.5, 1 234, 173,6.
_FORMATTED = (
    ("a percent sign", re.compile(rf"{_SIGN}{_BODY}\s*[%‰]")),
    ("a currency", re.compile(rf"{_SIGN}{_CURRENCY}\s*{_SIGN}{_BODY}|{_SIGN}{_BODY}\s*{_CURRENCY}")),
    ("a decimal comma or a thousands separator", re.compile(r"[+-]?\d{1,3},\d{3}")),
    ("a decimal comma", re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+")),
    ("a thousands separator", re.compile(_SIGN + _BODY)),
)
#: 4.15 kg
_WITH_UNIT = re.compile(rf"{_SIGN}{_BODY}\s*([^\W\d]\S{{0,7}})")


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of equal length.

    Arguments:
        name: its name in messages, e.g. the path of its file.
        columns: arrays (n,): numbers (NaN if missing), text (objects of type `str`, "" if missing), or datetime64,
            which the encoder does not support.
        leading_zeros: for columns of numbers that were read from text with leading zeros, such as postal codes, one of
            these texts.
        unnamed: the positions, from 1, of columns that contain values and have no name; they are not in `columns`.
        decimal_comma: whether it was read from text in which numbers may have decimal commas.
    """

    name: str
    columns: dict[str, Shaped[Array, "n"]]
    leading_zeros: Mapping[str, str] = field(default_factory=dict)
    unnamed: tuple[int, ...] = ()
    decimal_comma: bool = False

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    @classmethod
    def from_frame(cls, frame: Any, name: str = "the table") -> Table:
        """The columns of a pandas or polars DataFrame, an Arrow table, or a mapping from names to sequences.

        Raises: DataError if two columns have the same name, or a column does not contain numbers, text or dates.
        """
        if hasattr(frame, "collect") and not hasattr(frame, "column_names"):
            raise DataError(f"{name} is a {type(frame).__name__}, which contains no values yet: pass its collect()")
        names = list(frame) if isinstance(frame, Mapping) else list(getattr(frame, "column_names", frame.columns))
        check_names(name, [str(column) for column in names])
        columns = {str(column): as_column(frame[column], f"column {str(column)!r} of {name}") for column in names}
        lengths = {len(column) for column in columns.values()}
        if len(lengths) > 1:
            raise DataError(
                f"{name} has columns of {' and '.join(map(str, sorted(lengths)))} rows: expected one length"
            )
        return cls(name, columns)

    def column(self, name: str) -> Shaped[Array, "n"]:
        """A column by name. Raises DataError that lists the existing columns."""
        if name not in self.columns:
            near = [other for other in self.columns if other.lower() == name.lower()]
            near = near or difflib.get_close_matches(name, self.columns, 1)
            hint = f"did you mean {near[0]!r}? It has" if near else "it has"
            title = "; other columns have no name: is the header the first line of the file?" if self.unnamed else ""
            raise DataError(f"{self.name} has no column {name!r}: {hint} {_listed(self.columns)}{title}")
        return self.columns[name]

    def without(self, names: Collection[str]) -> Table:
        return replace(self, columns={name: column for name, column in self.columns.items() if name not in names})

    def take(self, rows: Integer[Array, "m"]) -> Table:
        return replace(self, columns={name: column[rows] for name, column in self.columns.items()})


def is_frame(x: object) -> bool:
    """Whether `x` is a table of named columns: a `Table`, a mapping, or a DataFrame of any library."""
    if isinstance(x, (Table, Mapping)):
        return True
    if hasattr(x, "collect_schema"):  # polars; asking a LazyFrame for its columns warns
        return True
    return hasattr(x, "columns") and hasattr(x, "__getitem__") and not hasattr(x, "dtype")


def check_names(where: str, names: list[str]) -> None:
    """Raises DataError if a column has no name or two have the same name."""
    for i, name in enumerate(names, start=1):
        if not name.strip():
            raise DataError(f"{where} has no name for column {i}: expected a header with a name for each column")
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise DataError(
            f"{where} has the column {doubled[0]!r} {names.count(doubled[0])} times: expected different names; rename "
            "one in the header"
        )


def as_column(values: Any, where: str) -> Shaped[Array, "n"]:
    """Converts any sequence of one kind of values to a column of a `Table`.

    Raises: DataError that begins with `where` if a value is neither a number nor text nor a date.
    """
    values = values.to_numpy() if hasattr(values, "to_numpy") else values
    if isinstance(values, np.ma.MaskedArray):
        mask, values = np.ma.getmaskarray(values), values.data.astype(object)
        values[mask] = None
    values = np.asarray(values)
    if values.ndim != 1:
        raise DataError(f"{where} has shape {values.shape}: expected one value per row, (n,)")
    kind = values.dtype.kind
    if kind in "iufM":
        return values
    if kind == "b":
        return np.where(values, "True", "False").astype(object)
    if kind not in "OUT":
        raise DataError(f"{where} has dtype={values.dtype}: expected numbers or text")
    objects = values.tolist()
    present = [value for value in objects if not _is_missing(value)]
    if present and all(_is_number(value) for value in present):
        if len(present) == len(objects) and all(isinstance(value, numbers.Integral) for value in present):
            return np.array(objects, np.int64 if max(map(abs, objects)) < 2**63 else np.float64)
        return np.array([np.nan if _is_missing(value) else float(value) for value in objects])
    if present and all(isinstance(value, (datetime.date, datetime.time, datetime.timedelta)) for value in present):
        return np.array(["" if _is_missing(value) else str(value) for value in objects], object)
    column = np.empty(len(objects), object)
    for i, value in enumerate(objects):
        if not (_is_missing(value) or isinstance(value, (str, bool, np.bool_)) or _is_number(value)):
            raise DataError(
                f"{where} contains {value!r:.60} of type {type(value).__name__} in row {i + 1}: expected a number or "
                "text"
            )
        column[i] = "" if _is_missing(value) else str(value)
    return column


def _is_missing(value: object) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # pandas', without importing it
        return True
    return isinstance(value, (float, np.floating)) and value != value


def _is_number(value: object) -> bool:
    return isinstance(value, (numbers.Real, decimal.Decimal)) and not isinstance(value, (bool, np.bool_))


def parse_number(text: str) -> float | None:
    """The number in a cell, NaN if it is missing, None if it is not a number."""
    text = text.strip()
    if text in MISSING:
        return np.nan
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def formatted_numbers(texts: Collection[str]) -> str:
    """What distinguishes texts that are numbers for a reader but not for `parse_number` from plain numbers, with an
    example: "a percent sign ('12 %')". Empty if one of them is no such number, or if all are plain numbers."""
    kinds: dict[str, str] = {}
    for text in texts:
        if (number := parse_number(text)) is not None and number == number:
            continue
        kind = next((kind for kind, pattern in _FORMATTED if pattern.fullmatch(text)), None)
        if kind is None:
            return ""
        if kind == "a decimal comma" and "." in text:
            kind = "a thousands separator"
        kinds.setdefault(kind, text)
    return " and ".join(f"{kind} ({text!r:.40})" for kind, text in list(kinds.items())[:2])


def numbers_in(column: Shaped[Array, "n"]) -> tuple[Float[Array, "n"], Bool[Array, "n"]]:
    """The numbers (n,) of a column, NaN if missing, and a mask (n,) of the cells that are not numbers."""
    if column.dtype.kind in "iuf":
        return column.astype(np.float64), np.zeros(len(column), bool)
    parsed = {text: parse_number(text) for text in set(column.tolist())}
    found = [parsed[text] for text in column.tolist()]
    return (
        np.array([np.nan if value is None else value for value in found]),
        np.array([value is None for value in found], bool),
    )


def as_text(column: Shaped[Array, "n"]) -> Shaped[Array, "n"]:
    """The values (n,) of a column as text, "" if missing; integers without a decimal point."""
    if column.dtype.kind == "O":
        return np.array([text.strip() for text in column.tolist()], object)

    def shown(value: float) -> str:
        if value != value:
            return ""
        return str(int(value)) if float(value).is_integer() else repr(value)

    return np.array([shown(value) for value in column.tolist()], object)


@dataclass(frozen=True)
class Column:
    """The encoding of one column.

    Arguments:
        name: name of the column.
        kind: "number" or "category".
        fill: for numbers, the replacement for missing values (the median of the training rows).
        flag: for numbers, whether a 0/1 feature marks missing values.
        values: for categories, the values in training, one feature each; "" is a missing value.
    """

    name: str
    kind: str
    fill: float = 0.0
    flag: bool = False
    values: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        if self.kind == "number":
            return (self.name, f"{self.name} is missing") if self.flag else (self.name,)
        return tuple(f"{self.name}={value}" if value else f"{self.name} is missing" for value in self.values)

    def to_dict(self) -> dict[str, Any]:
        if self.kind == "number":
            return {"name": self.name, "kind": self.kind, "fill": self.fill, "flag": self.flag}
        return {"name": self.name, "kind": self.kind, "values": list(self.values)}


@dataclass(frozen=True)
class TableEncoder:
    """Converts a table to rows (n, D) of float32; fitted on the training rows.

    Arguments:
        columns: the columns in the order of their features.
        target: the names of the target columns.
        left_out: columns of the training table that are excluded because every value was missing.
    """

    columns: tuple[Column, ...]
    target: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        table: Table,
        rows: Integer[Array, "m"] | None = None,
        *,
        target: tuple[str, ...] = (),
        ignore: Collection[str] = (),
        categories: Collection[str] = (),
    ) -> TableEncoder:
        """Fits an encoder for all columns of `table` except `target` and `ignore`.

        Arguments:
            rows: the training rows; None for all. The kind of a column is determined from all rows, so that text in a
                test row is detected; medians and categories are determined from the training rows.
            categories: numeric columns to treat as categories, such as postal codes.

        Raises: DataError that names a column with dates, free text, infinity, or a mixture of numbers and text; or if
        no column is left.
        """
        rows = np.arange(len(table)) if rows is None else rows
        columns, left_out = [], []
        for name, column in table.columns.items():
            if name in target or name in ignore:
                continue
            fitted = _fit_column(table.name, name, column, rows, name in categories)
            if fitted is None:
                left_out.append(name)
            else:
                columns.append(fitted)
        if not columns:
            raise DataError(f"{table.name} has no column left to learn from: expected one other than the target")
        return cls(tuple(columns), tuple(target), tuple(left_out))

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the D features."""
        return tuple(feature for column in self.columns for feature in column.features)

    @property
    def numbers(self) -> Bool[Array, "D"]:
        """A mask (D,) of the numeric features; the others are 0 or 1."""
        return np.array([c.kind == "number" and i == 0 for c in self.columns for i in range(len(c.features))], bool)

    @property
    def categories(self) -> tuple[str, ...]:
        """The names of the columns that are categories."""
        return tuple(column.name for column in self.columns if column.kind == "category")

    def transform(self, table: Table) -> tuple[Float[Array, "n D"], list[str]]:
        """The encoded rows (n, D) of a table, float32, and remarks about values that did not occur in training.

        Missing numbers are replaced by the median of the training rows. For an unknown category, all features are 0.

        Raises: DataError if a column is missing or has a different type than in training.
        """
        missing = [column.name for column in self.columns if column.name not in table.columns]
        if missing:
            raise DataError(
                f"{table.name} lacks {'the columns' if len(missing) > 1 else 'the column'} {_listed(missing)}, which "
                f"the network was trained on: it has {_listed(table.columns)}"
            )
        x = np.zeros((len(table), len(self.features)), np.float32)
        notes: list[str] = []
        at = 0
        for column in self.columns:
            width = len(column.features)
            _encode(column, table, x[:, at : at + width], notes)
            at += width
        return x, notes

    def to_dict(self) -> dict[str, Any]:
        """The encoder as JSON values, from which `from_dict` recreates it."""
        return {
            "columns": [column.to_dict() for column in self.columns],
            "target": list(self.target),
            "left_out": list(self.left_out),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TableEncoder:
        columns = [Column(**{**c, "values": tuple(c.get("values", ()))}) for c in values["columns"]]
        return cls(tuple(columns), tuple(values.get("target", ())), tuple(values.get("left_out", ())))


def _fit_column(
    where: str, name: str, column: Shaped[Array, "n"], rows: Integer[Array, "m"], category: bool
) -> Column | None:
    """The encoding of one column; None if every value is missing."""
    out = f"leave it out (--ignore {_flag(name)})"
    if column.dtype.kind in "mM":
        raise DataError(
            f"column {name!r} of {where} contains dates: turn them into numbers, such as days or years, or {out}"
        )
    if not category:
        values, other = numbers_in(column)
        if not other.any():
            return _fit_number(where, name, values, rows)
        _refuse_mixed(where, name, column, values, other, out)
    text = as_text(column)
    counts = Counter(text.tolist())
    different = [value for value in counts if value]
    if not different:
        return None
    if all(_DATE.fullmatch(value) for value in different):
        raise DataError(
            f"column {name!r} of {where} contains dates ({different[0]!r:.40}): turn them into numbers, such as days "
            f"or years, or {out}"
        )
    if not category and (formatting := formatted_numbers(different)):
        with_commas = all(_DECIMAL_COMMA.fullmatch(value) for value in different)
        plain = "plain numbers with a decimal point, as 1234.5"
        if with_commas:
            plain = "decimal points (or, in a CSV file, separate the columns by semicolons)"
        raise DataError(
            f"column {name!r} of {where} contains numbers with {formatting}: write {plain}, declare it a category "
            f"(--categories {_flag(name)}), or {out}"
        )
    longest = max(different, key=len)
    if len(longest) > MAX_VALUE_LENGTH:
        row = int(np.flatnonzero(text == longest)[0]) + 1
        raise DataError(
            f"column {name!r} of {where} contains free text ({len(longest):,} characters in row {row}): {out}"
        )
    if len(different) > MAX_VALUES or (not category and len(different) > max(MAX_CATEGORIES, len(column) / 2)):
        units = {found[1] if (found := _WITH_UNIT.fullmatch(value)) else None for value in different}
        if len(units) == 1 and None not in units:
            raise DataError(
                f"column {name!r} of {where} contains numbers with the unit {units.pop()!r} ({different[0]!r:.40}): "
                f"write the numbers alone, or {out}"
            )
        raise DataError(
            f"column {name!r} of {where} has {len(different):,} different texts in {len(column):,} rows, as "
            f"{different[0]!r:.40}: that is free text or a name, not a category; {out}"
        )
    return Column(name, "category", values=tuple(sorted(set(text[rows].tolist()))))


def _refuse_mixed(where: str, name: str, column: np.ndarray, values: np.ndarray, other: np.ndarray, out: str) -> None:
    """Raises DataError if a column is numeric except for some cells."""
    numeric = int(np.isfinite(values).sum())
    if numeric > MIN_NUMERIC_FRACTION * (numeric + other.sum()):
        row = int(other.argmax())
        kinds = "1 other cell" if other.sum() == 1 else f"{int(other.sum()):,} other cells"
        raise DataError(
            f"column {name!r} of {where} mixes types: {numeric:,} numbers and {kinds}, the first "
            f"{str(column[row])!r:.40} "
            f"in row {row + 1}: correct them, declare it a category (--categories {_flag(name)}), or {out}"
        )


def _fit_number(where: str, name: str, values: Float[Array, "n"], rows: Integer[Array, "m"]) -> Column | None:
    _refuse_infinite(where, name, values)
    known = values[rows]
    missing = np.isnan(known)
    if missing.all():
        return None
    return Column(name, "number", fill=float(np.median(known[~missing])), flag=bool(missing.any()))


def _refuse_infinite(where: str, name: str, values: Float[Array, "n"]) -> None:
    infinite = np.abs(values) > np.finfo(np.float32).max  # NaN is not
    if infinite.any():
        row = int(infinite.argmax())
        raise DataError(
            f"column {name!r} of {where} contains {values[row]:g} in row {row + 1}: expected finite numbers that "
            "float32 can represent; correct it, or leave the cell empty if the value is missing"
        )


def _encode(column: Column, table: Table, out: Float[Array, "n width"], notes: list[str]) -> None:
    """Writes the features of one column to `out`."""
    source = table.columns[column.name]
    where = f"column {column.name!r} of {table.name}"
    if column.kind == "category":
        text = as_text(source)
        places = {value: i for i, value in enumerate(column.values)}
        found = np.array([places.get(value, -1) for value in text.tolist()], np.int64)
        known = np.flatnonzero(found >= 0)
        out[known, found[known]] = 1
        if len(known) < len(found):
            unseen = Counter(text[found < 0].tolist())
            shown = _listed([value or "(missing)" for value in unseen])
            values = "1 value" if sum(unseen.values()) == 1 else f"{sum(unseen.values()):,} values"
            notes.append(f"{where}: {values} that did not occur in training ({shown}); encoded as all zeros")
        return
    if source.dtype.kind in "mM":
        raise DataError(f"{where} contains dates: expected numbers, as in training")
    values, other = numbers_in(source)
    if other.any():
        row = int(other.argmax())
        raise DataError(
            f"{where} contains {str(source[row])!r:.40} in row {row + 1}: expected a number, as in training"
        )
    _refuse_infinite(table.name, column.name, values)
    missing = np.isnan(values)
    out[:, 0] = np.where(missing, column.fill, values)
    if column.flag:
        out[:, 1] = missing
    elif missing.any():
        notes.append(
            f"{where}: {int(missing.sum()):,} missing values, and training had none; filled with {column.fill:g}"
        )


def _listed(names: Iterable[str], most: int = 8) -> str:
    names = [repr(name) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _flag(name: str) -> str:
    """The name of a column in command-line syntax."""
    return name if re.fullmatch(r"[\w.-]+", name) else "'" + name.replace("'", "'\\''") + "'"
