"""The catalogue as operations read it: only what is offered, in order, at one version, and cheap to ask for again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import OperationalError

from booking import clinic, models
from booking.database import Database
from booking.domain.catalog import Catalog, Closure, Practitioner, Resource, Service
from booking.domain.status import Audience, Bookable
from booking.operations import catalog, catalog_loading
from booking.operations.catalog import CatalogCache
from tests.clinics import changed, without

ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
TODAY = date(2026, 11, 24)
FILE = clinic.load().catalog


def load(database: Database, wanted: clinic.Catalog, now: datetime) -> None:
    with database.transaction() as db:
        catalog_loading.load(db, wanted, now=now)


def read(database: Database, on: date = TODAY) -> Catalog:
    with database.reading() as db:
        return catalog.read(db, on)


@contextmanager
def queries(database: Database) -> Iterator[list[str]]:
    """The statements that the database gets meanwhile, apart from the beginning of a transaction."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement != "BEGIN":
            seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


@pytest.fixture
def loaded(database: Database, now: datetime) -> Database:
    """A database with the demonstration clinic's catalogue."""
    load(database, FILE, now)
    return database


# ---------------------------------------------------------------- reading


def test_a_database_that_was_never_seeded_has_an_empty_catalogue(database: Database) -> None:
    assert read(database) == Catalog(version=0)


def test_everything_in_the_file_comes_back_in_its_order(loaded: Database) -> None:
    got = read(loaded)
    for part in ("locations", "services", "practitioners", "resources"):
        assert [each.slug for each in getattr(got, part)] == [each.slug for each in getattr(FILE, part)]
    massage = got.service("Massage Therapy")
    assert massage is not None
    assert massage == Service(
        id=massage.id,
        slug="massage-therapy",
        name="Massage Therapy",
        summary=FILE.services[4].summary,
        duration_minutes=60,
        buffer_after_minutes=15,
        step_minutes=30,
        daily_cap=6,
        audience=Audience.ANYONE,
        bookable=Bookable.ONLINE,
        needs=("quiet-room",),
    )
    assert isinstance(massage.audience, Audience)
    assert isinstance(massage.bookable, Bookable)
    assert sum(len(each.hours) for each in FILE.practitioners) == len(got.working_hours)
    assert [(each.on, each.opens, each.closes) for each in got.extra_hours] == [(date(2026, 12, 21), 540, 780)]


def test_what_depends_on_each_other_fits_together(loaded: Database) -> None:
    got = read(loaded)
    home, massage, adjustment = got.locations[0], got.service("massage-therapy"), got.service("chiropractic-adjustment")
    assert massage is not None
    assert adjustment is not None
    assert [each.slug for each in got.who_offers(massage, home)] == ["wren-palmetto"]
    assert len(got.who_offers(adjustment, home)) == 2
    assert [len(kind) for kind in got.rooms(adjustment, home)] == [2]
    calendars = [*(each.calendar_id for each in got.practitioners), *(each.calendar_id for each in got.resources)]
    assert len(set(calendars)) == len(calendars) == 6


def test_what_is_offered_no_more_is_known_by_its_id_alone(loaded: Database, now: datetime) -> None:
    before = read(loaded)
    load(loaded, without(FILE, "wren-palmetto", "massage-therapy", "aesthetics", "quiet-room"), now)
    after = read(loaded)
    assert (len(after.practitioners), len(after.services), len(after.resources)) == (2, 5, 2)
    assert after.service("massage-therapy") is None
    gone = before.practitioners[2]
    assert after.by_id[Practitioner, gone.id] == replace(gone, offers=frozenset())
    assert {type(each) for each in after.retired} == {Practitioner, Service, Resource}
    assert gone.id not in {each.practitioner_id for each in after.working_hours}
    assert after.extra_hours == ()


def test_rows_that_hang_on_something_inactive_are_left_out(loaded: Database) -> None:
    with loaded.transaction() as db:
        db.execute(update(models.Location).values(active=False))
    got = read(loaded)
    assert (got.locations, got.resources, got.working_hours, got.extra_hours) == ((), (), (), ())
    assert {each.location_id for each in got.closures} == {None}
    assert all(not each.offers for each in got.practitioners)


