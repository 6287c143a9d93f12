"""The NumPy engine: hand-derived gradients, flat buffers, an arena of work arrays."""

from __future__ import annotations

import dataclasses
import inspect
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Float, Integer, Num, Shaped
from handgrad.architectures import KINDS, Architecture, LayerSpec, Row
from handgrad.data import Dataset
from handgrad.engines import (
    MOST_CONFUSED,
    DivergedError,
    EngineSpec,
    Figures,
    LossSpec,
    OptimizerSpec,
    check_dataset,
    engine_state,
)
from handgrad.errors import ConfigError
from handgrad.kernels import (
    Conv2dKernel,
    FlatParameters,
    Geometry,
    Kernels,
    choose_convolution,
    convolution_costs,
    lay_out_for_kernels,
)

#: Samples that an evaluation takes at a time, fewer where a layer's outputs for them would be more than so many
#: numbers. Fixed, because the sums' last bits depend on it.
EVALUATION_BATCH = 1024
EVALUATION_NUMBERS = 2**21


def build(
    architecture: Architecture,
    *,
    init: str = "kaiming",
    init_rng: np.random.Generator | int | None = None,
    noise_rng: np.random.Generator | int | None = None,
    dtype: np.dtype | type = np.float32,
) -> nn.Sequential:
    """The layers of an architecture, their weights drawn in order from `init_rng`, dropout masks from `noise_rng`.

    What a layer's constructor is given: see `architectures.Kind`.
    """
    init_rng, noise_rng = np.random.default_rng(init_rng), np.random.default_rng(noise_rng)

    def layer(spec: LayerSpec) -> nn.Layer:
        kind = KINDS[spec.kind]
        make = getattr(nn, kind.layer) if isinstance(kind.layer, str) else kind.layer
        if spec.children:
            return make(*map(layer, spec.children))
        arguments, taken = spec.arguments, inspect.signature(make).parameters
        if "init" in taken:
            arguments["init"] = nn.parse_initializer(init, gain=spec.options.get("gain", 1.0))
        if "rng" in taken:
            arguments["rng"] = init_rng if "init" in taken else noise_rng
        if "dtype" in taken:
            arguments["dtype"] = dtype
        return make(**arguments)

    return nn.Sequential(*map(layer, architecture.layers))


def convolution_plan(architecture: Architecture, batch: int, wanted: str = "auto") -> dict[str, str]:
    """The algorithm of each convolution for a batch of this size, by the layer's name.

    Arguments:
        wanted: one of `engines.CONVOLUTIONS`, taken where it fits; or "auto", the least estimate.
    """
    return {
        row.name: choose_convolution(_convolution_geometry(row), batch, wanted)
        for row in architecture.rows()
        if row.kind == "conv2d"
    }


def convolution_estimates(row: Row, batch: int) -> dict[str, float]:
    """The estimated time of every algorithm that can compute a convolution, for a batch of this size, in multiply-adds
    of a large matrix product."""
    return convolution_costs(_convolution_geometry(row), batch)


def _convolution_geometry(row: Row) -> Geometry:
    """The sizes that decide how a convolution is computed."""
    options = {"stride": 1, "padding": 0, "dilation": 1, **row.options}
    sizes = (options[name] for name in ("kernel_size", "stride", "padding", "dilation"))
    pairs = ((size, size) if isinstance(size, int) else tuple(size) for size in sizes)
    channels = options["in_channels"], options["out_channels"]
    return Geometry.of((row.input_shape[1], row.input_shape[2]), *channels, *pairs, groups=options.get("groups", 1))


