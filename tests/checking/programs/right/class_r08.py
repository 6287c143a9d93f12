import numpy as np


class Swish:
    """x * sigmoid(x)"""

    def forward(self, x):
        self.x = x
        self.s = np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))
        return self.s * x

    def backward(self, grad):
        y = self.x * self.s
        return grad * (y + self.s * (1 - y))
