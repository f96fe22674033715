"""Time off: it never lies over a visit without a word, holds give way to it, and what overlaps is taken once."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from booking.database import Database
from booking.domain.errors import HoldUnknown, NotOffered, SlotTaken, TimeIsBooked
from booking.domain.status import AppointmentStatus
from booking.keyring import Keyring
from booking.operations import holds, slots, time_off
from booking.operations.slots import Question
from tests.visits import DAY, HOUR, QUARTER, TEN, Clinic, overlaps, rows

MIDNIGHT = TEN - 10 * HOUR
NOON = TEN + 2 * HOUR


@pytest.fixture
def clinic(database: Database, keyring: Keyring, now: datetime) -> Clinic:
    return Clinic(database, keyring, now)


def test_who_is_away_can_be_neither_booked_nor_held_nor_given_a_visit(clinic: Clinic) -> None:
    clinic.take_off("Ann Reed", MIDNIGHT, MIDNIGHT + DAY)
    for take in (clinic.book, clinic.hold):
        with pytest.raises(SlotTaken):
            take("short", TEN, "ann")
    visit = clinic.book("short", TEN)
    assert visit.practitioner.slug == "bob"
    with pytest.raises(SlotTaken):
        clinic.reassign(visit, "ann")
    with pytest.raises(SlotTaken):
        clinic.move(visit, TEN, practitioner="ann")
    with clinic.database.reading() as db:
        found = slots.find(db, clinic.diary.catalog, Question("short", first=TEN.date(), days=1), clinic.now)
    assert {slot.practitioner.slug for slot in found.slots} == {"bob"}


def test_weeks_off_are_claimed_a_day_at_a_time_and_to_the_minute(clinic: Clinic, database: Database) -> None:
    clinic.take_off("ann", TEN, TEN + 20 * DAY + HOUR)
    assert clinic.spans() == {"ann": [(TEN, TEN + 20 * DAY + HOUR)]}
    with database.reading() as db:
        assert db.scalar(text("select count(*) from claim")) == 21
    clinic.book("short", TEN - 2 * QUARTER, "ann")
    clinic.book("short", TEN + 20 * DAY + HOUR, "ann")
    with pytest.raises(SlotTaken):
        clinic.book("short", TEN + 20 * DAY, "ann")


def test_whole_seconds_are_taken_so_that_no_slot_is_offered_that_cannot_be_booked(clinic: Clinic) -> None:
    moment = timedelta(microseconds=1)
    clinic.take_off("ann", TEN - moment, TEN + HOUR + moment)
    second = timedelta(seconds=1)
    assert clinic.spans() == {"ann": [(TEN - second, TEN + HOUR + second)]}
    with clinic.database.reading() as db:
        question = Question("short", "ann", first=TEN.date(), days=1)
        starts = {slot.starts_at for slot in slots.find(db, clinic.diary.catalog, question, clinic.now).slots}
    assert starts & {TEN - 2 * QUARTER, TEN + HOUR} == set()
    assert {TEN - 3 * QUARTER, TEN + HOUR + QUARTER} <= starts


def test_a_room_can_be_out_of_use(clinic: Clinic) -> None:
    room = next(each for each in clinic.diary.catalog.resources if each.slug == "room")
    span = {"starts_at": MIDNIGHT, "ends_at": MIDNIGHT + DAY, "note": "painted", "now": clinic.now}
    row = clinic.do(time_off.take, clinic.diary.catalog, calendar_id=room.calendar_id, **span)
    assert (row.calendar_id, row.note) == (room.calendar_id, "painted")
    with pytest.raises(SlotTaken):
        clinic.book("long", TEN)
    clinic.book("short", TEN)


def test_visits_in_the_way_are_named_in_their_order_and_nothing_changes(clinic: Clinic, database: Database) -> None:
    afternoon = clinic.book("long", TEN + 4 * HOUR, "ann", status=AppointmentStatus.PENDING)
    morning = clinic.book("short", TEN, "ann")
    clinic.book("short", TEN, "bob")
    clinic.cancel(clinic.book("short", NOON, "ann"))
    clinic.hold("short", NOON, "ann")
    clinic.take_off("ann", TEN + HOUR, TEN + 6 * QUARTER)
    before = rows(database)
    with pytest.raises(TimeIsBooked) as refusal:
        clinic.take_off("ann", MIDNIGHT - DAY, MIDNIGHT + 2 * DAY)
    assert refusal.value.references == (morning.row.reference, afternoon.row.reference)
    assert rows(database) == before
    # What is kept free around a visit is a part of it.
    with pytest.raises(TimeIsBooked) as refusal:
        clinic.take_off("ann", TEN + 4 * HOUR - QUARTER, TEN + 4 * HOUR - QUARTER + timedelta(minutes=1))
    assert refusal.value.references == (afternoon.row.reference,)
    assert rows(database) == before
    clinic.take_off("ann", morning.row.ends_at, afternoon.row.starts_at - QUARTER)


def test_live_holds_give_way_as_a_whole_and_are_told_so(clinic: Clinic) -> None:
    held, other = clinic.hold("long", TEN, "ann"), clinic.hold("short", TEN, "bob")
    before = clinic.versions()
    clinic.take_off("ann", TEN + HOUR, NOON)
    assert clinic.taken() == {"ann": ["11:00-12:00"], "bob": ["10:00-10:30"]}
    changed = {"ann", "laser", "room"}
    assert clinic.versions() == {slug: version + (slug in changed) for slug, version in before.items()}
    with pytest.raises(HoldUnknown):
        clinic.do(holds.extend, held.token, clinic.now)
    clinic.do(holds.extend, other.token, clinic.now)
    with pytest.raises(SlotTaken):
        clinic.book("long", TEN, "ann", hold_token=held.token)


def test_holds_that_have_run_out_are_not_even_noticed(clinic: Clinic) -> None:
    clinic.now = clinic.hold("long", TEN, "ann").expires_at
    clinic.take_off("ann", TEN, NOON)
    assert clinic.taken() == {"ann": ["10:00-12:00"]}


def test_time_off_that_overlaps_takes_only_what_is_missing(clinic: Clinic, database: Database) -> None:
    clinic.take_off("ann", TEN, NOON)
    clinic.take_off("ann", NOON + HOUR, NOON + 2 * HOUR)
    clinic.take_off("ann", TEN - HOUR, NOON + 3 * HOUR)
    before = clinic.versions()
    clinic.take_off("ann", TEN, NOON)
    assert clinic.taken() == {"ann": ["09:00-15:00"]}
    assert overlaps(database) == 0
    assert clinic.versions() == before, "nothing was missing"


def test_time_off_given_back_is_free_but_for_what_other_time_off_covers(clinic: Clinic, database: Database) -> None:
    first = clinic.take_off("ann", TEN, TEN + 2 * DAY)
    second = clinic.take_off("ann", TEN + DAY, TEN + 3 * DAY)
    third = clinic.take_off("ann", TEN + HOUR, NOON)
    clinic.take_off("bob", TEN, TEN + 2 * DAY)
    clinic.give_back(first)
    assert clinic.spans()["ann"] == [(TEN + HOUR, NOON), (TEN + DAY, TEN + 3 * DAY)]
    assert overlaps(database) == 0
    clinic.book("short", TEN, "ann")
    clinic.give_back(second)
    assert clinic.spans()["ann"] == [(TEN, TEN + 2 * QUARTER), (TEN + HOUR, NOON)]
    clinic.give_back(third)
    before = rows(database)
    clinic.give_back(third)
    clinic.give_back(4711)
    assert rows(database) == before, "twice is once, and what never was is nothing"
    assert clinic.spans() == {"ann": [(TEN, TEN + 2 * QUARTER)], "bob": [(TEN, TEN + 2 * DAY)]}


def test_nobody_unknown_has_time_off_and_it_ends_after_it_begins(clinic: Clinic, database: Database) -> None:
    before = rows(database)
    for who, ends_at, field in (
        ("nobody", NOON, "practitioner"),
        ("ann", TEN, "ends_at"),
        ("ann", MIDNIGHT, "ends_at"),
    ):
        with pytest.raises(NotOffered) as refusal:
            clinic.take_off(who, TEN, ends_at)
        assert refusal.value.field == field
    assert rows(database) == before


def test_a_refusal_inside_a_transaction_leaves_the_rest_of_it_alone(clinic: Clinic, database: Database) -> None:
    clinic.book("short", NOON, "ann")
    clinic.hold("long", TEN, "ann")
    span: dict[str, Any] = {"starts_at": TEN, "note": "", "now": clinic.now}
    with database.transaction() as db:
        time_off.take(db, clinic.diary.catalog, practitioner="bob", ends_at=NOON, **span)
        with pytest.raises(TimeIsBooked):
            time_off.take(db, clinic.diary.catalog, practitioner="ann", ends_at=NOON + HOUR, **span)
    whole = ["09:45-11:30"]
    there = {"ann": [*whole, "12:00-12:30"], "bob": ["10:00-12:00"], "laser": whole, "room": whole}
    assert clinic.taken() == there
