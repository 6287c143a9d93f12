"""Studies: the plan, the folder and the store; created once, joined or resumed by any process."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import tomli_w

from handgrad.errors import ConfigError, RunError
from handgrad.search.space import Combination, Factor, configured, grid, shown, size, split
from handgrad.search.store import FolderStore, Store, hidden, open_store
from handgrad.training.config import TrainConfig, layered, read_toml
from handgrad.training.recipes import recipe_settings
from handgrad.training.run import write_text

#: For a study in a database, the file in its folder with the address.
STORE = "store.toml"

SAMPLERS = ("grid", "random", "tpe")
PRUNERS = ("none", "median", "asha")
SELECTIONS = ("validation", "test")
IMPOSSIBLE = ("refuse", "skip")

#: Version of the store format.
FORMAT = 1

#: Default number of combinations if neither --trials nor --timeout is given.
USUAL_TRIALS = 50


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a study.

    Arguments:
        fixed: settings shared by all runs, as for `TrainConfig.from_settings`.
        factors: the factors.
        sampler: one of `SAMPLERS`.
        pruner: one of `PRUNERS`.
        trials: combinations to try; None for the whole grid.
        seeds: runs of each combination, with seeds `seed`, `seed + 1`, …
        select: the split for selecting the best combination, one of `SELECTIONS`.
        impossible: handling of invalid combinations, one of `IMPOSSIBLE`.

    Raises:
        ConfigError: invalid or contradictory values.
    """

    fixed: dict[str, Any]
    factors: tuple[Factor, ...]
    sampler: str = "grid"
    pruner: str = "none"
    trials: int | None = None
    seeds: int = 1
    select: str = "validation"
    impossible: str = "refuse"

    def __post_init__(self) -> None:
        for name, known in (
            *(("sampler", SAMPLERS), ("pruner", PRUNERS), ("select", SELECTIONS), ("impossible", IMPOSSIBLE)),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name}={getattr(self, name)}: expected one of {', '.join(known)}")
        for name in ("trials", "seeds"):
            value = getattr(self, name)
            if (value is not None or name == "seeds") and (
                not isinstance(value, int) or isinstance(value, bool) or value < 1
            ):
                raise ConfigError(f"{name}={value}: expected a whole number of at least 1")
        if not self.factors:
            raise ConfigError(
                "nothing is varied: give a setting several values, as --vary learning_rate=1e-3,1e-4, or a list in "
                "the study file"
            )
        ranges = [factor.name for factor in self.factors if factor.range is not None]
        if self.sampler == "grid" and ranges:
            raise ConfigError(
                f"sampler=grid takes lists, and {', '.join(ranges)} has a range: give a list of values, or use "
                "--sampler random or tpe"
            )

    @property
    def combinations(self) -> int | None:
        """Number of requested combinations; None if only a timeout ends the study."""
        whole = size(self.factors)
        if self.trials is None:
            return whole
        return self.trials if whole is None else min(self.trials, whole)

    @property
    def seed(self) -> int:
        return self.fixed.get("seed", 0)

    def config(self, combination: Mapping[str, Any], seed: int = 0) -> TrainConfig:
        """The configuration of a run: that of the combination, with the seed offset added.

        For the user's own data, the seed also determines the split. In this case the first seed is kept, and only the
        seeds of weights, order and noise change, so that all runs are evaluated on the same samples.
        """
        if self.fixed.get("data") is None:
            return configured(self.fixed, combination, self.seed + seed)
        drawn = TrainConfig(seed=self.seed + seed).seeds() if seed else {}
        return configured({**drawn, **self.fixed}, combination, self.seed)

    def to_toml(self) -> dict[str, Any]:
        """The plan as a study file, from which `plan_from` recreates it."""
        search = {name: getattr(self, name) for name in _OPTIONS}
        varied = {factor.name: factor.to_toml() for factor in self.factors}
        varied = {name: _without_none(value) for name, value in varied.items()}
        settings = {name: value for name, value in self.fixed.items() if value is not None}
        return {**settings, **varied, "search": {name: value for name, value in search.items() if value is not None}}


