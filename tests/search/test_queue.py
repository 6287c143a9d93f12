"""Runs are assigned once each, returned when a worker dies, and counted once."""

import contextlib
import math
import os
import sys
import threading
import time

import pytest

from handgrad.data.lock import exclusive
from handgrad.errors import ConfigError, RunError
from handgrad.search import findings, plan_from
from handgrad.search import queue as queues
from handgrad.search.queue import DIVERGED, ERROR, LOST, Job, Queue
from handgrad.search.store import JOURNAL, FolderStore, open_store
from handgrad.search.study import create, join, load_study
from handgrad.search.worker import Worker
from handgrad.training import Interrupted
from handgrad.training.run import RunFolder

DATA = {"task": "classification", "input_shape": [1, 8, 8], "classes": 10, "samples": 1000}
RESULT = {"value": 0.5, "best_step": 1, "steps": 1, "seconds": 0.1}


@pytest.fixture
def made(tmp_path):
    """Creates a study with these settings, or opens it like another process."""

    def make(settings=None, **options):
        plan = plan_from(settings or {"learning_rate": [1e-2, 1e-3], "batch_size": [8, 16]}, **options)
        return create(tmp_path, FolderStore(tmp_path), "study", plan, DATA, join=True, resume=True)

    return make


def finish(queue: Queue, most: int = 1000) -> list[str]:
    """Takes and reports every run; returns the keys in order."""
    runs = []
    while (job := take(queue)) is not None and len(runs) < most:
        queue.tell(job, RESULT["value"], RESULT)
        runs.append(job.run)
    return runs


def take(queue: Queue) -> Job | None:
    """The next run."""
    return next(iter(queue.take()), None)


def test_every_run_of_a_grid_is_handed_out_once(made):
    one, other = Queue(made(seeds=3)), Queue(made(seeds=3))
    jobs = [take(queue) for _ in range(6) for queue in (one, other)]
    assert len({job.run for job in jobs}) == 12
    assert take(one) is None
    assert not one.finished()  # they are under way
    for job in jobs:
        assert one.tell(job, 0.5, RESULT)
    assert other.finished()
    assert findings(made(seeds=3)).runs == 12


def test_more_runs_than_may_wait_at_a_time(made, monkeypatch):
    monkeypatch.setattr(queues, "WAITING", 3)
    queue = Queue(made(seeds=5))
    assert len(set(finish(queue))) == 20
    assert queue.finished()


