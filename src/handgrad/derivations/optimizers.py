"""Optimisers: momentum, two forms of Nesterov momentum, the bias correction of Adam, Adadelta, weight decay and L2.

The loss is quadratic, L(w) = ½ wᵀ A w + cᵀ w, so that the gradient depends on the point at which it is evaluated:
otherwise, forms that look ahead would not differ.
"""

# Two derivations have a step called gradient.
# ruff: noqa: F811
# pyright: reportRedeclaration=false

from __future__ import annotations

import itertools

import numpy as np

from handgrad import nn
from handgrad.derivations.derivation import D, Derivation, Link
from handgrad.derivations.running import run_optimizer

TOPIC = "Optimisers"
RATE, MU = 0.05, 0.9
MANY = 200


def _point(rng, T, D):
    root = rng.normal(size=(D, D)) / np.sqrt(D)
    return {
        "w": rng.normal(size=D),
        "A": root @ root.T + 0.1 * np.eye(D),
        "c": rng.normal(size=D),
        "g": rng.normal(size=(T, D)),
        "steps": T,
    }


def _optimizer(name: str, title: str, intro: str, source: str) -> Derivation:
    derivation = Derivation(name, TOPIC, title, {"T": 6, "D": 3}, _point, intro=intro, source=source)

    @derivation.given
    def loss(w, A, c):
        return 0.5 * w @ A @ w + c @ w

    return derivation


# -- momentum ---------------------------------------------------------------------------------------------------------

momentum = _optimizer(
    "momentum",
    "Momentum: the unrolled velocity and three equivalent forms",
    "T steps from w on a quadratic loss L = ½ wᵀAw + cᵀw; η = 0.05, μ = 0.9. A path consists of the weights after "
    "each step.",
    "Sutskever, Martens, Dahl, Hinton (2013); Polyak (1964); CMU 11-785 Fall 2019, homework 1 handout",
)


@momentum.step(
    "the gradient of the quadratic loss",
    r"\nabla L(w) = A w + c",
    "∇L(w) = A w + c",
    "A is symmetric, so the two terms of the product rule are equal.",
    derivative=D("loss", "w"),
)
def gradient(w, A, c):
    return A @ w + c


@momentum.step(
    "the recursion",
    r"v_t = \mu v_{t-1} + g_t, \quad w_t = w_{t-1} - \eta v_t",
    "vₜ = μ vₜ₋₁ + gₜ, wₜ = wₜ₋₁ − η vₜ",
    "The velocity accumulates past gradients. This is PyTorch's form, in which η multiplies v.",
    direct=lambda w, A, c, steps: _momentum_nn(w, A, c, steps),
    direct_label="nn.SGD",
)
def path(w, A, c, steps):
    v, weights = np.zeros_like(w), []
    for _ in range(steps):
        v = MU * v + (A @ w + c)
        w = w - RATE * v
        weights.append(w)
    return np.stack(weights)


@momentum.step(
    "the velocity unrolled",
    r"v_t = \sum_{s=1}^{t} \mu^{t-s} g_s",
    "vₜ = Σₛ μ^(t−s) gₛ",
    "The weight of a gradient decreases by the factor μ with every step, so about 1/(1 − μ) gradients contribute.",
    same=True,
)
def unrolled(w, A, c, steps):
    gradients, weights = [], []
    for t in range(steps):
        gradients.append(A @ w + c)
        w = w - RATE * sum(MU ** (t - s) * gradients[s] for s in range(t + 1))
        weights.append(w)
    return np.stack(weights)


@momentum.step(
    "the learning rate inside",
    r"u_t = \mu u_{t-1} - \eta g_t, \quad w_t = w_{t-1} + u_t",
    "uₜ = μ uₜ₋₁ − η gₜ, wₜ = wₜ₋₁ + uₜ",
    "The form of the course: u = −η v. It is equivalent as long as η does not change.",
    same=True,
)
def rate_inside(w, A, c, steps):
    u, weights = np.zeros_like(w), []
    for _ in range(steps):
        u = MU * u - RATE * (A @ w + c)
        w = w + u
        weights.append(w)
    return np.stack(weights)


