"""Initialisers and `get_training_stats`. Random numbers come from `np.random`, which the tests of the course seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad._typing import Array, Float


def random_normal_weight_init(d0: int, d1: int) -> Float[Array, "d0 d1"]:
    """Independent draws from the standard normal distribution, `(d0, d1)`."""
    return np.random.normal(size=(d0, d1))


def zeros_bias_init(d: int) -> Float[Array, "d"]:
    """Zeros, `(d,)`."""
    return np.zeros(d)


def zeros_bias_init_2020(d: int) -> Float[Array, "1 d"]:
    """Zeros, `(1, d)`."""
    return np.zeros((1, d))


def get_training_stats(
    mlp: Any, dset: Any, nepochs: int, batch_size: int
) -> tuple[Float[Array, "E"], Float[Array, "E"], Float[Array, "E"], Float[Array, "E"]]:
    """Trains a network and returns statistics for each epoch.

    The training set is shuffled by `np.random.shuffle` before each epoch. Training statistics are computed on the
    batches during training, validation statistics after the epoch in evaluation mode, in which the network remains.

    Arguments:
        mlp: an `MLP` of any edition.
        dset: ((trainx, trainy), (valx, valy), (testx, testy)): inputs `(n, input_size)`, one-hot labels
            `(n, output_size)`. The test set is not used.
        nepochs: E.
        batch_size: samples per batch; the last batch of an epoch may be smaller.

    Returns: training losses, training errors, validation losses, validation errors: mean loss per sample, and fraction
    of misclassified samples.
    Raises: ValueError if labels are not one-hot.
    """
    (trainx, trainy), (valx, valy), _ = dset
    for labels in (trainy, valy):
        if np.ndim(labels) != 2:
            raise ValueError(
                f"get_training_stats got labels with shape={np.shape(labels)}, expected one-hot rows (n, K)"
            )
    statistics = np.zeros((4, nepochs))
    order = np.arange(len(trainx))
    for epoch in range(nepochs):
        np.random.shuffle(order)
        mlp.train()
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            mlp.zero_grads()
            statistics[:2, epoch] += _figures(mlp, trainx[batch], trainy[batch])
            mlp.backward(trainy[batch])
            mlp.step()
        mlp.eval()
        for start in range(0, len(valx), batch_size):
            batch = slice(start, start + batch_size)
            statistics[2:, epoch] += _figures(mlp, valx[batch], valy[batch])
    statistics[:2] /= max(len(trainx), 1)
    statistics[2:] /= max(len(valx), 1)
    return statistics[0], statistics[1], statistics[2], statistics[3]


def _figures(mlp: Any, x: Any, y: Any) -> tuple[float, float]:
    """The summed loss and the number of errors of a batch."""
    out = mlp.forward(x)
    return np.sum(mlp.criterion(out, y)), np.sum(np.argmax(out, axis=1) != np.argmax(y, axis=1))
