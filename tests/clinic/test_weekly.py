"""Weekly hours as people write them, and what is said about those that cannot be followed."""

import re
from datetime import date

import pytest

from booking.clinic.weekly import HoursUnreadable, Weekly, clock, minutes, read_weekly

MORNING = (8 * 60, 12 * 60)


def test_several_days_and_several_openings_stand_on_one_line() -> None:
    assert read_weekly("Mon-Thu 08:00-12:00, 13:00-18:00") == Weekly(
        weekdays=(0, 1, 2, 3), spans=(MORNING, (13 * 60, 18 * 60)), valid_from=None, valid_until=None, location=""
    )


def test_hours_may_begin_end_and_be_somewhere() -> None:
    weekly = read_weekly("Fri 08:00-12:00 from 2027-01-01 until 2027-03-31 at beach-house")
    assert (weekly.valid_from, weekly.valid_until) == (date(2027, 1, 1), date(2027, 3, 31))
    assert weekly.location == "beach-house"
    assert read_weekly("Fri 08:00-12:00 until 2027-03-31").valid_from is None


@pytest.mark.parametrize(
    ("days", "weekdays"),
    [
        ("Mon", (0,)),
        ("monday", (0,)),
        ("Tues.", (1,)),
        ("Mon, Wed,Fri", (0, 2, 4)),
        ("Mon - Wed, Sat", (0, 1, 2, 5)),
        ("Mon–Wed", (0, 1, 2)),
        ("Sat-Mon", (5, 6, 0)),
        ("Mon-Sun", (0, 1, 2, 3, 4, 5, 6)),
        ("Mon, Mon-Tue", (0, 1)),
    ],
)
def test_days_are_understood_as_people_write_them(days: str, weekdays: tuple[int, ...]) -> None:
    assert read_weekly(f"{days} 08:00-12:00").weekdays == weekdays


@pytest.mark.parametrize("times", ["08:00-12:00", "8:00-12:00", "08:00 - 12:00", "08:00–12:00", "08:00  -  12:00"])
def test_times_are_understood_as_people_write_them(times: str) -> None:
    assert read_weekly(f"Mon  {times}").spans == (MORNING,)


def test_a_day_may_end_at_midnight() -> None:
    assert read_weekly("Mon 20:00-24:00").spans == ((20 * 60, 24 * 60),)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Mon", "must be days and times, such as"),
        ("08:00-12:00", "must be days and times, such as"),
        ("Mon closed", "must be days and times, such as"),
        ("Mo 08:00-12:00", "Mo is no day of the week"),
        ("Mon-Thr 08:00-12:00", "Thr is no day of the week"),
        ("Montag 08:00-12:00", "Montag is no day of the week"),
        ("Mon, 08:00-12:00", "nothing is no day of the week"),
        ("Mon 8-12", "8 is no time of day, such as 08:00"),
        ("Mon 08:00-25:00", "25:00 is no time of day"),
        ("Mon 08:00-24:01", "24:01 is no time of day"),
        ("Mon 08:60-12:00", "08:60 is no time of day"),
        ("Mon 08:00", "08:00 is no opening, such as 08:00-12:00"),
        ("Mon 08:00-12:00,", "nothing is no opening"),
        ("Mon 08:00-12:00 form 2027-01-01", "is no opening"),
        ("Mon 12:00-08:00", "closes at 08:00, which is not after 12:00"),
        ("Mon 08:00-08:00", "closes at 08:00, which is not after 08:00"),
        ("Mon 08:00-12:00 from 2027-02-29", "2027-02-29 is no date"),
        ("Mon 08:00-12:00 until soon", "soon is no date"),
        ("Mon 08:00-12:00 from 2027-02-02 until 2027-02-01", "ends on 2027-02-01, before it begins on 2027-02-02"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_the_reason(line: str, reason: str) -> None:
    with pytest.raises(HoursUnreadable, match=re.escape(reason)):
        read_weekly(line)


def test_minutes_and_clock_undo_each_other() -> None:
    assert [minutes(clock(at)) for at in range(1441)] == list(range(1441))
