"""Reading arrays of numbers and text from .npy and .npz files; objects, which are pickled, are rejected.

Headers are checked against the size of the file before memory is allocated.
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

#: An array in a .npz file is rejected as a zip bomb if it decompresses to more bytes than the first limit and to more
#: than the second limit times its compressed size. Sparse images compress by a factor of at most 100, zeros by 1000.
MAX_UNPACKED, MAX_RATIO = 1 << 30, 200


def read_npy(path: Path) -> Shaped[Array, "..."]:
    """The memory-mapped array of a .npy file, which may be larger than the available memory.

    Raises: DataError if it is not a .npy file, is truncated, or contains objects.
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
    """The arrays of a .npz file with the given names.

    Raises: DataError if it is not a .npz file, an array is missing, or it is damaged, contains objects, or is a zip
    bomb.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                where = f"array {name!r} in {path}"
                entry = archive.getinfo(f"{name}.npy")
                if entry.file_size > max(MAX_UNPACKED, MAX_RATIO * entry.compress_size):
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
            "wrote; replace it with a complete one"
        ) from None
    return arrays


def names_in_npz(path: Path) -> list[str]:
    """The names of the arrays in a .npz file. Raises DataError if it is not a .npz file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as .npz ({' '.join(str(error).split())}): expected a file that numpy.savez "
            "wrote; replace it with a complete one"
        ) from None


def _read_header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], np.dtype, bool]:
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise DataError(f"{where} has the version {version} of the .npy format: expected 1.0, 2.0 or 3.0")
    # The header of version 3 differs from version 2 only in the encoding of field names, which do not occur here.
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise DataError(
            f"{where} contains Python objects, shape={shape}: expected numbers or text. It is not read, as unpickling "
            "runs "
            "what a file asks for; save it again with one dtype, as x.astype(np.float32) or y.astype(str)"
        )
    if dtype.kind not in "buifUM":
        raise DataError(f"{where} has dtype={dtype}: expected numbers or text; save it as such, with x.astype(...)")
    return shape, dtype, fortran


def _check_size(where: str, shape: tuple[int, ...], dtype: np.dtype, there: int) -> None:
    wanted = math.prod(shape) * dtype.itemsize
    if any(length < 0 for length in shape) or wanted != there:
        raise DataError(
            f"{where} claims shape={shape} dtype={dtype}, {wanted:,} bytes, but has {there:,}: it is damaged"
        )
