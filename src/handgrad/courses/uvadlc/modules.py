"""The modules of the NumPy network: `forward(x)`, `backward(dout)`, and parameters and gradients in dictionaries."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact
from handgrad.courses.live import floating, linear_backward, linear_forward


class LinearModule:
    """An affine map: out = x Wᵀ + b.

    Formula: dx = dout W, dW = doutᵀ x, db = Σₙ doutₙ

    Arguments:
        in_features, out_features: numbers of inputs and outputs. W is drawn from N(0, 0.0001) (a standard deviation of
            0.0001) by `np.random`, b is 0.

    Attributes: `params` and `grads`, each with `'weight'` (out, in) and `'bias'` (out,). Parameters may be modified in
    place or replaced: the next pass uses the new value. backward replaces the gradients.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        weight = np.random.normal(0, 0.0001, (out_features, in_features))
        self.params: dict[str, Any] = {"weight": weight, "bias": np.zeros(out_features)}
        self.grads: dict[str, Any] = {name: np.zeros_like(value) for name, value in self.params.items()}
        self._layer = nn.Linear(in_features, out_features, init="zeros")

    def forward(self, x: Any) -> Inexact[Array, "N K"]:
        return linear_forward(self._layer, self.params["weight"], self.params["bias"], x)

    def backward(self, dout: Any) -> Inexact[Array, "N D"]:
        weight, bias = self.params["weight"], self.params["bias"]
        dx, dweight, dbias = linear_backward(self._layer, weight, bias, dout)
        self.grads["weight"], self.grads["bias"] = dweight, dbias.reshape(np.shape(bias))
        return dx


class _Module:
    """A module without parameters: a layer of `handgrad.nn` under the names of the course."""

    _layer: nn.Layer

    def forward(self, x: Any) -> Inexact[Array, "N D"]:
        return self._layer.forward(floating(x))

    def backward(self, dout: Any) -> Inexact[Array, "N D"]:
        dx = self._layer.backward(floating(dout))
        assert dx is not None  # computed by default
        return dx


class ReLUModule(_Module):
    """out = max(0, x); dx = dout where x > 0, else 0."""

    def __init__(self) -> None:
        self._layer = nn.ReLU()


class LeakyReLUModule(_Module):
    """out = x where x > 0, else neg_slope · x; dx = dout where x > 0, else neg_slope · dout."""

    def __init__(self, neg_slope: float) -> None:
        self.neg_slope = neg_slope
        self._layer = nn.LeakyReLU(neg_slope)


class ELUModule(_Module):
    """out = x where x > 0, else eˣ - 1; dx = dout where x > 0, else eˣ · dout."""

    def __init__(self) -> None:
        self._layer = nn.ELU()


class SoftMaxModule(_Module):
    """The softmax of each row, shifted by its maximum; backward is the product of dout with the full Jacobian."""

    def __init__(self) -> None:
        self._layer = nn.Softmax()


class CrossEntropyModule:
    """Cross-entropy of probabilities, the mean over the batch.

    Formula: L = -1/N Σₙ Σₖ yₙₖ log xₙₖ, dx = -y / (N x)

    Arguments of forward and backward:
        x: probabilities `(N, K)`.
        y: one-hot rows `(N, K)`.

    backward does not require a previous forward.
    """

    def forward(self, x: Any, y: Any) -> Any:
        """The loss, a number."""
        return nn.CrossEntropy().forward(floating(x), np.asarray(y))

    def backward(self, x: Any, y: Any) -> Inexact[Array, "N K"]:
        loss = nn.CrossEntropy()
        loss.forward(floating(x), np.asarray(y))
        return loss.backward()
