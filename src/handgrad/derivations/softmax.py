"""Softmax, log-softmax, log-sum-exp, cross-entropy, softmax cross-entropy, label smoothing, mean squared error."""

from __future__ import annotations

import numpy as np

from handgrad import nn
from handgrad.derivations.derivation import D, Derivation, Link
from handgrad.derivations.running import run_layer
from handgrad.nn.softmax import softmax as softmax_rows

TOPIC = "Softmax and losses"


def _probabilities(rng, N, K):
    p = rng.dirichlet(np.full(K, 3.0), N) + 0.02
    return p / p.sum(axis=1, keepdims=True)


def _one_hot(rng, N, K):
    return np.eye(K)[rng.integers(K, size=N)]


# -- softmax ----------------------------------------------------------------------------------------------------------

softmax = Derivation(
    "softmax",
    TOPIC,
    "Softmax: the full Jacobian, and its product with a vector",
    {"N": 4, "K": 3},
    lambda rng, N, K: {"x": rng.normal(size=(N, K)), "dy": rng.normal(size=(N, K))},
    intro="x are scores, with one row per sample; y are probabilities. Rows are independent: each sample has its own "
    "K×K Jacobian.",
    source="Goodfellow, Bengio, Courville, Deep Learning (2016), equation 6.29",
)


@softmax.step(
    "definition",
    r"y_i = \frac{e^{x_i}}{\sum_k e^{x_k}}",
    "yᵢ = e^xᵢ / Σₖ e^xₖ",
    "Positive numbers that sum to 1. Adding a constant to all scores does not change them. For K = 1, y is 1 and the "
    "gradient is 0.",
    direct=lambda x: np.stack([np.exp(row) / np.exp(row).sum() for row in x]),
    direct_label="row by row",
)
def y(x):
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


@softmax.given
def L(dy, y):
    return (dy * y).sum()


@softmax.step(
    "the Jacobian by the quotient rule",
    r"\frac{\partial y_i}{\partial x_j} ="
    r" \frac{\delta_{ij} e^{x_i} \sum_k e^{x_k} - e^{x_i} e^{x_j}}{(\sum_k e^{x_k})^2}",
    "∂yᵢ/∂xⱼ = (δᵢⱼ e^xᵢ Σₖe^xₖ − e^xᵢ e^xⱼ) / (Σₖe^xₖ)²",
    "The numerator depends on xⱼ only if i = j; the denominator depends on every score.",
    derivative=D("y", "x", take="ninj->nij"),
)
def quotient(x):
    e = np.exp(x)
    total = e.sum(axis=1)[:, None, None]
    return (np.eye(x.shape[1]) * e[:, :, None] * total - e[:, :, None] * e[:, None, :]) / total**2


@softmax.step(
    "the two cases in one",
    r"\frac{\partial y_i}{\partial x_j} = y_i (\delta_{ij} - y_j)",
    "∂yᵢ/∂xⱼ = yᵢ (δᵢⱼ − yⱼ)",
    "i = j gives yᵢ(1 − yᵢ), i ≠ j gives −yᵢ yⱼ; the Kronecker delta combines the two cases.",
    same=True,
)
def cases(x, y):
    return y[:, :, None] * (np.eye(x.shape[1]) - y[:, None, :])


@softmax.step(
    "as a matrix",
    r"J = \operatorname{diag}(y) - y y^\top",
    "J = diag(y) − y yᵀ",
    "Symmetric, so the two ways to index a Jacobian agree here. They do not for a linear layer.",
    same=True,
)
def matrix(y):
    return np.stack([np.diag(row) - np.outer(row, row) for row in y])


@softmax.step(
    "the chain rule with the full Jacobian",
    r"\frac{\partial L}{\partial x_j} = \sum_i \frac{\partial L}{\partial y_i} \frac{\partial y_i}{\partial x_j}",
    "dxⱼ = Σᵢ dyᵢ Jᵢⱼ",
    "Every score affects every probability, so the sum runs over all of them. This requires K² numbers per sample.",
    derivative=D("L", "x"),
)
def dx_full(dy, matrix):
    return np.einsum("ni,nij->nj", dy, matrix)


