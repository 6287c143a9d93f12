"""Engines, which train a network described as data.

An engine loads a data set once. After that, the training loop passes only indices and gets sums back. The same
interface supports arrays in memory, data on a device, shards on many machines, and stacked models.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from handgrad._typing import Array, Float, Integer, Num, Shaped
from handgrad.architectures import Architecture
from handgrad.data import Dataset
from handgrad.engines.processes import Processes
from handgrad.errors import ConfigError

ENGINES = ("numpy", "torch")
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "adadelta", "muon")
PRECISIONS = ("float32", "float64", "bf16", "fp16")
DEVICES = ("cpu", "cuda", "mps")
GRADIENTS = ("hand", "autograd")
KERNELS = ("numpy", "numba")
#: Losses by task; the first is the default of the task.
LOSSES_OF = {"classification": ("cross_entropy", "nll", "mse"), "regression": ("mse", "l1", "huber")}
LOSSES = tuple(dict.fromkeys(name for names in LOSSES_OF.values() for name in names))
#: Maximum number of classes for which an evaluation computes the confusion matrix.
MAX_CONFUSION_CLASSES = 1000
#: Convolution algorithms of the NumPy engine.
CONVOLUTIONS = ("im2col", "taps", "winograd-2x2", "winograd-4x4")


@dataclass(frozen=True)
class EngineSpec:
    """The specification of an engine.

    Arguments:
        name: one of `ENGINES`.
        precision: floating-point precision, one of `PRECISIONS`; bf16 and fp16 (mixed) only with the PyTorch engine.
        threads: number of threads per step. The NumPy engine divides the work itself: with more than one thread, limit
            its BLAS library to one (`threadpoolctl.threadpool_limits(1, "blas")`). None means one for the NumPy engine
            and PyTorch's default for the PyTorch engine.
        device, compile, gradients: settings of the PyTorch engine (see `engines.torch.TorchEngine`); None for its
            defaults.
        kernels: implementation of elementwise operations in the NumPy engine: `numpy`, or `numba`, which compiles them
            (the extra `fast`).
        convolution: convolution algorithm of the NumPy engine: one of `CONVOLUTIONS` (where applicable), `auto` (by a
            fixed estimate) or `measure` (the fastest on this machine, measured at the start of training).

    Raises:
        ConfigError: unknown engine, a setting that the engine does not support, or a missing library.
    """

    name: str = "numpy"
    precision: str = "float32"
    threads: int | None = None
    device: str | None = None
    compile: bool = False
    gradients: str | None = None
    kernels: str = "numpy"
    convolution: str = "auto"

    def __post_init__(self) -> None:
        for setting, value, known in (
            ("engine", self.name, ENGINES),
            ("precision", self.precision, PRECISIONS),
            ("gradients", self.gradients, GRADIENTS),
            ("kernels", self.kernels, KERNELS),
            ("convolution", self.convolution, ("auto", "measure", *CONVOLUTIONS)),
        ):
            if value is not None and value not in known:
                raise ConfigError(f"{setting}={value!r} is unknown, expected one of {', '.join(known)}")
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"threads={self.threads}, expected at least 1")
        if self.name == "torch":
            if self.kernels != "numpy":
                raise ConfigError(f"kernels={self.kernels} requires engine=numpy; the torch engine has --compile")
            return
        if self.kernels == "numba" and importlib.util.find_spec("numba") is None:
            raise ConfigError('kernels=numba requires numba, which is not installed: pip install "handgrad[fast]"')
        for given, setting in (
            (self.precision not in ("float32", "float64"), f"precision={self.precision}"),
            (self.device not in (None, "cpu"), f"device={self.device}"),
            (self.compile, "compile=true"),
            (self.gradients not in (None, "hand"), f"gradients={self.gradients}"),
        ):
            if given:
                raise ConfigError(f"{setting} requires engine=torch: the {self.name} engine does not support it")


@dataclass(frozen=True)
class LossSpec:
    """The specification of a loss.

    Arguments:
        name: one of `LOSSES`: `cross_entropy` of scores, `nll` of log-probabilities (the architecture then ends in
            `log_softmax`), `mse` between the outputs and one-hot rows or, in regression, the targets; `l1` and `huber`
            only for regression.
        label_smoothing: only for `cross_entropy`.
        huber_delta: δ of `huber`, the residual from which it grows linearly. A run standardises its targets, so δ is
            in standard deviations of the target.

    Raises:
        ConfigError: unknown loss, or a setting that it does not support.
    """

    name: str = "cross_entropy"
    label_smoothing: float = 0.0
    huber_delta: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in LOSSES:
            raise ConfigError(f"loss={self.name!r} is unknown, expected one of {', '.join(LOSSES)}")
        if self.label_smoothing and self.name != "cross_entropy":
            smoothing = f"label_smoothing={self.label_smoothing}"
            raise ConfigError(f"{smoothing} applies to loss=cross_entropy, not to {self.name}: leave it out")
        if not self.huber_delta > 0:
            raise ConfigError(f"huber_delta={self.huber_delta}, expected a number above 0")
        if self.huber_delta != 1 and self.name != "huber":
            raise ConfigError(f"huber_delta={self.huber_delta} applies to loss=huber, not to {self.name}: leave it out")


@dataclass(frozen=True)
class OptimizerSpec:
    """The specification of an optimiser.

    Arguments:
        name: one of `OPTIMIZERS`. `muon` updates the weight matrices of hidden layers; AdamW, with the same learning
            rate and weight decay, updates all other parameters.
        momentum: for `sgd`, `rmsprop` (0 if None) and `muon` (0.95 if None).
        nesterov: use Nesterov momentum, for `sgd` (`muon` always uses it).
        weight_decay: L2 penalty; decoupled for `adamw` and `muon`.
        clip_norm: maximum total norm of all gradients; None for no clipping.
        betas: β₁ and β₂ of `adam` and `adamw` (and of AdamW in `muon`).

    Raises:
        ConfigError: a setting that the optimiser does not support.
    """

    name: str = "adam"
    momentum: float | None = None
    nesterov: bool = False
    weight_decay: float = 0.0
    clip_norm: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        if self.name not in OPTIMIZERS:
            raise ConfigError(f"optimizer={self.name!r} is unknown, expected one of {', '.join(OPTIMIZERS)}")
        if self.momentum is not None and self.name not in ("sgd", "rmsprop", "muon"):
            raise ConfigError(f"momentum={self.momentum} applies to sgd, rmsprop or muon, not to {self.name}")
        if self.betas != (0.9, 0.999) and self.name not in ("adam", "adamw", "muon"):
            raise ConfigError(f"betas={self.betas} apply to adam, adamw or muon, not to {self.name}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"betas={self.betas}, expected both in [0, 1)")
        if self.nesterov and (self.name != "sgd" or not self.momentum):
            raise ConfigError("nesterov=true needs optimizer=sgd and momentum above 0, as in --momentum 0.9")


@dataclass(frozen=True)
class Figures:
    """Sums over samples, one row per step in training or a single row in evaluation; stacked models add a model axis.

    Attributes:
        loss: sum of the losses of the samples, `(steps,)` or `(steps, M)`, float64.
        correct: number of correctly classified samples, in the same shape, int64; 0 for regression.
        samples: number of samples per row.
        errors: for regression, sums of the squared and absolute errors of each target, in its own unit,
            `(steps, 2, T)` or `(steps, M, 2, T)`, float64.
        confusion: for the evaluation of a classification, the number of samples of class i (row) classified as j
            (column), `(K, K)` or `(M, K, K)`, int64; None with more than `MAX_CONFUSION_CLASSES` classes.
    """

    loss: Float[Array, "steps *models"]
    correct: Integer[Array, "steps *models"]
    samples: int
    errors: Float[Array, "steps *models 2 T"] | None = None
    confusion: Integer[Array, "*models K K"] | None = None

    def first(self, steps: int) -> Figures:
        """The results of the first steps."""
        errors = None if self.errors is None else self.errors[:steps]
        return Figures(self.loss[:steps], self.correct[:steps], self.samples, errors)

    def of(self, model: int) -> Figures:
        """The results of one model of a stack."""
        errors = None if self.errors is None else self.errors[:, model]
        confusion = None if self.confusion is None else self.confusion[model]
        return Figures(self.loss[:, model], self.correct[:, model], self.samples, errors, confusion)


class DivergedError(Exception):
    """The loss of a training step is not finite. The parameters are those before that step.

    Attributes:
        step: row of `indices` in which it happened.
        cause: a sentence that names the layer and what to do.
        figures: results of the previous steps.
    """

    def __init__(self, step: int, cause: str, figures: Figures) -> None:
        super().__init__(cause)
        self.step = step
        self.cause = cause
        self.figures = figures


@runtime_checkable
class Engine(Protocol):
    """The interface between the training loop and an engine."""

    name: str
    architecture: Architecture

    def load(self, dataset: Dataset) -> None:
        """Loads the data set to which all later indices refer."""
        ...

    def train(self, indices: Integer[Array, "steps batch"], learning_rates: Float[Array, "steps"]) -> Figures:
        """Runs one training step per row of `indices`.

        Raises:
            DivergedError: a loss is not finite.
        """
        ...

    def evaluate(self, indices: Integer[Array, "..."]) -> Figures:
        """Sums over all samples of `indices`, in evaluation mode."""
        ...

    def predict(self, inputs: Num[Array, "N ..."]) -> Float[Array, "N K"]:
        """Scores (logits) of preprocessed inputs."""
        ...

    def state_dict(self) -> dict[str, Shaped[Array, "..."]]:
        """Parameters and buffers under PyTorch's names."""
        ...

    def load_state_dict(self, state: dict[str, Shaped[Array, "..."]]) -> None: ...

    def checkpoint(self) -> tuple[dict[str, Shaped[Array, "..."]], dict[str, Any]]:
        """The complete state for bit-for-bit resumption, as arrays and a JSON value."""
        ...

    def restore(self, arrays: dict[str, Shaped[Array, "..."]], settings: dict[str, Any]) -> None:
        """Restores a state returned by `checkpoint`."""
        ...


