"""The linear layer y = x Wᵀ + b."""

from __future__ import annotations

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.nn.initializers import Initializer, parse_initializer
from handgrad.nn.layer import Layer, Parameter, check_features, check_gradient, computing_dtype, sum_over_batch
from handgrad.nn.workers import SERIAL

#: Multiply-adds for which it pays to wake a second thread: some 80 µs of one core's work.
WORTH_A_THREAD = 4_000_000

_ALL = [slice(0, None)]


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
        self.workers.run(lambda k: self._outputs(x, y, k), self._shares(self.out_features, y.size * self.in_features))
        self._keep(x, y.shape)
        return y

    def backward(self, dy: Inexact[Array, "*models N K"]) -> Inexact[Array, "*models N D"] | None:
        x, shape = self._recall()
        check_gradient(self, dy, shape)
        gradient, longer = (  # shared out along the weight's longer axis
            (self._gradient_by_inputs, self.in_features)
            if self.in_features > self.out_features
            else (self._gradient_by_outputs, self.out_features)
        )
        parts = [(gradient, x, share) for share in self._shares(longer, dy.size * self.in_features)]
        dx = None
        if self.input_gradient:
            dx = self.work.empty("dx", (*shape[:-1], self.in_features), dy.dtype)
            parts += [
                (self._input_gradient, dx, d) for d in self._shares(self.in_features, dx.size * self.out_features)
            ]
        workers = self.workers if dy.size * self.in_features >= WORTH_A_THREAD else SERIAL
        workers.run(lambda part: part[0](dy, part[1], part[2]), parts)
        return dx

    # Each of these does a share of the work: the outputs `k` or the inputs `d`.

    def _outputs(self, x: np.ndarray, y: np.ndarray, k: slice) -> None:
        y = y[..., k]
        np.matmul(x, self.weight.value[..., k, :].swapaxes(-1, -2), out=y)
        if self.bias is not None:
            y += self.bias.value[..., None, k]

    def _gradient_by_outputs(self, dy: np.ndarray, x: np.ndarray, k: slice) -> None:
        np.matmul(dy[..., k].swapaxes(-1, -2), x, out=self.weight.grad[..., k, :])
        if self.bias is not None:
            sum_over_batch(dy[..., k], out=self.bias.grad[..., k])

    def _gradient_by_inputs(self, dy: np.ndarray, x: np.ndarray, d: slice) -> None:
        np.matmul(dy.swapaxes(-1, -2), x[..., d], out=self.weight.grad[..., d])
        if self.bias is not None and d.start == 0:
            sum_over_batch(dy, out=self.bias.grad)

    def _input_gradient(self, dy: np.ndarray, dx: np.ndarray, d: slice) -> None:
        np.matmul(dy, self.weight.value[..., d], out=dx[..., d])

    def _shares(self, columns: int, multiply_adds: int) -> list[slice]:
        """Columns for each thread, each share worth waking a thread for."""
        if multiply_adds < 2 * WORTH_A_THREAD:
            return _ALL
        return self.workers.split(columns, 1 + WORTH_A_THREAD * columns // max(1, multiply_adds))

    def _describe(self) -> str:
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias else ", bias=False")
