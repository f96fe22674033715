"""Placing: of the places that could meet a wish, the first that has the time takes it, whole or not at all."""

from collections.abc import Sequence
from contextlib import nullcontext
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
    leaving: Owner | None = None,
) -> tuple[Place, Practitioner]:
    """Take practitioner, rooms and buffers for a start; raises SlotTaken, and then everything is as it was.

    `moving` is the start of an owner who has claims at the same location already; `leaving` is as for `claims.take`.
    Raises NotOffered when the day has as many visits of the service as it takes, at all places.
    """
    leaving = leaving if moving is None else owner
    full = 0
    for candidate in places:
        stays = moving is not None and _same_day(candidate, moving, starts_at)
        if not stays and _is_full(db, candidate, starts_at, leaving or owner, now):
            full += 1
            continue
        start, end = slots.claimed_span(candidate.service, int(starts_at.timestamp()))
        span = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
        who = [each.calendar_id for each in candidate.practitioners]
        needs = [who, *catalog.rooms(candidate.service, candidate.location)]
        try:
            # What is taken here and given up must not stay locked while another place is tried.
            with db.connection().begin_nested() if len(places) > 1 else nullcontext():
                got = claims.take(db, owner, needs, span, now, leaving=leaving)
        except SlotTaken:
            continue
        return candidate, candidate.practitioners[who.index(got[0])]
    if full == len(places):
        raise NotOffered("starts_at", "This day has as many of these visits as we take: please choose another day.")
    raise SlotTaken


def _same_day(candidate: Place, one: datetime, other: datetime) -> bool:
    zone = candidate.location.zone
    return clock.day_of(one, zone) == clock.day_of(other, zone)


def _is_full(db: Session, candidate: Place, starts_at: datetime, owner: Owner, now: datetime) -> bool:
    """Whether the cap of a day is reached, a hold of `owner` apart; the row of such a service is locked meanwhile."""
    service, location = candidate.service, candidate.location
    if service.daily_cap is None:
        return False
    db.connection().execute(select(services.c.id).where(services.c.id == service.id).with_for_update(key_share=True))
    own_hold = owner.id if owner.kind == "hold" else None
    return is_full(db, service, location, clock.day_of(starts_at, location.zone), now, but_hold=own_hold)
