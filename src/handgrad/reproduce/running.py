"""Runs the cases of an entry, each in a separate folder with checkpoints, and judges the results."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import math
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

import handgrad
from handgrad.architectures import Architecture, LayerSpec
from handgrad.data import Dataset
from handgrad.errors import ConfigError, NonFiniteError
from handgrad.reproduce.documents.common import combination_name
from handgrad.reproduce.entries import Case, Entry, Printed, Statement
from handgrad.reproduce.measures import measured, setting
from handgrad.reproduce.verdicts import CANNOT_BE, INDICATIVE, judge_entry, judge_goal, judge_statement, judge_value
from handgrad.training import Interrupted, Reporter, Run, TrainConfig, load_run, merge_settings
from handgrad.training.loop import fitted_to, new_engine, train_in
from handgrad.training.recipes import recipe_settings
from handgrad.training.run import RunFolder, load_dataset

if TYPE_CHECKING:
    from handgrad.search.results import Findings

#: A scaled-down run evaluates on this number of test samples and has at least this number of steps.
SCALED_EVAL_SIZE, LEAST_STEPS = 1000, 20
#: The smallest share of the steps; if this does not fit the budget, cases are omitted.
LEAST_SHARE_OF_STEPS = 0.05

DIVERGED = "diverged.txt"


# -- configurations ---------------------------------------------------------------------------------------------------


class SoftmaxTwice(TrainConfig):
    """A run whose network ends with a softmax, although the loss applies another softmax to its outputs."""

    def architecture(self, input_shape: tuple[int, ...], classes: int) -> Architecture:
        network = super().architecture(input_shape, classes)
        return dataclasses.replace(network, layers=(*network.layers, LayerSpec("softmax")))


def configuration(case: Case, seed: int, **more: Any) -> TrainConfig:
    """The configuration of a run; `more` overrides the settings of the case."""
    settings = dict(case.settings)
    merged = merge_settings(settings.pop("recipe", None), None, {**settings, "seed": seed, **more})
    kind = SoftmaxTwice if case.variant == "softmax-twice" else TrainConfig
    return kind.from_settings(merged)


def jpeg_again(dataset: Dataset, quality: int = 75, offset: int = 4) -> Dataset:
    """Compresses the images with JPEG again, with blocks shifted by half a block. With the same blocks, a second
    compression would change almost nothing, because their coefficients are already quantised."""
    inputs = np.empty_like(dataset.inputs)
    for i, image in enumerate(dataset.inputs):
        moved = np.roll(image, (offset, offset), axis=(1, 2)).transpose(1, 2, 0)
        file = io.BytesIO()
        Image.fromarray(moved).save(file, "JPEG", quality=quality)
        with Image.open(file) as again:
            decoded = np.asarray(again).transpose(2, 0, 1)
        inputs[i] = np.roll(decoded, (-offset, -offset), axis=(1, 2))
    return dataclasses.replace(dataset, inputs=inputs)


# -- scaling to a budget ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """How far an entry is scaled down.

    Arguments:
        seeds: number of runs per case.
        steps: share of the steps.
        cases: share of the cases.
    """

    seeds: int
    steps: float = 1.0
    cases: float = 1.0


def scaled_to(seconds: float, budget: float, seeds: int) -> Scale:
    """Scales an entry to a budget: first fewer seeds, then fewer steps (at least `LEAST_SHARE_OF_STEPS`), then fewer
    cases.

    Arguments:
        seconds: estimated time of the whole entry.
        budget: available time in seconds.
        seeds: number of seeds of the whole entry.
    """
    share = budget / max(seconds, 1e-9)
    if share >= 1:
        return Scale(seeds)
    kept = max(1, math.floor(seeds * share))
    share *= seeds / kept
    steps = min(1.0, max(share, LEAST_SHARE_OF_STEPS))
    return Scale(kept, steps, min(1.0, share / steps))


def _scaled(config: TrainConfig, share: float) -> TrainConfig:
    """The configuration with only a share of its steps."""
    if share >= 1:
        return config
    assert config.max_steps is not None, "entries count steps, not epochs"
    steps = max(LEAST_STEPS, round(config.max_steps * share))
    return dataclasses.replace(
        config, max_steps=steps, eval_freq=max(1, min(config.eval_freq, steps // 4)), eval_size=SCALED_EVAL_SIZE
    )


def estimated_seconds(config: TrainConfig, dataset: Dataset) -> float:
    """Estimates the time of a run on this machine from a few steps."""
    engine = new_engine(config, dataset)
    batches = dataset.indices("train")[: 2 * config.batch_size].reshape(2, -1)
    rates = np.full(2, config.learning_rate)
    engine.train(batches[:1], rates[:1])
    began = time.perf_counter()
    engine.train(batches, rates)
    step = (time.perf_counter() - began) / 2
    began = time.perf_counter()
    engine.evaluate(dataset.indices("test")[:500])
    samples = min(config.eval_size or 10_000, len(dataset.indices("test")))
    evaluation = (time.perf_counter() - began) * samples / 500
    assert config.max_steps is not None
    return step * config.max_steps + evaluation * math.ceil(config.max_steps / config.eval_freq)


# -- results ----------------------------------------------------------------------------------------------------------


@dataclass
class Row:
    """A published value or a statement, with our results and the verdict.

    Arguments:
        values: our values, one per seed; for a statement, the differences.
        sides: for a statement, the means of the two compared groups.
    """

    what: Printed | Statement
    values: list[float | str]
    verdict: str
    sides: tuple[float, float] | None = None

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.numbers) if self.numbers else None

    @property
    def spread(self) -> float | None:
        return statistics.stdev(self.numbers) if len(self.numbers) > 1 else None

    @property
    def numbers(self) -> list[float]:
        return [value for value in self.values if not isinstance(value, str) and not math.isnan(value)]


@dataclass
class Outcome:
    """The result of an entry.

    Arguments:
        full: whether every case ran with all steps and seeds.
        curves: for each case, the evaluations of each seed.
        done: cases, runs, steps per run (a range), parameters, seconds of training.
        asked: `budget` and `seeds`, if they were given.
        study: the results of the entry's study; None if it has none.
    """

    entry: Entry
    verdict: str
    rows: list[Row]
    full: bool
    seeds: list[int]
    done: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[list[dict[str, Any]]]] = field(default_factory=dict)
    asked: dict[str, float | None] = field(default_factory=dict)
    study: Findings | None = None
    version: str = handgrad.__version__


class Watcher(Reporter):
    """A reporter that is also notified of the runs of an entry. Every method is optional."""

    def began(self, case: str, seed: int, number: int, runs: int) -> None: ...


Runs = dict[str, list[Run | None]]  # None: it diverged


def reproduce(
    entry: Entry,
    *,
    runs_dir: str | Path = "runs/reproduce",
    budget: float | None = None,
    seeds: int | None = None,
    settings: Mapping[str, Any] | None = None,
    workers: int | None = None,
    watcher: Watcher | None = None,
) -> Outcome:
    """Runs an entry and judges the results.

    Each run has a folder with checkpoints in `runs_dir`, named after its case and settings. After any interruption,
    another call reads the finished runs and resumes the interrupted run.

    Arguments:
        budget: time budget in minutes; if it is too small, the entry is scaled down and the verdict is `indicative`.
        seeds: number of runs per case, if different from that of the entry; fewer runs make the verdict `indicative`.
        settings: settings that change results only by rounding: data_dir, offline, threads, engine, device.
        workers: number of processes, for an entry that a study trains.

    Raises:
        ConfigError: a value is invalid.
        DataError: the data set is not available.
        Interrupted: the run was interrupted; all results so far are saved.
    """
    if budget is not None and not (0 < budget < math.inf):
        raise ConfigError(f"budget={budget:g}: expected a number of minutes above 0")
    if seeds is not None and seeds < 1:
        raise ConfigError(f"seeds={seeds}: expected a whole number of at least 1")
    if entry.cannot:
        return Outcome(entry, CANNOT_BE, [], True, [])
    if not entry.trains:
        configs = {name: configuration(case, 0) for name, case in entry.cases.items()}
        rows = [
            Row(p, [v := setting(p.measure, configs[p.case])], judge_value(p.value, [v], p.measure))
            for p in entry.printed
        ]
        return judged(entry, rows, [], True, {})
    made = _Runs(entry, Path(runs_dir), dict(settings or {}), watcher or Watcher())
    wanted = seeds or entry.seeds
    scale = scaled_to(made.estimate() * wanted, 60 * budget, wanted) if budget is not None else Scale(wanted)
    try:
        runs = made.of_study(scale, workers) if entry.study else made.of_cases(scale)
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(f"interrupted; the results are saved in {runs_dir}") from None
    full = scale.seeds >= entry.seeds and scale.steps == scale.cases == 1
    rows = _rows(entry, runs, made.dataset)
    every = [run for of_case in runs.values() for run in of_case if run is not None]
    steps = sorted({run.summary["steps"] for run in every}) or [0]
    done = {
        "cases": len(runs),
        "of_cases": len(entry.cases),
        "runs": sum(map(len, runs.values())),
        "diverged": sum(run is None for of_case in runs.values() for run in of_case),
        "steps": [steps[0], steps[-1]],
        "parameters": sorted({run.summary["parameters"] for run in every}),
        "seconds": round(sum(run.summary["seconds"] for run in every)),
        "threads": sorted({run.summary["threads"] for run in every}),
        "engine": sorted({run.summary["engine"] for run in every}),
        "versions": every[0].summary["versions"] if every else {},
    }
    outcome = judged(entry, rows, list(range(scale.seeds)), full, done)
    outcome.asked = {"budget": budget, "seeds": seeds}
    outcome.study = made.found
    outcome.curves = {name: [run.metrics for run in of_case if run is not None] for name, of_case in runs.items()}
    return outcome


def judged(entry: Entry, rows: list[Row], seeds: list[int], full: bool, done: dict[str, Any]) -> Outcome:
    """The outcome, with the verdict that follows from its rows."""
    full = full and len(rows) == len(entry.printed) + len(entry.statements)
    values = []
    for row in rows:
        if isinstance(row.what, Printed) and row.what.headline:
            mean, published = row.mean, row.what.value
            apart = math.nan if mean is None or isinstance(published, str) else mean - published
            values.append((row.verdict, apart))
    statements = [row.verdict for row in rows if isinstance(row.what, Statement)]
    verdict = judge_entry(values, statements, full=full)
    if verdict == INDICATIVE:  # this also applies to its parts
        rows = [dataclasses.replace(row, verdict=INDICATIVE) for row in rows]
    return Outcome(entry, verdict, rows, full, seeds, done)


def _rows(entry: Entry, runs: Runs, dataset: Callable[[TrainConfig], Dataset]) -> list[Row]:
    @functools.cache
    def values(case: str, measure: str) -> list[float]:
        return [
            math.nan if run is None else measured(measure, run, lambda run=run: dataset(run.config))
            for run in runs[case]
        ]

    rows = []
    for printed in entry.printed:
        if printed.case in runs:
            ours = values(printed.case, printed.measure)
            verdict = judge_value(printed.value, ours, printed.measure, printed.samples)
            rows.append(Row(printed, list(ours), verdict))
    for statement in entry.statements:
        others = statement.smaller
        named = [*statement.larger, *(others if isinstance(others, tuple) else ())]
        if not all(case in runs for case in named):
            continue
        pairs: list[tuple[float, float]] = []
        for i, case in enumerate(statement.larger):
            larger = values(case, statement.measure)
            smaller = values(others[i], statement.measure) if isinstance(others, tuple) else [others] * len(larger)
            pairs += zip(larger, smaller, strict=True)
        differences = [a - b for a, b in pairs]
        sides = statistics.fmean(a for a, _ in pairs), statistics.fmean(b for _, b in pairs)
        judge = judge_goal if entry.kind == "record" else judge_statement
        rows.append(Row(statement, list(differences), judge(differences), sides))
    return rows


class _Runs:
    """The runs of one entry."""

    def __init__(self, entry: Entry, runs_dir: Path, settings: dict[str, Any], watcher: Watcher) -> None:
        self.entry, self.runs_dir, self.settings, self.watcher = entry, runs_dir, settings, watcher
        self._datasets: dict[tuple[Any, ...], Dataset] = {}
        self.found: Findings | None = None

    def dataset(self, config: TrainConfig, variant: str = "") -> Dataset:
        names = ("dataset", "preprocessing", "validation_size", "validation_split")
        key = (*(getattr(config, name) for name in names), variant)
        if key not in self._datasets:
            if len(self._datasets) > 1:  # two at a time: 200 MB each
                self._datasets.pop(next(iter(self._datasets)))
            dataset = load_dataset(config, data_dir=self.settings.get("data_dir"))
            self._datasets[key] = jpeg_again(dataset) if variant == "jpeg-again" else dataset
        return self._datasets[key]

    def estimate(self) -> float:
        """Seconds that one seed of all cases takes."""
        known: dict[tuple[Any, ...], float] = {}
        seconds = 0.0
        for case in self.entry.cases.values():
            config = configuration(case, 0, **self.settings)
            names = ("model", "hidden_units", "channels", "norm", "activation", "batch_size", "optimizer", "dropout")
            key = (config.dataset, *(getattr(config, name) for name in names))
            if key not in known:
                known[key] = estimated_seconds(config, self.dataset(config, case.variant)) / (config.max_steps or 1)
            seconds += known[key] * (config.max_steps or 1)
        return seconds

    def kept(self, scale: Scale) -> list[str]:
        """The cases that are run, evenly spaced among all cases."""
        names = list(self.entry.cases)
        count = max(1, round(len(names) * scale.cases))
        return [names[round(i * (len(names) - 1) / max(count - 1, 1))] for i in range(count)]

    def of_cases(self, scale: Scale) -> Runs:
        names = self.kept(scale)
        runs: Runs = {name: [] for name in names}
        for seed in range(scale.seeds):
            for i, name in enumerate(names):
                self.watcher.began(name, seed, seed * len(names) + i + 1, scale.seeds * len(names))
                case = self.entry.cases[name]
                config = _scaled(configuration(case, seed, **self.settings), scale.steps)
                runs[name].append(self._run(name, case, config))
        return runs

    def _run(self, name: str, case: Case, config: TrainConfig) -> Run | None:
        """The run of a configuration. A finished run is read, an interrupted one is resumed from its checkpoint.
        None if the loss became non-finite."""
        folder = RunFolder(self.runs_dir / _folder_name(case, config))
        if (folder.path / DIVERGED).exists():
            return None
        if not (folder.path / "summary.json").exists():
            dataset = self.dataset(config, case.variant)
            try:
                train_in(folder, fitted_to(config, dataset), dataset, self.watcher)
            except NonFiniteError as error:
                (folder.path / DIVERGED).write_text(f"{error}\n", encoding="utf-8")
                return None
        return load_run(folder.path)

    def of_study(self, scale: Scale, workers: int | None) -> Runs:
        """The runs of a study of `handgrad search`; its combinations are the cases."""
        from handgrad.search import limited_to, plan_from, search

        assert self.entry.study is not None
        options: dict[str, Any] = {"seeds": scale.seeds}
        content = {name: value for name, value in self.entry.study.items() if name != "search"}
        content = {**recipe_settings(content["recipe"]), **content} if "recipe" in content else content
        every = content["max_steps"] if isinstance(content["max_steps"], list) else [content["max_steps"]]
        steps = [max(LEAST_STEPS, round(most * scale.steps)) for most in every]
        if scale.steps < 1:
            different = sorted(set(steps))  # short ones may have become equal
            content |= {"max_steps": different if len(different) > 1 else different[0], "eval_size": SCALED_EVAL_SIZE}
            content["eval_freq"] = max(1, min(content["eval_freq"], min(steps) // 4))
        if scale.cases < 1:
            options |= {"sampler": "random", "trials": len(self.kept(scale))}
        own = {name: value for name, value in self.settings.items() if value is not None}
        plan = plan_from({**content, "search": {**self.entry.study["search"], **options}}, settings=own)
        digest = hashlib.sha256(json.dumps([content, options], sort_keys=True).encode()).hexdigest()[:8]
        name = f"study-{digest}"
        folder = self.runs_dir / name
        study, found = search(plan, name=name, study_dir=folder, resume=True, workers=workers, figures=False)
        names = list(self.entry.cases)
        at_full_length = dict(zip(steps, every, strict=True))
        runs: Runs = {}
        own = set()
        for row in sorted(found.rows, key=lambda row: row.number):
            combination = dict(row.combination)
            if len(every) > 1:  # cases are named by their full length
                combination["max_steps"] = at_full_length[combination.get("max_steps", steps[-1])]
            name = combination_name(combination)
            if name in names:
                runs[name] = [load_run(study.run_dir(r.run)) if r.state == "complete" else None for r in row.results]
                own.add(row.number)
        self.found = limited_to(found, [row for row in found.rows if row.number in own])
        return {name: runs[name] for name in names if name in runs}


def _folder_name(case: Case, config: TrainConfig) -> str:
    """A folder name that describes the run and is unique for all settings that affect the results."""
    aside = ("data_dir", "offline", "checkpoint_seconds", "threads", "engine", "device", "seed")
    settings = {name: value for name, value in config.to_dict().items() if name not in aside}
    digest = hashlib.sha256(json.dumps([case.variant, settings], sort_keys=True).encode()).hexdigest()[:8]
    words = [config.recipe or f"{config.dataset}-{config.model}", case.variant, f"{config.max_steps}-steps"]
    return re.sub(r"[^a-z0-9-]+", "-", "-".join(filter(None, words))) + f"-{digest}-seed-{config.seed}"


__all__ = ["Outcome", "Row", "Scale", "Watcher", "configuration", "reproduce", "scaled_to"]
