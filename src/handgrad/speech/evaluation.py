"""Metrics of a frame classifier: with and without silence, by state and by phone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from handgrad._typing import Array, Float, Integer
from handgrad.data import FrameDataset
from handgrad.engines import MAX_CONFUSION_CLASSES
from handgrad.errors import ConfigError
from handgrad.speech.prediction import check_on_frames
from handgrad.training import Run
from handgrad.training.run import load_dataset

STATES_PER_PHONE = 3
_STATE = re.compile(r"(?P<phone>.+?)[_\-. ]?[0-2]")
_SILENCE = ("SIL", "<SIL>", "SILENCE")


@dataclass(frozen=True, eq=False)
class FrameFigures:
    """The results of a network on the frames of a split.

    Arguments:
        confusion: number of frames of each state (row) classified as each state (column) (K, K), int64.
        classes: the names of the states; "SIL_0" is the first state of the phone SIL. Numbers mean that names are
            unknown: then every three consecutive states are a phone, and silence is unknown.
    """

    confusion: Integer[Array, "K K"]
    classes: tuple[str, ...]

    @property
    def frames(self) -> int:
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """The fraction of frames whose state is correct."""
        return _share(self.confusion.trace(), self.confusion.sum())

    @property
    def accuracy_without_silence(self) -> float | None:
        """The same for the frames that are not silence; None if silence is unknown."""
        phones, phone_of = self._phones
        silence = [phone.upper().strip("+") in _SILENCE for phone in phones]
        if not any(silence):
            return None
        spoken = self.confusion[~np.array(silence)[phone_of]]
        return _share(spoken[:, ~np.array(silence)[phone_of]].trace(), spoken.sum())

    @property
    def phone_accuracy(self) -> float | None:
        """The fraction of frames whose phone is correct, in any of its states; None if phones are unknown."""
        return _share(self.phone_confusion.trace(), self.phone_confusion.sum()) if self.phones else None

    @property
    def phones(self) -> tuple[str, ...]:
        """The names of the phones; empty if phones are unknown."""
        return self._phones[0]

    @cached_property
    def phone_confusion(self) -> Integer[Array, "P P"]:
        """Number of frames of each phone (row) classified as each phone (column), int64."""
        phones, phone_of = self._phones
        joined = np.zeros((len(phones), len(phones)), np.int64)
        np.add.at(joined, (phone_of[:, None], phone_of), self.confusion)
        return joined

    @cached_property
    def _phones(self) -> tuple[tuple[str, ...], Integer[Array, "K"]]:
        """The phones, and the phone of each state."""
        if all(name.isdecimal() for name in self.classes):
            count, rest = divmod(len(self.classes), STATES_PER_PHONE)
            if rest:
                return (), np.zeros(0, np.int64)
            return tuple(map(str, range(count))), np.arange(len(self.classes)) // STATES_PER_PHONE
        names = [found["phone"] if (found := _STATE.fullmatch(name)) else name for name in self.classes]
        phones = tuple(dict.fromkeys(names))
        return phones, np.array([phones.index(name) for name in names])

    def mistakes(self, count: int) -> list[tuple[str, str, int, float]]:
        """The `count` most frequent confusions of phones: the phone, the predicted phone, the number of frames, and
        their fraction of the phone's frames."""
        wrong = self.phone_confusion * (1 - np.eye(len(self.phones), dtype=np.int64))
        pairs = np.argsort(-wrong, axis=None, kind="stable")[:count]
        phones = zip(*np.unravel_index(pairs, wrong.shape), strict=True)
        return [
            (self.phones[a], self.phones[b], int(wrong[a, b]), _share(wrong[a, b], self.phone_confusion[a].sum()))
            for a, b in phones
            if wrong[a, b]
        ]

    def as_dict(self) -> dict[str, Any]:
        """The metrics as JSON values."""
        return {
            "frames": self.frames,
            "accuracy": self.accuracy,
            "accuracy_without_silence": self.accuracy_without_silence,
            "phone_accuracy": self.phone_accuracy,
            "phones": list(self.phones),
            "phone_confusion": self.phone_confusion.tolist(),
        }


def evaluate_frames(
    run: Run,
    weights: str = "last",
    *,
    data_dir: str | None = None,
    engine: str | None = None,
    device: str | None = None,
) -> dict[str, FrameFigures | None]:
    """Evaluates a run on every split of its data; None for splits without labels.

    Frames are processed in batches, and only a matrix of K x K numbers is kept.

    Arguments:
        weights: of the `last` step or of the `best` evaluation.
        data_dir: folder of the data, if it has moved.
        engine, device: by default, those used for training.

    Raises: ConfigError if the run was not trained on frames, or has too many states for a confusion matrix.
    """
    check_on_frames(run)
    dataset = load_dataset(run.config, data_dir=data_dir)
    assert isinstance(dataset, FrameDataset)
    chosen = run.engine(weights, engine=engine, device=device)
    chosen.load(dataset)
    figures: dict[str, FrameFigures | None] = dict.fromkeys(dataset.unlabelled)
    for split in dataset.splits:
        confusion = chosen.evaluate(dataset.indices(split)).confusion
        if confusion is None:
            raise ConfigError(
                f"{run.path} has {len(dataset.classes)} states: expected at most {MAX_CONFUSION_CLASSES} for a "
                "confusion matrix; handgrad evaluate gives its accuracy"
            )
        figures[split] = FrameFigures(confusion, dataset.classes)
    return figures


def _share(part: Float[Array, ""] | int, whole: Float[Array, ""] | int) -> float:
    return float(part) / max(float(whole), 1.0)
