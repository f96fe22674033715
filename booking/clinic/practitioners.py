"""The practitioners of the clinic's file: what they offer where, and when they are there."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import combinations, product

from booking.clinic.lines import Place
from booking.clinic.parts import ExtraHours, Location, Offer, Practitioner, Service, WorkingHours
from booking.clinic.references import Known
from booking.clinic.table import Table, near, written
from booking.clinic.weekly import DAYS, HoursUnreadable, clock, minutes, read_weekly

Placed = list[tuple[Place, WorkingHours]]
"""Openings, each with the place in the file where it stands."""


def read(table: Table, known: Known) -> Practitioner:
    """Read one practitioner."""
    offers = _offers(table, known)
    places = list(dict.fromkeys(offer.location for offer in offers))
    entries = table.tables("extra_hours", optional=True)
    weekly = _weekly(table, places) if table.has("hours") or not entries else []
    extra = [_extra_hours(entry, places) for entry in entries]
    _note_overlaps(table, weekly, extra)
    return Practitioner(
        slug=table.slug("slug"),
        name=table.text("name"),
        title=table.text("title"),
        offers=tuple(offers),
        hours=tuple(opening for _, opening in weekly),
        extra_hours=tuple(extra),
    )


def note_never_bookable(services: Mapping[Table, Service], staff: Sequence[Practitioner]) -> None:
    """Note the services that could never be booked, because nobody offers them or nobody is there for long enough."""
    for table, service in services.items():
        longest = max((_longest(each, place) for each, place in _who_offers(service, staff)), default=None)
        if longest is None and service.bookable == "online":
            table.note("bookable", "is online, but no practitioner offers it")
        elif longest is not None and longest < service.duration_minutes:
            table.note("duration_minutes", f"is longer than any opening of who offers it ({longest} minutes at most)")


def _offers(table: Table, known: Known) -> list[Offer]:
    offers: list[Offer] = []
    for entry, places in _offering(table, known):
        for (at, service), place in product(known.some_services(entry), places):
            offer = Offer(service.slug, place.slug)
            if offer in offers:
                entry.note(("services", at), f"{service.slug} at {place.slug} is there twice")
                continue
            offers.append(offer)
            # A kind that is nowhere is noted with the service that needs it.
            for kind in sorted((set(service.needs) & known.kinds()) - known.kinds(place.slug)):
                entry.note(("services", at), f"{service.slug} needs a {kind}, and {place.slug} has none")
    return offers


def _offering(table: Table, known: Known) -> Iterator[tuple[Table, list[Location]]]:
    """The tables that list services, each with the locations at which they are given."""
    if not table.has("offers"):
        yield table, known.some_locations(table)
        return
    for key in ("services", "locations"):
        if table.has(key):
            table.note(key, "belongs into offers, where there are offers")
    for entry in table.tables("offers"):
        slug = known.location(entry)
        yield entry, [location for location in known.locations if location.slug == slug]


def _weekly(table: Table, places: Sequence[str]) -> Placed:
    openings: Placed = []
    for at, line in enumerate(table.lines("hours"), 1):
        try:
            weekly = read_weekly(line) if line else None
        except HoursUnreadable as unreadable:
            table.note(("hours", at), str(unreadable))
            continue
        if weekly is not None:
            place = _place(table, ("hours", at), weekly.location, places)
            openings += (
                (("hours", at), WorkingHours(place, weekday, opens, closes, weekly.valid_from, weekly.valid_until))
                for weekday, (opens, closes) in product(weekly.weekdays, weekly.spans)
            )
    return openings


def _place(table: Table, key: str | Place, location: str, places: Sequence[str]) -> str:
    """Where somebody with services at some places works, when the file says `location` or nothing."""
    if not location and len(places) == 1:
        return places[0]
    if not location and places:
        table.note(key, f"must say where: {' or '.join(places)}")
    elif places and location not in places:
        table.note(key, f"no service is offered at {location}{near(location, places)}")
    return location


def _extra_hours(table: Table, places: Sequence[str]) -> ExtraHours:
    location = table.slug("location") if table.has("location") else ""
    opens, closes = (_minutes(table, key) for key in ("opens", "closes"))
    if opens is not None and closes is not None and closes <= opens:
        table.note("closes", f"closes at {clock(closes)}, which is not after {clock(opens)}, when it opens")
    return ExtraHours(_place(table, "location", location, places), table.date("on"), opens or 0, closes or 0)


def _minutes(table: Table, key: str) -> int | None:
    text = table.text(key)
    try:
        return minutes(text) if text else None
    except HoursUnreadable as unreadable:
        table.note(key, str(unreadable))
        return None


def _note_overlaps(table: Table, weekly: Placed, extra: Sequence[ExtraHours]) -> None:
    """Note who would be in two places at once, or has the same hours twice."""
    single: Placed = [
        (("extra_hours", at), WorkingHours(each.location, each.on.weekday(), each.opens, each.closes, each.on, each.on))
        for at, each in enumerate(extra, 1)
    ]
    pairs = [*combinations(weekly, 2), *combinations(single, 2)]
    # That somebody stays longer on one day may well be written as the whole of that day.
    pairs += [(one, other) for one, other in product(weekly, single) if one[1].location != other[1].location]
    overlaps = [(first, second, other.weekday) for (first, one), (second, other) in pairs if _overlap(one, other)]
    for first, second, weekday in {each[:2]: each for each in reversed(overlaps)}.values():
        whom = "itself" if first == second else written(first)
        table.note(second, f"overlaps {whom} on {DAYS[weekday]}")


def _overlap(one: WorkingHours, other: WorkingHours) -> bool:
    return (
        one.weekday == other.weekday
        and max(one.opens, other.opens) < min(one.closes, other.closes)
        and max(one.valid_from or date.min, other.valid_from or date.min)
        <= min(one.valid_until or date.max, other.valid_until or date.max)
    )


def _who_offers(service: Service, staff: Sequence[Practitioner]) -> list[tuple[Practitioner, str]]:
    return [(each, offer.location) for each in staff for offer in each.offers if offer.service == service.slug]


def _longest(practitioner: Practitioner, location: str) -> int:
    """How many minutes the longest opening of somebody at a location has."""
    openings: list[WorkingHours | ExtraHours] = [*practitioner.hours, *practitioner.extra_hours]
    return max((each.closes - each.opens for each in openings if each.location == location), default=0)
