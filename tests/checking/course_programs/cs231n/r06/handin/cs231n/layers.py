import numpy as np


def conv_forward_naive(x, w, b, conv_param):
    pad = conv_param["pad"]
    stride = conv_param["stride"]
    N, C, H, W = x.shape
    F, C, HH, WW = w.shape
    Hp = 1 + (H + 2 * pad - HH) // stride
    Wp = 1 + (W + 2 * pad - WW) // stride
    out = np.zeros((N, F, Hp, Wp))
    for n in range(N):
        for f in range(F):
            for i in range(Hp):
                for j in range(Wp):
                    total = b[f]
                    for u in range(HH):
                        for v in range(WW):
                            r, q = i * stride + u - pad, j * stride + v - pad
                            if 0 <= r < H and 0 <= q < W:
                                for c in range(C):
                                    total = total + x[n, c, r, q] * w[f, c, u, v]
                    out[n, f, i, j] = total
    return out, (x, w, b, conv_param)


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    pad, stride = conv_param["pad"], conv_param["stride"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    dx, dw, db = np.zeros(x.shape), np.zeros(w.shape), np.zeros(b.shape)
    for n in range(N):
        for f in range(F):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    g = dout[n, f, i, j]
                    db[f] += g
                    for u in range(HH):
                        for v in range(WW):
                            r, q = i * stride + u - pad, j * stride + v - pad
                            if 0 <= r < H and 0 <= q < W:
                                dx[n, :, r, q] += g * w[f, :, u, v]
                                dw[f, :, u, v] += g * x[n, :, r, q]
    return dx, dw, db


def max_pool_forward_naive(x, pool_param):
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    rows, cols = 1 + (H - ph) // s, 1 + (W - pw) // s
    out = np.zeros((N, C, rows, cols))
    for i in range(rows):
        for j in range(cols):
            out[:, :, i, j] = x[:, :, i * s : i * s + ph, j * s : j * s + pw].max(axis=(2, 3))
    return out, (x, pool_param)


def max_pool_backward_naive(dout, cache):
    x, pool_param = cache
    ph, pw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros_like(x)
    N, C, rows, cols = dout.shape
    for n in range(N):
        for c in range(C):
            for i in range(rows):
                for j in range(cols):
                    window = x[n, c, i * s : i * s + ph, j * s : j * s + pw]
                    a, e = np.unravel_index(window.argmax(), window.shape)
                    dx[n, c, i * s + a, j * s + e] += dout[n, c, i, j]
    return dx
