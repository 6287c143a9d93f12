"""Pairs of no course: columns are samples, and the weights' gradients are means."""

import numpy as np


def linear_forward(A, W, b):
    Z = W @ A + b
    return Z, (A, W, b)


def linear_backward(dZ, cache):
    A, W, b = cache
    m = A.shape[1]
    dA = W.T @ dZ
    dW = dZ @ A.T / m
    db = dZ.sum(axis=1, keepdims=True) / m
    return dA, dW, db


def swish_forward(x):
    s = 1 / (1 + np.exp(-x))
    return x * s, (x, s)


def swish_backward(dout, cache):
    x, s = cache
    return dout * (s + x * s * (1 - s))


def sigmoid_forward(Z):
    A = 1 / (1 + np.exp(-Z))
    return A, Z


def sigmoid_backward(dA, cache):
    s = 1 / (1 + np.exp(-cache))
    return dA * s * (1 - s)
