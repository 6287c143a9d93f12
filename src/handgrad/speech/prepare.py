"""Preparing labelled frames from recordings with transcripts, in the file format of the competition."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np

from handgrad.data.lock import exclusive
from handgrad.errors import ConfigError, DataError
from handgrad.speech.audio import require_speech
from handgrad.speech.corpus import LeftOut, Utterance, read_corpus
from handgrad.speech.features import FEATURES, FRAMES_PER_SECOND
from handgrad.speech.journal import VERSION, Entry, Journal, opened
from handgrad.speech.lexicon import read_lexicon
from handgrad.speech.phones import STATES
from handgrad.speech.splits import SPLITS, by_speaker, by_utterance
from handgrad.speech.workers import align_all

Normalization = Literal["none", "utterance", "speaker"]

SETTINGS = "prepared.json"
REPORT = "report.txt"
_WORK = ".preparing"

#: An alignment is improbable if its score is this number of standard deviations, estimated from the quartiles, below
#: the median of the speaker, or of all speakers if the speaker has few utterances. With few utterances in total, a
#: fixed threshold is used.
_DEVIATIONS = 3.0
_ENOUGH_UTTERANCES = 20
_LOWEST_SCORE = -100.0
#: Minimum standard deviation of the scores of correct transcripts.
_MIN_DEVIATION = 5.0


@dataclass(frozen=True)
class PrepareConfig:
    """The settings of a preparation.

    Arguments:
        split: whether the splits share speakers (`utterance`), or not (`speaker`).
        dev, test: their fractions of the utterances or of the speakers.
        dev_speakers, test_speakers: their speakers, with split=speaker.
        seed: seed of the split.
        normalize: scale each feature to mean 0 and variance 1 over an `utterance` or a `speaker`, or `none`.
        layout: `objects`, the competition's pickled object arrays; or `flat`, one array and its offsets per split,
            which does not use pickle and is memory-mapped.
        unknown: for unknown words, use spelling rules (`spell`) or skip their utterance (`left-out`).
        processes: number of aligner processes; by default the number of cores.
    """

    split: Literal["utterance", "speaker"] = "utterance"
    dev: float = 0.1
    test: float = 0.1
    dev_speakers: tuple[str, ...] = ()
    test_speakers: tuple[str, ...] = ()
    seed: int = 0
    normalize: Normalization = "none"
    layout: Literal["objects", "flat"] = "objects"
    unknown: Literal["spell", "left-out"] = "spell"
    processes: int | None = None

    def __post_init__(self) -> None:
        for name in ("split", "normalize", "layout", "unknown"):
            choices = _CHOICES[name]
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name}={getattr(self, name)}: expected one of {', '.join(choices)}")
        for name in ("dev", "test"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: expected a share between 0 and 1, as 0.1")
        if self.dev + self.test >= 1:
            raise ConfigError(
                f"dev={self.dev} and test={self.test} leave nothing to train on: expected less than 1 in all"
            )
        if self.processes is not None and self.processes < 1:
            raise ConfigError(f"processes={self.processes}: expected 1 or more")
        if (self.dev_speakers or self.test_speakers) and self.split != "speaker":
            raise ConfigError("dev_speakers and test_speakers require split=speaker: set it, or leave them out")


_CHOICES = {
    "split": ("utterance", "speaker"),
    "normalize": ("none", "utterance", "speaker"),
    "layout": ("objects", "flat"),
    "unknown": ("spell", "left-out"),
}


@dataclass
class Prepared:
    """The result of a preparation.

    Arguments:
        folder: the folder with the files.
        utterances: number of utterances per split.
        frames: number of frames per split.
        speakers: number of speakers per split.
        left_out: skipped utterances with reasons.
        notes: remarks about used utterances: (utterance, note).
        resumed: number of utterances with existing alignments.
    """

    folder: Path
    utterances: dict[str, int] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    speakers: dict[str, int] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    resumed: int = 0

    def as_dict(self) -> dict[str, object]:
        """The same as JSON values."""
        return {**vars(self), "folder": str(self.folder), "left_out": [vars(item) for item in self.left_out]}


class Progress:
    """Events of a preparation; every method is optional."""

    def started(self, utterances: int, resumed: int) -> None:
        """The number of utterances to align, and the number of those that are already aligned."""

    def advanced(self) -> None:
        """One more utterance is done."""

    def left_out(self, item: LeftOut) -> None:
        """An utterance is skipped."""

    def noticed(self, name: str, note: str) -> None:
        """A remark about a used utterance."""


def prepare(
    folders: Sequence[Path],
    out: Path,
    config: PrepareConfig | None = None,
    *,
    lexicon: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Prepares labelled frames from recordings with transcripts, in the five files of the competition and a few more.

    All usable recordings are aligned in separate processes; the others are skipped, with reasons in `report.txt`. If it
    is interrupted, the same call resumes the preparation. The files in `out`:

    - `train.npy`, `dev.npy`, `test.npy`: utterances (T, 40) float32, T frames at 100 per second (`features.log_mel`).
    - `train_labels.npy`, `dev_labels.npy`, `test_labels.npy`: their states (T,) int64, 3 * phone + position.
    - `train_offsets.npy`, …: with layout=flat, the start of each utterance and the number of frames, (U + 1,) int64.
    - `states.txt`: the name of each label. `speakers.txt`: split, utterance and speaker, in the order of the arrays.
    - `report.txt`: skipped utterances with reasons. `prepared.json`: settings and versions.

    Arguments:
        folders: Kaldi data directories, or audio folders with transcripts (`corpus.read_corpus`).
        out: folder for the files.
        config: the settings.
        lexicon: file with pronunciations (`lexicon.read_lexicon`).
        overwrite: whether files of an earlier preparation may be replaced.
        progress: receives events.

    Raises:
        ConfigError: missing library or invalid setting.
        DataError: a folder has no utterances, none can be used, there are too few for the splits, or `out` already
            contains files.
    """
    config = config or PrepareConfig()
    progress = progress or Progress()
    require_speech()
    if not overwrite and (there := [name for name in _names("objects") if (out / name).exists()]):
        raise DataError(f"{out} already has {there[0]}: choose another --out, or replace it with --overwrite")
    pronunciations = read_lexicon(lexicon) if lexicon is not None else {}
    utterances, left_out = read_corpus(folders)
    if config.split == "speaker" and utterances:
        _split(utterances, config)  # report too few or unknown speakers before starting
    prepared = Prepared(out)

    def leave_out(item: LeftOut) -> None:
        prepared.left_out.append(item)
        progress.left_out(item)

    for item in left_out:
        leave_out(item)
    work = out / _WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
        with exclusive(work / "lock", wait=False):
            settings = {
                "unknown": config.unknown,
                "lexicon": pronunciations,
                "pocketsphinx": version("pocketsphinx"),
                "soxr": version("soxr"),
            }
            with opened(work, settings) as journal:
                todo = [utterance for utterance in utterances if not journal.has(utterance)]
                prepared.resumed = len(utterances) - len(todo)
                progress.started(len(utterances), prepared.resumed)
                failed = set()
                processes = max(1, min(config.processes or _cores(), len(todo)))
                for aligned in align_all(todo, processes, pronunciations, spell=config.unknown == "spell"):
                    if aligned.error:
                        failed.add(aligned.utterance.name)
                        leave_out(LeftOut(aligned.utterance.name, f"{aligned.utterance.path}: {aligned.error}"))
                    else:
                        journal.add(aligned)
                    progress.advanced()
                usable = [utterance for utterance in utterances if utterance.name not in failed]
                used = _probable(usable, journal.entries, leave_out)
                for utterance in used:
                    for note in journal.entries[utterance.name].notes:
                        prepared.notes.append((utterance.name, note))
                        progress.noticed(utterance.name, note)
                _write(used, journal, config, prepared)
        shutil.rmtree(work)
    except BlockingIOError:
        raise DataError(f"{out} is being prepared by another process: wait for it, or choose another --out") from None
    except OSError as error:
        raise DataError(
            f"cannot write to {out}: {error.strerror or error}. Free some space or choose another --out"
        ) from None
    return prepared


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _probable(
    utterances: list[Utterance], entries: Mapping[str, Entry], leave_out: Callable[[LeftOut], None]
) -> list[Utterance]:
    """The utterances with a matching transcript, judged by the alignment score relative to those of the same
    speaker."""
    spoken = Counter(utterance.speaker for utterance in utterances)
    by_speaker: dict[str, list[float]] = {}
    for utterance in utterances:
        by_speaker.setdefault(utterance.speaker, []).append(entries[utterance.name].score)
    everyone = _lowest([entries[utterance.name].score for utterance in utterances])
    lowest = {
        speaker: _lowest(scores) if spoken[speaker] >= _ENOUGH_UTTERANCES else everyone
        for speaker, scores in by_speaker.items()
    }
    used = []
    for utterance in utterances:
        score, least = entries[utterance.name].score, lowest[utterance.speaker]
        if score < least:
            reason = (
                f"{utterance.path}: improbable alignment, score={score:.0f} where {least:.0f} or more is usual for the "
                "speaker: is this the transcript of another recording?"
            )
            leave_out(LeftOut(utterance.name, reason))
        else:
            used.append(utterance)
    return used


