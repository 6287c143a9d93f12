"""Group normalisation of images, with layer and instance normalisation as special cases, and RMS normalisation."""

from __future__ import annotations

import numpy as np

from handgrad import nn
from handgrad.derivations.derivation import D, Derivation, Link
from handgrad.derivations.running import FLOAT64, run_layer

TOPIC = "Normalisation"
EPS = 1e-2  # large, so that an ε in the wrong place is detected


# -- group normalisation ----------------------------------------------------------------------------------------------

groupnorm = Derivation(
    "groupnorm",
    TOPIC,
    "Group normalisation: statistics per group, gamma and beta per channel",
    {"N": 4, "G": 3, "K": 2, "H": 5, "W": 6},
    lambda rng, N, G, K, H, W: {
        "x": rng.normal(size=(N, G * K, H, W)) * 2 + 1,
        "dy": rng.normal(size=(N, G * K, H, W)),
        "gamma": rng.normal(size=G * K) + 1.5,
        "beta": rng.normal(size=G * K),
        "center": rng.uniform(2, 4, size=(N, G, 1, 1)),
        "groups": G,
        "eps": EPS,
    },
    least={"W": 2},
    most={"N": 4, "G": 4, "K": 4, "H": 6, "W": 6},
    intro="x is (N, C, H, W), its C = G·K channels in G groups of K. Each sample is normalised in each group, so a "
    "batch of 1 is not special: statistics are (N, G), over the m = K·H·W numbers of a group; γ and β are (C,). "
    "Indices: n is a sample, g a group, k (or j) a channel within it, p (or q) one of the H·W pixels, c = gK + "
    "k a channel of the image. A group of one number would be degenerate (x̂ = 0). --at G=1 is layer "
    "normalisation, --at K=1 instance normalisation.",
    source="Wu and He (2018), Group normalization, equations 1, 2 and 7",
)


def _group_sum(v):
    return v.sum(axis=(2, 3), keepdims=True)


def _groupnorm(x, dy, gamma, beta, groups):
    return run_layer(nn.GroupNorm(groups, len(gamma), EPS, dtype=FLOAT64), x, dy, weight=gamma, bias=beta)