@momentum.step(
    "without a velocity: the heavy ball",
    r"w_t = w_{t-1} - \eta g_t + \mu (w_{t-1} - w_{t-2})",
    "wₜ = wₜ₋₁ − η gₜ + μ (wₜ₋₁ − wₜ₋₂)",
    "uₜ₋₁ is the previous update.",
    same=True,
)
def heavy_ball(w, A, c, steps):
    before, weights = w, []
    for _ in range(steps):
        w, before = w - RATE * (A @ w + c) + MU * (w - before), w
        weights.append(w)
    return np.stack(weights)


@momentum.step(
    "under a constant gradient",
    r"v_t = \frac{1 - \mu^t}{1 - \mu}\, g \to \frac{g}{1 - \mu}",
    "vₜ = (1 − μᵗ)/(1 − μ) g → g/(1 − μ)",
    "A geometric sum: with μ = 0.9, the steps become ten times as large as in plain gradient descent.",
    direct=lambda c, steps: np.stack([sum(MU**s for s in range(t + 1)) * c for t in range(steps)]),
    direct_label="the sum",
)
def terminal(c, steps):
    t = np.arange(1, steps + 1)[:, None]
    return (1 - MU**t) / (1 - MU) * c


def _momentum_nn(w, A, c, steps):
    return run_optimizer(lambda p: nn.SGD(p, RATE, momentum=MU), w, lambda w, t: A @ w + c, steps)


@momentum.step(
    "what nn computes",
    r"v \leftarrow \mu v + g, \quad w \leftarrow w - \eta v",
    "v ← μ v + g, w ← w − η v",
    "The recursion, in place.",
    same="path",
    link=Link(nn.SGD._update, "momentum * v + g"),
)
def momentum_nn(w, A, c, steps):
    return _momentum_nn(w, A, c, steps)


# -- Nesterov ---------------------------------------------------------------------------------------------------------

nesterov = _optimizer(
    "nesterov",
    "Nesterov momentum: two equivalent forms",
    "θ are the weights of the look-ahead form, φ the look-ahead points. η = 0.05, μ = 0.9.",
    "Nesterov (1983); Sutskever et al. (2013), equations 3 and 4; Bengio, Boulanger-Lewandowski, Pascanu (2012)",
)


@nesterov.step(
    "the gradient of the quadratic loss",
    r"\nabla L(w) = A w + c",
    "∇L(w) = A w + c",
    "It is evaluated at a point other than the weights.",
    derivative=D("loss", "w"),
)
def gradient(w, A, c):
    return A @ w + c


@nesterov.step(
    "Nesterov's own form",
    r"\varphi_{t-1} = \theta_{t-1} + \mu (\theta_{t-1} - \theta_{t-2}), \quad"
    r" \theta_t = \varphi_{t-1} - \eta \nabla L(\varphi_{t-1})",
    "φₜ₋₁ = θₜ₋₁ + μ (θₜ₋₁ − θₜ₋₂), θₜ = φₜ₋₁ − η ∇L(φₜ₋₁)",
    "Continue in the same direction, then correct with the gradient at the new point.",
    direct=lambda w, A, c, steps: _look_ahead(w, A, c, steps)[0],
    direct_label="the form of step 3",
)
def original(w, A, c, steps):
    theta, before, thetas = w, w, []
    for _ in range(steps):
        phi = theta + MU * (theta - before)
        theta, before = phi - RATE * (A @ phi + c), theta
        thetas.append(theta)
    return np.stack(thetas)


def _look_ahead(w, A, c, steps):
    """θ and v after each step of the form with a velocity, each (T, D)."""
    v, thetas, velocities = np.zeros_like(w), [], []
    for _ in range(steps):
        v = MU * v - RATE * (A @ (w + MU * v) + c)
        w = w + v
        thetas.append(w)
        velocities.append(v)
    return np.stack(thetas), np.stack(velocities)


@nesterov.step(
    "with a velocity: the look-ahead form",
    r"v_t = \mu v_{t-1} - \eta \nabla L(\theta_{t-1} + \mu v_{t-1}), \quad \theta_t = \theta_{t-1} + v_t",
    "vₜ = μ vₜ₋₁ − η ∇L(θₜ₋₁ + μ vₜ₋₁), θₜ = θₜ₋₁ + vₜ",
    "v is the previous update. The gradient is needed at a point other than the weights, which is inconvenient for a "
    "network.",
    same=True,
)
def look_ahead(w, A, c, steps):
    v, thetas = np.zeros_like(w), []
    for _ in range(steps):
        v = MU * v - RATE * (A @ (w + MU * v) + c)
        w = w + v
        thetas.append(w)
    return np.stack(thetas)


