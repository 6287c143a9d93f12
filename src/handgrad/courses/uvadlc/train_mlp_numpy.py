"""Trains the NumPy network on CIFAR-10 with plain stochastic gradient descent."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from handgrad.courses.uvadlc import mlp_numpy
from handgrad.courses.uvadlc.cifar10_utils import DataSet, get_cifar10
from handgrad.courses.uvadlc.editions import UvaEdition, uva_edition
from handgrad.courses.uvadlc.modules import CrossEntropyModule
from handgrad.courses.uvadlc.scripts import accuracy, conclude, report, run


def main(argv: Sequence[str] | None = None, edition: str = "uva-apr19") -> list[dict[str, float]]:
    """Runs the script with these arguments (by default those of the process); returns the results of each
    evaluation."""
    settings = uva_edition(edition)
    return run(lambda flags: train(flags, settings), argv, **settings.mlp_flags())


def train(flags: argparse.Namespace, edition: UvaEdition) -> list[dict[str, float]]:
    """Trains with the settings of the flags; weights and the order of the samples come from `np.random`, seeded with
    0."""
    np.random.seed(0)
    cifar10 = get_cifar10(flags.data_dir)
    n_inputs, n_classes = cifar10["train"].images[0].size, cifar10["train"].labels.shape[1]
    slope = () if edition.neg_slope is None else (flags.neg_slope,)
    network = getattr(mlp_numpy, f"MLP{edition.suffix}")(n_inputs, flags.dnn_hidden_units, n_classes, *slope)
    loss = CrossEntropyModule()
    records = []
    for step in range(1, flags.max_steps + 1):
        x, y = cifar10["train"].next_batch(flags.batch_size)
        probabilities = network.forward(x.reshape(len(x), -1))
        network.backward(loss.backward(probabilities, y))
        for layer in network.layers:
            for name, gradient in getattr(layer, "grads", {}).items():
                layer.params[name] -= flags.learning_rate * gradient
        if step % flags.eval_freq == 0 or step == flags.max_steps:
            test_loss, test_accuracy = _evaluate(network, cifar10["test"])
            figures = {
                "train_loss": float(loss.forward(probabilities, y)),
                "train_accuracy": accuracy(probabilities, y),
                "test_loss": test_loss,
                "test_accuracy": test_accuracy,
            }
            records.append(report(step, flags.max_steps, figures))
    return conclude(records)


def _evaluate(network: mlp_numpy.MLP, test: DataSet) -> tuple[float, float]:
    probabilities = network.forward(test.images.reshape(test.num_examples, -1))
    return float(CrossEntropyModule().forward(probabilities, test.labels)), accuracy(probabilities, test.labels)


if __name__ == "__main__":
    main()
