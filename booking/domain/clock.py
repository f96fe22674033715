"""Clock: where wall times become instants and back; the only room that knows of time zones, gaps and repeated hours."""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTES_OF_A_DAY = 1440
# RFC 3339; a space for the T, and small letters, are allowed there too.
INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6}\d*)?)?([Zz]|[+-]\d{2}:\d{2})?")
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
ONE_DAY = timedelta(days=1)


class NoInstant(ValueError):
    """A text does not say which instant is meant; its text says why, for the visitor."""


def read_instant(text: str, zone: ZoneInfo) -> datetime:
    """The instant that an RFC 3339 text names, in UTC; raises NoInstant, in words about the clock of `zone`."""
    if not INSTANT.fullmatch(text):
        raise NoInstant("This is not a time such as 2026-12-01T10:00:00-05:00.")
    try:
        found = datetime.fromisoformat(_trimmed(text))
    except ValueError:
        raise NoInstant("There is no such day or time.") from None
    if found.tzinfo is None:
        raise NoInstant(_why_a_zone_is_needed(found, zone))
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise NoInstant("There is no such day or time.") from None


@lru_cache(8192)
def span_of(on: date, opens: int, closes: int, zone: ZoneInfo) -> tuple[int, int]:
    """From when until when (UNIX seconds) two wall times of a day last; the same for all who keep these hours."""
    return instant_of(on, opens, zone), instant_of(on, closes, zone)


def instant_of(on: date, minutes: int, zone: ZoneInfo) -> int:
    """The first instant (UNIX seconds) of a day whose wall clock shows `minutes` after midnight, or more.

    A time the clock skips is the end of the gap; of a time it shows twice the first is meant.
    """
    midnight = _even_midnight(on, zone)
    return _instant_of_uneven_day(on, minutes, zone) if midnight is None else midnight + 60 * minutes


def wall_of(instant: datetime, zone: ZoneInfo) -> str:
    """What the wall clock of `zone` shows at an instant: `2026-12-01T10:00`."""
    return instant.astimezone(zone).strftime("%Y-%m-%dT%H:%M")


def instant_at(wall: str, zone: ZoneInfo, near: datetime) -> datetime:
    """The instant at which the wall clock shows `wall`; where it does so twice, the one nearer to `near`.

    A time that the clock skips is the end of the gap.
    """
    naive = datetime.fromisoformat(wall)
    found = {naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    true = [instant for instant in found if wall_of(instant, zone) == wall]
    if true:
        return min(true, key=lambda instant: abs(instant - near))
    end = instant_of(naive.date(), naive.hour * 60 + naive.minute, zone)
    return datetime.fromtimestamp(end, UTC)


def wall_minus(wall: datetime, minutes: int) -> str:
    """A wall time some minutes of the wall clock earlier, as `wall_of` writes it."""
    return (wall - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M")


def day_of(instant: datetime, zone: ZoneInfo) -> date:
    """The day it is in `zone` at an instant."""
    return instant.astimezone(zone).date()


def midnight(on: date, zone: ZoneInfo) -> int:
    """When a day begins (UNIX seconds), also where its clock skips midnight."""
    return instant_of(on, 0, zone)


def _trimmed(text: str) -> str:
    text = text.upper().replace(" ", "T")
    return re.sub(r"(\.\d{6})\d+", r"\1", text)


def _why_a_zone_is_needed(naive: datetime, zone: ZoneInfo) -> str:
    offsets = {_offset(naive.replace(tzinfo=zone, fold=fold)) for fold in (0, 1)}
    shown = f"{naive:%H:%M} on {naive:%Y-%m-%d}"
    if len(offsets) == 1:
        return "The time must say its offset from UTC, as in 2026-12-01T10:00:00-05:00."
    skipped = instant_of(naive.date(), naive.hour * 60 + naive.minute, zone)
    if wall_of(datetime.fromtimestamp(skipped, UTC), zone) != f"{naive:%Y-%m-%dT%H:%M}":
        return f"There is no {shown} on our clock: it goes forward over that time."
    return f"The clock shows {shown} twice: the time must say its offset from UTC."


@lru_cache(4096)
def _even_midnight(on: date, zone: ZoneInfo) -> int | None:
    """When a day begins if its clock does not jump: most days, for which this is all that must be asked of a zone."""
    midnight = datetime(on.year, on.month, on.day, 0, 0, 0, 0, zone)
    offset = midnight.utcoffset()
    # Of a midnight that the clock skips, the reading before the jump counts: the jump belongs to the next day. (Only
    # Toronto, in 1919, ever jumped over a midnight from before it.)
    if offset is None or offset != (midnight + ONE_DAY).utcoffset():
        return None
    return (on.toordinal() - EPOCH_ORDINAL - offset.days) * 86400 - offset.seconds


def _instant_of_uneven_day(on: date, minutes: int, zone: ZoneInfo) -> int:
    naive = datetime.combine(on, datetime.min.time()) + timedelta(minutes=minutes)
    wall = (naive.toordinal() - EPOCH_ORDINAL) * 86400 + naive.hour * 3600 + naive.minute * 60
    first, second = (wall - _offset(naive.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    # In a gap the two readings change places: the clock jumps somewhere between them.
    return first if first <= second else _jump(second, first, zone)


def _offset(aware: datetime) -> int:
    offset = aware.utcoffset()
    return offset.days * 86400 + offset.seconds if offset is not None else 0


def _jump(low: int, high: int, zone: ZoneInfo) -> int:
    """The second between `low` and `high` at which the clock of `zone` jumps."""
    before = _offset(datetime.fromtimestamp(low, zone))
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(datetime.fromtimestamp(middle, zone)) == before:
            low = middle
        else:
            high = middle
    return high
