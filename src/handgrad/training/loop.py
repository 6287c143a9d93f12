"""The training loop for all engines."""

from __future__ import annotations

import contextlib
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

import handgrad
from handgrad._typing import Array, Integer
from handgrad.data import Dataset, Raw, assemble, digest, digest_arrays, raw_from_arrays
from handgrad.engines import DivergedError, Figures, make_engine
from handgrad.engines.processes import Processes, here, joined
from handgrad.errors import ConfigError, NonFiniteError, RunError
from handgrad.training import checksums
from handgrad.training.batches import BatchOrder
from handgrad.training.config import IN_MEMORY, TrainConfig, merge_settings
from handgrad.training.judging import MEASURES, averages, better, details, training_averages
from handgrad.training.progress import in_notebook, progress_reporter
from handgrad.training.reporter import Reporter
from handgrad.training.run import ReadOnlyFolder, Run, RunFolder, as_configured, check_unchanged, load_dataset
from handgrad.training.schedules import laid_out_over_steps
from handgrad.training.tensorboard import TensorBoard

#: Time that the loop spends inside the engine per call, so that Ctrl-C and the progress bar respond quickly. Results do
#: not depend on it: the engine returns one result per step, and they are added in order.
SECONDS_PER_CHUNK = 0.1

#: Settings that may change when a run is resumed: they determine when it ends or where data are, not what a step does.
#: (The engines are equivalent: one can continue a run of another, up to rounding.)
CHANGEABLE = (
    *("max_steps", "epochs", "patience", "data", "data_dir", "offline", "checkpoint_seconds"),
    *("engine", "device", "compile", "gradients"),
)


class Interrupted(RunError):
    """The run was interrupted (Ctrl-C or a termination signal); all progress is saved."""

    exit_code = 130


def train(
    recipe: str | None = None,
    *,
    config_file: str | Path | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    x: Any = None,
    y: Any = None,
    x_test: Any = None,
    y_test: Any = None,
    groups: Any = None,
    sample_weight: Any = None,
    progress: bool | None = None,
    tensorboard: bool = False,
    **settings: Any,
) -> Run:
    """Trains a network and writes a run folder.

    Arguments:
        x, y, x_test, y_test, groups, sample_weight: the user's data in memory, as for `handgrad.data.from_arrays`:
            arrays, or a DataFrame and the name of its target column. The run folder contains only their checksum, so
            pass them again to resume.
        recipe: name of a complete configuration; by default `digits`, if no data set or file is given.
        config_file: a TOML file whose settings override the recipe.
        run_dir: the run folder; by default a new one in `runs/`, named after the recipe.
        resume: resume the run in `run_dir` from its last checkpoint, with bit-for-bit the same result as an
            uninterrupted run. Without a checkpoint, the run starts from the beginning.
        reporter: receives all events; by default according to `progress`.
        progress: whether to show progress: a bar in a notebook, plain lines elsewhere. By default only in notebooks.
        tensorboard: whether to write event files for TensorBoard to `tensorboard/` in the run folder (the extra
            `tensorboard`).
        settings: fields of `TrainConfig`, which override the recipe and the file.

    Returns: the run.

    Raises:
        ConfigError: invalid setting.
        DataError: the data cannot be loaded.
        RunError: the run folder cannot be used.
        Interrupted: Ctrl-C or a termination signal; all progress is saved.
        NonFiniteError: the loss is no longer finite.
    """
    if reporter is None:
        reporter = progress_reporter() if progress or (progress is None and in_notebook()) else Reporter()
    raw = None
    if x is not None or y is not None:
        if x is None or y is None:
            raise ConfigError("x requires y: give both, inputs and targets")
        if settings.get("data") is not None:
            raise ConfigError(f"data={settings['data']} and x are both given: leave one out")
        raw = raw_from_arrays(x, y, x_test=x_test, y_test=y_test, groups=groups, sample_weight=sample_weight)
        settings["data"] = IN_MEMORY
    elif sample_weight is not None:  # the setting: the name of a column or an array
        settings["sample_weight"] = sample_weight
    settings = _with_whole_paths(settings)
    given = _with_whole_paths(merge_settings(recipe, config_file, settings))
    with contextlib.ExitStack() as stack:
        if tensorboard:
            reporter = stack.enter_context(contextlib.closing(TensorBoard(reporter)))
        if here().count == 1:
            folder, config = _begin(given, config_file, settings, run_dir, resume, reporter)
            with folder.held():
                Training(folder, config, reporter, dataset=_from_memory(config, raw)).run()
            return Run(folder.path)
        return _train_together(given, config_file, settings, run_dir, resume, reporter, raw)


