"""The linear layer y = x Wᵀ + b."""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.initializers import Initializer, parse_initializer
from handgrad.nn.layer import Layer, Parameter, check_features, check_gradient, computing_dtype


class Linear(Layer):
    """An affine map of the features.

    Formula:
        y  = x Wᵀ + b
        dW = dyᵀ x,   db = Σₙ dyₙ,   dx = dy W

    Arguments:
        in_features: D, at least 1.
        out_features: K, at least 1.
        bias: whether b is added.
        init: initialiser of the weight, by name (`"kaiming"`, `"normal:1e-4"`, `"zeros"`) or object; b starts at 0.
        rng: where the weight is drawn from: a `numpy.random.Generator`, a seed, or None for an unpredictable draw.
        dtype: of the parameters.

    Parameters `weight (K, D)` and `bias (K,)` are PyTorch's; a leading axis of models is carried through:
    `(M, K, D)` and `(M, K)` with x `(M, N, D)`.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), section 6.5, equations 6.46 to 6.52.
    """

    parameter_names = ("weight", "bias")
    weight_ndim = 2

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        init: str | Initializer = "kaiming",
        rng: np.random.Generator | int | None = None,
        dtype=np.float32,
    ) -> None:
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if value < 1:
                raise ValueError(f"Linear got {name}={value}, expected at least 1")
        self.in_features = in_features
        self.out_features = out_features
        weight = parse_initializer(init)((out_features, in_features), np.random.default_rng(rng))
        self.weight = Parameter(weight.astype(dtype))
        self.bias = Parameter(np.zeros(out_features, dtype)) if bias else None

    def forward(self, x: Inexact[Array, "*models N D"]) -> Inexact[Array, "*stacked N K"]:
        check_features(self, x, self.in_features, self.weight)
        weight = self.weight.value
        dtype = computing_dtype(x, *(parameter.value for parameter in self.parameters()))
        y = self.work.empty("y", (*weight.shape[:-2], x.shape[-2], self.out_features), dtype)
        np.matmul(x, weight.swapaxes(-1, -2), out=y)
        if self.bias is not None:
            y += self.bias.value[..., None, :]
        self._keep(x, y.shape)
        return y

    def backward(self, dy: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N D"] | None:
        x, shape = self._recall()
        check_gradient(self, dy, shape)
        np.matmul(dy.swapaxes(-1, -2), x, out=self.weight.grad)
        if self.bias is not None:
            np.add.reduce(dy, axis=-2, out=self.bias.grad)
        if not self.input_gradient:
            return None
        dx = self.work.empty("dx", (*shape[:-1], self.in_features), dy.dtype)
        return np.matmul(dy, self.weight.value, out=dx)

    def _describe(self) -> str:
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias else ", bias=False")
