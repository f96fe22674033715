"""Slots: the starts that can be booked, by one sorted merge of half-open spans in whole UNIX seconds.

Zones enter only where a day's wall times become instants, once for each schedule and day; see `domain/clock`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from booking.domain import clock
from booking.domain.catalog import Catalog, Location, Practitioner, Service

Span = tuple[int, int]
Claims = Mapping[int, Sequence[Span]]


@dataclass(frozen=True, slots=True)
class Slot:
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


def bookable_window(service: Service, location: Location, now: datetime) -> Span:
    """The span in which a visit may start: after the notice, and no later than the last day of the horizon."""
    last = clock.day_of(now, location.zone) + timedelta(days=service.horizon_days + 1)
    earliest = now.timestamp() + service.notice_minutes * 60
    # Up to the next whole second: notice is kept in full.
    return -int(-earliest // 1), clock.midnight(last, location.zone)


def days_window(first: date, days: int, location: Location) -> Span:
    """The span of some whole days on the clock of a location."""
    return clock.midnight(first, location.zone), clock.midnight(first + timedelta(days=days), location.zone)


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
    rooms = [[claims.get(calendar, ()) for calendar in kind] for kind in catalog.rooms(service, location)]
    length = 60 * service.duration_minutes
    found: list[tuple[int, int, Slot]] = []
    for place, practitioner in enumerate(practitioners):
        open_spans = opening_spans(catalog, practitioner, location, window)
        starts = free_starts(open_spans, claims.get(practitioner.calendar_id, ()), service, window)
        found += [
            (start, place, Slot(start, start + length, practitioner, location))
            for start in (_with_rooms(starts, rooms, service) if rooms else starts)
        ]
    found.sort(key=lambda each: each[:2])
    if not full_days:
        return [slot for _, _, slot in found]
    return [slot for _, _, slot in found if clock.day_of(slot.starts_at, location.zone) not in full_days]


def opening_spans(catalog: Catalog, practitioner: Practitioner, location: Location, window: Span) -> list[Span]:
    """When a practitioner is there within a window: weekly hours on open days, and extra hours on any; merged."""
    zone = location.zone
    first = datetime.fromtimestamp(window[0], zone).date()
    last = datetime.fromtimestamp(window[1] - 1, zone).date()
    weekly: dict[int, list[tuple[int, int, date | None, date | None]]] = {}
    for each in catalog.working_hours:
        if each.practitioner_id == practitioner.id and each.location_id == location.id:
            line = (each.opens, each.closes, each.valid_from, each.valid_until)
            weekly.setdefault(each.weekday, []).append(line)
    closed = [(each.starts_on, each.ends_on) for each in catalog.closures if each.location_id in {None, location.id}]
    spans = []
    for on in _days(first, last):
        lines = weekly.get(on.weekday(), ())
        if lines and not any(start <= on <= end for start, end in closed):
            for opens, closes, since, until in lines:
                if (since is None or since <= on) and (until is None or on <= until):
                    spans.append((clock.instant_of(on, opens, zone), clock.instant_of(on, closes, zone)))
    for extra in catalog.extra_hours:
        if extra.practitioner_id == practitioner.id and extra.location_id == location.id and first <= extra.on <= last:
            instants = (clock.instant_of(extra.on, minutes, zone) for minutes in (extra.opens, extra.closes))
            spans.append((next(instants), next(instants)))
    return merged(spans)


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time as sorted spans without overlap; what only touches stays two, each with a grid of its own."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue  # it lay within the hour that the clock skips
        if result and start < result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def free_starts(open_spans: Sequence[Span], taken: Sequence[Span], service: Service, window: Span) -> list[int]:
    """The starts on the grid of each opening whose visit lies in it and whose claim meets nothing taken.

    Both lists are sorted and without overlap; they are walked once, side by side.
    """
    step, length = 60 * service.step_minutes, 60 * service.duration_minutes
    before, after = 60 * service.buffer_before_minutes, length + 60 * service.buffer_after_minutes
    found, at, count = [], 0, len(taken)
    for opens, closes in open_spans:
        start = opens if opens >= window[0] else opens + -(-(window[0] - opens) // step) * step
        last = min(closes - length, window[1] - 1)
        while start <= last:
            while at < count and taken[at][1] <= start - before:
                at += 1
            if at == count or taken[at][0] >= start + after:
                found.append(start)
                start += step
            else:  # on to the first start of the grid that lies behind what is in the way
                start = opens + -(-(taken[at][1] + before - opens) // step) * step
    return found


def _with_rooms(starts: Sequence[int], rooms: Sequence[Sequence[Sequence[Span]]], service: Service) -> Iterator[int]:
    before, after = claimed_span(service, 0)
    places = [[0] * len(kind) for kind in rooms]
    for start in starts:
        span = start + before, start + after
        if all(_any_free(kind, place, span) for kind, place in zip(rooms, places, strict=True)):
            yield start


def _any_free(kind: Sequence[Sequence[Span]], place: list[int], span: Span) -> bool:
    """Whether one room of a kind is free; `place` remembers how far each one's spans lie behind."""
    free = False
    for number, taken in enumerate(kind):
        at = place[number]
        while at < len(taken) and taken[at][1] <= span[0]:
            at += 1
        place[number] = at
        free = free or at == len(taken) or taken[at][0] >= span[1]
    return free


def _days(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)
