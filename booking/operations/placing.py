"""Placing: of the places that could meet a wish, the first that has the time takes it, whole or not at all."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from booking.domain import clock, slots
from booking.domain.catalog import Catalog, Practitioner
from booking.domain.errors import NotOffered, SlotTaken
from booking.domain.offers import Place
from booking.models.catalog import Service
from booking.operations import claims
from booking.operations.claims import Owner
from booking.operations.slots import is_full

services = cast(Table, Service.__table__)


def place(
    db: Session,
    catalog: Catalog,
    places: Sequence[Place],
    starts_at: datetime,
    owner: Owner,
    now: datetime,
    *,
    moving: datetime | None = None,
) -> tuple[Place, Practitioner]:
    """Take practitioner, rooms and buffers for a start; `moving` is the start of an owner who has claims already.

    Raises SlotTaken, or NotOffered when the day has as many visits of the service as it takes.
    """
    for candidate in places:
        _check_cap(db, candidate, starts_at, owner, now, moving)
        start, end = slots.claimed_span(candidate.service, int(starts_at.timestamp()))
        span = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
        who = [each.calendar_id for each in candidate.practitioners]
        needs = [who, *catalog.rooms(candidate.service, candidate.location)]
        try:
            got = claims.take(db, owner, needs, span, now, has_claims=moving is not None)
        except SlotTaken:
            continue
        return candidate, candidate.practitioners[who.index(got[0])]
    raise SlotTaken


def _check_cap(
    db: Session, candidate: Place, starts_at: datetime, owner: Owner, now: datetime, moving: datetime | None
) -> None:
    """Raise NotOffered when the cap of a day is reached; who books a service with a cap holds its row meanwhile."""
    service, location = candidate.service, candidate.location
    if service.daily_cap is None:
        return
    db.connection().execute(select(services.c.id).where(services.c.id == service.id).with_for_update(key_share=True))
    day = clock.day_of(starts_at, location.zone)
    if moving is not None and clock.day_of(moving, location.zone) == day:
        return
    own_hold = owner.id if owner.kind == "hold" else None
    if is_full(db, service, location, day, now, but_hold=own_hold):
        raise NotOffered("starts_at", "This day has as many of these visits as we take: please choose another day.")
