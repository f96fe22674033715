"""Appointments: every road that takes time, one by one; none gives a time twice, and a refusal changes nothing."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Select, text

from booking.database import Database
from booking.domain.errors import AppointmentUnknown, NotOffered, SlotTaken, TooLate
from booking.domain.status import AppointmentStatus
from booking.keyring import Keyring
from booking.models.appointment import REASON, Appointment
from booking.operations import appointments, placing, slots
from booking.operations.appointments import LINK_LASTS, Visit
from tests.visits import CAPPED, DAY, HOUR, LONG, MAIN, QUARTER, SHORT, TEN, Clinic, overlaps, rows, small

MOMENT = timedelta(microseconds=1)
PENDING = AppointmentStatus.PENDING


@pytest.fixture
def clinic(database: Database, keyring: Keyring, now: datetime) -> Clinic:
    return Clinic(database, keyring, now)


def refuse(clinic: Clinic, why: type[Exception], act: Callable[..., object], *args: object, **more: object) -> None:
    """What is done is refused for this reason, and nothing has changed."""
    before = rows(clinic.database)
    with pytest.raises(why):
        act(*args, **more)
    assert rows(clinic.database) == before


def by_token(clinic: Clinic, token: str) -> Visit:
    with clinic.database.reading() as db:
        return appointments.by_token(db, clinic.diary.catalog, token, clinic.now)


# ---------------------------------------------------------------- booking


def test_a_visit_takes_practitioner_rooms_and_the_time_around_it_together_or_not_at_all(clinic: Clinic) -> None:
    clinic.book("long", TEN, "ann")
    whole = ["09:45-11:30"]
    assert clinic.taken() == {"ann": whole, "laser": whole, "room": whole}
    refuse(clinic, SlotTaken, clinic.book, "long", TEN, "bob", lead=clinic.somebody())
    refuse(clinic, SlotTaken, clinic.book, "short", TEN + 5 * QUARTER, "ann", lead=clinic.somebody())
    clinic.book("short", TEN + 6 * QUARTER, "ann")
    clinic.book("short", TEN, "bob")


def test_first_available_is_who_is_first_in_the_catalogue_and_free(clinic: Clinic) -> None:
    assert [clinic.book("short", TEN).practitioner.slug for _ in range(2)] == ["ann", "bob"]
    refuse(clinic, SlotTaken, clinic.book, "short", TEN, lead=clinic.somebody())
    clinic.book("short", TEN + HOUR, "ann")
    assert clinic.book("short", TEN + HOUR).practitioner.slug == "bob"
    assert clinic.book("short", TEN + 2 * HOUR).practitioner.slug == "ann"


def test_the_desk_books_what_the_public_may_not_see_and_nothing_that_is_taken(clinic: Clinic) -> None:
    refuse(clinic, NotOffered, clinic.book, "hidden", TEN, lead=clinic.somebody())
    visit = clinic.book("hidden", TEN, "ann", by_desk=True)
    assert visit.service.slug == "hidden"
    refuse(clinic, SlotTaken, clinic.book, "hidden", TEN, "ann", lead=clinic.somebody(), by_desk=True)


def test_a_pending_visit_has_its_time_already_and_keeps_it(clinic: Clinic) -> None:
    visit = clinic.book("short", TEN, "ann", status=PENDING)
    refuse(clinic, SlotTaken, clinic.book, "short", TEN, "ann", lead=clinic.somebody())
    clinic.do(appointments.accept, clinic.diary, visit.row.id, clinic.now)
    assert by_token(clinic, visit.token).row.status == "booked"
    assert clinic.taken() == {"ann": ["10:00-10:30"]}
    refuse(clinic, TooLate, clinic.do, appointments.accept, clinic.diary, visit.row.id, clinic.now)
    refuse(clinic, AppointmentUnknown, clinic.do, appointments.accept, clinic.diary, 4711, clinic.now)


def test_what_fits_at_no_place_leaves_nothing_and_the_second_place_is_tried_when_the_first_is_taken(
    clinic: Clinic,
) -> None:
    two = (MAIN, replace(MAIN, slug="other", name="Other"))
    clinic.load(small(SHORT, replace(LONG, needs=()), locations=two))
    clinic.take_off("bob", TEN, TEN + HOUR)
    clinic.book("short", TEN, "ann")
    refuse(clinic, SlotTaken, clinic.book, "long", TEN, lead=clinic.somebody())
    clinic.load(small(SHORT, replace(CAPPED, daily_cap=1), locations=two))
    visits = [clinic.book("capped", TEN + number * HOUR) for number in (1, 2)]
    assert [visit.location.slug for visit in visits] == ["main", "other"]
    refuse(clinic, NotOffered, clinic.book, "capped", TEN + 3 * HOUR, lead=clinic.somebody())


# ---------------------------------------------------------------- cancelling, and taking that back


def test_a_cancelled_visit_is_kept_and_its_time_is_free(clinic: Clinic, keyring: Keyring) -> None:
    visit = clinic.cancel(clinic.book("long", TEN, "ann"), reason="I feel fine")
    assert clinic.taken() == {}
    row = by_token(clinic, visit.token).row
    assert (row.status, row.cancelled_by, row.sequence) == ("cancelled", "visitor", 1)
    assert keyring.open(row.reason or b"", REASON, row.id) == "I feel fine"
    clinic.book("long", TEN, "ann")
    before = rows(clinic.database)
    clinic.cancel(visit, reason="again")
    assert rows(clinic.database) == before, "twice is once"


def test_a_cancellation_can_be_taken_back_while_the_time_is_free_and_to_come(clinic: Clinic) -> None:
    visit = clinic.cancel(clinic.book("long", TEN, "ann"))
    other = clinic.book("short", TEN + HOUR, "ann")
    refuse(clinic, SlotTaken, clinic.restore, visit)
    clinic.cancel(other)
    clinic.restore(visit)
    assert clinic.taken() == {each: ["09:45-11:30"] for each in ("ann", "laser", "room")}
    row = by_token(clinic, visit.token).row
    assert (row.status, row.cancelled_by, row.sequence) == ("booked", None, 2)
    refuse(clinic, TooLate, clinic.restore, visit)
    clinic.cancel(visit)
    clinic.now = TEN
    refuse(clinic, TooLate, clinic.restore, visit)


def test_a_restored_visit_is_as_long_as_its_service_is_by_then(clinic: Clinic) -> None:
    visit = clinic.cancel(clinic.book("short", TEN, "ann"))
    clinic.load(small(replace(SHORT, duration_minutes=45)))
    assert clinic.restore(visit).row.ends_at == TEN + 3 * QUARTER
    assert clinic.taken() == {"ann": ["10:00-10:45"]}


# ---------------------------------------------------------------- moving


@pytest.mark.parametrize("shift", [QUARTER, -QUARTER, 2 * QUARTER, HOUR, -HOUR, 3 * HOUR, DAY, DAY * 0])
def test_a_visit_can_be_moved_also_over_a_part_of_its_own_time(shift: timedelta, clinic: Clinic) -> None:
    visit = clinic.move(clinic.book("long", TEN, "ann"), TEN + shift)
    span = (TEN + shift - QUARTER, TEN + shift + 6 * QUARTER)
    assert clinic.spans() == {each: [span] for each in ("ann", "laser", "room")}
    assert (visit.row.starts_at, visit.row.ends_at) == (TEN + shift, TEN + shift + HOUR)


def test_a_visit_that_cannot_be_moved_stays_as_it_was(clinic: Clinic) -> None:
    visit = clinic.book("long", TEN, "ann")
    clinic.book("short", TEN + 8 * QUARTER, "ann")
    refuse(clinic, SlotTaken, clinic.move, visit, TEN + HOUR)
    refuse(clinic, NotOffered, clinic.move, visit, TEN + timedelta(minutes=1))
    refuse(clinic, NotOffered, clinic.move, visit, TEN + 12 * HOUR)
    refuse(clinic, NotOffered, clinic.move, visit, TEN, practitioner="nobody")


def test_two_visits_change_places_by_way_of_a_third(clinic: Clinic) -> None:
    one, two = (clinic.book("short", TEN + number * HOUR, "ann") for number in (0, 1))
    refuse(clinic, SlotTaken, clinic.move, one, TEN + HOUR)
    refuse(clinic, SlotTaken, clinic.move, two, TEN)
    one = clinic.move(one, TEN + 2 * HOUR)
    two = clinic.move(two, TEN)
    clinic.move(one, TEN + HOUR)
    assert clinic.taken() == {"ann": ["10:00-10:30", "11:00-11:30"]}


def test_a_visit_goes_to_somebody_else_at_the_same_time_and_takes_its_rooms_along(clinic: Clinic) -> None:
    visit = clinic.reassign(clinic.book("long", TEN, "ann"), "bob")
    assert clinic.taken() == {each: ["09:45-11:30"] for each in ("bob", "laser", "room")}
    assert by_token(clinic, visit.token).practitioner.slug == "bob", "its link stays"
    clinic.book("short", TEN, "ann")
    refuse(clinic, SlotTaken, clinic.reassign, visit, "ann")
    refuse(clinic, NotOffered, clinic.reassign, visit, "nobody")
    clinic.cancel(visit)
    refuse(clinic, TooLate, clinic.reassign, visit, "ann")


# ---------------------------------------------------------------- length and buffers


def test_a_visit_takes_the_time_its_service_takes_now_or_stays_as_it_was(clinic: Clinic) -> None:
    visit = clinic.book("short", TEN, "ann")
    clinic.book("short", TEN + 3 * QUARTER, "ann")
    longer = replace(SHORT, duration_minutes=45, buffer_before_minutes=15, needs=("room",))
    clinic.load(small(longer))
    assert clinic.taken() == {"ann": ["10:00-10:30", "10:45-11:15"]}
    clinic.change_length(visit)
    assert clinic.taken() == {"ann": ["09:45-11:15"], "room": ["09:45-10:45"]}
    clinic.load(small(replace(longer, buffer_before_minutes=30, buffer_after_minutes=5)))
    refuse(clinic, SlotTaken, clinic.change_length, visit)
    clinic.load(small(replace(SHORT, duration_minutes=20)))
    assert clinic.change_length(visit).row.ends_at == TEN + timedelta(minutes=20)
    assert clinic.taken() == {"ann": ["10:00-10:20", "10:45-11:15"]}
    assert overlaps(clinic.database) == 0


# ---------------------------------------------------------------- the cap of a day


def test_a_day_takes_as_many_visits_of_a_service_as_its_cap_and_holds_count(clinic: Clinic) -> None:
    first = clinic.book("capped", TEN)
    held = clinic.hold("capped", TEN)
    refuse(clinic, NotOffered, clinic.book, "capped", TEN + HOUR, lead=clinic.somebody())
    refuse(clinic, NotOffered, clinic.hold, "capped", TEN + HOUR)
    clinic.book("capped", TEN + DAY)
    clinic.book("capped", TEN + 2 * HOUR, hold_token=held.token)
    refuse(clinic, NotOffered, clinic.book, "capped", TEN + HOUR, lead=clinic.somebody())
    clinic.cancel(first)
    clinic.book("capped", TEN + HOUR)
    refuse(clinic, NotOffered, clinic.restore, first)


def test_on_a_full_day_a_visit_can_still_be_moved_but_none_can_be_moved_to_it(clinic: Clinic) -> None:
    one, _, tomorrow = (clinic.book("capped", at) for at in (TEN, TEN, TEN + DAY))
    moved = clinic.move(one, TEN + HOUR)
    refuse(clinic, NotOffered, clinic.move, tomorrow, TEN + 2 * HOUR)
    clinic.cancel(moved)
    clinic.move(tomorrow, TEN + 2 * HOUR)


def test_the_cap_is_that_of_a_place_also_for_a_visit_that_is_moved_to_it(clinic: Clinic) -> None:
    two = (MAIN, replace(MAIN, slug="other", name="Other"))
    clinic.load(small(replace(CAPPED, daily_cap=1), locations=two))
    here, there = clinic.book("capped", TEN), clinic.book("capped", TEN + HOUR)
    assert (here.location.slug, there.location.slug) == ("main", "other")
    refuse(clinic, NotOffered, clinic.move, here, TEN + 2 * HOUR, location="other")
    clinic.move(here, TEN + 2 * HOUR)


def one_of(clinic: Clinic, visit: Visit) -> Visit:
    """A visit as the desk sees it now."""
    with clinic.database.reading() as db:
        row = db.get_one(Appointment, visit.row.id)
        return appointments.visit_of(clinic.diary.catalog, row)


@pytest.mark.parametrize(("locked", "booked"), [(True, 1), (False, 2)], ids=["as it is", "twin without the lock"])
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_who_want_the_last_visit_of_a_day_are_counted_one_after_the_other(
    locked: bool, booked: int, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.load(small(replace(CAPPED, daily_cap=1)))
    both, won, count = threading.Barrier(2), [], slots.is_full

    def is_full(*args: Any, **more: Any) -> bool:
        found = count(*args, **more)
        with suppress(threading.BrokenBarrierError):
            both.wait(0.5)  # where the other one is let in meanwhile, neither has seen what the other will write
        return found

    def book(at: datetime, lead: int) -> None:
        with suppress(NotOffered):
            won.append(clinic.book("capped", at, lead=lead))

    monkeypatch.setattr(placing, "is_full", is_full)
    if not locked:
        monkeypatch.setattr(Select, "with_for_update", lambda query, **_: query)
    threads = [threading.Thread(target=book, args=(TEN + hours * HOUR, clinic.somebody())) for hours in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == booked


# ---------------------------------------------------------------- the visitor's link


def test_each_move_gives_a_new_link_and_the_old_one_is_dead(clinic: Clinic) -> None:
    old = clinic.book("short", TEN, "ann")
    new = clinic.move(old, TEN + HOUR)
    assert (new.row.id, new.row.reference, new.row.generation, new.row.sequence) == (
        *(old.row.id, old.row.reference, 1, 1),
    )
    assert by_token(clinic, new.token).row.starts_at == TEN + HOUR
    with pytest.raises(AppointmentUnknown):
        by_token(clinic, old.token)
    # Also for who had opened the page before, and sends it now.
    for act in (lambda: clinic.move(old, TEN + 2 * HOUR), lambda: clinic.cancel(old)):
        refuse(clinic, AppointmentUnknown, act)


def test_a_link_outlives_the_visit_by_a_day(clinic: Clinic) -> None:
    visit = clinic.book("short", TEN, "ann")
    clinic.now = visit.row.ends_at + LINK_LASTS
    assert by_token(clinic, visit.token).row.id == visit.row.id
    clinic.now += MOMENT
    for token in (visit.token, "", "unknown", "\udcff"):
        with pytest.raises(AppointmentUnknown):
            by_token(clinic, token)


def test_the_cut_off_binds_visitors_to_the_moment_and_not_the_desk(clinic: Clinic) -> None:
    visit = clinic.book("short", TEN, "ann")
    clinic.now = TEN - HOUR
    visit = clinic.move(visit, TEN + HOUR)
    clinic.now += HOUR + MOMENT
    refuse(clinic, TooLate, clinic.move, visit, TEN + 4 * HOUR)
    refuse(clinic, TooLate, clinic.cancel, visit)
    moved = clinic.move(visit, TEN + 4 * HOUR, by_desk=True)
    clinic.now = TEN + 5 * HOUR
    assert clinic.cancel(moved, by_desk=True, by="desk").row.cancelled_by == "desk"


def test_who_looked_before_it_was_changed_changes_what_it_is_now(clinic: Clinic) -> None:
    seen = one_of(clinic, clinic.book("short", TEN, "ann"))
    clinic.reassign(seen, "bob")
    clinic.load(small(replace(SHORT, duration_minutes=45)))
    clinic.change_length(seen)
    assert clinic.taken() == {"bob": ["10:00-10:45"]}
    clinic.move(seen, TEN + HOUR)
    assert clinic.taken() == {"bob": ["11:00-11:45"]}
    clinic.cancel(seen)
    clinic.restore(seen)
    assert clinic.taken() == {"bob": ["11:00-11:45"]}
    assert one_of(clinic, seen).practitioner.slug == "bob"


def test_no_link_and_no_reason_is_in_the_database_as_it_was_given(clinic: Clinic, database: Database) -> None:
    visit = clinic.book("short", TEN, "ann")
    moved = clinic.move(visit, TEN + HOUR)
    clinic.cancel(moved, reason="sciatica")
    there = str(rows(database))
    assert moved.row.reference in there, "the twin: what is not hidden is found"
    with database.reading() as db:
        raw = bytes(db.scalar(text("select reason from appointment")) or b"")
    assert raw
    for secret in (visit.token, moved.token, "sciatica"):
        assert secret not in there
        assert secret.encode() not in raw
