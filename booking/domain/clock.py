"""Clock: where wall times become instants and back; the only room that knows of time zones, gaps and repeated hours."""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

# RFC 3339; a space for the T, and small letters, are allowed there too.
INSTANT = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]([01]\d|2[0-3]):\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)?", re.ASCII
)
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
ONE_MINUTE, ONE_DAY = timedelta(minutes=1), timedelta(days=1)
# Between these, every time of a day is an instant in every zone.
FIRST_DAY, LAST_DAY = date.min + ONE_DAY, date.max - ONE_DAY


class NoInstant(ValueError):
    """A text does not say which instant is meant; its text says why, for the visitor."""


def read_instant(text: str, zone: ZoneInfo) -> datetime:
    """The instant that an RFC 3339 text names, in UTC; raises NoInstant, in words about the clock of `zone`."""
    if not INSTANT.fullmatch(text):
        raise NoInstant("This is not a time such as 2026-12-01T10:00:00-05:00.")
    try:
        found = datetime.fromisoformat(text.upper())
        if found.tzinfo is not None:
            found.astimezone(zone)  # what cannot be shown on our clock is refused here, not where it is shown
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise NoInstant("There is no such day or time.") from None
    raise NoInstant(_why_a_zone_is_needed(found, zone))


def days(first: date, last: date, zone: ZoneInfo) -> dict[date, int | None]:
    """Each day from the first to the last with the instant at which it begins, or None if its clock jumps.

    From there on its wall times are plain sums: so a zone is asked once a day, whoever keeps whatever hours.
    """
    found: dict[date, int | None] = {}
    wall = datetime(first.year, first.month, first.day)  # noqa: DTZ001 - what a wall shows has no zone
    offset = _offset(wall, zone)
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        on, before = wall.date(), offset
        wall += ONE_DAY
        offset = _offset(wall, zone)
        # Of a midnight that the clock skips, the reading before the jump counts: the jump belongs to the next day.
        # (Only Toronto, in 1919, ever jumped over a midnight from before it.)
        found[on] = (ordinal - EPOCH_ORDINAL) * 86400 - offset if offset == before else None
    return found


@lru_cache(4096)
def instant_of(on: date, minutes: int, zone: ZoneInfo) -> int:
    """The first instant (UNIX seconds) of a day whose wall clock shows `minutes` after midnight, or more.

    A time the clock skips is the end of the gap; of a time it shows twice the first is meant.
    """
    naive = datetime(on.year, on.month, on.day) + minutes * ONE_MINUTE  # noqa: DTZ001 - no zone, as above
    again = datetime(naive.year, naive.month, naive.day, naive.hour, naive.minute, fold=1)  # noqa: DTZ001 - as above
    wall = (on.toordinal() - EPOCH_ORDINAL) * 86400 + 60 * minutes
    first, second = wall - _offset(naive, zone), wall - _offset(again, zone)
    # In a gap the two readings change places: the clock jumps somewhere between them.
    return first if first <= second else _jump(second, first, zone)


def wall_of(instant: datetime, zone: ZoneInfo) -> str:
    """What the wall clock of `zone` shows at an instant: `2026-12-01T10:00`."""
    return _shown(instant.astimezone(zone))


def instant_at(wall: str, zone: ZoneInfo, near: datetime) -> datetime:
    """The instant at which the wall clock shows `wall`; where it does so twice, the one nearer to `near`.

    A time that the clock skips is the end of the gap.
    """
    naive = datetime.fromisoformat(wall)
    found = [naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    true = [instant for instant in found if wall_of(instant, zone) == wall]
    if true:
        return min(true, key=lambda instant: abs(instant - near))
    end = instant_of(naive.date(), naive.hour * 60 + naive.minute, zone)
    return datetime.fromtimestamp(end, UTC)


def wall_minus(wall: datetime, minutes: int) -> str:
    """A wall time some minutes of the wall clock earlier, as `wall_of` writes it."""
    return _shown(wall - timedelta(minutes=minutes))


def day_of(instant: datetime, zone: ZoneInfo) -> date:
    """The day it is in `zone` at an instant."""
    return instant.astimezone(zone).date()


def day_after(on: date, days: int) -> date:
    """The day some days later; at the ends of the calendar, the nearest one that every zone has."""
    ordinal = min(max(on.toordinal() + days, FIRST_DAY.toordinal()), LAST_DAY.toordinal())
    return date.fromordinal(ordinal)


def midnight(on: date, zone: ZoneInfo) -> int:
    """When a day begins (UNIX seconds), also where its clock skips midnight."""
    return instant_of(on, 0, zone)


def _shown(wall: datetime) -> str:
    return wall.replace(tzinfo=None).isoformat(timespec="minutes")


def _why_a_zone_is_needed(naive: datetime, zone: ZoneInfo) -> str:
    offsets = {_offset(naive.replace(fold=fold), zone) for fold in (0, 1)}
    if len(offsets) == 1:
        return "The time must say its offset from UTC, as in 2026-12-01T10:00:00-05:00."
    shown = f"{naive:%H:%M} on {naive.date()}"
    skipped = instant_of(naive.date(), naive.hour * 60 + naive.minute, zone)
    if wall_of(datetime.fromtimestamp(skipped, UTC), zone) != _shown(naive):
        return f"There is no {shown} on our clock: it goes forward over that time."
    return f"The clock shows {shown} twice: the time must say its offset from UTC."


def _offset(wall: datetime, zone: ZoneInfo) -> int:
    """How far (seconds) the clock of `zone` is ahead of UTC when it shows a wall time."""
    offset = zone.utcoffset(wall)  # several times as fast as to ask the datetime
    return offset.days * 86400 + offset.seconds if offset is not None else 0


def _jump(low: int, high: int, zone: ZoneInfo) -> int:
    """The second between `low` and `high` at which the clock of `zone` jumps."""
    before = _offset(datetime.fromtimestamp(low, zone), zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(datetime.fromtimestamp(middle, zone), zone) == before:
            low = middle
        else:
            high = middle
    return high
