# small functions used by hw1.py
import numpy as np

F = np.float64


def sigmoid(x):
    pos = x >= 0
    e = np.exp(np.where(pos, -x, x))
    return np.where(pos, 1 / (1 + e), e / (1 + e))


def relu(x):
    return (np.abs(x) + x) / 2


def log_softmax(x):
    top = np.max(x, axis=-1, keepdims=True)
    return x - top - np.log(np.sum(np.exp(x - top), axis=-1, keepdims=True))


def column_stats(x):
    """Mean and biased variance of every column, both (1, D)."""
    mean = np.add.reduce(x, 0, keepdims=True) / len(x)
    var = np.add.reduce(x * x, 0, keepdims=True) / len(x) - mean * mean
    centred = x - mean
    var = np.add.reduce(centred * centred, 0, keepdims=True) / len(x)
    return mean, var
