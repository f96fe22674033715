"""The throw-away PostgreSQL does to its data what the fault tests believe it does."""

import select
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from tests.conftest import absent
from tests.postgres import PostgresMissing, PostgresServer, TemporaryPostgres, conninfo


@pytest.fixture(scope="module")
def durable() -> Iterator[TemporaryPostgres]:
    try:
        with TemporaryPostgres(durable=True) as server:
            yield server
    except PostgresMissing as missing:
        absent(str(missing))


def test_a_database_can_be_copied_and_dropped(postgres: PostgresServer) -> None:
    original = postgres.create_database()
    run(original, "CREATE TABLE kept AS SELECT 7 AS number")
    copy = postgres.create_database(original)
    assert run(copy, "SELECT number FROM kept") == [(7,)]
    for url in (original, copy):
        postgres.drop_database(url)
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            run(url, "SELECT 1")


def test_the_extension_that_guards_spans_of_time_is_there(postgres: PostgresServer) -> None:
    url = postgres.create_database()
    run(url, "CREATE EXTENSION btree_gist")
    postgres.drop_database(url)


def test_a_killed_server_has_what_was_committed_when_it_comes_back(durable: TemporaryPostgres) -> None:
    url = durable.create_database()
    run(url, "CREATE TABLE kept AS SELECT 7 AS number")
    before = durable.pid
    durable.kill()
    with pytest.raises(psycopg.OperationalError):
        run(url, "SELECT 1")
    durable.start()
    assert durable.pid != before
    assert run(url, "SELECT number FROM kept") == [(7,)]


def test_a_durable_server_waits_for_the_disk(durable: TemporaryPostgres) -> None:
    assert run(durable.url, "SELECT current_setting('fsync'), current_setting('synchronous_commit')") == [("on", "on")]


def test_a_frozen_server_leaves_an_open_connection_without_an_answer(durable: TemporaryPostgres) -> None:
    with closing(psycopg.connect(conninfo(durable.url), autocommit=True)) as connection:
        with durable.frozen():
            connection.pgconn.send_query(b"SELECT 1")
            assert connection.pgconn.flush() == 0
            assert not heard_from(connection, seconds=0.5)
        assert heard_from(connection, seconds=10)


def run(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def heard_from(connection: psycopg.Connection, seconds: float) -> bool:
    readable, _, _ = select.select([connection.fileno()], [], [], seconds)
    return bool(readable)
