"""The models of CMU's `models/mlp.py` from 2022 on: MLP0, MLP1 and MLP4, with alternating `Linear` and `ReLU` layers.

The list `layers` contains the linear layers. The activations are in the same list or in a separate list, `f`. The
linear layers store the gradients. The return value of backward is judged only if there is one, because the first
edition does not require it.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.checking.contracts.described import Described, Given
from handgrad.checking.contracts.source import Module
from handgrad.checking.diagnosis import NOT_AVERAGED, Draw, Subject
from handgrad.checking.diagnosis_networks import (
    DELTA_SLIPS,
    mlp_bias_gradient,
    mlp_forward,
    mlp_weight_gradient,
)

ADAPTER = Path(__file__).with_name("cmu_2022_model_adapter.py")
#: The widths of the models in the handout.
WIDTHS = {"MLP0": (2, 3), "MLP1": (2, 3, 2), "MLP4": (2, 4, 8, 8, 4, 2)}
BATCHES = (6, 5, 4)
#: Bugs that these models cannot have: all activations are equal, the last layer has one, and there is no softmax.
IMPOSSIBLE = ("activation-order", "activation-at-the-end", "softmax-in-forward", "softmax-twice", "softmax-missing")


def _without_impossible(subject: Subject) -> Subject:
    return replace(subject, slips=tuple(one for one in subject.slips if one.bug not in IMPOSSIBLE))


def model_dx() -> Subject:
    """dLdA of the input of the model, computed as delta of an additional identity layer before the first layer."""
    delta = mlp_bias_gradient(0, averaged=False)

    def compute(draw: Draw, **options: Any) -> Any:
        D = draw.x.shape[1]
        W, b = [np.eye(D), *draw.W], [np.zeros(D), *draw.b]
        longer = draw.changed(W=W, b=b, kinds=["identity", *draw.kinds], norms=[None, *draw.norms])
        return delta.compute(longer, over="none", **options)

    slips = tuple(one for one in DELTA_SLIPS if "passed" not in one.options and "averaging" not in one.options)
    return Subject("dLdA0", compute, slips, factors=NOT_AVERAGED)


def _by_edition(make: Any) -> Subject:
    """The gradient, divided by N if the draw says so."""
    plain, averaged = _without_impossible(make(averaged=False)), _without_impossible(make(averaged=True))

    def compute(draw: Draw, **options: Any) -> Any:
        return (averaged if draw.averaged else plain).compute(draw, **options)

    return replace(plain, compute=compute)


def _make(widths: tuple[int, ...]):
    def make(g: np.random.Generator, position: int) -> Given:
        pairs = list(itertools.pairwise(widths))
        x = g.normal(size=(BATCHES[position], widths[0]))
        W, b = [g.normal(size=pair) for pair in pairs], [g.normal(size=out) + 0.3 for _, out in pairs]
        arrays: dict[str, Any] = {}
        for k, (weight, bias) in enumerate(zip(W, b, strict=True)):
            arrays |= {f"W{k}": weight.T.copy(), f"b{k}": bias[:, None]}
        draw = Draw(
            {"N": len(x), "K": widths[-1]}, x=x, W=W, b=b, kinds=["relu"] * len(W), p=0.0, norms=[None] * len(W),
            softmax=False, lr=1.0, averaged=False,
        )  # fmt: skip
        return Given({**arrays, "A0": x}, draw)

    return make


def models(module: Module) -> Iterator[Described]:
    """The models in one file."""
    for name, widths in WIDTHS.items():
        methods = module.methods(name) if name in module.classes else {}
        if "forward" not in methods or "backward" not in methods:
            continue
        gradients: dict[str, Subject] = {}
        for k in range(len(widths) - 1):
            weight, bias = f"layers[{k}].dLdW", f"layers[{k}].dLdb"
            gradients[weight] = _by_edition(
                lambda averaged, k=k, name=weight: mlp_weight_gradient(k, name=name, averaged=averaged, out_in=True)
            )
            gradients[bias] = _by_edition(
                lambda averaged, k=k, name=bias: mlp_bias_gradient(k, name=name, averaged=averaged)
            )
        if _returns(methods["backward"]):
            gradients["dLdA0"] = model_dx()
        source = f"{ADAPTER.read_text('utf-8')}\nadapted = Adapted(m, {name!r}, {widths!r})\n"
        source += "forward, backward = adapted.forward, adapted.backward\n"
        yield Described(
            name, "forward", "backward", _make(widths), _without_impossible(mlp_forward()), gradients, adapter=source,
            owner=name, methods=("forward", "backward"), group="models", trials=len(BATCHES), numeric=False,
            conventions=({"averaged": False}, {"averaged": True}), columns=tuple(gradients),
            shared=dict.fromkeys(gradients, ("bias", "activations")),
        )  # fmt: skip


def _returns(function: ast.FunctionDef) -> bool:
    values = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    return any(value is not None and ast.unparse(value) not in ("None", "NotImplemented") for value in values)