@softmax.step(
    "multiplied out",
    r"\frac{\partial L}{\partial x_j} = dy_j\, y_j - y_j \sum_i dy_i\, y_i",
    "dxⱼ = dyⱼ yⱼ − yⱼ Σᵢ dyᵢ yᵢ",
    "diag(y) selects one term, and y yᵀ requires only the inner product, so the matrix is never computed.",
    same=True,
)
def dx_split(dy, y):
    return dy * y - y * (dy * y).sum(axis=1, keepdims=True)


@softmax.step(
    "what nn computes",
    r"dx = y \odot \left(dy - (dy \cdot y)\,\mathbf 1\right)",
    "dx = y ⊙ (dy − dy·y)",
    "The same with y factored out. nn.Softmax subtracts the maximum of the row before exp, which does not change y.",
    same=True,
    link=Link(nn.Softmax.backward, "y * (dy - "),
)
def dx_nn(x, dy):
    return run_layer(nn.Softmax(), x, dy).dx


# -- log-sum-exp ------------------------------------------------------------------------------------------------------


def _huge(rng, N, K):
    scores = 1000 + rng.random((N, K))
    scores[:, 1:2] -= 2000  # so far below the maximum that only the maximum can be the constant
    return scores


log_sum_exp = Derivation(
    "log-sum-exp",
    TOPIC,
    "Log-sum-exp: why it is stable, and its gradient",
    {"N": 4, "K": 3},
    lambda rng, N, K: {"x": rng.normal(size=(N, K)), "a": rng.normal(size=(N, 1)), "huge": _huge(rng, N, K)},
    intro="float64 overflows at e^710. huge are scores around ±1000, as they occur in a network with large weights.",
    source="CMU 11-785 Fall 2019, homework 1 handout, appendix B; Murphy, Machine Learning (2012), section 3.5.3",
)


@log_sum_exp.step(
    "definition",
    r"\ell(x) = \log \sum_k e^{x_k}",
    "ℓ(x) = log Σₖ e^xₖ",
    "The logarithm of the denominator of the softmax, which softmax cross-entropy requires.",
    direct=lambda x: np.logaddexp.reduce(x, axis=1),
    direct_label="np.logaddexp",
)
def lse(x):
    return np.log(np.exp(x).sum(axis=1))


@log_sum_exp.step(
    "a constant taken out",
    r"\log \sum_k e^{x_k} = a + \log \sum_k e^{x_k - a}",
    "log Σₖ e^xₖ = a + log Σₖ e^(xₖ−a)",
    "e^xₖ = e^a e^(xₖ−a). Factor e^a out of the sum; its logarithm is a. This holds for every a.",
    same=True,
)
def shifted_by_any(x, a):
    return a[:, 0] + np.log(np.exp(x - a).sum(axis=1))


@log_sum_exp.step(
    "the constant is the maximum",
    r"\ell(x) = m + \log \sum_k e^{x_k - m}, \quad m = \max_k x_k",
    "ℓ(x) = m + log Σₖ e^(xₖ−m), m = max x",
    "Now every exponent is at most 0 and one of them is 0, so the sum is between 1 and K.",
    same=True,
)
def shifted(x):
    m = x.max(axis=1, keepdims=True)
    return m[:, 0] + np.log(np.exp(x - m).sum(axis=1))


@log_sum_exp.step(
    "the naive form overflows",
    r"\log \sum_k e^{1000} = \log \infty = \infty",
    "log Σₖ e^1000 = ∞ in float64",
    "Each row of huge gives 1 here if the definition, computed literally, is infinite. The formula is correct, but it "
    "overflows in floating point.",
    direct=lambda huge: np.ones(len(huge)),
    direct_label="1 per row",
)
def naive_is_infinite(huge):
    with np.errstate(over="ignore"):
        return np.isinf(lse(huge)).astype(float)


@log_sum_exp.step(
    "the shifted form stays finite",
    r"m + \log \sum_k e^{x_k - m} \quad\text{at } x \approx \pm 1000",
    "m + log Σₖ e^(xₖ−m) at x ≈ ±1000",
    "Compared with NumPy's pairwise logaddexp. The constant must be the maximum: with the minimum, e^2000 would "
    "remain.",
    direct=lambda huge: np.logaddexp.reduce(huge, axis=1),
    direct_label="np.logaddexp",
)
def shifted_is_finite(huge):
    m = huge.max(axis=1, keepdims=True)
    return m[:, 0] + np.log(np.exp(huge - m).sum(axis=1))


