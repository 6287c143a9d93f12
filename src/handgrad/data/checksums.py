"""Checksums of files and of their uncompressed content."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from handgrad.errors import DataError


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_checksum(path: Path, algorithm: str) -> str:
    """The checksum of the content of a file, hexadecimal; a gzip file, whatever its name, is decompressed first.

    Arguments:
        algorithm: a name that `hashlib` knows, such as "sha256", "sha1" or "md5".

    Raises: DataError if a gzip file is damaged.
    """
    try:
        with gzip.open(path) if is_gzip(path) else path.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is not a complete gzip file ({error}): replace it with a complete one") from None


def is_gzip(path: Path) -> bool:
    """Whether a file begins with the magic number of gzip."""
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def archive_contains(path: Path, checksums: Mapping[str, tuple[str, str]]) -> bool:
    """Whether a .tar.gz contains files with these checksums, in any order and with any compression.

    Arguments:
        checksums: for each path in the archive, the algorithm and the hexadecimal digits.
    """
    found = {}
    try:
        with tarfile.open(path, "r|gz") as entries:
            for entry in entries:
                name = entry.name.removeprefix("./")
                if name in checksums and entry.isreg() and (stream := entries.extractfile(entry)) is not None:
                    total = hashlib.new(checksums[name][0], usedforsecurity=False)
                    while block := stream.read(1 << 20):
                        total.update(block)
                    found[name] = (checksums[name][0], total.hexdigest())
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error):
        return False
    return found == dict(checksums)
