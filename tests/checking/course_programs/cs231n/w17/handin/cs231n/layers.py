import numpy as np


def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1]))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "train":
        mu = 1.0 / x.shape[0] * np.sum(x, axis=0)
        var = 1.0 / x.shape[0] * np.sum((x - mu) ** 2, axis=0)
        running_mean = momentum * running_mean + (1.0 - momentum) * mu
        running_var = momentum * running_var + (1.0 - momentum) * var
    else:
        mu, var = running_mean, running_var
    istd = 1.0 / np.sqrt(var + eps)
    xhat = (x - mu) * istd
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return xhat * gamma + beta, (x, xhat, istd, gamma)


def batchnorm_backward(dout, cache):
    x, xhat, istd, gamma = cache
    N = x.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x).sum(axis=0)
    dxhat = dout * gamma
    dx = istd / N * (N * dxhat - dxhat.sum(axis=0) - xhat * (dxhat * xhat).sum(axis=0))
    return dx, dgamma, dbeta
