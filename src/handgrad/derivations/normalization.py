"""Batch normalisation (short form, a handout equation by equation, evaluation mode) and layer normalisation."""

from __future__ import annotations

import numpy as np

from handgrad import nn
from handgrad.derivations.derivation import D, Derivation, Link, slope
from handgrad.derivations.running import FLOAT64, run_layer

TOPIC = "Normalisation"
EPS = 1e-5
HANDOUT = "CMU 11-785 Fall 2019, homework 1 handout, appendix C"


def _point(rng, N, D):
    return {
        "x": rng.normal(size=(N, D)) * 2 + 1,
        "dy": rng.normal(size=(N, D)),
        "gamma": rng.normal(size=D) + 1.5,
        "beta": rng.normal(size=D),
        "center": rng.uniform(3, 4, size=D),
        "eps": EPS,
    }


# The effect of the mean on the loss through the variance is 0 at the mean of the batch, where a wrong factor would not
# be detected. The steps with this term are therefore checked at a random mean, `center`. In a batch of one, the terms
# cancel there up to ε (x̂ is ±1 for any mean), so the error is compared with 1.


def _batchnorm(x, dy, gamma, beta):
    # Biased running statistics support a batch of one. They do not affect the gradients.
    layer = nn.BatchNorm1d(len(gamma), EPS, running_variance="biased", dtype=FLOAT64)
    return run_layer(layer, x, dy, weight=gamma, bias=beta)


# -- batch normalisation, short form ----------------------------------------------------------------------------------

batchnorm = Derivation(
    "batchnorm",
    TOPIC,
    "Batch normalisation: gamma, beta and input, short form",
    {"N": 5, "D": 3},
    _point,
    intro="Each feature is normalised over the batch: statistics are (D,), and sums run over n. A batch of 1 is "
    "degenerate: x̂ = 0, y = β, and the gradients of x and γ are 0. The formulas hold in this case as well.",
    source="Ioffe and Szegedy (2015), Batch normalization, algorithm 1 and section 3",
)


@batchnorm.step(
    "mean",
    r"\mu = \frac1N \sum_n x_n",
    "μ = 1/N Σₙ xₙ",
    "For each feature, over the batch.",
    direct=lambda x: x.mean(axis=0),
    direct_label="np.mean",
)
def mu(x):
    return x.sum(axis=0) / len(x)


@batchnorm.step(
    "variance",
    r"\sigma^2 = \frac1N \sum_n (x_n - \mu)^2",
    "σ² = 1/N Σₙ (xₙ − μ)²",
    "The biased variance, divided by N. It is 0 for a batch of 1.",
    direct=lambda x: x.var(axis=0),
    direct_label="np.var",
)
def var(x, mu):
    return ((x - mu) ** 2).sum(axis=0) / len(x)


@batchnorm.step(
    "normalised input",
    r"\hat x_n = \frac{x_n - \mu}{\sqrt{\sigma^2 + \varepsilon}}",
    "x̂ₙ = (xₙ − μ) / √(σ² + ε)",
    "Mean 0 and variance just below 1, because ε keeps the root away from 0.",
    direct=lambda x: (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + EPS),
)
def xhat(x, mu, var, eps):
    return (x - mu) * (var + eps) ** -0.5


@batchnorm.step(
    "output",
    r"y_n = \gamma \hat x_n + \beta",
    "yₙ = γ x̂ₙ + β",
    "γ and β restore the scale and location that normalisation removed.",
    direct=lambda x, dy, gamma, beta: _batchnorm(x, dy, gamma, beta).y,
    direct_label="nn.BatchNorm1d",
    link=Link(nn.BatchNorm1d.forward, "y = self._spread(gamma) * normalized"),
)
def y(xhat, gamma, beta):
    return gamma * xhat + beta


@batchnorm.given
def L(dy, y):
    return (dy * y).sum()


@batchnorm.step(
    "gradient of beta",
    r"\frac{\partial L}{\partial \beta} = \sum_n dy_n",
    "∂L/∂β = Σₙ dyₙ",
    "β is added to every row, so its gradient is a sum over all rows.",
    derivative=D("L", "beta"),
    link=Link(nn.BatchNorm1d.backward, "self._sum(dy)"),
)
def dbeta(dy):
    return dy.sum(axis=0)


@batchnorm.step(
    "gradient of gamma",
    r"\frac{\partial L}{\partial \gamma} = \sum_n dy_n \hat x_n",
    "∂L/∂γ = Σₙ dyₙ x̂ₙ",
    "γ multiplies x̂ in every row. The gradient is 0 for a batch of 1.",
    derivative=D("L", "gamma"),
    link=Link(nn.BatchNorm1d.backward, "self._sum(dy * normalized)"),
)
def dgamma(dy, xhat):
    return (dy * xhat).sum(axis=0)


@batchnorm.step(
    "gradient of the normalised input",
    r"d\hat x_n = \gamma\, dy_n",
    "dx̂ₙ = γ dyₙ",
    "y depends on x̂ₙ only in row n.",
    derivative=D("L", "xhat"),
)
def dxhat(dy, gamma):
    return gamma * dy


@batchnorm.step(
    "gradient of the variance",
    r"\frac{\partial L}{\partial \sigma^2} ="
    r" -\frac12 \sum_n d\hat x_n (x_n - \mu)(\sigma^2 + \varepsilon)^{-3/2}",
    "∂L/∂σ² = −½ Σₙ dx̂ₙ (xₙ − μ) (σ² + ε)^(−3/2)",
    "One variance scales all rows of its feature: power rule, then sum.",
    derivative=D("L", "var"),
)
def dvar(dxhat, x, mu, var, eps):
    return -0.5 * (dxhat * (x - mu)).sum(axis=0) * (var + eps) ** -1.5


@batchnorm.step(
    "gradient of the mean",
    r"\frac{\partial L}{\partial \mu} = -\sum_n d\hat x_n (\sigma^2 + \varepsilon)^{-1/2}"
    r" - \frac2N \frac{\partial L}{\partial \sigma^2} \sum_n (x_n - \mu)",
    "∂L/∂μ = −Σₙ dx̂ₙ (σ² + ε)^(−1/2) − 2/N ∂L/∂σ² Σₙ (xₙ − μ)",
    "μ enters x̂ twice: directly and through the variance. This holds for any μ and is checked at a random one, "
    "because the last sum is 0 at the mean of the batch.",
    derivative=D("L", "mu"),
    at={"mu": "center"},
    scale=1,
)
def dmu(dxhat, dvar, x, mu, var, eps):
    return -(dxhat * (var + eps) ** -0.5).sum(axis=0) - 2 / len(x) * dvar * (x - mu).sum(axis=0)


@batchnorm.step(
    "deviations sum to zero",
    r"\sum_n (x_n - \mu) = 0 \;\Rightarrow\;"
    r" \frac{\partial L}{\partial \mu} = -(\sigma^2 + \varepsilon)^{-1/2} \sum_n d\hat x_n",
    "Σₙ (xₙ − μ) = 0, so ∂L/∂μ = −(σ² + ε)^(−1/2) Σₙ dx̂ₙ",
    "By the definition of the mean. Omitting the second term is not a mistake.",
    same=True,  # at the mean of the batch
)
def dmu_short(dxhat, var, eps):
    return -((var + eps) ** -0.5) * dxhat.sum(axis=0)


