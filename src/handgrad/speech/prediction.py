"""From a run and a file of utterances to a class for every frame: the competition's submission."""

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

#: Frames whose windows are gathered together.
BATCH = 1024


def guesses(engine: Engine, dataset: FrameDataset) -> Iterator[tuple[range, Integer[Array, "b"]]]:
    """The most likely class of every frame, in batches: which frames, and their classes (b,), int64."""
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
    """Writes the class of every frame of a file, in order: a line `id,label` per frame under a header, ids from 0.

    The frames of all utterances are numbered on, as the competition does. The file appears when it is whole.

    Arguments:
        utterances: a .npy file, an object array of utterances (T, F), or the flat form with its offsets beside it.
        out: the CSV file.
        weights: of the `last` step or of the `best` evaluation.
        engine, device: what computes; by default what trained the run.
        progress: called now and then with the number of frames done, and of all frames.

    Returns: the number of frames.
    Raises:
        ConfigError: the run is not one on frames.
        DataError: the file is not what it should be.
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
    """A file of utterances, cut and preprocessed as a run's training data were.

    Raises: ConfigError where the run is not one on frames; DataError where the file is not what it should be.
    """
    check_on_frames(run)
    return load_utterances(utterances, run.input_shape[-1], run.preprocessing, run.config.context)


def check_on_frames(run: Run) -> None:
    """Raises ConfigError where a run was not trained on frames of speech."""
    if not run.config.on_frames:
        raise ConfigError(f"{run.path} was trained on dataset={run.config.dataset}: expected a run with dataset=speech")
