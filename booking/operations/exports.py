"""Exports: leads chosen by filters, streamed as a file from one snapshot in constant memory."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

import structlog
from sqlalchemy import ColumnElement, CursorResult, Row, Select, Text, cast, func, or_, select
from sqlalchemy.orm import Session

from booking.domain import tabular
from booking.domain.contact import clean_line
from booking.domain.fields import ATTRIBUTION, PURPOSES
from booking.keyring import Keyring, Unreadable
from booking.models.lead import CONTENT, WATCH, Consent, Lead, LeadAlias

BLOCK = 500
SHORTEST_NUMBER = 3
SEALED = ("message", "preferred_times", "extras")
UNREADABLE = {"message": "[cannot be decrypted]", "preferred_times": "", "extras": {}}

_read = json.JSONDecoder().raw_decode  # json.loads without its questions: we wrote these texts ourselves
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Filters:
    """Which leads: an empty filter lets all pass, but incomplete attempts only come when asked for.

    `from_on` and `to_on` are days of the clinic, both included; `since` is an instant, compared with the last
    change; `q` is looked for in name, e-mail, phone and reference.
    """

    status: tuple[str, ...] = ()
    service: str = ""
    from_on: date | None = None
    to_on: date | None = None
    q: str = ""
    held: bool | None = None
    urgent: bool | None = None
    incomplete: bool = False
    since: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """The filters that are set, as plain JSON values, for the audit."""
        given = {name: value for name, value in asdict(self).items() if value not in ((), "", None)}
        return {name: str(value) if isinstance(value, date) else value for name, value in given.items()}


class Export(Iterator[bytes]):
    """A file in the making: iterate for its bytes, and see from its attributes how far it came."""

    def __init__(self, result: CursorResult[Any], layout: tabular.Layout, keyring: Keyring) -> None:
        self.rows = 0
        self.unreadable = 0
        self.finished = False
        self._digest = hashlib.sha256()
        self._keyring = keyring
        self._result = result
        self._chunks = self._write(layout)

    @property
    def sha256(self) -> str:
        """The digest of the bytes given so far, in hex."""
        return self._digest.hexdigest()

    def __next__(self) -> bytes:
        """Some more bytes; the rows in them are counted."""
        chunk = next(self._chunks)
        self._digest.update(chunk)
        return chunk

    def close(self) -> None:
        """Give the cursor back before all is read."""
        self._result.close()

    def _write(self, layout: tabular.Layout) -> Iterator[bytes]:
        if layout.head:
            yield layout.head
        for rows in self._result.partitions():
            chunk = layout.block(self._by_column(rows))
            self.rows += len(rows)
            yield chunk
        self.finished = True
        if self.unreadable:
            log.error("exported_leads_unreadable", leads=self.unreadable)

    def _by_column(self, rows: Sequence[Row[Any]]) -> dict[str, Sequence[Any]]:
        """A block as typed values by column; the sealed ones opened, JSON read."""
        values: dict[str, Sequence[Any]] = dict(zip(rows[0]._fields, zip(*rows, strict=True), strict=True))
        if "content" in values:
            sealed = [self._open(*pair) for pair in zip(values["content"], values["id"], strict=True)]
            values |= {name: [content[name] for content in sealed] for name in SEALED}
        if "attribution" in values:
            found = [_read(text)[0] if text != "{}" else {} for text in values["attribution"]]
            values |= {name: [one.get(name, "") for one in found] for name in ATTRIBUTION}
        if "consents" in values:
            given = [purposes.split(",") if purposes else () for purposes in values["consents"]]
            values |= {name: [purpose in one for one in given] for name, purpose in _CONSENTS.items()}
        if "held_reasons" in values:
            values["held_reasons"] = [_read(text)[0] if text != "[]" else [] for text in values["held_reasons"]]
        return values

    def _open(self, content: bytes, lead_id: int) -> dict[str, Any]:
        try:
            found: dict[str, Any] = _read(self._keyring.open(content, CONTENT, lead_id))[0]
        except Unreadable:
            # One lost key must not keep all other leads from coming out; the reader is told in the row itself.
            self.unreadable += 1
            return UNREADABLE
        return found


def search(filters: Filters, zone: tzinfo) -> Select[Lead]:
    """The leads that pass, as rows of the model, first received first."""
    return select(Lead).where(*_conditions(filters, zone)).order_by(Lead.received_at, Lead.id)


def count(db: Session, filters: Filters, *, zone: tzinfo) -> int:
    """How many leads pass."""
    return db.scalar(select(func.count()).select_from(Lead).where(*_conditions(filters, zone))) or 0


def stream(
    db: Session,
    filters: Filters,
    *,
    columns: Sequence[str],
    profile: str,
    zone: tzinfo,
    region: str,
    keyring: Keyring,
) -> Export:
    """The leads that pass as a file of `profile`; `db` must stay open, best with one snapshot, until it is read."""
    query = search(filters, zone).with_only_columns(*_selected(columns), maintain_column_froms=True)
    # The connection, not the session: nothing here is to become an object.
    result = db.connection().execute(query, execution_options={"yield_per": BLOCK})
    return Export(result, tabular.layout(profile, columns, zone, region), keyring)


def _selected(columns: Sequence[str]) -> list[ColumnElement[Any]]:
    """What must be read for the columns; JSON as text, for most of it says nothing and needs no parsing."""
    chosen = set(columns)
    plain = [getattr(Lead, name) for name in tabular.COLUMNS if name in chosen & _PLAIN]
    if chosen & set(SEALED):
        plain += [Lead.id, Lead.content]
    if chosen & set(ATTRIBUTION):
        plain.append(cast(Lead.attribution, Text).label("attribution"))
    if "held_reasons" in chosen:
        plain.append(cast(Lead.held_reasons, Text).label("held_reasons"))
    if chosen & _CONSENTS.keys():
        # A scalar subquery, because PostgreSQL reads the whole table before the first row for an EXISTS.
        given = select(func.aggregate_strings(Consent.purpose, ",")).where(Consent.lead_id == Lead.id)
        plain.append(given.scalar_subquery().label("consents"))
    return plain


def _conditions(filters: Filters, zone: tzinfo) -> list[ColumnElement[bool]]:
    f = filters
    found: list[tuple[object, ColumnElement[bool]]] = [
        (f.status, Lead.status.in_(f.status)),
        (f.service, Lead.service == f.service),
        (f.held is not None, Lead.held == f.held),
        (f.urgent is not None, Lead.urgent == f.urgent),
        (not f.incomplete, Lead.incomplete.is_(False)),
        (True, Lead.door != WATCH),
    ]
    conditions = [condition for applies, condition in found if applies]
    if f.from_on:
        conditions.append(Lead.received_at >= _midnight(f.from_on, zone))
    if f.to_on:
        conditions.append(Lead.received_at < _midnight(f.to_on + timedelta(days=1), zone))
    if f.since:
        conditions.append(Lead.updated_at >= f.since)
    return [*conditions, _matches(clean_line(f.q))] if f.q.strip() else conditions


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _matches(q: str) -> ColumnElement[bool]:
    # SQLite folds the case of ASCII alone: other alphabets are looked for in each case.
    spellings = {q} if q.isascii() else {q, q.lower(), q.upper(), q.title()}
    found = [Lead.name.icontains(spelling, autoescape=True) for spelling in sorted(spellings)]
    found += [column.icontains(q, autoescape=True) for column in (Lead.email, Lead.reference)]
    found.append(Lead.id.in_(select(LeadAlias.lead_id).where(LeadAlias.reference == q.upper())))
    digits = "".join(letter for letter in q if letter.isascii() and letter.isdigit())
    if len(digits) >= SHORTEST_NUMBER and not set(q) - set("0123456789+-().  "):
        found.append(Lead.phone.contains(digits))
    return or_(*found)


_CONSENTS = {f"consent_{purpose}": purpose for purpose in PURPOSES}
_PLAIN = frozenset(name for name in tabular.COLUMNS if hasattr(Lead, name)) - {"held_reasons"}