@batchnorm.step(
    "gradient of the input: three paths",
    r"dx_n = \frac{d\hat x_n}{\sqrt{\sigma^2 + \varepsilon}}"
    r" + \frac{\partial L}{\partial \sigma^2} \frac{2 (x_n - \mu)}{N}"
    r" + \frac{\partial L}{\partial \mu} \frac1N",
    "dxₙ = dx̂ₙ (σ² + ε)^(−1/2) + ∂L/∂σ² · 2(xₙ − μ)/N + ∂L/∂μ · 1/N",
    "xₙ affects the loss directly, through the variance and through the mean: the three arrows into x in the graph.",
    derivative=D("L", "x"),
)
def dx_paths(dxhat, dvar, dmu_short, x, mu, var, eps):
    return dxhat * (var + eps) ** -0.5 + dvar * 2 * (x - mu) / len(x) + dmu_short / len(x)


@batchnorm.step(
    "the paths substituted",
    r"dx_n = \frac{1}{\sqrt{\sigma^2 + \varepsilon}} \Big(d\hat x_n - \frac1N \sum_m d\hat x_m"
    r" - \frac{x_n - \mu}{\sigma^2 + \varepsilon} \frac1N \sum_m d\hat x_m (x_m - \mu)\Big)",
    "dxₙ = (dx̂ₙ − 1/N Σ dx̂ − (xₙ − μ)/(σ² + ε) · 1/N Σ dx̂ (x − μ)) / √(σ² + ε)",
    "The inverse root is a common factor of all three terms; −½ · 2 = −1.",
    same=True,
)
def dx_substituted(dxhat, x, mu, var, eps):
    through_mean = dxhat.sum(axis=0) / len(x)
    through_variance = (x - mu) / (var + eps) * (dxhat * (x - mu)).sum(axis=0) / len(x)
    return (dxhat - through_mean - through_variance) / np.sqrt(var + eps)


@batchnorm.step(
    "written in x̂",
    r"dx_n = \frac{1}{\sqrt{\sigma^2 + \varepsilon}}"
    r" \big(d\hat x_n - \overline{d\hat x} - \hat x_n\, \overline{d\hat x \hat x}\big)",
    "dxₙ = (dx̂ₙ − mean dx̂ − x̂ₙ mean(dx̂ x̂)) / √(σ² + ε)",
    "The two remaining roots turn both deviations into x̂, so x itself is no longer needed.",
    same=True,
)
def dx_compact(dxhat, xhat, var, eps):
    return (dxhat - dxhat.mean(axis=0) - xhat * (dxhat * xhat).mean(axis=0)) / np.sqrt(var + eps)


@batchnorm.step(
    "what nn computes: dγ",
    r"\texttt{weight.grad} = \sum_n dy_n \hat x_n",
    "weight.grad = Σₙ dyₙ x̂ₙ",
    "The backward pass of nn.BatchNorm1d stores it in the parameter.",
    same="dgamma",
    link=Link(nn.BatchNorm1d.backward, "self._sum(dy * normalized)"),
)
def dgamma_nn(x, dy, gamma, beta):
    return _batchnorm(x, dy, gamma, beta).grads["weight"]


@batchnorm.step(
    "what nn computes: dβ",
    r"\texttt{bias.grad} = \sum_n dy_n",
    "bias.grad = Σₙ dyₙ",
    "Alike.",
    same="dbeta",
    link=Link(nn.BatchNorm1d.backward, "self._sum(dy * normalized)"),
)
def dbeta_nn(x, dy, gamma, beta):
    return _batchnorm(x, dy, gamma, beta).grads["bias"]


@batchnorm.step(
    "what nn computes: dx",
    r"dx_n = \frac{\gamma}{\sqrt{\sigma^2 + \varepsilon}}"
    r" \Big(dy_n - \tfrac1N d\beta - \hat x_n\, \tfrac1N d\gamma\Big)",
    "dxₙ = γ / √(σ² + ε) · (dyₙ − dβ/N − x̂ₙ dγ/N)",
    "γ is one number for the whole column, so it can be factored out of both means. The remaining means, mean dy and "
    "mean(dy x̂), are the gradients of the parameters divided by N, which have already been computed.",
    same="dx_compact",
    link=Link(nn.BatchNorm1d.backward, "dx -= normalized * (self._spread(dweight) / n)"),
)
def dx_nn(x, dy, gamma, beta):
    return _batchnorm(x, dy, gamma, beta).dx


# -- the handout, (1) to (35) -----------------------------------------------------------------------------------------

handout = Derivation(
    "batchnorm-handout",
    TOPIC,
    "Batch normalisation: equations (1) to (35) of the 11-785 handout",
    {"N": 5, "D": 3},
    _point,
    intro="Step n is equation (n) of the handout; m is the batch size N. If the handout does not carry out a "
    "derivative, the executable form computes it with a complex step. (11) to (17) hold for any μ and are "
    "checked at a random one, because their last term is 0 at the mean of the batch. In (18) to (20), a product "
    "of derivatives means a sum over all rows j of the batch, because every row of x̂ depends on xᵢ.",
    source=HANDOUT,
)


@handout.step(
    "(1) mean",
    r"\mu_B = \frac1m \sum_i x_i",
    "μ = 1/m Σᵢ xᵢ",
    "The mean of a batch of m samples, for each unit.",
    direct=lambda x: x.mean(axis=0),
    direct_label="np.mean",
)
def mu_(x):
    return x.sum(axis=0) / len(x)


@handout.step(
    "(2) variance",
    r"\sigma_B^2 = \frac1m \sum_i (x_i - \mu_B)^2",
    "σ² = 1/m Σᵢ (xᵢ − μ)²",
    "The biased variance.",
    direct=lambda x: x.var(axis=0),
    direct_label="np.var",
)
def var_(x, mu_):
    return ((x - mu_) ** 2).sum(axis=0) / len(x)


@handout.step(
    "(3) normalise",
    r"\hat x_i = \frac{x_i - \mu_B}{\sqrt{\sigma_B^2 + \epsilon}}",
    "x̂ᵢ = (xᵢ − μ) / √(σ² + ε)",
    "0 for a batch of one.",
    direct=lambda x: (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + EPS),
)
def xhat_(x, mu_, var_, eps):
    return (x - mu_) / np.sqrt(var_ + eps)


@handout.step(
    "(4) scale and shift",
    r"y_i = \gamma \hat x_i + \beta",
    "yᵢ = γ x̂ᵢ + β",
    "With γ = √(σ² + ε) and β = μ, this is the identity, so the layer can still represent everything.",
    direct=lambda x, dy, gamma, beta: _batchnorm(x, dy, gamma, beta).y,
    direct_label="nn.BatchNorm1d",
)
def y_(xhat_, gamma, beta):
    return gamma * xhat_ + beta


@handout.given
def L_(dy, y_):
    return (dy * y_).sum()


@handout.step(
    "(5) the normalised input",
    r"\frac{\partial L}{\partial \hat x_i} = \frac{\partial L}{\partial y_i} \gamma",
    "∂L/∂x̂ᵢ = dyᵢ γ",
    "∂yᵢ/∂x̂ᵢ = γ.",
    derivative=D("L_", "xhat_"),
)
def dxhat_(dy, gamma):
    return dy * gamma


@handout.step(
    "(6) beta",
    r"\frac{\partial L}{\partial \beta} = \sum_i \frac{\partial L}{\partial y_i}",
    "∂L/∂β = Σᵢ dyᵢ",
    "∂yᵢ/∂β = 1.",
    derivative=D("L_", "beta"),
)
def dbeta_(dy):
    return dy.sum(axis=0)