@log_sum_exp.step(
    "the gradient is the softmax",
    r"\frac{\partial \ell}{\partial x_j} = \frac{e^{x_j}}{\sum_k e^{x_k}}",
    "∂ℓ/∂xⱼ = e^xⱼ / Σₖ e^xₖ",
    "The derivative of the logarithm times the derivative of the only term that contains xⱼ.",
    derivative=D("lse", "x", take="nnk->nk"),
)
def gradient(x):
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


@log_sum_exp.step(
    "what nn computes",
    r"\frac{e^{x_j - m}}{\sum_k e^{x_k - m}}",
    "e^(xⱼ−m) / Σₖ e^(xₖ−m)",
    "The shift cancels in the quotient, so this is also the derivative of the stable form.",
    same=True,
    link=Link(softmax_rows, "x - x.max(axis=-1, keepdims=True)"),
)
def gradient_nn(x):
    return nn.Softmax().forward(x)


# -- log-softmax ------------------------------------------------------------------------------------------------------

log_softmax = Derivation(
    "log-softmax",
    TOPIC,
    "Log-softmax",
    {"N": 4, "K": 3},
    lambda rng, N, K: {"x": rng.normal(size=(N, K)), "dy": rng.normal(size=(N, K))},
    intro="y are log-probabilities. In terms of y, cross-entropy is a simple sum: the negative log-likelihood.",
    source="Murphy, Machine Learning (2012), section 3.5.3",
)


@log_softmax.step(
    "definition",
    r"y_i = \log \frac{e^{x_i}}{\sum_k e^{x_k}}",
    "yᵢ = log(e^xᵢ / Σₖ e^xₖ)",
    "In this form, a probability that is too small for its dtype gives −∞.",
    direct=lambda x: np.log(nn.Softmax().forward(x)),
    direct_label="log of nn.Softmax",
)
def y_log(x):
    return np.log(np.exp(x) / np.exp(x).sum(axis=1, keepdims=True))


@log_softmax.step(
    "the logarithm of the quotient",
    r"y_i = x_i - \ell(x), \quad \ell(x) = \log \sum_k e^{x_k}",
    "yᵢ = xᵢ − ℓ(x), ℓ(x) = log Σₖ e^xₖ",
    "There is no division, and with the stable form of ℓ, all values are finite.",
    same=True,
)
def difference_log(x):
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


@log_softmax.given
def L_log(dy, y_log):
    return (dy * y_log).sum()


@log_softmax.step(
    "the Jacobian",
    r"\frac{\partial y_i}{\partial x_j} = \delta_{ij} - s_j, \quad s = e^y",
    "∂yᵢ/∂xⱼ = δᵢⱼ − sⱼ, s = e^y",
    "The gradient of ℓ is the softmax. It is the same in all rows, so this Jacobian is not symmetric.",
    derivative=D("y_log", "x", take="ninj->nij"),
)
def jacobian_log(x):
    s = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    return np.eye(x.shape[1]) - s[:, None, :]


@log_softmax.step(
    "the chain rule with the full Jacobian",
    r"\frac{\partial L}{\partial x_j} = \sum_i dy_i (\delta_{ij} - s_j)",
    "dxⱼ = Σᵢ dyᵢ (δᵢⱼ − sⱼ)",
    "The sum runs over the first index, i.",
    derivative=D("L_log", "x"),
)
def dx_log_full(dy, jacobian_log):
    return np.einsum("ni,nij->nj", dy, jacobian_log)


@log_softmax.step(
    "multiplied out",
    r"\frac{\partial L}{\partial x_j} = dy_j - s_j \sum_i dy_i",
    "dxⱼ = dyⱼ − sⱼ Σᵢ dyᵢ",
    "sⱼ does not depend on i. For one-hot targets dy = −t/N, and this is (s − t)/N again.",
    same=True,
)
def dx_log(dy, y_log):
    return dy - np.exp(y_log) * dy.sum(axis=1, keepdims=True)


@log_softmax.step(
    "what nn computes",
    r"dx = dy - e^y \odot \Big(\sum_i dy_i\Big) \mathbf 1",
    "dx = dy − e^y ⊙ Σ dy",
    "nn.LogSoftmax stores y and computes the softmax from it with one exponential.",
    same=True,
    link=Link(nn.LogSoftmax.backward, "dy - np.exp(y)"),
)
def dx_log_nn(x, dy):
    return run_layer(nn.LogSoftmax(), x, dy).dx


