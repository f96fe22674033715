"""Notifications: who hears of which event, by what way, and which facts they are told."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, or_, select, update
from sqlalchemy.orm import Session

from booking.domain import contact
from booking.domain.status import AppointmentStatus, MessageState
from booking.keyring import Keyring
from booking.models.appointment import Appointment
from booking.models.lead import Consent, Lead
from booking.models.outbox import OutboxMessage
from booking.operations import outbox, reminders
from booking.operations.outbox import Message

LEAD_CAPTURED, LEAD_URGENT = "lead_captured", "lead_urgent"
BOOKED, MOVED, CANCELLED = "appointment_booked", "appointment_moved", "appointment_cancelled"
VISIT_EVENTS = (BOOKED, MOVED, CANCELLED)
GRACE = timedelta(minutes=3)  # within which the desk may change its mind, and one message tells how it ended
HELD_BACK = "The enquiry is held: the confirmation is sent when somebody releases it."
SUPERSEDED = "Something newer is to be told of this visit."
SEEN_SINCE = "what the page says"  # no longer what the last letter or text said


@dataclass(frozen=True)
class Telling:
    """Who at the clinic hears of things, and whether texts can be sent at all: to numbers of `region` alone."""

    desk: tuple[str, ...] = ()
    texts: bool = False
    region: str = "US"


@dataclass(frozen=True)
class Person:
    """Whom an enquiry is from, as far as telling them goes.

    `may_text` is their recorded consent to be answered, in a wording that is known: texts are named there.

    `programs` is whether any program wants to hear of it.
    """

    lead_id: int
    reference: str
    received_at: datetime
    email: str
    phone: str
    prefers_text: bool = False
    may_text: bool = False
    urgent: bool = False
    held: bool = False
    programs: bool = True

    def ways(self, telling: Telling) -> list[tuple[str, str]]:
        """How they can be told, as channel and recipient."""
        found = [("mail", self.email)] if self.email else []
        wanted = telling.texts and self.may_text and (self.prefers_text or not self.email)
        if wanted and contact.is_textable(self.phone, telling.region):
            found.append(("sms", self.phone))
        return found


def person_of(db: Session, lead_id: int) -> Person:
    """The person behind a lead, as the lead stands now."""
    given = (Consent.lead_id == Lead.id, Consent.purpose == "reply", Consent.wording != "")
    consent = exists().where(*given).label("may_text")
    found = db.execute(select(Lead, consent).where(Lead.id == lead_id)).one()
    lead: Lead = found.Lead
    return Person(
        lead_id=lead_id,
        reference=lead.reference,
        received_at=lead.received_at,
        email=lead.email,
        phone=lead.phone,
        prefers_text=lead.contact_preference == "text",
        may_text=found.may_text,
        urgent=lead.urgent,
        held=lead.held,
        programs=outbox.programs_listen(db),
    )


def lead_captured(
    db: Session, keyring: Keyring, telling: Telling, person: Person, now: datetime, visit: Appointment | None = None
) -> None:
    """Tell of a new enquiry, and of the visit that it has booked at once.

    Of one that is held the visitor hears when it is released, and the desk with its digest; but if it is urgent the
    desk hears now, and of a visit both do. Programs hear of each.
    """
    quiet = person.held and visit is None
    key = ("lead", str(person.lead_id))
    found = _to_visitor(LEAD_CAPTURED, telling, person, key, now, visit)
    if quiet:
        found = [replace(each, state=MessageState.HELD, reason=HELD_BACK) for each in found]
    if not quiet or person.urgent:
        found += _to_desk(LEAD_CAPTURED, telling, person, key, now, visit)
    found += _to_programs(LEAD_CAPTURED, person, key, now, visit)
    if visit is not None:
        found += _to_programs(BOOKED, person, _key_of(visit), now, visit)
        found += reminders.plan(visit, person.ways(telling), now)
    outbox.write(db, keyring, found, now)


def lead_urgent(db: Session, keyring: Keyring, telling: Telling, person: Person, now: datetime) -> None:
    """Tell the desk that an enquiry it has heard of should not wait after all."""
    outbox.write(db, keyring, _to_desk(LEAD_URGENT, telling, person, ("lead", str(person.lead_id)), now, None), now)


def form_tested(db: Session, keyring: Keyring, lead_id: int, now: datetime) -> None:
    """Let a test of the form go the way of a message, and disturb nobody."""
    outbox.write(db, keyring, [Message("form_tested", "watch", "watch", "", (str(lead_id),), now, {}, lead_id)], now)


def was_told(db: Session, reference: str) -> bool:
    """Whether somebody was told of an enquiry, as far as the messages say."""
    of_lead = select(OutboxMessage.id).join(Lead, Lead.id == OutboxMessage.lead_id).where(Lead.reference == reference)
    return db.scalar(of_lead.where(OutboxMessage.state == MessageState.SENT).limit(1)) is not None


def visit_changed(
    db: Session, keyring: Keyring, telling: Telling, visit: Appointment, now: datetime, *, by_desk: bool
) -> None:
    """Tell how a visit stands after it was booked for an earlier enquiry, moved, cancelled or restored.

    What was to be told of it before is withdrawn: one message tells the last state. The reminders follow the visit.
    Who changed it is not told that they did, but for the visitor, who wants to see it in writing. A visit that the desk
    books and cancels within the grace is told to nobody.
    """
    person = person_of(db, visit.lead_id)
    event, due_at = _event_of(visit), now + (GRACE if by_desk else timedelta())
    outbox.withdraw(db, visit.id, [*VISIT_EVENTS, *reminders.EVENTS], SUPERSEDED, now)
    key = _key_of(visit)
    found = _to_visitor(event, telling, person, key, due_at, visit)
    if not by_desk:
        found += _to_desk(event, telling, person, key, now, visit)
        # They saw it done: should the desk undo it before the letter goes, they must hear of that.
        ways = visit.told or [channel for channel, _ in person.ways(telling)]
        seen = dict.fromkeys(ways, SEEN_SINCE) or None
        db.execute(update(Appointment).where(Appointment.id == visit.id).values(told=seen))
    elif event == CANCELLED and now <= visit.created_at + GRACE and not _was_begun(db, visit):
        found = []
    found += _to_programs(event, person, key, due_at, visit)
    if AppointmentStatus(visit.status).is_ahead:
        found += reminders.plan(visit, person.ways(telling), now)
        # What a visit had that stands again as its visitor knows it, it keeps, however soon that is due.
        found += outbox.withdrawn(db, keyring, reminders.late(visit, person.ways(telling), now))
    outbox.write(db, keyring, found, now)


def reminders_follow(
    db: Session, keyring: Keyring, telling: Telling, visit: Appointment, before: str, now: datetime
) -> None:
    """Let the reminders follow a visit whose instant has changed, but not what was agreed with the visitor.

    `before` is what was to be told of it: who was told that knows what is to be told now.
    """
    told = (visit.told or {}).items()
    visit.told = {channel: visit.to_tell if line == before else line for channel, line in told} or None
    outbox.withdraw(db, visit.id, reminders.EVENTS, SUPERSEDED, now)
    outbox.write(db, keyring, reminders.plan(visit, person_of(db, visit.lead_id).ways(telling), now), now)


def _event_of(visit: Appointment) -> str:
    if visit.status == AppointmentStatus.CANCELLED:
        return CANCELLED
    return MOVED if visit.told else BOOKED


def _was_begun(db: Session, visit: Appointment) -> bool:
    """Whether the visitor booked it themselves, or a message of it is on its way to them."""
    of_visit = select(OutboxMessage.id).where(
        OutboxMessage.appointment_id == visit.id,
        OutboxMessage.audience == "visitor",
        or_(OutboxMessage.event == LEAD_CAPTURED, OutboxMessage.attempts > 0),
    )
    return bool(visit.told) or db.scalar(of_visit.limit(1)) is not None


def _key_of(visit: Appointment) -> tuple[str, ...]:
    return ("visit", str(visit.id), str(visit.sequence))


def _to_visitor(
    event: str, telling: Telling, person: Person, key: tuple[str, ...], due_at: datetime, visit: Appointment | None
) -> list[Message]:
    return _messages(event, "visitor", person.ways(telling), person, key, due_at, visit)


def _to_desk(
    event: str, telling: Telling, person: Person, key: tuple[str, ...], due_at: datetime, visit: Appointment | None
) -> list[Message]:
    return _messages(event, "desk", [("mail", each) for each in telling.desk], person, key, due_at, visit)


def _to_programs(
    event: str, person: Person, key: tuple[str, ...], due_at: datetime, visit: Appointment | None
) -> list[Message]:
    ways = [("webhook", "")] if person.programs else []
    return _messages(event, "program", ways, person, key, due_at, visit)


def _messages(
    event: str,
    audience: str,
    ways: Iterable[tuple[str, str]],
    person: Person,
    key: tuple[str, ...],
    due_at: datetime,
    visit: Appointment | None,
) -> list[Message]:
    facts: dict[str, Any] = {
        "reference": person.reference,
        "received_at": person.received_at.isoformat(),
        "urgent": person.urgent,
    }
    if visit is not None:
        facts["appointment"] = visit.reference
    visit_id = visit.id if visit is not None else None
    return [
        Message(event, audience, channel, recipient, (audience, *key), due_at, facts, person.lead_id, visit_id)
        for channel, recipient in ways
    ]
