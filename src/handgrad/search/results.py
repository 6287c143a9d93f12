"""The results of a study: a row for each run and each combination, and the best combinations."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from handgrad.search.queue import combination_key, is_final
from handgrad.search.space import Combination, shown
from handgrad.search.study import Plan, Study, describe
from handgrad.search.worker import objective, sign_of
from handgrad.training.judging import MEASURES

#: Smallest number of seeds per combination for calling one better than another, as in `handgrad.reports.significance`.
MIN_SEEDS = 3


@dataclass(frozen=True)
class Result:
    """A finished run.

    Arguments:
        run: its key, which is the name of its folder.
        seed: seed of the run.
        state: complete, pruned, diverged, impossible or error.
        figures: recorded results; empty if the run failed.
        message: the reason of a failure.
    """

    run: str
    combination: Combination
    seed: int
    state: str
    figures: dict[str, Any]
    message: str = ""

    @property
    def value(self) -> float | None:
        return self.figures.get("value")


@dataclass(frozen=True)
class Row:
    """One combination with all its seeds.

    Arguments:
        number: its position in the order in which combinations were started, from 1.
        results: its runs, in the order of their seeds.
        sign: 1 if larger values are better, -1 if smaller ones are.
    """

    number: int
    combination: Combination
    results: tuple[Result, ...]
    sign: int = 1

    @property
    def values(self) -> list[float]:
        """The values of the runs that were trained to the end."""
        return [r.value for r in self.results if r.state == "complete" and r.value is not None]

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.values) if self.values else None

    @property
    def spread(self) -> float | None:
        """The standard deviation over seeds; None for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def score(self) -> float:
        """The sort key of rows: larger is better."""
        return -math.inf if self.mean is None else self.sign * self.mean

    @property
    def state(self) -> str:
        states = [result.state for result in self.results]
        return next((state for state in ("complete", "pruned", "diverged", "impossible") if state in states), states[0])

    def average(self, name: str) -> float | None:
        """The mean of a metric over the runs that have it."""
        found = [r.figures[name] for r in self.results if r.state == "complete" and r.figures.get(name) is not None]
        return statistics.fmean(found) if found else None


@dataclass(frozen=True)
class Findings:
    """The results of a study so far.

    Arguments:
        plan: the plan of the study.
        figure: the selection metric, such as validation_accuracy.
        rows: the combinations that have a finished run, best first.
        best: the best combination, if it exceeds the next by more than the standard deviation over seeds, otherwise all
            tied ones.
        waiting, running: numbers of waiting and running runs.
        workers: number of processes with running runs.
        lost: number of times that a run was returned to the queue.
        tested: keys of the combinations whose test results were shown before, as they were the best so far.
    """

    plan: Plan
    figure: str
    rows: list[Row]
    best: list[Row] = field(default_factory=list)
    waiting: int = 0
    running: int = 0
    workers: int = 0
    lost: int = 0
    tested: frozenset[str] = frozenset()

    @property
    def runs(self) -> int:
        return sum(len(row.results) for row in self.rows)

    def count(self, state: str) -> int:
        return sum(result.state == state for row in self.rows for result in row.results)

    def shows_test(self, row: Row) -> bool:
        """Whether to show the test result of a combination: of all if it was the selection metric, otherwise only of
        the best."""
        return self.plan.select == "test" or row in self.best


