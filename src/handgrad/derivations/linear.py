"""Linear layers: index notation, question 1.1 of the Amsterdam course, a batch, and dropout."""

from __future__ import annotations

import numpy as np

from handgrad import nn
from handgrad.derivations.derivation import D, Derivation, Link
from handgrad.derivations.running import FLOAT64, run_layer
from handgrad.nn.dropout import draw_mask

TOPIC = "Linear layers and the network"


def _linear(x, dy, weight, bias):
    layer = nn.Linear(*weight.shape[::-1], dtype=FLOAT64)
    return run_layer(layer, x, dy, weight=weight, bias=bias)


# -- a linear layer in index notation ---------------------------------------------------------------------------------

linear = Derivation(
    "linear",
    TOPIC,
    "The linear layer in index notation: weight, bias and input",
    {"N": 4, "D": 3, "K": 2},
    lambda rng, N, D, K: {
        "x": rng.normal(size=(N, D)),
        "weight": rng.normal(size=(K, D)),
        "bias": rng.normal(size=K),
        "dy": rng.normal(size=(N, K)),
    },
    intro="weight is (K, D), as in PyTorch: y = x Wᵀ + b. Indices: m, n samples; i, j, o features; k, q outputs.",
    source="UvA report, 2020, section 1.1; Goodfellow, Bengio, Courville (2016), section 6.5",
)


@linear.step(
    "definition",
    r"Y_{mk} = \sum_o X_{mo} W_{ko} + b_k",
    "Yₘₖ = Σₒ Xₘₒ Wₖₒ + bₖ",
    "Each output is a weighted sum of the features of its sample.",
    direct=lambda x, dy, weight, bias: _linear(x, dy, weight, bias).y,
    direct_label="nn.Linear",
    link=Link(nn.Linear.forward, "x @ weight.mT + bias"),
)
def y(x, weight, bias):
    return np.einsum("mo,ko->mk", x, weight) + bias


@linear.given
def L(dy, y):
    return (dy * y).sum()


@linear.step(
    "weight: the local derivative",
    r"\frac{\partial Y_{mk}}{\partial W_{ij}} = \sum_o X_{mo} \delta_{ki} \delta_{oj}",
    "∂Yₘₖ/∂Wᵢⱼ = Σₒ Xₘₒ δₖᵢ δₒⱼ",
    "The derivative of a weight with respect to another weight is 1 if they are the same, else 0.",
    derivative=D("y", "weight"),
)
def dy_dweight(x, weight):
    k, d = weight.shape
    return np.einsum("mo,ki,oj->mkij", x, np.eye(k), np.eye(d))


@linear.step(
    "weight: the chain rule",
    r"\frac{\partial L}{\partial W_{ij}} = \sum_{mk} \frac{\partial L}{\partial Y_{mk}}"
    r" \frac{\partial Y_{mk}}{\partial W_{ij}}",
    "∂L/∂Wᵢⱼ = Σₘₖ dYₘₖ ∂Yₘₖ/∂Wᵢⱼ",
    "Sum over all outputs of all samples.",
    derivative=D("L", "weight"),
)
def dweight_chain(dy, dy_dweight):
    return np.einsum("mk,mkij->ij", dy, dy_dweight)


@linear.step(
    "weight: the deltas carried out",
    r"\frac{\partial L}{\partial W_{ij}} = \sum_m \frac{\partial L}{\partial Y_{mi}} X_{mj}",
    "∂L/∂Wᵢⱼ = Σₘ dYₘᵢ Xₘⱼ",
    "δₖᵢ selects output i, δₒⱼ selects feature j; the sum over samples remains.",
    same=True,
)
def dweight_sum(dy, x):
    return np.einsum("mi,mj->ij", dy, x)


@linear.step(
    "weight: as a product of matrices",
    r"\frac{\partial L}{\partial W} = \left(\frac{\partial L}{\partial Y}\right)^\top X",
    "dW = dYᵀ X",
    "The sum runs over the first index of both factors, so the first factor is transposed.",
    same=True,
)
def dweight(dy, x):
    return dy.T @ x


@linear.step(
    "bias: the chain rule",
    r"\frac{\partial L}{\partial b_j} = \sum_{pq} \frac{\partial L}{\partial Y_{pq}} \delta_{qj}",
    "∂L/∂bⱼ = Σₚᵩ dYₚᵩ δᵩⱼ",
    "bⱼ is added to output j of every sample.",
    derivative=D("L", "bias"),
)
def dbias_chain(dy, bias):
    return np.einsum("pq,qj->j", dy, np.eye(len(bias)))


