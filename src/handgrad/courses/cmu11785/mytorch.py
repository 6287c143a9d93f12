"""CMU 11-785, homework 1, part 1: the names of the 2020 and 2021 editions, in `mytorch/` and `hw1.py`.

They differ from 2019 in separate `Linear` layers and in gradients db, dgamma, dbeta `(1, n)`.
"""

from handgrad.courses.cmu11785.activation import Activation, Identity, ReLU, Sigmoid, Tanh
from handgrad.courses.cmu11785.linear import Linear
from handgrad.courses.cmu11785.loss import Criterion, SoftmaxCrossEntropy
from handgrad.courses.cmu11785.mlp import MLP2020 as MLP
from handgrad.courses.cmu11785.mlp import BatchNorm2020 as BatchNorm
from handgrad.courses.cmu11785.training import get_training_stats, random_normal_weight_init
from handgrad.courses.cmu11785.training import zeros_bias_init_2020 as zeros_bias_init

__all__ = [
    "MLP",
    "Activation",
    "BatchNorm",
    "Criterion",
    "Identity",
    "Linear",
    "ReLU",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "Tanh",
    "get_training_stats",
    "random_normal_weight_init",
    "zeros_bias_init",
]
