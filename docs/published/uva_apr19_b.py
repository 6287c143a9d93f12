"""UvA report B, April 2019: question 1.1 (a), (b), (c), equations 1 to 23.

Conventions as stated there: gradients of the loss are rows (R^{1 x d}), a Jacobian has the output's index first, and a
claimed shape is part of the equation. x~ is written z in the code, x = softmax(z) in the last layer.
Large matrices are quoted abridged, with dots.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from docs.published.claims import Claim
from docs.published.points import (
    entrywise,
    jacobian,
    kinked,
    layer,
    layer_dy,
    loss,
    loss_by_logits,
    loss_by_probabilities,
    network,
    network_by_x,
    network_by_z,
    network_delta,
    off_diagonal,
    off_the_kink,
    one_row,
    one_sided,
    output_by_weight,
    prediction,
    probabilities,
    product,
    relu,
    row,
    rows_layer,
    shape,
    softmax_jacobian,
)

claim = partial(Claim, "UvA report B, April 2019")

LEFT_OUT = (
    ("Question 1.1 a), equations 1, 4, 5 and 13", "They name what is looked for."),
    ("Question 1.1 a), equation 8, line 2", "The step from line 1 to the result; both are judged."),
    ("Question 1.1 a), equation 11, the two cases", "The same as its matrix, which is judged."),
    ("Question 1.1 a), equation 14", "The text at hand does not tell d_l − 1 from d_{l−1} in the columns' numbers."),
    (
        "Question 1.1 b), equation 19, line 1",
        "The chain rule, which line 2 carries out; its second numerator has lost its x, as equations 6 to 8 have.",
    ),
    ("Question 1.1 b), equation 19, line 5", "The result with its sum written out."),
    ("Question 1.1 c), first sentence", "In words; the shapes that follow from it are judged."),
    ("Question 3.2 a)", "Not answered in the document."),
    ("Sections 1.2, 2 and 4", "Experiments: nothing is derived."),
)


def _with_shape(value, *sizes):
    """A value together with a shape; without sizes, its own."""
    return {"value": value, "shape": shape(*(sizes or np.shape(value)))}


def _true(function):
    """A left side whose shape is asked for as well."""
    return lambda p: _with_shape(function(p))


# --- 1.1 (a): the pieces


def _diagonal(p):
    return np.diag(softmax_jacobian(p))


def _elsewhere(p):
    return softmax_jacobian(p)[off_diagonal(len(p.z))]


def _total(p):
    return np.exp(p.z).sum()


def _of_nothing(p):
    """The operator d/dz_j with nothing to its right: applied to the empty product, which is 1."""
    return jacobian(lambda z: np.ones(len(z), dtype=complex), p.z)


def _quotient_diagonal(p):
    return (np.exp(p.z) * _total(p) - np.exp(p.z) * jacobian(lambda z: np.exp(z).sum(), p.z)) / _total(p) ** 2


def _quotient_elsewhere(p):
    by_sum = jacobian(lambda z: np.exp(z).sum(), p.z)
    return (-np.outer(np.exp(p.z), by_sum) / _total(p) ** 2)[off_diagonal(len(p.z))]


def _matrix_10(p):
    x = probabilities(p)
    return entrywise(len(x), len(x), entry=lambda i, j: x[i] * (1 - x[j]) if i == j else x[i] * -x[j])


def _blocks(p):
    """Equation 17: for each output i the matrix whose row i is x."""
    return entrywise(p.m, p.m, p.n, entry=lambda i, j, k: p.x[k] if j == i else 0.0)


_OPERAND = (
    "Nothing stands to the right of the derivative on the left side; the x_i of equation 5 is meant. (As typed, the "
    "operator acts on an empty product, a constant.)"
)
_DERIVATIVE_OF_X = r"\frac{\partial x_i^{(N)}}{\partial \tilde{x}_j^{(N)}} = \cdots"

SINGLE = (
    claim(
        "uva-apr19-b-2",
        "Question 1.1 a), equation 2",
        r"\frac{\partial}{\partial x_j^{(N)}} \left(- \sum_i t_i \log x_i^{(N)} \right) = - \frac{t_j}{x_j^{(N)}}",
        "Only the term i = j depends on x_j; it needs no one-hot target.",
        prediction,
        loss_by_probabilities,
        lambda p: entrywise(len(p.z), entry=lambda j: -p.t[j] / probabilities(p)[j]),
    ),
    claim(
        "uva-apr19-b-3",
        "Question 1.1 a), equation 3",
        r"\frac{\partial L}{\partial x^{(N)}} = \begin{bmatrix} -\frac{t_1}{x_1^{(N)}} & -\frac{t_2}{x_2^{(N)}} & "
        r"\cdots & -\frac{t_{d_N}}{x_{d_N}^{(N)}} \end{bmatrix} \in \mathbb{R}^{1 \times d_N}",
        "A row, with an entry for each class.",
        prediction,
        _true(lambda p: row(loss_by_probabilities(p))),
        lambda p: _with_shape(row(-p.t / probabilities(p)), 1, len(p.z)),
    ),
    claim(
        "uva-apr19-b-6",
        "Question 1.1 a), equation 6, case i = j",
        r"\frac{\partial}{\partial \tilde{x}_j^{(N)}} = \frac{\exp(\tilde{x}_i^{(N)}) \cdot "
        r"\left(\sum_{k=1}^{d_N} \exp(\tilde{x}_k^{(N)}) \right) - \exp(\tilde{x}_i^{(N)}) \cdot "
        r"\frac{\partial}{\partial \tilde{x}_j^{(N)}} \left(\sum_{k=1}^{d_N} \exp(\tilde{x}_k^{(N)}) \right)}"
        r"{\left(\sum_{k=1}^{d_N} \exp(\tilde{x}_k^{(N)}) \right)^2}",
        _OPERAND + " With it, the quotient rule holds.",
        prediction,
        _quotient_diagonal,
        lambda p: np.diag(_of_nothing(p)),
        again="Question 1.1 a), equation 7, case i = j, left side",
        corrected=_diagonal,
        correction=_DERIVATIVE_OF_X,
    ),
    claim(
        "uva-apr19-b-7-left",
        "Question 1.1 a), equation 7, case i = j, left side",
        r"\frac{\partial}{\partial \tilde{x}_j^{(N)}} = \cdots = x_i^{(N)} \cdot (1 - x_j^{(N)})",
        _OPERAND,
        prediction,
        lambda p: probabilities(p) * (1 - probabilities(p)),
        lambda p: np.diag(_of_nothing(p)),
        again="Question 1.1 a), equation 8, case i ≠ j, left side",
        corrected=_diagonal,
        correction=_DERIVATIVE_OF_X,
    ),
    claim(
        "uva-apr19-b-7-line-1",
        "Question 1.1 a), equation 7, case i = j, line 1",
        r"\cdots = \frac{\exp(\tilde{x}_i^{(N)}) \cdot \left(\sum_{k=1}^{d_N} \exp(\tilde{x}_k^{(N)}) \right) - "
        r"\exp(\tilde{x}_i^{(N)}) \exp(\tilde{x}_j^{(N)})}{\left(\sum_{k=1}^{d_N} \exp(\tilde{x}_k^{(N)}) \right)^2}",
        "The right side, of the derivative that is meant.",
        prediction,
        _diagonal,
        lambda p: (np.exp(p.z) * _total(p) - np.exp(p.z) * np.exp(p.z)) / _total(p) ** 2,
    ),
    claim(
        "uva-apr19-b-7-line-3",
        "Question 1.1 a), equation 7, case i = j, lines 2 and 3",
        r"\cdots = x_i^{(N)} - \frac{\exp(\tilde{x}_i^{(N)})}{\sum_{k=1}^{d_N} \exp(\tilde{x}_k^{(N)})} "
        r"\frac{\exp(\tilde{x}_j^{(N)})}{\sum_{k=1}^{d_N} \exp(\tilde{x}_k^{(N)})}",
        "The right side, of the derivative that is meant.",
        prediction,
        _diagonal,
        lambda p: probabilities(p) - np.exp(p.z) / _total(p) * np.exp(p.z) / _total(p),
    ),
    claim(
        "uva-apr19-b-7",
        "Question 1.1 a), equation 7, case i = j, result",
        r"\cdots = x_i^{(N)} - x_i^{(N)} x_j^{(N)} = x_i^{(N)} \cdot (1 - x_j^{(N)})",
        "The right side, of the derivative that is meant.",
        prediction,
        lambda p: {"first": _diagonal(p), "second": _diagonal(p)},
        lambda p: {
            "first": probabilities(p) - probabilities(p) * probabilities(p),
            "second": probabilities(p) * (1 - probabilities(p)),
        },
    ),
    claim(
        "uva-apr19-b-8-left",
        "Question 1.1 a), equation 8, case i ≠ j, left side",
        r"\frac{\partial}{\partial \tilde{x}_j^{(N)}} = \cdots = -x_i^{(N)} \cdot x_j^{(N)}",
        _OPERAND,
        prediction,
        lambda p: -np.outer(probabilities(p), probabilities(p))[off_diagonal(len(p.z))],
        lambda p: _of_nothing(p)[off_diagonal(len(p.z))],
        again="Question 1.1 a), equation 7, case i = j, left side",
        corrected=_elsewhere,
        correction=_DERIVATIVE_OF_X,
    ),
    claim(
        "uva-apr19-b-8-line-1",
        "Question 1.1 a), equation 8, case i ≠ j, line 1",
        r"\cdots = \frac{-\exp(\tilde{x}_i^{(N)}) \cdot \frac{\partial}{\partial \tilde{x}_j^{(N)}} "
        r"\left(\sum_{k=1}^{d_N} \exp(\tilde{x}_k^{(N)}) \right)}"
        r"{\left(\sum_{k=1}^{d_N} \exp(\tilde{x}_k^{(N)}) \right)^2}",
        "The right side, of the derivative that is meant.",
        prediction,
        _elsewhere,
        _quotient_elsewhere,
    ),
    claim(
        "uva-apr19-b-8",
        "Question 1.1 a), equation 8, case i ≠ j, result",
        r"\cdots = -\frac{\exp(\tilde{x}_i^{(N)})}{\sum_{k=1}^{d_N} \exp(\tilde{x}_k^{(N)})} \cdot "
        r"\frac{\exp(\tilde{x}_j^{(N)})}{\sum_{k=1}^{d_N} \exp(\tilde{x}_k^{(N)})} = -x_i^{(N)} \cdot x_j^{(N)}",
        "The right side, of the derivative that is meant.",
        prediction,
        lambda p: {"first": _elsewhere(p), "second": _elsewhere(p)},
        lambda p: {
            "first": -np.outer(np.exp(p.z) / _total(p), np.exp(p.z) / _total(p))[off_diagonal(len(p.z))],
            "second": -np.outer(probabilities(p), probabilities(p))[off_diagonal(len(p.z))],
        },
    ),
    claim(
        "uva-apr19-b-9",
        "Question 1.1 a), equation 9",
        r"\left(\frac{\partial x^{(N)}}{\partial \tilde{x}^{(N)}} \right)_{i,j} = "
        r"x_i^{(N)} \cdot (\mathbb{1}(i=j) - x_j^{(N)})",
        "Both cases in one.",
        prediction,
        softmax_jacobian,
        lambda p: entrywise(
            len(p.z), len(p.z), entry=lambda i, j: probabilities(p)[i] * ((i == j) - probabilities(p)[j])
        ),
    ),
    claim(
        "uva-apr19-b-10",
        "Question 1.1 a), equation 10",
        r"\frac{\partial x^{(N)}}{\partial \tilde{x}^{(N)}} = \begin{bmatrix} x_1^{(N)} \cdot (1 - x_1^{(N)}) & "
        r"x_1^{(N)} \cdot (-x_2^{(N)}) & \cdots \\ x_2^{(N)} \cdot (-x_1^{(N)}) & x_2^{(N)} \cdot (1 - x_2^{(N)}) & "
        r"\cdots \\ \vdots & \vdots & \ddots \end{bmatrix} \in \mathbb{R}^{d_N \times d_N}",
        "The matrix of equation 9, with its shape.",
        prediction,
        _true(softmax_jacobian),
        lambda p: _with_shape(_matrix_10(p), len(p.z), len(p.z)),
    ),
    claim(
        "uva-apr19-b-11",
        "Question 1.1 a), equation 11",
        r"\frac{\partial}{\partial \tilde{x}^{(l < N)}} \left(\max(0, \tilde{x}^{(l < N)}) \right) = "
        r"\text{diag}(\mathbb{1}(\tilde{x}^{(l < N)} > 0)) \in \mathbb{R}^{d_l \times d_l}",
        "The document says itself that the derivative is not defined at 0 and is set to 0 there.",
        kinked,
        _true(lambda p: one_sided(relu, p.z)),
        lambda p: _with_shape(np.diag((p.z > 0).astype(float)), len(p.z), len(p.z)),
        condition="no entry exactly zero",
        under=off_the_kink,
        general=lambda p: _with_shape(
            np.where(np.diag(p.z == 0), np.nan, np.diag((p.z > 0).astype(float)))  # undefined at the kink
        ),
        correction=r"\text{diag}(\mathbb{1}(\tilde{x}^{(l < N)} > 0)) \quad\text{where } \tilde{x}^{(l < N)} \neq 0",
    ),
    claim(
        "uva-apr19-b-12",
        "Question 1.1 a), equation 12",
        r"\frac{\partial \tilde{x}^{(l)}}{\partial x^{(l-1)}} = \frac{\partial}{\partial x^{(l-1)}} "
        r"\left(W^{(l)} x^{(l-1)} + b^{(l)} \right) = W^{(l)} \in \mathbb{R}^{d_l \times d_{l-1}}",
        "Output index first, with its shape.",
        layer,
        _true(lambda p: jacobian(lambda x: p.W @ x + p.b, p.x)),
        lambda p: _with_shape(p.W, p.m, p.n),
    ),
    claim(
        "uva-apr19-b-15",
        "Question 1.1 a), equation 15",
        r"\frac{\partial \tilde{x}_i^{(l)}}{\partial W_{j,k}^{(l)}} = \begin{cases} x_k^{(l-1)} & \text{if } i = j \\ "
        r"0 & \text{otherwise} \end{cases}",
        "Output i sees only row i of the weight.",
        layer,
        output_by_weight,
        _blocks,
    ),
    claim(
        "uva-apr19-b-16",
        "Question 1.1 a), equation 16",
        r"\frac{\partial \tilde{x}_i^{(l)}}{\partial W^{(l)}} = \begin{bmatrix} 0 & 0 & \cdots & 0 \\ \vdots & \vdots "
        r"& \vdots & \vdots \\ x_1^{(l-1)} & x_2^{(l-1)} & \cdots & x_{d_{l-1}}^{(l-1)} \\ \vdots & \vdots & \vdots & "
        r"\vdots \\ 0 & 0 & \cdots & 0 \end{bmatrix}",
        "Row i holds x; tested for the first output.",
        layer,
        lambda p: output_by_weight(p)[0],
        lambda p: np.vstack([row(p.x), np.zeros((p.m - 1, p.n))]),
    ),
    claim(
        "uva-apr19-b-17",
        "Question 1.1 a), equation 17",
        r"\frac{\partial \tilde{x}^{(l)}}{\partial W^{(l)}} = \left[ \text{the matrices of equation 16, for } i = 1, "
        r"\ldots, d_l \right] \in \mathbb{R}^{d_l \times (d_l \times d_{l-1})}",
        "One matrix for each output, with the shape of all. (The blocks are written out in the document.)",
        layer,
        _true(output_by_weight),
        lambda p: _with_shape(_blocks(p), p.m, p.m, p.n),
    ),
    claim(
        "uva-apr19-b-18",
        "Question 1.1 a), equation 18",
        r"\frac{\partial}{\partial b^{(l)}} \left(W^{(l)} x^{(l-1)} + b^{(l)} \right) = \begin{bmatrix} 1 & 1 & \dots "
        r"& 1 \\ 1 & 1 & \dots & 1 \\ \vdots & \vdots & \ddots & \vdots \\ 1 & 1 & \dots & 1 \end{bmatrix} \in "
        r"\mathbb{R}^{d_l \times d_l}",
        "An output depends on its own bias alone: ones belong on the diagonal only. The shape is right.",
        layer,
        _true(lambda p: jacobian(lambda b: p.W @ p.x + b, p.b)),
        lambda p: _with_shape(np.ones((p.m, p.m)), p.m, p.m),
        again="Question 1.1 b), equation 23, product",
        corrected=lambda p: _with_shape(np.eye(p.m), p.m, p.m),
        correction=r"\mathbf{I} \in \mathbb{R}^{d_l \times d_l}",
    ),
)


# --- 1.1 (b): the chain, and (c): a batch


def _ratio(p):
    return -p.t / probabilities(p)


def _row_sums(p):
    """Line 3 of equation 19: each -t_i/x_i times the sum of row i; its last entry is typed without the minus."""
    value = _ratio(p) * _matrix_10(p).sum(axis=1)
    value[-1] = -value[-1]
    return row(value)


def _fused(p):
    return row(p.t.sum() * probabilities(p) - p.t)


def _rows_delta(p):
    return jacobian(lambda y: loss(y, p.C), p.X @ p.W.T + p.b)


def _batch_by_bias(p):
    return row(jacobian(lambda b: loss(p.X @ p.W.T + b, p.C), p.b))


def _stacked(per_sample, samples):
    """The gradients of all samples, each a row, along a last dimension of size B."""
    return np.stack([per_sample(s) for s in range(samples)], axis=-1)


_ROWS = (
    "Here each target ratio multiplies a sum over its own row of the Jacobian. A row times a matrix sums over the "
    "first index: column j collects -t_i/x_i times entry (i, j) for all i. "
)
_FUSED = r"\left[ x_j^{(N)} \sum_{i=1}^{d_N} t_i - t_j \right]_{j=1}^{d_N} \in \mathbb{R}^{1 \times d_N}"

CHAIN = (
    claim(
        "uva-apr19-b-19-product",
        "Question 1.1 b), equation 19, line 2",
        r"\frac{\partial L}{\partial \tilde{x}^{(N)}} = \begin{bmatrix} -\frac{t_1}{x_1^{(N)}} \\ \vdots \\ "
        r"-\frac{t_{d_N}}{x_{d_N}^{(N)}} \end{bmatrix}^T \cdot \left[ \text{the matrix of equation 10} \right]",
        "Equations 3 and 10 in the order of the chain rule. (The matrix is written out in the document.)",
        prediction,
        lambda p: row(loss_by_logits(p)),
        lambda p: product(row(_ratio(p)), _matrix_10(p)),
    ),
    claim(
        "uva-apr19-b-19-rows",
        "Question 1.1 b), equation 19, line 3",
        r"= \begin{bmatrix} -\frac{t_1}{x_1^{(N)}} \cdot (x_1^{(N)} \cdot (1 - x_1^{(N)}) + x_1^{(N)} \cdot "
        r"(-x_2^{(N)}) + \cdots + x_1^{(N)} \cdot (-x_{d_N}^{(N)})) \\ \vdots \\ \frac{t_{d_N}}{x_{d_N}^{(N)}} \cdot "
        r"(x_{d_N}^{(N)} \cdot (-x_1^{(N)}) + x_{d_N}^{(N)} \cdot (-x_2^{(N)}) + \cdots + x_{d_N}^{(N)} \cdot "
        r"(1 - x_{d_N}^{(N)})) \end{bmatrix}^T",
        _ROWS + "(The last entry also lost its minus sign.)",
        prediction,
        lambda p: row(loss_by_logits(p)),
        _row_sums,
        again="Question 1.1 b), equation 19, line 4",
        corrected=lambda p: row(
            np.array([sum(_ratio(p)[i] * _matrix_10(p)[i, j] for i in range(len(p.z))) for j in range(len(p.z))])
        ),
        correction=r"\left[ \sum_{i=1}^{d_N} -\frac{t_i}{x_i^{(N)}} \cdot "
        r"x_i^{(N)} \cdot (\mathbb{1}(i=j) - x_j^{(N)}) \right]_{j=1}^{d_N}",
    ),
    claim(
        "uva-apr19-b-19-factored",
        "Question 1.1 b), equation 19, line 4",
        r"= \begin{bmatrix} -\frac{t_1}{x_1^{(N)}} \cdot x_1^{(N)} \cdot ((1 - x_1^{(N)}) + (-x_2^{(N)}) + \cdots + "
        r"(-x_{d_N}^{(N)})) \\ \vdots \\ -\frac{t_{d_N}}{x_{d_N}^{(N)}} \cdot x_{d_N}^{(N)} \cdot ((-x_1^{(N)}) + "
        r"(-x_2^{(N)}) + \cdots + (1 - x_{d_N}^{(N)})) \end{bmatrix}^T",
        "Carries the row sums of line 3 on, with the lost sign restored; the factoring itself is right.",
        prediction,
        lambda p: row(loss_by_logits(p)),
        lambda p: row(
            np.array(
                [
                    _ratio(p)[i] * probabilities(p)[i] * sum((i == j) - probabilities(p)[j] for j in range(len(p.z)))
                    for i in range(len(p.z))
                ]
            )
        ),
        again="Question 1.1 b), equation 19, result",
        corrected=_fused,
        correction=_FUSED,
    ),
    claim(
        "uva-apr19-b-19",
        "Question 1.1 b), equation 19, result",
        r"= \begin{bmatrix} -t_1 \cdot (1 - \sum_{i=1}^{d_N} x_i^{(N)}) \\ \vdots \\ -t_{d_N} \cdot "
        r"(1 - \sum_{i=1}^{d_N} x_i^{(N)}) \end{bmatrix}^T \in \mathbb{R}^{1 \times d_N}",
        "As the probabilities sum to one, every entry of this gradient is zero, for any input. The product of line 2 "
        "gives x - t for one-hot targets. The shape is right.",
        prediction,
        _true(lambda p: row(loss_by_logits(p))),
        lambda p: _with_shape(row(-p.t * (1 - probabilities(p).sum())), 1, len(p.z)),
        again="Question 1.1 b), equation 19, line 4",
        corrected=lambda p: _with_shape(_fused(p), 1, len(p.z)),
        correction=_FUSED,
    ),
    claim(
        "uva-apr19-b-20",
        "Question 1.1 b), equation 20",
        r"\frac{\partial L}{\partial \tilde{x}^{(l < N)}} = \frac{\partial L}{\partial x^{(l)}} \cdot \text{diag} "
        r"\left(\mathbb{1}(\tilde{x}^{(l)} > 0) \right) \in \mathbb{R}^{d_l \times d_l}",
        "The value is right. A row times a square matrix is a row; the shape noted is that of the matrix.",
        network,
        _true(lambda p: row(network_by_z(p))),
        lambda p: _with_shape(product(row(network_by_x(p)), np.diag((p.z > 0).astype(float))), len(p.z), len(p.z)),
        again="Question 1.1 c), second shape",
        corrected=lambda p: _with_shape(product(row(network_by_x(p)), np.diag((p.z > 0).astype(float))), 1, len(p.z)),
        correction=r"\frac{\partial L}{\partial x^{(l)}} \cdot \text{diag} "
        r"\left(\mathbb{1}(\tilde{x}^{(l)} > 0) \right) \in \mathbb{R}^{1 \times d_l}",
    ),
    claim(
        "uva-apr19-b-21",
        "Question 1.1 b), equation 21",
        r"\frac{\partial L}{\partial x^{(l < N)}} = \frac{\partial L}{\partial \tilde{x}^{(l+1)}} \cdot W^{(l+1)} "
        r"\in \mathbb{R}^{1 \times d_l}",
        "A row times the next layer's weight, with its shape.",
        network,
        _true(lambda p: row(network_by_x(p))),
        lambda p: _with_shape(product(row(network_delta(p)), p.V), 1, len(p.z)),
    ),
    claim(
        "uva-apr19-b-22",
        "Question 1.1 b), equation 22",
        r"\frac{\partial L}{\partial W^{(l)}} = \frac{\partial L}{\partial \tilde{x}^{(l)}} "
        r"\frac{\partial \tilde{x}^{(l)}}{\partial W^{(l)}} = \begin{bmatrix} \begin{bmatrix} "
        r"\frac{\partial L}{\partial \tilde{x}_1^{(l)}} \cdot x_1^{(l-1)} & \cdots & "
        r"\frac{\partial L}{\partial \tilde{x}_1^{(l)}} \cdot x_{d_{l-1}}^{(l-1)} \\ \vdots & \ddots & \vdots \\ "
        r"\frac{\partial L}{\partial \tilde{x}_{d_l}^{(l)}} \cdot x_1^{(l-1)} & \cdots & "
        r"\frac{\partial L}{\partial \tilde{x}_{d_l}^{(l)}} \cdot x_{d_{l-1}}^{(l-1)} \end{bmatrix} \end{bmatrix} "
        r"\in \mathbb{R}^{1 \times d_l \times d_{l-1}}",
        "The row with the blocks of equation 17, contracted over the outputs; the leading 1 is the row's.",
        layer,
        _true(lambda p: jacobian(lambda W: loss(W @ p.x + p.b, p.c), p.W)[None]),
        lambda p: _with_shape(entrywise(1, p.m, p.n, entry=lambda _, j, k: layer_dy(p)[j] * p.x[k]), 1, p.m, p.n),
    ),
    claim(
        "uva-apr19-b-23-product",
        "Question 1.1 b), equation 23, product",
        r"\frac{\partial L}{\partial b^{(l)}} = \begin{bmatrix} \frac{\partial L}{\partial \tilde{x}_1^{(l)}} \\ "
        r"\vdots \\ \frac{\partial L}{\partial \tilde{x}_{d_l}^{(l)}} \end{bmatrix}^T \cdot \begin{bmatrix} 1 & 1 & "
        r"\cdots & 1 \\ \vdots & \vdots & \ddots & \vdots \\ 1 & 1 & \cdots & 1 \end{bmatrix}",
        "The product with the ones of equation 18 is the sum of all entries, d_l times over; it is not the row given "
        "after it, which the identity would give.",
        layer,
        lambda p: row(jacobian(lambda b: loss(p.W @ p.x + b, p.c), p.b)),
        lambda p: product(row(layer_dy(p)), np.ones((p.m, p.m))),
        again="Question 1.1 a), equation 18",
        corrected=lambda p: product(row(layer_dy(p)), np.eye(p.m)),
        correction=r"\frac{\partial L}{\partial \tilde{x}^{(l)}} \cdot \mathbf{I}",
    ),
    claim(
        "uva-apr19-b-23",
        "Question 1.1 b), equation 23, result",
        r"\frac{\partial L}{\partial b^{(l)}} = \frac{\partial L}{\partial \tilde{x}^{(l)}} "
        r"\in \mathbb{R}^{1 \times d_l}",
        "Right for one sample, which is what the question is about, though not by the product before it.",
        lambda rng: one_row(rows_layer(rng)),
        _true(_batch_by_bias),
        lambda p: _with_shape(_rows_delta(p), 1, p.m),
    ),
    claim(
        "uva-apr19-b-1.1c-logits",
        "Question 1.1 c), first shape",
        r"\frac{\partial L}{\partial \tilde{x}^{(N)}} \in \mathbb{R}^{1 \times d_l \times B}",
        "The last layer has d_N units, as equation 19 says; d_l is typed. (Tested with layers of unequal size.)",
        network,
        lambda p: shape(*_stacked(lambda s: row(network_delta(p)), 7).shape),
        lambda p: shape(1, len(p.z), 7),
        right_at="equation 19",
        corrected=lambda p: shape(1, len(p.a), 7),
        correction=r"\mathbb{R}^{1 \times d_N \times B}",
    ),
    claim(
        "uva-apr19-b-1.1c-hidden",
        "Question 1.1 c), second shape",
        r"\frac{\partial L}{\partial \tilde{x}^{(l < N)}} \in \mathbb{R}^{d_l \times d_l \times B}",
        "Carries the shape noted in equation 20 on; each sample has a row.",
        network,
        lambda p: shape(*_stacked(lambda s: row(network_by_z(p)), 7).shape),
        lambda p: shape(len(p.z), len(p.z), 7),
        again="Question 1.1 b), equation 20",
        corrected=lambda p: shape(1, len(p.z), 7),
        correction=r"\mathbb{R}^{1 \times d_l \times B}",
    ),
    claim(
        "uva-apr19-b-1.1c-inputs",
        "Question 1.1 c), third shape",
        r"\frac{\partial L}{\partial x^{(l < N)}} \in \mathbb{R}^{1 \times d_l \times B}",
        "A row for each sample, stacked along the last dimension.",
        network,
        lambda p: shape(*_stacked(lambda s: row(network_by_x(p)), 7).shape),
        lambda p: shape(1, len(p.z), 7),
    ),
    claim(
        "uva-apr19-b-1.1c-bias",
        "Question 1.1 c), fourth shape",
        r"\frac{\partial L}{\partial b^{(l)}} \in \mathbb{R}^{1 \times d_l \times B}",
        "The bias is shared by the samples: its gradient adds them up and has no dimension for the batch.",
        rows_layer,
        lambda p: shape(*_batch_by_bias(p).shape),
        lambda p: shape(1, p.m, p.s),
        corrected=lambda p: shape(1, p.m),
        correction=r"\frac{\partial L}{\partial b^{(l)}} \in \mathbb{R}^{1 \times d_l}",
    ),
)

CLAIMS = SINGLE + CHAIN
