"""The one dataclass that describes a run completely, and where its values come from."""

from __future__ import annotations

import codecs
import dataclasses
import difflib
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tomli_w

from handgrad.architectures import (
    ACTIVATIONS,
    IMAGE_NORMS,
    MODELS,
    NORMS,
    Architecture,
    LayerSpec,
    cnn,
    mlp,
    preact_resnet,
    vgg,
)
from handgrad.data import DATASETS, IMAGE_MODES, PREPROCESSING, TASKS, VALIDATION_SPLITS, Reading
from handgrad.engines import (
    CONVOLUTIONS,
    DEVICES,
    ENGINES,
    GRADIENTS,
    KERNELS,
    LOSSES,
    LOSSES_OF,
    OPTIMIZERS,
    PRECISIONS,
    EngineSpec,
    LossSpec,
    OptimizerSpec,
)
from handgrad.errors import ConfigError
from handgrad.nn import INITIALIZERS, parse_initializer
from handgrad.training.recipes import recipe_settings
from handgrad.training.schedules import SCHEDULES, Schedule, check_schedule
from handgrad.training.synonyms import ELSEWHERE, NO_SETTING, plain

#: The value of `data` for arrays passed from Python, which are not in a file.
IN_MEMORY = ":memory:"

# -- valid values ---------------------------------------------------------------------------------------------------


class Rule(NamedTuple):
    """The valid values of a setting: a description, a test, and the names if it is one of a few."""

    expected: str
    fits: Callable[[Any], bool]
    choices: tuple[str, ...] = ()


def _at_least(least: int) -> Rule:
    return Rule(f"a whole number of at least {least}", lambda v: _whole(v) and v >= least)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _share_or_count(value: Any) -> bool:
    return (_whole(value) and value >= 0) or (_number(value) and 0 < value < 1)


def _one_of(names) -> Rule:
    choices = tuple(names)
    return Rule(f"one of {', '.join(choices)}", lambda v: isinstance(v, str) and v in choices, choices)


def _initializer(value: Any) -> bool:
    try:
        parse_initializer(value)
    except ValueError:
        return False
    return isinstance(value, str)


_POSITIVE = Rule("a number above 0", lambda v: _number(v) and v > 0)
_NOT_NEGATIVE = Rule("a number of at least 0", lambda v: _number(v) and v >= 0)
_SHARE = Rule("a number in [0, 1)", lambda v: _number(v) and 0 <= v < 1)
_SWITCH = Rule("true or false", lambda v: isinstance(v, bool))
_TEXT = Rule("a text", lambda v: isinstance(v, str))
_WHOLE_NUMBERS = Rule("whole numbers above 0", lambda v: isinstance(v, tuple) and all(_whole(n) and n > 0 for n in v))
_NAMES = Rule("names, separated by commas", lambda v: isinstance(v, str) and v != "")
_FOLDER = Rule("the name of a folder", lambda v: isinstance(v, str) and v != "")


CLASS_WEIGHTS = ("none", "balanced")

#: Settings that only some models have, with these models. If a model overrides that of a recipe, they are discarded,
#: and so are the settings of the normalisation.
_OF_MODELS = {
    "hidden_units": ("mlp",),
    **dict.fromkeys(("channels", "blocks"), ("cnn",)),
    "width": ("vgg", "preact-resnet"),
    **dict.fromkeys(("activation", "negative_slope", "dropout"), ("mlp", "cnn")),
}
_NETWORK_SETTINGS = (*_OF_MODELS, "norm", "num_groups")


def _setting(default: Any, rule: Rule, help: str, default_text: str = "") -> Any:
    """A field; `default_text` describes the value that is used if it is not set, unless it is `default`."""
    return dataclasses.field(default=default, metadata={"rule": rule, "help": help, "default_text": default_text})


