# Activation functions for my little network.  Convention: f_prime(x) takes the
# same x as f(x), never f(x).
import numpy as np


def sigmoid(x):
    return np.exp(-np.logaddexp(0, -x))


def sigmoid_prime(x):
    return sigmoid(x) * sigmoid(-x)


def swish(x, beta=1.0):
    return x * sigmoid(beta * x)


def swish_prime(x, beta=1.0):
    f = swish(x, beta)
    return beta * f + sigmoid(beta * x) * (1 - beta * f)


def softplus(x):
    return np.logaddexp(0, x)


softplus_prime = sigmoid


def tanh(x):
    return 2 * sigmoid(2 * x) - 1


def tanh_prime(x):
    return 4 * sigmoid_prime(2 * x)


def gelu(x):
    """tanh approximation"""
    return x * sigmoid(2 * _inner(x))


def gelu_prime(x):
    u = 2 * _inner(x)
    du = 2 * _C * (1 + 3 * 0.044715 * x * x)
    s = sigmoid(u)
    return s + x * s * (1 - s) * du


_C = float(np.sqrt(2 / np.pi))


def _inner(x):
    return _C * (x + 0.044715 * x ** 3)


def elu(x, alpha=1.0):
    # the minimum keeps expm1 from overflowing on the branch that is not used
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_prime(x, alpha=1.0):
    return np.where(x > 0, np.ones_like(x), alpha * np.exp(np.minimum(x, 0)))


def leaky_relu(x, slope=0.01):
    return np.maximum(x, 0) + slope * np.minimum(x, 0)


def leaky_relu_prime(x, slope=0.01):
    d = np.full_like(x, slope)
    d[x > 0] = 1
    return d


PAIRS = {name: (globals()[name], globals()[name + "_prime"])
         for name in ("sigmoid", "swish", "softplus", "tanh", "gelu", "elu", "leaky_relu")}
