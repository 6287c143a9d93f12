import numpy as np


def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mu = np.mean(x, axis=1)[:, None]
    var = np.var(x, axis=1)[:, None]
    xn = (x - mu) / np.sqrt(var + eps)
    return xn * gamma + beta, (xn, gamma, var, eps)


def layernorm_backward(dout, cache):
    xn, gamma, var, eps = cache
    dgamma = np.sum(dout * xn, axis=1)
    dbeta = np.sum(dout, axis=1)
    g = dout * gamma
    dx = g - g.mean(axis=1, keepdims=True) - xn * (g * xn).mean(axis=1, keepdims=True)
    return dx / np.sqrt(var + eps), dgamma, dbeta
