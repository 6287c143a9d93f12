import numpy as np


def conv_forward_naive(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, kh, kw = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    oh, ow = (H + 2 * p - kh) // s + 1, (W + 2 * p - kw) // s + 1
    out = np.zeros((N, F, oh, ow))
    for i in range(oh):
        for j in range(ow):
            win = xp[:, :, i * s : i * s + kh, j * s : j * s + kw].reshape(N, -1)
            out[:, :, i, j] = win @ w.reshape(F, -1).T + b
    return out, (xp, w, s, p)


def conv_backward_naive(dout, cache):
    xp, w, s, p = cache
    F, C, kh, kw = w.shape
    N, _, oh, ow = dout.shape
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i in range(oh):
        for j in range(ow):
            g = dout[:, :, i, j]
            rows, cols = slice(i * s, i * s + kh), slice(j * s, j * s + kw)
            dxp[:, :, rows, cols] = (g @ w.reshape(F, -1)).reshape(N, C, kh, kw)
            dw += (g.T @ xp[:, :, rows, cols].reshape(N, -1)).reshape(w.shape)
    H, W = xp.shape[2] - 2 * p, xp.shape[3] - 2 * p
    return dxp[:, :, p : p + H, p : p + W], dw, dout.sum(axis=(0, 2, 3))
