from typing import Optional

import numpy as np

Array = np.ndarray



class BatchNorm:
    """Batch normalisation over the first axis."""

    def __init__(self, fan_in: int, alpha: float = 0.9) -> None:
        self.alpha: float = alpha
        self.eps: float = 1e-8
        self.x: Optional[Array] = None
        self.norm: Optional[Array] = None
        self.out: Optional[Array] = None
        shape = (1, fan_in)
        self.var, self.mean = np.ones(shape), np.zeros(shape)
        self.gamma, self.dgamma = np.ones(shape), np.zeros(shape)
        self.beta, self.dbeta = np.zeros(shape), np.zeros(shape)
        self.running_mean, self.running_var = np.zeros(shape), np.ones(shape)
        self._inverse_std: Optional[Array] = None

    def __call__(self, x: Array, eval: bool = False) -> Array:
        return self.forward(x, eval)

    def forward(self, x: Array, eval: bool = False) -> Array:
        self.x = x
        if eval:
            self._normalise(self.running_mean, self.running_var)
        else:
            self.mean = x.mean(axis=0, keepdims=True)
            self.var = x.var(axis=0, keepdims=True)
            self._normalise(self.mean, self.var)
            self._track()
        self.out = self.gamma * self.norm + self.beta
        return self.out

    def _normalise(self, mean: Array, var: Array) -> None:
        self._inverse_std = 1.0 / np.sqrt(var + self.eps)
        self.norm = (self.x - mean) * self._inverse_std

    def _track(self) -> None:
        keep, take = self.alpha, 1.0 - self.alpha
        self.running_mean = keep * self.running_mean + take * self.mean
        self.running_var = keep * self.running_var + take * self.var

    def backward(self, delta: Array) -> Array:
        self.dbeta = np.sum(delta * self.norm, axis=0, keepdims=True)
        self.dgamma = np.sum(delta, axis=0, keepdims=True)
        g = delta * self.gamma
        centred = g - g.mean(axis=0, keepdims=True)
        projected = self.norm * np.mean(g * self.norm, axis=0, keepdims=True)
        return self._inverse_std * (centred - projected)