def _lowest(scores: Sequence[float]) -> float:
    if len(scores) < _ENOUGH_UTTERANCES:
        return _LOWEST_SCORE
    low, median, high = np.percentile(scores, (25, 50, 75))
    return float(median - _DEVIATIONS * max((high - low) / 1.349, _MIN_DEVIATION))


def _names(layout: str) -> list[str]:
    kinds = ("", "_labels", "_offsets") if layout == "flat" else ("", "_labels")
    return [f"{split}{kind}.npy" for split in SPLITS for kind in kinds]


def _write(used: list[Utterance], journal: Journal, config: PrepareConfig, prepared: Prepared) -> None:
    """Writes all files to a temporary folder, then moves them."""
    if not used:
        raise DataError(_nothing_left(prepared.left_out))
    splits = _split(used, config)
    finished = journal.folder / "finished"
    shutil.rmtree(finished, ignore_errors=True)
    finished.mkdir()
    statistics = _speaker_statistics(used, journal) if config.normalize == "speaker" else {}
    lines = []
    for split in SPLITS:
        chosen = [utterance for utterance, its in zip(used, splits, strict=True) if its == split]
        entries = [journal.entries[utterance.name] for utterance in chosen]
        prepared.utterances[split] = len(chosen)
        prepared.frames[split] = sum(entry.frames for entry in entries)
        prepared.speakers[split] = len({utterance.speaker for utterance in chosen})
        lines += [f"{split} {utterance.name} {'_'.join(utterance.speaker.split())}\n" for utterance in chosen]
        features = (
            normalized(journal.features(entry), config.normalize, statistics.get(utterance.speaker))
            for utterance, entry in zip(chosen, entries, strict=True)
        )
        labels = (journal.labels(entry) for entry in entries)
        save = _save_flat if config.layout == "flat" else _save_objects
        lengths = [entry.frames for entry in entries]
        save(finished / f"{split}.npy", lengths, features, (FEATURES,), np.dtype(np.float32))
        save(finished / f"{split}_labels.npy", lengths, labels, (), np.dtype(np.int64))
        if config.layout == "flat":
            np.save(finished / f"{split}_offsets.npy", np.cumsum([0, *lengths], dtype=np.int64))
    (finished / "states.txt").write_text("".join(f"{state}\n" for state in STATES), encoding="utf-8")
    (finished / "speakers.txt").write_text("".join(lines), encoding="utf-8")
    (finished / REPORT).write_text(_report(prepared), encoding="utf-8")
    about = {
        "format": VERSION,
        "settings": {**dataclasses.asdict(config), "processes": None},
        "versions": {name: version(name) for name in ("pocketsphinx", "soundfile", "soxr", "numpy")},
    }
    (finished / SETTINGS).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    for name in set(_names("flat")) - set(_names(config.layout)):
        (prepared.folder / name).unlink(missing_ok=True)  # of an earlier preparation in the other layout
    for path in sorted(finished.iterdir()):
        path.replace(prepared.folder / path.name)


