"""UvA report, November 2019: questions 1.1 (a), (b), (c) and 3.2 (a).

Conventions as stated there: scalar entries first, then vectors as rows; a Jacobian has the output's index first; the
activation is a leaky ReLU of slope a. x~ is written z in the code, x = softmax(z) in the last layer.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from docs.published.claims import Claim, NotConformable, Point
from docs.published.points import (
    activation_point,
    batch_norm_dx,
    batch_norm_dy,
    batch_norm_point,
    entrywise,
    jacobian,
    layer,
    layer_dy,
    leaky,
    loss,
    loss_by_logits,
    loss_by_probabilities,
    mean,
    network,
    one_row,
    output_by_weight,
    prediction,
    probabilities,
    product,
    row,
    rows_layer,
    softmax,
    softmax_jacobian,
    x_hat,
)

claim = partial(Claim, "UvA report, November 2019")

LEFT_OUT = (
    ("Question 1.1a (ii), line 1", "It names what is looked for."),
    ("Questions 1.2, 2, 3.1 and 4", "Experiments: nothing is derived."),
)


def _entries(p, entry):
    """The K x K array of entry(i, j)."""
    return entrywise(len(p.z), len(p.z), entry=entry)


def _numerator(p, i, j):
    """1(i=j) exp(z_i) sum_k exp(z_k) - exp(z_i) exp(z_j)"""
    e = np.exp(p.z)
    return (i == j) * e[i] * e.sum() - e[i] * e[j]


SINGLE = (
    claim(
        "uva-nov19-1.1a-i",
        "Question 1.1a (i)",
        r"\frac{\partial L}{\partial x_i^{(N)}} = -\frac{t_i}{x_i^{(N)}}",
        "The derivative of the logarithm; it needs no one-hot target.",
        prediction,
        loss_by_probabilities,
        lambda p: entrywise(len(p.z), entry=lambda i: -p.t[i] / probabilities(p)[i]),
    ),
    claim(
        "uva-nov19-1.1a-ii-quotient",
        "Question 1.1a (ii), line 2",
        r"\frac{\frac{\partial}{\partial \tilde{x}_j^{(N)}} \left(\exp(\tilde{x}_i^{(N)}) \right) "
        r"\sum_k \exp(\tilde{x}_k^{(N)}) - \exp(\tilde{x}_i^{(N)}) \frac{\partial}{\partial \tilde{x}_j^{(N)}} "
        r"\left(\sum_k \exp(\tilde{x}_k^{(N)}) \right)}{\sum_k \exp(\tilde{x}_k^{(N)})}",
        "The denominator of the quotient rule lacks its square, which the next line has. (The fraction of this line "
        "is damaged in the text at hand, which may have lost the square itself.)",
        prediction,
        softmax_jacobian,
        lambda p: _quotient_rule(p) / np.exp(p.z).sum(),
        right_at="line 3",
        corrected=lambda p: _quotient_rule(p) / np.exp(p.z).sum() ** 2,
        correction=r"\frac{\cdots}{\left(\sum_k \exp(\tilde{x}_k^{(N)})\right)^2}",
    ),
    claim(
        "uva-nov19-1.1a-ii-line-3",
        "Question 1.1a (ii), line 3",
        r"\frac{\mathbb{I}(i=j) \exp(\tilde{x}_i^{(N)}) \sum_k \exp(\tilde{x}_k^{(N)}) - \exp(\tilde{x}_i^{(N)}) "
        r"\exp(\tilde{x}_j^{(N)})}{\left(\sum_k \exp(\tilde{x}_k^{(N)}) \right)^2}",
        "Both derivatives of the quotient rule evaluated.",
        prediction,
        softmax_jacobian,
        lambda p: _entries(p, lambda i, j: _numerator(p, i, j) / np.exp(p.z).sum() ** 2),
    ),
    claim(
        "uva-nov19-1.1a-ii-line-4",
        "Question 1.1a (ii), line 4",
        r"\frac{\exp(\tilde{x}_i^{(N)})}{\sum_k \exp(\tilde{x}_k^{(N)})} \frac{\mathbb{I}(i=j) "
        r"\sum_k \exp(\tilde{x}_k^{(N)}) - \exp(\tilde{x}_j^{(N)})}{\sum_k \exp(\tilde{x}_k^{(N)})}",
        "exp of entry i taken out of both terms.",
        prediction,
        softmax_jacobian,
        lambda p: _entries(
            p,
            lambda i, j: (
                np.exp(p.z[i]) / np.exp(p.z).sum() * ((i == j) * np.exp(p.z).sum() - np.exp(p.z[j])) / np.exp(p.z).sum()
            ),
        ),
    ),
    claim(
        "uva-nov19-1.1a-ii-line-5",
        "Question 1.1a (ii), line 5",
        r"\frac{\exp(\tilde{x}_i^{(N)})}{\sum_k \exp(\tilde{x}_k^{(N)})} \left(\mathbb{I}(i=j) - "
        r"\frac{\exp(\tilde{x}_j^{(N)})}{\sum_k \exp(\tilde{x}_k^{(N)})} \right)",
        "The second fraction divided through.",
        prediction,
        softmax_jacobian,
        lambda p: _entries(
            p, lambda i, j: np.exp(p.z[i]) / np.exp(p.z).sum() * ((i == j) - np.exp(p.z[j]) / np.exp(p.z).sum())
        ),
    ),
    claim(
        "uva-nov19-1.1a-ii-line-6",
        "Question 1.1a (ii), line 6",
        r"\sigma(\tilde{x}_i^{(N)}) (\mathbb{I}(i=j) - \sigma(\tilde{x}_j^{(N)}))",
        "Read with sigma as the softmax, entry by entry.",
        prediction,
        softmax_jacobian,
        lambda p: _entries(p, lambda i, j: softmax(p.z)[i] * ((i == j) - softmax(p.z)[j])),
    ),
    claim(
        "uva-nov19-1.1a-ii-line-7",
        "Question 1.1a (ii), line 7",
        r"x_i^{(N)} (\mathbb{I}(i=j) - x_i^{(N)})",
        "The last factor carries i where the line above has j; it matters off the diagonal.",
        prediction,
        softmax_jacobian,
        lambda p: _entries(p, lambda i, j: probabilities(p)[i] * ((i == j) - probabilities(p)[i])),
        right_at="line 6",
        corrected=lambda p: _entries(p, lambda i, j: probabilities(p)[i] * ((i == j) - probabilities(p)[j])),
        correction=r"x_i^{(N)} (\mathbb{I}(i=j) - x_j^{(N)})",
    ),
    claim(
        "uva-nov19-1.1a-iii",
        "Question 1.1a (iii)",
        r"\frac{\partial x_i^{(l < N)}}{\partial \tilde{x}_j^{(l < N)}} = \begin{cases} 1 & \text{if } j = i "
        r"\text{ and } \tilde{x}_j^{(l < N)} > 0 \\ a & \text{if } j = i \text{ and } \tilde{x}_j^{(l < N)} < 0 \\ "
        r"0 & \text{if } j \neq i \end{cases}",
        "The leaky ReLU of slope a; the cases leave out zero, where there is no derivative.",
        activation_point,
        lambda p: jacobian(lambda z: leaky(z, p.slope), p.z),
        lambda p: _entries(p, lambda i, j: 0.0 if i != j else 1.0 if p.z[j] > 0 else p.slope),
    ),
    claim(
        "uva-nov19-1.1a-iv",
        "Question 1.1a (iv)",
        r"\frac{\partial \tilde{x}_{i}^{(l)}}{\partial x_{j}^{(l-1)}} = W_{ij}",
        "Output index first.",
        layer,
        lambda p: jacobian(lambda x: p.W @ x + p.b, p.x),
        lambda p: p.W,
    ),
    claim(
        "uva-nov19-1.1a-v",
        "Question 1.1a (v)",
        r"\frac{\partial \tilde{x}_i^{(l)}}{\partial W_{jk}^{(l)}} = \begin{cases} x_k^{(l-1)} & \text{if } "
        r"\mathbf{j} = \mathbf{i} \\ 0 & \text{if } \mathbf{j} \neq \mathbf{i} \end{cases}",
        "Output i sees only row i of the weight.",
        layer,
        output_by_weight,
        lambda p: entrywise(p.m, p.m, p.n, entry=lambda i, j, k: p.x[k] if j == i else 0.0),
    ),
    claim(
        "uva-nov19-1.1a-vi",
        "Question 1.1a (vi)",
        r"\frac{\partial \tilde{x}_i^{(l)}}{\partial b_j^{(l)}} == \begin{cases} 1 & \text{if } \mathbf{j} = "
        r"\mathbf{i} \\ 0 & \text{if } \mathbf{j} \neq \mathbf{i} \end{cases}",
        "Each output has its own bias.",
        layer,
        lambda p: jacobian(lambda b: p.W @ p.x + b, p.b),
        lambda p: entrywise(p.m, p.m, entry=lambda i, j: 1.0 if j == i else 0.0),
    ),
)


def _quotient_rule(p):
    """d exp(z_i)/dz_j * sum - exp(z_i) * d sum/dz_j, entries (i, j)."""
    by_entry, by_sum = jacobian(np.exp, p.z), jacobian(lambda z: np.exp(z).sum(), p.z)
    return by_entry * np.exp(p.z).sum() - np.outer(np.exp(p.z), by_sum)


# --- 1.1b: the chain, and 1.1c: a batch


def _leaky_by_x(p):
    """dL/dx of the next layer y = V x + a, where x = leaky(z)."""
    return jacobian(lambda x: loss(p.V @ x + p.a, p.c), leaky(p.z, p.slope))


def _leaky_delta(p):
    return jacobian(lambda y: loss(y, p.c), p.V @ leaky(p.z, p.slope) + p.a)


def _rows_loss(p, inputs, weight, bias):
    return loss(inputs @ weight.T + bias, p.C)


def _rows_delta(p):
    """dL/dy, samples as rows."""
    return jacobian(lambda y: loss(y, p.C), p.X @ p.W.T + p.b)


def _kronecker_difference(p):
    """I (x) x - x (x) x by Kronecker products, if the two have one shape."""
    x = row(probabilities(p))
    first, second = np.kron(np.eye(len(p.z)), x), np.kron(x, x)
    if first.shape != second.shape:
        raise NotConformable(first.shape, second.shape)
    return first - second


def _batch_of_logits(rng):
    return Point(Z=rng.normal(size=(3, 4)), T=np.eye(4)[rng.integers(4, size=3)])


def _batch_of_activations(rng):
    return Point(
        Z=rng.choice([-1.0, 1.0], (3, 4)) * rng.uniform(0.3, 1.5, (3, 4)), c=rng.normal(size=(3, 4)), slope=0.3
    )


CHAIN = (
    claim(
        "uva-nov19-1.1b-i-scalar",
        "Question 1.1b (i), entries",
        r"\frac{\partial L}{\partial \tilde{x}_j^{(n)}} = \sum_i^D \frac{\partial L}{\partial x_i^{(N)}} x_i^{(N)} "
        r"(\mathbb{1}(i=j) - x_j^{(N)})",
        "The chain rule, with the index that question 1.1a (ii) meant; (n) on the left stands for (N).",
        prediction,
        loss_by_logits,
        lambda p: entrywise(
            len(p.z),
            entry=lambda j: sum(
                loss_by_probabilities(p)[i] * probabilities(p)[i] * ((i == j) - probabilities(p)[j])
                for i in range(len(p.z))
            ),
        ),
    ),
    claim(
        "uva-nov19-1.1b-i-matrix",
        "Question 1.1b (i), matrix form",
        r"\frac{\partial L}{\partial \tilde{x}^{(n)}} = \frac{\partial L}{\partial x^{(N)}} "
        r"\left(I \otimes x^{(N)} - x^{(N)} \otimes x^{(N)} \right)",
        "The Kronecker products (or outer products) on the two sides of the minus have different shapes. The entries "
        "in the line above mean the first one entry by entry, I with its rows scaled by x, and the second as an outer "
        "product.",
        prediction,
        lambda p: row(loss_by_logits(p)),
        lambda p: product(row(loss_by_probabilities(p)), _kronecker_difference(p)),
        right_at="the entries in the line above",
        corrected=lambda p: product(
            row(loss_by_probabilities(p)),
            np.eye(len(p.z)) * probabilities(p)[:, None] - np.outer(probabilities(p), probabilities(p)),
        ),
        correction=r"\frac{\partial L}{\partial x^{(N)}} "
        r"\left(I \odot x^{(N)} - x^{(N)} \otimes x^{(N)} \right)",
    ),
    claim(
        "uva-nov19-1.1b-ii",
        "Question 1.1b (ii)",
        r"\frac{\partial L}{\partial \tilde{x}_{j}^{(l < N)}} = \begin{cases} \frac{\partial L}{\partial x_{j}^{(l)}} "
        r"& \text{if } \tilde{x}_{j}^{(l < N)} > 0 \\ a \frac{\partial L}{\partial x_{j}^{(l)}} & \text{if } "
        r"\tilde{x}_{j}^{(l < N)} < 0 \end{cases}",
        "The gradient passes with slope 1 or a, entry by entry.",
        network,
        lambda p: jacobian(lambda z: loss(p.V @ leaky(z, p.slope) + p.a, p.c), p.z),
        lambda p: entrywise(len(p.z), entry=lambda j: (1.0 if p.z[j] > 0 else p.slope) * _leaky_by_x(p)[j]),
    ),
    claim(
        "uva-nov19-1.1b-iii-scalar",
        "Question 1.1b (iii), entries",
        r"\sum_i^D \frac{\partial L}{\partial \tilde{x}_i^{(l+1)}} "
        r"\frac{\partial \tilde{x}_i^{(l+1)}}{\partial x_j^{(l)}} = "
        r"\sum_i^D \frac{\partial L}{\partial \tilde{x}_i^{(l+1)}} W_{ij}^{(l)}",
        "The weight between layers l and l+1 is W^(l+1), as (a) iv and (b) iv number it. W^(l) has the sizes of the "
        "layer before.",
        network,
        _leaky_by_x,
        lambda p: product(row(_leaky_delta(p)), p.W)[0],
        again="Question 1.1b (iii), vector form",
        corrected=lambda p: entrywise(
            len(p.z), entry=lambda j: sum(_leaky_delta(p)[i] * p.V[i, j] for i in range(len(p.a)))
        ),
        correction=r"\sum_i^D \frac{\partial L}{\partial \tilde{x}_i^{(l+1)}} W_{ij}^{(l+1)}",
    ),
    claim(
        "uva-nov19-1.1b-iii-vector",
        "Question 1.1b (iii), vector form",
        r"\frac{\partial L}{\partial x^{(l < N)}} = \frac{\partial L}{\partial \tilde{x}^{(l+1)}} \; W^{(l)}",
        "As in the line above, the weight is that of layer l+1.",
        network,
        lambda p: row(_leaky_by_x(p)),
        lambda p: product(row(_leaky_delta(p)), p.W),
        again="Question 1.1b (iii), entries",
        corrected=lambda p: product(row(_leaky_delta(p)), p.V),
        correction=r"\frac{\partial L}{\partial \tilde{x}^{(l+1)}} \; W^{(l+1)}",
    ),
    claim(
        "uva-nov19-1.1b-iv-scalar",
        "Question 1.1b (iv), entries",
        r"\frac{\partial L}{\partial W_{jk}^{(l)}} = \sum_{i}^{D} \frac{\partial L}{\partial \tilde{x}_{i}^{(l)}} "
        r"\frac{\partial \tilde{x}_{i}^{(l)}}{\partial W_{jk}^{(l)}} = "
        r"\frac{\partial L}{\partial \tilde{x}_{j}^{(l)}} x_{k}^{(l-1)}",
        "Only output j sees row j of the weight.",
        layer,
        lambda p: jacobian(lambda W: loss(W @ p.x + p.b, p.c), p.W),
        lambda p: entrywise(p.m, p.n, entry=lambda j, k: layer_dy(p)[j] * p.x[k]),
    ),
    claim(
        "uva-nov19-1.1b-iv-matrix",
        "Question 1.1b (iv), matrix form",
        r"\frac{\partial L}{\partial W^{(l)}} = \frac{\partial L}{\partial \tilde{x}^{(l)}} \otimes x^{(l-1)}",
        "Read as the outer product of two vectors, the gradient has the shape of the weight.",
        layer,
        lambda p: jacobian(lambda W: loss(W @ p.x + p.b, p.c), p.W),
        lambda p: np.outer(layer_dy(p), p.x),
    ),
    claim(
        "uva-nov19-1.1b-v-scalar",
        "Question 1.1b (v), entries",
        r"\frac{\partial L}{\partial b_j^{(l)}} = \sum_i^D \frac{\partial L}{\partial \tilde{x}_i^{(l)}} "
        r"\frac{\partial \tilde{x}_i^{(l)}}{\partial b_j^{(l)}} = \frac{\partial L}{\partial \tilde{x}_j^{(l)}}",
        "Each output has its own bias.",
        layer,
        lambda p: jacobian(lambda b: loss(p.W @ p.x + b, p.c), p.b),
        lambda p: entrywise(p.m, entry=lambda j: layer_dy(p)[j]),
    ),
    claim(
        "uva-nov19-1.1b-v-vector",
        "Question 1.1b (v), vector form",
        r"\frac{\partial L}{\partial b^{(l)}} = \frac{\partial L}{\partial \tilde{x}^{(l)}}",
        "For one sample, which is what the question is about. With more, the rows add up, as its 1.1c says.",
        lambda rng: one_row(rows_layer(rng)),
        lambda p: row(jacobian(lambda b: _rows_loss(p, p.X, p.W, b), p.b)),
        _rows_delta,
    ),
    claim(
        "uva-nov19-1.1c-bias",
        "Question 1.1c, bias",
        r"\frac{\partial L}{\partial b^{(l)}} = \sum_{s=1}^{B} \frac{\partial L}{\partial \tilde{x}_s^{(l)}}",
        "Said in words: the sum over each individual gradient of the batch.",
        rows_layer,
        lambda p: jacobian(lambda b: _rows_loss(p, p.X, p.W, b), p.b),
        lambda p: sum(_rows_delta(p)[s] for s in range(p.s)),
    ),
    claim(
        "uva-nov19-1.1c-weight",
        "Question 1.1c, weight",
        r"\frac{\partial L}{\partial W^{(l)}} = "
        r"\sum_{s=1}^{B} \frac{\partial L}{\partial \tilde{x}_s^{(l)}} \otimes x_s^{(l-1)}",
        "Said in words: the same process as for the bias.",
        rows_layer,
        lambda p: jacobian(lambda W: _rows_loss(p, p.X, W, p.b), p.W),
        lambda p: sum(np.outer(_rows_delta(p)[s], p.X[s]) for s in range(p.s)),
    ),
    claim(
        "uva-nov19-1.1c-input",
        "Question 1.1c, input of a layer",
        r"\frac{\partial L}{\partial x^{(l < N)}} = \frac{\partial L}{\partial \tilde{x}^{(l+1)}} W^{(l+1)} "
        r"\quad \text{for a batch in rows}",
        "Said in words: the formula does not change, both sides grow by a row for each sample. (Here with the layer "
        "number that (b) iii meant.)",
        rows_layer,
        lambda p: jacobian(lambda X: _rows_loss(p, X, p.W, p.b), p.X),
        lambda p: product(_rows_delta(p), p.W),
    ),
    claim(
        "uva-nov19-1.1c-activation",
        "Question 1.1c, activation",
        r"\frac{\partial L}{\partial \tilde{x}_j^{(l< N)}} \text{ does not change: performed on each element}",
        "Said in words: the slope 1 or a applies to every element of the batch.",
        _batch_of_activations,
        lambda p: jacobian(lambda Z: loss(leaky(Z, p.slope), p.c), p.Z),
        lambda p: np.where(p.Z > 0, 1.0, p.slope) * jacobian(lambda x: loss(x, p.c), leaky(p.Z, p.slope)),
    ),
    claim(
        "uva-nov19-1.1c-softmax",
        "Question 1.1c, softmax",
        r"\frac{\partial L}{\partial \tilde{x}_i^{(N)}} \text{ does not change: performed row-wise}",
        "Said in words: the formula of (b) i applies to each row, and no row depends on another.",
        _batch_of_logits,
        lambda p: jacobian(lambda Z: -np.sum(p.T * np.log(softmax(Z))), p.Z),
        lambda p: np.stack(
            [(-t / x) @ (np.diag(x) - np.outer(x, x)) for x, t in ((softmax(p.Z[s]), p.T[s]) for s in range(len(p.Z)))]
        ),
    ),
)


# --- 3.2a: batch normalisation


def _affine(p, gamma, beta):
    return gamma * x_hat(p) + beta


def _by_x_hat(p):
    """df/dx-hat = gamma dL/dy, found numerically."""
    return jacobian(lambda h: loss(p.gamma * h + p.beta, p.c), x_hat(p))


BATCH_NORM = (
    claim(
        "uva-nov19-3.2a-i-entries",
        "Question 3.2a (i), entries",
        r"\frac{\partial y_i}{\partial \gamma_j} = \begin{cases} \hat{x} & \text{if j = i} \\ "
        r"0 & \text{if j != i} \end{cases}",
        "An index is left out: a single derivative is one entry of x-hat, not the vector.",
        batch_norm_point,
        lambda p: jacobian(lambda gamma: (gamma * x_hat(p) + p.beta)[0], p.gamma),
        lambda p: np.stack([[x_hat(p)[0] if j == i else np.zeros(p.d) for j in range(p.d)] for i in range(p.d)]),
        right_at="the gradient in the line below",
        corrected=lambda p: entrywise(p.d, p.d, entry=lambda i, j: x_hat(p)[0, i] if j == i else 0.0),
        correction=r"\hat{x}_i \quad \text{if } j = i",
    ),
    claim(
        "uva-nov19-3.2a-i-gradient",
        "Question 3.2a (i), gradient",
        r"\frac{\partial L}{\partial y} \frac{\partial y}{\partial \gamma} = "
        r"\sum_{s=1}^B \frac{\partial L}{\partial y^s} \hat{x^s}",
        "With the product of the two vectors taken entry by entry.",
        batch_norm_point,
        lambda p: jacobian(lambda gamma: loss(_affine(p, gamma, p.beta), p.c), p.gamma),
        lambda p: sum(batch_norm_dy(p)[s] * x_hat(p)[s] for s in range(p.n)),
    ),
    claim(
        "uva-nov19-3.2a-ii-entries",
        "Question 3.2a (ii), entries",
        r"\frac{\partial y_i}{\partial \beta_j} = \begin{cases} 1 & \text{if j = i} \\ "
        r"0 & \text{if j != i} \end{cases}",
        "Each feature has its own beta.",
        batch_norm_point,
        lambda p: jacobian(lambda beta: (p.gamma * x_hat(p) + beta)[0], p.beta),
        lambda p: entrywise(p.d, p.d, entry=lambda i, j: 1.0 if j == i else 0.0),
    ),
    claim(
        "uva-nov19-3.2a-ii-gradient",
        "Question 3.2a (ii), gradient",
        r"\frac{\partial L}{\partial y} \frac{\partial y}{\partial \beta} = "
        r"\sum_{s=1}^B \frac{\partial L}{\partial y^s}",
        "beta is shared by the samples.",
        batch_norm_point,
        lambda p: jacobian(lambda beta: loss(_affine(p, p.gamma, beta), p.c), p.beta),
        lambda p: sum(batch_norm_dy(p)[s] for s in range(p.n)),
    ),
    claim(
        "uva-nov19-3.2a-cited",
        "Question 3.2a, cited formula",
        r"\frac{\partial f}{\partial x_i} = \frac{B \frac{\partial f}{\partial \hat{x}_i} - \sum_{s=1}^{B} "
        r"\frac{\partial f}{\partial \hat{x}^s} - \hat{x}_i \sum_{s=1}^{B} \frac{\partial f}{\partial \hat{x}^s} "
        r"\cdot \hat{x}^s}{B \sqrt{\sigma^2 + \epsilon}}",
        "The document quotes it from a web page. gamma does not appear because it is part of df/dx-hat, which is gamma "
        "times the gradient by y; i is a sample, and the products are entry by entry.",
        batch_norm_point,
        batch_norm_dx,
        lambda p: (
            (p.n * _by_x_hat(p) - _by_x_hat(p).sum(axis=0) - x_hat(p) * (_by_x_hat(p) * x_hat(p)).sum(axis=0))
            / (p.n * np.sqrt(np.mean((p.x - mean(p)) ** 2, axis=0) + p.eps))
        ),
    ),
)

CLAIMS = SINGLE + CHAIN + BATCH_NORM
