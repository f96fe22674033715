"""Key rotation: what an old key sealed is opened and sealed anew with the active one."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from booking.keyring import Keyring, Unreadable, key_number
from booking.models.appointment import REASON, Appointment
from booking.models.lead import CONTENT, Lead
from booking.models.outbox import FACTS, SECRETS, OutboxMessage, Webhook
from booking.models.witness import POST, WitnessedPost


class Sealed(NamedTuple):
    """A column of sealed texts, and the column to whose value each of them is bound."""

    column: Any
    bound_to: Any

    def row(self, value: Any) -> str:
        """The name of a row, as it was sealed for."""
        return value.hex() if isinstance(value, bytes) else str(value)


# Everything that is sealed, by the name of its place.
SEALED = {
    CONTENT: Sealed(Lead.__table__.c.content, Lead.__table__.c.id),
    REASON: Sealed(Appointment.__table__.c.reason, Appointment.__table__.c.id),
    FACTS: Sealed(OutboxMessage.__table__.c.facts, OutboxMessage.__table__.c.dedupe_key),
    POST: Sealed(WitnessedPost.__table__.c.content, WitnessedPost.__table__.c.id),
    SECRETS: Sealed(Webhook.__table__.c.secrets, Webhook.__table__.c.url),
}


def reseal(
    db: Session, keyring: Keyring, *, after: int | str, place: str = CONTENT, limit: int = 500
) -> tuple[int | str | None, int]:
    """Reseal the next `limit` rows of a place behind id `after`, from the first one if that is 0.

    Returns the last id looked at (None at the end) and how many were sealed anew. Raises Unreadable when a
    row's key is not on the ring: no key may be dropped before this has run for every place.
    """
    sealed = SEALED[place]
    table = sealed.column.table
    behind = [table.c.id > after] if after else []  # the ids of some are words
    query = select(table.c.id, sealed.column, sealed.bound_to.label("bound_to"))
    query = query.where(sealed.column.is_not(None), *behind)
    rows = db.connection().execute(query.order_by(table.c.id).limit(limit).with_for_update()).all()
    changed = 0
    for number, text, value in rows:
        if key_number(text) != keyring.active:
            anew = keyring.seal(keyring.open(text, place, sealed.row(value)), place, sealed.row(value))
            db.connection().execute(update(table).where(table.c.id == number), {sealed.column.name: anew})
            changed += 1
    return (rows[-1].id if rows else None), changed


def faults(db: Session, keyring: Keyring) -> Iterator[str]:
    """Why sealed texts cannot be opened, tried on the newest of each place and key that was ever used."""
    for place, sealed in SEALED.items():
        ids = sealed.column.table.c.id
        newest = select(func.max(ids)).where(sealed.column.is_not(None)).group_by(func.substr(sealed.column, 2, 1))
        found = select(sealed.column, sealed.bound_to.label("bound_to")).where(ids.in_(newest)).order_by(ids)
        for text, value in db.execute(found):
            try:
                keyring.open(text, place, sealed.row(value))
            except Unreadable as fault:
                yield str(fault)
