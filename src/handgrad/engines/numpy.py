"""The NumPy engine: hand-derived gradients, flat buffers, reused work arrays."""

from __future__ import annotations

import dataclasses
import inspect
import math
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Float, Integer, Num, Shaped
from handgrad.architectures import KINDS, Architecture, LayerSpec, Row
from handgrad.data import Dataset
from handgrad.engines import (
    MAX_CONFUSION_CLASSES,
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
    OptimizerKernel,
    choose_convolution,
    convolution_costs,
    lay_out_for_kernels,
)
from handgrad.nn.layer import check_state

T = TypeVar("T")

#: Number of samples per evaluation batch, and the maximum number of output elements of a layer for them. Fixed, because
#: the last bits of the sums depend on it.
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
    """The layers of an architecture, with weights drawn in order from `init_rng` and dropout masks from `noise_rng`.

    `architectures.Kind` describes the arguments of a layer's constructor.
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
    """The algorithm of each convolution for a batch of this size, by the name of the layer.

    Arguments:
        wanted: one of `engines.CONVOLUTIONS`, used where applicable, or "auto" for the lowest estimate.
    """
    return {
        row.name: choose_convolution(_convolution_geometry(row), batch, wanted)
        for row in architecture.rows()
        if row.kind == "conv2d"
    }


def convolution_estimates(row: Row, batch: int) -> dict[str, float]:
    """The estimated time of every applicable convolution algorithm, for a batch of this size, in multiply-adds of a
    large matrix product."""
    return convolution_costs(_convolution_geometry(row), batch)


def _convolution_geometry(row: Row) -> Geometry:
    """The sizes that determine the algorithm of a convolution."""
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
        init_seed: seed of the weights. A sequence of M seeds stacks M models, which are trained together, each exactly
            as it would be alone with one thread.
        noise_seed: seed of the dropout masks.

    In a stack, `optimizer` (except for `clip_norm`), `init` and `noise_seed` may also be sequences with one entry per
    model.

    Attributes:
        network: the layers, which hold the parameters and buffers; their kernels do the computation.
        models: number of stacked models; None for a single network.
        diverged: the models of a stack whose loss was not finite, each with the step, counted from 0, and the cause.
            Their parameters are meaningless; the other models continue.
    """

    name = "numpy"

    def __init__(
        self,
        architecture: Architecture,
        optimizer: OptimizerSpec | Sequence[OptimizerSpec],
        spec: EngineSpec | None = None,
        loss: LossSpec | None = None,
        *,
        init: str | Sequence[str] = "kaiming",
        init_seed: int | Sequence[int] = 0,
        noise_seed: int | Sequence[int] = 0,
    ) -> None:
        spec = spec or EngineSpec()
        self.architecture = architecture
        self.dtype = np.dtype(spec.precision)
        self.models = None if isinstance(init_seed, int) else len(init_seed)
        count = self.models or 1
        seeds, inits, optimizers = _each(init_seed, count), _each(init, count), _each(optimizer, count)
        if self.models is not None and any(len(row.input_shape) > 1 for row in architecture.rows()):
            raise ConfigError("convolutional networks cannot be stacked: train them one at a time")
        self._noise = [np.random.default_rng(seed) for seed in _each(noise_seed, count)]

        def drawn(model: int) -> nn.Sequential:
            return build(
                architecture,
                init=inits[model],
                init_rng=seeds[model],
                noise_rng=self._noise[model],
                dtype=self.dtype,
            )

        self.network = drawn(0)
        lay_out_for_kernels(self.network)
        self.flat = FlatParameters(self.network, self.models, self.dtype)
        for model in range(1, count):
            for name, parameter in drawn(model).named_parameters():
                rows = self.flat.values[model : model + 1, self.flat.slices[name]]
                self.flat.shaped(rows, name)[0] = parameter.value
        if self.models is not None:
            for layer in self.network.modules():
                if isinstance(layer, nn.Dropout):
                    layer.rng = self._noise  # pyright: ignore[reportAttributeAccessIssue] (its kernel takes one per model)

        self.kernels = Kernels(spec.threads or 1, compiled=spec.kernels == "numba")
        self._network = self.kernels.lend(self.network)
        self._network.input_gradient = False
        self._loss_spec = loss or LossSpec()
        self._loss = self.kernels.lend(_make_loss(self._loss_spec))
        self._loss.checked_labels = True  # by `load`
        self._updates = [
            _Update(self.kernels.lend(rule), models, names)
            for rule, models, names in _make_optimizers(optimizers, self.flat)
        ]
        self._spec, self.clip_norm = spec, optimizers[0].clip_norm
        self._betas = [optimizer.betas for optimizer in optimizers]
        self.diverged: dict[int, tuple[int, str]] = {}

        #: The algorithm of each convolution, by the name of the layer; set at the start of training.
        self.convolutions: dict[str, str] = {}
        self._convolution_rows = {row.name: row for row in architecture.rows() if row.kind == "conv2d"}
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
        self, indices: Integer[Array, "*models N"], step: int | None = None
    ) -> tuple[Float[Array, "*models N ..."], Num[Array, "*models N *targets"]]:
        """Samples and their labels or standardised targets, with the augmentation of a training step."""
        dataset = self._loaded()
        x = self._work.empty("x", (indices.size, *dataset.input_shape), self.dtype)
        if step is None:
            dataset.gather(indices.ravel(), out=x)
        else:
            dataset.gather_for_training(indices.ravel(), step, out=x)
        targets = dataset.targets(indices)
        if dataset.target_scaling is not None:
            targets = dataset.target_scaling.apply(targets, dtype=self.dtype)
        return self._work.plan(self._as_inputs, x, indices.ndim), targets

    def _as_inputs(self, x: Float[Array, "N ..."], axes: int) -> Float[Array, "*models N ..."]:
        """The same memory in the input shape of the network."""
        models = (self.models or 1,) if axes > 1 else ()
        return x.reshape(*models, -1, *self.architecture.input_shape)

    # -- training and evaluation --------------------------------------------------------------------------------------

    def train(
        self, indices: Integer[Array, "steps *models batch"], learning_rates: Float[Array, "steps *rates"]
    ) -> Figures:
        """Runs one training step per row of `indices`. The models of a stack share each batch and learning rate, or
        have their own along a model axis."""
        steps, *_, batch = indices.shape
        dataset, figures = self._loaded(), self._no_figures(steps, batch)
        weights = dataset.weights
        self._select_convolutions(batch)
        if not self.network.training:
            self.network.train()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # reported below, with the layer's name
            for step in range(steps):
                x, labels = self._batch(indices[step], self.steps)
                scores = self._network.forward(x)
                weight = None if weights is None else weights.take(indices[step])
                loss = self._loss.forward(scores, labels, weight)
                if self.models is None and not math.isfinite(loss):
                    raise DivergedError(step, self._why_not_finite(x), figures.first(step))
                if self.models is not None and not np.isfinite(loss).all():
                    self._note_diverged(loss, x)
                self._network.backward(self._loss.backward())
                if self.clip_norm is not None:
                    nn.clip_gradient_norm([self.flat.whole()], self.clip_norm, stacked=True)
                for update in self._updates:
                    update.kernel.rule.learning_rate = update.rate(learning_rates[step])
                    update.kernel.step()
                figures.loss[step] = loss * float(batch)
                if figures.errors is not None:
                    figures.errors[step] += self._errors(scores, labels)
                else:
                    right = scores.argmax(axis=-1) == labels
                    figures.correct[step] = np.count_nonzero(right, axis=None if self.models is None else -1)
        return figures

    @property
    def steps(self) -> int:
        """Number of training steps so far."""
        return self._updates[0].kernel.rule.steps

    def _note_diverged(self, loss: Float[Array, "M"], x: Float[Array, "*models N ..."]) -> None:
        for model in np.flatnonzero(~np.isfinite(loss)).tolist():
            if model not in self.diverged:
                alone = NumpyEngine(self.architecture, OptimizerSpec(), self._spec, self._loss_spec, init="zeros")
                alone.load_state_dict(self.model(model).state_dict())
                alone._noise[0].bit_generator.state = self._noise[model].bit_generator.state
                cause = alone._why_not_finite(x if x.ndim == 1 + len(self.architecture.input_shape) else x[model])
                self.diverged[model] = self.steps, cause

    def evaluate(self, indices: Integer[Array, "..."]) -> Figures:
        """Sums over all samples of `indices`, in evaluation mode; for indices `(M, n)`, separate ones for each
        model."""
        if indices.ndim != 2 or len(indices) != self.models:
            indices = indices.ravel()
        samples = indices.shape[-1]
        figures = self._no_figures(1, samples)
        confusion, models = None, () if self.models is None else (np.arange(self.models)[:, None],)
        if figures.errors is None and (k := self.architecture.output_shape[0]) <= MAX_CONFUSION_CLASSES:
            confusion = np.zeros((*figures.loss.shape[1:], k, k), np.int64)
        self.network.eval()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            at_once = self._evaluation_batch()
            for start in range(0, samples, at_once):
                some = indices[..., start : start + at_once]
                x, labels = self._batch(some)
                scores = self._network.forward(x)
                figures.loss[...] += np.asarray(self._loss.forward(scores, labels), np.float64) * some.shape[-1]
                if figures.errors is not None:
                    figures.errors[0] += self._errors(scores, labels)
                    continue
                guesses = scores.argmax(axis=-1)
                figures.correct[...] += (guesses == labels).sum(axis=-1)
                if confusion is not None:
                    np.add.at(confusion, (*models, labels, guesses), 1)
        return dataclasses.replace(figures, confusion=confusion)

    def _no_figures(self, steps: int, samples: int) -> Figures:
        """Results to be filled in."""
        shape, errors = (steps,) if self.models is None else (steps, self.models), None
        if self._loaded().target_scaling is not None:
            errors = np.zeros((*shape, 2, *self.architecture.output_shape))
        return Figures(np.zeros(shape), np.zeros(shape, np.int64), samples, errors)

    def _errors(
        self, outputs: Float[Array, "*models N T"], targets: Float[Array, "*#models N T"]
    ) -> Float[Array, "*models 2 T"]:
        """Sums of the squared and absolute errors over the samples, in the units of the targets."""
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

    def _select_convolutions(self, batch: int) -> None:
        """Selects the algorithm of every convolution once, so that a resumed run uses the same."""
        rows = self._convolution_rows
        if self.convolutions or not rows:
            return
        if self._spec.convolution == "measure":
            kernels = self._convolution_kernels()
            fastest = {name: self._fastest(kernels[name], (batch, *row.input_shape)) for name, row in rows.items()}
            self._use_convolutions(fastest)
        else:
            self._use_convolutions(convolution_plan(self.architecture, batch, self._spec.convolution))

    def _fastest(self, kernel: Conv2dKernel, shape: tuple[int, ...]) -> str:
        """The fastest algorithm by the best of three timings of forward and backward."""
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

    def _why_not_finite(self, x: Float[Array, "N ..."]) -> str:
        """Runs the batch again, layer by layer, and names the first layer with a non-finite output."""
        if not np.isfinite(x).all():
            return "the data contain values that are not finite: check the input files"
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
        return self.model(None).checkpoint()

    def restore(self, arrays: dict[str, Shaped[Array, "..."]], settings: dict[str, Any]) -> None:
        self.model(None).restore(arrays, settings)

    def model(self, model: int | None) -> Model:
        """One model of a stack, or a single model (None)."""
        if (model is None) != (self.models is None):
            expected = "None" if self.models is None else f"0 to {self.models - 1}, as in engine.model(0).checkpoint()"
            raise ValueError(f"model={model} of an engine with models={self.models}: expected {expected}")
        return Model(self, model)


