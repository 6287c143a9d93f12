"""One process at a time: an advisory lock that the operating system drops when its holder dies."""

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
    """Whether the open file is still the one at `path`: its last holder has removed it, and another may be made."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def exclusive(path: Path, *, wait: bool = True, poll_seconds: float = _POLL_SECONDS) -> Iterator[None]:
    """Holds the lock file `path`, and removes it after.

    Arguments:
        wait: for as long as another process or thread holds it; otherwise that is an error.
        poll_seconds: time between two attempts while waiting.

    Raises: OSError where the lock file cannot be made, or (BlockingIOError) is held and we do not wait.
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
            break  # a file system without locks: better to go on without one than not at all
        if _is_at(descriptor, path):
            break
        os.close(descriptor)
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file: there it stays, empty
            path.unlink()
        os.close(descriptor)
