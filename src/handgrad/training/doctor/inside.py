"""Inspection of a network: the output and the gradient of each layer for some samples.

The inspection uses a copy made of layers of `handgrad.nn` from a state dict of any engine. It does not affect the
training engine or its random generators.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Float, Num, Shaped
from handgrad.architectures import Architecture
from handgrad.engines import LossSpec
from handgrad.engines.numpy import build
from handgrad.kernels import Kernel, Kernels
from handgrad.nn.activations import Activation
from handgrad.nn.normalization import BatchNorm

#: A unit is dead if its slope is below this fraction of the maximum slope of the activation for every sample.
DEAD_SLOPE = 1e-3
#: Below this fraction of its maximum slope, a sigmoid or tanh counts as saturated.
SATURATED_SLOPE = 0.1
CROSS_ENTROPY = LossSpec()
#: The maximum slope of an activation, if it is not 1.
MAX_SLOPES: dict[type[nn.Layer], float] = {nn.Sigmoid: 0.25}


@dataclass
class LayerLook:
    """Measurements of one layer. A spread is the standard deviation over the samples, averaged over the units as a root
    mean square: it measures how well the layer distinguishes samples.

    Attributes:
        name, kind: as in `handgrad show`.
        input_spread, spread: spread of its input and of its output.
        finite: whether its output is finite.
        gradient: root mean square of a sample's gradient with respect to the output.
        weight_size: root mean square of the weight; None if it has no weight with at least two axes.
        weight_gradient: root mean square of the gradient of the loss with respect to the weight.
        units, dead: for activations, the number of units, and of those without slope for any sample.
        saturated: for sigmoid and tanh, the fraction of outputs with a small slope.
    """

    name: str
    kind: str
    input_spread: float = math.nan
    spread: float = math.nan
    finite: bool = True
    gradient: float = math.nan
    weight_size: float | None = None
    weight_gradient: float | None = None
    units: int | None = None
    dead: int | None = None
    saturated: float | None = None

    @property
    def label(self) -> str:
        return f"layer {self.name} ({self.kind})"

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass
class Look:
    """Measurements of a network.

    Attributes:
        loss: of the scores, averaged over the samples.
        accuracy: fraction of samples whose largest score is that of the right class; in regression R², which is 1 minus
            the mean squared error of the standardised targets: 0 for predicting the mean of each target.
        layers: every layer that does arithmetic, in the order of the forward pass.
        first_not_finite: the first layer whose output is not finite.
    """

    loss: float
    accuracy: float
    layers: list[LayerLook] = field(default_factory=list)

    @property
    def first_not_finite(self) -> LayerLook | None:
        return next((layer for layer in self.layers if not layer.finite), None)

    @property
    def weighted(self) -> list[LayerLook]:
        """The layers that have a weight."""
        return [layer for layer in self.layers if layer.weight_size is not None]

    @property
    def scores_spread(self) -> float:
        """Spread of the output of the last layer with a weight."""
        return self.weighted[-1].spread

    @property
    def activations(self) -> list[LayerLook]:
        return [layer for layer in self.layers if layer.dead is not None]


class Inside:
    """The copy of a network for inspection.

    Arguments:
        architecture: the network.
        dtype: what to compute in.
        loss: the loss. `nll` of log-probabilities and cross-entropy are the same.

    Raises:
        ConfigError: `handgrad.nn` does not have a kind of layer.
    """

    def __init__(
        self, architecture: Architecture, dtype: np.dtype | type = np.float32, loss: LossSpec = CROSS_ENTROPY
    ) -> None:
        distances = {"mse": nn.MeanSquaredError(), "l1": nn.MeanAbsoluteError(), "huber": nn.Huber(loss.huber_delta)}
        self.criterion = distances.get(loss.name) or nn.SoftmaxCrossEntropy()
        self.architecture = architecture
        self.dtype = np.dtype(dtype)
        self.network = build(architecture, init="zeros", init_rng=0, noise_rng=0, dtype=dtype)
        self._looks = [LayerLook(row.name, row.kind) for row in architecture.rows()]
        self._watcher = _Watcher(self._looks)
        self._kernel = self._watcher.lend(self.network)

    @property
    def bytes_per_sample(self) -> int:
        """Bytes that the outputs of all layers take for one sample."""
        return self.dtype.itemsize * sum(math.prod(row.output_shape) for row in self.architecture.rows())

    def look(
        self,
        state: dict[str, Shaped[Array, "..."]],
        x: Float[Array, "N ..."],
        labels: Num[Array, "N *targets"],
        *,
        training: bool = True,
        gradients: bool = True,
    ) -> Look:
        """Inspects the network for these samples.

        Arguments:
            state: parameters and buffers.
            x: preprocessed inputs.
            labels: classes, or standardised targets.
            training: whether batch normalisation uses the statistics of these samples instead of running statistics.
                There is no dropout.
            gradients: whether to run the backward pass as well.
        """
        self._prepare(state, training)
        for look in self._looks:
            vars(look).update(vars(LayerLook(look.name, look.kind)))
        self._watcher.watching = True
        try:
            loss, accuracy = self._pass(x, labels, gradients)
        finally:
            self._watcher.watching = False
        leaves = [LayerLook(**vars(look)) for look in self._looks if look.kind != "residual"]
        return Look(loss, accuracy, leaves)

    def loss(
        self,
        state: dict[str, Shaped[Array, "..."]],
        x: Float[Array, "N ..."],
        labels: Num[Array, "N *targets"],
        *,
        training: bool = True,
        batch_size: int | None = None,
        dropout: int | None = None,
    ) -> tuple[float, float]:
        """Loss and accuracy for these samples, without inspecting the layers, which is cheaper.

        Arguments:
            batch_size: number of samples per batch for batch normalisation in training mode; by default all.
            dropout: seed of dropout masks; by default, no dropout.
        """
        self._prepare(state, training, dropout)
        size = batch_size or len(x)
        whole = len(x) // size * size or len(x)
        parts = [self._pass(x[i : i + size], labels[i : i + size], False) for i in range(0, whole, size)]
        loss, accuracy = np.mean(parts, axis=0).tolist()
        return loss, accuracy

    def running_statistics(
        self, state: dict[str, Shaped[Array, "..."]], x: Float[Array, "N ..."]
    ) -> list[tuple[str, float, float]]:
        """The deviation of the running statistics of each batch normalisation from those of these samples.

        Returns: for each, its name, the ratio of the variances (running by batch; the median over the features, ε
            added to both), and the distance of the means in standard deviations (likewise).
        """
        self._prepare(state, True)
        layers = {layer: layer.momentum for layer in self.network.modules() if isinstance(layer, BatchNorm)}
        names = [row.name for row in self.architecture.rows() if row.kind.startswith("batch_norm")]
        running = [(layer.running_mean.copy(), layer.running_var.copy()) for layer in layers]
        for layer in layers:
            layer.momentum = 1.0
        self._forward(x)
        apart = []
        for name, layer, (mean, variance) in zip(names, layers, running, strict=True):
            layer.momentum = layers[layer]
            seen = layer.running_var + layer.eps
            ratio = float(np.median((variance + layer.eps) / seen))
            apart.append((name, ratio, float(np.median(np.abs(mean - layer.running_mean) / np.sqrt(seen)))))
        return apart

    def _prepare(self, state: dict[str, Shaped[Array, "..."]], training: bool, dropout: int | None = None) -> None:
        self.network.load_state_dict(state)
        self.network.train(training)
        for module in self.network.modules():
            if isinstance(module, nn.Dropout):
                module.train(dropout is not None)
                module.rng = np.random.default_rng(dropout)

    def _forward(self, x: Float[Array, "N ..."]) -> Float[Array, "N K"]:
        x = x.reshape(len(x), *self.architecture.input_shape).astype(self.dtype, copy=False)
        with np.errstate(all="ignore"):
            return self._kernel.forward(x)

    def _pass(self, x: Float[Array, "N ..."], labels: Num[Array, "N *targets"], gradients: bool) -> tuple[float, float]:
        with np.errstate(all="ignore"):
            scores = self._forward(x)
            loss = float(self.criterion.forward(scores, labels))
            if gradients:
                self._kernel.backward(self.criterion.backward())
            if labels.dtype.kind == "f":
                return loss, 1 - float(np.square(scores - labels, dtype=np.float64).mean())
        return loss, float((scores.argmax(axis=-1) == labels).mean())


class _Watcher(Kernels):
    """Lends observed kernels of the layers of a network.

    Attributes:
        watching: whether the kernels record measurements.
    """

    def __init__(self, looks: list[LayerLook]) -> None:
        super().__init__(reuse=False)
        self.watching = False
        self._looks = iter([None, *looks])  # the whole network first, then its layers

    def lend(self, thing, /):
        look = next(self._looks)
        kernel = super().lend(thing)
        return kernel if look is None else _Watched(kernel, look, self)


class _Watched(Kernel):
    """The kernel of a layer with its measurements."""

    def __init__(self, kernel: Kernel, look: LayerLook, watcher: _Watcher) -> None:
        super().__init__(kernel.layer, watcher)
        self._kernel, self._look, self._watcher = kernel, look, watcher

    def forward(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        y = self._kernel.forward(x)
        if not self._watcher.watching:
            return y
        layer, look = self.layer, self._look
        look.input_spread, look.spread = _spread(x), _spread(y)
        look.finite = bool(np.isfinite(y).all())
        weight = getattr(layer, "weight", None)
        if weight is not None and weight.value.ndim >= 2:
            look.weight_size = _rms(weight.value)
        if isinstance(layer, Activation) and not isinstance(layer, nn.Identity):
            slope = np.abs(np.asarray(self._kernel.backward(np.ones_like(y))))
            steepest = MAX_SLOPES.get(type(layer), 1.0)
            others = tuple(axis for axis in range(y.ndim) if axis != 1)
            dead = (slope <= DEAD_SLOPE * steepest).all(axis=others)
            look.units, look.dead = dead.size, int(dead.sum())
            if isinstance(layer, (nn.Sigmoid, nn.Tanh)):
                look.saturated = float((slope < SATURATED_SLOPE * steepest).mean())
        return y

    def backward(self, dy: Float[Array, "..."]) -> Float[Array, "..."] | None:
        dx = self._kernel.backward(dy)
        if self._watcher.watching:
            self._look.gradient = _rms(dy) * len(dy)  # the loss is a mean over the samples
            if self._look.weight_size is not None:
                self._look.weight_gradient = _rms(self.layer.parameters()[0].grad)
        return dx


def _rms(x: np.ndarray) -> float:
    # In float64, because the squares of small float32 numbers would underflow.
    return math.sqrt(float(np.square(x, dtype=np.float64).mean()))


def _spread(x: np.ndarray) -> float:
    if len(x) < 2:
        return math.nan
    return math.sqrt(float(x.var(axis=0, dtype=np.float64).mean()))
