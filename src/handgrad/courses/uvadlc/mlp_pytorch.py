"""The multi-layer perceptron in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from handgrad import architectures
from handgrad._typing import Float
from handgrad.torch import build


class MLP(torch.nn.Module):
    """Linear layers with activations between them; ends in scores (logits). It uses handgrad's gradients.

    Arguments:
        n_inputs: features of a sample.
        n_hidden: units of each hidden layer; an empty list for multinomial logistic regression.
        n_classes: K.
        neg_slope: slope of a leaky ReLU; by default, the activation of the edition.

    Attributes: `layers`, the modules in order. Initial weights are PyTorch's.
    """

    activation = "relu"

    def __init__(self, n_inputs: int, n_hidden: Sequence[int], n_classes: int, neg_slope: float | None = None) -> None:
        super().__init__()
        if neg_slope is None:
            architecture = architectures.mlp((n_inputs,), n_hidden, n_classes, activation=self.activation)
        else:
            architecture = architectures.mlp(
                (n_inputs,), n_hidden, n_classes, activation="leaky_relu", negative_slope=neg_slope
            )
        self.layers = build(architecture)

    def forward(self, x: Float[torch.Tensor, "N D"]) -> Float[torch.Tensor, "N K"]:
        return self.layers(x)


class MLPNovember2019(MLP):
    """`MLP` with leaky ReLUs."""

    def __init__(self, n_inputs: int, n_hidden: Sequence[int], n_classes: int, neg_slope: float = 0.02) -> None:
        super().__init__(n_inputs, n_hidden, n_classes, neg_slope)


class MLP2020(MLP):
    """`MLP` with ELUs."""

    activation = "elu"

    def __init__(self, n_inputs: int, n_hidden: Sequence[int], n_classes: int) -> None:
        super().__init__(n_inputs, n_hidden, n_classes)