@nesterov.step(
    "the look-ahead points",
    r"\varphi_t = \theta_t + \mu v_t",
    "φₜ = θₜ + μ vₜ",
    "Use these as the weights instead. Both sequences converge to the same minimum, where v is 0.",
    direct=lambda w, A, c, steps: _nesterov_nn(w, A, c, steps),
    direct_label="nn.SGD",
)
def looked_at(w, A, c, steps):
    thetas, velocities = _look_ahead(w, A, c, steps)
    return thetas + MU * velocities


@nesterov.step(
    "the second form",
    r"V_t = \mu V_{t-1} + \nabla L(\varphi_{t-1}), \quad"
    r" \varphi_t = \varphi_{t-1} - \eta (\nabla L(\varphi_{t-1}) + \mu V_t)",
    "Vₜ = μ Vₜ₋₁ + ∇L(φₜ₋₁), φₜ = φₜ₋₁ − η (∇L(φₜ₋₁) + μ Vₜ)",
    "Substitute θ = φ − μ v and V = −v/η: only gradients at φ remain.",
    same=True,
)
def second(w, A, c, steps):
    v, phis = np.zeros_like(w), []
    for _ in range(steps):
        g = A @ w + c
        v = MU * v + g
        w = w - RATE * (g + MU * v)
        phis.append(w)
    return np.stack(phis)


@nesterov.step(
    "the two forms over 200 steps",
    r"\varphi_t = \theta_t + \mu v_t, \quad t = 1 \ldots 200",
    "φₜ = θₜ + μ vₜ, t = 1 … 200",
    "They are equal at every step, independent of the number of steps.",
    direct=lambda w, A, c: _nesterov_nn(w, A, c, MANY),
    direct_label="nn.SGD",
)
def long_run(w, A, c):
    thetas, velocities = _look_ahead(w, A, c, MANY)
    return thetas + MU * velocities


def _nesterov_nn(w, A, c, steps):
    return run_optimizer(lambda p: nn.SGD(p, RATE, momentum=MU, nesterov=True), w, lambda w, t: A @ w + c, steps)


@nesterov.step(
    "what nn computes",
    r"v \leftarrow \mu v + g, \quad w \leftarrow w - \eta (g + \mu v)",
    "v ← μ v + g, w ← w − η (g + μ v)",
    "The second form.",
    same="second",
    link=Link(nn.SGD._update, "g + momentum * v"),
)
def nesterov_nn(w, A, c, steps):
    return _nesterov_nn(w, A, c, steps)


# -- Adam -------------------------------------------------------------------------------------------------------------

B1, B2, EPS, ADAM_RATE = 0.9, 0.999, 1e-3, 1e-2

adam = _optimizer(
    "adam",
    "Adam: bias correction, and the form with one division",
    "g are T given gradients, one row per step; β₁ = 0.9, β₂ = 0.999, η = 0.01, and ε = 1e-3, large enough for a "
    "misplaced one to show. Squares and roots are elementwise.",
    "Kingma and Ba (2015), Adam, algorithm 1 and section 3",
)


@adam.step(
    "the running mean",
    r"m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t",
    "mₜ = β₁ mₜ₋₁ + (1 − β₁) gₜ",
    "Starting from 0.",
    direct=lambda g: np.stack([sum((1 - B1) * B1 ** (t - s) * g[s] for s in range(t + 1)) for t in range(len(g))]),
    direct_label="the sum",
)
def mean(g):
    m, means = np.zeros(g.shape[1]), []
    for gradient in g:
        m = B1 * m + (1 - B1) * gradient
        means.append(m)
    return np.stack(means)


@adam.step(
    "unrolled",
    r"m_t = (1 - \beta_1) \sum_{s=1}^t \beta_1^{t-s} g_s",
    "mₜ = (1 − β₁) Σₛ β₁^(t−s) gₛ",
    "As for momentum: a matrix of powers times the gradients.",
    same=True,
)
def mean_unrolled(g):
    t = np.arange(len(g))
    powers = np.tril(B1 ** (t[:, None] - t))
    return (1 - B1) * powers @ g


