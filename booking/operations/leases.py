"""Leases: a message is in one worker's hands at a time, until its lease ends or its fate is written down."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, bindparam, exists, or_, select, update
from sqlalchemy.orm import Session

from booking.domain.status import MessageState
from booking.keyring import Keyring
from booking.models.outbox import FACTS, OutboxMessage, Webhook
from booking.operations import outbox
from booking.operations.outbox import WAITS, Message

LEASE = timedelta(minutes=3)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=20), timedelta(hours=1)

messages, webhooks = cast(Table, OutboxMessage.__table__), cast(Table, Webhook.__table__)


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
    given = {"way": channel, "now": now, "lease": now + LEASE, "me": worker, "some": limit}
    statement = _CLAIM if recipient is None else _CLAIM_FOR
    rows = db.connection().execute(statement, given | {"whom": recipient or ""}).all()
    found = [Claimed(*row) for row in rows]
    return sorted(found, key=lambda message: (message.due_at, message.id))


def is_due(db: Session, channel: str, now: datetime, *, recipient: str | None = None) -> bool:
    """Whether a message could be claimed now."""
    due = select(messages.c.id).where(*_due(channel, now), *([] if recipient is None else [_to(recipient)]))
    return db.connection().execute(due.limit(1)).first() is not None


def is_mine(db: Session, worker: str, claimed: Claimed) -> bool:
    """Whether this worker may still send what it claimed: not withdrawn meanwhile, nor claimed by another."""
    return bool(db.scalar(select(exists().where(*_mine(worker, claimed.id)))))


def finish(db: Session, worker: str, message_id: int, state: MessageState, reason: str, now: datetime) -> bool:
    """Write down the fate of a message; False if it is not this worker's any more, and then nothing is changed."""
    done = None if state == MessageState.HELD else now
    values = {"state": state.value, "reason": reason, "done_at": done, "worker": None, "lease_until": None}
    return bool(db.connection().execute(update(messages).where(*_mine(worker, message_id)), values).rowcount)


def put_off(db: Session, worker: str, message_id: int, due_at: datetime, reason: str, *, tried: bool = True) -> bool:
    """Let a message be sent later; False as for `finish`. One that was not even tried has not used up an attempt."""
    values = {"due_at": due_at, "reason": reason, "worker": None, "lease_until": None}
    if not tried:
        values["attempts"] = messages.c.attempts - 1
    return bool(db.connection().execute(update(messages).where(*_mine(worker, message_id)).values(values)).rowcount)


def give_back(db: Session, worker: str, claimed: Sequence[Claimed]) -> None:
    """Let others have what this worker claimed and did not try."""
    ids = [message.id for message in claimed]
    own = (messages.c.id.in_(ids), messages.c.worker == worker, messages.c.state == MessageState.WAITING)
    free = {"worker": None, "lease_until": None, "attempts": messages.c.attempts - 1}
    db.connection().execute(update(messages).where(*own).values(free))


def share_out(db: Session, keyring: Keyring, now: datetime) -> int:
    """Make of each message to programs one for each of them; returns how many events were shared out."""
    found = claim(db, "", "webhook", now, limit=100, recipient="")
    active = db.scalars(select(webhooks.c.id).where(webhooks.c.disabled_at.is_(None)).order_by(webhooks.c.id)).all()
    for event in found:
        facts = event.facts(keyring)
        each = [
            Message(
                event.event, event.audience, "webhook", str(number), (event.name, str(number)), now, facts,
                event.lead_id, event.appointment_id,
            )
            for number in active
        ]  # fmt: skip
        outbox.write(db, keyring, each, event.created_at)
        finish(db, "", event.id, MessageState.SENT, f"shared out to {len(each)}", now)
    return len(found)


def wait_after(attempts: int, chance: float | None = None) -> timedelta:
    """How long a message rests after an attempt: twice as long each time, give or take a half, at most an hour."""
    doubled = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempts - 1, 20))
    return doubled * (0.5 + (random.random() if chance is None else chance))  # noqa: S311  spreads load, guards nothing


def _mine(worker: str, message_id: int) -> tuple[ColumnElement[bool], ...]:
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
