"""Multi-layer perceptron on the modules of modules.py."""

from __future__ import annotations

from functools import reduce
from typing import Sequence

import modules


class MLP:
    """Linear layers with an activation between them, softmax at the end."""

    def __init__(self, n_inputs: int, n_hidden: Sequence[int], n_classes: int) -> None:
        widths = [n_inputs, *n_hidden, n_classes]
        self._modules = []
        for index, (fan_in, fan_out) in enumerate(zip(widths, widths[1:])):
            if index:
                self._modules.append(modules.ELUModule())
            self._modules.append(modules.LinearModule(fan_in, fan_out))
        self._modules.append(modules.SoftMaxModule())

    @property
    def layers(self):
        return list(self._modules)

    def forward(self, x):
        return reduce(lambda value, module: module.forward(value), self._modules, x)

    def backward(self, dout):
        return reduce(lambda value, module: module.backward(value), self._modules[::-1], dout)
