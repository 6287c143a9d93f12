from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Callable

import numpy as np
from scipy.special import erf

Pullback = Callable[[np.ndarray], np.ndarray]


@dataclass
class _Layer(ABC):
    """forward stores a pullback; backward runs it."""

    A: np.ndarray | None = field(default=None, init=False)
    _pull: Pullback | None = field(default=None, init=False, repr=False)

    @abstractmethod
    def run(self, Z: np.ndarray) -> tuple[np.ndarray, Pullback]: ...

    def forward(self, Z: np.ndarray) -> np.ndarray:
        self.A, self._pull = self.run(Z)
        return self.A

    def backward(self, dLdA: np.ndarray) -> np.ndarray:
        assert self._pull is not None, "forward first"
        return self._pull(dLdA)


class Identity(_Layer):
    def run(self, Z):
        return Z, lambda d: d


class Sigmoid(_Layer):
    def run(self, Z):
        e = np.exp(-abs(Z))
        A = np.choose(Z >= 0, [e / (1 + e), 1 / (1 + e)])
        return A, lambda d: d * e / (1 + e) ** 2


class Tanh(_Layer):
    def run(self, Z):
        A = np.tanh(Z)
        return A, lambda d: d - d * A * A


class ReLU(_Layer):
    def run(self, Z):
        A = np.where(Z < 0, Z.dtype.type(0), Z)
        return A, lambda d: d * np.sign(A)


class GELU(_Layer):
    def run(self, Z):
        cdf = 0.5 + 0.5 * erf(Z * np.sqrt(0.5).astype(Z.dtype))

        def pull(d):
            density = np.exp(-np.square(Z) / 2) / np.sqrt(2 * np.pi)
            return d * cdf + d * Z * density

        return Z * cdf, pull


class Softmax(_Layer):
    def run(self, Z):
        P = np.exp(Z - Z.max(axis=-1, keepdims=True))
        P /= P.sum(axis=-1, keepdims=True)

        def pull(d):
            # A J for all samples at once: J_n = diag(p_n) - p_n p_n^T
            J = -P[:, :, None] * P[:, None, :]
            k = np.arange(P.shape[1])
            J[:, k, k] += P
            return np.squeeze(d[:, None, :] @ J, axis=1)

        return P, pull
