"""Slots: the starts that can be booked, by one sorted merge of half-open spans in whole UNIX seconds.

Zones enter only where days become instants, once for everybody; see `domain/clock`.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from math import ceil
from operator import itemgetter
from typing import NamedTuple
from zoneinfo import ZoneInfo

from booking.domain import clock
from booking.domain.catalog import Catalog, ExtraHours, Location, Practitioner, Service, WorkingHours

Span = tuple[int, int]
Claims = Mapping[int, Sequence[Span]]

PAST: Span = (-(1 << 62), -(1 << 62))
FUTURE: Span = (1 << 62, 1 << 62)
NO_HOURS: Sequence[Sequence[WorkingHours]] = ((),) * 7


class Slot(NamedTuple):
    """A start (UNIX seconds) that can be booked now with a practitioner at a location."""

    starts: int
    ends: int
    practitioner: Practitioner
    location: Location

    @property
    def starts_at(self) -> datetime:
        """The start as an aware instant."""
        return datetime.fromtimestamp(self.starts, UTC)

    @property
    def ends_at(self) -> datetime:
        """The end as an aware instant, buffers not included."""
        return datetime.fromtimestamp(self.ends, UTC)


# What `Slot(...)` does, but that is written in Python, and a long list of slots waits for little else.
_slot: Callable[[tuple[int, int, Practitioner, Location]], Slot] = partial(tuple.__new__, Slot)


def bookable_window(service: Service, location: Location, now: datetime) -> Span:
    """The span in which a visit may start: after the notice, and no later than the last day of the horizon."""
    last = clock.day_of(now, location.zone) + timedelta(days=service.horizon_days + 1)
    # Up to the next whole second: notice is kept in full.
    return ceil(now.timestamp()) + 60 * service.notice_minutes, clock.midnight(last, location.zone)


def days_window(first: date, days: int, location: Location) -> Span:
    """The span of some whole days on the clock of a location; at the ends of the calendar it is cut short."""
    begin, end = clock.day_after(first, 0), clock.day_after(first, days)
    return clock.midnight(begin, location.zone), clock.midnight(end, location.zone)


def claimed_span(service: Service, starts: int) -> Span:
    """What a visit that starts then takes of a calendar, buffers included."""
    ends = starts + 60 * (service.duration_minutes + service.buffer_after_minutes)
    return starts - 60 * service.buffer_before_minutes, ends


def find(
    catalog: Catalog,
    service: Service,
    location: Location,
    practitioners: Iterable[Practitioner],
    window: Span,
    *,
    claims: Claims,
    full_days: Collection[date],
    now: datetime,
) -> list[Slot]:
    """The free slots of a window, in order of start, then of the practitioners.

    `claims` are the taken spans of each calendar (sorted, not overlapping); `full_days` those whose cap is reached.
    """
    earliest, latest = bookable_window(service, location, now)
    window = max(window[0], earliest), min(window[1], latest)
    if window[0] >= window[1]:
        return []
    days, closed = _days(catalog, location, window)
    for on in full_days:
        days.pop(on, None)
    rooms = rooms_taken(catalog, service, location, claims)
    length = 60 * service.duration_minutes
    found: list[Slot] = []
    for practitioner in practitioners:
        spans = _openings(catalog, practitioner, location, days, closed)
        starts = free_starts(spans, claims.get(practitioner.calendar_id, ()), service, window)
        if rooms:
            starts = [start for start in starts if has_rooms(rooms, claimed_span(service, start))]
        found += [_slot((start, start + length, practitioner, location)) for start in starts]
    found.sort(key=itemgetter(0))
    return found


def opening_spans(catalog: Catalog, practitioner: Practitioner, location: Location, window: Span) -> list[Span]:
    """When a practitioner is there on the days of a window: weekly hours on open days, extra hours on any; merged."""
    days, closed = _days(catalog, location, window)
    return _openings(catalog, practitioner, location, days, closed)


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time as sorted spans without overlap; what only touches stays two, each with a grid of its own."""
    result: list[Span] = []
    latest = PAST[1]
    for start, end in sorted(spans):
        if start >= latest:
            if start < end:  # hours that lie within what the clock skips are empty
                result.append((start, end))
                latest = end
        elif end > latest:
            result[-1] = result[-1][0], end
            latest = end
    return result


