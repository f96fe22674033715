"""Holds: a slot kept for ten minutes for somebody who is typing; a courtesy that no booking depends on."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from booking.domain import offers
from booking.domain.catalog import Catalog, Location, Practitioner
from booking.domain.errors import AlreadyExtended, HoldUnknown, NotOffered, SlotTaken, TooManyHolds
from booking.domain.offers import Place, Wish
from booking.models.appointment import Hold
from booking.models.lead import new_id
from booking.operations import claims, placing
from booking.operations.claims import Owner

LASTS = timedelta(minutes=10)
SEATS = (1, 2)

holds = cast(Table, Hold.__table__)


@dataclass(frozen=True)
class Held:
    """A live hold: on what, and until when; `token` only for who has just got it."""

    id: int
    service_id: int
    practitioner_id: int
    location_id: int
    starts_at: datetime
    expires_at: datetime
    extended: bool
    token: str = ""

    @property
    def owner(self) -> Owner:
        """The owner of its claims."""
        return Owner("hold", self.id, self.expires_at)

    def is_for(self, place: Place, starts_at: datetime) -> bool:
        """Whether it holds this start at this place, for one of these practitioners."""
        who = any(each.id == self.practitioner_id for each in place.practitioners)
        where = (self.service_id, self.location_id) == (place.service.id, place.location.id)
        return who and where and self.starts_at == starts_at


def place(
    db: Session, catalog: Catalog, wish: Wish, *, visitor: bytes, now: datetime
) -> tuple[Held, Practitioner, Location]:
    """Hold a slot; raises NotOffered, SlotTaken, TooManyHolds."""
    places = offers.meeting(catalog, wish, now)
    hold_id, token = new_id(now), secrets.token_urlsafe(24)
    owner = Owner("hold", hold_id, now + LASTS)
    row = {
        "id": hold_id,
        "token_digest": _digest(token),
        "visitor": visitor,
        "service_id": places[0].service.id,
        "practitioner_id": places[0].practitioners[0].id,
        "location_id": places[0].location.id,
        "starts_at": wish.starts_at,
        "expires_at": owner.expires_at,
        "extended": False,
    }
    _sit_down(db, row, now)
    try:
        where, who = placing.place(db, catalog, places, wish.starts_at, owner, now)
    except (SlotTaken, NotOffered):
        db.connection().execute(delete(holds).where(holds.c.id == hold_id))
        raise
    found = {"practitioner_id": who.id, "location_id": where.location.id}
    db.connection().execute(update(holds).where(holds.c.id == hold_id).values(found))
    held = Held(hold_id, where.service.id, who.id, where.location.id, wish.starts_at, now + LASTS, False, token)
    return held, who, where.location


def find(db: Session, token: str, now: datetime) -> Held | None:
    """The live hold with this token."""
    columns = (
        holds.c.id, holds.c.service_id, holds.c.practitioner_id, holds.c.location_id, holds.c.starts_at,
        holds.c.expires_at, holds.c.extended,
    )  # fmt: skip
    live = select(*columns).where(holds.c.token_digest == _digest(token), holds.c.expires_at > now)
    row = db.connection().execute(live).first()
    return Held(*row) if row else None


def extend(db: Session, token: str, now: datetime) -> Held:
    """Hold a slot for another ten minutes from now, once; raises HoldUnknown, AlreadyExtended."""
    held, until = find(db, token, now), now + LASTS
    if held is None:
        raise HoldUnknown
    once = update(holds).where(holds.c.id == held.id, holds.c.extended.is_(False))
    if db.connection().scalar(once.values(expires_at=until, extended=True).returning(holds.c.id)) is None:
        raise AlreadyExtended
    if not claims.prolong(db, Owner("hold", held.id, until), now):
        raise HoldUnknown
    return Held(held.id, held.service_id, held.practitioner_id, held.location_id, held.starts_at, until, True, token)


def release(db: Session, held: Held) -> None:
    """Give a hold back."""
    claims.release(db, held.owner)
    forget(db, held)


def forget(db: Session, held: Held) -> None:
    """Delete a hold whose claims are somebody else's now."""
    db.connection().execute(delete(holds).where(holds.c.id == held.id))


def forget_expired(db: Session, now: datetime) -> int:
    """Delete what has run out; returns how many claims that were. Nothing waits for this."""
    gone = claims.forget_expired(db, now)
    db.connection().execute(delete(holds).where(holds.c.expires_at <= now))
    return gone


def _sit_down(db: Session, row: dict[str, Any], now: datetime) -> None:
    """Insert the hold on one of the visitor's seats: the constraint on them bounds the holds of one visitor."""
    connection = db.connection()
    for seat in SEATS:
        if connection.scalar(_INSERT[connection.dialect.name], row | {"seat": seat}) is not None:
            return
    stale = select(holds.c.id).where(holds.c.visitor == row["visitor"], holds.c.expires_at <= now)
    for hold_id in connection.scalars(stale).all():
        claims.release(db, Owner("hold", hold_id))
        connection.execute(delete(holds).where(holds.c.id == hold_id))
    for seat in SEATS:
        if connection.scalar(_INSERT[connection.dialect.name], row | {"seat": seat}) is not None:
            return
    raise TooManyHolds


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


_INSERT = {
    dialect: module.insert(holds).on_conflict_do_nothing().returning(holds.c.id)
    for dialect, module in (("postgresql", postgresql), ("sqlite", sqlite))
}
