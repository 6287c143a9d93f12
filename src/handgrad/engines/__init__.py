"""Engines: what trains a network that is given as data, on data that is given as indices.

An engine is loaded with a data set once; from then on the training loop sends it indices only, and gets back sums. The
same seam serves arrays in memory, data resident on a device, shards of many machines and stacked models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from handgrad._typing import Array, Float, Integer, Num, Shaped
from handgrad.architectures import Architecture
from handgrad.data import Dataset
from handgrad.errors import ConfigError

ENGINES = ("numpy",)
OPTIMIZERS = ("sgd", "adam")
PRECISIONS = ("float32", "float64")


@dataclass(frozen=True)
class OptimizerSpec:
    """An update rule as data; a setting that a rule does not have must keep its default."""

    name: str = "adam"
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Figures:
    """Sums over samples, one row for each step (training) or a single row (evaluation), with an axis of models behind
    for stacked models.

    Attributes:
        loss: sum of the samples' losses, `(steps,)` or `(steps, M)`, float64.
        correct: samples whose largest score is the right class, alike, int64.
        samples: how many samples each row sums over.
    """

    loss: Float[Array, "steps *models"]
    correct: Integer[Array, "steps *models"]
    samples: int


class DivergedError(Exception):
    """A training step met a loss that is not finite. The parameters are those before that step.

    Attributes:
        step: row of `indices` that it happened in.
        cause: what was found, as a sentence that names the layer and what to do.
        figures: of the steps before it.
    """

    def __init__(self, step: int, cause: str, figures: Figures) -> None:
        super().__init__(cause)
        self.step = step
        self.cause = cause
        self.figures = figures


@runtime_checkable
class Engine(Protocol):
    """What the training loop asks of an engine."""

    name: str
    architecture: Architecture

    def load(self, dataset: Dataset) -> None:
        """Takes the data set that all later indices point into."""
        ...

    def train(self, indices: Integer[Array, "steps batch"], learning_rates: Float[Array, "steps"]) -> Figures:
        """Makes one training step a row of `indices`.

        Raises:
            DivergedError: a loss is not finite.
        """
        ...

    def evaluate(self, indices: Integer[Array, "..."]) -> Figures:
        """Sums over all samples of `indices`, in evaluation mode."""
        ...

    def predict(self, inputs: Num[Array, "N ..."]) -> Float[Array, "N K"]:
        """Scores (logits) of inputs that are preprocessed already."""
        ...

    def state_dict(self) -> dict[str, Shaped[Array, "..."]]:
        """Parameters and buffers under PyTorch's names."""
        ...

    def load_state_dict(self, state: dict[str, Shaped[Array, "..."]]) -> None: ...

    def checkpoint(self) -> tuple[dict[str, Shaped[Array, "..."]], dict[str, Any]]:
        """All that going on bit for bit needs, as arrays and a JSON value."""
        ...

    def restore(self, arrays: dict[str, Shaped[Array, "..."]], settings: dict[str, Any]) -> None:
        """Takes what `checkpoint` gave."""
        ...


def make_engine(
    name: str,
    architecture: Architecture,
    optimizer: OptimizerSpec,
    *,
    init: str = "kaiming",
    init_seed: int = 0,
    noise_seed: int = 0,
    precision: str = "float32",
) -> Engine:
    """The engine called `name`, with freshly drawn parameters.

    Raises:
        ConfigError: there is no such engine, or it has no such rule or precision.
    """
    if name != "numpy":
        raise ConfigError(f"engine={name!r} is unknown, expected one of {', '.join(ENGINES)}")
    if precision not in PRECISIONS:
        raise ConfigError(f"precision={precision!r} is unknown, expected one of {', '.join(PRECISIONS)}")
    from handgrad.engines.numpy import NumpyEngine

    return NumpyEngine(
        architecture,
        optimizer,
        init=init,
        init_seed=init_seed,
        noise_seed=noise_seed,
        dtype=np.dtype(precision),
    )
