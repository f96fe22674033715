"""Public holidays by their names: of whom they are known, and when they fall."""

import subprocess
import sys
from datetime import date

import pytest

from booking.clinic import public_holidays


def test_a_holiday_falls_where_the_calendar_says() -> None:
    wanted = ["Thanksgiving Day", "Christmas Day"]
    assert public_holidays.dates("US-FL", wanted, [2026, 2027]) == [
        (date(2026, 11, 26), "Thanksgiving Day"),
        (date(2026, 12, 25), "Christmas Day"),
        (date(2027, 11, 25), "Thanksgiving Day"),
        (date(2027, 12, 25), "Christmas Day"),
    ]


def test_a_holiday_that_is_moved_has_its_free_weekday_under_another_name() -> None:
    moved = public_holidays.dates("US-FL", ["Independence Day", "Independence Day (observed)"], [2026])
    assert moved == [(date(2026, 7, 3), "Independence Day (observed)"), (date(2026, 7, 4), "Independence Day")]
    assert public_holidays.dates("US-FL", ["Independence Day"], [2026]) == [(date(2026, 7, 4), "Independence Day")]


def test_two_holidays_on_one_day_close_it_once() -> None:
    both = ["Presidents' Day", "Susan B. Anthony Day"]
    assert [day for day, _ in public_holidays.dates("US-CA", both, [2027])] == [date(2027, 2, 15)]


def test_a_state_may_have_holidays_of_its_own() -> None:
    assert "Friday After Thanksgiving" in public_holidays.names("US-FL")
    assert "Friday After Thanksgiving" not in public_holidays.names("US")


@pytest.mark.parametrize("region", ["XX", "US-QQ", "Florida", ""])
def test_a_region_that_nobody_knows_is_refused(region: str) -> None:
    with pytest.raises(public_holidays.RegionUnknown):
        public_holidays.names(region)


def test_a_service_that_starts_does_not_pay_for_what_knows_them() -> None:
    loads = "import sys, booking.app; booking.app.clinic.load(); print('holidays' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loads], capture_output=True, check=True).stdout == b"False\n"
