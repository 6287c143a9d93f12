import numpy as np
from itertools import product


def max_pool_forward_naive(x, pool_param):
    h, w, s = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    N, C, H, W = x.shape
    oh, ow = (H - h) // s + 1, (W - w) // s + 1
    out = np.full((N, C, oh, ow), -np.inf, dtype=x.dtype)
    for i, j in product(range(h), range(w)):
        out = np.maximum(out, x[:, :, i : i + (oh - 1) * s + 1 : s, j : j + (ow - 1) * s + 1 : s])
    return out, (x, out, pool_param)


def max_pool_backward_naive(dout, cache):
    x, out, pool_param = cache
    h, w, s = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    oh, ow = dout.shape[2:]
    dx = np.zeros(x.shape, dtype=dout.dtype)
    for i, j in product(range(h), range(w)):
        rows, cols = slice(i, i + (oh - 1) * s + 1, s), slice(j, j + (ow - 1) * s + 1, s)
        dx[:, :, rows, cols] += dout * (x[:, :, rows, cols] == out)
    return dx
