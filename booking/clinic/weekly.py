"""Weekly hours as people write them: `Mon-Thu 08:00-12:00, 13:00-18:00 from 2026-12-01 until 2027-03-31 at beach`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LAST_MINUTE = 24 * 60

_LINE = re.compile(
    r"(?P<days>[^0-9]+?) (?P<times>[0-9].*?)"
    r"(?: from (?P<valid_from>\S+))?(?: until (?P<valid_until>\S+))?(?: at (?P<location>\S+))?"
)
_SPAN = re.compile(r"(\S+?) ?[-\u2013] ?(\S+)")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})")


class HoursUnreadable(ValueError):
    """A line of hours that cannot be followed, and why."""


@dataclass(frozen=True, slots=True)
class Weekly:
    """One line of weekly hours; the spans are minutes after midnight, and hold on each of the weekdays."""

    weekdays: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    valid_from: date | None
    valid_until: date | None
    location: str


def read_weekly(line: str) -> Weekly:
    """Read a line of weekly hours; raises `HoursUnreadable`."""
    found = _LINE.fullmatch(" ".join(line.split()))
    if found is None:
        raise HoursUnreadable('must be days and times, such as "Mon-Thu 08:00-12:00, 13:00-18:00"')
    valid_from, valid_until = (_date(found[name]) for name in ("valid_from", "valid_until"))
    if valid_from and valid_until and valid_until < valid_from:
        raise HoursUnreadable(f"ends on {valid_until}, before it begins on {valid_from}")
    return Weekly(
        weekdays=tuple(dict.fromkeys(day for words in found["days"].split(",") for day in _weekdays(words.strip()))),
        spans=tuple(_span(words.strip()) for words in found["times"].split(",")),
        valid_from=valid_from,
        valid_until=valid_until,
        location=found["location"] or "",
    )


def minutes(text: str) -> int:
    """A time of day as minutes after midnight; raises `HoursUnreadable`."""
    found = _TIME.fullmatch(text)
    at = int(found[1]) * 60 + int(found[2]) if found and int(found[2]) < 60 else None
    if at is None or at > LAST_MINUTE:
        raise HoursUnreadable(f"{text} is no time of day, such as 08:00 (the last is 24:00)")
    return at


def clock(at: int) -> str:
    """Minutes after midnight as people read them: `08:00`."""
    return f"{at // 60:02}:{at % 60:02}"


def in_order(opens: int, closes: int) -> tuple[int, int]:
    """The same two times; raises `HoursUnreadable` unless the first is earlier."""
    if closes <= opens:
        raise HoursUnreadable(f"closes at {clock(closes)}, which is not after {clock(opens)}, when it opens")
    return opens, closes


def _weekdays(words: str) -> Iterator[int]:
    first, _, last = re.sub(" ?[-\u2013] ?", "-", words).partition("-")
    day, end = _weekday(first), _weekday(last or first)
    yield day
    while day != end:  # Sat-Mon goes over the end of the week
        day = (day + 1) % 7
        yield day


def _weekday(word: str) -> int:
    for day, name in enumerate(DAYS):
        if len(word) >= 3 and name.lower().startswith(word.lower().rstrip(".")):
            return day
    raise HoursUnreadable(f"{word or 'nothing'} is no day of the week, such as Mon or Monday")


def _span(words: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(words)
    if found is None:
        raise HoursUnreadable(f"{words or 'nothing'} is no opening, such as 08:00-12:00")
    return in_order(minutes(found[1]), minutes(found[2]))


def _date(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as wrong:
        raise HoursUnreadable(f"{text} is no date, such as 2026-12-24") from wrong
