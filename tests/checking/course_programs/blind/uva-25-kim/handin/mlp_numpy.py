from __future__ import annotations

import functools

import numpy as np

from modules import ELUModule, LinearModule, SoftMaxModule


class MLP:
    def __init__(self, n_inputs: int, n_hidden: list[int], n_classes: int) -> None:
        self.n_hidden = tuple(n_hidden)
        self.layers: list = []
        fan_in = n_inputs
        for units in self.n_hidden:
            self._add(LinearModule(fan_in, units, input_layer=not self.layers))
            self._add(ELUModule(alpha=1.0))
            fan_in = units
        self._add(LinearModule(fan_in, n_classes, input_layer=not self.layers))
        self._add(SoftMaxModule())

    def _add(self, layer) -> None:
        self.layers.append(layer)

    def forward(self, x: np.ndarray) -> np.ndarray:
        x = x.reshape(len(x), -1)
        return functools.reduce(lambda value, layer: layer.forward(value), self.layers, x)

    def backward(self, dout: np.ndarray) -> None:
        functools.reduce(lambda value, layer: layer.backward(value), reversed(self.layers), dout)

    def clear_cache(self) -> None:
        for layer in self.layers:
            layer.clear_cache()

    def __repr__(self) -> str:
        return f"MLP{self.n_hidden}"
