"""What a report is on: runs, gathered into configurations, and studies."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from handgrad.errors import ConfigError
from handgrad.training import Run, load_run
from handgrad.training.judging import MEASURES, SPLITS

#: Settings in which runs of one configuration may differ: the seeds, and what changes no result.
SEEDS = ("seed", "init_seed", "data_seed", "noise_seed")
_NO_MATTER = (*SEEDS, "recipe", "data_dir", "offline", "checkpoint_seconds", "threads")

#: Measures of which less is better.
ERRORS = ("rmse", "mae", "loss")

#: Measures, as they are headed.
MEASURE_NAMES = {"accuracy": "accuracy", "loss": "loss", "rmse": "RMSE", "mae": "MAE", "r2": "R²"}


@dataclass(eq=False)
class Configuration:
    """Runs whose settings differ in nothing but their seeds.

    Arguments:
        letter: by which the report names it: A, B, …; none of a single one.
        runs: finished, and each with other seeds.
        unfinished: runs under way, or stopped.
        name: in words what tells it from the others.
    """

    letter: str
    runs: list[Run] = field(default_factory=list)
    unfinished: list[Run] = field(default_factory=list)
    name: str = ""

    @property
    def all_runs(self) -> list[Run]:
        return [*self.runs, *self.unfinished]

    @property
    def first(self) -> Run:
        """The run that is looked into: the finished one with the lowest seed."""
        return self.all_runs[0]

    @property
    def config(self):
        return self.first.config

    @cached_property
    def task(self) -> str:
        return self.first.task

    @property
    def measure(self) -> str:
        """What it is judged by beside the loss."""
        return MEASURES[self.task][0]

    @cached_property
    def splits(self) -> list[str]:
        """Those that have figures."""
        return [split for split in SPLITS if self.values(f"{split}_loss")]

    @property
    def judged_by(self) -> str:
        """The figure that configurations are compared by: of the test set, else of the validation set."""
        split = next((split for split in ("test", "validation") if split in self.splits), "train")
        return f"{split}_{self.measure}"

    def values(self, figure: str, evaluation: str = "last") -> list[float]:
        """A figure of every finished run, at the last step or at the best evaluation; those that are finite."""
        found = [run.summary[evaluation].get(figure) for run in self.runs if run.summary.get(evaluation)]
        return [value for value in found if value is not None and math.isfinite(value)]

    @property
    def label(self) -> str:
        return f"{self.letter}: {self.name}" if self.letter else self.name

    def setting(self, name: str) -> str:
        """A setting as a reader writes it; the loss by its name where it is the task's default."""
        value = getattr(self.config, name)
        if name == "loss" and value is None:
            value = self.config.loss_spec(self.task).name
        return setting_shown(value)


@dataclass(eq=False)
class Group:
    """Configurations that can be compared: of one task, on the same data."""

    configurations: list[Configuration]

    @property
    def first(self) -> Configuration:
        return self.configurations[0]

    @property
    def figure(self) -> str:
        """What all are judged by."""
        figures = [c.judged_by for c in self.configurations if c.runs]
        return next((figure for figure in figures if not figure.startswith("test_")), figures[0] if figures else "")

    @property
    def less_is_better(self) -> bool:
        return self.figure.partition("_")[2] in ERRORS

    @property
    def ranked(self) -> list[Configuration]:
        """Those with finished runs, best mean first."""
        known = [c for c in self.configurations if c.values(self.figure)]
        sign = 1 if self.less_is_better else -1
        return sorted(known, key=lambda c: sign * statistics.fmean(c.values(self.figure)))

    @property
    def data(self) -> str:
        return self.first.config.dataset


@dataclass(eq=False)
class Sources:
    """All that a report is on.

    Arguments:
        groups: the configurations, those that can be compared together.
        studies: folders of studies.
        left_out: what was given and is not in the report, or only in part, and why; a sentence each.
    """

    groups: list[Group]
    studies: list[Path]
    left_out: list[str] = field(default_factory=list)

    @property
    def configurations(self) -> list[Configuration]:
        return [c for group in self.groups for c in group.configurations]