@linear.step(
    "bias: as a product with ones",
    r"\frac{\partial L}{\partial b} = \mathbf 1^\top \frac{\partial L}{\partial Y}",
    "db = 1ᵀ dY",
    "A sum over the samples.",
    same=True,
)
def dbias(dy):
    return np.ones(len(dy)) @ dy


@linear.step(
    "input: the local derivative",
    r"\frac{\partial Y_{pq}}{\partial X_{ij}} = \sum_r \delta_{pi} \delta_{rj} W_{qr}",
    "∂Yₚᵩ/∂Xᵢⱼ = Σᵣ δₚᵢ δᵣⱼ Wᵩᵣ",
    "Only the outputs of a sample depend on its features.",
    derivative=D("y", "x"),
)
def dy_dx(x, weight):
    n, d = x.shape
    return np.einsum("pi,rj,qr->pqij", np.eye(n), np.eye(d), weight)


@linear.step(
    "input: the chain rule",
    r"\frac{\partial L}{\partial X_{ij}} = \sum_q \frac{\partial L}{\partial Y_{iq}} W_{qj}",
    "∂L/∂Xᵢⱼ = Σᵩ dYᵢᵩ Wᵩⱼ",
    "Evaluate the deltas.",
    derivative=D("L", "x"),
)
def dx_sum(dy, weight):
    return np.einsum("iq,qj->ij", dy, weight)


@linear.step(
    "input: as a product of matrices",
    r"\frac{\partial L}{\partial X} = \frac{\partial L}{\partial Y} W",
    "dX = dY W",
    "The sum runs over the inner index, so nothing is transposed.",
    same=True,
)
def dx(dy, weight):
    return dy @ weight


@linear.step(
    "what nn computes: weight",
    r"\texttt{weight.grad} = dy^\top x",
    "weight.grad = dyᵀ x",
    "Stored in the gradient of the parameter.",
    same="dweight",
    link=Link(nn.Linear.backward, "dy.mT @ x"),
)
def dweight_nn(x, dy, weight, bias):
    return _linear(x, dy, weight, bias).grads["weight"]


@linear.step(
    "what nn computes: bias",
    r"\texttt{bias.grad} = \sum_n dy_n",
    "bias.grad = Σₙ dyₙ",
    "The product with ones is a sum.",
    same="dbias",
    link=Link(nn.Linear.backward, "sum_over_batch(dy)"),
)
def dbias_nn(x, dy, weight, bias):
    return _linear(x, dy, weight, bias).grads["bias"]


@linear.step(
    "what nn computes: input",
    r"dx = dy\, W",
    "dx = dy W",
    "Alike.",
    same="dx",
    link=Link(nn.Linear.backward, "dy @ weight"),
)
def dx_nn(x, dy, weight, bias):
    return _linear(x, dy, weight, bias).dx


# -- question 1.1: a network for one sample, then a batch -------------------------------------------------------------

_NETWORK = (
    "A network of the course: x̃¹ = W¹x⁰ + b¹, x¹ = LeakyReLU(x̃¹) (a = 0 is ReLU), x̃² = W²x¹ + b², x² = softmax(x̃²), "
    "L the cross-entropy with one-hot t. Sizes: D inputs, H hidden units, K classes. "
)


def _network_point(rng, D, H, K, N=None):
    batch = () if N is None else (N,)
    classes = rng.integers(K, size=batch)
    W1, b1 = rng.normal(size=(H, D)) / 3, rng.normal(size=H) / 3
    if H > 1:
        W1[0], b1[0] = 0, 0  # a unit at the kink: the slope there is a, as in the branch that x1 uses
    return {
        "x0": rng.normal(size=(*batch, D)),
        "W1": W1,
        "b1": b1,
        "W2": rng.normal(size=(K, H)),
        "b2": rng.normal(size=K),
        "t": np.eye(K)[classes],
        "a": 0.02,
    }


def _network(name, title, intro, source, sizes):
    """A derivation over the network; all quantities accept one sample (D,) or a batch (N, D)."""
    derivation = Derivation(name, TOPIC, title, sizes, _network_point, intro=_NETWORK + intro, source=source)

    @derivation.given
    def z1(x0, W1, b1):
        return x0 @ W1.T + b1

    @derivation.given
    def x1(z1, a):
        return np.where(z1.real > 0, z1, a * z1)

    @derivation.given
    def z2(x1, W2, b2):
        return x1 @ W2.T + b2

    @derivation.given
    def x2(z2):
        e = np.exp(z2)
        return e / e.sum(axis=-1, keepdims=True)

    @derivation.given
    def L(x2, t):
        return -(t * np.log(x2)).sum() / (len(t) if t.ndim == 2 else 1)

    return derivation