def test_public_holidays_are_closures_from_last_year_to_the_year_after_next(loaded: Database) -> None:
    got = read(loaded)
    home = got.locations[0].id
    assert Closure(home, date(2026, 11, 26), date(2026, 11, 26), "Thanksgiving Day") in got.closures
    assert Closure(None, date(2026, 12, 24), date(2026, 12, 26), "Christmas") in got.closures
    days = [each.starts_on for each in got.closures]
    assert days == sorted(days)
    assert {day.year for day in days} == {2025, 2026, 2027, 2028}
    assert {each.starts_on.year for each in read(loaded, date(2030, 1, 1)).closures} == {2029, 2030, 2031, 2032}


def test_it_is_told_until_when_public_holidays_are_known(loaded: Database, now: datetime) -> None:
    with loaded.reading() as db:
        assert catalog.holidays_end(db) == date(2036, 12, 25)
    load(loaded, changed(FILE, "locations", "st-augustine", holidays=(), holiday_region=""), now)
    with loaded.reading() as db:
        assert catalog.holidays_end(db) is None


def test_a_location_whose_public_holidays_are_missing_is_noticed(loaded: Database) -> None:
    with loaded.transaction() as db:
        db.execute(text("delete from closure"))
    with loaded.reading() as db:
        assert catalog.holidays_end(db) == date.min


# ---------------------------------------------------------------- version and cache


def test_a_catalogue_that_did_not_change_costs_one_query(loaded: Database) -> None:
    cache = CatalogCache()
    with loaded.reading() as db:
        first = cache.current(db, TODAY)
    with loaded.reading() as db, queries(loaded) as seen:
        again = cache.current(db, TODAY)
    assert again is first
    assert len(seen) == 1
    assert "catalog_state" in seen[0]


def test_who_has_asked_for_the_version_already_needs_no_query(loaded: Database) -> None:
    cache = CatalogCache()
    with loaded.reading() as db, queries(loaded) as seen:
        number = catalog.version(db)
        first = cache.at(db, number, TODAY)
        count = len(seen)
        assert cache.at(db, number, TODAY) is first
        assert len(seen) == count


def test_all_of_it_is_read_with_a_fixed_number_of_queries(loaded: Database, now: datetime) -> None:
    counts = []
    for wanted in (FILE, without(FILE, "wren-palmetto", "aesthetics")):
        load(loaded, wanted, now)
        with loaded.reading() as db, queries(loaded) as seen:
            CatalogCache().current(db, TODAY)
        counts.append(len(seen))
    assert counts[0] == counts[1] == 10


def test_a_change_is_seen_by_every_cache_at_once(loaded: Database, now: datetime) -> None:
    caches = [CatalogCache(), CatalogCache()]
    for cache in caches:
        with loaded.reading() as db:
            assert len(cache.current(db, TODAY).practitioners) == 3
    load(loaded, without(FILE, "wren-palmetto"), now)
    for cache in caches:
        with loaded.reading() as db:
            assert len(cache.current(db, TODAY).practitioners) == 2


def test_a_new_year_brings_its_own_closures(loaded: Database) -> None:
    cache = CatalogCache()
    with loaded.reading() as db:
        this_year, next_year = cache.current(db, TODAY), cache.current(db, date(2027, 1, 1))
    assert max(each.ends_on for each in this_year.closures).year == 2028
    assert max(each.ends_on for each in next_year.closures).year == 2029


def test_the_version_can_be_read_while_it_is_held_still(loaded: Database) -> None:
    with loaded.transaction() as db:
        assert catalog.version(db, hold_still=True) == 1
        assert CatalogCache().current(db, TODAY, hold_still=True).version == 1


@ON_POSTGRESQL
def test_who_books_does_not_wait_for_others_who_book(loaded: Database) -> None:
    with loaded.transaction() as one, loaded.transaction() as other:
        assert catalog.version(one, hold_still=True) == catalog.version(other, hold_still=True)


@ON_POSTGRESQL
@pytest.mark.parametrize("hold_still", [True, False])
def test_a_version_that_is_held_still_cannot_be_changed_by_others(loaded: Database, hold_still: bool) -> None:
    changing = select(models.CatalogState.version).with_for_update(nowait=True)
    with loaded.engine.connect() as changer, loaded.transaction() as db:
        catalog.version(db, hold_still=hold_still)
        if hold_still:
            with pytest.raises(OperationalError, match="could not obtain lock"):
                changer.execute(changing)
        else:  # the twin: whoever only reads keeps nobody waiting
            assert changer.scalar(changing) == 1
