"""Extraction of the official CIFAR-10 archive, limited to the expected files."""

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

    They are first extracted to a temporary folder and then moved. The names in the archive do not determine where a
    file is written, so no entry can write outside `folder`. Links and devices are ignored.

    Arguments:
        archive: the .tar.gz.
        folder: the target folder, created if it does not exist.
        names: the names of the files; each must be in the archive.
        most: maximum size of a file in bytes.

    Raises: DataError if the archive is damaged, a file is missing, too large, or cannot be written.
    """
    advice = "remove it and download it again"
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
