"""One worker of a study: takes a run, trains it, tells its result, until there is none left."""

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
from handgrad.training.loop import Interrupted, Reporter, train_in
from handgrad.training.run import Run, RunFolder, as_configured, averages, load_dataset

#: Exit code of a worker that could not go on; it has said why.
FATAL = 3


class Datasets:
    """Data sets, each read once: loaded before workers are forked they are shared by all of them."""

    def __init__(self) -> None:
        self._loaded: dict[Any, Dataset] = {}

    def load(self, config: TrainConfig) -> Dataset:
        """What `load_dataset(config)` gives."""
        plain = dataclasses.replace(config, random_crop=0, horizontal_flip=False)
        key = tuple(getattr(plain, name) for name in GROUPS["Data"])
        if key not in self._loaded:
            self._loaded[key] = load_dataset(plain)
        return as_configured(config, self._loaded[key])


class TrialFolder(RunFolder):
    """The folder of one run of a study: thousands of them draw no curves of their own."""

    def save_curves(self, records: list[dict[str, Any]], title: str) -> str | None:
        return None


class _Pruned(Exception):
    """The pruner has given a run up."""


def objective(plan: Plan, task: str) -> str:
    """The figure of an evaluation that a study goes by."""
    return f"{plan.select}_{'accuracy' if task == 'classification' else 'loss'}"


def best_record(records: Sequence[dict[str, Any]], figure: str) -> dict[str, Any]:
    """The first of the evaluations with the best figure."""
    better = max if figure.endswith("accuracy") else min
    return better(records, key=lambda record: record[figure])


class _Reporter(Reporter):
    """Tells the parent and the pruner how a run goes."""

    def __init__(self, worker: Worker, job: Job, folder: RunFolder, figure: str, pruner: Any) -> None:
        self.worker, self.job, self.folder, self.figure, self.pruner = worker, job, folder, figure, pruner
        self.told = 0.0

    def started(self, run_dir: Path, config: TrainConfig, engine: Engine, steps: int, first_step: int) -> None:
        self.worker.tell("began", self.job.run, steps, first_step)
        self.worker.patiently(lambda: self.worker.queue.begun(self.job, first_step))
        if self.pruner is not None:
            for record in self.folder.metrics():
                if record["step"] <= first_step:
                    self._report(record)

    def stepped(self, step: int, loss: float) -> None:
        now = time.monotonic()
        if now - self.told > 0.25:
            self.told = now
            self.worker.tell("at", step)

    def evaluated(self, record: dict[str, Any]) -> None:
        if self.pruner is None:
            return
        self._report(record)
        study, trial_id = self.worker.study, self.job.trial_id
        if self.worker.patiently(lambda: self.pruner.prune(study.study, study.storage.get_trial(trial_id))):
            raise _Pruned

    def _report(self, record: dict[str, Any]) -> None:
        storage, value = self.worker.study.storage, float(record[self.figure])
        self.worker.patiently(lambda: storage.set_trial_intermediate_value(self.job.trial_id, record["step"], value))


