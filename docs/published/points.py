"""Random points for the equations, the functions they speak of by their definitions, and derivatives of those.

Nothing here uses a derivation: every derivative is a complex step or a pair of one-sided differences. Sizes are always
unequal, so that a transpose cannot hide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from docs.published.claims import NotConformable, Point

from handgrad._typing import Array, Bool, Float

STEP = 1e-25


# --- derivatives


def jacobian(function: Callable, x: Any) -> Float[Array, "..."]:
    """df/dx by the complex step, in the shape of f(x) followed by the shape of x."""
    x = np.asarray(x, dtype=complex)
    columns = []
    for index in np.ndindex(x.shape):
        z = x.copy()
        z[index] += 1j * STEP
        columns.append(np.imag(np.asarray(function(z), dtype=complex)) / STEP)
    table = np.stack(columns, axis=-1)
    return table.reshape(table.shape[:-1] + x.shape)


def one_sided(function: Callable, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """df/dx of a piecewise linear function; undefined (nan) where the slopes to the right and to the left differ."""
    step = 2.0**-20
    columns = []
    for index in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[index] += step
        below[index] -= step
        right, left = (function(above) - function(x)) / step, (function(x) - function(below)) / step
        columns.append(np.where(np.abs(right - left) < 1e-6, right, np.nan))
    table = np.stack(columns, axis=-1)
    return table.reshape(table.shape[:-1] + x.shape)


# --- reading an equation literally


def product(*factors: Float[Array, "..."]) -> Float[Array, "..."]:
    """The matrix product of matrices, columns and rows, if it can be formed."""
    value = factors[0]
    for factor in factors[1:]:
        if value.shape[-1] != factor.shape[0]:
            raise NotConformable(value.shape, factor.shape)
        value = value @ factor
    return value


def column(x: Float[Array, "d"]) -> Float[Array, "d 1"]:
    return x[:, None]


def row(x: Float[Array, "d"]) -> Float[Array, "1 d"]:
    return x[None, :]


def every(values: Float[Array, "..."], n: int) -> Float[Array, "... n"]:
    """`values` for each of n values of an index that an equation leaves free: one more axis at the end."""
    return np.repeat(np.asarray(values)[..., None], n, axis=-1)


def entrywise(*indices: int, entry: Callable) -> Float[Array, "..."]:
    """The array of entry(i, j, ...) over these index ranges."""
    values = np.zeros(indices)
    for index in np.ndindex(*indices):
        values[index] = entry(*index)
    return values


def shape(*sizes: int) -> Float[Array, "n"]:
    """A shape as numbers, to be compared like any other part of a statement."""
    return np.array(sizes, dtype=float)


# --- functions, by definition


def softmax(z: Any) -> Any:
    """exp(z_i) / sum_k exp(z_k) along the last axis."""
    e = np.exp(z)
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(x: Any, t: Any) -> Any:
    """-sum_i t_i log x_i"""
    return -np.sum(t * np.log(x))


def relu(z: Any) -> Any:
    return np.where(np.real(z) > 0, z, 0)


def leaky(z: Any, slope: float) -> Any:
    return np.where(np.real(z) > 0, z, slope * z)


def loss(y: Any, c: Any) -> Any:
    """Some smooth scalar of a layer's output: sum of c * sin(y)."""
    return np.sum(c * np.sin(y))


def by_output(y: Any, c: Any) -> Any:
    """dL/dy of that scalar."""
    return jacobian(lambda v: loss(v, c), y)


def normalise(x: Any, mean: Any, variance: Any, eps: float) -> Any:
    return (x - mean) / np.sqrt(variance + eps)


# --- points


def sizes(rng: np.random.Generator, count: int, low: int = 2, high: int = 6) -> list[int]:
    """`count` different sizes in increasing order."""
    return sorted(int(n) for n in rng.choice(np.arange(low, high + 1), count, replace=False))


def prediction(rng: np.random.Generator) -> Point:
    """Logits z, targets t that are positive and otherwise free, and a class c."""
    k = int(rng.integers(3, 7))
    return Point(z=rng.normal(size=k), t=rng.uniform(0.3, 1.2, k), c=int(rng.integers(k)))


def one_hot(p: Point) -> Point:
    return p.but(t=np.eye(len(p.z))[p.c])


def one_hot_prediction(rng: np.random.Generator) -> Point:
    return one_hot(prediction(rng))


def kinked(rng: np.random.Generator) -> Point:
    """Inputs of a ReLU of which one is exactly zero."""
    z = rng.choice([-1.0, 1.0], 5) * rng.uniform(0.3, 1.5, 5)
    z[int(rng.integers(5))] = 0.0
    return Point(z=z, slope=0.3)


