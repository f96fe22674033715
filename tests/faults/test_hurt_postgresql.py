"""PostgreSQL is killed, frozen or not there while visitors post; they are thanked in time and nobody is lost."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from booking.database import Database, open_engine, schema
from tests.conftest import absent
from tests.faults.crowd import Crowd, eventually, form, post
from tests.faults.ledger import assert_all_stored_once, assert_kept, booking, ready, spooled, wait_until_drained
from tests.postgres import PostgresMissing, TemporaryPostgres
from tests.service import Serving

Start = Callable[..., Serving]
LONGEST_SECONDS = 8.0

# One server for these tests, in one process: starting it is the slow part.
pytestmark = pytest.mark.xdist_group("hurt postgresql")


@pytest.fixture(scope="module")
def hurt() -> Iterator[TemporaryPostgres]:
    """A PostgreSQL of our own that one may hurt."""
    try:
        with TemporaryPostgres(durable=True) as server:
            yield server
    except PostgresMissing as missing:
        absent(str(missing))


@pytest.fixture
def database_url(hurt: TemporaryPostgres) -> Iterator[str]:
    """A fresh migrated database on the server that will be hurt."""
    url = hurt.create_database()
    schema.upgrade(url)
    yield url
    hurt.drop_database(url)


def test_postgresql_killed_under_load_everybody_is_thanked_in_time_and_the_server_drains_by_itself(
    hurt: TemporaryPostgres, serving: Start, database: Database, environ: dict[str, str]
) -> None:
    server = serving()
    with Crowd(server.port) as crowd:
        crowd.wait_for(201, 30)
        hurt.kill()
        crowd.wait_for(202, 60)
        assert_waits_somewhere(crowd, environ)
        hurt.start()
        crowd.wait_for(201, 30)
    assert set(crowd.statuses) == {201, 202}
    assert crowd.unanswered == set()
    assert crowd.slowest < LONGEST_SECONDS
    assert_kept(crowd.thanked.values(), database, environ)
    wait_until_drained(server.port)
    assert_all_stored_once(crowd.thanked, database, environ)


def assert_waits_somewhere(crowd: Crowd, environ: dict[str, str]) -> None:
    assert spooled(environ) & set(crowd.thanked.values())


def test_postgresql_frozen_under_load_everybody_is_thanked_in_time_and_nobody_twice(
    hurt: TemporaryPostgres, serving: Start, database: Database, environ: dict[str, str]
) -> None:
    server = serving()
    with Crowd(server.port, size=16) as crowd:
        crowd.wait_for(201, 30)
        with hurt.frozen():
            crowd.wait_for(202, 60)
        crowd.wait_for(201, 30)
    assert set(crowd.statuses) == {201, 202}
    assert crowd.unanswered == set()
    assert crowd.slowest < LONGEST_SECONDS
    wait_until_drained(server.port)
    assert_all_stored_once(crowd.thanked, database, environ)


def test_a_frozen_postgresql_is_reported_and_does_not_stop_the_page(
    hurt: TemporaryPostgres, serving: Start, environ: dict[str, str]
) -> None:
    server = serving()
    assert ready(server.port)["status"] == "ready"
    with hurt.frozen():
        answer = post(server.port, form("anna"), key="anna")
        assert answer.status == 202
        state = ready(server.port)
        assert (state["status"], state["database"], state["spool"]) == ("not ready", "away", 1)
    wait_until_drained(server.port)
    eventually(lambda: ready(server.port)["status"] == "ready")


def test_a_server_started_while_postgresql_is_away_takes_leads_and_stores_them_when_it_comes(
    hurt: TemporaryPostgres, serving: Start, database: Database, environ: dict[str, str]
) -> None:
    hurt.stop()
    try:
        server = serving()
        answers = {name: post(server.port, form(name), key=name) for name in ("anna", "bert")}
        assert {answer.status for answer in answers.values()} == {202}
        replay = booking("replay", environ)
        assert (replay.returncode, replay.stdout) == (3, "0 stored, 0 set aside, 2 still waiting\n")
    finally:
        hurt.start()
    wait_until_drained(server.port)
    assert_all_stored_once({name: answer.reference for name, answer in answers.items()}, database, environ)


def ends_while_frozen(hurt: TemporaryPostgres, url: str, *, hurried: bool) -> bool:
    """Whether a query comes to an end, good or bad, while the server is frozen for longer than any visitor waits."""
    engine = open_engine(url, hurried=hurried)
    ended = threading.Event()

    def ask() -> None:
        with suppress(OperationalError):
            connection.execute(text("select 1"))
        ended.set()

    with engine.connect() as connection:
        connection.execute(text("select 1"))
        asking = threading.Thread(target=ask)
        with hurt.frozen():
            asking.start()
            ended_while_frozen = ended.wait(LONGEST_SECONDS)
        asking.join()
    engine.dispose()
    return ended_while_frozen


def test_a_query_ends_although_the_server_is_frozen(hurt: TemporaryPostgres, database_url: str) -> None:
    assert ends_while_frozen(hurt, database_url, hurried=True)


def test_twin_without_the_deadline_a_query_waits_as_long_as_the_server_is_frozen(
    hurt: TemporaryPostgres, database_url: str
) -> None:
    assert not ends_while_frozen(hurt, database_url, hurried=False)
