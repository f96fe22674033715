"""Claims: the one way in which anything takes or gives back a calendar's time; the database refuses overlaps.

Nothing here looks first and writes then: each claim is inserted, and the constraint says whether the time was free.
What is new is taken before what was there is given back.

No two transactions wait for each other in a ring, because all of them wait in one order: for the names and the lead of
an enquiry, or whose time off is changed; for the row of the visit or hold; for a service of which a day takes only so
many; for claims, the practitioner's before the rooms', kind by kind; and when they commit, for the calendars whose
versions they raise, by number. Of several places or pieces, what is given up is undone by a savepoint: a claim that was
merely deleted again would be waited for until the commit. Who changes many visits in one transaction keeps this order
only if nobody else takes time meanwhile.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, delete, event, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking.domain.errors import SlotTaken
from booking.models.appointment import OVERLAP, Claim
from booking.models.catalog import Calendar

LONGEST = timedelta(hours=24)
CHANGED = "the calendars whose claims this transaction has changed"

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

    @property
    def values(self) -> dict[str, Any]:
        """What a claim says of whose it is."""
        return dict.fromkeys(_OWNERS.values()) | {_OWNERS[self.kind]: self.id, "expires_at": self.expires_at}


def take(
    db: Session, owner: Owner, needs: Sequence[Need], span: Span, now: datetime, *, leaving: Owner | None = None
) -> list[int]:
    """Let `owner` have `span` on one calendar of each need and nothing else; returns the calendars it got.

    All or none: raises SlotTaken, and then everything is as it was. `leaving` is whose claims are given back for it,
    the owner's own or a live hold's, whose row the caller has locked; what is wanted of them is kept.
    """
    connection = db.connection()
    had = _claims_of(connection, leaving) if leaving else ()
    got: dict[int, list[int]] = {}
    try:
        for need in needs:
            others = [each for each in need if each not in got]
            calendar, added = _take_any(connection, owner, had, others, span, now)
            got[calendar] = added
    except SlotTaken:
        if made := [claim_id for added in got.values() for claim_id in added]:
            connection.execute(delete(claims).where(claims.c.id.in_(made)))
        raise
    changed = {calendar for calendar, added in got.items() if added}
    _note_changed(db, changed | _give_back(connection, had, owner, got.keys(), span))
    return list(got)


def take_off(
    db: Session, owner: Owner, calendar: int, span: Span, now: datetime | None, *, over: Sequence[int]
) -> None:
    """Let time off have what no other time off has of a calendar's `span`, holds (ids) or not; raises SlotTaken."""
    connection = db.connection()
    if over:
        connection.execute(delete(claims).where(claims.c.calendar_id == calendar, claims.c.hold_id.in_(over)))
    off = select(claims).where(*_meets(calendar, span), claims.c.time_off_id.is_not(None))
    there = connection.execute(off.order_by(claims.c.starts_at)).all()
    pieces = _missing(span, there)
    if _take_all(connection, owner, calendar, pieces, now) is None:
        raise SlotTaken
    _note_changed(db, {calendar} if pieces else ())


def leave(db: Session, owner: Owner, calendar: int, heirs: Sequence[tuple[Owner, Span]]) -> None:
    """Give back the time off that `owner` has of a calendar, but what others have there too; it becomes theirs."""
    release(db, owner)
    for heir, span in heirs:
        take_off(db, heir, calendar, span, None, over=())


def holds_over(calendar: int, span: Span, now: datetime) -> Any:
    """A query for the ids of the live holds that have a part of a calendar's span."""
    return select(claims.c.hold_id).where(*_meets(calendar, span), claims.c.expires_at > now)


def visits_over(calendar: int, span: Span) -> Any:
    """A query for the ids of the visits that have a part of a calendar's span."""
    return select(claims.c.appointment_id).where(*_meets(calendar, span), claims.c.appointment_id.is_not(None))


def prolong(db: Session, hold: Owner, *, parts: int) -> bool:
    """Let the claims of a live hold expire when `hold` does; False if it has not all of its `parts` any more."""
    found = _claims_of(db.connection(), hold)
    if len(found) < parts:
        return False
    later = update(claims).where(claims.c.id.in_([claim.id for claim in found])).values(expires_at=hold.expires_at)
    db.connection().execute(later)
    _note_changed(db, {claim.calendar_id for claim in found if claim.expires_at != hold.expires_at})
    return True


def release(db: Session, owner: Owner) -> None:
    """Give back everything that `owner` has; the caller has locked its row."""
    if found := _claims_of(db.connection(), owner):
        db.connection().execute(delete(claims).where(claims.c.id.in_([claim.id for claim in found])))
    _note_changed(db, {claim.calendar_id for claim in found})


def forget_expired(db: Session, now: datetime) -> int:
    """Delete the claims of holds that have run out, but for those that somebody is dropping now; returns how many."""
    stale = select(claims.c.id).where(claims.c.expires_at <= now).with_for_update(skip_locked=True)
    gone = delete(claims).where(claims.c.id.in_(stale)).returning(claims.c.calendar_id)
    found = db.connection().scalars(gone).all()
    _note_changed(db, set(found))
    return len(found)