class Model:
    """The state of one model of an engine, in the form of an engine with only this model."""

    def __init__(self, engine: NumpyEngine, model: int | None) -> None:
        self._engine, self._row = engine, model or 0
        self._at = ... if model is None else (model, ...)
        self.name, self.architecture = engine.name, engine.architecture

    def state_dict(self) -> dict[str, Shaped[Array, "..."]]:
        """Parameters and buffers under PyTorch's names."""
        return {name: array[self._at].copy() for name, array in self._state().items()}

    def load_state_dict(self, state: dict[str, Shaped[Array, "..."]]) -> None:
        own = {name: array[self._at] for name, array in self._state().items()}
        check_state({name: array.shape for name, array in own.items()}, state)
        for name, array in own.items():
            array[...] = state[name]

    def _state(self) -> dict[str, np.ndarray]:
        network = self._engine.network
        return {name: parameter.value for name, parameter in network.named_parameters()} | dict(network.named_buffers())

    def checkpoint(self) -> tuple[dict[str, Shaped[Array, "..."]], dict[str, Any]]:
        """The complete state for bit-for-bit resumption, as arrays and a JSON value."""
        engine = self._engine
        arrays = {f"model/{name}": array for name, array in self.state_dict().items()}
        arrays.update((name, array.copy().reshape(1, -1)) for name, array in self._optimizer_state())
        settings = {"optimizer_steps": engine.steps, "noise": engine._noise[self._row].bit_generator.state}
        if engine.convolutions:
            settings["convolutions"] = engine.convolutions
        return arrays, settings

    def restore(self, arrays: dict[str, Shaped[Array, "..."]], settings: dict[str, Any]) -> None:
        """Restores a state returned by `checkpoint`. All models of a stack must have made the same number of steps."""
        engine = self._engine
        arrays = engine_state("numpy", arrays, engine._betas[self._row])
        self.load_state_dict({n.removeprefix("model/"): a for n, a in arrays.items() if n.startswith("model/")})
        for name, array in self._optimizer_state():
            array[...] = arrays[name].reshape(array.shape)
        for update in engine._updates:
            update.kernel.rule.steps = settings["optimizer_steps"]
        engine._noise[self._row].bit_generator.state = settings["noise"]
        if "convolutions" in settings:  # not if another engine wrote it
            engine._use_convolutions(settings["convolutions"])

    def _optimizer_state(self) -> Iterator[tuple[str, np.ndarray]]:
        """Views of the state of the update rules, in the shapes of the parameters with a leading axis of length 1,
        as `optimizer/KIND/PARAMETER`."""
        flat = self._engine.flat
        for update in self._engine._updates:
            row = self._row - update.models.start
            if not 0 <= row < update.models.stop - update.models.start:
                continue
            for kind, arrays in update.kernel.state.items():
                for name, array in update.by_name(arrays, flat):
                    rows = array[row : row + 1]
                    yield f"optimizer/{kind}/{name}", flat.shaped(rows.reshape(1, -1), name)