#: Headings under which the settings are shown.
GROUPS = {
    "Data": (
        *("dataset", "data_dir", "offline", "preprocessing", "validation_size", "validation_split"),
        *("random_crop", "horizontal_flip", "context"),
    ),
    "Your own data": (
        *("data", "target", "task", "ignore", "categories", "group", "sample_weight", "test_size"),
        *("arrays", "image_size", "image_mode", "data_bytes", "data_sha256"),
    ),
    "Network": (
        *("model", "channels", "blocks", "width", "hidden_units", "activation", "negative_slope"),
        *("norm", "num_groups", "dropout", "init"),
    ),
    "Training": (
        *("optimizer", "learning_rate", "momentum", "nesterov", "beta1", "beta2", "weight_decay", "clip_norm"),
        *("batch_size", "max_steps", "epochs"),
        *("loss", "label_smoothing", "huber_delta", "class_weight", "eval_freq", "eval_size", "patience"),
    ),
    "Learning-rate schedule": (
        *("schedule", "warmup_steps", "step_size", "gamma", "min_learning_rate"),
        *("pct_start", "div_factor", "plateau_patience"),
    ),
    "Reproducibility and speed": (
        *("seed", "init_seed", "data_seed", "noise_seed", "engine", "precision", "threads", "kernels", "convolution"),
        *("checkpoint_seconds",),
        *("device", "compile", "gradients"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that determines what a run computes. Every field is a flag of `handgrad train` and a key of its files.

    Raises:
        ConfigError: a value has the wrong type or is out of range, or two values contradict each other.
    """

    recipe: str | None = _setting(None, _TEXT, "recipe that the settings are based on")
    dataset: str = _setting("digits", _TEXT, f"built-in data set: {', '.join(DATASETS)}")
    data_dir: str | None = _setting(
        None, _FOLDER, "folder of the built-in data sets", "$HANDGRAD_DATA or the user's cache"
    )
    offline: bool = _setting(False, _SWITCH, "never download")
    preprocessing: str | None = _setting(
        None,
        _one_of(PREPROCESSING),
        "preprocessing of the inputs; standard: zero mean and unit variance; unit: to the range 0 to 1; mean-image: "
        "minus the mean training image",
        "the data set's own",
    )
    validation_size: int | float = _setting(
        0,
        Rule("a whole number of at least 0, or a share between 0 and 1", _share_or_count),
        "training samples set aside for validation: a number, or a share such as 0.1",
    )
    validation_split: str = _setting(
        "random",
        _one_of(VALIDATION_SPLITS)._replace(
            expected=f"one of {', '.join(VALIDATION_SPLITS)}; how many samples is validation_size"
        ),
        "which samples to set aside: random, in proportion to the classes; end, the last ones",
    )
    random_crop: int = _setting(0, _at_least(0), "shift training images randomly by up to N pixels, padding with black")
    horizontal_flip: bool = _setting(False, _SWITCH, "mirror each training image with probability 1/2")
    data: str | None = _setting(
        None,
        Rule("the path of a file or folder", lambda v: isinstance(v, str) and v != ""),
        "your own data: a .csv, .tsv, .parquet, .npz or .npy file, a folder of images or of IDX files",
    )
    target: str | None = _setting(
        None, _NAMES, "columns of a table to predict, separated by commas; for an .npy file, the file of its targets"
    )
    task: str | None = _setting(None, _one_of(TASKS), "kind of task", "regression if the target is a real number")
    ignore: str | None = _setting(None, _NAMES, "columns of a table that are not inputs")
    categories: str | None = _setting(None, _NAMES, "numeric columns to treat as categories, such as postal codes")
    group: str | None = _setting(
        None, _TEXT, "column or array; samples with the same value, such as one patient's, stay in the same split"
    )
    sample_weight: str | None = _setting(None, _TEXT, "column or array with the weight of each training sample")
    test_size: int | float | None = _setting(
        None,
        Rule("a whole number of at least 1, or a share between 0 and 1", lambda v: _share_or_count(v) and v > 0),
        "samples set aside for the test, a number or a share, if the data have no test set",
        "0.2",
    )
    arrays: str | None = _setting(
        None,
        _NAMES,
        "names of the arrays in an .npz file: x,y or x_train,y_train,x_test,y_test",
        "these, or other common names",
    )
    image_size: str | None = _setting(
        None, _TEXT, "resize images to this size, as 32 or 48x64 (height x width)", "the size of the images"
    )
    image_mode: str | None = _setting(None, _one_of(IMAGE_MODES), "convert images to grey or rgb", "as the images are")
    data_bytes: int | None = _setting(None, _at_least(0), "size of the data in bytes; recorded when a run begins")
    data_sha256: str | None = _setting(
        None,
        Rule("64 hexadecimal digits", lambda v: isinstance(v, str) and re.fullmatch("[0-9a-f]{64}", v) is not None),
        "checksum of the data; recorded when a run begins, and checked when it is resumed",
    )
    context: int = _setting(0, _at_least(0), "frames of speech on each side of the frame to classify")
    model: str = _setting("mlp", _one_of(MODELS), "network architecture")
    width: int = _setting(64, _at_least(1), "channels of the first convolution of vgg and preact-resnet")
    channels: tuple[int, ...] = _setting((32, 64, 128), _WHOLE_NUMBERS, "channels of each stage of cnn")
    blocks: int = _setting(0, _at_least(0), "residual blocks in each stage of cnn")
    hidden_units: tuple[int, ...] = _setting(
        (100,),
        _WHOLE_NUMBERS,
        "width of each hidden layer, as 100,50; none for a linear model",
    )
    activation: str = _setting("relu", _one_of(ACTIVATIONS), "activation of the hidden layers")
    negative_slope: float = _setting(0.01, _NOT_NEGATIVE, "slope of leaky_relu for negative inputs")
    norm: str = _setting(
        "none", _one_of(NORMS), "normalisation before each activation", "none; batch for vgg and preact-resnet"
    )
    num_groups: int = _setting(4, _at_least(1), "number of groups of group normalisation")
    dropout: float = _setting(0.0, _SHARE, "dropout probability of hidden units (of channels, in a cnn)")
    init: str = _setting(
        "kaiming",
        Rule(INITIALIZERS, _initializer),
        "initial weights: kaiming, kaiming_uniform, xavier, xavier_uniform, orthogonal, normal:STD, uniform:LIMIT, "
        "pytorch or zeros; biases start at 0",
    )
    optimizer: str = _setting("adam", _one_of(OPTIMIZERS), "optimizer")
    learning_rate: float = _setting(1e-3, _POSITIVE, "learning rate; with a schedule, the highest one")
    momentum: float | None = _setting(None, _SHARE, "momentum of sgd, rmsprop and muon", "0; 0.95 for muon")
    nesterov: bool = _setting(False, _SWITCH, "use Nesterov momentum")
    weight_decay: float = _setting(0.0, _NOT_NEGATIVE, "L2 penalty; decoupled weight decay for adamw and muon")
    beta1: float = _setting(0.9, _SHARE, "decay rate of adam's running mean of the gradient")
    beta2: float = _setting(0.999, _SHARE, "decay rate of adam's running mean of the squared gradient")
    clip_norm: float | None = _setting(
        None, _POSITIVE, "clip the gradient to this norm, over all parameters", "no clipping"
    )
    batch_size: int = _setting(64, _at_least(1), "samples per step")
    max_steps: int | None = _setting(1500, _at_least(1), "number of training steps")
    epochs: int | None = _setting(None, _at_least(1), "passes over the training data, instead of --max-steps")
    eval_freq: int = _setting(100, _at_least(1), "steps between evaluations")
    eval_size: int | None = _setting(None, _at_least(1), "evaluate on at most this many samples of each split", "all")
    patience: int | None = _setting(
        None,
        _at_least(1),
        "early stopping: stop after this many evaluations without a better accuracy (regression: RMSE)",
        "no early stopping",
    )
    loss: str | None = _setting(
        None,
        _one_of(LOSSES),
        "loss function; nll is cross_entropy with log-softmax as a layer; l1 and huber, for regression, are less "
        "sensitive to outliers",
        "cross_entropy; mse for regression",
    )
    label_smoothing: float = _setting(0.0, _SHARE, "label smoothing of cross_entropy")
    huber_delta: float = _setting(
        1.0, _POSITIVE, "residual, in standard deviations of the target, from which huber grows linearly"
    )
    class_weight: str = _setting(
        "none", _one_of(CLASS_WEIGHTS), "balanced: weight samples so that every class has the same weight in training"
    )
    schedule: str = _setting("constant", _one_of(SCHEDULES), "learning-rate schedule")
    warmup_steps: int = _setting(0, _at_least(0), "steps of linear warm-up")
    step_size: int | None = _setting(
        None, _at_least(1), "step: steps between reductions of the rate", "a third of all steps"
    )
    gamma: float | None = _setting(None, _SHARE, "step and plateau: factor by which the rate is reduced", "0.1")
    min_learning_rate: float | None = _setting(
        None, _NOT_NEGATIVE, "cosine and one_cycle: final rate; plateau: lowest rate", "0"
    )
    pct_start: float | None = _setting(None, _SHARE, "one_cycle: share of the steps in which the rate rises", "0.3")
    div_factor: float | None = _setting(
        None, _POSITIVE, "one_cycle: the first rate is the learning rate divided by this", "25"
    )
    plateau_patience: int | None = _setting(
        None, _at_least(0), "plateau: evaluations without improvement before the rate is reduced", "3"
    )
    seed: int = _setting(0, _at_least(0), "seed of everything random")
    init_seed: int | None = _setting(None, _at_least(0), "seed of the initial weights", "drawn from --seed")
    data_seed: int | None = _setting(None, _at_least(0), "seed of the order of the samples", "drawn from --seed")
    noise_seed: int | None = _setting(None, _at_least(0), "seed of the dropout masks", "drawn from --seed")
    engine: str = _setting("numpy", _one_of(ENGINES), "compute engine; torch requires the extra torch")
    precision: str = _setting(
        "float32", _one_of(PRECISIONS), "floating-point precision; bf16 and fp16 require the torch engine"
    )
    device: str | None = _setting(None, _one_of(DEVICES), "device of the torch engine", "cpu")
    compile: bool = _setting(False, _SWITCH, "compile the network with torch.compile (torch engine)")
    gradients: str | None = _setting(
        None,
        _one_of(GRADIENTS),
        "torch engine: derivatives derived by hand, or PyTorch's autograd",
        "autograd",
    )
    threads: int | None = _setting(None, _at_least(1), "number of threads", "as many as the BLAS library uses")
    kernels: str = _setting(
        "numpy",
        _one_of(KERNELS),
        "numpy engine: numba compiles the element-wise work (requires the extra fast)",
    )
    convolution: str = _setting(
        "auto",
        _one_of(("auto", "measure", *CONVOLUTIONS)),
        "numpy engine: convolution algorithm; auto: by an estimate; measure: by trying each",
    )
    checkpoint_seconds: float = _setting(10.0, _NOT_NEGATIVE, "seconds between checkpoints")

    def __post_init__(self) -> None:
        for name in ("hidden_units", "channels"):
            value = getattr(self, name)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
            elif _whole(value):  # one layer
                object.__setattr__(self, name, (value,))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            expected, fits, _ = field.metadata["rule"]
            if value is None and (field.default is None or field.name == "max_steps"):
                continue
            if not fits(value):
                raise ConfigError(f"{field.name}={_show(value)}: expected {expected}")
        self._check_data()
        if (self.epochs is None) == (self.max_steps is None):
            both = f"epochs={self.epochs} and max_steps={self.max_steps} are both set: leave one out"
            raise ConfigError(both if self.epochs else "neither epochs nor max_steps is set: expected one of them")
        self._check_model()
        self._check_speech()
        for spec in (self.optimizer_spec, self.engine_spec, self.loss_spec):
            spec()  # raises an error if settings contradict each other
        if self.class_weight != "none" and self.loss not in (None, *LOSSES_OF["classification"]):
            raise ConfigError(f"class_weight={self.class_weight} applies to classification, not to loss={self.loss}")
        check_schedule(self.schedule, self.learning_rate, self.warmup_steps, self._schedule_options())
        if self.norm == "batch" and self.batch_size < 2:
            raise ConfigError(
                f"batch_size={self.batch_size}: norm=batch requires at least 2 samples per step, as one sample has "
                "no variance; raise batch_size, or choose another norm"
            )

    def _check_data(self) -> None:
        """Checks the name of a built-in data set; names the user's own data, by default after the file."""
        if self.data is not None:
            if self.dataset == "digits":
                name = re.sub(r"(\.(csv|tsv|txt))?\.[^.]*$", "", Path(self.data).name) or "data"
                object.__setattr__(self, "dataset", name if self.data != IN_MEMORY else "arrays")
            return
        for name in GROUPS["Your own data"]:
            if getattr(self, name) is not None:
                raise ConfigError(
                    f"{name}={getattr(self, name)} applies to your own data, but dataset={self.dataset} is built in: "
                    "name a file or folder with data, or leave it out"
                )
        if self.dataset not in DATASETS:
            near = difflib.get_close_matches(self.dataset, DATASETS, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(
                f"dataset={self.dataset}: expected one of {', '.join(DATASETS)}; {hint}For your own "
                "file or folder, set data (--data PATH)"
            )

    def reading(self) -> Reading:
        """How the user's own files are read."""
        names = [field.name for field in dataclasses.fields(Reading)]
        return Reading(**{name: value for name in names if (value := getattr(self, name)) is not None})

    def splitting(self) -> dict[str, Any]:
        """The arguments of `data.assemble`, for the user's own data, that are settings."""
        names = ("task", "test_size", "validation_size", "validation_split", "seed", "preprocessing")
        columns = {name: getattr(self, name) or "" for name in ("ignore", "categories")}
        return {**columns, **{name: getattr(self, name) for name in names}}

    def _check_model(self) -> None:
        """Rejects settings that do not apply to this kind of network."""
        for field in dataclasses.fields(self):
            models = _OF_MODELS.get(field.name, MODELS)
            if self.model not in models and getattr(self, field.name) != field.default:
                raise ConfigError(
                    f"{field.name}={_show(getattr(self, field.name))} applies to model={' or '.join(models)}, not to "
                    f"{self.model}: leave it out"
                )
        if self.model != "mlp" and self.norm not in ("none", *IMAGE_NORMS):
            raise ConfigError(f"norm={self.norm} applies to model=mlp: {self.model} takes {' or '.join(IMAGE_NORMS)}")
        if self.num_groups != 4 and self.norm != "group":
            raise ConfigError(f"num_groups={self.num_groups} applies to norm=group, not to {self.norm}: leave it out")

    @property
    def on_frames(self) -> bool:
        """Whether the samples are windows of speech frames (the user's own data may also have that name)."""
        return self.data is None and self.dataset == "speech"

    def _check_speech(self) -> None:
        """Rejects settings of images for speech frames, and vice versa."""
        own = ("context",) if not self.on_frames else ("random_crop", "horizontal_flip", "validation_size")
        for field in dataclasses.fields(self):
            if field.name in own and getattr(self, field.name) != field.default:
                setting = f"{field.name}={_show(getattr(self, field.name))}"
                kind = "applies to dataset=speech, not to" if field.name == "context" else "does not apply to dataset"
                raise ConfigError(f"{setting} {kind} {self.dataset}: leave it out")
        if self.on_frames and self.model != "mlp":
            raise ConfigError(f"model={self.model} classifies images: dataset=speech requires model=mlp")

    # -- objects from settings -------------------------------------------------------------------------------------

    def architecture(self, input_shape: tuple[int, ...], classes: int) -> Architecture:
        """The network that the settings describe, for samples of this shape and this number of classes or targets."""
        if self.model in ("mlp", "cnn"):
            options = ("activation", "negative_slope", "norm", "num_groups", "dropout")
            own = {name: getattr(self, name) for name in options}
            if self.model == "mlp":
                network = mlp(input_shape, self.hidden_units, classes, **own)
            else:
                network = cnn(input_shape, classes, channels=self.channels, blocks=self.blocks, **own)
        else:
            make = {"vgg": vgg, "preact-resnet": preact_resnet}[self.model]
            norm = "batch" if self.norm == "none" else self.norm
            network = make(input_shape, classes, width=self.width, norm=norm, num_groups=self.num_groups)
        if self.loss == "nll":
            network = dataclasses.replace(network, layers=(*network.layers, LayerSpec("log_softmax")))
        return network

    def optimizer_spec(self) -> OptimizerSpec:
        return OptimizerSpec(
            self.optimizer, self.momentum, self.nesterov, self.weight_decay, self.clip_norm, (self.beta1, self.beta2)
        )

    def engine_spec(self) -> EngineSpec:
        names = [field.name for field in dataclasses.fields(EngineSpec) if field.name != "name"]
        return EngineSpec(self.engine, **{name: getattr(self, name) for name in names})

    def loss_spec(self, task: str = "classification") -> LossSpec:
        """The loss; if none is set, the default of the task."""
        return LossSpec(self.loss or LOSSES_OF[task][0], self.label_smoothing, self.huber_delta)

    def learning_rates(self, steps: int) -> Schedule:
        """The learning rates of a run with this number of steps."""
        options = self._schedule_options()
        return Schedule(self.schedule, self.learning_rate, steps, warmup_steps=self.warmup_steps, **options)

    def _schedule_options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in {name for own in SCHEDULES.values() for name in own}}

    def seeds(self) -> dict[str, int]:
        """The three seeds; those that are not set are drawn from `seed`."""
        drawn = np.random.SeedSequence(self.seed).generate_state(3).tolist()
        names = ("init_seed", "data_seed", "noise_seed")
        return {
            name: own if (own := getattr(self, name)) is not None else d for name, d in zip(names, drawn, strict=True)
        }

    # -- as a file ----------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Every setting that is not None, as TOML values. `from_settings` returns the same configuration."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values |= {"hidden_units": list(self.hidden_units), "channels": list(self.channels)}
        return {name: value for name, value in values.items() if value is not None}

    def to_toml(self) -> str:
        return "# handgrad train --config THIS_FILE repeats this run\n" + tomli_w.dumps(self.to_dict())

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], where: str = "") -> TrainConfig:
        """The configuration with these settings, and defaults for all others.

        Raises:
            ConfigError: unknown key (the message suggests the closest), or invalid value.
        """
        check_keys(settings, where)
        if settings.get("epochs") is not None and "max_steps" not in settings:
            settings = {**settings, "max_steps": None}
        try:
            return cls(**settings)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}" if where else str(error)) from None


