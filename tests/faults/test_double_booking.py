"""Every road that takes time is raced against the others, by processes, through two servers: none gives it twice."""

import json
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from sqlalchemy import text

from booking import config
from booking.database import Database
from booking.domain.errors import SlotTaken, TooManyHolds
from booking.keyring import Keyring
from booking.operations.appointments import Visit
from tests.faults.crowd import Answer, form
from tests.faults.ledger import leads_by_name
from tests.faults.rush import Clerk, Person, Rush, Visitor, at_once
from tests.postgres import PostgresServer, conninfo
from tests.service import Serving, serve
from tests.visits import CAPPED, DAY, HIDDEN, HOUR, LONG, QUARTER, SHORT, Clinic, overlaps, remove_the_guard, small

VISITORS, ROUNDS = 200, 20
FEW_VISITORS, FEW_ROUNDS = 40, 3
# The promise is five seconds; the machines that run this are shared, so it is recorded, and held to with some grace.
LONGEST_SECONDS = 15.0
HALF, ZONE = 2 * QUARTER, ZoneInfo("America/New_York")

PLAIN = replace(SHORT, slug="plain", name="Plain")
CATALOG = small(SHORT, PLAIN, LONG, CAPPED, HIDDEN)
WITH_LONGER = small(replace(SHORT, duration_minutes=60), PLAIN, LONG, CAPPED, HIDDEN)

# The storms are for one process after the other: two at once would measure each other.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("double booking")]


class Contest:
    """The small clinic behind two servers on one database, and times that nobody wants yet."""

    def __init__(self, settings: config.Settings, servers: Sequence[Serving], rush: Rush) -> None:
        self.settings, self.servers, self.go = settings, servers, rush.go
        self.database = Database(settings.database_url)
        self.keyring = Keyring(settings.encryption_keys, settings.secret_key)
        self.clinic = Clinic(self.database, self.keyring, datetime.now(UTC), CATALOG)
        self._people, self._spare, self._times = count(), count(), iter(_times())

    def time(self) -> datetime:
        """A start with two hours around it that are free."""
        return next(self._times)

    def day(self) -> datetime:
        """When the clinic opens on a day of which nothing was asked for yet; nothing else will be."""
        at = self.time()
        while at - 2 * HOUR not in _open_days():
            at = self.time()
        self.time(), self.time()
        return at - 2 * HOUR

    def spare(self) -> Visit:
        """A visit to ann at a time that nobody else wants."""
        days, halves = divmod(next(self._spare), 16)
        return self.clinic.book("short", _open_days()[-1 - days] + halves * HALF, "ann")

    def visitors(
        self, number: int, at: datetime, service: str = "short", who: str = "ann", **more: str
    ) -> list[Person]:
        """People who each post the form for a time."""
        asked = {"service": service, "practitioner": who, "starts_at": at.isoformat()} | more
        return [self.post("/leads", form(self.name(), **asked)) for _ in range(number)]

    def holders(self, number: int, at: datetime) -> list[Person]:
        """People who each want to hold a time of ann's."""
        asked = {"service": "short", "practitioner": "ann", "starts_at": at.isoformat()}
        return [self.post("/api/v1/holds", asked) for _ in range(number)]

    def mover(self, visit: Visit, at: datetime) -> Person:
        """Somebody who moves their own visit to a time of ann's."""
        asked = {"starts_at": at.isoformat(), "practitioner": "ann"}
        return self.post(f"/appointments/{visit.token}/rescheduling", asked)

    def clerk(self, act: str, *args: Any, **more: Any) -> Person:
        """Somebody at the desk who does a thing."""
        return Clerk(self.settings, act, args, more)

    def post(self, path: str, fields: dict[str, str], address: str = "") -> Person:
        """One post, to either server, from an address of its own unless that is said."""
        number = next(self._people)
        server = self.servers[number % len(self.servers)]
        return Visitor(server.port, path, fields, address=address or f"10.9.{number >> 8}.{number & 255}")

    def name(self) -> str:
        """A name that nobody had before."""
        return f"visitor{next(self._people)}"


