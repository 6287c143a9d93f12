"""The NumPy engine: hand-derived gradients, flat buffers, an arena of work arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Float, Integer, Num, Shaped
from handgrad.architectures import Architecture, LayerSpec
from handgrad.data import Dataset
from handgrad.engines import DivergedError, Figures, OptimizerSpec
from handgrad.errors import ConfigError

#: Samples that an evaluation takes at a time. Fixed, because the sums' last bits depend on it.
EVALUATION_BATCH = 1024

Build = Callable[..., nn.Layer]


def _linear(options, init, init_rng, noise_rng, dtype):
    initializer = nn.parse_initializer(init, gain=options["gain"])
    sizes = options["in_features"], options["out_features"], options.get("bias", True)
    return nn.Linear(*sizes, init=initializer, rng=init_rng, dtype=dtype)


#: How each kind of layer is built: (options, init, init_rng, noise_rng, dtype) -> layer.
BUILDERS: dict[str, Build] = {
    "linear": _linear,
    "batch_norm": lambda options, _init, _rng, _noise, dtype: nn.BatchNorm1d(options["num_features"], dtype=dtype),
    "layer_norm": lambda options, _init, _rng, _noise, dtype: nn.LayerNorm(options["num_features"], dtype=dtype),
    "dropout": lambda options, _init, _rng, noise, _dtype: nn.Dropout(options["p"], rng=noise),
    "leaky_relu": lambda options, *_: nn.LeakyReLU(options["negative_slope"]),
    "relu": lambda *_: nn.ReLU(),
    "elu": lambda *_: nn.ELU(),
    "sigmoid": lambda *_: nn.Sigmoid(),
    "tanh": lambda *_: nn.Tanh(),
    "identity": lambda *_: nn.Identity(),
    "softmax": lambda *_: nn.Softmax(),
    "flatten": lambda *_: nn.Flatten(),
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
        if spec.kind not in BUILDERS:
            raise ConfigError(f"the numpy engine has no layer {spec.kind!r}, only {', '.join(BUILDERS)}")
        return BUILDERS[spec.kind](spec.options, init, init_rng, noise_rng, dtype)

    return nn.Sequential(*(layer(spec) for spec in architecture.layers))


class NumpyEngine:
    """Trains an architecture with the layers of `handgrad.nn`.

    Arguments:
        architecture: the network; it ends in scores (logits).
        optimizer: the update rule.
        init: initialiser of the weights, as in `nn.parse_initializer`.
        init_seed: seed of the weights. A sequence of M seeds stacks M models, which train side by side on the same
            batches, each as it would alone.
        noise_seed: seed of the dropout masks (each model of a stack has masks of its own).
        dtype: float32 to train, float64 to check.
    """

    name = "numpy"

    def __init__(
        self,
        architecture: Architecture,
        optimizer: OptimizerSpec,
        *,
        init: str = "kaiming",
        init_seed: int | Sequence[int] = 0,
        noise_seed: int = 0,
        dtype: np.dtype | type = np.float32,
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
        self.flat = nn.FlatParameters(self.network, self.models, self.dtype)
        for row, network in enumerate(drawn[1:], start=1):
            for name, parameter in network.named_parameters():
                self.flat.values[row, self.flat.slices[name]] = parameter.value.ravel()
        self.network.input_gradient = False
        self.loss = nn.SoftmaxCrossEntropy()
        self.optimizer = _make_optimizer(optimizer, self.flat)

        self.arena = nn.Arena()
        for layer in (*self.network, self.loss):
            layer.work = self.arena.workspace()
        self._work = self.arena.workspace()
        self._dataset: Dataset | None = None

    # -- data ---------------------------------------------------------------------------------------------------------

    def load(self, dataset: Dataset) -> None:
        wanted = math.prod(self.architecture.input_shape)
        if math.prod(dataset.input_shape) != wanted:
            raise ConfigError(
                f"the network takes {wanted} numbers a sample (input_shape={self.architecture.input_shape}), "
                f"data set {dataset.name} has {math.prod(dataset.input_shape)} (input_shape={dataset.input_shape})"
            )
        if self.architecture.output_shape != (len(dataset.classes),):
            raise ConfigError(
                f"the network gives {self.architecture.output_shape} scores, "
                f"data set {dataset.name} has {len(dataset.classes)} classes"
            )
        self._dataset = dataset

    def _batch(self, indices: Integer[Array, "N"]) -> tuple[Float[Array, "N ..."], Integer[Array, "N"]]:
        dataset = self._dataset
        if dataset is None:
            raise RuntimeError("the engine has no data: call load(dataset) first")
        x = self._work.empty("x", (len(indices), *dataset.input_shape), self.dtype)
        dataset.gather(indices, out=x)
        return x.reshape(len(indices), *self.architecture.input_shape), dataset.targets(indices)

    # -- training and evaluation --------------------------------------------------------------------------------------

    def train(self, indices: Integer[Array, "steps batch"], learning_rates: Float[Array, "steps ..."]) -> Figures:
        steps, batch = indices.shape
        stack = () if self.models is None else (self.models,)
        figures = Figures(np.zeros((steps, *stack)), np.zeros((steps, *stack), np.int64), batch)
        self.network.train()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # told apart below, with the layer's name
            for step in range(steps):
                x, labels = self._batch(indices[step])
                scores = self.network.forward(x)
                loss = self.loss.forward(scores, labels)
                if self.models is None and not math.isfinite(loss):
                    done = Figures(figures.loss[:step], figures.correct[:step], batch)
                    raise DivergedError(step, self._why_not_finite(x), done)
                self.network.backward(self.loss.backward())
                self.optimizer.learning_rate = self._rate(learning_rates[step])
                self.optimizer.step()
                figures.loss[step] = loss * float(batch)
                figures.correct[step] = (scores.argmax(axis=-1) == labels).sum(axis=-1)
        return figures

    def evaluate(self, indices: Integer[Array, "..."]) -> Figures:
        stack = () if self.models is None else (self.models,)
        indices = indices.ravel()
        loss, correct = np.zeros((1, *stack)), np.zeros((1, *stack), np.int64)
        self.network.eval()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for start in range(0, len(indices), EVALUATION_BATCH):
                x, labels = self._batch(indices[start : start + EVALUATION_BATCH])
                scores = self.network.forward(x)
                loss += np.asarray(self.loss.forward(scores, labels), np.float64) * len(labels)
                correct += (scores.argmax(axis=-1) == labels).sum(axis=-1)
        return Figures(loss, correct, len(indices))

    def predict(self, inputs: Num[Array, "N ..."]) -> Float[Array, "*models N K"]:
        self.network.eval()
        x = np.asarray(inputs, self.dtype).reshape(len(inputs), *self.architecture.input_shape)
        parts = [
            self.network.forward(x[start : start + EVALUATION_BATCH]).copy()
            for start in range(0, len(x), EVALUATION_BATCH)
        ]
        if not parts:
            stack = () if self.models is None else (self.models,)
            return np.empty((*stack, 0, *self.architecture.output_shape), self.dtype)
        return np.concatenate(parts, axis=-2)

    def _rate(self, rate):
        # A plain number keeps float32 arrays float32; a stack may have a rate for each model.
        return float(rate) if np.ndim(rate) == 0 else np.asarray(rate, self.dtype)[:, None]

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
        for kind, (sweep,) in self.optimizer.state.items():
            for name, where in self.flat.slices.items():
                arrays[f"optimizer/{kind}/{name}"] = sweep[:, where].copy()
        return arrays, {"optimizer_steps": self.optimizer.steps, "noise": self._noise.bit_generator.state}

    def restore(self, arrays: dict[str, Shaped[Array, "..."]], settings: dict[str, Any]) -> None:
        self.load_state_dict({n.removeprefix("model/"): a for n, a in arrays.items() if n.startswith("model/")})
        for kind, (sweep,) in self.optimizer.state.items():
            for name, where in self.flat.slices.items():
                sweep[:, where] = arrays[f"optimizer/{kind}/{name}"].reshape(len(sweep), -1)
        self.optimizer.steps = settings["optimizer_steps"]
        self._noise.bit_generator.state = settings["noise"]


def _make_optimizer(spec: OptimizerSpec, flat: nn.FlatParameters) -> nn.Optimizer:
    whole = [flat.whole()]
    if spec.name == "sgd":
        return nn.SGD(whole, 0.0, momentum=spec.momentum, nesterov=spec.nesterov, weight_decay=spec.weight_decay)
    if spec.name == "adam":
        if spec.momentum or spec.nesterov:
            raise ConfigError("optimizer='adam' has no momentum or nesterov: leave them out, or take optimizer='sgd'")
        return nn.Adam(whole, 0.0, weight_decay=spec.weight_decay)
    raise ConfigError(f"optimizer={spec.name!r} is unknown, expected sgd or adam")