class _Update(NamedTuple):
    """The kernel of an update rule, the models whose parameters it updates, and the names of the parameters; None
    for all, in one pass."""

    kernel: OptimizerKernel
    models: slice
    names: list[str] | None

    def rate(self, rates: np.ndarray | float) -> float | np.ndarray:
        """The learning rates of these models, from a common one or one per model."""
        if not np.ndim(rates):
            return float(rates)
        return _number(np.asarray(rates)[self.models])

    def by_name(self, arrays: list[np.ndarray], flat: FlatParameters) -> Iterator[tuple[str, np.ndarray]]:
        """The state of each parameter, by name."""
        if self.names is not None:
            yield from zip(self.names, arrays, strict=True)
            return
        (sweep,) = arrays
        for name, where in flat.slices.items():
            yield name, sweep[:, where]


def _each(value: T | Sequence[T], count: int) -> list[T]:
    """One value per model, from a common one or one per model."""
    return list(value) if isinstance(value, (list, tuple)) else [value] * count  # pyright: ignore[reportReturnType]


def _number(values: Sequence[float] | np.ndarray) -> float | np.ndarray:
    """A setting of several models in the form that update rules expect. A Python number preserves float32."""
    return float(values[0]) if len(values) == 1 else np.asarray(values, np.float64)[:, None]


