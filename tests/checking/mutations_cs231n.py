# ruff: noqa: E501
"""Mutations of our CS231n functions, and of pairs of no course."""

from __future__ import annotations

from tests.checking.mutation import Mutation


def _layers(*mutations: tuple[str | tuple[str, ...], str, str]) -> list[Mutation]:
    return [_one("cs231n/layers.py", *each) for each in mutations]


def _one(file: str, ids: str | tuple[str, ...], old: str, new: str) -> Mutation:
    return Mutation((ids,) if isinstance(ids, str) else ids, file, old, new)


BN = "    dx = (dxhat - dmean_part / N - xhat * dvar_part / N) / std\n"
LN = "    inner = dxhat - dxhat.mean(axis=1, keepdims=True)\n"
POOL = "                    dx[n, c, i * stride + h, j * stride + v] += dout[n, c, i, j]\n"

CS231N = [
    *_layers(
        ("bias-unused", "out = rows @ w + b", "out = rows @ w"),
        ("bias-sign", "out = rows @ w + b", "out = rows @ w - b"),
        ("dx-from-dweight", "dx = (dout @ w.T).reshape(x.shape)", "dx = (dout @ (rows.T @ dout).T).reshape(x.shape)"),
        (("wrong-shape", "shape-clash"), "dx = (dout @ w.T).reshape(x.shape)", "dx = dout @ w.T"),
        ("batch-mean-unwanted", "dw = rows.T @ dout", "dw = rows.T @ dout / len(x)"),
        ("gradient-transposed", "dw = rows.T @ dout", "dw = dout.T @ rows"),
        (
            "bias-gradient-averaged",
            "db = dout.sum(axis=0)\n    return dx, dw, db\n\n\ndef relu",
            "db = dout.mean(axis=0)\n    return dx, dw, db\n\n\ndef relu",
        ),
        (
            "bias-gradient-unsummed",
            "db = dout.sum(axis=0)\n    return dx, dw, db\n\n\ndef relu",
            "db = dout\n    return dx, dw, db\n\n\ndef relu",
        ),
        ("input-changed", "out = np.maximum(x, 0)\n", "x[x < 0] = 0\n    out = x\n"),
        ("derivative-missing", "dx = dout * (x > 0)", "dx = dout * 1.0"),
        ("branches-exchanged", "dx = dout * (x > 0)", "dx = dout * (x < 0)"),
        ("upstream-missing", "dx = dout * (x > 0)", "dx = (x > 0) * 1.0"),
        (("mask-from-gradient", "wrong-derivative"), "dx = dout * (x > 0)", "dx = dout * (dout > 0)"),
        (
            "hinge-margin",
            "margins = np.maximum(0, x - x[rows, y][:, None] + 1)",
            "margins = np.maximum(0, x - x[rows, y][:, None])",
        ),
        (
            "hinge-correct-class",
            "    margins[rows, y] = 0\n    loss = margins.sum() / N",
            "    loss = margins.sum() / N\n    margins[rows, y] = 0",
        ),
        ("hinge-correct-class", "dx[rows, y] -= dx.sum(axis=1)", "dx[rows, y] = -1"),
        ("batch-mean-missing", "    loss = margins.sum() / N", "    loss = margins.sum()"),
        ("batch-mean-missing", "    dx[rows, y] -= dx.sum(axis=1)\n    dx /= N", "    dx[rows, y] -= dx.sum(axis=1)"),
        ("batch-mean-missing", "    dx[np.arange(N), y] -= 1\n    dx /= N", "    dx[np.arange(N), y] -= 1"),
        ("batch-mean-missing", "loss = -log_p[np.arange(N), y].sum() / N", "loss = -log_p[np.arange(N), y].sum()"),
        ("softmax-no-shift", "shifted = x - x.max(axis=1, keepdims=True)", "shifted = x"),
        ("sign-flipped", "loss = -log_p[np.arange(N), y].sum() / N", "loss = log_p[np.arange(N), y].sum() / N"),
        ("labels-unused", "    dx[np.arange(N), y] -= 1\n", ""),
        (
            "softmax-axis",
            "np.exp(shifted).sum(axis=1, keepdims=True))\n    loss",
            "np.exp(shifted).sum(axis=0, keepdims=True))\n    loss",
        ),
        ("bessel", "        var = x.var(axis=0)\n", "        var = x.var(axis=0, ddof=1)\n"),
        ("gamma-unused", "        out = gamma * xhat + beta\n", "        out = xhat + beta\n"),
        ("root-missing", "        std = np.sqrt(var + eps)\n", "        std = var + eps\n"),
        (
            "running-alpha-swapped",
            "running_mean = momentum * running_mean + (1 - momentum) * mean",
            "running_mean = (1 - momentum) * running_mean + momentum * mean",
        ),
        ("running-never-updated", '    bn_param["running_mean"] = running_mean\n', ""),
        (
            "evaluation-batch-figures",
            "out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta",
            "out = gamma * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps) + beta",
        ),
        ("norm-mean-constant", BN, BN.replace(" - dmean_part / N", "")),
        ("norm-variance-constant", BN, BN.replace(" - xhat * dvar_part / N", "")),
        ("norm-mean-not-averaged", BN, BN.replace("dmean_part / N", "dmean_part")),
        ("norm-variance-sign", BN, BN.replace("- xhat", "+ xhat")),
        ("gamma-forgotten", "dx = gamma / std * (dout", "dx = 1 / std * (dout"),
        ("norm-mean-constant", "(dout - dout.mean(axis=0) - xhat", "(dout - xhat"),
        ("norm-mean-constant", LN, "    inner = dxhat\n"),
        ("reduced-over-wrong-axis", LN, LN.replace("axis=1", "axis=0")),
        ("dropout-not-scaled", "mask = (np.random.rand(*x.shape) < p) / p", "mask = np.random.rand(*x.shape) < p"),
        ("dropout-rate", "np.random.rand(*x.shape) < p", "np.random.randn(*x.shape) < p"),
        ("wrong-derivative", 'dx = dout * mask if dropout_param["mode"] == "train" else dout', "dx = dout"),
        ("dropout-in-evaluation", "    else:\n        out = x\n", "    else:\n        out = x * p\n"),
        ("bias-unused", 'np.einsum("nchw,fchw->nf", window, w) + b', 'np.einsum("nchw,fchw->nf", window, w)'),
        (
            "kernel-flipped",
            'np.einsum("nchw,fchw->nf", window, w) + b',
            'np.einsum("nchw,fchw->nf", window, w[:, :, ::-1, ::-1]) + b',
        ),
        ("overlap-overwritten", "v : v + WW] += dout[n, f, i, j] * w[f]", "v : v + WW] = dout[n, f, i, j] * w[f]"),
        (
            "padding-wrong",
            "dx = dpadded[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]]",
            "dx = dpadded[:, :, : x.shape[2], : x.shape[3]]",
        ),
        (
            ("padding-wrong", "wrong-shape"),
            "dx = dpadded[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]]",
            "dx = dpadded",
        ),
        (("reduced-over-wrong-axis", "wrong-shape"), "db = dout.sum(axis=(0, 2, 3))\n", "db = dout.sum(axis=0)\n"),
        (
            "pooling-spread",
            POOL,
            "                    dx[n, c, i * stride : i * stride + height, j * stride : j * stride + width] += dout[n, c, i, j]\n",
        ),
        ("overlap-overwritten", POOL, POOL.replace("+=", "=")),
        ("wrong-function", "out[:, :, i, j] = window.max(axis=(2, 3))", "out[:, :, i, j] = window.mean(axis=(2, 3))"),
        ("groups-ignored", "grouped = x.reshape(N, G, C // G, H, W)", "grouped = x.reshape(N, 1, C, H, W)"),
        (
            "reduced-over-wrong-axis",
            "dgamma = (dout * xhat).sum(axis=(0, 2, 3), keepdims=True)",
            "dgamma = (dout * xhat).sum(axis=0, keepdims=True)",
        ),
    ),
    *(
        _one("cs231n/optim.py", *each)
        for each in (
            ("update-sign", 'w -= config["learning_rate"] * dw', 'w += config["learning_rate"] * dw'),
            ("momentum-sign", 'v = config["momentum"] * v -', 'v = -config["momentum"] * v -'),
            ("momentum-factor-missing", 'v = config["momentum"] * v -', "v = v -"),
            (("state-not-kept", "momentum-ignored"), '    config["velocity"] = v\n', ""),
            ("learning-rate-missing", 'v - config["learning_rate"] * dw\n    next', "v - dw\n    next"),
            ("root-missing", '(np.sqrt(config["cache"]) + config["epsilon"])', '(config["cache"] + config["epsilon"])'),
            (
                "eps-misplaced",
                '(np.sqrt(config["cache"]) + config["epsilon"])',
                'np.sqrt(config["cache"] + config["epsilon"])',
            ),
            ("square-missing", '(1 - config["decay_rate"]) * dw**2', '(1 - config["decay_rate"]) * dw'),
            (
                "decay-swapped",
                'config["decay_rate"] * config["cache"] + (1 - config["decay_rate"]) * dw**2',
                '(1 - config["decay_rate"]) * config["cache"] + config["decay_rate"] * dw**2',
            ),
            (
                "bias-correction-missing",
                'm_hat = config["m"] / (1 - config["beta1"] ** config["t"])',
                'm_hat = config["m"]',
            ),
            (
                "bias-correction-missing",
                'v_hat = config["v"] / (1 - config["beta2"] ** config["t"])',
                'v_hat = config["v"]',
            ),
            ("bias-correction-step", 'config.setdefault("t", 0)', 'config.setdefault("t", 1)'),
            (("bias-correction-step", "not-finite"), '    config["t"] += 1\n', ""),
        )
    ),
    *(
        _one("cs231n/linear_losses.py", *each)
        for each in (
            ("regularisation-missing", "loss = loss / len(X) + reg * np.sum(W * W)", "loss = loss / len(X)"),
            ("regularisation-wrong", "dW = dW / len(X) + 2 * reg * W", "dW = dW / len(X) + reg * W"),
            ("batch-mean-missing", "dW = dW / len(X) + 2 * reg * W", "dW = dW + 2 * reg * W"),
            ("hinge-correct-class", "if j != y[i] and margin > 0:", "if margin > 0:"),
            ("hinge-margin", "margin = scores[j] - scores[y[i]] + 1", "margin = scores[j] - scores[y[i]]"),
            ("batch-mean-missing", "dW = X.T @ p / N + reg * W", "dW = X.T @ p + reg * W"),
            ("regularisation-wrong", "dW = X.T @ p / N + reg * W", "dW = X.T @ p / N + 2 * reg * W"),
        )
    ),
]

