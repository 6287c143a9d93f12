"""The user's own data from files: detection of the format, reading, and checksums to detect changes."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handgrad._typing import Array, Shaped
from handgrad.data import array_files, idx, pictures, table_files
from handgrad.data.checksums import file_sha256
from handgrad.data.dataset import Dataset
from handgrad.data.own import (
    Raw,
    as_inputs,
    as_targets,
    assemble,
    byte_range,
    columns_named,
    join_parts,
)
from handgrad.data.tables import as_column, parse_number
from handgrad.errors import ConfigError, DataError

KINDS = """\
a table (.csv, .tsv, also .gz, or .parquet), arrays (.npz, .npy), a folder of images with a folder for each class, or \
a folder with IDX files or with x.npy and y.npy"""

#: Default names of arrays in a .npz file, in this order: inputs and targets, of training and test.
_NAMES = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("X_train", "y_train", "X_test", "y_test"),
    ("x", "y"),
    ("X", "y"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("images", "labels"),
    ("data", "target"),
    ("data", "labels"),
)

_IDX = re.compile(r"(?P<stem>.*?)[-_.](?P<what>images|labels)[-.]idx\d-\w+(\.gz)?$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Options for reading the files at a path; all are optional.

    Arguments:
        target: for a table, the column or columns to predict, separated by commas; for an .npy file, the .npy file with
            the targets.
        group: a column, an array in the .npz file, or an .npy file: samples with the same value are kept in the same
            split.
        sample_weight: likewise: weights for training.
        categories: numeric columns of a table to treat as categories.
        arrays: the names in an .npz file: "x,y" or "x_train,y_train,x_test,y_test".
        image_size, image_mode: as for `read_images`.
    """

    target: str = ""
    group: str = ""
    sample_weight: str = ""
    categories: str = ""
    arrays: str = ""
    image_size: str | None = None
    image_mode: str | None = None


def from_path(
    path: str | Path,
    *,
    target: str = "",
    group: str = "",
    sample_weight: str = "",
    ignore: str = "",
    categories: str = "",
    arrays: str = "",
    image_size: str | None = None,
    image_mode: str | None = None,
    task: str | None = None,
    test_size: float | None = None,
    validation_size: float = 0,
    validation_split: str = "random",
    seed: int = 0,
    preprocessing: str | None = None,
) -> Dataset:
    """A data set from the user's files, ready for training.

    Arguments:
        path: a table, arrays, an image folder or a folder of IDX files.
        target, group, sample_weight, categories, arrays, image_size, image_mode: how to read it, see `Reading`.
        Other arguments: as for `from_arrays`.

    Returns: the `Dataset`.
    Raises: DataError that names the file, the position and what to do; ConfigError for options that do not apply.
    """
    reading = Reading(
        target=target,
        group=group,
        sample_weight=sample_weight,
        categories=categories,
        arrays=arrays,
        image_size=image_size,
        image_mode=image_mode,
    )
    return assemble(
        read(path, reading),
        ignore=ignore,
        categories=categories,
        task=task,
        test_size=test_size,
        validation_size=validation_size,
        validation_split=validation_split,
        seed=seed,
        preprocessing=preprocessing,
    )


def read(path: str | Path, reading: Reading, *, targets: bool = True) -> Raw:
    """Reads the raw contents of a path.

    Arguments:
        targets: whether targets are required; otherwise inputs without targets are accepted: a table without the target
            column, a single image, or a folder of images without subfolders.

    Raises: DataError, ConfigError.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise DataError(f"there is no file or folder {path}: expected {KINDS}")
    reader = _reader_of(path, targets)
    _refuse_options(path, reading)
    raw = reader(path, reading, targets)
    return dataclasses.replace(raw, name=str(path))


def digest(files: tuple[Path, ...]) -> tuple[int, str]:
    """The total size in bytes of all files, and a SHA-256: that of a single file, or that of a list with one line
    per file: its SHA-256, two spaces, and its path relative to the common folder."""
    size = sum(path.stat().st_size for path in files)
    if len(files) == 1:
        return size, file_sha256(files[0])
    resolved = sorted(path.resolve() for path in files)
    base = resolved[0].parent
    while not all(path.is_relative_to(base) for path in resolved):
        base = base.parent
    lines = (f"{file_sha256(path)}  {path.relative_to(base).as_posix()}\n" for path in resolved)
    return size, hashlib.sha256("".join(lines).encode()).hexdigest()


def digest_arrays(*arrays: Shaped[Array, "..."]) -> tuple[int, str]:
    """The total size in bytes of arrays, and a SHA-256 of their types, shapes and values."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        for part in range(0, len(array), 4096):
            total.update(np.ascontiguousarray(array[part : part + 4096]).tobytes())
    return sum(array.nbytes for array in arrays), total.hexdigest()


