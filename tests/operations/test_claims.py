"""Claims: the database itself refuses to give a time twice, and whoever takes time takes all of it or nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking.database import Database, DatabaseAway
from booking.domain.errors import SlotTaken
from booking.domain.offers import Wish
from booking.keyring import Keyring
from booking.operations import appointments, claims, enquiries, holds
from booking.operations.claims import Owner
from tests.visits import DAY, HOUR, LONG, MAIN, QUARTER, SHORT, TEN, Clinic, overlaps, remove_the_guard, rows, small

ROW = "insert into claim (calendar_id, starts_at, ends_at, appointment_id, hold_id, time_off_id, expires_at) values"
HALF_PAST, ELEVEN, NOON = TEN + 2 * QUARTER, TEN + HOUR, TEN + 2 * HOUR


@pytest.fixture
def clinic(database: Database, keyring: Keyring, now: datetime) -> Clinic:
    """The small clinic, in which ann has a visit from ten to half past; another one was cancelled."""
    clinic = Clinic(database, keyring, now)
    clinic.book("short", TEN, "ann")
    clinic.cancel(clinic.book("short", TEN, "bob"))
    return clinic


def stored(database: Database, instant: datetime | None) -> object:
    """An instant as the database keeps it."""
    if instant is None or database.dialect == "postgresql":
        return instant
    return f"{instant:%Y-%m-%dT%H:%M:%S.%fZ}"


def write(clinic: Clinic, starts_at: datetime, ends_at: datetime, calendar: str = "ann", **owner: object) -> None:
    """A claim in plain SQL, past all our code; it is the cancelled visit's unless it says whose."""
    calendar_id = next(number for number, slug in clinic.calendars.items() if slug == calendar)
    with clinic.database.transaction() as db:
        visit = db.scalar(text("select id from appointment where status = 'cancelled'"))
        given = {"appointment": visit, "hold": None, "off": None, "expires": None} | owner
        span = {"starts": stored(clinic.database, starts_at), "ends": stored(clinic.database, ends_at)}
        given |= {"calendar": calendar_id, "expires": stored(clinic.database, given["expires"])}
        db.execute(text(f"{ROW} (:calendar, :starts, :ends, :appointment, :hold, :off, :expires)"), given | span)


def refused(act: Callable[[], object]) -> bool:
    """Whether the database refuses what is done, by a constraint of its own."""
    with pytest.raises(DatabaseAway) as refusal:
        act()
    return isinstance(refusal.value.__cause__, IntegrityError)


# ---------------------------------------------------------------- the database


OVERLAPPING = {
    "the same": (TEN, HALF_PAST),
    "within": (TEN + timedelta(minutes=5), TEN + timedelta(minutes=6)),
    "around": (TEN - HOUR, NOON),
    "at its beginning": (TEN - HOUR, TEN + timedelta(microseconds=1)),
    "at its end": (HALF_PAST - timedelta(microseconds=1), NOON),
    "from before it to its end": (TEN - QUARTER, HALF_PAST),
}


def test_raw_sql_that_overlaps_is_refused(clinic: Clinic, database: Database) -> None:
    went_through = [how for how, span in OVERLAPPING.items() if not refused(partial(write, clinic, *span))]
    assert went_through == []
    assert clinic.taken() == {"ann": ["10:00-10:30"]}
    remove_the_guard(database)
    for how, span in OVERLAPPING.items():
        before = overlaps(database)
        write(clinic, *span)
        assert overlaps(database) > before, f"the twin: {how} it was the guard that refused"


def test_a_claim_may_touch_another_and_lie_over_that_of_another_calendar(clinic: Clinic, database: Database) -> None:
    write(clinic, TEN - HOUR, TEN)
    write(clinic, HALF_PAST, NOON)
    write(clinic, TEN, NOON, "bob")
    assert clinic.taken() == {"ann": ["09:00-12:00"], "bob": ["10:00-12:00"]}
    assert overlaps(database) == 0


RAW_UPDATES = {
    "starts_at": (TEN + HOUR, "ann"),
    "ends_at": (TEN - HOUR, "ann"),
    "calendar_id": (TEN, "bob"),
}


