"""UvA report A, April 2019: questions 1.1 (a), (b), (c) and 3.2 (a).

Conventions as stated there: vectors are columns, a batch is a row of columns (x in R^{N x B}), a Jacobian has the
output's index first. x~ is written z in the code, x = softmax(z) in the last layer.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from docs.published.claims import Claim
from docs.published.points import (
    batch_norm_dx,
    batch_norm_dy,
    batch_norm_point,
    batch_normed,
    column,
    columns_layer,
    cross_entropy,
    entrywise,
    every,
    jacobian,
    kinked,
    layer,
    loss,
    loss_by_logits,
    loss_by_probabilities,
    mean,
    network,
    network_by_x,
    network_by_z,
    network_delta,
    off_diagonal,
    off_the_kink,
    one_column,
    one_hot,
    one_hot_prediction,
    one_sided,
    output_by_weight,
    prediction,
    probabilities,
    product,
    relu,
    root,
    row,
    rows_layer,
    shape,
    softmax_jacobian,
    variance,
    x_hat,
)

claim = partial(Claim, "UvA report A, April 2019")

LEFT_OUT = (
    ("Question 1.1 (a) ii, first line, and the error term defined at the head of (b)", "They name what is looked for."),
    ("Question 1.1 (b) i, the loss between its first and its last form", "A definition put in; both ends are judged."),
    (
        "Question 1.1 (c), what becomes of the loss and of the derivatives by x and x̃",
        "In words, without an order of the dimensions; that of the error terms is judged.",
    ),
    ("Sections 1.2, 2 and 4", "Experiments: nothing is derived."),
)


# --- 1.1 (a): the pieces


def _total(p):
    return np.sum(np.exp(p.z))


def _diagonal(p):
    return np.diag(softmax_jacobian(p))


def _elsewhere(p):
    return softmax_jacobian(p)[off_diagonal(len(p.z))]


def _row_of_phi(p):
    """Phi_1, ..., Phi_M: zero but for row *, which is x^T; entries (*, m, n)."""
    return entrywise(p.m, p.m, p.n, entry=lambda star, m, n: p.x[n] if m == star else 0.0)


def _weighted_blocks(p, star):
    """sum_n x_n dW/dw_{star n}, the blocks found numerically."""
    blocks = jacobian(lambda W: W, p.W)
    return sum(p.x[n] * blocks[:, :, star, n] for n in range(p.n))


SINGLE = (
    claim(
        "uva_apr19_a-1.1a-i-argmax",
        "Question 1.1 (a) i, matrix form, first step",
        r"\frac{\partial \mathcal{L}}{\partial x^{(N)}} = "
        r"\frac{\partial}{\partial x^{(N)}} \left( -\log x_{\arg\max(t)}^{(N)} \right)",
        "One term of the sum is the whole loss if the target is one-hot, as it is in the assignment.",
        prediction,
        loss_by_probabilities,
        lambda p: jacobian(lambda x: -np.log(x[np.argmax(p.t)]), probabilities(p)),
        condition="one-hot targets",
        under=one_hot,
        general=lambda p: jacobian(lambda x: -sum(p.t[i] * np.log(x[i]) for i in range(len(p.t))), probabilities(p)),
        correction=r"\frac{\partial}{\partial x^{(N)}} \left( -\sum_i t_i \log x_i^{(N)} \right)",
    ),
    claim(
        "uva_apr19_a-1.1a-i-matrix",
        "Question 1.1 (a) i, matrix form",
        r"\frac{\partial}{\partial x^{(N)}} \left( -\log x_{\arg\max(t)}^{(N)} \right) = "
        r"\frac{1}{x_{\arg\max(t)}^{(N)}}",
        "The minus sign is lost. Compared at the entry argmax(t), the only one that is not zero; the scalar form that "
        "follows has the sign.",
        one_hot_prediction,
        lambda p: loss_by_probabilities(p)[np.argmax(p.t)],
        lambda p: 1 / probabilities(p)[np.argmax(p.t)],
        right_at="the scalar form that follows",
        corrected=lambda p: -1 / probabilities(p)[np.argmax(p.t)],
        correction=r"-\frac{1}{x_{\arg\max(t)}^{(N)}}",
    ),
    claim(
        "uva_apr19_a-1.1a-i-scalar",
        "Question 1.1 (a) i, scalar gradients",
        r"\left(\frac{\partial \mathcal{L}}{\partial x^{(N)}}\right)_i = "
        r"\frac{\partial}{\partial x_i^{(N)}} \left(-\sum_j t_j \log x_j^{(N)}\right) = -\frac{t_i}{x_i^{(N)}}",
        "The derivative of the logarithm, one term of the sum at a time; it needs no one-hot target.",
        prediction,
        loss_by_probabilities,
        lambda p: entrywise(len(p.z), entry=lambda i: -p.t[i] / probabilities(p)[i]),
    ),
    claim(
        "uva_apr19_a-1.1a-i-vector",
        "Question 1.1 (a) i, vector form",
        r"\frac{\partial \mathcal{L}}{\partial x^{(N)}} = -\boldsymbol{t} \cdot \frac{1}{\boldsymbol{x^{(N)}}}",
        "With the dot and the reciprocal taken entry by entry, this is the scalar result.",
        prediction,
        loss_by_probabilities,
        lambda p: -p.t * (1 / probabilities(p)),
    ),
    claim(
        "uva_apr19_a-1.1a-i-vector-expanded",
        "Question 1.1 (a) i, vector form written out",
        r"-\boldsymbol{t} \cdot \frac{1}{\boldsymbol{x^{(N)}}} = \begin{pmatrix} t_1 \\ \vdots \\ t_N \end{pmatrix} "
        r"\cdot \begin{pmatrix} x_1^{(N)} \\ \vdots \\ x_N^{(N)} \end{pmatrix}",
        "Written out as columns, the minus sign and the reciprocals of the expression on its left are missing.",
        prediction,
        loss_by_probabilities,
        lambda p: p.t * probabilities(p),
        right_at="the expression on its left",
        corrected=lambda p: -p.t * (1 / probabilities(p)),
        correction=r"-\begin{pmatrix} t_1 \\ \vdots \\ t_N \end{pmatrix} \cdot "
        r"\begin{pmatrix} 1/x_1^{(N)} \\ \vdots \\ 1/x_N^{(N)} \end{pmatrix}",
    ),
    claim(
        "uva_apr19_a-1.1a-ii-equal-1",
        "Question 1.1 (a) ii, case i = j, line 1",
        r"\left(\frac{\partial x^{(N)}}{\partial \tilde{x}^{(N)}}\right)_{i,i} = \frac{\exp(\tilde{x}_i^{(N)}) \cdot "
        r"\sum_{k=1}^{dN} \exp(\tilde{x}_k^{(N)}) - \exp(\tilde{x}_i^{(N)}) \cdot \exp(\tilde{x}_i^{(N)})}"
        r"{\left(\sum_{k=1}^{dN} \exp(\tilde{x}_k^{(N)})\right)^2}",
        "The quotient rule on the diagonal.",
        prediction,
        _diagonal,
        lambda p: (np.exp(p.z) * _total(p) - np.exp(p.z) * np.exp(p.z)) / _total(p) ** 2,
    ),
    claim(
        "uva_apr19_a-1.1a-ii-equal-2",
        "Question 1.1 (a) ii, case i = j, line 2",
        r"= \frac{\exp(\tilde{x}_i^{(N)})}{\sum_{k=1}^{dN} \exp(\tilde{x}_k^{(N)})} - "
        r"\left(\frac{\exp(\tilde{x}_i^{(N)})}{\sum_{i=1}^{dN} \exp(\tilde{x}_k^{(N)})}\right)^2",
        "The last sum runs over i while its terms carry k, so that read literally it is dN times one term; "
        "the sum next to it has the index k.",
        prediction,
        lambda p: every(_diagonal(p), len(p.z)),
        lambda p: entrywise(
            len(p.z),
            len(p.z),
            entry=lambda i, k: np.exp(p.z[i]) / _total(p) - (np.exp(p.z[i]) / (len(p.z) * np.exp(p.z[k]))) ** 2,
        ),
        again="Question 1.1 (a) ii, case i ≠ j, line 2",
        corrected=lambda p: every(np.exp(p.z) / _total(p) - (np.exp(p.z) / _total(p)) ** 2, len(p.z)),
        correction=r"\left(\frac{\exp(\tilde{x}_i^{(N)})}{\sum_{k=1}^{dN} \exp(\tilde{x}_k^{(N)})}\right)^2",
    ),
    claim(
        "uva_apr19_a-1.1a-ii-equal-3",
        "Question 1.1 (a) ii, case i = j, line 3",
        r"= x_i^{(N)} - \left(x_i^{(N)}\right)^2 = x_i^{(N)} - \left(x_j^{(N)}\right)^2",
        "Both forms are the diagonal, as i = j here.",
        prediction,
        lambda p: {"first": _diagonal(p), "second": _diagonal(p)},
        lambda p: {
            "first": probabilities(p) - probabilities(p) ** 2,
            "second": np.array([probabilities(p)[i] - probabilities(p)[j] ** 2 for i in range(len(p.z)) for j in [i]]),
        },
    ),
    claim(
        "uva_apr19_a-1.1a-ii-unequal-1",
        "Question 1.1 (a) ii, case i ≠ j, line 1",
        r"\left(\frac{\partial x^{(N)}}{\partial \tilde{x}^{(N)}}\right)_{j,i} = \frac{0 - \exp(\tilde{x}_i^{(N)}) "
        r"\cdot \exp(\tilde{x}_j^{(N)})}{\left(\sum_{k=1}^{dN} \exp(\tilde{x}_k^{(N)})\right)^2}",
        "The quotient rule off the diagonal, where the numerator's own derivative is zero.",
        prediction,
        _elsewhere,
        lambda p: ((0 - np.outer(np.exp(p.z), np.exp(p.z))) / _total(p) ** 2)[off_diagonal(len(p.z))],
    ),
    claim(
        "uva_apr19_a-1.1a-ii-unequal-2",
        "Question 1.1 (a) ii, case i ≠ j, line 2",
        r"= -\frac{\exp(\tilde{x}_i^{(N)})}{\sum_{k=1}^{dN} \exp(\tilde{x}_k^{(N)})} \cdot "
        r"\frac{\exp(\tilde{x}_j^{(N)})}{\sum_{i=1}^{dN} \exp(\tilde{x}_k^{(N)})}",
        "The second sum runs over i while its terms carry k; the sum next to it has the index k.",
        prediction,
        lambda p: every(_elsewhere(p), len(p.z)),
        lambda p: entrywise(
            len(p.z),
            len(p.z),
            len(p.z),
            entry=lambda j, i, k: -np.exp(p.z[i]) / _total(p) * np.exp(p.z[j]) / (len(p.z) * np.exp(p.z[k])),
        )[off_diagonal(len(p.z))],
        again="Question 1.1 (a) ii, case i = j, line 2",
        corrected=lambda p: every(
            -np.outer(np.exp(p.z) / _total(p), np.exp(p.z) / _total(p))[off_diagonal(len(p.z))], len(p.z)
        ),
        correction=r"\frac{\exp(\tilde{x}_j^{(N)})}{\sum_{k=1}^{dN} \exp(\tilde{x}_k^{(N)})}",
    ),
    claim(
        "uva_apr19_a-1.1a-ii-unequal-3",
        "Question 1.1 (a) ii, case i ≠ j, line 3",
        r"= -x_i^{(N)} \cdot x_j^{(N)}",
        "The off-diagonal entries of the softmax Jacobian.",
        prediction,
        _elsewhere,
        lambda p: -np.outer(probabilities(p), probabilities(p))[off_diagonal(len(p.z))],
    ),
    claim(
        "uva_apr19_a-1.1a-ii-cases",
        "Question 1.1 (a) ii, both cases",
        r"\left(\frac{\partial x^{(N)}}{\partial \tilde{x}^{(N)}}\right) = \begin{cases} x_i^{(N)} - "
        r"\left(x_j^{(N)}\right)^2 & \text{if } i = j\\ -x_i^{(N)} \cdot x_j^{(N)} & \text{if } i \neq j \end{cases}",
        "The whole Jacobian; its entries are meant on the left.",
        prediction,
        softmax_jacobian,
        lambda p: entrywise(
            len(p.z),
            len(p.z),
            entry=lambda j, i: (
                probabilities(p)[i] - probabilities(p)[j] ** 2 if i == j else -probabilities(p)[i] * probabilities(p)[j]
            ),
        ),
    ),
    claim(
        "uva_apr19_a-1.1a-ii-delta",
        "Question 1.1 (a) ii, with the Kronecker delta",
        r"= x_i^{(N)} \left(\delta_{ij} - x_j^{(N)}\right)",
        "Symmetric in i and j, so that it does not matter which of them is the output.",
        prediction,
        softmax_jacobian,
        lambda p: entrywise(
            len(p.z), len(p.z), entry=lambda j, i: probabilities(p)[i] * ((i == j) - probabilities(p)[j])
        ),
    ),
    claim(
        "uva_apr19_a-1.1a-ii-matrix",
        "Question 1.1 (a) ii, matrix form",
        r"\left(\frac{\partial x^{(N)}}{\partial \tilde{x}^{(N)}}\right)_{j,i} = "
        r"\operatorname{diag}\left(x^{(N)}\right) - x^{(N)}x^{(N)^{T}}",
        "Read as the matrix of the entries (j, i) that the left side names.",
        prediction,
        softmax_jacobian,
        lambda p: np.diag(probabilities(p)) - product(column(probabilities(p)), row(probabilities(p))),
    ),
    claim(
        "uva_apr19_a-1.1a-iii",
        "Question 1.1 (a) iii",
        r"\frac{\partial \max \left(0, \tilde{x}^{(l)}\right)}{\partial \tilde{x}^{(l)}} = "
        r"\operatorname{diag}\left(\mathbf{I}_{\tilde{x}^{(l)} > 0}\right)",
        "At exactly zero the slopes from left and right differ: the formula chooses 0 where no derivative exists.",
        kinked,
        lambda p: one_sided(relu, p.z),
        lambda p: np.diag((p.z > 0).astype(float)),
        condition="no entry exactly zero",
        under=off_the_kink,
        general=lambda p: np.where(
            np.diag(p.z == 0), np.nan, np.diag((p.z > 0).astype(float))
        ),  # undefined at the kink
        correction=r"\operatorname{diag}\left(\mathbf{I}_{\tilde{x}^{(l)} > 0}\right)"
        r"\quad\text{where } \tilde{x}^{(l)} \neq 0",
    ),
    claim(
        "uva_apr19_a-1.1a-iv",
        "Question 1.1 (a) iv",
        r"\frac{\partial}{\partial x^{(l-1)}} \left( W^{(l)} x^{(l-1)} + b^{(l)} \right) = W^{(l)}",
        "Output index first, as in ii.",
        layer,
        lambda p: jacobian(lambda x: p.W @ x + p.b, p.x),
        lambda p: p.W,
    ),
    claim(
        "uva_apr19_a-1.1a-v-column",
        "Question 1.1 (a) v, columns of W",
        r"\mathbf{W}^{(l)} \in \mathcal{R}^{M \times N}, \quad \mathbf{w}_1^{(l)} = "
        r"\begin{bmatrix} w_{11}^{(l)} & w_{12}^{(l)} & \dots & w_{1M}^{(l)} \end{bmatrix}^T",
        "The first column of an M x N matrix has its M entries in different rows: the two indices of each w are "
        "exchanged.",
        layer,
        lambda p: p.W[:, 0],
        lambda p: np.array([p.W[0, i] for i in range(p.m)]),
        again="Question 1.1 (a) v, derivative of W by its first row, written out",
        corrected=lambda p: np.array([p.W[i, 0] for i in range(p.m)]),
        correction=r"\begin{bmatrix} w_{11}^{(l)} & w_{21}^{(l)} & \dots & w_{M1}^{(l)} \end{bmatrix}^T",
    ),
    claim(
        "uva_apr19_a-1.1a-v-product-rule",
        "Question 1.1 (a) v, product rule",
        r"\frac{\partial \tilde{x}^{(l)}}{\partial \mathbf{w}_1^{(l)}} = "
        r"x^{(l-1)^T} \frac{\partial}{\partial \mathbf{w}_1^{(l)}} W^{(l)}",
        "With w_1 as the first row of W, which the results below use, and x^T contracted with W's column index.",
        layer,
        lambda p: output_by_weight(p)[:, 0, :],
        lambda p: np.einsum("n,mnk->mk", p.x, jacobian(lambda W: W, p.W)[:, :, 0, :]),
    ),
    claim(
        "uva_apr19_a-1.1a-v-first-row",
        "Question 1.1 (a) v, derivative of W by its first row, written out",
        r"\frac{\partial}{\partial \mathbf{w}_{1}^{(l)}} W^{(l)} = \begin{bmatrix} "
        r"\frac{\partial W^{(l)}}{\partial \mathbf{w}_{11}^{(l)}} & \frac{\partial W^{(l)}}"
        r"{\partial \mathbf{w}_{1M}^{(l)}} & \cdots & \frac{\partial W^{(l)}}{\partial \mathbf{w}_{1M}^{(l)}} "
        r"\end{bmatrix} = \begin{bmatrix} \mathbf{I_{11}} \\ \vdots \\ \mathbf{I_{1N}} \end{bmatrix}",
        "The list ends at w_1M, the blocks beside it at I_1N: a row of an M x N matrix has N entries.",
        layer,
        lambda p: np.moveaxis(jacobian(lambda W: W, p.W)[:, :, 0, :], -1, 0),
        lambda p: np.stack([jacobian(lambda W: W, p.W)[:, :, 0, k] for k in range(p.m)]),
        again="Question 1.1 (a) v, columns of W",
        corrected=lambda p: np.stack([jacobian(lambda W: W, p.W)[:, :, 0, k] for k in range(p.n)]),
        correction=r"\begin{bmatrix} \frac{\partial W^{(l)}}{\partial w_{11}^{(l)}} & \cdots & "
        r"\frac{\partial W^{(l)}}{\partial w_{1N}^{(l)}} \end{bmatrix}",
    ),
    claim(
        "uva_apr19_a-1.1a-v-any-row",
        "Question 1.1 (a) v, derivative of W by row *",
        r"\frac{\partial W^{(l)}}{\partial \mathbf{w}_{*}^{(l)}} = \begin{bmatrix} \mathbf{I_{*1}} \\ \vdots \\ "
        r"\mathbf{I_{*N}} \end{bmatrix} \in \mathcal{R}^{N \times (M \times N)}",
        "N blocks of shape M x N, each with a single 1 in row *.",
        layer,
        lambda p: {
            "value": np.einsum("mnsk->skmn", jacobian(lambda W: W, p.W)),
            "shape of one": shape(*np.moveaxis(jacobian(lambda W: W, p.W)[:, :, 0, :], -1, 0).shape),
        },
        lambda p: {
            "value": entrywise(p.m, p.n, p.m, p.n, entry=lambda s, k, m, n: float(m == s and n == k)),
            "shape of one": shape(p.n, p.m, p.n),
        },
    ),
    claim(
        "uva_apr19_a-1.1a-v-phi",
        "Question 1.1 (a) v, Phi",
        r"x^{(l-1)^T} \frac{\partial}{\partial \mathbf{w}_1^{(l)}} W^{(l)} = \begin{bmatrix} 0 & 0 & \dots & 0 \\ "
        r"\dots & \dots & \dots & \dots \\ x_1^{(l-1)} & x_2^{(l-1)} & \dots & x_N^{(l-1)} \\ \dots & \dots & \dots & "
        r"\dots \\ 0 & 0 & \dots & 0 \end{bmatrix} = \Phi_*",
        "The left side has w_1 where the right side, with x^T in row *, has the derivative by w_*; the two agree for "
        "* = 1 only.",
        layer,
        _row_of_phi,
        lambda p: np.stack([_weighted_blocks(p, 0)] * p.m),
        right_at="the line before it, the derivative of W by row *",
        corrected=lambda p: np.stack([_weighted_blocks(p, star) for star in range(p.m)]),
        correction=r"x^{(l-1)^T} \frac{\partial}{\partial \mathbf{w}_*^{(l)}} W^{(l)} = \Phi_*",
    ),
    claim(
        "uva_apr19_a-1.1a-v-result",
        "Question 1.1 (a) v, result",
        r"\frac{\partial \tilde{x}^{(l)}}{\partial W^{(l)}} = "
        r"\begin{bmatrix} \Phi_1 & \Phi_2 & \dots & \Phi_M \end{bmatrix}",
        "Block * holds the derivatives of all outputs by row * of W.",
        layer,
        lambda p: np.einsum("msn->smn", output_by_weight(p)),
        _row_of_phi,
    ),
    claim(
        "uva_apr19_a-1.1a-v-batch-of-one",
        "Question 1.1 (a) v, batch of one",
        r"\frac{\partial \tilde{x}^{(l)}}{\partial W^{(l)}} = \left(x^{(l-1)}\right)^T",
        "A batch of one changes nothing: the derivative still has an entry for each output and each weight. x^T is its "
        "one non-zero row, and what remains once it is multiplied by an error term, as in (b) iv.",
        layer,
        output_by_weight,
        lambda p: row(p.x),
        again="Question 1.1 (b) iv",
        corrected=lambda p: entrywise(p.m, p.m, p.n, entry=lambda i, j, k: (i == j) * p.x[k]),
        correction=r"\frac{\partial \tilde{x}_i^{(l)}}{\partial W_{jk}^{(l)}} = \delta_{ij} x_k^{(l-1)}",
    ),
    claim(
        "uva_apr19_a-1.1a-vi",
        "Question 1.1 (a) vi",
        r"\frac{\partial}{\partial b^{(l)}} \left( W^{(l)} x^{(l-1)} + b^{(l)} \right) = \mathbf{I}",
        "Each output has its own bias.",
        layer,
        lambda p: jacobian(lambda b: p.W @ p.x + b, p.b),
        lambda p: np.eye(p.m),
    ),
)


# --- 1.1 (b): the chain, and (c): a batch


def _relu_jacobian(p):
    """dx_i / dz_j, found numerically."""
    return jacobian(relu, p.z)


def _columns_loss(p, weight, inputs, bias):
    return loss(weight @ inputs + bias, p.C)


def _columns_delta(p):
    return jacobian(lambda y: loss(y, p.C), p.W @ p.X + p.B)


def _as_network(p):
    """The layer of `p` on its single sample, under the names of a network."""
    return p.but(z=np.abs(p.x), V=p.W, a=p.b)


def _rows_delta(p):
    return jacobian(lambda y: loss(y, p.C), p.X @ p.W.T + p.b)


def _either_layout(rng):
    return rows_layer(rng).but(samples_are_rows=False)


CHAIN = (
    claim(
        "uva_apr19_a-1.1b-i-loss",
        "Question 1.1 (b) i, the loss",
        r"\mathcal{L} = -\sum_{i} t_{i} \log x_{i}^{(L)} = -t_c \, \tilde{x}_{c}^{(L)} + "
        r"\log \sum_{i=1}^{d_{L}} \exp\left(\tilde{x}^{(L)}\right)_{i}",
        "The document assumes one ground-truth class c, with t_c = 1; in general both terms carry sums of t.",
        prediction,
        lambda p: cross_entropy(probabilities(p), p.t),
        lambda p: -p.t[p.c] * p.z[p.c] + np.log(_total(p)),
        condition="one-hot targets",
        under=one_hot,
        general=lambda p: -np.sum(p.t * p.z) + np.sum(p.t) * np.log(_total(p)),
        correction=r"-\sum_i t_i \tilde{x}_i^{(L)} + \sum_i t_i \log \sum_k \exp(\tilde{x}_k^{(L)})",
    ),
    claim(
        "uva_apr19_a-1.1b-i-scalar-1",
        "Question 1.1 (b) i, scalar derivative, first form",
        r"\frac{\partial \mathcal{L}}{\partial \tilde{x}_{j}^{(L)}} = -t_{c} \, \delta_{cj} + "
        r"\frac{1}{\sum_{i=1}^{d_{L}} \exp\left(\tilde{x}^{(L)}\right)_{i}} \cdot \exp\left(\tilde{x}_{j}^{(L)}\right)",
        "The derivative of the line above, under the same assumption.",
        prediction,
        loss_by_logits,
        lambda p: entrywise(len(p.z), entry=lambda j: -p.t[p.c] * (p.c == j) + 1 / _total(p) * np.exp(p.z[j])),
        condition="one-hot targets",
        under=one_hot,
        general=lambda p: -p.t + np.sum(p.t) * np.exp(p.z) / _total(p),
        correction=r"-t_j + \sum_i t_i \cdot \frac{\exp(\tilde{x}_j^{(L)})}{\sum_i \exp(\tilde{x}_i^{(L)})}",
    ),
    claim(
        "uva_apr19_a-1.1b-i-scalar-2",
        "Question 1.1 (b) i, scalar derivative, second form",
        r"\frac{\partial \mathcal{L}}{\partial \tilde{x}_{j}^{(L)}} = -t_{j} + x_{j}^{(L)}",
        "Targets that sum to one are enough here, such as one-hot ones.",
        prediction,
        loss_by_logits,
        lambda p: -p.t + probabilities(p),
        condition="targets that sum to one",
        under=lambda p: p.but(t=p.t / p.t.sum()),
        general=lambda p: -p.t + np.sum(p.t) * probabilities(p),
        correction=r"-t_j + x_j^{(L)} \sum_i t_i",
    ),
    claim(
        "uva_apr19_a-1.1b-i-vector",
        "Question 1.1 (b) i, vector form",
        r"\frac{\partial \mathcal{L}}{\partial \tilde{x}^{(L)}} = x^{(L)} - t \equiv \boldsymbol{\delta}^{(L)}",
        "The scalar result for all entries at once.",
        prediction,
        lambda p: column(loss_by_logits(p)),
        lambda p: column(probabilities(p) - p.t),
        condition="targets that sum to one",
        under=lambda p: p.but(t=p.t / p.t.sum()),
        general=lambda p: column(np.sum(p.t) * probabilities(p) - p.t),
        correction=r"x^{(L)} \sum_i t_i - t",
    ),
    claim(
        "uva_apr19_a-1.1b-i-product",
        "Question 1.1 (b) i, another way",
        r"\frac{\partial \mathcal{L}}{\partial \tilde{x}^{(N)}} = \left( -\boldsymbol{t} \cdot "
        r"\boldsymbol{x^{(N)^{-1}}} \right) \cdot \left( \operatorname{diag} \left( x^{(N)} \right) - "
        r"x^{(N)} x^{(N)^T} \right)",
        "A transpose is missing: a column cannot stand to the left of a matrix. In columns the matrix, which is "
        "symmetric, comes first; then the product holds, for any targets.",
        prediction,
        lambda p: column(loss_by_logits(p)),
        lambda p: product(
            column(-p.t / probabilities(p)),
            np.diag(probabilities(p)) - np.outer(probabilities(p), probabilities(p)),
        ),
        right_at="the vector form before it, which is a column",
        corrected=lambda p: column(
            (np.diag(probabilities(p)) - np.outer(probabilities(p), probabilities(p))) @ (-p.t / probabilities(p))
        ),
        correction=r"\left( \operatorname{diag} ( x^{(N)} ) - x^{(N)} x^{(N)^T} \right)"
        r"\left( -\boldsymbol{t} \cdot \boldsymbol{x^{(N)^{-1}}} \right)",
    ),
    claim(
        "uva_apr19_a-1.1b-ii-scalar-1",
        "Question 1.1 (b) ii, scalar notation, line 1",
        r"\frac{\partial \mathcal{L}}{\partial \tilde{x}_{j}^{(l < N)}} = \sum_{k} \delta_{k}^{(l+1)} "
        r"\sum_{i} w_{ki}^{(l+1)} \frac{\partial x_{i}^{(l)}}{\partial \tilde{x}_{j}^{(l)}}",
        "The chain rule through the next layer.",
        network,
        network_by_z,
        lambda p: np.einsum("k,ki,ij->j", network_delta(p), p.V, _relu_jacobian(p)),
    ),
    claim(
        "uva_apr19_a-1.1b-ii-scalar-2",
        "Question 1.1 (b) ii, scalar notation, line 2",
        r"= \sum_{k} \delta_{k}^{(l+1)} w_{kj}^{(l+1)} 1_{j}^{(l)} = "
        r"1_{j}^{(l)} \sum_{k} \delta_{k}^{(l+1)} w_{kj}^{(l+1)}",
        "Only i = j survives, with the ReLU's slope 0 or 1.",
        network,
        network_by_z,
        lambda p: entrywise(
            len(p.z), entry=lambda j: (p.z[j] > 0) * sum(network_delta(p)[k] * p.V[k, j] for k in range(len(p.c)))
        ),
    ),
    claim(
        "uva_apr19_a-1.1b-ii-scalar-name",
        "Question 1.1 (b) ii, scalar notation, the name of the result",
        r"1_{j}^{(l)} \sum_{k} \delta_{k}^{(l+1)} w_{kj}^{(l+1)} \equiv \delta_{k}^{(l)}",
        "The result depends on j, and k is summed away: the name typed with index k stands for the one with index j.",
        network,
        lambda p: every(network_by_z(p), len(p.z)),
        lambda p: np.stack([network_by_z(p)] * len(p.z)),  # entry (j, k) is delta_k
        right_at="the definition at the head of (b)",
        corrected=lambda p: np.stack([network_by_z(p)] * len(p.z), axis=-1),  # entry (j, k) is delta_j
        correction=r"\delta_{j}^{(l)}",
    ),
    claim(
        "uva_apr19_a-1.1b-ii-vector-chain",
        "Question 1.1 (b) ii, vector form, chain",
        r"\frac{\partial \mathcal{L}}{\partial \tilde{x}^{(l < N)}} = \frac{\partial \mathcal{L}}"
        r"{\partial \tilde{x}^{(l+1)}} \frac{\partial \tilde{x}^{(l+1)}}{\partial x^{(l)}} "
        r"\frac{\partial x^{(l)}}{\partial x^{(l)}}",
        "The last factor lacks a tilde below: as typed it is the identity, and the ReLU drops out of the chain.",
        network,
        network_by_z,
        lambda p: network_delta(p) @ p.V @ jacobian(lambda x: x, relu(p.z)),
        right_at="the scalar notation before it",
        corrected=lambda p: network_delta(p) @ p.V @ _relu_jacobian(p),
        correction=r"\frac{\partial \mathcal{L}}{\partial \tilde{x}^{(l+1)}} "
        r"\frac{\partial \tilde{x}^{(l+1)}}{\partial x^{(l)}} \frac{\partial x^{(l)}}{\partial \tilde{x}^{(l)}}",
    ),
    claim(
        "uva_apr19_a-1.1b-ii-vector",
        "Question 1.1 (b) ii, vector form, result",
        r"\left( W^{(l+1)} \right)^T \times \boldsymbol{\delta}^{(l+1)} \cdot "
        r"\operatorname{diag}\left( \mathbf{I}_{\tilde{x}^{(l)} > 0} \right) \equiv \boldsymbol{\delta}^{(l)}",
        "A transpose is missing: the column W^T delta cannot stand to the left of a matrix. In columns the diagonal "
        "matrix comes first.",
        network,
        lambda p: column(network_by_z(p)),
        lambda p: product(p.V.T, column(network_delta(p)), np.diag((p.z > 0).astype(float))),
        right_at="the scalar notation before it",
        corrected=lambda p: product(np.diag((p.z > 0).astype(float)), p.V.T, column(network_delta(p))),
        correction=r"\operatorname{diag}\left( \mathbf{I}_{\tilde{x}^{(l)} > 0} \right) "
        r"\left( W^{(l+1)} \right)^T \boldsymbol{\delta}^{(l+1)}",
    ),
    claim(
        "uva_apr19_a-1.1b-iii",
        "Question 1.1 (b) iii",
        r"\frac{\partial \mathcal{L}}{\partial x^{(l < N)}} = \left(W^{(l+1)}\right)^T \pmb{\delta}^{(l+1)}",
        "In columns, and for a batch of columns as well.",
        columns_layer,
        lambda p: {
            "one sample": column(network_by_x(_as_network(p))),
            "batch": jacobian(lambda X: _columns_loss(p, p.W, X, p.B), p.X),
        },
        lambda p: {
            "one sample": product(p.W.T, column(network_delta(_as_network(p)))),
            "batch": product(p.W.T, _columns_delta(p)),
        },
    ),
    claim(
        "uva_apr19_a-1.1b-iv",
        "Question 1.1 (b) iv",
        r"\frac{\partial \mathcal{L}}{\partial W(l)} = \frac{\partial \mathcal{L}}{\partial \tilde{x}^{(l)}} "
        r"\left( x^{(l-1)} \right)^T = \pmb{\delta}^{(l)} \left( x^{(l-1)} \right)^T",
        "For one sample, and for a batch of columns as well: the product sums over the samples.",
        columns_layer,
        lambda p: jacobian(lambda W: _columns_loss(p, W, p.X, p.B), p.W),
        lambda p: product(_columns_delta(p), p.X.T),
    ),
    claim(
        "uva_apr19_a-1.1b-v",
        "Question 1.1 (b) v",
        r"\frac{\partial \mathcal{L}}{\partial b^{(l)}} = \frac{\partial \mathcal{L}}{\partial \tilde{x}^{(l)}} "
        r"\mathbf{I} = \boldsymbol{\delta}^{(l)}",
        "For one sample, which is what the question is about. (Over a batch, the columns of delta would add up.)",
        lambda rng: one_column(columns_layer(rng)),
        lambda p: jacobian(lambda B: _columns_loss(p, p.W, p.X, B), p.B),
        _columns_delta,
    ),
    claim(
        "uva_apr19_a-1.1c-errors",
        "Question 1.1 (c), dimension of the error terms",
        r"\boldsymbol{\delta}^{(l)} \in \mathbb{R}^{B \times d_{(l)}}",
        "So it is with samples as rows; with the columns of (a) v (x in R^{N x B}) it is the transpose.",
        _either_layout,
        lambda p: shape(*(_rows_delta(p) if p.samples_are_rows else _rows_delta(p).T).shape),
        lambda p: shape(p.s, p.m),
        condition="samples as rows",
        under=lambda p: p.but(samples_are_rows=True),
        general=lambda p: shape(p.s, p.m) if p.samples_are_rows else shape(p.m, p.s),
        correction=r"\boldsymbol{\delta}^{(l)} \in \mathbb{R}^{d_{(l)} \times B} \text{ with samples as columns}",
    ),
    claim(
        "uva_apr19_a-1.1c-weights",
        "Question 1.1 (c), weight gradients",
        r"\frac{\partial \mathcal{L}}{\partial W^{(l)}} = "
        r"\sum_{s=1}^{B} \boldsymbol{\delta}_s^{(l)} \left( x_s^{(l-1)} \right)^T, \quad \text{dimensions unchanged}",
        "Said in words: the weight gradient is summed over the batch and keeps its dimensions.",
        rows_layer,
        lambda p: jacobian(lambda W: loss(p.X @ W.T + p.b, p.C), p.W),
        lambda p: sum(product(column(_rows_delta(p)[s]), row(p.X[s])) for s in range(p.s)),
    ),
)


# --- 3.2 (a): batch normalisation; samples s and r, features i and j


def _by_x(p, function):
    """d function(p) / dx_j^r, entries (..., r, j)."""
    return jacobian(lambda x: function(p.but(x=x)), p.x)


def _same(i, j):
    return float(i == j)


def _x_hat_by_x(p):
    return _by_x(p, x_hat)


def _variance_by_x(p):
    """d variance_i / dx_j^r, entries (i, r, j)."""
    return _by_x(p, variance)


def _same_feature(p):
    """The entries i = j of (i, r, j)."""
    return np.eye(p.d, dtype=bool)[:, None, :]


def _y_by_x(p):
    """dy_j^s / dx_j^r: entries (s, r, j)."""
    return np.einsum("sjrj->srj", jacobian(lambda x: batch_normed(p, x), p.x))


def _combined(p, entry):
    return entrywise(p.n, p.n, p.d, entry=entry)


BATCH_NORM = (
    claim(
        "uva_apr19_a-3.2a-gamma",
        "Question 3.2 (a), gamma",
        r"\left(\frac{\partial L}{\partial \gamma}\right)_{j} = \sum_{s} \sum_{i} "
        r"\frac{\partial L}{\partial y_{i}^{s}} "
        r"\frac{\partial}{\partial \gamma_{j}} \left(\gamma_{i} \hat{x}_{i}^{s} + \beta_{i}\right) = "
        r"\sum_{s} \frac{\partial L}{\partial y_{j}^{s}} \hat{x}_{j}^{s}",
        "gamma is shared by the samples, so that its gradient adds them up.",
        batch_norm_point,
        lambda p: jacobian(lambda gamma: loss(gamma * x_hat(p) + p.beta, p.c), p.gamma),
        lambda p: entrywise(p.d, entry=lambda j: sum(batch_norm_dy(p)[s, j] * x_hat(p)[s, j] for s in range(p.n))),
    ),
    claim(
        "uva_apr19_a-3.2a-beta",
        "Question 3.2 (a), beta",
        r"\left(\frac{\partial L}{\partial \beta}\right)_{j} = \sum_{s} \sum_{i} \frac{\partial L}{\partial y_{i}^{s}} "
        r"\frac{\partial}{\partial \beta_{j}} \left(\gamma_{i} \hat{x}_{i}^{s} + \beta_{i}\right) = "
        r"\sum_{s} \frac{\partial L}{\partial y_{j}^{s}}",
        "beta is shared by the samples as well.",
        batch_norm_point,
        lambda p: jacobian(lambda beta: loss(p.gamma * x_hat(p) + beta, p.c), p.beta),
        lambda p: entrywise(p.d, entry=lambda j: sum(batch_norm_dy(p)[s, j] for s in range(p.n))),
    ),
    claim(
        "uva_apr19_a-3.2a-chain",
        "Question 3.2 (a), x, chain rule",
        r"\left(\frac{\partial L}{\partial x}\right)_{j}^{r} = "
        r"\sum_{s} \sum_{i} \frac{\partial L}{\partial y_{i}^{s}} \frac{\partial y_{i}^{s}}{\partial x_{j}^{r}}",
        "Every output of the batch depends on every sample of its feature.",
        batch_norm_point,
        batch_norm_dx,
        lambda p: np.einsum("si,sirj->rj", batch_norm_dy(p), jacobian(lambda x: batch_normed(p, x), p.x)),
    ),
    claim(
        "uva_apr19_a-3.2a-y",
        "Question 3.2 (a), first bullet",
        r"\frac{\partial y_{i}^{s}}{\partial x_{j}^{r}} = "
        r"\gamma_{i} \frac{\partial \hat{x}_{i}^{s}}{\partial x_{j}^{r}}",
        "y is linear in x-hat.",
        batch_norm_point,
        lambda p: jacobian(lambda x: batch_normed(p, x), p.x),
        lambda p: np.einsum("i,sirj->sirj", p.gamma, _x_hat_by_x(p)),
    ),
    claim(
        "uva_apr19_a-3.2a-quotient",
        "Question 3.2 (a), second bullet",
        r"\frac{\partial \hat{x}_{i}^{s}}{\partial x_{j}^{r}} = \frac{1}{\sigma_{i}^{2} + \epsilon} \left( "
        r"\frac{\partial}{\partial x_{j}^{r}} \left( x_{i}^{s} - \mu_{i} \right) \sqrt{\sigma_{i}^{2} + \epsilon} - "
        r"\left( x_{i}^{s} - \mu_{i} \right) \frac{\partial}{\partial x_{j}^{r}} "
        r"\left( \sqrt{\sigma_{i}^{2} + \epsilon} \right) \right)",
        "The quotient rule.",
        batch_norm_point,
        _x_hat_by_x,
        lambda p: np.einsum(
            "i,sirj->sirj",
            1 / (variance(p) + p.eps),
            np.einsum("sirj,i->sirj", _by_x(p, lambda q: q.x - mean(q)), root(p))
            - np.einsum("si,irj->sirj", p.x - mean(p), _by_x(p, root)),
        ),
    ),
    claim(
        "uva_apr19_a-3.2a-centre",
        "Question 3.2 (a), third bullet",
        r"\frac{\partial}{\partial x_{j}^{r}} \left( x_{i}^{s} - \mu_{i} \right) = "
        r"\delta_{ij} \delta_{rs} - \frac{1}{B} \delta_{ij} = \delta_{ij} \left( \delta_{rs} - \frac{1}{B} \right)",
        "The sample itself, less its share in the mean.",
        batch_norm_point,
        lambda p: _by_x(p, lambda q: q.x - mean(q)),
        lambda p: entrywise(p.n, p.d, p.n, p.d, entry=lambda s, i, r, j: _same(i, j) * (_same(r, s) - 1 / p.n)),
    ),
    claim(
        "uva_apr19_a-3.2a-centre-same",
        "Question 3.2 (a), third bullet, implication",
        r"\frac{\partial}{\partial x_{i}^{r}} \left( x_{i}^{s} - \mu_{i} \right) = \delta_{rs} - \frac{1}{B}",
        "The entries i = j of the same bullet.",
        batch_norm_point,
        lambda p: np.einsum("siri->sir", _by_x(p, lambda q: q.x - mean(q))),
        lambda p: entrywise(p.n, p.d, p.n, entry=lambda s, i, r: _same(r, s) - 1 / p.n),
    ),
    claim(
        "uva_apr19_a-3.2a-root",
        "Question 3.2 (a), fourth bullet",
        r"\frac{\partial}{\partial x_{j}^{r}} \left( \sqrt{\sigma_{i}^{2} + \epsilon} \right) = "
        r"\frac{1}{2\sqrt{\sigma_{i}^{2} + \epsilon}} "
        r"\frac{\partial}{\partial x_{j}^{r}} \left( \sigma_{i}^{2} \right)",
        "The derivative of the square root.",
        batch_norm_point,
        lambda p: _by_x(p, root),
        lambda p: np.einsum("i,irj->irj", 1 / (2 * root(p)), _variance_by_x(p)),
    ),
    claim(
        "uva_apr19_a-3.2a-variance-1",
        "Question 3.2 (a), fifth bullet, line 1",
        r"\frac{\partial \sigma_{i}^{2}}{\partial x_{j}^{r}} = \frac{\partial}{\partial x_{j}^{r}} \left( "
        r"\frac{1}{B} \sum_{s=1}^{B} \left( x_{j}^{s} - \mu_{i} \right)^{2} \right)",
        "Under the sum, x carries the index j and mu the index i: for i ≠ j two features are mixed, and the right side "
        "does not vanish as the left does.",
        batch_norm_point,
        _variance_by_x,
        lambda p: np.einsum(
            "ijrj->irj", _by_x(p, lambda q: np.mean((q.x[:, None, :] - mean(q)[:, None]) ** 2, axis=0))
        ),
        right_at="the line after it, which has one index for both",
        corrected=lambda p: _by_x(p, lambda q: sum((q.x[s] - mean(q)) ** 2 for s in range(p.n)) / p.n),
        correction=r"\frac{\partial}{\partial x_{j}^{r}} \left( "
        r"\frac{1}{B} \sum_{s=1}^{B} \left( x_{i}^{s} - \mu_{i} \right)^{2} \right)",
    ),
    claim(
        "uva_apr19_a-3.2a-variance-2",
        "Question 3.2 (a), fifth bullet, line 2",
        r"\frac{\partial \sigma_{i}^{2}}{\partial x_{j}^{r}} = \frac{1}{B} \sum_{s} 2 \left( x_{j}^{s} - \mu_{j} "
        r"\right) \cdot \left( \delta_{rs} - \frac{1}{B} \right)",
        "From here on i = j is understood, the only case in which the derivative is not zero.",
        batch_norm_point,
        _variance_by_x,
        lambda p: entrywise(
            p.d,
            p.n,
            p.d,
            entry=lambda i, r, j: sum(2 * (p.x[s, j] - mean(p)[j]) * (_same(r, s) - 1 / p.n) for s in range(p.n)) / p.n,
        ),
        condition="i = j",
        among=_same_feature,
        general=lambda p: entrywise(
            p.d, p.n, p.d, entry=lambda i, r, j: _same(i, j) * 2 * (p.x[r, j] - mean(p)[j]) / p.n
        ),
        correction=r"\delta_{ij} \frac{1}{B} \sum_{s} 2 \left( x_{j}^{s} - \mu_{j} \right) "
        r"\left( \delta_{rs} - \frac{1}{B} \right)",
    ),
    claim(
        "uva_apr19_a-3.2a-variance-3",
        "Question 3.2 (a), fifth bullet, line 3",
        r"\frac{\partial \sigma_{i}^{2}}{\partial x_{j}^{r}} = \frac{2 \left( x_{j}^{r} - \mu_{j} \right)}{B}",
        "As in the line above, for the same feature on both sides.",
        batch_norm_point,
        _variance_by_x,
        lambda p: entrywise(p.d, p.n, p.d, entry=lambda i, r, j: 2 * (p.x[r, j] - mean(p)[j]) / p.n),
        condition="i = j",
        among=_same_feature,
        general=lambda p: entrywise(
            p.d, p.n, p.d, entry=lambda i, r, j: _same(i, j) * 2 * (p.x[r, j] - mean(p)[j]) / p.n
        ),
        correction=r"\delta_{ij} \frac{2 \left( x_{j}^{r} - \mu_{j} \right)}{B}",
    ),
    claim(
        "uva_apr19_a-3.2a-zero-sum",
        "Question 3.2 (a), fifth bullet, reason",
        r"\sum_{s} x_{j}^{s} - \mu_{j} = 0",
        "A bracket is missing: without it mu is subtracted once, after the sum.",
        batch_norm_point,
        lambda p: np.zeros(p.d),
        lambda p: p.x.sum(axis=0) - mean(p),
        right_at="the line before it",
        corrected=lambda p: (p.x - mean(p)).sum(axis=0),
        correction=r"\sum_{s} \left( x_{j}^{s} - \mu_{j} \right) = 0",
    ),
    claim(
        "uva_apr19_a-3.2a-combined-1",
        "Question 3.2 (a), all together, line 1",
        r"\frac{\partial y_j^s}{\partial x_j^r} = \frac{\gamma_j}{\sigma_j^2 + \epsilon} \left( \left( \delta_{rs} - "
        r"\frac{1}{B} \right) \sqrt{\sigma_j^2 + \epsilon} - \left( x_j^s - \mu_j \right) "
        r"\frac{1}{2\sqrt{\sigma_j^2 + \epsilon}} \frac{2 \left( x_j^r - \mu_j \right)}{B} \right)",
        "The bullets put together, for one feature j.",
        batch_norm_point,
        _y_by_x,
        lambda p: _combined(
            p,
            lambda s, r, j: (
                p.gamma[j]
                / (variance(p)[j] + p.eps)
                * (
                    (_same(r, s) - 1 / p.n) * root(p)[j]
                    - (p.x[s, j] - mean(p)[j]) / (2 * root(p)[j]) * 2 * (p.x[r, j] - mean(p)[j]) / p.n
                )
            ),
        ),
    ),
    claim(
        "uva_apr19_a-3.2a-combined-2",
        "Question 3.2 (a), all together, line 2",
        r"= \frac{\gamma_j}{B(\sigma_j^2 + \epsilon)} \left( \left( B \delta_{rs} - 1 \right) "
        r"\sqrt{\sigma_j^2 + \epsilon} - \frac{1}{\sqrt{\sigma_j^2 + \epsilon}} "
        r"\left( \left( x_j^s - \mu_j \right) \cdot \left( x_j^r - \mu_j \right) \right) \right)",
        "1/B in front.",
        batch_norm_point,
        _y_by_x,
        lambda p: _combined(
            p,
            lambda s, r, j: (
                p.gamma[j]
                / (p.n * (variance(p)[j] + p.eps))
                * (
                    (p.n * _same(r, s) - 1) * root(p)[j]
                    - (p.x[s, j] - mean(p)[j]) * (p.x[r, j] - mean(p)[j]) / root(p)[j]
                )
            ),
        ),
    ),
    claim(
        "uva_apr19_a-3.2a-combined-3",
        "Question 3.2 (a), all together, line 3",
        r"= \frac{\gamma_j}{B(\sigma_j^2 + \epsilon)} \left( \left( B \delta_{rs} - 1 \right) "
        r"\sqrt{\sigma_j^2 + \epsilon} - \frac{1}{\sqrt{\sigma_j^2 + \epsilon}} "
        r"\hat{x}_j^s \cdot \hat{x}_j^r \cdot \left( \sigma_j^2 + \epsilon \right) \right)",
        "The centred values expressed by the normalised ones.",
        batch_norm_point,
        _y_by_x,
        lambda p: _combined(
            p,
            lambda s, r, j: (
                p.gamma[j]
                / (p.n * (variance(p)[j] + p.eps))
                * (
                    (p.n * _same(r, s) - 1) * root(p)[j]
                    - x_hat(p)[s, j] * x_hat(p)[r, j] * (variance(p)[j] + p.eps) / root(p)[j]
                )
            ),
        ),
    ),
    claim(
        "uva_apr19_a-3.2a-combined-4",
        "Question 3.2 (a), all together, line 4",
        r"= \frac{\gamma_j}{B\sqrt{\sigma_j^2 + \epsilon}} \left( B \delta_{rs} - 1 - \hat{x}_j^s \hat{x}_j^r \right)",
        "The Jacobian of batch normalisation, exact with epsilon included.",
        batch_norm_point,
        _y_by_x,
        lambda p: _combined(
            p,
            lambda s, r, j: p.gamma[j] / (p.n * root(p)[j]) * (p.n * _same(r, s) - 1 - x_hat(p)[s, j] * x_hat(p)[r, j]),
        ),
    ),
    claim(
        "uva_apr19_a-3.2a-final-1",
        "Question 3.2 (a), result, line 1",
        r"\left(\frac{\partial L}{\partial x}\right)_{j}^{r} = \sum_{s} \frac{\partial L}{\partial y_{j}^{s}} "
        r"\frac{\gamma_{i}}{B\sqrt{\sigma_{j}^{2} + \epsilon}} \left(B\delta_{rs} - 1 - \hat{x}_{j}^{s} "
        r"\hat{x}_{j}^{r}\right)",
        "gamma carries an index i that nothing else has; the lines before and after have j.",
        batch_norm_point,
        lambda p: every(batch_norm_dx(p), p.d),
        lambda p: np.einsum("sj,i,srj->rji", batch_norm_dy(p), p.gamma, _y_by_x(p.but(gamma=np.ones(p.d)))),
        right_at="the lines before and after it",
        corrected=lambda p: every(np.einsum("sj,srj->rj", batch_norm_dy(p), _y_by_x(p)), p.d),
        correction=r"\frac{\gamma_{j}}{B\sqrt{\sigma_{j}^{2} + \epsilon}}",
    ),
    claim(
        "uva_apr19_a-3.2a-final-2",
        "Question 3.2 (a), result, line 2",
        r"= \frac{\gamma_{j}}{B\sqrt{\sigma_{j}^{2} + \epsilon}} \cdot \left(B\frac{\partial L}{\partial y_{j}^{r}} - "
        r"\sum_{s} \frac{\partial L}{\partial y_{j}^{s}} - \hat{x}_{j}^{r} \sum_{s} "
        r"\frac{\partial L}{\partial y_{j}^{s}} \hat{x}_{j}^{s}\right)",
        "The short form that implementations use.",
        batch_norm_point,
        batch_norm_dx,
        lambda p: (
            p.gamma
            / (p.n * root(p))
            * (
                p.n * batch_norm_dy(p)
                - batch_norm_dy(p).sum(axis=0)
                - x_hat(p) * (batch_norm_dy(p) * x_hat(p)).sum(axis=0)
            )
        ),
    ),
)

CLAIMS = SINGLE + CHAIN + BATCH_NORM
