"""The catalogue, read from the database: its version, all of it, and the copy that a process keeps."""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.orm import Session

from booking import models
from booking.domain.catalog import (
    Catalog,
    Closure,
    ExtraHours,
    Location,
    Practitioner,
    Resource,
    Service,
    WorkingHours,
)
from booking.domain.status import Audience, Bookable

locations = cast(Table, models.Location.__table__)
services = cast(Table, models.Service.__table__)
practitioners = cast(Table, models.Practitioner.__table__)
resources = cast(Table, models.Resource.__table__)
offers = cast(Table, models.Offer.__table__)
working_hours = cast(Table, models.WorkingHours.__table__)
extra_hours = cast(Table, models.ExtraHours.__table__)
closures = cast(Table, models.Closure.__table__)
calendars = cast(Table, models.Calendar.__table__)
state = cast(Table, models.CatalogState.__table__)

YEARS_BEFORE, YEARS_AFTER = 1, 2

Part = TypeVar("Part", Location, Service, Practitioner, Resource)


class CatalogCache:
    """The catalogue as one process last read it; the version is asked for each time, all else only when it changed."""

    def __init__(self) -> None:
        self._kept: tuple[int, Catalog] | None = None

    def current(self, db: Session, on: date, *, hold_still: bool = False) -> Catalog:
        """The catalogue for questions asked on a day; `hold_still` as for `version`."""
        return self.at(db, version(db, hold_still=hold_still), on)

    @property
    def latest(self) -> Catalog | None:
        """The catalogue as it was last read, without asking; None if it never was."""
        return self._kept[1] if self._kept else None

    def at(self, db: Session, number: int, on: date) -> Catalog:
        """The same for who has just asked for the version: no query at all while it is the one that is kept."""
        kept = self._kept  # one look: another thread may put a newer one there meanwhile
        if kept is not None and kept[0] == on.year and kept[1].version == number:
            return kept[1]
        catalog = read(db, on)
        self._kept = (on.year, catalog)
        return catalog


def version(db: Session, *, hold_still: bool = False) -> int:
    """The catalogue's version; `hold_still` lets nobody change the catalogue until this transaction ends."""
    return int(db.connection().execute(_VERSION_HELD if hold_still else _VERSION).scalar_one())


def read(db: Session, on: date) -> Catalog:
    """All of it, in order, with the closures from the year before `on` to two years after it.

    All is of one version if the transaction sees one snapshot, or holds the version still.
    """
    connection = db.connection()
    number = version(db)
    places = _parts(connection, locations, _location)
    offered = _parts(connection, services, _service)
    pairs = _offers(connection, places.active, offered.active)
    staff = _parts(connection, practitioners, lambda row: _practitioner(row, pairs))
    rooms = _parts(connection, resources, _resource)
    who, at = {each.id for each in staff.active}, {each.id for each in places.active}
    return Catalog(
        version=number,
        locations=places.active,
        services=offered.active,
        practitioners=staff.active,
        resources=tuple(each for each in rooms.active if each.location_id in at),
        working_hours=tuple(each for each in _hours(connection) if _is_there(each, who, at)),
        extra_hours=tuple(each for each in _extra_hours(connection) if _is_there(each, who, at)),
        closures=tuple(each for each in _closures(connection, on) if each.location_id in {None, *at}),
        retired=(*places.retired, *offered.retired, *staff.retired, *rooms.retired),
    )


def holidays_end(db: Session) -> date | None:
    """The last public holiday that is known of every location that closes on some; None where none does."""
    connection = db.connection()
    ends = []
    for row in connection.execute(select(locations).where(locations.c.active)):
        if row.holidays:
            own = (closures.c.location_id == row.id, closures.c.reason.in_(row.holidays))
            ends.append(connection.execute(select(func.max(closures.c.ends_on)).where(*own)).scalar() or date.min)
    return min(ends, default=None)


@dataclass(frozen=True)
class _Parts(Generic[Part]):
    """The parts of one table, in order: those that are offered, and those that earlier visits still name."""

    active: tuple[Part, ...]
    retired: tuple[Part, ...]


def _parts(connection: Connection, table: Table, make: Callable[[Any], Part]) -> _Parts[Part]:
    rows = connection.execute(select(table).order_by(table.c.position, table.c.id)).all()
    active, retired = (tuple(make(row) for row in rows if row.active is wanted) for wanted in (True, False))
    return _Parts(active, retired)


def _fields(row: Any, shape: type, **others: Any) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in fields(shape) if field.name not in others} | others


def _location(row: Any) -> Location:
    return Location(**_fields(row, Location))


def _service(row: Any) -> Service:
    words = {"audience": Audience(row.audience), "bookable": Bookable(row.bookable), "needs": tuple(row.needs)}
    return Service(**_fields(row, Service, **words))


def _practitioner(row: Any, pairs: dict[int, set[tuple[int, int]]]) -> Practitioner:
    return Practitioner(**_fields(row, Practitioner, offers=frozenset(pairs.get(row.id, ()))))


def _resource(row: Any) -> Resource:
    return Resource(**_fields(row, Resource))


def _offers(
    connection: Connection, places: Iterable[Location], offered: Iterable[Service]
) -> dict[int, set[tuple[int, int]]]:
    """The pairs of service and location, both active, that each practitioner offers."""
    at, what = {each.id for each in places}, {each.id for each in offered}
    pairs: dict[int, set[tuple[int, int]]] = {}
    for row in connection.execute(select(offers)):
        if row.service_id in what and row.location_id in at:
            pairs.setdefault(row.practitioner_id, set()).add((row.service_id, row.location_id))
    return pairs


def _is_there(hours: WorkingHours | ExtraHours, who: AbstractSet[int], at: AbstractSet[int]) -> bool:
    return hours.practitioner_id in who and hours.location_id in at


def _hours(connection: Connection) -> Iterator[WorkingHours]:
    c = working_hours.c
    for row in connection.execute(select(working_hours).order_by(c.practitioner_id, c.weekday, c.opens, c.id)):
        yield WorkingHours(**_fields(row, WorkingHours))


def _extra_hours(connection: Connection) -> Iterator[ExtraHours]:
    c = extra_hours.c
    for row in connection.execute(select(extra_hours).order_by(c.practitioner_id, c.on_date, c.opens, c.id)):
        yield ExtraHours(**_fields(row, ExtraHours, on=row.on_date))


def _closures(connection: Connection, on: date) -> Iterator[Closure]:
    first, last = date(on.year - YEARS_BEFORE, 1, 1), date(on.year + YEARS_AFTER, 12, 31)
    c = closures.c
    within = select(closures).where(c.starts_on <= last, c.ends_on >= first)
    for row in connection.execute(within.order_by(c.starts_on, c.id)):
        yield Closure(**_fields(row, Closure))


_VERSION = select(state.c.version)
_VERSION_HELD = _VERSION.with_for_update(read=True)  # says nothing on SQLite, where a transaction is the only writer
