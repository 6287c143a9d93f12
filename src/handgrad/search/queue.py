"""The queue that assigns the runs of a study to any number of workers, which may die at any moment.

Every run has a key, consisting of its combination and seed, and becomes an Optuna trial with that key. All decisions
depend only on the trials in the store, under the lock of the study: a run without a waiting, running or finished trial
gets a new one. Nothing is lost if a worker dies between two actions. If two trials of the same run finish, which could
happen with a broken lock, the run is counted once.
"""

from __future__ import annotations

import functools
import hashlib
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial

from handgrad.errors import ConfigError
from handgrad.search.sampling import draw
from handgrad.search.space import Combination, every, key_of, size
from handgrad.search.store import GRACE_SECONDS
from handgrad.search.study import Plan, Study, describe, first_combinations, why_impossible

#: Maximum number of waiting trials: every query of the store reads them all, and stacked runs are selected from them.
WAITING = 256

#: After this many deaths of workers at the same step of a run, the run is given up.
MAX_DEATHS = 10

#: Reasons for failed trials. All but the first are final.
LOST, DIVERGED, IMPOSSIBLE, ERROR, DUPLICATE = "lost", "diverged", "impossible", "error", "duplicate"


@dataclass(frozen=True)
class Job:
    """An assigned run.

    Arguments:
        trial_id, number: of the trial in the store and in the study.
        run: the key, which is the name of the run folder.
        combination: the values of the factors.
        seed: offset of the run's seed from that of the study.
    """

    trial_id: int
    number: int
    run: str
    combination: Combination
    seed: int


def run_key(combination: Mapping[str, Any], seed: int) -> str:
    """A name for the run of a combination and seed, the same in every study."""
    return f"{combination_key(combination)}-{seed}"


def combination_key(combination: Mapping[str, Any]) -> str:
    return hashlib.sha256(key_of(combination).encode()).hexdigest()[:12]


@functools.cache
def here() -> str:
    """Identifies this machine, or container, within which process ids are comparable."""
    try:
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    except OSError:
        space = ""
    return f"{socket.gethostname()} {space}"


def owner(pid: int | None = None) -> str:
    return f"{here()} {pid or os.getpid()}"


def _is_dead(who: str) -> bool:
    """Whether a worker is known to be dead: a process of this machine that no longer exists."""
    machine, _, pid = who.rpartition(" ")
    if machine != here():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return False


def is_final(trial: FrozenTrial) -> bool:
    """Whether a trial completes its run."""
    if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
        return True
    return trial.state == TrialState.FAIL and trial.user_attrs.get("why", LOST) not in (LOST, DUPLICATE)


