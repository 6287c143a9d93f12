"""Amsterdam's linear module: other parameters written into its own arrays, by whatever name they have there."""

import numpy as np

#: What the probe hands over.
given: list[np.ndarray]


def renamed(params):
    # weight and bias under the names that this hand-in has for them: the one with two long axes is the weight
    if "weight" in params:
        return {"weight": "weight", "bias": "bias"}
    arrays = {key: value for key, value in params.items() if isinstance(value, np.ndarray)}
    names = sorted(arrays, key=lambda key: -arrays[key].size)
    return {"weight": names[0], "bias": names[1] if len(names) > 1 else "bias"} if names else {}


def fill(params):
    if not isinstance(params, dict):
        return
    names = renamed(params)
    for position, key in enumerate(("weight", "bias")):
        if isinstance(params.get(names.get(key)), np.ndarray):
            params[names[key]][...] = np.resize(given[position], np.shape(params[names[key]]))


def plain(params):
    # by the interface's names
    if not isinstance(params, dict):
        return params
    names = renamed(params) if "weight" not in params else {}
    return {**params, **{key: params[name] for key, name in names.items() if name in params}}


def of(layer, key):
    # a gradient by the interface's name, or by the name that its parameter has
    name = renamed(layer.params).get(key, key)
    return layer.grads[key] if key in layer.grads else layer.grads[name]
