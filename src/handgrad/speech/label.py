"""Labelling recordings with a trained network: phones and their start times."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handgrad._typing import Array, Float, Integer
from handgrad.data import FrameDataset, describe
from handgrad.data.frames import Frames
from handgrad.errors import DataError
from handgrad.speech.audio import read_audio, require_speech
from handgrad.speech.features import FEATURES, FRAMES_PER_SECOND, RATE, STEP, WINDOW, log_mel
from handgrad.speech.phones import STATES_PER_PHONE, segments
from handgrad.speech.prediction import BATCH, check_on_frames
from handgrad.speech.prepare import SETTINGS, Normalization, normalized
from handgrad.training import Run

#: Start of the time interval of frame 0: the centre of its window minus half a step.
FIRST_SECOND = (WINDOW - STEP) / 2 / RATE

#: Cost of entering a phone, in nats: about log 42, as if all phones were equally likely.
ENTRY_COST = 4.0


@dataclass(frozen=True, eq=False)
class Labelled:
    """A recording with its predicted phones.

    Arguments:
        seconds: its length.
        features: log-mel energies (T, 40).
        states: the most likely state of each frame independently (T,), int64.
        phones: start and end in seconds, and name, of the most likely path through all frames.
        notes: remarks about the recording.
    """

    seconds: float
    features: Float[Array, "T F"]
    states: Integer[Array, "T"]
    phones: list[tuple[float, float, str]]
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The phones as JSON values."""
        phones = [{"start": start, "end": end, "phone": name} for start, end, name in self.phones]
        return {"seconds": self.seconds, "phones": phones}


def label(
    run: Run,
    audio: Path,
    weights: str = "best",
    *,
    normalize: Normalization | None = None,
    engine: str | None = None,
    device: str | None = None,
) -> Labelled:
    """Predicts the phones of a recording with a network trained on frames.

    `best_path` converts its scores to phones.

    Arguments:
        run: a finished run with dataset=speech on data of `prepare`, or with the same features.
        audio: a file in any format and rate that soundfile supports.
        weights: of the `last` step or of the `best` evaluation.
        normalize: normalisation of the training data; by default from their `prepared.json`. The file is one speaker.
        engine, device: by default, those used for training.

    Raises:
        ConfigError: the run was not trained on frames, or a library is missing.
        DataError: the recording is unusable, or the run has different features.
    """
    check_on_frames(run)
    require_speech()
    if run.input_shape[-1] != FEATURES:
        raise DataError(
            f"{run.path} was trained on frames of {run.input_shape[-1]} features, recordings give {FEATURES}: "
            "label with a run on data of handgrad speech prepare"
        )
    try:
        samples, notes = read_audio(audio)
    except DataError as error:
        raise DataError(f"{audio}: {error}") from None
    features = log_mel(samples)
    if normalize is None:
        normalize, note = _normalization(run)
        notes += [note] if note else []
    inputs = Frames([normalized(features, "utterance" if normalize == "speaker" else normalize)])
    windows = FrameDataset(
        audio.name,
        inputs,
        np.empty(0, np.int64),
        {"test": range(len(inputs))},
        (),
        1.0,
        run.preprocessing,
        offsets=np.array([0, len(inputs)]),
        context=run.config.context,
        unlabelled=("test",),
    )
    chosen = run.engine(weights, engine=engine, device=device)
    parts = [
        chosen.predict(windows.gather(np.arange(start, min(start + BATCH, len(inputs)))))
        for start in range(0, len(inputs), BATCH)
    ]
    scores = np.concatenate(parts).astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
    seconds = len(samples) / RATE
    names = _state_names(run.classes)
    found = segments(names, best_path(scores, names))
    ends = [FIRST_SECOND + end / FRAMES_PER_SECOND for _, _, end in found[:-1]]
    times = [0.0, *ends, seconds]
    phones = [(times[i], times[i + 1], phone) for i, (phone, _, _) in enumerate(found)]
    return Labelled(seconds, features, scores.argmax(axis=1), phones, notes)


def best_path(scores: Float[Array, "T K"], names: Sequence[str], entry_cost: float = ENTRY_COST) -> Integer[Array, "T"]:
    """The most likely sequence of states in which every phone passes through its states in order.

    The most likely state of each frame independently can change from frame to frame. Here, state p of a phone is
    followed by itself or by state p + 1; the last state by itself or by state 0 of any phone, with `entry_cost`. The
    sequence may begin and end in any state. It is computed with the Viterbi algorithm:

        best[t, s] = scores[t, s] + max_r (best[t - 1, r] - cost[r, s])

    Arguments:
        scores: log-probability of each state at each frame (T, K).
        names: names of the states; those of a phone are consecutive, as in `phones.STATES`.
        entry_cost: cost of entering a phone, in nats; higher values give fewer and longer phones.

    Returns: a state per frame (T,), int64.
    """
    phone_of = [name.rpartition("_")[0] for name in names]
    states = np.arange(len(names))
    is_first = np.array([s == 0 or phone_of[s] != phone_of[s - 1] for s in states])
    is_last = np.roll(is_first, -1)
    lasts = states[is_last]
    came_from = np.zeros((len(scores), len(names)), np.int64)
    best = scores[0].copy()
    for t in range(1, len(scores)):
        entered = lasts[best[lasts].argmax()]
        before = np.where(is_first, best[entered] - entry_cost, np.roll(best, 1))
        stays = best >= before
        came_from[t] = np.where(stays, states, np.where(is_first, entered, states - 1))
        best = np.where(stays, best, before) + scores[t]
    path = np.empty(len(scores), np.int64)
    path[-1] = best.argmax()
    for t in range(len(scores) - 1, 0, -1):
        path[t - 1] = came_from[t, path[t]]
    return path


def _state_names(classes: Sequence[str]) -> list[str]:
    """Names with positions, such as "SIL_0"; without names, every three consecutive numbers are a phone."""
    if all(name.isdecimal() for name in classes) and len(classes) % STATES_PER_PHONE == 0:
        return [f"{i // STATES_PER_PHONE}_{i % STATES_PER_PHONE}" for i in range(len(classes))]
    if all(name[-2:] in ("_0", "_1", "_2") for name in classes):
        return list(classes)
    return [f"{name}_0" for name in classes]


def _normalization(run: Run) -> tuple[Normalization, str]:
    """The normalisation of the run's data, and a remark if it is unknown."""
    try:
        folder = next(
            listing.found for listing in describe(data_dir=run.config.data_dir) if listing.entry.name == "speech"
        )
        assert folder is not None
        kind = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))["settings"]["normalize"]
    except (OSError, ValueError, KeyError, TypeError, AssertionError):
        return (
            "none",
            f"the normalisation of the run's data is unknown ({SETTINGS} was not found): assuming --normalize none",
        )
    return kind, ""
