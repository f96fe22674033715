"""Holds: a slot kept for ten minutes for somebody who is typing; a courtesy that no booking depends on.

Whoever changes a hold locks its row before its claims.
"""

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, delete, exists, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from booking.domain import offers
from booking.domain.catalog import Catalog, Location, Practitioner
from booking.domain.errors import AlreadyExtended, HoldUnknown, NotOffered, SlotTaken, TooManyHolds
from booking.domain.offers import Place, Wish
from booking.models.appointment import Claim, Hold
from booking.models.catalog import Service
from booking.models.lead import new_id
from booking.operations import claims, placing
from booking.operations.claims import Owner

LASTS = timedelta(minutes=10)
SEATS = (1, 2)

holds, services = cast(Table, Hold.__table__), cast(Table, Service.__table__)


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

    @property
    def placed_at(self) -> datetime:
        """When it was placed, to the millisecond before: its id begins with that."""
        return datetime.fromtimestamp((self.id >> 21) / 1000, UTC)

    def is_for(self, place: Place, starts_at: datetime) -> bool:
        """Whether it holds this start at this place, for one of these practitioners."""
        who = any(each.id == self.practitioner_id for each in place.practitioners)
        where = (self.service_id, self.location_id) == (place.service.id, place.location.id)
        return who and where and self.starts_at == starts_at


def place(
    db: Session, catalog: Catalog, wish: Wish, *, visitor: bytes, now: datetime, token: str = ""
) -> tuple[Held, Practitioner, Location]:
    """Hold a slot; raises NotOffered, SlotTaken, TooManyHolds.

    Who comes with the `token` of a live hold has that: it is the same wish again, whose answer was lost.
    """
    if there := _again(db, catalog, token, now):
        return there
    places = offers.meeting(catalog, wish, now)
    hold_id, token = new_id(now), token or secrets.token_urlsafe(24)
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
    try:
        _sit_down(db, row, now)
    except TooManyHolds:  # or the same wish came twice at once, and the other was placed meanwhile
        if there := _again(db, catalog, token, now):
            return there
        raise
    try:
        where, who = placing.place(db, catalog, places, wish.starts_at, owner, now)
    except (SlotTaken, NotOffered):
        forget(db, hold_id)
        raise
    found = {"practitioner_id": who.id, "location_id": where.location.id}
    db.connection().execute(update(holds).where(holds.c.id == hold_id).values(found))
    held = Held(hold_id, where.service.id, who.id, where.location.id, wish.starts_at, now + LASTS, False, token)
    return held, who, where.location


def places(catalog: Catalog, wish: Wish, held: Held | None, now: datetime, *, by_desk: bool) -> list[Place]:
    """Where a wish could be met; first where it is held, and there also when its notice began after that."""
    if held is None:
        return offers.meeting(catalog, wish, now, by_desk=by_desk)
    try:
        places = offers.meeting(catalog, wish, now, by_desk=by_desk)
    except NotOffered:
        then = offers.meeting(catalog, wish, held.placed_at, by_desk=by_desk) if wish.starts_at >= now else []
        places = [each for each in then if held.is_for(each, wish.starts_at)]
        if not places:
            raise
    return sorted(places, key=lambda each: not held.is_for(each, wish.starts_at))


def find(db: Session, token: str, now: datetime, *, to_change: bool = False) -> Held | None:
    """The live hold with this token; `to_change` lets nobody else change it until the transaction ends."""
    columns = (
        holds.c.id, holds.c.service_id, holds.c.practitioner_id, holds.c.location_id, holds.c.starts_at,
        holds.c.expires_at, holds.c.extended,
    )  # fmt: skip
    live = select(*columns).where(holds.c.token_digest == _digest(token), holds.c.expires_at > now)
    row = db.connection().execute(live.with_for_update() if to_change else live).first()
    return Held(*row) if row else None


