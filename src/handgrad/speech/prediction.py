"""Predictions for all frames of a file of utterances: the submission file of the competition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from handgrad._typing import Array, Integer
from handgrad.data import FrameDataset
from handgrad.data.speech import load_utterances
from handgrad.engines import Engine
from handgrad.errors import ConfigError
from handgrad.training import Run
from handgrad.training.run import replacing

#: Number of frames per batch.
BATCH = 1024


def guesses(engine: Engine, dataset: FrameDataset) -> Iterator[tuple[range, Integer[Array, "b"]]]:
    """The most likely class of every frame, in batches: the frames and their classes (b,), int64."""
    n = len(dataset.inputs)
    for start in range(0, n, BATCH):
        part = range(start, min(start + BATCH, n))
        windows = dataset.gather(np.arange(part.start, part.stop))
        yield part, engine.predict(windows).argmax(axis=-1)


def write_submission(
    run: Run,
    utterances: Path,
    out: Path,
    weights: str = "last",
    *,
    engine: str | None = None,
    device: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Writes the class of every frame of a file in order: a header, then one line `id,label` per frame, ids from 0.

    Frames are numbered across all utterances, as in the competition. The file is written atomically.

    Arguments:
        utterances: a .npy file with an object array of utterances (T, F), or in the flat layout with an offsets file.
        out: the CSV file.
        weights: of the `last` step or of the `best` evaluation.
        engine, device: by default, those used for training.
        progress: called regularly with the number of processed frames and of all frames.

    Returns: the number of frames.
    Raises:
        ConfigError: the run was not trained on frames.
        DataError: the file is invalid.
        RunError: `out` cannot be written.
    """
    dataset = load_for(run, utterances)
    chosen = run.engine(weights, engine=engine, device=device)
    with (
        replacing(out, advice="Free some space or choose another --out") as temporary,
        temporary.open("w", encoding="ascii", newline="\n") as file,
    ):
        file.write("id,label\n")
        for part, labels in guesses(chosen, dataset):
            file.writelines(f"{i},{label}\n" for i, label in zip(part, labels.tolist(), strict=True))
            if progress is not None:
                progress(part.stop, len(dataset.inputs))
    return len(dataset.inputs)


def load_for(run: Run, utterances: Path) -> FrameDataset:
    """A file of utterances with the context and preprocessing of a run.

    Raises: ConfigError if the run was not trained on frames; DataError if the file is invalid.
    """
    check_on_frames(run)
    return load_utterances(utterances, run.input_shape[-1], run.preprocessing, run.config.context)


def check_on_frames(run: Run) -> None:
    """Raises ConfigError if a run was not trained on speech frames."""
    if not run.config.on_frames:
        raise ConfigError(f"{run.path} was trained on dataset={run.config.dataset}: expected a run with dataset=speech")
