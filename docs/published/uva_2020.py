r"""UvA report, 2020: sections 1.1, 1.2, "Softmax and Loss" and 3 (layer normalisation).

Conventions as stated there: delta over delta is a partial derivative, delta with two indices the Kronecker delta,
samples are rows, Y = XW + B while W and b are derived and Y = XW^T + B while X is. The asterisk is any product.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from docs.published.claims import Claim, Point
from docs.published.points import (
    column,
    entrywise,
    every,
    jacobian,
    leaky,
    loss,
    normalise,
    product,
    rows_layer,
    shape,
    sizes,
    softmax,
)

claim = partial(Claim, "UvA report, 2020")

LEFT_OUT = (
    ("Section 1.1, the first lines of W and X", "They name what is looked for."),
    ("Section 1.3, equation 8 (so numbered at the end of section 1.2)", "The number stands without an equation."),
    ("Section 1.3, equation 11", "Illegible in the text at hand."),
    (
        "Section 3, beta, last line",
        "The text at hand repeats the line before it; of what was written, only the size of the vector 1 is left.",
    ),
    (
        "Section 3, main terms, 1, 2, 4 and 5",
        "They repeat results that are judged where they are derived: the first and the second box, Y by mu, mu by X.",
    ),
    ("Section 3, X, line 1", "It repeats equation 20."),
    ("Section 3, X, line 5", "In the text at hand it repeats line 4 with a bracket less."),
    ("Section 3, X, the line between the sum over j and the first X-hat", "Illegible in the text at hand."),
    ("Sections 2.2 and 3.1", "Comparisons in words: no formula."),
    ("Sections 1.4, 2.1 and 4", "Experiments: nothing is derived."),
)


def _same(i, j):
    return float(i == j)


# --- 1.1: Y = XW + B, indices m, n of Y; then Y = XW^T + B, indices p, q of Y


def _xw(rng):
    """X of s rows and m columns, W of m rows and n columns, m < n."""
    m, n = sizes(rng, 2)
    s = 7
    return Point(
        X=rng.normal(size=(s, m)),
        W=rng.normal(size=(m, n)),
        b=rng.normal(size=n),
        C=rng.normal(size=(s, n)),
        s=s,
        m=m,
        n=n,
    )


def _dy(p):
    return jacobian(lambda y: loss(y, p.C), p.X @ p.W + p.b)


def _by_weight(p):
    return jacobian(lambda W: loss(p.X @ W + p.b, p.C), p.W)


def _by_bias(p):
    return jacobian(lambda b: loss(p.X @ p.W + b, p.C), p.b)


def _dy_t(p):
    return jacobian(lambda y: loss(y, p.C), p.X @ p.W.T + p.b)


def _by_input(p):
    return jacobian(lambda X: loss(X @ p.W.T + p.b, p.C), p.X)


WEIGHT = (
    claim(
        "uva_2020-linear-W-1",
        "Section 1.1, W, line 2",
        r"\frac{\delta L}{\delta W_{ij}} = \sum_{mn} \frac{\delta L}{\delta Y_{mn}} "
        r"\frac{\delta Y_{mn}}{\delta W_{ij}}",
        "The chain rule over all entries of Y.",
        _xw,
        _by_weight,
        lambda p: np.einsum("mn,mnij->ij", _dy(p), jacobian(lambda W: p.X @ W + p.b, p.W)),
    ),
    claim(
        "uva_2020-linear-W-2",
        "Section 1.1, W, line 3",
        r"= \sum_{mn} \frac{\delta L}{\delta Y_{mn}} \frac{\delta}{\delta W_{ij}} \sum_{o} X_{mo} * W_{on}",
        "The bias does not depend on W.",
        _xw,
        _by_weight,
        lambda p: np.einsum("mn,mnij->ij", _dy(p), jacobian(lambda W: np.einsum("mo,on->mn", p.X, W), p.W)),
    ),
    claim(
        "uva_2020-linear-W-3",
        "Section 1.1, W, line 4",
        r"= \sum_{mn} \frac{\delta L}{\delta Y_{mn}} \sum_{o} X_{mo} * \frac{\delta W_{on}}{\delta W_{ij}}",
        "X does not depend on W.",
        _xw,
        _by_weight,
        lambda p: np.einsum("mn,mo,onij->ij", _dy(p), p.X, jacobian(lambda W: W, p.W)),
    ),
    claim(
        "uva_2020-linear-W-4",
        "Section 1.1, W, line 5",
        r"= \sum_{mn} \frac{\delta L}{\delta Y_{mn}} \sum_{o} X_{mo} * \delta_{oi} \delta_{nj}",
        "The entries of W are independent variables.",
        _xw,
        _by_weight,
        lambda p: np.einsum("mn,mo,oi,nj->ij", _dy(p), p.X, np.eye(p.m), np.eye(p.n)),
    ),
    claim(
        "uva_2020-linear-W-5",
        "Section 1.1, W, line 6",
        r"= \sum_{mn} \frac{\delta L}{\delta Y_{mn}} X_{mi} \delta_{nj}",
        "The sum over o collapses to o = i.",
        _xw,
        _by_weight,
        lambda p: np.einsum("mn,mi,nj->ij", _dy(p), p.X, np.eye(p.n)),
    ),
    claim(
        "uva_2020-linear-W-6",
        "Section 1.1, W, line 7",
        r"= \sum_{m} \frac{\delta L}{\delta Y_{mi}} X_{mi}",
        "The delta of the line above makes n = j; here Y got the index i, and j has vanished. The result is read off "
        "this line, and is wrong with it.",
        _xw,
        _by_weight,
        lambda p: entrywise(p.m, p.n, entry=lambda i, j: sum(_dy(p)[m, i] * p.X[m, i] for m in range(p.s))),
        again="Section 1.1, W, result",
        corrected=lambda p: entrywise(p.m, p.n, entry=lambda i, j: sum(_dy(p)[m, j] * p.X[m, i] for m in range(p.s))),
        correction=r"\sum_{m} \frac{\delta L}{\delta Y_{mj}} X_{mi}",
    ),
    claim(
        "uva_2020-linear-W-7",
        "Section 1.1, W, result",
        r"\frac{\delta L}{\delta \mathbf{W}} => \frac{\delta L}{\delta Y} * X",
        "As a product of matrices the factors do not fit, nor do they entry by entry: X is to be transposed and to "
        "come first.",
        _xw,
        _by_weight,
        lambda p: product(_dy(p), p.X),
        again="Section 1.1, W, line 7",
        corrected=lambda p: product(p.X.T, _dy(p)),
        correction=r"X^T \frac{\delta L}{\delta Y}",
    ),
)

BIAS = (
    claim(
        "uva_2020-linear-b-1",
        "Section 1.1, beta, line 1",
        r"\frac{\delta L}{\delta \beta} = \sum_{pq} \frac{\delta L}{\delta Y_{pq}} \frac{Y_{pq}}{\delta b_j}",
        "The delta in front of the second Y is missing; transcribed as the quotient of Y and b.",
        _xw,
        _by_bias,
        lambda p: entrywise(p.n, entry=lambda j: np.sum(_dy(p) * (p.X @ p.W + p.b) / p.b[j])),
        right_at="the lines after it",
        corrected=lambda p: np.einsum("pq,pqj->j", _dy(p), jacobian(lambda b: p.X @ p.W + b, p.b)),
        correction=r"\sum_{pq} \frac{\delta L}{\delta Y_{pq}} \frac{\delta Y_{pq}}{\delta b_j}",
    ),
    claim(
        "uva_2020-linear-b-2",
        "Section 1.1, beta, line 2",
        r"= \sum_{pq} \frac{\delta L}{\delta Y_{pq}} \frac{\delta}{\delta b_j} B_{pq}",
        "B holds b in every row; XW does not depend on b.",
        _xw,
        _by_bias,
        lambda p: np.einsum("pq,pqj->j", _dy(p), jacobian(lambda b: np.stack([b] * p.s), p.b)),
    ),
    claim(
        "uva_2020-linear-b-3",
        "Section 1.1, beta, line 3",
        r"= \sum_{pq} \frac{\delta L}{\delta Y_{pq}} \frac{\delta}{\delta b_j} b_q",
        "Each row of B is b.",
        _xw,
        _by_bias,
        lambda p: np.einsum("pq,qj->j", _dy(p), jacobian(lambda b: b, p.b)),
    ),
    claim(
        "uva_2020-linear-b-4",
        "Section 1.1, beta, line 4",
        r"= \sum_{pq} \frac{\delta L}{\delta Y_{pq}} \delta_{qj}",
        "The entries of b are independent variables.",
        _xw,
        _by_bias,
        lambda p: np.einsum("pq,qj->j", _dy(p), np.eye(p.n)),
    ),
    claim(
        "uva_2020-linear-b-5",
        "Section 1.1, beta, line 5",
        r"= \sum_{p} \frac{\delta L}{\delta Y_{pj}} * 1",
        "The sum over the samples.",
        _xw,
        _by_bias,
        lambda p: entrywise(p.n, entry=lambda j: sum(_dy(p)[i, j] * 1 for i in range(p.s))),
    ),
    claim(
        "uva_2020-linear-b-6",
        "Section 1.1, beta, result",
        r"=> \left[\frac{\delta L}{\delta Y} * 1 \right] \quad \text{where 1 is a } (S \times 1) \text{ vector}",
        "A transpose is missing: as written the inner dimensions are those of the outputs and of the samples.",
        _xw,
        lambda p: column(_by_bias(p)),
        lambda p: product(_dy(p), np.ones((p.s, 1))),
        right_at="the line before it, a sum over the samples",
        corrected=lambda p: product(_dy(p).T, np.ones((p.s, 1))),
        correction=r"\left(\frac{\delta L}{\delta Y}\right)^T * 1",
    ),
)

INPUT = (
    claim(
        "uva_2020-linear-X-1",
        "Section 1.1, X, line 2",
        r"\frac{\delta L}{\delta X_{ij}} = \sum_{pq} \frac{\delta L}{\delta Y_{pq}} "
        r"\frac{\delta Y_{pq}}{\delta X_{ij}}",
        "The chain rule over all entries of Y.",
        rows_layer,
        _by_input,
        lambda p: np.einsum("pq,pqij->ij", _dy_t(p), jacobian(lambda X: X @ p.W.T + p.b, p.X)),
    ),
    claim(
        "uva_2020-linear-X-2",
        "Section 1.1, X, line 3",
        r"= \sum_{pq} \frac{\delta L}{\delta Y_{pq}} \frac{\delta Y_{pq}}{\delta X_{ij}} XW_{pq}^T + B_{pq}",
        "Y still stands in the derivative although its expression follows: the factor occurs twice. The next line has "
        "the operator alone.",
        rows_layer,
        _by_input,
        lambda p: (
            np.einsum("pq,pqij,pq->ij", _dy_t(p), jacobian(lambda X: X @ p.W.T + p.b, p.X), p.X @ p.W.T)
            + np.sum(np.stack([p.b] * p.s))
        ),
        right_at="the line after it",
        corrected=lambda p: np.einsum("pq,pqij->ij", _dy_t(p), jacobian(lambda X: X @ p.W.T + p.b, p.X)),
        correction=r"\sum_{pq} \frac{\delta L}{\delta Y_{pq}} \frac{\delta}{\delta X_{ij}} "
        r"\left( XW_{pq}^T + B_{pq} \right)",
    ),
    claim(
        "uva_2020-linear-X-3",
        "Section 1.1, X, line 4",
        r"= \sum_{pq} \frac{\delta L}{\delta Y_{pq}} \frac{\delta}{\delta X_{ij}} \sum_{r} X_{pr} W_{rq}^T",
        "The bias does not depend on X.",
        rows_layer,
        _by_input,
        lambda p: np.einsum("pq,pqij->ij", _dy_t(p), jacobian(lambda X: np.einsum("pr,rq->pq", X, p.W.T), p.X)),
    ),
    claim(
        "uva_2020-linear-X-4",
        "Section 1.1, X, line 5",
        r"= \sum_{pq} \frac{\delta L}{\delta Y_{pq}} \sum_{r} \frac{\delta X_{pr}}{\delta X_{ij}} W_{rq}^T",
        "W does not depend on X.",
        rows_layer,
        _by_input,
        lambda p: np.einsum("pq,prij,rq->ij", _dy_t(p), jacobian(lambda X: X, p.X), p.W.T),
    ),
    claim(
        "uva_2020-linear-X-5",
        "Section 1.1, X, line 6",
        r"= \sum_{pq} \frac{\delta L}{\delta Y_{pq}} \sum_{r} \delta_{pi} \delta_{rj} W_{rq}^T",
        "The entries of X are independent variables.",
        rows_layer,
        _by_input,
        lambda p: np.einsum("pq,pi,rj,rq->ij", _dy_t(p), np.eye(p.s), np.eye(p.n), p.W.T),
    ),
    claim(
        "uva_2020-linear-X-6",
        "Section 1.1, X, line 7",
        r"= \sum_{q} \frac{\delta L}{\delta Y_{iq}} W_{jq}^T",
        "Both deltas used.",
        rows_layer,
        _by_input,
        lambda p: np.einsum("iq,jq->ij", _dy_t(p), p.W.T),
    ),
    claim(
        "uva_2020-linear-X-7",
        "Section 1.1, X, line 8",
        r"= \sum_{q} \frac{\delta L}{\delta Y_{iq}} W_{qj}",
        "The transpose undone.",
        rows_layer,
        _by_input,
        lambda p: np.einsum("iq,qj->ij", _dy_t(p), p.W),
    ),
    claim(
        "uva_2020-linear-X-8",
        "Section 1.1, X, result",
        r"\frac{\delta L}{\delta \mathbf{X}} => \frac{\delta L}{\delta Y} W",
        "With Y = XW^T + B, as in these lines; with the Y = XW + B of the lines for W, it would be W^T.",
        rows_layer,
        _by_input,
        lambda p: product(_dy_t(p), p.W),
    ),
)


# --- 1.2: an elementwise activation Y


def _elu(x, slope):
    return np.where(np.real(x) > 0, x, np.exp(np.where(np.real(x) > 0, 0, x)) - 1)


def _activated(rng):
    s, m = 4, 3
    return Point(
        X=rng.choice([-1.0, 1.0], (s, m)) * rng.uniform(0.3, 1.5, (s, m)),
        C=rng.normal(size=(s, m)),
        slope=0.3,
        f=_elu,
        s=s,
        m=m,
    )


def _activation_by_x(p):
    return jacobian(lambda X: loss(p.f(X, p.slope), p.C), p.X)


def _activation_dy(p):
    return jacobian(lambda y: loss(y, p.C), p.f(p.X, p.slope))


def _factor(p):
    """H with Y = H X, held fixed."""
    return p.f(p.X, p.slope) / p.X


def _slope(p):
    """H as the derivative of Y, entry by entry."""
    return np.einsum("pqpq->pq", jacobian(lambda X: p.f(X, p.slope), p.X))


ACTIVATION = (
    claim(
        "uva_2020-1",
        "Section 1.2, equation 1",
        r"\frac{\delta L}{\delta X_{ij}} = \sum_{pq} \frac{\delta L}{\delta Y_{pq}} * "
        r"\frac{\delta Y_{pq}}{\delta X_{ij}}",
        "The chain rule over all entries of Y.",
        _activated,
        _activation_by_x,
        lambda p: np.einsum("pq,pqij->ij", _activation_dy(p), jacobian(lambda X: p.f(X, p.slope), p.X)),
    ),
    claim(
        "uva_2020-2",
        "Section 1.2, equation 2",
        r"= \sum_{pq} \frac{\delta L}{\delta Y_{pq}} * \frac{\delta}{\delta X_{ij}} H_{pq} \cdot X_{pq}",
        "Writing the activation as a product with a fixed H is exact where it is linear in pieces through the origin; "
        "for ELU, say, Y = HX needs an H that depends on X. (From equation 4 on H may be read as the derivative.)",
        _activated,
        _activation_by_x,
        lambda p: np.einsum("pq,pqij->ij", _activation_dy(p), jacobian(lambda X: _factor(p) * X, p.X)),
        condition="H does not depend on X, as for ReLU and leaky ReLU away from zero",
        under=lambda p: p.but(f=leaky),
        general=lambda p: np.einsum("pq,pqij->ij", _activation_dy(p), jacobian(lambda X: p.f(X, p.slope), p.X)),
        correction=r"\sum_{pq} \frac{\delta L}{\delta Y_{pq}} * \frac{\delta}{\delta X_{ij}} f(X_{pq})",
    ),
    claim(
        "uva_2020-3",
        "Section 1.2, equation 3",
        r"= \sum_{pq} \frac{\delta L}{\delta Y_{pq}} * H_{pq} \cdot \delta X_{pq} \delta X_{ij}",
        "The fraction bar between the last two factors is missing; transcribed as their product.",
        _activated,
        _activation_by_x,
        lambda p: np.einsum("pq,pq,pq,ij->ij", _activation_dy(p), _slope(p), p.X, p.X),
        right_at="equation 1",
        corrected=lambda p: np.einsum("pq,pq,pqij->ij", _activation_dy(p), _slope(p), jacobian(lambda X: X, p.X)),
        correction=r"\sum_{pq} \frac{\delta L}{\delta Y_{pq}} * H_{pq} \cdot \frac{\delta X_{pq}}{\delta X_{ij}}",
    ),
    claim(
        "uva_2020-4",
        "Section 1.2, equation 4",
        r"= \sum_{pq} \frac{\delta L}{\delta Y_{pq}} * H_{pq} * \delta_{pi} \delta_{qj}",
        "With H as the derivative of the activation.",
        _activated,
        _activation_by_x,
        lambda p: np.einsum("pq,pq,pi,qj->ij", _activation_dy(p), _slope(p), np.eye(p.s), np.eye(p.m)),
    ),
    claim(
        "uva_2020-5",
        "Section 1.2, equation 5",
        r"= \frac{\delta L}{\delta Y_{ij}} * H_{ij}",
        "Both deltas used.",
        _activated,
        _activation_by_x,
        lambda p: entrywise(p.s, p.m, entry=lambda i, j: _activation_dy(p)[i, j] * _slope(p)[i, j]),
    ),
    claim(
        "uva_2020-6",
        "Section 1.2, equation 6",
        r"= \left[\frac{\delta L}{\delta Y} \cdot H\right]_{ij}",
        "With the dot as the product entry by entry.",
        _activated,
        _activation_by_x,
        lambda p: _activation_dy(p) * _slope(p),
    ),
    claim(
        "uva_2020-7",
        "Section 1.2, equation 7",
        r"=> \frac{\delta L}{\delta V} \cdot H",
        "The same for all entries. V is read as Y, an evident fault of the text extraction.",
        _activated,
        _activation_by_x,
        lambda p: _activation_dy(p) * _slope(p),
    ),
)


# --- softmax by rows (9)-(14): entries (p, q, i, j); loss (15)-(19)


def _logits(rng):
    k, s = sizes(rng, 2, high=5)
    return Point(X=rng.normal(size=(s, k)), s=s, k=k)


def _softmax_by_x(p):
    return jacobian(softmax, p.X)


def _exp(p):
    return np.exp(p.X)


def _sums(p):
    return np.exp(p.X).sum(axis=1)


def _softmax_entries(p, entry):
    """Entries (p, q, i, j)."""
    return entrywise(p.s, p.k, p.s, p.k, entry=entry)


def _free_entries(p, entry):
    """Entries (p, q, i, j, k), k left free."""
    return entrywise(p.s, p.k, p.s, p.k, p.k, entry=entry)


def _every_class(p, entry):
    return every(_softmax_entries(p, entry), p.k)


def _probable(rng):
    k, s = sizes(rng, 2)
    return Point(X=softmax(rng.normal(size=(s, k))), T=np.eye(k)[rng.integers(k, size=s)], s=s, k=k)


def _batch_loss(p, X):
    """The cross-entropy, averaged over the samples."""
    return -np.sum(p.T * np.log(X)) / p.s


def _loss_by_x(p):
    return jacobian(lambda X: _batch_loss(p, X), p.X)


_SIGN = "The minus sign of the cross-entropy, lost in equation 15, is still missing; the step itself is right. "

SOFTMAX = (
    claim(
        "uva_2020-9",
        "Section 1.3, equation 9",
        r"\frac{\delta y_{pq}}{\delta X_{ij}} = \frac{\frac{\delta e^{X_{pq}}}{\delta X_{ij}} * \sum_{k} e^{X_{pk}} - "
        r"e^{X_{pq}} * \frac{\delta \sum_{k} e^{X}_{pk}}{\delta X_{ij}}}{(\sum_{k} e^{X_{pk}})^2}",
        "The quotient rule.",
        _logits,
        _softmax_by_x,
        lambda p: (
            (
                np.einsum("pqij,p->pqij", jacobian(np.exp, p.X), _sums(p))
                - np.einsum("pq,pij->pqij", _exp(p), jacobian(lambda X: np.exp(X).sum(axis=1), p.X))
            )
            / _sums(p)[:, None, None, None] ** 2
        ),
    ),
    claim(
        "uva_2020-10",
        "Section 1.3, equation 10",
        r"= \frac{\delta_{pi}\delta_{qj}e^{X_{pq}*\sum_{k}e^{X_{pk}}} - e^{X_{pq}}*e^{X_{pk}}\delta_{pi}\delta_{kj}}"
        r"{(\sum_{k}e^{X_{pk}})^2}",
        "The last term has lost its sum over k, and k is left free. (The exponent of the first term seems to swallow "
        "the factor after it; that is taken for a fault of the text extraction and not judged.)",
        _logits,
        lambda p: every(_softmax_by_x(p), p.k),
        lambda p: _free_entries(
            p,
            lambda a, q, i, j, k: (
                (
                    _same(a, i) * _same(q, j) * _exp(p)[a, q] * _sums(p)[a]
                    - _exp(p)[a, q] * _exp(p)[a, k] * _same(a, i) * _same(k, j)
                )
                / _sums(p)[a] ** 2
            ),
        ),
        again="Section 1.3, equation 12",
        corrected=lambda p: _every_class(
            p,
            lambda a, q, i, j: (
                (
                    _same(a, i) * _same(q, j) * _exp(p)[a, q] * _sums(p)[a]
                    - _exp(p)[a, q] * sum(_exp(p)[a, k] * _same(a, i) * _same(k, j) for k in range(p.k))
                )
                / _sums(p)[a] ** 2
            ),
        ),
        correction=r"\frac{\delta_{pi}\delta_{qj}e^{X_{pq}} * \sum_{k}e^{X_{pk}} - "
        r"e^{X_{pq}} * \sum_k e^{X_{pk}}\delta_{pi}\delta_{kj}}{(\sum_{k}e^{X_{pk}})^2}",
    ),
    claim(
        "uva_2020-12",
        "Section 1.3, equation 12",
        r"= \frac{e^{X_{pq}}}{\sum_{k} e^{X_{pk}}} * \frac{\delta_{pi}\delta_{qj} * \sum_{k} e^{X_{pk}}}"
        r"{\sum_{k} e^{X_{pk}}} - \frac{e^{X_{pk}}\delta_{pi}\delta_{kj}}{\sum_{k} e^{X_{pk}}}",
        "The brackets around the difference and the sum over k of the last term are missing; equation 13 has the "
        "brackets.",
        _logits,
        lambda p: every(_softmax_by_x(p), p.k),
        lambda p: _free_entries(
            p,
            lambda a, q, i, j, k: (
                _exp(p)[a, q] / _sums(p)[a] * _same(a, i) * _same(q, j) * _sums(p)[a] / _sums(p)[a]
                - _exp(p)[a, k] * _same(a, i) * _same(k, j) / _sums(p)[a]
            ),
        ),
        again="Section 1.3, equation 13",
        corrected=lambda p: _every_class(
            p,
            lambda a, q, i, j: (
                _exp(p)[a, q]
                / _sums(p)[a]
                * (
                    _same(a, i) * _same(q, j) * _sums(p)[a] / _sums(p)[a]
                    - sum(_exp(p)[a, k] * _same(a, i) * _same(k, j) for k in range(p.k)) / _sums(p)[a]
                )
            ),
        ),
        correction=r"\frac{e^{X_{pq}}}{\sum_{k} e^{X_{pk}}} * \left( \frac{\delta_{pi}\delta_{qj} * "
        r"\sum_{k} e^{X_{pk}}}{\sum_{k} e^{X_{pk}}} - \frac{\sum_k e^{X_{pk}}\delta_{pi}\delta_{kj}}"
        r"{\sum_{k} e^{X_{pk}}} \right)",
    ),
    claim(
        "uva_2020-13",
        "Section 1.3, equation 13",
        r"= \sigma(X_{pq}) * (\delta_{pi}\delta_{qj} - \sigma(X_{pk} * \delta_{pi}\delta_{kj}))",
        "A bracket closes too late, so that the deltas stand inside sigma, and the sum over k is missing. Transcribed "
        "with sigma as the row's exponential divided by its sum.",
        _logits,
        lambda p: every(_softmax_by_x(p), p.k),
        lambda p: _free_entries(
            p,
            lambda a, q, i, j, k: (
                softmax(p.X)[a, q]
                * (_same(a, i) * _same(q, j) - np.exp(p.X[a, k] * _same(a, i) * _same(k, j)) / _sums(p)[a])
            ),
        ),
        again="Section 1.3, equation 12",
        corrected=lambda p: _every_class(
            p,
            lambda a, q, i, j: (
                softmax(p.X)[a, q]
                * (_same(a, i) * _same(q, j) - sum(softmax(p.X)[a, k] * _same(a, i) * _same(k, j) for k in range(p.k)))
            ),
        ),
        correction=r"\sigma(X_{pq}) * \left(\delta_{pi}\delta_{qj} - "
        r"\sum_k \sigma(X_{pk}) * \delta_{pi}\delta_{kj}\right)",
    ),
    claim(
        "uva_2020-14",
        "Section 1.3, equation 14",
        r"= \sigma(X_{iq}) * (\delta_{qj} - \sigma(X_{ij}))",
        "Within one sample. For two different ones the derivative is zero, which the factor delta_pi, no longer "
        "written, expressed.",
        _logits,
        _softmax_by_x,
        lambda p: _softmax_entries(p, lambda a, q, i, j: softmax(p.X)[i, q] * (_same(q, j) - softmax(p.X)[i, j])),
        condition="p = i: both entries in the same row",
        among=lambda p: np.eye(p.s, dtype=bool)[:, None, :, None],
        general=lambda p: _softmax_entries(
            p, lambda a, q, i, j: _same(a, i) * softmax(p.X)[i, q] * (_same(q, j) - softmax(p.X)[i, j])
        ),
        correction=r"\delta_{pi} \, \sigma(X_{iq}) * (\delta_{qj} - \sigma(X_{ij}))",
    ),
    claim(
        "uva_2020-15",
        "Section 1.3, equation 15",
        r"\frac{\delta L}{\delta X_{ij}} = \frac{\delta}{X_{ij}} \frac{1}{S} \sum_{k,s} T_{sk} log(X_{sk})",
        "The minus sign of the cross-entropy is lost: as written, minimising L would lower the probability of the "
        "target. (Also a delta below the first fraction bar, which is read as meant.)",
        _probable,
        _loss_by_x,
        lambda p: jacobian(lambda X: np.sum(p.T * np.log(X)) / p.s, p.X),
        again="Section 1.3, equation 16",
        corrected=lambda p: jacobian(lambda X: -np.sum(p.T * np.log(X)) / p.s, p.X),
        correction=r"-\frac{\delta}{\delta X_{ij}} \frac{1}{S} \sum_{k,s} T_{sk} \log(X_{sk})",
    ),
    claim(
        "uva_2020-16",
        "Section 1.3, equation 16",
        r"= \frac{1}{S} \sum_{k,s} T_{sk} \frac{\log(X_{sk})}{\delta X_{ij}}",
        _SIGN + "(Also a delta above the fraction bar, which is read as meant.)",
        _probable,
        _loss_by_x,
        lambda p: np.einsum("sk,skij->ij", p.T, jacobian(np.log, p.X)) / p.s,
        again="Section 1.3, equation 17",
        corrected=lambda p: -np.einsum("sk,skij->ij", p.T, jacobian(np.log, p.X)) / p.s,
        correction=r"-\frac{1}{S} \sum_{k,s} T_{sk} \frac{\delta \log(X_{sk})}{\delta X_{ij}}",
    ),
    claim(
        "uva_2020-17",
        "Section 1.3, equation 17",
        r"=\frac{1}{S}\sum_{k,s}T_{sk}\frac{\delta_{si}\delta_{kj}}{X_{sk}}",
        _SIGN.strip(),
        _probable,
        _loss_by_x,
        lambda p: np.einsum("sk,si,kj,sk->ij", p.T, np.eye(p.s), np.eye(p.k), 1 / p.X) / p.s,
        again="Section 1.3, equation 18",
        corrected=lambda p: -np.einsum("sk,si,kj,sk->ij", p.T, np.eye(p.s), np.eye(p.k), 1 / p.X) / p.s,
        correction=r"-\frac{1}{S}\sum_{k,s}T_{sk}\frac{\delta_{si}\delta_{kj}}{X_{sk}}",
    ),
    claim(
        "uva_2020-18",
        "Section 1.3, equation 18",
        r"=\frac{1}{S}\frac{T_{ij}}{X_{ij}}",
        _SIGN.strip(),
        _probable,
        _loss_by_x,
        lambda p: entrywise(p.s, p.k, entry=lambda i, j: p.T[i, j] / p.X[i, j] / p.s),
        again="Section 1.3, equation 19",
        corrected=lambda p: entrywise(p.s, p.k, entry=lambda i, j: -p.T[i, j] / p.X[i, j] / p.s),
        correction=r"-\frac{1}{S}\frac{T_{ij}}{X_{ij}}",
    ),
    claim(
        "uva_2020-19",
        "Section 1.3, equation 19",
        r"=>\frac{1}{S}T\cdot 1/X",
        _SIGN + "All entries are inverted, not the matrix, as the document says.",
        _probable,
        _loss_by_x,
        lambda p: p.T * (1 / p.X) / p.s,
        again="Section 1.3, equation 18",
        corrected=lambda p: -p.T * (1 / p.X) / p.s,
        correction=r"-\frac{1}{S}T\cdot 1/X",
    ),
)


# --- 3: layer normalisation; samples s and r, features j and i


def _layer_norm_point(rng):
    """X of s rows (samples) and m columns (features), m < s."""
    m, s = sizes(rng, 2, low=3, high=5)
    return Point(
        X=rng.normal(size=(s, m)),
        gamma=rng.uniform(0.5, 1.5, m),
        beta=rng.normal(size=m),
        eps=float(rng.uniform(0.1, 0.4)),
        C=rng.normal(size=(s, m)),
        s=s,
        m=m,
    )


def _mu(X):
    return X.mean(axis=1)


def _variance(X, mu):
    return np.mean((X - mu[:, None]) ** 2, axis=1)


def _hat(p, X, mu, variance):
    """X-hat of its three arguments, as equation 21 takes it."""
    return normalise(X, mu[:, None], variance[:, None], p.eps)


def _v(p):
    """sigma^2 + epsilon of each sample."""
    return _variance(p.X, _mu(p.X)) + p.eps


def _c(p):
    """X - mu"""
    return p.X - _mu(p.X)[:, None]


def _x_hat(p):
    return _c(p) / np.sqrt(_v(p))[:, None]


def _y(p, X):
    return p.gamma * _hat(p, X, _mu(X), _variance(X, _mu(X))) + p.beta


def _norm_dy(p):
    return jacobian(lambda y: loss(y, p.C), _y(p, p.X))


def _norm_dx(p):
    return jacobian(lambda X: loss(_y(p, X), p.C), p.X)


def _y_by_x(p):
    """Entries (s, j, r, i), through mu and sigma as well."""
    return jacobian(lambda X: _y(p, X), p.X)


def _hat_by_x(p):
    """dX-hat/dX at fixed mu and sigma."""
    mu, variance = _mu(p.X), _variance(p.X, _mu(p.X))
    return jacobian(lambda X: _hat(p, X, mu, variance), p.X)


def _hat_by_mu(p):
    """dX-hat/dmu at fixed X and sigma: entries (s, j), each by the mean of its own sample."""
    variance = _variance(p.X, _mu(p.X))
    return np.einsum("sjs->sj", jacobian(lambda mu: _hat(p, p.X, mu, variance), _mu(p.X)))


def _y_by_mu_table(p):
    """dY/dmu at fixed X, sigma^2 following mu (equation 22): entries (s, j, mean of which sample)."""
    return jacobian(lambda mu: p.gamma * _hat(p, p.X, mu, _variance(p.X, mu)), _mu(p.X))


def _y_by_mu(p):
    return np.einsum("sjs->sj", _y_by_mu_table(p))


def _y_by_variance(p):
    """dY/dsigma^2 at fixed X and mu: entries (s, j)."""
    table = jacobian(lambda v: p.gamma * _hat(p, p.X, _mu(p.X), v), _variance(p.X, _mu(p.X)))
    return np.einsum("sjs->sj", table)


def _y_by_hat(p):
    """dY/dX-hat, entry by entry."""
    return np.einsum("sjsj->sj", jacobian(lambda h: p.gamma * h + p.beta, _x_hat(p)))


def _variance_by_mu(p):
    return np.einsum("ss->s", jacobian(lambda mu: _variance(p.X, mu), _mu(p.X)))


def _mu_by_x(p):
    """Entries (s, r, i)."""
    return jacobian(_mu, p.X)


def _variance_by_x(p):
    """At fixed mu (p keeps its X); entries (s, r, i)."""
    return jacobian(lambda X: _variance(X, _mu(p.X)), p.X)


def _of_sample(p, entry):
    """Entries (s, j)."""
    return entrywise(p.s, p.m, entry=entry)


def _statistic(p, entry):
    """Entries (s, r, i)."""
    return entrywise(p.s, p.s, p.m, entry=entry)


def _jacobian_entries(p, entry):
    """Entries (s, j, r, i)."""
    return entrywise(p.s, p.m, p.s, p.m, entry=entry)


def _through(p, table):
    """sum_sj dL/dY_sj * table_sjri"""
    return np.einsum("sj,sjri->ri", _norm_dy(p), table)


def _boundary(p, s, j):
    """-gamma_j / (sigma^2 + epsilon)^0.5"""
    return p.gamma[j] * -1 / _v(p)[s] ** 0.5


GAMMA_BETA = (
    claim(
        "uva_2020-gamma-1",
        "Section 3, gamma, line 1",
        r"\frac{\delta L}{\delta \gamma}_i = \sum_{sj} \frac{\delta L}{\delta Y_{sj}} * "
        r"\frac{\delta Y_{sj}}{\delta \gamma_i}",
        "The chain rule over all entries of Y.",
        _layer_norm_point,
        lambda p: jacobian(lambda gamma: loss(gamma * _x_hat(p) + p.beta, p.C), p.gamma),
        lambda p: np.einsum("sj,sji->i", _norm_dy(p), jacobian(lambda gamma: gamma * _x_hat(p) + p.beta, p.gamma)),
    ),
    claim(
        "uva_2020-gamma-2",
        "Section 3, gamma, line 2",
        r"= \sum_{sj} \frac{\delta L}{\delta Y_{sj}} * \frac{\delta \gamma_j \hat{X}_{sj}}{\delta \gamma_i}",
        "beta does not depend on gamma.",
        _layer_norm_point,
        lambda p: jacobian(lambda gamma: loss(gamma * _x_hat(p) + p.beta, p.C), p.gamma),
        lambda p: np.einsum("sj,sji->i", _norm_dy(p), jacobian(lambda gamma: gamma * _x_hat(p), p.gamma)),
    ),
    claim(
        "uva_2020-gamma-3",
        "Section 3, gamma, line 3",
        r"= \sum_{sj} \frac{\delta L}{\delta Y_{sj}} * \delta_{ji} \hat{X}_{sj}",
        "The entries of gamma are independent variables.",
        _layer_norm_point,
        lambda p: jacobian(lambda gamma: loss(gamma * _x_hat(p) + p.beta, p.C), p.gamma),
        lambda p: np.einsum("sj,ji,sj->i", _norm_dy(p), np.eye(p.m), _x_hat(p)),
    ),
    claim(
        "uva_2020-gamma-4",
        "Section 3, gamma, line 4",
        r"= \sum_{sj} \frac{\delta L}{\delta Y_{sj}} * \hat{X}_{si}",
        "The delta has been used on X-hat but not on Y and the sum, which still run over j; the next line has both.",
        _layer_norm_point,
        lambda p: jacobian(lambda gamma: loss(gamma * _x_hat(p) + p.beta, p.C), p.gamma),
        lambda p: np.einsum("sj,si->i", _norm_dy(p), _x_hat(p)),
        right_at="the line after it",
        corrected=lambda p: np.einsum("si,si->i", _norm_dy(p), _x_hat(p)),
        correction=r"\sum_{s} \frac{\delta L}{\delta Y_{si}} * \hat{X}_{si}",
    ),
    claim(
        "uva_2020-gamma-5",
        "Section 3, gamma, line 5",
        r"= \sum_{s} \frac{\delta L}{\delta Y_{si}} * \hat{X}_{si}",
        "The delta used.",
        _layer_norm_point,
        lambda p: jacobian(lambda gamma: loss(gamma * _x_hat(p) + p.beta, p.C), p.gamma),
        lambda p: np.einsum("si,si->i", _norm_dy(p), _x_hat(p)),
    ),
    claim(
        "uva_2020-gamma-6",
        "Section 3, gamma, line 6",
        r"= \sum_{s} \mathbf{1}_s * \frac{\delta L}{\delta Y_{si}} * \hat{X}_{si}",
        "A factor of one for each sample.",
        _layer_norm_point,
        lambda p: jacobian(lambda gamma: loss(gamma * _x_hat(p) + p.beta, p.C), p.gamma),
        lambda p: np.einsum("s,si,si->i", np.ones(p.s), _norm_dy(p), _x_hat(p)),
    ),
    claim(
        "uva_2020-gamma-7",
        "Section 3, gamma, result",
        r"=> \mathbf{1}^T * [\frac{\delta L}{\delta Y} \circ \hat{X}] \qquad \text{where } \mathbf{1} "
        r"\text{ is a 1xS vector}",
        "The transpose of a 1 x S vector cannot be multiplied from the left; it is 1^T that has the shape 1 x S.",
        _layer_norm_point,
        lambda p: jacobian(lambda gamma: loss(gamma * _x_hat(p) + p.beta, p.C), p.gamma)[None, :],
        lambda p: product(np.ones((1, p.s)).T, _norm_dy(p) * _x_hat(p)),
        right_at="the line before it, a sum over the samples",
        corrected=lambda p: product(np.ones((p.s, 1)).T, _norm_dy(p) * _x_hat(p)),
        correction=r"\mathbf{1}^T * [\frac{\delta L}{\delta Y} \circ \hat{X}] \qquad \text{where } \mathbf{1} "
        r"\text{ is an Sx1 vector}",
    ),
    claim(
        "uva_2020-beta-1",
        "Section 3, beta, line 1",
        r"\frac{\delta L}{\delta \beta}_i = \sum_{sj} \frac{\delta L}{\delta Y_{sj}} * "
        r"\frac{\delta Y_{sj}}{\delta \beta_i}",
        "The chain rule over all entries of Y.",
        _layer_norm_point,
        lambda p: jacobian(lambda beta: loss(p.gamma * _x_hat(p) + beta, p.C), p.beta),
        lambda p: np.einsum("sj,sji->i", _norm_dy(p), jacobian(lambda beta: p.gamma * _x_hat(p) + beta, p.beta)),
    ),
    claim(
        "uva_2020-beta-2",
        "Section 3, beta, line 2",
        r"= \sum_{sj} \frac{\delta L}{\delta Y_{sj}} * \frac{\delta \gamma_j \hat{X}_{sj} + \beta_J}{\delta \beta_i}",
        "A capital J is typed for j; read as an index of its own, the derivative of beta_J leaves the sum over j.",
        _layer_norm_point,
        lambda p: every(jacobian(lambda beta: loss(p.gamma * _x_hat(p) + beta, p.C), p.beta), p.m),
        lambda p: np.einsum("sj,Ji->iJ", _norm_dy(p), jacobian(lambda beta: beta, p.beta)),
        right_at="the line after it",
        corrected=lambda p: every(np.einsum("sj,ji->i", _norm_dy(p), jacobian(lambda beta: beta, p.beta)), p.m),
        correction=r"\sum_{sj} \frac{\delta L}{\delta Y_{sj}} * "
        r"\frac{\delta (\gamma_j \hat{X}_{sj} + \beta_j)}{\delta \beta_i}",
    ),
    claim(
        "uva_2020-beta-3",
        "Section 3, beta, line 3",
        r"= \sum_{sj} \frac{\delta L}{\delta Y_{sj}} * \delta_{ji}",
        "The entries of beta are independent variables.",
        _layer_norm_point,
        lambda p: jacobian(lambda beta: loss(p.gamma * _x_hat(p) + beta, p.C), p.beta),
        lambda p: np.einsum("sj,ji->i", _norm_dy(p), np.eye(p.m)),
    ),
    claim(
        "uva_2020-beta-4",
        "Section 3, beta, line 4",
        r"= \sum_{s} \frac{\delta L}{\delta Y_{si}}",
        "The sum over the samples.",
        _layer_norm_point,
        lambda p: jacobian(lambda beta: loss(p.gamma * _x_hat(p) + beta, p.C), p.beta),
        lambda p: np.einsum("si->i", _norm_dy(p)),
    ),
    claim(
        "uva_2020-norm-shapes",
        "Section 3, list of shapes",
        r"\frac{\delta L}{\delta \gamma} \in \mathbb{R}^M, \quad \frac{\delta L}{\delta \beta} \in \mathbb{R}^M, \quad "
        r"\frac{\delta L}{\delta \mathbf{Y}} \in \mathbb{R}^{S*M}",
        "Gradients have the shape of what they belong to.",
        _layer_norm_point,
        lambda p: {
            "gamma": shape(*jacobian(lambda gamma: loss(gamma * _x_hat(p) + p.beta, p.C), p.gamma).shape),
            "beta": shape(*jacobian(lambda beta: loss(p.gamma * _x_hat(p) + beta, p.C), p.beta).shape),
            "Y": shape(*_norm_dy(p).shape),
        },
        lambda p: {"gamma": shape(p.m), "beta": shape(p.m), "Y": shape(p.s, p.m)},
    ),
)


def _combined_mu_middle(p, s, j, rest):
    return _boundary(p, s, j) + p.gamma[j] * _c(p)[s, j] * _v(p)[s] ** -1.5 * rest


TERMS = (
    claim(
        "uva_2020-20",
        "Section 3, equation 20",
        r"\frac{\delta L}{\delta X_{ri}} = \sum_{sj} \frac{\delta L}{\delta Y_{sj}} * "
        r"\frac{\delta Y_{sj}}{\delta X_{ri}}",
        "The chain rule over all entries of Y.",
        _layer_norm_point,
        _norm_dx,
        lambda p: _through(p, _y_by_x(p)),
    ),
    claim(
        "uva_2020-21",
        "Section 3, equation 21",
        r"\frac{\delta Y_{sj}}{\delta X_{ri}} = \frac{\delta Y_{sj}}{\delta \hat{X}_{sj}} * "
        r"\frac{\delta \hat{X}_{sj}}{\delta X_{ri}} + \frac{\delta Y_{sj}}{\delta \mu_s} * "
        r"\frac{\delta \mu_s}{\delta X_{ri}} + \frac{\delta Y_{sj}}{\delta \sigma_s^2} * "
        r"\frac{\delta \sigma_s^2}{\delta X_{ri}}",
        "With the first term at fixed mu and sigma, and the derivative by mu as equation 22 takes it.",
        _layer_norm_point,
        _y_by_x,
        lambda p: (
            np.einsum("sj,sjri->sjri", _y_by_hat(p), _hat_by_x(p))
            + np.einsum("sj,sri->sjri", _y_by_mu(p), _mu_by_x(p))
            + np.einsum("sj,sri->sjri", _y_by_variance(p), _variance_by_x(p))
        ),
    ),
    claim(
        "uva_2020-term-y-hat",
        "Section 3, first box",
        r"\frac{\delta Y_{sj}}{\delta \hat{X}_{sj}} = \frac{\delta \gamma_j * \hat{X}_{sj}}{\delta \hat{X}_{sj}} = "
        r"\gamma_j",
        "Y is linear in X-hat.",
        _layer_norm_point,
        _y_by_hat,
        lambda p: _of_sample(p, lambda s, j: p.gamma[j]),
    ),
    claim(
        "uva_2020-term-hat-x",
        "Section 3, second box",
        r"\frac{\delta \hat{X}_{sj}}{\delta X_{ri}} = \frac{\delta}{\delta X_{ri}} * ((X_{sj} - \mu_s) * "
        r"(\sigma_s^2 + \epsilon)^{-0.5}) = (\frac{\delta_{sr} \delta_{ji}}{(\sigma_s^2 + \epsilon)^{0.5}})",
        "At fixed mu and sigma, whose contributions follow as terms of their own.",
        _layer_norm_point,
        _hat_by_x,
        lambda p: _jacobian_entries(p, lambda s, j, r, i: _same(s, r) * _same(j, i) / _v(p)[s] ** 0.5),
    ),
    claim(
        "uva_2020-22",
        "Section 3, equation 22",
        r"\frac{\delta Y_{sj}}{\delta \mu_s} = \frac{\delta Y_{sj}}{\delta \hat{X}_{sj}} * "
        r"\frac{\delta \hat{X}_{sj}}{\delta \mu_s} + \frac{\delta Y_{sj}}{\delta \sigma_s^2} * "
        r"\frac{\delta \sigma_s^2}{\delta \mu_s}",
        "mu acts directly and through sigma.",
        _layer_norm_point,
        _y_by_mu,
        lambda p: _y_by_hat(p) * _hat_by_mu(p) + _y_by_variance(p) * _variance_by_mu(p)[:, None],
    ),
    claim(
        "uva_2020-term-hat-mu",
        "Section 3, third box",
        r"\frac{\delta \hat{X}_{sj}}{\delta \mu_s} = -\frac{1}{(\sigma_s^2 + \epsilon)^{0.5}}",
        "At fixed sigma.",
        _layer_norm_point,
        _hat_by_mu,
        lambda p: _of_sample(p, lambda s, j: -1 / _v(p)[s] ** 0.5),
    ),
    claim(
        "uva_2020-term-y-sigma-1",
        "Section 3, fourth box, line 1",
        r"\frac{\delta Y_{sj}}{\delta \sigma_s^2} = \frac{\delta Y_{sj}}{\delta \hat{X}_{sj}} * "
        r"\frac{\delta}{\delta \sigma_s^2} (X_{sj} - \mu_s) * (\sigma_s^2 + \epsilon)^{-0.5}",
        "The chain rule through X-hat, with the derivative applied to both factors.",
        _layer_norm_point,
        _y_by_variance,
        lambda p: np.einsum(
            "sj,sjs->sj",
            _y_by_hat(p),
            jacobian(lambda v: _c(p) * (v[:, None] + p.eps) ** -0.5, _variance(p.X, _mu(p.X))),
        ),
    ),
    claim(
        "uva_2020-term-y-sigma-2",
        "Section 3, fourth box, line 2",
        r"= \frac{\delta Y_{sj}}{\delta \hat{X}_{sj}} * -\frac{1}{2} (X_{sj} - \mu_s) * "
        r"(\sigma_j^2 + \epsilon)^{-1.5}",
        "The index of sigma is typed j for s; the overview of the main terms has s.",
        _layer_norm_point,
        _y_by_variance,
        lambda p: _of_sample(p, lambda s, j: p.gamma[j] * -0.5 * _c(p)[s, j] * _v(p)[j] ** -1.5),
        right_at="the third of the main terms",
        corrected=lambda p: _of_sample(p, lambda s, j: p.gamma[j] * -0.5 * _c(p)[s, j] * _v(p)[s] ** -1.5),
        correction=r"\frac{\delta Y_{sj}}{\delta \hat{X}_{sj}} * -\frac{1}{2} (X_{sj} - \mu_s) * "
        r"(\sigma_s^2 + \epsilon)^{-1.5}",
    ),
    claim(
        "uva_2020-term-sigma-mu",
        "Section 3, sigma by mu",
        r"\frac{\delta \sigma_s^2}{\delta \mu_s} = \frac{\delta}{\delta \mu_s} \frac{1}{M} \sum_{i=1}^M "
        r"(X_{si} - \mu_s)^2 = \frac{-2}{M} \sum_{i=1}^M (X_{si} - \mu_s)",
        "Tested at any mu; at the mean of the sample it is zero.",
        lambda rng: (lambda p: p.but(mu=_mu(p.X) + rng.normal(size=p.s)))(_layer_norm_point(rng)),
        lambda p: np.einsum("ss->s", jacobian(lambda mu: _variance(p.X, mu), p.mu)),
        lambda p: entrywise(p.s, entry=lambda s: -2 / p.m * sum(p.X[s, i] - p.mu[s] for i in range(p.m))),
    ),
    claim(
        "uva_2020-term-y-mu-name",
        "Section 3, Y by mu combined, left side",
        r"\frac{\delta Y_{sj}}{\delta \mu_j}",
        "The quantity that equation 22 asks for is the derivative by mu_s, the mean of the same sample; the index is "
        "typed j.",
        _layer_norm_point,
        _y_by_mu,
        lambda p: _of_sample(p, lambda s, j: _y_by_mu_table(p)[s, j, j]),
        right_at="equation 22",
        corrected=lambda p: _of_sample(p, lambda s, j: _y_by_mu_table(p)[s, j, s]),
        correction=r"\frac{\delta Y_{sj}}{\delta \mu_s}",
    ),
    claim(
        "uva_2020-term-y-mu-1",
        "Section 3, Y by mu combined, line 1",
        r"(\gamma_j * - \frac{1}{(\sigma_s^2 + \epsilon)^{0.5}}) + (\gamma_j * - \frac{1}{2}(X_{sj} - \mu_s) * "
        r"(\sigma_s^2 + \epsilon)^{-1.5} * \frac{-2}{M} \sum_{i=1}^{M} (X_{si} - \mu_s))",
        "Equation 22 with the boxes put in.",
        _layer_norm_point,
        _y_by_mu,
        lambda p: _of_sample(
            p,
            lambda s, j: (
                _boundary(p, s, j) + p.gamma[j] * -0.5 * _c(p)[s, j] * _v(p)[s] ** -1.5 * (-2 / p.m) * _c(p)[s].sum()
            ),
        ),
    ),
    claim(
        "uva_2020-term-y-mu-2",
        "Section 3, Y by mu combined, line 2",
        r"= (\gamma_j * - \frac{1}{(\sigma_s^2 + \epsilon)^{0.5}}) + (\gamma_j * (X_{sj} - \mu_s) * "
        r"(\sigma_s^2 + \epsilon)^{-1.5} * (\frac{1}{M} \sum_{i=1}^{M} (X_{si}) - \frac{1}{M} \sum_{i=1}^{M} \mu_s)",
        "The two halves cancel against the two; the last closing bracket is missing, without consequence.",
        _layer_norm_point,
        _y_by_mu,
        lambda p: _of_sample(
            p, lambda s, j: _combined_mu_middle(p, s, j, p.X[s].sum() / p.m - p.m * _mu(p.X)[s] / p.m)
        ),
    ),
    claim(
        "uva_2020-term-y-mu-3",
        "Section 3, Y by mu combined, line 3",
        r"= (\gamma_j * - \frac{1}{(\sigma_s^2 + \epsilon)^{0.5}}) + (\gamma_j * (X_{sj} - \mu_s) * "
        r"(\sigma_s^2 + \epsilon)^{-1.5} * \mu_s - \frac{M}{M} \mu_s)",
        "The bracket around the last difference is missing, so that it is no longer zero; the lines before and after "
        "have it as a factor.",
        _layer_norm_point,
        _y_by_mu,
        lambda p: _of_sample(
            p,
            lambda s, j: (
                _boundary(p, s, j)
                + (p.gamma[j] * _c(p)[s, j] * _v(p)[s] ** -1.5 * _mu(p.X)[s] - p.m / p.m * _mu(p.X)[s])
            ),
        ),
        right_at="the lines before and after it",
        corrected=lambda p: _of_sample(
            p, lambda s, j: _combined_mu_middle(p, s, j, _mu(p.X)[s] - p.m / p.m * _mu(p.X)[s])
        ),
        correction=r"(\gamma_j * (X_{sj} - \mu_s) * (\sigma_s^2 + \epsilon)^{-1.5} * (\mu_s - \frac{M}{M} \mu_s))",
    ),
    claim(
        "uva_2020-term-y-mu-4",
        "Section 3, Y by mu combined, line 4",
        r"= (\gamma_j * - \frac{1}{(\sigma_s^2 + \epsilon)^{0.5}}) + (\gamma_j * (X_{sj} - \mu_s) * "
        r"(\sigma_s^2 + \epsilon)^{-1.5} * 0)",
        "The mean of the deviations is zero.",
        _layer_norm_point,
        _y_by_mu,
        lambda p: _of_sample(p, lambda s, j: _combined_mu_middle(p, s, j, 0)),
    ),
    claim(
        "uva_2020-term-y-mu-5",
        "Section 3, Y by mu combined, line 5",
        r"= (\gamma_j * - \frac{1}{(\sigma_s^2 + \epsilon)^{0.5}})",
        "The way through sigma contributes nothing.",
        _layer_norm_point,
        _y_by_mu,
        lambda p: _of_sample(p, lambda s, j: _boundary(p, s, j)),
    ),
    claim(
        "uva_2020-term-mu-x-1",
        "Section 3, mu by X, lines 1 to 3",
        r"\frac{\delta \mu_s}{\delta X_{ri}} = \frac{1}{M} \sum_{k=1}^{M} \frac{\delta X_{sk}}{\delta X_{ri}} = "
        r"\frac{1}{M} \sum_{k=1}^{M} \delta_{sr} \delta_{ki}",
        "The mean is linear.",
        _layer_norm_point,
        lambda p: {"line 2": _mu_by_x(p), "line 3": _mu_by_x(p)},
        lambda p: {
            "line 2": np.einsum("skri->sri", jacobian(lambda X: X, p.X)) / p.m,
            "line 3": _statistic(p, lambda s, r, i: sum(_same(s, r) * _same(k, i) for k in range(p.m)) / p.m),
        },
    ),
    claim(
        "uva_2020-term-mu-x-2",
        "Section 3, mu by X, result",
        r"= \frac{1}{M} \delta_{sr} = \frac{\delta_{sr}}{M}",
        "One term of the sum remains.",
        _layer_norm_point,
        _mu_by_x,
        lambda p: _statistic(p, lambda s, r, i: _same(s, r) / p.m),
    ),
    claim(
        "uva_2020-term-sigma-x-1",
        "Section 3, sigma by X, line 1",
        r"\frac{\delta \sigma_s^2}{\delta X_{ri}} = \frac{\delta}{\delta X_{ri}} \frac{1}{M} \sum_{k=1}^M "
        r"(X_{ki} - \mu_s)^2",
        "The indices of X are typed ki for sk, so that the sum runs over samples instead of features; the next line "
        "has sk.",
        _layer_norm_point,
        _variance_by_x,
        lambda p: np.einsum(
            "siri->sri",
            jacobian(
                lambda X: (
                    sum((X[None, k, :] - _mu(p.X)[:, None]) ** 2 for k in range(p.m)) / p.m  # entries (s, i)
                ),
                p.X,
            ),
        ),
        right_at="the line after it",
        corrected=lambda p: jacobian(lambda X: sum((X[:, k] - _mu(p.X)) ** 2 for k in range(p.m)) / p.m, p.X),
        correction=r"\frac{\delta}{\delta X_{ri}} \frac{1}{M} \sum_{k=1}^M (X_{sk} - \mu_s)^2",
    ),
    claim(
        "uva_2020-term-sigma-x-2",
        "Section 3, sigma by X, line 2",
        r"= \frac{1}{M} \sum_{k=1}^M 2 * (X_{sk} - \mu_s) * \delta_{sr} \delta_{ki}",
        "At fixed mu, whose contribution is counted in equation 22.",
        _layer_norm_point,
        _variance_by_x,
        lambda p: _statistic(
            p, lambda s, r, i: sum(2 * _c(p)[s, k] * _same(s, r) * _same(k, i) for k in range(p.m)) / p.m
        ),
    ),
    claim(
        "uva_2020-term-sigma-x-3",
        "Section 3, sigma by X, line 3",
        r"= \frac{2\delta_{sr}}{M} \sum_{k=1}^M (X_{sk} - \mu_s) \delta_{ki}",
        "Constants taken out of the sum.",
        _layer_norm_point,
        _variance_by_x,
        lambda p: _statistic(
            p, lambda s, r, i: 2 * _same(s, r) / p.m * sum(_c(p)[s, k] * _same(k, i) for k in range(p.m))
        ),
    ),
    claim(
        "uva_2020-term-sigma-x-4",
        "Section 3, sigma by X, line 4",
        r"= \frac{2\delta_{sr}}{M} X_{si} - \mu_s",
        "The bracket around the difference is missing, here and in the overview; where the term is used it is there.",
        _layer_norm_point,
        _variance_by_x,
        lambda p: _statistic(p, lambda s, r, i: 2 * _same(s, r) / p.m * p.X[s, i] - _mu(p.X)[s]),
        again="Section 3, main terms, 6",
        corrected=lambda p: _statistic(p, lambda s, r, i: 2 * _same(s, r) / p.m * (p.X[s, i] - _mu(p.X)[s])),
        correction=r"\frac{2\delta_{sr}}{M} (X_{si} - \mu_s)",
    ),
    claim(
        "uva_2020-overview-3",
        "Section 3, main terms, 3",
        r"\frac{\delta Y_{sj}}{\delta \sigma_s^2} = \frac{\delta Y_{sj}}{\delta \hat{X}_{sj}} * -\frac{1}{2} "
        r"(X_{sj} - \mu_s) * (\sigma_s^2 + \epsilon)^{-1.5}",
        "The fourth box, with the index that was meant there.",
        _layer_norm_point,
        _y_by_variance,
        lambda p: _of_sample(p, lambda s, j: p.gamma[j] * -0.5 * _c(p)[s, j] * _v(p)[s] ** -1.5),
    ),
    claim(
        "uva_2020-overview-6",
        "Section 3, main terms, 6",
        r"\frac{\delta \sigma_s^2}{\delta X_{ri}} = \frac{2\delta_{sr}}{M} X_{si} - \mu_s",
        "The line it repeats has lost its bracket as well; where the term is used it is there.",
        _layer_norm_point,
        _variance_by_x,
        lambda p: _statistic(p, lambda s, r, i: 2 * _same(s, r) / p.m * p.X[s, i] - _mu(p.X)[s]),
        again="Section 3, sigma by X, line 4",
        corrected=lambda p: _statistic(p, lambda s, r, i: 2 * _same(s, r) / p.m * (p.X[s, i] - _mu(p.X)[s])),
        correction=r"\frac{2\delta_{sr}}{M} (X_{si} - \mu_s)",
    ),
)


def _first(p):
    """gamma_j delta_sr delta_ji / (sigma_s^2 + epsilon)^0.5"""
    return _jacobian_entries(p, lambda s, j, r, i: p.gamma[j] * _same(s, r) * _same(j, i) / _v(p)[s] ** 0.5)


def _second(p):
    """-gamma_j / (sigma_s^2 + epsilon)^0.5 * delta_sr / M: the term of mu"""
    return _jacobian_entries(p, lambda s, j, r, i: _boundary(p, s, j) * _same(s, r) / p.m)


def _third(p):
    """The term of sigma."""
    return _jacobian_entries(
        p,
        lambda s, j, r, i: p.gamma[j] * -0.5 * _c(p)[s, j] * _v(p)[s] ** -1.5 * 2 * _same(s, r) / p.m * _c(p)[s, i],
    )


def _sample_sums(p, bracket):
    """(sigma_r^2 + epsilon)^-0.5 sum_j dL/dY_rj gamma_j bracket(r, j, i), entries (r, i)."""
    return entrywise(
        p.s,
        p.m,
        entry=lambda r, i: sum(_norm_dy(p)[r, j] * p.gamma[j] * bracket(r, j, i) / _v(p)[r] ** 0.5 for j in range(p.m)),
    )


_MIDDLE = (
    "The term of mu is missing in this line and comes back, as 1/M, in the line with all three brackets. (It may have "
    "been lost in the text extraction.)"
)

RESULT = (
    claim(
        "uva_2020-norm-x-2",
        "Section 3, X, line 2",
        r"\sum_{sj} \left[ \frac{\delta L}{\delta Y_{sj}} \frac{\delta Y_{sj}}{\delta X_{sj}} "
        r"\frac{\delta X_{sj}}{\delta X_{ri}} \right] + \left[ \frac{\delta L}{\delta Y_{sj}} "
        r"\frac{\delta Y_{sj}}{\delta X_{ri}} \right] + \left[ \frac{\delta L}{\delta Y_{sj}} "
        r"\frac{\delta Y_{sj}}{\delta \sigma_{s}^{2}} \frac{\delta \sigma_{s}^{2}}{\delta X_{ri}} \right]",
        "The middle term should go through mu, as in equation 21; as it stands it is the whole derivative. (X in the "
        "first term is read as X-hat. Both may have been lost in the text extraction.)",
        _layer_norm_point,
        _norm_dx,
        lambda p: _through(
            p,
            np.einsum("sj,sjri->sjri", _y_by_hat(p), _hat_by_x(p))
            + _y_by_x(p)
            + np.einsum("sj,sri->sjri", _y_by_variance(p), _variance_by_x(p)),
        ),
        right_at="equation 21",
        corrected=lambda p: _through(
            p,
            np.einsum("sj,sjri->sjri", _y_by_hat(p), _hat_by_x(p))
            + np.einsum("sj,sri->sjri", _y_by_mu(p), _mu_by_x(p))
            + np.einsum("sj,sri->sjri", _y_by_variance(p), _variance_by_x(p)),
        ),
        correction=r"\cdots + \left[ \frac{\delta L}{\delta Y_{sj}} \frac{\delta Y_{sj}}{\delta \mu_s} "
        r"\frac{\delta \mu_s}{\delta X_{ri}} \right] + \cdots",
    ),
    claim(
        "uva_2020-norm-x-3",
        "Section 3, X, line 3",
        r"= \sum_{sj} \left[ \frac{\delta L}{\delta Y_{sj}} \gamma_{j} \frac{\delta_{sr} \delta_{ji}}"
        r"{(\sigma_{s}^{2} + \epsilon)^{0.5}} \right] + \left[ \frac{\delta L}{\delta Y_{sj}} \left(\gamma_{j} * - "
        r"\frac{1}{2} (X_{sj} - \mu_{s}) * (\sigma_{s}^{2} + \epsilon)^{-1.5} \right) \frac{2\delta_{sr}}{M} "
        r"(X_{si} - \mu_{s}) \right]",
        _MIDDLE,
        _layer_norm_point,
        _norm_dx,
        lambda p: _through(p, _first(p) + _third(p)),
        right_at="the line with all three brackets",
        corrected=lambda p: _through(p, _first(p) + _second(p) + _third(p)),
        correction=r"\cdots + \left[ \frac{\delta L}{\delta Y_{sj}} \left( \gamma_j * "
        r"- \frac{1}{(\sigma_s^2 + \epsilon)^{0.5}} \right) \frac{\delta_{sr}}{M} \right] + \cdots",
    ),
    claim(
        "uva_2020-norm-x-4",
        "Section 3, X, line 4",
        r"= \sum_{sj} \left[ \frac{\delta L}{\delta Y_{sj}} \gamma_{j} \frac{\delta_{sr} \delta_{ji}}"
        r"{(\sigma_{s}^{2} + \epsilon)^{0.5}} \right] - \left[ \frac{\delta L}{\delta Y_{sj}} \left(\gamma_{j} * "
        r"\frac{1}{2} (X_{sj} - \mu_{s}) * (\sigma_{s}^{2} + \epsilon)^{-1.5} \right) \frac{2\delta_{sr}}{M} "
        r"(X_{si} - \mu_{s}) \right]",
        _MIDDLE,
        _layer_norm_point,
        _norm_dx,
        lambda p: _through(p, _first(p)) - _through(p, -_third(p)),
        right_at="the line with all three brackets",
        corrected=lambda p: _through(p, _first(p)) - _through(p, -_second(p)) - _through(p, -_third(p)),
        correction=r"\cdots - \left[ \frac{\delta L}{\delta Y_{sj}} \gamma_j "
        r"\frac{1}{(\sigma_s^2 + \epsilon)^{0.5}} \frac{\delta_{sr}}{M} \right] - \cdots",
    ),
    claim(
        "uva_2020-norm-x-6",
        "Section 3, X, line with all three brackets",
        r"= \sum_{sj} \frac{\delta L}{\delta Y_{sj}} \gamma_{j} \frac{1}{(\sigma_{s}^{2} + \epsilon)^{0.5}} "
        r"\delta_{sr} * \left( \left[ \delta_{ji} \right] - \left[ \frac{1}{M} \right] - \left[ \frac{1}{2} "
        r"(X_{sj} - \mu_{s}) * (\sigma_{s}^{2} + \epsilon)^{-1} * \frac{2}{M} (X_{si} - \mu_{s}) \right] \right)",
        "The common factors taken out.",
        _layer_norm_point,
        _norm_dx,
        lambda p: _through(
            p,
            _jacobian_entries(
                p,
                lambda s, j, r, i: (
                    p.gamma[j]
                    / _v(p)[s] ** 0.5
                    * _same(s, r)
                    * (_same(j, i) - 1 / p.m - 0.5 * _c(p)[s, j] * _v(p)[s] ** -1 * 2 / p.m * _c(p)[s, i])
                ),
            ),
        ),
    ),
    claim(
        "uva_2020-norm-x-7",
        "Section 3, X, line after the sum over s",
        r"= \sum_{j} \frac{\delta L}{\delta Y_{rj}} \gamma_{j} \frac{1}{(\sigma_{r}^{2} + \epsilon)^{0.5}} * \left( "
        r"\left[ \delta_{ji} \right] - \left[ \frac{1}{M} \right] - \left[ \frac{1}{2} (X_{rj} - \mu_{r}) * "
        r"(\sigma_{r}^{2} + \epsilon)^{-1} * \frac{1}{M} (X_{ri} - \mu_{r}) \right] \right)",
        "The 2 has been cancelled but the 1/2 still stands; the lines after it have neither.",
        _layer_norm_point,
        _norm_dx,
        lambda p: _sample_sums(
            p, lambda r, j, i: _same(j, i) - 1 / p.m - 0.5 * _c(p)[r, j] / _v(p)[r] / p.m * _c(p)[r, i]
        ),
        right_at="the lines before and after it",
        corrected=lambda p: _sample_sums(
            p, lambda r, j, i: _same(j, i) - 1 / p.m - _c(p)[r, j] / _v(p)[r] / p.m * _c(p)[r, i]
        ),
        correction=r"\cdots - \left[ (X_{rj} - \mu_{r}) * (\sigma_{r}^{2} + \epsilon)^{-1} * "
        r"\frac{1}{M} (X_{ri} - \mu_{r}) \right]",
    ),
    claim(
        "uva_2020-norm-x-9",
        "Section 3, X, line with the first X-hat",
        r"= \frac{1}{(\sigma_r^2 + \epsilon)^{0.5}} * \left( \left[\sum_j \frac{\delta L}{\delta Y_{rj}} \gamma_j * "
        r"\delta_{ji} \right] - \left[\sum_j \frac{\delta L}{\delta Y_{rj}} \gamma_j \frac{1}{M} \right] - "
        r"\left[\sum_j \frac{\delta L}{\delta Y_{rj}} \gamma_j * \hat{X}_{rj} * (\sigma_r^2 + \epsilon)^{-0.5} * "
        r"\frac{1}{M} (X_{ri} - \mu_r) \right] \right)",
        "One deviation expressed by X-hat.",
        _layer_norm_point,
        _norm_dx,
        lambda p: _sample_sums(
            p, lambda r, j, i: _same(j, i) - 1 / p.m - _x_hat(p)[r, j] * _v(p)[r] ** -0.5 / p.m * _c(p)[r, i]
        ),
    ),
    claim(
        "uva_2020-norm-x-10",
        "Section 3, X, line with both X-hat",
        r"= \frac{1}{(\sigma_r^2 + \epsilon)^{0.5}} * \left( \left[\sum_j \frac{\delta L}{\delta Y_{rj}} \gamma_j * "
        r"\delta_{ji} \right] - \left[\sum_j \frac{\delta L}{\delta Y_{rj}} \gamma_j \frac{1}{M} \right] - "
        r"\left[\sum_j \frac{\delta L}{\delta Y_{rj}} \gamma_j * \hat{X}_{rj} * \frac{1}{M} \hat{X}_{ri} \right] "
        r"\right)",
        "Both deviations expressed by X-hat.",
        _layer_norm_point,
        _norm_dx,
        lambda p: _sample_sums(p, lambda r, j, i: _same(j, i) - 1 / p.m - _x_hat(p)[r, j] / p.m * _x_hat(p)[r, i]),
    ),
    claim(
        "uva_2020-norm-x-11",
        "Section 3, X, compact result",
        r"= \frac{1}{M} * \frac{1}{(\sigma_r^2 + \epsilon)^{0.5}} * \left( \left[M * \sum_j "
        r"\frac{\delta L}{\delta Y_{rj}} \gamma_j * \hat{X}_{rj} \hat{X}_{ri} \right] - \left[\sum_j "
        r"\frac{\delta L}{\delta Y_{rj}} \gamma_j \right] - \left[\sum_j \frac{\delta L}{\delta Y_{rj}} \gamma_j * "
        r"\hat{X}_{rj} \hat{X}_{ri} \right] \right)",
        "The first bracket repeats the X-hats of the third, where the line before has delta_ji; with it, the result "
        "holds. (The text extraction may have copied them.)",
        _layer_norm_point,
        _norm_dx,
        lambda p: _sample_sums(
            p,
            lambda r, j, i: (p.m * _x_hat(p)[r, j] * _x_hat(p)[r, i] - 1 - _x_hat(p)[r, j] * _x_hat(p)[r, i]) / p.m,
        ),
        right_at="the line before it",
        corrected=lambda p: _sample_sums(
            p, lambda r, j, i: (p.m * _same(j, i) - 1 - _x_hat(p)[r, j] * _x_hat(p)[r, i]) / p.m
        ),
        correction=r"\left[M * \sum_j \frac{\delta L}{\delta Y_{rj}} \gamma_j * \delta_{ji} \right] - \cdots",
    ),
)

CLAIMS = WEIGHT + BIAS + INPUT + ACTIVATION + SOFTMAX + GAMMA_BETA + TERMS + RESULT
