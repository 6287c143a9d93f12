from functools import reduce

from mytorch.nn.linear import Linear
from mytorch.nn.activation import ReLU


class Net:
    widths = None

    def __init__(self, debug=False):
        self.debug = debug
        self.layers = [part for pair in zip(self.widths, self.widths[1:]) for part in (Linear(*pair, debug), ReLU())]

    def forward(self, A):
        return reduce(lambda a, layer: layer.forward(a), self.layers, A)

    def backward(self, dLdA):
        return reduce(lambda d, layer: layer.backward(d), reversed(self.layers), dLdA)


MLP0 = type("MLP0", (Net,), {"widths": [2, 3]})
MLP1 = type("MLP1", (Net,), {"widths": [2, 3, 2]})
MLP4 = type("MLP4", (Net,), {"widths": [2, 4, 8, 8, 4, 2]})
