import numpy as np


def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    rho = bn_param.get("momentum", 0.9)
    if "running_mean" not in bn_param:
        bn_param["running_mean"] = np.zeros(x.shape[1])
        bn_param["running_var"] = np.zeros(x.shape[1])
    if bn_param["mode"] == "test":
        xhat = (x - bn_param["running_mean"]) * (bn_param["running_var"] + eps) ** -0.5
        return xhat * gamma + beta, None
    if bn_param["mode"] != "train":
        raise ValueError(bn_param["mode"])
    mean, var = x.mean(0), x.var(0)
    bn_param["running_mean"] = rho * bn_param["running_mean"] + (1 - rho) * mean
    bn_param["running_var"] = rho * bn_param["running_var"] + (1 - rho) * var
    xhat = (x - mean) / np.sqrt(var + eps)
    return xhat * gamma + beta, (xhat, gamma, np.sqrt(var + eps))


def batchnorm_backward(dout, cache):
    xhat, gamma, sigma = cache
    n, features = dout.shape
    dx = np.empty_like(dout)
    for j in range(features):
        column = xhat[:, j]
        jacobian = (np.eye(n) - 1.0 / n - np.outer(column, column) / n) / sigma[j]
        dx[:, j] = jacobian @ (gamma[j] * dout[:, j])
    return dx, np.diag(xhat.T @ dout).copy(), dout.sum(0)


def batchnorm_backward_alt(dout, cache):
    xhat, gamma, sigma = cache
    g = dout * gamma
    return (g - g.mean(0) - xhat * (g * xhat).mean(0)) / sigma, (dout * xhat).sum(0), dout.sum(0)


def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    xt = x.T
    mean, var = xt.mean(0), xt.var(0)
    sigma = np.sqrt(var + eps)
    xhat = ((xt - mean) / sigma).T
    return xhat * gamma + beta, (xhat, gamma, sigma)


def layernorm_backward(dout, cache):
    xhat, gamma, sigma = cache
    # the same thing as for a batch, on the transpose
    dx, _, _ = batchnorm_backward_alt((dout * gamma).T, (xhat.T, np.ones(len(dout)), sigma))
    return dx.T, (dout * xhat).sum(0), dout.sum(0)
