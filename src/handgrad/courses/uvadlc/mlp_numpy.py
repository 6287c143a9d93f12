"""The multi-layer perceptron in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from handgrad._typing import Array, Inexact
from handgrad.courses.uvadlc.modules import ELUModule, LeakyReLUModule, LinearModule, ReLUModule, SoftMaxModule


class MLP:
    """Linear modules with activations between them, and a softmax at the end.

    Arguments:
        n_inputs: features of a sample.
        n_hidden: units of each hidden layer; an empty list for multinomial logistic regression.
        n_classes: K.
        neg_slope: slope of a leaky ReLU; by default, the activation of the edition.

    Attributes: `layers`, the modules in order. Weights are drawn in that order from `np.random`, and nothing else is.
    """

    activation: type = ReLUModule

    def __init__(self, n_inputs: int, n_hidden: Sequence[int], n_classes: int, neg_slope: float | None = None) -> None:
        self.layers: list[Any] = []
        for units in n_hidden:
            self.layers.append(LinearModule(n_inputs, units))
            self.layers.append(self.activation() if neg_slope is None else LeakyReLUModule(neg_slope))
            n_inputs = units
        self.layers += [LinearModule(n_inputs, n_classes), SoftMaxModule()]

    def forward(self, x: Any) -> Inexact[Array, "N K"]:
        """Probabilities `(N, n_classes)` of samples `(N, n_inputs)`."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout: Any) -> Inexact[Array, "N D"]:
        """Computes the gradients of all parameters from `dout`, the gradient at the output; returns that at the
        input."""
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout


class MLPNovember2019(MLP):
    """`MLP` with leaky ReLUs."""

    def __init__(self, n_inputs: int, n_hidden: Sequence[int], n_classes: int, neg_slope: float = 0.02) -> None:
        super().__init__(n_inputs, n_hidden, n_classes, neg_slope)


class MLP2020(MLP):
    """`MLP` with ELUs."""

    activation = ELUModule

    def __init__(self, n_inputs: int, n_hidden: Sequence[int], n_classes: int) -> None:
        super().__init__(n_inputs, n_hidden, n_classes)
