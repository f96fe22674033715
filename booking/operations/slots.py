"""Slots: which starts are free, with a fixed number of queries whatever is asked."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, func, literal_column, null, select, union_all
from sqlalchemy.orm import Session

from booking.domain import clock, offers, slots
from booking.domain.catalog import Catalog, Location, Service
from booking.domain.offers import Place, Wish
from booking.domain.slots import Slot, Span
from booking.domain.status import AppointmentStatus
from booking.models.appointment import Appointment, Hold
from booking.models.catalog import Calendar, CatalogState
from booking.operations import occupancy

MOST_DAYS = 62
NEAREST_WITHIN = timedelta(days=14)

appointments = cast(Table, Appointment.__table__)
holds = cast(Table, Hold.__table__)
_LIVE = [status.value for status in AppointmentStatus if status.takes_time]


@dataclass(frozen=True)
class Question:
    """What is asked: a service, perhaps with whom and where, and some whole days from `first` on (None: today)."""

    service: str
    practitioner: str = ""
    location: str = ""
    first: date | None = None
    days: int = 7
    new_patient: bool | None = None
    hold_id: int | None = None


@dataclass(frozen=True)
class Found:
    """The free slots, the zone that counted the days, and until when this holds while nothing else changes."""

    slots: list[Slot]
    timezone: str
    first: date
    valid_until: datetime


def state(db: Session) -> tuple[int, int]:
    """Two numbers that are the same only while no catalogue and no claim has changed."""
    return cast(tuple[int, int], tuple(db.connection().execute(_STATE).one()))


def find(db: Session, catalog: Catalog, question: Question, now: datetime) -> Found:
    """The free slots of some days; raises NotOffered."""
    places = _places(catalog, question)
    first = question.first or clock.day_of(now, places[0].location.zone)
    windows = [slots.days_window(first, question.days, place.location) for place in places]
    found, expiries = _free(db, catalog, places, windows, now, question.hold_id)
    return Found(found, places[0].location.timezone, first, _next_change(places, found, expiries, now))


def find_first(db: Session, catalog: Catalog, question: Question, now: datetime) -> Found:
    """The first free slot, if any, from the first day asked for to the end of the horizon; raises NotOffered."""
    places = _places(catalog, question)
    first = question.first or clock.day_of(now, places[0].location.zone)
    windows = []
    for place in places:
        begin, _ = slots.days_window(first, 1, place.location)
        windows.append((begin, slots.bookable_window(place.service, place.location, now)[1]))
    found, expiries = _free(db, catalog, places, windows, now, question.hold_id)
    return Found(found[:1], places[0].location.timezone, first, _next_change(places, found, expiries, now))


def next_free(db: Session, catalog: Catalog, question: Question, now: datetime) -> Slot | None:
    """The slot of `find_first`; raises NotOffered."""
    return next(iter(find_first(db, catalog, question, now).slots), None)


def nearest(db: Session, catalog: Catalog, wish: Wish, now: datetime, count: int = 3) -> list[Slot]:
    """The free slots nearest to a wished-for start, each start once; of others when who was named has too few."""
    found = _around(db, catalog, wish, now)
    if len(found) < count and wish.practitioner:
        known = {slot.starts for slot in found}
        found += [
            slot for slot in _around(db, catalog, replace(wish, practitioner=""), now) if slot.starts not in known
        ]
    return sorted(found[:count], key=lambda slot: slot.starts)


def explain(db: Session, catalog: Catalog, question: Question, now: datetime) -> list[tuple[datetime, str, str, str]]:
    """Why each other start of the grid is not offered: (start, practitioner, location, reason); raises NotOffered."""
    found = []
    for place in _places(catalog, question):
        first = question.first or clock.day_of(now, place.location.zone)
        window = slots.days_window(first, question.days, place.location)
        taken, _ = _taken(db, catalog, [place], [window], now, question.hold_id)
        full, _ = _full_days(db, place.service, place.location, window, now)
        for start, who, reason in offers.explain(catalog, place, window, claims=taken, full_days=full, now=now):
            found.append((datetime.fromtimestamp(start, UTC), who.slug, place.location.slug, reason))
    return sorted(found)


def is_full(
    db: Session, service: Service, location: Location, on: date, now: datetime, *, but_hold: int | None = None
) -> bool:
    """Whether the cap of a service is reached on a day; the caller holds the service's row."""
    window = slots.days_window(on, 1, location)
    full, _ = _full_days(db, service, location, window, now, but_hold)
    return bool(full)


def _places(catalog: Catalog, question: Question) -> list[Place]:
    service = offers.service_for(catalog, question.service, new_patient=question.new_patient)
    return offers.places_for(catalog, service, question.practitioner, question.location)


