import numpy as np


def affine_forward(x, w, b):
    cache = (x, w, b)
    return np.dot(x.reshape((x.shape[0], w.shape[0])), w) + b, cache


def affine_backward(dout, cache):
    x, w, b = cache
    dx = np.dot(dout, w.T).reshape(x.shape)
    dw = np.dot(x.reshape((x.shape[0], w.shape[0])).T, dout)
    db = np.mean(dout, axis=0)
    return dx, dw, db
