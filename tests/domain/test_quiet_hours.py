"""Quiet hours: a text comes between eight and eight on every clock that may be the person's."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.domain import contact, quiet_hours

FLORIDA, CALIFORNIA, KOLKATA = (
    ZoneInfo(f"{name}") for name in ("America/New_York", "America/Los_Angeles", "Asia/Kolkata")
)
HOUR = timedelta(hours=1)
instants = st.integers(0, 3 * 366 * 86400).map(lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(0, seconds))
zones = st.sampled_from(["America/New_York", "Pacific/Honolulu", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]).map(
    ZoneInfo
)
# No two of them are further apart than the waking hours are long.
neighbours = st.lists(
    st.sampled_from(["America/New_York", "America/Chicago", "America/Los_Angeles", "Pacific/Honolulu"]).map(ZoneInfo),
    min_size=1,
    max_size=4,
)


def awake(zone: ZoneInfo, at: datetime) -> bool:
    return time(8) <= at.astimezone(zone).time() < time(20)


def at(wall: str, zone: ZoneInfo = FLORIDA) -> datetime:
    return datetime.fromisoformat(wall).replace(tzinfo=zone).astimezone(UTC)


@given(instants, zones)
def test_later_is_the_next_time_that_it_is_eight(now: datetime, zone: ZoneInfo) -> None:
    found = quiet_hours.next_time([zone], now)
    if awake(zone, now):
        assert found == now
    else:
        assert now < found < now + 13 * HOUR
        assert found.astimezone(zone).time() == time(8)


@given(instants, neighbours)
def test_it_is_a_waking_hour_on_every_clock(now: datetime, clocks: list[ZoneInfo]) -> None:
    later, before = quiet_hours.next_time(clocks, now), quiet_hours.time_before(clocks, now)
    assert all(awake(zone, later) and awake(zone, before) for zone in clocks)
    assert before <= now <= later < now + 26 * HOUR
    assert now - before < 26 * HOUR


def test_eight_in_florida_is_five_in_california() -> None:
    assert quiet_hours.next_time([FLORIDA, CALIFORNIA], at("2026-12-01T08:00")) == at("2026-12-01T11:00")
    assert quiet_hours.next_time([FLORIDA, CALIFORNIA], at("2026-12-01T19:59")) == at("2026-12-01T19:59")
    assert quiet_hours.next_time([FLORIDA, CALIFORNIA], at("2026-12-01T20:00")) == at("2026-12-02T11:00")


def test_what_would_be_due_at_night_is_due_in_the_evening_before() -> None:
    assert quiet_hours.time_before([FLORIDA], at("2026-12-01T06:00")) == at("2026-11-30T19:00")
    assert quiet_hours.time_before([FLORIDA], at("2026-12-01T22:00")) == at("2026-12-01T19:00")
    assert quiet_hours.time_before([FLORIDA, CALIFORNIA], at("2026-12-01T09:00")) == at("2026-11-30T19:00")
    assert quiet_hours.time_before([FLORIDA], at("2026-12-01T08:00")) == at("2026-12-01T08:00")


def test_where_no_hour_is_a_waking_one_everywhere_the_last_clock_decides() -> None:
    far = ZoneInfo("Pacific/Auckland")
    clocks = [far, ZoneInfo("America/Sao_Paulo"), ZoneInfo("Asia/Tokyo")]
    for hour in range(24):
        now = at("2026-12-01T00:00") + hour * HOUR
        assert quiet_hours.next_time(clocks, now) >= now >= quiet_hours.time_before(clocks, now)


def test_a_zone_that_this_machine_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact, "time_zones", lambda _: ("Mars/Olympus", "America/Los_Angeles"))
    assert quiet_hours.clocks("+14155550123", FLORIDA) == [FLORIDA, CALIFORNIA]


@pytest.mark.parametrize(
    ("phone", "clocks"),
    [
        ("+19045550134", [FLORIDA, FLORIDA]),
        ("+14155550123", [FLORIDA, CALIFORNIA]),
        ("+18005550100", [FLORIDA]),
        ("+447700900123", [FLORIDA]),
        ("", [FLORIDA]),
    ],
    ids=["at home", "California", "toll-free", "of no place", "none"],
)
def test_the_clocks_are_those_of_the_visit_and_of_the_number(phone: str, clocks: list[ZoneInfo]) -> None:
    assert quiet_hours.clocks(phone, FLORIDA) == clocks
