"""A worker is killed between two instructions, where it hurts most, and every message arrives, at worst twice."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from booking import config, reception
from booking.app import open_runtime
from booking.database import Database, DatabaseAway
from booking.domain.catalog import Catalog
from booking.operations import digest, vitals
from tests.delivery.mailbox import Awkward, Talk, awkward
from tests.faults.crowd import eventually, form
from tests.faults.killing import Killing, in_hand, left_alone
from tests.faults.workers import (
    Ledger,
    Working,
    at_work,
    end_the_leases,
    read_letter,
    states,
    unwritable,
    who,
    without_leases,
)
from tests.posting import read
from tests.service import STOP_SECONDS

VISITORS = 20
LETTERS = 2 * VISITORS  # one to each of them, and one to the desk
CLAIMED, TAKEN, UNMARKED = "after it claimed", "after its letter was taken", "before it marked"
Act = Callable[[Talk], None]


@pytest.fixture
def environ(environ: dict[str, str], database: Database, catalog: Catalog) -> dict[str, str]:
    """A clinic that does nothing but deliver, whatever the hour (today's digest is said to be written), and says what
    it waits for.
    """
    with database.transaction() as db:
        vitals.beat(db, digest.EVENT, datetime.now(UTC))
    return environ | {"BOOKING_WATCH_MINUTES": "0", "BOOKING_LOG_LEVEL": "debug"}


def post_all(environ: Mapping[str, str], database: Database) -> None:
    """Let everybody post."""
    premises, now = open_runtime(config.load(environ, None)), datetime.now(UTC)
    try:
        for number in range(VISITORS):
            reception.receive(premises, read(form(f"visitor{number}")), now)
    finally:
        premises.database.close()
    assert states(database) == {"waiting": LETTERS}


def names(database: Database) -> set[str]:
    """The Message-ID of every message."""
    with database.reading() as db:
        return {
            f"<{bytes(key).hex()}@example.com>" for key in db.scalars(text("select dedupe_key from outbox_message"))
        }


@contextmanager
def mail_server(first: Mapping[str, Act], ledger: Ledger, environ: dict[str, str]) -> Iterator[Awkward]:
    """A mail server that treats its first connection as planned and takes all that comes over the others."""
    with awkward(first, {"DATA": ledger.take_all}) as server:
        environ["BOOKING_MAIL_URL"] = f"smtp://127.0.0.1:{server.port}"
        yield server


def plan(killing: Killing, ledger: Ledger, point: str) -> Mapping[str, Act]:
    """What the mail server does to its first connection, so that the worker is killed at this point."""
    if point == CLAIMED:
        return {"banner": lambda talk: killing.once_it_has_claimed(talk.connection)}

    def kill(talk: Talk) -> None:
        message_id = read_letter(talk)
        strike = killing.once_it_is_told_yes if point == TAKEN else killing.before_it_marks
        strike(talk.connection, lambda: ledger.say_yes(talk, message_id))

    return {"DATA": kill}


@pytest.mark.parametrize("point", [CLAIMED, TAKEN, UNMARKED])
def test_a_worker_that_is_killed_loses_no_letter_and_doubles_one_at_most(
    point: str, database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    ledger, killing, doubled = Ledger(), Killing(database), int(point != CLAIMED)
    first = plan(killing, ledger, point)
    with mail_server(first, ledger, environ), at_work(environ, tmp_path, "one", "two") as workers:
        killing.workers = workers
        post_all(environ, database)
        eventually(killing.fired.is_set)
        eventually(lambda: len(left_alone(database)) == 1)
        (dead,) = left_alone(database)
        assert len(names(database) - set(ledger.taken)) == in_hand(database) - doubled, "these would never arrive"
        end_the_leases(database, dead)
        with at_work(environ, tmp_path, "anew") as anew:
            eventually(lambda: states(database) == {"sent": LETTERS})
            alive = [worker for worker in (*workers, *anew) if worker is not killing.victim]
            assert [worker.stop() for worker in alive] == [0, 0]
    assert set(ledger.taken) == names(database)
    assert ledger.doubled == doubled


def test_a_worker_that_is_killed_before_it_could_claim_has_changed_nothing(
    database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    ledger = Ledger()
    with mail_server({"DATA": ledger.take_all}, ledger, environ):
        with at_work(environ, tmp_path, "one") as (worker,):
            eventually(lambda: has_beaten(database))
            freeze_between_writes(worker, database)
            post_all(environ, database)
            with unwritable(database):
                worker.thaw()
                eventually(lambda: "postman_waits" in worker.output)
                worker.kill()
        assert states(database) == {"waiting": LETTERS}
        assert (in_hand(database), ledger.taken.total()) == (0, 0)
        with at_work(environ, tmp_path, "two", "three") as workers:
            eventually(lambda: states(database) == {"sent": LETTERS})
            assert [worker.stop() for worker in workers] == [0, 0]
    assert set(ledger.taken) == names(database)
    assert ledger.doubled == 0


def has_beaten(database: Database) -> bool:
    """Whether a worker has done its first round to the end."""
    with database.reading() as db:
        return vitals.last(db, vitals.WORKER) is not None


def test_a_worker_that_is_told_to_end_takes_leave_with_nothing_in_its_hands(
    database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    ledger, told = Ledger(), threading.Event()

    def tell_it_to_end(talk: Talk) -> None:
        message_id = read_letter(talk)
        assert in_hand(database) > 1
        who(workers, talk.connection).process.terminate()
        told.set()
        ledger.say_yes(talk, message_id)
        ledger.take_more(talk)

    with (
        mail_server({"DATA": tell_it_to_end}, ledger, environ),
        at_work(environ, tmp_path, "one") as workers,
    ):
        post_all(environ, database)
        eventually(told.is_set)
        workers[0].process.join(STOP_SECONDS)
        assert workers[0].process.exitcode == 0
        found = states(database)
        assert found["sent"] == ledger.taken.total() < LETTERS
        assert in_hand(database) == 0
        assert untried(database) == found["waiting"]
        with at_work(environ, tmp_path, "anew"):
            eventually(lambda: states(database) == {"sent": LETTERS})
    assert set(ledger.taken) == names(database)
    assert ledger.doubled == 0


def untried(database: Database) -> int:
    """How many messages wait that nobody has tried to send."""
    with database.reading() as db:
        query = "select count(*) from outbox_message where state = 'waiting' and attempts = 0 and lease_until is null"
        return int(db.scalars(text(query)).one())


def freeze_between_writes(worker: Working, database: Database) -> None:
    """Freeze a worker, but not while it has the writers' turn, for which everybody would wait."""
    worker.freeze()
    while not is_writable(database):
        worker.thaw()
        eventually(lambda: is_writable(database))
        worker.freeze()


def is_writable(database: Database) -> bool:
    try:
        with database.transaction() as db:
            db.execute(text("select 1"))
    except DatabaseAway:
        return False
    return True


def hold_the_first(ledger: Ledger) -> Act:
    """Keep the first letter at the server's door until another worker has had one taken."""

    def hold(talk: Talk) -> None:
        message_id = read_letter(talk)
        eventually(lambda: ledger.taken.total() > 0)
        ledger.say_yes(talk, message_id)

    return hold


def test_two_workers_of_which_nobody_is_killed_double_nothing(
    database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    ledger = Ledger()
    with (
        mail_server({"DATA": hold_the_first(ledger)}, ledger, environ),
        at_work(environ, tmp_path, "one", "two"),
    ):
        post_all(environ, database)
        eventually(lambda: states(database) == {"sent": LETTERS})
    assert set(ledger.taken) == names(database)
    assert ledger.doubled == 0


def test_twin_two_workers_without_leases_double_letters_though_nobody_was_killed(
    database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    ledger = Ledger()
    with (
        mail_server({"DATA": hold_the_first(ledger)}, ledger, environ),
        at_work(environ, tmp_path, "one", "two", before=without_leases),
    ):
        post_all(environ, database)
        eventually(lambda: ledger.doubled > 0)
