"""The visits that a new catalogue leaves behind: each is listed with the reason, none is touched."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select

from booking import clinic, models
from booking.clinic import Closure, ExtraHours, Offer, WorkingHours
from booking.database import Database
from booking.domain.status import AppointmentStatus
from booking.operations import catalog_loading
from booking.operations.catalog_misfits import Misfit
from tests.clinics import changed, without
from tests.planted import plant

FILE = clinic.load().catalog
HOME = "st-augustine"
WREN = FILE.practitioners[2]
NEXT_TUESDAY = datetime.fromisoformat("2026-12-01T10:00:00-05:00")


def hours(*spans: tuple[int, int], weekday: int = 1) -> tuple[WorkingHours, ...]:
    return tuple(WorkingHours(HOME, weekday, 60 * opens, 60 * closes) for opens, closes in spans)


DOES_NOT_FIT = [
    (without(FILE, "massage-therapy"), "the service is no longer offered"),
    (without(FILE, "wren-palmetto", "massage-therapy", "aesthetics"), "the service is no longer offered"),
    (without(FILE, "wren-palmetto"), "the practitioner is no longer there"),
    (
        changed(FILE, "practitioners", WREN.slug, offers=(Offer("aesthetics", HOME),)),
        "Wren Palmetto no longer offers Massage Therapy at St. Augustine",
    ),
    (without(FILE, "quiet-room"), "it has no quiet-room"),
    (changed(FILE, "services", "massage-therapy", needs=("treatment-room",)), "it has no treatment-room"),
    (changed(FILE, "resources", "quiet-room", kind="treatment-room"), "it has no quiet-room"),
    (changed(FILE, "practitioners", WREN.slug, hours=()), "it is outside the hours of Wren Palmetto"),
    (changed(FILE, "practitioners", WREN.slug, hours=hours((11, 18))), "it is outside the hours of Wren Palmetto"),
    (changed(FILE, "practitioners", WREN.slug, hours=hours((8, 10))), "it is outside the hours of Wren Palmetto"),
    # Nobody could book over the seam of two openings, though there is somebody all the time.
    (
        changed(FILE, "practitioners", WREN.slug, hours=tuple(
            WorkingHours(HOME, 1, opens, closes) for opens, closes in ((480, 630), (630, 1080)))),
        "it is outside the hours of Wren Palmetto",
    ),
    (
        changed(FILE, "practitioners", WREN.slug, hours=(
            replace(hours((8, 18))[0], valid_until=date(2026, 11, 30)),)),
        "it is outside the hours of Wren Palmetto",
    ),
    (
        replace(FILE, closures=(Closure(date(2026, 11, 30), date(2026, 12, 4), "Painting", HOME),)),
        "St. Augustine is closed: Painting",
    ),
    (
        replace(FILE, closures=(Closure(date(2026, 12, 1), date(2026, 12, 1), "Training"),)),
        "St. Augustine is closed: Training",
    ),
    (changed(FILE, "locations", HOME, timezone="America/Los_Angeles"), "it is outside the hours of Wren Palmetto"),
]  # fmt: skip
FITS = [
    FILE,
    without(FILE, "dr-sol-marshgrove", "room-1", "aesthetics"),
    changed(FILE, "practitioners", WREN.slug, hours=hours((10, 11))),
    changed(FILE, "practitioners", WREN.slug, hours=(replace(hours((8, 18))[0], valid_from=date(2026, 12, 1)),)),
    changed(FILE, "services", "massage-therapy", bookable="call", audience="returning", duration_minutes=90),
    replace(FILE, closures=(Closure(date(2026, 12, 2), date(2026, 12, 4), "Painting"),)),
    # Extra hours hold on closed days too.
    replace(
        changed(FILE, "practitioners", WREN.slug, extra_hours=(ExtraHours(HOME, date(2026, 12, 1), 600, 660),)),
        closures=(Closure(date(2026, 12, 1), date(2026, 12, 1), "Training"),),
    ),
]
"""Catalogues of tomorrow, seen from a massage on a Tuesday at ten."""

Load = Callable[[clinic.Catalog], list[tuple[str, str]]]
"""Loads a catalogue and says which visits do not fit it, and why."""


@pytest.fixture
def load(database: Database, now: datetime) -> Load:
    def loaded(wanted: clinic.Catalog) -> list[tuple[str, str]]:
        with database.transaction() as db:
            misfits = catalog_loading.load(db, wanted, now=now).misfits
        return [(each.reference, each.reason) for each in misfits]

    return loaded


@pytest.fixture
def massage(database: Database, load: Load) -> None:
    """A massage on a Tuesday at ten, in the quiet room."""
    load(FILE)
    with database.transaction() as db:
        plant(db, "SV-2222-22", "massage-therapy", "wren-palmetto", NEXT_TUESDAY, rooms=("quiet-room",))


@pytest.mark.usefixtures("massage")
def test_a_visit_that_nobody_could_book_now_is_listed_with_the_reason(load: Load) -> None:
    assert [load(wanted) for wanted, _ in DOES_NOT_FIT] == [[("SV-2222-22", reason)] for _, reason in DOES_NOT_FIT]


@pytest.mark.usefixtures("massage")
def test_a_visit_that_still_fits_is_not_listed(load: Load) -> None:
    assert [load(wanted) for wanted in FITS] == [[]] * len(FITS)


@pytest.mark.usefixtures("massage")
def test_a_visit_that_does_not_fit_stays_as_it_was(database: Database, load: Load) -> None:
    tables = (models.Appointment, models.Claim)
    with database.reading() as db:
        before = [tuple(row) for table in tables for row in db.execute(select(table.__table__))]
    assert load(without(FILE, "massage-therapy"))
    with database.reading() as db:
        assert [tuple(row) for table in tables for row in db.execute(select(table.__table__))] == before


@pytest.mark.usefixtures("massage")
def test_it_is_listed_again_with_every_loading_until_somebody_has_dealt_with_it(load: Load) -> None:
    assert load(without(FILE, "massage-therapy")) == load(without(FILE, "massage-therapy")) != []
    assert load(FILE) == []


def test_only_visits_that_are_still_to_come_are_listed(database: Database, load: Load) -> None:
    load(FILE)
    with database.transaction() as db:
        for week, status in enumerate(AppointmentStatus):
            at = NEXT_TUESDAY + timedelta(weeks=week)
            plant(db, status.value, "massage-therapy", "wren-palmetto", at, status=status.value)
    assert [reference for reference, _ in load(without(FILE, "massage-therapy"))] == ["pending", "booked"]


def test_a_visit_of_the_past_is_not_listed(database: Database, load: Load, now: datetime) -> None:
    load(FILE)
    with database.transaction() as db:
        plant(db, "SV-2222-22", "massage-therapy", "wren-palmetto", now - timedelta(minutes=1))
        plant(db, "SV-3333-33", "chiropractic-adjustment", "dr-sol-marshgrove", now)
    assert [reference for reference, _ in load(without(FILE, "massage-therapy"))] == ["SV-3333-33"]


def test_the_next_one_comes_first(database: Database, now: datetime) -> None:
    with database.transaction() as db:
        catalog_loading.load(db, FILE, now=now)
        for number, days in ((2, 14), (3, 0), (4, 7)):
            at = NEXT_TUESDAY + timedelta(days=days)
            plant(db, f"SV-{number}", "massage-therapy", "wren-palmetto", at, rooms=("quiet-room",))
        misfits = catalog_loading.load(db, without(FILE, "massage-therapy"), now=now).misfits
    assert [each.reference for each in misfits] == ["SV-3", "SV-4", "SV-2"]
    assert misfits[0] == Misfit("SV-3", NEXT_TUESDAY.astimezone(UTC), "the service is no longer offered")


@pytest.mark.parametrize(
    ("day", "offset"),
    [("2026-10-31", "-04:00"), ("2026-11-01", "-05:00"), ("2027-03-13", "-05:00"), ("2027-03-14", "-04:00")],
)
def test_hours_are_those_of_the_wall_clock_on_both_sides_of_its_changes(
    database: Database, day: str, offset: str
) -> None:
    ten = datetime.fromisoformat(f"{day}T10:00:00{offset}")
    weekend = tuple(each for weekday in (5, 6) for each in hours((10, 11), weekday=weekday))
    wanted = changed(FILE, "practitioners", WREN.slug, hours=weekend)
    with database.transaction() as db:
        catalog_loading.load(db, wanted, now=ten - timedelta(days=20))
        plant(db, "SV-2", "massage-therapy", "wren-palmetto", ten, rooms=("quiet-room",))
        assert catalog_loading.load(db, wanted, now=ten - timedelta(days=20)).misfits == ()
