import numpy as np


def dropout_forward(x, dropout_param):
    keep_prob, mode = dropout_param["p"], dropout_param["mode"]
    rng = np.random
    if "seed" in dropout_param:
        rng.seed(dropout_param["seed"])
    if mode == "test":
        return x.copy(), (dropout_param, None)
    dropped = rng.uniform(size=x.shape) >= keep_prob
    out = x / keep_prob
    out[dropped] = 0
    return out.astype(x.dtype, copy=False), (dropout_param, dropped)


def dropout_backward(dout, cache):
    param, dropped = cache
    if param["mode"] == "test":
        return dout
    dx = dout / param["p"]
    dx[dropped] = 0
    return dx


def relu_forward(x):
    return (np.abs(x) + x) / 2, x


def relu_backward(dout, cache):
    dx = np.array(dout, copy=True)
    dx[cache <= 0] = 0
    return dx
