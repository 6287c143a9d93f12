"""The workers of one machine: one worker process per core, supervised by a parent process."""

from __future__ import annotations

import dataclasses
import functools
import math
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from handgrad.errors import ConfigError, RunError
from handgrad.search.queue import Queue
from handgrad.search.results import Findings, best_toml, findings, record_tested, to_csv
from handgrad.search.space import grid, size
from handgrad.search.store import FolderStore, Store, hidden, open_store
from handgrad.search.study import (
    Plan,
    Study,
    create,
    describe,
    first_combinations,
    join,
    load_study,
    why_impossible,
)
from handgrad.search.worker import DATA_SETTINGS, FATAL, Datasets, process
from handgrad.training.config import TrainConfig
from handgrad.training.loop import Interrupted, recorded
from handgrad.training.run import write_text

#: Maximum number of consecutive workers that die before starting a run.
MAX_CONSECUTIVE_DEATHS = 10


@dataclass
class Progress:
    """The progress of a study.

    Arguments:
        total: number of requested runs; None if only a timeout ends the study.
        finished, running: numbers of runs on all machines.
        best: description of the best result; "" if there is none yet.
        seconds_left: None if unknown.
    """

    total: int | None
    finished: int
    running: int
    best: str
    seconds_left: float | None


class Watcher:
    """Events of a search; every method is optional."""

    def started(self, study: Study, workers: int, progress: Progress) -> None: ...

    def ended(self, run: str, how: str, value: float | None, progress: Progress) -> None: ...

    def progressed(self, progress: Progress) -> None: ...

    def note(self, text: str) -> None: ...


