"""CMU 11-785 Fall 2019, homework 1 handout: section 1.1 and appendices A, B, C.

Conventions as stated there: a batch of m samples, index i, of a single unit; u_B and mu_B both name the mean of the
batch. Partial derivatives by the mean and the variance treat these as inputs of x-hat.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from docs.published.claims import Claim, Point
from docs.published.points import (
    entrywise,
    every,
    jacobian,
    kinked,
    loss,
    normalise,
    off_the_kink,
    one_hot,
    one_sided,
    prediction,
    relu,
    softmax,
)

claim = partial(Claim, "CMU 11-785 Fall 2019, homework 1 handout")

LEFT_OUT = (
    ("Sections 1.2 to 2, and the glossary", "The programs to be written, their shapes and words: nothing is derived."),
    ("Appendix A, gradient, line 1", "It names what is differentiated."),
    ("Appendix A, gradient, the line repeated before the result", "It is the line before it once more."),
    (
        "Appendix C, that independent units are uncorrelated and that the identity can be learned",
        "In words: no formula.",
    ),
    ("Appendix C, equation 28", "The number stands without an equation."),
)


# --- 1.1: activations


def _numbers(rng):
    return Point(z=rng.normal(size=6))


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def _elementwise(function, z):
    """f'(z), entry by entry."""
    return np.diag(jacobian(function, z))


ACTIVATIONS = (
    claim(
        "cmu-sigmoid",
        "Section 1.1.1",
        r"S(z) = \frac{1}{1 + e^{-z}}",
        "A definition; compared with (1 + tanh(z/2)) / 2.",
        _numbers,
        lambda p: (1 + np.tanh(p.z / 2)) / 2,
        lambda p: 1 / (1 + np.exp(-p.z)),
    ),
    claim(
        "cmu-sigmoid-derivative",
        "Section 1.1.2",
        r"S'(z) = S(z) \cdot (1 - S(z))",
        "The derivative needs only the output.",
        _numbers,
        lambda p: _elementwise(_sigmoid, p.z),
        lambda p: _sigmoid(p.z) * (1 - _sigmoid(p.z)),
    ),
    claim(
        "cmu-tanh",
        "Section 1.1.3",
        r"\tanh(z) = \frac{e^z - e^{-z}}{e^z + e^{-z}}",
        "A definition; compared with the library's tanh.",
        _numbers,
        lambda p: np.tanh(p.z),
        lambda p: (np.exp(p.z) - np.exp(-p.z)) / (np.exp(p.z) + np.exp(-p.z)),
    ),
    claim(
        "cmu-tanh-derivative",
        "Section 1.1.4",
        r"\tanh'(z) = 1 - \tanh(z)^2",
        "The derivative needs only the output.",
        _numbers,
        lambda p: _elementwise(np.tanh, p.z),
        lambda p: 1 - np.tanh(p.z) ** 2,
    ),
    claim(
        "cmu-relu",
        "Section 1.1.5",
        r"R(z) = \begin{cases} z & z > 0 \\ 0 & z \le 0 \end{cases}",
        "A definition; compared with the maximum of 0 and z, at zero as well.",
        kinked,
        lambda p: np.maximum(0, p.z),
        lambda p: np.array([z if z > 0 else 0.0 for z in p.z]),
    ),
    claim(
        "cmu-relu-derivative",
        "Section 1.1.6",
        r"R'(z) = \begin{cases} 1 & z \ge 0 \\ 0 & z < 0 \end{cases}",
        "The handout says itself that the derivative is undefined at 0; its value 1 there is a convention, where other "
        "texts and libraries take 0.",
        kinked,
        lambda p: np.diag(one_sided(relu, p.z)),
        lambda p: np.where(p.z >= 0, 1.0, 0.0),
        condition="no entry exactly zero",
        under=off_the_kink,
        general=lambda p: np.where(p.z == 0, np.nan, np.where(p.z >= 0, 1.0, 0.0)),  # undefined at the kink
        correction=r"R'(z) = \begin{cases} 1 & z > 0 \\ 0 & z < 0 \end{cases}",
    ),
)


# --- appendix A: softmax and cross-entropy; appendix B: log-sum-exp


def _distributions(rng):
    k = int(rng.integers(3, 7))
    return Point(P=softmax(rng.normal(size=k)), Q=softmax(rng.normal(size=k)))


def _coins(rng):
    return Point(p=np.concatenate([rng.uniform(0.05, 0.45, 3), rng.uniform(0.55, 0.95, 3)]))


def _coin_entropy(p):
    return -p * np.log(p) - (1 - p) * np.log(1 - p)


def _expanded(p, z):
    """-sum y_i log softmax(x)_i by the loops of its definition."""
    return -sum(p.t[i] * np.log(np.exp(z[i]) / sum(np.exp(z[k]) for k in range(len(z)))) for i in range(len(z)))


def _loss_by_x(p):
    return jacobian(lambda z: _expanded(p, z), p.z)


def _log_sum(z):
    return np.log(np.sum(np.exp(z)))


def _share(p):
    return np.exp(p.z) / np.exp(p.z).sum()


def _general_gradient(p):
    return -p.t + p.t.sum() * _share(p)


SUM_ONE = "labels that sum to one, such as one-hot ones"
ONLY_ONE = "The handout uses that only one label is 1; that the labels sum to one is enough."
GENERAL = r"-y_j + \sigma(x_j) \sum_{i=1}^K y_i"


def _labels_sum_to_one(p):
    return p.but(t=p.t / p.t.sum())


