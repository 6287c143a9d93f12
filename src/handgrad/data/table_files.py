"""Reading tables: .csv and .tsv files with the standard library, .parquet files with duckdb (the extra `parquet`)."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from handgrad._typing import Array, Shaped
from handgrad.data.tables import MISSING, Table, as_column, check_names, parse_number
from handgrad.errors import ConfigError, DataError

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
SUFFIXES = (*TEXT_SUFFIXES, ".parquet")

#: Maximum length of a line. The maximum length of a cell is 131,072, the limit of Python's csv reader.
MAX_LINE = 1 << 24

_LEADING_ZERO = re.compile(r"0\d+")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")

_CHUNK = 10_000  # number of rows converted to numbers at a time


def suffix_of(path: Path) -> str:
    """The file name extension in lower case, including .gz: ".csv.gz"."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return "".join(suffixes[-2:]) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


def read_table(path: Path, text: Collection[str] = ()) -> Table:
    """Reads a table; the format is determined by the file name.

    Arguments:
        text: columns to read as text even if they look like numbers: targets and categories.

    Raises: DataError with the position of the problem; ConfigError if the required library is not installed.
    """
    try:
        table = _read_parquet(path) if suffix_of(path) == ".parquet" else _read_text(path, text)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})") from None
    if not len(table):
        raise DataError(f"{path} has a header and 0 rows: expected a row for each sample below it")
    return table


# -- text -------------------------------------------------------------------------------------------------------------


class _TextFound(Exception):
    """A column that begins with numbers contains text: the file is read again with that column as text."""

    def __init__(self, column: str) -> None:
        self.column = column


def _read_text(path: Path, text: Collection[str]) -> Table:
    text = set(text)
    while True:
        try:
            return _scan(path, text)
        except _TextFound as found:
            text.add(found.column)


