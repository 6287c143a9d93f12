"""Kernels with elementwise operations compiled by numba (the extra `fast`).

Each computes the same as its base class in `handgrad.kernels`, in one pass over memory instead of several. Matrix
products use NumPy's BLAS library. Cases that a compiled kernel does not support (stacked models, complex numbers, other
layouts) are handled by its base class.

A kernel is compiled on first use, which takes about a second (ten for convolutions); numba caches it on disk.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numba
import numpy as np

from handgrad import nn
from handgrad.kernels import activations, dropout, losses, normalization, optimizers
from handgrad.kernels.activations import ActivationKernel
from handgrad.kernels.compiled_images import plain
from handgrad.kernels.kernel import NUMBA_KERNELS, kernel_of
from handgrad.nn.activations import FLAT, A, B
from handgrad.nn.dropout import draw_numbers
from handgrad.nn.layer import check_features, check_gradient
from handgrad.nn.losses import check_labels
from handgrad.special import ATANH_ERF, logistic_limit

_compiled_kernel_of = functools.partial(kernel_of, registry=NUMBA_KERNELS)
_compiled = numba.njit(nogil=True, cache=True, error_model="numpy")
#: Sums may be reordered; otherwise they could not be vectorised.
_compiled_sums = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc"})


# Scalars are cast to the dtype of the arrays; otherwise, integers or Python numbers would turn float32 into float64.

# -- activations ------------------------------------------------------------------------------------------------------


@_compiled
def _relu(x, y, slope):
    zero = x.dtype.type(0)
    for i in range(x.size):
        y[i] = zero if x[i] <= zero else x[i]


@_compiled
def _relu_chain(y, dy, dx, slope):
    zero = y.dtype.type(0)
    for i in range(y.size):
        dx[i] = dy[i] if y[i] > zero else zero


@_compiled
def _leaky_relu(x, y, slope):
    for i in range(x.size):
        y[i] = x[i] if x[i] > 0 else slope * x[i]


@_compiled
def _leaky_relu_chain(y, dy, dx, slope):
    for i in range(y.size):
        dx[i] = dy[i] if y[i] > 0 else slope * dy[i]


@_compiled
def _elu_chain(y, dy, dx, alpha):
    for i in range(y.size):
        dx[i] = dy[i] if y[i] > 0 else (y[i] + alpha) * dy[i]


@_compiled
def _sigmoid_chain(y, dy, dx, _):
    one = y.dtype.type(1)
    for i in range(y.size):
        dx[i] = (one - y[i]) * y[i] * dy[i]


@_compiled
def _tanh_chain(y, dy, dx, _):
    one = y.dtype.type(1)
    for i in range(y.size):
        dx[i] = (one - y[i] * y[i]) * dy[i]


class _Activation(ActivationKernel):
    """Base class of the compiled activations. Exponentials are computed by NumPy, which vectorises them."""

    function: Any = None
    chain: Any
    option = ""

    def _number(self, dtype):
        return dtype.type(getattr(self.layer, self.option) if self.option else 0)

    def _function(self, x, y):
        if self.function is not None and plain(x, y):
            self.function(x.reshape(-1), y.reshape(-1), self._number(x.dtype))
        else:
            super()._function(x, y)

    def _chain(self, kept, dy, dx):
        if plain(kept, dy, dx):
            self.chain(kept.reshape(-1), dy.reshape(-1), dx.reshape(-1), self._number(dy.dtype))
        else:
            super()._chain(kept, dy, dx)


@_compiled_kernel_of(nn.ReLU)
class ReLUKernel(_Activation, activations.ReLUKernel):
    function, chain = staticmethod(_relu), staticmethod(_relu_chain)


@_compiled_kernel_of(nn.LeakyReLU)
class LeakyReLUKernel(_Activation, activations.LeakyReLUKernel):
    function, chain, option = staticmethod(_leaky_relu), staticmethod(_leaky_relu_chain), "negative_slope"


@_compiled_kernel_of(nn.ELU)
class ELUKernel(_Activation, activations.ELUKernel):
    chain, option = staticmethod(_elu_chain), "alpha"


@_compiled_kernel_of(nn.Sigmoid)
class SigmoidKernel(_Activation, activations.SigmoidKernel):
    chain = staticmethod(_sigmoid_chain)


@_compiled_kernel_of(nn.Tanh)
class TanhKernel(_Activation, activations.TanhKernel):
    chain = staticmethod(_tanh_chain)


@_compiled
def _silu_chain(x, gate, dy, dx):
    one = x.dtype.type(1)
    for i in range(x.size):
        dx[i] = (gate[i] + x[i] * (gate[i] * (one - gate[i]))) * dy[i]


@_compiled
def _silu_limited(x, limit, inner):
    for i in range(x.size):
        inner[i] = min(x[i], limit)


@_compiled
def _gelu_inner(x, flat, a, b, limit, inner):
    for i in range(x.size):
        c = flat if x[i] > flat else (-flat if x[i] < -flat else x[i])
        inner[i] = min(c * (a + b * c * c), limit)


@_compiled
def _erf_inner(x, coefficients, inner):
    """The argument of tanh in the float32 version of `special.erf`, for x/√2."""
    half_root, four = x.dtype.type(0.7071067811865476), x.dtype.type(4)
    for i in range(x.size):
        c = min(max(x[i] * half_root, -four), four)
        z = c * c
        p = coefficients[0]
        for k in range(1, coefficients.size):
            p = p * z + coefficients[k]
        inner[i] = c * p


@_compiled
def _erf_gate(x, gate, y):
    half = x.dtype.type(0.5)
    for i in range(x.size):
        gate[i] = gate[i] * half + half
        y[i] = x[i] * gate[i]


@_compiled
def _gate(x, gate, y):
    one = x.dtype.type(1)
    for i in range(x.size):
        gate[i] = gate[i] / (one + gate[i])  # the logistic function, from its exponential
        y[i] = x[i] * gate[i]


@_compiled
def _gelu_chain(x, gate, dy, flat, a, b, dx):
    one, three = x.dtype.type(1), x.dtype.type(3)
    for i in range(x.size):
        c = flat if x[i] > flat else (-flat if x[i] < -flat else x[i])
        slope = (one - gate[i]) * (gate[i] * (a + three * b * c * c))
        dx[i] = (gate[i] + x[i] * slope) * dy[i]


@_compiled_kernel_of(nn.SiLU)
class SiLUKernel(activations.SiLUKernel):
    def forward(self, x):
        if not plain(x):
            return super().forward(x)
        y, gate = (self.work.empty(name, x.shape, x.dtype) for name in ("y", "gate"))
        flat_x, flat_gate = x.reshape(-1), gate.reshape(-1)
        _silu_limited(flat_x, x.dtype.type(logistic_limit(x.dtype)), flat_gate)
        np.exp(gate, out=gate)
        _gate(flat_x, flat_gate, y.reshape(-1))
        self._keep(x, gate)
        return y

    def backward(self, dy):
        x, gate = self._recall()
        if not plain(x, gate, dy):
            return super().backward(dy)
        check_gradient(self.layer, dy, x.shape)
        dx = self.work.empty("dx", dy.shape, dy.dtype)
        _silu_chain(x.reshape(-1), gate.reshape(-1), dy.reshape(-1), dx.reshape(-1))
        return dx


@_compiled_kernel_of(nn.GELU)
class GELUKernel(activations.GELUKernel):
    def forward(self, x):
        exact = self.layer.approximate == "none"
        if not plain(x) or (exact and x.dtype != np.float32):
            return super().forward(x)
        y, gate = (self.work.empty(name, x.shape, x.dtype) for name in ("y", "gate"))
        flat_x, flat_gate = x.reshape(-1), gate.reshape(-1)
        if exact:
            _erf_inner(flat_x, _ERF, flat_gate)
            np.tanh(gate, out=gate)
            _erf_gate(flat_x, flat_gate, y.reshape(-1))
        else:
            _gelu_inner(flat_x, *_gelu_constants(x.dtype), x.dtype.type(logistic_limit(x.dtype)), flat_gate)
            np.exp(gate, out=gate)
            _gate(flat_x, flat_gate, y.reshape(-1))
        self._keep(x, gate)
        return y

    def backward(self, dy):
        x, gate = self._recall()
        if self.layer.approximate != "tanh" or not plain(x, gate, dy):
            return super().backward(dy)
        check_gradient(self.layer, dy, x.shape)
        dx = self.work.empty("dx", dy.shape, dy.dtype)
        _gelu_chain(x.reshape(-1), gate.reshape(-1), dy.reshape(-1), *_gelu_constants(x.dtype), dx.reshape(-1))
        return dx


_ERF = np.array(ATANH_ERF, np.float32)


def _gelu_constants(dtype: np.dtype) -> tuple[Any, Any, Any]:
    """The limit beyond which the gate is flat, and the two factors of 2u = a x + b x³."""
    return dtype.type(FLAT), dtype.type(A), dtype.type(B)


# -- dropout ----------------------------------------------------------------------------------------------------------


@_compiled
def _dropout(x, draws, dropped, scale, mask, y):
    zero = x.dtype.type(0)
    for i in range(x.size):
        mask[i] = scale if draws[i] >= dropped else zero
        y[i] = x[i] * mask[i]


@_compiled_kernel_of(nn.Dropout)
class DropoutKernel(dropout.DropoutKernel):
    def forward(self, x):
        one = isinstance(self.layer.rng, np.random.Generator)
        if not self.layer.training or self.layer.p == 0 or not one or not plain(x):
            return super().forward(x)
        y, mask = (self.work.empty(name, x.shape, x.dtype) for name in ("y", "mask"))
        dropped = round(self.layer.p * 2**16)
        scale = x.dtype.type(1 / (1 - self.layer.p))
        draws = draw_numbers(self.layer.rng, x.size)
        _dropout(x.reshape(-1), draws, dropped, scale, mask.reshape(-1), y.reshape(-1))
        self._keep(mask, x.shape)
        return y


# -- normalisation ----------------------------------------------------------------------------------------------------


@_compiled
def _batch_norm(x, weight, bias, eps, least, mean, variance, inverse_std, normalized, y):
    n, d = x.shape
    one, count = x.dtype.type(1), x.dtype.type(n)
    mean[:] = 0
    for i in range(n):
        for j in range(d):
            mean[j] += x[i, j]
    for j in range(d):
        mean[j] /= count
    variance[:] = 0
    for i in range(n):
        for j in range(d):
            c = x[i, j] - mean[j]
            variance[j] += c * c
    for j in range(d):
        variance[j] /= count
        inverse_std[j] = one / math.sqrt(variance[j] + eps)
    for i in range(n):
        for j in range(d):
            normalized[i, j] = (x[i, j] - mean[j]) * inverse_std[j]
            scaled = normalized[i, j] * weight[j] + bias[j]
            y[i, j] = least if scaled <= least else scaled


@_compiled
def _batch_norm_backward(dy, normalized, weight, inverse_std, dweight, dbias, dx):
    n, d = dy.shape
    dweight[:] = 0
    dbias[:] = 0
    for i in range(n):
        for j in range(d):
            dweight[j] += dy[i, j] * normalized[i, j]
            dbias[j] += dy[i, j]
    share = dy.dtype.type(1) / dy.dtype.type(n)
    for i in range(n):
        for j in range(d):
            centred = dy[i, j] - share * dbias[j] - normalized[i, j] * (share * dweight[j])
            dx[i, j] = centred * (weight[j] * inverse_std[j])


@_compiled_kernel_of(nn.BatchNorm1d)
class BatchNorm1dKernel(normalization.BatchNorm1dKernel):
    def forward(self, x):
        weight, bias = self.layer.weight.value, self.layer.bias.value
        if not self.layer.training or x.ndim != 2 or weight.ndim != 1 or len(x) < 2 or not plain(x, weight, bias):
            return super().forward(x)
        check_features(self.layer, x, self.layer.num_features, self.layer.weight)
        mean, variance, inverse_std = self.work.empty("figures", (3, self.layer.num_features), x.dtype)
        y, normalized = (self.work.empty(name, x.shape, x.dtype) for name in ("y", "normalized"))
        eps, least = x.dtype.type(self.layer.eps), x.dtype.type(0 if self.fuses_relu else -math.inf)
        _batch_norm(x, weight, bias, eps, least, mean, variance, inverse_std, normalized, y)
        self.layer.update_running_statistics(mean, variance, len(x))
        self._keep(normalized, inverse_std[None], y.shape, True)
        return y

    def backward(self, dy):
        normalized, inverse_std, shape, from_batch = self._recall()
        weight, dweight, dbias = self.layer.weight.value, self.layer.weight.grad, self.layer.bias.grad
        if not from_batch or len(shape) != 2 or not plain(dy, normalized, weight, inverse_std, dweight, dbias):
            return super().backward(dy)
        check_gradient(self.layer, dy, shape)
        dx = self.work.empty("dx", shape, dy.dtype)
        _batch_norm_backward(dy, normalized, weight, inverse_std[0], dweight, dbias, dx)
        return dx


@_compiled_sums
def _layer_norm(x, weight, bias, eps, inverse_std, normalized, y):
    n, d = x.shape
    one, count = x.dtype.type(1), x.dtype.type(d)
    for i in range(n):
        total = x.dtype.type(0)
        for j in range(d):
            total += x[i, j]
        mean = total / count
        squares = x.dtype.type(0)
        for j in range(d):
            normalized[i, j] = x[i, j] - mean
            squares += normalized[i, j] * normalized[i, j]
        inverse_std[i, 0] = one / math.sqrt(squares / count + eps)
        for j in range(d):
            normalized[i, j] *= inverse_std[i, 0]
            y[i, j] = normalized[i, j] * weight[j] + bias[j]


@_compiled_sums
def _layer_norm_backward(dy, normalized, weight, inverse_std, dweight, dbias, dx):
    n, d = dy.shape
    count = dy.dtype.type(d)
    dweight[:] = 0
    dbias[:] = 0
    for i in range(n):
        total, product = dy.dtype.type(0), dy.dtype.type(0)
        for j in range(d):
            dweight[j] += dy[i, j] * normalized[i, j]
            dbias[j] += dy[i, j]
            dx[i, j] = dy[i, j] * weight[j]
            total += dx[i, j]
            product += dx[i, j] * normalized[i, j]
        mean, correlation = total / count, product / count
        for j in range(d):
            dx[i, j] = (dx[i, j] - mean - normalized[i, j] * correlation) * inverse_std[i, 0]


@_compiled_kernel_of(nn.LayerNorm)
class LayerNormKernel(normalization.LayerNormKernel):
    def forward(self, x):
        weight, bias = self.layer.weight.value, self.layer.bias.value
        if x.ndim != 2 or weight.ndim != 1 or not plain(x, weight, bias):
            return super().forward(x)
        check_features(self.layer, x, self.layer.num_features, self.layer.weight)
        y, normalized = (self.work.empty(name, x.shape, x.dtype) for name in ("y", "normalized"))
        inverse_std = self.work.empty("inverse_std", (len(x), 1), x.dtype)
        _layer_norm(x, weight, bias, x.dtype.type(self.layer.eps), inverse_std, normalized, y)
        self._keep(normalized, inverse_std, y.shape)
        return y

    def backward(self, dy):
        normalized, inverse_std, shape = self._recall()
        weight, dweight, dbias = self.layer.weight.value, self.layer.weight.grad, self.layer.bias.grad
        if len(shape) != 2 or not plain(dy, normalized, weight, inverse_std, dweight, dbias):
            return super().backward(dy)
        check_gradient(self.layer, dy, shape)
        dx = self.work.empty("dx", shape, dy.dtype)
        _layer_norm_backward(dy, normalized, weight, inverse_std, dweight, dbias, dx)
        return dx


# -- softmax and cross-entropy ----------------------------------------------------------------------------------------


@_compiled_sums
def _softmax_cross_entropy(x, labels, smoothing, dx):
    n, k = x.shape
    one, count, classes = x.dtype.type(1), x.dtype.type(n), x.dtype.type(k)
    spread = smoothing / classes
    total_loss = x.dtype.type(0)
    for i in range(n):
        top = x[i, 0]
        for j in range(1, k):
            if x[i, j] > top:
                top = x[i, j]
        total, shifted_sum = x.dtype.type(0), x.dtype.type(0)
        for j in range(k):
            dx[i, j] = math.exp(x[i, j] - top)
            total += dx[i, j]
            shifted_sum += x[i, j] - top
        picked = (one - smoothing) * (x[i, labels[i]] - top)
        if smoothing > 0:
            picked += spread * shifted_sum
        total_loss += math.log(total) - picked
        for j in range(k):
            dx[i, j] = (dx[i, j] / total - spread) / count
        dx[i, labels[i]] -= (one - smoothing) / count
    return total_loss / count


@_compiled_kernel_of(nn.SoftmaxCrossEntropy)
class SoftmaxCrossEntropyKernel(losses.SoftmaxCrossEntropyKernel):
    def forward(self, x, target, weight=None):
        if weight is not None or x.ndim != 2 or target.ndim != 1 or target.dtype != np.int64 or not plain(x):
            return super().forward(x, target, weight)
        if not self.checked_labels:
            check_labels(x, target)
        gradient = self.work.empty("gradient", x.shape, x.dtype)
        loss = _softmax_cross_entropy(x, target, x.dtype.type(self.loss.label_smoothing), gradient)
        self._kept = (gradient,)
        return x.dtype.type(loss)

    def backward(self):
        gradient, *others = self._recall()
        if others:
            return super().backward()
        dx = self.work.empty("dx", gradient.shape, gradient.dtype)
        dx[...] = gradient
        return dx


# -- update rules -----------------------------------------------------------------------------------------------------

# Each starts with the weight decay, as an L2 penalty (`decay`) or decoupled (`shrink`): 0 and 1 for none. The order of
# operations is that of the base class, so that the results are bit-for-bit identical.


@_compiled
def _sgd(w, g, decay, rate):
    for i in range(w.size):
        w[i] -= (g[i] + decay * w[i]) * rate


@_compiled
def _sgd_momentum(w, g, v, decay, momentum, nesterov, rate):
    for i in range(w.size):
        penalised = g[i] + decay * w[i]
        v[i] = momentum * v[i] + penalised
        w[i] -= (momentum * v[i] + penalised if nesterov > 0 else v[i]) * rate


@_compiled
def _adam(w, g, m, v, decay, shrink, beta1, beta2, eps, rate):
    for i in range(w.size):
        penalised = g[i] + decay * w[i]
        m[i] = beta1 * m[i] + penalised
        v[i] = beta2 * v[i] + penalised * penalised
        w[i] = shrink * w[i] - m[i] / (math.sqrt(v[i]) + eps) * rate


@_compiled
def _rmsprop(w, g, v, decay, alpha, rest, eps, rate):
    for i in range(w.size):
        penalised = g[i] + decay * w[i]
        v[i] = alpha * v[i] + rest * (penalised * penalised)
        w[i] -= penalised / (math.sqrt(v[i]) + eps) * rate


@_compiled
def _adadelta(w, g, v, u, decay, rho, rest, eps, rate):
    for i in range(w.size):
        penalised = g[i] + decay * w[i]
        v[i] = rho * v[i] + rest * (penalised * penalised)
        d = math.sqrt((u[i] + eps) / (v[i] + eps)) * penalised
        u[i] = rho * u[i] + rest * (d * d)
        w[i] -= d * rate


class _Rule(optimizers.SweepKernel):
    """Base class of the compiled rules: `_kernel` returns one with its arguments, or None if the base class must be
    used."""

    def _sweep(self, share):
        blocks, _ = share
        of_models = (self.rule.learning_rate, self.rule.weight_decay, getattr(self.rule, "momentum", 0.0))
        stacked = any(isinstance(number, np.ndarray) for number in of_models)
        kernel, *numbers = (None,) if stacked else self._kernel()
        if kernel is None or not all(plain(*block) for block in blocks):
            super()._sweep(share)
            return
        for block in blocks:
            number = block[0].dtype.type
            kernel(*[array.reshape(-1) for array in block], *[number(each) for each in numbers])

    def _kernel(self) -> tuple:
        raise NotImplementedError


@_compiled_kernel_of(nn.SGD)
class SGDKernel(_Rule, optimizers.SGDKernel):
    def _kernel(self):
        rule = self.rule
        if rule.momentum:
            return (
                _sgd_momentum,
                rule.weight_decay,
                rule.momentum,
                rule.nesterov,
                rule.learning_rate,
            )
        return _sgd, rule.weight_decay, rule.learning_rate


@_compiled_kernel_of(nn.Adam)
class AdamKernel(_Rule, optimizers.AdamKernel):
    def _kernel(self):
        rule = self.rule
        decay, shrink = rule.weight_decay, 1.0
        if rule.decoupled_decay:
            decay, shrink = 0.0, 1 - rule.learning_rate * rule.weight_decay
        scale, eps = self._corrections()
        return _adam, decay, shrink, *rule.betas, eps, rule.learning_rate * scale


@_compiled_kernel_of(nn.AdamW)
class AdamWKernel(AdamKernel, optimizers.AdamWKernel):
    pass


@_compiled_kernel_of(nn.RMSprop)
class RMSpropKernel(_Rule, optimizers.RMSpropKernel):
    def _kernel(self):
        rule = self.rule
        if rule.centered or rule.momentum:
            return (None,)
        return (
            _rmsprop,
            rule.weight_decay,
            rule.alpha,
            1 - rule.alpha,
            rule.eps,
            rule.learning_rate,
        )


@_compiled_kernel_of(nn.Adadelta)
class AdadeltaKernel(_Rule, optimizers.AdadeltaKernel):
    def _kernel(self):
        rule = self.rule
        return (
            _adadelta,
            rule.weight_decay,
            rule.rho,
            1 - rule.rho,
            rule.eps,
            rule.learning_rate,
        )
