"""A folder of one's own among the temporary files, and the end of those whose owner was killed."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from handgrad.checking import worker

PREFIX = "handgrad-check-"
#: So young a folder may be one whose owner has not locked it yet.
YOUNG = 60.0


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """A new folder, locked as long as it is in use and removed after that, whatever lies in it by then.

    Folders of the same kind that nobody holds (a check was killed) are removed on the way.
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
    """Removes this user's folders of checks that have ended without doing so."""
    if os.name != "posix":
        return  # no lock tells there whether a check goes on
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
    """The open lock file; None where another holds it."""
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
    """Also a nest deeper than any path is long, and what was made unreadable."""
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
        worker.empty(str(folder))
        folder.rmdir()
