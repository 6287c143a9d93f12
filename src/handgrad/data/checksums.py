"""Checksums of files and of their uncompressed content."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

from handgrad.errors import DataError


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_checksum(path: Path, algorithm: str) -> str:
    """The hexadecimal checksum of the content of a file; .gz files are decompressed.

    Arguments:
        algorithm: a name from `hashlib`, "sha256" or "md5".

    Raises: DataError if a .gz file is damaged.
    """
    total = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            while block := stream.read(1 << 20):
                total.update(block)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is not a complete gzip file ({error}): fetch it again") from None
    return total.hexdigest()
