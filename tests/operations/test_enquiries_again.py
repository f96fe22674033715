"""An enquiry that comes again: it is told of the visit there is, and asks for a time where there is none."""

from dataclasses import replace
from datetime import timedelta

import pytest

from booking.database import Database
from booking.models import Appointment
from booking.operations import appointments
from tests.posting import ADA, Post, cancel, counts
from tests.visits import HOUR, TEN, Clinic, lead_of

MINUTE = timedelta(minutes=1)


def test_the_same_post_again_is_told_of_the_visit_as_it_stands_now(
    post: Post, clinic: Clinic, database: Database
) -> None:
    first = post(ADA, TEN, key="one")
    assert first.visit
    with database.reading() as db:
        visit = appointments.visit_of(clinic.diary.catalog, db.get_one(Appointment, first.visit["id"]))
    clinic.move(visit, TEN + HOUR)
    now = {"starts_at": (TEN + HOUR).isoformat(), "ends_at": (TEN + 3 * HOUR / 2).isoformat(), "generation": 1}
    assert post(ADA, TEN + HOUR, key="one") == replace(first, replayed=True, visit=first.visit | now)
    assert post(ADA, TEN, key="one") == replace(first, kept=True, visit=first.visit | now)
    assert clinic.taken() == {"ann": ["11:00-11:30"]}


@pytest.mark.parametrize("key", ["one", ""])
def test_who_asks_for_another_time_keeps_what_there_is_and_is_told_so(
    key: str, post: Post, clinic: Clinic, database: Database
) -> None:
    first = post(ADA, TEN, key=key)
    assert not first.kept
    for _ in range(2):
        assert post(ADA, TEN + HOUR, key=key) == replace(first, kept=True)
    assert post(ADA, TEN, key=key) == replace(first, replayed=True)
    assert counts(database) == (1, 1)
    assert clinic.taken() == {"ann": ["10:00-10:30"]}


@pytest.mark.parametrize("key", ["one", ""])
def test_who_has_cancelled_and_asks_for_another_time_has_that(
    key: str, post: Post, clinic: Clinic, database: Database
) -> None:
    first = post(ADA, TEN, key=key)
    assert first.visit
    clinic.do(cancel, clinic, first.visit["id"])
    anew = post(ADA, TEN + HOUR, key=key)
    assert anew.visit
    assert (anew.reference, anew.kept, anew.visit["starts_at"]) == (
        first.reference, False, (TEN + HOUR).isoformat(),
    )  # fmt: skip
    assert post(ADA, TEN + HOUR, key=key) == replace(anew, replayed=True)
    assert clinic.taken() == {"ann": ["11:00-11:30"]}


@pytest.mark.parametrize("other", [{"name": "Eve"}, {"phone": "904-555-0134"}], ids=["name", "phone"])
def test_who_knows_an_address_and_a_message_is_not_shown_the_visit(
    other: dict[str, str], post: Post, clinic: Clinic
) -> None:
    first = post(ADA, TEN)
    assert first.visit
    assert post(ADA | other).visit is None
    with_a_time = post(ADA | other, TEN + HOUR)
    assert with_a_time.visit
    assert with_a_time.visit["id"] != first.visit["id"]
    assert clinic.taken() == {"ann": ["10:00-10:30", "11:00-11:30"]}


@pytest.mark.parametrize("key", ["one", ""])
def test_the_same_post_after_a_cancellation_takes_nothing_back(
    key: str, post: Post, clinic: Clinic, database: Database
) -> None:
    first = post(ADA, TEN, key=key)
    assert first.visit
    clinic.do(cancel, clinic, first.visit["id"])
    assert post(ADA, TEN, key=key) == replace(first, replayed=True, cancelled=True)
    assert (counts(database), clinic.taken()) == ((1, 1), {})


def test_a_visit_that_is_over_is_in_nobodys_way(post: Post, clinic: Clinic, database: Database) -> None:
    first = post(ADA, TEN, key="one")
    clinic.now = TEN + HOUR
    later = post(ADA, TEN + 7 * 24 * HOUR, key="one")
    assert later.visit
    assert (later.reference, later.kept, counts(database)) == (first.reference, False, (1, 2))


@pytest.mark.parametrize("other", [{"service": "long"}, {"practitioner": "bob"}], ids=["service", "practitioner"])
def test_who_asks_for_something_else_at_the_same_time_is_told_that_it_was_not_booked(
    other: dict[str, str], post: Post, clinic: Clinic
) -> None:
    first = post(ADA, TEN, key="one")
    assert post(ADA | other, TEN, key="one") == replace(first, kept=True)
    held = clinic.hold("short", TEN + 2 * HOUR, "bob")
    assert post(
        {"name": ADA["name"], "email": ADA["email"], "message": ADA["message"]}, hold=held.token, key="one"
    ).kept
    assert clinic.taken() == {"ann": ["10:00-10:30"]}, "and what was held for it is free again"


def test_who_tries_again_after_the_desk_has_booked_for_them_is_told_of_that(
    post: Post, clinic: Clinic, database: Database
) -> None:
    for who in ("ann", "bob"):
        clinic.book("short", TEN, who)
    lost = post(ADA, TEN, key="one")
    with database.reading() as db:
        lead = lead_of(db, lost.reference)
    by_phone = clinic.book("short", TEN + HOUR, "bob", lead=lead, by_desk=True)
    told = post(ADA, TEN + 2 * HOUR, key="one")
    assert told.visit
    assert told.visit["reference"] == by_phone.row.reference
    assert counts(database) == (3, 3)
    clinic.cancel(by_phone, by_desk=True)
    booked = post(ADA, TEN + 2 * HOUR, key="one")
    assert (booked.reference, bool(booked.visit), counts(database)) == (lost.reference, True, (3, 4))