def _open_days() -> list[datetime]:
    """When the clinic opens on the days from the day after tomorrow to nearly the end of the horizon."""
    today = datetime.now(ZONE).replace(hour=9, minute=0, second=0, microsecond=0)
    days = [today + number * DAY for number in range(2, 58)]
    return [day.astimezone(UTC) for day in days if day.isoweekday() != 7]


def _times() -> list[datetime]:
    return [day + hours * HOUR for day in _open_days()[:-4] for hours in (2, 4, 6)]


# ---------------------------------------------------------------- two servers, with and without the guard


@pytest.fixture(scope="module")
def rush() -> Iterator[Rush]:
    """Four processes of people, made before this one has a database open."""
    with Rush() as rush:
        yield rush


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def fresh_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Make a migrated database on each engine in turn."""
    if request.param == "sqlite":
        migrated: Path = request.getfixturevalue("migrated_sqlite")
        return lambda: f"sqlite:///{shutil.copy(migrated, tmp_path_factory.mktemp('contest'))}"
    template: str = request.getfixturevalue("migrated_postgresql")
    server: PostgresServer = request.getfixturevalue("postgres")
    return lambda: server.create_database(template)


def opened(url: str, folder: Path, rush: Rush, running: ExitStack) -> Contest:
    environ = {
        "BOOKING_DATA_DIR": str(folder),
        "BOOKING_DATABASE_URL": url,
        "BOOKING_SECRET_KEY": "a secret for tests only: 0123456789abcdef",
        "BOOKING_ENCRYPTION_KEYS": "1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "BOOKING_TRUSTED_PROXIES": "1",
    }
    servers = [running.enter_context(serve(environ, folder, "--no-worker")) for _ in range(2)]
    contest = Contest(config.load(environ, None), servers, rush)
    running.callback(contest.database.close)
    return contest


@pytest.fixture(scope="module")
def contest(rush: Rush, fresh_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contest]:
    """The contest as it is."""
    with ExitStack() as running:
        yield opened(fresh_url(), tmp_path_factory.mktemp("guarded"), rush, running)


@pytest.fixture(scope="module")
def unguarded(rush: Rush, fresh_url: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contest]:
    """The same without what makes the database refuse."""
    with ExitStack() as running:
        contest = opened(fresh_url(), tmp_path_factory.mktemp("unguarded"), rush, running)
        remove_the_guard(contest.database)
        yield contest


# ---------------------------------------------------------------- two hundred for one slot


def test_of_two_hundred_for_one_slot_one_gets_it_and_nobodys_lead_is_lost(
    contest: Contest, record_property: Callable[[str, object], None]
) -> None:
    seconds, crowded = [], []
    names_before = leads_by_name(contest.database)
    for _ in range(ROUNDS):
        answers = contest.go(contest.visitors(VISITORS, contest.time()))
        assert Counter(answer.status for answer in answers) == {201: 1, 409: VISITORS - 1}
        assert all(len(json.loads(answer.text)["alternatives"]) == 3 for answer in answers if not answer.won)
        assert len({answer.reference for answer in answers}) == VISITORS
        seconds += [answer.seconds for answer in answers]
        crowded.append(at_once(answers))
    names = leads_by_name(contest.database) - names_before
    assert (len(names), set(names.values())) == (VISITORS * ROUNDS, {1})
    assert overlaps(contest.database) == 0
    assert min(crowded) >= VISITORS // 2, "they did come at once"
    record_property("slowest answer", max(seconds))
    record_property("at once", (min(crowded), max(crowded)))
    print(f"slowest answer of {len(seconds)}: {max(seconds):.2f} s; at once: {min(crowded)} to {max(crowded)}")  # noqa: T201  the figure is asked for
    assert max(seconds) < LONGEST_SECONDS


# ---------------------------------------------------------------- every road against the others


def by_visitors(contest: Contest, at: datetime) -> list[Person]:
    return contest.visitors(FEW_VISITORS, at)


def by_lengths(contest: Contest, at: datetime) -> list[Person]:
    """Visits of all lengths that have a quarter of an hour in common."""
    starts = {"short": (at, at + QUARTER), "long": (at - HALF, at, at + QUARTER)}
    return [
        person for service, each in starts.items() for start in each for person in contest.visitors(8, start, service)
    ]


def by_first_available(contest: Contest, at: datetime) -> list[Person]:
    return contest.visitors(FEW_VISITORS, at, who="")


def by_first_available_and_room(contest: Contest, at: datetime) -> list[Person]:
    return contest.visitors(FEW_VISITORS, at, "long", who="")


def by_holds(contest: Contest, at: datetime) -> list[Person]:
    return [*contest.holders(20, at), *contest.visitors(20, at)]


def by_the_desk(contest: Contest, at: datetime) -> list[Person]:
    lead = contest.clinic.somebody()
    clerks = [contest.clerk("book", "hidden", at, "ann", lead=lead, by_desk=True) for _ in range(6)]
    return [*clerks, *contest.visitors(20, at)]


def by_moves(contest: Contest, at: datetime) -> list[Person]:
    return [*(contest.mover(contest.spare(), at) for _ in range(8)), *contest.visitors(20, at)]


def by_swaps(contest: Contest, at: datetime) -> list[Person]:
    """Two who want each other's time, which neither gives back before they have it; and others who want both."""
    one, other = (contest.clinic.book("short", start, "ann") for start in (at, at + HOUR))
    movers = [contest.mover(one, at + HOUR), contest.mover(other, at)]
    return [*movers, *contest.visitors(10, at), *contest.visitors(10, at + HOUR)]


