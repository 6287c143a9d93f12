import numpy as np


def affine_forward(x, w, b):
    X = x.reshape(x.shape[0], -1)
    return X @ w + b, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    X = x.reshape(x.shape[0], -1)
    dx = dout @ w.T
    dw = X.T @ dout
    db = dout.sum(axis=0)
    return dx, dw, db


def relu_forward(x):
    return x.clip(min=0), x


def relu_backward(dout, cache):
    return np.where(cache > 0, dout, 0)
