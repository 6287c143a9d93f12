from __future__ import annotations

import numpy as np


class BatchNorm1d:
    def __init__(self, num_features: int, alpha: float = 0.9) -> None:
        self.alpha = alpha
        self.eps = 1e-8
        zeros, ones = np.zeros((1, num_features)), np.ones((1, num_features))
        self.BW, self.Bb = ones.copy(), zeros.copy()
        self.dLdBW, self.dLdBb = zeros.copy(), zeros.copy()
        self.running_M, self.running_V = zeros.copy(), ones.copy()

    def _inv_std(self, V: np.ndarray) -> np.ndarray:
        return np.reciprocal(np.sqrt(V + self.eps))

    def forward(self, Z: np.ndarray, eval: bool = False) -> np.ndarray:
        self.Z, self.N = Z, Z.shape[0]
        if not eval:
            self.M, self.V = Z.mean(0, keepdims=True), Z.var(0, keepdims=True)
            self.running_M = self.alpha * self.running_M + (1 - self.alpha) * self.M
            self.running_V = self.alpha * self.running_V + (1 - self.alpha) * self.V
        M, V = (self.running_M, self.running_V) if eval else (self.M, self.V)
        self.NZ = (Z - M) * self._inv_std(V)
        self.BZ = self.BW * self.NZ + self.Bb
        return self.BZ

    def backward(self, dLdBZ: np.ndarray) -> np.ndarray:
        self.dLdBb[...] = dLdBZ.sum(axis=0)
        self.dLdBW[...] = (dLdBZ * self.NZ).sum(axis=0)
        r = self._inv_std(self.V)
        c = self.Z - self.M
        g = dLdBZ * self.BW
        # r depends on c, c depends on the mean: two stages
        dLdr = (g * c).sum(axis=0, keepdims=True)
        dLdV = dLdr * (-r ** 3 / 2)
        dLdc = g * r + dLdV * 2 * c / self.N
        return dLdc - dLdc.mean(axis=0, keepdims=True)