def by_reassigning(contest: Contest, at: datetime) -> list[Person]:
    return [contest.clerk("reassign", contest.clinic.book("short", at, "bob"), "ann"), *contest.visitors(20, at)]


def by_restoring(contest: Contest, at: datetime) -> list[Person]:
    cancelled = [contest.clinic.cancel(contest.clinic.book("short", at, "ann")) for _ in range(6)]
    return [*(contest.clerk("restore", visit) for visit in cancelled), *contest.visitors(20, at)]


def by_growing(contest: Contest, at: datetime) -> list[Person]:
    """The visit before is to be as long as its service is by now."""
    contest.clinic.load(CATALOG)
    visit = contest.clinic.book("short", at - HALF, "ann")
    contest.clinic.load(WITH_LONGER)
    return [contest.clerk("change_length", visit), *contest.visitors(20, at, "plain")]


def by_time_off(contest: Contest, at: datetime) -> list[Person]:
    return [contest.clerk("take_off", "ann", at - HALF, at + HALF), *contest.visitors(20, at)]


def by_run_out_holds(contest: Contest, at: datetime) -> list[Person]:
    """People whose two holds have run out want one of the times that they had held, while the desk tidies up."""
    clinic, now, addresses = contest.clinic, datetime.now(UTC), [contest.name() for _ in range(12)]
    clinic.now = now - timedelta(minutes=11)
    for number, address in enumerate(addresses):
        visitor = contest.keyring.digest("client", address)
        for service, start in (("short", at + (number % 4 - 2) * QUARTER), ("long", at)):
            with suppress(SlotTaken, TooManyHolds):
                clinic.hold(service, start, visitor=visitor)
    clinic.now = now
    asked = {"service": "long", "starts_at": at.isoformat()}
    people = [contest.post("/api/v1/holds", asked, address) for address in addresses]
    return [*people, *contest.visitors(12, at, "long", who=""), contest.clerk("tidy_up")]


RACES: dict[str, tuple[Callable[[Contest, datetime], list[Person]], int]] = {
    "visitors": (by_visitors, 1),
    "mixed lengths": (by_lengths, 1),
    "first available of two": (by_first_available, 2),
    "first available of two in one room": (by_first_available_and_room, 1),
    "holds against bookings": (by_holds, 1),
    "the desk against the web": (by_the_desk, 1),
    "moves against bookings": (by_moves, 1),
    "two who swap against bookings": (by_swaps, 0),
    "reassigning against bookings": (by_reassigning, 1),
    "un-cancelling against bookings": (by_restoring, 1),
    "a longer service against bookings": (by_growing, 1),
    "time off against bookings": (by_time_off, 1),
    "run-out holds, tidied up": (by_run_out_holds, 2),
}


