"""Leads as a table: the columns for ever, and how each is written for people, for machines, and read again.

Text that a spreadsheet would take for a formula is defused by one reversible rule: an apostrophe goes in
front when the first character after white space and invisible marks is one of `= + - @`, their full-width
forms, TAB, CR or LF, and also when such a text already has apostrophes in front; who takes away exactly one
has the original. The rule is about formulas alone: a spreadsheet still rounds an id of more than 15 digits
when a file is opened by a double click. Take ids from `raw` or JSON lines, or import the column as text.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from booking.domain.contact import dialled, read_phone
from booking.domain.errors import CannotRead, ColumnUnknown
from booking.domain.fields import CLICK_IDS, UTM
from booking.domain.submission import yes_or_no

# Stable for ever, for somebody's script counts on it: new ones go to the end.
COLUMNS = (
    "reference", "received_at", "status", "urgent", "held", "held_reasons",
    "name", "email", "phone", "message", "service", "practitioner", "location", "preferred_times",
    "contact_preference", "new_patient", "consent_reply", "consent_marketing", "page_url", "referrer",
    *UTM, *CLICK_IDS, "extras", "door", "incomplete", "phone_typed", "updated_at",
    "undelivered",
)  # fmt: skip
TIMES = ("received_at", "updated_at")
FLAGS = ("urgent", "held", "new_patient", "consent_reply", "consent_marketing", "incomplete")
PROFILES = ("spreadsheet", "raw", "jsonl")
BOM = "\ufeff"

# Unicode's white space, the C0 and C1 controls, and marks that take no room, BOM among them.
_INVISIBLE = (
    r"\s\x00-\x20\x7f-\xa0\u00ad\u034f\u061c\u180e\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
)
_FORMULA = re.compile(rf"'*[{_INVISIBLE}]*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_HEADER = re.compile(rf"({'|'.join(COLUMNS)})(?: \(([^)]+)\))?")
_AMERICAN = re.compile(r"\((\d{3})\) (\d{3})-(\d{4})", re.ASCII)
# What a spreadsheet, or Webflow, makes of a time; American order, for the clinic is.
_TIMES = (
    "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p", "%m/%d/%Y",
    "%b %d, %Y %I:%M %p", "%B %d, %Y %I:%M %p", "%b %d %Y %I:%M %p", "%b %d, %Y", "%B %d, %Y",
)  # fmt: skip

Columns = Mapping[str, Sequence[Any]]
Convert = Callable[[Sequence[Any]], Sequence[Any]]
# Lines are joined by hand, column by column: the csv module takes twice the time, for it looks at every letter.
_QUOTED_CELLS = '","'.join
_SPECIAL = re.compile('[",\r\n]')
_json = json.JSONEncoder(ensure_ascii=False).encode


class Layout(Protocol):
    """One way to write leads: `head` opens the file, `block` writes some leads given by column."""

    @property
    def head(self) -> bytes: ...

    def block(self, values: Columns) -> bytes: ...


def choose(text: str) -> tuple[str, ...]:
    """The columns of a comma-separated list, all of them for an empty one; raises ColumnUnknown."""
    chosen = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in chosen if name not in COLUMNS]
    if unknown:
        raise ColumnUnknown(f"There is no column {', '.join(unknown)}; there are {', '.join(COLUMNS)}.")
    return chosen or COLUMNS


def layout(profile: str, columns: Sequence[str], zone: tzinfo, region: str) -> Layout:
    """The layout of a profile: `spreadsheet` for people, `raw` and `jsonl` for machines and without loss."""
    if profile == "jsonl":
        return JsonLines(columns)
    return Spreadsheet(columns, zone, region) if profile == "spreadsheet" else Raw(columns)


def guard(text: str) -> str:
    """The text, with an apostrophe in front where a spreadsheet would compute it."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguard(text: str) -> str:
    """What `guard` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


class Spreadsheet:
    """For people: UTF-8 with BOM, all fields quoted, local time, phones as dialled, yes and no, no formulas."""

    def __init__(self, columns: Sequence[str], zone: tzinfo, region: str) -> None:
        self._columns = columns
        names = [f"{name} ({zone})" if name in TIMES else name for name in columns]
        self.head = f'{BOM}"{_QUOTED_CELLS(names)}"\r\n'.encode()
        convert: dict[str, Convert] = dict.fromkeys(FLAGS, _flags({True: "yes", False: "no", None: ""}))
        convert |= dict.fromkeys(TIMES, _local(zone))
        convert["phone"] = lambda phones: [guard(_dialled(phone, region)) for phone in phones]
        convert["held_reasons"] = lambda lists: _doubled([guard("\n".join(reasons)) for reasons in lists])
        convert["extras"] = lambda extras: _doubled([_json(extra) if extra else "" for extra in extras])
        self._convert = [convert.get(name, _guarded) for name in columns]

    def block(self, values: Columns) -> bytes:
        """Some leads as lines, in the order given."""
        cells = [convert(values[name]) for convert, name in zip(self._convert, self._columns, strict=True)]
        lines = [f'"{line}"' for line in map(_QUOTED_CELLS, zip(*cells, strict=True))]
        return _encoded("\r\n".join([*lines, ""]))


class Raw:
    """For machines: plain RFC 4180; UTC with microseconds, E.164, true and false, JSON, nothing defused."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self.head = f"{','.join(columns)}\r\n".encode()
        convert: dict[str, Convert] = dict.fromkeys(FLAGS, _flags({True: "true", False: "false", None: ""}))
        convert |= dict.fromkeys(TIMES, _instants)
        convert |= dict.fromkeys(("held_reasons", "extras"), lambda values: _quoted([*map(_json, values)]))
        self._convert = [convert.get(name, _quoted) for name in columns]
        self._nothing = '""' if len(columns) == 1 else ""  # a line with nothing on it would be no record

    def block(self, values: Columns) -> bytes:
        """Some leads as lines, in the order given."""
        cells = [convert(values[name]) for convert, name in zip(self._convert, self._columns, strict=True)]
        lines = [line or self._nothing for line in map(",".join, zip(*cells, strict=True))]
        return _encoded("\r\n".join([*lines, ""]))


