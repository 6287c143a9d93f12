import numpy as np


def conv_forward_naive(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    F, C, kh, kw = w.shape
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    oh = (xp.shape[2] - kh) // s + 1
    ow = (xp.shape[3] - kw) // s + 1
    out = np.zeros((len(x), F, oh, ow))
    for i, j in np.ndindex(oh, ow):
        out[:, :, i, j] = np.einsum("nchw,fchw->nf", xp[:, :, i * s : i * s + kh, j * s : j * s + kw], w) + b
    return out, (xp, w, s, p)


def conv_backward_naive(dout, cache):
    xp, w, s, p = cache
    kh, kw = w.shape[2:]
    dxp, dw = np.zeros_like(xp), np.zeros_like(w)
    for i, j in np.ndindex(*dout.shape[2:]):
        window = (slice(None), slice(None), slice(i * s, i * s + kh), slice(j * s, j * s + kw))
        dxp[window] += np.einsum("nf,fchw->nchw", dout[:, :, i, j], w)
        dw += np.einsum("nf,nchw->fchw", dout[:, :, i, j], xp[window])
    dx = dxp[:, :, p : xp.shape[2] - p, p : xp.shape[3] - p]
    return dx, dw, dout.sum(axis=(0, 2))
