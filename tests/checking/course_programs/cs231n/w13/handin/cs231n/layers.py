import numpy as np


def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    rm = bn_param.get("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.get("running_var", np.zeros(x.shape[1]))
    cache = None
    if bn_param["mode"] == "train":
        mean, var = np.mean(x, axis=0), np.var(x, axis=0)
        std = np.sqrt(var + eps)
        norm = (x - mean) / std
        out = norm * gamma + beta
        rm = momentum * rm + (1 - momentum) * mean
        rv = momentum * rv + (1 - momentum) * var
        cache = (norm, std, gamma)
    elif bn_param["mode"] == "test":
        out = (x - rm) / np.sqrt(rv + eps) * gamma + beta
    bn_param["running_mean"], bn_param["running_var"] = rm, rv
    return out, cache


def batchnorm_backward(dout, cache):
    norm, std, gamma = cache
    N = dout.shape[0]
    dnorm = dout * gamma
    dx = (1.0 / N) / std * (N * dnorm - dnorm.sum(axis=0) - norm * (dnorm * norm).sum(axis=0))
    return dx, (dout * norm).sum(axis=0), dout.sum(axis=0)


def batchnorm_backward_alt(dout, cache):
    norm, std, gamma = cache
    N = dout.shape[0]
    dgamma = (dout * norm).sum(axis=0)
    dbeta = dout.sum(axis=0)
    dx = (N * dout - dbeta - norm * dgamma) / (N * std)
    return dx, dgamma, dbeta
