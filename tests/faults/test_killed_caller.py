"""A worker is killed while it calls a program, which hears of everything, and at worst twice of one, under one id."""

import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from booking import config, reception
from booking.app import open_runtime
from booking.database import Database
from booking.domain.catalog import Catalog
from booking.operations import digest, vitals, webhooks
from tests.delivery.receiver import Receiver, reply
from tests.faults.crowd import eventually, form
from tests.faults.killing import Killing, left_alone
from tests.faults.workers import at_work, end_the_leases, states, without_leases
from tests.posting import read

VISITORS = 30  # more than a worker claims at once
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
CLAIMED, TAKEN, UNMARKED = "after it claimed", "after its event was taken", "before it marked"
First = Callable[["Program", socket.socket], None]


class Program:
    """A program that takes every event, and treats its first caller as planned."""

    def __init__(self, first: First) -> None:
        self.taken = Counter[str]()
        self._first: First | None = first
        self._guard = threading.Lock()

    def answer(self, here: Receiver, connection: socket.socket) -> None:
        """Deal with one call."""
        with self._guard:
            first, self._first = self._first, None
        if first:
            first(self, connection)
        else:
            self.yes(here, connection)()

    def yes(self, here: Receiver, connection: socket.socket) -> Callable[[], None]:
        """Read what comes; returns what says that it was taken."""
        name = here.take(connection).headers.get("webhook-id")
        if name is None:
            raise ConnectionAbortedError("its caller was killed before it had said a word")

        def say() -> None:
            with self._guard:
                self.taken[name] += 1
            here.say(connection, reply(204))

        return say


@pytest.fixture
def environ(environ: dict[str, str], database: Database, catalog: Catalog) -> dict[str, str]:
    """A clinic that does nothing but deliver, whatever the hour (today's digest is said to be written)."""
    with database.transaction() as db:
        vitals.beat(db, digest.EVENT, datetime.now(UTC))
    return environ | {"BOOKING_WATCH_MINUTES": "0", "BOOKING_LOG_LEVEL": "debug"}


def post_all(environ: Mapping[str, str], database: Database, url: str) -> None:
    """Let a program listen, and everybody post."""
    premises, now = open_runtime(config.load(environ, None)), datetime.now(UTC)
    try:
        with database.transaction() as db:
            webhooks.add(db, premises.keyring, url, SECRET, now)
        for number in range(VISITORS):
            reception.receive(premises, read(form(f"visitor{number}")), now)
    finally:
        premises.database.close()


def names(database: Database) -> set[str]:
    """The webhook id of every event that a program is told of."""
    query = "select dedupe_key from outbox_message where channel = 'webhook' and recipient <> ''"
    with database.reading() as db:
        return {bytes(key).hex() for key in db.scalars(text(query))}


def all_sent(database: Database) -> bool:
    """Whether nothing waits any more: for each visitor two letters, an event, and a call."""
    return states(database) == {"sent": 4 * VISITORS}


@pytest.mark.parametrize("point", [CLAIMED, TAKEN, UNMARKED])
def test_a_worker_that_is_killed_loses_no_event_and_doubles_one_at_most_under_its_id(
    point: str, database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    killing, doubled = Killing(database), int(point != CLAIMED)

    def kill(program: Program, connection: socket.socket) -> None:
        if point == CLAIMED:
            killing.once_it_has_claimed(connection)
        else:
            strike = killing.once_it_is_told_yes if point == TAKEN else killing.before_it_marks
            strike(connection, program.yes(receiver, connection))

    program = Program(kill)
    with Receiver(program.answer) as receiver, at_work(environ, tmp_path, "one", "two") as workers:
        killing.workers = workers
        post_all(environ, database, receiver.url)
        eventually(killing.fired.is_set)
        eventually(lambda: len(left_alone(database)) == 1)
        (dead,) = left_alone(database)
        assert names(database) - set(program.taken), "these would never arrive"
        end_the_leases(database, dead)
        with at_work(environ, tmp_path, "anew") as anew:
            eventually(lambda: all_sent(database))
            alive = [worker for worker in (*workers, *anew) if worker is not killing.victim]
            assert [worker.stop() for worker in alive] == [0, 0]
    assert set(program.taken) == names(database)
    assert len(program.taken) == VISITORS
    assert program.taken.total() - len(program.taken) == doubled


@pytest.mark.parametrize(("before", "doubled"), [(None, False), (without_leases, True)], ids=["leases", "twin: none"])
def test_two_workers_of_which_nobody_is_killed_tell_a_program_once(
    before: Callable[[], None] | None, doubled: bool, database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    def keep_waiting(program: Program, connection: socket.socket) -> None:
        say_yes = program.yes(receiver, connection)
        eventually(lambda: program.taken.total() > 0)  # by the other worker
        say_yes()

    program = Program(keep_waiting)
    with Receiver(program.answer) as receiver, at_work(environ, tmp_path, "one", "two", before=before):
        post_all(environ, database, receiver.url)
        if doubled:
            eventually(lambda: program.taken.total() > len(program.taken))
        else:
            eventually(lambda: all_sent(database))
            assert program.taken == Counter(names(database))
