"""Claims: the one way in which anything takes or gives back a calendar's time; the database refuses overlaps.

Nothing here looks first and writes then. Each claim is inserted, and the constraint says whether the time was free.
What is new is taken before what was there is given back, practitioners before rooms and calendars in order, so that
two transactions cannot wait for each other in a ring; calendars are marked as changed at the very end, for the same
reason.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking.domain.errors import SlotTaken
from booking.models.appointment import OVERLAP, Claim
from booking.models.catalog import Calendar

LONGEST = timedelta(hours=24)

claims = cast(Table, Claim.__table__)
calendars = cast(Table, Calendar.__table__)

Span = tuple[datetime, datetime]
Need = Sequence[int]  # calendars of which any one will do, in the order in which they are tried


@dataclass(frozen=True)
class Owner:
    """For whom time is taken: `kind` is `appointment`, `hold` or `time_off`; only a hold expires."""

    kind: str
    id: int
    expires_at: datetime | None = None

    @property
    def column(self) -> Any:
        """The column of a claim that names this kind of owner."""
        return claims.c[f"{self.kind}_id"]


def take(
    db: Session, owner: Owner, needs: Sequence[Need], span: Span, now: datetime, *, has_claims: bool = False
) -> list[int]:
    """Let `owner` have `span` on one calendar of each need and nothing else; returns the calendars it got.

    All or none: raises SlotTaken, and then it has what it had before. One who `has_claims` already keeps what they
    have of the span, and gives back the rest.
    """
    connection = db.connection()
    own = _claims_of(connection, owner) if has_claims else ()
    added: list[int] = []
    try:
        got = [_take_any(connection, owner, own, need, span, now, added) for need in needs]
    except SlotTaken:
        if added:
            connection.execute(delete(claims).where(claims.c.id.in_(added)))
        raise
    _give_back(connection, own, set(got), span)
    _mark_changed(connection, {*got, *(claim.calendar_id for claim in own)})
    return got


def hand_over(db: Session, hold: Owner, owner: Owner, now: datetime) -> list[int]:
    """Let the claims of a live hold be `owner`'s; returns their calendars, none if it has run out."""
    changed = {"hold_id": None, "expires_at": None, owner.column.name: owner.id}
    handed = (
        update(claims)
        .where(claims.c.hold_id == hold.id, claims.c.expires_at > now)
        .values(changed)
        .returning(claims.c.calendar_id)
    )
    found = list(db.connection().scalars(handed))
    _mark_changed(db.connection(), set(found))
    return found


def prolong(db: Session, hold: Owner, now: datetime) -> bool:
    """Let the claims of a live hold expire when `hold` does; False if it has run out."""
    later = update(claims).where(claims.c.hold_id == hold.id, claims.c.expires_at > now)
    found = db.connection().scalars(later.values(expires_at=hold.expires_at).returning(claims.c.calendar_id)).all()
    _mark_changed(db.connection(), set(found))
    return bool(found)


def release(db: Session, owner: Owner) -> None:
    """Give back everything that `owner` has."""
    freed = delete(claims).where(owner.column == owner.id).returning(claims.c.calendar_id)
    _mark_changed(db.connection(), set(db.connection().scalars(freed)))


def forget_expired(db: Session, now: datetime) -> int:
    """Delete the claims of holds that have run out; returns how many. Nothing waits for this."""
    gone = delete(claims).where(claims.c.expires_at <= now).returning(claims.c.calendar_id)
    found = db.connection().scalars(gone).all()
    _mark_changed(db.connection(), set(found))
    return len(found)


def spans_of(
    db: Session, calendar_ids: Iterable[int], window: Span, now: datetime, *, but_hold: int | None = None
) -> list[Any]:
    """The claims (calendar_id, starts_at, ends_at, expires_at) that are live within a window, in order of start."""
    rows = (
        select(claims.c.calendar_id, claims.c.starts_at, claims.c.ends_at, claims.c.expires_at)
        .where(
            claims.c.calendar_id.in_(list(calendar_ids)),
            claims.c.starts_at > window[0] - LONGEST,
            claims.c.starts_at < window[1],
            claims.c.ends_at > window[0],
            claims.c.expires_at.is_(None) | (claims.c.expires_at > now),
        )
        .order_by(claims.c.starts_at)
    )
    if but_hold is not None:
        rows = rows.where(claims.c.hold_id.is_distinct_from(but_hold))
    return list(db.connection().execute(rows))