def _make_loss(spec: LossSpec) -> nn.Loss:
    if spec.name == "cross_entropy":
        return nn.SoftmaxCrossEntropy(spec.label_smoothing)
    if spec.name == "huber":
        return nn.Huber(spec.huber_delta)
    makes = {"nll": nn.NegativeLogLikelihood, "mse": nn.MeanSquaredError, "l1": nn.MeanAbsoluteError}
    return makes[spec.name]()


def _make_optimizers(
    specs: list[OptimizerSpec], flat: FlatParameters
) -> Iterator[tuple[nn.Optimizer, slice, list[str] | None]]:
    """The update rules: see `_Update`. Adjacent models of a stack share one if their rules differ only in numbers."""

    def kind(model: int) -> tuple:
        spec = specs[model]
        alone = model if spec.name == "muon" else None  # its matrices are updated separately anyway
        return spec.name, spec.nesterov, spec.betas, bool(spec.momentum), alone

    for _, numbers in groupby(range(len(specs)), kind):
        first, *others = numbers
        models = slice(first, first + 1 + len(others))
        for rule, names in _rules(specs[models], flat, models):
            yield rule, models, names


def _rules(
    specs: list[OptimizerSpec], flat: FlatParameters, models: slice
) -> list[tuple[nn.Optimizer, list[str] | None]]:
    """The update rules of models that differ only in numbers, each with the names of the parameters that it updates;
    None for all, in one pass."""
    spec = specs[0]
    decay: Any = _number([spec.weight_decay for spec in specs])
    momentum: Any = _number([spec.momentum or 0.0 for spec in specs])
    if spec.name == "muon":
        matrices = [name for name, shape in flat.shapes.items() if len(shape) > 1]
        hidden = matrices[1:-1]
        rest = [name for name in flat.names if name not in hidden]
        muon = nn.Muon(
            [flat.part(name, matrix=True, models=models) for name in hidden],
            0.0,
            momentum=0.95 if spec.momentum is None else spec.momentum,
            weight_decay=decay,
            adjust="match_rms_adamw",
        )
        return [
            (muon, hidden),
            (
                nn.AdamW([flat.part(name, models=models) for name in rest], 0.0, betas=spec.betas, weight_decay=decay),
                rest,
            ),
        ]
    whole = [flat.whole(models)]
    rules = {
        "sgd": lambda: nn.SGD(whole, 0.0, momentum=momentum, nesterov=spec.nesterov, weight_decay=decay),
        "adam": lambda: nn.Adam(whole, 0.0, betas=spec.betas, weight_decay=decay),
        "adamw": lambda: nn.AdamW(whole, 0.0, betas=spec.betas, weight_decay=decay),
        "rmsprop": lambda: nn.RMSprop(whole, 0.0, momentum=momentum, weight_decay=decay),
        "adadelta": lambda: nn.Adadelta(whole, 0.0, weight_decay=decay),
    }
    return [(rules[spec.name](), None)]