def dead_worker() -> str:
    """The name of a process that no longer exists."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return queues.owner(pid)


def test_what_a_dead_process_of_this_machine_had_is_handed_out_again(made, monkeypatch):
    queue = Queue(made())
    with monkeypatch.context() as patch:
        dead = dead_worker()
        patch.setattr(queues, "owner", lambda pid=None: dead)
        lost = take(queue)
    runs = finish(queue)
    assert lost.run in runs
    assert len(runs) == 4
    assert findings(made()).lost == 1


@pytest.mark.parametrize("beats", [True, False])
def test_a_worker_of_another_machine_is_dead_after_so_long_without_a_heartbeat(made, monkeypatch, beats):
    study = made()
    with monkeypatch.context() as patch:
        patch.setattr(queues, "owner", lambda pid=None: "another-machine pid:[1] 7")
        job = take(Queue(study))
    queue = Queue(study, grace_seconds=0.3)
    study.store.away_until = time.monotonic()
    others = finish(queue)
    assert len(others) == 3  # it may yet be alive: so far its heartbeat could not have been late
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        if beats:
            study.store.beat(job.trial_id)
        time.sleep(0.05)
    assert finish(queue) == ([] if beats else [job.run])


def test_a_worker_that_comes_back_after_it_was_taken_for_dead_is_not_counted(made, monkeypatch):
    study = made()
    queue = Queue(study, grace_seconds=0.1)
    with monkeypatch.context() as patch:
        patch.setattr(queues, "owner", lambda pid=None: "another-machine pid:[1] 7")
        asleep = take(queue)
    study.store.away_until = 0.0
    time.sleep(0.3)
    assert asleep.run in finish(queue)
    assert not queue.tell(asleep, 0.99, {**RESULT, "value": 0.99})  # no exception either
    queue.fail(asleep.trial_id, ERROR, "too late")
    found = findings(study)
    assert found.runs == 4
    assert {result.value for row in found.rows for result in row.results} == {0.5}


def test_a_heartbeat_is_there_before_the_trial_is_under_way(made, monkeypatch):
    study = made()
    queue = Queue(study)

    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(study.store, "beat", dies)
        with contextlib.suppress(KeyboardInterrupt):
            take(queue)
    assert len(finish(queue)) == 4


def test_a_run_that_was_added_twice_is_counted_once(made):
    study = made()
    queue = Queue(study)
    first = take(queue)
    queue._add(first.combination, first.seed)  # as after a commit whose answer never came
    queue._add(first.combination, first.seed)
    assert len(finish(queue)) == 3
    queue.tell(first, 0.5, RESULT)
    assert take(queue) is None
    assert queue.finished()
    assert findings(study).runs == 4


def test_a_run_that_kills_its_workers_fails_in_the_end(made, monkeypatch):
    queue = Queue(made({"learning_rate": [1e-2, 1e-3]}))
    dead = dead_worker()
    monkeypatch.setattr(queues, "owner", lambda pid=None: dead)
    taken = []
    while not queue.finished():
        job = take(queue)
        if job is not None:
            taken.append(job.run)
    assert len(taken) == 2 * queues.MAX_DEATHS
    found = findings(queue.study)
    assert {r.state for row in found.rows for r in row.results} == {"error"}
    assert "its worker died 10 times after step 0: is there enough memory?" in found.rows[0].results[0].message


def test_deaths_count_only_where_the_run_gets_no_further(made, monkeypatch):
    queue = Queue(made({"learning_rate": [1e-2, 1e-3]}, trials=1))
    dead = dead_worker()
    monkeypatch.setattr(queues, "owner", lambda pid=None: dead)
    for step in range(2 * queues.MAX_DEATHS):
        queue.begun(take(queue), step)
    assert take(queue) is not None


def test_diverged_runs_are_final_and_lost_ones_are_not(made):
    queue = Queue(made())
    first, second = take(queue), take(queue)
    queue.fail(first.trial_id, DIVERGED, "the loss is no longer a finite number")
    queue.fail(second.trial_id, LOST)
    runs = finish(queue)
    assert second.run in runs
    assert first.run not in runs
    assert findings(queue.study).count("diverged") == 1


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_samplers_draw_so_many_different_combinations(made, sampler):
    settings = {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "hidden_units": [[8], [8, 8]]}
    queue = Queue(made(settings, sampler=sampler, trials=6, seeds=2))
    runs = finish(queue)
    assert len(set(runs)) == 12
    assert queue.finished()
    rows = findings(queue.study).rows
    assert len(rows) == 6
    assert all(1e-4 <= row.combination["learning_rate"] <= 1e-1 for row in rows)
    assert all(len(row.results) == 2 for row in rows)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_samplers_over_lists_end_with_the_last_combination(made, sampler):
    queue = Queue(made(sampler=sampler, trials=100))
    assert len(set(finish(queue))) == 4
    assert queue.finished()


def test_whole_numbers_of_a_range_end_too(made):
    queue = Queue(made({"batch_size": {"low": 8, "high": 10}}, sampler="random", trials=100))
    runs = finish(queue)
    assert sorted(row.combination["batch_size"] for row in findings(queue.study).rows) == [8, 9, 10]
    assert len(runs) == 3
    assert queue.finished()


def test_random_draws_are_the_same_whoever_draws(tmp_path):
    drawn = []
    for folder in ("a", "b"):
        plan = plan_from({"learning_rate": {"low": 1e-4, "high": 1e-1}}, sampler="random", trials=5)
        study = create(tmp_path / folder, FolderStore(tmp_path / folder), "s", plan, DATA, join=False, resume=False)
        drawn.append(sorted(finish(Queue(study))))
    assert drawn[0] == drawn[1]


def test_tpe_comes_nearer_to_the_best(made):
    """With the best result at 1e-2, most values of the second half are within a decade of it."""
    settings = {"learning_rate": {"low": 1e-6, "high": 1.0, "log": True}}
    queue = Queue(made(settings, sampler="tpe", trials=40))
    distances = []
    while (job := take(queue)) is not None:
        distance = abs(math.log10(job.combination["learning_rate"]) + 2)
        queue.tell(job, -distance, {**RESULT, "value": -distance})
        distances.append(distance)
    assert sum(distance < 1 for distance in distances[20:]) >= 12
    assert len(distances) == 40


def test_combinations_that_cannot_be_are_left_out_of_a_grid(made):
    queue = Queue(made({"batch_size": [8, 5000]}, impossible="skip"))
    assert len(finish(queue)) == 1
    assert queue.finished()


def test_combinations_that_cannot_be_are_refused_as_they_are_drawn(made):
    settings = {"batch_size": {"low": 990, "high": 1010}}
    with pytest.raises(ConfigError, match=r"batch_size=10\d+ cannot be trained: .*samples.* --impossible skip"):
        finish(Queue(made(settings, sampler="random", trials=21)))


def test_combinations_that_cannot_be_are_skipped_and_counted_as_they_are_drawn(made):
    settings = {"batch_size": {"low": 990, "high": 1010}}
    queue = Queue(made(settings, sampler="random", trials=21, impossible="skip"))
    assert len(finish(queue)) == 11
    assert queue.finished()
    assert findings(queue.study).count("impossible") == 10


# -- a plan that grows, and other people's stores ---------------------------------------------------------------------


def test_values_seeds_and_trials_can_be_added(made):
    settings = {"learning_rate": [1e-2, 1e-3]}
    assert len(finish(Queue(made(settings)))) == 2
    grown = made({"learning_rate": [1e-4, 1e-2, 1e-3]}, seeds=2)
    assert grown.plan.factors[0].values == (1e-2, 1e-3, 1e-4)
    assert len(finish(Queue(grown))) == 4
    assert findings(grown).runs == 6


@pytest.mark.parametrize(
    ("settings", "options", "match"),
    [
        ({"learning_rate": [1e-2], "batch_size": [8, 16]}, {}, r"has learning_rate=0.001 too: values can be added"),
        (
            {"learning_rate": [1e-2, 1e-3]},
            {},
            r"another study: it varies learning_rate, batch_size, now it is learning",
        ),
        (
            {"learning_rate": [1e-2, 1e-3], "batch_size": [8, 16], "momentum": 0.5, "optimizer": "sgd"},
            {},
            r"contains another study: there momentum=none, now it is momentum=0.5. Leave that out, or choose another",
        ),
        (
            {"learning_rate": [1e-2, 1e-3], "batch_size": [8, 16]},
            {"select": "test"},
            r"began with select=validation, now it is select=test: leave that out",
        ),
    ],
)
def test_another_study_is_refused(made, settings, options, match):
    made()
    with pytest.raises(ConfigError, match=match):
        made(settings, **options)


@pytest.mark.parametrize(
    ("wanted", "now"),
    [({"low": 1e-3, "high": 1.0}, "learning_rate=0.001..1"), ([1e-2, 1e-3], "learning_rate=0.01,0.001")],
)
def test_another_range_is_refused(made, wanted, now):
    made({"learning_rate": {"low": 1e-4, "high": 1e-1}}, sampler="random", trials=4)
    message = (
        f"contains another study: there learning_rate=0.0001..0.1.*, now it is {now}.*. Choose another --study-dir"
    )
    with pytest.raises(ConfigError, match=message):
        made({"learning_rate": wanted}, sampler="random", trials=4)


def test_a_study_of_another_version_is_refused(made, tmp_path):
    study = made()
    study.study.set_user_attr("handgrad", {**study.about, "format": 99})
    with pytest.raises(
        RunError, match="has format=99, this handgrad reads format=1: use the version that created it, or"
    ):
        made()
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file is a file, expected the folder of a study"):
        load_study(tmp_path / "file")


def test_a_database_without_its_driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"--join postgresql://me@host/x requires psycopg .*\[search\]"):
        open_store("postgresql://me@host/x")


def test_a_study_that_is_there_is_not_begun_again(made, tmp_path):
    study = made()
    with pytest.raises(
        RunError, match=r"already contains the study 'study': resume it with --resume, or choose another"
    ):
        create(tmp_path, study.store, "study", study.plan, DATA, join=False, resume=False)


def test_joining_does_not_change_the_plan(made, tmp_path):
    study = made()
    more = plan_from({"learning_rate": [1e-2, 1e-3, 1e-4], "batch_size": [8, 16]})
    with pytest.raises(ConfigError, match=r"has a different plan, without learning_rate=0.0001: .* with --resume"):
        create(tmp_path, study.store, "study", more, DATA, join=True, resume=False)


def test_somebody_elses_optuna_study_is_refused(tmp_path):
    import optuna

    store = FolderStore(tmp_path)
    optuna.create_study(storage=store.storage, study_name="theirs")
    with pytest.raises(RunError, match="contains an Optuna study 'theirs' that handgrad search did not create"):
        join(store)


def test_an_empty_store_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"contains no study yet: start one with handgrad search STUDY.toml --join"):
        join(FolderStore(tmp_path))


def test_addresses_that_cannot_be(tmp_path):
    with pytest.raises(ConfigError, match=r"--join mysql://me@host/x: expected a folder, or postgresql://"):
        open_store("mysql://me:secret@host/x")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write the study folder"):
        open_store(tmp_path / "file")


# -- the journal ------------------------------------------------------------------------------------------------------


def test_a_line_that_a_kill_cut_short_is_left_out_and_removed(made, tmp_path):
    queue = Queue(made())
    queue.tell(take(queue), 0.5, RESULT)
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"op_code":5,"worker_id":"x')
    again = Queue(made())
    assert len(finish(again)) == 3
    assert findings(made()).runs == 4
    assert b'worker_id":"x{' not in (tmp_path / JOURNAL).read_bytes()


def test_a_damaged_journal_is_refused(made, tmp_path):
    made()
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / JOURNAL).write_bytes(b"".join([*lines[:1], b"nonsense\n", *lines[1:]]))
    with pytest.raises(RunError, match=r"journal.log is damaged .*: restore it, or start the study in another"):
        FolderStore(tmp_path)


def test_a_worker_that_stops_while_another_one_holds_the_run_is_interrupted(tmp_path):
    (tmp_path / "config.toml").write_text("")
    folder, worker = RunFolder(tmp_path), object.__new__(Worker)
    worker.stopping = threading.Event()
    worker.stopping.set()
    worker._wait_for(folder)  # nobody holds it
    with exclusive(tmp_path / ".lock"), pytest.raises(Interrupted, match="stopped before the run began"):
        worker._wait_for(folder)
