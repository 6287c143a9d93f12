"""The networks: in each layer linear, batch normalisation (only in the first layers), activation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from handgrad._typing import Array, Inexact
from handgrad.courses.cmu11785.activation import Activation
from handgrad.courses.cmu11785.batchnorm import BatchNorm
from handgrad.courses.cmu11785.linear import Linear
from handgrad.courses.cmu11785.loss import Criterion


class BatchNorm2020(BatchNorm):
    """`BatchNorm` of the 2020 and 2021 editions, with gradients `(1, fan_in)`."""

    keepdims = True


class _Linear2019(Linear):
    keepdims = False


class _MLP:
    """Base class of the editions; a subclass defines in `_build` where the parameters are stored."""

    batch_norm: type[BatchNorm]
    _linears: list[Linear]

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hiddens: Sequence[int],
        activations: list[Activation],
        weight_init_fn: Callable[..., Any],
        bias_init_fn: Callable[..., Any],
        criterion: Criterion,
        lr: float,
        momentum: float = 0.0,
        num_bn_layers: int = 0,
    ) -> None:
        self.train_mode = True
        self.num_bn_layers = num_bn_layers
        self.bn = num_bn_layers > 0
        self.nlayers = len(hiddens) + 1
        self.input_size = input_size
        self.output_size = output_size
        self.activations = activations
        self.criterion = criterion
        self.lr = lr
        self.momentum = momentum
        self.output: Any = None
        if len(activations) != self.nlayers:
            raise ValueError(f"MLP got {len(activations)} activations, expected {self.nlayers}, one per layer")
        if not 0 <= num_bn_layers <= self.nlayers:
            raise ValueError(
                f"MLP got num_bn_layers={num_bn_layers}, expected 0 to {self.nlayers}, the number of layers"
            )
        sizes = [input_size, *hiddens, output_size]
        self._build(list(pairwise(sizes)), weight_init_fn, bias_init_fn)
        self.bn_layers = [self.batch_norm(size) for size in sizes[1 : num_bn_layers + 1]]

    def _build(self, sizes: list[tuple[int, int]], weight_init_fn: Callable, bias_init_fn: Callable) -> None:
        raise NotImplementedError

    def __call__(self, x: Any) -> Inexact[Array, "N K"]:
        return self.forward(x)

    def forward(self, x: Any) -> Inexact[Array, "N K"]:
        """The outputs `(N, output_size)` for a batch `(N, input_size)`."""
        for i, linear in enumerate(self._linears):
            x = linear(x)
            if self._normalizes(i):
                x = self.bn_layers[i](x, eval=not self.train_mode)
            x = self.activations[i](x)
        self.output = x
        return x

    def backward(self, labels: Any) -> None:
        """Computes all gradients from one-hot `labels` `(N, output_size)`, overwriting previous values."""
        if self.output is None:
            raise RuntimeError("MLP.backward was called before forward: call forward(x) first")
        self.criterion(self.output, labels)
        delta = self.criterion.derivative()
        for i in reversed(range(len(self._linears))):
            delta = delta * self.activations[i].derivative()
            if self._normalizes(i):
                delta = self.bn_layers[i].backward(delta)
            delta = self._linears[i].backward(delta)

    def zero_grads(self) -> None:
        """Sets every gradient to 0."""
        for linear in self._linears:
            linear.zero_grads()
        for norm in self.bn_layers:
            norm.dgamma, norm.dbeta = np.zeros_like(norm.dgamma), np.zeros_like(norm.dbeta)

    def step(self) -> None:
        """Updates every parameter: v = momentum · v - lr · g and W = W + v; gamma and beta by -lr · g."""
        for linear in self._linears:
            linear.step(self.lr, self.momentum)
        for norm in self.bn_layers:
            norm.gamma = norm.gamma - self.lr * norm.dgamma
            norm.beta = norm.beta - self.lr * norm.dbeta

    def train(self) -> None:
        self.train_mode = True

    def eval(self) -> None:
        self.train_mode = False

    def _normalizes(self, i: int) -> bool:
        return self.bn and i < self.num_bn_layers


class MLP(_MLP):
    """A multi-layer perceptron with its parameters in lists, as in the 2019 editions.

    Order in a layer: linear, batch normalisation, activation. dW and db are averaged over the batch; dgamma and dbeta
    are sums of the delta without averaging. All parameters have the same learning rate; momentum applies only to W and
    b.

    Arguments:
        input_size, output_size: numbers of inputs and outputs.
        hiddens: units of each hidden layer; empty for a linear classifier.
        activations: one per layer, including the last.
        weight_init_fn: called with (inputs, units) of each layer, in order.
        bias_init_fn: called with the units of each layer.
        criterion: the loss, not averaged.
        lr: the learning rate.
        momentum: momentum for W and b.
        num_bn_layers: number of layers, from the first, with batch normalisation.

    Attributes: the arguments; `train_mode`, `nlayers`, `bn`; `W`, `dW`, lists of (in, out); `b`, a list of what
        `bias_init_fn` returned; `db`, a list of (out,); `bn_layers`. All may be modified or replaced at any time.
        Raises: ValueError for a wrong number of activations or normalisations.
    Source: Fall 2019 handout, task 5.
    """

    batch_norm = BatchNorm

    def _build(self, sizes, weight_init_fn, bias_init_fn):
        self.W = [weight_init_fn(d, k) for d, k in sizes]
        self.b = [bias_init_fn(k) for _, k in sizes]
        self._linears = [
            _Linear2019(d, k, lambda *_, W=W: W, lambda _, b=b: b)
            for (d, k), W, b in zip(sizes, self.W, self.b, strict=True)
        ]
        self.dW = [linear.dW for linear in self._linears]
        self.db = [linear.db for linear in self._linears]

    # The lists are authoritative: their contents are passed to the layers before each pass, and changes are copied
    # back.

    def forward(self, x):
        self._to_layers()
        return super().forward(x)

    def backward(self, labels):
        self._to_layers()
        super().backward(labels)
        self._from_layers()

    def zero_grads(self):
        self._to_layers()
        super().zero_grads()
        self._from_layers()

    def step(self):
        self._to_layers()
        super().step()
        self._from_layers()

    def _to_layers(self) -> None:
        for linear, *arrays in zip(self._linears, self.W, self.b, self.dW, self.db, strict=True):
            linear.W, linear.b, linear.dW, linear.db = arrays

    def _from_layers(self) -> None:
        for i, linear in enumerate(self._linears):
            self.W[i], self.b[i], self.dW[i], self.db[i] = linear.W, linear.b, linear.dW, linear.db


class MLP2020(_MLP):
    """A multi-layer perceptron with `Linear` layers, as in the 2020 and 2021 editions.

    As `MLP`, with `linear_layers` instead of `W`, `dW`, `b`, `db`, and gradients db, dgamma, dbeta `(1, n)`. Each
    layer draws its weight, then its bias.
    """

    batch_norm = BatchNorm2020

    def _build(self, sizes, weight_init_fn, bias_init_fn):
        self._linears = [Linear(d, k, weight_init_fn, bias_init_fn) for d, k in sizes]

    @property
    def linear_layers(self) -> list[Linear]:
        return self._linears

    @linear_layers.setter
    def linear_layers(self, layers: list[Linear]) -> None:
        self._linears = layers

    def error(self, labels: Any) -> int:
        """The number of misclassified samples of the last forward, given one-hot `labels`."""
        return int(np.sum(np.argmax(self.output, axis=1) != np.argmax(labels, axis=1)))

    def total_loss(self, labels: Any) -> float:
        """The sum of the losses of the last forward."""
        return self.criterion(self.output, labels).sum()
