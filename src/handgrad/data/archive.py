"""Unpacks the official CIFAR-10 archive, taking the expected files out of it and nothing else."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Collection
from pathlib import Path

from handgrad.errors import DataError


def extract(archive: Path, folder: Path, names: Collection[str], most: int) -> None:
    """Writes the files `folder.name/NAME` of a .tar.gz to `folder`.

    They are unpacked into a temporary folder beside it first, and moved once all are there. Names decide nothing
    about where a file goes, so no entry can lead out of `folder`; links and devices are no files and are passed over.

    Arguments:
        archive: the .tar.gz.
        folder: where the files go; made where it is not there.
        names: the names of the files; each must be in the archive.
        most: bytes that a file may have.

    Raises: DataError where the archive is damaged, lacks a file, or has one that is too large or cannot be written.
    """
    advice = "remove it and fetch it again"
    space = "free some space or choose another folder"
    wanted = {f"{folder.name}/{name}": name for name in names}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
            try:
                with tarfile.open(archive, "r|gz") as entries:
                    for entry in entries:
                        if entry.size > most:
                            found = f"{entry.name[:80]!r} of {entry.size} bytes"
                            raise DataError(f"{archive} has {found}: expected at most {most}; {advice}")
                        name = wanted.pop(entry.name.removeprefix("./"), None) if entry.isreg() else None
                        if name is not None and (source := entries.extractfile(entry)) is not None:
                            with source, Path(temporary, name).open("wb") as target:
                                shutil.copyfileobj(source, target)
                        if not wanted:
                            break
            except (tarfile.TarError, EOFError, ValueError, zlib.error) as error:
                raise DataError(f"{archive} is not a complete .tar.gz file ({error}); {advice}") from None
            if wanted:
                raise DataError(f"{archive} lacks {', '.join(sorted(wanted))}; {advice}")
            for name in names:
                Path(temporary, name).replace(folder / name)
    except OSError as error:
        raise DataError(f"{archive} cannot be unpacked to {folder} ({error.strerror or error}): {space}") from None
