"""An advisory file lock that the operating system releases when its holder dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_POLL_SECONDS = 0.1

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one at `path`: the last holder may have removed it, and a new one may
    exist."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def exclusive(path: Path, *, wait: bool = True, poll_seconds: float = _POLL_SECONDS) -> Iterator[None]:
    """Holds the lock file `path` and removes it afterwards.

    Arguments:
        wait: whether to wait while another process or thread holds the lock; otherwise this is an error.
        poll_seconds: time between attempts while waiting.

    Raises: OSError if the lock file cannot be created; BlockingIOError if it is held and `wait` is false.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _try_lock(descriptor)
        except (BlockingIOError, PermissionError):  # held; Windows says the latter
            os.close(descriptor)
            if not wait:
                raise BlockingIOError(f"{path} is held") from None
            time.sleep(poll_seconds)
            continue
        except OSError:
            break  # a file system without locks: continue without one
        if _is_at(descriptor, path):
            break
        os.close(descriptor)
    try:
        yield
    finally:
        with suppress(OSError):  # Windows cannot remove open files, so an empty file remains
            path.unlink()
        os.close(descriptor)
