import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


class SiLU:
    """x * sigmoid(x), also known as swish."""

    def forward(self, x):
        self.x = x
        return x * sigmoid(x)

    def backward(self, dout):
        s = sigmoid(self.x)
        return dout * (s + self.x * (1 - s))
