"""Trains the PyTorch MLP on CIFAR-10 with plain stochastic gradient descent."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch

from handgrad.courses.uvadlc import mlp_pytorch, torch_training
from handgrad.courses.uvadlc.editions import UvaEdition, uva_edition
from handgrad.courses.uvadlc.scripts import accuracy, run

__all__ = ["accuracy", "main", "train"]


def main(argv: Sequence[str] | None = None, edition: str = "uva-apr19") -> list[dict[str, float]]:
    """Runs the script with these arguments (by default those of the process); returns the results of each
    evaluation."""
    settings = uva_edition(edition)
    return run(lambda flags: train(flags, settings), argv, **settings.mlp_flags())


def train(flags: argparse.Namespace, edition: UvaEdition) -> list[dict[str, float]]:
    """Trains with the settings of the flags."""
    torch_training.seed()
    slope = () if edition.neg_slope is None else (flags.neg_slope,)
    network = getattr(mlp_pytorch, f"MLP{edition.suffix}")(3 * 32 * 32, flags.dnn_hidden_units, 10, *slope)
    optimizer = torch.optim.SGD(network.parameters(), lr=flags.learning_rate)
    return torch_training.train(network, optimizer, flags, flat=True)


if __name__ == "__main__":
    main()
