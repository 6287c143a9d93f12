"""Learning-rate schedules.

In the formulas, η is the setting `learning_rate`, t counts the steps from 0, T is the number of steps, γ is `gamma` and
η_min is `min_learning_rate`. Each rate depends only on its step, so a resumed run uses the same rates; the state of
`plateau` is saved in the checkpoint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from handgrad._typing import Array, Float
from handgrad.errors import ConfigError

#: The schedules with their settings and defaults (None: derived from the number of steps).
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "step": {"step_size": None, "gamma": 0.1},
    "cosine": {"min_learning_rate": 0.0},
    "one_cycle": {"min_learning_rate": 0.0, "pct_start": 0.3, "div_factor": 25.0},
    "plateau": {"gamma": 0.1, "min_learning_rate": 0.0, "plateau_patience": 3},
}
#: Minimum relative improvement of the loss: PyTorch's default.
THRESHOLD = 1e-4


def step_decay(t: int, learning_rate: float, *, step_size: int, gamma: float) -> float:
    """Multiplies the learning rate by a factor every `step_size` steps.

    Formula: η γ^⌊t/step_size⌋

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), section 8.3.1; PyTorch's `StepLR`, called once per
    step.
    """
    return learning_rate * gamma ** (t // step_size)


def cosine(t: int, learning_rate: float, steps: int, *, min_learning_rate: float) -> float:
    """Half a cosine wave from η down to η_min, which would be reached at step T.

    Formula: η_min + (η - η_min) (1 + cos(πt/T)) / 2

    Source: Loshchilov and Hutter (2017), SGDR: stochastic gradient descent with warm restarts, equation 5, without
    restarts; PyTorch's `CosineAnnealingLR`.
    """
    return min_learning_rate + (learning_rate - min_learning_rate) * (1 + math.cos(math.pi * t / steps)) / 2


def one_cycle(
    t: int, learning_rate: float, steps: int, *, min_learning_rate: float, pct_start: float, div_factor: float
) -> float:
    """Half a cosine wave up from η/div_factor to η, reached at step p = pct_start·T - 1, and half a wave down to η_min
    at the last step.

    Formula: b + (a - b) (1 + cos πs) / 2, from a to b, where s is the completed fraction of the wave: t/p, then
    (t - p)/(T - 1 - p)

    Source: Smith and Topin (2019), Super-convergence: very fast training of neural networks using large learning rates,
    with cosine instead of linear segments, as in PyTorch's `OneCycleLR`.
    """
    peak = pct_start * steps - 1
    start, end, share = learning_rate / div_factor, learning_rate, t / peak if peak > 0 else 1.0
    if t > peak:
        start, end, share = learning_rate, min_learning_rate, (t - peak) / (steps - 1 - peak)
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


@dataclass
class Plateau:
    """Multiplies the learning rate by γ when the loss no longer decreases.

    This happens after more than `patience` consecutive evaluations without a relative improvement of 1e-4 over the best
    loss; then the count starts again.

    Source: PyTorch's `ReduceLROnPlateau`.
    """

    patience: int
    best: float | None = None
    worse: int = 0
    drops: int = 0

    def evaluated(self, loss: float) -> None:
        """Records the loss of an evaluation."""
        if self.best is None or loss < self.best * (1 - THRESHOLD):
            self.best, self.worse = loss, 0
            return
        self.worse += 1
        if self.worse > self.patience:
            self.worse = 0
            self.drops += 1


class Schedule:
    """The learning rates of a run.

    Arguments:
        name: a key of `SCHEDULES`.
        learning_rate: η, the maximum.
        steps: number of steps T of the whole run.
        warmup_steps: W; the first W steps have the rates η₀ (t + 1)/W, increasing linearly to the initial rate η₀ of
            the schedule, which covers the remaining T - W steps.
        options: settings of the schedule, overriding its defaults.

    Raises:
        ConfigError: an option does not belong to the schedule, or the numbers are inconsistent.

    Source: for the warm-up, Goyal et al. (2017), Accurate, large minibatch SGD: training ImageNet in 1 hour, section
    2.2.
    """

    def __init__(self, name: str, learning_rate: float, steps: int, *, warmup_steps: int = 0, **options: Any) -> None:
        check_schedule(name, learning_rate, warmup_steps, options)
        if warmup_steps > steps:
            raise ConfigError(f"warmup_steps={warmup_steps}: expected at most the {steps} steps of the run")
        self.name, self.learning_rate, self.warmup_steps = name, learning_rate, warmup_steps
        self.steps = steps - warmup_steps  # the steps covered by the schedule
        self.options: dict[str, Any] = SCHEDULES[name] | {
            key: value for key, value in options.items() if value is not None
        }
        if name == "step" and self.options["step_size"] is None:
            self.options["step_size"] = max(1, math.ceil(self.steps / 3))
        self.plateau = Plateau(self.options.pop("plateau_patience")) if name == "plateau" else None

    def rate(self, step: int) -> float:
        """The learning rate of one step, counted from 0."""
        if step < self.warmup_steps:
            return self._after_warmup(0) * ((step + 1) / self.warmup_steps)
        return self._after_warmup(step - self.warmup_steps)

    def rates(self, first: int, last: int) -> Float[Array, "steps"]:
        """The learning rates of the steps from `first` to `last` (exclusive). For `plateau`, they are valid until
        the next evaluation."""
        # One by one with `math.cos`, because the last bit of NumPy's result may depend on the position in the array.
        return np.array([self.rate(step) for step in range(first, last)])

    def _after_warmup(self, t: int) -> float:
        match self.name:
            case "step":
                return step_decay(t, self.learning_rate, **self.options)
            case "cosine":
                return cosine(t, self.learning_rate, max(1, self.steps), **self.options)
            case "one_cycle":
                return one_cycle(t, self.learning_rate, self.steps, **self.options)
        if self.plateau is None:
            return self.learning_rate
        dropped = self.learning_rate * self.options["gamma"] ** self.plateau.drops
        return max(dropped, self.options["min_learning_rate"])

    def evaluated(self, loss: float) -> None:
        """Records the loss of an evaluation, on the validation set or, without one, the test set; only `plateau`
        uses it."""
        if self.plateau is not None:
            self.plateau.evaluated(loss)

    # -- for the checkpoint -------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """The state of the schedule, as JSON values."""
        return dict(vars(self.plateau)) if self.plateau is not None else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Restores a state returned by `state`."""
        if self.plateau is not None:
            self.plateau = Plateau(**state)


def check_schedule(name: str, learning_rate: float, warmup_steps: int, options: dict[str, Any]) -> None:
    """Raises ConfigError if settings are inconsistent; an option of None is not set."""
    for key, value in options.items():
        if value is not None and key not in SCHEDULES[name]:
            homes = [schedule for schedule, known in SCHEDULES.items() if key in known]
            raise ConfigError(f"{key}={value} applies to schedule={' or '.join(homes)}, not to {name}: leave it out")
    if name == "one_cycle" and warmup_steps:
        raise ConfigError(
            f"warmup_steps={warmup_steps} does not apply to schedule=one_cycle, which has its own warm-up: "
            "leave it out, and set pct_start"
        )
    least = options.get("min_learning_rate")
    if least is not None and not least < learning_rate:
        raise ConfigError(f"min_learning_rate={least}: expected less than learning_rate={learning_rate}")


def laid_out_over_steps(name: str, step_size: int | None) -> bool:
    """Whether the rates of a schedule depend on the number of steps of the whole run."""
    return name in ("cosine", "one_cycle") or (name == "step" and step_size is None)