_UVA = "UvA reports A and B, April 2019, and report, November 2019: question 1.1 "
local = _network(
    "question-1.1a",
    "Question 1.1 a: the local derivatives i to vi, for one sample",
    "x̃¹, x̃² are called z1, z2 in code. Jacobians have the output's index first.",
    _UVA + "a)",
    {"D": 4, "H": 3, "K": 2},
)


@local.step(
    "i: loss by probabilities",
    r"\frac{\partial L}{\partial x^{(N)}_i} = -\frac{t_i}{x^{(N)}_i}",
    "∂L/∂xᵢ = −tᵢ / xᵢ",
    "L = −Σ tᵢ log xᵢ. The sign is negative: a higher probability of the true class gives a lower loss.",
    derivative=D("L", "x2"),
)
def a1(x2, t):
    return -t / x2


@local.step(
    "ii: probabilities by scores",
    r"\frac{\partial x^{(N)}_i}{\partial \tilde x^{(N)}_j} = x^{(N)}_i (\delta_{ij} - x^{(N)}_j)",
    "∂xᵢ/∂x̃ⱼ = xᵢ (δᵢⱼ − xⱼ)",
    "Quotient rule for the two cases i = j and i ≠ j. The index in the parentheses is j.",
    derivative=D("x2", "z2"),
)
def a2(x2):
    return x2[:, None] * (np.eye(len(x2)) - x2[None, :])


@local.step(
    "ii: as a matrix",
    r"\frac{\partial x^{(N)}}{\partial \tilde x^{(N)}} = \operatorname{diag}(x^{(N)}) - x^{(N)} x^{(N)\top}",
    "∂x/∂x̃ = diag(x) − x xᵀ",
    "The same.",
    same=True,
)
def a2_matrix(x2):
    return np.diag(x2) - np.outer(x2, x2)


@local.step(
    "iii: activation by pre-activation",
    r"\frac{\partial x^{(l)}}{\partial \tilde x^{(l)}} = \operatorname{diag}"
    r"\big(\mathbb 1(\tilde x^{(l)} > 0) + a\, \mathbb 1(\tilde x^{(l)} \le 0)\big)",
    "∂x/∂x̃ = diag(1 where x̃ > 0, else a)",
    "Elementwise, so the Jacobian is diagonal. a = 0 gives ReLU.",
    derivative=D("x1", "z1"),
)
def a3(z1, a):
    return np.diag((z1 > 0) + a * (z1 <= 0))


@local.step(
    "iv: pre-activation by input",
    r"\frac{\partial \tilde x^{(l)}}{\partial x^{(l-1)}} = W^{(l)}",
    "∂x̃/∂x = W",
    "∂x̃ᵢ/∂xⱼ = Wᵢⱼ.",
    derivative=D("z2", "x1"),
)
def a4(W2):
    return W2


@local.step(
    "v: pre-activation by weight",
    r"\frac{\partial \tilde x^{(l)}_i}{\partial W^{(l)}_{jk}} = \delta_{ij}\, x^{(l-1)}_k",
    "∂x̃ᵢ/∂Wⱼₖ = δᵢⱼ xₖ",
    "Three indices: x̃ᵢ depends only on row i of W. This is not the vector xᵀ, which appears only after applying the "
    "chain rule.",
    derivative=D("z2", "W2"),
)
def a5(x1, W2):
    return np.einsum("ij,k->ijk", np.eye(len(W2)), x1)


@local.step(
    "vi: pre-activation by bias",
    r"\frac{\partial \tilde x^{(l)}}{\partial b^{(l)}} = I",
    "∂x̃/∂b = I",
    "bⱼ is added only to x̃ⱼ: the Jacobian is the identity, not a matrix of ones.",
    derivative=D("z2", "b2"),
)
def a6(b2):
    return np.eye(len(b2))


