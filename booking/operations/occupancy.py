"""Occupancy: what is taken of the calendars, read to be looked at; only `claims` takes and gives back."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, cast

from sqlalchemy import JSON, BigInteger, Table, bindparam, extract, func, select
from sqlalchemy import cast as in_sql
from sqlalchemy.orm import Session

from booking.domain.slots import Span
from booking.models.appointment import Claim
from booking.operations.claims import LONGEST

NO_HOLD = 0

claims = cast(Table, Claim.__table__)


def taken(
    db: Session,
    calendar_ids: Iterable[int],
    window: tuple[datetime, datetime],
    now: datetime,
    *,
    but_hold: int | None = None,
) -> Iterator[tuple[int, list[Span], datetime | None]]:
    """Of each calendar the live claims of a window, in order and in UNIX seconds, and when the first one expires."""
    asked = {
        "calendars": list(calendar_ids),
        "earliest": window[0] - LONGEST,
        "begin": window[0],
        "end": window[1],
        "now": now,
        "but": but_hold or NO_HOLD,
    }
    connection = db.connection()
    for calendar, spans, expires_at in connection.execute(_TAKEN[connection.dialect.name], asked):
        yield calendar, sorted((start, end) for start, end in spans), expires_at


_c = claims.c
_AT = _c.starts_at.type
# As rows, and as instants, they would have to be read one by one: on SQLite each of them gives the interpreter away.
_SPANS_AS_JSON: dict[str, Callable[[Any, Any], Any]] = {
    "postgresql": lambda start, end: func.json_agg(
        func.json_build_array(func.floor(extract("epoch", start)), func.floor(extract("epoch", end))), type_=JSON
    ),
    "sqlite": lambda start, end: func.json_group_array(
        func.json_array(in_sql(func.strftime("%s", start), BigInteger), in_sql(func.strftime("%s", end), BigInteger)),
        type_=JSON,
    ),
}
_TAKEN = {  # built once: to build it took as long as to run it
    dialect: select(_c.calendar_id, spans(_c.starts_at, _c.ends_at), func.min(_c.expires_at))
    .where(
        _c.calendar_id.in_(bindparam("calendars", expanding=True)),
        _c.starts_at > bindparam("earliest", type_=_AT),
        _c.starts_at < bindparam("end", type_=_AT),
        _c.ends_at > bindparam("begin", type_=_AT),
        _c.expires_at.is_(None) | (_c.expires_at > bindparam("now", type_=_AT)),
        _c.hold_id.is_distinct_from(bindparam("but", type_=_c.hold_id.type)),
    )
    .group_by(_c.calendar_id)
    for dialect, spans in _SPANS_AS_JSON.items()
}
