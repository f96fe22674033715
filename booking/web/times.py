"""Times to choose from, as the pages show them: days with their mornings and afternoons, in the clinic's time."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from booking.domain import clock, spoken
from booking.domain.catalog import Catalog
from booking.domain.clock import NoInstant
from booking.domain.slots import Slot
from booking.operations import slots
from booking.operations.slots import Question
from booking.web.intake import utc_now
from booking.web.premises import premises

DAYS_SHOWN = 7
NOON = 12
# As many as three rows of a phone hold; of more, the full and half hours are shown first. times.js does the same.
MOST_SHOWN = 12
ROUND_MINUTES = {0, 30}
UNBROKEN = "\N{NO-BREAK SPACE}"  # a narrow line breaks between day and time alone
# What people call the zones here. The time zone database knows no such names; others go by their city.
ZONE_NAMES = {
    "America/New_York": "Eastern Time",
    "America/Chicago": "Central Time",
    "America/Denver": "Mountain Time",
    "America/Los_Angeles": "Pacific Time",
    "America/Anchorage": "Alaska Time",
    "Pacific/Honolulu": "Hawaii Time",
}


@dataclass(frozen=True)
class Time:
    """One time: its value for the form, and how it is read."""

    value: str
    label: str
    slot: Slot

    @property
    def clock(self) -> str:
        """What the clock shows: `10:30`."""
        return self.label.partition(" ")[0]

    @property
    def half(self) -> str:
        """Of which half of the day, and where need be of which zone: `AM`."""
        return self.label.partition(" ")[2]

    @property
    def short(self) -> str:
        """With its day, in few letters: `Tue, Dec 1, 10:30 AM`."""
        local = _local(self.slot)
        return f"{local:%a, %b} {local.day}, {self.label}"

    @property
    def on(self) -> date:
        """Its day."""
        return _local(self.slot).date()


@dataclass(frozen=True)
class Part:
    """The morning or the afternoon of a day."""

    name: str
    times: tuple[Time, ...]

    @cached_property
    def spare(self) -> frozenset[str]:
        """The values of those that are shown on demand."""
        if len(self.times) <= MOST_SHOWN:
            return frozenset()
        first = [time for time in self.times if _local(time.slot).minute in ROUND_MINUTES]
        if not 0 < len(first) < MOST_SHOWN:
            first = [time for time in self.times if _local(time.slot).minute == 0]
        if not 0 < len(first) < MOST_SHOWN:
            first = list(self.times[: MOST_SHOWN - 1])
        return frozenset(time.value for time in self.times) - {time.value for time in first}


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

    @property
    def parts(self) -> tuple[Part, Part]:
        """Its halves, as they are shown."""
        return Part("Morning", self.morning), Part("Afternoon", self.afternoon)


@dataclass(frozen=True)
class Times:
    """A week to choose from, the weeks beside it, and where there is something if this one is empty."""

    days: tuple[Day, ...]
    zone: str
    earlier: date | None
    later: date | None
    next: Time | None

    @property
    def count(self) -> int:
        """How many times are free in all."""
        return sum(day.count for day in self.days)

    @property
    def values(self) -> frozenset[str]:
        """The value of each time."""
        return frozenset(time.value for day in self.days for time in (*day.morning, *day.afternoon))

    @property
    def first(self) -> Time | None:
        """The first free time: there is none before it only if this is the first week."""
        return next((time for day in self.days for time in (*day.morning, *day.afternoon)), None)

    @property
    def span(self) -> str:
        """The days that are shown: `November 30 to December 6`."""
        begin, end = self.days[0], self.days[-1]
        return f"{begin.label} to {end.on.day if begin.on.month == end.on.month else end.label}"

    @property
    def zone_name(self) -> str:
        """The zone of all times: `Eastern Time (EST)`, or `(EDT, then EST)` where the clock changes in this week."""
        noons = [datetime(day.on.year, day.on.month, day.on.day, NOON, tzinfo=ZoneInfo(self.zone))
                 for day in (self.days[0], self.days[-1])]  # fmt: skip
        city = self.zone.rpartition("/")[2].replace("_", " ")
        offsets = ", then ".join(dict.fromkeys(f"{noon:%Z}" for noon in noons))
        return f"{ZONE_NAMES.get(self.zone, f'{city} time')} ({offsets})"

    def opened(self, chosen: str = "") -> date | None:
        """The day to show: that of the chosen time, else the first on which something is free."""
        holding = [day for day in self.days if any(t.value == chosen for t in (*day.morning, *day.afternoon))]
        return next((day.on for day in (*holding, *self.days) if day.count), None)


def week(catalog: Catalog, question: Question) -> Times:
    """The week that begins on the first day of a question; raises NotOffered, DatabaseAway."""
    now = utc_now()
    with premises().database.reading() as db:
        found = slots.find(db, catalog, question, now)
        later = None if found.slots else slots.next_free(db, catalog, question, now)
    by_day: dict[date, list[Time]] = {found.first + timedelta(days=each): [] for each in range(question.days)}
    for time in once_each(found.slots):
        by_day.setdefault(time.on, []).append(time)
    today = clock.day_of(now, ZoneInfo(found.timezone))
    service = catalog.service(question.service)
    last = today + timedelta(days=service.horizon_days if service else slots.MOST_DAYS)
    earlier, following = (found.first + timedelta(days=days) for days in (-question.days, question.days))
    return Times(
        tuple(_day(on, times) for on, times in sorted(by_day.items())),
        found.timezone,
        max(earlier, today) if found.first > today else None,
        following if following <= last else None,
        time_of(later) if later else None,
    )


def week_with(catalog: Catalog, question: Question, chosen: str) -> Times:
    """The week of the strip that a chosen time is in; the first one if there is none. Raises as `week` does."""
    where = catalog.location(question.location) if question.location else next(iter(catalog.locations), None)
    local = local_time(chosen, where.timezone) if where and chosen else None
    if where is None or local is None:
        return week(catalog, question)
    today = clock.day_of(utc_now(), where.zone)
    weeks = (local.date() - today).days // question.days
    first = today + timedelta(days=weeks * question.days) if 0 < weeks <= slots.MOST_DAYS else None
    return week(catalog, replace(question, first=first))


def day_named(text: str) -> date | None:
    """The day that an address names, if it is one within three years of today."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if abs((found - utc_now().date()).days) < 3 * 366 else None


