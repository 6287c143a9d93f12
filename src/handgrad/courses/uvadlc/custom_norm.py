"""Base class of batch and layer normalisation: parameters, and the check of the input shape."""

from __future__ import annotations

import torch
from torch import Tensor


def check_input(owner: str, input: Tensor, n_neurons: int) -> None:
    """Raises ValueError unless the input is `(n_batch, n_neurons)`."""
    if input.ndim != 2 or input.shape[1] != n_neurons:
        raise ValueError(f"{owner} got input with shape={tuple(input.shape)}, expected (n_batch, {n_neurons})")


class CustomNorm(torch.nn.Module):
    """A normalisation of `(n_batch, n_neurons)`, with gamma (ones) and beta (zeros), each `(n_neurons,)`.

    Arguments:
        n_neurons: features.
        eps: added to the variance.

    Raises: ValueError in forward if the input has a different shape.
    """

    def __init__(self, n_neurons: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.n_neurons = n_neurons
        self.eps = eps
        self.gamma = torch.nn.Parameter(torch.ones(n_neurons))
        self.beta = torch.nn.Parameter(torch.zeros(n_neurons))

    def forward(self, input: Tensor) -> Tensor:
        check_input(type(self).__name__, input, self.n_neurons)
        return self.normalize(input)

    def normalize(self, input: Tensor) -> Tensor:
        raise NotImplementedError
