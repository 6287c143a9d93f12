from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

from modules import *


class MLP(object):
    layers = []

    def __init__(self, n_inputs, n_hidden, n_classes):
        prev = n_inputs
        for n in n_hidden:
            self.layers.append(LinearModule(prev, n))
            self.layers.append(ReLUModule())
            prev = n
        self.layers.append(LinearModule(prev, n_classes))
        self.layers.append(SoftMaxModule())

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout):
        for layer in self.layers[::-1]:
            dout = layer.backward(dout)
        return dout