def _without_none(value: Any) -> Any:
    """TOML does not have null: a missing value is written as none."""
    return ["none" if v is None else v for v in value] if isinstance(value, list) else value


_OPTIONS = [field.name for field in dataclasses.fields(Plan) if field.name not in ("fixed", "factors")]


def shipped() -> dict[str, Path]:
    """The names of the study files included in handgrad."""
    folder = Path(__file__).with_name("studies")
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def plan_from(
    file: str | Path | Mapping[str, Any] | None = None,
    *,
    recipe: str | None = None,
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> Plan:
    """The plan of a study file, overridden by settings and options.

    Arguments:
        file: a TOML file or its contents: settings of a run, each a value, a list or a range, and a table `search` with
            the options of `Plan`.
        recipe: name of a recipe, overridden by the file.
        settings: override both; values as in a file.
        options: options of `Plan`; None if not given.

    Raises:
        ConfigError: unknown key or invalid value.
    """
    where = str(file) if isinstance(file, (str, Path)) else ""
    content = dict(read_toml(file) if isinstance(file, (str, Path)) else file or {})
    search = content.pop("search", {})
    if not isinstance(search, Mapping):
        raise ConfigError(f"{where}: search={search}: expected a table, [search]")
    for key in search:
        if key not in _OPTIONS:
            raise ConfigError(f"{where}: unknown key {key!r} in [search]: expected {', '.join(_OPTIONS)}")
    options = {**search, **{name: value for name, value in options.items() if value is not None}}
    recipe = recipe or content.get("recipe")
    settings = {name: list(v) if isinstance(v, tuple) else v for name, v in (settings or {}).items()}
    layers = layered(recipe_settings(recipe) if recipe else {}, content, settings)
    if recipe:
        layers["recipe"] = recipe
    try:
        fixed, factors = split(layers)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}" if where else str(error)) from None
    if "sampler" not in options:
        options["sampler"] = "grid" if size(factors) is not None else "tpe"
    if size(factors) is None and options.get("trials") is None:
        options["trials"] = USUAL_TRIALS
    return Plan(fixed=fixed, factors=tuple(factors), **options)


# -- invalid combinations ---------------------------------------------------------------------------------------------


def why_impossible(plan: Plan, combination: Combination, data: Mapping[str, Any]) -> str | None:
    """The reason why a combination cannot be trained on the data of the study; None if it can."""
    try:
        config = plan.config(combination)
        fitted = config.data is not None and config.batch_size == TrainConfig.batch_size
        if config.batch_size > data["samples"] and not fitted:
            raise ConfigError(
                f"batch_size={config.batch_size}: expected at most {data['samples']}, the training samples"
            )
        config.architecture(tuple(data["input_shape"]), data["classes"])
    except ValueError as error:
        return str(error)
    return None