def _fused(id, place, statement, explanation, as_written, left=_loss_by_x):
    """A line of the gradient that uses that the labels sum to one."""
    return claim(
        id,
        place,
        statement,
        explanation,
        prediction,
        left,
        as_written,
        condition=SUM_ONE,
        under=_labels_sum_to_one,
        general=_general_gradient,
        correction=GENERAL,
    )


SOFTMAX = (
    claim(
        "cmu-A-softmax",
        "Appendix A, softmax",
        r"\sigma(x_j) = \frac{e^{x_j}}{\sum_{k=1}^K e^{x_k}}",
        "A definition; compared with the gradient of log-sum-exp, which the softmax is.",
        prediction,
        lambda p: jacobian(_log_sum, p.z),
        lambda p: entrywise(len(p.z), entry=lambda j: np.exp(p.z[j]) / sum(np.exp(p.z[k]) for k in range(len(p.z)))),
    ),
    claim(
        "cmu-A-softmax-sum",
        "Appendix A, normalisation",
        r"\sum_{j=1}^{K} \sigma(x_j) = \frac{1}{\sum_{k=1}^{K} e^{x_k}} \sum_{j=1}^{K} e^{x_j} = 1",
        "The probabilities sum to one.",
        prediction,
        lambda p: {"first": softmax(p.z).sum(), "second": softmax(p.z).sum()},
        lambda p: {"first": 1 / np.exp(p.z).sum() * np.exp(p.z).sum(), "second": 1.0},
    ),
    claim(
        "cmu-A-cross-entropy",
        "Appendix A, cross-entropy",
        r"CE = \sum_{x \in X} P(x) \log \frac{1}{Q(x)} = -\sum_{x \in X} P(x) \log Q(x)",
        "Both forms are the same.",
        _distributions,
        lambda p: sum(p.P[i] * np.log(1 / p.Q[i]) for i in range(len(p.P))),
        lambda p: -np.sum(p.P * np.log(p.Q)),
    ),
    claim(
        "cmu-A-minimum",
        "Appendix A, minimum",
        r"\min_Q CE(P, Q) \text{ at } P = Q",
        "Said in words. At Q = P the gradient by Q's logits vanishes, and no random Q comes lower.",
        _distributions,
        lambda p: {
            "gradient": jacobian(lambda z: -np.sum(p.P * np.log(softmax(z))), np.log(p.P)),
            "lower values": sum(
                -np.sum(p.P * np.log(softmax(np.log(p.P) + np.random.default_rng(k).normal(size=len(p.P)))))
                < -np.sum(p.P * np.log(p.P))
                for k in range(50)
            ),
        },
        lambda p: {"gradient": np.zeros(len(p.P)), "lower values": 0},
    ),
    claim(
        "cmu-A-entropy",
        "Appendix A, entropy",
        r"H = \sum_{x \in X} P(x) \log \frac{1}{P(x)} = -\sum_{x \in X} P(x) \log P(x)",
        "The cross-entropy of a distribution with itself.",
        _distributions,
        lambda p: -sum(p.P[i] * np.log(p.P[i]) for i in range(len(p.P))),
        lambda p: np.sum(p.P * np.log(1 / p.P)),
    ),
    claim(
        "cmu-A-coin",
        "Appendix A, coin toss",
        r"\frac{dH}{dp} < 0: \text{ the greater } p \text{ is, the less information we expect to receive}",
        "Said in words, of a Bernoulli parameter p. The entropy falls only beyond p = 1/2; below, it rises.",
        _coins,
        lambda p: np.sign(np.diag(jacobian(_coin_entropy, p.p))),
        lambda p: -np.ones(len(p.p)),
        condition="p > 1/2",
        among=lambda p: p.p > 0.5,
        general=lambda p: np.sign(np.log((1 - p.p) / p.p)),
        correction=r"\frac{dH}{dp} = \log \frac{1-p}{p} < 0 \text{ for } p > \tfrac{1}{2}",
    ),
    claim(
        "cmu-A-loss",
        "Appendix A, loss",
        r"L(\hat{y}, y) = -\sum_{i=1}^{K} y_i \log \hat{y}_i = -\sum_{i=1}^{K} y_i \log \sigma(x_i) = "
        r"-\sum_{i=1}^{K} y_i \log \frac{e^{x_i}}{\sum_{k=1}^{K} e^{x_k}}",
        "The softmax put into the cross-entropy; compared through logarithms only, without a quotient.",
        prediction,
        lambda p: {
            name: -np.sum(p.t * (p.z - p.z.max())) + p.t.sum() * np.log(np.sum(np.exp(p.z - p.z.max())))
            for name in ("softmax", "written out")
        },
        lambda p: {"softmax": -np.sum(p.t * np.log(softmax(p.z))), "written out": _expanded(p, p.z)},
    ),
    claim(
        "cmu-A-gradient-2",
        "Appendix A, gradient, lines 2 and 3",
        r"\frac{\partial}{\partial x_j} \left( \sum_{i=1}^{K} -y_i \log e^{x_i} + \sum_{i=1}^{K} y_i \log "
        r"\sum_{k=1}^{K} e^{x_k} \right)",
        "The logarithm of the quotient, for any labels.",
        prediction,
        _loss_by_x,
        lambda p: jacobian(lambda z: -np.sum(p.t * np.log(np.exp(z))) + np.sum(p.t * _log_sum(z)), p.z),
    ),
    claim(
        "cmu-A-gradient-4",
        "Appendix A, gradient, line 4",
        r"\frac{\partial}{\partial x_j} \left( \sum_{i=1}^{K} -y_i x_i + \sum_{i=1}^{K} y_i \log "
        r"\sum_{k=1}^{K} e^{x_k} \right)",
        "Logarithm and exponential cancel.",
        prediction,
        _loss_by_x,
        lambda p: jacobian(lambda z: -np.sum(p.t * z) + np.sum(p.t * _log_sum(z)), p.z),
    ),
    claim(
        "cmu-A-gradient-5",
        "Appendix A, gradient, the subtle step",
        r"\frac{\partial L(\hat{y}, y)}{\partial x_j} = \frac{\partial}{\partial x_j} \left( \sum_{i=1}^K -y_i x_i + "
        r"\log \sum_{k=1}^K e^{x_k} \right)",
        ONLY_ONE,
        prediction,
        _loss_by_x,
        lambda p: jacobian(lambda z: -np.sum(p.t * z) + _log_sum(z), p.z),
        condition=SUM_ONE,
        under=one_hot,
        general=_general_gradient,
        correction=GENERAL,
    ),
    _fused(
        "cmu-A-gradient-6",
        "Appendix A, gradient, terms without x_j dropped",
        r"= \frac{\partial}{\partial x_j} (-y_j x_j) + \frac{\partial}{\partial x_j} \log \sum_{k=1}^K e^{x_k}",
        ONLY_ONE,
        lambda p: np.diag(jacobian(lambda z: -p.t * z, p.z)) + jacobian(_log_sum, p.z),
    ),
    _fused(
        "cmu-A-gradient-7",
        "Appendix A, gradient, derivative of the logarithm",
        r"= -y_j + \frac{1}{\sum_{k=1}^K e^{x_k}} \cdot "
        r"\left(\frac{\partial}{\partial x_j} \sum_{k=1}^K e^{x_k}\right)",
        ONLY_ONE,
        lambda p: -p.t + 1 / np.exp(p.z).sum() * jacobian(lambda z: np.exp(z).sum(), p.z),
    ),
    _fused(
        "cmu-A-gradient-8",
        "Appendix A, gradient, derivative of the sum",
        r"= -y_j + \frac{1}{\sum_{k=1}^K e^{x_k}} \cdot (e^{x_j}) = -y_j + \frac{e^{x_j}}{\sum_{k=1}^K e^{x_k}}",
        ONLY_ONE,
        lambda p: -p.t + _share(p),
    ),
    _fused(
        "cmu-A-gradient-9",
        "Appendix A, gradient, result",
        r"= \sigma(x_j) - y_j = \hat{y}_j - y_j",
        ONLY_ONE,
        lambda p: softmax(p.z) - p.t,
    ),
    claim(
        "cmu-A-sign",
        "Appendix A, sign of the gradient",
        r"y_j = 1 \implies \frac{\partial L(\hat{y}, y)}{\partial x_j} < 0",
        "Said in words; with one label 1 and the others 0, as before.",
        lambda rng: one_hot(prediction(rng)),
        lambda p: np.sign(_loss_by_x(p)[p.c]),
        lambda p: -1.0,
    ),
    claim(
        "cmu-B-log-sum-exp",
        "Appendix B",
        r"\log\sum_{i=1}^n e^{x_i}=a+\log\sum_{i=1}^n e^{x_i-a}",
        "For any a; with a the largest x nothing overflows.",
        lambda rng: prediction(rng).but(a=float(rng.normal() * 5)),
        lambda p: _log_sum(p.z),
        lambda p: p.a + np.log(np.sum(np.exp(p.z - p.a))),
    ),
)


