"""Appointments: a visit is booked, moved, cancelled and restored, always through `claims`; cancelled ones are kept."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from booking.domain import clock, offers
from booking.domain import reference as references
from booking.domain.catalog import Catalog, Location, Practitioner, Service
from booking.domain.errors import AppointmentUnknown, TooLate
from booking.domain.offers import Place, Wish
from booking.domain.status import AppointmentStatus
from booking.keyring import Keyring
from booking.models.appointment import REASON, Appointment
from booking.models.lead import new_id
from booking.operations import claims, holds, placing
from booking.operations.claims import Owner
from booking.operations.holds import Held

LINK_LASTS = timedelta(days=1)  # after the visit has ended

appointments = cast(Table, Appointment.__table__)


@dataclass(frozen=True)
class Diary:
    """What booking needs besides the database: the catalogue as it stands, the keys, how references begin."""

    catalog: Catalog
    keyring: Keyring
    prefix: str


@dataclass(frozen=True)
class Parts:
    """What a visit is, with whom and where."""

    service: Service
    practitioner: Practitioner
    location: Location


@dataclass(frozen=True)
class Visit:
    """An appointment with the parts of the catalogue it names, and the token of the manage link it was given."""

    row: Appointment
    service: Service
    practitioner: Practitioner
    location: Location
    token: str = ""


def book(
    db: Session,
    diary: Diary,
    wish: Wish,
    *,
    lead_id: int,
    now: datetime,
    hold_token: str = "",
    status: AppointmentStatus = AppointmentStatus.BOOKED,
    by_desk: bool = False,
) -> Visit:
    """Book a visit for a lead; a live hold on the same slot becomes the visit. Raises NotOffered, SlotTaken.

    The caller holds the catalogue still (`CatalogCache.current(..., hold_still=True)`).
    """
    places = offers.meeting(diary.catalog, wish, now, by_desk=by_desk)
    held = holds.find(db, hold_token, now) if hold_token else None
    appointment_id = new_id(now)
    place, practitioner = _place(db, diary, places, wish.starts_at, Owner("appointment", appointment_id), held, now)
    token = diary.keyring.token("appointment", str(appointment_id), "0")
    row = {
        "id": appointment_id,
        "lead_id": lead_id,
        "service_id": place.service.id,
        "practitioner_id": practitioner.id,
        "location_id": place.location.id,
        "status": status.value,
        **_times(place.service, place.location, wish.starts_at),
        "sequence": 0,
        "generation": 0,
        "token_digest": _digest(token),
        "created_at": now,
        "updated_at": now,
    }
    insert = _INSERT[db.connection().dialect.name]
    reference = references.make(diary.prefix)
    while db.connection().execute(insert, row | {"reference": reference}).first() is None:
        reference = references.make(diary.prefix)
    return Visit(Appointment(**row, reference=reference), place.service, practitioner, place.location, token)


def confirm(db: Session, appointment_id: int, now: datetime) -> None:
    """Let a pending visit be booked: its claims it has already; raises AppointmentUnknown, TooLate."""
    row = _locked(db, Appointment.id == appointment_id)
    if row.status != AppointmentStatus.PENDING:
        raise TooLate
    _change(db, row, now, status=AppointmentStatus.BOOKED.value)


def by_token(db: Session, catalog: Catalog, token: str, now: datetime) -> Visit:
    """The visit whose newest manage link carries this token; raises AppointmentUnknown, also when it has run out."""
    row = db.scalar(select(Appointment).where(Appointment.token_digest == _digest(token)))
    if row is None or now > row.ends_at + LINK_LASTS:
        raise AppointmentUnknown
    return visit_of(catalog, row, token)


def of_lead(db: Session, lead_id: int) -> Appointment | None:
    """The visit that was booked with a lead's own post: its first."""
    return db.scalar(select(Appointment).where(Appointment.lead_id == lead_id).order_by(Appointment.id).limit(1))


def visit_of(catalog: Catalog, row: Appointment, token: str = "") -> Visit:
    """A row with its parts of the catalogue, also where they are offered no more."""
    parts = parts_of(catalog, row)
    return Visit(row, parts.service, parts.practitioner, parts.location, token)


def parts_of(catalog: Catalog, named: Appointment | Held) -> Parts:
    """The parts of the catalogue that a visit or a hold names."""
    found = catalog.by_id
    return Parts(
        cast(Service, found[Service, named.service_id]),
        cast(Practitioner, found[Practitioner, named.practitioner_id]),
        cast(Location, found[Location, named.location_id]),
    )


def cancel(
    db: Session, diary: Diary, visit: Visit, *, reason: str, by: str, now: datetime, by_desk: bool = False
) -> Visit:
    """Cancel a visit and give its time back; doing it twice is doing it once. Raises TooLate."""
    row = _locked(db, Appointment.id == visit.row.id)
    if row.status == AppointmentStatus.CANCELLED:
        return Visit(row, visit.service, visit.practitioner, visit.location, visit.token)
    _check_change(row, visit, now, by_desk=by_desk)
    claims.release(db, Owner("appointment", row.id))
    _change(
        db,
        row,
        now,
        status=AppointmentStatus.CANCELLED.value,
        sequence=row.sequence + 1,
        reason=diary.keyring.seal(reason, REASON, row.id) if reason else None,
        cancelled_by=by,
    )
    return Visit(row, visit.service, visit.practitioner, visit.location, visit.token)


