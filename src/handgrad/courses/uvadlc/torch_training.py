"""The training loop of the two PyTorch scripts."""

from __future__ import annotations

import argparse

import numpy as np
import torch

from handgrad.courses.uvadlc.cifar10_utils import DataSet, get_cifar10
from handgrad.courses.uvadlc.scripts import accuracy, conclude, report
from handgrad.torch import SoftmaxCrossEntropy

#: Number of test images per batch: the feature maps of a ConvNet for all 10,000 would take gigabytes.
_EVALUATION_BATCH = 500


def seed() -> None:
    """Seeds `np.random`, which orders the samples, and PyTorch, which draws the initial weights, with 0."""
    np.random.seed(0)
    torch.manual_seed(0)


def train(
    network: torch.nn.Module, optimizer: torch.optim.Optimizer, flags: argparse.Namespace, *, flat: bool
) -> list[dict[str, float]]:
    """Trains on CIFAR-10, on a GPU if available.

    Arguments:
        network: maps images to scores.
        optimizer: optimiser of its parameters.
        flags: `max_steps`, `batch_size`, `eval_freq`, `data_dir`.
        flat: whether the network takes images as rows.

    Returns: the results of each evaluation.
    """
    cifar10 = get_cifar10(flags.data_dir)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    loss = SoftmaxCrossEntropy()

    def scores_of(images: np.ndarray) -> torch.Tensor:
        x = torch.from_numpy(images).to(device)
        return network(x.flatten(1) if flat else x)

    records = []
    for step in range(1, flags.max_steps + 1):
        images, labels = cifar10["train"].next_batch(flags.batch_size)
        network.train()
        scores = scores_of(images)
        value = loss(scores, torch.from_numpy(labels.argmax(axis=1)).to(device))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        if step % flags.eval_freq == 0 or step == flags.max_steps:
            network.eval()
            test_loss, test_accuracy = _evaluate(scores_of, loss, cifar10["test"])
            figures = {
                "train_loss": value.item(),
                "train_accuracy": accuracy(scores.detach().cpu().numpy(), labels),
                "test_loss": test_loss,
                "test_accuracy": test_accuracy,
            }
            records.append(report(step, flags.max_steps, figures))
    return conclude(records)


@torch.no_grad()
def _evaluate(scores_of, loss: SoftmaxCrossEntropy, test: DataSet) -> tuple[float, float]:
    total = correct = 0.0
    for start in range(0, test.num_examples, _EVALUATION_BATCH):
        batch = slice(start, start + _EVALUATION_BATCH)
        scores, labels = scores_of(test.images[batch]), test.labels[batch]
        targets = torch.from_numpy(labels.argmax(axis=1)).to(scores.device)
        total += loss(scores, targets).item() * len(labels)
        correct += accuracy(scores.cpu().numpy(), labels) * len(labels)
    return total / test.num_examples, correct / test.num_examples
