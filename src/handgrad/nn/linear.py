"""The linear layer y = x Wᵀ + b."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.activations import zeros_beside
from handgrad.nn.initializers import Initializer, parse_initializer
from handgrad.nn.layer import Layer, Parameter, check_features, check_gradient, computing_dtype
from handgrad.nn.products import product
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
    #: Whether y is max(0, ·) of what the formula says: set by `join_rectifiers`.
    rectifies = False

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
        return self.work.plan(self._plan_forward, x, self.weight.value)()

    def backward(self, dy: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N D"] | None:
        x, shape = self._recall()
        asked = self.weight.value, self.weight.grad, self.input_gradient
        return self.work.plan(self._plan_backward, dy, x, shape, *asked)()

    def _plan_forward(self, x: np.ndarray, weight: np.ndarray) -> Callable[[], np.ndarray]:
        check_features(self, x, self.in_features, self.weight)
        dtype = computing_dtype(x, *(parameter.value for parameter in self.parameters()))
        y = self.work.empty("y", (*weight.shape[:-2], x.shape[-2], self.out_features), dtype)
        shares = self._shares(x.shape[-2], self.out_features, y.size * self.in_features)
        run = self.workers.together([self._outputs(x, y, *share) for share in shares])
        self._keep(x, y.shape)

        def forward() -> np.ndarray:
            run()
            return y

        return forward

    def _plan_backward(self, dy: np.ndarray, x: np.ndarray, shape: tuple, *_) -> Callable[[], np.ndarray | None]:
        check_gradient(self, dy, shape)
        shares = self._shares(self.out_features, self.in_features, dy.size * self.in_features)
        jobs = [self._weight_gradient(dy, x, *share) for share in shares]
        dx = None
        if self.input_gradient:
            dx = self.work.empty("dx", (*shape[:-1], self.in_features), dy.dtype)
            shares = self._shares(shape[-2], self.in_features, dx.size * self.out_features)
            jobs += [self._input_gradient(dy, dx, *share) for share in shares]
        run = (self.workers if dy.size * self.in_features >= WORTH_A_THREAD else SERIAL).together(jobs)

        def backward() -> np.ndarray | None:
            run()
            return dx

        return backward

    # Each of these gives the function that computes a share of a product: samples `n`, outputs `k` or inputs `d`.

    def _outputs(self, x: np.ndarray, y: np.ndarray, n: slice, k: slice) -> Callable[[], object]:
        x, y = x[..., n, :], y[..., n, k]
        multiply = product(x, self.weight.value[..., k, :].swapaxes(-1, -2), out=y)
        bias = None if self.bias is None else self.bias.value[..., None, k]
        zeros = zeros_beside(y) if self.rectifies else None

        def outputs() -> None:
            multiply()
            if bias is not None:
                np.add(y, bias, out=y)
            if zeros is not None:
                np.maximum(y, zeros, out=y)

        return outputs

    def _weight_gradient(self, dy: np.ndarray, x: np.ndarray, k: slice, d: slice) -> Callable[[], object]:
        dy, x = dy[..., k], x[..., d]
        multiply = product(dy.swapaxes(-1, -2), x, out=self.weight.grad[..., k, d])
        if self.bias is None or d.start:
            return multiply
        dbias, ones = self.bias.grad[..., k], np.ones(dy.shape[-2], dy.dtype)

        def weight_gradient() -> None:
            multiply()
            np.matmul(ones, dy, out=dbias)

        return weight_gradient

    def _input_gradient(self, dy: np.ndarray, dx: np.ndarray, n: slice, d: slice) -> Callable[[], object]:
        return product(dy[..., n, :], self.weight.value[..., d], out=dx[..., n, d])

    def _shares(self, rows: int, columns: int, multiply_adds: int) -> list[tuple[slice, slice]]:
        """Rows and columns of a product for each thread, cut along the longer side, each share worth a thread."""
        if multiply_adds < 2 * WORTH_A_THREAD:
            return _WHOLE
        longer = max(rows, columns)
        parts = self.workers.split(longer, 1 + WORTH_A_THREAD * longer // multiply_adds)
        return [(part, _ALL) for part in parts] if rows >= columns else [(_ALL, part) for part in parts]

    def _describe(self) -> str:
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias else ", bias=False")
