"""Invitations: one event for the life of a visit, which says when and where, and to other people nothing of why."""

from booking import calendar_file
from booking.domain.status import AppointmentStatus
from booking.operations import invitations
from booking.operations.appointments import Visit
from tests.visits import DAY, TEN, WORDS, Clinic


def of(visit: Visit, attendee: str = "") -> calendar_file.Visit:
    return invitations.of(WORDS, visit, attendee)


def test_it_says_when_and_where_and_that_it_is_an_appointment(clinic: Clinic) -> None:
    visit = clinic.book("short", TEN, "ann")
    found = of(visit)
    assert (found.starts_at, found.ends_at, found.timezone) == (TEN, visit.row.ends_at, "America/New_York")
    assert (found.title, found.place) == (f"Appointment, {WORDS.name.split()[0]}", visit.location.address)
    assert (found.cancelled, found.tentative, found.method) == (False, False, "REQUEST")
    assert visit.service.name not in str(found)
    assert visit.practitioner.name not in str(found)


def test_it_is_the_same_event_through_every_change_and_each_is_a_later_one(clinic: Clinic) -> None:
    booked = clinic.book("short", TEN, "ann")
    moved = clinic.move(booked, TEN + DAY)
    cancelled = clinic.cancel(moved)
    found = [of(each) for each in (booked, moved, cancelled)]
    assert {each.uid for each in found} == {f"{booked.row.reference}@booking"}
    assert [each.sequence for each in found] == sorted({each.sequence for each in found})
    assert [each.method for each in found] == ["REQUEST", "REQUEST", "CANCEL"]
    assert [each.starts_at for each in found] == [TEN, TEN + DAY, TEN + DAY]


def test_a_visit_that_is_not_yet_confirmed_is_tentative(clinic: Clinic) -> None:
    assert of(clinic.book("short", TEN, "ann", status=AppointmentStatus.PENDING)).tentative


def test_only_a_letter_names_who_comes(clinic: Clinic) -> None:
    visit = clinic.book("short", TEN, "ann")
    assert of(visit).attendee == ""
    assert of(visit, "ada@example.com").attendee == "ada@example.com"