def _nn_network(x0, W1, b1, W2, b2, t, a):
    """Loss gradients of the network, from nn's layers, for a batch."""
    first, second = (nn.Linear(*w.shape[::-1], dtype=FLOAT64) for w in (W1, W2))
    first.weight, first.bias = nn.Parameter(W1.copy()), nn.Parameter(b1.copy())
    second.weight, second.bias = nn.Parameter(W2.copy()), nn.Parameter(b2.copy())
    layers = (first, nn.LeakyReLU(a), second, nn.Softmax())
    x, t = np.atleast_2d(x0), np.atleast_2d(t)
    for layer in layers:
        x = layer.forward(x)
    loss = nn.CrossEntropy()
    loss.forward(x, t)
    gradient, gradients = loss.backward(), []
    for layer in reversed(layers):
        gradient = layer.backward(gradient)
        assert gradient is not None
        gradients.append(gradient)
    dz2, dx1, dz1, dx0 = gradients
    return {
        "dz2": dz2,
        "dx1": dx1,
        "dz1": dz1,
        "dx0": dx0,
        "dW2": second.weight.grad,
        "db2": second.bias.grad,
        "dW1": first.weight.grad,
        "db1": first.bias.grad,
    }


@local.step(
    "what nn computes",
    r"\frac{\partial L}{\partial \tilde x^{(N)}} = \frac{\partial L}{\partial x^{(N)}}"
    r" \frac{\partial x^{(N)}}{\partial \tilde x^{(N)}}",
    "∂L/∂x̃ = ∂L/∂x · ∂x/∂x̃",
    "The first two, combined by the chain rule. nn computes vector-Jacobian products and never forms a Jacobian.",
    derivative=D("L", "z2"),
    direct=lambda a1, a2: a1 @ a2,
    direct_label="steps 1 and 2",
    link=Link(nn.Softmax.backward, "y * (dy - "),
)
def a_nn(x0, W1, b1, W2, b2, t, a):
    return _nn_network(x0, W1, b1, W2, b2, t, a)["dz2"][0]


chain = _network(
    "question-1.1b",
    "Question 1.1 b: the gradients of the loss by the chain rule, for one sample",
    "Gradients are vectors with the shape of their variable; δ is ∂L/∂x̃, the error term of a layer.",
    _UVA + "b)",
    {"D": 4, "H": 3, "K": 2},
)


@chain.step(
    "i: scores of the last layer",
    r"\frac{\partial L}{\partial \tilde x^{(N)}_j} = \sum_i -\frac{t_i}{x_i}\, x_i (\delta_{ij} - x_j)",
    "∂L/∂x̃ⱼ = Σᵢ −tᵢ/xᵢ · xᵢ (δᵢⱼ − xⱼ)",
    "a) i times a) ii.",
    derivative=D("L", "z2"),
)
def b1_product(x2, t):
    return (-t / x2) @ (np.diag(x2) - np.outer(x2, x2))


@chain.step(
    "i: simplified",
    r"\frac{\partial L}{\partial \tilde x^{(N)}} = x^{(N)} - t \equiv \delta^{(N)}",
    "∂L/∂x̃ = x − t",
    "For targets that sum to 1.",
    same=True,
)
def delta2(x2, t):
    return x2 - t


@chain.step(
    "ii: pre-activations of a hidden layer, through everything above",
    r"\frac{\partial L}{\partial \tilde x^{(l)}_j} = f'(\tilde x^{(l)}_j) \sum_k \delta^{(l+1)}_k W^{(l+1)}_{kj}",
    "∂L/∂x̃ⱼ = f′(x̃ⱼ) Σₖ δₖ Wₖⱼ",
    "Propagate back through the weights of the next layer, then multiply by the slope of the activation.",
    derivative=D("L", "z1"),
)
def b2_sum(delta2, W2, z1, a):
    return np.einsum("k,kj->j", delta2, W2) * np.where(z1 > 0, 1, a)


@chain.step(
    "ii: as a product",
    r"\frac{\partial L}{\partial \tilde x^{(l)}} = \frac{\partial L}{\partial x^{(l)}} \odot f'(\tilde x^{(l)})",
    "∂L/∂x̃ = ∂L/∂x ⊙ f′(x̃)",
    "A vector of the size of the layer, not a matrix: a product with diag(…) is elementwise.",
    same=True,
)
def delta1(dx1, z1, a):
    return dx1 * np.where(z1 > 0, 1, a)


@chain.step(
    "iii: activations of a hidden layer",
    r"\frac{\partial L}{\partial x^{(l)}} = W^{(l+1)\top} \delta^{(l+1)}",
    "∂L/∂x = Wᵀ δ, W and δ of the next layer",
    "a) iv: the Jacobian is W^(l+1). For column vectors, its product with the gradient uses the transpose.",
    derivative=D("L", "x1"),
)
def dx1(W2, delta2):
    return W2.T @ delta2