@handout.step(
    "(7) gamma",
    r"\frac{\partial L}{\partial \gamma} = \sum_i \frac{\partial L}{\partial y_i} \hat x_i",
    "∂L/∂γ = Σᵢ dyᵢ x̂ᵢ",
    "∂yᵢ/∂γ = x̂ᵢ.",
    derivative=D("L_", "gamma"),
)
def dgamma_(dy, xhat_):
    return (dy * xhat_).sum(axis=0)


@handout.step(
    "(8) variance: chain rule",
    r"\frac{\partial L}{\partial \sigma_B^2} = \sum_i \frac{\partial L}{\partial \hat x_i}"
    r" \frac{\partial \hat x_i}{\partial \sigma_B^2}",
    "∂L/∂σ² = Σᵢ ∂L/∂x̂ᵢ · ∂x̂ᵢ/∂σ²",
    "Every x̂ᵢ of the batch depends on the variance.",
    derivative=D("L_", "var_"),
)
def e8(dxhat_, x, mu_, var_, eps):
    return (dxhat_ * slope(lambda v: (x - mu_) / np.sqrt(v + eps), var_)).sum(axis=0)


@handout.step(
    "(9) variance: x̂ substituted",
    r"= \sum_i \frac{\partial L}{\partial \hat x_i} \frac{\partial}{\partial \sigma_B^2}"
    r" \left[(x_i - \mu_B)(\sigma_B^2 + \epsilon)^{-1/2}\right]",
    "= Σᵢ ∂L/∂x̂ᵢ · ∂/∂σ² [(xᵢ − μ)(σ² + ε)^(−1/2)]",
    "The root written as a power.",
    same=True,
)
def e9(dxhat_, x, mu_, var_, eps):
    return (dxhat_ * slope(lambda v: (x - mu_) * (v + eps) ** -0.5, var_)).sum(axis=0)


@handout.step(
    "(10) variance: power rule",
    r"= -\frac12 \sum_i \frac{\partial L}{\partial \hat x_i} (x_i - \mu_B)(\sigma_B^2 + \epsilon)^{-3/2}",
    "= −½ Σᵢ ∂L/∂x̂ᵢ (xᵢ − μ)(σ² + ε)^(−3/2)",
    "d/dv v^(−1/2) = −½ v^(−3/2).",
    same=True,
)
def dvar_(dxhat_, x, mu_, var_, eps):
    return -0.5 * (dxhat_ * (x - mu_) * (var_ + eps) ** -1.5).sum(axis=0)


@handout.given
def xhat_of_mu(x, eps):
    """x̂ as a function of μ, on which the variance also depends; (12) to (14) differentiate it."""

    def normalised(mu):
        return (x - mu) * (((x - mu) ** 2).sum(axis=0) / len(x) + eps) ** -0.5

    return normalised


@handout.step(
    "(11) mean: chain rule",
    r"\frac{\partial L}{\partial \mu_B} = \sum_i \frac{\partial L}{\partial \hat x_i}"
    r" \frac{\partial \hat x_i}{\partial \mu_B}",
    "∂L/∂μ = Σᵢ ∂L/∂x̂ᵢ · ∂x̂ᵢ/∂μ",
    "∂x̂ᵢ/∂μ is the total derivative here: the variance depends on μ.",
    derivative=D("L_", "mu_"),
    at={"mu_": "center"},
    scale=1,
)
def e11(dxhat_, mu_, xhat_of_mu):
    return (dxhat_ * slope(xhat_of_mu, mu_)).sum(axis=0)


_DXHAT_DMU = D("xhat_", "mu_", take="ndd->nd")


@handout.step(
    "(12) x̂ by the mean",
    r"\frac{\partial \hat x_i}{\partial \mu_B} = \frac{\partial}{\partial \mu_B}"
    r" \left[(x_i - \mu_B)(\sigma_B^2 + \epsilon)^{-1/2}\right]",
    "∂x̂ᵢ/∂μ = ∂/∂μ [(xᵢ − μ)(σ² + ε)^(−1/2)]",
    "The product of two functions of μ.",
    derivative=_DXHAT_DMU,
    at={"mu_": "center"},
    scale=1,
)
def e12(x, mu_, eps):
    def variance(m):
        return ((x - m) ** 2).sum(axis=0) / len(x)

    return slope(lambda m: (x - m) * (variance(m) + eps) ** -0.5, mu_)


@handout.step(
    "(13) product rule",
    r"= -(\sigma_B^2 + \epsilon)^{-1/2} + (x_i - \mu_B) \frac{\partial}{\partial \mu_B}"
    r"\left[(\sigma_B^2 + \epsilon)^{-1/2}\right]",
    "= −(σ² + ε)^(−1/2) + (xᵢ − μ) ∂/∂μ [(σ² + ε)^(−1/2)]",
    "The derivative of the first factor is −1.",
    same=True,
    at={"mu_": "center"},
    scale=1,
)
def e13(x, mu_, var_, eps):
    def variance(m):
        return ((x - m) ** 2).sum(axis=0) / len(x)

    return -((var_ + eps) ** -0.5) + (x - mu_) * slope(lambda m: (variance(m) + eps) ** -0.5, mu_)


@handout.step(
    "(14) the variance written out",
    r"= -(\sigma_B^2 + \epsilon)^{-1/2} + (x_i - \mu_B) \frac{\partial}{\partial \mu_B}"
    r"\left[\left(\frac1m \sum_i (x_i - \mu_B)^2 + \epsilon\right)^{-1/2}\right]",
    "= −(σ² + ε)^(−1/2) + (xᵢ − μ) ∂/∂μ [(1/m Σᵢ (xᵢ − μ)² + ε)^(−1/2)]",
    "This shows the μ inside. (The index i of the sum is not the index i of the row.)",
    same=True,
    at={"mu_": "center"},
    scale=1,
)
def e14(x, mu_, var_, eps):
    inner = slope(lambda m: (((x - m) ** 2).sum(axis=0) / len(x) + eps) ** -0.5, mu_)
    return -((var_ + eps) ** -0.5) + (x - mu_) * inner


@handout.step(
    "(15) power rule",
    r"= -(\sigma_B^2 + \epsilon)^{-1/2} - \frac12 (x_i - \mu_B)"
    r"\left[(\sigma_B^2 + \epsilon)^{-3/2} \frac{\partial}{\partial \mu_B} \frac1m \sum_i (x_i - \mu_B)^2\right]",
    "= −(σ² + ε)^(−1/2) − ½ (xᵢ − μ) (σ² + ε)^(−3/2) ∂/∂μ (1/m Σᵢ (xᵢ − μ)²)",
    "The outer derivative; the inner one remains.",
    same=True,
    at={"mu_": "center"},
    scale=1,
)
def e15(x, mu_, var_, eps):
    inner = slope(lambda m: ((x - m) ** 2).sum(axis=0) / len(x), mu_)
    return -((var_ + eps) ** -0.5) - 0.5 * (x - mu_) * (var_ + eps) ** -1.5 * inner


@handout.step(
    "(16) the square differentiated",
    r"= -(\sigma_B^2 + \epsilon)^{-1/2} - \frac12 (x_i - \mu_B)(\sigma_B^2 + \epsilon)^{-3/2}"
    r"\left(-\frac2m \sum_i (x_i - \mu_B)\right)",
    "= −(σ² + ε)^(−1/2) − ½ (xᵢ − μ)(σ² + ε)^(−3/2) (−2/m Σᵢ (xᵢ − μ))",
    "The last factor is 0 by (1), so only the first term remains.",
    same=True,
    at={"mu_": "center"},
    scale=1,
)
def e16(x, mu_, var_, eps):
    bracket = -2 / len(x) * (x - mu_).sum(axis=0)
    return -((var_ + eps) ** -0.5) - 0.5 * (x - mu_) * (var_ + eps) ** -1.5 * bracket


