################################################################################
# Assignment 1, Deep Learning Course, Fall 2025
################################################################################
from __future__ import annotations

import numpy as np


def _views(flat: np.ndarray, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Named windows into one flat vector."""
    out, at = {}, 0
    for key, shape in shapes.items():
        size = int(np.prod(shape))
        out[key] = flat[at : at + size].reshape(shape)
        at += size
    assert at == flat.size
    return out


class LinearModule:
    """Parameters and gradients each live in one contiguous vector; `params` and `grads` are windows into them."""

    def __init__(self, in_features: int, out_features: int, input_layer: bool = False) -> None:
        shapes = {"weight": (out_features, in_features), "bias": (out_features,)}
        total = out_features * (in_features + 1)
        self.theta = np.zeros(total)
        self.dtheta = np.zeros(total)
        self.params = _views(self.theta, shapes)
        self.grads = _views(self.dtheta, shapes)
        std = (1.0 if input_layer else 2.0**0.5) / in_features**0.5
        self.params["weight"][...] = np.random.normal(scale=std, size=shapes["weight"])
        self._x: np.ndarray | None = None

    def forward(self, x: np.ndarray) -> np.ndarray:
        self._x = x
        out = x @ self.params["weight"].T
        out += self.params["bias"]
        return out

    def backward(self, dout: np.ndarray) -> np.ndarray:
        np.matmul(dout.T, self._x, out=self.grads["weight"])
        dout.sum(axis=0, out=self.grads["bias"])
        return dout @ self.params["weight"]

    def clear_cache(self) -> None:
        self._x = None


class ELUModule:
    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self._state: tuple | None = None

    def forward(self, x: np.ndarray) -> np.ndarray:
        neg = np.expm1(np.clip(x, None, 0))  # 0 where x >= 0
        self._state = (x, neg)
        return np.where(x > 0, x, self.alpha * neg)

    def backward(self, dout: np.ndarray) -> np.ndarray:
        x, neg = self._state
        slope = np.ones_like(neg)
        np.copyto(slope, self.alpha * (neg + 1), where=x <= 0)
        return slope * dout

    def clear_cache(self) -> None:
        self._state = None


class SoftMaxModule:
    def __init__(self) -> None:
        self._p: np.ndarray | None = None

    def forward(self, x: np.ndarray) -> np.ndarray:
        z = x - np.maximum.reduce(x, axis=1, keepdims=True)
        np.exp(z, out=z)
        z /= np.add.reduce(z, axis=1, keepdims=True)
        self._p = z
        return z.copy()

    def backward(self, dout: np.ndarray) -> np.ndarray:
        p = self._p
        dots = np.sum(p * dout, axis=1, keepdims=True)
        return p * (dout - dots)

    def clear_cache(self) -> None:
        self._p = None


class CrossEntropyModule:
    @staticmethod
    def _at(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.arange(x.shape[0]), np.asarray(y).ravel()

    def forward(self, x: np.ndarray, y: np.ndarray) -> float:
        return float(np.mean(-np.log(x[self._at(x, y)])))

    def backward(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        at = self._at(x, y)
        dx = np.zeros_like(x)
        dx[at] = np.negative(np.reciprocal(x[at] * x.shape[0]))
        return dx