def _reader_of(path: Path, targets: bool) -> Callable[[Path, Reading, bool], Raw]:
    suffix = table_files.suffix_of(path)
    if path.is_dir():
        return _read_folder
    if suffix in table_files.SUFFIXES:
        return _read_table
    if suffix == ".npz":
        return _read_npz
    if suffix == ".npy":
        return _read_npy
    if not targets and suffix in pictures.SUFFIXES:
        return _read_pictures
    if not targets and _IDX.fullmatch(path.name):
        return _read_idx_file
    if suffix in (".pkl", ".pickle", ".joblib"):
        raise DataError(f"{path} is a pickle, which can run any code and is never read: save it as .npz or .csv")
    if suffix in (".xlsx", ".xls", ".xlsm", ".ods"):
        raise DataError(f"{path} is a spreadsheet: save it as CSV UTF-8, then use the .csv file")
    if suffix == ".zip":
        raise DataError(f"{path} is a .zip file: unpack it, then use the file or folder in it")
    raise DataError(f"{path}: expected {KINDS}")


def _refuse_options(path: Path, reading: Reading) -> None:
    """Raises ConfigError for an option that does not apply to `path`."""
    suffix = table_files.suffix_of(path)
    is_table, is_folder = suffix in table_files.SUFFIXES, path.is_dir()
    fits = {
        "target": is_table or suffix == ".npy",
        "group": is_table or suffix in (".npz", ".npy"),
        "sample_weight": is_table or suffix in (".npz", ".npy"),
        "categories": is_table,
        "arrays": suffix == ".npz",
        "image_size": is_folder or suffix in pictures.SUFFIXES,
        "image_mode": is_folder or suffix in pictures.SUFFIXES,
    }
    where = {
        "target": "a table, or an .npy file with its targets in another",
        "group": "a table or arrays",
        "sample_weight": "a table or arrays",
        "categories": "a table",
        "arrays": "an .npz file",
        "image_size": "images",
        "image_mode": "images",
    }
    for name, fit in fits.items():
        if getattr(reading, name) and not fit:
            raise ConfigError(f"{name}={getattr(reading, name)} applies to {where[name]}, not to {path}: leave it out")


# -- tables -----------------------------------------------------------------------------------------------------------


def _read_table(path: Path, reading: Reading, targets: bool) -> Raw:
    # Targets and categories are read as text, so that labels such as 007 or 1.0 are preserved.
    text = {reading.target, reading.categories}
    text |= {name.strip() for name in f"{reading.target},{reading.categories}".split(",")}
    table = table_files.read_table(path, text)
    if not reading.target:
        if targets:
            raise ConfigError(
                f"{path} is a table, and target is not set: name the column to predict with --target, one of "
                f"{', '.join(table.columns)}"
            )
        return Raw(name=str(path), inputs=table, targets={}, files=(path,), shown="a table")
    try:
        names = columns_named(reading.target, table)
    except DataError:
        if targets:
            raise
        return Raw(name=str(path), inputs=table, targets={}, files=(path,), shown="a table")
    groups = None
    if reading.group and (targets or reading.group in table.columns):
        groups = table.column(reading.group)
        if reading.group in names:
            raise ConfigError(f"group={reading.group} is the target: name another column")
    columns = {name: table.column(name) for name in names}
    if table.decimal_comma:
        columns = {name: _with_points(column) for name, column in columns.items()}
    weights = table.column(reading.sample_weight) if reading.sample_weight and targets else None
    return Raw(
        name=str(path),
        inputs=table.without((*names, reading.sample_weight)),
        weights=weights,
        targets=columns,
        groups=groups,
        files=(path,),
        shown="a table",
    )


