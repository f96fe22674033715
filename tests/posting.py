"""Posts of the form without a browser or a door: as they are read, what they leave behind, and a visit given up."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import select, text

from booking.database import Database
from booking.domain.fields import sort
from booking.domain.submission import Circumstances, Submission, compose
from booking.models import Appointment
from booking.models.lead import CONTENT, Lead
from booking.operations import appointments
from booking.reception import Receipt
from booking.runtime import Runtime
from tests.visits import Clinic

ADA = {"name": "Ada Reed", "email": "ada@example.com", "message": "My sciatica is back", "service": "short"}

Post = Callable[..., Receipt]


def read(
    fields: dict[str, Any], at: datetime | None = None, *, key: str = "", door: str = "form", **more: Any
) -> Submission:
    asked = fields | {"submission_key": key, "starts_at": at.isoformat() if at else ""} | more
    return compose(sort(asked.items()), region="US", circumstances=Circumstances(door=door))


def counts(database: Database) -> tuple[int, int]:
    """How many leads there are, and how many visits."""
    with database.reading() as db:
        leads, visits = (db.scalars(text(f"select count(*) from {table}")).one() for table in ("lead", "appointment"))
        return leads, visits


def cancel(db: Any, clinic: Clinic, appointment_id: int) -> None:
    row = db.get_one(Appointment, appointment_id)
    visit = appointments.visit_of(clinic.diary.catalog, row)
    appointments.cancel(db, clinic.diary, visit, reason="a relapse", by="visitor", now=clinic.now)


def lead_with(database: Database, runtime: Runtime, reference: str) -> tuple[Lead, dict[str, Any]]:
    with database.reading() as db:
        lead = db.scalars(select(Lead).where(Lead.reference == reference)).one()
        return lead, json.loads(runtime.keyring.open(lead.content, CONTENT, lead.id))
