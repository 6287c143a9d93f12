"""The sources of a report: runs, grouped into configurations, and studies."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from handgrad.errors import ConfigError
from handgrad.reports.significance import Difference, compare
from handgrad.training import Run, load_run
from handgrad.training.judging import ERRORS, MEASURES, SPLITS

#: Settings in which the runs of one configuration may differ: the seeds, and settings that do not change the result.
SEEDS = ("seed", "init_seed", "data_seed", "noise_seed")
_NO_MATTER = (*SEEDS, "recipe", "data_dir", "offline", "checkpoint_seconds", "threads")

#: Up to this number of configurations, all pairs are compared. Of more, each is compared with the best.
MAX_PAIRED = 6

#: Names of the metrics in headings.
MEASURE_NAMES = {"accuracy": "accuracy", "loss": "loss", "rmse": "RMSE", "mae": "MAE", "r2": "R²"}


@dataclass(eq=False)
class Configuration:
    """Runs that differ only in their seeds.

    Arguments:
        letter: label in the report: A, B, …; empty if there is only one configuration.
        runs: finished runs, each with different seeds.
        unfinished: runs that are in progress or were stopped.
        name: a few words that distinguish it from the others.
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
        """The run that sections about a single network use: the finished run with the lowest seed."""
        return self.all_runs[0]

    @property
    def config(self):
        return self.first.config

    @cached_property
    def task(self) -> str:
        return self.first.task

    @property
    def measure(self) -> str:
        """The main metric of the task."""
        return MEASURES[self.task][0]

    @cached_property
    def splits(self) -> list[str]:
        """The splits on which the runs were evaluated."""
        return [split for split in SPLITS if self.values(f"{split}_loss")]

    @property
    def judged_by(self) -> str:
        """The metric that configurations are compared by: on the test set if there is one, otherwise on the validation
        set."""
        split = next((split for split in ("test", "validation") if split in self.splits), "train")
        return f"{split}_{self.measure}"

    def values(self, figure: str, evaluation: str = "last") -> list[float]:
        """The finite values of a metric for all finished runs, at the last step or at the best evaluation."""
        found = [run.summary[evaluation].get(figure) for run in self.runs if run.summary.get(evaluation)]
        return [value for value in found if value is not None and math.isfinite(value)]

    @property
    def label(self) -> str:
        return f"{self.letter}: {self.name}" if self.letter else self.name

    def setting(self, name: str) -> str:
        """A setting in readable form. The loss is given by name even if it is the default of the task."""
        value = getattr(self.config, name)
        if name == "loss" and value is None:
            value = self.config.loss_spec(self.task).name
        return setting_shown(value)


@dataclass(eq=False)
class Group:
    """Configurations that can be compared, because they have the same task, data and target.

    Arguments:
        data: name of the data; with more words if other groups have data of this name.
    """

    configurations: list[Configuration]
    data: str = ""

    @property
    def first(self) -> Configuration:
        return self.configurations[0]

    @property
    def figure(self) -> str:
        """The metric by which all configurations are compared."""
        figures = [c.judged_by for c in self.configurations if c.runs]
        return next((figure for figure in figures if not figure.startswith("test_")), figures[0] if figures else "")

    @property
    def less_is_better(self) -> bool:
        return self.figure.partition("_")[2] in ERRORS

    @property
    def ranked(self) -> list[Configuration]:
        """The configurations with finished runs, best mean first."""
        known = [c for c in self.configurations if c.values(self.figure)]
        sign = 1 if self.less_is_better else -1
        return sorted(known, key=lambda c: sign * statistics.fmean(c.values(self.figure)))

    @cached_property
    def pairs(self) -> list[tuple[Configuration, Configuration, Difference]]:
        """Pairs of configurations, the better mean first, with the result of the test.

        Up to `MAX_PAIRED` configurations, these are all pairs. Of more, each configuration is paired with the best. In
        both cases the correction uses the number of all pairs, because the data determined which configuration is best.
        """
        ranked, figure = self.ranked, self.figure
        count = len(ranked) * (len(ranked) - 1) // 2
        few = len(ranked) <= MAX_PAIRED
        chosen = itertools.combinations(ranked, 2) if few else ((ranked[0], c) for c in ranked[1:])
        how: Any = {"less_is_better": self.less_is_better, "comparisons": count}
        return [(one, other, compare(one.values(figure), other.values(figure), **how)) for one, other in chosen]

    @property
    def file(self) -> str:
        """The name of the data as part of a file name."""
        return re.sub(r"[^\w.]+", "-", self.data).strip("-")


