"""
This module implements a multi-layer perceptron (MLP) in NumPy.
"""
from itertools import chain as flat

from modules import LeakyReLUModule, LinearModule, SoftMaxModule
from tensor_tools import chain


class MLP(object):
    def __init__(self, n_inputs, n_hidden, n_classes, neg_slope):
        self.layers = list(self._make(n_inputs, tuple(n_hidden), n_classes, neg_slope))

    def _make(self, n_in, hidden, n_classes, slope):
        """Recursive generator of the modules."""
        if not hidden:
            yield LinearModule(n_in, n_classes)
            yield SoftMaxModule()
            return
        first, *rest = hidden
        yield LinearModule(n_in, first)
        yield LeakyReLUModule(slope)
        yield from self._make(first, rest, n_classes, slope)

    def forward(self, x):
        return chain(self.layers, x, 'forward')

    def backward(self, dout):
        return chain(reversed(self.layers), dout, 'backward')

    def parameters(self):
        return flat.from_iterable(l.params.values() for l in self.layers if hasattr(l, 'params'))
