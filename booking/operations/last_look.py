"""The last look: right before a message is sent, whether it is still true and wanted, and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from booking.domain import quiet_hours
from booking.domain.catalog import Catalog
from booking.domain.status import AppointmentStatus, MessageState
from booking.keyring import Keyring
from booking.models.appointment import Appointment
from booking.models.lead import Lead
from booking.models.outbox import OutboxMessage
from booking.operations import appointments, fates, leases, outbox, reminders
from booking.operations.appointments import Visit
from booking.operations.leases import Claimed
from booking.operations.notifications import BOOKED, CANCELLED, LEAD_CAPTURED, MOVED, SEEN_SINCE, VISIT_EVENTS

CONFIRMATIONS_A_DAY = 3
A_DAY = timedelta(days=1)
# From then on what changes of a visit, or of the visits of one address, is told an hour after the last such message.
MOVES_A_DAY, LETTERS_A_DAY = 5, 20
UNHURRIED, AT_THE_LATEST = timedelta(hours=1), timedelta(hours=2)
ENOUGH_TODAY = f"{CONFIRMATIONS_A_DAY} confirmations went to this address within a day: look before you release it."
STOPPED = "This number asked for no more texts."
CHANGED = "The visit is no more as this says."
KNOWN = "The visitor knows it already."
OVER = "The visit is over."
TOO_LATE = "The service was down when it was due, and now it helps no more."
AT_NIGHT = "Texts are sent between 8 and 20 o'clock."
ONLY_AT_NIGHT = "It could have helped only at night, when no texts are sent."
MANY_CHANGES = "There was much to tell of visits today: now it is told once an hour, as it stands then."
TOO_LATE_THEN = "No text could be sent before the visit."


@dataclass(frozen=True)
class Ready:
    """It can be sent: the facts, and the visit as it stands now, if it is about one that stands or was cancelled."""

    facts: dict[str, Any]
    lead: Lead | None = None
    visit: Visit | None = None
    to_tell: str = field(default="")  # what the visitor will have been told of the visit


@dataclass(frozen=True)
class Done:
    """It must not be sent: its fate, and why; if it is dead, somebody has to call instead."""

    state: MessageState
    reason: str


@dataclass(frozen=True)
class Later:
    """Not now."""

    due_at: datetime
    reason: str


def look(
    db: Session, catalog: Catalog, keyring: Keyring, worker: str, claimed: Claimed, zone: ZoneInfo, now: datetime
) -> Ready | Done | Later | None:
    """What to do with a claimed message; None if it is not this worker's any more. Raises Unreadable.

    `zone` is the clock of a person of whom nothing more is known.
    """
    if not leases.is_mine(db, worker, claimed):
        return None
    if claimed.useful_until is not None and now > claimed.useful_until:
        return Done(MessageState.MISSED, TOO_LATE)
    lead = db.get(Lead, claimed.lead_id) if claimed.lead_id is not None else None
    row = db.get(Appointment, claimed.appointment_id) if claimed.appointment_id is not None else None
    facts = claimed.facts(keyring)
    if row is not None and claimed.audience == "visitor" and (fate := _fate(claimed, row, facts, now)):
        return fate
    if refusal := _refusal(db, keyring, claimed, row, zone, now):
        return _or_call(refusal, claimed, row, lead)
    visit = appointments.visit_of(catalog, row) if row is not None else None
    if visit is not None and claimed.event == LEAD_CAPTURED and (not _stands(visit.row) or visit.row.starts_at <= now):
        visit = None  # that it was cancelled is told by another message, and of what is over nobody is told
    return Ready(facts, lead, visit, visit.row.to_tell if visit else "")


def _fate(claimed: Claimed, row: Appointment, facts: dict[str, Any], now: datetime) -> Done | None:
    """Why the visitor need not, or must not, be told this of a visit any more."""
    if not _is_true(claimed, row, facts):
        return Done(MessageState.WITHDRAWN, CHANGED)
    if claimed.event in VISIT_EVENTS and (row.told or {}).get(claimed.channel) == row.to_tell:
        return Done(MessageState.WITHDRAWN, KNOWN)
    is_over = (claimed.event in VISIT_EVENTS and row.ends_at < now) or (
        claimed.event in reminders.EVENTS and row.starts_at <= now  # one that somebody released
    )
    return Done(MessageState.MISSED, OVER) if is_over else None


def _is_true(claimed: Claimed, row: Appointment, facts: dict[str, Any]) -> bool:
    stands = _stands(row)
    if claimed.event in reminders.EVENTS:
        return stands and row.starts_at.isoformat() == facts["starts_at"]
    if claimed.event == CANCELLED:
        return row.status == AppointmentStatus.CANCELLED
    return stands or claimed.event not in (BOOKED, MOVED)


def _refusal(
    db: Session, keyring: Keyring, claimed: Claimed, row: Appointment | None, zone: ZoneInfo, now: datetime
) -> Done | Later | None:
    """Why this person should not be written to, or not now."""
    is_text = claimed.channel == "sms"
    if is_text and fates.has_stopped(db, keyring, claimed.recipient):
        return Done(MessageState.WITHDRAWN, STOPPED)
    if not claimed.released and (enough := _enough(db, keyring, claimed, row, now)):
        return enough
    here = ZoneInfo(row.timezone) if row else zone
    morning = quiet_hours.next_time(quiet_hours.clocks(claimed.recipient, here), now) if is_text else now
    if morning == now:
        return None
    if claimed.useful_until is not None and morning > claimed.useful_until:
        return Done(MessageState.MISSED, ONLY_AT_NIGHT)
    return Later(morning, AT_NIGHT)


def _enough(
    db: Session, keyring: Keyring, claimed: Claimed, row: Appointment | None, now: datetime
) -> Done | Later | None:
    """Why this would be too much: whoever has an address can post a form, and move a visit, again and again."""
    if (claimed.audience, claimed.event) == ("visitor", LEAD_CAPTURED):
        if _sent_lately(db, keyring, claimed, [LEAD_CAPTURED], now)[0] >= CONFIRMATIONS_A_DAY:
            return Done(MessageState.HELD, ENOUGH_TODAY)
        return None
    if claimed.audience not in {"visitor", "desk"} or claimed.event not in VISIT_EVENTS or row is None:
        return None
    limits: list[tuple[Sequence[str], int, int | None]] = []
    if claimed.event == MOVED:
        limits.append(((MOVED,), MOVES_A_DAY, row.id))
    if claimed.audience == "visitor":
        limits.append((VISIT_EVENTS, LETTERS_A_DAY, None))
    for events, most, of_visit in limits:
        number, last = _sent_lately(db, keyring, claimed, events, now, of_visit=of_visit)
        # Shortly before the visit nothing waits.
        if number >= most and last is not None and now < last + UNHURRIED <= row.starts_at - AT_THE_LATEST:
            return Later(last + UNHURRIED, MANY_CHANGES)
    return None


def _sent_lately(
    db: Session,
    keyring: Keyring,
    claimed: Claimed,
    events: Sequence[str],
    now: datetime,
    *,
    of_visit: int | None = None,
) -> tuple[int, datetime | None]:
    """How many messages of these events the recipient got within a day, and when the last."""
    sent = [
        OutboxMessage.mailbox == outbox.mailbox(keyring, claimed.channel, claimed.recipient),
        OutboxMessage.done_at > now - A_DAY,
        OutboxMessage.channel == claimed.channel,
        OutboxMessage.event.in_(events),
        OutboxMessage.audience == claimed.audience,
        OutboxMessage.state == outbox.WAS_SENT,
    ]
    if of_visit is not None:
        sent.append(OutboxMessage.appointment_id == of_visit)
    number, last = db.execute(select(func.count(), func.max(OutboxMessage.done_at)).where(*sent)).one()
    return number, last


def _or_call(refusal: Done | Later, claimed: Claimed, row: Appointment | None, lead: Lead | None) -> Done | Later:
    """What to do instead where a visitor would not hear in time what the desk did to their visit: it has to call."""
    if claimed.audience != "visitor" or claimed.event not in VISIT_EVENTS or row is None:
        return refusal
    if isinstance(refusal, Later):
        if refusal.due_at < row.starts_at:
            return refusal
        refusal = Done(MessageState.MISSED, TOO_LATE_THEN)
    seen = (row.told or {}).get(claimed.channel) == SEEN_SINCE or (lead is not None and lead.email)
    return refusal if seen else Done(MessageState.DEAD, refusal.reason)


def _stands(row: Appointment) -> bool:
    status = AppointmentStatus(row.status)
    return status.is_ahead or status in {AppointmentStatus.ARRIVED, AppointmentStatus.FULFILLED}
