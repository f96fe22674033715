"""SQLite: a fixed build, the measured pragmas on every connection, and one fair turn for writers."""

import fcntl
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from booking.database.turns import TURN_SECONDS, TurnTimeout

try:
    from pysqlite3 import dbapi2 as newer_sqlite
except ImportError:  # no wheel for this platform: the writer lock alone stands guard
    newer_sqlite = None

BUSY_SECONDS = 2
# foreign_keys and journal_mode speak for themselves. synchronous=FULL: NORMAL lost acknowledged rows at a power cut.
PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": BUSY_SECONDS * 1000}


def driver() -> ModuleType:
    """The SQLite module in use: the one from the wheel where it is newer than Python's own."""
    if newer_sqlite is not None and newer_sqlite.sqlite_version_info > sqlite3.sqlite_version_info:
        return newer_sqlite  # type: ignore[no-any-return]  # the wheel has no types
    return sqlite3


def open_engine(url: str, threads: int) -> Engine:
    """An engine whose transactions begin IMMEDIATE, unless the connection has the option sqlite_readonly."""
    engine = create_engine(
        url,
        module=driver(),
        poolclass=QueuePool,
        pool_size=threads + 2,
        max_overflow=8,
        pool_timeout=TURN_SECONDS,
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
    )
    if engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not BEGIN by itself: we choose IMMEDIATE
    for name, value in PRAGMAS.items():
        connection.execute(f"pragma {name}={value}")
        (found,) = connection.execute(f"pragma {name}").fetchone()
        if found != value:
            raise driver().OperationalError(f"SQLite did not accept {name}={value}, it says {found}")


def _begin(connection: Connection) -> None:
    readonly = connection.get_execution_options().get("sqlite_readonly")
    connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")


class WriterLock:
    """One writer at a time and first come, first served: SQLite's own busy handler let writers starve for seconds.

    Threads queue in order; between processes (the server, a command) a locked file beside the database decides.
    """

    def __init__(self, database: str | None) -> None:
        self._guard = threading.Lock()
        self._queue: deque[threading.Event] = deque()
        self._file: IO[bytes] | None = None
        self._path = f"{database}.writer" if database and database != ":memory:" else None

    @contextmanager
    def held(self, seconds: float = TURN_SECONDS) -> Iterator[None]:
        """Hold the turn for the block; raises TurnTimeout after `seconds` of waiting."""
        until = time.monotonic() + seconds
        turn = threading.Event()
        with self._guard:
            self._queue.append(turn)
            if len(self._queue) == 1:
                turn.set()
        try:
            if not turn.wait(seconds):
                raise TurnTimeout("another writer did not finish")
            self._lock_file(until)
            try:
                yield
            finally:
                self._unlock_file()
        finally:
            self._leave(turn)

    def close(self) -> None:
        """Let go of the file."""
        with self._guard:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _leave(self, turn: threading.Event) -> None:
        with self._guard:
            first = self._queue[0] is turn
            self._queue.remove(turn)
            if first and self._queue:
                self._queue[0].set()

    def _lock_file(self, until: float) -> None:
        if self._path is None:
            return
        if self._file is None:
            try:
                self._file = Path(self._path).open("ab")  # noqa: SIM115  kept open for the life of the process
            except OSError as failure:
                raise TurnTimeout(f"the turn cannot be kept: {failure.strerror}") from failure
        while not _try_lock(self._file):
            if time.monotonic() > until:
                raise TurnTimeout("a writer in another process did not finish")
            time.sleep(0.002)

    def _unlock_file(self) -> None:
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
