import numpy as np


def mse(pred, target):
    total = 0.0
    n = 0
    for p, t in zip(np.ravel(pred), np.ravel(target)):
        total += (p - t) ** 2
        n += 1
    return total / n


def dmse(pred, target):
    return (pred - target) * 2.0 / np.size(pred)
