import numpy as np


def huber(pred, target, delta=1.0):
    """Huber loss, mean over all entries."""
    r = pred - target
    small = np.abs(r) <= delta
    return np.where(small, 0.5 * r ** 2, delta * (np.abs(r) - 0.5 * delta)).mean()


def huber_grad(pred, target, delta=1.0):
    return np.clip(pred - target, -delta, delta) / pred.size
