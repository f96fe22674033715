"""The clock: wall times become the instants they mean, on every day of every zone, and what means none is refused."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from booking.domain import clock
from booking.domain.clock import NoInstant, instant_at, instant_of, read_instant, wall_minus, wall_of

NEW_YORK = ZoneInfo("America/New_York")
ZONES = [
    *("America/New_York", "America/Chicago", "America/Havana", "America/Santiago", "America/Nuuk", "Europe/London"),
    *("Africa/Cairo", "Africa/Casablanca", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Kiritimati"),
    *("Pacific/Apia", "Antarctica/Troll", "Atlantic/Azores"),
]
zones = st.sampled_from(ZONES).map(ZoneInfo)
instants = st.integers(21_600_000, 36_800_000).map(lambda minute: datetime.fromtimestamp(60 * minute, UTC))
days = st.dates(date(2010, 1, 1), date(2040, 12, 31))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def instant(on: date, minutes: int, zone: str) -> datetime:
    return datetime.fromtimestamp(instant_of(on, minutes, ZoneInfo(zone)), UTC)


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-12-01T10:00:00-05:00", "2026-12-01T15:00"),
        ("2026-12-01T10:00-05:00", "2026-12-01T15:00"),
        ("2026-12-01T15:00:00Z", "2026-12-01T15:00"),
        ("2026-12-01t15:00:00z", "2026-12-01T15:00"),
        ("2026-12-01 15:00:00+00:00", "2026-12-01T15:00"),
        ("2026-12-01T15:00:00-00:00", "2026-12-01T15:00"),
        ("2026-12-01T20:30:00+05:30", "2026-12-01T15:00"),
        ("2026-12-02T05:00:00+14:00", "2026-12-01T15:00"),
        ("2026-12-01T15:00:00.5Z", "2026-12-01T15:00:00.500000"),
        ("2026-12-01T15:00:00.000000000Z", "2026-12-01T15:00"),
        ("2028-02-29T12:00:00Z", "2028-02-29T12:00"),
    ],
)
def test_an_instant_is_read_in_any_way_the_standard_allows(text: str, meant: str) -> None:
    found = read_instant(text, NEW_YORK)
    assert found == utc(meant)
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-01T01:30:00-04:00", "2026-11-01T05:30"),
        ("2026-11-01T01:30:00-05:00", "2026-11-01T06:30"),
        ("2026-03-08T02:15:00-05:00", "2026-03-08T07:15"),  # 3:15 in the clinic: an instant, if an odd way to say it
    ],
)
def test_with_its_offset_every_time_of_a_day_of_change_means_one_instant(text: str, meant: str) -> None:
    assert read_instant(text, NEW_YORK) == utc(meant)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "tomorrow at ten", "10:00", "2026-12-01", "2026-W49-2T10:00:00Z", "20261201T100000Z", "1764601200"),
        *("2026-12-01T10Z", "2026-12-01T10:00:00 -05:00", "2026-12-01T10:00:00-0500", "2026-12-01T10:00:00-05"),
        *("2026-12-01T10:00:00.Z", "2026-12-01T10:00:00,5Z", "2026-12-01T10:00:00EST", " 2026-12-01T10:00:00Z"),
        *("2026-12-01T10:00:00Z\n", "2026-12-01T10:00:00Z\0", "12026-12-01T10:00:00Z", "-2026-12-01T10:00:00Z"),
        *("٢٠٢٦-١٢-٠١T١٠:٠٠:٠٠Z", "2026-12-01T24:00:00Z", "2026-12-01T10:00:00+24:00", "2026-12-01T10:00:00+05:99"),
        *("2026-12-01T10:00:00-05:00[America/New_York]", "2026-12-01T10:00:00\u221205:00", "2026-12-01\u00a010:00Z"),
    ],
)
def test_what_is_not_written_as_an_instant_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(NoInstant, match="not a time such as 2026-12-01T10:00:00-05:00"):
        read_instant(text, NEW_YORK)


@pytest.mark.parametrize(
    "text",
    [
        *("2026-02-29T10:00:00Z", "2026-13-01T10:00:00Z", "2026-00-10T10:00:00Z", "2026-04-31T10:00:00Z"),
        *("2026-12-01T10:60:00Z", "2016-12-31T23:59:60Z"),  # the last one was: but no visit begins in a leap second
        *("0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),
        "0001-01-01T00:00:00Z",  # an instant, but none that our clock could show
    ],
)
def test_a_day_or_time_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(NoInstant, match="no such day or time"):
        read_instant(text, NEW_YORK)


def test_the_last_instant_of_all_cannot_be_shown_east_of_greenwich() -> None:
    assert read_instant("9999-12-31T23:59:59Z", NEW_YORK) == utc("9999-12-31T23:59:59")
    with pytest.raises(NoInstant, match="no such day or time"):
        read_instant("9999-12-31T23:59:59Z", ZoneInfo("Pacific/Kiritimati"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-12-01T10:00:00", "must say its offset from UTC"),
        ("2026-11-01T01:30", "The clock shows 01:30 on 2026-11-01 twice: the time must say its offset"),
        ("2026-11-01T01:00", "twice"),
        ("2026-11-01T01:59:59", "twice"),
        ("2026-11-01T02:00", "must say its offset from UTC, as in"),
        ("2026-03-08T02:15", "There is no 02:15 on 2026-03-08 on our clock"),
        ("2026-03-08T02:00", "no 02:00"),
        ("2026-03-08T02:59", "no 02:59"),
        ("2026-03-08T03:00", "must say its offset from UTC, as in"),
        ("2027-03-14T02:30", "no 02:30"),
        ("2027-11-07T01:30", "twice"),
        ("0001-01-01T00:00", "must say its offset from UTC, as in"),
        ("9999-12-31T23:59", "must say its offset from UTC, as in"),
    ],
)
def test_without_an_offset_the_refusal_says_what_our_clock_does_then(text: str, why: str) -> None:
    with pytest.raises(NoInstant, match=why):
        read_instant(text, NEW_YORK)


@pytest.mark.parametrize(
    ("text", "zone", "why"),
    [
        ("2026-03-08T00:30", "America/Havana", "no 00:30"),
        ("2026-04-24T00:00", "Africa/Cairo", "no 00:00"),
        ("2026-04-04T23:30", "America/Santiago", "twice"),
        ("2026-04-05T01:45", "Australia/Lord_Howe", "twice"),
        ("2026-04-05T01:15", "Australia/Lord_Howe", "must say its offset"),
        ("2026-10-04T02:15", "Australia/Lord_Howe", "no 02:15"),
        ("2026-10-04T02:30", "Australia/Lord_Howe", "must say its offset"),
        ("2011-12-30T09:00", "Pacific/Apia", "no 09:00"),
        ("2026-03-08T02:15", "Asia/Kolkata", "must say its offset"),
    ],
)
def test_the_refusal_speaks_of_the_clock_of_the_clinic(text: str, zone: str, why: str) -> None:
    with pytest.raises(NoInstant, match=why):
        read_instant(text, ZoneInfo(zone))


@given(st.text(max_size=40) | st.from_regex(clock.INSTANT, fullmatch=True), zones)
def test_whatever_is_read_is_an_instant_or_a_plain_refusal(text: str, zone: ZoneInfo) -> None:
    with suppress(NoInstant):
        found = read_instant(text, zone)
        assert found.tzinfo is UTC
        assert instant_at(wall_of(found, zone), zone, found) <= found


@given(instants, st.integers(-23 * 60, 23 * 60), zones)
def test_an_instant_may_be_named_with_any_offset(at: datetime, offset: int, zone: ZoneInfo) -> None:
    told = at.astimezone(timezone(timedelta(minutes=offset)))
    assert read_instant(told.isoformat(), zone) == told


# ---------------------------------------------------------------- wall times


@given(days, st.integers(0, 1440), zones)
@example(date(2026, 3, 8), 120, NEW_YORK)
@example(date(2026, 11, 1), 120, NEW_YORK)
@example(date(2011, 12, 30), 600, ZoneInfo("Pacific/Apia"))
def test_a_wall_time_is_the_first_instant_at_which_the_clock_shows_it_or_more(
    on: date, minutes: int, zone: ZoneInfo
) -> None:
    wanted = datetime.combine(on, datetime.min.time()) + timedelta(minutes=minutes)
    start = datetime.combine(on, datetime.min.time(), UTC) - timedelta(hours=40)
    by_minute = (start + timedelta(minutes=each) for each in range(60 * 120))
    first = next(each for each in by_minute if each.astimezone(zone).replace(tzinfo=None) >= wanted)
    assert instant_of(on, minutes, zone) == first.timestamp()


@given(days, st.integers(0, 70), zones)
@example(date(2026, 2, 1), 60, NEW_YORK)
@example(date(2026, 3, 8), 0, ZoneInfo("America/Havana"))
@example(date(2011, 12, 28), 4, ZoneInfo("Pacific/Apia"))
def test_days_begin_when_their_midnight_does_and_are_sums_from_there(first: date, count: int, zone: ZoneInfo) -> None:
    found = clock.days(first, first + timedelta(days=count), zone)
    assert list(found) == [first + timedelta(days=each) for each in range(count + 1)]
    for on, begins in found.items():
        for minutes in (0, 1, 90, 720, 1439, 1440):
            assert begins is None or begins + 60 * minutes == instant_of(on, minutes, zone)


@pytest.mark.parametrize("zone", ZONES)
def test_few_days_are_no_plain_sums(zone: str) -> None:
    found = clock.days(date(2026, 1, 1), date(2027, 12, 31), ZoneInfo(zone))
    uneven = [on for on, begins in found.items() if begins is None]
    changes = {
        on
        for on in found
        if clock.midnight(on + clock.ONE_DAY, ZoneInfo(zone)) - clock.midnight(on, ZoneInfo(zone)) != 86400
    }
    assert set(uneven) == changes
    assert len(uneven) in {0, 4}


def test_no_days_at_all_are_none() -> None:
    assert clock.days(date(2026, 1, 2), date(2026, 1, 1), NEW_YORK) == {}


@pytest.mark.parametrize(
    ("zone", "on", "minutes", "meant"),
    [
        ("America/New_York", date(2026, 3, 8), 135, "2026-03-08T07:00"),  # skipped: the end of the gap
        ("America/New_York", date(2026, 3, 8), 180, "2026-03-08T07:00"),
        ("America/New_York", date(2026, 3, 8), 119, "2026-03-08T06:59"),
        ("America/New_York", date(2026, 11, 1), 90, "2026-11-01T05:30"),  # twice: the first
        ("America/New_York", date(2026, 11, 1), 120, "2026-11-01T07:00"),
        ("America/Chicago", date(2026, 3, 8), 150, "2026-03-08T08:00"),
        ("America/Havana", date(2026, 3, 8), 0, "2026-03-08T05:00"),  # a day without a midnight
        ("America/Havana", date(2026, 11, 1), 30, "2026-11-01T04:30"),
        ("Africa/Cairo", date(2026, 4, 24), 0, "2026-04-23T22:00"),
        ("Africa/Cairo", date(2026, 10, 29), 1410, "2026-10-29T20:30"),  # 23:30 comes twice, then it is Friday
        ("Africa/Cairo", date(2026, 10, 29), 1440, "2026-10-29T22:00"),
        ("America/Santiago", date(2026, 9, 6), 0, "2026-09-06T04:00"),
        ("America/Santiago", date(2026, 4, 4), 1440, "2026-04-05T04:00"),
        ("Australia/Lord_Howe", date(2026, 10, 4), 135, "2026-10-03T15:30"),
        ("Australia/Lord_Howe", date(2026, 4, 5), 105, "2026-04-04T14:45"),
        ("Europe/London", date(2026, 3, 29), 90, "2026-03-29T01:00"),
        ("Asia/Kolkata", date(2026, 3, 8), 135, "2026-03-07T20:45"),
        ("Pacific/Kiritimati", date(2026, 3, 8), 0, "2026-03-07T10:00"),
        ("Pacific/Apia", date(2011, 12, 30), 0, "2011-12-30T10:00"),  # the day that Samoa left out
        ("Pacific/Apia", date(2011, 12, 30), 1440, "2011-12-30T10:00"),
        ("Pacific/Apia", date(2011, 12, 31), 0, "2011-12-30T10:00"),
    ],
)
def test_wall_times_in_zones_with_hard_edges(zone: str, on: date, minutes: int, meant: str) -> None:
    assert instant(on, minutes, zone) == utc(meant)


@given(instants, zones)
def test_an_instant_comes_back_from_what_the_wall_showed(at: datetime, zone: ZoneInfo) -> None:
    assert instant_at(wall_of(at, zone), zone, at) == at


@pytest.mark.parametrize(
    ("near", "meant"), [("04:00", "05:30"), ("05:59", "05:30"), ("06:00", "05:30"), ("06:01", "06:30")]
)
def test_of_a_time_that_comes_twice_the_nearer_is_meant_and_the_first_of_equals(near: str, meant: str) -> None:
    assert instant_at("2026-11-01T01:30", NEW_YORK, utc(f"2026-11-01T{near}")) == utc(f"2026-11-01T{meant}")


def test_of_a_time_that_is_skipped_the_end_of_the_gap_is_meant() -> None:
    found = instant_at("2026-03-08T02:15", NEW_YORK, utc("2026-03-09T14:00"))
    assert wall_of(found, NEW_YORK) == "2026-03-08T03:00"


def test_a_wall_time_goes_back_by_minutes_of_the_wall() -> None:
    assert wall_minus(datetime(2026, 3, 9, 10, tzinfo=NEW_YORK), 1440) == "2026-03-08T10:00"
    assert wall_minus(datetime(2026, 3, 1, 0, 10, tzinfo=NEW_YORK), 15) == "2026-02-28T23:55"


# ---------------------------------------------------------------- days


@pytest.mark.parametrize(
    ("at", "zone", "on"),
    [
        ("2026-06-02T03:59", "America/New_York", date(2026, 6, 1)),
        ("2026-06-02T04:00", "America/New_York", date(2026, 6, 2)),
        ("2026-06-01T10:00", "Pacific/Kiritimati", date(2026, 6, 2)),
        ("2011-12-30T09:59", "Pacific/Apia", date(2011, 12, 29)),
        ("2011-12-30T10:00", "Pacific/Apia", date(2011, 12, 31)),
    ],
)
def test_the_day_is_that_of_the_clinic(at: str, zone: str, on: date) -> None:
    assert clock.day_of(utc(at), ZoneInfo(zone)) == on


@pytest.mark.parametrize(
    ("on", "count", "meant"),
    [
        (date(2026, 2, 27), 2, date(2026, 3, 1)),
        (date.min, 0, date(1, 1, 2)),
        (date.max, 0, date(9999, 12, 30)),
        (date(2026, 1, 1), 10**9, date(9999, 12, 30)),
    ],
)
def test_a_day_after_the_last_is_the_last(on: date, count: int, meant: date) -> None:
    assert clock.day_after(on, count) == meant


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("on", [date(1, 1, 2), date(9999, 12, 30)])
def test_the_ends_of_the_calendar_have_a_midnight_in_every_zone(zone: str, on: date) -> None:
    begins = clock.midnight(on, ZoneInfo(zone))
    assert datetime.fromtimestamp(begins, ZoneInfo(zone)).date() == on
