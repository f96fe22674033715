"""Visits planted straight into the database, past every rule: to arrange what a rule must find."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking import models
from booking.models.lead import new_id


def plant(
    db: Session,
    reference: str,
    service: str,
    practitioner: str,
    starts_at: datetime,
    *,
    status: str = "booked",
    rooms: tuple[str, ...] = (),
) -> None:
    """Plant a visit at its practitioner's, with the slugs of the rooms it takes."""
    what = db.scalars(select(models.Service).where(models.Service.slug == service)).one()
    who = db.scalars(select(models.Practitioner).where(models.Practitioner.slug == practitioner)).one()
    where = db.scalars(select(models.Location).order_by(models.Location.id)).first()
    assert where is not None
    calendars = [who.calendar_id]
    calendars += db.scalars(select(models.Resource.calendar_id).where(models.Resource.slug.in_(rooms)))
    ends_at, lead = starts_at + timedelta(minutes=what.duration_minutes), _lead(reference, starts_at)
    db.add(lead)
    db.flush()
    visit = models.Appointment(
        id=new_id(starts_at), reference=reference, lead_id=lead.id, service_id=what.id, practitioner_id=who.id,
        location_id=where.id, status=status, starts_at=starts_at, ends_at=ends_at, timezone=where.timezone,
        wall_start=f"{starts_at.astimezone(ZoneInfo(where.timezone)):%Y-%m-%dT%H:%M}",
        token_digest=reference.encode().ljust(32), created_at=starts_at, updated_at=starts_at,
    )  # fmt: skip
    db.add(visit)
    db.flush()
    for calendar in calendars:
        claim = models.Claim(calendar_id=calendar, starts_at=starts_at, ends_at=ends_at, appointment_id=visit.id)
        db.add(claim)
    db.flush()


def _lead(reference: str, at: datetime) -> models.Lead:
    blank = ("name", "phone", "phone_typed", "service", "practitioner", "location", "contact_preference", "page_url")
    return models.Lead(
        id=new_id(at), reference=reference, received_at=at, updated_at=at, door="desk", email="ana@example.com",
        content=b"", referrer="", **dict.fromkeys(blank, ""),
    )  # fmt: skip
