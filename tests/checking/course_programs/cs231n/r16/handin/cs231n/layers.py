import numpy as np


def dropout_forward(x, dropout_param):
    p = dropout_param["p"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = None
    if dropout_param["mode"] == "train":
        mask = np.random.choice([1.0 / p, 0.0], size=x.shape, p=[p, 1 - p])
        x = x * mask
    return x, (dropout_param, mask)


def dropout_backward(dout, cache):
    _, mask = cache
    return dout if mask is None else np.multiply(mask, dout)