class NumpyEngine:
    """Trains an architecture with the layers of `handgrad.nn`, computed by `handgrad.kernels`.

    Arguments:
        architecture: the network; it ends in scores (logits).
        optimizer: the update rule.
        spec: precision, threads, kernels and convolution algorithm.
        loss: cross-entropy by default.
        init: initialiser of the weights, as in `nn.parse_initializer`.
        init_seed: seed of the weights. A sequence of M seeds stacks M models, which train side by side on the same
            batches, each as it would alone.
        noise_seed: seed of the dropout masks (each model of a stack has masks of its own).

    Attributes:
        network: the layers. They hold the parameters and buffers; their kernels compute.
    """

    name = "numpy"

    def __init__(
        self,
        architecture: Architecture,
        optimizer: OptimizerSpec,
        spec: EngineSpec | None = None,
        loss: LossSpec | None = None,
        *,
        init: str = "kaiming",
        init_seed: int | Sequence[int] = 0,
        noise_seed: int = 0,
    ) -> None:
        spec = spec or EngineSpec()
        self.architecture = architecture
        self.dtype = np.dtype(spec.precision)
        self.models = None if isinstance(init_seed, int) else len(init_seed)
        seeds = [init_seed] if isinstance(init_seed, int) else list(init_seed)
        if self.models is not None and any(len(row.input_shape) > 1 for row in architecture.rows()):
            raise ConfigError("convolutional networks are not stacked: train them one by one")
        self._noise = np.random.default_rng(noise_seed)

        drawn = [
            build(architecture, init=init, init_rng=seed, noise_rng=self._noise, dtype=self.dtype) for seed in seeds
        ]
        self.network = drawn[0]
        lay_out_for_kernels(self.network)
        self.flat = FlatParameters(self.network, self.models, self.dtype)
        for row, network in enumerate(drawn[1:], start=1):
            for name, parameter in network.named_parameters():
                rows = self.flat.values[row : row + 1, self.flat.slices[name]]
                self.flat.shaped(rows, name)[0] = parameter.value

        self.kernels = Kernels(spec.threads or 1, compiled=spec.kernels == "numba")
        self._network = self.kernels.lend(self.network)
        self._network.input_gradient = False
        self._loss_spec = loss or LossSpec()
        self._loss = self.kernels.lend(_make_loss(self._loss_spec))
        self._loss.checked_labels = True  # by `load`
        rules = _make_optimizers(optimizer, self.flat)
        #: What steps each update rule, with the names of the parameters that it moves; None for all, in one sweep.
        self._optimizers = [(self.kernels.lend(rule), names) for rule, names in rules]
        self._spec, self._betas, self.clip_norm = spec, optimizer.betas, optimizer.clip_norm

        #: The algorithm of each convolution, by the layer's name: settled when training begins.
        self.convolutions: dict[str, str] = {}
        self._work = self.kernels.workspace()
        self._dataset: Dataset | None = None

    # -- data ---------------------------------------------------------------------------------------------------------

    def load(self, dataset: Dataset) -> None:
        check_dataset(self.architecture, dataset, self._loss_spec)
        self._dataset = dataset

    def _loaded(self) -> Dataset:
        if self._dataset is None:
            raise RuntimeError("the engine has no data: call load(dataset) first")
        return self._dataset

    def _batch(
        self, indices: Integer[Array, "N"], step: int | None = None
    ) -> tuple[Float[Array, "N ..."], Num[Array, "N *targets"]]:
        """Samples and their labels, or standardised targets; those of a training step as its number says."""
        dataset = self._loaded()
        x = self._work.empty("x", (len(indices), *dataset.input_shape), self.dtype)
        if step is None:
            dataset.gather(indices, out=x)
        else:
            dataset.gather_for_training(indices, step, out=x)
        targets = dataset.targets(indices)
        if dataset.target_scaling is not None:
            targets = dataset.target_scaling.apply(targets, dtype=self.dtype)
        return self._work.plan(self._as_inputs, x), targets

    def _as_inputs(self, x: Float[Array, "N ..."]) -> Float[Array, "N ..."]:
        """The same memory in the shape that the network takes."""
        return x.reshape(len(x), *self.architecture.input_shape)

    # -- training and evaluation --------------------------------------------------------------------------------------

    def train(self, indices: Integer[Array, "steps batch"], learning_rates: Float[Array, "steps ..."]) -> Figures:
        steps, batch = indices.shape
        dataset, figures = self._loaded(), self._no_figures(steps, batch)
        weights = dataset.weights
        self._settle_convolutions(batch)
        if not self.network.training:
            self.network.train()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # told apart below, with the layer's name
            for step in range(steps):
                x, labels = self._batch(indices[step], self._optimizers[0][0].rule.steps)
                scores = self._network.forward(x)
                weight = None if weights is None else weights.take(indices[step])
                loss = self._loss.forward(scores, labels, weight)
                if self.models is None and not math.isfinite(loss):
                    raise DivergedError(step, self._why_not_finite(x), figures.first(step))
                self._network.backward(self._loss.backward())
                if self.clip_norm is not None:
                    nn.clip_gradient_norm([self.flat.whole()], self.clip_norm, stacked=True)
                for optimizer, _ in self._optimizers:
                    optimizer.rule.learning_rate = self._rate(learning_rates[step])
                    optimizer.step()
                figures.loss[step] = loss * float(batch)
                if figures.errors is not None:
                    figures.errors[step] += self._errors(scores, labels)
                else:
                    right = scores.argmax(axis=-1) == labels
                    figures.correct[step] = np.count_nonzero(right, axis=None if self.models is None else -1)
        return figures

    def evaluate(self, indices: Integer[Array, "..."]) -> Figures:
        indices = indices.ravel()
        figures = self._no_figures(1, len(indices))
        confusion, models = None, () if self.models is None else (np.arange(self.models)[:, None],)
        if figures.errors is None and (k := self.architecture.output_shape[0]) <= MOST_CONFUSED:
            confusion = np.zeros((*figures.loss.shape[1:], k, k), np.int64)
        self.network.eval()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            at_once = self._evaluation_batch()
            for start in range(0, len(indices), at_once):
                x, labels = self._batch(indices[start : start + at_once])
                scores = self._network.forward(x)
                figures.loss[...] += np.asarray(self._loss.forward(scores, labels), np.float64) * len(labels)
                if figures.errors is not None:
                    figures.errors[0] += self._errors(scores, labels)
                    continue
                guesses = scores.argmax(axis=-1)
                figures.correct[...] += (guesses == labels).sum(axis=-1)
                if confusion is not None:
                    np.add.at(confusion, (*models, labels, guesses), 1)
        return dataclasses.replace(figures, confusion=confusion)

    def _no_figures(self, steps: int, samples: int) -> Figures:
        """Figures to be filled in."""
        shape, errors = (steps,) if self.models is None else (steps, self.models), None
        if self._loaded().target_scaling is not None:
            errors = np.zeros((*shape, 2, *self.architecture.output_shape))
        return Figures(np.zeros(shape), np.zeros(shape, np.int64), samples, errors)

    def _errors(
        self, outputs: Float[Array, "*models N T"], targets: Float[Array, "N T"]
    ) -> Float[Array, "*models 2 T"]:
        """Sums over the samples of the squared and of the absolute distances, in the targets' own units."""
        scaling = self._loaded().target_scaling
        assert scaling is not None
        distance = np.subtract(outputs, targets, dtype=np.float64) / scaling.scale
        return np.stack([(distance * distance).sum(axis=-2), abs(distance).sum(axis=-2)], axis=-2)

    def predict(self, inputs: Num[Array, "N ..."]) -> Float[Array, "*models N K"]:
        self.network.eval()
        x = np.asarray(inputs, self.dtype).reshape(len(inputs), *self.architecture.input_shape)
        at_once = self._evaluation_batch()
        parts = [self._network.forward(x[start : start + at_once]).copy() for start in range(0, len(x), at_once)]
        if not parts:
            stack = () if self.models is None else (self.models,)
            return np.empty((*stack, 0, *self.architecture.output_shape), self.dtype)
        return np.concatenate(parts, axis=-2)

    def _settle_convolutions(self, batch: int) -> None:
        """Decides once how every convolution is computed, so that a resumed run goes on alike."""
        rows = {row.name: row for row in self.architecture.rows() if row.kind == "conv2d"}
        if self.convolutions or not rows:
            return
        if self._spec.convolution == "measure":
            kernels = self._convolution_kernels()
            quickest = {name: self._quickest(kernels[name], (batch, *row.input_shape)) for name, row in rows.items()}
            self._use_convolutions(quickest)
        else:
            self._use_convolutions(convolution_plan(self.architecture, batch, self._spec.convolution))

    def _quickest(self, kernel: Conv2dKernel, shape: tuple[int, ...]) -> str:
        """The algorithm whose best of three times forward and backward is the shortest."""
        n, c, height, width = shape
        x = np.random.default_rng(0).standard_normal((n, height, width, c), self.dtype).transpose(0, 3, 1, 2)
        times: dict[str, float] = {}
        for name in convolution_costs(kernel.geometry(height, width), n):
            kernel.algorithm = name
            dy = kernel.forward(x).copy()
            for _ in range(3):
                began = time.perf_counter()
                kernel.forward(x)
                kernel.backward(dy)
                times[name] = min(times.get(name, math.inf), time.perf_counter() - began)
        return min(times, key=times.__getitem__)

    def _convolution_kernels(self) -> dict[str, Conv2dKernel]:
        names = [row.name for row in self.architecture.rows() if row.kind == "conv2d"]
        return dict(zip(names, (k for k in self._network.kernels() if isinstance(k, Conv2dKernel)), strict=True))

    def _use_convolutions(self, algorithms: dict[str, str]) -> None:
        for name, kernel in self._convolution_kernels().items():
            kernel.algorithm = algorithms[name]
        self.convolutions = dict(algorithms)

    def _evaluation_batch(self) -> int:
        widest = max((math.prod(row.output_shape) for row in self.architecture.rows()), default=1)
        return min(EVALUATION_BATCH, max(16, EVALUATION_NUMBERS // widest))

    def _rate(self, rate):
        # A plain number keeps float32 arrays float32; a stack may have a rate for each model.
        return np.asarray(rate, self.dtype)[:, None] if isinstance(rate, np.ndarray) and rate.ndim else float(rate)

    def _why_not_finite(self, x: Float[Array, "N ..."]) -> str:
        """Runs the batch again, layer by layer, and names the first one that gives something not finite."""
        if not np.isfinite(x).all():
            return "the data itself holds values that are not finite: check the input files"
        advice = "the learning rate is most likely too high: try a tenth of it"
        for i, (layer, spec) in enumerate(zip(self.network, self.architecture.layers, strict=True)):
            for name, parameter in layer.named_parameters():
                if not np.isfinite(parameter.value).all():
                    return f"{i}.{name} of layer {i} ({spec.kind}) is no longer finite after the last update; {advice}"
            largest = np.abs(x).max()
            x = layer.forward(x)
            if not np.isfinite(x).all():
                weights = [np.abs(parameter.value).max() for parameter in layer.parameters()]
                found = f"inputs up to {largest:.1e}" + (f", weights up to {max(weights):.1e}" if weights else "")
                return f"layer {i} ({spec.kind}) is the first whose output overflows ({found}); {advice}"
        return f"the scores are finite (up to {np.abs(x).max():.1e}) but their loss is not; {advice}"

    # -- state --------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Shaped[Array, "..."]]:
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Shaped[Array, "..."]]) -> None:
        self.network.load_state_dict(state)

    def checkpoint(self) -> tuple[dict[str, Shaped[Array, "..."]], dict[str, Any]]:
        arrays = {f"model/{name}": array for name, array in self.state_dict().items()}
        arrays.update((name, array.copy().reshape(len(array), -1)) for name, array in self._optimizer_state())
        settings = {"optimizer_steps": self._optimizers[0][0].rule.steps, "noise": self._noise.bit_generator.state}
        if self.convolutions:
            settings["convolutions"] = self.convolutions
        return arrays, settings

    def restore(self, arrays: dict[str, Shaped[Array, "..."]], settings: dict[str, Any]) -> None:
        arrays = engine_state("numpy", arrays, self._betas)
        self.load_state_dict({n.removeprefix("model/"): a for n, a in arrays.items() if n.startswith("model/")})
        for name, array in self._optimizer_state():
            array[...] = arrays[name].reshape(array.shape)
        for optimizer, _ in self._optimizers:
            optimizer.rule.steps = settings["optimizer_steps"]
        self._noise.bit_generator.state = settings["noise"]
        if "convolutions" in settings:  # not where another engine wrote it
            self._use_convolutions(settings["convolutions"])

    def _optimizer_state(self) -> Iterator[tuple[str, np.ndarray]]:
        """Views of what the update rules carry from step to step, in the shapes of the parameters with an axis of
        models in front, as `optimizer/KIND/PARAMETER`."""
        for optimizer, names in self._optimizers:
            for kind, arrays in optimizer.state.items():
                if names is None:
                    (sweep,) = arrays
                    for name, where in self.flat.slices.items():
                        yield f"optimizer/{kind}/{name}", self.flat.shaped(sweep[:, where], name)
                else:
                    for name, array in zip(names, arrays, strict=True):
                        rows = array.reshape(len(array), -1)
                        yield f"optimizer/{kind}/{name}", self.flat.shaped(rows, name)


