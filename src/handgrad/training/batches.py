"""The order in which a run meets its training samples."""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Integer


class BatchOrder:
    """Each epoch a new order, found from its number alone; what does not fill a batch at an epoch's end is left out of
    that epoch.

    Arguments:
        train_indices: all training samples.
        batch_size: samples a step, at most as many as there are.
        seed: the run's `data_seed`.
    """

    def __init__(self, train_indices: Integer[Array, "n"], batch_size: int, seed: int) -> None:
        self.train_indices = train_indices
        self.batch_size = batch_size
        self.seed = seed
        self.steps_an_epoch = len(train_indices) // batch_size
        self._permutation: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def batches(self, first: int, last: int) -> Integer[Array, "steps batch"]:
        """The indices of steps `first` to `last`, the last not included."""
        return np.stack([self._batch(step) for step in range(first, last)])

    def _batch(self, step: int) -> Integer[Array, "batch"]:
        epoch, position = divmod(step, self.steps_an_epoch)
        if self._permutation[0] != epoch:
            rng = np.random.default_rng((self.seed, epoch))
            self._permutation = (epoch, rng.permutation(self.train_indices))
        return self._permutation[1][position * self.batch_size :][: self.batch_size]
