"""Kernels of the update rules, which process blocks of the parameters that fit into the cache of a core.

A rule with several passes then reads memory only once. Blocks are divided among the threads of the engine.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from handgrad import nn
from handgrad._typing import Rate
from handgrad.kernels.kernel import Lender, OptimizerKernel, kernel_of
from handgrad.kernels.memory import LINE, zeros_like
from handgrad.nn.optimizers import per_model

#: Maximum block size: a compromise between the caches and the GIL, which two threads exchange between NumPy calls.
#: (Adam with twelve passes, 3.8 million float32 parameters, two threads, ms: blocks of 16,384 numbers 11.7, 65,536 5.3,
#: 131,072 4.0, 196,608 3.6, 524,288 4.0.)
BLOCK = 196_608


class SweepKernel(OptimizerKernel):
    """Base class of update-rule kernels: `_update` processes one block.

    The kernel owns the state; the arrays of the rule are released.
    """

    #: Minimum number of elements for a second thread.
    min_numbers_per_thread = 100_000

    def __init__(self, rule: nn.Optimizer, lender: Lender) -> None:
        super().__init__(rule, lender)
        self._state = {name: [zeros_like(p.value) for p in rule.parameters] for name in self.state_names}
        rule.state = {}
        self._cut: list[np.ndarray] = []
        self._shares: list[tuple[list[list[np.ndarray]], np.ndarray]] = []

    @property
    def state_names(self) -> tuple[str, ...]:
        return self.rule.state_names

    @property
    def state(self) -> dict[str, list[np.ndarray]]:
        return self._state

    def step(self) -> None:
        self.rule.steps += 1
        arrays = [array for parameter in self.rule.parameters for array in (parameter.value, parameter.grad)]
        if len(arrays) != len(self._cut) or any(map(operator.is_not, arrays, self._cut)):
            self._cut, self._shares = arrays, self._cut_into_shares()
        self.workers.run(self._sweep, self._shares)

    def _cut_into_shares(self) -> list[tuple[list[list[np.ndarray]], np.ndarray]]:
        """Blocks of the parameters, gradients and state for each thread, with scratch memory."""
        parameters = self.rule.parameters
        size = sum(parameter.value.size for parameter in parameters)
        if not size:
            return []
        threads = max(1, min(self.workers.threads, size // self.min_numbers_per_thread))
        rounds = math.ceil(size / (threads * BLOCK))  # equal blocks, so that all threads finish together
        blocks = [
            block
            for i, parameter in enumerate(parameters)
            for block in _blocks(
                [parameter.value, parameter.grad, *(self.state[name][i] for name in self.state_names)],
                math.ceil(size / (threads * rounds)) + LINE,  # so that rounding to whole cache lines adds no block
            )
        ]
        room = (2, max([block[0].size for block in blocks]))
        return [
            (blocks[share], self.work.empty(f"scratch.{i}", room, blocks[0][0].dtype))
            for i, share in enumerate(self.workers.split(len(blocks), len(blocks) // threads))
        ]

    def _sweep(self, share: tuple[list[list[np.ndarray]], np.ndarray]) -> None:
        # Values computed from numbers per model are computed in float64 and rounded once (`per_model`), like scalars,
        # so that a model of a stack is updated exactly as if it were trained alone.
        blocks, room = share
        rule = self.rule
        rate, decay = rule.learning_rate, rule.weight_decay
        decays = decay.any() if isinstance(decay, np.ndarray) else decay
        for w, g, *state in blocks:
            scratch = room[0, : w.size].reshape(w.shape)
            if decays and rule.decoupled_decay:
                w *= per_model(1 - rate * decay, w)
            elif decays:
                penalised = room[1, : w.size].reshape(w.shape)
                np.multiply(w, per_model(decay, w), out=penalised)
                penalised += g
                g = penalised
            self._update(w, g, rate, scratch, *state)

    def _update(self, w: np.ndarray, g: np.ndarray, rate: Rate, scratch: np.ndarray, *state: np.ndarray) -> None:
        """Updates one block `w` with its gradient `g` (not modified), using `scratch`."""
        raise NotImplementedError


@kernel_of(nn.SGD)
class SGDKernel(SweepKernel):
    rule: nn.SGD
    min_numbers_per_thread = 150_000

    def _update(self, w, g, rate, scratch, *state):
        for v in state:
            momentum = per_model(self.rule.momentum, w)
            v *= momentum
            v += g
            if self.rule.nesterov:
                np.multiply(v, momentum, out=scratch)
                scratch += g
                g = scratch
            else:
                g = v
        np.multiply(g, per_model(rate, w), out=scratch)
        w -= scratch


@kernel_of(nn.Adam)
class AdamKernel(SweepKernel):
    """Stores the sums M = m / (1-β₁) and V = v / (1-β₂): M ← β₁ M + g and V ← β₂ V + g² require two passes over
    memory fewer than the averages."""

    rule: nn.Adam

    @property
    def state_names(self) -> tuple[str, ...]:
        return "exp_sum", "exp_sq_sum"

    def _update(self, w, g, rate, scratch, *state):
        m, v = state
        beta1, beta2 = self.rule.betas
        m *= beta1
        m += g
        v *= beta2
        np.square(g, out=scratch)
        v += scratch
        scale, eps = self._corrections()
        np.sqrt(v, out=scratch)
        scratch += eps
        np.divide(m, scratch, out=scratch)
        scratch *= per_model(rate * scale, w)
        w -= scratch

    def _corrections(self) -> tuple[Any, float]:
        """a/b and ε/b of m̂ / (√v̂ + ε) = a M / (b √V + ε) = a/b · M / (√V + ε/b), which requires one pass."""
        beta1, beta2 = self.rule.betas
        a = (1 - beta1) / (1 - beta1**self.rule.steps)
        b = math.sqrt((1 - beta2) / (1 - beta2**self.rule.steps))
        return a / b, self.rule.eps / b


@kernel_of(nn.AdamW)
class AdamWKernel(AdamKernel):
    rule: nn.AdamW


@kernel_of(nn.RMSprop)
class RMSpropKernel(SweepKernel):
    rule: nn.RMSprop

    def _update(self, w, g, rate, scratch, *state):
        rule = self.rule
        v, *rest = state
        _average_square(v, g, rule.alpha, scratch)
        if rule.centered:
            average = rest.pop(0)
            average *= rule.alpha
            np.multiply(g, 1 - rule.alpha, out=scratch)
            average += scratch
            np.multiply(average, average, out=scratch)
            np.subtract(v, scratch, out=scratch)
            np.sqrt(scratch, out=scratch)
        else:
            np.sqrt(v, out=scratch)
        scratch += rule.eps
        np.divide(g, scratch, out=scratch)
        if rest:
            (buffer,) = rest
            buffer *= per_model(rule.momentum, w)
            buffer += scratch
            np.multiply(buffer, per_model(rate, w), out=scratch)
        else:
            scratch *= per_model(rate, w)
        w -= scratch


@kernel_of(nn.Adadelta)
class AdadeltaKernel(SweepKernel):
    rule: nn.Adadelta

    def _update(self, w, g, rate, scratch, *state):
        rule = self.rule
        v, u = state
        _average_square(v, g, rule.rho, scratch)
        np.add(v, rule.eps, out=scratch)
        d = np.add(u, rule.eps, out=np.empty_like(u))
        d /= scratch
        np.sqrt(d, out=d)
        d *= g
        _average_square(u, d, rule.rho, scratch)
        d *= per_model(rate, w)
        w -= d


def _average_square(v: np.ndarray, g: np.ndarray, decay: float, scratch: np.ndarray) -> None:
    """v ← decay · v + (1 - decay) g²."""
    v *= decay
    np.square(g, out=scratch)
    scratch *= 1 - decay
    v += scratch


def _blocks(arrays: list[np.ndarray], elements: int) -> Iterator[list[np.ndarray]]:
    """The arrays split along their last axis into equal views of at most `elements` each, in whole cache lines if
    possible."""
    shape = arrays[0].shape
    length = max(1, elements // max(1, math.prod(shape[:-1])))
    size = shape[-1] if shape else 1
    if size <= length:
        yield arrays
        return
    line = LINE // arrays[0].itemsize
    unit = line if length >= line else 1
    count = math.ceil(size / (length // unit * unit))
    length = math.ceil(size / count / unit) * unit
    for begin in range(0, size, length):
        yield [array[..., begin : begin + length] for array in arrays]