# --- appendix C: batch normalisation of one unit


def _unit(rng):
    m = int(rng.integers(3, 7))
    return Point(
        x=rng.normal(size=m),
        gamma=float(rng.uniform(0.5, 1.5)),
        beta=float(rng.normal()),
        eps=float(rng.uniform(0.1, 0.4)),
        c=rng.normal(size=m),
        m=m,
    )


def _unit_off_centre(rng):
    """mu as the free variable that a partial derivative makes of it, not at the mean of the batch."""
    p = _unit(rng)
    return p.but(mu=float(p.x.mean() + rng.uniform(0.3, 0.8)))


def _spread(x, mu):
    """1/m sum_i (x_i - mu)^2"""
    return np.sum((x - mu) ** 2) / len(x)


def _mu(p):
    return p.x.mean()


def _sigma2(p):
    return _spread(p.x, p.x.mean())


def _hat(p):
    return normalise(p.x, _mu(p), _sigma2(p), p.eps)


def _loss_of_hat(p, hat):
    return loss(p.gamma * hat + p.beta, p.c)


def _dy(p):
    return jacobian(lambda y: loss(y, p.c), p.gamma * _hat(p) + p.beta)


def _dhat(p, hat=None):
    """dL/dx-hat_i"""
    return jacobian(lambda h: _loss_of_hat(p, h), _hat(p) if hat is None else hat)


def _dx(p):
    return jacobian(lambda x: _loss_of_hat(p, normalise(x, x.mean(), _spread(x, x.mean()), p.eps)), p.x)


def _dsigma2(p):
    """dL/dsigma^2 with x and mu fixed."""
    return jacobian(lambda v: _loss_of_hat(p, normalise(p.x, _mu(p), v, p.eps)), _sigma2(p))


