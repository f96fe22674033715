"""The outbox: messages are written with their cause, withdrawn with it, and looked up; `leases` hands them out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, Text, and_, bindparam, exists, func, null, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from booking.domain import contact
from booking.domain.status import MessageState
from booking.keyring import Keyring
from booking.models.lead import Lead
from booking.models.outbox import FACTS, OutboxMessage, Webhook

WITHDRAWN = MessageState.WITHDRAWN.value

messages, webhooks = cast(Table, OutboxMessage.__table__), cast(Table, Webhook.__table__)


@dataclass(frozen=True)
class Message:
    """A message to be written; `key` is what makes it one, whoever writes it again. Its facts are plain JSON."""

    event: str
    audience: str
    channel: str
    recipient: str
    key: tuple[str, ...]
    due_at: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)
    lead_id: int | None = None
    appointment_id: int | None = None
    useful_until: datetime | None = None
    state: MessageState = MessageState.WAITING
    reason: str = ""
    created_at: datetime | None = None  # by default when it is written


def write(db: Session, keyring: Keyring, found: Sequence[Message], now: datetime) -> None:
    """Write messages, all at once; one that is there already stays, and one that was withdrawn waits again."""
    if found:
        connection = db.connection()
        rows = [_row(keyring, each, now) for each in found]
        once = {row["dedupe_key"]: row for row in rows}  # an address may be set twice; PostgreSQL would refuse it all
        connection.execute(_WRITE[connection.dialect.name], list(once.values()))


def mailbox(keyring: Keyring, channel: str, recipient: str) -> bytes:
    """A digest of where messages to a recipient arrive, the same for every way to write the address."""
    return keyring.digest("mailbox", channel, contact.mailbox(recipient))


def programs_listen(db: Session) -> bool:
    """Whether any program wants to be told of events."""
    return db.connection().execute(_LISTENING).first() is not None


def withdraw(db: Session, appointment_id: int, events: Sequence[str], reason: str, now: datetime) -> None:
    """Withdraw what is still to be told of a visit, also what a worker has in its hands."""
    open_states = (MessageState.WAITING.value, MessageState.HELD.value)
    found = (messages.c.appointment_id == appointment_id, messages.c.event.in_(events))
    values = {"state": MessageState.WITHDRAWN.value, "reason": reason, "done_at": now, "worker": None}
    db.connection().execute(update(messages).where(*found, messages.c.state.in_(open_states)), values)


def withdrawn(db: Session, keyring: Keyring, found: Sequence[Message]) -> list[Message]:
    """Those of some messages that were written before and have been withdrawn."""
    keys = {_key(keyring, each): each for each in found}
    there = select(messages.c.dedupe_key).where(messages.c.dedupe_key.in_(keys), messages.c.state == WITHDRAWN)
    return [keys[bytes(key)] for key in db.connection().scalars(there)] if keys else []


def release(db: Session, now: datetime, *, lead_id: int | None = None, message_id: int | None = None) -> int:
    """Let held or dead messages be sent after all; returns how many."""
    which = messages.c.lead_id == lead_id if lead_id is not None else messages.c.id == message_id
    states = (MessageState.HELD.value, MessageState.DEAD.value)
    values = {"state": MessageState.WAITING.value, "due_at": now, "created_at": now, "done_at": None, "attempts": 0,
              "released": True, "reason": "", "worker": None, "lease_until": None, "useful_until": None}  # fmt: skip
    return db.connection().execute(update(messages).where(which, messages.c.state.in_(states)), values).rowcount


def listed(db: Session, states: Sequence[str], limit: int) -> list[tuple[OutboxMessage, str]]:
    """The newest messages in some states, each with the reference of its enquiry."""
    query = select(OutboxMessage, func.coalesce(Lead.reference, "")).outerjoin(Lead, Lead.id == OutboxMessage.lead_id)
    rows = db.execute(query.where(OutboxMessage.state.in_(states)).order_by(OutboxMessage.id.desc()).limit(limit))
    return [(message, reference) for message, reference in rows]


def counts(db: Session, since: datetime) -> dict[tuple[str, str], int]:
    """How many messages there are by channel and state; of those that are done, those since an instant."""
    recent = or_(messages.c.done_at.is_(None), messages.c.done_at >= since)
    grouped = select(messages.c.channel, messages.c.state, func.count()).where(recent)
    rows = db.connection().execute(grouped.group_by(messages.c.channel, messages.c.state))
    return {(channel, state): number for channel, state, number in rows}


def oldest_due(db: Session, now: datetime) -> datetime | None:
    """Since when the message that has waited longest could have been sent; None if none waits.

    What waits for a program that is told no more may wait for ever.
    """
    disabled = exists().where(
        messages.c.channel == "webhook",
        messages.c.recipient == webhooks.c.id.cast(Text),
        webhooks.c.disabled_at.is_not(None),
    )
    unheard = and_(messages.c.channel == "webhook", messages.c.recipient == "", ~LISTENING)
    waits = (messages.c.state == WAITS, messages.c.due_at <= now, ~disabled, ~unheard)
    return cast(datetime | None, db.scalar(select(func.min(messages.c.due_at)).where(*waits)))


def failing(db: Session, attempts: int, mailboxes: int) -> tuple[int, str]:
    """How many letters and texts wait after so many attempts because nothing is taken, and why the newest of them does.

    One full mailbox is no such sign: on its channel nothing else is taken either, or as many `mailboxes` have the same.
    """
    tried = (messages.c.state == WAITS, messages.c.channel.in_(["mail", "sms"]), messages.c.attempts >= attempts)
    columns = (messages.c.channel, messages.c.mailbox, messages.c.created_at, messages.c.reason)
    rows = db.connection().execute(select(*columns).where(*tried).order_by(messages.c.id.desc())).all()
    found = []
    for channel in {row.channel for row in rows}:
        own = [row for row in rows if row.channel == channel]
        since = min(row.created_at for row in own)
        lately = (messages.c.state == WAS_SENT, messages.c.channel == channel, messages.c.done_at > since)
        nothing_else = db.scalar(select(messages.c.id).where(*lately).limit(1)) is None
        if nothing_else or len({row.mailbox for row in own}) >= mailboxes:
            found += own
    return len(found), (found[0].reason or "see the log") if found else ""


def _row(keyring: Keyring, message: Message, now: datetime) -> dict[str, Any]:
    key = _key(keyring, message)
    return {
        "dedupe_key": key,
        "event": message.event,
        "audience": message.audience,
        "channel": message.channel,
        "recipient": message.recipient,
        "mailbox": mailbox(keyring, message.channel, message.recipient),
        "lead_id": message.lead_id,
        "appointment_id": message.appointment_id,
        "facts": keyring.seal(json.dumps(message.facts), FACTS, key.hex()),
        "state": message.state.value,
        "reason": message.reason,
        "created_at": message.created_at or now,
        "due_at": message.due_at,
        "useful_until": message.useful_until,
        "attempts": 0,
    }


def _key(keyring: Keyring, message: Message) -> bytes:
    return keyring.digest("outbox", message.event, message.channel, message.recipient, *message.key)


def _write_statement(module: Any) -> Any:
    insert = module.insert(messages)
    anew = ("facts", "state", "reason", "created_at", "due_at", "useful_until", "attempts")
    # Without RETURNING: psycopg then sends all rows in one pipeline, of a statement so short that it is kept prepared.
    return insert.on_conflict_do_update(
        index_elements=["dedupe_key"],
        set_={name: insert.excluded[name] for name in anew}
        | dict.fromkeys(("worker", "lease_until", "done_at"), null()),
        where=messages.c.state == WITHDRAWN,
    )


LISTENING = exists().where(webhooks.c.disabled_at.is_(None))
_LISTENING = select(webhooks.c.id).where(webhooks.c.disabled_at.is_(None)).limit(1)
# Written into the statement, so that the partial index is seen.
WAITS: Any = bindparam("waits", MessageState.WAITING.value, literal_execute=True)
WAS_SENT: Any = bindparam("was_sent", MessageState.SENT.value, literal_execute=True)
_WRITE = {name: _write_statement(module) for name, module in (("postgresql", postgresql), ("sqlite", sqlite))}
