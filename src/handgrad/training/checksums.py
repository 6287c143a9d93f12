"""Checksums of the files of a run, so that corrupted files are detected and never used silently.

Each file contains its own checksum: a separate manifest would be wrong for a moment whenever a file is replaced, and
the process may be killed at that moment. Array files store it in their header, JSON and TOML files in their last line,
and each line of `metrics.jsonl` in its last entry. Checksums protect against accidents, not against deliberate
tampering.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

from handgrad._typing import Array, Shaped
from handgrad.errors import RunError

_trusting: ContextVar[bool] = ContextVar("trusting", default=False)

_JSON_END = re.compile(r',\n  "sha256": "([0-9a-f]{64})"\n}\n\Z')
_TOML_END = re.compile(r"# sha256 of the lines above: ([0-9a-f]{64})\n\Z")
_HEADER_END = re.compile(r', "sha256": "([0-9a-f]{64})"}\Z')
_LINE_END = re.compile(r', "crc32": "([0-9a-f]{8})"}\Z')


@contextlib.contextmanager
def trusted() -> Iterator[None]:
    """Within this context, files without a checksum or with a wrong one are read anyway."""
    token = _trusting.set(True)
    try:
        yield
    finally:
        _trusting.reset(token)


def header(arrays: Mapping[str, Shaped[Array, "..."]], about: Mapping[str, Any]) -> str:
    """The metadata of arrays as JSON, with a checksum of arrays and metadata as the last entry.

    It is a single entry of the safetensors header: several entries are written in arbitrary order, so that equal runs
    would produce different files.
    """
    said = json.dumps(about)
    return f'{said[:-1]}, "sha256": "{_of_arrays(arrays, said)}"}}'


def read_header(path: Path, arrays: Mapping[str, Shaped[Array, "..."]], text: str, trust: bool = False) -> Any:
    """The metadata passed to `header`, as a JSON value.

    Raises:
        RunError: the arrays or the metadata are damaged.
        ValueError: it is not JSON.
    """
    found = _HEADER_END.search(text)
    said = text[: found.start()] + "}" if found else text
    check(path, found and found[1], found and _of_arrays(arrays, said), trust)
    return json.loads(said)


def _of_arrays(arrays: Mapping[str, Shaped[Array, "..."]], about: str) -> str:
    """SHA-256 of arrays with their names, dtypes and shapes, and of their metadata."""
    digest = hashlib.sha256(about.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def json_text(value: Mapping[str, Any]) -> str:
    """An object as JSON, with its checksum as the last entry."""
    text = json.dumps(value, indent=2).removesuffix("\n}")
    return f'{text},\n  "sha256": "{_sha256(text)}"\n}}\n'


def read_json(path: Path, trust: bool = False) -> dict[str, Any]:
    """The object in a file written by `json_text`, without its checksum.

    Raises:
        RunError: the file is damaged.
    """
    text = _text(path)
    found = _JSON_END.search(text)
    check(path, found and found[1], found and _sha256(text[: found.start()]), trust)
    try:
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError("it contains no object")
    except (ValueError, RecursionError) as error:
        raise RunError(f"cannot read {path}: {error}. {DAMAGED}") from None
    value.pop("sha256", None)
    return value


def toml_text(text: str) -> str:
    """TOML with a checksum in a comment at the end."""
    return f"{text}# sha256 of the lines above: {_sha256(text)}\n"


def check_toml(path: Path, trust: bool = False) -> None:
    """Raises RunError if a file written by `toml_text` is damaged or was modified."""
    text = _text(path)
    found = _TOML_END.search(text)
    check(path, found and found[1], found and _sha256(text[: found.start()]), trust)


def line(record: Mapping[str, Any]) -> str:
    """A record as a line of JSON, with its checksum as the last entry."""
    text = json.dumps(record).removesuffix("}")
    return f'{text}, "crc32": "{zlib.crc32(text.encode()):08x}"}}\n'


def read_line(path: Path, number: int, text: str, trust: bool = False) -> dict[str, Any]:
    """The record in a line written by `line`.

    Raises:
        RunError: the line is damaged.
        ValueError: it is not an object in JSON.
    """
    record = json.loads(text)
    if not isinstance(record, dict):
        raise ValueError("it is not an object")
    text = text.rstrip("\n")
    found = _LINE_END.search(text)
    sum_of_text = f"{zlib.crc32(text[: found.start()].encode()):08x}" if found else None
    check(f"{path}, line {number},", found and found[1], sum_of_text, trust)
    record.pop("crc32", None)
    return record


DAMAGED = "The file is damaged: restore a copy, or train again"


def check(path: Path | str, written: str | None, found: str | None, trust: bool = False) -> None:
    """Raises RunError if the checksum of a file is missing or wrong, unless the file is trusted."""
    if trust or _trusting.get():
        return
    if written is None:
        raise RunError(
            f"{path} has no checksum: an older handgrad or another program wrote it, or it is damaged. If you know "
            "where it is from, --trust reads it anyway (from Python: handgrad.load_run(run, trust=True))"
        )
    if written != found:
        raise RunError(
            f"{path} is damaged or was changed: its content does not have the checksum that it was written with. "
            "Restore a copy, or train again; if you changed it on purpose, --trust reads it anyway (from Python: "
            "handgrad.load_run(run, trust=True))"
        )


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise RunError(f"cannot read {path}: it is not UTF-8 text. {DAMAGED}") from None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
