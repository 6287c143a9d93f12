import numpy as np


def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    D = x.shape[-1]
    rm = bn_param.get("running_mean", np.zeros(D))
    rv = bn_param.get("running_var", np.zeros(D))
    cache = None
    if bn_param["mode"] == "train":
        m = np.average(x, axis=0)
        v = np.average((x - m) * (x - m), axis=0)
        xh = (x - m) / np.sqrt(v + eps)
        cache = xh, gamma, v + eps
        rm, rv = momentum * rm + (1 - momentum) * m, momentum * rv + (1 - momentum) * v
    else:
        xh = (x - rm) / np.sqrt(rv + eps)
    bn_param.update(running_mean=rm, running_var=rv)
    return gamma * xh + beta, cache


def batchnorm_backward(dout, cache):
    xh, gamma, v = cache
    M = len(dout)
    dgamma = np.einsum("nd,nd->d", dout, xh)
    dbeta = np.einsum("nd->d", dout)
    dx = gamma / (M * np.sqrt(v)) * (M * dout - xh * dgamma - dbeta)
    return dx, dgamma, dbeta


batchnorm_backward_alt = batchnorm_backward


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    flat = np.moveaxis(x, 1, -1).reshape(N * H * W, C)
    out, cache = batchnorm_forward(flat, gamma, beta, bn_param)
    return np.moveaxis(out.reshape(N, H, W, C), -1, 1), cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    flat = np.moveaxis(dout, 1, -1).reshape(-1, C)
    dx, dgamma, dbeta = batchnorm_backward(flat, cache)
    return np.moveaxis(dx.reshape(N, H, W, C), -1, 1), dgamma, dbeta


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    eps = gn_param.get("eps", 1e-5)
    shape = x.shape
    groups = x.reshape(shape[0], G, -1)
    mean = groups.mean(-1, keepdims=True)
    std = np.sqrt(groups.var(-1, keepdims=True) + eps)
    xh = ((groups - mean) / std).reshape(shape)
    return gamma * xh + beta, (xh, gamma, std, G)


def spatial_groupnorm_backward(dout, cache):
    xh, gamma, std, G = cache
    N = len(dout)
    g = (dout * gamma).reshape(N, G, -1)
    h = xh.reshape(N, G, -1)
    dx = (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True)) / std
    axes = (0, 2, 3)
    return dx.reshape(dout.shape), (dout * xh).sum(axes, keepdims=True), dout.sum(axes, keepdims=True)
