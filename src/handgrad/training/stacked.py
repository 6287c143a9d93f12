"""Training several runs together, as one network with a leading model axis.

For small networks, most of a step is interpreter overhead and fetching batches; stacked models share both. Every model
gets exactly the same results as a separate run with `threads=1`: its matrix products have the same shapes and its sums
the same order, independent of the other models. Compared with a run with more threads, it differs by rounding, as such
runs do among themselves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from handgrad._typing import Array, Integer
from handgrad.architectures import Architecture
from handgrad.data import Dataset
from handgrad.engines import Figures
from handgrad.engines.numpy import NumpyEngine
from handgrad.errors import ConfigError, RunError
from handgrad.training.config import TrainConfig
from handgrad.training.loop import (
    Interrupted,
    Reporter,
    Training,
    fitted_to,
    new_engine,
    next_chunk,
    recorded,
    stop_signals,
)
from handgrad.training.run import Run, RunFolder, load_dataset
from handgrad.training.schedules import SCHEDULES, laid_out_over_steps

#: Settings in which the models of a stack may differ.
FREE = (
    *("recipe", "init", "optimizer", "learning_rate", "momentum", "nesterov", "beta1", "beta2", "weight_decay"),
    *("max_steps", "epochs", "patience", "schedule", "warmup_steps"),
    *{name for options in SCHEDULES.values() for name in options},
    *("seed", "init_seed", "data_seed", "noise_seed", "threads", "checkpoint_seconds", "convolution"),
)
#: Settings for the length of a run, which do not affect individual steps.
_LENGTH = ("recipe", "max_steps", "epochs", "patience", "threads", "checkpoint_seconds", "convolution")

#: Settings for data locations and checkpoint intervals, which may change when a run is resumed.
_ANYWHERE = ("data_dir", "offline", "checkpoint_seconds", "threads")

#: Maximum number of models in a stack, beyond which the interpreter overhead is small.
MAX_MODELS = 32
#: Maximum number of activation elements of all models of a stack per batch, so that they stay in the cache of a core.
MAX_ACTIVATIONS = 2**20


def groups(configs: Sequence[TrainConfig], at_least: int = 1) -> list[list[int]]:
    """Groups of runs that can be trained together, as indices; other runs form groups of one.

    The runs of a group differ only in `FREE` settings. Runs that share batches (the same `data_seed`) or differ only in
    length are placed together.

    Arguments:
        at_least: minimum number of groups, if there are enough runs: one per worker.
    """
    kinds: dict[Any, list[int]] = {}
    for i, config in enumerate(configs):
        kinds.setdefault(_kind(config) or i, []).append(i)
    parts = {kind: math.ceil(len(members) / _most(configs[members[0]])) for kind, members in kinds.items()}
    while sum(parts.values()) < min(at_least, len(configs)):
        largest = max(kinds, key=lambda kind: len(kinds[kind]) / parts[kind])
        parts[largest] += 1
    return [part for kind, members in kinds.items() for part in _split(configs, members, parts[kind])]


def _split(configs: Sequence[TrainConfig], members: list[int], parts: int) -> list[list[int]]:
    """The runs divided into this number of parts, or fewer if too many are taken from longer runs, which stay
    together."""
    rows: dict[Any, list[int]] = {}
    for i in sorted(members, key=lambda i: _order(configs[i])):
        rows.setdefault(_row(configs[i]), []).append(i)
    units, parts = list(rows.values()), min(parts, len(rows))
    if len({configs[i].seeds()["data_seed"] for i in members}) > 1:  # few batches in each part
        edges = [len(units) * k // parts for k in range(parts + 1)]
        chosen = [units[begin:end] for begin, end in itertools.pairwise(edges)]
    else:  # balanced by update rule, because some are more expensive
        chosen = [units[k::parts] for k in range(parts)]
    return [[i for unit in part for i in unit] for part in chosen]


def _kind(config: TrainConfig) -> Any:
    """The common settings of the runs of a stack; None for a run that cannot be stacked."""
    if config.engine != "numpy" or config.model != "mlp" or config.kernels != "numpy":
        return None
    values = {name: value for name, value in config.to_dict().items() if name not in FREE}
    if config.random_crop or config.horizontal_flip:
        values["data_seed"] = config.seeds()["data_seed"]  # which determines the augmentation
    if config.data is not None:
        values["seed"] = config.seed  # which determines the split of the user's data
    return _hashable(values)


def _order(config: TrainConfig) -> tuple:
    """Sort key that places similar runs together: by batches, then update rule, then all settings but the length."""
    optimizer = config.optimizer, config.nesterov, config.beta1, config.beta2, bool(config.momentum)
    return config.seeds()["data_seed"], optimizer, repr(_row(config)), config.max_steps or 0, config.epochs or 0


def _row(config: TrainConfig) -> Any:
    """The common settings of runs of which the shorter result is taken from the longer run."""
    length = () if laid_out_over_steps(config.schedule, config.step_size) else _LENGTH
    values = {name: value for name, value in config.to_dict().items() if name not in length} | config.seeds()
    return _hashable({**values, "seed": 0})


def _hashable(values: dict[str, Any]) -> tuple:
    return tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in sorted(values.items()))


def _most(config: TrainConfig) -> int:
    """Maximum number of models in a stack of such runs."""
    return max(2, min(MAX_MODELS, MAX_ACTIVATIONS // (config.batch_size * max(sum(config.hidden_units), 1))))


def train_stacked(
    configs: Sequence[TrainConfig],
    run_dirs: Sequence[str | Path | RunFolder],
    *,
    reporter: Reporter | Sequence[Reporter] | None = None,
    threads: int | None = None,
    dataset: Dataset | None = None,
    read_off: bool = True,
) -> list[Run | Exception]:
    """Trains several runs together and writes the same run folders as separate runs.

    Unfinished runs with the same configuration are resumed, with bit-for-bit the same result as without interruption;
    finished runs are skipped. A run that diverges, or whose reporter raises an exception, ends, and the others
    continue. If two runs differ only in length, the result of the shorter is taken from the longer one.

    Arguments:
        configs: configurations of one group of `groups`.
        run_dirs: the folder of each.
        reporter: receives all events: one for all runs, or one per run.
        threads: number of threads for the models; 1 by default. Results do not depend on it.
        dataset: the result of `load_dataset`, if already loaded; without a "test" split, there is no test evaluation.
        read_off: whether to take the result of a run that differs only in length from the longer run.

    Returns: each run or, for one that ended early, the reason: a `NonFiniteError` as raised by `train`, or the
    exception of its reporter.

    Raises:
        ConfigError: the runs cannot be trained together, or a setting does not match the data.
        DataError: the data cannot be loaded.
        RunError: a run folder cannot be used.
        Interrupted: Ctrl-C or a termination signal; all progress is saved.
    """
    _check(configs, run_dirs)
    folders = [each if isinstance(each, RunFolder) else RunFolder(each) for each in run_dirs]
    given = [reporter or Reporter()] * len(configs) if not isinstance(reporter, Sequence) else list(reporter)
    ended: dict[int, Exception] = {}
    with contextlib.ExitStack() as held:
        for folder in folders:
            held.enter_context(folder.held())
        data = dataset or load_dataset(configs[0])
        first = recorded(configs[0], data)  # for the user's data: their checksum
        same = {name: getattr(first, name) for name in ("data_bytes", "data_sha256")}
        configs = [dataclasses.replace(fitted_to(config, data), **same) for config in configs]
        for folder, config in zip(folders, configs, strict=True):
            differing = _differing(folder.config(), config) if folder.exists() else []
            if differing := [name for name in differing if name not in _ANYWHERE]:
                raise RunError(
                    f"{folder.path} contains a run with other settings ({', '.join(differing)}): choose another folder"
                )
        trainings = [
            _StackedTraining(i, None if read_off else i, folder, config, own, dataset=data)
            for i, (folder, config, own) in enumerate(zip(folders, configs, given, strict=True))
            if not _finished(folder)
        ]
        if trainings:
            ended = _Stack(trainings, data, threads or 1).run()
    return [ended.get(i) or Run(folder.path) for i, folder in enumerate(folders)]


def _finished(folder: RunFolder) -> bool:
    """Whether all files of a run are complete, including the figures, which are drawn after the summary."""
    return (folder.path / "summary.json").exists() and not any(folder.path.glob(".*.part"))


def _check(configs: Sequence[TrainConfig], run_dirs: Sequence[Any]) -> None:
    if len(configs) != len(run_dirs) or not configs:
        raise ConfigError(
            f"train_stacked got configs={len(configs)} and run_dirs={len(run_dirs)}, expected a folder for each run"
        )
    if len({str(getattr(each, "path", each)) for each in run_dirs}) < len(run_dirs):
        raise ConfigError("train_stacked got the same folder twice: each run needs its own folder")
    kinds = [_kind(config) for config in configs]
    if kinds[0] is None:
        raise ConfigError(
            f"engine={configs[0].engine} model={configs[0].model} kernels={configs[0].kernels} cannot be stacked: "
            "expected an mlp on the numpy engine with kernels=numpy; train the runs one at a time"
        )
    for config, kind in zip(configs, kinds, strict=True):
        if kind != kinds[0]:
            differing = [name for name in _differing(configs[0], config) if name not in FREE] or ["data_seed"]
            raise ConfigError(
                f"the runs differ in {', '.join(differing)}, expected runs that differ in the optimiser's numbers, the "
                "initialisation, the seeds or the schedule: see handgrad.training.stacked.groups"
            )


def _differing(a: TrainConfig, b: TrainConfig) -> list[str]:
    names = [field.name for field in dataclasses.fields(TrainConfig)]
    return [name for name in names if getattr(a, name) != getattr(b, name)]


class _StackedTraining(Training):
    """One run of a stack. Its times are its fraction of those of the stack; its best weights are written with the
    next checkpoint."""

    def __init__(self, number: int, apart: int | None, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.number = number
        self.row = apart, _row(self.config)
        self.spent = 0.0
        self._best: _Weights | None = None

    def seconds(self) -> float:
        return self.seconds_before + self.spent

    def save_best(self) -> None:
        self._best = _Weights(self.step, self.engine.architecture, self.engine.state_dict())

    def write_best(self) -> None:
        if self._best is not None:
            best: Any = self._best
            self.folder.save_model("best", best, best.step)
            self._best = None

    def save_checkpoint(self) -> None:
        self.write_best()
        super().save_checkpoint()


@dataclass(frozen=True)
class _Weights:
    """The state of a network at some step."""

    step: int
    architecture: Architecture
    state: dict[str, np.ndarray]

    def state_dict(self) -> dict[str, np.ndarray]:
        return self.state


class _Lane:
    """The models of one thread, with the runs of each: several if shorter results are taken from a longer run."""

    def __init__(self, rows: list[list[_StackedTraining]], dataset: Dataset) -> None:
        self.rows = rows
        longest = [max(row, key=lambda run: run.steps) for row in rows]
        going_on = [next((run.engine.checkpoint() for run in row if hasattr(run, "engine")), None) for row in rows]
        begun = [state is not None or row[0].saved is not None for state, row in zip(going_on, rows, strict=True)]
        models = [
            dataclasses.replace(run.config, init="zeros") if restored else run.config
            for run, restored in zip(longest, begun, strict=True)
        ]
        self.engine: NumpyEngine = new_engine(models[0], dataset, models=models)
        for number, (row, state) in enumerate(zip(rows, going_on, strict=True)):
            model: Any = self.engine.model(number)
            for run in row:
                run.use(model, threads=1)
            if state is not None:
                model.restore(*state)
        self._schedules = [run.schedule for run in longest]
        self._orders = [run.order for run in longest]
        if len({order.seed for order in self._orders}) == 1:
            del self._orders[1:]

    def train(self, step: int, until: int) -> Figures:
        batches = [order.batches(step, until) for order in self._orders]
        indices = batches[0] if len(batches) == 1 else np.stack(batches, axis=1)
        return self.engine.train(indices, np.stack([each.rates(step, until) for each in self._schedules], axis=1))

    def evaluate(self) -> dict[str, Figures]:
        return {split: self.engine.evaluate(self._evaluated(split)) for split in self.rows[0][0].evaluated_splits}

    def _evaluated(self, split: str) -> Integer[Array, "*models n"]:
        indices = [row[0].evaluated_splits[split] for row in self.rows]
        same = all(np.array_equal(each, indices[0]) for each in indices[1:])
        return indices[0] if same else np.stack(indices)


class _Stack:
    """Stacked runs in progress."""

    def __init__(self, runs: list[_StackedTraining], dataset: Dataset, threads: int) -> None:
        self.runs = sorted(runs, key=lambda run: _order(run.config))
        self.dataset, self.threads = dataset, threads
        self.live = list(self.runs)
        self.ended: dict[int, Exception] = {}
        self.chunk = 1
        self.began = time.perf_counter()

    def run(self) -> dict[int, Exception]:
        """Trains all runs to the end; returns the reasons for early ends."""
        first = self.runs[0].folder
        for run in self.runs:
            run.folder.create(run.config)
        first.save_preprocessing(self.dataset)
        for run in self.runs[1:]:
            run.folder.copy_preprocessing(first)
        with (
            stop_signals() as stop,
            threadpool_limits(1, user_api="blas"),  # the stack divides the work itself
            ThreadPoolExecutor(self.threads) as pool,
        ):
            while self.live:
                self._train(pool, stop)
        return self.ended

    def _train(self, pool: ThreadPoolExecutor, stop: threading.Event) -> None:
        """Trains the runs with the fewest steps (with an older checkpoint after a kill), until one is finished or
        they have caught up with the others."""
        step = min(run.step for run in self.live)
        behind = [run for run in self.live if run.step == step]
        goal = min((run.step for run in self.live if run.step > step), default=math.inf)
        lanes = self._lanes(behind)
        for run in behind:
            if run in self.live and run.over():  # killed while writing its final files
                self._finish(run)
        while len(self.live) and all(run in self.live for run in behind) and step < goal:
            until = int(min(step + self.chunk, goal, *(run.next_evaluation() for run in behind)))
            began = time.perf_counter()
            train: Any = functools.partial(_Lane.train, step=step, until=until)
            trained = list(map(train, lanes) if len(lanes) == 1 else pool.map(train, lanes))
            seconds = time.perf_counter() - began
            self.chunk = next_chunk(self.chunk, seconds)
            self._share(lanes, trained, until, seconds)
            step = until
            if any(run.due() for run in behind if run in self.live):
                self._evaluate(pool, lanes)
            for run in behind:
                if run in self.live and run.over():
                    self._finish(run)
            if stop.is_set():
                self._save(behind)
                raise Interrupted(
                    f"stopped {len(self.live)} of {len(self.runs)} stacked runs at step {step}; all of them are saved. "
                    "Train them again in the same folders to resume"
                )
            if time.perf_counter() - behind[0].saved_at >= min(run.config.checkpoint_seconds for run in behind):
                self._save(behind)

    def _lanes(self, runs: list[_StackedTraining]) -> list[_Lane]:
        rows: dict[Any, list[_StackedTraining]] = {}
        for run in runs:
            rows.setdefault(run.row, []).append(run)
        begun = [run for run in runs if hasattr(run, "engine")]
        each = list(rows.values())
        count = min(self.threads, len(each))
        edges = [len(each) * k // count for k in range(count + 1)]
        lanes = [_Lane(each[begin:end], self.dataset) for begin, end in itertools.pairwise(edges)]
        for run in runs:
            if run not in begun:
                self._guarded(run, run.reporter.started, run.folder.path, run.config, run.engine, run.steps, run.step)
        return lanes

    def _share(self, lanes: list[_Lane], trained: list[Figures], until: int, seconds: float) -> None:
        """Passes the results of its steps to every run."""
        share = seconds / len(lanes) / max(len(lane.rows) for lane in lanes)
        for lane, figures in zip(lanes, trained, strict=True):
            for number, row in enumerate(lane.rows):
                for run in row:
                    run.spent += share
                    if number in lane.engine.diverged:
                        self._end(run, run.diverged(*lane.engine.diverged[number]))
                    else:
                        self._guarded(run, run.trained, figures.of(number), until, share)

    def _evaluate(self, pool: ThreadPoolExecutor, lanes: list[_Lane]) -> None:
        began = time.perf_counter()
        evaluated = list(map(_Lane.evaluate, lanes) if len(lanes) == 1 else pool.map(_Lane.evaluate, lanes))
        share = (time.perf_counter() - began) / sum(len(lane.rows) for lane in lanes)
        for lane, of_splits in zip(lanes, evaluated, strict=True):
            for number, row in enumerate(lane.rows):
                for run in row:
                    if run in self.live and run.due():
                        run.spent += share
                        figures = {split: figures.of(number) for split, figures in of_splits.items()}
                        self._guarded(run, run.evaluated, figures, share)

    def _finish(self, run: _StackedTraining) -> None:
        about: dict[str, Any] = {
            "stack": {"runs": len(self.runs), "seconds": round(time.perf_counter() - self.began, 3)}
        }
        beside = [other for other in self.runs if other.row == run.row and other.step >= run.step]
        longest = max(beside, key=lambda other: other.steps)
        if longest.steps > run.steps:
            about["read_off"] = str(longest.folder.path)
        self._guarded(run, lambda: run.finish(**about))
        if run in self.live:
            self.live.remove(run)

    def _save(self, runs: list[_StackedTraining]) -> None:
        for run in runs:
            if run in self.live:
                run.save_checkpoint()

    def _guarded(self, run: _StackedTraining, function: Callable[..., None], *arguments: Any) -> None:
        """Calls a function that may call a reporter: a run whose reporter raises an exception ends."""
        if run not in self.live:
            return
        try:
            function(*arguments)
        except (RunError, OSError):  # the disk is full, which affects all runs
            raise
        except Exception as error:
            self._end(run, error)

    def _end(self, run: _StackedTraining, why: Exception) -> None:
        run.write_best()
        self.ended[run.number] = why
        self.live.remove(run)
