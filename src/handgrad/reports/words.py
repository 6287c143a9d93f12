"""Descriptions of networks, data and training in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from handgrad.data import DATASETS, Dataset
from handgrad.reports.configurations import Configuration
from handgrad.training import Run, TrainConfig
from handgrad.training.config import IN_MEMORY

_ACTIVATIONS = {
    **{"relu": "ReLU", "leaky_relu": "leaky ReLU", "elu": "ELU", "gelu": "GELU", "gelu_tanh": "GELU (tanh form)"},
    **{"silu": "SiLU", "softplus": "softplus", "sigmoid": "sigmoid", "tanh": "tanh", "identity": "no activation"},
}
_NORMS = {"batch": "batch", "layer": "layer", "group": "group", "rms": "RMS"}
_OPTIMIZERS = {
    **{"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "adadelta": "Adadelta", "muon": "Muon"},
}
_LOSSES = {
    **{"cross_entropy": "cross-entropy", "nll": "negative log-likelihood", "mse": "mean squared error"},
    **{"l1": "mean absolute error", "huber": "Huber loss"},
}
_SCHEDULES = {
    **{"step": "with step decay", "cosine": "with cosine decay", "one_cycle": "with a one-cycle schedule"},
    **{"plateau": "reduced on plateaus"},
}


def described(configuration: Configuration, dataset: Dataset | None) -> list[str]:
    """Describes a configuration in sentences: the network, the data, the training, the seeds.

    Arguments:
        dataset: the data set; None if it is not available.
    """
    run, config = configuration.first, configuration.config
    parameters = run.summary.get("parameters") if configuration.runs else None
    counted = f", {parameters:,} parameters" if parameters else ""
    if configuration.task == "regression":
        aim = f"to predict {listed(run.classes)}"
    else:
        aim = f"to distinguish {len(run.classes):,} classes"
        if len(run.classes) <= 12:
            aim += f" ({', '.join(run.classes)})"
    return [
        f"{network(config)}{counted}, trained {aim}.",
        data(run, dataset),
        training(config, run.task),
        _seeds(configuration),
    ]


def network(config: TrainConfig) -> str:
    """Describes the network, as the beginning of a sentence."""
    about = []
    if config.model in ("mlp", "cnn"):
        about.append(_ACTIVATIONS[config.activation])
        if config.norm != "none":
            about.append(f"{_NORMS[config.norm]} normalisation")
        if config.dropout:
            about.append(f"dropout {config.dropout:g}")
    if config.model == "mlp":
        if not config.hidden_units:
            return "A linear model"
        many = len(config.hidden_units)
        widths = listed([f"{units:,}" for units in config.hidden_units])
        layers = "one hidden layer" if many == 1 else f"{many} hidden layers"
        return f"A fully connected network with {layers} of {widths} units ({', '.join(about)})"
    if config.model == "cnn":
        channels = listed([f"{c:,}" for c in config.channels])
        if config.blocks:  # in each stage a convolution and `blocks` residual blocks of two convolutions
            stages, many = len(config.channels), len(config.channels) * config.blocks
            convolutions = f"{stages + 2 * many:,} convolutions in {stages:,} stage{'s' * (stages > 1)}"
            residual = f"and {many:,} residual block{'s' * (many > 1)}"
            return f"A convolutional network with {convolutions} of {channels} channels {residual} ({', '.join(about)})"
        many = "one convolution" if len(config.channels) == 1 else f"{len(config.channels)} convolutions"
        return f"A convolutional network with {many} of {channels} channels ({', '.join(about)})"
    name = {"vgg": "A VGG network", "preact-resnet": "A pre-activation residual network"}[config.model]
    norm = _NORMS["batch" if config.norm == "none" else config.norm]
    return f"{name} with {config.width} channels in its first convolution and {norm} normalisation"


def data(run: Run, dataset: Dataset | None) -> str:
    """Describes the data and the size of each split."""
    config = run.config
    if config.data is not None:
        name = "arrays given from Python" if config.data == IN_MEMORY else Path(config.data).name
        said = f"The data are {name}"
    elif config.dataset in DATASETS:
        said = f"The data are {config.dataset} ({DATASETS[config.dataset].title})"
    else:
        said = f"The data are {config.dataset}"
    if dataset is not None:
        unit = "frames" if config.on_frames else "samples"
        first, *others = [f"{len(dataset.indices(split)):,}|for {_purpose(split)}" for split in dataset.splits]
        said += f": {listed([first.replace('|', f' {unit} '), *(text.replace('|', ' ') for text in others)])}"
    if run.encoder is not None:
        columns = len(run.encoder.columns)
        said += (
            f"; a sample is a row of {columns} column{'s' * (columns > 1)}, encoded as {run.input_shape[0]} features"
        )
    elif config.on_frames:
        window, features = run.input_shape
        said += f"; a sample is a frame of {features} features" + (
            f" with {config.context} frames on either side" if window > 1 else ""
        )
    else:
        shape = " × ".join(map(str, run.input_shape))
        said += f"; a sample has {shape} values"
    changes = []
    if config.random_crop:
        changes.append(f"shifted by up to {config.random_crop} pixels")
    if config.horizontal_flip:
        changes.append("flipped horizontally at random")
    return said + (f". Training images are {listed(changes)}." if changes else ".")


def _purpose(split: str) -> str:
    return {"train": "training", "validation": "validation"}.get(split, "testing")


def training(config: TrainConfig, task: str) -> str:
    """Describes the optimiser, loss and duration of the training."""
    rate = f"learning rate {config.learning_rate:g}"
    if config.schedule != "constant":
        rate += f" {_SCHEDULES[config.schedule]}"
    if config.warmup_steps:
        rate += f" after {config.warmup_steps:,} steps of warm-up"
    how = [rate]
    if config.momentum is not None:
        how.append(f"momentum {config.momentum:g}")
    if config.weight_decay:
        how.append(f"weight decay {config.weight_decay:g}")
    if config.clip_norm is not None:
        how.append(f"gradients clipped at a norm of {config.clip_norm:g}")
    length = f"{config.epochs:,} epochs" if config.epochs is not None else f"{config.max_steps:,} steps"
    loss = _LOSSES[config.loss_spec(task).name]
    if config.label_smoothing:
        loss += f" with label smoothing {config.label_smoothing:g}"
    if config.class_weight != "none":
        loss += ", with higher weights for rare classes"
    early = f" with early stopping (patience {config.patience} evaluations)" if config.patience else ""
    return (
        f"It was trained with {_OPTIMIZERS[config.optimizer]} ({', '.join(how)}) on the {loss} for {length}{early}, "
        f"with batch size {config.batch_size:,} ({'NumPy' if config.engine == 'numpy' else 'PyTorch'} engine)."
    )


def _seeds(configuration: Configuration) -> str:
    runs = configuration.runs
    if not runs:
        return "No run of this configuration has finished."
    seeds = [str(run.config.seed) for run in runs]
    own = [n for n in ("init_seed", "data_seed", "noise_seed") if len({getattr(r.config, n) for r in runs}) > 1]
    which = f"seeds {listed(seeds)}" if len(set(seeds)) > 1 else f"seed {seeds[0]}"
    if own:
        which += f", and different {listed([name.replace('_', ' ') + 's' for name in own])}"
    more = configuration.unfinished
    also = f"; {len(more)} more not finished" if more else ""
    return f"{len(runs)} run{'s' * (len(runs) > 1)}: {which}{also}."


def listed(items: Sequence[str], most: int = 12) -> str:
    """Joins items as a, b and c; of more than `most` items, only the first ones."""
    items = list(items)
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most:,} more"
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def duration(seconds: float) -> str:
    """Seconds in readable form: 12.3 s, 4 min 5 s, 2 h 3 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def percent(share: float) -> str:
    """A share as a percentage: 97.1%, with two decimals for shares close to 0 or 1."""
    digits = 1 if 0.01 <= share <= 0.99 or share in (0, 1) or math.isnan(share) else 2
    return f"{100 * share:.{digits}f}%"
