"""Correct versions of Amsterdam's modules, derived from the classes of the hand-in.

`recorded` is the hand-in's own linear module, with a record of all its objects.
"""

import numpy as np

#: The arrays of the probe.
given: list[np.ndarray]

_next = [0]


def fill(params):
    for key in ("weight", "bias"):
        params[key][...] = np.resize(given[_next[0] % len(given)], np.shape(params[key]))
        _next[0] += 1


created = []
sizes = []


def fill_all():
    for layer in created:
        fill(layer.params)


def gather(mlp):
    # if no linear module was recorded when it was created, searches the attributes of the network for them
    seen = set()

    def walk(value, depth):
        if id(value) in seen or depth > 4 or isinstance(value, (str, bytes, np.ndarray, type)):
            return
        seen.add(id(value))
        params = getattr(value, "params", None)
        if isinstance(params, dict) and np.ndim(params.get("weight", 0)) == 2:
            created.append(value)
            sizes.append([int(n) for n in params["weight"].shape[::-1]])
        elif isinstance(value, (list, tuple)):
            [walk(item, depth + 1) for item in value]
        elif isinstance(value, dict):
            [walk(item, depth + 1) for item in value.values()]
        elif hasattr(value, "__dict__"):
            [walk(item, depth + 1) for item in vars(value).values()]

    if not created:
        walk(mlp, 0)


def _module(base, __init__, forward, backward):
    """A class with these methods, derived from `base` if that is a class."""
    base = base if isinstance(base, type) else object
    members = {
        "__init__": __init__,
        "forward": forward,
        "backward": backward,
        "clear_cache": lambda self: None,
        "__call__": lambda self, x: self.forward(x),
    }
    return type(base.__name__ if base is not object else "StandIn", (base,), members)


def recorded(base):
    def __init__(self, *args, **kwargs):
        base.__init__(self, *args, **kwargs)
        created.append(self)
        names = ("in_features", "out_features")
        given = [*args[:2]] + [kwargs[name] for name in names[len(args) :] if name in kwargs]
        sizes.append([int(n) for n in given])

    return type(base.__name__, (base,), {"__init__": __init__})


def linear(base):
    def __init__(self, in_features, out_features, *args, **kwargs):
        self.params = {"weight": np.zeros((out_features, in_features)), "bias": np.zeros(out_features)}
        self.grads = {key: np.zeros_like(value) for key, value in self.params.items()}
        created.append(self)
        sizes.append([int(in_features), int(out_features)])

    def forward(self, x):
        self.x = x
        return x @ self.params["weight"].T + self.params["bias"]

    def backward(self, dout):
        self.grads["weight"] = dout.T @ self.x
        self.grads["bias"] = dout.sum(axis=0)
        return dout @ self.params["weight"]

    return _module(base, __init__, forward, backward)


def activation(base, kind):
    def __init__(self, p=1.0, *args, **kwargs):
        self.p = kwargs.get("neg_slope", kwargs.get("alpha", p))

    def forward(self, x):
        self.x = x
        if kind == "relu":
            return np.maximum(x, 0)
        if kind == "leaky":
            return np.where(x > 0, x, self.p * x)
        return np.where(x > 0, x, self.p * (np.exp(np.minimum(x, 0)) - 1))

    def backward(self, dout):
        x = self.x
        if kind == "relu":
            return dout * (x > 0)
        if kind == "leaky":
            return dout * np.where(x > 0, 1.0, self.p)
        return dout * np.where(x > 0, 1.0, self.p * np.exp(np.minimum(x, 0)))

    return _module(base, __init__, forward, backward)


def softmax(base):
    def __init__(self, *args, **kwargs):
        self.y = None

    def forward(self, x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.y = e / e.sum(axis=1, keepdims=True)
        return self.y.copy()

    def backward(self, dout):
        y = self.y
        return y * (dout - (dout * y).sum(axis=1, keepdims=True))

    return _module(base, __init__, forward, backward)
