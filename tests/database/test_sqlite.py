"""SQLite is opened as it was measured, and its writers take turns: first come, first served, between processes too."""

import contextlib
import functools
import importlib.util
import itertools
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from booking.database import Database, DatabaseAway, sqlite
from booking.database.sqlite import PRAGMAS, WriterLock
from booking.database.turns import TurnTimeout
from tests.faults.crowd import eventually
from tests.faults.weather import locked

WRITERS, TURNS, MANY = 4, 100, 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "booking.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{path}")
    with database.transaction() as db:
        db.execute(text("create table turn (writer integer)"))
    yield database
    database.close()


@pytest.fixture
def lock(path: Path) -> Iterator[WriterLock]:
    with contextlib.closing(WriterLock(str(path))) as lock:
        yield lock


# ---------------------------------------------------------------- connections


def test_every_connection_has_the_measured_pragmas(database: Database) -> None:
    with contextlib.ExitStack() as several:
        for _ in range(5):
            db = several.enter_context(database.reading())
            found = {name: db.scalar(text(f"pragma {name}")) for name in PRAGMAS}
            assert found == PRAGMAS
            assert found["journal_mode"] == "wal"
            assert found["synchronous"] == 2


def test_a_sqlite_that_does_not_take_a_pragma_is_not_used() -> None:
    in_memory = Database("sqlite:///:memory:")  # it has no write-ahead log
    with pytest.raises(DatabaseAway), in_memory.transaction() as db:
        db.execute(text("select 1"))
    in_memory.close()


def test_where_there_is_a_wheel_the_sqlite_in_use_has_no_wal_reset_bug() -> None:
    if importlib.util.find_spec("pysqlite3"):
        assert sqlite.driver().sqlite_version_info >= (3, 51, 3)
    else:
        assert sqlite.driver() is sqlite3


def test_a_locked_file_is_a_database_that_is_away_and_readers_go_on(database: Database, path: Path) -> None:
    with locked(path):
        with pytest.raises(DatabaseAway, match="SQLITE_BUSY"), database.transaction() as db:
            db.execute(text("insert into turn values (1)"))
        database._resting_until = 0.0
        assert database.answers()
    database._resting_until = 0.0
    with database.transaction() as db:
        db.execute(text("insert into turn values (1)"))


# ---------------------------------------------------------------- turns in one process


def test_writers_get_their_turns_in_the_order_they_came(lock: WriterLock) -> None:
    served: list[int] = []
    threads: list[threading.Thread] = []

    def write(number: int) -> None:
        with lock.held(30):
            served.append(number)

    with lock.held():
        for number in range(10):
            threads.append(threading.Thread(target=write, args=(number,)))
            threads[-1].start()
            eventually(lambda: len(lock._queue) == len(threads) + 1)
        assert served == []
    for thread in threads:
        thread.join()
    assert served == list(range(10))


def most_often_overtaken(write: Callable[[Callable[[], None]], None]) -> int:
    """Some writers write without a pause; how many who came later were served before the unluckiest of them."""
    tickets, served = itertools.count(), list[int]()

    def work() -> None:
        for _ in range(TURNS):
            ticket = next(tickets)
            write(functools.partial(served.append, ticket))

    threads = [threading.Thread(target=work) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(served) == list(range(WRITERS * TURNS))
    return max(sum(earlier > ticket for earlier in served[:place]) for place, ticket in enumerate(served))


def test_a_writer_is_hardly_ever_overtaken(database: Database) -> None:
    def write(note: Callable[[], None]) -> None:
        with database.transaction() as db:
            db.execute(text("insert into turn values (1)"))
            note()

    assert most_often_overtaken(write) < MANY


def test_twin_with_nothing_but_sqlites_own_busy_handler_some_writer_is_overtaken_again_and_again(
    database: Database,
) -> None:
    def write(note: Callable[[], None]) -> None:
        with contextlib.suppress(OperationalError), database.engine.begin() as connection:
            connection.execute(text("insert into turn values (1)"))
        note()  # some starve until SQLite gives up

    assert max(most_often_overtaken(write) for _ in range(3)) > MANY


def test_a_writer_who_waits_too_long_is_told_and_the_turn_goes_to_the_next(lock: WriterLock) -> None:
    told = threading.Event()
    served: list[str] = []

    def hurry() -> None:
        with contextlib.suppress(TurnTimeout), lock.held(0.05):
            served.append("hurried")
        told.set()

    def wait() -> None:
        with lock.held(30):
            served.append("patient")

    with lock.held():
        hurried = threading.Thread(target=hurry)
        hurried.start()
        eventually(lambda: len(lock._queue) == 2)
        patient = threading.Thread(target=wait)
        patient.start()
        assert told.wait(30)
    hurried.join()
    patient.join()
    assert served == ["patient"]


def test_a_block_that_raises_gives_its_turn_back(lock: WriterLock) -> None:
    with pytest.raises(KeyError), lock.held():
        raise KeyError
    with lock.held(0.05):
        pass


# ---------------------------------------------------------------- turns between processes

HOLDER = """
import sys
from booking.database.sqlite import WriterLock
with WriterLock(sys.argv[1]).held():
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def held_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process has the turn for the length of the block."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_writer_waits_for_one_in_another_process_and_not_for_one_who_was_killed(lock: WriterLock, path: Path) -> None:
    with held_elsewhere(path) as holder:
        with pytest.raises(TurnTimeout, match="another process"), lock.held(0.1):
            pytest.fail("two processes had the turn")
        holder.kill()
        with lock.held(30):
            pass


def test_twin_without_its_file_the_turn_is_given_twice(path: Path) -> None:
    lock = WriterLock(None)
    with held_elsewhere(path), lock.held(0.1):
        pass


def test_a_database_whose_turn_is_held_elsewhere_for_too_long_is_away(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert database._turn is not None
    monkeypatch.setattr(database._turn, "held", functools.partial(database._turn.held, 0.1))
    with held_elsewhere(path), pytest.raises(DatabaseAway, match="TurnTimeout"), database.transaction():
        pytest.fail("two processes had the turn")


def test_a_turn_whose_file_cannot_be_opened_is_a_database_that_is_away(path: Path) -> None:
    path.with_name("booking.db.writer").mkdir()  # so that opening it fails, for root too
    database = Database(f"sqlite:///{path}")
    with pytest.raises(DatabaseAway), database.transaction():
        pytest.fail("it was written without a turn")
    database.close()
