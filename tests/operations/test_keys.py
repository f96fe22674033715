"""Key rotation: what an old key sealed is sealed anew, in steps, and nothing is dropped that cannot be read."""

import json
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from booking import clinic
from booking.database import Database
from booking.domain.submission import Submission
from booking.keyring import Keyring, Unreadable, key_number
from booking.models.appointment import REASON, Appointment
from booking.models.lead import CONTENT, Lead
from booking.operations import keys, leads
from booking.operations.catalog import CatalogCache
from booking.operations.leads import Desk
from tests.visits import TEN, Clinic

OLD, NEW = (1, bytes(range(32))), (2, bytes(range(32, 64)))
SECRET = "a secret for tests only: 0123456789abcdef"
BEFORE, WHILE, AFTER = Keyring([OLD], SECRET), Keyring([NEW, OLD], SECRET), Keyring([NEW], SECRET)
COUNT = 7


@pytest.fixture
def messages(database: Database, now: datetime) -> list[str]:
    """The messages of some leads that the old key sealed, in the order of their ids."""
    desk = Desk(clinic.load(clinic.DEFAULT_PATH), BEFORE, CatalogCache())
    texts = [f"Message {n} \U0001f600" for n in range(COUNT)]
    with database.transaction() as db:
        for n, message in enumerate(texts):
            at = now + timedelta(seconds=n)
            post = Submission(email=f"{n}@example.com", message=message)
            leads.capture(db, post, desk, reference=f"SV-AAAA-A{n + 2}", received_at=at, now=at)
    return texts


def contents(database: Database) -> list[tuple[int, bytes]]:
    with database.reading() as db:
        return [(id_, content) for id_, content in db.execute(select(Lead.id, Lead.content).order_by(Lead.id))]


def read(database: Database, ring: Keyring) -> list[str]:
    return [json.loads(ring.open(content, CONTENT, id_))["message"] for id_, content in contents(database)]


def reseal_all(database: Database, ring: Keyring, limit: int = 3) -> list[int]:
    after: int | str | None = 0
    changes = []
    while after is not None:
        with database.transaction() as db:
            after, changed = keys.reseal(db, ring, after=after, limit=limit)
        changes.append(changed)
    return changes


def test_everything_is_sealed_anew_in_steps_and_the_old_key_may_go(database: Database, messages: list[str]) -> None:
    assert reseal_all(database, WHILE) == [3, 3, 1, 0]
    assert {key_number(content) for _, content in contents(database)} == {2}
    assert read(database, AFTER) == messages


def test_in_the_middle_of_it_everything_can_be_read(database: Database, messages: list[str]) -> None:
    with database.transaction() as db:
        keys.reseal(db, WHILE, after=0, limit=3)
    assert {key_number(content) for _, content in contents(database)} == {1, 2}
    assert read(database, WHILE) == messages


def test_a_second_time_there_is_nothing_to_do(database: Database, messages: list[str]) -> None:
    reseal_all(database, WHILE)
    before = contents(database)
    assert reseal_all(database, WHILE) == [0, 0, 0, 0]
    assert contents(database) == before


def test_without_the_old_key_nothing_is_changed_and_it_is_said(database: Database, messages: list[str]) -> None:
    before = contents(database)
    with pytest.raises(Unreadable, match="key 1"):
        reseal_all(database, AFTER)
    assert contents(database) == before
    assert read(database, BEFORE) == messages


def test_with_no_leads_there_is_nothing_to_do(database: Database) -> None:
    assert reseal_all(database, WHILE) == [0]


def test_the_reasons_of_cancellations_are_sealed_anew_too(database: Database, now: datetime) -> None:
    clinic_at_work = Clinic(database, BEFORE, now)
    visit = clinic_at_work.book("short", TEN)
    clinic_at_work.cancel(visit, reason="The knee is worse")
    with database.transaction() as db:
        assert keys.reseal(db, WHILE, after=0, place=REASON) == (visit.row.id, 1)
    with database.reading() as db:
        sealed = db.get_one(Appointment, visit.row.id).reason
    assert sealed is not None
    assert AFTER.open(sealed, REASON, visit.row.id) == "The knee is worse"
