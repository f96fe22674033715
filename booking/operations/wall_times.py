"""Wall times: when the law of a zone changes, visits keep the time that was agreed, and their instants follow."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.domain import clock
from booking.domain.catalog import Catalog
from booking.domain.errors import SlotTaken
from booking.domain.offers import Place
from booking.domain.status import AppointmentStatus
from booking.models.appointment import Appointment
from booking.models.audit import AuditEntry
from booking.operations import appointments, audit, placing
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
    return [drift for _, drift in _drifted(db, now)]


def keep(db: Session, catalog: Catalog, now: datetime) -> tuple[list[Drift], list[Drift]]:
    """Move the instants of such visits; returns those that were moved, and those whose time is now taken.

    In the order in which each makes room for the next.
    """
    moved, stuck = [], []
    found = _drifted(db, now)
    later = [pair for pair in reversed(found) if pair[1].means > pair[1].stands]
    for row, drift in [*(pair for pair in found if pair[1].means < pair[1].stands), *later]:
        visit = appointments.visit_of(catalog, row)
        place, owner = Place(visit.service, visit.location, (visit.practitioner,)), Owner("appointment", row.id)
        try:
            placing.place(db, catalog, [place], drift.means, owner, now, moving=row.starts_at)
        except SlotTaken:
            stuck.append(drift)
            continue
        row.starts_at, row.ends_at = drift.means, drift.means + (row.ends_at - row.starts_at)
        row.sequence, row.updated_at = row.sequence + 1, now
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


def _drifted(db: Session, now: datetime) -> Sequence[tuple[Appointment, Drift]]:
    rows = (
        select(Appointment)
        .where(Appointment.status.in_(AHEAD), Appointment.starts_at > now)
        .order_by(Appointment.starts_at)
    )
    found = []
    for row in db.scalars(rows):
        means = clock.instant_at(row.wall_start, ZoneInfo(row.timezone), row.starts_at)
        if means != row.starts_at:
            drift = Drift(row.reference, row.wall_start, row.timezone, row.starts_at, means)
            found.append((row, drift))
    return found