def _split(utterances: list[Utterance], config: PrepareConfig) -> list[str]:
    speakers = [utterance.speaker for utterance in utterances]
    if config.split == "utterance":
        return by_utterance(speakers, config.dev, config.test, config.seed)
    return by_speaker(
        speakers,
        config.dev,
        config.test,
        config.seed,
        dev_speakers=config.dev_speakers,
        test_speakers=config.test_speakers,
    )


def _nothing_left(left_out: list[LeftOut]) -> str:
    first = left_out[0]
    return f"none of the {len(left_out)} utterances can be used. The first, {first.name}: {first.reason}"


def _save_objects(path: Path, lengths: list[int], arrays, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """An object array with one array per utterance, as in the competition, which NumPy stores as a pickle."""
    objects = np.empty(len(lengths), object)
    for i, array in enumerate(arrays):
        objects[i] = np.ascontiguousarray(array, dtype)
    np.save(path, objects, allow_pickle=True)


def _save_flat(path: Path, lengths: list[int], arrays, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """One array of all frames, written utterance by utterance."""
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (sum(lengths), *shape)}
        np.lib.format.write_array_header_1_0(file, header)
        for array in arrays:
            file.write(np.ascontiguousarray(array, dtype).tobytes())


def _speaker_statistics(used: list[Utterance], journal: Journal) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and standard deviation of each feature (40,) over all frames of each speaker."""
    sums: dict[str, list] = {}
    for utterance in used:
        x = journal.features(journal.entries[utterance.name]).astype(np.float64)
        total = sums.setdefault(utterance.speaker, [0, 0.0, 0.0])
        total[0] += len(x)
        total[1] = total[1] + x.sum(axis=0)
        total[2] = total[2] + (x**2).sum(axis=0)
    return {
        speaker: (first / count, np.sqrt(np.maximum(second / count - (first / count) ** 2, 0)))
        for speaker, (count, first, second) in sums.items()
    }


def normalized(
    x: np.ndarray, kind: Normalization, of_speaker: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """Frames (T, 40) with mean 0 and variance 1 per feature, over the utterance or with the statistics of a speaker.

    Constant features become 0.
    """
    if kind == "none":
        return x
    mean, deviation = (
        of_speaker if of_speaker is not None else (x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64))
    )
    return ((x - mean) / np.where(deviation < 1e-3, 1.0, deviation)).astype(np.float32)


def _report(prepared: Prepared) -> str:
    lines = []
    for split in SPLITS:
        minutes = prepared.frames[split] / FRAMES_PER_SECOND / 60
        lines.append(
            f"{split}: {prepared.utterances[split]:,} utterances of {prepared.speakers[split]} speakers, "
            f"{prepared.frames[split]:,} frames ({minutes:.1f} minutes)"
        )
    lines += ["", f"Left out: {len(prepared.left_out)} utterances"]
    lines += [f"{item.name}: {item.reason}" for item in sorted(prepared.left_out, key=lambda item: item.name)]
    lines += ["", f"Used, with a note: {len({name for name, _ in prepared.notes})} utterances"]
    lines += [f"{name}: {note}" for name, note in prepared.notes]
    return "\n".join(lines) + "\n"
