"""Random smooth composites: right ones are never called wrong, and one entry that is off by 1e-4 always is."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from handgrad.numerics import gradient_check

STEPS = {  # name: function, derivative
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sin": (np.sin, np.cos),
    "square": (lambda x: x**2 / 2, lambda x: x),
    "exp": (lambda x: np.exp(-(x**2)), lambda x: -2 * x * np.exp(-(x**2))),
    "root": (lambda x: np.sqrt(1 + x**2), lambda x: x / np.sqrt(1 + x**2)),
    "affine": (lambda x: 2.5 * x - 0.3, lambda x: np.full_like(x, 2.5)),
}


class Composite:
    """x -> x @ weight, then a chain of element-wise functions; `real` hides it from the complex step."""

    def __init__(self, names, weight, real):
        self.names, self.weight, self.real = names, weight, real
        self.bug = None

    def named_parameters(self):
        return [("weight", self)]

    value = property(lambda self: self.weight, lambda self, array: setattr(self, "weight", array))
    grad = None

    def forward(self, x):
        if self.real:
            x = np.asarray(x, dtype=np.float64)
        self.x = x
        self.inner = [x @ self.weight]
        for name in self.names:
            self.inner.append(STEPS[name][0](self.inner[-1]))
        return self.inner[-1]

    def backward(self, dy):
        for name, x in zip(self.names[::-1], self.inner[-2::-1], strict=True):
            dy = dy * STEPS[name][1](x)
        self.grad = self.x.T @ dy
        dx = dy @ self.weight.T
        if self.bug is not None:
            dx[self.bug] += 1e-4 * np.abs(dx).max()
        return dx


composites = st.tuples(
    st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4),
    st.integers(0, 10**6),
    st.integers(1, 4),
    st.booleans(),
)


def relevant(layer, x):
    """Gradients near 1e-8 pass for zero, by the definition of the relative error."""
    layer.forward(x)
    return np.abs(layer.backward(np.ones((len(x), 2)))).max() > 1e-4


@settings(max_examples=60, deadline=None)
@given(composites)
@example((["affine", "affine", "tanh"], 2041, 1, False))
def test_random_composites(drawn):
    names, seed, batch, real = drawn
    rng = np.random.default_rng(seed)
    layer = Composite(names, rng.standard_normal((3, 2)), real)
    x = rng.standard_normal((batch, 3))
    report = gradient_check(layer, x, seed=seed)
    if not relevant(layer, x):  # a saturated tanh may lie below the rounding of what comes before it
        assert report.verdict in ("right", "cannot judge"), f"{names}\n{report}"
        return
    assert report, f"{names}\n{report}"

    layer.bug = (int(rng.integers(batch)), int(rng.integers(3)))
    broken = gradient_check(layer, x, seed=seed)
    assert broken["x"].verdict == "wrong", f"{names}\n{broken}"
    assert broken["x"].index == layer.bug
    assert broken["weight"].verdict == "right"
