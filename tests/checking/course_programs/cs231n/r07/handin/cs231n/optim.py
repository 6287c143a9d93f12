import numpy as np


def sgd(w, dw, config=None):
    config = dict(config or {})
    lr = config.setdefault("learning_rate", 1e-2)
    new = w.copy()
    new -= lr * dw
    return new, config


def sgd_momentum(w, dw, config=None):
    config = {"learning_rate": 1e-2, "momentum": 0.9, **(config or {})}
    v = config.pop("velocity", None)
    v = np.zeros_like(w) if v is None else v.copy()
    v *= config["momentum"]
    v -= config["learning_rate"] * dw
    config["velocity"] = v
    return np.add(w, v), config


def rmsprop(w, dw, config=None):
    config = {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8, "cache": np.zeros_like(w), **(config or {})}
    rho = config["decay_rate"]
    second = config["cache"] + (1 - rho) * (dw * dw - config["cache"])
    config["cache"] = second
    step = config["learning_rate"] / (second**0.5 + config["epsilon"])
    return w - step * dw, config


def adam(w, dw, config=None):
    defaults = dict(learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, m=np.zeros_like(w), v=np.zeros_like(w), t=0)
    defaults.update(config or {})
    config = defaults
    b1, b2 = config["beta1"], config["beta2"]
    config["t"] += 1
    config["m"] = b1 * config["m"] + (1 - b1) * dw
    config["v"] = b2 * config["v"] + (1 - b2) * np.square(dw)
    # the correction folded into the rate, epsilon moved accordingly
    root = np.sqrt(1 - b2 ** config["t"])
    rate = config["learning_rate"] * root / (1 - b1 ** config["t"])
    return w - rate * config["m"] / (np.sqrt(config["v"]) + config["epsilon"] * root), config