def restore(db: Session, diary: Diary, visit: Visit, now: datetime) -> Visit:
    """Take a cancellation back, if the time is still free; raises SlotTaken, TooLate."""
    row = _locked(db, Appointment.id == visit.row.id)
    if row.status != AppointmentStatus.CANCELLED or row.starts_at <= now:
        raise TooLate
    place = Place(visit.service, visit.location, (visit.practitioner,))
    placing.place(db, diary.catalog, [place], row.starts_at, Owner("appointment", row.id), now)
    _change(
        db, row, now, status=AppointmentStatus.BOOKED.value, sequence=row.sequence + 1, reason=None, cancelled_by=None
    )
    return Visit(row, visit.service, visit.practitioner, visit.location, visit.token)


def reschedule(
    db: Session,
    diary: Diary,
    visit: Visit,
    starts_at: datetime,
    *,
    now: datetime,
    practitioner: str = "",
    location: str = "",
    by_desk: bool = False,
) -> Visit:
    """Move a visit: the new time is taken before the old is given back. Raises NotOffered, SlotTaken, TooLate.

    Without a practitioner it stays with the same one. The manage link is replaced.
    """
    row = _locked(db, Appointment.id == visit.row.id)
    _check_change(row, visit, now, by_desk=by_desk)
    wish = Wish(visit.service.slug, starts_at, practitioner or visit.practitioner.slug, location or visit.location.slug)
    places = offers.meeting(diary.catalog, wish, now, by_desk=True)  # who may book it was settled when it was booked
    owner = Owner("appointment", row.id)
    place, who = placing.place(db, diary.catalog, places, starts_at, owner, now, moving=row.starts_at)
    token = diary.keyring.token("appointment", str(row.id), str(row.generation + 1))
    _change(
        db,
        row,
        now,
        **_times(place.service, place.location, starts_at),
        practitioner_id=who.id,
        location_id=place.location.id,
        sequence=row.sequence + 1,
        generation=row.generation + 1,
        token_digest=_digest(token),
    )
    return Visit(row, place.service, who, place.location, token)


def reassign(db: Session, diary: Diary, visit: Visit, practitioner: str, now: datetime) -> Visit:
    """Give a visit to another practitioner at the same time; raises NotOffered, SlotTaken, TooLate."""
    row = _locked(db, Appointment.id == visit.row.id)
    if not AppointmentStatus(row.status).is_ahead:
        raise TooLate
    (place,) = offers.places_for(diary.catalog, visit.service, practitioner, visit.location.slug)
    _, who = placing.place(
        db, diary.catalog, [place], row.starts_at, Owner("appointment", row.id), now, moving=row.starts_at
    )
    _change(db, row, now, practitioner_id=who.id, sequence=row.sequence + 1)
    return Visit(row, visit.service, who, visit.location, visit.token)


def change_length(db: Session, diary: Diary, visit: Visit, now: datetime) -> Visit:
    """Let a visit take the time that its service takes now; raises SlotTaken, TooLate."""
    row = _locked(db, Appointment.id == visit.row.id)
    if not AppointmentStatus(row.status).is_ahead:
        raise TooLate
    place = Place(visit.service, visit.location, (visit.practitioner,))
    placing.place(db, diary.catalog, [place], row.starts_at, Owner("appointment", row.id), now, moving=row.starts_at)
    ends_at = row.starts_at + timedelta(minutes=visit.service.duration_minutes)
    _change(db, row, now, ends_at=ends_at, sequence=row.sequence + 1)
    return Visit(row, visit.service, visit.practitioner, visit.location, visit.token)


def _place(
    db: Session,
    diary: Diary,
    places: Sequence[Place],
    starts_at: datetime,
    owner: Owner,
    held: Held | None,
    now: datetime,
) -> tuple[Place, Practitioner]:
    """Let the visitor's own hold be the visit, else take the time at the first place that has it."""
    if held is not None:
        for place in places:
            if held.is_for(place, starts_at) and claims.hand_over(db, held.owner, owner, now):
                holds.forget(db, held)
                return place, next(each for each in place.practitioners if each.id == held.practitioner_id)
        holds.release(db, held)  # another time was chosen in the end
    return placing.place(db, diary.catalog, places, starts_at, owner, now)


def _check_change(row: Appointment, visit: Visit, now: datetime, *, by_desk: bool) -> None:
    if not AppointmentStatus(row.status).is_ahead:
        raise TooLate
    if not by_desk and not offers.can_still_change(visit.service, row.starts_at, now, visit.location.zone):
        raise TooLate


def _times(service: Service, location: Location, starts_at: datetime) -> dict[str, Any]:
    return {
        "starts_at": starts_at,
        "ends_at": starts_at + timedelta(minutes=service.duration_minutes),
        "timezone": location.timezone,
        "wall_start": clock.wall_of(starts_at, location.zone),
    }


def _locked(db: Session, condition: Any) -> Appointment:
    """The row, held until the commit, so that two changes of one visit come one after the other."""
    row = db.scalar(select(Appointment).where(condition).with_for_update().execution_options(populate_existing=True))
    if row is None:
        raise AppointmentUnknown
    return row


def _change(db: Session, row: Appointment, now: datetime, **values: Any) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row.updated_at = now
    db.flush()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


_INSERT = {
    dialect: module.insert(appointments)
    .on_conflict_do_nothing(index_elements=["reference"])
    .returning(appointments.c.id)
    for dialect, module in (("postgresql", postgresql), ("sqlite", sqlite))
}
