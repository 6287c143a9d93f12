"""Trains the convolutional network on CIFAR-10 with Adam."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch

from handgrad.courses.uvadlc import convnet_pytorch, torch_training
from handgrad.courses.uvadlc.editions import UvaEdition, uva_edition
from handgrad.courses.uvadlc.scripts import accuracy, run

__all__ = ["accuracy", "main", "train"]


def main(argv: Sequence[str] | None = None, edition: str = "uva-apr19") -> list[dict[str, float]]:
    """Runs the script with these arguments (by default those of the process); returns the results of each
    evaluation."""
    settings = uva_edition(edition)
    return run(
        lambda flags: train(flags, settings), argv, learning_rate=1e-4, max_steps=5000, batch_size=32, eval_freq=500
    )


def train(flags: argparse.Namespace, edition: UvaEdition) -> list[dict[str, float]]:
    """Trains with the settings of the flags."""
    torch_training.seed()
    network = getattr(convnet_pytorch, f"ConvNet{edition.suffix}")(3, 10)
    optimizer = torch.optim.Adam(network.parameters(), lr=flags.learning_rate)
    return torch_training.train(network, optimizer, flags, flat=False)


if __name__ == "__main__":
    main()
