"""Key rotation: what an old key sealed is opened and sealed anew with the active one."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from booking.keyring import Keyring, Unreadable, key_number
from booking.models.appointment import REASON, Appointment
from booking.models.lead import CONTENT, Lead

# Everything that is sealed: the name of its place, and the column.
SEALED: dict[str, Any] = {CONTENT: Lead.__table__.c.content, REASON: Appointment.__table__.c.reason}


def reseal(
    db: Session, keyring: Keyring, *, after: int, place: str = CONTENT, limit: int = 500
) -> tuple[int | None, int]:
    """Reseal the next `limit` rows of a place behind id `after`.

    Returns the last id looked at (None at the end) and how many were sealed anew. Raises Unreadable when a
    row's key is not on the ring: no key may be dropped before this has run for every place.
    """
    sealed = SEALED[place]
    ids, table = sealed.table.c.id, sealed.table
    query = select(ids, sealed).where(ids > after, sealed.is_not(None)).order_by(ids).limit(limit)
    rows = db.connection().execute(query.with_for_update()).all()
    changed = 0
    for number, text in rows:
        if key_number(text) != keyring.active:
            anew = keyring.seal(keyring.open(text, place, number), place, number)
            db.connection().execute(update(table).where(ids == number), {sealed.name: anew})
            changed += 1
    return (rows[-1].id if rows else None), changed


def faults(db: Session, keyring: Keyring) -> Iterator[str]:
    """Why sealed texts cannot be opened, tried on the newest of each place and key that was ever used."""
    for place, sealed in SEALED.items():
        ids = sealed.table.c.id
        newest = select(func.max(ids)).where(sealed.is_not(None)).group_by(func.substr(sealed, 2, 1))
        for number, text in db.execute(select(ids, sealed).where(ids.in_(newest)).order_by(ids)):
            try:
                keyring.open(text, place, number)
            except Unreadable as fault:
                yield str(fault)
