"""Many workers on one PostgreSQL server: no death of a worker or the server loses a run or counts it twice."""

import contextlib
import os
import random
import signal
import time

import pytest
import tomli_w
from tests.search.support import TINY, children, finals, kill_children, searching, values
from tests.search.test_queue import DATA, RESULT, finish, take

from handgrad import training
from handgrad.errors import RunError
from handgrad.search import findings, load_study, plan_from
from handgrad.search import queue as queues
from handgrad.search.queue import Queue
from handgrad.search.store import hidden, open_store
from handgrad.search.study import create, join


def until(process, text: str) -> None:
    while text not in (line := process.stdout.readline()):
        assert line or process.poll() is None, process.returncode


def test_a_password_is_not_shown():
    assert hidden("postgresql://me:secret@host:5432/studies") == "postgresql://me@host:5432/studies"
    assert hidden("postgresql://host/studies") == "postgresql://host/studies"


def test_a_server_that_is_not_there():
    with pytest.raises(
        RunError, match=r"cannot use --join postgresql://me@127.0.0.1:1/x: .*Check the address"
    ) as raised:
        open_store("postgresql://me:secret@127.0.0.1:1/x")
    assert "secret" not in str(raised.value)


def test_the_queue_on_a_database(postgres, tmp_path, monkeypatch):
    """A short version of the tests of the journal: each run once, heartbeats, a returning worker, a foreign study."""
    store = open_store(postgres.url)
    plan = plan_from({"learning_rate": [1e-2, 1e-3], "batch_size": [8, 16]}, seeds=2)
    study = create(tmp_path, store, "queue", plan, DATA, join=False, resume=False)
    with pytest.raises(RunError, match=r"already contains the study 'queue': resume it with --resume"):
        create(tmp_path, store, "queue", plan, DATA, join=False, resume=False)
    with monkeypatch.context() as patch:
        patch.setattr(queues, "owner", lambda pid=None: "another-machine pid:[1] 7")
        asleep = take(Queue(study))
    assert asleep is not None
    queue = Queue(join(open_store(postgres.url), "queue", tmp_path))
    assert len(set(finish(queue))) == 7
    assert not queue.finished()
    queue.grace_seconds = 1
    time.sleep(2.1)
    assert finish(queue) == [asleep.run]
    assert not Queue(study).tell(asleep, 0.9, RESULT)
    found = findings(study)
    assert (found.runs, found.lost) == (8, 1)
    assert queue.finished()


def test_a_database_with_several_studies_asks_which(postgres, tmp_path):
    store = open_store(postgres.url)
    for name in ("one", "two"):
        create(tmp_path / name, store, name, plan_from({"batch_size": [8, 16]}), DATA, join=True, resume=False)
    with pytest.raises(RunError, match=r"contains \d studies: choose one with --name, one of .*one"):
        join(store)
    with pytest.raises(RunError, match=r"contains no study 'three'; it contains .*two"):
        join(store, "three")
    assert load_study(tmp_path / "two").name == "two"  # its folder says where it is


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "s.toml"
    settings = {**TINY, "learning_rate": [1e-2, 3e-3, 1e-3, 3e-4], "hidden_units": [[16], [8]], "max_steps": 200}
    path.write_text(tomli_w.dumps({**settings, "search": {"seeds": 2}}))
    return path


@pytest.mark.slow
def test_the_server_goes_away_in_the_middle(postgres, file, tmp_path):
    process = searching(tmp_path, name="away", join_at=postgres.url)
    until(process, "ended")
    postgres.stop()
    time.sleep(1.0)
    postgres.start()
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert "waiting for it; nothing is lost" in output
    assert "the store answers again" in output
    study = load_study(tmp_path / "studies" / "away")
    assert len(finals(study)) == len(set(finals(study))) == 16


@pytest.mark.slow
def test_a_hundred_deaths(postgres, tmp_path):
    """The workers of two machines are killed a hundred times, and sometimes their parents."""
    settings = {**TINY, "max_steps": 1000, "eval_freq": 250, "checkpoint_seconds": 0.05}
    settings |= {"learning_rate": [1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5], "search": {"seeds": 4}}
    (tmp_path / "s.toml").write_text(tomli_w.dumps(settings))
    rng = random.Random(0)
    machines = {}

    def start(name: str) -> None:
        machines[name] = searching(tmp_path, name="deaths", study_dir="s", join_at=postgres.url, workers=2)
        deadline = time.monotonic() + 60
        while not children(machines[name].pid) and machines[name].poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)

    for name in ("one", "two"):
        start(name)
    deaths = 0
    while deaths < 100 and any(process.poll() is None for process in machines.values()):
        name = rng.choice(list(machines))
        deaths += kill_children(machines[name], 1, rng, 0.25)
        if deaths in (30, 60) and machines[name].poll() is None:
            workers = children(machines[name].pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(machines[name].pid, signal.SIGKILL)
            machines[name].communicate()
            deaths += 1 + len(workers)
            start(name)
    for process in machines.values():
        output = process.communicate(timeout=300)[0]
        assert process.returncode == 0, output
    study = load_study(tmp_path / "s")
    found = findings(study)
    assert len(finals(study)) == len(set(finals(study))) == 24
    assert found.lost > 0
    assert deaths >= 100, f"the study ended after {deaths} deaths"
    calm = {}
    for run in list(values(found))[:3]:  # bit for bit what an undisturbed run gives
        settings = training.config_from_file(study.run_dir(run) / "config.toml")
        calm[run] = training.train(run_dir=tmp_path / run, **settings).summary["best"]["validation_accuracy"]
    assert calm.items() <= values(found).items()
