import numpy as np
from mytorch.nn.linear import Linear
from mytorch.nn.activation import ReLU


class _Chain:
    sizes = ()

    def __init__(self, debug=False):
        self.debug = debug
        self.layers = []
        for a, b in zip(self.sizes, self.sizes[1:]):
            self.layers += [Linear(a, b), ReLU()]

    def forward(self, A):
        for layer in self.layers:
            A = layer.forward(A)
        return A

    def backward(self, dLdA):
        for layer in self.layers[::-1]:
            dLdA = layer.backward(dLdA)
        return dLdA


class MLP0(_Chain):
    sizes = (2, 3)


class MLP1(_Chain):
    sizes = (2, 3, 2)


class MLP4(_Chain):
    sizes = (2, 4, 8, 8, 4, 2)
