"""Zero mean, unit variance over some axes, and the adjoint of that."""
import numpy as np


def standardise(x, axes, eps):
    mean = x.mean(axis=axes, keepdims=True)
    centred = x - mean
    var = np.mean(np.square(centred), axis=axes, keepdims=True)
    rstd = np.power(var + eps, -0.5)
    xhat = centred * rstd
    return xhat, {"xhat": xhat, "rstd": rstd, "mean": mean, "var": var, "axes": axes}


def standardise_grad(g, tape):
    """J^T g with J = rstd * (I - 11^T/m - xhat xhat^T/m), which is symmetric"""
    axes, xhat = tape["axes"], tape["xhat"]
    along = xhat * np.mean(g * xhat, axis=axes, keepdims=True)
    return tape["rstd"] * (g - np.mean(g, axis=axes, keepdims=True) - along)