@adam.step(
    "the weights sum to less than 1",
    r"(1 - \beta_1) \sum_{s=1}^t \beta_1^{t-s} = 1 - \beta_1^t",
    "(1 − β₁) Σₛ β₁^(t−s) = 1 − β₁ᵗ",
    "A geometric sum: at the beginning, the average is biased towards its initial value of 0.",
    direct=lambda steps: np.array([(1 - B1) * sum(B1**k for k in range(t)) for t in range(1, steps + 1)]),
    direct_label="the sum",
)
def weights(steps):
    return 1 - B1 ** np.arange(1, steps + 1)


@adam.step(
    "a constant gradient",
    r"g_s = g \;\Rightarrow\; m_t = (1 - \beta_1^t)\, g",
    "gₛ = g gives mₜ = (1 − β₁ᵗ) g",
    "Dividing by 1 − β₁ᵗ therefore gives exactly g.",
    direct=lambda c, steps: mean(np.tile(c, (steps, 1))),
    direct_label="the recursion",
)
def constant(c, weights):
    return weights[:, None] * c


@adam.step(
    "the expectation",
    r"\mathbb E[m_t] = (1 - \beta_1^t)\, \mathbb E[g]",
    "E[mₜ] = (1 − β₁ᵗ) E[g]",
    "For independent, identically distributed gradients. Here each is g₁ or c with probability ½, and the left side "
    "is the exact average over all 2⁵ sequences of 5 steps.",
    direct=lambda g, c: np.mean([mean(np.stack(draw))[-1] for draw in itertools.product((g[0], c), repeat=5)], axis=0),
    direct_label="all 32 sequences",
)
def expectation(g, c):
    return (1 - B1**5) * (g[0] + c) / 2


@adam.step(
    "the running square, corrected in the same way",
    r"\hat v_t = \frac{1}{1 - \beta_2^t} (1 - \beta_2) \sum_{s=1}^t \beta_2^{t-s} g_s^2",
    "v̂ₜ = (1 − β₂) Σₛ β₂^(t−s) gₛ² / (1 − β₂ᵗ)",
    "After the first step, v̂ is g², not a thousandth of it.",
    direct=lambda g: np.stack(
        [np.average(g[: t + 1] ** 2, axis=0, weights=B2 ** -np.arange(t + 1.0)) for t in range(len(g))]
    ),
    direct_label="np.average",
)
def square(g):
    v, squares = np.zeros(g.shape[1]), []
    for t, gradient in enumerate(g, 1):
        v = B2 * v + (1 - B2) * gradient**2
        squares.append(v / (1 - B2**t))
    return np.stack(squares)


@adam.step(
    "the step",
    r"w_t = w_{t-1} - \eta \frac{\hat m_t}{\sqrt{\hat v_t} + \varepsilon}",
    "wₜ = wₜ₋₁ − η m̂ₜ / (√v̂ₜ + ε)",
    "The step is scaled by the magnitude of recent gradients, so multiplying the loss by a constant has almost no "
    "effect.",
    direct=lambda w, g: _adam_nn(w, g),
    direct_label="nn.Adam",
)
def adam_path(w, mean, weights, square):
    return w - np.cumsum(ADAM_RATE * mean / weights[:, None] / (np.sqrt(square) + EPS), axis=0)


@adam.step(
    "the corrections combined",
    r"\frac{m_t / c_1}{\sqrt{v_t / c_2} + \varepsilon} = \frac{\sqrt{c_2}}{c_1} \frac{m_t}{\sqrt{v_t}"
    r" + \varepsilon \sqrt{c_2}}, \quad c_i = 1 - \beta_i^t",
    "(m/c₁) / (√(v/c₂) + ε) = √c₂/c₁ · m / (√v + ε√c₂), cᵢ = 1 − βᵢᵗ",
    "Multiply numerator and denominator by √c₂. This requires two scalars instead of two passes over the arrays. ε "
    "must be scaled as well.",
    same=True,
)
def one_division(w, g):
    m, v, path = np.zeros_like(w), np.zeros_like(w), []
    for t, gradient in enumerate(g, 1):
        m = B1 * m + (1 - B1) * gradient
        v = B2 * v + (1 - B2) * gradient**2
        c1, c2 = 1 - B1**t, 1 - B2**t
        w = w - ADAM_RATE * np.sqrt(c2) / c1 * m / (np.sqrt(v) + EPS * np.sqrt(c2))
        path.append(w)
    return np.stack(path)