# -- cross-entropy ----------------------------------------------------------------------------------------------------

cross_entropy = Derivation(
    "cross-entropy",
    TOPIC,
    "Cross-entropy of probabilities",
    {"N": 4, "K": 3},
    lambda rng, N, K: {"x": _probabilities(rng, N, K), "t": _one_hot(rng, N, K)},
    intro="x are probabilities, t one-hot targets. As in the courses, the softmax is a separate layer here.",
    source="UvA reports A and B, April 2019: question 1.1 a) i",
)


@cross_entropy.step(
    "one sample",
    r"L_n = -\sum_k t_{nk} \log x_{nk}",
    "Lₙ = −Σₖ tₙₖ log xₙₖ",
    "With one-hot targets, only the term of the true class remains: minus the log of its probability.",
    direct=lambda x, t: np.array([-np.log(row[one.argmax()]) for row, one in zip(x, t, strict=True)]),
    direct_label="−log x of the true class",
)
def per_sample(x, t):
    return -(t * np.log(x)).sum(axis=1)


@cross_entropy.step(
    "a batch",
    r"L = \frac1N \sum_n L_n",
    "L = 1/N Σₙ Lₙ",
    "The mean is used so that the step size does not depend on the batch size.",
    direct=lambda x, t: nn.CrossEntropy().forward(x, t),
    direct_label="nn.CrossEntropy",
    link=Link(nn.CrossEntropy._losses, "-(t * np.log(x))"),
)
def loss(x, t):
    return -(t * np.log(x)).sum() / len(x)


@cross_entropy.step(
    "gradient of one sample",
    r"\frac{\partial L_n}{\partial x_{ni}} = -\frac{t_{ni}}{x_{ni}}",
    "∂Lₙ/∂xₙᵢ = −tₙᵢ / xₙᵢ",
    "Only the i-th term of the sum contains xᵢ, and the derivative of the logarithm is 1/x. The minus sign remains.",
    derivative=D("per_sample", "x", take="nnk->nk"),
)
def per_sample_gradient(x, t):
    return -t / x


@cross_entropy.step(
    "gradient of the mean over the batch",
    r"\frac{\partial L}{\partial x_{ni}} = -\frac{1}{N} \frac{t_{ni}}{x_{ni}}",
    "∂L/∂xₙᵢ = −tₙᵢ / (N xₙᵢ)",
    "The loss of each sample contributes 1/N to the mean. The factor 1/N enters only here.",
    derivative=D("loss", "x"),
)
def dx(x, t):
    return -t / (len(x) * x)


def _cross_entropy_nn(x, t):
    layer = nn.CrossEntropy()
    layer.forward(x, t)
    return layer.backward()


@cross_entropy.step(
    "what nn computes",
    r"dx = -t / (N x)",
    "dx = −t / (N x)",
    "The same line in code. (nn also clips x from below at the smallest normal number, so that L stays finite.)",
    same=True,
    link=Link(nn.CrossEntropy._gradients, "-t / x"),
)
def dx_cross_entropy_nn(x, t):
    return _cross_entropy_nn(x, t)


# -- the two fused ----------------------------------------------------------------------------------------------------

fused = Derivation(
    "softmax-cross-entropy",
    TOPIC,
    "Softmax and cross-entropy fused",
    {"N": 4, "K": 3},
    lambda rng, N, K: {"x": rng.normal(size=(N, K)), "t": _one_hot(rng, N, K), "u": rng.normal(size=(N, K))},
    intro="x are scores, s their softmax, t one-hot targets. Division by s and multiplication by s cancel. Steps 3 to "
    "5 hold for any targets and are checked with random targets u, whose rows have arbitrary sums.",
    source="CMU 11-785 Fall 2019, homework 1 handout, appendix A; UvA report A, April 2019: question 1.1 b) i",
)


def _fused_nn(x, target):
    layer = nn.SoftmaxCrossEntropy()
    layer.forward(x, target)
    return layer.backward()


@fused.given
def s(x):
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


