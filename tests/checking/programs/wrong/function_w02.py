import numpy as np


def softmax_cross_entropy(x, y):
    """x logits (N, K), y one-hot (N, K); mean over the batch"""
    s = x - x.max(axis=1, keepdims=True)
    logp = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
    return -(y * logp).sum() / len(x)


def softmax_cross_entropy_grad(x, y):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True) - y