def once_each(found: Iterable[Slot]) -> list[Time]:
    """Each start once, whoever has it: who wants the first available does not choose among people."""
    by_start: dict[int, Slot] = {}
    for slot in found:
        by_start.setdefault(slot.starts, slot)
    return [time_of(slot) for slot in by_start.values()]


def time_of(slot: Slot) -> Time:
    """A slot as a choice."""
    local = _local(slot)
    return Time(local.isoformat(), spoken.clock_time(local), slot)


def local_time(value: str, zone: str) -> datetime | None:
    """What a time of the form is on the clock of a zone; None for one that cannot be read."""
    known = ZoneInfo(zone)
    try:
        return clock.read_instant(value.strip(), known).astimezone(known)
    except (NoInstant, OverflowError):
        return None


def day_and_time(local: datetime) -> str:
    """`Tuesday, December 1, 10:30 AM EST`: the zone is always named."""
    shown = f"{local:%I:%M %p} {local:%Z}".lstrip("0")
    return f"{local:%A, %B}{UNBROKEN}{local.day}, {shown.replace(' ', UNBROKEN)}"


def _day(on: date, times: list[Time]) -> Day:
    morning = tuple(time for time in times if _local(time.slot).hour < NOON)
    return Day(on, morning, tuple(time for time in times if time not in morning))


def _local(slot: Slot) -> datetime:
    return slot.starts_at.astimezone(slot.location.zone)