def _adam_nn(w, g):
    return run_optimizer(lambda p: nn.Adam(p, ADAM_RATE, betas=(B1, B2), eps=EPS), w, lambda w, t: g[t], len(g))


@adam.step(
    "sums instead of averages",
    r"M_t = \beta_1 M_{t-1} + g_t = \frac{m_t}{1 - \beta_1}, \quad "
    r"V_t = \beta_2 V_{t-1} + g_t^2 = \frac{v_t}{1 - \beta_2}",
    "Mₜ = β₁ Mₜ₋₁ + gₜ = mₜ / (1 − β₁), Vₜ = β₂ Vₜ₋₁ + gₜ² = vₜ / (1 − β₂)",
    "The factors 1 − β become part of the corrections: a = (1 − β₁)/c₁ and b = √((1 − β₂)/c₂). In the pass over the "
    "arrays, only the decay remains.",
    same=True,
)
def sums(w, g):
    total, squares, path = np.zeros_like(w), np.zeros_like(w), []
    for t, gradient in enumerate(g, 1):
        total = B1 * total + gradient
        squares = B2 * squares + gradient**2
        a, b = (1 - B1) / (1 - B1**t), np.sqrt((1 - B2) / (1 - B2**t))
        w = w - ADAM_RATE * a * total / (b * np.sqrt(squares) + EPS)
        path.append(w)
    return np.stack(path)


@adam.step(
    "what nn computes",
    r"w \leftarrow w - \eta \frac{\hat m}{\sqrt{\hat v} + \varepsilon}",
    "w ← w − η m̂ / (√v̂ + ε)",
    "The averages, as in the paper. The engine stores the sums, which saves two passes over memory.",
    same=True,
    link=Link(nn.Adam._update, "rate * m_hat / "),
)
def adam_nn(w, g):
    return _adam_nn(w, g)


# -- Adadelta ---------------------------------------------------------------------------------------------------------

RHO, DELTA_EPS = 0.9, 1e-6

adadelta = _optimizer(
    "adadelta",
    "Adadelta: steps in the units of the weights",
    "g are T given gradients; ρ = 0.9, ε = 1e-6, RMS[z] = √(E[z²] + ε).",
    "Zeiler (2012), ADADELTA, algorithm 1",
)


@adadelta.step(
    "the running square of the gradient",
    r"E[g^2]_t = \rho E[g^2]_{t-1} + (1 - \rho) g_t^2",
    "E[g²]ₜ = ρ E[g²]ₜ₋₁ + (1 − ρ) gₜ²",
    "Unlike in Adam, there is no correction.",
    direct=lambda g: np.stack(
        [sum((1 - RHO) * RHO ** (t - s) * g[s] ** 2 for s in range(t + 1)) for t in range(len(g))]
    ),
    direct_label="the sum",
)
def squares(g):
    e, path = np.zeros(g.shape[1]), []
    for gradient in g:
        e = RHO * e + (1 - RHO) * gradient**2
        path.append(e)
    return np.stack(path)


@adadelta.step(
    "the first step",
    r"\Delta_1 = -\frac{\sqrt{\varepsilon}}{\sqrt{(1 - \rho) g_1^2 + \varepsilon}}\, g_1",
    "Δ₁ = −√ε / √((1 − ρ) g₁² + ε) · g₁",
    "RMS[Δ]₀ = √ε: without ε, the weights would never change.",
    direct=lambda g: _adadelta(g)[0],
    direct_label="algorithm 1",
)
def first_step(g):
    return -np.sqrt(DELTA_EPS) / np.sqrt((1 - RHO) * g[0] ** 2 + DELTA_EPS) * g[0]


def _adadelta(g, scale=1.0):
    """The updates Δ of algorithm 1, (T, D); `scale` multiplies the gradient, and its square multiplies ε in RMS[g]."""
    square, moved, moves = np.zeros_like(g[0]), np.zeros_like(g[0]), []
    for gradient in scale * g:
        square = RHO * square + (1 - RHO) * gradient**2
        move = -np.sqrt(moved + DELTA_EPS) / np.sqrt(square + scale**2 * DELTA_EPS) * gradient
        moved = RHO * moved + (1 - RHO) * move**2
        moves.append(move)
    return np.stack(moves)