class JsonLines:
    """For machines: one JSON object for each lead, with the columns as keys and values of their own types."""

    head = b""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns

    def block(self, values: Columns) -> bytes:
        """Some leads as lines, in the order given."""
        cells = [_instants(values[name]) if name in TIMES else values[name] for name in self._columns]
        lines = [_json(dict(zip(self._columns, row, strict=True))) for row in zip(*cells, strict=True)]
        return _encoded("\n".join([*lines, ""]))


@dataclass(frozen=True)
class Heading:
    """What the first line of a file of ours says: its columns (foreign ones by their names) and its profile."""

    columns: tuple[str, ...]
    spreadsheet: bool
    zone: tzinfo


def recognise(header: Sequence[str], *, marked: bool) -> Heading | None:
    """Read the header of a file; None if it is not one of ours. `marked` says that a BOM stood before it."""
    named = [_HEADER.fullmatch(label.strip()) for label in header]
    columns = tuple(match[1] if match else label for match, label in zip(named, header, strict=True))
    zones = {match[2] for match in named if match and match[2]}
    if "reference" not in columns or ("received_at" not in columns and set(columns) - set(COLUMNS)):
        return None
    try:
        zone = ZoneInfo(zones.pop()) if zones else UTC
    except (ValueError, LookupError, OSError):
        raise CannotRead("The header names a time zone that does not exist.") from None
    timed = not set(TIMES).isdisjoint(columns)  # such a header says more than a BOM, which some editor may have added
    return Heading(columns, spreadsheet=zone is not UTC if timed else marked, zone=zone)


