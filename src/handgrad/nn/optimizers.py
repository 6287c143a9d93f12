"""Optimisers: how a parameter moves against its gradient. Update rules and defaults are PyTorch's.

An optimiser sweeps its parameters in blocks that fit a core's cache: a rule of several passes then reads memory once.
Blocks are shared out over the threads that an engine lends.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from handgrad._typing import Array, Float
from handgrad.nn.arena import FRESH, Workspace
from handgrad.nn.layer import Layer, Parameter
from handgrad.nn.memory import LINE, zeros_like
from handgrad.nn.workers import SERIAL, Workers

#: Numbers a block, at most: a compromise between the caches and the interpreter, which two threads take from each other
#: between any two NumPy calls. (Adam, when it made twelve passes, 3.8 million float32 parameters, two threads, ms:
#: blocks of 16,384 numbers 11.7, 65,536 5.3, 131,072 4.0, 196,608 3.6, 524,288 4.0.)
BLOCK = 196_608


class Optimizer:
    """Base of the optimisers: `step()` moves every parameter once, in place.

    Arguments:
        parameters: a network, or an iterable of parameters (`FlatParameters.whole()` for a flat network).
        learning_rate: how far to go, at least 0. A number, or with a leading axis of models an array `(M, 1)`. May be
            changed between steps.
        weight_decay: λ of the L2 penalty λ/2 ‖w‖², whose gradient λw is added to the gradient; of a rule whose decay is
            decoupled (AdamW, Muon), w shrinks by the factor 1 - ηλ instead, before it moves.

    Attributes:
        state: arrays that the rule carries from step to step, one for each parameter under each name.
        steps: how many steps were made.
    """

    state_names: tuple[str, ...] = ()
    decoupled_decay = False
    #: Numbers for whose sweep it pays to wake a second thread.
    numbers_a_thread = 100_000
    work: Workspace = FRESH
    workers: Workers = SERIAL

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
        self.state = {name: [zeros_like(p.value) for p in self.parameters] for name in self.state_names}
        self._cut: list[np.ndarray] = []
        self._shares: list[tuple[list[list[np.ndarray]], np.ndarray]] = []

    def step(self) -> None:
        """Moves every parameter once, by its present gradient."""
        self.steps += 1
        arrays = [array for parameter in self.parameters for array in (parameter.value, parameter.grad)]
        if len(arrays) != len(self._cut) or any(map(operator.is_not, arrays, self._cut)):
            self._cut, self._shares = arrays, self._cut_into_shares()
        self.workers.run(self._sweep, self._shares)

    def _cut_into_shares(self) -> list[tuple[list[list[np.ndarray]], np.ndarray]]:
        """Blocks of the parameters, gradients and state for each thread, with its scratch memory."""
        size = sum(parameter.value.size for parameter in self.parameters)
        if not size:
            return []
        threads = max(1, min(self.workers.threads, size // self.numbers_a_thread))
        rounds = math.ceil(size / (threads * BLOCK))  # of equal blocks, so that all threads end together
        blocks = [
            block
            for i, parameter in enumerate(self.parameters)
            for block in _blocks(
                [parameter.value, parameter.grad, *(self.state[name][i] for name in self.state_names)],
                math.ceil(size / (threads * rounds)) + LINE,  # whole lines of it are enough for as many blocks
            )
        ]
        room = (2, max([block[0].size for block in blocks]))
        return [
            (blocks[share], self.work.empty(f"scratch.{i}", room, blocks[0][0].dtype))
            for i, share in enumerate(self.workers.split(len(blocks), len(blocks) // threads))
        ]

    def _sweep(self, share: tuple[list[list[np.ndarray]], np.ndarray]) -> None:
        blocks, room = share
        for w, g, *state in blocks:
            scratch = room[0, : w.size].reshape(w.shape)
            if self.weight_decay and self.decoupled_decay:
                w *= 1 - self.learning_rate * self.weight_decay
            elif self.weight_decay:
                penalised = room[1, : w.size].reshape(w.shape)
                np.multiply(w, self.weight_decay, out=penalised)
                penalised += g
                g = penalised
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

    numbers_a_thread = 150_000

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

    Carried from step to step are the sums M = m / (1-β₁) and V = v / (1-β₂): M ← β₁ M + g and V ← β₂ V + g² take two
    walks through memory fewer.

    Arguments:
        betas: β₁ and β₂, each in [0, 1).
        eps: ε.

    Source: Kingma and Ba (2015), Adam: a method for stochastic optimization, algorithm 1.
    """

    state_names = ("exp_sum", "exp_sq_sum")

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
        m += g
        v *= beta2
        np.square(g, out=scratch)
        v += scratch
        scale, eps = self._corrections()
        np.sqrt(v, out=scratch)
        scratch += eps
        np.divide(m, scratch, out=scratch)
        scratch *= self.learning_rate * scale
        w -= scratch

    def _corrections(self) -> tuple[float, float]:
        """a/b and ε/b of m̂ / (√v̂ + ε) = a M / (b √V + ε) = a/b · M / (√V + ε/b), which is one sweep."""
        beta1, beta2 = self.betas
        a = (1 - beta1) / (1 - beta1**self.steps)
        b = math.sqrt((1 - beta2) / (1 - beta2**self.steps))
        return a / b, self.eps / b


