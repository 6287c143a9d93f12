"""Rectifiers joined to the layer before them, which does their work while its output is in the cache."""

from __future__ import annotations

import itertools

from handgrad._typing import Array, Inexact
from handgrad.nn.activations import ReLU
from handgrad.nn.batchnorm2d import BatchNorm2d
from handgrad.nn.layer import Layer
from handgrad.nn.linear import Linear
from handgrad.nn.normalization import BatchNorm1d
from handgrad.nn.sequential import Sequential


class JoinedReLU(ReLU):
    """A ReLU whose work, in both directions, the batch normalisation before it does: hands on what it gets."""

    def forward(self, x: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        return x

    def backward(self, dy: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
        return dy


def join_rectifiers(network: Layer) -> None:
    """Lets every `Linear` or batch normalisation that a `ReLU` follows do the ReLU's work: that of images in both
    directions, the others in the forward pass.

    The network computes the same numbers in fewer walks through memory. An engine does this; a network that is read
    layer by layer is better left alone.
    """
    for sequence in network.modules():
        if not isinstance(sequence, Sequential):
            continue
        layers = list(sequence.layers)
        for i, (before, relu) in enumerate(itertools.pairwise(layers), start=1):
            if type(relu) is not ReLU:
                continue
            if type(before) is BatchNorm2d:
                before.rectifies = True
                layers[i] = JoinedReLU()
            elif type(before) is Linear or type(before) is BatchNorm1d:
                before.rectifies = relu.rectified = True
        sequence.layers = tuple(layers)
