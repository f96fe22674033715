"""Capture: a submission becomes one lead, whatever happens twice; an attempt that cannot be answered is kept too."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, exists, func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from booking.clinic import Clinic
from booking.domain import reference as references
from booking.domain.errors import KeyReused
from booking.domain.screening import VERY_MANY_FROM_ONE_CLIENT, Signals, count_links, screen
from booking.domain.submission import Submission
from booking.keyring import Keyring
from booking.models.idempotency import IdempotencyKey
from booking.models.lead import CONTENT, Consent, Lead, LeadAlias, new_id

SAME_ENQUIRY_WITHIN = timedelta(minutes=10)
RATE_WINDOW = timedelta(minutes=10)
SAME_TEXT_WINDOW = timedelta(days=1)
SHORTEST_TELLING_TEXT = 20

leads = Lead.__table__
names = IdempotencyKey.__table__
aliases = LeadAlias.__table__


@dataclass(frozen=True)
class Captured:
    """What became of a submission: its lead's reference and time, and whether it had been here before."""

    reference: str
    received_at: datetime
    replayed: bool = False
    incomplete: bool = False


@dataclass(frozen=True)
class Desk:
    """What capturing needs besides the database: the clinic's words and the keys."""

    clinic: Clinic
    keyring: Keyring


def capture(
    db: Session, submission: Submission, desk: Desk, *, reference: str, received_at: datetime, now: datetime
) -> Captured:
    """Store a submission as a lead, or find the lead it already is; `reference` is used if it is free.

    Raises KeyReused when a program's key comes back with another content. A submission without a way to
    reach the person is kept as an incomplete lead, which the same person's next post under the same key completes.
    """
    if not submission.acceptable:
        return _keep_attempt(db, submission, desk, reference=reference, received_at=received_at, now=now)
    lead_id = new_id(received_at)
    attempt = _attempt_to_complete(db, submission, desk.keyring)
    if attempt is not None:
        lead_id, reference = attempt.id, attempt.reference
    answer = {"reference": reference, "received_at": received_at.isoformat()}
    earlier = _take_names(db, submission, desk.keyring, lead_id, answer, received_at)
    if earlier is not None:
        return Captured(earlier["reference"], datetime.fromisoformat(earlier["received_at"]), replayed=True)
    values = _values(db, submission, desk, lead_id, received_at=received_at, now=now)
    if attempt is not None:
        db.connection().execute(update(leads).where(leads.c.id == lead_id), values)
    else:
        reference = _insert(db, values, reference, desk.clinic.reference_prefix)
    _record_consents(db, submission, desk.clinic, lead_id, received_at)
    return Captured(reference, received_at)


def recover(
    db: Session, submission: Submission, desk: Desk, *, reference: str, received_at: datetime, now: datetime
) -> Captured:
    """Capture a submission that waited in the spool, whose `reference` somebody already holds.

    Doing it twice does no harm. Where the enquiry had meanwhile arrived another way, its lead answers to both references.
    """
    if knows(db, reference):
        return Captured(reference, received_at, replayed=True)
    captured = capture(db, submission, desk, reference=reference, received_at=received_at, now=now)
    if captured.reference != reference:
        lead_id = db.scalar(select(Lead.id).where(Lead.reference == captured.reference))
        db.add(LeadAlias(reference=reference, lead_id=lead_id))
    return captured


def knows(db: Session, reference: str) -> bool:
    """Whether a lead has this reference, as its own or as an alias."""
    held = exists().where(Lead.reference == reference) | exists().where(LeadAlias.reference == reference)
    return bool(db.scalar(select(literal(True)).where(held)))


def missing(db: Session, handed_out: Sequence[str]) -> list[str]:
    """Those of some references that no lead has."""
    found = set(db.scalars(select(Lead.reference).where(Lead.reference.in_(handed_out))))
    found |= set(db.scalars(select(LeadAlias.reference).where(LeadAlias.reference.in_(handed_out))))
    return [reference for reference in handed_out if reference not in found]


