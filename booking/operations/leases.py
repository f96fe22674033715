"""Leases: a message is in one worker's hands at a time, until its lease ends or its fate is written down."""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, bindparam, exists, or_, select, update
from sqlalchemy.orm import Session

from booking.domain.status import MessageState
from booking.keyring import Keyring, Unreadable
from booking.models.appointment import Appointment
from booking.models.lead import Lead
from booking.models.outbox import FACTS, OutboxMessage, Webhook
from booking.operations import outbox
from booking.operations.outbox import WAITS, Message

LEASE = timedelta(minutes=3)
SHARER, SHARED_AT_ONCE = "sharer", 5
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=20), timedelta(hours=1)

messages, webhooks = cast(Table, OutboxMessage.__table__), cast(Table, Webhook.__table__)
visits, leads = cast(Table, Appointment.__table__), cast(Table, Lead.__table__)


@dataclass(frozen=True)
class Claimed:
    """A message that one worker has, until its lease ends; its facts are still sealed."""

    id: int
    dedupe_key: bytes
    event: str
    audience: str
    channel: str
    recipient: str
    lead_id: int | None
    appointment_id: int | None
    sealed: bytes
    created_at: datetime
    due_at: datetime
    useful_until: datetime | None
    attempts: int
    released: bool
    lease_until: datetime

    @property
    def name(self) -> str:
        """What the message is called outside, the same at every attempt."""
        return self.dedupe_key.hex()

    def facts(self, keyring: Keyring) -> dict[str, Any]:
        """What the recipient is told; raises Unreadable."""
        found: dict[str, Any] = json.loads(keyring.open(self.sealed, FACTS, self.name))
        return found


def claim(
    db: Session, worker: str, channel: str, now: datetime, *, limit: int, recipient: str | None = None
) -> list[Claimed]:
    """Let `worker` have the next messages that are due on a channel, until their lease ends.

    What a lead's recipient is to be told comes in order: a message waits for those before it.
    """
    if recipient is None:
        return _claimed(db, _CLAIM, worker, channel, now, some=limit)
    return _claimed(db, _CLAIM_FOR, worker, channel, now, some=limit, whom=recipient)


def is_due(db: Session, channel: str, now: datetime, *, recipient: str | None = None) -> bool:
    """Whether a message could be claimed now."""
    due = select(messages.c.id).where(*_due(channel, now), *([] if recipient is None else [_to(recipient)]))
    return db.connection().execute(due.limit(1)).first() is not None


def is_mine(db: Session, worker: str, claimed: Claimed) -> bool:
    """Whether this worker may still send what it claimed: not withdrawn meanwhile, nor claimed by another."""
    return db.connection().execute(_IS_MINE, {"whose": worker, "which": claimed.id}).first() is not None


def finish(db: Session, worker: str, message_id: int, state: MessageState, reason: str, now: datetime) -> bool:
    """Write down the fate of a message; False if it is not this worker's any more, and then nothing is changed."""
    done = None if state == MessageState.HELD else now
    fate = {"whose": worker, "which": message_id, "fate": state.value, "why": reason, "done": done}
    return bool(db.connection().execute(_FINISH, fate).rowcount)


def put_off(db: Session, worker: str, message_id: int, due_at: datetime, reason: str, *, tried: bool = True) -> bool:
    """Let a message be sent later; False as for `finish`. One that was not even tried has not used up an attempt."""
    values = {"due_at": due_at, "reason": reason, "worker": None, "lease_until": None}
    if not tried:
        values["attempts"] = messages.c.attempts - 1
    return bool(db.connection().execute(update(messages).where(*_mine(worker, message_id)).values(values)).rowcount)


def give_back(db: Session, worker: str, claimed: Sequence[Claimed]) -> None:
    """Let others have what this worker claimed and did not try."""
    if not claimed:
        return
    ids = [message.id for message in claimed]
    own = (messages.c.id.in_(ids), messages.c.worker == worker, messages.c.state == MessageState.WAITING)
    free = {"worker": None, "lease_until": None, "attempts": messages.c.attempts - 1}
    db.connection().execute(update(messages).where(*own).values(free))


def share_out(db: Session, keyring: Keyring, now: datetime) -> int:
    """Make of some messages to programs one for each of them; returns how many events were shared out.

    In a few statements, however many: whoever posts a form meanwhile waits for this.
    """
    found = _claim_within_reach(db, now)
    active = db.scalars(select(webhooks.c.id).where(webhooks.c.disabled_at.is_(None)).order_by(webhooks.c.id)).all()
    shares = {event.id: _shares(keyring, event, active, now) for event in found}
    outbox.write(db, keyring, [share for some in shares.values() for share in some or ()], now)
    shared = [event_id for event_id, some in shares.items() if some is not None]
    done = {"state": MessageState.SENT.value, "reason": f"shared out to {len(active)}", "done_at": now,
            "worker": None, "lease_until": None}  # fmt: skip
    db.connection().execute(update(messages).where(messages.c.id.in_(shared)), done)
    return len(found)


