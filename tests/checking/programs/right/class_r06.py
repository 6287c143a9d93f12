from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass
class RMSNorm:
    """x / rms(x) * scale over the last axis."""

    dim: int
    eps: float = 1e-6

    def __post_init__(self) -> None:
        self.scale = np.linspace(0.5, 1.5, self.dim)
        self.dscale = np.zeros(self.dim)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self._x = x
        self._r = 1.0 / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + self.eps)
        return x * self._r * self.scale

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x, r = self._x, self._r
        self.dscale = np.sum(dy * x * r, axis=0)
        g = dy * self.scale
        return r * g - x * r ** 3 * np.mean(g * x, axis=-1, keepdims=True)
