"""The order of the training samples of a run."""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Integer


class BatchOrder:
    """Each epoch has a new order, determined by the seed and the epoch number; an incomplete last batch is dropped.

    Arguments:
        train_indices: all training samples.
        batch_size: samples per step, at most the number of training samples.
        seed: the `data_seed` of the run.
    """

    def __init__(self, train_indices: Integer[Array, "n"], batch_size: int, seed: int) -> None:
        self.train_indices = train_indices
        self.batch_size = batch_size
        self.seed = seed
        self.steps_an_epoch = len(train_indices) // batch_size
        self._permutation: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def batches(self, first: int, last: int) -> Integer[Array, "steps batch"]:
        """The indices of steps `first` to `last` (exclusive)."""
        return np.stack([self._batch(step) for step in range(first, last)])

    def _batch(self, step: int) -> Integer[Array, "batch"]:
        epoch, position = divmod(step, self.steps_an_epoch)
        if self._permutation[0] != epoch:
            rng = np.random.default_rng((self.seed, epoch))
            self._permutation = (epoch, rng.permutation(self.train_indices))
        return self._permutation[1][position * self.batch_size :][: self.batch_size]
