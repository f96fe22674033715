"""Offers: whether a wished-for visit is one that is offered, and if not, which field is wrong and why."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from booking.domain import clock, slots
from booking.domain.catalog import Catalog, Location, Practitioner, Service
from booking.domain.errors import NotOffered
from booking.domain.slots import Claims, Span
from booking.domain.status import Audience, Bookable

TAKEN, NO_ROOM, FULL = "taken", "no room or machine is free", "as many of these visits as we take on one day"


@dataclass(frozen=True)
class Wish:
    """What somebody asks for, in the words of the form; an empty practitioner or location means any."""

    service: str
    starts_at: datetime
    practitioner: str = ""
    location: str = ""
    new_patient: bool | None = None


@dataclass(frozen=True)
class Place:
    """Where a wish can be met, were the time free: the practitioners are in the order in which they are tried."""

    service: Service
    location: Location
    practitioners: tuple[Practitioner, ...]


def service_for(catalog: Catalog, word: str, *, new_patient: bool | None = None, by_desk: bool = False) -> Service:
    """The service that a word names, if it may be booked by who asks; raises NotOffered."""
    if not word:
        raise NotOffered("service", "Please choose what the visit is for.")
    service = catalog.service(word)
    if service is None or (service.bookable == Bookable.HIDDEN and not by_desk):
        raise NotOffered("service", "We do not offer this service.")
    if by_desk:
        return service
    if service.bookable == Bookable.CALL:
        raise NotOffered("service", f"We agree on a time for {service.name} by phone: please call us.")
    if service.audience == Audience.RETURNING and new_patient is True:
        raise NotOffered("service", _first_visit(catalog, service))
    if service.audience == Audience.NEW and new_patient is False:
        raise NotOffered("service", f"{service.name} is for people who come to us for the first time.")
    return service


def places_for(catalog: Catalog, service: Service, practitioner: str, location: str) -> list[Place]:
    """Where and by whom a service is given, narrowed to a practitioner or location if named; raises NotOffered."""
    who = catalog.practitioner(practitioner) if practitioner else None
    where = catalog.location(location) if location else None
    if practitioner and who is None:
        raise NotOffered("practitioner", "We know nobody of this name.")
    if location and where is None:
        raise NotOffered("location", "We have no place of this name.")
    places = [
        Place(service, place, tuple(each for each in catalog.who_offers(service, place) if who in (None, each)))
        for place in (catalog.where_offered(service) if where is None else (where,))
    ]
    found = [place for place in places if place.practitioners]
    if not found and who is not None:
        raise NotOffered("practitioner", f"{who.name} does not offer {service.name}{' there' if where else ''}.")
    if not found:
        raise NotOffered(
            "location" if where else "service", f"{service.name} cannot be booked{' there' if where else ''}."
        )
    return found


def meeting(catalog: Catalog, wish: Wish, now: datetime, *, by_desk: bool = False) -> list[Place]:
    """The places that could meet a wish if the time is free there; raises NotOffered with the field and the reason."""
    service = service_for(catalog, wish.service, new_patient=wish.new_patient, by_desk=by_desk)
    found: list[Place] = []
    reasons: list[str] = []
    for place in places_for(catalog, service, wish.practitioner, wish.location):
        doubts = {each: why_not(catalog, service, each, place.location, wish.starts_at, now)
                  for each in place.practitioners}  # fmt: skip
        if able := tuple(each for each, doubt in doubts.items() if not doubt):
            found.append(Place(service, place.location, able))
        reasons += doubts.values()
    if not found:
        raise NotOffered("starts_at", max(reasons, key=reasons.count))
    return found


def why_not(
    catalog: Catalog,
    service: Service,
    practitioner: Practitioner,
    location: Location,
    starts_at: datetime,
    now: datetime,
) -> str:
    """Why a start is not on offer, were nothing taken; empty if it is."""
    start = starts_at.timestamp()
    if untimely := _untimely(service, slots.bookable_window(service, location, now), start, now):
        return untimely
    day = clock.day_of(starts_at, location.zone)
    spans = slots.opening_spans(catalog, practitioner, location, slots.days_window(day, 1, location))
    for opens, closes in spans:
        if opens <= start and start + 60 * service.duration_minutes <= closes:
            on_the_grid = (start - opens) % (60 * service.step_minutes) == 0
            return "" if on_the_grid else "Visits do not begin at this time: please choose one of the times shown."
    closed = "" if spans else _closed(catalog, location, day)
    return closed or "This is outside the hours in which the visit can be given."


def explain(
    catalog: Catalog,
    place: Place,
    window: Span,
    *,
    claims: Claims,
    full_days: Collection[date],
    now: datetime,
) -> Iterator[tuple[int, Practitioner, str]]:
    """Every start of the grid within a window that is not offered, with the practitioner and the reason.

    On closed days it is the grid that they would have were they open.
    """
    service, location = place.service, place.location
    bookable = slots.bookable_window(service, location, now)
    rooms = slots.rooms_taken(catalog, service, location, claims)
    always_open = replace(catalog, closures=())
    for practitioner in place.practitioners:
        taken = claims.get(practitioner.calendar_id, ())
        grid = _grid(slots.opening_spans(catalog, practitioner, location, window), service)
        closed = _grid(slots.opening_spans(always_open, practitioner, location, window), service) - grid
        for start in sorted(start for start in grid | closed if window[0] <= start < window[1]):
            at, span = datetime.fromtimestamp(start, UTC), slots.claimed_span(service, start)
            reason = (
                _untimely(service, bookable, start, now)
                or (why_not(catalog, service, practitioner, location, at, now) if start in closed else "")
                or ("" if slots.is_free(taken, span) else TAKEN)
                or ("" if slots.has_rooms(rooms, span) else NO_ROOM)
                or (FULL if clock.day_of(at, location.zone) in full_days else "")
            )
            if reason:
                yield start, practitioner, reason


def last_change(service: Service, starts_at: datetime, zone: ZoneInfo) -> datetime:
    """Until when a visitor may move or cancel a visit by themselves, in UTC.

    The cut-off is counted on the clinic's wall clock: "a day before" is the same time on the day before, also when
    the clock changes in between.
    """
    wall = starts_at.astimezone(zone).replace(tzinfo=None)
    cutoff = clock.wall_minus(wall, service.cutoff_minutes)
    return clock.instant_at(cutoff, zone, starts_at)


def _untimely(service: Service, bookable: Span, start: float, now: datetime) -> str:
    if start < now.timestamp():
        return "This time has passed."
    if start < bookable[0]:
        return f"This is too soon: visits are booked at least {_duration(service.notice_minutes)} ahead."
    if start >= bookable[1]:
        return f"This is too far ahead: visits are booked up to {service.horizon_days} days ahead."
    return ""


def _grid(spans: Sequence[Span], service: Service) -> set[int]:
    length, step = 60 * service.duration_minutes, 60 * service.step_minutes
    return {start for opens, closes in spans for start in range(opens, closes - length + 1, step)}


def _first_visit(catalog: Catalog, service: Service) -> str:
    first = next((each for each in catalog.shown_services if each.audience == Audience.NEW), None)
    if first is None:
        return f"{service.name} is for people who have been here before: please call us for a first visit."
    return f"A first visit begins with {first.name} ({first.duration_minutes} minutes): please choose that."


def _closed(catalog: Catalog, location: Location, on: date) -> str:
    for each in catalog.closures:
        if each.location_id in {None, location.id} and each.starts_on <= on <= each.ends_on:
            return f"We are closed on this day ({each.reason})."
    return ""


def _duration(minutes: int) -> str:
    days, rest = divmod(minutes, 1440)
    hours, left = divmod(rest, 60)
    parts = [(days, "day"), (hours, "hour"), (left, "minute")]
    return " and ".join(f"{count} {word}{'s' if count != 1 else ''}" for count, word in parts if count) or "no time"