def _by_membership(x, groups):
    """Equation 7, channel by channel: c lies in group ⌊c / (C/G)⌋."""
    n, c = x.shape[:2]
    size = c // groups
    grouped = np.empty((n, groups, size, x[0, 0].size))
    for channel in range(c):
        grouped[:, channel // size, channel % size] = x[:, channel].reshape(n, -1)
    return grouped


@groupnorm.step(
    "groups of channels",
    r"x_{ngkp} = x_{nchw}, \quad g = \Big\lfloor \frac{c}{C/G} \Big\rfloor, \quad k = c - gK, \quad p = hW + w",
    "x[n, g, k, p] = x[n, c, h, w] with g = ⌊c / (C/G)⌋, k = c − gK, p = hW + w",
    "Equation 7: neighbouring channels form a group and share its statistics. Only the indices change.",
    direct=_by_membership,
    direct_label="equation 7 by loop",
    link=Link(nn.GroupNorm._groups, "return x.reshape("),
)
def xg(x, groups):
    n, c, h, w = x.shape
    return x.reshape(n, groups, c // groups, h * w)


@groupnorm.given
def m(xg):
    return xg.shape[2] * xg.shape[3]


@groupnorm.step(
    "mean of a group",
    r"\mu = \frac1m \sum_{kp} x_{kp}, \quad m = K H W",
    "μ = 1/m Σₖₚ xₖₚ, m = K·H·W",
    "Equation 2. Over the channels of the group and all their pixels. From here on, n and g are omitted.",
    direct=lambda x, groups: x.reshape(len(x), groups, -1).mean(axis=2)[:, :, None, None],
    direct_label="np.mean",
)
def mu(xg, m):
    return _group_sum(xg) / m


@groupnorm.step(
    "variance of a group",
    r"\sigma^2 = \frac1m \sum_{kp} (x_{kp} - \mu)^2",
    "σ² = 1/m Σₖₚ (xₖₚ − μ)²",
    "The biased variance, divided by m.",
    direct=lambda x, groups: x.reshape(len(x), groups, -1).var(axis=2)[:, :, None, None],
    direct_label="np.var",
)
def var(xg, mu, m):
    return _group_sum((xg - mu) ** 2) / m


@groupnorm.step(
    "normalised input",
    r"\hat x_{kp} = \frac{x_{kp} - \mu}{\sqrt{\sigma^2 + \varepsilon}}",
    "x̂ₖₚ = (xₖₚ − μ) / √(σ² + ε)",
    "Equation 1. Each group of each sample has mean 0 and variance just below 1. This does not hold for a single "
    "channel.",
    direct=lambda xg, eps: (
        (xg - xg.mean(axis=(2, 3), keepdims=True)) / np.sqrt(xg.var(axis=(2, 3), keepdims=True) + eps)
    ),
)
def xhat(xg, mu, var, eps):
    return (xg - mu) * (var + eps) ** -0.5


@groupnorm.step(
    "output",
    r"y_{nchw} = \gamma_c \hat x_{nchw} + \beta_c",
    "y[n, c, h, w] = γ_c x̂[n, c, h, w] + β_c",
    "γ and β belong to channels, the statistics to groups: two channels with the same statistics can be scaled "
    "differently.",
    direct=lambda x, dy, gamma, beta, groups: _groupnorm(x, dy, gamma, beta, groups).y,
    direct_label="nn.GroupNorm",
    link=Link(nn.GroupNorm.forward, "y = gamma * normalized + beta"),
)
def y(x, xhat, gamma, beta):
    return gamma[:, None, None] * xhat.reshape(x.shape) + beta[:, None, None]


@groupnorm.given
def L(dy, y):
    return (dy * y).sum()


@groupnorm.step(
    "gradient of beta",
    r"\frac{\partial L}{\partial \beta_c} = \sum_{nhw} dy_{nchw}",
    "∂L/∂β_c = Σ dy[n, c, h, w] over n, h, w",
    "β_c is added to every pixel of its channel, in every sample.",
    derivative=D("L", "beta"),
)
def dbeta(dy):
    return dy.sum(axis=(0, 2, 3))


@groupnorm.step(
    "gradient of gamma",
    r"\frac{\partial L}{\partial \gamma_c} = \sum_{nhw} dy_{nchw}\, \hat x_{nchw}",
    "∂L/∂γ_c = Σ dy[n, c, h, w] x̂[n, c, h, w] over n, h, w",
    "γ_c multiplies x̂ at every pixel of its channel. The groups enter only through x̂.",
    derivative=D("L", "gamma"),
)
def dgamma(x, dy, xhat):
    return (dy * xhat.reshape(x.shape)).sum(axis=(0, 2, 3))


@groupnorm.step(
    "gradient of the normalised input",
    r"d\hat x_{kp} = \gamma_k\, dy_{kp}",
    "dx̂ₖₚ = γₖ dyₖₚ",
    "One γ per channel k of the group; the indices are again those of one group.",
    derivative=D("L", "xhat"),
)
def dxhat(dy, gamma, xhat):
    return (gamma[:, None, None] * dy).reshape(xhat.shape)


@groupnorm.step(
    "gradient of the variance",
    r"\frac{\partial L}{\partial \sigma^2} ="
    r" -\frac12 \sum_{kp} d\hat x_{kp} (x_{kp} - \mu)(\sigma^2 + \varepsilon)^{-3/2}",
    "∂L/∂σ² = −½ Σₖₚ dx̂ₖₚ (xₖₚ − μ)(σ² + ε)^(−3/2)",
    "One variance scales all entries of its group: power rule, then sum.",
    derivative=D("L", "var"),
)
def dvar(dxhat, xg, mu, var, eps):
    return -0.5 * _group_sum(dxhat * (xg - mu)) * (var + eps) ** -1.5


# The derivative of the variance with respect to the mean is 0 at the mean, where a wrong factor would not be detected.
# The next three steps are therefore checked at a random centre, where no term is 0.


@groupnorm.given
def square(xg, center, m):
    return _group_sum((xg - center) ** 2) / m


@groupnorm.given
def L_center(xg, center, square, x, dy, gamma, beta, eps):
    normal = ((xg - center) / np.sqrt(square + eps)).reshape(x.shape)
    return (dy * (gamma[:, None, None] * normal + beta[:, None, None])).sum()


@groupnorm.step(
    "mean square about any centre",
    r"s(a) = \frac1m \sum_{kp} (x_{kp} - a)^2 = \sigma^2 + (a - \mu)^2",
    "s(a) = 1/m Σₖₚ (xₖₚ − a)² = σ² + (a − μ)²",
    "To see the effect of changing the mean, replace it with an arbitrary centre a. At a = μ, s has its minimum, the "
    "variance.",
    direct=lambda xg, center: ((xg - center) ** 2).mean(axis=(2, 3), keepdims=True),
    direct_label="the mean of squares",
)
def about(var, mu, center):
    return var + (center - mu) ** 2


@groupnorm.step(
    "its slope",
    r"\frac{\partial s}{\partial a} = -\frac2m \sum_{kp} (x_{kp} - a)",
    "∂s/∂a = −2/m Σₖₚ (xₖₚ − a)",
    "Power rule for every square.",
    derivative=D("square", "center", take="ngabngab->ngab"),
)
def slope_as_sum(xg, center, m):
    return -2 / m * _group_sum(xg - center)


@groupnorm.step(
    "its slope in terms of the mean",
    r"\frac{\partial s}{\partial a} = 2 (a - \mu)",
    "∂s/∂a = 2 (a − μ)",
    "The sum of all x is m μ. At a = μ, the minimum of the parabola, the slope is 0.",
    same=True,
)
def slope_by_mean(mu, center):
    return 2 * (center - mu)


@groupnorm.step(
    "gradient of an arbitrary centre",
    r"\frac{\partial L}{\partial a} = -\frac{1}{\sqrt{s + \varepsilon}} \sum_{kp} d\hat x_{kp}"
    r" - \frac12 \sum_{kp} d\hat x_{kp} (x_{kp} - a)(s + \varepsilon)^{-3/2}"
    r" \cdot 2 (a - \mu)",
    "∂L/∂a = −(s + ε)^(−1/2) Σₖₚ dx̂ₖₚ − ½ Σₖₚ dx̂ₖₚ (xₖₚ − a)(s + ε)^(−3/2) · 2 (a − μ)",
    "a enters x̂ twice: directly, and through s.",
    derivative=D("L_center", "center"),
)
def dcenter(dxhat, xg, mu, center, about, eps):
    through_square = -0.5 * _group_sum(dxhat * (xg - center)) * (about + eps) ** -1.5
    return -((about + eps) ** -0.5) * _group_sum(dxhat) + through_square * 2 * (center - mu)


@groupnorm.step(
    "gradient of the mean",
    r"\frac{\partial L}{\partial \mu} = -\frac{1}{\sqrt{\sigma^2 + \varepsilon}} \sum_{kp} d\hat x_{kp}",
    "∂L/∂μ = −(σ² + ε)^(−1/2) Σₖₚ dx̂ₖₚ",
    "At a = μ, the last factor is 0: the path through the variance contributes nothing.",
    derivative=D("L", "mu"),
)
def dmu(dxhat, var, eps):
    return -((var + eps) ** -0.5) * _group_sum(dxhat)


@groupnorm.step(
    "gradient of the input: three paths",
    r"dx_{kp} = \frac{d\hat x_{kp}}{\sqrt{\sigma^2 + \varepsilon}}"
    r" + \frac{\partial L}{\partial \sigma^2} \frac{2 (x_{kp} - \mu)}{m}"
    r" + \frac{\partial L}{\partial \mu} \frac1m",
    "dxₖₚ = dx̂ₖₚ (σ² + ε)^(−1/2) + ∂L/∂σ² · 2 (xₖₚ − μ)/m + ∂L/∂μ · 1/m",
    "Directly, through the variance and through the mean. Other groups and samples are not affected.",
    derivative=D("L", "xg"),
)
def dx_paths(dxhat, dvar, dmu, xg, mu, var, m, eps):
    return dxhat * (var + eps) ** -0.5 + dvar * 2 * (xg - mu) / m + dmu / m


@groupnorm.step(
    "the paths substituted",
    r"dx_{kp} = \frac{1}{\sqrt{\sigma^2 + \varepsilon}} \Big(d\hat x_{kp} - \frac1m \sum_{jq} d\hat x_{jq}"
    r" - \frac{x_{kp} - \mu}{\sigma^2 + \varepsilon}"
    r" \frac1m \sum_{jq} d\hat x_{jq} (x_{jq} - \mu)\Big)",
    "dxₖₚ = (dx̂ₖₚ − 1/m Σ dx̂ − (xₖₚ − μ)/(σ² + ε) · 1/m Σ dx̂ (x − μ)) / √(σ² + ε)",
    "The inverse root is a common factor of all three terms; −½ · 2 = −1.",
    same=True,
)
def dx_substituted(dxhat, xg, mu, var, m, eps):
    through_mean = _group_sum(dxhat) / m
    through_variance = (xg - mu) / (var + eps) * _group_sum(dxhat * (xg - mu)) / m
    return (dxhat - through_mean - through_variance) / np.sqrt(var + eps)


@groupnorm.step(
    "written in x̂",
    r"dx_{kp} = \frac{1}{\sqrt{\sigma^2 + \varepsilon}}"
    r" \big(d\hat x_{kp} - \overline{d\hat x} - \hat x_{kp}\, \overline{d\hat x \hat x}\big)",
    "dxₖₚ = (dx̂ₖₚ − mean dx̂ − x̂ₖₚ mean(dx̂ x̂)) / √(σ² + ε)",
    "The same form as for batch and layer normalisation; only the set over which the means are taken differs.",
    same=True,
)
def dx_compact(dxhat, xhat, var, m, eps):
    return (dxhat - _group_sum(dxhat) / m - xhat * _group_sum(dxhat * xhat) / m) / np.sqrt(var + eps)


def _sum_over_channels(v, groups):
    """(N, C) summed over the channels of each group and repeated for each channel: (N, C, 1, 1)."""
    n, c = v.shape
    sums = v.reshape(n, groups, c // groups).sum(axis=2)
    return np.repeat(sums, c // groups, axis=1)[:, :, None, None]


@groupnorm.step(
    "factoring out gamma",
    r"dx_{nchw} = \frac{1}{\sqrt{\sigma^2 + \varepsilon}} \Big(\gamma_c\, dy_{nchw}"
    r" - \frac1m \sum_{j \in g} \gamma_j \sum_{uv} dy_{njuv}"
    r" - \hat x_{nchw} \frac1m \sum_{j \in g} \gamma_j \sum_{uv} dy_{njuv}\, \hat x_{njuv}\Big)",
    "dx_c = (γ_c dy_c − 1/m Σⱼ γⱼ (Σ dyⱼ) − x̂_c 1/m Σⱼ γⱼ (Σ dyⱼ x̂ⱼ)) / √(σ² + ε), j in c's group, brackets over h, w",
    "In the indices of the image: γ can be factored out of the sums over pixels, but not out of those over the "
    "channels of the group, where it varies. Unlike in batch normalisation, dβ and dγ cannot be reused for these "
    "sums, because they are also summed over the samples.",
    derivative=D("L", "x"),
)
def dx_image(x, dy, gamma, xhat, var, m, groups, eps):
    normal = xhat.reshape(x.shape)
    first = _sum_over_channels(gamma * dy.sum(axis=(2, 3)), groups) / m
    second = _sum_over_channels(gamma * (dy * normal).sum(axis=(2, 3)), groups) / m
    std = np.sqrt(np.repeat(var[:, :, 0], len(gamma) // groups, axis=1)[..., None] + eps)
    return (gamma[:, None, None] * dy - first - normal * second) / std


def _layernorm_of_image(x, dy, gamma, beta):
    pixels = x[0, 0].size
    weight, bias = np.repeat(gamma, pixels), np.repeat(beta, pixels)
    layer = nn.LayerNorm(len(weight), EPS, dtype=FLOAT64)
    ran = run_layer(layer, x.reshape(len(x), -1), dy.reshape(len(x), -1), weight=weight, bias=bias)
    return ran.dx.reshape(x.shape)


@groupnorm.step(
    "one group: layer normalisation",
    r"G = 1: \quad dx = \texttt{LayerNorm}(C H W) \text{'s, with } \gamma_{chw} = \gamma_c",
    "G = 1: dx is that of LayerNorm(C·H·W) with γ_chw = γ_c",
    "The whole sample is one group. Layer normalisation has one γ per entry; here the pixels of a channel share one.",
    direct=_layernorm_of_image,
    direct_label="nn.LayerNorm",
)
def dx_one_group(x, dy, gamma, beta):
    return _groupnorm(x, dy, gamma, beta, 1).dx


@groupnorm.step(
    "C groups: instance normalisation",
    r"G = C: \quad dx_{nchw} = \frac{\gamma_c}{\sqrt{\sigma_{nc}^2 + \varepsilon}}"
    r" \big(dy_{nchw} - \overline{dy_{nc}} - \hat x_{nchw}\, \overline{dy_{nc} \hat x_{nc}}\big)",
    "G = C: dx_c = γ_c / √(σ_c² + ε) · (dy_c − mean dy_c − x̂_c mean(dy_c x̂_c))",
    "Each channel is a separate group, with means over its H·W pixels. Only here, γ is one number for the whole group "
    "and can be factored out of both means.",
    direct=lambda x, dy, gamma, beta: _groupnorm(x, dy, gamma, beta, len(gamma)).dx,
    direct_label="nn.GroupNorm(C, C)",
)
def dx_instance(x, dy, gamma, eps):
    pixels = x.shape[2] * x.shape[3]
    deviation = x - _group_sum(x) / pixels
    inverse_std = (_group_sum(deviation**2) / pixels + eps) ** -0.5
    normal = deviation * inverse_std
    inner = dy - _group_sum(dy) / pixels - normal * _group_sum(dy * normal) / pixels
    return gamma[:, None, None] * inverse_std * inner


@groupnorm.step(
    "instance normalisation is batch normalisation of one sample at a time",
    r"G = C: \quad dx_n = \texttt{BatchNorm2d}\text{'s for the batch } (x_n)",
    "G = C: dxₙ is that of BatchNorm2d for the batch (xₙ)",
    "A batch of one image, whose pixels replace the batch.",
    same=True,
)
def dx_batch_of_one(x, dy, gamma, beta):
    def alone(n):
        layer = nn.BatchNorm2d(len(gamma), EPS, running_variance="biased", dtype=FLOAT64)
        return run_layer(layer, x[n : n + 1], dy[n : n + 1], weight=gamma, bias=beta).dx

    return np.concatenate([alone(n) for n in range(len(x))])


@groupnorm.step(
    "what nn computes: dγ",
    r"\texttt{weight.grad} = \sum_{nhw} dy_{nchw}\, \hat x_{nchw}",
    "weight.grad = Σ dy[n, c, h, w] x̂[n, c, h, w] over n, h, w",
    "The backward pass of nn.GroupNorm stores it in the parameter.",
    same="dgamma",
    link=Link(nn.GroupNorm.backward, "self._sum(dy * normalized)"),
)
def dgamma_nn(x, dy, gamma, beta, groups):
    return _groupnorm(x, dy, gamma, beta, groups).grads["weight"]


@groupnorm.step(
    "what nn computes: dβ",
    r"\texttt{bias.grad} = \sum_{nhw} dy_{nchw}",
    "bias.grad = Σ dy[n, c, h, w] over n, h, w",
    "Alike.",
    same="dbeta",
    link=Link(nn.GroupNorm.backward, "self._sum(dy)"),
)
def dbeta_nn(x, dy, gamma, beta, groups):
    return _groupnorm(x, dy, gamma, beta, groups).grads["bias"]


@groupnorm.step(
    "what nn computes: dx",
    r"dx = \frac{1}{\sqrt{\sigma^2 + \varepsilon}}"
    r" \big(d\hat x - \overline{d\hat x} - \hat x\, \overline{d\hat x \hat x}\big), \quad d\hat x = \gamma\, dy",
    "dx = (dx̂ − mean dx̂ − x̂ mean(dx̂ x̂)) / √(σ² + ε), dx̂ = γ dy",
    "γ dy first, channel by channel; then each group becomes one row, and layer normalisation's formula is applied to "
    "the rows.",
    same="dx_image",
    link=Link(nn.GroupNorm.backward, "inverse_std * (dx - "),
)
def dx_nn(x, dy, gamma, beta, groups):
    return _groupnorm(x, dy, gamma, beta, groups).dx


# -- RMS normalisation ------------------------------------------------------------------------------------------------

rmsnorm = Derivation(
    "rmsnorm",
    TOPIC,
    "RMS normalisation: no mean, so one term fewer",
    {"N": 4, "D": 3},
    lambda rng, N, D: {
        "x": rng.normal(size=(N, D)) * 2 + 1,
        "dy": rng.normal(size=(N, D)),
        "gamma": rng.normal(size=D) + 1.5,
        "factor": rng.uniform(1.5, 2.5, size=(N, 1)),
        "shift": rng.uniform(0.5, 1.5, size=(N, 1)),
        "eps": EPS,
    },
    least={"D": 2},
    intro="Each sample is divided by the root mean square of its features, q standing for the mean square: (N, 1). "
    "Indices: n, r and s are samples, i and j features. A batch of 1 is not special; a single feature would be "
    "degenerate (x̂ = ±1, except for ε). The paper's equation has no ε; nn adds it to q, so that a sample of zeros "
    "can be divided.",
    source="Zhang and Sennrich (2019), Root mean square layer normalization, equation 4",
)


def _rmsnorm(x, dy, gamma):
    return run_layer(nn.RMSNorm(len(gamma), EPS, dtype=FLOAT64), x, dy, weight=gamma)


def _rms_normalized(x):
    return nn.RMSNorm(x.shape[1], EPS, dtype=FLOAT64).forward(x)


@rmsnorm.step(
    "mean square of a sample",
    r"q_n = \frac1D \sum_j x_{nj}^2",
    "qₙ = 1/D Σⱼ xₙⱼ²",
    "About 0, not about the mean.",
    direct=lambda x: np.linalg.norm(x, axis=1, keepdims=True) ** 2 / x.shape[1],
    direct_label="np.linalg.norm",
)
def q(x):
    return (x * x).sum(axis=1, keepdims=True) / x.shape[1]


@rmsnorm.step(
    "in terms of mean and variance",
    r"q_n = \sigma_n^2 + \mu_n^2",
    "qₙ = σₙ² + μₙ²",
    "If the features of a sample have mean 0, this is the variance of layer normalisation.",
    same=True,
)
def q_by_moments(x):
    return x.var(axis=1, keepdims=True) + x.mean(axis=1, keepdims=True) ** 2


@rmsnorm.step(
    "normalised input",
    r"\hat x_{nj} = \frac{x_{nj}}{\sqrt{q_n + \varepsilon}}",
    "x̂ₙⱼ = xₙⱼ / √(qₙ + ε)",
    "Equation 4: layer normalisation without subtracting the mean. The mean square of a row is just under 1.",
    direct=lambda x: _rms_normalized(x),
    direct_label="nn.RMSNorm, γ = 1",
    link=Link(nn.RMSNorm.forward, "normalized = x * inverse_rms"),
)
def normal(x, q, eps):
    return x * (q + eps) ** -0.5


@rmsnorm.step(
    "output",
    r"y_{nj} = \gamma_j \hat x_{nj}",
    "yₙⱼ = γⱼ x̂ₙⱼ",
    "γ belongs to features, q to samples. There is no β.",
    direct=lambda x, dy, gamma: _rmsnorm(x, dy, gamma).y,
    direct_label="nn.RMSNorm",
    link=Link(nn.RMSNorm.forward, "y = gamma * normalized"),
)
def out(normal, gamma):
    return gamma * normal


@rmsnorm.step(
    "invariance to scale, except for ε",
    r"\hat x(a x;\, \varepsilon) = \frac{x}{\sqrt{q + \varepsilon / a^2}} = \hat x(x;\, \varepsilon / a^2),"
    r" \quad a > 0",
    "x̂(a x; ε) = x / √(q + ε/a²) = x̂(x; ε/a²), a > 0",
    "The mean square of a x is a² q, and a cancels. With ε = 0 the output would be the same for every a.",
    direct=lambda x, factor: _rms_normalized(factor * x),
    direct_label="nn.RMSNorm at a x",
)
def scaled(x, q, factor, eps):
    return x / np.sqrt(q + eps / factor**2)


@rmsnorm.step(
    "no invariance to shifts",
    r"\hat x(x + b) = \frac{x + b}{\sqrt{q + 2 b \mu + b^2 + \varepsilon}}",
    "x̂(x + b) = (x + b) / √(q + 2 b μ + b² + ε)",
    "b remains in numerator and denominator. In layer normalisation it is subtracted with the mean.",
    direct=lambda x, shift: _rms_normalized(x + shift),
    direct_label="nn.RMSNorm at x + b",
)
def shifted(x, q, shift, eps):
    mean = x.mean(axis=1, keepdims=True)
    return (x + shift) / np.sqrt(q + 2 * shift * mean + shift**2 + eps)


@rmsnorm.given
def loss(dy, out):
    return (dy * out).sum()


@rmsnorm.step(
    "gradient of gamma",
    r"\frac{\partial L}{\partial \gamma_j} = \sum_n dy_{nj}\, \hat x_{nj}",
    "∂L/∂γⱼ = Σₙ dyₙⱼ x̂ₙⱼ",
    "γⱼ multiplies x̂ₙⱼ in every sample.",
    derivative=D("loss", "gamma"),
)
def rms_dgamma(dy, normal):
    return (dy * normal).sum(axis=0)


@rmsnorm.step(
    "gradient of the normalised input",
    r"d\hat x_{nj} = \gamma_j\, dy_{nj}",
    "dx̂ₙⱼ = γⱼ dyₙⱼ",
    "yₙⱼ depends on x̂ₙⱼ alone.",
    derivative=D("loss", "normal"),
)
def dnormal(dy, gamma):
    return gamma * dy


@rmsnorm.step(
    "gradient of the mean square",
    r"\frac{\partial L}{\partial q_n} = -\frac12 \sum_j d\hat x_{nj}\, x_{nj}\, (q_n + \varepsilon)^{-3/2}",
    "∂L/∂qₙ = −½ Σⱼ dx̂ₙⱼ xₙⱼ (qₙ + ε)^(−3/2)",
    "One q scales all features of its sample: power rule, then sum.",
    derivative=D("loss", "q"),
)
def dq(dnormal, x, q, eps):
    return -0.5 * (dnormal * x).sum(axis=1, keepdims=True) * (q + eps) ** -1.5


@rmsnorm.step(
    "mean square by input",
    r"\frac{\partial q_s}{\partial x_{ri}} = \frac{2 \delta_{sr}}{D} x_{ri}",
    "∂qₛ/∂xᵣᵢ = 2 δₛᵣ/D xᵣᵢ",
    "There is no mean that depends on x, so this is the total derivative.",
    derivative=D("q", "x", take="suri->sri"),
)
def q_by_x(x):
    n, d = x.shape
    return 2 / d * np.eye(n)[:, :, None] * x


@rmsnorm.step(
    "gradient of the input: two paths",
    r"dx_{nj} = \frac{d\hat x_{nj}}{\sqrt{q_n + \varepsilon}} + \frac{\partial L}{\partial q_n} \frac{2 x_{nj}}{D}",
    "dxₙⱼ = dx̂ₙⱼ (qₙ + ε)^(−1/2) + ∂L/∂qₙ · 2 xₙⱼ/D",
    "Directly and through the mean square. The third path of layer normalisation, through the mean, does not exist.",
    derivative=D("loss", "x"),
)
def rms_dx_paths(dnormal, dq, x, q, eps):
    return dnormal * (q + eps) ** -0.5 + dq * 2 * x / x.shape[1]


@rmsnorm.step(
    "the paths substituted",
    r"dx_{nj} = \frac{1}{\sqrt{q_n + \varepsilon}} \Big(d\hat x_{nj}"
    r" - \frac{x_{nj}}{q_n + \varepsilon} \frac1D \sum_i d\hat x_{ni}\, x_{ni}\Big)",
    "dxₙⱼ = (dx̂ₙⱼ − xₙⱼ/(qₙ + ε) · 1/D Σᵢ dx̂ₙᵢ xₙᵢ) / √(qₙ + ε)",
    "The inverse root is a common factor of both terms; −½ · 2 = −1.",
    same=True,
)
def rms_dx_substituted(dnormal, x, q, eps):
    through_square = x / (q + eps) * (dnormal * x).sum(axis=1, keepdims=True) / x.shape[1]
    return (dnormal - through_square) / np.sqrt(q + eps)


@rmsnorm.step(
    "written in x̂",
    r"dx_{nj} = \frac{1}{\sqrt{q_n + \varepsilon}} \big(d\hat x_{nj} - \hat x_{nj}\, \overline{d\hat x \hat x}\big)",
    "dxₙⱼ = (dx̂ₙⱼ − x̂ₙⱼ mean(dx̂ x̂)) / √(qₙ + ε)",
    "The two remaining roots turn x into x̂ twice. This is the formula of layer normalisation without the term − mean "
    "dx̂.",
    same=True,
)
def rms_dx_compact(dnormal, normal, q, eps):
    return (dnormal - normal * (dnormal * normal).mean(axis=1, keepdims=True)) / np.sqrt(q + eps)


@rmsnorm.step(
    "as a matrix",
    r"dx_n = \frac{1}{\sqrt{q_n + \varepsilon}} \Big(I - \frac1D \hat x_n \hat x_n^\top\Big) d\hat x_n",
    "dxₙ = (I − x̂ₙ x̂ₙᵀ/D) dx̂ₙ / √(qₙ + ε)",
    "The Jacobian of a sample is symmetric. Since x̂ₙᵀ x̂ₙ is just below D, it is nearly the projection that removes "
    "the component along x.",
    same=True,
)
def rms_dx_matrix(dnormal, normal, q, eps):
    d = normal.shape[1]
    jacobian = np.eye(d) - normal[:, :, None] * normal[:, None, :] / d
    return np.einsum("nij,nj->ni", jacobian, dnormal) / np.sqrt(q + eps)


@rmsnorm.step(
    "invariance to scale, in the gradient",
    r"\sum_j x_{nj}\, dx_{nj} = \frac{\varepsilon}{q_n + \varepsilon} \sum_j d\hat x_{nj}\, \hat x_{nj}",
    "Σⱼ xₙⱼ dxₙⱼ = ε/(qₙ + ε) Σⱼ dx̂ₙⱼ x̂ₙⱼ",
    "The slope of the loss in the direction of x. With ε = 0, it would be 0, because scaling x does not change the "
    "output.",
    direct=lambda x, dy, gamma: (x * _rmsnorm(x, dy, gamma).dx).sum(axis=1),
    direct_label="nn.RMSNorm's dx",
)
def along_x(dnormal, normal, q, eps):
    return eps / (q[:, 0] + eps) * (dnormal * normal).sum(axis=1)


@rmsnorm.step(
    "no invariance to shifts, in the gradient",
    r"\sum_j dx_{nj} = \frac{1}{\sqrt{q_n + \varepsilon}}"
    r" \Big(\sum_j d\hat x_{nj} - \overline{d\hat x \hat x} \sum_j \hat x_{nj}\Big)",
    "Σⱼ dxₙⱼ = (Σⱼ dx̂ₙⱼ − mean(dx̂ x̂) Σⱼ x̂ₙⱼ) / √(qₙ + ε)",
    "The slope of the loss for a shift of all features. In layer normalisation it is 0, because mean dx̂ is "
    "subtracted and x̂ sums to 0.",
    direct=lambda x, dy, gamma: _rmsnorm(x, dy, gamma).dx.sum(axis=1),
    direct_label="nn.RMSNorm's dx",
)
def along_shift(dnormal, normal, q, eps):
    correlation = (dnormal * normal).mean(axis=1)
    return (dnormal.sum(axis=1) - correlation * normal.sum(axis=1)) / np.sqrt(q[:, 0] + eps)


@rmsnorm.step(
    "what nn computes: dγ",
    r"\texttt{weight.grad} = \sum_n dy_{nj}\, \hat x_{nj}",
    "weight.grad = Σₙ dyₙⱼ x̂ₙⱼ",
    "The backward pass of nn.RMSNorm stores it in the parameter.",
    same="rms_dgamma",
    link=Link(nn.RMSNorm.backward, "sum_over_batch(dy * normalized)"),
)
def rms_dgamma_nn(x, dy, gamma):
    return _rmsnorm(x, dy, gamma).grads["weight"]


@rmsnorm.step(
    "what nn computes: dx",
    r"dx = \frac{1}{\sqrt{q + \varepsilon}} \big(d\hat x - \hat x\, \overline{d\hat x \hat x}\big),"
    r" \quad d\hat x = \gamma\, dy",
    "dx = (dx̂ − x̂ mean(dx̂ x̂)) / √(q + ε), dx̂ = γ dy",
    "One mean per sample instead of layer normalisation's two.",
    same="rms_dx_compact",
    link=Link(nn.RMSNorm.backward, "inverse_rms * (dx - "),
)
def rms_dx_nn(x, dy, gamma):
    return _rmsnorm(x, dy, gamma).dx


DERIVATIONS = [groupnorm, rmsnorm]
