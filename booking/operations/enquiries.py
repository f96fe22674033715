"""Enquiries: one post in one transaction, the lead and the visit it asks for; without the visit the lead stays."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.domain import clock
from booking.domain.catalog import Catalog
from booking.domain.clock import NoInstant
from booking.domain.errors import KeyReused, NotOffered, SlotTaken
from booking.domain.offers import Wish
from booking.domain.status import AppointmentStatus
from booking.domain.submission import Submission
from booking.models.appointment import Appointment
from booking.models.lead import WATCH, Lead, LeadAlias
from booking.operations import appointments, consents, holds, leads, notifications
from booking.operations.appointments import Diary, Visit
from booking.operations.leads import Captured, Desk
from booking.operations.notifications import Person


@dataclass(frozen=True)
class Outcome:
    """What became of a post: its lead, and its visit, or why there is none.

    `visit` holds what an answer says of it (see `facts`): it is new if it was `booked` now; `kept` if the lead had it
    before and something else was asked for now; `cancelled` if it was given up since. `taken` is the wish for a time
    that somebody else has.
    """

    captured: Captured
    visit: dict[str, Any] | None = None
    booked: Visit | None = None
    kept: bool = False
    cancelled: bool = False
    refusal: NotOffered | None = None
    taken: Wish | None = None

    @property
    def replayed(self) -> bool:
        """Whether all of this was done before."""
        return self.captured.replayed and not (self.booked or self.kept or self.refusal or self.taken)


def take_in(
    db: Session, submission: Submission, desk: Desk, *, reference: str, received_at: datetime, now: datetime
) -> Outcome:
    """Capture a submission and book the time it names; raises KeyReused, and nothing else for want of a time.

    The same post again is told of the visit as it stands now. Where there is none any more, another time is booked.
    """
    captured = leads.capture(db, submission, desk, reference=reference, received_at=received_at, now=now)
    outcome = _with_time(db, submission, desk, captured, now)
    _tell(db, submission, desk, captured, now, outcome.booked.row if outcome.booked else None)
    return outcome


def recover(
    db: Session, submission: Submission, desk: Desk, *, reference: str, received_at: datetime, now: datetime
) -> Captured:
    """Capture a submission that waited in the spool, whose `reference` somebody already holds.

    Doing it twice does no harm. Where the enquiry had meanwhile come another way, its lead answers to both references.
    """
    holder = db.scalar(select(Lead.received_at).where(Lead.reference == reference))
    # Chance may have given the same reference to somebody else: the instant tells them apart.
    if holder == received_at or (holder is None and leads.knows(db, reference)):
        return Captured(reference, received_at, replayed=True)
    try:
        captured = leads.capture(db, submission, desk, reference=reference, received_at=received_at, now=now)
    except KeyReused:  # it was said to be received, so it is a lead, if not under that key
        keyless = replace(submission, key="")
        captured = leads.capture(db, keyless, desk, reference=reference, received_at=received_at, now=now)
    _tell(db, submission, desk, captured, now)
    if captured.reference != reference and holder is None:
        lead_id = db.scalar(select(Lead.id).where(Lead.reference == captured.reference))
        db.add(LeadAlias(reference=reference, lead_id=lead_id))
    return captured


def facts(visit: Visit) -> dict[str, Any]:
    """What an answer says of a visit, as plain JSON values; `id` and `generation` give its manage link again."""
    return {
        "id": visit.row.id,
        "generation": visit.row.generation,
        "reference": visit.row.reference,
        "starts_at": visit.row.starts_at.isoformat(),
        "ends_at": visit.row.ends_at.isoformat(),
        "timezone": visit.row.timezone,
        "service": visit.service.slug,
        "practitioner": visit.practitioner.slug,
        "location": visit.location.slug,
    }


def _with_time(db: Session, submission: Submission, desk: Desk, captured: Captured, now: datetime) -> Outcome:
    wants_time = submission.asks_for_a_time
    if captured.incomplete or not captured.alike or not (captured.replayed or wants_time):
        return Outcome(captured)
    if captured.replayed and wants_time:
        _lock_lead(db, captured.lead_id)
    catalog = desk.catalogs.current(db, now.date(), hold_still=wants_time)
    zone = ZoneInfo(desk.clinic.timezone)
    if captured.replayed and (there := _there_already(db, catalog, submission, captured, zone, now)):
        return there
    if not wants_time:
        return Outcome(captured)
    # Of a visit booked with a new enquiry one letter tells, and not two.
    diary = Diary(catalog, desk.keyring, desk.clinic.reference_prefix, desk.telling if captured.replayed else None)
    try:
        wish = _wish(db, diary, submission, zone, now)
        visit = appointments.book(db, diary, wish, lead_id=captured.lead_id, now=now, hold_token=submission.hold)
    except NotOffered as refusal:
        return Outcome(captured, refusal=refusal)
    except SlotTaken:
        return Outcome(captured, taken=wish)
    return Outcome(captured, facts(visit), booked=visit)


def _there_already(
    db: Session, catalog: Catalog, submission: Submission, captured: Captured, zone: ZoneInfo, now: datetime
) -> Outcome | None:
    """What a post that comes again is told of the visit there is, or of the very one that was cancelled."""
    found = appointments.of_lead(db, catalog, captured.lead_id, now)
    for visit in (each for each in found if AppointmentStatus(each.row.status).takes_time):
        held = holds.find(db, submission.hold, now) if submission.hold else None
        if held is not None:  # for something else, or it would have become the visit
            holds.release(db, held)
        another = held is not None or _asks_for_another(submission, visit, catalog, zone)
        return Outcome(captured, facts(visit), kept=another)
    for visit in found if submission.asks_for_a_time else ():
        if not _asks_for_another(submission, visit, catalog, zone):
            return Outcome(captured, facts(visit), cancelled=True)
    return None


def _asks_for_another(submission: Submission, visit: Visit, catalog: Catalog, zone: ZoneInfo) -> bool:
    """Whether a post names another time, service, practitioner or place than a visit has."""
    s = submission
    named = [
        (s.service, catalog.service(s.service), visit.service),
        (s.practitioner, catalog.practitioner(s.practitioner), visit.practitioner),
        (s.location, catalog.location(s.location), visit.location),
    ]
    if any(word and meant != has for word, meant, has in named):
        return True
    try:
        return bool(s.starts_at) and clock.read_instant(s.starts_at, zone) != visit.row.starts_at
    except NoInstant:
        return True


def _tell(
    db: Session, submission: Submission, desk: Desk, captured: Captured, now: datetime, visit: Appointment | None = None
) -> None:
    """Let those who must hear of it hear of a new enquiry, with the visit it has booked, or of one turned urgent."""
    if captured.turned_urgent:
        person = notifications.person_of(db, captured.lead_id)
        notifications.lead_urgent(db, desk.keyring, desk.telling, person, now)
    if captured.replayed or captured.incomplete:
        return
    if submission.circumstances.door == WATCH:
        notifications.form_tested(db, desk.keyring, captured.lead_id, now)
        return
    person = Person(
        lead_id=captured.lead_id,
        reference=captured.reference,
        received_at=captured.received_at,
        email=submission.email,
        phone=submission.phone,
        prefers_text=submission.contact_preference == "text",
        may_text=bool(consents.wording_shown(submission, desk.clinic, "reply")),
        urgent=captured.urgent,
        held=captured.held,
        programs=captured.programs,
    )
    notifications.lead_captured(db, desk.keyring, desk.telling, person, now, visit)


def _lock_lead(db: Session, lead_id: int) -> None:
    """Let the attempts of a lead come one after the other; what they will write is locked before any claim."""
    # The desk may be booking for this lead: the foreign key of its visit must not wait for us.
    db.execute(select(Lead.id).where(Lead.id == lead_id).with_for_update(key_share=True))


def _wish(db: Session, diary: Diary, submission: Submission, zone: ZoneInfo, now: datetime) -> Wish:
    s = submission
    held = holds.find(db, s.hold, now) if s.hold else None
    if held is not None and (not s.starts_at or not s.service):
        of_hold = appointments.parts_of(diary.catalog, held)
        s = replace(
            s,
            starts_at=s.starts_at or held.starts_at.isoformat(),
            service=s.service or of_hold.service.slug,
            practitioner=s.practitioner or of_hold.practitioner.slug,
            location=s.location or of_hold.location.slug,
        )
    if not s.starts_at:
        raise NotOffered("hold", "The time is no longer kept for you: please choose one again.")
    where = diary.catalog.location(s.location)
    try:
        starts_at = clock.read_instant(s.starts_at, where.zone if where else zone)
    except NoInstant as refusal:
        raise NotOffered("starts_at", str(refusal)) from refusal
    return Wish(s.service, starts_at, s.practitioner, s.location, s.new_patient)
