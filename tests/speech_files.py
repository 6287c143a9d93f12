"""Files of utterances as in the speech competition, drawn at random, with states that can be learnt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

CLASSES = 138


def objects(arrays: Sequence) -> np.ndarray:
    """An object array of arrays of any lengths."""
    result = np.empty(len(arrays), object)
    result[:] = list(arrays)
    return result


def utterance(
    rng: np.random.Generator, centres: np.ndarray, frames: int, noise: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Frames (T, F) about the centres (K, F) of their states, and the states (T,): phones of three states in turn."""
    phones = rng.integers(0, len(centres) // 3, frames // 3 + 1)
    states = (3 * np.repeat(phones, 3) + np.tile(np.arange(3), len(phones)))[:frames]
    x = centres[states] + noise * rng.standard_normal((frames, centres.shape[1]), np.float32)
    return x.astype(np.float32), states


def write_split(folder: Path, stem: str, xs: Sequence, ys: Sequence | None, layout: str = "objects") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    join = objects if layout == "objects" else np.concatenate
    np.save(folder / f"{stem}.npy", join(xs))
    if layout == "flat":
        np.save(folder / f"{stem}_offsets.npy", np.cumsum([0, *map(len, xs)]))
    if ys is not None:
        np.save(folder / f"{stem}_labels.npy", join(ys))


def write_set(
    folder: Path,
    counts: tuple[int, int, int] = (12, 4, 3),
    *,
    classes: int = CLASSES,
    features: int = 40,
    frames: tuple[int, int] = (20, 60),
    layout: str = "objects",
    test_labels: bool = False,
) -> dict[str, tuple[list, list]]:
    """The competition's five files, and `test_labels.npy` on request. Every state occurs.

    Returns: for "train", "dev" and "test" the utterances and their labels.
    """
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((classes, features), np.float32)
    written = {}
    for stem, count in zip(("train", "dev", "test"), counts, strict=True):
        pairs = [utterance(rng, centres, int(rng.integers(*frames))) for _ in range(count)]
        if stem == "train":
            pairs.append((centres + 10, np.arange(classes)))
        xs, ys = (list(part) for part in zip(*pairs, strict=True))
        write_split(folder, stem, xs, ys if stem != "test" or test_labels else None, layout)
        written[stem] = (xs, ys)
    return written