def wait_after(attempts: int, chance: float | None = None) -> timedelta:
    """How long a message rests after an attempt: twice as long each time, give or take a half, at most an hour."""
    doubled = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempts - 1, 20))
    return doubled * (0.5 + (random.random() if chance is None else chance))  # noqa: S311  spreads load, guards nothing


def _claim_within_reach(db: Session, now: datetime) -> list[Claimed]:
    """Claim the next events whose visit and enquiry nobody is changing; these stay as they are until the commit.

    Whoever changes a visit locks its row and then its messages. A share is a new row that names the visit: to wait for
    that with the event in hand would be a deadlock, so the event is shared out a moment later.
    """
    connection = db.connection()
    due = select(messages.c.id, messages.c.appointment_id, messages.c.lead_id).where(*_due("webhook", now), _to(""))
    found = connection.execute(due.order_by(messages.c.due_at, messages.c.id).limit(SHARED_AT_ONCE)).all()
    for table, column in ((visits, 1), (leads, 2)):
        free = {None, *_lock_free(db, table, {row[column] for row in found} - {None})}
        found = [row for row in found if row[column] in free]
    these = {"these": [row.id for row in found], "some": SHARED_AT_ONCE}
    return _claimed(db, _CLAIM_THESE, SHARER, "webhook", now, **these) if found else []


def _lock_free(db: Session, table: Table, ids: set[int]) -> Iterable[int]:
    free = select(table.c.id).where(table.c.id.in_(ids)).order_by(table.c.id)
    return db.connection().scalars(free.with_for_update(read=True, key_share=True, skip_locked=True)) if ids else ()


def _claimed(db: Session, statement: Any, worker: str, channel: str, now: datetime, **more: Any) -> list[Claimed]:
    given = {"way": channel, "now": now, "lease": now + LEASE, "me": worker} | more
    found = [Claimed(*row) for row in db.connection().execute(statement, given)]
    return sorted(found, key=lambda message: (message.due_at, message.id))


def _shares(keyring: Keyring, event: Claimed, active: Sequence[int], now: datetime) -> list[Message] | None:
    """A message to each program; None if it cannot be read for now, and then the others must not wait for it."""
    try:
        facts = event.facts(keyring)
    except Unreadable:
        return None
    return [
        Message(
            event=event.event,
            audience=event.audience,
            channel="webhook",
            recipient=str(number),
            key=(event.name, str(number)),
            due_at=now,
            facts=facts,
            lead_id=event.lead_id,
            appointment_id=event.appointment_id,
            created_at=event.created_at,
        )
        for number in active
    ]


def _mine(worker: Any, message_id: Any) -> tuple[ColumnElement[bool], ...]:
    return (
        messages.c.id == message_id,
        messages.c.worker == worker,
        messages.c.state == MessageState.WAITING.value,
    )


def _to(recipient: Any) -> ColumnElement[bool]:
    found: ColumnElement[bool] = messages.c.recipient == recipient
    return found


def _due(channel: Any, now: Any) -> tuple[ColumnElement[bool], ...]:
    earlier = messages.alias("earlier")
    in_hand = or_(earlier.c.due_at <= now, earlier.c.attempts > 0)
    before = exists().where(
        earlier.c.lead_id == messages.c.lead_id,
        earlier.c.channel == messages.c.channel,
        earlier.c.recipient == messages.c.recipient,
        earlier.c.id < messages.c.id,
        earlier.c.state == WAITS,
        in_hand,
    )
    return (
        messages.c.state == WAITS,
        messages.c.channel == channel,
        messages.c.due_at <= now,
        or_(messages.c.lease_until.is_(None), messages.c.lease_until < now),
        ~before,
    )


def _claim_statement(*more: ColumnElement[bool]) -> Any:
    """One statement for both engines: SQLite drops the lock clause, and has one writer at a time instead."""
    now = bindparam("now", type_=messages.c.due_at.type)
    due = (
        select(messages.c.id)
        .where(*_due(bindparam("way"), now), *more)
        .order_by(messages.c.due_at, messages.c.id)
        .limit(bindparam("some", type_=messages.c.attempts.type))
        .with_for_update(skip_locked=True, of=messages)
        .cte("due")  # it is run once: as a plain subquery PostgreSQL may run it again, and lock more than `some`
    )
    columns = [
        messages.c[name if name != "sealed" else "facts"] for name in Claimed.__dataclass_fields__
    ]  # fmt: skip
    return (
        update(messages)
        .where(messages.c.id.in_(select(due.c.id)))
        .values(
            worker=bindparam("me"),
            lease_until=bindparam("lease", type_=messages.c.due_at.type),
            attempts=messages.c.attempts + 1,
        )
        .returning(*columns)
    )


_CLAIM = _claim_statement()
_CLAIM_FOR = _claim_statement(_to(bindparam("whom")))
_CLAIM_THESE = _claim_statement(messages.c.id.in_(bindparam("these", expanding=True)))
_MINE = _mine(bindparam("whose"), bindparam("which"))
_IS_MINE = select(messages.c.id).where(*_MINE)
_FINISH = (
    update(messages)
    .where(*_MINE)
    .values(
        state=bindparam("fate"),
        reason=bindparam("why"),
        done_at=bindparam("done", type_=messages.c.done_at.type),
        worker=None,
        lease_until=None,
    )
)
