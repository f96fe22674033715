"""The leads for the staff's programs: the list as CSV and as JSON lines, by the filters of its address."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from flask import Blueprint, Response, request

from booking.database import Database, DatabaseAway
from booking.domain import criteria, tabular
from booking.domain.errors import ColumnUnknown, ParametersWrong
from booking.operations import audit, exports
from booking.operations.exports import Export, Filters
from booking.operations.tokens import Bearer
from booking.web.access import bearer
from booking.web.premises import premises

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
    """Answer with the file; its snapshot stays open until the last byte is out or the client has gone."""
    place, now = premises(), datetime.now(UTC)
    zone = ZoneInfo(place.clinic.timezone)
    response = Response(iter(()), content_type=content_type, headers={"Cache-Control": "no-store"})
    name = f"leads-{now.astimezone(zone):%Y-%m-%d}.{ending}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    if request.method != "HEAD":
        _record(place.database, who, "export_started", wish.as_json())  # first: nobody gets a byte unrecorded
    with ExitStack() as opening:
        db = opening.enter_context(place.database.reading())
        rows = exports.count(db, wish.filters, zone=zone)
        response.headers["X-Row-Count"] = str(rows)
        if request.method != "HEAD":
            export = exports.stream(
                db,
                wish.filters,
                columns=wish.columns,
                profile=wish.profile,
                zone=zone,
                region=place.clinic.region,
                keyring=place.keyring,
            )
            response.response = export
            # On close, which comes also when the client goes before the first byte; a generator's end would not.
            response.call_on_close(partial(_end, place.database, opening.pop_all(), export, rows, who, wish))
    return response


def _end(database: Database, snapshot: ExitStack, export: Export, rows: int, who: Bearer, wish: Wish) -> None:
    """Close the snapshot and record how far the export came."""
    facts = {"rows": export.rows, "sha256": export.sha256, "unreadable": export.unreadable}
    complete = export.finished and export.rows == rows
    try:
        snapshot.close()
        _record(database, who, "export_ended", wish.as_json() | facts | {"complete": complete})
    except DatabaseAway:
        log.error("export_end_not_audited", rows=export.rows, complete=complete)  # noqa: TRY400 — a fact, no trace


def _record(database: Database, who: Bearer, action: str, details: dict[str, Any]) -> None:
    with database.transaction() as db:
        audit.record(db, actor=who.actor, action=action, details=details, now=datetime.now(UTC))


def _columns(text: str, errors: dict[str, list[str]]) -> tuple[str, ...]:
    try:
        return tabular.choose(text)
    except ColumnUnknown as unknown:
        errors["columns"] = [str(unknown)]
        return tabular.COLUMNS


_READERS: dict[str, Callable[[str], Any]] = {
    "status": criteria.states,
    "service": criteria.text,
    "from": criteria.day,
    "to": criteria.day,
    "q": criteria.text,
    "held": criteria.flag,
    "urgent": criteria.flag,
    "incomplete": criteria.flag,
    "since": criteria.instant,
}
