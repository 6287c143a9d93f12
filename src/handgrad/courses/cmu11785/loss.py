"""Softmax cross-entropy per sample, and its derivative, neither averaged over the batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact
from handgrad.courses.live import floating


class Criterion:
    """Base class of losses: `forward(x, y)`, `derivative()`; `logits`, `labels` and `loss` are None at first."""

    def __init__(self) -> None:
        self.logits: Any = None
        self.labels: Any = None
        self.loss: Any = None

    def __call__(self, x: Any, y: Any) -> Any:
        return self.forward(x, y)

    def forward(self, x: Any, y: Any) -> Any:
        raise NotImplementedError

    def derivative(self) -> Any:
        raise NotImplementedError


class SoftmaxCrossEntropy(Criterion):
    """Softmax and cross-entropy of each sample.

    Formula: lossₙ = log Σₖ eˣⁿᵏ - Σₖ yₙₖ xₙₖ (log-sum-exp, which needs no eps); derivative = softmax(x) - y

    Arguments of forward:
        x: logits `(N, K)`.
        y: one-hot rows `(N, K)`.

    Returns: forward returns the losses `(N,)`, derivative `(N, K)`.
    Raises: ValueError if the shapes do not match.
    Source: Fall 2019 handout, task 2 and its appendix.
    """

    _layer: nn.SoftmaxCrossEntropy | None = None

    def forward(self, x: Any, y: Any) -> Inexact[Array, "N"]:
        self.logits, self.labels = x, y
        x, y = floating(x), np.asarray(y)
        if x.ndim != 2 or x.shape != y.shape:
            raise ValueError(
                f"SoftmaxCrossEntropy got x with shape={x.shape} and y with shape={y.shape}, expected both (N, K): "
                "y contains a one-hot row per sample"
            )
        # The layer averages over a batch, so each sample is passed as a separate batch.
        self._layer = nn.SoftmaxCrossEntropy()
        self.loss = self._layer.forward(x[:, None], y[:, None])
        return self.loss

    def derivative(self) -> Inexact[Array, "N K"]:
        if self._layer is None:
            raise RuntimeError("SoftmaxCrossEntropy.derivative was called before forward: call forward(x, y) first")
        return self._layer.backward()[:, 0]
