"""Splitting samples into training, validation and test sets."""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Bool, Integer, Shaped
from handgrad.errors import ConfigError, DataError


def size_of(size: float, n: int) -> int:
    """Converts a size, a fraction of `n` (below 1) or a count, to a count."""
    return round(size * n) if 0 < size < 1 else int(size)


def hold_out(
    labels: Integer[Array, "n"] | None,
    n: int,
    size: int,
    rng: np.random.Generator,
    groups: Shaped[Array, "n"] | None = None,
) -> Bool[Array, "n"]:
    """Selects `size` of `n` samples to hold out, stratified by class, without taking the last sample of any class.

    Arguments:
        labels: classes (n,), or None (regression).
        groups: samples with equal values (n,) are held out together or not at all. Groups are chosen so that the number
            of samples of each class is as close as possible to its target.

    Returns: a mask (n,), true for the samples that are held out.
    """
    labels = np.zeros(n, np.int64) if labels is None else labels
    counts = np.bincount(labels)
    if groups is not None:
        return _hold_out_groups(labels, counts, size, rng, groups)
    sizes = apportion(counts, size, np.maximum(counts - 1, 0))
    held = np.zeros(n, bool)
    for label, share in enumerate(sizes):
        held[rng.permutation(np.flatnonzero(labels == label))[:share]] = True
    return held


def apportion(counts: Integer[Array, "K"], size: int, most: Integer[Array, "K"]) -> Integer[Array, "K"]:
    """`size` distributed in proportion to `counts` with the largest-remainder method, at most `most` each."""
    shares = counts * size / counts.sum()
    sizes = np.minimum(np.floor(shares).astype(int), most)
    while (missing := size - int(sizes.sum())) > 0 and (sizes < most).any():
        order = np.argsort(np.where(sizes < most, sizes - shares, np.inf), kind="stable")
        sizes[order[: min(missing, int((sizes < most).sum()))]] += 1
    return sizes


def _hold_out_groups(labels, counts, size, rng, groups) -> Bool[Array, "n"]:
    names, group_of = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise DataError(f"all samples are of one group ({names[0]!r}): expected at least 2, to split them")
    # The classes of each group, as a vector; groups are taken while they bring the sum nearer to the wanted one.
    profiles = np.zeros((len(names), len(counts)))
    np.add.at(profiles, (group_of, labels), 1)
    wanted = counts * size / counts.sum()
    held = np.zeros(len(names), bool)
    total = np.zeros(len(counts))
    order = rng.permutation(len(names))
    # large groups first; small ones fill the gaps
    order = order[np.argsort(-profiles[order].sum(axis=1), kind="stable")]
    for group in order:
        if held.sum() < len(names) - 1 and _distance(total + profiles[group], wanted) < _distance(total, wanted):
            held[group] = True
            total += profiles[group]
    if not held.any():
        held[order[-1]] = True
    return held[group_of]


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.square(a - b).sum())


def test_count(n: int, test_size: float, name: str) -> int:
    """The number of test samples out of `n`. Raises ConfigError if a split would be empty."""
    count = size_of(test_size, n)
    if not 1 <= count < n:
        raise ConfigError(
            f"test_size={test_size} is {count} of the {n} samples of {name}: expected a share between 0 and 1, or a "
            "count, that leaves at least one sample for training and one for the test"
        )
    return count


def validation_count(n: int, validation_size: float, name: str) -> int:
    """The number of validation samples out of `n` training samples. Raises ConfigError if no training samples would
    be left."""
    count = size_of(validation_size, n)
    if not 0 <= count < n or (validation_size and not count):
        raise ConfigError(
            f"validation_size={validation_size!r} must be a whole number from 0 to {n - 1}: {name} has {n} training "
            "samples, and at least one has to remain; a share such as 0.1 is accepted too"
        )
    return count
