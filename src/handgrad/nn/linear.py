"""The linear layer y = x Wᵀ + b."""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.initializers import Initializer, parse_initializer
from handgrad.nn.layer import Layer, Parameter, check_features, check_gradient, computing_dtype, sum_over_batch
from handgrad.nn.workers import SERIAL

#: Multiply-adds for which it pays to wake a second thread: some 120 µs of one core's work.
WORTH_A_THREAD = 6_000_000

_ALL = slice(None)
_WHOLE = [(_ALL, _ALL)]


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
        dtype = computing_dtype(x, weight, weight if self.bias is None else self.bias.value)
        y = self.work.empty("y", (*weight.shape[:-2], x.shape[-2], self.out_features), dtype)
        shares = self._shares(x.shape[-2], self.out_features, y.size * self.in_features)
        self.workers.run(lambda share: self._outputs(x, y, *share), shares)
        self._keep(x, y.shape)
        return y

    def backward(self, dy: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N D"] | None:
        x, shape = self._recall()
        check_gradient(self, dy, shape)
        sides = self.out_features, self.in_features
        parts = [(self._weight_gradient, x, *share) for share in self._shares(*sides, dy.size * self.in_features)]
        dx = None
        if self.input_gradient:
            dx = self.work.empty("dx", (*shape[:-1], self.in_features), dy.dtype)
            sides = shape[-2], self.in_features
            parts += [(self._input_gradient, dx, *share) for share in self._shares(*sides, dx.size * self.out_features)]
        workers = self.workers if dy.size * self.in_features >= WORTH_A_THREAD else SERIAL
        workers.run(lambda part: part[0](dy, *part[1:]), parts)
        return dx

    # Each of these does a share of a product: samples `n`, outputs `k` or inputs `d`.

    def _outputs(self, x: np.ndarray, y: np.ndarray, n: slice, k: slice) -> None:
        x, y = x[..., n, :], y[..., n, k]
        np.matmul(x, self.weight.value[..., k, :].swapaxes(-1, -2), out=y)
        if self.bias is not None:
            y += self.bias.value[..., None, k]

    def _weight_gradient(self, dy: np.ndarray, x: np.ndarray, k: slice, d: slice) -> None:
        dy = dy[..., k]
        np.matmul(dy.swapaxes(-1, -2), x[..., d], out=self.weight.grad[..., k, d])
        if self.bias is not None and not d.start:
            sum_over_batch(dy, out=self.bias.grad[..., k])

    def _input_gradient(self, dy: np.ndarray, dx: np.ndarray, n: slice, d: slice) -> None:
        dy, dx = dy[..., n, :], dx[..., n, d]
        np.matmul(dy, self.weight.value[..., d], out=dx)

    def _shares(self, rows: int, columns: int, multiply_adds: int) -> list[tuple[slice, slice]]:
        """Rows and columns of a product for each thread, cut along the longer side, each share worth a thread."""
        if multiply_adds < 2 * WORTH_A_THREAD:
            return _WHOLE
        longer = max(rows, columns)
        parts = self.workers.split(longer, 1 + WORTH_A_THREAD * longer // multiply_adds)
        return [(part, _ALL) for part in parts] if rows >= columns else [(_ALL, part) for part in parts]

    def _describe(self) -> str:
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias else ", bias=False")
