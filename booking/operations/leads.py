"""Capture: a submission becomes one lead, whatever happens twice; an attempt that cannot be answered is kept too."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, Table, and_, bindparam, exists, func, literal, literal_column, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from booking.clinic import Clinic
from booking.domain import reference as references
from booking.domain.screening import VERY_MANY_FROM_ONE_CLIENT, Signals, count_links, screen
from booking.domain.submission import Submission
from booking.keyring import Keyring
from booking.models.lead import CONTENT, WATCH, Lead, LeadAlias, new_id
from booking.operations import amendments, consents, idempotency, outbox, urgency
from booking.operations.catalog import CatalogCache
from booking.operations.notifications import Telling

RATE_WINDOW = timedelta(minutes=10)
SAME_TEXT_WINDOW = timedelta(days=1)
SHORTEST_TELLING_TEXT = 20

leads = cast(Table, Lead.__table__)


@dataclass(frozen=True)
class Captured:
    """What became of a submission: its lead's reference and time, and whether it had been here before.

    `alike` is as for `idempotency.Earlier`; `lead_id` is not known of an attempt. `turned_urgent` if it was here
    before, and only now says what makes it urgent; `programs` if any want to be told.
    """

    reference: str
    received_at: datetime
    replayed: bool = False
    incomplete: bool = False
    alike: bool = True
    lead_id: int = 0
    urgent: bool = False
    held: bool = False
    turned_urgent: bool = False
    programs: bool = False


@dataclass(frozen=True)
class Desk:
    """What capturing needs besides the database: the clinic's words, the keys, the catalogue at hand, who hears."""

    clinic: Clinic
    keyring: Keyring
    catalogs: CatalogCache
    telling: Telling = field(default_factory=Telling)


def capture(
    db: Session,
    submission: Submission,
    desk: Desk,
    *,
    reference: str,
    received_at: datetime,
    now: datetime,
    lead_id: int | None = None,
) -> Captured:
    """Store a submission as a lead, or find the lead it already is; `reference` is used if it is free.

    `lead_id` is for who stores many of one instant, and sees to it that no two get the same by chance.
    Raises KeyReused when a program's key comes back with another content. A submission without a way to
    reach the person is kept as an incomplete lead, which the same person's next post under the same key completes.
    """
    connection = db.connection()
    around = _look_around(connection, submission, desk.keyring, received_at)
    attempt = _attempt_to_complete(connection, submission, desk.keyring) if around.attempts else None
    lead_id = attempt.id if attempt else lead_id or new_id(received_at)
    reference = attempt.reference if attempt else reference
    if submission.acceptable:
        answer = {"reference": reference, "received_at": received_at.isoformat()}
        earlier = idempotency.take_names(connection, submission, desk.keyring, lead_id, answer, received_at)
        if earlier is not None:
            e = earlier
            urgent = amendments.amend(connection, submission, desk.clinic, desk.keyring, e.lead_id, now)
            return Captured(
                e.reference, e.received_at, replayed=True, alike=e.alike, lead_id=e.lead_id, turned_urgent=urgent
            )
    values = _values(submission, desk, lead_id, around, received_at=received_at, now=now)
    if attempt:
        connection.execute(update(leads).where(leads.c.id == lead_id), values)
    else:
        reference = _insert(connection, values, reference, desk.clinic.reference_prefix)
    if not submission.acceptable:
        return Captured(reference, received_at, incomplete=True)
    consents.record(connection, submission, desk.clinic, lead_id, received_at)
    return Captured(
        reference, received_at, lead_id=lead_id, urgent=values["urgent"], held=values["held"], programs=around.programs
    )


def knows(db: Session, reference: str, *, complete: bool = False) -> bool:
    """Whether a lead has this reference, as its own or as an alias; `complete`, only one that can be answered."""
    own = exists().where(Lead.reference == reference, *([~Lead.incomplete] if complete else []))
    held = own | exists().where(LeadAlias.reference == reference)
    return bool(db.scalar(select(literal(True)).where(held)))


def forget_tests(db: Session, before: datetime) -> None:
    """Delete the enquiries by which the form was tested in the week before an instant."""
    # A week, because an index knows the days and none the doors; should one stay, nobody sees it.
    lately = (leads.c.received_at < before, leads.c.received_at > before - timedelta(days=7))
    db.connection().execute(leads.delete().where(leads.c.door == WATCH, *lately))


def missing(db: Session, handed_out: Sequence[str]) -> list[str]:
    """Those of some references that no lead has."""
    found = set(db.scalars(select(Lead.reference).where(Lead.reference.in_(handed_out))))
    found |= set(db.scalars(select(LeadAlias.reference).where(LeadAlias.reference.in_(handed_out))))
    return [reference for reference in handed_out if reference not in found]


def _look_around(connection: Connection, submission: Submission, keyring: Keyring, at: datetime) -> Any:
    """What other posts tell about one: recent ones of the client and of the text, attempts under its key."""
    looked_for = {
        "client": bytes.fromhex(submission.circumstances.client) or None,
        "since": at - RATE_WINDOW,
        "text": _text_digest(submission, keyring),
        "day": at - SAME_TEXT_WINDOW,
        "email": submission.email,
        "phone": submission.phone,
        "key": _key_digest(submission, keyring),
    }
    return connection.execute(_LOOK_AROUND, looked_for).one()