@fused.step(
    "cross-entropy of the softmax",
    r"L = -\frac1N \sum_{nk} t_{nk} \log s_{nk}",
    "L = −1/N Σₙₖ tₙₖ log sₙₖ",
    "The composition of the two.",
    direct=lambda x, t: nn.SoftmaxCrossEntropy().forward(x, t),
    direct_label="nn.SoftmaxCrossEntropy",
)
def separate(s, t):
    return -(t * np.log(s)).sum() / len(s)


@fused.step(
    "the logarithm taken inside",
    r"L = \frac1N \sum_n \Big(\log \sum_k e^{x_{nk}} - \sum_k t_{nk} x_{nk}\Big)",
    "L = 1/N Σₙ (log Σₖ e^xₙₖ − Σₖ tₙₖ xₙₖ)",
    "log s = x − log Σ e^x, and the targets of a row sum to 1.",
    same=True,
    link=Link(nn.SoftmaxCrossEntropy._losses, "np.log(total[..., 0]) - weighted_sum(t, shifted)"),
)
def joined(x, t):
    return (np.log(np.exp(x).sum(axis=1)) - (t * x).sum(axis=1)).sum() / len(x)


@fused.given
def separate_any(s, u):
    return -(u * np.log(s)).sum() / len(s)


@fused.step(
    "the product of the two derivatives",
    r"\frac{\partial L}{\partial x_{nj}} = \sum_i -\frac{u_{ni}}{N s_{ni}}\, s_{ni} (\delta_{ij} - s_{nj})",
    "∂L/∂xⱼ = Σᵢ −uᵢ/(N sᵢ) · sᵢ (δᵢⱼ − sⱼ)",
    "Chain rule with the full softmax Jacobian, sample by sample; L = −1/N Σ u log s.",
    derivative=D("separate_any", "x"),
)
def product(s, u):
    jacobian = s[:, :, None] * (np.eye(s.shape[1]) - s[:, None, :])
    return np.einsum("ni,nij->nj", -u / (len(s) * s), jacobian)


@fused.step(
    "s cancels",
    r"\frac{\partial L}{\partial x_{nj}} = -\frac1N \sum_i u_{ni} (\delta_{ij} - s_{nj})",
    "∂L/∂xⱼ = −1/N Σᵢ uᵢ (δᵢⱼ − sⱼ)",
    "There is no division by a small probability left, so the fused form cannot overflow.",
    same=True,
)
def cancelled(s, u):
    return -np.einsum("ni,nij->nj", u, np.eye(s.shape[1]) - s[:, None, :]) / len(s)


@fused.step(
    "the sum carried out",
    r"\frac{\partial L}{\partial x_{nj}} = \frac1N \Big(s_{nj} \sum_i u_{ni} - u_{nj}\Big)",
    "∂L/∂xⱼ = 1/N (sⱼ Σᵢ uᵢ − uⱼ)",
    "The delta selects uⱼ; sⱼ does not depend on i. This holds for any targets, and nn supports any targets.",
    same=True,
    direct=lambda x, u: _fused_nn(x, u),
    direct_label="nn.SoftmaxCrossEntropy",
)
def any_targets(s, u):
    return (s * u.sum(axis=1, keepdims=True) - u) / len(s)


@fused.step(
    "targets that sum to 1",
    r"\frac{\partial L}{\partial x} = \frac1N (s - t)",
    "∂L/∂x = (s − t) / N",
    "u = t, one-hot. Prediction minus target: the gradient is 0 if and only if they agree.",
    derivative=D("separate", "x"),
)
def difference(s, t):
    return (s - t) / len(s)


@fused.step(
    "what nn computes",
    r"dx = (s - t) / N",
    "dx = (s − t) / N",
    "nn.SoftmaxCrossEntropy turns class indices into one-hot rows t. If rows do not sum to 1, s is multiplied by "
    "their sum.",
    same=True,
    link=Link(nn.SoftmaxCrossEntropy._gradients, "* s - t"),
)
def fused_nn(x, t):
    return _fused_nn(x, t.argmax(axis=1))


# -- label smoothing --------------------------------------------------------------------------------------------------

_EPSILON = 0.1

smoothing = Derivation(
    "label-smoothing",
    TOPIC,
    "Cross-entropy with label smoothing",
    {"N": 4, "K": 3},
    lambda rng, N, K: {"x": rng.normal(size=(N, K)), "t": _one_hot(rng, N, K)},
    intro="A fraction ε of every target (0.1 here) is distributed evenly over the K classes; s is the softmax of x.",
    source="Szegedy et al. (2016), Rethinking the inception architecture for computer vision, section 7",
    least={"K": 2},
)