def findings(study: Study, trials: Sequence[FrozenTrial] | None = None) -> Findings:
    """The results from the trials of a study. A run with two finished trials is counted once, with the first."""
    about = study.about
    plan = study.plan
    task = about["data"]["task"]
    sign = sign_of(objective(plan, task))
    if trials is None:
        trials = study.storage.get_all_trials(study.id, deepcopy=False)
    results: dict[str, Result] = {}
    for trial in trials:
        run = trial.user_attrs.get("run")
        if run is None or run in results or not is_final(trial):
            continue
        state = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}.get(trial.state)
        figures = trial.user_attrs.get("result", {}) if state else {}
        results[run] = Result(
            run,
            trial.user_attrs["combination"],
            plan.seed + trial.user_attrs["seed"],
            state or trial.user_attrs["why"],
            figures,
            trial.user_attrs.get("message", ""),
        )
    grouped: dict[str, list[Result]] = {}
    for result in results.values():
        grouped.setdefault(combination_key(result.combination), []).append(result)
    rows = [
        Row(number, group[0].combination, tuple(sorted(group, key=lambda r: r.seed)), sign)
        for number, group in enumerate(grouped.values(), start=1)
    ]
    rows.sort(key=lambda row: (-row.score, row.number))
    return Findings(
        plan,
        objective(plan, task),
        rows,
        best_of(rows),
        waiting=sum(trial.state == TrialState.WAITING for trial in trials),
        running=sum(trial.state == TrialState.RUNNING for trial in trials),
        workers=len({t.user_attrs.get("owner") for t in trials if t.state == TrialState.RUNNING}),
        lost=sum(trial.state == TrialState.FAIL and not is_final(trial) for trial in trials),
        tested=frozenset(study.storage.get_study_user_attrs(study.id).get(_TESTED, ())),
    )


def limited_to(found: Findings, rows: list[Row]) -> Findings:
    """The findings about some of the combinations, with the settings that vary among them."""
    factors = []
    for factor in found.plan.factors:
        if factor.range is None:
            kept = [row.combination[factor.name] for row in rows]
            factor = replace(factor, values=tuple(value for value in factor.values if value in kept))
        if factor.range is not None or len(factor.values) > 1:
            factors.append(factor)
    plan = replace(found.plan, factors=tuple(factors or found.plan.factors))
    return replace(found, plan=plan, rows=rows, best=best_of(rows))


def record_tested(study: Study, found: Findings) -> None:
    """Records in the store whose test results are shown, because later ones are no longer measured once."""
    if (shown := found.tested | _keys(found.best)) != found.tested and found.plan.select != "test":
        study.storage.set_study_user_attr(study.id, _TESTED, sorted(shown))


_TESTED = "tested"


def _keys(rows: Sequence[Row]) -> frozenset[str]:
    return frozenset(combination_key(row.combination) for row in rows)


def best_of(rows: Sequence[Row]) -> list[Row]:
    """The best of ranked rows: the first, and all that it does not exceed by more than the larger of the two
    standard deviations over seeds."""
    ranked = [row for row in rows if row.mean is not None]
    if not ranked:
        return []
    first = ranked[0]
    return [row for row in ranked if row is first or first.score - row.score <= _spread(first, row)]


def _spread(one: Row, other: Row) -> float:
    return max(one.spread or 0.0, other.spread or 0.0)


def best_statement(findings: Findings) -> str:
    """A statement about the best combination, in one or two lines."""
    best = findings.best
    if not best:
        return "No run has finished yet."
    name = findings.figure.replace("_", " ")
    first = best[0]
    figure = with_spread(first)
    if len(best) > 1:
        why = "within their spread over seeds" if best[-1].score < first.score else "with the same value"
        return f"{len(best)} combinations tie for the best {name}, {figure}, {why}: more seeds may separate them."
    said = f"Best {name}: {figure}"
    ranked = [row for row in findings.rows if row.mean is not None]
    if len(ranked) < 2:
        return f"{said}."
    second = ranked[1]
    said += f", ahead of the next by {abs(first.score - second.score):.4f}"
    seeds = min(len(first.values), len(second.values))
    if seeds < 2:
        return f"{said}. With one seed each, the variation is unknown: see --seeds."
    if seeds < MIN_SEEDS:
        return f"{said}. {seeds} seeds are too few to tell whether it is better: train at least {MIN_SEEDS} (--seeds)."
    if not first.spread and not second.spread:
        return f"{said}. All seeds gave the same result, so no test can tell whether it is better."
    return f"{said}, more than their standard deviation over seeds."


def with_spread(row: Row, name: str | None = None) -> str:
    """A mean with its standard deviation, such as 0.9512 ± 0.0031 (3 seeds)."""
    if name is None:
        mean, spread, n = row.mean, row.spread, len(row.values)
    else:
        found = [r.figures[name] for r in row.results if r.figures.get(name) is not None]
        mean = statistics.fmean(found) if found else None
        spread, n = (statistics.stdev(found) if len(found) > 1 else None), len(found)
    if mean is None:
        return ""
    return f"{mean:.4f}" if spread is None else f"{mean:.4f} ± {spread:.4f} ({n} seeds)"


