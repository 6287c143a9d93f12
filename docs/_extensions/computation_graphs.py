"""Computation graphs with their numbers: forward values and backward gradients on every edge.

A graph is a derivation without steps (functions whose arguments name what they need) and a place for each node. What
stands on an edge is computed when the docs are built: above the arrow the value that flows forward, below it the part
of the loss's gradient that comes back through that edge, by the complex step.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from handgrad.derivations import Derivation
from handgrad.derivations.derivation import Evaluation
from handgrad.numerics import complex_step

FORWARD, BACKWARD = "#222222", "#0072B2"


def _graph(name: str, point: dict) -> Derivation:
    return Derivation(name, "graph", name, {}, lambda rng: point)


mlp = _graph(
    "mlp",
    {
        "x": np.array([1.0, -2.0]),
        "W1": np.array([[0.5, -0.5], [1.0, 0.8]]),
        "W2": np.array([[1.0, -1.0], [-0.5, 2.0]]),
        "t": np.array([1.0, 0.0]),
    },
)


@mlp.given
def z1(W1, x):
    return W1 @ x


@mlp.given
def h(z1):
    return np.where(z1.real > 0, z1, 0)


@mlp.given
def z2(W2, h):
    return W2 @ h


@mlp.given
def L(z2, t):
    return np.log(np.exp(z2).sum()) - t @ z2


batchnorm = _graph(
    "batchnorm",
    {"x": np.array([1.0, 2.0, 6.0]), "gamma": np.array(2.0), "beta": np.array(0.5), "dy": np.array([1.0, 0.0, -0.5])},
)


@batchnorm.given
def mu(x):
    return x.mean()


@batchnorm.given
def c(x, mu):
    return x - mu


@batchnorm.given
def v(c):
    return (c * c).mean()


@batchnorm.given
def s(v):
    return 1 / np.sqrt(v + 1e-5)


@batchnorm.given
def xhat(c, s):
    return c * s


@batchnorm.given
def y(xhat, gamma, beta):
    return gamma * xhat + beta


def _loss(y, dy):
    return y @ dy


_loss.__name__ = "L"
batchnorm.given(_loss)

residual = _graph(
    "residual",
    {"x": np.array([1.0, -0.5]), "W": np.array([[0.6, -1.0], [-0.4, 0.2]]), "dy": np.array([1.0, -2.0])},
)


@residual.given
def a(x):
    return np.where(x.real > 0, x, 0)


@residual.given
def f(W, a):
    return W @ a


def _sum(x, f):
    return x + f


_sum.__name__ = "y"
residual.given(_sum)
residual.given(_loss)

#: Graph, caption, and for each node its label and its place (column, row).
GRAPHS = {
    "mlp": (
        mlp,
        "A two-layer perceptron on one sample of the first class.",
        {
            "x": ("x", 0, 0),
            "W1": ("W₁", 0, 1),
            "z1": ("z₁ = W₁x", 1, 0),
            "h": ("h = max(0, z₁)", 2, 0),
            "W2": ("W₂", 2, 1),
            "z2": ("z₂ = W₂h", 3, 0),
            "L": ("L: softmax and\ncross-entropy", 4, 0),
        },
    ),
    "batchnorm": (
        batchnorm,
        "Batch normalisation of one feature over three samples. L = Σ dy·y stands for the rest of the network.",
        {
            "x": ("x", 0, 0),
            "mu": ("μ: mean", 0.6, 1),
            "c": ("c = x − μ", 1.2, 0),
            "v": ("σ²: mean c²", 1.9, 1),
            "s": ("s = 1/√(σ²+ε)", 3.0, 1),
            "xhat": ("x̂ = c·s", 3.0, 0),
            "gamma": ("γ", 3.9, 1),
            "beta": ("β", 4.5, 1),
            "y": ("y = γx̂ + β", 4.2, 0),
            "L": ("L = Σ dy·y", 5.4, 0),
        },
    ),
    "residual": (
        residual,
        "A residual block: the gradient reaches x twice, through the block and straight through the sum.",
        {
            "x": ("x", 0, 0),
            "a": ("a = max(0, x)", 1, 1),
            "W": ("W", 1, 2.1),
            "f": ("f = Wa", 2, 1),
            "y": ("y = x + f", 3, 0),
            "L": ("L = Σ dy·y", 4, 0),
        },
    ),
}


def _text(value: np.ndarray) -> str:
    rows = np.atleast_2d(value)
    return "\n".join(" ".join(f"{number:.2f}".replace("-0.00", "0.00") for number in row) for row in rows)


def edges(graph: Derivation) -> list[tuple[str, str, np.ndarray, np.ndarray]]:
    """(from, to, value forward, gradient backward) of every edge between named nodes."""
    point = graph.point(None)
    here = Evaluation(graph, point, {})
    found = []
    for target, function in graph.functions.items():
        for source in inspect.signature(function).parameters:
            if source in ("t", "dy"):
                continue

            def loss(moved, target=target, function=function, source=source):
                arguments = {name: here.value(name) for name in inspect.signature(function).parameters}
                value = function(**{**arguments, source: moved})
                return value if target == "L" else Evaluation(graph, {**point, target: value}, {}).value("L")

            value = np.asarray(here.value(source))
            found.append((source, target, value, complex_step(loss, value)))
    return found


def draw(name: str, path: Path) -> str:
    """Writes the picture and returns its caption."""
    graph, caption, places = GRAPHS[name]
    width = max(column for _, column, _ in places.values())
    height = max(row for _, _, row in places.values())
    figure = Figure(figsize=(2.35 * width + 1.4, 1.7 * height + 1.3), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-0.5, width + 0.5)
    axes.set_ylim(-0.55, height + 0.4)
    axes.axis("off")
    box = {"boxstyle": "round,pad=0.4", "facecolor": "#f3f6f9", "edgecolor": "#8899aa"}
    boxes = {
        node: axes.text(column, row, label, ha="center", va="center", fontsize=11, bbox=box, zorder=3)
        for node, (label, column, row) in places.items()
    }
    figure.draw_without_rendering()  # places the boxes, at which the arrows end
    for source, target, value, gradient in edges(graph):
        (_, x0, y0), (_, x1, y1) = places[source], places[target]
        ends = {"patchA": boxes[source].get_bbox_patch(), "patchB": boxes[target].get_bbox_patch()}
        arrow = {
            "arrowstyle": "-|>",
            "color": "#8899aa",
            "shrinkA": 0,
            "shrinkB": 14,
            "linewidth": 1.5,
            "mutation_scale": 14,
            **ends,
        }
        axes.annotate("", (x1, y1), (x0, y0), arrowprops=arrow, zorder=1)
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        style = {"fontsize": 9, "family": "DejaVu Sans Mono", "zorder": 4}
        paper = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        axes.text(x, y + 0.07, _text(value), ha="center", va="bottom", color=FORWARD, bbox=paper, **style)
        axes.text(x, y - 0.07, _text(gradient), ha="center", va="top", color=BACKWARD, bbox=paper, **style)
    figure.savefig(path, dpi=150)
    return caption + " On each edge: above, the value forward; below, in blue, the gradient of L that comes back."
