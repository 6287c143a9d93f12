"""The store of a study's trials: a journal in its folder, or a PostgreSQL database, both based on Optuna.

Optuna's journal does not support heartbeats, and its database storage uses them only within `Study.optimize`. Neither
assigns trials exclusively. A `Store` therefore adds heartbeats and a lock for the assignment of trials.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from handgrad.data.lock import exclusive
from handgrad.errors import ConfigError, RunError

T = TypeVar("T")

JOURNAL = "journal.log"

#: Seconds between heartbeats, and seconds without one after which a worker counts as dead.
HEARTBEAT_SECONDS = 10
GRACE_SECONDS = 60

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Store(ABC):
    """Optuna's storage with a lock and heartbeats.

    Attributes:
        address: the argument of `--join`.
        storage: Optuna's storage.
    """

    address: str
    storage: BaseStorage
    #: The name of the lock, for stores with several studies.
    lock_name: str = ""
    #: The time at which the store last became available, on the monotonic clock of this process; initially its start.
    away_until: float = 0.0

    @abstractmethod
    def locked(self) -> AbstractContextManager[None]:
        """Excludes all other workers of the study on all machines until the block ends or the process dies."""

    @abstractmethod
    def beat(self, trial_id: int) -> None:
        """Records that the worker of a trial is alive; also called before the trial is assigned."""

    @abstractmethod
    def stale(self, study_id: int, running: list[int], seconds: float) -> set[int]:
        """The running trials whose last heartbeat is older than `seconds`, by the clock of the store."""

    def retry(self, action: Callable[[], T], notify: Callable[[str], None] = lambda text: None) -> T:
        """Runs an action on the store, with retries until the store responds, and returns its result.

        Arguments:
            action: an action that may be repeated.
            notify: called with a message when the store stops responding, and again when it responds.
        """
        wait, waited = 0.2, False
        while True:
            try:
                result = action()
            except Exception as error:
                if not self.is_away(error):
                    raise
                if not waited:
                    waited = True
                    notify(f"the store does not answer ({_reason(error)}): waiting for it; nothing is lost")
                time.sleep(wait)
                wait = min(5.0, 1.5 * wait)
            else:
                if waited:
                    self.away_until = time.monotonic()
                    notify("the store answers again")
                return result

    def is_away(self, error: Exception) -> bool:
        """Whether an error means that the store is temporarily unavailable."""
        return False


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:160]


# -- a folder ---------------------------------------------------------------------------------------------------------


class _Journal(JournalFileBackend):
    """Optuna's journal with a lock that the operating system releases when its holder dies (Optuna's own lock
    remains for half a minute). A line truncated by a kill is removed before the next one is written."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        path = Path(self._file_path)
        with exclusive(path.with_name(".journal.lock"), poll_seconds=0.005), path.open("rb+") as file:
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
                if file.read(1) != b"\n":
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
            file.seek(0, os.SEEK_END)
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())


