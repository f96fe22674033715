"""Bad weather made to order: a database that is locked or not there, a disk that takes no more."""

import resource
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from booking.database import Database
from booking.database.sqlite import driver


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else holds the SQLite file for the length of the block."""
    with closing(driver().connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        yield
        other.execute("rollback")


@contextmanager
def away(dialect: str, folder: Path) -> Iterator[Database]:
    """A database of this dialect that cannot be reached, whatever the credentials."""
    absent = folder / "absent"
    absent.mkdir(exist_ok=True)  # SQLite cannot open a folder; PostgreSQL finds no socket in it
    sqlite, postgresql = f"sqlite:///{absent}", f"postgresql+psycopg://nobody@/nothing?host={absent}"
    database = Database(sqlite if dialect == "sqlite" else postgresql)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def no_file_longer_than(length: int, pid: int = 0) -> Iterator[None]:
    """For process `pid` (0 is this one) every disk is full as soon as a file has `length` bytes."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (length, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
