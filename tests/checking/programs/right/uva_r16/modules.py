"""Network modules with hand-derived backward passes."""

from __future__ import annotations

from typing import Dict, Optional

import numpy as np

Array = np.ndarray


class LinearModule:
    """Affine map y = x W^T + b."""

    def __init__(self, in_features: int, out_features: int, input_layer: bool = False) -> None:
        gain = 1.0 if input_layer else 2.0
        weight = np.random.randn(out_features, in_features) * np.sqrt(gain / in_features)
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

    def clear_cache(self):
        self._x = None


class ELUModule:
    """Exponential linear unit."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self._slope: Optional[Array] = None

    def forward(self, x: Array) -> Array:
        below = self.alpha * np.expm1(np.minimum(x, 0.0))
        self._slope = np.where(x > 0, 1.0, below + self.alpha)
        return np.maximum(x, 0.0) + below

    def backward(self, dout: Array) -> Array:
        return dout * self._slope

    def clear_cache(self) -> None:
        self._slope = None


class SoftMaxModule:
    """Softmax over the last axis; the backward pass is the full Jacobian product."""

    def __init__(self) -> None:
        self._s: Optional[Array] = None

    def forward(self, x: Array) -> Array:
        log_z = np.logaddexp.reduce(x, axis=1, keepdims=True)
        self._s = np.exp(x - log_z)
        return self._s

    def backward(self, dout: Array) -> Array:
        s = self._s
        jacobian = s[:, :, None] * (np.eye(s.shape[1], dtype=s.dtype)[None] - s[:, None, :])
        return (dout[:, None, :] @ jacobian)[:, 0, :]

    def clear_cache(self):
        self._s = None


class CrossEntropyModule:
    """Mean cross-entropy of probabilities against integer labels."""

    def forward(self, x: Array, y: Array) -> float:
        return float(-np.log(self._picked(x, y)).mean())

    def backward(self, x: Array, y: Array) -> Array:
        dx = np.zeros_like(x)
        np.put_along_axis(dx, y[:, None], -1.0 / (len(y) * self._picked(x, y)), axis=1)
        return dx

    @staticmethod
    def _picked(x: Array, y: Array) -> Array:
        return np.take_along_axis(x, y[:, None], axis=1)

    def clear_cache(self):
        pass