@adadelta.step(
    "the step",
    r"\Delta_t = -\frac{\mathrm{RMS}[\Delta]_{t-1}}{\mathrm{RMS}[g]_t}\, g_t",
    "Δₜ = −RMS[Δ]ₜ₋₁ / RMS[g]ₜ · gₜ",
    "The quotient has the units of w divided by those of g, so Δ has the units of w, without a learning rate.",
    direct=lambda g: _adadelta(g),
    direct_label="algorithm 1",
)
def moves(g, squares):
    moved, result = np.zeros(g.shape[1]), []
    for gradient, square in zip(g, squares, strict=True):
        move = -np.sqrt((moved + DELTA_EPS) / (square + DELTA_EPS)) * gradient
        moved = RHO * moved + (1 - RHO) * move**2
        result.append(move)
    return np.stack(result)


@adadelta.step(
    "invariance to the scale of the loss",
    r"g \to 1000\, g,\ \varepsilon_g \to 10^6 \varepsilon_g \;\Rightarrow\; \Delta_t \text{ unchanged}",
    "g → 1000 g (and ε in RMS[g] with its square): Δ unchanged",
    "RMS[g] scales with g.",
    same=True,
)
def rescaled(g):
    return _adadelta(g, 1000.0)


@adadelta.step(
    "the vectorised formula",
    r"w_t = w_{t-1} + \Delta_t",
    "wₜ = wₜ₋₁ + Δₜ",
    "PyTorch's form multiplies Δ by a learning rate, here 1.",
    direct=lambda w, g: w + np.cumsum(_adadelta(g), axis=0),
    direct_label="sum of the updates",
)
def adadelta_path(w, g):
    square, moved, path = np.zeros_like(w), np.zeros_like(w), []
    for gradient in g:
        square = square * RHO + gradient * gradient * (1 - RHO)
        move = np.sqrt(moved + DELTA_EPS) / np.sqrt(square + DELTA_EPS) * gradient
        moved = moved * RHO + move * move * (1 - RHO)
        w = w - move
        path.append(w)
    return np.stack(path)


@adadelta.step(
    "what nn computes",
    r"w \leftarrow w - \eta \sqrt{\frac{E[\Delta^2] + \varepsilon}{E[g^2] + \varepsilon}}\, g",
    "w ← w − η √((E[Δ²] + ε) / (E[g²] + ε)) · g",
    "One root instead of two; η = 1.",
    same=True,
    link=Link(nn.Adadelta._update, "np.sqrt((u + self.eps)"),
)
def adadelta_nn(w, g):
    return run_optimizer(lambda p: nn.Adadelta(p, rho=RHO, eps=DELTA_EPS), w, lambda w, t: g[t], len(g))


# -- weight decay -----------------------------------------------------------------------------------------------------

DECAY = 0.1

weight_decay = _optimizer(
    "weight-decay",
    "Weight decay and L2 penalty: equivalent for SGD, different for Adam",
    "λ = 0.1. L2 adds λ/2 ‖w‖² to the loss; weight decay multiplies w by 1 − ηλ in every step.",
    "Loshchilov and Hutter (2019), Decoupled weight decay regularization, propositions 1 and 2",
)


@weight_decay.given
def penalised(loss, w):
    return loss + DECAY / 2 * (w * w).sum()


@weight_decay.step(
    "the gradient of the penalty",
    r"\nabla \big(L + \tfrac\lambda2 \|w\|^2\big) = \nabla L + \lambda w",
    "∇(L + λ/2 ‖w‖²) = ∇L + λ w",
    "The factor 2 of the square cancels the ½.",
    derivative=D("penalised", "w"),
)
def penalty_gradient(w, A, c):
    return A @ w + c + DECAY * w


@weight_decay.step(
    "SGD with L2",
    r"w_t = w_{t-1} - \eta (g_t + \lambda w_{t-1})",
    "wₜ = wₜ₋₁ − η (gₜ + λ wₜ₋₁)",
    "The gradient of the penalty is added to that of the loss.",
    direct=lambda w, A, c, steps: _decayed_sgd(w, A, c, steps),
    direct_label="nn.SGD",
)
def sgd_l2(w, A, c, steps):
    path = []
    for _ in range(steps):
        w = w - RATE * (A @ w + c + DECAY * w)
        path.append(w)
    return np.stack(path)


