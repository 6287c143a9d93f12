from builtins import range
import numpy as np


def layernorm_forward(x, gamma, beta, ln_param):
    """
    Forward pass for layer normalization.

    Input:
    - x: Data of shape (N, D)
    - gamma: Scale parameter of shape (D,)
    - beta: Shift paremeter of shape (D,)
    - ln_param: Dictionary with the following keys:
        - eps: Constant for numeric stability
    """
    out, cache = None, None
    eps = ln_param.get("eps", 1e-5)

    feature_mean = np.mean(x, axis=1, keepdims=True)
    feature_var = np.var(x, axis=1, keepdims=True)
    istd = 1 / np.sqrt(feature_var + eps)
    x_norm = (x - feature_mean) * istd
    out = x_norm * gamma + beta
    cache = (x_norm, istd, gamma)
    return out, cache


def layernorm_backward(dout, cache):
    """
    Backward pass for layer normalization.

    Returns a tuple of:
    - dx: Gradient with respect to inputs x, of shape (N, D)
    - dgamma: Gradient with respect to scale parameter gamma, of shape (D,)
    - dbeta: Gradient with respect to shift parameter beta, of shape (D,)
    """
    x_norm, istd, gamma = cache
    N, D = dout.shape

    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * x_norm, axis=0)

    # same formula as batchnorm_backward_alt but along axis 1
    s1 = np.sum(dout, axis=1, keepdims=True)
    s2 = np.sum(dout * x_norm, axis=1, keepdims=True)
    dx = gamma * istd / D * (D * dout - s1 - x_norm * s2)

    return dx, dgamma, dbeta
