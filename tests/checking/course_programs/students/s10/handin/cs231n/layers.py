import numpy as np


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    eps = gn_param.get('eps', 1e-5)
    N, C, H, W = x.shape
    xg = x.reshape(N, C // G, G, H, W)
    mean = xg.mean(axis=(1, 3, 4), keepdims=True)
    var = xg.var(axis=(1, 3, 4), keepdims=True)
    xn = (xg - mean) / np.sqrt(var + eps)
    xhat = xn.reshape(N, C, H, W)
    out = gamma * xhat + beta
    cache = (xn, var, gamma, eps, G)
    return out, cache


def spatial_groupnorm_backward(dout, cache):
    xn, var, gamma, eps, G = cache
    N, C, H, W = dout.shape
    dgamma = (dout * xn.reshape(N, C, H, W)).sum(axis=(0, 2, 3), keepdims=True)
    dbeta = dout.sum(axis=(0, 2, 3), keepdims=True)
    d = (dout * gamma).reshape(N, C // G, G, H, W)
    ax = (1, 3, 4)
    dx = (d - d.mean(axis=ax, keepdims=True) - xn * (d * xn).mean(axis=ax, keepdims=True)) / np.sqrt(var + eps)
    return dx.reshape(N, C, H, W), dgamma, dbeta
