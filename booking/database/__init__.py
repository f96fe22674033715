"""The database: the declarative base, column types, and the one way to open a transaction."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    DateTime,
    Dialect,
    Engine,
    MetaData,
    String,
    text,
)
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.types import TypeDecorator, TypeEngine

from booking.database import postgresql, sqlite
from booking.database.turns import Turns, TurnTimeout

REST_SECONDS = 1.0
TRANSACTION_SECONDS = 5.0


class DatabaseAway(Exception):
    """The database did not take or confirm the work: away, frozen, locked, full or refusing; outcome unknown."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant in UTC: timestamptz on PostgreSQL, one sortable text format on SQLite."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(27))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        instant = value.astimezone(UTC)
        # As %Y-%m-%dT%H:%M:%S.%fZ, which takes several times as long.
        return f"{instant.isoformat(timespec='microseconds')[:26]}Z" if dialect.name == "sqlite" else instant

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return datetime.fromisoformat(value) if dialect.name == "sqlite" else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The parent of every row; constraints are named by one convention, so that migrations can find them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[type, Any]] = {datetime: UtcDateTime}


def open_engine(url: str, *, threads: int = 8, hurried: bool = True) -> Engine:
    """The engine for a `sqlite:///` or `postgresql+psycopg://` URL; not `hurried`, it has no deadlines."""
    if url.startswith("sqlite"):
        return sqlite.open_engine(url, threads)
    return postgresql.open_engine(url, threads, hurried=hurried)


class Database:
    """One engine, and the two ways to use it: `transaction()` to write, `reading()` for one snapshot.

    After a failure it rests for a second, in which every caller is told at once instead of waiting for the
    same dead server: a queue of visitors must not add up its time-outs.
    """

    def __init__(self, url: str, *, threads: int = 8, transaction_seconds: float = TRANSACTION_SECONDS) -> None:
        self.engine = open_engine(url, threads=threads)
        self.dialect = self.engine.dialect.name
        self._session = sessionmaker(self.engine, expire_on_commit=False)
        self._turn = (
            sqlite.WriterLock(self.engine.url.database) if self.dialect == "sqlite" else Turns(postgresql.AT_ONCE)
        )
        self._transaction_seconds = transaction_seconds
        self._resting_until = 0.0

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session whose work is committed, durably, when the block ends; raises DatabaseAway."""
        with self._answering(), postgresql.deadline(self._transaction_seconds), self._turn.held():
            self._refuse_while_resting()
            with self._session() as db, db.begin():
                yield db

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A read-only session that sees one snapshot from its first statement on; raises DatabaseAway."""
        with self._answering(), self.engine.connect() as connection:
            if self.dialect == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            else:
                connection.execution_options(sqlite_readonly=True)
            with self._session(bind=connection) as db, db.begin():
                yield db

    def answers(self) -> bool:
        """Whether a statement gets an answer now."""
        try:
            with self.reading() as db:
                db.execute(text("select 1"))
        except DatabaseAway:
            return False
        return True

    def close(self) -> None:
        """Close the connections that are not in use, and the writers' file."""
        self.engine.dispose()
        self._turn.close()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        self._refuse_while_resting()
        try:
            yield
        except (OperationalError, InterfaceError, PoolTimeout, TurnTimeout) as failure:
            self._resting_until = time.monotonic() + REST_SECONDS
            raise DatabaseAway(_reason(failure)) from failure
        except DBAPIError as failure:
            raise DatabaseAway(_reason(failure)) from failure

    def _refuse_while_resting(self) -> None:
        if time.monotonic() < self._resting_until:
            raise DatabaseAway("the database did not answer a moment ago")


def _reason(failure: SQLAlchemyError | TimeoutError) -> str:
    # The class alone: the text of a database error can quote what a visitor typed.
    cause = failure.orig if isinstance(failure, DBAPIError) else failure
    state = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    return f"{type(cause).__name__}{f' {state}' if state else ''}"
