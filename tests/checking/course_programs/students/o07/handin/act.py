import numpy as np


def swish_forward(Z):
    S = 1 / (1 + np.exp(-Z))
    A = Z * S
    cache = (Z, S)
    return A, cache


def swish_backward(dA, cache):
    Z, S = cache
    dZ = dA * S
    return dZ


def leaky_relu_forward(Z, alpha=0.01):
    A = np.where(Z > 0, Z, alpha * Z)
    return A, (Z, alpha)


def leaky_relu_backward(dA, cache):
    Z, alpha = cache
    dZ = np.array(dA, copy=True)
    dZ[Z <= 0] *= alpha
    return dZ
