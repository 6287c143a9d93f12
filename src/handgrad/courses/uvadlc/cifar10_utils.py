"""CIFAR-10 in the form that the scripts of the assignment expect."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handgrad import data
from handgrad._typing import Array, Integer, Num, Shaped


class DataSet:
    """Images with labels, in batches.

    Arguments:
        images: `(n, C, H, W)`.
        labels: `(n, ...)`.

    Attributes: `images`, `labels`, `num_examples`, `epochs_completed`.
    """

    def __init__(self, images: Num[Array, "n ..."], labels: Num[Array, "n ..."]) -> None:
        self._images, self._labels = images, labels
        self._order = np.arange(len(images))
        self._next = 0
        self._epochs_completed = 0

    @property
    def images(self) -> Num[Array, "n ..."]:
        return self._images

    @property
    def labels(self) -> Num[Array, "n ..."]:
        return self._labels

    @property
    def num_examples(self) -> int:
        return len(self._images)

    @property
    def epochs_completed(self) -> int:
        """Number of completed passes over the samples."""
        return self._epochs_completed

    def next_batch(self, batch_size: int) -> tuple[Num[Array, "b ..."], Num[Array, "b ..."]]:
        """The next `batch_size` images and labels, as copies.

        The first epoch uses the samples in order. When fewer than `batch_size` are left, the epoch ends: the rest is
        dropped and all samples are shuffled by `np.random`.

        Raises: ValueError if the whole set is smaller than the batch.
        """
        if not 0 < batch_size <= self.num_examples:
            raise ValueError(f"next_batch got batch_size={batch_size}, expected 1 to {self.num_examples}, all examples")
        if self._next + batch_size > self.num_examples:
            self._epochs_completed += 1
            np.random.shuffle(self._order)
            self._next = 0
        batch = self._order[self._next : self._next + batch_size]
        self._next += batch_size
        return self._images[batch], self._labels[batch]


def dense_to_one_hot(labels_dense: Integer[Array, "n"], num_classes: int) -> Shaped[Array, "n K"]:
    """One-hot rows `(n, num_classes)`, float64, of class indices `(n,)`."""
    return np.eye(num_classes)[labels_dense]


def get_cifar10(
    data_dir: str | Path | None = None, one_hot: bool = True, validation_size: int = 0
) -> dict[str, DataSet]:
    """CIFAR-10 minus the mean image of the training set; values remain on the 0..255 scale.

    Arguments:
        data_dir: folder with the files, binary or pickled, or its parent; None for handgrad's default folders
            (`$HANDGRAD_DATA`, else the user's cache, to which it is downloaded).
        one_hot: labels as one-hot rows `(n, 10)`; else as class indices `(n,)`.
        validation_size: number of training images, from the end, that are held out.

    Returns: the data sets `train`, `validation` (empty if nothing is held out) and `test`; images
        `(n, 3, 32, 32)` float32.
    Raises: DataError if files are missing or damaged; ConfigError for an invalid validation size.
    """
    cifar10 = data.load(
        "cifar10",
        data_dir=data_dir,
        preprocessing="mean-image",
        validation_size=validation_size,
        validation_split="end",
    )
    sets = {}
    for split in ("train", "validation", "test"):
        indices = cifar10.indices(split) if split in cifar10.splits else np.arange(0)
        labels = cifar10.targets(indices)
        sets[split] = DataSet(cifar10.gather(indices), dense_to_one_hot(labels, 10) if one_hot else labels)
    return sets
