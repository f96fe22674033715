"""The demonstration clinic: believable, free of real people, and in agreement with its own page."""

import re

import pytest

from booking import clinic
from booking.clinic import Catalog, Practitioner
from booking.clinic.weekly import DAYS

PAGE = {
    "Monday to Thursday": ((0, 1, 2, 3), (8, 18)),
    "Friday": ((4,), (8, 14)),
    "Saturday": ((5,), (9, 12)),
    "Sunday": ((6,), None),
}
"""The lines of the page's opening hours, as days and hours."""


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return clinic.load(check_holidays=True).catalog


def test_it_offers_what_the_clinics_site_names(catalog: Catalog) -> None:
    assert [(each.slug, each.duration_minutes, each.bookable) for each in catalog.services] == [
        ("first-visit", 60, "online"),
        ("chiropractic-adjustment", 30, "online"),
        ("back-pain-care", 45, "online"),
        ("functional-wellness", 60, "call"),
        ("massage-therapy", 60, "online"),
        ("posture-and-movement", 45, "online"),
        ("aesthetics", 45, "call"),
    ]
    assert [each.slug for each in catalog.services if each.audience == "new"] == ["first-visit"]


def test_three_made_up_people_work_there_in_rooms_of_two_kinds(catalog: Catalog) -> None:
    assert [each.name for each in catalog.practitioners] == [
        "Dr. Juniper Tidewell",
        "Dr. Sol Marshgrove",
        "Wren Palmetto",
    ]
    assert {each.kind for each in catalog.resources} == {"treatment-room", "quiet-room"}


def test_every_service_is_given_by_somebody(catalog: Catalog) -> None:
    offered = {offer.service for each in catalog.practitioners for offer in each.offers}
    assert offered == {each.slug for each in catalog.services}


def test_every_phone_number_in_the_file_reaches_nobody() -> None:
    text = clinic.DEFAULT_PATH.read_text(encoding="utf-8")
    numbers = re.findall(r"(?:\+1)?(\d{3}-?\d{3}-?\d{4})\b", text)
    assert numbers
    assert [number for number in numbers if not re.fullmatch(r"904-?555-?01\d\d", number)] == []


@pytest.mark.parametrize("line", PAGE)
def test_its_page_and_its_calendar_say_the_same_hours(catalog: Catalog, line: str) -> None:
    weekdays, hours = PAGE[line]
    [said] = [each.opens for each in clinic.load().hours if each.days == line]
    for weekday in weekdays:
        spans = [span for each in catalog.practitioners for span in openings(each, weekday)]
        first, last = min(spans, default=(0, 0))[0], max((closes for _, closes in spans), default=0)
        assert (None if not spans else (first / 60, last / 60)) == hours, DAYS[weekday]
    assert said == ("closed" if hours is None else as_people_say_it(*hours))


def test_it_is_closed_at_christmas_and_on_public_holidays(catalog: Catalog) -> None:
    assert [closure.reason for closure in catalog.closures] == ["Christmas"]
    assert {"Thanksgiving Day", "New Year's Day"} <= set(catalog.locations[0].holidays)


def openings(practitioner: Practitioner, weekday: int) -> list[tuple[int, int]]:
    return [(each.opens, each.closes) for each in practitioner.hours if each.weekday == weekday]


def as_people_say_it(*hours: int) -> str:
    return " to ".join(f"{(at - 1) % 12 + 1} {'noon' if at == 12 else 'am' if at < 12 else 'pm'}" for at in hours)
