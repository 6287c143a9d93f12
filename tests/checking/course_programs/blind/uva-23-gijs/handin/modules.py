import numpy as np
from typing import Dict, Optional


class _Module:
    """Common bits: a cache that can be cleared."""

    def __init__(self) -> None:
        self._cache: Optional[np.ndarray] = None

    def clear_cache(self) -> None:
        self._cache = None


class LinearModule(_Module):
    def __init__(self, in_features: int, out_features: int, input_layer: bool = False) -> None:
        super().__init__()
        self.params: Dict[str, np.ndarray] = {}
        self.grads: Dict[str, np.ndarray] = {}
        variance = (1 if input_layer else 2) / in_features
        self.params["weight"] = np.random.normal(0.0, variance ** 0.5, size=(out_features, in_features))
        self.params["bias"] = np.zeros(out_features)
        for name in self.params:
            self.grads[name] = np.zeros_like(self.params[name])

    def forward(self, x: np.ndarray) -> np.ndarray:
        self._cache = x
        return x @ self.params["weight"].T + self.params["bias"]

    def backward(self, dout: np.ndarray) -> np.ndarray:
        self.grads["weight"] = (self._cache.T @ dout).T
        self.grads["bias"] = dout.sum(0)
        return dout @ self.params["weight"]


class ELUModule(_Module):
    def forward(self, x: np.ndarray) -> np.ndarray:
        self._cache = x
        out = x.copy()
        neg = x < 0
        out[neg] = np.exp(x[neg]) - 1
        return out

    def backward(self, dout: np.ndarray) -> np.ndarray:
        neg = self._cache < 0
        dx = dout.copy()
        dx[neg] *= np.exp(self._cache[neg])
        return dx


class SoftMaxModule(_Module):
    def forward(self, x: np.ndarray) -> np.ndarray:
        exps = np.exp(x - x.max(axis=0, keepdims=True))
        self._cache = exps / exps.sum(axis=1, keepdims=True)
        return self._cache

    def backward(self, dout: np.ndarray) -> np.ndarray:
        p = self._cache
        return p * dout - p * (p * dout).sum(axis=1, keepdims=True)


class CrossEntropyModule:
    def forward(self, x: np.ndarray, y: np.ndarray) -> float:
        true = np.take_along_axis(x, y[:, None], axis=1)
        return -np.log(true).mean()

    def backward(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        true = np.take_along_axis(x, y[:, None], axis=1)
        dx = np.zeros_like(x)
        np.put_along_axis(dx, y[:, None], -1 / (true * y.size), axis=1)
        return dx
