import numpy as np

from .norm_core import standardise, standardise_grad


def batchnorm_forward(x, gamma, beta, bn_param):
    """x (N, D); the spatial version is this function with more axes"""
    return _bn(x, gamma, beta, bn_param, axes=(0,), pshape=(1, -1))


def batchnorm_backward(dout, cache):
    return _bn_grad(dout, cache)


def batchnorm_backward_alt(dout, cache):
    # written out once more, without the helper
    tape, gamma, pshape, axes = cache
    xh, r = tape["xhat"], tape["rstd"]
    dbeta = dout.sum(axis=0)
    dgamma = np.einsum("nd,nd->d", dout, xh)
    dx = (gamma * r[0]) * (dout - dbeta / len(dout) - xh * (dgamma / len(dout)))
    return dx, dgamma, dbeta


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    """x (N, C, H, W), gamma and beta (C,)"""
    return _bn(x, gamma, beta, bn_param, axes=(0, 2, 3), pshape=(1, -1, 1, 1))


def spatial_batchnorm_backward(dout, cache):
    return _bn_grad(dout, cache)


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    """x (N, C, H, W), gamma and beta (1, C, 1, 1), G divides C"""
    eps = gn_param.get("eps", 1e-5)
    n, c = x.shape[:2]
    assert c % G == 0, "G must divide C"
    split = x.reshape((n, G, c // G) + x.shape[2:])
    xhat, tape = standardise(split, axes=(2, 3, 4), eps=eps)
    xhat = xhat.reshape(x.shape)
    return gamma * xhat + beta, (tape, xhat, gamma, split.shape)


def spatial_groupnorm_backward(dout, cache):
    tape, xhat, gamma, split_shape = cache
    per_channel = dict(axis=(0, 2, 3), keepdims=True)
    dbeta = np.sum(dout, **per_channel)
    dgamma = np.sum(dout * xhat, **per_channel)
    dx = standardise_grad((gamma * dout).reshape(split_shape), tape)
    return dx.reshape(dout.shape), dgamma, dbeta


# --------------------------------------------------------------------------
def _bn(x, gamma, beta, bn_param, axes, pshape):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    rho = bn_param.get("momentum", 0.9)
    width = x.shape[1]
    for key in ("running_mean", "running_var"):
        if bn_param.get(key) is None:
            bn_param[key] = np.zeros(width, dtype=x.dtype)
    g, s = gamma.reshape(pshape), beta.reshape(pshape)

    if mode == "test":
        centre = bn_param["running_mean"].reshape(pshape)
        spread = np.sqrt(bn_param["running_var"] + eps).reshape(pshape)
        return g * ((x - centre) / spread) + s, None
    if mode != "train":
        raise ValueError('Invalid forward batchnorm mode "%s"' % mode)

    xhat, tape = standardise(x, axes, eps)
    for key, now in (("running_mean", tape["mean"]), ("running_var", tape["var"])):
        bn_param[key] = rho * bn_param[key] + (1 - rho) * now.ravel()
    return g * xhat + s, (tape, gamma, pshape, axes)


def _bn_grad(dout, cache):
    tape, gamma, pshape, axes = cache
    dx = standardise_grad(dout * gamma.reshape(pshape), tape)
    return dx, (dout * tape["xhat"]).sum(axis=axes), dout.sum(axis=axes)
