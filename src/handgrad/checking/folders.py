"""Private temporary folders, and the removal of those whose owner was killed."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from handgrad.checking import worker

PREFIX = "handgrad-check-"
#: The owner of a folder younger than this may not have locked it yet.
YOUNG = 60.0


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """A new folder, locked while it is in use and then removed with all its contents.

    Folders of the same kind that are not locked (their check was killed) are removed as well.
    """
    clear_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = _lock(folder / "lock")
    try:
        yield folder
    finally:
        remove(folder)
        if lock is not None:
            os.close(lock)


def clear_abandoned() -> None:
    """Removes this user's folders of checks that ended without removing them."""
    if os.name != "posix":
        return  # without locks there is no way to know whether a check is running
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < YOUNG or folder.is_symlink():
                continue
            lock = _lock(folder / "lock")
            if lock is not None:
                remove(folder)
                os.close(lock)


def _lock(path: Path) -> int | None:
    """The open lock file; None if another process holds it."""
    if os.name != "posix":
        return None
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def remove(folder: Path) -> None:
    """Removes a folder, including nesting deeper than any path and unreadable files."""
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
        worker.empty_folder(str(folder))
        folder.rmdir()
