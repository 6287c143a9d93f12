from __future__ import annotations

import numpy as np

from mytorch.nn.activation import ReLU
from mytorch.nn.linear import Linear


class _Base:
    SIZES: tuple[int, ...]

    def __init_subclass__(cls, sizes: tuple[int, ...]) -> None:
        cls.SIZES = sizes

    def __init__(self, debug: bool = False) -> None:
        self.debug = debug
        self.layers: list = []
        for fan_in, fan_out in zip(self.SIZES[:-1], self.SIZES[1:]):
            self.layers += [Linear(fan_in, fan_out, debug=debug), ReLU()]

    def forward(self, A: np.ndarray) -> np.ndarray:
        self.A = [A]
        for layer in self.layers:
            self.A.append(layer.forward(self.A[-1]))
        return self.A[-1]

    def backward(self, dLdA: np.ndarray) -> np.ndarray:
        self.dLdA = [dLdA]
        for layer in reversed(self.layers):
            self.dLdA.insert(0, layer.backward(self.dLdA[0]))
        return self.dLdA[0]


class MLP0(_Base, sizes=(2, 3)):
    pass


class MLP1(_Base, sizes=(2, 3, 2)):
    pass


class MLP4(_Base, sizes=(2, 4, 8, 8, 4, 2)):
    pass
