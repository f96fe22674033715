"""The leads for the staff's programs: the list as CSV and as JSON lines, by the filters of its address."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from flask import Blueprint, Response, request

from booking.database import DatabaseAway
from booking.domain import tabular
from booking.domain.errors import ColumnUnknown, ParametersWrong
from booking.domain.status import LeadStatus
from booking.domain.submission import yes_or_no
from booking.operations import audit, exports
from booking.operations.exports import Export, Filters
from booking.operations.tokens import Bearer
from booking.web.access import bearer
from booking.web.premises import premises

EARLIEST_YEAR, LATEST_YEAR = 1900, 2999
LONGEST_TEXT = 500

staff_leads = Blueprint("staff_leads", __name__)
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Wish:
    """What a query asks for, read and checked."""

    filters: Filters
    columns: tuple[str, ...]
    profile: str

    def as_json(self) -> dict[str, Any]:
        """The wish as plain JSON values, for the audit."""
        columns = list(self.columns) if self.columns != tabular.COLUMNS else "all"
        return {"filters": self.filters.as_json(), "columns": columns, "profile": self.profile}


@staff_leads.get("/staff/leads.csv")
def leads_csv() -> Response:
    """The leads as CSV, in the profile `spreadsheet` or `raw`."""
    who = bearer("leads:export")
    wish = read_wish(request.args, "spreadsheet", ("spreadsheet", "raw"))
    if wish.profile == "raw":
        who.require("leads:export:raw")
    return _file(who, wish, "text/csv; charset=utf-8; header=present", "csv")


@staff_leads.get("/staff/leads.jsonl")
def leads_jsonl() -> Response:
    """The leads as JSON lines."""
    return _file(bearer("leads:export"), read_wish(request.args, "jsonl", ("jsonl",)), "application/jsonl", "jsonl")


def read_wish(query: Mapping[str, str], profile: str, profiles: tuple[str, ...]) -> Wish:
    """Read a query; raises ParametersWrong naming every parameter that is unknown or cannot be read.

    A parameter that is misspelt must not pass in silence: the file would hold leads that nobody asked for.
    """
    errors = {name: ["There is no such parameter."] for name in query if name not in {*_READERS, "columns", "profile"}}
    given: dict[str, Any] = {}
    for name, text in query.items():
        if name not in errors and text.strip():
            try:
                given[name] = _READERS.get(name, str.strip)(text)
            except (ValueError, OverflowError) as wrong:
                errors[name] = [str(wrong)]
    columns, profile = _columns(given.pop("columns", ""), errors), given.pop("profile", profile)
    if profile not in profiles:
        errors["profile"] = [f"Must be {' or '.join(profiles)}."]
    if errors:
        raise ParametersWrong(errors)
    renamed = {{"from": "from_on", "to": "to_on"}.get(name, name): value for name, value in given.items()}
    return Wish(Filters(**renamed), columns, profile)


def _file(who: Bearer, wish: Wish, content_type: str, ending: str) -> Response:
    """Answer with the file; the snapshot stays open until the last byte is out or the client has gone."""
    place = premises()
    zone, now = ZoneInfo(place.clinic.timezone), datetime.now(UTC)
    if request.method != "HEAD":
        _record(who, "export_started", wish.as_json())  # before the snapshot: one connection at a time
    with ExitStack() as opening:
        db = opening.enter_context(place.database.reading())
        rows = exports.count(db, wish.filters, zone=zone)
        export = exports.stream(
            db,
            wish.filters,
            columns=wish.columns,
            profile=wish.profile,
            zone=zone,
            region=place.clinic.region,
            keyring=place.keyring,
        )
        response = Response(content_type=content_type)
        response.headers["X-Row-Count"] = str(rows)
        response.headers["Cache-Control"] = "no-store"
        name = f"leads-{now.astimezone(zone):%Y-%m-%d}.{ending}"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        if request.method != "HEAD":
            response.response = _watched(export, rows, who, wish, opening.pop_all())
    return response


def _watched(export: Export, rows: int, who: Bearer, wish: Wish, snapshot: ExitStack) -> Iterator[bytes]:
    """The bytes of an export; whatever ends it, the snapshot is closed and the audit learns how far it came."""
    try:
        yield from export
    finally:
        snapshot.close()
        facts = {"rows": export.rows, "sha256": export.sha256, "complete": export.rows == rows}
        try:
            _record(who, "export_ended", wish.as_json() | facts | {"unreadable": export.unreadable})
        except DatabaseAway:
            log.error("export_end_not_audited", rows=export.rows, complete=export.rows == rows)


def _record(who: Bearer, action: str, details: dict[str, Any]) -> None:
    with premises().database.transaction() as db:
        audit.record(db, actor=who.actor, action=action, details=details, now=datetime.now(UTC))