class Queue:
    """The runs of a study from the perspective of one process.

    Arguments:
        grace_seconds: time without a heartbeat after which a worker counts as dead.
    """

    def __init__(self, study: Study, *, grace_seconds: float = GRACE_SECONDS) -> None:
        self.study, self.store, self.storage = study, study.store, study.storage
        self.grace_seconds = grace_seconds
        self._planned: tuple[Any, list[Combination]] = (None, [])

    # -- queries ------------------------------------------------------------------------------------------------------

    def trials(self) -> list[FrozenTrial]:
        """The trials of the study, read-only."""
        return self.storage.get_all_trials(self.study.id, deepcopy=False)

    def finished(self) -> bool:
        """Whether all requested runs have finished."""
        trials = self.trials()
        live = any(not trial.state.is_finished() for trial in trials)
        return not live and next(self._missing(trials), None) is None and not self._may_draw(trials)

    def wanted(self) -> int | None:
        """Number of requested runs; None if only a timeout ends the study."""
        plan = self.study.plan
        combinations = len(self._combinations(plan)) or plan.combinations
        return combinations * plan.seeds if combinations is not None else None

    def _combinations(self, plan: Plan) -> list[Combination]:
        """The combinations of the lists; empty for samplers that draw them."""
        if size(plan.factors) is None or plan.sampler == "tpe":
            return []
        content = plan.to_toml()
        if self._planned[0] != content:
            data = self.study.about["data"]
            every = first_combinations(plan)
            possible = [combination for combination in every if why_impossible(plan, combination, data) is None]
            self._planned = (content, possible)
        return self._planned[1]

    def _missing(self, trials: list[FrozenTrial]) -> Iterator[tuple[Combination, int]]:
        """The requested runs without a waiting, running or finished trial."""
        plan = self.study.plan
        there = {
            trial.user_attrs["run"]
            for trial in trials
            if "run" in trial.user_attrs and (not trial.state.is_finished() or is_final(trial))
        }
        for combination in self._combinations(plan) or _drawn(trials).values():
            for seed in range(plan.seeds):
                if run_key(combination, seed) not in there:
                    yield combination, seed

    def _may_draw(self, trials: list[FrozenTrial]) -> bool:
        plan = self.study.plan
        if size(plan.factors) is not None and plan.sampler != "tpe":
            return False
        if plan.combinations is not None and len(_drawn(trials)) >= plan.combinations:
            return False
        tried = {trial.user_attrs.get("run", "-").rpartition("-")[0] for trial in trials}
        return any(combination_key(combination) not in tried for combination in every(plan.factors) or ({},))

    # -- assigning runs -----------------------------------------------------------------------------------------------

    def take(self, choose: Callable[[list[Job], int], list[int]] = lambda jobs, busy: [0]) -> list[Job]:
        """Assigns runs to this process, which owns them from then on; empty if there are none at the moment.

        Arguments:
            choose: selects from the waiting runs, as indices, given the number of processes of this machine with runs.
        """
        with self.store.locked():
            trials = self.trials()
            self._reap(trials)
            waiting = sum(trial.state == TrialState.WAITING for trial in trials)
            if waiting < WAITING:
                self._fill(self.trials(), WAITING - waiting)
            trials = self.trials()
            jobs = self._waiting(trials)
            if not jobs:
                return []
            owners = {t.user_attrs.get("owner", "") for t in trials if t.state == TrialState.RUNNING}
            chosen = choose(jobs, sum(who.startswith(f"{here()} ") for who in owners))
            return [job for job in (jobs[i] for i in chosen) if self._claim(job)]

    def _waiting(self, trials: list[FrozenTrial]) -> list[Job]:
        """The waiting runs without duplicates: a run may have been added twice, for example if a database did not
        confirm it."""
        seen = {trial.user_attrs.get("run") for trial in trials if is_final(trial)}
        seen |= {trial.user_attrs.get("run") for trial in trials if trial.state == TrialState.RUNNING}
        jobs = []
        for trial in trials:
            if trial.state != TrialState.WAITING:
                continue
            about = trial.user_attrs
            if about["run"] in seen:
                self.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
                self.fail(trial._trial_id, DUPLICATE)
                continue
            seen.add(about["run"])
            jobs.append(Job(trial._trial_id, trial.number, about["run"], about["combination"], about["seed"]))
        return jobs

    def _claim(self, job: Job) -> bool:
        self.store.beat(job.trial_id)  # first: a running trial without a heartbeat would never be returned
        self.storage.set_trial_user_attr(job.trial_id, "owner", owner())
        return self.storage.set_trial_state_values(job.trial_id, TrialState.RUNNING)

    def _fill(self, trials: list[FrozenTrial], most: int) -> None:
        """Adds trials for runs that have none, up to this number; draws a combination if none is waiting."""
        added = 0
        for combination, seed in self._missing(trials):
            self._add(combination, seed)
            added += 1
            if added == most:
                return
        while added == 0 and most == WAITING and self._may_draw(trials):
            plan = self.study.plan
            combination, impossible = draw(plan, self.study.about["data"], trials)
            if combination is not None and impossible is not None:
                if plan.impossible == "refuse":
                    raise ConfigError(
                        f"{describe(combination)} cannot be trained: {impossible}. Remove it from the ranges, or "
                        "skip such combinations with --impossible skip"
                    )
                self._add(combination, 0, why=IMPOSSIBLE, message=impossible)
                trials = self.trials()
            elif combination is not None:
                for seed in range(plan.seeds):
                    self._add(combination, seed)
                return
            else:
                return

    def _add(self, combination: Combination, seed: int, **about: str) -> None:
        attributes = {"run": run_key(combination, seed), "combination": combination, "seed": seed, **about}
        state = TrialState.FAIL if "why" in about else TrialState.WAITING
        self.study.study.add_trial(create_trial(state=state, user_attrs=attributes))

    # -- returning runs -----------------------------------------------------------------------------------------------

    def _reap(self, trials: list[FrozenTrial]) -> None:
        """Returns the trials of dead workers to the queue: processes of this machine that no longer exist, and
        workers on any machine without a recent heartbeat. While the store was unavailable, no heartbeats could be
        recorded."""
        running = [trial for trial in trials if trial.state == TrialState.RUNNING]
        dead = {trial._trial_id for trial in running if _is_dead(trial.user_attrs.get("owner", ""))}
        if time.monotonic() - self.store.away_until > self.grace_seconds:
            ids = [trial._trial_id for trial in running if trial._trial_id not in dead]
            dead |= self.store.stale(self.study.id, ids, self.grace_seconds) if ids else set()
        for trial in running:
            if trial._trial_id in dead:
                self._return_to_queue(trial, trials)

    def _return_to_queue(self, trial: FrozenTrial, trials: list[FrozenTrial]) -> None:
        here = trial.user_attrs.get("step", 0)
        deaths = Counter(
            other.user_attrs.get("step", 0)
            for other in trials
            if other.user_attrs.get("run") == trial.user_attrs.get("run") and other.user_attrs.get("died")
        )
        self.storage.set_trial_user_attr(trial._trial_id, "died", True)
        if deaths[here] + 1 >= MAX_DEATHS:
            message = f"its worker died {MAX_DEATHS} times after step {here}: is there enough memory?"
            self.fail(trial._trial_id, ERROR, message)
        else:
            self.fail(trial._trial_id, LOST)

    def return_runs(self, pid: int) -> None:
        """Returns the runs of a dead process of this machine to the queue."""
        with self.store.locked():
            trials = self.trials()
            for trial in trials:
                if trial.state == TrialState.RUNNING and trial.user_attrs.get("owner") == owner(pid):
                    self._return_to_queue(trial, trials)

    def begun(self, job: Job, step: int) -> None:
        """Records the step from which a run is resumed."""
        self.storage.set_trial_user_attr(job.trial_id, "step", step)

    def fail(self, trial_id: int, why: str, message: str = "") -> None:
        """Ends a trial without a result; with `LOST`, the run is assigned again."""
        try:
            if message:
                self.storage.set_trial_user_attr(trial_id, "message", message)
            self.storage.set_trial_user_attr(trial_id, "why", why)
            self.storage.set_trial_state_values(trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            pass  # it has already been returned

    def tell(self, job: Job, value: float, result: Mapping[str, Any], *, pruned: bool = False) -> bool:
        """Records the result of a run; returns False if the trial was considered dead and returned in the meantime."""
        try:
            self.storage.set_trial_user_attr(job.trial_id, "result", dict(result))
            state = TrialState.PRUNED if pruned else TrialState.COMPLETE
            return self.storage.set_trial_state_values(job.trial_id, state, [value])
        except UpdateFinishedTrialError:
            return self.storage.get_trial(job.trial_id).state != TrialState.FAIL


def _drawn(trials: list[FrozenTrial]) -> dict[str, Combination]:
    """The valid combinations that a sampler has drawn, in order."""
    found: dict[str, Combination] = {}
    for trial in trials:
        combination = trial.user_attrs.get("combination")
        if combination is not None and trial.user_attrs.get("why") != IMPOSSIBLE:
            found.setdefault(combination_key(combination), combination)
    return found