def read_row(cells: Mapping[str, str], heading: Heading, region: str, after: datetime | None = None) -> dict[str, Any]:
    """One line of a file of ours as typed values by column; raises CannotRead naming the column.

    Columns the file lacks are left out, a foreign column becomes an extra. `after` is the instant of the line
    before: it decides between the two meanings of a local time in the hour that autumn repeats.
    """
    texts = {name: unguard(cell) for name, cell in cells.items()} if heading.spreadsheet else dict(cells)
    values: dict[str, Any] = {name: texts[name] for name in COLUMNS if name in texts}
    for name in TIMES:
        if values.pop(name, ""):
            values[name] = after = _named(name, read_time, texts[name], heading.zone, after)
    values |= {name: yes_or_no(texts[name]) for name in FLAGS if name in texts}
    if texts.get("phone") and heading.spreadsheet:
        values["phone"] = _named("phone", _read_number, texts["phone"], region)
    if "held_reasons" in texts:
        values["held_reasons"] = _named("held_reasons", _read_reasons, texts["held_reasons"], heading)
    foreign = {name: text for name, text in texts.items() if name not in COLUMNS and text}
    if foreign or "extras" in texts:
        values["extras"] = _named("extras", _read_extras, texts.get("extras", "")) | foreign
    return values


def read_time(text: str, zone: tzinfo, after: datetime | None = None) -> datetime:
    """An instant as people and programs write it, in UTC; without an offset it is a local time of `zone`."""
    time = _read_time(text.strip())
    if time.tzinfo is not None:
        return time.astimezone(UTC)
    first, second = (time.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if after is not None and first < after.replace(microsecond=0) <= second:
        return second
    return first


def cells_of(values: Mapping[str, Any]) -> dict[str, str]:
    """A JSON line's values as cells of the raw profile, so that both are read alike."""
    return {name: _cell(value) for name, value in values.items()}


def _dialled(e164: str, region: str) -> str:
    """A number as people dial it, or as E.164 where that alone leads back to the same number."""
    shown = dialled(e164, region)
    # Reading each number of the home country again would take longer than all the rest of an export.
    exact = _AMERICAN.fullmatch(shown) if region == "US" else None
    return shown if exact or read_phone(shown, region).e164 == e164 else e164


def _encoded(text: str) -> bytes:
    # A lone surrogate is refused at every door; should one be there all the same, it must not end the export.
    return text.encode("utf-8", "backslashreplace")


def _guarded(texts: Sequence[Any]) -> Sequence[Any]:
    # Most texts are empty or begin with a letter: the pattern is for the others.
    if not any(texts):
        return texts
    return _doubled([text if not text or text[0].isalnum() else guard(text) for text in texts])


def _doubled(texts: Sequence[str]) -> Sequence[str]:
    return [text.replace('"', '""') for text in texts] if '"' in "".join(texts) else texts


def _quoted(texts: Sequence[Any]) -> Sequence[Any]:
    if not any(texts):
        return texts
    special = _SPECIAL.search
    return ['"' + text.replace('"', '""') + '"' if special(text) else text for text in texts]


def _flags(words: dict[bool | None, str]) -> Convert:
    return lambda values: [*map(words.__getitem__, values)]


def _local(zone: tzinfo) -> Convert:
    return lambda times: [time.astimezone(zone).isoformat(" ", "seconds")[:19] for time in times]


def _instants(times: Sequence[Any]) -> Sequence[Any]:
    return [f"{time.isoformat(timespec='microseconds')[:26]}Z" for time in times]


def _named(column: str, read: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise CannotRead(f"The column {column} cannot be read.", column) from None


def _read_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        for style in _TIMES:
            with suppress(ValueError):
                return datetime.strptime(text, style)  # noqa: DTZ007 — the caller gives it its zone
        raise


def _read_number(text: str, region: str) -> str:
    if region == "US" and (exact := _AMERICAN.fullmatch(text)):
        return "+1" + "".join(exact.groups())  # also `(011) …`, which would else be read as a call abroad
    phone = read_phone(text, region)
    if phone.problem:
        raise ValueError(phone.problem)
    return phone.e164


def _read_reasons(text: str, heading: Heading) -> list[str]:
    if heading.spreadsheet or not text:
        return text.split("\n") if text else []
    reasons = json.loads(text)
    if not isinstance(reasons, list) or not all(isinstance(reason, str) for reason in reasons):
        raise ValueError("not a list of texts")
    return reasons


def _read_extras(text: str) -> dict[str, Any]:
    extras = json.loads(text or "{}")
    if not isinstance(extras, dict):
        raise TypeError("not an object")
    return extras


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else _json(value)
