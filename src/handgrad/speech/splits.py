"""Splitting utterances into training, development and test sets."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from handgrad.errors import ConfigError, DataError

SPLITS = ("train", "dev", "test")


def by_utterance(speakers: Sequence[str], dev: float, test: float, seed: int) -> list[str]:
    """Assigns each utterance to a split, with every speaker in all splits in the same proportion, if possible.

    Arguments:
        speakers: speaker of each utterance.
        dev, test: the fractions of these splits.
        seed: seed of the order within each speaker.

    Raises: DataError if there are fewer than three utterances.
    """
    if len(speakers) < 3:
        raise DataError(
            f"{len(speakers)} utterances can be used: expected 3 or more, one for each of train, dev and test"
        )
    shuffled: list[int] = np.random.default_rng(seed).permutation(len(speakers)).tolist()
    order = sorted(shuffled, key=lambda i: speakers[i])  # stable: shuffled within a speaker
    splits = ["train"] * len(speakers)
    rest = _take_every(order, test, splits, "test")
    _take_every(rest, dev / (1 - test), splits, "dev")
    return splits


def _take_every(order: list[int], share: float, splits: list[str], name: str) -> list[int]:
    """Marks an evenly spaced fraction of `order`, at least one, and returns the rest."""
    count = max(1, round(share * len(order)))
    taken = {order[int((i + 0.5) * len(order) / count)] for i in range(count)}
    for i in taken:
        splits[i] = name
    return [i for i in order if i not in taken]


def by_speaker(
    speakers: Sequence[str],
    dev: float,
    test: float,
    seed: int,
    *,
    dev_speakers: Collection[str] = (),
    test_speakers: Collection[str] = (),
) -> list[str]:
    """Assigns each utterance to a split, with each speaker in only one split.

    Arguments:
        speakers: speaker of each utterance.
        dev, test: fractions of the speakers in these splits, rounded, at least one, if none are named.
        seed: seed of the selection.
        dev_speakers, test_speakers: the speakers of these splits, by name.

    Raises:
        DataError: there are fewer than three speakers.
        ConfigError: a named speaker does not exist or is named for both splits, or none is left for training.
    """
    names = sorted(set(speakers))
    if len(names) < 3:
        raise DataError(
            f"--split speaker needs 3 speakers or more, one for each of train, dev and test; there "
            f"{'is' if len(names) == 1 else 'are'} {len(names)} ({', '.join(names)}): use --split utterance"
        )
    for name in (*dev_speakers, *test_speakers):
        if name not in names:
            raise ConfigError(f"speaker={name} has no utterance that can be used: expected some of {', '.join(names)}")
    if both := sorted(set(dev_speakers) & set(test_speakers)):
        raise ConfigError(f"speaker={both[0]} is named for dev and for test: choose one of them")
    free = [name for name in names if name not in dev_speakers and name not in test_speakers]
    free = np.random.default_rng(seed).permutation(free).tolist()
    splits = dict.fromkeys(names, "train")
    for split, named, share in (("test", test_speakers, test), ("dev", dev_speakers, dev)):
        count = max(1, round(share * len(names)))
        chosen = list(named) or [free.pop() for _ in range(min(count, len(free)))]
        splits.update(dict.fromkeys(chosen, split))
    for split in SPLITS:
        if split not in splits.values():
            raise ConfigError(f"no speaker is left for {split}: name fewer in --dev-speakers and --test-speakers")
    return [splits[speaker] for speaker in speakers]