@smoothing.step(
    "the targets",
    r"t' = (1 - \varepsilon)\, t + \varepsilon / K",
    "t′ = (1 − ε) t + ε/K",
    "Rows still sum to 1, but no entry is 0 or 1, so the scores no longer grow without bound.",
    direct=lambda t: np.where(t == 1, 1 - _EPSILON + _EPSILON / t.shape[1], _EPSILON / t.shape[1]),
    direct_label="true and other classes",
)
def smoothed(t):
    return (1 - _EPSILON) * t + _EPSILON / t.shape[1]


@smoothing.step(
    "their cross-entropy",
    r"L = -\frac1N \sum_{nk} t'_{nk} \log s_{nk}",
    "L = −1/N Σₙₖ t′ₙₖ log sₙₖ",
    "The same loss with different targets.",
    direct=lambda x, smoothed: nn.CrossEntropy().forward(nn.Softmax().forward(x), smoothed),
    direct_label="nn.CrossEntropy of t′",
)
def smoothed_loss(x, smoothed):
    return -(smoothed * (x - np.log(np.exp(x).sum(axis=1, keepdims=True)))).sum() / len(x)


@smoothing.step(
    "in two parts",
    r"L = (1 - \varepsilon)\, L_t - \frac{\varepsilon}{N K} \sum_{nk} \log s_{nk}",
    "L = (1 − ε) Lₜ − ε/(N K) Σₙₖ log sₙₖ",
    "The cross-entropy of the true classes, plus a term that favours all classes equally.",
    same=True,
)
def two_parts(x, t):
    log_s = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    return -(1 - _EPSILON) * (t * log_s).sum() / len(x) - _EPSILON * log_s.sum() / log_s.size


@smoothing.step(
    "the gradient",
    r"\frac{\partial L}{\partial x} = \frac1N (s - t')",
    "∂L/∂x = (s − t′) / N",
    "The gradient of softmax cross-entropy holds for any targets whose rows sum to 1.",
    derivative=D("smoothed_loss", "x"),
)
def smoothed_dx(x, smoothed):
    s = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    return (s - smoothed) / len(x)


@smoothing.step(
    "what nn computes",
    r"dx = (s - \varepsilon/K - (1 - \varepsilon)\, t) / N",
    "dx = (s − ε/K − (1 − ε) t) / N",
    "nn.SoftmaxCrossEntropy smooths the targets in its forward pass and computes (s - t) / N for the smoothed targets.",
    same=True,
    link=Link(nn.SoftmaxCrossEntropy._losses, "(1 - self.label_smoothing) * t"),
)
def smoothed_nn(x, t):
    layer = nn.SoftmaxCrossEntropy(_EPSILON)
    layer.forward(x, t.argmax(axis=1))
    return layer.backward()


# -- mean squared error -----------------------------------------------------------------------------------------------

mse = Derivation(
    "mse",
    TOPIC,
    "Mean squared error",
    {"N": 4, "D": 3},
    lambda rng, N, D: {"x": rng.normal(size=(N, D)), "t": rng.normal(size=(N, D))},
    intro="The mean is over all N·D numbers, as in PyTorch. Some texts use 1/2 instead of 1/(N D).",
    source="Goodfellow, Bengio, Courville, Deep Learning (2016), section 5.1.4",
)


@mse.step(
    "definition",
    r"L = \frac{1}{ND} \sum_{nd} (x_{nd} - t_{nd})^2",
    "L = 1/(N D) Σ (x − t)²",
    "The mean of the squared differences.",
    direct=lambda x, t: np.linalg.norm(x - t) ** 2 / x.size,
    direct_label="‖x − t‖² / (N D)",
)
def squared_error(x, t):
    return ((x - t) ** 2).sum() / x.size


@mse.step(
    "multiplied out",
    r"L = \frac{1}{ND} \sum_{nd} (x_{nd}^2 - 2 x_{nd} t_{nd} + t_{nd}^2)",
    "L = 1/(N D) Σ (x² − 2 x t + t²)",
    "The binomial formula. Each x occurs only in its own terms.",
    same=True,
)
def multiplied_out(x, t):
    return (x**2 - 2 * x * t + t**2).sum() / x.size