@handout.step(
    "(17) substituted into (11)",
    r"\frac{\partial L}{\partial \mu_B} = -\sum_i \frac{\partial L}{\partial \hat x_i} (\sigma_B^2 + \epsilon)^{-1/2}"
    r" - \frac2m \frac{\partial L}{\partial \sigma_B^2} \sum_i (x_i - \mu_B)",
    "∂L/∂μ = −Σᵢ ∂L/∂x̂ᵢ (σ² + ε)^(−1/2) − 2/m ∂L/∂σ² Σᵢ (xᵢ − μ)",
    "The second term contains (10), as the two lines below (17) explain. The term is 0.",
    same="e11",
    at={"mu_": "center"},
    scale=1,
)
def dmu_(dxhat_, dvar_, x, mu_, var_, eps):
    return -(dxhat_ * (var_ + eps) ** -0.5).sum(axis=0) - 2 / len(x) * dvar_ * (x - mu_).sum(axis=0)


@handout.step(
    "(18) input: chain rule",
    r"\frac{\partial L}{\partial x_i} = \sum_j \frac{\partial L}{\partial \hat x_j}"
    r" \frac{\partial \hat x_j}{\partial x_i}",
    "∂L/∂xᵢ = Σⱼ ∂L/∂x̂ⱼ · ∂x̂ⱼ/∂xᵢ",
    "The handout writes the sum over j as a product. Here ∂x̂ⱼ/∂xᵢ is the total derivative.",
    derivative=D("L_", "x"),
)
def e18(dxhat_, x, xhat_, var_, eps):
    m = len(x)
    total = (np.eye(m)[:, :, None] - 1 / m - xhat_[:, None] * xhat_[None] / m) / np.sqrt(var_ + eps)
    return np.einsum("jd,jid->id", dxhat_, total)


@handout.given
def dxhat_dvar(x, mu_, var_, eps):
    return -0.5 * (x - mu_) * (var_ + eps) ** -1.5


@handout.given
def dxhat_dmu(x, var_, eps):
    return -((var_ + eps) ** -0.5) * np.ones_like(x)


@handout.step(
    "(19) three paths in the total derivative",
    r"= \sum_j \frac{\partial L}{\partial \hat x_j} \left[\frac{\partial \hat x_j}{\partial x_i}"
    r" + \frac{\partial \hat x_j}{\partial \sigma_B^2} \frac{\partial \sigma_B^2}{\partial x_i}"
    r" + \frac{\partial \hat x_j}{\partial \mu_B} \frac{\partial \mu_B}{\partial x_i}\right]",
    "= Σⱼ ∂L/∂x̂ⱼ [∂x̂ⱼ/∂xᵢ + ∂x̂ⱼ/∂σ² ∂σ²/∂xᵢ + ∂x̂ⱼ/∂μ ∂μ/∂xᵢ]",
    "Now ∂x̂ⱼ/∂xᵢ is the partial derivative with constant μ and σ², which is 0 unless i = j.",
    same=True,
)
def e19(dxhat_, dxhat_dvar, dxhat_dmu, x, mu_, var_, eps):
    m = len(x)
    direct = np.eye(m)[:, :, None] * (var_ + eps) ** -0.5
    bracket = direct + dxhat_dvar[:, None] * (2 * (x - mu_) / m) + dxhat_dmu[:, None] * (1 / m)
    return np.einsum("jd,jid->id", dxhat_, bracket)


@handout.step(
    "(20) multiplied out",
    r"= \frac{\partial L}{\partial \hat x_i} \frac{\partial \hat x_i}{\partial x_i}"
    r" + \sum_j \frac{\partial L}{\partial \hat x_j} \frac{\partial \hat x_j}{\partial \sigma_B^2}"
    r" \frac{\partial \sigma_B^2}{\partial x_i}"
    r" + \sum_j \frac{\partial L}{\partial \hat x_j} \frac{\partial \hat x_j}{\partial \mu_B}"
    r" \frac{\partial \mu_B}{\partial x_i}",
    "= ∂L/∂x̂ᵢ ∂x̂ᵢ/∂xᵢ + Σⱼ ∂L/∂x̂ⱼ ∂x̂ⱼ/∂σ² ∂σ²/∂xᵢ + Σⱼ ∂L/∂x̂ⱼ ∂x̂ⱼ/∂μ ∂μ/∂xᵢ",
    "The sum over j remains in the second and third term.",
    same=True,
)
def e20(dxhat_, dxhat_dvar, dxhat_dmu, x, mu_, var_, eps):
    second = (dxhat_ * dxhat_dvar).sum(axis=0) * 2 * (x - mu_) / len(x)
    third = (dxhat_ * dxhat_dmu).sum(axis=0) / len(x)
    return dxhat_ * (var_ + eps) ** -0.5 + second + third


def _closed(x, mu_):
    """∂σ²/∂xᵢ and ∂μ/∂xᵢ by numerical differentiation, varying only row i: entry (i, d)."""
    m = len(x)
    by_variance = slope(lambda z: ((z - mu_) ** 2) / m, x)
    by_mean = slope(lambda z: z / m, x)
    return by_variance, by_mean


@handout.step(
    "(21) sums recognised",
    r"= \frac{\partial L}{\partial \hat x_i} \frac{\partial \hat x_i}{\partial x_i}"
    r" + \frac{\partial L}{\partial \sigma_B^2} \frac{\partial \sigma_B^2}{\partial x_i}"
    r" + \frac{\partial L}{\partial \mu_B} \frac{\partial \mu_B}{\partial x_i}",
    "= ∂L/∂x̂ᵢ ∂x̂ᵢ/∂xᵢ + ∂L/∂σ² ∂σ²/∂xᵢ + ∂L/∂μ ∂μ/∂xᵢ",
    "The sums over j are given by (8) and (11).",
    same=True,
)
def e21(dxhat_, dvar_, dmu_, x, mu_, var_, eps):
    by_variance, by_mean = _closed(x, mu_)
    return dxhat_ * slope(lambda z: (z - mu_) / np.sqrt(var_ + eps), x) + dvar_ * by_variance + dmu_ * by_mean


@handout.step(
    "(22) first term: x̂ substituted",
    r"= \frac{\partial L}{\partial \hat x_i} \left[\frac{\partial}{\partial x_i}"
    r"\left((x_i - \mu_B)(\sigma_B^2 + \epsilon)^{-1/2}\right)\right] + \cdots",
    "= ∂L/∂x̂ᵢ [∂/∂xᵢ ((xᵢ − μ)(σ² + ε)^(−1/2))] + …",
    "The other two terms are the same as in (21).",
    same=True,
)
def e22(dxhat_, dvar_, dmu_, x, mu_, var_, eps):
    by_variance, by_mean = _closed(x, mu_)
    return dxhat_ * slope(lambda z: (z - mu_) * (var_ + eps) ** -0.5, x) + dvar_ * by_variance + dmu_ * by_mean


