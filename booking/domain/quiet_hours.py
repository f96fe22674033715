"""Quiet hours: when a person may be sent a text, on every clock that may be theirs."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from booking.domain import clock, contact

FROM, UNTIL = time(8), time(20)
# What would be due at night is due in the evening before, with time enough to send it.
EVENING = time(19)
# Clocks that have no waking hour in common are given up after so many: then the last of them decides.
MOST_STEPS = 12


def clocks(phone: str, here: ZoneInfo) -> list[ZoneInfo]:
    """The clocks that may be a person's: the one where their visit is, and those where their number is at home.

    A zone that this machine does not know is left out: this is asked while an enquiry is being stored.
    """
    return [here, *(zone for name in contact.time_zones(phone) if (zone := _zone(name)) is not None)]


def next_time(zones: Sequence[ZoneInfo], now: datetime) -> datetime:
    """`now` if a text may be sent by each of the clocks, or else when it may again."""
    for _ in range(MOST_STEPS):
        asleep = [morning for zone in zones if (morning := _morning(zone, now)) > now]
        if not asleep:
            break
        now = asleep[-1]
    return now


def time_before(zones: Sequence[ZoneInfo], at: datetime) -> datetime:
    """`at` if a text may be sent then, or else the evening before."""
    for _ in range(MOST_STEPS):
        asleep = [_evening(zone, at) for zone in zones if _morning(zone, at) > at]
        if not asleep:
            break
        at = asleep[-1]
    return at


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        return None


def _morning(zone: ZoneInfo, now: datetime) -> datetime:
    wall = now.astimezone(zone)
    if FROM <= wall.time() < UNTIL:
        return now
    today = clock.day_of(now, zone)
    day = today if wall.time() < FROM else clock.day_after(today, 1)
    return clock.instant_at(f"{day}T{FROM:%H:%M}", zone, now).astimezone(UTC)


def _evening(zone: ZoneInfo, at: datetime) -> datetime:
    today = clock.day_of(at, zone)
    day = today if at.astimezone(zone).time() >= UNTIL else clock.day_after(today, -1)
    return clock.instant_at(f"{day}T{EVENING:%H:%M}", zone, at).astimezone(UTC)