def make_engine(
    spec: EngineSpec | str,
    architecture: Architecture,
    optimizer: OptimizerSpec | Sequence[OptimizerSpec],
    loss: LossSpec | None = None,
    *,
    init: str | Sequence[str] = "kaiming",
    init_seed: int | Sequence[int] = 0,
    noise_seed: int | Sequence[int] = 0,
    processes: Processes | None = None,
) -> Any:
    """Creates an engine with newly drawn parameters.

    Arguments:
        spec: the engine and its settings; a name selects the defaults of that engine.
        loss: cross-entropy by default.
        init: initialiser of the weights, as in `nn.parse_initializer`.
        init_seed: seed of the weights.
        noise_seed: seed of the dropout masks.
        processes: the processes of distributed training with the PyTorch engine; a single one by default.

    Sequences stack models: see `engines.numpy.NumpyEngine`.

    Raises:
        ConfigError: unknown engine or device, or a missing library.
    """
    spec = EngineSpec(spec) if isinstance(spec, str) else spec
    options: dict[str, Any] = {"init": init, "init_seed": init_seed, "noise_seed": noise_seed}
    if spec.name == "torch":
        try:
            from handgrad.engines.torch import TorchEngine
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ConfigError(
                'engine=torch requires PyTorch, which is not installed: pip install "handgrad[torch]"'
            ) from None
        if not isinstance(optimizer, OptimizerSpec):
            raise ConfigError("several optimizers are for a stack of models, which requires engine=numpy")
        return TorchEngine(architecture, optimizer, spec, loss, processes=processes, **options)
    from handgrad.engines.numpy import NumpyEngine

    return NumpyEngine(architecture, optimizer, spec, loss, **options)


