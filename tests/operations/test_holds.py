"""Holds: a courtesy of ten minutes; nobody has more than two, none outlasts its time, and none is needed to book."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from booking.database import Database
from booking.domain.errors import AlreadyExtended, HoldUnknown, NotOffered, SlotTaken, TooManyHolds
from booking.domain.offers import Wish
from booking.domain.slots import Slot
from booking.keyring import Keyring
from booking.operations import claims, holds, slots
from booking.operations.holds import Held
from booking.operations.slots import Question
from tests.postgres import somebody_waits_for_a_lock
from tests.visits import HOUR, LONG, MAIN, QUARTER, SHORT, TEN, Clinic, rows, small

MOMENT = timedelta(microseconds=1)


@pytest.fixture
def clinic(database: Database, keyring: Keyring, now: datetime) -> Clinic:
    return Clinic(database, keyring, now)


def free(clinic: Clinic, service: str = "short", **more: object) -> Sequence[Slot]:
    """The free slots of the day."""
    question = replace(Question(service, first=TEN.date(), days=1), **more)  # type: ignore[arg-type]  # any field of it
    with clinic.database.reading() as db:
        return slots.find(db, clinic.diary.catalog, question, clinic.now).slots


def extend(clinic: Clinic, held: Held) -> Held:
    return clinic.do(holds.extend, held.token, clinic.now)


# ---------------------------------------------------------------- placing


def test_what_is_held_can_neither_be_held_nor_booked_by_others(clinic: Clinic, database: Database) -> None:
    held = clinic.hold("long", TEN, "ann")
    assert clinic.taken() == {"ann": ["09:45-11:30"], "laser": ["09:45-11:30"], "room": ["09:45-11:30"]}
    assert (held.starts_at, held.expires_at - clinic.now, held.extended) == (TEN, timedelta(minutes=10), False)
    before = rows(database)
    for service, who in (("short", "ann"), ("long", "bob"), ("long", "")):
        with pytest.raises(SlotTaken):
            clinic.hold(service, TEN + HOUR, who, visitor="another")
        with pytest.raises(SlotTaken):
            clinic.book(service, TEN + HOUR, who, hold_token="no such token")
    assert rows(database) == before, "a refused hold leaves nothing, not even a seat"
    assert clinic.hold("short", TEN + HOUR, visitor="another").practitioner_id != held.practitioner_id


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_same_wish_twice_at_once_is_one_hold(clinic: Clinic, database: Database) -> None:
    """The second one waits for the seat of the first, and finds its own hold there."""
    wish: dict[str, Any] = {"visitor": b"somebody".ljust(16), "now": clinic.now, "token": "the same"}
    placed: list[Held] = []
    again = threading.Thread(
        target=lambda: placed.append(clinic.do(holds.place, clinic.diary.catalog, Wish("short", TEN), **wish)[0])
    )
    with database.transaction() as db:
        first, *_ = holds.place(db, clinic.diary.catalog, Wish("short", TEN), **wish)
        again.start()
        assert somebody_waits_for_a_lock(database.engine)
    again.join()
    assert [held.id for held in placed] == [first.id]
    assert len(rows(database)["hold"]) == 1


def test_a_hold_is_offered_to_its_owner_and_to_nobody_else(clinic: Clinic) -> None:
    held = clinic.hold("short", TEN, "ann")
    others, own = (
        {(slot.starts_at, slot.practitioner.slug) for slot in free(clinic, hold_id=hold_id)}
        for hold_id in (None, held.id)
    )
    assert {start for start, who in own - others if who == "ann"} == {TEN - QUARTER, TEN, TEN + QUARTER}


def test_nobody_has_more_than_two_and_one_given_back_makes_room(clinic: Clinic, database: Database) -> None:
    first, _ = clinic.hold("short", TEN), clinic.hold("short", TEN)
    before = rows(database)
    with pytest.raises(TooManyHolds):
        clinic.hold("short", TEN + HOUR)
    assert rows(database) == before
    clinic.hold("short", TEN + HOUR, visitor="another")
    clinic.do(holds.release, first)
    clinic.do(holds.release, first)
    clinic.hold("short", TEN + HOUR)


def test_holds_that_have_run_out_take_no_seats(clinic: Clinic) -> None:
    for _ in range(3):
        clinic.hold("short", TEN)
        clinic.now = clinic.hold("long", TEN + 2 * HOUR).expires_at
    clinic.hold("short", TEN)
    clinic.hold("short", TEN)
    with pytest.raises(TooManyHolds):
        clinic.hold("short", TEN + HOUR)
    assert clinic.taken() == {"ann": ["10:00-10:30"], "bob": ["10:00-10:30"]}


# ---------------------------------------------------------------- running out


def test_a_hold_that_has_run_out_has_no_effect(clinic: Clinic) -> None:
    held = clinic.hold("long", TEN, "ann")
    clinic.now = held.expires_at - MOMENT
    assert TEN not in {slot.starts_at for slot in free(clinic, "long")}
    with pytest.raises(SlotTaken):
        clinic.book("long", TEN)
    clinic.now = held.expires_at
    assert TEN in {slot.starts_at for slot in free(clinic, "long")}
    visit = clinic.book("long", TEN)
    assert visit.practitioner.slug == "ann"
    assert clinic.taken() == {"ann": ["09:45-11:30"], "laser": ["09:45-11:30"], "room": ["09:45-11:30"]}


def test_the_token_of_a_hold_that_has_run_out_is_dead(clinic: Clinic) -> None:
    held = clinic.hold("short", TEN, "ann")
    clinic.now = held.expires_at
    with pytest.raises(HoldUnknown):
        extend(clinic, held)
    clinic.book("short", TEN, "ann")
    with pytest.raises(SlotTaken):
        clinic.book("short", TEN, "ann", hold_token=held.token)


def test_a_hold_is_extended_once_by_ten_minutes_from_then(clinic: Clinic) -> None:
    held = clinic.hold("long", TEN)
    clinic.now += timedelta(minutes=9)
    longer = extend(clinic, held)
    assert (longer.expires_at, longer.extended) == (clinic.now + timedelta(minutes=10), True)
    with pytest.raises(AlreadyExtended):
        extend(clinic, held)
    clinic.now = longer.expires_at - MOMENT
    with pytest.raises(SlotTaken):
        clinic.book("long", TEN)
    clinic.now = longer.expires_at
    clinic.book("long", TEN)


def test_of_a_hold_that_never_was_or_was_given_back_the_same_is_said(clinic: Clinic) -> None:
    held = clinic.hold("short", TEN)
    clinic.do(holds.release, held)
    assert clinic.taken() == {}
    for token in (held.token, "", "x", "\udcff"):
        with pytest.raises(HoldUnknown):
            clinic.do(holds.extend, token, clinic.now)


# ---------------------------------------------------------------- becoming a visit


def test_a_hold_becomes_the_visit_with_the_very_claims_it_had(clinic: Clinic, database: Database) -> None:
    held = clinic.hold("long", TEN, "bob")
    ids = text("select id from claim order by id")
    with database.reading() as db:
        before = db.scalars(ids).all()
    visit = clinic.book("long", TEN, hold_token=held.token)
    assert visit.practitioner.slug == "bob", "first available is who is held"
    with database.reading() as db:
        assert db.scalars(ids).all() == before
        owners = "select distinct appointment_id, hold_id, expires_at from claim"
        assert db.execute(text(owners)).all() == [(visit.row.id, None, None)]
        assert db.scalar(text("select count(*) from hold")) == 0
    clinic.now = held.expires_at
    assert clinic.taken() == {"bob": ["09:45-11:30"], "laser": ["09:45-11:30"], "room": ["09:45-11:30"]}


def test_another_time_is_taken_before_the_hold_is_given_back(clinic: Clinic, database: Database) -> None:
    held = clinic.hold("short", TEN, "ann")
    clinic.book("short", TEN + HOUR, "ann")
    before = rows(database)
    with pytest.raises(SlotTaken):
        clinic.book("short", TEN + HOUR, "ann", hold_token=held.token)
    assert rows(database) == before, "what was held is held still"
    clinic.book("short", TEN + 2 * HOUR, "bob", hold_token=held.token)
    assert clinic.taken() == {"ann": ["11:00-11:30"], "bob": ["12:00-12:30"]}


def test_nobodys_own_hold_is_in_their_way(clinic: Clinic) -> None:
    held = clinic.hold("long", TEN, "ann")
    clinic.book("short", TEN + QUARTER, "ann", hold_token=held.token)
    assert clinic.taken() == {"ann": ["10:15-10:45"]}
    held = clinic.hold("short", TEN + HOUR, "bob")
    clinic.book("long", TEN + HOUR + QUARTER, "bob", hold_token=held.token)
    assert clinic.taken()["bob"] == ["11:00-12:45"]


def test_a_hold_whose_notice_began_meanwhile_can_be_booked_and_one_whose_time_came_cannot(clinic: Clinic) -> None:
    clinic.now = TEN - HOUR
    held = clinic.hold("short", TEN)
    clinic.now += timedelta(minutes=1)
    with pytest.raises(NotOffered):
        clinic.book("short", TEN)
    visit = clinic.book("short", TEN, hold_token=held.token)
    assert visit.row.starts_at == TEN
    clinic.load(small(replace(SHORT, notice_minutes=0)))
    clinic.now = TEN + HOUR - timedelta(minutes=5)
    held = clinic.hold("short", TEN + HOUR)
    clinic.now = TEN + HOUR + MOMENT
    with pytest.raises(NotOffered):
        clinic.book("short", TEN + HOUR, hold_token=held.token)


def test_a_visit_gets_what_its_service_needs_by_then_also_when_less_was_held(clinic: Clinic) -> None:
    clinic.load(small(replace(LONG, needs=(), buffer_after_minutes=0)))
    held = clinic.hold("long", TEN, "ann")
    assert clinic.taken() == {"ann": ["09:45-11:00"]}
    clinic.load(small(LONG, SHORT))
    with pytest.raises(HoldUnknown):
        extend(clinic, held)
    clinic.book("short", TEN + HOUR, "bob")
    clinic.book("long", TEN, hold_token=held.token)
    whole = ["09:45-11:30"]
    assert clinic.taken() == {"ann": whole, "bob": ["11:00-11:30"], "laser": whole, "room": whole}


def test_a_hold_that_has_lost_a_part_is_neither_extended_nor_booked_by_halves(
    clinic: Clinic, database: Database
) -> None:
    held = clinic.hold("long", TEN, "ann")
    # As by somebody whose clock is ahead, for whom it had run out, and who took its practitioner.
    ahead = held.expires_at
    clinic.now, then = ahead, clinic.now
    clinic.book("short", TEN, "ann")
    clinic.now = then
    assert clinic.taken()["room"] == ["09:45-11:30"]
    before = rows(database)
    with pytest.raises(HoldUnknown):
        extend(clinic, held)
    with pytest.raises(SlotTaken):
        clinic.book("long", TEN, "ann", hold_token=held.token)
    assert rows(database) == before
    assert clinic.book("long", TEN, hold_token=held.token).practitioner.slug == "bob"


def test_first_where_it_is_held_then_where_it_is_free(clinic: Clinic) -> None:
    other = replace(MAIN, slug="other", name="Other")
    clinic.load(small(replace(SHORT, daily_cap=None), locations=(MAIN, other)))
    catalog = clinic.diary.catalog
    held, who, where = clinic.do(
        holds.place, catalog, Wish("short", TEN, "ann", "other"), visitor=b"x" * 16, now=clinic.now
    )  # fmt: skip
    assert (who.slug, where.slug) == ("ann", "other")
    visit = clinic.book("short", TEN, hold_token=held.token)
    assert (visit.practitioner.slug, visit.location.slug) == ("ann", "other")
    assert clinic.taken() == {"ann": ["10:00-10:30"]}


# ---------------------------------------------------------------- what others may see


def test_no_token_is_in_the_database_and_no_claim_outlives_its_hold(clinic: Clinic, database: Database) -> None:
    held = clinic.hold("long", TEN, "ann")
    assert held.token
    assert held.token not in str(rows(database))
    with database.reading() as db:
        expiries = set(db.scalars(text("select expires_at from claim union select expires_at from hold")))
    assert len(expiries) == 1
    assert clinic.do(claims.forget_expired, held.expires_at - MOMENT) == 0
    assert clinic.do(claims.forget_expired, held.expires_at) == 3
