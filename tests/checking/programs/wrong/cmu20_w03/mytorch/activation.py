from typing import Optional

import numpy as np

Array = np.ndarray



class Activation:
    """An elementwise non-linearity that remembers its output."""

    def __init__(self) -> None:
        self.state: Optional[Array] = None

    def __call__(self, x: Array) -> Array:
        return self.forward(x)

    def forward(self, x: Array) -> Array:
        self.state = self._function(x)
        return self.state

    def derivative(self) -> Array:
        if self.state is None:
            raise RuntimeError("derivative() before forward()")
        return self._slope_from_output(self.state)

    @staticmethod
    def _function(x: Array) -> Array:
        raise NotImplementedError

    @staticmethod
    def _slope_from_output(y: Array) -> Array:
        raise NotImplementedError


class Identity(Activation):
    @staticmethod
    def _function(x: Array) -> Array:
        return x

    @staticmethod
    def _slope_from_output(y: Array) -> Array:
        return 1.0


class Sigmoid(Activation):
    @staticmethod
    def _function(x: Array) -> Array:
        z = np.exp(-np.abs(x))
        return np.where(x >= 0, 1.0, z) / (1.0 + z)

    @staticmethod
    def _slope_from_output(y: Array) -> Array:
        return y * (1.0 - y)


class Tanh(Activation):
    @staticmethod
    def _function(x: Array) -> Array:
        return np.tanh(x)

    @staticmethod
    def _slope_from_output(y: Array) -> Array:
        return 1.0 - y * y


class ReLU(Activation):
    @staticmethod
    def _function(x: Array) -> Array:
        return np.clip(x, 0.0, None)

    @staticmethod
    def _slope_from_output(y: Array) -> Array:
        return np.sign(y)

