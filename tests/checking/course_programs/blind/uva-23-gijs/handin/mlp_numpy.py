from typing import List

import numpy as np

from modules import CrossEntropyModule, ELUModule, LinearModule, SoftMaxModule


class MLP:
    def __init__(self, n_inputs: int, n_hidden: List[int], n_classes: int) -> None:
        widths = [n_inputs, *n_hidden, n_classes]
        self.layers = []
        for depth, (a, b) in enumerate(zip(widths[:-1], widths[1:])):
            if depth:
                self.layers.append(ELUModule())
            self.layers.append(LinearModule(a, b, input_layer=not depth))
        self.layers.append(SoftMaxModule())

    def forward(self, x: np.ndarray) -> np.ndarray:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout: np.ndarray) -> None:
        for layer in self.layers[::-1]:
            dout = layer.backward(dout)

    def clear_cache(self) -> None:
        for layer in self.layers:
            layer.clear_cache()
