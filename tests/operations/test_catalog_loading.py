"""Loading the clinic's file: what changes, what stays, and that no booking slips through while it happens."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text

from booking import clinic, models
from booking.database import Database
from booking.operations import catalog, catalog_loading
from booking.operations.catalog_loading import Loaded
from tests.clinics import changed, without
from tests.planted import plant
from tests.postgres import somebody_waits_for_a_lock

ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
FILE = clinic.load().catalog
PARTS = (models.Location, models.Service, models.Practitioner, models.Resource)
RULES = (models.Offer, models.WorkingHours, models.ExtraHours, models.Closure)
MASSAGE_AT = datetime.fromisoformat("2026-12-01T10:00:00-05:00")
CHANGES = [
    (changed(FILE, "locations", "st-augustine", timezone="America/Chicago"), "locations: 1 changed"),
    (changed(FILE, "services", "massage-therapy", needs=()), "services: 1 changed"),
    (changed(FILE, "services", "massage-therapy", daily_cap=None), "services: 1 changed"),
    (changed(FILE, "practitioners", "wren-palmetto", name="Wren P."), "practitioners: 1 changed"),
    (changed(FILE, "resources", "room-1", kind="quiet-room"), "resources: 1 changed"),
    (changed(FILE, "practitioners", "wren-palmetto", hours=()), "working hours: 8 gone"),
    (changed(FILE, "practitioners", "wren-palmetto", extra_hours=()), "extra hours: 1 gone"),
    (changed(FILE, "locations", "st-augustine", holidays=()), "locations: 1 changed; closures: 72 gone"),
    (replace(FILE, closures=()), "closures: 1 gone"),
    (replace(FILE, services=FILE.services[::-1]), "services: 6 changed"),
    (without(FILE, "aesthetics"), "services: 1 no longer active; offers: 1 gone"),
    (
        without(FILE, "wren-palmetto"),
        "practitioners: 1 no longer active; offers: 3 gone; working hours: 8 gone; extra hours: 1 gone",
    ),
]


def load(database: Database, wanted: clinic.Catalog, now: datetime) -> Loaded:
    with database.transaction() as db:
        return catalog_loading.load(db, wanted, now=now)


def rows(database: Database, *tables: type[models.Location] | Any) -> list[tuple[Any, ...]]:
    """Everything that stands in some tables."""
    with database.reading() as db:
        return [tuple(row) for table in tables for row in db.execute(select(table.__table__).order_by(text("1, 2, 3")))]


def versions(database: Database) -> tuple[int, list[int]]:
    with database.reading() as db:
        return catalog.version(db), list(db.scalars(select(models.Calendar.version).order_by(models.Calendar.id)))


# ---------------------------------------------------------------- what is loaded


def test_a_first_loading_says_in_plain_words_what_is_new(database: Database, now: datetime) -> None:
    assert load(database, FILE, now) == Loaded(
        version=1,
        changes=(
            "locations: 1 new",
            "services: 7 new",
            "resources: 3 new",
            "practitioners: 3 new",
            "offers: 11 new",
            "working hours: 22 new",
            "extra hours: 1 new",
            "closures: 73 new",
        ),
        misfits=(),
    )


def test_everybody_and_everything_with_time_to_give_gets_a_calendar(database: Database, now: datetime) -> None:
    load(database, FILE, now)
    with database.reading() as db:
        owned = [*db.scalars(select(models.Practitioner.calendar_id)), *db.scalars(select(models.Resource.calendar_id))]
        assert sorted(owned) == sorted(db.scalars(select(models.Calendar.id)))
    assert len(owned) == len(set(owned)) == 6


def test_the_same_file_again_changes_nothing_at_all(database: Database, now: datetime) -> None:
    load(database, FILE, now)
    before = rows(database, *PARTS, *RULES), versions(database)
    again = load(database, FILE, now + timedelta(days=3))
    assert (again.version, again.changes) == (1, ())
    assert (rows(database, *PARTS, *RULES), versions(database)) == before


def test_public_holidays_reach_years_ahead_and_further_with_each_year(database: Database, now: datetime) -> None:
    load(database, FILE, now)
    with database.reading() as db:
        last = select(func.max(models.Closure.ends_on))
        assert db.scalar(last) == date(2036, 12, 25)
    later = load(database, FILE, now.replace(year=2027))
    assert later.changes == ("closures: 6 new, 6 gone",)
    with database.reading() as db:
        assert db.scalar(last) == date(2037, 12, 25)


# ---------------------------------------------------------------- what changes


def test_every_change_raises_the_version_and_that_of_each_calendar(database: Database, now: datetime) -> None:
    load(database, FILE, now)
    number, calendars = versions(database)
    load(database, changed(FILE, "services", "massage-therapy", daily_cap=3), now)
    assert versions(database) == (number + 1, [version + 1 for version in calendars])


def test_each_kind_of_change_is_made_and_said(database: Database, now: datetime) -> None:
    for wanted, change in CHANGES:
        load(database, FILE, now)
        assert "; ".join(load(database, wanted, now).changes) == change
        assert load(database, wanted, now).changes == ()


def test_what_is_not_in_the_file_any_more_becomes_inactive_and_keeps_its_row(database: Database, now: datetime) -> None:
    load(database, FILE, now)
    load(database, without(FILE, "wren-palmetto", "massage-therapy", "aesthetics", "quiet-room"), now)
    with database.reading() as db:
        for table, gone in (
            (models.Practitioner, {"wren-palmetto"}),
            (models.Service, {"massage-therapy", "aesthetics"}),
            (models.Resource, {"quiet-room"}),
        ):
            assert set(db.scalars(select(table.slug).where(~table.active))) == gone


def test_what_comes_back_is_the_same_part_with_the_same_calendar(database: Database, now: datetime) -> None:
    load(database, FILE, now)
    before = rows(database, *PARTS)
    load(database, without(FILE, "wren-palmetto", "massage-therapy", "aesthetics"), now)
    assert load(database, FILE, now).changes[0] == "services: 3 changed"
    assert rows(database, *PARTS) == before


def test_a_resource_may_move_to_another_location(database: Database, now: datetime) -> None:
    beach = replace(FILE.locations[0], slug="beach", name="Beach House", holidays=(), holiday_region="")
    wanted = replace(changed(FILE, "resources", "room-2", location="beach"), locations=(*FILE.locations, beach))
    load(database, FILE, now)
    assert load(database, wanted, now).changes == ("locations: 1 new", "resources: 1 changed")


def test_an_empty_catalogue_takes_everything_back(database: Database, now: datetime) -> None:
    load(database, FILE, now)
    load(database, clinic.Catalog((), (), (), (), ()), now)
    assert rows(database, *RULES) == []
    assert len(rows(database, *PARTS)) == 14


def test_a_loading_that_is_given_up_leaves_everything_as_it_was(database: Database, now: datetime) -> None:
    load(database, FILE, now)
    before = rows(database, *PARTS, *RULES), versions(database)
    with database.transaction() as db:
        catalog_loading.load(db, without(FILE, "wren-palmetto", "massage-therapy", "aesthetics"), now=now)
        db.rollback()
    assert (rows(database, *PARTS, *RULES), versions(database)) == before


# ---------------------------------------------------------------- at the same time as bookings


@ON_POSTGRESQL
def test_a_booking_under_way_is_waited_for_and_then_among_those_that_are_checked(
    database: Database, now: datetime
) -> None:
    load(database, FILE, now)
    with loading(database, without(FILE, "massage-therapy"), now) as found, database.transaction() as db:
        catalog.version(db, hold_still=True)
        found.begin()
        assert found.waits_for_a_lock()
        plant(db, "SV-MMMM-22", "massage-therapy", "wren-palmetto", MASSAGE_AT)
    assert [each.reference for each in found.loaded.misfits] == ["SV-MMMM-22"]


@ON_POSTGRESQL
def test_a_booking_that_does_not_hold_the_catalogue_still_would_slip_through(database: Database, now: datetime) -> None:
    """The twin: without the lock the loading is through before the booking commits, and nobody hears of it."""
    load(database, FILE, now)
    with loading(database, without(FILE, "massage-therapy"), now) as found, database.transaction() as db:
        catalog.version(db)
        found.begin()
        found.end()
        plant(db, "SV-MMMM-22", "massage-therapy", "wren-palmetto", MASSAGE_AT)
    assert found.loaded.misfits == ()


@ON_POSTGRESQL
def test_a_booking_that_waited_for_a_loading_sees_the_new_catalogue(database: Database, now: datetime) -> None:
    load(database, FILE, now)
    cache, seen = catalog.CatalogCache(), []

    def ask() -> None:
        with database.transaction() as db:
            seen.append(cache.current(db, now.date(), hold_still=True).service("massage-therapy"))

    with database.reading() as db:
        assert cache.current(db, now.date()).service("massage-therapy") is not None
    booking = threading.Thread(target=ask)
    with database.transaction() as db:
        catalog_loading.load(db, without(FILE, "massage-therapy"), now=now)
        booking.start()
        assert somebody_waits_for_a_lock(database.engine)
    booking.join(10)
    assert seen == [None]


def test_two_loadings_at_once_are_one_after_the_other(database: Database, now: datetime) -> None:
    done: list[Loaded] = []
    threads = [threading.Thread(target=lambda: done.append(load(database, FILE, now))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [loaded.version for loaded in done] == [1, 1, 1, 1]
    assert sorted(bool(loaded.changes) for loaded in done) == [False, False, False, True]
    assert len(rows(database, *PARTS)) == 14


class Loading:
    """A loading in a thread of its own."""

    def __init__(self, database: Database, wanted: clinic.Catalog, now: datetime) -> None:
        self.loaded = Loaded(0, (), ())
        self._database, self._wanted, self._now = database, wanted, now
        self._thread = threading.Thread(target=self._run)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._thread.join(30)

    def waits_for_a_lock(self) -> bool:
        return somebody_waits_for_a_lock(self._database.engine)

    def _run(self) -> None:
        self.loaded = load(self._database, self._wanted, self._now)


@contextmanager
def loading(database: Database, wanted: clinic.Catalog, now: datetime) -> Iterator[Loading]:
    found = Loading(database, wanted, now)
    yield found
    found.end()
