from typing import Optional, Union

import numpy as np

Array = np.ndarray


class Activation(object):
    """Interface for activation functions (non-linearities)."""

    def __init__(self) -> None:
        self.state: Optional[Array] = None

    def __call__(self, x: Array) -> Array:
        self.state = self.forward(x)
        return self.state

    def forward(self, x: Array) -> Array:
        raise NotImplementedError

    def derivative(self) -> Union[float, Array]:
        raise NotImplementedError


class Identity(Activation):
    def forward(self, x: Array) -> Array:
        self.state = x
        return x

    def derivative(self) -> float:
        return 1.0


class Sigmoid(Activation):
    def forward(self, x: Array) -> Array:
        big = np.exp(-np.fabs(x))
        self.state = np.where(np.signbit(x), big, np.ones_like(big)) / (1 + big)
        return self.state

    def derivative(self) -> Array:
        return self.state * (1 - self.state)


class Tanh(Activation):
    def forward(self, x: Array) -> Array:
        self.state = np.tanh(x)
        return self.state

    def derivative(self) -> Array:
        return 1 - self.state ** 2


class ReLU(Activation):
    def forward(self, x: Array) -> Array:
        out = np.array(x, copy=True)
        out[out < 0] = 0
        self.state = out
        return out

    def derivative(self) -> Array:
        return np.minimum(1.0, np.ceil(self.state))
