"""Comparison of two runs: where they diverge, by how much, and in which layer first.

First, the contents of the run folders are compared: settings, evaluations, final weights. Then both runs are repeated
from their seeds, and their complete state is compared after each step. The runs are not modified.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from handgrad._typing import Array, Shaped
from handgrad.architectures import Architecture, LayerSpec
from handgrad.engines import DivergedError, Engine
from handgrad.errors import ConfigError, RunError
from handgrad.numerics import relative_error
from handgrad.training.batches import BatchOrder
from handgrad.training.config import TrainConfig
from handgrad.training.loop import new_engine
from handgrad.training.run import Run, load_dataset, load_run

#: Default tolerance by the lower of the two precisions: the size of rounding errors after the default number of
#: repeated steps.
TOLERANCES = {"float64": 1e-8, "float32": 1e-3, "bf16": 0.5, "fp16": 0.5}

#: Number of samples whose scores are compared.
PROBE = 64

#: Settings for locations and intervals, which do not affect the computation.
_ELSEWHERE = ("recipe", "data_dir", "offline", "checkpoint_seconds")


@dataclass(frozen=True)
class Divergence:
    """The first difference of two runs beyond the tolerance.

    Attributes:
        step: number of steps; 0 for the initial weights.
        layer, kind: the first layer in the order of the forward pass, as `"3"`, `"batch_norm"`.
        parameter: the parameter of that layer, as `"3.weight"`; None if only the loss differs.
        difference: relative difference of that parameter or of the loss.
    """

    step: int
    layer: str | None
    kind: str | None
    parameter: str | None
    difference: float


@dataclass(frozen=True)
class Step:
    """The differences of two runs after the same number of steps.

    Attributes:
        step: number of steps; 0 is before the first.
        losses: mean loss of the batch in each run; None at step 0.
        loss: relative difference of the losses; None at step 0.
        scores: relative difference of the scores of the same samples, in evaluation mode.
        parameters: relative difference of every parameter and running statistic, by name, in the order of the layers.
    """

    step: int
    losses: tuple[float, float] | None
    loss: float | None
    scores: float
    parameters: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison of two runs.

    Attributes:
        runs: their folders.
        tolerance: relative difference up to which values count as equal.
        settings: the settings that differ, as name -> both values.
        evaluations: one row per step at which both were evaluated: `step`, and relative differences by metric.
        layers: layer -> kind for all layers with state, in the order of the forward pass.
        weights: relative difference of every parameter and running statistic at the end; empty if they cannot be
            compared, with the reason in `weights_note`.
        steps: the repeated steps.
        undetermined: parameters and running statistics whose drift is meaningless, because the true gradient behind it
            is zero.
        note: further remarks, or "".
    """

    runs: tuple[str, str]
    tolerance: float
    settings: dict[str, tuple[Any, Any]]
    evaluations: list[dict[str, float]]
    layers: dict[str, str]
    weights: dict[str, float]
    weights_note: str
    steps: list[Step]
    undetermined: frozenset[str]
    note: str = ""

    @property
    def agree(self) -> bool:
        """Whether all judged differences are within the tolerance."""
        return self.divergence is None and self.final_divergence is None and self.evaluation_divergence is None

    @property
    def divergence(self) -> Divergence | None:
        """The first divergence of the runs repeated from their seeds."""
        for step in self.steps:
            if divergence := self._first(step.step, step.parameters):
                return divergence
            if step.loss is not None and step.loss > self.tolerance:
                return Divergence(step.step, None, None, None, step.loss)
        return None

    @property
    def final_divergence(self) -> Divergence | None:
        """The first layer whose final weights differ; its `step` is -1."""
        return self._first(-1, self.weights)

    @property
    def evaluation_divergence(self) -> int | None:
        """The step of the first evaluation whose training losses differ."""
        return next((int(row["step"]) for row in self.evaluations if row["train_loss"] > self.tolerance), None)

    def _first(self, step: int, parameters: dict[str, float]) -> Divergence | None:
        for name, difference in parameters.items():
            if name not in self.undetermined and difference > self.tolerance:
                layer = name.rpartition(".")[0]
                return Divergence(step, layer, self.layers[layer], name, difference)
        return None

    def parameters(self) -> list[dict[str, Any]]:
        """One row per parameter or running statistic: where it diverges in the repeated steps, the largest
        difference there, and the difference at the end."""
        rows = []
        for name in self.weights or (self.steps[0].parameters if self.steps else ()):
            layer = name.rpartition(".")[0]
            along = [(step.step, step.parameters[name]) for step in self.steps]
            rows.append(
                {
                    "parameter": name,
                    "layer": layer,
                    "kind": self.layers[layer],
                    "undetermined": name in self.undetermined,
                    "diverges_at_step": next((step for step, d in along if d > self.tolerance), None),
                    "largest": max((d for _, d in along), default=None),
                    "final": self.weights.get(name),
                }
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """The comparison as a JSON value; infinite differences (non-finite values) are null."""
        divergence, final = self.divergence, self.final_divergence
        return _json(
            {
                "runs": list(self.runs),
                "agree": self.agree,
                "tolerance": self.tolerance,
                "divergence": dataclasses.asdict(divergence) if divergence else None,
                "final_divergence": dataclasses.asdict(final) if final else None,
                "evaluation_divergence": self.evaluation_divergence,
                "settings": {name: list(values) for name, values in self.settings.items()},
                "evaluations": self.evaluations,
                "undetermined": sorted(self.undetermined),
                "parameters": self.parameters(),
                "weights_note": self.weights_note,
                "note": self.note,
                "steps": [dataclasses.asdict(step) for step in self.steps],
            }
        )


def compare_runs(
    one: Run | str | Path,
    other: Run | str | Path,
    *,
    steps: int = 50,
    tolerance: float | None = None,
    data_dir: str | None = None,
    offline: bool = False,
    progress: Callable[[int], None] = lambda step: None,
) -> Comparison:
    """Compares two runs of the same architecture on any engines. The folders are not modified.

    Arguments:
        one, other: the runs, or their folders.
        steps: maximum number of steps to repeat from the seeds; 0 for none.
        tolerance: relative difference, max|a - b| / max(max|a|, max|b|, 1e-8), up to which two arrays count as equal;
            by default from `TOLERANCES` for the lower of the two precisions.
        data_dir, offline: location of the data, and whether downloads are disabled.
        progress: called with each completed step.

    Raises:
        ConfigError: invalid `steps` or `tolerance`.
        RunError: a folder does not contain a run, or the architectures differ.
    """
    if steps < 0:
        raise ConfigError(f"steps={steps}: expected a whole number of at least 0; 0 repeats none")
    if tolerance is not None and not 0 <= tolerance < math.inf:
        raise ConfigError(f"tolerance={tolerance}: expected a number of at least 0")
    a, b = (run if isinstance(run, Run) else load_run(run) for run in (one, other))
    runs = (a, b)
    datasets = [load_dataset(run.config, data_dir=data_dir, offline=offline) for run in runs]
    architecture, theirs = (
        run.config.architecture(dataset.input_shape, len(dataset.classes))
        for run, dataset in zip(runs, datasets, strict=True)
    )
    if architecture != theirs:
        raise RunError(f"the runs have different architectures: {_other_layer(architecture, theirs, a, b)}")
    if tolerance is None:
        tolerance = max(TOLERANCES[run.config.precision] for run in runs)
    weights, weights_note = _final_weights(a, b, architecture)
    made: list[Step] = []
    note = ""
    if steps:
        replays = _Replay(a, datasets[0]), _Replay(b, datasets[1])
        with threadpool_limits(1, user_api="blas"):  # as in training
            for step in _side_by_side(*replays, min(steps, *(replay.steps for replay in replays))):
                made.append(step)
                progress(step.step)
        note = "; ".join(
            f"{run.path}: {replay.stopped}" for run, replay in zip(runs, replays, strict=True) if replay.stopped
        )
    return Comparison(
        runs=(str(a.path), str(b.path)),
        tolerance=tolerance,
        settings=_differing(a.config, b.config),
        evaluations=_evaluations(a, b),
        layers={row.name: row.kind for row in architecture.rows()},
        weights=weights,
        weights_note=weights_note,
        steps=made,
        undetermined=undetermined(architecture),
        note=note,
    )


# -- contents of the folders ------------------------------------------------------------------------------------------


def _differing(a: TrainConfig, b: TrainConfig) -> dict[str, tuple[Any, Any]]:
    both = {name: (getattr(a, name), getattr(b, name)) for name in (field.name for field in dataclasses.fields(a))}
    return {name: values for name, values in both.items() if name not in _ELSEWHERE and values[0] != values[1]}


def _other_layer(a: Architecture, b: Architecture, one: Run, other: Run) -> str:
    """Description of the difference of two architectures: the settings that cause it, and the first layer that
    differs."""
    names = [name for name in _differing(one.config, other.config) if _decides(name, one.config, other.config, a)]
    settings = "; ".join(
        f"{name}={_shown(getattr(one.config, name))} in {one.path}, "
        f"{name}={_shown(getattr(other.config, name))} in {other.path}"
        for name in names
    )
    return f"{settings} ({where})" if (where := _first_difference(a, b, one, other)) and settings else settings or where


def _first_difference(a: Architecture, b: Architecture, one: Run, other: Run) -> str:
    if a.input_shape != b.input_shape:
        return f"input_shape={a.input_shape} in {one.path}, {b.input_shape} in {other.path}"
    for x, y in zip(a.rows(), b.rows(), strict=False):
        if (x.kind, _visible(x)) != (y.kind, _visible(y)):
            return f"layer {x.name} is {_in_words(x)} in {one.path}, {_in_words(y)} in {other.path}"
    if len(a.rows()) != len(b.rows()):
        return f"{len(a.rows())} layers in {one.path}, {len(b.rows())} in {other.path}"
    return ""


def _decides(name: str, one: TrainConfig, other: TrainConfig, architecture: Architecture) -> bool:
    """Whether the other run's value of a setting changes the network of the first run's settings."""
    try:
        config = dataclasses.replace(one, **{name: getattr(other, name)})
        return config.architecture(architecture.input_shape, architecture.output_shape[0]) != architecture
    except ConfigError:  # the value is valid only with other settings of the other run
        return name == "model"


def _visible(row) -> dict[str, Any]:
    """The visible options of a layer: the gain only scales its initial weights and follows from the activation, and
    nested layers have separate rows."""
    return {name: value for name, value in row.options.items() if name not in ("gain", "layers")}


def _in_words(row) -> str:
    options = ", ".join(f"{name}={value}" for name, value in _visible(row).items())
    return f"{row.kind}({options})" if options else row.kind


def _shown(value: Any) -> str:
    if value is None:
        return "its default"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _evaluations(a: Run, b: Run) -> list[dict[str, float]]:
    theirs = {record["step"]: record for record in b.metrics}
    rows = []
    for record in a.metrics:
        if (twin := theirs.get(record["step"])) is None:
            continue
        figures = [name for name in record if name.endswith(("_loss", "_accuracy", "_rmse", "_mae", "_r2"))]
        pairs = {name: (record[name], twin[name]) for name in figures}
        differences = {name: _relative(x, y) for name, (x, y) in pairs.items() if x is not None and y is not None}
        rows.append({"step": record["step"], **differences})
    return rows


def _final_weights(a: Run, b: Run, architecture: Architecture) -> tuple[dict[str, float], str]:
    states, steps = [], []
    for run in (a, b):
        path = run.path / "model.safetensors"
        if path.exists():
            state, about = run.folder.arrays(path.name)
        elif run.folder.has_checkpoint():
            arrays, about = run.folder.load_checkpoint()
            state = {name.removeprefix("model/"): x for name, x in arrays.items() if name.startswith("model/")}
        else:
            return {}, f"{run.path} has no weights yet"
        states.append(state)
        steps.append(about["step"])
    if steps[0] != steps[1]:
        return {}, f"not compared: those of {a.path} are of step {steps[0]}, those of {b.path} of step {steps[1]}"
    for name in states[0].keys() ^ states[1].keys():
        raise RunError(f"{name} is in the weights of one run only: a file in {a.path} or {b.path} was changed")
    return _differences(architecture, *states), ""


# -- repeated runs ----------------------------------------------------------------------------------------------------


class _Replay:
    """A run repeated step by step from its seeds, through the common engine interface."""

    def __init__(self, run: Run, dataset) -> None:
        config = run.config
        self.run = run
        self.engine: Engine = new_engine(config, dataset)
        self.order = BatchOrder(dataset.indices("train"), config.batch_size, config.seeds()["data_seed"])
        self.steps = config.max_steps or (config.epochs or 0) * self.order.steps_an_epoch
        self.schedule = config.learning_rates(self.steps)
        judged = "validation_loss" if "validation" in dataset.splits else "test_loss"
        #: The results of the original run, on which the learning rate may depend.
        self.measured = {record["step"]: record[judged] for record in run.metrics}
        split = "test" if "test" in dataset.splits else "train"
        dtype = np.float64 if config.precision == "float64" else np.float32
        self.probe = dataset.gather(dataset.indices(split)[:PROBE], dtype=dtype)
        self.stopped = ""

    def step(self, number: int) -> float:
        """Runs the step with this number, counted from 1, and returns its loss, which is infinite if it is NaN."""
        rates = self.schedule.rates(number - 1, number)
        try:
            figures = self.engine.train(self.order.batches(number - 1, number), rates)
        except DivergedError as error:
            self.stopped = f"the loss is no longer a finite number at step {number}: {error.cause}"
            return math.inf
        if number in self.measured:
            self.schedule.evaluated(self.measured[number])
        return float(figures.loss[0]) / figures.samples

    def scores(self) -> np.ndarray:
        with np.errstate(all="ignore"):  # weights may be close to overflow
            return self.engine.predict(self.probe)


def _side_by_side(a: _Replay, b: _Replay, steps: int) -> Iterator[Step]:
    for number in range(steps + 1):
        losses = (a.step(number), b.step(number)) if number else None
        yield Step(
            number,
            losses,
            _relative(*losses) if losses else None,
            _relative(a.scores(), b.scores()),
            _differences(a.engine.architecture, a.engine.state_dict(), b.engine.state_dict()),
        )
        if a.stopped or b.stopped:
            return


def _differences(
    architecture: Architecture, a: dict[str, Shaped[Array, "..."]], b: dict[str, Shaped[Array, "..."]]
) -> dict[str, float]:
    """Relative difference of each array except counters, in the order of the layers."""
    place = {row.name: i for i, row in enumerate(architecture.rows())}

    def order(name: str) -> tuple[int, bool, str]:
        layer, _, parameter = name.rpartition(".")
        return place[layer], parameter != "weight", parameter

    names = sorted(a, key=order)
    return {name: _relative(a[name], b[name]) for name in names if not name.endswith("num_batches_tracked")}


def _relative(a: Any, b: Any) -> float:
    if np.array_equal(a, b):  # also for two infinities
        return 0.0
    difference = relative_error(a, b)
    return difference if math.isfinite(difference) else math.inf


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# -- undetermined parameters ------------------------------------------------------------------------------------------

#: Layers for which a constant added to a feature of the input adds a constant to a feature of the output.
_PASSING = ("identity", "flatten", "global_avg_pool2d")
_BATCH_NORMS = ("batch_norm", "batch_norm2d")


def undetermined(architecture: Architecture) -> frozenset[str]:
    """Names of parameters whose drift is meaningless: biases without effect in training, because a batch normalisation
    cancels them, and the corresponding running means.

    The true gradient of such a bias is zero, and the computed one is rounding error, which Adam scales to full-size
    steps.
    """
    names: set[str] = set()
    _biases(architecture.layers, "", False, names)
    _running_means(architecture.layers, "", False, names)
    return frozenset(names)


def _biases(layers: Sequence[LayerSpec], prefix: str, absorbed: bool, names: set[str]) -> bool:
    """Backward traversal: whether a constant added to a feature before `layers` is cancelled, given whether one
    added after them is."""
    for i in reversed(range(len(layers))):
        layer, name = layers[i], f"{prefix}{i}"
        if layer.kind == "residual":
            absorbed = _biases(layer.children, f"{name}.", absorbed, names) and absorbed
            continue
        if absorbed and layer.kind in ("linear", "conv2d", *_BATCH_NORMS) and layer.options.get("bias", True):
            names.add(f"{name}.bias")
        if layer.kind in _BATCH_NORMS:
            absorbed = True
        elif not _passes(layer):
            absorbed = False
    return absorbed


def _passes(layer: LayerSpec) -> bool:
    if layer.kind == "max_pool2d":  # its padding is -∞
        return True
    if layer.kind in ("conv2d", "avg_pool2d"):  # zero padding is not shifted
        padding = layer.options.get("padding", 0)
        return not any(padding) if isinstance(padding, Sequence) else not padding
    return layer.kind in (*_PASSING, "linear")


def _running_means(layers: Sequence[LayerSpec], prefix: str, drifting: bool, names: set[str]) -> bool:
    """Forward traversal: whether features after `layers` are shifted by an undetermined bias."""
    for i, layer in enumerate(layers):
        name = f"{prefix}{i}"
        if layer.kind == "residual":
            drifting = _running_means(layer.children, f"{name}.", drifting, names) or drifting
            continue
        if layer.kind in _BATCH_NORMS:
            if drifting:
                names.add(f"{name}.running_mean")
            drifting = False
        drifting = drifting or f"{name}.bias" in names
    return drifting
