"""Wall times: when a zone's law changes, visits keep the time that was agreed."""

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from booking import clinic
from booking.database import Database
from booking.domain.catalog import Catalog
from booking.domain.errors import NotOffered
from booking.domain.offers import Wish
from booking.domain.submission import Submission
from booking.keyring import Keyring
from booking.models import Appointment, Claim, Lead
from booking.operations import appointments, audit, leads, wall_times
from booking.operations.appointments import Diary, Visit
from booking.operations.catalog import CatalogCache
from booking.operations.leads import Desk
from booking.operations.wall_times import Drift
from tests.postgres import somebody_waits_for_a_lock
from tests.visits import CAPPED, SHORT, Clinic, small

ZONE = ZoneInfo("America/New_York")
HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 12, 7, 14, 0, tzinfo=ZONE)


@pytest.fixture
def diary(catalog: Catalog, keyring: Keyring) -> Diary:
    return Diary(catalog, keyring, "SV")


def book(db: Session, diary: Diary, starts_at: datetime, now: datetime) -> Visit:
    """A visit of somebody new, at the same practitioner's as all others here."""
    desk = Desk(clinic.load(), diary.keyring, CatalogCache())
    person = Submission(name="Ada", email=f"{starts_at:%H%M}@example.com")
    captured = leads.capture(db, person, desk, reference=f"SV-2222-{starts_at:%M}", received_at=now, now=now)
    lead_id = db.scalars(select(Lead.id).where(Lead.reference == captured.reference)).one()
    wish = Wish("chiropractic-adjustment", starts_at, "dr-juniper-tidewell")
    return appointments.book(db, diary, wish, lead_id=lead_id, now=now)


def change_the_law(db: Session, shift: timedelta) -> None:
    """Let everything stand as if the zone had had another offset when it was booked."""
    for row in db.scalars(select(Appointment)):
        row.starts_at, row.ends_at = row.starts_at + shift, row.ends_at + shift
    db.flush()
    # One after the other, in the order in which each makes room for the next.
    for claim in db.scalars(select(Claim).order_by(Claim.starts_at.desc() if shift > HOUR * 0 else Claim.starts_at)):
        span = {"starts_at": claim.starts_at + shift, "ends_at": claim.ends_at + shift}
        db.execute(update(Claim).where(Claim.id == claim.id).values(span))


def spans(db: Session) -> list[tuple[datetime, datetime]]:
    return [(row.starts_at, row.ends_at) for row in db.scalars(select(Claim).order_by(Claim.starts_at, Claim.id))]


@pytest.mark.parametrize("shift", [HOUR, -HOUR])
def test_visits_side_by_side_all_keep_their_wall_time(
    shift: timedelta, database: Database, diary: Diary, now: datetime
) -> None:
    with database.transaction() as db:
        for minutes in (0, 30, 60, 90):
            book(db, diary, MONDAY + timedelta(minutes=minutes), now)
        agreed = spans(db)
        change_the_law(db, shift)
    with database.transaction() as db:
        assert len(wall_times.drifted(db, now)) == 4
        moved, stuck = wall_times.keep(db, diary, now)
        assert (len(moved), stuck) == (4, [])
    with database.reading() as db:
        assert wall_times.drifted(db, now) == []
        assert set(spans(db)) == set(agreed)
        assert {row.sequence for row in db.scalars(select(Appointment))} == {1}
        assert len(list(wall_times.kept_since(db, now))) == 4
        assert audit.verify(db) is None


def test_a_visit_whose_new_time_is_taken_is_said_to_be_stuck(database: Database, diary: Diary, now: datetime) -> None:
    with database.transaction() as db:
        visit = book(db, diary, MONDAY, now)
        change_the_law(db, HOUR)
        book(db, diary, MONDAY, now)
    with database.transaction() as db:
        moved, stuck = wall_times.keep(db, diary, now)
        assert ([], [visit.row.reference]) == (moved, [drift.reference for drift in stuck])
    with database.reading() as db:
        assert [drift.reference for drift in wall_times.drifted(db, now)] == [visit.row.reference]


def test_where_no_law_changed_nothing_is_touched(database: Database, diary: Diary, now: datetime) -> None:
    with database.transaction() as db:
        book(db, diary, MONDAY, now)
    with database.transaction() as db:
        assert wall_times.keep(db, diary, now) == ([], [])


def test_a_visit_goes_back_to_the_day_it_was_agreed_for_also_when_that_is_full(
    database: Database, keyring: Keyring, now: datetime
) -> None:
    """A country that leaves out a day moves every visit by one."""
    office = Clinic(database, keyring, now, small(replace(CAPPED, daily_cap=1)))
    visit = office.book("capped", MONDAY, "ann")
    with database.transaction() as db:
        change_the_law(db, 24 * HOUR)
    office.book("capped", MONDAY + HOUR, "ann")
    with pytest.raises(NotOffered):
        office.book("capped", MONDAY + 2 * HOUR, "ann")
    with database.transaction() as db:
        moved, stuck = wall_times.keep(db, office.diary, now)
        assert ([visit.row.reference], []) == ([drift.reference for drift in moved], stuck)


def test_visits_keep_the_length_they_were_booked_with(database: Database, keyring: Keyring, now: datetime) -> None:
    office = Clinic(database, keyring, now)
    for minutes in (0, 30):
        office.book("short", MONDAY + timedelta(minutes=minutes), "ann")
    agreed = office.spans()
    office.load(small(replace(SHORT, duration_minutes=60)))
    with database.transaction() as db:
        change_the_law(db, HOUR)
    moved, stuck = office.do(wall_times.keep, office.diary, now)
    assert (len(moved), stuck, office.spans()) == (2, [], agreed)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_visit_that_is_being_cancelled_is_left_alone(database: Database, keyring: Keyring, now: datetime) -> None:
    office = Clinic(database, keyring, now)
    visit = office.book("short", MONDAY, "ann")
    with database.transaction() as db:
        change_the_law(db, HOUR)
    kept: list[tuple[list[Drift], list[Drift]]] = []
    other = threading.Thread(target=lambda: kept.append(office.do(wall_times.keep, office.diary, now)))
    with database.transaction() as db:
        appointments.cancel(db, office.diary, visit, reason="", by="visitor", now=now)
        other.start()
        assert somebody_waits_for_a_lock(database.engine)
    other.join()
    assert kept == [([], [])]
    assert office.spans() == {}