@chain.step(
    "iv: weight, with the three-index derivative",
    r"\frac{\partial L}{\partial W_{jk}} = \sum_i \delta_i\, \delta_{ij}\, x_k",
    "∂L/∂Wⱼₖ = Σᵢ δᵢ [i = j] xₖ",
    "Substitute a) v into the chain rule.",
    derivative=D("L", "W1"),
)
def b4_sum(delta1, x0):
    return np.einsum("i,ij,k->jk", delta1, np.eye(len(delta1)), x0)


@chain.step(
    "iv: weight, as an outer product",
    r"\frac{\partial L}{\partial W^{(l)}} = \delta^{(l)} x^{(l-1)\top}",
    "∂L/∂W = δ xᵀ",
    "The large, sparse Jacobian is never computed.",
    same=True,
)
def dW1(delta1, x0):
    return np.outer(delta1, x0)


@chain.step(
    "v: bias",
    r"\frac{\partial L}{\partial b^{(l)}} = \delta^{(l)}",
    "∂L/∂b = δ",
    "a) vi: times the identity.",
    derivative=D("L", "b1"),
)
def db1(delta1):
    return delta1


@chain.step(
    "vi: input of the network",
    r"\frac{\partial L}{\partial x^{(0)}} = W^{(1)\top} \delta^{(1)}",
    "∂L/∂x⁰ = W¹ᵀ δ¹",
    "The same as iii. It is not needed for training, but for checking gradients.",
    derivative=D("L", "x0"),
)
def dx0(W1, delta1):
    return W1.T @ delta1


@chain.step(
    "what nn computes",
    r"\frac{\partial L}{\partial W^{(1)}}",
    "∂L/∂W¹ from nn's layers, backwards",
    "Softmax, linear, LeakyReLU and linear layer of nn, each with the gradient from the layer above.",
    same="dW1",
    link=Link(nn.Sequential.backward, "reversed("),
)
def dW1_nn(x0, W1, b1, W2, b2, t, a):
    return _nn_network(x0, W1, b1, W2, b2, t, a)["dW1"]


batch = _network(
    "question-1.1c",
    "Question 1.1 c: what changes with a batch",
    "Now x⁰ is (N, D), with one row per sample, and L is the mean over the batch. Every gradient has the shape of its "
    "variable: those of weights and biases are summed over the batch axis, the others keep it.",
    _UVA + "c)",
    {"N": 5, "D": 4, "H": 3, "K": 2},
)


@batch.step(
    "scores: 1/N enters",
    r"\frac{\partial L}{\partial \tilde X^{(N)}} = \frac1N (X^{(N)} - T)",
    "∂L/∂X̃ = (X − T) / N, shape (N, K)",
    "As before, row by row. The mean contributes the factor 1/N, only here.",
    derivative=D("L", "z2"),
)
def Delta2(x2, t):
    return (x2 - t) / len(t)


@batch.step(
    "activations: one row per sample",
    r"\frac{\partial L}{\partial X^{(l)}} = \Delta^{(l+1)} W^{(l+1)}",
    "∂L/∂X = Δ W, shape (N, H)",
    "With rows instead of columns, there is no transpose.",
    derivative=D("L", "x1"),
)
def dX1(Delta2, W2):
    return Delta2 @ W2


@batch.step(
    "pre-activations: elementwise as before",
    r"\Delta^{(l)} = \frac{\partial L}{\partial X^{(l)}} \odot f'(\tilde X^{(l)})",
    "Δ = ∂L/∂X ⊙ f′(X̃), shape (N, H)",
    "Only the shape changes.",
    derivative=D("L", "z1"),
)
def Delta1(dX1, z1, a):
    return dX1 * np.where(z1 > 0, 1, a)


@batch.step(
    "weight: a sum of outer products",
    r"\frac{\partial L}{\partial W^{(l)}} = \sum_n \delta_n^{(l)} x_n^{(l-1)\top}",
    "∂L/∂W = Σₙ δₙ xₙᵀ",
    "All samples share the weight, so their gradients add up.",
    derivative=D("L", "W1"),
)
def dW1_sum(Delta1, x0):
    return sum(np.outer(delta, x) for delta, x in zip(Delta1, x0, strict=True))