@handout.step(
    "(23) first term differentiated",
    r"= \frac{\partial L}{\partial \hat x_i} (\sigma_B^2 + \epsilon)^{-1/2} + \cdots",
    "= ∂L/∂x̂ᵢ (σ² + ε)^(−1/2) + …",
    "μ and σ² are constant in this term.",
    same=True,
)
def e23(dxhat_, dvar_, dmu_, x, mu_, var_, eps):
    by_variance, by_mean = _closed(x, mu_)
    return dxhat_ * (var_ + eps) ** -0.5 + dvar_ * by_variance + dmu_ * by_mean


@handout.step(
    "(24) second term: the variance substituted",
    r"= \cdots + \frac{\partial L}{\partial \sigma_B^2} \left[\frac{\partial}{\partial x_i}"
    r"\left(\frac1m \sum_j (x_j - \mu_B)^2\right)\right] + \cdots",
    "= … + ∂L/∂σ² [∂/∂xᵢ (1/m Σⱼ (xⱼ − μ)²)] + …",
    "Only the summand j = i contains xᵢ, because μ is constant.",
    same=True,
)
def e24(dxhat_, dvar_, dmu_, x, mu_, var_, eps):
    by_variance = slope(lambda z: (z - mu_) ** 2 / len(x), x)
    return dxhat_ * (var_ + eps) ** -0.5 + dvar_ * by_variance + dmu_ * slope(lambda z: z / len(x), x)


@handout.step(
    "(25) second term differentiated",
    r"= \cdots + \frac{\partial L}{\partial \sigma_B^2} \left[\frac2m (x_i - \mu_B)\right] + \cdots",
    "= … + ∂L/∂σ² [2/m (xᵢ − μ)] + …",
    "Power rule.",
    same=True,
)
def e25(dxhat_, dvar_, dmu_, x, mu_, var_, eps):
    by_variance = 2 / len(x) * (x - mu_)
    return dxhat_ * (var_ + eps) ** -0.5 + dvar_ * by_variance + dmu_ * slope(lambda z: z / len(x), x)


@handout.step(
    "(26) third term: the mean substituted",
    r"= \cdots + \frac{\partial L}{\partial \mu_B} \left[\frac{\partial}{\partial x_i}"
    r"\left(\frac1m \sum_j x_j\right)\right]",
    "= … + ∂L/∂μ [∂/∂xᵢ (1/m Σⱼ xⱼ)]",
    "Again, only one summand contains xᵢ.",
    same=True,
)
def e26(dxhat_, dvar_, dmu_, x, mu_, var_, eps):
    by_mean = slope(lambda z: 1 / len(x) * z, x)
    return dxhat_ * (var_ + eps) ** -0.5 + dvar_ * 2 / len(x) * (x - mu_) + dmu_ * by_mean


@handout.step(
    "(27) third term differentiated",
    r"= \frac{\partial L}{\partial \hat x_i} (\sigma_B^2 + \epsilon)^{-1/2}"
    r" + \frac{\partial L}{\partial \sigma_B^2} \left[\frac2m (x_i - \mu_B)\right]"
    r" + \frac{\partial L}{\partial \mu_B} \left[\frac1m\right]",
    "= ∂L/∂x̂ᵢ (σ² + ε)^(−1/2) + ∂L/∂σ² · 2/m (xᵢ − μ) + ∂L/∂μ · 1/m",
    "The result.",
    same=True,
)
def e27(dxhat_, dvar_, dmu_, x, mu_, var_, eps):
    return dxhat_ * (var_ + eps) ** -0.5 + dvar_ * 2 / len(x) * (x - mu_) + dmu_ / len(x)


@handout.step(
    "(28) what nn computes",
    r"dx_i = (\sigma_B^2 + \epsilon)^{-1/2}"
    r" \big(d\hat x_i - \overline{d\hat x} - \hat x_i\, \overline{d\hat x \hat x}\big)",
    "dxᵢ = (σ² + ε)^(−1/2) (dx̂ᵢ − mean dx̂ − x̂ᵢ mean(dx̂ x̂))",
    "In the available text of the handout, (28) has no formula. Instead, this step substitutes (10) and (17) into "
    "(27). nn.BatchNorm1d computes this, with γ factored out of the means.",
    same=True,
    link=Link(nn.BatchNorm1d.backward, "dx -= normalized * (self._spread(dweight) / n)"),
)
def e28(x, dy, gamma, beta):
    return _batchnorm(x, dy, gamma, beta).dx


@handout.step(
    "(29) summary: mean",
    r"\mu_B = \frac1m \sum_i x_i",
    "μ = 1/m Σᵢ xᵢ",
    "(1) again.",
    same="mu_",
    link=Link(nn.BatchNorm1d.forward, "mean = self._sum(x) / n"),
)
def e29(x):
    return x.mean(axis=0)


@handout.step(
    "(30) summary: variance",
    r"\sigma_B^2 = \frac1m \sum_i (x_i - \mu_B)^2",
    "σ² = 1/m Σᵢ (xᵢ − μ)²",
    "(2) again.",
    same="var_",
    link=Link(nn.BatchNorm1d.forward, "variance = self._sum("),
)
def e30(x):
    return ((x - x.mean(axis=0)) ** 2).mean(axis=0)


@handout.step(
    "(31) summary: normalise",
    r"\hat x_i = \frac{x_i - \mu_B}{\sqrt{\sigma_B^2 + \epsilon}}",
    "x̂ᵢ = (xᵢ − μ) / √(σ² + ε)",
    "(3) again.",
    same="xhat_",
    link=Link(nn.BatchNorm1d.forward, "normalized *= self._spread(inverse_std)"),
)
def e31(x, eps):
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)


@handout.step(
    "(32) summary: the normalised input",
    r"\frac{\partial L}{\partial \hat x_i} = \frac{\partial L}{\partial y_i} \gamma",
    "∂L/∂x̂ᵢ = dyᵢ γ",
    "(5) again.",
    same="dxhat_",
    link=Link(nn.BatchNorm1d.backward, "scale = self._spread("),
)
def e32(dy, gamma):
    return dy * gamma[None, :]


@handout.step(
    "(33) summary: beta",
    r"\frac{\partial L}{\partial \beta} = \sum_i \frac{\partial L}{\partial y_i}",
    "∂L/∂β = Σᵢ dyᵢ",
    "(6) again, as nn.BatchNorm1d computes it.",
    same="dbeta_",
    link=Link(nn.BatchNorm1d.backward, "self._sum(dy)"),
)
def e33(x, dy, gamma, beta):
    return _batchnorm(x, dy, gamma, beta).grads["bias"]


@handout.step(
    "(34) summary: gamma",
    r"\frac{\partial L}{\partial \gamma} = \sum_i \frac{\partial L}{\partial y_i} \hat x_i",
    "∂L/∂γ = Σᵢ dyᵢ x̂ᵢ",
    "(7) again, as nn.BatchNorm1d computes it.",
    same="dgamma_",
    link=Link(nn.BatchNorm1d.backward, "self._sum(dy * normalized)"),
)
def e34(x, dy, gamma, beta):
    return _batchnorm(x, dy, gamma, beta).grads["weight"]


@handout.step(
    "(35) summary: gradient of the variance",
    r"\frac{\partial L}{\partial \sigma_B^2} = \sum_i \frac{\partial L}{\partial \hat x_i}"
    r" \frac{\partial \hat x_i}{\partial \sigma_B^2}",
    "∂L/∂σ² = Σᵢ ∂L/∂x̂ᵢ · ∂x̂ᵢ/∂σ²",
    "(8) again. nn does not compute it separately, because it is part of dγ/N: ∂L/∂σ² = −½ Σ dx̂ x̂ / (σ² + ε) and "
    "dx̂ = γ dy.",
    same="dvar_",
    link=Link(nn.BatchNorm1d.backward, "normalized * (self._spread(dweight) / n)"),
)
def e35(dxhat_, xhat_, var_, eps):
    return -0.5 * (dxhat_ * xhat_).sum(axis=0) / (var_ + eps)