@mse.step(
    "term by term",
    r"\frac{\partial L}{\partial x_{nd}} = \frac{1}{ND} (2 x_{nd} - 2 t_{nd})",
    "∂L/∂x = (2x − 2t) / (N D)",
    "x² gives 2x, −2xt gives −2t, t² gives 0.",
    derivative=D("squared_error", "x"),
)
def mse_terms(x, t):
    return (2 * x - 2 * t) / x.size


@mse.step(
    "the vectorised formula",
    r"dx = \frac{2}{ND} (x - t)",
    "dx = 2 (x − t) / (N D)",
    "The same, with 2 factored out.",
    same=True,
)
def mse_dx(x, t):
    return 2 * (x - t) / x.size


@mse.step(
    "what nn computes",
    r"dx = \frac{2}{ND} (x - t)",
    "dx = 2 (x − t) / (N D)",
    "nn.MeanSquaredError stores the difference in its forward pass.",
    same=True,
    link=Link(nn.MeanSquaredError._gradients, "2 * difference / "),
)
def mse_nn(x, t):
    layer = nn.MeanSquaredError()
    layer.forward(x, t)
    return layer.backward()


# -- mean absolute error ----------------------------------------------------------------------------------------------


def _distances(rng, N, D):
    x, t = rng.normal(size=(N, D)), rng.normal(size=(N, D))
    x += 0.05 * np.sign(x - t)  # not near the kink at x = t
    x[-1, -1] = t[-1, -1] + 2  # beyond δ, in every point
    if x.size > 3:
        x.flat[0] = t.flat[0]  # and on the kink
        x.flat[1] = t.flat[1] - 3
        x.flat[2] = t.flat[2] + 0.5  # within δ
    return {"x": x, "t": t, "delta": 0.7}


l1 = Derivation(
    "l1",
    TOPIC,
    "Mean absolute error (L1)",
    {"N": 4, "D": 3},
    _distances,
    intro="Outliers have no more influence than other samples. At x = t there is a kink and no derivative; nn uses 0, "
    "as most libraries do. Every step is also checked there.",
    source="Hastie, Tibshirani, Friedman, The Elements of Statistical Learning (2009), section 10.6",
)


@l1.step(
    "definition",
    r"L = \frac{1}{ND} \sum_{nd} |x_{nd} - t_{nd}|",
    "L = 1/(N D) Σ |x − t|",
    "The mean of the distances.",
    direct=lambda x, t: np.linalg.norm((x - t).ravel(), ord=1) / x.size,
    direct_label="‖x − t‖₁ / (N D)",
)
def absolute_error(x, t):
    return np.abs(x - t).sum() / x.size


@l1.step(
    "the absolute value as a product",
    r"L = \frac{1}{ND} \sum_{nd} \operatorname{sign}(x_{nd} - t_{nd}) (x_{nd} - t_{nd})",
    "L = 1/(N D) Σ sign(x − t) (x − t)",
    "|d| = sign(d) d, with sign(0) = 0.",
    same=True,
    link=Link(nn.MeanAbsoluteError._losses, "sign * (x - t)"),
)
def by_sign(x, t):
    return (np.sign((x - t).real) * (x - t)).sum() / x.size


@l1.step(
    "term by term",
    r"\frac{\partial L}{\partial x_{nd}} = \frac{1}{ND} \operatorname{sign}(x_{nd} - t_{nd})",
    "∂L/∂x = sign(x − t) / (N D)",
    "If x ≠ t, the sign does not change near x, so it is a constant factor; at x = t it is 0.",
    derivative=D("by_sign", "x"),
)
def l1_terms(x, t):
    return np.sign(x - t) / x.size


@l1.step(
    "at the kink",
    r"\operatorname{sign}(d) = \tfrac12 \big(\mathbb 1(d > 0) - \mathbb 1(d \le 0)"
    r" + \mathbb 1(d \ge 0) - \mathbb 1(d < 0)\big)",
    "sign(d) = ½ (the slope on the left + the slope on the right)",
    "At d = 0 the slope jumps from −1 to 1. Every number in between is a subgradient; 0 is their mean.",
    same=True,
)
def l1_sides(x, t):
    d = x - t
    left = np.where(d > 0, 1.0, -1.0)
    right = np.where(d < 0, -1.0, 1.0)
    return (left + right) / (2 * x.size)