def free_starts(open_spans: Sequence[Span], taken: Sequence[Span], service: Service, window: Span) -> list[int]:
    """The starts on the grid of each opening whose visit lies in it and whose claim meets nothing taken.

    Both lists are sorted and without overlap; they are walked once, side by side.
    """
    step, length = 60 * service.step_minutes, 60 * service.duration_minutes
    before, after = 60 * service.buffer_before_minutes, length + 60 * service.buffer_after_minutes
    # When a visit may start at the earliest and the latest, wherever there is room enough between what is taken.
    gaps = iter([
        (ends + before, begins - after)
        for (_, ends), (begins, _) in zip([PAST, *taken], [*taken, FUTURE], strict=True)
        if begins - ends >= before + after
    ])  # fmt: skip
    found: list[int] = []
    earliest, latest = next(gaps)
    for opens, closes in open_spans:
        last = closes - length
        while latest < opens:
            earliest, latest = next(gaps)
        while earliest <= last:
            start = opens if earliest <= opens else earliest + (opens - earliest) % step
            if latest > last:
                found += range(start, last + 1, step)
                break
            found += range(start, latest + 1, step)
            earliest, latest = next(gaps)
    return found[bisect_left(found, window[0]) : bisect_left(found, window[1])]


def rooms_taken(catalog: Catalog, service: Service, location: Location, claims: Claims) -> list[list[Sequence[Span]]]:
    """For each kind of room a service needs, the taken spans of each one."""
    return [[claims.get(calendar, ()) for calendar in kind] for kind in catalog.rooms(service, location)]


def has_rooms(rooms: Iterable[Iterable[Sequence[Span]]], span: Span) -> bool:
    """Whether of each kind of room one is free during a span."""
    return all(any(is_free(taken, span) for taken in kind) for kind in rooms)


def is_free(taken: Sequence[Span], span: Span) -> bool:
    """Whether a span meets nothing taken (sorted, not overlapping): only the last to begin before its end could."""
    behind = bisect_left(taken, (span[1],))
    return behind == 0 or taken[behind - 1][1] <= span[0]


def _days(catalog: Catalog, location: Location, window: Span) -> tuple[dict[date, int | None], set[date]]:
    """The days that a window touches, as `clock.days` gives them, and those of them that are closed."""
    zone = location.zone
    first, last = (datetime.fromtimestamp(instant, zone).date() for instant in (window[0], window[1] - 1))
    days = clock.days(first, last, zone)
    closures = [each for each in catalog.closures if each.location_id in {None, location.id}]
    return days, {on for each in closures for on in days if each.starts_on <= on <= each.ends_on}


def _openings(
    catalog: Catalog,
    practitioner: Practitioner,
    location: Location,
    days: Mapping[date, int | None],
    closed: Collection[date],
) -> list[Span]:
    zone, whose = location.zone, (practitioner.id, location.id)
    week = catalog.weekly_hours.get(whose, NO_HOURS)
    spans = [
        _span(hours, on, midnight, zone)
        for on, midnight in days.items()
        if on not in closed
        for hours in week[on.weekday()]
        if (hours.valid_from or on) <= on <= (hours.valid_until or on)
    ]
    spans += [
        _span(extra, extra.on, days[extra.on], zone)
        for extra in catalog.extra_hours
        if extra.on in days and (extra.practitioner_id, extra.location_id) == whose
    ]
    return merged(spans)


def _span(hours: WorkingHours | ExtraHours, on: date, midnight: int | None, zone: ZoneInfo) -> Span:
    if midnight is None:
        return clock.instant_of(on, hours.opens, zone), clock.instant_of(on, hours.closes, zone)
    return midnight + 60 * hours.opens, midnight + 60 * hours.closes
