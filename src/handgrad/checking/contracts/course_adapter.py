"""Runs in the sandbox, as text: makes `forward(*values) -> (output, made)` and `backward(dout, made) -> gradients` of
one part of a hand-in with any interface.

A place is a list that begins with `layer`, `forward` or `backward` (what these two returned) or with the name of an
argument, and continues with attributes, positions and `{"key": ...}`. This file never imports handgrad.
"""

import numpy as np


class Made:
    """The objects of one forward pass: the cache of the pair."""

    layer = forward = backward = None

    def __init__(self, given):
        self.given, self.before, self.state = given, {}, []

    def find(self, place):
        first, *steps = place
        value = getattr(self, first) if first in ("layer", "forward", "backward") else self.given[first]
        several = isinstance(value, tuple | list | dict)
        if first in ("forward", "backward") and steps and not several:
            if steps[0] != 0:
                raise TypeError(f"{first} returns {type(value).__name__}, expected several values")
            steps = steps[1:]  # one value, where the first of several was expected
        for step in steps:
            at = step["key"] if isinstance(step, dict) else step
            value = getattr(value, step) if isinstance(step, str) else value[at]
        return value

    def arrays(self):
        """Copies of the layer's arrays by place, including those in its dicts and in its own objects."""
        found = {}

        def look(value, place, depth):
            if isinstance(value, np.ndarray):
                found[place] = value.copy()
            elif depth and isinstance(value, dict):
                for key, item in value.items():
                    look(item, f"{place}[{key!r}]", depth - 1)
            elif depth and hasattr(value, "__dict__") and not callable(value):
                for name, item in vars(value).items():
                    look(item, f"{place}.{name}", depth - 1)

        look(self.layer, "layer", 2)
        return found

    def put(self, place, value):
        *path, last = place
        holder = self.find(path)
        if isinstance(last, str):
            setattr(holder, last, value)
        else:
            holder[last["key"] if isinstance(last, dict) else last] = value


class Adapted:
    """One part: its description, and the hand-in's module."""

    def __init__(self, spec, module):
        self.spec, self.module = spec, module

    def forward(self, *values):
        spec, made, holder = self.spec, Made(dict(zip(self.spec["arguments"], values, strict=True))), self.module
        if spec["class"]:
            positional = [self.value(each, made) for each in spec["construct"]]
            named = {name: self.value(each, made) for name, each in spec["construct_named"].items()}
            made.layer = holder = getattr(self.module, spec["class"])(*positional, **named)
            for name, place in spec["parameters"].items():
                made.put(place, made.given[name])
            made.before = made.arrays() if spec.get("arrays") else {}
            for method in spec["before"]:
                getattr(made.layer, method)()
        made.forward = getattr(holder, spec["forward"])(*[made.given[name] for name in spec["inputs"]])
        made.state = [np.array(made.find(place), copy=True) for place in spec["state"]]
        return made.find(spec["output"]), made

    def backward(self, dout, made):
        spec = self.spec
        if spec["backward"]:
            function = getattr(made.layer if spec["class"] else self.module, spec["backward"])
            made.backward = function(*[dout if at == ["dout"] else made.find(at) for at in spec["backward_takes"]])
        found = []
        for place in spec["gradients"]:
            try:
                found.append(made.find(place))
            except (LookupError, AttributeError):
                found.append(None)
        return tuple(found)

    def value(self, each, made):
        """A constructor's argument: a value, a size of this trial, or a NumPy name."""
        if isinstance(each, dict):
            if "numpy" in each:
                return getattr(np, each["numpy"])
            return made.given["size " + each["size"]]
        return [self.value(one, made) for one in each] if isinstance(each, list) else each
