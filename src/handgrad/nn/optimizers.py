"""Optimisers. Update rules and defaults are those of PyTorch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from handgrad._typing import Rate
from handgrad.errors import hint
from handgrad.nn.layer import Layer, Parameter

Parameters = Layer | Iterable[Parameter]


class Optimizer:
    """Base class of optimisers: `step()` updates every parameter in place.

    Arguments:
        parameters: a network, or an iterable of parameters.
        learning_rate: η, at least 0. May be changed between steps. With a leading model axis, η, λ and a momentum μ may
            be arrays `(M, 1)` with one number per model.
        weight_decay: λ of the L2 penalty λ/2 ‖w‖², whose gradient λw is added to the gradient. For decoupled weight
            decay (AdamW, Muon), w is multiplied by 1 - ηλ before the update instead.

    `state` contains the state of the rule, one array per parameter under each name; `steps` counts the steps.
    """

    state_names: tuple[str, ...] = ()
    decoupled_decay = False

    def __init__(self, parameters: Parameters, learning_rate: Rate, *, weight_decay: Rate = 0.0) -> None:
        self._check(learning_rate=learning_rate, weight_decay=weight_decay)
        self.parameters = parameters.parameters() if isinstance(parameters, Layer) else list(parameters)
        if len({id(parameter) for parameter in self.parameters}) < len(self.parameters):
            raise ValueError(f"{type(self).__name__} got the same parameter twice: each step would update it twice")
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.steps = 0
        self.state = {name: [np.zeros_like(p.value) for p in self.parameters] for name in self.state_names}

    def step(self) -> None:
        """Updates every parameter with its current gradient."""
        self.steps += 1
        for i, parameter in enumerate(self.parameters):
            w, g = parameter.value, parameter.grad
            rate, decay = (per_model(number, w) for number in (self.learning_rate, self.weight_decay))
            if np.any(decay) and self.decoupled_decay:
                w *= 1 - rate * decay
            elif np.any(decay):
                g = g + decay * w
            self._update(w, g, rate, *(self.state[name][i] for name in self.state_names))

    def _update(self, w: np.ndarray, g: np.ndarray, rate: float | np.ndarray, *state: np.ndarray) -> None:
        """Updates `w` and the state in place, with gradient `g` (not modified) and learning rate η."""
        raise NotImplementedError

    def _check(self, *shares: str, **values) -> None:
        """Raises ValueError for a value below 0 or, if its name is in `shares`, outside [0, 1)."""
        for name, value in values.items():
            v = np.asarray(value)
            if not np.all((v >= 0) & (v < 1) if name in shares else v >= 0):
                expected = "at least 0" if name not in shares else "both in [0, 1)" if v.ndim else "a share in [0, 1)"
                raise ValueError(f"{type(self).__name__} got {name}={value}, expected {expected}")

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the state, as `name.i` for the i-th parameter, and `steps`."""
        return {"steps": np.array(self.steps), **{name: array.copy() for name, array in self._arrays().items()}}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Loads the state of the same optimiser with the same parameters; raises ValueError, without any change, if
        names or shapes differ."""
        own = self._arrays()
        if (names := own.keys() | {"steps"}) != set(state):
            raise ValueError(f"the state of {type(self).__name__} has {sorted(names)}, got {sorted(state)}")
        for name, array in own.items():
            if array.shape != state[name].shape:
                raise ValueError(f"{name}: expected shape={array.shape}, got shape={state[name].shape}")
        for name, array in own.items():
            array[...] = state[name]
        self.steps = int(state["steps"])

    def _arrays(self) -> dict[str, np.ndarray]:
        return {f"{name}.{i}": a for name, arrays in self.state.items() for i, a in enumerate(arrays)}

    if not TYPE_CHECKING:

        def __new__(cls, *_, **options):
            if "lr" in options:
                raise TypeError(
                    f"{cls.__name__} got lr={options['lr']}: this argument is called learning_rate in handgrad"
                )
            return super().__new__(cls)

        def __getattr__(self, name):
            raise AttributeError(hint(self, name))


class SGD(Optimizer):
    """Stochastic gradient descent, optionally with momentum.

    Formula: w ← w - η g; with momentum v ← μ v + g and w ← w - η v; Nesterov: w ← w - η (g + μ v).

    Arguments:
        momentum: μ in [0, 1).
        nesterov: use Nesterov momentum; requires momentum above 0.

    Source: Sutskever, Martens, Dahl, Hinton (2013), On the importance of initialization and momentum, in PyTorch's
    form, where the learning rate multiplies v.
    """

    def __init__(
        self, parameters: Parameters, learning_rate: Rate, *, momentum=0.0, nesterov=False, weight_decay=0.0
    ) -> None:
        self._check("momentum", momentum=momentum)
        if nesterov and not np.all(momentum):
            raise ValueError("SGD got nesterov=True with momentum=0, expected momentum above 0")
        self.momentum, self.nesterov = momentum, nesterov
        self.state_names = ("momentum",) if np.any(momentum) else ()
        super().__init__(parameters, learning_rate, weight_decay=weight_decay)

    def _update(self, w, g, rate, *state):
        for v in state:
            momentum = per_model(self.momentum, w)
            v[...] = momentum * v + g
            g = g + momentum * v if self.nesterov else v
        w -= rate * g


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
        self, parameters: Parameters, learning_rate: Rate = 1e-3, *, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0
    ) -> None:
        self._check("betas", betas=betas, eps=eps)
        self.betas, self.eps = betas, eps
        super().__init__(parameters, learning_rate, weight_decay=weight_decay)

    def _update(self, w, g, rate, *state):
        m, v = state
        beta1, beta2 = self.betas
        m[...] = beta1 * m + (1 - beta1) * g
        v[...] = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**self.steps)
        v_hat = v / (1 - beta2**self.steps)
        w -= rate * m_hat / (np.sqrt(v_hat) + self.eps)


class AdamW(Adam):
    """Adam with decoupled weight decay, which does not enter the running averages.

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
        centered: divide by the running standard deviation instead.

    Source: Tieleman and Hinton (2012), lecture 6.5 of Neural networks for machine learning; centred: Graves (2013),
    Generating sequences with recurrent neural networks, equations 38 to 41, with ε placed as in PyTorch.
    """

    def __init__(
        self, parameters: Parameters, learning_rate: Rate = 1e-2, *, alpha=0.99, eps=1e-8, momentum=0.0, centered=False,
        weight_decay=0.0
    ) -> None:  # fmt: skip
        self._check("alpha", "momentum", alpha=alpha, momentum=momentum, eps=eps)
        self.alpha, self.eps, self.momentum, self.centered = alpha, eps, momentum, centered
        carried = {"square_avg": True, "grad_avg": centered, "momentum": np.any(momentum)}
        self.state_names = tuple(name for name, kept in carried.items() if kept)
        super().__init__(parameters, learning_rate, weight_decay=weight_decay)

    def _update(self, w, g, rate, *state):
        v, *others = state
        v[...] = self.alpha * v + (1 - self.alpha) * g**2
        if self.centered:
            a, *others = others
            a[...] = self.alpha * a + (1 - self.alpha) * g
            d = g / (np.sqrt(v - a**2) + self.eps)
        else:
            d = g / (np.sqrt(v) + self.eps)
        for b in others:
            b[...] = per_model(self.momentum, w) * b + d
            d = b
        w -= rate * d


class Adadelta(Optimizer):
    """Scales steps by the ratio of the root mean squares of past steps and past gradients.

    Formula: v ← ρ v + (1-ρ) g²,  d = √(u + ε) / √(v + ε) · g,  u ← ρ u + (1-ρ) d²,  w ← w - η d

    Arguments:
        rho: ρ in [0, 1).
        eps: ε, above 0.

    Source: Zeiler (2012), ADADELTA: an adaptive learning rate method, algorithm 1 (there η is 1).
    """

    state_names = ("square_avg", "acc_delta")

    def __init__(self, parameters: Parameters, learning_rate: Rate = 1.0, *, rho=0.9, eps=1e-6, weight_decay=0.0):
        self._check("rho", rho=rho)
        if not eps > 0:
            raise ValueError(f"Adadelta got eps={eps}, expected more than 0: the first step is √(ε/(v + ε)) g")
        self.rho, self.eps = rho, eps
        super().__init__(parameters, learning_rate, weight_decay=weight_decay)

    def _update(self, w, g, rate, *state):
        v, u = state
        v[...] = self.rho * v + (1 - self.rho) * g**2
        d = np.sqrt((u + self.eps) / (v + self.eps)) * g
        u[...] = self.rho * u + (1 - self.rho) * d**2
        w -= rate * d


class Muon(Optimizer):
    """Orthogonalised momentum, for the weight matrices of hidden layers (use AdamW for other parameters).

    Formula: b ← μ b + g,  d = g + μ b (Nesterov; else b),  w ← (1 - ηλ) w - η s O, where O is d with its singular
        values moved close to 1 by five Newton-Schulz steps X ← a X + (b A + c A²) X, A = X Xᵀ, from X = d/‖d‖, and s
        scales the step for the shape (K, D).

    Arguments:
        parameters: matrices `(K, D)`, or stacked `(M, K, D)`.
        momentum: μ in [0, 1).
        nesterov: use Nesterov momentum.
        weight_decay: λ, decoupled.
        adjust: s: `"original"`, √max(1, K/D), or `"match_rms_adamw"`, 0.2 √max(K, D), for learning rates as in AdamW.

    Source: Jordan et al. (2024), Muon: an optimizer for hidden layers in neural networks; match_rms_adamw: Liu et al.
    (2025), Muon is scalable for LLM training, equation 4. Computed in the dtype of the parameters (PyTorch rounds the
    Newton-Schulz steps to bfloat16).
    """

    state_names = ("momentum",)
    decoupled_decay = True

    def __init__(
        self, parameters: Parameters, learning_rate: Rate = 1e-3, *, momentum=0.95, nesterov=True, weight_decay=0.1,
        adjust="original"
    ) -> None:  # fmt: skip
        self._check("momentum", momentum=momentum)
        if adjust not in ("original", "match_rms_adamw"):
            raise ValueError(f"Muon got adjust={adjust!r}, expected 'original' or 'match_rms_adamw'")
        self.momentum, self.nesterov, self.adjust = momentum, nesterov, adjust
        super().__init__(parameters, learning_rate, weight_decay=weight_decay)
        for shape in (p.value.shape for p in self.parameters):
            if len(shape) < 2:
                raise ValueError(f"Muon got a parameter of shape={shape}, expected matrices: give vectors to AdamW")

    def _update(self, w, g, rate, *state):
        (b,), momentum = state, per_model(self.momentum, w)
        b[...] = momentum * b + g
        d = g + momentum * b if self.nesterov else b
        w -= rate * self._scale(*w.shape[-2:]) * _orthogonalized(d)

    def _scale(self, rows: int, columns: int) -> float:
        original = self.adjust == "original"
        return math.sqrt(max(1, rows / columns)) if original else 0.2 * math.sqrt(max(rows, columns))


def per_model(number: Rate, w: np.ndarray) -> float | np.ndarray:
    """A scalar unchanged; one number per model `(M, 1)` reshaped to broadcast against `w`, in its dtype."""
    return number.astype(w.dtype).reshape(-1, *(1,) * (w.ndim - 1)) if isinstance(number, np.ndarray) else number


def _orthogonalized(d: np.ndarray) -> np.ndarray:
    """`d` with its singular values moved close to 1 (into about 0.7 to 1.2), in five Newton-Schulz steps."""
    a, b, c = 3.4445, -4.7750, 2.0315  # steepest at 0: small singular values grow fastest
    wide = d.shape[-2] <= d.shape[-1]
    x = d if wide else d.mT  # so that A is the smaller of the two products
    x = x / np.maximum(np.sqrt((x * x).sum(axis=(-2, -1), keepdims=True)), 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x if wide else x.mT


def clip_gradient_norm(parameters: Parameters, max_norm: float, *, stacked=False) -> np.ndarray | np.floating:
    """Scales all gradients by one factor so that their total norm is at most `max_norm`.

    Formula: g ← g · min(1, c / (‖g‖ + 10⁻⁶)), ‖g‖² the sum of the squares of all gradients.

    Arguments:
        parameters: a network, or an iterable of parameters.
        max_norm: c, above 0.
        stacked: whether the first axis is the model axis; each model then has its own norm.

    Returns: the norm before, one per model if stacked.

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
