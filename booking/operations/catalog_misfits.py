"""The visits ahead that no longer fit the catalogue: they stay booked, and the desk is told of each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Table, select
from sqlalchemy.orm import Session

from booking import models
from booking.domain import clock, slots
from booking.domain.catalog import Catalog, Location, Practitioner, Service
from booking.domain.slots import Span
from booking.domain.status import AppointmentStatus
from booking.operations import catalog

appointments, claims = cast(Table, models.Appointment.__table__), cast(Table, models.Claim.__table__)
AHEAD = [status.value for status in AppointmentStatus if status.is_ahead]

Part = TypeVar("Part", Location, Service, Practitioner)
Openings = Callable[[Practitioner, Location, date], list[Span]]


@dataclass(frozen=True)
class Misfit:
    """A visit ahead, by its reference, and why it no longer fits."""

    reference: str
    starts_at: datetime
    reason: str


def find(db: Session, *, now: datetime) -> Iterator[Misfit]:
    """Every visit ahead that nobody could book by the catalogue as it is now; the next one first."""
    current = catalog.read(db, now.date())
    openings = _openings(current)
    connection = db.connection()
    kinds = _kinds_taken(connection, now)
    for visit in connection.execute(_ahead(now).order_by(appointments.c.starts_at, appointments.c.id)):
        if reason := _reason(visit, current, kinds.get(visit.id, set()), openings):
            yield Misfit(visit.reference, visit.starts_at, reason)


def _ahead(now: datetime, *columns: Any) -> Any:
    when = (appointments.c.status.in_(AHEAD), appointments.c.starts_at >= now)
    return select(*columns or appointments.c).where(*when)


def _openings(current: Catalog) -> Openings:
    """When somebody is somewhere on a day; worked out once for all visits of that day."""
    known: dict[tuple[int, int, date], list[Span]] = {}

    def spans(practitioner: Practitioner, location: Location, day: date) -> list[Span]:
        key = practitioner.id, location.id, day
        if key not in known:
            window = slots.days_window(day, 1, location)
            known[key] = slots.opening_spans(current, practitioner, location, window)
        return known[key]

    return spans


def _kinds_taken(connection: Connection, now: datetime) -> dict[int, set[tuple[str, int]]]:
    """For each visit ahead, the kinds of active resources it has claimed, with their location."""
    resources = catalog.resources
    query = (
        select(claims.c.appointment_id, resources.c.kind, resources.c.location_id)
        .join(resources, resources.c.calendar_id == claims.c.calendar_id)
        .where(resources.c.active, claims.c.appointment_id.in_(_ahead(now, appointments.c.id)))
    )
    found: dict[int, set[tuple[str, int]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.appointment_id, set()).add((row.kind, row.location_id))
    return found


def _reason(visit: Any, current: Catalog, taken: set[tuple[str, int]], openings: Openings) -> str:
    location = _active(current.locations, visit.location_id)
    service = _active(current.services, visit.service_id)
    practitioner = _active(current.practitioners, visit.practitioner_id)
    if location is None:
        return "the location is no longer there"
    if service is None:
        return "the service is no longer offered"
    if practitioner is None:
        return "the practitioner is no longer there"
    if (service.id, location.id) not in practitioner.offers:
        return f"{practitioner.name} no longer offers {service.name} at {location.name}"
    if missing := [kind for kind in service.needs if (kind, location.id) not in taken]:
        return f"it has no {missing[0]}"
    return _reason_of_time(visit, current, location, practitioner, openings)


def _active(parts: Sequence[Part], number: int) -> Part | None:
    return next((each for each in parts if each.id == number), None)


def _reason_of_time(
    visit: Any, current: Catalog, location: Location, practitioner: Practitioner, openings: Openings
) -> str:
    day = clock.day_of(visit.starts_at, location.zone)
    starts, ends = visit.starts_at.timestamp(), visit.ends_at.timestamp()
    if any(opens <= starts and ends <= closes for opens, closes in openings(practitioner, location, day)):
        return ""
    for closure in current.closures:
        if closure.location_id in {None, location.id} and closure.starts_on <= day <= closure.ends_on:
            return f"{location.name} is closed: {closure.reason}"
    return f"it is outside the hours of {practitioner.name}"
