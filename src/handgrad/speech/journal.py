"""The journal of completed alignments on disk, from which an interrupted preparation resumes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from handgrad._typing import Array, Float, Integer
from handgrad.errors import DataError
from handgrad.speech.corpus import Utterance
from handgrad.speech.features import FEATURES
from handgrad.speech.workers import Aligned

#: Version of the journal format and the computation; a journal with another version is discarded.
VERSION = 1

_BYTES_PER_FRAME = FEATURES * 4


@dataclass(frozen=True)
class Entry:
    """An aligned utterance: the position of its frames, and remarks."""

    name: str
    key: list[Any]
    first: int
    frames: int
    score: float
    notes: tuple[str, ...]


class Journal:
    """Three append-only files: one line of JSON per utterance, and all concatenated frames and labels.

    The line is written last. After a kill, everything after the last complete line is truncated. Use `opened`.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.entries: dict[str, Entry] = {}
        self.frames = 0
        folder.mkdir(parents=True, exist_ok=True)
        header = {"version": VERSION, **settings}
        kept = self._read(header)
        self._lines = self._at("journal.jsonl", kept)
        self._features = self._at("frames.f4", self.frames * _BYTES_PER_FRAME)
        self._labels = self._at("labels.u1", self.frames)
        if not kept:
            self._lines.write(json.dumps(header).encode() + b"\n")
            self._lines.flush()

    def _read(self, header: dict[str, Any]) -> int:
        """Reads the complete lines and returns their size in bytes."""
        path = self.folder / "journal.jsonl"
        if not path.is_file():
            return 0
        sizes = (("frames.f4", _BYTES_PER_FRAME), ("labels.u1", 1))
        there = min(
            ((self.folder / name).stat().st_size // n if (self.folder / name).is_file() else 0) for name, n in sizes
        )
        kept = 0
        with path.open("rb") as file:
            for i, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break
                try:
                    value = json.loads(line)
                    if i == 0:
                        if value != header:
                            return 0
                    else:
                        entry = Entry(**{**value, "notes": tuple(value["notes"])})
                        if entry.first != self.frames or entry.first + entry.frames > there:
                            break
                        self.entries[entry.name] = entry
                        self.frames += entry.frames
                except (ValueError, TypeError, KeyError):
                    break
                kept += len(line)
        return kept

    def _at(self, name: str, size: int) -> BinaryIO:
        file = (self.folder / name).open("ab")
        file.truncate(size)
        return file

    def has(self, utterance: Utterance) -> bool:
        """Whether the journal contains this utterance in its current version."""
        entry = self.entries.get(utterance.name)
        return entry is not None and entry.key == _key(utterance)

    def add(self, aligned: Aligned) -> None:
        """Adds an aligned utterance."""
        assert aligned.features is not None
        assert aligned.labels is not None
        entry = Entry(
            aligned.utterance.name,
            _key(aligned.utterance),
            self.frames,
            len(aligned.labels),
            aligned.score,
            aligned.notes,
        )
        try:
            self._features.write(aligned.features.tobytes())
            self._labels.write(aligned.labels.tobytes())
            self._features.flush()
            self._labels.flush()
            self._lines.write(json.dumps(vars(entry)).encode() + b"\n")
            self._lines.flush()
        except OSError as error:
            raise DataError(
                f"cannot write to {self.folder}: {error.strerror}. Free some space and run the same command again: it "
                "resumes"
            ) from None
        self.frames += entry.frames
        self.entries[entry.name] = entry

    def features(self, entry: Entry) -> Float[Array, "T F"]:
        """The frames of an utterance (T, 40) float32, read from disk."""
        return self._part("frames.f4", np.dtype("<f4"), entry, FEATURES).reshape(entry.frames, FEATURES)

    def labels(self, entry: Entry) -> Integer[Array, "T"]:
        """The labels of an utterance (T,) int64."""
        return self._part("labels.u1", np.dtype(np.uint8), entry, 1).astype(np.int64)

    def _part(self, name: str, dtype: np.dtype, entry: Entry, width: int) -> np.ndarray:
        offset = entry.first * width * dtype.itemsize
        return np.fromfile(self.folder / name, dtype, entry.frames * width, offset=offset)

    def close(self) -> None:
        for file in (self._lines, self._features, self._labels):
            file.close()


@contextmanager
def opened(folder: Path, settings: Mapping[str, Any]) -> Iterator[Journal]:
    """A context with the journal of a folder; a journal with different settings is discarded."""
    journal = Journal(folder, settings)
    try:
        yield journal
    finally:
        journal.close()


def _key(utterance: Utterance) -> list[Any]:
    """The key of everything that the result of an utterance depends on; if it changes, the utterance is aligned
    again."""
    try:
        status = utterance.path.stat()
        file = [status.st_size, status.st_mtime_ns]
    except OSError:
        file = [0, 0]
    return [str(utterance.path), *file, utterance.start, utterance.end, utterance.text]
