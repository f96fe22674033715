"""Fates: what became of a message is written down where people look, and what follows from it is done."""

from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Table, exists, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from booking.domain.status import MessageState
from booking.keyring import Keyring
from booking.models.appointment import Appointment
from booking.models.lead import Lead
from booking.models.outbox import OutboxMessage, SmsStop, Webhook
from booking.operations import leases
from booking.operations.leases import Claimed

GIVEN_UP_AFTER = timedelta(days=1)
FEWEST_TRIES = 5  # also after a day in which no worker was running
GONE = "it answered 410: it wants to hear no more"
CALL_INSTEAD = {"mail": "The e-mail did not arrive, call instead: ", "sms": "The text did not arrive: "}

stops = cast(Table, SmsStop.__table__)


def sent(db: Session, worker: str, claimed: Claimed, to_tell: str, now: datetime) -> bool:
    """The message was taken; False if it was not this worker's any more. The visit is now as the visitor was told."""
    # The visit's row before the message's, as whoever changes the visit locks them.
    if to_tell and claimed.audience == "visitor" and claimed.appointment_id is not None:
        row = db.get(Appointment, claimed.appointment_id, with_for_update=True)
        if row is not None:
            row.told = (row.told or {}) | {claimed.channel: to_tell}
            db.flush()
    if claimed.released and claimed.audience == "visitor" and claimed.lead_id is not None:
        _arrived_after_all(db, claimed, now)
    return leases.finish(db, worker, claimed.id, MessageState.SENT, "", now)


def refused(db: Session, worker: str, claimed: Claimed, reason: str, now: datetime) -> bool:
    """The message will never arrive; where a visitor should have got it, their lead says so. False as for `sent`."""
    if not leases.is_mine(db, worker, claimed):
        return False
    if claimed.audience == "visitor" and claimed.lead_id is not None:
        told = CALL_INSTEAD[claimed.channel] + reason
        values = {"undelivered": told, "updated_at": now}
        db.execute(
            update(Lead).where(Lead.id == claimed.lead_id).values(values),
            execution_options={"synchronize_session": False},
        )
    return leases.finish(db, worker, claimed.id, MessageState.DEAD, reason, now)


def failed(
    db: Session, worker: str, claimed: Claimed, reason: str, now: datetime,
    *, after: float | None, table: tuple[timedelta, ...] = (),
) -> bool:  # fmt: skip
    """The message was not taken this time: it is tried again, or given up after a day (with a `table`, at its end).

    One that helps only for a time is tried for so long, and then was missed. `after` seconds is what the other side
    asked for.
    """
    wait = table[min(claimed.attempts, len(table)) - 1] if table else leases.wait_after(claimed.attempts)
    next_at = now + max(wait, timedelta(seconds=after or 0))
    if claimed.useful_until is not None:
        if next_at > claimed.useful_until:
            return leases.finish(db, worker, claimed.id, MessageState.MISSED, reason, now)
    elif claimed.attempts > (len(table) or FEWEST_TRIES) and (table or next_at > claimed.created_at + GIVEN_UP_AFTER):
        return refused(db, worker, claimed, reason, now)
    return leases.put_off(db, worker, claimed.id, next_at, reason)


def stop_texts(db: Session, keyring: Keyring, number: str, now: datetime) -> None:
    """Send no more texts to a number, also none that waits."""
    connection = db.connection()
    row = {"number": keyring.digest("sms", number), "stopped_at": now}
    connection.execute(_STOP[connection.dialect.name], row)


def has_stopped(db: Session, keyring: Keyring, number: str) -> bool:
    """Whether a number asked for no more texts."""
    return db.get(SmsStop, keyring.digest("sms", number)) is not None


def allow_texts(db: Session, keyring: Keyring, number: str) -> None:
    """Send texts to a number again."""
    db.connection().execute(stops.delete().where(stops.c.number == keyring.digest("sms", number)))


def disable_webhook(db: Session, webhook_id: int, reason: str, now: datetime) -> None:
    """Tell a program nothing more; what waits for it is not thrown away."""
    found = update(Webhook).where(Webhook.id == webhook_id, Webhook.disabled_at.is_(None))
    db.execute(found.values(disabled_at=now, disabled_because=reason))


def _arrived_after_all(db: Session, claimed: Claimed, now: datetime) -> None:
    """Let the lead no more say to call instead, unless another message to its visitor is dead."""
    dead = exists().where(
        OutboxMessage.lead_id == Lead.id,
        OutboxMessage.audience == "visitor",
        OutboxMessage.state == MessageState.DEAD,
    )
    named = (Lead.id == claimed.lead_id, Lead.undelivered != "", ~dead)
    values = {"undelivered": "", "updated_at": now}
    db.execute(update(Lead).where(*named).values(values), execution_options={"synchronize_session": False})


_STOP = {
    dialect: module.insert(stops).on_conflict_do_nothing()
    for dialect, module in (("postgresql", postgresql), ("sqlite", sqlite))
}