def check_dataset(architecture: Architecture, dataset: Dataset, loss: LossSpec) -> None:
    """Raises ConfigError if the inputs or outputs of a network do not match a data set, the loss is for a different
    task, or the data set has invalid labels, targets or weights."""
    if loss.name not in LOSSES_OF[dataset.task]:
        raise ConfigError(
            f"loss={loss.name} does not match data set {dataset.name}, a {dataset.task}: "
            f"choose {', '.join(LOSSES_OF[dataset.task])}"
        )
    wanted = math.prod(architecture.input_shape)
    if math.prod(dataset.input_shape) != wanted:
        raise ConfigError(
            f"the network takes {wanted} numbers per sample (input_shape={architecture.input_shape}), "
            f"data set {dataset.name} has {math.prod(dataset.input_shape)} (input_shape={dataset.input_shape})"
        )
    if architecture.output_shape != (len(dataset.classes),):
        given, wanted = ("scores", "classes") if dataset.task == "classification" else ("outputs", "targets")
        raise ConfigError(
            f"the network returns {architecture.output_shape} {given}, "
            f"data set {dataset.name} has {len(dataset.classes)} {wanted}"
        )
    if dataset.weights is not None and not (np.isfinite(dataset.weights) & (dataset.weights >= 0)).all():
        raise ConfigError(f"data set {dataset.name} has weights below 0 or not finite, expected numbers of at least 0")
    if dataset.task == "regression":
        shape, dtype = dataset.labels.shape, dataset.labels.dtype
        if shape != (len(dataset.inputs), len(dataset.classes)) or dtype.kind != "f":
            raise ConfigError(
                f"data set {dataset.name} has targets of shape={shape} and dtype={dtype}, "
                f"expected floating-point numbers ({len(dataset.inputs)}, {len(dataset.classes)})"
            )
        if not np.isfinite(dataset.labels).all():
            raise ConfigError(f"data set {dataset.name} has targets that are not finite: leave those samples out")
        return
    if len(dataset.classes) < 2:
        raise ConfigError(f"data set {dataset.name} has classes={len(dataset.classes)}, expected at least 2")
    outside = (dataset.labels < 0) | (dataset.labels >= len(dataset.classes))
    if outside.any():
        raise ConfigError(
            f"data set {dataset.name} has label {dataset.labels[outside][0]} for sample {outside.argmax()}, "
            f"expected 0 to {len(dataset.classes) - 1}"
        )


def engine_state(
    engine: str, arrays: Mapping[str, Shaped[Array, "..."]], betas: tuple[float, float]
) -> dict[str, Shaped[Array, "..."]]:
    """Converts the arrays of any engine's checkpoint to the names and scales of `engine`.

    Adam stores sums in the NumPy engine and averages in PyTorch: m = (1 - β₁) M, v = (1 - β₂) V. Before 2026-11-22, the
    NumPy engine stored averages as well, so its older checkpoints are read like those of PyTorch.

    Arguments:
        betas: β₁ and β₂ of Adam.
    """
    averages = {"exp_sum": ("exp_avg", 1 - betas[0]), "exp_sq_sum": ("exp_avg_sq", 1 - betas[1])}
    to_sums = {average: (total, 1 / share) for total, (average, share) in averages.items()}
    others = to_sums if engine == "numpy" else averages
    own = {}
    for name, array in arrays.items():
        area, _, rest = name.partition("/")
        kind, _, parameter = rest.partition("/")
        if area == "optimizer" and kind in others:
            word, factor = others[kind]
            own[f"optimizer/{word}/{parameter}"] = array * factor
        else:
            own[name] = array
    return own