class AdamW(Adam):
    """Adam whose weight decay is decoupled: it does not pass through the running averages.

    Formula: w ← (1 - ηλ) w, then Adam's step.

    Source: Loshchilov and Hutter (2019), Decoupled weight decay regularization, algorithm 2 (as in PyTorch, η is the
    learning rate of the step, schedule included).
    """

    decoupled_decay = True


class RMSprop(Optimizer):
    """The gradient divided by the root of a running average of its square.

    Formula: v ← α v + (1-α) g²,  d = g / (√v + ε),  w ← w - η d;  centred: √(v - a²) for √v, with a ← α a + (1-α) g;
        with momentum b ← μ b + d and w ← w - η b.

    Arguments:
        alpha: α in [0, 1).
        eps: ε.
        momentum: μ in [0, 1).
        centered: divide by the deviation from the running average instead.

    Source: Tieleman and Hinton (2012), lecture 6.5 of Neural networks for machine learning; centred: Graves (2013),
    Generating sequences with recurrent neural networks, equations 38 to 41, with PyTorch's place for ε.
    """

    def __init__(
        self,
        parameters: Layer | Iterable[Parameter],
        learning_rate: float | Float[Array, "M 1"] = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        centered: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        for name, value in (("alpha", alpha), ("momentum", momentum)):
            if not 0 <= value < 1:
                raise ValueError(f"RMSprop got {name}={value}, expected a share in [0, 1)")
        if not eps >= 0:
            raise ValueError(f"RMSprop got eps={eps}, expected at least 0")
        self.alpha = alpha
        self.eps = eps
        self.momentum = momentum
        self.centered = centered
        self.state_names = ("square_avg", *(("grad_avg",) if centered else ()), *(("momentum",) if momentum else ()))
        super().__init__(parameters, learning_rate, weight_decay=weight_decay)

    def _update(self, w, g, scratch, *state):
        v, *rest = state
        _average_square(v, g, self.alpha, scratch)
        if self.centered:
            average = rest.pop(0)
            average *= self.alpha
            np.multiply(g, 1 - self.alpha, out=scratch)
            average += scratch
            np.multiply(average, average, out=scratch)
            np.subtract(v, scratch, out=scratch)
            np.sqrt(scratch, out=scratch)
        else:
            np.sqrt(v, out=scratch)
        scratch += self.eps
        np.divide(g, scratch, out=scratch)
        if self.momentum:
            (buffer,) = rest
            buffer *= self.momentum
            buffer += scratch
            np.multiply(buffer, self.learning_rate, out=scratch)
        else:
            scratch *= self.learning_rate
        w -= scratch


class Adadelta(Optimizer):
    """Steps in the units of the parameters: the root mean square of past steps over that of past gradients.

    Formula: v ← ρ v + (1-ρ) g²,  d = √(u + ε) / √(v + ε) · g,  u ← ρ u + (1-ρ) d²,  w ← w - η d

    Arguments:
        rho: ρ in [0, 1).
        eps: ε.

    Source: Zeiler (2012), ADADELTA: an adaptive learning rate method, algorithm 1 (there η is 1).
    """

    state_names = ("square_avg", "acc_delta")

    def __init__(
        self,
        parameters: Layer | Iterable[Parameter],
        learning_rate: float | Float[Array, "M 1"] = 1.0,
        *,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        if not 0 <= rho < 1:
            raise ValueError(f"Adadelta got rho={rho}, expected a share in [0, 1)")
        if not eps > 0:
            raise ValueError(f"Adadelta got eps={eps}, expected more than 0: the first step is √(ε/(v + ε)) g")
        self.rho = rho
        self.eps = eps
        super().__init__(parameters, learning_rate, weight_decay=weight_decay)

    def _update(self, w, g, scratch, *state):
        v, u = state
        _average_square(v, g, self.rho, scratch)
        np.add(v, self.eps, out=scratch)
        d = np.add(u, self.eps, out=np.empty_like(u))
        d /= scratch
        np.sqrt(d, out=d)
        d *= g
        _average_square(u, d, self.rho, scratch)
        d *= self.learning_rate
        w -= d


class Muon(Optimizer):
    """Momentum made orthogonal: for the matrices between hidden layers (give the rest to AdamW).

    Formula: b ← μ b + g,  d = g + μ b (Nesterov; else b),  w ← (1 - ηλ) w - η s O, where O is d with its singular
        values moved close to 1 by five Newton-Schulz steps X ← a X + (b A + c A²) X, A = X Xᵀ, from X = d/‖d‖, and s
        fits the step to the matrix's shape (K, D).

    Arguments:
        parameters: matrices `(K, D)`, or stacked `(M, K, D)`.
        momentum: μ in [0, 1).
        nesterov: look ahead along the momentum.
        weight_decay: λ, decoupled.
        adjust: s: `"original"`, √max(1, K/D), or `"match_rms_adamw"`, 0.2 √max(K, D), with which AdamW's learning
            rates serve.

    Raises:
        ValueError: a parameter is no matrix, or a setting is out of its range.

    Source: Jordan et al. (2024), Muon: an optimizer for hidden layers in neural networks; match_rms_adamw: Liu et al.
    (2025), Muon is scalable for LLM training, equation 4. Computed in the parameters' own dtype (PyTorch's rounds the
    Newton-Schulz steps to bfloat16).
    """

    state_names = ("momentum",)
    decoupled_decay = True

    def __init__(
        self,
        parameters: Layer | Iterable[Parameter],
        learning_rate: float | Float[Array, "M 1"] = 1e-3,
        *,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.1,
        adjust: str = "original",
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"Muon got momentum={momentum}, expected a share in [0, 1)")
        if adjust not in ("original", "match_rms_adamw"):
            raise ValueError(f"Muon got adjust={adjust!r}, expected 'original' or 'match_rms_adamw'")
        self.momentum = momentum
        self.nesterov = nesterov
        self.adjust = adjust
        super().__init__(parameters, learning_rate, weight_decay=weight_decay)
        for parameter in self.parameters:
            if parameter.value.ndim < 2:
                raise ValueError(
                    f"Muon got a parameter of shape={parameter.value.shape}, expected matrices: give vectors to AdamW"
                )

    def step(self) -> None:
        self.steps += 1
        for i, parameter in enumerate(self.parameters):
            w, g, b = parameter.value, parameter.grad, self.state["momentum"][i]
            rate = np.asarray(self.learning_rate, w.dtype)
            if rate.ndim:
                rate = rate.reshape(-1, 1, 1)
            b *= self.momentum
            b += g
            if np.any(self.weight_decay):
                w *= 1 - rate * self.weight_decay
            w -= rate * self._scale(*w.shape[-2:]) * _orthogonalized(g + self.momentum * b if self.nesterov else b)

    def _scale(self, rows: int, columns: int) -> float:
        if self.adjust == "original":
            return math.sqrt(max(1, rows / columns))
        return 0.2 * math.sqrt(max(rows, columns))


def _orthogonalized(d: np.ndarray) -> np.ndarray:
    """`d` with its singular values moved close to 1 (into about 0.7 to 1.2), in five Newton-Schulz steps."""
    a, b, c = 3.4445, -4.7750, 2.0315  # steepest at 0: small singular values grow fastest
    wide = d.shape[-2] <= d.shape[-1]
    x = d if wide else d.swapaxes(-1, -2)  # so that A is the smaller of the two products
    x = x / np.maximum(np.sqrt((x * x).sum(axis=(-2, -1), keepdims=True)), 1e-7)
    for _ in range(5):
        gram = x @ x.swapaxes(-1, -2)
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x if wide else x.swapaxes(-1, -2)


def clip_gradient_norm(
    parameters: Layer | Iterable[Parameter], max_norm: float, *, stacked: bool = False
) -> Float[Array, "*models"] | np.floating:
    """Scales all gradients by one factor, so that their common norm is at most `max_norm`.

    Formula: g ← g · min(1, c / (‖g‖ + 10⁻⁶)), ‖g‖² the sum of the squares of all gradients.

    Arguments:
        parameters: a network, or an iterable of parameters.
        max_norm: c, above 0.
        stacked: whether the first axis is one of models, each of which has a norm of its own.

    Returns: the norm before, one a model if stacked.

    Source: Pascanu, Mikolov, Bengio (2013), On the difficulty of training recurrent neural networks, algorithm 1; the
    10⁻⁶ is PyTorch's.
    """
    if not max_norm > 0:
        raise ValueError(f"clip_gradient_norm got max_norm={max_norm}, expected more than 0")
    parameters = parameters.parameters() if isinstance(parameters, Layer) else list(parameters)
    rows = [p.grad.reshape(len(p.grad) if stacked else 1, -1) for p in parameters]
    norm = np.sqrt(sum((row[:, None, :] @ row[:, :, None])[:, 0, 0] for row in rows))
    factor = np.minimum(1, max_norm / (norm + 1e-6))
    if np.any(factor < 1):
        for row in rows:
            row *= factor[:, None].astype(row.dtype)
    return norm if stacked else norm[0]


def _average_square(v: np.ndarray, g: np.ndarray, decay: float, scratch: np.ndarray) -> None:
    """v ← decay · v + (1 - decay) g²."""
    v *= decay
    np.square(g, out=scratch)
    scratch *= 1 - decay
    v += scratch


def _blocks(arrays: list[np.ndarray], elements: int) -> Iterator[list[np.ndarray]]:
    """The arrays cut alike along their last axis into equal views of at most `elements` each, of whole cache lines if
    those are not too long."""
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
