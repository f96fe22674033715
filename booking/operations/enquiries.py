"""Enquiries: one post in one transaction, the lead and the visit it asks for; without the visit the lead stays."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.domain import clock
from booking.domain.clock import NoInstant
from booking.domain.errors import NotOffered, SlotTaken
from booking.domain.offers import Wish
from booking.domain.submission import Submission
from booking.models.lead import Lead
from booking.operations import appointments, holds, idempotency, leads
from booking.operations.appointments import Diary, Visit
from booking.operations.leads import Captured, Desk


@dataclass(frozen=True)
class Outcome:
    """What became of a post: its lead, and its visit, or why there is none.

    `visit` holds what an answer says of it (see `facts`); `kept` says that it is one the lead had before, at another
    time than was asked for now. `taken` is the wish for a time that somebody else has.
    """

    captured: Captured
    visit: dict[str, Any] | None = None
    refusal: NotOffered | None = None
    taken: Wish | None = None
    kept: bool = False

    @property
    def replayed(self) -> bool:
        """Whether everything in the answer was said before."""
        new = self.refusal or self.taken or self.kept
        return self.captured.replayed and self.visit == self.captured.visit and not new


def take_in(
    db: Session, submission: Submission, desk: Desk, *, reference: str, received_at: datetime, now: datetime
) -> Outcome:
    """Capture a submission and book the time it names; raises KeyReused, and nothing else for want of a time."""
    captured = leads.capture(db, submission, desk, reference=reference, received_at=received_at, now=now)
    if captured.incomplete or not submission.asks_for_a_time:
        return Outcome(captured, captured.visit)
    zone = ZoneInfo(desk.clinic.timezone)
    if captured.visit and not _asks_for_another_time(submission, captured.visit, zone):
        return Outcome(captured, captured.visit)
    return _give_time(db, submission, desk, captured, zone, now)


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


def _give_time(
    db: Session, submission: Submission, desk: Desk, captured: Captured, zone: ZoneInfo, now: datetime
) -> Outcome:
    """Book the time a lead asks for, unless it has a visit already."""
    if captured.replayed:  # the same lead tries again, after its time was taken or given back
        captured = replace(captured, lead_id=_lock_lead(db, captured.reference))
    catalog = desk.catalogs.current(db, now.date(), hold_still=True)
    diary = Diary(catalog, desk.keyring, desk.clinic.reference_prefix)
    if captured.replayed and (earlier := appointments.of_lead(db, captured.lead_id)):
        stands = facts(appointments.visit_of(catalog, earlier))
        return Outcome(captured, stands, kept=_asks_for_another_time(submission, stands, zone))
    try:
        wish = _wish(db, diary, submission, zone, now)
    except NotOffered as refusal:
        return Outcome(captured, refusal=refusal)
    try:
        visit = appointments.book(
            db, diary, wish, lead_id=captured.lead_id, now=now, hold_token=submission.hold
        )  # fmt: skip
    except NotOffered as refusal:
        return Outcome(captured, refusal=refusal)
    except SlotTaken:
        return Outcome(captured, taken=wish)
    answer = {"reference": captured.reference, "received_at": captured.received_at.isoformat(), "visit": facts(visit)}
    idempotency.change_answer(db.connection(), captured.lead_id, answer)
    return Outcome(captured, facts(visit))


def _asks_for_another_time(submission: Submission, visit: dict[str, Any], zone: ZoneInfo) -> bool:
    if not submission.starts_at:
        return False
    try:
        asked = clock.read_instant(submission.starts_at, zone)
    except NoInstant:
        return True
    return asked != datetime.fromisoformat(visit["starts_at"])


def _lock_lead(db: Session, reference: str) -> int:
    """The id of a lead; its attempts come one after the other, and what they will write is locked before any claim."""
    query = select(Lead.id).where(Lead.reference == reference)
    # The desk may be booking for this lead: the foreign key of its visit must not wait for us.
    lead_id = db.scalars(query.with_for_update(key_share=True)).one()
    its_names = select(idempotency.names.c.name).where(idempotency.names.c.lead_id == lead_id)
    db.connection().execute(its_names.order_by(idempotency.names.c.name).with_for_update())
    return lead_id


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
