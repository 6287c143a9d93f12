import numpy as np


def affine_forward(x, w, b):
    flat = x.reshape(x.shape[0], -1)
    out = flat.dot(w)
    out += b
    return out, (x, w, b)


def affine_backward(dout, cache):
    x, w, _ = cache
    N = x.shape[0]
    flat = x.reshape(N, -1)
    return dout.dot(w.T).reshape(x.shape), flat.T.dot(dout) / N, dout.sum(0)
