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
from booking.operations import claims, holds, notifications, placing
from booking.operations.claims import Owner
from booking.operations.holds import Held
from booking.operations.notifications import Telling

LINK_LASTS = timedelta(days=1)  # after the visit has ended

appointments = cast(Table, Appointment.__table__)


@dataclass(frozen=True)
class Diary:
    """What booking needs besides the database; without `telling` nobody hears of it, because the caller tells."""

    catalog: Catalog
    keyring: Keyring
    prefix: str
    telling: Telling | None = None


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
    held = holds.find(db, hold_token, now, to_change=True) if hold_token else None
    places = holds.places(diary.catalog, wish, held, now, by_desk=by_desk)
    appointment_id = new_id(now)
    owner, hold = Owner("appointment", appointment_id), held.owner if held else None
    place, practitioner = placing.place(db, diary.catalog, places, wish.starts_at, owner, now, leaving=hold)
    if held is not None:
        holds.forget(db, held.id)
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
    while not db.connection().execute(insert, row | {"reference": reference}).rowcount:
        reference = references.make(diary.prefix)
    booked = Appointment(**row, reference=reference)
    _tell(db, diary, booked, now, by_desk=by_desk)
    return Visit(booked, place.service, practitioner, place.location, token)


def accept(db: Session, diary: Diary, appointment_id: int, now: datetime) -> None:
    """Let a pending visit be booked: its claims it has already; raises AppointmentUnknown, TooLate."""
    row = _locked(db, appointment_id)
    if row.status != AppointmentStatus.PENDING:
        raise TooLate
    _change(db, row, now, status=AppointmentStatus.BOOKED.value)
    _tell(db, diary, row, now, by_desk=True)


def confirm(db: Session, diary: Diary, visit: Visit, now: datetime) -> Visit:
    """Note that the visitor will come; doing it twice is doing it once. Raises AppointmentUnknown, TooLate."""
    visit, row = _as_it_stands(db, diary, visit)
    if not AppointmentStatus(row.status).is_ahead or row.starts_at <= now:
        raise TooLate
    if row.confirmed_at is None:
        row.confirmed_at = row.updated_at = now
        db.flush()
    return visit


def by_token(db: Session, catalog: Catalog, token: str, now: datetime) -> Visit:
    """The visit whose newest manage link carries this token; raises AppointmentUnknown, also when it has run out."""
    row = db.scalar(select(Appointment).where(Appointment.token_digest == _digest(token)))
    if row is None or now > row.ends_at + LINK_LASTS:
        raise AppointmentUnknown
    return visit_of(catalog, row, token)


def of_lead(db: Session, catalog: Catalog, lead_id: int, now: datetime) -> list[Visit]:
    """The visits of a lead that are not over, in the order in which they were booked; cancelled ones, too."""
    rows = select(Appointment).where(Appointment.lead_id == lead_id, Appointment.ends_at > now).order_by(Appointment.id)
    return [visit_of(catalog, row) for row in db.scalars(rows)]


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
    """Cancel a visit and give its time back; doing it twice is doing it once. Raises AppointmentUnknown, TooLate."""
    visit, row = _as_it_stands(db, diary, visit)
    if row.status == AppointmentStatus.CANCELLED:
        return visit
    _check_change(visit, now, by_desk=by_desk)
    claims.release(db, Owner("appointment", row.id))
    sealed = diary.keyring.seal(reason, REASON, row.id) if reason else None
    _change(db, row, now, status=AppointmentStatus.CANCELLED.value, reason=sealed, cancelled_by=by, confirmed_at=None)
    _tell(db, diary, row, now, by_desk=by_desk)
    return visit


