import numpy as np
import math


def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    xs, rs = [], []
    for row in x:
        m = sum(row) / len(row)
        v = sum((value - m) ** 2 for value in row) / len(row)
        r = 1 / math.sqrt(v + eps)
        rs.append(r)
        xs.append([(value - m) * r for value in row])
    xs = np.array(xs)
    return xs * gamma + beta, {"normalised": xs, "rstd": np.array(rs), "gamma": gamma}


def layernorm_backward(dout, cache):
    xs, rs, gamma = cache["normalised"], cache["rstd"], cache["gamma"]
    dx = np.zeros(dout.shape)
    dgamma = np.zeros(gamma.shape)
    dbeta = np.zeros(gamma.shape)
    D = dout.shape[1]
    for i in range(dout.shape[0]):
        dgamma += dout[i] * xs[i]
        dbeta += dout[i]
        g = dout[i] * gamma
        dx[i] = rs[i] / D * (D * g - g.sum() - xs[i] * (g @ xs[i]))
    return dx, dgamma, dbeta
