"""The digest: what the desk is told every morning, also when nothing came."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from booking.domain import clock, spoken
from booking.domain.status import LeadStatus, MessageState
from booking.keyring import Keyring
from booking.models.lead import WATCH, Lead
from booking.models.outbox import OutboxMessage
from booking.operations import outbox, vitals, witness
from booking.operations.outbox import Message

EVENT = "digest"
AT = time(7)
MOST_NAMED = 20
OVERDUE_AFTER, LOOKED_BACK = timedelta(days=1), timedelta(days=30)


def due_since(zone: ZoneInfo, now: datetime) -> datetime | None:
    """When today's digest was due; None if it is not yet."""
    today = clock.day_of(now, zone)
    at = clock.instant_at(f"{today}T{AT:%H:%M}", zone, now)
    return at if at <= now else None


def write(db: Session, keyring: Keyring, desk: Sequence[str], zone: ZoneInfo, now: datetime, *, undrained: int) -> None:
    """Write today's digest for each address of the desk; of one that is there already, nothing."""
    today = clock.day_of(now, zone)
    facts = _facts(db, zone, now) | {"undrained": undrained}
    found = [Message(EVENT, "desk", "mail", each, (str(today),), now, facts) for each in desk]
    outbox.write(db, keyring, found, now)


def _facts(db: Session, zone: ZoneInfo, now: datetime) -> dict[str, Any]:
    """Numbers and references, and nobody's name."""
    real = Lead.door != WATCH
    yesterday = clock.instant_at(f"{clock.day_after(clock.day_of(now, zone), -1)}T{AT:%H:%M}", zone, now)
    last = vitals.last(db, EVENT)
    since = last.beat_at if last is not None else yesterday  # what no digest told of yet
    came = (real, Lead.received_at > yesterday, Lead.received_at <= now)
    unanswered = (
        real,
        Lead.status == LeadStatus.NEW,
        ~Lead.held,
        ~Lead.incomplete,
        Lead.received_at > now - LOOKED_BACK,
    )
    overdue = (*unanswered, Lead.received_at <= now - OVERDUE_AFTER)
    signs = vitals.read(db, zone, now)
    return {
        "day": spoken.day(now.astimezone(zone)),
        "new": _count(db, *came, ~Lead.incomplete),
        "urgent": _count(db, *unanswered, Lead.urgent),
        "held": _count(db, real, Lead.held, Lead.status == LeadStatus.NEW, Lead.received_at > now - LOOKED_BACK),
        "overdue": _count(db, *overdue),
        "incomplete": _count(db, *came, Lead.incomplete),
        "waiting": [
            {
                "reference": lead.reference,
                "received": spoken.long_time(lead.received_at.astimezone(zone)),
                "urgent": lead.urgent,
                "overdue": lead.received_at <= now - OVERDUE_AFTER,
            }
            for lead in db.scalars(
                select(Lead).where(*unanswered).order_by(Lead.urgent.desc(), Lead.received_at).limit(MOST_NAMED)
            )
        ],
        "failed": list(_failed(db, since)),
        "held_messages": sum(n for (_, state), n in signs.messages.items() if state == MessageState.HELD),
        "form": vitals.form_in_words(signs, zone),
        "faults": [
            *_seen_by_webflow_alone(db, since),
            *(sentence for _, sentence in vitals.faults(signs, zone, now)),
        ],
    }


def _count(db: Session, *conditions: Any) -> int:
    return db.scalar(select(func.count()).select_from(Lead).where(*conditions)) or 0


def _seen_by_webflow_alone(db: Session, since: datetime) -> list[str]:
    found = ", ".join(witness.imported_since(db, since))
    return (
        [f"Webflow saw enquiries that did not reach us by themselves, and they were taken in: {found}."]
        if found
        else []
    )


def _failed(db: Session, since: datetime) -> list[dict[str, str]]:
    """The messages to visitors that never arrived, so that somebody calls."""
    failed = select(Lead.reference, OutboxMessage.reason).join(Lead, Lead.id == OutboxMessage.lead_id)
    those = (
        OutboxMessage.state == MessageState.DEAD,
        OutboxMessage.done_at > since,
        OutboxMessage.audience == "visitor",
    )
    rows = db.execute(failed.where(*those).order_by(OutboxMessage.id).limit(MOST_NAMED))
    return [{"reference": reference, "why": why} for reference, why in rows]
