"""Amendments: what the same person says when they post an enquiry again is added to the lead there is."""

import json
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, select, update

from booking.clinic import Clinic
from booking.domain.submission import Submission
from booking.keyring import Keyring
from booking.models.lead import CONTENT, Lead
from booking.operations import consents, urgency

WISHES = ("service", "practitioner", "location", "contact_preference", "new_patient")  # the newest one counts
WAYS = ("email", "phone")
LARGEST = 256 * 1024  # characters of a lead's private content: four posts of the largest size, and no flood of them

leads = cast(Table, Lead.__table__)


def amend(
    connection: Connection, submission: Submission, clinic: Clinic, keyring: Keyring, lead_id: int, now: datetime
) -> bool:
    """Add what a repeated post says anew: signs that make it urgent, another wish, another way to answer, consents.

    Nothing said before is lost but a wish that is replaced; a post that is all the same changes nothing. What would
    make the lead larger than it may be is not added. Returns whether the lead has become urgent by it.
    """
    lead = connection.execute(_LOCKED, {"lead": lead_id}).one_or_none()
    if lead is None:
        return False
    changes = _changes(lead, submission, clinic)
    private = json.loads(keyring.open(lead.content, CONTENT, lead_id))
    amended = _amended(private, lead, submission)
    content = json.dumps(amended, ensure_ascii=False)
    if amended != private and len(content) <= LARGEST:
        changes["content"] = keyring.seal(content, CONTENT, lead_id)
    if changes:
        connection.execute(update(leads).where(leads.c.id == lead_id), changes | {"updated_at": now})
    consents.record(connection, submission, clinic, lead_id, now)
    return "urgent" in changes


def _changes(lead: Any, submission: Submission, clinic: Clinic) -> dict[str, Any]:
    given = {name: getattr(submission, name) for name in WISHES}
    changes = {name: value for name, value in given.items() if value not in ("", None) and value != getattr(lead, name)}
    if urgency.assess(submission, clinic).urgent and not lead.urgent:
        changes["urgent"] = True
    return changes


def _amended(private: dict[str, Any], lead: Any, submission: Submission) -> dict[str, Any]:
    extras = private["extras"] | submission.extras
    signs = [*private["extras"].get("symptoms", ()), *submission.symptoms]
    if signs:
        extras["symptoms"] = list(dict.fromkeys(signs))
    for way in WAYS:  # beside the first one: it is for the desk to judge whether this is the same person
        if getattr(submission, way) not in ("", getattr(lead, way)):
            extras[f"{way}, sent again"] = getattr(submission, way)
    return private | {"extras": extras, "preferred_times": submission.preferred_times or private["preferred_times"]}


_LOCKED = (
    select(leads)
    .where(leads.c.id == bindparam("lead", type_=leads.c.id.type))
    .with_for_update(key_share=True)  # the desk may be booking for this lead: its visit's foreign key must not wait
)