def _make_loss(spec: LossSpec) -> nn.Loss:
    if spec.name == "cross_entropy":
        return nn.SoftmaxCrossEntropy(spec.label_smoothing)
    makes = {"nll": nn.NegativeLogLikelihood, "mse": nn.MeanSquaredError, "l1": nn.MeanAbsoluteError, "huber": nn.Huber}
    return makes[spec.name]()


def _make_optimizers(spec: OptimizerSpec, flat: FlatParameters) -> list[tuple[nn.Optimizer, list[str] | None]]:
    """The update rules, each with the names of the parameters that it moves; None for all, in one sweep."""
    decay, momentum = spec.weight_decay, spec.momentum or 0.0
    if spec.name == "muon":
        matrices = [name for name, shape in flat.shapes.items() if len(shape) > 1]
        hidden = matrices[1:-1]
        rest = [name for name in flat.names if name not in hidden]
        muon = nn.Muon(
            [flat.part(name, matrix=True) for name in hidden],
            0.0,
            momentum=0.95 if spec.momentum is None else spec.momentum,
            weight_decay=decay,
            adjust="match_rms_adamw",
        )
        return [
            (muon, hidden),
            (nn.AdamW([flat.part(name) for name in rest], 0.0, betas=spec.betas, weight_decay=decay), rest),
        ]
    whole = [flat.whole()]
    rules = {
        "sgd": lambda: nn.SGD(whole, 0.0, momentum=momentum, nesterov=spec.nesterov, weight_decay=decay),
        "adam": lambda: nn.Adam(whole, 0.0, betas=spec.betas, weight_decay=decay),
        "adamw": lambda: nn.AdamW(whole, 0.0, betas=spec.betas, weight_decay=decay),
        "rmsprop": lambda: nn.RMSprop(whole, 0.0, momentum=momentum, weight_decay=decay),
        "adadelta": lambda: nn.Adadelta(whole, 0.0, weight_decay=decay),
    }
    return [(rules[spec.name](), None)]
