"""CMU 11-785, homework 1, part 1: the names of `hw1.py` in the Spring and Fall 2019 editions.

`handgrad.courses.cmu11785.mytorch` has those of 2020 and 2021. Both are thin wrappers of `handgrad.nn`, in float64.
Every attribute may be modified or replaced, and the next call uses the new value.

    >>> import numpy as np
    >>> np.random.seed(0)
    >>> activations = [Sigmoid(), Identity()]
    >>> criterion = SoftmaxCrossEntropy()
    >>> mlp = MLP(4, 3, [5], activations, random_normal_weight_init, zeros_bias_init, criterion, 0.1, momentum=0.9)
    >>> x, y = np.random.normal(size=(6, 4)), np.eye(3)[[0, 1, 2, 0, 1, 2]]
    >>> mlp(x).shape
    (6, 3)
    >>> mlp.backward(y)
    >>> [dW.shape for dW in mlp.dW]
    [(4, 5), (5, 3)]
    >>> mlp.step()
"""

from handgrad.courses.cmu11785.activation import Activation, Identity, ReLU, Sigmoid, Tanh
from handgrad.courses.cmu11785.batchnorm import BatchNorm
from handgrad.courses.cmu11785.loss import Criterion, SoftmaxCrossEntropy
from handgrad.courses.cmu11785.mlp import MLP
from handgrad.courses.cmu11785.training import get_training_stats, random_normal_weight_init, zeros_bias_init

__all__ = [
    "MLP",
    "Activation",
    "BatchNorm",
    "Criterion",
    "Identity",
    "ReLU",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "Tanh",
    "get_training_stats",
    "random_normal_weight_init",
    "zeros_bias_init",
]
