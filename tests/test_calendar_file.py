"""The calendar file: another program reads the right instants from it, and it says nothing that was not asked."""

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from booking.calendar_file import Visit, write

VISIT = Visit(
    uid="SV-7K4Q-92@booking.example.com",
    sequence=0,
    cancelled=False,
    starts_at=datetime(2026, 12, 1, 15, 0, tzinfo=UTC),
    ends_at=datetime(2026, 12, 1, 15, 30, tzinfo=UTC),
    timezone="America/New_York",
    title="Appointment, Serenoa",
    place="12 Example Lane, St. Augustine, FL 32084",
    clinic_email="hello@example.com",
    stamped_at=datetime(2026, 11, 20, 9, 8, 7, 654321, tzinfo=UTC),
)
ALLOWED = {
    "VCALENDAR": ["METHOD", "PRODID", "VERSION"],
    "VTIMEZONE": ["TZID"],
    "STANDARD": ["DTSTART", "TZNAME", "TZOFFSETFROM", "TZOFFSETTO"],
    "DAYLIGHT": ["DTSTART", "TZNAME", "TZOFFSETFROM", "TZOFFSETTO"],
    "VEVENT": [
        "ATTENDEE", "CLASS", "DTEND", "DTSTAMP", "DTSTART", "LOCATION",
        "ORGANIZER", "SEQUENCE", "STATUS", "SUMMARY", "UID",
    ],
}  # fmt: skip
# The clinic's own coast and the Panhandle; days without a midnight; half an hour; no change at all; winter time as
# the exception; and a clock that is set back for five weeks only.
ZONES = (
    "America/New_York", "America/Chicago", "America/Havana", "Africa/Cairo", "America/Santiago",
    "Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Apia", "Europe/Dublin", "Africa/Casablanca",
)  # fmt: skip
HOUR, QUARTER, SECOND = timedelta(hours=1), timedelta(minutes=15), timedelta(seconds=1)
in_every_zone = pytest.mark.parametrize("zone", ZONES)
either = pytest.mark.parametrize("visit", [VISIT, replace(VISIT, cancelled=True)], ids=["booked", "cancelled"])


# ---------------------------------------------------------------- when


@in_every_zone
@pytest.mark.parametrize("year", [2026, 2027])
def test_a_visit_around_either_change_of_the_clock_is_read_back_at_its_instant(zone: str, year: int) -> None:
    around = [change + 2 * n * QUARTER for change in changes(zone, year) for n in range(-4, 5)]
    for starts_at in around or [datetime(year, month, 1, 20, tzinfo=UTC) for month in range(1, 13)]:
        visit = replace(VISIT, timezone=zone, starts_at=starts_at, ends_at=starts_at + timedelta(minutes=45))
        calendar = read(visit)
        event, clock_of_the_file = calendar.events[0], calendar.timezones[0].to_tz(lookup_tzid=False)
        for name, instant in (("DTSTART", visit.starts_at), ("DTEND", visit.ends_at)):
            moment = event.decoded(name)
            assert moment.astimezone(UTC) == instant
            if "TZID" in event[name].params:
                assert moment.replace(tzinfo=clock_of_the_file).astimezone(UTC) == instant


@in_every_zone
def test_the_clock_in_the_file_is_right_at_every_hour_of_three_years(zone: str) -> None:
    assert hours_at_which_the_clock_is_wrong(write(replace(VISIT, timezone=zone)), zone) == []


@in_every_zone
def test_the_clock_in_the_file_changes_at_the_right_second(zone: str) -> None:
    written = onsets(write(replace(VISIT, timezone=zone)))
    for change in changes(zone, 2026):
        assert offset_by(written, change) == ZoneInfo(zone).utcoffset(change.astimezone(ZoneInfo(zone)))
        assert offset_by(written, change - SECOND) != offset_by(written, change)


def test_summer_and_winter_time_are_called_what_they_are() -> None:
    [clock] = read(VISIT).timezones
    assert [{part["TZNAME"] for part in parts} for parts in (clock.standard, clock.daylight)] == [{"EST"}, {"EDT"}]


def test_a_clock_that_changes_an_hour_late_would_be_noticed() -> None:
    late = write(VISIT).replace(b"DTSTART:20260308T020000", b"DTSTART:20260308T030000")
    assert hours_at_which_the_clock_is_wrong(late, VISIT.timezone) == [datetime(2026, 3, 8, 7, tzinfo=UTC)]