def _dmu(p):
    """dL/dmu with x fixed and sigma^2 following mu, at the mean of the batch."""
    return jacobian(lambda mu: _loss_of_hat(p, normalise(p.x, mu, _spread(p.x, mu), p.eps)), _mu(p))


def _hat_total(p):
    """dx-hat_i/dx_j, mu and sigma^2 following x."""
    return jacobian(lambda x: normalise(x, x.mean(), _spread(x, x.mean()), p.eps), p.x)


def _hat_direct(p):
    """dx-hat_i/dx_i at fixed mu and sigma^2."""
    return np.diag(jacobian(lambda x: normalise(x, _mu(p), _sigma2(p), p.eps), p.x))


def _hat_by_sigma2(p):
    return jacobian(lambda v: normalise(p.x, _mu(p), v, p.eps), _sigma2(p))


def _hat_by_mu(p):
    """sigma^2 following mu, as equations 12 to 16 take it."""
    return jacobian(lambda mu: normalise(p.x, mu, _spread(p.x, mu), p.eps), _mu(p))


def _sigma2_by_x(p):
    """At fixed mu: p keeps its x."""
    return jacobian(lambda x: _spread(x, _mu(p)), p.x)


def _mu_by_x(p):
    return jacobian(lambda x: x.mean(), p.x)


def _free_hat(p):
    return normalise(p.x, p.mu, _spread(p.x, p.mu), p.eps)


def _free_hat_by_mu(p):
    return jacobian(lambda mu: normalise(p.x, mu, _spread(p.x, mu), p.eps), p.mu)


def _free_dmu(p):
    return jacobian(lambda mu: _loss_of_hat(p, normalise(p.x, mu, _spread(p.x, mu), p.eps)), p.mu)


def _free_dsigma2(p):
    return jacobian(lambda v: _loss_of_hat(p, normalise(p.x, p.mu, v, p.eps)), _spread(p.x, p.mu))


def _v(p):
    """sigma^2 + epsilon"""
    return _sigma2(p) + p.eps


def _free_v(p):
    return _spread(p.x, p.mu) + p.eps


def _mean_of_loop(p):
    total = 0.0
    for x in p.x:
        total += x
    return total / p.m


def _spread_of_moments(p):
    """The variance by another formula: mean of squares less square of mean."""
    return np.sum(p.x**2) / p.m - (np.sum(p.x) / p.m) ** 2


_SAMPLE = "Read in the order of evaluation, at any mu (sigma^2 follows it), so that no term vanishes by chance. "

_FORWARD = {
    "mean": (
        r"\frac{1}{m} \sum_{i=1}^{m} \mathbf{x}_i",
        "A definition; compared with a loop.",
        _mean_of_loop,
        lambda p: np.sum(p.x) / p.m,
    ),
    "variance": (
        r"\frac{1}{m} \sum_{i=1}^m \left( \mathbf{x}_i - u_{\mathcal{B}} \right)^2",
        "A definition, of the variance without Bessel's correction; compared with the mean of squares less the square "
        "of the mean.",
        _spread_of_moments,
        lambda p: sum((p.x[i] - _mu(p)) ** 2 for i in range(p.m)) / p.m,
    ),
    "hat": (
        r"\frac{\mathbf{x}_i - u_{\mathcal{B}}}{\sqrt{\sigma_{\mathcal{B}}^2 + \epsilon}}",
        "A definition; compared with its moments: mean 0 and variance sigma^2 / (sigma^2 + epsilon).",
        lambda p: {"mean": 0.0, "variance": _spread_of_moments(p) / (_spread_of_moments(p) + p.eps)},
        lambda p: {
            "mean": np.mean((p.x - _mu(p)) / np.sqrt(_sigma2(p) + p.eps)),
            "variance": np.mean(((p.x - _mu(p)) / np.sqrt(_sigma2(p) + p.eps)) ** 2),
        },
    ),
}

_BACKWARD = {
    "hat": (
        r"\frac{\partial L}{\partial \hat{\mathbf{x}}_i} = \frac{\partial L_{\mathcal{B}}}{\partial \mathbf{y}_i} "
        r"\frac{\partial \mathbf{y}_i}{\partial \hat{\mathbf{x}}_i} = "
        r"\frac{\partial L_{\mathcal{B}}}{\partial \mathbf{y}_i} \gamma",
        "y is linear in x-hat.",
        _dhat,
        lambda p: _dy(p) * p.gamma,
    ),
    "beta": (
        r"\frac{\partial L}{\partial \beta} = \sum_{i=1}^{m} \frac{\partial L_{\mathcal{B}}}{\partial \mathbf{y}_{i}} "
        r"\frac{\partial \mathbf{y}_{i}}{\partial \beta} = "
        r"\sum_{i=1}^{m} \frac{\partial L_{\mathcal{B}}}{\partial \mathbf{y}_{i}}",
        "beta is shared by the samples.",
        lambda p: jacobian(lambda beta: loss(p.gamma * _hat(p) + beta, p.c), p.beta),
        lambda p: sum(_dy(p)[i] for i in range(p.m)),
    ),
    "gamma": (
        r"\frac{\partial L}{\partial \gamma} = \sum_{i=1}^{m} \frac{\partial L_{\mathcal{B}}}{\partial \mathbf{y}_{i}} "
        r"\frac{\partial \mathbf{y}_{i}}{\partial \gamma} = "
        r"\sum_{i=1}^{m} \frac{\partial L_{\mathcal{B}}}{\partial \mathbf{y}_{i}} \hat{\mathbf{x}}_{i}",
        "gamma is shared by the samples.",
        lambda p: jacobian(lambda gamma: loss(gamma * _hat(p) + p.beta, p.c), p.gamma),
        lambda p: sum(_dy(p)[i] * _hat(p)[i] for i in range(p.m)),
    ),
    "variance": (
        r"\frac{\partial L}{\partial \sigma_{\mathcal{B}}^2} = \sum_{i=1}^m \frac{\partial L_{\mathcal{B}}}"
        r"{\partial \hat{\mathbf{x}}_i} \frac{\partial \hat{\mathbf{x}}_i}{\partial \sigma_{\mathcal{B}}^2}",
        "The variance acts on all samples; x and mu stay fixed.",
        _dsigma2,
        lambda p: np.sum(_dhat(p) * _hat_by_sigma2(p)),
    ),
}


