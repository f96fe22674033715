"""Spoken: days and times as people say them, with the zone where the hour alone would leave a doubt."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.domain import spoken

ZONE = ZoneInfo("America/New_York")


def wall(text: str, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE, fold=fold)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("2026-12-01T10:30", "10:30 AM"),
        ("2026-12-01T00:00", "12:00 AM"),
        ("2026-12-01T12:00", "12:00 PM"),
        ("2026-12-01T09:05", "9:05 AM"),
        ("2026-12-01T23:59", "11:59 PM"),
    ],
)
def test_a_time_is_said_as_the_clock_shows_it(at: str, said: str) -> None:
    assert spoken.clock_time(wall(at)) == said


def test_a_time_that_the_clock_shows_twice_says_which_is_meant() -> None:
    assert spoken.clock_time(wall("2026-11-01T01:30")) == "1:30 AM EDT"
    assert spoken.clock_time(wall("2026-11-01T01:30", fold=1)) == "1:30 AM EST"
    assert spoken.clock_time(wall("2026-11-01T02:00")) == "2:00 AM"


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("2026-12-01T10:30", "Tuesday, December 1, 2026, 10:30 AM EST"),
        ("2026-07-31T08:00", "Friday, July 31, 2026, 8:00 AM EDT"),
    ],
)
def test_a_long_time_names_the_day_the_year_and_the_zone(at: str, said: str) -> None:
    assert spoken.long_time(wall(at)) == said


def test_a_day_is_said_without_its_year() -> None:
    assert (spoken.day(wall("2026-12-01T10:30")), spoken.day(wall("2027-03-14T00:00"))) == (
        "Tuesday, December 1", "Sunday, March 14",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("at", "said"),
    [("08:00", "8 AM"), ("08:30", "8:30 AM"), ("12:00", "12 PM"), ("00:00", "12 AM"), ("17:05", "5:05 PM")],
)
def test_an_hour_is_said_without_minutes_where_there_are_none(at: str, said: str) -> None:
    assert spoken.hour(wall(f"2026-12-01T{at}")) == said


@given(minutes=st.integers(0, 2 * 366 * 1440))
def test_two_different_instants_are_never_said_alike(minutes: int) -> None:
    at = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)).astimezone(ZONE)
    later = (at.astimezone(UTC) + timedelta(hours=1)).astimezone(ZONE)
    assert spoken.long_time(at) != spoken.long_time(later)
    assert (spoken.day(at), spoken.clock_time(at)) != (spoken.day(later), spoken.clock_time(later))