def _scan(path: Path, text: set[str]) -> Table:
    """Reads the file once; raises _TextFound if a numeric column contains text."""
    packed = suffix_of(path).endswith(".gz")
    try:
        with gzip.open(path) if packed else path.open("rb") as raw:
            start = raw.read(64)
        _refuse_other_formats(path, start)
        encoding = _encoding(start)
        raw = gzip.open(path) if packed else path.open("rb")  # noqa: SIM115 (the wrapper closes it)
        with io.TextIOWrapper(raw, encoding, newline="") as stream:  # pyright: ignore[reportArgumentType]
            return _parse(path, stream, text)
    except UnicodeDecodeError as error:
        if encoding.startswith("utf-16"):
            raise DataError(
                f"{path} begins as text in UTF-16 and is not ({error.reason}): expected UTF-8; save it again with that "
                "encoding"
            ) from None
        raise DataError(
            f"{path} is not text in UTF-8 (byte {error.object[error.start]:#04x}: {error.reason}): expected UTF-8; "
            "save it again with that encoding (in Excel: CSV UTF-8), or convert it: iconv -f latin1 -t utf-8"
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is not a complete gzip file ({error}): replace it with a whole one") from None


def _parse(path: Path, stream: TextIO, text: set[str]) -> Table:
    lines = _lines(path, stream)
    first = next(lines, "")
    while first and not first.strip():
        first = next(lines, "")
    if not first:
        raise DataError(f"{path} is empty: expected a header with the columns' names, then a row for each sample")
    delimiter = "\t" if suffix_of(path).startswith(".tsv") else max(",;\t|", key=first.count)
    if (stated := re.fullmatch(r"sep=(.)\s*", first, re.IGNORECASE)) is not None:  # for Excel
        delimiter, first = stated[1], next(lines, "")
    rows = csv.reader(_from(first, lines), delimiter=delimiter, strict=True)
    names: list[str] = []
    try:
        names = [name.strip() for name in next(rows)]
        _check_header(path, names)
        # A column without a name gets one that no file can contain.
        keys = [name or f"\0{i}" for i, name in enumerate(names, 1)]
        columns = _Columns(keys, text, decimal_comma=delimiter == ";")
        for row in rows:
            if len(row) != len(names):
                if not row:  # an empty line
                    continue
                raise DataError(
                    f"{path}, line {rows.line_num}, has {len(row)} cells: expected {len(names)}, as in the header "
                    f"(separated by {delimiter!r}); correct the row, or quote a cell that contains the separator"
                )
            if [cell.strip() for cell in row] == names:
                raise DataError(f"{path}, line {rows.line_num}, repeats the header: expected it once; remove this line")
            columns.add(row)
    except csv.Error as error:
        where = f"{path}, line {rows.line_num}"
        if "field larger" in str(error):
            raise DataError(
                f"{where}, has a cell of more than {csv.field_size_limit():,} characters: expected a table of numbers "
                "and short text; is a quote not closed?"
            ) from None
        raise DataError(f"{where}, cannot be read ({error}): is a quote not closed, or one too many?") from None
    found = columns.finished()
    columns.refuse_mixed_points(str(path))
    unnamed = {int(key[1:]): found.pop(key) for key in list(found) if key.startswith("\0")}
    return Table(
        str(path),
        found,
        columns.leading_zeros,
        tuple(i for i, column in unnamed.items() if not _is_empty(column)),
        decimal_comma=delimiter == ";",
    )


def _is_empty(column: Shaped[Array, "n"]) -> bool:
    return not any(column.tolist()) if column.dtype.kind == "O" else bool(np.isnan(column).all())


#: The first bytes of formats that are sometimes called .csv, and what to do.
_OTHER_FORMATS = (
    (b"PK\x03\x04", "a .zip file or an Excel workbook: unpack it, or save the sheet as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook: save the sheet as CSV UTF-8"),
    (b"\x1f\x8b", "compressed with gzip: name it with .gz at the end, as table.csv.gz"),
    (b"BZh91AY", "compressed with bzip2: unpack it"),
    (b"\xfd7zXZ", "compressed with xz: unpack it"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it"),
    (b"PAR1\x15", "a Parquet file: name it with .parquet at the end"),
    (b"\x93NUMPY", "an array of NumPy: name it with .npy at the end"),
    (b"\x89HDF", "an HDF5 file: save the table as CSV"),
    (b"SQLite format", "an SQLite database: save the table as CSV"),
    (b"%PDF", "a PDF document: save the table as CSV"),
    (b"<!doctype", "a web page, not the table: download the file itself"),
    (b"<!DOCTYPE", "a web page, not the table: download the file itself"),
    (b"<html", "a web page, not the table: download the file itself"),
    (b"<HTML", "a web page, not the table: download the file itself"),
    (b"version https://git-lfs", "a pointer of Git LFS: fetch the file with git lfs pull"),
    (b"[{", "JSON: save the table as CSV"),
    (b'{"', "JSON: save the table as CSV"),
)


def _refuse_other_formats(path: Path, start: bytes) -> None:
    for magic, what in _OTHER_FORMATS:
        if start.startswith(magic):
            raise DataError(f"{path} is {what}")


def _encoding(start: bytes) -> str:
    """The encoding of a file that begins with these bytes: UTF-8, or UTF-16 also without a byte order mark."""
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if len(start) >= 4 and not start[0] and start[1] and not start[2] and start[3]:
        return "utf-16-be"
    if len(start) >= 4 and start[0] and not start[1] and start[2] and not start[3]:
        return "utf-16-le"
    return "utf-8-sig"


def _lines(path: Path, stream: TextIO) -> Iterator[str]:
    """Iterates over the lines of a file; overlong lines are rejected before they fill the memory."""
    number = 0
    while line := stream.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE:
            raise DataError(
                f"{path}, line {number}, has more than {MAX_LINE:,} characters: expected a table of numbers and "
                "short text, one line per row"
            )
        if "\0" in line:
            raise DataError(f"{path}, line {number}, contains a byte 0: expected text; is it a text file?")
        yield line


def _from(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _check_header(path: Path, names: list[str]) -> None:
    numeric = [name for name in names if name and parse_number(name) is not None]
    if len(numeric) == len(names) or any("." in name for name in numeric):  # a year can be a column name, 5.1 cannot
        shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
        raise DataError(f"{path} begins with numbers ({shown}), not with a header: expected the columns' names first")
    named = [name for name in names if name]
    check_names(str(path), named or names)


class _Columns:
    """Columns that grow row by row. Numbers are converted every few thousand rows, so that their text is not kept."""

    def __init__(self, names: list[str], text: set[str], *, decimal_comma: bool) -> None:
        self.names, self.text, self.decimal_comma = names, text, decimal_comma
        self.rows: list[list[str]] = []
        self.parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
        self.shared: dict[str, str] = {}  # one object per distinct string
        self.leading_zeros: dict[str, str] = {}
        self.with_comma: dict[str, str] = {}  # a cell of each numeric column with decimal commas
        self.with_points: dict[str, str] = {}  # a cell of each numeric column whose points may separate thousands
        self.decimal_points = False  # whether another column has points that cannot

    def add(self, row: list[str]) -> None:
        self.rows.append(row)
        if len(self.rows) == _CHUNK:
            self._flush()

    def _flush(self) -> None:
        if not self.rows:
            return
        for name, cells in zip(self.names, zip(*self.rows, strict=True), strict=True):
            cells = [cell.strip() for cell in cells]
            numbers = None if name in self.text else self._numbers(name, cells)
            if numbers is not None:
                self.parts[name].append(numbers)
                if name not in self.leading_zeros:
                    padded = next((cell for cell in cells if _LEADING_ZERO.fullmatch(cell)), None)
                    if padded is not None:
                        self.leading_zeros[name] = padded
                continue
            if name not in self.text:
                if self.parts[name]:
                    raise _TextFound(name)
                self.text.add(name)
            column = np.empty(len(cells), object)
            column[:] = [self.shared.setdefault(cell, cell) for cell in cells]
            self.parts[name].append(column)
        self.rows = []

    def refuse_mixed_points(self, where: str) -> None:
        """Raises DataError if points separate thousands in a file with decimal commas."""
        if self.with_comma and self.with_points and not self.decimal_points:
            (name, cell), *_ = self.with_points.items()
            (other, comma), *_ = self.with_comma.items()
            raise DataError(
                f"column {name!r} of {where} contains {cell!r}, and column {other!r} {comma!r}: with decimal commas, a "
                "point separates thousands; write the numbers without thousands separators"
            )

    def _numbers(self, name: str, cells: list[str]) -> np.ndarray | None:
        """The cells as numbers, or None if one is not a number."""
        filled = ["nan" if cell in MISSING else cell for cell in cells]
        try:
            numbers = np.array(filled, np.float64)
        except ValueError:
            pass
        else:
            if self.decimal_comma and (points := [cell for cell in filled if "." in cell]):
                if all(_THOUSANDS.fullmatch(cell) for cell in points):
                    self.with_points.setdefault(name, points[0])
                else:
                    self.decimal_points = True
            return numbers
        if self.decimal_comma:
            try:
                numbers = np.array([cell.replace(",", ".") for cell in filled], np.float64)
            except ValueError:
                pass
            else:
                self.with_comma.setdefault(name, next(cell for cell in filled if "," in cell))
                return numbers
        return None

    def finished(self) -> dict[str, Shaped[Array, "n"]]:
        self._flush()
        return {name: np.concatenate(parts) if parts else np.empty(0, np.float64) for name, parts in self.parts.items()}


# -- Parquet ----------------------------------------------------------------------------------------------------------


def _read_parquet(path: Path) -> Table:
    try:
        import duckdb
    except ImportError:
        raise ConfigError(
            f'{path}: a .parquet file requires duckdb, which is not installed: pip install "handgrad[parquet]", or '
            "write the table as .csv"
        ) from None
    if not path.is_file():
        raise FileNotFoundError(path)
    literal = re.sub(r"([*?[])", r"[\1]", str(path.absolute()))  # the name of a single file, not a pattern
    try:
        # Extensions would be downloaded from the network; reading Parquet does not need any.
        options: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
        with duckdb.connect(":memory:", config=options) as connection:
            relation = connection.read_parquet(literal)
            names, columns = relation.columns, relation.fetchnumpy()
    except duckdb.Error as error:
        raise DataError(
            f"{path} is not a Parquet file that can be read ({' '.join(str(error).split())[:200]})"
        ) from None
    check_names(str(path), names)
    return Table(str(path), {name: as_column(columns[name], f"column {name!r} of {path}") for name in names})