def _around(db: Session, catalog: Catalog, wish: Wish, now: datetime) -> list[Slot]:
    service = offers.service_for(catalog, wish.service, new_patient=wish.new_patient)
    places = offers.places_for(catalog, service, wish.practitioner, wish.location)
    middle = wish.starts_at.timestamp()
    begin = int((max(wish.starts_at - NEAREST_WITHIN, now)).timestamp())
    for end in (int((wish.starts_at + NEAREST_WITHIN).timestamp()), _horizon(places, now)):
        found, _ = _free(db, catalog, places, [(begin, end)] * len(places), now, None)
        if found:
            by_start = {slot.starts: slot for slot in reversed(found)}
            return sorted(by_start.values(), key=lambda slot: abs(slot.starts - middle))
    return []


def _horizon(places: Sequence[Place], now: datetime) -> int:
    return max(slots.bookable_window(place.service, place.location, now)[1] for place in places)


def _free(
    db: Session, catalog: Catalog, places: Sequence[Place], windows: Sequence[Span], now: datetime, hold_id: int | None
) -> tuple[list[Slot], list[datetime]]:
    """The free slots of a window at each place, and when the holds that are in the way run out."""
    taken, expiries = _taken(db, catalog, places, windows, now, hold_id)
    found: list[Slot] = []
    for place, window in zip(places, windows, strict=True):
        full, others = _full_days(db, place.service, place.location, window, now, hold_id)
        expiries += others
        found += slots.find(
            catalog, place.service, place.location, place.practitioners, window, claims=taken, full_days=full, now=now
        )
    if len(places) > 1:
        found.sort(key=lambda slot: slot.starts)
    return found, expiries


def _next_change(
    places: Sequence[Place], found: Sequence[Slot], expiries: Sequence[datetime], now: datetime
) -> datetime:
    """When an answer is another by the passing of time alone."""
    zones = {place.location.zone for place in places}
    midnights = [_instant(clock.midnight(clock.day_of(now, zone) + timedelta(days=1), zone)) for zone in zones]
    # The first one goes when its notice begins.
    notice = timedelta(minutes=places[0].service.notice_minutes)
    return min([*midnights, *expiries, *(slot.starts_at - notice for slot in found[:1])])


def _taken(
    db: Session, catalog: Catalog, places: Sequence[Place], windows: Sequence[Span], now: datetime, hold_id: int | None
) -> tuple[dict[int, list[Span]], list[datetime]]:
    """The claims of every calendar that matters, in one query, and when those of holds run out."""
    service = places[0].service
    wanted = {each for place in places for each in catalog.calendars(place.practitioners, service, place.location)}
    before, after = slots.claimed_span(service, 0)
    span = _instant(min(w[0] for w in windows) + before), _instant(max(w[1] for w in windows) + after)
    found = list(occupancy.taken(db, wanted, span, now, but_hold=hold_id))
    expiries = [expires_at for _, _, expires_at in found if expires_at is not None]
    return {calendar: spans for calendar, spans, _ in found}, expiries


def _full_days(
    db: Session, service: Service, location: Location, window: Span, now: datetime, but_hold: int | None = None
) -> tuple[set[date], list[datetime]]:
    """The days on which the cap of a service is reached, and when the holds that count for it run out."""
    if service.daily_cap is None:
        return set(), []
    first, last = (clock.day_of(_instant(second), location.zone) for second in (window[0], window[1] - 1))
    begin, end = map(_instant, slots.days_window(first, (last - first).days + 1, location))
    held = _of_days(holds, holds.c.expires_at, service, location, begin, end).where(holds.c.expires_at > now)
    if but_hold is not None:
        held = held.where(holds.c.id != but_hold)
    visits = _of_days(appointments, null(), service, location, begin, end).where(appointments.c.status.in_(_LIVE))
    rows = db.connection().execute(union_all(held, visits)).all()
    counts = Counter(clock.day_of(starts_at, location.zone) for starts_at, _ in rows)
    full = {day for day, count in counts.items() if count >= service.daily_cap}
    return full, [expires_at for _, expires_at in rows if expires_at is not None]


def _of_days(
    table: Table, expires_at: Any, service: Service, location: Location, begin: datetime, end: datetime
) -> Any:
    return select(table.c.starts_at, expires_at).where(
        table.c.service_id == service.id,
        table.c.location_id == location.id,
        table.c.starts_at >= begin,
        table.c.starts_at < end,
    )


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


_STATE = select(
    select(CatalogState.version).where(CatalogState.id == literal_column("1")).scalar_subquery(),
    select(func.coalesce(func.sum(Calendar.version), 0)).scalar_subquery(),
)
