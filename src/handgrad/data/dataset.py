"""A data set in memory, and the preprocessing that stands between its raw values and a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad._typing import Array, Float, Integer, Num
from handgrad.data.augmentation import Augmentation
from handgrad.errors import ConfigError

if TYPE_CHECKING:
    from handgrad.data.tables import TableEncoder

PREPROCESSING = ("mean-image", "unit", "standard", "none")

#: Where validation samples come from: "random", drawn from each class in proportion; "end", the last training samples.
VALIDATION_SPLITS = ("random", "end")

TASKS = ("classification", "regression")

NOT_AUGMENTED = Augmentation()

_CHUNK = 64  # images at a time in float64: a chunk stays in the cache
_CHUNK_OF_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """A fixed element-wise map from raw values to what a network sees: (x - shift) * scale.

    Arguments:
        kind: one of `PREPROCESSING`.
        shift: raw units; float32 (of targets float64), of a shape that broadcasts to one input.
        scale: 1 / raw units; likewise.
    """

    kind: str
    shift: Float[Array, "*shape"]
    scale: Float[Array, "*scale_shape"]

    @cached_property
    def _shifts(self) -> bool:
        return bool(np.any(self.shift))

    @cached_property
    def _scales(self) -> bool:
        return bool(np.any(self.scale != 1))

    def apply(
        self, x: Num[Array, "n *shape"], out: Float[Array, "n *shape"] | None = None, dtype: Any = np.float32
    ) -> Float[Array, "n *shape"]:
        """(x - shift) * scale, computed in `dtype`.

        Arguments:
            x: raw inputs (n, *shape), uint8 or floating; left as they are.
            out: where the result goes (n, *shape); its own dtype then decides instead of `dtype`.
            dtype: float32 or float64.

        Returns: `out`, or a fresh array (n, *shape).
        """
        if out is None:
            out = np.empty(x.shape, dtype)
        # `dtype=` makes NumPy compute in it: uint8 - float32 into a float64 array would round to float32 on the way.
        if self._shifts:
            np.subtract(x, self.shift, out=out, dtype=out.dtype)
            if self._scales:
                np.multiply(out, self.scale, out=out)
        elif self._scales:
            np.multiply(x, self.scale, out=out, dtype=out.dtype)
        else:
            np.copyto(out, x)
        return out


def fit_preprocessing(
    kind: str, train_inputs: Num[Array, "n *shape"], value_range: float, *, rows: Integer[Array, "m"] | None = None
) -> Preprocessing:
    """The preprocessing `kind`, fitted on training inputs and on nothing else.

    Formula: "mean-image": x - (mean of the training images), on the raw scale; "unit": x / value_range;
    "standard": (x - mean) / std with one mean and one std a channel (std 1 where a channel is constant); "none": x.
    Sums are taken in float64, in one fixed order.

    Arguments:
        kind: one of `PREPROCESSING`.
        train_inputs: raw training inputs (n, C, H, W), or (n, D), where a feature is a channel; the validation samples
            already taken away.
        value_range: the largest raw value, e.g. 255.0.
        rows: which of `train_inputs` are the training samples, where it holds others too, as a memory-mapped file does;
            they are then read a few at a time.

    Returns: the fitted `Preprocessing`.
    Raises: ConfigError for an unknown kind.
    Source: "mean-image" is the preprocessing of the University of Amsterdam's deep learning course (CIFAR-10).
    """
    one = (1,) * (train_inputs.ndim - 1)
    shift, scale = np.zeros(one), np.ones(one)
    if kind == "mean-image":
        if rows is None:
            shift = train_inputs.mean(axis=0, dtype=np.float64)
        else:
            total = np.zeros(train_inputs.shape[1:])
            for i in range(0, len(rows), _CHUNK):
                total += train_inputs[rows[i : i + _CHUNK]].sum(axis=0, dtype=np.float64)
            shift = total / len(rows)
    elif kind == "unit":
        scale = scale / value_range
    elif kind == "standard":
        mean, std = _channel_moments(train_inputs, rows)
        shift, scale = mean, 1 / np.where(std > 0, std, 1)
    elif kind != "none":
        raise ConfigError(f"unknown preprocessing={kind!r}: choose one of {', '.join(PREPROCESSING)}")
    return Preprocessing(kind, shift.astype(np.float32), scale.astype(np.float32))


def _channel_moments(
    x: Num[Array, "n C *rest"], rows: Integer[Array, "m"] | None
) -> tuple[Float[Array, "C *ones"], Float[Array, "C *ones"]]:
    """Mean and standard deviation per channel, shaped (C, 1, 1) for images, of all samples or of those in `rows`."""
    axes = (0, *range(2, x.ndim))

    n = len(x) if rows is None else len(rows)
    count = n * (x.size // (len(x) * x.shape[1]))
    # E[x^2] - E[x]^2 cancels where the mean is large beside the spread; about a value of the channel it does not, and
    # the spread of a constant channel comes out as exactly 0.
    centre = x[(slice(1), slice(None)) + (slice(1),) * (x.ndim - 2)].astype(np.float64)
    total, squares = np.zeros_like(centre), np.zeros_like(centre)
    size = _CHUNK_OF_ROWS if x.ndim == 2 else _CHUNK
    for i in range(0, n, size):
        part = x[i : i + size] if rows is None else x[rows[i : i + size]]
        chunk = np.subtract(part, centre, dtype=np.float64)
        total += chunk.sum(axis=axes, keepdims=True)
        np.square(chunk, out=chunk)
        squares += chunk.sum(axis=axes, keepdims=True)
    offset = total / count
    return (centre + offset)[0], np.sqrt(np.maximum(squares / count - offset**2, 0))[0]


@dataclass(frozen=True, eq=False)
class Dataset:
    """All samples of a data set in one index space, raw; preprocessing happens as a batch is gathered.

    Arguments:
        name: e.g. "mnist".
        inputs: raw inputs (n, C, H, W) or (n, D), uint8 or float32; training, validation and test samples in this
            order, unless they lie in a memory-mapped file, whose order and dtype stay.
        labels: of a classification, classes (n,), int64, 0 to len(classes) - 1; of a regression, targets
            (n, len(classes)), float32, in their own units.
        splits: the indices of "train", "validation" (where there is one) and "test": ranges; of a memory-mapped file,
            sorted arrays.
        classes: a name for each class; of a regression, for each target.
        value_range: the largest raw value, e.g. 255.0.
        preprocessing: fitted on the training split.
        augmentation: what happens to the raw images of a training step.
        task: one of `TASKS`.
        weights: how much each sample counts in a training step (n,), float32; None where all count alike.
        encoder: what made the inputs out of a table, where they come from one.
        notes: what was met while the data were read, for the user to know.
        files: the user's own files that it was read from; empty for built-in sets and for arrays in memory.
        target_scaling: of a regression: what a network is trained to give is (target - shift) * scale, each (T,).
            Fitted on the training targets, by their weights, unless it is given: mean 0, standard deviation 1.
    """

    name: str
    inputs: Num[Array, "n *shape"]
    labels: Num[Array, "n *targets"]
    splits: Mapping[str, range | Integer[Array, "m"]]
    classes: tuple[str, ...]
    value_range: float
    preprocessing: Preprocessing
    augmentation: Augmentation = NOT_AUGMENTED
    task: str = "classification"
    weights: Float[Array, "n"] | None = None
    encoder: TableEncoder | None = None
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    target_scaling: Preprocessing | None = None

    def __post_init__(self) -> None:
        if self.task == "regression" and self.target_scaling is None:
            train = self.indices("train")
            weights = None if self.weights is None else self.weights[train]
            object.__setattr__(self, "target_scaling", fit_targets(self.labels[train], weights))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input: (C, H, W), or (D,) for rows."""
        return self.inputs.shape[1:]

    def indices(self, split: str) -> Integer[Array, "m"]:
        """The indices (m,) of a split, int64, in order. Raises ConfigError for a split that is not there."""
        if split not in self.splits:
            known = ", ".join(self.splits)
            hint = " (ask for one with validation_size)" if split == "validation" else ""
            raise ConfigError(f"{self.name} has no split={split!r}: it has {known}{hint}")
        part = self.splits[split]
        return np.arange(part.start, part.stop, dtype=np.int64) if isinstance(part, range) else part.astype(np.int64)

    def gather(
        self, indices: Integer[Array, "b"], out: Float[Array, "b *shape"] | None = None, dtype=np.float32
    ) -> Float[Array, "b *shape"]:
        """The preprocessed inputs at `indices`.

        Arguments:
            indices: (b,) integers, in any order, repeats allowed.
            out: where the result goes (b, *input_shape); its own dtype then decides instead of `dtype`.
            dtype: float32 to train, float64 to check.

        Returns: `out`, or a fresh array (b, *input_shape).
        """
        if out is None or out.dtype != self.inputs.dtype:
            return self.preprocessing.apply(self.inputs.take(indices, axis=0), out, dtype)
        if len(indices) and not (-len(self.labels) <= indices.min() and indices.max() < len(self.labels)):
            raise IndexError(f"indices from {indices.min()} to {indices.max()}, expected 0 to {len(self.labels) - 1}")
        # Straight into `out`: any mode but "raise" does without a copy on the way.
        np.take(self.inputs, indices, axis=0, out=out, mode="wrap")
        return self.preprocessing.apply(out, out)

    def gather_for_training(
        self, indices: Integer[Array, "b"], step: int, out: Float[Array, "b *shape"] | None = None, dtype=np.float32
    ) -> Float[Array, "b *shape"]:
        """Like `gather`, the raw inputs changed first as the augmentation changes those of step number `step`."""
        if not self.augmentation:
            return self.gather(indices, out, dtype)
        return self.preprocessing.apply(self.augmentation.apply(self.inputs.take(indices, axis=0), step), out, dtype)

    def targets(self, indices: Integer[Array, "b"]) -> Num[Array, "b *targets"]:
        """The labels (b,) or targets (b, T) at `indices`, a fresh array, targets in their own units."""
        return self.labels.take(indices, axis=0)

    def balanced(self) -> Dataset:
        """The data set with the weights of its samples multiplied so that every class counts alike in training.

        Formula: n / (K nₖ) for a sample of class k, with n training samples, nₖ of them of class k, K classes.

        Raises: ConfigError for a regression.
        """
        if self.task == "regression":
            raise ConfigError(
                f"class_weight=balanced goes with a classification, and {self.name} is a regression: leave it out"
            )
        train = self.indices("train")
        counts = np.bincount(self.labels[train], minlength=len(self.classes))
        of_class = len(train) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        weights = of_class[self.labels] * (1 if self.weights is None else self.weights)
        return dataclasses.replace(self, weights=weights.astype(np.float32))


def fit_targets(targets: Num[Array, "n T"], weights: Float[Array, "n"] | None = None) -> Preprocessing:
    """(target - mean) / std, of each target over the samples, by their weights; std 1 where a target is constant."""
    targets = np.asarray(targets, np.float64)
    w = np.ones(len(targets)) if weights is None or not np.any(weights) else np.asarray(weights, np.float64)
    mean = np.average(targets, axis=0, weights=w)
    std = np.sqrt(np.average((targets - mean) ** 2, axis=0, weights=w))
    scale = 1 / np.where(std > 1e-12 * (1 + abs(mean)), std, 1)
    return Preprocessing("standard", mean, scale)
