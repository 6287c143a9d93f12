"""A data set in memory, and the preprocessing of its raw values."""

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

#: Source of the validation samples: "random", a stratified random sample; "end", the last training samples.
VALIDATION_SPLITS = ("random", "end")

TASKS = ("classification", "regression")

NOT_AUGMENTED = Augmentation()

_CHUNK = 64  # number of images processed at a time in float64, so that they stay in the cache
_CHUNK_OF_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """A fixed elementwise map from raw values to the inputs of a network: (x - shift) * scale.

    Arguments:
        kind: one of `PREPROCESSING`.
        shift: in raw units; float32 (float64 for targets), broadcast to the shape of one input.
        scale: in 1 / raw units; likewise.
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
            x: raw inputs (n, *shape), uint8 or floating-point; not modified.
            out: array for the result (n, *shape), whose dtype is used instead of `dtype`.
            dtype: float32 or float64.

        Returns: `out`, or a new array (n, *shape).
        """
        if out is None:
            out = np.empty(x.shape, dtype)
        # `dtype=` sets the dtype of the computation: uint8 - float32 would otherwise be rounded to float32 first.
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
    """Fits the preprocessing `kind` on the training inputs.

    Formula: "mean-image": x - (mean of the training images), on the raw scale; "unit": x / value_range; "standard": (x
    - mean) / std with one mean and one std per channel (std 1 for constant channels); "none": x. Sums are computed in
    float64 in a fixed order.

    Arguments:
        kind: one of `PREPROCESSING`.
        train_inputs: raw training inputs (n, C, H, W), or (n, D) with features as channels, without the validation
            samples.
        value_range: the largest raw value, e.g. 255.0.
        rows: the indices of the training samples, if `train_inputs` contains other samples as well, as in a
            memory-mapped file; they are then read in small blocks.

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
    """Mean and standard deviation per channel, (C, 1, 1) for images, over all samples or those in `rows`."""
    axes = (0, *range(2, x.ndim))

    n = len(x) if rows is None else len(rows)
    count = n * (x.size // (len(x) * x.shape[1]))
    # E[x^2] - E[x]^2 cancels if the mean is large relative to the standard deviation. After subtracting a value of the
    # channel it does not, and the standard deviation of a constant channel is exactly 0.
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
    """All raw samples of a data set in one index space; each batch is preprocessed when it is gathered.

    Arguments:
        name: e.g. "mnist".
        inputs: raw inputs (n, C, H, W) or (n, D), uint8 or float32; training, validation and test samples in this
            order, except for memory-mapped files, which keep their order and dtype.
        labels: for classification, classes (n,), int64, 0 to len(classes) - 1; for regression, targets (n,
            len(classes)), float32, in their original units.
        splits: the indices of "train", "validation" (if any) and "test": ranges, or sorted arrays for memory-mapped
            files.
        classes: names of the classes or, for regression, of the targets.
        value_range: the largest raw value, e.g. 255.0.
        preprocessing: fitted on the training split.
        augmentation: augmentation of the raw images of a training step.
        task: one of `TASKS`.
        weights: sample weights for training (n,), float32; None for equal weights.
        encoder: the encoder of the inputs, if they come from a table.
        notes: remarks for the user from reading the data.
        files: the user's files that were read; empty for built-in data sets and arrays in memory.
        target_scaling: for regression, a network is trained on (target - shift) * scale, each (T,). By default, fitted
            to the weighted training targets: mean 0, standard deviation 1.
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
        """The indices (m,) of a split, int64, in order. Raises ConfigError for a split that does not exist."""
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
            indices: (b,) integers, in any order, possibly repeated.
            out: array for the result (b, *input_shape), whose dtype is used instead of `dtype`.
            dtype: float32 for training, float64 for gradient checks.

        Returns: `out`, or a new array (b, *input_shape).
        """
        if out is None or out.dtype != self.inputs.dtype:
            return self.preprocessing.apply(self.inputs.take(indices, axis=0), out, dtype)
        if len(indices) and not (-len(self.labels) <= indices.min() and indices.max() < len(self.labels)):
            raise IndexError(f"indices from {indices.min()} to {indices.max()}, expected 0 to {len(self.labels) - 1}")
        # Writes directly to `out`: any mode but "raise" avoids a copy.
        np.take(self.inputs, indices, axis=0, out=out, mode="wrap")
        return self.preprocessing.apply(out, out)

    def gather_for_training(
        self, indices: Integer[Array, "b"], step: int, out: Float[Array, "b *shape"] | None = None, dtype=np.float32
    ) -> Float[Array, "b *shape"]:
        """Like `gather`, with the augmentation of step number `step`."""
        if not self.augmentation:
            return self.gather(indices, out, dtype)
        return self.preprocessing.apply(self.augmentation.apply(self.inputs.take(indices, axis=0), step), out, dtype)

    def targets(self, indices: Integer[Array, "b"]) -> Num[Array, "b *targets"]:
        """The labels (b,) or targets (b, T) at `indices` as a new array, with targets in their original units."""
        return self.labels.take(indices, axis=0)

    def balanced(self) -> Dataset:
        """The data set with sample weights scaled so that all classes have the same total weight in training.

        Formula: n / (K nₖ) for a sample of class k, with n training samples, nₖ of them of class k, K classes.

        Raises: ConfigError for a regression.
        """
        if self.task == "regression":
            raise ConfigError(
                f"class_weight=balanced applies to classification, but {self.name} is a regression: leave it out"
            )
        train = self.indices("train")
        counts = np.bincount(self.labels[train], minlength=len(self.classes))
        of_class = len(train) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        weights = of_class[self.labels] * (1 if self.weights is None else self.weights)
        return dataclasses.replace(self, weights=weights.astype(np.float32))


def fit_targets(targets: Num[Array, "n T"], weights: Float[Array, "n"] | None = None) -> Preprocessing:
    """(target - mean) / std for each target, with weighted statistics over the samples; std 1 for constant targets."""
    targets = np.asarray(targets, np.float64)
    w = np.ones(len(targets)) if weights is None or not np.any(weights) else np.asarray(weights, np.float64)
    mean = np.average(targets, axis=0, weights=w)
    std = np.sqrt(np.average((targets - mean) ** 2, axis=0, weights=w))
    scale = 1 / np.where(std > 1e-12 * (1 + abs(mean)), std, 1)
    return Preprocessing("standard", mean, scale)
