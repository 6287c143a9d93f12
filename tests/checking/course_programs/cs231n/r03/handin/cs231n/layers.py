import numpy as np


def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    out, cache = None, None
    if mode == "train":
        mu = np.sum(x, axis=0) / N
        xc = x - mu
        sq = xc**2
        var = np.sum(sq, axis=0) / N
        std = np.sqrt(var + eps)
        inv = 1.0 / std
        xn = xc * inv
        scaled = gamma * xn
        out = scaled + beta
        cache = {"xc": xc, "std": std, "inv": inv, "xn": xn, "gamma": gamma}
        running_mean = momentum * running_mean + (1 - momentum) * mu
        running_var = momentum * running_var + (1 - momentum) * var
    elif mode == "test":
        out = gamma * ((x - running_mean) / np.sqrt(running_var + eps)) + beta
    else:
        raise ValueError('Invalid forward batchnorm mode "%s"' % mode)
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    xc, std, inv, xn, gamma = (cache[k] for k in ("xc", "std", "inv", "xn", "gamma"))
    N = dout.shape[0]
    dbeta = dout.sum(axis=0)
    dscaled = dout
    dgamma = (dscaled * xn).sum(axis=0)
    dxn = dscaled * gamma
    dinv = (dxn * xc).sum(axis=0)
    dxc1 = dxn * inv
    dstd = -dinv / std**2
    dvar = 0.5 / std * dstd
    dsq = np.ones(dout.shape) * dvar / N
    dxc2 = 2 * xc * dsq
    dxc = dxc1 + dxc2
    dmu = -dxc.sum(axis=0)
    dx = dxc + np.ones(dout.shape) * dmu / N
    return dx, dgamma, dbeta


def batchnorm_backward_alt(dout, cache):
    N = dout.shape[0]
    inv, xn, gamma = cache["inv"], cache["xn"], cache["gamma"]
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(xn * dout, axis=0)
    dx = (gamma * inv / N) * (N * dout - xn * dgamma - dbeta)
    return dx, dgamma, dbeta
