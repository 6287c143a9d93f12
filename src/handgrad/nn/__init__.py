"""Layers, losses, initialisers and optimisers in NumPy, every gradient derived by hand.

A layer has `forward(x) -> y` and `backward(dy) -> dx`, parameters with `.value` and `.grad` (overwritten by backward),
and `train()` / `eval()`. Used on its own it returns fresh arrays and never changes what it is given.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> network = Sequential(Linear(4, 8, rng=rng), ReLU(), Linear(8, 3, rng=rng))
    >>> loss = SoftmaxCrossEntropy()
    >>> x, labels = rng.standard_normal((5, 4), dtype=np.float32), np.array([0, 2, 1, 1, 0])
    >>> bool(loss.forward(network.forward(x), labels) > 0)
    True
    >>> dx = network.backward(loss.backward())
    >>> SGD(network, learning_rate=0.1).step()
"""

from handgrad.nn.activations import ELU, Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from handgrad.nn.arena import Arena
from handgrad.nn.dropout import Dropout
from handgrad.nn.flat import FlatParameters
from handgrad.nn.initializers import Initializer, Kaiming, Normal, Zeros, parse_initializer
from handgrad.nn.layer import Layer, Parameter
from handgrad.nn.linear import Linear
from handgrad.nn.losses import CrossEntropy, Loss, SoftmaxCrossEntropy
from handgrad.nn.normalization import BatchNorm1d, LayerNorm
from handgrad.nn.optimizers import SGD, Adam, Optimizer
from handgrad.nn.sequential import Flatten, Sequential
from handgrad.nn.softmax import Softmax

__all__ = [
    "ELU",
    "SGD",
    "Adam",
    "Arena",
    "BatchNorm1d",
    "CrossEntropy",
    "Dropout",
    "FlatParameters",
    "Flatten",
    "Identity",
    "Initializer",
    "Kaiming",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "Loss",
    "Normal",
    "Optimizer",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Tanh",
    "Zeros",
    "parse_initializer",
]
