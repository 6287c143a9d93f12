from builtins import range
import numpy as np


def affine_forward(x, w, b):
    N = x.shape[0]
    flat = x.reshape((N, -1))
    out = np.tensordot(flat, w, 1)
    out += b
    return out, {"x": x, "w": w, "flat": flat}


def affine_backward(dout, cache):
    x, w, flat = cache["x"], cache["w"], cache["flat"]
    db = np.dot(np.ones(dout.shape[0]), dout)
    dw = sum(np.outer(flat[n], dout[n]) for n in range(len(flat)))
    dx = np.reshape(np.inner(dout, w), x.shape)
    return dx, dw, db


def relu_forward(x):
    out = np.fmax(x, 0)
    return out, x


def relu_backward(dout, cache):
    dx = np.array(dout, copy=True)
    dx[~(cache > 0)] = 0
    return dx


def svm_loss(x, y):
    N, K = x.shape
    own = x[range(N), y].reshape(N, 1)
    onehot = np.arange(K) == y[:, None]
    margins = (x - own + 1) * ~onehot
    viol = (margins > 0) * 1.0
    loss = np.sum(margins * viol) / N
    dx = (viol - onehot * viol.sum(1, keepdims=True)) / N
    return loss, dx


def softmax_loss(x, y):
    N = len(y)
    top = x.max(1)
    lse = top + np.log(np.exp(x - top[:, None]).sum(1))
    loss = np.mean(lse - np.take_along_axis(x, y[:, None], 1)[:, 0])
    dx = np.exp(x - lse[:, None]) / N
    np.subtract.at(dx, (np.arange(N), y), 1.0 / N)
    return loss, dx
