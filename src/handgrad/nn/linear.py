"""The linear layer y = x Wᵀ + b."""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.initializers import Initializer, parse_initializer
from handgrad.nn.layer import Layer, Parameter, check_features, check_gradient, sum_over_batch


class Linear(Layer):
    """An affine map of the features.

    Formula:
        y  = x Wᵀ + b
        dW = dyᵀ x,   db = Σₙ dyₙ,   dx = dy W

    Arguments:
        in_features: D, at least 1.
        out_features: K, at least 1.
        bias: whether b is added.
        init: initialiser of the weight, as a name (`"kaiming"`, `"normal:1e-4"`, `"zeros"`) or object; b starts at 0.
        rng: source of the weight: a `numpy.random.Generator`, a seed, or None for an unpredictable draw.
        dtype: of the parameters.

    Parameters `weight (K, D)` and `bias (K,)` are as in PyTorch; a leading model axis is supported:
    `(M, K, D)` and `(M, K)` with x `(M, N, D)`.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), section 6.5, equations 6.46 to 6.52.
    """

    parameter_names = ("weight", "bias")
    weight_ndim = 2

    # fmt: off
    def __init__(
        self, in_features: int, out_features: int, bias: bool = True,
        *, init: str | Initializer = "kaiming", rng: np.random.Generator | int | None = None, dtype=np.float32,
    ) -> None:
        # fmt: on
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if value < 1:
                raise ValueError(f"Linear got {name}={value}, expected at least 1")
        self.in_features, self.out_features = in_features, out_features
        weight = parse_initializer(init)((out_features, in_features), np.random.default_rng(rng))
        self.weight = Parameter(weight.astype(dtype))
        self.bias = Parameter(np.zeros(out_features, dtype)) if bias else None

    def forward(self, x: Inexact[Array, "*models N D"]) -> Inexact[Array, "*stacked N K"]:
        check_features(self, x, self.in_features, self.weight)
        weight, *bias = self._values(x)
        self._keep(x)
        if not bias:
            return x @ weight.mT
        return x @ weight.mT + bias[0][..., None, :]

    def backward(self, dy: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N D"]:
        (x,) = self._recall()
        weight, *_ = self._values(dy)
        check_gradient(self, dy, (*weight.shape[:-2], x.shape[-2], self.out_features))
        self.weight.grad[...] = dy.mT @ x
        if self.bias is not None:
            self.bias.grad[...] = sum_over_batch(dy)
        return dy @ weight

    def _describe(self) -> str:
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias else ", bias=False")
