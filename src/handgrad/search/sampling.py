"""Combinations drawn by Optuna's samplers.

The store contains runs. A sampler works on an in-memory study with one trial per combination, whose value is the mean
over its seeds. Its random numbers depend on the seed of the study and the number of combinations, so the same study
draws the same combinations with any number of workers, as long as results arrive in the same order.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from handgrad.search.space import Combination, Factor, every, key_of
from handgrad.search.study import Plan, why_impossible

#: Maximum number of draws if a combination already exists.
ATTEMPTS = 50


def distribution(factor: Factor) -> BaseDistribution:
    """The Optuna distribution of a factor; lists are encoded as JSON, because Optuna's choices are scalars."""
    span = factor.range
    if span is None:
        return CategoricalDistribution([_choice(value) for value in factor.values])
    if isinstance(span.low, int) and isinstance(span.high, int):
        return IntDistribution(span.low, span.high, log=span.log)
    return FloatDistribution(span.low, span.high, log=span.log)


def _choice(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value


def _value(factor: Factor, choice: Any) -> Any:
    return json.loads(choice) if factor.range is None and any(isinstance(v, list) for v in factor.values) else choice


def in_memory(plan: Plan, combinations: Sequence[tuple[Combination, float | None]], sampler=None) -> optuna.Study:
    """An in-memory study with one trial per combination; trials without a value are running."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = {factor.name: distribution(factor) for factor in plan.factors}
    trials = []
    for combination, value in combinations:
        params = {name: _choice(value) for name, value in combination.items()}
        known = {"params": params, "distributions": distributions}
        if value is not None and math.isfinite(value):
            trials.append(create_trial(value=value, **known))
        else:
            trials.append(create_trial(state=TrialState.RUNNING, **known))
    study.add_trials(trials)
    return study


def means(trials: Sequence[FrozenTrial], sign: float = 1.0) -> list[tuple[Combination, float | None]]:
    """The combinations of the trials in order, with the mean of the results; None if there are none."""
    values: dict[str, list[float]] = {}
    combinations: dict[str, Combination] = {}
    for trial in trials:
        combination = trial.user_attrs.get("combination")
        if combination is None or trial.user_attrs.get("why") in ("impossible", "duplicate"):
            continue
        key = key_of(combination)
        combinations.setdefault(key, combination)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and trial.value is not None:
            values.setdefault(key, []).append(sign * trial.value)
    return [(combinations[key], sum(v) / len(v) if (v := values.get(key)) else None) for key in combinations]


def draw(
    plan: Plan, data: Mapping[str, Any], trials: Sequence[FrozenTrial]
) -> tuple[Combination, str | None] | tuple[None, None]:
    """A new combination, and the reason if it cannot be trained; None if the sampler does not find a new one."""
    sign = 1.0 if data["task"] == "classification" else -1.0  # the in-memory study is maximized
    there = {key_of(trial.user_attrs["combination"]) for trial in trials if "combination" in trial.user_attrs}
    seed = (plan.seed * 1_000_003 + len(there)) % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if plan.sampler == "tpe":
            sampler = optuna.samplers.TPESampler(seed=seed)
        else:
            sampler = optuna.samplers.RandomSampler(seed=seed)
        study = in_memory(plan, means(trials, sign), sampler)
    for _ in range(ATTEMPTS):
        trial = study.ask({factor.name: distribution(factor) for factor in plan.factors})
        combination = {factor.name: _value(factor, trial.params[factor.name]) for factor in plan.factors}
        if key_of(combination) not in there:
            return combination, why_impossible(plan, combination, data)
    for combination in every(plan.factors) or ():  # nearly all exist
        if key_of(combination) not in there:
            return combination, why_impossible(plan, combination, data)
    return None, None
