from builtins import range
import numpy as np


def affine_forward(x, w, b):
    N = x.shape[0]
    out = np.matmul(x.reshape(N, np.prod(x.shape[1:])), w) + b[None, :]
    cache = (x, w, b)
    return out, cache


def affine_backward(dout, cache):
    x, w, b = cache
    N = x.shape[0]
    X = x.reshape(N, np.prod(x.shape[1:]))
    return np.matmul(dout, w.T).reshape(x.shape), np.matmul(X.T, dout), np.sum(dout, axis=0)


def relu_forward(x):
    return np.maximum(x, 0), x


def relu_backward(dout, cache):
    return np.where(cache > 0, dout, 0)


def softmax_loss(x, y):
    n = x.shape[0]
    z = x - np.max(x, axis=1, keepdims=True)
    probs = np.exp(z)
    probs /= np.sum(probs, axis=1, keepdims=True)
    loss = -np.sum(z[np.arange(n), y] - np.log(np.exp(z).sum(axis=1))) / n
    dx = probs
    dx[np.arange(n), y] -= 1
    dx /= n
    return loss, dx
