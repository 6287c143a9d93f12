"""Network modules with hand-derived backward passes."""

from __future__ import annotations

from typing import Dict, Optional

import numpy as np

Array = np.ndarray


class LinearModule:
    """Affine map y = x W^T + b."""

    def __init__(self, in_features: int, out_features: int) -> None:
        weight = 0.0001 * np.random.randn(out_features, in_features)
        self.params: Dict[str, Array] = {"weight": weight, "bias": np.zeros(out_features)}
        self.grads: Dict[str, Array] = {name: np.zeros_like(value) for name, value in self.params.items()}
        self._x: Optional[Array] = None

    @property
    def weight(self) -> Array:
        return self.params["weight"]

    @property
    def bias(self) -> Array:
        return self.params["bias"]

    def forward(self, x: Array) -> Array:
        self._x = x
        return np.einsum("ni,oi->no", x, self.weight) + self.bias

    def backward(self, dout: Array) -> Array:
        self.grads = {
            "weight": np.einsum("no,ni->oi", dout, self._x),
            "bias": np.einsum("no->o", dout),
        }
        return np.einsum("no,oi->ni", dout, self.weight)


class LeakyReLUModule:
    """x where positive, neg_slope * x elsewhere."""

    def __init__(self, neg_slope: float) -> None:
        self.neg_slope = neg_slope
        self._slope: Optional[Array] = None

    def forward(self, x: Array) -> Array:
        self._slope = (x > 0) + self.neg_slope * (x <= 0)
        return self._slope * x

    def backward(self, dout: Array) -> Array:
        return self._slope * dout


class SoftMaxModule(object):
    def forward(self, x):
        z = x - np.amax(x)
        self.p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
        return self.p

    def backward(self, dout):
        p = self.p
        g = p * dout
        return g - p * g.sum(-1, keepdims=True)


class CrossEntropyModule:
    """Mean cross-entropy of probabilities against one-hot labels."""

    def forward(self, x: Array, y: Array) -> float:
        return float(-np.mean(y * np.log(x)))

    def backward(self, x: Array, y: Array) -> Array:
        picked = np.einsum("nk,nk->n", x, y)
        return -y / (len(x) * picked[:, None])
