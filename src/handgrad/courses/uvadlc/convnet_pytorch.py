"""The convolutional networks in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from handgrad import architectures
from handgrad._typing import Float
from handgrad.torch import build


class ConvNet(torch.nn.Module):
    """VGG, the network of 2019; 9,231,114 parameters for colour images and ten classes. It uses handgrad's gradients.

    Arguments:
        n_channels: of the images, 32x32 pixels.
        n_classes: K.

    Attributes: `layers`, the modules in order. Initial weights are PyTorch's.
    """

    architecture: Callable[[Sequence[int], int], architectures.Architecture] = staticmethod(architectures.vgg)

    def __init__(self, n_channels: int, n_classes: int) -> None:
        super().__init__()
        self.layers = build(self.architecture((n_channels, 32, 32), n_classes))

    def forward(self, x: Float[torch.Tensor, "N C 32 32"]) -> Float[torch.Tensor, "N K"]:
        return self.layers(x)


class ConvNetNovember2019(ConvNet):
    """`ConvNet`."""


class ConvNet2020(ConvNet):
    """PreAct ResNet, the network of 2020; 11,138,122 parameters for colour images and ten classes."""

    architecture = staticmethod(architectures.preact_resnet)
