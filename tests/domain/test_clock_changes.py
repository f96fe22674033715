"""The days when the clock changes: what other booking systems get wrong there, one by one."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from booking.domain import clock
from booking.domain.clock import wall_of
from tests.practice import Practice, every

SPRING, AUTUMN = date(2026, 3, 8), date(2026, 11, 1)
CHANGES = [SPRING, AUTUMN, date(2027, 3, 14), date(2027, 11, 7)]  # in New York and Chicago
HARD = {
    "America/New_York": CHANGES,
    "America/Chicago": CHANGES,
    "America/Havana": [date(2026, 3, 8), date(2026, 11, 1)],
    "America/Santiago": [date(2026, 4, 4), date(2026, 9, 6)],
    "Africa/Cairo": [date(2026, 4, 24), date(2026, 10, 29)],
    "Africa/Casablanca": [date(2026, 2, 15), date(2026, 3, 22)],
    "Antarctica/Troll": [date(2026, 3, 29), date(2026, 10, 25)],
    "Asia/Kolkata": [date(2026, 3, 8)],
    "Australia/Lord_Howe": [date(2026, 4, 5), date(2026, 10, 4)],
    "Europe/London": [date(2026, 3, 29), date(2026, 10, 25)],
    "Pacific/Apia": [date(2011, 12, 31)],
    "Pacific/Kiritimati": [date(2026, 3, 8)],
}
EACH_CHANGE = [(zone, on) for zone, changes in HARD.items() for on in changes]
ROOT = Path(__file__).parent.parent.parent


def day(on: date, days: int) -> date:
    return on + timedelta(days=days)


def before(on: date) -> datetime:
    """Ten days earlier, so that all that is asked lies behind the change."""
    return datetime(on.year, on.month, on.day, tzinfo=UTC) - timedelta(days=10)


@pytest.mark.parametrize(("zone", "change"), EACH_CHANGE)
def test_a_shift_from_one_o_clock_begins_at_one_on_every_day_around_a_change(zone: str, change: date) -> None:
    practice = Practice(["9:00-11:30", "13:00-17:00"], zone)
    expected = every(30, "9:00-10:30") + every(30, "13:00-16:00")
    for on in (day(change, each) for each in range(-9, 10)):
        if (zone, on) != ("Pacific/Apia", date(2011, 12, 30)):
            assert practice.times(on, now=before(change)) == expected


@pytest.mark.parametrize(("zone", "change"), EACH_CHANGE)
def test_every_slot_around_a_change_passes_the_check_of_a_booking(zone: str, change: date) -> None:
    practice = Practice(["0:00-24:00"], zone)
    found = practice.find(practice.window(day(change, -2), 5), now=before(change))
    assert len(found) > 4 * 40
    assert {practice.why_not(slot.starts, now=before(change)) for slot in found} == {""}


@pytest.mark.parametrize("change", CHANGES)
def test_after_the_change_the_first_slot_is_that_of_the_hours_and_not_an_hour_off(change: date) -> None:
    practice = Practice(["9:00-12:00"])
    first = practice.find(practice.window(day(change, 1)), now=before(change))[0]
    assert wall_of(first.starts_at, ZoneInfo("America/New_York")) == f"{day(change, 1)}T09:00"
    for hour_off in (first.starts - 3600, first.starts - 7200):
        assert "outside the hours" in practice.why_not(hour_off, now=before(change))


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_booked_across_a_change_is_booked_as_offered(change: date) -> None:
    practice = Practice()
    start = practice.at(f"{day(change, 1)} 9:00")
    for now in (before(change), datetime.fromtimestamp(practice.at(f"{change} 0:00"), UTC)):
        assert practice.times(day(change, 1), now=now)[0] == "9:00"
        assert practice.why_not(start, now=now) == ""


def test_a_weekly_series_does_not_drift() -> None:
    practice = Practice(["9:00-10:00"])
    mondays = [practice.times(day(date(2026, 1, 5), 7 * week)) for week in range(104)]
    assert mondays == [["9:00"]] * 104


def test_the_repeated_hour_is_bookable_twice() -> None:
    practice = Practice(["0:00-4:00"])
    found = practice.find(practice.window(AUTUMN))
    assert [practice.wall(slot.starts) for slot in found] == [
        "0:00", "0:30", "1:00", "1:30", "1:00", "1:30", "2:00", "2:30", "3:00",
    ]  # fmt: skip
    first, second = (slot for slot in found if practice.wall(slot.starts) == "1:30")
    assert second.starts - first.starts == 3600
    assert first.starts == practice.at("2026-11-01 01:30-04:00")
    assert second.starts == practice.at("2026-11-01 01:30-05:00")
    assert practice.why_not(first.starts) == practice.why_not(second.starts) == ""


def test_each_of_the_repeated_hours_can_be_taken_alone() -> None:
    practice = Practice(["1:00-2:00"])
    first, second = practice.at("2026-11-01 01:00-04:00"), practice.at("2026-11-01 01:00-05:00")
    assert practice.times(AUTUMN) == ["1:00", "1:30", "1:00"]  # the second one lies in both
    assert practice.times(AUTUMN, taken={1: [(first, second)]}) == ["1:00"]
    assert practice.times(AUTUMN, taken={1: [(second, second + 3600)]}) == ["1:00"]


@pytest.mark.parametrize("change", [SPRING, date(2027, 3, 14)])
def test_a_skipped_time_is_never_offered(change: date) -> None:
    assert Practice(["0:00-5:00"]).times(change) == ["0:00", "0:30", "1:00", "1:30", "3:00", "3:30", "4:00"]


@pytest.mark.parametrize(
    ("hours", "offered"),
    [
        ("2:00-3:00", []),  # the whole of it is skipped
        ("2:15-2:45", []),
        ("2:15-4:00", ["3:00"]),
        ("1:00-2:30", ["1:00"]),
        ("1:30-2:30", []),
        ("1:30-3:30", ["1:30"]),
    ],
)
def test_of_hours_that_touch_the_gap_only_what_exists_is_offered(hours: str, offered: list[str]) -> None:
    assert Practice([hours]).times(SPRING) == offered


@pytest.mark.parametrize(
    ("zone", "on", "first"),
    [
        ("America/Havana", date(2026, 3, 8), "1:00"),
        ("Africa/Cairo", date(2026, 4, 24), "1:00"),
        ("America/Santiago", date(2026, 9, 6), "1:00"),
    ],
)
def test_a_day_without_a_midnight_begins_when_its_clock_does(zone: str, on: date, first: str) -> None:
    practice = Practice(["0:00-3:00"], zone)
    begin, end = practice.window(on)
    assert end - begin == 23 * 3600
    assert practice.window(day(on, -1))[1] == begin
    assert practice.times(on) == [first, "1:30", "2:00"]
    assert practice.times(day(on, -1), 3) == [*every(30, "0:00-2:00"), first, "1:30", "2:00", *every(30, "0:00-2:00")]


@pytest.mark.parametrize(
    ("zone", "on", "hours", "offered"),
    [
        ("America/Havana", date(2026, 11, 1), "0:00-2:00", ["0:00", "0:30", "0:00", "0:30", "1:00"]),
        ("Africa/Cairo", date(2026, 10, 29), "22:00-24:00", ["22:00", "22:30", "23:00", "23:30", "23:00"]),
        ("America/Santiago", date(2026, 4, 4), "22:00-24:00", ["22:00", "22:30", "23:00", "23:30", "23:00"]),
        ("Australia/Lord_Howe", date(2026, 4, 5), "1:00-3:00", ["1:00", "1:30", "1:30", "2:00"]),
        (
            "Antarctica/Troll",
            date(2026, 10, 25),
            "1:00-3:00",
            ["1:00", "1:30", "2:00", "2:30", *every(30, "1:00-2:00")],
        ),
    ],
)
def test_a_time_that_comes_twice_is_offered_twice(zone: str, on: date, hours: str, offered: list[str]) -> None:
    assert Practice([hours], zone).times(on) == offered


def test_where_the_clock_jumps_by_half_an_hour_only_that_is_missing() -> None:
    assert Practice(["1:00-4:00"], "Australia/Lord_Howe").times(date(2026, 10, 4)) == ["1:00", "1:30", "2:30", "3:00"]


def test_a_day_that_a_country_left_out_offers_nothing_and_has_no_length() -> None:
    practice, now = Practice(["9:00-10:00"], "Pacific/Apia"), datetime(2011, 12, 1, tzinfo=UTC)
    begin, end = practice.window(date(2011, 12, 30))
    assert begin == end
    found = practice.find(practice.window(date(2011, 12, 28), 5), now=now)
    days = [clock.day_of(slot.starts_at, ZoneInfo("Pacific/Apia")).day for slot in found]
    assert days == [28, 29, 31, 1]


def test_what_is_past_today_is_told_by_the_clock_of_the_clinic() -> None:
    practice = Practice(["8:00-23:00"])
    now = datetime.fromisoformat("2026-06-01T21:10-04:00")  # in UTC it is the second of June already
    assert practice.times(date(2026, 6, 1), now=now) == ["21:30", "22:00"]
    assert "has passed" in practice.why_not(practice.at("2026-06-01 21:00"), now=now)


def test_the_other_side_of_the_world_has_its_own_today() -> None:
    practice = Practice(["9:00-10:00"], "Pacific/Kiritimati", visit=Practice().visit)
    now = datetime(2026, 6, 1, 18, 30, tzinfo=UTC)  # half past eight on the second of June there
    assert practice.find(practice.window(date(2026, 6, 1)), now=now) == []
    assert practice.times(date(2026, 6, 2), now=now) == ["9:00"]


def test_the_zone_of_the_server_changes_nothing() -> None:
    answers = {asked_under(zone) for zone in ("UTC", "Asia/Kolkata", "America/Los_Angeles")}
    assert len(answers) == 1
    assert answers.pop().count("\n") > 1000


def asked_under(zone: str) -> str:
    """What a process in some zone answers about the days around each change."""
    words = [sys.executable, "-c", ASK]
    return subprocess.run(words, check=True, capture_output=True, text=True, cwd=ROOT, env={"TZ": zone}).stdout


ASK = """
import time
from datetime import date, timedelta
from tests.domain.test_clock_changes import EACH_CHANGE, before, day
from tests.practice import Practice
assert time.tzname[0] in {"UTC", "IST", "PST"}, time.tzname
for zone, change in EACH_CHANGE:
    practice = Practice(["0:00-3:00", "8:00-24:00"], zone)
    for slot in practice.find(practice.window(day(change, -1), 3), now=before(change)):
        print(zone, slot.starts, slot.starts_at, practice.wall(slot.starts), practice.why_not(slot.starts - 60))
"""