@pytest.mark.parametrize(("people", "winners"), RACES.values(), ids=RACES)
def test_of_all_who_want_one_time_as_many_get_it_as_there_are_practitioners_with_a_room(
    people: Callable[[Contest, datetime], list[Person]], winners: int, contest: Contest
) -> None:
    for _ in range(FEW_ROUNDS):
        contenders = people(contest, contest.time())
        answers = contest.go(contenders)
        assert sum(answer.won for answer in answers) == winners, answers
        assert {answer.status for answer in answers if isinstance(answer, Answer)} <= {200, 201, 409}
        assert at_once(answers) > 4, "they did come at once"
        assert overlaps(contest.database) == 0


@pytest.mark.parametrize(("people", "winners"), RACES.values(), ids=RACES)
def test_twin_without_the_guard_more_of_them_get_it(
    people: Callable[[Contest, datetime], list[Person]], winners: int, unguarded: Contest
) -> None:
    before = overlaps(unguarded.database)
    answers = unguarded.go(people(unguarded, unguarded.time()))
    assert sum(answer.won for answer in answers) > winners
    assert overlaps(unguarded.database) > before


# ---------------------------------------------------------------- what else can be fought over


def test_who_holds_a_time_gets_it_whoever_else_wants_it_and_while_it_is_held_for_longer(contest: Contest) -> None:
    for _ in range(ROUNDS):
        at = contest.time()
        held = contest.clinic.hold("long", at, "ann", visitor=contest.name())
        owner = contest.visitors(1, at, "long", hold=held.token)
        longer = [contest.post("/api/v1/holds", {"hold": held.token}) for _ in range(4)]
        answers = contest.go([*owner, *longer, *contest.visitors(10, at, "long", who="")])
        assert [answer.status for answer in answers[:1]] == [201]
        assert sum(answer.status == 200 for answer in answers[1:5]) <= 1
        assert [answer.status for answer in answers[5:]] == [409] * 10
        assert overlaps(contest.database) == 0


def test_a_day_takes_no_more_visits_than_its_cap_whoever_comes_at_once(contest: Contest) -> None:
    for _ in range(FEW_ROUNDS):
        opens = contest.day()
        starts = [opens + number * HALF for number in range(16)]
        people = [person for start in starts for person in contest.visitors(3, start, "capped", who="")]
        answers = contest.go(people)
        assert Counter(answer.status for answer in answers) == {201: 2, 422: len(people) - 2}


def test_none_of_it_was_a_deadlock_and_no_lead_had_to_wait(contest: Contest) -> None:
    assert all(server.stop() == 0 for server in contest.servers)
    for server in contest.servers:
        assert "database_away" not in server.output
        assert "broke" not in server.output
    if contest.database.dialect == "postgresql":
        assert deadlocks(contest.database) == 0
        make_a_deadlock(contest.settings.database_url)
        assert deadlocks(contest.database) == 1, "the twin: one is counted"


def deadlocks(database: Database) -> int:
    """How many deadlocks the server has had to break in this database, as far as ended connections have told."""
    with database.reading() as db:
        query = "select deadlocks from pg_stat_database where datname = current_database()"
        return int(db.scalars(text(query)).one())


def make_a_deadlock(url: str) -> None:
    """Let two transactions lock two calendars, each in another order; either may be the one that is given up."""
    both = threading.Barrier(2, timeout=30)
    change = "update calendar set version = version where id = %s"

    def lock(first: int, second: int) -> None:
        with psycopg.connect(conninfo(url)) as connection, suppress(psycopg.errors.DeadlockDetected):
            connection.execute(change, [first])
            both.wait()
            connection.execute(change, [second])

    threads = [threading.Thread(target=lock, args=order) for order in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
