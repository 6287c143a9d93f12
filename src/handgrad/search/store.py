"""Where a study's trials are kept: a journal in its folder, or a PostgreSQL database; both by Optuna.

Optuna's journal keeps no heartbeats and its database storage acts on them only within `Study.optimize`; neither hands
out trials one at a time. So a `Store` adds to either: a lock, under which trials are handed out, and heartbeats.
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

#: Seconds between two heartbeats, and after how many without one a worker counts as dead.
HEARTBEAT_SECONDS = 10
GRACE_SECONDS = 60

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Store(ABC):
    """Optuna's storage with a lock and heartbeats.

    Attributes:
        address: what `--join` takes.
        storage: Optuna's.
    """

    address: str
    storage: BaseStorage
    #: What the lock is for, where a store holds several studies.
    lock_name: str = ""
    #: When the store last came back, on this process's monotonic clock; its start at first.
    away_until: float = 0.0

    @abstractmethod
    def locked(self) -> AbstractContextManager[None]:
        """Keeps every other worker of the study out, on every machine, until the block ends or the process dies."""

    @abstractmethod
    def beat(self, trial_id: int) -> None:
        """Records that the worker of a trial is alive; also before the trial is handed out."""

    @abstractmethod
    def stale(self, study_id: int, running: list[int], seconds: float) -> set[int]:
        """Those of the running trials whose last heartbeat is older than `seconds`, by the store's own clock."""

    def patiently(self, action: Callable[[], T], told: Callable[[str], None] = lambda text: None) -> T:
        """The result of an action on the store, tried again until the store answers.

        Arguments:
            action: something that may be done twice.
            told: called once with a line for the user when the store does not answer, and once when it does again.
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
                    told(f"the store does not answer ({_reason(error)}): waiting for it; nothing is lost")
                time.sleep(wait)
                wait = min(5.0, 1.5 * wait)
            else:
                if waited:
                    self.away_until = time.monotonic()
                    told("the store answers again")
                return result

    def is_away(self, error: Exception) -> bool:
        """Whether an error says that the store cannot be reached just now."""
        return False


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:160]


# -- a folder ---------------------------------------------------------------------------------------------------------


class _Journal(JournalFileBackend):
    """Optuna's journal with a lock that the operating system drops when its holder dies (Optuna's own stays for half a
    minute); a line that a kill cut short is removed before the next is written."""

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
    """A journal in a folder that every worker sees.

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
            now = os.fstat(file.fileno()).st_mtime  # the clock of whoever serves the folder
        found = set()
        for trial_id in running:
            try:
                age = now - self._heartbeat(trial_id).stat().st_mtime
            except OSError:
                age = float("inf")  # handed out after the first heartbeat: there is none any more
            if age > seconds:
                found.add(trial_id)
        return found


# -- a database -------------------------------------------------------------------------------------------------------


class DatabaseStore(Store):
    """A PostgreSQL database.

    Arguments:
        url: postgresql://USER:PASSWORD@HOST:PORT/DATABASE.

    Raises:
        RunError: the database does not answer, or refuses.
        ConfigError: no driver for it is installed.
    """

    def __init__(self, url: str) -> None:
        self.address = url
        self.away_until = time.monotonic()
        try:
            import psycopg  # noqa: F401
            import sqlalchemy
        except ImportError as error:
            raise ConfigError(
                f'--join {hidden(url)} requires psycopg ({error}): pip install "handgrad[search]"'
            ) from None
        driver = "postgresql+psycopg://" + url.partition("://")[2]
        options = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
        # A connection for as long as it is used: a hundred workers would otherwise hold more than a server has.
        engine_options = {"poolclass": sqlalchemy.pool.NullPool, "connect_args": options}
        self._sqlalchemy = sqlalchemy

        def connected() -> BaseStorage:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return optuna.storages.RDBStorage(
                    driver, engine_options, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=GRACE_SECONDS
                )

        try:
            self.engine = sqlalchemy.create_engine(driver, **engine_options)
            with self.locked():  # two that make the tables at once would trip over each other
                self._rdb = connected()
        except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError, ValueError) as error:
            raise RunError(
                f"cannot use --join {hidden(url)}: {_reason(error)}. Check the address, and that the server runs"
            ) from None
        self.storage = optuna.storages.get_storage(self._rdb)

    def is_away(self, error: Exception) -> bool:
        exc = self._sqlalchemy.exc
        cause: BaseException | None = error
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
            # A machine that vanishes keeps its connection open; the server ends one that does nothing for a minute.
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
        ConfigError: another kind of address.
        RunError: it cannot be used.
    """
    text = str(address)
    if "://" not in text and not text.startswith("postgresql:"):
        return FolderStore(Path(text))
    if text.startswith(("postgresql://", "postgres://")):
        return DatabaseStore(text)
    raise ConfigError(f"--join {hidden(text)}: expected a folder, or postgresql://USER:PASSWORD@HOST/DATABASE")