# -- evaluation mode --------------------------------------------------------------------------------------------------

evaluation = Derivation(
    "batchnorm-evaluation",
    TOPIC,
    "Batch normalisation in evaluation mode, and the running statistics",
    {"N": 5, "D": 3},
    lambda rng, N, D: {
        **_point(rng, N, D),
        "running_mean": rng.normal(size=D),
        "running_var": rng.random(D) + 0.5,
        "momentum": 0.1,
    },
    intro="The running statistics are constants in evaluation mode, so rows are independent and a batch of 1 is not "
    "special.",
    source="Ioffe and Szegedy (2015), Batch normalization, algorithm 2",
)


def _evaluated(x, dy, gamma, beta, running_mean, running_var):
    layer = nn.BatchNorm1d(len(gamma), EPS, dtype=FLOAT64)
    layer.running_mean, layer.running_var = running_mean.copy(), running_var.copy()
    return run_layer(layer.eval(), x, dy, weight=gamma, bias=beta)


@evaluation.step(
    "the running mean, after one training batch",
    r"\mu_{run} \leftarrow (1 - a)\, \mu_{run} + a\, \mu_B",
    "μ_run ← (1 − a) μ_run + a μ",
    "An exponential moving average with weight a (PyTorch's momentum; the CMU course uses alpha = 1 − a).",
    direct=lambda x, running_mean: _tracked(x, running_mean, np.ones_like(running_mean))[0],
    direct_label="nn.BatchNorm1d",
    link=Link(nn.BatchNorm1d.update_running_statistics, "running += self.momentum * "),
)
def new_mean(x, running_mean, momentum):
    return (1 - momentum) * running_mean + momentum * x.mean(axis=0)


def _tracked(x, running_mean, running_var):
    layer = nn.BatchNorm1d(x.shape[1], EPS, 0.1, running_variance="biased", dtype=FLOAT64)
    layer.running_mean, layer.running_var = running_mean.copy(), running_var.copy()
    layer.forward(x)
    return layer.running_mean, layer.running_var


@evaluation.step(
    "the running variance, after one training batch",
    r"\sigma^2_{run} \leftarrow (1 - a)\, \sigma^2_{run} + a\, \sigma^2_B",
    "σ²_run ← (1 − a) σ²_run + a σ²",
    "With the biased variance, as in the courses. PyTorch uses σ² N/(N − 1) here, which is undefined for a batch of 1.",
    direct=lambda x, running_var: _tracked(x, np.ones_like(running_var), running_var)[1],
    direct_label="nn.BatchNorm1d",
    link=Link(nn.BatchNorm1d.update_running_statistics, "running += self.momentum * "),
)
def new_var(x, running_var, momentum):
    return (1 - momentum) * running_var + momentum * x.var(axis=0)


@evaluation.step(
    "output",
    r"y = \gamma \frac{x - \mu_{run}}{\sqrt{\sigma^2_{run} + \varepsilon}} + \beta",
    "y = γ (x − μ_run) / √(σ²_run + ε) + β",
    "The same formula with different statistics.",
    direct=lambda x, dy, gamma, beta, running_mean, running_var: (
        _evaluated(x, dy, gamma, beta, running_mean, running_var).y
    ),
    direct_label="nn.BatchNorm1d",
)
def y_eval(x, gamma, beta, running_mean, running_var, eps):
    return gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta


@evaluation.given
def L_eval(dy, y_eval):
    return (dy * y_eval).sum()


@evaluation.step(
    "as an affine map",
    r"y = a x + b, \quad a = \frac{\gamma}{\sqrt{\sigma^2_{run} + \varepsilon}}, \quad b = \beta - a \mu_{run}",
    "y = a x + b, a = γ/√(σ²_run + ε), b = β − a μ_run",
    "It can therefore be merged into the preceding layer.",
    same=True,
)
def affine(x, gamma, beta, running_mean, running_var, eps):
    a = gamma / np.sqrt(running_var + eps)
    return a * x + (beta - a * running_mean)


@evaluation.step(
    "gradient of the input",
    r"dx = \frac{\gamma}{\sqrt{\sigma^2_{run} + \varepsilon}}\, dy",
    "dx = γ / √(σ²_run + ε) · dy",
    "The derivative of an affine map is its factor. The two terms through mean and variance do not exist.",
    derivative=D("L_eval", "x"),
)
def dx_eval(dy, gamma, running_var, eps):
    return gamma / np.sqrt(running_var + eps) * dy


@evaluation.step(
    "gradient of gamma",
    r"\frac{\partial L}{\partial \gamma} = \sum_n dy_n \frac{x_n - \mu_{run}}{\sqrt{\sigma^2_{run} + \varepsilon}}",
    "∂L/∂γ = Σₙ dyₙ (xₙ − μ_run) / √(σ²_run + ε)",
    "As in training mode, with the running statistics in x̂; dβ = Σ dy is the same.",
    derivative=D("L_eval", "gamma"),
    direct=lambda x, dy, gamma, beta, running_mean, running_var: _evaluated(
        x, dy, gamma, beta, running_mean, running_var
    ).grads["weight"],
    direct_label="nn.BatchNorm1d",
)
def dgamma_eval(x, dy, running_mean, running_var, eps):
    return (dy * (x - running_mean)).sum(axis=0) / np.sqrt(running_var + eps)


@evaluation.step(
    "what nn computes",
    r"dx = dy \odot \gamma\, (\sigma^2_{run} + \varepsilon)^{-1/2}",
    "dx = dy ⊙ γ (σ²_run + ε)^(−1/2)",
    "One multiplication.",
    same="dx_eval",
    link=Link(nn.BatchNorm1d.backward, "return scale * dy"),
)
def dx_eval_nn(x, dy, gamma, beta, running_mean, running_var):
    return _evaluated(x, dy, gamma, beta, running_mean, running_var).dx


# -- layer normalisation ----------------------------------------------------------------------------------------------

layernorm = Derivation(
    "layernorm",
    TOPIC,
    "Layer normalisation: all intermediate terms and the compact result",
    {"N": 4, "D": 3},
    lambda rng, N, D: {**_point(rng, N, D), "sample_center": rng.uniform(3, 4, size=N)},
    least={"D": 2},
    intro="Each sample is normalised over its features: statistics are (N,). Indices: r and n are samples, i and j "
    "features, ∂Y/∂X has four indices. A batch of 1 is not special; a single feature would be degenerate (x̂ = "
    "0).",
    source="UvA report, 2020, question 3.2 a, equations 20 to 22 and the terms 1 to 6; Ba, Kiros, Hinton (2016)",
)


@layernorm.step(
    "mean of a sample",
    r"\mu_n = \frac1D \sum_j X_{nj}",
    "μₙ = 1/D Σⱼ Xₙⱼ",
    "Over the features, not over the batch.",
    direct=lambda x: x.mean(axis=1),
    direct_label="np.mean",
)
def mean(x):
    return x.sum(axis=1) / x.shape[1]


