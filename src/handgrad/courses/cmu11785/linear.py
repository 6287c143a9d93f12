"""The linear layer with a weight of shape (inputs, outputs)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact
from handgrad.courses.live import floating, linear_backward, linear_forward


class Linear:
    """y = x W + b, with the gradients of W and b averaged over the batch.

    Formula: dx = delta Wᵀ, dW = xᵀ delta / N, db = Σₙ deltaₙ / N

    Arguments:
        in_feature, out_feature: numbers of inputs and outputs.
        weight_init_fn: called with both, returns `W`.
        bias_init_fn: called with `out_feature` after W has been drawn, returns `b`.

    Attributes: `W`, `dW`, `momentum_W` (in, out); `b`, `momentum_b`, shaped as `bias_init_fn` returned it; `db`
        (1, out). All may be modified or replaced.
    """

    #: Whether db keeps the batch axis: `(1, out)`.
    keepdims = True

    def __init__(
        self, in_feature: int, out_feature: int, weight_init_fn: Callable[..., Any], bias_init_fn: Callable[..., Any]
    ) -> None:
        self.W = weight_init_fn(in_feature, out_feature)
        self.b = bias_init_fn(out_feature)
        self.dW = np.zeros(np.shape(self.W))
        self.db = np.zeros((1, out_feature) if self.keepdims else out_feature)
        self.momentum_W = np.zeros(np.shape(self.W))
        self.momentum_b = np.zeros(np.shape(self.b))
        self._layer = nn.Linear(in_feature, out_feature, init="zeros")

    def __call__(self, x: Any) -> Inexact[Array, "N K"]:
        return self.forward(x)

    def forward(self, x: Any) -> Inexact[Array, "N K"]:
        return linear_forward(self._layer, np.transpose(self.W), self.b, x)

    def backward(self, delta: Any) -> Inexact[Array, "N D"]:
        """dx for `delta`, the gradient at the output; sets dW and db."""
        dx, dweight, dbias = linear_backward(self._layer, np.transpose(self.W), self.b, delta)
        self.dW = np.divide(dweight.T, len(dx), order="C")
        self.db = np.reshape(dbias / len(dx), (1, -1) if self.keepdims else -1)
        return dx

    def zero_grads(self) -> None:
        self.dW, self.db = np.zeros_like(self.dW), np.zeros_like(self.db)

    def step(self, lr: float, momentum: float) -> None:
        """v = momentum · v - lr · g; W = W + v; b likewise.

        `nn.SGD` stores v without the learning rate, as in PyTorch; the two differ when the rate changes.
        """
        self.momentum_W = momentum * self.momentum_W - lr * floating(self.dW)
        self.momentum_b = momentum * self.momentum_b - lr * np.reshape(self.db, np.shape(self.b))
        self.W = self.W + self.momentum_W
        self.b = self.b + self.momentum_b
