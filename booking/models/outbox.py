"""The outbox: messages to be delivered, the programs that are told, the numbers that said STOP, and our own pulse."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from booking.database import Base
from booking.domain.status import MessageState

FACTS = "outbox_message.facts"  # the place name under which the facts of a message are sealed, for its dedupe key
SECRETS = "webhook.secrets"  # likewise the secrets of a webhook, newest first and one to a line, for its url
STATES = ", ".join(f"'{state.value}'" for state in MessageState)
WAITING, SENT = text("state = 'waiting'"), text("state = 'sent'")


class OutboxMessage(Base):
    """A message to be delivered, written in the transaction that caused it, with its fate.

    One event makes a message for each recipient on each channel; `audience` is the visitor, the desk or a program.
    A message to programs has no recipient until it is shared out. `dedupe_key` is one for what is told to whom, for
    ever: the Message-ID and the webhook id are made of it. Whoever delivers it has it under `worker` until
    `lease_until`. `mailbox` is a keyed digest of where it arrives, the same however the address is written. After
    `useful_until` it is not worth sending. `reason` is for the desk; `released` says that a person let it be sent
    after all.
    """

    __tablename__ = "outbox_message"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    dedupe_key: Mapped[bytes] = mapped_column(LargeBinary(16), unique=True)
    event: Mapped[str] = mapped_column(String(40))
    audience: Mapped[str] = mapped_column(String(10))
    channel: Mapped[str] = mapped_column(String(10))
    recipient: Mapped[str] = mapped_column(Text)
    mailbox: Mapped[bytes] = mapped_column(LargeBinary(16))
    lead_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("lead.id", ondelete="CASCADE"), index=True)
    appointment_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("appointment.id", ondelete="CASCADE"), index=True
    )
    facts: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    useful_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    released: Mapped[bool] = mapped_column(default=False, server_default=false())
    worker: Mapped[str | None] = mapped_column(String(40))
    lease_until: Mapped[datetime | None]
    done_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(f"state IN ({STATES})", name="state"),
        CheckConstraint("(state IN ('waiting', 'held')) = (done_at IS NULL)", name="done"),
        Index("ix_outbox_message_waiting", "channel", "due_at", "id", sqlite_where=WAITING, postgresql_where=WAITING),
        Index("ix_outbox_message_sent", "mailbox", "done_at", sqlite_where=SENT, postgresql_where=SENT),
    )


class Webhook(Base):
    """A program that is told of events; `whole` if it is told names and answers too, and not the reference alone."""

    __tablename__ = "webhook"

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(Text, unique=True)
    secrets: Mapped[bytes] = mapped_column(LargeBinary)
    whole: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    disabled_because: Mapped[str] = mapped_column(Text, default="")


class SmsStop(Base):
    """A telephone number (as a keyed digest) that asked for no more texts."""

    __tablename__ = "sms_stop"

    number: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    stopped_at: Mapped[datetime]


class Pulse(Base):
    """When something that goes on by itself was last done, and what it found: the worker, the digest, the watch."""

    __tablename__ = "pulse"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    beat_at: Mapped[datetime]
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