@pytest.mark.parametrize("column", RAW_UPDATES)
def test_a_raw_update_that_overlaps_is_refused(column: str, clinic: Clinic, database: Database) -> None:
    write(clinic, RAW_UPDATES[column][0], RAW_UPDATES[column][0] + 2 * QUARTER, RAW_UPDATES[column][1])
    before = rows(database)

    def update() -> None:
        with database.transaction() as db:
            ann, late = (db.scalar(text(f"select {which}(id) from claim")) for which in ("min", "max"))
            there = f"(select {column} from claim where id = :ann)"
            db.execute(text(f"update claim set {column} = {there} where id = :late"), {"ann": ann, "late": late})

    assert refused(update)
    assert rows(database) == before
    remove_the_guard(database)
    update()
    assert overlaps(database) == 1, "the twin: it was the guard that refused"


def test_no_claim_is_longer_than_a_day_or_ends_before_it_begins(clinic: Clinic) -> None:
    write(clinic, NOON, NOON + DAY, "bob")
    assert refused(lambda: write(clinic, NOON + DAY, NOON + 2 * DAY + timedelta(minutes=1), "bob"))
    assert refused(lambda: write(clinic, TEN, TEN, "room"))
    assert refused(lambda: write(clinic, TEN, TEN - HOUR, "room"))


def test_a_claim_has_one_owner_and_expires_if_and_only_if_it_is_a_holds(clinic: Clinic) -> None:
    held = clinic.hold("short", NOON, "bob")
    off = clinic.take_off("bob", TEN, HALF_PAST)
    assert refused(lambda: write(clinic, NOON, NOON + HOUR, appointment=None))
    assert refused(lambda: write(clinic, NOON, NOON + HOUR, off=off))
    assert refused(lambda: write(clinic, NOON, NOON + HOUR, expires=NOON))
    assert refused(lambda: write(clinic, NOON, NOON + HOUR, appointment=None, hold=held.id))
    write(clinic, NOON, NOON + HOUR, appointment=None, hold=held.id, expires=NOON)


# ---------------------------------------------------------------- all or none


def owner_of_ann(clinic: Clinic) -> Owner:
    """The visit that ann has."""
    with clinic.database.reading() as db:
        return Owner("appointment", db.scalars(text("select id from appointment where status = 'booked'")).one())


def numbers_of(clinic: Clinic) -> dict[str, int]:
    """The number of each calendar."""
    return {slug: number for number, slug in clinic.calendars.items()}


def take(clinic: Clinic, needs: str, span: tuple[datetime, datetime], *, leaving: bool = True) -> list[str]:
    """Let the visit that ann has take `ann|bob room` and leave what it has; returns whose time it got."""
    numbers = numbers_of(clinic)
    owner, given = owner_of_ann(clinic), [[numbers[slug] for slug in need.split("|")] for need in needs.split()]
    got = clinic.do(claims.take, owner, given, span, clinic.now, leaving=owner if leaving else None)
    return [clinic.calendars[number] for number in got]


def test_of_several_who_would_do_the_first_who_is_free_is_taken(clinic: Clinic) -> None:
    assert take(clinic, "ann|bob", (ELEVEN, NOON), leaving=False) == ["ann"]
    assert take(clinic, "ann|bob", (ELEVEN, NOON), leaving=False) == ["bob"]
    with pytest.raises(SlotTaken):
        take(clinic, "ann|bob", (ELEVEN, NOON), leaving=False)


def test_when_one_of_what_is_needed_is_not_free_nothing_is_taken(clinic: Clinic, database: Database) -> None:
    write(clinic, ELEVEN, NOON, "room")
    before = rows(database)
    for needs in ("ann room laser", "room ann laser", "laser room ann", "bob|ann laser room"):
        with pytest.raises(SlotTaken):
            take(clinic, needs, (ELEVEN - QUARTER, ELEVEN + QUARTER))
        assert rows(database) == before


