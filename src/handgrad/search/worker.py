"""A worker of a study: gets a run, trains it and reports its result, until no run is left."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from handgrad.data import Dataset
from handgrad.data.lock import exclusive
from handgrad.engines import Engine
from handgrad.errors import ConfigError, DataError, NonFiniteError, RunError
from handgrad.search.queue import DIVERGED, ERROR, LOST, Job, Queue
from handgrad.search.store import GRACE_SECONDS, HEARTBEAT_SECONDS, Store, open_store
from handgrad.search.study import Plan, Study, join
from handgrad.training.config import GROUPS, TrainConfig
from handgrad.training.judging import MEASURES, averages, better
from handgrad.training.loop import Interrupted, Reporter, fitted_to, train_in
from handgrad.training.run import Run, RunFolder, as_configured, load_dataset
from handgrad.training.stacked import groups, train_stacked

#: Exit code of a worker that could not continue, after reporting the reason.
FATAL = 3


#: Settings that determine the data set.
DATA_SETTINGS = (*GROUPS["Data"], *GROUPS["Your own data"])


class Datasets:
    """Data sets, each read once. If they are loaded before workers are forked, all workers share them."""

    def __init__(self) -> None:
        self._loaded: dict[Any, Dataset] = {}

    def load(self, config: TrainConfig) -> Dataset:
        """The result of `load_dataset(config)`."""
        plain = dataclasses.replace(config, random_crop=0, horizontal_flip=False, class_weight="none")
        key = (*(getattr(plain, name) for name in DATA_SETTINGS), plain.seed if plain.data is not None else 0)
        if key not in self._loaded:
            self._loaded[key] = load_dataset(plain)
        return as_configured(config, self._loaded[key])


class TrialFolder(RunFolder):
    """The folder of a run of a study, without curves, because there may be thousands."""

    def save_curves(self, records: list[dict[str, Any]], title: str) -> str | None:
        return None

    def save_confusion(self, details: dict[str, Any], title: str) -> str | None:
        return None


class _Pruned(Exception):
    """The pruner has stopped a run."""


def objective(plan: Plan, task: str) -> str:
    """The selection metric of an evaluation."""
    return f"{plan.select}_{MEASURES[task][0]}"


def sign_of(figure: str) -> int:
    """1 if larger values are better, -1 if smaller ones are."""
    return 1 if better(figure, {figure: 1.0}, {figure: 0.0}) else -1


def best_record(records: Sequence[dict[str, Any]], figure: str) -> dict[str, Any]:
    """The first evaluation with the best value."""
    return max(records, key=lambda record: sign_of(figure) * record[figure])


class _Reporter(Reporter):
    """Reports the progress of a run to the parent and the pruner."""

    def __init__(self, worker: Worker, run: _Run, figure: str, pruner: Any) -> None:
        self.worker, self.job, self.folder = worker, run.job, run.folder
        self.figure, self.pruner = figure, pruner
        self.reported = 0.0

    def started(self, run_dir: Path, config: TrainConfig, engine: Engine, steps: int, first_step: int) -> None:
        self.worker.tell("began", self.job.run, steps, first_step)
        self.worker.retry(lambda: self.worker.queue.begun(self.job, first_step))
        if self.pruner is not None:
            for record in self.folder.metrics():
                if record["step"] <= first_step:
                    self._report(record)

    def stepped(self, step: int, loss: float) -> None:
        now = time.monotonic()
        if now - self.reported > 0.5:
            self.reported = now
            self.worker.tell("at", self.job.run, step)

    def evaluated(self, record: dict[str, Any]) -> None:
        if self.pruner is None:
            return
        self._report(record)
        study, trial_id = self.worker.study, self.job.trial_id
        if self.worker.retry(lambda: self.pruner.prune(study.study, study.storage.get_trial(trial_id))):
            raise _Pruned

    def _report(self, record: dict[str, Any]) -> None:
        storage, value = self.worker.study.storage, float(record[self.figure])
        self.worker.retry(lambda: storage.set_trial_intermediate_value(self.job.trial_id, record["step"], value))


@dataclasses.dataclass(frozen=True)
class _Run:
    """A run of this worker in progress."""

    job: Job
    config: TrainConfig
    folder: TrialFolder


class Worker:
    """The main loop of a worker process.

    Arguments:
        study: the study, opened by this process.
        datasets: data sets loaded before the fork.
        tell: called with events: ("began", run, steps, first step), ("at", run, step),
            ("ended", run, how, value), ("note", text), ("fatal", text).
        parent: the parent process, or None.
        workers: number of workers on this machine.
        threads: number of threads of this worker.
        stack: whether to train runs of the same shape together.
    """

    def __init__(
        self,
        study: Study,
        datasets: Datasets,
        tell: Callable[..., None] = lambda *event: None,
        parent: int | None = None,
        *,
        workers: int = 1,
        threads: int = 1,
        stack: bool = True,
        grace_seconds: float = GRACE_SECONDS,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self.study, self.datasets, self.tell, self.parent = study, datasets, tell, parent
        self.queue = Queue(study, grace_seconds=grace_seconds)
        self.heartbeat_seconds = heartbeat_seconds
        self.stopping = threading.Event()
        self.workers, self.threads, self.stack = workers, threads, stack
        self.trial_ids: set[int] = set()  # in progress

    def retry(self, action: Callable[[], Any]) -> Any:
        return self.study.store.retry(action, lambda text: self.tell("note", text))

    def work(self) -> int:
        """Trains runs until none is left or a signal comes; returns the exit code of the process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        threading.Thread(target=self._beat, daemon=True).start()
        while not self.stopping.is_set():
            try:
                jobs = self.retry(lambda: self.queue.take(self._choose))
            except ConfigError as error:  # an invalid combination in a study that rejects them
                return self._fatal(str(error))
            if not jobs:
                if self.retry(self.queue.finished):
                    return 0
                self.stopping.wait(0.5)
                continue
            self.trial_ids = {job.trial_id for job in jobs}
            try:
                self._train(jobs)
            except (Interrupted, RunError, DataError, OSError) as error:
                for trial_id in self.trial_ids:
                    self.retry(lambda trial_id=trial_id: self.queue.fail(trial_id, LOST))
                return 0 if isinstance(error, Interrupted) else self._fatal(str(error))
            finally:
                self.trial_ids = set()
        return 0

    def _choose(self, jobs: list[Job], busy: int) -> list[int]:
        """Selects from the waiting runs: the first, and those that can be trained together with it."""
        plan = self.study.plan
        if not self.stack or plan.pruner == "median":  # the median requires finished runs
            return [0]
        configs = [plan.config(job.combination, job.seed) for job in jobs]
        return next(group for group in groups(configs, at_least=max(1, self.workers - busy)) if 0 in group)

    def _fatal(self, text: str) -> int:
        self.tell("fatal", text)
        return FATAL

    def _beat(self) -> None:
        """Sends heartbeats of the running trial, and stops it if the parent has died."""
        last = 0.0
        while True:
            time.sleep(min(1.0, self.heartbeat_seconds / 2))
            if self.parent is not None and os.getppid() != self.parent:
                os.kill(os.getpid(), signal.SIGTERM)
            if self.trial_ids and time.monotonic() - last >= self.heartbeat_seconds:
                with contextlib.suppress(Exception):  # the store is temporarily unavailable
                    for trial_id in list(self.trial_ids):
                        self.study.store.beat(trial_id)
                    last = time.monotonic()

    # -- runs ---------------------------------------------------------------------------------------------------------

    def _train(self, jobs: list[Job]) -> None:
        """Trains runs, together if there are several, and reports the outcome of each."""
        about = self.retry(lambda: self.study.about)
        plan = self.study.plan
        figure = objective(plan, about["data"]["task"])
        runs = []
        for job in jobs:
            folder, config = TrialFolder(self.study.run_dir(job.run)), plan.config(job.combination, job.seed)
            config = fitted_to(config, self.datasets.load(config))
            self._wait_for(folder)
            if folder.exists() and folder.config() != config:
                shutil.rmtree(folder.path)  # from another study in the same folder
            runs.append(_Run(job, config, folder))
        if len(runs) > 1:
            try:
                ends = self._stacked(runs, plan, figure)
            except (RunError, DataError, OSError):  # a problem of the machine
                raise
            except Exception as error:  # each can still be trained separately
                self.tell(
                    "note",
                    f"{len(runs)} runs cannot be trained together ({_short_message(error)}): training them separately",
                )
                ends = None
            if ends is not None:
                for run, end in zip(runs, ends, strict=True):
                    self._report_outcome(run, end, plan, figure)
                return
        for run in runs:
            self._report_outcome(run, self._alone(run, plan, figure), plan, figure)

    def _data(self, config: TrainConfig, plan: Plan) -> Dataset:
        """The training data, without the test set unless it is used for selection."""
        dataset = self.datasets.load(config)
        if plan.select == "test":
            return dataset
        return dataclasses.replace(dataset, splits={n: part for n, part in dataset.splits.items() if n != "test"})

    def _stacked(self, runs: list[_Run], plan: Plan, figure: str) -> list[Exception | None]:
        reporters = [_Reporter(self, run, figure, make_pruner(plan, run.config)) for run in runs]
        ends = train_stacked(
            [run.config for run in runs],
            [run.folder for run in runs],
            reporter=reporters,
            threads=self.threads,
            dataset=self._data(runs[0].config, plan),
        )
        return [end if isinstance(end, Exception) else None for end in ends]

    def _alone(self, run: _Run, plan: Plan, figure: str) -> Exception | None:
        """Trains a single run; returns the reason for an early end."""
        if (run.folder.path / "summary.json").exists():
            return None
        reporter = _Reporter(self, run, figure, make_pruner(plan, run.config))
        try:
            train_in(run.folder, run.config, self._data(run.config, plan), reporter)
        except (RunError, DataError, OSError):  # a problem of the machine, not of this run
            raise
        except Exception as error:
            return error
        return None

    def _report_outcome(self, run: _Run, end: Exception | None, plan: Plan, figure: str) -> None:
        """Reports the outcome of a run to the store and the parent."""
        job, pruned = run.job, isinstance(end, _Pruned)
        if end is None or pruned:
            result = self._result(run, figure, plan, pruned)
            if self.retry(lambda: self.queue.tell(job, result["value"], result, pruned=pruned)):
                self.tell("ended", job.run, "pruned" if pruned else "complete", result["value"])
                shutil.rmtree(run.folder.path / "checkpoint", ignore_errors=True)
        else:
            if isinstance(end, NonFiniteError):
                why, message = DIVERGED, str(end)
            elif isinstance(end, MemoryError):
                why, message = ERROR, "not enough memory: try a smaller batch_size or network, or fewer --workers"
            elif isinstance(end, ConfigError):
                why, message = ERROR, str(end)
            else:  # a bug: losing one run is better than losing all
                why, message = ERROR, _short_message(end)
            self.retry(lambda: self.queue.fail(job.trial_id, why, message))
            self.tell("ended", job.run, why, None)
        self.trial_ids.discard(job.trial_id)

    def _cost(self, config: TrainConfig, steps: int) -> int:
        """The multiply-adds of this number of training steps; a backward pass takes twice as many as a forward pass.
        Times would depend on other work of the machine and on the runs trained together."""
        dataset = self.datasets.load(config)
        network = config.architecture(dataset.input_shape, len(dataset.classes))
        return 3 * network.multiply_adds * config.batch_size * steps

    def _wait_for(self, folder: RunFolder) -> None:
        """Waits while a worker that was considered dead is still training in the folder."""
        while folder.exists():
            try:
                with exclusive(folder.path / ".lock", wait=False):
                    return
            except BlockingIOError:
                if self.stopping.wait(1.0):
                    raise Interrupted("stopped before the run began") from None

    def _result(self, run: _Run, figure: str, plan: Plan, pruned: bool) -> dict[str, Any]:
        """The record of a run in the store."""
        records = run.folder.metrics()
        best = best_record(records, figure)
        result = {
            "value": best[figure],
            "best_step": best["step"],
            "steps": records[-1]["step"],
            **{name: best[name] for name in best if name.startswith(("train_", "validation_", "test_"))},
            "seconds": records[-1]["seconds"],
            "curve": [[record["step"], record[figure]] for record in thinned(records)],
        }
        if pruned:
            return result
        trained = Run(run.folder.path)
        result["parameters"] = trained.summary["parameters"]
        result["multiply_adds"] = self._cost(run.config, result["steps"])
        result["seconds"] = trained.summary["seconds"]
        if "read_off" in trained.summary:
            result["read_off"] = Path(trained.summary["read_off"]).name
        if plan.select == "validation" and "test" in self.datasets.load(run.config).splits:
            engine, dataset = trained.engine("best"), self.datasets.load(run.config)
            engine.load(dataset)
            indices = dataset.indices("test")
            figures = averages(engine.evaluate(indices), dataset, indices)
            result |= {f"test_{name}": value for name, value in figures.items()}
        return result