def _with_points(column: Shaped[Array, "n"]) -> Shaped[Array, "n"]:
    """A target that was read as text, with decimal points if all of its values are numbers with decimal commas."""
    if column.dtype.kind != "O" or not all(
        parse_number(text.replace(",", ".")) is not None for text in set(column.tolist())
    ):
        return column
    return np.array([text.replace(",", ".") for text in column.tolist()], object)


# -- arrays -----------------------------------------------------------------------------------------------------------


def _read_npz(path: Path, reading: Reading, targets: bool) -> Raw:
    there = array_files.names_in_npz(path)
    if reading.arrays:
        names = tuple(name.strip() for name in reading.arrays.split(","))
        if len(names) not in ((2, 4) if targets else (1, 2, 4)):
            raise ConfigError(
                f"arrays={reading.arrays}: expected the names of inputs and targets, as x,y, or of training and test, "
                "as "
                "x_train,y_train,x_test,y_test"
            )
        if not targets and names[0] not in there:
            names = next((pair[:1] for pair in _NAMES if pair[0] in there), names)
    else:
        known = [names for names in _NAMES if set(names if targets else names[:1]) <= set(there)]
        if not known:
            raise DataError(
                f"{path} has the arrays {', '.join(there) or '(none)'}: expected x and y, or x_train, y_train, x_test "
                "and "
                "y_test; name them with --arrays, as --arrays inputs,labels"
            )
        names = known[0] if targets or set(known[0]) <= set(there) else known[0][:1]
    group = (reading.group,) if reading.group and targets else ()
    weight = (reading.sample_weight,) if reading.sample_weight and targets else ()
    arrays = array_files.read_npz(path, (*names, *group, *weight))
    parts = {}
    for part, pair in zip(("train", "test"), (names[:2], names[2:]), strict=True):
        if pair:
            x = as_inputs(arrays[pair[0]], f"array {pair[0]!r} in {path}")
            y = as_targets(arrays[pair[1]], f"array {pair[1]!r} in {path}") if len(pair) > 1 else {}
            parts[part] = (x, y)
    if len(parts) > 1 and group:
        raise ConfigError(f"group={reading.group}: {path} already has a test set; leave group out")
    x, y, sizes = join_parts(str(path), parts) if len(parts) > 1 else (*parts["train"], {})
    groups = as_column(arrays[group[0]], f"array {group[0]!r} in {path}") if group else None
    weights = as_column(arrays[weight[0]], f"array {weight[0]!r} in {path}") if weight else None
    return Raw(
        name=str(path),
        inputs=x,
        targets=y,
        sizes=sizes,
        groups=groups,
        weights=weights,
        value_range=byte_range(x),
        files=(path,),
    )


def _read_npy(path: Path, reading: Reading, targets: bool) -> Raw:
    if not reading.target and targets:
        raise ConfigError(
            f"{path} contains one array, and target is not set: name the .npy file of its targets with --target, or a "
            "folder "
            "with x.npy and y.npy as the data"
        )
    x = as_inputs(array_files.read_npy(path), str(path))
    files, columns = (path,), {}
    more: dict[str, Any] = {}
    if targets:
        other = Path(reading.target).expanduser()
        columns = as_targets(np.array(array_files.read_npy(other)), str(other))
        files = (path, other)
        for name, beside in (("groups", reading.group), ("weights", reading.sample_weight)):
            if beside:
                more[name] = as_column(np.array(array_files.read_npy(Path(beside).expanduser())), beside)
                files = (*files, Path(beside).expanduser())
    return Raw(name=str(path), inputs=x, targets=columns, value_range=byte_range(x), files=files, **more)


# -- folders ----------------------------------------------------------------------------------------------------------


def _read_folder(path: Path, reading: Reading, targets: bool) -> Raw:
    pair = (path / "x.npy", path / "y.npy")
    if pair[0].is_file():
        return _read_npy(pair[0], dataclasses.replace(reading, target=str(pair[1])), targets)
    if any(_IDX.fullmatch(file.name) for file in path.iterdir()):
        return _read_idx_folder(path, reading, targets)
    return _read_pictures(path, reading, targets)