@layernorm.step(
    "variance of a sample",
    r"\sigma_n^2 = \frac1D \sum_j (X_{nj} - \mu_n)^2",
    "σₙ² = 1/D Σⱼ (Xₙⱼ − μₙ)²",
    "Biased, as in batch normalisation.",
    direct=lambda x: x.var(axis=1),
    direct_label="np.var",
)
def variance(x, mean):
    return ((x - mean[:, None]) ** 2).sum(axis=1) / x.shape[1]


@layernorm.step(
    "normalised input",
    r"\hat X_{nj} = (X_{nj} - \mu_n)(\sigma_n^2 + \varepsilon)^{-1/2}",
    "X̂ₙⱼ = (Xₙⱼ − μₙ)(σₙ² + ε)^(−1/2)",
    "Each row has mean 0 and variance just below 1.",
    direct=lambda x: ((x.T - x.mean(axis=1)) / np.sqrt(x.var(axis=1) + EPS)).T,
)
def normal(x, mean, variance, eps):
    return (x - mean[:, None]) * (variance[:, None] + eps) ** -0.5


@layernorm.step(
    "output",
    r"Y_{nj} = \gamma_j \hat X_{nj} + \beta_j",
    "Yₙⱼ = γⱼ X̂ₙⱼ + βⱼ",
    "γ and β belong to features, the statistics to samples.",
    direct=lambda x, dy, gamma, beta: _layernorm(x, dy, gamma, beta).y,
    direct_label="nn.LayerNorm",
    link=Link(nn.LayerNorm.forward, "y = gamma * normalized"),
)
def out(normal, gamma, beta):
    return gamma * normal + beta


def _layernorm(x, dy, gamma, beta):
    return run_layer(nn.LayerNorm(len(gamma), EPS, dtype=FLOAT64), x, dy, weight=gamma, bias=beta)


@layernorm.given
def loss(dy, out):
    return (dy * out).sum()


@layernorm.step(
    "gradient of gamma, in indices",
    r"\frac{\partial L}{\partial \gamma_i} = \sum_{sj} \frac{\partial L}{\partial Y_{sj}} \delta_{ji} \hat X_{sj}",
    "∂L/∂γᵢ = Σₛⱼ dYₛⱼ δⱼᵢ X̂ₛⱼ",
    "Only feature i depends on γᵢ.",
    derivative=D("loss", "gamma"),
)
def dgamma_indices(dy, normal, gamma):
    return np.einsum("sj,ji,sj->i", dy, np.eye(len(gamma)), normal)


@layernorm.step(
    "gradient of gamma",
    r"\frac{\partial L}{\partial \gamma} = \mathbf 1^\top (dY \odot \hat X)",
    "∂L/∂γ = 1ᵀ (dY ⊙ X̂)",
    "The delta removes one sum; the other is a product with ones.",
    same=True,
    direct=lambda x, dy, gamma, beta: _layernorm(x, dy, gamma, beta).grads["weight"],
    direct_label="nn.LayerNorm",
)
def ln_dgamma(dy, normal):
    return np.ones(len(dy)) @ (dy * normal)


@layernorm.step(
    "gradient of beta",
    r"\frac{\partial L}{\partial \beta} = \mathbf 1^\top dY",
    "∂L/∂β = 1ᵀ dY",
    "In the same way, with 1 instead of X̂.",
    derivative=D("loss", "beta"),
    direct=lambda x, dy, gamma, beta: _layernorm(x, dy, gamma, beta).grads["bias"],
    direct_label="nn.LayerNorm",
)
def ln_dbeta(dy):
    return np.ones(len(dy)) @ dy


@layernorm.step(
    "term 1: output by normalised input",
    r"\frac{\partial Y_{sj}}{\partial \hat X_{sj}} = \gamma_j",
    "∂Yₛⱼ/∂X̂ₛⱼ = γⱼ",
    "The diagonal of a Jacobian with four indices; its other entries are 0.",
    derivative=D("out", "normal", take="sjsj->sj"),
)
def term1(dy, gamma):
    return np.broadcast_to(gamma, dy.shape)


@layernorm.step(
    "term 2: normalised input by input",
    r"\frac{\partial \hat X_{sj}}{\partial X_{ri}} = \frac{\delta_{sr} \delta_{ji}}{(\sigma_s^2 + \varepsilon)^{1/2}}",
    "∂X̂ₛⱼ/∂Xᵣᵢ = δₛᵣ δⱼᵢ / (σₛ² + ε)^(1/2)",
    "Only the direct path: μ and σ² are constant.",
    derivative=D("normal", "x", hold=("mean", "variance")),
)
def term2(x, variance, eps):
    n, d = x.shape
    return np.einsum("sr,ji,s->sjri", np.eye(n), np.eye(d), (variance + eps) ** -0.5)


@layernorm.step(
    "term 3: output by variance",
    r"\frac{\partial Y_{sj}}{\partial \sigma_s^2} ="
    r" -\tfrac12 \gamma_j (X_{sj} - \mu_s)(\sigma_s^2 + \varepsilon)^{-3/2}",
    "∂Yₛⱼ/∂σₛ² = −½ γⱼ (Xₛⱼ − μₛ)(σₛ² + ε)^(−3/2)",
    "Power rule; μ is constant.",
    derivative=D("out", "variance", take="sjs->sj"),
)
def term3(x, mean, variance, gamma, eps):
    return -0.5 * gamma * (x - mean[:, None]) * (variance[:, None] + eps) ** -1.5


@layernorm.step(
    "normalised input by mean, directly",
    r"\frac{\partial \hat X_{sj}}{\partial \mu_s} = -\frac{1}{(\sigma_s^2 + \varepsilon)^{1/2}}",
    "∂X̂ₛⱼ/∂μₛ = −1 / (σₛ² + ε)^(1/2)",
    "The variance is constant.",
    derivative=D("normal", "mean", hold=("variance",), take="sjs->sj"),
)
def direct_mean(x, variance, eps):
    return np.broadcast_to(-((variance[:, None] + eps) ** -0.5), x.shape)


@layernorm.step(
    "variance by mean",
    r"\frac{\partial \sigma_s^2}{\partial \mu_s} = -\frac2D \sum_i (X_{si} - \mu_s)",
    "∂σₛ²/∂μₛ = −2/D Σᵢ (Xₛᵢ − μₛ)",
    "Power rule for every square. The deviations from the mean of the sample sum to 0, so this step and the next are "
    "checked at a random mean, where they do not.",
    derivative=D("variance", "mean", take="ss->s"),
    at={"mean": "sample_center"},
)
def variance_by_mean(x, mean):
    return -2 / x.shape[1] * (x - mean[:, None]).sum(axis=1)


@layernorm.step(
    "term 4: output by mean, both ways",
    r"\frac{\partial Y_{sj}}{\partial \mu_s} = \gamma_j \frac{\partial \hat X_{sj}}{\partial \mu_s}"
    r" + \frac{\partial Y_{sj}}{\partial \sigma_s^2} \frac{\partial \sigma_s^2}{\partial \mu_s}",
    "∂Yₛⱼ/∂μₛ = γⱼ ∂X̂ₛⱼ/∂μₛ + ∂Yₛⱼ/∂σₛ² ∂σₛ²/∂μₛ",
    "Equation 22: directly and through the variance.",
    derivative=D("out", "mean", take="sjs->sj"),
    at={"mean": "sample_center"},
)
def term4_both(gamma, direct_mean, term3, variance_by_mean):
    return gamma * direct_mean + term3 * variance_by_mean[:, None]