def _claims_of(connection: Connection, owner: Owner) -> Sequence[Any]:
    """What an owner has; locked in the order in which it was taken, as by all others."""
    rows = select(claims).where(owner.column == owner.id).order_by(claims.c.id)
    return connection.execute(rows.with_for_update()).all()


def _take_any(
    connection: Connection, owner: Owner, had: Sequence[Any], need: Need, span: Span, now: datetime
) -> tuple[int, list[int]]:
    kept = {claim.calendar_id for claim in had}
    # Where it is already, it would rather stay.
    for calendar in sorted(need, key=lambda each: each not in kept):
        own = sorted((claim for claim in had if claim.calendar_id == calendar), key=lambda claim: claim.starts_at)
        added = _take_all(connection, owner, calendar, _missing(span, own), now)
        if added is not None:
            return calendar, added
    raise SlotTaken


def _take_all(
    connection: Connection, owner: Owner, calendar: int, pieces: Sequence[Span], now: datetime | None
) -> list[int] | None:
    """Insert a claim for each piece, or none; the first one needs no undoing."""
    savepoint = connection.begin_nested() if len(pieces) > 1 else None
    added: list[int] = []
    for piece in pieces:
        claim_id = _insert(connection, owner, calendar, piece)
        if claim_id is None and now and _drop_expired(connection, calendar, piece, now):
            claim_id = _insert(connection, owner, calendar, piece)
        if claim_id is None:
            if savepoint:
                savepoint.rollback()
            return None
        added.append(claim_id)
    if savepoint:
        savepoint.commit()
    return added


def _missing(span: Span, there: Sequence[Any]) -> list[Span]:
    """The parts of a span that claims (sorted, not overlapping) leave out, none of them longer than a claim may be."""
    pieces: list[Span] = []
    start = span[0]
    for claim in there:
        pieces += _pieces(start, min(claim.starts_at, span[1]))
        start = max(start, claim.ends_at)
    return [*pieces, *_pieces(start, span[1])]


def _pieces(start: datetime, end: datetime) -> Iterator[Span]:
    while start < end:
        yield start, min(start + LONGEST, end)
        start += LONGEST


def _insert(connection: Connection, owner: Owner, calendar: int, span: Span) -> int | None:
    row = {"calendar_id": calendar, "starts_at": span[0], "ends_at": span[1]} | owner.values
    if connection.dialect.name == "postgresql":
        # A plain INSERT would deadlock under a storm; this waits for who is in the middle of it, and then knows.
        return cast(int | None, connection.scalar(_INSERT_UNLESS_TAKEN, row))
    try:
        return cast(int, connection.scalar(_INSERT, row))
    except IntegrityError as refusal:
        if str(refusal.orig) != OVERLAP:
            raise
        return None  # the trigger undid this statement alone


def _drop_expired(connection: Connection, calendar: int, span: Span, now: datetime) -> bool:
    given = {"calendar_id": calendar, "starts_at": span[0], "ends_at": span[1], "expires_at": now}
    return bool(connection.scalars(_DROP, given).all())


def _meets(calendar: Any, span: tuple[Any, Any]) -> tuple[Any, ...]:
    return claims.c.calendar_id == calendar, claims.c.starts_at < span[1], claims.c.ends_at > span[0]


def _give_back(connection: Connection, had: Sequence[Any], owner: Owner, kept: Iterable[int], span: Span) -> set[int]:
    """Cut what there was down to what is wanted of it, which becomes `owner`'s; returns the calendars that changed."""
    changed = set()
    for claim in had:
        start, end = max(claim.starts_at, span[0]), min(claim.ends_at, span[1])
        wanted = {"starts_at": start, "ends_at": end} | owner.values
        if claim.calendar_id not in kept or start >= end:
            connection.execute(delete(claims).where(claims.c.id == claim.id))
        elif any(getattr(claim, name) != value for name, value in wanted.items()):
            connection.execute(update(claims).where(claims.c.id == claim.id).values(wanted))
        else:
            continue
        changed.add(claim.calendar_id)
    return changed


def _note_changed(db: Session, changed: Iterable[int]) -> None:
    db.info.setdefault(CHANGED, set()).update(changed)


@event.listens_for(Session, "before_commit")
def _raise_versions(db: Session) -> None:
    """Last of all: a calendar's row that is locked earlier would be waited for by who has claims we still want."""
    if db.in_nested_transaction() or not db.info.get(CHANGED):
        return
    for calendar in sorted(db.info.pop(CHANGED)):
        db.connection().execute(_RAISE, {"changed": calendar})


_OWNERS = {kind: f"{kind}_id" for kind in ("appointment", "hold", "time_off")}
_ROW = {
    name: bindparam(name, type_=claims.c[name].type)
    for name in ("calendar_id", "starts_at", "ends_at", "expires_at", *_OWNERS.values())
}
_INSERT = claims.insert().values(_ROW).returning(claims.c.id)
_INSERT_UNLESS_TAKEN = postgresql.insert(claims).values(_ROW).on_conflict_do_nothing().returning(claims.c.id)
_DROP = (
    delete(claims)
    .where(
        *_meets(_ROW["calendar_id"], (_ROW["starts_at"], _ROW["ends_at"])), claims.c.expires_at <= _ROW["expires_at"]
    )
    .returning(claims.c.id)
)
_RAISE = update(calendars).where(calendars.c.id == bindparam("changed")).values(version=calendars.c.version + 1)
