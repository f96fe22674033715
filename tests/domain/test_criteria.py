"""Criteria: what an address and a command line may ask leads for is read by one set of rules."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from booking.domain import criteria

MORNING = datetime(2026, 11, 24, 10, 30, tzinfo=timezone(timedelta(hours=-5)))


@pytest.mark.parametrize(
    ("reader", "text", "meant"),
    [
        (criteria.states, "new, lost,new,", ("new", "lost")),
        (criteria.states, "", ()),
        (criteria.text, "  back pain ", "back pain"),
        (criteria.flag, "Yes", True),
        (criteria.flag, "0", False),
        (criteria.day, " 2026-11-24 ", date(2026, 11, 24)),
        (criteria.instant, "2026-11-24T15:30:00Z", MORNING.astimezone(UTC)),
        (criteria.instant, "2026-11-24T10:30:00-05:00", MORNING),
        (criteria.instant, "2026-11-24T16:30:00 01:00", MORNING),
    ],
)
def test_what_is_meant_is_understood(reader: Callable[[str], object], text: str, meant: object) -> None:
    assert reader(text) == meant


@pytest.mark.parametrize(
    ("reader", "text", "answer"),
    [
        (criteria.states, "new,gone", "Must be one or more of new, contacted"),
        (criteria.text, "x" * 501, "at most 500 characters"),
        (criteria.text, "a\x00b", "at most 500 characters"),
        (criteria.flag, "perhaps", "Must be yes or no."),
        (criteria.day, "24.11.2026", "such as 2026-11-24"),
        (criteria.day, "2026-02-30", "such as 2026-11-24"),
        (criteria.day, "1066-10-14", "between the years 1900 and 2999"),
        (criteria.instant, "2026-11-24T15:30:00", "with its zone"),
        (criteria.instant, "yesterday", "with its zone"),
        (criteria.instant, "3000-01-01T00:00:00Z", "between the years 1900 and 2999"),
    ],
)
def test_what_is_not_understood_is_answered_with_what_would_be(
    reader: Callable[[str], object], text: str, answer: str
) -> None:
    with pytest.raises(ValueError, match=answer):
        reader(text)