def _claims_of(connection: Connection, owner: Owner) -> Sequence[Any]:
    rows = select(claims).where(owner.column == owner.id).order_by(claims.c.calendar_id, claims.c.starts_at)
    return connection.execute(rows).all()


def _take_any(
    connection: Connection, owner: Owner, own: Sequence[Any], need: Need, span: Span, now: datetime, added: list[int]
) -> int:
    kept = {claim.calendar_id for claim in own}
    # Where it is already, it would rather stay.
    for calendar in sorted(need, key=lambda each: each not in kept):
        pieces = _missing(span, [claim for claim in own if claim.calendar_id == calendar])
        taken = _take_all(connection, owner, calendar, pieces, now)
        if taken is not None:
            added += taken
            return calendar
    raise SlotTaken


def _take_all(
    connection: Connection, owner: Owner, calendar: int, pieces: Sequence[Span], now: datetime
) -> list[int] | None:
    taken: list[int] = []
    for piece in pieces:
        claim_id = _insert(connection, owner, calendar, piece)
        if claim_id is None and _drop_expired(connection, calendar, piece, now):
            claim_id = _insert(connection, owner, calendar, piece)
        if claim_id is None:
            if taken:
                connection.execute(delete(claims).where(claims.c.id.in_(taken)))
            return None
        taken.append(claim_id)
    return taken


def _missing(span: Span, own: Sequence[Any]) -> list[Span]:
    """The parts of a span that are not covered by claims (sorted, not overlapping)."""
    pieces, start = [], span[0]
    for claim in own:
        if claim.ends_at <= start or claim.starts_at >= span[1]:
            continue
        if start < claim.starts_at:
            pieces.append((start, claim.starts_at))
        start = max(start, claim.ends_at)
    return [*pieces, (start, span[1])] if start < span[1] else pieces


def _insert(connection: Connection, owner: Owner, calendar: int, span: Span) -> int | None:
    row = {
        "calendar_id": calendar,
        "starts_at": span[0],
        "ends_at": span[1],
        f"{owner.kind}_id": owner.id,
        "expires_at": owner.expires_at,
    }
    if connection.dialect.name == "postgresql":
        # A plain INSERT would deadlock under a storm; this waits for who is in the middle of it, and then knows.
        return cast(int | None, connection.scalar(_INSERT_UNLESS_TAKEN[owner.kind], row))
    try:
        return cast(int, connection.scalar(_INSERT[owner.kind], row))
    except IntegrityError as refusal:
        if str(refusal.orig) != OVERLAP:
            raise
        return None  # the trigger undid this statement alone


def _drop_expired(connection: Connection, calendar: int, span: Span, now: datetime) -> bool:
    stale = (
        delete(claims)
        .where(
            claims.c.calendar_id == calendar,
            claims.c.starts_at < span[1],
            claims.c.ends_at > span[0],
            claims.c.expires_at <= now,
        )
        .returning(claims.c.id)
    )
    return bool(connection.scalars(stale).all())


def _give_back(connection: Connection, own: Sequence[Any], kept: set[int], span: Span) -> None:
    for claim in own:
        start, end = max(claim.starts_at, span[0]), min(claim.ends_at, span[1])
        this = claims.c.id == claim.id
        if claim.calendar_id not in kept or start >= end:
            connection.execute(delete(claims).where(this))
        elif (start, end) != (claim.starts_at, claim.ends_at):
            connection.execute(update(claims).where(this).values(starts_at=start, ends_at=end))


def _mark_changed(connection: Connection, changed: Iterable[int]) -> None:
    for calendar in sorted(changed):
        connection.execute(_MARK, {"changed": calendar})


_OWNERS = ("appointment", "hold", "time_off")
_COLUMNS = ("calendar_id", "starts_at", "ends_at", "expires_at")
_INSERT = {
    kind: claims.insert()
    .values({name: bindparam(name, type_=claims.c[name].type) for name in (*_COLUMNS, f"{kind}_id")})
    .returning(claims.c.id)
    for kind in _OWNERS
}
_INSERT_UNLESS_TAKEN = {
    kind: postgresql.insert(claims)
    .values({name: bindparam(name, type_=claims.c[name].type) for name in (*_COLUMNS, f"{kind}_id")})
    .on_conflict_do_nothing()
    .returning(claims.c.id)
    for kind in _OWNERS
}
_MARK = update(calendars).where(calendars.c.id == bindparam("changed")).values(version=calendars.c.version + 1)
