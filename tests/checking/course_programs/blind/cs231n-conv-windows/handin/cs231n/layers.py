import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# "naive" heisst hier: ohne Cython. Die Fenster sind nur Ansichten (views).


def _windows(x, hh, ww, s):
    """(N, C, H, W) -> read-only view (N, C, Ho, Wo, hh, ww)"""
    v = sliding_window_view(x, (hh, ww), axis=(2, 3))
    return v[:, :, ::s, ::s]


def _scatter(dwin, shape, s):
    """Adjoint of _windows: add every window gradient back to its place."""
    n, c, ho, wo, hh, ww = dwin.shape
    out = np.zeros(shape, dtype=dwin.dtype)
    # loop over the kernel positions, not over the output
    for i in range(hh):
        for j in range(ww):
            out[:, :, i:i + s * ho:s, j:j + s * wo:s] += dwin[..., i, j]
    return out


def conv_forward_naive(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    assert x.shape[1] == w.shape[1], "Kanalzahl stimmt nicht"
    padded = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)])
    win = _windows(padded, w.shape[2], w.shape[3], s)
    out = np.einsum("nchwij,fcij->nfhw", win, w, optimize=True)
    out += b.reshape(1, -1, 1, 1)
    cache = (x, w, b, conv_param)
    return out, cache


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    padded = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)])
    win = _windows(padded, w.shape[2], w.shape[3], s)
    db = np.einsum("nfhw->f", dout)
    dw = np.einsum("nfhw,nchwij->fcij", dout, win, optimize=True)
    dwin = np.einsum("nfhw,fcij->nchwij", dout, w, optimize=True)
    dpadded = _scatter(dwin, padded.shape, s)
    H, W = x.shape[2:]
    dx = dpadded[:, :, p:p + H, p:p + W]
    return dx, dw, db


def max_pool_forward_naive(x, pool_param):
    hh, ww, s = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    win = _windows(x, hh, ww, s)
    flat = win.reshape(win.shape[:4] + (hh * ww,))
    winner = flat.argmax(axis=-1)[..., None]
    out = np.take_along_axis(flat, winner, axis=-1)[..., 0]
    # cache keeps x first as in the handout; the rest is mine
    return out, (x, pool_param, winner)


def max_pool_backward_naive(dout, cache):
    x, pool_param, winner = cache
    hh, ww, s = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    dwin = np.zeros(dout.shape + (hh * ww,), dtype=dout.dtype)
    np.put_along_axis(dwin, winner, dout[..., None], axis=-1)
    return _scatter(dwin.reshape(dout.shape + (hh, ww)), x.shape, s)