def test_who_has_a_part_of_what_they_want_keeps_it_and_gives_back_the_rest(clinic: Clinic, database: Database) -> None:
    for starts_at, ends_at, there in (
        (TEN + QUARTER, ELEVEN, "10:15-11:00"),
        (TEN - QUARTER, ELEVEN + QUARTER, "09:45-11:15"),
        (TEN, HALF_PAST, "10:00-10:30"),
        (TEN - HOUR, TEN + QUARTER, "09:00-10:15"),
        (ELEVEN, NOON, "11:00-12:00"),
    ):
        assert take(clinic, "ann", (starts_at, ends_at)) == ["ann"]
        assert clinic.taken() == {"ann": [there]}
    assert overlaps(database) == 0


def test_growing_to_both_sides_it_takes_neither_when_the_second_is_not_free(clinic: Clinic, database: Database) -> None:
    write(clinic, ELEVEN, NOON)
    before = rows(database)
    with pytest.raises(SlotTaken):
        take(clinic, "ann", (TEN - QUARTER, ELEVEN + QUARTER))
    assert rows(database) == before


def test_where_it_is_it_would_rather_stay_and_elsewhere_it_goes_as_a_whole(clinic: Clinic) -> None:
    assert take(clinic, "bob|ann", (TEN, ELEVEN)) == ["ann"]
    write(clinic, ELEVEN, NOON)
    assert take(clinic, "ann|bob", (TEN - QUARTER, ELEVEN + QUARTER)) == ["bob"]
    assert clinic.taken() == {"ann": ["11:00-12:00"], "bob": ["09:45-11:15"]}


def test_in_the_way_of_itself_is_nobody_but_in_that_of_others_everybody(clinic: Clinic) -> None:
    with pytest.raises(SlotTaken):
        take(clinic, "ann", (TEN + QUARTER, ELEVEN), leaving=False)
    assert take(clinic, "ann", (TEN + QUARTER, ELEVEN)) == ["ann"]


# ---------------------------------------------------------------- versions


def test_a_calendars_version_rises_if_and_only_if_its_claims_change(clinic: Clinic) -> None:
    def risen(needs: str, span: tuple[datetime, datetime]) -> set[str]:
        before = clinic.versions()
        take(clinic, needs, span)
        return {slug for slug, version in clinic.versions().items() if version == before[slug] + 1}

    assert risen("ann", (TEN, HALF_PAST)) == set()
    assert risen("ann", (TEN, ELEVEN)) == {"ann"}
    assert risen("ann room", (TEN, ELEVEN)) == {"room"}
    assert risen("ann room", (TEN, HALF_PAST)) == {"ann", "room"}
    assert risen("bob room", (TEN, HALF_PAST)) == {"ann", "bob"}


def test_a_version_rises_once_for_all_that_a_transaction_changes_and_not_for_what_it_undoes(
    clinic: Clinic, database: Database
) -> None:
    ann, before = owner_of_ann(clinic), clinic.versions()

    def move(db: Session, starts_at: datetime) -> None:
        span = (starts_at, starts_at + HOUR)
        claims.take(db, ann, [[numbers_of(clinic)["ann"]]], span, clinic.now, leaving=ann)

    with database.transaction() as db:
        for hours in range(1, 4):
            move(db, TEN + hours * HOUR)
        with db.begin_nested() as savepoint:
            move(db, TEN)
            savepoint.rollback()
    assert clinic.versions() == before | {"ann": before["ann"] + 1}
    with database.transaction() as db:
        move(db, TEN)
        db.rollback()
    assert clinic.versions() == before | {"ann": before["ann"] + 1}


# ---------------------------------------------------------------- what has run out


def test_the_claims_of_a_run_out_hold_make_way_and_those_of_a_live_one_do_not(clinic: Clinic) -> None:
    held = clinic.hold("short", ELEVEN, "ann")
    with pytest.raises(SlotTaken):
        take(clinic, "ann", (TEN, NOON))
    clinic.now = held.expires_at - timedelta(microseconds=1)
    with pytest.raises(SlotTaken):
        take(clinic, "ann", (TEN, NOON))
    clinic.now = held.expires_at
    assert take(clinic, "ann", (TEN, NOON)) == ["ann"]


