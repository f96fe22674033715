"""Webhooks: the programs that are told of events, their secrets, and how those are replaced."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.domain.errors import WebhookKnown, WebhooksTooMany, WebhookUnknown
from booking.keyring import Keyring
from booking.models.outbox import SECRETS, Webhook

MOST = 20  # each may hold up a thread of the worker
SECRETS_KEPT = 2  # the newest, and the one before it until the next rotation


@dataclass(frozen=True)
class Receiver:
    """A program as it is called: `secrets` has the newest first."""

    id: int
    url: str
    secrets: tuple[str, ...]
    whole: bool


def add(db: Session, keyring: Keyring, url: str, secret: str, now: datetime, *, whole: bool = False) -> Webhook:
    """Tell a program at `url` of events from now on, or again; raises WebhookKnown, WebhooksTooMany."""
    found = {each.url: each for each in listed(db)}
    row = found.get(url) or Webhook(url=url, created_at=now)
    if url in found and row.disabled_at is None:
        raise WebhookKnown
    _check_room(db)
    row.secrets, row.whole = _sealed(keyring, url, [secret]), whole
    row.disabled_at, row.disabled_because = None, ""
    db.add(row)
    db.flush()
    return row


def listed(db: Session) -> list[Webhook]:
    """All of them, the disabled ones too."""
    return list(db.scalars(select(Webhook).order_by(Webhook.id)))


def rotate(db: Session, keyring: Keyring, webhook_id: int, secret: str) -> None:
    """Sign with a new secret, and with the one before it too until the next rotation; raises WebhookUnknown."""
    row = _row(db, webhook_id)
    kept = _opened(keyring, row)[: SECRETS_KEPT - 1]
    row.secrets = _sealed(keyring, row.url, [secret, *kept])
    db.flush()


def enable(db: Session, webhook_id: int) -> None:
    """Tell a program again that was not told any more; raises WebhookUnknown, WebhooksTooMany."""
    row = _row(db, webhook_id)
    if row.disabled_at is not None:
        _check_room(db)
    row.disabled_at, row.disabled_because = None, ""
    db.flush()


def remove(db: Session, webhook_id: int, now: datetime) -> None:
    """Tell a program no more; raises WebhookUnknown. Its past stays readable."""
    row = _row(db, webhook_id)
    row.disabled_at, row.disabled_because = now, "removed"
    db.flush()


def active(db: Session) -> list[str]:
    """The recipients of messages to programs that are told now."""
    return [str(number) for number in db.scalars(select(Webhook.id).where(Webhook.disabled_at.is_(None)))]


def receiver(db: Session, keyring: Keyring, recipient: str) -> Receiver | None:
    """The program that a message is for; None if it is not told any more. Raises Unreadable."""
    row = db.get(Webhook, int(recipient))
    if row is None or row.disabled_at is not None:
        return None
    return Receiver(row.id, row.url, tuple(_opened(keyring, row)), row.whole)


def _check_room(db: Session) -> None:
    if len(active(db)) >= MOST:
        raise WebhooksTooMany


def _row(db: Session, webhook_id: int) -> Webhook:
    row = db.get(Webhook, webhook_id)
    if row is None:
        raise WebhookUnknown
    return row


def _sealed(keyring: Keyring, url: str, secrets: Sequence[str]) -> bytes:
    return keyring.seal("\n".join(secrets), SECRETS, url)


def _opened(keyring: Keyring, row: Webhook) -> list[str]:
    return keyring.open(row.secrets, SECRETS, row.url).split("\n")
