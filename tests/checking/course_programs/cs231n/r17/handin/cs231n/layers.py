import numpy as np


def _indices(C, H, W, kh, kw, s):
    oh, ow = (H - kh) // s + 1, (W - kw) // s + 1
    c, u, v = np.meshgrid(range(C), range(kh), range(kw), indexing="ij")
    i, j = np.meshgrid(s * np.arange(oh), s * np.arange(ow), indexing="ij")
    rows = u.reshape(-1, 1) + i.reshape(1, -1)
    cols = v.reshape(-1, 1) + j.reshape(1, -1)
    return c.reshape(-1, 1), rows, cols, oh, ow


def conv_forward_naive(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, kh, kw = w.shape
    xp = np.zeros((N, C, H + 2 * p, W + 2 * p), dtype=x.dtype)
    xp[:, :, p : p + H, p : p + W] = x
    c, rows, cols, oh, ow = _indices(C, H + 2 * p, W + 2 * p, kh, kw, s)
    columns = xp[:, c, rows, cols]
    out = (w.reshape(F, -1) @ columns + b.reshape(-1, 1)).reshape(N, F, oh, ow)
    return out, (columns, xp.shape, w, s, p)


def conv_backward_naive(dout, cache):
    columns, shape, w, s, p = cache
    N, C, Hp, Wp = shape
    F, _, kh, kw = w.shape
    g = dout.reshape(N, F, -1)
    dw = np.matmul(g, columns.transpose(0, 2, 1)).sum(axis=0).reshape(w.shape)
    db = g.sum(axis=2).sum(axis=0)
    dcolumns = w.reshape(F, -1).T @ g
    c, rows, cols, _, _ = _indices(C, Hp, Wp, kh, kw, s)
    dxp = np.zeros(shape)
    np.add.at(dxp, (slice(None), c, rows, cols), dcolumns)
    return dxp[:, :, p : Hp - p, p : Wp - p], dw, db