def off_the_kink(p: Point) -> Point:
    return p.but(z=np.where(p.z == 0, 0.7, p.z))


def activation_point(rng: np.random.Generator) -> Point:
    """Inputs of a ReLU, both signs, none zero."""
    return Point(z=np.array([-1.0, 1.0, 1.0, -1.0]) * rng.uniform(0.3, 1.5, 4), slope=0.3, c=rng.normal(size=4))


def layer(rng: np.random.Generator) -> Point:
    """y = W x + b for one sample: m outputs, n inputs, m < n."""
    m, n = sizes(rng, 2)
    return Point(W=rng.normal(size=(m, n)), x=rng.normal(size=n), b=rng.normal(size=m), c=rng.normal(size=m), m=m, n=n)


def columns_layer(rng: np.random.Generator) -> Point:
    """Y = W X + b for a batch of s columns."""
    p, s = layer(rng), 7
    return p.but(X=rng.normal(size=(p.n, s)), B=p.b[:, None], C=rng.normal(size=(p.m, s)))


def one_column(p: Point) -> Point:
    return p.but(X=p.X[:, :1], C=p.C[:, :1])


def rows_layer(rng: np.random.Generator) -> Point:
    """Y = X W^T + b for a batch of s rows, W of m rows (outputs) and n columns (inputs)."""
    p, s = layer(rng), 7
    return p.but(X=rng.normal(size=(s, p.n)), C=rng.normal(size=(s, p.m)), s=s)


def one_row(p: Point) -> Point:
    return p.but(X=p.X[:1], C=p.C[:1], s=1)


def network(rng: np.random.Generator) -> Point:
    """x = relu(z) of size d, then y = V x + a of size e; W, of d rows, is the weight of the layer before."""
    e, d, f = sizes(rng, 3, low=3)
    return Point(
        z=np.where(np.arange(d) % 2 == 0, 1.0, -1.0) * rng.uniform(0.3, 1.5, d),
        W=rng.normal(size=(d, f)),
        V=rng.normal(size=(e, d)),
        a=rng.normal(size=e),
        c=rng.normal(size=e),
        slope=0.3,
    )


def batch_norm_point(rng: np.random.Generator) -> Point:
    """x of n samples (rows, index s or r) and d features (index i or j)."""
    d, n = sizes(rng, 2, low=3)
    return Point(
        x=rng.normal(size=(n, d)),
        gamma=rng.uniform(0.5, 1.5, d),
        beta=rng.normal(size=d),
        eps=float(rng.uniform(0.1, 0.4)),
        c=rng.normal(size=(n, d)),
        n=n,
        d=d,
    )


def mean(p: Point) -> Any:
    return p.x.mean(axis=0)


def variance(p: Point) -> Any:
    return np.mean((p.x - p.x.mean(axis=0)) ** 2, axis=0)


def root(p: Point) -> Any:
    return np.sqrt(variance(p) + p.eps)


def x_hat(p: Point) -> Any:
    return (p.x - mean(p)) / root(p)


def batch_normed(p: Point, x: Any) -> Any:
    return p.gamma * x_hat(p.but(x=x)) + p.beta


def batch_norm_dy(p: Point) -> Any:
    return by_output(batch_normed(p, p.x), p.c)


def batch_norm_dx(p: Point) -> Any:
    return jacobian(lambda x: loss(batch_normed(p, x), p.c), p.x)


# --- derivatives that several documents ask for


def probabilities(p: Point) -> Any:
    return softmax(p.z)


def loss_by_probabilities(p: Point) -> Any:
    return jacobian(lambda x: cross_entropy(x, p.t), softmax(p.z))


def softmax_jacobian(p: Point) -> Any:
    """Entry (i, j): output i by input j."""
    return jacobian(softmax, p.z)


def loss_by_logits(p: Point) -> Any:
    return jacobian(lambda z: cross_entropy(softmax(z), p.t), p.z)


def layer_dy(p: Point) -> Any:
    return by_output(p.W @ p.x + p.b, p.c)


def output_by_weight(p: Point) -> Any:
    """Entry (i, j, k): output i by weight (j, k)."""
    return jacobian(lambda W: W @ p.x + p.b, p.W)


def network_delta(p: Point) -> Any:
    """dL by the next layer's output, of a ReLU network."""
    return by_output(p.V @ relu(p.z) + p.a, p.c)


def network_by_z(p: Point) -> Any:
    return jacobian(lambda z: loss(p.V @ relu(z) + p.a, p.c), p.z)


def network_by_x(p: Point) -> Any:
    return jacobian(lambda x: loss(p.V @ x + p.a, p.c), relu(p.z))


def off_diagonal(n: int) -> Bool[Array, "n n"]:
    return ~np.eye(n, dtype=bool)
