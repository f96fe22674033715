"""Time off: somebody is away, or a room out of use; it gives way to visits and names them, and holds give way to it."""

from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.orm import Session

from booking import models
from booking.domain.catalog import Catalog
from booking.domain.errors import NotOffered, SlotTaken, TimeIsBooked
from booking.models.appointment import Appointment, TimeOff
from booking.models.lead import new_id
from booking.operations import claims, holds
from booking.operations.claims import Owner, Span

appointments, times_off = cast(Table, Appointment.__table__), cast(Table, TimeOff.__table__)
whose = (cast(Table, models.Practitioner.__table__), cast(Table, models.Resource.__table__))


def take(
    db: Session,
    catalog: Catalog,
    *,
    practitioner: str = "",
    calendar_id: int | None = None,
    starts_at: datetime,
    ends_at: datetime,
    note: str,
    now: datetime,
) -> TimeOff:
    """Take a span off a practitioner's calendar, or off one by its id; it may overlap other time off.

    Raises TimeIsBooked with the references of the visits in the way, and then nothing has changed; NotOffered.
    """
    if ends_at <= starts_at:
        raise NotOffered("ends_at", "Time off must end after it begins.")
    calendar = calendar_id if calendar_id is not None else _calendar_of(catalog, practitioner)
    # Slots are counted in whole seconds: one that begins within the last second of time off is not free.
    starts_at = starts_at.replace(microsecond=0)
    ends_at += timedelta(microseconds=-ends_at.microsecond % 1_000_000)
    row = {
        "id": new_id(now),
        "calendar_id": calendar,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "note": note,
    }
    _lock_whose(db, calendar)
    while True:
        try:
            _take(db, row, (starts_at, ends_at), now)
        except SlotTaken:
            if visits := _visits(db, calendar, (starts_at, ends_at)):
                raise TimeIsBooked(visits) from None
            continue  # it was a hold that came after we had looked, or a visit that is gone by now
        return TimeOff(**row)


def give_back(db: Session, time_off_id: int) -> None:
    """Take time off back; what other time off covers stays taken. Doing it twice is doing it once."""
    connection = db.connection()
    query = select(times_off).where(times_off.c.id == time_off_id)
    if (row := connection.execute(query).first()) is None:
        return
    _lock_whose(db, row.calendar_id)
    if connection.execute(query).first() is None:
        return
    others = select(times_off).where(
        times_off.c.calendar_id == row.calendar_id,
        times_off.c.id != row.id,
        times_off.c.starts_at < row.ends_at,
        times_off.c.ends_at > row.starts_at,
    )
    heirs = [
        (Owner("time_off", each.id), (max(each.starts_at, row.starts_at), min(each.ends_at, row.ends_at)))
        for each in connection.execute(others.order_by(times_off.c.id))
    ]
    claims.leave(db, Owner("time_off", row.id), row.calendar_id, heirs)
    connection.execute(delete(times_off).where(times_off.c.id == row.id))


def _calendar_of(catalog: Catalog, practitioner: str) -> int:
    found = catalog.practitioner(practitioner)
    if found is None:
        raise NotOffered("practitioner", "We know nobody of this name.")
    return found.calendar_id


def _lock_whose(db: Session, calendar: int) -> None:
    """Let changes of one calendar's time off come one after the other; bookings do not wait for that."""
    for table in whose:
        found = select(table.c.id).where(table.c.calendar_id == calendar)
        db.connection().execute(found.with_for_update(key_share=True))


def _take(db: Session, row: dict[str, Any], span: Span, now: datetime) -> None:
    calendar = row["calendar_id"]
    with db.connection().begin_nested():  # refused, it has ended no hold either
        db.connection().execute(insert(times_off).values(row))
        held = holds.lock(db, claims.holds_over(calendar, span, now))
        claims.take_off(db, Owner("time_off", row["id"]), calendar, span, now, over=held)
        for hold_id in held:  # what they have of other calendars: only now, as everybody takes a room last
            holds.end(db, hold_id)


def _visits(db: Session, calendar: int, span: Span) -> list[str]:
    """The references of the visits that have a part of a span, the first one first."""
    ids = claims.visits_over(calendar, span)
    rows = select(appointments.c.reference).where(appointments.c.id.in_(ids))
    return list(db.connection().scalars(rows.order_by(appointments.c.starts_at, appointments.c.id)))
