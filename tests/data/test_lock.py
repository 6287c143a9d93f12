"""The lock: one holder at a time, waiting, and release when the holder dies."""

import subprocess
import sys
import threading
import time

import pytest

from handgrad.data import lock
from handgrad.data.lock import exclusive


def test_one_holder_at_a_time(tmp_path):
    inside, most = 0, 0

    def work():
        nonlocal inside, most
        for _ in range(5):
            with exclusive(tmp_path / "lock"):
                inside += 1
                most = max(most, inside)
                time.sleep(0.002)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert not (tmp_path / "lock").exists()


def test_the_lock_of_a_dead_process_is_free(tmp_path):
    path = tmp_path / "lock"
    code = f"import os, pathlib, handgrad.data.lock as l\nwith l.exclusive(pathlib.Path({str(path)!r})): os._exit(3)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 3
    assert path.exists()
    with exclusive(path):
        pass


def test_a_lock_file_removed_in_between_is_made_anew(tmp_path, monkeypatch):
    path, locked = tmp_path / "lock", lock._try_lock

    def removed_by_its_last_holder(descriptor):
        monkeypatch.undo()
        locked(descriptor)
        path.unlink()

    monkeypatch.setattr(lock, "_try_lock", removed_by_its_last_holder)
    with exclusive(path):
        assert path.exists()  # without it the next one would make and hold another


def test_released_after_an_error(tmp_path):
    with pytest.raises(KeyError), exclusive(tmp_path / "lock"):
        raise KeyError
    with exclusive(tmp_path / "lock"):
        pass


def test_without_waiting_a_held_lock_is_an_error(tmp_path):
    with exclusive(tmp_path / "lock"), pytest.raises(BlockingIOError, match="lock is held"):
        exclusive(tmp_path / "lock", wait=False).__enter__()