def _read_pictures(path: Path, reading: Reading, targets: bool) -> Raw:
    parts = pictures.parts_in(path) if path.is_dir() else {}
    if targets or parts:
        found = {part: pictures.classes_in(folder) for part, folder in (parts or {"train": path}).items()}
        by_class = [(part, name, images) for part, classes in found.items() for name, images in classes.items()]
    else:
        by_class = [("train", "", pictures.images_in(path) if path.is_dir() else [path])]
    images = [image for _, _, some in by_class for image in some]
    if not images and path.is_dir() and (loose := [p for p in path.iterdir() if pictures.is_image(p)]):
        raise DataError(
            f"{path} contains images ({loose[0].name}) and no folders: expected a folder for each class, with its "
            "images"
        )
    if not images:
        raise DataError(
            f"{path} contains no training data: expected {KINDS}; images end in {', '.join(pictures.SUFFIXES)}"
        )
    pixels, notes = pictures.read_images(images, reading.image_size, reading.image_mode)
    labels = np.array([name for _, name, some in by_class for _ in some], object)
    sizes = {part: sum(len(some) for own, _, some in by_class if own == part) for part in parts}
    if "train" in sizes and not sizes["train"]:
        raise DataError(f"{parts['train']} contains no images: expected a folder for each class there")
    # without a test folder, the validation folder is the test set
    if "validation" in sizes and "test" not in sizes:
        sizes["test"] = sizes.pop("validation")
        notes.append(f"{parts['validation']} is the test part: there is no folder test")
    base = path if path.is_dir() else path.parent
    return Raw(
        name=str(path),
        inputs=pixels,
        targets={"class": labels} if targets else {},
        sizes=sizes,
        value_range=255.0,
        of_images=True,
        items=tuple(image.relative_to(base).as_posix() for image in images),
        files=tuple(images),
        notes=tuple(notes),
        shown="a folder of images" if path.is_dir() else "an image",
    )


def _read_idx_folder(path: Path, reading: Reading, targets: bool) -> Raw:
    found: dict[str, dict[str, Path]] = {}
    for file in sorted(path.iterdir(), reverse=True):  # of FILE and FILE.gz, FILE is preferred
        if match := _IDX.fullmatch(file.name):
            found.setdefault(match["stem"], {})[match["what"].lower()] = file
    parts = {}
    for stem, pair in sorted(found.items()):
        if len(pair) < 2:
            lacks = "labels" if "images" in pair else "images"
            raise DataError(f"{path} has {next(iter(pair.values())).name} but not the {lacks} that belong to it")
        is_test = re.search(r"(t10k|test)$", stem, re.IGNORECASE) is not None
        part = "test" if is_test else "train"
        if part in parts:
            raise DataError(f"{path} has two sets of {part} images, including {stem}: expected one; move one away")
        x = as_inputs(idx.read_any_idx(pair["images"]), str(pair["images"]))
        y = as_targets(idx.read_any_idx(pair["labels"]), str(pair["labels"]))
        parts[part] = (x, y, pair)
    if "train" not in parts:
        raise DataError(
            f"{path} has test images only: expected train-images-idx3-ubyte and train-labels-idx1-ubyte too"
        )
    parts = {part: parts[part] for part in ("train", "test") if part in parts}
    x, y, sizes = join_parts(str(path), {part: (x, y) for part, (x, y, _) in parts.items()})
    files = tuple(file for *_, pair in parts.values() for file in pair.values())
    return Raw(
        name=str(path),
        inputs=x,
        targets=y if targets else {},
        sizes=sizes if len(sizes) > 1 else {},
        value_range=byte_range(x),
        files=files,
        shown="a folder of IDX files",
    )


def _read_idx_file(path: Path, reading: Reading, targets: bool) -> Raw:
    x = as_inputs(idx.read_any_idx(path), str(path))
    return Raw(name=str(path), inputs=x, targets={}, value_range=byte_range(x), files=(path,), shown="an IDX file")