def describe(combination: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={shown(value)}" for name, value in combination.items())


# -- the study --------------------------------------------------------------------------------------------------------


class Study:
    """A study in a store: its plan, and the folder with its runs and results.

    Arguments:
        folder: the folder of the study on this machine.
        store: the store with its trials.
        study: the Optuna study.
    """

    def __init__(self, folder: Path, store: Store, study: optuna.Study) -> None:
        self.folder, self.store, self.study = folder, store, study
        store.lock_name = study.study_name
        self.storage = store.storage
        self.id = self.storage.get_study_id_from_name(study.study_name)

    @property
    def name(self) -> str:
        return self.study.study_name

    @property
    def about(self) -> dict[str, Any]:
        """The record of the study in the store: its plan and the shape of the data, as written by `create`."""
        return self.storage.get_study_user_attrs(self.id)["handgrad"]

    @property
    def plan(self) -> Plan:
        return plan_from(self.about["plan"])

    def run_dir(self, run: str) -> Path:
        """The folder of a run."""
        return self.folder / "trials" / run

    def write_plan(self) -> None:
        """Writes `study.toml`, from which the study can be repeated."""
        text = "# handgrad search THIS_FILE repeats this study\n" + tomli_w.dumps(self.about["plan"])
        advice = "Free some space or choose another --study-dir"
        write_text(self.folder / "study.toml", text, advice=advice)
        if not isinstance(self.store, FolderStore):
            where = {"address": hidden(self.store.address), "name": self.name}  # without the password
            write_text(self.folder / STORE, tomli_w.dumps(where), advice=advice)


def create(folder: Path, store: Store, name: str, plan: Plan, data: Mapping[str, Any], *, join: bool, resume: bool):
    """Creates a study in a store, or extends the existing study of this name by the additions of the plan.

    Arguments:
        plan: the plan, which may add values, seeds and trials to an existing study.
        data: `task`, `input_shape`, `classes` and `samples` of the training split.
        join: whether the study may exist.
        resume: likewise, and its plan may be extended.

    Raises:
        RunError: it exists without `join` or `resume`, or the store contains something else.
        ConfigError: the plan belongs to a different study.
    """
    store.lock_name = name
    direction = "maximize" if data["task"] == "classification" else "minimize"
    about = {"format": FORMAT, "plan": plan.to_toml(), "data": dict(data)}
    with store.locked():
        names = optuna.get_all_study_names(store.storage)
        if names and isinstance(store, FolderStore):
            name = names[0]  # a folder has only one study, and may have been renamed
        if name not in names:
            made = optuna.create_study(storage=store.storage, study_name=name, direction=direction)
            made.set_user_attr("handgrad", about)
            study = Study(folder, store, made)
        else:
            if not join and not resume:
                raise RunError(
                    f"{hidden(store.address)} already contains the study {name!r}: resume it with --resume, or choose "
                    "another --study-dir"
                )
            study = _opened(folder, store, name)
            extended = _extended(study.plan, plan, hidden(store.address))
            if extended != study.plan:
                if not resume:
                    raise ConfigError(
                        f"the study {name!r} in {hidden(store.address)} has a different plan, "
                        f"{_difference(study.plan, extended)}: leave that out, or add it to the study with --resume"
                    )
                study.study.set_user_attr("handgrad", {**study.about, "plan": extended.to_toml()})
    study.write_plan()
    return study


def _opened(folder: Path, store: Store, name: str) -> Study:
    loaded = optuna.load_study(study_name=name, storage=store.storage)
    about = loaded.user_attrs.get("handgrad")
    if about is None:
        raise RunError(
            f"{hidden(store.address)} contains an Optuna study {name!r} that handgrad search did not create: choose "
            "another --study-dir, or another database"
        )
    if about.get("format") != FORMAT:
        raise RunError(
            f"{hidden(store.address)} has format={about.get('format')}, this handgrad reads format={FORMAT}: use the "
            "version that created it, or start a new study"
        )
    return Study(folder, store, loaded)


def join(store: Store, name: str | None = None, folder: Path | None = None) -> Study:
    """Opens the study in a store.

    Arguments:
        name: the name, if there are several.
        folder: the local folder; for a store in a folder, that folder.

    Raises:
        RunError: there is none, or there are several and no name is given.
    """
    names = optuna.get_all_study_names(store.storage)
    if name is None and len(names) > 1:
        raise RunError(
            f"{hidden(store.address)} contains {len(names)} studies: choose one with --name, one of {', '.join(names)}"
        )
    if not names or (name is not None and name not in names):
        what = f"no study {name!r}; it contains {', '.join(names)}" if names else "no study yet"
        raise RunError(
            f"{hidden(store.address)} contains {what}: start one with handgrad search STUDY.toml --join STORAGE"
        )
    name = name or names[0]
    own = store.folder if isinstance(store, FolderStore) else folder or Path("studies") / name
    study = _opened(own, store, name)
    study.write_plan()
    return study


def load_study(path: str | Path) -> Study:
    """Opens the study in a folder for reading.

    Raises:
        RunError: the folder does not contain a study.
    """
    folder = Path(path)
    if folder.is_file():
        raise RunError(f"{folder} is a file, expected the folder of a study")
    if not (folder / "study.toml").exists():
        raise RunError(f"{folder} contains no study: expected a folder that handgrad search has created")
    where = folder / STORE
    if not where.exists():
        return join(open_store(folder))
    store = read_toml(where)
    return join(open_store(store["address"]), store["name"], folder)


# -- extending a plan -------------------------------------------------------------------------------------------------


def _extended(before: Plan, now: Plan, where: str) -> Plan:
    """The plan `before`, extended by the additions of `now`.

    Raises:
        ConfigError: the plans belong to different studies.
    """
    saved, wanted = _compared(before.fixed), _compared(now.fixed)
    differing = sorted(name for name in {*saved, *wanted} if saved.get(name) != wanted.get(name))
    names = [factor.name for factor in before.factors]
    if sorted(names) != sorted(factor.name for factor in now.factors):
        other = ", ".join(factor.name for factor in now.factors)
        raise ConfigError(
            f"{where} contains another study: it varies {', '.join(names)}, now it is {other}. Choose another "
            "--study-dir"
        )
    for name in differing:
        raise ConfigError(
            f"{where} contains another study: there {name}={shown(saved.get(name))}, now it is "
            f"{name}={shown(wanted.get(name))}. Leave that out, or choose another --study-dir"
        )
    factors = []
    for factor in before.factors:
        added = next(other for other in now.factors if other.name == factor.name)
        if (factor.range is None) != (added.range is None) or factor.range != added.range:
            raise ConfigError(
                f"{where} contains another study: there {_varied(factor)}, now it is {_varied(added)}. Choose another "
                "--study-dir"
            )
        missing = [value for value in factor.values if value not in added.values]
        if missing:
            raise ConfigError(
                f"the study in {where} has {factor.name}={shown(missing[0])} too: values can be added to a study, not "
                "removed. List it, or start a new study"
            )
        more = [value for value in added.values if value not in factor.values]
        factors.append(dataclasses.replace(factor, values=(*factor.values, *more)))
    for name in ("sampler", "select"):
        if getattr(before, name) != getattr(now, name):
            raise ConfigError(
                f"the study in {where} began with {name}={getattr(before, name)}, now it is "
                f"{name}={getattr(now, name)}: leave that out, or start a new study"
            )
    trials = None if before.trials is None or now.trials is None else max(before.trials, now.trials)
    if size(factors) is None:
        trials = max(before.trials or 0, now.trials or 0) or None
    return dataclasses.replace(
        now, fixed=before.fixed, factors=tuple(factors), trials=trials, seeds=max(before.seeds, now.seeds)
    )


def _varied(factor: Factor) -> str:
    """What a study varies, as in learning_rate=0.0001..0.1."""
    if factor.range is None:
        return f"{factor.name}={shown(factor.values)}"
    scale = " on a logarithmic scale" if factor.range.log else ""
    return f"{factor.name}={factor.range.low:g}..{factor.range.high:g}{scale}"


def _compared(fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Fixed settings without locations and performance settings."""
    aside = ("data", "data_dir", "offline", "checkpoint_seconds", "threads")
    return {name: value for name, value in fixed.items() if name not in aside and value is not None}


def _difference(before: Plan, now: Plan) -> str:
    for name in _OPTIONS:
        if getattr(before, name) != getattr(now, name):
            return f"{name}={getattr(before, name)} there and {name}={getattr(now, name)} now"
    for one, other in zip(before.factors, now.factors, strict=True):
        if one != other:
            more = [shown(value) for value in other.values if value not in one.values]
            return f"without {one.name}={more[0]}"
    return "other settings"


def first_combinations(plan: Plan) -> Sequence[Combination]:
    """The combinations of a plan with only lists as factors, in training order."""
    every = list(grid(plan.factors))
    if plan.sampler == "random":
        order = np.random.default_rng((plan.seed, len(every))).permutation(len(every))
        every = [every[i] for i in order]
    return every[: plan.combinations]
