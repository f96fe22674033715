"""Times to choose from, as the pages show them: days with their mornings and afternoons, in the clinic's time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from booking.domain.catalog import Catalog, Location
from booking.domain.slots import Slot
from booking.operations import slots
from booking.operations.slots import Question
from booking.web.intake import utc_now
from booking.web.premises import premises

DAYS_SHOWN = 7
NOON = 12


@dataclass(frozen=True)
class Time:
    """One time: its value for the form, and how it is read."""

    value: str
    label: str
    slot: Slot


@dataclass(frozen=True)
class Day:
    """One day of the strip, also when nothing is free on it."""

    on: date
    morning: tuple[Time, ...]
    afternoon: tuple[Time, ...]

    @property
    def weekday(self) -> str:
        """The name of the day."""
        return f"{self.on:%A}"

    @property
    def label(self) -> str:
        """The day as people say it: `December 1`."""
        return f"{self.on:%B} {self.on.day}"

    @property
    def count(self) -> int:
        """How many times are free."""
        return len(self.morning) + len(self.afternoon)


@dataclass(frozen=True)
class Times:
    """A week to choose from, the weeks beside it, and where there is something if this one is empty."""

    days: tuple[Day, ...]
    zone: str
    earlier: date | None
    later: date
    next: Time | None

    @property
    def count(self) -> int:
        """How many times are free in all."""
        return sum(day.count for day in self.days)


def week(catalog: Catalog, question: Question) -> Times:
    """The week that begins on the first day of a question; raises NotOffered, DatabaseAway."""
    now = utc_now()
    with premises().database.reading() as db:
        found = slots.find(db, catalog, question, now)
        later = None if found.slots else slots.next_free(db, catalog, question, now)
    by_day: dict[date, list[Time]] = {found.first + timedelta(days=each): [] for each in range(question.days)}
    for time in once_each(found.slots):
        by_day.setdefault(_local(time.slot).date(), []).append(time)
    days = tuple(_day(on, times) for on, times in sorted(by_day.items()))
    earlier = found.first - timedelta(days=question.days)
    today = now.astimezone(_zone_of(found.slots, catalog)).date()
    return Times(
        days,
        found.timezone,
        max(earlier, today) if found.first > today else None,
        found.first + timedelta(days=question.days),
        time_of(later) if later else None,
    )


def once_each(found: Iterable[Slot]) -> list[Time]:
    """Each start once, whoever has it: who wants the first available does not choose among people."""
    by_start: dict[int, Slot] = {}
    for slot in found:
        by_start.setdefault(slot.starts, slot)
    return [time_of(slot) for slot in by_start.values()]


def time_of(slot: Slot) -> Time:
    """A slot as a choice."""
    local = _local(slot)
    return Time(local.isoformat(), clock_time(local), slot)


def clock_time(local: datetime) -> str:
    """`10:30 AM`, with the name of the offset where the clock shows it twice that day."""
    shown = f"{local:%I:%M %p}".lstrip("0")
    twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    return f"{shown} {local:%Z}" if twice else shown


def long_time(local: datetime) -> str:
    """`Tuesday, December 1, 2026, 10:30 AM EST`: the zone is always named."""
    return f"{local:%A, %B} {local.day}, {local.year}, {f'{local:%I:%M %p}'.lstrip('0')} {local:%Z}"


def _day(on: date, times: list[Time]) -> Day:
    morning = tuple(time for time in times if _local(time.slot).hour < NOON)
    return Day(on, morning, tuple(time for time in times if time not in morning))


def _local(slot: Slot) -> datetime:
    return slot.starts_at.astimezone(slot.location.zone)


def _zone_of(found: list[Slot], catalog: Catalog) -> ZoneInfo:
    location: Location = found[0].location if found else catalog.locations[0]
    return location.zone