def _equation(number, statement, explanation, left, as_written, draw=_unit, **other):
    """Equation (number) of appendix C."""
    return claim(
        f"cmu-{number}", f"Appendix C, equation {number}", statement, explanation, draw, left, as_written, **other
    )


def _forward(number, left_side, key):
    right_side, explanation, left, as_written = _FORWARD[key]
    return _equation(number, left_side + right_side, explanation, left, as_written)


def _backward(number, key):
    return _equation(number, *_BACKWARD[key])


def _summed_chain(p):
    """sum_j dL/dx-hat_j dx-hat_j/dx_i"""
    return np.einsum("j,ji->i", _dhat(p), _hat_total(p))


_NO_SUM = (
    "x_i moves the mean and the variance, and with them every x-hat_j of the batch: the sum over j is missing. "
    "Equation 21 is right again, as its derivatives by sigma^2 and mu are sums over the batch."
)
_SUM = (
    r"\sum_{j=1}^m \frac{\partial L_{\mathcal{B}}}{\partial \hat{\mathbf{x}}_j} "
    r"\frac{\partial \hat{\mathbf{x}}_j}{\partial \mathbf{x}_i}"
)
_SUM_PARTS = (
    r"\frac{\partial L_{\mathcal{B}}}{\partial \hat{\mathbf{x}}_{i}} "
    r"\frac{\partial \hat{\mathbf{x}}_{i}}{\partial \mathbf{x}_{i}} + \sum_{j=1}^m "
    r"\frac{\partial L_{\mathcal{B}}}{\partial \hat{\mathbf{x}}_j} \left[ "
    r"\frac{\partial \hat{\mathbf{x}}_j}{\partial \sigma_{\mathcal{B}}^2} "
    r"\frac{\partial \sigma_{\mathcal{B}}^2}{\partial \mathbf{x}_i} + "
    r"\frac{\partial \hat{\mathbf{x}}_j}{\partial \mu_{\mathcal{B}}} "
    r"\frac{\partial \mu_{\mathcal{B}}}{\partial \mathbf{x}_i} \right]"
)


def _summed_parts(p):
    return (
        _dhat(p) * _hat_direct(p)
        + np.sum(_dhat(p) * _hat_by_sigma2(p)) * _sigma2_by_x(p)
        + np.sum(_dhat(p) * _hat_by_mu(p)) * _mu_by_x(p)
    )


_D = r"\frac{\partial L_{\mathcal{B}}}{\partial \hat{\mathbf{x}}_{i}}"
_DS = r"\frac{\partial L_{\mathcal{B}}}{\partial \sigma_{\mathcal{B}}^{2}}"
_DM = r"\frac{\partial L_{\mathcal{B}}}{\partial \mu_{\mathcal{B}}}"
_S_X = r"\frac{\partial \sigma_{\mathcal{B}}^{2}}{\partial \mathbf{x}_{i}}"
_M_X = r"\frac{\partial \mu_{\mathcal{B}}}{\partial \mathbf{x}_{i}}"
_ROOT = r"\left[ (\sigma_{\mathcal{B}}^{2} + \epsilon)^{-\frac{1}{2}} \right]"
_TWO = r"\left[ \frac{2}{m} (\mathbf{x}_{i} - \mu_{\mathcal{B}}) \right]"