def restore(db: Session, diary: Diary, visit: Visit, now: datetime) -> Visit:
    """Take a cancellation back, if the time is still free; raises SlotTaken, NotOffered, TooLate."""
    visit, row = _as_it_stands(db, diary, visit)
    if row.status != AppointmentStatus.CANCELLED or row.starts_at <= now:
        raise TooLate
    place = Place(visit.service, visit.location, (visit.practitioner,))
    placing.place(db, diary.catalog, [place], row.starts_at, Owner("appointment", row.id), now)
    ends_at = row.starts_at + timedelta(minutes=visit.service.duration_minutes)
    status = AppointmentStatus.BOOKED.value
    _change(db, row, now, status=status, ends_at=ends_at, reason=None, cancelled_by=None)
    _tell(db, diary, row, now, by_desk=True)
    return visit


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
    """Move a visit: the new time is taken before the old is given back.

    Without a practitioner it stays with the same one. The manage link is replaced. Raises NotOffered, SlotTaken,
    TooLate, AppointmentUnknown.
    """
    visit, row = _as_it_stands(db, diary, visit)
    _check_change(visit, now, by_desk=by_desk)
    wish = Wish(visit.service.slug, starts_at, practitioner or visit.practitioner.slug, location or visit.location.slug)
    places = offers.meeting(diary.catalog, wish, now, by_desk=True)  # who may book it was settled when it was booked
    moving = row.starts_at if places[0].location == visit.location else None
    owner = Owner("appointment", row.id)
    place, who = placing.place(db, diary.catalog, places, starts_at, owner, now, moving=moving, leaving=owner)
    generation = row.generation + 1
    token = diary.keyring.token("appointment", str(row.id), str(generation))
    names = {"practitioner_id": who.id, "location_id": place.location.id}
    times = _times(place.service, place.location, starts_at)
    _change(db, row, now, **names, **times, generation=generation, token_digest=_digest(token), confirmed_at=None)
    _tell(db, diary, row, now, by_desk=by_desk)
    return Visit(row, place.service, who, place.location, token)


def reassign(db: Session, diary: Diary, visit: Visit, practitioner: str, now: datetime) -> Visit:
    """Give a visit to another practitioner at the same time; raises NotOffered, SlotTaken, TooLate."""
    visit, row = _as_it_stands(db, diary, visit)
    places = offers.places_for(diary.catalog, visit.service, practitioner, visit.location.slug)
    who = _keep_time(db, diary, row, places, now)
    _change(db, row, now, practitioner_id=who.id)
    _tell(db, diary, row, now, by_desk=True)
    return Visit(row, visit.service, who, visit.location, visit.token)


def change_length(db: Session, diary: Diary, visit: Visit, now: datetime) -> Visit:
    """Let a visit take the time and the rooms that its service takes now; raises SlotTaken, TooLate."""
    visit, row = _as_it_stands(db, diary, visit)
    _keep_time(db, diary, row, [Place(visit.service, visit.location, (visit.practitioner,))], now)
    _change(db, row, now, ends_at=row.starts_at + timedelta(minutes=visit.service.duration_minutes))
    _tell(db, diary, row, now, by_desk=True)
    return visit


def _keep_time(db: Session, diary: Diary, row: Appointment, places: Sequence[Place], now: datetime) -> Practitioner:
    """Let a visit ahead have what it needs at the time it has."""
    if not AppointmentStatus(row.status).is_ahead:
        raise TooLate
    owner = Owner("appointment", row.id)
    _, who = placing.place(db, diary.catalog, places, row.starts_at, owner, now, moving=row.starts_at)
    return who


def _check_change(visit: Visit, now: datetime, *, by_desk: bool) -> None:
    if not AppointmentStatus(visit.row.status).is_ahead:
        raise TooLate
    if not by_desk and now > offers.last_change(visit.service, visit.row.starts_at, visit.location.zone):
        raise TooLate


def _times(service: Service, location: Location, starts_at: datetime) -> dict[str, Any]:
    return {
        "starts_at": starts_at,
        "ends_at": starts_at + timedelta(minutes=service.duration_minutes),
        "timezone": location.timezone,
        "wall_start": clock.wall_of(starts_at, location.zone),
    }


def _as_it_stands(db: Session, diary: Diary, seen: Visit) -> tuple[Visit, Appointment]:
    """A visit that was looked at before, locked and read anew: it may have been changed, and its link replaced."""
    row = _locked(db, seen.row.id)
    if seen.token and row.token_digest != _digest(seen.token):
        raise AppointmentUnknown
    return visit_of(diary.catalog, row, seen.token), row


def _locked(db: Session, appointment_id: int) -> Appointment:
    """The row, held until the commit, so that two changes of one visit come one after the other."""
    query = select(Appointment).where(Appointment.id == appointment_id).with_for_update()
    row = db.scalar(query.execution_options(populate_existing=True))
    if row is None:
        raise AppointmentUnknown
    return row


def _change(db: Session, row: Appointment, now: datetime, **values: Any) -> None:
    for name, value in (values | {"sequence": row.sequence + 1, "updated_at": now}).items():
        setattr(row, name, value)
    db.flush()


def _tell(db: Session, diary: Diary, row: Appointment, now: datetime, *, by_desk: bool) -> None:
    if diary.telling is not None:
        notifications.visit_changed(db, diary.keyring, diary.telling, row, now, by_desk=by_desk)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


_INSERT = {
    dialect: module.insert(appointments)
    .on_conflict_do_nothing(index_elements=["reference"])
    .execution_options(preserve_rowcount=True)
    for dialect, module in (("postgresql", postgresql), ("sqlite", sqlite))
}
