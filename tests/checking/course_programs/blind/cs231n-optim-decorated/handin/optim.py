"""CS231n update rules.  Each rule is written as a small generator-free core;
the `rule` decorator fills the config so that I do not repeat setdefault 15 times."""
import functools
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np

Config = Dict[str, Any]
ZEROS = object()          # marker: "array of zeros shaped like w"


def rule(**defaults: Any) -> Callable:
    def wrap(core: Callable) -> Callable:
        @functools.wraps(core)
        def update(w: np.ndarray, dw: np.ndarray, config: Optional[Config] = None) -> Tuple[np.ndarray, Config]:
            config = {} if config is None else config
            for key, value in defaults.items():
                if key not in config or config[key] is None:
                    config[key] = np.zeros_like(w) if value is ZEROS else value
            assert w.shape == dw.shape, (w.shape, dw.shape)
            return core(w, dw, config), config
        return update
    return wrap


def ema(old, new, decay):
    """decay * old + (1 - decay) * new, written with one multiplication"""
    return new + decay * (old - new)


@rule(learning_rate=1e-2)
def sgd(w, dw, cfg):
    return w - cfg["learning_rate"] * dw


@rule(learning_rate=1e-2, momentum=0.9, velocity=ZEROS)
def sgd_momentum(w, dw, cfg):
    # new array on purpose: the Solver keeps one config per parameter
    cfg["velocity"] = cfg["momentum"] * cfg["velocity"] - cfg["learning_rate"] * dw
    return w + cfg["velocity"]


@rule(learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8, cache=ZEROS)
def rmsprop(w, dw, cfg):
    cfg["cache"] = ema(cfg["cache"], dw * dw, cfg["decay_rate"])
    denominator = cfg["epsilon"] + np.sqrt(cfg["cache"])
    return w - dw * (cfg["learning_rate"] / denominator)


@rule(learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, m=ZEROS, v=ZEROS, t=0)
def adam(w, dw, cfg):
    cfg["t"] += 1
    cfg["m"] = ema(cfg["m"], dw, cfg["beta1"])
    cfg["v"] = ema(cfg["v"], np.square(dw), cfg["beta2"])
    c1, c2 = (1.0 - cfg[b] ** cfg["t"] for b in ("beta1", "beta2"))
    # m/c1 / (sqrt(v/c2) + eps)  ==  m * sqrt(c2)/c1 / (sqrt(v) + eps*sqrt(c2))
    root = c2 ** 0.5
    step = cfg["learning_rate"] * root / c1
    return w - step * cfg["m"] / (np.sqrt(cfg["v"]) + cfg["epsilon"] * root)
