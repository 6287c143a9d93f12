from typing import Callable, Optional

import numpy as np


class Linear(object):
    def __init__(
        self,
        in_feature: int,
        out_feature: int,
        weight_init_fn: Callable[[int, int], np.ndarray],
        bias_init_fn: Callable[[int], np.ndarray],
    ) -> None:
        self.W = weight_init_fn(in_feature, out_feature)
        self.b = bias_init_fn(out_feature)
        self.dW, self.momentum_W = np.zeros_like(self.W), np.zeros_like(self.W)
        self.db, self.momentum_b = np.zeros((1, out_feature)), np.zeros((1, out_feature))
        self.x: Optional[np.ndarray] = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.forward(x)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x = x
        return np.einsum("bi,ij->bj", x, self.W) + self.b

    def backward(self, delta: np.ndarray) -> np.ndarray:
        # outer products per sample, then the mean over the batch
        self.dW = np.mean(self.x[:, :, np.newaxis] * delta[:, np.newaxis, :], axis=0)
        self.db = np.mean(delta, axis=0)[np.newaxis]
        return np.einsum("bj,ij->bi", delta, self.W)

    def update(self, lr: float, momentum: float) -> None:
        for name in ("W", "b"):
            velocity = momentum * getattr(self, "momentum_" + name) - lr * getattr(self, "d" + name)
            setattr(self, "momentum_" + name, velocity)
            setattr(self, name, getattr(self, name) + velocity)