# -- files ------------------------------------------------------------------------------------------------------------


def _figures(found: Findings) -> list[str]:
    """The recorded values of an evaluation."""
    measure = found.figure.partition("_")[2]
    measures = next(names for names in MEASURES.values() if measure in names)
    return [f"{split}_{name}" for split in ("train", "validation", "test") for name in ("loss", *measures)]


def to_csv(found: Findings) -> str:
    """One line per run, best combination first; test results only of the best, unless they were the selection
    metric."""
    names = [factor.name for factor in found.plan.factors]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    recorded = _figures(found)
    writer.writerow(
        [
            *("rank", "run", *names, "seed", "state", "best_step", "steps"),
            *recorded,
            "seconds",
            "multiply_adds",
            "parameters",
            "message",
        ]
    )
    for rank, row in enumerate(found.rows, start=1):
        for result in row.results:
            figures = {
                name: result.figures.get(name)
                for name in recorded
                if not name.startswith("test_") or found.shows_test(row)
            }
            cells = [rank if row.mean is not None else "", result.run]
            cells += [_cell(result.combination[name]) for name in names]
            cells += [result.seed, result.state, result.figures.get("best_step"), result.figures.get("steps")]
            cells += [figures.get(name) for name in recorded]
            read_off = f"read off {result.figures['read_off']}" if "read_off" in result.figures else ""
            cells += [result.figures.get(name) for name in ("seconds", "multiply_adds", "parameters")]
            cells.append(result.message or read_off)
            writer.writerow(cells)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return shown(value) if isinstance(value, (list, bool)) or value is None else value


def best_toml(found: Findings) -> str | None:
    """The configuration of the best combination for `handgrad train --config`; None if there is none yet."""
    if not found.best:
        return None
    first = found.best[0]
    lines = [f"# {best_statement(found)}", "# handgrad train --config THIS_FILE trains it"]
    lines += [f"# ties with it: {describe(row.combination)}" for row in found.best[1:6]]
    body = found.plan.config(first.combination).to_toml().split("\n", 1)[1]
    return "\n".join(lines) + "\n" + body


def summary_lines(found: Findings) -> list[str]:
    """The remarks below the table."""
    lines = [best_statement(found)]
    if found.plan.select == "test":
        lines.append(
            "Selected on the test set, which is optimistically biased: the best of many test results is partly luck. "
            "Results on new data are likely to be lower."
        )
    elif found.best:
        name = "test_" + found.figure.partition("_")[2]
        tested = "; ".join(text for row in found.best[:3] if (text := with_spread(row, name)))
        if tested:
            said = f"Test {name.partition('_')[2]} of the best"
            if before := len(found.tested - _keys(found.best)):
                others = "another combination was" if before == 1 else f"{before:,} other combinations were"
                lines.append(f"{said}: {tested}. Before, {others} the best and measured on the test set.")
            else:
                lines.append(f"{said}, measured once: {tested}.")
    read_off = sum("read_off" in result.figures for row in found.rows for result in row.results)
    if read_off:
        lines.append(
            f"{read_off:,} of {found.runs:,} runs were taken from the first steps of a longer run with the same "
            "settings."
        )
    failed = {state: found.count(state) for state in ("pruned", "diverged", "error", "impossible")}
    said = [f"{n:,} {words}" for state, words in _FAILED if (n := failed[state])]
    if said:
        lines.append(f"Of {found.runs:,} runs {', '.join(said)}.")
    messages = {result.message for row in found.rows for result in row.results if result.state == "error"}
    lines += [f"Failed: {message}" for message in sorted(messages)[:3]]
    if found.running or found.waiting:
        lines.append(f"{found.running:,} runs in progress, {found.waiting:,} waiting.")
    return lines


_FAILED = (
    ("pruned", "were stopped early by the pruner"),
    ("diverged", "diverged"),
    ("error", "failed"),
    ("impossible", "could not be trained and were skipped"),
)
