"""Layers, losses, initialisers and optimisers in NumPy, with hand-derived gradients.

A layer has `forward(x) -> y` and `backward(dy) -> dx`, parameters with `.value` and `.grad` (overwritten by backward),
and `train()` / `eval()`. It returns new arrays and never modifies its arguments.

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

from handgrad.initializers import (
    INITIALIZERS,
    Initializer,
    Kaiming,
    KaimingUniform,
    Normal,
    Orthogonal,
    Uniform,
    Xavier,
    XavierUniform,
    Zeros,
    parse_initializer,
)
from handgrad.nn.activations import ELU, GELU, Identity, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from handgrad.nn.convolution import Conv2d
from handgrad.nn.dropout import Dropout
from handgrad.nn.layer import Layer, Parameter
from handgrad.nn.linear import Linear
from handgrad.nn.losses import (
    CrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    NegativeLogLikelihood,
    SoftmaxCrossEntropy,
)
from handgrad.nn.normalization import BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm, RMSNorm
from handgrad.nn.optimizers import SGD, Adadelta, Adam, AdamW, Muon, Optimizer, RMSprop, clip_gradient_norm
from handgrad.nn.pooling import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from handgrad.nn.sequential import Flatten, Residual, Sequential
from handgrad.nn.softmax import LogSoftmax, Softmax

# fmt: off
__all__ = [
    "ELU", "GELU", "INITIALIZERS", "SGD", "Adadelta", "Adam", "AdamW", "AvgPool2d", "BatchNorm1d", "BatchNorm2d",
    "Conv2d", "CrossEntropy", "Dropout", "Flatten", "GlobalAvgPool2d", "GroupNorm", "Huber", "Identity", "Initializer",
    "Kaiming", "KaimingUniform", "Layer", "LayerNorm", "LeakyReLU", "Linear", "LogSoftmax", "Loss", "MaxPool2d",
    "MeanAbsoluteError", "MeanSquaredError", "Muon", "NegativeLogLikelihood", "Normal", "Optimizer", "Orthogonal",
    "Parameter", "RMSNorm", "RMSprop", "ReLU", "Residual", "Sequential", "SiLU", "Sigmoid", "Softmax",
    "SoftmaxCrossEntropy", "Softplus", "Tanh", "Uniform", "Xavier", "XavierUniform", "Zeros", "clip_gradient_norm",
    "parse_initializer",
]
# fmt: on