class Worker:
    """The loop of one worker process.

    Arguments:
        study: opened by this process.
        datasets: those that were loaded before it was forked.
        tell: called with what happens: ("began", run, steps, first step), ("at", step), ("ended", run, how, value),
            ("note", text), ("fatal", text).
        parent: the process that waits for this one; None where there is none.
    """

    def __init__(
        self,
        study: Study,
        datasets: Datasets,
        tell: Callable[..., None] = lambda *event: None,
        parent: int | None = None,
        *,
        grace_seconds: float = GRACE_SECONDS,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self.study, self.datasets, self.tell, self.parent = study, datasets, tell, parent
        self.queue = Queue(study, grace_seconds=grace_seconds)
        self.heartbeat_seconds = heartbeat_seconds
        self.stopping = threading.Event()
        self.trial_id: int | None = None

    def patiently(self, action: Callable[[], Any]) -> Any:
        return self.study.store.patiently(action, lambda text: self.tell("note", text))

    def work(self) -> int:
        """Trains runs until none is left or a signal comes; returns the exit code of the process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        threading.Thread(target=self._beat, daemon=True).start()
        while not self.stopping.is_set():
            try:
                job = self.patiently(self.queue.take)
            except ConfigError as error:  # a combination that cannot be, where that is refused
                return self._fatal(str(error))
            if job is None:
                if self.patiently(self.queue.finished):
                    return 0
                self.stopping.wait(0.5)
                continue
            self.trial_id = job.trial_id
            try:
                self._run(job)
            except Interrupted:
                self.patiently(lambda job=job: self.queue.fail(job.trial_id, LOST))
                return 0
            except (RunError, DataError, OSError) as error:
                self.patiently(lambda job=job: self.queue.fail(job.trial_id, LOST))
                return self._fatal(str(error))
            finally:
                self.trial_id = None
        return 0

    def _fatal(self, text: str) -> int:
        self.tell("fatal", text)
        return FATAL

    def _beat(self) -> None:
        """Heartbeats of the trial that is under way; and an end to it where the parent has died."""
        last = 0.0
        while True:
            time.sleep(min(1.0, self.heartbeat_seconds / 2))
            if self.parent is not None and os.getppid() != self.parent:
                os.kill(os.getpid(), signal.SIGTERM)
            if self.trial_id is not None and time.monotonic() - last >= self.heartbeat_seconds:
                with contextlib.suppress(Exception):  # the store is away: it will be back
                    self.study.store.beat(self.trial_id)
                    last = time.monotonic()

    # -- one run ------------------------------------------------------------------------------------------------------

    def _run(self, job: Job) -> None:
        try:
            self._train(job)
        except NonFiniteError as error:
            self._fail(job, DIVERGED, str(error))
        except ConfigError as error:
            self._fail(job, ERROR, str(error))
        except MemoryError:
            self._fail(job, ERROR, "not enough memory: try a smaller batch_size or network, or fewer --workers")
        except (RunError, DataError, OSError):
            raise
        except Exception as error:  # a mistake of ours: one run less is better than none
            self._fail(job, ERROR, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")

    def _fail(self, job: Job, why: str, message: str) -> None:
        self.patiently(lambda: self.queue.fail(job.trial_id, why, message))
        self.tell("ended", job.run, why, None)

    def _train(self, job: Job) -> None:
        study = self.study
        about = self.patiently(lambda: study.about)
        plan, task = study.plan, about["data"]["task"]
        config, figure = plan.config(job.combination, job.seed), objective(plan, task)
        folder = TrialFolder(study.run_dir(job.run))
        self._wait_for(folder)
        if folder.exists() and folder.config() != config:
            shutil.rmtree(folder.path)  # of another study that was here
        whole = self.datasets.load(config)
        dataset = whole
        if plan.select == "validation":  # nothing is chosen by the test set, so nothing is evaluated on it
            dataset = dataclasses.replace(whole, splits={n: s for n, s in whole.splits.items() if n != "test"})
        pruned = False
        if not (folder.path / "summary.json").exists():
            reporter = _Reporter(self, job, folder, figure, make_pruner(plan, config))
            try:
                train_in(folder, config, dataset, reporter)
            except _Pruned:
                pruned = True
        result = self._result(folder, config, whole, figure, plan, pruned)
        if self.patiently(lambda: self.queue.tell(job, result["value"], result, pruned=pruned)):
            self.tell("ended", job.run, "pruned" if pruned else "complete", result["value"])
            shutil.rmtree(folder.path / "checkpoint", ignore_errors=True)

    def _wait_for(self, folder: RunFolder) -> None:
        """Waits while a worker that was taken for dead is still training in the folder."""
        while folder.exists():
            try:
                with exclusive(folder.path / ".lock", wait=False):
                    return
            except BlockingIOError:
                if self.stopping.wait(1.0):
                    raise Interrupted("stopped before the run began") from None

    def _result(
        self, folder: RunFolder, config: TrainConfig, dataset: Dataset, figure: str, plan: Plan, pruned: bool
    ) -> dict[str, Any]:
        """What the store keeps of a run."""
        records = folder.metrics()
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
        run = Run(folder.path)
        result["parameters"] = run.summary["parameters"]
        result["seconds"] = run.summary["seconds"]
        if plan.select == "validation":
            engine = run.engine("best")
            engine.load(dataset)
            figures = averages(engine.evaluate(dataset.indices("test")))
            result |= {f"test_{name}": value for name, value in figures.items()}
        return result


def thinned(records: Sequence[Any], most: int = 200) -> list[Any]:
    """At most so many of them, evenly, the last among them."""
    every = -(-len(records) // most)
    return list(records[::-1][::every][::-1])


def make_pruner(plan: Plan, config: TrainConfig) -> Any:
    """Optuna's pruner for a run; None for none."""
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
    """What a worker process runs.

    Arguments:
        address, name, folder: of the study.
        datasets: loaded by the parent.
        connection: where to tell the parent what happens.
        threads: that this worker may use.
        options: of `Worker`.
    """
    parent = os.getppid()

    def tell(*event: Any) -> None:
        with contextlib.suppress(OSError, ValueError):  # the parent is gone
            connection.send(event)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until the worker listens; the parent asks again
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with threadpool_limits(threads, user_api="blas"):
        try:
            store = _opened(address, tell)
            study = store.patiently(lambda: join(store, name, folder), lambda text: tell("note", text))
            code = Worker(study, datasets, tell, parent, **options).work()
        except (RunError, ConfigError) as error:
            tell("fatal", str(error))
            code = FATAL
    raise SystemExit(code)


def _opened(address: str, tell: Callable[..., None]) -> Store:
    """The store; one that does not answer just now is waited for: the parent has seen it."""
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
