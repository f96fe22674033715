"""Wall times: when the law of a zone changes, visits keep the time that was agreed, and their instants follow."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.domain import clock
from booking.domain.errors import SlotTaken
from booking.domain.offers import Place
from booking.domain.status import AppointmentStatus
from booking.models.appointment import Appointment
from booking.models.audit import AuditEntry
from booking.operations import appointments, audit, notifications, placing
from booking.operations.appointments import Diary
from booking.operations.claims import Owner

KEPT = "wall_time_kept"
AHEAD = [status.value for status in AppointmentStatus if status.is_ahead]


@dataclass(frozen=True)
class Drift:
    """A visit whose stored instant is no longer what its wall time means: it should start at `means`."""

    reference: str
    wall_start: str
    timezone: str
    stands: datetime
    means: datetime

    def __str__(self) -> str:
        return f"{self.reference}: agreed for {self.wall_start} {self.timezone}, which is {self.means:%H:%M} UTC by now"


def drifted(db: Session, now: datetime) -> list[Drift]:
    """The visits ahead whose zone's law has changed since they were booked."""
    columns = (Appointment.reference, Appointment.wall_start, Appointment.timezone, Appointment.starts_at)
    ahead = select(*columns).where(Appointment.status.in_(AHEAD), Appointment.starts_at > now)
    found = []
    for reference, wall_start, timezone, stands in db.execute(ahead.order_by(Appointment.starts_at)):
        zone = ZoneInfo(timezone)
        if clock.wall_of(stands, zone) != wall_start:  # of most, that is all that must be asked
            found.append(Drift(reference, wall_start, timezone, stands, clock.instant_at(wall_start, zone, stands)))
    return [drift for drift in found if drift.means != drift.stands]


def keep(db: Session, diary: Diary, now: datetime) -> tuple[list[Drift], list[Drift]]:
    """Move the instants of such visits; returns those that were moved, and those whose time is now taken.

    In the order in which each makes room for the next. The reminders follow; nobody is told of it, for what was agreed
    stands.
    """
    moved, stuck = [], []
    rows = _hold(db, drifted(db, now))
    found = [drift for drift in drifted(db, now) if drift.reference in rows]
    later = [drift for drift in reversed(found) if drift.means > drift.stands]
    for drift in [*(drift for drift in found if drift.means < drift.stands), *later]:
        row = rows[drift.reference]
        visit = appointments.visit_of(diary.catalog, row)
        agreed = replace(visit.service, duration_minutes=(row.ends_at - row.starts_at) // timedelta(minutes=1))
        place, owner = Place(agreed, visit.location, (visit.practitioner,)), Owner("appointment", row.id)
        try:
            # As if it moved within its day: for the day that was agreed it counts already, however full that is.
            placing.place(db, diary.catalog, [place], drift.means, owner, now, moving=drift.means)
        except SlotTaken:
            stuck.append(drift)
            continue
        before = row.to_tell
        row.starts_at, row.ends_at = drift.means, drift.means + (row.ends_at - row.starts_at)
        row.sequence, row.updated_at = row.sequence + 1, now
        if diary.telling is not None:
            notifications.reminders_follow(db, diary.keyring, diary.telling, row, before, now)
        moved.append(drift)
    db.flush()
    for drift in moved:
        told = {"reference": drift.reference, "wall_start": drift.wall_start, "timezone": drift.timezone}
        audit.record(db, actor="clock", action=KEPT, details=told, now=now)
    return moved, stuck


def kept_since(db: Session, since: datetime) -> Iterator[dict[str, Any]]:
    """The visits that were moved since an instant, as the audit tells."""
    rows = select(AuditEntry.details).where(AuditEntry.action == KEPT, AuditEntry.at >= since).order_by(AuditEntry.id)
    yield from db.scalars(rows)


def _hold(db: Session, found: list[Drift]) -> dict[str, Appointment]:
    """The visits, each as it stands once nobody else can change it until the commit."""
    named = Appointment.reference.in_([drift.reference for drift in found])
    query = select(Appointment).where(named).order_by(Appointment.id).with_for_update()
    return {row.reference: row for row in db.scalars(query.execution_options(populate_existing=True))}
