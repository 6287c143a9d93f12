"""Batch normalisation with all intermediate values as attributes."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Inexact
from handgrad.courses.live import bind, floating


class BatchNorm:
    """Normalises each feature over the batch, or with running statistics in evaluation mode.

    Formula:
        norm = (x - mean) / √(var + eps), out = gamma · norm + beta; var is biased everywhere
        dgamma = Σₙ delta · norm, dbeta = Σₙ delta: sums over the batch
        running = alpha · running + (1 - alpha) · batch

    Arguments:
        fan_in: number of features.
        alpha: decay of the running statistics.

    Attributes: `alpha`, `eps`; `x`, `norm`, `out` of the last forward; `mean`, `var` of the last training batch,
        `gamma`, `beta`, `running_mean`, `running_var`, each `(1, fan_in)`; `dgamma`, `dbeta`, `(1, fan_in)` at first
        and `(fan_in,)` after a backward (`(1, fan_in)` in the 2020 edition). All may be modified or replaced.
    Source: Fall 2019 handout, task 3 and appendix, equations 1 to 35.
    """

    #: Whether gradients keep the batch axis: `(1, fan_in)`.
    keepdims = False

    def __init__(self, fan_in: int, alpha: float = 0.9) -> None:
        self.alpha = alpha
        self.eps = 1e-8
        self.x: Any = None
        self.norm: Any = None
        self.out: Any = None
        self.var = np.ones((1, fan_in))
        self.mean = np.zeros((1, fan_in))
        self.gamma = np.ones((1, fan_in))
        self.dgamma = np.zeros((1, fan_in))
        self.beta = np.zeros((1, fan_in))
        self.dbeta = np.zeros((1, fan_in))
        self.running_mean = np.zeros((1, fan_in))
        self.running_var = np.ones((1, fan_in))
        # With momentum 1, the running statistics of the layer are those of the batch, which the course exposes.
        self._layer = nn.BatchNorm1d(fan_in, momentum=1.0, running_variance="biased")

    def __call__(self, x: Any, eval: bool = False) -> Inexact[Array, "N D"]:
        return self.forward(x, eval)

    def forward(self, x: Any, eval: bool = False) -> Inexact[Array, "N D"]:
        """The normalised batch `(N, fan_in)`; with `eval`, normalised by the running statistics, which do not
        change."""
        self.x = x
        x = floating(x, self.gamma, self.beta)
        self._bind(x.dtype)
        layer = self._layer
        layer.train(not eval)
        layer.running_mean = np.array(self.running_mean, float).reshape(-1)
        layer.running_var = np.array(self.running_var, float).reshape(-1)
        self.out = layer.forward(x)
        self.norm = layer._recall()[0]
        if not eval:
            self.mean, self.var = layer.running_mean[None], layer.running_var[None]
            self.running_mean = self.alpha * self.running_mean + (1 - self.alpha) * self.mean
            self.running_var = self.alpha * self.running_var + (1 - self.alpha) * self.var
        return self.out

    def backward(self, delta: Any) -> Inexact[Array, "N D"]:
        """dx `(N, fan_in)` for `delta`, the gradient at the output; sets dgamma and dbeta."""
        delta = floating(delta, self.gamma)
        self._bind(delta.dtype)
        dx = self._layer.backward(delta)
        self.dgamma, self.dbeta = (
            np.reshape(parameter.grad, (1, -1) if self.keepdims else -1) for parameter in self._layer.parameters()
        )
        return dx

    def _bind(self, dtype: np.dtype) -> None:
        self._layer.eps = self.eps
        bind(self._layer.weight, np.reshape(self.gamma, -1), dtype)
        bind(self._layer.bias, np.reshape(self.beta, -1), dtype)