@weight_decay.step(
    "SGD with decay",
    r"w_t = (1 - \eta \lambda) w_{t-1} - \eta g_t",
    "wₜ = (1 − ηλ) wₜ₋₁ − η gₜ",
    "Expanding shows that it is the same: for plain SGD, an L2 penalty is weight decay.",
    same=True,
)
def sgd_decay(w, A, c, steps):
    path = []
    for _ in range(steps):
        w = (1 - RATE * DECAY) * w - RATE * (A @ w + c)
        path.append(w)
    return np.stack(path)


@weight_decay.step(
    "Adam with L2, first step",
    r"w_1 = w_0 - \eta \frac{g + \lambda w_0}{|g + \lambda w_0| + \varepsilon}",
    "w₁ = w₀ − η (g + λ w₀) / (|g + λ w₀| + ε)",
    "m̂ = g and √v̂ = |g| after one step. The penalty is normalised together with the gradient, so λ has almost no "
    "effect.",
    direct=lambda w, A, c: _decayed_adam(w, A, c, 1)[0],
    direct_label="nn.Adam",
)
def adam_l2(w, penalty_gradient):
    return w - ADAM_RATE * penalty_gradient / (np.abs(penalty_gradient) + EPS)


@weight_decay.step(
    "Adam with decay, first step",
    r"w_1 = (1 - \eta \lambda) w_0 - \eta \frac{g}{|g| + \varepsilon}",
    "w₁ = (1 − ηλ) w₀ − η g / (|g| + ε)",
    "Decoupled (AdamW): every weight shrinks by the same factor.",
    direct=lambda w, A, c: (
        run_optimizer(lambda p: nn.Adam(p, ADAM_RATE, eps=EPS), w, lambda w, t: A @ w + c, 1)[0] - ADAM_RATE * DECAY * w
    ),
    direct_label="nn.Adam − ηλw",
)
def adam_decay(w, A, c):
    g = A @ w + c
    return (1 - ADAM_RATE * DECAY) * w - ADAM_RATE * g / (np.abs(g) + EPS)


@weight_decay.step(
    "for Adam the two differ",
    r"w_1^{L2} - w_1^{decay} = \eta \Big(\lambda w_0 + \frac{g}{|g| + \varepsilon}"
    r" - \frac{g + \lambda w_0}{|g + \lambda w_0| + \varepsilon}\Big)",
    "w₁(L2) − w₁(decay) = η (λ w₀ + g/(|g| + ε) − (g + λw₀)/(|g + λw₀| + ε))",
    "For SGD, the expression in parentheses would be λ w₀ + g − (g + λ w₀) = 0. Here both quotients are near ±1, so "
    "about ηλw₀ remains if the penalty does not change the sign of the gradient.",
    direct=lambda adam_l2, adam_decay: adam_l2 - adam_decay,
    direct_label="steps 4 and 5",
)
def differ(w, A, c):
    g = A @ w + c
    penalised = g + DECAY * w
    return ADAM_RATE * (DECAY * w + g / (np.abs(g) + EPS) - penalised / (np.abs(penalised) + EPS))


def _decayed_sgd(w, A, c, steps):
    return run_optimizer(lambda p: nn.SGD(p, RATE, weight_decay=DECAY), w, lambda w, t: A @ w + c, steps)


def _decayed_adam(w, A, c, steps):
    return run_optimizer(lambda p: nn.Adam(p, ADAM_RATE, eps=EPS, weight_decay=DECAY), w, lambda w, t: A @ w + c, steps)


@weight_decay.step(
    "what nn computes",
    r"g \leftarrow g + \lambda w",
    "g ← g + λ w",
    "weight_decay in nn is the L2 penalty, as in PyTorch's SGD and Adam.",
    same="sgd_l2",
    link=Link(nn.Optimizer.step, "g + decay * w"),
)
def weight_decay_nn(w, A, c, steps):
    return _decayed_sgd(w, A, c, steps)


DERIVATIONS = [momentum, nesterov, adam, adadelta, weight_decay]
