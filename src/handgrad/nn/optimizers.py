"""Optimisers: how a parameter moves against its gradient. Update rules and defaults are PyTorch's.

An optimiser sweeps its parameters in blocks that fit a core's cache: a rule of several passes then reads memory once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from handgrad._typing import Array, Float
from handgrad.nn.layer import Layer, Parameter

#: Elements a block: 16,384 float32 numbers are 64 KiB an array, so the four arrays of Adam stay in a 256 KiB cache.
BLOCK = 16384


class Optimizer:
    """Base of the optimisers: `step()` moves every parameter once, in place.

    Arguments:
        parameters: a network, or an iterable of parameters (`FlatParameters.whole()` for a flat network).
        learning_rate: how far to go, at least 0. A number, or with a leading axis of models an array `(M, 1)`. May be
            changed between steps.
        weight_decay: λ of the L2 penalty λ/2 ‖w‖², whose gradient λw is added to the gradient.

    Attributes:
        state: arrays that the rule carries from step to step, one for each parameter under each name.
        steps: how many steps were made.
    """

    state_names: tuple[str, ...] = ()

    def __init__(
        self,
        parameters: Layer | Iterable[Parameter],
        learning_rate: float | Float[Array, "M 1"],
        *,
        weight_decay: float = 0.0,
    ) -> None:
        for name, value in (("learning_rate", learning_rate), ("weight_decay", weight_decay)):
            if not np.all(np.asarray(value) >= 0):
                raise ValueError(f"{type(self).__name__} got {name}={value}, expected at least 0")
        self.parameters = parameters.parameters() if isinstance(parameters, Layer) else list(parameters)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.steps = 0
        self.state = {name: [np.zeros_like(p.value) for p in self.parameters] for name in self.state_names}

    def step(self) -> None:
        """Moves every parameter once, by its present gradient."""
        self.steps += 1
        for i, parameter in enumerate(self.parameters):
            arrays = [parameter.value, parameter.grad, *(self.state[name][i] for name in self.state_names)]
            for w, g, *state in _blocks(arrays):
                scratch = np.empty_like(g)
                if np.any(self.weight_decay):
                    np.multiply(w, self.weight_decay, out=scratch)
                    scratch += g
                    g, scratch = scratch, np.empty_like(g)
                self._update(w, g, scratch, *state)

    def _update(self, w: np.ndarray, g: np.ndarray, scratch: np.ndarray, *state: np.ndarray) -> None:
        """Moves one block `w` by its gradient `g` (not to be changed), `scratch` being free to write to."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the state, as `name.i` for the i-th parameter, and `steps`."""
        arrays = {f"{name}.{i}": a.copy() for name, arrays in self.state.items() for i, a in enumerate(arrays)}
        return {"steps": np.array(self.steps), **arrays}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Takes a state that `state_dict` gave, of the same optimiser over the same parameters.

        Raises:
            ValueError: names or shapes differ; nothing is changed then.
        """
        own = {f"{name}.{i}": a for name, arrays in self.state.items() for i, a in enumerate(arrays)}
        if (names := own.keys() | {"steps"}) != set(state):
            raise ValueError(f"the state of {type(self).__name__} has {sorted(names)}, got {sorted(state)}")
        for name, array in own.items():
            if array.shape != state[name].shape:
                raise ValueError(f"{name}: expected shape={array.shape}, got shape={state[name].shape}")
        for name, array in own.items():
            array[...] = state[name]
        self.steps = int(state["steps"])


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum or without.

    Formula: w ← w - η g; with momentum v ← μ v + g and w ← w - η v; Nesterov: w ← w - η (g + μ v).

    Arguments:
        momentum: μ in [0, 1).
        nesterov: look ahead along the momentum; needs momentum above 0.

    Source: Sutskever, Martens, Dahl, Hinton (2013), On the importance of initialization and momentum, in PyTorch's
    form, where the learning rate multiplies v.
    """

    def __init__(
        self,
        parameters: Layer | Iterable[Parameter],
        learning_rate: float | Float[Array, "M 1"],
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"SGD got momentum={momentum}, expected a share in [0, 1)")
        if nesterov and momentum == 0:
            raise ValueError("SGD got nesterov=True with momentum=0, expected momentum above 0")
        self.momentum = momentum
        self.nesterov = nesterov
        self.state_names = ("momentum",) if momentum else ()
        super().__init__(parameters, learning_rate, weight_decay=weight_decay)

    def _update(self, w, g, scratch, *state):
        if self.momentum:
            (v,) = state
            v *= self.momentum
            v += g
            if self.nesterov:
                np.multiply(v, self.momentum, out=scratch)
                scratch += g
                g = scratch
            else:
                g = v
        np.multiply(g, self.learning_rate, out=scratch)
        w -= scratch


class Adam(Optimizer):
    """Steps scaled by running averages of the gradient and of its square.

    Formula: m ← β₁ m + (1-β₁) g,  v ← β₂ v + (1-β₂) g²,
        w ← w - η · (m / (1-β₁ᵗ)) / (√(v / (1-β₂ᵗ)) + ε)

    Arguments:
        betas: β₁ and β₂, each in [0, 1).
        eps: ε.

    Source: Kingma and Ba (2015), Adam: a method for stochastic optimization, algorithm 1.
    """

    state_names = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        parameters: Layer | Iterable[Parameter],
        learning_rate: float | Float[Array, "M 1"] = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"Adam got betas={betas}, expected both in [0, 1)")
        if not eps >= 0:
            raise ValueError(f"Adam got eps={eps}, expected at least 0")
        self.betas = betas
        self.eps = eps
        super().__init__(parameters, learning_rate, weight_decay=weight_decay)

    def _update(self, w, g, scratch, *state):
        m, v = state
        beta1, beta2 = self.betas
        m *= beta1
        np.multiply(g, 1 - beta1, out=scratch)
        m += scratch
        v *= beta2
        np.multiply(g, g, out=scratch)
        scratch *= 1 - beta2
        v += scratch
        # m̂ / (√v̂ + ε) = m · √c₂/c₁ / (√v + ε√c₂): one division by the corrections instead of two sweeps
        correction1 = 1 - beta1**self.steps
        correction2 = math.sqrt(1 - beta2**self.steps)
        np.sqrt(v, out=scratch)
        scratch += self.eps * correction2
        np.divide(m, scratch, out=scratch)
        scratch *= self.learning_rate * (correction2 / correction1)
        w -= scratch


def _blocks(arrays: list[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """The arrays cut alike along their last axis into views of about BLOCK elements."""
    shape = arrays[0].shape
    rows = int(np.prod(shape[:-1]))
    length = max(1, BLOCK // max(1, rows))
    size = shape[-1] if shape else 1
    if size <= length:
        yield arrays
        return
    for start in range(0, size, length):
        yield [array[..., start : start + length] for array in arrays]
