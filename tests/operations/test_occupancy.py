"""Occupancy: what is taken within a window, of whom, in order, and when the first of it runs out."""

from datetime import datetime, timedelta

import pytest

from booking.database import Database
from booking.keyring import Keyring
from booking.operations import occupancy
from tests.visits import HOUR, TEN, Clinic

QUARTER = HOUR / 4


@pytest.fixture
def clinic(database: Database, keyring: Keyring, now: datetime) -> Clinic:
    return Clinic(database, keyring, now)


def taken(
    clinic: Clinic, begin: datetime, end: datetime, *, but_hold: int | None = None
) -> dict[str, tuple[list[tuple[datetime, datetime]], datetime | None]]:
    with clinic.database.reading() as db:
        found = occupancy.taken(db, clinic.calendars, (begin, end), clinic.now, but_hold=but_hold)
        return {
            clinic.calendars[calendar]: (
                [(datetime.fromtimestamp(s, TEN.tzinfo), datetime.fromtimestamp(e, TEN.tzinfo)) for s, e in spans],
                first_end,
            )
            for calendar, spans, first_end in found
        }


def test_spans_come_in_order_whatever_was_taken_first(clinic: Clinic) -> None:
    for hours in (2, 0, 1):
        clinic.book("short", TEN + hours * HOUR, "ann")
    half = HOUR / 2
    spans = [(TEN + hours * HOUR, TEN + hours * HOUR + half) for hours in range(3)]
    assert taken(clinic, TEN, TEN + 3 * HOUR) == {"ann": (spans, None)}


def test_what_only_touches_the_window_is_not_in_it(clinic: Clinic) -> None:
    clinic.book("short", TEN, "ann")
    assert taken(clinic, TEN + HOUR / 2, TEN + HOUR) == {}
    assert taken(clinic, TEN - HOUR, TEN) == {}
    assert list(taken(clinic, TEN + QUARTER, TEN + HOUR)) == ["ann"], "also what began before it"


def test_time_off_of_a_whole_day_is_seen_from_its_last_minute(clinic: Clinic) -> None:
    clinic.take_off("ann", TEN, TEN + 24 * HOUR)
    assert list(taken(clinic, TEN + 24 * HOUR - timedelta(minutes=1), TEN + 25 * HOUR)) == ["ann"]


def test_a_hold_counts_until_it_runs_out_and_not_for_who_has_it(clinic: Clinic) -> None:
    held = clinic.hold("short", TEN, "ann")
    span = (TEN, TEN + HOUR / 2)
    assert taken(clinic, TEN, TEN + HOUR) == {"ann": ([span], held.expires_at)}
    assert taken(clinic, TEN, TEN + HOUR, but_hold=held.id) == {}
    clinic.now = held.expires_at
    assert taken(clinic, TEN, TEN + HOUR) == {}
