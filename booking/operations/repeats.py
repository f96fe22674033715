"""Repeats: a visit that is moved twice by one press too many is moved once, and its new link is told twice."""

import secrets
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.domain.errors import AppointmentUnknown
from booking.models.appointment import Appointment
from booking.operations import appointments
from booking.operations.appointments import Diary, Visit

PRESSED_TWICE = timedelta(minutes=10)  # within which the same change again is the same one


def moved_by(db: Session, diary: Diary, token: str, starts_at: datetime, now: datetime) -> Visit:
    """The visit that was moved to this start a moment ago by who had this link; raises AppointmentUnknown."""
    # All services at all places, as the index begins with those: there are few, and not every visit need be looked at.
    catalog = diary.catalog
    anywhere = (
        Appointment.service_id.in_([each.id for each in catalog.services]),
        Appointment.location_id.in_([each.id for each in catalog.locations]),
    )
    moved = (
        Appointment.starts_at == starts_at,
        Appointment.generation > 0,
        Appointment.updated_at > now - PRESSED_TWICE,
    )
    for row in db.scalars(select(Appointment).where(*anywhere, *moved)):
        before, new = (
            diary.keyring.token("appointment", str(row.id), str(generation))
            for generation in (row.generation - 1, row.generation)
        )
        if secrets.compare_digest(before.encode(), token.encode("utf-8", "surrogatepass")):
            return appointments.visit_of(catalog, row, new)
    raise AppointmentUnknown