def test_the_hour_that_comes_twice_is_told_apart() -> None:
    first, second = datetime(2026, 11, 1, 5, 30, tzinfo=UTC), datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    assert b"DTSTART;TZID=America/New_York:20261101T013000\r\n" in write(replace(VISIT, starts_at=first))
    assert b"DTSTART:20261101T063000Z\r\n" in write(replace(VISIT, starts_at=second))


def test_a_visit_stands_on_the_clock_of_the_clinic() -> None:
    assert b"DTSTART;TZID=America/New_York:20261201T100000\r\n" in write(VISIT)
    assert b"DTEND;TZID=America/New_York:20261201T103000\r\n" in write(VISIT)
    assert b"DTSTAMP:20261120T090807Z\r\n" in write(VISIT)


# ---------------------------------------------------------------- what, and nothing else


@either
def test_nothing_is_said_but_what_is_allowed(visit: Visit) -> None:
    for part in read(visit).walk():
        assert sorted(part.keys()) == ALLOWED[str(part.name)]


def test_there_is_no_room_for_a_name_a_phone_a_service_or_a_note() -> None:
    said = "uid sequence cancelled starts_at ends_at timezone title place clinic_email stamped_at attendee tentative"
    assert [field.name for field in fields(Visit)] == said.split()


@either
def test_a_file_that_is_fetched_names_nobody_but_the_clinic(visit: Visit) -> None:
    assert set(re.findall(rb"mailto:(\S+)", write(visit))) == {b"hello@example.com"}


@either
def test_a_file_in_a_letter_names_the_visitor_by_address_alone(visit: Visit) -> None:
    letter, fetched = (unfolded(each) for each in (replace(visit, attendee="ada+clinic@example.com"), visit))
    assert set(letter) - set(fetched) == {"ATTENDEE;PARTSTAT=ACCEPTED:mailto:ada+clinic@example.com"}


@either
def test_somebody_attends_as_mail_programs_demand_and_nobody_is_asked_for_an_answer(visit: Visit) -> None:
    lines = unfolded(visit)
    assert "ORGANIZER:mailto:hello@example.com" in lines
    assert "ATTENDEE;ROLE=CHAIR;PARTSTAT=ACCEPTED:mailto:hello@example.com" in lines
    assert not [line for line in lines if "RSVP" in line or "NEEDS-ACTION" in line]


def test_the_time_is_taken_and_the_rest_is_private() -> None:
    event = read(VISIT).events[0]
    assert (event["SUMMARY"], event["LOCATION"]) == (VISIT.title, VISIT.place)
    assert event["CLASS"] == "PRIVATE"


# ---------------------------------------------------------------- the life of a visit


def test_a_booked_a_tentative_and_a_cancelled_visit_say_what_they_are() -> None:
    said = [
        (calendar["METHOD"], calendar.events[0]["STATUS"], visit.media_type)
        for visit in (VISIT, replace(VISIT, tentative=True), replace(VISIT, cancelled=True))
        for calendar in [read(visit)]
    ]
    assert said == [
        ("REQUEST", "CONFIRMED", "text/calendar; method=REQUEST; charset=utf-8"),
        ("REQUEST", "TENTATIVE", "text/calendar; method=REQUEST; charset=utf-8"),
        ("CANCEL", "CANCELLED", "text/calendar; method=CANCEL; charset=utf-8"),
    ]


def test_through_moves_cancellation_and_return_the_visit_stays_one_and_its_sequence_rises() -> None:
    moved = replace(VISIT, sequence=1, starts_at=VISIT.starts_at + HOUR, ends_at=VISIT.ends_at + HOUR)
    life = [VISIT, moved, replace(moved, sequence=2, cancelled=True), replace(moved, sequence=3)]
    events = [read(visit).events[0] for visit in life]
    assert {event["UID"] for event in events} == {VISIT.uid}
    assert [event["SEQUENCE"] for event in events] == [0, 1, 2, 3]
    assert [event["STATUS"] for event in events] == ["CONFIRMED", "CONFIRMED", "CANCELLED", "CONFIRMED"]


def test_the_same_visit_is_the_same_file() -> None:
    assert write(VISIT) == write(replace(VISIT))


# ---------------------------------------------------------------- form