@l1.step(
    "what nn computes",
    r"dx = \operatorname{sign}(x - t) / (ND)",
    "dx = sign(x − t) / (N D)",
    "nn.MeanAbsoluteError stores the signs in its forward pass.",
    same=True,
    link=Link(nn.MeanAbsoluteError._gradients, "sign / sign.shape[-1]"),
)
def l1_nn(x, t):
    layer = nn.MeanAbsoluteError()
    layer.forward(x, t)
    return layer.backward()


# -- Huber's loss -----------------------------------------------------------------------------------------------------

huber = Derivation(
    "huber",
    TOPIC,
    "Huber's loss",
    {"N": 4, "D": 3},
    _distances,
    intro="d = x − t. Squared error near the target, where the gradient shrinks with the distance; absolute error from "
    "δ on (0.7 here), so that the influence of outliers is bounded.",
    source="Hastie, Tibshirani, Friedman, The Elements of Statistical Learning (2009), equation 10.23",
)


@huber.step(
    "definition",
    r"L = \frac{1}{ND} \sum_{nd} \begin{cases} d_{nd}^2 / 2 & |d_{nd}| \le \delta \\ "
    r"\delta (|d_{nd}| - \delta / 2) & |d_{nd}| > \delta \end{cases}",
    "L = 1/(N D) Σ (d²/2 where |d| ≤ δ, else δ (|d| − δ/2))",
    "At |d| = δ both branches are δ²/2. The direct form subtracts the excess beyond δ from d²/2.",
    direct=lambda x, t, delta: ((x - t) ** 2 - np.maximum(abs(x - t) - delta, 0) ** 2).mean() / 2,
    direct_label="(d² − max(|d| − δ, 0)²) / 2",
)
def two_branches(x, t, delta):
    d = x - t
    return np.where(abs(d) <= delta, d**2 / 2, delta * (abs(d) - delta / 2)).sum() / x.size


@huber.step(
    "in terms of the clipped distance",
    r"L = \frac{1}{ND} \sum_{nd} c_{nd} (d_{nd} - c_{nd} / 2), \quad c = \min(\max(d, -\delta), \delta)",
    "L = 1/(N D) Σ c (d − c/2), with c = d clipped to [−δ, δ]",
    "c = d gives d²/2. c = ±δ, with the sign of d, gives δ |d| − δ²/2.",
    same=True,
    link=Link(nn.Huber._losses, "c * (d - c / 2)"),
)
def clipped(x, t, delta):
    d = x - t
    c = np.where(abs(d.real) <= delta, d, delta * np.sign(d.real))
    return (c * (d - c / 2)).sum() / x.size


@huber.step(
    "branch by branch",
    r"\frac{\partial L}{\partial x_{nd}} = \frac{1}{ND} \begin{cases} d_{nd} & |d_{nd}| \le \delta \\ "
    r"\delta \operatorname{sign}(d_{nd}) & |d_{nd}| > \delta \end{cases}",
    "∂L/∂x = 1/(N D) (d where |d| ≤ δ, else δ sign(d))",
    "d²/2 gives d, δ |d| gives δ sign(d). At |d| = δ the two agree, so there is no kink.",
    derivative=D("clipped", "x"),
)
def huber_branches(x, t, delta):
    d = x - t
    return np.where(abs(d) <= delta, d, delta * np.sign(d)) / x.size


@huber.step(
    "the vectorised formula",
    r"dx = c / (ND)",
    "dx = c / (N D)",
    "The two branches are c: the gradient is the distance, clipped.",
    same=True,
)
def huber_dx(x, t, delta):
    return np.clip(x - t, -delta, delta) / x.size


@huber.step(
    "what nn computes",
    r"dx = c / (ND)",
    "dx = c / (N D)",
    "nn.Huber stores c in its forward pass.",
    same=True,
    link=Link(nn.Huber._gradients, "c / c.shape[-1]"),
)
def huber_nn(x, t, delta):
    layer = nn.Huber(delta)
    layer.forward(x, t)
    return layer.backward()


DERIVATIONS = [softmax, log_sum_exp, log_softmax, cross_entropy, fused, smoothing, mse, l1, huber]
