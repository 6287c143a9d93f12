import numpy as np


class _Moments:
    def __init__(self, x, eps):
        self.x = np.asarray(x, dtype=np.float64)
        self.count = x.shape[0]
        self.mean = self.x.sum(0) / self.count
        self.centred = self.x - self.mean
        self.rstd = 1 / np.sqrt((self.centred**2).sum(0) / self.count + eps)

    @property
    def xhat(self):
        return self.centred * self.rstd


def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    keep = bn_param.get("momentum", 0.9)
    mean = bn_param.get("running_mean", np.zeros(x.shape[1], dtype=x.dtype))
    var = bn_param.get("running_var", np.zeros(x.shape[1], dtype=x.dtype))
    if bn_param["mode"] == "train":
        moments = _Moments(x, eps)
        out = gamma * moments.xhat + beta
        cache = (moments, gamma)
        mean = mean * keep + moments.mean * (1 - keep)
        var = var * keep + (moments.rstd**-2 - eps) * (1 - keep)
    elif bn_param["mode"] == "test":
        cache = None
        out = gamma / np.sqrt(var + eps) * (x - mean) + beta
    bn_param["running_mean"], bn_param["running_var"] = mean, var
    return out.astype(x.dtype), cache


def batchnorm_backward(dout, cache):
    moments, gamma = cache
    N = moments.count
    dxhat = dout * gamma
    dvar = (dxhat * moments.centred * -0.5 * moments.rstd**3).sum(axis=0)
    dmean = (-dxhat * moments.rstd).sum(axis=0) + dvar * (-2 * moments.centred).mean(axis=0)
    dx = dxhat * moments.rstd + dvar * 2 * moments.centred / N + dmean / N
    return dx, (dout * moments.xhat).sum(axis=0), dout.sum(axis=0)