@given(title=st.text(max_size=200), place=st.text(max_size=200))
def test_any_text_stays_in_its_place_in_short_lines(title: str, place: str) -> None:
    visit = replace(VISIT, title=title, place=place)
    *lines, end = write(visit).split(b"\r\n")
    assert end == b""
    assert [line for line in lines if len(line) > 75 or re.search(rb"[\x00-\x1f\x7f]", line)] == []
    for line in lines:
        line.decode()  # no character is cut in two
    assert len(unfolded(visit)) == len(unfolded(VISIT))


@given(words=st.text(st.characters(categories=["L", "M", "N", "P", "S"]), max_size=200))
def test_a_text_is_read_back_as_it_was(words: str) -> None:
    assert read(replace(VISIT, place=words)).events[0]["LOCATION"] == words


@pytest.mark.parametrize("letter", ["x", "é", "健", "🌿"])
@pytest.mark.parametrize("length", range(60, 80))
def test_a_line_is_folded_at_75_octets_and_never_within_a_character(letter: str, length: int) -> None:
    visit = replace(VISIT, place=letter * length)
    lines = write(visit).splitlines()
    assert max(len(line) for line in lines) <= 75
    assert all(line.decode() for line in lines)
    assert read(visit).events[0]["LOCATION"] == visit.place


def test_commas_semicolons_and_backslashes_are_escaped() -> None:
    assert r"LOCATION:Suite 2\; back door\, left \\ up" in unfolded(
        replace(VISIT, place="Suite 2; back door, left \\ up")
    )


def test_white_space_of_any_kind_is_one_space() -> None:
    assert "LOCATION:12 Example Lane" in unfolded(replace(VISIT, place=" 12\r\nExample\t \u00a0Lane\n"))


@pytest.mark.parametrize(
    "hostile", ["X\r\nATTENDEE:mailto:eve@example.com", "X\nEND:VEVENT", "X\x0bDESCRIPTION:back pain", "X\u2028Y"]
)
def test_no_text_can_begin_a_line_of_its_own(hostile: str) -> None:
    visit = replace(VISIT, title=hostile, place=hostile, uid=hostile)
    assert len(unfolded(visit)) == len(unfolded(VISIT))
    assert [sorted(part.keys()) for part in read(visit).walk("VEVENT")] == [ALLOWED["VEVENT"]]


@pytest.mark.parametrize(
    ("email", "written"),
    [
        ("ada.o-b+x@example.com", "ada.o-b+x@example.com"),
        ('"ada b"@example.com', "%22ada%20b%22@example.com"),
        ("josé@example.com", "jos%C3%A9@example.com"),
        ("a@example.com\r\nX-EVIL:1", "a@example.com%0D%0AX-EVIL%3A1"),
    ],
)
def test_an_address_is_written_as_a_link_can_carry_it(email: str, written: str) -> None:
    assert f"ATTENDEE;PARTSTAT=ACCEPTED:mailto:{written}" in unfolded(replace(VISIT, attendee=email))


# ---------------------------------------------------------------- how they look


def read(visit: Visit) -> Calendar:
    return Calendar.from_ical(write(visit))


def unfolded(visit: Visit) -> list[str]:
    return write(visit).replace(b"\r\n ", b"").decode().split("\r\n")


def changes(zone: str, year: int) -> Iterator[datetime]:
    """The instants at which a clock changes, by asking it every quarter of an hour."""
    clock, at = ZoneInfo(zone), datetime(year, 1, 1, tzinfo=UTC)
    while at.year == year:
        if (at - QUARTER).astimezone(clock).utcoffset() != at.astimezone(clock).utcoffset():
            yield at
        at += QUARTER


def onsets(file: bytes) -> list[tuple[datetime, timedelta]]:
    """From when on which offset holds, reckoned from the file as RFC 5545 3.6.5 says."""
    return sorted(
        ((part.decoded("DTSTART") - part.decoded("TZOFFSETFROM")).replace(tzinfo=UTC), part.decoded("TZOFFSETTO"))
        for kind in ("STANDARD", "DAYLIGHT")
        for part in Calendar.from_ical(file).walk(kind)
    )


def offset_by(written: list[tuple[datetime, timedelta]], at: datetime) -> timedelta:
    return [offset for begins, offset in written if begins <= at][-1]


def hours_at_which_the_clock_is_wrong(file: bytes, zone: str) -> list[datetime]:
    written, clock, first = onsets(file), ZoneInfo(zone), datetime(2025, 1, 1, tzinfo=UTC)
    hours = (first + n * HOUR for n in range(3 * 365 * 24))
    return [at for at in hours if offset_by(written, at) != at.astimezone(clock).utcoffset()]
