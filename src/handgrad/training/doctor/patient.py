"""The subject of an examination: a configuration, its data, and an engine for short trials."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from handgrad import nn
from handgrad._typing import Array, Float, Integer, Num
from handgrad.data import Dataset
from handgrad.engines import DivergedError, LossSpec
from handgrad.errors import ConfigError
from handgrad.training.batches import BatchOrder
from handgrad.training.config import TrainConfig
from handgrad.training.doctor.inside import Inside, LayerLook
from handgrad.training.loop import fitted_to, new_engine

#: Number of samples for measurements: enough for stable results, few enough to be fast.
PROBE = 1024
#: Maximum memory for the outputs of all layers during an inspection.
PROBE_BYTES = 256 * 2**20

State = dict[str, np.ndarray]


@dataclass
class Samples:
    """Preprocessed inputs with their classes or, for a regression, their standardised targets."""

    x: Float[Array, "N ..."]
    labels: Num[Array, "N *targets"]


@dataclass
class Trial:
    """A short training run with one learning rate, starting from the initial weights.

    Attributes:
        rate: the learning rate.
        steps: number of steps, fewer than requested if it diverged.
        loss, accuracy: on the probe afterwards; infinite and 0 if it diverged.
        diverged: the step (from 1) in which the loss stopped being finite.
        cause: the first layer that was not finite then, or a sentence.
        updates: for each observed step, (step, {parameter: root mean square of its update relative to its previous
            value}).
        states: parameters and buffers after those steps.
    """

    rate: float
    steps: int = 0
    loss: float = math.inf
    accuracy: float = 0.0
    diverged: int | None = None
    cause: LayerLook | str = ""
    updates: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    states: dict[int, State] = field(default_factory=dict)


class Patient:
    """A configuration prepared for examination.

    Arguments:
        config: the settings.
        dataset: its data.

    Raises:
        ConfigError: a batch is larger than the training set, or the network does not match the data.
    """

    def __init__(self, config: TrainConfig, dataset: Dataset) -> None:
        config = fitted_to(config, dataset)
        self.config, self.dataset = config, dataset
        self.seeds = config.seeds()
        self.train_indices = dataset.indices("train")
        self.order = BatchOrder(self.train_indices, config.batch_size, self.seeds["data_seed"])
        self.steps = config.max_steps or (config.epochs or 0) * self.order.steps_an_epoch
        self.engine = new_engine(config, dataset)
        self.architecture = self.engine.architecture
        self.classes = len(dataset.classes)
        self.dtype: Any = np.dtype("float64" if config.precision == "float64" else "float32")
        self.start = self.engine.checkpoint()
        self.start_state = self.engine.state_dict()
        self.regression = dataset.task == "regression"
        #: The metric of the network; R² is 0 for predicting the mean of each target.
        self.measure = "R²" if self.regression else "accuracy"
        loss = config.loss_spec(dataset.task)
        #: The accuracy of always predicting the most frequent class, and the loss of predicting the class frequencies,
        #: or a constant for each target, without using the inputs.
        self.most_frequent, self.chance = 0.0, 0.0
        if self.regression:
            self.chance = _loss_of_constants(loss, self._standardised(self.train_indices))
        else:
            counts = np.bincount(dataset.labels[self.train_indices], minlength=self.classes)
            self.most_frequent = float(counts.max() / counts.sum())
            shares = counts[counts > 0] / counts.sum()
            self.chance = float(-(shares * np.log(shares)).sum())
            if config.loss == "mse":
                self.chance = float((shares * (1 - shares)).sum()) / self.classes
        #: The steps of the run, converted to steps with the full learning rate.
        self.travel = float(config.learning_rates(self.steps).rates(0, self.steps).sum()) / config.learning_rate
        try:
            self.inside: Inside | None = Inside(self.architecture, self.dtype, loss)
            self.why_not_inside = ""
        except ConfigError as error:
            self.inside, self.why_not_inside = None, str(error)
        #: The split for the final evaluation: "validation" if there are no test labels.
        self.held_out = "test" if "test" in dataset.splits else "validation"
        self.probe = self.samples("train")
        self.unseen = self.samples("validation" if "validation" in dataset.splits else "test")

    def samples(self, split: str, most: int = PROBE) -> Samples:
        """A fixed subset of a split, selected by the `data_seed` of the run."""
        if self.inside is not None:
            most = max(2, min(most, PROBE_BYTES // max(1, self.inside.bytes_per_sample)))
        return self.gather(self.choose(split, most))

    def choose(self, split: str, most: int) -> Integer[Array, "n"]:
        """Indices of at most this number of samples of a split, in order."""
        indices = self.dataset.indices(split)
        if len(indices) <= most:
            return indices
        return np.sort(np.random.default_rng((self.seeds["data_seed"], len(indices))).choice(indices, most, False))

    def gather(self, indices: Integer[Array, "n"]) -> Samples:
        targets = self._standardised(indices) if self.regression else self.dataset.targets(indices)
        return Samples(self.dataset.gather(indices, dtype=self.dtype), targets)

    def _standardised(self, indices: Integer[Array, "n"]) -> Float[Array, "n T"]:
        """Standardised targets, on which the network is trained."""
        assert self.dataset.target_scaling is not None
        return self.dataset.target_scaling.apply(self.dataset.targets(indices), dtype=self.dtype)

    def restart(self) -> None:
        """Resets the engine to its first step."""
        self.engine.restore(*self.start)

    def rates(self, steps: int) -> Float[Array, "steps"]:
        """The learning rates of the run, with its schedule over this number of steps."""
        config, share = self.config, steps / self.steps
        if share < 1:
            step_size = config.step_size and max(1, round(share * config.step_size))
            warmup = min(steps, math.ceil(share * config.warmup_steps))
            config = dataclasses.replace(config, warmup_steps=warmup, step_size=step_size)
        return config.learning_rates(max(steps, config.warmup_steps)).rates(0, steps)

    def trial(
        self, rate: float | Float[Array, "steps"], steps: int, *, looks: tuple[int, ...] = (), indices: Any = None
    ) -> Trial:
        """Runs a short training from the first step, on the batches of the run in their order.

        Arguments:
            rate: learning rate, constant or one per step.
            steps: maximum number of steps.
            looks: steps (from 1) whose updates and states are recorded.
            indices: other batches `(steps, batch)`.
        """
        self.restart()
        rates = np.broadcast_to(np.asarray(rate, np.float64), (steps,))
        trial = Trial(float(rates.max()))
        batches = self.order.batches(0, steps) if indices is None else indices
        ends = sorted({*(look - 1 for look in looks), *looks, steps} & set(range(1, steps + 1)))
        before = self.engine.state_dict() if 1 in looks else {}
        for end in ends:
            try:
                self.engine.train(batches[trial.steps : end], rates[trial.steps : end])
            except DivergedError as error:
                trial.steps += error.step
                trial.diverged = trial.steps + 1
                trial.cause = self._first_not_finite(batches[trial.steps]) or error.cause
                return trial
            trial.steps = end
            if end in looks or end + 1 in looks:
                state = self.engine.state_dict()
                if end in looks:
                    trial.updates.append((end, update_ratios(before, state)))
                    trial.states[end] = state
                before = state
        trial.loss, trial.accuracy = self.loss_of(self.engine.state_dict())
        return trial

    def loss_of(self, state: State, samples: Samples | None = None) -> tuple[float, float]:
        """Loss and accuracy (or R²) of a network on the probe, or on other samples, without dropout but normalised as
        in training, so that short trials are comparable."""
        samples = samples or self.probe
        assert self.inside is not None, "trials require that the network can be inspected"
        return self.inside.loss(state, samples.x, samples.labels)

    def _first_not_finite(self, indices: Integer[Array, "batch"]) -> LayerLook | None:
        if self.inside is None:
            return None
        batch = self.gather(indices)
        look = self.inside.look(self.engine.state_dict(), batch.x, batch.labels, gradients=False)
        return look.first_not_finite


def _loss_of_constants(loss: LossSpec, targets: Float[Array, "n T"]) -> float:
    """The lowest loss of predicting a constant for each target: its mean or its median."""
    criterion = {"mse": nn.MeanSquaredError(), "l1": nn.MeanAbsoluteError(), "huber": nn.Huber(loss.huber_delta)}
    constants = (targets.mean(axis=0), np.median(targets, axis=0))
    return min(
        float(criterion[loss.name].forward(np.broadcast_to(c, targets.shape).astype(np.float64), targets))
        for c in constants
    )


def update_ratios(before: State, after: State) -> dict[str, float]:
    """Root mean square of the update of each weight (with at least two axes) in a step, relative to the weight
    before it."""
    ratios = {}
    for name, old in before.items():
        if old.ndim >= 2:
            size = math.sqrt(float(np.square(old, dtype=np.float64).mean()))
            moved = math.sqrt(float(np.square(after[name] - old, dtype=np.float64).mean()))
            ratios[name] = moved / size if size else (math.inf if moved else 0.0)
    return ratios
