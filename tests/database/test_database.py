"""The database commits or says that it is away, never both, and keeps nobody waiting for a dead server."""

import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import StatementError
from sqlalchemy.pool import ConnectionPoolEntry

from booking import database as room
from booking.database import Database, DatabaseAway
from booking.models import ApiToken
from tests.faults.weather import away

CANARY = "canary-of-a-health-text"
INSERT = text(
    "insert into audit_entry (id, at, actor, action, details, digest)"
    " values (:id, '2026-11-24T15:30:00.000000Z', :actor, 'tested', '{}', :digest)"
)


def write(database: Database, number: int, actor: str = "a test") -> None:
    with database.transaction() as db:
        db.execute(INSERT, {"id": number, "actor": actor, "digest": bytes(32)})


def count(database: Database) -> int:
    with database.reading() as db:
        return int(db.scalar(text("select count(*) from audit_entry")))


# ---------------------------------------------------------------- transactions


def test_a_block_that_ends_is_committed(database: Database) -> None:
    write(database, 1)
    assert count(database) == 1


def test_a_block_that_raises_leaves_nothing_and_its_own_error_comes_out(database: Database) -> None:
    class OnTheWay(Exception):
        """Something that is not the database's fault."""

    with pytest.raises(OnTheWay), database.transaction() as db:
        db.execute(INSERT, {"id": 1, "actor": "a test", "digest": bytes(32)})
        raise OnTheWay
    assert count(database) == 0
    write(database, 1)


def test_a_reader_sees_one_snapshot_while_others_write(database: Database) -> None:
    write(database, 1)
    with database.reading() as db:
        before = db.scalar(text("select count(*) from audit_entry"))
        writer = threading.Thread(target=write, args=(database, 2))
        writer.start()
        writer.join()
        assert db.scalar(text("select count(*) from audit_entry")) == before == 1
    assert count(database) == 2


def test_a_refused_row_is_a_database_that_is_away_in_words_that_quote_nobody(database: Database) -> None:
    write(database, 1)
    with pytest.raises(DatabaseAway) as told:
        write(database, 1, CANARY)
    assert CANARY in str(told.value.__cause__), "the error below it does not quote what was written"
    assert CANARY not in str(told.value)
    write(database, 2)  # one refused row does not make everybody wait


def test_it_answers_or_it_does_not(database: Database, tmp_path: Path) -> None:
    assert database.answers()
    with away(database.dialect, tmp_path) as unreachable:
        assert not unreachable.answers()


# ---------------------------------------------------------------- rest


def attempts_to_connect(unreachable: Database, turns: int = 5) -> int:
    """How often a database that is not there is tried for so many visitors, each told that it is away."""
    attempts, pool = [], unreachable.engine.pool
    connect = pool._invoke_creator

    def counted(rec: ConnectionPoolEntry) -> DBAPIConnection:
        attempts.append(1)
        return connect(rec)

    pool._invoke_creator = counted
    for number in range(turns):
        with pytest.raises(DatabaseAway):
            write(unreachable, number)
    return len(attempts)


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    named: str = request.param
    return named


def test_after_a_failure_everybody_is_told_at_once_for_a_moment(dialect: str, tmp_path: Path) -> None:
    with away(dialect, tmp_path) as unreachable:
        assert attempts_to_connect(unreachable) == 1


def test_twin_without_its_rest_every_visitor_waits_for_the_dead_server(
    dialect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "REST_SECONDS", 0.0)
    with away(dialect, tmp_path) as unreachable:
        assert attempts_to_connect(unreachable) == 5


def test_after_the_rest_it_is_tried_again(dialect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with away(dialect, tmp_path) as unreachable:
        assert attempts_to_connect(unreachable) == 1
        unreachable._resting_until = 0.0
        assert attempts_to_connect(unreachable) == 1


# ---------------------------------------------------------------- instants


def test_an_instant_comes_back_as_it_was_in_utc(database: Database, now: datetime) -> None:
    in_florida = now.astimezone(timezone(timedelta(hours=-5))) + timedelta(microseconds=123456)
    with database.transaction() as db:
        db.add(ApiToken(name="desk", digest=bytes(32), hint="x", scopes=[], created_at=in_florida, expires_at=now))
    with database.reading() as db:
        token = db.scalars(select(ApiToken)).one()
        assert token.created_at == in_florida
        assert token.created_at.tzinfo is UTC
        assert token.last_used_at is None


def test_an_instant_without_a_zone_is_refused(database: Database) -> None:
    naive = datetime(2026, 11, 24, 15, 30)  # noqa: DTZ001  naive on purpose
    with pytest.raises(StatementError, match="no time zone"), database.transaction() as db:
        db.execute(select(ApiToken).where(ApiToken.created_at == naive))


def test_instants_sort_as_text_on_sqlite_as_they_do_in_time(database: Database, now: datetime) -> None:
    instants = [now + timedelta(microseconds=step) for step in (1, 10, 999_999, 1_000_000, 90_000_000)]
    with database.transaction() as db:
        for number, instant in enumerate(reversed(instants)):
            digest = bytes([number]) * 32
            db.add(ApiToken(name="desk", digest=digest, hint="x", scopes=[], created_at=instant, expires_at=now))
    with database.reading() as db:
        assert list(db.scalars(select(ApiToken.created_at).order_by(ApiToken.created_at))) == instants