@dataclass(eq=False)
class Sources:
    """All sources of a report.

    Arguments:
        groups: configurations, grouped by whether they can be compared.
        studies: folders of studies.
        left_out: inputs that the report omits in full or in part, with the reason; one sentence each.
    """

    groups: list[Group]
    studies: list[Path]
    left_out: list[str] = field(default_factory=list)

    @property
    def configurations(self) -> list[Configuration]:
        return [c for group in self.groups for c in group.configurations]


def read_sources(paths: Sequence[str | Path]) -> Sources:
    """Reads the runs and studies in these folders.

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
        return f"{path} is not a run, but contains {count}: use handgrad report {path}/*"
    return f"{path} contains neither a run (config.toml) nor a study (study.toml)"


def settings_of(run: Run) -> dict[str, Any]:
    """The settings that affect the result, by name."""
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
                f"{run.path} has not finished ({at}): it appears in the curves but not in the means. Resume it with "
                f"handgrad train --run-dir {run.path} --resume"
            )
            continue
        if not run.summary.get("last"):
            left_out.append(f"{run.path} has no evaluations: only its weights are shown")
        elif lost := [name for name, v in run.summary["last"].items() if isinstance(v, float) and not math.isfinite(v)]:
            left_out.append(f"{run.path} ended with non-finite {', '.join(lost)}, which the means exclude")
        twin = next((other for other in found.runs if other.config.seeds() == run.config.seeds()), None)
        if twin is not None:
            left_out.append(f"{run.path} has the same settings and seeds as {twin.path}: the duplicate is ignored")
            continue
        found.runs.append(run)
    for configuration in gathered.values():
        configuration.runs.sort(key=lambda run: [run.config.seed, *run.config.seeds().values()])
    groups: dict[tuple, Group] = {}
    for configuration in gathered.values():
        config = configuration.config
        key = (configuration.task, config.dataset, config.data_sha256, config.target)
        groups.setdefault(key, Group([])).configurations.append(configuration)
    everything = list(gathered.values())
    if len(everything) == 1:
        everything[0].letter = ""  # there is only one
    for group in groups.values():
        group.data = _data_name(group, list(groups.values()))
    for group in groups.values():
        for configuration in group.configurations:
            configuration.name = _distinguishing_name(configuration, everything, group)
    return list(groups.values())


def _data_name(group: Group, groups: Sequence[Group]) -> str:
    """The name of the data set; if other groups have it too, with the target, otherwise the task or a number."""

    def names(other: Group) -> list[str]:
        config = other.first.config
        target = [f"target {config.target}"] if config.target is not None else []
        more = [[], target, [*target, other.first.task]]
        return [config.dataset + (f" ({', '.join(words)})" if words else "") for words in more]

    own, all_names = names(group), [names(other) for other in groups]
    for i, name in enumerate(own):
        if sum(other[i] == name for other in all_names) == 1:
            return name
    alike = [other for other in groups if names(other) == own]
    return f"{own[1]}, number {alike.index(group) + 1}"


def _letter(number: int) -> str:
    """A, B, …, Z, A2, B2, …"""
    again, letter = divmod(number, 26)
    return chr(ord("A") + letter) + (str(again + 1) if again else "")


def differing(configurations: Sequence[Configuration]) -> list[str]:
    """The settings in which configurations differ, in the order in which they are shown."""
    settings = [settings_of(configuration.first) for configuration in configurations]
    names = [name for name in settings[0] if len({repr(values[name]) for values in settings}) > 1]
    if "dataset" in names:  # the others only repeat it
        names = [name for name in names if name not in ("data", "data_bytes", "data_sha256")]
    return names


def _distinguishing_name(configuration: Configuration, everything: Sequence[Configuration], group: Group) -> str:
    """A few words that distinguish a configuration from the others: its data if they differ, and the settings that
    differ among configurations with the same data."""
    names = differing(everything)
    if not names:
        return configuration.config.recipe or configuration.config.dataset
    recipes = {c.config.recipe for c in everything}
    if len(names) > 4 and len(recipes) == len(everything) and None not in recipes:
        return str(configuration.config.recipe)
    names = differing(group.configurations)
    said = [f"{name.replace('_', ' ')} {configuration.setting(name)}" for name in names[:4]]
    if len(group.configurations) < len(everything):
        said.insert(0, group.data)
    return ", ".join(said) + (", …" if len(names) > 4 else "")


def setting_shown(value: Any) -> str:
    """A setting in readable form."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    return "default" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
