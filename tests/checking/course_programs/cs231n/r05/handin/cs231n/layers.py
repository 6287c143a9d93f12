import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def _windows(x, hh, ww, s):
    return sliding_window_view(x, (hh, ww), axis=(2, 3))[:, :, ::s, ::s]


def conv_forward_naive(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    view = _windows(padded, *w.shape[2:], s)
    out = np.tensordot(view, w, axes=([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2) + b[:, None, None]
    return out, (x, w, b, conv_param)


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    view = _windows(padded, *w.shape[2:], s)
    dw = np.tensordot(dout, view, axes=([0, 2, 3], [0, 2, 3]))
    db = dout.sum((0, 2, 3))
    dpadded = np.zeros_like(padded)
    OH, OW = dout.shape[2:]
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            contribution = np.einsum("nfhw,fc->nchw", dout, w[:, :, i, j])
            dpadded[:, :, i : i + s * OH : s, j : j + s * OW : s] += contribution
    H, W = x.shape[2:]
    return dpadded[:, :, p : p + H, p : p + W], dw, db
