"""Threads that share work: every part runs once, errors and floating-point settings are passed on, and threads end."""

from __future__ import annotations

import gc
import threading
import time

import numpy as np
import pytest

from handgrad.kernels.workers import SERIAL, Workers


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("parts", [0, 1, 2, 40])
def test_every_part_is_done_once_before_run_returns(threads, parts):
    done = np.zeros(parts, int)

    def part(i):
        time.sleep(0.001)
        done[i] += 1

    workers = Workers(threads)
    for _ in range(3):
        workers.run(part, range(parts))
    np.testing.assert_array_equal(done, 3)


def test_parts_run_at_the_same_time():
    barrier = threading.Barrier(3, timeout=20)  # breaks unless all three wait at once
    Workers(3).run(lambda _: barrier.wait(), range(3))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_reaches_the_caller_and_the_threads_live_on(threads):
    workers, seen = Workers(threads), []

    def fail(i):
        raise KeyError(i)

    with pytest.raises(KeyError):
        workers.run(fail, range(6))
    workers.run(seen.append, range(6))
    assert sorted(seen) == list(range(6))


def test_floating_point_settings_of_the_caller_hold():
    """A warning in a thread would be an error in these tests."""
    barrier = threading.Barrier(2, timeout=20)

    def part(_):
        barrier.wait()
        np.float32(1e30) * np.float32(1e30)

    workers = Workers(2)
    with np.errstate(over="ignore"):
        workers.run(part, range(2))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        workers.run(part, range(2))


def test_threads_end_with_the_workers():
    before = set(threading.enumerate())
    workers = Workers(4)
    workers.run(lambda _: None, range(8))
    own = set(threading.enumerate()) - before
    assert len(own) == 3
    del workers
    gc.collect()
    for thread in own:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in own)


@pytest.mark.parametrize(
    ("threads", "n", "least", "expected"),
    [
        (1, 10, 1, [(0, 10)]),
        (2, 10, 1, [(0, 5), (5, 10)]),
        (3, 10, 1, [(0, 3), (3, 6), (6, 10)]),
        (4, 10, 4, [(0, 5), (5, 10)]),
        (4, 10, 11, [(0, 10)]),
        (4, 0, 1, [(0, 0)]),
    ],
)
def test_slices(threads, n, least, expected):
    assert [(part.start, part.stop) for part in Workers(threads).split(n, least)] == expected


def test_fewer_than_one_thread():
    with pytest.raises(ValueError, match="Workers got threads=0, expected at least 1"):
        Workers(0)
    assert SERIAL.threads == 1
