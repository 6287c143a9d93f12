import numpy as np


def conv_forward_naive(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, kh, kw = w.shape
    x_pad = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)], mode="constant")
    oh = 1 + (H + 2 * p - kh) // s
    ow = 1 + (W + 2 * p - kw) // s
    out = np.empty((N, F, oh, ow))
    for n in range(N):
        for f in range(F):
            for i in range(oh):
                for j in range(ow):
                    out[n, f, i, j] = np.sum(x_pad[n, :, i : i + kh, j : j + kw] * w[f]) + b[f]
    return out, (x, w, b, conv_param)