def test_tidying_up_deletes_what_has_run_out_and_nothing_else(clinic: Clinic, database: Database) -> None:
    first = clinic.hold("long", ELEVEN, "bob")
    clinic.now += timedelta(minutes=1)
    second = clinic.hold("short", NOON, "ann")
    assert clinic.do(holds.forget_expired, first.expires_at) == 3
    assert clinic.taken(now=first.expires_at) == {"ann": ["10:00-10:30", "12:00-12:30"]}
    with database.reading() as db:
        assert db.scalars(text("select id from hold")).all() == [second.id]
        assert db.scalar(text("select count(*) from claim")) == 2
    assert clinic.do(holds.forget_expired, first.expires_at) == 0


# ---------------------------------------------------------------- who waits for whom


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
class TestNobodyWaits:
    """Of two transactions the second one does its work while the first is not yet at its end."""

    def test_for_another_time_of_the_same_practitioner(self, clinic: Clinic, database: Database) -> None:
        lead = clinic.somebody()
        with database.transaction() as first:
            wish = Wish("short", NOON, "ann")
            appointments.book(first, clinic.diary, wish, lead_id=lead, now=clinic.now)
            clinic.book("short", ELEVEN, "ann")
        assert clinic.taken() == {"ann": ["10:00-10:30", "11:00-11:30", "12:00-12:30"]}

    def test_for_what_was_given_up_at_one_place_while_another_is_tried(
        self, clinic: Clinic, database: Database
    ) -> None:
        clinic.load(small(SHORT, LONG, locations=(MAIN, replace(MAIN, slug="other", name="Other"))))
        write(clinic, ELEVEN, NOON, "room")
        lead = clinic.somebody()
        with database.transaction() as first:
            with pytest.raises(SlotTaken):
                appointments.book(first, clinic.diary, Wish("long", ELEVEN, "bob"), lead_id=lead, now=clinic.now)
            clinic.book("short", ELEVEN, "bob")
        assert clinic.taken()["bob"] == ["11:00-11:30"]

    def test_for_the_first_piece_when_the_second_was_not_free(self, clinic: Clinic, database: Database) -> None:
        write(clinic, ELEVEN, NOON)
        owner, ann = owner_of_ann(clinic), numbers_of(clinic)["ann"]
        with database.transaction() as first:
            with pytest.raises(SlotTaken):
                span = (TEN - HOUR, ELEVEN + QUARTER)
                claims.take(first, owner, [[ann]], span, clinic.now, leaving=owner)
            clinic.book("short", TEN - HOUR, "ann")
        assert clinic.taken() == {"ann": ["09:00-09:30", "10:00-10:30", "11:00-12:00"]}

    def test_for_run_out_holds_that_somebody_tidies_up(self, clinic: Clinic, database: Database) -> None:
        held = clinic.hold("long", ELEVEN, "bob")
        clinic.now = held.expires_at
        with database.transaction() as first:
            # Half of what it had is being dropped: the other half goes now, the hold itself another time.
            assert claims.take(first, owner_of_ann(clinic), [[numbers_of(clinic)["bob"]]], (ELEVEN, NOON), clinic.now)
            assert clinic.tidy_up() == 2
        assert clinic.tidy_up() == 0
        assert clinic.taken() == {"ann": ["10:00-10:30"], "bob": ["11:00-12:00"]}
        with database.reading() as db:
            assert db.scalars(text("select count(*) from hold")).one() == 0

    def test_for_run_out_holds_of_who_holds_anew(self, clinic: Clinic, database: Database) -> None:
        clinic.hold("short", NOON + HOUR, "bob")
        clinic.now = clinic.hold("long", ELEVEN, "bob").expires_at
        with database.transaction() as first:
            wish, visitor = Wish("short", NOON, "ann"), b"somebody".ljust(16)
            holds.place(first, clinic.diary.catalog, wish, visitor=visitor, now=clinic.now)
            clinic.book("long", ELEVEN, "bob")
        assert clinic.taken() == {
            "ann": ["10:00-10:30", "12:00-12:30"],
            **{each: ["10:45-12:30"] for each in ("bob", "laser", "room")},
        }

    def test_for_a_lead_that_tries_again_while_the_desk_books_for_it(self, clinic: Clinic, database: Database) -> None:
        lead = clinic.somebody()
        with database.transaction() as first:
            enquiries._lock_lead(first, lead)
            clinic.book("short", NOON, "ann", lead=lead, by_desk=True)
        assert clinic.taken() == {"ann": ["10:00-10:30", "12:00-12:30"]}