CS231N += [
    *_layers(
        ("softmax-global-shift", "shifted = x - x.max(axis=1, keepdims=True)", "shifted = x - x.max()"),
        ("labels-as-numbers", "    dx[np.arange(N), y] -= 1\n    dx /= N", "    dx -= y[:, None]\n    dx /= N"),
        ("labels-as-numbers", "    dx[np.arange(N), y] -= 1\n    dx /= N", "    dx[np.arange(N), y] -= y\n    dx /= N"),
        (
            "stride-ignored",
            "window = padded[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]",
            "window = padded[:, :, i : i + HH, j : j + WW]",
        ),
        ("stride-ignored", "h, v = i * stride, j * stride", "h, v = i, j"),
        (
            "stride-ignored",
            "window = x[:, :, i * stride : i * stride + height, j * stride : j * stride + width]",
            "window = x[:, :, i : i + height, j : j + width]",
        ),
        (
            "reduced-over-wrong-axis",
            "    db = dout.sum(axis=(0, 2, 3))\n    for n",
            "    db = dout.sum(axis=(0, 1, 2))\n    for n",
        ),
        (
            "bias-gradient-averaged",
            "    db = dout.sum(axis=(0, 2, 3))\n    for n",
            "    db = dout.sum(axis=(2, 3)).mean(axis=0)\n    for n",
        ),
        (
            "wrong-shape",
            "dgamma = (dout * xhat).sum(axis=(0, 2, 3), keepdims=True)",
            "dgamma = (dout * xhat).sum(axis=(0, 2, 3))",
        ),
        (
            "wrong-shape",
            "dbeta = dout.sum(axis=(0, 2, 3), keepdims=True)",
            "dbeta = dout.sum(axis=(0, 2, 3))",
        ),
        (
            "reduced-over-wrong-axis",
            "    flat = x.transpose(0, 2, 3, 1).reshape(-1, C)\n    out, cache = batchnorm_forward(flat, gamma, beta, bn_param)\n    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache",
            "    out, cache = batchnorm_forward(x.reshape(-1, C), gamma, beta, bn_param)\n    return out.reshape(N, C, H, W), cache",
        ),
        ("wrong-factor", LN, "    inner = dxhat - dxhat.sum(axis=1, keepdims=True) / len(dxhat)\n"),
    ),
    *(
        _one("cs231n/optim.py", *each)
        for each in (
            ("bias-correction-step", '    config["t"] += 1\n', '    t = config["t"] + 1\n    config["t"] = 1\n'),
            ("learning-rate-twice", "next_w = w + v\n", 'next_w = w + config["learning_rate"] * v\n'),
            (
                "momentum-ignored",
                'v = config["momentum"] * v - config["learning_rate"] * dw',
                'v = -config["learning_rate"] * dw',
            ),
            (("state-not-kept", "momentum-ignored"), '    config["velocity"] = v\n', ""),
        )
    ),
    _one(
        "cs231n/linear_losses.py",
        "softmax-global-shift",
        "scores -= scores.max(axis=1, keepdims=True)",
        "scores -= scores.max()",
    ),
]

PAIRS = [
    _one("network.py", *each)
    for each in (
        ("batch-mean-unwanted", "db = dZ.sum(axis=1, keepdims=True) / m", "db = dZ.sum(axis=1, keepdims=True)"),
        (("gradient-transposed", "wrong-shape"), "dA = W.T @ dZ", "dA = (dZ.T @ W)"),
        ("bias-gradient-unsummed", "db = dZ.sum(axis=1, keepdims=True) / m", "db = dZ"),
        ("wrong-derivative", "return dout * (s + x * s * (1 - s))", "return dout * (s + x * (1 - s))"),
        (
            ("derivative-missing", "function-for-derivative", "wrong-derivative"),
            "return dA * s * (1 - s)",
            "return dA * s",
        ),
        ("upstream-missing", "return dA * s * (1 - s)", "return s * (1 - s)"),
    )
]
