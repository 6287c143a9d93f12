"""Finding, downloading, checking and loading the data sets of the catalogue."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from handgrad.data import cifar10, digits, idx, speech, splitting
from handgrad.data.catalogue import DATASETS, Entry
from handgrad.data.checksums import archive_contains, content_checksum, file_sha256, is_gzip
from handgrad.data.dataset import VALIDATION_SPLITS, Dataset, fit_preprocessing
from handgrad.data.progress import Progress
from handgrad.data.samples import Samples
from handgrad.errors import ConfigError, DataError

#: Maximum size of a download with a different compression, relative to the official file. Decompression makes no
#: official file five times as large.
_MAX_COMPRESSED_RATIO = 8

_FORMATS: dict[str, ModuleType] = {"digits": digits, "idx": idx, "cifar10": cifar10, "speech": speech}


@dataclass(frozen=True)
class Listing:
    """A line of `handgrad data list`: the entry, the search folder, and the location (None if not found)."""

    entry: Entry
    looked_for: tuple[Path, ...]
    found: Path | None


@dataclass(frozen=True)
class Check:
    """The result of `check`.

    Arguments:
        folder: the folder with the files.
        sizes: the number of samples of "train" and "test".
        official: for each file, whether its uncompressed content equals that of the official file; None if the
            catalogue has no such checksum, so that only the structure was checked.
        repacked: the official files that are compressed differently or not at all.
    """

    folder: Path
    sizes: dict[str, int]
    official: dict[Path, bool | None]
    repacked: tuple[Path, ...] = ()


def load(
    name: str,
    *,
    data_dir: str | Path | None = None,
    offline: bool = False,
    preprocessing: str | None = None,
    validation_size: float = 0,
    validation_split: str = "random",
    context: int = 0,
    progress: Progress | None = None,
) -> Dataset:
    """A data set in memory, ready to train on.

    The search order is `data_dir`, $HANDGRAD_DATA, the user's cache. If a data set is missing from the cache, it is
    downloaded; if it is missing from a folder specified by the user, an error is raised.

    Arguments:
        name: one of `DATASETS`.
        data_dir: folder that contains data sets, or the folder of this one.
        offline: never download.
        preprocessing: one of `PREPROCESSING`; None for the default of the data set.
        validation_size: number or fraction (below 1) of the training samples in the "validation" split.
        validation_split: "random": a stratified random sample, always the same; "end": the last samples, as in
            published splits of MNIST and CIFAR-10.
        context: for speech, number of frames on each side of a frame.
        progress: called with (received bytes, total bytes) during a download; None shows a progress bar on stderr.

    Returns: the `Dataset`; its preprocessing is fitted on the "train" split.
    Raises: ConfigError for an unknown name or preprocessing or an invalid validation size; DataError if the files are
    missing, cannot be downloaded or are malformed.
    """
    entry = _entry(name, data_dir)
    if validation_split not in VALIDATION_SPLITS:
        expected = " or ".join(VALIDATION_SPLITS)
        raise ConfigError(f"unknown validation_split={validation_split!r}: choose {expected}")
    folder = _find(entry, data_dir)
    if folder is None:
        if offline or _named_by_user(data_dir) or not entry.downloads:
            raise DataError(_missing(entry, data_dir, offline))
        folder = get(name, progress=progress)
    if entry.format == "speech":
        if validation_size:
            raise ConfigError(f"validation_size={validation_size}: {name} is validated on its dev.npy; leave it out")
        return speech.load_frames(entry, folder, preprocessing or entry.preprocessing, context)
    if context:
        raise ConfigError(f"context={context} applies to dataset=speech, not to {name}: leave it out")
    samples = _read(entry, folder, data_dir)
    return _assemble(entry, samples, preprocessing or entry.preprocessing, validation_size, validation_split)


def get(name: str, *, data_dir: str | Path | None = None, progress: Progress | None = None) -> Path:
    """Downloads the missing files of a data set.

    Arguments: as for `load`; `data_dir` and $HANDGRAD_DATA are the target folder.

    Returns: the folder with the files.
    Raises: ConfigError for an unknown name; DataError if a file cannot be downloaded.
    """
    entry = _entry(name, data_dir)
    found = _find(entry, data_dir)
    if found is not None:
        try:
            _format(entry).read(entry, found)
        except DataError:
            if not entry.downloads:
                raise
        else:
            return found
    if not entry.downloads:
        raise DataError(_missing(entry, data_dir, offline=False))
    # Imported here because the network modules of the standard library take longer to import than NumPy's core.
    from handgrad.data.archive import extract
    from handgrad.data.download import download
    from handgrad.data.progress import show_progress

    base = _base(data_dir)
    packed = entry.format == "cifar10"
    folder = base / cifar10.BINARY if packed else _incomplete(entry, data_dir) or base / entry.name
    for wanted in entry.downloads:
        target = (base if packed else folder) / wanted.name
        urls = [mirror + wanted.name for mirror in entry.mirrors]
        with show_progress(wanted.name) as shown:
            download(
                urls,
                target,
                sha256=wanted.sha256,
                size=wanted.size,
                same_content=lambda file, name=wanted.name: _has_official_content(entry, name, file),
                most=_MAX_COMPRESSED_RATIO * wanted.size,
                progress=progress or shown,
            )
        if packed:
            extract(target, folder, cifar10.BINARY_FILES, cifar10.MOST_BYTES)
            target.unlink()
    return folder


def check(name: str, *, data_dir: str | Path | None = None) -> Check:
    """Reads all files of a data set and compares their content with the official checksums.

    Arguments: as for `load`.

    Returns: a `Check`.
    Raises: ConfigError for an unknown name; DataError if it is missing or malformed.
    """
    entry = _entry(name, data_dir)
    folder = _find(entry, data_dir)
    if folder is None:
        raise DataError(_missing(entry, data_dir, offline=False))
    form = _format(entry)
    sizes = {split: len(part.inputs) for split, part in _read(entry, folder, data_dir).items()}
    present, _ = form.files(folder)
    official = {path: _is_official(entry, path.name, path) for path in present}
    packed = {wanted.sha256 for wanted in entry.downloads}
    of_archive = entry.format == "cifar10"  # its files are not compressed separately
    repacked = [path for path in present if official[path] and not of_archive and file_sha256(path) not in packed]
    return Check(folder, sizes, official, tuple(repacked))


def describe(*, data_dir: str | Path | None = None) -> list[Listing]:
    """All data sets of the catalogue, with their search folders and locations, without reading data."""
    return [
        Listing(entry, tuple(_folders(entry, data_dir)), _find(entry, data_dir)) for entry in DATASETS.values()
    ]  # fmt: skip


def _is_official(entry: Entry, name: str, path: Path) -> bool | None:
    """Whether the content of a file, compressed or not, is that of the official file of this name; None if the
    catalogue has no checksum of it."""
    plain = name.removesuffix(".gz").replace(".idx", "-idx")
    for file, algorithm, checksum in entry.contents:
        if file == plain:
            return content_checksum(path, algorithm) == checksum
    return None


def _has_official_content(entry: Entry, name: str, path: Path) -> bool:
    """Whether a download that is not byte for byte the official file has the same content with another compression."""
    if entry.format == "cifar10":
        files = {f"{cifar10.BINARY}/{file}": total for file, *total in entry.contents if file in cifar10.BINARY_FILES}
        return bool(files) and archive_contains(path, {file: (total[0], total[1]) for file, total in files.items()})
    try:
        return is_gzip(path) and _is_official(entry, name, path) is True
    except DataError:  # not a complete gzip file
        return False


def _entry(name: str, data_dir: str | Path | None) -> Entry:
    if name not in DATASETS:
        raise ConfigError(f"unknown data set name={name!r}: choose one of {', '.join(DATASETS)}")
    if data_dir is not None and str(data_dir) == "":
        raise ConfigError("data_dir='': expected the name of a folder; is a variable of your shell empty?")
    if data_dir is not None and DATASETS[name].format == "digits":
        others = ", ".join(other for other in DATASETS if other != name)
        raise ConfigError(
            f"data_dir={data_dir} does not apply to dataset={name}, which is part of the package: leave data_dir "
            f"out, or choose a data set from that folder with dataset (one of {others})"
        )
    return DATASETS[name]


def _format(entry: Entry) -> ModuleType:
    return _FORMATS[entry.format]


def _read(entry: Entry, folder: Path, data_dir: str | Path | None) -> dict[str, Samples]:
    """The samples in a folder; errors for damaged files say what to do."""
    try:
        return _format(entry).read(entry, folder)
    except DataError as error:
        if not entry.downloads:
            raise
        ours = f"run `handgrad data get {entry.name}`, which downloads damaged files again"
        theirs = "write the file again in the correct format, or replace it with a complete one"
        raise DataError(f"{error}; {theirs if _named_by_user(data_dir) else ours}") from None


def _named_by_user(data_dir: str | Path | None) -> bool:
    return data_dir is not None or bool(os.environ.get("HANDGRAD_DATA"))


def _base(data_dir: str | Path | None) -> Path:
    """The folder that contains data sets."""
    if data_dir is None:
        data_dir = os.environ.get("HANDGRAD_DATA") or None
    if data_dir is not None:
        return Path(data_dir).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("handgrad", appauthor=False) / "data"


def _folders(entry: Entry, data_dir: str | Path | None) -> list[Path]:
    """The folder in which the data set is searched."""
    return [folder for folder in _format(entry).folders(entry, _base(data_dir)) if not _is_other_set(entry, folder)]


def _is_other_set(entry: Entry, folder: Path) -> bool:
    """MNIST and Fashion-MNIST have the same file names, so a folder with the name of another data set is not used."""
    others = [other for other in DATASETS.values() if other.format == entry.format and other != entry]
    names = {name for other in others for name in (other.name, other.torchvision)}
    path = folder.resolve()
    return (path.parent if path.name == "raw" else path).name in names


def _find(entry: Entry, data_dir: str | Path | None) -> Path | None:
    """The first folder with all files of the data set."""
    complete = (folder for folder in _folders(entry, data_dir) if not _format(entry).files(folder)[1])
    return next(complete, None)


def _incomplete(entry: Entry, data_dir: str | Path | None) -> Path | None:
    """The first folder with any file of the data set."""
    incomplete = (folder for folder in _folders(entry, data_dir) if _format(entry).files(folder)[0])
    return next(incomplete, None)


def _missing(entry: Entry, data_dir: str | Path | None, offline: bool) -> str:
    base = _base(data_dir)
    if folder := _incomplete(entry, data_dir):
        what = f"{entry.name} is incomplete: {folder} lacks {', '.join(_format(entry).files(folder)[1])}"
    else:
        what = f"{entry.name} is not in {base}" + _existing_names(entry, base)
    where = f" --data-dir {base}" if data_dir is not None else ""
    if not entry.downloads:
        return (
            f"{what}: expected {_format(entry).wanted(entry)}; specify their folder with --data-dir, or create them "
            "from recordings with handgrad speech prepare"
        )
    fetch_it = f"run `handgrad data get {entry.name}{where}`" + (
        " on a machine with a network connection" if offline else ""
    )
    return f"{what}: expected {_format(entry).wanted(entry)}; put them there or {fetch_it}"


def _existing_names(entry: Entry, base: Path) -> str:
    """A hint about what to rename if the files exist under other names, or a list of the existing names."""
    form = _format(entry)
    for folder in form.folders(entry, base):
        if _is_other_set(entry, folder) and not form.files(folder)[1]:
            return (
                f" ({folder} has such files, but is named after another data set: rename it if they belong to this one)"
            )
    try:
        names = sorted(path.name + "/" * path.is_dir() for path in base.iterdir() if not path.name.startswith("."))
    except OSError:
        return " (there is no such folder)" if not base.exists() else ""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (
        f" (it contains {', '.join(names[:8])}{more}: is one of these the data set under another name?)"
        if names
        else " (it is empty)"
    )


def _validation_last(labels: np.ndarray, validation_size: int, n_classes: int) -> np.ndarray:
    """The order of the training samples with the validation samples last: a stratified sample that does not depend
    on the seeds of a run, so that runs are compared on the same samples."""
    counts = np.bincount(labels, minlength=n_classes)
    sizes = splitting.apportion(counts, validation_size, counts)
    rng = np.random.default_rng((len(labels), validation_size))
    held = np.zeros(len(labels), bool)
    for label, size in enumerate(sizes):
        held[rng.permutation(np.flatnonzero(labels == label))[:size]] = True
    return np.concatenate([np.flatnonzero(~held), np.flatnonzero(held)])


def _assemble(
    entry: Entry, samples: dict[str, Samples], kind: str, validation_size: float, validation_split: str
) -> Dataset:
    n, m = (len(samples[split].labels) for split in ("train", "test"))
    validation_size = splitting.validation_count(n, validation_size, entry.name)
    n_train = n - validation_size
    splits = {"train": range(n_train), "validation": range(n_train, n), "test": range(n, n + m)}
    if n_train == n:
        del splits["validation"]
    train = samples["train"]
    if validation_size and validation_split == "random":
        order = _validation_last(train.labels, validation_size, len(entry.classes))
        train = Samples(train.inputs[order], train.labels[order])
    inputs = np.concatenate([train.inputs, samples["test"].inputs])
    labels = np.concatenate([train.labels, samples["test"].labels]).astype(np.int64)
    preprocessing = fit_preprocessing(kind, inputs[:n_train], entry.value_range)
    return Dataset(entry.name, inputs, labels, splits, entry.classes, entry.value_range, preprocessing)