def _with_whole_paths(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with absolute paths of the user's data, because a run may be resumed from another working
    directory."""
    data = settings.get("data")
    if data in (None, "", IN_MEMORY):
        return settings
    names = ("data", "target", "group", "sample_weight") if str(data).lower().endswith(".npy") else ("data",)
    whole = {name: str(Path(settings[name]).expanduser().absolute()) for name in names if settings.get(name)}
    return {**settings, **whole}


def _from_memory(config: TrainConfig, raw: Raw | None) -> Dataset | None:
    """The data set of arrays passed from Python, if any."""
    if raw is None:
        return None
    return as_configured(config, replace(assemble(raw, **config.splitting()), name=config.dataset))


def train_in(folder: RunFolder, config: TrainConfig, dataset: Dataset, reporter: Reporter) -> None:
    """Trains the run of a configuration in a folder, from its checkpoint if there is one, on loaded data. Raises the
    same errors as `train`.

    Arguments:
        dataset: the result of `load_dataset(config)`; without a "test" split, there is no test evaluation.
    """
    with folder.held():
        Training(folder, config, reporter, dataset=dataset).run()


def _train_together(given, config_file, settings, run_dir, resume, reporter, raw) -> Run:
    """`train` in one of several processes: the first decides, writes and reports."""
    engine = given.get("engine") or _saved_engine(run_dir)
    with joined(engine) as processes:

        def begin() -> tuple[Path, list[Path], dict[str, Any]]:
            folder, config = _begin(given, config_file, settings, run_dir, resume, reporter)
            if config.batch_size < processes.count:
                folder.discard()
                raise ConfigError(
                    f"batch_size={config.batch_size}: expected at least {processes.count}, a sample for each of the "
                    f"{processes.count} processes; it is the batch of all of them together"
                )
            return folder.path, folder.made, config.to_dict()

        path, made, values = processes.first(begin)
        config = TrainConfig.from_settings(values)
        if processes.rank > 0:
            folder, reporter = ReadOnlyFolder(path), Reporter()
        else:
            folder = RunFolder(path)
            folder.made = made
        with contextlib.ExitStack() as held:
            processes.first(lambda: held.enter_context(folder.held()))
            try:
                Training(folder, config, reporter, processes, _from_memory(config, raw)).run()
            except (Interrupted, NonFiniteError) as error:
                if processes.rank > 0:  # the first process reports it
                    raise SystemExit(getattr(error, "exit_code", 1)) from None
                raise
    return Run(path)


def _saved_engine(run_dir: str | Path | None) -> str:
    folder = RunFolder(run_dir) if run_dir is not None else None
    return folder.config().engine if folder is not None and folder.exists() else "numpy"


def _begin(given, config_file, settings, run_dir, resume, reporter) -> tuple[RunFolder, TrainConfig]:
    """The folder and the configuration of a new or resumed run."""
    named = given.keys() & {"recipe", "dataset", "data"} or config_file is not None
    begin_with = given if named else merge_settings("digits", None, settings)
    if run_dir is None:
        if resume:
            raise ConfigError("resume requires the run folder: specify it with --run-dir")
        config = TrainConfig.from_settings(begin_with)
        return RunFolder.new(Path("runs"), config.recipe or f"{config.dataset}-{config.model}"), config
    folder = RunFolder(run_dir)
    if folder.exists():
        if not resume:
            raise RunError(
                f"{folder.path} already contains a run: resume it with --resume, or choose another --run-dir"
            )
        config = _changed(folder.config(), given)
    elif leftovers := folder.leftovers():
        raise RunError(
            f"{folder.path} contains {' and '.join(leftovers)} of a run whose config.toml is missing: "
            "delete them, or choose another --run-dir"
        )
    else:
        config = TrainConfig.from_settings(begin_with)
        if resume:
            reporter.note(f"{folder.path} has nothing to resume yet: starting at the beginning")
    return folder, config


def _changed(config: TrainConfig, wanted: dict[str, Any]) -> TrainConfig:
    """The configuration of a resumed run, with changes to the settings that may change.

    Raises:
        ConfigError: a different setting has changed.
    """
    saved = config.to_dict()
    differing = {name: value for name, value in wanted.items() if value is not None and value != saved.get(name)}
    for name in differing:
        if name not in CHANGEABLE:
            raise ConfigError(
                f"the run began with {name}={saved.get(name)}, now it is {name}={wanted[name]}: leave that out, "
                f"or start a new run. A resumed run may change {', '.join(CHANGEABLE)}"
            )
    if differing.keys() & {"max_steps", "epochs"} and laid_out_over_steps(config.schedule, config.step_size):
        end = f"max_steps={config.max_steps}" if config.epochs is None else f"epochs={config.epochs}"
        raise ConfigError(
            f"the run began with {end}, and schedule={config.schedule} spans exactly that: leave "
            f"{' and '.join(sorted(differing.keys() & {'max_steps', 'epochs'}))} out, or start a new run"
        )
    if "epochs" in differing:
        differing["max_steps"] = None
    elif "max_steps" in differing:
        differing["epochs"] = None
    return replace(config, **differing)


def fitted_to(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """The configuration with a valid batch size: the default is at most the number of training samples.

    Raises:
        ConfigError: an explicit batch size is larger.
    """
    n = len(dataset.indices("train"))
    if config.batch_size <= n:
        return config
    if config.data is None or config.batch_size != TrainConfig.batch_size:
        raise ConfigError(
            f"batch_size={config.batch_size}: expected at most {n}, the training samples of {config.dataset}"
        )
    return replace(config, batch_size=n)


def recorded(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """The configuration with the size and the checksum of the user's data.

    Raises:
        DataError: they differ from those in the configuration.
    """
    if config.data is None:
        return config
    if config.data == IN_MEMORY:
        weights = () if dataset.weights is None else (dataset.weights,)
        size, sha256 = digest_arrays(dataset.inputs, dataset.labels, *weights)
        check_unchanged(config, sha256)
    elif config.data_sha256 is not None:  # `load_dataset` has compared them
        return config
    else:
        size, sha256 = digest(dataset.files)
    return replace(config, data_bytes=size, data_sha256=sha256)


def new_engine(
    config: TrainConfig,
    dataset: Dataset,
    processes: Processes | None = None,
    *,
    models: Sequence[TrainConfig] | None = None,
) -> Any:
    """Creates the engine of a configuration before its first step, with the data set loaded.

    Arguments:
        models: configurations of stacked models, on one thread; `config` contains their common settings.
    """

    def each(setting: Callable[[TrainConfig], Any]) -> Any:
        return setting(config) if models is None else [setting(model) for model in models]

    engine = make_engine(
        replace(config.engine_spec(), threads=threads_of(config) if models is None else 1),
        config.architecture(dataset.input_shape, len(dataset.classes)),
        each(lambda own: own.optimizer_spec()),
        config.loss_spec(dataset.task),
        init=each(lambda own: own.init),
        init_seed=each(lambda own: own.seeds()["init_seed"]),
        noise_seed=each(lambda own: own.seeds()["noise_seed"]),
        processes=processes,
    )
    engine.load(dataset)
    return engine


def threads_of(config: TrainConfig) -> int:
    """Number of threads per step, on which the last digits of sums can depend."""
    if config.threads:
        return config.threads
    counts = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    return max(counts, default=1)


class Training:
    """A run in progress. All state outside the engine is in plain attributes that a checkpoint saves.

    Arguments:
        dataset: the data set of the configuration, if already loaded.
    """

    engine: Any  # an engine, or one model of a stack
    threads: int

    def __init__(
        self,
        folder: RunFolder,
        config: TrainConfig,
        reporter: Reporter,
        processes: Processes | None = None,
        dataset: Dataset | None = None,
    ) -> None:
        self.folder, self.config, self.reporter = folder, config, reporter
        self.processes = processes or Processes()
        self.began = time.perf_counter()
        if dataset is None:
            if config.data is None and self.processes.count > 1:  # one process downloads, the others find the files
                self.processes.first(lambda: load_dataset(config) and None)
            dataset = load_dataset(config)
        self.dataset = dataset
        config = self.config = recorded(fitted_to(config, dataset), dataset)
        for note in dataset.notes:
            reporter.note(note)
        self.seeds = config.seeds()
        self.train_indices = self.dataset.indices("train")
        self.order = BatchOrder(self.train_indices, config.batch_size, self.seeds["data_seed"])
        self.steps_an_epoch = self.order.steps_an_epoch
        self.steps = config.max_steps or (config.epochs or 0) * self.steps_an_epoch  # one of them is set
        self.schedule = config.learning_rates(self.steps)
        self.evaluated_splits = {
            split: self._evaluation_indices(split) for split in ("validation", "test") if split in self.dataset.splits
        }
        selecting = "validation" if "validation" in self.dataset.splits else "test"
        self.selected_by = f"{selecting}_{MEASURES[self.dataset.task][0]}"

        self.step = 0
        self.loss_sum, self.correct, self.samples = 0.0, 0, 0  # since the last evaluation
        self.errors = np.zeros((2, len(self.dataset.classes)))
        self.best: dict[str, Any] | None = None
        self.details: dict[str, Any] = {}  # details of the best and the last evaluation
        self.seconds_before = 0.0  # seconds of previous sessions
        self.seconds_inside = 0.0  # seconds in training steps and evaluations
        self.seconds_training = 0.0
        self.saved_at = time.perf_counter()

        # Other machines may not have access to the folder; they receive what the first process reads.
        self.saved = self.processes.first(lambda: folder.load_checkpoint() if folder.has_checkpoint() else None)
        if self.saved is not None:
            self._restore(self.saved[1])
        # evaluations after the checkpoint will be repeated
        made = self.saved[1].get("evaluations", 0) if self.saved is not None else 0
        self.records = self.processes.first(lambda: self.folder.keep_metrics(self.step, at_least=made))

    def use(self, engine: Any, threads: int) -> None:
        """Sets the engine or the model of a stack and restores it from the checkpoint."""
        self.engine, self.threads = engine, threads
        if self.saved is not None:
            self._restore_engine(*self.saved)
            self.saved = None

    # -- data order ---------------------------------------------------------------------------------------------------

    def _evaluation_indices(self, split: str) -> Integer[Array, "n"]:
        """All indices of a split, or a fixed subset of `eval_size`."""
        indices = self.dataset.indices(split)
        size = self.config.eval_size
        if size is None or size >= len(indices):
            return indices
        rng = np.random.default_rng((self.seeds["data_seed"], len(indices)))
        return np.sort(rng.choice(indices, size, replace=False))

    # -- the loop -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        self.use(new_engine(self.config, self.dataset, self.processes), threads_of(self.config))
        self.reporter.started(self.folder.path, self.config, self.engine, self.steps, self.step)
        self.folder.create(self.config)
        self.folder.save_preprocessing(self.dataset)
        chunk = 1
        with stop_signals() as stop, threadpool_limits(1, user_api="blas"):  # engines divide the work themselves
            while not self.over():
                until = min(self.step + chunk, self.next_evaluation())
                seconds = self._train_until(until)
                # all processes continue, or none
                seconds, stopping = self.processes.largest(seconds, float(stop.is_set()))
                chunk = next_chunk(chunk, seconds)
                if self.due():
                    self._evaluate()
                if stopping:
                    self.save_checkpoint()
                    raise Interrupted(
                        f"stopped at step {self.step} of {self.steps}; everything is saved. "
                        f"Resume with: handgrad train --run-dir {self.folder.path} --resume"
                    )
                if time.perf_counter() - self.saved_at >= self.config.checkpoint_seconds:
                    self.save_checkpoint()
        self.finish()

    def over(self) -> bool:
        """Whether all steps are done or patience is exhausted."""
        return self.step >= self.steps or self._out_of_patience()

    def next_evaluation(self, step: int | None = None) -> int:
        """The first step after `step` (by default the current one) that ends with an evaluation."""
        last = self.step if step is None else step
        return min((last // self.config.eval_freq + 1) * self.config.eval_freq, self.steps)

    def due(self) -> bool:
        """Whether the last step ends with an evaluation."""
        return self.step == self.next_evaluation(self.step - 1)

    def _train_until(self, until: int) -> float:
        began = time.perf_counter()
        rates = self.schedule.rates(self.step, until)
        try:
            figures = self.engine.train(self.order.batches(self.step, until), rates)
        except DivergedError as error:
            raise self.diverged(self.step + error.step, error.cause) from None
        seconds = time.perf_counter() - began
        self.trained(figures, until, seconds)
        return seconds

    def diverged(self, step: int, cause: str) -> NonFiniteError:
        """The error for a step, counted from 0, whose loss is not finite."""
        return NonFiniteError(
            f"the loss is no longer a finite number at step {step + 1}: {cause}. "
            f"Evaluations up to step {self.records[-1]['step'] if self.records else 0} are in {self.folder.path}"
        )

    def trained(self, figures: Figures, until: int, seconds: float) -> None:
        """Records the results of the steps up to `until`, and their duration."""
        self.seconds_inside += seconds
        self.seconds_training += seconds
        for loss, correct in zip(figures.loss.tolist(), figures.correct.tolist(), strict=True):
            self.loss_sum += loss
            self.correct += correct
            self.samples += figures.samples
        if figures.errors is not None:
            for errors in figures.errors:  # in order, so that results do not depend on the chunks
                self.errors += errors
        self.step = until
        self.reporter.stepped(self.step, loss / figures.samples)

    def _evaluate(self) -> None:
        began = time.perf_counter()
        figures = {split: self.engine.evaluate(indices) for split, indices in self.evaluated_splits.items()}
        self.evaluated(figures, time.perf_counter() - began)

    def evaluated(self, of_splits: dict[str, Figures], seconds: float) -> None:
        """Records the results of an evaluation and its duration."""
        self.seconds_inside += seconds
        record: dict[str, Any] = {
            "step": self.step,
            "epoch": round(self.step / self.steps_an_epoch, 4),
        }
        average = training_averages(self.loss_sum, self.correct, self.errors, self.samples, self.dataset)
        record.update((f"train_{name}", value) for name, value in average.items())
        self.details["last"] = {}
        for split in ("validation", "test"):
            average: dict[str, float] = {}
            if split in of_splits:
                indices = self.evaluated_splits[split]
                average = averages(of_splits[split], self.dataset, indices)
                self.details["last"][split] = details(of_splits[split], self.dataset, indices)
            record.update((f"{split}_{name}", average.get(name)) for name in ("loss", *MEASURES[self.dataset.task]))
        record["learning_rate"] = self.schedule.rate(self.step - 1)
        self.schedule.evaluated(record[f"{self.selected_by.partition('_')[0]}_loss"])
        record["seconds"] = round(self.seconds(), 3)
        self.loss_sum, self.correct, self.samples = 0.0, 0, 0
        self.errors[...] = 0
        self.records.append(record)
        self.folder.append_metrics(record)
        if self.best is None or better(self.selected_by, record, self.best):
            self.best, self.details["best"] = record, self.details["last"]
            self.save_best()
        self.reporter.evaluated(record)

    def _out_of_patience(self) -> bool:
        if self.config.patience is None or self.best is None:
            return False
        return sum(record["step"] > self.best["step"] for record in self.records) >= self.config.patience

    def seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.began

    # -- state --------------------------------------------------------------------------------------------------------

    def save_best(self) -> None:
        self.folder.save_model("best", self.engine, self.step)

    def save_checkpoint(self) -> None:
        arrays, settings = self.engine.checkpoint()
        about = {
            "engine": settings,
            "architecture": self.engine.architecture.to_dict(),
            "threads": self.threads,
            "step": self.step,
            "evaluations": len(self.records),
            "loss_sum": self.loss_sum,
            "correct": self.correct,
            "errors": self.errors.tolist(),
            "samples": self.samples,
            "schedule": self.schedule.state(),
            "best": self.best,
            "details": self.details,
            "seconds": self.seconds(),
            "seconds_inside": self.seconds_inside,
            "seconds_training": self.seconds_training,
        }
        self.folder.save_checkpoint(arrays, about)
        self.saved_at = time.perf_counter()

    def _restore(self, about: dict[str, Any]) -> None:
        """Restores the state of the run from a checkpoint, except for the engine."""
        self.step, self.best = about["step"], about["best"]
        self.schedule.restore(about["schedule"])
        self.loss_sum, self.correct, self.samples = about["loss_sum"], about["correct"], about["samples"]
        self.errors[...] = about.get("errors", 0.0)  # missing in checkpoints of versions without regression
        self.details = about.get("details", {})
        self.seconds_before = about["seconds"]
        self.seconds_inside, self.seconds_training = about["seconds_inside"], about["seconds_training"]

    def _restore_engine(self, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
        if about["architecture"] != self.engine.architecture.to_dict():
            raise RunError(
                f"the checkpoint in {self.folder.path} has a different architecture than its config.toml: "
                "restore the config.toml that it was trained with, or train again"
            )
        try:
            self.engine.restore(arrays, about["engine"])
        except (KeyError, ValueError) as error:
            why = f"{error} is missing" if isinstance(error, KeyError) else error
            raise RunError(
                f"the checkpoint in {self.folder.path} does not match its config.toml: {why}. {checksums.DAMAGED}"
            ) from None
        if about["threads"] != self.threads:
            self.reporter.note(
                f"the run began with threads={about['threads']}, now it is {self.threads}: "
                "the last digits may differ from an uninterrupted run's"
            )

    def finish(self, **about: Any) -> None:
        """Writes the final files of a finished run; `about` is added to the summary."""
        self.save_checkpoint()
        self.folder.save_model("model", self.engine, self.step)
        seconds = self.seconds()
        summary = {
            "best": self.best,
            "last": self.records[-1],
            "selected_by": self.selected_by,
            "task": self.dataset.task,
            "recipe": self.config.recipe,
            "dataset": self.config.dataset,
            "engine": self.engine.name,
            "parameters": self.engine.architecture.parameters,
            "steps": self.step,
            "evaluations": len(self.records),
            "seconds": round(seconds, 3),
            "samples_per_second": round(self.step * self.config.batch_size / max(self.seconds_training, 1e-9), 1),
            "seconds_outside_steps": round(seconds - self.seconds_inside, 3),
            "seeds": self.seeds,
            "threads": self.threads,
            "versions": {
                "handgrad": handgrad.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
                "machine": platform.platform(),
                **getattr(self.engine, "versions", {}),  # of the libraries of the engine, except NumPy
            },
            **({"processes": self.processes.count} if self.processes.count > 1 else {}),
            "details": self.details,
            **about,
        }
        self.folder.save_summary(summary)
        title = f"{self.config.recipe or self.config.dataset}"
        drawn = [self.folder.save_curves(self.records, title), self.folder.save_confusion(self.details, title)]
        for why_not in filter(None, drawn):
            self.reporter.note(f"{why_not}. Everything else is saved")
        self.reporter.finished(summary)


def next_chunk(chunk: int, seconds: float) -> int:
    """The number of steps per call, given the duration of the last `chunk`."""
    return max(1, min(1024, int(chunk * min(4.0, SECONDS_PER_CHUNK / max(seconds, 1e-6)))))


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that is set by Ctrl-C, a termination signal or a closed terminal; a second Ctrl-C interrupts
    immediately."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_signal(number: int, frame: object) -> None:
        # A closed terminal sends its signal twice (kernel and shell), a service manager sends two different ones.
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