def names_of(submission: Submission, keyring: Keyring) -> list[bytes]:
    """The names under which a post is remembered: by its key, else by person and message; sorted, so that no two posts wait for each other in a ring."""
    content = content_digest(submission, keyring)
    if submission.key and submission.circumstances.door == "api":
        return [keyring.digest("api key", submission.key)]
    if submission.key:
        # On a form one key may reach many people (a cached page): the content is part of the name.
        return [keyring.digest("form key", submission.key, content.hex())]
    ways = {"email": submission.email.casefold(), "phone": submission.phone}
    return sorted(
        keyring.digest(f"same {way}", value, submission.message) for way, value in ways.items() if value
    )


def content_digest(submission: Submission, keyring: Keyring) -> bytes:
    """A digest of what makes two posts the same: the person and the message."""
    s = submission
    return keyring.digest("content", s.name.casefold(), s.email.casefold(), s.phone, s.message)


def _take_names(
    db: Session, submission: Submission, keyring: Keyring, lead_id: int, answer: dict[str, Any], at: datetime
) -> dict[str, Any] | None:
    """Take the post's names for `lead_id`; returns the answer already given where a name is taken by the same post."""
    content, taken = content_digest(submission, keyring), []
    connection = db.connection()
    for name in names_of(submission, keyring):
        row = {"name": name, "content": content, "lead_id": lead_id, "answer": answer, "created_at": at}
        if connection.execute(_INSERT_NAME[connection.dialect.name], row).rowcount:
            taken.append(name)
            continue
        holder = connection.execute(select(names).where(names.c.name == name)).one()
        if submission.key and holder.content != content:
            raise KeyReused
        if not submission.key and abs(at - holder.created_at) > SAME_ENQUIRY_WITHIN:
            connection.execute(update(names).where(names.c.name == name), row)
            taken.append(name)
            continue
        if (
            taken
        ):  # the e-mail is new but the phone is known, or the reverse: all names lead to the lead there is
            found = {"lead_id": holder.lead_id, "answer": holder.answer}
            connection.execute(update(names).where(names.c.name.in_(taken)), found)
        return dict(holder.answer)
    return None


def _attempt_to_complete(db: Session, submission: Submission, keyring: Keyring) -> Row[Any] | None:
    """The incomplete attempt this post completes: same key, and nothing that says it was somebody else."""
    if not submission.key:
        return None
    rows = db.connection().execute(_ATTEMPTS, {"key": _key_digest(submission, keyring)}).all()
    return next((row for row in rows if _may_be_the_same(row, submission)), None)


def _may_be_the_same(attempt: Row[Any], submission: Submission) -> bool:
    same_way = (attempt.email or attempt.phone) and (attempt.email, attempt.phone) == (
        submission.email,
        submission.phone,
    )
    return bool(same_way) or attempt.name in {"", submission.name}


def _keep_attempt(
    db: Session, submission: Submission, desk: Desk, *, reference: str, received_at: datetime, now: datetime
) -> Captured:
    attempt = _attempt_to_complete(db, submission, desk.keyring)
    lead_id = attempt.id if attempt is not None else new_id(received_at)
    values = _values(db, submission, desk, lead_id, received_at=received_at, now=now)
    if attempt is not None:
        db.connection().execute(update(leads).where(leads.c.id == lead_id), values)
        reference = attempt.reference
    else:
        reference = _insert(db, values, reference, desk.clinic.reference_prefix)
    return Captured(reference, received_at, incomplete=True)


def _values(
    db: Session, submission: Submission, desk: Desk, lead_id: int, *, received_at: datetime, now: datetime
) -> dict[str, Any]:
    s, c = submission, submission.circumstances
    text_digest = (
        desk.keyring.digest("text", s.message.casefold()) if len(s.message) >= SHORTEST_TELLING_TEXT else None
    )
    client = bytes.fromhex(c.client) if c.client else None
    signals = _signals(db, s, client, text_digest, received_at)
    verdict = screen(signals)
    private = {"message": s.message, "preferred_times": s.preferred_times, "extras": s.extras}
    return {
        "id": lead_id,
        "received_at": received_at,
        "updated_at": now,
        "status": "new",
        "urgent": False,
        "held": verdict.held,
        "held_reasons": [*verdict.reasons, *s.doubts],
        "signals": vars(signals),
        "incomplete": not s.acceptable,
        "door": c.door,
        "name": s.name,
        "email": s.email,
        "phone": s.phone,
        "phone_typed": s.phone_typed,
        "service": s.service,
        "practitioner": s.practitioner,
        "location": s.location,
        "contact_preference": s.contact_preference,
        "new_patient": s.new_patient,
        "content": desk.keyring.seal(json.dumps(private, ensure_ascii=False), CONTENT, lead_id),
        "page_url": s.page_url,
        "referrer": s.referrer,
        "attribution": s.attribution,
        "client": client,
        "text_digest": text_digest,
        "key_digest": _key_digest(s, desk.keyring) if s.key and not s.acceptable else None,
    }


