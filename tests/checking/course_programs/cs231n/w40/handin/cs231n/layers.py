import numpy as np


def affine_forward(x, w, b):
    x_rows = x.reshape((x.shape[0], -1))
    out = x_rows @ w
    return out, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    x_rows = x.reshape((x.shape[0], -1))
    return (dout @ w.T).reshape(x.shape), x_rows.T @ dout, dout.sum(axis=0).reshape(b.shape)