def cores() -> int:
    """Number of cores available to this process."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


# -- preparation ------------------------------------------------------------------------------------------------------


def prepared(plan: Plan, watcher: Watcher) -> tuple[Plan, Datasets, dict[str, Any]]:
    """The plan with a validation split, the loaded data sets, and the properties of the data for the store.

    Raises:
        ConfigError: there are invalid combinations and the plan does not skip them, or no valid ones.
    """
    first = _data_config(plan, {})
    dataset = Datasets().load(first)
    if plan.select == "test" and "test" not in dataset.splits:
        raise ConfigError(f"select=test: {dataset.name} has no labelled test samples; choose by --select validation")
    about = recorded(first, dataset)
    if about.data is not None:  # with its checksum, so that every machine has the same
        plan = dataclasses.replace(
            plan, fixed={**plan.fixed, "data_bytes": about.data_bytes, "data_sha256": about.data_sha256}
        )
    if plan.select == "validation" and "validation" not in dataset.splits:
        samples = len(dataset.indices("train"))
        kept = max(1, samples // 10)
        plan = dataclasses.replace(plan, fixed={**plan.fixed, "validation_size": kept})
        watcher.note(
            f"{kept:,} of {samples:,} training samples are held out for selection (--validation-size sets the number)"
        )
    if plan.select == "test":
        watcher.note(
            "--select test selects on the test set, as the reports did: the best of many test results is "
            "optimistically biased, because part of it is luck. --select validation tests only the winner, once"
        )
    datasets = Datasets()
    for combination in _data_combinations(plan):
        dataset = datasets.load(_data_config(plan, combination))
    data = {
        "task": dataset.task,
        "input_shape": list(dataset.input_shape),
        "classes": len(dataset.classes),
        "samples": len(dataset.indices("train")),
    }
    _check_combinations(plan, data, watcher)
    return plan, datasets, data


def _data_combinations(plan: Plan) -> Iterator[dict[str, Any]]:
    return grid([factor for factor in plan.factors if factor.name in DATA_SETTINGS and factor.range is None])


def _data_config(plan: Plan, combination: dict[str, Any]) -> TrainConfig:
    """A configuration with the data of a plan."""
    fixed = {name: value for name, value in plan.fixed.items() if name in (*DATA_SETTINGS, "seed")}
    return TrainConfig.from_settings({**fixed, **combination})


def _check_combinations(plan: Plan, data: dict[str, Any], watcher: Watcher) -> None:
    if size(plan.factors) is None:
        return
    every = first_combinations(plan)
    bad = [(combination, why) for combination in every if (why := why_impossible(plan, combination, data))]
    if not bad:
        return
    named = "; ".join(f"{describe(combination)}: {why}" for combination, why in bad[:3])
    more = f"; and {len(bad) - 3:,} more" if len(bad) > 3 else ""
    said = f"{len(bad):,} of {len(every):,} combinations cannot be trained: {named}{more}"
    if len(bad) == len(every):
        raise ConfigError(f"{said}. Change the common settings")
    if plan.impossible == "refuse":
        raise ConfigError(f"{said}. Remove them, or skip them with --impossible skip")
    watcher.note(f"{said}. They are skipped")


# -- the workers of the machine ---------------------------------------------------------------------------------------


class _Worker:
    """A worker process from the perspective of its parent."""

    def __init__(self, context: Any, arguments: tuple[Any, ...], threads: int, options: dict[str, Any]) -> None:
        self.connection, theirs = context.Pipe(duplex=False)
        address, name, folder, datasets = arguments
        self.process = context.Process(
            target=process, args=(address, name, folder, datasets, theirs, threads, options), daemon=True
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # fork with BLAS threads, which BLAS supports
            self.process.start()
        theirs.close()
        self.runs: dict[str, tuple[int, int]] = {}  # of running runs, the step and the total number of steps
        self.open = True

    def events(self) -> Iterator[tuple[Any, ...]]:
        """The messages since the last call, without a message truncated by the death of the worker."""
        try:
            while self.open and self.connection.poll():
                yield self.connection.recv()
        except (EOFError, OSError, ValueError):
            self.open = False


def run(
    study: Study,
    datasets: Datasets,
    *,
    workers: int | None = None,
    timeout: float | None = None,
    watcher: Watcher | None = None,
    options: dict[str, Any] | None = None,
) -> bool:
    """Trains the runs of a study with worker processes on this machine, until no run is left on any machine.

    Arguments:
        datasets: loaded data sets, shared by the workers.
        workers: number of processes; by default one per core, at most the number of runs.
        timeout: seconds after which running trials are stopped; their checkpoints are kept.
        watcher: receives all events.
        options: options of each `Worker`.

    Returns: whether all requested runs have finished.

    Raises:
        Interrupted: Ctrl-C or a termination signal; everything is saved.
        RunError: a worker could not continue, for example because a disk is full.
    """
    return _Parent(study, datasets, workers, timeout, watcher or Watcher(), options or {}).run()


class _Parent:
    def __init__(
        self,
        study: Study,
        datasets: Datasets,
        workers: int | None,
        timeout: float | None,
        watcher: Watcher,
        options: dict[str, Any],
    ) -> None:
        self.study, self.watcher, self.options = study, watcher, options
        self.queue = Queue(study)
        wanted = self.queue.wanted()
        self.count = workers or max(1, min(cores(), wanted or cores()))
        self.threads = max(1, cores() // self.count)
        forks = "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin"
        self.context = multiprocessing.get_context("fork" if forks else "spawn")
        shared = datasets if forks else Datasets()
        self.options = {"workers": self.count, **self.options}
        self.arguments = (study.store.address, study.name, study.folder, shared)
        self.deadline = time.monotonic() + timeout if timeout is not None else math.inf
        self.workers: list[_Worker] = []
        self.signals = 0
        self.fatal: str | None = None
        self.deaths = 0
        self.looked_at = 0.0
        self.progress: Progress | None = None

    def run(self) -> bool:
        handlers = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self.watcher.started(self.study, self.count, self._look())
            self.workers = [self._new() for _ in range(self.count)]
            self._watch()
        finally:
            for worker in self.workers:
                worker.process.kill()
                worker.process.join()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        if self.fatal is not None:
            raise RunError(self.fatal)
        if self.signals:
            raise Interrupted("stopped")
        return time.monotonic() < self.deadline

    def _on_signal(self, number: int, frame: object) -> None:
        self.signals += 1

    def _new(self) -> _Worker:
        return _Worker(self.context, self.arguments, self.threads, self.options)

    @property
    def _stopping(self) -> bool:
        return self.signals > 0 or self.fatal is not None or time.monotonic() >= self.deadline

    def _watch(self) -> None:
        asked = 0.0
        while self.workers:
            wait([w.connection for w in self.workers if w.open] + [w.process.sentinel for w in self.workers], 0.2)
            for worker in list(self.workers):
                dead = not worker.process.is_alive()  # checked first: its last messages are still available
                for event in worker.events():
                    self._handle_event(worker, *event)
                if dead:
                    self._handle_end(worker)
            if self._stopping and time.monotonic() - asked > 1.0:  # again: it may not have been listening yet
                asked = time.monotonic()
                for worker in self.workers:
                    if self.signals > 1:
                        worker.process.kill()
                    else:
                        worker.process.terminate()
            if time.monotonic() - self.looked_at > 2.0:
                self.watcher.progressed(self._look())

    def _handle_event(self, worker: _Worker, what: str, *about: Any) -> None:
        if what == "note":
            self.watcher.note(about[0])
        elif what == "fatal":
            self.fatal = self.fatal or about[0]
        elif what == "began":
            run, steps, step = about
            worker.runs[run] = step, steps
            self.deaths = 0
        elif what == "at":
            run, step = about
            worker.runs[run] = step, worker.runs[run][1]
        elif what == "ended":
            worker.runs.pop(about[0], None)
            run, how, value = about
            self.watcher.ended(run, how, value, self._look())

    def _handle_end(self, worker: _Worker) -> None:
        """Handles the end of a worker: if it died, its run is returned to the queue and a new worker replaces it."""
        self.workers.remove(worker)
        worker.connection.close()
        code = worker.process.exitcode
        if code in (0, FATAL):
            return
        pid = worker.process.pid
        assert pid is not None
        self.study.store.retry(lambda: self.queue.return_runs(pid), self.watcher.note)
        if self._stopping:
            return
        self.deaths += 1
        # they were not killed but exit by themselves
        if code is not None and code > 0 and self.deaths >= MAX_CONSECUTIVE_DEATHS:
            self.fatal = f"{self.deaths} workers died before they had begun a run (the last with exit code {code})"
            return
        time.sleep(min(1.0, 0.01 * 2**self.deaths))  # if memory is short, each of them would be killed immediately
        self.workers.append(self._new())

    def _look(self) -> Progress:
        """The progress of the study; the last known state while the store is unavailable."""
        self.looked_at = time.monotonic()
        try:
            found = findings(self.study)
        except Exception as error:
            if not self.study.store.is_away(error) or self.progress is None:
                raise
            return self.progress
        self.progress = self._progress(found)
        return self.progress

    def _progress(self, found: Findings) -> Progress:
        total, finished = self.queue.wanted(), found.runs
        first = found.best[0] if found.best else None
        best = f"{first.mean:.4f} with {describe(first.combination)}" if first is not None else ""
        seconds = [r.figures["seconds"] for row in found.rows for r in row.results if r.figures.get("seconds")]
        left = self.deadline - time.monotonic()
        if total is not None and seconds:
            done = sum(step / steps for worker in self.workers for step, steps in worker.runs.values())
            mean = sum(seconds) / len(seconds)
            left = min(left, max(0.0, total - finished - done) * mean / max(1, found.workers))
        return Progress(total, finished, found.running, best, left if math.isfinite(left) else None)


# -- running a study --------------------------------------------------------------------------------------------------


def search(
    plan: Plan | None = None,
    *,
    name: str | None = None,
    study_dir: str | Path | None = None,
    join_at: str | Path | None = None,
    resume: bool = False,
    workers: int | None = None,
    timeout: float | None = None,
    stack: bool = True,
    watcher: Watcher | None = None,
    figures: bool = True,
) -> tuple[Study, Findings]:
    """Creates, joins or resumes a study, trains its runs and writes the results.

    Arguments:
        plan: the plan; None to join or resume a study without changes.
        name: name of the study.
        study_dir: its folder; by default studies/NAME.
        join_at: a store shared by any number of machines: a common folder, or postgresql://…
        resume: resume the study and extend it by the additions of the plan.
        workers, timeout, watcher: as for `run`.
        stack: train runs together if they differ only in optimiser hyperparameters, initialisation, seeds or schedule;
            the results are the same as those of separate runs with `threads=1`.
        figures: whether to draw figures and write study.html.

    Returns: the study and its results.

    Raises:
        ConfigError: the plan is invalid or belongs to a different study.
        RunError: the study exists, or its store or folder cannot be used.
        Interrupted: Ctrl-C or a termination signal; all progress is saved.
    """
    watcher = watcher or Watcher()
    if workers is not None and workers < 1:
        raise ConfigError(f"workers={workers}: expected a whole number of at least 1")
    if timeout is not None and not 0 < timeout < math.inf:
        raise ConfigError(f"timeout={timeout:g}: expected a number of seconds above 0")
    if plan is None:
        study = _existing(name, study_dir, join_at)
        datasets = Datasets()
        for combination in _data_combinations(study.plan):
            datasets.load(_data_config(study.plan, combination))
    else:
        plan, datasets, data = prepared(plan, watcher)
        name = name or (Path(study_dir).name if study_dir is not None else None) or _usual_name(plan)
        folder = Path(study_dir) if study_dir is not None else Path("studies") / name
        store = open_store(join_at if join_at is not None else folder)
        if isinstance(store, FolderStore):
            folder = store.folder
        made = functools.partial(create, folder, store, name, plan, data, join=join_at is not None, resume=resume)
        study = store.retry(made, watcher.note)
    try:
        run(study, datasets, workers=workers, timeout=timeout, watcher=watcher, options={"stack": stack})
    except Interrupted:
        found = leave_results(study, watcher, figures=False)
        where = f"--join {hidden(study.store.address)}" if join_at is not None else f"{study.folder} --resume"
        raise Interrupted(
            f"stopped after {found.runs:,} runs; everything is saved. Resume with: handgrad search {where}"
        ) from None
    try:
        return study, leave_results(study, watcher, figures=figures)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped while the figures were drawn; all results are saved. Draw them with: handgrad search show "
            f"{study.folder}"
        ) from None


def _usual_name(plan: Plan) -> str:
    return plan.fixed.get("recipe") or f"{_data_config(plan, {}).dataset}-{plan.fixed.get('model', 'mlp')}"


def _existing(name: str | None, study_dir: str | Path | None, join_at: str | Path | None) -> Study:
    if join_at is None:
        assert study_dir is not None
        return load_study(study_dir)
    store: Store = open_store(join_at)
    return join(store, name, Path(study_dir) if study_dir is not None else None)


def leave_results(study: Study, watcher: Watcher | None = None, *, figures: bool = True) -> Findings:
    """Writes trials.csv and best.toml of what a study has found so far, and its figures with study.html."""
    watcher = watcher or Watcher()
    found = study.store.retry(lambda: findings(study), watcher.note)
    study.store.retry(lambda: record_tested(study, found), watcher.note)
    advice = "Free some space; handgrad search show STUDY writes the results again"
    table, lines = study.folder / "trials.csv", to_csv(found)
    page = study.folder / "study.html"
    if page.exists() and table.exists() and table.read_text(encoding="utf-8") == lines:
        return found  # drawn already
    page.unlink(missing_ok=True)  # from fewer runs
    write_text(table, lines, advice=advice)
    best = best_toml(found)
    if best is not None:
        write_text(study.folder / "best.toml", best, advice=advice)
    if figures:
        from handgrad.search.figures import write_figures
        from handgrad.search.page import write_page

        drawn, problems = write_figures(found, study.folder / "figures")
        for problem in problems:
            watcher.note(problem)
        write_page(study, found, drawn)
    return found