class FolderStore(Store):
    """A journal in a folder that is accessible to all workers.

    Raises:
        RunError: the folder cannot be written to, or its journal is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = str(folder)
        self.away_until = time.monotonic()
        try:
            (folder / "heartbeats").mkdir(parents=True, exist_ok=True)
            path = folder / JOURNAL
            self.storage = JournalStorage(_Journal(str(path)))
        except OSError as error:
            raise RunError(
                f"cannot write the study folder {folder}: {error.strerror}. Choose another --study-dir"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{folder / JOURNAL} is damaged ({error}): restore it, or start the study in another --study-dir"
            ) from None

    def locked(self) -> AbstractContextManager[None]:
        return exclusive(self.folder / ".queue.lock", poll_seconds=0.01)

    def _heartbeat(self, trial_id: int) -> Path:
        return self.folder / "heartbeats" / str(trial_id)

    def beat(self, trial_id: int) -> None:
        self._heartbeat(trial_id).touch()

    def stale(self, study_id: int, running: list[int], seconds: float) -> set[int]:
        if not running:
            return set()
        with tempfile.NamedTemporaryFile(dir=self.folder / "heartbeats", prefix=".now-") as file:
            now = os.fstat(file.fileno()).st_mtime  # the clock of the file server
        found = set()
        for trial_id in running:
            try:
                age = now - self._heartbeat(trial_id).stat().st_mtime
            except OSError:
                age = float("inf")  # assigned after the first heartbeat, which no longer exists
            if age > seconds:
                found.add(trial_id)
        return found


# -- a database -------------------------------------------------------------------------------------------------------


class DatabaseStore(Store):
    """A PostgreSQL database.

    Arguments:
        url: postgresql://USER:PASSWORD@HOST:PORT/DATABASE.

    Raises:
        RunError: the database does not respond or rejects the connection.
        ConfigError: the driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.address = url
        self.away_until = time.monotonic()
        try:
            import psycopg  # noqa: F401
            import sqlalchemy
            import sqlalchemy.exc
        except ImportError as error:
            raise ConfigError(
                f'--join {hidden(url)} requires psycopg ({error}): pip install "handgrad[search]"'
            ) from None
        driver = "postgresql+psycopg://" + url.partition("://")[2]
        options = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
        # Connections are open only while in use: a hundred workers would otherwise exceed the limit of a server.
        engine_options = {"poolclass": sqlalchemy.pool.NullPool, "connect_args": options}
        self._sqlalchemy: Any = sqlalchemy

        def connected() -> BaseStorage:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return optuna.storages.RDBStorage(
                    driver, engine_options, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=GRACE_SECONDS
                )

        try:
            self.engine = sqlalchemy.create_engine(driver, **engine_options)
            with self.locked():  # two workers that create the tables at the same time would conflict
                self._rdb: Any = connected()
        except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError, ValueError) as error:
            raise RunError(
                f"cannot use --join {hidden(url)}: {_reason(error)}. Check the address, and that the server runs"
            ) from None
        self.storage = optuna.storages.get_storage(self._rdb)

    def is_away(self, error: Exception) -> bool:
        exc = self._sqlalchemy.exc
        cause: Any = error
        while cause is not None:
            if isinstance(cause, (exc.OperationalError, exc.InterfaceError, exc.PendingRollbackError)):
                return True
            if isinstance(cause, exc.DBAPIError) and cause.connection_invalidated:
                return True
            cause = cause.__cause__
        return False

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        with self.engine.connect() as connection, connection.begin():
            # If a machine disappears, its connection remains open; the server closes connections that are idle for a
            # minute.
            connection.execute(self._sqlalchemy.text("SET LOCAL idle_in_transaction_session_timeout = '60s'"))
            lock = self._sqlalchemy.text("SELECT pg_advisory_xact_lock(hashtext('handgrad search ' || :name))")
            connection.execute(lock, {"name": self.lock_name})
            yield

    def beat(self, trial_id: int) -> None:
        self._rdb.record_heartbeat(trial_id)

    def stale(self, study_id: int, running: list[int], seconds: float) -> set[int]:
        self._rdb.grace_period = max(1, int(seconds))
        return set(self._rdb._get_stale_trial_ids(study_id))


def hidden(url: str) -> str:
    """An address without its password."""
    scheme, separator, rest = url.partition("://")
    login, at, host = rest.rpartition("@")
    return f"{scheme}{separator}{login.partition(':')[0]}{at}{host}" if at else url


def open_store(address: str | Path) -> Store:
    """The store at an address: a folder, or postgresql://…

    Raises:
        ConfigError: unsupported address.
        RunError: it cannot be used.
    """
    text = str(address)
    if "://" not in text and not text.startswith("postgresql:"):
        return FolderStore(Path(text))
    if text.startswith(("postgresql://", "postgres://")):
        return DatabaseStore(text)
    raise ConfigError(f"--join {hidden(text)}: expected a folder, or postgresql://USER:PASSWORD@HOST/DATABASE")
