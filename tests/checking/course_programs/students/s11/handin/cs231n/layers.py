import numpy as np


def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mu = x.mean(axis=1, keepdims=True)
    var = x.var(axis=1, keepdims=True)
    std = np.sqrt(var + eps)
    z = (x - mu) / std
    out = gamma * z + beta
    cache = (z, gamma, std)
    return out, cache


def layernorm_backward(dout, cache):
    z, gamma, std = cache
    N = dout.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(dout * z, axis=0)
    dz = dout * gamma
    dx = (1.0 / N) * (N * dz - dz.sum(axis=1, keepdims=True) - z * np.sum(dz * z, axis=1, keepdims=True)) / std
    return dx, dgamma, dbeta