def read_sources(paths: Sequence[str | Path]) -> Sources:
    """The runs and studies in these folders.

    Raises:
        ConfigError: no path is given, or one is neither a run nor a study.
        RunError: a run cannot be read.
    """
    if not paths:
        raise ConfigError("nothing to report on: give run folders, or folders of studies")
    runs, studies, left_out = [], [], []
    seen: set[Path] = set()
    for given in paths:
        path = Path(given)
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        if (path / "study.toml").exists():
            studies.append(path)
        elif (path / "config.toml").exists():
            runs.append(load_run(path))
        else:
            raise ConfigError(_neither(path))
    groups = _groups(runs, left_out)
    return Sources(groups, studies, left_out)


def _neither(path: Path) -> str:
    if not path.exists():
        return f"there is no {path}: expected the folder of a run or of a study"
    inside = sorted(p for p in path.iterdir() if (p / "config.toml").exists()) if path.is_dir() else []
    if inside:
        count = f"{len(inside)} runs" if len(inside) > 1 else "a run"
        return f"{path} is no run, but holds {count}: name them, as in handgrad report {path}/*"
    return f"{path} holds neither a run (config.toml) nor a study (study.toml)"


def settings_of(run: Run) -> dict[str, Any]:
    """The settings that make a difference to the result, by name."""
    config = run.config
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    return {name: value for name, value in values.items() if name not in _NO_MATTER}


def _groups(runs: Sequence[Run], left_out: list[str]) -> list[Group]:
    gathered: dict[str, Configuration] = {}
    for run in runs:
        key = repr(sorted(settings_of(run).items()))
        found = gathered.setdefault(key, Configuration(_letter(len(gathered))))
        if not run.folder.json("summary.json"):
            found.unfinished.append(run)
            records = run.folder.metrics()
            at = f"at step {records[-1]['step']:,}" if records else "before its first evaluation"
            left_out.append(
                f"{run.path} has not finished ({at}): it is in the curves, and in no mean. Resume it with "
                f"handgrad train --run-dir {run.path} --resume"
            )
            continue
        if not run.summary.get("last"):
            left_out.append(f"{run.path} has no evaluations: only its weights are shown")
        elif lost := [name for name, v in run.summary["last"].items() if isinstance(v, float) and not math.isfinite(v)]:
            left_out.append(f"{run.path} ended with {', '.join(lost)} that are not finite: they are in no mean")
        twin = next((other for other in found.runs if other.config.seeds() == run.config.seeds()), None)
        if twin is not None:
            left_out.append(
                f"{run.path} has the settings and the seeds of {twin.path}, so it is that run again: left out"
            )
            continue
        found.runs.append(run)
    for configuration in gathered.values():
        configuration.runs.sort(key=lambda run: [run.config.seed, *run.config.seeds().values()])
    groups: dict[tuple, Group] = {}
    for configuration in gathered.values():
        config = configuration.config
        key = (configuration.task, config.dataset, config.data_sha256)
        groups.setdefault(key, Group([])).configurations.append(configuration)
    everything = list(gathered.values())
    if len(everything) == 1:
        everything[0].letter = ""  # there is nothing to tell it from
    for configuration in everything:
        configuration.name = _told_apart(configuration, everything)
    return list(groups.values())


def _letter(number: int) -> str:
    """A, B, …, Z, A2, B2, …"""
    again, letter = divmod(number, 26)
    return chr(ord("A") + letter) + (str(again + 1) if again else "")


def differing(configurations: Sequence[Configuration]) -> list[str]:
    """The settings in which configurations differ, in the order in which they are shown."""
    settings = [settings_of(configuration.first) for configuration in configurations]
    names = [name for name in settings[0] if len({repr(values[name]) for values in settings}) > 1]
    if "dataset" in names:  # which says it all
        names = [name for name in names if name not in ("data", "data_bytes", "data_sha256")]
    return names


def _told_apart(configuration: Configuration, everything: Sequence[Configuration]) -> str:
    """What tells a configuration from the others, in a few words."""
    names = differing(everything)
    if not names:
        return configuration.config.recipe or configuration.config.dataset
    recipes = {c.config.recipe for c in everything}
    if len(names) > 4 and len(recipes) == len(everything) and None not in recipes:
        return str(configuration.config.recipe)
    said = [f"{name.replace('_', ' ')} {configuration.setting(name)}" for name in names[:4]]
    return ", ".join(said) + (", …" if len(names) > 4 else "")


def setting_shown(value: Any) -> str:
    """A setting as a reader writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    return "default" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