def _show(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


def check_keys(settings: Mapping[str, Any], where: str = "") -> None:
    """Raises ConfigError for an unknown key, with a suggestion."""
    known = [field.name for field in dataclasses.fields(TrainConfig)]
    for key in settings:
        if key in known:
            continue
        name = plain(key)
        if name in NO_SETTING:
            hint = NO_SETTING[name]
        elif ELSEWHERE.get(name, name) in known:
            hint = f"use {ELSEWHERE.get(name, name)}"
        elif name in ELSEWHERE:
            hint = f"it is not a setting; use the argument {ELSEWHERE[name]} of handgrad.train, or its flag"
        elif near := difflib.get_close_matches(name, known, 1):
            hint = f"did you mean {near[0]!r}?"
        else:
            hint = "handgrad train --help-all lists every setting"
        raise ConfigError(f"{where + ': ' if where else ''}unknown setting {key!r}: {hint}")


def config_from_file(path: str | Path) -> dict[str, Any]:
    """The settings of a TOML file.

    Raises:
        ConfigError: the file does not exist, is not TOML, or has an unknown key.
    """
    settings = read_toml(path)
    check_keys(settings, str(path))
    return settings


def read_toml(path: str | Path) -> dict[str, Any]:
    """The contents of a TOML file.

    Raises:
        ConfigError: the file does not exist or is not TOML.
    """
    path = Path(path)
    try:
        return tomllib.loads(_decoded(path.read_bytes()))
    except OSError as error:
        raise ConfigError(
            f"cannot read the configuration {path}: {error.strerror}; expected a TOML file with settings"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a TOML file: it is not UTF-8 text ({error}); save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from None


def _decoded(content: bytes) -> str:
    """Text in UTF-8 or, with a byte order mark, in UTF-16, which editors and shells on Windows write."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig").replace("\r\n", "\n")


def merge_settings(
    recipe: str | None = None, file: str | Path | None = None, settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The settings of a recipe, overridden by a file, overridden by `settings`; empty if nothing is given.

    A file may name its own recipe. If a layer sets `epochs`, it replaces the `max_steps` of the layers below, and vice
    versa. If it sets a `model` other than mlp, the network settings of the layers below are discarded.

    Raises:
        ConfigError: a recipe, file or key is unknown.
    """
    settings = {name: _plain(value) for name, value in (settings or {}).items()}
    check_keys(settings)
    in_file = config_from_file(file) if file is not None else {}
    recipe = recipe or in_file.get("recipe")
    merged = layered(recipe_settings(recipe) if recipe else {}, in_file, settings)
    if recipe:
        merged["recipe"] = recipe
    return merged


def layered(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of all layers, each overriding those before it, as in `merge_settings`."""
    merged: dict[str, Any] = {}
    for layer in layers:
        if layer.get("epochs") is not None and layer.get("max_steps") is None:
            merged.pop("max_steps", None)
        if layer.get("max_steps") is not None and layer.get("epochs") is None:
            merged.pop("epochs", None)
        if layer.get("data") is not None:  # a different data set than in the layers below
            merged.pop("dataset", None)
        elif layer.get("dataset") is not None:
            merged = {name: value for name, value in merged.items() if name not in GROUPS["Your own data"]}
        if layer.get("model", "mlp") != "mlp":
            merged = {name: value for name, value in merged.items() if name not in _NETWORK_SETTINGS}
        merged.update(layer)
    return merged


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
