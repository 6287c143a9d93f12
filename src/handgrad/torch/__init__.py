"""The PyTorch counterpart of `handgrad.nn`: the same layers and losses with the same hand-written gradients.

Every layer consists of an `autograd.Function` with a hand-derived backward pass and a module based on it with PyTorch's
parameters, buffers and names. Batch and layer normalisation are also implemented with differentiable operations.
`build` converts an architecture to a network of these modules, or of PyTorch's own:

    >>> import torch
    >>> from handgrad import architectures
    >>> network = build(architectures.mlp((4,), (8,), 3), gradients="hand")
    >>> loss = SoftmaxCrossEntropy()
    >>> value = loss(network(torch.randn(5, 4)), torch.tensor([0, 2, 1, 1, 0]))
    >>> value.backward()
    >>> [name for name, parameter in network.named_parameters() if parameter.grad is not None]
    ['0.weight', '0.bias', '2.weight', '2.bias']
"""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError(
        'handgrad.torch requires PyTorch, which is not installed: pip install "handgrad[torch]"', name="torch"
    ) from None

from handgrad.torch.activations import (
    ELU,
    GELU,
    ELUFunction,
    GELUFunction,
    Identity,
    IdentityFunction,
    LeakyReLU,
    LeakyReLUFunction,
    ReLU,
    ReLUFunction,
    Sigmoid,
    SigmoidFunction,
    SiLU,
    SiLUFunction,
    Softplus,
    SoftplusFunction,
    Tanh,
    TanhFunction,
)
from handgrad.torch.convolution import Conv2d, Conv2dFunction
from handgrad.torch.dropout import Dropout, DropoutFunction, draw_mask
from handgrad.torch.linear import Linear, LinearFunction
from handgrad.torch.losses import (
    CrossEntropy,
    CrossEntropyFunction,
    Huber,
    HuberFunction,
    MeanAbsoluteError,
    MeanAbsoluteErrorFunction,
    MeanSquaredError,
    MeanSquaredErrorFunction,
    NegativeLogLikelihood,
    NegativeLogLikelihoodFunction,
    SoftmaxCrossEntropy,
    SoftmaxCrossEntropyFunction,
)
from handgrad.torch.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNormFunction,
    FixedNormFunction,
    GroupNorm,
    GroupNormFunction,
    LayerNorm,
    LayerNormFunction,
    RMSNorm,
    RMSNormFunction,
    batch_norm,
    batch_statistics,
    layer_norm,
)
from handgrad.torch.pooling import (
    AvgPool2d,
    AvgPool2dFunction,
    GlobalAvgPool2d,
    GlobalAvgPool2dFunction,
    MaxPool2d,
    MaxPool2dFunction,
)
from handgrad.torch.sequential import GRADIENTS, Flatten, FlattenFunction, Residual, ResidualFunction, build
from handgrad.torch.softmax import LogSoftmax, LogSoftmaxFunction, Softmax, SoftmaxFunction

__all__ = [
    "ELU",
    "GELU",
    "GRADIENTS",
    "AvgPool2d",
    "AvgPool2dFunction",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNormFunction",
    "Conv2d",
    "Conv2dFunction",
    "CrossEntropy",
    "CrossEntropyFunction",
    "Dropout",
    "DropoutFunction",
    "ELUFunction",
    "FixedNormFunction",
    "Flatten",
    "FlattenFunction",
    "GELUFunction",
    "GlobalAvgPool2d",
    "GlobalAvgPool2dFunction",
    "GroupNorm",
    "GroupNormFunction",
    "Huber",
    "HuberFunction",
    "Identity",
    "IdentityFunction",
    "LayerNorm",
    "LayerNormFunction",
    "LeakyReLU",
    "LeakyReLUFunction",
    "Linear",
    "LinearFunction",
    "LogSoftmax",
    "LogSoftmaxFunction",
    "MaxPool2d",
    "MaxPool2dFunction",
    "MeanAbsoluteError",
    "MeanAbsoluteErrorFunction",
    "MeanSquaredError",
    "MeanSquaredErrorFunction",
    "NegativeLogLikelihood",
    "NegativeLogLikelihoodFunction",
    "RMSNorm",
    "RMSNormFunction",
    "ReLU",
    "ReLUFunction",
    "Residual",
    "ResidualFunction",
    "SiLU",
    "SiLUFunction",
    "Sigmoid",
    "SigmoidFunction",
    "Softmax",
    "SoftmaxCrossEntropy",
    "SoftmaxCrossEntropyFunction",
    "SoftmaxFunction",
    "Softplus",
    "SoftplusFunction",
    "Tanh",
    "TanhFunction",
    "batch_norm",
    "batch_statistics",
    "build",
    "draw_mask",
    "layer_norm",
]
