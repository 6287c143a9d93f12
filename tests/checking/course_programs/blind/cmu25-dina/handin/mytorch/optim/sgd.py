from __future__ import annotations

import numpy as np


class SGD:
    def __init__(self, model, lr: float = 0.1, momentum: float = 0) -> None:
        self.l = model.layers[::2]
        self.L = len(self.l)
        self.lr = lr
        self.mu = momentum
        self.v_W: list[np.ndarray] = [np.zeros(layer.W.shape) for layer in self.l]
        self.v_b: list[np.ndarray] = [np.zeros(layer.b.shape) for layer in self.l]

    def step(self) -> None:
        for layer, v_W, v_b in zip(self.l, self.v_W, self.v_b):
            v_W *= self.mu
            v_W += layer.dLdW
            v_b *= self.mu
            v_b += layer.dLdb
            layer.W = layer.W - self.lr * v_W
            layer.b = layer.b - self.lr * v_b