def extend(db: Session, token: str, now: datetime) -> Held:
    """Hold a slot for another ten minutes from now, once; raises HoldUnknown, AlreadyExtended."""
    held = find(db, token, now, to_change=True)
    if held is None:
        raise HoldUnknown
    if held.extended:
        raise AlreadyExtended
    longer = replace(held, expires_at=now + LASTS, extended=True, token=token)
    needs = db.connection().scalars(select(services.c.needs).where(services.c.id == held.service_id)).one()
    if not claims.prolong(db, longer.owner, parts=1 + len(needs)):
        raise HoldUnknown
    changed = {"expires_at": longer.expires_at, "extended": True}
    db.connection().execute(update(holds).where(holds.c.id == held.id).values(changed))
    return longer


def release(db: Session, held: Held) -> None:
    """Give a hold back, unless it has become a visit meanwhile."""
    if lock(db, [held.id]):
        end(db, held.id)


def lock(db: Session, ids: Any) -> list[int]:
    """Those of some holds that are still there; nobody else changes them until the transaction ends."""
    found = select(holds.c.id).where(holds.c.id.in_(ids)).order_by(holds.c.id)
    return list(db.connection().scalars(found.with_for_update()))


def end(db: Session, hold_id: int) -> None:
    """Delete a hold that is locked, and the claims it has."""
    claims.release(db, Owner("hold", hold_id))
    forget(db, hold_id)


def forget(db: Session, hold_id: int) -> None:
    """Delete a hold whose claims are somebody else's now."""
    db.connection().execute(delete(holds).where(holds.c.id == hold_id))


def forget_expired(db: Session, now: datetime) -> int:
    """Delete what has run out; returns how many claims that were. It waits for nobody."""
    gone = claims.forget_expired(db, now)
    # One whose claims somebody is about to drop is left for the next time: the foreign key would wait for them.
    bare = ~exists().where(Claim.hold_id == holds.c.id)
    stale = select(holds.c.id).where(holds.c.expires_at <= now, bare).with_for_update(skip_locked=True)
    db.connection().execute(delete(holds).where(holds.c.id.in_(stale)))
    return gone


def _again(db: Session, catalog: Catalog, token: str, now: datetime) -> tuple[Held, Practitioner, Location] | None:
    held = find(db, token, now) if token else None
    if held is None:
        return None
    of_hold = catalog.by_id[Practitioner, held.practitioner_id], catalog.by_id[Location, held.location_id]
    return replace(held, token=token), *cast(tuple[Practitioner, Location], of_hold)


def _sit_down(db: Session, row: dict[str, Any], now: datetime) -> None:
    """Insert the hold on one of the visitor's seats: the constraint on them bounds the holds of one visitor."""
    if _take_seat(db, row):
        return
    _stand_up(db, row["visitor"], now)
    if not _take_seat(db, row):
        raise TooManyHolds


def _take_seat(db: Session, row: dict[str, Any]) -> bool:
    insert = _INSERT[db.connection().dialect.name]
    return any(db.connection().scalar(insert, row | {"seat": seat}) is not None for seat in SEATS)


def _stand_up(db: Session, visitor: bytes, now: datetime) -> None:
    """Let run-out holds of a visitor be nobody's; their claims stay, as to touch them now would be out of turn."""
    stale = select(holds.c.id).where(holds.c.visitor == visitor, holds.c.expires_at <= now).order_by(holds.c.id)
    if found := db.connection().scalars(stale.with_for_update()).all():
        for hold_id in found:
            nobody = {"visitor": secrets.token_bytes(len(visitor)), "token_digest": secrets.token_bytes(32)}
            db.connection().execute(update(holds).where(holds.c.id == hold_id).values(nobody))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


_INSERT = {
    dialect: module.insert(holds).on_conflict_do_nothing().returning(holds.c.id)
    for dialect, module in (("postgresql", postgresql), ("sqlite", sqlite))
}