BATCH_NORM = (
    _forward("1", r"u_{\mathcal{B}}^{(k)} \leftarrow ", "mean"),
    _forward("2", r"(\sigma_{\mathcal{B}}^2)^{(k)} \leftarrow ", "variance"),
    _forward("3", r"\hat{\mathbf{x}}_i \leftarrow ", "hat"),
    _equation(
        "4",
        r"\mathbf{y}_i \leftarrow \gamma \hat{\mathbf{x}}_i + \beta",
        "A definition; compared with what the text asks of it: with gamma the root of sigma^2 + epsilon and beta the "
        "mean, it is the identity.",
        lambda p: p.x,
        lambda p: np.sqrt(_v(p)) * _hat(p) + _mu(p),
    ),
    _backward("5", "hat"),
    _backward("6", "beta"),
    _backward("7", "gamma"),
    _backward("8", "variance"),
    _equation(
        "9",
        r"= \sum_{i=1}^{m} " + _D + r" \frac{\partial}{\partial \sigma_{\mathcal{B}}^{2}} \left[ (\mathbf{x}_{i} - "
        r"\mu_{\mathcal{B}})(\sigma_{\mathcal{B}}^{2} + \epsilon)^{-\frac{1}{2}} \right]",
        "x-hat written out.",
        _dsigma2,
        lambda p: np.sum(_dhat(p) * jacobian(lambda v: (p.x - _mu(p)) * (v + p.eps) ** -0.5, _sigma2(p))),
    ),
    _equation(
        "10",
        r"= -\frac{1}{2} \sum_{i=1}^{m} " + _D + r" (\mathbf{x}_{i} - \mu_{\mathcal{B}}) "
        r"(\sigma_{\mathcal{B}}^{2} + \epsilon)^{-\frac{3}{2}}",
        "The derivative of the power.",
        _dsigma2,
        lambda p: -0.5 * sum(_dhat(p)[i] * (p.x[i] - _mu(p)) * _v(p) ** -1.5 for i in range(p.m)),
    ),
    _equation(
        "11",
        r"\frac{\partial L}{\partial \mu_{\mathcal{B}}} = \sum_{i=1}^{m} " + _D + r" "
        r"\frac{\partial \hat{\mathbf{x}}_{i}}{\partial \mu_{\mathcal{B}}}",
        "The mean acts on all samples. " + _SAMPLE.strip(),
        _free_dmu,
        lambda p: np.sum(_dhat(p, _free_hat(p)) * _free_hat_by_mu(p)),
        _unit_off_centre,
    ),
    _equation(
        "12",
        r"\frac{\partial \hat{\mathbf{x}}_i}{\partial \mu_{\mathcal{B}}} = \frac{\partial}{\partial \mu_{\mathcal{B}}} "
        r"\left[ (\mathbf{x}_i - \mu_{\mathcal{B}}) (\sigma_{\mathcal{B}}^2 + \epsilon)^{-\frac{1}{2}} \right]",
        "x-hat written out. " + _SAMPLE.strip(),
        _free_hat_by_mu,
        lambda p: jacobian(lambda mu: (p.x - mu) * (_spread(p.x, mu) + p.eps) ** -0.5, p.mu),
        _unit_off_centre,
    ),
    _equation(
        "13",
        r"= -(\sigma_{\mathcal{B}}^2 + \epsilon)^{-\frac{1}{2}} + (\mathbf{x}_i - \mu_{\mathcal{B}}) "
        r"\frac{\partial}{\partial \mu_{\mathcal{B}}} \left[ (\sigma_{\mathcal{B}}^2 + \epsilon)^{-\frac{1}{2}} "
        r"\right]",
        "The product rule; sigma^2 depends on mu.",
        _free_hat_by_mu,
        lambda p: -(_free_v(p) ** -0.5) + (p.x - p.mu) * jacobian(lambda mu: (_spread(p.x, mu) + p.eps) ** -0.5, p.mu),
        _unit_off_centre,
    ),
    _equation(
        "14",
        r"= -(\sigma_{\mathcal{B}}^2 + \epsilon)^{-\frac{1}{2}} + (\mathbf{x}_i - \mu_{\mathcal{B}}) "
        r"\frac{\partial}{\partial \mu_{\mathcal{B}}} \left[ \left( \frac{1}{m} \sum_{i=1}^m (\mathbf{x}_i - "
        r"u_{\mathcal{B}})^2 + \epsilon \right)^{-\frac{1}{2}} \right]",
        "sigma^2 written out. u and mu name the same mean, and the i of the inner sum is an index of its own.",
        _free_hat_by_mu,
        lambda p: (
            -(_free_v(p) ** -0.5)
            + (p.x - p.mu) * jacobian(lambda mu: (sum((x - mu) ** 2 for x in p.x) / p.m + p.eps) ** -0.5, p.mu)
        ),
        _unit_off_centre,
    ),
    _equation(
        "15",
        r"= -(\sigma_{\mathcal{B}}^2 + \epsilon)^{-\frac{1}{2}} -\frac{1}{2}(\mathbf{x}_i - \mu_{\mathcal{B}}) \left[ "
        r"\left( \frac{1}{m} \sum_{i=1}^{m} (\mathbf{x}_i - u_{\mathcal{B}})^2 + \epsilon \right)^{-\frac{3}{2}} "
        r"\frac{\partial}{\partial \mu_{\mathcal{B}}} \left( \frac{1}{m} \sum_{i=1}^{m} (\mathbf{x}_i - "
        r"\mu_{\mathcal{B}})^2 \right) \right]",
        "The derivative of the power, with the chain rule.",
        _free_hat_by_mu,
        lambda p: (
            -(_free_v(p) ** -0.5)
            - 0.5 * (p.x - p.mu) * (_free_v(p) ** -1.5 * jacobian(lambda mu: _spread(p.x, mu), p.mu))
        ),
        _unit_off_centre,
    ),
    _equation(
        "16",
        r"= -(\sigma_{\mathcal{B}}^2 + \epsilon)^{-\frac{1}{2}} - \frac{1}{2} (\mathbf{x}_i - \mu_{\mathcal{B}}) "
        r"\left( \sigma_{\mathcal{B}}^2 + \epsilon \right)^{-\frac{3}{2}} \left( -\frac{2}{m} \sum_{i=1}^m "
        r"(\mathbf{x}_i - \mu_{\mathcal{B}}) \right)",
        "The derivative of the squares. At the mean of the batch the last bracket is zero, which the handout does not "
        "use.",
        _free_hat_by_mu,
        lambda p: -(_free_v(p) ** -0.5) - 0.5 * (p.x - p.mu) * _free_v(p) ** -1.5 * (-2 / p.m * np.sum(p.x - p.mu)),
        _unit_off_centre,
    ),
    claim(
        "cmu-16-substitution",
        "Appendix C, sentence between equations 16 and 17",
        r"\frac{\partial L}{\partial \mu_{\mathcal{B}}} = \sum_{i=1}^m \frac{\partial L_{\mathcal{B}}}"
        r"{\partial \hat{\mathbf{x}}_i} \frac{\partial \hat{\mathbf{x}}_{\mathcal{B}}}{\partial \mu_{\mathcal{B}}}",
        "The last numerator carries the index B for i; read as the vector of the whole batch, each entry gives another "
        "value. Equation 11 has i.",
        _unit_off_centre,
        lambda p: every(_free_dmu(p), p.m),
        lambda p: np.sum(_dhat(p, _free_hat(p))) * _free_hat_by_mu(p),
        right_at="equation 11",
        corrected=lambda p: every(np.sum(_dhat(p, _free_hat(p)) * _free_hat_by_mu(p)), p.m),
        correction=r"\sum_{i=1}^m \frac{\partial L_{\mathcal{B}}}{\partial \hat{\mathbf{x}}_i} "
        r"\frac{\partial \hat{\mathbf{x}}_i}{\partial \mu_{\mathcal{B}}}",
    ),
    _equation(
        "17",
        r"\frac{\partial L}{\partial \mu_{\mathcal{B}}} = -\sum_{i=1}^{m} " + _D + r" (\sigma_{\mathcal{B}}^{2} + "
        r"\epsilon)^{-\frac{1}{2}} - \frac{1}{2} \sum_{i=1}^{m} " + _D + r" (\mathbf{x}_{i} - \mu_{\mathcal{B}}) "
        r"\left(\sigma_{\mathcal{B}}^{2} + \epsilon\right)^{-\frac{3}{2}} \left(-\frac{2}{m} \sum_{i=1}^{m} "
        r"(\mathbf{x}_{i} - \mu_{\mathcal{B}})\right)",
        "Equation 16 put into equation 11. " + _SAMPLE.strip(),
        _free_dmu,
        lambda p: (
            -np.sum(_dhat(p, _free_hat(p)) * _free_v(p) ** -0.5)
            - 0.5 * np.sum(_dhat(p, _free_hat(p)) * (p.x - p.mu) * _free_v(p) ** -1.5) * (-2 / p.m * np.sum(p.x - p.mu))
        ),
        _unit_off_centre,
    ),
    claim(
        "cmu-17-shorter",
        "Appendix C, after equation 17, line 1",
        r"\frac{\partial L}{\partial \mu_{\mathcal{B}}} = -\sum_{i=1}^{m} " + _D + r" (\sigma_{\mathcal{B}}^{2} + "
        r"\epsilon)^{-\frac{1}{2}} + \frac{\partial L}{\partial \sigma_{\mathcal{B}}^{2}} \left( -\frac{2}{m} "
        r"\sum_{i=1}^{m} (\mathbf{x}_{i} - \mu_{\mathcal{B}}) \right)",
        "The second term of equation 17 contains equation 10. " + _SAMPLE.strip(),
        _unit_off_centre,
        _free_dmu,
        lambda p: (
            -np.sum(_dhat(p, _free_hat(p)) * _free_v(p) ** -0.5) + _free_dsigma2(p) * (-2 / p.m * np.sum(p.x - p.mu))
        ),
    ),
    claim(
        "cmu-17-shortest",
        "Appendix C, after equation 17, line 2",
        r"= -\sum_{i=1}^{m} " + _D + r" (\sigma_{\mathcal{B}}^{2} + \epsilon)^{-\frac{1}{2}} - \frac{2}{m} "
        r"\frac{\partial L}{\partial \sigma_{\mathcal{B}}^{2}} \sum_{i=1}^{m} (\mathbf{x}_{i} - \mu_{\mathcal{B}})",
        "The factor moved to the front. " + _SAMPLE.strip(),
        _unit_off_centre,
        _free_dmu,
        lambda p: (
            -np.sum(_dhat(p, _free_hat(p)) * _free_v(p) ** -0.5) - 2 / p.m * _free_dsigma2(p) * np.sum(p.x - p.mu)
        ),
    ),
    _equation(
        "18",
        r"\frac{\partial L_{\mathcal{B}}}{\partial \mathbf{x}_{i}} = "
        + _D
        + r" \frac{\partial \hat{\mathbf{x}}_{i}}{\partial \mathbf{x}_{i}}",
        _NO_SUM,
        _dx,
        lambda p: _dhat(p) * np.diag(_hat_total(p)),
        again="Appendix C, equation 19",
        corrected=_summed_chain,
        correction=_SUM,
    ),
    _equation(
        "19",
        r"= " + _D + r" \left[ \frac{\partial \hat{\mathbf{x}}_{i}}{\partial \mathbf{x}_{i}} + "
        r"\frac{\partial \hat{\mathbf{x}}_{i}}{\partial \sigma_{\mathcal{B}}^{2}} " + _S_X + r" + "
        r"\frac{\partial \hat{\mathbf{x}}_{i}}{\partial \mu_{\mathcal{B}}} " + _M_X + r" \right]",
        "The bracket is the whole derivative of x-hat_i, with its first term at fixed mean and variance. " + _NO_SUM,
        _dx,
        lambda p: _dhat(p) * (_hat_direct(p) + _hat_by_sigma2(p) * _sigma2_by_x(p) + _hat_by_mu(p) * _mu_by_x(p)),
        again="Appendix C, equation 20",
        corrected=_summed_parts,
        correction=_SUM_PARTS,
    ),
    _equation(
        "20",
        r"= "
        + _D
        + r" \frac{\partial \hat{\mathbf{x}}_{i}}{\partial \mathbf{x}_{i}} + "
        + _D
        + r" \frac{\partial \hat{\mathbf{x}}_{i}}{\partial \sigma_{\mathcal{B}}^{2}} "
        + _S_X
        + r" + "
        + _D
        + r" \frac{\partial \hat{\mathbf{x}}_{i}}{\partial \mu_{\mathcal{B}}} "
        + _M_X,
        "Equation 19 multiplied out. " + _NO_SUM,
        _dx,
        lambda p: (
            _dhat(p) * _hat_direct(p)
            + _dhat(p) * _hat_by_sigma2(p) * _sigma2_by_x(p)
            + _dhat(p) * _hat_by_mu(p) * _mu_by_x(p)
        ),
        again="Appendix C, equation 19",
        corrected=_summed_parts,
        correction=_SUM_PARTS,
    ),
    _equation(
        "21",
        r"= "
        + _D
        + r" \frac{\partial \hat{\mathbf{x}}_{i}}{\partial \mathbf{x}_{i}} + "
        + _DS
        + " "
        + _S_X
        + r" + "
        + _DM
        + " "
        + _M_X,
        "With the sums of equations 8 and 11 inside the two derivatives of L, and the first term at fixed mean and "
        "variance.",
        _dx,
        lambda p: _dhat(p) * _hat_direct(p) + _dsigma2(p) * _sigma2_by_x(p) + _dmu(p) * _mu_by_x(p),
    ),
    _equation(
        "22",
        r"= " + _D + r" \left[ \frac{\partial}{\partial \mathbf{x}_{i}} \left( (\mathbf{x}_{i} - \mu_{\mathcal{B}}) "
        r"(\sigma_{\mathcal{B}}^{2} + \epsilon)^{-\frac{1}{2}} \right) \right] + "
        + _DS
        + " "
        + _S_X
        + r" + "
        + _DM
        + " "
        + _M_X,
        "x-hat written out, mean and variance fixed.",
        _dx,
        lambda p: (
            _dhat(p) * np.diag(jacobian(lambda x: (x - _mu(p)) * _v(p) ** -0.5, p.x))
            + _dsigma2(p) * _sigma2_by_x(p)
            + _dmu(p) * _mu_by_x(p)
        ),
    ),
    _equation(
        "23",
        r"= " + _D + " " + _ROOT + r" + " + _DS + " " + _S_X + r" + " + _DM + " " + _M_X,
        "The first derivative evaluated.",
        _dx,
        lambda p: _dhat(p) * _v(p) ** -0.5 + _dsigma2(p) * _sigma2_by_x(p) + _dmu(p) * _mu_by_x(p),
    ),
    _equation(
        "24",
        r"= " + _D + " " + _ROOT + r" + " + _DS + r" \left[ \frac{\partial}{\partial \mathbf{x}_{i}} \left( "
        r"\frac{1}{m} \sum_{j=1}^{m} (\mathbf{x}_{j} - \mu_{\mathcal{B}})^{2} \right) \right] + " + _DM + " " + _M_X,
        "The variance written out.",
        _dx,
        lambda p: (
            _dhat(p) * _v(p) ** -0.5
            + _dsigma2(p) * jacobian(lambda x: sum((x[j] - _mu(p)) ** 2 for j in range(p.m)) / p.m, p.x)
            + _dmu(p) * _mu_by_x(p)
        ),
    ),
    _equation(
        "25",
        r"= " + _D + " " + _ROOT + r" + " + _DS + " " + _TWO + r" + " + _DM + " " + _M_X,
        "The second derivative evaluated.",
        _dx,
        lambda p: _dhat(p) * _v(p) ** -0.5 + _dsigma2(p) * (2 / p.m * (p.x - _mu(p))) + _dmu(p) * _mu_by_x(p),
    ),
    _equation(
        "26",
        r"= " + _D + " " + _ROOT + r" + " + _DS + " " + _TWO + r" + " + _DM + r" \left[ "
        r"\frac{\partial}{\partial \mathbf{x}_{i}} \left( \frac{1}{m} \sum_{j=1}^{m} \mathbf{x}_{j} \right) \right]",
        "The mean written out.",
        _dx,
        lambda p: (
            _dhat(p) * _v(p) ** -0.5
            + _dsigma2(p) * (2 / p.m * (p.x - _mu(p)))
            + _dmu(p) * jacobian(lambda x: sum(x[j] for j in range(p.m)) / p.m, p.x)
        ),
    ),
    _equation(
        "27",
        r"= " + _D + " " + _ROOT + r" + " + _DS + " " + _TWO + r" + " + _DM + r" \left[ \frac{1}{m} \right]",
        "The result that an implementation uses.",
        _dx,
        lambda p: _dhat(p) * _v(p) ** -0.5 + _dsigma2(p) * (2 / p.m * (p.x - _mu(p))) + _dmu(p) * (1 / p.m),
    ),
    _forward("29", r"u_{\mathcal{B}} = ", "mean"),
    _forward("30", r"(\sigma_{\mathcal{B}}^2) = ", "variance"),
    _forward("31", r"\hat{\mathbf{x}}_i = ", "hat"),
    _backward("32", "hat"),
    _backward("33", "beta"),
    _backward("34", "gamma"),
    _backward("35", "variance"),
)

CLAIMS = ACTIVATIONS + SOFTMAX + BATCH_NORM
