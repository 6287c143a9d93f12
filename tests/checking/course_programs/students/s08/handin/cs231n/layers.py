import numpy as np


def max_pool_forward_naive(x, pool_param):
    N, C, H, W = x.shape
    hp, wp, S = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    Hout = 1 + (H - hp) // S
    Wout = 1 + (W - wp) // S
    out = np.zeros((N, C, Hout, Wout))
    for i in range(Hout):
        for j in range(Wout):
            out[:, :, i, j] = x[:, :, i * S:i * S + hp, j * S:j * S + wp].max(axis=(2, 3))
    cache = (x, pool_param)
    return out, cache


def max_pool_backward_naive(dout, cache):
    x, pool_param = cache
    N, C, Hout, Wout = dout.shape
    hp, wp, S = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros_like(x)
    for n in range(N):
        for c in range(C):
            for i in range(Hout):
                for j in range(Wout):
                    r = x[n, c, i * S:i * S + hp, j * S:j * S + wp]
                    a, b = np.unravel_index(np.argmax(r), r.shape)
                    dx[n, c, i * S + a, j * S + b] = dout[n, c, i, j]
    return dx
