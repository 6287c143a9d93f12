"""The NumPy engine: hand-derived gradients, flat buffers, an arena of work arrays."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Float, Integer, Num, Shaped
from handgrad.architectures import Architecture, LayerSpec, Row
from handgrad.data import Dataset
from handgrad.engines import LOSSES, DivergedError, Figures, OptimizerSpec, check_dataset, in_words_of
from handgrad.errors import ConfigError
from handgrad.nn.products import has_transposed_tiles

#: Samples that an evaluation takes at a time, fewer where a layer's outputs for them would be more than so many
#: numbers. Fixed, because the sums' last bits depend on it.
EVALUATION_BATCH = 1024
EVALUATION_NUMBERS = 2**21

#: Kinds whose layers take no stack of models.
IMAGE_KINDS = ("conv2d", "max_pool2d", "avg_pool2d", "global_avg_pool2d", "batch_norm2d")

Build = Callable[..., nn.Layer]


def _linear(options, init, init_rng, noise_rng, dtype):
    initializer = nn.parse_initializer(init, gain=options["gain"])
    sizes = options["in_features"], options["out_features"], options.get("bias", True)
    return nn.Linear(*sizes, init=initializer, rng=init_rng, dtype=dtype)


def _conv2d(options, init, init_rng, _noise_rng, dtype):
    own: dict[str, Any] = {name: _pair(value) for name, value in options.items() if name != "gain"}
    return nn.Conv2d(**own, init=nn.parse_initializer(init, gain=options["gain"]), rng=init_rng, dtype=dtype)


def _pair(value):
    return tuple(value) if isinstance(value, list) else value


def _pool2d(kind: type) -> Build:
    return lambda options, *_: kind(**{name: _pair(value) for name, value in options.items()})


#: How each kind of layer is built: (options, init, init_rng, noise_rng, dtype) -> layer.
BUILDERS: dict[str, Build] = {
    "linear": _linear,
    "batch_norm": lambda options, _init, _rng, _noise, dtype: nn.BatchNorm1d(options["num_features"], dtype=dtype),
    "layer_norm": lambda options, _init, _rng, _noise, dtype: nn.LayerNorm(options["num_features"], dtype=dtype),
    "dropout": lambda options, _init, _rng, noise, _dtype: nn.Dropout(options["p"], rng=noise),
    "leaky_relu": lambda options, *_: nn.LeakyReLU(options["negative_slope"]),
    "relu": lambda *_: nn.ReLU(),
    "elu": lambda *_: nn.ELU(),
    "gelu": lambda options, *_: nn.GELU(options.get("approximate", "tanh")),
    "silu": lambda *_: nn.SiLU(),
    "softplus": lambda *_: nn.Softplus(),
    "sigmoid": lambda *_: nn.Sigmoid(),
    "tanh": lambda *_: nn.Tanh(),
    "identity": lambda *_: nn.Identity(),
    "softmax": lambda *_: nn.Softmax(),
    "log_softmax": lambda *_: nn.LogSoftmax(),
    "flatten": lambda *_: nn.Flatten(),
    "conv2d": _conv2d,
    "max_pool2d": _pool2d(nn.MaxPool2d),
    "avg_pool2d": _pool2d(nn.AvgPool2d),
    "global_avg_pool2d": lambda *_: nn.GlobalAvgPool2d(),
    "batch_norm2d": lambda options, _init, _rng, _noise, dtype: nn.BatchNorm2d(options["num_features"], dtype=dtype),
}


def build(
    architecture: Architecture,
    *,
    init: str = "kaiming",
    init_rng: np.random.Generator | int | None = None,
    noise_rng: np.random.Generator | int | None = None,
    dtype: np.dtype | type = np.float32,
) -> nn.Sequential:
    """The layers of an architecture, their weights drawn in order from `init_rng`, dropout masks from `noise_rng`.

    Raises:
        ConfigError: the engine has no layer of some kind.
    """
    init_rng, noise_rng = np.random.default_rng(init_rng), np.random.default_rng(noise_rng)

    def layer(spec: LayerSpec) -> nn.Layer:
        if spec.kind == "residual":
            return nn.Residual(*map(layer, spec.children))
        if spec.kind not in BUILDERS:
            raise ConfigError(f"the numpy engine has no layer {spec.kind!r}, only {', '.join(BUILDERS)}")
        return BUILDERS[spec.kind](spec.options, init, init_rng, noise_rng, dtype)

    return nn.Sequential(*(layer(spec) for spec in architecture.layers))


def convolution_plan(architecture: Architecture, batch: int, wanted: str = "auto") -> dict[str, str]:
    """The algorithm of each convolution for a batch of this size, by the layer's name.

    Arguments:
        wanted: a name of `nn.CONVOLUTIONS`, taken where it fits; or "auto", the least estimate.
    """
    return {
        row.name: nn.choose_convolution(convolution_geometry(row), batch, wanted)
        for row in architecture.rows()
        if row.kind == "conv2d"
    }


def convolution_geometry(row: Row) -> nn.Geometry:
    """The sizes that decide how a convolution is computed."""
    options = {"stride": 1, "padding": 0, "dilation": 1, **row.options}
    sizes = (options[name] for name in ("kernel_size", "stride", "padding", "dilation"))
    pairs = ((size, size) if isinstance(size, int) else tuple(size) for size in sizes)
    channels = options["in_channels"], options["out_channels"]
    return nn.Geometry.of((row.input_shape[1], row.input_shape[2]), *channels, *pairs, groups=options.get("groups", 1))


class NumpyEngine:
    """Trains an architecture with the layers of `handgrad.nn`.

    Arguments:
        architecture: the network; it ends in scores (logits).
        optimizer: the update rule.
        loss: one of `engines.LOSSES`.
        label_smoothing: of the loss `cross_entropy`.
        init: initialiser of the weights, as in `nn.parse_initializer`.
        init_seed: seed of the weights. A sequence of M seeds stacks M models, which train side by side on the same
            batches, each as it would alone.
        noise_seed: seed of the dropout masks (each model of a stack has masks of its own).
        dtype: float32 to train, float64 to check.
        threads: how many share a step's work; see `make_engine`.
        kernels: what does the element-wise work: "numpy", or "numba", which compiles it.
    """

    name = "numpy"

    def __init__(
        self,
        architecture: Architecture,
        optimizer: OptimizerSpec,
        *,
        loss: str = "cross_entropy",
        label_smoothing: float = 0.0,
        init: str = "kaiming",
        init_seed: int | Sequence[int] = 0,
        noise_seed: int = 0,
        dtype: np.dtype | type = np.float32,
        threads: int = 1,
        kernels: str = "numpy",
        convolution: str = "auto",
    ) -> None:
        self.architecture = architecture
        self.dtype = np.dtype(dtype)
        self.models = None if isinstance(init_seed, int) else len(init_seed)
        seeds = [init_seed] if isinstance(init_seed, int) else list(init_seed)
        self._noise = np.random.default_rng(noise_seed)

        drawn = [
            build(architecture, init=init, init_rng=seed, noise_rng=self._noise, dtype=self.dtype) for seed in seeds
        ]
        self.network = drawn[0]
        _lay_inputs_first(self.network)
        self.flat = nn.FlatParameters(self.network, self.models, self.dtype)
        for row, network in enumerate(drawn[1:], start=1):
            for name, parameter in network.named_parameters():
                rows = self.flat.values[row : row + 1, self.flat.slices[name]]
                self.flat.shaped(rows, name)[0] = parameter.value
        self.network.input_gradient = False
        nn.join_rectifiers(self.network)
        self.loss = _make_loss(loss, label_smoothing)
        self.loss.trusts_labels = True  # `load` looks at them
        self._rules = _make_optimizers(optimizer, self.flat)
        self.optimizers = [rule for rule, _ in self._rules]
        self.clip_norm = optimizer.clip_norm

        if self.models is not None and any(row.kind in IMAGE_KINDS for row in architecture.rows()):
            raise ConfigError("convolutional networks are not stacked: train them one by one")
        self._convolution = convolution
        self._convolves = any(row.kind == "conv2d" for row in architecture.rows())
        #: The algorithm of each convolution, by the layer's name: settled when training begins.
        self.convolutions: dict[str, str] = {}

        self.arena = nn.Arena()
        self.workers = nn.Workers(threads)
        for user in (*self.network.modules(), self.loss, *self.optimizers):
            user.work = self.arena.workspace()
        for shared in (*self.network.modules(), *self.optimizers):
            shared.workers = self.workers
        if kernels == "numba":
            from handgrad.nn import fast

            fast.accelerate(*self.network.modules(), self.loss, *self.optimizers)
        self._work = self.arena.workspace()
        self._dataset: Dataset | None = None

    # -- data ---------------------------------------------------------------------------------------------------------

    def load(self, dataset: Dataset) -> None:
        check_dataset(self.architecture, dataset)
        self._dataset = dataset

    def _batch(
        self, indices: Integer[Array, "N"], step: int | None = None
    ) -> tuple[Float[Array, "N ..."], Integer[Array, "N"]]:
        """Samples and their labels; those of a training step as its number says."""
        dataset = self._dataset
        if dataset is None:
            raise RuntimeError("the engine has no data: call load(dataset) first")
        x = self._work.empty("x", (len(indices), *dataset.input_shape), self.dtype)
        if step is None:
            dataset.gather(indices, out=x)
        else:
            dataset.gather_for_training(indices, step, out=x)
        return self._work.plan(self._as_inputs, x), dataset.targets(indices)

    def _as_inputs(self, x: Float[Array, "N ..."]) -> Float[Array, "N ..."]:
        """The same memory in the shape that the network takes."""
        return x.reshape(len(x), *self.architecture.input_shape)

    # -- training and evaluation --------------------------------------------------------------------------------------

    def train(self, indices: Integer[Array, "steps batch"], learning_rates: Float[Array, "steps ..."]) -> Figures:
        steps, batch = indices.shape
        stack = () if self.models is None else (self.models,)
        figures = Figures(np.zeros((steps, *stack)), np.zeros((steps, *stack), np.int64), batch)
        self._settle_convolutions(batch)
        if not self.network.training:
            self.network.train()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # told apart below, with the layer's name
            for step in range(steps):
                x, labels = self._batch(indices[step], self.optimizers[0].steps)
                scores = self.network.forward(x)
                loss = self.loss.forward(scores, labels)
                if self.models is None and not math.isfinite(loss):
                    done = Figures(figures.loss[:step], figures.correct[:step], batch)
                    raise DivergedError(step, self._why_not_finite(x), done)
                self.network.backward(self.loss.backward())
                if self.clip_norm is not None:
                    nn.clip_gradient_norm([self.flat.whole()], self.clip_norm, stacked=True)
                for optimizer in self.optimizers:
                    optimizer.learning_rate = self._rate(learning_rates[step])
                    optimizer.step()
                figures.loss[step] = loss * float(batch)
                figures.correct[step] = np.count_nonzero(scores.argmax(axis=-1) == labels, axis=-1 if stack else None)
        return figures

    def evaluate(self, indices: Integer[Array, "..."]) -> Figures:
        stack = () if self.models is None else (self.models,)
        indices = indices.ravel()
        loss, correct = np.zeros((1, *stack)), np.zeros((1, *stack), np.int64)
        self.network.eval()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            at_once = self._evaluation_batch()
            for start in range(0, len(indices), at_once):
                x, labels = self._batch(indices[start : start + at_once])
                scores = self.network.forward(x)
                loss += np.asarray(self.loss.forward(scores, labels), np.float64) * len(labels)
                correct += (scores.argmax(axis=-1) == labels).sum(axis=-1)
        return Figures(loss, correct, len(indices))

    def predict(self, inputs: Num[Array, "N ..."]) -> Float[Array, "*models N K"]:
        self.network.eval()
        x = np.asarray(inputs, self.dtype).reshape(len(inputs), *self.architecture.input_shape)
        at_once = self._evaluation_batch()
        parts = [self.network.forward(x[start : start + at_once]).copy() for start in range(0, len(x), at_once)]
        if not parts:
            stack = () if self.models is None else (self.models,)
            return np.empty((*stack, 0, *self.architecture.output_shape), self.dtype)
        return np.concatenate(parts, axis=-2)

    def _settle_convolutions(self, batch: int) -> None:
        """Decides once how every convolution is computed, so that a resumed run goes on alike."""
        if self.convolutions or not self._convolves:
            return
        rows = {row.name: row for row in self.architecture.rows() if row.kind == "conv2d"}
        if self._convolution == "measure":
            layers = self._convolution_layers()
            quickest = {name: self._quickest(layers[name], (batch, *row.input_shape)) for name, row in rows.items()}
            self._use_convolutions(quickest)
        else:
            self._use_convolutions(convolution_plan(self.architecture, batch, self._convolution))

    def _quickest(self, layer: nn.Conv2d, shape: tuple[int, ...]) -> str:
        """The algorithm whose best of three times forward and backward is the shortest."""
        n, c, height, width = shape
        x = np.random.default_rng(0).standard_normal((n, height, width, c), self.dtype).transpose(0, 3, 1, 2)
        times: dict[str, float] = {}
        for name in nn.convolution_costs(layer.geometry(height, width), n):
            layer.algorithm = name
            dy = layer.forward(x).copy()
            for _ in range(3):
                began = time.perf_counter()
                layer.forward(x)
                layer.backward(dy)
                times[name] = min(times.get(name, math.inf), time.perf_counter() - began)
        return min(times, key=times.__getitem__)

    def _convolution_layers(self) -> dict[str, nn.Conv2d]:
        names = [row.name for row in self.architecture.rows() if row.kind == "conv2d"]
        return dict(zip(names, (m for m in self.network.modules() if isinstance(m, nn.Conv2d)), strict=True))

    def _use_convolutions(self, algorithms: dict[str, str]) -> None:
        for name, layer in self._convolution_layers().items():
            layer.algorithm = algorithms[name]
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
        settings = {"optimizer_steps": self.optimizers[0].steps, "noise": self._noise.bit_generator.state}
        if self.convolutions:
            settings["convolutions"] = self.convolutions
        return arrays, settings

    def restore(self, arrays: dict[str, Shaped[Array, "..."]], settings: dict[str, Any]) -> None:
        arrays = in_words_of("numpy", arrays)
        self.load_state_dict({n.removeprefix("model/"): a for n, a in arrays.items() if n.startswith("model/")})
        for name, array in self._optimizer_state():
            array[...] = arrays[name].reshape(array.shape)
        for optimizer in self.optimizers:
            optimizer.steps = settings["optimizer_steps"]
        self._noise.bit_generator.state = settings["noise"]
        if "convolutions" in settings:  # not where another engine wrote it
            self._use_convolutions(settings["convolutions"])

    def _optimizer_state(self) -> Iterator[tuple[str, np.ndarray]]:
        """Views of what the update rules carry from step to step, in the shapes of the parameters with an axis of
        models in front, as `optimizer/KIND/PARAMETER`."""
        for rule, names in self._rules:
            for kind, arrays in rule.state.items():
                if names is None:
                    (sweep,) = arrays
                    for name, where in self.flat.slices.items():
                        yield f"optimizer/{kind}/{name}", self.flat.shaped(sweep[:, where], name)
                else:
                    for name, array in zip(names, arrays, strict=True):
                        rows = array.reshape(len(array), -1)
                        yield f"optimizer/{kind}/{name}", self.flat.shaped(rows, name)


def _make_loss(name: str, label_smoothing: float) -> nn.Loss:
    if name == "cross_entropy":
        return nn.SoftmaxCrossEntropy(label_smoothing)
    if label_smoothing:
        smoothing = f"label_smoothing={label_smoothing}"
        raise ConfigError(f"{smoothing} goes with loss=cross_entropy, not with {name}: leave it out")
    if name == "nll":
        return nn.NegativeLogLikelihood()
    if name == "mse":
        return nn.MeanSquaredError()
    raise ConfigError(f"loss={name!r} is unknown, expected one of {', '.join(LOSSES)}")


def _lay_inputs_first(network: nn.Sequential) -> None:
    """Turns the memory (not the shape) of the weight that the data meets: x Wᵀ and dyᵀ x, its only products because the
    data needs no gradient, are 5 to 15% quicker so, unless x Wᵀ is computed in tiles. Elsewhere dy W would lose what
    they gain."""
    first = next((layer for layer in network if layer.parameters()), None)
    if isinstance(first, nn.Linear) and not has_transposed_tiles(first.in_features):
        first.weight.value = np.asfortranarray(first.weight.value)


def _make_optimizers(spec: OptimizerSpec, flat: nn.FlatParameters) -> list[tuple[nn.Optimizer, list[str] | None]]:
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
        return [(muon, hidden), (nn.AdamW([flat.part(name) for name in rest], 0.0, weight_decay=decay), rest)]
    whole = [flat.whole()]
    rules = {
        "sgd": lambda: nn.SGD(whole, 0.0, momentum=momentum, nesterov=spec.nesterov, weight_decay=decay),
        "adam": lambda: nn.Adam(whole, 0.0, weight_decay=decay),
        "adamw": lambda: nn.AdamW(whole, 0.0, weight_decay=decay),
        "rmsprop": lambda: nn.RMSprop(whole, 0.0, momentum=momentum, weight_decay=decay),
        "adadelta": lambda: nn.Adadelta(whole, 0.0, weight_decay=decay),
    }
    return [(rules[spec.name](), None)]
