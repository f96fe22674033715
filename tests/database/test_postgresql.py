"""Every wait for PostgreSQL ends in time, and what gave up is never used again."""

import itertools
import socket
from collections.abc import Iterator
from contextlib import closing, suppress

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from booking.database import Database, DatabaseAway, open_engine, postgresql
from booking.database.postgresql import HurriedConnection
from tests.postgres import PostgresServer, conninfo


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    """An empty database."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def hurried(url: str) -> Iterator[HurriedConnection]:
    with closing(HurriedConnection.connect(conninfo(url))) as connection:
        yield connection


# ---------------------------------------------------------------- deadlines


def test_a_server_silent_for_too_long_is_given_up_and_the_connection_is_broken_for_good(
    hurried: HurriedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "WAIT_SECONDS", 0.2)
    with pytest.raises(psycopg.OperationalError, match="did not answer in time"):
        hurried.execute("select pg_sleep(60)")
    assert hurried.closed
    with pytest.raises(psycopg.OperationalError):
        hurried.execute("select 1")


def test_all_waits_of_a_block_end_together(hurried: HurriedConnection) -> None:
    answered: list[int] = []
    with pytest.raises(psycopg.OperationalError, match="did not answer in time"), postgresql.deadline(0.5):
        for number in itertools.count():
            hurried.execute("select pg_sleep(0.1)")
            answered.append(number)
    assert len(answered) < 6


def test_twin_without_the_deadline_a_slow_server_may_go_on_and_on(hurried: HurriedConnection) -> None:
    for _ in range(10):
        hurried.execute("select pg_sleep(0.1)")


def test_after_the_block_the_deadline_is_forgotten(hurried: HurriedConnection) -> None:
    with postgresql.deadline(0.0):
        pass
    hurried.execute("select pg_sleep(0.1)")


def test_migrations_may_take_as_long_as_they_need(url: str) -> None:
    patient = open_engine(url, hurried=False)
    with patient.connect() as connection, postgresql.deadline(0.1):
        connection.execute(text("select pg_sleep(0.3)"))
        assert connection.scalar(text("show statement_timeout")) == "0"
    patient.dispose()


def test_a_server_that_lets_one_in_and_says_nothing_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        database = Database(f"postgresql+psycopg://nobody@127.0.0.1:{port}/nothing")
        with pytest.raises(DatabaseAway, match="ConnectionTimeout"), database.transaction() as db:
            db.execute(text("select 1"))
        database.close()


def test_a_transaction_on_a_slow_server_is_a_database_that_is_away(url: str) -> None:
    database = Database(url, transaction_seconds=0.3)
    with pytest.raises(DatabaseAway, match="OperationalError"), database.transaction() as db:
        db.execute(text("select pg_sleep(60)"))
    database.close()


# ---------------------------------------------------------------- connections


def test_a_connection_is_set_up_as_it_was_measured(engine: Engine) -> None:
    wanted = {"jit": "off", "TimeZone": "UTC", "lock_timeout": "2s", "statement_timeout": "5s"}
    with engine.connect() as connection:
        assert {name: connection.scalar(text(f"show {name}")) for name in wanted} == wanted
        assert isinstance(connection.connection.driver_connection, HurriedConnection)


def test_when_the_server_has_dropped_its_connections_one_caller_is_told_and_all_are_replaced(
    url: str, postgres: PostgresServer
) -> None:
    database = Database(url)
    ask = text("select pg_backend_pid()")
    with database.transaction() as one, database.transaction() as other:
        before = {one.scalar(ask), other.scalar(ask)}
    with closing(psycopg.connect(conninfo(postgres.url), autocommit=True)) as elsewhere:
        for process in before:
            elsewhere.execute("select pg_terminate_backend(%s, 10000)", [process])
    with pytest.raises(DatabaseAway, match="AdminShutdown"), database.transaction() as db:
        db.execute(ask)
    database._resting_until = 0.0
    with database.transaction() as one, database.transaction() as other:
        assert {one.scalar(ask), other.scalar(ask)} & before == set()
    database.close()


def test_a_connection_that_gave_up_does_not_go_back_to_the_pool(engine: Engine) -> None:
    with engine.connect() as connection:
        first = connection.scalar(text("select pg_backend_pid()"))
        with suppress(OperationalError), postgresql.deadline(0.1):
            connection.execute(text("select pg_sleep(60)"))
        assert connection.invalidated
    with engine.connect() as connection:
        assert connection.scalar(text("select pg_backend_pid()")) != first
