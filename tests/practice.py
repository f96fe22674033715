"""A small practice to be asked for slots, and beside it the plainest way to say which there are, minute by minute."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo

from booking.domain import offers, slots
from booking.domain.catalog import Catalog, Closure, ExtraHours, Location, Practitioner, Resource, Service, WorkingHours
from booking.domain.offers import Place
from booking.domain.slots import Slot, Span

NEW_YORK = "America/New_York"
LONG_BEFORE = datetime(2026, 1, 1, 12, tzinfo=UTC)
MONDAY = date(2026, 6, 1)
ANN, BOB = 1, 2  # ids of practitioners, and of their calendars
ROOM, OTHER_ROOM, LASER = 11, 12, 21  # calendars of resources
VISIT = Service(
    1, "visit", "Visit", "", 60, step_minutes=30, notice_minutes=0, horizon_days=1000, cutoff_minutes=24 * 60
)


@dataclass(frozen=True)
class Practice:
    """Who is there and when: `hours` are those of every day, such as `9:00-12:00`, unless `weekly` says more."""

    hours: Sequence[str] = ("9:00-12:00",)
    zone: str = NEW_YORK
    visit: Service = VISIT
    people: Sequence[int] = (ANN,)
    rooms: Mapping[int, str] = field(default_factory=dict)
    weekly: Sequence[WorkingHours] = ()
    extra: Sequence[ExtraHours] = ()
    closures: Sequence[Closure] = ()

    @property
    def location(self) -> Location:
        """Where it is."""
        return Location(1, "main", "Main", self.zone, "1 Road", "Town", "FL", "32084", "904-555-0134")

    @cached_property
    def catalog(self) -> Catalog:
        """What the rules know of it."""
        daily = tuple(
            WorkingHours(who, 1, weekday, *minutes(text))
            for text in self.hours
            for who in self.people
            for weekday in range(7)
        )
        resources = (Resource(each, f"r{each}", f"R {each}", kind, 1, each) for each, kind in self.rooms.items())
        return Catalog(
            version=1,
            locations=(self.location,),
            services=(self.visit,),
            practitioners=tuple(
                Practitioner(each, f"p{each}", f"P {each}", "", each, frozenset({(1, 1)})) for each in self.people
            ),
            resources=tuple(resources),
            working_hours=(*daily, *self.weekly),
            extra_hours=tuple(self.extra),
            closures=tuple(self.closures),
        )

    @property
    def place(self) -> Place:
        """Where and by whom the visit is given."""
        return Place(self.visit, self.location, self.catalog.practitioners)

    def at(self, text: str) -> int:
        """The instant of a time such as `2026-06-01 9:00`; one that comes twice needs its offset."""
        day, _, clock = text.partition(" ")
        when = datetime.fromisoformat(f"{day}T{clock:0>5}" if len(clock) < 6 else f"{day}T{clock}")
        return int((when if when.tzinfo else when.replace(tzinfo=ZoneInfo(self.zone))).timestamp())

    def window(self, first: date, days: int = 1) -> Span:
        """Some whole days."""
        return slots.days_window(first, days, self.location)

    def find(
        self,
        window: Span,
        taken: Mapping[int, Sequence[Span]] | None = None,
        full_days: Collection[date] = (),
        now: datetime = LONG_BEFORE,
    ) -> list[Slot]:
        """The free slots."""
        catalog, location = self.catalog, self.location
        return slots.find(
            catalog, self.visit, location, catalog.practitioners, window,
            claims=taken or {}, full_days=full_days, now=now,
        )  # fmt: skip

    def times(
        self,
        first: date = MONDAY,
        days: int = 1,
        *,
        taken: Mapping[int, Sequence[Span]] | None = None,
        full_days: Collection[date] = (),
        now: datetime = LONG_BEFORE,
    ) -> list[str]:
        """What the clock on the wall shows at each free start."""
        return [self.wall(slot.starts) for slot in self.find(self.window(first, days), taken, full_days, now)]

    def wall(self, instant: int) -> str:
        """What the clock on the wall shows: `9:00`."""
        return f"{datetime.fromtimestamp(instant, ZoneInfo(self.zone)):%H:%M}".removeprefix("0")

    def why_not(self, start: int, who: int = ANN, now: datetime = LONG_BEFORE) -> str:
        """Why a start is not on offer."""
        catalog = self.catalog
        practitioner = next(each for each in catalog.practitioners if each.id == who)
        at = datetime.fromtimestamp(start, UTC)
        return offers.why_not(catalog, self.visit, practitioner, self.location, at, now)

    def explain(
        self,
        window: Span,
        taken: Mapping[int, Sequence[Span]] | None = None,
        full_days: Collection[date] = (),
        now: datetime = LONG_BEFORE,
    ) -> dict[tuple[int, int], str]:
        """The reasons by start and practitioner."""
        found = offers.explain(
            self.catalog, self.place, window, claims=taken or {}, full_days=full_days, now=now
        )  # fmt: skip
        return {(start, who.id): reason for start, who, reason in found}


def minutes(text: str) -> tuple[int, int]:
    """The minutes of the day in `9:00-12:00`."""
    opens, closes = (clock.split(":") for clock in text.split("-"))
    return 60 * int(opens[0]) + int(opens[1]), 60 * int(closes[0]) + int(closes[1])


def every(step: int, text: str) -> list[str]:
    """The times from `9:00` to `12:00`, the last included, every `step` minutes."""
    first, last = minutes(text)
    return [f"{each // 60}:{each % 60:02}" for each in range(first, last + 1, step)]


# ---------------------------------------------------------------- the plainest way


def obvious(
    practice: Practice, window: Span, taken: Mapping[int, Sequence[Span]], full_days: Collection[date], now: datetime
) -> set[tuple[int, int]]:
    """Every start with its practitioner, found by looking at each minute of a window and at all that speaks against."""
    zone, visit, catalog = ZoneInfo(practice.zone), practice.visit, practice.catalog
    walls = wall_clock(window, zone)
    last_day = now.astimezone(zone).date() + timedelta(days=visit.horizon_days)
    busy = {calendar: minutes_of(spans) for calendar, spans in taken.items()}
    rooms = [[r.calendar_id for r in catalog.resources if r.kind == kind] for kind in visit.needs]
    found = set()
    for who in practice.people:
        for opening in groups(openings(practice, who, walls)):
            for minute in range(min(opening), max(opening) + 1, visit.step_minutes):
                start = 60 * minute
                visit_minutes = range(minute, minute + visit.duration_minutes)
                claimed = set(
                    range(minute - visit.buffer_before_minutes, visit_minutes.stop + visit.buffer_after_minutes)
                )
                free = {calendar for calendar in (who, *practice.rooms) if not claimed & busy.get(calendar, set())}
                if (
                    window[0] <= start < window[1]
                    and opening.issuperset(visit_minutes)
                    and who in free
                    and all(free.intersection(kind) for kind in rooms)
                    and walls[minute].date() not in full_days
                    and start >= now.timestamp() + 60 * visit.notice_minutes
                    and walls[minute].date() <= last_day
                ):
                    found.add((start, who))
    return found


@lru_cache(8)
def wall_clock(window: Span, zone: ZoneInfo) -> dict[int, datetime]:
    """What the clock on the wall shows at each minute, from two days before a window to two days after it."""
    around = range(window[0] // 60 - 2880, window[1] // 60 + 2880)
    return {minute: datetime.fromtimestamp(60 * minute, zone).replace(tzinfo=None) for minute in around}


def openings(practice: Practice, who: int, walls: Mapping[int, datetime]) -> list[set[int]]:
    """The minutes of each opening: from when the clock first shows its beginning, or later, to its end likewise."""
    catalog, days = practice.catalog, sorted({wall.date() for wall in walls.values()})[1:-1]
    lines = [
        (on, hours.opens, hours.closes)
        for on in days
        for hours in catalog.working_hours
        if hours.practitioner_id == who and hours.weekday == on.weekday()
        if hours.valid_from is None or hours.valid_from <= on
        if hours.valid_until is None or on <= hours.valid_until
        if not any(each.starts_on <= on <= each.ends_on for each in catalog.closures)
    ]
    lines += [(extra.on, extra.opens, extra.closes) for extra in catalog.extra_hours if extra.practitioner_id == who]
    found = []
    for on, *ends in lines:
        if on in days:
            shown = [datetime.combine(on, datetime.min.time()) + timedelta(minutes=each) for each in ends]
            opens, closes = (next(minute for minute, wall in walls.items() if wall >= each) for each in shown)
            found.append(set(range(opens, closes)))
    return found


def groups(found: Iterable[set[int]]) -> list[set[int]]:
    """Openings that share a minute are one; those that only touch are not."""
    together: list[set[int]] = []
    for opening in filter(None, found):
        apart = [each for each in together if not each & opening]
        sharing = [each for each in together if each & opening]
        together = [*apart, opening.union(*sharing)]
    return together


def minutes_of(spans: Iterable[Span]) -> set[int]:
    """Every minute that begins in one of some spans of whole minutes."""
    return {minute for start, end in spans for minute in range(start // 60, end // 60)}


def without_closures(practice: Practice) -> Practice:
    """The same, never closed."""
    return replace(practice, closures=())