def _signals(db: Session, s: Submission, client: bytes | None, text: bytes | None, at: datetime) -> Signals:
    counted = {
        "client": client,
        "since": at - RATE_WINDOW,
        "text": text,
        "day": at - SAME_TEXT_WINDOW,
        "email": s.email,
    }
    from_client, same_text = db.connection().execute(_COUNTS, counted).one()
    return Signals(
        honeypot=s.circumstances.honeypot,
        by_get=s.circumstances.by_get,
        origin=s.circumstances.origin,
        seconds=s.circumstances.seconds,
        links_in_name=count_links(s.name),
        links_in_message=count_links(s.message),
        from_client=from_client,
        same_text=same_text,
    )


def _insert(db: Session, values: dict[str, Any], reference: str, prefix: str) -> str:
    """Insert the lead under `reference`, or under a fresh one when chance gave that to somebody else."""
    connection = db.connection()
    insert = _INSERT_LEAD[connection.dialect.name]
    while not connection.execute(insert, values | {"reference": reference}).rowcount:
        reference = references.make(prefix)
        answer = {"reference": reference, "received_at": values["received_at"].isoformat()}
        connection.execute(update(names).where(names.c.lead_id == values["id"]), {"answer": answer})
    return reference


def _record_consents(db: Session, s: Submission, clinic: Clinic, lead_id: int, at: datetime) -> None:
    rows = []
    shown = dict(part.strip().partition(":")[::2] for part in s.consent_version.split(",") if part.strip())
    for purpose in s.consents:
        ours = clinic.consents.get(purpose)
        version = shown.get(purpose, "")
        wording = ours.wording if ours is not None and ours.version == version else ""
        digest = hashlib.sha256(wording.encode()).hexdigest() if wording else ""
        rows.append(
            {"lead_id": lead_id, "purpose": purpose, "given_at": at, "version": version, "wording": wording,
             "wording_sha256": digest, "page_url": s.page_url}
        )  # fmt: skip
    if rows:
        db.connection().execute(Consent.__table__.insert(), rows)


def _key_digest(submission: Submission, keyring: Keyring) -> bytes:
    return keyring.digest("attempt", submission.circumstances.door, submission.key)


def _counts() -> Any:
    # Counted only as far as it matters: a flood must not make each further post slower.
    enough = VERY_MANY_FROM_ONE_CLIENT
    clients = select(leads.c.id).where(
        leads.c.client == bindparam("client", type_=leads.c.client.type),
        leads.c.received_at > bindparam("since", type_=leads.c.received_at.type),
    )
    texts = select(leads.c.id).where(
        leads.c.text_digest == bindparam("text", type_=leads.c.text_digest.type),
        leads.c.received_at > bindparam("day", type_=leads.c.received_at.type),
        leads.c.email != bindparam("email", type_=leads.c.email.type),
    )
    return select(
        select(func.count()).select_from(clients.limit(enough).subquery()).scalar_subquery(),
        select(func.count()).select_from(texts.limit(enough).subquery()).scalar_subquery(),
    )


_COUNTS = _counts()
_ATTEMPTS = (
    select(leads.c.id, leads.c.reference, leads.c.name, leads.c.email, leads.c.phone)
    .where(leads.c.key_digest == bindparam("key", type_=leads.c.key_digest.type), leads.c.incomplete)
    .order_by(leads.c.id)
)
_INSERT_NAME = {
    d: m.insert(names).on_conflict_do_nothing() for d, m in (("postgresql", postgresql), ("sqlite", sqlite))
}
_INSERT_LEAD = {
    d: m.insert(leads).on_conflict_do_nothing(index_elements=["reference"])
    for d, m in (("postgresql", postgresql), ("sqlite", sqlite))
}
