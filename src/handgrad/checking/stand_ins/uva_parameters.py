"""Writes given parameters into the arrays of Amsterdam's linear module, even if these have other names."""

import numpy as np

#: The arrays of the probe.
given: list[np.ndarray]


def renamed(params):
    # the names of weight and bias in this hand-in: under other names, the larger array is the weight
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
    # the parameters under the names of the interface
    if not isinstance(params, dict):
        return params
    names = renamed(params) if "weight" not in params else {}
    return {**params, **{key: params[name] for key, name in names.items() if name in params}}


def of(layer, key):
    # a gradient under the name of the interface, or under the name of its parameter
    name = renamed(layer.params).get(key, key)
    return layer.grads[key] if key in layer.grads else layer.grads[name]
