import numpy as np


def relu_forward(x):
    cache = x.copy()
    x[x < 0] = 0
    return x, cache


def relu_backward(dout, cache):
    return dout * (cache > 0)
