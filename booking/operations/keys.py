"""Key rotation: what an old key sealed is opened and sealed anew with the active one."""

from collections.abc import Iterator
from typing import cast

from sqlalchemy import Table, func, select, update
from sqlalchemy.orm import Session

from booking.keyring import Keyring, Unreadable, key_number
from booking.models.lead import CONTENT, Lead

leads = cast(Table, Lead.__table__)


def reseal(db: Session, keyring: Keyring, *, after: int, limit: int = 500) -> tuple[int | None, int]:
    """Reseal the next `limit` leads behind id `after`.

    Returns the last id looked at (None at the end) and how many were sealed anew. Raises Unreadable when a
    lead's key is not on the ring: no key may be dropped before this has run.
    """
    query = select(leads.c.id, leads.c.content).where(leads.c.id > after).order_by(leads.c.id).limit(limit)
    rows = db.connection().execute(query.with_for_update()).all()
    changed = 0
    for row in rows:
        if key_number(row.content) != keyring.active:
            content = keyring.seal(keyring.open(row.content, CONTENT, row.id), CONTENT, row.id)
            db.connection().execute(update(leads).where(leads.c.id == row.id), {"content": content})
            changed += 1
    return (rows[-1].id if rows else None), changed


def faults(db: Session, keyring: Keyring) -> Iterator[str]:
    """Why leads cannot be opened, tried on the newest lead of each key that was ever used."""
    newest = select(func.max(leads.c.id)).group_by(func.substr(leads.c.content, 2, 1))
    for row in db.execute(select(leads.c.id, leads.c.content).where(leads.c.id.in_(newest)).order_by(leads.c.id)):
        try:
            keyring.open(row.content, CONTENT, row.id)
        except Unreadable as fault:
            yield str(fault)
