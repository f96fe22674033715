"""The calendar file: one visit in iCalendar's words (RFC 5545 and 5546), saying when and where and nothing of why."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import quote
from zoneinfo import ZoneInfo

SECOND, WEEK = timedelta(seconds=1), timedelta(weeks=1)
SECONDS_OF_A_WEEK = WEEK // SECOND
LONGEST_LINE = 75  # octets, the line's end not counted
WALL, INSTANT = "%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ"
ESCAPES = str.maketrans({"\\": r"\\", ";": r"\;", ",": r"\,", **dict.fromkeys(map(chr, [*range(32), 127]))})


@dataclass(frozen=True, slots=True)
class Visit:
    """Everything the file may say; whatever is not here cannot leak into somebody's shared calendar.

    The `uid` is one for the life of the visit, and `sequence` rises with each change of it, a cancellation too.
    `title` is for other people's eyes as well: "Appointment, Serenoa", and no service. Only a file that goes to the
    visitor by letter names them in `attendee`; one that is fetched by a link leaves it empty.
    """

    uid: str
    sequence: int
    cancelled: bool
    starts_at: datetime
    ends_at: datetime
    timezone: str
    title: str
    place: str
    clinic_email: str
    stamped_at: datetime
    attendee: str = ""
    tentative: bool = False

    @property
    def method(self) -> str:
        """What the file asks of a calendar."""
        return "CANCEL" if self.cancelled else "REQUEST"

    @property
    def media_type(self) -> str:
        """The type to send the file under; RFC 5545 wants the method named there as in the file."""
        return f"text/calendar; method={self.method}; charset=utf-8"


def write(visit: Visit) -> bytes:
    """The file: in UTF-8, lines ended by CRLF and folded; the same visit always gives the same bytes."""
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//booking//calendar file//EN",
        f"METHOD:{visit.method}",
        *_zone(visit.timezone, visit.starts_at.year),
        *_event(visit),
        "END:VCALENDAR",
    )
    return b"".join(_folded(line.encode()) for line in lines)


def _zone(name: str, year: int) -> Iterator[str]:
    """The clock of a zone, with every change it makes in a year, the year before and the year after."""
    zone, first = ZoneInfo(name), datetime(year - 1, 1, 1, tzinfo=UTC)
    yield "BEGIN:VTIMEZONE"
    yield f"TZID:{name}"
    yield from _observance(zone, first)
    for change in _changes(zone, first, datetime(year + 2, 1, 1, tzinfo=UTC)):
        yield from _observance(zone, change)
    yield "END:VTIMEZONE"


def _changes(zone: ZoneInfo, first: datetime, last: datetime) -> Iterator[datetime]:
    """The instants at which the clock of a zone is set forward or back; no zone does so twice in a week."""
    while first < last:
        if _offset(zone, first) != _offset(zone, first + WEEK):
            yield first + bisect_left(range(SECONDS_OF_A_WEEK), x=True, key=partial(_has_changed, zone, first)) * SECOND
        first += WEEK


def _has_changed(zone: ZoneInfo, since: datetime, seconds: int) -> bool:
    return _offset(zone, since + seconds * SECOND) != _offset(zone, since)


def _offset(zone: ZoneInfo, at: datetime) -> timedelta | None:
    return at.astimezone(zone).utcoffset()


def _observance(zone: ZoneInfo, onset: datetime) -> Iterator[str]:
    """What the clock of a zone shows from an instant on."""
    before, after = (onset - SECOND).astimezone(zone), onset.astimezone(zone)
    kind = "DAYLIGHT" if after.dst() else "STANDARD"
    yield f"BEGIN:{kind}"
    # The onset is told by the clock that was right until then: 02:00 in spring, a time that it never shows.
    yield f"DTSTART:{before.replace(tzinfo=None) + SECOND:{WALL}}"
    yield f"TZOFFSETFROM:{before:%z}"
    yield f"TZOFFSETTO:{after:%z}"
    yield f"TZNAME:{after.tzname()}"
    yield f"END:{kind}"


def _event(visit: Visit) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{_text(visit.uid)}"
    yield f"SEQUENCE:{visit.sequence}"
    yield f"DTSTAMP:{visit.stamped_at.astimezone(UTC):{INSTANT}}"
    yield f"DTSTART{_moment(visit.starts_at, visit.timezone)}"
    yield f"DTEND{_moment(visit.ends_at, visit.timezone)}"
    yield f"SUMMARY:{_text(visit.title)}"
    yield f"LOCATION:{_text(visit.place)}"
    yield f"STATUS:{'CANCELLED' if visit.cancelled else 'TENTATIVE' if visit.tentative else 'CONFIRMED'}"
    # Who shares a calendar with colleagues shows them that the time is taken, and no more.
    yield "CLASS:PRIVATE"
    yield from _people(visit)
    yield "END:VEVENT"


def _people(visit: Visit) -> Iterator[str]:
    """The clinic, as the host who comes as well, and the visitor if the file is a letter to them.

    RFC 5546 refuses a REQUEST that nobody attends, and so do mail programs; yet a file that anybody with its link can
    fetch must not say whose visit it is. The clinic does attend: naming it is enough, and true. All have accepted
    (the visitor chose the time) and are asked for no answer, as a reply by mail would cancel nothing.
    """
    clinic = _address(visit.clinic_email)
    yield f"ORGANIZER:{clinic}"
    yield f"ATTENDEE;ROLE=CHAIR;PARTSTAT=ACCEPTED:{clinic}"
    if visit.attendee:
        yield f"ATTENDEE;PARTSTAT=ACCEPTED:{_address(visit.attendee)}"


def _moment(at: datetime, timezone: str) -> str:
    wall = at.astimezone(ZoneInfo(timezone))
    # Of a time that the clock shows twice iCalendar means the first; only UTC has a name for the second.
    return f":{at.astimezone(UTC):{INSTANT}}" if wall.fold else f";TZID={timezone}:{wall:{WALL}}"


def _text(value: str) -> str:
    """A value in one line, in which nothing can end the line or begin a property."""
    return " ".join(value.split()).translate(ESCAPES)


def _address(email: str) -> str:
    return f"mailto:{quote(email, safe='@+')}"


def _folded(line: bytes) -> bytes:
    """A line in pieces short enough, none of which ends within a character."""
    pieces = []
    while len(line) > LONGEST_LINE:
        end = LONGEST_LINE
        while line[end] & 0b1100_0000 == 0b1000_0000:
            end -= 1
        pieces.append(line[:end])
        line = b" " + line[end:]
    return b"\r\n".join([*pieces, line]) + b"\r\n"