def _attempt_to_complete(connection: Connection, submission: Submission, keyring: Keyring) -> Any:
    """The incomplete attempt this post completes: same key, and nothing that says it was somebody else."""
    rows = connection.execute(_ATTEMPTS, {"key": _key_digest(submission, keyring)}).all()
    return next((row for row in rows if _is_the_same(row, submission, keyring)), None)


def _is_the_same(attempt: Any, submission: Submission, keyring: Keyring) -> bool:
    """Whether an attempt is the same person's: one key may have reached many people on a cached page."""
    if attempt.email or attempt.phone:
        return (attempt.email, attempt.phone) == (submission.email, submission.phone)
    if attempt.name:
        return bool(attempt.name == submission.name)
    message = json.loads(keyring.open(attempt.content, CONTENT, attempt.id))["message"]
    return message in {"", submission.message}


def _values(
    submission: Submission, desk: Desk, lead_id: int, around: Any, *, received_at: datetime, now: datetime
) -> dict[str, Any]:
    s, c = submission, submission.circumstances
    signals = _signals(s, around)
    verdict = screen(signals)
    private = {"message": s.message, "preferred_times": s.preferred_times, "extras": s.extras}
    return {
        "id": lead_id,
        "received_at": received_at,
        "updated_at": now,
        "status": "new",
        "urgent": urgency.assess(s, desk.clinic).urgent,
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
        "client": bytes.fromhex(c.client) or None,
        "text_digest": _text_digest(s, desk.keyring),
        # An attempt is completed by its key, and a line of a file known by it when the file comes again.
        "key_digest": None if s.acceptable and c.door != "import" else _key_digest(s, desk.keyring),
    }


def _signals(s: Submission, around: Any) -> Signals:
    return Signals(
        honeypot=s.circumstances.honeypot,
        by_get=s.circumstances.by_get,
        origin=s.circumstances.origin,
        seconds=s.circumstances.seconds,
        links_in_name=count_links(s.name),
        links_in_message=count_links(s.message),
        from_client=around.from_client,
        same_text=around.same_text,
    )


def _insert(connection: Connection, values: dict[str, Any], reference: str, prefix: str) -> str:
    """Insert the lead under `reference`, or under a fresh one when chance gave that to somebody else."""
    insert = _INSERT_LEAD[connection.dialect.name]
    while not connection.execute(insert, values | {"reference": reference}).rowcount:
        reference = references.make(prefix)
        answer = {"reference": reference, "received_at": values["received_at"].isoformat()}
        idempotency.change_answer(connection, values["id"], answer)
    return reference


def _key_digest(submission: Submission, keyring: Keyring) -> bytes | None:
    return keyring.digest("attempt", submission.circumstances.door, submission.key) if submission.key else None


def _text_digest(submission: Submission, keyring: Keyring) -> bytes | None:
    text = submission.message.casefold()
    return keyring.digest("text", text) if len(text) >= SHORTEST_TELLING_TEXT else None


def _given(name: str, column: Any) -> Any:
    return bindparam(name, type_=column.type)


def _few(columns: Sequence[Any], *conditions: Any) -> Any:
    # Looked at only as far as it matters: a flood must not make each further post slower.
    return select(*columns).where(*conditions).limit(literal_column(str(VERY_MANY_FROM_ONE_CLIENT))).subquery()


def _look_around_statement() -> Any:
    recent = leads.c.received_at > _given("since", leads.c.received_at)
    today = leads.c.received_at > _given("day", leads.c.received_at)
    from_client = _few([leads.c.client], leads.c.client == _given("client", leads.c.client), recent)
    same_text = _few([leads.c.email, leads.c.phone], leads.c.text_digest == _given("text", leads.c.text_digest), today)
    others = and_(
        or_(same_text.c.email != "", same_text.c.phone != ""),
        or_(same_text.c.email == "", same_text.c.email != _given("email", leads.c.email)),
        or_(same_text.c.phone == "", same_text.c.phone != _given("phone", leads.c.phone)),
    )
    return select(
        select(func.count()).select_from(from_client).scalar_subquery().label("from_client"),
        select(func.count()).select_from(same_text).where(others).scalar_subquery().label("same_text"),
        select(func.count()).select_from(_few([leads.c.id], *_UNDER_KEY)).scalar_subquery().label("attempts"),
        outbox.LISTENING.label("programs"),
    )


_UNDER_KEY = (leads.c.key_digest == _given("key", leads.c.key_digest), leads.c.incomplete)
_LOOK_AROUND = _look_around_statement()
_ATTEMPTS = (
    select(leads.c.id, leads.c.reference, leads.c.name, leads.c.email, leads.c.phone, leads.c.content)
    .where(*_UNDER_KEY)
    .order_by(leads.c.id)
    .with_for_update()  # who comes second finds it completed, and becomes a lead of their own
)
_INSERT_LEAD = {
    dialect: module.insert(leads)
    .on_conflict_do_nothing(index_elements=["reference"])
    .execution_options(preserve_rowcount=True)
    for dialect, module in (("postgresql", postgresql), ("sqlite", sqlite))
}