def _short_message(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def thinned(records: Sequence[Any], most: int = 200) -> list[Any]:
    """At most this number of evaluations, evenly spaced, including the last."""
    every = -(-len(records) // most)
    return list(records[::-1][::every][::-1])


def make_pruner(plan: Plan, config: TrainConfig) -> Any:
    """The Optuna pruner of a run, or None."""
    import optuna

    if plan.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=config.eval_freq)
    if plan.pruner == "asha":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=config.eval_freq, reduction_factor=3)
    return None


# -- the process ------------------------------------------------------------------------------------------------------


def process(
    address: str, name: str, folder: Path, datasets: Datasets, connection: Any, threads: int, options: dict[str, Any]
) -> None:
    """The main function of a worker process.

    Arguments:
        address, name, folder: of the study.
        datasets: data sets loaded by the parent.
        connection: connection to the parent for events.
        threads: number of threads of this worker.
        options: options of `Worker`.
    """
    parent = os.getppid()

    def tell(*event: Any) -> None:
        with contextlib.suppress(OSError, ValueError):  # the parent has died
            connection.send(event)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until the worker is listening; the parent repeats the request
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with threadpool_limits(threads, user_api="blas"):
        try:
            store = _opened(address, tell)
            study = store.retry(lambda: join(store, name, folder), lambda text: tell("note", text))
            code = Worker(study, datasets, tell, parent, threads=threads, **options).work()
        except (RunError, ConfigError) as error:
            tell("fatal", str(error))
            code = FATAL
    raise SystemExit(code)


def _opened(address: str, tell: Callable[..., None]) -> Store:
    """Opens the store, waiting if it is temporarily unavailable, because the parent has used it before."""
    waited = False
    while True:
        try:
            return open_store(address)
        except RunError as error:
            if "://" not in address:
                raise
            if not waited:
                tell("note", f"{error}; waiting for it")
            waited = True
            time.sleep(1.0)
