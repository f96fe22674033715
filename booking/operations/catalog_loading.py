"""Loading the catalogue of a clinic's file into the database: what changed, and which visits no longer fit.

Nothing is deleted that an appointment may point at: what is no longer in the file becomes inactive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update
from sqlalchemy.orm import Session

from booking import clinic
from booking.clinic import public_holidays
from booking.operations import catalog, catalog_misfits
from booking.operations.catalog_misfits import Misfit

YEARS_BEFORE, YEARS_AHEAD = 1, 10  # of public holidays; `catalog.holidays_end` tells when they run out

Rows = Sequence[Mapping[str, Any]]
Ids = Mapping[str, int]
"""The ids of parts by their slug."""

Holiday = tuple[str, date, str]
"""The slug of a location, a day on which it is closed, and why."""


@dataclass(frozen=True)
class Loaded:
    """What a loading changed, in plain words, and the visits ahead that do not fit what is there now."""

    version: int
    changes: tuple[str, ...]
    misfits: tuple[Misfit, ...]


def load(db: Session, wanted: clinic.Catalog, *, now: datetime) -> Loaded:
    """Make the database's catalogue that of the file; one that is the same already keeps its version."""
    holidays = _public_holidays(wanted, now)  # slow to work out the first time: not while bookings wait
    connection = db.connection()
    # First of all: who books reads this row FOR SHARE and keeps it until the commit. So a booking has committed
    # before anything is looked at here, and is among the visits that are checked, or it waits, and sees the new
    # catalogue. There is nothing in between.
    number = int(connection.execute(select(catalog.state.c.version).with_for_update()).scalar_one())
    changes = _bring_in(connection, wanted, holidays)
    if changes:
        number += 1
        _raise_versions(connection, number)
    return Loaded(number, tuple(changes), tuple(catalog_misfits.find(db, now=now)))


def _bring_in(connection: Connection, wanted: clinic.Catalog, holidays: Sequence[Holiday]) -> list[str]:
    loading = _Loading(connection)
    at = loading.upsert("locations", catalog.locations, [asdict(each) for each in wanted.locations])
    what = loading.upsert("services", catalog.services, [asdict(each) for each in wanted.services])
    loading.upsert("resources", catalog.resources, _resources(wanted, at))
    who = loading.upsert("practitioners", catalog.practitioners, _practitioners(wanted))
    loading.replace("offers", catalog.offers, _offers(wanted, who, what, at))
    loading.replace("working hours", catalog.working_hours, _hours(wanted, who, at))
    loading.replace("extra hours", catalog.extra_hours, _extra_hours(wanted, who, at))
    loading.replace("closures", catalog.closures, [*_closures(wanted, at), *_holidays(holidays, at)])
    return loading.changes


def _raise_versions(connection: Connection, number: int) -> None:
    connection.execute(update(catalog.state).values(version=number))
    calendars = catalog.calendars
    # In the order of their ids, as everybody takes them: two orders would be a deadlock one day.
    connection.execute(select(calendars.c.id).order_by(calendars.c.id).with_for_update())
    connection.execute(update(calendars).values(version=calendars.c.version + 1))


class _Loading:
    """Brings one table after the other into the wanted state, and keeps in words what that changed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.changes: list[str] = []

    def upsert(self, noun: str, table: Table, wanted: Rows) -> dict[str, int]:
        """Make these parts the active ones; return their ids by slug."""
        present = {row.slug: row for row in self._connection.execute(select(table))}
        ids, new, changed = {}, 0, 0
        for position, part in enumerate(wanted):
            values = _storable(part) | {"position": position, "active": True}
            row = present.get(values["slug"])
            if row is None:
                ids[values["slug"]] = self._insert(table, values)
                new += 1
                continue
            ids[row.slug] = row.id
            if any(getattr(row, name) != value for name, value in values.items()):
                self._connection.execute(update(table).where(table.c.id == row.id).values(values))
                changed += 1
        gone = [row.id for row in present.values() if row.active and row.slug not in ids]
        self._connection.execute(update(table).where(table.c.id.in_(gone)).values(active=False))
        self._say(noun, {"new": new, "changed": changed, "no longer active": len(gone)})
        return ids

    def replace(self, noun: str, table: Table, wanted: Rows) -> None:
        """Make these the only rows of a table that nothing points at."""
        columns = [column for column in table.c if column.name != "id"]
        present = {tuple(row) for row in self._connection.execute(select(*columns))}
        rows = {tuple(row[column.name] for column in columns): row for row in wanted}
        if present == rows.keys():
            return
        self._connection.execute(delete(table))
        if rows:
            self._connection.execute(insert(table), list(rows.values()))
        self._say(noun, {"new": len(rows.keys() - present), "gone": len(present - rows.keys())})

    def _insert(self, table: Table, values: dict[str, Any]) -> int:
        if "calendar_id" in table.c:
            values |= {"calendar_id": self._insert(catalog.calendars, {"version": 0})}
        return int(self._connection.execute(insert(table).values(values).returning(table.c.id)).scalar_one())

    def _say(self, noun: str, counts: Mapping[str, int]) -> None:
        if words := ", ".join(f"{count} {word}" for word, count in counts.items() if count):
            self.changes.append(f"{noun}: {words}")


def _storable(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in part.items()}


def _resources(wanted: clinic.Catalog, at: Ids) -> Rows:
    return [
        {"slug": each.slug, "name": each.name, "kind": each.kind, "location_id": at[each.location]}
        for each in wanted.resources
    ]


def _practitioners(wanted: clinic.Catalog) -> Rows:
    return [{"slug": each.slug, "name": each.name, "title": each.title} for each in wanted.practitioners]


def _offers(wanted: clinic.Catalog, who: Ids, what: Ids, at: Ids) -> Rows:
    return [
        {"practitioner_id": who[each.slug], "service_id": what[offer.service], "location_id": at[offer.location]}
        for each in wanted.practitioners
        for offer in each.offers
    ]


def _hours(wanted: clinic.Catalog, who: Ids, at: Ids) -> Rows:
    return [
        {"practitioner_id": who[each.slug], "location_id": at[hours.location], "weekday": hours.weekday,
         "opens": hours.opens, "closes": hours.closes, "valid_from": hours.valid_from,
         "valid_until": hours.valid_until}
        for each in wanted.practitioners
        for hours in each.hours
    ]  # fmt: skip


def _extra_hours(wanted: clinic.Catalog, who: Ids, at: Ids) -> Rows:
    return [
        {"practitioner_id": who[each.slug], "location_id": at[extra.location], "on_date": extra.on,
         "opens": extra.opens, "closes": extra.closes}
        for each in wanted.practitioners
        for extra in each.extra_hours
    ]  # fmt: skip


def _closures(wanted: clinic.Catalog, at: Ids) -> Rows:
    return [
        {"location_id": None if each.location is None else at[each.location], "starts_on": each.starts_on,
         "ends_on": each.ends_on, "reason": each.reason}
        for each in wanted.closures
    ]  # fmt: skip


def _holidays(holidays: Sequence[Holiday], at: Ids) -> Rows:
    return [
        {"location_id": at[location], "starts_on": day, "ends_on": day, "reason": name}
        for location, day, name in holidays
    ]


def _public_holidays(wanted: clinic.Catalog, now: datetime) -> list[Holiday]:
    years = range(now.year - YEARS_BEFORE, now.year + YEARS_AHEAD + 1)
    return [
        (each.slug, day, name)
        for each in wanted.locations
        if each.holidays
        for day, name in public_holidays.dates(each.holiday_region, each.holidays, years)
    ]
