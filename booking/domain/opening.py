"""Opening: whether somebody is at the clinic now, and if not, when the next one comes."""

from datetime import UTC, datetime

from booking.domain import clock, slots
from booking.domain.catalog import Catalog

LOOK_AHEAD_DAYS = 21


def opens_at(catalog: Catalog, now: datetime) -> datetime | None:
    """When somebody is there next, in UTC: `now` itself while somebody is; None if nobody comes for weeks."""
    spans = [
        span
        for location in catalog.locations
        for practitioner in catalog.practitioners
        for span in slots.opening_spans(
            catalog,
            practitioner,
            location,
            slots.days_window(clock.day_of(now, location.zone), LOOK_AHEAD_DAYS, location),
        )
    ]
    if any(start <= now.timestamp() < end for start, end in spans):
        return now
    coming = min((start for start, _ in spans if start > now.timestamp()), default=None)
    return datetime.fromtimestamp(coming, UTC) if coming is not None else None
