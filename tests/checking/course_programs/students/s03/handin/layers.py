import numpy as np
from numpy.lib.stride_tricks import sliding_window_view, as_strided


def conv_forward_naive(x, w, b, conv_param):
    s, p = conv_param['stride'], conv_param['pad']
    xp = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)])
    win = sliding_window_view(xp, w.shape[2:], axis=(2, 3))[:, :, ::s, ::s]
    out = np.einsum('nchwij,fcij->nfhw', win, w) + b[:, None, None]
    return out, (x, w, b, conv_param)


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    s, p = conv_param['stride'], conv_param['pad']
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    _, _, Ho, Wo = dout.shape
    xp = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)])
    sn, sc, sh, sw = xp.strides
    cols = as_strided(xp, (N, C, HH, WW, Ho, Wo), (sn, sc, sh, sw, sh * s, sw * s))
    db = np.einsum('nfhw->f', dout)
    dw = np.tensordot(dout, cols, axes=([0, 2, 3], [0, 4, 5]))
    dcols = np.tensordot(w, dout, axes=([0], [1]))
    dxp = np.zeros(xp.shape)
    for i in range(HH):
        for j in range(WW):
            dxp[:, :, i:i + s * Ho:s, j:j + s * Wo:s] += dcols[:, i, j].transpose(1, 0, 2, 3)
    return dxp[:, :, p:p + H, p:p + W], dw, db


def max_pool_forward_naive(x, pool_param):
    ph, pw, s = pool_param['pool_height'], pool_param['pool_width'], pool_param['stride']
    win = sliding_window_view(x, (ph, pw), axis=(2, 3))[:, :, ::s, ::s]
    flat = win.reshape(win.shape[:4] + (ph * pw,))
    idx = flat.argmax(-1)
    out = np.take_along_axis(flat, idx[..., None], -1)[..., 0]
    return out, (x.shape, idx, pool_param)


def max_pool_backward_naive(dout, cache):
    shape, idx, pool_param = cache
    pw, s = pool_param['pool_width'], pool_param['stride']
    n, c, h, w = np.indices(idx.shape)
    dx = np.zeros(shape)
    np.add.at(dx, (n, c, h * s + idx // pw, w * s + idx % pw), dout)
    return dx