@layernorm.step(
    "term 4 without the zero",
    r"\frac{\partial Y_{sj}}{\partial \mu_s} = -\gamma_j \frac{1}{(\sigma_s^2 + \varepsilon)^{1/2}}",
    "∂Yₛⱼ/∂μₛ = −γⱼ / (σₛ² + ε)^(1/2)",
    "At the mean of the sample, the deviations sum to 0, so the second path is 0.",
    same=True,
)
def term4(gamma, variance, eps):
    return -gamma * (variance[:, None] + eps) ** -0.5


@layernorm.step(
    "term 5: mean by input",
    r"\frac{\partial \mu_s}{\partial X_{ri}} = \frac{\delta_{sr}}{D}",
    "∂μₛ/∂Xᵣᵢ = δₛᵣ / D",
    "Each feature contributes 1/D to the mean of its sample.",
    derivative=D("mean", "x"),
)
def term5(x):
    n, d = x.shape
    return np.einsum("sr,i->sri", np.eye(n), np.ones(d) / d)


@layernorm.step(
    "term 6: variance by input",
    r"\frac{\partial \sigma_s^2}{\partial X_{ri}} = \frac{2 \delta_{sr}}{D} (X_{si} - \mu_s)",
    "∂σₛ²/∂Xᵣᵢ = 2 δₛᵣ/D (Xₛᵢ − μₛ)",
    "With constant μ. The parentheses matter: the published line has them in the last place but not in the first.",
    derivative=D("variance", "x", hold=("mean",)),
)
def term6(x, mean):
    n, d = x.shape
    return np.einsum("sr,si->sri", np.eye(n), 2 / d * (x - mean[:, None]))


@layernorm.step(
    "the full Jacobian of the output",
    r"\frac{\partial Y_{sj}}{\partial X_{ri}} = \frac{\partial Y_{sj}}{\partial \hat X_{sj}}"
    r"\frac{\partial \hat X_{sj}}{\partial X_{ri}} + \frac{\partial Y_{sj}}{\partial \mu_s}"
    r"\frac{\partial \mu_s}{\partial X_{ri}} + \frac{\partial Y_{sj}}{\partial \sigma_s^2}"
    r"\frac{\partial \sigma_s^2}{\partial X_{ri}}",
    "∂Yₛⱼ/∂Xᵣᵢ = ∂Yₛⱼ/∂X̂ₛⱼ ∂X̂ₛⱼ/∂Xᵣᵢ + ∂Yₛⱼ/∂μₛ ∂μₛ/∂Xᵣᵢ + ∂Yₛⱼ/∂σₛ² ∂σₛ²/∂Xᵣᵢ",
    "Equation 21: three paths, six terms.",
    derivative=D("out", "x"),
)
def jacobian(term1, term2, term3, term4, term5, term6):
    direct = term1[:, :, None, None] * term2
    return direct + np.einsum("sj,sri->sjri", term4, term5) + np.einsum("sj,sri->sjri", term3, term6)


@layernorm.step(
    "the chain rule",
    r"\frac{\partial L}{\partial X_{ri}} = \sum_{sj} \frac{\partial L}{\partial Y_{sj}}"
    r" \frac{\partial Y_{sj}}{\partial X_{ri}}",
    "∂L/∂Xᵣᵢ = Σₛⱼ dYₛⱼ ∂Yₛⱼ/∂Xᵣᵢ",
    "Equation 20.",
    derivative=D("loss", "x"),
)
def chain(dy, jacobian):
    return np.einsum("sj,sjri->ri", dy, jacobian)


@layernorm.step(
    "δₛᵣ removes the sum over samples",
    r"\frac{\partial L}{\partial X_{ri}} = \sum_j \frac{dY_{rj} \gamma_j}{(\sigma_r^2 + \varepsilon)^{1/2}}"
    r"\Big(\delta_{ji} - \frac1D - (X_{rj} - \mu_r)(\sigma_r^2 + \varepsilon)^{-1} \frac1D (X_{ri} - \mu_r)\Big)",
    "∂L/∂Xᵣᵢ = Σⱼ dYᵣⱼ γⱼ (σᵣ² + ε)^(−1/2) (δⱼᵢ − 1/D − (Xᵣⱼ − μᵣ)(σᵣ² + ε)^(−1) (Xᵣᵢ − μᵣ)/D)",
    "Samples are independent. ½ and 2 cancel in both places.",
    same=True,
)
def one_sum(dy, gamma, x, mean, variance, eps):
    d = x.shape[1]
    deviation = x - mean[:, None]
    outer = deviation[:, :, None] * deviation[:, None, :] / (variance[:, None, None] + eps)
    bracket = np.eye(d) - 1 / d - outer / d
    return np.einsum("rj,rji->ri", dy * gamma * (variance[:, None] + eps) ** -0.5, bracket)


@layernorm.step(
    "written in X̂",
    r"\frac{\partial L}{\partial X_{ri}} = \frac{1}{(\sigma_r^2 + \varepsilon)^{1/2}} \Big(dY_{ri} \gamma_i"
    r" - \frac1D \sum_j dY_{rj} \gamma_j - \frac1D \hat X_{ri} \sum_j dY_{rj} \gamma_j \hat X_{rj}\Big)",
    "∂L/∂Xᵣᵢ = (dYᵣᵢ γᵢ − 1/D Σⱼ dYᵣⱼ γⱼ − 1/D X̂ᵣᵢ Σⱼ dYᵣⱼ γⱼ X̂ᵣⱼ) / (σᵣ² + ε)^(1/2)",
    "The roots are combined with the two deviations; the delta selects j = i in the first term.",
    same=True,
)
def in_normal(dy, gamma, normal, variance, eps):
    d = dy.shape[1]
    g = dy * gamma
    inner = g - g.sum(axis=1, keepdims=True) / d - normal * (g * normal).sum(axis=1, keepdims=True) / d
    return inner / np.sqrt(variance[:, None] + eps)


@layernorm.step(
    "the compact result",
    r"\frac{\partial L}{\partial X} = \frac1D \frac{1}{(\sigma^2 + \varepsilon)^{1/2}}"
    r"\Big(D\, dY \gamma - \sum_j dY \gamma - \hat X \sum_j dY \gamma \hat X\Big)",
    "∂L/∂X = 1/D (σ² + ε)^(−1/2) (D dY γ − Σⱼ dY γ − X̂ Σⱼ dY γ X̂)",
    "1/D factored out. (The published last line has X̂X̂ in its first term, where the line before has the delta.)",
    same=True,
)
def compact(dy, gamma, normal, variance, eps):
    d = dy.shape[1]
    g = dy * gamma
    inner = d * g - g.sum(axis=1, keepdims=True) - normal * (g * normal).sum(axis=1, keepdims=True)
    return inner / d / np.sqrt(variance[:, None] + eps)


@layernorm.step(
    "what nn computes",
    r"dx = \frac{1}{\sqrt{\sigma^2 + \varepsilon}} \big(\gamma\,dy - \overline{\gamma\,dy}"
    r" - \hat x\, \overline{\gamma\,dy\,\hat x}\big)",
    "dx = (γ dy − mean(γ dy) − x̂ mean(γ dy x̂)) / √(σ² + ε)",
    "The compact form of batch normalisation, with means over the other axis. γ varies along this axis and remains "
    "inside the means.",
    same=True,
    link=Link(nn.LayerNorm.backward, "dx -= normalized * correlation"),
)
def ln_dx_nn(x, dy, gamma, beta):
    return _layernorm(x, dy, gamma, beta).dx


DERIVATIONS = [batchnorm, handout, evaluation, layernorm]