@batch.step(
    "weight: as a product of matrices",
    r"\frac{\partial L}{\partial W^{(l)}} = \Delta^{(l)\top} X^{(l-1)}",
    "∂L/∂W = Δᵀ X, shape (H, D)",
    "A sum of outer products is a matrix product. It has the shape of W, without a batch axis.",
    same=True,
)
def dW1_batch(Delta1, x0):
    return Delta1.T @ x0


@batch.step(
    "bias: a sum over the batch",
    r"\frac{\partial L}{\partial b^{(l)}} = \sum_n \delta_n^{(l)}",
    "∂L/∂b = Σₙ δₙ, shape (H,)",
    "The bias is also shared: its gradients are summed, not stacked.",
    derivative=D("L", "b1"),
)
def db1_batch(Delta1):
    return Delta1.sum(axis=0)


@batch.step(
    "what nn computes: weight",
    r"\texttt{weight.grad} = \Delta^\top X",
    "weight.grad = Δᵀ X",
    "nn's layers, backwards.",
    same="dW1_batch",
    link=Link(nn.Linear.backward, "dy.mT @ x"),
)
def dW1_batch_nn(x0, W1, b1, W2, b2, t, a):
    return _nn_network(x0, W1, b1, W2, b2, t, a)["dW1"]


@batch.step(
    "what nn computes: bias",
    r"\texttt{bias.grad} = \sum_n \delta_n",
    "bias.grad = Σₙ δₙ",
    "Alike.",
    same="db1_batch",
    link=Link(nn.Linear.backward, "sum_over_batch(dy)"),
)
def db1_batch_nn(x0, W1, b1, W2, b2, t, a):
    return _nn_network(x0, W1, b1, W2, b2, t, a)["db1"]


# -- dropout ----------------------------------------------------------------------------------------------------------

dropout = Derivation(
    "dropout",
    TOPIC,
    "Dropout: the gradient, and why the remaining elements are scaled",
    {"N": 4, "D": 3},
    lambda rng, N, D: {
        "x": rng.normal(size=(N, D)),
        "dy": rng.normal(size=(N, D)),
        "p": 0.25,
        "seed": int(rng.integers(1000)),
    },
    intro="m is the mask of one forward pass: 0 with probability p, else 1/(1 − p). It is drawn once and stored for "
    "the backward pass.",
    source="Srivastava et al. (2014), section 10",
)


@dropout.given
def mask(x, p, seed):
    # The elements that nn.Dropout keeps with this seed. The derivation determines their scale.
    kept = nn.Dropout(p, rng=seed).forward(np.ones(np.shape(x))) != 0
    return kept / (1 - p)


@dropout.step(
    "definition",
    r"y = x \odot m",
    "y = x ⊙ m",
    "Some elements are dropped, and the others are scaled up.",
    direct=lambda x, p, seed: nn.Dropout(p, rng=seed).forward(x),
    direct_label="nn.Dropout",
    link=Link(draw_mask, "draws >= "),
)
def dropped(x, mask):
    return x * mask


@dropout.given
def dropped_loss(dy, dropped):
    return (dy * dropped).sum()


@dropout.step(
    "the expectation is the input",
    r"\mathbb E[y] = p \cdot 0 + (1 - p) \cdot \frac{x}{1 - p} = x",
    "E[y] = p·0 + (1 − p)·x/(1 − p) = x",
    "Exact, over the two outcomes of the mask. Evaluation, which drops nothing, therefore needs no scaling.",
    direct=lambda x, p: nn.Dropout(p).eval().forward(x),
    direct_label="nn.Dropout in eval()",
)
def expectation(x, p):
    probabilities, outcomes = np.array([p, 1 - p]), np.stack([np.zeros_like(x), x / (1 - p)])
    return np.einsum("o,ond->nd", probabilities, outcomes)


@dropout.step(
    "the chain rule",
    r"\frac{\partial L}{\partial x_{nd}} = \frac{\partial L}{\partial y_{nd}} m_{nd}",
    "∂L/∂x = dy ⊙ m",
    "The mask is constant in this pass, so a dropped element gets no gradient.",
    derivative=D("dropped_loss", "x"),
)
def dropout_dx(dy, mask):
    return dy * mask


@dropout.step(
    "what nn computes",
    r"dx = dy \odot m",
    "dx = dy ⊙ m",
    "With the mask stored by forward.",
    same=True,
    link=Link(nn.Dropout.backward, "dy * mask"),
)
def dropout_dx_nn(x, dy, p, seed):
    return run_layer(nn.Dropout(p, rng=seed), x, dy).dx


DERIVATIONS = [linear, local, chain, batch, dropout]
