import numpy as np


def _state(config, **defaults):
    config = {} if config is None else config
    for key, value in defaults.items():
        config.setdefault(key, value)
    return config


def sgd_momentum(w, dw, config=None):
    config = _state(config, learning_rate=1e-2, momentum=0.9, velocity=np.zeros_like(w))
    config["velocity"] = -(config["learning_rate"] * dw - config["momentum"] * config["velocity"])
    return w + config["velocity"], config


def adam(w, dw, config=None):
    c = _state(config, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, m=0 * w, v=0 * w, t=0)
    c["t"] = c["t"] + 1
    for key, beta, sample in (("m", c["beta1"], dw), ("v", c["beta2"], dw * dw)):
        c[key] = c[key] + (1 - beta) * (sample - c[key])
    unbiased = [c[key] / (1 - c[beta] ** c["t"]) for key, beta in (("m", "beta1"), ("v", "beta2"))]
    return w - c["learning_rate"] * unbiased[0] / (unbiased[1] ** 0.5 + c["epsilon"]), c
