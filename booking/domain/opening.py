"""Opening: whether the clinic is open now and until when, and if not, when it opens next."""

from datetime import UTC, date, datetime

from booking.domain import clock, slots
from booking.domain.catalog import Catalog

LOOK_AHEAD_DAYS = 21


def open_until(catalog: Catalog, now: datetime) -> datetime | None:
    """Until when it is open today, in UTC; None while it is closed."""
    latest = max((end for start, end in _days(catalog, now) if start <= now.timestamp() < end), default=None)
    return datetime.fromtimestamp(latest, UTC) if latest is not None else None


def opens_at(catalog: Catalog, now: datetime) -> datetime | None:
    """When it opens next, in UTC: `now` itself while it is open; None if nobody comes for weeks."""
    days = _days(catalog, now)
    if any(start <= now.timestamp() < end for start, end in days):
        return now
    coming = min((start for start, _ in days if start > now.timestamp()), default=None)
    return datetime.fromtimestamp(coming, UTC) if coming is not None else None


def _days(catalog: Catalog, now: datetime) -> list[tuple[int, int]]:
    """From when to when it is open, on each day at each place: while all are at lunch the clinic is not closed."""
    found: dict[tuple[int, date], tuple[int, int]] = {}
    for location in catalog.locations:
        window = slots.days_window(clock.day_of(now, location.zone), LOOK_AHEAD_DAYS, location)
        for practitioner in catalog.practitioners:
            for start, end in slots.opening_spans(catalog, practitioner, location, window):
                day = location.id, clock.day_of(datetime.fromtimestamp(start, UTC), location.zone)
                first, last = found.get(day, (start, end))
                found[day] = min(first, start), max(last, end)
    return list(found.values())
