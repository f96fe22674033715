"""Opening: somebody is there now, or it is known when the next one comes, whatever the day and the clock do."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.domain.catalog import Catalog, Closure, ExtraHours, Location, Practitioner, WorkingHours
from booking.domain.opening import LOOK_AHEAD_DAYS, open_until, opens_at

ZONE = ZoneInfo("America/New_York")
MAIN = Location(1, "main", "Main", "America/New_York", "1 Road", "St. Augustine", "FL", "32084", "904-555-0134")
ANN, BOB = (Practitioner(number, name, name, "", 10 + number, frozenset()) for number, name in ((1, "ann"), (2, "bob")))
MOMENT = timedelta(microseconds=1)
# Ann is there from nine to five on weekdays.
WEEK = Catalog(
    version=1,
    locations=(MAIN,),
    practitioners=(ANN, BOB),
    working_hours=tuple(WorkingHours(1, 1, day, 540, 1020) for day in range(5)),
)


def at(wall: str) -> datetime:
    return datetime.fromisoformat(wall).replace(tzinfo=ZONE).astimezone(UTC)


def closed(*days: str, **more: Any) -> Catalog:
    first, last = date.fromisoformat(days[0]), date.fromisoformat(days[-1])
    return replace(WEEK, closures=(Closure(more.get("location_id"), first, last, "away"),))


@pytest.mark.parametrize("now", ["2026-11-24T09:00", "2026-11-24T12:00", "2026-11-24T16:59:59"])
def test_while_somebody_is_there_it_is_open_now(now: str) -> None:
    assert opens_at(WEEK, at(now)) == at(now)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-24T08:59:59", "2026-11-24T09:00"),
        ("2026-11-24T17:00", "2026-11-25T09:00"),
        ("2026-11-25T00:00", "2026-11-25T09:00"),
        ("2026-11-27T17:00", "2026-11-30T09:00"),
        ("2026-11-28T12:00", "2026-11-30T09:00"),
    ],
    ids=["early", "evening", "midnight", "friday evening", "weekend"],
)
def test_at_night_and_at_the_weekend_it_opens_on_the_next_morning_of_work(now: str, opens: str) -> None:
    assert opens_at(WEEK, at(now)) == at(opens)


def test_on_a_holiday_it_opens_on_the_day_after() -> None:
    assert opens_at(closed("2026-11-26", "2026-11-27"), at("2026-11-25T17:00")) == at("2026-11-30T09:00")
    assert opens_at(closed("2026-11-26"), at("2026-11-26T12:00")) == at("2026-11-27T09:00")
    assert opens_at(closed("2026-11-26", location_id=2), at("2026-11-26T12:00")) == at("2026-11-26T12:00")


def test_extra_hours_open_it_also_at_the_weekend_and_on_a_holiday() -> None:
    saturday = ExtraHours(2, 1, date(2026, 11, 28), 600, 720)
    wanted = replace(closed("2026-11-28"), extra_hours=(saturday,))
    assert opens_at(wanted, at("2026-11-27T18:00")) == at("2026-11-28T10:00")
    assert opens_at(wanted, at("2026-11-28T11:59")) == at("2026-11-28T11:59")
    assert opens_at(wanted, at("2026-11-28T12:00")) == at("2026-11-30T09:00")


def test_whoever_comes_first_opens() -> None:
    early = WorkingHours(2, 1, 1, 450, 480)
    wanted = replace(WEEK, working_hours=(*WEEK.working_hours, early))
    assert opens_at(wanted, at("2026-11-24T05:00")) == at("2026-11-24T07:30")


def test_while_all_are_at_lunch_it_is_open_and_between_two_days_it_is_not() -> None:
    mornings, afternoons = WorkingHours(1, 1, 1, 480, 720), WorkingHours(1, 1, 1, 780, 1080)
    wanted = replace(WEEK, working_hours=(mornings, afternoons))
    for now in ("08:00", "11:59", "12:00", "12:59", "17:59"):
        assert opens_at(wanted, at(f"2026-11-24T{now}")) == at(f"2026-11-24T{now}")
        assert open_until(wanted, at(f"2026-11-24T{now}")) == at("2026-11-24T18:00")
    for now in ("2026-11-24T07:59:59", "2026-11-24T18:00", "2026-11-25T12:00"):
        assert opens_at(wanted, at(now)) == at("2026-11-24T08:00" if now < "2026-11-24T08" else "2026-12-01T08:00")
        assert open_until(wanted, at(now)) is None


def test_of_two_places_the_one_that_is_open_longer_counts() -> None:
    west = replace(MAIN, id=2, slug="west", timezone="America/Los_Angeles")
    hours = WorkingHours(2, 2, 1, 540, 1020)
    wanted = replace(WEEK, locations=(MAIN, west), working_hours=(*WEEK.working_hours, hours))
    assert open_until(wanted, at("2026-11-24T16:00")) == at("2026-11-24T20:00")


@pytest.mark.parametrize("day", ["2026-11-02", "2027-03-15"])
def test_nine_is_nine_on_the_wall_after_the_clock_has_changed(day: str) -> None:
    opens = at(f"{day}T09:00")
    assert opens_at(WEEK, opens - timedelta(days=2)) == opens


def test_each_place_keeps_its_own_clock() -> None:
    west = replace(MAIN, id=2, slug="west", timezone="America/Los_Angeles")
    hours = WorkingHours(2, 2, 1, 540, 1020)
    wanted = replace(WEEK, locations=(MAIN, west), working_hours=(*WEEK.working_hours, hours))
    assert opens_at(wanted, at("2026-11-24T18:00")) == at("2026-11-24T18:00"), "it is three in the afternoon there"
    assert opens_at(wanted, at("2026-11-24T20:00")) == at("2026-11-25T09:00")


def test_where_nobody_comes_for_weeks_nothing_is_promised() -> None:
    last = date(2026, 11, 24) + timedelta(days=LOOK_AHEAD_DAYS - 1)
    assert opens_at(closed("2026-11-24", last.isoformat()), at("2026-11-24T12:00")) is None
    assert opens_at(closed("2026-11-24", "2026-12-13"), at("2026-11-24T12:00")) == at("2026-12-14T09:00")
    assert opens_at(Catalog(1), at("2026-11-24T12:00")) is None


@given(minutes=st.integers(0, 366 * 1440))
def test_when_it_opens_it_is_open_and_just_before_it_was_not(minutes: int) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    opens = opens_at(WEEK, now)
    assert opens is not None
    assert opens >= now
    assert opens_at(WEEK, opens) == opens
    if opens > now:
        assert opens_at(WEEK, opens - MOMENT) == opens
