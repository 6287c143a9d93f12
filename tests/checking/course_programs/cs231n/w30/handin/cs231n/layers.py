import numpy as np


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    eps = gn_param.get("eps", 1e-5)
    N, C, H, W = x.shape
    xg = x.reshape(N * G, C // G * H * W)
    mu = xg.mean(axis=1, keepdims=True)
    sigma = np.sqrt(xg.var(axis=1, keepdims=True) + eps)
    xhat = ((xg - mu) / sigma).reshape(N, C, H, W)
    return xhat * gamma + beta, (xhat, gamma, sigma, G)


def spatial_groupnorm_backward(dout, cache):
    xhat, gamma, sigma, G = cache
    N, C, H, W = dout.shape
    dgamma = np.sum(dout * xhat, axis=(0, 2, 3))
    dbeta = np.sum(dout, axis=(0, 2, 3))
    g = (dout * gamma).reshape(N * G, -1)
    h = xhat.reshape(N * G, -1)
    dx = (g - g.mean(1, keepdims=True) - h * (g * h).mean(1, keepdims=True)) / sigma
    return dx.reshape(N, C, H, W), dgamma, dbeta
