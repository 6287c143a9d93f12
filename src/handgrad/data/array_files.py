"""Reading arrays from .npy and .npz files, which hold numbers and text but never objects: those would be pickles.

A header is checked against the bytes that are there before anything of the size that it claims is allocated.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from handgrad._typing import Array, Shaped
from handgrad.errors import DataError

#: An array in a .npz file that unpacks to more bytes than the first and to more than the second times its packed size
#: is refused as a zip bomb. Sparse images of 0s pack by a factor of 100 at most, nothing but 0s by 1000.
MOST_UNPACKED, MOST_RATIO = 1 << 30, 200


def read_npy(path: Path) -> Shaped[Array, "..."]:
    """The array of a .npy file, memory-mapped: only what is used is read, so it may be larger than memory.

    Raises: DataError where it is no .npy file, is cut short, or holds objects.
    """
    try:
        with path.open("rb") as stream:
            shape, dtype, _ = _read_header(stream, f"{path}")
            size, start = path.stat().st_size, stream.tell()
        _check_size(f"{path}", shape, dtype, size - start)
        if not math.prod(shape):
            return np.empty(shape, dtype)
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({' '.join(str(error).split())})") from None


def read_npz(path: Path, names: tuple[str, ...]) -> dict[str, Shaped[Array, "..."]]:
    """Some arrays of a .npz file by name.

    Raises: DataError where it is no .npz file, lacks one, is damaged, holds objects, or is a zip bomb.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                where = f"array {name!r} in {path}"
                entry = archive.getinfo(f"{name}.npy")
                if entry.file_size > max(MOST_UNPACKED, MOST_RATIO * entry.compress_size):
                    raise DataError(
                        f"{where} unpacks from {entry.compress_size:,} bytes to {entry.file_size:,}: that is a zip "
                        "bomb, or "
                        "nearly all of it is one value; if you trust it, save it as .npy"
                    )
                with archive.open(entry) as stream:
                    shape, dtype, fortran = _read_header(stream, where)
                    _check_size(where, shape, dtype, entry.file_size - stream.tell())
                    content = stream.read(math.prod(shape) * dtype.itemsize)
                values = np.frombuffer(content, dtype) if dtype.itemsize else np.empty(math.prod(shape), dtype)
                arrays[name] = values.reshape(shape[::-1]).T if fortran else values.reshape(shape)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except KeyError:
        raise DataError(f"{path} has no array {name!r}: it has {', '.join(names_in_npz(path))}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as .npz ({' '.join(str(error).split())}): expected a file that numpy.savez "
            "wrote, replace it with a whole one"
        ) from None
    return arrays


def names_in_npz(path: Path) -> list[str]:
    """The names of the arrays in a .npz file. Raises DataError where it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as .npz ({' '.join(str(error).split())}): expected a file that numpy.savez "
            "wrote, replace it with a whole one"
        ) from None


def _read_header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], np.dtype, bool]:
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise DataError(f"{where} has the version {version} of the .npy format: expected 1.0, 2.0 or 3.0")
    # The header of version 3 differs from that of 2 in its encoding, of names of fields alone: there are none here.
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise DataError(
            f"{where} holds Python objects, shape={shape}: expected numbers or text. It is not read, as unpickling "
            "runs "
            "what a file asks for; save it again with one dtype, as x.astype(np.float32) or y.astype(str)"
        )
    if dtype.kind not in "buifUM":
        raise DataError(f"{where} has dtype={dtype}: expected numbers or text")
    return shape, dtype, fortran


def _check_size(where: str, shape: tuple[int, ...], dtype: np.dtype, there: int) -> None:
    wanted = math.prod(shape) * dtype.itemsize
    if any(length < 0 for length in shape) or wanted != there:
        raise DataError(
            f"{where} claims shape={shape} dtype={dtype}, {wanted:,} bytes, and holds {there:,}: it is damaged"
        )
