"""Reminders: the day before at the same time, and two hours before; they go where the visit goes."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from booking.clinic import Catalog, WorkingHours
from booking.database import Database
from booking.domain import clock
from booking.domain.offers import Wish
from booking.domain.status import MessageState
from booking.keyring import Keyring
from booking.models import Appointment
from booking.models.outbox import OutboxMessage
from booking.operations import appointments, fates, last_look, leases, notifications, reminders
from booking.operations.appointments import Visit
from booking.operations.last_look import Done, Later, Ready
from booking.operations.leases import Claimed
from booking.operations.notifications import Telling
from booking.operations.outbox import Message
from booking.operations.reminders import DAY as THE_DAY_BEFORE
from booking.operations.reminders import HOURS as HOURS_BEFORE
from tests.visits import DAY, HOUR, QUARTER, TEN, Clinic, small

MINUTE, MOMENT = timedelta(minutes=1), timedelta(microseconds=1)
ZONE = ZoneInfo("America/New_York")
LATER = TEN + 7 * DAY


@pytest.fixture
def clinic(database: Database, keyring: Keyring, now: datetime) -> Clinic:
    """The small clinic, which tells its visitors, and is open on Sundays too: that is when the clock changes."""
    return telling(Clinic(database, keyring, now, every_day(small())))


def every_day(wanted: Catalog) -> Catalog:
    sunday = WorkingHours("main", 6, 540, 1020)
    return replace(wanted, practitioners=tuple(replace(p, hours=(*p.hours, sunday)) for p in wanted.practitioners))


def telling(clinic: Clinic) -> Clinic:
    clinic.diary = replace(clinic.diary, telling=Telling(("desk@clinic.example",)))
    return clinic


def planned(database: Database, *states: str) -> dict[str, datetime]:
    """When each reminder is due that waits (or is in one of `states`)."""
    with database.reading() as db:
        rows = select(OutboxMessage).where(OutboxMessage.event.in_(reminders.EVENTS))
        found = db.scalars(rows.where(OutboxMessage.state.in_(states or ["waiting"]))).all()
    assert {(each.audience, each.channel) for each in found} <= {("visitor", "mail")}
    assert len(found) == len({each.event for each in found}), "none is there twice"
    return {each.event: each.due_at for each in found}


def around(start: datetime) -> dict[str, datetime]:
    """The reminders of a visit in a week without a change of the clock."""
    return {THE_DAY_BEFORE: start - DAY, HOURS_BEFORE: start - 2 * HOUR}


def claim(clinic: Clinic) -> list[Claimed]:
    return clinic.do(leases.claim, "one", "mail", clinic.now, limit=25)


def look(clinic: Clinic, claimed: Claimed) -> Ready | Done | Later | None:
    with clinic.database.reading() as db:
        return last_look.look(db, clinic.diary.catalog, clinic.keyring, "one", claimed, ZONE, clinic.now)


def the_reminder(clinic: Clinic) -> Claimed:
    """The next reminder that is due, once all before it has been sent."""
    while found := claim(clinic):
        for each in found:
            if each.event in reminders.EVENTS:
                return each
            clinic.do(leases.finish, "one", each.id, MessageState.SENT, "", clinic.now)
    raise AssertionError("no reminder is due")


# ---------------------------------------------------------------- when


def test_a_visit_is_reminded_of_the_day_before_and_two_hours_before(clinic: Clinic, database: Database) -> None:
    clinic.book("short", LATER)
    assert planned(database) == around(LATER)


@pytest.mark.parametrize(
    ("lead_time", "found"),
    [
        (DAY + HOUR + MINUTE, [THE_DAY_BEFORE, HOURS_BEFORE]),
        (DAY + HOUR, [HOURS_BEFORE]),
        (3 * HOUR + MINUTE, [HOURS_BEFORE]),
        (3 * HOUR, []),
        (HOUR + MINUTE, []),
    ],
)
def test_nobody_is_reminded_of_what_they_did_within_the_hour(
    lead_time: timedelta, found: list[str], clinic: Clinic, database: Database
) -> None:
    clinic.now = LATER - lead_time
    clinic.book("short", LATER)
    assert sorted(planned(database)) == found


CHANGES = {
    "2026-11-01": "the clock goes back",
    "2027-03-14": "the clock goes forward",
    "2027-11-07": "the clock goes back again",
}


@pytest.mark.parametrize("day", CHANGES, ids=CHANGES.get)
def test_over_a_change_of_the_clock_the_day_before_is_at_the_same_time_on_the_wall(
    day: str, clinic: Clinic, database: Database
) -> None:
    ten = datetime.fromisoformat(f"{day}T10:00").replace(tzinfo=ZONE)
    clinic.now = ten.astimezone(UTC) - 20 * DAY
    clinic.book("short", ten.astimezone(UTC))
    found = {event: due_at.astimezone(ZONE) for event, due_at in planned(database).items()}
    assert {event: f"{at:%m-%d %H:%M}" for event, at in found.items()} == {
        THE_DAY_BEFORE: f"{date.fromisoformat(day) - DAY:%m-%d} 10:00",
        HOURS_BEFORE: f"{day[5:]} 08:00",
    }
    real = ten.astimezone(UTC) - planned(database)[THE_DAY_BEFORE]
    assert real == (23 * HOUR if day == "2027-03-14" else 25 * HOUR), "the twin: the clock did change in between"


@pytest.mark.parametrize(
    ("start", "day_before", "hours_before"),
    [
        ("2027-03-14T03:30-04:00", "2027-03-13T03:30-05:00", "2027-03-14T00:30-05:00"),
        (
            "2027-03-15T02:30-04:00",
            "2027-03-14T03:00-04:00",
            "2027-03-15T00:30-04:00",
        ),  # there is no 2:30 the day before
        ("2026-11-01T03:00-05:00", "2026-10-31T03:00-04:00", "2026-11-01T01:00-05:00"),  # the second 1:00
        ("2026-11-02T01:30-05:00", "2026-11-01T01:30-05:00", "2026-11-01T23:30-05:00"),  # the nearer of two 1:30s
        ("2026-11-01T01:30-05:00", "2026-10-31T01:30-04:00", "2026-11-01T00:30-04:00"),
    ],
)
def test_two_hours_are_real_hours_and_a_day_is_one_of_the_wall(start: str, day_before: str, hours_before: str) -> None:
    found = plan(datetime.fromisoformat(start).astimezone(UTC))
    assert [each.due_at for each in found] == [datetime.fromisoformat(at) for at in (day_before, hours_before)]


def plan(
    starts_at: datetime, now: datetime | None = None, zone: str = "America/New_York", *, phone: str = ""
) -> list[Message]:
    wall = clock.wall_of(starts_at, ZoneInfo(zone))
    parts = {"status": "booked", "service_id": 1, "practitioner_id": 1, "location_id": 1, "created_at": starts_at}
    visit = Appointment(
        id=1, lead_id=1, starts_at=starts_at, ends_at=starts_at + HOUR, timezone=zone, wall_start=wall, **parts
    )
    way = ("sms", phone) if phone else ("mail", "ada@example.com")
    return reminders.plan(visit, [way], now or starts_at - 30 * DAY)


@given(
    starts_at=st.integers(0, 2 * 366 * 96).map(lambda quarters: datetime(2026, 1, 1, tzinfo=UTC) + quarters * QUARTER),
    zone=st.sampled_from(["America/New_York", "America/Los_Angeles", "America/Phoenix", "Australia/Lord_Howe"]),
    ahead=st.timedeltas(timedelta(0), 3 * DAY),
)
def test_a_reminder_is_never_within_the_hour_nor_after_it_could_help(
    starts_at: datetime, zone: str, ahead: timedelta
) -> None:
    for each in plan(starts_at, starts_at - ahead, zone):
        assert each.useful_until is not None
        assert starts_at - ahead + HOUR < each.due_at <= each.useful_until < starts_at
        assert starts_at - each.due_at < DAY + 2 * HOUR


# ---------------------------------------------------------------- with the visit


def test_a_reminder_moves_with_its_visit_and_back(clinic: Clinic, database: Database) -> None:
    visit = clinic.book("short", LATER)
    moved = clinic.move(visit, LATER + DAY)
    assert planned(database) == around(LATER + DAY)
    assert planned(database, "withdrawn") == around(LATER)
    clinic.move(moved, LATER)
    assert planned(database) == around(LATER), "what was withdrawn waits again, and is no second one"
    assert planned(database, "withdrawn") == around(LATER + DAY)


def test_the_reminders_of_a_visit_that_is_off_are_withdrawn_and_come_back_with_it(
    clinic: Clinic, database: Database
) -> None:
    visit = clinic.book("short", LATER)
    clinic.cancel(visit)
    assert planned(database) == {}
    clinic.restore(visit)
    assert planned(database) == around(LATER)


@pytest.mark.parametrize("change", ["drag", "cancel"])
@pytest.mark.parametrize("minutes", [40, -10], ids=["soon", "due already"])
def test_what_is_undone_within_the_grace_leaves_the_reminder_that_was_there(
    change: str, minutes: int, clinic: Clinic, database: Database
) -> None:
    visit = clinic.book("short", LATER)
    told(clinic)
    clinic.now = LATER - 2 * HOUR - minutes * MINUTE
    if change == "drag":
        clinic.move(clinic.move(visit, LATER + DAY, by_desk=True), LATER, by_desk=True)
    else:
        clinic.restore(clinic.cancel(visit, by_desk=True))
    assert planned(database)[HOURS_BEFORE] == LATER - 2 * HOUR
    clinic.now = LATER - 2 * HOUR + 15 * MINUTE
    assert the_reminder(clinic).event == HOURS_BEFORE


def test_a_reminder_that_there_never_was_does_not_come_when_a_change_is_undone(
    clinic: Clinic, database: Database
) -> None:
    clinic.now = LATER - DAY - 5 * MINUTE
    visit = clinic.book("short", LATER)
    told(clinic)
    clinic.now += 3 * HOUR / 2
    clinic.restore(clinic.cancel(visit, by_desk=True))
    assert planned(database) == {HOURS_BEFORE: LATER - 2 * HOUR}, "so near to the booking it was not planned"


def test_a_reminder_that_was_sent_is_not_sent_again_when_a_change_is_undone(clinic: Clinic, database: Database) -> None:
    visit = clinic.book("short", LATER)
    told(clinic)
    for ahead in (DAY, 2 * HOUR):
        clinic.now = LATER - ahead
        told(clinic)
    clinic.move(clinic.move(visit, LATER + DAY, by_desk=True), LATER, by_desk=True)
    assert planned(database) == {}
    assert planned(database, "sent") == around(LATER)


def told(clinic: Clinic) -> None:
    """All that is due is sent."""
    for each in claim(clinic):
        found = look(clinic, each)
        assert isinstance(found, Ready)
        clinic.do(fates.sent, "one", each, found.to_tell, clinic.now)


def test_a_text_comes_in_the_evening_before_where_it_would_come_at_night() -> None:
    eight = datetime(2026, 12, 1, 8, tzinfo=ZONE)
    texts = {each.event: each.due_at for each in plan(eight.astimezone(UTC), phone="+12025550123")}
    assert texts == {THE_DAY_BEFORE: eight - DAY, HOURS_BEFORE: eight - 13 * HOUR}
    in_california = {each.event: each.due_at for each in plan(eight.astimezone(UTC), phone="+14155550123")}
    assert in_california == {THE_DAY_BEFORE: eight - DAY - 13 * HOUR, HOURS_BEFORE: eight - 13 * HOUR}
    letters = {each.event: each.due_at for each in plan(eight.astimezone(UTC))}
    assert letters == {THE_DAY_BEFORE: eight - DAY, HOURS_BEFORE: eight - 2 * HOUR}


def test_a_visit_that_is_given_to_somebody_else_keeps_its_reminders(clinic: Clinic, database: Database) -> None:
    visit = clinic.book("short", LATER, "ann")
    clinic.reassign(visit, "bob")
    assert planned(database) == around(LATER)
    assert planned(database, "withdrawn") == {}


def changes(clinic: Clinic, visit: Visit) -> Iterator[tuple[str, tuple[object, ...], dict[str, object]]]:
    more: dict[str, object] = {"now": clinic.now}
    yield "reschedule", (visit, LATER + DAY), more
    yield "cancel", (visit,), more | {"reason": "", "by": "visitor"}
    yield "reassign", (visit, "bob", clinic.now), {}


def test_a_change_that_is_rolled_back_leaves_the_reminders_as_they_were(clinic: Clinic, database: Database) -> None:
    visit = clinic.book("short", LATER, "ann")
    before = all_messages(database)
    for name, given_to_it, more in changes(clinic, visit):
        with database.transaction() as db:
            getattr(appointments, name)(db, clinic.diary, *given_to_it, **more)
            assert {(row.state, row.due_at) for row in db.scalars(select(OutboxMessage))} != before, "it did something"
            db.rollback()
        assert all_messages(database) == before


def test_a_booking_that_is_rolled_back_reminds_nobody(clinic: Clinic, database: Database) -> None:
    lead = clinic.somebody()
    with database.transaction() as db:
        appointments.book(db, clinic.diary, Wish("short", LATER), lead_id=lead, now=clinic.now)
        db.rollback()
    assert all_messages(database) == set()


def all_messages(database: Database) -> set[tuple[str, datetime]]:
    with database.reading() as db:
        return {(row.state, row.due_at) for row in db.scalars(select(OutboxMessage))}


# ---------------------------------------------------------------- at the last moment


def test_a_reminder_that_is_due_is_sent_with_the_visit_it_is_of(clinic: Clinic) -> None:
    visit = clinic.book("short", LATER)
    clinic.now = LATER - DAY
    found = look(clinic, the_reminder(clinic))
    assert isinstance(found, Ready)
    assert found.visit is not None
    assert found.visit.row.id == visit.row.id


@pytest.mark.parametrize("by_desk", [False, True], ids=["by the visitor", "by the desk"])
def test_nobody_is_reminded_of_a_visit_that_was_cancelled_when_a_worker_had_it_already(
    by_desk: bool, clinic: Clinic, database: Database
) -> None:
    visit = clinic.book("short", LATER)
    clinic.now = LATER - DAY
    reminder = the_reminder(clinic)
    assert isinstance(look(clinic, reminder), Ready), "the twin: until then it would be sent"
    clinic.cancel(visit, by_desk=by_desk)
    assert look(clinic, reminder) is None
    assert not clinic.do(leases.finish, "one", reminder.id, MessageState.SENT, "", clinic.now)
    for hours in range(25):
        clinic.now = LATER - DAY + hours * HOUR
        assert not [each for each in claim(clinic) if each.event in reminders.EVENTS]


def test_a_reminder_that_somehow_still_waits_looks_at_the_visit_itself(clinic: Clinic, database: Database) -> None:
    """Also where nobody withdrew it, for a change of which nobody is told."""
    visit = clinic.book("short", LATER)
    clinic.now = LATER - DAY
    reminder = the_reminder(clinic)
    with database.transaction() as db:
        row = db.get_one(Appointment, visit.row.id)
        row.starts_at, row.ends_at = row.starts_at + HOUR, row.ends_at + HOUR
    assert look(clinic, reminder) == Done(MessageState.WITHDRAWN, last_look.CHANGED)
    with database.transaction() as db:
        row = db.get_one(Appointment, visit.row.id)
        row.starts_at, row.status = row.starts_at - HOUR, "noshow"
    assert look(clinic, reminder) == Done(MessageState.WITHDRAWN, last_look.CHANGED)


def test_a_reminder_is_missed_when_it_is_too_late_to_help(clinic: Clinic, database: Database) -> None:
    clinic.book("short", LATER)
    clinic.now = LATER - reminders.DAY_HELPS_UNTIL
    day = the_reminder(clinic)
    assert isinstance(look(clinic, day), Ready)
    clinic.now += MOMENT
    assert look(clinic, day) == Done(MessageState.MISSED, last_look.TOO_LATE)
    clinic.do(leases.finish, "one", day.id, MessageState.MISSED, "", clinic.now)
    clinic.now = LATER - reminders.HOURS_HELP_UNTIL
    hours = the_reminder(clinic)
    assert isinstance(look(clinic, hours), Ready)
    clinic.now += MOMENT
    assert look(clinic, hours) == Done(MessageState.MISSED, last_look.TOO_LATE)


def test_when_the_law_of_a_zone_changes_the_reminders_follow_and_nobody_is_told(
    clinic: Clinic, database: Database
) -> None:
    visit = clinic.book("short", LATER)
    for each in claim(clinic):
        clinic.do(leases.finish, "one", each.id, MessageState.SENT, "", clinic.now)
    with database.transaction() as db:
        row = db.get_one(Appointment, visit.row.id)
        before, row.told = row.to_tell, {"mail": row.to_tell, "sms": "something older"}
        row.starts_at, row.ends_at = row.starts_at - HOUR, row.ends_at - HOUR
        assert clinic.diary.telling is not None
        notifications.reminders_follow(db, clinic.keyring, clinic.diary.telling, row, before, clinic.now)
        assert row.told == {"mail": row.to_tell, "sms": "something older"}
    assert planned(database)[HOURS_BEFORE] == LATER - 3 * HOUR
    assert claim(clinic) == []
