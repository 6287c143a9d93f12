"""
This module implements a multi-layer perceptron (MLP) in NumPy.
"""
from modules import *


class MLP(object):
    def __init__(self, n_inputs, n_hidden, n_classes):
        dims = n_hidden
        dims.insert(0, n_inputs)
        dims.append(n_classes)
        self.modules = []
        for k in range(1, len(dims)):
            self.modules.append(LinearModule(dims[k - 1], dims[k], input_layer=k == 1))
            self.modules.append(ReLUModule())
        self.modules.pop()            # no ReLU after the last linear layer
        self.modules.append(SoftMaxModule())
        self.layers = self.modules

    def forward(self, x):
        for m in self.modules:
            x = m.forward(x)
        return x

    def backward(self, dout):
        for m in self.modules[::-1]:
            dout = m.backward(dout)

    def clear_cache(self):
        for m in self.modules:
            m.clear_cache()
