"""The one law of slots: every offered start can be booked, every other time is refused; also while clocks change."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from booking.clinic import Service, WorkingHours
from booking.database import Database
from booking.domain import clock
from booking.domain.catalog import Catalog
from booking.domain.errors import NotOffered, SlotTaken, TimeIsBooked
from booking.domain.offers import Wish
from booking.keyring import Keyring
from booking.operations import appointments, catalog, catalog_loading, holds, slots, time_off
from booking.operations.appointments import Diary
from booking.operations.holds import Held
from booking.operations.slots import Question
from tests.visits import DAY, LONG, MAIN, Clinic, small

# Gaps and folds at one, two, a quarter to three and midnight; of an hour, and of half of one; north and south.
ZONES = (
    "America/New_York",
    "America/Chicago",
    "America/Havana",
    "America/Santiago",
    "Africa/Cairo",
    "Asia/Beirut",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Europe/London",
    "Pacific/Chatham",
)
A_FEW = ("America/New_York", "America/Santiago", "Australia/Lord_Howe")
FIVE_MINUTES = timedelta(minutes=5)

# Through the night and a while by day; two openings that touch have a grid each.
NIGHT = (1320, 1440), (0, 95), (95, 400), (540, 660)

shapes = st.builds(
    lambda **fields: replace(LONG, **fields),
    duration_minutes=st.sampled_from([15, 30, 45]),
    step_minutes=st.sampled_from([10, 15, 30, 45]),
    buffer_before_minutes=st.sampled_from([0, 5]),
    buffer_after_minutes=st.sampled_from([0, 10]),
    notice_minutes=st.sampled_from([0, 1443]),
    horizon_days=st.sampled_from([2, 4]),
    daily_cap=st.sampled_from([None, None, 3]),
    needs=st.sampled_from([(), ("room",)]),
)
# What is taken before: the first is held by who asks, the second is time off, the others are visits.
somewhen = st.lists(st.integers(0, 3 * 24 * 12).map(lambda fives: fives * FIVE_MINUTES), min_size=2, max_size=7)


@cache
def changes(name: str) -> list[datetime]:
    """The next two times at which a zone's clock is put forward or back."""
    zone, at = ZoneInfo(name), datetime(2026, 11, 26, tzinfo=UTC)
    found: list[datetime] = []
    while len(found) < 2:
        later = at + timedelta(minutes=30)
        if at.astimezone(zone).utcoffset() != later.astimezone(zone).utcoffset():
            found.append(later)
        at = later
    return found


@pytest.fixture
def clinic(database_url: str, keyring: Keyring, now: datetime) -> Iterator[Clinic]:
    """The small clinic, on a database that has all the patience that hundreds of attempts take."""
    database = Database(database_url, transaction_seconds=120)
    yield Clinic(database, keyring, now)
    database.close()


@contextmanager
def tried(database: Database) -> Iterator[Session]:
    """A transaction that comes to nothing."""
    with database.transaction() as db:
        yield db
        db.rollback()


def open_by_night(db: Session, zone: str, service: Service, now: datetime) -> Catalog:
    """The small clinic in another zone, with one service, and ann alone at work in the night."""
    there = small(service, locations=(replace(MAIN, timezone=zone),))
    hours = tuple(WorkingHours("main", day, *span) for day in range(7) for span in NIGHT)
    ann = replace(there.practitioners[0], hours=hours)
    catalog_loading.load(db, replace(there, practitioners=(ann,)), now=now)
    return catalog.read(db, now.date())


class Night:
    """Three days in one transaction: the one before the clock changes, that one, and the one after it."""

    def __init__(self, db: Session, clinic: Clinic, lead: int, change: datetime, zone: str, service: Service) -> None:
        self.db, self.lead, self.zone = db, lead, ZoneInfo(zone)
        self.now = change - 2 * DAY - FIVE_MINUTES
        self.diary = Diary(open_by_night(db, zone, service, self.now), clinic.keyring, "SV")
        self.first = clock.day_of(change - DAY, self.zone)
        self.begins, self.ends = (
            datetime.fromtimestamp(clock.midnight(self.first + days * DAY, self.zone), UTC) for days in (0, 3)
        )
        self.hold: Held | None = None

    def take(self, somewhen: list[timedelta]) -> None:
        """Let some of the time be taken already, where it is free."""
        for number, after in enumerate(somewhen):
            wish = Wish("long", self.begins + after)
            if number == 1:
                with suppress(TimeIsBooked):
                    self.take_off(wish.starts_at)
            elif wish.starts_at in self.offered(None) and number == 0:
                visitor = b"somebody".ljust(16)
                self.hold, *_ = holds.place(self.db, self.diary.catalog, wish, visitor=visitor, now=self.now)
            elif wish.starts_at in self.offered(None):
                appointments.book(self.db, self.diary, wish, lead_id=self.lead, now=self.now)

    def take_off(self, starts_at: datetime) -> None:
        """Let ann have a break of fifty minutes."""
        ends_at, note = starts_at + 10 * FIVE_MINUTES, "a break"
        catalog = self.diary.catalog
        time_off.take(
            self.db, catalog, practitioner="ann", starts_at=starts_at, ends_at=ends_at, note=note, now=self.now
        )  # fmt: skip

    def offered(self, held: Held | None) -> set[datetime]:
        """The starts that are offered to who holds this, or nothing."""
        question = Question("long", first=self.first, days=3, hold_id=held.id if held else None)
        return {slot.starts_at for slot in slots.find(self.db, self.diary.catalog, question, self.now).slots}

    def can_be_booked(self, starts_at: datetime) -> bool:
        """Whether a start can be booked, as it is written on the clinic's clock; to find out leaves no trace."""
        meant = clock.read_instant(starts_at.astimezone(self.zone).isoformat(), self.zone)
        token, wish = self.hold.token if self.hold else "", Wish("long", meant)
        with self.db.begin_nested() as attempt:
            try:
                appointments.book(self.db, self.diary, wish, lead_id=self.lead, now=self.now, hold_token=token)
            except (NotOffered, SlotTaken):
                return False
            finally:
                attempt.rollback()
        return True

    def bookable(self) -> set[datetime]:
        """The starts, of every fifth minute, that can be booked."""
        count = (self.ends - self.begins) // FIVE_MINUTES
        return {at for at in (self.begins + n * FIVE_MINUTES for n in range(count)) if self.can_be_booked(at)}


def check(clinic: Clinic, zone: str, service: Service, taken: list[timedelta]) -> None:
    lead = clinic.somebody()
    for change in changes(zone):
        with tried(clinic.database) as db:
            night = Night(db, clinic, lead, change, zone, service)
            night.take(taken)
            assert night.bookable() == night.offered(night.hold)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_offered_start_books_and_every_other_time_is_refused_over_both_changes_of_the_year(
    zone: str, clinic: Clinic
) -> None:
    given_some(clinic, zone)


@pytest.mark.parametrize("zone", A_FEW)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_so_it_is_on_postgresql(zone: str, clinic: Clinic) -> None:
    given_some(clinic, zone)


def given_some(clinic: Clinic, zone: str) -> None:
    @settings(max_examples=settings().max_examples // 50)
    @given(service=shapes, taken=somewhen)
    def holds_for(service: Service, taken: list[timedelta]) -> None:
        check(clinic, zone, service, taken)

    holds_for()


def test_the_changes_are_those_of_the_calendar() -> None:
    assert [f"{at:%Y-%m-%d %H:%M}" for at in changes("America/New_York")] == ["2027-03-14 07:00", "2027-11-07 06:00"]
    assert all(len(changes(zone)) == 2 for zone in ZONES)
