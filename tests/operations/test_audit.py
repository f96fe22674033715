"""The audit: one unbroken chain, whoever writes at the same time, and it shows where somebody tampered with it."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from booking.database import Database, DatabaseAway
from booking.models.audit import AuditEntry
from booking.operations import audit

WRITERS, EACH = 6, 8


def record(database: Database, now: datetime, number: int = 0, **details: Any) -> int:
    with database.transaction() as db:
        return audit.record(db, actor="desk", action="looked", details={"number": number, **details}, now=now)


def broken(database: Database) -> int | None:
    with database.reading() as db:
        return audit.verify(db)


def test_an_untouched_chain_is_whole(database: Database, now: datetime) -> None:
    assert broken(database) is None
    numbers = [
        record(database, now, number, text="Größe ✓", nested={"b": [1, 2.5, None], "a": True}) for number in range(4)
    ]
    assert numbers == [1, 2, 3, 4]
    assert broken(database) is None


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "nobody"},
        {"action": "deleted"},
        {"details": {"number": 9}},
        {"at": datetime(2020, 1, 1, tzinfo=UTC)},
        {"digest": b"x"},
    ],
)
def test_a_changed_entry_is_found(database: Database, now: datetime, change: dict[str, Any]) -> None:
    for number in range(4):
        record(database, now, number)
    with database.transaction() as db:
        db.execute(update(AuditEntry).where(AuditEntry.id == 2).values(change))
    assert broken(database) == 2


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_missing_entry_is_found(database: Database, now: datetime, number: int) -> None:
    for each in range(4):
        record(database, now, each)
    with database.transaction() as db:
        db.execute(delete(AuditEntry).where(AuditEntry.id == number))
    assert broken(database) == number


def test_an_entry_whose_transaction_is_rolled_back_leaves_no_gap(database: Database, now: datetime) -> None:
    record(database, now)
    with database.transaction() as db:
        audit.record(db, actor="desk", action="looked", details={}, now=now)
        db.rollback()
    assert record(database, now) == 2
    assert broken(database) is None


def all_at_once(act: Any) -> list[Exception]:
    """Run `act` in several threads, each told its number, and return what went wrong."""
    failures: list[Exception] = []
    start = threading.Barrier(WRITERS)

    def run(number: int) -> None:
        start.wait()
        try:
            act(number)
        except Exception as failure:  # noqa: BLE001 — the test looks at whatever it was
            failures.append(failure)

    threads = [threading.Thread(target=run, args=[number]) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_writers_at_the_same_time_make_one_chain(database: Database, now: datetime) -> None:
    failures = all_at_once(lambda writer: [record(database, now, writer * EACH + each) for each in range(EACH)])
    assert failures == []
    with database.reading() as db:
        entries = db.execute(select(AuditEntry.id, AuditEntry.details).order_by(AuditEntry.id)).all()
    assert [entry.id for entry in entries] == list(range(1, WRITERS * EACH + 1))
    assert {entry.details["number"] for entry in entries} == set(range(WRITERS * EACH))
    assert broken(database) is None


def test_writers_who_look_before_it_is_their_turn_collide(database: Database, now: datetime) -> None:
    """The twin: the race is real, and one writer of many is left when the last entry is read outside the lock."""
    met = threading.Barrier(WRITERS)

    def hasty(writer: int) -> None:
        with database.reading() as db:
            last = db.scalar(select(AuditEntry.id).order_by(AuditEntry.id.desc()).limit(1)) or 0
        met.wait()
        with database.transaction() as db:
            entry = {"id": last + 1, "at": now, "actor": f"{writer}", "action": "looked", "details": {}, "digest": b""}
            db.execute(insert(AuditEntry), [entry])

    assert [type(failure) for failure in all_at_once(hasty)] == [DatabaseAway] * (WRITERS - 1)
